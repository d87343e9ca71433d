//! An allocator for tests: counts for each thread how often it allocates and how many bytes it holds.
//!
//! Owns: the counters. In: a test program makes [`Meter`] its global allocator. Out: what happened since a [`Mark`].
//! Not here: what is measured (`tests/`, `../tests`).

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static CHUNKS: Cell<i64> = const { Cell::new(0) };
    static PAUSED: Cell<u32> = const { Cell::new(0) };
    static TRAPS: Cell<u32> = const { Cell::new(0) };
}

/// The allocator.
pub struct Meter;

/// What an allocation of this size takes from the heap of glibc: eight bytes more, in steps of 16, at least 32.
fn chunk(size: usize) -> i64 {
    (size + 8).next_multiple_of(16).max(32) as i64
}

fn count(calls: u64, bytes: i64, chunks: i64) {
    // A thread that is ending has no counters any more; it has no test any more, either.
    let _ = PAUSED.try_with(|paused| {
        if paused.get() == 0 {
            let _ = CALLS.try_with(|c| c.set(c.get() + calls));
            let _ = LIVE.try_with(|l| l.set(l.get() + bytes));
            let _ = CHUNKS.try_with(|c| c.set(c.get() + chunks));
        }
    });
}

fn count_new(size: usize) {
    count(1, size as i64, chunk(size));
}

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; counting does not
// allocate, because the counters are constants without destructor.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        trap();
        count_new(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        trap();
        count_new(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64), -chunk(layout.size()));
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        trap();
        count(1, size as i64 - layout.size() as i64, chunk(size) - chunk(layout.size()));
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Runs something that is not to be counted. What it allocates it must also free in such a run.
pub fn aside<T>(run: impl FnOnce() -> T) -> T {
    PAUSED.with(|p| p.set(p.get() + 1));
    let result = run();
    PAUSED.with(|p| p.set(p.get() - 1));
    result
}

/// A point from which this thread's allocations are counted.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    calls: u64,
    live: i64,
    chunks: i64,
}

impl Mark {
    /// From here on.
    pub fn here() -> Mark {
        Mark { calls: CALLS.with(Cell::get), live: LIVE.with(Cell::get), chunks: CHUNKS.with(Cell::get) }
    }

    /// How often memory was asked for since, growth of what was there included.
    pub fn allocations(self) -> u64 {
        CALLS.with(Cell::get) - self.calls
    }

    /// Bytes held now beyond those held then, as they were asked for.
    pub fn held(self) -> i64 {
        LIVE.with(Cell::get) - self.live
    }

    /// The same with what glibc's allocator adds to each piece.
    pub fn heap(self) -> i64 {
        CHUNKS.with(Cell::get) - self.chunks
    }
}

/// Shows where memory is asked for: the next so many allocations of this thread print their stacks.
pub fn show(allocations: u32) {
    TRAPS.with(|t| t.set(allocations));
}

/// The same, with the number from the environment variable `SHOW`; none without it.
pub fn show_some() {
    show(aside(|| std::env::var("SHOW").ok().and_then(|n| n.parse().ok()).unwrap_or(0)));
}

fn trap() {
    let left = TRAPS.try_with(Cell::get).unwrap_or(0);
    if left > 0 && PAUSED.try_with(Cell::get) == Ok(0) {
        TRAPS.with(|t| t.set(0));
        aside(|| eprintln!("{}", std::backtrace::Backtrace::force_capture()));
        TRAPS.with(|t| t.set(left - 1));
    }
}
