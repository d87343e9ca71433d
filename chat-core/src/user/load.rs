//! What the store knows of a user becomes the user in memory.

use super::blocked::Blocked;
use super::roster::{Roster, RosterError};
use super::user_record::{Parked, Record, User};
use crate::base::RareQueue;
use crate::effect::Loaded;

/// Why a record cannot be used. Nothing has changed; what waits for the user is refused by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The roster cannot be read.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// A line of the block list is no JID.
    #[error("the stored block list is damaged")]
    Blocked,
}

/// The user is here: its record is ready from now on. Returns what waited for it, in order.
pub fn ready(user: &mut User, loaded: &Loaded) -> Result<RareQueue<Parked>, LoadError> {
    let (roster, blocked) = decode(loaded)?;
    user.exists = loaded.exists;
    user.roster = roster;
    user.blocked = blocked;
    user.spool.waiting = loaded.spooled > 0;
    user.record = Record::Ready;
    Ok(std::mem::take(&mut user.parked))
}

/// The roster and the block list of a record.
pub(super) fn decode(loaded: &Loaded) -> Result<(Roster, Blocked), LoadError> {
    let (version, bytes) = &loaded.roster;
    let mut roster = if bytes.is_empty() { Roster::new() } else { Roster::decode(bytes)? };
    // The store compares its own number; the one inside the bytes is the same unless somebody imported them.
    roster.set_version(*version);
    let (version, bytes) = &loaded.blocked;
    let blocked = Blocked::decode(*version, bytes).ok_or(LoadError::Blocked)?;
    Ok((roster, blocked))
}

#[cfg(test)]
mod tests {
    use super::super::roster::RosterMax;
    use super::super::testing::loading;
    use super::*;

    #[test]
    fn a_new_user_has_nothing() {
        let mut user = loading("juliet@example.com");
        let parked = ready(&mut user, &Loaded { exists: true, ..Loaded::default() }).unwrap();
        assert!(parked.is_empty() && user.exists && user.roster.is_empty() && !user.spool.waiting);
        assert_eq!((user.roster.version(), user.blocked.version()), (0, 0));
        assert_eq!(user.record, Record::Ready);
    }

    #[test]
    fn a_record_is_read_with_the_versions_of_the_store() {
        let max = RosterMax { items: 9, requests: 9, bytes: 999 };
        let mut roster = Roster::new();
        roster.set_item("romeo@example.net", "Romeo", &["Friends"], max).unwrap();
        let loaded = Loaded {
            exists: true,
            roster: (7, roster.as_bytes().into()),
            blocked: (2, b"tybalt@example.com\n"[..].into()),
            spooled: 3,
        };
        let mut user = loading("juliet@example.com");
        ready(&mut user, &loaded).unwrap();
        assert_eq!((user.roster.version(), user.roster.len(), user.blocked.version()), (7, 1, 2));
        assert!(user.blocked.has("tybalt@example.com") && user.spool.waiting);
    }

    #[test]
    fn damaged_records_change_nothing() {
        let mut user = loading("juliet@example.com");
        let roster = Loaded { exists: true, roster: (1, b"\x01junk"[..].into()), ..Loaded::default() };
        assert_eq!(ready(&mut user, &roster).unwrap_err(), LoadError::Roster(RosterError::Damaged));
        let blocked = Loaded { exists: true, blocked: (1, b"a@@b\n"[..].into()), ..Loaded::default() };
        assert_eq!(ready(&mut user, &blocked).unwrap_err(), LoadError::Blocked);
        assert!(!user.exists && user.record == Record::Loading);
    }
}
