//! What is said before two nodes trust each other: hellos, proofs and refusals.

use smol_str::SmolStr;

use super::{Reader, UNVERSIONED, Versions, WireFault, Writer};
use crate::base::limits::LINK_CLUSTER_NAME_BYTES_MAX;
use crate::cluster::identity::{BootId, Identity, Incarnation, NODE_NAME_BYTES_MAX, NodeName};

/// Bytes of one proof: an output of HMAC-SHA-256.
pub const PROOF_BYTES: usize = 32;

/// What a hello begins with, so that nobody takes another protocol for a node of an unknown version.
const MAGIC: [u8; 4] = *b"chat";

/// Who a node is and what it speaks. Both nodes send one; the proofs cover both, byte for byte.
///
/// It is the one body that a newer version may make longer: what follows the known fields is covered by the proofs and
/// otherwise left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The protocol versions that it speaks.
    pub versions: Versions,
    /// Name, life and process.
    pub identity: Identity,
    /// The name of its cluster; empty if it was given none. Nodes of two names have nothing to say to each other.
    pub cluster: SmolStr,
}

impl Hello {
    /// Appends the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut w = Writer::new(out, UNVERSIONED);
        w.raw(&MAGIC);
        w.number(self.versions.min.into());
        w.number(self.versions.max.into());
        w.text(self.identity.name.as_str());
        w.number(self.identity.incarnation.0);
        w.raw(&self.identity.boot.0);
        w.text(&self.cluster);
    }

    /// Reads a body. Names that are not in their one canonical form are refused.
    pub fn read(body: &[u8]) -> Result<Hello, WireFault> {
        let mut r = Reader::new(body, UNVERSIONED);
        if r.array()? != MAGIC {
            return Err(WireFault::Value);
        }
        let versions = Versions { min: r.number16()?, max: r.number16()? };
        let text = r.text(NODE_NAME_BYTES_MAX)?;
        let name = NodeName::parse(text).ok().filter(|name| name.as_str() == text).ok_or(WireFault::Value)?;
        let identity = Identity { name, incarnation: Incarnation(r.number()?), boot: BootId(r.array()?) };
        let cluster = SmolStr::new(r.text(LINK_CLUSTER_NAME_BYTES_MAX)?);
        Ok(Hello { versions, identity, cluster })
    }
}

/// Proofs that a node knows the secret: none if it showed a certificate instead, two from a dialler that knows two
/// secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof<'a>(pub &'a [[u8; PROOF_BYTES]]);

impl<'a> Proof<'a> {
    /// Appends the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        Writer::new(out, UNVERSIONED).raw(self.0.as_flattened());
    }

    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Proof<'a>, WireFault> {
        match body.as_chunks() {
            (_, [_, ..]) => Err(WireFault::Cut),
            ([_, _, _, ..], _) => Err(WireFault::TooLong),
            (proofs, _) => Ok(Proof(proofs)),
        }
    }
}

/// Why there will be no link. The same words serve who refuses and who is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The proof was not made with a secret known here.
    #[error("the secrets of the cluster differ")]
    Secret,
    /// One node wants proof of the secret, the other goes by certificates.
    #[error("one node has a cluster secret and the other goes by certificates")]
    Method,
    /// No common version; this is what the refusing node speaks.
    #[error("no common version of the cluster protocol: the refusing node speaks {0}")]
    Versions(Versions),
    /// The nodes belong to clusters of different names.
    #[error("the nodes belong to different clusters")]
    Cluster,
    /// A node that lives has this name, under this incarnation.
    #[error("another live node (incarnation {0}) has the same name")]
    NameTaken(Incarnation),
    /// The node is connected with itself.
    #[error("the address leads a node back to itself")]
    Itself,
    /// A later life of the same name is remembered: a node that takes a higher incarnation is welcome.
    #[error("a node of this name with the later incarnation {0} is remembered")]
    Stale(Incarnation),
    /// The node that answers is not the one that was dialled, or not the one its certificate names.
    #[error("the node has another name than was dialled or its certificate says")]
    Name,
    /// What was said cannot be understood.
    #[error("what was said is no greeting of a node")]
    Malformed,
    /// It took too long.
    #[error("the greeting took too long")]
    Late,
    /// Too many connections wait to be understood.
    #[error("too many connections wait for their greeting")]
    Busy,
    /// The node is not wanted as a member at present.
    #[error("the node is not wanted at present")]
    Unwanted,
}

impl Refusal {
    /// Appends the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut w = Writer::new(out, UNVERSIONED);
        w.byte(self.code());
        match self {
            Refusal::Versions(versions) => {
                w.number(versions.min.into());
                w.number(versions.max.into());
            }
            Refusal::NameTaken(incarnation) | Refusal::Stale(incarnation) => w.number(incarnation.0),
            _ => {}
        }
    }

    /// Reads a body.
    pub fn read(body: &[u8]) -> Result<Refusal, WireFault> {
        let mut r = Reader::new(body, UNVERSIONED);
        let refusal = Refusal::read_from(&mut r)?;
        r.end()?;
        Ok(refusal)
    }

    /// The same inside another body.
    pub(super) fn read_from(r: &mut Reader<'_>) -> Result<Refusal, WireFault> {
        Ok(match r.byte()? {
            1 => Refusal::Secret,
            2 => Refusal::Method,
            3 => Refusal::Versions(Versions { min: r.number16()?, max: r.number16()? }),
            4 => Refusal::Cluster,
            5 => Refusal::NameTaken(Incarnation(r.number()?)),
            6 => Refusal::Itself,
            7 => Refusal::Stale(Incarnation(r.number()?)),
            8 => Refusal::Name,
            9 => Refusal::Malformed,
            10 => Refusal::Late,
            11 => Refusal::Busy,
            12 => Refusal::Unwanted,
            _ => return Err(WireFault::Value),
        })
    }

    fn code(&self) -> u8 {
        match self {
            Refusal::Secret => 1,
            Refusal::Method => 2,
            Refusal::Versions(_) => 3,
            Refusal::Cluster => 4,
            Refusal::NameTaken(_) => 5,
            Refusal::Itself => 6,
            Refusal::Stale(_) => 7,
            Refusal::Name => 8,
            Refusal::Malformed => 9,
            Refusal::Late => 10,
            Refusal::Busy => 11,
            Refusal::Unwanted => 12,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        let name = NodeName::parse("chat@host").unwrap();
        let identity = Identity { name, incarnation: Incarnation(7), boot: BootId([9; 16]) };
        Hello { versions: Versions { min: 1, max: 3 }, identity, cluster: "prod".into() }
    }

    #[test]
    fn a_hello_may_grow() {
        let mut body = Vec::new();
        hello().write(&mut body);
        assert_eq!(Hello::read(&body), Ok(hello()));
        body.extend_from_slice(b"what version 9 says");
        assert_eq!(Hello::read(&body), Ok(hello()));
    }

    #[test]
    fn a_hello_of_something_else_is_refused() {
        assert_eq!(Hello::read(b"chit"), Err(WireFault::Value));
        let mut body = Vec::new();
        hello().write(&mut body);
        let at = body.iter().position(|b| *b == b'@').unwrap();
        body[at] = b'.';
        assert_eq!(Hello::read(&body), Err(WireFault::Value), "no name");
        body[at..at + 2].copy_from_slice(b"@H");
        assert_eq!(Hello::read(&body), Err(WireFault::Value), "not canonical");
        body.clear();
        hello().write(&mut body);
        assert_eq!(Hello::read(&body[..body.len() - 1]), Err(WireFault::Cut));
    }

    #[test]
    fn proofs_are_whole_and_at_most_two() {
        assert_eq!(Proof::read(&[]), Ok(Proof(&[])));
        assert_eq!(Proof::read(&[1; 64]), Ok(Proof(&[[1; 32]; 2])));
        assert_eq!(Proof::read(&[1; 33]), Err(WireFault::Cut));
        assert_eq!(Proof::read(&[1; 96]), Err(WireFault::TooLong));
    }
}
