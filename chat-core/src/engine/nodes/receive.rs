//! What comes from other nodes, for sessions of this one.

use crate::base::{MsgId, NodeId, UserId};
use crate::effect::{NodeMail, NodeTold, Outcome, Parcel, Promise, Refused, SettleTo};
use crate::engine::Engine;
use crate::engine::deliver::{Copies, Meta, hand_out, write_for_client};
use crate::engine::nodes::Turn;
use crate::engine::nodes::afar::Held;
use crate::jid::JidRef;
use crate::route::decision::Resources;
use crate::stanza::{Kind, PresenceType, Stanza};
use crate::user::{Record, Resource, SpoolState, Urgency, User, presence};
use crate::xml::{ScanLimits, StreamNs, scan};

impl Engine {
    /// A stanza for sessions of this node, or a question to all that a user has here.
    pub(super) fn on_parcel(&mut self, node: NodeId, parcel: &Parcel<'_>) {
        let settle = parcel.awaited.then(|| {
            let (life, envelope) = (self.cx.life(node), parcel.envelope);
            SettleTo::Node { node, life, envelope }
        });
        self.pass_presence_on(node, parcel);
        let to = JidRef::of_prepared(parcel.to);
        let Some(id) = self.users.find(to.bare().as_str()) else {
            return self.cx.answer(settle, Outcome::Moved);
        };
        let Some(user) = self.users.get_mut(id) else { return };
        if self.stopping {
            return self.cx.answer(settle, Outcome::Refused(Refused::Stopping));
        }
        if user.record == Record::Loading {
            // Nobody has a resource yet.
            return self.cx.answer(settle, Outcome::Moved);
        }
        if parcel.targets.is_empty() {
            return self.on_question(id, node, parcel, to);
        }
        if parcel.id != MsgId(0) && self.is_held(id, node, parcel, settle) {
            return;
        }
        self.take_late(id, *parcel, settle, false);
    }

    /// Messages wait while the spool is being read: what is in it is older.
    fn is_held(&mut self, id: UserId, node: NodeId, parcel: &Parcel<'_>, settle: Option<SettleTo>) -> bool {
        let (Some(user), Some(cluster)) = (self.users.get_mut(id), &mut self.cluster) else { return false };
        let behind = reads_spool(user);
        let held = cluster.users.get(&id).map(|afar| &afar.held).filter(|held| !held.is_empty());
        if !(behind || held.is_some()) || !parcel.stanza.starts_with("<message") {
            return false;
        }
        let limits = &self.cx.settings.limits;
        let bytes: usize = held.iter().flat_map(|held| held.iter()).map(|held| held.mail.weight()).sum();
        if held.is_some_and(|held| held.len() >= limits.loading_stanzas_max as usize)
            || bytes + parcel.stanza.len() > limits.loading_bytes_max as usize
        {
            // What nobody would send again is better out of order than lost.
            self.cx.answer(settle, Outcome::Refused(Refused::Overloaded));
            return settle.is_some();
        }
        let mut mail = NodeMail::default();
        mail.put(&NodeTold::Parcel { node, parcel: *parcel });
        cluster.afar(id).held.push_back(Held { settle, mail, since: self.cx.now.mono });
        true
    }

    /// The spool may have been read: then what waited for that is given to its sessions.
    pub(in crate::engine) fn take_held(&mut self, id: UserId) {
        while let Some(afar) = self.cluster.as_deref_mut().and_then(|cluster| cluster.users.get_mut(&id)) {
            let behind = self.users.get_mut(id).is_some_and(|user| reads_spool(user));
            let Some(Held { settle, mail, since }) = afar.held.pop_front_if(|_| !behind) else { break };
            for told in mail.iter() {
                if let NodeTold::Parcel { parcel, .. } = told {
                    let after = self.users.get_mut(id).map(|user| user.limits(&self.cx.settings).spool_after);
                    let late = after.is_some_and(|after| since + after <= self.cx.now.mono);
                    self.take_late(id, parcel, settle, late);
                }
            }
        }
        if self.cluster.as_deref_mut().is_some_and(|cluster| cluster.forget_idle(id)) {
            self.arm_user(id);
        }
    }

    /// A parcel that has waited, if it is `late`: its sender's node may have stored the message meanwhile, and another node may have read
    /// that row to a client. Or it was read here, to a session that ended without acknowledging it, while the parcel was on its way.
    fn take_late(&mut self, id: UserId, parcel: Parcel<'_>, settle: Option<SettleTo>, late: bool) {
        let Some(user) = self.users.get_mut(id) else { return self.cx.answer(settle, Outcome::Moved) };
        let tried = self.cluster.as_deref_mut().filter(|_| parcel.id != MsgId(0)).is_some_and(|cluster| {
            cluster.tried.expire(self.cx.now.mono);
            cluster.tried.contains(parcel.id)
        });
        let ns = StreamNs::client();
        if !parcel.delayed
            && (late || tried)
            && let Ok(view) = scan(parcel.stanza.as_bytes(), &ns, &ScanLimits::OWN)
            && let Some(Ok(kind)) = Kind::read(view.name(), view.type_().as_deref())
        {
            let (from, to) = (JidRef::of_prepared(parcel.from), JidRef::of_prepared(parcel.to));
            let meta = Meta {
                id: parcel.id,
                at: parcel.at,
                settle,
                delayed: true,
                lang: None,
                only: None,
                turn: Turn::FIRST,
            };
            let mut bytes = self.cx.buffer();
            write_for_client(&Stanza { view: &view, kind, from, to: Some(to) }, &meta, user, &mut bytes);
            let stanza = str::from_utf8(&bytes).unwrap_or(parcel.stanza);
            self.take_parcel(id, &Parcel { delayed: true, stanza, ..parcel }, settle);
            return self.cx.keep_buffer(bytes);
        }
        self.take_parcel(id, &parcel, settle);
    }

    /// Gives a stanza to the sessions that it names. Whoever sent it hears when it is safe, or that nobody has it.
    fn take_parcel(&mut self, id: UserId, parcel: &Parcel<'_>, settle: Option<SettleTo>) {
        let Some(user) = self.users.get_mut(id) else { return self.cx.answer(settle, Outcome::Moved) };
        let message = parcel.stanza.starts_with("<message");
        self.cx.counts.parcels_received += 1;
        if message && parcel.id != MsgId(0) {
            if user.gone.contains(parcel.id) {
                // It came before, and a client has it.
                return self.cx.answer(settle, Outcome::Settled);
            }
            if let Some((_, flight)) = user.flights.find(parcel.id) {
                // It is on its way to a client already: its ack is good for both. One that waited before does no more. If that
                // has it from the spool, or from a client here, it may be another than the one that is meant, and slow.
                if settle.is_none()
                    || matches!(flight.settle, Some(SettleTo::Client { .. }))
                    || flight.spool == SpoolState::Written
                {
                    return self.cx.answer(settle, Outcome::Moved);
                }
                let before = std::mem::replace(&mut flight.settle, settle);
                return self.cx.answer(before, Outcome::Moved);
            }
            if user.resources.iter().filter_map(|r| r.conn).any(|c| self.cx.wires.is_promised(c, parcel.id)) {
                // Its row is about to be written to a client that acknowledges nothing.
                return self.cx.answer(settle, Outcome::Moved);
            }
        }
        let (urgency, suits) = manner(parcel);
        let place = |name| user.resources.iter().position(|r| r.name() == name && suits(r));
        let Some(here) = Resources::of(parcel.targets.iter().filter_map(place)) else {
            return self.cx.answer(settle, Outcome::Moved);
        };
        self.cx.counts.messages_delivered += u64::from(message);
        let managed = here.iter().filter(|&i| user.resources[i].sm.is_some()).count();
        let (bytes, now) = (parcel.stanza.as_bytes(), self.cx.now.mono);
        let meta = Meta {
            id: parcel.id,
            at: parcel.at,
            settle,
            delayed: parcel.delayed,
            lang: None,
            only: None,
            turn: Turn::FIRST,
        };
        let flight = (settle.is_some() && managed > 0).then(|| {
            let flight = meta.flight(managed as u16, SpoolState::Elsewhere);
            user.flights.insert(&mut self.user_pools, flight, now, Default::default())
        });
        let settle = if flight.is_some() { None } else { settle };
        let promise = Promise { id: parcel.id, at: parcel.at, settle, row: false, shared: here.len() > 1 };
        let (hands, awaited) = ((&mut self.cx, &mut self.user_pools), settle.is_some());
        let taken = hand_out(user, hands, bytes, here, Copies { flight, promise, awaited, urgency });
        if settle.is_some() && taken == 0 {
            self.cx.answer(settle, Outcome::Refused(Refused::NotTaken));
        }
        self.close_overfull(id);
        self.arm_user(id);
    }

    /// Somebody asks for the presence of the user's sessions: those here answer. If it is the user who asks, it is for those on
    /// that node who may see the session.
    fn on_question(&mut self, id: UserId, node: NodeId, parcel: &Parcel<'_>, to: JidRef<'_>) {
        let ns = StreamNs::client();
        let Ok(view) = scan(parcel.stanza.as_bytes(), &ns, &ScanLimits::OWN) else { return };
        let Some(Ok(kind @ Kind::Presence(PresenceType::Probe))) =
            Kind::read(view.name(), view.type_().as_deref())
        else {
            return;
        };
        let stanza = Stanza { view: &view, kind, from: JidRef::of_prepared(parcel.from), to: Some(to) };
        if stanza.from == to.bare()
            && let Some(name) = to.resource()
        {
            return self.meet_at(&to.to_bare(), name, node);
        }
        if let Some(user) = self.users.get_mut(id) {
            presence::on_probe(user, &stanza, true, &mut self.cx);
        }
    }

    /// There is something new in the spool of a user.
    pub(super) fn on_poke(&mut self, user: &str) {
        let Some(id) = self.users.find(user) else { return };
        let Some(user) = self.users.get_mut(id) else { return };
        user.spool.add();
        if user.receives() {
            self.spool_begin(id);
        }
    }

    /// Rows of the spool wait, and nobody is here to have them: the nodes that have somebody read them.
    pub(in crate::engine) fn poke(&mut self, id: UserId) {
        let (Some(user), Some(cluster)) = (self.users.get_mut(id), &mut self.cluster) else { return };
        cluster.look(user);
        let nodes = cluster.receiving_nodes();
        user.spool.waiting &= nodes.is_empty();
        for node in nodes {
            self.cx.node_mail.put(&NodeTold::Poke { node, user: user.jid.as_str() });
        }
    }
}

/// Whether older messages are on their way out of the spool to somebody, or into it.
fn reads_spool(user: &User) -> bool {
    user.spool.reading && user.receives() || user.spool.writing > 0
}

/// Whether a stanza may wait for a client that is inactive (XEP-0352), as presence may; and which of those that it names are to
/// have it as things are here. What ends or grants a subscription is for those that are interested in the roster (RFC 6121
/// §3.1.6, §3.2.3, §3.3.3), presence for the user for those that are available (§8.5.2.1.2).
fn manner<'a>(parcel: &Parcel<'a>) -> (Urgency<'a>, fn(&Resource) -> bool) {
    if !parcel.stanza.starts_with("<presence") {
        return (Urgency::Now, |_| true);
    }
    let ns = StreamNs::client();
    let kind = scan(parcel.stanza.as_bytes(), &ns, &ScanLimits::OWN)
        .ok()
        .and_then(|view| Kind::read(view.name(), view.type_().as_deref())?.ok());
    let available: fn(&Resource) -> bool = match JidRef::of_prepared(parcel.to).is_bare() {
        true => |r| r.presence.is_some(),
        false => |_| true,
    };
    match kind {
        Some(Kind::Presence(PresenceType::Available | PresenceType::Unavailable)) => {
            (Urgency::CanWait(parcel.from), available)
        }
        Some(Kind::Presence(
            PresenceType::Subscribed | PresenceType::Unsubscribe | PresenceType::Unsubscribed,
        )) => (Urgency::Now, |r| r.interested),
        _ => (Urgency::Now, available),
    }
}
