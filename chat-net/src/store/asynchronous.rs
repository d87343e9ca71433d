//! An adapter that makes a [`Store`] of an embedder's asynchronous code.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use chat_core::base::RequestId;
use chat_core::effect::{StoreError, StoreOp, StoreResult};
use chat_core::jid::BareJid;

use super::{AccountRemoved, Store, StoreSink};
use crate::spawn::Spawner;

/// A store written in asynchronous code: one function.
///
/// [`Asynchronous`] asks for one operation of a bare JID after the other, so the order needs no care here. What does:
/// an operation must be all or nothing, idempotent (see [`StoreOp`]), and must end some day, by a timeout if need be:
/// until it does, later operations on the same bare JID wait for it.
pub trait AsyncStore: Send + Sync + 'static {
    /// Carries an operation out; may be written as an `async fn`. The future runs on the [`Spawner`] that
    /// [`Asynchronous::new`] was given; one that panics or is dropped counts as `Unavailable`.
    fn apply(self: Arc<Self>, op: Arc<StoreOp>) -> impl Future<Output = StoreResult> + Send;

    /// See [`Store::healthy`].
    fn healthy(&self) -> bool {
        true
    }

    /// See [`Store::on_account_removed`].
    fn on_account_removed(&self, callback: AccountRemoved) {
        drop(callback);
    }
}

/// A [`Store`] over an [`AsyncStore`]: keeps the order of each bare JID, drops repeats of what is under way, bounds
/// what waits.
pub struct Asynchronous<S: AsyncStore> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    store: Arc<S>,
    spawner: Spawner,
    unanswered_max: usize,
    state: Mutex<State>,
    /// Signalled when nothing is left to answer.
    idle: Condvar,
}

#[derive(Default)]
struct State {
    /// What waits behind the operation under way, for each bare JID that has one under way.
    lanes: HashMap<BareJid, VecDeque<Job>>,
    unanswered: HashSet<(usize, RequestId)>,
    closed: bool,
}

struct Job {
    id: RequestId,
    op: Arc<StoreOp>,
    sink: Arc<dyn StoreSink>,
}

impl Job {
    fn key(&self) -> (usize, RequestId) {
        (Arc::as_ptr(&self.sink).cast::<()>() as usize, self.id)
    }
}

impl<S: AsyncStore> Asynchronous<S> {
    /// `unanswered_max` operations may be under way or waiting; beyond it the answer is `Overloaded`.
    pub fn new(store: Arc<S>, spawner: Spawner, unanswered_max: usize) -> Asynchronous<S> {
        let (state, idle) = (Mutex::default(), Condvar::new());
        Asynchronous { inner: Arc::new(Inner { store, spawner, unanswered_max, state, idle }) }
    }
}

impl<S: AsyncStore> Store for Asynchronous<S> {
    fn submit(&self, id: RequestId, op: Arc<StoreOp>, sink: &Arc<dyn StoreSink>) {
        let job = Job { id, op, sink: sink.clone() };
        let mut state = self.inner.state();
        if state.unanswered.contains(&job.key()) {
            return;
        }
        let refusal = match state.closed {
            true => Some(StoreError::Unavailable),
            false if state.unanswered.len() >= self.inner.unanswered_max => Some(StoreError::Overloaded),
            false => None,
        };
        if let Some(refusal) = refusal {
            drop(state);
            return sink.done(vec![(id, Err(refusal))]);
        }
        state.unanswered.insert(job.key());
        if let Some(lane) = state.lanes.get_mut(job.op.user()) {
            return lane.push_back(job);
        }
        state.lanes.insert(job.op.user().clone(), VecDeque::new());
        drop(state);
        self.inner.run(job);
    }

    fn healthy(&self) -> bool {
        self.inner.store.healthy()
    }

    fn on_account_removed(&self, callback: AccountRemoved) {
        self.inner.store.on_account_removed(callback);
    }

    fn close(&self) {
        let mut state = self.inner.state();
        state.closed = true;
        while !state.unanswered.is_empty() {
            state = self.inner.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<S: AsyncStore> Inner<S> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works off a lane, beginning with `job`.
    fn run(self: &Arc<Self>, job: Job) {
        let mut turn = Turn { inner: self.clone(), job: Some(job), begun: false };
        self.spawner.spawn(async move {
            turn.begun = true;
            while let Some(job) = &turn.job {
                let result = turn.inner.store.clone().apply(job.op.clone()).await;
                turn.job = turn.inner.answer(job, result);
            }
        });
    }

    /// Answers, and takes the next operation of the lane.
    fn answer(&self, job: &Job, result: StoreResult) -> Option<Job> {
        self.state().unanswered.remove(&job.key());
        job.sink.done(vec![(job.id, result)]);
        let mut state = self.state();
        let next = state.lanes.get_mut(job.op.user()).and_then(VecDeque::pop_front);
        if next.is_none() {
            state.lanes.remove(job.op.user());
        }
        if state.unanswered.is_empty() {
            self.idle.notify_all();
        }
        next
    }
}

/// The operation under way. If its future panics or is dropped, it is answered all the same, and the lane goes on. If it
/// never ran, nothing does any more, and the whole lane is answered.
struct Turn<S: AsyncStore> {
    inner: Arc<Inner<S>>,
    job: Option<Job>,
    begun: bool,
}

impl<S: AsyncStore> Drop for Turn<S> {
    fn drop(&mut self) {
        while let Some(job) = self.job.take() {
            match self.inner.answer(&job, Err(StoreError::Unavailable)) {
                Some(next) if self.begun => return self.inner.run(next),
                next => self.job = next,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use chat_core::effect::StoreDone;

    use super::*;
    use crate::spawn::Task;
    use crate::store::conformance::{self, Collect};
    use crate::store::{Accounts, AccountsAnswer, AccountsOp, Memory};

    /// A memory store behind futures that yield a few times before they end.
    struct Slow(Memory);

    impl AsyncStore for Slow {
        async fn apply(self: Arc<Self>, op: Arc<StoreOp>) -> StoreResult {
            for _ in 0..op.user().as_str().len() % 3 {
                yield_once().await;
            }
            let (send, receive) = mpsc::channel();
            let sink: Arc<dyn StoreSink> = Arc::new(Forward(send));
            self.0.submit(RequestId(0), op, &sink);
            receive.recv().expect("memory answers at once")
        }
    }

    impl Accounts for Slow {
        fn begin(&self, op: AccountsOp, answer: AccountsAnswer) {
            self.0.begin(op, answer);
        }
    }

    struct Forward(mpsc::Sender<StoreResult>);

    impl StoreSink for Forward {
        fn done(&self, batch: Vec<(RequestId, StoreResult)>) {
            for (_, result) in batch {
                self.0.send(result).expect("somebody waits");
            }
        }
    }

    async fn yield_once() {
        let mut yielded = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return std::task::Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
    }

    #[test]
    fn conforms() {
        let spawner = Spawner::service();
        conformance::run(&|| {
            let slow = Arc::new(Slow(Memory::new()));
            let store = Arc::new(Asynchronous::new(slow.clone(), spawner.clone(), 100_000));
            conformance::Subject { store, accounts: Some(slow) }
        });
    }

    /// Panics for one user, never ends for another, works for all others.
    struct Moody;

    impl AsyncStore for Moody {
        async fn apply(self: Arc<Self>, op: Arc<StoreOp>) -> StoreResult {
            match op.user().as_str() {
                "panics@example.org" => panic!("as the test wants"),
                "hangs@example.org" => std::future::pending().await,
                _ => Ok(StoreDone::Done),
            }
        }
    }

    #[test]
    fn a_runtime_that_ends_leaves_nothing_unanswered() {
        const MANY: u64 = 50_000;
        let tasks: Arc<Mutex<Option<Vec<Task>>>> = Arc::new(Mutex::new(Some(Vec::new())));
        let running = tasks.clone();
        let spawner = Spawner::new(move |task| {
            let refused = match &mut *running.lock().expect("lock") {
                Some(tasks) => {
                    tasks.push(task);
                    None
                }
                None => Some(task),
            };
            drop(refused);
        });
        let store = Asynchronous::new(Arc::new(Moody), spawner, MANY as usize);
        let collect = Arc::new(Collect::default());
        let sink: Arc<dyn StoreSink> = collect.clone();
        let touch = Arc::new(StoreOp::Touch { user: BareJid::parse("juliet@example.org").expect("a JID") });
        (0..MANY).for_each(|id| store.submit(RequestId(id), touch.clone(), &sink));
        let ended = tasks.lock().expect("lock").take();
        drop(ended);
        let last = collect.wait(RequestId(MANY - 1));
        assert!(matches!(last, Err(StoreError::Unavailable)), "{last:?}");
        store.close();
    }

    #[test]
    fn a_panic_is_an_answer_and_the_bound_holds() {
        let store = Asynchronous::new(Arc::new(Moody), Spawner::service(), 3);
        let collect = Arc::new(Collect::default());
        let sink: Arc<dyn StoreSink> = collect.clone();
        let touch = |user: &str| Arc::new(StoreOp::Touch { user: BareJid::parse(user).expect("a JID") });
        for id in 0..3 {
            store.submit(RequestId(id), touch("panics@example.org"), &sink);
            let result = collect.wait(RequestId(id));
            assert!(matches!(result, Err(StoreError::Unavailable)), "{result:?}");
        }
        for id in 10..13 {
            store.submit(RequestId(id), touch("hangs@example.org"), &sink);
            // A repeat takes no room.
            store.submit(RequestId(id), touch("hangs@example.org"), &sink);
        }
        store.submit(RequestId(13), touch("juliet@example.org"), &sink);
        let result = collect.wait(RequestId(13));
        assert!(matches!(result, Err(StoreError::Overloaded)), "{result:?}");
    }
}
