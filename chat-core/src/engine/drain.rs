//! How sessions leave a node one after the other, while it goes on serving those that are left (docs/CLUSTER.md).
//!
//! The rate is the node's, and each worker has its share of it: users are spread over the workers by a hash. Streams that begin
//! meanwhile are refused, so that whoever was sent away does not come back here.

use std::collections::BTreeMap;

use super::Engine;
use crate::base::{ConnId, Mono, Span};
use crate::effect::ResourceId;
use crate::session::Seat;
use crate::stream::{StreamCondition, StreamError};
use crate::user::Resource;

/// The worker looks round at most so often: several sessions leave at once if that is what the rate means.
const STEP: Span = Span::millis(10);

/// How long clients that were cut off have to come to another node; what is asked for there needs not be offered.
const OFFER_AFTER: Span = Span::secs(3);
/// When a session is offered again that nobody took.
const OFFER_AGAIN: Span = Span::secs(10);
/// How soon it looks for sessions that have come since.
const LOOK_AGAIN: Span = Span::secs(1);

/// Sessions are to leave.
#[derive(Debug)]
pub(super) struct Drain {
    /// Sessions in a second, of all workers together.
    rate: u32,
    since: Mono,
    /// How many have left since then.
    left: u64,
    /// When the worker looks round again.
    next: Mono,
    /// When all that are left go at once.
    until: Mono,
    /// Sessions whose turn has not come, the next one last; not all of them need still be there.
    waiting: Vec<Seat>,
    /// When those that wait for their clients were offered to other nodes last.
    offered: BTreeMap<ResourceId, Mono>,
}

impl Drain {
    /// Whether the turn of a session comes: those that wait for their clients have a little time for that.
    fn wants(&self, resource: &Resource, now: Mono) -> bool {
        let Some(since) = resource.away_since() else { return true };
        let offered = self.offered.get(&resource.id);
        since + OFFER_AFTER <= now && offered.is_none_or(|at| *at + OFFER_AGAIN <= now)
    }

    /// When so many have left, by the rate.
    fn due(&self, left: u64, workers: u16) -> Mono {
        self.since + Span(left.saturating_mul(1_000_000_000 * u64::from(workers)) / u64::from(self.rate))
    }
}

impl Engine {
    /// Sessions are to leave; or they are to do so in another way than was said before.
    pub(super) fn begin_drain(&mut self, rate: u32, within: Span) {
        if self.stopping {
            return;
        }
        let now = self.cx.now.mono;
        let waiting = self.drain.take().map(|drain| drain.waiting).unwrap_or_default();
        let until = now + within;
        let offered = BTreeMap::new();
        let drain = Drain { rate: rate.max(1), since: now, left: 0, next: now, until, waiting, offered };
        self.drain = Some(Box::new(drain));
        // Those that are not bound yet are better off elsewhere from the beginning.
        let begun: Vec<ConnId> = (self.sessions.ids().into_iter())
            .filter(|conn| self.sessions.get_mut(*conn).is_some_and(|session| session.seat().is_none()))
            .collect();
        begun.into_iter().for_each(|conn| self.turn_away(conn));
    }

    /// Whoever is left stays.
    pub(super) fn end_drain(&mut self) {
        self.drain = None;
    }

    /// When the next session is to leave. Without sessions there is nothing to do.
    pub(super) fn drain_due(&self) -> Option<(Mono, &'static str)> {
        let drain = self.drain.as_ref().filter(|_| self.cx.counts.sessions.iter().any(|n| *n > 0))?;
        Some((drain.next.min(drain.until), "drain"))
    }

    /// Those leave whose turn has come.
    pub(super) fn drain_on(&mut self) {
        let now = self.cx.now.mono;
        while self.drain_due().is_some_and(|(at, _)| at <= now) {
            let workers = self.cx.settings.workers;
            let Some(drain) = &mut self.drain else { return };
            let all = drain.until <= now;
            if !all && drain.due(drain.left + 1, workers) > now {
                drain.next = drain.due(drain.left + 1, workers).max(now + STEP);
                return;
            }
            if drain.waiting.is_empty() {
                let (in_cluster, drain) = (self.cluster.is_some(), &*drain);
                let leaves = |resource: &&Resource| all || !in_cluster || drain.wants(resource, now);
                let seats = self.users.iter().flat_map(|user| {
                    let leave = user.resources.iter().filter(leaves);
                    leave.map(|resource| Seat { user: user.id, resource: resource.id })
                });
                let waiting = seats.collect();
                let Some(drain) = &mut self.drain else { return };
                drain.waiting = waiting;
            }
            let Some(drain) = &mut self.drain else { return };
            let Some(seat) = drain.waiting.pop() else {
                // Those that are left wait for their clients, who may be on their way.
                drain.next = now + LOOK_AGAIN;
                return;
            };
            drain.left += 1;
            self.send_away(seat, all);
        }
    }

    /// A session is to go on elsewhere. One that can be resumed waits here until its client, cut off without a word, comes to another
    /// node, which asks for it; if that takes too long it is offered to one. The others end. `now`: those end as well.
    fn send_away(&mut self, seat: Seat, now: bool) {
        let in_cluster = self.cluster.is_some();
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let Some(resource) = user.resource(seat.resource) else { return };
        let moves = in_cluster && !now && resource.sm.as_ref().is_some_and(|sm| sm.can_resume());
        match resource.conn {
            Some(conn) if moves => self.on_lost(conn),
            None if moves => {
                if let Some(drain) = &mut self.drain {
                    drain.offered.insert(seat.resource, self.cx.now.mono);
                }
                self.offer(seat);
            }
            Some(conn) => {
                self.cx.counts.sessions_closed += 1;
                self.turn_away(conn);
            }
            None => {
                self.cx.counts.sessions_closed += 1;
                self.leave(seat, None);
            }
        }
    }

    /// A stream ends, or does not begin, since its client is to go elsewhere.
    fn turn_away(&mut self, conn: ConnId) {
        let error = StreamError::new(StreamCondition::SystemShutdown, "this node is taking its leave");
        self.fail(conn, &error);
    }

    /// Whether nothing new is to come here.
    pub(super) fn is_leaving(&self) -> bool {
        self.stopping || self.drain.is_some()
    }

    /// A stream begins. Not if its client could not stay.
    pub(super) fn may_begin(&mut self, conn: ConnId) {
        if self.stopping {
            let error = StreamError::new(StreamCondition::SystemShutdown, "the server is shutting down");
            self.fail(conn, &error);
        } else if self.drain.is_some() {
            self.turn_away(conn);
        }
    }
}
