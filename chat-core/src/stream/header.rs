//! The header that opens a stream, as we write it (RFC 6120 §4.7).

use crate::xml::Sink;
use crate::xml::escape::escape_attr;

/// The end of a stream (RFC 6120 §4.4).
pub const CLOSE: &[u8] = b"</stream:stream>";

/// Writes our header of a client stream: `from` is the domain (§4.7.1), `to` the client's address when it gave one
/// (§4.7.2), `id` unique and unguessable (§4.7.3).
pub fn write_header(out: &mut dyn Sink, from: &str, to: Option<&str>, id: &str) {
    out.put(b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='");
    escape_attr(out, id);
    if !from.is_empty() {
        out.put(b"' from='");
        escape_attr(out, from);
    }
    if let Some(to) = to {
        out.put(b"' to='");
        escape_attr(out, to);
    }
    out.put(b"' version='1.0' xml:lang='en'>");
}
