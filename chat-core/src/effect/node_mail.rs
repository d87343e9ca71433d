//! What a worker and the agent of its node hand each other about other nodes.

use super::{Change, Record, SmHash};
use crate::base::{Hlc, NodeId, WorkerId};

/// What a worker has to tell other nodes, or other nodes have to tell it, in order. One batch holds all of a turn, its text
/// in one buffer, and is used again and again ([`Engine::reuse_node_mail`](crate::engine::Engine::reuse_node_mail)).
#[derive(Debug, Clone, Default)]
pub struct NodeMail(Box<Content>);

#[derive(Debug, Clone, Default)]
struct Content {
    letters: Vec<Letter>,
    /// Of each letter its names.
    text: String,
}

/// A letter without its text.
#[derive(Debug, Clone, Copy)]
enum Letter {
    Up { node: NodeId, name: u16 },
    Down { node: NodeId },
    Put { node: NodeId, user: u16, resource: u16, numbers: Numbers },
    Remove { node: NodeId, user: u16, resource: u16 },
}

/// What a record says besides its names.
#[derive(Debug, Clone, Copy)]
struct Numbers {
    priority: Option<i8>,
    carbons: bool,
    sm: Option<SmHash>,
    worker: WorkerId,
    bound: Hlc,
}

/// One piece of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeTold<'a> {
    /// To a worker: this node is there, under a number that no other has at present. Its sessions will be told.
    Up {
        /// How it is called from now on.
        node: NodeId,
        /// Its name, by which ties are broken ([`Settings::cluster`](super::Settings::cluster)).
        name: &'a str,
    },
    /// To a worker: this node is gone, or what it was told does not count any more. Nothing more comes from it under this
    /// number, and nothing that was sent to it will be answered.
    Down {
        /// Which.
        node: NodeId,
    },
    /// To a worker: a session of another node was bound, changed or ended. From a worker: one of its own did; then the
    /// node is 0.
    Change {
        /// Whose session it is.
        node: NodeId,
        /// What is different.
        change: Change<'a>,
    },
}

/// Bytes for which an empty batch may keep room; a larger one was made by a burst.
const ROOM_KEPT: usize = 64 * 1024;

impl NodeMail {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.letters.is_empty()
    }

    /// What it counts for where the work that waits is bounded: its bytes, and some for each piece.
    pub fn weight(&self) -> usize {
        self.0.text.len() + size_of_val(&self.0.letters[..])
    }

    /// Adds a piece.
    pub fn put(&mut self, told: &NodeTold<'_>) {
        let letter = match *told {
            NodeTold::Up { node, name } => Letter::Up { node, name: self.text(name) },
            NodeTold::Down { node } => Letter::Down { node },
            NodeTold::Change { node, change: Change::Put(record) } => {
                let Record { user, resource, priority, carbons, sm, worker, bound } = record;
                let numbers = Numbers { priority, carbons, sm, worker, bound };
                Letter::Put { node, user: self.text(user), resource: self.text(resource), numbers }
            }
            NodeTold::Change { node, change: Change::Remove { user, resource } } => {
                Letter::Remove { node, user: self.text(user), resource: self.text(resource) }
            }
        };
        self.0.letters.push(letter);
    }

    /// Adds a name, none of which is longer than a bare JID.
    fn text(&mut self, text: &str) -> u16 {
        self.0.text.push_str(text);
        text.len() as u16
    }

    /// What it says, in order.
    pub fn iter(&self) -> impl Iterator<Item = NodeTold<'_>> {
        let mut rest = &self.0.text[..];
        let mut next = move |len: u16| {
            let (now, later) = rest.split_at(len.into());
            rest = later;
            now
        };
        self.0.letters.iter().map(move |letter| match *letter {
            Letter::Up { node, name } => NodeTold::Up { node, name: next(name) },
            Letter::Down { node } => NodeTold::Down { node },
            Letter::Put { node, user, resource, numbers } => {
                let Numbers { priority, carbons, sm, worker, bound } = numbers;
                let (user, resource) = (next(user), next(resource));
                let record = Record { user, resource, priority, carbons, sm, worker, bound };
                NodeTold::Change { node, change: Change::Put(record) }
            }
            Letter::Remove { node, user, resource } => {
                let change = Change::Remove { user: next(user), resource: next(resource) };
                NodeTold::Change { node, change }
            }
        })
    }

    /// Empties it, to be used again.
    pub fn clear(&mut self) {
        self.0.letters.clear();
        self.0.text.clear();
        if self.0.text.capacity() > ROOM_KEPT {
            *self = NodeMail::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_reads_as_it_was_written_and_can_be_used_again() {
        let record = Record {
            user: "romeo@localhost",
            resource: "ø",
            priority: Some(-3),
            carbons: true,
            sm: Some(SmHash(7)),
            worker: WorkerId(2),
            bound: Hlc(9),
        };
        let told = [
            NodeTold::Up { node: NodeId(3), name: "chat@a" },
            NodeTold::Change { node: NodeId(3), change: Change::Put(record) },
            NodeTold::Change {
                node: NodeId(0),
                change: Change::Remove { user: "romeo@localhost", resource: "ø" },
            },
            NodeTold::Down { node: NodeId(3) },
        ];
        let mut mail = NodeMail::default();
        for _ in 0..2 {
            assert!(mail.is_empty());
            told.iter().for_each(|told| mail.put(told));
            assert_eq!(mail.iter().collect::<Vec<_>>(), told);
            assert!(mail.weight() > 40);
            mail.clear();
        }
        for _ in 0..2 * ROOM_KEPT / 1000 {
            mail.put(&NodeTold::Up { node: NodeId(1), name: &" ".repeat(1000) });
        }
        mail.clear();
        assert!(mail.0.text.capacity() < ROOM_KEPT);
    }
}
