//! When clients come, when they do something, and what happens to their connections.

use core::net::{IpAddr, Ipv4Addr};

use crate::base::{ConnId, Span};
use crate::engine::Input;
use crate::session::Listener;
use crate::sim::auth::DOMAIN;
use crate::sim::client::Stage;
use crate::sim::events::Event;
use crate::sim::world::World;

/// How long before the end a client asks the server for the last time: a store that is slow takes two seconds for each thing it is
/// asked about one account, and reading a spool comes first.
const LAST_QUESTION: Span = Span::secs(8);

impl World {
    pub(super) fn on_connect(&mut self, client: usize) {
        let now = self.now.mono;
        if self.clients[client].stage != Stage::Away || !self.clients[client].wanted {
            return;
        }
        let Some(server) = self.balance(client) else {
            return self.events.at(now + Span::millis(700), Event::Connect(client));
        };
        self.clients[client].server = Some(server);
        self.clients[client].place = (server, self.servers[server].life);
        let conn = self.network.open(client, server);
        self.trace.say(now, || format!("client {client} connects to {DOMAIN} at {server} as {conn:?}"));
        self.with_client(client, |c, hands| c.on_connected(conn, hands));
        match self.servers[server].is_frozen {
            true => self.events.at(now, Event::Accept(conn)),
            false => self.on_accept(conn),
        }
        self.flush(client);
    }

    /// Which server a client gets: one that takes clients, often the one where it was.
    fn balance(&mut self, client: usize) -> Option<usize> {
        let up: Vec<usize> = (0..self.servers.len()).filter(|s| self.servers[*s].takes_clients()).collect();
        if self.servers.len() == 1 {
            return up.first().copied();
        }
        let before = self.clients[client].server.filter(|s| up.contains(s));
        let sticky = self.plan.cluster.as_ref().map_or(0, |c| c.sticky);
        let roams = self.plan.roamer().is_some_and(|roamer| roamer.client == client) && !self.healing;
        match before {
            Some(server) if roams && up.len() > 1 => {
                let others: Vec<usize> = up.into_iter().filter(|other| *other != server).collect();
                Some(others[self.rng.below(others.len() as u64) as usize])
            }
            Some(server) if self.rng.below(1000) < sticky => Some(server),
            _ if up.is_empty() => None,
            _ => Some(up[self.rng.below(up.len() as u64) as usize]),
        }
    }

    pub(super) fn on_accept(&mut self, conn: ConnId) {
        let Some(link) = self.network.get(conn) else { return };
        let (client, server) = (link.client, link.server);
        let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, client as u8));
        self.input(server, Input::Accepted { conn, listener: Listener::Clients, peer });
    }

    pub(super) fn on_act(&mut self, client: usize) {
        if self.settled {
            return;
        }
        let pace = if self.healing { Span::secs(4) } else { self.plan.pace };
        let next = self.now.mono + Span(self.rng.below(2 * pace.0) + 1_000_000);
        self.events.at(next, Event::Act(client));
        let Some(conn) = self.clients[client].conn else { return };
        if !self.healing && self.strike(client, conn) {
            return;
        }
        let is_night = self.healing && self.plan.has_night();
        if self.clients[client].is_active() && !is_night {
            self.with_client(client, |c, hands| c.act(hands));
            self.flush(client);
        }
    }

    /// Something may go wrong with a client's connection; says whether it did.
    fn strike(&mut self, client: usize, conn: ConnId) -> bool {
        let faults = &self.plan.faults;
        let rates = [faults.reset, faults.half_open, faults.client_deaf, faults.stall, faults.client_crash];
        let mut dice = self.rng.below(1000);
        let Some(what) = rates.iter().position(|rate| {
            let hit = dice < *rate;
            dice = dice.saturating_sub(*rate);
            hit
        }) else {
            return false;
        };
        let now = self.now.mono;
        let stall = now + Span::millis(self.rng.below(9_000));
        let way = self.way();
        self.trace.say(now, || format!("strike {what} on client {client}"));
        let Some(link) = self.network.get(conn) else { return false };
        match what {
            3 => link.stalled = stall,
            2 => {
                link.dead = true;
                self.events.at(now, Event::ServerEof(conn));
            }
            _ => {
                link.dead = true;
                if what != 1 {
                    self.events.at(now + way, Event::ServerEof(conn));
                }
                if what == 4 {
                    self.with_client(client, |c, hands| c.on_crash_state(hands));
                }
                self.close_client(client);
            }
        }
        true
    }

    /// A client leaves where it is, and comes to another node at once.
    pub(super) fn on_roam(&mut self, client: usize) {
        let Some(roamer) = self.plan.roamer().filter(|_| !self.healing) else { return };
        let stay = Span(self.rng.below(roamer.stays.0) + 1_000_000);
        self.events.at(self.now.mono + stay, Event::Roam(client));
        let Some(conn) = self.clients[client].conn.filter(|_| self.clients[client].is_active()) else {
            return;
        };
        self.trace.say(self.now.mono, || format!("client {client} roams"));
        let way = self.way();
        if let Some(link) = self.network.get(conn) {
            link.dead = true;
        }
        self.events.at(self.now.mono + way, Event::ServerEof(conn));
        self.close_client(client);
        self.on_connect(client);
    }

    pub(super) fn on_look(&mut self, client: usize) {
        let now = self.now.mono;
        self.events.at(now + Span::secs(3), Event::Look(client));
        // What it would ask at the very end could not be answered in time.
        let asks = now + LAST_QUESTION <= self.end;
        let gone = asks && self.with_client(client, |c, hands| c.look(hands));
        if gone {
            if let Some(conn) = self.clients[client].conn {
                if let Some(link) = self.network.get(conn) {
                    link.dead = true;
                }
                let at = now + self.way();
                self.events.at(at, Event::ServerEof(conn));
            }
            return self.close_client(client);
        }
        if self.healing && self.clients[client].is_active() {
            self.with_client(client, |c, hands| c.tidy(hands));
        }
        self.check_behind(client);
        self.flush(client);
    }
}
