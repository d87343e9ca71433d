//! Discovery against a DNS that the test holds in its hand.

use super::*;
use crate::base::Utc;
use core::net::IpAddr;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use proptest::strategy::Strategy;
use std::collections::BTreeSet;

/// Discovery with a clock and a DNS.
struct World {
    at: Mono,
    discovery: Discovery,
    hosts: BTreeMap<String, Vec<IpAddr>>,
    services: BTreeMap<String, Vec<Service>>,
    /// What DNS says instead of an answer.
    broken: Option<ResolveError>,
    silent: bool,
    ttl: Span,
    asked: usize,
    /// Queries under way.
    open: BTreeMap<RequestId, Query>,
    /// What was published, kept as an agent keeps it.
    dialled: BTreeMap<Peer, Vec<SocketAddr>>,
    notices: Vec<(u64, Notice)>,
}

fn node(name: &str) -> NodeName {
    NodeName::parse(name).unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl World {
    fn new(listed: &str, dns: Option<&str>) -> World {
        let listed = listed.split_whitespace().map(|n| NodeAddr::parse(n).unwrap()).collect();
        let settings = Settings { own: node("chat@own"), listed, dns: dns.map(SmolStr::from), port: 4369 };
        let start = Mono(1_000_000_000);
        let now = Now { mono: start, utc: Utc(0) };
        World {
            at: start,
            discovery: Discovery::new(now, settings, Rng::from_u64(1)),
            hosts: BTreeMap::new(),
            services: BTreeMap::new(),
            broken: None,
            silent: false,
            ttl: Span::secs(5),
            asked: 0,
            open: BTreeMap::new(),
            dialled: BTreeMap::new(),
            notices: Vec::new(),
        }
    }

    fn host(&mut self, name: &str, ips: &str) {
        self.hosts.insert(name.into(), ips.split_whitespace().map(|ip| ip.parse().unwrap()).collect());
    }

    fn give(&mut self, input: Input<'_>) {
        self.discovery.handle(Now { mono: self.at, utc: Utc(0) }, input);
        self.drain();
    }

    /// Carries out the outputs, and answers what was asked.
    fn drain(&mut self) {
        loop {
            while let Some(output) = self.discovery.poll_output() {
                match output {
                    Output::Resolve { id, query } => {
                        self.asked += 1;
                        let twice = self.open.values().any(|q| *q == query);
                        assert!(!twice || self.silent, "{query:?} is asked twice at once");
                        self.open.insert(id, query);
                    }
                    Output::Dial { peer, addresses } => {
                        assert!(!addresses.is_empty() && addresses.is_sorted());
                        let before = self.dialled.insert(peer, addresses.clone());
                        assert_ne!(before, Some(addresses), "only what changed is said");
                    }
                    Output::Forget { peer } => {
                        assert!(self.dialled.remove(&peer).is_some(), "{peer:?} was never published");
                    }
                    Output::Notice(notice) => {
                        let seconds = self.at.since(Mono(1_000_000_000)).as_secs();
                        self.notices.push((seconds, notice));
                    }
                }
            }
            let Some((id, query)) = (!self.silent).then(|| self.open.pop_first()).flatten() else { break };
            self.answer(id, &query);
        }
    }

    fn answer(&mut self, id: RequestId, query: &Query) {
        let now = Now { mono: self.at, utc: Utc(0) };
        let (ips, services) =
            (self.hosts.get(query.name().as_str()), self.services.get(query.name().as_str()));
        let result = match (self.broken, query, ips, services) {
            (Some(why), ..) => Err(why),
            (_, Query::Addresses(_), Some(ips), _) => Ok(Answer::Addresses { ips, ttl: self.ttl }),
            (_, Query::Services(_), _, Some(services)) => Ok(Answer::Services { services, ttl: self.ttl }),
            _ => Err(ResolveError::NotFound),
        };
        self.discovery.handle(now, Input::Resolved { id, result });
    }

    /// Lets time pass, waking the machine when it wants.
    fn pass(&mut self, span: Span) {
        self.drain();
        let end = self.at + span;
        while let Some((next, _)) = self.discovery.poll_timeout().filter(|(next, _)| *next <= end) {
            assert!(next >= self.at, "a deadline lies in the past");
            self.at = next;
            self.give(Input::Tick);
            let again = self.discovery.poll_timeout();
            assert!(again.is_none_or(|(again, _)| again > self.at), "a tick leaves nothing that is due");
        }
        self.at = end;
    }

    fn shown(&self) -> Vec<String> {
        let peer = |p: &Peer| match p {
            Peer::Named(name) => name.to_string(),
            Peer::Address(_) => "?".into(),
        };
        let published: Vec<_> = self.discovery.peers().map(|(p, a)| (p.clone(), a.to_vec())).collect();
        assert_eq!(published, self.dialled.clone().into_iter().collect::<Vec<_>>());
        let addresses = |a: &[SocketAddr]| a.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        self.dialled.iter().map(|(p, a)| format!("{} {}", peer(p), addresses(a))).collect()
    }
}

#[test]
fn listed_nodes_are_dialled_when_their_names_appear() {
    let mut w = World::new("chat@a chat@b:4370 chat@own chat@192.0.2.9 chat@[2001:db8::1]:1", None);
    w.host("a", "192.0.2.1 2001:db8::a");
    w.pass(Span::secs(0));
    let fixed = ["chat@192.0.2.9 192.0.2.9:4369", "chat@[2001:db8::1] [2001:db8::1]:1"];
    let a = "chat@a 192.0.2.1:4369 [2001:db8::a]:4369";
    assert_eq!(w.shown(), [fixed[0], fixed[1], a]);
    w.pass(Span::secs(3600));
    w.host("b", "192.0.2.2");
    w.pass(Span::secs(30));
    assert_eq!(w.shown(), [fixed[0], fixed[1], a, "chat@b 192.0.2.2:4370"], "asked for ever");
    w.host("a", "192.0.2.77");
    w.pass(Span::secs(30));
    assert_eq!(w.shown()[2], "chat@a 192.0.2.77:4369", "a node that moves is found");
    w.broken = Some(ResolveError::Failed);
    w.pass(Span::secs(3600));
    assert_eq!(w.shown().len(), 4, "a failure of DNS takes nothing away");
    w.broken = None;
    w.hosts.remove("a");
    w.pass(Span::secs(60));
    assert_eq!(w.shown(), [fixed[0], fixed[1], "chat@b 192.0.2.2:4370"], "a name that is gone does");
}

#[test]
fn names_that_fail_are_asked_less_and_less_often() {
    let mut w = World::new("chat@a", None);
    w.pass(Span::secs(10));
    // 0, then waits of about 0.4, 0.8, 1.5, 3, 6 seconds.
    assert!((4..=7).contains(&w.asked), "{}", w.asked);
    let early = w.asked;
    w.pass(Span::secs(3600));
    let hour = w.asked - early;
    assert!((120..=250).contains(&hour), "every 15 to 30 s: {hour}");
}

#[test]
fn answers_grow_old_whatever_their_life() {
    for (ttl, least, most) in [(Span(0), 200, 230), (Span::secs(10), 98, 115), (Span::secs(86_400), 32, 40)] {
        let mut w = World::new("chat@a", None);
        w.host("a", "192.0.2.1");
        w.ttl = ttl;
        w.pass(Span::secs(1000));
        assert!((least..=most).contains(&w.asked), "{ttl:?}: {}", w.asked);
    }
}

#[test]
fn a_resolver_that_says_nothing_is_asked_again() {
    let mut w = World::new("chat@a", None);
    w.silent = true;
    w.pass(Span::secs(14));
    assert_eq!((w.asked, w.open.len()), (1, 1));
    let (late, _) = w.open.pop_first().unwrap();
    w.pass(Span::secs(2));
    assert_eq!(w.asked, 2);
    w.give(Input::Resolved { id: late, result: Err(ResolveError::NotFound) });
    assert_eq!(w.open.len(), 1, "an answer that comes too late changes nothing");
    w.silent = false;
    w.host("a", "192.0.2.1");
    w.drain();
    assert_eq!(w.shown(), ["chat@a 192.0.2.1:4369"]);
}

#[test]
fn one_notice_a_minute_while_names_do_not_resolve() {
    let mut w = World::new("chat@a chat@b", None);
    w.host("b", "192.0.2.2");
    w.pass(Span::secs(200));
    let trouble =
        Notice::Trouble { unresolved: vec![("a".into(), ResolveError::NotFound)], more: 0, left_out: 0 };
    assert_eq!(
        w.notices,
        [(10, trouble.clone()), (70, trouble.clone()), (130, trouble.clone()), (190, trouble)]
    );
    w.host("a", "192.0.2.1");
    w.pass(Span::secs(200));
    assert_eq!(w.notices.len(), 5);
    assert_eq!(w.notices[4].1, Notice::Settled);
    w.broken = Some(ResolveError::Failed);
    w.pass(Span::secs(30));
    assert_eq!(w.notices.len(), 6, "a resolver that fails is worth a line although all is known");
}

#[test]
fn names_that_appear_soon_are_no_news() {
    let mut w = World::new("chat@a", None);
    w.pass(Span::secs(5));
    w.host("a", "192.0.2.1");
    w.pass(Span::secs(600));
    assert_eq!(w.notices, []);
}

#[test]
fn many_names_are_counted() {
    let all: Vec<String> = (10..30).map(|i| format!("chat@n{i}")).collect();
    let mut w = World::new(&all.join(" "), None);
    w.pass(Span::secs(11));
    let [(_, Notice::Trouble { unresolved, more, .. })] = &w.notices[..] else { panic!("{:?}", w.notices) };
    assert_eq!((unresolved.len(), *more), (NOTICE_NAMES_MAX, 12));
    assert_eq!(unresolved[0].0, "n10");
}

#[test]
fn a_watched_name_lists_addresses_until_handshakes_tell_names() {
    let mut w = World::new("chat@a", Some("chat.svc"));
    w.host("a", "10.0.0.1");
    w.host("chat.svc", "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4");
    w.pass(Span::secs(1));
    assert_eq!(
        w.shown(),
        ["chat@a 10.0.0.1:4369", "? 10.0.0.2:4369", "? 10.0.0.3:4369", "? 10.0.0.4:4369"],
        "an address of a known node is dialled by its name"
    );
    w.give(Input::Met { address: at("10.0.0.2:4369"), name: &node("chat@b") });
    w.give(Input::Met { address: at("10.0.0.3:4369"), name: &node("chat@own") });
    w.give(Input::Met { address: at("192.0.2.9:4369"), name: &node("chat@x") });
    assert_eq!(w.shown(), ["chat@a 10.0.0.1:4369", "chat@b 10.0.0.2:4369", "? 10.0.0.4:4369"]);
    w.pass(Span::secs(60));
    assert_eq!(w.shown().len(), 3, "asking again changes nothing");
    w.give(Input::Lost(&node("chat@b")));
    assert_eq!(w.shown()[1], "? 10.0.0.2:4369", "it may be somebody else's by now");
    w.give(Input::Met { address: at("10.0.0.2:4369"), name: &node("chat@c") });
    w.host("chat.svc", "10.0.0.1 10.0.0.3 10.0.0.4 10.0.0.5");
    w.pass(Span::secs(60));
    assert_eq!(w.shown(), ["chat@a 10.0.0.1:4369", "? 10.0.0.4:4369", "? 10.0.0.5:4369"]);
}

#[test]
fn a_name_with_an_underscore_has_services() {
    let mut w = World::new("", Some("_chat._tcp.svc"));
    w.host("p0.svc", "10.0.0.1");
    w.host("p1.svc", "10.0.0.2 10.0.0.3");
    let service = |host: &str, port| Service { host: host.into(), port };
    w.services.insert("_chat._tcp.svc".into(), vec![service("p1.svc", 4370), service("p0.svc", 4369)]);
    w.pass(Span::secs(1));
    assert_eq!(w.shown(), ["? 10.0.0.1:4369", "? 10.0.0.2:4370", "? 10.0.0.3:4370"]);
    w.services.insert("_chat._tcp.svc".into(), vec![service("p0.svc", 1)]);
    w.pass(Span::secs(30));
    assert_eq!(w.shown(), ["? 10.0.0.1:1"]);
    let before = w.asked;
    w.pass(Span::secs(1000));
    assert!(w.asked - before < 2 * 230, "a host that is no target any more is not asked for");
    w.services.clear();
    w.pass(Span::secs(60));
    assert_eq!(w.shown(), [""; 0]);
}

#[test]
fn what_peers_tell_lasts_a_day() {
    let mut w = World::new("chat@a", None);
    w.host("b", "192.0.2.2");
    let b = NodeAddr::parse("chat@b:4370").unwrap();
    let c = NodeAddr::parse("chat@c").unwrap();
    let own = NodeAddr::parse("chat@own").unwrap();
    w.give(Input::Learned { node: &b, addresses: &[at("198.51.100.2:4370"), at("192.0.2.2:4370")] });
    w.give(Input::Learned { node: &c, addresses: &[at("198.51.100.3:4369")] });
    w.give(Input::Learned { node: &own, addresses: &[at("198.51.100.4:4369")] });
    let c_is = "chat@c 198.51.100.3:4369";
    assert_eq!(w.shown(), ["chat@b 192.0.2.2:4370 198.51.100.2:4370", c_is]);
    w.pass(Span::secs(12 * 3600));
    w.give(Input::Learned { node: &c, addresses: &[at("198.51.100.3:4369")] });
    w.pass(Span::secs(12 * 3600 + 1));
    assert_eq!(w.shown(), [c_is]);
    w.give(Input::Left(&node("chat@c")));
    assert_eq!(w.shown(), [""; 0]);
}

#[test]
fn lists_may_change_and_listed_nodes_never_leave() {
    let mut w = World::new("chat@a", None);
    w.host("a", "192.0.2.1");
    w.host("b", "192.0.2.2");
    w.pass(Span::secs(1));
    w.give(Input::Left(&node("chat@a")));
    assert_eq!(w.shown(), ["chat@a 192.0.2.1:4369"]);
    let b = [NodeAddr::parse("chat@b").unwrap(), NodeAddr::parse("chat@b:7").unwrap()];
    w.give(Input::Listed(&b));
    assert_eq!(w.shown(), ["chat@b 192.0.2.2:7"], "the port is worth keeping");
}

#[test]
fn limits_are_kept_and_said() {
    let all: Vec<String> = (1000..1300).map(|i| format!("chat@n{i}")).collect();
    let mut w = World::new(&all.join(" "), Some("svc"));
    for i in 1000..1300 {
        w.host(&format!("n{i}"), &format!("10.1.{}.{}", i / 250, i % 250));
    }
    let many: Vec<String> = (0..400).map(|i| format!("10.0.{}.{}", i / 250, i % 250)).collect();
    w.host("svc", &many.join(" "));
    w.pass(Span::secs(61));
    assert_eq!(w.shown().len(), 2 * CLUSTER_NODES_MAX);
    let left_out = 300 + 400 - 2 * CLUSTER_NODES_MAX;
    assert_eq!(
        w.notices.last().map(|n| &n.1),
        Some(&Notice::Trouble { unresolved: vec![], more: 0, left_out })
    );

    let mut w = World::new("", None);
    let mut addresses: Vec<SocketAddr> = (0..20).map(|i| at(&format!("10.0.0.{i}:1"))).collect();
    for i in 0..300 {
        w.at = w.at + Span(1);
        let name = NodeAddr::parse(&format!("chat@10.9.{}.{}", i / 250, i % 250)).unwrap();
        w.give(Input::Learned { node: &name, addresses: &addresses });
        addresses.rotate_left(1);
    }
    assert_eq!(w.dialled.len(), CLUSTER_NODES_MAX);
    assert!(w.dialled.values().all(|a| a.len() == CLUSTER_ADDRESSES_PER_NODE_MAX));
    assert!(!w.dialled.contains_key(&Peer::Named(node("chat@10.9.0.43"))), "the oldest made room");
    assert!(w.dialled.contains_key(&Peer::Named(node("chat@10.9.1.49"))));
}

/// What may happen in a run: to DNS, to the lists, to links.
fn steps() -> impl Strategy<Value = Vec<(u8, u8, u8, u16)>> {
    proptest::collection::vec((0u8..10, 0u8..6, any::<u8>(), 1u16..40), 0..60)
}

/// What a run has told, as plainly as can be.
#[derive(Default)]
struct Model {
    listed: Vec<u8>,
    learned: BTreeMap<String, SocketAddr>,
    met: BTreeMap<SocketAddr, String>,
}

impl Model {
    fn step(&mut self, w: &mut World, (what, who, bits): (u8, u8, u8)) {
        let name = format!("chat@h{who}");
        let address = at(&format!("10.0.0.{}:4369", bits % 16));
        let chosen = |most: u8| (0..most).filter(move |i| bits >> i & 1 == 1);
        match what {
            0 => w.host(&format!("h{who}"), &format!("10.0.0.{}", bits % 16)),
            1 => drop(w.hosts.remove(&format!("h{who}"))),
            2 => w.host("svc", &chosen(8).map(|i| format!("10.0.0.{i} ")).collect::<String>()),
            3 => w.broken = (bits % 2 == 0).then_some(ResolveError::Failed),
            4 => w.silent = bits % 2 == 0,
            5 => {
                self.listed = chosen(6).collect();
                let nodes = self.listed.iter().map(|i| node(&format!("chat@h{i}")).into());
                w.give(Input::Listed(&nodes.collect::<Vec<NodeAddr>>()));
            }
            6 => {
                self.learned.insert(name.clone(), address);
                w.give(Input::Learned { node: &node(&name).into(), addresses: &[address] });
            }
            7 => {
                self.learned.remove(&name);
                w.give(Input::Left(&node(&name)));
            }
            8 => {
                self.met.insert(address, name.clone());
                w.give(Input::Met { address, name: &node(&name) });
            }
            _ => {
                self.met.retain(|_, n| *n != name);
                w.give(Input::Lost(&node(&name)));
            }
        }
    }

    /// Where each node is that lists and peers know, with what DNS says now.
    fn known(&self, w: &World) -> BTreeMap<String, BTreeSet<SocketAddr>> {
        let mut known: BTreeMap<String, BTreeSet<SocketAddr>> = BTreeMap::new();
        for i in &self.listed {
            known.entry(format!("chat@h{i}")).or_default().extend(w.resolved(&format!("h{i}")));
        }
        for (name, address) in &self.learned {
            known
                .entry(name.clone())
                .or_default()
                .extend(w.resolved(&name[5..]).into_iter().chain([*address]));
        }
        known.retain(|_, addresses| !addresses.is_empty());
        known
    }
}

impl World {
    fn resolved(&self, host: &str) -> Vec<SocketAddr> {
        let ips = self.hosts.get(host).into_iter().flatten();
        ips.map(|ip| SocketAddr::new(*ip, 4369)).collect()
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    /// Whatever happened: when DNS works again, what is dialled is exactly what is known, and queries were few.
    #[test]
    fn all_sources_come_together(steps in steps()) {
        let mut w = World::new("chat@h0 chat@h1", Some("svc"));
        let mut model = Model { listed: vec![0, 1], ..Model::default() };
        let mut seconds = 90;
        for (what, who, bits, wait) in steps {
            model.step(&mut w, (what, who, bits));
            w.pass(Span::secs(u64::from(wait)));
            seconds += u64::from(wait);
        }
        (w.broken, w.silent) = (None, false);
        w.pass(Span::secs(90));
        // Eight names at most, each at most every 4.5 s once it is known, with quick retries after each failure.
        prop_assert!(w.asked as u64 <= 8 * (seconds / 4 + 60 * 8), "{} queries", w.asked);

        let (known, watched) = (model.known(&w), w.resolved("svc"));
        for (name, addresses) in &known {
            let dialled = w.dialled.get(&Peer::Named(node(name))).cloned().unwrap_or_default();
            prop_assert!(addresses.iter().all(|a| dialled.contains(a)), "{name}: {addresses:?}, {dialled:?}");
            // Whatever else is dialled under a name was met there, at an address that is still watched.
            for address in dialled.iter().filter(|a| !addresses.contains(a)) {
                prop_assert_eq!(model.met.get(address), Some(name));
                prop_assert!(watched.contains(address));
            }
        }
        for address in &watched {
            let somebody = w.dialled.values().any(|all| all.contains(address));
            prop_assert!(somebody, "{address} is dialled by nobody");
        }
        for peer in w.dialled.keys() {
            match peer {
                Peer::Address(address) => prop_assert!(watched.contains(address)),
                Peer::Named(name) => {
                    let met = model.met.values().any(|n| n == name.as_str());
                    prop_assert!(met || known.contains_key(name.as_str()), "{name}");
                }
            }
        }
    }
}
