//! The driver of the simulated node: what happens, the node's inputs, its outputs. What it stands on, and what goes wrong
//! with that, is in the files below: the [`store`], the [`traffic`] between node and clients, the [`clients`], and the
//! [`lives`] of the server.

mod clients;
mod lives;
mod store;
mod traffic;

use super::events::Event;
use super::world::World;
use crate::base::{ConnId, Span, WorkerId};
use crate::effect::{AccountError, Output};
use crate::engine::Input;

/// Bytes that the network holds for a client that reads.
const WINDOW: usize = 64 * 1024;

impl World {
    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::Up(conn) => self.on_up(conn),
            Event::Down(conn) => self.on_down(conn),
            Event::ServerEof(conn) => self.tell_closed(conn),
            Event::ClientEof(client, epoch) => {
                if self.clients[client].epoch == epoch {
                    self.close_client(client);
                }
            }
            Event::Tick(at) => {
                if self.tick_at == Some(at) {
                    self.tick_at = None;
                    self.count_tick();
                    self.input(Input::Tick);
                }
            }
            Event::Drain => {
                self.draining = false;
                self.drain();
            }
            Event::Secured(conn) => self.on_secured(conn),
            Event::Execute { life, id, op, answer } => self.on_execute(life, id, &op, answer),
            Event::Stored { life, id, result } if life == self.life => {
                self.input(Input::Stored { id, result });
            }
            Event::Account { life, id, result } if life == self.life => {
                self.input(Input::Account { id, result });
            }
            Event::Stored { .. } | Event::Account { .. } => {}
            Event::Act(client) => self.on_act(client),
            Event::Connect(client) => self.on_connect(client),
            Event::Look(client) => self.on_look(client),
            Event::Crash => self.on_crash(),
            Event::Shutdown => self.on_shutdown(),
            Event::Start => self.start(),
            Event::Hold(worker, on) => {
                if let Some(node) = &mut self.node {
                    node.hold(WorkerId(worker), on && !self.healing);
                    self.input(Input::Tick);
                }
            }
            Event::Jump(by) => self.now.utc.0 += by,
            Event::Heal => self.on_heal(),
            Event::Settle => self.on_settle(),
            Event::End => {}
        }
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        let Some(node) = &mut self.node else { return };
        node.handle(self.now, input);
        if self.plan.turn.0 == 0 {
            self.drain();
        } else if !self.draining {
            self.draining = true;
            let at = self.now.mono + Span(self.rng.below(self.plan.turn.0));
            self.events.at(at, Event::Drain);
        }
    }

    /// Takes everything the node wants done.
    fn drain(&mut self) {
        loop {
            let Some(node) = &mut self.node else { return };
            if let Some(output) = node.poll_output() {
                self.on_output(output);
            } else if let Some(conn) = node.poll_dirty() {
                self.write(conn);
            } else {
                break;
            }
        }
        self.check_limits();
        let Some(node) = &self.node else { return };
        if let Some((at, why)) = node.poll_timeout() {
            let at = at.max(self.now.mono);
            if self.tick_at.is_none_or(|t| at < t) {
                self.tick_at = Some(at);
                self.events.at(at, Event::Tick(at));
                self.trace.mix(why.len() as u64);
            }
        }
    }

    /// Sends what the network takes.
    fn write(&mut self, conn: ConnId) {
        let slow = self.plan.faults.window.filter(|_| !self.healing);
        let mut total = 0;
        let mut wake = false;
        if let (Some(node), Some(link)) = (&mut self.node, self.network.get(conn)) {
            let window = slow.filter(|_| link.client.is_multiple_of(2)).unwrap_or(WINDOW);
            let mut slices: [&[u8]; 8] = [&[]; 8];
            let n = node.outgoing(conn, &mut slices);
            let all: usize = slices[..n].iter().map(|s| s.len()).sum();
            for slice in &slices[..n] {
                let room = window.saturating_sub(link.down.rest().len());
                let part = &slice[..slice.len().min(room)];
                self.trace.mix_bytes(part);
                link.down.push(part);
                total += part.len();
            }
            link.blocked = total < all || (n == slices.len() && all > 0);
            wake = total > 0 && !link.down.busy && link.client_open && !link.dead;
            link.down.busy |= wake;
        }
        if wake {
            let at = self.now.mono + self.way();
            self.events.at(at, Event::Down(conn));
        }
        if let Some(node) = &mut self.node {
            node.sent(self.now, conn, total);
        }
    }

    fn on_output(&mut self, output: Output) {
        let now = self.now.mono;
        match output {
            Output::StartTls { conn } => {
                let at = now + self.way();
                self.events.at(at, Event::Secured(conn));
            }
            Output::Close { conn } => {
                let Some(link) = self.network.get(conn) else { return };
                link.server_open = false;
                link.down.eof = true;
                link.up.clear();
                if !link.client_open {
                    self.bury(conn);
                } else if !link.dead && !link.down.busy {
                    link.down.busy = true;
                    let at = now + self.way();
                    self.events.at(at, Event::Down(conn));
                }
            }
            Output::Reading { conn, on } => {
                if let Some(link) = self.network.get(conn) {
                    link.reading = on;
                    self.kick(conn);
                }
            }
            Output::Store { id, op } => self.on_store(id, op),
            Output::Account { id, op } => {
                let away = !self.healing && self.rng.below(1000) < self.plan.faults.auth_away;
                let result = if away { Err(AccountError::Unavailable) } else { self.accounts.answer(&op) };
                let at = now + self.way();
                self.events.at(at, Event::Account { life: self.life, id, result });
            }
            Output::Event(event) => self.trace.say(now, || format!("event {event:?}")),
            Output::Stopped => self.on_stopped(),
            Output::Mail { .. } | Output::HandOver { .. } | Output::Cluster(_) => {
                self.ledger.fail("a node keeps mail and hand-overs to itself".to_owned());
            }
        }
    }
}
