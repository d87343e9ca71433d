//! The numbers by which this node's workers call other nodes.

use std::collections::BTreeSet;

use crate::base::NodeId;
use crate::base::limits::CLUSTER_NODES_MAX;

/// Numbers that may be given: many more than nodes that are met, so that workers have time to remove the records of one that
/// is gone before its number is another's.
const SEATS: u16 = 8 * CLUSTER_NODES_MAX as u16;

/// Which numbers are taken. 0 is this node's own.
#[derive(Debug, Default)]
pub(super) struct Seats {
    taken: BTreeSet<u16>,
    last: u16,
}

impl Seats {
    /// A number that nobody has, and that was given back longest ago.
    ///
    /// # Panics
    /// If all are taken: no cluster has so many nodes.
    pub(super) fn take(&mut self) -> NodeId {
        let mut numbers = (1..=SEATS).map(|i| (self.last + i - 1) % SEATS + 1);
        let free =
            numbers.find(|number| !self.taken.contains(number)).expect("there are fewer nodes than numbers");
        self.taken.insert(free);
        self.last = free;
        NodeId(free)
    }

    /// A number is nobody's any more.
    pub(super) fn give_back(&mut self, node: NodeId) {
        self.taken.remove(&node.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_around() {
        let mut seats = Seats::default();
        let first = [seats.take(), seats.take()];
        assert_eq!(first, [NodeId(1), NodeId(2)]);
        for round in 0..3 {
            for number in 3..=SEATS {
                let number = NodeId(number);
                assert_eq!(seats.take(), number, "{round}");
                seats.give_back(number);
            }
        }
        seats.give_back(NodeId(1));
        assert_eq!(seats.take(), NodeId(1));
    }
}
