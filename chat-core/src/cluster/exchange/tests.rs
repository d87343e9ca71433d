//! Nodes with tables for their workers, and perfect pipes between them. Links begin anew and nodes die at any time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::{Exchange, Output};
use crate::base::{HashKey, Hlc, MsgId, NodeId, Rng, Utc, WorkerId};
use crate::cluster::agent::{Down, Event};
use crate::cluster::identity::{BootId, Identity, Incarnation, NodeName};
use crate::cluster::link::NotSent;
use crate::cluster::testing::run_seeds;
use crate::cluster::wire::{Envelope, Kind, Versions, WireFault};
use crate::effect::{
    Change, Domain, NodeMail, NodeTold, Outcome, Parcel, Record, Refused, Settings, Targets,
};
use crate::route::registry::Table;

mod sessions;

const NODES: usize = 3;
const KEY: HashKey = HashKey { k0: 1, k1: 2 };

/// What a worker would do with its mail.
struct Worker {
    table: Table,
    names: BTreeMap<NodeId, String>,
    /// Numbers that it was given before it lost everything.
    before: BTreeSet<NodeId>,
    /// Nodes all of whose sessions are known.
    whole: BTreeSet<NodeId>,
    /// What else it was told.
    heard: Vec<String>,
}

struct Node {
    identity: Identity,
    /// The newest version that it speaks.
    version: u16,
    exchange: Exchange,
    workers: Vec<Worker>,
    /// Its sessions, with their priorities.
    own: BTreeMap<(String, String), i8>,
    alive: bool,
}

type Pipe = VecDeque<(Kind, Vec<u8>)>;

struct World {
    nodes: Vec<Node>,
    /// Frames on their way.
    pipes: BTreeMap<(usize, usize), Pipe>,
    linked: BTreeSet<(usize, usize)>,
    rng: Rng,
    lives: u64,
}

fn settings(workers: u16) -> Arc<Settings> {
    // Each node divides its users in its own way.
    let home = HashKey { k0: u64::from(workers), k1: 7 };
    let settings = Settings::new(vec![Domain::new("localhost")], home, [7; 16]);
    Arc::new(Settings { workers, ..settings })
}

fn new_worker() -> Worker {
    Worker {
        table: Table::new(KEY),
        names: BTreeMap::new(),
        before: BTreeSet::new(),
        whole: BTreeSet::new(),
        heard: Vec::new(),
    }
}

fn new_node(i: usize, life: u64) -> Node {
    let identity = Identity {
        name: NodeName::parse(&format!("chat@n{i}")).expect("a name"),
        incarnation: Incarnation(1000 + life),
        boot: BootId([life as u8; 16]),
    };
    let workers = i as u16 + 1;
    Node {
        exchange: Exchange::new(&identity, settings(workers), KEY),
        workers: (0..workers).map(|_| new_worker()).collect(),
        own: BTreeMap::new(),
        alive: true,
        version: Versions::OURS.max - life as u16 % 2,
        identity,
    }
}

impl Worker {
    fn hear(&mut self, mail: &NodeMail) {
        for told in mail.iter() {
            match told {
                NodeTold::Up { node, name, .. } => {
                    assert!(self.names.insert(node, name.to_owned()).is_none(), "a number is given twice");
                    while !self.table.is_free(node) {
                        self.table.purge(usize::MAX, |_, _| {});
                    }
                    self.table.seat(node, name);
                }
                NodeTold::Whole { node } => {
                    assert!(self.names.contains_key(&node), "a node that is not there");
                    assert!(self.whole.insert(node), "it was told before");
                }
                NodeTold::Down { node } => {
                    self.whole.remove(&node);
                    let known = self.names.remove(&node).is_some();
                    assert!(known != self.before.remove(&node), "nobody has that number, or two");
                    if known {
                        self.table.unseat(node);
                    }
                }
                NodeTold::Change { node, change } => {
                    assert!(self.names.contains_key(&node), "news of a node that is not there");
                    self.table.apply(node, &change).expect("within the limits");
                }
                NodeTold::Parcel { node, parcel } => {
                    let known: Vec<_> = self.table.of("user1@localhost").map(|e| e.record.resource).collect();
                    self.heard.push(format!("{node:?} {} {} {known:?}", parcel.envelope, parcel.stanza));
                }
                told => self.heard.push(format!("{told:?}")),
            }
        }
    }
}

impl World {
    fn new(seed: u64) -> World {
        World {
            nodes: (0..NODES).map(|i| new_node(i, i as u64)).collect(),
            pipes: BTreeMap::new(),
            linked: BTreeSet::new(),
            rng: Rng::from_u64(seed),
            lives: NODES as u64,
        }
    }

    fn event(&mut self, i: usize, event: &Event<'_>) {
        self.nodes[i].exchange.on_event(event);
        self.turn(i);
    }

    fn turn(&mut self, i: usize) {
        loop {
            let more = self.nodes[i].exchange.end_turn();
            while let Some(output) = self.nodes[i].exchange.poll_output() {
                match output {
                    Output::Send { to, kind, body } => {
                        let to = self.nodes.iter().position(|n| n.identity.name == to).expect("a node");
                        if self.linked.contains(&(i, to)) {
                            let body = self.nodes[i].exchange.body(body).to_vec();
                            self.pipes.entry((i, to)).or_default().push_back((kind, body));
                        }
                    }
                    Output::Anew { node, fault: Some(fault) } => panic!("{node} sent nonsense: {fault}"),
                    Output::Anew { node, fault: None } => {
                        let other = self.nodes.iter().position(|n| n.identity.name == node).expect("a node");
                        for pair in [(i, other), (other, i)] {
                            self.pipes.remove(&pair);
                            self.linked.remove(&pair);
                        }
                    }
                    Output::Mail { worker, mail } => {
                        self.nodes[i].workers[usize::from(worker.0)].hear(&mail);
                        self.nodes[i].exchange.reuse(mail);
                    }
                }
            }
            if !more {
                break;
            }
        }
    }

    /// Both begin anew: nothing that is on its way arrives.
    fn fresh(&mut self, i: usize, j: usize) {
        for pair in [(i, j), (j, i)] {
            self.pipes.remove(&pair);
            self.linked.insert(pair);
        }
        for (from, to) in [(i, j), (j, i)] {
            let other = self.nodes[from].identity.clone();
            let version = self.nodes[from].version.min(self.nodes[to].version);
            self.event(to, &Event::Fresh { peer: other, version });
        }
    }

    fn down(&mut self, i: usize, j: usize) {
        if !self.linked.remove(&(i, j)) {
            return;
        }
        self.pipes.remove(&(j, i));
        let node = self.nodes[j].identity.clone();
        if self.nodes[i].alive {
            self.event(i, &Event::PeerDown { node, why: Down::Silent });
        }
    }

    fn change(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        let user = format!("user{}@localhost", self.rng.below(20));
        let resource = format!("r{}n{i}", self.rng.below(3));
        let mut mail = NodeMail::default();
        let change = if self.rng.below(3) == 0 {
            node.own.remove(&(user.clone(), resource.clone()));
            Change::Remove { user: &user, resource: &resource }
        } else {
            let priority = self.rng.below(100) as i8;
            node.own.insert((user.clone(), resource.clone()), priority);
            let (user, resource) = (user.as_str(), resource.as_str());
            let (carbons, sm, bound) = (false, None, Hlc(1));
            let worker = settings(node.workers.len() as u16).home(user);
            Change::Put(Record { user, resource, priority: Some(priority), carbons, sm, worker, bound })
        };
        mail.put(&NodeTold::Change { node: NodeId(0), change });
        node.exchange.on_mail(&mut mail);
        assert!(mail.is_empty());
        if self.rng.below(2) == 0 {
            self.turn(i);
        }
    }

    /// A worker loses everything, and both nodes begin anew, sooner or later.
    fn restart(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        let w = self.rng.below(node.workers.len() as u64) as usize;
        let home = settings(node.workers.len() as u16);
        node.own.retain(|(user, _), _| usize::from(home.home(user).0) != w);
        let old = std::mem::replace(&mut node.workers[w], new_worker());
        node.workers[w].before = old.before.into_iter().chain(old.names.into_keys()).collect();
        node.exchange.on_restart(WorkerId(w as u16));
        self.turn(i);
        for j in (0..NODES).filter(|j| *j != i).collect::<Vec<_>>() {
            if self.nodes[i].alive && self.nodes[j].alive && self.rng.below(2) == 0 {
                self.fresh(i, j);
            }
        }
    }

    fn deliver(&mut self, i: usize, j: usize) {
        if let Some((kind, body)) = self.pipes.get_mut(&(i, j)).and_then(VecDeque::pop_front) {
            let from = self.nodes[i].identity.name.clone();
            self.event(j, &Event::Frame { from: &from, kind, body: &body });
        }
    }

    fn act(&mut self) {
        let (i, j) = (self.rng.below(NODES as u64) as usize, self.rng.below(NODES as u64) as usize);
        match self.rng.below(40) {
            0 if i != j && self.nodes[i].alive && self.nodes[j].alive => self.fresh(i, j),
            1 if i != j => {
                self.down(i, j);
                self.down(j, i);
            }
            2 => {
                // It dies; another life begins.
                self.nodes[i].alive = false;
                for other in (0..NODES).filter(|other| *other != i) {
                    self.down(other, i);
                    self.linked.remove(&(i, other));
                    self.pipes.remove(&(i, other));
                }
                self.lives += 1;
                self.nodes[i] = new_node(i, self.lives);
            }
            3 => {
                let node = self.nodes[j].identity.name.clone();
                self.event(i, &Event::Congested { node, is_congested: self.lives.is_multiple_of(2) });
            }
            4 => self.restart(i),
            5..20 => self.change(i),
            _ => self.deliver(i, j),
        }
    }

    /// Every worker knows all sessions of its users, wherever they are, and no others.
    fn check(&mut self) {
        for i in 0..NODES {
            for j in (0..NODES).filter(|j| *j > i) {
                if !self.linked.contains(&(i, j)) || !self.linked.contains(&(j, i)) {
                    self.fresh(i, j);
                }
                for (a, b) in [(i, j), (j, i)] {
                    let node = self.nodes[b].identity.name.clone();
                    self.event(a, &Event::Congested { node, is_congested: false });
                }
            }
        }
        (0..NODES).for_each(|i| self.turn(i));
        while let Some((i, j)) = self.pipes.iter().find(|(_, pipe)| !pipe.is_empty()).map(|(key, _)| *key) {
            self.deliver(i, j);
        }
        for i in 0..NODES {
            assert!(self.nodes[i].exchange.is_whole());
            let workers = settings(self.nodes[i].workers.len() as u16);
            let expected: BTreeSet<(String, String, String, i8)> = (0..NODES)
                .filter(|j| *j != i)
                .flat_map(|j| {
                    let name = self.nodes[j].identity.name.as_str().to_owned();
                    let own = self.nodes[j].own.clone();
                    own.into_iter().map(move |((user, resource), p)| (name.clone(), user, resource, p))
                })
                .collect();
            let mut found = BTreeSet::new();
            for (w, worker) in self.nodes[i].workers.iter().enumerate() {
                assert!(worker.names.keys().eq(&worker.whole), "all sessions of all nodes are known");
                for user in (0..20).map(|u| format!("user{u}@localhost")) {
                    for entry in worker.table.of(&user) {
                        assert_eq!(usize::from(workers.home(&user).0), w, "a stranger's session");
                        let name = worker.names[&entry.node].clone();
                        let priority = entry.record.priority.expect("all have one");
                        found.insert((name, user.clone(), entry.record.resource.to_owned(), priority));
                    }
                }
            }
            assert_eq!(found, expected, "node {i}");
        }
    }
}

#[test]
fn every_worker_learns_where_its_users_are() {
    run_seeds("EXCHANGE_SEEDS", "EXCHANGE_SEED", 200, |seed, _| {
        let mut world = World::new(seed);
        for _ in 0..3 {
            for _ in 0..150 {
                world.act();
            }
            world.check();
        }
    });
}

#[test]
fn nonsense_is_told_and_changes_nothing() {
    let mut world = World::new(1);
    world.fresh(0, 1);
    let from = world.nodes[1].identity.name.clone();
    for (kind, body) in
        [(Kind::RegistryRecords, &b"\xff"[..]), (Kind::SessionAsk, b""), (Kind::RegistryReset, b"")]
    {
        let exchange = &mut world.nodes[0].exchange;
        exchange.on_event(&Event::Frame { from: &from, kind, body });
        exchange.end_turn();
        let output = exchange.poll_output();
        let told = matches!(&output, Some(Output::Anew { node, fault: Some(_) }) if *node == from);
        assert!(told, "{kind:?}: {output:?}");
        // Nothing more is read until both have begun anew.
        exchange.on_event(&Event::Frame { from: &from, kind: Kind::RegistryRecords, body: b"\xff" });
        exchange.end_turn();
        assert!(exchange.poll_output().is_none());
        world.fresh(0, 1);
        world.turn(0);
    }
    // Of a node that is not met, nothing is read.
    let stranger = world.nodes[2].identity.name.clone();
    let exchange = &mut world.nodes[0].exchange;
    exchange.on_event(&Event::Frame { from: &stranger, kind: Kind::RegistryRecords, body: b"\xff" });
    exchange.end_turn();
    assert!(exchange.poll_output().is_none());
}

#[test]
fn a_life_that_begins_tells_all_sessions_again() {
    let mut world = World::new(2);
    world.change(0);
    world.fresh(0, 1);
    while world.pipes.values().any(|pipe| !pipe.is_empty()) {
        world.deliver(0, 1);
        world.deliver(1, 0);
    }
    let next = Identity { incarnation: Incarnation(5000), ..world.nodes[0].identity.clone() };
    let other = world.nodes[1].identity.clone();
    world.event(0, &Event::PeerDown { node: other, why: Down::Silent });
    world.event(0, &Event::NewLife(next.clone()));
    world.nodes[0].identity = next;
    world.fresh(0, 1);
    world.check();
}

fn parcel(worker: WorkerId) -> Parcel<'static> {
    Parcel {
        envelope: 5,
        attempt: 1,
        worker,
        id: MsgId(1),
        at: Utc(2),
        delayed: false,
        awaited: true,
        from: "user2@localhost/x",
        to: "user1@localhost",
        targets: Targets("r\0"),
        stanza: "<message/>",
    }
}

/// Behind what is said of sessions before, to the worker that it is for, and from a node that is met only.
#[test]
fn stanzas_and_results_go_from_worker_to_worker() {
    let mut world = World::new(3);
    world.fresh(0, 2);
    world.check();
    let number = world.nodes[0].exchange.number_of(&world.nodes[2].identity.name).expect("they have met");
    let (user, resource) = ("user1@localhost", "r");
    let (carbons, sm, worker, bound) = (false, None, WorkerId(0), Hlc(1));
    let record = Record { user, resource, priority: Some(1), carbons, sm, worker, bound };
    let home = settings(3).home(user);
    let mut mail = NodeMail::default();
    mail.put(&NodeTold::Change { node: NodeId(0), change: Change::Put(record) });
    for node in [number, NodeId(99)] {
        mail.put(&NodeTold::Parcel { node, parcel: parcel(home) });
    }
    mail.put(&NodeTold::Result { node: number, envelope: 3 * 7 + 1, outcome: Outcome::Lost });
    mail.put(&NodeTold::Poke { node: number, user });
    world.nodes[0].exchange.on_mail(&mut mail);
    world.turn(0);
    (0..9).for_each(|_| world.deliver(0, 2));
    let from = world.nodes[2].exchange.number_of(&world.nodes[0].identity.name).expect("they have met");
    let heard = |w: usize| world.nodes[2].workers[w].heard.clone();
    let mut expected = vec![Vec::new(); 3];
    expected[usize::from(home.0)].push(format!("{from:?} 5 <message/> [\"r\"]"));
    expected[1].push(format!("Result {{ node: {from:?}, envelope: 22, outcome: Lost }}"));
    expected[usize::from(home.0)].push(format!("Poke {{ node: {from:?}, user: \"user1@localhost\" }}"));
    assert_eq!([heard(0), heard(1), heard(2)], &expected[..]);
    // A worker that is not there.
    let name = world.nodes[0].identity.name.clone();
    let mut body = Vec::new();
    Envelope(parcel(WorkerId(3))).write(&mut body, 2);
    world.nodes[2].exchange.on_event(&Event::Frame { from: &name, kind: Kind::Envelope, body: &body });
    let output = world.nodes[2].exchange.poll_output();
    assert!(matches!(output, Some(Output::Anew { fault: Some(WireFault::Value), .. })), "{output:?}");
}

/// What cannot be sent has a result all the same; so has what would only make a long queue longer.
#[test]
fn what_is_not_sent_is_refused() {
    let mut world = World::new(4);
    world.fresh(0, 2);
    let name = world.nodes[2].identity.name.clone();
    let exchange = &mut world.nodes[0].exchange;
    let node = exchange.number_of(&name).expect("they have met");
    let refused = |exchange: &mut Exchange| {
        exchange.end_turn();
        let mut told = Vec::new();
        while let Some(output) = exchange.poll_output() {
            match output {
                Output::Mail { mail, .. } => told.extend(mail.iter().map(|told| format!("{told:?}"))),
                Output::Send { kind, .. } => told.push(format!("{kind:?}")),
                Output::Anew { .. } => panic!("there is no reason"),
            }
        }
        told
    };
    let result = |why| {
        let outcome = Outcome::Refused(why);
        format!("{:?}", NodeTold::Result { node, envelope: 5, outcome })
    };
    let mut mail = NodeMail::default();
    for why in [NotSent::TooLarge, NotSent::Full] {
        refused(exchange);
        mail.put(&NodeTold::Parcel { node, parcel: parcel(WorkerId(1)) });
        exchange.on_mail(&mut mail);
        let Some(Output::Send { to, kind, body }) = exchange.poll_output() else { panic!("it is sent") };
        exchange.on_not_sent(&to, kind, body, why);
        let told: &[String] = if why == NotSent::TooLarge { &[result(Refused::NotTaken)] } else { &[] };
        assert_eq!(refused(exchange), told);
    }
    exchange.on_event(&Event::Congested { node: name, is_congested: true });
    mail.put(&NodeTold::Parcel { node, parcel: parcel(WorkerId(1)) });
    mail.put(&NodeTold::Parcel { node, parcel: Parcel { awaited: false, ..parcel(WorkerId(1)) } });
    exchange.on_mail(&mut mail);
    assert_eq!(refused(exchange), ["Envelope".to_owned(), result(Refused::Overloaded)]);
}

/// A node of version 1 reads one result in a frame.
#[test]
fn results_for_one_node_go_in_one_frame() {
    for (version, frames) in [(1, 3), (2, 1)] {
        let mut world = World::new(7);
        let (node, other) = (world.nodes[1].identity.clone(), world.nodes[0].identity.clone());
        world.nodes[0].exchange.on_event(&Event::Fresh { peer: node.clone(), version });
        world.nodes[1].exchange.on_event(&Event::Fresh { peer: other.clone(), version });
        while world.nodes.iter_mut().any(|n| n.exchange.poll_output().is_some()) {}
        let number = world.nodes[0].exchange.number_of(&node.name).expect("they have met");
        let mut mail = NodeMail::default();
        let outcomes = [Outcome::Settled, Outcome::Moved, Outcome::Settled];
        for (envelope, outcome) in (7..).zip(outcomes) {
            mail.put(&NodeTold::Result { node: number, envelope, outcome });
        }
        world.nodes[0].exchange.on_mail(&mut mail);
        let mut sent = 0;
        while let Some(output) = world.nodes[0].exchange.poll_output() {
            let Output::Send { kind, body, .. } = output else { panic!("{output:?}") };
            let body = world.nodes[0].exchange.body(body).to_vec();
            world.nodes[1].exchange.on_event(&Event::Frame { from: &other.name, kind, body: &body });
            sent += 1;
        }
        assert_eq!(sent, frames, "version {version}");
        let back = world.nodes[1].exchange.number_of(&other.name).expect("they have met");
        world.nodes[1].exchange.end_turn();
        let mut told = Vec::new();
        while let Some(output) = world.nodes[1].exchange.poll_output() {
            if let Output::Mail { mail, .. } = output {
                told.extend(mail.iter().filter_map(|told| match told {
                    NodeTold::Result { node, envelope, outcome } if node == back => Some((envelope, outcome)),
                    _ => None,
                }));
            }
        }
        told.sort_by_key(|(envelope, _)| *envelope);
        assert_eq!(told, (7..).zip(outcomes).collect::<Vec<_>>(), "version {version}");
    }
}
