//! Where asynchronous services run: on the caller's runtime, or on one service thread of our own.
//!
//! Owns: the [`Spawner`] and, without tokio, a small executor for its thread.
//! In: futures of stores and authenticators. Out: nothing; they report by themselves.
//! Invariants: a future that panics ends alone.
//! Not here: the workers and their reactors (`worker`, `net`), what is run (`store`, `auth`).

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

#[cfg(not(feature = "tokio"))]
mod executor;

/// A boxed future that may move between threads.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Runs asynchronous stores and authenticators, which are not part of any worker. Cheap to clone.
#[derive(Clone)]
pub struct Spawner {
    spawn: Arc<dyn Fn(Task) + Send + Sync>,
    #[cfg(any(feature = "dns", feature = "http", feature = "postgres"))]
    on_tokio: bool,
}

impl Spawner {
    /// Hands futures to a runtime of the caller's.
    pub fn new(spawn: impl Fn(Task) + Send + Sync + 'static) -> Spawner {
        Spawner {
            spawn: Arc::new(spawn),
            #[cfg(any(feature = "dns", feature = "http", feature = "postgres"))]
            on_tokio: false,
        }
    }

    /// The tokio runtime that the caller is in, else a new service thread.
    #[cfg(feature = "tokio")]
    pub fn current() -> Spawner {
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => Spawner::on_tokio(handle),
            Err(_) => Spawner::service(),
        }
    }

    /// A new service thread, with a tokio runtime if the feature `tokio` is on. It ends, and drops what still runs,
    /// with the last clone of the spawner.
    ///
    /// # Panics
    /// If the system has no thread to give.
    pub fn service() -> Spawner {
        Spawner::try_service().expect("a service thread starts")
    }

    #[cfg(feature = "tokio")]
    fn on_tokio(handle: tokio::runtime::Handle) -> Spawner {
        let spawn = move |task| drop(handle.spawn(task));
        Spawner {
            spawn: Arc::new(spawn),
            #[cfg(any(feature = "dns", feature = "http", feature = "postgres"))]
            on_tokio: true,
        }
    }

    #[cfg(feature = "tokio")]
    fn try_service() -> io::Result<Spawner> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, ended) = tokio::sync::oneshot::channel::<()>();
        let run = move || {
            // Nothing is ever sent: the error says that the last spawner is gone.
            let _ = runtime.block_on(ended);
        };
        std::thread::Builder::new().name("chat-service".into()).spawn(run)?;
        let spawn = move |task| {
            let _ = &alive;
            drop(handle.spawn(task));
        };
        Ok(Spawner {
            spawn: Arc::new(spawn),
            #[cfg(any(feature = "dns", feature = "http", feature = "postgres"))]
            on_tokio: true,
        })
    }

    #[cfg(not(feature = "tokio"))]
    fn try_service() -> io::Result<Spawner> {
        let executor = executor::Executor::start()?;
        Ok(Spawner::new(move |task| executor.spawn(task)))
    }

    /// This spawner if its futures run inside tokio, else a new service thread: for what needs tokio's sockets.
    #[cfg(any(feature = "dns", feature = "http", feature = "postgres"))]
    pub(crate) fn for_tokio(&self) -> Spawner {
        match self.on_tokio {
            true => self.clone(),
            false => Spawner::service(),
        }
    }

    /// Runs a future to its end, in the background.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        (self.spawn)(Box::pin(future));
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawner")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_service_thread_runs_many_and_survives_a_panic() {
        let spawner = Spawner::service();
        let (send, receive) = mpsc::channel();
        spawner.spawn(async { panic!("as the test wants") });
        for n in 0..10 {
            let send = send.clone();
            spawner.spawn(async move { send.send(n).expect("the test waits") });
        }
        let mut seen: Vec<u32> =
            (0..10).map(|_| receive.recv_timeout(Duration::from_secs(10)).expect("it ran")).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn dropping_the_last_spawner_drops_what_runs() {
        struct Tell(mpsc::Sender<()>);
        impl Drop for Tell {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (send, receive) = mpsc::channel();
        let spawner = Spawner::service();
        let tell = Tell(send);
        spawner.spawn(async move {
            let _tell = tell;
            std::future::pending::<()>().await;
        });
        drop(spawner);
        receive.recv_timeout(Duration::from_secs(10)).expect("the future was dropped");
    }
}
