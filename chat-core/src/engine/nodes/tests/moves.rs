//! Clients that write to each other, acknowledge, and go on with their sessions wherever they come; nodes that die at any
//! moment, links that stall and start over, stores that are slow.
//!
//! Whatever happens: what was acknowledged to a sender is not lost; nothing comes twice without saying so; `h` is what the client
//! has sent, whenever it resumes; the order of two clients is kept; and in the end each session is at exactly one node.

use std::collections::{BTreeMap, BTreeSet};

use super::resume::{homes, resumed};
use super::settlement::{at_rest, chat};
use super::world::World;
use crate::base::{Rng, Span};
use crate::engine::Command;

const NODES: usize = 3;
const USERS: [&str; 3] = ["romeo", "juliet", "nurse"];

/// A message, as its sender remembers it.
struct Sent {
    body: String,
    /// Its place among the stanzas of the session that sent it.
    number: u32,
    session: usize,
}

/// A session, as its client knows it.
struct Session {
    user: &'static str,
    resource: String,
    /// Its connection, or the one on which it is to be resumed.
    end: usize,
    state: State,
    /// Stanzas sent since it manages its stream, and how many of them are safe.
    sent: u32,
    safe: u32,
    /// How often it was resumed.
    hops: u32,
    /// What it got, and whether that came late; how much of it the server knows that it has.
    got: Vec<(String, bool)>,
    had: usize,
    /// The node where it was last, as it knows, and whether that has died since.
    home: usize,
    had_died: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Here,
    Resuming,
    Over,
}

struct Moves {
    w: World,
    rng: Rng,
    sessions: Vec<Session>,
    sent: Vec<Sent>,
    bounced: BTreeSet<String>,
    /// Links stall and stores are slow: then a message may stay on its way while its sender moves on.
    stalls: bool,
    /// Some node has drained.
    drains: bool,
    /// What was resumed, what could not be.
    resumed: u32,
    failed: u32,
    /// What happens is said, for one who looks for the reason.
    loud: bool,
}

impl Moves {
    fn say(&self, what: impl FnOnce(&Moves) -> String) {
        if self.loud {
            println!("{:9} {}", self.w.now.mono.0 / 1_000_000, what(self));
        }
    }

    fn new(seed: u64) -> Moves {
        let mut rng = Rng::from_u64(seed);
        let workers: Vec<u16> = (0..NODES).map(|_| 1 + rng.below(2) as u16).collect();
        let w = World::with(&workers, |settings| {
            settings.limits.resume_timeout_max = Span::secs(20);
        });
        let stalls = rng.below(4) != 0;
        let (sessions, sent, bounced) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut all = Moves {
            w,
            rng,
            sessions,
            sent,
            bounced,
            stalls,
            drains: false,
            resumed: 0,
            failed: 0,
            loud: number("MOVES_SEED").is_some(),
        };
        all.w.loud = all.loud;
        for user in USERS {
            all.enter(user);
        }
        all
    }

    fn pick(&mut self, n: usize) -> usize {
        self.rng.below(n as u64) as usize
    }

    fn alive(&mut self) -> usize {
        let alive: Vec<usize> = (0..NODES).filter(|n| self.w.nodes[*n].is_some()).collect();
        alive[self.pick(alive.len())]
    }

    /// A client that has no session, or has lost it, logs in.
    fn enter(&mut self, user: &'static str) {
        let node = self.alive();
        let resource = format!("s{}", self.sessions.len());
        let end = self.w.bind(node, &format!("{user}/{resource}"), true);
        self.w.send(end, "<presence/>");
        self.say(|_| format!("{user}/{resource} logs in at {node}"));
        self.sessions.push(Session {
            user,
            resource,
            end,
            state: State::Here,
            sent: 1,
            safe: 0,
            hops: 0,
            got: Vec::new(),
            had: 0,
            home: node,
            had_died: false,
        });
    }

    /// Those that are in a state.
    fn of(&self, state: State) -> Vec<usize> {
        (0..self.sessions.len()).filter(|s| self.sessions[*s].state == state).collect()
    }

    fn some(&mut self, state: State) -> Option<usize> {
        let all = self.of(state);
        (!all.is_empty()).then(|| all[self.pick(all.len())])
    }

    /// All clients read what they got.
    fn read(&mut self) {
        for s in 0..self.sessions.len() {
            if self.sessions[s].state != State::Over {
                self.read_one(s);
            }
        }
    }

    fn read_one(&mut self, s: usize) {
        let session = &mut self.sessions[s];
        if session.state == State::Resuming {
            match resumed(&self.w, session.end) {
                None => {
                    // The stream may have ended with an error, or with its node.
                    if !self.w.clients[session.end].open {
                        self.failed += 1;
                        session.state = State::Over;
                    }
                    return;
                }
                Some(None) => {
                    self.failed += 1;
                    session.state = State::Over;
                    return;
                }
                Some(Some(h)) => {
                    // A node that drains reads no more, and one that dies forgets what it has read and not acknowledged, if its
                    // session was still where it had been before: its client sends that again.
                    let had_died = std::mem::take(&mut session.had_died);
                    if had_died && h < session.safe {
                        // The node before that one does not know what it acknowledged (decision 15): the client begins anew.
                        self.failed += 1;
                        session.state = State::Over;
                        let end = session.end;
                        return self.w.send(end, "</stream:stream>");
                    }
                    let unsure = self.drains || had_died;
                    let fine = h == session.sent || unsure && (session.safe..session.sent).contains(&h);
                    assert!(fine, "{}: {h} is not what its client has sent", session.resource);
                    self.sent.retain(|sent| sent.session != s || sent.number <= h);
                    session.sent = h;
                    self.resumed += 1;
                    session.hops += 1;
                    session.home = self.w.clients[session.end].node;
                    session.state = State::Here;
                    session.safe = h;
                }
            }
        }
        let received: Vec<String> = self.w.clients[session.end].received.drain(..).collect();
        for text in received {
            if let Some(h) = text.strip_prefix("<a xmlns='urn:xmpp:sm:3' h='") {
                let h = h.trim_end_matches("'/>").parse().expect("a number");
                assert!(h >= session.safe && h <= session.sent, "{h} after {}", session.safe);
                session.safe = h;
            }
            if text.starts_with("<message") && text.contains("type='error'") {
                let id = text.split_once("id='i").and_then(|(_, rest)| rest.split_once('\''));
                self.bounced.extend(id.map(|(id, _)| id.to_owned()));
                continue;
            }
            let Some(body) = super::client::body(&text) else { continue };
            let late = body.starts_with('~');
            let body = body.trim_start_matches('~');
            let twice = session.got.iter().any(|(before, _)| before == body);
            assert!(late || !twice, "{} got {body} twice, and it did not say so", session.resource);
            session.got.push((body.to_owned(), late));
            if self.loud {
                println!("          {} gets {text}", session.resource);
            }
        }
    }

    fn send(&mut self) {
        let Some(s) = self.some(State::Here) else { return };
        let user = USERS[self.pick(USERS.len())];
        let here = self.of(State::Here);
        let full: Vec<usize> = here.into_iter().filter(|s| self.sessions[*s].user == user).collect();
        let to = match full.len() {
            n if n > 0 && self.rng.below(3) == 0 => {
                let to = full[self.pick(n)];
                format!("{user}@h/{}", self.sessions[to].resource)
            }
            _ => format!("{user}@h"),
        };
        let session = &mut self.sessions[s];
        let client = &self.w.clients[session.end];
        // What is written to a stream that the server has ended, which it does not read, is not received.
        if !client.open || client.stalled {
            return;
        }
        session.sent += 1;
        // Where links stall, order is promised for as long as the sender stays.
        let hops = if self.stalls { session.hops } else { 0 };
        let body = format!("{s}.{hops}-{user}-{}", session.sent);
        self.sent.push(Sent { body: body.clone(), number: session.sent, session: s });
        let end = session.end;
        self.say(|_| format!("s{s} sends {body} to {to}"));
        self.w.send(end, &chat(&to, &body));
    }

    fn acknowledge(&mut self, s: usize) {
        self.read_one(s);
        let session = &mut self.sessions[s];
        if session.state == State::Here && self.w.clients[session.end].open {
            if self.loud {
                println!("          {} acknowledges {}", session.resource, session.got.len());
            }
            self.w.ack(session.end);
            session.had = session.got.len();
            self.w.send(session.end, "<r xmlns='urn:xmpp:sm:3'/>");
            self.read_one(s);
        }
    }

    /// A client comes to some node with its session; its old connection may be there still.
    fn come(&mut self, s: usize) {
        self.read_one(s);
        if self.sessions[s].state == State::Over {
            return;
        }
        let end = self.sessions[s].end;
        if self.rng.below(2) == 0 {
            self.w.cut(end);
            for _ in 0..self.rng.below(3) {
                self.send();
            }
        }
        let node = self.alive();
        let session = &mut self.sessions[s];
        if session.state == State::Over {
            return;
        }
        // It says what it has got; so the server need not keep that.
        session.had = session.got.len();
        let (old, user) = (session.end, session.user);
        if self.loud {
            println!("          {} comes to {node}", session.resource);
        }
        session.end = self.w.resume_at(node, old, user);
        session.state = State::Resuming;
        self.w.cut(old);
        self.read_one(s);
    }

    fn step(&mut self) {
        let node = self.pick(NODES);
        let way = (self.pick(NODES), self.pick(NODES));
        let both = way.0 != way.1 && self.w.nodes[way.0].is_some() && self.w.nodes[way.1].is_some();
        match self.rng.below(100) {
            0..35 => self.send(),
            35..50 => {
                if let Some(s) = self.some(State::Here) {
                    self.acknowledge(s);
                }
            }
            50..68 => {
                if let Some(s) = self.some(State::Here) {
                    self.come(s);
                }
            }
            68..72 => {
                if let Some(s) = self.some(State::Resuming) {
                    self.come(s);
                }
            }
            72..75 => {
                let user = USERS[self.pick(USERS.len())];
                let lives = |s: &&Session| s.state != State::Over && s.user == user;
                if self.sessions.iter().filter(lives).count() < 2 {
                    self.enter(user);
                }
            }
            75..77 => {
                if let Some(s) = self.some(State::Here) {
                    self.w.send(self.sessions[s].end, "</stream:stream>");
                    self.read_one(s);
                    self.sessions[s].state = State::Over;
                }
            }
            77..82 if self.stalls && both => {
                self.say(|_| format!("{way:?} stalls"));
                self.w.held.push(way);
            }
            82..87 => {
                self.say(|_| "links carry again".into());
                self.w.held.clear();
                self.w.settle();
            }
            87 if self.w.nodes.iter().flatten().count() > 1 && self.w.nodes[node].is_some() => {
                self.read();
                self.say(|_| format!("{node} dies"));
                for session in &mut self.sessions {
                    session.had_died |= session.home == node;
                }
                self.w.kill(node);
            }
            88..90 if self.w.nodes[node].is_none() => {
                self.say(|_| format!("{node} lives"));
                self.w.start(node, 1 + (node % 2) as u16);
            }
            90 if both && self.stalls => {
                self.say(|_| format!("{way:?} begin anew"));
                self.w.relink(way.0, way.1);
            }
            91 if self.stalls => {
                self.say(|_| "the store is slow".into());
                self.w.slow = true;
            }
            92 => {
                self.say(|_| "the store catches up".into());
                self.w.catch_up();
            }
            93 if self.stalls => {
                let ms = 1000 + self.rng.below(9_000);
                self.w.wait(ms);
            }
            94 => {
                if let Some(s) = self.some(State::Here) {
                    let stalled = &mut self.w.clients[self.sessions[s].end].stalled;
                    *stalled = !*stalled;
                }
            }
            95 if self.w.nodes[node].is_some() => {
                self.read();
                self.say(|_| format!("{node} drains"));
                self.drains = true;
                // Most of the others take sessions.
                let others: Vec<usize> = self.w.node(node).numbers.keys().copied().collect();
                for other in others {
                    let takes = self.rng.below(4) != 0;
                    self.w.takes(node, other, takes);
                }
                self.w.command(node, &Command::Drain { rate: 100, within: Span::secs(10) });
                let ms = 1 + self.rng.below(5_000);
                self.w.wait(ms);
                self.w.command(node, &Command::Stay);
            }
            _ => {
                let ms = 1 + self.rng.below(300);
                self.w.wait(ms);
            }
        }
        self.read();
    }

    /// Everything heals, everybody reads, and the spools are read by somebody new.
    fn heal(&mut self) {
        self.say(|_| "everything heals".into());
        for c in 0..self.w.clients.len() {
            self.w.clients[c].stalled = false;
            self.w.send(c, " ");
        }
        self.w.held.clear();
        self.w.settle();
        self.w.catch_up();
        for node in 0..NODES {
            if self.w.nodes[node].is_none() {
                self.w.start(node, 1);
            }
        }
        self.w.wait(9_000);
        self.read();
        for s in self.of(State::Here) {
            self.w.settle();
            if !self.w.clients[self.sessions[s].end].open {
                self.come(s);
            }
        }
        self.w.wait(9_000);
        self.read();
        let waiting = self.of(State::Resuming);
        assert!(waiting.is_empty(), "{waiting:?} wait for an answer");
        for _ in 0..3 {
            self.of(State::Here).into_iter().for_each(|s| self.acknowledge(s));
            self.w.wait(22_000);
        }
        USERS.into_iter().for_each(|user| self.enter(user));
        for _ in 0..3 {
            self.w.wait(61_000);
            self.read();
            self.of(State::Here).into_iter().for_each(|s| self.acknowledge(s));
        }
    }

    fn check(&mut self) {
        at_rest(&self.w);
        let mut had = BTreeSet::new();
        for session in &self.sessions {
            had.extend(session.got[..session.had].iter().map(|(body, _)| body.clone()));
            let mut last = BTreeMap::new();
            for (body, _) in session.got.iter().filter(|(_, late)| !late) {
                let (pair, n) = body.rsplit_once('-').expect("session-user-number");
                let n: u32 = n.parse().expect("a number");
                let before = last.insert(pair.to_owned(), n).unwrap_or_default();
                assert!(before <= n, "{}: {body} came too late: {:?}", session.resource, session.got);
            }
            let places = homes(&self.w, session.user, &session.resource);
            match session.state {
                State::Here => {
                    assert_eq!(places.len(), 1, "{} is at {places:?}", session.resource);
                    assert_eq!(session.safe, session.sent, "{}: all is settled", session.resource);
                }
                _ => assert!(places.is_empty(), "{} is over, and at {places:?}", session.resource),
            }
        }
        for user in USERS {
            assert!(self.w.spool(user).is_empty(), "{user} has {:?}", self.w.spool(user));
        }
        for Sent { body, number, session } in &self.sent {
            let promised = *number <= self.sessions[*session].safe;
            let fine = !promised || had.contains(body) || self.bounced.contains(body);
            assert!(fine, "{body} is lost");
        }
    }
}

fn run(seed: u64) -> (u32, u32) {
    println!("seed {seed}");
    let mut moves = Moves::new(seed);
    for _ in 0..150 {
        moves.step();
    }
    moves.heal();
    moves.check();
    (moves.resumed, moves.failed)
}

/// How many seeds, or which one: `MOVES_SEEDS=10000`, `MOVES_SEED=25`.
#[allow(clippy::disallowed_methods, reason = "a test is asked for more than usual")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn sessions_move_and_nothing_is_lost_doubled_or_reordered() {
    if let Some(seed) = number("MOVES_SEED") {
        run(seed);
        return;
    }
    let first = number("MOVES_FIRST").unwrap_or(0);
    let seeds = first..first + number("MOVES_SEEDS").unwrap_or(100);
    let (resumed, failed) = seeds.map(run).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    println!("{resumed} resumed, {failed} not");
    assert!(resumed > failed, "sessions move in most cases: {resumed} did, {failed} did not");
}
