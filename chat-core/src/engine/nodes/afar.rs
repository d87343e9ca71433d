//! What is on its way to sessions of other nodes, or waits for its turn.

use std::collections::{VecDeque, btree_map};
use std::sync::Arc;

use smol_str::SmolStr;

use super::moves::{Hold, Taking};
use super::{Cluster, Turn};
use crate::base::limits::{
    ENVELOPES_PER_NODE_BYTES_MAX, ENVELOPES_PER_USER_BYTES_MAX, ENVELOPES_PER_USER_MAX,
};
use crate::base::{Mono, NodeId, UserId};
use crate::effect::{Envelope, Few, FlightId, NodeMail, ResourceId, SettleTo, SmHash};
use crate::jid::JidRef;

/// A message or an iq that was sent to other nodes. Its flight knows what else there is to know, and who waits for it.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// The sender, the recipient, and the stanza as the clients get it, but for its `<delay/>`: in one piece, and one for all
    /// nodes.
    text: Arc<str>,
    from: u16,
    to: u16,
    /// It may have been delivered before.
    pub(super) delayed: bool,
    pub(super) only: Option<Few>,
    pub(super) turn: Turn,
}

impl Sent {
    /// One of this text, put together in a buffer.
    pub(super) fn new(
        (from, to, stanza): (&str, &str, &str),
        (delayed, only, turn): (bool, Option<Few>, Turn),
        buffer: &mut String,
    ) -> Sent {
        buffer.clear();
        [from, to, stanza].into_iter().for_each(|text| buffer.push_str(text));
        // No JID is longer.
        let (from, to) = (from.len() as u16, to.len() as u16);
        Sent { text: Arc::from(&**buffer), from, to, delayed, only, turn }
    }

    /// The sender and the recipient.
    pub(super) fn names(&self) -> (JidRef<'_>, JidRef<'_>) {
        let (from, rest) = self.text.split_at(self.from.into());
        (JidRef::of_prepared(from), JidRef::of_prepared(&rest[..self.to.into()]))
    }

    /// The stanza.
    pub(super) fn stanza(&self) -> &[u8] {
        &self.text.as_bytes()[usize::from(self.from) + usize::from(self.to)..]
    }
}

/// An envelope without result.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) node: NodeId,
    /// The flight that it is a copy of; none for an iq.
    pub(super) flight: Option<FlightId>,
    pub(super) sent: Sent,
    /// Those of the user's lanes that it took.
    lanes: u64,
}

/// Where something was sent: a session as it was then.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) node: NodeId,
    pub(super) name: SmolStr,
    /// Envelopes without result that name it.
    out: u32,
}

/// A stanza that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) envelope: Envelope,
    pub(super) turn: Turn,
}

/// A parcel of another node that waits.
#[derive(Debug)]
pub(super) struct Held {
    /// Since when.
    pub(super) since: Mono,
    /// Who waits for its result.
    pub(super) settle: Option<SettleTo>,
    /// The parcel, alone.
    pub(super) mail: NodeMail,
}

/// What is outstanding for one user, and what waits.
#[derive(Debug, Default)]
pub(super) struct Afar {
    /// By envelope: later ones have greater numbers.
    out: VecDeque<(u64, Out)>,
    out_bytes: usize,
    lanes: Vec<Lane>,
    /// The last message that went on its way while something was outstanding: what comes behind it comes late.
    pub(super) last: u64,
    /// In the order in which they came.
    pub(super) waiting: VecDeque<Waiting>,
    /// Of other nodes: these wait until the spool has been read.
    pub(super) held: VecDeque<Held>,
    /// Sessions of the user that are to come here.
    pub(super) takings: Vec<Taking>,
    /// Sessions here that another node is to have.
    pub(super) holds: Vec<Hold>,
}

/// Lanes that one user may have: the bits of [`Out::lanes`].
const LANES_MAX: usize = 64;

/// Users for whom nothing is outstanding any more, whose memory is kept for others.
const SPARE_MAX: usize = 256;
/// Envelopes for which such memory may have room; more of it was made by a burst.
const ROOM_MAX: usize = 64;

/// What a stanza takes besides its bytes, roughly.
const OUT_BYTES: usize = 256;

impl Out {
    fn weight(&self) -> usize {
        self.sent.stanza().len() + OUT_BYTES
    }
}

impl Afar {
    /// Where things were sent that are outstanding.
    pub(super) fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().filter(|lane| lane.out > 0)
    }

    /// The bytes of what waits.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(|w| w.envelope.stanza.len()).sum()
    }

    /// Puts a stanza among those that wait, before all that came later.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        let place = self.waiting.iter().rposition(|w| w.turn.order <= waiting.turn.order);
        self.waiting.insert(place.map_or(0, |p| p + 1), waiting);
    }

    /// What is outstanding.
    pub(super) fn load(&self) -> Load {
        Load { envelopes: self.out.len(), bytes: self.out_bytes }
    }

    /// How often it was decided where each envelope goes that is outstanding.
    #[cfg(feature = "sim")]
    pub(super) fn attempts(&self) -> impl Iterator<Item = u8> {
        self.out.iter().map(|(_, out)| out.sent.turn.attempt)
    }

    /// The place of an envelope among those that are outstanding. Mostly it is the first.
    fn place(&self, envelope: u64) -> Option<usize> {
        match self.out.front() {
            Some((first, _)) if *first == envelope => Some(0),
            _ => self.out.binary_search_by_key(&envelope, |(number, _)| *number).ok(),
        }
    }

    fn is_idle(&self) -> bool {
        self.out.is_empty()
            && self.waiting.is_empty()
            && self.held.is_empty()
            && self.takings.is_empty()
            && self.holds.is_empty()
    }

    /// Whether this session was given to another node, which is yet to say that it has it. If it is over here, it will be there.
    pub(super) fn is_given(&self, sm: SmHash) -> bool {
        self.holds.iter().any(|hold| hold.sm == sm && (hold.given.is_some() || !hold.is_over))
    }

    /// The hold of a session that another node is to have.
    pub(super) fn hold_of(&self, resource: ResourceId) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.resource == resource && !hold.is_over)
    }

    /// The same.
    pub(super) fn hold_of_mut(&mut self, resource: ResourceId) -> Option<&mut Hold> {
        self.holds.iter_mut().find(|hold| hold.resource == resource && !hold.is_over)
    }

    /// The lane to a session; none if there are too many.
    fn lane(&mut self, node: NodeId, name: &str) -> Option<usize> {
        let found = self.lanes.iter().position(|l| l.out > 0 && l.node == node && l.name == name);
        let place = found.or_else(|| self.lanes.iter().position(|l| l.out == 0));
        match place {
            Some(place) if found.is_some() => Some(place),
            Some(place) => {
                self.lanes[place] = Lane { node, name: name.into(), out: 0 };
                Some(place)
            }
            None if self.lanes.len() < LANES_MAX => {
                self.lanes.push(Lane { node, name: name.into(), out: 0 });
                Some(self.lanes.len() - 1)
            }
            None => None,
        }
    }
}

/// What is outstanding to one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) envelopes: usize,
    pub(super) bytes: usize,
}

/// The most that may be outstanding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) user: Load,
    pub(super) node: Load,
}

impl Default for Most {
    fn default() -> Self {
        let user = Load { envelopes: ENVELOPES_PER_USER_MAX, bytes: ENVELOPES_PER_USER_BYTES_MAX };
        // Each takes some bytes, so bytes are enough to count.
        Most { user, node: Load { envelopes: usize::MAX, bytes: ENVELOPES_PER_NODE_BYTES_MAX } }
    }
}

impl Cluster {
    /// Whether one more stanza of so many bytes may be sent to each of the chosen sessions' nodes.
    pub(super) fn has_room(&self, id: UserId, bytes: usize) -> bool {
        let bytes = bytes + OUT_BYTES;
        let fits = |load: Load, n: usize, most: Load| {
            load.envelopes + n <= most.envelopes && load.bytes + n * bytes <= most.bytes
        };
        let nodes = self.chosen_nodes();
        let afar = self.users.get(&id);
        let user = afar.map_or(Load::default(), |afar| afar.load());
        let lanes = afar.map_or(0, |a| a.lanes().count()) + self.seen.iter().filter(|s| s.chosen).count();
        // Those that are taken already are counted twice, which does no harm: few users have many sessions.
        lanes <= LANES_MAX
            && fits(user, nodes, self.most.user)
            && self.seen.iter().filter(|s| s.chosen).all(|s| {
                let load = self.loads.get(&s.node).copied().unwrap_or_default();
                fits(load, 1, self.most.node)
            })
    }

    /// The number of the next envelope, so that whoever gets its result knows which of so many workers waits.
    pub(super) fn number(&mut self) -> u64 {
        let (worker, workers) = self.worker;
        self.next += 1;
        self.next * u64::from(workers) + u64::from(worker)
    }

    /// What was counted for an envelope.
    fn counted(&self, envelope: u64) -> u64 {
        envelope / u64::from(self.worker.1)
    }

    /// What is outstanding for a user, and what waits.
    pub(super) fn afar(&mut self, id: UserId) -> &mut Afar {
        self.users.entry(id).or_insert_with(|| self.spare.pop().unwrap_or_default())
    }

    /// An envelope goes out, to these sessions of a node.
    pub(super) fn enter<'a>(
        &mut self,
        id: UserId,
        envelope: u64,
        node: NodeId,
        flight: Option<FlightId>,
        sent: Sent,
        names: impl Iterator<Item = &'a str>,
    ) {
        let counted = self.counted(envelope);
        let afar = self.users.entry(id).or_insert_with(|| self.spare.pop().unwrap_or_default());
        let mut lanes = 0;
        for name in names {
            let Some(place) = afar.lane(node, name) else { continue };
            if lanes >> place & 1 == 0 {
                lanes |= 1 << place;
                afar.lanes[place].out += 1;
            }
        }
        let out = Out { node, flight, sent, lanes };
        let load = self.loads.entry(node).or_default();
        load.envelopes += 1;
        load.bytes += out.weight();
        afar.out_bytes += out.weight();
        // Nearly always the last; those of a session that was given away got their numbers before.
        let place = match afar.out.back() {
            Some((last, _)) if *last >= envelope => afar.out.partition_point(|(known, _)| *known < envelope),
            _ => afar.out.len(),
        };
        afar.out.insert(place, (envelope, out));
        self.envelopes.insert(counted, id);
    }

    /// An envelope has its result, or will have none; `None` if it is not known to be with this node.
    pub(super) fn leave(&mut self, node: NodeId, envelope: u64) -> Option<(UserId, Out)> {
        let counted = self.counted(envelope);
        let id = self.envelopes.get(counted)?;
        let afar = self.users.get_mut(&id)?;
        let place = afar.place(envelope).filter(|place| afar.out[*place].1.node == node)?;
        let (_, out) = afar.out.remove(place)?;
        self.envelopes.remove(counted);
        afar.out_bytes -= out.weight();
        for (place, lane) in afar.lanes.iter_mut().enumerate() {
            lane.out -= (out.lanes >> place & 1) as u32;
        }
        if let Some(load) = self.loads.get_mut(&node) {
            load.envelopes -= 1;
            load.bytes -= out.weight();
        }
        Some((id, out))
    }

    /// The same for all envelopes without result of a node, or of a user, oldest first.
    pub(super) fn leave_all(&mut self, node: Option<NodeId>, user: Option<UserId>) -> Vec<(UserId, Out)> {
        let users = self.users.iter().filter(|(id, _)| user.is_none_or(|user| user == **id));
        let all = users.flat_map(|(_, afar)| &afar.out).map(|(envelope, out)| (out.node, *envelope));
        let mut found: Vec<_> = all.filter(|(at, _)| node.is_none_or(|node| node == *at)).collect();
        found.sort_by_key(|(_, envelope)| *envelope);
        found.into_iter().filter_map(|(node, envelope)| self.leave(node, envelope)).collect()
    }

    /// The bytes of a message that is outstanding, from any of its envelopes.
    pub(in crate::engine) fn copy_of(&self, id: UserId, flight: FlightId) -> Option<&[u8]> {
        let afar = self.users.get(&id)?;
        let (_, out) = afar.out.iter().find(|(_, out)| out.flight == Some(flight))?;
        Some(out.sent.stanza())
    }

    /// Forgets a user for whom nothing is outstanding and nothing waits; says whether it was so.
    pub(super) fn forget_idle(&mut self, id: UserId) -> bool {
        let btree_map::Entry::Occupied(entry) = self.users.entry(id) else { return false };
        if !entry.get().is_idle() {
            return false;
        }
        let mut afar = entry.remove();
        if self.spare.len() < SPARE_MAX && afar.out.capacity() <= ROOM_MAX {
            afar.lanes.clear();
            afar.last = 0;
            self.spare.push(afar);
        }
        true
    }
}
