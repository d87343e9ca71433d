//! Numbered frames on their way: kept until the other node has receipted them, sent again from wherever it has got to.

use std::collections::VecDeque;
use std::fmt;

use crate::base::{ByteQueue, Pool};
use crate::cluster::wire::{Kind, write_head};

/// Free chunks a link keeps for the next burst: 256 KiB.
const CHUNKS_KEPT_MAX: usize = 64;

/// Encoded frames from the first that is not receipted, and how far the present connection has got with them.
pub(super) struct Resend {
    bytes: ByteQueue,
    pool: Pool,
    /// The length of each frame, its head included.
    lens: VecDeque<u32>,
    /// The number of the last frame that is not kept any more.
    acked: u64,
    /// Frames that were handed to the present connection whole.
    whole: usize,
    /// Their bytes.
    whole_bytes: usize,
    /// Bytes of the next one that were handed to it.
    begun: usize,
    /// For the head of a frame.
    scratch: Vec<u8>,
}

impl Resend {
    pub(super) fn new() -> Self {
        Resend {
            bytes: ByteQueue::default(),
            pool: Pool::new(CHUNKS_KEPT_MAX),
            lens: VecDeque::new(),
            acked: 0,
            whole: 0,
            whole_bytes: 0,
            begun: 0,
            scratch: Vec::new(),
        }
    }

    /// The number of the last frame that arrived for certain.
    pub(super) fn acked(&self) -> u64 {
        self.acked
    }

    /// The number of the last frame there is.
    pub(super) fn last(&self) -> u64 {
        self.acked + self.lens.len() as u64
    }

    /// Bytes that are kept.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// One more frame.
    pub(super) fn push(&mut self, kind: Kind, body: &[u8]) {
        self.scratch.clear();
        let number = self.last() + 1;
        write_head(&mut self.scratch, kind, Some(number), body.len());
        self.lens.push_back((self.scratch.len() + body.len()) as u32);
        self.bytes.push(&mut self.pool, &self.scratch);
        self.bytes.push(&mut self.pool, body);
    }

    /// The other node has everything up to this number. False if it cannot have.
    pub(super) fn receipt(&mut self, number: u64) -> bool {
        if number > self.acked + self.whole as u64 {
            return false;
        }
        while self.acked < number {
            let len = self.lens.pop_front().expect("there are frames up to the last number") as usize;
            self.bytes.consume(&mut self.pool, len);
            self.acked += 1;
            self.whole -= 1;
            self.whole_bytes -= len;
        }
        true
    }

    /// A new connection, on which the other node said that it has everything up to this number: one of those kept, or
    /// the last that is not.
    pub(super) fn rewind(&mut self, number: u64) {
        assert!((self.acked..=self.last()).contains(&number), "a resumption outside of what is kept");
        self.whole = (number - self.acked) as usize;
        self.whole_bytes = self.lens.iter().take(self.whole).map(|len| *len as usize).sum();
        self.begun = 0;
        let known = self.receipt(number);
        debug_assert!(known, "what counts as sent can be receipted");
    }

    /// Nothing is to be sent, and numbers begin anew.
    pub(super) fn clear(&mut self) {
        self.bytes.clear(&mut self.pool);
        self.lens.clear();
        self.acked = 0;
        self.whole = 0;
        self.whole_bytes = 0;
        self.begun = 0;
    }

    /// Bytes of the frame that the connection is in the middle of.
    pub(super) fn rest_of_begun(&self) -> usize {
        if self.begun == 0 { 0 } else { self.lens[self.whole] as usize - self.begun }
    }

    /// Bytes the connection has not got yet.
    pub(super) fn unsent(&self) -> usize {
        self.bytes.len() - self.whole_bytes - self.begun
    }

    /// Slices of `len` unsent bytes, without the first `skip`, as far as there is room; how many slices.
    pub(super) fn slices<'a>(&'a self, skip: usize, len: usize, out: &mut [&'a [u8]]) -> usize {
        if len == 0 {
            return 0;
        }
        let n = self.bytes.slices_from(self.whole_bytes + self.begun + skip, out);
        let mut room = len;
        for (i, slice) in out[..n].iter_mut().enumerate() {
            if slice.len() >= room {
                *slice = &slice[..room];
                return i + 1;
            }
            room -= slice.len();
        }
        n
    }

    /// The connection got `n` of them.
    pub(super) fn sent(&mut self, mut n: usize) {
        while n > 0 {
            let len = *self.lens.get(self.whole).expect("more was sent than there is") as usize;
            let step = n.min(len - self.begun);
            self.begun += step;
            n -= step;
            if self.begun == len {
                self.whole += 1;
                self.whole_bytes += len;
                self.begun = 0;
            }
        }
    }
}

impl fmt::Debug for Resend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resend({} to {}, {} bytes)", self.acked + 1, self.last(), self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsent(resend: &Resend) -> Vec<u8> {
        let mut out = [&[][..]; 8];
        let n = resend.slices(0, resend.unsent(), &mut out);
        out[..n].concat()
    }

    #[test]
    fn frames_are_kept_until_receipted_and_sent_again_from_anywhere() {
        let mut resend = Resend::new();
        for body in [&[1u8; 3000][..], &[2; 3000], &[3; 10]] {
            resend.push(Kind::Envelope, body);
        }
        let all = unsent(&resend);
        assert_eq!((resend.acked(), resend.last(), all.len()), (0, 3, 6010 + 3 * 6));
        assert!(!resend.receipt(1), "nothing was sent");
        resend.sent(3010);
        assert_eq!(resend.rest_of_begun(), 3002);
        assert!(resend.receipt(1) && !resend.receipt(2));
        assert_eq!(unsent(&resend), all[3010..]);
        let mut out = [&[][..]; 8];
        let n = resend.slices(0, 3002, &mut out);
        assert_eq!(out[..n].concat(), all[3010..6012]);
        let n = resend.slices(3002, 16, &mut out);
        assert_eq!(out[..n].concat(), all[6012..]);
        // The connection breaks; the other node has the first two, though no receipt came.
        resend.rewind(2);
        assert_eq!((resend.acked(), resend.len()), (2, 16));
        assert_eq!(unsent(&resend), all[6012..]);
        resend.sent(16);
        resend.rewind(2);
        assert_eq!(unsent(&resend), all[6012..], "it has not arrived");
        resend.sent(16);
        assert!(resend.receipt(3) && resend.receipt(3) && !resend.receipt(4));
        assert_eq!((resend.len(), resend.unsent(), resend.rest_of_begun()), (0, 0, 0));
        resend.push(Kind::Envelope, &[]);
        assert_eq!(resend.last(), 4);
    }
}
