//! One node in one thread: its workers, its part in a cluster, and everything that goes between them.
//!
//! Owns: the engines of all workers, the mail between them, the hand-over of connections to their users' homes, the
//! mapping from the ids that the driver uses to those of each engine; in a cluster also the node's [`Member`] and the news
//! between that and the workers.
//! In and out: the same [`Input`] and [`Output`] as one engine, but for what only workers and the member say to each other:
//! [`Output::Mail`], [`Output::HandOver`] and [`Output::Cluster`] never come out, [`Input::Mail`], [`Input::Adopt`] and
//! [`Input::Cluster`] never go in. A connection keeps its id for life, wherever it goes. For links to other nodes there is a
//! second set of the same calls ([`Node::handle_cluster`] and those beside it): they have ids of their own, and nothing that
//! is said there has to be in order with what is said here.
//! Invariants: mail between two workers keeps its order, and so do the news of each; with the same inputs a node gives the
//! same outputs.
//! Not here: what a worker does (`engine/`), what a cluster is (`cluster/`), threads (`chat-net` runs each engine on its own).

mod cluster;
mod ids;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::base::{ConnId, Mono, Now, RequestId, Rng, WorkerId};
use crate::cluster::agent;
use crate::cluster::member::Member;
use crate::cluster::roles;
use crate::effect::{Batch, NodeMail, Output, Settings};
use crate::engine::{Census, Command, Engine, Input};
use crate::ext::Extension;
use ids::Conns;

/// The engines of one node, driven as if they were one.
pub struct Node {
    engines: Vec<Engine>,
    conns: Conns,
    /// Mail on its way, by recipient, in the order it was sent.
    mail: Vec<VecDeque<(WorkerId, Batch)>>,
    /// The node's part in its cluster.
    member: Option<Box<Member>>,
    /// What that has to tell the workers, by recipient, and the driver.
    news: Vec<VecDeque<NodeMail>>,
    told: VecDeque<agent::Output<'static>>,
    /// What has become of its role.
    roles: VecDeque<roles::Output>,
    /// Workers that get no mail for now.
    held: Vec<bool>,
    /// How many workers have come to rest after [`Command::Shutdown`].
    stopped: usize,
    outputs: VecDeque<Output>,
    /// The worker that gets the next connection.
    next: u16,
}

impl Node {
    /// A node alone, of `workers` workers, at least one. The seed decides everything that looks random; `extensions` makes
    /// each worker's own.
    pub fn new(
        settings: &Settings,
        workers: u16,
        seed: [u8; 32],
        extensions: impl FnMut(&Settings) -> Vec<Box<dyn Extension>>,
    ) -> Self {
        Node::with(
            &Settings { cluster: None, ..settings.clone() },
            workers,
            &mut Rng::from_seed(seed),
            extensions,
        )
    }

    fn with(
        settings: &Settings,
        workers: u16,
        rng: &mut Rng,
        mut extensions: impl FnMut(&Settings) -> Vec<Box<dyn Extension>>,
    ) -> Self {
        let workers = workers.max(1);
        let engine = |w| {
            let settings = Settings { worker: WorkerId(w), workers, ..settings.clone() };
            let mut seed = [0; 32];
            rng.fill(&mut seed);
            let extensions = extensions(&settings);
            Engine::new(settings, seed, extensions)
        };
        Node {
            engines: (0..workers).map(engine).collect(),
            conns: Conns::new(workers),
            mail: (0..workers).map(|_| VecDeque::new()).collect(),
            member: None,
            news: (0..workers).map(|_| VecDeque::new()).collect(),
            told: VecDeque::new(),
            roles: VecDeque::new(),
            held: vec![false; usize::from(workers)],
            stopped: 0,
            outputs: VecDeque::new(),
            next: 0,
        }
    }

    /// Takes an input, as [`Engine::handle`] does. New connections go to the workers in turn; a command that concerns
    /// everybody goes to all of them.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Accepted { conn, listener, peer } => {
                let worker = WorkerId(self.next);
                self.next = (self.next + 1) % self.engines.len() as u16;
                let conn = self.conns.open(conn, worker);
                self.give(now, worker, Input::Accepted { conn, listener, peer });
            }
            Input::Received { conn, bytes } => {
                if let Some((worker, conn)) = self.conns.inner(conn) {
                    self.give(now, worker, Input::Received { conn, bytes });
                }
            }
            Input::Secured { conn, tls } => {
                if let Some((worker, conn)) = self.conns.inner(conn) {
                    self.give(now, worker, Input::Secured { conn, tls });
                }
            }
            Input::Closed { conn } => {
                if let Some((worker, conn)) = self.conns.inner(conn) {
                    self.give(now, worker, Input::Closed { conn });
                }
            }
            Input::Stored { id, result } => {
                let (worker, id) = self.request(id);
                self.give(now, worker, Input::Stored { id, result });
            }
            Input::Account { id, result } => {
                let (worker, id) = self.request(id);
                self.give(now, worker, Input::Account { id, result });
            }
            Input::Command(command) => self.command(now, command),
            Input::Tick => self.tick(now),
            // Workers of a node talk to each other only, and to its member.
            Input::Mail { .. } | Input::Adopt { .. } | Input::Cluster { .. } => {}
        }
    }

    fn command(&mut self, now: Now, command: Command) {
        let worker = match &command {
            Command::Send { .. } => WorkerId(0),
            Command::Kick { user, .. } => self.engines[0].settings().home(user.as_str()),
            Command::Offer { .. } | Command::Drain { .. } | Command::Stay | Command::Shutdown => {
                for w in 0..self.engines.len() as u16 {
                    self.give(now, WorkerId(w), Input::Command(command.clone()));
                }
                return;
            }
        };
        self.give(now, worker, Input::Command(command));
    }

    /// Each worker whose time has come is told so.
    fn tick(&mut self, now: Now) {
        for w in 0..self.engines.len() {
            if self.engines[w].poll_timeout().is_some_and(|t| t.0 <= now.mono) {
                self.give(now, WorkerId(w as u16), Input::Tick);
            }
        }
        self.tick_cluster(now);
        self.carry_mail(now);
    }

    fn give(&mut self, now: Now, worker: WorkerId, input: Input<'_>) {
        self.engines[usize::from(worker.0)].handle(now, input);
        self.collect(now, worker);
        self.carry_mail(now);
    }

    /// Takes what a worker wants done, and does what concerns other workers.
    fn collect(&mut self, now: Now, worker: WorkerId) {
        let w = usize::from(worker.0);
        while let Some(output) = self.engines[w].poll_output() {
            match output {
                Output::Mail { worker: to, batch } => self.mail[usize::from(to.0)].push_back((worker, batch)),
                Output::HandOver { conn, worker: to } => self.hand_over(now, worker, conn, to),
                Output::Stopped => self.stopped += 1,
                Output::Store { id, op } => {
                    self.outputs.push_back(Output::Store { id: self.outer_request(worker, id), op });
                }
                Output::Account { id, op } => {
                    self.outputs.push_back(Output::Account { id: self.outer_request(worker, id), op });
                }
                Output::StartTls { conn } => {
                    if let Some(conn) = self.conns.outer(worker, conn) {
                        self.outputs.push_back(Output::StartTls { conn });
                    }
                }
                Output::Close { conn } => {
                    if let Some(conn) = self.conns.close(worker, conn) {
                        self.outputs.push_back(Output::Close { conn });
                    }
                }
                Output::Reading { conn, on } => {
                    if let Some(conn) = self.conns.outer(worker, conn) {
                        self.outputs.push_back(Output::Reading { conn, on });
                    }
                }
                Output::Cluster(mail) => self.tell_cluster(now, worker, mail),
                Output::Event(event) => self.outputs.push_back(Output::Event(event)),
            }
        }
    }

    fn hand_over(&mut self, now: Now, from: WorkerId, conn: ConnId, to: WorkerId) {
        let Some(state) = self.engines[usize::from(from.0)].take(conn) else {
            if let Some(conn) = self.conns.close(from, conn) {
                self.outputs.push_back(Output::Close { conn });
            }
            return;
        };
        let Some((outer, inner)) = self.conns.move_to(from, conn, to) else { return };
        // The old worker stopped reading; the new one has said nothing yet.
        self.outputs.push_back(Output::Reading { conn: outer, on: true });
        self.engines[usize::from(to.0)].handle(now, Input::Adopt { conn: inner, state });
        self.collect(now, to);
    }

    fn carry_mail(&mut self, now: Now) {
        loop {
            self.hear_cluster();
            let waits = |w: &usize| !self.mail[*w].is_empty() || !self.news[*w].is_empty();
            let next = (0..self.engines.len()).find(|w| !self.held[*w] && waits(w));
            let Some(w) = next else { break };
            if let Some(mail) = self.news[w].pop_front() {
                self.give_news(now, w, mail);
            }
            if let Some((from, mut batch)) = self.mail[w].pop_front() {
                self.engines[w].handle(now, Input::Mail { from, batch: &mut batch });
                self.engines[usize::from(from.0)].reuse(batch);
                self.collect(now, WorkerId(w as u16));
            }
        }
        if self.stopped == self.engines.len() && self.mail.iter().all(VecDeque::is_empty) {
            // A worker that had come to rest may have been given something since.
            if self.engines.iter().all(|e| e.census().requests == 0) {
                self.stopped = 0;
                self.outputs.push_back(Output::Stopped);
            }
        }
    }

    /// The next thing to be done; never mail nor a hand-over.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When the node wants to be called at the latest, and why. May be early.
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let engines = self.engines.iter().filter_map(Engine::poll_timeout);
        engines.chain(self.member.as_ref().and_then(|m| m.poll_timeout())).min_by_key(|t| t.0)
    }

    /// The next connection that has something to send.
    pub fn poll_dirty(&mut self) -> Option<ConnId> {
        for w in 0..self.engines.len() {
            while let Some(conn) = self.engines[w].poll_dirty() {
                if let Some(outer) = self.conns.outer(WorkerId(w as u16), conn) {
                    return Some(outer);
                }
            }
        }
        None
    }

    /// The unsent bytes of a connection, as slices from the first; returns how many slices.
    pub fn outgoing<'a>(&'a self, conn: ConnId, out: &mut [&'a [u8]]) -> usize {
        match self.conns.inner(conn) {
            Some((worker, conn)) => self.engines[usize::from(worker.0)].outgoing(conn, out),
            None => 0,
        }
    }

    /// `n` bytes were sent, perhaps none because the peer does not read: to be called after each attempt to send.
    pub fn sent(&mut self, now: Now, conn: ConnId, n: usize) {
        if let Some((worker, conn)) = self.conns.inner(conn) {
            self.engines[usize::from(worker.0)].sent(now, conn, n);
            self.collect(now, worker);
            self.carry_mail(now);
        }
    }

    /// Holds back the mail for one worker, as if its thread were slow, or lets it go. Mail held goes with the next
    /// input.
    pub fn hold(&mut self, worker: WorkerId, on: bool) {
        self.held[usize::from(worker.0)] = on;
    }

    /// The settings of the first worker.
    pub fn settings(&self) -> &Settings {
        self.engines[0].settings()
    }

    /// How much there is of what an operator wants to know, over all workers.
    pub fn census(&self) -> Census {
        self.engines.iter().map(Engine::census).fold(Census::default(), |all, one| Census {
            connections: all.connections + one.connections,
            users: all.users + one.users,
            resources: all.resources + one.resources,
            requests: all.requests + one.requests,
            timers: all.timers + one.timers,
        })
    }

    /// The workers, for those who look and do not touch.
    pub fn engines(&self) -> &[Engine] {
        &self.engines
    }

    /// Requests are told apart by their worker: the remainder of the id that the driver sees.
    fn outer_request(&self, worker: WorkerId, id: RequestId) -> RequestId {
        RequestId(id.0 * self.engines.len() as u64 + u64::from(worker.0))
    }

    fn request(&self, id: RequestId) -> (WorkerId, RequestId) {
        let n = self.engines.len() as u64;
        (WorkerId((id.0 % n) as u16), RequestId(id.0 / n))
    }
}
