//! Short notices from node to node.

use super::envelope::ADDRESS_BYTES_MAX;
use super::{Reader, WireFault, Writer};

/// The spool of these users holds something new: their sessions read it before any later live message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poke<'a> {
    /// The user: a prepared bare JID.
    pub user: &'a str,
}

impl<'a> Poke<'a> {
    /// Appends the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        Writer(out).text(self.user);
    }

    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Poke<'a>, WireFault> {
        let mut r = Reader::new(body);
        let user = r.text(ADDRESS_BYTES_MAX)?;
        r.end()?;
        Ok(Poke { user })
    }
}

/// A node that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It gives its sessions away and takes none.
    Draining,
    /// It has changed its mind, or was told to.
    Staying,
    /// It has nothing left: when the link ends, its records may go without anybody's `unavailable`.
    Left,
}

impl Leaving {
    /// Appends the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        Writer(out).byte(match self {
            Leaving::Draining => 1,
            Leaving::Staying => 2,
            Leaving::Left => 3,
        });
    }

    /// Reads a body.
    pub fn read(body: &[u8]) -> Result<Leaving, WireFault> {
        let mut r = Reader::new(body);
        let leaving = match r.byte()? {
            1 => Leaving::Draining,
            2 => Leaving::Staying,
            3 => Leaving::Left,
            _ => return Err(WireFault::Value),
        };
        r.end()?;
        Ok(leaving)
    }
}
