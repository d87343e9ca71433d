//! What links tell, and what the agent says over them.

use smol_str::SmolStr;

use super::peer::Down;
use super::{Agent, Event, Matter, Queued, Request};
use crate::base::Now;
use crate::cluster::discovery;
use crate::cluster::handshake::HandshakeError;
use crate::cluster::identity::NodeName;
use crate::cluster::link::{LinkOutput, LinksInput, LinksOutput, Parting};
use crate::cluster::membership;
use crate::cluster::wire::{Bye, Health, Kind, Leaving, Refusal, Role, Status, UNVERSIONED, WireFault};

/// What a node says of itself.
enum Said {
    Status(Role, SmolStr),
    Draining(bool),
    Ailing(bool),
    Left,
}

impl Said {
    fn read(kind: Kind, body: &[u8], version: u16) -> Result<Said, WireFault> {
        Ok(match kind {
            Kind::Status => {
                let status = Status::read(body, version)?;
                Said::Status(status.role, status.release.into())
            }
            Kind::Health => Said::Ailing(Health::read(body, version)?.is_ailing),
            _ => match Leaving::read(body, version)? {
                Leaving::Draining => Said::Draining(true),
                Leaving::Staying => Said::Draining(false),
                Leaving::Left => Said::Left,
            },
        })
    }
}

/// Whether a frame is not for the agent itself.
fn is_passed_on(kind: Kind) -> bool {
    !matches!(kind, Kind::Datagram | Kind::Leaving | Kind::Status | Kind::Health)
}

impl Agent {
    /// Takes one thing that the links have to tell; whether there was one.
    pub(super) fn take_from_links(&mut self, now: Now) -> bool {
        let Some(output) = self.links.poll_output() else { return false };
        match output {
            LinksOutput::Dial { peer, address } => self.request(Request::Dial { peer, address }),
            LinksOutput::Close(conn) => self.request(Request::Close(conn)),
            LinksOutput::Met { address, name } => {
                self.discovery.handle(now, discovery::Input::Met { address, name: &name });
            }
            LinksOutput::Unfit { meant, claimed, error } => {
                if let (HandshakeError::Refused(Refusal::NameTaken(_)), Some(other)) = (error, &claimed) {
                    // Its secret, or its certificate, was looked at before its name.
                    self.on_namesake(now, &other.clone());
                }
                let own = &self.identity.name;
                let is_known =
                    claimed.as_ref().is_some_and(|c| c.name == *own || self.links.get(&c.name).is_some());
                // That an address leads back is how discovery finds out whose it is.
                let itself = Refusal::Itself;
                if ![HandshakeError::Refused(itself), HandshakeError::RefusedUs(itself)].contains(&error) {
                    self.notice(now, Matter::Unfit { meant, claimed, is_known, error });
                }
            }
            LinksOutput::Unbelieved { meant, address, fault } => {
                self.notice(now, Matter::Unbelieved { meant, address, fault });
            }
            LinksOutput::Link { peer, output: LinkOutput::Frame { kind, body } } => match kind {
                Kind::Datagram => {
                    self.membership.handle(now, membership::Input::Datagram { from: peer, bytes: body });
                }
                Kind::Leaving | Kind::Status | Kind::Health => {
                    let version = self.peers.get(peer).map_or(UNVERSIONED, |known| known.version);
                    let (peer, said) = (peer.clone(), Said::read(kind, body, version));
                    self.on_said(now, &peer, said);
                }
                _ if self.peers.get(peer).is_some_and(|p| p.met.is_some()) => {
                    let from = peer.clone();
                    let mut pass_on = |kind: Kind, body: &[u8]| {
                        let start = self.arrived.len();
                        self.arrived.extend_from_slice(body);
                        let (from, end) = (from.clone(), self.arrived.len());
                        self.outputs.push_back(Queued::Frame { from, kind, start, end });
                    };
                    pass_on(kind, body);
                    // Mostly there are many, and what is known of the node does not change in between.
                    self.links.pass_on_more(&from, is_passed_on, pass_on);
                }
                // Of one who is down for this node and does not know it yet.
                _ => {}
            },
            LinksOutput::Link { peer, output } => {
                let peer = peer.clone();
                match output {
                    LinkOutput::Fresh { peer, version } => self.on_fresh(now, peer, version),
                    LinkOutput::Up { .. } => self.on_link_up(now, &peer),
                    LinkOutput::Down(parting) => self.on_link_down(now, &peer, parting),
                    LinkOutput::Congested(is_congested) => {
                        self.tell(Event::Congested { node: peer, is_congested });
                    }
                    LinkOutput::GaveUp => self.on_gave_up(now, peer),
                    LinkOutput::Refused { peer, refusal } => {
                        self.notice(now, Matter::Refused { peer, refusal });
                    }
                    LinkOutput::RefusedUs(refusal) => self.on_refused(now, &peer, refusal),
                    LinkOutput::Left => {}
                    LinkOutput::Dial | LinkOutput::Close(_) | LinkOutput::Frame { .. } => {
                        unreachable!("these come out by themselves")
                    }
                }
            }
        }
        true
    }

    fn on_link_up(&mut self, now: Now, name: &NodeName) {
        let link = self.links.get(name).expect("who tells something is there");
        let incarnation = link.peer().expect("it was met").incarnation;
        self.known(now, name);
        self.life.on_accepted(name);
        self.membership.handle(now, membership::Input::Linked { name, incarnation });
    }

    fn on_link_down(&mut self, now: Now, name: &NodeName, parting: Parting) {
        self.membership.handle(now, membership::Input::Unlinked(name));
        self.discovery.handle(now, discovery::Input::Lost(name));
        if let Parting::Fault(fault) = parting {
            self.notice(now, Matter::Fault { node: name.clone(), fault });
        }
        if parting == Parting::Bye(Bye::Leaving) {
            self.on_left(now, name);
        }
        // It has everything that it wanted, and takes nothing any more.
        if self.known(now, name).has_left {
            self.links.handle(now.mono, LinksInput::GiveUp(name));
        }
    }

    /// A node has said everything, and leaves.
    fn on_left(&mut self, now: Now, name: &NodeName) {
        if !std::mem::replace(&mut self.known(now, name).has_left, true) {
            self.membership.handle(now, membership::Input::Left(name));
            self.discovery.handle(now, discovery::Input::Left(name));
            self.put_down(now, name, Down::Left);
        }
    }

    /// A node says what cannot be read.
    pub(super) fn on_fault(&mut self, now: Now, name: &NodeName, fault: WireFault) {
        self.notice(now, Matter::Fault { node: name.clone(), fault });
        // What is wrong once is wrong again when it is sent again.
        self.links.handle(now.mono, LinksInput::Part(name, Bye::Fault));
        self.links.handle(now.mono, LinksInput::GiveUp(name));
    }

    /// The layer above cannot go on with a node that is met.
    pub(super) fn on_anew(&mut self, now: Now, name: &NodeName, fault: Option<WireFault>) {
        if self.peers.get(name).is_none_or(|peer| peer.met.is_none()) {
            return;
        }
        match fault {
            Some(fault) => self.on_fault(now, name, fault),
            None => self.links.handle(now.mono, LinksInput::GiveUp(name)),
        }
        // What arrived before has been passed on; what comes now is of the time that is over.
        self.outputs.retain(|output| !matches!(output, Queued::Frame { from, .. } if from == name));
    }

    /// Too much waited for a node, unless it is down, and everybody knows that what waited is lost.
    fn on_gave_up(&mut self, now: Now, node: NodeName) {
        if self.known(now, &node).met.is_some() {
            self.notice(now, Matter::GaveUp { node });
        }
    }

    fn on_said(&mut self, now: Now, name: &NodeName, said: Result<Said, WireFault>) {
        match said {
            Ok(Said::Status(role, release)) => {
                let known = self.known(now, name);
                (known.role, known.release) = (Some(role), release);
                self.say(now, name);
            }
            Ok(Said::Draining(is_draining)) => {
                self.known(now, name).is_draining = is_draining;
                self.say(now, name);
            }
            Ok(Said::Ailing(is_ailing)) => {
                self.known(now, name).is_ailing = is_ailing;
                self.say(now, name);
            }
            Ok(Said::Left) => self.on_left(now, name),
            Err(fault) => self.on_fault(now, name, fault),
        }
    }

    /// What a node says of itself is passed on, once it has said who it is.
    fn say(&mut self, now: Now, name: &NodeName) {
        let peer = self.known(now, name);
        if let (Some(role), Some(_)) = (peer.role, &peer.met) {
            let (is_draining, is_ailing) = (peer.is_draining, peer.is_ailing);
            self.tell(Event::Says { node: name.clone(), role, is_draining, is_ailing });
        }
    }

    /// What this node says of itself when a link begins.
    pub(super) fn introduce(&mut self, now: Now, name: &NodeName) {
        self.say_status(now, name);
        if self.is_draining {
            self.say_leaving(now, name, Leaving::Draining);
        }
        if self.is_ailing {
            self.say_health(now, name);
        }
    }

    /// To those whose release knows of it.
    fn say_health(&mut self, now: Now, name: &NodeName) {
        let version = self.known(now, name).version;
        if version >= Kind::Health.since() {
            let mut body = Vec::new();
            Health { is_ailing: self.is_ailing }.write(&mut body, version);
            let _ = self.links.send(now.mono, name, Kind::Health, &body);
        }
    }

    fn say_status(&mut self, now: Now, name: &NodeName) {
        let mut body = Vec::new();
        let version = self.known(now, name).version;
        Status { role: self.settings.role, release: &self.settings.release }.write(&mut body, version);
        // If the link is full, it begins anew, and so does this.
        let _ = self.links.send(now.mono, name, Kind::Status, &body);
    }

    pub(super) fn say_leaving(&mut self, now: Now, name: &NodeName, leaving: Leaving) {
        let mut body = Vec::new();
        leaving.write(&mut body, self.known(now, name).version);
        let _ = self.links.send(now.mono, name, Kind::Leaving, &body);
    }

    /// All that are met.
    pub(super) fn met(&self) -> Vec<NodeName> {
        let met = self.peers.iter().filter(|(_, p)| p.met.is_some());
        met.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn on_role(&mut self, now: Now, role: Role) {
        if std::mem::replace(&mut self.settings.role, role) != role {
            for name in self.met() {
                self.say_status(now, &name);
            }
        }
    }

    pub(super) fn on_draining(&mut self, now: Now, is_draining: bool) {
        if std::mem::replace(&mut self.is_draining, is_draining) != is_draining {
            let leaving = if is_draining { Leaving::Draining } else { Leaving::Staying };
            for name in self.met() {
                self.say_leaving(now, &name, leaving);
            }
        }
    }

    pub(super) fn on_ailing(&mut self, now: Now, is_ailing: bool) {
        if std::mem::replace(&mut self.is_ailing, is_ailing) != is_ailing {
            for name in self.met() {
                self.say_health(now, &name);
            }
        }
    }
}
