//! What another node tells of its sessions, and whether anything is missing.

use super::batch::Changes;
use super::frame::{self, BEGIN, END, write_reset};
use crate::base::limits::REGISTRY_RESETS_MAX;
use crate::cluster::identity::Incarnation;
use crate::cluster::wire::{Kind, WireFault};

/// Reads one life of one node, from when the link with it begins or starts over until it does so again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    incarnation: Incarnation,
    /// At which its frames are written.
    version: u16,
    state: State,
    /// The number of the frame that comes next.
    next: u64,
    seq: u64,
    /// Snapshots that have begun.
    begun: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Something is missing: nothing is believed until a snapshot begins.
    Lost,
    /// A snapshot has begun.
    Filling,
    /// A snapshot has ended.
    Whole,
}

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received<'a> {
    /// Nothing that may be believed: it is about another life, or was there before.
    Nothing,
    /// Changes, in order.
    Changes {
        /// What this replica has told before is void: these are the first records of another snapshot.
        afresh: bool,
        /// What is different.
        changes: Changes<'a>,
    },
    /// Something is missing. Send this body as [`Kind::RegistryReset`]; a snapshot will follow.
    Gap {
        /// What to send.
        ask: Vec<u8>,
    },
}

impl Replica {
    /// Nothing is known of this life of a node, with which this version was agreed.
    pub fn new(incarnation: Incarnation, version: u16) -> Self {
        Replica { incarnation, version, state: State::Lost, next: 1, seq: 0, begun: 0 }
    }

    /// Whether all its sessions are known, but for what is on its way.
    pub fn is_whole(&self) -> bool {
        self.state == State::Whole
    }

    /// How many changes of its life the node had seen when it sent the last frame that was believed.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Reads a frame of one of the kinds [`Kind::RegistrySnapshot`] and [`Kind::RegistryRecords`]. An error is the other
    /// node's fault, and nothing has changed.
    ///
    /// A link loses nothing, so a gap is somebody's bug. It is mended nevertheless, whatever was lost: each frame that is
    /// out of turn is answered with its number, until a snapshot begins. The other node knows by the number whether it
    /// sent that frame before or after it last began a snapshot, so questions that cross a snapshot start no other.
    /// A node that goes on like that is broken: after [`REGISTRY_RESETS_MAX`] times it is a fault.
    ///
    /// # Panics
    /// If the kind is another.
    pub fn receive<'a>(&mut self, kind: Kind, body: &'a [u8]) -> Result<Received<'a>, WireFault> {
        let (head, changes) = frame::read(kind, body, self.version)?;
        if head.incarnation != self.incarnation || head.number < self.next {
            return Ok(Received::Nothing);
        }
        let (begins, ends) =
            (head.part.is_some_and(|p| p & BEGIN != 0), head.part.is_some_and(|p| p & END != 0));
        let out_of_turn = match self.state {
            State::Lost => !begins,
            State::Filling | State::Whole => head.number != self.next,
        };
        if out_of_turn {
            if self.begun >= REGISTRY_RESETS_MAX {
                return Err(WireFault::Sequence { expected: self.next, found: head.number });
            }
            self.state = State::Lost;
            self.next = head.number + 1;
            return Ok(Received::Gap { ask: write_reset(self.incarnation, head.number, self.version) });
        }
        self.state = match (self.state, head.part) {
            (State::Lost, _) | (State::Filling, Some(_)) if begins == (self.state == State::Lost) => {
                if ends {
                    State::Whole
                } else {
                    State::Filling
                }
            }
            (state, None) => state,
            // A snapshot that nobody asked for, or a part that belongs to none.
            _ => return Err(WireFault::Turn(kind.byte())),
        };
        self.next = head.number + 1;
        self.seq = head.seq;
        let afresh = begins && self.begun > 0;
        self.begun += usize::from(begins);
        Ok(Received::Changes { afresh, changes })
    }
}
