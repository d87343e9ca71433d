//! A database that restarts, breaks connections, is away, is slow, refuses writes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use chat_core::effect::{SpoolSeq, StoreDone, StoreError, StoreResult};

use super::*;
use crate::store::conformance::{Collect, jid, put, roster};
use crate::store::{AccountsDone, AccountsError, Credentials};

/// Users that are written to at the same time.
const USERS: usize = 5;

fn is_done(result: &StoreResult) -> bool {
    matches!(result, Ok(StoreDone::Done))
}

fn is(result: &StoreResult, error: StoreError) -> bool {
    matches!(result, Err(other) if *other == error)
}

fn user(n: usize) -> chat_core::jid::BareJid {
    jid(&format!("user{n}@example.org"))
}

/// Writes rows, one behind the other, while `trouble` happens, and to the end of it; then everything that was confirmed
/// must be there, in order. Returns how many rows were confirmed.
fn write_during(bench: &Bench, trouble: impl FnOnce() + Send) -> usize {
    let over = AtomicBool::new(false);
    let mut asked = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            trouble();
            over.store(true, Ordering::Relaxed);
        });
        for n in 0.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            asked.push((n, bench.begin(put(&user(n % USERS), n as u128, b"<message/>"))));
            if n % 5 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
        }
    });
    let mut confirmed = vec![Vec::new(); USERS];
    for (n, id) in asked {
        let result = bench.collect.wait_for(id, Duration::from_secs(30)).expect("an answer");
        // Rows may be refused while the queue is full, but what the store has taken it carries out.
        match result {
            Ok(_) => confirmed[n % USERS].push(n as u128),
            Err(error) => assert_eq!(error, StoreError::Overloaded, "{n}"),
        }
    }
    for (n, expected) in confirmed.iter().enumerate() {
        assert_eq!(&bench.spooled(&user(n)), expected, "user {n}");
    }
    confirmed.iter().map(Vec::len).sum()
}

#[test]
fn a_restart_in_the_middle_of_writes_loses_and_reorders_nothing() {
    // Here the disk counts.
    let server = Private::start_with(&[]);
    for mode in ["fast", "immediate"] {
        let store = open(options(&server.database()));
        let bench = bench(&store);
        let rows = write_during(&bench, || {
            for _ in 0..2 {
                thread::sleep(Duration::from_millis(200));
                server.stop(mode);
                thread::sleep(Duration::from_millis(100));
                server.start_again();
            }
            thread::sleep(Duration::from_millis(200));
        });
        assert!(rows > 100, "{mode}: {rows} rows");
        soon("health", || store.healthy() && !store.shared.outage.is_on());
        store.close();
    }
}

#[test]
fn broken_connections_are_replaced_and_nothing_is_lost() {
    let url = server().database();
    let store = open(options(&url));
    let bench = bench(&store);
    let rows = write_during(&bench, || {
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(50));
            let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
            server().sql(&url, kill);
        }
    });
    assert!(rows > 100, "{rows} rows");
    assert!(store.healthy(), "nobody is sent elsewhere for that");
}

#[test]
fn what_is_asked_while_the_database_is_away_is_done_when_it_is_back() {
    let server = Private::start();
    let store = open(options(&server.database()));
    let bench = bench(&store);
    let juliet = jid("juliet@example.org");
    bench.done(roster(&juliet, 0, b"one"));
    server.stop("fast");
    let asked = [
        bench.begin(put(&juliet, 1, b"m")),
        bench.begin(roster(&juliet, 1, b"two")),
        bench.begin(put(&jid("romeo@example.org"), 1, b"m")),
        bench.begin(StoreOp::LoadUser { user: juliet.clone() }),
        bench.begin(StoreOp::LoadUser { user: jid("tybalt@example.org") }),
    ];
    soon("bad health", || !store.healthy());
    let answered = asked.iter().any(|id| bench.collect.wait_for(*id, Duration::ZERO).is_some());
    assert!(!answered, "they wait");
    server.start_again();
    let results = asked.map(|id| bench.collect.wait(id));
    assert!(results[..3].iter().all(is_done), "{results:?}");
    let Ok(StoreDone::User(loaded)) = &results[3] else { panic!("{results:?}") };
    assert_eq!((loaded.roster.0, loaded.spooled), (2, 1), "it sees what was asked before it");
    assert!(matches!(results[4], Ok(StoreDone::User(_))));
    soon("health", || store.healthy());
}

#[test]
fn after_some_time_operations_are_refused_until_it_is_back() {
    let server = Private::start();
    let store = open(Options { patience: Duration::from_secs(1), ..options(&server.database()) });
    let bench = bench(&store);
    let juliet = jid("juliet@example.org");
    bench.done(roster(&juliet, 0, b"one"));
    server.stop("immediate");
    assert!(is(&bench.ask(put(&juliet, 1, b"m")), StoreError::Unavailable));
    let begun = Instant::now();
    assert!(is(&bench.ask(put(&juliet, 2, b"m")), StoreError::Unavailable));
    let load = bench.ask(StoreOp::LoadUser { user: juliet.clone() });
    assert!(is(&load, StoreError::Unavailable));
    let get = store.call(AccountsOp::Get { user: juliet.clone() });
    assert_eq!(get, Err(AccountsError::Store(StoreError::Unavailable)));
    assert!(begun.elapsed() < Duration::from_secs(1), "nobody waits any more");
    soon("bad health", || !store.healthy());
    server.start_again();
    // By itself: nobody asks for anything.
    soon("health", || store.healthy());
    bench.done(put(&juliet, 3, b"m"));
    let ids = bench.spooled(&juliet);
    assert_eq!(ids, [3], "what was refused is not there");
}

/// Holds all users' rows for two seconds.
fn hold<'scope>(scope: &'scope thread::Scope<'scope, '_>, url: &'scope str) {
    let name = url.rsplit('/').next().expect("a name");
    scope.spawn(move || server().sql(url, "BEGIN; LOCK TABLE chat_user; SELECT pg_sleep(2)"));
    let held = format!(
        "SELECT count(*) FROM pg_locks WHERE relation = 'chat_user'::regclass AND mode = 'AccessExclusiveLock'
            AND granted AND database = (SELECT oid FROM pg_database WHERE datname = '{name}')"
    );
    soon("the lock", || server().sql(url, &held) == "1");
}

#[test]
fn a_full_queue_answers_at_once() {
    let url = server().database();
    let store = open(Options { unanswered_max: 10, connections: 1, ..options(&url) });
    let bench = bench(&store);
    let juliet = jid("juliet@example.org");
    thread::scope(|scope| {
        hold(scope, &url);
        let sink: Arc<dyn StoreSink> = bench.collect.clone();
        for id in 0..10 {
            let op = Arc::new(put(&juliet, id, b"m"));
            bench.store.submit(RequestId(1_000 + id as u64), op.clone(), &sink);
            // The engine asks again when an answer is late: that takes no room.
            bench.store.submit(RequestId(1_000 + id as u64), op, &sink);
        }
        let begun = Instant::now();
        assert!(is(&bench.ask(put(&juliet, 10, b"m")), StoreError::Overloaded));
        let full = store.call(AccountsOp::Get { user: juliet.clone() });
        assert_eq!(full, Err(AccountsError::Store(StoreError::Overloaded)));
        assert!(begun.elapsed() < Duration::from_secs(1), "at once");
    });
    for id in 0..10 {
        assert!(is_done(&bench.collect.wait(RequestId(1_000 + id))));
    }
    assert_eq!(bench.spooled(&juliet), (0..10).collect::<Vec<_>>());
}

#[test]
fn bytes_are_bounded_too() {
    let url = server().database();
    let store = open(Options { unanswered_bytes_max: 100_000, ..options(&url) });
    let bench = bench(&store);
    let juliet = jid("juliet@example.org");
    thread::scope(|scope| {
        hold(scope, &url);
        let first = bench.begin(put(&juliet, 1, &[0; 60_000]));
        assert!(is(&bench.ask(put(&juliet, 2, &[0; 60_000])), StoreError::Overloaded));
        let small = bench.begin(put(&juliet, 3, &[0; 1_000]));
        assert!(is_done(&bench.collect.wait(first)));
        assert!(is_done(&bench.collect.wait(small)));
    });
    bench.done(put(&juliet, 4, &[0; 500_000]));
}

#[test]
fn when_nothing_can_be_written_reads_go_on() {
    let url = server().database();
    let store = open(Options { patience: Duration::from_millis(500), ..options(&url) });
    let bench = bench(&store);
    let juliet = jid("juliet@example.org");
    bench.done(roster(&juliet, 0, b"one"));
    let name = url.rsplit('/').next().expect("a name");
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    server().sql(&url, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    server().sql(&url, kill);
    assert!(is(&bench.ask(roster(&juliet, 1, b"two")), StoreError::Unavailable));
    assert_eq!(bench.load(&juliet).roster.0, 1);
    soon("bad health", || !store.healthy());
    assert_eq!(bench.load(&juliet).roster.0, 1, "logins of known users go on");
    server().sql("postgres", &format!("ALTER DATABASE {name} RESET default_transaction_read_only"));
    server().sql(&url, kill);
    soon("health", || store.healthy());
    bench.done(roster(&juliet, 1, b"two"));
}

#[test]
fn one_bad_operation_does_not_fail_the_others() {
    let url = server().database();
    let store = open(Options { connections: 1, ..options(&url) });
    let bench = bench(&store);
    server().sql(&url, "ALTER TABLE chat_spool ADD CHECK (octet_length(stanza) < 100)");
    let mut asked = Vec::new();
    thread::scope(|scope| {
        hold(scope, &url);
        // One batch, as they wait for the same connection.
        asked.push(bench.begin(StoreOp::Touch { user: jid("first@example.org") }));
        for n in 0..5 {
            let stanza = vec![b'm'; if n == 2 { 1_000 } else { 10 }];
            asked.push(bench.begin(put(&user(n), 1, &stanza)));
        }
    });
    let results: Vec<_> = asked.into_iter().map(|id| bench.collect.wait(id)).collect();
    for (n, result) in results.iter().enumerate() {
        let as_expected = if n == 3 { is(result, StoreError::Unavailable) } else { is_done(result) };
        assert!(as_expected, "{n}: {result:?}");
    }
    let spooled: Vec<_> = (0..5).map(|n| bench.load(&user(n)).spooled).collect();
    assert_eq!(spooled, [1, 1, 0, 1, 1]);
    assert!(store.healthy());
}

#[test]
fn damage_is_told_and_stays_where_it_is() {
    let url = server().database();
    let store = open(options(&url));
    let bench = bench(&store);
    let (juliet, romeo) = (jid("juliet@example.org"), jid("romeo@example.org"));
    for user in [&juliet, &romeo] {
        bench.done(roster(user, 0, b"roster"));
        bench.done(put(user, 1, b"m"));
        let insert = AccountsOp::Insert { user: user.clone(), credentials: Credentials::default() };
        assert_eq!(store.call(insert), Ok(AccountsDone::Done));
    }
    let owner = "(SELECT id FROM chat_user WHERE jid = 'juliet@example.org')";
    server().sql(
        &url,
        &format!(
            "UPDATE chat_roster SET version = -5 WHERE owner = {owner};
            UPDATE chat_spool SET id = 'short' WHERE owner = {owner};
            UPDATE chat_account SET sha256 = 'SCRAM-SHA-256$nonsense' WHERE owner = {owner}"
        ),
    );
    let load = |user: &chat_core::jid::BareJid| bench.ask(StoreOp::LoadUser { user: user.clone() });
    assert!(is(&load(&juliet), StoreError::Damaged));
    assert!(matches!(load(&romeo), Ok(StoreDone::User(_))));
    let read = StoreOp::SpoolRead { user: juliet.clone(), after: SpoolSeq(0), rows_max: 9, bytes_max: 99 };
    assert!(is(&bench.ask(read), StoreError::Damaged));
    let get = store.call(AccountsOp::Get { user: juliet });
    assert_eq!(get, Err(AccountsError::Store(StoreError::Damaged)));
    assert!(store.healthy());
}

/// Tasks that end without an answer leave nobody waiting.
#[test]
fn a_runtime_that_ends_answers_what_is_left() {
    let url = server().database();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let spawner = runtime.block_on(async { Spawner::current() });
    let store = runtime.block_on(Postgres::open(options(&url), &spawner)).expect("opens");
    let collect = Arc::new(Collect::default());
    let sink: Arc<dyn StoreSink> = collect.clone();
    thread::scope(|scope| {
        hold(scope, &url);
        for id in 0..10 {
            store.submit(RequestId(id), Arc::new(put(&user(0), u128::from(id), b"m")), &sink);
        }
        // Let some be under way and others wait behind them.
        thread::sleep(Duration::from_millis(200));
        runtime.shutdown_timeout(Duration::from_secs(5));
        for id in 0..10 {
            assert!(is(&collect.wait(RequestId(id)), StoreError::Unavailable), "{id}");
        }
    });
    assert!(!store.healthy());
    store.submit(RequestId(99), Arc::new(put(&user(0), 99, b"m")), &sink);
    assert!(is(&collect.wait(RequestId(99)), StoreError::Unavailable));
    store.close();
}
