//! What a node has seen.

use crate::base::Mono;

/// Lines with their times.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
pub(in crate::cluster) struct Log(pub(in crate::cluster) Vec<(Mono, String)>);

impl Log {
    pub(in crate::cluster) fn push(&mut self, at: Mono, what: String) {
        self.0.push((at, what));
    }

    /// What was logged since a moment, without the times.
    pub(in crate::cluster) fn since(&self, at: Mono) -> Vec<&str> {
        self.0.iter().filter(|(t, _)| *t >= at).map(|(_, what)| what.as_str()).collect()
    }

    /// When something that begins like this was logged first since a moment, in milliseconds after it.
    pub(in crate::cluster) fn when(&self, at: Mono, what: &str) -> Option<u64> {
        let found = self.0.iter().find(|(t, w)| *t >= at && w.starts_with(what));
        found.map(|(t, _)| t.since(at).as_millis())
    }
}
