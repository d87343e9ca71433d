//! One connection: its socket, TLS if it has any, and what is left over of reads and writes.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use rustls::ClientConnection;

use crate::xmpp::Input;

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Something, or nothing yet; more will be reported.
    Open,
    /// The end: nothing more will come.
    Closed,
}

pub(super) struct Conn {
    pub(super) socket: TcpStream,
    pub(super) connecting: bool,
    /// Whether epoll watches for room to write.
    pub(super) watched: bool,
    tls: Option<Box<ClientConnection>>,
    /// A stanza that has not ended yet.
    pub(super) kept: Vec<u8>,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
    /// Why it could not be connected or written to, for whoever reads it next.
    pub(super) failed: Option<io::Error>,
}

impl Conn {
    pub(super) fn new(socket: TcpStream, connecting: bool) -> Conn {
        Conn {
            socket,
            connecting,
            watched: connecting,
            tls: None,
            kept: Vec::new(),
            unsent: Vec::new(),
            failed: None,
        }
    }

    pub(super) fn start_tls(&mut self, mut tls: ClientConnection) -> io::Result<()> {
        tls.set_buffer_limit(None);
        self.tls = Some(Box::new(tls));
        self.flush()
    }

    /// Whether bytes wait for room in the socket.
    pub(super) fn is_blocked(&self) -> bool {
        self.connecting || !self.unsent.is_empty() || self.tls.as_ref().is_some_and(|t| t.wants_write())
    }

    /// Reads once.
    pub(super) fn read(&mut self, input: &mut Input, cipher: &mut [u8]) -> io::Result<Read> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.tls.is_some() {
            return match self.read_socket(cipher)? {
                Some(0) => Ok(Read::Closed),
                Some(count) => self.decrypt(&cipher[..count], input).map(|()| Read::Open),
                None => Ok(Read::Open),
            };
        }
        match self.read_socket(input.space())? {
            Some(0) => return Ok(Read::Closed),
            Some(count) => input.filled(count),
            None => {}
        }
        Ok(Read::Open)
    }

    /// How many bytes came; none if there are none yet, 0 at the end.
    fn read_socket(&mut self, space: &mut [u8]) -> io::Result<Option<usize>> {
        match self.socket.read(space) {
            Ok(count) => Ok(Some(count)),
            Err(e) if is_try_again(&e) => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => Ok(Some(0)),
            Err(e) => Err(e),
        }
    }

    fn decrypt(&mut self, mut cipher: &[u8], input: &mut Input) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while !cipher.is_empty() {
            tls.read_tls(&mut cipher)?;
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let mut plain = state.plaintext_bytes_to_read();
            while plain > 0 {
                let space = input.space();
                let count = space.len().min(plain);
                tls.reader().read_exact(&mut space[..count])?;
                input.filled(count);
                plain -= count;
            }
        }
        if tls.wants_write() { self.flush() } else { Ok(()) }
    }

    /// Sends, or keeps what there is no room for.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.writer().write_all(bytes)?;
            return self.flush();
        }
        let mut sent = 0;
        if !self.is_blocked() {
            sent = match self.socket.write(bytes) {
                Ok(count) => count,
                Err(e) if is_try_again(&e) => 0,
                Err(e) => return Err(e),
            };
        }
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.connecting {
            return Ok(());
        }
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.socket.write(&self.unsent[sent..]) {
                Ok(count) => sent += count,
                Err(e) if is_try_again(&e) => break,
                Err(e) => return Err(e),
            }
        }
        if sent == self.unsent.len() {
            self.unsent = Vec::new();
        } else {
            self.unsent.drain(..sent);
            return Ok(());
        }
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut self.socket) {
                    Ok(_) => {}
                    Err(e) if is_try_again(&e) => break,
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(())
    }
}

fn is_try_again(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
