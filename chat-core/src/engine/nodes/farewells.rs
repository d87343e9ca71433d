//! Those who may not see a user any more, while some node may not hear of it.
//!
//! Who is blocked, or loses a subscription, is told that the user's sessions are gone. If the node with the contact's clients is out of
//! reach at that time, they go on seeing what they saw; and if it was cut off for less than [`LINK_GRACE`] as it sees
//! it, or stood still, it takes none of these sessions for lost either. So each worker remembers the last of these farewells of its
//! own users, and says them once more to a node that has told of all its sessions. What is true by then decides: nothing is said
//! to those who may see the user again.
//!
//! [`LINK_GRACE`]: crate::base::limits::LINK_GRACE

use std::collections::VecDeque;

use smol_str::SmolStr;

use crate::base::limits::{CLUSTER_SETTLED, CLUSTER_STEP_USERS, FAREWELLS_MAX};
use crate::base::{Mono, NodeId};
use crate::engine::Engine;
use crate::jid::{BareJid, Jid};
use crate::user::{Record, presence};

/// What was said, and what is to be said again.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    said: VecDeque<Farewell>,
    again: VecDeque<(Mono, NodeId, Farewell)>,
}

/// Somebody may not see a user any more.
#[derive(Debug, Clone)]
struct Farewell {
    user: BareJid,
    contact: Jid,
    /// The sessions that were said to be gone.
    names: Vec<SmolStr>,
}

impl Farewells {
    /// It was said; of several to the same contact the last counts, with the sessions of all.
    pub(super) fn add(&mut self, user: &BareJid, contact: &Jid, mut names: Vec<SmolStr>) {
        let same = |f: &Farewell| f.user == *user && f.contact == *contact;
        if let Some(before) = self.said.iter().position(same).and_then(|i| self.said.remove(i)) {
            names.extend(before.names);
            names.sort_unstable();
            names.dedup();
        }
        if names.is_empty() {
            return;
        }
        if self.said.len() >= FAREWELLS_MAX {
            self.said.pop_front();
        }
        self.said.push_back(Farewell { user: user.clone(), contact: contact.clone(), names });
    }

    /// A node has told of all its sessions.
    pub(super) fn whole(&mut self, now: Mono, node: NodeId) {
        let due = now + CLUSTER_SETTLED;
        self.again.extend(self.said.iter().map(|farewell| (due, node, farewell.clone())));
    }

    /// A node is gone.
    pub(super) fn end(&mut self, node: NodeId) {
        self.again.retain(|(_, n, _)| *n != node);
    }

    /// When there is something to say again.
    pub(super) fn next(&self) -> Option<Mono> {
        self.again.front().map(|(due, ..)| *due)
    }
}

impl Engine {
    /// Some of what was said is said again.
    pub(super) fn say_farewell_again(&mut self) {
        let now = self.cx.now.mono;
        for _ in 0..CLUSTER_STEP_USERS {
            let Some(cluster) = self.cluster.as_deref_mut() else { return };
            let farewells = &mut cluster.chores.farewells;
            let Some((_, node, farewell)) = farewells.again.pop_front_if(|(due, ..)| *due <= now) else {
                return;
            };
            self.hide_again(node, &farewell);
        }
    }

    fn hide_again(&mut self, node: NodeId, farewell: &Farewell) {
        let Farewell { user, contact, names } = farewell;
        let id = self.users.find(user.as_str());
        let known = id.and_then(|id| self.users.get_mut(id)).filter(|known| known.record == Record::Ready);
        // A user who is not known here any more has no session here. Whoever has taken it says who may see it.
        let sees = known.is_none_or(|user| presence::may_ask(user, contact.as_ref()));
        for name in names {
            let there = self.cluster.as_deref().is_some_and(|c| c.is_available(user.as_str(), name));
            if !(there && sees) {
                presence::hide(&user.join(name), contact, node, &mut self.cx);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_farewells_are_remembered_once() {
        let mut all = Farewells::default();
        let (user, jid) =
            (BareJid::parse("juliet@h").unwrap(), |n: usize| Jid::parse(&format!("c{n}@h")).unwrap());
        all.add(&user, &jid(0), vec!["a".into(), "b".into()]);
        all.add(&user, &jid(0), vec!["b".into(), "c".into()]);
        assert_eq!(all.said.len(), 1);
        assert_eq!(all.said[0].names, ["a", "b", "c"]);
        all.add(&user, &jid(0), vec![]);
        assert_eq!(all.said[0].names.len(), 3, "nobody is forgotten because nobody is there now");
        for n in 1..=FAREWELLS_MAX {
            all.add(&user, &jid(n), vec!["a".into()]);
        }
        assert_eq!(all.said.len(), FAREWELLS_MAX);
        assert_eq!(all.said[0].contact, jid(1));
        all.whole(Mono(0), NodeId(1));
        all.whole(Mono(1), NodeId(2));
        all.end(NodeId(1));
        assert_eq!((all.again.len(), all.next()), (FAREWELLS_MAX, Some(Mono(1) + CLUSTER_SETTLED)));
    }
}
