//! What a session costs: 10,000 clients in one engine, each with presence.

use chat_core::base::Span;

use chat_micro::meter::Mark;
use chat_micro::rig::Rig;

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

fn name(i: usize) -> String {
    format!("user-{i:06}")
}

/// Ten neighbours: everybody is in the rosters of those in whose rosters they are.
fn neighbours(user: &str) -> Vec<String> {
    let i: usize = user.trim_start_matches("user-").parse().expect("a number");
    let group = i / 11 * 11;
    (group..group + 11).filter(|n| *n != i).map(name).collect()
}

#[test]
fn without_roster() {
    assert!(bytes_per_session("without roster", |_| Vec::new(), false) <= 2048);
}

#[test]
fn with_a_roster_of_ten() {
    assert!(bytes_per_session("with a roster of 10", neighbours, false) <= 3072);
}

#[test]
fn with_a_roster_of_ten_and_stream_management() {
    assert!(bytes_per_session("with a roster of 10 and stream management", neighbours, true) <= 3072);
}
