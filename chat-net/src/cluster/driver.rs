//! The future that drives the links of a node.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use chat_core::base::{Mono, Now};
use chat_core::cluster::discovery::Peer;
use chat_core::cluster::link::{LinkConn, LinksInput};

use super::LinkTls;
use super::conn::{Conn, Progress, Stage};
use crate::net::{Acceptor, Clock, Connecting, Incoming, Runtime, Sleep, Socket, connect};

/// How long a TCP connection may take, and then TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a closed connection may take to send what was written.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections of others whose TLS does not stand yet; beyond it new ones are closed.
const SECURING_MAX: usize = 64;
/// Bytes of plaintext that are looked at at a time.
const SCRATCH_BYTES: usize = 64 * 1024;

/// What a machine wants of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkRequest {
    /// Dial this address; answered by [`LinksInput::Dialled`] or [`LinksInput::DialFailed`].
    Dial {
        /// Whom, for the answer.
        peer: Peer,
        /// Where.
        address: SocketAddr,
    },
    /// Close this connection, once what was written is sent.
    Close(LinkConn),
}

/// How a driver ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEnd {
    /// At once, as a crash would: connections end in the middle of whatever they carry.
    AtOnce,
    /// What was written is sent, within two seconds.
    Orderly,
}

/// What is driven: the links of a node, or an agent that has them. All calls come from one task.
pub trait LinkMachine: Send + 'static {
    /// Something happened.
    fn handle(&mut self, now: Now, input: LinksInput<'_>);
    /// What is to be done next. Everything else that the machine has to tell it tells by itself.
    fn poll_request(&mut self, now: Now) -> Option<LinkRequest>;
    /// When to be called at the latest (with [`LinksInput::Timer`]).
    fn poll_timeout(&self) -> Option<Mono>;
    /// The next connection that has something to send; each once.
    fn poll_dirty(&mut self) -> Option<LinkConn>;
    /// What it has to send.
    fn outgoing<'a>(&'a self, conn: LinkConn, out: &mut [&'a [u8]]) -> usize;
    /// So many bytes of it have been taken.
    fn sent(&mut self, now: Now, conn: LinkConn, n: usize);
    /// Handles what others in this process have for the machine, and registers to be woken when there is more. `Ready`:
    /// the end; the machine is not asked any more.
    fn poll_inbox(&mut self, now: Now, cx: &mut Context<'_>) -> Poll<LinkEnd>;
    /// The turn is over. Whether nothing is left to do until something wakes; else there is another turn at once.
    fn rest(&mut self, cx: &mut Context<'_>) -> bool;
}

/// Listens, dials, reads and writes for a [`LinkMachine`], until that has enough. To be spawned; it uses the sockets of the
/// runtime it finds itself on.
pub struct LinkDriver {
    machine: Box<dyn LinkMachine>,
    tls: LinkTls,
    clock: Clock,
    listeners: Vec<TcpListener>,
    /// Made at the first turn.
    acceptor: Option<Acceptor>,
    sleep: Option<Sleep>,
    accepted: Arc<Mutex<Vec<TcpStream>>>,
    dials: Vec<Dial>,
    conns: BTreeMap<LinkConn, Conn>,
    /// Kept for its memory.
    ids: Vec<LinkConn>,
    next: u64,
    scratch: Vec<u8>,
    /// The machine has had enough.
    is_ending: bool,
}

/// A TCP connection that is being made.
struct Dial {
    peer: Peer,
    address: SocketAddr,
    by: Instant,
    connecting: Connecting,
}

/// Takes what the acceptor has.
struct Gate(Arc<Mutex<Vec<TcpStream>>>);

impl Incoming for Gate {
    fn accepted(&mut self, _listener: usize, stream: TcpStream, _peer: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
    }

    fn poll_stop(&mut self, _cx: &mut Context<'_>) -> bool {
        false
    }
}

impl LinkDriver {
    /// A driver for this machine, on these listeners ([`bind`](crate::net::bind)).
    #[must_use]
    pub fn new(machine: Box<dyn LinkMachine>, tls: LinkTls, listeners: Vec<TcpListener>) -> LinkDriver {
        LinkDriver::with_clock(machine, tls, listeners, Clock::new())
    }

    /// For a machine that began on this clock.
    pub(super) fn with_clock(
        machine: Box<dyn LinkMachine>,
        tls: LinkTls,
        listeners: Vec<TcpListener>,
        clock: Clock,
    ) -> LinkDriver {
        LinkDriver {
            machine,
            tls,
            clock,
            listeners,
            acceptor: None,
            sleep: None,
            accepted: Arc::default(),
            dials: Vec::new(),
            conns: BTreeMap::new(),
            ids: Vec::new(),
            next: 0,
            scratch: vec![0; SCRATCH_BYTES],
            is_ending: false,
        }
    }

    fn start(&mut self, runtime: Runtime) {
        let gate = Box::new(Gate(self.accepted.clone()));
        let listeners = std::mem::take(&mut self.listeners);
        let troubled = Arc::new(AtomicBool::new(false));
        self.acceptor = Some(Acceptor::new(listeners, gate, runtime, self.clock, troubled));
        self.sleep = Some(Sleep::new(runtime, self.clock));
    }

    /// New connections of others.
    fn accept(&mut self, runtime: Runtime, cx: &mut Context<'_>) {
        if let Some(acceptor) = &mut self.acceptor {
            let _ = Pin::new(acceptor).poll(cx);
        }
        let accepted = std::mem::take(&mut *self.accepted.lock().unwrap_or_else(PoisonError::into_inner));
        for stream in accepted {
            let securing = self.conns.values().filter(|c| matches!(c.stage, Stage::Securing(_))).count();
            if securing >= SECURING_MAX {
                tracing::debug!("too many connections to the cluster's port that say nothing");
                continue;
            }
            match Socket::alone(stream, runtime) {
                Ok(socket) => self.add(socket, None),
                Err(error) => tracing::warn!(%error, "the reactor refuses a connection between nodes"),
            }
        }
    }

    fn add(&mut self, socket: Socket, dialled: Option<(Peer, SocketAddr)>) {
        let by = Instant::now() + CONNECT_TIMEOUT;
        match Conn::new(socket, &self.tls, dialled.clone(), by) {
            Ok(conn) => {
                self.next += 1;
                self.conns.insert(LinkConn(self.next), conn);
            }
            Err(error) => {
                tracing::error!(%error, "TLS between nodes cannot be set up");
                self.dial_failed(dialled);
            }
        }
    }

    fn dial_failed(&mut self, dialled: Option<(Peer, SocketAddr)>) {
        if let Some((peer, _)) = dialled {
            self.machine.handle(self.clock.now(), LinksInput::DialFailed(peer));
        }
    }

    /// Dials that came to something, or took too long.
    fn poll_dials(&mut self, cx: &mut Context<'_>) {
        let mut i = 0;
        while i < self.dials.len() {
            let dial = &mut self.dials[i];
            let result = match dial.connecting.as_mut().poll(cx) {
                Poll::Ready(result) => result,
                Poll::Pending if Instant::now() >= dial.by => Err(io::ErrorKind::TimedOut.into()),
                Poll::Pending => {
                    i += 1;
                    continue;
                }
            };
            let Dial { peer, address, .. } = self.dials.swap_remove(i);
            match result {
                Ok(socket) => self.add(socket, Some((peer, address))),
                Err(error) => {
                    tracing::debug!(?peer, %address, %error, "a node cannot be reached");
                    self.dial_failed(Some((peer, address)));
                }
            }
        }
    }

    /// One turn of a connection. Whether there may be more to read.
    fn turn(&mut self, id: LinkConn, cx: &mut Context<'_>) -> bool {
        match self.try_turn(id, cx) {
            Ok(more) => more,
            Err(error) => {
                self.lose(id, &error);
                false
            }
        }
    }

    fn try_turn(&mut self, id: LinkConn, cx: &mut Context<'_>) -> io::Result<bool> {
        loop {
            let Some(conn) = self.conns.get_mut(&id) else { return Ok(false) };
            if let Stage::Closing(by) = conn.stage {
                if conn.finish(cx, &mut self.scratch)? || Instant::now() >= by {
                    self.conns.remove(&id);
                }
                return Ok(false);
            }
            let (machine, now) = (&mut self.machine, self.clock.now());
            let take = |bytes: &[u8]| machine.handle(now, LinksInput::Received { conn: id, bytes });
            let progress = conn.read(cx, &mut self.scratch, take)?;
            let flushed = conn.flush(cx)?;
            match progress {
                Progress::Secured => self.secured(id)?,
                Progress::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                Progress::Pending | Progress::More => {
                    if let Stage::Securing(by) = conn.stage
                        && Instant::now() >= by
                    {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    if flushed && conn.blocked {
                        self.feed(id, cx)?;
                    }
                    return Ok(progress == Progress::More);
                }
            }
        }
    }

    /// TLS stands.
    fn secured(&mut self, id: LinkConn) -> io::Result<()> {
        let conn = self.conns.get_mut(&id).expect("it was just seen");
        let channel = conn.channel(&self.tls).ok_or_else(|| io::Error::other("TLS has no exporter"))?;
        conn.stage = Stage::Open;
        let input = match conn.dialled.clone() {
            Some((peer, address)) => LinksInput::Dialled { conn: id, peer, address, channel },
            None => LinksInput::Accepted { conn: id, channel },
        };
        self.machine.handle(self.clock.now(), input);
        Ok(())
    }

    /// Hands what the machine has for a connection to TLS, as far as there is room.
    fn feed(&mut self, id: LinkConn, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(conn) = self.conns.get_mut(&id).filter(|c| matches!(c.stage, Stage::Open)) else {
            return Ok(());
        };
        loop {
            let mut out = [&[][..]; 16];
            let n = self.machine.outgoing(id, &mut out);
            if n == 0 {
                conn.blocked = false;
                return Ok(());
            }
            let slices = out.map(IoSlice::new);
            let taken = conn.write(&slices[..n])?;
            self.machine.sent(self.clock.now(), id, taken);
            if !conn.flush(cx)? {
                conn.blocked = true;
                return Ok(());
            }
        }
    }

    fn lose(&mut self, id: LinkConn, error: &io::Error) {
        let Some(conn) = self.conns.remove(&id) else { return };
        match conn.stage {
            Stage::Closing(_) => {}
            Stage::Open => self.machine.handle(self.clock.now(), LinksInput::Closed(id)),
            Stage::Securing(_) => {
                let dialled = conn.dialled.as_ref().map(|(_, address)| *address);
                tracing::info!(?dialled, %error, "a connection between nodes did not get through TLS");
                self.dial_failed(conn.dialled);
            }
        }
    }

    /// Does what the machine asks for, until it asks for nothing. Whether there is something that was never polled.
    fn obey(&mut self, runtime: Runtime, cx: &mut Context<'_>) -> bool {
        let mut is_new = false;
        loop {
            while let Some(request) = self.machine.poll_request(self.clock.now()) {
                is_new = true;
                match request {
                    LinkRequest::Dial { peer, address } => {
                        let by = Instant::now() + CONNECT_TIMEOUT;
                        self.dials.push(Dial { peer, address, by, connecting: connect(address, runtime) });
                    }
                    LinkRequest::Close(id) => {
                        if let Some(conn) = self.conns.get_mut(&id) {
                            conn.close(Instant::now() + CLOSE_TIMEOUT);
                        }
                        self.turn(id, cx);
                    }
                }
            }
            let Some(id) = self.machine.poll_dirty() else { return is_new };
            if let Err(error) = self.feed(id, cx) {
                self.lose(id, &error);
            }
        }
    }

    /// Listens to what others in this process want, until the machine has ended. Whether this is when, and how.
    fn ends(&mut self, cx: &mut Context<'_>) -> Option<LinkEnd> {
        if self.is_ending {
            return None;
        }
        match self.machine.poll_inbox(self.clock.now(), cx) {
            Poll::Ready(end) => {
                if end == LinkEnd::Orderly {
                    self.end();
                }
                Some(end)
            }
            Poll::Pending => None,
        }
    }

    /// Nothing new begins, and what is there is closed.
    fn end(&mut self) {
        self.is_ending = true;
        self.acceptor = None;
        self.dials.clear();
        let by = Instant::now() + CLOSE_TIMEOUT;
        for conn in self.conns.values_mut().filter(|c| !matches!(c.stage, Stage::Closing(_))) {
            conn.close(by);
        }
    }

    /// Sends what was written; done when all connections are gone.
    fn finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for id in self.conns.keys().copied().collect::<Vec<_>>() {
            self.turn(id, cx);
        }
        if self.conns.is_empty() {
            return Poll::Ready(());
        }
        let (deadline, now) = (self.next_deadline(), self.clock.now().mono);
        let sleep = self.sleep.as_mut().expect("it was made at the first turn");
        if deadline.is_some_and(|at| sleep.poll_until(at, now, cx)) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn next_deadline(&self) -> Option<Mono> {
        let machine = self.machine.poll_timeout().filter(|_| !self.is_ending);
        let conns = self.conns.values().filter_map(|c| match c.stage {
            Stage::Securing(by) | Stage::Closing(by) => Some(by),
            Stage::Open => None,
        });
        let dials = self.dials.iter().map(|dial| dial.by);
        conns.chain(dials).map(|at| self.clock.mono(at)).chain(machine).min()
    }
}

impl Future for LinkDriver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Some(runtime) = Runtime::current() else {
            tracing::error!("the links of the cluster run on no runtime that has sockets");
            return Poll::Ready(());
        };
        if this.acceptor.is_none() {
            this.start(runtime);
        }
        if this.ends(cx) == Some(LinkEnd::AtOnce) {
            return Poll::Ready(());
        }
        if this.is_ending {
            return this.finish(cx);
        }
        this.accept(runtime, cx);
        this.poll_dials(cx);
        let mut more = false;
        let mut ids = std::mem::take(&mut this.ids);
        ids.extend(this.conns.keys());
        for id in ids.drain(..) {
            more |= this.turn(id, cx);
        }
        this.ids = ids;
        let now = this.clock.now();
        if this.machine.poll_timeout().is_some_and(|at| now.mono >= at) {
            this.machine.handle(now, LinksInput::Timer);
        }
        // New dials and new connections are to be polled once before anything is waited for.
        let is_new = this.obey(runtime, cx);
        let (deadline, now) = (this.next_deadline(), this.clock.now().mono);
        let sleep = this.sleep.as_mut().expect("it was made at the first turn");
        let due = deadline.is_some_and(|at| sleep.poll_until(at, now, cx));
        // What was handled may have been the end of the machine, and nobody wakes for that.
        let ends = this.ends(cx);
        if ends == Some(LinkEnd::AtOnce) {
            return Poll::Ready(());
        }
        if more || is_new || due || ends.is_some() || !this.machine.rest(cx) {
            runtime.yield_now(cx);
        }
        Poll::Pending
    }
}
