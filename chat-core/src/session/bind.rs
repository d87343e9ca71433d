//! Resource binding (RFC 6120 §7).

use crate::jid::{self, Jid};
use crate::stanza::{Head, ns, write_result};
use crate::xml::escape::escape_text;
use crate::xml::{Element, Sink};

/// A client asks for a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindRequest {
    /// The resource it would like, prepared; the server makes one up if there is none (§7.6).
    pub resource: Option<String>,
    /// The id of the iq.
    pub id: String,
}

/// Why a bind request cannot be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadBind {
    /// Not a bind request at all: something is sent before binding (§7.1).
    NotBind,
    /// The resource cannot be one (§7.7.2.1): `bad-request`.
    BadResource,
}

impl BindRequest {
    /// Reads the iq that comes after authentication.
    pub fn read(iq: &Element) -> Result<BindRequest, (BadBind, String)> {
        let id = iq.attr("id").unwrap_or_default().to_owned();
        if !iq.is("iq", ns::CLIENT) || iq.attr("type") != Some("set") {
            return Err((BadBind::NotBind, id));
        }
        let Some(bind) = iq.child("bind", ns::BIND) else { return Err((BadBind::NotBind, id)) };
        let wish = bind.child("resource", ns::BIND).map(|r| r.text().into_owned()).filter(|r| !r.is_empty());
        let resource = match wish.as_deref().map(jid::prepare_resource) {
            None => None,
            Some(Ok(prepared)) => Some(prepared.into_owned()),
            Some(Err(_)) => return Err((BadBind::BadResource, id)),
        };
        Ok(BindRequest { resource, id })
    }
}

/// Writes the answer to a granted request (§7.6.1).
pub fn write_bound(out: &mut dyn Sink, id: &str, jid: &Jid) {
    let mut payload = b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>".to_vec();
    escape_text(&mut payload, jid.as_str());
    payload.extend_from_slice(b"</jid></bind>");
    write_result(out, &Head { from: None, to: None, id: Some(id) }, &payload);
}
