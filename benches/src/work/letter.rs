//! The messages of one pair: written from a template, and recognised at the other end.

/// Digits of a message's number.
const NUMBER_DIGITS: usize = 10;
/// The run and the pair: `0123abcd.000042.`
const PREFIX_BYTES: usize = 16;
/// The shortest body that has room for them.
pub const BODY_BYTES_MIN: usize = PREFIX_BYTES + NUMBER_DIGITS;

/// What a body turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The message of this number.
    Number(u64),
    /// Not of this run.
    Foreign,
    /// Of this run and pair, but not as it was sent.
    Altered,
}

/// See the module.
#[derive(Debug)]
pub struct Letter {
    bytes: Vec<u8>,
    /// Where the number stands: in the id and in the body.
    numbers: [usize; 2],
    prefix: [u8; PREFIX_BYTES],
    /// What follows the number in the body.
    filler: Vec<u8>,
}

impl Letter {
    /// To this JID, with bodies of so many bytes.
    ///
    /// # Panics
    /// The body has no room for the number.
    #[must_use]
    pub fn new(to: &str, run: u32, pair: u32, body_bytes: usize) -> Letter {
        assert!(body_bytes >= BODY_BYTES_MIN, "a body has room for its number");
        let number = "0".repeat(NUMBER_DIGITS);
        let prefix = format!("{run:08x}.{:06}.", pair % 1_000_000);
        let filler: String =
            " so they say".chars().cycle().take(body_bytes - prefix.len() - number.len()).collect();
        let head = format!("<message to='{to}' type='chat' id='{pair:x}-");
        let middle = format!("{head}{number}'><body>{prefix}");
        let bytes = format!("{middle}{number}{filler}</body></message>").into_bytes();
        Letter {
            bytes,
            numbers: [head.len(), middle.len()],
            prefix: prefix.into_bytes().try_into().expect("the prefix has its length"),
            filler: filler.into_bytes(),
        }
    }

    /// The message of this number, appended.
    pub fn write(&mut self, number: u64, out: &mut Vec<u8>) {
        let mut digits = [b'0'; NUMBER_DIGITS];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        for at in self.numbers {
            self.bytes[at..at + NUMBER_DIGITS].copy_from_slice(&digits);
        }
        out.extend_from_slice(&self.bytes);
    }

    /// Which message this is, by what its tags enclose.
    #[must_use]
    pub fn read(&self, inner: &[u8]) -> Reading {
        let Some(body) = body_of(inner) else { return Reading::Foreign };
        let Some(rest) = body.strip_prefix(&self.prefix) else { return Reading::Foreign };
        let Some((number, filler)) = rest.split_at_checked(NUMBER_DIGITS) else { return Reading::Altered };
        if filler != self.filler || !number.iter().all(u8::is_ascii_digit) {
            return Reading::Altered;
        }
        Reading::Number(number.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
    }
}

/// The text of the first `<body>`.
fn body_of(inner: &[u8]) -> Option<&[u8]> {
    const BODY: &[u8] = b"<body>";
    let from = match inner.starts_with(BODY) {
        true => BODY.len(),
        false => memchr::memmem::find(inner, BODY)? + BODY.len(),
    };
    memchr::memchr(b'<', &inner[from..]).map(|length| &inner[from..from + length])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmpp::{Token, frame};

    #[test]
    fn what_is_written_is_recognised() {
        for bytes in [BODY_BYTES_MIN, 100, 1_024] {
            let mut letter = Letter::new("b@c/d", 0xabc, 42, bytes);
            let mut out = Vec::new();
            letter.write(12_345, &mut out);
            let Ok(Some((Token::Stanza(message), length))) = frame::next(&out) else { panic!("a stanza") };
            assert_eq!(length, out.len());
            assert_eq!(message.attribute("id"), Some(&b"2a-0000012345"[..]));
            assert_eq!(message.child("body").map(|b| b.inner.len()), Some(bytes));
            assert_eq!(letter.read(message.inner), Reading::Number(12_345));
            let before = [b"<x/>", message.inner].concat();
            assert_eq!(letter.read(&before), Reading::Number(12_345));
            assert_eq!(Letter::new("b@c/d", 0xabd, 42, bytes).read(message.inner), Reading::Foreign);
            assert_eq!(Letter::new("b@c/d", 0xabc, 43, bytes).read(message.inner), Reading::Foreign);
            assert_eq!(Letter::new("b@c/d", 0xabc, 42, bytes + 1).read(message.inner), Reading::Altered);
            assert_eq!(letter.read(b"<subject>x</subject>"), Reading::Foreign);
        }
    }
}
