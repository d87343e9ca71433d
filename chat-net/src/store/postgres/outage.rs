//! Whether the database can be written to, as far as is known, and since when not.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An outage that is shorter is no reason to send users elsewhere.
const UNHEALTHY_AFTER: Duration = Duration::from_secs(2);

/// The outage under way, if there is one.
#[derive(Debug)]
pub(super) struct Outage {
    since: Mutex<Option<Instant>>,
    /// How long operations wait for its end. After that they are refused.
    patience: Duration,
}

impl Outage {
    pub(super) fn new(patience: Duration) -> Outage {
        Outage { since: Mutex::default(), patience }
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something failed that should not. Only the first failure is logged.
    pub(super) fn begin(&self, reason: &dyn Display) {
        let mut since = self.since();
        if since.is_none() {
            *since = Some(Instant::now());
            let seconds = self.patience.as_secs();
            tracing::warn!(%reason, "the database fails: operations wait, and are refused after {seconds} s");
        }
    }

    /// Something was written.
    pub(super) fn end(&self) {
        if let Some(since) = self.since().take() {
            let seconds = since.elapsed().as_secs_f64();
            tracing::info!("the database works again, after {seconds:.1} s");
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.since().is_some()
    }

    /// Nobody should wait any more.
    pub(super) fn is_long(&self) -> bool {
        self.lasts(self.patience)
    }

    pub(super) fn is_healthy(&self) -> bool {
        !self.lasts(UNHEALTHY_AFTER)
    }

    fn lasts(&self, time: Duration) -> bool {
        self.since().is_some_and(|since| since.elapsed() >= time)
    }
}
