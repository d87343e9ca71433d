//! A stanza on its way to sessions of another node, and what became of it.

use super::{Reader, WireFault, Writer};
use crate::base::limits::LINK_FRAME_BYTES_MAX;
use crate::base::{MsgId, Utc, WorkerId};
use crate::effect::{ATTEMPTS_MAX, Outcome, Parcel, RESOURCE_BYTES_MAX, Refused, Targets};
use crate::route::decision::RESOURCES_MAX;

/// Bytes of the names of sessions that one envelope may have: as many as a user may have, each with the byte behind it.
pub const TARGETS_BYTES_MAX: usize = RESOURCES_MAX * (RESOURCE_BYTES_MAX + 1);
/// Bytes of an address: the longest JID (RFC 7622 §3.1).
pub(super) const ADDRESS_BYTES_MAX: usize = 3071;

/// A stanza for named sessions of the node that gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a>(pub Parcel<'a>);

/// What became of an envelope: the responsibility goes back, or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvelopeResult {
    /// What its sender called it.
    pub envelope: u64,
    /// What became of it.
    pub outcome: Outcome,
}

impl<'a> Envelope<'a> {
    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        let parcel = &self.0;
        let mut w = Writer::new(out, version);
        w.number(parcel.envelope);
        w.byte(parcel.attempt);
        w.number(parcel.worker.0.into());
        w.raw(&parcel.id.0.to_be_bytes());
        w.signed(parcel.at.0);
        w.flag(parcel.delayed);
        w.flag(parcel.awaited);
        w.text(parcel.from);
        w.text(parcel.to);
        w.text(parcel.targets.0);
        w.text(parcel.stanza);
    }

    /// Reads a body of a version.
    pub fn read(body: &'a [u8], version: u16) -> Result<Envelope<'a>, WireFault> {
        let mut r = Reader::new(body, version);
        let envelope = r.number()?;
        let attempt = r.byte()?;
        if !(1..=ATTEMPTS_MAX).contains(&attempt) {
            return Err(WireFault::Value);
        }
        let parcel = Parcel {
            envelope,
            attempt,
            worker: WorkerId(r.number16()?),
            id: MsgId(u128::from_be_bytes(r.array()?)),
            at: Utc(r.signed()?),
            delayed: r.flag()?,
            awaited: r.flag()?,
            from: r.text(ADDRESS_BYTES_MAX)?,
            to: r.text(ADDRESS_BYTES_MAX)?,
            targets: Targets(r.text(TARGETS_BYTES_MAX)?),
            stanza: r.text(LINK_FRAME_BYTES_MAX)?,
        };
        r.end()?;
        // Each name has its byte behind it.
        if !parcel.targets.is_empty() && !parcel.targets.0.ends_with('\0') {
            return Err(WireFault::Value);
        }
        Ok(Envelope(parcel))
    }
}

impl EnvelopeResult {
    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        let mut w = Writer::new(out, version);
        w.number(self.envelope);
        w.byte(match self.outcome {
            Outcome::Settled => 1,
            Outcome::Moved => 2,
            Outcome::Refused(Refused::Overloaded) => 3,
            Outcome::Refused(Refused::NotTaken) => 4,
            Outcome::Refused(Refused::Stopping) => 5,
            Outcome::Lost => 6,
        });
    }

    /// Whether a body of this version may hold several, one behind the other: they often come together, and a frame for each
    /// would be more work than what it says.
    pub const fn are_many(version: u16) -> bool {
        version >= 2
    }

    /// Reads the first of a body of a version; also what is behind it, which is to be read next if it is not empty.
    pub fn read(body: &[u8], version: u16) -> Result<(EnvelopeResult, &[u8]), WireFault> {
        let mut r = Reader::new(body, version);
        let envelope = r.number()?;
        let outcome = match r.byte()? {
            1 => Outcome::Settled,
            2 => Outcome::Moved,
            3 => Outcome::Refused(Refused::Overloaded),
            4 => Outcome::Refused(Refused::NotTaken),
            5 => Outcome::Refused(Refused::Stopping),
            6 => Outcome::Lost,
            _ => return Err(WireFault::Value),
        };
        if !EnvelopeResult::are_many(version) {
            r.end()?;
        }
        Ok((EnvelopeResult { envelope, outcome }, r.rest()))
    }
}
