//! What became of what was sent to other nodes.

use super::OWN;
use super::afar::{Afar, Out, Sent};
use crate::base::{MsgId, NodeId, UserId};
use crate::effect::{Envelope, Fate, Outcome, SettleTo, Unacked};
use crate::engine::Engine;
use crate::engine::leave::Had;
use crate::engine::nodes::Turn;
use crate::stanza::Condition;
use crate::user::{Flight, SpoolState};

impl Engine {
    /// A node says what became of an envelope. Of one that is not known to be there nothing follows.
    pub(super) fn on_result(&mut self, node: NodeId, envelope: u64, outcome: Outcome) {
        let left = self.cluster.as_deref_mut().and_then(|cluster| cluster.leave(node, envelope));
        if let Some((id, out)) = left {
            self.copy_ends(id, out, outcome);
            self.take_turns(id);
        }
    }

    /// One copy of a message less, as when a client acknowledges it or its session ends; or an iq has reached its client, or
    /// never will.
    fn copy_ends(&mut self, id: UserId, out: Out, outcome: Outcome) {
        let settled = outcome == Outcome::Settled;
        let Some(key) = out.flight else {
            if !settled {
                self.refuse_stored(out.sent.stanza(), Condition::ServiceUnavailable.into());
            }
            return;
        };
        if settled {
            return self.on_acked(id, &[Unacked { len: 0, flight: Some(key) }]);
        }
        let Some(user) = self.users.get_mut(id) else { return };
        if let Some(flight) = user.flights.get_mut(key) {
            flight.tried |= outcome == Outcome::Lost;
        }
        let Some(flight) = user.flights.drop_copy(&mut self.user_pools, key) else { return };
        if flight.acked || flight.copies > 0 {
            return;
        }
        match flight.spool {
            // A client here, without stream management, had it: as good as acknowledged.
            spool if flight.had => {
                let row = matches!(spool, SpoolState::Written | SpoolState::Refused);
                self.end_had(id, vec![Had { id: flight.id, settle: flight.settle, row }]);
            }
            SpoolState::Refused | SpoolState::Elsewhere => self.cx.answer(flight.settle, Outcome::Lost),
            SpoolState::Written | SpoolState::Writing => {
                user.spool.add();
                self.spool_begin(id);
            }
            SpoolState::Absent if self.entrust(id, flight.id, flight.settle) => {}
            SpoolState::Absent => self.decide_again(id, &out.sent, &flight),
        }
        self.arm_user(id);
    }

    /// A message may be about to be written to clients here that acknowledge nothing: then what becomes of it is decided by what
    /// becomes of that. Says whether it is so.
    pub(in crate::engine) fn entrust(&mut self, id: UserId, msg: MsgId, settle: Option<SettleTo>) -> bool {
        let Some(user) = self.users.get_mut(id) else { return false };
        let due = self.cx.now.mono + user.limits(&self.cx.settings).spool_after;
        let mut entrusted = false;
        for conn in user.resources.iter().filter_map(|r| r.conn) {
            if self.cx.wires.entrust(conn, msg, settle) {
                entrusted = true;
                if matches!(settle, Some(SettleTo::Client { .. })) {
                    user.promised.push_back(&mut self.user_pools.promised, (due, conn, msg));
                }
            }
        }
        entrusted
    }

    /// Nobody has a message any more that was sent.
    fn decide_again(&mut self, id: UserId, sent: &Sent, flight: &Flight) {
        let (from, to) = sent.names();
        let (from, to, stanza) = (from.to_owned(), to.to_owned(), sent.stanza().into());
        // Also if it comes behind another that was sent later.
        let afar = self.cluster.as_deref().and_then(|cluster| cluster.users.get(&id));
        let late = afar.is_some_and(|afar| afar.last > sent.turn.order);
        let delayed = sent.delayed || flight.tried || late;
        let fate = Fate { id: flight.id, at: flight.at, settle: flight.settle, delayed, only: sent.only };
        let turn = Turn { attempt: sent.turn.attempt + 1, ..sent.turn };
        self.go_on(id, &Envelope { from, to, stanza, fate }, turn);
    }

    /// A node is gone: what was sent there may have arrived or not. The sessions that it hid are to be seen again.
    pub(super) fn lose_node(&mut self, node: NodeId) {
        debug_assert!(node != OWN, "this node is here");
        self.lose(Some(node));
    }

    /// Nobody will hear the results any more: what is outstanding is stored or bounced.
    pub(in crate::engine) fn lose_all(&mut self) {
        self.lose(None);
        let Some(cluster) = self.cluster.as_deref() else { return };
        let users: Vec<UserId> = cluster.users.keys().copied().collect();
        for id in users {
            self.give_up_all_takings(id);
        }
    }

    fn lose(&mut self, node: Option<NodeId>) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        // First all of them, then what follows: none waits for another of them.
        for (id, out) in cluster.leave_all(node, None) {
            self.copy_ends(id, out, Outcome::Lost);
        }
        let Some(cluster) = self.cluster.as_deref() else { return };
        let users: Vec<UserId> = cluster.users.keys().copied().collect();
        for id in users {
            self.take_turns(id);
        }
    }

    /// There is no such account any more: what was for it goes back to whoever sent it.
    pub(in crate::engine) fn refuse_afar(&mut self, id: UserId) {
        self.give_up_all_takings(id);
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let lost = cluster.leave_all(None, Some(id));
        let Afar { waiting, held, .. } = *cluster.users.remove(&id).unwrap_or_default();
        for held in held {
            self.cx.answer(held.settle, Outcome::Moved);
        }
        for (_, out) in lost {
            let flight = out.flight.and_then(|key| {
                let user = self.users.get_mut(id)?;
                user.flights.drop_copy(&mut self.user_pools, key)
            });
            if flight.is_none_or(|f| !f.acked && f.copies == 0 && f.spool != SpoolState::Refused) {
                self.refuse_stored(out.sent.stanza(), Condition::ServiceUnavailable.into());
            }
            self.cx.settled(flight.filter(|f| f.copies == 0).and_then(|f| f.settle));
        }
        for waiting in waiting {
            self.refuse_stored(&waiting.envelope.stanza, Condition::ServiceUnavailable.into());
            self.cx.settled(waiting.envelope.fate.settle);
        }
    }
}
