//! The one deadline of a worker.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use super::Runtime;

/// A timer that is set again and again. It costs nothing while the deadline only moves away: it fires early then, and
/// whoever it wakes sets it anew.
pub(crate) struct Sleep {
    /// None until it is first needed: tokio's must be made inside the runtime.
    timer: Option<Timer>,
    runtime: Runtime,
    /// When it fires; none if it has fired or was never set.
    at: Option<Instant>,
}

enum Timer {
    #[cfg(feature = "tokio")]
    Tokio(Pin<Box<tokio::time::Sleep>>),
    #[cfg(feature = "async-std")]
    AsyncIo(async_io::Timer),
}

impl Sleep {
    pub(crate) fn new(runtime: Runtime) -> Sleep {
        Sleep { timer: None, runtime, at: None }
    }

    /// Wakes the task at `deadline` or earlier. Returns whether that is already past; then nothing is set.
    pub(crate) fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        if self.at.is_none_or(|at| deadline < at) {
            self.set(deadline);
            self.at = Some(deadline);
        }
        while self.poll(cx).is_ready() {
            let fired = self.at.take();
            if fired.is_none_or(|at| at >= deadline) {
                return true;
            }
            self.set(deadline);
            self.at = Some(deadline);
        }
        false
    }

    fn set(&mut self, deadline: Instant) {
        match &mut self.timer {
            #[cfg(feature = "tokio")]
            Some(Timer::Tokio(sleep)) => sleep.as_mut().reset(deadline.into()),
            #[cfg(feature = "async-std")]
            Some(Timer::AsyncIo(timer)) => timer.set_at(deadline),
            None => {
                self.timer = Some(match self.runtime {
                    #[cfg(feature = "tokio")]
                    Runtime::Tokio => Timer::Tokio(Box::pin(tokio::time::sleep_until(deadline.into()))),
                    #[cfg(feature = "async-std")]
                    Runtime::AsyncStd => Timer::AsyncIo(async_io::Timer::at(deadline)),
                });
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            #[cfg(feature = "tokio")]
            Some(Timer::Tokio(sleep)) => sleep.as_mut().poll(cx),
            #[cfg(feature = "async-std")]
            Some(Timer::AsyncIo(timer)) => Pin::new(timer).poll(cx).map(drop),
            None => Poll::Pending,
        }
    }
}
