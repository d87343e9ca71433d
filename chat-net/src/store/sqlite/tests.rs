//! What is particular to SQLite: files, locks, other processes, batches, faults.

use std::sync::mpsc;
use std::time::Instant;

use chat_core::base::RequestId;
use chat_core::effect::{StoreDone, StoreError, StoreResult};
use tempfile::TempDir;

use super::fault::Fault;
use super::*;
use crate::store::conformance::{self, Bench, Collect, Subject, jid, put, roster};
use crate::store::{AccountsDone, AccountsError, Credentials};

struct Place {
    folder: TempDir,
    faults: Arc<Faults>,
}

impl Place {
    fn new() -> Place {
        Place { folder: TempDir::new().expect("a folder"), faults: Arc::new(Faults::new()) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data/chat.db")
    }

    fn options(&self) -> Options {
        Options::new(self.path()).with_faults(self.faults.clone())
    }

    fn bench(&self) -> Bench {
        bench(self.options())
    }

    /// Holds the writer until the guard is dropped, also by a failing test, which else could not close its store.
    fn hold(&self) -> Held {
        self.faults.hold();
        Held(self.faults.clone())
    }
}

struct Held(Arc<Faults>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.release();
    }
}

fn bench(options: Options) -> Bench {
    let store = Arc::new(Sqlite::open(options).expect("opens"));
    Bench::new(Subject { store: store.clone(), accounts: Some(store) })
}

fn is_done(result: &StoreResult) -> bool {
    matches!(result, Ok(StoreDone::Done))
}

fn is(result: &StoreResult, error: StoreError) -> bool {
    matches!(result, Err(other) if *other == error)
}

fn soon(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn conforms() {
    let folder = TempDir::new().expect("a folder");
    let next = std::cell::Cell::new(0);
    conformance::run(&|| {
        next.set(next.get() + 1);
        let path = folder.path().join(format!("{}.db", next.get()));
        let store = Arc::new(Sqlite::open(Options::new(path)).expect("opens"));
        Subject { store: store.clone(), accounts: Some(store) }
    });
}

#[test]
fn what_was_answered_is_there_after_a_crash() {
    let place = Place::new();
    let juliet = jid("juliet@example.org");
    let bench = place.bench();
    bench.done(roster(&juliet, 0, b"roster"));
    for id in 0..100 {
        bench.done(put(&juliet, id, b"<message/>"));
    }
    // What a killed process leaves behind: the files as they are now, and nothing of the process.
    let crashed = Place::new();
    std::fs::create_dir_all(crashed.path().parent().expect("a folder")).expect("makes");
    for suffix in ["", "-wal"] {
        let name = |place: &Place| format!("{}{suffix}", place.path().display());
        std::fs::copy(name(&place), name(&crashed)).expect("copies");
    }
    for place in [&crashed, &place] {
        let again = bench_again(place, &bench);
        assert_eq!(again.load(&juliet).roster, (1, b"roster".as_slice().into()));
        assert_eq!(again.spooled(&juliet), (0..100).collect::<Vec<_>>());
        assert!(is_done(&again.ask(put(&juliet, 100, b"m"))));
    }
}

/// Opens a place anew; closes `old` first, which may be the same.
fn bench_again(place: &Place, old: &Bench) -> Bench {
    old.store.close();
    bench(Options { exclusive: false, ..place.options() })
}

#[test]
fn one_server_at_a_time_and_commands_beside_it() {
    let place = Place::new();
    let server = Sqlite::open(place.options()).expect("opens");
    let error = Sqlite::open(place.options()).err().expect("in use");
    assert!(matches!(error, OpenError::InUse { .. }));
    let holder = format!("in use by another server (process {})", std::process::id());
    assert!(error.to_string().contains(&holder), "{error}");

    let command = Sqlite::open(Options::shared(place.path())).expect("opens beside");
    let user = jid("juliet@example.org");
    let insert = AccountsOp::Insert { user: user.clone(), credentials: Credentials::default() };
    assert_eq!(command.call(insert), Ok(AccountsDone::Done));
    assert_eq!(server.call(AccountsOp::Get { user }), Ok(AccountsDone::Found(Some(Credentials::default()))));
    drop(server);
    Sqlite::open(place.options()).expect("free again, also beside a command");
}

#[test]
fn a_purge_by_another_process_is_noticed_within_a_second() {
    let place = Place::new();
    let server = Sqlite::open(place.options()).expect("opens");
    let command = Sqlite::open(Options::shared(place.path())).expect("opens");
    let add = |name: &str| {
        let insert = AccountsOp::Insert { user: jid(name), credentials: Credentials::default() };
        assert_eq!(command.call(insert), Ok(AccountsDone::Done));
    };
    add("old@example.org");
    assert_eq!(command.call(AccountsOp::Purge { user: jid("old@example.org") }), Ok(AccountsDone::Done));

    let (send, receive) = mpsc::channel();
    for _ in 0..2 {
        let send = send.clone();
        server.on_account_removed(Arc::new(move |user| send.send(user.clone()).expect("the test listens")));
    }
    for name in ["juliet@example.org", "romeo@example.org"] {
        add(name);
        assert_eq!(command.call(AccountsOp::Purge { user: jid(name) }), Ok(AccountsDone::Done));
        for _ in 0..2 {
            assert_eq!(receive.recv_timeout(Duration::from_secs(2)), Ok(jid(name)), "both are told");
        }
    }
    let nobody = server.call(AccountsOp::Purge { user: jid("nobody@example.org") });
    assert_eq!(nobody, Err(AccountsError::NoSuchUser));
    assert!(receive.recv_timeout(Duration::from_millis(700)).is_err(), "each is told once");
}

#[test]
fn what_gathers_is_one_batch_for_each_worker() {
    struct Batches(mpsc::Sender<usize>);
    impl StoreSink for Batches {
        fn done(&self, batch: Vec<(RequestId, StoreResult)>) {
            assert!(batch.iter().all(|(_, result)| is_done(result)));
            assert!(batch.is_sorted_by_key(|(id, _)| *id));
            self.0.send(batch.len()).expect("the test listens");
        }
    }
    let place = Place::new();
    let bench = place.bench();
    let held = place.hold();
    let first = bench.begin(put(&jid("first@example.org"), 1, b"m"));
    soon("the first batch", || place.faults.batches() == 1);
    let (send, receive) = mpsc::channel();
    let sinks: [Arc<dyn StoreSink>; 2] = [Arc::new(Batches(send.clone())), Arc::new(Batches(send))];
    for n in 0..100 {
        for sink in &sinks {
            let op = put(&jid(&format!("user{n}@example.org")), n, b"m");
            bench.store.submit(RequestId(n as u64), Arc::new(op), sink);
        }
    }
    drop(held);
    assert!(is_done(&bench.collect.wait(first)));
    for _ in 0..2 {
        assert_eq!(receive.recv_timeout(Duration::from_secs(10)), Ok(100));
    }
    assert_eq!(place.faults.batches(), 2);
}

#[test]
fn a_stalled_disk_overloads_the_writers_only() {
    let place = Place::new();
    let options = Options { unanswered_max: 10, ..place.options() };
    let bench = bench(options);
    let (juliet, romeo) = (jid("juliet@example.org"), jid("romeo@example.org"));
    bench.done(roster(&romeo, 0, b"his"));
    // The batch before is over and done with when this one is answered.
    bench.done(StoreOp::Touch { user: jid("mercutio@example.org") });
    let held = place.hold();
    let sink: Arc<dyn StoreSink> = bench.collect.clone();
    for id in 0..9 {
        let op = Arc::new(put(&juliet, id, b"m"));
        bench.store.submit(RequestId(1_000 + id as u64), op.clone(), &sink);
        // The engine asks again when an answer is late: that takes no room.
        bench.store.submit(RequestId(1_000 + id as u64), op, &sink);
    }
    assert_eq!(bench.load(&romeo).roster.0, 1, "another user's reads go on");
    let last = bench.begin(StoreOp::LoadUser { user: juliet.clone() });
    assert!(is(&bench.ask(put(&romeo, 1, b"m")), StoreError::Overloaded), "at once");
    assert!(bench.collect.wait_for(last, Duration::ZERO).is_none(), "behind the writes of its user");
    drop(held);
    for id in 0..9 {
        assert!(is_done(&bench.collect.wait(RequestId(1_000 + id))));
    }
    let Ok(StoreDone::User(loaded)) = bench.collect.wait(last) else { panic!("a read fails") };
    assert_eq!(loaded.spooled, 9, "it sees them");
    bench.done(put(&romeo, 1, b"m"));
}

#[test]
fn bytes_are_bounded_too() {
    let place = Place::new();
    let bench = bench(Options { unanswered_bytes_max: 100_000, ..place.options() });
    let held = place.hold();
    let juliet = jid("juliet@example.org");
    let first = bench.begin(put(&juliet, 1, &[0; 60_000]));
    assert!(is(&bench.ask(put(&juliet, 2, &[0; 60_000])), StoreError::Overloaded));
    let small = bench.begin(put(&juliet, 3, &[0; 1_000]));
    drop(held);
    assert!(is_done(&bench.collect.wait(first)));
    assert!(is_done(&bench.collect.wait(small)));
    bench.done(put(&juliet, 4, &[0; 500_000]));
}

#[test]
fn when_nothing_can_be_written_reads_go_on_and_health_tells() {
    for (fault, what) in [(Fault::Fail, "an I/O error"), (Fault::DiskFull, "a full disk")] {
        let place = Place::new();
        let bench = place.bench();
        let juliet = jid("juliet@example.org");
        bench.done(roster(&juliet, 0, b"one"));
        assert!(bench.store.healthy());

        place.faults.always(fault);
        let write = bench.begin(roster(&juliet, 1, b"two"));
        let read = bench.begin(StoreOp::LoadUser { user: juliet.clone() });
        assert!(is(&bench.collect.wait(write), StoreError::Unavailable), "{what}");
        let Ok(StoreDone::User(loaded)) = bench.collect.wait(read) else { panic!("{what}: a read fails") };
        assert_eq!(loaded.roster, (1, b"one".as_slice().into()), "{what}: nothing of it is there");
        assert!(!bench.store.healthy(), "{what}");
        assert!(is(&bench.ask(put(&juliet, 1, b"m")), StoreError::Unavailable), "{what}");

        place.faults.always(Fault::None);
        soon("health", || bench.store.healthy());
        bench.done(roster(&juliet, 1, b"two"));
        assert_eq!(bench.load(&juliet).roster.0, 2);
        assert_eq!(bench.spooled(&juliet), [] as [u128; 0]);
    }
}

#[test]
fn one_bad_operation_does_not_fail_the_others() {
    let place = Place::new();
    let bench = place.bench();
    let held = place.hold();
    place.faults.once(Fault::Stall(Duration::from_millis(1)));
    place.faults.once(Fault::FailOne(2));
    let first = bench.begin(StoreOp::Touch { user: jid("first@example.org") });
    soon("the first batch", || place.faults.batches() == 1);
    let users: Vec<_> = (0..5).map(|n| jid(&format!("user{n}@example.org"))).collect();
    let ids: Vec<_> = users.iter().map(|user| bench.begin(put(user, 1, b"m"))).collect();
    drop(held);
    assert!(is_done(&bench.collect.wait(first)));
    for (n, id) in ids.into_iter().enumerate() {
        let result = bench.collect.wait(id);
        let as_expected = if n == 2 { is(&result, StoreError::Unavailable) } else { is_done(&result) };
        assert!(as_expected, "{n}: {result:?}");
    }
    let spooled: Vec<_> = users.iter().map(|user| bench.load(user).spooled).collect();
    assert_eq!(spooled, [1, 1, 0, 1, 1]);
    assert!(bench.store.healthy());
}

#[test]
fn lost_answers_are_made_good_by_repeats() {
    let place = Place::new();
    let bench = place.bench();
    let juliet = jid("juliet@example.org");
    let sink: Arc<dyn StoreSink> = bench.collect.clone();
    for (id, op) in [(1, put(&juliet, 1, b"m")), (2, roster(&juliet, 0, b"one"))] {
        let (id, op) = (RequestId(1_000 + id), Arc::new(op));
        place.faults.once(Fault::LoseAnswers);
        bench.store.submit(id, op.clone(), &sink);
        assert!(bench.collect.wait_for(id, Duration::from_millis(100)).is_none());
        bench.store.submit(id, op, &sink);
        assert!(is_done(&bench.collect.wait(id)));
    }
    assert_eq!(bench.load(&juliet).roster.0, 1);
    assert_eq!(bench.spooled(&juliet), [1]);
}

/// Not injected: SQLite itself says that there is no room.
#[test]
fn a_file_that_cannot_grow_is_unavailable() {
    let place = Place::new();
    drop(Sqlite::open(place.options()).expect("opens"));
    let connection = connect(&place.path(), Durability::Full).expect("opens");
    let pages: u32 = connection.query_row("PRAGMA page_count", (), |row| row.get(0)).expect("a count");
    connection.pragma_update(None, "max_page_count", pages + 1).expect("limited");
    let (queue, health) = (Arc::new(Queue::new(100, 1 << 30)), Arc::new(Health::default()));
    let writer = Writer::new(connection, queue.clone(), health.clone(), None);
    let thread = std::thread::spawn(move || writer.run());

    let collect = Arc::new(Collect::default());
    let ask = |id, op| {
        let id = RequestId(id);
        queue.submit(Job::Store { id, op: Arc::new(op), sink: collect.clone() });
        collect.wait(id)
    };
    let juliet = jid("juliet@example.org");
    let result = ask(1, put(&juliet, 1, &[0; 100_000]));
    assert!(is(&result, StoreError::Unavailable), "{result:?}");
    assert!(!health.is_good());
    let small = ask(2, put(&juliet, 2, b"m"));
    assert!(is_done(&small), "what fits still goes: {small:?}");
    assert!(health.is_good());
    queue.close();
    thread.join().expect("ends");
}

#[test]
fn a_batch_that_hangs_is_bad_health() {
    let busy_for = |seconds| Health {
        opened: Instant::now()
            .checked_sub(Duration::from_secs(seconds))
            .expect("the machine runs for some time"),
        busy_since: 1.into(),
        broken: false.into(),
    };
    assert!(Health::default().is_good());
    assert!(busy_for(4).is_good());
    assert!(!busy_for(6).is_good());
}

#[test]
fn damage_is_told_and_stays_where_it_is() {
    let place = Place::new();
    let bench = place.bench();
    let (juliet, romeo) = (jid("juliet@example.org"), jid("romeo@example.org"));
    for user in [&juliet, &romeo] {
        bench.done(roster(user, 0, b"roster"));
        let insert = AccountsOp::Insert { user: user.clone(), credentials: Credentials::default() };
        let accounts = bench.accounts.as_ref().expect("accounts");
        assert_eq!(accounts.call(insert), Ok(AccountsDone::Done));
    }
    let other = Connection::open(place.path()).expect("opens");
    let damage = "UPDATE roster SET version = -5 WHERE owner = 1;
        UPDATE account SET sha256 = 'SCRAM-SHA-256$nonsense' WHERE owner = 1;";
    other.execute_batch(damage).expect("damages");
    let load = |user: &chat_core::jid::BareJid| bench.ask(StoreOp::LoadUser { user: user.clone() });
    assert!(is(&load(&juliet), StoreError::Damaged));
    assert!(matches!(load(&romeo), Ok(StoreDone::User(_))));
    let get = bench.accounts.as_ref().expect("accounts").call(AccountsOp::Get { user: juliet });
    assert_eq!(get, Err(AccountsError::Store(StoreError::Damaged)));
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let place = Place::new();
    std::fs::create_dir_all(place.path().parent().expect("a folder")).expect("makes");
    let text =
        "This is a letter to Juliet, not a database, and it is long enough to be looked at. ".repeat(20);
    std::fs::write(place.path(), &text).expect("writes");
    let error = Sqlite::open(place.options()).err().expect("refused");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(place.path()).expect("reads"), text);

    std::fs::write(place.folder.path().join("file"), "").expect("writes");
    let error = Sqlite::open(Options::new(place.folder.path().join("file/chat.db"))).err().expect("refused");
    assert!(matches!(error, OpenError::File { .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn the_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let bench = place.bench();
    bench.done(put(&jid("juliet@example.org"), 1, b"m"));
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let name = format!("{}{suffix}", place.path().display());
        let mode = std::fs::metadata(&name).expect("exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn durability_is_as_chosen() {
    for (durability, synchronous) in [(Durability::Full, 2), (Durability::Memory, 1)] {
        let place = Place::new();
        drop(Sqlite::open(Options { durability, ..place.options() }).expect("opens"));
        let connection = connect(&place.path(), durability).expect("opens");
        let get = |pragma: &str| connection.query_row(&format!("PRAGMA {pragma}"), (), |row| row.get(0));
        assert_eq!(get("synchronous"), Ok(synchronous));
        let mode: String = connection.query_row("PRAGMA journal_mode", (), |row| row.get(0)).expect("a mode");
        assert_eq!(mode, "wal");
    }
}

struct Panics;

impl StoreSink for Panics {
    fn done(&self, _: Vec<(RequestId, StoreResult)>) {
        panic!("as the test wants");
    }
}

/// A thread that panics ends the store, loudly, and nobody waits for it: not who asks, not who closes.
#[test]
fn a_panic_in_a_thread_ends_the_store() {
    let user = jid("juliet@example.org");
    for op in [StoreOp::LoadUser { user: user.clone() }, StoreOp::Touch { user: user.clone() }] {
        let place = Place::new();
        let bench = place.bench();
        let sink: Arc<dyn StoreSink> = Arc::new(Panics);
        bench.store.submit(RequestId(1), Arc::new(op), &sink);
        soon("the end", || !bench.store.healthy());
        let refused = bench.ask(StoreOp::Touch { user: user.clone() });
        assert!(is(&refused, StoreError::Unavailable), "{refused:?}");
        bench.store.close();
    }
}
