//! Which runtime the workers run on, if any.

use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::Context;
use std::thread;

use chat_core::base::Key;

use super::poller::{Poller, Watch};
use crate::spawn::Spawner;

/// A runtime of this build. A server has one for all its workers; two servers in one process may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// None: each thread waits for its own sockets (epoll, kqueue). The cheapest for threads of the server's own, and not
    /// for tasks of anybody else's.
    Threads,
    /// tokio (feature `tokio`): a reactor for each worker, so it scales with the cores.
    #[cfg(feature = "tokio")]
    Tokio,
    /// async-io (feature `async-std`), under async-std and smol: one reactor for the whole process.
    #[cfg(feature = "async-std")]
    AsyncStd,
}

/// Where a future's sockets and timers are watched.
#[derive(Clone)]
pub(crate) enum Reactor {
    Threads(Arc<Watch>),
    #[cfg(feature = "tokio")]
    Tokio(tokio::runtime::Handle),
    /// There is one for the whole process.
    #[cfg(feature = "async-std")]
    Global,
}

impl Reactor {
    /// As long as the guard lives, what this thread registers goes here.
    pub(crate) fn enter(&self) -> Inside<'_> {
        match self {
            Reactor::Threads(watch) => Inside::Threads(watch.clone().enter(), PhantomData),
            #[cfg(feature = "tokio")]
            Reactor::Tokio(handle) => Inside::Tokio { _guard: handle.enter() },
            #[cfg(feature = "async-std")]
            Reactor::Global => Inside::Global,
        }
    }
}

/// See [`Reactor::enter`].
pub(crate) enum Inside<'a> {
    /// With what was there before. It belongs to its thread.
    Threads(Option<Arc<Watch>>, PhantomData<&'a *const ()>),
    #[cfg(feature = "tokio")]
    Tokio { _guard: tokio::runtime::EnterGuard<'a> },
    #[cfg(feature = "async-std")]
    Global,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        match self {
            Inside::Threads(before, _) => Watch::leave(before.take()),
            #[cfg(feature = "tokio")]
            Inside::Tokio { .. } => {}
            #[cfg(feature = "async-std")]
            Inside::Global => {}
        }
    }
}

impl Runtime {
    /// Every runtime of this build.
    pub const ALL: &'static [Runtime] = &[
        Runtime::Threads,
        #[cfg(feature = "tokio")]
        Runtime::Tokio,
        #[cfg(feature = "async-std")]
        Runtime::AsyncStd,
    ];

    /// The runtime that the caller runs on: tokio if this is called from inside it, else async-std, if built in. `None`: none
    /// that this build knows.
    #[must_use]
    pub fn current() -> Option<Runtime> {
        if Watch::is_here() {
            return Some(Runtime::Threads);
        }
        #[cfg(feature = "tokio")]
        if tokio::runtime::Handle::try_current().is_ok() {
            return Some(Runtime::Tokio);
        }
        #[cfg(feature = "async-std")]
        return Some(Runtime::AsyncStd);
        #[cfg(not(feature = "async-std"))]
        None
    }

    /// That of the task that is polled just now.
    pub(crate) fn reactor(self) -> Reactor {
        match self {
            Runtime::Threads => Reactor::Threads(Watch::current()),
            #[cfg(feature = "tokio")]
            Runtime::Tokio => Reactor::Tokio(tokio::runtime::Handle::current()),
            #[cfg(feature = "async-std")]
            Runtime::AsyncStd => Reactor::Global,
        }
    }

    /// Starts a thread of this name that runs `future` to its end. Sockets that were attached under a key
    /// ([`Socket::watch`](super::Socket::watch)) wake nobody on a thread without a runtime: `ready` is told the keys of those
    /// that are ready, and then the future is polled.
    ///
    /// # Errors
    /// The system has no thread, or no descriptor for the reactor.
    pub(crate) fn run_on_thread(
        self,
        name: String,
        future: impl Future<Output = ()> + Send + 'static,
        ready: impl FnMut(&[Key]) + Send + 'static,
    ) -> io::Result<thread::JoinHandle<()>> {
        let builder = thread::Builder::new().name(name);
        match self {
            Runtime::Threads => {
                let poller = Poller::new()?;
                builder.spawn(move || poller.run(future, ready))
            }
            #[cfg(feature = "tokio")]
            Runtime::Tokio => {
                // After each turn the reactor is asked. The worker is a task rather than the future that the runtime
                // blocks on: a task is woken by its own reactor without a system call.
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                builder.spawn(move || {
                    let task = runtime.spawn(tokio::task::unconstrained(future));
                    // A panic has been reported by the hook; there is nobody else to tell.
                    let _ = runtime.block_on(task);
                })
            }
            #[cfg(feature = "async-std")]
            Runtime::AsyncStd => builder.spawn(move || async_io::block_on(future)),
        }
    }

    /// Runs `future` on the caller's runtime, which must be this one (see [`Runtime::current`]).
    pub(crate) fn spawn_here(self, future: impl Future<Output = ()> + Send + 'static) {
        match self {
            Runtime::Threads => {
                drop(future);
                unreachable!("it has no tasks, and nobody else's code runs on it")
            }
            #[cfg(feature = "tokio")]
            Runtime::Tokio => drop(tokio::spawn(tokio::task::unconstrained(future))),
            #[cfg(feature = "async-std")]
            Runtime::AsyncStd => drop(async_std::task::spawn(future)),
        }
    }

    /// Hands futures to the caller's runtime, which must be this one.
    pub(crate) fn spawner_here(self) -> Spawner {
        match self {
            Runtime::Threads => unreachable!("it has no tasks, and nobody else's code runs on it"),
            #[cfg(feature = "tokio")]
            Runtime::Tokio => Spawner::current(),
            #[cfg(feature = "async-std")]
            Runtime::AsyncStd => Spawner::new(|task| drop(async_std::task::spawn(task))),
        }
    }

    /// Has the task polled again, once the reactor and the other tasks had their turn.
    pub(crate) fn yield_now(self, cx: &mut Context<'_>) {
        match self {
            // tokio would otherwise poll the task again before it asks its reactor.
            #[cfg(feature = "tokio")]
            Runtime::Tokio => {
                let _ = std::pin::pin!(tokio::task::yield_now()).poll(cx);
            }
            Runtime::Threads => cx.waker().wake_by_ref(),
            #[cfg(feature = "async-std")]
            Runtime::AsyncStd => cx.waker().wake_by_ref(),
        }
    }
}
