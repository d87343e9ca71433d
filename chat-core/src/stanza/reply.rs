//! How answers to stanzas are written.

use super::{Kind, StanzaError, ns};
use crate::xml::Sink;
use crate::xml::escape::{escape_attr, escape_text};

/// The addresses and the id of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Who answers; `None` leaves the attribute out: the user's own account (RFC 6120 §8.1.2.1).
    pub from: Option<&'a str>,
    /// Whom.
    pub to: Option<&'a str>,
    /// The id of the stanza answered.
    pub id: Option<&'a str>,
}

fn attr(out: &mut dyn Sink, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.put(b" ");
        out.put(name.as_bytes());
        out.put(b"='");
        escape_attr(out, value);
        out.put(b"'");
    }
}

fn open(out: &mut dyn Sink, name: &str, ty: &str, head: &Head<'_>) {
    out.put(b"<");
    out.put(name.as_bytes());
    attr(out, "type", Some(ty));
    attr(out, "id", head.id);
    attr(out, "from", head.from);
    attr(out, "to", head.to);
}

/// Writes the error that answers a stanza of this kind (RFC 6120 §8.3.2), in the content namespace.
pub fn write_error(out: &mut dyn Sink, kind: Kind, head: &Head<'_>, error: &StanzaError) {
    open(out, kind.name(), "error", head);
    out.put(b"><error type='");
    out.put(error.error_type.as_str().as_bytes());
    out.put(b"'><");
    out.put(error.condition.as_str().as_bytes());
    out.put(b" xmlns='");
    out.put(ns::STANZAS.as_bytes());
    out.put(b"'/>");
    if let Some(text) = error.text {
        out.put(b"<text xmlns='");
        out.put(ns::STANZAS.as_bytes());
        out.put(b"' xml:lang='en'>");
        escape_text(out, text);
        out.put(b"</text>");
    }
    if let Some((name, namespace)) = error.specific {
        out.put(b"<");
        out.put(name.as_bytes());
        attr(out, "xmlns", Some(namespace));
        out.put(b"/>");
    }
    out.put(b"</error></");
    out.put(kind.name().as_bytes());
    out.put(b">");
}

/// Writes an iq result around a payload that is already XML (RFC 6120 §8.2.3).
pub fn write_result(out: &mut dyn Sink, head: &Head<'_>, payload: &[u8]) {
    open(out, "iq", "result", head);
    if payload.is_empty() {
        out.put(b"/>");
    } else {
        out.put(b">");
        out.put(payload);
        out.put(b"</iq>");
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Condition, IqType};
    use super::*;

    #[test]
    fn an_error_reply_reads_as_rfc_6120_8_3_2_draws_it() {
        let mut out = Vec::new();
        let head = Head { from: Some("a@b"), to: Some("c@d/e'"), id: Some("1<") };
        write_error(&mut out, Kind::Iq(IqType::Get), &head, &Condition::ServiceUnavailable.into());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "<iq type='error' id='1&lt;' from='a@b' to='c@d/e&apos;'><error type='cancel'>\
             <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        );
    }

    #[test]
    fn a_result_may_be_empty() {
        let mut out = Vec::new();
        write_result(&mut out, &Head { from: None, to: Some("a@b/c"), id: Some("7") }, b"");
        assert_eq!(String::from_utf8(out).unwrap(), "<iq type='result' id='7' to='a@b/c'/>");
    }
}
