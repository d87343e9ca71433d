//! Time as integers, passed in by whoever drives the engine.

use std::ops::{Add, Sub};

/// A point in monotonic time, in nanoseconds since an origin that the driver chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

/// A point in civil time, in milliseconds since 1970-01-01T00:00:00Z. It may jump in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Utc(pub i64);

/// Both clocks, read at the same moment and handed to every input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// For deadlines and durations.
    pub mono: Mono,
    /// For what people and protocols read: timestamps (XEP-0082).
    pub utc: Utc,
}

/// A span of time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub u64);

impl Span {
    /// A span of whole seconds.
    pub const fn secs(s: u64) -> Self {
        Span(s * 1_000_000_000)
    }

    /// A span of whole milliseconds.
    pub const fn millis(ms: u64) -> Self {
        Span(ms * 1_000_000)
    }

    /// The span in whole milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The span in whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }
}

impl Mono {
    /// The end of time: the deadline of what has none.
    pub const NEVER: Mono = Mono(u64::MAX);

    /// The time that has passed since `earlier`; zero if `earlier` lies ahead.
    pub const fn since(self, earlier: Mono) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Mono {
    type Output = Mono;
    fn add(self, s: Span) -> Mono {
        Mono(self.0.saturating_add(s.0))
    }
}

impl Sub<Span> for Mono {
    type Output = Mono;
    fn sub(self, s: Span) -> Mono {
        Mono(self.0.saturating_sub(s.0))
    }
}

impl Utc {
    /// The date and time of XEP-0082, always in UTC with milliseconds: `2026-11-22T15:04:05.000Z`.
    pub fn datetime(self) -> String {
        let days = self.0.div_euclid(86_400_000);
        let ms = self.0.rem_euclid(86_400_000);
        let (y, m, d) = civil_from_days(days);
        let (h, min, s, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
        format!("{y:04}-{m:02}-{d:02}T{h:02}:{min:02}:{s:02}.{ms:03}Z")
    }
}

/// The Gregorian date of a day number (days since 1970-01-01), by Howard Hinnant's well-known algorithm.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = doy - (153 * mp + 2) / 5 + 1;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(m <= 2), m, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datetime_follows_xep_0082() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
        ] {
            assert_eq!(Utc(ms).datetime(), text);
        }
    }

    #[test]
    fn spans_never_wrap() {
        assert_eq!(Mono(5).since(Mono(9)), Span(0));
        assert_eq!(Mono(u64::MAX) + Span::secs(1), Mono(u64::MAX));
    }
}
