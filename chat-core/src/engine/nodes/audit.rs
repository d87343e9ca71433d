//! Whether what concerns other nodes is within its limits, and what there is of it: for the simulator.

use super::Cluster;
use crate::base::{Limits, NodeId};
use crate::effect::{ATTEMPTS_MAX, Record};

impl Cluster {
    /// Each session that is known of a node.
    pub(in crate::engine) fn records(&self, node: NodeId, each: &mut dyn FnMut(&Record<'_>)) {
        self.table.walk(0, node, |record| {
            each(&record);
            true
        });
    }

    /// Envelopes without result, and stanzas that wait for them or for the spool.
    pub(in crate::engine) fn outstanding_pieces(&self) -> usize {
        let waiting = self.users.values().map(|afar| afar.waiting.len() + afar.held.len());
        self.envelopes.len() + waiting.sum::<usize>()
    }

    /// Looks at every queue.
    pub(in crate::engine) fn audit(&self, limits: &Limits) -> Result<(), String> {
        for afar in self.users.values() {
            let load = afar.load();
            if load.envelopes > self.most.user.envelopes || load.bytes > self.most.user.bytes {
                return Err(format!("{load:?} is outstanding for one user"));
            }
            if let Some(attempt) = afar.attempts().find(|attempt| *attempt > ATTEMPTS_MAX) {
                return Err(format!("an envelope was decided {attempt} times (invariant 13)"));
            }
            if afar.held.len() > limits.loading_stanzas_max as usize {
                return Err(format!("{} parcels wait for the spool of one user", afar.held.len()));
            }
            let fresh = afar.waiting.iter().filter(|w| w.turn.attempt == 1).count();
            if fresh > limits.loading_stanzas_max as usize {
                return Err(format!("{fresh} stanzas wait for their turn"));
            }
        }
        Ok(())
    }
}
