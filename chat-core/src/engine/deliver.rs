//! At the recipient's home: hooks, the decision of RFC 6121 §8, and what carries it out.

use super::Engine;
use super::dispatch::put_stamped;
use super::nodes::Turn;
use crate::base::{MsgId, UserId, Utc};
use crate::effect::{Cx, Envelope, Fate, Few, FlightId, Posted, Promise, Scanned, SettleTo, StoreOp, Wait};
use crate::ext::{Asked, Flow, Handle};
use crate::jid::JidRef;
use crate::route::decision::{Decision, RESOURCES_MAX, ResourceView, Resources, Target, What, decide};
use crate::stanza::{
    Condition, Head, IqType, Kind, MessageType, PresenceType, Stanza, StanzaError, write_error,
};
use crate::user::{self, Flight, Parked, Record, Resource, SpoolState, Urgency, User, UserPools, presence};
use crate::xml::{self, ScanLimits, Stamp, StanzaView, StreamNs, forward, scan};

/// What travels with a stanza.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta<'a> {
    /// The identity of a message.
    pub id: MsgId,
    /// When the server received it.
    pub at: Utc,
    /// Who waits for it to be settled.
    pub settle: Option<SettleTo>,
    /// It may have been delivered before.
    pub delayed: bool,
    /// `xml:lang` of the stream it came on, if it has yet to be written into the stanza.
    pub lang: Option<&'a str>,
    /// It is for these resources; none: for all.
    pub only: Option<Few>,
    /// How often it was decided where it goes.
    pub turn: Turn,
}

impl Meta<'_> {
    /// What travels with the stanza.
    pub(super) fn fate(&self) -> Fate {
        let Meta { id, at, settle, delayed, only, .. } = *self;
        Fate { id, at, settle, delayed, only }
    }

    /// The message on its way to so many resources with stream management.
    pub(super) fn flight(&self, copies: u16, spool: SpoolState) -> Flight {
        let Meta { id, at, settle, .. } = *self;
        Flight { id, at, settle, copies, acked: false, had: false, tried: false, spool }
    }
}

impl Engine {
    /// A stanza from another user, another worker, or from what waited.
    pub(super) fn deliver_posted(&mut self, posted: Posted<'_>) {
        let Posted { from, to, fate, .. } = posted;
        let ns = StreamNs::client();
        let Ok(view) = scan(posted.stanza, &ns, &ScanLimits::OWN) else {
            // Impossible: every envelope is written by us from what was scanned.
            debug_assert!(false, "an envelope holds what is no stanza: {:?}", posted.stanza);
            self.undeliverable(from, to);
            return self.cx.settled(fate.settle);
        };
        self.deliver_view(&view, from, to, None, fate);
    }

    /// The same, scanned by the worker that it came from.
    pub(super) fn deliver_scanned(&mut self, scanned: Scanned<'_>) {
        let Scanned { from, to, stanza, lang, fate } = scanned;
        self.deliver_view(&stanza.view(), from, to, lang, fate);
    }

    fn deliver_view(
        &mut self,
        view: &StanzaView<'_>,
        from: JidRef<'_>,
        to: JidRef<'_>,
        lang: Option<&str>,
        fate: Fate,
    ) {
        let Fate { id, at, settle, delayed, only } = fate;
        let type_ = view.type_();
        let Some(Ok(kind)) = Kind::read(view.name(), type_.as_deref()) else {
            return self.cx.settled(settle);
        };
        let stanza = Stanza { view, kind, from, to: Some(to) };
        let meta = Meta { id, at, settle, delayed, lang, only, turn: Turn::FIRST };
        if to.local().is_none() {
            return self.send_on(&stanza, meta);
        }
        self.deliver(&stanza, meta);
    }

    /// Bytes that cannot be read again: the sender learns at least that a message was lost.
    fn undeliverable(&mut self, from: JidRef<'_>, to: JidRef<'_>) {
        let mut out = Vec::new();
        let head = Head { from: Some(to.as_str()), to: Some(from.as_str()), id: None };
        write_error(&mut out, Kind::Message(MessageType::Normal), &head, &Condition::PolicyViolation.into());
        self.reply(to.to_owned(), from, out);
    }

    /// A stanza for a user whose home this is.
    pub(super) fn deliver(&mut self, stanza: &Stanza<'_>, meta: Meta<'_>) {
        let Some(to) = stanza.to else { return };
        let Some(id) = self.users.find(to.bare().as_str()) else {
            let elsewhere = self.cluster.as_ref().is_some_and(|c| c.has_elsewhere(to.bare(), meta.only));
            if is_for_the_present(stanza.kind) && !elsewhere {
                return self.cx.settled(meta.settle);
            }
            let Some(domain) = self.cx.settings.domain_index(to.domain()) else {
                self.bounce(stanza, &Condition::RemoteServerNotFound.into());
                return self.cx.settled(meta.settle);
            };
            let id = self.load(to, domain);
            self.park(id, stanza, meta);
            return self.evict_if_nobody(id);
        };
        let Some(user) = self.users.get_mut(id) else { return };
        if user.record == Record::Loading {
            return self.park(id, stanza, meta);
        }
        // The record of somebody who is elsewhere is read anew from time to time: others may change it.
        if user.resources.is_empty() && self.cluster.is_none() {
            user.needed = self.cx.now.mono;
        }
        let mut at = Handle { cx: &mut self.cx, user, resource: None };
        match self.host.on_inbound(stanza, &mut at) {
            Flow::Go => {}
            Flow::Drop => return self.cx.settled(meta.settle),
            Flow::Bounce(error) => {
                self.bounce(stanza, &error);
                return self.cx.settled(meta.settle);
            }
        }
        self.carry_out(id, stanza, meta);
        self.close_overfull(id);
    }

    pub(super) fn carry_out(&mut self, id: UserId, stanza: &Stanza<'_>, meta: Meta<'_>) {
        if self.cluster.is_some() && self.waits_its_turn(id, stanza, &meta) {
            return;
        }
        if let (Some(cluster), Some(few)) = (&mut self.cluster, meta.only) {
            cluster.look_only_at(few, stanza.to);
        }
        let Some(user) = self.users.get_mut(id) else { return };
        let Some(to) = stanza.to else { return };
        let mut views = [ResourceView { available: false, priority: 0 }; RESOURCES_MAX];
        let mut n = user.resources.len().min(views.len());
        for (view, r) in views.iter_mut().zip(user.resources.iter()) {
            *view = ResourceView { available: r.presence.is_some(), priority: r.priority };
        }
        let name = to.resource();
        let mut place = name.and_then(|name| user.resources.iter().position(|r| r.name() == name));
        if let Some(cluster) = &self.cluster {
            place = cluster.place_of(to, n).or(place);
            n = cluster.show(&mut views, n);
        }
        let keep = is_worth_keeping(stanza.view);
        let what = match stanza.kind {
            Kind::Message(kind) => What::Message { kind, keep },
            Kind::Presence(kind) => What::Presence(kind),
            Kind::Iq(kind) => What::Iq(kind),
        };
        let target = match name {
            _ if !user.exists && n == 0 => Target::NoSuchUser,
            None => Target::Bare,
            Some(_) => Target::Full(place),
        };
        let decision = decide(what, target, &views[..n]);
        // While rows of the spool are on their way, to it or from it, what comes now stands behind them.
        let stored = matches!(stanza.kind, Kind::Message(MessageType::Chat | MessageType::Normal)) && keep;
        let behind = user.spool.reading || user.spool.writing > 0;
        if stored && behind && matches!(decision, Decision::Deliver(_)) {
            return self.keep(id, stanza, meta);
        }
        match decision {
            // A subscription stanza of the same contact is being stored; this must not overtake it.
            Decision::Deliver(resources) if is_broadcast(stanza) && user.awaits_turn(stanza.from.bare()) => {
                presence::on_inbound(user, stanza, &mut self.cx);
                self.pass_afar(id, stanza, &meta, resources);
                self.cx.settled(meta.settle);
            }
            Decision::Deliver(resources) => {
                if self.cluster.is_some() && self.is_crowded(id, stanza, &meta, resources, stored) {
                    return;
                }
                self.give(id, stanza, meta, resources, stored, SpoolState::Absent)
            }
            Decision::Keep => self.keep(id, stanza, meta),
            Decision::Ignore => self.cx.settled(meta.settle),
            Decision::ServiceUnavailable => {
                self.bounce(stanza, &Condition::ServiceUnavailable.into());
                self.cx.settled(meta.settle);
            }
            Decision::Serve => {
                self.serve(id, stanza, meta.only);
                self.cx.settled(meta.settle);
            }
            Decision::Unsubscribed => {
                let from = to.bare();
                let mut out = b"<presence type='unsubscribed'".to_vec();
                xml::write::put_attr(&mut out, "from", from.as_str());
                xml::write::put_attr(&mut out, "to", stanza.from.bare().as_str());
                out.extend_from_slice(b"/>");
                self.reply(from.to_owned(), stanza.from.bare(), out);
                self.cx.settled(meta.settle);
            }
        }
    }

    /// Gives a stanza to resources of a user. `stored`: it is a message that would be kept if it found nobody.
    pub(super) fn give(
        &mut self,
        id: UserId,
        stanza: &Stanza<'_>,
        meta: Meta<'_>,
        resources: Resources,
        stored: bool,
        spool: SpoolState,
    ) {
        let Some(user) = self.users.get_mut(id) else { return };
        let mut bytes = std::mem::take(&mut self.stanza);
        bytes.clear();
        write_for_client(stanza, &meta, user, &mut bytes);
        let message = matches!(stanza.kind, Kind::Message(_));
        // Those of other nodes come behind those here, and each node has one copy for all of its own.
        let (n, afar) = (
            user.resources.len(),
            self.cluster.as_mut().map_or(0, |c| c.choose(resources, user.resources.len())),
        );
        let here = if afar == 0 { Some(resources) } else { resources.below(n) };
        let managed = match here {
            Some(here) => here.iter().filter(|&i| user.resources[i].sm.is_some()).count(),
            None => 0,
        };
        let copies = managed as u16 + afar;
        let flight = (message && stored && copies > 0).then(|| {
            let flight = meta.flight(copies, spool);
            let after = user.limits(&self.cx.settings).spool_after;
            user.flights.insert(&mut self.user_pools, flight, self.cx.now.mono, after)
        });
        let settle = if flight.is_some() { None } else { meta.settle };
        let row = spool == SpoolState::Written;
        // The promise of a message that only unmanaged clients get ends when it is written to one of them.
        let awaited = stored && copies == 0 && (settle.is_some() || row);
        let promise = Promise { id: meta.id, at: meta.at, settle, row, shared: resources.len() > 1 };
        let urgency = match stanza.kind {
            Kind::Presence(PresenceType::Available | PresenceType::Unavailable) => {
                Urgency::CanWait(stanza.from.as_str())
            }
            _ => Urgency::Now,
        };
        let taken = match here {
            Some(here) => {
                let hands = (&mut self.cx, &mut self.user_pools);
                hand_out(user, hands, &bytes, here, Copies { flight, promise, awaited, urgency })
            }
            None => 0,
        };
        if !awaited {
            self.cx.settled(settle);
        } else if taken == 0 {
            // No outbox took it: their clients do not read.
            self.stanza = bytes;
            return if row { self.take_back(id) } else { self.keep(id, stanza, meta) };
        }
        if afar > 0 {
            self.send_afar(id, stanza, &meta, flight, &bytes);
        }
        if message {
            self.cx.counts.messages_delivered += u64::from(here.is_some());
            self.delivered(id, stanza, resources, meta.delayed.then_some(&bytes));
        }
        self.stanza = bytes;
        self.close_overfull(id);
        if flight.is_some() || awaited {
            self.arm_user(id);
        }
    }

    /// The extensions hear who got a message, here or elsewhere. What came late is told to be late (XEP-0203) in copies, too: `late` is what
    /// was delivered then.
    #[inline]
    fn delivered(&mut self, id: UserId, stanza: &Stanza<'_>, to: Resources, late: Option<&Vec<u8>>) {
        let Some(user) = self.users.get_mut(id) else { return };
        let late = late.and_then(|bytes| scan(bytes, &StreamNs::client(), &ScanLimits::OWN).ok());
        let stanza = Stanza { view: late.as_ref().unwrap_or(stanza.view), ..*stanza };
        if let Some(cluster) = &self.cluster {
            let own = user.jid == stanza.from.bare();
            cluster.name_copies(stanza.from.resource().filter(|_| own), &mut self.cx.copies);
        }
        let mut at = Handle { cx: &mut self.cx, user, resource: None };
        self.host.on_delivered(&stanza, Some(to), &mut at);
        if self.cluster.is_some() {
            self.send_copies(id);
        }
    }

    /// A row was given to nobody after all.
    pub(super) fn take_back(&mut self, id: UserId) {
        if let Some(user) = self.users.get_mut(id) {
            user.spool.add();
        }
    }

    /// A client that neither acknowledges nor reads what it gets: its connection is closed, its session waits.
    pub(super) fn close_overfull(&mut self, id: UserId) {
        #[cfg(feature = "sim")]
        if self.cx.settings.has(crate::effect::Plant::NoLimit) {
            return;
        }
        let Some(user) = self.users.get_mut(id) else { return };
        let overfull = |r: &&Resource| r.is_overfull(user.domain, &self.cx.settings);
        let Some(resource) = user.resources.iter().find(overfull) else { return };
        match resource.conn {
            Some(conn) => self.on_lost(conn),
            None => {
                let resource = resource.id;
                self.leave(crate::session::Seat { user: id, resource }, None);
            }
        }
    }

    /// The server acts on behalf of the user.
    fn serve(&mut self, id: UserId, stanza: &Stanza<'_>, only: Option<Few>) {
        match stanza.kind {
            Kind::Iq(IqType::Get | IqType::Set) => self.serve_iq(stanza, Asked::Other, None),
            Kind::Presence(PresenceType::Probe) => self.answer_probe(id, stanza, only),
            Kind::Presence(kind) => {
                let Some(user) = self.users.get_mut(id) else { return };
                match kind {
                    PresenceType::Subscribe
                    | PresenceType::Subscribed
                    | PresenceType::Unsubscribe
                    | PresenceType::Unsubscribed => user::change::inbound(user, stanza, &mut self.cx),
                    _ => presence::on_inbound(user, stanza, &mut self.cx),
                }
            }
            _ => {}
        }
    }

    /// Asks for the record of a user of this domain; until it is here, what is for the user waits.
    pub(super) fn load(&mut self, jid: JidRef<'_>, domain: u16) -> UserId {
        let jid = jid.to_bare();
        let ephemeral = self.cx.settings.domains[usize::from(domain)].ephemeral;
        let id = self.users.insert(jid.clone(), domain, ephemeral, self.cx.now.mono);
        while let Some(oldest) = self.users.pop_oldest(self.cx.settings.limits.users_cached_max) {
            self.forget_user(oldest);
        }
        if ephemeral {
            // Nothing to load: such a user is there as long as its resources are.
            if let Some(user) = self.users.get_mut(id) {
                user.record = Record::Ready;
            }
        } else {
            self.cx.store(StoreOp::LoadUser { user: jid }, Wait::Load(id));
        }
        self.arm_user(id);
        id
    }

    pub(super) fn park(&mut self, id: UserId, stanza: &Stanza<'_>, meta: Meta<'_>) {
        let Some(user) = self.users.get_mut(id) else { return };
        let Some(to) = stanza.to else { return };
        if user.record == Record::Ready {
            return self.deliver(stanza, meta);
        }
        let waiting = &mut user.parked;
        let limits = &self.cx.settings.limits;
        let bytes: usize = waiting.iter().map(Parked::bytes).sum();
        if waiting.len() >= limits.loading_stanzas_max as usize
            || bytes + stanza.view.bytes().len() > limits.loading_bytes_max as usize
        {
            let error = StanzaError::new(Condition::ResourceConstraint, crate::stanza::ErrorType::Wait);
            self.bounce(stanza, &error);
            return self.cx.settled(meta.settle);
        }
        let mut bytes = Vec::with_capacity(stanza.view.bytes().len() + 64);
        put_stamped(stanza, to, &meta, &mut bytes);
        let (from, to) = (stanza.from.to_owned(), to.to_owned());
        let envelope = Envelope { from, to, stanza: bytes.into(), fate: meta.fate() };
        waiting.push_back(Parked::Stanza(Box::new(envelope)));
    }
}

/// How a stanza is handed to the clients of this node.
#[derive(Clone, Copy)]
pub(super) struct Copies<'a> {
    /// The message that those with stream management get a copy of.
    pub flight: Option<FlightId>,
    /// What is promised if it is `awaited` that one without stream management has it.
    pub promise: Promise,
    /// Nobody acknowledges it, and somebody waits for it to be written.
    pub awaited: bool,
    pub urgency: Urgency<'a>,
}

/// Writes a stanza to resources of this node, and says how many outboxes took it if that is awaited.
#[inline(always)]
pub(super) fn hand_out(
    user: &mut User,
    (cx, pools): (&mut Cx, &mut UserPools),
    bytes: &[u8],
    here: Resources,
    copies: Copies<'_>,
) -> usize {
    let Copies { flight, promise, awaited, urgency } = copies;
    let mut taken = 0;
    for i in here.iter() {
        let resource = &mut user.resources[i];
        if !awaited {
            // A flight ends without a row if a client that acknowledges nothing has the message: once it is
            // written.
            let noted = Promise { settle: None, row: false, shared: true, ..promise };
            if let Some(conn) = resource.conn.filter(|_| flight.is_some() && resource.sm.is_none()) {
                resource.release(cx);
                cx.wires.promise(conn, bytes, noted);
            } else {
                let flight = flight.filter(|_| resource.sm.is_some());
                resource.send(cx, bytes, flight, urgency);
            }
        } else if let Some(conn) = resource.conn {
            resource.release(cx);
            if cx.wires.promise(conn, bytes, promise) {
                taken += 1;
                if matches!(promise.settle, Some(SettleTo::Client { .. })) {
                    let due = cx.now.mono + user.limits(&cx.settings).spool_after;
                    user.promised.push_back(&mut pools.promised, (due, conn, promise.id));
                }
            }
        }
    }
    taken
}

/// Presence for the user rather than for one resource.
fn is_broadcast(stanza: &Stanza<'_>) -> bool {
    matches!(stanza.kind, Kind::Presence(PresenceType::Available | PresenceType::Unavailable))
        && stanza.to.is_some_and(JidRef::is_bare)
}

/// Presence that means nothing to a user without sessions: not worth loading a record for.
fn is_for_the_present(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Presence(
            PresenceType::Available | PresenceType::Unavailable | PresenceType::Error | PresenceType::Probe
        ) | Kind::Iq(IqType::Result | IqType::Error)
            | Kind::Message(MessageType::Error)
    )
}

/// Whether a message should wait for a recipient who is offline: not what carries only chat states (XEP-0160 §3),
/// nor what its sender does not want kept (XEP-0334 §3).
fn is_worth_keeping(view: &StanzaView<'_>) -> bool {
    let mut worth = false;
    for child in view.children() {
        if child.ns == "urn:xmpp:hints" && matches!(child.name, "no-store" | "no-permanent-store") {
            return false;
        }
        let trifle = child.ns == "http://jabber.org/protocol/chatstates"
            || child.ns == "urn:xmpp:hints"
            || (child.ns == crate::stanza::ns::CLIENT && child.name == "thread");
        worth |= !trifle;
    }
    worth
}

/// Writes a stanza as a client of `user` gets it: `to` as it was addressed (RFC 6121 §8.5.2.1.1), `from` stamped,
/// and `<delay/>` if it may be late or come again (XEP-0203).
pub(super) fn write_for_client(stanza: &Stanza<'_>, meta: &Meta<'_>, user: &User, out: &mut Vec<u8>) {
    let mut delay = Vec::new();
    if meta.delayed {
        delay.extend_from_slice(b"<delay xmlns='urn:xmpp:delay'");
        xml::write::put_attr(&mut delay, "from", user.jid.domain());
        xml::write::put_attr(&mut delay, "stamp", &meta.at.datetime());
        delay.extend_from_slice(b"/>");
    }
    let stamp = Stamp {
        to: xml::Head::Set(stanza.to.map_or_else(|| user.jid.as_str(), |t| t.as_str())),
        from: xml::Head::Set(stanza.from.as_str()),
        lang: meta.lang,
        append: &delay,
        ..Stamp::default()
    };
    forward(stanza.view, &stamp, out);
}
