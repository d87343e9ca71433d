//! Who takes part in a run and what goes wrong, drawn from the seed (a swarm: each run has some of the faults).

mod nodes;

pub use nodes::{ClusterPlan, Harm, Roamer};

use crate::base::{Limits, Rng, Span};
use crate::effect::Plant;

/// How often something goes wrong, in thousandths of the occasions, and how badly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// An act of a client: the connection breaks, and both ends learn it.
    pub reset: u64,
    /// The connection breaks, and only the client learns it.
    pub half_open: u64,
    /// The connection breaks, and only the server learns it.
    pub client_deaf: u64,
    /// A connection carries nothing for some seconds.
    pub stall: u64,
    /// The client forgets everything.
    pub client_crash: u64,
    /// Clients that read slowly: the bytes the network holds for them.
    pub window: Option<usize>,
    /// A request to the store is refused because it is busy.
    pub overloaded: u64,
    /// A request to the store is carried out, and the answer is lost.
    pub lost_answer: u64,
    /// A request to the store fails.
    pub store_fails: u64,
    /// The store's slowest answer.
    pub store_slow: Span,
    /// Spans in which the store does nothing: from, for so long; whether it then refuses or keeps silent.
    pub outages: Vec<(Span, Span, bool)>,
    /// The authenticator is away.
    pub auth_away: u64,
    /// When a server dies.
    pub crashes: Vec<Span>,
    /// When a server is told to stop.
    pub shutdowns: Vec<Span>,
    /// When the civil clock of a server jumps, and by how many milliseconds.
    pub jumps: Vec<(Span, i64)>,
    /// When a worker gets no mail, and for how long.
    pub holds: Vec<(Span, Span)>,
}

/// How bytes are cut on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Not at all.
    Whole,
    /// Somewhere.
    Anywhere,
    /// Into pieces of a few bytes.
    Tiny,
}

/// How a client acknowledges (XEP-0198).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// Whenever it is asked.
    Prompt,
    /// Sometimes.
    Lazy,
    /// Not before everything heals.
    Never,
}

/// One client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPlan {
    /// Whose.
    pub user: usize,
    /// It asks for this resource; else the server chooses.
    pub resource: Option<String>,
    /// It manages its stream.
    pub managed: bool,
    /// It wants to be able to resume.
    pub resumable: bool,
    /// How it acknowledges.
    pub acks: Acks,
    /// It uses PLAIN rather than SCRAM.
    pub plain: bool,
    /// It uses STARTTLS.
    pub tls: bool,
    /// It asks for the roster when it comes.
    pub roster: bool,
    /// Its priority (RFC 6121 §4.7.2.3).
    pub priority: i8,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The nodes, if they are a cluster; else there is one, alone.
    pub cluster: Option<ClusterPlan>,
    /// Workers of each node.
    pub workers: u16,
    /// Users; each has at least one client.
    pub users: usize,
    /// Clients.
    pub clients: Vec<ClientPlan>,
    /// Who may ask whom for a subscription.
    pub friends: Vec<(usize, usize)>,
    /// How long things go wrong.
    pub storm: Span,
    /// The mean time between two acts of a client.
    pub pace: Span,
    /// How bytes are cut.
    pub cut: Cut,
    /// The longest way of a piece of bytes.
    pub latency: Span,
    /// The driver takes outputs only after so long.
    pub turn: Span,
    /// The longest body, in bytes.
    pub body_max: u64,
    /// Nothing goes wrong: everybody behaves, and more may be expected.
    pub faultless: bool,
    /// What goes wrong.
    pub faults: Faults,
    /// The limits of the node.
    pub limits: Limits,
    /// Users block each other.
    pub blocks: bool,
    /// A bug planted in the node.
    pub plant: Option<Plant>,
}

/// Draws from a seed.
struct Draw<'a>(&'a mut Rng);

impl Draw<'_> {
    fn one_in(&mut self, n: u64) -> bool {
        self.0.below(n) == 0
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below(high - low + 1)
    }

    fn millis(&mut self, low: u64, high: u64) -> Span {
        Span::millis(self.between(low, high))
    }

    fn rate(&mut self, one_in: u64, max: u64) -> u64 {
        if self.one_in(one_in) { self.between(1, max) } else { 0 }
    }

    fn times(&mut self, one_in: u64, max: u64, storm: Span) -> Vec<Span> {
        let n = if self.one_in(one_in) { self.between(1, max) } else { 0 };
        (0..n).map(|_| Span(self.0.below(storm.0))).collect()
    }

    fn client(&mut self, number: usize, user: usize) -> ClientPlan {
        ClientPlan {
            user,
            resource: (!self.one_in(5)).then(|| format!("r{number}")),
            managed: !self.one_in(4),
            resumable: !self.one_in(6),
            acks: match self.between(0, 9) {
                0 => Acks::Never,
                1..=3 => Acks::Lazy,
                _ => Acks::Prompt,
            },
            plain: self.one_in(2),
            tls: self.one_in(4),
            roster: self.one_in(2),
            priority: if self.one_in(8) { -1 } else { self.between(0, 5) as i8 },
        }
    }

    fn limits(&mut self) -> Limits {
        let mut limits = Limits {
            resume_timeout_max: self.millis(5_000, 40_000),
            idle_timeout: self.millis(10_000, 60_000),
            unresponsive_timeout: self.millis(5_000, 20_000),
            user_cache_timeout: self.millis(500, 20_000),
            ..Limits::default()
        };
        if self.one_in(3) {
            limits.unsettled_stanzas_max = self.between(1, 16) as u32;
        }
        if self.one_in(3) {
            limits.unacked_stanzas_max = self.between(60, 150) as u32;
        }
        if self.one_in(4) {
            // What is resent on a resumed stream has to fit, and something beside it.
            limits.outbox_bytes_max = self.between(32, 256) as u32 * 1024;
            limits.unacked_bytes_max = limits.outbox_bytes_max / 2;
        }
        if self.one_in(4) {
            // Slow enough to be felt, fast enough for a burst to be paid off before the end is judged.
            limits.rate_bytes_per_second = self.between(8_000, 32_000) as u32;
        }
        if self.one_in(4) {
            limits.spool_messages_per_user_max = self.between(2, 30) as u32;
        }
        if self.one_in(4) {
            limits.loading_stanzas_max = self.between(2, 16) as u32;
        }
        limits
    }

    fn faults(&mut self, storm: Span) -> Faults {
        let outage = |d: &mut Self, from| {
            let long = if d.one_in(3) { d.millis(8_000, 30_000) } else { d.millis(100, 6_000) };
            (from, long, d.one_in(2))
        };
        let outages = self.times(4, 3, storm).into_iter().map(|from| outage(self, from)).collect();
        let jumps = self.times(6, 3, storm).into_iter();
        let jumps = jumps.map(|at| (at, self.between(0, 7_200_000) as i64 - 3_600_000)).collect();
        let holds = self.times(4, 4, storm).into_iter();
        let holds = holds.map(|at| (at, self.millis(10, 4_000))).collect();
        Faults {
            reset: self.rate(2, 60),
            half_open: self.rate(3, 40),
            client_deaf: self.rate(4, 30),
            stall: self.rate(3, 60),
            client_crash: self.rate(3, 30),
            window: self.one_in(4).then(|| self.between(256, 8_192) as usize),
            overloaded: self.rate(4, 200),
            lost_answer: self.rate(4, 100),
            store_fails: self.rate(6, 60),
            store_slow: if self.one_in(3) { self.millis(50, 2_000) } else { self.millis(1, 40) },
            outages,
            auth_away: self.rate(6, 100),
            crashes: self.times(4, 2, storm),
            shutdowns: self.times(5, 2, storm),
            jumps,
            holds,
        }
    }
}

impl Plan {
    /// The run that this generator means.
    pub fn draw(rng: &mut Rng) -> Plan {
        let mut d = Draw(rng);
        let users = d.between(2, 4) as usize;
        let n = d.between(users as u64, 7) as usize;
        let clients = (0..n).map(|c| {
            let user = if c < users { c } else { d.0.below(users as u64) as usize };
            d.client(c, user)
        });
        let mut clients: Vec<ClientPlan> = clients.collect();
        let mut friends = Vec::new();
        for a in 0..users {
            for b in (0..users).filter(|b| *b != a) {
                if d.one_in(2) {
                    friends.push((a, b));
                }
            }
        }
        let storm = d.millis(8_000, 40_000);
        let faultless = d.one_in(4);
        let mut faults = if faultless {
            Faults { store_slow: d.millis(1, 40), ..Faults::default() }
        } else {
            d.faults(storm)
        };
        let mut limits = d.limits();
        if faultless && d.one_in(3) {
            // A busy store is no fault of anybody's: it delays and refuses, but changes no order.
            faults.overloaded = d.between(20, 200);
        }
        if faultless {
            // Limits that are reached are no faults, but change what may be expected.
            let plain = Limits::default();
            limits.unacked_stanzas_max = plain.unacked_stanzas_max;
            limits.outbox_bytes_max = plain.outbox_bytes_max;
            limits.unacked_bytes_max = plain.unacked_bytes_max;
            limits.rate_bytes_per_second = 0;
            // Two who flood each other and may have one message under way get one across every 250 ms.
            limits.unsettled_stanzas_max = limits.unsettled_stanzas_max.max(4);
            limits.spool_messages_per_user_max = plain.spool_messages_per_user_max;
            limits.loading_stanzas_max = plain.loading_stanzas_max;
            // Who does not acknowledge what it got, gets it again.
            for client in &mut clients {
                client.acks = Acks::Prompt;
            }
        }
        Plan {
            cluster: None,
            workers: d.between(1, 3) as u16,
            users,
            clients,
            friends,
            storm,
            pace: d.millis(100, 1_500),
            cut: match d.between(0, 5) {
                // Small pieces make a slow line.
                0 if !faultless => Cut::Tiny,
                1 | 2 => Cut::Anywhere,
                _ => Cut::Whole,
            },
            latency: d.millis(0, if faultless { 50 } else { 300 }),
            turn: if d.one_in(3) { d.millis(1, 20) } else { Span(0) },
            body_max: if d.one_in(3) { 4_000 } else { 40 },
            faultless,
            faults,
            limits,
            blocks: d.one_in(4),
            plant: None,
        }
    }

    /// Whether nothing goes wrong.
    pub fn is_faultless(&self) -> bool {
        self.faultless
    }

    /// Whether all nodes stay, too: where they are replaced, sessions end of clients that manage no stream, and who asked one of
    /// them may be told so and get the answer all the same.
    pub fn is_calm(&self) -> bool {
        self.faultless && self.faults.shutdowns.is_empty()
    }
}
