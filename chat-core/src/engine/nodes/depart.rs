//! A session is another node's from now on: what becomes here of what its client has not acknowledged.
//!
//! What it was given stays where it is said to be answered for ([`Keeper`](crate::effect::Keeper)). A message of which this node
//! keeps the flight is as if it had been sent there in an envelope. What another node waits for is that node's to send again:
//! the taker knows it by its identity. What came since goes behind it, the same way as everything that comes later.

use super::afar::{Held, Sent};
use super::hold::is_message;
use super::moves::{Given, Hold};
use super::send::is_question;
use super::{OWN, Turn};
use crate::base::{MsgId, NodeId, UserId, WorkerId};
use crate::effect::{
    Event, Fate, FlightId, NodeTold, NotGiven, Outcome, Parcel, SettleTo, SmHash, Targets, Unacked,
};
use crate::engine::Engine;
use crate::engine::leave::Had;
use crate::jid::{self, Jid};
use crate::stanza::Kind;
use crate::user::{Flight, SpoolState};
use crate::xml::{ScanLimits, StreamNs, scan};

/// A stanza of the queue, as it has to be known to be sent on.
struct Known {
    from: Jid,
    to: Jid,
    question: bool,
}

/// Where the session has gone.
struct Gone {
    id: UserId,
    node: NodeId,
    worker: WorkerId,
    name: String,
    /// What this node waits for there, it does in vain.
    is_lost: bool,
}

impl Engine {
    /// A node has a session that it was given: its record says so as well as its word.
    pub(super) fn departs(&mut self, id: UserId, node: NodeId, name: &str, sm: Option<SmHash>) {
        let Some(user) = self.users.get_mut(id) else { return };
        let Some(afar) = self.cluster.as_deref().and_then(|cluster| cluster.users.get(&id)) else { return };
        let is_it = |hold: &Hold| {
            let resource = user.resources.iter().find(|r| r.id == hold.resource);
            let named = resource.filter(|r| r.name() == name).and_then(|r| r.sm.as_ref());
            (hold.node == node || hold.is_lost)
                && hold.given.is_some()
                && named.is_some_and(|own| Some(SmHash::of(&own.id)) == sm)
        };
        if let Some(i) = afar.holds.iter().position(is_it) {
            self.depart(id, i);
        }
    }

    /// Whether this very session is elsewhere, taken there later than it came here.
    pub(in crate::engine) fn is_newer_elsewhere(&self, bare: &str, sm_id: &str) -> bool {
        let table = self.cluster.as_deref().map(|cluster| &cluster.table);
        let entry = table.and_then(|table| table.resumable(bare, SmHash::of(sm_id)));
        entry.is_some_and(|entry| entry.node != OWN)
    }

    /// A session that another node was given is there now.
    pub(super) fn depart(&mut self, id: UserId, i: usize) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let Some(afar) = cluster.users.get_mut(&id) else { return };
        let Hold { resource: rid, mut node, given, behind, is_lost, stream, .. } = afar.holds.remove(i);
        let Some(user) = self.users.get_mut(id) else { return };
        let (Some(index), Some(given)) = (user.index(rid), given) else { return };
        let jid = user.full_jid(index);
        let mut resource = user.resources.remove(index);
        self.cx.counts.session_ends(user.domain);
        self.cx.counts.sessions_moved += 1;
        user.needed = self.cx.now.mono;
        // A node that was lost and has come back has another number.
        if is_lost && let Some(entry) = cluster.table.get(user.jid.as_str(), resource.name()) {
            node = entry.node;
        }
        let record = cluster.table.record(node, user.jid.as_str(), resource.name());
        let worker = record.map_or(WorkerId(0), |record| record.worker);
        if let Some(name) = jid.resource() {
            cluster.leavers.add(self.cx.now.mono, user.jid.as_str(), name);
        }
        // Before anything that is said of its messages: who hears of them knows that it is gone.
        self.note_gone(&jid, false);
        let gone = Gone { id, node, worker, name: resource.name().to_owned(), is_lost };
        if let Some(mut sm) = resource.sm.take() {
            let mut bytes = Vec::new();
            let mut n = 0;
            while let Some(entry) = sm.pop(self.cx.wires.pools(), &mut bytes) {
                self.pass_on(&gone, &given, n, entry, &bytes);
                n += 1;
            }
        }
        self.return_held(&gone);
        self.cut(stream);
        self.cx.event(Event::Left { jid });
        self.refuse_behind(behind, NotGiven::Elsewhere);
        self.spool_next(id);
        self.take_turns(id);
        self.take_held(id);
        self.seek(id);
        self.forget_afar(id);
        self.arm_user(id);
    }

    /// The `n`-th stanza of the queue of a session that has gone.
    fn pass_on(&mut self, gone: &Gone, given: &Given, n: usize, entry: Unacked, bytes: &[u8]) {
        let Some(user) = self.users.get_mut(gone.id) else { return };
        let flight = entry.flight.and_then(|key| Some((key, *user.flights.get_mut(key)?)));
        match given.envelopes.get(n) {
            Some(Some(envelope)) => {
                let Some((key, flight)) = flight else { return };
                // It may have been delivered here before.
                let fate = Fate { delayed: true, ..fate_of(&flight) };
                if let Some(known) = known(bytes) {
                    self.await_result(gone, *envelope, Some(key), &known, bytes, fate);
                }
                if gone.is_lost {
                    self.on_result(gone.node, *envelope, Outcome::Lost);
                }
            }
            Some(None) => {
                if let Some((key, _)) = flight {
                    self.let_go(gone.id, key, bytes, Outcome::Lost);
                }
            }
            None => self.send_behind(gone, flight, bytes),
        }
    }

    /// A copy that is no affair of this node's any more. `moved`: what its node hears, if another one waits for it. It hears it
    /// also if other sessions here have the message: what it sends to the one that has gone would wait for them.
    fn let_go(&mut self, id: UserId, key: FlightId, bytes: &[u8], moved: Outcome) {
        let Some(user) = self.users.get_mut(id) else { return };
        let Some(flight) = user.flights.get_mut(key) else { return };
        let shared = flight.copies > 1;
        if is_anothers(flight) && (shared || !flight.had) {
            let outcome = match shared {
                // The taker answers an iq, or its client does.
                _ if !is_message(bytes) => Outcome::Settled,
                true => Outcome::Lost,
                false => moved,
            };
            let settle = flight.settle.take();
            self.cx.answer(settle, outcome);
        }
        let Some(flight) = user.flights.drop_copy(&mut self.user_pools, key) else { return };
        if flight.acked || flight.copies > 0 {
            return;
        }
        match flight.spool {
            spool if flight.had => {
                let row = matches!(spool, SpoolState::Written | SpoolState::Refused);
                self.end_had(id, vec![Had { id: flight.id, settle: flight.settle, row }]);
            }
            // If there is a row, the taker knows.
            _ => self.cx.settled(flight.settle),
        }
    }

    /// Parcels for the session that wait here for the spool to be read: whoever sent them decides again.
    fn return_held(&mut self, gone: &Gone) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let Some(afar) = cluster.users.get_mut(&gone.id) else { return };
        let (back, kept) = std::mem::take(&mut afar.held).into_iter().partition(|held| {
            held.mail.iter().any(|told| match told {
                NodeTold::Parcel { parcel, .. } => parcel.targets.iter().any(|name| name == gone.name),
                _ => false,
            })
        });
        afar.held = kept;
        let back: std::collections::VecDeque<Held> = back;
        for held in back {
            self.cx.answer(held.settle, Outcome::Moved);
        }
    }

    /// What came while the session stood still, and no client has got.
    fn send_behind(&mut self, gone: &Gone, flight: Option<(FlightId, Flight)>, bytes: &[u8]) {
        let Some(known) = known(bytes) else { return };
        let mut kept = flight.filter(|(_, flight)| !flight.acked && !flight.had);
        if let Some((key, flight)) = flight {
            if is_anothers(&flight) {
                if is_message(bytes) {
                    return self.let_go(gone.id, key, bytes, Outcome::Moved);
                }
                kept = None;
            }
            if kept.is_none() {
                self.let_go(gone.id, key, bytes, Outcome::Moved);
            }
        }
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let Ok(stanza) = str::from_utf8(bytes) else { return };
        let envelope = cluster.number();
        let awaited = kept.is_some() || known.question;
        // With its identity also if nobody waits for it: the taker may have read its row.
        let fate = flight.map_or(
            Fate { id: MsgId(0), at: self.cx.now.utc, settle: None, delayed: false, only: None },
            |(_, flight)| fate_of(&flight),
        );
        let mut targets = String::new();
        Targets::push(&mut targets, &gone.name);
        let parcel = Parcel {
            envelope,
            attempt: 1,
            worker: gone.worker,
            id: fate.id,
            at: fate.at,
            delayed: false,
            awaited,
            from: known.from.as_str(),
            to: known.to.as_str(),
            targets: Targets(&targets),
            stanza,
        };
        self.cx.node_mail.put(&NodeTold::Parcel { node: gone.node, parcel });
        if awaited {
            self.await_result(gone, envelope, kept.map(|(key, _)| key), &known, bytes, fate);
        }
    }

    /// A stanza is outstanding at the node where its session has gone.
    fn await_result(
        &mut self,
        gone: &Gone,
        envelope: u64,
        flight: Option<FlightId>,
        known: &Known,
        bytes: &[u8],
        fate: Fate,
    ) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        cluster.next += 1;
        let turn = Turn { order: cluster.next, ..Turn::FIRST };
        let Ok(stanza) = str::from_utf8(bytes) else { return };
        let text = (known.from.as_str(), known.to.as_str(), stanza);
        let sent = Sent::new(text, (fate.delayed, fate.only, turn), &mut cluster.targets);
        let names = std::iter::once(gone.name.as_str());
        cluster.enter(gone.id, envelope, gone.node, flight, sent, names);
    }
}

/// Whether another node answers for a message.
fn is_anothers(flight: &Flight) -> bool {
    flight.spool == SpoolState::Elsewhere || matches!(flight.settle, Some(SettleTo::Node { .. }))
}

fn fate_of(flight: &Flight) -> Fate {
    Fate { id: flight.id, at: flight.at, settle: None, delayed: false, only: None }
}

/// Whom a stanza of ours is from, and whom it is for.
fn known(bytes: &[u8]) -> Option<Known> {
    let ns = StreamNs::client();
    let view = scan(bytes, &ns, &ScanLimits::OWN).ok()?;
    let kind = Kind::read(view.name(), view.type_().as_deref())?.ok()?;
    let (mut a, mut b) = (String::new(), String::new());
    let from = jid::parse(&view.from()?, &mut a).ok()?.to_owned();
    let to = jid::parse(&view.to()?, &mut b).ok()?.to_owned();
    Some(Known { from, to, question: is_question(kind) })
}
