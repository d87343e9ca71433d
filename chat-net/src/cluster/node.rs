//! One node's part in its cluster: an agent with its sockets beside the workers, on a thread of its own.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use chat_core::base::{Now, RequestId, Rng};
use chat_core::cluster::agent::{Fatal, PeerStatus, Settings};
use chat_core::cluster::discovery::{NodeAddr, ResolveError};
use chat_core::cluster::member::Member;
use chat_core::cluster::roles::Wish;
use chat_core::cluster::wire::Role;
use chat_core::cluster::{Identity, NodeName};

use super::driver::Ready;
use super::machine::Machine;
use super::seat::Seated;
use super::{LinkDriver, LinkTls, Resolved, Resolver};
use crate::net::{Runtime, block_on};
use crate::worker;

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

/// The cluster as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Who this node is.
    pub identity: Identity,
    /// When this was so, on the clock of [`PeerStatus::since`].
    pub now: Now,
    /// Which role it has, and whether it is about to have another.
    pub standing: Standing,
    /// Whether it gives its sessions away, for whichever reason.
    pub is_leaving: bool,
    /// All other nodes, by name.
    pub peers: Vec<PeerStatus>,
    /// Those of whose sessions nothing is missing but what is on its way; sorted.
    pub whole: Vec<NodeName>,
}

/// Whether a node takes clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its role.
    pub role: Role,
    /// It is on its way from active to standby: its sessions are to leave ([`ClusterHandle::stepped_back`]).
    pub steps_back: bool,
}

impl Standing {
    /// Whether clients are welcome.
    #[must_use]
    pub fn takes_clients(self) -> bool {
        self.role == Role::Active && !self.steps_back
    }
}

/// What others in the process want of the agent.
pub(super) enum Order {
    Resolved(RequestId, Result<Resolved, ResolveError>),
    Listed(Vec<NodeAddr>),
    Wish(Wish),
    Ailing(bool),
    Stop,
    Status(Reply<ClusterStatus>),
}

/// What is to be done when the part in the cluster has ended.
pub(super) type OnEnd = Box<dyn FnOnce(&ClusterEnd) + Send>;

/// What a node's thread and its handles share.
pub(super) struct Orders {
    state: Mutex<State>,
}

struct State {
    orders: VecDeque<Order>,
    waker: Option<Waker>,
    standing: Standing,
    end: Option<ClusterEnd>,
    /// To be woken when one of these two changes.
    watchers: Vec<Waker>,
}

impl Orders {
    fn new(role: Role) -> Orders {
        let standing = Standing { role, steps_back: false };
        let (orders, watchers) = (VecDeque::new(), Vec::new());
        Orders { state: Mutex::new(State { orders, waker: None, standing, end: None, watchers }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn post(&self, order: Order) -> Result<(), ClusterGone> {
        let mut state = self.state();
        if state.end.is_some() {
            return Err(ClusterGone);
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
        std::mem::take(&mut state.orders)
    }

    /// What the node's role is from now on.
    pub(super) fn stand(&self, standing: Standing) {
        let mut state = self.state();
        state.standing = standing;
        let wakers = std::mem::take(&mut state.watchers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Looks at the state whenever it changes, until this finds what it looks for.
    async fn watch<T>(&self, find: impl Fn(&State) -> Option<T>) -> T {
        poll_fn(|cx| {
            let mut state = self.state();
            if let Some(found) = find(&state) {
                return Poll::Ready(found);
            }
            if !state.watchers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.watchers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// The end; the first counts. Whether this is it.
    pub(super) fn end(&self, end: ClusterEnd) -> bool {
        let mut state = self.state();
        let first = state.end.is_none();
        state.end.get_or_insert(end);
        // Who asked for something sees his question dropped.
        state.orders.clear();
        let wakers = std::mem::take(&mut state.watchers);
        drop(state);
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

/// What a server needs to take part in a cluster ([`ServerBuilder::cluster`](crate::server::ServerBuilder::cluster)).
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

    /// What the engines of this node call it.
    pub(crate) fn name(&self) -> &NodeName {
        &self.settings.name
    }

    /// Starts the node beside these workers, on a thread of its own with a reactor of this runtime. It leaves when the last
    /// worker is gone.
    pub(crate) fn start(
        mut self,
        runtime: Runtime,
        workers: Arc<worker::Shared>,
        post: Arc<worker::Post>,
        on_end: impl FnOnce(&ClusterEnd) + Send + 'static,
    ) -> io::Result<(ClusterHandle, JoinHandle<()>)> {
        let addresses: Vec<_> =
            self.listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        if let (0, Some(first)) = (self.settings.port, addresses.first()) {
            self.settings.port = first.port();
        }
        // Who gives another a turn reads the clock for both.
        let clock = workers.clock;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let engines = Arc::new(workers.settings.clone());
        let member = Member::new(clock.now(), self.settings, engines, Rng::from_seed(seed));
        let orders = Arc::new(Orders::new(member.roles().role()));
        let resolver = self.resolver.unwrap_or_else(Resolver::built_in);
        let machine = Machine::new(member, resolver, orders.clone(), workers, post.clone(), Box::new(on_end));
        // Sockets of runtimes wake, and tell nothing.
        let ready = Ready::default();
        let told = (runtime == Runtime::Threads).then(|| ready.clone());
        let driver = LinkDriver::with(Box::new(machine), self.tls, self.listeners, clock, told);
        let seated = Seated::new(driver, &post);
        let thread = runtime.run_on_thread("chat-cluster".into(), seated, move |keys| ready.tell(keys))?;
        Ok((ClusterHandle { orders, addresses: addresses.into() }, thread))
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

/// The handle of a node's part in its cluster ([`ServerHandle::cluster`](crate::server::ServerHandle::cluster)); clones are
/// handles of the same. The node takes part, whether there are handles or not, until its server ends. If its part ends before
/// that, its server ends, too.
#[derive(Clone)]
pub struct ClusterHandle {
    orders: Arc<Orders>,
    addresses: Arc<[SocketAddr]>,
}

impl ClusterHandle {
    /// Where other nodes reach it.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The operator's lists have changed.
    ///
    /// # Errors
    /// The node has ended.
    pub fn set_listed(&self, nodes: Vec<NodeAddr>) -> Result<(), ClusterGone> {
        self.order(Order::Listed(nodes))
    }

    /// This node takes clients from now on, if it was a standby node or about to become one. One that gives its sessions away
    /// does not.
    ///
    /// # Errors
    /// The node has ended.
    pub fn promote(&self) -> Result<(), ClusterGone> {
        self.order(Order::Wish(Wish::Promote))
    }

    /// This node is to take no clients any more: [`Standing::steps_back`] follows, if it took any.
    ///
    /// # Errors
    /// The node has ended.
    pub fn step_back(&self) -> Result<(), ClusterGone> {
        self.order(Order::Wish(Wish::StepBack))
    }

    /// After [`Standing::steps_back`]: no session is left here.
    ///
    /// # Errors
    /// The node has ended.
    pub fn stepped_back(&self) -> Result<(), ClusterGone> {
        self.order(Order::Wish(Wish::SteppedBack))
    }

    /// This node gives its sessions away, or has thought better of it.
    ///
    /// # Errors
    /// The node has ended.
    pub fn set_draining(&self, is_draining: bool) -> Result<(), ClusterGone> {
        self.order(Order::Wish(Wish::Drain(is_draining)))
    }

    /// This node cannot do its work, whatever the reason, or can again: the others show it.
    ///
    /// # Errors
    /// The node has ended.
    pub fn set_ailing(&self, is_ailing: bool) -> Result<(), ClusterGone> {
        self.order(Order::Ailing(is_ailing))
    }

    /// Whether clients are welcome here. The health check of a node has to say so.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.orders.state().standing
    }

    /// Waits until it is another than this.
    ///
    /// # Errors
    /// The node has ended.
    pub async fn standing_after(&self, known: Standing) -> Result<Standing, ClusterGone> {
        let news = |state: &State| match state.standing == known {
            _ if state.end.is_some() => Some(Err(ClusterGone)),
            true => None,
            false => Some(Ok(state.standing)),
        };
        self.orders.watch(news).await
    }

    /// Ends at once and without a word to other nodes, as a crash would; then the server ends.
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
        self.orders.state().end.clone()
    }

    /// Waits until it has ended.
    pub async fn wait(&self) -> ClusterEnd {
        self.orders.watch(|state| state.end.clone()).await
    }

    fn order(&self, order: Order) -> Result<(), ClusterGone> {
        self.orders.post(order)
    }
}

impl fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterHandle")
    }
}
