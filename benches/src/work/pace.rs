//! Sending at a fixed rate: when each message should leave, whatever became of those before it.

/// A rate over several pairs, which take turns. Times are nanoseconds since the beginning of the run.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    start: u64,
    /// Nanoseconds between two messages.
    interval: f64,
    pairs: u64,
}

impl Pace {
    /// So many messages per second from then on.
    #[must_use]
    pub fn new(start: u64, per_second: f64, pairs: u64) -> Pace {
        Pace { start, interval: 1e9 / per_second, pairs }
    }

    /// When the message of this number of this pair should leave.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, clippy::cast_possible_truncation)]
    pub fn intended(&self, pair: u64, number: u64) -> u64 {
        self.start + ((number * self.pairs + pair) as f64 * self.interval) as u64
    }

    /// How many messages should have left by now, of all pairs.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, clippy::cast_possible_truncation)]
    pub fn due(&self, now: u64) -> u64 {
        if now < self.start {
            return 0;
        }
        let mut due = ((now - self.start) as f64 / self.interval) as u64;
        // Division and multiplication round; what counts is `at`.
        while due > 0 && self.at(due - 1) > now {
            due -= 1;
        }
        while self.at(due) <= now {
            due += 1;
        }
        due
    }

    /// When message `n` of all should leave.
    #[must_use]
    pub fn at(&self, n: u64) -> u64 {
        self.intended(n % self.pairs, n / self.pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_when_they_are_intended() {
        let pace = Pace::new(1_000, 3_000.0, 7);
        assert_eq!((pace.due(999), pace.due(1_000)), (0, 1));
        for n in [0, 1, 2, 6, 7, 100, 2_999_999] {
            let at = pace.at(n);
            assert_eq!((pace.due(at), pace.due(at - 1)), (n + 1, n), "message {n} at {at}");
        }
        assert_eq!(pace.at(3_000), 1_000_001_000);
    }
}
