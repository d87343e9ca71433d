//! What workers send to each other, and each user to the next.

use std::sync::Arc;

use crate::base::{MsgId, UserId, Utc, WorkerId};
use crate::jid::Jid;

/// A resource of a user, told apart from all that ever had its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(pub u64);

/// Who waits to hear that a message is settled: the `seq`-th stanza that this resource's client sent (XEP-0198).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettleTo {
    /// The home of the sender.
    pub worker: WorkerId,
    /// The sender.
    pub user: UserId,
    /// The resource it sent from.
    pub resource: ResourceId,
    /// The number of the stanza among those received from the client since it enabled stream management.
    pub seq: u32,
}

/// A stanza on its way to the home of its recipient.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The sender, as stamped.
    pub from: Jid,
    /// The recipient, on a domain of ours.
    pub to: Jid,
    /// One valid element of `jabber:client`, with `from`.
    pub stanza: Arc<[u8]>,
    /// The identity of a message; what names a repeat.
    pub id: MsgId,
    /// When the server received it.
    pub at: Utc,
    /// Who waits to hear that it is settled.
    pub settle: Option<SettleTo>,
    /// It may have been delivered before: whoever gets it now gets it with `<delay/>` (XEP-0203).
    pub delayed: bool,
}

/// What one worker has to tell another. A worker writes to itself, too.
#[derive(Debug, Clone)]
pub enum Mail {
    /// A stanza for a user whose home the other worker is.
    Stanza(Box<Envelope>),
    /// A message has been settled.
    Settled(SettleTo),
}
