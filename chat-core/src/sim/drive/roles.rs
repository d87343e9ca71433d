//! Who takes clients: roles that change by themselves and by hand, and drains.

use std::collections::BTreeSet;

use crate::base::{NodeId, Span};
use crate::cluster::roles::{Output, Wish};
use crate::cluster::wire::Role;
use crate::effect::SmHash;
use crate::engine::{Command, Input};
use crate::sim::events::Event;
use crate::sim::ledger::Drains;
use crate::sim::world::World;

/// How long a node waits for the last session of a drain after its deadline.
const LATE: Span = Span::secs(1);

impl World {
    pub(super) fn wish(&mut self, s: usize, wish: Wish) {
        let now = self.servers[s].now(self.now);
        self.trace.say(self.now.mono, || format!("{s} is to {wish:?}"));
        if let Some(node) = &mut self.servers[s].node {
            node.wish(now, wish);
            self.drain_soon(s);
        }
    }

    /// A node's role changes. One that steps back sends its sessions away first.
    pub(super) fn on_role(&mut self, s: usize, output: Output) {
        self.trace.say(self.now.mono, || format!("{s} role {output:?}"));
        match output {
            Output::Become(_) => {}
            Output::StepBack => self.empty(s),
            Output::Stay if self.servers[s].stopping.is_none() => {
                self.input(s, Input::Command(Command::Stay))
            }
            Output::Stay => {}
        }
    }

    /// A node is told to stop: it gives its sessions away before, if nodes of this run do.
    pub(super) fn begin_stop(&mut self, s: usize) {
        match self.plan.cluster.as_ref().is_some_and(|cluster| cluster.drain.is_some()) {
            true => {
                self.wish(s, Wish::Drain(true));
                self.empty(s);
            }
            false => self.input(s, Input::Command(Command::Shutdown)),
        }
    }

    fn empty(&mut self, s: usize) {
        let drain = self.plan.cluster.as_ref().and_then(|cluster| cluster.drain);
        let (rate, within) = drain.unwrap_or((10, Span::secs(1)));
        self.note_drained(s);
        self.input(s, Input::Command(Command::Drain { rate, within }));
        let life = self.servers[s].life;
        self.events.at(self.now.mono + within + LATE, Event::Emptied(s, life));
    }

    /// Whose sessions a node has that drains, and can be resumed: they are to go on elsewhere.
    fn note_drained(&mut self, s: usize) {
        let Some(node) = &self.servers[s].node else { return };
        let mut here = BTreeSet::new();
        for engine in node.engines() {
            engine.records(NodeId::OWN, |record| here.extend(record.sm));
        }
        for client in &mut self.clients {
            client.is_drained |= client.resumable().is_some_and(|id| here.contains(&SmHash::of(id)));
        }
    }

    /// Where nothing else goes wrong, all go on whose node drains.
    pub(in crate::sim) fn check_drains(&mut self) {
        let Drains { resumed, ended } = self.ledger.drains;
        if self.plan.is_faultless() && ended * 100 > resumed + ended {
            self.ledger
                .fail(format!("of sessions of nodes that drained {resumed} went on, and {ended} did not"));
        }
    }

    /// A drain has had its time.
    pub(super) fn on_emptied(&mut self, s: usize, life: u32) {
        if self.servers[s].node.is_none() || self.servers[s].life != life {
            return;
        }
        if self.servers[s].stopping.is_some() {
            return self.input(s, Input::Command(Command::Shutdown));
        }
        self.wish(s, Wish::SteppedBack);
        self.input(s, Input::Command(Command::Stay));
    }

    /// In a cluster whose nodes do not look after their roles, somebody else does.
    pub(super) fn heal_roles(&mut self) {
        if self.plan.cluster.as_ref().is_some_and(|cluster| cluster.wanted.is_none()) {
            (0..self.servers.len()).for_each(|s| self.wish(s, Wish::Promote));
        }
    }

    /// In the end as many nodes take clients as are wanted, or more: one too many steps back after minutes only.
    pub(in crate::sim) fn check_roles(&mut self) {
        let Some(wanted) = self.plan.cluster.as_ref().and_then(|cluster| cluster.wanted) else { return };
        let roles: Vec<Option<(Role, bool)>> = (self.servers.iter())
            .map(|s| s.node.as_ref()?.member().map(|m| (m.roles().role(), m.roles().is_leaving())))
            .collect();
        let active = roles.iter().filter(|role| **role == Some((Role::Active, false))).count();
        if active < usize::from(wanted) {
            self.ledger
                .fail(format!("{wanted} nodes are to be active, and in the end {active} are: {roles:?}"));
        }
    }
}
