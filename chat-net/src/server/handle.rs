//! The handle of a running server.

use std::fmt;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chat_core::base::Span;
use chat_core::engine::{Command, KickReason};
use chat_core::jid::BareJid;
use chat_core::session::Listener;

use super::{Events, Life, Survey};
use crate::net::{Detached, MemoryStream, block_on, pair};
use crate::worker::{Letter, Shared};

/// How long a worker may take over one turn before it counts as stuck.
const STANDSTILL_MAX: Duration = Duration::from_secs(3);
/// Commands and new connections that may wait at one worker.
const LETTERS_MAX: usize = 65_536;

/// The handle of a running server; clones are handles of the same. The server runs on when all are dropped, until its
/// process or its runtime ends.
#[derive(Clone)]
pub struct ServerHandle {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    pub(super) life: Arc<Life>,
    pub(super) addresses: Vec<(Listener, SocketAddr)>,
    /// Connections cannot be accepted for now.
    pub(super) troubled: Arc<AtomicBool>,
    /// What each worker was last asked for, to see whether it moves.
    pub(super) pings: Mutex<Vec<Ping>>,
    /// This node's part in its cluster.
    #[cfg_attr(not(feature = "rustls"), allow(dead_code))]
    pub(super) cluster: super::cluster::Handle,
}

/// A worker was asked for a sign of life.
#[derive(Clone, Copy)]
pub(super) struct Ping {
    /// Its turns until then.
    turns: u64,
    at: Instant,
}

/// The server has ended, or is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is shutting down")]
pub struct Gone;

/// Why a stanza was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// See [`Gone`].
    #[error("the server is shutting down")]
    Gone,
    /// So much waits already that it is better to wait, too.
    #[error("the server is overloaded")]
    Busy,
}

/// What a server counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections now, of all kinds and in all phases.
    pub connections: usize,
    /// TCP connections accepted so far.
    pub accepted: u64,
    /// Connections that moved from the worker that accepted them to their user's so far.
    pub moved: u64,
    /// Turns so far that a worker was given by another, which had mail for it, instead of being woken.
    pub guest_turns: u64,
    /// Panics of workers so far; each has closed the connections of one worker.
    pub panics: u64,
    /// Bytes of mail between workers that have not been read.
    pub mail_bytes: usize,
    /// Letters that wait for workers: mail, answers of stores, new connections.
    pub letters: usize,
}

impl ServerHandle {
    pub(super) fn new(inner: Inner) -> ServerHandle {
        ServerHandle { inner: Arc::new(inner) }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    pub(super) fn life(&self) -> &Life {
        &self.inner.life
    }

    /// What the server listens on, in the order the listeners were given.
    #[must_use]
    pub fn local_addrs(&self) -> &[(Listener, SocketAddr)] {
        &self.inner.addresses
    }

    /// The first address of a kind of listener.
    #[must_use]
    pub fn local_addr(&self, kind: Listener) -> Option<SocketAddr> {
        self.inner.addresses.iter().find(|(listener, _)| *listener == kind).map(|(_, address)| *address)
    }

    /// Sends a stanza as a component of this server would: one `<message/>`, `<presence/>` or `<iq/>` with `to`, and
    /// with a `from` of a domain served. Text that comes from elsewhere must be escaped in it, as
    /// [`Element`](chat_core::xml::Element) does. What is no such stanza is dropped with an
    /// [event](super::ServerEvent).
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn send(&self, stanza: impl AsRef<[u8]>) -> Result<(), SendError> {
        let inboxes = &self.inner.shared.inboxes;
        if self.inner.life.is_stopping() {
            return Err(SendError::Gone);
        }
        // The first worker finds the way to all others, and so keeps the order.
        if inboxes[0].len() >= LETTERS_MAX {
            return Err(SendError::Busy);
        }
        inboxes[0].post(Letter::Command(Command::Send { stanza: stanza.as_ref().into() }));
        Ok(())
    }

    /// Closes the sessions of an account (stream error `policy-violation`).
    pub fn kick(&self, user: &BareJid) {
        let home = self.inner.shared.settings.home(user.as_str());
        let kick = Command::Kick { user: user.clone(), reason: KickReason::Operator };
        self.inner.shared.inboxes[usize::from(home.0)].post(Letter::Command(kick));
    }

    /// What happens from now on. May be called several times; each has its own events.
    #[must_use]
    pub fn events(&self) -> Events {
        self.inner.shared.events.watch()
    }

    /// A client's connection inside the process: XMPP from its first byte, without a socket. As nobody else can read
    /// it, it counts as secured: what a domain allows under TLS only is allowed here. Its peer counts as 127.0.0.1.
    ///
    /// # Errors
    /// The server is shutting down.
    pub fn connect_memory(&self) -> Result<MemoryStream, Gone> {
        let shared = &self.inner.shared;
        if self.inner.life.is_stopping() {
            return Err(Gone);
        }
        let (client, server) = pair();
        let n = shared.accepted.fetch_add(1, Ordering::Relaxed);
        let index = usize::try_from(n).unwrap_or(0) % shared.inboxes.len();
        shared.inboxes[index].post(Letter::Accepted {
            socket: Detached::Memory(server),
            listener: Listener::ClientsTls,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            proxied: false,
        });
        Ok(MemoryStream::new(client))
    }

    /// Whether traffic should come here: not shutting down, connections can be accepted, every worker moves (one that did
    /// nothing for three seconds after the last time this was asked does not), and the store takes writes.
    #[must_use]
    pub fn healthy(&self) -> bool {
        let shared = &self.inner.shared;
        !self.inner.life.is_stopping()
            && !self.inner.troubled.load(Ordering::Relaxed)
            && !shared.counters.iter().any(|worker| worker.gone.load(Ordering::Relaxed))
            && self.do_workers_move()
            && shared.store.healthy()
    }

    fn do_workers_move(&self) -> bool {
        let shared = &self.inner.shared;
        let now = Instant::now();
        let mut pings = self.inner.pings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = true;
        for (index, counters) in shared.counters.iter().enumerate() {
            let turns = counters.turns.load(Ordering::Relaxed);
            match pings.get_mut(index) {
                Some(ping) if ping.turns == turns => all &= now.duration_since(ping.at) < STANDSTILL_MAX,
                Some(ping) => {
                    *ping = Ping { turns, at: now };
                    shared.inboxes[index].post(Letter::Nudge);
                }
                None => {
                    pings.push(Ping { turns, at: now });
                    shared.inboxes[index].post(Letter::Nudge);
                }
            }
        }
        all
    }

    /// This node's part in its cluster, if it has one ([`ServerBuilder::cluster`](super::ServerBuilder::cluster)).
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn cluster(&self) -> Option<&crate::cluster::ClusterHandle> {
        self.inner.cluster.as_ref()
    }

    /// The cluster as this node sees it.
    ///
    /// # Errors
    /// This node is part of none, or not any more.
    #[cfg(feature = "rustls")]
    pub fn cluster_status(
        &self,
    ) -> impl Future<Output = Result<crate::cluster::ClusterStatus, crate::cluster::ClusterGone>> + Send + 'static
    {
        let cluster = self.inner.cluster.clone();
        async move {
            match cluster {
                Some(cluster) => cluster.status().await,
                None => Err(crate::cluster::ClusterGone),
            }
        }
    }

    /// The counters as of now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &self.inner.shared;
        let counters = &shared.counters;
        Stats {
            connections: counters.iter().map(|worker| worker.connections.load(Ordering::Relaxed)).sum(),
            accepted: shared.accepted.load(Ordering::Relaxed),
            moved: counters.iter().map(|worker| worker.moved.load(Ordering::Relaxed)).sum(),
            guest_turns: counters.iter().map(|worker| worker.guest_turns.load(Ordering::Relaxed)).sum(),
            panics: counters.iter().map(|worker| worker.panics.load(Ordering::Relaxed)).sum(),
            mail_bytes: shared.inboxes.iter().map(|inbox| inbox.mail_bytes()).sum(),
            letters: shared.inboxes.iter().map(|inbox| inbox.len()).sum(),
        }
    }

    /// Asks all workers how much there is: sessions of each domain, users in memory, what was counted. They answer with
    /// their next turn, so this costs nothing while nobody asks.
    #[must_use]
    pub fn survey(&self) -> Survey {
        let shared = &self.inner.shared;
        let domains = shared.settings.domains.iter().map(|domain| domain.name.clone()).collect();
        let (survey, forms) = Survey::new(shared.inboxes.len(), domains);
        for (inbox, form) in shared.inboxes.iter().zip(forms) {
            inbox.post(Letter::Survey(form));
        }
        survey
    }

    /// Lets the sessions go to other nodes, so many in a second, and after `within` all that are left at once; refuses new
    /// streams, and closes the listeners if `for_good`. Said once more, it replaces what was said before. The server goes on
    /// without sessions until [`ServerHandle::stay`] or its end.
    pub fn drain(&self, rate: u32, within: Duration, for_good: bool) {
        if for_good {
            self.inner.life.close_doors();
        }
        let within = Span(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX));
        self.tell_all(&Command::Drain { rate, within });
    }

    /// Lets nobody go any more, and takes new streams again where it listens.
    pub fn stay(&self) {
        self.tell_all(&Command::Stay);
    }

    fn tell_all(&self, command: &Command) {
        for inbox in &self.inner.shared.inboxes {
            inbox.post(Letter::Command(command.clone()));
        }
    }

    /// Asks the authenticators again which mechanisms they can serve, and offers those from now on, where the embedder
    /// has not named any: accounts whose keys are missing, [imported](crate::auth::import()) perhaps by another process,
    /// change what [a store](crate::auth::StoreAuthenticator) can serve. May block, as authenticators then may.
    pub fn refresh_mechanisms(&self) {
        super::mechanisms::refresh(&self.inner.shared);
    }

    /// Takes new certificates for the connections to come; those that exist go on with theirs.
    ///
    /// # Errors
    /// What is wrong with the settings; those in force stay. A server without TLS cannot be given any.
    #[cfg(feature = "rustls")]
    pub fn reload_tls(&self, config: &crate::tls::TlsConfig) -> Result<(), crate::tls::TlsError> {
        match &self.inner.shared.tls {
            Some(tls) => tls.reload(config),
            None => Err(crate::tls::TlsError::Setup("this server was started without TLS".into())),
        }
    }

    /// Ends the server in good order: it stops listening, closes every stream with `system-shutdown`, stores what its
    /// clients have not acknowledged, closes the store. Ready when nothing is left; may be called several times. The
    /// end begins with the call, and goes on if the future is dropped.
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + 'static {
        self.begin_shutdown();
        self.closed()
    }

    /// The same for a thread that may block: not for use inside a runtime.
    pub fn shutdown_blocking(&self) {
        block_on(self.shutdown());
    }

    /// Ready when the server has ended, whoever asked for it.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let life = self.inner.life.clone();
        poll_fn(move |cx| life.poll_end(cx))
    }

    pub(super) fn begin_shutdown(&self) {
        begin_shutdown(&self.inner.shared, &self.inner.life);
    }
}

/// The end begins, if it has not.
pub(super) fn begin_shutdown(shared: &Shared, life: &Life) {
    if life.stop() {
        for inbox in &shared.inboxes {
            inbox.post(Letter::Command(Command::Shutdown));
        }
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("addresses", &self.inner.addresses)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
