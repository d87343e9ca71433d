//! All records of one user in one piece of memory.
//!
//! The number of the domain, the localpart, and then each record: node, worker, flags, priority, hash, time, resource, with
//! numbers as short as they can be. Records stand in the order of their resources, and of the nodes for the same
//! resource. A user with one resource takes about 55 bytes.

use super::hlc::Hlc;
use super::record::{RESOURCE_BYTES_MAX, Record, SmHash, USER_BYTES_MAX};
use crate::base::{NodeId, WorkerId};
use crate::cluster::wire::{Reader, WireFault, Writer};

const AVAILABLE: u8 = 1;
const CARBONS: u8 = 2;
const RESUMABLE: u8 = 4;

/// The user that a piece is about: the number of the domain, and the bytes of the localpart. They are looked at in each
/// search, where nobody needs to know that they are UTF-8.
pub(super) fn owner(piece: &[u8]) -> (u32, &[u8]) {
    let (domain, local, _) = head(piece);
    (domain, local)
}

/// The owner, and the records.
fn head(piece: &[u8]) -> (u32, &[u8], Reader<'_>) {
    let mut r = Reader::new(piece);
    let domain = r.number32().expect("a piece was written here");
    let local = r.bytes(USER_BYTES_MAX).expect("a piece was written here");
    (domain, local, r)
}

/// Begins a piece.
pub(super) fn begin(out: &mut Vec<u8>, domain: u32, local: &[u8]) {
    out.clear();
    let mut w = Writer(out);
    w.number(u64::from(domain));
    w.bytes(local);
}

/// Adds a record, in its order.
pub(super) fn add(out: &mut Vec<u8>, node: NodeId, record: &Record<'_>) {
    let flag = |yes: bool, bit: u8| if yes { bit } else { 0 };
    let mut w = Writer(out);
    w.number(u64::from(node.0));
    w.number(u64::from(record.worker.0));
    w.byte(
        flag(record.priority.is_some(), AVAILABLE)
            | flag(record.carbons, CARBONS)
            | flag(record.sm.is_some(), RESUMABLE),
    );
    w.byte(record.priority.unwrap_or(0) as u8);
    if let Some(sm) = record.sm {
        w.raw(&sm.0.to_be_bytes());
    }
    w.raw(&record.bound.0.to_be_bytes());
    w.text(record.resource);
}

/// The records of a piece.
#[derive(Debug, Clone)]
pub(super) struct Records<'a> {
    user: &'a str,
    rest: Reader<'a>,
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

    fn read(&mut self) -> Result<Stored<'a>, WireFault> {
        let before = self.rest.rest();
        let r = &mut self.rest;
        let (node, worker) = (NodeId(r.number16()?), WorkerId(r.number16()?));
        let (flags, priority) = (r.byte()?, r.byte()? as i8);
        let has = |bit: u8| flags & bit != 0;
        let sm = if has(RESUMABLE) { Some(SmHash(u32::from_be_bytes(r.array()?))) } else { None };
        let bound = Hlc(u64::from_be_bytes(r.array()?));
        let record = Record {
            user: self.user,
            resource: r.text(RESOURCE_BYTES_MAX)?,
            priority: has(AVAILABLE).then_some(priority),
            carbons: has(CARBONS),
            sm,
            worker,
            bound,
        };
        Ok(Stored { node, record, raw: &before[..before.len() - self.rest.rest().len()] })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Stored<'a>;

    fn next(&mut self) -> Option<Stored<'a>> {
        if self.rest.rest().is_empty() {
            return None;
        }
        Some(self.read().expect("a record was written here"))
    }
}
