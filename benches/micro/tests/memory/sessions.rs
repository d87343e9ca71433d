//! What a session costs: 10,000 clients in one engine, each with presence.

use chat_core::base::Span;

use chat_micro::meter::Mark;
use chat_micro::rig::{Rig, name, neighbours};
use chat_micro::work::message;

const SESSIONS: usize = 10_000;

/// Bytes of the heap for each session of 10,000 users.
fn bytes_per_session(what: &str, roster: fn(&str) -> Vec<String>, managed: bool) -> i64 {
    let mut rig = Rig::with_rosters(1, SESSIONS, roster);
    // The engine's own tables are not what a session costs.
    let mark = Mark::here();
    for i in 0..SESSIONS {
        let c = rig.login(&name(i), &format!("client-{i:08}"));
        rig.ask_roster(c);
        rig.send(
            c,
            "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' \
            node='https://example.org/client' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>",
        );
    }
    if managed {
        (0..SESSIONS).for_each(|c| rig.manage(c));
    }
    // Whatever was held for the moment is given back.
    rig.pass(Span::secs(70));
    assert_eq!(rig.census().resources, SESSIONS);
    let (asked, heap) = (mark.held() / SESSIONS as i64, mark.heap() / SESSIONS as i64);
    println!("{what}: {asked} bytes for each session, {heap} with what the allocator adds");
    heap
}

// The budgets are 2 KiB without and 3 KiB with a roster; what the driver takes for a connection comes on top.

#[test]
fn without_roster() {
    assert!(bytes_per_session("without roster", |_| Vec::new(), false) <= 1_150);
}

#[test]
fn with_a_roster_of_ten() {
    assert!(bytes_per_session("with a roster of 10", neighbours, false) <= 1_650);
}

#[test]
fn with_a_roster_of_ten_and_stream_management() {
    assert!(bytes_per_session("with a roster of 10 and stream management", neighbours, true) <= 2_050);
}

/// A session that has talked and is at rest owns no more than one that never has: no buffer, no queue.
fn grown_by_talking(managed: [bool; 2]) -> i64 {
    const PAIRS: usize = 500;
    let mut rig = Rig::new(1, 2 * PAIRS);
    let clients: Vec<usize> = (0..2 * PAIRS).map(|i| rig.available(&name(i), "client")).collect();
    for pair in clients.chunks(2) {
        for (c, managed) in pair.iter().zip(managed) {
            if managed {
                rig.manage(*c);
            }
        }
    }
    rig.pass(Span::secs(70));
    let mark = Mark::here();
    for pair in clients.chunks(2) {
        // To the bare address and to the full one.
        for to in [format!("{}@localhost", name(pair[1])), format!("{}@localhost/client", name(pair[1]))] {
            (0..20).for_each(|_| rig.send(pair[0], &message(&to, 300)));
        }
        if managed[1] {
            rig.send(pair[1], "<a xmlns='urn:xmpp:sm:3' h='40'/>");
        }
    }
    rig.pass(Span::secs(70));
    let heap = mark.heap() / (2 * PAIRS) as i64;
    println!("managed {managed:?}: {heap} bytes more for each session");
    heap
}

#[test]
fn talking_leaves_nothing_behind() {
    // The pools of the engine keep what one session at a time has used, and share it; and the table of timers is as
    // long as it ever was.
    for managed in [[false, false], [true, false], [false, true], [true, true]] {
        assert!(grown_by_talking(managed) <= 64);
    }
}
