//! Messages that waited for their recipient (XEP-0160): read when a resource becomes available, deleted when a
//! client has them.

use super::Engine;
use super::deliver::Meta;
use crate::base::UserId;
use crate::effect::{SpoolRow, SpoolSeq, StoreOp, Wait};
use crate::jid;
use crate::route::decision::{Decision, ResourceView, Target, What, decide};
use crate::stanza::{Kind, Stanza};
use crate::user::{Record, SpoolState};
use crate::xml::{ScanLimits, StreamNs, scan};

/// Rows and bytes that are read at a time.
const PAGE_ROWS: u32 = 100;
const PAGE_BYTES: u32 = 256 * 1024;

impl Engine {
    /// Begins to read the spool, if there may be something in it and somebody to have it.
    pub(super) fn spool_begin(&mut self, id: UserId) {
        let Some(user) = self.users.get_mut(id) else { return };
        let ready = matches!(user.record, Record::Ready);
        let somebody = user.resources.iter().any(|r| r.presence.is_some() && r.priority >= 0);
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
                // Nobody is there any more: the rest waits for the next.
                if let Some(user) = self.users.get_mut(id) {
                    user.spool.reading = false;
                    user.spool.waiting = true;
                    user.spool.more = false;
                }
                return;
            }
        }
        self.spool_next(id);
    }

    /// Gives a row to whoever would get the message if it came now; says whether there was anybody.
    fn give_row(&mut self, id: UserId, row: &SpoolRow) -> bool {
        let ns = StreamNs::client();
        let Some(user) = self.users.get_mut(id) else { return false };
        // It is on its way already, to a session that has not acknowledged it.
        if let Some((_, flight)) = user.flights.find(row.id) {
            if flight.spool == SpoolState::Refused {
                flight.spool = SpoolState::Written;
            }
            return true;
        }
        // Or to one that acknowledges nothing: the row goes when it is written.
        if user.resources.iter().filter_map(|r| r.conn).any(|c| self.cx.wires.is_promised(c, row.id)) {
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
        let views: Vec<ResourceView> = user
            .resources
            .iter()
            .map(|r| ResourceView { available: r.presence.is_some(), priority: r.priority })
            .collect();
        let Decision::Deliver(resources) = decide(What::Message { kind, keep: true }, Target::Bare, &views)
        else {
            return false;
        };
        let meta = Meta { id: row.id, at: row.at, settle: None, delayed: true, lang: None };
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
