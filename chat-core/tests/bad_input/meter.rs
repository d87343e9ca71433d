//! The allocator of this test: counts the bytes that each thread holds. Each test runs on a thread of its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
    static PAUSED: Cell<u32> = const { Cell::new(0) };
}

struct Meter;

#[global_allocator]
static METER: Meter = Meter;

fn count(bytes: i64) {
    // A thread that is ending has no counters any more; it has no test any more, either.
    let _ = PAUSED.try_with(|paused| {
        if paused.get() > 0 {
            return;
        }
        let _ = LIVE.try_with(|live| {
            live.set(live.get() + bytes);
            let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
        });
    });
}

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; counting does not
// allocate, because the counters are constants without destructor.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new exist side by side for a moment.
        count(size as i64);
        count(-(layout.size() as i64));
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Runs something whose memory is not the engine's. What it allocates it must also free in such a run.
pub fn aside<T>(run: impl FnOnce() -> T) -> T {
    PAUSED.with(|p| p.set(p.get() + 1));
    let result = run();
    PAUSED.with(|p| p.set(p.get() - 1));
    result
}

/// A point from which growth is measured.
#[derive(Debug, Clone, Copy)]
pub struct Mark(i64);

impl Mark {
    /// From here on.
    pub fn here() -> Mark {
        let live = LIVE.with(Cell::get);
        PEAK.with(|p| p.set(live));
        Mark(live)
    }

    /// The most that was held since, beyond what was held then.
    pub fn peak(self) -> u64 {
        (PEAK.with(Cell::get) - self.0).max(0) as u64
    }

    /// What is held now beyond what was held then.
    pub fn held(self) -> u64 {
        (LIVE.with(Cell::get) - self.0).max(0) as u64
    }
}

#[test]
fn the_meter_counts() {
    let mark = Mark::here();
    let some = vec![0u8; 1000];
    assert_eq!((mark.peak(), mark.held()), (1000, 1000));
    drop(some);
    assert_eq!((mark.peak(), mark.held()), (1000, 0));
    let others = aside(|| vec![0u8; 1_000_000]);
    assert_eq!((mark.peak(), mark.held()), (1000, 0));
    aside(|| drop(others));
    let mut grown = Vec::with_capacity(10);
    grown.resize(100_000, 1u8);
    assert!(mark.peak() >= 100_000);
}
