//! Acked means safe, with real processes: the server is killed at random instants under load, and the clients' own
//! ledgers judge what it brings back.
//!
//! Senders with stream management write to users who are offline, to users who read but never acknowledge, and to
//! users who do both. When the server has been killed (SIGKILL) and started again on the same data, every message that
//! it had acknowledged to its sender must either have been acknowledged by its recipient before, or arrive now.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chat_net::store::postgres::private::Private;
use support::TestServer;
use support::client::Client;

const DOMAIN: &str = "localhost";
const PASSWORD: &str = "secret";
const SENDERS: usize = 3;

/// What a recipient does with what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    Offline,
    NeverAcks,
    Acks,
}

const RECIPIENTS: [(&str, Habit); 3] =
    [("offline", Habit::Offline), ("silent", Habit::NeverAcks), ("prompt", Habit::Acks)];

/// Kills; the issue asks for 50. `CRASHES=n` for more or fewer.
fn crashes() -> u32 {
    std::env::var("CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(50)
}

/// A small generator of instants; its seed is printed, the instants are real time and cannot be replayed exactly.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let mut server = TestServer::start(&[("c2s.allow_plaintext", "true"), ("limits.c2s_rate", "0")]);
    survive(&mut server, crashes(), |_, server, after| {
        thread::sleep(after);
        server.kill();
    });
}

/// The same with a database of its own process, which crashes alone, with the server, or not at all.
#[test]
fn nothing_acknowledged_is_lost_when_the_server_or_its_database_is_killed() {
    let database = Private::start_with(&[]);
    let settings =
        [("c2s.allow_plaintext", "true"), ("limits.c2s_rate", "0"), ("store.url", &database.database())];
    let mut server = TestServer::start(&settings);
    survive(&mut server, 12, |round, server, after| {
        thread::sleep(after / 2);
        if round % 3 == 0 {
            database.stop("immediate");
            database.start_again();
        }
        thread::sleep(after / 2);
        if round % 3 == 1 {
            database.stop("immediate");
        }
        server.kill();
        if round % 3 == 1 {
            database.start_again();
        }
    });
}

/// Kills a server under load, again and again; `kill` gets the number of the round and how long the load should last.
fn survive(server: &mut TestServer, kills: u32, kill: impl Fn(u32, &mut TestServer, Duration)) {
    for (name, _) in RECIPIENTS {
        server.add_user(&format!("{name}@{DOMAIN}"), PASSWORD);
    }
    for i in 0..SENDERS {
        server.add_user(&format!("sender{i}@{DOMAIN}"), PASSWORD);
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id()));
    let (mut acked, mut back, mut rounds_with_acks) = (0, 0, 0);
    for round in 0..kills {
        let after = Duration::from_millis(50 + dice.below(950));
        let (promised, had) = one_life(server, round, |server| kill(round, server, after));
        server.start_again();
        let brought = collect(server.c2s);
        for (recipient, ids) in &promised {
            let had = &had[recipient];
            let brought = &brought[recipient];
            let lost: Vec<_> = ids.iter().filter(|id| !had.contains(*id) && !brought.contains(*id)).collect();
            assert!(lost.is_empty(), "round {round}, killed after {after:?}: {recipient} lost {lost:?}");
            back += brought.len();
        }
        let n: usize = promised.values().map(BTreeSet::len).sum();
        acked += n;
        rounds_with_acks += usize::from(n > 0);
    }
    println!("{kills} kills, {acked} messages acknowledged before, {back} came back, none lost");
    assert!(acked > 0 && rounds_with_acks * 2 > kills as usize, "the test must have had something to lose");
}

type Ids = BTreeMap<&'static str, BTreeSet<String>>;

/// Load until the server is killed. Returns what it had promised for each recipient, and what each recipient had
/// acknowledged.
fn one_life(server: &mut TestServer, round: u32, kill: impl FnOnce(&mut TestServer)) -> (Ids, Ids) {
    let addr = server.c2s;
    let mut recipients = Vec::new();
    for (name, habit) in RECIPIENTS {
        if habit == Habit::Offline {
            continue;
        }
        let mut client = Client::login(addr, name, DOMAIN, PASSWORD, "here").expect("a recipient logs in");
        client.answers = habit == Habit::Acks;
        client.manage().expect("stream management");
        client.stanza("<presence/>").expect("presence");
        recipients.push((
            name,
            thread::spawn(move || {
                while client.read(Duration::from_millis(100)).is_ok() {}
                // What it acknowledged is its own from now on.
                client.got[..client.got_acked].iter().map(|(id, _)| id.clone()).collect::<BTreeSet<_>>()
            }),
        ));
    }
    let ready = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..SENDERS)
        .map(|i| {
            let mut client = Client::login(addr, &format!("sender{i}"), DOMAIN, PASSWORD, "load")
                .expect("a sender logs in");
            client.manage().expect("stream management");
            let ready = ready.clone();
            thread::spawn(move || {
                while !ready.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                let mut n = 0;
                let result = (|| loop {
                    let (name, _) = RECIPIENTS[n % RECIPIENTS.len()];
                    client.message(&format!("{name}@{DOMAIN}"), &format!("{name}-{round}-{i}-{n}"))?;
                    n += 1;
                    if n % 5 == 0 {
                        client.request()?;
                    }
                    let patience = if client.unacknowledged() > 100 { 20 } else { 1 };
                    client.read(Duration::from_millis(patience))?;
                })();
                let support::client::Gone = match result {
                    Ok(()) => unreachable!("a sender goes on until the server is gone"),
                    Err(gone) => gone,
                };
                client.acknowledged()
            })
        })
        .collect();
    ready.store(true, Ordering::Release);
    kill(server);
    let mut promised: Ids = RECIPIENTS.iter().map(|(name, _)| (*name, BTreeSet::new())).collect();
    for sender in senders {
        for id in sender.join().expect("a sender ends") {
            let (name, _) = RECIPIENTS.iter().find(|(name, _)| id.starts_with(name)).expect("an id of ours");
            promised.get_mut(name).expect("a recipient").insert(id);
        }
    }
    let mut had: Ids = RECIPIENTS.iter().map(|(name, _)| (*name, BTreeSet::new())).collect();
    for (name, recipient) in recipients {
        had.insert(name, recipient.join().expect("a recipient ends"));
    }
    (promised, had)
}

/// Everybody logs in and takes what waited.
fn collect(addr: SocketAddr) -> Ids {
    let clients = RECIPIENTS.map(|(name, _)| (name, thread::spawn(move || take_all(addr, name))));
    clients.into_iter().map(|(name, client)| (name, client.join().expect("takes what waited"))).collect()
}

fn take_all(addr: SocketAddr, name: &str) -> BTreeSet<String> {
    let mut client = Client::login(addr, name, DOMAIN, PASSWORD, "here").expect("logs in after the crash");
    client.manage().expect("stream management");
    client.stanza("<presence/>").expect("presence");
    let mut quiet = Instant::now();
    let mut seen = 0;
    while quiet.elapsed() < Duration::from_millis(400) {
        client.read(Duration::from_millis(30)).expect("the server lives");
        if client.got.len() != seen {
            (seen, quiet) = (client.got.len(), Instant::now());
        }
    }
    client.acknowledge().expect("the server lives");
    // The acknowledgement is handled before the stream's end.
    client.read(Duration::from_millis(30)).expect("the server lives");
    assert!(client.got.iter().all(|(_, delayed)| *delayed), "what comes after a crash is marked as delayed");
    client.got.iter().map(|(id, _)| id.clone()).collect()
}
