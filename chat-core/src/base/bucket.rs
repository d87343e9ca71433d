//! How fast somebody may send: a token bucket that says when reading may go on.

use super::time::{Mono, Span};

/// A token bucket: `rate` bytes per second in the long run, `burst` bytes at once.
///
/// The bytes are there already when they are counted, so a bucket never refuses: it goes below zero and says when
/// it will have come back. It is kept as the time at which it will be full (the "virtual scheduling" of ITU-T
/// I.371), so it needs no clock tick and never drifts upwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBucket {
    /// The time at which the bucket will be full again if nothing more is taken.
    full: Mono,
    rate: u32,
    burst: u32,
}

impl TokenBucket {
    /// A full bucket. `rate` is in bytes per second, 0 for no limit; `burst` in bytes.
    pub const fn new(rate: u32, burst: u32) -> Self {
        TokenBucket { full: Mono(0), rate, burst }
    }

    /// Takes `n` bytes out. `None`: reading may go on; else the time from which on it may.
    pub fn take(&mut self, now: Mono, n: usize) -> Option<Mono> {
        if self.rate == 0 {
            return None;
        }
        self.full = self.full.max(now) + self.time_of(n as u64);
        self.resume_at(now)
    }

    /// Another rate and burst from now on. What was taken stays taken.
    pub fn change(&mut self, now: Mono, rate: u32, burst: u32) {
        if (rate, burst) == (self.rate, self.burst) {
            return;
        }
        let taken = u128::from(self.full.since(now).0) * u128::from(self.rate) / 1_000_000_000;
        *self = TokenBucket::new(rate, burst);
        self.take(now, usize::try_from(taken).unwrap_or(usize::MAX));
    }

    /// As [`TokenBucket::take`] of nothing: whether reading may go on now, or else when.
    pub fn resume_at(&self, now: Mono) -> Option<Mono> {
        if self.rate == 0 {
            return None;
        }
        let resume = self.full - self.time_of(u64::from(self.burst));
        (resume > now).then_some(resume)
    }

    /// How long `n` bytes last at the rate, rounded up so that many small takes never gain on the limit.
    fn time_of(&self, n: u64) -> Span {
        Span(n.saturating_mul(1_000_000_000).div_ceil(u64::from(self.rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_is_free_and_a_debt_is_waited_for() {
        assert_eq!(size_of::<TokenBucket>(), 16);
        let now = Mono(5 * SECOND);
        let mut bucket = TokenBucket::new(1000, 4000);
        assert_eq!(bucket.take(now, 3000), None);
        assert_eq!(bucket.take(now, 1000), None);
        // 500 bytes below zero: half a second.
        let resume = now + Span::millis(500);
        assert_eq!(bucket.take(now, 500), Some(resume));
        assert_eq!(bucket.resume_at(resume - Span(1)), Some(resume));
        assert_eq!(bucket.resume_at(resume), None);
        assert_eq!(bucket.take(resume, 1), Some(resume + Span::millis(1)));
        // Four seconds and a millisecond later it is full again, and not fuller after a day.
        for later in [Span(4 * SECOND + SECOND / 1000), Span::secs(86_400)] {
            let mut bucket = bucket;
            assert_eq!(bucket.take(resume + later, 4000), None);
            assert!(bucket.take(resume + later, 1).is_some());
        }
    }

    #[test]
    fn rate_zero_is_no_limit() {
        let mut bucket = TokenBucket::new(0, 0);
        assert_eq!((bucket.take(Mono(1), usize::MAX), bucket.resume_at(Mono(1))), (None, None));
    }

    #[test]
    fn what_was_taken_stays_taken_at_another_rate() {
        let now = Mono(5 * SECOND);
        let mut bucket = TokenBucket::new(1000, 4000);
        assert_eq!(bucket.take(now, 3000), None);
        bucket.change(now, 500, 2000);
        // 1,000 bytes below zero at the new burst: two seconds at the new rate.
        assert_eq!(bucket.resume_at(now), Some(now + Span::secs(2)));
        bucket.change(now, 0, 0);
        assert_eq!(bucket.take(now, 1_000_000), None);
        bucket.change(now, 100, 400);
        assert_eq!(bucket.take(now, 400), None, "without a limit nothing is counted");
        assert_eq!(bucket.take(now, 100), Some(now + Span::secs(1)));
    }

    #[test]
    fn absurd_amounts_do_not_wrap() {
        let mut bucket = TokenBucket::new(1, 1);
        assert!(bucket.take(Mono(5), usize::MAX) > Some(Mono(u64::MAX / 2)));
        assert!(bucket.take(Mono(5), usize::MAX) > Some(Mono(u64::MAX / 2)));
    }

    proptest! {
        /// Who reads only when allowed gets at most the burst, the rate, and one read more; and not much less.
        #[test]
        fn the_long_run_keeps_the_rate(
            rate in 1u32..10_000_000,
            reads in proptest::collection::vec(1usize..70_000, 1..100),
        ) {
            let burst = rate.saturating_mul(4);
            let mut bucket = TokenBucket::new(rate, burst);
            let start = Mono(SECOND);
            let mut now = start;
            let (mut total, mut last) = (0u128, 0);
            for n in reads {
                total += n as u128;
                last = n;
                if let Some(resume) = bucket.take(now, n) {
                    prop_assert!(resume > now);
                    prop_assert_eq!(bucket.resume_at(resume), None);
                    now = resume;
                }
            }
            let allowed = u128::from(burst) + u128::from(now.since(start).0) * u128::from(rate) / u128::from(SECOND);
            prop_assert!(total <= allowed + 1);
            prop_assert!(now == start || allowed <= total + total / 100 + last as u128);
        }
    }
}
