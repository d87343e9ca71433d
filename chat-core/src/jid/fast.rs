//! The way of nearly every address: ASCII that is prepared already needs a look at each byte and nothing else.
//!
//! Everything here answers "certainly prepared" or "do not know"; it never finds an error, so that the slow way alone
//! decides what is wrong.

use super::{JID_BYTES_MAX, JidRef, PART_BYTES_MAX, split};

const LOCAL: u8 = 1;
const DOMAIN: u8 = 2;
const RESOURCE: u8 = 4;

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
        table[byte as usize] = parts;
        byte += 1;
    }
    table
}

/// The address, if it is prepared ASCII throughout.
pub(super) fn parse(text: &str) -> Option<JidRef<'_>> {
    if text.len() > JID_BYTES_MAX {
        return None;
    }
    let (local, domain, resource) = split(text);
    let prepared = local.is_none_or(is_prepared_local)
        && is_prepared_domain(domain)
        && resource.is_none_or(is_prepared_resource);
    prepared.then(|| JidRef::of_prepared(text))
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
    text.len() <= PART_BYTES_MAX
        && holds_only(text, DOMAIN)
        && text.as_bytes().split(|byte| *byte == b'.').all(is_prepared_label)
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
