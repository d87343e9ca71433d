//! A stanza for sessions of another node, and what became of it.

use crate::base::{MsgId, Utc, WorkerId};

/// A stanza for named sessions of a node. That node delivers to them and never routes on, nor stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parcel<'a> {
    /// What the node that sends it calls it until the result comes: never used twice in one life of that node. Its
    /// remainder by the number of that node's workers is the worker that waits for the result.
    pub envelope: u64,
    /// How often it was decided where it goes, this time included: 1 to [`ATTEMPTS_MAX`].
    pub attempt: u8,
    /// The worker of the receiving node that the sessions belong to.
    pub worker: WorkerId,
    /// The identity of a message; what names a repeat.
    pub id: MsgId,
    /// When the server received it.
    pub at: Utc,
    /// It may have been delivered before; the stanza says so (XEP-0203).
    pub delayed: bool,
    /// A result is wanted: it is a message that is to be safe, or an iq that is to be answered.
    pub awaited: bool,
    /// The sender, as stamped: a prepared JID.
    pub from: &'a str,
    /// The recipient: a prepared JID.
    pub to: &'a str,
    /// The sessions it is for. None: all that the receiving node has of this user (a probe).
    pub targets: Targets<'a>,
    /// One valid element of `jabber:client` as the clients get it.
    pub stanza: &'a str,
}

/// How often a node may decide where a stanza goes: after the third time in vain it stores or bounces it.
pub const ATTEMPTS_MAX: u8 = 3;

/// The names of sessions of one user: resourceparts, with a zero byte behind each, which is in none (RFC 7622 §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Targets<'a>(pub &'a str);

impl<'a> Targets<'a> {
    /// The names.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let end = memchr::memchr(0, rest.as_bytes()).unwrap_or(rest.len());
            let name = (!rest.is_empty()).then(|| &rest[..end]);
            rest = rest.get(end + 1..).unwrap_or_default();
            name
        })
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Adds a name to a text of this form.
    pub fn push(text: &mut String, name: &str) {
        text.push_str(name);
        text.push('\0');
    }
}

/// What can become of a parcel of which a result is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is settled (docs/ARCHITECTURE.md, "Acked means safe"): its sender may forget it.
    Settled,
    /// None of its sessions is here: it was given to nobody, and its sender decides again.
    Moved,
    /// It was given to sessions that have ended without acknowledging it: its sender decides again, and whoever gets it then
    /// is told that it is late.
    Lost,
    /// It was not delivered, and will not be.
    Refused(Refused),
}

/// Why a parcel is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Too much waits for this user already.
    Overloaded,
    /// The sessions cannot take it: their clients do not read.
    NotTaken,
    /// The node is about to stop.
    Stopping,
}
