//! The engine's tables: sessions by connection, users by bare JID, and sessions that are over.

use std::collections::VecDeque;

use smol_str::SmolStr;

use crate::base::{ConnId, HashKey, KeyedMap, Mono, Shelves, Slots, Span, UserId};
use crate::jid::BareJid;
use crate::session::Session;
use crate::user::User;

/// Sessions, found by the ids that the driver chose.
#[derive(Default)]
pub struct Sessions {
    table: Shelves<Option<Session>>,
    len: usize,
}

impl Sessions {
    /// A new session under its own id.
    pub fn insert(&mut self, session: Session) {
        let index = session.conn.0.index as usize;
        while self.table.len() <= index {
            self.table.push(None);
        }
        assert!(
            self.table[index].is_none(),
            "the driver gave the id {:?} to two live connections",
            session.conn
        );
        self.table[index] = Some(session);
        self.len += 1;
    }

    /// A session.
    pub fn get_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.table.get_mut(conn.0.index as usize)?.as_mut().filter(|s| s.conn == conn)
    }

    /// The end of a session.
    pub fn remove(&mut self, conn: ConnId) -> Option<Session> {
        self.get_mut(conn)?;
        self.len -= 1;
        self.table[conn.0.index as usize].take()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// All of them, in the order of their index.
    #[cfg(feature = "sim")]
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.table.iter().flatten()
    }

    /// All ids, in the order of their index.
    pub fn ids(&self) -> Vec<ConnId> {
        self.table.iter().flatten().map(|s| s.conn).collect()
    }
}

/// Users in memory.
pub struct Users {
    slots: Slots<User>,
    by_jid: KeyedMap<BareJid, UserId>,
    /// Those that were loaded, oldest first; perhaps gone by now.
    loaded: VecDeque<UserId>,
}

impl Users {
    /// None.
    pub fn new(key: HashKey) -> Self {
        Users { slots: Slots::new(), by_jid: KeyedMap::new(key), loaded: VecDeque::new() }
    }

    /// The user of this bare JID.
    pub fn find(&self, bare: &str) -> Option<UserId> {
        self.by_jid.get(bare).copied()
    }

    /// A user.
    pub fn get_mut(&mut self, id: UserId) -> Option<&mut User> {
        self.slots.get_mut(id.0)
    }

    /// A user whose record is being loaded.
    pub fn insert(&mut self, jid: BareJid, domain: u16, ephemeral: bool, now: Mono) -> UserId {
        let new = |key| User::loading(UserId(key), jid.clone(), domain, ephemeral, now);
        let key = self.slots.insert_with(new);
        self.by_jid.insert(jid, UserId(key));
        self.loaded.push_back(UserId(key));
        UserId(key)
    }

    /// A user that was loaded long ago, as more than `max` were since; each comes out once. It may be gone.
    pub fn pop_oldest(&mut self, max: u32) -> Option<UserId> {
        if self.loaded.len() > max as usize { self.loaded.pop_front() } else { None }
    }

    /// The end of a user in memory.
    pub fn remove(&mut self, id: UserId) -> Option<User> {
        let user = self.slots.remove(id.0)?;
        self.by_jid.remove(user.jid.as_str());
        Some(user)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// All of them, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.slots.iter().map(|(_, user)| user)
    }
}

/// For the table of sizes (`engine/sizes.rs`).
#[cfg(test)]
pub(super) const SIZES: [(&str, usize); 2] = [
    ("a user's place in the map", size_of::<(BareJid, UserId)>()),
    ("a session that is over", size_of::<(SmolStr, (BareJid, u32))>() + size_of::<(Mono, SmolStr)>()),
];

/// How long it is remembered how much a session that is over had received (docs/ARCHITECTURE.md).
const REMEMBER: Span = Span::secs(3600);
/// How many such sessions are remembered.
const REMEMBER_MAX: usize = 65_536;

/// Sessions that are over: what `<failed h='…'/>` may say (XEP-0198 §5).
pub struct Expired {
    by_id: KeyedMap<SmolStr, (BareJid, u32)>,
    order: VecDeque<(Mono, SmolStr)>,
}

impl Expired {
    /// None.
    pub fn new(key: HashKey) -> Self {
        Expired { by_id: KeyedMap::new(key), order: VecDeque::new() }
    }

    /// A session is over that had received and settled `h` stanzas.
    pub fn insert(&mut self, now: Mono, id: SmolStr, user: BareJid, h: u32) {
        while self
            .order
            .front()
            .is_some_and(|(at, _)| self.order.len() >= REMEMBER_MAX || now.since(*at) > REMEMBER)
        {
            if let Some((_, old)) = self.order.pop_front() {
                self.by_id.remove(old.as_str());
            }
        }
        self.order.push_back((now, id.clone()));
        self.by_id.insert(id, (user, h));
    }

    /// How much a session of this user had received, if that is known exactly.
    pub fn find(&self, id: &str, user: &BareJid) -> Option<u32> {
        self.by_id.get(id).filter(|(owner, _)| owner == user).map(|(_, h)| *h)
    }
}
