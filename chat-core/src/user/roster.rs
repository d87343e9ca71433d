//! The roster of one user in one block of bytes (RFC 6121 §2).
//!
//! The block is what the store keeps: reading a user's record costs one check of the bytes, and an idle roster costs
//! one allocation of exactly its size. Layout, integers little-endian, lengths and counts as LEB128:
//!
//! ```text
//! u8   format, 1
//! u64  version
//! u32  number of items
//! u32  for each item: where it ends, counted from the first item's first byte
//! each item, in ascending byte order of the JIDs:
//!   u8   subscription (Subscription::bits)
//!   len  JID, bare and prepared       len  name, may be empty
//!   len  stored request, may be empty  count of groups, then for each: len  name
//! ```
//!
//! Beside the items that clients see, the block remembers requests of people who are not in the roster
//! ([`Subscription::REQUEST`]); they are counted apart, so that strangers cannot fill a user's roster.
//!
//! A change builds the block anew; only a state that keeps its request changes in place.

use super::subscription::Subscription;
use std::ops::Range;

mod item;
#[cfg(test)]
mod tests;

pub use item::{Groups, Item};

const FORMAT: u8 = 1;
const HEAD: usize = 1 + 8 + 4;

/// Why a roster could not be changed or read. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// The user has as many items as are allowed; the client is told `resource-constraint`.
    #[error("the roster is full")]
    Full,
    /// As many requests of people outside the roster wait as are allowed; the request is not remembered.
    #[error("too many subscription requests wait")]
    TooManyRequests,
    /// The block would be larger than allowed; the client is told `resource-constraint`.
    #[error("the roster has too many bytes")]
    TooLarge,
    /// The stored bytes were written by a newer version.
    #[error("roster format {0} is unknown")]
    UnknownFormat(u8),
    /// The stored bytes are damaged.
    #[error("the stored roster is damaged")]
    Damaged,
}

/// The bounds of one roster, given by the caller with each change that may let it grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RosterMax {
    /// Items that clients see.
    pub items: u32,
    /// Requests of people who are not in the roster.
    pub requests: u32,
    /// Bytes of the whole block.
    pub bytes: u32,
}

/// The roster of one user.
#[derive(Clone, Default)]
pub struct Roster {
    /// Nothing for an empty roster of version 0, which most users have who have just been made.
    block: Box<[u8]>,
}

/// The block of an empty roster of version 0.
const EMPTY: [u8; HEAD] = {
    let mut block = [0; HEAD];
    block[0] = FORMAT;
    block
};

impl PartialEq for Roster {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Roster {}

impl Roster {
    /// An empty roster of version 0.
    pub fn new() -> Self {
        Roster::default()
    }

    /// The roster of these stored bytes. They may come from anywhere: every byte is checked.
    pub fn decode(bytes: &[u8]) -> Result<Self, RosterError> {
        match bytes.first() {
            Some(&FORMAT) => {}
            Some(&other) => return Err(RosterError::UnknownFormat(other)),
            None => return Err(RosterError::Damaged),
        }
        if bytes.len() < HEAD {
            return Err(RosterError::Damaged);
        }
        let roster = Roster { block: bytes.into() };
        roster.check().ok_or(RosterError::Damaged)?;
        Ok(roster)
    }

    /// The bytes to store; [`Roster::decode`] reads them.
    pub fn as_bytes(&self) -> &[u8] {
        if self.block.is_empty() { &EMPTY } else { &self.block }
    }

    /// The version of the roster (RFC 6121 §2.6), which is also what the store compares when it writes.
    pub fn version(&self) -> u64 {
        u64::from_le_bytes(self.as_bytes()[1..9].try_into().expect("eight bytes"))
    }

    /// Sets the version; the caller decides which changes count.
    pub fn set_version(&mut self, version: u64) {
        if version == self.version() {
            return;
        }
        if self.block.is_empty() {
            self.block = EMPTY.into();
        }
        self.block[1..9].copy_from_slice(&version.to_le_bytes());
    }

    /// How many contacts the block holds, requests included.
    pub fn len(&self) -> usize {
        self.u32_at(9) as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state towards the contact of this bare JID; [`Subscription::ABSENT`] if nothing is known of it.
    pub fn subscription(&self, jid: &str) -> Subscription {
        self.find(jid).map_or(Subscription::ABSENT, |i| self.state(i))
    }

    /// What is kept of the contact of this bare JID.
    pub fn get(&self, jid: &str) -> Option<Item<'_>> {
        self.find(jid).map(|i| self.item(i))
    }

    /// Everything that is kept, in ascending byte order of the JIDs. Clients see those whose
    /// [`Subscription::listed`] is true.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Item<'_>> {
        (0..self.len()).map(|i| self.item(i))
    }

    /// The contacts who see the user's presence (RFC 6121 §4.2.2), in the same order. Reads nothing else of them.
    pub fn subscribers(&self) -> impl Iterator<Item = &str> {
        self.jids(Subscription::from)
    }

    /// The contacts whose presence the user sees and whom the server probes (RFC 6121 §4.3.1), in the same order.
    pub fn subscriptions(&self) -> impl Iterator<Item = &str> {
        self.jids(Subscription::to)
    }

    /// The contacts whose requests wait for the user, with the stanza to be delivered whenever a resource becomes
    /// available (RFC 6121 §3.1.3), in the same order.
    pub fn requests(&self) -> impl Iterator<Item = (&str, &[u8])> {
        (0..self.len()).filter(|&i| self.state(i).pending_in()).map(|i| {
            let item = self.item(i);
            (item.jid, item.request)
        })
    }

    /// Keeps the state that a subscription stanza led to. Name and groups stay; [`Subscription::ABSENT`] removes.
    ///
    /// `request` is the stanza of an inbound `subscribe`; it is kept while the state has a request that waits, and
    /// the first one wins (RFC 6121 §3.1.3). Empty when there is none.
    pub fn set_subscription(
        &mut self,
        jid: &str,
        state: Subscription,
        request: &[u8],
        max: RosterMax,
    ) -> Result<(), RosterError> {
        let Ok(at) = self.search(jid) else {
            if state == Subscription::ABSENT {
                return Ok(());
            }
            let request = if state.pending_in() { request } else { b"" };
            return self.put(Item { jid, name: "", subscription: state, request, groups: Groups::NONE }, max);
        };
        if state == Subscription::ABSENT {
            self.remove(jid);
            return Ok(());
        }
        let old = self.item(at);
        let request = match (state.pending_in(), old.request) {
            (false, _) => b"",
            (true, b"") => request,
            (true, kept) => kept,
        };
        // Becoming an item makes it count as one, so that goes through `put`.
        if request == old.request && state.listed() == old.subscription.listed() {
            let first = self.heap() + self.span(at).start;
            self.block[first] = state.bits();
            return Ok(());
        }
        let (name, groups) = (old.name.to_owned(), old.groups.to_packed());
        let request = request.to_owned();
        let groups = Groups::packed(&groups);
        self.put(Item { jid, name: &name, subscription: state, request: &request, groups }, max)
    }

    /// Keeps what a roster set says of a contact (RFC 6121 §2.3, §2.4): name and groups, in the order given. State
    /// and request stay; a contact who was not in the roster is from now on.
    pub fn set_item(
        &mut self,
        jid: &str,
        name: &str,
        groups: &[&str],
        max: RosterMax,
    ) -> Result<(), RosterError> {
        let (subscription, request) = match self.get(jid) {
            Some(old) => (old.subscription.list(), old.request.to_owned()),
            None => (Subscription::NONE, Vec::new()),
        };
        self.put(Item { jid, name, subscription, request: &request, groups: Groups::list(groups) }, max)
    }

    /// Puts a whole item, replacing what was kept of the contact: for imports and tests.
    ///
    /// # Panics
    /// If the state is [`Subscription::ABSENT`], which is no item.
    pub fn put(&mut self, item: Item<'_>, max: RosterMax) -> Result<(), RosterError> {
        assert!(item.subscription != Subscription::ABSENT, "an absent contact is removed, not put");
        let found = self.search(item.jid);
        let before = found.map_or(Subscription::ABSENT, |i| self.state(i));
        let listed = item.subscription.listed();
        if before == Subscription::ABSENT || before.listed() != listed {
            let same = (0..self.len()).filter(|&i| self.state(i).listed() == listed).count();
            match listed {
                true if same >= max.items as usize => return Err(RosterError::Full),
                false if same >= max.requests as usize => return Err(RosterError::TooManyRequests),
                _ => {}
            }
        }
        let mut bytes = Vec::with_capacity(64);
        item.write(&mut bytes);
        let (at, drop) = match found {
            Ok(i) => (i, 1),
            Err(i) => (i, 0),
        };
        let next = self.splice(at, drop, Some(&bytes));
        // A roster from before the limit was lowered may shrink, as any other.
        let grows = next.len() > self.block.len();
        if grows && next.len() > max.bytes as usize || u32::try_from(next.len()).is_err() {
            return Err(RosterError::TooLarge);
        }
        self.block = next;
        Ok(())
    }

    /// Forgets the contact and says what the state was; `None` if nothing was kept of it.
    pub fn remove(&mut self, jid: &str) -> Option<Subscription> {
        let at = self.find(jid)?;
        let state = self.state(at);
        self.block = self.splice(at, 1, None);
        Some(state)
    }

    /// The block with `drop` items from `at` replaced by `item`, in an allocation of exactly its size.
    fn splice(&self, at: usize, drop: usize, item: Option<&[u8]>) -> Box<[u8]> {
        let count = self.len() - drop + usize::from(item.is_some());
        let start = if at == 0 { 0 } else { self.span(at - 1).end };
        let end = if drop == 0 { start } else { self.span(at).end };
        let added = item.map_or(0, <[u8]>::len);
        let (heap, old) = (HEAD + 4 * count, &self.as_bytes()[self.heap()..]);
        let mut block = Vec::with_capacity(heap + old.len() - (end - start) + added);
        block.extend_from_slice(&self.as_bytes()[..9]);
        block.extend_from_slice(&(count as u32).to_le_bytes());
        // Offsets are taken modulo 2^32; the caller refuses a block for which that matters.
        let moved = |i: usize| ((self.span(i).end - end + start + added) as u32).to_le_bytes();
        block.extend_from_slice(&self.as_bytes()[HEAD..HEAD + 4 * at]);
        if item.is_some() {
            block.extend_from_slice(&((start + added) as u32).to_le_bytes());
        }
        for i in at + drop..self.len() {
            block.extend_from_slice(&moved(i));
        }
        block.extend_from_slice(&old[..start]);
        block.extend_from_slice(item.unwrap_or_default());
        block.extend_from_slice(&old[end..]);
        block.into()
    }

    fn jids(&self, wanted: fn(Subscription) -> bool) -> impl Iterator<Item = &str> {
        (0..self.len()).filter(move |&i| wanted(self.state(i))).map(|i| self.jid(i))
    }

    fn find(&self, jid: &str) -> Option<usize> {
        self.search(jid).ok()
    }

    /// The item of this JID, or where it would have to go.
    fn search(&self, jid: &str) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.jid_bytes(middle).cmp(jid.as_bytes()) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.as_bytes()[at..at + 4].try_into().expect("four bytes"))
    }

    /// Where the first item begins.
    fn heap(&self) -> usize {
        HEAD + 4 * self.len()
    }

    /// The bytes of an item, counted from [`Roster::heap`].
    fn span(&self, i: usize) -> Range<usize> {
        let start = if i == 0 { 0 } else { self.u32_at(HEAD + 4 * (i - 1)) as usize };
        start..self.u32_at(HEAD + 4 * i) as usize
    }

    fn bytes_of(&self, i: usize) -> &[u8] {
        let (heap, span) = (self.heap(), self.span(i));
        &self.as_bytes()[heap + span.start..heap + span.end]
    }

    fn state(&self, i: usize) -> Subscription {
        Subscription::from_bits(self.bytes_of(i)[0]).expect("the block was checked when it was read")
    }

    fn jid_bytes(&self, i: usize) -> &[u8] {
        item::jid_bytes(self.bytes_of(i)).expect("the block was checked when it was read")
    }

    fn jid(&self, i: usize) -> &str {
        std::str::from_utf8(self.jid_bytes(i)).expect("the block was checked when it was read")
    }

    fn item(&self, i: usize) -> Item<'_> {
        Item::read(self.bytes_of(i)).expect("the block was checked when it was read")
    }

    /// Whether the block is one that this code could have written; afterwards nothing above can fail.
    fn check(&self) -> Option<()> {
        let heap = self.len().checked_mul(4)?.checked_add(HEAD)?;
        let items = self.as_bytes().get(heap..)?;
        let mut start = 0;
        let mut last = "";
        for i in 0..self.len() {
            let end = self.u32_at(HEAD + 4 * i) as usize;
            let item = Item::read(items.get(start..end)?)?;
            if item.jid <= last {
                return None;
            }
            (start, last) = (end, item.jid);
        }
        (start == items.len()).then_some(())
    }
}

impl std::fmt::Debug for Roster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "version {} ", self.version())?;
        f.debug_list().entries(self.iter()).finish()
    }
}
