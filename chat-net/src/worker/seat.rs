//! Whose turn it is: a worker is driven by the future that belongs to it, and, while that sleeps, by another worker that
//! has a little mail for it. The same holds for the links to other nodes (`cluster/seat.rs`).
//!
//! Waking a thread costs ten times what delivering a message does. So a worker that has mail for one that sleeps looks
//! first whether it can give that one its turn itself, right here; only if there is much to do, or if its own future is
//! awake already, that is woken. There is one lock for each worker, nobody ever waits for it, and nothing but mail is
//! handled that way.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};

use chat_core::base::{Now, WorkerId};

use super::{Next, Shared, Worker};

/// Where a worker sits, or whoever else has a future of its own and may be given its turn by others.
pub(crate) struct Seat<T> {
    /// None before it has sat down and after it has ended.
    sitter: Mutex<Option<T>>,
    /// Its own future found the seat locked: whoever holds it wakes that future afterwards.
    missed: AtomicBool,
}

impl<T> Default for Seat<T> {
    fn default() -> Seat<T> {
        Seat { sitter: Mutex::new(None), missed: AtomicBool::new(false) }
    }
}

impl<T> Seat<T> {
    /// From now on it has its turns here.
    pub(crate) fn sit(&self, sitter: T) {
        *self.sitter.lock().unwrap_or_else(PoisonError::into_inner) = Some(sitter);
    }

    /// It has no more turns. Waits for the one it may have just now.
    pub(crate) fn leave(&self) -> Option<T> {
        self.sitter.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The seat, if nobody has the turn.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, Option<T>>> {
        match self.sitter.try_lock() {
            Ok(guard) => Some(guard),
            // Panics of a turn are caught in it; one beside it leaves nothing half done.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Locks, for its own future; or makes sure that this is woken when the seat is free.
    pub(crate) fn lock_or_miss(&self) -> Option<MutexGuard<'_, Option<T>>> {
        self.try_lock().or_else(|| {
            self.missed.store(true, Ordering::SeqCst);
            // It may have become free before anybody could see that.
            self.try_lock()
        })
    }

    /// After the turn of a guest: whether its own future found the seat locked meanwhile.
    pub(crate) fn was_missed(&self) -> bool {
        self.missed.swap(false, Ordering::SeqCst)
    }

    /// After a turn by its own future: whoever had the turn before has looked already.
    pub(crate) fn not_missed(&self) {
        self.missed.store(false, Ordering::SeqCst);
    }
}

impl Seat<Worker> {
    /// Gives the worker the turn that `sleeper`, its own future, was to be woken for, `now` being when the giver's began. Whoever
    /// gets a waker from this must wake it, or give the cluster its turn ([`Post::give_turn`](super::Post::give_turn)): that
    /// sleeps although mail of this turn waits for it.
    #[must_use]
    pub(crate) fn turn_for(&self, now: Now, sleeper: Waker) -> Option<Waker> {
        let Some(mut guard) = self.try_lock() else {
            sleeper.wake();
            return None;
        };
        let worker = guard.as_mut()?;
        let rests = worker.inbox.is_light() && worker.turn_as_guest(now, &mut Context::from_waker(&sleeper));
        let cluster = worker.cluster_sleeps.take();
        drop(guard);
        if self.was_missed() || !rests {
            sleeper.wake();
        }
        cluster
    }
}

/// A worker in its seat. Poll it until it ends: that is after [`Command::Shutdown`](chat_core::engine::Command) was
/// carried out by all workers of the server.
pub(crate) struct Seated {
    shared: Arc<Shared>,
    id: WorkerId,
}

impl Seated {
    /// The worker sits down; dropping the seated drops it.
    pub(crate) fn new(worker: Worker) -> Seated {
        let seated = Seated { shared: worker.shared.clone(), id: worker.id };
        seated.seat().sit(worker);
        seated
    }

    fn seat(&self) -> &Seat<Worker> {
        &self.shared.seats[usize::from(self.id.0)]
    }
}

impl Future for Seated {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let seat = self.seat();
        let Some(mut guard) = seat.lock_or_miss() else { return Poll::Pending };
        let Some(worker) = guard.as_mut() else { return Poll::Ready(()) };
        let after = worker.turns(cx);
        drop(guard);
        seat.not_missed();
        match after {
            Next::Wait => Poll::Pending,
            Next::Again => {
                self.shared.runtime.yield_now(cx);
                Poll::Pending
            }
            Next::End => Poll::Ready(()),
        }
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        drop(self.seat().leave());
    }
}
