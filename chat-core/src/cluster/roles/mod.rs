//! Roles: which nodes take clients, and when one that waits takes its turn, or steps back.
//!
//! Owns: this node's role, and how long too few or too many nodes have been active.
//! In ([`Input`]): who else takes part and in which role, whether this node drains, what the operator wants, time. Out
//! ([`Output`]): another role, or the wish to step back.
//!
//! Each node decides for itself and for nobody else, by the same rule over what it sees:
//! - The nodes that count as active take part, take clients, and do not drain.
//! - When fewer than wanted have been active for [`PROMOTE_AFTER`], the first standby nodes by name become active: as many as are
//!   missing.
//! - When more than wanted have been active for [`STEP_BACK_AFTER`], the last of them by name steps back: it drains and then
//!   waits. The time begins anew with each that goes, so that sessions leave one node at a time.
//! - A node becomes active at once if the operator says so, and steps back if the operator says so.
//! - Without a wanted number nothing happens but by hand.
//!
//! Invariants: nodes that see the same cluster come to the same decisions; two that do not may both become active, which does no harm;
//! a node that drains changes nothing; every role but the first comes out once as [`Output::Become`].
//!
//! Not here: what others are told (`cluster/agent`), the health check and listeners (`chat-net`, `chat-bin`), draining.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use crate::base::{Mono, Now, Span};
use crate::cluster::identity::NodeName;
use crate::cluster::wire::Role;

/// How long too few nodes are active before one that waits takes its turn: a node that starts anew, or a link that is made anew,
/// takes less.
pub const PROMOTE_AFTER: Span = Span::secs(10);
/// How long too many nodes are active before one steps back: its sessions have to move for it, so this is no haste.
pub const STEP_BACK_AFTER: Span = Span::secs(300);

/// What is to be known at the start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This node.
    pub name: NodeName,
    /// Its role at first.
    pub role: Role,
    /// How many nodes should be active.
    pub wanted: Option<u16>,
}

/// Another node that takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other {
    /// Its role.
    pub role: Role,
    /// It gives its sessions away.
    pub is_draining: bool,
}

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A node takes part, in this role.
    Seen(&'a NodeName, Other),
    /// It takes part no more.
    Gone(&'a NodeName),
    /// What is wanted of this node.
    Wish(Wish),
    /// The deadline of [`Roles::poll_timeout`] was reached.
    Tick,
}

/// What those who run a node want of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// This node gives its sessions away because it was told to, or has thought better of it.
    Drain(bool),
    /// The operator wants this node to be active. One that steps back does not.
    Promote,
    /// The operator wants this node to be a standby node.
    StepBack,
    /// After [`Output::StepBack`]: no session is left here.
    SteppedBack,
}

/// What follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// This is this node's role from now on.
    Become(Role),
    /// Drain without ending, and say [`Wish::SteppedBack`] then. The health check says 503 from now on.
    StepBack,
    /// This node does not step back after all.
    Stay,
}

/// The machine. See the [module](self).
#[derive(Debug)]
pub struct Roles {
    settings: Settings,
    role: Role,
    /// Told to drain.
    is_draining: bool,
    /// On the way from active to standby.
    steps_back: bool,
    others: BTreeMap<NodeName, Other>,
    /// Too few have been active since then.
    few: Option<Mono>,
    /// Too many have been active since then; and how many they were last.
    many: Option<(Mono, usize)>,
    outputs: VecDeque<Output>,
}

impl Roles {
    /// A node that has met nobody yet.
    pub fn new(now: Now, settings: Settings) -> Roles {
        let mut roles = Roles {
            role: settings.role,
            settings,
            is_draining: false,
            steps_back: false,
            others: BTreeMap::new(),
            few: None,
            many: None,
            outputs: VecDeque::new(),
        };
        roles.decide(now.mono);
        roles
    }

    /// Something happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Seen(name, other) => {
                self.others.insert(name.clone(), other);
            }
            Input::Gone(name) => {
                self.others.remove(name);
            }
            Input::Wish(wish) => self.on_wish(wish),
            Input::Tick => {}
        }
        self.decide(now.mono);
    }

    fn on_wish(&mut self, wish: Wish) {
        match wish {
            Wish::Drain(is_draining) => self.is_draining = is_draining,
            Wish::Promote if self.steps_back => {
                self.steps_back = false;
                // The others may be too many for as long again.
                self.many = None;
                self.outputs.push_back(Output::Stay);
            }
            Wish::Promote if self.role == Role::Standby && !self.is_draining => self.take(Role::Active),
            Wish::StepBack if self.is(Role::Active) => self.step_back(),
            Wish::SteppedBack if self.steps_back => {
                self.steps_back = false;
                self.take(Role::Standby);
            }
            Wish::Promote | Wish::StepBack | Wish::SteppedBack => {}
        }
    }

    /// What follows, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Roles::handle`] again at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let promote = self.few.filter(|_| self.is_next()).map(|at| at + PROMOTE_AFTER);
        let step_back = self.many.filter(|_| self.is_last()).map(|(at, _)| at + STEP_BACK_AFTER);
        let promote = promote.map(|at| (at, "too few nodes are active"));
        promote.or(step_back.map(|at| (at, "too many nodes are active")))
    }

    /// This node's role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether it is on the way from active to standby.
    pub fn steps_back(&self) -> bool {
        self.steps_back
    }

    /// Whether it gives its sessions away, for whichever reason.
    pub fn is_leaving(&self) -> bool {
        self.is_draining || self.steps_back
    }

    fn step_back(&mut self) {
        self.steps_back = true;
        self.outputs.push_back(Output::StepBack);
    }

    fn take(&mut self, role: Role) {
        self.role = role;
        self.outputs.push_back(Output::Become(role));
    }

    fn decide(&mut self, now: Mono) {
        let Some(wanted) = self.settings.wanted.map(usize::from) else { return };
        let active = self.active();
        self.few = if active < wanted { self.few.or(Some(now)) } else { None };
        self.many = match self.many {
            _ if active <= wanted => None,
            // One has gone: the others take their time again.
            Some((_, before)) if active < before => Some((now, active)),
            Some((since, _)) => Some((since, active)),
            None => Some((now, active)),
        };
        let (few, many) = (self.few, self.many.map(|(since, _)| since));
        if few.is_some_and(|since| now.since(since) >= PROMOTE_AFTER) && self.is_next() {
            self.take(Role::Active);
            // It counts itself from now on.
            self.decide(now);
        } else if many.is_some_and(|since| now.since(since) >= STEP_BACK_AFTER) && self.is_last() {
            self.step_back();
            self.decide(now);
        }
    }

    /// The nodes that take clients.
    fn active(&self) -> usize {
        self.of(Role::Active).count() + usize::from(self.is(Role::Active))
    }

    /// The others of this role that do not drain.
    fn of(&self, role: Role) -> impl Iterator<Item = &NodeName> {
        self.others.iter().filter(move |(_, o)| o.role == role && !o.is_draining).map(|(name, _)| name)
    }

    fn is(&self, role: Role) -> bool {
        self.role == role && !self.is_leaving()
    }

    /// Whether it is this node's turn to become active, among those of its kind.
    fn is_next(&self) -> bool {
        let missing = self.settings.wanted.map_or(0, usize::from).saturating_sub(self.active());
        let before = self.of(Role::Standby).filter(|name| **name < self.settings.name).count();
        self.is(Role::Standby) && before < missing
    }

    /// Whether it is this node's turn to step back.
    fn is_last(&self) -> bool {
        self.is(Role::Active) && self.of(Role::Active).all(|name| *name < self.settings.name)
    }
}
