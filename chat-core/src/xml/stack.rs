//! A stack that allocates only when it grows past what is usual.

/// A stack whose first `N` items live inside it; what comes after spills to the heap.
#[derive(Debug, Clone)]
pub(super) struct Stack<T, const N: usize> {
    inline: [T; N],
    len: usize,
    spill: Vec<T>,
}

impl<T: Copy + Default, const N: usize> Stack<T, N> {
    #[inline]
    pub(super) fn new() -> Self {
        Stack { inline: [T::default(); N], len: 0, spill: Vec::new() }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn push(&mut self, item: T) {
        match self.inline.get_mut(self.len) {
            Some(slot) => *slot = item,
            None => self.spill.push(item),
        }
        self.len += 1;
    }

    #[inline]
    pub(super) fn get(&self, i: usize) -> Option<&T> {
        if i >= self.len { None } else { self.inline.get(i).or_else(|| self.spill.get(i - N)) }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        let top = match self.spill.pop() {
            Some(top) => top,
            None => *self.inline.get(self.len.checked_sub(1)?)?,
        };
        self.len -= 1;
        Some(top)
    }

    #[inline]
    pub(super) fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.spill.truncate(len.saturating_sub(N));
            self.len = len;
        }
    }

    /// What lies inside, and what comes after.
    #[inline]
    pub(super) fn parts(&self) -> (&[T], &[T]) {
        (&self.inline[..self.len.min(N)], &self.spill)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = T> + '_ {
        let (usual, more) = self.parts();
        usual.iter().chain(more).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spilled_items_keep_their_order() {
        let mut s = Stack::<u8, 2>::new();
        for i in 0..5 {
            s.push(i);
        }
        assert_eq!(s.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(s.parts(), (&[0, 1][..], &[2, 3, 4][..]));
        assert_eq!((s.get(3), s.get(5)), (Some(&3), None));
        assert_eq!(s.pop(), Some(4));
        s.truncate(1);
        assert_eq!((s.len(), s.pop(), s.pop()), (1, Some(0), None));
        s.push(7);
        assert_eq!(s.iter().rev().collect::<Vec<_>>(), [7]);
    }
}
