//! The lives of the servers, and the end of all faults.

use crate::base::{HashKey, Span};
use crate::cluster::agent;
use crate::effect::{Domain, Settings};
use crate::node::Node;
use crate::sasl::Mechanism;
use crate::sim::auth::DOMAIN;
use crate::sim::events::Event;
use crate::sim::network::Link;
use crate::sim::world::World;
use crate::xep;

/// What waits in the spool for somebody who is there is found within this time, also if nobody told of it.
const FOUND_WITHIN: Span = Span::secs(60);

impl World {
    /// A server starts.
    pub(super) fn on_start(&mut self, s: usize) {
        if self.servers[s].node.is_some() {
            return;
        }
        let mut domain = Domain::new(DOMAIN);
        domain.plaintext = true;
        domain.mechanisms = vec![Mechanism::ScramSha256, Mechanism::ScramSha1, Mechanism::Plain];
        let key = HashKey { k0: 11 + s as u64, k1: 12 };
        let mut settings = Settings::new(vec![domain], key, [7; 16]);
        settings.limits = self.plan.limits.clone();
        settings.plant = self.plan.plant;
        let mut seed = [0; 32];
        self.rng.fill(&mut seed);
        let (workers, now) = (self.plan.workers, self.servers[s].now(self.now));
        let node = match &self.plan.cluster {
            None => Node::new(&settings, workers, seed, xep::standard),
            Some(cluster) => {
                let cluster = cluster.settings(s, self.servers[s].life, self.plan.plant);
                Node::in_cluster(now, &settings, workers, cluster, seed, xep::standard)
            }
        };
        self.servers[s].life += 1;
        self.servers[s].node = Some(node);
        self.trace.say(self.now.mono, || format!("server {s} starts"));
        self.drain(s);
    }

    /// Every connection of a server that is gone.
    fn cut_all(&mut self, s: usize) {
        for conn in self.network.ids() {
            let way = self.way();
            let seen = self.rng.below(2) == 0 || self.healing;
            let Some(link) = self.network.get(conn).filter(|link| link.server == s) else { continue };
            (link.server_open, link.dead) = (false, true);
            let client = link.client;
            if !link.client_open {
                self.bury(conn);
            } else if seen {
                let epoch = self.clients[client].epoch;
                self.events.at(self.now.mono + way, Event::ClientEof(client, epoch));
            }
        }
    }

    /// The process of a server ends, and another will begin.
    fn end(&mut self, s: usize, loses_power: bool) {
        self.end_links(s, loses_power);
        self.servers[s].end();
        self.store.forget_queue(s);
        self.cut_all(s);
        let pause = Span::millis(self.rng.below(4_000));
        self.events.at(self.now.mono + pause, Event::Start(s));
    }

    pub(super) fn on_crash(&mut self, s: usize, loses_power: bool) {
        if self.servers[s].node.is_some() {
            self.trace.say(self.now.mono, || format!("server {s} dies"));
            self.end(s, loses_power);
        }
    }

    pub(super) fn on_shutdown(&mut self, s: usize) {
        let server = &mut self.servers[s];
        if server.node.is_some() && server.stopping.is_none() {
            server.stopping = Some(self.now.mono);
            self.trace.say(self.now.mono, || format!("server {s} is told to stop"));
            self.begin_stop(s);
        }
    }

    /// Its engines have come to rest. What is part of a cluster says good-bye.
    pub(super) fn on_stopped(&mut self, s: usize) {
        if self.servers[s].stopping.is_none() {
            return self.ledger.fail("the node stopped unasked".to_owned());
        }
        self.trace.say(self.now.mono, || format!("server {s} has stopped"));
        match self.plan.cluster {
            None => self.end(s, false),
            Some(_) => self.cluster_input(s, agent::Input::Leave),
        }
    }

    /// A server has left its cluster.
    pub(super) fn on_left(&mut self, s: usize) {
        if self.servers[s].stopping.is_none() {
            return self.ledger.fail("the node left unasked".to_owned());
        }
        self.end(s, false);
    }

    /// A server stops in the middle of whatever it does, or goes on.
    pub(super) fn on_freeze(&mut self, s: usize, on: bool) {
        let server = &mut self.servers[s];
        if server.node.is_none() || server.is_frozen == on {
            return;
        }
        server.is_frozen = on;
        self.trace.say(self.now.mono, || format!("server {s} {}", if on { "freezes" } else { "thaws" }));
        if on {
            return;
        }
        let server = &mut self.servers[s];
        for event in std::mem::take(&mut server.waiting) {
            self.events.at(self.now.mono, event);
        }
        for conn in self.network.ids() {
            let blocked = |l: &&mut Link| l.server == s && l.blocked && l.server_open;
            if self.network.get(conn).as_ref().is_some_and(blocked) {
                self.write(s, conn);
            }
        }
        self.write_links(s);
        self.drain(s);
    }

    pub(super) fn on_heal(&mut self) {
        let now = self.now.mono;
        self.trace.say(now, || "everything heals".to_owned());
        self.healing = true;
        for server in 0..self.servers.len() {
            self.on_freeze(server, false);
            for worker in 0..self.plan.workers {
                self.events.at(now, Event::Hold(server, worker, false));
            }
        }
        self.heal_fabric();
        self.heal_roles();
        for conn in self.network.ids() {
            let Some(link) = self.network.get(conn) else { continue };
            link.stalled = now;
            if link.dead {
                let client = link.client;
                self.events.at(now, Event::ServerEof(conn));
                if self.clients[client].conn == Some(conn) {
                    let epoch = self.clients[client].epoch;
                    self.events.at(now, Event::ClientEof(client, epoch));
                }
            } else {
                self.kick(conn);
            }
        }
    }

    /// Everybody says something to somebody in the middle of the night, and one of the nodes dies.
    pub(super) fn on_night(&mut self) {
        self.kills_writer = true;
        for client in 0..self.clients.len() {
            if self.clients[client].is_active() {
                self.with_client(client, |c, hands| c.say_message(hands));
                self.flush(client);
            }
        }
    }

    /// Nothing has changed for a while. Everybody says how they are, and something to somebody.
    pub(super) fn on_quiet(&mut self) {
        self.check_presence();
        // Whoever writes to somebody may find what waits: until then only those find it who look for it.
        self.check_spools(FOUND_WITHIN);
        self.note_blocked();
        for client in 0..self.clients.len() {
            if !self.clients[client].is_active() {
                let stage = self.clients[client].stage;
                return self.ledger.fail(format!("client {client} has no session after all: {stage:?}"));
            }
            self.with_client(client, |c, hands| {
                c.say_presence(hands);
                (0..3).for_each(|_| c.say_message(hands));
                c.ask_server(hands);
                c.request();
            });
            self.flush(client);
        }
    }
}
