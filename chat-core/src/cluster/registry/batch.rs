//! Changes in a row, as bytes: what goes into a frame.

use super::codec;
use crate::base::limits::REGISTRY_CHANGES_MAX;
use crate::cluster::wire::{Reader, Versions, WireFault, Writer};
use crate::route::registry::Change;

/// Bytes of the shortest change.
const CHANGE_BYTES_MIN: usize = 5;
/// At what version changes wait to be sent.
const VERSION: u16 = Versions::OURS.max;

/// Changes in order, in one piece of memory, which is kept for the next ones when it is cleared. They are written at the newest
/// version that this release speaks, and written anew for a node that speaks an older one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
    len: usize,
}

impl Batch {
    /// No changes, no memory.
    pub const fn new() -> Self {
        Batch { bytes: Vec::new(), len: 0 }
    }

    /// Adds a change at the end.
    pub fn push(&mut self, change: &Change<'_>) {
        codec::write(change, &mut self.bytes, VERSION);
        self.len += 1;
    }

    /// The number of changes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The changes, in order.
    pub fn iter(&self) -> Changes<'_> {
        Changes { bytes: &self.bytes, left: self.len, version: VERSION }
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.len = 0;
    }

    /// Whether no more may go into one frame, of `bytes` if possible.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        self.bytes.len() >= bytes || self.len >= REGISTRY_CHANGES_MAX
    }

    /// Writes them, with their number, into a body of a version.
    pub(super) fn write(&self, w: &mut Writer<'_>, version: u16) {
        w.number(self.len as u64);
        if version == VERSION {
            w.raw(&self.bytes);
        } else {
            self.iter().for_each(|change| codec::write(&change, w.out(), version));
        }
    }

    /// Bytes that they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Changes that are read one after the other from bytes that have been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes<'a> {
    bytes: &'a [u8],
    left: usize,
    version: u16,
}

impl<'a> Changes<'a> {
    /// Reads the changes of a frame: how many, and each. All are checked here, none is kept.
    pub(super) fn read(r: &mut Reader<'a>, version: u16) -> Result<Self, WireFault> {
        let left = r.count(REGISTRY_CHANGES_MAX, CHANGE_BYTES_MIN)?;
        let bytes = r.rest();
        for _ in 0..left {
            codec::read(r)?;
        }
        Ok(Changes { bytes: &bytes[..bytes.len() - r.rest().len()], left, version })
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut r = Reader::new(self.bytes, self.version);
        let change = codec::read(&mut r).expect("these bytes were read or written before");
        self.bytes = r.rest();
        Some(change)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Changes<'_> {}
