//! Two nodes with perfect connections between them.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Input, Member, Output};
use crate::base::limits::LinkLimits;
use crate::base::{HashKey, Hlc, Mono, MsgId, NodeId, Now, Rng, Span, Utc, WorkerId};
use crate::cluster::agent::{self, Event, Request};
use crate::cluster::discovery::NodeAddr;
use crate::cluster::handshake::{Channel, Secrets, Trust};
use crate::cluster::identity::NodeName;
use crate::cluster::link::{LinkConn, LinksInput};
use crate::cluster::roles::Wish;
use crate::cluster::wire::{Kind, Role, Versions};
use crate::effect::{Change, Domain, NodeMail, NodeTold, Parcel, Record, Settings, Targets};

struct Pair {
    members: [Member; 2],
    now: Now,
    conns: u64,
    /// What the workers of each were told, and what the agents told.
    heard: [Vec<String>; 2],
    /// What nodes say of themselves counts among that.
    are_heard: bool,
}

fn name(i: usize) -> NodeName {
    NodeName::parse(&format!("chat@192.0.2.{}", i + 1)).expect("a name")
}

impl Pair {
    /// Both know each other.
    fn new() -> Pair {
        let mut pair = Pair::with([Role::Active; 2], None);
        pair.pass(3_000);
        for i in 0..2 {
            let expected = ["Up 1", "Up 1", "Whole 1", "Whole 1", "fresh", "takes 1", "takes 1", "up"];
            let mut heard = pair.heard(i);
            heard.sort();
            assert_eq!(heard, expected, "node {i}");
        }
        pair
    }

    /// The same, before they meet.
    fn with(roles: [Role; 2], active_wanted: Option<u16>) -> Pair {
        let now = Now { mono: Mono(1_000_000_000), utc: Utc(1_763_847_469_000) };
        let member = |i| {
            let settings = agent::Settings {
                name: name(i),
                cluster: "test".into(),
                trust: Trust::Secrets(
                    Secrets::new(b"sixteen bytes or more", None).expect("it is long enough"),
                ),
                versions: Versions::OURS,
                listed: vec![NodeAddr::parse(name(1 - i).as_str()).expect("an address")],
                dns: None,
                port: 4369,
                peers_port: 4369,
                role: roles[i],
                active_wanted,
                release: "test".into(),
                limits: LinkLimits::default(),
            };
            let workers = Settings::new(vec![Domain::new("h")], HashKey { k0: 1, k1: 2 }, [7; 16]);
            let workers = Arc::new(Settings { workers: 2, ..workers });
            Member::new(now, settings, workers, Rng::from_u64(i as u64))
        };
        let members = [member(0), member(1)];
        Pair { members, now, conns: 0, heard: Default::default(), are_heard: false }
    }

    fn heard(&mut self, i: usize) -> Vec<String> {
        std::mem::take(&mut self.heard[i])
    }

    fn input(&mut self, i: usize, input: Input<'_>) {
        self.members[i].handle(self.now, input);
    }

    fn connection(&mut self, i: usize, input: LinksInput<'_>) {
        self.input(i, Input::Agent(agent::Input::Connection(input)));
    }

    /// Connections have the number of the pair, and the end's: the even ones are node 0's.
    fn dial(&mut self, i: usize, request: Request) {
        let channel = || Channel { exporter: Zeroizing::new([7; 32]), certified: Vec::new() };
        let conn = |i: usize, n: u64| LinkConn(2 * n + i as u64);
        match request {
            Request::Dial { peer, address } => {
                self.conns += 1;
                let n = self.conns;
                self.connection(1 - i, LinksInput::Accepted { conn: conn(1 - i, n), channel: channel() });
                let conn = conn(i, n);
                self.connection(i, LinksInput::Dialled { conn, peer, address, channel: channel() });
            }
            Request::Close(LinkConn(id)) => {
                self.write(i);
                self.connection(1 - i, LinksInput::Closed(LinkConn(id ^ 1)));
            }
            Request::Notice(notice) => self.heard[i].push(notice.to_string()),
            Request::Left => self.heard[i].push("left".into()),
            other => panic!("{other:?}"),
        }
    }

    /// Sends what there is; whether that was anything.
    fn write(&mut self, i: usize) -> bool {
        let mut any = false;
        while let Some(conn) = self.members[i].poll_dirty() {
            let mut out = [&[][..]; 16];
            let n = self.members[i].outgoing(conn, &mut out);
            let bytes = out[..n].concat();
            self.members[i].sent(self.now, conn, bytes.len());
            if !bytes.is_empty() {
                any = true;
                self.connection(1 - i, LinksInput::Received { conn: LinkConn(conn.0 ^ 1), bytes: &bytes });
            }
        }
        any
    }

    fn turn(&mut self, i: usize) -> bool {
        let mut any = false;
        while let Some(output) = self.members[i].poll_output() {
            any = true;
            match output {
                Output::Agent(agent::Output::Driver(request)) => self.dial(i, request),
                Output::Agent(agent::Output::Above(event)) => match event {
                    Event::Fresh { .. } => self.heard[i].push("fresh".into()),
                    Event::PeerUp(_) => self.heard[i].push("up".into()),
                    Event::PeerDown { .. } => self.heard[i].push("down".into()),
                    Event::Says { role, is_draining, .. } if self.are_heard => {
                        self.heard[i].push(format!("says {role:?} {is_draining}"));
                    }
                    Event::Frame { .. } => panic!("frames are for the exchange"),
                    _ => {}
                },
                Output::Role(output) => self.heard[i].push(format!("{output:?}")),
                Output::Mail { worker, mail } => {
                    for told in mail.iter() {
                        self.heard[i].push(match told {
                            NodeTold::Up { node, .. } => format!("Up {}", node.0),
                            NodeTold::Down { node } => format!("Down {}", node.0),
                            NodeTold::Whole { node } => format!("Whole {}", node.0),
                            NodeTold::Takes { node, takes: true } => format!("takes {}", node.0),
                            NodeTold::Takes { node, takes: false } => format!("takes none {}", node.0),
                            NodeTold::Change { node, change: Change::Put(r) } => {
                                format!("{} has {}/{} for {}", node.0, r.user, r.resource, worker.0)
                            }
                            NodeTold::Parcel { node, parcel } => {
                                format!("{} sends {} to {}", node.0, parcel.stanza, worker.0)
                            }
                            other => format!("{other:?}"),
                        });
                    }
                    self.members[i].reuse(mail);
                }
            }
        }
        any | self.write(i)
    }

    /// Time passes.
    fn pass(&mut self, ms: u64) {
        for _ in 0..=ms / 10 {
            while self.turn(0) | self.turn(1) {}
            self.now.mono = self.now.mono + Span::millis(10);
            self.now.utc.0 += 10;
            for i in 0..2 {
                if self.members[i].poll_timeout().is_some_and(|(at, _)| at <= self.now.mono) {
                    self.input(i, Input::Agent(agent::Input::Tick));
                }
            }
        }
    }

    fn mail(&mut self, i: usize, told: &[NodeTold<'_>]) {
        let mut mail = NodeMail::default();
        told.iter().for_each(|told| mail.put(told));
        self.input(i, Input::Mail(&mut mail));
        assert!(mail.is_empty());
    }
}

fn record(resource: &str, worker: u16) -> NodeTold<'_> {
    let (user, priority, carbons, sm, bound) = ("romeo@h", Some(1), false, None, Hlc(1));
    let record = Record { user, resource, priority, carbons, sm, worker: WorkerId(worker), bound };
    NodeTold::Change { node: NodeId(0), change: Change::Put(record) }
}

fn parcel(stanza: &str) -> NodeTold<'_> {
    let parcel = Parcel {
        envelope: 4,
        attempt: 1,
        worker: WorkerId(1),
        id: MsgId(1),
        at: Utc(2),
        delayed: false,
        awaited: true,
        from: "juliet@h/x",
        to: "romeo@h",
        targets: Targets("r\0"),
        stanza,
    };
    NodeTold::Parcel { node: NodeId(1), parcel }
}

#[test]
fn what_workers_say_in_one_turn_arrives_at_the_others() {
    let mut pair = Pair::new();
    pair.mail(0, &[record("a", 0)]);
    pair.mail(0, &[record("b", 1), parcel("<message/>")]);
    pair.pass(20);
    let home = |pair: &Pair| pair.members[1].exchange.number_of(&name(0)).expect("they have met").0;
    assert_eq!(home(&pair), 1);
    let heard = pair.heard(1);
    assert!(heard.iter().any(|told| told.starts_with("1 has romeo@h/a")), "{heard:?}");
    assert!(heard.contains(&"1 sends <message/> to 1".to_owned()), "{heard:?}");
    assert_eq!((heard.len(), pair.heard(0)), (3, vec![]));
}

#[test]
fn a_node_that_sends_nonsense_begins_anew() {
    let mut pair = Pair::new();
    pair.mail(0, &[record("a", 0)]);
    let now = pair.now;
    pair.members[0].agent.send(now, &name(1), Kind::EnvelopeResult, b"").expect("they have met");
    pair.pass(3_000);
    let heard = pair.heard(1);
    assert!(heard.iter().any(|told| told.contains("breaks the protocol")), "{heard:?}");
    assert_eq!(heard.iter().filter(|told| *told == "fresh").count(), 1, "{heard:?}");
    let [.., known, last] = &heard[..] else { panic!("{heard:?}") };
    assert!(known.starts_with("2 has romeo@h/a") && last == "Whole 2", "{heard:?}");
    assert!(pair.heard(0).contains(&"fresh".to_owned()));
}

#[test]
fn a_worker_that_has_lost_everything_hears_of_all_others_again() {
    let mut pair = Pair::new();
    pair.mail(0, &[record("a", 0), record("b", 1)]);
    pair.mail(1, &[record("c", 0)]);
    pair.pass(20);
    pair.heard(0);
    pair.heard(1);
    pair.input(0, Input::Restarted(WorkerId(1)));
    pair.pass(3_000);
    let heard = pair.heard(0);
    assert!(heard.iter().any(|told| told.starts_with("2 has romeo@h/c")), "{heard:?}");
    let heard = pair.heard(1);
    assert!(heard.iter().any(|told| told.starts_with("2 has romeo@h/a")), "{heard:?}");
    assert!(!heard.iter().any(|told| told.contains("romeo@h/b")), "its session is gone: {heard:?}");
    assert!(!heard.contains(&"down".to_owned()), "{heard:?}");
}

#[test]
fn roles_follow_what_other_nodes_say_of_themselves() {
    let mut pair = Pair::with([Role::Active, Role::Standby], Some(1));
    pair.pass(20_000);
    assert_eq!(pair.members[1].roles().role(), Role::Standby, "one is active");
    pair.heard(0);
    pair.heard(1);
    pair.are_heard = true;

    // Who drains does not count, and is told to nobody as anything else.
    pair.input(0, Input::Wish(Wish::Drain(true)));
    pair.pass(9_000);
    assert_eq!(pair.heard(1), ["says Active true", "takes none 1", "takes none 1"]);
    pair.pass(2_000);
    assert_eq!(pair.heard(1), ["Become(Active)"]);
    assert_eq!(pair.heard(0), ["says Active false", "takes 1", "takes 1"]);
    pair.input(0, Input::Wish(Wish::Drain(false)));
    // Both are active now, which is one too many: the last by name goes.
    pair.pass(299_000);
    assert_eq!((pair.heard(0), pair.heard(1).remove(0)), (vec![], "says Active false".to_owned()));
    pair.pass(2_000);
    assert_eq!(
        (pair.heard(0).remove(0), pair.heard(1)),
        ("says Active true".into(), vec!["StepBack".into()])
    );
    pair.input(1, Input::Wish(Wish::SteppedBack));
    pair.pass(1_000);
    assert_eq!(pair.heard(1), ["Become(Standby)"]);
    let heard = pair.heard(0);
    assert!(heard.iter().any(|said| said == "says Standby false"), "{heard:?}");
    assert!(!heard.iter().any(|said| said.starts_with("takes 1")), "{heard:?}");

    // A node that is gone counts as little.
    let now = pair.now;
    pair.members[0].handle(now, Input::Agent(agent::Input::Leave));
    pair.pass(9_000);
    assert_eq!(pair.members[1].roles().role(), Role::Standby);
    pair.pass(4_000);
    assert_eq!(pair.members[1].roles().role(), Role::Active);
}
