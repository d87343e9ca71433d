//! Queues of bytes in chunks of 4 KiB that belong to a common pool.
//!
//! Ten thousand connections are idle while one is busy: an empty queue owns nothing, and what a queue gives up is
//! at once there for the next one, without a call to the allocator.

use std::collections::VecDeque;
use std::fmt;

/// Bytes in one chunk.
pub const CHUNK_BYTES: usize = 4096;

/// Lists of chunks that a pool keeps for reuse; more are seldom needed at a time.
const LISTS_KEPT_MAX: usize = 64;

/// A list longer than this (1 MiB of bytes) goes back to the allocator rather than to the pool.
const LIST_KEPT_CHUNKS_MAX: usize = 256;

type Chunk = Box<[u8; CHUNK_BYTES]>;
// A box, so that a queue of at most one chunk does not carry the four words of a list it does not need.
#[allow(clippy::box_collection, reason = "explained above")]
type List = Box<VecDeque<Chunk>>;

/// The chunks that no queue needs at present, and the count of all.
///
/// One pool serves all queues of an engine. Chunks hold old bytes: they are cleared when made, never again.
pub struct Pool {
    chunks: Vec<Chunk>,
    lists: Vec<List>,
    lent: usize,
    keep_max: usize,
}

impl Pool {
    /// An empty pool that keeps at most `keep_max` free chunks; what comes back beyond goes to the allocator.
    pub const fn new(keep_max: usize) -> Self {
        Pool { chunks: Vec::new(), lists: Vec::new(), lent: 0, keep_max }
    }

    /// The number of chunks there are: in queues and free.
    pub fn allocated(&self) -> usize {
        self.lent + self.chunks.len()
    }

    /// The number of free chunks.
    pub fn free(&self) -> usize {
        self.chunks.len()
    }

    /// The number of chunks in queues. Those of a queue that was dropped with bytes in it stay counted.
    pub fn lent(&self) -> usize {
        self.lent
    }

    fn take(&mut self) -> Chunk {
        self.lent += 1;
        self.chunks.pop().unwrap_or_else(|| {
            let zeros = vec![0; CHUNK_BYTES].into_boxed_slice();
            zeros.try_into().expect("the slice has the length of a chunk")
        })
    }

    fn give(&mut self, chunk: Chunk) {
        self.lent = self.lent.checked_sub(1).expect("a chunk came back to a pool that did not lend it");
        if self.chunks.len() < self.keep_max {
            self.chunks.push(chunk);
        }
    }

    fn take_list(&mut self) -> List {
        self.lists.pop().unwrap_or_default()
    }

    fn give_list(&mut self, list: List) {
        debug_assert!(list.is_empty(), "a list came back with chunks in it");
        if self.lists.len() < LISTS_KEPT_MAX && list.capacity() <= LIST_KEPT_CHUNKS_MAX {
            self.lists.push(list);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} lent, {} free)", self.lent, self.chunks.len())
    }
}

/// Bytes that wait, first in, first out. Three words; an empty queue owns no memory.
///
/// All calls on one queue must name the same pool. Drop a queue only after [`ByteQueue::clear`], unless its pool
/// goes with it; else the pool counts the lost chunks for ever.
#[derive(Default)]
pub struct ByteQueue {
    /// The first chunk, present exactly if there are bytes.
    first: Option<Chunk>,
    /// The chunks after it, present exactly if there are some.
    rest: Option<List>,
    /// Bytes of the first chunk that were consumed; below [`CHUNK_BYTES`].
    start: u32,
    len: u32,
}

impl ByteQueue {
    /// The number of bytes that wait.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no byte waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends `bytes`.
    ///
    /// # Panics
    /// Over 4 GiB in one queue. Callers have limits far below.
    pub fn push(&mut self, pool: &mut Pool, mut bytes: &[u8]) {
        let added = u32::try_from(bytes.len()).ok().and_then(|n| self.len.checked_add(n));
        let len = added.expect("more than 4 GiB in one queue");
        let mut end = self.start as usize + self.len as usize;
        while !bytes.is_empty() {
            let at = end % CHUNK_BYTES;
            if at == 0 {
                self.add_chunk(pool);
            }
            let n = bytes.len().min(CHUNK_BYTES - at);
            let (now, later) = bytes.split_at(n);
            self.last_chunk()[at..at + n].copy_from_slice(now);
            bytes = later;
            end += n;
        }
        self.len = len;
    }

    /// Appends the `len` bytes of `from` that begin at its byte `offset`.
    ///
    /// # Panics
    /// If `from` has not that many.
    pub fn append_range(&mut self, pool: &mut Pool, from: &ByteQueue, offset: usize, len: usize) {
        for piece in from.pieces(offset, len) {
            self.push(pool, piece);
        }
    }

    /// Puts the slices that the queue consists of, from its front, into `out`, as far as there is room, and says
    /// how many: for a vectored write.
    pub fn slices<'a>(&'a self, out: &mut [&'a [u8]]) -> usize {
        self.slices_from(0, out)
    }

    /// As [`ByteQueue::slices`], without the first `offset` bytes.
    ///
    /// # Panics
    /// If there are fewer than `offset` bytes.
    pub fn slices_from<'a>(&'a self, offset: usize, out: &mut [&'a [u8]]) -> usize {
        assert!(offset <= self.len(), "slices from byte {offset} of {}", self.len);
        let pieces = self.pieces(offset, self.len() - offset);
        out.iter_mut().zip(pieces).map(|(place, piece)| *place = piece).count()
    }

    /// Appends a copy of the `len` bytes from byte `offset` on to `out`.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn copy_to(&self, offset: usize, len: usize, out: &mut Vec<u8>) {
        out.reserve(len);
        for piece in self.pieces(offset, len) {
            out.extend_from_slice(piece);
        }
    }

    /// Removes the first `n` bytes. Chunks that hold nothing else are free at once.
    ///
    /// # Panics
    /// If there are fewer than `n`.
    pub fn consume(&mut self, pool: &mut Pool, n: usize) {
        assert!(n <= self.len(), "{n} bytes consumed of {}", self.len);
        if n == self.len() {
            return self.clear(pool);
        }
        self.len -= n as u32;
        let mut start = self.start as usize + n;
        while start >= CHUNK_BYTES {
            let next = self.rest.as_mut().and_then(|rest| rest.pop_front());
            let chunk = std::mem::replace(&mut self.first, next).expect("bytes without a chunk");
            pool.give(chunk);
            start -= CHUNK_BYTES;
        }
        self.start = start as u32;
        self.drop_empty_list(pool);
    }

    /// Removes all bytes but the first `len`: takes back what was appended last. Nothing, if there are fewer.
    pub fn truncate(&mut self, pool: &mut Pool, len: usize) {
        if len >= self.len() {
            return;
        }
        if len == 0 {
            return self.clear(pool);
        }
        self.len = len as u32;
        let chunks = (self.start as usize + len).div_ceil(CHUNK_BYTES);
        while let Some(rest) = self.rest.as_mut().filter(|rest| rest.len() >= chunks) {
            pool.give(rest.pop_back().expect("the list was just seen to be longer"));
            self.drop_empty_list(pool);
        }
    }

    /// Removes all bytes.
    pub fn clear(&mut self, pool: &mut Pool) {
        if let Some(first) = self.first.take() {
            pool.give(first);
        }
        if let Some(mut rest) = self.rest.take() {
            rest.drain(..).for_each(|chunk| pool.give(chunk));
            pool.give_list(rest);
        }
        self.start = 0;
        self.len = 0;
    }

    fn add_chunk(&mut self, pool: &mut Pool) {
        let chunk = pool.take();
        if self.first.is_none() {
            self.first = Some(chunk);
        } else {
            self.rest.get_or_insert_with(|| pool.take_list()).push_back(chunk);
        }
    }

    fn last_chunk(&mut self) -> &mut [u8; CHUNK_BYTES] {
        let last = match &mut self.rest {
            Some(rest) => rest.back_mut(),
            None => self.first.as_mut(),
        };
        last.expect("bytes without a chunk")
    }

    fn drop_empty_list(&mut self, pool: &mut Pool) {
        if let Some(list) = self.rest.take_if(|list| list.is_empty()) {
            pool.give_list(list);
        }
    }

    /// The non-empty slices that hold `len` bytes from byte `offset` on.
    fn pieces(&self, offset: usize, len: usize) -> impl Iterator<Item = &[u8]> {
        let in_range = offset.checked_add(len).is_some_and(|end| end <= self.len());
        assert!(in_range, "{len} bytes from byte {offset} of {}", self.len);
        let begin = self.start as usize + offset;
        let end = begin + len;
        let rest = self.rest.as_deref();
        let chunks = if len == 0 { 0..0 } else { begin / CHUNK_BYTES..end.div_ceil(CHUNK_BYTES) };
        chunks.map(move |i| {
            let chunk = if i == 0 { self.first.as_ref() } else { rest.and_then(|rest| rest.get(i - 1)) };
            let chunk = chunk.expect("bytes without a chunk");
            let from = begin.max(i * CHUNK_BYTES) - i * CHUNK_BYTES;
            let to = end.min((i + 1) * CHUNK_BYTES) - i * CHUNK_BYTES;
            &chunk[from..to]
        })
    }
}

impl fmt::Debug for ByteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the bytes: they may be what somebody wrote to somebody.
        write!(f, "ByteQueue({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests;
