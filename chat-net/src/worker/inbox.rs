//! What reaches a worker from outside its own turn: readiness of its connections, and letters from other threads.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use chat_core::base::{Key, RequestId, WorkerId};
use chat_core::effect::{AccountResult, Batch, NodeMail, StoreResult};
use chat_core::engine::Command;
use chat_core::session::Listener;

use super::conn::Parcel;
use crate::net::Detached;
use crate::server::Form;

/// A letter to a worker.
pub(crate) enum Letter {
    /// A new connection.
    Accepted {
        socket: Detached,
        listener: Listener,
        peer: IpAddr,
        /// The peer is a trusted proxy: a PROXY header comes first.
        proxied: bool,
    },
    /// A connection of another worker that is to live here now.
    Adopt(Box<Parcel>),
    /// Mail of another worker's engine, of this weight.
    Mail { from: WorkerId, batch: Batch, bytes: usize },
    /// News of other nodes for the `run`-th engine of this worker, of this weight.
    Cluster { run: u64, mail: NodeMail, bytes: usize },
    /// Answers of the store to the `run`-th engine of this worker.
    Stored { run: u64, batch: Vec<(RequestId, StoreResult)> },
    /// An answer of an authenticator, likewise.
    Account { run: u64, id: RequestId, result: AccountResult },
    /// A wish of the embedder.
    Command(Command),
    /// A question of the embedder: how much there is.
    Survey(Form),
    /// Nothing but a reason to look around.
    Nudge,
}

/// Batches of mail that were read and are kept to be filled again.
const EMPTY_MAX: usize = 64;

/// Bytes of mail up to which a worker's turn costs less than waking it.
const LIGHT_BYTES: usize = 4 * 1024;

/// What comes of posting mail.
pub(super) struct Posted {
    /// A batch that was read: the sender's next.
    pub(super) empty: Option<Batch>,
    /// The worker sleeps, and nobody has woken it.
    pub(super) sleeper: Option<Waker>,
}

/// The inbox of one worker. Whoever puts something in wakes the worker if it sleeps; all that is in it is taken at
/// once.
#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// Bytes of the mail that has not been handled.
    mail_bytes: AtomicUsize,
}

#[derive(Default)]
struct State {
    ready: Vec<Key>,
    letters: VecDeque<Letter>,
    /// Batches of mail that were read: whoever sends mail takes one for its next.
    empty: Vec<Batch>,
    /// The same of other nodes' mail, for the thread of the cluster.
    empty_node_mail: Vec<NodeMail>,
    /// There while the worker sleeps.
    sleeper: Option<Waker>,
    /// The worker has ended; nothing is taken any more.
    closed: bool,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts mail in. Whoever gets a sleeper from this must wake it, or give the worker its turn
    /// ([`Seat`](super::Seat)).
    pub(super) fn post_mail(&self, from: WorkerId, batch: Batch) -> Posted {
        let bytes = batch.weight();
        let mut state = self.state();
        if state.closed {
            return Posted { empty: None, sleeper: None };
        }
        self.mail_bytes.fetch_add(bytes, Ordering::Relaxed);
        state.letters.push_back(Letter::Mail { from, batch, bytes });
        Posted { empty: state.empty.pop(), sleeper: state.sleeper.take() }
    }

    /// Puts news of other nodes in, for the `run`-th engine of the worker. Whoever gets a sleeper from this must wake it, or
    /// give the worker its turn.
    #[cfg_attr(not(feature = "rustls"), allow(dead_code))]
    pub(crate) fn post_node_mail(&self, run: u64, mail: NodeMail) -> (Option<NodeMail>, Option<Waker>) {
        let bytes = mail.weight();
        let mut state = self.state();
        if state.closed {
            return (Some(mail), None);
        }
        self.mail_bytes.fetch_add(bytes, Ordering::Relaxed);
        state.letters.push_back(Letter::Cluster { run, mail, bytes });
        (state.empty_node_mail.pop(), state.sleeper.take())
    }

    /// Puts a letter in. A worker that has ended drops it.
    pub(crate) fn post(&self, letter: Letter) {
        let mut state = self.state();
        if state.closed {
            drop(state);
            // Dropped out here: a letter may hold a socket or a waker's last reference.
            drop(letter);
            return;
        }
        state.letters.push_back(letter);
        let sleeper = state.sleeper.take();
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    fn ready(&self, key: Key) {
        let mut state = self.state();
        state.ready.push(key);
        let sleeper = state.sleeper.take();
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// These connections are ready. The worker's own thread says so, which polls it next.
    pub(crate) fn ready_here(&self, keys: &[Key]) {
        self.state().ready.extend_from_slice(keys);
    }

    /// Takes everything: ready connections are appended to `ready`, letters to `letters`. Leaves the batches of mail in
    /// `read`, for whoever sends the next.
    pub(super) fn take(
        &self,
        ready: &mut VecDeque<Key>,
        letters: &mut VecDeque<Letter>,
        read: &mut Vec<Batch>,
        read_node_mail: &mut Vec<NodeMail>,
    ) {
        let mut state = self.state();
        while state.empty.len() < EMPTY_MAX
            && let Some(batch) = read.pop()
        {
            state.empty.push(batch);
        }
        while state.empty_node_mail.len() < EMPTY_MAX
            && let Some(mail) = read_node_mail.pop()
        {
            state.empty_node_mail.push(mail);
        }
        ready.extend(state.ready.drain(..));
        if letters.is_empty() {
            std::mem::swap(letters, &mut state.letters);
        } else {
            letters.append(&mut state.letters);
        }
    }

    /// Goes to sleep unless something is there: then `false`.
    pub(super) fn sleep(&self, waker: &Waker) -> bool {
        let mut state = self.state();
        if !state.ready.is_empty() || !state.letters.is_empty() {
            return false;
        }
        if !state.sleeper.as_ref().is_some_and(|sleeper| sleeper.will_wake(waker)) {
            state.sleeper = Some(waker.clone());
        }
        true
    }

    /// Whether so little waits that it costs less to handle it than to wake somebody for it.
    pub(super) fn is_light(&self) -> bool {
        let state = self.state();
        let is_mail = |letter: &Letter| matches!(letter, Letter::Mail { .. } | Letter::Cluster { .. });
        let mail = state.letters.iter().all(is_mail);
        mail && state.ready.is_empty() && self.mail_bytes() <= LIGHT_BYTES
    }

    /// Letters that wait: for bounding what an embedder may pile up.
    pub(crate) fn len(&self) -> usize {
        self.state().letters.len()
    }

    /// Bytes of the mail that waits.
    pub(crate) fn mail_bytes(&self) -> usize {
        self.mail_bytes.load(Ordering::Relaxed)
    }

    /// So much mail waits no more.
    pub(super) fn mail_handled(&self, bytes: usize) {
        self.mail_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The end: what is in it, and what comes later, is dropped.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        // Nobody is to wait for a worker that is gone.
        self.mail_bytes.store(0, Ordering::Relaxed);
        let (letters, ready) = (std::mem::take(&mut state.letters), std::mem::take(&mut state.ready));
        drop(state);
        drop((letters, ready));
    }
}

/// The waker of one connection: puts it on its worker's ready list, once until it is served.
pub(super) struct Wakeup {
    inbox: Arc<Inbox>,
    key: Key,
    queued: AtomicBool,
}

impl Wakeup {
    /// A connection that is on the list already, if `queued`.
    pub(super) fn new(inbox: Arc<Inbox>, key: Key, queued: bool) -> Arc<Wakeup> {
        Arc::new(Wakeup { inbox, key, queued: AtomicBool::new(queued) })
    }

    /// It is off the list: from now on it may be put on again.
    pub(super) fn served(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// Whether the caller may put it on the worker's own list.
    pub(super) fn enqueue(&self) -> bool {
        !self.queued.swap(true, Ordering::AcqRel)
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.enqueue() {
            self.inbox.ready(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wakeup_queues_once_until_it_is_served() {
        let inbox = Arc::new(Inbox::default());
        let key = Key { index: 3, generation: 1 };
        let wakeup = Wakeup::new(inbox.clone(), key, false);
        let waker = Waker::from(wakeup.clone());
        let (mut ready, mut letters) = (VecDeque::new(), VecDeque::new());
        assert!(inbox.sleep(Waker::noop()));
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert!(!inbox.sleep(Waker::noop()));
        inbox.take(&mut ready, &mut letters, &mut Vec::new(), &mut Vec::new());
        waker.wake_by_ref();
        inbox.take(&mut ready, &mut letters, &mut Vec::new(), &mut Vec::new());
        assert_eq!(ready, [key]);
        wakeup.served();
        waker.wake_by_ref();
        inbox.take(&mut ready, &mut letters, &mut Vec::new(), &mut Vec::new());
        assert_eq!(ready, [key, key]);
    }

    #[test]
    fn letters_keep_their_order_and_end_with_the_worker() {
        let inbox = Inbox::default();
        let mail = |n| Letter::Stored { run: n, batch: Vec::new() };
        let (mut ready, mut letters) = (VecDeque::new(), VecDeque::new());
        inbox.post(mail(0));
        inbox.post(mail(1));
        inbox.take(&mut ready, &mut letters, &mut Vec::new(), &mut Vec::new());
        inbox.post(mail(2));
        assert_eq!(inbox.len(), 1);
        inbox.take(&mut ready, &mut letters, &mut Vec::new(), &mut Vec::new());
        let runs: Vec<u64> =
            letters.iter().map(|l| if let Letter::Stored { run, .. } = l { *run } else { 99 }).collect();
        assert_eq!(runs, [0, 1, 2]);
        inbox.close();
        inbox.post(mail(3));
        let late = Letter::Mail { from: WorkerId(1), batch: Batch::default(), bytes: 100 };
        inbox.post(late);
        assert_eq!((inbox.len(), inbox.mail_bytes()), (0, 0), "nobody waits for a worker that is gone");
    }
}
