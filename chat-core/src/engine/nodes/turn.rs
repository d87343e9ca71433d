//! The order of what goes to one user whose sessions move from node to node.

use super::afar::{Lane, Waiting};
use crate::base::UserId;
use crate::effect::{Envelope, Fate};
use crate::engine::Engine;
use crate::engine::deliver::Meta;
use crate::engine::dispatch::put_stamped;
use crate::stanza::{Condition, ErrorType, IqType, Kind, MessageType, PresenceType, Stanza, StanzaError};
use crate::xml::{ScanLimits, StreamNs, scan};

/// The how-manieth of its recipient a stanza is, and how often it was decided where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Turn {
    /// Grows from stanza to stanza; 0: it has just come.
    pub(in crate::engine) order: u64,
    /// This time included, from 1.
    pub(in crate::engine) attempt: u8,
}

impl Turn {
    /// Of a stanza that has just come.
    pub(in crate::engine) const FIRST: Turn = Turn { order: 0, attempt: 1 };
}

/// Whether it waits for nobody. What says that something went wrong is to be there before what it is about counts as settled.
/// Presence also goes other ways, on which nobody waits: a word that waited would be believed after a later one.
fn goes_at_once(kind: Kind) -> bool {
    match kind {
        Kind::Message(MessageType::Error) | Kind::Iq(IqType::Error) => true,
        Kind::Presence(kind) => matches!(
            kind,
            PresenceType::Available | PresenceType::Unavailable | PresenceType::Probe | PresenceType::Error
        ),
        _ => false,
    }
}

impl Engine {
    /// Looks for the user's sessions elsewhere, and whether a stanza has to wait for what came before it: because something
    /// is outstanding to a place where a session is no more, or because others wait. If so, it waits, or is refused.
    pub(in crate::engine) fn waits_its_turn(
        &mut self,
        id: UserId,
        stanza: &Stanza<'_>,
        meta: &Meta<'_>,
    ) -> bool {
        let Some(user) = self.users.get_mut(id) else { return false };
        let Some(cluster) = self.cluster.as_deref_mut() else { return false };
        cluster.look(user);
        if goes_at_once(stanza.kind) {
            return false;
        }
        #[cfg(feature = "sim")]
        if self.cx.settings.has(crate::effect::Plant::OvertakeElsewhere) {
            return false;
        }
        if self.stopping {
            // Nobody would wait for the results. Those of presence nobody waits for anyway.
            if !matches!(stanza.kind, Kind::Presence(_)) {
                cluster.seen.clear();
            }
            return false;
        }
        let order = meta.turn.order;
        let bare = user.jid.as_str();
        let Some(afar) = cluster.users.get(&id) else { return false };
        let behind = afar.waiting.front().is_some_and(|first| order == 0 || first.turn.order < order);
        let is_there = |lane: &Lane| cluster.has_seen(lane) || cluster.is_at(bare, &lane.name, lane.node);
        if !behind && afar.lanes().all(is_there) {
            if let Some(afar) = cluster.users.get_mut(&id).filter(|_| matches!(stanza.kind, Kind::Message(_)))
            {
                afar.last = afar.last.max(order);
                if order == 0 {
                    cluster.next += 1;
                    afar.last = cluster.next;
                }
            }
            return false;
        }
        self.wait_turn(id, stanza, meta);
        true
    }

    fn wait_turn(&mut self, id: UserId, stanza: &Stanza<'_>, meta: &Meta<'_>) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let (Some(afar), Some(to)) = (cluster.users.get_mut(&id), stanza.to) else { return };
        let limits = &self.cx.settings.limits;
        let bytes = afar.waiting_bytes() + stanza.view.bytes().len();
        let crowded = afar.waiting.len() >= limits.loading_stanzas_max as usize
            || bytes > limits.loading_bytes_max as usize;
        let mut turn = meta.turn;
        if turn.order == 0 {
            if crowded {
                let error = StanzaError::new(Condition::ResourceConstraint, ErrorType::Wait);
                self.bounce(stanza, &error);
                return self.cx.settled(meta.settle);
            }
            cluster.next += 1;
            turn.order = cluster.next;
        }
        let mut stamped = Vec::with_capacity(stanza.view.bytes().len() + 64);
        put_stamped(stanza, to, meta, &mut stamped);
        let (from, to) = (stanza.from.to_owned(), to.to_owned());
        let envelope = Envelope { from, to, stanza: stamped.into(), fate: meta.fate() };
        afar.wait(Waiting { envelope, turn });
    }

    /// Something is no longer outstanding, or a session is somewhere else: those whose turn it is go on.
    pub(in crate::engine) fn take_turns(&mut self, id: UserId) {
        while let Some(cluster) = self.cluster.as_deref_mut()
            && let Some(afar) = cluster.users.get(&id)
        {
            let Some(user) = self.users.get_mut(id) else { return };
            let bare = user.jid.as_str();
            if afar.waiting.is_empty()
                || !self.stopping && !afar.lanes().all(|lane| cluster.is_at(bare, &lane.name, lane.node))
            {
                break;
            }
            let Some(Waiting { envelope, turn }) =
                cluster.users.get_mut(&id).and_then(|afar| afar.waiting.pop_front())
            else {
                return;
            };
            self.go_on(id, &envelope, turn);
        }
        if self.cluster.as_deref_mut().is_some_and(|cluster| cluster.forget_idle(id)) {
            self.arm_user(id);
        }
    }

    /// Decides where a stanza goes that has passed the hooks before.
    pub(super) fn go_on(&mut self, id: UserId, envelope: &Envelope, turn: Turn) {
        let Fate { id: msg, at, settle, delayed, only } = envelope.fate;
        let (ns, meta) = (StreamNs::client(), Meta { id: msg, at, settle, delayed, lang: None, only, turn });
        let Ok(view) = scan(&envelope.stanza, &ns, &ScanLimits::OWN) else {
            debug_assert!(false, "an envelope holds what is no stanza: {:?}", envelope.stanza);
            return self.cx.settled(settle);
        };
        let Some(Ok(kind)) = Kind::read(view.name(), view.type_().as_deref()) else {
            return self.cx.settled(settle);
        };
        let stanza =
            Stanza { view: &view, kind, from: envelope.from.as_ref(), to: Some(envelope.to.as_ref()) };
        let in_vain = turn.attempt > crate::effect::ATTEMPTS_MAX || self.stopping;
        if in_vain && matches!(kind, Kind::Message(_)) {
            return self.keep(id, &stanza, meta);
        }
        self.carry_out(id, &stanza, meta);
        self.close_overfull(id);
    }
}
