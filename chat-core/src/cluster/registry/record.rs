//! What the registry knows of one session, and its bytes between nodes.

use super::hlc::Hlc;
use crate::base::{HashKey, WorkerId};
use crate::cluster::wire::{Reader, WireFault, Writer};
use crate::jid::PART_BYTES_MAX;

/// Bytes of a bare JID: two parts and the `@` (RFC 7622 §3.1).
pub const USER_BYTES_MAX: usize = 2 * PART_BYTES_MAX + 1;
/// Bytes of a resource (RFC 7622 §3.4.1).
pub const RESOURCE_BYTES_MAX: usize = PART_BYTES_MAX;

const AVAILABLE: u8 = 1;
const CARBONS: u8 = 2;
const RESUMABLE: u8 = 4;

/// One session: a resource that is bound, connected or waiting to be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Whose: a prepared bare JID.
    pub user: &'a str,
    /// The resource.
    pub resource: &'a str,
    /// The priority of its last presence if it is available (RFC 6121 §4.7.2.3); else it is reached by its full JID only.
    pub priority: Option<i8>,
    /// It wants copies of what the others get (XEP-0280).
    pub carbons: bool,
    /// What it can be resumed by, if it can (XEP-0198).
    pub sm: Option<SmHash>,
    /// Which worker of its node has it; holds within one life of the node.
    pub worker: WorkerId,
    /// When it was bound. It stays the same when the rest changes, and when the session moves.
    pub bound: Hlc,
}

/// A few bits of the id by which a session is resumed: enough to tell a user's few sessions apart, and not enough to
/// resume one. Who holds the session compares the whole id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SmHash(pub u32);

impl SmHash {
    /// The hash of an id, the same on every node.
    pub fn of(id: &str) -> Self {
        SmHash((HashKey { k0: 0x636c_7573, k1: 0x7465_7273 }.hash(id.as_bytes()) >> 32) as u32)
    }
}

/// A change of a node's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// There is this session, or it is like this now.
    Put(Record<'a>),
    /// There is no such session any more.
    Remove {
        /// Whose.
        user: &'a str,
        /// Which.
        resource: &'a str,
    },
}

impl<'a> Change<'a> {
    /// Appends the bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut w = Writer(out);
        match self {
            Change::Put(r) => {
                w.byte(1);
                w.text(r.user);
                w.text(r.resource);
                let flag = |yes: bool, bit: u8| if yes { bit } else { 0 };
                w.byte(
                    flag(r.priority.is_some(), AVAILABLE)
                        | flag(r.carbons, CARBONS)
                        | flag(r.sm.is_some(), RESUMABLE),
                );
                if let Some(priority) = r.priority {
                    w.byte(priority as u8);
                }
                if let Some(sm) = r.sm {
                    w.raw(&sm.0.to_be_bytes());
                }
                w.number(u64::from(r.worker.0));
                w.raw(&r.bound.0.to_be_bytes());
            }
            Change::Remove { user, resource } => {
                w.byte(2);
                w.text(user);
                w.text(resource);
            }
        }
    }

    /// Reads the next one.
    pub(super) fn read(r: &mut Reader<'a>) -> Result<Change<'a>, WireFault> {
        let tag = r.byte()?;
        let (user, resource) = (r.text(USER_BYTES_MAX)?, r.text(RESOURCE_BYTES_MAX)?);
        // Both are prepared by the node that bound the session; what could not even be split, or would be put together
        // otherwise than it came, is refused.
        let bad_user = user.is_empty() || user.starts_with('@') || user.ends_with('@') || user.contains('/');
        if bad_user || resource.is_empty() {
            return Err(WireFault::Value);
        }
        match tag {
            1 => {
                let flags = r.byte()?;
                if flags & !(AVAILABLE | CARBONS | RESUMABLE) != 0 {
                    return Err(WireFault::Value);
                }
                let has = |bit: u8| flags & bit != 0;
                Ok(Change::Put(Record {
                    user,
                    resource,
                    priority: if has(AVAILABLE) { Some(r.byte()? as i8) } else { None },
                    carbons: has(CARBONS),
                    sm: if has(RESUMABLE) { Some(SmHash(u32::from_be_bytes(r.array()?))) } else { None },
                    worker: WorkerId(r.number16()?),
                    bound: Hlc(u64::from_be_bytes(r.array()?)),
                }))
            }
            2 => Ok(Change::Remove { user, resource }),
            _ => Err(WireFault::Value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    #[test]
    fn the_bytes_stay() {
        let full = Record {
            user: "romeo@montague.lit",
            resource: "orchard",
            priority: Some(-1),
            carbons: true,
            sm: Some(SmHash(0x0102_0304)),
            worker: WorkerId(300),
            bound: Hlc(0x0011_2233_4455_6677),
        };
        let bare = Record { priority: None, carbons: false, sm: None, worker: WorkerId(0), ..full };
        let text = "12726f6d656f406d6f6e74616775652e6c6974076f726368617264";
        for (change, bytes) in [
            (Change::Put(full), format!("01{text}07ff01020304ac020011223344556677")),
            (Change::Put(bare), format!("01{text}00000011223344556677")),
            (Change::Remove { user: full.user, resource: full.resource }, format!("02{text}")),
        ] {
            let mut out = Vec::new();
            change.write(&mut out);
            assert_eq!(out.iter().map(|b| format!("{b:02x}")).collect::<String>(), bytes);
            let mut r = Reader::new(&out);
            assert_eq!(Change::read(&mut r), Ok(change));
            assert_eq!(r.end(), Ok(()));
        }
        assert_eq!(SmHash::of("8Z7juWVCmETklq8wDtbLDQ"), SmHash(SM_HASH), "all nodes agree on it");
    }

    const SM_HASH: u32 = 4_129_183_673;

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut r = Reader::new(&bytes);
            if let Ok(change) = Change::read(&mut r) {
                let mut again = Vec::new();
                change.write(&mut again);
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - r.rest().len()]);
            }
        }
    }
}
