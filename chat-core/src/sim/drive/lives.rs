//! The lives of the server, and the end of all faults.

use crate::base::Span;
use crate::engine::{Command, Input};
use crate::sim::events::Event;
use crate::sim::world::World;

impl World {
    /// Every connection of a server that is gone.
    fn cut_all(&mut self) {
        for conn in self.network.ids() {
            let way = self.way();
            let seen = self.rng.below(2) == 0 || self.healing;
            let Some(link) = self.network.get(conn) else { continue };
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

    pub(super) fn on_crash(&mut self) {
        if self.node.take().is_none() {
            return;
        }
        self.trace.say(self.now.mono, || "the server dies".to_owned());
        self.life += 1;
        self.stopping = None;
        self.store.forget_queue();
        self.cut_all();
        let pause = Span::millis(self.rng.below(4_000));
        self.events.at(self.now.mono + pause, Event::Start);
    }

    pub(super) fn on_shutdown(&mut self) {
        if self.node.is_some() && self.stopping.is_none() {
            self.trace.say(self.now.mono, || "the server is told to stop".to_owned());
            self.stopping = Some(self.now.mono);
            self.input(Input::Command(Command::Shutdown));
        }
    }

    pub(super) fn on_stopped(&mut self) {
        if self.stopping.is_none() {
            return self.ledger.fail("the node stopped unasked".to_owned());
        }
        self.trace.say(self.now.mono, || "the server has stopped".to_owned());
        self.node = None;
        self.life += 1;
        self.cut_all();
        let pause = Span::millis(self.rng.below(4_000));
        self.events.at(self.now.mono + pause, Event::Start);
    }

    pub(super) fn on_heal(&mut self) {
        let now = self.now.mono;
        self.trace.say(now, || "everything heals".to_owned());
        self.healing = true;
        for worker in 0..self.plan.workers {
            self.events.at(now, Event::Hold(worker, false));
        }
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

    /// Nothing changes any more; everybody says how they are.
    pub(super) fn on_settle(&mut self) {
        self.settled = true;
        for client in 0..self.clients.len() {
            if !self.clients[client].is_active() {
                let stage = self.clients[client].stage;
                return self.ledger.fail(format!("client {client} has no session after all: {stage:?}"));
            }
            self.with_client(client, |c, hands| {
                c.say_presence(hands);
                c.ask_server(hands);
                c.request();
            });
            self.flush(client);
        }
    }
}
