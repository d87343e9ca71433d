//! Numbers, text and bytes: the few shapes that all bodies are made of.

/// Bytes that are not what they should be.
///
/// Always the fault of the other node, or of a node of another version that was not told apart. Nothing has changed; the
/// connection is closed, and the other side is told [`Bye::Fault`](super::Bye::Fault).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireFault {
    /// A field ends behind the end of its frame.
    #[error("a frame ends in the middle of a field")]
    Cut,
    /// Something stands behind the last field.
    #[error("a frame goes on behind its last field")]
    Trailing,
    /// A number is longer than it has to be, or larger than its field allows.
    #[error("a number is out of its range")]
    Number,
    /// Text is not UTF-8.
    #[error("text that is not UTF-8")]
    Text,
    /// Text, bytes or a list are longer than their field allows.
    #[error("a field is longer than it may be")]
    TooLong,
    /// A field holds a value that this version does not know.
    #[error("a field holds an unknown value")]
    Value,
    /// A frame is larger than any may be: these are no frames, or the other node breaks a limit.
    #[error("a frame of {0} bytes is larger than any may be")]
    FrameTooLarge(u32),
    /// A frame of a kind that the agreed version does not have, and that may not be skipped.
    #[error("a frame of the kind {0:#04x}, which the agreed version does not have")]
    Kind(u8),
    /// A frame has another number than the one that comes next.
    #[error("a frame is numbered {found} where {expected} comes next")]
    Sequence {
        /// The number that comes next.
        expected: u64,
        /// The number it has.
        found: u64,
    },
    /// A receipt for frames that were never sent.
    #[error("a receipt for frames that were never sent")]
    Receipt,
    /// A frame that does not belong to this part of the conversation.
    #[error("a frame of the kind {0:#04x} out of turn")]
    Turn(u8),
}

/// The version of what has none: what is said before one is agreed, and what is said alike at all.
pub const UNVERSIONED: u16 = 0;

/// Takes a body of a version apart, from the front.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    left: &'a [u8],
    version: u16,
}

impl<'a> Reader<'a> {
    /// A reader of these bytes, which were written at this version.
    pub fn new(bytes: &'a [u8], version: u16) -> Self {
        Reader { left: bytes, version }
    }

    /// Whether they were written at this version or a later one: then they have the fields that came with it.
    pub fn is_since(&self, version: u16) -> bool {
        self.version >= version
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.left
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, WireFault> {
        let (first, rest) = self.left.split_first().ok_or(WireFault::Cut)?;
        self.left = rest;
        Ok(*first)
    }

    /// Exactly `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireFault> {
        let (first, rest) = self.left.split_first_chunk().ok_or(WireFault::Cut)?;
        self.left = rest;
        Ok(*first)
    }

    /// A number, in the shortest form it has.
    pub fn number(&mut self) -> Result<u64, WireFault> {
        let mut value = 0u64;
        for i in 0..10 {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte holds the highest bit only; a last byte of zero says nothing, so it is too many.
            if (i == 9 && bits > 1) || (i > 0 && byte == 0) {
                return Err(WireFault::Number);
            }
            value |= bits << (7 * i);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireFault::Number)
    }

    /// A number of at most `max`.
    pub fn number_to(&mut self, max: u64) -> Result<u64, WireFault> {
        self.number().and_then(|n| if n <= max { Ok(n) } else { Err(WireFault::Number) })
    }

    /// A number of 32 bits.
    pub fn number32(&mut self) -> Result<u32, WireFault> {
        self.number().and_then(|n| u32::try_from(n).map_err(|_| WireFault::Number))
    }

    /// A number of 16 bits.
    pub fn number16(&mut self) -> Result<u16, WireFault> {
        self.number().and_then(|n| u16::try_from(n).map_err(|_| WireFault::Number))
    }

    /// A signed number: small ones of either sign are short.
    pub fn signed(&mut self) -> Result<i64, WireFault> {
        let n = self.number()?;
        Ok((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    /// Yes or no.
    pub fn flag(&mut self) -> Result<bool, WireFault> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireFault::Value),
        }
    }

    /// At most `max` bytes behind their length.
    pub fn bytes(&mut self, max: usize) -> Result<&'a [u8], WireFault> {
        let len = self.number()?;
        if len > max as u64 {
            return Err(WireFault::TooLong);
        }
        let (now, later) = self.left.split_at_checked(len as usize).ok_or(WireFault::Cut)?;
        self.left = later;
        Ok(now)
    }

    /// Text of at most `max` bytes behind its length.
    pub fn text(&mut self, max: usize) -> Result<&'a str, WireFault> {
        std::str::from_utf8(self.bytes(max)?).map_err(|_| WireFault::Text)
    }

    /// How many of at least `each` bytes follow: at most `max`, and never more than there is room for in what is left,
    /// so that a list of this many may be made room for.
    pub fn count(&mut self, max: usize, each: usize) -> Result<usize, WireFault> {
        let n = self.number()?;
        if n > max as u64 {
            return Err(WireFault::TooLong);
        }
        match (n as usize).checked_mul(each.max(1)) {
            Some(bytes) if bytes <= self.left.len() => Ok(n as usize),
            _ => Err(WireFault::Cut),
        }
    }

    /// Nothing is left.
    pub fn end(self) -> Result<(), WireFault> {
        if self.left.is_empty() { Ok(()) } else { Err(WireFault::Trailing) }
    }
}

/// Puts a body of a version together, at the end of a buffer that is its caller's.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    version: u16,
}

impl<'a> Writer<'a> {
    /// A writer behind what is there, of what is read at this version.
    pub fn new(out: &'a mut Vec<u8>, version: u16) -> Self {
        Writer { out, version }
    }

    /// Whether it will be read at this version or a later one: then the fields that came with it are written.
    pub fn is_since(&self, version: u16) -> bool {
        self.version >= version
    }

    /// What there is so far, for what writes itself.
    pub fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// Bytes without a length: the reader knows how many.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A number.
    pub fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.byte(n as u8 | 0x80);
            n >>= 7;
        }
        self.byte(n as u8);
    }

    /// A signed number.
    pub fn signed(&mut self, n: i64) {
        self.number((n << 1 ^ n >> 63) as u64);
    }

    /// Yes or no.
    pub fn flag(&mut self, yes: bool) {
        self.byte(u8::from(yes));
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    /// Text behind its length.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_have_one_form() {
        for (bytes, read) in [
            (&[0][..], Ok(0)),
            (&[0x7f], Ok(127)),
            (&[0x80, 1], Ok(128)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], Ok(u64::MAX)),
            (&[], Err(WireFault::Cut)),
            (&[0x80], Err(WireFault::Cut)),
            (&[0x80, 0], Err(WireFault::Number)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], Err(WireFault::Number)),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x81, 0], Err(WireFault::Number)),
        ] {
            assert_eq!(Reader::new(bytes, UNVERSIONED).number(), read, "{bytes:x?}");
        }
    }

    #[test]
    fn lengths_are_judged_before_they_are_believed() {
        let mut huge = Vec::new();
        Writer::new(&mut huge, UNVERSIONED).number(u64::MAX);
        assert_eq!(Reader::new(&huge, UNVERSIONED).bytes(usize::MAX), Err(WireFault::Cut));
        assert_eq!(Reader::new(&huge, UNVERSIONED).bytes(10), Err(WireFault::TooLong));
        assert_eq!(Reader::new(&huge, UNVERSIONED).count(usize::MAX, 8), Err(WireFault::Cut));
        assert_eq!(Reader::new(&[2, 0, 0, 0], UNVERSIONED).count(9, 2), Err(WireFault::Cut));
        assert_eq!(Reader::new(&[2, 0, 0, 0, 0], UNVERSIONED).count(9, 2), Ok(2));
        assert_eq!(Reader::new(&[2, 0xc3, 0x28], UNVERSIONED).text(9), Err(WireFault::Text));
        assert_eq!(Reader::new(&[2], UNVERSIONED).flag(), Err(WireFault::Value));
        assert_eq!(Reader::new(&[2], UNVERSIONED).end(), Err(WireFault::Trailing));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(n: u64, s: i64, b: bool, text in ".{0,20}", raw: [u8; 5]) {
            let mut out = Vec::new();
            let mut w = Writer::new(&mut out, UNVERSIONED);
            w.number(n);
            w.signed(s);
            w.flag(b);
            w.text(&text);
            w.raw(&raw);
            let mut r = Reader::new(&out, UNVERSIONED);
            prop_assert_eq!((r.number(), r.signed(), r.flag()), (Ok(n), Ok(s), Ok(b)));
            prop_assert_eq!((r.text(100), r.array()), (Ok(&*text), Ok(raw)));
            prop_assert_eq!(r.end(), Ok(()));
        }

        #[test]
        fn what_reads_as_a_number_is_written_like_that(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut r = Reader::new(&bytes, UNVERSIONED);
            if let Ok(n) = r.number() {
                let mut out = Vec::new();
                Writer::new(&mut out, UNVERSIONED).number(n);
                prop_assert_eq!(&out[..], &bytes[..bytes.len() - r.rest().len()]);
            }
        }
    }
}
