//! Where the driver of a node's links sits: it has its turns by its own future, and, while that sleeps, by workers that have a
//! little mail for other nodes, or by none. See `worker/seat.rs`, which says why.
//!
//! A guest's turn reads no socket, and gives no turns.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chat_core::base::Now;

use super::LinkDriver;
use crate::worker::{Post, Reader, Seat};

/// A driver in its seat, from which it is taken when it has ended. To be polled instead of the driver.
pub(super) struct Seated(Arc<Seat<LinkDriver>>);

impl Seated {
    /// The driver sits down, and whoever puts something into this post may give it its turn.
    pub(super) fn new(driver: LinkDriver, post: &Post) -> Seated {
        let seat: Arc<Seat<LinkDriver>> = Arc::default();
        seat.sit(driver);
        post.read_by(seat.clone());
        Seated(seat)
    }
}

impl Reader for Seat<LinkDriver> {
    fn turn_for(&self, now: Now, sleeper: Waker) {
        let Some(mut guard) = self.try_lock() else { return sleeper.wake() };
        let Some(driver) = guard.as_mut() else { return };
        let mut cx = Context::from_waker(&sleeper);
        let turn = catch_unwind(AssertUnwindSafe(|| driver.turn_as_guest(now, &mut cx)));
        // After a panic it ends, as it would on its own thread, and its server with it; not the worker that gave the turn.
        let over = if turn.is_err() { guard.take() } else { None };
        drop(guard);
        drop(over);
        if self.was_missed() || !turn.unwrap_or(false) {
            sleeper.wake();
        }
    }
}

impl Future for Seated {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut guard) = self.0.lock_or_miss() else { return Poll::Pending };
        let Some(driver) = guard.as_mut() else { return Poll::Ready(()) };
        let poll = Pin::new(driver).poll(cx);
        let over = if poll.is_ready() { guard.take() } else { None };
        drop(guard);
        drop(over);
        self.0.not_missed();
        poll
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        drop(self.0.leave());
    }
}
