//! The way of nearly every address: ASCII that is prepared already needs a look at each byte and nothing else.
//!
//! Everything here answers "certainly prepared" or "do not know"; it never finds an error, so that the slow way alone
//! decides what is wrong.

use crate::base::marks::{above, below, each, equal, run};

use super::{JID_BYTES_MAX, JidRef, PART_BYTES_MAX};

const LOCAL: u8 = 1;
const DOMAIN: u8 = 2;
const RESOURCE: u8 = 4;
const SEPARATOR: u8 = 8;

/// Which parts may hold a byte unchanged.
static ALLOWED: [u8; 256] = allowed();

const fn allowed() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        // OpaqueString keeps all printable ASCII and the space (RFC 8265 §4.2).
        let mut parts = RESOURCE;
        // RFC 7622 §3.3.1 forbids these in a localpart; upper case has to be mapped first.
        if !matches!(byte, b' ' | b'"' | b'&' | b'\'' | b'/' | b':' | b'<' | b'>' | b'@' | b'A'..=b'Z') {
            parts |= LOCAL;
        }
        if matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.') {
            parts |= DOMAIN;
        }
        if matches!(byte, b'@' | b'/') {
            parts |= SEPARATOR;
        }
        table[byte as usize] = parts;
        byte += 1;
    }
    table
}

/// The address, if it is prepared ASCII throughout. Looks at each byte once; labels of the domain twice.
pub(super) fn parse(text: &str) -> Option<JidRef<'_>> {
    let bytes = text.as_bytes();
    if bytes.len() > JID_BYTES_MAX {
        return None;
    }
    let (mut end, mut parts) = scan_to_separator(bytes, 0);
    let mut at = 0;
    if bytes.get(end) == Some(&b'@') {
        if !matches!(end, 1..=PART_BYTES_MAX) || parts & LOCAL == 0 {
            return None;
        }
        at = end;
        (end, parts) = scan_to_separator(bytes, at + 1);
    }
    let domain = if at == 0 { &bytes[..end] } else { &bytes[at + 1..end] };
    if parts & DOMAIN == 0 || !has_prepared_labels(domain) {
        return None;
    }
    match bytes.get(end) {
        None => {}
        Some(b'/') if is_prepared_resource(&text[end + 1..]) => {}
        // A second `@`, or a resource that wants preparation.
        Some(_) => return None,
    }
    Some(JidRef::of_prepared_parts(text, at, end))
}

/// Where the next `@` or `/` stands, or the end; and which parts may hold all the bytes before it.
fn scan_to_separator(bytes: &[u8], start: usize) -> (usize, u8) {
    let mut parts = LOCAL | DOMAIN;
    let len = run(&bytes[start..], mark_unusual, |byte| {
        let allowed = ALLOWED[usize::from(byte)];
        let separates = allowed & SEPARATOR != 0;
        if !separates {
            parts &= allowed;
        }
        separates
    });
    (start + len, parts)
}

/// Marks what is neither a small letter nor a digit nor `-` or `.`: all these may stand in each part.
#[inline(always)]
fn mark_unusual(eight: u64) -> u64 {
    // Between the digits and the letters: what is not ASCII is marked anyway, so nothing is carried to where it matters.
    let between = eight.wrapping_add(each(0x80 - (b'9' + 1))) & !eight.wrapping_add(each(0x80 - b'a'));
    below(eight, b'-') | equal(eight, b'/') | between | above(eight, b'z')
}

/// Whether a localpart is ASCII, of valid length, and already its own prepared form.
pub(super) fn is_prepared_local(text: &str) -> bool {
    matches!(text.len(), 1..=PART_BYTES_MAX) && holds_only(text, LOCAL)
}

/// Whether a resourcepart is ASCII, of valid length, and already its own prepared form.
pub(super) fn is_prepared_resource(text: &str) -> bool {
    let marks = |eight| below(eight, b' ') | above(eight, b'~');
    let held = run(text.as_bytes(), marks, |byte| ALLOWED[usize::from(byte)] & RESOURCE == 0);
    matches!(text.len(), 1..=PART_BYTES_MAX) && held == text.len()
}

/// Whether a domain is ASCII without A-labels, of valid length, and already its own prepared form. An IPv4 address
/// passes like any other dotted name; an IPv6 literal takes the slow way.
pub(super) fn is_prepared_domain(text: &str) -> bool {
    holds_only(text, DOMAIN) && has_prepared_labels(text.as_bytes())
}

fn has_prepared_labels(domain: &[u8]) -> bool {
    if domain.len() > PART_BYTES_MAX {
        return false;
    }
    let mut rest = domain;
    loop {
        let dot = run(rest, |eight| equal(eight, b'.'), |byte| byte == b'.');
        if !is_prepared_label(&rest[..dot]) {
            return false;
        }
        match rest.get(dot + 1..) {
            Some(behind) => rest = behind,
            None => return true,
        }
    }
}

fn is_prepared_label(label: &[u8]) -> bool {
    matches!(label.len(), 1..=63)
        && label[0] != b'-'
        && label[label.len() - 1] != b'-'
        && !label.starts_with(b"xn--")
}

fn holds_only(text: &str, part: u8) -> bool {
    text.bytes().all(|byte| ALLOWED[usize::from(byte)] & part != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, byte by byte.
    fn plainly(bytes: &[u8]) -> (usize, u8) {
        let of = |byte: &u8| ALLOWED[usize::from(*byte)];
        let end = bytes.iter().position(|b| of(b) & SEPARATOR != 0).unwrap_or(bytes.len());
        (end, bytes[..end].iter().fold(LOCAL | DOMAIN, |parts, b| parts & of(b)))
    }

    #[test]
    fn each_byte_counts_wherever_it_stands() {
        for len in 1..=17 {
            for (at, byte) in (0..len).flat_map(|at| (0..=255u8).map(move |byte| (at, byte))) {
                for around in [b'a', b'z', b'0', b'9', b'-', b'.'] {
                    let mut bytes = vec![around; len];
                    bytes[at] = byte;
                    assert_eq!(scan_to_separator(&bytes, 0), plainly(&bytes), "{bytes:?}");
                    let Ok(text) = str::from_utf8(&bytes) else { continue };
                    assert_eq!(is_prepared_resource(text), holds_only(text, RESOURCE), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn labels_end_at_each_dot() {
        for (domain, prepared) in [
            ("a", true),
            ("a.b", true),
            ("chat.example.com", true),
            ("", false),
            (".", false),
            ("a.", false),
            (".a", false),
            ("a..b", false),
            ("example.com.", false),
            ("example.-a.com", false),
            ("example.a-.com", false),
            ("a.xn--b", false),
        ] {
            assert_eq!(has_prepared_labels(domain.as_bytes()), prepared, "{domain}");
        }
    }
}
