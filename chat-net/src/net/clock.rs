//! The clocks of a server.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chat_core::base::{Mono, Now, Utc};

/// Both clocks, with one origin for all workers: what moves between them carries deadlines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { origin: Instant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        let mono = self.mono(Instant::now());
        let utc = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        Now { mono, utc: Utc(utc) }
    }

    /// An instant as the engine measures time.
    pub(crate) fn mono(&self, at: Instant) -> Mono {
        Mono(u64::try_from(at.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX))
    }

    /// The instant of a deadline. One that the system's clock cannot express lies a year ahead: waking early is
    /// harmless.
    #[cfg_attr(
        not(any(feature = "async-std", feature = "tokio")),
        expect(dead_code, reason = "runtimes count in instants")
    )]
    pub(crate) fn instant(&self, mono: Mono) -> Instant {
        let year = Duration::from_secs(365 * 24 * 3600);
        let from_origin = Duration::from_nanos(mono.0);
        self.origin.checked_add(from_origin).unwrap_or_else(|| Instant::now() + year)
    }
}
