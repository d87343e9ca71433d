//! What scripts cannot say: sizes, stale ids, answers nobody waits for.

use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::*;
use crate::base::{HashKey, Key, RequestId, Span, Utc, WorkerId};
use crate::effect::{AccountDone, AccountError, Domain, Promise, SettleTo, StoreDone, Wires};
use crate::sasl::{Mechanism, payload};
use crate::session::{Listener, Session};
use crate::user::{Resource, User};

fn engine() -> Engine {
    let domain = Domain { plaintext: true, ..Domain::new("localhost") };
    let settings = Settings::new(vec![domain], HashKey { k0: 1, k1: 2 }, [3; 16]);
    Engine::new(settings, [4; 32], Vec::new())
}

fn conn(index: u32, generation: u32) -> ConnId {
    ConnId(Key { index, generation })
}

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn at(seconds: u64) -> Now {
    Now { mono: Mono(0) + Span::secs(seconds), utc: Utc(1_780_000_000_000) }
}

#[test]
fn what_exists_once_per_session_stays_small() {
    assert!(size_of::<Output>() <= 64, "{}", size_of::<Output>());
    assert!(size_of::<Session>() <= 512, "{}", size_of::<Session>());
    assert!(size_of::<Resource>() <= 256, "{}", size_of::<Resource>());
    assert!(size_of::<User>() <= 512, "{}", size_of::<User>());
}

#[test]
fn ids_of_the_past_change_nothing() {
    let mut engine = engine();
    engine.handle(at(1), Input::Accepted { conn: conn(0, 1), listener: Listener::Clients, peer: PEER });
    engine.handle(at(1), Input::Closed { conn: conn(0, 1) });
    assert!(matches!(engine.poll_output(), Some(Output::Close { conn: c }) if c == conn(0, 1)));
    engine.handle(at(1), Input::Accepted { conn: conn(0, 2), listener: Listener::Clients, peer: PEER });
    engine.handle(at(1), Input::Received { conn: conn(0, 1), bytes: b"<nonsense" });
    engine.handle(at(1), Input::Closed { conn: conn(0, 1) });
    engine.sent(at(1), conn(0, 1), 10);
    assert!(engine.poll_output().is_none());
    assert_eq!(engine.census().connections, 1);
}

#[test]
fn answers_nobody_waits_for_change_nothing() {
    let mut engine = engine();
    engine.handle(at(1), Input::Stored { id: RequestId(7), result: Ok(StoreDone::Done) });
    engine.handle(at(1), Input::Account { id: RequestId(8), result: Err(AccountError::Refused) });
    assert!(engine.poll_output().is_none());
    assert_eq!(engine.census(), Census::default());
}

#[test]
fn a_connection_that_says_nothing_costs_nothing_when_it_is_gone() {
    let mut engine = engine();
    for i in 0..100 {
        engine.handle(at(1), Input::Accepted { conn: conn(i, 1), listener: Listener::Clients, peer: PEER });
    }
    assert_eq!(engine.census().connections, 100);
    let (deadline, why) = engine.poll_timeout().expect("a negotiation has a deadline");
    assert!(deadline <= at(32).mono, "{why}");
    engine.handle(at(32), Input::Tick);
    // Nobody reads what they are told; after the patience of closing they are gone all the same.
    engine.handle(at(40), Input::Tick);
    while engine.poll_output().is_some() {}
    assert_eq!(engine.census(), Census::default());
    assert_eq!(engine.poll_timeout(), None);
}

#[test]
fn a_promise_cut_in_the_middle_comes_back_whole() {
    let mut wires = Wires::new(1 << 20);
    let mut outputs = Default::default();
    let c = conn(0, 1);
    wires.open(c);
    let settle = SettleTo::Client {
        worker: WorkerId(0),
        user: UserId(Key { index: 0, generation: 1 }),
        resource: ResourceId(1),
        seq: 1,
    };
    let promise =
        Promise { id: crate::base::MsgId(1), at: Utc(5), settle: Some(settle), row: false, shared: false };
    wires.write(c, b"<before/>");
    assert!(wires.promise(c, b"<first/>", promise));
    wires.write(c, b"<between/>");
    assert!(wires.promise(c, b"<second/>", Promise { id: crate::base::MsgId(2), ..promise }));
    let mut settled = 0;
    wires.sent(c, 9 + 8 + 3, &mut outputs, |_| settled += 1);
    assert_eq!(settled, 1, "the first is written");
    wires.sent(c, 7 + 4, &mut outputs, |_| settled += 1);
    assert_eq!(settled, 1, "the second is not, but for four bytes");
    let mut slices: [&[u8]; 4] = [&[]; 4];
    let n = wires.outgoing(c, &mut slices);
    assert_eq!(slices[..n].concat(), b"ond/>", "what was sent is not sent again");
    let lost = wires.close(c);
    assert_eq!(lost.len(), 1);
    assert_eq!((lost[0].0.id, &lost[0].1[..]), (crate::base::MsgId(2), &b"<second/>"[..]));
    assert_eq!(wires.pool().lent(), 0);
}

/// A client logs in at worker 0 of two, and its home is worker 1; what it was told has been sent.
fn logs_in_elsewhere(engine: &mut Engine, conn: ConnId) {
    let user = ["a", "b", "c", "d", "e", "f", "g"]
        .map(|name| format!("{name}@localhost"))
        .into_iter()
        .find(|user| engine.settings().home(user) == WorkerId(1))
        .expect("one of them lives there");
    engine.handle(at(1), Input::Accepted { conn, listener: Listener::Clients, peer: PEER });
    let plain = payload::encode(format!("\0{}\0p", user.trim_end_matches("@localhost")).as_bytes());
    let text = format!(
        "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>\
         <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
    );
    engine.handle(at(1), Input::Received { conn, bytes: text.as_bytes() });
    while let Some(output) = engine.poll_output() {
        if let Output::Account { id, .. } = output {
            engine.handle(at(1), Input::Account { id, result: Ok(AccountDone::Accepted) });
        }
    }
    assert!(engine.take(conn).is_none(), "what it was told has not been sent");
    engine.sent(at(1), conn, usize::MAX);
}

#[test]
fn a_connection_that_broke_on_its_way_is_not_taken() {
    let domain = Domain { plaintext: true, ..Domain::new("localhost") };
    let mut settings = Settings::new(vec![domain], HashKey { k0: 1, k1: 2 }, [3; 16]);
    settings.workers = 2;
    let mut engine = Engine::new(settings, [4; 32], Vec::new());
    for broken in [false, true] {
        let conn = conn(0, 1 + u32::from(broken));
        logs_in_elsewhere(&mut engine, conn);
        if broken {
            engine.handle(at(1), Input::Closed { conn });
        }
        let moves = engine.poll_output();
        assert!(matches!(moves, Some(Output::HandOver { conn: c, worker: WorkerId(1) }) if c == conn));
        assert_eq!(engine.take(conn).is_some(), !broken);
        assert!(engine.take(conn).is_none() && engine.poll_output().is_none());
        assert_eq!(engine.census(), Census::default());
    }
}

#[test]
fn other_mechanisms_are_offered_from_now_on() {
    let mut engine = engine();
    let mut offered = |index, mechanisms: Option<Vec<Mechanism>>| {
        if let Some(mechanisms) = mechanisms {
            let offer = Command::Offer { domain: "localhost".to_owned(), mechanisms };
            engine.handle(at(0), Input::Command(offer));
        }
        let conn = conn(index, 0);
        engine.handle(at(0), Input::Accepted { conn, listener: Listener::Clients, peer: PEER });
        let open = b"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                     xmlns:stream='http://etherx.jabber.org/streams'>";
        engine.handle(at(0), Input::Received { conn, bytes: open });
        let mut slices: [&[u8]; 16] = [&[]; 16];
        let n = engine.outgoing(conn, &mut slices);
        String::from_utf8_lossy(&slices[..n].concat()).matches("SCRAM-SHA-512").count()
    };
    assert_eq!(offered(0, None), 1);
    assert_eq!(offered(1, Some(vec![Mechanism::ScramSha1, Mechanism::Plain])), 0);
    assert_eq!(offered(2, Some(vec![Mechanism::ScramSha512])), 1);
}

#[test]
fn a_stanza_of_the_embedder_must_be_one() {
    let mut engine = engine();
    for (stanza, reason) in [
        ("<message from='a@localhost' to='b@localhost'/><x/>", "not exactly one element"),
        ("<message to='b@localhost'/>", "it has no 'from'"),
        (
            "<message from='a@elsewhere' to='b@localhost'/>",
            "its 'from' is of a domain that is not served here",
        ),
        ("<x from='a@localhost' to='b@localhost'/>", "neither a message nor a presence nor an iq"),
    ] {
        let stanza: Arc<[u8]> = stanza.as_bytes().into();
        engine.handle(at(1), Input::Command(Command::Send { stanza }));
        let Some(Output::Event(event)) = engine.poll_output() else { panic!("no event for {reason}") };
        assert_eq!(*event, crate::effect::Event::BadSend { reason });
    }
}
