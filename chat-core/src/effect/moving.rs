//! A session on its way from one node to another.

use std::fmt;

use crate::base::{HashKey, MsgId, Span, Utc};

/// All that makes a session, for the node where it is to go on: the resource and its stream management (XEP-0198). Its
/// client has no stream, and everything that it sent is settled.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionState {
    /// Whose: a prepared bare JID.
    pub user: String,
    /// Its prepared resourcepart.
    pub resource: String,
    /// What the client presents to resume it. A secret: never logged.
    pub id: String,
    /// What names the messages that its client sends.
    pub key: HashKey,
    /// How long it waits for its client.
    pub max: Span,
    /// How much of that is left.
    pub left: Span,
    /// Stanzas received from the client, all of them settled, modulo 2^32.
    pub received: u32,
    /// Stanzas that the client acknowledged, modulo 2^32.
    pub acked: u32,
    /// The priority in its presence.
    pub priority: i8,
    /// It gets pushes of the roster.
    pub interested: bool,
    /// It gets pushes of the block list.
    pub wants_blocked: bool,
    /// It gets copies (XEP-0280).
    pub carbons: bool,
    /// The last available presence it broadcast, as stamped; empty if it is not available.
    pub presence: String,
    /// Whom it sent directed presence (RFC 6121 §4.6.3): prepared JIDs.
    pub directed: Vec<String>,
    /// What the client has not acknowledged, oldest first.
    pub queue: Vec<Queued>,
    /// Messages that the user's clients have, and that may come once more: another node, or the spool, may not know yet.
    pub recent: Vec<MsgId>,
    /// Another node was given this session before, and it is not known what it did with it: how many stanzas the client can
    /// have got there of those that were sent before, modulo 2^32. Known since version 2 of the protocol between nodes.
    pub unsure: Option<u32>,
}

impl SessionState {
    /// The first version of the protocol between nodes that can say all of it. A node that speaks an older one must not get the
    /// session.
    pub fn since(&self) -> u16 {
        SessionState::since_of(self.unsure)
    }

    /// The same of one of which this much is known.
    pub fn since_of(unsure: Option<u32>) -> u16 {
        if unsure.is_some() { 2 } else { 1 }
    }
}

/// Without what is a secret, and without what the client's correspondents wrote.
impl fmt::Debug for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SessionState { user, resource, received, acked, queue, .. } = self;
        let n = queue.len();
        write!(f, "{user}/{resource}: {received} received, {acked} acknowledged, {n} unacknowledged")
    }
}

/// What a client presents to resume a session: a secret, which no log shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SmId<'a>(pub &'a str);

impl fmt::Debug for SmId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmId(…)")
    }
}

/// A stanza that the client has not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// One element, as the client gets it.
    pub stanza: String,
    /// The message it is a copy of, if anybody cares what becomes of it.
    pub copy: Option<Copied>,
}

/// The message that a stanza in the queue of a session is a copy of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Its identity.
    pub id: MsgId,
    /// When the server received it.
    pub at: Utc,
    /// Who answers for it.
    pub keeper: Keeper,
}

/// Who answers for a message while a session that has a copy of it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// The spool: there is a row, which goes when the client acknowledges.
    Row,
    /// Another node, which hears that the session has moved, and will send it again; there may be a row.
    Other,
    /// The node that the session comes from. It waits for the result of this envelope, as if it had sent it.
    Giver(u64),
}

/// Why a session is not given to who asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotGiven {
    /// The user has no such session here. If it had one that is over, so many stanzas of its client were settled.
    Unknown(Option<u32>),
    /// It has gone, or is about to go, to another node: to be asked for there.
    Elsewhere,
    /// The client acknowledged more than it was sent (XEP-0198 §4).
    TooHigh {
        /// What it acknowledged.
        h: u32,
        /// What it was sent.
        sent: u32,
    },
    /// It cannot be given, now or in this form.
    Unable,
    /// It was given, and ended before it was known to be taken: the taker ends it, too.
    Void,
}
