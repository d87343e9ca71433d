//! A stanza on its way to sessions of another node, and what became of it.

use super::{Reader, WireFault, Writer};
use crate::base::limits::LINK_FRAME_BYTES_MAX;
use crate::base::{Key, MsgId, UserId, Utc, WorkerId};
use crate::cluster::identity::{NODE_NAME_BYTES_MAX, NodeName};
use crate::effect::{ResourceId, SettleTo};

/// How often a node may decide where a stanza goes: after the third `moved` it stores or bounces it.
pub const ATTEMPTS_MAX: u8 = 3;
/// Sessions that one envelope may name. No user has more of them: `resources_per_user_max` is far below.
pub const TARGETS_MAX: usize = 4096;
/// Bytes of an address: the longest JID (RFC 7622 §3.1).
pub(super) const ADDRESS_BYTES_MAX: usize = 3071;

/// Who waits to hear that a message is settled, named so that any node understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettleRef {
    /// The node; none if it is the one that sends the frame.
    pub node: Option<NodeName>,
    /// Worker, user, resource and number, which mean something on that node only.
    pub to: SettleTo,
}

/// A stanza for named sessions of the node that gets it. That node delivers to them and never routes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// What its sender calls it until the result comes: never used twice in one life of the sender.
    pub envelope: u64,
    /// How often its sender has decided where it goes, this time included: 1 to [`ATTEMPTS_MAX`].
    pub attempt: u8,
    /// The worker of the receiving node that the sessions belong to.
    pub worker: WorkerId,
    /// The identity of the message; what names a repeat.
    pub id: MsgId,
    /// When the entry node received it.
    pub at: Utc,
    /// It may have been delivered before: whoever gets it now gets it with `<delay/>` (XEP-0203).
    pub delayed: bool,
    /// Who waits to hear that it is settled.
    pub settle: Option<SettleRef>,
    /// The sender, as stamped: a prepared JID.
    pub from: &'a str,
    /// The recipient: a prepared JID.
    pub to: &'a str,
    /// The sessions it is for. Empty: whatever the receiving node has for the bare JID itself (a room, a node of pubsub).
    pub targets: &'a [ResourceId],
    /// One valid element of `jabber:client`, with `from`.
    pub stanza: &'a [u8],
}

/// What became of an envelope: the responsibility goes back, or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvelopeResult {
    /// What its sender called it.
    pub envelope: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What can become of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is settled (docs/ARCHITECTURE.md, "Acked means safe"): its sender may forget it.
    Settled,
    /// None of its sessions is here any more: its sender decides again.
    Moved,
    /// It was not delivered, and will not be.
    Refused(Refused),
}

/// Why an envelope is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Too much waits on the node: its sender stores the message or bounces it with `wait`.
    Overloaded,
    /// The sessions cannot take it for good: over a limit of theirs, or blocked.
    NotTaken,
    /// The node is about to stop.
    Stopping,
}

impl<'a> Envelope<'a> {
    /// Appends the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut w = Writer(out);
        w.number(self.envelope);
        w.byte(self.attempt);
        w.number(self.worker.0.into());
        w.raw(&self.id.0.to_be_bytes());
        w.signed(self.at.0);
        w.flag(self.delayed);
        match &self.settle {
            None => w.byte(0),
            Some(settle) => settle.write(&mut w),
        }
        w.text(self.from);
        w.text(self.to);
        w.number(self.targets.len() as u64);
        for target in self.targets {
            w.number(target.0);
        }
        w.bytes(self.stanza);
    }

    /// Reads a body; the targets are put into `targets`, whose old content goes.
    pub fn read(body: &'a [u8], targets: &'a mut Vec<ResourceId>) -> Result<Envelope<'a>, WireFault> {
        let mut r = Reader::new(body);
        let envelope = r.number()?;
        let attempt = r.byte()?;
        if !(1..=ATTEMPTS_MAX).contains(&attempt) {
            return Err(WireFault::Value);
        }
        let worker = WorkerId(r.number16()?);
        let id = MsgId(u128::from_be_bytes(r.array()?));
        let at = Utc(r.signed()?);
        let delayed = r.flag()?;
        let settle = SettleRef::read(&mut r)?;
        let from = r.text(ADDRESS_BYTES_MAX)?;
        let to = r.text(ADDRESS_BYTES_MAX)?;
        targets.clear();
        for _ in 0..r.count(TARGETS_MAX, 1)? {
            targets.push(ResourceId(r.number()?));
        }
        let stanza = r.bytes(LINK_FRAME_BYTES_MAX)?;
        r.end()?;
        Ok(Envelope {
            envelope,
            attempt,
            worker,
            id,
            at,
            delayed,
            settle,
            from,
            to,
            targets: &targets[..],
            stanza,
        })
    }
}

impl SettleRef {
    fn write(&self, w: &mut Writer<'_>) {
        match &self.node {
            None => w.byte(1),
            Some(node) => {
                w.byte(2);
                w.text(node.as_str());
            }
        }
        w.number(self.to.worker.0.into());
        w.number(self.to.user.0.index.into());
        w.number(self.to.user.0.generation.into());
        w.number(self.to.resource.0);
        w.number(self.to.seq.into());
    }

    fn read(r: &mut Reader<'_>) -> Result<Option<SettleRef>, WireFault> {
        let node = match r.byte()? {
            0 => return Ok(None),
            1 => None,
            2 => {
                let text = r.text(NODE_NAME_BYTES_MAX)?;
                let name = NodeName::parse(text).ok().filter(|name| name.as_str() == text);
                Some(name.ok_or(WireFault::Value)?)
            }
            _ => return Err(WireFault::Value),
        };
        let to = SettleTo {
            worker: WorkerId(r.number16()?),
            user: UserId(Key { index: r.number32()?, generation: r.number32()? }),
            resource: ResourceId(r.number()?),
            seq: r.number32()?,
        };
        Ok(Some(SettleRef { node, to }))
    }
}

impl EnvelopeResult {
    /// Appends the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut w = Writer(out);
        w.number(self.envelope);
        w.byte(match self.outcome {
            Outcome::Settled => 1,
            Outcome::Moved => 2,
            Outcome::Refused(Refused::Overloaded) => 3,
            Outcome::Refused(Refused::NotTaken) => 4,
            Outcome::Refused(Refused::Stopping) => 5,
        });
    }

    /// Reads a body.
    pub fn read(body: &[u8]) -> Result<EnvelopeResult, WireFault> {
        let mut r = Reader::new(body);
        let envelope = r.number()?;
        let outcome = match r.byte()? {
            1 => Outcome::Settled,
            2 => Outcome::Moved,
            3 => Outcome::Refused(Refused::Overloaded),
            4 => Outcome::Refused(Refused::NotTaken),
            5 => Outcome::Refused(Refused::Stopping),
            _ => return Err(WireFault::Value),
        };
        r.end()?;
        Ok(EnvelopeResult { envelope, outcome })
    }
}
