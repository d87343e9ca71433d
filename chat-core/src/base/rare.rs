//! Queues that seldom have anything.

use std::collections::VecDeque;
use std::collections::vec_deque::{IntoIter, Iter};
use std::fmt;

/// A queue in one word, for what most of a million owners never have: it owns memory only while something is in it. What
/// comes and goes with each message is better off in a [`Fifo`](super::Fifo), which gets its memory from a pool.
// A box, so that an empty queue is one word and not four.
#[allow(clippy::box_collection, reason = "explained above")]
pub struct RareQueue<T>(Option<Box<VecDeque<T>>>);

impl<T> RareQueue<T> {
    /// An empty queue without memory.
    pub const fn new() -> Self {
        RareQueue(None)
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
    pub fn push_back(&mut self, value: T) {
        self.0.get_or_insert_default().push_back(value);
    }

    /// Takes the first value out.
    pub fn pop_front(&mut self) -> Option<T> {
        let value = self.0.as_mut()?.pop_front();
        self.settle();
        value
    }

    /// The first value.
    pub fn front(&self) -> Option<&T> {
        self.0.as_ref()?.front()
    }

    /// Drops all values that are not such.
    pub fn retain(&mut self, wanted: impl FnMut(&T) -> bool) {
        if let Some(queue) = &mut self.0 {
            queue.retain(wanted);
            self.settle();
        }
    }

    /// All values, from the first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|queue| -> Iter<'_, T> { queue.iter() })
    }

    fn settle(&mut self) {
        self.0.take_if(|queue| queue.is_empty());
    }
}

impl<T> Default for RareQueue<T> {
    fn default() -> Self {
        RareQueue::new()
    }
}

impl<T> IntoIterator for RareQueue<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        self.0.map_or_else(VecDeque::new, |queue| *queue).into_iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for RareQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_queue_is_one_word() {
        assert_eq!(size_of::<RareQueue<[u64; 9]>>(), size_of::<usize>());
    }

    proptest! {
        #[test]
        fn like_any_queue(steps in proptest::collection::vec((0u8..4, any::<u8>()), 0..100)) {
            let (mut queue, mut model) = (RareQueue::new(), VecDeque::new());
            for (step, value) in steps {
                match step {
                    0 => prop_assert_eq!(queue.pop_front(), model.pop_front()),
                    1 => {
                        queue.retain(|v| *v < value);
                        model.retain(|v| *v < value);
                    }
                    _ => {
                        queue.push_back(value);
                        model.push_back(value);
                    }
                }
                prop_assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(queue.front(), model.front());
                prop_assert!(queue.iter().eq(&model));
                prop_assert_eq!(queue.0.is_some(), !model.is_empty(), "memory while something is in it");
            }
            prop_assert!(queue.into_iter().eq(model));
        }
    }
}
