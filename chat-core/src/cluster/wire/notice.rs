//! Short notices from node to node.

use super::envelope::ADDRESS_BYTES_MAX;
use super::{Reader, WireFault, Writer};

/// Bytes of the name that a node gives to its release.
pub const RELEASE_BYTES_MAX: usize = 64;

/// The spool of these users holds something new: their sessions read it before any later live message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poke<'a> {
    /// The user: a prepared bare JID.
    pub user: &'a str,
}

impl<'a> Poke<'a> {
    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        Writer::new(out, version).text(self.user);
    }

    /// Reads a body of a version.
    pub fn read(body: &'a [u8], version: u16) -> Result<Poke<'a>, WireFault> {
        let mut r = Reader::new(body, version);
        let user = r.text(ADDRESS_BYTES_MAX)?;
        r.end()?;
        Ok(Poke { user })
    }
}

/// What is stored of a user has changed: whoever has an older version of it in memory reads it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserChanged<'a> {
    /// The user: a prepared bare JID.
    pub user: &'a str,
    /// The version of the roster.
    pub roster: u64,
    /// The version of the block list.
    pub blocked: u64,
}

impl<'a> UserChanged<'a> {
    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        let mut w = Writer::new(out, version);
        w.text(self.user);
        w.number(self.roster);
        w.number(self.blocked);
    }

    /// Reads a body of a version.
    pub fn read(body: &'a [u8], version: u16) -> Result<UserChanged<'a>, WireFault> {
        let mut r = Reader::new(body, version);
        let (user, roster, blocked) = (r.text(ADDRESS_BYTES_MAX)?, r.number()?, r.number()?);
        r.end()?;
        Ok(UserChanged { user, roster, blocked })
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
    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        Writer::new(out, version).byte(match self {
            Leaving::Draining => 1,
            Leaving::Staying => 2,
            Leaving::Left => 3,
        });
    }

    /// Reads a body of a version.
    pub fn read(body: &[u8], version: u16) -> Result<Leaving, WireFault> {
        let mut r = Reader::new(body, version);
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

/// Whether a node can do its work. Who has not said anything can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Its own health check fails: its store cannot be reached, say.
    pub is_ailing: bool,
}

impl Health {
    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        Writer::new(out, version).flag(self.is_ailing);
    }

    /// Reads a body of a version.
    pub fn read(body: &[u8], version: u16) -> Result<Health, WireFault> {
        let mut r = Reader::new(body, version);
        let is_ailing = r.flag()?;
        r.end()?;
        Ok(Health { is_ailing })
    }
}

/// Whether a node takes clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It does.
    Active,
    /// It waits until it is needed.
    Standby,
}

/// What a node says of itself to those who look at the cluster: when a link begins, and when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// Whether it takes clients.
    pub role: Role,
    /// Its release, for people; at most [`RELEASE_BYTES_MAX`] bytes.
    pub release: &'a str,
}

impl<'a> Status<'a> {
    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        let mut w = Writer::new(out, version);
        w.byte(match self.role {
            Role::Active => 1,
            Role::Standby => 2,
        });
        w.text(self.release);
    }

    /// Reads a body of a version.
    pub fn read(body: &'a [u8], version: u16) -> Result<Status<'a>, WireFault> {
        let mut r = Reader::new(body, version);
        let role = match r.byte()? {
            1 => Role::Active,
            2 => Role::Standby,
            _ => return Err(WireFault::Value),
        };
        let release = r.text(RELEASE_BYTES_MAX)?;
        r.end()?;
        Ok(Status { role, release })
    }
}
