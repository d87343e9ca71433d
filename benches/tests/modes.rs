//! Every mode of the load tool for a moment, against a server of ours in this process and against the tool's own relay;
//! and against a relay that loses, doubles, swaps and alters, all of which the tool must see.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use chat_bench::measure::Server as Process;
use chat_bench::relay::{Fault, Relay};
use chat_bench::report::{Report, plot};
use chat_bench::work::{Failure, Faults, Flow, Target, Times, chat, idle, login, presence};
use chat_bench::xmpp::{Mechanism, Security};
use chat_net::server::{Domain, Listener, Server, ServerHandle};
use chat_net::tls::{Tls, TlsConfig, self_signed};

/// Accounts of the server; each costs key derivations of a debug build.
const USERS: u32 = 18;
const MOMENT: Duration = Duration::from_millis(400);

/// The server of all tests here; it ends with the process.
fn server() -> &'static ServerHandle {
    static SERVER: LazyLock<ServerHandle> = LazyLock::new(|| {
        let identity = self_signed(&["localhost"]).expect("a certificate").identity();
        let tls = Tls::new(&TlsConfig::new(identity).expect("a provider")).expect("good settings");
        let any = "127.0.0.1:0".parse().expect("an address");
        let mut builder = Server::builder()
            .domain(Domain::new("localhost").plaintext(true))
            .domain(Domain::new("open.localhost").plaintext(true).registration(true))
            .tls(tls)
            .workers(2)
            .listen(Listener::Clients, any)
            .listen(Listener::ClientsTls, any);
        for n in 0..USERS {
            builder = builder.account(format!("user{n}@localhost"), "password");
        }
        builder.start().expect("it starts")
    });
    &SERVER
}

/// Accounts from `first` on: tests run side by side, and each has its own.
fn target(first: u32) -> Target {
    let address = server().local_addr(Listener::Clients).expect("it listens");
    let own = Process { pid: std::process::id(), peer: None, children: false };
    Target { first, server: Some(own), label: "test".to_owned(), ..Target::new(address) }
}

fn short() -> Times {
    Times { warm_up: Duration::from_millis(50), duration: MOMENT, ..Times::default() }
}

fn short_chat() -> chat::Options {
    chat::Options { pairs: 2, times: short(), ..chat::Options::default() }
}

/// A relay in a thread, until this is dropped.
struct RunningRelay {
    target: Target,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RunningRelay {
    fn start(fault: Fault) -> RunningRelay {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let any = "127.0.0.1:0".parse().expect("an address");
            let mut relay = Relay::bind(any, fault).expect("a port");
            tell.send(relay.address()).expect("somebody waits");
            relay.run(&flag).expect("it relays");
        });
        let target = Target::new(told.recv().expect("it has begun"));
        RunningRelay { target, stop, thread: Some(thread) }
    }
}

impl Drop for RunningRelay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends well");
        }
    }
}

/// What every good report has.
fn assert_good(report: &Report) {
    assert_eq!(report.faults, Faults::default(), "{report}");
    assert!(report.count > 0 && report.rate_per_s > 0.0, "{report}");
    let json: serde_json::Value = serde_json::from_str(&report.json()).expect("JSON");
    assert_eq!(json["mode"], report.mode);
    assert_eq!(json["lost"], 0);
    assert_eq!(json["server_cpu_us_each"].is_number(), report.server_cpu_us_each.is_some());
}

#[test]
fn chat_with_a_window() {
    let report = chat::run(&target(0), &short_chat()).expect("a report");
    assert_good(&report);
    let latency = report.latency.expect("latencies");
    assert_eq!(latency.count, report.count);
    assert!(latency.p50_us > 0.0 && latency.max_us >= latency.p99_us);
    assert!(report.usage.noise_cores.is_some() && report.send_late.is_none());
}

#[test]
fn chat_at_a_rate_with_stream_management_and_large_bodies() {
    let options = chat::Options {
        flow: Flow::Rate(200.0),
        body_bytes: 5_000,
        ack_every: Some(3),
        to_bare: true,
        ..short_chat()
    };
    let report = chat::run(&target(4), &options).expect("a report");
    assert_good(&report);
    assert_eq!(report.mode, "sm");
    // 400 ms of 200 per second; those that are measured are counted when they should have left.
    let latency = report.latency.expect("latencies");
    assert_eq!(latency.count, 80);
    assert_eq!(report.send_late.expect("how late").count, latency.count);
    assert!(report.ack_latency.expect("acks").count > 20);
}

#[test]
fn logins_of_every_kind() {
    let tls = server().local_addr(Listener::ClientsTls).expect("it listens");
    for (security, mechanism) in [
        (Security::None, Mechanism::Plain),
        (Security::None, Mechanism::ScramSha1),
        (Security::None, Mechanism::ScramSha256),
        (Security::Starttls, Mechanism::ScramSha256),
        (Security::Direct, Mechanism::ScramSha1),
    ] {
        let mut target = Target { security, mechanism, parallel: 2, ..target(8) };
        if security == Security::Direct {
            target.address = tls;
        }
        let options = login::Options { users: 2, presence: false, times: short() };
        let report =
            login::run(&target, &options).unwrap_or_else(|e| panic!("{security:?} {mechanism:?}: {e}"));
        assert_good(&report);
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = Target { address: listener.local_addr().expect("an address"), ..target(8) };
    drop(listener);
    let refused = login::run(&nobody, &login::Options::default()).expect_err("nobody listens there");
    assert!(refused.to_string().contains("refused"), "{refused}");
    let wrong = Target { password: "wrong".to_owned(), ..target(8) };
    let refused = login::run(&wrong, &login::Options { users: 1, ..login::Options::default() });
    assert!(matches!(refused, Err(Failure::Login { .. })), "{refused:?}");
}

#[test]
fn idle_sessions_of_accounts_that_are_registered_first() {
    let target = Target { domain: "open.localhost".to_owned(), register: true, ..target(0) };
    let options = idle::Options { sessions: 4, before: 1, roster: 3, presence: true, hold: MOMENT };
    // The second time the accounts and their contacts are there already.
    for _ in 0..2 {
        let report = idle::run(&target, &options).expect("a report");
        assert_good(&report);
        let memory = report.memory.expect("memory");
        assert_eq!(memory.sessions, 4);
        assert!(memory.pss_per_session.is_some() && memory.curve.len() >= 4, "{memory:?}");
    }
}

#[test]
fn presence_to_all_of_a_group() {
    let target = target(12);
    let options =
        presence::Options { groups: 2, contacts: 2, times: short(), ..presence::Options::default() };
    let report = presence::run(&target, &options).expect("a report");
    assert_good(&report);
    assert_eq!(report.latency.as_ref().map(|l| l.count), Some(report.count));
    assert_eq!(report.options["echoes_per_broadcast"], 1.0);
    // The subscriptions are there now.
    let options = presence::Options { flow: Flow::Rate(50.0), ..options };
    let report = presence::run(&target, &options).expect("a report");
    assert_good(&report);
    assert_eq!(report.latency.expect("latencies").count, 40);
}

#[test]
fn the_relay_forwards_what_the_tool_sends() {
    let relay = RunningRelay::start(Fault::None);
    let report = chat::run(&relay.target, &short_chat()).expect("a report");
    assert_good(&report);
    // The same accounts again: those who left are forgotten.
    assert_good(
        &chat::run(&relay.target, &chat::Options { flow: Flow::Window(1), ..short_chat() })
            .expect("a report"),
    );
}

#[test]
fn what_goes_wrong_is_seen() {
    let times = Times { patience: Duration::from_millis(300), ..short() };
    let quick = chat::Options { times, ..short_chat() };
    for fault in ["lose:100", "double:100", "swap:100", "alter:100"] {
        let relay = RunningRelay::start(fault.parse().expect("a fault"));
        let report = chat::run(&relay.target, &quick).expect("a report");
        let Faults { lost, doubled, swapped, altered, .. } = report.faults;
        let (seen, others) = match fault {
            "lose:100" => (lost, doubled + swapped + altered),
            "double:100" => (doubled, lost + swapped + altered),
            // What is held back in the end never arrives, at most one of each pair.
            "swap:100" => (swapped, doubled + altered + lost.saturating_sub(2)),
            // What is altered has not arrived.
            _ => (altered, doubled + swapped + lost.abs_diff(altered)),
        };
        assert!(seen > 0 && others == 0, "{fault}: {report}");
        assert!(!report.to_string().contains("exactly once"), "{fault}: {report}");
    }
}

#[test]
fn a_stall_counts_for_all_that_should_have_been_sent_meanwhile() {
    let relay = RunningRelay::start("stall:100".parse().expect("a fault"));
    // Each of the two connections stalls once, for 200 ms, when 100 of its messages have come.
    let options = chat::Options {
        flow: Flow::Rate(400.0),
        times: Times { warm_up: Duration::ZERO, duration: Duration::from_millis(900), ..Times::default() },
        ..short_chat()
    };
    let report = chat::run(&relay.target, &options).expect("a report");
    assert_good(&report);
    let latency = report.latency.expect("latencies");
    assert_eq!(latency.count, 360);
    // Half of the 80 that fall into a stall, and are sent late because of it, wait for more than 100 ms.
    let slow: u64 = latency.buckets.iter().filter(|(us, _)| *us > 100_000.0).map(|(_, n)| n).sum();
    assert!(slow >= 20 && latency.max_us > 150_000.0, "{slow}: {latency:?}");
}

#[test]
fn reports_are_plotted() {
    let relay = RunningRelay::start(Fault::None);
    let chat = chat::run(&relay.target, &short_chat()).expect("a report");
    let idle = idle::Options { sessions: 3, before: 0, roster: 0, presence: false, hold: Duration::ZERO };
    let mut idle = idle::run(&relay.target, &idle).expect("a report");
    assert!(idle.memory.as_ref().is_some_and(|m| m.pss_per_session.is_none() && m.curve.is_empty()));
    idle.memory.as_mut().expect("memory").curve = vec![(0, 1 << 20), (3, 3 << 20)];
    let text = format!("{}\n\n{}\n", chat.json(), idle.json());
    let runs = plot::read(&text).expect("two runs");
    assert_eq!(runs.len(), 2);
    let latency = plot::latency(&runs).expect("a plot");
    assert!(latency.starts_with("<svg") && latency.trim_end().ends_with("</svg>"));
    assert!(latency.contains("µs") && latency.contains("chat"), "{latency}");
    let memory = plot::memory(&runs).expect("a plot");
    assert!(memory.contains("<polyline") && memory.contains("sessions"), "{memory}");
    assert!(plot::latency(&runs[1..]).is_none() && plot::memory(&runs[..1]).is_none());
    assert!(plot::read("{}").is_err());
}

#[test]
fn senseless_options_are_refused() {
    for options in [
        chat::Options { pairs: 0, ..short_chat() },
        chat::Options { flow: Flow::Window(0), ..short_chat() },
        chat::Options { flow: Flow::Rate(0.0), ..short_chat() },
        chat::Options { body_bytes: 10, ..short_chat() },
    ] {
        let refused = chat::run(&target(0), &options);
        assert!(matches!(refused, Err(Failure::Options(_))), "{options:?}");
    }
}
