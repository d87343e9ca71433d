//! One connection of a worker: the socket, its TLS, and what could not be sent yet.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::Waker;

use chat_core::session::{HandOver, Listener};

use super::inbox::Wakeup;
use super::secure::Secure;
use crate::net::{Detached, Socket};

/// A connection.
pub(super) struct Conn {
    pub(super) socket: Socket,
    pub(super) wakeup: Arc<Wakeup>,
    pub(super) phase: Phase,
    pub(super) listener: Listener,
    pub(super) peer: IpAddr,
    pub(super) tls: Option<Secure>,
    /// Ciphertext that did not fit into the socket. Nothing else is encrypted before it is gone.
    pub(super) tail: Vec<u8>,
    /// Bytes of the engine's that the tail ends with: they count as sent when the tail is.
    pub(super) owed: usize,
    /// Whether the engine wants to read.
    pub(super) reading: bool,
    /// It feeds a worker that cannot keep up, and is not read from until that has.
    pub(super) held: bool,
    /// The socket takes nothing for now, and wakes when it does.
    pub(super) blocked: bool,
    /// The peer has closed its half.
    pub(super) eof: bool,
    /// It is on the list of connections whose end the engine is to hear of.
    pub(super) ended: bool,
    /// Our half is closed.
    pub(super) shut: bool,
}

/// How far a connection has got, for the driver.
pub(super) enum Phase {
    /// A PROXY header is due; so much of it is here.
    Header(Vec<u8>),
    /// The engine knows it.
    Open,
    /// The engine is done with it. What remains is sent, then what still arrives is dropped until the peer has closed
    /// its half, too: a socket closed with unread bytes would be reset, and the reset would overtake our last words.
    Closing {
        /// Bytes dropped so far.
        dropped: usize,
    },
}

/// A connection between two workers.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(super) socket: Detached,
    pub(super) listener: Listener,
    pub(super) peer: IpAddr,
    pub(super) tls: Option<Secure>,
    pub(super) tail: Vec<u8>,
    pub(super) state: Box<HandOver>,
}

impl Conn {
    /// What the socket is to wake; `None` if it tells its key instead.
    pub(super) fn waker(&self) -> Option<Waker> {
        self.socket.wakes().then(|| Waker::from(self.wakeup.clone()))
    }

    pub(super) fn new(
        socket: Socket,
        wakeup: Arc<Wakeup>,
        phase: Phase,
        listener: Listener,
        peer: IpAddr,
    ) -> Conn {
        Conn {
            socket,
            wakeup,
            phase,
            listener,
            peer,
            tls: None,
            tail: Vec::new(),
            owed: 0,
            reading: true,
            held: false,
            blocked: false,
            eof: false,
            ended: false,
            shut: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one for each of a million clients; its socket's registration, waker and TLS come on top.
    #[test]
    fn a_connection_is_small() {
        assert!(size_of::<Conn>() <= 192, "{} bytes", size_of::<Conn>());
    }
}
