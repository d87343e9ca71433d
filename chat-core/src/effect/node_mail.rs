//! What a worker and the agent of its node hand each other about other nodes.

use std::sync::Arc;

use super::{Change, NotGiven, Outcome, Parcel, Record, SessionState, SmHash, SmId, Targets};
use crate::base::{Hlc, MsgId, NodeId, Utc, WorkerId};

/// What a worker has to tell other nodes, or other nodes have to tell it, in order. One batch holds all of a turn, its text
/// in one buffer, and is used again and again ([`Engine::reuse_node_mail`](crate::engine::Engine::reuse_node_mail)).
#[derive(Debug, Clone, Default)]
pub struct NodeMail(Box<Content>);

#[derive(Debug, Clone, Default)]
struct Content {
    letters: Vec<Letter>,
    /// Of each letter its names.
    text: String,
    /// Of each letter with a state the state.
    states: Vec<Arc<SessionState>>,
}

/// A letter without its text.
#[derive(Debug, Clone, Copy)]
enum Letter {
    Up { node: NodeId, version: u16, name: u16 },
    Down { node: NodeId },
    Put { node: NodeId, user: u16, resource: u16, numbers: Numbers },
    Remove { node: NodeId, user: u16, resource: u16 },
    Parcel { node: NodeId, head: Head, from: u16, to: u16, targets: u32, stanza: u32 },
    Result { node: NodeId, envelope: u64, outcome: Outcome },
    Poke { node: NodeId, user: u16 },
    Whole { node: NodeId },
    Takes { node: NodeId, takes: bool },
    UserChanged { node: NodeId, user: u16, roster: u64, blocked: u64 },
    Ask { node: NodeId, ask: u64, h: u32, user: u16, id: u16 },
    State { node: NodeId, ask: u64 },
    Refuse { node: NodeId, ask: u64, why: NotGiven },
    Installed { node: NodeId, ask: u64, user: u16 },
    Release { node: NodeId, ask: u64, user: u16 },
    Offer { node: NodeId, offer: u64, sm: SmHash, user: u16 },
    Answer { node: NodeId, offer: u64, ask: Option<u64> },
}

/// What a parcel says besides its text.
#[derive(Debug, Clone, Copy)]
struct Head {
    envelope: u64,
    attempt: u8,
    worker: WorkerId,
    id: MsgId,
    at: Utc,
    delayed: bool,
    awaited: bool,
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
        /// The version of the protocol between nodes that this one speaks with it.
        version: u16,
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
    /// A stanza for sessions of another node; from a worker. For sessions of this one; to the worker that it names.
    Parcel {
        /// To which node, or from which.
        node: NodeId,
        /// What it is.
        parcel: Parcel<'a>,
    },
    /// What became of a parcel: from the worker that got it, to the one that sent it ([`Parcel::envelope`] says which).
    Result {
        /// To which node, or from which.
        node: NodeId,
        /// What the sender calls it.
        envelope: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// There is something new in the spool of this user, which sessions of the other node are to read before what comes
    /// live after this; to the home of the user.
    Poke {
        /// To which node, or from which.
        node: NodeId,
        /// A prepared bare JID.
        user: &'a str,
    },
    /// To a worker: this node has told of all its sessions.
    Whole {
        /// Which.
        node: NodeId,
    },
    /// To a worker: this node takes sessions from now on, or takes none. Before it says so it takes none.
    Takes {
        /// Which.
        node: NodeId,
        /// Whether it does.
        takes: bool,
    },
    /// What is stored of a user has changed; to the home of the user. From a worker: it has changed it, and all others are to
    /// know; then the node is 0.
    UserChanged {
        /// Which node changed it.
        node: NodeId,
        /// A prepared bare JID.
        user: &'a str,
        /// The version of the roster.
        roster: u64,
        /// The version of the block list.
        blocked: u64,
    },
    /// A client is here that wants to go on with a session that is there; to the home of the user.
    Ask {
        /// To which node, or from which.
        node: NodeId,
        /// What the taker calls it, never used twice in one life of its node. Its remainder by the number of that node's
        /// workers is the worker that waits.
        ask: u64,
        /// A prepared bare JID.
        user: &'a str,
        /// What the client presents.
        id: SmId<'a>,
        /// How many stanzas it has got.
        h: u32,
    },
    /// The session that was asked for, or whose offer was taken; to the worker that waits.
    State {
        /// To which node, or from which.
        node: NodeId,
        /// What the taker calls it.
        ask: u64,
        /// The session.
        state: &'a Arc<SessionState>,
    },
    /// It is not given; to the worker that waits.
    Refuse {
        /// To which node, or from which.
        node: NodeId,
        /// What the taker calls it.
        ask: u64,
        /// Why.
        why: NotGiven,
    },
    /// The session goes on at its taker, and no longer where it was; to the home of the user.
    Installed {
        /// To which node, or from which.
        node: NodeId,
        /// What the taker calls it.
        ask: u64,
        /// A prepared bare JID.
        user: &'a str,
    },
    /// The taker does not take it, now that it could or any more; to the home of the user.
    Release {
        /// To which node, or from which.
        node: NodeId,
        /// What the taker calls it.
        ask: u64,
        /// A prepared bare JID.
        user: &'a str,
    },
    /// A session without stream is to go on elsewhere; to the home of the user.
    Offer {
        /// To which node, or from which.
        node: NodeId,
        /// What the giver calls it, as with [`NodeTold::Ask`].
        offer: u64,
        /// A prepared bare JID.
        user: &'a str,
        /// By what the session is looked for.
        sm: SmHash,
    },
    /// Whether an offer is taken; to the worker that waits.
    Answer {
        /// To which node, or from which.
        node: NodeId,
        /// What the giver calls it.
        offer: u64,
        /// If so, what the taker calls it.
        ask: Option<u64>,
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
        let queued = |state: &Arc<SessionState>| state.queue.iter().map(|q| q.stanza.len()).sum::<usize>();
        let states: usize = self.0.states.iter().map(queued).sum();
        self.0.text.len() + size_of_val(&self.0.letters[..]) + states
    }

    /// Adds a piece.
    pub fn put(&mut self, told: &NodeTold<'_>) {
        let letter = match *told {
            NodeTold::Up { node, name, version } => Letter::Up { node, version, name: self.text(name) },
            NodeTold::Down { node } => Letter::Down { node },
            NodeTold::Change { node, change: Change::Put(record) } => {
                let Record { user, resource, priority, carbons, sm, worker, bound } = record;
                let numbers = Numbers { priority, carbons, sm, worker, bound };
                Letter::Put { node, user: self.text(user), resource: self.text(resource), numbers }
            }
            NodeTold::Change { node, change: Change::Remove { user, resource } } => {
                Letter::Remove { node, user: self.text(user), resource: self.text(resource) }
            }
            NodeTold::Parcel { node, parcel } => {
                let Parcel { envelope, attempt, worker, id, at, delayed, awaited, .. } = parcel;
                let head = Head { envelope, attempt, worker, id, at, delayed, awaited };
                let (from, to) = (self.text(parcel.from), self.text(parcel.to));
                let (targets, stanza) = (self.long(parcel.targets.0), self.long(parcel.stanza));
                Letter::Parcel { node, head, from, to, targets, stanza }
            }
            NodeTold::Result { node, envelope, outcome } => Letter::Result { node, envelope, outcome },
            NodeTold::Poke { node, user } => Letter::Poke { node, user: self.text(user) },
            NodeTold::Whole { node } => Letter::Whole { node },
            NodeTold::Takes { node, takes } => Letter::Takes { node, takes },
            NodeTold::UserChanged { node, user, roster, blocked } => {
                Letter::UserChanged { node, user: self.text(user), roster, blocked }
            }
            NodeTold::Ask { node, ask, user, id, h } => {
                Letter::Ask { node, ask, h, user: self.text(user), id: self.text(id.0) }
            }
            NodeTold::State { node, ask, state } => {
                self.0.states.push(state.clone());
                Letter::State { node, ask }
            }
            NodeTold::Refuse { node, ask, why } => Letter::Refuse { node, ask, why },
            NodeTold::Installed { node, ask, user } => Letter::Installed { node, ask, user: self.text(user) },
            NodeTold::Release { node, ask, user } => Letter::Release { node, ask, user: self.text(user) },
            NodeTold::Offer { node, offer, user, sm } => {
                Letter::Offer { node, offer, sm, user: self.text(user) }
            }
            NodeTold::Answer { node, offer, ask } => Letter::Answer { node, offer, ask },
        };
        self.0.letters.push(letter);
    }

    /// Adds text that may be long, but no stanza has 4 GiB.
    fn long(&mut self, text: &str) -> u32 {
        self.0.text.push_str(text);
        text.len() as u32
    }

    /// Adds a name, none of which is longer than a JID.
    fn text(&mut self, text: &str) -> u16 {
        self.0.text.push_str(text);
        text.len() as u16
    }

    /// What it says, in order.
    pub fn iter(&self) -> impl Iterator<Item = NodeTold<'_>> {
        let mut rest = &self.0.text[..];
        let mut states = self.0.states.iter();
        let mut cut = move |len: u32| {
            let (now, later) = rest.split_at(len as usize);
            rest = later;
            now
        };
        self.0.letters.iter().map(move |letter| match *letter {
            Letter::Up { node, version, name } => NodeTold::Up { node, name: cut(name.into()), version },
            Letter::Down { node } => NodeTold::Down { node },
            Letter::Put { node, user, resource, numbers } => {
                let Numbers { priority, carbons, sm, worker, bound } = numbers;
                let (user, resource) = (cut(user.into()), cut(resource.into()));
                let record = Record { user, resource, priority, carbons, sm, worker, bound };
                NodeTold::Change { node, change: Change::Put(record) }
            }
            Letter::Remove { node, user, resource } => {
                let change = Change::Remove { user: cut(user.into()), resource: cut(resource.into()) };
                NodeTold::Change { node, change }
            }
            Letter::Parcel { node, head, from, to, targets, stanza } => {
                let Head { envelope, attempt, worker, id, at, delayed, awaited } = head;
                let (from, to) = (cut(from.into()), cut(to.into()));
                let (targets, stanza) = (Targets(cut(targets)), cut(stanza));
                let parcel =
                    Parcel { envelope, attempt, worker, id, at, delayed, awaited, from, to, targets, stanza };
                NodeTold::Parcel { node, parcel }
            }
            Letter::Result { node, envelope, outcome } => NodeTold::Result { node, envelope, outcome },
            Letter::Poke { node, user } => NodeTold::Poke { node, user: cut(user.into()) },
            Letter::Whole { node } => NodeTold::Whole { node },
            Letter::Takes { node, takes } => NodeTold::Takes { node, takes },
            Letter::UserChanged { node, user, roster, blocked } => {
                NodeTold::UserChanged { node, user: cut(user.into()), roster, blocked }
            }
            Letter::Ask { node, ask, h, user, id } => {
                NodeTold::Ask { node, ask, user: cut(user.into()), id: SmId(cut(id.into())), h }
            }
            Letter::State { node, ask } => {
                let state = states.next().expect("each letter with a state has put it there");
                NodeTold::State { node, ask, state }
            }
            Letter::Refuse { node, ask, why } => NodeTold::Refuse { node, ask, why },
            Letter::Installed { node, ask, user } => {
                NodeTold::Installed { node, ask, user: cut(user.into()) }
            }
            Letter::Release { node, ask, user } => NodeTold::Release { node, ask, user: cut(user.into()) },
            Letter::Offer { node, offer, sm, user } => {
                NodeTold::Offer { node, offer, user: cut(user.into()), sm }
            }
            Letter::Answer { node, offer, ask } => NodeTold::Answer { node, offer, ask },
        })
    }

    /// Empties it, to be used again.
    pub fn clear(&mut self) {
        self.0.letters.clear();
        self.0.text.clear();
        self.0.states.clear();
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
        let parcel = Parcel {
            envelope: 9,
            attempt: 2,
            worker: WorkerId(1),
            id: MsgId(5),
            at: Utc(6),
            delayed: true,
            awaited: true,
            from: "juliet@localhost/x",
            to: "romeo@localhost",
            targets: Targets("a\0ø\0"),
            stanza: "<message/>",
        };
        assert_eq!(parcel.targets.iter().collect::<Vec<_>>(), ["a", "ø"]);
        let told = [
            NodeTold::Parcel { node: NodeId(3), parcel },
            NodeTold::Result { node: NodeId(3), envelope: 9, outcome: Outcome::Lost },
            NodeTold::Poke { node: NodeId(3), user: "romeo@localhost" },
            NodeTold::Whole { node: NodeId(3) },
            NodeTold::Takes { node: NodeId(3), takes: true },
            NodeTold::UserChanged { node: NodeId(3), user: "romeo@localhost", roster: 7, blocked: 1 << 40 },
            NodeTold::Up { node: NodeId(3), name: "chat@a", version: 2 },
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
            mail.put(&NodeTold::Up { node: NodeId(1), name: &" ".repeat(1000), version: 1 });
        }
        mail.clear();
        assert!(mail.0.text.capacity() < ROOM_KEPT);
    }
}
