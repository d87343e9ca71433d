//! One agent alone, on inputs that the test writes.

use core::net::SocketAddr;

use zeroize::Zeroizing;

use crate::base::limits::{CLUSTER_NODES_MAX, LinkLimits};
use crate::base::{Mono, Now, Rng, Span, Utc};
use crate::cluster::agent::{Agent, Input, Output, Request, Settings};
use crate::cluster::discovery::{NodeAddr, Peer};
use crate::cluster::handshake::{CertificateFault, Channel, Doubt, Secrets, Trust};
use crate::cluster::identity::{BootId, Identity, Incarnation, NodeName};
use crate::cluster::link::{LinkConn, LinksInput, NotSent};
use crate::cluster::wire::{Hello, Kind, Refusal, Role, Versions, write_frame};

const START: Now = Now { mono: Mono(1_000_000_000), utc: Utc(1_763_847_469_000) };

fn agent(listed: &str) -> Agent {
    let settings = Settings {
        name: NodeName::parse("chat@own").unwrap(),
        cluster: "test".into(),
        trust: Trust::Secrets(Secrets::new(b"sixteen bytes or more", None).unwrap()),
        versions: Versions::OURS,
        listed: listed.split_whitespace().map(|n| NodeAddr::parse(n).unwrap()).collect(),
        dns: None,
        port: 4369,
        peers_port: 4369,
        role: Role::Active,
        active_wanted: None,
        release: "é".repeat(40).into(),
        limits: LinkLimits::default(),
    };
    Agent::new(START, settings, Rng::from_u64(1))
}

fn later(ms: u64) -> Now {
    Now { mono: START.mono + Span::millis(ms), utc: START.utc }
}

fn requests(agent: &mut Agent) -> Vec<Request> {
    let mut all = Vec::new();
    while let Some(output) = agent.poll_output() {
        match output {
            Output::Driver(request) => all.push(request),
            Output::Above(event) => panic!("nothing is known of anybody: {event:?}"),
        }
    }
    all
}

fn channel() -> Channel {
    Channel { exporter: Zeroizing::new([7; 32]), certified: Vec::new() }
}

#[test]
fn a_life_begins_with_the_time() {
    let agent = agent("");
    assert_eq!(agent.identity().incarnation, Incarnation(1_763_847_469_000));
    assert_eq!(agent.identity().name.as_str(), "chat@own");
    assert_eq!(agent.poll_timeout(), None);
}

#[test]
fn addresses_are_dialled_and_names_are_asked_for() {
    let mut agent = agent("chat@192.0.2.7 chat@host:77 chat@own");
    let address: SocketAddr = "192.0.2.7:4369".parse().unwrap();
    let peer = Peer::Named(NodeName::parse("chat@192.0.2.7").unwrap());
    let said = requests(&mut agent);
    assert!(
        matches!(&said[..], [Request::Resolve { query, .. }, Request::Dial { peer: p, address: a }]
        if query.name() == "host" && *p == peer && *a == address),
        "{said:?}"
    );
    agent.handle(later(1), Input::Connection(LinksInput::DialFailed(peer)));
    assert_eq!(requests(&mut agent), []);
    let (at, why) = agent.poll_timeout().unwrap();
    assert!(at > later(1).mono && why == "a node is to be dialled", "{why}");
    agent.handle(Now { mono: at, ..START }, Input::Tick);
    assert!(matches!(requests(&mut agent)[..], [Request::Dial { .. }]));
}

#[test]
fn nothing_is_sent_to_who_is_not_met() {
    let mut agent = agent("chat@192.0.2.7");
    let other = NodeName::parse("chat@192.0.2.7").unwrap();
    assert_eq!(agent.send(START, &other, Kind::Envelope, b"x"), Err(NotSent::NotBegun));
    agent.handle(START, Input::Leave);
    assert!(requests(&mut agent).contains(&Request::Left), "there is nobody to tell");
    assert_eq!(agent.send(START, &other, Kind::Envelope, b"x"), Err(NotSent::Leaving));
    agent.handle(later(9_000), Input::Tick);
    assert_eq!((requests(&mut agent), agent.poll_timeout()), (vec![], None), "it is over");
}

#[test]
#[should_panic(expected = "is what the agent says")]
fn the_layer_above_does_not_speak_for_the_agent() {
    let _ = agent("").send(START, &NodeName::parse("chat@a").unwrap(), Kind::Leaving, b"\x03");
}

/// A hello that claims to be somebody, and a refusal that nobody has proved anything for.
fn hello_of(name: &str, boot: u8) -> Vec<u8> {
    let identity = Identity {
        name: NodeName::parse(name).unwrap(),
        incarnation: Incarnation(1),
        boot: BootId([boot; 16]),
    };
    let (mut body, mut out) = (Vec::new(), Vec::new());
    Hello { versions: Versions::OURS, identity, cluster: "other".into() }.write(&mut body);
    write_frame(&mut out, Kind::Hello, None, &body);
    out
}

#[test]
fn strangers_fill_neither_the_log_nor_the_memory() {
    let mut agent = agent("chat@192.0.2.7");
    requests(&mut agent);
    let mut notices = Vec::new();
    for i in 0..3 * CLUSTER_NODES_MAX as u64 {
        let conn = LinkConn(i);
        agent.handle(later(i), Input::Connection(LinksInput::Accepted { conn, channel: channel() }));
        let bytes = hello_of(&format!("chat@stranger-{i}"), 3);
        agent.handle(later(i), Input::Connection(LinksInput::Received { conn, bytes: &bytes }));
        agent.handle(later(i), Input::Connection(LinksInput::Closed(conn)));
        let said = requests(&mut agent);
        notices.extend(said.into_iter().filter(|r| matches!(r, Request::Notice(_))));
    }
    assert_eq!(notices.len(), 1, "strangers count as one: {notices:?}");
    assert_eq!(agent.peers().len(), 1);
}

#[test]
fn a_certificate_that_is_not_believed_is_said_once_a_minute_and_dialled_again() {
    let mut agent = agent("chat@192.0.2.7");
    let fault = CertificateFault::Theirs(Doubt::Authority);
    let address: SocketAddr = "192.0.2.9:5000".parse().unwrap();
    let (mut now, mut said, mut dials) = (START, Vec::new(), 0);
    while now.mono < later(90_000).mono {
        let mut inputs = Vec::new();
        for request in requests(&mut agent) {
            match request {
                Request::Notice(notice) => said.push(notice.to_string()),
                // Whoever is there dials as well, and is not believed either.
                Request::Dial { peer, .. } => inputs.extend([Some(peer), None]),
                other => panic!("{other:?}"),
            }
        }
        dials += inputs.len() / 2;
        for meant in inputs {
            agent.handle(now, Input::Connection(LinksInput::Unbelieved { meant, address, fault }));
        }
        now.mono = agent.poll_timeout().expect("it is dialled again").0.max(now.mono);
        agent.handle(now, Input::Tick);
    }
    assert!(dials > 5, "{dials}");
    let words =
        "this node does not believe the other's certificate: none of the authorities it trusts has signed it";
    assert_eq!(said[0], format!("no link to chat@192.0.2.7: {words}"));
    assert_eq!(said[1], format!("no link to somebody who dialled from 192.0.2.9:5000: {words}"));
    assert!(said.len() == 4 && said[2].ends_with("times more)"), "{said:#?}");
}

/// Who dials has a connection before the other side has looked at his certificate.
#[test]
fn a_certificate_that_the_other_does_not_believe_ends_the_greeting_with_that_word() {
    let mut agent = agent("chat@192.0.2.7");
    let [Request::Dial { peer, address }] = &requests(&mut agent)[..] else { panic!("one is dialled") };
    let (peer, address, conn) = (peer.clone(), *address, LinkConn(1));
    agent
        .handle(later(1), Input::Connection(LinksInput::Dialled { conn, peer, address, channel: channel() }));
    let fault = CertificateFault::Ours(Doubt::Missing);
    agent.handle(later(2), Input::Connection(LinksInput::Denied { conn, fault }));
    let said = requests(&mut agent);
    let words = "no link to chat@192.0.2.7: the other node goes by certificates, and this one shows none";
    assert!(
        matches!(&said[..], [Request::Notice(n), Request::Close(LinkConn(1))] if n.to_string() == words),
        "{said:?}"
    );
}

#[test]
fn a_refusal_without_proof_neither_stops_a_node_nor_gives_it_another_life() {
    for refusal in [Refusal::NameTaken(Incarnation(1)), Refusal::Stale(Incarnation(u64::MAX))] {
        let mut agent = agent("chat@192.0.2.7");
        let before = agent.identity().clone();
        let peer = Peer::Named(NodeName::parse("chat@192.0.2.7").unwrap());
        let (mut body, mut refuse) = (Vec::new(), Vec::new());
        refusal.write(&mut body);
        write_frame(&mut refuse, Kind::Refuse, None, &body);
        let mut said = Vec::new();
        for i in 0..60 {
            let (now, conn) = (later(i * 1_000), LinkConn(i));
            let (peer, address) = (peer.clone(), "192.0.2.7:4369".parse().unwrap());
            agent.handle(
                now,
                Input::Connection(LinksInput::Dialled { conn, peer, address, channel: channel() }),
            );
            agent.handle(now, Input::Connection(LinksInput::Received { conn, bytes: &refuse }));
            said.extend(requests(&mut agent));
        }
        assert!(!said.iter().any(|r| matches!(r, Request::Fatal(_))));
        assert_eq!(said.iter().filter(|r| matches!(r, Request::Notice(_))).count(), 1);
        assert_eq!(*agent.identity(), before);
    }
}
