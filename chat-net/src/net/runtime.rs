//! Which runtime the workers run on.

use std::future::Future;
use std::io;
use std::task::Context;
use std::thread;

use crate::spawn::Spawner;

/// A runtime of this build. A server has one for all its workers; two servers in one process may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
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
            #[cfg(feature = "tokio")]
            Reactor::Tokio(handle) => Inside { _guard: Some(handle.enter()) },
            #[cfg(feature = "async-std")]
            Reactor::Global => Inside::default(),
        }
    }
}

/// See [`Reactor::enter`].
#[derive(Default)]
pub(crate) struct Inside<'a> {
    #[cfg(feature = "tokio")]
    _guard: Option<tokio::runtime::EnterGuard<'a>>,
    #[cfg(not(feature = "tokio"))]
    _guard: std::marker::PhantomData<&'a ()>,
}

impl Runtime {
    /// Every runtime of this build.
    pub const ALL: &'static [Runtime] = &[
        #[cfg(feature = "tokio")]
        Runtime::Tokio,
        #[cfg(feature = "async-std")]
        Runtime::AsyncStd,
    ];

    /// The runtime of this build; tokio where both are there.
    #[must_use]
    pub fn built_in() -> Runtime {
        Runtime::ALL[0]
    }

    /// The runtime that the caller runs on: tokio if this is called from inside it, else the other one, if built in.
    #[must_use]
    pub fn current() -> Option<Runtime> {
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
            #[cfg(feature = "tokio")]
            Runtime::Tokio => Reactor::Tokio(tokio::runtime::Handle::current()),
            #[cfg(feature = "async-std")]
            Runtime::AsyncStd => Reactor::Global,
        }
    }

    /// Starts a thread of this name that runs `future` to its end.
    ///
    /// # Errors
    /// The system has no thread, or no descriptor for the reactor.
    pub(crate) fn run_on_thread(
        self,
        name: String,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<thread::JoinHandle<()>> {
        let builder = thread::Builder::new().name(name);
        match self {
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
            #[cfg(feature = "tokio")]
            Runtime::Tokio => drop(tokio::spawn(tokio::task::unconstrained(future))),
            #[cfg(feature = "async-std")]
            Runtime::AsyncStd => drop(async_std::task::spawn(future)),
        }
    }

    /// Hands futures to the caller's runtime, which must be this one.
    pub(crate) fn spawner_here(self) -> Spawner {
        match self {
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
            #[cfg(feature = "async-std")]
            Runtime::AsyncStd => cx.waker().wake_by_ref(),
        }
    }
}
