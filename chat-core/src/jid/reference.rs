//! The borrowed address.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU16;

use super::{BareJid, Jid};

/// A prepared address that borrows its text: 24 bytes, `Copy`, made by [`parse`](super::parse) or from [`Jid`].
///
/// Equality, order and hash are those of the text.
#[derive(Clone, Copy)]
pub struct JidRef<'a> {
    text: &'a str,
    /// Where the `@` stands; never at 0, because a localpart is not empty.
    at: Option<NonZeroU16>,
    /// Where the domain ends: at the `/`, or at the end of the text.
    domain_end: u16,
}

/// An address without its text ([`JidRef::shape`]).
#[derive(Debug, Clone, Copy)]
pub(crate) struct JidShape {
    len: u16,
    at: Option<NonZeroU16>,
    domain_end: u16,
}

impl<'a> JidRef<'a> {
    /// Finds the separators of a text that is known to be prepared.
    pub(crate) fn of_prepared(text: &'a str) -> JidRef<'a> {
        let bytes = text.as_bytes();
        let first = memchr::memchr2(b'@', b'/', bytes).unwrap_or(bytes.len());
        if bytes.get(first) != Some(&b'@') {
            return JidRef::of_prepared_parts(text, 0, first);
        }
        let slash = memchr::memchr(b'/', &bytes[first..]);
        JidRef::of_prepared_parts(text, first, slash.map_or(bytes.len(), |slash| first + slash))
    }

    /// The same for separators that are known: the place of the `@`, or 0 if there is none, and the domain's end.
    pub(super) fn of_prepared_parts(text: &'a str, at: usize, domain_end: usize) -> JidRef<'a> {
        JidRef { text, at: NonZeroU16::new(position(at)), domain_end: position(domain_end) }
    }

    /// Where its parts are: with that and its text it can be had again, and nothing is looked for.
    pub(crate) fn shape(self) -> JidShape {
        JidShape { len: position(self.text.len()), at: self.at, domain_end: self.domain_end }
    }

    /// The address of this shape that a text begins with, and the rest of it.
    pub(crate) fn of_shape(text: &'a str, shape: JidShape) -> (JidRef<'a>, &'a str) {
        let (text, rest) = text.split_at(usize::from(shape.len));
        (JidRef { text, at: shape.at, domain_end: shape.domain_end }, rest)
    }

    /// The whole address, `local@domain/resource`.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// The localpart, if there is one; never empty.
    pub fn local(self) -> Option<&'a str> {
        self.at.map(|at| &self.text[..usize::from(at.get())])
    }

    /// The domain: U-labels without trailing dot, an IPv4 address, or an IPv6 address in brackets.
    pub fn domain(self) -> &'a str {
        &self.text[self.domain_start()..usize::from(self.domain_end)]
    }

    /// The resourcepart, if there is one; never empty. May hold any printable character, also `<`, `&` and `/`.
    pub fn resource(self) -> Option<&'a str> {
        self.text.get(usize::from(self.domain_end) + 1..)
    }

    /// The same address without its resource.
    pub fn bare(self) -> JidRef<'a> {
        JidRef { text: &self.text[..usize::from(self.domain_end)], ..self }
    }

    /// The address of the domain alone, without localpart and resource.
    pub fn domain_jid(self) -> JidRef<'a> {
        let text = self.domain();
        JidRef { text, at: None, domain_end: position(text.len()) }
    }

    /// Whether there is no resource. A domain alone is bare, too.
    pub fn is_bare(self) -> bool {
        self.text.len() == usize::from(self.domain_end)
    }

    /// Whether there is a resource.
    pub fn is_full(self) -> bool {
        !self.is_bare()
    }

    /// Whether there is nothing but a domain.
    pub fn is_domain(self) -> bool {
        self.at.is_none() && self.is_bare()
    }

    /// An owned copy of the bare address.
    pub fn to_bare(self) -> BareJid {
        BareJid::of_prepared(self.bare())
    }

    /// An owned copy. Takes a reference, because by value the trait's method of this name would win on a `&JidRef`.
    pub fn to_owned(&self) -> Jid {
        Jid::of_prepared(*self)
    }

    fn domain_start(self) -> usize {
        self.at.map_or(0, |at| usize::from(at.get()) + 1)
    }
}

/// A place in a prepared address, which is never longer than [`JID_BYTES_MAX`](super::JID_BYTES_MAX).
fn position(index: usize) -> u16 {
    u16::try_from(index).expect("a prepared address is at most 3071 bytes long")
}

impl PartialEq for JidRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for JidRef<'_> {}

impl PartialEq<str> for JidRef<'_> {
    fn eq(&self, other: &str) -> bool {
        self.text == other
    }
}

impl PartialEq<&str> for JidRef<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

impl PartialEq<Jid> for JidRef<'_> {
    fn eq(&self, other: &Jid) -> bool {
        self.text == other.as_str()
    }
}

impl PartialEq<BareJid> for JidRef<'_> {
    fn eq(&self, other: &BareJid) -> bool {
        self.text == other.as_str()
    }
}

impl PartialOrd for JidRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for JidRef<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(other.text)
    }
}

impl Hash for JidRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Borrow<str> for JidRef<'_> {
    fn borrow(&self) -> &str {
        self.text
    }
}

impl fmt::Display for JidRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text)
    }
}

impl fmt::Debug for JidRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JidRef({})", self.text)
    }
}

impl<'a> From<&'a Jid> for JidRef<'a> {
    fn from(jid: &'a Jid) -> JidRef<'a> {
        jid.as_ref()
    }
}

impl<'a> From<&'a BareJid> for JidRef<'a> {
    fn from(jid: &'a BareJid) -> JidRef<'a> {
        jid.as_ref()
    }
}
