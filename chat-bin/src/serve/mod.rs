//! A node as a process of its own: `chat serve`.
//!
//! Owns: the order of starting and stopping, the drain before the end, the log, signals, certificates (for clients, and for links
//! between nodes) and their renewal, authenticators as configured, the keys beside the data, the web port, the backdoor, and the welcome on a first start.
//! In: a [`Config`], signals, requests to the backdoor, changed certificate files. Out: a running [`Server`](chat_net::server::Server), log lines on
//! stdout, an exit code.
//! Invariants: nothing listens unless everything that it needs is there; the health check says 200 only while clients
//! are welcome; SIGTERM ends with everything stored and exit code 0; no password or key is ever logged.
//! Not here: what a stream means (chat-core), sockets and stores (chat-net), reading settings (`config`).

mod backdoor;
mod certificates;
mod cluster;
mod demo;
mod descriptors;
mod domains;
mod drain;
mod http;
mod keys;
mod link_certificates;
mod log;
mod node;
mod operator;
mod signals;
mod watch;
mod web;

use std::time::{Duration, Instant};

use chat_net::server::ServerHandle;

use tokio::time::MissedTickBehavior;

use self::drain::Cause;
use self::node::Node;
use self::operator::{follow_role, report_drains, report_health};
use self::signals::{Signal, Signals, Tell, tell_manager};
use crate::Failure;
use crate::admin::DrainOrder;
use crate::config::Config;

pub use self::web::HEALTH_CHECK;

/// Between looks at the certificates' files.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between questions which mechanisms can be offered.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Runs a node until it is told to stop, and then ends it in good order.
///
/// # Errors
/// It could not start, or has ended by itself.
pub fn run(config: &Config) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(config))
}

/// Keeps the offered SASL mechanisms to what the accounts have keys for: commands change those under a running server.
async fn offers(handle: ServerHandle) {
    let mut pause = ASK_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        let begun = Instant::now();
        let handle = handle.clone();
        let asked = tokio::task::spawn_blocking(move || handle.refresh_mechanisms()).await;
        if let Err(error) = asked {
            tracing::warn!(%error, "the authenticators cannot be asked for their mechanisms");
        }
        // Never more than one hundredth of the time, however many accounts there are to look at.
        pause = ASK_EVERY.max(begun.elapsed() * 100);
    }
}

async fn serve(config: &Config) -> Result<(), Failure> {
    log::init(&config.log)?;
    // Before anything is open, so that whoever asks early for the end gets a proper one.
    let mut signals = Signals::new()?;
    descriptors::raise();
    let mut node = Node::start(config)?;
    tell_manager(Tell::Ready);
    let offers = tokio::spawn(offers(node.handle.clone()));
    let reports = tokio::spawn(report_drains(node.operator.clone()));
    let health = tokio::spawn(report_health(node.operator.clone()));
    let roles = tokio::spawn(follow_role(node.operator.clone()));
    let mut signalled = false;
    until_drained(&mut node, &mut signals, &mut signalled).await?;
    tell_manager(Tell::Stopping);
    offers.abort();
    let operator = node.operator.clone();
    if operator.begin_leaving().await {
        until_empty(&node, &mut signals, &mut signalled).await;
    }
    operator.drain.close(operator.tally().await);
    // The listeners close, and streams end with `system-shutdown`. The health check says 503, and goes on saying so to the end.
    let shutdown = node.handle.shutdown();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            signal = signals.next() => if let Signal::Stop(name) = signal {
                stop(&node, &mut signalled, name);
            },
        }
    }
    health.abort();
    reports.abort();
    roles.abort();
    tracing::info!("shut down");
    Ok(())
}

/// Runs until somebody asked for the end and the grace is over.
async fn until_drained(node: &mut Node, signals: &mut Signals, signalled: &mut bool) -> Result<(), Failure> {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let closed = node.handle.closed();
    tokio::pin!(closed);
    let operator = node.operator.clone();
    let over = operator.drain.grace_is_over();
    tokio::pin!(over);
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop(name) => stop(node, signalled, name),
                Signal::Reload => node.reload_certificates(),
            },
            _ = look.tick() => node.look_at_certificates(),
            () = &mut over => return Ok(()),
            () = &mut closed => return Err(node.why_it_ended()),
        }
    }
}

/// Runs until the sessions have left for other nodes, or have had their time.
async fn until_empty(node: &Node, signals: &mut Signals, signalled: &mut bool) {
    let (closed, empty) = (node.handle.closed(), node.operator.until_empty());
    tokio::pin!(closed, empty);
    loop {
        tokio::select! {
            signal = signals.next() => if let Signal::Stop(name) = signal {
                stop(node, signalled, name);
            },
            () = &mut empty => return,
            () = &mut closed => return,
        }
    }
}

/// A signal asks for the end. It begins the drain, or joins the one that there is; a second one ends at once.
fn stop(node: &Node, signalled: &mut bool, name: &'static str) {
    if std::mem::replace(signalled, true) {
        tracing::warn!(reason = name, "ending at once");
        std::process::exit(1);
    }
    tracing::info!(reason = name, "shutting down; once more ends at once");
    node.operator.begin_drain(Cause::Signal(name), DrainOrder::default());
}
