//! Everything together, from the seed to the verdict.

use super::auth::{self, Accounts};
use super::client::{Client, Hands};
use super::events::{Event, Events};
use super::fabric::Fabric;
use super::ledger::Ledger;
use super::network::Network;
use super::plan::{ClientPlan, Plan};
use super::server::Server;
use super::store::Store;
use super::trace::{Reader, Trace};
use crate::base::{Mono, Now, Rng, Span, Utc};
use crate::effect::Plant;
use crate::node::Node;

/// What a run that went well was like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The hash of everything that happened.
    pub trace: u64,
    /// Things that happened.
    pub events: u64,
    /// Messages that clients sent.
    pub messages: u64,
    /// Messages that clients got.
    pub receipts: u64,
    /// Messages that came back as errors.
    pub bounces: u64,
    /// Sessions that clients had.
    pub sessions: u64,
    /// Sessions that went on elsewhere when their nodes drained, of those that could be resumed.
    pub drained: u64,
    /// Those of them that did not.
    pub not_drained: u64,
    /// Whether nothing went wrong on purpose.
    pub faultless: bool,
}

/// A run in which an invariant broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// When, in virtual time.
    pub at: Mono,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {} at {:.4} s: {}", self.seed, self.at.0 as f64 / 1e9, self.what)
    }
}

/// Events after which a run is taken for one that never ends.
const EVENTS_MAX: u64 = 3_000_000;
/// Deadlines at one moment after which the node is taken for one that never rests.
const TICKS_MAX: u32 = 10_000;

/// A node or several, their clients, and all between and below them.
pub struct World {
    pub(super) seed: u64,
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) now: Now,
    pub(super) events: Events,
    pub(super) servers: Vec<Server>,
    pub(super) fabric: Fabric,
    pub(super) network: Network,
    pub(super) store: Store,
    pub(super) accounts: Accounts,
    pub(super) clients: Vec<Client>,
    pub(super) ledger: Ledger,
    pub(super) trace: Trace,
    pub(super) healing: bool,
    pub(super) settled: bool,
    /// The process dies that stores a message next, for somebody who is at another node, and does not hear that it has.
    pub(super) kills_writer: bool,
    /// When the run is over.
    pub(super) end: Mono,
}

impl World {
    /// The world of a seed, as [`Plan::draw`] makes it.
    pub fn new(seed: u64) -> Self {
        World::drawn(seed, Plan::draw)
    }

    /// The cluster of a seed, as [`Plan::draw_cluster`] makes it.
    pub fn cluster(seed: u64) -> Self {
        World::drawn(seed, Plan::draw_cluster)
    }

    /// The cluster of a seed whose nodes lose sight of each other all the time, as [`Plan::draw_storms`] makes it.
    pub fn storms(seed: u64) -> Self {
        World::drawn(seed, Plan::draw_storms)
    }

    /// The cluster of a seed whose nodes are replaced, as [`Plan::draw_drains`] makes it.
    pub fn drains(seed: u64) -> Self {
        World::drawn(seed, Plan::draw_drains)
    }

    /// The world of a seed whose nodes have a planted bug: a cluster, perhaps one that drains, or one node alone.
    pub fn planted(seed: u64, plant: Plant, in_cluster: bool) -> Self {
        let draw = match in_cluster {
            true if plant == Plant::EndOnDrain => Plan::draw_drains,
            true => Plan::draw_cluster,
            false => Plan::draw,
        };
        World::drawn(seed, |rng| {
            let mut plan = Plan { plant: Some(plant), ..draw(rng) };
            if plant == Plant::NoLimit {
                // A low limit is passed sooner.
                plan.limits.unacked_stanzas_max = plan.limits.unacked_stanzas_max.min(20);
            }
            plan
        })
    }

    fn drawn(seed: u64, draw: impl FnOnce(&mut Rng) -> Plan) -> Self {
        let mut rng = Rng::from_u64(seed);
        let plan = draw(&mut rng);
        World::with_plan(seed, rng, plan)
    }

    fn with_plan(seed: u64, rng: Rng, plan: Plan) -> Self {
        let mut store = Store::default();
        for user in 0..plan.users {
            store.register(auth::bare(user).parse().expect("a bare JID"));
        }
        let clients = plan.clients.iter().cloned().enumerate().map(|(n, p)| Client::new(n, p)).collect();
        let server = |clock| Server { clock, ..Server::default() };
        let servers = plan.clocks().into_iter().map(server).collect();
        let many = plan.clocks().len() > 1;
        let rows_linger = many && plan.faults.overloaded > 0;
        let first = |c: &ClientPlan| {
            let same = |other: &ClientPlan| other.user == c.user && other.resource == c.resource;
            plan.clients
                .iter()
                .position(|other| std::ptr::eq(other, c) || c.resource.is_some() && same(other))
        };
        let twins = plan.clients.iter().filter_map(first).collect();
        let ledger = Ledger { faultless: plan.is_calm(), many, rows_linger, twins, ..Ledger::default() };
        World {
            seed,
            accounts: Accounts::new(plan.users),
            rng,
            now: Now { mono: Mono(1_000_000_000), utc: Utc(1_780_000_000_000) },
            events: Events::default(),
            servers,
            fabric: Fabric::default(),
            network: Network::default(),
            store,
            clients,
            ledger,
            trace: Trace::new(None),
            healing: false,
            settled: false,
            kills_writer: false,
            end: Mono(u64::MAX),
            plan,
        }
    }

    /// Somebody reads what happens, line by line.
    pub fn read_by(&mut self, reader: Reader) {
        self.trace = Trace::new(Some(reader));
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// The first invariant that breaks.
    pub fn run(mut self) -> Result<Report, Failure> {
        let plan = self.plan.clone();
        self.trace.say(self.now.mono, || format!("{plan:#?}"));
        self.schedule(&plan);
        let mut count = 0;
        while let Some((at, event)) = self.events.pop() {
            count += 1;
            self.advance(at);
            if matches!(event, Event::End) && self.asks_the_store() && at < self.end + Span::secs(12) {
                // Nodes of a cluster look for rows from time to time: an answer is on its way. That all are without open requests at the
                // same moment is more than is promised, which is that each is answered, or given up after ten seconds and one more answer.
                self.events.at(at + Span::secs(1), Event::End);
                continue;
            }
            if matches!(event, Event::End) {
                self.check_end();
                break;
            }
            self.on_event(event);
            self.check_acked();
            if count > EVENTS_MAX {
                self.ledger.fail("too much happens".to_owned());
            }
            if self.ledger.wrong.is_some() {
                break;
            }
        }
        if let Some(what) = self.ledger.wrong.take() {
            self.trace.say(self.now.mono, || format!("WRONG: {what}"));
            return Err(Failure { seed: self.seed, at: self.now.mono, what });
        }
        let sent = &self.ledger.sent;
        Ok(Report {
            seed: self.seed,
            trace: self.trace.hash(),
            events: count,
            messages: sent.len() as u64,
            receipts: sent.iter().map(|s| s.receipts.len() as u64).sum(),
            bounces: sent.iter().map(|s| u64::from(s.bounced)).sum(),
            sessions: self.clients.iter().map(|c| u64::from(c.session)).sum(),
            drained: self.ledger.drains.resumed,
            not_drained: self.ledger.drains.ended,
            faultless: self.plan.is_faultless(),
        })
    }

    fn schedule(&mut self, plan: &Plan) {
        let begin = self.now.mono;
        let calm = plan.is_faultless();
        for server in 0..self.servers.len() {
            let late = if calm || server == 0 { Span(0) } else { Span(self.rng.below(Span::secs(4).0)) };
            self.events.at(begin + late, Event::Start(server));
        }
        // Nobody comes before the nodes have met, if all is to go well.
        let first = if calm && self.servers.len() > 1 { begin + Span::secs(8) } else { begin };
        for client in 0..plan.clients.len() {
            let at = first + Span(self.rng.below(Span::secs(2).0));
            self.events.at(at, Event::Connect(client));
            self.events.at(at + plan.pace, Event::Act(client));
            self.events.at(at, Event::Look(client));
        }
        for at in &plan.faults.crashes {
            let server = self.any_server();
            self.events.at(begin + *at, Event::Crash(server));
        }
        for at in &plan.faults.shutdowns {
            let server = self.any_server();
            self.events.at(begin + *at, Event::Shutdown(server));
        }
        for (at, by) in &plan.faults.jumps {
            let server = self.any_server();
            self.events.at(begin + *at, Event::Jump(server, *by));
        }
        for (at, long) in &plan.faults.holds {
            let worker = self.rng.below(u64::from(plan.workers)) as u16;
            let server = self.any_server();
            self.events.at(begin + *at, Event::Hold(server, worker, true));
            self.events.at(begin + *at + *long, Event::Hold(server, worker, false));
        }
        for (at, harm) in plan.cluster.iter().flat_map(|c| &c.harms) {
            self.events.at(begin + *at, Event::Harm(*harm));
        }
        if let Some(roamer) = plan.roamer() {
            self.events.at(begin + roamer.stays, Event::Roam(roamer.client));
        }
        let heal = first + plan.storm;
        self.events.at(heal, Event::Heal);
        if plan.has_night() {
            self.events.at(heal + Span::secs(20), Event::Night);
        }
        self.events.at(heal + Span::secs(75), Event::Settle);
        self.events.at(heal + Span::secs(95), Event::Quiet);
        self.end = heal + Span::secs(120);
        self.events.at(self.end, Event::End);
    }

    fn asks_the_store(&self) -> bool {
        let nodes = self.servers.iter().filter_map(|s| s.node.as_ref());
        self.servers.len() > 1 && nodes.map(Node::census).any(|census| census.requests > 0)
    }

    pub(super) fn any_server(&mut self) -> usize {
        match self.servers.len() {
            1 => 0,
            n => self.rng.below(n as u64) as usize,
        }
    }

    fn advance(&mut self, at: Mono) {
        let passed = at.since(self.now.mono);
        let fraction = self.now.mono.0 % 1_000_000;
        self.now.utc.0 += ((fraction + passed.0) / 1_000_000) as i64;
        self.now.mono = at.max(self.now.mono);
        self.trace.mix(at.0);
    }

    /// A client does something, and what it wants to send goes out.
    pub(super) fn with_client<T>(
        &mut self,
        client: usize,
        act: impl FnOnce(&mut Client, &mut Hands<'_>) -> T,
    ) -> T {
        let people: Vec<_> = self.clients.iter().map(|c| (c.plan.user, c.jid.clone())).collect();
        let mut hands = Hands {
            now: self.now.mono,
            rng: &mut self.rng,
            ledger: &mut self.ledger,
            plan: &self.plan,
            people: &people,
            healing: self.healing,
        };
        act(&mut self.clients[client], &mut hands)
    }

    /// Takes note of a wake for a deadline; too many at one moment are a bug.
    pub(super) fn count_tick(&mut self, s: usize) {
        let (now, server) = (self.now.mono, &mut self.servers[s]);
        if server.ticks.0 != now {
            server.ticks = (now, 0);
        }
        server.ticks.1 += 1;
        if server.ticks.1 > TICKS_MAX {
            let why = server.node.as_ref().and_then(Node::poll_timeout);
            self.ledger.fail(format!("the node never rests: {why:?}"));
        }
    }
}
