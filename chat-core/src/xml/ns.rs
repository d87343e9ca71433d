//! Namespaces: the names of those the stream itself is made of, and what a stream header binds for its stanzas.

use super::fault::XmlFault;
use smol_str::SmolStr;
use std::sync::Arc;

/// Stanzas between clients and servers (RFC 6120 §4.8.3).
pub const CLIENT: &str = "jabber:client";
/// Stanzas between servers (RFC 6120 §4.8.3).
pub const SERVER: &str = "jabber:server";
/// Stanzas of external components that the server listens for (XEP-0114).
pub const COMPONENT: &str = "jabber:component:accept";
/// The stream itself (RFC 6120 §4.8.1).
pub const STREAMS: &str = "http://etherx.jabber.org/streams";
/// What the prefix `xml` always means (Namespaces in XML 1.0 §3).
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// What the prefix `xmlns` always means (Namespaces in XML 1.0 §3).
pub const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// Whether stanzas of this namespace may pass from one kind of stream to another, losing it (RFC 6120 §4.8.3).
pub fn is_content(ns: &str) -> bool {
    matches!(ns, CLIENT | SERVER | COMPONENT)
}

/// Prefixes of one stream header, beside `stream`, that are remembered.
pub const PREFIXES_MAX: usize = 15;
/// Bytes of those prefixes and their namespaces together.
pub const PREFIXES_BYTES_MAX: usize = 2048;

/// What the stream header binds for the stanzas inside: the default namespace and prefixes.
///
/// A few bytes, and an allocation only when a header binds something unusual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamNs {
    default: Default_,
    /// `stream` is bound to [`STREAMS`].
    stream: bool,
    /// Everything else; an empty prefix is an unusual default namespace.
    others: Option<Arc<Vec<(SmolStr, SmolStr)>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Default_ {
    None,
    Client,
    Server,
    Streams,
    Component,
    Other,
}

impl Default_ {
    const fn name(self) -> &'static str {
        match self {
            Default_::None | Default_::Other => "",
            Default_::Client => CLIENT,
            Default_::Server => SERVER,
            Default_::Streams => STREAMS,
            Default_::Component => COMPONENT,
        }
    }
}

impl Default for StreamNs {
    /// The usual header of a client.
    fn default() -> Self {
        StreamNs::client()
    }
}

/// Where a stream binds a prefix: the bit of [`StreamNs`] it is reported under.
pub(super) type Slot = u8;

/// The slot of the prefix `stream`.
pub(super) const STREAM_SLOT: Slot = 0;

impl StreamNs {
    /// `xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'`
    pub const fn client() -> Self {
        StreamNs { default: Default_::Client, stream: true, others: None }
    }

    /// `xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'`
    pub const fn server() -> Self {
        StreamNs { default: Default_::Server, stream: true, others: None }
    }

    /// Nothing: each element is a document of its own (RFC 7395 §3.3.3, stored stanzas, tests).
    pub const fn none() -> Self {
        StreamNs { default: Default_::None, stream: false, others: None }
    }

    /// What a header binds. The prefix `xml` may be among the declarations and is passed over.
    ///
    /// # Errors
    /// `Policy` over [`PREFIXES_MAX`] or [`PREFIXES_BYTES_MAX`].
    pub fn new<'d>(declared: impl IntoIterator<Item = (&'d str, &'d str)>) -> Result<Self, XmlFault> {
        let mut ns = StreamNs::none();
        let mut others = Vec::new();
        let mut bytes = 0;
        for (prefix, name) in declared {
            match (prefix, name) {
                ("", "") => ns.default = Default_::None,
                ("", CLIENT) => ns.default = Default_::Client,
                ("", SERVER) => ns.default = Default_::Server,
                ("", STREAMS) => ns.default = Default_::Streams,
                ("", COMPONENT) => ns.default = Default_::Component,
                ("stream", STREAMS) => ns.stream = true,
                ("xml", _) => {}
                _ => {
                    if prefix.is_empty() {
                        ns.default = Default_::Other;
                    }
                    bytes += prefix.len() + name.len();
                    if others.len() == PREFIXES_MAX || bytes > PREFIXES_BYTES_MAX {
                        return Err(XmlFault::Policy("too many namespaces in the stream header"));
                    }
                    others.push((SmolStr::new(prefix), SmolStr::new(name)));
                }
            }
        }
        ns.others = (!others.is_empty()).then(|| Arc::new(others));
        Ok(ns)
    }

    /// The default namespace; empty if there is none.
    pub fn default_ns(&self) -> &str {
        match self.default {
            Default_::Other => self.others().find_map(|(p, n)| p.is_empty().then_some(n)).unwrap_or(""),
            usual => usual.name(),
        }
    }

    /// The namespace bound to a prefix (not `xml`).
    pub fn lookup(&self, prefix: &str) -> Option<&str> {
        self.slot(prefix).map(|slot| self.at(slot).1)
    }

    fn others(&self) -> impl Iterator<Item = (&str, &str)> {
        self.others.iter().flat_map(|list| list.iter()).map(|(p, n)| (p.as_str(), n.as_str()))
    }

    pub(super) fn slot(&self, prefix: &str) -> Option<Slot> {
        if prefix == "stream" && self.stream {
            return Some(STREAM_SLOT);
        }
        let found = self.others().position(|(p, _)| p == prefix && !p.is_empty())?;
        Some(STREAM_SLOT + 1 + found as Slot)
    }

    /// Prefix and namespace of a slot that [`slot`](Self::slot) gave.
    pub(super) fn at(&self, slot: Slot) -> (&str, &str) {
        if slot == STREAM_SLOT {
            return ("stream", STREAMS);
        }
        self.others().nth(usize::from(slot - STREAM_SLOT - 1)).expect("a slot that this stream gave out")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_headers_need_no_allocation_and_few_bytes() {
        assert!(size_of::<StreamNs>() <= 16);
        let ns = StreamNs::new([("", CLIENT), ("stream", STREAMS), ("xml", XML)]).unwrap();
        assert_eq!(ns, StreamNs::default());
        assert_eq!((ns.default_ns(), ns.lookup("stream"), ns.lookup("x")), (CLIENT, Some(STREAMS), None));
        assert_eq!(StreamNs::none().lookup("stream"), None);
    }

    #[test]
    fn unusual_headers_are_kept() {
        let ns = StreamNs::new([("s", STREAMS), ("", "urn:odd"), ("db", "jabber:server:dialback")]).unwrap();
        assert_eq!(ns.default_ns(), "urn:odd");
        assert_eq!(ns.lookup("s"), Some(STREAMS));
        assert_eq!(ns.lookup("db"), Some("jabber:server:dialback"));
        assert_eq!((ns.lookup("stream"), ns.lookup("")), (None, None));
    }

    #[test]
    fn headers_are_bounded() {
        let names: Vec<String> = (0..=PREFIXES_MAX).map(|i| format!("p{i}")).collect();
        let declared = |n: usize| names[..n].iter().map(|p| (p.as_str(), "urn:x"));
        assert!(StreamNs::new(declared(PREFIXES_MAX)).is_ok());
        assert!(StreamNs::new(declared(PREFIXES_MAX + 1)).is_err());
        let long = "x".repeat(PREFIXES_BYTES_MAX);
        assert!(StreamNs::new([("p", long.as_str())]).is_err());
    }
}
