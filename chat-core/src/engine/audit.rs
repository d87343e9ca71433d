//! Whether everything is within its limits: for the simulator, which asks after every input.

use super::Engine;
use crate::base::{Limits, NodeId};
use crate::effect::Record;

impl Engine {
    /// Each session that this worker knows of a node.
    pub fn records(&self, node: NodeId, mut each: impl FnMut(&Record<'_>)) {
        if let Some(cluster) = &self.cluster {
            cluster.records(node, &mut each);
        }
    }

    /// How much was sent to other nodes and has no result, or waits for its turn.
    pub fn outstanding(&self) -> usize {
        self.cluster.as_ref().map_or(0, |cluster| cluster.outstanding_pieces())
    }

    /// Looks at every queue of the engine.
    ///
    /// # Errors
    /// A sentence about one that is over its limit. Each limit may be passed by what one input adds.
    pub fn audit(&self) -> Result<(), String> {
        let settings = &self.cx.settings;
        if let Some(cluster) = &self.cluster {
            cluster.audit(&settings.limits)?;
        }
        let one = |limits: &Limits| limits.stanza_bytes_max as usize + 64 * 1024;
        for session in self.sessions.iter() {
            let (len, limits) = (self.cx.wires.len(session.conn), session.limits(settings));
            if len > limits.outbox_bytes_max as usize + one(limits) {
                return Err(format!("the outbox of {:?} has {len} bytes", session.conn));
            }
        }
        let mut sessions = vec![0; settings.domains.len()];
        for user in self.users.iter() {
            sessions[usize::from(user.domain)] += user.resources.len() as u32;
            let (jid, limits) = (&user.jid, user.limits(settings));
            let one = one(limits);
            let loading_max = settings.limits.loading_stanzas_max as usize;
            if user.parked.len() > loading_max + limits.resources_per_user_max as usize {
                return Err(format!("{} things wait for the record of {jid}", user.parked.len()));
            }
            if user.changes.len() > loading_max {
                return Err(format!("{jid} has {} changes waiting", user.changes.len()));
            }
            if user.resources.len() > usize::from(limits.resources_per_user_max) {
                return Err(format!("{jid} has {} resources", user.resources.len()));
            }
            for r in user.resources.iter() {
                let Some(sm) = &r.sm else { continue };
                let (unacked, bytes) = sm.unacked();
                // A session without connection may have a quarter more (`Resource::is_overfull`).
                if unacked > limits.unacked_stanzas_max as usize / 4 * 5 + 64
                    || bytes > limits.unacked_bytes_max as usize / 4 * 5 + one
                {
                    return Err(format!(
                        "{jid}/{} has {unacked} stanzas, {bytes} bytes unacknowledged",
                        r.name()
                    ));
                }
                let (unsettled, bytes) = sm.unsettled();
                if unsettled > limits.unsettled_stanzas_max
                    || bytes > limits.unsettled_bytes_max + limits.stanza_bytes_max
                {
                    return Err(format!(
                        "{jid}/{} has {unsettled} stanzas, {bytes} bytes unsettled",
                        r.name()
                    ));
                }
                if r.directed.len() > limits.directed_presence_max as usize {
                    return Err(format!(
                        "{jid}/{} owes {} unavailable presences",
                        r.name(),
                        r.directed.len()
                    ));
                }
                if r.held.as_ref().is_some_and(|h| h.len() > limits.csi_stanzas_max as usize) {
                    return Err(format!("{jid}/{} has too much held back", r.name()));
                }
            }
        }
        let counted = &self.cx.counts.sessions;
        match sessions == *counted {
            true => Ok(()),
            false => Err(format!("there are {sessions:?} sessions, and {counted:?} are counted")),
        }
    }
}
