//! The bodies of the registry's frames.
//!
//! | kind | body |
//! |---|---|
//! | [`RegistrySnapshot`](crate::cluster::wire::Kind::RegistrySnapshot) | incarnation, number, seq, flags, changes |
//! | [`RegistryRecords`](crate::cluster::wire::Kind::RegistryRecords) | incarnation, number, seq, changes |
//! | [`RegistryReset`](crate::cluster::wire::Kind::RegistryReset) | incarnation, number |
//!
//! *Incarnation* is the life of the node whose sessions these are. *Number* counts both kinds of frames that this node has
//! sent to the other since their link began or started over, from 1; in a reset it is the one of the frame that was out of
//! turn. *Seq* counts the changes in this life of the node: after this frame nothing up to it is missing, once the
//! snapshot is whole.

use super::batch::{Batch, Changes};
use crate::cluster::identity::Incarnation;
use crate::cluster::wire::{Kind, Reader, WireFault, Writer};

/// The first part of a snapshot.
pub(super) const BEGIN: u8 = 1;
/// The last part of a snapshot.
pub(super) const END: u8 = 2;
/// No count in this protocol comes near; so that adding one to what another node says is no fault of ours.
const COUNT_MAX: u64 = u64::MAX / 2;

/// What stands before the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) incarnation: Incarnation,
    pub(super) number: u64,
    pub(super) seq: u64,
    /// Of a part of a snapshot [`BEGIN`] and [`END`], each if it is so; none: records.
    pub(super) part: Option<u8>,
}

impl Head {
    pub(super) fn kind(&self) -> Kind {
        if self.part.is_some() { Kind::RegistrySnapshot } else { Kind::RegistryRecords }
    }

    /// The body of a frame of a version.
    pub(super) fn write(&self, changes: &Batch, version: u16) -> Vec<u8> {
        let mut body = Vec::with_capacity(changes.bytes() + 32);
        let mut w = Writer::new(&mut body, version);
        w.number(self.incarnation.0);
        w.number(self.number);
        w.number(self.seq);
        if let Some(part) = self.part {
            w.byte(part);
        }
        changes.write(&mut w, version);
        body
    }
}

/// Reads a body of one of the two kinds, of a version.
///
/// # Panics
/// If the kind is another.
pub(super) fn read(kind: Kind, body: &[u8], version: u16) -> Result<(Head, Changes<'_>), WireFault> {
    let mut r = Reader::new(body, version);
    let (incarnation, number, seq) =
        (Incarnation(r.number()?), r.number_to(COUNT_MAX)?, r.number_to(COUNT_MAX)?);
    let part = match kind {
        Kind::RegistrySnapshot => Some(r.byte()?),
        Kind::RegistryRecords => None,
        other => panic!("{other:?} is no frame of the registry"),
    };
    if part.is_some_and(|p| p & !(BEGIN | END) != 0) {
        return Err(WireFault::Value);
    }
    let changes = Changes::read(&mut r, version)?;
    r.end()?;
    Ok((Head { incarnation, number, seq, part }, changes))
}

/// Writes the request to start over.
pub(super) fn write_reset(incarnation: Incarnation, number: u64, version: u16) -> Vec<u8> {
    let mut body = Vec::new();
    let mut w = Writer::new(&mut body, version);
    w.number(incarnation.0);
    w.number(number);
    body
}

/// Reads the request to start over.
pub(super) fn read_reset(body: &[u8], version: u16) -> Result<(Incarnation, u64), WireFault> {
    let mut r = Reader::new(body, version);
    let read = (Incarnation(r.number()?), r.number_to(COUNT_MAX)?);
    r.end()?;
    Ok(read)
}
