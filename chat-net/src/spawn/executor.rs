//! The smallest executor there is, for builds without tokio: one thread, a queue, wakers. Futures of async-io work on
//! it, as its reactor has a thread of its own.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use super::Task;

/// The executor; its thread ends when this is dropped.
pub(super) struct Executor {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Arc<Cell>>,
    /// Every unfinished task: one that nobody can wake stays until the end, as on any executor.
    all: BTreeMap<u64, Arc<Cell>>,
    next: u64,
    closed: bool,
}

struct Cell {
    number: u64,
    /// None once it is finished.
    task: Mutex<Option<Task>>,
    queued: AtomicBool,
    queue: Weak<Queue>,
}

impl Executor {
    pub(super) fn start() -> io::Result<Executor> {
        let queue = Arc::new(Queue::default());
        let served = queue.clone();
        std::thread::Builder::new().name("chat-service".into()).spawn(move || served.run())?;
        Ok(Executor { queue })
    }

    pub(super) fn spawn(&self, task: Task) {
        let mut state = self.queue.state();
        let (number, queue) = (state.next, Arc::downgrade(&self.queue));
        let cell = Cell { number, task: Mutex::new(Some(task)), queued: AtomicBool::new(false), queue };
        let cell = Arc::new(cell);
        state.next += 1;
        state.all.insert(number, cell.clone());
        drop(state);
        self.queue.push(cell);
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.queue.state().closed = true;
        self.queue.wake.notify_one();
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, cell: Arc<Cell>) {
        if !cell.queued.swap(true, Ordering::AcqRel) {
            self.state().ready.push_back(cell);
            self.wake.notify_one();
        }
    }

    fn run(&self) {
        while let Some(cell) = self.next() {
            if cell.poll() {
                self.state().all.remove(&cell.number);
            }
        }
        let left = std::mem::take(&mut *self.state());
        left.all.values().for_each(|cell| cell.finish());
    }

    fn next(&self) -> Option<Arc<Cell>> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some(cell) = state.ready.pop_front() {
                cell.queued.store(false, Ordering::Release);
                return Some(cell);
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Cell {
    /// Whether the task is finished, by itself or by a panic.
    fn poll(self: &Arc<Self>) -> bool {
        let waker = Waker::from(self.clone());
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(future) = task.as_mut() else { return true };
        let mut context = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        drop(task);
        let finished = !matches!(polled, Ok(Poll::Pending));
        if finished {
            self.finish();
        }
        finished
    }

    /// Drops the task, outside the lock: its own code may run then, and may spawn.
    fn finish(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(task)));
    }
}

impl Wake for Cell {
    fn wake(self: Arc<Self>) {
        if let Some(queue) = self.queue.upgrade() {
            queue.push(self);
        }
    }
}
