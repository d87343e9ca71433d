//! Nodes that go, and their records with them, a few at a time.

use super::{Seat, Table, is_seated};
use crate::base::NodeId;
use crate::route::registry::pack::{self, Records};

impl Table {
    /// The node is down, or tells its records anew under another number: from now on none of those it has told is seen.
    /// [`Table::purge`] removes them.
    pub fn unseat(&mut self, node: NodeId) {
        if let Some(seat @ Seat::Taken(..)) = self.nodes.get_mut(usize::from(node.0)) {
            *seat = Seat::Gone(self.purged == 0);
        }
    }

    /// Looks at the next `users_max` users, removes records of nodes that are gone, and tells `gone` their full JIDs, user
    /// and resource, each once and only if no other node has the same and available (RFC 6121 §4). Says whether there is more
    /// to do.
    ///
    /// While a node tells its records anew (`cluster/registry`: its replica is not whole), those it has not come to yet would be told as gone, so its caller waits with this until it has, or is down.
    pub fn purge(&mut self, users_max: usize, mut gone: impl FnMut(&str, &str)) -> bool {
        if !self.nodes.iter().any(|s| matches!(s, Seat::Gone(_))) {
            return false;
        }
        let end = self.purged.saturating_add(users_max).min(self.users.len());
        for place in self.purged..end {
            self.purge_user(place, &mut gone);
        }
        self.purged = end;
        if end < self.users.len() {
            return true;
        }
        self.purged = 0;
        for seat in &mut self.nodes {
            *seat = match seat {
                Seat::Gone(true) => Seat::Free,
                // It went when a part of the list lay behind already.
                Seat::Gone(false) => Seat::Gone(true),
                _ => continue,
            };
        }
        self.nodes.iter().any(|s| matches!(s, Seat::Gone(_)))
    }

    /// The resources of a user that nodes had available that are gone, and that no other has: those whose records are yet to be
    /// removed.
    pub fn gone<'a>(&'a self, user: &'a str) -> impl Iterator<Item = &'a str> {
        let place = self.find(self.hash(user), user).into_iter();
        let all = place.flat_map(move |p| Records::of(&self.users[p as usize], user));
        let all = all.filter(|s| !is_seated(&self.nodes, s.node));
        let available = |name: &str| self.get(user, name).is_some_and(|e| e.record.priority.is_some());
        all.filter(|s| s.record.priority.is_some())
            .map(|s| s.record.resource)
            .filter(move |name| !available(name))
    }

    fn purge_user(&mut self, place: usize, gone: &mut impl FnMut(&str, &str)) {
        let mut user = std::mem::take(&mut self.name);
        let piece = &self.users[place];
        if piece.is_empty() || Records::of(piece, "").all(|s| is_seated(&self.nodes, s.node)) {
            self.name = user;
            return;
        }
        self.write_user(piece, &mut user);
        let (domain, local) = pack::owner(piece);
        pack::begin(&mut self.scratch, domain, local);
        let (mut left, mut lost) = (0, 0);
        // Those of one resource lie side by side: the last of them knows about all.
        let mut records = Records::of(piece, &user).peekable();
        let (mut is_there, mut is_lost) = (false, false);
        while let Some(s) = records.next() {
            if is_seated(&self.nodes, s.node) {
                self.scratch.extend_from_slice(s.raw);
                left += 1;
                is_there |= s.record.priority.is_some();
            } else {
                lost += 1;
                is_lost = true;
            }
            if records.peek().is_none_or(|next| next.record.resource != s.record.resource) {
                if is_lost && !is_there {
                    gone(&user, s.record.resource);
                }
                (is_there, is_lost) = (false, false);
            }
        }
        self.records -= lost;
        if left > 0 {
            self.users[place] = Box::from(&self.scratch[..]);
        } else {
            let hash = self.hash(&user);
            self.vacate(place as u32, hash);
        }
        self.name = user;
    }
}
