//! Queues that own memory only while something is in them.

use std::collections::VecDeque;
use std::fmt;

/// Empty queues that a pool keeps; more are seldom in use at a time.
const KEPT_MAX: usize = 256;
/// Values for which a kept queue may have room; a longer one was made by a burst.
const ROOM_MAX: usize = 512;

/// A queue in one word. All calls on one queue must name the same [`Fifos`]: from there it takes its memory when the first
/// value comes, and there it leaves it with the last. So most queues own nothing, and those that are in use
/// ask the allocator for nothing.
// A box, so that an empty queue is one word and not four.
#[allow(clippy::box_collection, reason = "explained above")]
pub struct Fifo<T>(Option<Box<VecDeque<T>>>);

/// The memory that no [`Fifo`] needs at present.
#[allow(clippy::box_collection, clippy::vec_box, reason = "what is handed to a queue and back is the box")]
pub struct Fifos<T> {
    empty: Vec<Box<VecDeque<T>>>,
}

impl<T> Fifos<T> {
    /// None yet.
    pub const fn new() -> Self {
        Fifos { empty: Vec::new() }
    }

    /// How many empty queues are kept.
    pub fn kept(&self) -> usize {
        self.empty.len()
    }
}

impl<T> Fifo<T> {
    /// An empty queue without memory.
    pub const fn new() -> Self {
        Fifo(None)
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.len())
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds a value at the end.
    pub fn push_back(&mut self, pool: &mut Fifos<T>, value: T) {
        self.0.get_or_insert_with(|| pool.empty.pop().unwrap_or_default()).push_back(value);
    }

    /// Takes the first value out.
    pub fn pop_front(&mut self, pool: &mut Fifos<T>) -> Option<T> {
        let value = self.0.as_mut()?.pop_front();
        self.settle(pool);
        value
    }

    /// Takes the first value out if it is such.
    pub fn pop_front_if(&mut self, pool: &mut Fifos<T>, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        if wanted(self.front()?) { self.pop_front(pool) } else { None }
    }

    /// The first value.
    pub fn front(&self) -> Option<&T> {
        self.0.as_ref()?.front()
    }

    /// The value at this index, counted from the first.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.0.as_ref()?.get(index)
    }

    /// The value at this index, counted from the first.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.0.as_mut()?.get_mut(index)
    }

    /// All values, from the first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|queue| queue.iter())
    }

    /// All values, from the first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flat_map(|queue| queue.iter_mut())
    }

    /// Leaves the memory of an empty queue to others.
    fn settle(&mut self, pool: &mut Fifos<T>) {
        if let Some(queue) = self.0.take_if(|queue| queue.is_empty())
            && pool.empty.len() < KEPT_MAX
            && queue.capacity() <= ROOM_MAX
        {
            pool.empty.push(queue);
        }
    }
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Fifo::new()
    }
}

impl<T> Default for Fifos<T> {
    fn default() -> Self {
        Fifos::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Fifo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T> fmt::Debug for Fifos<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fifos({} empty)", self.empty.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn memory_goes_from_queue_to_queue() {
        assert_eq!(size_of::<Fifo<[u64; 9]>>(), size_of::<usize>());
        let (mut pool, mut a, mut b) = (Fifos::new(), Fifo::new(), Fifo::new());
        a.push_back(&mut pool, 1);
        assert_eq!((a.len(), a.front(), pool.kept()), (1, Some(&1), 0));
        assert_eq!((a.pop_front(&mut pool), a.pop_front(&mut pool), pool.kept()), (Some(1), None, 1));
        b.push_back(&mut pool, 2);
        assert_eq!((pool.kept(), b.pop_front_if(&mut pool, |n| *n > 2)), (0, None));
        assert_eq!((b.pop_front_if(&mut pool, |n| *n == 2), pool.kept()), (Some(2), 1));
    }

    #[test]
    fn a_burst_leaves_nothing_behind() {
        let (mut pool, mut queue) = (Fifos::new(), Fifo::new());
        (0..2 * ROOM_MAX).for_each(|n| queue.push_back(&mut pool, n));
        while queue.pop_front(&mut pool).is_some() {}
        assert_eq!(pool.kept(), 0);
    }

    proptest! {
        #[test]
        fn like_any_queue(steps in proptest::collection::vec(any::<(bool, u8)>(), 0..200)) {
            let (mut pool, mut queue, mut model) = (Fifos::new(), Fifo::new(), VecDeque::new());
            for (push, value) in steps {
                if push {
                    queue.push_back(&mut pool, value);
                    model.push_back(value);
                } else {
                    prop_assert_eq!(queue.pop_front(&mut pool), model.pop_front());
                }
                prop_assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
                prop_assert!(queue.iter().eq(model.iter()));
                prop_assert_eq!(queue.get(1), model.get(1));
                prop_assert_eq!(queue.get_mut(0), model.get_mut(0));
            }
        }
    }
}
