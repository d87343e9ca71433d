//! One event: what it did to the sessions and to what they said.

use serde::Serialize;

use super::books::{Counts, Open};

/// What became of an event.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Row {
    /// What happened.
    pub event: String,
    /// Clients that there are.
    pub sessions: usize,
    /// Those that lost their connection.
    pub affected: usize,
    /// Sessions that went on.
    pub resumed: u64,
    /// Logins anew, because the session was gone.
    pub anew: u64,
    /// Connections that came to nothing before that.
    pub attempts: u64,
    /// Connections that the server closed because of another one with the same address.
    pub conflicts: u64,
    /// From the beginning until all were online and nothing that was sent two seconds ago was missing.
    pub whole_s: f64,
    /// The same, from the moment on when what disturbed was over.
    pub after_s: f64,
    /// Messages sent meanwhile.
    pub sent: u64,
    /// Acknowledged, and never arrived.
    pub lost: u64,
    /// Came twice, and the second time not marked as delayed.
    pub doubled: u64,
    /// Came not marked as delayed after one that was sent later in the same session.
    pub swapped: u64,
    /// Arrived, or were acknowledged, only when everybody had logged in anew.
    pub late: u64,
    /// Never acknowledged, although the session lives.
    pub unacked: u64,
    /// What nobody sent, acknowledgements that cannot be true, and what arrived after it had been given up.
    pub strange: u64,
    /// Came twice, as is allowed: marked as delayed.
    pub repeated: u64,
    /// Came back as errors.
    pub refused: u64,
    /// Said again in a new session, because the old one had not acknowledged them.
    pub again: u64,
    /// The longest way of a message so far.
    pub slowest_s: f64,
}

impl Row {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        [self.lost, self.late, self.doubled, self.swapped, self.unacked, self.strange].iter().sum::<u64>()
            == 0
    }
}

/// See the module.
pub(super) struct Event {
    name: String,
    begun: u64,
    healed: Option<u64>,
    before: Counts,
    /// Who lost his connection.
    hit: Vec<bool>,
    pub(super) resumed: u64,
    pub(super) anew: u64,
    pub(super) attempts: u64,
    pub(super) conflicts: u64,
    /// What was missing when patience was at its end.
    pub(super) late: u64,
    /// When something was missing last.
    broken: u64,
    /// Since when it is to end, and when at the latest.
    pub(super) ending: Option<(u64, u64)>,
}

impl Event {
    pub(super) fn new(name: String, now: u64, before: Counts, clients: usize) -> Event {
        Event {
            name,
            begun: now,
            healed: None,
            before,
            hit: vec![false; clients],
            resumed: 0,
            anew: 0,
            attempts: 0,
            conflicts: 0,
            late: 0,
            broken: now,
            ending: None,
        }
    }

    /// A client has lost its connection.
    pub(super) fn hit(&mut self, client: u32) {
        self.hit[client as usize] = true;
    }

    pub(super) fn healed(&mut self, now: u64) {
        self.healed = Some(now);
    }

    /// Something is missing.
    pub(super) fn broken(&mut self, now: u64) {
        self.broken = now;
    }

    pub(super) fn row(&self, now: Counts, open: Open) -> Row {
        let before = self.before;
        let seconds = |from: u64| self.broken.saturating_sub(from) as f64 / 1e9;
        Row {
            event: self.name.clone(),
            sessions: self.hit.len(),
            affected: self.hit.iter().filter(|hit| **hit).count(),
            resumed: self.resumed,
            anew: self.anew,
            attempts: self.attempts,
            conflicts: self.conflicts,
            whole_s: seconds(self.begun),
            after_s: seconds(self.healed.unwrap_or(self.begun)),
            sent: now.sent - before.sent,
            lost: open.lost,
            late: self.late.saturating_sub(open.lost + open.unacked),
            doubled: now.doubled - before.doubled,
            swapped: now.swapped - before.swapped,
            unacked: open.unacked,
            strange: now.strange + now.bad_acks + now.late - before.strange - before.bad_acks - before.late,
            repeated: now.repeated - before.repeated,
            refused: now.refused - before.refused,
            again: now.forsaken - before.forsaken,
            slowest_s: now.slowest as f64 / 1e9,
        }
    }
}
