//! Rosters and block lists that other nodes change.
//!
//! The store has the truth, and refuses a change that was made from anything else (`user/change.rs`). A node that has changed
//! what is stored of a user says so before anything that follows from it; whoever has an older version in memory reads it again,
//! tells its clients what is different, and lets no later change be made before that.

use crate::base::UserId;
use crate::base::limits::LINK_GRACE;
use crate::engine::Engine;
use crate::user::{Record, change};

/// What others have told of a user, and is not here yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct News {
    /// The versions of the roster and of the block list.
    roster: u64,
    blocked: u64,
    /// The store was asked since.
    asked: bool,
}

impl News {
    /// Whatever there is may be old.
    pub(super) const UNKNOWN: News = News { roster: u64::MAX, blocked: u64::MAX, asked: false };
}

impl Engine {
    /// Another node has stored these versions of a user's roster and block list.
    pub(super) fn on_user_changed(&mut self, user: &str, (roster, blocked): (u64, u64)) {
        let (Some(id), Some(cluster)) = (self.users.find(user), self.cluster.as_deref_mut()) else { return };
        let news = cluster.news.entry(id).or_default();
        let (roster, blocked) = (roster.max(news.roster), blocked.max(news.blocked));
        *news = News { roster, blocked, asked: false };
        self.catch_up(id, false);
    }

    /// A record was read, or the store has answered, or `failed`: if others have told of a later version, the record is read
    /// again. Nobody's is forgotten instead.
    pub(in crate::engine) fn catch_up(&mut self, id: UserId, failed: bool) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let Some(news) = cluster.news.get_mut(&id) else { return };
        let user = self.users.get_mut(id);
        if user.as_ref().is_some_and(|user| user.record == Record::Loading) {
            return;
        }
        // Once it was read again, it is what there is: an account may have been made anew.
        let behind = |user: &crate::user::User| {
            user.roster.version() < news.roster || user.blocked.version() < news.blocked
        };
        let Some(user) =
            user.filter(|user| behind(user) && (failed || !news.asked || user.underway.is_some()))
        else {
            cluster.news.remove(&id);
            return;
        };
        if failed {
            news.asked = false;
            cluster.chores.again.push_back((self.cx.now.mono + LINK_GRACE, id));
            self.arm_chores();
        } else if user.underway.is_none() {
            news.asked = true;
            self.read_again(id);
        }
    }

    /// Reads what is stored of a user again, or forgets the user if nobody needs it.
    fn read_again(&mut self, id: UserId) {
        self.forget_user(id);
        match (self.users.get_mut(id), self.cluster.as_deref_mut()) {
            (Some(user), _) => change::refresh(user, &mut self.cx),
            (None, Some(cluster)) => drop(cluster.news.remove(&id)),
            (None, None) => {}
        }
    }
}
