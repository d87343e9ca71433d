//! Messages that wait for their recipient (XEP-0160): written when it is offline or slow, read when a resource becomes available, deleted when a
//! client has them.

use super::Engine;
use super::deliver::{Meta, write_for_client};
use super::nodes::Turn;
use crate::base::{MsgId, UserId, Utc};
use crate::effect::{SettleTo, SpoolRow, SpoolSeq, StoreError, StoreOp, Wait};
use crate::ext::Handle;
use crate::jid;
use crate::route::decision::{Decision, ResourceView, Target, What, decide};
use crate::stanza::{Condition, Kind, Stanza};
use crate::user::{Record, SpoolState};
use crate::xml::{ScanLimits, StreamNs, scan};

/// Rows and bytes that are read at a time.
const PAGE_ROWS: u32 = 100;
const PAGE_BYTES: u32 = 256 * 1024;

impl Engine {
    /// A message that finds nobody (XEP-0160).
    pub(super) fn keep(&mut self, id: UserId, stanza: &Stanza<'_>, meta: Meta<'_>) {
        let Some(user) = self.users.get_mut(id) else { return };
        if user.ephemeral || !user.exists {
            self.bounce(stanza, &Condition::ServiceUnavailable.into());
            return self.cx.settled(meta.settle);
        }
        self.cx.counts.messages_kept += 1;
        let mut bytes = Vec::with_capacity(stanza.view.bytes().len() + 64);
        write_for_client(stanza, &Meta { delayed: false, ..meta }, user, &mut bytes);
        self.spool(id, &bytes, meta.id, meta.at, meta.settle, true);
        if let Some(user) = self.users.get_mut(id) {
            let mut at = Handle { cx: &mut self.cx, user, resource: None };
            self.host.on_delivered(stanza, None, &mut at);
        }
    }

    /// Writes a row of the spool. `kept`: no client has the message.
    pub(super) fn spool(
        &mut self,
        id: UserId,
        bytes: &[u8],
        msg: MsgId,
        at: Utc,
        settle: Option<SettleTo>,
        kept: bool,
    ) {
        let Some(user) = self.users.get_mut(id) else { return };
        if self.storing + bytes.len() > self.cx.settings.limits.storing_bytes_max as usize {
            return self.on_not_spooled(id, msg, settle, Some(bytes), StoreError::Overloaded);
        }
        self.storing += bytes.len();
        if kept {
            user.spool.writing += 1;
        }
        let op = StoreOp::SpoolPut {
            user: user.jid.clone(),
            row: SpoolRow { id: msg, at, stanza: bytes.into() },
            rows_max: user.limits(&self.cx.settings).spool_messages_per_user_max,
        };
        self.cx.store(op, Wait::Spool { user: id, id: msg, settle, kept });
    }

    /// Begins to read the spool, if there may be something in it and somebody to have it.
    pub(super) fn spool_begin(&mut self, id: UserId) {
        let Some(user) = self.users.get_mut(id) else { return };
        let ready = matches!(user.record, Record::Ready);
        let somebody = user.receives();
        if ready && !somebody && user.spool.waiting && self.cluster.is_some() {
            return self.poke(id);
        }
        if ready && somebody && user.spool.waiting && !user.spool.reading {
            user.spool.reading = true;
            user.spool_retry = None;
            user.spool.asked = false;
            user.spool_after = SpoolSeq(i64::MIN);
            self.spool_next(id);
        }
    }

    /// Reads on, unless a page is on its way already or the clients have enough to digest.
    pub(super) fn spool_next(&mut self, id: UserId) {
        let Some(user) = self.users.get_mut(id) else { return };
        if !user.spool.reading || user.spool.asked {
            return;
        }
        if self.cluster.is_some() && !user.receives() {
            return self.spool_stop(id);
        }
        // A page never fills a queue: a client that reads and acknowledges is not cut off for what waited for it.
        let limits = user.limits(&self.cx.settings);
        let bytes_max = PAGE_BYTES.min(limits.outbox_bytes_max / 4).min(limits.unacked_bytes_max / 4).max(1);
        let rows_max = PAGE_ROWS.min(limits.unacked_stanzas_max / 4).max(1);
        // One client that is slow or away holds up no other: what waits for it is bounded by its own queue.
        let free = user.resources.iter().filter(|r| r.presence.is_some() && r.priority >= 0).any(|r| {
            let (stanzas, unacked) = r.sm.as_ref().map_or((0, 0), |sm| sm.unacked());
            let unsent = |c| unacked.max(self.cx.wires.len(c)) <= 2 * bytes_max as usize;
            r.conn.is_some_and(unsent) && stanzas <= 2 * rows_max as usize
        });
        if !free {
            // Whoever acknowledges is heard anyway; whoever does not has digested what is sent.
            user.resources.iter().filter_map(|r| r.conn).for_each(|conn| self.cx.wires.heed(conn));
            return;
        }
        user.spool.asked = true;
        let op = StoreOp::SpoolRead { user: user.jid.clone(), after: user.spool_after, rows_max, bytes_max };
        self.cx.store(op, Wait::Rows(id));
    }

    /// Rows arrived.
    pub(super) fn on_rows(&mut self, id: UserId, rows: Vec<(SpoolSeq, SpoolRow)>) {
        let Some(user) = self.users.get_mut(id) else { return };
        user.spool.asked = false;
        let Some((last, _)) = rows.last() else {
            user.spool.reading = false;
            user.spool.waiting = std::mem::take(&mut user.spool.more);
            return self.spool_begin(id);
        };
        user.spool_after = *last;
        #[cfg(feature = "sim")]
        let rows = match self.cx.settings.has(crate::effect::Plant::SwapRows) {
            true => rows.into_iter().rev().collect(),
            false => rows,
        };
        for (_, row) in &rows {
            if !self.give_row(id, row) {
                return self.spool_stop(id);
            }
        }
        self.spool_next(id);
    }

    /// Nobody is here any more: the rest waits for the next, or is another node's.
    fn spool_stop(&mut self, id: UserId) {
        if let Some(user) = self.users.get_mut(id) {
            user.spool.reading = false;
            user.spool.waiting = true;
            user.spool.more = false;
            self.poke(id);
        }
    }

    /// Gives a row to whoever would get the message if it came now; says whether there was anybody.
    fn give_row(&mut self, id: UserId, row: &SpoolRow) -> bool {
        let ns = StreamNs::client();
        let Some(user) = self.users.get_mut(id) else { return false };
        // It is on its way already, to a session that has not acknowledged it.
        if let Some((_, flight)) = user.flights.find(row.id) {
            // If it came from another node: that may not be able any more to delete the row.
            if matches!(flight.spool, SpoolState::Refused | SpoolState::Elsewhere) {
                flight.spool = SpoolState::Written;
            }
            return true;
        }
        // Or to one that acknowledges nothing: the row goes when it is written.
        if user.resources.iter().filter_map(|r| r.conn).any(|c| self.cx.wires.has_row(c, row.id)) {
            return true;
        }
        // A client has it. The row was read before it went, or written again after: a request whose answer is lost
        // is repeated.
        if user.gone.contains(row.id) {
            self.delete_row(id, row);
            return true;
        }
        let (mut from, mut to) = (String::new(), String::new());
        let own = user.jid.clone();
        let parsed = scan(&row.stanza, &ns, &ScanLimits::OWN).ok().and_then(|view| {
            let kind = Kind::read(view.name(), view.type_().as_deref())?.ok()?;
            let (from_text, to_text) = (view.from()?.into_owned(), view.to()?.into_owned());
            Some((view, kind, from_text, to_text))
        });
        let Some((view, Kind::Message(kind), from_text, to_text)) = parsed else {
            // Damaged: nothing can ever be done with it.
            self.delete_row(id, row);
            return true;
        };
        let Ok(from) = jid::parse(&from_text, &mut from) else {
            self.delete_row(id, row);
            return true;
        };
        let to = jid::parse(&to_text, &mut to).unwrap_or(own.as_ref());
        let stanza = Stanza { view: &view, kind: Kind::Message(kind), from, to: Some(to) };
        let mut views: Vec<ResourceView> = user
            .resources
            .iter()
            .map(|r| ResourceView { available: r.presence.is_some(), priority: r.priority })
            .collect();
        if let Some(cluster) = &mut self.cluster {
            cluster.look(user);
            cluster.hide(&mut views);
        }
        let Decision::Deliver(resources) = decide(What::Message { kind, keep: true }, Target::Bare, &views)
        else {
            return false;
        };
        let meta = Meta {
            id: row.id,
            at: row.at,
            settle: None,
            delayed: true,
            lang: None,
            only: None,
            turn: Turn::FIRST,
        };
        self.give(id, &stanza, meta, resources, true, SpoolState::Written);
        true
    }

    fn delete_row(&mut self, id: UserId, row: &SpoolRow) {
        if let Some(user) = self.users.get_mut(id) {
            let op = StoreOp::SpoolDelete { user: user.jid.clone(), ids: vec![row.id] };
            self.cx.store(op, Wait::Nobody);
        }
    }
}
