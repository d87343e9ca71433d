//! One node of the simulated cluster, as its machine sees it: a process that lives, is stopped, dies and begins again.

use super::events::Event;
use crate::base::{Mono, Now, Utc};
use crate::cluster::roles::Roles;
use crate::cluster::wire::Role;
use crate::node::Node;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Server {
    /// The process, if there is one.
    pub(super) node: Option<Node>,
    /// Counts processes: what was asked by one is not answered to the next.
    pub(super) life: u32,
    /// When it was told to stop.
    pub(super) stopping: Option<Mono>,
    /// It does nothing for now (SIGSTOP).
    pub(super) is_frozen: bool,
    /// What happened to it meanwhile.
    pub(super) waiting: Vec<Event>,
    /// When it is to be woken.
    pub(super) tick_at: Option<Mono>,
    /// Wakes at one moment.
    pub(super) ticks: (Mono, u32),
    /// Its driver will take its outputs.
    pub(super) is_draining: bool,
    /// By how many milliseconds its civil clock is wrong.
    pub(super) clock: i64,
}

impl Server {
    /// Whether a balancer sends clients there.
    pub(super) fn takes_clients(&self) -> bool {
        let standing = self.node.as_ref().map(|node| node.member().map(|member| member.roles()));
        let is_active = |roles: &Roles| roles.role() == Role::Active && !roles.is_leaving();
        standing.is_some_and(|roles| roles.is_none_or(is_active)) && self.stopping.is_none()
    }

    /// The time, as it has it.
    pub(super) fn now(&self, now: Now) -> Now {
        Now { utc: Utc(now.utc.0 + self.clock), ..now }
    }

    /// The process is gone, whatever it was about.
    pub(super) fn end(&mut self) {
        let (life, clock) = (self.life + 1, self.clock);
        *self = Server { life, clock, ..Server::default() };
    }
}
