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

use chat_core::base::{Key, Mono, Now};
use chat_core::cluster::discovery::Peer;
use chat_core::cluster::handshake::CertificateFault;
use chat_core::cluster::link::{LinkConn, LinksInput};

use super::LinkTls;
use super::conn::{Conn, Progress, Stage};
use super::tls::certificate_fault;
use crate::net::{Acceptor, Clock, Connecting, Incoming, Reactor, Runtime, Sleep, Socket, connect};

/// How long a TCP connection may take, and then TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a closed connection may take to send what was written.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections whose TLS does not stand yet, or has failed; beyond it new ones of others are closed.
const SECURING_MAX: usize = 64;
/// Bytes that are read at a time: four records of TLS.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Turns without a look at the sockets, after which these have theirs.
const TURNS_PER_POLL: usize = 4;
/// The key of what is no connection: listeners.
const LISTENER: Key = Key::from_u64(0);

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
    /// The turn is over, which was that of a guest (a worker that had something for it) or not. Whether nothing is left to do until
    /// something wakes; else there is another turn at once. It does not rest if it has ended.
    fn rest(&mut self, now: Now, is_guest: bool, cx: &mut Context<'_>) -> bool;
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
    /// Known since its first turn, as is where its sockets and its deadline belong.
    runtime: Option<Runtime>,
    reactor: Option<Reactor>,
    /// What is ready, if somebody tells: then nothing else is looked at.
    ready: Option<Ready>,
    accepted: Arc<Mutex<Vec<(TcpStream, SocketAddr)>>>,
    dials: Vec<Dial>,
    conns: BTreeMap<LinkConn, Conn>,
    /// Kept for its memory.
    ids: Vec<LinkConn>,
    /// Counts connections, and dials.
    next: u64,
    scratch: Vec<u8>,
    /// When its last turn began.
    now: Now,
    /// The machine has had enough.
    is_ending: bool,
}

/// What is ready, told by the thread that waits for the sockets.
#[derive(Clone, Default)]
pub(super) struct Ready(Arc<Mutex<Vec<Key>>>);

impl Ready {
    /// These are.
    pub(super) fn tell(&self, keys: &[Key]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(keys);
    }

    fn take(&self) -> Vec<Key> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What comes after some turns.
enum Next {
    /// There is nothing to do before something wakes.
    Wait,
    /// There is more to do.
    Again,
    /// The machine has ended.
    End(LinkEnd),
}

/// A TCP connection that is being made.
struct Dial {
    /// Of the connection that comes of it.
    id: LinkConn,
    peer: Peer,
    address: SocketAddr,
    by: Instant,
    connecting: Connecting,
}

/// Takes what the acceptor has.
struct Gate(Arc<Mutex<Vec<(TcpStream, SocketAddr)>>>);

impl Incoming for Gate {
    fn accepted(&mut self, _listener: usize, stream: TcpStream, peer: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((stream, peer));
    }

    fn poll_stop(&mut self, _cx: &mut Context<'_>) -> bool {
        false
    }
}

impl LinkDriver {
    /// A driver for this machine, on these listeners ([`bind`](crate::net::bind)).
    #[must_use]
    pub fn new(machine: Box<dyn LinkMachine>, tls: LinkTls, listeners: Vec<TcpListener>) -> LinkDriver {
        LinkDriver::with(machine, tls, listeners, Clock::new(), None)
    }

    /// For a machine that began on this clock. If it is told what is `ready`, it looks at nothing else.
    pub(super) fn with(
        machine: Box<dyn LinkMachine>,
        tls: LinkTls,
        listeners: Vec<TcpListener>,
        clock: Clock,
        ready: Option<Ready>,
    ) -> LinkDriver {
        LinkDriver {
            machine,
            tls,
            clock,
            listeners,
            acceptor: None,
            sleep: None,
            runtime: None,
            reactor: None,
            ready,
            accepted: Arc::default(),
            dials: Vec::new(),
            conns: BTreeMap::new(),
            ids: Vec::new(),
            next: 0,
            scratch: vec![0; SCRATCH_BYTES],
            now: clock.now(),
            is_ending: false,
        }
    }

    fn start(&mut self, runtime: Runtime) {
        let gate = Box::new(Gate(self.accepted.clone()));
        let listeners = std::mem::take(&mut self.listeners);
        let troubled = Arc::new(AtomicBool::new(false));
        self.acceptor = Some(Acceptor::new(listeners, gate, runtime, self.clock, troubled));
        self.sleep = Some(Sleep::new(runtime, self.clock));
        self.runtime = Some(runtime);
        self.reactor = Some(runtime.reactor());
    }

    /// New connections of others.
    fn accept(&mut self, runtime: Runtime, cx: &mut Context<'_>) {
        if let Some(acceptor) = &mut self.acceptor {
            let _ = Pin::new(acceptor).poll(cx);
        }
        let accepted = std::mem::take(&mut *self.accepted.lock().unwrap_or_else(PoisonError::into_inner));
        for (stream, address) in accepted {
            let unproved = |c: &&Conn| c.has_failed || matches!(c.stage, Stage::Securing(_));
            if self.conns.values().filter(unproved).count() >= SECURING_MAX {
                tracing::debug!("too many connections to the cluster's port that say nothing");
                continue;
            }
            self.next += 1;
            match Socket::attach_as(Key::from_u64(self.next), stream, runtime) {
                Ok(socket) => self.add(LinkConn(self.next), socket, None, address),
                Err(error) => tracing::warn!(%error, "the reactor refuses a connection between nodes"),
            }
        }
    }

    fn add(&mut self, id: LinkConn, socket: Socket, dialled: Option<Peer>, address: SocketAddr) {
        let by = Instant::now() + CONNECT_TIMEOUT;
        match Conn::new(socket, &self.tls, dialled.clone(), address, by) {
            Ok(conn) => drop(self.conns.insert(id, conn)),
            Err(error) => {
                tracing::error!(%error, "TLS between nodes cannot be set up");
                self.dial_failed(dialled);
            }
        }
    }

    fn dial_failed(&mut self, dialled: Option<Peer>) {
        if let Some(peer) = dialled {
            self.machine.handle(self.now, LinksInput::DialFailed(peer));
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
            let Dial { id, peer, address, .. } = self.dials.swap_remove(i);
            match result {
                Ok(socket) => self.add(id, socket, Some(peer), address),
                Err(error) => {
                    tracing::debug!(?peer, %address, %error, "a node cannot be reached");
                    self.dial_failed(Some(peer));
                }
            }
        }
    }

    /// One turn of a connection. Whether there may be more to read.
    fn turn(&mut self, id: LinkConn, cx: &mut Context<'_>) -> bool {
        match self.try_turn(id, cx) {
            Ok(more) => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.is_ready = more;
                }
                more
            }
            // To see the other side's end.
            Err(error) => self.lose(id, &error) && self.turn(id, cx),
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
            let (machine, now) = (&mut self.machine, self.now);
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
            Some(peer) => LinksInput::Dialled { conn: id, peer, address: conn.address, channel },
            None => LinksInput::Accepted { conn: id, channel },
        };
        self.machine.handle(self.now, input);
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
            self.machine.sent(self.now, id, taken);
            if !conn.flush(cx)? {
                conn.blocked = true;
                return Ok(());
            }
        }
    }

    /// A connection has failed. Whether it stays for a moment, until the other side has seen why.
    fn lose(&mut self, id: LinkConn, error: &io::Error) -> bool {
        let Some(mut conn) = self.conns.remove(&id) else { return false };
        let fault = certificate_fault(error);
        let input = match (&conn.stage, fault) {
            (Stage::Closing(_), _) => return false,
            (Stage::Open, None) => LinksInput::Closed(id),
            (Stage::Open, Some(fault)) => LinksInput::Denied { conn: id, fault },
            (Stage::Securing(_), Some(fault)) => {
                LinksInput::Unbelieved { meant: conn.dialled.take(), address: conn.address, fault }
            }
            (Stage::Securing(_), None) => {
                let (address, dialled) = (conn.address, conn.dialled.is_some());
                tracing::info!(%address, dialled, %error, "a connection between nodes did not get through TLS");
                self.dial_failed(conn.dialled);
                return false;
            }
        };
        self.machine.handle(self.now, input);
        let has_said_why = matches!(fault, Some(CertificateFault::Theirs(_)));
        if has_said_why {
            conn.stage = Stage::Closing(Instant::now() + CLOSE_TIMEOUT);
            self.conns.insert(id, conn);
        }
        has_said_why
    }

    /// Does what the machine asks for, until it asks for nothing. Whether there is something that was never polled.
    fn obey(&mut self, runtime: Runtime, cx: &mut Context<'_>) -> bool {
        let mut is_new = false;
        loop {
            while let Some(request) = self.machine.poll_request(self.now) {
                is_new = true;
                match request {
                    LinkRequest::Dial { peer, address } => {
                        let by = Instant::now() + CONNECT_TIMEOUT;
                        self.next += 1;
                        let connecting = connect(Key::from_u64(self.next), address, runtime);
                        self.dials.push(Dial { id: LinkConn(self.next), peer, address, by, connecting });
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

    /// Looks at the sockets that are ready, and at all that is not settled yet. Whether there may be more to read.
    fn look(&mut self, runtime: Runtime, cx: &mut Context<'_>) -> bool {
        let keys = self.ready.as_ref().map(Ready::take);
        let is_ready = |key: Key| keys.as_ref().is_none_or(|keys| keys.contains(&key));
        if is_ready(LISTENER) || self.acceptor.as_ref().is_some_and(Acceptor::is_impatient) {
            self.accept(runtime, cx);
        }
        self.poll_dials(cx);
        let mut ids = std::mem::take(&mut self.ids);
        let wants = |(id, conn): &(&LinkConn, &Conn)| {
            conn.is_ready || !matches!(conn.stage, Stage::Open) || is_ready(Key::from_u64(id.0))
        };
        ids.extend(self.conns.iter().filter(wants).map(|(id, _)| *id));
        let mut more = false;
        for id in ids.drain(..) {
            more |= self.turn(id, cx);
        }
        self.ids = ids;
        more
    }

    /// Some turns without a look at the sockets: what others in this process want, what is due, what is to be sent.
    fn carry_on(&mut self, runtime: Runtime, is_guest: bool, cx: &mut Context<'_>) -> Next {
        for _ in 0..TURNS_PER_POLL {
            if let Poll::Ready(end) = self.machine.poll_inbox(self.now, cx) {
                return Next::End(end);
            }
            if self.machine.poll_timeout().is_some_and(|at| self.now.mono >= at) {
                self.machine.handle(self.now, LinksInput::Timer);
            }
            // New dials and new connections are to be polled once before anything is waited for.
            let is_new = self.obey(runtime, cx);
            let deadline = self.next_deadline();
            let sleep = self.sleep.as_mut().expect("it was made at the first turn");
            let due = deadline.is_some_and(|at| sleep.poll_until(at, self.now.mono, cx));
            if is_new || due {
                return Next::Again;
            }
            if self.machine.rest(self.now, is_guest, cx) {
                return Next::Wait;
            }
        }
        Next::Again
    }

    /// A turn by whoever has put something into the machine's inbox, and whose own turn began at `now`: no socket is read. Returns
    /// whether all is done; else its own future is to be woken.
    pub(super) fn turn_as_guest(&mut self, now: Now, cx: &mut Context<'_>) -> bool {
        let (Some(reactor), Some(runtime)) = (self.reactor.clone(), self.runtime) else { return false };
        if self.is_ending {
            return false;
        }
        let _inside = reactor.enter();
        self.begin(now);
        matches!(self.carry_on(runtime, true, cx), Next::Wait)
    }

    /// A turn begins.
    fn begin(&mut self, now: Now) {
        // A guest's turn may have begun before the last one here.
        self.now = Now { mono: now.mono.max(self.now.mono), ..now };
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
        let (deadline, now) = (self.next_deadline(), self.now.mono);
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
        let Some(runtime) = this.runtime.or_else(Runtime::current) else {
            tracing::error!("the links of the cluster run on no runtime that has sockets");
            return Poll::Ready(());
        };
        if this.acceptor.is_none() && !this.is_ending {
            this.start(runtime);
        }
        this.begin(this.clock.now());
        if this.is_ending {
            return this.finish(cx);
        }
        let more = this.look(runtime, cx);
        let next = this.carry_on(runtime, false, cx);
        match next {
            Next::End(LinkEnd::AtOnce) => return Poll::Ready(()),
            Next::End(LinkEnd::Orderly) => this.end(),
            Next::Again | Next::Wait => {}
        }
        if more || !matches!(next, Next::Wait) {
            runtime.yield_now(cx);
        }
        Poll::Pending
    }
}
