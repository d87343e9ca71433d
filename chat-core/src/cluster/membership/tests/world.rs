//! A network of membership machines: links that take time to be noticed dead, datagrams that take time to arrive, nodes
//! that are killed, stopped and started again.

use crate::base::{Mono, Now, Rng, Span, Utc};
use crate::cluster::identity::{Incarnation, NodeName};
use crate::cluster::membership::{Input, Membership, Output, Settings, Why};
use crate::cluster::testing::{Agenda, Log};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How long a link may be without a sign of life before both ends take it for dead.
pub(super) const LINK_TIMEOUT: Span = Span::secs(3);
/// How often a node that has no link to another tries to make one.
const DIAL_EVERY: Span = Span::millis(700);

/// What comes to pass at a moment.
enum Event {
    Datagram {
        from: usize,
        to: usize,
        bytes: Vec<u8>,
        lives: (u64, u64),
    },
    Wake(usize),
    /// Looks after all links: dead ones are noticed, missing ones are made.
    Links,
}

pub(super) struct Node {
    pub(super) name: NodeName,
    pub(super) incarnation: u64,
    machine: Option<Membership>,
    stopped: bool,
    left: bool,
    /// What it believes is up, as an agent keeps it.
    pub(super) up: BTreeMap<NodeName, Incarnation>,
    /// What reached it while it was stopped.
    waiting: VecDeque<Waiting>,
    woken_at: Option<Mono>,
    pub(super) log: Log,
}

enum Waiting {
    Datagram(usize, Vec<u8>),
    Unlinked(usize),
}

pub(super) struct World {
    agenda: Agenda<Event>,
    start: Mono,
    pub(super) nodes: Vec<Node>,
    rng: Rng,
    /// Directions that carry nothing.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// Links, and since when they are without a sign of life.
    links: BTreeMap<(usize, usize), Option<Mono>>,
    pub(super) datagrams: usize,
    pub(super) bytes: usize,
}

impl World {
    pub(super) fn new(nodes: usize, seed: u64) -> World {
        let start = Mono(1_000_000_000);
        let mut world = World {
            agenda: Agenda::new(start),
            start,
            nodes: Vec::new(),
            rng: Rng::from_u64(seed),
            cut: BTreeSet::new(),
            links: BTreeMap::new(),
            datagrams: 0,
            bytes: 0,
        };
        for i in 0..nodes {
            let name = NodeName::parse(&format!("chat@n{i}")).unwrap();
            world.nodes.push(Node {
                name,
                incarnation: 0,
                machine: None,
                stopped: false,
                left: false,
                up: BTreeMap::new(),
                waiting: VecDeque::new(),
                woken_at: None,
                log: Log::default(),
            });
            world.start(i);
        }
        world.plan(Span::millis(1), Event::Links);
        world
    }

    pub(super) fn at(&self) -> Mono {
        self.agenda.now
    }

    /// Milliseconds since the beginning.
    pub(super) fn ms(&self) -> u64 {
        self.at().since(self.start).as_millis()
    }

    fn plan(&mut self, after: Span, event: Event) {
        self.agenda.after(after, event);
    }

    pub(super) fn is_running(&self, i: usize) -> bool {
        self.nodes[i].machine.is_some() && !self.nodes[i].stopped
    }

    pub(super) fn is_member(&self, i: usize) -> bool {
        self.nodes[i].machine.is_some() && !self.nodes[i].left
    }

    /// A new life of a node; the clock of its machine may have gone back.
    pub(super) fn start(&mut self, i: usize) {
        assert!(self.nodes[i].machine.is_none());
        let rng = self.rng.fork();
        let node = &mut self.nodes[i];
        node.incarnation += 1;
        (node.stopped, node.left) = (false, false);
        let incarnation = Incarnation(node.incarnation);
        let settings = Settings { name: node.name.clone(), incarnation, port: 4369 };
        node.machine = Some(Membership::new(settings, rng));
        // Whoever still holds a connection to the life before is told that it is none.
        for other in 0..self.nodes.len() {
            if self.links.remove(&(i.min(other), i.max(other))).is_some() {
                self.unlinked(other, i);
            }
        }
    }

    /// The process dies. If its machine lives on, connections are reset at once; if not, their silence shows.
    pub(super) fn kill(&mut self, i: usize, resets: bool) {
        let node = &mut self.nodes[i];
        node.machine = None;
        node.up.clear();
        node.waiting.clear();
        let gone: Vec<(usize, usize)> =
            self.links.keys().filter(|(a, b)| *a == i || *b == i).copied().collect();
        for (a, b) in gone {
            let other = if a == i { b } else { a };
            if resets && !self.cut.contains(&(i, other)) {
                self.links.remove(&(a, b));
                self.unlinked(other, i);
            } else {
                self.links.insert((a, b), Some(self.at()));
            }
        }
    }

    pub(super) fn stop(&mut self, i: usize) {
        self.nodes[i].stopped = true;
    }

    /// A stopped node goes on: it reads what waits for it, and its links that others closed end.
    pub(super) fn go_on(&mut self, i: usize) {
        self.nodes[i].stopped = false;
        while let Some(waiting) = self.nodes[i].waiting.pop_front() {
            match waiting {
                Waiting::Datagram(from, bytes) => {
                    let from = self.nodes[from].name.clone();
                    self.give(i, Input::Datagram { from: &from, bytes: &bytes });
                }
                Waiting::Unlinked(other) => {
                    let other = self.nodes[other].name.clone();
                    self.give(i, Input::Unlinked(&other));
                }
            }
        }
        self.give(i, Input::Tick);
    }

    pub(super) fn leave(&mut self, i: usize) {
        self.give(i, Input::Leave);
        self.nodes[i].left = true;
    }

    fn unlinked(&mut self, i: usize, other: usize) {
        if self.nodes[i].stopped {
            self.nodes[i].waiting.push_back(Waiting::Unlinked(other));
        } else if self.nodes[i].machine.is_some() {
            let name = self.nodes[other].name.clone();
            self.give(i, Input::Unlinked(&name));
        }
    }

    pub(super) fn give(&mut self, i: usize, input: Input<'_>) {
        let now = Now { mono: self.at(), utc: Utc(0) };
        let Some(machine) = self.nodes[i].machine.as_mut() else { return };
        machine.handle(now, input);
        while let Some(output) = self.nodes[i].machine.as_mut().unwrap().poll_output() {
            self.carry_out(i, output);
        }
        let machine = self.nodes[i].machine.as_ref().unwrap();
        if let Some((next, _)) = machine.poll_timeout() {
            assert!(next > self.at(), "node {i} wants to be woken at once, for ever");
            if self.nodes[i].woken_at.is_none_or(|at| at > next || at <= self.at()) {
                self.nodes[i].woken_at = Some(next);
                self.plan(next.since(self.at()), Event::Wake(i));
            }
        }
    }

    fn carry_out(&mut self, i: usize, output: Output) {
        let at = self.at();
        let node = &mut self.nodes[i];
        match output {
            Output::Send { to, bytes } => {
                let to = self.nodes.iter().position(|n| n.name == to).unwrap();
                self.datagrams += 1;
                self.bytes += bytes.len();
                if self.links.contains_key(&(i.min(to), i.max(to))) && !self.cut.contains(&(i, to)) {
                    let lives = (self.nodes[i].incarnation, self.nodes[to].incarnation);
                    let delay = Span(200_000 + self.rng.below(800_000));
                    self.plan(delay, Event::Datagram { from: i, to, bytes, lives });
                }
            }
            Output::Up { name, incarnation } => {
                node.log.push(at, format!("up {name} {incarnation}"));
                assert_eq!(node.up.insert(name, incarnation), None, "up twice");
            }
            Output::Down { name, incarnation, why } => {
                let why = match why {
                    Why::Left => "left",
                    Why::Silent => "silent",
                    Why::NoLink => "no link",
                    Why::Replaced => "replaced",
                };
                node.log.push(at, format!("down {name} {incarnation} {why}"));
                assert_eq!(node.up.remove(&name), Some(incarnation), "down without up");
            }
            Output::Known(known) => node.log.push(at, format!("known {known}")),
            Output::Returned => node.log.push(at, "returned".into()),
            Output::Stalled(_) => node.log.push(at, "stalled".into()),
            Output::Outlived { name, later, .. } => node.log.push(at, format!("outlived {name} {later}")),
            Output::Fault(peer) => panic!("{peer} sent what is no datagram"),
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, span: Span) {
        let end = self.at() + span;
        while let Some(event) = self.agenda.next_until(end) {
            match event {
                Event::Wake(i) => {
                    if self.nodes[i].woken_at == Some(self.at()) {
                        self.nodes[i].woken_at = None;
                    }
                    let due = |n: &Node| n.machine.as_ref().and_then(Membership::poll_timeout);
                    if !self.nodes[i].stopped && due(&self.nodes[i]).is_some() {
                        self.give(i, Input::Tick);
                    }
                }
                Event::Datagram { from, to, bytes, lives } => {
                    let same = lives == (self.nodes[from].incarnation, self.nodes[to].incarnation);
                    let linked = self.links.contains_key(&(from.min(to), from.max(to)));
                    if !same || !linked || self.nodes[to].machine.is_none() {
                        continue;
                    }
                    if self.nodes[to].stopped {
                        self.nodes[to].waiting.push_back(Waiting::Datagram(from, bytes));
                    } else {
                        let name = self.nodes[from].name.clone();
                        self.give(to, Input::Datagram { from: &name, bytes: &bytes });
                    }
                }
                Event::Links => {
                    self.look_after_links();
                    self.plan(Span::millis(50), Event::Links);
                }
            }
        }
    }

    fn look_after_links(&mut self) {
        for b in 0..self.nodes.len() {
            for a in 0..b {
                let hears = |w: &World, x, y| w.is_running(x) && !w.cut.contains(&(x, y));
                let sound = hears(self, a, b) && hears(self, b, a);
                let members = self.is_member(a) && self.is_member(b);
                match self.links.get(&(a, b)).copied() {
                    // Both dial, at moments of their own.
                    None if sound && members && self.rng.below(DIAL_EVERY.0 / 50_000_000) == 0 => {
                        self.links.insert((a, b), None);
                        for (i, other) in [(a, b), (b, a)] {
                            let name = self.nodes[other].name.clone();
                            let incarnation = Incarnation(self.nodes[other].incarnation);
                            self.give(i, Input::Linked { name: &name, incarnation });
                        }
                    }
                    Some(Some(_)) if sound => drop(self.links.insert((a, b), None)),
                    Some(None) if !sound => drop(self.links.insert((a, b), Some(self.at()))),
                    Some(Some(since)) if self.at().since(since) >= LINK_TIMEOUT => {
                        self.links.remove(&(a, b));
                        self.unlinked(a, b);
                        self.unlinked(b, a);
                    }
                    _ => {}
                }
            }
        }
    }

    pub(super) fn is_linked(&self, a: usize, b: usize) -> bool {
        self.links.contains_key(&(a.min(b), a.max(b)))
    }

    /// Breaks a link as a reset does: both ends notice at once.
    pub(super) fn reset(&mut self, a: usize, b: usize) {
        if self.links.remove(&(a.min(b), a.max(b))).is_some() {
            self.unlinked(a, b);
            self.unlinked(b, a);
        }
    }

    /// Cuts both directions between two nodes, or heals them.
    pub(super) fn set_cut(&mut self, a: usize, b: usize, cut: bool) {
        for pair in [(a, b), (b, a)] {
            if cut {
                self.cut.insert(pair)
            } else {
                self.cut.remove(&pair)
            };
        }
    }

    /// What a node logged since a moment, without the times.
    pub(super) fn since(&self, i: usize, at: Mono) -> Vec<&str> {
        self.nodes[i].log.since(at)
    }

    /// When a node logged this for the first time since a moment, in milliseconds after it.
    pub(super) fn when(&self, i: usize, at: Mono, what: &str) -> Option<u64> {
        self.nodes[i].log.when(at, what)
    }

    /// Why the nodes do not see the truth, which is that exactly the members are up, in their present life; `None` if they
    /// do.
    pub(super) fn apart(&self) -> Option<String> {
        for i in (0..self.nodes.len()).filter(|i| self.is_member(*i)) {
            let others = (0..self.nodes.len()).filter(|j| *j != i && self.is_member(*j));
            let truth: BTreeMap<NodeName, Incarnation> = others
                .map(|j| (self.nodes[j].name.clone(), Incarnation(self.nodes[j].incarnation)))
                .collect();
            if self.nodes[i].up != truth {
                return Some(format!("node {i} sees {:?}, but there are {truth:?}", self.nodes[i].up));
            }
            let views = self.nodes[i].machine.as_ref().unwrap().members();
            let up: BTreeMap<_, _> =
                views.iter().filter(|v| v.is_up).map(|v| (v.name.clone(), v.incarnation)).collect();
            if up != truth || views.iter().any(|v| v.is_up && !v.is_linked) {
                return Some(format!("node {i} shows {views:?}"));
            }
        }
        None
    }
}
