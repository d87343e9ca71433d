//! How long to wait before the next attempt.

use crate::base::limits::LinkLimits;
use crate::base::{Rng, Span};

/// Waits that double with each failure, with chance in them, so that two nodes do not keep running into each other.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// All is well again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// One more failure; how long to wait now: between half of the longest for this number of failures and all of it.
    pub(super) fn next(&mut self, limits: &LinkLimits, rng: &mut Rng) -> Span {
        let doubled = limits.dial_wait_min.0.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let longest = doubled.min(limits.dial_wait_max.0).max(2);
        Span(longest / 2 + rng.below(longest - longest / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_limit_and_are_never_alike() {
        let (limits, mut rng, mut backoff) = (LinkLimits::default(), Rng::from_u64(1), Backoff::default());
        let mut longest = limits.dial_wait_min;
        for _ in 0..40 {
            let wait = backoff.next(&limits, &mut rng);
            assert!(wait.0 >= longest.0 / 2 && wait < longest, "{wait:?} of {longest:?}");
            longest = Span((longest.0 * 2).min(limits.dial_wait_max.0));
        }
        backoff.reset();
        assert!(backoff.next(&limits, &mut rng) < limits.dial_wait_min);
    }
}
