//! What can be wrong with the bytes of a peer.

/// Why bytes were refused.
///
/// It is always the peer's fault, and always the end of its stream: a parser that lost its place cannot go on.
/// Nothing of the refused element has had any effect. The sentence is for logs; the peer is told [`condition`].
///
/// [`condition`]: XmlFault::condition
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlFault {
    /// Not well-formed as XML, not namespace-well-formed, or not UTF-8 (RFC 6120 §4.9.3.13).
    #[error("not well-formed: {0}")]
    NotWellFormed(&'static str),
    /// An element or attribute uses a prefix that nothing binds. RFC 6120 §4.9.3.2 (`bad-namespace-prefix`) is about
    /// prefixes that are bound but not supported, so this counts as not well-formed.
    #[error("not well-formed: a prefix without a namespace")]
    UnboundPrefix,
    /// Legal XML that XMPP forbids: comment, processing instruction, DTD, entity reference (RFC 6120 §11.1).
    #[error("restricted XML: {0}")]
    Restricted(&'static str),
    /// A limit of ours (RFC 6120 §4.9.3.14).
    #[error("over a limit: {0}")]
    Policy(&'static str),
    /// XML that has no meaning on a stream, such as text between stanzas (RFC 6120 §4.9.3.1).
    #[error("bad format: {0}")]
    BadFormat(&'static str),
    /// The XML declaration names an encoding other than UTF-8 (RFC 6120 §4.9.3.22).
    #[error("an encoding other than UTF-8")]
    UnsupportedEncoding,
}

impl XmlFault {
    /// The stream error condition that the peer is told (RFC 6120 §4.9.3).
    pub const fn condition(self) -> &'static str {
        match self {
            XmlFault::NotWellFormed(_) | XmlFault::UnboundPrefix => "not-well-formed",
            XmlFault::Restricted(_) => "restricted-xml",
            XmlFault::Policy(_) => "policy-violation",
            XmlFault::BadFormat(_) => "bad-format",
            XmlFault::UnsupportedEncoding => "unsupported-encoding",
        }
    }
}

/// The most frequent fault, short to write.
pub(super) const fn ill<T>(why: &'static str) -> Result<T, XmlFault> {
    Err(XmlFault::NotWellFormed(why))
}
