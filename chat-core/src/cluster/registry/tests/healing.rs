//! Nodes that replicate over links that break, lose frames, and start over.

use super::*;
use crate::base::{Rng, Utc};
use crate::cluster::identity::Incarnation;
use crate::cluster::wire::{Kind, WireFault};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A node: its sessions, its log, what it knows of the others.
struct Node {
    name: NodeName,
    incarnation: u64,
    log: Log,
    table: Table,
    clock: HlcClock,
    /// For each other node the number it has here, and its replica.
    others: BTreeMap<usize, (NodeId, Replica)>,
    /// What is truly bound here.
    sessions: BTreeMap<(String, String), (u64, Option<i8>)>,
}

/// What is on its way, in order.
type Frames = VecDeque<(Kind, Vec<u8>)>;

/// Nodes and the ordered links between them.
struct World {
    nodes: Vec<Node>,
    links: BTreeMap<(usize, usize), Frames>,
    rng: Rng,
    time: i64,
    /// Bytes of a frame, so that a snapshot has one part or many.
    batch_bytes: usize,
    /// Snapshots that were asked for because a frame was missing.
    gaps: usize,
}

impl World {
    fn new(nodes: usize, seed: u64) -> World {
        let mut rng = Rng::from_u64(seed);
        let batch_bytes = [1, 100, 400, 1 << 16][rng.below(4) as usize];
        let links = BTreeMap::new();
        let mut world = World { nodes: Vec::new(), links, rng, time: 1 << 20, batch_bytes, gaps: 0 };
        for i in 0..nodes {
            let node = world.life(i, 1);
            world.nodes.push(node);
        }
        world
    }

    fn life(&mut self, i: usize, incarnation: u64) -> Node {
        let rng = &mut self.rng;
        let mut table = Table::new(rng.hash_key());
        table.seat(NodeId(0), name(i).as_str());
        Node {
            name: name(i),
            incarnation,
            log: Log::new(&name(i), Incarnation(incarnation), rng.hash_key())
                .with_batches_of(self.batch_bytes),
            table,
            clock: HlcClock::default(),
            others: BTreeMap::new(),
            sessions: BTreeMap::new(),
        }
    }

    /// Both ends start over.
    fn link(&mut self, a: usize, b: usize) {
        // Some of them are of an older release.
        let version = 1 + (a + b) as u16 % 2;
        for (i, other) in [(a, b), (b, a)] {
            self.unlink_one(i, other);
            self.links.insert((i, other), Frames::new());
            let (name, incarnation) =
                (self.nodes[other].name.clone(), Incarnation(self.nodes[other].incarnation));
            let node = &mut self.nodes[i];
            let number = (1..).map(NodeId).find(|n| node.table.is_free(*n)).unwrap();
            node.table.seat(number, name.as_str());
            node.others.insert(other, (number, Replica::new(incarnation, version)));
            node.log.handle(LogInput::Fresh { node: NodeId(other as u16), version });
        }
    }

    fn unlink_one(&mut self, i: usize, other: usize) {
        self.links.remove(&(i, other));
        let node = &mut self.nodes[i];
        if let Some((number, _)) = node.others.remove(&other) {
            node.table.unseat(number);
            node.log.handle(LogInput::Gone(NodeId(other as u16)));
        }
    }

    fn unlink(&mut self, a: usize, b: usize) {
        self.unlink_one(a, b);
        self.unlink_one(b, a);
    }

    /// Puts frames onto the links, with room for a part of a snapshot now and then.
    fn send(&mut self, i: usize, room: bool) {
        self.nodes[i].log.handle(LogInput::Flush);
        for other in 0..self.nodes.len() {
            let to = NodeId(other as u16);
            if room && self.nodes[i].log.wants_room(to) {
                self.nodes[i].log.handle(LogInput::Room(to));
            }
        }
        while let Some(output) = self.nodes[i].log.poll_output() {
            match output {
                LogOutput::Send { to, kind, body } => self
                    .links
                    .get_mut(&(i, usize::from(to.0)))
                    .expect("nothing is sent without a link")
                    .push_back((kind, body)),
                LogOutput::Fault { node, fault } => {
                    assert_eq!(fault, WireFault::Turn(Kind::RegistryReset.byte()), "no other fault is ours");
                    return self.link(i, node.0.into());
                }
            }
        }
    }

    fn deliver(&mut self, from: usize, to: usize) -> bool {
        let Some((kind, body)) = self.links.get_mut(&(from, to)).and_then(Frames::pop_front) else {
            return false;
        };
        let node = &mut self.nodes[to];
        if kind == Kind::RegistryReset {
            node.log.handle(LogInput::Reset { node: NodeId(from as u16), body: &body });
            return true;
        }
        let (number, replica) = node.others.get_mut(&from).expect("there is a link");
        match replica.receive(kind, &body) {
            Err(WireFault::Sequence { .. }) => self.link(from, to),
            Err(fault) => panic!("nothing but losing too much is a fault: {fault}"),
            Ok(Received::Nothing) => {}
            Ok(Received::Gap { ask }) => {
                self.gaps += 1;
                self.links.get_mut(&(to, from)).unwrap().push_back((Kind::RegistryReset, ask));
            }
            Ok(Received::Changes { afresh, changes }) => {
                if afresh {
                    node.table.unseat(*number);
                    *number = (1..).map(NodeId).find(|n| node.table.is_free(*n)).unwrap();
                    node.table.seat(*number, name(from).as_str());
                }
                for change in changes {
                    node.table.apply(*number, &change).expect("they are few");
                    if let Change::Put(r) = change {
                        node.clock.observe(Utc(self.time), r.bound);
                    }
                }
            }
        }
        true
    }

    fn change(&mut self, i: usize) {
        let user = format!("u{}@d{}", self.rng.below(12), self.rng.below(2));
        let resource = format!("r{}", self.rng.below(3));
        let there = self.nodes[i].sessions.get(&(user.clone(), resource.clone())).copied();
        if self.rng.below(3) == 0 && there.is_some() {
            return self.end(i, &user, &resource);
        }
        let priority = Some(self.rng.below(20) as i8 - 10).filter(|p| *p != 0);
        // A session keeps the time of its bind when its presence changes.
        let bound = there.map_or_else(|| self.nodes[i].clock.stamp(Utc(self.time)).0, |s| s.0);
        self.put(i, &user, &resource, (bound, priority));
    }

    fn put(&mut self, i: usize, user: &str, resource: &str, session: (u64, Option<i8>)) {
        self.nodes[i].sessions.insert((user.to_owned(), resource.to_owned()), session);
        let (bound, priority) = session;
        self.tell(i, &Change::Put(Record { priority, ..record(user, resource, bound) }));
    }

    fn end(&mut self, i: usize, user: &str, resource: &str) {
        self.nodes[i].sessions.remove(&(user.to_owned(), resource.to_owned()));
        self.tell(i, &Change::Remove { user, resource });
    }

    fn tell(&mut self, i: usize, change: &Change<'_>) {
        self.nodes[i].log.handle(LogInput::Changed(*change));
        self.nodes[i].table.apply(NodeId(0), change).expect("they are few");
    }

    fn restart(&mut self, i: usize) {
        for other in (0..self.nodes.len()).filter(|o| *o != i) {
            self.unlink(i, other);
        }
        let incarnation = self.nodes[i].incarnation + 1;
        self.nodes[i] = self.life(i, incarnation);
    }

    fn step(&mut self) {
        let n = self.nodes.len();
        self.time += self.rng.below(3) as i64;
        let a = self.rng.below(n as u64) as usize;
        let b = (a + 1 + self.rng.below(n as u64 - 1) as usize) % n;
        match self.rng.below(100) {
            0..30 => self.change(a),
            30..50 => {
                let room = self.rng.below(2) == 0;
                self.send(a, room);
            }
            50..85 => drop(self.deliver(a, b)),
            85..89 => self.link(a, b),
            89..92 => self.unlink(a, b),
            // A frame is lost, which an ordered link never does.
            92..94 => drop(self.links.get_mut(&(a, b)).and_then(Frames::pop_front)),
            94 => self.restart(a),
            _ => drop(self.nodes[a].table.purge(3, |_, _| {})),
        }
    }

    /// All links stand and everything arrives.
    fn heal(&mut self) {
        let n = self.nodes.len();
        let pairs: Vec<(usize, usize)> = (0..n).flat_map(|a| (0..n).map(move |b| (a, b))).collect();
        for &(a, b) in pairs.iter().filter(|(a, b)| a < b) {
            if !self.links.contains_key(&(a, b)) || !self.links.contains_key(&(b, a)) {
                self.link(a, b);
            }
        }
        // What is on its way arrives; then each says something new, as nothing else shows that the last frame was lost.
        self.settle(&pairs);
        for i in 0..n {
            let bound = self.nodes[i].clock.stamp(Utc(self.time)).0;
            self.put(i, "new@d0", &format!("n{i}"), (bound, None));
        }
        self.settle(&pairs);
        for node in &mut self.nodes {
            while node.table.purge(5, |_, _| {}) {}
        }
    }

    fn settle(&mut self, pairs: &[(usize, usize)]) {
        for round in 0.. {
            assert!(round < 2000, "it does not come to rest");
            (0..self.nodes.len()).for_each(|i| self.send(i, true));
            let mut moved = false;
            for (a, b) in pairs {
                while self.deliver(*a, *b) {
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn check(&self, seed: u64) {
        let union: usize = self.nodes.iter().map(|n| n.sessions.len()).sum();
        let mut winners: BTreeMap<(String, String), (u64, NodeName)> = BTreeMap::new();
        for node in &self.nodes {
            for (key, (bound, _)) in &node.sessions {
                let mine = (*bound, node.name.clone());
                let best = winners.entry(key.clone()).or_insert(mine.clone());
                *best = best.clone().max(mine);
            }
        }
        for (i, node) in self.nodes.iter().enumerate() {
            assert_eq!(node.table.len(), union, "seed {seed}: node {i} has the union of all sessions");
            let numbers: BTreeMap<NodeId, NodeName> = node
                .others
                .iter()
                .map(|(o, (number, _))| (*number, name(*o)))
                .chain([(NodeId(0), node.name.clone())])
                .collect();
            for (other, (_, replica)) in &node.others {
                assert!(replica.is_whole(), "seed {seed}");
                assert_eq!(replica.seq(), self.nodes[*other].log.seq(), "seed {seed}");
            }
            let users: BTreeSet<&String> = winners.keys().map(|(user, _)| user).collect();
            let seen: usize = users.iter().map(|u| node.table.of(u).count()).sum();
            assert_eq!(seen, winners.len(), "seed {seed}: each full JID is seen once");
            for ((user, resource), (bound, at)) in &winners {
                let found = node.table.get(user, resource).expect("a session is known everywhere");
                let owner = &self.nodes.iter().find(|n| n.name == *at).unwrap().sessions;
                let (_, priority) = owner[&(user.clone(), resource.clone())];
                assert_eq!((found.record.bound.0, &numbers[&found.node]), (*bound, at), "seed {seed}");
                assert_eq!(found.record.priority, priority, "seed {seed}");
            }
        }
    }
}

/// How many seeds, or which one: `REGISTRY_SEEDS=10000`, `REGISTRY_SEED=25`.
#[allow(clippy::disallowed_methods, reason = "a test is asked for more than usual")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn after_healing_every_replica_is_the_union_of_the_live_sessions() {
    let only = number("REGISTRY_SEED");
    let seeds = only.map_or_else(|| 0..number("REGISTRY_SEEDS").unwrap_or(300), |seed| seed..seed + 1);
    let (count, mut gaps) = (seeds.end - seeds.start, 0);
    for seed in seeds {
        let mut world = World::new(2 + (seed % 4) as usize, seed);
        for _ in 0..400 {
            world.step();
        }
        world.heal();
        world.check(seed);
        gaps += world.gaps;
    }
    println!("{count} seeds, {gaps} gaps");
    assert!(only.is_some() || gaps as u64 > count, "frames were missed: {gaps}");
}

/// A snapshot of more than one part, while sessions come and go before and behind where it stands.
#[test]
fn changes_travel_between_the_parts_of_a_snapshot() {
    let mut w = World::new(2, 9);
    let log = Log::new(&name(0), Incarnation(1), KEY);
    w.nodes[0].log = log;
    for i in 0..10_000 {
        w.put(0, &format!("user{i}@d"), "r", (i, Some(0)));
    }
    w.link(0, 1);
    let mut parts = 0;
    while w.nodes[0].log.wants_room(NodeId(1)) {
        w.nodes[0].log.handle(LogInput::Room(NodeId(1)));
        parts += 1;
        for i in [parts, 9_999 - parts] {
            w.end(0, &format!("user{i}@d"), "r");
        }
        w.send(0, false);
        while w.deliver(0, 1) {}
    }
    assert!(parts > 4, "{parts}");
    w.heal();
    w.check(9);
}
