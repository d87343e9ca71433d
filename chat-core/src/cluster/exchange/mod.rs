//! The exchange: what passes between the workers of this node and other nodes.
//!
//! Owns: the numbers by which workers call other nodes, this node's log of its own sessions ([`Log`]), and a reader of each
//! other node's ([`Replica`]).
//! In: what the agent tells of other nodes ([`Event`]), what workers have to tell ([`NodeMail`]). Out ([`Output`]): frames
//! for the agent to send, mail for workers.
//!
//! Invariants:
//! - Workers hear of a node in the order of its frames, and first that it is there. What was told of it under one number is
//!   void as soon as that number is down; a number is given again only after all others.
//! - A worker hears of the sessions of its own users only, and of what became of what it sent.
//! - What a worker has said of a session goes out before the stanzas and results that it said later.
//! - What a node is told of this one's sessions begins with all of them, whenever the two begin anew.
//! - Of a node with which this one has to begin anew ([`Output::Anew`]) nothing more is read until it has.
//! - Each stanza that a worker sends and waits for has a result, or its node is down, whatever becomes of its frame.
//!
//! Not here: whether a node is alive, and how frames get there (`cluster/agent`); what workers do with what they hear
//! (`engine/nodes`).

mod seats;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

#[cfg(feature = "sim")]
use super::agent::Down;
use super::agent::Event;
use super::identity::{Identity, NodeName};
use super::link::NotSent;
use super::registry::{Log, LogInput, LogOutput, Received, Replica};
use super::wire::{Envelope, EnvelopeResult, Kind, Poke, Role, SessionWord, UserChanged, WireFault};
use crate::base::{HashKey, NodeId, WorkerId};
#[cfg(feature = "sim")]
use crate::effect::Plant;
use crate::effect::{Change, NodeMail, NodeTold, Outcome, Parcel, Refused, Settings};
use seats::Seats;
use sessions::Coming;

/// What is to be done, in order.
#[derive(Debug)]
pub enum Output {
    /// Send this frame ([`Agent::send`](super::agent::Agent::send)). If that fails, nothing is lost that the exchange does
    /// not hear of by the next [`Event::Fresh`].
    Send {
        /// To whom.
        to: NodeName,
        /// Of which kind.
        kind: Kind,
        /// What it says ([`Exchange::body`]).
        body: Body,
    },
    /// This node and another have to begin anew ([`Input::Anew`](super::agent::Input::Anew)). What comes next of that node is
    /// [`Event::Fresh`] or [`Event::PeerDown`].
    Anew {
        /// Who.
        node: NodeName,
        /// What the other node sent that makes no sense; none if a worker of this one has lost what it knew.
        fault: Option<WireFault>,
    },
    /// News for a worker ([`Input::Cluster`](crate::engine::Input::Cluster)). Give the batch back to
    /// [`Exchange::reuse`] when it was read.
    Mail {
        /// Which worker.
        worker: WorkerId,
        /// What there is.
        mail: NodeMail,
    },
}

/// Where the body of a frame is that comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body {
    start: usize,
    end: usize,
}

/// Bytes of a frame of results beyond which there is another.
const RESULTS_BYTES_MAX: usize = 1024;

/// Bytes of bodies for which room is kept once all have been looked at.
const ROOM_KEPT: usize = 128 * 1024;

/// A node that is met.
#[derive(Debug)]
struct Peer {
    node: NodeId,
    /// The version of what goes there and comes from there.
    version: u16,
    replica: Replica,
    /// Workers have heard that all its sessions are known.
    is_told: bool,
    /// So much waits for it that it gets no snapshot now, and no stanza that anybody waits for.
    is_congested: bool,
    /// The two are about to begin anew.
    is_void: bool,
    /// The parts of a session that have come from it.
    coming: Coming,
    /// It takes clients, and sessions that others give away.
    takes: bool,
}

/// The machine. It needs no time. See the [module](self).
#[derive(Debug)]
pub struct Exchange {
    settings: Arc<Settings>,
    log: Log,
    peers: BTreeMap<NodeName, Peer>,
    seats: Seats,
    /// What each worker is to hear.
    mails: Vec<NodeMail>,
    empty: Vec<NodeMail>,
    outputs: VecDeque<Output>,
    /// What frames say that are in there.
    bodies: Vec<u8>,
}

impl Exchange {
    /// That of a node without sessions, which has met nobody. `settings` are those of any of its workers: what they have in
    /// common counts. `key` decides nothing that can be seen.
    pub fn new(own: &Identity, settings: Arc<Settings>, key: HashKey) -> Exchange {
        Exchange {
            log: Log::new(&own.name, own.incarnation, key),
            peers: BTreeMap::new(),
            seats: Seats::default(),
            mails: (0..settings.workers).map(|_| NodeMail::default()).collect(),
            empty: Vec::new(),
            outputs: VecDeque::new(),
            bodies: Vec::new(),
            settings,
        }
    }

    /// The agent tells something of another node.
    pub fn on_event(&mut self, event: &Event<'_>) {
        match event {
            // All that were met have been put down; what is told from now on is of another life.
            Event::NewLife(own) => self.log.begin_life(own.incarnation),
            Event::Fresh { peer, version } => self.on_fresh(peer, *version),
            #[cfg(feature = "sim")]
            Event::PeerDown { why: Down::Replaced, .. } if self.settings.has(Plant::ForgetLife) => {}
            Event::PeerDown { node, .. } => self.forget(&node.name),
            Event::Congested { node, is_congested } => {
                if let Some(peer) = self.peers.get_mut(node) {
                    peer.is_congested = *is_congested;
                }
            }
            Event::Frame { from, kind, body } => {
                if let Err(fault) = self.on_frame(from, *kind, body) {
                    self.begin_anew(from, Some(fault));
                }
            }
            Event::Says { node, role, is_draining, .. } => {
                let takes = *role == Role::Active && !is_draining;
                if let Some(peer) = self.peers.get_mut(node).filter(|peer| peer.takes != takes) {
                    peer.takes = takes;
                    let node = peer.node;
                    self.tell_all(&NodeTold::Takes { node, takes });
                }
            }
            // Frames tell of sessions, and a node that can send them is reached.
            Event::PeerUp(_) => {}
        }
    }

    /// A worker has something to tell; its batch is empty afterwards.
    pub fn on_mail(&mut self, mail: &mut NodeMail) {
        for told in mail.iter() {
            match told {
                NodeTold::Change { change, .. } => self.log.handle(LogInput::Changed(change)),
                NodeTold::Parcel { node, parcel } => self.send_parcel(node, parcel),
                NodeTold::Result { node, envelope, outcome } => {
                    self.send_result(node, EnvelopeResult { envelope, outcome });
                }
                NodeTold::Poke { node, user } => {
                    self.send(node, Kind::Poke, |body, v| Poke { user }.write(body, v));
                }
                NodeTold::UserChanged { user, roster, blocked, .. } => {
                    let changed = UserChanged { user, roster, blocked };
                    self.send_all(Kind::UserChanged, |body, v| changed.write(body, v));
                }
                NodeTold::Installed { node, ask, user } => {
                    let word = SessionWord { ask, user };
                    self.send(node, Kind::SessionInstalled, |body, v| word.write(body, v));
                }
                NodeTold::Release { node, ask, user } => {
                    let word = SessionWord { ask, user };
                    self.send(node, Kind::SessionRelease, |body, v| word.write(body, v));
                }
                told @ (NodeTold::Ask { .. }
                | NodeTold::State { .. }
                | NodeTold::Refuse { .. }
                | NodeTold::Offer { .. }
                | NodeTold::Answer { .. }) => self.send_session(&told),
                NodeTold::Up { .. }
                | NodeTold::Down { .. }
                | NodeTold::Whole { .. }
                | NodeTold::Takes { .. } => {
                    unreachable!("workers do not say who is there")
                }
            }
        }
        mail.clear();
    }

    /// The turn ends: what has changed goes out, and of each snapshot the next part, where there is room. Returns whether
    /// there is more for the next turn, which may come at once.
    pub fn end_turn(&mut self) -> bool {
        let mut more = false;
        for peer in self.peers.values().filter(|peer| !peer.is_congested) {
            if self.log.wants_room(peer.node) {
                self.log.handle(LogInput::Room(peer.node));
                more |= self.log.wants_room(peer.node);
            }
        }
        self.flush();
        for (w, mail) in self.mails.iter_mut().enumerate().filter(|(_, mail)| !mail.is_empty()) {
            let mail = std::mem::replace(mail, self.empty.pop().unwrap_or_default());
            self.outputs.push_back(Output::Mail { worker: WorkerId(w as u16), mail });
        }
        more
    }

    /// What has changed of this node's sessions goes out.
    fn flush(&mut self) {
        self.log.handle(LogInput::Flush);
        while let Some(output) = self.log.poll_output() {
            let (LogOutput::Send { to: node, .. } | LogOutput::Fault { node, .. }) = output;
            let Some((to, _)) = self.peers.iter().find(|(_, peer)| peer.node == node) else { continue };
            let to = to.clone();
            match output {
                LogOutput::Send { kind, body, .. } => {
                    self.put_frame(to, kind, |bodies| bodies.extend_from_slice(&body));
                }
                LogOutput::Fault { fault, .. } => self.begin_anew(&to, Some(fault)),
            }
        }
    }

    /// Sends a stanza. One that somebody waits for is refused at once if the node is behind: it is better off in the spool
    /// than in a queue that may be given up.
    fn send_parcel(&mut self, node: NodeId, parcel: Parcel<'_>) {
        if parcel.awaited && self.is_congested(node) {
            return self.refuse(node, parcel.envelope, Refused::Overloaded);
        }
        self.send(node, Kind::Envelope, |body, v| Envelope(parcel).write(body, v));
    }

    /// Whether so much waits for a node that nothing large is to be added.
    fn is_congested(&self, node: NodeId) -> bool {
        self.peers.values().any(|peer| peer.node == node && peer.is_congested)
    }

    /// Tells a worker that what it sent was not taken.
    fn refuse(&mut self, node: NodeId, envelope: u64, why: Refused) {
        let outcome = Outcome::Refused(why);
        self.mail_of_envelope(envelope).put(&NodeTold::Result { node, envelope, outcome });
    }

    /// What the worker is to hear that waits for the result of an envelope: its remainder says which one that is.
    fn mail_of_envelope(&mut self, envelope: u64) -> &mut NodeMail {
        let worker = envelope % self.mails.len() as u64;
        &mut self.mails[worker as usize]
    }

    /// Sends a frame to the node that workers call so, behind what they have said of their sessions: who gets it knows who is
    /// where. One that is gone gets nothing, and whoever waits for its answer hears that it is gone.
    /// `write` is told the version.
    fn send(&mut self, node: NodeId, kind: Kind, write: impl FnOnce(&mut Vec<u8>, u16)) {
        self.flush();
        let Some((to, peer)) = self.peers.iter().find(|(_, peer)| peer.node == node) else { return };
        let (to, version) = (to.clone(), peer.version);
        self.put_frame(to, kind, |body| write(body, version));
    }

    /// Sends a result, in one frame with those that came before it, if its node reads several.
    fn send_result(&mut self, node: NodeId, result: EnvelopeResult) {
        self.flush();
        let Some((to, peer)) = self.peers.iter().find(|(_, peer)| peer.node == node) else { return };
        let (to, version) = (to.clone(), peer.version);
        if let Some(Output::Send { to: last, kind: Kind::EnvelopeResult, body }) = self.outputs.back_mut()
            && EnvelopeResult::are_many(version)
            && *last == to
            && body.end - body.start < RESULTS_BYTES_MAX
            && body.end == self.bodies.len()
        {
            result.write(&mut self.bodies, version);
            body.end = self.bodies.len();
            return;
        }
        self.put_frame(to, Kind::EnvelopeResult, |body| result.write(body, version));
    }

    fn put_frame(&mut self, to: NodeName, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bodies.len();
        write(&mut self.bodies);
        let body = Body { start, end: self.bodies.len() };
        self.outputs.push_back(Output::Send { to, kind, body });
    }

    /// The body of a frame that came out last.
    pub fn body(&self, body: Body) -> &[u8] {
        &self.bodies[body.start..body.end]
    }

    /// A frame was not sent, and never will be. Of all errors but [`NotSent::TooLarge`] the next news of the node tell
    /// what there is to know.
    pub fn on_not_sent(&mut self, to: &NodeName, kind: Kind, body: Body, why: NotSent) {
        if let (NotSent::TooLarge, Kind::Envelope) = (why, kind)
            && let Some(&Peer { node, version, .. }) = self.peers.get(to)
            && let Ok(Envelope(parcel)) = Envelope::read(self.body(body), version)
            && parcel.awaited
        {
            let envelope = parcel.envelope;
            self.refuse(node, envelope, Refused::NotTaken);
        }
    }

    /// A worker has lost everything, its sessions and what it knew of other nodes: it has panicked, and starts again. Nobody
    /// will hear what became of the stanzas that others had sent it, so this node begins anew with all of them; and so the
    /// worker hears who is where. Mail for it that came out before this is to be dropped.
    pub fn on_restart(&mut self, worker: WorkerId) {
        self.log.lose(worker);
        self.mails[usize::from(worker.0)].clear();
        let all: Vec<NodeName> = self.peers.keys().cloned().collect();
        all.iter().for_each(|name| self.begin_anew(name, None));
    }

    fn begin_anew(&mut self, name: &NodeName, fault: Option<WireFault>) {
        let Some(peer) = self.peers.get_mut(name) else { return };
        if !std::mem::replace(&mut peer.is_void, true) {
            self.log.handle(LogInput::Gone(peer.node));
            self.outputs.push_back(Output::Anew { node: name.clone(), fault });
        }
    }

    /// The same to all nodes. One that is met later knows nothing of the time before.
    fn send_all(&mut self, kind: Kind, write: impl Fn(&mut Vec<u8>, u16)) {
        self.flush();
        for (to, peer) in self.peers.iter().filter(|(_, peer)| !peer.is_void) {
            let start = self.bodies.len();
            write(&mut self.bodies, peer.version);
            let body = Body { start, end: self.bodies.len() };
            self.outputs.push_back(Output::Send { to: to.clone(), kind, body });
        }
    }

    /// What is to be done next. To be called until it returns `None` after [`Exchange::end_turn`].
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            self.bodies.clear();
            if self.bodies.capacity() > ROOM_KEPT {
                self.bodies = Vec::new();
            }
        }
        output
    }

    /// A batch that was read is filled again.
    pub fn reuse(&mut self, mut mail: NodeMail) {
        if self.empty.len() < self.mails.len() {
            mail.clear();
            self.empty.push(mail);
        }
    }

    /// The nodes that are met, and how this node's workers call them.
    pub fn nodes(&self) -> impl Iterator<Item = (&NodeName, NodeId)> {
        self.peers.iter().map(|(name, peer)| (name, peer.node))
    }

    /// How this node's workers call a node that is met.
    pub fn number_of(&self, name: &NodeName) -> Option<NodeId> {
        self.peers.get(name).map(|peer| peer.node)
    }

    /// Whether all that each node that is met has said of its sessions so far has arrived: nobody is missing only because
    /// its record is on its way.
    pub fn is_whole(&self) -> bool {
        self.peers.values().all(|peer| peer.replica.is_whole())
    }

    /// The same of one node. None of what a node that is not met has said is known.
    pub fn is_whole_of(&self, name: &NodeName) -> bool {
        self.peers.get(name).is_some_and(|peer| peer.replica.is_whole())
    }

    /// Both nodes begin anew: what was told of its sessions is void.
    fn on_fresh(&mut self, who: &Identity, version: u16) {
        #[cfg(feature = "sim")]
        if let Some(peer) = self.peers.get_mut(&who.name).filter(|_| self.settings.has(Plant::ForgetLife)) {
            peer.replica = Replica::new(who.incarnation, version);
            peer.version = version;
            return self.log.handle(LogInput::Fresh { node: peer.node, version });
        }
        self.forget(&who.name);
        let node = self.seats.take();
        let replica = Replica::new(who.incarnation, version);
        let coming = Coming::default();
        let (is_told, is_congested, is_void, takes) = (false, false, false, false);
        let peer = Peer { node, version, replica, is_told, is_congested, is_void, coming, takes };
        self.peers.insert(who.name.clone(), peer);
        self.tell_all(&NodeTold::Up { node, name: who.name.as_str(), version });
        self.log.handle(LogInput::Fresh { node, version });
    }

    fn forget(&mut self, name: &NodeName) {
        if let Some(peer) = self.peers.remove(name) {
            self.tell_all(&NodeTold::Down { node: peer.node });
            self.log.handle(LogInput::Gone(peer.node));
            self.seats.give_back(peer.node);
        }
    }

    fn on_frame(&mut self, from: &NodeName, kind: Kind, body: &[u8]) -> Result<(), WireFault> {
        let Some(peer) = self.peers.get_mut(from).filter(|peer| !peer.is_void) else { return Ok(()) };
        let (node, version) = (peer.node, peer.version);
        match kind {
            Kind::RegistrySnapshot | Kind::RegistryRecords => match peer.replica.receive(kind, body)? {
                Received::Nothing => {}
                Received::Gap { ask } => {
                    let kind = Kind::RegistryReset;
                    self.put_frame(from.clone(), kind, |bodies| bodies.extend_from_slice(&ask));
                }
                Received::Changes { afresh, changes } => {
                    let is_told = peer.is_told && !afresh;
                    peer.is_told = peer.replica.is_whole();
                    let whole = peer.is_told && !is_told;
                    let node = if afresh { self.renumber(from) } else { peer.node };
                    for change in changes {
                        self.tell_home(node, change);
                    }
                    if whole {
                        self.tell_all(&NodeTold::Whole { node });
                    }
                }
            },
            Kind::RegistryReset => self.log.handle(LogInput::Reset { node, body }),
            Kind::Envelope => {
                let Envelope(parcel) = Envelope::read(body, version)?;
                let mail = self.mails.get_mut(usize::from(parcel.worker.0)).ok_or(WireFault::Value)?;
                mail.put(&NodeTold::Parcel { node, parcel });
                #[cfg(feature = "sim")]
                if parcel.awaited && self.settings.has(Plant::ReceiptIsResult) {
                    let result = EnvelopeResult { envelope: parcel.envelope, outcome: Outcome::Settled };
                    self.send(node, Kind::EnvelopeResult, |body, v| result.write(body, v));
                }
            }
            Kind::EnvelopeResult => {
                let (mut result, mut rest) = EnvelopeResult::read(body, version)?;
                loop {
                    let EnvelopeResult { envelope, outcome } = result;
                    self.mail_of_envelope(envelope).put(&NodeTold::Result { node, envelope, outcome });
                    if rest.is_empty() {
                        break;
                    }
                    (result, rest) = EnvelopeResult::read(rest, version)?;
                }
            }
            Kind::Poke => {
                let Poke { user } = Poke::read(body, version)?;
                let home = self.settings.home(user);
                self.mails[usize::from(home.0)].put(&NodeTold::Poke { node, user });
            }
            Kind::UserChanged => {
                let UserChanged { user, roster, blocked } = UserChanged::read(body, version)?;
                let home = self.settings.home(user);
                let told = NodeTold::UserChanged { node, user, roster, blocked };
                self.mails[usize::from(home.0)].put(&told);
            }
            _ => self.on_session_frame(from, kind, body)?,
        }
        Ok(())
    }

    /// What was told of a node that goes on is void: it gets another number.
    fn renumber(&mut self, name: &NodeName) -> NodeId {
        let peer = self.peers.get_mut(name).expect("its frame was just read");
        let (old, new) = (peer.node, self.seats.take());
        peer.node = new;
        let (takes, version) = (peer.takes, peer.version);
        self.seats.give_back(old);
        self.log.renumber(old, new);
        self.tell_all(&NodeTold::Down { node: old });
        self.tell_all(&NodeTold::Up { node: new, name: name.as_str(), version });
        if takes {
            self.tell_all(&NodeTold::Takes { node: new, takes });
        }
        new
    }

    fn tell_all(&mut self, told: &NodeTold<'_>) {
        self.mails.iter_mut().for_each(|mail| mail.put(told));
    }

    /// To the worker that is the home of the user.
    fn tell_home(&mut self, node: NodeId, change: Change<'_>) {
        let (Change::Put(crate::effect::Record { user, .. }) | Change::Remove { user, .. }) = change;
        let home = self.settings.home(user);
        self.mails[usize::from(home.0)].put(&NodeTold::Change { node, change });
    }
}
