//! What the registry knows of one session (`route/registry`).

use crate::base::{HashKey, Hlc, WorkerId};
use crate::jid::PART_BYTES_MAX;

/// Bytes of a bare JID: two parts and the `@` (RFC 7622 §3.1).
pub const USER_BYTES_MAX: usize = 2 * PART_BYTES_MAX + 1;
/// Bytes of a resource (RFC 7622 §3.4.1).
pub const RESOURCE_BYTES_MAX: usize = PART_BYTES_MAX;

/// One session: a resource that is bound, connected or waiting to be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Whose: a prepared bare JID.
    pub user: &'a str,
    /// The resource.
    pub resource: &'a str,
    /// The priority of its last presence if it is available (RFC 6121 §4.7.2.3); else it is reached by its full JID only.
    pub priority: Option<i8>,
    /// It wants copies of what the others get (XEP-0280).
    pub carbons: bool,
    /// What it can be resumed by, if it can (XEP-0198).
    pub sm: Option<SmHash>,
    /// Which worker of its node has it; holds within one life of the node.
    pub worker: WorkerId,
    /// When it was bound. It stays the same when the rest changes; a session that moves is bound anew at its new node.
    pub bound: Hlc,
}

/// A few bits of the id by which a session is resumed: enough to tell a user's few sessions apart, and not enough to
/// resume one. Who holds the session compares the whole id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SmHash(pub u32);

impl SmHash {
    /// The hash of an id, the same on every node.
    pub fn of(id: &str) -> Self {
        SmHash((HashKey { k0: 0x636c_7573, k1: 0x7465_7273 }.hash(id.as_bytes()) >> 32) as u32)
    }
}

/// A change of a node's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// There is this session, or it is like this now.
    Put(Record<'a>),
    /// There is no such session any more.
    Remove {
        /// Whose.
        user: &'a str,
        /// Which.
        resource: &'a str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_nodes_agree_on_the_hash_of_an_id() {
        assert_eq!(SmHash::of("8Z7juWVCmETklq8wDtbLDQ"), SmHash(4_129_183_673));
    }
}
