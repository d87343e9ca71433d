//! What happens when.

use std::collections::BTreeMap;

use crate::base::{Mono, Span};

/// Events by time; those of one moment in the order in which they were planned.
pub(in crate::cluster) struct Agenda<E> {
    pub(in crate::cluster) now: Mono,
    planned: u64,
    queue: BTreeMap<(Mono, u64), E>,
}

impl<E> Agenda<E> {
    pub(in crate::cluster) fn new(now: Mono) -> Agenda<E> {
        Agenda { now, planned: 0, queue: BTreeMap::new() }
    }

    pub(in crate::cluster) fn after(&mut self, span: Span, event: E) {
        self.planned += 1;
        self.queue.insert((self.now + span, self.planned), event);
    }

    /// The next event up to this moment, at its time; if there is none, that moment has come.
    pub(in crate::cluster) fn next_until(&mut self, end: Mono) -> Option<E> {
        let next = self.queue.first_entry().filter(|e| e.key().0 <= end);
        let Some(next) = next else {
            self.now = self.now.max(end);
            return None;
        };
        self.now = self.now.max(next.key().0);
        Some(next.remove())
    }
}
