//! The workloads: what is timed, what is counted. Each is set up once and then run as often as its caller likes.
//!
//! Owns: the list of them ([`ALL`]) and what each does.
//! Not here: how it is timed or counted (`benches/`), what it is done with (`rig`).

use std::fmt::Write as _;
use std::hint::black_box;

use chat_core::base::{HashKey, Hlc, Key, KeyedMap, Mono, NodeId, Span, Timers, UserId, WorkerId};
use chat_core::cluster::registry::{Log, LogInput, LogOutput, Received, Replica};
use chat_core::cluster::wire::Versions;
use chat_core::cluster::{Incarnation, NodeName};
use chat_core::jid::BareJid;
use chat_core::route::decision::{ResourceView, Target, What, decide};
use chat_core::route::registry::{Change, Record, SmHash, Table};
use chat_core::stanza::MessageType;
use chat_core::xml::{self, FrameKind, Framer, ScanLimits, Stamp, Step, StreamNs, forward, scan};

use crate::rig::Rig;
use crate::twins::Twins;

/// One workload.
pub struct Work {
    /// Its name in tables.
    pub name: &'static str,
    /// What one operation is.
    pub what: &'static str,
    /// Operations in each run.
    pub operations: u32,
    /// Makes everything ready and returns the run.
    pub set_up: fn() -> Box<dyn FnMut()>,
}

/// All workloads.
pub const ALL: [Work; 20] = [
    Work {
        name: "frame",
        what: "the end of a chat message of 100 bytes found",
        operations: 1,
        set_up: frame,
    },
    Work { name: "scan", what: "one chat message of 100 bytes scanned", operations: 1, set_up: scan_chat },
    Work { name: "head", what: "its head written anew, its payload copied", operations: 1, set_up: head },
    Work {
        name: "decide",
        what: "RFC 6121 §8 for a bare JID with four resources",
        operations: 1,
        set_up: decision,
    },
    Work { name: "deliver", what: "a chat message from client to client", operations: 1, set_up: deliver },
    Work {
        name: "deliver_1000",
        what: "the same to one of 1,000 resources, 25 by each message",
        operations: 1000,
        set_up: deliver_1000,
    },
    Work {
        name: "deliver_kb",
        what: "a chat message of 1 KiB from client to client",
        operations: 1,
        set_up: deliver_kb,
    },
    Work {
        name: "deliver_across",
        what: "a chat message from one worker to another",
        operations: 1,
        set_up: deliver_across,
    },
    Work {
        name: "deliver_nodes",
        what: "one of 16 chat messages from node to node, and what became of it",
        operations: 16,
        set_up: deliver_nodes,
    },
    Work {
        name: "managed_nodes",
        what: "the same under XEP-0198, acknowledged each four",
        operations: 16,
        set_up: managed_nodes,
    },
    Work { name: "carbons", what: "a chat message with two copies of it", operations: 1, set_up: carbons },
    Work {
        name: "managed",
        what: "a chat message under XEP-0198, acknowledged each five",
        operations: 5,
        set_up: managed,
    },
    Work {
        name: "presence_200",
        what: "presence to one of 200 contacts",
        operations: 200,
        set_up: presence_200,
    },
    Work { name: "ping", what: "an iq that the server answers", operations: 1, set_up: ping },
    Work {
        name: "login",
        what: "a login with PLAIN, a resource, presence, and the end",
        operations: 1,
        set_up: login,
    },
    Work { name: "timers", what: "a timer of 10,000 set, moved, fired", operations: 100, set_up: timers },
    Work { name: "user_lookup", what: "one of 100,000 users found", operations: 1, set_up: user_lookup },
    Work {
        name: "user_insert",
        what: "a user entered beside 100,000, and removed",
        operations: 1,
        set_up: user_insert,
    },
    Work {
        name: "registry_update",
        what: "a session of 100,000 changed, told to two nodes, read and applied at one",
        operations: 1,
        set_up: registry_update,
    },
    Work {
        name: "registry_lookup",
        what: "the sessions of one of 100,000 users found",
        operations: 1,
        set_up: registry_lookup,
    },
];

/// A chat message as clients write it, with a body of so many bytes.
pub fn message(to: &str, body: usize) -> String {
    let body: String = "She speaks. O, speak again, bright angel! ".chars().cycle().take(body).collect();
    format!("<message to='{to}' type='chat' id='a1b2c3'><body>{body}</body></message>")
}

const ROMEO: (&str, &str) = ("romeo.montague", "orchard-7f3a");
const JULIET: (&str, &str) = ("juliet.capulet", "balcony-19c4");
const TO_JULIET: &str = "juliet.capulet@localhost/balcony-19c4";

fn frame() -> Box<dyn FnMut()> {
    let mut framer = Framer::default();
    let header = b"<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:client'>";
    assert!(matches!(framer.push(header), Ok(Step::Frame { kind: FrameKind::Header, .. })));
    let text = message(TO_JULIET, 100).into_bytes();
    Box::new(move || {
        let step = framer.push(black_box(&text)).expect("it is well-formed");
        assert!(matches!(black_box(step), Step::Frame { kind: FrameKind::Element, .. }));
    })
}

fn scan_chat() -> Box<dyn FnMut()> {
    let text = message(TO_JULIET, 100).into_bytes();
    let (ns, limits) = (StreamNs::client(), ScanLimits::default());
    Box::new(move || {
        black_box(scan(black_box(&text), &ns, &limits)).expect("it is well-formed");
    })
}

fn head() -> Box<dyn FnMut()> {
    let text: &'static [u8] = message(TO_JULIET, 100).into_bytes().leak();
    let view = scan(text, &StreamNs::client(), &ScanLimits::default()).expect("it is well-formed");
    let mut out = Vec::with_capacity(1024);
    Box::new(move || {
        out.clear();
        let from = xml::Head::Set("romeo.montague@localhost/orchard-7f3a");
        let stamp = Stamp { from, to: xml::Head::Set(black_box(TO_JULIET)), ..Stamp::default() };
        forward(black_box(&view), &stamp, &mut out);
        black_box(&out);
    })
}

fn decision() -> Box<dyn FnMut()> {
    let resource = |available, priority| ResourceView { available, priority };
    let resources = [resource(true, 0), resource(true, 5), resource(false, 0), resource(true, -1)];
    let what = What::Message { kind: MessageType::Chat, keep: true };
    Box::new(move || {
        black_box(decide(black_box(what), black_box(Target::Bare), black_box(&resources)));
    })
}

fn pair(workers: u16) -> (Rig, usize, usize) {
    let mut rig = Rig::new(workers, 4);
    let romeo = rig.available(ROMEO.0, ROMEO.1);
    let juliet = rig.available(JULIET.0, JULIET.1);
    (rig, romeo, juliet)
}

fn deliver() -> Box<dyn FnMut()> {
    let (mut rig, romeo, _) = pair(1);
    let text = message(TO_JULIET, 100);
    Box::new(move || rig.send(romeo, &text))
}

fn deliver_kb() -> Box<dyn FnMut()> {
    let (mut rig, romeo, _) = pair(1);
    let text = message(TO_JULIET, 1024);
    Box::new(move || rig.send(romeo, &text))
}

fn deliver_across() -> Box<dyn FnMut()> {
    let mut rig = Rig::new(2, 2);
    let mut names = (0..).map(|i| format!("montague-{i:08}"));
    let mut on = |worker| names.find(|n| rig.home(n) == worker).expect("there is no end of names");
    let (romeo, juliet) = (on(0), on(1));
    let text = message(&format!("{juliet}@localhost/balcony"), 100);
    let romeo = rig.available(&romeo, "orchard");
    rig.available(&juliet, "balcony");
    Box::new(move || rig.send(romeo, &text))
}

fn twins() -> (Twins, usize, usize) {
    let mut twins = Twins::new();
    let romeo = twins.available(0, ROMEO.0, ROMEO.1);
    let juliet = twins.available(1, JULIET.0, JULIET.1);
    (twins, romeo, juliet)
}

fn deliver_nodes() -> Box<dyn FnMut()> {
    let (mut twins, romeo, juliet) = twins();
    let texts = message(TO_JULIET, 100).repeat(4);
    Box::new(move || {
        let before = twins.received(juliet);
        for _ in 0..4 {
            twins.send(romeo, &texts);
        }
        assert!(twins.received(juliet) > before + 16 * 100, "they have arrived");
        twins.pass(Span::millis(5));
        assert_eq!(twins.underway(), 0, "each has a result");
    })
}

fn managed_nodes() -> Box<dyn FnMut()> {
    let (mut twins, romeo, juliet) = twins();
    twins.manage(romeo);
    twins.manage(juliet);
    let texts = message(TO_JULIET, 100).repeat(4) + "<r xmlns='urn:xmpp:sm:3'/>";
    let mut h = 0u32;
    Box::new(move || {
        for _ in 0..4 {
            twins.send(romeo, &texts);
            h += 4;
            twins.send(juliet, &format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
        }
        twins.pass(Span::millis(5));
        assert_eq!(twins.underway(), 0, "each has a result");
    })
}

fn deliver_1000() -> Box<dyn FnMut()> {
    let mut rig = Rig::new(1, 1001);
    let romeo = rig.available(ROMEO.0, ROMEO.1);
    let mut all = String::new();
    for user in 0..40 {
        for resource in 0..25 {
            rig.available(&format!("capulet-{user:08}"), &format!("balcony-{resource:04}"));
        }
        all.push_str(&message(&format!("capulet-{user:08}@localhost"), 100));
    }
    Box::new(move || rig.send(romeo, &all))
}

fn carbons() -> Box<dyn FnMut()> {
    let (mut rig, romeo, juliet) = pair(1);
    let others = [rig.available(ROMEO.0, "street-22b1"), rig.available(JULIET.0, "garden-0f0f")];
    for c in [romeo, juliet].into_iter().chain(others) {
        rig.carbons(c);
    }
    let text = message(TO_JULIET, 100);
    Box::new(move || rig.send(romeo, &text))
}

fn managed() -> Box<dyn FnMut()> {
    let (mut rig, romeo, juliet) = pair(1);
    rig.manage(romeo);
    rig.manage(juliet);
    let text = message(TO_JULIET, 100);
    let mut h = 0;
    // Written in place, so that the client's part costs next to nothing.
    let mut ack = String::with_capacity(64);
    Box::new(move || {
        for _ in 0..5 {
            rig.send(romeo, &text);
        }
        rig.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
        h += 5;
        ack.clear();
        write!(ack, "<a xmlns='urn:xmpp:sm:3' h='{h}'/>").expect("a string takes everything");
        rig.send(juliet, &ack);
    })
}

fn presence_200() -> Box<dyn FnMut()> {
    let contact = |i: u32| format!("capulet-{i:08}");
    let mut rig = Rig::with_rosters(1, 201, |user| match user == ROMEO.0 {
        true => (0..200).map(|i| format!("capulet-{i:08}")).collect(),
        false => vec![ROMEO.0.to_owned()],
    });
    let romeo = rig.available(ROMEO.0, ROMEO.1);
    for i in 0..200 {
        rig.available(&contact(i), "balcony");
    }
    let away = "<presence><show>away</show><status>Banished</status></presence>";
    Box::new(move || rig.send(romeo, away))
}

fn ping() -> Box<dyn FnMut()> {
    let (mut rig, romeo, _) = pair(1);
    Box::new(move || {
        rig.send(romeo, "<iq type='get' to='localhost' id='p1'><ping xmlns='urn:xmpp:ping'/></iq>")
    })
}

fn login() -> Box<dyn FnMut()> {
    let (mut rig, ..) = pair(1);
    Box::new(move || {
        let c = rig.available("mercutio", "street");
        rig.cut(c);
        rig.forget(c);
    })
}

fn timers() -> Box<dyn FnMut()> {
    let mut timers = Timers::new();
    let (mut now, mut step) = (0u64, 0u64);
    let mut next = move || {
        step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Up to about a minute.
        step >> 28
    };
    let mut ids = Vec::new();
    for i in 0..10_000u32 {
        ids.push(timers.set(Mono(next()), i, "idle"));
    }
    Box::new(move || {
        for i in 0..100 {
            let index = (next() % 10_000) as usize;
            timers.cancel(ids[index]);
            ids[index] = timers.set(Mono(now + next()), i, "idle");
        }
        now += Span::millis(10).0;
        while let Some((key, _)) = timers.pop_due(Mono(now)) {
            ids[key as usize] = timers.set(Mono(now + next()), key, "idle");
        }
    })
}

fn users() -> (KeyedMap<BareJid, UserId>, Vec<BareJid>) {
    let mut map = KeyedMap::new(HashKey { k0: 1, k1: 2 });
    let jids: Vec<BareJid> = (0..100_000)
        .map(|i| BareJid::parse(&format!("montague-{i:08}@localhost")).expect("an address"))
        .collect();
    for (i, jid) in jids.iter().enumerate() {
        map.insert(jid.clone(), UserId(Key { index: i as u32, generation: 1 }));
    }
    (map, jids)
}

fn user_lookup() -> Box<dyn FnMut()> {
    let (map, jids) = users();
    let mut i = 0;
    Box::new(move || {
        i = (i + 7_919) % jids.len();
        black_box(map.get(jids[i].as_str())).expect("it is there");
    })
}

fn user_insert() -> Box<dyn FnMut()> {
    let (mut map, _) = users();
    let jid = BareJid::parse("juliet.capulet@localhost").expect("an address");
    Box::new(move || {
        map.insert(black_box(jid.clone()), UserId(Key { index: 1, generation: 2 }));
        black_box(map.remove(jid.as_str())).expect("it was just entered");
    })
}

const REGISTRY_KEY: HashKey = HashKey { k0: 3, k1: 4 };

fn session(user: &str, priority: i8) -> Change<'_> {
    let (sm, bound) = (Some(SmHash(7)), Hlc(1_763_847_469_000 << 16));
    let resource = "8Z7juWVCmETklq8wDtbLDQ";
    let priority = Some(priority);
    Change::Put(Record { user, resource, priority, carbons: true, sm, worker: WorkerId(1), bound })
}

fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("a name")
}

/// A table that has 100,000 users with one session each at another node.
fn registry() -> (Table, Vec<String>) {
    let mut table = Table::new(REGISTRY_KEY);
    table.seat(NodeId(1), "chat@ch-1.example.net");
    let users: Vec<String> = (0..100_000).map(|i| format!("user{i}@localhost")).collect();
    for user in &users {
        table.apply(NodeId(1), &session(user, 0)).expect("they are few");
    }
    (table, users)
}

fn registry_update() -> Box<dyn FnMut()> {
    let (mut table, users) = registry();
    let (life, version) = (Incarnation(1), Versions::OURS.max);
    let mut log = Log::new(&node("chat@ch-1.example.net"), life, REGISTRY_KEY);
    for user in &users {
        log.handle(LogInput::Changed(session(user, 0)));
    }
    let mut replica = Replica::new(life, version);
    for to in [NodeId(1), NodeId(2)] {
        log.handle(LogInput::Fresh { node: to, version });
        while log.wants_room(to) {
            log.handle(LogInput::Room(to));
            let Some(LogOutput::Send { kind, body, .. }) = log.poll_output() else { unreachable!("a part") };
            if to == NodeId(1) {
                replica.receive(kind, &body).expect("our own bytes");
            }
        }
    }
    let (mut i, mut round) = (0, 0);
    Box::new(move || {
        i = (i + 7_919) % users.len();
        round += 1;
        // Another priority than in the round before, when all had their turn.
        let priority = 1 + (round / users.len() % 2) as i8;
        log.handle(LogInput::Changed(session(black_box(&users[i]), priority)));
        log.handle(LogInput::Flush);
        while let Some(output) = log.poll_output() {
            let LogOutput::Send { to: NodeId(1), kind, body } = output else { continue };
            let Ok(Received::Changes { changes, .. }) = replica.receive(kind, &body) else {
                unreachable!("whole")
            };
            for change in changes {
                assert!(table.apply(NodeId(1), &change).is_ok_and(|applied| applied.changed));
            }
        }
    })
}

fn registry_lookup() -> Box<dyn FnMut()> {
    let (table, users) = registry();
    let mut i = 0;
    Box::new(move || {
        i = (i + 7_919) % users.len();
        assert_eq!(table.of(black_box(&users[i])).count(), 1);
    })
}
