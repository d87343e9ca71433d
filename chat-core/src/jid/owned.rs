//! The owned addresses.
//!
//! Both hold only their text, in 24 bytes: up to 23 bytes of it in place, a longer one on the heap, shared by all
//! clones. The separators are found again when a part is asked for, which costs a few nanoseconds and saves 8 bytes in
//! each of some millions of values. Where several parts are wanted, take [`Jid::as_ref`] once.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use smol_str::{SmolStr, SmolStrBuilder};

use super::{JidError, JidRef, Part, Reason, parse, prepare_resource};

/// A prepared address, owned and cheap to clone. Equality, order and hash are those of its text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Jid(SmolStr);

/// A prepared address without resource: `local@domain` or `domain`. Equality, order and hash are those of its text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BareJid(SmolStr);

impl Jid {
    /// Reads an address; see [`parse`](super::parse).
    pub fn parse(text: &str) -> Result<Jid, JidError> {
        Ok(Jid::of_prepared(parse(text, &mut String::new())?))
    }

    pub(super) fn of_prepared(jid: JidRef<'_>) -> Jid {
        Jid(SmolStr::new(jid.as_str()))
    }

    /// The borrowed form, with the separators found.
    pub fn as_ref(&self) -> JidRef<'_> {
        JidRef::of_prepared(&self.0)
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// See [`JidRef::local`].
    pub fn local(&self) -> Option<&str> {
        self.as_ref().local()
    }

    /// See [`JidRef::domain`].
    pub fn domain(&self) -> &str {
        self.as_ref().domain()
    }

    /// See [`JidRef::resource`].
    pub fn resource(&self) -> Option<&str> {
        self.as_ref().resource()
    }

    /// See [`JidRef::bare`].
    pub fn bare(&self) -> JidRef<'_> {
        self.as_ref().bare()
    }

    /// An owned address without the resource; shares the text when there is none.
    pub fn to_bare(&self) -> BareJid {
        let jid = self.as_ref();
        if jid.is_bare() { BareJid(self.0.clone()) } else { jid.to_bare() }
    }

    /// See [`JidRef::is_bare`].
    pub fn is_bare(&self) -> bool {
        self.as_ref().is_bare()
    }

    /// See [`JidRef::is_full`].
    pub fn is_full(&self) -> bool {
        self.as_ref().is_full()
    }

    /// See [`JidRef::is_domain`].
    pub fn is_domain(&self) -> bool {
        self.as_ref().is_domain()
    }
}

impl BareJid {
    /// Reads an address without resource; one with a resource is an error ([`Reason::Unwanted`]).
    pub fn parse(text: &str) -> Result<BareJid, JidError> {
        let mut scratch = String::new();
        let jid = parse(text, &mut scratch)?;
        if jid.is_full() {
            return Err(JidError { part: Part::Resource, reason: Reason::Unwanted });
        }
        Ok(BareJid::of_prepared(jid))
    }

    /// The caller has made sure that there is no resource.
    pub(super) fn of_prepared(jid: JidRef<'_>) -> BareJid {
        BareJid(SmolStr::new(jid.as_str()))
    }

    /// This address with a resource, which is prepared first (RFC 7622 §3.4).
    pub fn with_resource(&self, resource: &str) -> Result<Jid, JidError> {
        let resource = prepare_resource(resource)?;
        let mut text = SmolStrBuilder::with_capacity(self.0.len() + 1 + resource.len());
        text.push_str(&self.0);
        text.push('/');
        text.push_str(&resource);
        Ok(Jid(text.finish()))
    }

    /// This address with a resource that is prepared already, as that of a bound session is.
    pub fn join(&self, prepared: &str) -> Jid {
        let mut text = SmolStrBuilder::with_capacity(self.0.len() + 1 + prepared.len());
        text.push_str(&self.0);
        text.push('/');
        text.push_str(prepared);
        Jid(text.finish())
    }

    /// The same in a buffer, whose text it replaces: for who needs it for a moment.
    pub fn join_in<'t>(&self, prepared: &str, text: &'t mut String) -> JidRef<'t> {
        let bare = self.as_str();
        text.clear();
        text.reserve(bare.len() + 1 + prepared.len());
        text.push_str(bare);
        text.push('/');
        text.push_str(prepared);
        let at = memchr::memchr(b'@', bare.as_bytes()).unwrap_or(0);
        JidRef::of_prepared_parts(text, at, bare.len())
    }

    /// The borrowed form, with the separators found.
    pub fn as_ref(&self) -> JidRef<'_> {
        JidRef::of_prepared(&self.0)
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// See [`JidRef::local`].
    pub fn local(&self) -> Option<&str> {
        self.as_ref().local()
    }

    /// See [`JidRef::domain`].
    pub fn domain(&self) -> &str {
        self.as_ref().domain()
    }

    /// See [`JidRef::is_domain`].
    pub fn is_domain(&self) -> bool {
        self.as_ref().is_domain()
    }

    /// The same address, of the type that may have a resource; shares the text.
    pub fn to_jid(&self) -> Jid {
        Jid(self.0.clone())
    }
}

impl FromStr for Jid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<Jid, JidError> {
        Jid::parse(text)
    }
}

impl FromStr for BareJid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<BareJid, JidError> {
        BareJid::parse(text)
    }
}

impl From<BareJid> for Jid {
    fn from(bare: BareJid) -> Jid {
        Jid(bare.0)
    }
}

impl From<JidRef<'_>> for Jid {
    fn from(jid: JidRef<'_>) -> Jid {
        Jid::of_prepared(jid)
    }
}

impl Borrow<str> for Jid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for BareJid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Jid {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Jid {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<JidRef<'_>> for Jid {
    fn eq(&self, other: &JidRef<'_>) -> bool {
        self.0 == other.as_str()
    }
}

impl PartialEq<str> for BareJid {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for BareJid {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<JidRef<'_>> for BareJid {
    fn eq(&self, other: &JidRef<'_>) -> bool {
        self.0 == other.as_str()
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for BareJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jid({})", self.0)
    }
}

impl fmt::Debug for BareJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BareJid({})", self.0)
    }
}
