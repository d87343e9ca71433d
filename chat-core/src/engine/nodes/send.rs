//! What was decided for sessions of other nodes goes there: one envelope for each node.

use super::afar::Sent;
use super::{OWN, Turn};
use crate::base::{MsgId, UserId};
use crate::effect::{Few, FlightId, NodeTold, Parcel, Targets};
use crate::engine::Engine;
use crate::engine::deliver::{Meta, write_for_client};
use crate::route::decision::Resources;
use crate::stanza::{Condition, ErrorType, IqType, Kind, Stanza, StanzaError};
use crate::user::presence;

/// An iq that is to be answered, by whoever gets it or by us.
pub(in crate::engine) fn is_question(kind: Kind) -> bool {
    matches!(kind, Kind::Iq(IqType::Get | IqType::Set))
}

impl Engine {
    /// Marks the sessions elsewhere that a stanza is for; returns how many nodes have them. `n`: the resources here.
    #[inline]
    pub(in crate::engine) fn choose_afar(&mut self, resources: Resources, n: usize) -> u16 {
        self.cluster.as_mut().map_or(0, |cluster| cluster.choose(resources, n))
    }

    /// Whether what is outstanding leaves room for a stanza that its sender or its asker waits for. If not, that is told: a
    /// message that was sent before is stored.
    pub(in crate::engine) fn is_crowded(
        &mut self,
        id: UserId,
        stanza: &Stanza<'_>,
        meta: &Meta<'_>,
        resources: Resources,
        stored: bool,
    ) -> bool {
        if !stored && !is_question(stanza.kind) {
            return false;
        }
        let Some(user) = self.users.get_mut(id) else { return false };
        let Some(cluster) = &mut self.cluster else { return false };
        if cluster.choose(resources, user.resources.len()) == 0
            || cluster.has_room(id, stanza.view.bytes().len())
        {
            return false;
        }
        if meta.turn.attempt > 1 {
            self.keep(id, stanza, *meta);
        } else {
            let error = StanzaError::new(Condition::ResourceConstraint, ErrorType::Wait);
            self.bounce(stanza, &error);
            self.cx.settled(meta.settle);
        }
        true
    }

    /// Sends a stanza to the sessions that are marked. `bytes`: as clients get it. A message with a `flight` has one copy for
    /// each of their nodes.
    pub(in crate::engine) fn send_afar(
        &mut self,
        id: UserId,
        stanza: &Stanza<'_>,
        meta: &Meta<'_>,
        flight: Option<FlightId>,
        bytes: &[u8],
    ) {
        let Some(user) = self.users.get_mut(id) else { return };
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let Some(to) = stanza.to else { return };
        let Ok(text) = str::from_utf8(bytes) else { return debug_assert!(false, "a stanza is text") };
        let awaited = flight.is_some() || is_question(stanza.kind);
        let sent = awaited.then(|| {
            let mut plain = Vec::new();
            if meta.delayed {
                // Its delay is written anew when it goes elsewhere, so that there are never two.
                write_for_client(stanza, &Meta { delayed: false, ..*meta }, user, &mut plain);
            }
            let kept = str::from_utf8(&plain).ok().filter(|plain| !plain.is_empty()).unwrap_or(text);
            let mut turn = meta.turn;
            if turn.order == 0 {
                turn.order = cluster.next + 1;
            }
            let text = (stanza.from.as_str(), to.as_str(), kept);
            Sent::new(text, (meta.delayed, meta.only, turn), &mut cluster.targets)
        });
        while let Some((node, worker)) = cluster.next_node() {
            let targets = std::mem::take(&mut cluster.targets);
            let envelope = cluster.number();
            let parcel = Parcel {
                envelope,
                attempt: meta.turn.attempt,
                worker,
                id: meta.id,
                at: meta.at,
                delayed: meta.delayed,
                awaited,
                from: stanza.from.as_str(),
                to: to.as_str(),
                targets: Targets(&targets),
                stanza: text,
            };
            self.cx.node_mail.put(&NodeTold::Parcel { node, parcel });
            self.cx.counts.parcels_sent += 1;
            if let Some(sent) = &sent {
                cluster.enter(id, envelope, node, flight, sent.clone(), Targets(&targets).iter());
            }
            cluster.targets = targets;
        }
    }

    /// Sends a stanza, for which nobody waits, to those of these resources that are elsewhere.
    pub(in crate::engine) fn pass_afar(
        &mut self,
        id: UserId,
        stanza: &Stanza<'_>,
        meta: &Meta<'_>,
        resources: Resources,
    ) {
        let Some(user) = self.users.get_mut(id) else { return };
        let n = user.resources.len();
        if self.choose_afar(resources, n) > 0
            && let Some(user) = self.users.get_mut(id)
        {
            let mut bytes = self.cx.buffer();
            write_for_client(stanza, meta, user, &mut bytes);
            self.send_afar(id, stanza, meta, None, &bytes);
            self.cx.keep_buffer(bytes);
        }
    }

    /// Somebody asks for the presence of a user (RFC 6121 §4.3.2): each node with sessions of the user answers for its own.
    /// `only`: these are asked, and nobody else.
    pub(in crate::engine) fn answer_probe(&mut self, id: UserId, stanza: &Stanza<'_>, only: Option<Few>) {
        let Some(user) = self.users.get_mut(id) else { return };
        let wanted = stanza.to.and_then(|to| to.resource());
        let elsewhere = match &mut self.cluster {
            Some(cluster) => {
                cluster.look(user);
                if let Some(few) = only {
                    cluster.look_only_at(few, stanza.to);
                }
                cluster.choose_available(wanted)
            }
            None => false,
        };
        if let Some(few) = only {
            if presence::may_ask(user, stanza.from) {
                if few == Few::At(OWN) {
                    presence::on_probe(user, stanza, true, &mut self.cx);
                }
                if elsewhere {
                    self.ask_afar(id, stanza);
                }
            }
            return;
        }
        if presence::on_probe(user, stanza, elsewhere, &mut self.cx) && elsewhere {
            self.ask_afar(id, stanza);
        }
    }

    /// Asks the nodes of the sessions that are marked.
    fn ask_afar(&mut self, id: UserId, stanza: &Stanza<'_>) {
        let (Some(user), Some(to)) = (self.users.get_mut(id), stanza.to) else { return };
        let meta = Meta {
            id: MsgId(0),
            at: self.cx.now.utc,
            settle: None,
            delayed: false,
            lang: None,
            only: None,
            turn: Turn::FIRST,
        };
        let mut bytes = self.cx.buffer();
        write_for_client(stanza, &meta, user, &mut bytes);
        self.ship(stanza.from.as_str(), to.as_str(), &bytes, true);
        self.cx.keep_buffer(bytes);
    }

    /// Sends a stanza that nobody waits for to the sessions that are marked; `asks`: to their nodes, as a question.
    pub(super) fn ship(&mut self, from: &str, to: &str, bytes: &[u8], asks: bool) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let Ok(stanza) = str::from_utf8(bytes) else { return debug_assert!(false, "a stanza is text") };
        while let Some((node, worker)) = cluster.next_node() {
            let parcel = Parcel {
                envelope: cluster.number(),
                attempt: 1,
                worker,
                id: MsgId(0),
                at: self.cx.now.utc,
                delayed: false,
                awaited: false,
                from,
                to,
                targets: if asks { Targets::default() } else { Targets(&cluster.targets) },
                stanza,
            };
            self.cx.node_mail.put(&NodeTold::Parcel { node, parcel });
        }
    }
}
