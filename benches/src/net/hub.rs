//! All connections of the tool, and the epoll that watches them.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Protocol, Socket, Type};

use super::conn::Conn;
pub use super::conn::Read;
use crate::xmpp::Input;

/// Events of one turn.
const EVENTS: usize = 1024;
/// Ciphertext of one read.
const CIPHER_BYTES: usize = 64 * 1024;
/// The listener's place among the connections.
const LISTENER: u64 = u64::MAX;

/// A connection of one hub. It is used again when that one was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnId(u32);

impl ConnId {
    /// For tables by connection: small, and used again.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// See the module.
pub struct Hub {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    conns: Vec<Option<Conn>>,
    free: Vec<u32>,
    cipher: Vec<u8>,
    listener: Option<TcpListener>,
}

impl Hub {
    /// Without connections.
    ///
    /// # Errors
    /// The system has no epoll left.
    pub fn new() -> io::Result<Hub> {
        Ok(Hub {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
            conns: Vec::new(),
            free: Vec::new(),
            cipher: vec![0; CIPHER_BYTES],
            listener: None,
        })
    }

    /// Begins to connect; what is sent meanwhile waits.
    ///
    /// # Errors
    /// The system refuses at once.
    pub fn connect(&mut self, address: SocketAddr) -> io::Result<ConnId> {
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        let connecting = match socket.connect(&address.into()) {
            Ok(()) => false,
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => true,
            Err(e) => return Err(e),
        };
        self.add(socket.into(), connecting)
    }

    /// Watches a listener, too: [`Hub::wait`] says when somebody waits there.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen(&mut self, listener: TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        epoll::add(&self.epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        self.listener = Some(listener);
        Ok(())
    }

    /// Takes in one who waits at the listener, if there is one.
    ///
    /// # Errors
    /// The system refuses.
    pub fn accept(&mut self) -> io::Result<Option<ConnId>> {
        let Some(listener) = &self.listener else { return Ok(None) };
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(e) => return Err(e),
        };
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        self.add(socket, false).map(Some)
    }

    fn add(&mut self, socket: TcpStream, connecting: bool) -> io::Result<ConnId> {
        let id = self.free.pop().unwrap_or_else(|| {
            self.conns.push(None);
            u32::try_from(self.conns.len() - 1).expect("fewer connections than that")
        });
        let conn = Conn::new(socket, connecting);
        epoll::add(&self.epoll, &conn.socket, epoll::EventData::new_u64(id.into()), flags(connecting))?;
        self.conns[id as usize] = Some(conn);
        Ok(ConnId(id))
    }

    /// Begins TLS on a connection.
    ///
    /// # Errors
    /// The domain is no name for TLS, or the connection is broken.
    pub fn start_tls(&mut self, id: ConnId, config: &Arc<ClientConfig>, domain: &str) -> io::Result<()> {
        let name = ServerName::try_from(domain.to_owned()).map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        self.conn(id)?.start_tls(tls)?;
        self.watch(id)
    }

    /// Waits until something can be read, or for so long (none: for ever), to the microsecond. Writes what there is
    /// room for now. `ready` gets the connections to read; true if somebody waits at the listener.
    ///
    /// # Errors
    /// The system refuses.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<ConnId>) -> io::Result<bool> {
        ready.clear();
        self.events.clear();
        let mut rest = timeout.map(timespec);
        if timeout.is_some_and(|t| t.subsec_nanos() % 1_000_000 != 0) {
            // epoll counts milliseconds.
            let mut epolls = [PollFd::new(&self.epoll, PollFlags::IN)];
            retried(poll(&mut epolls, rest.as_ref()))?;
            rest = Some(timespec(Duration::ZERO));
        }
        retried(epoll::wait(&self.epoll, spare_capacity(&mut self.events), rest.as_ref()))?;
        let mut knocked = false;
        for at in 0..self.events.len() {
            let event = self.events[at];
            let (flags, data) = (event.flags, event.data.u64());
            if data == LISTENER {
                knocked = true;
                continue;
            }
            let id = ConnId(u32::try_from(data).expect("an id that we gave"));
            let error = if flags.contains(epoll::EventFlags::OUT) { self.on_room(id).err() } else { None };
            let broken = error.is_some();
            if let (Some(error), Ok(conn)) = (error, self.conn(id)) {
                conn.failed = Some(error);
            }
            if broken || flags != epoll::EventFlags::OUT {
                ready.push(id);
            }
        }
        Ok(knocked)
    }

    fn on_room(&mut self, id: ConnId) -> io::Result<()> {
        let conn = self.conn(id)?;
        if conn.connecting {
            if let Some(e) = conn.socket.take_error()? {
                return Err(e);
            }
            conn.connecting = false;
        }
        conn.flush()?;
        self.watch(id)
    }

    /// Asks epoll for room to write, if bytes wait for it, and only then.
    fn watch(&mut self, id: ConnId) -> io::Result<()> {
        let epoll = &self.epoll;
        let Some(Some(conn)) = self.conns.get_mut(id.index()) else { return Ok(()) };
        let blocked = conn.is_blocked();
        if blocked != conn.watched {
            conn.watched = blocked;
            epoll::modify(epoll, &conn.socket, epoll::EventData::new_u64(id.0.into()), flags(blocked))?;
        }
        Ok(())
    }

    /// Reads a connection once; `input` then holds what there is of it, beginning with what it kept. To be followed by
    /// [`Hub::keep`].
    ///
    /// # Errors
    /// The connection is broken.
    pub fn read(&mut self, id: ConnId, input: &mut Input) -> io::Result<Read> {
        let Some(Some(conn)) = self.conns.get_mut(id.index()) else { return Ok(Read::Open) };
        input.begin(&conn.kept);
        conn.kept.clear();
        let read = conn.read(input, &mut self.cipher)?;
        if conn.watched != conn.is_blocked() {
            self.watch(id)?;
        }
        Ok(read)
    }

    /// Keeps what was read and makes no token yet.
    pub fn keep(&mut self, id: ConnId, input: &Input) {
        if let Some(Some(conn)) = self.conns.get_mut(id.index()) {
            if !input.rest().is_empty() {
                conn.kept.extend_from_slice(input.rest());
            } else if conn.kept.capacity() > 0 {
                conn.kept = Vec::new();
            }
        }
    }

    /// Sends, or keeps what there is no room for.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(&mut self, id: ConnId, bytes: &[u8]) -> io::Result<()> {
        let conn = self.conn(id)?;
        conn.send(bytes)?;
        if conn.is_blocked() { self.watch(id) } else { Ok(()) }
    }

    /// Closes a connection at once.
    pub fn close(&mut self, id: ConnId) {
        if self.conns.get_mut(id.index()).and_then(Option::take).is_some() {
            self.free.push(id.0);
        }
    }

    fn conn(&mut self, id: ConnId) -> io::Result<&mut Conn> {
        let found = self.conns.get_mut(id.index()).and_then(Option::as_mut);
        found.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }
}

fn flags(blocked: bool) -> epoll::EventFlags {
    if blocked { epoll::EventFlags::IN | epoll::EventFlags::OUT } else { epoll::EventFlags::IN }
}

fn timespec(duration: Duration) -> Timespec {
    let secs = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec: secs, tv_nsec: duration.subsec_nanos().into() }
}

/// A signal is no reason to fail: nothing is ready, then.
fn retried(result: rustix::io::Result<usize>) -> io::Result<()> {
    match result {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
