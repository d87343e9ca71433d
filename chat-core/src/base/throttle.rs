//! Delays after failures, by name: of logins, per address and per account.

use std::collections::VecDeque;

use super::map::{HashKey, KeyedMap};
use super::time::{Mono, Span};

/// Failures that are forgiven before delays begin. One wrong password is several of them: stock clients try it with
/// every mechanism that is offered, and a household shares an address.
const FREE: u32 = 10;
/// The first delay; each further failure doubles it.
const FIRST: Span = Span::secs(1);
/// The longest delay. Who tries again and again is refused at the end of each.
const LONGEST: Span = Span::secs(64);
/// Names remembered; the oldest failure is forgotten first.
const NAMES_MAX: usize = 16_384;

/// How often a name has failed, and when last.
#[derive(Clone, Copy)]
struct Record {
    failures: u32,
    last: Mono,
}

/// Who failed to log in lately. Names are whatever the caller makes of an address or an account; the memory is
/// bounded.
pub struct Throttle {
    records: KeyedMap<String, Record>,
    order: VecDeque<(String, Mono)>,
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Throttle({})", self.records.len())
    }
}

impl Throttle {
    /// Nobody has failed yet.
    pub fn new(key: HashKey) -> Self {
        Throttle { records: KeyedMap::new(key), order: VecDeque::new() }
    }

    /// How long this name's next attempt has to wait; zero for most.
    pub fn delay(&self, name: &str, now: Mono) -> Span {
        let Some(record) = self.records.get(name) else { return Span(0) };
        if record.failures <= FREE {
            return Span(0);
        }
        let doublings = (record.failures - FREE - 1).min(6);
        let delay = Span((FIRST.0 << doublings).min(LONGEST.0));
        Span((record.last + delay).0.saturating_sub(now.0))
    }

    /// An attempt under this name failed.
    pub fn failed(&mut self, name: &str, now: Mono) {
        let record = self.records.get_or_insert_with(name.to_owned(), || Record { failures: 0, last: now });
        // What lies further back than twice the longest delay is forgiven.
        if now.since(record.last) > Span(LONGEST.0 * 2) {
            record.failures = 0;
        }
        record.failures = record.failures.saturating_add(1);
        record.last = now;
        self.order.push_back((name.to_owned(), now));
        while self.order.len() > NAMES_MAX {
            let Some((old, at)) = self.order.pop_front() else { break };
            if self.records.get(&old).is_some_and(|r| r.last <= at) {
                self.records.remove(&old);
            }
        }
    }

    /// An attempt under this name succeeded: the slate is clean.
    pub fn succeeded(&mut self, name: &str) {
        self.records.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Mono = Mono(1_000_000_000_000);

    #[test]
    fn delays_begin_after_ten_failures_and_double() {
        let mut t = Throttle::new(HashKey { k0: 1, k1: 2 });
        for _ in 0..8 {
            t.failed("a", T0);
        }
        let delays: Vec<u64> = (8..18)
            .map(|_| {
                t.failed("a", T0);
                t.delay("a", T0).as_secs()
            })
            .collect();
        assert_eq!(delays, [0, 0, 1, 2, 4, 8, 16, 32, 64, 64]);
        assert_eq!(t.delay("a", T0 + Span::secs(60)).as_secs(), 4);
        assert_eq!(t.delay("b", T0).as_secs(), 0);
        t.succeeded("a");
        assert_eq!(t.delay("a", T0).as_secs(), 0);
    }

    #[test]
    fn memory_is_bounded_and_old_failures_are_forgiven() {
        let mut t = Throttle::new(HashKey { k0: 1, k1: 2 });
        for i in 0..NAMES_MAX * 2 {
            t.failed(&i.to_string(), T0);
        }
        assert!(t.records.len() <= NAMES_MAX && t.order.len() <= NAMES_MAX);
        for _ in 0..=FREE {
            t.failed("x", T0);
        }
        t.failed("x", T0 + Span::secs(129));
        assert_eq!(t.delay("x", T0 + Span::secs(129)).as_secs(), 0);
    }
}
