//! Threads for deriving keys and verifying signatures, so that no worker ever does.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

type Work = Box<dyn FnOnce() + Send>;

/// A fixed number of threads with a bounded queue. Clones share them; they end with the last clone.
#[derive(Clone)]
pub struct KeyPool(Arc<Owner>);

struct Owner(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    more: Condvar,
    waiting_max: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    closed: bool,
}

impl KeyPool {
    /// As many threads as cores, and 1,024 waiting derivations: about a second's worth for each core.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn new() -> io::Result<KeyPool> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        KeyPool::with(cores, 1_024)
    }

    /// So many threads, so many waiting jobs.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn with(threads: usize, waiting_max: usize) -> io::Result<KeyPool> {
        let shared = Arc::new(Shared { state: Mutex::default(), more: Condvar::new(), waiting_max });
        let pool = KeyPool(Arc::new(Owner(shared.clone())));
        for _ in 0..threads.max(1) {
            let shared = shared.clone();
            std::thread::Builder::new().name("chat-keys".into()).spawn(move || shared.run())?;
        }
        Ok(pool)
    }

    /// Does the work on some thread, soon; drops it if too much is waiting, which answers what it has promised.
    pub(super) fn submit(&self, work: impl FnOnce() + Send + 'static) {
        let shared = &self.0.0;
        let mut state = shared.state();
        if state.waiting.len() < shared.waiting_max {
            state.waiting.push_back(Box::new(work));
            shared.more.notify_one();
        }
    }
}

impl fmt::Debug for KeyPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPool")
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.more.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while let Some(work) = self.next() {
            // What was promised to somebody is answered when the work is dropped in the panic.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }

    fn next(&self) -> Option<Work> {
        let mut state = self.state();
        loop {
            if let Some(work) = state.waiting.pop_front() {
                return Some(work);
            }
            if state.closed {
                return None;
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::Promise;
    use super::*;

    #[test]
    fn work_is_done_bounded_and_survives_a_panic() {
        let pool = KeyPool::with(1, 2).expect("a thread");
        let (open, gate) = mpsc::channel::<()>();
        let (send, receive) = mpsc::channel();
        let begun = send.clone();
        pool.submit(move || {
            begun.send("begun".to_owned()).expect("the test waits");
            gate.recv().expect("the test opens");
            panic!("as the test wants");
        });
        assert_eq!(receive.recv_timeout(Duration::from_secs(10)).expect("it runs"), "begun");
        for n in 0..3 {
            let send = send.clone();
            let promise = Promise::new(Box::new(move |result| {
                send.send(format!("{n} {}", result.is_ok())).expect("the test waits");
            }));
            pool.submit(move || promise.keep(Ok(chat_core::effect::AccountDone::Done)));
        }
        let next = || receive.recv_timeout(Duration::from_secs(10)).expect("an answer");
        assert_eq!(next(), "2 false", "the third is refused at once");
        open.send(()).expect("it waits");
        assert_eq!((next(), next()), ("0 true".to_owned(), "1 true".to_owned()));
    }
}
