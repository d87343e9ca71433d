//! Whether a client's stream header is acceptable (RFC 6120 §4.7, §4.8).

use super::{StreamCondition, StreamError};
use crate::jid;
use crate::stanza::ns;
use crate::xml::HeaderView;

/// What an acceptable header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The domain that the client wants to talk to, prepared (RFC 7622); whether we serve it is not checked here.
    pub domain: String,
    /// The address the client says it has (§4.7.1), as given.
    pub from: Option<String>,
    /// `xml:lang` of the stream (§4.7.4).
    pub lang: Option<String>,
}

/// Checks the header of a client stream.
///
/// # Errors
/// `invalid-namespace` (§4.9.3.10), `bad-namespace-prefix` (§4.9.3.2), `bad-format` (§4.9.3.1),
/// `unsupported-version` (§4.9.3.25), `host-unknown` or `improper-addressing` for a `to` that is missing or no
/// domain (§4.9.3.6, §4.9.3.7).
pub fn check_client_header(header: &HeaderView<'_>) -> Result<Opening, StreamError> {
    let refuse = |condition, text: &'static str| Err(StreamError::new(condition, text));
    if header.ns != ns::STREAM {
        return refuse(
            StreamCondition::InvalidNamespace,
            "the stream namespace is 'http://etherx.jabber.org/streams'",
        );
    }
    if header.name != "stream" {
        return refuse(StreamCondition::BadFormat, "the root of a stream is <stream:stream/>");
    }
    if header.default_ns != ns::CLIENT {
        return refuse(
            StreamCondition::InvalidNamespace,
            "the content namespace of a client stream is 'jabber:client'",
        );
    }
    if header.prefix != "stream" {
        return refuse(
            StreamCondition::BadNamespacePrefix,
            "use the prefix 'stream' for the stream namespace",
        );
    }
    // §4.7.5: no version means 0.9, which knows neither features nor SASL.
    let version = header.version.as_deref().unwrap_or_default();
    let major = version.split('.').next().and_then(|v| v.parse::<u32>().ok());
    if major.is_none_or(|m| m < 1) {
        return refuse(StreamCondition::UnsupportedVersion, "version 1.0 of XMPP is needed");
    }
    let Some(to) = &header.to else {
        return refuse(StreamCondition::HostUnknown, "the stream header has no 'to'");
    };
    let mut scratch = String::new();
    let domain = match jid::parse(to, &mut scratch) {
        Ok(jid) if jid.is_domain() => jid.domain().to_owned(),
        _ => return refuse(StreamCondition::ImproperAddressing, "the 'to' of a stream is a domain"),
    };
    Ok(Opening {
        domain,
        from: header.from.as_deref().map(str::to_owned),
        lang: header.lang.as_deref().map(str::to_owned),
    })
}
