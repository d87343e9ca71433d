//! All records of one user in one piece of memory.
//!
//! The number of the domain, the localpart, and then each record: node, worker, flags, priority, hash, time, resource, with
//! numbers as short as they can be. Records stand in the order of their resources, and of the nodes for the same
//! resource. A user with one resource takes about 55 bytes.

use super::{Record, SmHash};
use crate::base::{Hlc, NodeId, WorkerId};

const AVAILABLE: u8 = 1;
const CARBONS: u8 = 2;
const RESUMABLE: u8 = 4;

/// Takes a piece apart, from the front. Whatever is in it was written here: nothing else is expected.
#[derive(Debug, Clone, Copy)]
struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (now, later) = self.0.split_at(len);
        self.0 = later;
        now
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (now, later) = self.0.split_first_chunk().expect("a piece was written here");
        self.0 = later;
        *now
    }

    /// Seven bits in each byte, the lowest first; the highest bit says that more follow.
    fn number(&mut self) -> u32 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let [byte] = self.array();
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    /// Numbers of nodes and of workers have 16 bits.
    fn number16(&mut self) -> u16 {
        self.number() as u16
    }

    fn sized(&mut self) -> &'a [u8] {
        let len = self.number() as usize;
        self.bytes(len)
    }
}

fn put_number(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Parts of addresses are far shorter than 4 GiB.
fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}

/// The user that a piece is about: the number of the domain, and the bytes of the localpart. They are looked at in each
/// search, where nobody needs to know that they are UTF-8.
pub(super) fn owner(piece: &[u8]) -> (u32, &[u8]) {
    let (domain, local, _) = head(piece);
    (domain, local)
}

/// The owner, and the records.
fn head(piece: &[u8]) -> (u32, &[u8], Cut<'_>) {
    let mut cut = Cut(piece);
    (cut.number(), cut.sized(), cut)
}

/// Begins a piece.
pub(super) fn begin(out: &mut Vec<u8>, domain: u32, local: &[u8]) {
    out.clear();
    put_number(out, domain);
    put_sized(out, local);
}

/// Adds a record, in its order.
pub(super) fn add(out: &mut Vec<u8>, node: NodeId, record: &Record<'_>) {
    let flag = |yes: bool, bit: u8| if yes { bit } else { 0 };
    put_number(out, node.0.into());
    put_number(out, record.worker.0.into());
    out.push(
        flag(record.priority.is_some(), AVAILABLE)
            | flag(record.carbons, CARBONS)
            | flag(record.sm.is_some(), RESUMABLE),
    );
    out.push(record.priority.unwrap_or(0) as u8);
    if let Some(sm) = record.sm {
        out.extend_from_slice(&sm.0.to_be_bytes());
    }
    out.extend_from_slice(&record.bound.0.to_be_bytes());
    put_sized(out, record.resource.as_bytes());
}

/// The records of a piece.
#[derive(Debug, Clone)]
pub(super) struct Records<'a> {
    user: &'a str,
    rest: Cut<'a>,
}

/// A record as it lies there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) node: NodeId,
    pub(super) record: Record<'a>,
    /// Its bytes.
    pub(super) raw: &'a [u8],
}

impl<'a> Records<'a> {
    /// Those of a piece, which is about `user`.
    pub(super) fn of(piece: &'a [u8], user: &'a str) -> Self {
        Records { user, rest: head(piece).2 }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Stored<'a>;

    fn next(&mut self) -> Option<Stored<'a>> {
        let before = self.rest.0;
        if before.is_empty() {
            return None;
        }
        let cut = &mut self.rest;
        let (node, worker) = (NodeId(cut.number16()), WorkerId(cut.number16()));
        let [flags, priority] = cut.array();
        let has = |bit: u8| flags & bit != 0;
        let sm = has(RESUMABLE).then(|| SmHash(u32::from_be_bytes(cut.array())));
        let bound = Hlc(u64::from_be_bytes(cut.array()));
        let record = Record {
            user: self.user,
            resource: std::str::from_utf8(cut.sized()).expect("a name was written here"),
            priority: has(AVAILABLE).then_some(priority as i8),
            carbons: has(CARBONS),
            sm,
            worker,
            bound,
        };
        Some(Stored { node, record, raw: &before[..before.len() - cut.0.len()] })
    }
}
