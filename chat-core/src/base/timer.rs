//! Deadlines: a hierarchical timer wheel, exact to the nanosecond.
//!
//! Setting and cancelling take constant time. A tick is 2^20 ns (about a millisecond). Level 0 of the wheel has a
//! place for each of 64 ticks, level 1 for each 64 of them, and so on: eight levels reach beyond the end of time.
//! A timer stands on the lowest level on which its place differs from the present one's, so the first occupied
//! place of the lowest occupied level holds the earliest timers. When time reaches a place, its timers move down;
//! those of the tick that has come wait in a small heap, which gives them their exact order.
//!
//! Each place remembers its earliest deadline, so that [`Timers::next`] is exact as long as nothing is cancelled:
//! moving timers down needs no wake of its own. A cancelled deadline causes at most one spurious wake.

use super::slots::{Key, Slots};
use super::time::Mono;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

const TICK_BITS: u32 = 20;
const LEVEL_BITS: u32 = 6;
const PLACES: usize = 1 << LEVEL_BITS;
/// 2^64 ns are 2^44 ticks; eight levels of six bits cover them all.
const LEVELS: usize = 8;
/// No timer, at the ends of lists. It is no index: a slab of 2^32 values cannot be.
const NONE: u32 = u32::MAX;
/// Where a timer is that waits in the heap.
const IN_HEAP: u16 = u16::MAX;
/// Timers for which the heap keeps room when it is empty again.
const ROOM_KEPT: usize = 1024;
/// Cancelled timers that may stay in the heap beside as many as there are live ones.
const DEAD_MAX: usize = 64;

/// A timer that was set. Valid until it fires or is cancelled; later uses are harmless. Written `t7.2`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(Key);

impl fmt::Debug for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// All timers of one machine. `K` says what a timer is for.
pub struct Timers<K> {
    timers: Slots<Timer<K>>,
    places: Box<[[Place; PLACES]; LEVELS]>,
    /// For each level a bit for each place that has timers.
    occupied: [u64; LEVELS],
    /// The tick that has come: the wheel holds later ones only, the heap this one and earlier ones.
    tick: u64,
    /// Deadline, order of insertion, timer. The top is always live; below there may be cancelled ones.
    heap: BinaryHeap<Reverse<(Mono, u64, Key)>>,
    /// Live timers in the heap.
    heap_live: usize,
    inserted: u64,
}

struct Timer<K> {
    at: Mono,
    order: u64,
    key: K,
    reason: &'static str,
    /// `level * PLACES + place`, or [`IN_HEAP`].
    place: u16,
    before: u32,
    after: u32,
}

/// A timer of an engine, for the table of sizes (`engine/sizes.rs`).
#[cfg(test)]
pub(crate) const fn timer_size<K>() -> usize {
    super::slots::place_size::<Timer<K>>()
}

/// A list of timers, and a lower bound of their deadlines (exact unless one of them was cancelled).
#[derive(Clone, Copy)]
struct Place {
    head: u32,
    earliest: Mono,
    reason: &'static str,
}

const EMPTY: Place = Place { head: NONE, earliest: Mono(u64::MAX), reason: "" };

impl<K: Copy + Eq> Timers<K> {
    /// No timers.
    pub fn new() -> Self {
        Timers {
            timers: Slots::new(),
            places: Box::new([[EMPTY; PLACES]; LEVELS]),
            occupied: [0; LEVELS],
            tick: 0,
            heap: BinaryHeap::new(),
            heap_live: 0,
            inserted: 0,
        }
    }

    /// The number of timers set and neither fired nor cancelled.
    pub fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// Asks for `key` at the time `at`. What lies in the past is due at once. `reason` is shown to people who ask
    /// why the machine wants to be woken.
    pub fn set(&mut self, at: Mono, key: K, reason: &'static str) -> TimerId {
        self.inserted += 1;
        let timer =
            Timer { at, order: self.inserted, key, reason, place: IN_HEAP, before: NONE, after: NONE };
        let id = self.timers.insert(timer);
        self.place(id, self.tick);
        TimerId(id)
    }

    /// Forgets a timer; says whether it was still to come.
    pub fn cancel(&mut self, id: TimerId) -> bool {
        let Some(timer) = self.timers.remove(id.0) else { return false };
        if timer.place == IN_HEAP {
            self.heap_live -= 1;
            self.prune_heap();
        } else {
            self.unlink(&timer);
        }
        true
    }

    /// The deadline of a timer that is still to come.
    pub fn deadline(&self, id: TimerId) -> Option<Mono> {
        self.timers.get(id.0).map(|timer| timer.at)
    }

    /// Takes out the first timer whose deadline has come, earliest deadline first, among equals the one set first.
    /// Never before its deadline. Call it until it says `None`.
    pub fn pop_due(&mut self, now: Mono) -> Option<(K, Mono)> {
        self.advance(now.0 >> TICK_BITS);
        let Reverse((at, _, id)) = *self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        self.heap_live -= 1;
        let timer = self.timers.remove(id).expect("the top of the heap is live");
        self.prune_heap();
        Some((timer.key, at))
    }

    /// When to call [`Timers::pop_due`] next, and why. Never later than the earliest deadline; earlier at most once
    /// for each timer that was cancelled. After `pop_due(now)` gave `None` it is after `now`.
    pub fn next(&self) -> Option<(Mono, &'static str)> {
        if let Some(Reverse((at, _, id))) = self.heap.peek() {
            return Some((*at, self.timers.at(id.index).reason));
        }
        let (level, place) = self.first_place()?;
        let place = &self.places[level][place];
        Some((place.earliest, place.reason))
    }

    /// Lets the tick `target` come, and all before it.
    fn advance(&mut self, target: u64) {
        if target <= self.tick {
            return;
        }
        while let Some((level, place)) = self.first_place() {
            let shift = LEVEL_BITS * level as u32;
            let above = shift + LEVEL_BITS;
            let begin = self.tick >> above << above | (place as u64) << shift;
            if begin > target {
                break;
            }
            self.tick = begin;
            self.occupied[level] &= !(1 << place);
            let mut index = std::mem::replace(&mut self.places[level][place], EMPTY).head;
            while index != NONE {
                let id = self.timers.key_at(index);
                index = self.timers.at(index).after;
                self.place(id, target);
            }
        }
        // No occupied place was skipped, so every timer still stands where its deadline parts from the present.
        self.tick = target;
    }

    /// The place with the earliest timers of the wheel.
    fn first_place(&self) -> Option<(usize, usize)> {
        let level = self.occupied.iter().position(|bits| *bits != 0)?;
        Some((level, self.occupied[level].trailing_zeros() as usize))
    }

    /// Puts a timer that is nowhere into the heap, if its tick is not after `coming`, or into the wheel.
    fn place(&mut self, id: Key, coming: u64) {
        let timer = self.timers.at_mut(id.index);
        let tick = timer.at.0 >> TICK_BITS;
        if tick <= coming {
            timer.place = IN_HEAP;
            self.heap.push(Reverse((timer.at, timer.order, id)));
            self.heap_live += 1;
            return;
        }
        let level = ((tick ^ self.tick).ilog2() / LEVEL_BITS) as usize;
        let number = (tick >> (LEVEL_BITS * level as u32)) as usize % PLACES;
        let place = &mut self.places[level][number];
        timer.place = (level * PLACES + number) as u16;
        timer.before = NONE;
        timer.after = place.head;
        if timer.at < place.earliest || place.head == NONE {
            (place.earliest, place.reason) = (timer.at, timer.reason);
        }
        let after = std::mem::replace(&mut place.head, id.index);
        if after != NONE {
            self.timers.at_mut(after).before = id.index;
        }
        self.occupied[level] |= 1 << number;
    }

    /// Closes the gap that a timer leaves in the list of its place.
    fn unlink(&mut self, timer: &Timer<K>) {
        if timer.after != NONE {
            self.timers.at_mut(timer.after).before = timer.before;
        }
        if timer.before != NONE {
            self.timers.at_mut(timer.before).after = timer.after;
            return;
        }
        let (level, number) = (timer.place as usize / PLACES, timer.place as usize % PLACES);
        self.places[level][number].head = timer.after;
        if timer.after == NONE {
            self.places[level][number] = EMPTY;
            self.occupied[level] &= !(1 << number);
        }
    }

    /// Makes the top of the heap a live timer, and keeps cancelled ones from piling up below it.
    fn prune_heap(&mut self) {
        while self.heap.peek().is_some_and(|Reverse((_, _, id))| !self.timers.contains(*id)) {
            self.heap.pop();
        }
        if self.heap.len() > 2 * self.heap_live + DEAD_MAX {
            self.heap.retain(|Reverse((_, _, id))| self.timers.contains(*id));
        }
        if self.heap.is_empty() && self.heap.capacity() > ROOM_KEPT {
            self.heap.shrink_to(ROOM_KEPT);
        }
    }
}

impl<K: Copy + Eq> Default for Timers<K> {
    fn default() -> Self {
        Timers::new()
    }
}

impl<K> fmt::Debug for Timers<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timers({} set)", self.timers.len())
    }
}

#[cfg(test)]
mod tests;
