//! The bytes of every message, as they go out in each version. Nodes of two releases talk to each other while a cluster is
//! replaced: whoever changes a line of `golden_1.txt` or its like breaks them. A new version has a new file; new lines are
//! welcome.

use std::fmt::Write as _;

use super::*;
use crate::base::{HashKey, MsgId, Span, Utc, WorkerId};
use crate::cluster::identity::{BootId, Identity, Incarnation, NodeName};
use crate::effect::{Copied, Keeper, NotGiven, Queued, SessionState, SmHash, SmId};

const GOLDEN: [(u16, &str); 2] = [(1, include_str!("golden_1.txt")), (2, include_str!("golden_2.txt"))];

fn node() -> NodeName {
    NodeName::parse("chat@ch-prod-3.example.net").unwrap()
}

fn framed(kind: Kind, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (mut body, mut out) = (Vec::new(), Vec::new());
    write(&mut body);
    write_frame(&mut out, kind, kind.is_numbered().then_some(300), &body);
    out
}

fn greetings() -> Vec<(&'static str, Vec<u8>)> {
    let identity = Identity {
        name: node(),
        incarnation: Incarnation(1_763_847_469_000),
        boot: BootId(*b"0123456789abcdef"),
    };
    let hello = Hello { versions: Versions { min: 1, max: 2 }, identity, cluster: "prod".into() };
    let mut all = vec![
        ("hello", framed(Kind::Hello, |out| hello.write(out))),
        ("proof by certificate", framed(Kind::Proof, |out| Proof(&[]).write(out))),
        ("proof of one secret", framed(Kind::Proof, |out| Proof(&[[1; 32]]).write(out))),
        ("proof of two secrets", framed(Kind::Proof, |out| Proof(&[[1; 32], [2; 32]]).write(out))),
    ];
    for (name, refusal) in refusals() {
        all.push((name, framed(Kind::Refuse, |out| refusal.write(out))));
    }
    all
}

fn refusals() -> [(&'static str, Refusal); 12] {
    [
        ("refusal: secret", Refusal::Secret),
        ("refusal: method", Refusal::Method),
        ("refusal: versions", Refusal::Versions(Versions { min: 2, max: 300 })),
        ("refusal: cluster", Refusal::Cluster),
        ("refusal: name taken", Refusal::NameTaken(Incarnation(1_763_847_469_000))),
        ("refusal: itself", Refusal::Itself),
        ("refusal: stale", Refusal::Stale(Incarnation(1_763_847_469_001))),
        ("refusal: name", Refusal::Name),
        ("refusal: malformed", Refusal::Malformed),
        ("refusal: late", Refusal::Late),
        ("refusal: busy", Refusal::Busy),
        ("refusal: unwanted", Refusal::Unwanted),
    ]
}

fn controls(version: u16) -> Vec<(&'static str, Vec<u8>)> {
    let join = Join {
        turn: 3,
        epoch: 0x0123_4567_89ab_cdef_0011_2233_4455_6677,
        earlier: 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100,
        intact: true,
        acked: 127,
        last: 128,
        received: 99,
        proposal: 0x0102_0304_0506_0708,
    };
    [
        ("join", Control::Join(join)),
        (
            "first join",
            Control::Join(Join { turn: 1, epoch: 0, earlier: 0, intact: false, acked: 0, last: 0, ..join }),
        ),
        ("receipt", Control::Receipt(16_384)),
        ("ping", Control::Ping(1)),
        ("pong", Control::Pong(1)),
        ("bye: leaving", Control::Bye(Bye::Leaving)),
        ("bye: duplicate", Control::Bye(Bye::Duplicate)),
        ("bye: fault", Control::Bye(Bye::Fault)),
        ("bye: silent", Control::Bye(Bye::Silent)),
        ("bye: reset", Control::Bye(Bye::Reset)),
        ("bye: refused", Control::Bye(Bye::Refused(Refusal::NameTaken(Incarnation(7))))),
    ]
    .map(|(name, control)| (name, framed(control.kind(), |out| control.write(out, version))))
    .to_vec()
}

fn envelopes(version: u16) -> Vec<(&'static str, Vec<u8>)> {
    let full = Parcel {
        envelope: 1_000,
        attempt: 2,
        worker: WorkerId(1),
        id: MsgId(0x1a2b_3c4d_0000_0000_0000_0000_0000_0005),
        at: Utc(1_763_847_469_123),
        delayed: true,
        awaited: true,
        from: "juliet@example.net/balcony",
        to: "romeo@example.net",
        targets: Targets("orchard\0garden\0"),
        stanza: "<message from='juliet@example.net/balcony' to='romeo@example.net'/>",
    };
    let probe = Parcel {
        attempt: 1,
        delayed: false,
        awaited: false,
        targets: Targets(""),
        at: Utc(-1),
        stanza: "<presence type='probe' from='juliet@example.net' to='romeo@example.net'/>",
        ..full
    };
    let mut all = vec![
        ("envelope", framed(Kind::Envelope, |out| Envelope(full).write(out, version))),
        ("envelope of a probe", framed(Kind::Envelope, |out| Envelope(probe).write(out, version))),
    ];
    for (name, outcome) in [
        ("result: settled", Outcome::Settled),
        ("result: moved", Outcome::Moved),
        ("result: overloaded", Outcome::Refused(Refused::Overloaded)),
        ("result: not taken", Outcome::Refused(Refused::NotTaken)),
        ("result: stopping", Outcome::Refused(Refused::Stopping)),
        ("result: lost", Outcome::Lost),
    ] {
        let result = EnvelopeResult { envelope: 1_000, outcome };
        all.push((name, framed(Kind::EnvelopeResult, |out| result.write(out, version))));
    }
    if EnvelopeResult::are_many(version) {
        let results = |out: &mut Vec<u8>| {
            EnvelopeResult { envelope: 1_000, outcome: Outcome::Settled }.write(out, version);
            EnvelopeResult { envelope: 7, outcome: Outcome::Moved }.write(out, version);
        };
        all.push(("results", framed(Kind::EnvelopeResult, results)));
    }
    all
}

fn notices(version: u16) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = vec![
        ("poke", framed(Kind::Poke, |out| Poke { user: "romeo@example.net" }.write(out, version))),
        ("draining", framed(Kind::Leaving, |out| Leaving::Draining.write(out, version))),
        ("staying", framed(Kind::Leaving, |out| Leaving::Staying.write(out, version))),
        ("left", framed(Kind::Leaving, |out| Leaving::Left.write(out, version))),
        (
            "status",
            framed(Kind::Status, |out| Status { role: Role::Active, release: "0.1.0" }.write(out, version)),
        ),
        (
            "status: standby",
            framed(Kind::Status, |out| Status { role: Role::Standby, release: "" }.write(out, version)),
        ),
        (
            "user changed",
            framed(Kind::UserChanged, |out| {
                UserChanged { user: "romeo@example.net", roster: 300, blocked: 0 }.write(out, version);
            }),
        ),
    ];
    if version >= Kind::Health.since() {
        for (name, is_ailing) in [("ailing", true), ("well again", false)] {
            all.push((name, framed(Kind::Health, |out| Health { is_ailing }.write(out, version))));
        }
    }
    all
}

/// A session with one of everything.
fn session() -> SessionState {
    let stanza = "<message from='juliet@example.net/balcony' to='romeo@example.net'/>".to_owned();
    let (id, at) = (MsgId(0x1a2b_3c4d_0000_0000_0000_0000_0000_0005), Utc(1_763_847_469_123));
    let queued = |keeper| Queued { stanza: stanza.clone(), copy: Some(Copied { id, at, keeper }) };
    SessionState {
        user: "romeo@example.net".into(),
        resource: "orchard".into(),
        id: "8Z7juWVCmETklq8wDtbLDQ".into(),
        key: HashKey { k0: 0x0102_0304_0506_0708, k1: 0x090a_0b0c_0d0e_0f10 },
        max: Span::secs(600),
        left: Span::millis(599_999),
        received: 7,
        acked: u32::MAX,
        priority: -1,
        interested: true,
        wants_blocked: false,
        carbons: true,
        presence: "<presence from='romeo@example.net/orchard'/>".into(),
        directed: vec!["nurse@example.net".into()],
        queue: vec![
            Queued { stanza: "<iq type='result' id='1'/>".into(), copy: None },
            queued(Keeper::Row),
            queued(Keeper::Other),
            queued(Keeper::Giver(1_000)),
        ],
        recent: vec![MsgId(6), MsgId(7)],
        unsure: None,
    }
}

fn sessions(version: u16) -> Vec<(&'static str, Vec<u8>)> {
    let mut bytes = Vec::new();
    write_session(&session(), &mut bytes, version);
    let part = SessionPart { ask: 500, is_last: true, bytes: &bytes };
    let cut = SessionPart { ask: 500, is_last: false, bytes: b"\x11rom" };
    let user = "romeo@example.net";
    let word = SessionWord { ask: 500, user };
    let ask = SessionAsk { ask: 500, user, id: SmId("8Z7juWVCmETklq8wDtbLDQ"), h: 300 };
    let offer = SessionOffer { offer: 501, user, sm: SmHash(0x0102_0304) };
    let mut all = vec![
        ("session: asked for", framed(Kind::SessionAsk, |out| ask.write(out, version))),
        ("session: a first part", framed(Kind::SessionState, |out| cut.write(out, version))),
        ("session: all of it", framed(Kind::SessionState, |out| part.write(out, version))),
        ("session: installed", framed(Kind::SessionInstalled, |out| word.write(out, version))),
        ("session: released", framed(Kind::SessionRelease, |out| word.write(out, version))),
        ("session: offered", framed(Kind::SessionOffer, |out| offer.write(out, version))),
    ];
    if version >= 2 {
        let mut bytes = Vec::new();
        write_session(&SessionState { unsure: Some(300), ..session() }, &mut bytes, version);
        let unsure = SessionPart { ask: 500, is_last: true, bytes: &bytes };
        all.push(("session: unsure", framed(Kind::SessionState, |out| unsure.write(out, version))));
    }
    for (name, ask) in [("session: offer taken", Some(500)), ("session: offer not taken", None)] {
        let answer = SessionAnswer { offer: 501, ask };
        all.push((name, framed(Kind::SessionAnswer, |out| answer.write(out, version))));
    }
    for (name, why) in [
        ("session refused: unknown", NotGiven::Unknown(None)),
        ("session refused: over", NotGiven::Unknown(Some(300))),
        ("session refused: elsewhere", NotGiven::Elsewhere),
        ("session refused: too high", NotGiven::TooHigh { h: 300, sent: 299 }),
        ("session refused: unable", NotGiven::Unable),
        ("session refused: void", NotGiven::Void),
    ] {
        let refuse = SessionRefuse { ask: 500, why };
        all.push((name, framed(Kind::SessionRefuse, |out| refuse.write(out, version))));
    }
    all
}

#[test]
fn every_message_has_the_bytes_it_always_had() {
    for (version, golden) in GOLDEN {
        let mut text = String::new();
        let all = [greetings(), controls(version), envelopes(version), notices(version), sessions(version)];
        for (name, frame) in all.concat() {
            let hex = frame.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            let _ = writeln!(text, "{name}\n    {hex}");
        }
        assert_eq!(text, golden, "a message of version {version} has changed; what there is now:\n{text}");
    }
}

/// The golden bytes themselves are read, not what this release writes.
#[test]
fn every_golden_message_reads() {
    for (version, golden) in GOLDEN {
        let mut kinds = Vec::new();
        for (name, bytes) in lines(golden) {
            let (frame, taken) = read_frame(&bytes, version, 4096).unwrap().expect("a whole frame");
            assert_eq!(taken, bytes.len(), "{name}");
            let Seen::Known(kind) = frame.seen else { panic!("{name} is known") };
            laws::reads_and_writes_alike(kind, frame.body, version).unwrap_or_else(|e| panic!("{name}: {e}"));
            kinds.push(kind);
        }
        assert!(kinds.contains(&Kind::Hello) && kinds.contains(&Kind::Leaving) && kinds.len() > 30);
    }
    let spoken: Vec<u16> = (Versions::OURS.min..=Versions::OURS.max).collect();
    assert_eq!(GOLDEN.map(|(version, _)| version)[..], spoken, "each version that is spoken has its file");
}

/// A session is not written alike in both: what version 2 added is a fault for version 1, and what is missing for version 2.
#[test]
fn a_session_of_another_version_is_not_mistaken() {
    for (version, other, fault) in [(1, 2, WireFault::Cut), (2, 1, WireFault::Trailing)] {
        let mut bytes = Vec::new();
        write_session(&session(), &mut bytes, version);
        assert_eq!(read_session(&bytes, version), Ok(session()));
        assert_eq!(read_session(&bytes, other), Err(fault), "version {version}");
    }
}

/// The names and bytes of a file.
fn lines(golden: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    let digit = |b: u8| char::from(b).to_digit(16).expect("hexadecimal") as u8;
    let mut lines = golden.lines();
    std::iter::from_fn(move || {
        let (name, hex) = (lines.next()?, lines.next()?.trim().as_bytes());
        Some((name, hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()))
    })
}
