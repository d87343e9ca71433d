//! Requests to the store.

use std::sync::Arc;

use crate::base::{MsgId, Utc};
use crate::jid::BareJid;

/// The place of a row in one user's spool. Later rows have greater numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpoolSeq(pub i64);

/// A message that waits for its recipient (XEP-0160).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolRow {
    /// Unique in its user's spool: a second row with the same id is the same message and changes nothing.
    pub id: MsgId,
    /// When the server received the message; becomes the stamp of its `<delay/>` (XEP-0203).
    pub at: Utc,
    /// The stanza, `from` stamped, in `jabber:client`.
    pub stanza: Arc<[u8]>,
}

/// An operation on the data of one bare JID, but for [`StoreOp::SpoolWaiting`].
#[derive(Debug, Clone)]
pub enum StoreOp {
    /// Everything the engine keeps in memory about a user, answered by [`StoreDone::User`].
    LoadUser {
        /// Whose.
        user: BareJid,
    },
    /// The user exists: for those whose credentials live elsewhere (JWT, HTTP). Answered by [`StoreDone::Done`].
    Touch {
        /// Who logged in.
        user: BareJid,
    },
    /// A new roster, if the stored version is still `expected`; its version becomes `expected + 1`. Answered by
    /// [`StoreDone::Done`] or [`StoreError::Conflict`]. Repeating an operation that was carried out is no conflict.
    PutRoster {
        /// Whose.
        user: BareJid,
        /// The version that the change was made from; 0 for a user without roster.
        expected: u64,
        /// The packed roster (`user::roster`).
        roster: Arc<[u8]>,
    },
    /// A new block list (XEP-0191), with the same rule as [`StoreOp::PutRoster`].
    PutBlocked {
        /// Whose.
        user: BareJid,
        /// The version that the change was made from; 0 for none.
        expected: u64,
        /// Prepared JIDs, each followed by a line feed.
        blocked: Arc<[u8]>,
    },
    /// One more row of the spool, answered by [`StoreDone::Done`] once it is durable, also if the row was there
    /// already, or [`StoreError::Full`].
    SpoolPut {
        /// Whose.
        user: BareJid,
        /// The message.
        row: SpoolRow,
        /// Rows this user may have; beyond it the row is refused.
        rows_max: u32,
    },
    /// The oldest rows after `after`, answered by [`StoreDone::Spool`]; no row is removed.
    SpoolRead {
        /// Whose.
        user: BareJid,
        /// Start behind this row.
        after: SpoolSeq,
        /// Rows to return at most.
        rows_max: u32,
        /// Return no further row once the stanzas returned have this many bytes (at least one row is returned).
        bytes_max: u32,
    },
    /// Which of these users have rows in their spools, answered by [`StoreDone::Waiting`]. An answer from a little earlier does no
    /// harm, so the operation keeps an order with those of its first user only.
    SpoolWaiting {
        /// Who; not empty.
        users: Vec<BareJid>,
    },
    /// The end of these rows: their client has them. Rows that are not there are no error. Answered by
    /// [`StoreDone::Done`].
    SpoolDelete {
        /// Whose.
        user: BareJid,
        /// Which.
        ids: Vec<MsgId>,
    },
    /// The end of everything about a user but credentials, which are ended before (by the authenticator, or by the
    /// operator): if there are some all the same, somebody has made the account anew. Answered by [`StoreDone::Done`].
    RemoveUser {
        /// Who.
        user: BareJid,
    },
}

impl StoreOp {
    /// The bare JID that the operation is about: operations on one bare JID keep their order.
    pub fn user(&self) -> &BareJid {
        match self {
            StoreOp::LoadUser { user }
            | StoreOp::Touch { user }
            | StoreOp::PutRoster { user, .. }
            | StoreOp::PutBlocked { user, .. }
            | StoreOp::SpoolPut { user, .. }
            | StoreOp::SpoolRead { user, .. }
            | StoreOp::SpoolDelete { user, .. }
            | StoreOp::RemoveUser { user } => user,
            StoreOp::SpoolWaiting { users } => users.first().expect("it asks for somebody"),
        }
    }

    /// Whether the operation changes anything.
    pub fn is_write(&self) -> bool {
        !matches!(self, StoreOp::LoadUser { .. } | StoreOp::SpoolRead { .. } | StoreOp::SpoolWaiting { .. })
    }
}

/// What the store knows of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// There is such a user: somebody registered the account or logged in to it.
    pub exists: bool,
    /// The packed roster and its version; version 0 and no bytes if there is none.
    pub roster: (u64, Arc<[u8]>),
    /// The block list and its version, likewise.
    pub blocked: (u64, Arc<[u8]>),
    /// Rows in the spool.
    pub spooled: u32,
}

/// An operation that was carried out; what it wrote is durable as far as the back end promises.
#[derive(Debug, Clone)]
pub enum StoreDone {
    /// The answer to [`StoreOp::LoadUser`].
    User(Loaded),
    /// Oldest first: the answer to [`StoreOp::SpoolRead`]. Fewer rows than asked for does not mean the end; an
    /// empty answer does.
    Spool(Vec<(SpoolSeq, SpoolRow)>),
    /// In any order: the answer to [`StoreOp::SpoolWaiting`].
    Waiting(Vec<BareJid>),
    /// A write that needs no other answer.
    Done,
}

/// An operation that was not carried out; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The version in the store is not the one expected.
    #[error("the stored version is another one")]
    Conflict,
    /// The user's spool has reached its limit.
    #[error("the spool is full")]
    Full,
    /// The back end's queue is full: it refuses at once rather than pile up.
    #[error("the store is overloaded")]
    Overloaded,
    /// The disk is full, the file read-only, the database away.
    #[error("the store is unavailable")]
    Unavailable,
    /// The stored bytes make no sense.
    #[error("the stored data is damaged")]
    Damaged,
}

/// The answer to a [`StoreOp`].
pub type StoreResult = Result<StoreDone, StoreError>;
