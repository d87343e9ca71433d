//! Several agents in one thread: a DNS, connections that take time and fail, processes that die, freeze and start again.
//!
//! What is checked all along: what is told of each other node comes in the order that the agent promises, and between
//! two moments at which both begin anew, each frame arrives once, in order.

use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use crate::base::limits::LinkLimits;
use crate::base::{Mono, Now, RequestId, Rng, Span, Utc};
use crate::cluster::agent::{Agent, Event, Input, Output, Request, Settings};
use crate::cluster::discovery::{Answer, NodeAddr, Peer, Query, ResolveError};
use crate::cluster::handshake::{Channel, Secrets, Trust};
use crate::cluster::identity::{Identity, NodeName};
use crate::cluster::link::{LinkConn, LinksInput};
use crate::cluster::testing::{Agenda, Log, Pulled, Wire};
use crate::cluster::wire::{Role, Versions};

mod above;
mod harm;

use above::{Met, hear};

/// The port of all nodes.
pub(super) const PORT: u16 = 4369;
/// The name whose records list all machines.
pub(super) const ALL: &str = "all.test";
pub(super) const SECRET: &[u8] = b"sixteen bytes or more";
/// How long a driver waits for a connection.
const CONNECT_TIMEOUT: Span = Span::secs(5);
/// When the first process starts, in UTC.
const START: i64 = 1_763_847_469_000;

/// One machine, and how its node is set up.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) listed: Vec<String>,
    pub(super) watches_dns: bool,
    pub(super) secret: &'static [u8],
    pub(super) versions: Versions,
    /// By how many milliseconds its clock is wrong.
    pub(super) clock: i64,
}

impl Plan {
    pub(super) fn new(i: usize) -> Plan {
        Plan {
            name: format!("chat@n{i}"),
            listed: Vec::new(),
            watches_dns: false,
            secret: SECRET,
            versions: Versions::OURS,
            clock: 0,
        }
    }
}

enum Happens {
    /// Bytes that this end has sent arrive, or its end.
    Arrive {
        wire: u64,
        from: usize,
    },
    /// A dial gets an answer, or none for too long.
    Dialled {
        node: usize,
        life: u64,
        peer: Peer,
        address: SocketAddr,
    },
    DialFailed {
        node: usize,
        life: u64,
        peer: Peer,
    },
    /// TLS stands at this end.
    Secured {
        wire: u64,
        end: usize,
        meant: Option<(Peer, SocketAddr)>,
    },
    Answer {
        node: usize,
        life: u64,
        id: RequestId,
        query: Query,
    },
    Wake {
        node: usize,
        life: u64,
    },
    Traffic {
        node: usize,
    },
}

pub(super) struct Node {
    pub(super) plan: Plan,
    pub(super) agent: Option<Agent>,
    /// Counts processes.
    life: u64,
    pub(super) is_frozen: bool,
    /// Without power: nobody answers at its address.
    pub(super) is_dark: bool,
    pub(super) is_leaving: bool,
    /// What happened while it was frozen.
    waiting: Vec<Happens>,
    woken_at: Option<Mono>,
    pub(super) met: BTreeMap<NodeName, Met>,
    chapters: BTreeMap<NodeName, u32>,
    pub(super) log: Log,
}

pub(super) struct World {
    agenda: Agenda<Happens>,
    pub(super) rng: Rng,
    pub(super) nodes: Vec<Node>,
    wires: BTreeMap<u64, Wire>,
    counted: u64,
    /// Directions that carry nothing.
    pub(super) cut: BTreeSet<(usize, usize)>,
    pub(super) dns_is_broken: bool,
    pub(super) dns_was_broken: bool,
    /// The network is slow and cuts what is sent into pieces.
    pub(super) is_rough: bool,
    /// Nobody sends anything, so that what was sent can arrive.
    pub(super) is_quiet: bool,
    pub(super) frames: u64,
    pub(super) trace: bool,
}

pub(super) fn ip(i: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, i as u8 + 1])
}

impl World {
    pub(super) fn new(plans: Vec<Plan>, seed: u64) -> World {
        let node = |plan| Node {
            plan,
            agent: None,
            life: 0,
            is_frozen: false,
            is_dark: false,
            is_leaving: false,
            waiting: Vec::new(),
            woken_at: None,
            met: BTreeMap::new(),
            chapters: BTreeMap::new(),
            log: Log::default(),
        };
        World {
            agenda: Agenda::new(Mono(1_000_000_000)),
            rng: Rng::from_u64(seed),
            nodes: plans.into_iter().map(node).collect(),
            wires: BTreeMap::new(),
            counted: 0,
            cut: BTreeSet::new(),
            dns_is_broken: false,
            dns_was_broken: false,
            is_rough: false,
            is_quiet: false,
            frames: 0,
            trace: false,
        }
    }

    /// All nodes list all nodes, and have started.
    pub(super) fn full(nodes: usize, seed: u64) -> World {
        let listed: Vec<String> = (0..nodes).map(|i| format!("chat@n{i}")).collect();
        let plan = |i| Plan { listed: listed.clone(), ..Plan::new(i) };
        let mut world = World::new((0..nodes).map(plan).collect(), seed);
        (0..nodes).for_each(|i| world.start(i));
        world
    }

    /// The same, and all know each other.
    pub(super) fn formed(nodes: usize, seed: u64) -> World {
        let mut world = World::full(nodes, seed);
        world.pass(Span::secs(6));
        assert_eq!(world.apart(), None);
        world
    }

    pub(super) fn at(&self) -> Mono {
        self.agenda.now
    }

    pub(super) fn now(&self, i: usize) -> Now {
        let utc = START + (self.at().0 / 1_000_000) as i64 + self.nodes[i].plan.clock;
        Now { mono: self.at(), utc: Utc(utc) }
    }

    pub(super) fn millis(&mut self, below: u64) -> Span {
        Span(self.rng.below(below * 1_000_000))
    }

    pub(super) fn is_running(&self, i: usize) -> bool {
        self.nodes[i].agent.is_some() && !self.nodes[i].is_frozen
    }

    /// A process of this node starts.
    pub(super) fn start(&mut self, i: usize) {
        assert!(self.nodes[i].agent.is_none(), "there is a process already");
        let (now, rng) = (self.now(i), self.rng.fork());
        let node = &mut self.nodes[i];
        let plan = &node.plan;
        let settings = Settings {
            name: NodeName::parse(&plan.name).unwrap(),
            cluster: "test".into(),
            trust: Trust::Secrets(Secrets::new(plan.secret, None).unwrap()),
            versions: plan.versions,
            listed: plan.listed.iter().map(|n| NodeAddr::parse(n).unwrap()).collect(),
            dns: plan.watches_dns.then(|| ALL.into()),
            port: PORT,
            peers_port: PORT,
            role: Role::Active,
            active_wanted: None,
            release: "test".into(),
            limits: LinkLimits { receipt_bytes: 500, ..LinkLimits::default() },
        };
        node.agent = Some(Agent::new(now, settings, rng));
        node.life += 1;
        (node.is_frozen, node.is_dark, node.is_leaving) = (false, false, false);
        node.woken_at = None;
        node.chapters.clear();
        self.drain(i);
        self.agenda.after(Span::millis(50), Happens::Traffic { node: i });
    }

    fn ends(&self, which: impl Fn(&Wire, usize) -> bool) -> Vec<(u64, usize)> {
        let all = self.wires.iter().flat_map(|(id, wire)| [(*id, wire, 0), (*id, wire, 1)]);
        all.filter(|(_, wire, end)| which(wire, *end)).map(|(id, _, end)| (id, end)).collect()
    }

    /// A process hears that a connection is gone.
    fn closed(&mut self, wire: u64, end: usize) {
        let (node, life) = (self.wires[&wire].nodes[end], self.wires[&wire].lives[end]);
        if self.nodes[node].agent.is_some() && self.nodes[node].life == life {
            let conn = conn(wire, end);
            self.input(node, Input::Connection(LinksInput::Closed(conn)));
        }
    }

    pub(super) fn input(&mut self, i: usize, input: Input<'_>) {
        let now = self.now(i);
        if let Some(agent) = &mut self.nodes[i].agent {
            agent.handle(now, input);
            self.drain(i);
        }
        let due = self.nodes[i].woken_at.filter(|next| *next <= now.mono);
        assert_eq!(due, None, "node {i} wants to be woken at once, for ever");
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, span: Span) {
        let end = self.at() + span;
        while let Some(happens) = self.agenda.next_until(end) {
            self.happen(happens);
        }
    }

    fn happen(&mut self, happens: Happens) {
        // A frozen process does nothing; all waits until it goes on.
        let node = match &happens {
            Happens::Arrive { wire, from } => self.wires.get(wire).map(|w| w.nodes[1 - from]),
            Happens::Secured { wire, end, .. } => self.wires.get(wire).map(|w| w.nodes[*end]),
            Happens::Dialled { .. } => None,
            Happens::DialFailed { node, .. } | Happens::Answer { node, .. } => Some(*node),
            Happens::Wake { node, .. } | Happens::Traffic { node } => Some(*node),
        };
        if let Some(node) = node.filter(|n| self.nodes[*n].is_frozen) {
            return self.nodes[node].waiting.push(happens);
        }
        match happens {
            Happens::Arrive { wire, from } => self.on_arrive(wire, from),
            Happens::Dialled { node, life, peer, address } => self.on_dialled(node, life, peer, address),
            Happens::DialFailed { node, life, peer } => {
                if self.is_life(node, life) {
                    self.input(node, Input::Connection(LinksInput::DialFailed(peer)));
                }
            }
            Happens::Secured { wire, end, meant } => self.on_secured(wire, end, meant),
            Happens::Answer { node, life, id, query } => {
                if self.is_life(node, life) {
                    self.answer(node, id, &query);
                }
            }
            Happens::Wake { node, life } => {
                if self.is_life(node, life) {
                    self.nodes[node].woken_at = None;
                    self.input(node, Input::Tick);
                }
            }
            Happens::Traffic { node } => self.on_traffic(node),
        }
    }

    fn is_life(&self, node: usize, life: u64) -> bool {
        self.nodes[node].agent.is_some() && self.nodes[node].life == life
    }

    fn answer(&mut self, node: usize, id: RequestId, query: &Query) {
        let host = query.name().as_str();
        let named = |i: &usize| self.nodes[*i].plan.name.strip_prefix("chat@") == Some(host);
        let all = (0..self.nodes.len()).filter(|i| host == ALL || named(i));
        let ips: Vec<IpAddr> = all.map(ip).collect();
        let result = match () {
            () if self.dns_is_broken => Err(ResolveError::Failed),
            () if ips.is_empty() => Err(ResolveError::NotFound),
            () => Ok(Answer::Addresses { ips: &ips, ttl: Span::secs(5) }),
        };
        self.input(node, Input::Resolved { id, result });
    }

    fn on_dialled(&mut self, node: usize, life: u64, peer: Peer, address: SocketAddr) {
        if !self.is_life(node, life) {
            return;
        }
        let to = (0..self.nodes.len()).find(|i| SocketAddr::new(ip(*i), PORT) == address);
        let unheard = |to: usize| {
            let other = &self.nodes[to];
            let is_cut = self.cut.contains(&(node, to)) || self.cut.contains(&(to, node));
            is_cut || other.is_dark || other.is_frozen
        };
        let Some(to) = to.filter(|to| !unheard(*to)) else {
            return self.agenda.after(CONNECT_TIMEOUT, Happens::DialFailed { node, life, peer });
        };
        if self.nodes[to].agent.is_none() {
            return self.agenda.after(Span::millis(1), Happens::DialFailed { node, life, peer });
        }
        self.counted += 1;
        let wire = self.counted;
        self.wires.insert(wire, Wire::new([node, to], [life, self.nodes[to].life], 0));
        let most = if self.is_rough { 150 } else { 5 };
        for (end, meant) in [(1, None), (0, Some((peer, address)))] {
            let span = self.millis(most);
            self.agenda.after(span, Happens::Secured { wire, end, meant });
        }
    }

    fn on_secured(&mut self, wire: u64, end: usize, meant: Option<(Peer, SocketAddr)>) {
        let Some(Wire { nodes, lives, open, .. }) = self.wires.get(&wire) else { return };
        let (node, life, is_open) = (nodes[end], lives[end], open[end]);
        if !self.is_life(node, life) {
            return;
        }
        if !is_open {
            return if let Some((peer, _)) = meant {
                self.input(node, Input::Connection(LinksInput::DialFailed(peer)));
            };
        }
        let mut exporter = Zeroizing::new([7; 32]);
        exporter[..8].copy_from_slice(&wire.to_be_bytes());
        let (conn, channel) = (conn(wire, end), Channel { exporter, certified: Vec::new() });
        self.input(
            node,
            Input::Connection(match meant {
                Some((peer, address)) => LinksInput::Dialled { conn, peer, address, channel },
                None => LinksInput::Accepted { conn, channel },
            }),
        );
        // What arrived before.
        self.wires.get_mut(&wire).expect("it was just seen").secured[end] = true;
        self.arrive_later(wire, 1 - end);
    }

    fn arrive_later(&mut self, wire: u64, from: usize) {
        let span = if self.is_rough { self.millis(40) } else { Span(200_000 + self.rng.below(800_000)) };
        let Some(Wire { pipes, secured, .. }) = self.wires.get_mut(&wire) else { return };
        if secured[1 - from] && !std::mem::replace(&mut pipes[from].under_way, true) {
            self.agenda.after(span, Happens::Arrive { wire, from });
        }
    }

    fn on_arrive(&mut self, id: u64, from: usize) {
        let most = if self.is_rough { 1 + self.rng.below(700) as usize } else { 1000 };
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let (a, b) = (wire.nodes[from], wire.nodes[1 - from]);
        wire.pipes[from].under_way = false;
        if self.cut.contains(&(a, b)) {
            wire.pipes[from].under_way = true;
            let again = Span(Span::millis(50).0 + self.rng.below(200_000_000));
            return self.agenda.after(again, Happens::Arrive { wire: id, from });
        }
        let Pulled { bytes, more, over } = wire.pull(from, most);
        let alive = wire.open[1 - from] && wire.lives[1 - from] == self.nodes[b].life;
        if alive && !bytes.is_empty() {
            let conn = conn(id, 1 - from);
            self.input(b, Input::Connection(LinksInput::Received { conn, bytes: &bytes }));
        }
        if more {
            self.arrive_later(id, from);
        } else if over && alive {
            let wire = self.wires.get_mut(&id).expect("nothing removes it");
            wire.open[1 - from] = false;
            self.closed(id, 1 - from);
        }
        // There is room again.
        let wire = &self.wires[&id];
        if !bytes.is_empty() && !self.nodes[a].is_frozen && wire.open[from] && self.write(id, from) {
            self.drain(a);
        }
    }

    /// Everything a driver and the layer above do after an input.
    fn drain(&mut self, i: usize) {
        while self.obey_all(i) {
            // The last byte of a connection may close it.
        }
        let (at, node) = (self.agenda.now, &mut self.nodes[i]);
        let Some(next) = node.agent.as_ref().and_then(Agent::poll_timeout).map(|(next, _)| next) else {
            return node.woken_at = None;
        };
        if node.woken_at.is_none_or(|woken| woken > next || woken <= at) {
            node.woken_at = Some(next);
            let late = self.millis(3);
            let life = self.nodes[i].life;
            self.agenda.after(Span(next.since(at).0 + late.0), Happens::Wake { node: i, life });
        }
    }

    /// Does what the agent asks for, and sends what there is. Whether it may have more to say now.
    fn obey_all(&mut self, i: usize) -> bool {
        let mut requests = Vec::new();
        let at = self.agenda.now;
        let node = &mut self.nodes[i];
        let Some(agent) = &mut node.agent else { return false };
        while let Some(output) = agent.poll_output() {
            if self.trace && !matches!(output, Output::Above(Event::Frame { .. })) {
                eprintln!("{:>9} {i} {output:?}", at.0 / 1_000);
            }
            match output {
                Output::Driver(request) => requests.push(request),
                Output::Above(event) => {
                    self.frames += u64::from(matches!(event, Event::Frame { .. }));
                    hear(&mut node.met, &mut node.chapters, &mut node.log, at, event);
                }
            }
        }
        for request in requests {
            self.obey(i, request);
        }
        let mut wrote = false;
        while let Some(LinkConn(id)) = self.nodes[i].agent.as_mut().and_then(Agent::poll_dirty) {
            wrote |= self.write(id / 2, id as usize % 2);
        }
        wrote
    }

    fn obey(&mut self, i: usize, request: Request) {
        let (at, life) = (self.at(), self.nodes[i].life);
        let log = &mut self.nodes[i].log;
        match request {
            Request::Resolve { id, query } => {
                self.agenda.after(Span::millis(2), Happens::Answer { node: i, life, id, query });
            }
            Request::Dial { peer, address } => {
                let span = self.millis(if self.is_rough { 100 } else { 5 });
                self.agenda.after(span, Happens::Dialled { node: i, life, peer, address });
            }
            Request::Close(LinkConn(id)) => {
                let (wire, end) = (id / 2, id as usize % 2);
                self.write(wire, end);
                self.wires.get_mut(&wire).expect("it was made").close(end);
                self.arrive_later(wire, end);
            }
            Request::Notice(notice) => log.push(at, format!("notice {notice}")),
            Request::Fatal(why) => {
                log.push(at, format!("fatal {why}"));
                self.kill(i, false);
            }
            Request::Left => {
                log.push(at, "left".into());
                self.kill(i, false);
            }
        }
    }

    /// Sends what there is and what there is room for, and says whether that was anything.
    fn write(&mut self, id: u64, end: usize) -> bool {
        let mut wrote = false;
        loop {
            let most = if self.is_rough { 1 + self.rng.below(2000) as usize } else { 1500 };
            let Some(wire) = self.wires.get_mut(&id) else { return wrote };
            let i = wire.nodes[end];
            let now = Now { mono: self.agenda.now, utc: Utc(0) };
            let Node { agent: Some(agent), life, .. } = &mut self.nodes[i] else { return wrote };
            let room = if wire.lives[end] == *life { wire.room(end).min(most) } else { 0 };
            let mut out = [&[][..]; 3];
            let n = agent.outgoing(conn(id, end), &mut out);
            let bytes: Vec<u8> = out[..n].concat();
            let n = bytes.len().min(room);
            if n == 0 {
                return wrote;
            }
            wire.push(end, &bytes[..n]);
            agent.sent(now, conn(id, end), n);
            self.arrive_later(id, end);
            wrote = true;
        }
    }

    fn on_traffic(&mut self, i: usize) {
        if self.nodes[i].agent.is_some() {
            let span = Span::millis(if self.rng.below(8) == 0 { 2_000 } else { 300 });
            self.agenda.after(span, Happens::Traffic { node: i });
            if !self.is_quiet {
                self.speak(i, 3);
            }
        }
    }

    pub(super) fn identity(&self, i: usize) -> &Identity {
        self.nodes[i].agent.as_ref().expect("it runs").identity()
    }
}

fn conn(wire: u64, end: usize) -> LinkConn {
    LinkConn(wire * 2 + end as u64)
}
