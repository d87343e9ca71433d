//! Whether everything arrived exactly once and in order.

use std::collections::BTreeSet;

use serde::Serialize;

/// What is wrong with what arrived. Everything zero is how it should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Never arrived.
    pub lost: u64,
    /// Arrived more than once; each arrival too many counts.
    pub doubled: u64,
    /// Arrived after one that was sent later.
    pub swapped: u64,
    /// Arrived with another content.
    pub altered: u64,
    /// Stanzas of type error.
    pub errors: u64,
    /// Sent and, in the end, not acknowledged (XEP-0198).
    pub unacked: u64,
    /// Acknowledgements that fell, or covered what was never sent.
    pub bad_acks: u64,
}

impl Faults {
    /// Whether all is as it should be.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Faults::default()
    }

    /// Adds those of another.
    pub fn add(&mut self, other: Faults) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.swapped += other.swapped;
        self.altered += other.altered;
        self.errors += other.errors;
        self.unacked += other.unacked;
        self.bad_acks += other.bad_acks;
    }
}

/// The numbers that arrived from one sender at one recipient.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    next: u64,
    missing: BTreeSet<u64>,
    faults: Faults,
}

impl Ledger {
    /// This number arrived; whether it did so for the first time and in its turn.
    pub fn arrived(&mut self, number: u64) -> bool {
        if number == self.next {
            self.next += 1;
            return true;
        }
        if number > self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
            return true;
        }
        if self.missing.remove(&number) {
            self.faults.swapped += 1;
        } else {
            self.faults.doubled += 1;
        }
        false
    }

    /// Something arrived whose content is not what was sent.
    pub fn altered(&mut self) {
        self.faults.altered += 1;
    }

    /// One more than the highest number that arrived: what is still under way begins there.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether all that was sent arrived.
    #[must_use]
    pub fn has_all(&self, sent: u64) -> bool {
        self.next >= sent && self.missing.is_empty()
    }

    /// What is wrong, if nothing more comes.
    #[must_use]
    pub fn faults(&self, sent: u64) -> Faults {
        let lost = self.missing.len() as u64 + sent.saturating_sub(self.next);
        Faults { lost, ..self.faults }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(arrived: &[u64], sent: u64) -> (u64, u64, u64) {
        let mut ledger = Ledger::default();
        for n in arrived {
            ledger.arrived(*n);
        }
        let f = ledger.faults(sent);
        (f.lost, f.doubled, f.swapped)
    }

    #[test]
    fn every_fault_is_told_from_the_others() {
        for (arrived, sent, expected) in [
            (&[0, 1, 2, 3][..], 4, (0, 0, 0)),
            (&[0, 2, 3], 4, (1, 0, 0)),
            (&[0, 1], 4, (2, 0, 0)),
            (&[], 3, (3, 0, 0)),
            (&[0, 1, 1, 2, 2, 2], 3, (0, 3, 0)),
            (&[0, 2, 1, 3], 4, (0, 0, 1)),
            (&[3, 2, 1, 0], 4, (0, 0, 3)),
            (&[0, 2, 1, 1], 3, (0, 1, 1)),
            (&[1, 1, 3], 5, (3, 1, 0)),
        ] {
            assert_eq!(faults(arrived, sent), expected, "{arrived:?} of {sent}");
        }
    }

    #[test]
    fn what_is_under_way_begins_behind_the_highest() {
        let mut ledger = Ledger::default();
        assert!(ledger.arrived(0) && ledger.arrived(4) && !ledger.arrived(2));
        assert_eq!(ledger.next(), 5);
        assert!(!ledger.has_all(5));
        assert!(!ledger.arrived(1) && !ledger.arrived(3) && ledger.has_all(5));
    }
}
