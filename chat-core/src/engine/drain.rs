//! How sessions leave a node one after the other, while it goes on serving those that are left (docs/CLUSTER.md).
//!
//! The rate is the node's, and each worker has its share of it: users are spread over the workers by a hash. Streams that begin
//! meanwhile are refused, so that whoever was sent away does not come back here. A session that can be resumed is offered to other
//! nodes (`nodes/offer.rs`) and served here until one takes it; the others end. At the deadline, or when the node is told to end before
//! it, all that are left are offered at once, and have a little time ([`LAST_CALL`]).

use std::collections::BTreeMap;

use super::Engine;
use crate::base::limits::LAST_CALL;
use crate::base::{ConnId, Mono, Span};
use crate::effect::ResourceId;
use crate::session::{Phase, Seat};
use crate::stream::{StreamCondition, StreamError};
use crate::user::Resource;

/// The worker looks round at most so often: several sessions leave at once if that is what the rate means.
const STEP: Span = Span::millis(10);

/// When a session is offered again that nobody took.
const OFFER_AGAIN: Span = Span::secs(10);
/// How soon it looks for sessions that have come since, or for somebody who takes them.
const LOOK_AGAIN: Span = Span::secs(1);
/// The same at the end, for sessions that were given and came back.
const LOOK_AGAIN_LAST: Span = Span::millis(50);

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
    /// That moment has come: when those that are on their way end as well.
    last: Option<Mono>,
    /// The engine is to stop when none is left.
    stops: bool,
    /// Sessions whose turn has not come, the next one last; not all of them need still be there.
    waiting: Vec<Seat>,
    /// When each was offered to other nodes last; since the last moment has come, those that were offered since.
    offered: BTreeMap<ResourceId, Mono>,
}

impl Drain {
    fn new(now: Mono, rate: u32, within: Span) -> Drain {
        Drain {
            rate: rate.max(1),
            since: now,
            left: 0,
            next: now,
            until: now + within,
            last: None,
            stops: false,
            waiting: Vec::new(),
            offered: BTreeMap::new(),
        }
    }

    /// When so many have left, by the rate.
    fn due(&self, left: u64, workers: u16) -> Mono {
        self.since + Span(left.saturating_mul(1_000_000_000 * u64::from(workers)) / u64::from(self.rate))
    }
}

impl Engine {
    /// Sessions are to leave; or they are to do so in another way than was said before.
    pub(super) fn begin_drain(&mut self, rate: u32, within: Span) {
        if self.stopping || self.drain.as_ref().is_some_and(|drain| drain.stops) {
            return;
        }
        let waiting = self.drain.take().map(|drain| drain.waiting).unwrap_or_default();
        self.drain = Some(Box::new(Drain { waiting, ..Drain::new(self.cx.now.mono, rate, within) }));
        // Those that are not bound yet are better off elsewhere from the beginning.
        let is_new = |phase: &Phase| !matches!(phase, Phase::Bound(_) | Phase::Parting);
        let begun: Vec<ConnId> = (self.sessions.ids().into_iter())
            .filter(|conn| self.sessions.get_mut(*conn).is_some_and(|session| is_new(&session.phase)))
            .collect();
        begun.into_iter().for_each(|conn| self.turn_away(conn));
    }

    /// Whoever is left stays.
    pub(super) fn end_drain(&mut self) {
        self.drain = self.drain.take().filter(|drain| drain.stops);
    }

    /// The engine is to stop. Says whether it waits for sessions that may go on at other nodes: then it stops when none is left.
    pub(super) fn stops_drained(&mut self) -> bool {
        if self.cluster.is_none() || self.sessions_left() == 0 {
            return false;
        }
        let now = self.cx.now.mono;
        let Some(drain) = &mut self.drain else { return false };
        drain.stops = true;
        drain.until = drain.until.min(now);
        true
    }

    fn sessions_left(&self) -> u32 {
        self.cx.counts.sessions.iter().sum()
    }

    /// When the next session is to leave. Without sessions there is nothing to do.
    pub(super) fn drain_due(&self) -> Option<(Mono, &'static str)> {
        let drain = self.drain.as_ref().filter(|_| self.sessions_left() > 0)?;
        Some((drain.next.min(drain.last.unwrap_or(drain.until)), "drain"))
    }

    /// Those leave whose turn has come.
    pub(super) fn drain_on(&mut self) {
        let now = self.cx.now.mono;
        while self.drain_due().is_some_and(|(at, _)| at <= now) {
            let workers = self.cx.settings.workers;
            let Some(drain) = &mut self.drain else { return };
            if drain.until <= now && drain.last.is_none() {
                (drain.last, drain.next) = (Some(now + LAST_CALL), now);
                drain.offered.clear();
                drain.waiting.clear();
            }
            if drain.last.is_some_and(|last| last <= now) {
                self.end_all();
                break;
            }
            if drain.last.is_none() && drain.due(drain.left + 1, workers) > now {
                drain.next = drain.due(drain.left + 1, workers).max(now + STEP);
                break;
            }
            if drain.waiting.is_empty() {
                self.look_round();
            }
            let Some(drain) = &mut self.drain else { return };
            let Some(seat) = drain.waiting.pop() else {
                drain.next = now + if drain.last.is_some() { LOOK_AGAIN_LAST } else { LOOK_AGAIN };
                break;
            };
            if !self.send_away(seat) {
                let Some(drain) = &mut self.drain else { return };
                drain.waiting.push(seat);
                drain.next = now + STEP;
                break;
            }
        }
        if self.sessions_left() == 0 && self.drain.as_ref().is_some_and(|drain| drain.stops) {
            self.drain = None;
            self.shut_down_now();
        }
    }

    /// Looks for sessions that may leave now.
    fn look_round(&mut self) {
        let (now, offered, has_takers) = (self.cx.now.mono, self.offered(), self.has_takers());
        let Engine { users, cluster, drain, .. } = self;
        let Some(drain) = drain else { return };
        let leaves = |user, resource: &Resource| {
            let moves = cluster.is_some() && resource.sm.as_ref().is_some_and(|sm| sm.can_resume());
            let is_moving = || {
                let is_held = cluster.as_deref().is_some_and(|cluster| cluster.is_held(user, resource.id));
                is_held || offered.contains(&resource.id)
            };
            let before = drain.offered.get(&resource.id);
            let its_turn = || has_takers && before.is_none_or(|at| *at + OFFER_AGAIN <= now);
            !moves || !is_moving() && (drain.last.is_some() || its_turn())
        };
        let seats = users.iter().flat_map(|user| {
            let leaving = user.resources.iter().filter(|resource| leaves(user.id, resource));
            leaving.map(|resource| Seat { user: user.id, resource: resource.id })
        });
        let waiting: Vec<Seat> = seats.collect();
        if waiting.is_empty() {
            // When there is something again it leaves at the rate, and nothing is made good.
            (drain.since, drain.left) = (now, 0);
        }
        drain.waiting = waiting;
    }

    /// A session is to go on elsewhere, or to end. Says whether its turn is over; else it has to wait.
    fn send_away(&mut self, seat: Seat) -> bool {
        let in_cluster = self.cluster.is_some();
        let Some(user) = self.users.get_mut(seat.user) else { return true };
        let Some(resource) = user.resource(seat.resource) else { return true };
        let moves = in_cluster && resource.sm.as_ref().is_some_and(|sm| sm.can_resume());
        #[cfg(feature = "sim")]
        let moves = moves && !self.cx.settings.has(crate::effect::Plant::EndOnDrain);
        if moves {
            if self.is_on_hold(seat.user, seat.resource) {
                return true;
            }
            let is_enough = self.is_giving_enough();
            let Some(drain) = &mut self.drain else { return true };
            let is_last = drain.last.is_some();
            if !is_last || !drain.offered.contains_key(&seat.resource) {
                if is_enough {
                    return false;
                }
                drain.offered.insert(seat.resource, self.cx.now.mono);
                drain.left += 1;
                if self.offer(seat, Vec::new()) || !is_last {
                    return true;
                }
            }
        }
        if let Some(drain) = &mut self.drain {
            drain.left += 1;
        }
        self.end_for_drain(seat);
        true
    }

    fn end_for_drain(&mut self, seat: Seat) {
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let Some(resource) = user.resource(seat.resource) else { return };
        let conn = resource.conn;
        self.cx.counts.sessions_closed += 1;
        match conn {
            Some(conn) => self.turn_away(conn),
            None => self.leave(seat, None),
        }
    }

    /// The last moment is over.
    fn end_all(&mut self) {
        let seats = self.users.iter().flat_map(|user| {
            user.resources.iter().map(|resource| Seat { user: user.id, resource: resource.id })
        });
        let seats: Vec<Seat> = seats.collect();
        seats.into_iter().for_each(|seat| self.end_for_drain(seat));
    }

    /// A stream ends, or does not begin, since its client is to go elsewhere.
    fn turn_away(&mut self, conn: ConnId) {
        let error = StreamError::new(StreamCondition::SystemShutdown, "this node is taking its leave");
        self.fail(conn, &error);
    }

    /// Whether sessions are leaving.
    pub(super) fn is_draining(&self) -> bool {
        self.drain.is_some()
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
