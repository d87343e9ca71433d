//! What this node tells the others of its own sessions: a log of changes, and snapshots for those who begin.

use super::batch::Batch;
use super::frame::{BEGIN, END, Head, read_reset};
use crate::base::limits::{REGISTRY_BATCH_BYTES, REGISTRY_CHANGES_MAX, REGISTRY_RESETS_MAX};
use crate::base::{HashKey, NodeId, WorkerId};
use crate::cluster::identity::{Incarnation, NodeName};
use crate::cluster::wire::{Kind, UNVERSIONED, WireFault};
use crate::route::registry::{Change, Table};
use std::collections::{BTreeMap, VecDeque};

/// This node in its own table.
const OWN: NodeId = NodeId(0);

/// Something that happened.
#[derive(Debug)]
pub enum LogInput<'a> {
    /// A session of this node: bound, changed or gone. One beyond the limits of the registry
    /// ([`Refused`](crate::route::registry::Refused)) is not told: it is reached on this node only.
    Changed(Change<'a>),
    /// A link with this node begins, or starts over: it knows nothing of this one.
    Fresh {
        /// Which node.
        node: NodeId,
        /// At which it is written to, and reads.
        version: u16,
    },
    /// The node is down, or its link gave up: nothing more is sent to it.
    Gone(NodeId),
    /// The node asks to start over (the body of a [`Kind::RegistryReset`]).
    Reset {
        /// Which node.
        node: NodeId,
        /// What it sent.
        body: &'a [u8],
    },
    /// There is room for the next part of a snapshot on the link with this node.
    Room(NodeId),
    /// The turn ends: what has changed goes out.
    Flush,
}

/// Something to send down the ordered link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutput {
    /// A frame.
    Send {
        /// To which node.
        to: NodeId,
        /// Of which kind.
        kind: Kind,
        /// What it says.
        body: Vec<u8>,
    },
    /// The node sent what is no frame of ours: its link is to be closed.
    Fault {
        /// Which node.
        node: NodeId,
        /// What is wrong.
        fault: WireFault,
    },
}

/// The machine. It needs no time. See the [module](super).
#[derive(Debug)]
pub struct Log {
    incarnation: Incarnation,
    /// Changes in this life.
    seq: u64,
    own: Table,
    /// Changes that have not gone out.
    waiting: Batch,
    /// The nodes that are told.
    feeds: BTreeMap<NodeId, Feed>,
    outputs: VecDeque<LogOutput>,
    batch_bytes: usize,
}

/// How far a node has been told.
#[derive(Debug)]
struct Feed {
    /// The version it reads.
    version: u16,
    /// The number of its next frame.
    next: u64,
    /// The number of the frame that last began a snapshot.
    begun: u64,
    /// How often it asked for another.
    resets: usize,
    /// Where its snapshot goes on, until it is whole.
    place: Option<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Begin,
    At(usize),
}

impl Log {
    /// The log of a node without sessions.
    pub fn new(name: &NodeName, incarnation: Incarnation, key: HashKey) -> Self {
        let mut own = Table::new(key);
        own.seat(OWN, name.as_str());
        Log {
            incarnation,
            seq: 0,
            own,
            waiting: Batch::new(),
            feeds: BTreeMap::new(),
            outputs: VecDeque::new(),
            batch_bytes: REGISTRY_BATCH_BYTES,
        }
    }

    /// With frames of so many bytes, so that a snapshot of a few sessions has many parts.
    #[cfg(test)]
    pub(super) fn with_batches_of(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Something happened.
    pub fn handle(&mut self, input: LogInput<'_>) {
        match input {
            LogInput::Changed(change) => self.on_changed(&change),
            LogInput::Fresh { node, version } => {
                self.drop_waiting(node);
                let feed = Feed { version, next: 1, begun: 0, resets: 0, place: Some(Place::Begin) };
                self.feeds.insert(node, feed);
            }
            LogInput::Gone(node) => {
                self.feeds.remove(&node);
                self.drop_waiting(node);
            }
            LogInput::Reset { node, body } => {
                if let Err(fault) = self.on_reset(node, body) {
                    self.outputs.push_back(LogOutput::Fault { node, fault });
                }
            }
            LogInput::Room(node) => self.snapshot(node),
            LogInput::Flush => self.flush(),
        }
    }

    /// This node begins another life, in which it has met nobody, with the sessions that it has.
    pub fn begin_life(&mut self, incarnation: Incarnation) {
        self.incarnation = incarnation;
        self.feeds.clear();
        self.outputs.clear();
        self.waiting.clear();
    }

    /// A worker has lost all its sessions, and cannot say so itself.
    pub fn lose(&mut self, worker: WorkerId) {
        let mut lost = Vec::new();
        self.own.walk(0, OWN, |record| {
            if record.worker == worker {
                lost.push((record.user.to_owned(), record.resource.to_owned()));
            }
            true
        });
        for (user, resource) in &lost {
            self.on_changed(&Change::Remove { user, resource });
        }
    }

    /// A node is called otherwise from now on.
    pub fn renumber(&mut self, old: NodeId, new: NodeId) {
        if let Some(feed) = self.feeds.remove(&old) {
            self.feeds.insert(new, feed);
        }
        for output in &mut self.outputs {
            let (LogOutput::Send { to: node, .. } | LogOutput::Fault { node, .. }) = output;
            if *node == old {
                *node = new;
            }
        }
    }

    /// What is to be sent next.
    pub fn poll_output(&mut self) -> Option<LogOutput> {
        self.outputs.pop_front()
    }

    /// Whether a part of a snapshot waits for room on the link with this node.
    pub fn wants_room(&self, node: NodeId) -> bool {
        self.feeds.get(&node).is_some_and(|f| f.place.is_some())
    }

    /// The changes so far: what another node has of this one is behind by the difference with [`Replica::seq`] there.
    ///
    /// [`Replica::seq`]: super::Replica::seq
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// This node's own sessions.
    pub fn own(&self) -> &Table {
        &self.own
    }

    fn on_changed(&mut self, change: &Change<'_>) {
        if !self.own.apply(OWN, change).is_ok_and(|applied| applied.changed) {
            return;
        }
        self.seq += 1;
        if self.feeds.is_empty() {
            return;
        }
        self.waiting.push(change);
        if self.waiting.is_full(self.batch_bytes) {
            self.flush();
        }
    }

    fn on_reset(&mut self, node: NodeId, body: &[u8]) -> Result<(), WireFault> {
        let version = self.feeds.get(&node).map_or(UNVERSIONED, |feed| feed.version);
        let (incarnation, number) = read_reset(body, version)?;
        let Some(feed) = self.feeds.get_mut(&node).filter(|_| incarnation == self.incarnation) else {
            return Ok(());
        };
        if number >= feed.next {
            return Err(WireFault::Sequence { expected: feed.next, found: number });
        }
        // What went out before the snapshot began was out of turn for the same reason that made it begin.
        if number > feed.begun && feed.place != Some(Place::Begin) {
            feed.resets += 1;
            if feed.resets > REGISTRY_RESETS_MAX {
                return Err(WireFault::Turn(Kind::RegistryReset.byte()));
            }
            feed.place = Some(Place::Begin);
        }
        Ok(())
    }

    /// Nothing that was written for a link that is over goes down the next.
    fn drop_waiting(&mut self, node: NodeId) {
        self.outputs.retain(|output| !matches!(output, LogOutput::Send { to, .. } if *to == node));
    }

    /// Sends what has changed to all whose snapshot has begun. The others will find it there.
    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        for (to, feed) in &mut self.feeds {
            if feed.place != Some(Place::Begin) {
                let head = feed.head(self.incarnation, self.seq, None);
                let body = head.write(&self.waiting, feed.version);
                let send = LogOutput::Send { to: *to, kind: head.kind(), body };
                self.outputs.push_back(send);
            }
        }
        self.waiting.clear();
    }

    /// Sends the next part of a snapshot. It shows each record as it is now; changes travel between the parts, so that in
    /// the end both sides have the same, whatever changed meanwhile and wherever.
    fn snapshot(&mut self, node: NodeId) {
        // The part stands behind everything that happened before it.
        self.flush();
        let Some(feed) = self.feeds.get_mut(&node) else { return };
        let (begins, from) = match feed.place {
            Some(Place::Begin) => (BEGIN, 0),
            Some(Place::At(at)) => (0, at),
            None => return,
        };
        let mut records = Batch::new();
        // Half of the changes that a frame may have leaves room for all the resources of the last user.
        let next = self.own.walk(from, OWN, |record| {
            records.push(&Change::Put(record));
            !records.is_full(self.batch_bytes) && records.len() < REGISTRY_CHANGES_MAX / 2
        });
        feed.place = next.map(Place::At);
        if begins == BEGIN {
            feed.begun = feed.next;
        }
        let ends = if next.is_none() { END } else { 0 };
        let head = feed.head(self.incarnation, self.seq, Some(begins | ends));
        let body = head.write(&records, feed.version);
        let send = LogOutput::Send { to: node, kind: head.kind(), body };
        self.outputs.push_back(send);
    }
}

impl Feed {
    /// The head of its next frame.
    fn head(&mut self, incarnation: Incarnation, seq: u64, part: Option<u8>) -> Head {
        let number = self.next;
        self.next += 1;
        Head { incarnation, number, seq, part }
    }
}
