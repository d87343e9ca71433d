//! How this node leaves.
//!
//! Its last frame on each link says that it leaves, so everything else comes before. From then on its membership says
//! nothing more: whoever has the frame tells the others. Each link ends when the other node has everything; whoever
//! takes too long is given up.

use super::{Agent, Request};
use crate::base::{Mono, Now, Span};
use crate::cluster::link::LinksInput;
use crate::cluster::membership;
use crate::cluster::wire::Leaving;

/// How long the other nodes have to take everything. A link that was cut is made anew meanwhile.
const LEAVE_TIMEOUT: Span = Span::secs(5);
/// How long last words may take after that: a little more than links give them.
const FAREWELL: Span = Span::secs(2);

/// This node leaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departure {
    /// When those that have not taken everything are given up.
    by: Mono,
    /// Whether they have been.
    is_late: bool,
}

impl Agent {
    pub(super) fn on_leave(&mut self, now: Now) {
        if self.departure.is_some() {
            return;
        }
        self.departure = Some(Departure { by: now.mono + LEAVE_TIMEOUT, is_late: false });
        self.membership.handle(now, membership::Input::Leave);
        for name in self.met() {
            self.say_leaving(now, &name, Leaving::Left);
        }
        self.links.handle(now.mono, LinksInput::Leave);
    }

    pub(super) fn departure_due(&self) -> Option<(Mono, &'static str)> {
        self.departure.map(|d| match d.is_late {
            false => (d.by, "those who do not take the last words are given up"),
            true => (d.by + FAREWELL, "the last words have to be sent"),
        })
    }

    /// Those who have not taken everything in time are given up.
    pub(super) fn hurry_departure(&mut self, now: Now) {
        let Some(departure) = self.departure.as_mut().filter(|d| !d.is_late && d.by <= now.mono) else {
            return;
        };
        departure.is_late = true;
        let late = self.links.iter().filter(|(_, link)| !link.has_parted());
        let late: Vec<_> = late.map(|(name, _)| name.clone()).collect();
        for name in late {
            self.links.handle(now.mono, LinksInput::GiveUp(&name));
        }
    }

    pub(super) fn part_if_done(&mut self, now: Mono) {
        let Some(departure) = self.departure.filter(|_| !self.is_over) else { return };
        let done = self.links.iter().all(|(_, link)| link.has_parted());
        if done || departure.is_late && now >= departure.by + FAREWELL {
            self.is_over = true;
            self.request(Request::Left);
        }
    }
}
