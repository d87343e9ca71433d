//! A clock that stands still while the node does.

use crate::base::{Mono, Span};

/// How late a tick may be before it counts as missed. Half a probe: what is later has eaten the time that others have to
/// answer. A node that is always later than this never finds out that another is gone; the others find out about it.
const LATE_MAX: Span = Span::millis(150);
/// How long nobody is judged after the last missed tick: what others said meanwhile waits in sockets, and is read first.
const CATCH_UP: Span = Span::millis(500);

/// Time as the membership counts it. A node that was stopped, starved or put to sleep has not listened; if time went on
/// for it, everybody would seem to have been silent. So the clock stops at the tick that was missed and goes on when the
/// node has kept up for a while.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// By how much this clock is behind.
    behind: Span,
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    at: Mono,
    until: Mono,
}

impl Clock {
    /// The time on this clock. `due` is the earliest deadline on it, which the node promised to keep. Says as well for how
    /// long the node had missed it, once for each time.
    pub(super) fn read(&mut self, now: Mono, due: Option<Mono>) -> (Mono, Option<Span>) {
        if let Some(held) = &mut self.held {
            if now < held.until {
                return (held.at, None);
            }
            let late = now.since(held.until);
            if late > LATE_MAX {
                held.until = now + CATCH_UP;
                return (held.at, Some(late));
            }
            self.behind = now.since(held.at);
            self.held = None;
        }
        let time = now - self.behind;
        let Some(due) = due.filter(|due| time.since(*due) > LATE_MAX) else { return (time, None) };
        self.held = Some(Held { at: due, until: now + CATCH_UP });
        (due, Some(time.since(due)))
    }

    /// When a deadline of this clock comes.
    pub(super) fn real(&self, due: Mono) -> Mono {
        match &self.held {
            Some(held) => held.until.max(held.until + due.since(held.at)),
            None => due + self.behind,
        }
    }

    /// Whether the node is catching up, and until when.
    pub(super) fn held(&self) -> Option<Mono> {
        self.held.as_ref().map(|h| h.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Mono {
        Mono(Span::millis(n).0)
    }

    #[test]
    fn time_stands_still_while_nobody_listens() {
        let mut clock = Clock::default();
        assert_eq!(clock.read(ms(1000), Some(ms(1300))), (ms(1000), None));
        assert_eq!(clock.read(ms(1450), Some(ms(1300))), (ms(1450), None), "a little late is on time");
        assert_eq!(clock.read(ms(9000), Some(ms(1300))), (ms(1300), Some(Span::millis(7700))));
        assert_eq!(clock.held(), Some(ms(9500)));
        assert_eq!(clock.read(ms(9499), Some(ms(1300))), (ms(1300), None));
        assert_eq!(clock.read(ms(20_000), Some(ms(1300))), (ms(1300), Some(Span::millis(10_500))), "again");
        assert_eq!((clock.held(), clock.real(ms(1400))), (Some(ms(20_500)), ms(20_600)));
        assert_eq!(clock.read(ms(20_520), Some(ms(1300))), (ms(1300), None));
        assert_eq!(clock.held(), None);
        assert_eq!(clock.read(ms(20_620), Some(ms(1400))), (ms(1400), None));
        assert_eq!(clock.real(ms(1400)), ms(20_620));
    }

    #[test]
    fn without_a_deadline_nothing_is_missed() {
        let mut clock = Clock::default();
        assert_eq!(clock.read(ms(90_000), None), (ms(90_000), None));
    }
}
