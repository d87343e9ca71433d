//! The bytes of a change between nodes.

use crate::base::{Hlc, WorkerId};
use crate::cluster::wire::{Reader, WireFault, Writer};
use crate::route::registry::{Change, RESOURCE_BYTES_MAX, Record, SmHash, USER_BYTES_MAX};

const AVAILABLE: u8 = 1;
const CARBONS: u8 = 2;
const RESUMABLE: u8 = 4;

/// Appends the bytes of a change at a version.
pub(super) fn write(change: &Change<'_>, out: &mut Vec<u8>, version: u16) {
    let mut w = Writer::new(out, version);
    match change {
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

/// Reads the next change.
pub(super) fn read<'a>(r: &mut Reader<'a>) -> Result<Change<'a>, WireFault> {
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
            for version in [1, 2] {
                let mut out = Vec::new();
                write(&change, &mut out, version);
                assert_eq!(out.iter().map(|b| format!("{b:02x}")).collect::<String>(), bytes);
                let mut r = Reader::new(&out, version);
                assert_eq!(read(&mut r), Ok(change));
                assert_eq!(r.end(), Ok(()));
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60), version in 1u16..3) {
            let mut r = Reader::new(&bytes, version);
            if let Ok(change) = read(&mut r) {
                let mut again = Vec::new();
                write(&change, &mut again, version);
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - r.rest().len()]);
            }
        }
    }
}
