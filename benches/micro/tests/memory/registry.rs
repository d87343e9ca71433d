//! What the registry costs: 100,000 sessions of another node.

use chat_core::base::{HashKey, Hlc, NodeId, Rng, WorkerId};
use chat_core::route::registry::{Change, Record, SmHash, Table};

use chat_micro::meter::Mark;

const SESSIONS: u64 = 100_000;

fn session<'a>(user: &'a str, resource: &'a str, i: u64) -> Record<'a> {
    let (sm, bound) = (Some(SmHash(i as u32)), Hlc(1_763_847_469_000 << 16 | i));
    Record { user, resource, priority: Some(0), carbons: true, sm, worker: WorkerId(1), bound }
}

/// Names as services have them, resources as this server makes them.
fn table() -> (Table, Vec<(String, String)>) {
    let mut rng = Rng::from_u64(1);
    let names: Vec<_> =
        (0..SESSIONS).map(|i| (format!("user{i:07}@chat.example.net"), rng.token().to_string())).collect();
    let mut table = Table::new(HashKey { k0: 1, k1: 2 });
    table.seat(NodeId(1), "chat@ch-1.example.net");
    (table, names)
}

/// 80 bytes are budgeted, and a tenth of all for the allocator.
#[test]
fn a_session_of_another_node() {
    let (mut table, names) = table();
    let mark = Mark::here();
    for (i, (user, resource)) in (0..).zip(&names) {
        table.apply(NodeId(1), &Change::Put(session(user, resource, i))).expect("within the limits");
    }
    let (asked, heap) = (mark.held() / SESSIONS as i64, mark.heap() / SESSIONS as i64);
    println!("a session of another node: {asked} bytes, {heap} with what the allocator adds");
    assert!(asked <= 82 && heap <= 92, "{asked}, {heap}");
    // What went leaves the places in the list behind, for those who come.
    for (user, resource) in &names {
        table.apply(NodeId(1), &Change::Remove { user, resource }).expect("a removal is never refused");
    }
    let left = mark.heap() / SESSIONS as i64;
    assert!(table.is_empty() && left <= 24, "{left}");
}

#[test]
fn lookups_allocate_nothing_and_changes_once() {
    let (mut table, names) = table();
    for (i, (user, resource)) in (0..).zip(&names[..1000]) {
        table.apply(NodeId(1), &Change::Put(session(user, resource, i))).expect("within the limits");
    }
    let mark = Mark::here();
    for (user, resource) in &names[..1000] {
        assert_eq!(table.of(user).count(), 1);
        assert!(table.get(user, resource).is_some_and(|e| e.node == NodeId(1)));
        assert!(table.resumable(user, SmHash(u32::MAX)).is_none());
    }
    assert_eq!(mark.allocations(), 0);
    for (i, (user, resource)) in (0..).zip(&names[..1000]) {
        let moved = Record { priority: None, ..session(user, resource, i) };
        assert!(table.apply(NodeId(1), &Change::Put(moved)).expect("it is there").changed);
        assert!(!table.apply(NodeId(1), &Change::Put(moved)).expect("it is there").changed);
    }
    assert_eq!(mark.allocations(), 1000);
}
