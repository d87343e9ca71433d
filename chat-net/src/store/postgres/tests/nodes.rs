//! Several nodes on one database.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;

use chat_core::effect::{SpoolSeq, StoreDone, StoreError};

use super::*;
use crate::store::conformance::{jid, put, roster};
use crate::store::{AccountsDone, AccountsError, Credentials};

/// A row that becomes visible after one with a higher number would be missed by whoever reads on behind that.
#[test]
fn rows_of_two_nodes_become_visible_in_the_order_of_their_numbers() {
    const ROWS: u128 = 400;
    let url = server().database();
    let stores = [open(options(&url)), open(options(&url)), open(options(&url))];
    let [one, two, reader] = [&stores[0], &stores[1], &stores[2]].map(bench);
    let juliet = jid("juliet@example.org");
    thread::scope(|scope| {
        for (node, bench) in [one, two].into_iter().enumerate() {
            let juliet = &juliet;
            scope.spawn(move || {
                // Others in the same transactions, in another order on each node.
                let others: Vec<_> = (0..10).map(|n| jid(&format!("user{n}@example.org"))).collect();
                let mut asked = Vec::new();
                for n in 0..ROWS {
                    let other = &others[(n as usize * if node == 0 { 1 } else { 9 }) % 10];
                    asked.push(bench.begin(put(other, n << 1 | node as u128, b"m")));
                    asked.push(bench.begin(put(juliet, n << 1 | node as u128, b"m")));
                    if n % 7 == 0 {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                for id in asked {
                    assert!(matches!(bench.collect.wait(id), Ok(StoreDone::Done)));
                }
            });
        }
        let (mut after, mut seen) = (SpoolSeq(0), Vec::new());
        let begun = Instant::now();
        while (seen.len() as u128) < 2 * ROWS {
            assert!(begun.elapsed() < Duration::from_secs(20), "only {} rows", seen.len());
            let page = reader.read(&juliet, after, 50, u32::MAX);
            after = page.last().map_or(after, |(last, _)| *last);
            seen.extend(page.into_iter().map(|(_, row)| row.id.0));
        }
        for node in 0..2 {
            assert!(seen.iter().filter(|id| **id & 1 == node).is_sorted(), "the order of node {node}");
        }
    });
    assert!(stores.iter().all(|store| !store.shared.outage.is_on()), "no deadlock, no timeout");
}

#[test]
fn the_same_message_from_two_nodes_is_one_row() {
    let url = server().database();
    let stores = [open(options(&url)), open(options(&url))];
    let benches = [bench(&stores[0]), bench(&stores[1])];
    let juliet = jid("juliet@example.org");
    for id in 0..100 {
        let asked = [0, 1].map(|node| benches[node].begin(put(&juliet, id, b"m")));
        for (node, id) in asked.into_iter().enumerate() {
            assert!(matches!(benches[node].collect.wait(id), Ok(StoreDone::Done)));
        }
    }
    assert_eq!(benches[0].spooled(&juliet), (0..100).collect::<Vec<_>>());
}

#[test]
fn of_two_nodes_that_change_a_roster_one_is_told() {
    let url = server().database();
    let stores = [open(options(&url)), open(options(&url))];
    let benches = [bench(&stores[0]), bench(&stores[1])];
    let juliet = jid("juliet@example.org");
    for version in 0..50 {
        let asked = [0, 1].map(|node| benches[node].begin(roster(&juliet, version, &[node as u8])));
        let results: Vec<_> = (0..2).map(|node| benches[node].collect.wait(asked[node])).collect();
        let done = results.iter().filter(|result| matches!(result, Ok(StoreDone::Done))).count();
        let conflicts = results.iter().filter(|result| matches!(result, Err(StoreError::Conflict))).count();
        assert_eq!((done, conflicts), (1, 1), "{results:?}");
        assert_eq!(benches[1].load(&juliet).roster.0, version + 1);
    }
}

#[test]
fn users_are_made_and_removed_by_two_nodes_at_once() {
    let url = server().database();
    let stores = [open(options(&url)), open(options(&url))];
    thread::scope(|scope| {
        for store in &stores {
            scope.spawn(move || {
                let bench = bench(store);
                let mut asked = Vec::new();
                for n in 0..300u128 {
                    let user = jid(&format!("user{}@example.org", n % 3));
                    asked.push(bench.begin(put(&user, n, b"m")));
                    asked.push(bench.begin(StoreOp::RemoveUser { user: user.clone() }));
                    asked.push(bench.begin(StoreOp::Touch { user }));
                }
                for id in asked {
                    let result = bench.collect.wait_for(id, Duration::from_secs(30)).expect("an answer");
                    assert!(matches!(result, Ok(StoreDone::Done)), "{result:?}");
                }
            });
        }
    });
    let bench = bench(&stores[0]);
    for n in 0..3 {
        let user = jid(&format!("user{n}@example.org"));
        bench.done(StoreOp::RemoveUser { user: user.clone() });
        assert_eq!(bench.load(&user), chat_core::effect::Loaded::default());
    }
    let left = "SELECT (SELECT count(*) FROM chat_user) + (SELECT count(*) FROM chat_spool)";
    assert_eq!(server().sql(&url, left), "0", "nothing without its user");
}

#[test]
fn a_purge_by_another_process_is_noticed_within_a_second() {
    let url = server().database();
    let command = open(Options::shared(&url).expect("a URL"));
    let add = |name: &str| {
        let insert = AccountsOp::Insert { user: jid(name), credentials: Credentials::default() };
        assert_eq!(command.call(insert), Ok(AccountsDone::Done));
    };
    let purge = |name: &str| command.call(AccountsOp::Purge { user: jid(name) });
    add("old@example.org");
    assert_eq!(purge("old@example.org"), Ok(AccountsDone::Done));

    let servers = [open(options(&url)), open(options(&url))];
    let (send, receive) = mpsc::channel();
    for server in &servers {
        let send = send.clone();
        server.on_account_removed(Arc::new(move |user| send.send(user.clone()).expect("the test listens")));
    }
    for name in ["juliet@example.org", "romeo@example.org"] {
        add(name);
        assert_eq!(purge(name), Ok(AccountsDone::Done));
        for _ in &servers {
            assert_eq!(receive.recv_timeout(Duration::from_secs(2)), Ok(jid(name)), "both are told");
        }
    }
    let nobody = servers[0].call(AccountsOp::Purge { user: jid("nobody@example.org") });
    assert_eq!(nobody, Err(AccountsError::NoSuchUser));
    assert!(receive.recv_timeout(Duration::from_millis(700)).is_err(), "each is told once");
}

#[test]
fn nodes_of_two_versions_start_together() {
    static NEWER: [Migration; 2] = [
        Migration { version: 1, needs: 1, sql: include_str!("../schema/0001.sql") },
        Migration { version: 2, needs: 1, sql: "ALTER TABLE chat_user ADD COLUMN hat TEXT" },
    ];
    for _ in 0..3 {
        let url = server().database();
        let start = std::sync::Barrier::new(6);
        let stores: Vec<_> = thread::scope(|scope| {
            let nodes: Vec<_> = (0..6)
                .map(|n| {
                    let migrations: &[_] = if n % 2 == 0 { &NEWER } else { &schema::MIGRATIONS };
                    let options = Options { migrations, ..options(&url) };
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        open(options)
                    })
                })
                .collect();
            nodes.into_iter().map(|node| node.join().expect("it starts")).collect()
        });
        let names: BTreeSet<_> = (0..stores.len()).map(|n| format!("user{n}@example.org")).collect();
        for (store, name) in stores.iter().zip(&names) {
            bench(store).done(put(&jid(name), 1, b"m"));
        }
        assert_eq!(server().sql(&url, "SELECT count(*), max(version) FROM chat_schema"), "2|2");
    }
}
