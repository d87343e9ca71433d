//! Sessions of other nodes that have become available a moment ago, and those that have gone there from here.
//!
//! Two who see each other may become available on two nodes at the same time. Each node broadcasts the presence of its own
//! before it knows of the other's, and each asks for the other's where nobody knows of it yet. So each node shows its own once
//! more to whoever has come meanwhile ([`NEWCOMER`]): nobody misses the other, and hardly anybody is shown twice.
//!
//! A session may go to a node that has never heard of another, while this node waits before it tells its own that the other is
//! gone. So those that went lately are still told of it from here.

use std::collections::{BTreeMap, VecDeque};

use smol_str::SmolStr;

use crate::base::Mono;
use crate::base::limits::NEWCOMER;

/// Who has come, or gone.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    users: BTreeMap<SmolStr, Vec<(Mono, SmolStr)>>,
    order: VecDeque<(Mono, SmolStr)>,
}

impl Newcomers {
    /// A session of this full JID has become available, or has gone from here to another node.
    pub(super) fn add(&mut self, now: Mono, user: &str, resource: &str) {
        self.expire(now);
        let user = SmolStr::new(user);
        self.users.entry(user.clone()).or_default().push((now, resource.into()));
        self.order.push_back((now, user));
    }

    /// Whether it is among them.
    pub(super) fn has(&self, user: &str, resource: &str) -> bool {
        self.users.get(user).is_some_and(|all| all.iter().any(|(_, name)| name == resource))
    }

    /// When it was last added.
    pub(super) fn newest(&self, user: &str, resource: &str) -> Option<Mono> {
        let all = self.users.get(user).into_iter().flatten();
        all.filter(|(_, name)| name == resource).map(|(at, _)| *at).max()
    }

    /// Whether any of the user's is.
    pub(super) fn has_any(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// Forgets those of long ago: whoever was there before them has been shown to them.
    pub(super) fn expire(&mut self, now: Mono) {
        while let Some((at, user)) = self.order.pop_front_if(|(at, _)| *at + NEWCOMER + NEWCOMER <= now) {
            if let Some(all) = self.users.get_mut(&user) {
                all.retain(|(since, _)| *since > at);
                if all.is_empty() {
                    self.users.remove(&user);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_are_new_for_a_while() {
        let mut all = Newcomers::default();
        let at = |n: u64| Mono(NEWCOMER.0 * n);
        all.add(at(0), "romeo@h", "a");
        all.add(at(1), "romeo@h", "b");
        all.add(at(1), "juliet@h", "a");
        assert_eq!((all.newest("romeo@h", "b"), all.newest("romeo@h", "c")), (Some(at(1)), None));
        assert!(all.has("romeo@h", "a") && all.has("romeo@h", "b") && !all.has("juliet@h", "b"));
        all.expire(at(2));
        assert!(!all.has("romeo@h", "a") && all.has("romeo@h", "b") && all.has_any("juliet@h"));
        all.expire(at(3));
        assert!(!all.has_any("romeo@h") && all.users.is_empty() && all.order.is_empty());
    }
}
