//! The node that a client comes to with a session that is elsewhere: it asks for the session, and waits.

use smol_str::SmolStr;

use super::moves::{RESUME_WAIT, Taking};
use super::{Cluster, OWN};
use crate::base::{ConnId, NodeId, UserId};
use crate::effect::{NodeTold, NotGiven, SmHash, SmId};
use crate::engine::Engine;
use crate::engine::sm::too_high_error;
use crate::jid::{BareJid, JidRef};
use crate::session::{Phase, Seat, TooHigh};
use crate::stream::{StreamCondition, StreamError};
use crate::user::{Parked, Record, Resource};

/// What a client wants to go on with.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    conn: ConnId,
    id: &'a str,
    h: u32,
}

impl Engine {
    /// A client wants to go on with a session that is not to be had here: it is asked for where it is, if it is anywhere.
    /// Says whether it is.
    pub(in crate::engine) fn take_elsewhere(
        &mut self,
        conn: ConnId,
        bare: &BareJid,
        sm_id: &str,
        h: u32,
    ) -> bool {
        if self.cluster.is_none() || self.stopping || sm_id.is_empty() {
            return false;
        }
        let (sm, wanted) = (SmHash::of(sm_id), Wanted { conn, id: sm_id, h });
        if self.joins_taking(bare, sm, wanted) {
            return true;
        }
        let held = self.holds_session(bare, sm_id);
        let Some(cluster) = self.cluster.as_deref() else { return false };
        let seen = cluster.table.resumable(bare.as_str(), sm).is_some_and(|entry| entry.node != OWN);
        let Some(session) = self.sessions.get_mut(conn).filter(|_| held || seen) else { return false };
        session.phase = Phase::Entering;
        session.holds.answer = true;
        let domain = session.domain;
        let id = match self.users.find(bare.as_str()) {
            Some(id) => id,
            None => self.load(bare.as_ref(), domain),
        };
        let Some(user) = self.users.get_mut(id) else { return false };
        if user.record == Record::Loading {
            let id: SmolStr = sm_id.into();
            let crowd = user.parked.iter().filter(|p| matches!(p, Parked::Resume { .. })).count();
            if crowd >= usize::from(self.cx.settings.limits_of(domain).resources_per_user_max) {
                self.resume_failed(conn, None);
            } else {
                user.parked.push_back(Parked::Resume { conn, id, h });
            }
            return true;
        }
        let until = self.cx.now.mono + RESUME_WAIT;
        let taking = Taking { ask: 0, id: sm_id.into(), sm, conn: Some(conn), h, at: None, until };
        self.begin_taking(id, taking);
        self.seek(id);
        true
    }

    /// The record of a user is here now, for a client that waited for it to resume.
    pub(in crate::engine) fn resume_again(&mut self, conn: ConnId, sm_id: &str, h: u32) {
        if self.sessions.get_mut(conn).is_some_and(|session| matches!(session.phase, Phase::Entering)) {
            self.on_resume(conn, sm_id, h);
        }
    }

    /// The same for a node that offers a session.
    pub(in crate::engine) fn offer_again(
        &mut self,
        id: UserId,
        node: NodeId,
        life: u32,
        offer: u64,
        sm: SmHash,
    ) {
        if let Some(jid) = self.users.get_mut(id).map(|user| user.jid.clone())
            && self.cx.life(node) == life
        {
            self.on_offer(node, offer, jid.as_str(), sm);
        }
    }

    /// An offer is not taken.
    pub(in crate::engine) fn decline(&mut self, node: NodeId, life: u32, offer: u64) {
        if self.cx.life(node) == life {
            self.cx.node_mail.put(&NodeTold::Answer { node, offer, ask: None });
        }
    }

    /// The session is on its way here already: the client that came last gets it.
    fn joins_taking(&mut self, bare: &BareJid, sm: SmHash, wanted: Wanted<'_>) -> bool {
        let Some(id) = self.users.find(bare.as_str()) else { return false };
        let Some(afar) = self.cluster.as_deref_mut().and_then(|c| c.users.get_mut(&id)) else { return false };
        let same = |t: &&mut Taking| t.sm == sm && (t.id.is_empty() || t.id == wanted.id);
        let Some(taking) = afar.takings.iter_mut().find(same) else { return false };
        let old = taking.conn.replace(wanted.conn);
        taking.id = wanted.id.into();
        taking.h = wanted.h;
        taking.until = self.cx.now.mono + RESUME_WAIT;
        if let Some(session) = self.sessions.get_mut(wanted.conn) {
            session.phase = Phase::Entering;
            session.holds.answer = true;
        }
        if let Some(old) = old {
            self.close_replaced(old);
        }
        self.seek(id);
        self.arm_user(id);
        true
    }

    /// Whether the session is here, and stands still.
    fn holds_session(&mut self, bare: &BareJid, sm_id: &str) -> bool {
        let Some(id) = self.users.find(bare.as_str()) else { return false };
        let Some(user) = self.users.get_mut(id) else { return false };
        let is_it = |r: &&Resource| r.sm.as_ref().is_some_and(|sm| sm.id == sm_id);
        let Some(rid) = user.resources.iter().find(is_it).map(|r| r.id) else { return false };
        self.is_on_hold(id, rid)
    }

    fn begin_taking(&mut self, id: UserId, taking: Taking) {
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.afar(id).takings.push(taking);
        }
        self.arm_user(id);
    }

    /// Looks again for the sessions that are waited for: here, or where another node says that it has them.
    pub(super) fn seek(&mut self, id: UserId) {
        let mut i = 0;
        while let Some(taking) = self.taking(id, i) {
            if taking.at.is_some() {
                i += 1;
                continue;
            }
            let (conn, sm, sm_id, h) = (taking.conn, taking.sm, taking.id.clone(), taking.h);
            let Some(user) = self.users.get_mut(id) else { return };
            let bare = user.jid.clone();
            let is_it = |r: &Resource| r.sm.as_ref().is_some_and(|sm| sm.id == sm_id);
            if let Some(rid) = user.resources.iter().find(|r| is_it(r)).map(|r| r.id)
                && !self.is_on_hold(id, rid)
                && !self.is_newer_elsewhere(bare.as_str(), &sm_id)
            {
                self.end_taking(id, i);
                if let Some(conn) = conn {
                    self.on_resume(conn, &sm_id, h);
                }
                continue;
            }
            let Some(cluster) = self.cluster.as_deref_mut() else { return };
            let node = cluster.table.resumable(bare.as_str(), sm).map(|entry| entry.node);
            if let Some(node) = node.filter(|node| *node != OWN) {
                let ask = self.new_ask(id);
                if let Some(taking) = self.taking(id, i) {
                    (taking.at, taking.ask) = (Some(node), ask);
                }
                let (user, id) = (bare.as_str(), SmId(&sm_id));
                self.cx.node_mail.put(&NodeTold::Ask { node, ask, user, id, h });
            }
            i += 1;
        }
    }

    fn taking(&mut self, id: UserId, i: usize) -> Option<&mut Taking> {
        self.cluster.as_deref_mut()?.users.get_mut(&id)?.takings.get_mut(i)
    }

    /// A name for what another node is asked.
    fn new_ask(&mut self, id: UserId) -> u64 {
        let Some(cluster) = self.cluster.as_deref_mut() else { return 0 };
        let ask = cluster.number();
        cluster.asks.insert(ask, id);
        ask
    }

    /// A session is not waited for any more; what was waited for.
    pub(super) fn end_taking(&mut self, id: UserId, i: usize) -> Option<Taking> {
        let cluster = self.cluster.as_deref_mut()?;
        let afar = cluster.users.get_mut(&id)?;
        let taking = (i < afar.takings.len()).then(|| afar.takings.remove(i))?;
        cluster.asks.remove(&taking.ask);
        self.forget_afar(id);
        Some(taking)
    }

    /// It takes too long, or nobody wants it any more.
    pub(super) fn give_up_taking(&mut self, id: UserId, i: usize) {
        let Some(taking) = self.end_taking(id, i) else { return };
        if let (Some(node), Some(user)) = (taking.at, self.users.get_mut(id)) {
            let user = user.jid.as_str();
            self.cx.node_mail.put(&NodeTold::Release { node, ask: taking.ask, user });
        }
        if let Some(conn) = taking.conn {
            self.resume_failed(conn, None);
        }
        self.arm_user(id);
    }

    /// All that are waited for of a user.
    pub(super) fn give_up_all_takings(&mut self, id: UserId) {
        while self.taking(id, 0).is_some() {
            self.give_up_taking(id, 0);
        }
    }

    /// The connection of a client that waits is gone. A session that was asked for comes all the same, and waits here.
    pub(in crate::engine) fn leave_taking(&mut self, id: UserId, conn: ConnId) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let Some(afar) = cluster.users.get_mut(&id) else { return };
        let Some(i) = afar.takings.iter().position(|taking| taking.conn == Some(conn)) else { return };
        afar.takings[i].conn = None;
        if afar.takings[i].at.is_none() {
            self.end_taking(id, i);
        }
    }

    /// The taking of this name that this node was asked for.
    pub(super) fn find_taking(&mut self, node: NodeId, ask: u64) -> Option<(UserId, usize)> {
        let cluster: &Cluster = self.cluster.as_deref()?;
        let id = *cluster.asks.get(&ask)?;
        let takings = &cluster.users.get(&id)?.takings;
        Some((id, takings.iter().position(|taking| taking.ask == ask && taking.at == Some(node))?))
    }

    /// A node does not give a session.
    pub(super) fn on_not_given(&mut self, node: NodeId, ask: u64, why: NotGiven) {
        let Some((id, i)) = self.find_taking(node, ask) else {
            return self.end_taken(node, ask, why);
        };
        if why == NotGiven::Elsewhere {
            if let Some(cluster) = self.cluster.as_deref_mut() {
                cluster.asks.remove(&ask);
            }
            if let Some(taking) = self.taking(id, i) {
                (taking.at, taking.ask) = (None, 0);
            }
            return self.seek(id);
        }
        let conn = self.end_taking(id, i).and_then(|taking| taking.conn);
        match (why, conn) {
            (NotGiven::TooHigh { h, sent }, Some(conn)) => {
                self.fail(conn, &too_high_error(TooHigh { h, sent }));
            }
            (NotGiven::Unknown(h), Some(conn)) => self.resume_failed(conn, h),
            (_, Some(conn)) => self.resume_failed(conn, None),
            (_, None) => {}
        }
        self.arm_user(id);
    }

    /// A session that was taken was over before: it ends here, too.
    fn end_taken(&mut self, node: NodeId, ask: u64, why: NotGiven) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let found = cluster.taken.iter().position(|taken| taken.node == node && taken.ask == ask);
        if let Some(taken) = found.and_then(|i| cluster.taken.remove(i))
            && why == NotGiven::Void
        {
            let error = StreamError::new(StreamCondition::Conflict, "the session had ended elsewhere");
            self.end_session(Seat { user: taken.user, resource: taken.resource }, &error);
        }
    }

    /// A node has a session for which another place would be better.
    pub(super) fn on_offer(&mut self, node: NodeId, offer: u64, bare: &str, sm: SmHash) {
        let jid = JidRef::of_prepared(bare);
        let domain = self.cx.settings.domain_index(jid.domain()).filter(|_| !self.is_leaving());
        let Some(domain) = domain else {
            return self.cx.node_mail.put(&NodeTold::Answer { node, offer, ask: None });
        };
        let id = match self.users.find(bare) {
            Some(id) => id,
            None => self.load(jid, domain),
        };
        let life = self.cx.life(node);
        let most = usize::from(self.cx.settings.limits_of(domain).resources_per_user_max);
        let Some(user) = self.users.get_mut(id) else { return };
        let parked = user.parked.iter().filter(|p| matches!(p, Parked::Offer { .. })).count();
        let takings = self.cluster.as_deref().and_then(|c| c.users.get(&id)).map_or(&[][..], |a| &a.takings);
        let coming = takings.iter().any(|taking| taking.sm == sm);
        // The node that offers more for one user than a user has will find another way.
        if parked + takings.len() + user.resources.len() >= most {
            return self.cx.node_mail.put(&NodeTold::Answer { node, offer, ask: None });
        }
        if user.record == Record::Loading {
            return user.parked.push_back(Parked::Offer { node, life, offer, sm });
        }
        // Its client is here already, and has asked for it.
        let ask = (!coming).then(|| self.new_ask(id));
        if let Some(ask) = ask {
            let until = self.cx.now.mono + super::moves::HOLD_WAIT;
            let at = Some(node);
            self.begin_taking(id, Taking { ask, id: SmolStr::default(), sm, conn: None, h: 0, at, until });
        }
        self.cx.node_mail.put(&NodeTold::Answer { node, offer, ask });
    }
}
