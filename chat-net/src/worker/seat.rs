//! Whose turn it is: a worker is driven by the future that belongs to it, and, while that sleeps, by another worker that
//! has a little mail for it.
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

/// Where a worker sits.
#[derive(Default)]
pub(crate) struct Seat {
    /// None before the worker has sat down and after it has ended.
    worker: Mutex<Option<Worker>>,
    /// The worker's own future found the seat locked: whoever holds it wakes that future afterwards.
    missed: AtomicBool,
}

impl Seat {
    fn try_lock(&self) -> Option<MutexGuard<'_, Option<Worker>>> {
        match self.worker.try_lock() {
            Ok(guard) => Some(guard),
            // Panics of a turn are caught in it; one beside it leaves nothing half done.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Locks, or makes sure that the worker's own future is woken when the seat is free.
    fn lock_or_miss(&self) -> Option<MutexGuard<'_, Option<Worker>>> {
        self.try_lock().or_else(|| {
            self.missed.store(true, Ordering::SeqCst);
            // It may have become free before anybody could see that.
            self.try_lock()
        })
    }

    /// Gives the worker the turn that `sleeper`, its own future, was to be woken for, `now` being when the giver's began.
    pub(super) fn turn_for(&self, now: Now, sleeper: Waker) {
        let Some(mut guard) = self.try_lock() else { return sleeper.wake() };
        let Some(worker) = guard.as_mut() else { return };
        let rests = worker.inbox.is_light() && worker.turn_as_guest(now, &mut Context::from_waker(&sleeper));
        drop(guard);
        if self.missed.swap(false, Ordering::SeqCst) || !rests {
            sleeper.wake();
        }
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
        *seated.seat().worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker);
        seated
    }

    fn seat(&self) -> &Seat {
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
        // Whoever had the turn before this one has looked already.
        seat.missed.store(false, Ordering::SeqCst);
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
        let worker = self.seat().worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(worker);
    }
}
