//! One worker: the connections accepted on it and all users whose home it is.
//!
//! Owns: the [`Engine`], which composes sessions, users, the decision and the extensions, and its face
//! ([`Input`], [`Command`], and [`Output`]).
//! In: inputs at a time. Out: outputs in order, and bytes in outboxes.
//! Invariants: an input is handled to its end before the next; everything about a user happens on its home worker;
//! a message from a client with stream management is settled exactly once, and not before it is safe
//! (docs/ARCHITECTURE.md, "acked means safe").
//! Not here: rules about one stream (`session/`), one user (`user/`), one extension (`xep/`); this folder only
//! brings them together. Its files follow the way of a stanza: `connections` → `bound` → `dispatch` → `deliver` →
//! `settle`, with `enter` and `leave` at a session's ends, `drain` when all are to end, `answers` for what stores and authenticators say, and `nodes` for what
//! is elsewhere.

mod answers;
#[cfg(feature = "sim")]
mod audit;
mod bound;
mod command;
mod connections;
mod deliver;
mod dispatch;
mod drain;
mod enter;
mod face;
mod iq;
mod leave;
mod nodes;
mod settle;
#[cfg(test)]
mod sizes;
mod sm;
mod spool;
mod tables;

#[cfg(test)]
mod tests;

pub use face::{Command, Input, KickReason};

use std::sync::Arc;

use crate::base::{ConnId, Mono, Now, Rng, UserId};
use crate::effect::{
    Batch, Counts, Cx, Deadline, Mail, NodeMail, Output, Promise, ResourceId, Settings, Told, Unacked,
};
use crate::ext::{Extension, Host};
use crate::session::HandOver;
use crate::user::UserPools;
use drain::Drain;
use nodes::Cluster;
use tables::{Expired, Sessions, Users};

/// One worker's engine. See the crate's documentation for how it is driven.
pub struct Engine {
    cx: Cx,
    sessions: Sessions,
    users: Users,
    host: Host,
    /// Sessions that are over, for `<failed h='…'/>` (XEP-0198 §5).
    expired: Expired,
    /// Connections whose input was held and may be handled now.
    released: Vec<ConnId>,
    /// Resources whose client may be owed an `<a/>`.
    acks: Vec<(UserId, ResourceId)>,
    /// Where frames cut by reads are put together.
    frame: Vec<u8>,
    /// Where stanzas are written before they go to several places.
    stanza: Vec<u8>,
    /// The address of the client whose stanza is looked at.
    sender: String,
    /// Memory of queues that no user needs at present.
    user_pools: UserPools,
    /// What a client has just acknowledged, while it is looked at.
    acked: Vec<Unacked>,
    /// The promises that were just kept, while they are looked at.
    written: Vec<Promise>,
    /// Bytes of messages that the store was asked to write and has not answered for.
    storing: usize,
    /// Other nodes, if there are any.
    cluster: Option<Box<Cluster>>,
    /// Sessions are leaving, if they are.
    drain: Option<Box<Drain>>,
    stopping: bool,
    stopped: bool,
}

impl Engine {
    /// An engine with these settings. The seed decides everything that looks random.
    pub fn new(settings: Settings, seed: [u8; 32], extensions: Vec<Box<dyn Extension>>) -> Self {
        let mut rng = Rng::from_seed(seed);
        let users = Users::new(rng.hash_key());
        let expired = Expired::new(rng.hash_key());
        let host = Host::new(extensions, &settings);
        let cluster = settings.cluster.as_deref().map(|own| {
            let key = rng.hash_key();
            let worker = (settings.worker.0, settings.workers);
            Box::new(Cluster::new(own, worker, key, &mut rng))
        });
        let mut cx = Cx::new(Arc::new(settings), rng);
        cx.stream_features = host.stream_features();
        Engine {
            cx,
            sessions: Sessions::default(),
            users,
            host,
            expired,
            released: Vec::new(),
            acks: Vec::new(),
            frame: Vec::new(),
            stanza: Vec::new(),
            sender: String::new(),
            user_pools: UserPools::default(),
            acked: Vec::new(),
            written: Vec::new(),
            storing: 0,
            cluster,
            drain: None,
            stopping: false,
            stopped: false,
        }
    }

    /// Takes an input. It never fails: what is wrong with it shows in the outputs.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        self.cx.now = now;
        match input {
            Input::Accepted { conn, listener, peer } => self.on_accepted(conn, listener, peer),
            Input::Received { conn, bytes } => self.on_received(conn, bytes),
            Input::Secured { conn, tls } => self.on_secured(conn, tls),
            Input::Closed { conn } => self.on_lost(conn),
            Input::Stored { id, result } => self.on_stored(id, result),
            Input::Account { id, result } => self.on_account(id, result),
            Input::Mail { from: _, batch } => self.on_mail(batch),
            Input::Cluster { mail } => self.on_cluster(mail),
            Input::Adopt { conn, state } => self.on_adopted(conn, *state),
            Input::Command(command) => self.on_command(command),
            Input::Tick => {}
        }
        self.on_time();
        self.finish();
    }

    /// The next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.cx.outputs.pop_front() {
            if let Output::Close { conn } = output {
                self.forget(conn);
            }
            return Some(output);
        }
        // First what other nodes are to know of sessions here: what another worker then sends them because of the mail it
        // gets comes after that.
        if let Some(mail) = self.cx.pop_node_mail() {
            return Some(Output::Cluster(mail));
        }
        if let Some((worker, batch)) = self.cx.pop_batch() {
            return Some(Output::Mail { worker, batch });
        }
        if self.stopping && !self.stopped && self.is_at_rest() {
            self.stopped = true;
            return Some(Output::Stopped);
        }
        None
    }

    /// When the engine wants to be called at the latest, and why. May be early.
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let request = self.cx.pending.next_deadline().map(|at| (at, "request"));
        let own = match (self.cx.timers.next(), request) {
            (Some(a), Some(b)) => Some(if a.0 <= b.0 { a } else { b }),
            (a, b) => a.or(b),
        };
        match self.drain_due() {
            None => own,
            Some(drain) => Some(own.filter(|own| own.0 <= drain.0).unwrap_or(drain)),
        }
    }

    /// The next connection that has something to send; each once per turn.
    pub fn poll_dirty(&mut self) -> Option<ConnId> {
        self.cx.wires.poll_dirty()
    }

    /// The unsent bytes of a connection, as slices from the first; returns how many slices.
    pub fn outgoing<'a>(&'a self, conn: ConnId, out: &mut [&'a [u8]]) -> usize {
        self.cx.wires.outgoing(conn, out)
    }

    /// `n` bytes were sent, perhaps none because the peer does not read: to be called after each attempt to send.
    pub fn sent(&mut self, now: Now, conn: ConnId, n: usize) {
        self.cx.now = now;
        let Cx { wires, outputs, .. } = &mut self.cx;
        let mut written = std::mem::take(&mut self.written);
        let heeded = wires.sent(conn, n, outputs, |promise| written.push(promise));
        self.on_written(conn, &written);
        written.clear();
        self.written = written;
        if heeded && let Some(session) = self.sessions.get_mut(conn) {
            session.on_sent(&mut self.cx);
            if let Some(seat) = session.seat()
                && self.cx.wires.len(conn) == 0
            {
                self.spool_next(seat.user);
            }
        }
        self.finish();
    }

    /// What is known of a connection that moves ([`Output::HandOver`]); it is forgotten here. `None` for any other, and
    /// for one that was lost since, because it broke ([`Input::Closed`]) or the driver took too long: then there is
    /// nothing to move, and the driver closes it.
    pub fn take(&mut self, conn: ConnId) -> Option<Box<HandOver>> {
        self.sessions
            .get_mut(conn)
            .filter(|session| session.holds.moving && self.cx.wires.is_closed(conn))?;
        let mut session = self.sessions.remove(conn)?;
        session.disarm(&mut self.cx);
        Some(HandOver::pack(session, self.cx.wires.pool()))
    }

    /// A batch that another worker has read ([`Output::Mail`]) is filled again: so mail needs no memory of its own.
    pub fn reuse(&mut self, batch: Batch) {
        self.cx.keep_batch(batch);
    }

    /// The same of what the agent has read ([`Output::Cluster`]).
    pub fn reuse_node_mail(&mut self, mail: NodeMail) {
        self.cx.keep_node_mail(mail);
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.cx.settings
    }

    /// How much there is of what an operator wants to know.
    pub fn census(&self) -> Census {
        Census {
            connections: self.sessions.len(),
            users: self.users.len(),
            resources: self.cx.counts.sessions.iter().map(|n| *n as usize).sum(),
            requests: self.cx.pending.len(),
            timers: self.cx.timers.len(),
        }
    }

    /// What it counts. No more work than a copy, as [`Engine::census`].
    pub fn counts(&self) -> &Counts {
        &self.cx.counts
    }

    fn on_time(&mut self) {
        while let Some((deadline, _)) = self.cx.timers.pop_due(self.cx.now.mono) {
            match deadline {
                Deadline::Conn(conn) => self.on_conn_time(conn),
                Deadline::User(user) => self.on_user_time(user),
                Deadline::Cluster => self.on_cluster_time(),
            }
        }
        while let Some((id, request)) = self.cx.retry() {
            self.on_unanswered(id, request);
        }
        if self.drain.is_some() {
            self.drain_on();
        }
    }

    /// Other workers tell something. What follows from it for this worker comes after all of it.
    fn on_mail(&mut self, batch: &mut Batch) {
        for told in batch.iter() {
            match told {
                Told::Stanza(posted) => self.deliver_posted(posted),
                Told::Scanned(scanned) => self.deliver_scanned(scanned),
                Told::Settled(settle) => self.on_settled(settle),
            }
        }
        batch.clear();
    }

    /// Everything that an input set in motion comes to rest.
    fn finish(&mut self) {
        loop {
            if let Some(mail) = self.cx.local.pop_front() {
                match mail {
                    Mail::Stanza(envelope) => self.deliver_posted(envelope.posted()),
                    Mail::Settled(settle) => self.on_settled(settle),
                }
            } else if let Some(elsewhere) = self.cx.elsewhere.pop_front() {
                self.on_elsewhere(&elsewhere);
            } else if let Some(conn) = self.cx.wires.poll_overflow() {
                self.on_lost(conn);
            } else if let Some((user, resource)) = self.acks.pop() {
                self.send_ack(user, resource);
            } else if let Some(conn) = self.released.pop() {
                self.pump(conn, &[]);
            } else {
                break;
            }
        }
    }
}

/// How much there is of what an operator wants to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Connections, in whatever phase.
    pub connections: usize,
    /// Users in memory.
    pub users: usize,
    /// Sessions, connected or waiting to be resumed.
    pub resources: usize,
    /// Requests without answer.
    pub requests: usize,
    /// Armed timers.
    pub timers: usize,
}
