//! What the engine does when an answer arrives: continuations as data.

use std::sync::Arc;

use super::{SettleTo, StoreOp};
use crate::base::{ConnId, MsgId, UserId};
use crate::jid::BareJid;

/// Who waits for the answer to a request.
#[derive(Debug, Clone)]
pub enum Wait {
    /// A SASL exchange.
    Sasl(ConnId),
    /// An iq that registers an account before authentication (XEP-0077 §3.1).
    Register {
        /// Who asked.
        conn: ConnId,
        /// The id of its iq.
        id: String,
    },
    /// An iq that changes or removes the account of its sender (XEP-0077 §3.2, §3.3).
    Account {
        /// Whose.
        user: UserId,
        /// The answer: kept until the change is durable.
        reply: Box<PendingReply>,
    },
    /// The record of a user.
    Load(UserId),
    /// A change of a roster or a block list: the first in the user's queue of changes.
    Change(UserId),
    /// A row of the spool that makes a message settled.
    Spool {
        /// Whose spool.
        user: UserId,
        /// The message.
        id: MsgId,
        /// Who waits for it.
        settle: Option<SettleTo>,
        /// No client has the message.
        kept: bool,
    },
    /// Rows of the spool that are to be delivered.
    Rows(UserId),
    /// Whose spools are not empty.
    Sweep,
    /// Nobody; the answer only ends the retries.
    Nobody,
}

/// An iq result or error that waits for a change to be durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingReply {
    /// The full JID that asked.
    pub to: crate::jid::Jid,
    /// Whom it asked, if it said so: the answer comes from there (RFC 6120 §8.1.2.1).
    pub from: Option<crate::jid::Jid>,
    /// The id of its iq.
    pub id: Option<String>,
    /// What the answer ends: the account is to be removed.
    pub removes: bool,
}

/// A request to the store with what is needed to repeat it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The operation; none for questions to the authenticator, which are not repeated.
    pub op: Option<Arc<StoreOp>>,
    /// When the engine gives up, in monotonic nanoseconds.
    pub give_up: crate::base::Mono,
    /// Who waits.
    pub wait: Wait,
}

impl Request {
    /// Into whose spool it writes, if it does.
    pub fn spools(&self) -> Option<&BareJid> {
        match self.op.as_deref() {
            Some(StoreOp::SpoolPut { user, .. }) => Some(user),
            _ => None,
        }
    }
}
