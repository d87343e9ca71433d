//! What the membership tells.

use super::{Agent, Matter};
use crate::base::Now;
use crate::cluster::discovery;
use crate::cluster::identity::{Incarnation, NodeName};
use crate::cluster::link::LinksInput;
use crate::cluster::membership::{Output, Why};
use crate::cluster::wire::{Bye, Kind, Refusal, WireFault};

impl Agent {
    /// Takes one thing that the membership has to tell; whether there was one.
    pub(super) fn take_from_members(&mut self, now: Now) -> bool {
        let Some(output) = self.membership.poll_output() else { return false };
        match output {
            // Who leaves says so behind everything else, not before it.
            Output::Send { .. } if self.departure.is_some() => {}
            Output::Send { to, bytes } => {
                self.links.send_datagram(&to, Kind::Datagram, &bytes);
            }
            Output::Up { name, incarnation } => {
                self.known(now, &name).alive = Some(incarnation);
                self.up_if_so(now, &name);
            }
            Output::Down { name, incarnation, why } => self.on_dead(now, &name, incarnation, why),
            Output::Known(node) => {
                self.known(now, &node.node);
                self.discovery.handle(now, discovery::Input::Learned { node: &node, addresses: &[] });
            }
            Output::Outlived { name, later, is_alive } => {
                let refusal = if is_alive { Refusal::NameTaken(later) } else { Refusal::Stale(later) };
                self.links.handle(now.mono, LinksInput::Part(&name, Bye::Refused(refusal)));
            }
            Output::Returned => self.notice(now, Matter::Returned),
            Output::Stalled(span) => self.notice(now, Matter::Stalled { span }),
            Output::Fault(name) => self.on_fault(now, &name, WireFault::Value),
        }
        true
    }

    /// A life that was alive is not any more.
    fn on_dead(&mut self, now: Now, name: &NodeName, incarnation: Incarnation, why: Why) {
        let peer = self.known(now, name);
        peer.alive = peer.alive.filter(|alive| *alive != incarnation);
        let leaves = peer.has_left;
        if peer.met.as_ref().is_some_and(|met| met.incarnation == incarnation) {
            self.put_down(now, name, why.into());
        }
        let link = self.links.get(name);
        let meant = link.and_then(|l| l.peer()).is_some_and(|life| life.incarnation == incarnation);
        // Who leaves still waits for the receipt of its last words; its link ends by itself.
        if meant && !(leaves && link.is_some_and(|l| l.state().connected)) {
            self.links.handle(now.mono, LinksInput::GiveUp(name));
        }
    }
}
