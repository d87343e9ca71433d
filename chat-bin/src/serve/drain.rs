//! The drain: how a node takes leave of its clients (docs/CONFIGURATION.md, `drain`).
//!
//! Owns: that there is one drain at a time, whoever asks for it, and how far it has come. Not here: moving and closing
//! sessions (the engine), the order of ending a process (`serve`).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::admin::{DrainOrder, DrainPhase, DrainStatus};
use crate::config;

/// Who asked for the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A signal of this name. Whoever sends one ends the process if it does not end, so there is no way back.
    Signal(&'static str),
    /// The administration API.
    Api,
    /// Too many nodes are active, or the operator wants another one to be: the process goes on.
    Role,
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Cause::Signal(name) => name,
            Cause::Api => "API",
            Cause::Role => "role",
        }
    }
}

/// Why a drain cannot be called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooLate {
    /// There is none.
    NoDrain,
    /// A signal asked for it.
    Signalled,
    /// Sessions have left already.
    Begun,
}

/// What has become of sessions so far, of whichever drain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Those that are still here.
    pub(super) left: usize,
    /// Those that were closed for a drain since the process began.
    pub(super) closed: u64,
    /// Those that went on at other nodes.
    pub(super) moved: u64,
    /// Stanzas that went to other nodes and have no result yet.
    pub(super) parcels: usize,
}

/// The drain of one node.
pub(super) struct Drain {
    plan: config::Drain,
    state: Mutex<Option<Begun>>,
    changed: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    cause: Cause,
    /// Somebody who asked for it cannot take it back.
    is_signalled: bool,
    plan: config::Drain,
    at: Instant,
    /// Since when sessions leave, and what had become of them before.
    leaving: Option<(Instant, Tally)>,
    /// What had become of them when the rest was closed.
    closing: Option<Tally>,
}

impl Begun {
    fn grace_end(&self) -> Instant {
        self.at + self.plan.grace
    }

    /// When the rest goes at once.
    fn leaving_end(&self) -> Instant {
        self.leaving.map_or(self.grace_end(), |(at, _)| at) + self.plan.deadline
    }

    /// How long so many sessions take, at the latest.
    fn time_for(&self, sessions: usize, now: Instant) -> Duration {
        let all = Duration::from_secs_f64(sessions as f64 / f64::from(self.plan.rate.max(1)));
        match self.leaving {
            None => all.min(self.plan.deadline),
            Some(_) => all.min(self.leaving_end().saturating_duration_since(now)),
        }
    }
}

/// How sessions are to leave from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// So many in a second.
    pub(super) rate: u32,
    /// The rest at once after so long.
    pub(super) within: Duration,
}

impl Drain {
    /// None yet; if there is one, this is how.
    pub(super) fn new(plan: config::Drain) -> Drain {
        Drain { plan, state: Mutex::default(), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, Option<Begun>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins it, or joins the one that there is. What the order says replaces what was said before. Returns whether this
    /// began it.
    pub(super) fn begin(&self, cause: Cause, order: DrainOrder) -> bool {
        let mut state = self.state();
        let first = state.is_none();
        let begun = state.get_or_insert_with(|| Begun {
            cause,
            is_signalled: false,
            plan: self.plan,
            at: Instant::now(),
            leaving: None,
            closing: None,
        });
        begun.is_signalled |= matches!(cause, Cause::Signal(_));
        let plan = &mut begun.plan;
        plan.grace = order.grace.map_or(plan.grace, Duration::from_secs_f64);
        plan.rate = order.rate.unwrap_or(plan.rate);
        plan.deadline = order.deadline.map_or(plan.deadline, Duration::from_secs_f64);
        let config::Drain { grace, rate, deadline } = *plan;
        drop(state);
        let by = cause.name();
        match first {
            true => {
                tracing::info!(by, ?grace, rate, ?deadline, "draining: the health check says 503 from now on")
            }
            false => tracing::info!(by, ?grace, rate, ?deadline, "asked to drain, which it does already"),
        }
        self.changed.notify_waiters();
        first
    }

    /// Thinks better of it.
    pub(super) fn call_off(&self) -> Result<(), TooLate> {
        let mut state = self.state();
        match &*state {
            None => return Err(TooLate::NoDrain),
            Some(begun) if begun.is_signalled => return Err(TooLate::Signalled),
            Some(begun) if begun.leaving.is_some() => return Err(TooLate::Begun),
            Some(_) => *state = None,
        }
        drop(state);
        tracing::info!("the drain is called off");
        self.changed.notify_waiters();
        Ok(())
    }

    /// Whether the health check is to say 503 because of it.
    pub(super) fn is_on(&self) -> bool {
        self.state().is_some()
    }

    /// Ready when there is a drain.
    pub(super) async fn begun(&self) {
        self.until(|begun| begun.is_some().then(Instant::now)).await;
    }

    /// Ready when there is a drain whose grace is over: sessions are to leave.
    pub(super) async fn grace_is_over(&self) {
        self.until(|begun| begun.map(|begun| begun.grace_end())).await;
    }

    /// Ready when the moment has come that this finds; looked for again after each change.
    async fn until(&self, moment: impl Fn(Option<Begun>) -> Option<Instant>) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before looking: a change between the look and the wait counts.
            changed.as_mut().enable();
            let at = moment(*self.state());
            match at {
                Some(at) if at <= Instant::now() => return,
                Some(at) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    /// From now on sessions leave.
    pub(super) fn leave(&self, tally: Tally) {
        if let Some(begun) = &mut *self.state() {
            begun.leaving.get_or_insert_with(|| (Instant::now(), tally));
        }
    }

    /// How sessions are to leave, once they do.
    pub(super) fn pace(&self) -> Option<Pace> {
        let begun = (*self.state()).filter(|begun| begun.leaving.is_some())?;
        let within = begun.leaving_end().saturating_duration_since(Instant::now());
        Some(Pace { rate: begun.plan.rate, within })
    }

    /// Ready when the orders are others than they were.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// From now on the rest is closed.
    pub(super) fn close(&self, tally: Tally) {
        if let Some(begun) = &mut *self.state() {
            begun.leaving.get_or_insert_with(|| (Instant::now(), tally));
            begun.closing.get_or_insert(tally);
        }
    }

    /// It is over, and the node goes on.
    pub(super) fn end(&self) {
        *self.state() = None;
        self.changed.notify_waiters();
    }

    /// How far it is, if there is one. `in_cluster`: sessions take their time; a lone node closes all at once.
    pub(super) fn status(&self, now: Tally, in_cluster: bool) -> Option<DrainStatus> {
        let begun = (*self.state())?;
        // A worker that begins anew counts anew.
        let closed = |since: Tally, until: Tally| until.closed.saturating_sub(since.closed) as usize;
        let moved = |since: Tally, until: Tally| until.moved.saturating_sub(since.moved) as usize;
        let (phase, moved, lost) = match (begun.leaving, begun.closing) {
            (None, _) => (DrainPhase::Grace, 0, 0),
            (Some((_, before)), None) => (DrainPhase::Leaving, moved(before, now), closed(before, now)),
            // Workers that have ended do not count any more. Some sessions may still be on their way to other nodes.
            (Some((_, before)), Some(then)) => {
                let late = moved(then, now);
                let lost = closed(before, then) + then.left.saturating_sub(now.left).saturating_sub(late);
                (DrainPhase::Closing, moved(before, then) + late, lost)
            }
        };
        let at = Instant::now();
        let grace = match begun.leaving {
            None => begun.grace_end().saturating_duration_since(at),
            Some(_) => Duration::ZERO,
        };
        let leaving = match begun.closing {
            None if in_cluster => begun.time_for(now.left, at),
            _ => Duration::ZERO,
        };
        Some(DrainStatus {
            by: begun.cause.name().to_owned(),
            phase,
            left: now.left,
            moved,
            lost,
            seconds_to_go: (grace + leaving).as_secs_f64(),
            revocable: !begun.is_signalled && begun.leaving.is_none(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const HOUR: f64 = 3600.0;
    const PLAN: config::Drain =
        config::Drain { grace: Duration::from_secs(3600), rate: 200, deadline: Duration::from_secs(60) };

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(test);
    }

    fn grace(seconds: f64) -> DrainOrder {
        DrainOrder { grace: Some(seconds), ..DrainOrder::default() }
    }

    fn left(left: usize) -> Tally {
        Tally { left, closed: 5, moved: 0, parcels: 0 }
    }

    async fn is_over(drain: &Drain) -> bool {
        timeout(Duration::from_millis(20), drain.grace_is_over()).await.is_ok()
    }

    #[test]
    fn the_grace_passes_before_sessions_leave() {
        run(async {
            let drain = Drain::new(PLAN);
            assert!(!is_over(&drain).await, "nobody asked");
            assert!(drain.begin(Cause::Api, DrainOrder::default()) && drain.is_on());
            assert!(!is_over(&drain).await);
            let status = drain.status(left(7), false).expect("a drain");
            assert_eq!((status.by.as_str(), status.phase, status.left), ("API", DrainPhase::Grace, 7));
            assert!((HOUR - 60.0..=HOUR).contains(&status.seconds_to_go) && status.revocable, "{status:?}");
        });
    }

    #[test]
    fn who_asks_again_joins_and_may_hurry() {
        run(async {
            let drain = Drain::new(PLAN);
            drain.begin(Cause::Api, DrainOrder::default());
            // Who waits already hears of it.
            let (over, ()) = tokio::join!(timeout(Duration::from_secs(60), drain.grace_is_over()), async {
                assert!(!drain.begin(Cause::Signal("SIGTERM"), grace(0.0)));
            });
            assert!(over.is_ok());
            let status = drain.status(left(7), false).expect("a drain");
            assert_eq!((status.by.as_str(), status.seconds_to_go), ("API", 0.0));
            assert!(!status.revocable, "whoever sent the signal means it");
        });
    }

    #[test]
    fn it_is_called_off_while_nobody_has_left() {
        run(async {
            let drain = Drain::new(PLAN);
            assert_eq!(drain.call_off(), Err(TooLate::NoDrain));
            drain.begin(Cause::Api, grace(0.0));
            assert_eq!(drain.call_off(), Ok(()));
            assert!(!drain.is_on() && drain.status(left(3), false).is_none());
            assert!(!is_over(&drain).await);

            drain.begin(Cause::Api, grace(0.0));
            drain.close(left(10));
            assert_eq!(drain.call_off(), Err(TooLate::Begun));
            let status = drain.status(left(4), false).expect("a drain");
            assert_eq!((status.phase, status.left, status.lost), (DrainPhase::Closing, 4, 6));

            let drain = Drain::new(PLAN);
            drain.begin(Cause::Signal("SIGTERM"), DrainOrder::default());
            assert_eq!(drain.call_off(), Err(TooLate::Signalled));
        });
    }

    #[test]
    fn in_a_cluster_sessions_leave_at_a_rate_until_the_deadline() {
        run(async {
            let drain = Drain::new(PLAN);
            assert_eq!(drain.pace(), None);
            drain.begin(Cause::Api, grace(0.0));
            assert_eq!(drain.pace(), None, "not before it was said that they leave");
            let to_go = |left, closed| {
                let status =
                    drain.status(Tally { left, closed, moved: 7, parcels: 0 }, true).expect("a drain");
                (status.phase, status.left, status.lost, status.seconds_to_go.round())
            };
            assert_eq!(to_go(1_000, 5), (DrainPhase::Grace, 1_000, 0, 5.0), "200 a second");
            assert_eq!(
                to_go(100_000, 5),
                (DrainPhase::Grace, 100_000, 0, 60.0),
                "but no longer than a minute"
            );
            drain.leave(left(1_000));
            assert_eq!(to_go(600, 395), (DrainPhase::Leaving, 600, 390, 3.0), "ten logged out by themselves");
            let pace = drain.pace().expect("they leave");
            assert!(pace.rate == 200 && pace.within > Duration::from_secs(59), "{pace:?}");
            drain.begin(
                Cause::Api,
                DrainOrder { rate: Some(50), deadline: Some(10.0), ..DrainOrder::default() },
            );
            let pace = drain.pace().expect("they leave");
            assert!(pace.rate == 50 && pace.within <= Duration::from_secs(10), "{pace:?}");
            assert_eq!(to_go(600, 395).3, 10.0);
            drain.close(Tally { left: 500, closed: 400, moved: 7, parcels: 0 });
            assert_eq!(to_go(0, 5), (DrainPhase::Closing, 0, 895, 0.0));
            let status = drain.status(Tally { left: 100, closed: 400, moved: 57, parcels: 0 }, true);
            let status = status.expect("a drain");
            assert_eq!((status.moved, status.lost), (57, 395 + 350), "50 of the 500 were on their way");
            drain.end();
            assert!(!drain.is_on());
        });
    }
}
