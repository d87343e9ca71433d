//! When something happened, so that all nodes agree on what was later.

use super::Utc;
use std::fmt;

/// Bits that count what happened within one millisecond.
const COUNT_BITS: u32 = 16;
/// How far ahead of this node's clock another's may be and still be followed: 48 hours. A node whose clock is wrong by years would
/// drag all others along, and they would stay there.
const AHEAD_MS_MAX: u64 = 48 * 3600 * 1000;

/// A moment of a hybrid logical clock (Kulkarni et al., 2014): milliseconds since 1970, and a count within them. What a
/// node stamps is later than all that it had stamped or seen before, whatever its clock says; otherwise it is close to the
/// time of day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(pub u64);

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.0 >> COUNT_BITS, self.0 & ((1 << COUNT_BITS) - 1))
    }
}

/// The clock of one node.
#[derive(Debug, Default)]
pub struct HlcClock {
    last: Hlc,
}

impl HlcClock {
    /// A stamp for what happens now.
    pub fn stamp(&mut self, utc: Utc) -> Hlc {
        let time = u64::try_from(utc.0).unwrap_or(0) << COUNT_BITS;
        // More than 65,536 in a millisecond run into the next one, which is no harm.
        self.last = Hlc(time.max(self.last.0.saturating_add(1)));
        self.last
    }

    /// Another node's stamp was seen: those to come are later.
    pub fn observe(&mut self, utc: Utc, seen: Hlc) {
        let limit = u64::try_from(utc.0).unwrap_or(0).saturating_add(AHEAD_MS_MAX) << COUNT_BITS;
        if seen.0 <= limit {
            self.last = self.last.max(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_never_go_back() {
        let mut clock = HlcClock::default();
        let a = clock.stamp(Utc(1000));
        let b = clock.stamp(Utc(1000));
        let c = clock.stamp(Utc(500));
        clock.observe(Utc(500), Hlc(9000 << 16 | 7));
        let d = clock.stamp(Utc(1001));
        assert!(a < b && b < c && c < d);
        assert_eq!(format!("{a:?} {d:?}"), "1000+0 9000+8");
        assert_eq!(clock.stamp(Utc(20_000)), Hlc(20_000 << 16));
    }

    #[test]
    fn a_clock_that_is_wrong_by_years_is_not_followed() {
        let mut clock = HlcClock::default();
        clock.observe(Utc(1000), Hlc(u64::MAX));
        assert_eq!(clock.stamp(Utc(2000)), Hlc(2000 << 16));
        assert!(clock.stamp(Utc(-1)) > Hlc(2000 << 16));
    }
}
