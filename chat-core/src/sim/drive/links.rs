//! The nodes' connections with each other, as their drivers see them.

use core::net::SocketAddr;

use zeroize::Zeroizing;

use crate::base::{RequestId, Span};
use crate::cluster::agent::{self, Event as Told, Request};
use crate::cluster::discovery::{Answer, Peer, Query, ResolveError};
use crate::cluster::handshake::Channel;
use crate::cluster::link::{LinkConn, LinksInput};
use crate::cluster::roles::Wish;
use crate::cluster::testing::{Pulled, Wire};
use crate::sim::events::Event;
use crate::sim::fabric::{Between, PORT, address, conn, wire};
use crate::sim::plan::Harm;
use crate::sim::world::World;

/// How long a driver waits for a connection.
const CONNECT_TIMEOUT: Span = Span::secs(5);

impl World {
    fn between(&mut self, after: Span, what: Between) {
        self.events.at(self.now.mono + after, Event::Fabric(what));
    }

    /// Slow links that cut what they carry.
    fn is_rough(&self) -> bool {
        !self.healing && self.plan.cluster.as_ref().is_some_and(|c| c.rough)
    }

    /// Up to so many milliseconds, or more on slow links.
    fn a_while(&mut self, usual: u64, rough: u64) -> Span {
        let most = if self.is_rough() { rough } else { usual };
        Span(self.rng.below(most * 1_000_000))
    }

    fn is_life(&self, server: usize, life: u32) -> bool {
        self.servers[server].node.is_some() && self.servers[server].life == life
    }

    fn connection(&mut self, s: usize, input: LinksInput<'_>) {
        self.cluster_input(s, agent::Input::Connection(input));
    }

    pub(super) fn on_between(&mut self, between: Between) {
        match between {
            Between::Arrive { wire, from } => self.on_arrive(wire, from),
            Between::Dialled { server, life, peer, address } if self.is_life(server, life) => {
                self.on_dialled(server, peer, address);
            }
            Between::DialFailed { server, life, peer } if self.is_life(server, life) => {
                self.connection(server, LinksInput::DialFailed(peer));
            }
            Between::Secured { wire, end, meant } => self.on_link_secured(wire, end, meant),
            Between::Resolved { server, life, id, query } if self.is_life(server, life) => {
                self.on_resolved(server, id, &query);
            }
            Between::Dialled { .. } | Between::DialFailed { .. } | Between::Resolved { .. } => {}
        }
    }

    /// What a node wants of its driver, or tells.
    pub(super) fn on_told(&mut self, s: usize, told: agent::Output<'static>) {
        let life = self.servers[s].life;
        match told {
            agent::Output::Driver(request) => match request {
                Request::Resolve { id, query } => {
                    let after = self.a_while(2, 200);
                    self.between(after, Between::Resolved { server: s, life, id, query });
                }
                Request::Dial { peer, address } => {
                    let after = self.a_while(5, 100);
                    self.between(after, Between::Dialled { server: s, life, peer, address });
                }
                Request::Close(link) => {
                    self.write_link(s, link);
                    let (id, end) = wire(link);
                    if let Some(wire) = self.fabric.wires.get_mut(&id) {
                        wire.close(end);
                        self.arrive_later(id, end);
                    }
                }
                Request::Notice(notice) => self.trace.say(self.now.mono, || format!("{s} notice {notice}")),
                Request::Fatal(why) => self.ledger.fail(format!("server {s} has to stop: {why}")),
                Request::Left => self.on_left(s),
            },
            agent::Output::Above(told) => {
                let is_news = !matches!(told, Told::Congested { .. });
                self.trace.mix(u64::from(is_news));
                self.trace.say(self.now.mono, || format!("{s} told {told:?}"));
            }
        }
    }

    fn on_resolved(&mut self, s: usize, id: RequestId, query: &Query) {
        let name = query.name().as_str();
        let found = (0..self.servers.len()).find(|other| format!("n{other}.sim") == name);
        let ips: Vec<_> = found.map(address).into_iter().collect();
        let result = match () {
            () if self.now.mono < self.fabric.deaf => Err(ResolveError::Failed),
            () if ips.is_empty() => Err(ResolveError::NotFound),
            () => Ok(Answer::Addresses { ips: &ips, ttl: Span::secs(5) }),
        };
        self.cluster_input(s, agent::Input::Resolved { id, result });
    }

    fn on_dialled(&mut self, s: usize, peer: Peer, to: SocketAddr) {
        let (now, life) = (self.now.mono, self.servers[s].life);
        let other = (0..self.servers.len()).find(|i| SocketAddr::new(address(*i), PORT) == to);
        let heard = |i: &usize| {
            let cut = self.fabric.is_cut(now, s, *i).or(self.fabric.is_cut(now, *i, s));
            cut.is_none() && !self.servers[*i].is_frozen
        };
        let failed = Between::DialFailed { server: s, life, peer: peer.clone() };
        let Some(other) = other.filter(heard) else { return self.between(CONNECT_TIMEOUT, failed) };
        if self.servers[other].node.is_none() {
            return self.between(Span::millis(1), failed);
        }
        let wire = self.fabric.connect([s, other], [life, self.servers[other].life]);
        for (end, meant) in [(1, None), (0, Some((peer, to)))] {
            let after = self.a_while(5, 150);
            self.between(after, Between::Secured { wire, end, meant });
        }
    }

    fn on_link_secured(&mut self, id: u64, end: usize, meant: Option<(Peer, SocketAddr)>) {
        let Some(wire) = self.fabric.wires.get_mut(&id) else { return };
        let (server, life, is_open) = (wire.nodes[end], wire.lives[end] as u32, wire.open[end]);
        if !self.is_life(server, life) {
            return;
        }
        if !is_open {
            return if let Some((peer, _)) = meant {
                self.connection(server, LinksInput::DialFailed(peer));
            };
        }
        let mut exporter = Zeroizing::new([7; 32]);
        exporter[..8].copy_from_slice(&id.to_be_bytes());
        let (conn, channel) = (conn(id, end), Channel { exporter, certified: Vec::new() });
        self.connection(
            server,
            match meant {
                Some((peer, address)) => LinksInput::Dialled { conn, peer, address, channel },
                None => LinksInput::Accepted { conn, channel },
            },
        );
        // What arrived before.
        if let Some(wire) = self.fabric.wires.get_mut(&id) {
            wire.secured[end] = true;
            self.arrive_later(id, 1 - end);
        }
    }

    fn arrive_later(&mut self, id: u64, from: usize) {
        let after = self.a_while(1, 40);
        let Some(Wire { pipes, secured, .. }) = self.fabric.wires.get_mut(&id) else { return };
        if secured[1 - from] && !std::mem::replace(&mut pipes[from].under_way, true) {
            self.between(after, Between::Arrive { wire: id, from });
        }
    }

    fn on_arrive(&mut self, id: u64, from: usize) {
        let now = self.now.mono;
        let most = if self.is_rough() { 1 + self.rng.below(700) as usize } else { 4_000 };
        let Some(wire) = self.fabric.wires.get_mut(&id) else { return };
        let (a, b) = (wire.nodes[from], wire.nodes[1 - from]);
        if let Some(until) = self.fabric.is_cut(now, a, b) {
            // What was sent is sent again, at times that lie further and further apart.
            let late = Span(self.rng.below(200_000_000));
            return self.between(Span(until.since(now).0 + late.0), Between::Arrive { wire: id, from });
        }
        let wire = self.fabric.wires.get_mut(&id).expect("it was just seen");
        wire.pipes[from].under_way = false;
        let Pulled { bytes, more, over } = wire.pull(from, most);
        let alive = wire.open[1 - from] && wire.lives[1 - from] as u32 == self.servers[b].life;
        if alive && !bytes.is_empty() {
            self.trace.mix_bytes(&bytes);
            self.connection(b, LinksInput::Received { conn: conn(id, 1 - from), bytes: &bytes });
        }
        if more {
            self.arrive_later(id, from);
        } else if over && alive {
            if let Some(wire) = self.fabric.wires.get_mut(&id) {
                wire.open[1 - from] = false;
            }
            self.link_closed(id, 1 - from);
        }
        // There is room again.
        if !bytes.is_empty() {
            self.write_link(a, conn(id, from));
            self.drain(a);
        }
    }

    /// A process hears that a connection is gone.
    fn link_closed(&mut self, id: u64, end: usize) {
        let Some(wire) = self.fabric.wires.get(&id) else { return };
        let (server, life) = (wire.nodes[end], wire.lives[end] as u32);
        if self.is_life(server, life) {
            self.connection(server, LinksInput::Closed(conn(id, end)));
        }
    }

    /// Sends what there is and what there is room for.
    pub(super) fn write_link(&mut self, s: usize, link: LinkConn) {
        let (id, end) = wire(link);
        loop {
            let most = if self.is_rough() { 1 + self.rng.below(2_000) as usize } else { 3_000 };
            let server = &mut self.servers[s];
            let Some(wire) = self.fabric.wires.get_mut(&id).filter(|_| !server.is_frozen) else { return };
            let Some(node) = server.node.as_mut().filter(|_| wire.lives[end] as u32 == server.life) else {
                return;
            };
            let mut out = [&[][..]; 3];
            let n = node.outgoing_link(link, &mut out);
            let bytes: Vec<u8> = out[..n].concat();
            let n = bytes.len().min(wire.room(end)).min(most);
            if n == 0 {
                return;
            }
            wire.push(end, &bytes[..n]);
            let now = self.servers[s].now(self.now);
            if let Some(node) = &mut self.servers[s].node {
                node.sent_link(now, link, n);
            }
            self.arrive_later(id, end);
        }
    }

    /// What a process could not write while it stood still.
    pub(super) fn write_links(&mut self, s: usize) {
        for (id, end) in self.fabric.ends(|w, end| w.nodes[end] == s && w.open[end]) {
            self.write_link(s, conn(id, end));
        }
    }

    /// The process of a server ends. Its machine closes its connections, unless it has lost its power.
    pub(super) fn end_links(&mut self, s: usize, loses_power: bool) {
        let life = u64::from(self.servers[s].life);
        for (id, end) in self.fabric.ends(|w, end| w.nodes[end] == s && w.lives[end] == life) {
            let Some(torn) = self.fabric.wires.get_mut(&id) else { continue };
            if loses_power {
                torn.tear();
                torn.open[end] = false;
            } else if torn.open[end] {
                torn.close(end);
                self.arrive_later(id, end);
            }
        }
    }

    /// All connections between two nodes break, and both are told.
    fn reset_links(&mut self, a: usize, b: usize) {
        for (id, end) in self.fabric.ends(|w, end| w.nodes[end] == a && w.nodes[1 - end] == b) {
            if let Some(wire) = self.fabric.wires.get_mut(&id) {
                wire.tear();
            }
            for end in [end, 1 - end] {
                let Some(wire) = self.fabric.wires.get_mut(&id) else { continue };
                if std::mem::take(&mut wire.open[end]) {
                    self.link_closed(id, end);
                }
            }
        }
    }

    /// Something goes wrong.
    pub(super) fn on_harm(&mut self, harm: Harm) {
        if self.healing {
            return;
        }
        let now = self.now.mono;
        self.trace.say(now, || format!("{harm:?}"));
        match harm {
            Harm::Kill { server, power } => self.on_crash(server, power),
            Harm::Freeze { server, long } => {
                self.on_freeze(server, true);
                self.events.at(now + long, Event::Harm(Harm::Thaw { server }));
            }
            Harm::Thaw { server } => self.on_freeze(server, false),
            Harm::Cut { from, to, both, long } => {
                self.fabric.cut(from, to, now + long);
                if both {
                    self.fabric.cut(to, from, now + long);
                }
            }
            Harm::Split { side, long } => {
                for a in 0..self.servers.len() {
                    for b in (0..self.servers.len()).filter(|b| (side >> a ^ side >> b) & 1 == 1) {
                        self.fabric.cut(a, b, now + long);
                    }
                }
            }
            Harm::Reset { a, b } => self.reset_links(a, b),
            Harm::StepBack { server } => self.wish(server, Wish::StepBack),
            Harm::Promote { server } => self.wish(server, Wish::Promote),
            Harm::Deaf { long } => self.fabric.deaf = self.fabric.deaf.max(now + long),
        }
    }

    /// Whatever was cut carries again, what is on its way at once.
    pub(super) fn heal_fabric(&mut self) {
        self.fabric.heal();
        for (id, from) in self.fabric.ends(|w, end| w.pipes[end].under_way) {
            // Its arrival may have been put off for long: another one does no harm.
            self.between(Span(0), Between::Arrive { wire: id, from });
        }
    }
}
