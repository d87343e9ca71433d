//! What must be true, all along and in the end (docs/ARCHITECTURE.md).

use std::sync::Arc;

use super::auth::bare;
use super::client::{Client, DIRECTED};
use super::ledger::{Fate, Tag, tags_in};
use super::world::World;
use crate::base::{Mono, Span};
use crate::user::roster::Roster;

impl World {
    /// Whether a message that was acknowledged is where it cannot be lost (invariants 1 and 14). `finally`: whether it
    /// still is.
    fn is_safe(&mut self, tag: Tag, finally: bool) -> bool {
        let refused = self.may_refuse();
        let Some(sent) = self.ledger.get(tag) else { return false };
        let (fate, to, client) = (sent.fate, sent.to, sent.client);
        // An error from somebody who is blocked by now does not arrive.
        let sender = self.clients[client].plan.user;
        let shut = |a, b| self.ledger.shut.contains(&(a, b));
        let excused = to.is_some_and(|to| shut(sender, to) && (refused || shut(to, sender)));
        let Some(sent) = self.ledger.get(tag) else { return false };
        if excused || sent.bounced > 0 || sent.written || sent.receipts.iter().any(|r| r.firm) {
            return true;
        }
        let Some(user) = to.filter(|_| fate == Fate::Keep) else { return fate == Fate::Fleeting };
        if finally {
            // What is delivered and not acknowledged is still in the spool, or in a queue of a live session.
            let here = sent.receipts.iter().any(|r| !r.void);
            return here || self.store.spooled(&bare(user)).contains(&tag);
        }
        self.store.ever_had(tag) || self.is_on_the_wire(tag, user)
    }

    /// Whether a message is on its way to a client that manages nothing.
    fn is_on_the_wire(&self, tag: Tag, user: usize) -> bool {
        self.network.iter().any(|(conn, link)| {
            let client = &self.clients[link.client];
            let own = client.conn == Some(conn);
            let managed = if own { client.is_managed() } else { link.managed };
            if client.plan.user != user || managed {
                return false;
            }
            let inbox: &[u8] = if own { &client.inbox } else { &[] };
            let bytes = [inbox, link.down.rest()].concat();
            tags_in(&bytes).any(|t| t == tag)
        })
    }

    /// What was acknowledged just now is safe.
    pub(super) fn check_acked(&mut self) {
        for tag in std::mem::take(&mut self.ledger.acked) {
            if !self.is_safe(tag, false) && !self.may_move(tag) {
                self.ledger.fail(format!("{tag} is acknowledged and nowhere safe"));
            }
        }
        for server in &self.servers {
            let late = server.stopping.is_some_and(|since| self.now.mono.since(since) > Span::secs(60));
            if late && !server.is_frozen {
                let census = server.node.as_ref().map(|n| n.census());
                self.ledger.fail(format!("a node does not stop: {census:?}"));
            }
        }
    }

    /// Whether the session of its sender may be on its way to another node: an error about what was just acknowledged goes there
    /// with it, and is looked for in the end.
    fn may_move(&mut self, tag: Tag) -> bool {
        let client = self.ledger.get(tag).map(|sent| sent.client);
        let server = client.and_then(|client| self.clients[client].server);
        let leaves = server.is_some_and(|server| !self.servers[server].takes_clients());
        let conn = client.and_then(|client| self.clients[client].conn);
        let ends = conn.and_then(|conn| self.network.get(conn)).is_some_and(|link| link.down.eof);
        (leaves || ends) && self.servers.len() > 1 && self.may_refuse()
    }

    /// No queue is over its limit (invariant 8).
    pub(super) fn check_limits(&mut self, s: usize) {
        let Some(node) = &self.servers[s].node else { return };
        for engine in node.engines() {
            if let Err(what) = engine.audit() {
                return self.ledger.fail(what);
            }
        }
    }

    /// Without faults the server acknowledges within two seconds (invariant 12). A store that says that it is overloaded is
    /// asked again later and later, for ten seconds: that long may what is to be stored stay unacknowledged.
    pub(super) fn check_behind(&mut self, client: usize) {
        if !self.ledger.faultless || self.plan.faults.overloaded > 0 {
            return;
        }
        if let Some(bytes) = self.clients[client].is_behind(self.now.mono, Span::millis(2_500)) {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.ledger.fail(format!("client {client} waits for the ack of {text}"));
        }
    }

    /// Everything is well in the end.
    pub(super) fn check_end(&mut self) {
        self.check_sessions();
        self.check_roles();
        self.check_drains();
        self.check_registries();
        self.check_messages();
        self.check_spools(Span(0));
        self.check_presence();
        self.check_queries();
    }

    fn check_sessions(&mut self) {
        for client in &self.clients {
            if !client.is_active() {
                return self.ledger.fail(format!("client {} has no session in the end", client.number));
            }
            if let Some((bytes, n)) =
                client.managed.as_ref().and_then(|m| Some((m.unacked.front()?, m.acked)))
            {
                let text = String::from_utf8_lossy(&bytes.1).into_owned();
                let who = client.number;
                return self.ledger.fail(format!("h of client {who} stays at {n}, before {text}"));
            }
        }
        let mut resources = 0;
        for (s, server) in self.servers.iter().enumerate() {
            let Some(node) = &server.node else {
                return self.ledger.fail(format!("there is no server {s} in the end"));
            };
            let census = node.census();
            resources += census.resources;
            if census.requests > 0 {
                self.ledger.fail(format!("requests are left without answer (invariant 9): {s} {census:?}"));
            }
        }
        if resources != self.clients.len() {
            self.ledger.fail(format!("{} clients, and {resources} sessions", self.clients.len()));
        }
    }

    fn check_messages(&mut self) {
        for n in 0..self.ledger.sent.len() {
            let tag = Tag(n as u32);
            let sent = &self.ledger.sent[n];
            let (acked, fate, bounced) = (sent.acked, sent.fate, sent.bounced);
            let got = sent.receipts.iter().any(|r| r.firm);
            // An error that was queued for a session that is over went with it.
            let over = self.clients[sent.client].session != sent.session;
            let sender = self.clients[sent.client].plan.user;
            // Whoever is blocked is told so by an error.
            let is_shut_out = sent.to.is_some_and(|to| self.ledger.shut.contains(&(to, sender)));
            if acked && fate == Fate::Hopeless && bounced == 0 && !over {
                return self.ledger.fail(format!("{tag} can reach nobody and did not come back"));
            }
            if self.ledger.faultless && self.plan.faults.overloaded == 0 && bounced > 0 && got {
                return self.ledger.fail(format!("{tag} was delivered and came back (invariant 11)"));
            }
            if acked
                && fate == Fate::Keep
                && !(over && (self.may_refuse() || is_shut_out))
                && !self.is_safe(tag, true)
            {
                let sent = format!("{:?}", self.ledger.sent[n]);
                return self.ledger.fail(format!("{tag} is lost (invariant 1): {sent}"));
            }
        }
    }

    /// Whether the server may have had reasons to refuse messages that it usually keeps: a store that does not store (an
    /// overloaded one does neither now nor, perhaps, in the ten seconds in which it is asked again; DESIGN §5), or a limit that is so low
    /// that clients reach it.
    fn may_refuse(&self) -> bool {
        let (faults, limits, plain) = (&self.plan.faults, &self.plan.limits, crate::base::Limits::default());
        faults.store_fails > 0
            || faults.overloaded > 0
            || faults.lost_answer > 0
            || !faults.outages.is_empty()
            || limits.spool_messages_per_user_max < plain.spool_messages_per_user_max
            || limits.loading_stanzas_max < plain.loading_stanzas_max
    }

    /// Nothing waits for users who are there (invariant 12), at least nothing that is older. Of a store that had failed, or was too busy
    /// to read or to delete, this is not promised within the time that a run has: the sweep comes once in 30 s, and begins anew where it
    /// was refused.
    pub(super) fn check_spools(&mut self, older: Span) {
        let faults = &self.plan.faults;
        if faults.store_fails > 0 || !faults.outages.is_empty() || faults.overloaded > 0 {
            return;
        }
        for user in 0..self.plan.users {
            let gets = |c: &&Client| c.plan.priority >= 0 && c.status.is_some();
            let there = self.clients.iter().filter(gets).any(|c| c.plan.user == user);
            let waits = |tag: &Tag| {
                // Some client may have it that the server does not listen to yet.
                let receipts = self.ledger.sent.get(tag.0 as usize).map_or(&[][..], |sent| &sent.receipts);
                let is_had = older.0 > 0 && receipts.iter().any(|r| !r.firm && !r.void);
                self.now.mono.since(self.store.since(*tag)) >= older && !is_had
            };
            let rows: Vec<Tag> = self.store.spooled(&bare(user)).into_iter().filter(waits).collect();
            if there && !rows.is_empty() {
                let (n, tags) = (rows.len(), rows.iter().map(Tag::to_string).collect::<Vec<_>>());
                self.ledger.fail(format!("{n} messages wait for user {user}, who is there: {tags:?}"));
            }
        }
    }

    /// Each subscriber knows the truth, and nobody else does (invariants 6 and 7).
    pub(super) fn check_presence(&mut self) {
        // Presence for somebody whose record this node is just reading is refused when there is too much of it. Nobody says it again:
        // RFC 6121 does not promise presence. With the limit that nodes have, 256 stanzas while one record is read, no run gets there.
        if self.servers.len() > 1
            && self.plan.limits.loading_stanzas_max < crate::base::Limits::default().loading_stanzas_max
        {
            return;
        }
        // A change that was given up and carried out all the same is known to the store only.
        let faults = &self.plan.faults;
        if faults.lost_answer > 0 || faults.outages.iter().any(|o| o.1 > Span::secs(7)) {
            return;
        }
        let roster = |user| Roster::decode(&self.store.load(&bare(user)).roster.1).unwrap_or_default();
        let rosters: Vec<Roster> = (0..self.plan.users).map(roster).collect();
        let blocked: Vec<Arc<[u8]>> =
            (0..self.plan.users).map(|u| self.store.load(&bare(u)).blocked.1).collect();
        let mut wrong = None;
        for me in self.clients.iter().filter(|me| me.status.is_some()) {
            for other in &self.clients {
                let (u, v) = (me.plan.user, other.plan.user);
                if !blocked[u].is_empty() || !blocked[v].is_empty() {
                    // Who blocks the other, too, or did so, was not told.
                    let is_told = !self.ledger.shut.contains(&(u, v));
                    let seen = me.view.get(&other.jid).is_some_and(|status| *status != DIRECTED);
                    if is_told && seen && blocks(&blocked[v], u) {
                        let (a, b) = (me.number, other.number);
                        wrong.get_or_insert(format!("client {a} sees client {b}, whose user blocks it"));
                    }
                    continue;
                }
                let to = u == v || rosters[u].subscription(&bare(v)).to();
                let from = u == v || rosters[v].subscription(&bare(u)).from();
                let seen = me.view.get(&other.jid).copied();
                if to && from && seen != other.status && seen != Some(DIRECTED) {
                    let (a, b) = (me.number, other.number);
                    let text =
                        format!("client {a} believes {seen:?} of client {b}, which is {:?}", other.status);
                    wrong.get_or_insert(text);
                }
                if !from && seen.is_some() && seen == other.status {
                    wrong.get_or_insert(format!(
                        "client {} knows the presence of client {} and may not",
                        me.number, other.number
                    ));
                }
            }
            // Who was blocked may not have heard of the end.
            let ghost = |jid: &str| self.clients.iter().all(|c| c.jid != jid) && !self.plan.blocks;
            let seen = me.view.iter().filter(|v| *v.1 != DIRECTED).map(|v| v.0);
            let ghosts: Vec<_> = seen.filter(|jid| ghost(jid)).collect();
            if !ghosts.is_empty() {
                wrong.get_or_insert(format!("client {} believes that {ghosts:?} are there", me.number));
            }
        }
        if let Some(wrong) = wrong {
            self.ledger.fail(wrong);
        }
    }

    /// Whose messages must not arrive from now on, because of what is in the store.
    pub(super) fn note_blocked(&mut self) {
        let faults = &self.plan.faults;
        if faults.lost_answer > 0 || faults.outages.iter().any(|o| o.1 > Span::secs(7)) {
            return;
        }
        let lists: Vec<Arc<[u8]>> =
            (0..self.plan.users).map(|u| self.store.load(&bare(u)).blocked.1).collect();
        let pairs = self.clients.iter().flat_map(|c| (0..lists.len()).map(move |u| (c, u)));
        let blocked = pairs.filter(|(c, u)| blocks(&lists[*u], c.plan.user)).map(|(c, u)| (c.number, u));
        self.ledger.blocked = Some((Tag(self.ledger.sent.len() as u32), blocked.collect()));
    }

    /// Each query of a session that lives has one answer, if nothing went wrong; the last ones in any case.
    fn check_queries(&mut self) {
        let last = |at: Mono| self.end.since(at) < Span::secs(26);
        let open = self.ledger.queries.iter().position(|q| {
            let client = &self.clients[q.client];
            let same = client.session == q.session;
            let heard = q.about.is_none_or(|user| !self.ledger.shut.contains(&(client.plan.user, user)));
            let due = last(q.at) || self.ledger.faultless;
            q.answers == 0 && q.certain && heard && same && due
        });
        if let Some(query) = open {
            let client = self.ledger.queries[query].client;
            self.ledger.fail(format!("query {query} of client {client} has no answer"));
        }
    }
}

/// Whether a block list, as it is stored, names a user.
fn blocks(list: &[u8], user: usize) -> bool {
    list.split(|b| *b == b'\n').any(|jid| jid == bare(user).as_bytes())
}
