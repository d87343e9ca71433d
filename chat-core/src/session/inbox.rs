//! What was received and not handled yet, and where its frames end.

use std::ops::Range;

use crate::base::{ByteQueue, Pool};
use crate::stream::{StreamCondition, StreamError};
use crate::xml::{FrameKind, Framer, Step};

/// The framing of one stream, with the bytes of an unfinished frame.
#[derive(Default)]
pub struct Inbox {
    framer: Framer,
    queue: ByteQueue,
    /// How much of the queue the framer has seen: the unfinished frame. What follows waits unseen.
    seen: u32,
}

/// Where the bytes of a frame are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the input just received.
    Input(Range<usize>),
    /// In the scratch buffer, put together from several inputs.
    Scratch,
}

/// One complete frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: FrameKind,
    /// Where it is.
    pub place: Place,
}

impl Inbox {
    /// A new stream begins: after STARTTLS and after authentication (RFC 6120 §4.3.3).
    pub fn restart(&mut self) {
        self.framer.restart();
    }

    /// Nothing waits here.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Nothing waits here, and what comes next may begin with a stanza.
    pub fn is_between(&self) -> bool {
        self.queue.is_empty() && self.framer.is_between()
    }

    /// Bytes that wait here.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    fn seen(&self) -> usize {
        self.seen as usize
    }

    /// The next frame of what waits here and then of `input` from `*at`, which moves. `None`: everything is taken,
    /// and what is unfinished waits here.
    ///
    /// # Errors
    /// What the framer refuses; `policy-violation` for a frame over `max` bytes, as soon as that is known.
    pub fn next(
        &mut self,
        pool: &mut Pool,
        input: &[u8],
        at: &mut usize,
        scratch: &mut Vec<u8>,
        max: usize,
    ) -> Result<Option<Frame>, StreamError> {
        while self.seen() < self.queue.len() {
            let mut part: [&[u8]; 1] = [&[]];
            self.queue.slices_from(self.seen(), &mut part);
            let step = self.framer.push(part[0])?;
            match step {
                Step::Need => self.seen += part[0].len() as u32,
                Step::Frame { kind, end } => {
                    let len = self.seen() + end;
                    // White space is no element, however much of it arrives at once.
                    if kind != FrameKind::Space {
                        fits(len, max)?;
                    }
                    scratch.clear();
                    self.queue.copy_to(0, len, scratch);
                    self.queue.consume(pool, len);
                    self.seen = 0;
                    return Ok(Some(Frame { kind, place: Place::Scratch }));
                }
            }
            fits(self.seen(), max)?;
        }
        let rest = &input[*at..];
        if rest.is_empty() {
            return Ok(None);
        }
        match self.framer.push(rest)? {
            Step::Need => {
                fits(self.queue.len() + rest.len(), max)?;
                self.queue.push(pool, rest);
                self.seen = self.queue.len() as u32;
                *at = input.len();
                Ok(None)
            }
            Step::Frame { kind, end } => {
                if kind != FrameKind::Space {
                    fits(self.queue.len() + end, max)?;
                }
                let range = *at..*at + end;
                *at = range.end;
                if self.queue.is_empty() {
                    return Ok(Some(Frame { kind, place: Place::Input(range) }));
                }
                scratch.clear();
                self.queue.copy_to(0, self.queue.len(), scratch);
                scratch.extend_from_slice(&input[range]);
                self.queue.clear(pool);
                self.seen = 0;
                Ok(Some(Frame { kind, place: Place::Scratch }))
            }
        }
    }

    /// Keeps what cannot be handled now. The driver was told to stop reading, so this is at most what it had read.
    pub fn hold(&mut self, pool: &mut Pool, rest: &[u8]) {
        self.queue.push(pool, rest);
    }

    /// Everything that waits here, taken out.
    pub fn take_all(&mut self, pool: &mut Pool, out: &mut Vec<u8>) {
        self.queue.copy_to(0, self.queue.len(), out);
        self.clear(pool);
    }

    /// Forgets everything.
    pub fn clear(&mut self, pool: &mut Pool) {
        self.queue.clear(pool);
        self.seen = 0;
    }
}

fn fits(len: usize, max: usize) -> Result<(), StreamError> {
    if len > max {
        return Err(StreamError::new(
            StreamCondition::PolicyViolation,
            format!("an element may have {max} bytes here"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"<?xml version='1.0'?><s:stream xmlns:s='x'><a/> <b>text</b></s:stream>";

    fn frames(chunks: &[&[u8]], max: usize) -> Result<Vec<Vec<u8>>, StreamError> {
        let (mut pool, mut inbox, mut scratch, mut all) =
            (Pool::new(4), Inbox::default(), Vec::new(), Vec::new());
        for chunk in chunks {
            let mut at = 0;
            while let Some(frame) = inbox.next(&mut pool, chunk, &mut at, &mut scratch, max)? {
                if frame.kind != FrameKind::Space {
                    all.push(match frame.place {
                        Place::Input(range) => chunk[range].to_vec(),
                        Place::Scratch => scratch.clone(),
                    });
                }
            }
        }
        assert_eq!(pool.lent(), 0, "nothing is kept after the last frame");
        Ok(all)
    }

    #[test]
    fn frames_do_not_depend_on_how_bytes_were_cut() {
        let whole = frames(&[STREAM], 1000).unwrap();
        assert_eq!(whole.len(), 4);
        for cut in 1..STREAM.len() {
            assert_eq!(frames(&[&STREAM[..cut], &STREAM[cut..]], 1000).unwrap(), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(frames(&bytes, 1000).unwrap(), whole);
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_it_is_complete() {
        let open = b"<s:stream xmlns:s='x'>";
        let endless = [b'x'; 100];
        let mut chunks: Vec<&[u8]> = vec![open, b"<a>"];
        chunks.extend(std::iter::repeat_n(&endless[..], 3));
        let error = frames(&chunks, 200).unwrap_err();
        assert_eq!(error.condition, StreamCondition::PolicyViolation);
    }

    #[test]
    fn white_space_has_no_limit_however_it_is_cut() {
        let stream = [&b"<s:stream xmlns:s='x'>"[..], &[b' '; 500], b"<a/>"].concat();
        assert_eq!(frames(&[&stream], 200).unwrap().len(), 2);
        let (mut pool, mut inbox, mut scratch, mut at) = (Pool::new(4), Inbox::default(), Vec::new(), 0);
        inbox.next(&mut pool, &stream, &mut at, &mut scratch, 200).unwrap();
        inbox.hold(&mut pool, &stream[at..]);
        at = stream.len();
        while inbox.next(&mut pool, &stream, &mut at, &mut scratch, 200).unwrap().is_some() {}
        assert_eq!(scratch, b"<a/>");
    }

    #[test]
    fn what_is_held_is_handled_later_in_order() {
        let (mut pool, mut inbox, mut scratch) = (Pool::new(4), Inbox::default(), Vec::new());
        let mut at = 0;
        let first = b"<s:stream xmlns:s='x'><a/><b/><c";
        inbox.next(&mut pool, first, &mut at, &mut scratch, 1000).unwrap().unwrap();
        inbox.hold(&mut pool, &first[at..]);
        let mut seen = Vec::new();
        let (rest, mut at) = (b"/>", 0);
        while inbox.next(&mut pool, rest, &mut at, &mut scratch, 1000).unwrap().is_some() {
            seen.push(String::from_utf8(scratch.clone()).unwrap());
        }
        assert_eq!(seen, ["<a/>", "<b/>", "<c/>"]);
    }
}
