//! Users who see each other come and go on all nodes, with clients that take each other's names, while nodes die, are cut off from
//! each other and meet again, and rosters change everywhere. When all has healed, everybody sees exactly who is there, every
//! client knows the same roster, and no name is taken twice.

use std::collections::{BTreeMap, BTreeSet};

use super::chaos::number;
use super::settlement::at_rest;
use super::shared::befriend;
use super::world::World;
use crate::base::{Mono, Rng, Span};

const USERS: [&str; 3] = ["juliet", "romeo", "nurse"];

/// What one client knows.
struct View {
    user: &'static str,
    jid: String,
    available: bool,
    /// Who is there.
    sees: BTreeSet<String>,
    /// Who is in the roster.
    roster: BTreeSet<String>,
}

struct Friends {
    w: World,
    rng: Rng,
    clients: BTreeMap<usize, View>,
    /// Clients take each other's names; then a node is cut off from all others, so that somebody knows of both.
    shared: bool,
    cut: BTreeSet<(usize, usize)>,
    names: u32,
    /// Since when pipes carry nothing.
    stalled: Option<Mono>,
}

/// The value of an attribute.
fn attr<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_once(&format!("{name}='"))?.1.split_once('\'').map(|(value, _)| value)
}

impl Friends {
    fn new(seed: u64) -> Friends {
        let mut rng = Rng::from_u64(seed);
        let workers = [1 + rng.below(2) as u16, 1 + rng.below(2) as u16, 1 + rng.below(2) as u16];
        let mut w = World::new(&workers);
        let first: Vec<usize> =
            USERS.iter().map(|user| w.login(0, &format!("{user}/first"), false)).collect();
        for (i, j) in [(0, 1), (1, 2), (0, 2)] {
            befriend(&mut w, (first[i], USERS[i]), (first[j], USERS[j]));
        }
        for c in first {
            w.send(c, "</stream:stream>");
        }
        w.wait(1_000);
        let shared = rng.below(2) == 0;
        Friends { w, rng, clients: BTreeMap::new(), shared, cut: BTreeSet::new(), names: 0, stalled: None }
    }

    fn pick(&mut self, n: usize) -> usize {
        self.rng.below(n as u64) as usize
    }

    fn read(&mut self) {
        for (c, view) in &mut self.clients {
            for text in self.w.got(*c) {
                if text.starts_with("<presence") {
                    let from = attr(&text, "from").expect("it is stamped").to_owned();
                    match attr(&text, "type") {
                        None => drop(view.sees.insert(from)),
                        Some("unavailable") => drop(view.sees.remove(&from)),
                        Some(_) => {}
                    }
                }
                if let Some((_, items)) = text.split_once("<query xmlns='jabber:iq:roster'") {
                    if text.contains("id='all'") {
                        view.roster.clear();
                    }
                    for item in items.split("<item ").skip(1) {
                        let contact = attr(item, "jid").expect("an item has an address").to_owned();
                        match attr(item, "subscription") {
                            Some("remove") => drop(view.roster.remove(&contact)),
                            _ => drop(view.roster.insert(contact)),
                        }
                    }
                }
            }
        }
        let w = &self.w;
        self.clients.retain(|c, _| w.clients[*c].open);
    }

    fn enter(&mut self, node: usize, user: &'static str, name: &str) -> usize {
        let c = self.w.bind(node, &format!("{user}/{name}"), false);
        let (sees, roster) = (BTreeSet::new(), BTreeSet::new());
        let jid = format!("{user}@h/{name}");
        self.clients.insert(c, View { user, jid, available: false, sees, roster });
        self.w.send(c, "<iq type='get' id='all'><query xmlns='jabber:iq:roster'/></iq>");
        self.be(c, true);
        c
    }

    fn be(&mut self, c: usize, available: bool) {
        self.read();
        let Some(view) = self.clients.get_mut(&c) else { return };
        view.available = available;
        if !available {
            // It is told nothing any more.
            view.sees.clear();
        }
        self.w.send(c, if available { "<presence/>" } else { "<presence type='unavailable'/>" });
        self.read();
        if let Some(view) = self.clients.get_mut(&c).filter(|view| !view.available) {
            view.sees.clear();
        }
    }

    fn step(&mut self) {
        let some: Vec<usize> = self.clients.keys().copied().collect();
        let node = self.pick(3);
        let other = (node + 1 + self.pick(2)) % 3;
        let pair = (node.min(other), node.max(other));
        let both = self.w.nodes[node].is_some() && self.w.nodes[other].is_some();
        match self.rng.below(100) {
            0..25 if self.w.nodes[node].is_some() && some.len() < 7 => {
                self.names += 1;
                let name = if self.shared { self.rng.below(3) as u32 } else { self.names };
                let user = USERS[self.pick(3)];
                self.enter(node, user, &format!("x{name}"));
            }
            25..35 if !some.is_empty() => {
                let c = some[self.pick(some.len())];
                let available = self.rng.below(3) != 0;
                self.be(c, available);
            }
            35..45 if !some.is_empty() => {
                let c = some[self.pick(some.len())];
                self.w.send(c, "</stream:stream>");
                self.w.cut(c);
            }
            45..60 if !some.is_empty() => {
                let c = some[self.pick(some.len())];
                let contact = self.rng.below(5);
                let gone = if self.rng.below(3) == 0 { " subscription='remove'" } else { "" };
                self.w.send(
                    c,
                    &format!(
                        "<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='c{contact}@h'{gone}/>\
                         </query></iq>"
                    ),
                );
            }
            60..66 if both => {
                self.stalled = self.stalled.or(Some(self.w.now.mono));
                self.w.held.push((node, other));
            }
            66..72 => self.flow(),
            72..75 if node > 0 && self.w.nodes[node].is_some() => {
                self.w.kill(node);
                self.cut.retain(|(a, b)| *a != node && *b != node);
            }
            75..79 if self.w.nodes[node].is_none() => self.w.start(node, 1 + (node % 2) as u16),
            79..81 if both && !self.cut.contains(&pair) => self.w.relink(node, other),
            81..84 if both && self.cut.is_empty() => {
                let others: Vec<usize> = if self.shared { (0..3).collect() } else { vec![other] };
                for other in others {
                    self.cut_off(node, other);
                }
            }
            84..88 => self.join(),
            _ => {
                let ms = 1 + self.rng.below(3_000);
                self.w.wait(ms);
            }
        }
        // A link that stalls for longer is given up (`cluster/link`).
        if self.stalled.is_some_and(|since| self.w.now.mono.since(since) >= Span::secs(5)) {
            self.flow();
        }
        self.read();
    }

    fn flow(&mut self) {
        self.stalled = None;
        self.w.held.clear();
        self.w.settle();
    }

    fn cut_off(&mut self, a: usize, b: usize) {
        if a != b && self.w.nodes[a].is_some() && self.w.nodes[b].is_some() {
            self.cut.insert((a.min(b), a.max(b)));
            self.w.unlink(a, b);
        }
    }

    fn join(&mut self) {
        for (a, b) in std::mem::take(&mut self.cut) {
            self.w.link(a, b);
        }
        self.w.settle();
    }

    fn heal(&mut self) {
        self.flow();
        self.join();
        for node in 1..3 {
            if self.w.nodes[node].is_none() {
                self.w.start(node, 1);
            }
        }
        self.w.wait(30_000);
        self.read();
    }

    fn check(&mut self, seed: u64) {
        at_rest(&self.w);
        let there: BTreeSet<String> =
            self.clients.values().filter(|view| view.available).map(|view| view.jid.clone()).collect();
        let names = self.clients.values().map(|view| &view.jid).collect::<BTreeSet<_>>().len();
        assert_eq!(names, self.clients.len(), "seed {seed}: a name is taken twice");
        for (c, view) in self.clients.iter().filter(|(_, view)| view.available) {
            assert_eq!(
                view.sees, there,
                "seed {seed}: what {} at {} sees",
                view.jid, self.w.clients[*c].node
            );
        }
        for user in USERS {
            let last = self.enter(0, user, "last");
            let truth = self.clients[&last].roster.clone();
            for view in self.clients.values().filter(|view| view.user == user) {
                assert_eq!(view.roster, truth, "seed {seed}: the roster of {}", view.jid);
            }
        }
    }
}

fn run(seed: u64) {
    let mut friends = Friends::new(seed);
    println!("seed {seed}");
    for _ in 0..120 {
        friends.step();
    }
    friends.heal();
    friends.check(seed);
}

#[test]
fn when_all_has_healed_everybody_sees_who_is_there() {
    match number("NODES_SEED") {
        Some(seed) => run(seed),
        None => (0..number("NODES_SEEDS").unwrap_or(60)).for_each(run),
    }
}
