//! The relay's loop.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::fault::{Fault, Faulty};
use super::greet::{Greeting, Next};
use crate::net::{ConnId, Hub, Read};
use crate::xmpp::{Input, User};

/// How often it looks whether it should stop.
const LOOK: Duration = Duration::from_millis(100);
const END: &[u8] = b"</stream:stream>";

/// See the module.
pub struct Relay {
    hub: Hub,
    address: SocketAddr,
    fault: Fault,
    /// By connection.
    conns: Vec<State>,
    /// By user: who is there.
    users: Vec<Option<ConnId>>,
    input: Input,
    out: Vec<u8>,
}

enum State {
    Greeting(Greeting),
    /// The user, and its way through the fault.
    Forward(User, Faulty),
}

impl Relay {
    /// Listens there; port 0 lets the system choose.
    ///
    /// # Errors
    /// The system refuses.
    pub fn bind(address: SocketAddr, fault: Fault) -> io::Result<Relay> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        // Std's backlog of 128 stalls storms of connections.
        socket.listen(4096)?;
        let listener: TcpListener = socket.into();
        let address = listener.local_addr()?;
        let mut hub = Hub::new()?;
        hub.listen(listener)?;
        let (conns, users) = (Vec::new(), Vec::new());
        Ok(Relay { hub, address, fault, conns, users, input: Input::new(), out: Vec::new() })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards until it is told to stop.
    ///
    /// # Errors
    /// The system refuses something that is not the fault of one connection.
    pub fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        let mut ready = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let knocked = self.hub.wait(Some(LOOK), &mut ready)?;
            for conn in ready.drain(..) {
                // A connection that breaks concerns nobody else.
                if !matches!(self.on_ready(conn), Ok(Read::Open)) {
                    self.close(conn);
                }
            }
            while let Some(conn) = if knocked { self.hub.accept()? } else { None } {
                if self.conns.len() <= conn.index() {
                    self.conns.resize_with(conn.index() + 1, || State::Greeting(Greeting::default()));
                }
                self.conns[conn.index()] = State::Greeting(Greeting::default());
            }
        }
        Ok(())
    }

    fn on_ready(&mut self, conn: ConnId) -> io::Result<Read> {
        let read = self.hub.read(conn, &mut self.input)?;
        if let Some(State::Greeting(_)) = self.conns.get(conn.index())
            && self.greet(conn)? == Read::Closed
        {
            return Ok(Read::Closed);
        }
        if let Some(State::Forward(user, faulty)) = self.conns.get_mut(conn.index()) {
            let bytes = self.input.rest();
            let peer = self.users.get(user.0 as usize ^ 1).copied().flatten();
            if bytes.ends_with(END) {
                self.hub.send(conn, END)?;
                return Ok(Read::Closed);
            }
            if let Some(peer) = peer.filter(|_| !bytes.is_empty()) {
                if self.fault == Fault::None {
                    self.hub.send(peer, bytes)?;
                    self.input.clear();
                } else {
                    self.out.clear();
                    let taken = faulty.pass(self.fault, bytes, &mut self.out);
                    self.hub.send(peer, &self.out)?;
                    self.input.skip(taken);
                }
            }
        }
        self.hub.keep(conn, &self.input);
        Ok(read)
    }

    fn greet(&mut self, conn: ConnId) -> io::Result<Read> {
        let State::Greeting(greeting) = &mut self.conns[conn.index()] else { return Ok(Read::Open) };
        self.out.clear();
        let mut next = Next::Go;
        while next == Next::Go {
            let Some(token) = self.input.next().map_err(io::Error::other)? else { break };
            next = greeting.on_token(&token, &mut self.out);
        }
        if !self.out.is_empty() {
            self.hub.send(conn, &self.out)?;
        }
        match next {
            Next::Go => Ok(Read::Open),
            Next::Close => Ok(Read::Closed),
            Next::Forward => {
                let user = User(greeting.user.unwrap_or(0));
                self.users.resize(self.users.len().max(user.0 as usize + 1), None);
                self.users[user.0 as usize] = Some(conn);
                self.conns[conn.index()] = State::Forward(user, Faulty::default());
                Ok(Read::Open)
            }
        }
    }

    fn close(&mut self, conn: ConnId) {
        self.hub.close(conn);
        for user in &mut self.users {
            if *user == Some(conn) {
                *user = None;
            }
        }
    }
}
