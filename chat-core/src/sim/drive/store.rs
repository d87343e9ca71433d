//! What the node asks of its store, and how long that takes, if it is answered at all.

use std::sync::Arc;

use crate::base::{Mono, RequestId, Span};
use crate::effect::{StoreDone, StoreError, StoreOp, StoreResult};
use crate::sim::auth::bare;
use crate::sim::events::Event;
use crate::sim::ledger::tag_in;
use crate::sim::world::World;

impl World {
    /// Whether the store does nothing now: until when, and whether it says so.
    fn outage(&self) -> Option<(Mono, bool)> {
        if self.healing {
            return None;
        }
        let begin = Mono(1_000_000_000);
        self.plan.faults.outages.iter().find_map(|(from, long, refuses)| {
            let (from, to) = (begin + *from, begin + *from + *long);
            (from <= self.now.mono && self.now.mono < to).then_some((to, *refuses))
        })
    }

    pub(super) fn on_store(&mut self, s: usize, id: RequestId, op: Arc<StoreOp>) {
        let now = self.now.mono;
        let faults = &self.plan.faults;
        let slow = Span(self.rng.below(faults.store_slow.0.max(1)));
        let dice = if self.healing { 1000 } else { self.rng.below(1000) };
        let life = self.servers[s].life;
        let refuse = match self.outage() {
            // Nobody may be told that nothing has changed while the first try is still on its way.
            _ if self.store.taken.contains(&(s, id)) => None,
            Some((_, true)) => Some(StoreError::Unavailable),
            _ if dice < faults.overloaded => Some(StoreError::Overloaded),
            _ if dice >= 500 && dice < 500 + faults.store_fails => Some(StoreError::Unavailable),
            _ => None,
        };
        let latency = match self.outage() {
            Some((until, false)) => Span(until.since(now).0 + slow.0),
            _ => slow,
        };
        let answer = self.healing || self.rng.below(1000) >= faults.lost_answer;
        self.trace.say(now, || format!("{s} {id:?} {} -> {refuse:?} answer {answer}", describe(&op)));
        match refuse {
            Some(error) => {
                let at = if error == StoreError::Overloaded { now } else { now + slow };
                self.events.at(at, Event::Stored { server: s, life, id, result: Err(error) });
            }
            None => {
                self.store.taken.insert((s, id));
                let at = self.store.schedule(s, op.user().as_str(), now, latency);
                self.events.at(at, Event::Execute { server: s, life, id, op, answer });
            }
        }
    }

    pub(super) fn on_execute(&mut self, at: (usize, u32), id: RequestId, op: &StoreOp, answer: bool) {
        let (server, life) = at;
        if life != self.servers[server].life {
            return;
        }
        let result = self.store.execute(op, self.now.mono);
        self.trace.say(self.now.mono, || {
            format!("{server} {id:?} {} is done: {}", describe(op), describe_result(&result))
        });
        if self.kills_writer && self.is_for_elsewhere(server, op) {
            self.kills_writer = false;
            return self.on_crash(server, false);
        }
        if answer {
            let at = self.now.mono + Span(self.rng.below(2_000_000));
            self.events.at(at, Event::Stored { server, life, id, result });
        }
    }

    /// Whether a message is stored by a node for somebody who has a session at another one.
    fn is_for_elsewhere(&self, server: usize, op: &StoreOp) -> bool {
        let StoreOp::SpoolPut { user, .. } = op else { return false };
        let theirs = self.clients.iter().filter(|c| user.as_str() == bare(c.plan.user) && c.is_active());
        self.servers.len() > 1 && theirs.into_iter().any(|c| c.server.is_some_and(|other| other != server))
    }
}

/// A request in a few words.
fn describe(op: &StoreOp) -> String {
    let text = format!("{op:?}");
    let name = text.split(' ').next().unwrap_or_default();
    let more = match op {
        StoreOp::SpoolPut { row, .. } => format!("{:?} {:?}", tag_in(&row.stanza), row.id),
        StoreOp::SpoolRead { after, .. } => format!("{after:?}"),
        StoreOp::SpoolWaiting { users } => format!("and {} more", users.len() - 1),
        StoreOp::SpoolDelete { ids, .. } => format!("{ids:?}"),
        _ => String::new(),
    };
    format!("{name} {} {more}", op.user())
}

fn describe_result(result: &StoreResult) -> String {
    match result {
        Ok(StoreDone::Spool(rows)) => {
            let tags: Vec<_> = rows.iter().map(|(seq, row)| (seq.0, tag_in(&row.stanza))).collect();
            format!("{tags:?}")
        }
        Ok(StoreDone::User(loaded)) => format!("{} rows", loaded.spooled),
        other => format!("{other:?}"),
    }
}
