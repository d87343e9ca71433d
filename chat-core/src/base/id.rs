//! The names of things. All are small, copied freely, ordered, and mean nothing outside their owner.

use super::slots::Key;
use std::fmt;

/// A connection of one engine, from its acceptance to its end. Written `c7.2`.
///
/// A driver keeps its socket under this id. After a hand-over to another worker the connection has another id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub Key);

/// A user (a bare JID) in the memory of one engine, from loading to eviction. Written `u7.2`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub Key);

/// A worker (an engine) of one node, counted from 0. Written `w3`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WorkerId(pub u16);

/// A node of the cluster as this node counts them: 0 is this node itself. Never sent to others. Written `n2`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeId(pub u16);

impl NodeId {
    /// This node itself.
    pub const OWN: NodeId = NodeId(0);
}

/// What makes a message the same message wherever it is: in queues, in the spool, between nodes.
///
/// A message that comes again (a resend, a second way) has the same id, so that it can be dropped. `Debug` shows
/// the first 32 bits, `m1a2b3c4d`; `Display` shows all 128.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MsgId(pub u128);

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "u{}", self.0)
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Debug for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{:08x}", self.0 >> 96)
    }
}

impl fmt::Display for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_in_logs() {
        let key = Key { index: 7, generation: 2 };
        assert_eq!(format!("{:?} {:?}", ConnId(key), UserId(key)), "c7.2 u7.2");
        assert_eq!(format!("{:?} {:?}", WorkerId(3), NodeId(2)), "w3 n2");
        let id = MsgId(0x1a2b_3c4d << 96 | 5);
        assert_eq!(format!("{id:?} {id}"), "m1a2b3c4d 1a2b3c4d000000000000000000000005");
    }
}
