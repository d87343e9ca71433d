//! What the two ends of a link say about the link itself.

use super::{Kind, Reader, Refusal, WireFault, Writer};

/// Where one side of the link stands when a connection begins. Both sides compare both joins by the same rule, and so
/// agree whether to go on where they were (`cluster/link/stream.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    /// How many joins this process has sent to this peer, this one included. A lower one that comes later is of an
    /// abandoned connection.
    pub turn: u64,
    /// The last epoch that this side took part in; 0 if none. In one epoch numbers begin at 1 and never repeat.
    pub epoch: u128,
    /// The last epoch that both sides are known here to have taken part in, if it is another one; else 0.
    pub earlier: u128,
    /// Nothing of `epoch` was given up on this side.
    pub intact: bool,
    /// Frames before and including this number are known to have arrived and are kept no longer.
    pub acked: u64,
    /// The number of the last frame that there is so far.
    pub last: u64,
    /// The number of the last frame received from the other side.
    pub received: u64,
    /// Half the name of the next epoch, if there has to be one.
    pub proposal: u64,
}

/// Why a connection between nodes ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Bye {
    /// The node leaves the cluster; all that it had to say has been said.
    #[error("the node leaves")]
    Leaving,
    /// There is a better connection between the same nodes.
    #[error("there is another connection between the same nodes")]
    Duplicate,
    /// The other side broke the protocol.
    #[error("the protocol was broken")]
    Fault,
    /// Nothing was heard for too long.
    #[error("nothing was heard for too long")]
    Silent,
    /// What was to be sent was given up: the link starts over.
    #[error("the link starts over")]
    Reset,
    /// The node is known to be who it says and is refused all the same.
    #[error("{0}")]
    Refused(Refusal),
}

/// A frame by which the link speaks of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Where this side stands.
    Join(Join),
    /// All frames up to this number have been received.
    Receipt(u64),
    /// Asks for a [`Control::Pong`] with the same number.
    Ping(u64),
    /// The answer.
    Pong(u64),
    /// The last frame of a connection.
    Bye(Bye),
}

impl Control {
    /// The kind of its frame.
    pub fn kind(&self) -> Kind {
        match self {
            Control::Join(_) => Kind::Join,
            Control::Receipt(_) => Kind::Receipt,
            Control::Ping(_) => Kind::Ping,
            Control::Pong(_) => Kind::Pong,
            Control::Bye(_) => Kind::Bye,
        }
    }

    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        let mut w = Writer::new(out, version);
        match self {
            Control::Join(join) => join.write(&mut w),
            Control::Receipt(n) | Control::Ping(n) | Control::Pong(n) => w.number(*n),
            Control::Bye(bye) => bye.write(&mut w),
        }
    }

    /// Reads the body of a frame of this kind; a kind that is none of the link's own is out of turn.
    pub fn read(kind: Kind, body: &[u8], version: u16) -> Result<Control, WireFault> {
        let mut r = Reader::new(body, version);
        let control = match kind {
            Kind::Join => Control::Join(Join::read(&mut r)?),
            Kind::Receipt => Control::Receipt(r.number()?),
            Kind::Ping => Control::Ping(r.number()?),
            Kind::Pong => Control::Pong(r.number()?),
            Kind::Bye => Control::Bye(Bye::read(&mut r)?),
            _ => return Err(WireFault::Turn(kind.byte())),
        };
        r.end()?;
        Ok(control)
    }
}

impl Join {
    fn write(&self, w: &mut Writer<'_>) {
        w.number(self.turn);
        w.raw(&self.epoch.to_be_bytes());
        w.raw(&self.earlier.to_be_bytes());
        w.flag(self.intact);
        w.number(self.acked);
        w.number(self.last);
        w.number(self.received);
        w.raw(&self.proposal.to_be_bytes());
    }

    fn read(r: &mut Reader<'_>) -> Result<Join, WireFault> {
        Ok(Join {
            turn: r.number()?,
            epoch: u128::from_be_bytes(r.array()?),
            earlier: u128::from_be_bytes(r.array()?),
            intact: r.flag()?,
            acked: r.number()?,
            last: r.number()?,
            received: r.number()?,
            proposal: u64::from_be_bytes(r.array()?),
        })
    }
}

impl Bye {
    fn write(&self, w: &mut Writer<'_>) {
        match self {
            Bye::Leaving => w.byte(1),
            Bye::Duplicate => w.byte(2),
            Bye::Fault => w.byte(3),
            Bye::Silent => w.byte(4),
            Bye::Reset => w.byte(5),
            Bye::Refused(refusal) => {
                w.byte(6);
                refusal.write(w.out());
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Bye, WireFault> {
        Ok(match r.byte()? {
            1 => Bye::Leaving,
            2 => Bye::Duplicate,
            3 => Bye::Fault,
            4 => Bye::Silent,
            5 => Bye::Reset,
            6 => Bye::Refused(Refusal::read_from(r)?),
            _ => return Err(WireFault::Value),
        })
    }
}
