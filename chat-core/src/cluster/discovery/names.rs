//! The names that DNS is asked for: what it said, and when it is asked again.

use super::Output;
use crate::base::limits::CLUSTER_NODES_MAX;
use crate::base::{Key, Mono, Pending, RequestId, Rng, Slots, Span, TimerId, Timers};
use core::net::IpAddr;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How long the driver may take to answer; then the query counts as failed. Resolvers give up after 5 s or 10 s.
const ANSWER_TIMEOUT: Span = Span::secs(15);
/// Wait after the first failure, doubled by each one that follows. Short, since at the start of a cluster names appear
/// one after the other.
const RETRY_FIRST: Span = Span::millis(500);
/// The longest wait after a failure: a new instance is dialled within half a minute after its name appears.
const RETRY_MAX: Span = Span::secs(30);
/// The shortest life of an answer. A headless service says 5 s or 30 s; a record that says 0 must not make us ask in a
/// loop.
const REFRESH_MIN: Span = Span::secs(5);
/// The longest life of an answer: an instance that moved is found within half a minute, whatever its record says.
const REFRESH_MAX: Span = Span::secs(30);

/// Addresses of one name that are kept: more than a message of DNS over UDP holds, and more than are dialled, so that
/// those that are left out can be counted.
const RECORDS_MAX: usize = 4 * CLUSTER_NODES_MAX;

/// A question to DNS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Query {
    /// The A and AAAA records of a host.
    Addresses(SmolStr),
    /// The SRV records of a service (RFC 2782).
    Services(SmolStr),
}

impl Query {
    /// The name that is asked for.
    pub fn name(&self) -> &SmolStr {
        match self {
            Query::Addresses(name) | Query::Services(name) => name,
        }
    }
}

/// What DNS says.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// To [`Query::Addresses`].
    Addresses {
        /// All addresses, in any order.
        ips: &'a [IpAddr],
        /// The shortest life of these records.
        ttl: Span,
    },
    /// To [`Query::Services`].
    Services {
        /// All targets, in any order; priorities and weights mean nothing where everybody is dialled.
        services: &'a [Service],
        /// The shortest life of these records.
        ttl: Span,
    },
}

/// The target of an SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// A host name, without the final dot.
    pub host: SmolStr,
    /// Its port.
    pub port: u16,
}

/// Why there is no answer. It is nobody's fault that the node could act on; a name is asked again in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// DNS says that there is no such name, or no record of that kind: what was known of it is forgotten.
    #[error("there is no such name")]
    NotFound,
    /// DNS could not be asked or said that it cannot tell: what was known stays.
    #[error("the resolver failed")]
    Failed,
    /// No answer in time: what was known stays.
    #[error("no answer in time")]
    TimedOut,
}

/// All names that are wanted.
pub(super) struct Names {
    watches: Slots<Watch>,
    by_query: BTreeMap<Query, Key>,
    timers: Timers<Key>,
    requests: Pending<Key>,
    rng: Rng,
    /// Whether an answer was another than the one before.
    changed: bool,
}

struct Watch {
    query: Query,
    ips: Vec<IpAddr>,
    services: Vec<Service>,
    failing: Option<Failing>,
    step: Step,
}

/// What comes next for a name.
enum Step {
    Waits(TimerId),
    Asks(RequestId),
}

struct Failing {
    since: Mono,
    times: u32,
    why: ResolveError,
}

impl Names {
    pub(super) fn new(rng: Rng) -> Self {
        Names {
            watches: Slots::new(),
            by_query: BTreeMap::new(),
            timers: Timers::new(),
            requests: Pending::new(),
            rng,
            changed: false,
        }
    }

    /// Sets which names are wanted: begins to ask for new ones, and forgets those that are not wanted any more.
    pub(super) fn want(&mut self, now: Mono, wanted: BTreeSet<Query>, outputs: &mut VecDeque<Output>) {
        let gone: Vec<Query> = self.by_query.keys().filter(|q| !wanted.contains(q)).cloned().collect();
        for query in gone {
            let key = self.by_query.remove(&query).expect("the query was found a moment ago");
            match self.watches.remove(key).expect("each query has its watch").step {
                Step::Waits(timer) => drop(self.timers.cancel(timer)),
                Step::Asks(id) => drop(self.requests.take(id)),
            }
        }
        for query in wanted {
            if self.by_query.contains_key(&query) {
                continue;
            }
            let requests = &mut self.requests;
            let asked = query.clone();
            let key = self.watches.insert_with(|key| {
                let id = requests.insert(key, now + ANSWER_TIMEOUT);
                outputs.push_back(Output::Resolve { id, query: asked.clone() });
                let (ips, services) = (Vec::new(), Vec::new());
                Watch { query: asked, ips, services, failing: None, step: Step::Asks(id) }
            });
            self.by_query.insert(query, key);
        }
    }

    /// Asks for the names whose time has come, and gives up on answers that did not come.
    pub(super) fn run(&mut self, now: Mono, outputs: &mut VecDeque<Output>) {
        while let Some((_, key)) = self.requests.expired(now) {
            self.fail(now, key, ResolveError::TimedOut);
        }
        while let Some((key, _)) = self.timers.pop_due(now) {
            let id = self.requests.insert(key, now + ANSWER_TIMEOUT);
            let watch = self.watches.get_mut(key).expect("a name that goes takes its timer along");
            watch.step = Step::Asks(id);
            outputs.push_back(Output::Resolve { id, query: watch.query.clone() });
        }
    }

    /// DNS said something. What comes too late, twice, or for a name that nobody wants any more changes nothing.
    pub(super) fn answered(&mut self, now: Mono, id: RequestId, result: Result<Answer<'_>, ResolveError>) {
        let Some(key) = self.requests.take(id) else { return };
        let watch = self.watches.get_mut(key).expect("a name that goes takes its request along");
        let ttl = match (&watch.query, result) {
            (_, Err(why)) => return self.fail(now, key, why),
            (Query::Addresses(_), Ok(Answer::Addresses { ips, ttl })) if !ips.is_empty() => {
                let ips = sorted(ips, RECORDS_MAX);
                self.changed |= watch.ips != ips;
                watch.ips = ips;
                ttl
            }
            (Query::Services(_), Ok(Answer::Services { services, ttl })) if !services.is_empty() => {
                let services = sorted(services, CLUSTER_NODES_MAX);
                self.changed |= watch.services != services;
                watch.services = services;
                ttl
            }
            // No record, or an answer to another question: as good as no such name.
            (_, Ok(_)) => return self.fail(now, key, ResolveError::NotFound),
        };
        watch.failing = None;
        let life = Span(ttl.0.clamp(REFRESH_MIN.0, REFRESH_MAX.0));
        // All nodes started together; they need not ask together for ever.
        let wait = Span(life.0 - self.rng.below(life.0 / 10));
        self.wait(now + wait, key, "discovery: an answer of DNS grows old");
    }

    fn fail(&mut self, now: Mono, key: Key, why: ResolveError) {
        let watch = self.watches.get_mut(key).expect("a name that goes takes its request along");
        if why == ResolveError::NotFound {
            self.changed |= !watch.ips.is_empty() || !watch.services.is_empty();
            watch.ips.clear();
            watch.services.clear();
        }
        let failing = watch.failing.get_or_insert(Failing { since: now, times: 0, why });
        failing.why = why;
        let wait = RETRY_FIRST.0 << failing.times.min(16);
        failing.times += 1;
        let wait = wait.min(RETRY_MAX.0);
        let wait = Span(wait / 2 + self.rng.below(wait / 2));
        self.wait(now + wait, key, "discovery: a name is to be asked again");
    }

    fn wait(&mut self, until: Mono, key: Key, why: &'static str) {
        let timer = self.timers.set(until, key, why);
        self.watches.get_mut(key).expect("a watch that waits is there").step = Step::Waits(timer);
    }

    /// Whether any answer has changed since this was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The addresses of a host, sorted; none if it is not known (yet).
    pub(super) fn addresses(&self, host: &str) -> &[IpAddr] {
        self.watch(Query::Addresses(host.into())).map_or(&[], |w| &w.ips)
    }

    /// The targets of a service, sorted.
    pub(super) fn services(&self, name: &str) -> &[Service] {
        self.watch(Query::Services(name.into())).map_or(&[], |w| &w.services)
    }

    fn watch(&self, query: Query) -> Option<&Watch> {
        self.watches.get(*self.by_query.get(&query)?)
    }

    /// Since when the name has failed that has failed for longest.
    pub(super) fn failing_since(&self) -> Option<Mono> {
        self.watches().filter_map(|w| w.failing.as_ref()).map(|f| f.since).min()
    }

    /// The names that failed last time, in their order.
    pub(super) fn failing(&self) -> impl Iterator<Item = (SmolStr, ResolveError)> {
        self.watches().filter_map(|w| Some((w.query.name().clone(), w.failing.as_ref()?.why)))
    }

    fn watches(&self) -> impl Iterator<Item = &Watch> {
        self.by_query.values().map(|key| self.watches.get(*key).expect("each query has its watch"))
    }

    /// When to call [`Names::run`] next.
    pub(super) fn next(&self) -> Option<(Mono, &'static str)> {
        let late = self.requests.next_deadline().map(|at| (at, "discovery: DNS does not answer"));
        self.timers.next().into_iter().chain(late).min_by_key(|(at, _)| *at)
    }
}

fn sorted<T: Clone + Ord>(values: &[T], most: usize) -> Vec<T> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.dedup();
    values.truncate(most);
    values
}
