//! Clients that write, read, acknowledge, come and go; nodes that die and come back; pipes that stall. Whatever happens: what
//! was acknowledged to a sender is not lost, nothing comes twice without saying so, and the order of two clients is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::settlement::at_rest;
use super::world::World;
use crate::base::Rng;

const USERS: [&str; 2] = ["juliet", "nurse"];

/// What a client got, over all connections of its session.
#[derive(Default)]
struct Log {
    /// Messages, in order, with whether they came late.
    got: Vec<(String, bool)>,
    /// How many of them it has acknowledged.
    had: usize,
    managed: bool,
}

struct Chaos {
    w: World,
    rng: Rng,
    senders: Vec<usize>,
    /// How much each sender sent, and to whom.
    sent: Vec<Vec<String>>,
    /// What was acknowledged to each.
    safe: Vec<usize>,
    /// Errors that it got.
    bounced: BTreeSet<String>,
    /// Clients that are there: the user, and the end of the connection.
    clients: BTreeMap<String, usize>,
    /// All that ever were.
    logs: BTreeMap<usize, Log>,
    /// What each resource got, whoever had its name.
    seen: BTreeSet<(String, String)>,
    names: u32,
}

impl Chaos {
    fn new(seed: u64) -> Chaos {
        let mut rng = Rng::from_u64(seed);
        let workers = [1 + rng.below(2) as u16, 1 + rng.below(2) as u16, 1 + rng.below(2) as u16];
        let mut w = World::with(&workers, |settings| {
            settings.limits.resume_timeout_max = crate::base::Span::secs(5);
        });
        for user in USERS {
            let c = w.login(0, &format!("{user}/first"), false);
            w.send(c, "</stream:stream>");
        }
        // Node 0 lives on, and the senders with it; a third is elsewhere, and may die.
        let senders = vec![w.login(0, "romeo/a", true), w.login(0, "mercutio/b", true)];
        let n = senders.len();
        Chaos {
            w,
            rng,
            senders,
            sent: vec![Vec::new(); n],
            safe: vec![0; n],
            bounced: BTreeSet::new(),
            clients: BTreeMap::new(),
            logs: BTreeMap::new(),
            seen: BTreeSet::new(),
            names: 0,
        }
    }

    fn pick(&mut self, n: usize) -> usize {
        self.rng.below(n as u64) as usize
    }

    /// Takes down what all clients got.
    fn read(&mut self) {
        for (jid, c) in &self.clients {
            let got = self.w.bodies(*c);
            let log = self.logs.entry(*c).or_default();
            for text in got {
                let late = text.starts_with('~');
                let body = text.trim_start_matches('~').to_owned();
                let twice = !self.seen.insert((jid.clone(), body.clone()));
                assert!(late || !twice, "{jid} got {body} twice, and it did not say so");
                log.got.push((body, late));
            }
        }
        for s in self.senders.clone() {
            let errors = self.w.bodies(s);
            self.bounced.extend(errors.into_iter().map(|e| e.trim_start_matches(['~', '!']).to_owned()));
        }
    }

    fn send(&mut self) {
        let s = self.pick(self.senders.len());
        let user = USERS[self.pick(USERS.len())];
        let n = self.sent[s].len();
        let body = format!("{s}-{user}-{n}");
        let full: Vec<String> = self.clients.keys().filter(|jid| jid.starts_with(user)).cloned().collect();
        let to = match full.len() {
            n if n > 0 && self.rng.below(3) == 0 => full[self.pick(n)].replace('/', "@h/"),
            _ => format!("{user}@h"),
        };
        self.sent[s].push(body.clone());
        let chat = super::settlement::chat(&to, &body);
        self.w.send(self.senders[s], &chat);
    }

    fn step(&mut self) {
        let some: Vec<(String, usize)> = self.clients.iter().map(|(jid, c)| (jid.clone(), *c)).collect();
        let node = 1 + self.pick(2);
        match self.rng.below(100) {
            0..40 => self.send(),
            40..50 => {
                let node = self.pick(3);
                if self.w.nodes[node].is_some() && some.len() < 5 {
                    // A name is used again now and then: a session moves.
                    self.names += 1;
                    let user = USERS[self.pick(USERS.len())];
                    let jid = format!("{user}/{}", self.names % 3);
                    let managed = self.rng.below(4) != 0;
                    if !self.clients.contains_key(&jid) {
                        self.enter(node, jid, managed);
                    }
                }
            }
            50..70 if !some.is_empty() => {
                let c = some[self.pick(some.len())].1;
                self.acknowledge(c);
            }
            70..75 if !some.is_empty() => {
                let (jid, c) = some[self.pick(some.len())].clone();
                self.end(&jid, c);
            }
            75..80 if !some.is_empty() => {
                let (jid, c) = some[self.pick(some.len())].clone();
                self.comes_back(&jid, c);
            }
            80..85 => {
                let way = (self.pick(3), self.pick(3));
                if way.0 != way.1 && self.w.nodes[way.0].is_some() && self.w.nodes[way.1].is_some() {
                    self.w.held.push(way);
                }
            }
            85..90 => {
                self.w.held.clear();
                self.w.settle();
            }
            90..92 if self.w.nodes[node].is_some() => {
                self.read();
                self.w.kill(node);
                let w = &self.w;
                self.clients.retain(|_, c| w.clients[*c].open);
            }
            92..95 if self.w.nodes[node].is_none() => self.w.start(node, 1 + (node % 2) as u16),
            95 if self.w.nodes[node].is_some() => self.w.relink(0, node),
            96 => self.w.slow = true,
            97 => self.w.catch_up(),
            _ => {
                let ms = 1 + self.rng.below(400);
                self.w.wait(ms);
            }
        }
        self.read();
        for s in 0..self.senders.len() {
            self.safe[s] = self.w.safe(self.senders[s]) as usize;
        }
    }

    /// A client gets a resource. What comes for that before it manages its stream is its own.
    fn enter(&mut self, node: usize, jid: String, managed: bool) -> usize {
        let c = self.w.bind(node, &jid, managed);
        self.clients.insert(jid, c);
        self.logs.insert(c, Log { managed, ..Log::default() });
        self.read();
        if let Some(log) = self.logs.get_mut(&c) {
            log.had = log.got.len();
        }
        self.w.send(c, "<presence/>");
        c
    }

    fn acknowledge(&mut self, c: usize) {
        self.read();
        if self.w.clients[c].open {
            self.w.ack(c);
            let log = self.logs.entry(c).or_default();
            log.had = log.got.len();
        }
    }

    /// A client leaves for good: politely, or its session runs out of time.
    fn end(&mut self, jid: &str, c: usize) {
        self.read();
        if self.rng.below(2) == 0 {
            self.w.send(c, "</stream:stream>");
        }
        self.w.cut(c);
        self.read();
        self.clients.remove(jid);
    }

    /// A client loses its connection and resumes.
    fn comes_back(&mut self, jid: &str, c: usize) {
        self.read();
        let log = self.logs.entry(c).or_default();
        if !log.managed || !self.w.clients[c].open {
            return;
        }
        self.w.cut(c);
        if self.rng.below(3) == 0 {
            self.send();
        }
        let user = jid.split_once('/').expect("user/resource").0;
        let d = self.w.resume(c, user);
        let mut log = self.logs.remove(&c).expect("it was there");
        // It said what it has got.
        log.had = log.got.len();
        self.logs.insert(d, log);
        self.clients.insert(jid.to_owned(), d);
    }

    /// Everything heals, everybody reads, and the spool is read by somebody new.
    fn heal(&mut self) {
        self.w.held.clear();
        self.w.settle();
        self.w.catch_up();
        for node in 1..3 {
            if self.w.nodes[node].is_none() {
                self.w.start(node, 1);
            }
        }
        for _ in 0..3 {
            let ends: Vec<usize> = self.clients.values().copied().collect();
            ends.into_iter().for_each(|c| self.acknowledge(c));
            self.w.wait(6_000);
        }
        for user in USERS {
            let jid = format!("{user}/last");
            let node = self.pick(3);
            let c = self.enter(node, jid, true);
            self.acknowledge(c);
        }
        for _ in 0..3 {
            self.w.wait(61_000);
            let ends: Vec<usize> = self.clients.values().copied().collect();
            ends.into_iter().for_each(|c| self.acknowledge(c));
        }
    }

    fn check(&mut self, seed: u64) {
        at_rest(&self.w);
        let mut had = BTreeSet::new();
        for log in self.logs.values() {
            let n = if log.managed { log.had } else { log.got.len() };
            had.extend(log.got[..n].iter().map(|(body, _)| body.clone()));
            let mut last = BTreeMap::new();
            for (body, late) in &log.got {
                let (pair, n) = body.rsplit_once('-').expect("sender-user-number");
                let n: usize = n.parse().expect("a number");
                if *late {
                    // It says itself that it is out of its order.
                    continue;
                }
                let before = last.entry(pair.to_owned()).or_insert(n);
                assert!(*before <= n, "seed {seed}: {body} came too late: {:?}", log.got);
                *before = n.max(*before);
            }
        }
        for user in USERS {
            assert!(self.w.spool(user).is_empty(), "seed {seed}: {user} has {:?}", self.w.spool(user));
        }
        for (s, sent) in self.sent.iter().enumerate() {
            assert_eq!(self.w.safe(self.senders[s]) as usize, sent.len(), "seed {seed}: all are settled");
            for body in sent {
                let fine = had.contains(body) || self.bounced.contains(body);
                assert!(fine, "seed {seed}: {body} is lost, of {} acknowledged at last", self.safe[s]);
            }
        }
    }
}

fn run(seed: u64) {
    let mut chaos = Chaos::new(seed);
    println!("seed {seed}");
    for _ in 0..150 {
        chaos.step();
    }
    chaos.heal();
    chaos.check(seed);
}

/// How many seeds, or which one: `NODES_SEEDS=10000`, `NODES_SEED=25`.
#[allow(clippy::disallowed_methods, reason = "a test is asked for more than usual")]
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn nothing_is_lost_doubled_or_reordered_whatever_happens() {
    match number("NODES_SEED") {
        Some(seed) => run(seed),
        None => (0..number("NODES_SEEDS").unwrap_or(100)).for_each(run),
    }
}
