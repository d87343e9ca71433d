//! Everything together, from the seed to the verdict.

use super::auth::{self, Accounts, DOMAIN};
use super::client::{Client, Hands};
use super::events::{Event, Events};
use super::ledger::Ledger;
use super::network::Network;
use super::plan::Plan;
use super::store::Store;
use super::trace::{Reader, Trace};
use crate::base::{HashKey, Mono, Now, Rng, Span, Utc};
use crate::effect::{Domain, Plant, Settings};
use crate::node::Node;
use crate::sasl::Mechanism;
use crate::xep;

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

/// A node, its clients, and all between and below them.
pub struct World {
    pub(super) seed: u64,
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) now: Now,
    pub(super) events: Events,
    pub(super) node: Option<Node>,
    /// Counts the lives of the server: what was asked in one is not answered in the next.
    pub(super) life: u32,
    pub(super) stopping: Option<Mono>,
    pub(super) network: Network,
    pub(super) store: Store,
    pub(super) accounts: Accounts,
    pub(super) clients: Vec<Client>,
    pub(super) ledger: Ledger,
    pub(super) trace: Trace,
    pub(super) tick_at: Option<Mono>,
    pub(super) ticks: (Mono, u32),
    pub(super) draining: bool,
    pub(super) healing: bool,
    pub(super) settled: bool,
}

impl World {
    /// The world of a seed, as [`Plan::draw`] makes it.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::from_u64(seed);
        let plan = Plan::draw(&mut rng);
        World::with_plan(seed, rng, plan)
    }

    /// The world of a seed whose node has a planted bug.
    pub fn planted(seed: u64, plant: Plant) -> Self {
        let mut rng = Rng::from_u64(seed);
        let mut plan = Plan { plant: Some(plant), ..Plan::draw(&mut rng) };
        if plant == Plant::NoLimit {
            // A low limit is passed sooner.
            plan.limits.unacked_stanzas_max = plan.limits.unacked_stanzas_max.min(20);
        }
        World::with_plan(seed, rng, plan)
    }

    fn with_plan(seed: u64, rng: Rng, plan: Plan) -> Self {
        let mut store = Store::default();
        for user in 0..plan.users {
            store.register(auth::bare(user).parse().expect("a bare JID"));
        }
        let clients = plan.clients.iter().cloned().enumerate().map(|(n, p)| Client::new(n, p)).collect();
        let ledger = Ledger { faultless: plan.is_faultless(), ..Ledger::default() };
        World {
            seed,
            accounts: Accounts::new(plan.users),
            rng,
            now: Now { mono: Mono(1_000_000_000), utc: Utc(1_780_000_000_000) },
            events: Events::default(),
            node: None,
            life: 0,
            stopping: None,
            network: Network::default(),
            store,
            clients,
            ledger,
            trace: Trace::new(None),
            tick_at: None,
            ticks: (Mono(0), 0),
            draining: false,
            healing: false,
            settled: false,
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
            faultless: self.plan.is_faultless(),
        })
    }

    fn schedule(&mut self, plan: &Plan) {
        let begin = self.now.mono;
        self.start();
        for client in 0..plan.clients.len() {
            let at = begin + Span(self.rng.below(Span::secs(2).0));
            self.events.at(at, Event::Connect(client));
            self.events.at(at + plan.pace, Event::Act(client));
            self.events.at(at, Event::Look(client));
        }
        for at in &plan.faults.crashes {
            self.events.at(begin + *at, Event::Crash);
        }
        for at in &plan.faults.shutdowns {
            self.events.at(begin + *at, Event::Shutdown);
        }
        for (at, by) in &plan.faults.jumps {
            self.events.at(begin + *at, Event::Jump(*by));
        }
        for (at, long) in &plan.faults.holds {
            let worker = self.rng.below(u64::from(plan.workers)) as u16;
            self.events.at(begin + *at, Event::Hold(worker, true));
            self.events.at(begin + *at + *long, Event::Hold(worker, false));
        }
        let heal = begin + plan.storm;
        self.events.at(heal, Event::Heal);
        self.events.at(heal + Span::secs(75), Event::Settle);
        self.events.at(heal + Span::secs(100), Event::End);
    }

    fn advance(&mut self, at: Mono) {
        let passed = at.since(self.now.mono);
        let fraction = self.now.mono.0 % 1_000_000;
        self.now.utc.0 += ((fraction + passed.0) / 1_000_000) as i64;
        self.now.mono = at.max(self.now.mono);
        self.trace.mix(at.0);
    }

    /// The server starts.
    pub(super) fn start(&mut self) {
        if self.node.is_some() {
            return;
        }
        let mut domain = Domain::new(DOMAIN);
        domain.plaintext = true;
        domain.mechanisms = vec![Mechanism::ScramSha256, Mechanism::ScramSha1, Mechanism::Plain];
        let mut settings = Settings::new(vec![domain], HashKey { k0: 11, k1: 12 }, [7; 16]);
        settings.limits = self.plan.limits.clone();
        settings.plant = self.plan.plant;
        let mut seed = [0; 32];
        self.rng.fill(&mut seed);
        self.node = Some(Node::new(&settings, self.plan.workers, seed, xep::standard));
        self.life += 1;
        self.stopping = None;
        self.tick_at = None;
        self.draining = false;
        self.trace.say(self.now.mono, || "the server starts".to_owned());
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
    pub(super) fn count_tick(&mut self) {
        if self.ticks.0 != self.now.mono {
            self.ticks = (self.now.mono, 0);
        }
        self.ticks.1 += 1;
        if self.ticks.1 > TICKS_MAX {
            let why = self.node.as_ref().and_then(Node::poll_timeout);
            self.ledger.fail(format!("the node never rests: {why:?}"));
        }
    }
}
