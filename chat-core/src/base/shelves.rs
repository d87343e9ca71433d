//! A list that grows without moving what is in it.

/// Values on one shelf.
const SHELF: usize = 128;

/// A list in pieces of 128 values. A million sessions in one piece would be copied whole each time they double, with
/// the copy beside them for a moment and half of it empty afterwards; here at most one shelf is not full.
#[derive(Debug, Clone)]
pub struct Shelves<T> {
    shelves: Vec<Vec<T>>,
    len: usize,
}

impl<T> Shelves<T> {
    /// No values, no memory.
    pub const fn new() -> Self {
        Shelves { shelves: Vec::new(), len: 0 }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a value at the end.
    pub fn push(&mut self, value: T) {
        if self.len.is_multiple_of(SHELF) {
            // A list that stays short takes no whole shelf.
            let shelf = if self.len == 0 { Vec::new() } else { Vec::with_capacity(SHELF) };
            self.shelves.push(shelf);
        }
        self.shelves[self.len / SHELF].push(value);
        self.len += 1;
    }

    /// The value at this index.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.shelves.get(index / SHELF)?.get(index % SHELF)
    }

    /// The value at this index.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.shelves.get_mut(index / SHELF)?.get_mut(index % SHELF)
    }

    /// All values, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.shelves.iter().flatten()
    }

    /// All values, in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.shelves.iter_mut().flatten()
    }
}

impl<T> Default for Shelves<T> {
    fn default() -> Self {
        Shelves::new()
    }
}

impl<T> std::ops::Index<usize> for Shelves<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.shelves[index / SHELF][index % SHELF]
    }
}

impl<T> std::ops::IndexMut<usize> for Shelves<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.shelves[index / SHELF][index % SHELF]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_a_vector() {
        let (mut shelves, mut vector) = (Shelves::new(), Vec::new());
        for i in 0..1_000 {
            assert_eq!((shelves.len(), shelves.get(i)), (i, None));
            shelves.push(i);
            vector.push(i);
        }
        *shelves.get_mut(500).unwrap() += 1;
        shelves[501] += 1;
        vector[500] += 1;
        vector[501] += 1;
        assert!(shelves.iter().eq(&vector) && shelves.iter_mut().map(|n| *n).eq(vector.iter().copied()));
        assert!((0..1_000).all(|i| shelves[i] == vector[i]));
    }

    #[test]
    fn nothing_is_reserved_but_the_rest_of_a_shelf() {
        let mut shelves = Shelves::new();
        for i in 0..10 * SHELF + 1 {
            shelves.push(i);
        }
        let room: usize = shelves.shelves.iter().map(Vec::capacity).sum();
        assert_eq!(room, 11 * SHELF);
    }
}
