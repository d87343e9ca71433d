//! Stream errors (RFC 6120 §4.9).

use std::borrow::Cow;

use crate::xml::escape::escape_text;
use crate::xml::{Sink, XmlFault};

/// A defined condition (RFC 6120 §4.9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is one word of RFC 6120 §4.9.3
pub enum StreamCondition {
    BadFormat,
    BadNamespacePrefix,
    Conflict,
    ConnectionTimeout,
    HostUnknown,
    ImproperAddressing,
    InternalServerError,
    InvalidFrom,
    InvalidNamespace,
    InvalidXml,
    NotAuthorized,
    NotWellFormed,
    PolicyViolation,
    ResourceConstraint,
    RestrictedXml,
    SystemShutdown,
    UndefinedCondition,
    UnsupportedEncoding,
    UnsupportedFeature,
    UnsupportedStanzaType,
    UnsupportedVersion,
}

impl StreamCondition {
    /// The element's name.
    pub fn as_str(self) -> &'static str {
        match self {
            StreamCondition::BadFormat => "bad-format",
            StreamCondition::BadNamespacePrefix => "bad-namespace-prefix",
            StreamCondition::Conflict => "conflict",
            StreamCondition::ConnectionTimeout => "connection-timeout",
            StreamCondition::HostUnknown => "host-unknown",
            StreamCondition::ImproperAddressing => "improper-addressing",
            StreamCondition::InternalServerError => "internal-server-error",
            StreamCondition::InvalidFrom => "invalid-from",
            StreamCondition::InvalidNamespace => "invalid-namespace",
            StreamCondition::InvalidXml => "invalid-xml",
            StreamCondition::NotAuthorized => "not-authorized",
            StreamCondition::NotWellFormed => "not-well-formed",
            StreamCondition::PolicyViolation => "policy-violation",
            StreamCondition::ResourceConstraint => "resource-constraint",
            StreamCondition::RestrictedXml => "restricted-xml",
            StreamCondition::SystemShutdown => "system-shutdown",
            StreamCondition::UndefinedCondition => "undefined-condition",
            StreamCondition::UnsupportedEncoding => "unsupported-encoding",
            StreamCondition::UnsupportedFeature => "unsupported-feature",
            StreamCondition::UnsupportedStanzaType => "unsupported-stanza-type",
            StreamCondition::UnsupportedVersion => "unsupported-version",
        }
    }
}

/// Why a stream ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamError {
    /// The defined condition.
    pub condition: StreamCondition,
    /// What exactly is wrong, for the developer at the other end.
    pub text: Cow<'static, str>,
    /// More elements inside the error, already written (XEP-0198 `<handled-count-too-high/>`).
    pub specific: Option<String>,
}

impl StreamError {
    /// An error with a text.
    pub fn new(condition: StreamCondition, text: impl Into<Cow<'static, str>>) -> Self {
        StreamError { condition, text: text.into(), specific: None }
    }

    /// Writes the error and the end of the stream.
    pub fn write(&self, out: &mut dyn Sink) {
        out.put(b"<stream:error><");
        out.put(self.condition.as_str().as_bytes());
        out.put(b" xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
        if !self.text.is_empty() {
            out.put(b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>");
            escape_text(out, &self.text);
            out.put(b"</text>");
        }
        if let Some(specific) = &self.specific {
            out.put(specific.as_bytes());
        }
        out.put(b"</stream:error>");
        out.put(super::CLOSE);
    }
}

impl From<XmlFault> for StreamError {
    fn from(fault: XmlFault) -> Self {
        let condition = match fault {
            XmlFault::NotWellFormed(_) | XmlFault::UnboundPrefix => StreamCondition::NotWellFormed,
            XmlFault::Restricted(_) => StreamCondition::RestrictedXml,
            XmlFault::Policy(_) => StreamCondition::PolicyViolation,
            XmlFault::BadFormat(_) => StreamCondition::BadFormat,
            XmlFault::UnsupportedEncoding => StreamCondition::UnsupportedEncoding,
        };
        StreamError::new(condition, fault.to_string())
    }
}
