//! A stanza whose addresses are known to be good.

use super::Kind;
use crate::jid::JidRef;
use crate::xml::StanzaView;

/// A stanza on its way: scanned, its sender known, its addresses prepared (RFC 7622).
#[derive(Debug, Clone, Copy)]
pub struct Stanza<'a> {
    /// The element as it arrived. Its own `from` and `to` may be missing or unprepared; the fields below count.
    pub view: &'a StanzaView<'a>,
    /// Its name and type.
    pub kind: Kind,
    /// The sender, as stamped by its server.
    pub from: JidRef<'a>,
    /// The recipient; `None` if the client left it out.
    pub to: Option<JidRef<'a>>,
}
