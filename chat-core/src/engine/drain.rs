//! How sessions leave a node one after the other, while it goes on serving those that are left (docs/CLUSTER.md).
//!
//! The rate is the node's, and each worker has its share of it: users are spread over the workers by a hash. Streams that begin
//! meanwhile are refused, so that whoever was sent away does not come back here.

use super::Engine;
use crate::base::{ConnId, Mono, Span};
use crate::session::Seat;
use crate::stream::{StreamCondition, StreamError};

/// The worker looks round at most so often: several sessions leave at once if that is what the rate means.
const STEP: Span = Span::millis(10);

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
}

impl Drain {
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
        let drain = Drain { rate: rate.max(1), since: now, left: 0, next: now, until, waiting };
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
                let seats = self.users.iter().flat_map(|user| {
                    user.resources.iter().map(|resource| Seat { user: user.id, resource: resource.id })
                });
                drain.waiting = seats.collect();
            }
            let Some(seat) = drain.waiting.pop() else { return };
            drain.left += 1;
            self.send_away(seat);
        }
    }

    /// A session is to go on elsewhere.
    fn send_away(&mut self, seat: Seat) {
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let Some(resource) = user.resource(seat.resource) else { return };
        self.cx.counts.sessions_closed += 1;
        match resource.conn {
            Some(conn) => self.turn_away(conn),
            None => self.leave(seat, None),
        }
    }

    /// A stream ends, or does not begin, since its client is to go elsewhere.
    fn turn_away(&mut self, conn: ConnId) {
        let error = StreamError::new(StreamCondition::SystemShutdown, "this node is taking its leave");
        self.fail(conn, &error);
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
