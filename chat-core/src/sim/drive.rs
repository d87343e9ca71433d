//! The driver of the simulated nodes: what happens, their inputs, their outputs. What they stand on, and what goes wrong
//! with that, is in the files below: the [`store`], the [`traffic`] between nodes and clients, the [`links`] between nodes,
//! the [`clients`], and the [`lives`] and [`roles`] of the servers.

mod clients;
mod links;
mod lives;
mod roles;
mod store;
mod traffic;

use super::events::Event;
use super::world::World;
use crate::base::{ConnId, Span, WorkerId};
use crate::cluster::agent;
use crate::effect::{AccountError, Output};
use crate::engine::Input;

/// Bytes that the network holds for a client that reads.
const WINDOW: usize = 64 * 1024;

impl World {
    pub(super) fn on_event(&mut self, event: Event) {
        if let Some(server) = self.server_of(&event).filter(|s| self.servers[*s].is_frozen) {
            return self.servers[server].waiting.push(event);
        }
        match event {
            Event::Up(conn) => self.on_up(conn),
            Event::Down(conn) => self.on_down(conn),
            Event::Accept(conn) => self.on_accept(conn),
            Event::ServerEof(conn) => self.tell_closed(conn),
            Event::ClientEof(client, epoch) => {
                if self.clients[client].epoch == epoch {
                    self.close_client(client);
                }
            }
            Event::Tick(s, at) => {
                if self.servers[s].tick_at == Some(at) {
                    self.servers[s].tick_at = None;
                    self.count_tick(s);
                    self.input(s, Input::Tick);
                }
            }
            Event::Drain(s) => {
                self.servers[s].is_draining = false;
                self.drain(s);
            }
            Event::Secured(conn) => self.on_secured(conn),
            Event::Execute { server, life, id, op, answer } => {
                self.on_execute((server, life), id, &op, answer);
            }
            Event::Stored { server, life, id, result } if life == self.servers[server].life => {
                self.input(server, Input::Stored { id, result });
            }
            Event::Account { server, life, id, result } if life == self.servers[server].life => {
                self.input(server, Input::Account { id, result });
            }
            Event::Stored { .. } | Event::Account { .. } => {}
            Event::Act(client) => self.on_act(client),
            Event::Connect(client) => self.on_connect(client),
            Event::Look(client) => self.on_look(client),
            Event::Roam(client) => self.on_roam(client),
            Event::Crash(s) => self.on_crash(s, false),
            Event::Shutdown(s) => self.on_shutdown(s),
            Event::Emptied(s, life) => self.on_emptied(s, life),
            Event::Start(s) => self.on_start(s),
            Event::Hold(s, worker, on) => {
                if let Some(node) = &mut self.servers[s].node {
                    node.hold(WorkerId(worker), on && !self.healing);
                    self.input(s, Input::Tick);
                }
            }
            Event::Jump(s, by) => self.servers[s].clock += by,
            Event::Harm(harm) => self.on_harm(harm),
            Event::Fabric(between) => self.on_between(between),
            Event::Heal => self.on_heal(),
            Event::Night => self.on_night(),
            Event::Settle => self.settled = true,
            Event::Quiet => self.on_quiet(),
            Event::End => {}
        }
    }

    /// The server whose process an event is for: if it is frozen, it waits.
    fn server_of(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Up(conn) | Event::Accept(conn) | Event::ServerEof(conn) | Event::Secured(conn) => {
                self.network.server_of(*conn)
            }
            Event::Tick(s, _)
            | Event::Emptied(s, _)
            | Event::Drain(s)
            | Event::Shutdown(s)
            | Event::Hold(s, ..) => Some(*s),
            Event::Stored { server, .. } | Event::Account { server, .. } => Some(*server),
            Event::Fabric(between) => self.fabric.server_of(between),
            _ => None,
        }
    }

    pub(super) fn input(&mut self, s: usize, input: Input<'_>) {
        let now = self.servers[s].now(self.now);
        let Some(node) = &mut self.servers[s].node else { return };
        node.handle(now, input);
        self.drain_soon(s);
    }

    pub(super) fn cluster_input(&mut self, s: usize, input: agent::Input<'_>) {
        let now = self.servers[s].now(self.now);
        let Some(node) = &mut self.servers[s].node else { return };
        node.handle_cluster(now, input);
        self.drain_soon(s);
    }

    /// The driver will come round.
    fn drain_soon(&mut self, s: usize) {
        if self.plan.turn.0 == 0 {
            self.drain(s);
        } else if !std::mem::replace(&mut self.servers[s].is_draining, true) {
            let at = self.now.mono + Span(self.rng.below(self.plan.turn.0));
            self.events.at(at, Event::Drain(s));
        }
    }

    /// Takes everything a node wants done.
    fn drain(&mut self, s: usize) {
        if self.servers[s].is_frozen {
            return;
        }
        loop {
            let Some(node) = &mut self.servers[s].node else { return };
            if let Some(output) = node.poll_output() {
                self.on_output(s, output);
            } else if let Some(told) = node.poll_cluster() {
                self.on_told(s, told);
            } else if let Some(output) = node.poll_role() {
                self.on_role(s, output);
            } else if let Some(conn) = node.poll_dirty() {
                self.write(s, conn);
            } else if let Some(conn) = node.poll_dirty_link() {
                self.write_link(s, conn);
            } else {
                break;
            }
        }
        self.check_limits(s);
        let Some(node) = &self.servers[s].node else { return };
        if let Some((at, why)) = node.poll_timeout() {
            let at = at.max(self.now.mono);
            if self.servers[s].tick_at.is_none_or(|t| at < t) {
                self.servers[s].tick_at = Some(at);
                self.events.at(at, Event::Tick(s, at));
                self.trace.mix(why.len() as u64);
            }
        }
    }

    /// Sends what the network takes.
    fn write(&mut self, s: usize, conn: ConnId) {
        let server = &mut self.servers[s];
        if server.is_frozen {
            return;
        }
        let slow = self.plan.faults.window.filter(|_| !self.healing);
        let mut total = 0;
        let mut wake = false;
        if let (Some(node), Some(link)) = (&mut server.node, self.network.get(conn)) {
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
        let now = self.servers[s].now(self.now);
        if let Some(node) = &mut self.servers[s].node {
            node.sent(now, conn, total);
        }
    }

    fn on_output(&mut self, s: usize, output: Output) {
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
            Output::Store { id, op } => self.on_store(s, id, op),
            Output::Account { id, op } => {
                let away = !self.healing && self.rng.below(1000) < self.plan.faults.auth_away;
                let result = if away { Err(AccountError::Unavailable) } else { self.accounts.answer(&op) };
                let at = now + self.way();
                let life = self.servers[s].life;
                self.events.at(at, Event::Account { server: s, life, id, result });
            }
            Output::Event(event) => self.trace.say(now, || format!("{s} event {event:?}")),
            Output::Stopped => self.on_stopped(s),
            Output::Mail { .. } | Output::HandOver { .. } | Output::Cluster(_) => {
                self.ledger.fail("a node keeps mail and hand-overs to itself".to_owned());
            }
        }
    }
}
