//! Choices made from the bytes of a fuzzer. When they are used up, every choice is zero.
//!
//! Owns: how bytes become choices. Not here: what is chosen (the targets).

/// What is left of the bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes<'d>(pub &'d [u8]);

impl<'d> Bytes<'d> {
    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A choice among `n` things.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n.max(1)
    }

    /// A number of two bytes.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Up to `n` bytes.
    pub fn take(&mut self, n: usize) -> &'d [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
