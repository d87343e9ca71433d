//! The one deadline of a worker.

#[cfg(any(feature = "async-std", feature = "tokio"))]
use std::future::Future;
#[cfg(any(feature = "async-std", feature = "tokio"))]
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chat_core::base::Mono;

use super::poller::Watch;
use super::{Clock, Runtime};

/// A timer that is set again and again. It costs nothing while the deadline only moves away: it fires early then, and
/// whoever it wakes sets it anew.
pub(crate) struct Sleep {
    /// None until it is first needed: tokio's must be made inside the runtime.
    timer: Option<Timer>,
    runtime: Runtime,
    /// When it fires; none if it has fired or was never set.
    at: Option<Mono>,
    #[cfg_attr(
        not(any(feature = "async-std", feature = "tokio")),
        expect(dead_code, reason = "runtimes count in instants")
    )]
    clock: Clock,
}

enum Timer {
    Threads(Arc<Watch>, Mono),
    #[cfg(feature = "tokio")]
    Tokio(Pin<Box<tokio::time::Sleep>>),
    #[cfg(feature = "async-std")]
    AsyncIo(async_io::Timer),
}

impl Sleep {
    pub(crate) fn new(runtime: Runtime, clock: Clock) -> Sleep {
        Sleep { timer: None, runtime, at: None, clock }
    }

    /// Wakes the task at `deadline` or earlier. Returns whether that is already past; then nothing is set. Both are by
    /// the clock that it was made with; `now` is the time of the caller's turn, as reading it for each message is dear.
    pub(crate) fn poll_until(&mut self, deadline: Mono, now: Mono, cx: &mut Context<'_>) -> bool {
        if self.at.is_none_or(|at| deadline < at) {
            self.set(deadline);
            self.at = Some(deadline);
        }
        while self.poll(now, cx).is_ready() {
            let fired = self.at.take();
            if fired.is_none_or(|at| at >= deadline) {
                return true;
            }
            self.set(deadline);
            self.at = Some(deadline);
        }
        false
    }

    fn set(&mut self, deadline: Mono) {
        match &mut self.timer {
            Some(Timer::Threads(_, at)) => *at = deadline,
            #[cfg(feature = "tokio")]
            Some(Timer::Tokio(sleep)) => sleep.as_mut().reset(self.clock.instant(deadline).into()),
            #[cfg(feature = "async-std")]
            Some(Timer::AsyncIo(timer)) => timer.set_at(self.clock.instant(deadline)),
            None => {
                self.timer = Some(match self.runtime {
                    Runtime::Threads => Timer::Threads(Watch::current(), deadline),
                    #[cfg(feature = "tokio")]
                    Runtime::Tokio => {
                        Timer::Tokio(Box::pin(tokio::time::sleep_until(self.clock.instant(deadline).into())))
                    }
                    #[cfg(feature = "async-std")]
                    Runtime::AsyncStd => Timer::AsyncIo(async_io::Timer::at(self.clock.instant(deadline))),
                });
            }
        }
    }

    #[cfg_attr(
        not(any(feature = "async-std", feature = "tokio")),
        expect(unused_variables, reason = "a thread without a runtime is told its deadline")
    )]
    fn poll(&mut self, now: Mono, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            // All that is waited for is said at each poll.
            Some(Timer::Threads(watch, at)) if watch.set_deadline(*at, now) => Poll::Ready(()),
            Some(Timer::Threads(..)) => Poll::Pending,
            #[cfg(feature = "tokio")]
            Some(Timer::Tokio(sleep)) => sleep.as_mut().poll(cx),
            #[cfg(feature = "async-std")]
            Some(Timer::AsyncIo(timer)) => Pin::new(timer).poll(cx).map(drop),
            None => Poll::Pending,
        }
    }
}
