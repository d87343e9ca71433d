//! The records that this node, or one of its workers, knows: its own and those of others.

mod purge;

use super::domains::Domains;
use super::index::Index;
use super::pack::{self, Records, Stored};
use super::{Change, Record, SmHash};
use crate::base::limits::REGISTRY_NODE_BYTES_MAX;
use crate::base::{HashKey, NodeId, Shelves};
use crate::route::decision::RESOURCES_MAX;
use smol_str::SmolStr;

/// What a record is reckoned to take beside the names in it: its place in the list and in the index, and its numbers.
const RECORD_BYTES: usize = 48;

/// A record and the node that owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Which node, as this one counts them.
    pub node: NodeId,
    /// The session.
    pub record: Record<'a>,
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// It made a difference.
    pub changed: bool,
    /// The full JID is bound twice, and who has to give way. The loser's owner closes it with `<conflict/>`; until then
    /// nobody is routed to it. Said again with each change of either record.
    pub conflict: Option<Conflict>,
}

/// The same full JID on two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// The node of the later bind.
    pub winner: NodeId,
    /// The node of the earlier one.
    pub loser: NodeId,
}

/// A record that would go beyond a limit. The fault of the node that owns it; nothing has changed, and the session is not
/// known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The user has [`RESOURCES_MAX`] resources at that node.
    #[error("a user has more resources at one node than any may have")]
    Resources,
    /// The node has told of [`REGISTRY_NODE_BYTES_MAX`] bytes.
    #[error("a node has more sessions than any may have")]
    Node,
}

/// A replica of the registry, or a part of one. See the [module](super).
#[derive(Debug)]
pub struct Table {
    key: HashKey,
    index: Index,
    /// One piece for each user; an empty one is free.
    users: Shelves<Box<[u8]>>,
    free: Vec<u32>,
    domains: Domains,
    nodes: Vec<Seat>,
    records: usize,
    /// How far the records of nodes that are gone have been removed.
    purged: usize,
    /// Where a piece is put together, and the name of a user while something is said about it.
    scratch: Vec<u8>,
    name: String,
    node_bytes_max: usize,
}

/// What a number of a node stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seat {
    Free,
    /// A life of a node, the bytes that its records are reckoned to take, and how many they are.
    Taken(SmolStr, usize, usize),
    /// Its records are not seen any more, and are being removed. `true`: from the beginning of the list.
    Gone(bool),
}

impl Table {
    /// An empty one. The key decides nothing but which users meet in the index.
    pub fn new(key: HashKey) -> Self {
        Table {
            key,
            index: Index::default(),
            users: Shelves::new(),
            free: Vec::new(),
            domains: Domains::new(key),
            nodes: Vec::new(),
            records: 0,
            purged: 0,
            scratch: Vec::new(),
            name: String::new(),
            node_bytes_max: REGISTRY_NODE_BYTES_MAX,
        }
    }

    /// With another limit for each node.
    #[cfg(test)]
    pub(super) fn with_node_bytes_max(mut self, bytes: usize) -> Self {
        self.node_bytes_max = bytes;
        self
    }

    /// Gives a number to a life of a node. Of the name only the order of its bytes matters, by which all nodes break ties.
    ///
    /// # Panics
    /// If the number is not free ([`Table::is_free`]): records of two nodes would be mixed.
    pub fn seat(&mut self, node: NodeId, name: &str) {
        assert!(self.is_free(node), "{node:?} is taken: its records have to be purged first");
        let i = usize::from(node.0);
        if self.nodes.len() <= i {
            self.nodes.resize(i + 1, Seat::Free);
        }
        self.nodes[i] = Seat::Taken(name.into(), 0, 0);
    }

    /// Whether a node has this number: it was given, and the node is not gone.
    pub fn is_seated(&self, node: NodeId) -> bool {
        is_seated(&self.nodes, node)
    }

    /// How many records there are of each node that has a seat.
    pub fn by_node(&self) -> impl Iterator<Item = (NodeId, &str, usize)> {
        self.nodes.iter().enumerate().filter_map(|(i, seat)| match seat {
            Seat::Taken(name, _, records) => Some((NodeId(i as u16), name.as_str(), *records)),
            Seat::Free | Seat::Gone(_) => None,
        })
    }

    /// Whether no node has this number, and no record of an earlier one is left.
    pub fn is_free(&self, node: NodeId) -> bool {
        self.nodes.get(usize::from(node.0)).is_none_or(|s| *s == Seat::Free)
    }

    /// Takes in a change of a node's records.
    ///
    /// # Panics
    /// If the node has no seat.
    pub fn apply(&mut self, node: NodeId, change: &Change<'_>) -> Result<Applied, Refused> {
        assert!(self.node(node).is_some(), "{node:?} has no seat");
        match change {
            Change::Put(record) => self.put(node, record),
            Change::Remove { user, resource } => {
                Ok(Applied { changed: self.remove(node, user, resource), conflict: None })
            }
        }
    }

    fn put(&mut self, node: NodeId, record: &Record<'_>) -> Result<Applied, Refused> {
        let hash = self.hash(record.user);
        match self.find(hash, record.user) {
            Some(place) => self.put_beside(node, record, place),
            None => {
                self.put_first(node, record, hash)?;
                Ok(Applied { changed: true, conflict: None })
            }
        }
    }

    /// The first record of a user.
    fn put_first(&mut self, node: NodeId, record: &Record<'_>, hash: u32) -> Result<(), Refused> {
        self.charge(node, record)?;
        let (local, domain) = split(record.user);
        let domain = self.domains.enter(domain);
        pack::begin(&mut self.scratch, domain, local.as_bytes());
        pack::add(&mut self.scratch, node, record);
        let piece = Box::from(&self.scratch[..]);
        let place = self.free.pop().unwrap_or_else(|| {
            self.users.push(Box::default());
            self.users.len() as u32 - 1
        });
        self.users[place as usize] = piece;
        self.index.insert(hash, place);
        self.records += 1;
        Ok(())
    }

    /// A record of a user who has others, or this one.
    fn put_beside(&mut self, node: NodeId, record: &Record<'_>, place: u32) -> Result<Applied, Refused> {
        let piece = &self.users[place as usize];
        let (domain, local) = pack::owner(piece);
        pack::begin(&mut self.scratch, domain, local);
        let own = Stored { node, record: *record, raw: &[] };
        let (mut rival, mut before): (Option<Stored<'_>>, Option<Stored<'_>>) = (None, None);
        let (mut placed, mut resources) = (false, 0);
        for s in Records::of(piece, record.user) {
            let (theirs, ours) = ((s.record.resource, s.node), (record.resource, node));
            if !placed && theirs >= ours {
                pack::add(&mut self.scratch, node, record);
                placed = true;
            }
            resources += usize::from(s.node == node);
            if theirs == ours {
                before = Some(s);
                continue;
            }
            if theirs.0 == ours.0 && is_seated(&self.nodes, s.node) {
                // Of several only the strongest can be the winner.
                rival = Some(rival.map_or(s, |r| if wins(&self.nodes, &s, &r) { s } else { r }));
            }
            self.scratch.extend_from_slice(s.raw);
        }
        if !placed {
            pack::add(&mut self.scratch, node, record);
        }
        let conflict = rival.map(|rival| {
            let won = wins(&self.nodes, &own, &rival);
            let (winner, loser) = if won { (node, rival.node) } else { (rival.node, node) };
            Conflict { winner, loser }
        });
        let (is_new, changed) = (before.is_none(), before.is_none_or(|b| b.record != *record));
        if is_new {
            if resources >= RESOURCES_MAX {
                return Err(Refused::Resources);
            }
            self.charge(node, record)?;
            self.records += 1;
        }
        if changed {
            self.users[place as usize] = Box::from(&self.scratch[..]);
        }
        Ok(Applied { changed, conflict })
    }

    fn remove(&mut self, node: NodeId, user: &str, resource: &str) -> bool {
        let hash = self.hash(user);
        let Some(place) = self.find(hash, user) else { return false };
        let piece = &self.users[place as usize];
        let (domain, local) = pack::owner(piece);
        pack::begin(&mut self.scratch, domain, local);
        let (mut found, mut left) = (false, 0);
        for s in Records::of(piece, user) {
            if s.node == node && s.record.resource == resource {
                found = true;
            } else {
                self.scratch.extend_from_slice(s.raw);
                left += 1;
            }
        }
        if found {
            self.records -= 1;
            if let Some(Seat::Taken(_, bytes, records)) = self.nodes.get_mut(usize::from(node.0)) {
                *bytes -= reckoned(user, resource);
                *records -= 1;
            }
            match left {
                0 => self.vacate(place, hash),
                _ => self.users[place as usize] = Box::from(&self.scratch[..]),
            }
        }
        found
    }

    /// Frees the place of a user without records.
    fn vacate(&mut self, place: u32, hash: u32) {
        self.index.remove(hash, place);
        let piece = std::mem::take(&mut self.users[place as usize]);
        self.domains.leave(pack::owner(&piece).0);
        self.free.push(place);
    }

    /// All sessions of a user that count, by resource: none of a node that is gone, and of those that are bound twice only
    /// the winner.
    pub fn of<'a>(&'a self, user: &'a str) -> Sessions<'a> {
        let place = self.find(self.hash(user), user);
        let records = place.map(|p| Records::of(&self.users[p as usize], user));
        Sessions { nodes: &self.nodes, records, ahead: None }
    }

    /// The session with this full JID.
    pub fn get<'a>(&'a self, user: &'a str, resource: &str) -> Option<Entry<'a>> {
        self.of(user).find(|e| e.record.resource == resource)
    }

    /// What a node has told of this full JID, whether it counts or not.
    pub fn record<'a>(&'a self, node: NodeId, user: &'a str, resource: &str) -> Option<Record<'a>> {
        let place = self.find(self.hash(user), user)?;
        let found = |s: &Stored<'_>| s.node == node && s.record.resource == resource;
        Records::of(&self.users[place as usize], user).find(found).map(|s| s.record)
    }

    /// The session of this user that an id belongs to (XEP-0198). Two of one user may look alike, once in four thousand
    /// million: then the holder of the first refuses.
    pub fn resumable<'a>(&'a self, user: &'a str, sm: SmHash) -> Option<Entry<'a>> {
        self.of(user).find(|e| e.record.sm == Some(sm))
    }

    /// The records, those of nodes that are gone among them until they are purged.
    pub fn len(&self) -> usize {
        self.records
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Bytes of memory, without domains and what the allocator adds. Walks through all users.
    pub fn bytes(&self) -> usize {
        let pieces: usize = self.users.iter().map(|p| p.len() + size_of::<Box<[u8]>>()).sum();
        pieces + self.index.bytes() + self.free.capacity() * size_of::<u32>()
    }

    /// The records of one node from a place of the list on, and the place to go on from; `None` at the end. Walks through
    /// in an order that depends on nothing but what was put in and taken out.
    pub fn walk(
        &self,
        mut place: usize,
        node: NodeId,
        mut each: impl FnMut(Record<'_>) -> bool,
    ) -> Option<usize> {
        let mut user = String::new();
        while place < self.users.len() {
            let piece = &self.users[place];
            place += 1;
            if piece.is_empty() {
                continue;
            }
            self.write_user(piece, &mut user);
            let mut go_on = true;
            for s in Records::of(piece, &user).filter(|s| s.node == node) {
                go_on &= each(s.record);
            }
            if !go_on {
                return Some(place).filter(|p| *p < self.users.len());
            }
        }
        None
    }

    fn node(&self, node: NodeId) -> Option<&str> {
        name(&self.nodes, node)
    }

    /// Reckons a new record to its node.
    fn charge(&mut self, node: NodeId, record: &Record<'_>) -> Result<(), Refused> {
        let Some(Seat::Taken(_, bytes, records)) = self.nodes.get_mut(usize::from(node.0)) else {
            unreachable!("it has a seat, or nothing would be applied")
        };
        let more = *bytes + reckoned(record.user, record.resource);
        if more > self.node_bytes_max {
            return Err(Refused::Node);
        }
        *bytes = more;
        *records += 1;
        Ok(())
    }

    fn hash(&self, user: &str) -> u32 {
        (self.key.hash(user.as_bytes()) >> 32) as u32
    }

    fn find(&self, hash: u32, user: &str) -> Option<u32> {
        self.index.find(hash, |place| {
            let (number, local) = pack::owner(&self.users[place as usize]);
            let domain = self.domains.name(number).as_bytes();
            match user.as_bytes().strip_prefix(local) {
                Some(rest) if local.is_empty() => rest == domain,
                Some([b'@', rest @ ..]) => rest == domain,
                _ => false,
            }
        })
    }

    /// Writes whose piece it is, instead of what was there.
    fn write_user(&self, piece: &[u8], user: &mut String) {
        let (number, local) = pack::owner(piece);
        user.clear();
        if !local.is_empty() {
            user.push_str(std::str::from_utf8(local).expect("it was a part of a string"));
            user.push('@');
        }
        user.push_str(self.domains.name(number));
    }

    /// The number of domains that have users.
    #[cfg(test)]
    pub(super) fn domains(&self) -> usize {
        self.domains.len()
    }
}

/// The sessions of a user that count, by resource.
#[derive(Debug, Clone)]
pub struct Sessions<'a> {
    nodes: &'a [Seat],
    records: Option<Records<'a>>,
    /// The first record of the next resource.
    ahead: Option<Stored<'a>>,
}

impl<'a> Iterator for Sessions<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let records = self.records.as_mut()?;
        loop {
            let first = self.ahead.take().or_else(|| records.next())?;
            let mut best = Some(first).filter(|s| is_seated(self.nodes, s.node));
            // Those of the same resource lie side by side.
            for s in records.by_ref() {
                if s.record.resource != first.record.resource {
                    self.ahead = Some(s);
                    break;
                }
                if is_seated(self.nodes, s.node) && best.is_none_or(|b| wins(self.nodes, &s, &b)) {
                    best = Some(s);
                }
            }
            if let Some(s) = best {
                return Some(Entry { node: s.node, record: s.record });
            }
        }
    }
}

/// The later bind wins; of two at the same moment, the one at the node whose name is greater.
fn wins(nodes: &[Seat], a: &Stored<'_>, b: &Stored<'_>) -> bool {
    (a.record.bound, name(nodes, a.node)) > (b.record.bound, name(nodes, b.node))
}

fn name(nodes: &[Seat], node: NodeId) -> Option<&str> {
    match nodes.get(usize::from(node.0)) {
        Some(Seat::Taken(name, ..)) => Some(name),
        _ => None,
    }
}

fn is_seated(nodes: &[Seat], node: NodeId) -> bool {
    name(nodes, node).is_some()
}

fn reckoned(user: &str, resource: &str) -> usize {
    RECORD_BYTES + user.len() + resource.len()
}

fn split(user: &str) -> (&str, &str) {
    user.split_once('@').unwrap_or(("", user))
}
