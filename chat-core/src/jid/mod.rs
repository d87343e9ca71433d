//! XMPP addresses: `local@domain/resource` (RFC 7622).
//!
//! Owns: splitting an address, preparing each part, comparing addresses, and the three types that carry a prepared
//! one: [`JidRef`] (borrowed), [`Jid`] (owned) and [`BareJid`] (owned, without resource).
//! In: text as a peer wrote it, after XML unescaping. Out: the prepared text, or a [`JidError`].
//!
//! Invariants:
//! - A value of these types is prepared: two addresses are the same if and only if their texts are the same bytes.
//!   Equality, order and hash are those of the text, so a map keyed by [`Jid`] can be searched by `&str`.
//! - Preparing a prepared text changes nothing.
//! - A text that is already prepared ASCII, which is nearly all of them, is only looked at: no copy, no allocation.
//!
//! Not here: XML escaping (a resource may hold `<`, `&` and quotes: see `xml`), which domains are served (`route`),
//! who may own an account name (`sasl`, `xep`), XEP-0106 escaping (a matter of clients: `\20` is ordinary text here).
//!
//! Followed: RFC 7622 §3; RFC 8265 §3.3 `UsernameCaseMapped` for the localpart and §4.2 `OpaqueString` for the
//! resourcepart; RFC 8264 §8 and §9 for what a code point may do; RFC 5892 appendix A for context rules; RFC 5893
//! §2 for right-to-left names; UTS #46 (nontransitional) for domains.
//!
//! Decisions where the texts leave a choice or contradict each other:
//! - A domain is kept as U-labels (RFC 7622 §3.2): `xn--fuball-cta.example` becomes `fußball.example`. Whoever needs
//!   DNS converts back. Symbols that UTS #46 admits are admitted (`☃.example`): IDNA2008 would not, but such hosts exist.
//! - `_` is accepted in host names: they exist. Labels hold at most 63 bytes in their ASCII form.
//! - An IPv6 literal is rewritten as RFC 5952 wants, so that its spellings compare equal.
//! - Lower case is the mapping of each code point alone: `Σ` becomes `σ` also at the end of a word (RFC 7622 §3.5).
//! - A leading space in a resource is accepted. Example 18 of RFC 7622 §3.5 calls it an error, but `OpaqueString`,
//!   which the same document makes the rule, allows it; refusing would lose stanzas of occupants of foreign rooms.
//! - Emoji in a resource: the invisible glue of emoji sequences (variation selectors after an emoji, zero width
//!   joiner between two pictographs) is dropped, everything else that RFC 8264 forbids is refused. Phones type `❤`
//!   with a variation selector that RFC 8264 forbids; servers and clients on stringprep drop it too, so they and we
//!   arrive at the same address. What is kept always conforms to RFC 7622.

mod bidi;
mod context;
mod domain;
mod error;
mod fast;
mod owned;
mod precis;
mod reference;

#[cfg(test)]
mod tests;

pub use domain::prepare_domain;
pub use error::{JidError, Part, Reason};
pub use owned::{BareJid, Jid};
pub use precis::{prepare_local, prepare_resource};
pub use reference::JidRef;
pub(crate) use reference::JidShape;

/// Bytes of one prepared part (RFC 7622 §3.2, §3.3.1, §3.4.1).
pub const PART_BYTES_MAX: usize = 1023;

/// Bytes of one prepared address: three parts, `@` and `/`.
pub const JID_BYTES_MAX: usize = 3 * PART_BYTES_MAX + 2;

/// Bytes of one part before preparation. Nothing honest shrinks by more than this factor (an emoji key cap does by
/// exactly it: `1`, variation selector), and the bound keeps the work on a hostile text small.
const UNPREPARED_BYTES_MAX: usize = 4 * PART_BYTES_MAX;

/// Reads an address (RFC 7622 §3.1).
///
/// Prepared ASCII is borrowed from `text`, without allocation; everything else is prepared into `scratch`, whose old
/// content is dropped and whose capacity is worth keeping. Every error is the peer's fault and is answered with
/// `jid-malformed`.
pub fn parse<'a>(text: &'a str, scratch: &'a mut String) -> Result<JidRef<'a>, JidError> {
    match fast::parse(text) {
        Some(jid) => Ok(jid),
        None => parse_slowly(text, scratch),
    }
}

/// The way of an address that needs preparation, or is wrong. Right for every text, only slower.
fn parse_slowly<'a>(text: &str, scratch: &'a mut String) -> Result<JidRef<'a>, JidError> {
    let (local, domain, resource) = split(text);
    scratch.clear();
    if let Some(local) = local {
        scratch.push_str(&prepare_local(local)?);
        scratch.push('@');
    }
    scratch.push_str(&prepare_domain(domain)?);
    if let Some(resource) = resource {
        scratch.push('/');
        scratch.push_str(&prepare_resource(resource)?);
    }
    Ok(JidRef::of_prepared(scratch))
}

/// Cuts at the first `/`, then at the first `@` before it (RFC 7622 §3.1), before anything is mapped: a wide `＠`
/// never separates.
fn split(text: &str) -> (Option<&str>, &str, Option<&str>) {
    let (head, resource) = match memchr::memchr(b'/', text.as_bytes()) {
        Some(slash) => (&text[..slash], Some(&text[slash + 1..])),
        None => (text, None),
    };
    match memchr::memchr(b'@', head.as_bytes()) {
        Some(at) => (Some(&head[..at]), &head[at + 1..], resource),
        None => (None, head, resource),
    }
}

/// The bounds that hold for every prepared part.
fn check_length(part: Part, prepared: &str) -> Result<(), JidError> {
    match prepared.len() {
        0 => Err(JidError { part, reason: Reason::Empty }),
        1..=PART_BYTES_MAX => Ok(()),
        _ => Err(JidError { part, reason: Reason::TooLong }),
    }
}

/// Refuses what is too long to be worth preparing.
fn check_unprepared_length(part: Part, text: &str) -> Result<(), JidError> {
    if text.len() > UNPREPARED_BYTES_MAX { Err(JidError { part, reason: Reason::TooLong }) } else { Ok(()) }
}
