//! One node of a cluster: an agent with its sockets, on a thread of its own.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use chat_core::base::{Now, RequestId, Rng};
use chat_core::cluster::agent::{Agent, Event, Fatal, PeerStatus, Settings};
use chat_core::cluster::discovery::{NodeAddr, ResolveError};
use chat_core::cluster::wire::{Kind, Role};
use chat_core::cluster::{Identity, NodeName};

use super::machine::Machine;
use super::{LinkDriver, LinkTls, Resolved, Resolver};
use crate::net::{Clock, Runtime, block_on};

/// Bytes of frames that wait to be handed to the agent; beyond it senders are told to wait.
const FRAMES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the rest of the process hears of the cluster. Called on the cluster's own thread: nothing in it may block.
pub trait ClusterEvents: Send + 'static {
    /// Something happened ([`Event`]).
    fn on_event(&mut self, event: Event<'_>);
    /// The last word.
    fn on_end(&mut self, _end: &ClusterEnd) {}
}

/// How a node's part in the cluster ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterEnd {
    /// It left, as it was asked to.
    #[error("this node has left the cluster")]
    Left,
    /// It cannot be part of it. The process should stop with this sentence.
    #[error(transparent)]
    Fatal(#[from] Fatal),
    /// It was stopped at once, or its thread panicked.
    #[error("this node's part in the cluster was ended")]
    Stopped,
}

/// This node's part in the cluster has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node is not part of the cluster any more")]
pub struct ClusterGone;

/// Why a frame was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClusterSendError {
    /// See [`ClusterGone`].
    #[error("this node is not part of the cluster any more")]
    Gone,
    /// So much waits already that it is better to wait, too.
    #[error("too much waits to be sent to other nodes")]
    Busy,
}

/// The cluster as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Who this node is.
    pub identity: Identity,
    /// When this was so, on the clock of [`PeerStatus::since`].
    pub now: Now,
    /// All other nodes, by name.
    pub peers: Vec<PeerStatus>,
}

/// What others in the process want of the agent.
pub(super) enum Order {
    Resolved(RequestId, Result<Resolved, ResolveError>),
    Send { node: NodeName, kind: Kind, body: Vec<u8> },
    Listed(Vec<NodeAddr>),
    Role(Role),
    Draining(bool),
    Leave,
    Stop,
    Status(Reply<ClusterStatus>),
}

/// What a node's thread and its handles share.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    orders: VecDeque<Order>,
    frames_bytes: usize,
    waker: Option<Waker>,
    end: Option<ClusterEnd>,
    on_end: Vec<Waker>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn post(&self, order: Order) -> Result<(), ClusterSendError> {
        let mut state = self.state();
        if state.end.is_some() {
            return Err(ClusterSendError::Gone);
        }
        if let Order::Send { body, .. } = &order {
            if state.frames_bytes + body.len() > FRAMES_BYTES_MAX {
                return Err(ClusterSendError::Busy);
            }
            state.frames_bytes += body.len();
        }
        state.orders.push_back(order);
        if let Some(waker) = &state.waker {
            waker.wake_by_ref();
        }
        Ok(())
    }

    /// All that was posted; more will wake.
    pub(super) fn take(&self, cx: &mut Context<'_>) -> VecDeque<Order> {
        let mut state = self.state();
        if state.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        state.frames_bytes = 0;
        std::mem::take(&mut state.orders)
    }

    /// The end; the first counts. Whether this is it.
    pub(super) fn end(&self, end: ClusterEnd) -> bool {
        let mut state = self.state();
        let first = state.end.is_none();
        state.end.get_or_insert(end);
        // Who asked for something sees his question dropped.
        state.orders.clear();
        let wakers = std::mem::take(&mut state.on_end);
        drop(state);
        self.ended.notify_all();
        wakers.into_iter().for_each(Waker::wake);
        first
    }
}

/// A question to the cluster's thread that waits for its answer.
pub(super) struct Reply<T>(Arc<Mutex<Answered<T>>>);

struct Answered<T> {
    answer: Option<T>,
    /// Nobody is left who could answer.
    is_dropped: bool,
    waker: Option<Waker>,
}

impl<T> Reply<T> {
    fn pair() -> (Reply<T>, Arc<Mutex<Answered<T>>>) {
        let answered = Arc::new(Mutex::new(Answered { answer: None, is_dropped: false, waker: None }));
        (Reply(answered.clone()), answered)
    }

    pub(super) fn answer(self, answer: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answer = Some(answer);
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let mut answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answered.is_dropped = true;
        answered.waker.take().into_iter().for_each(Waker::wake);
    }
}

/// A node that is about to take part in its cluster.
pub struct Cluster {
    settings: Settings,
    tls: LinkTls,
    listeners: Vec<TcpListener>,
    resolver: Option<Resolver>,
}

impl Cluster {
    /// A node with these settings. `tls` has to go with [`Settings::trust`].
    #[must_use]
    pub fn new(settings: Settings, tls: LinkTls) -> Cluster {
        Cluster { settings, tls, listeners: Vec::new(), resolver: None }
    }

    /// Where other nodes reach it ([`bind`](crate::net::bind)). If [`Settings::port`] is 0, the first one's port is told
    /// to others.
    #[must_use]
    pub fn listen(mut self, listeners: Vec<TcpListener>) -> Cluster {
        self.listeners = listeners;
        self
    }

    /// Who is asked for names, instead of [`Resolver::built_in`].
    #[must_use]
    pub fn resolver(mut self, resolver: Resolver) -> Cluster {
        self.resolver = Some(resolver);
        self
    }

    /// Starts the node, on a thread of its own with a reactor of this runtime.
    ///
    /// # Errors
    /// The system has no thread, no descriptor or no randomness to give.
    pub fn start(mut self, runtime: Runtime, events: impl ClusterEvents) -> io::Result<ClusterHandle> {
        if let (0, Some(first)) = (self.settings.port, self.listeners.first()) {
            self.settings.port = first.local_addr()?.port();
        }
        let clock = Clock::new();
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let agent = Agent::new(clock.now(), self.settings, Rng::from_seed(seed));
        let shared: Arc<Shared> = Arc::default();
        let resolver = self.resolver.unwrap_or_else(Resolver::built_in);
        let machine = Machine::new(agent, resolver, shared.clone(), Box::new(events));
        let driver = LinkDriver::with_clock(Box::new(machine), self.tls, self.listeners, clock);
        runtime.run_on_thread("chat-cluster".into(), driver, |_| {})?;
        Ok(ClusterHandle { shared })
    }
}

/// The handle of a running node; clones are handles of the same. The node takes part in its cluster, whether there are
/// handles or not, until it is asked to leave or stop.
#[derive(Clone)]
pub struct ClusterHandle {
    shared: Arc<Shared>,
}

impl ClusterHandle {
    /// Sends a frame to a node, behind all that was sent to it before. If that node is not met by then, nothing is sent: the
    /// [events](Event) say so.
    ///
    /// # Errors
    /// It was not taken.
    ///
    /// # Panics
    /// On the cluster's thread, as [`Agent::send`] does.
    pub fn send(&self, node: &NodeName, kind: Kind, body: Vec<u8>) -> Result<(), ClusterSendError> {
        self.shared.post(Order::Send { node: node.clone(), kind, body })
    }

    /// The operator's lists have changed.
    ///
    /// # Errors
    /// The node has ended.
    pub fn set_listed(&self, nodes: Vec<NodeAddr>) -> Result<(), ClusterGone> {
        self.order(Order::Listed(nodes))
    }

    /// This node takes clients from now on, or takes none.
    ///
    /// # Errors
    /// The node has ended.
    pub fn set_role(&self, role: Role) -> Result<(), ClusterGone> {
        self.order(Order::Role(role))
    }

    /// This node gives its sessions away, or has thought better of it.
    ///
    /// # Errors
    /// The node has ended.
    pub fn set_draining(&self, is_draining: bool) -> Result<(), ClusterGone> {
        self.order(Order::Draining(is_draining))
    }

    /// Leaves the cluster, once the others have everything; it takes a few seconds at most. See [`ClusterHandle::wait`].
    pub fn leave(&self) {
        let _ = self.order(Order::Leave);
    }

    /// Ends at once and without a word, as a crash would.
    pub fn stop(&self) {
        let _ = self.order(Order::Stop);
    }

    /// How the cluster looks from here.
    ///
    /// # Errors
    /// The node has ended.
    pub async fn status(&self) -> Result<ClusterStatus, ClusterGone> {
        let (reply, answered) = Reply::pair();
        self.order(Order::Status(reply))?;
        poll_fn(|cx| {
            let mut answered = answered.lock().unwrap_or_else(PoisonError::into_inner);
            match answered.answer.take() {
                Some(status) => Poll::Ready(Ok(status)),
                None if answered.is_dropped => Poll::Ready(Err(ClusterGone)),
                None => {
                    answered.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The same, for a thread that may block.
    ///
    /// # Errors
    /// The node has ended.
    pub fn status_blocking(&self) -> Result<ClusterStatus, ClusterGone> {
        block_on(self.status())
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<ClusterEnd> {
        self.shared.state().end.clone()
    }

    /// Waits until it has ended.
    pub async fn wait(&self) -> ClusterEnd {
        poll_fn(|cx| {
            let mut state = self.shared.state();
            if let Some(end) = &state.end {
                return Poll::Ready(end.clone());
            }
            if !state.on_end.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.on_end.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    fn order(&self, order: Order) -> Result<(), ClusterGone> {
        self.shared.post(order).map_err(|_| ClusterGone)
    }
}

impl fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterHandle")
    }
}
