//! The way of nearly every address: ASCII that is prepared already needs a look at each byte and nothing else.
//!
//! Everything here answers "certainly prepared" or "do not know"; it never finds an error, so that the slow way alone
//! decides what is wrong.

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
    for (index, byte) in bytes.iter().enumerate().skip(start) {
        let allowed = ALLOWED[usize::from(*byte)];
        if allowed & SEPARATOR != 0 {
            return (index, parts);
        }
        parts &= allowed;
    }
    (bytes.len(), parts)
}

/// Whether a localpart is ASCII, of valid length, and already its own prepared form.
pub(super) fn is_prepared_local(text: &str) -> bool {
    matches!(text.len(), 1..=PART_BYTES_MAX) && holds_only(text, LOCAL)
}

/// Whether a resourcepart is ASCII, of valid length, and already its own prepared form.
pub(super) fn is_prepared_resource(text: &str) -> bool {
    matches!(text.len(), 1..=PART_BYTES_MAX) && holds_only(text, RESOURCE)
}

/// Whether a domain is ASCII without A-labels, of valid length, and already its own prepared form. An IPv4 address
/// passes like any other dotted name; an IPv6 literal takes the slow way.
pub(super) fn is_prepared_domain(text: &str) -> bool {
    holds_only(text, DOMAIN) && has_prepared_labels(text.as_bytes())
}

fn has_prepared_labels(domain: &[u8]) -> bool {
    domain.len() <= PART_BYTES_MAX && domain.split(|byte| *byte == b'.').all(is_prepared_label)
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
