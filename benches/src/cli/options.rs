//! The options of each mode.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::spawn::SpawnedRelay;
use super::swarm::SwarmArgs;
use crate::measure::Server;
use crate::relay::Fault;
use crate::work::{Failure, Flow, Target, Times, chat, idle, login, presence};
use crate::xmpp::{Mechanism, Security};

/// Loads an XMPP server, and says what that cost it. One line of JSON goes to standard output, a table to standard error.
#[derive(Debug, Parser)]
#[command(name = "chat-load", version)]
pub(super) struct Line {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Logs in and out, as fast as `--parallel` logins at a time can.
    Login(LoginArgs),
    /// Brings up sessions that do nothing, and measures the memory they take.
    Idle(IdleArgs),
    /// Sends messages over pairs of sessions: with a window, or at a fixed rate.
    Chat(ChatArgs),
    /// The same with stream management (XEP-0198) on both sides.
    Sm(SmArgs),
    /// Everybody changes their status, which everybody else in their group gets to see.
    Presence(PresenceArgs),
    /// Users in constant conversation at the nodes of a cluster, who come back whatever happens. Does what it reads from standard
    /// input, a line for each order, and answers each with a line of JSON.
    Swarm(SwarmArgs),
    /// A server that only forwards: what the sockets of this machine allow. Prints its address and its process.
    Relay(RelayArgs),
    /// Draws runs side by side, as SVG.
    Plot(PlotArgs),
}

#[derive(Debug, Args)]
pub(super) struct Common {
    /// Where the server listens for clients.
    #[arg(long, default_value = "127.0.0.1:5222", value_name = "HOST:PORT")]
    server: String,
    /// Its process, to measure its CPU and memory.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Where another node of its cluster listens: users with odd numbers connect there, so that each pair of users talks from
    /// node to node.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "relay")]
    peer_server: Option<String>,
    /// The process of that node: what is measured is both together.
    #[arg(long, value_name = "PID", requires_all = ["peer_server", "server_pid"])]
    peer_server_pid: Option<u32>,
    /// Count the processes that it has started, too.
    #[arg(long, requires = "server_pid")]
    children: bool,
    /// Load a relay that is started for this run, instead of a server.
    #[arg(long, conflicts_with_all = ["server", "server_pid", "security", "mechanism", "register"])]
    relay: bool,
    /// The domain of the accounts.
    #[arg(long, default_value = "localhost")]
    domain: String,
    /// The accounts are called so, with a number behind it.
    #[arg(long, default_value = "user", value_name = "PREFIX")]
    user: String,
    /// The number of the first account; even.
    #[arg(long, default_value_t = 0)]
    first: u32,
    /// The password of all accounts.
    #[arg(long, default_value = "password")]
    password: String,
    /// What is under the streams.
    #[arg(long, value_enum, default_value_t)]
    security: Security,
    /// How to log in.
    #[arg(long, value_enum, default_value_t)]
    mechanism: Mechanism,
    /// Register accounts that do not exist yet (XEP-0077).
    #[arg(long)]
    register: bool,
    /// Logins that are under way at once.
    #[arg(long, default_value_t = 16)]
    parallel: usize,
    /// What to call this run in its report.
    #[arg(long, default_value = "")]
    label: String,
}

impl Common {
    /// The server, and the relay that must live as long as the run.
    pub(super) fn target(&self) -> Result<(Target, Option<SpawnedRelay>), Failure> {
        let relay = if self.relay { Some(SpawnedRelay::start()?) } else { None };
        let pid = relay.as_ref().map(SpawnedRelay::pid).or(self.server_pid);
        let target = Target {
            address: match &relay {
                Some(relay) => relay.address,
                None => address(&self.server)?,
            },
            peer: self.peer_server.as_deref().map(address).transpose()?,
            server: pid.map(|pid| Server { pid, peer: self.peer_server_pid, children: self.children }),
            domain: self.domain.clone(),
            prefix: self.user.clone(),
            first: self.first,
            password: self.password.clone(),
            security: self.security,
            mechanism: if self.relay { Mechanism::Plain } else { self.mechanism },
            register: self.register,
            parallel: self.parallel.max(1),
            label: self.label.clone(),
        };
        Ok((target, relay))
    }
}

fn address(server: &str) -> Result<SocketAddr, Failure> {
    let unknown = |why: String| Failure::Options(format!("{server}: {why}"));
    let mut found = server.to_socket_addrs().map_err(|e| unknown(e.to_string()))?;
    found.next().ok_or_else(|| unknown("no address".to_owned()))
}

#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    #[command(flatten)]
    pub(super) common: Common,
    /// Accounts that take turns.
    #[arg(long, default_value_t = 200)]
    users: u32,
    /// Become available, too, before leaving.
    #[arg(long)]
    presence: bool,
    #[command(flatten)]
    time: Time,
}

impl LoginArgs {
    pub(super) fn options(&self) -> login::Options {
        login::Options { users: self.users, presence: self.presence, times: self.time.times() }
    }
}

#[derive(Debug, Args)]
pub(super) struct Time {
    /// Seconds to measure.
    #[arg(long, default_value = "10", value_parser = seconds, value_name = "SECONDS")]
    duration: Duration,
    /// Seconds before that.
    #[arg(long, default_value = "2", value_parser = seconds, value_name = "SECONDS")]
    warm_up: Duration,
}

impl Time {
    fn times(&self) -> Times {
        Times { warm_up: self.warm_up, duration: self.duration, ..Times::default() }
    }
}

#[derive(Debug, Args)]
pub(super) struct IdleArgs {
    #[command(flatten)]
    pub(super) common: Common,
    /// Sessions to measure.
    #[arg(long, default_value_t = 1000)]
    sessions: u32,
    /// Sessions before them, which make the server grow what it grows once.
    #[arg(long, default_value_t = 100)]
    before: u32,
    /// Contacts in each roster; they are added where they are missing.
    #[arg(long, default_value_t = 0)]
    roster: u32,
    /// Do not become available.
    #[arg(long)]
    no_presence: bool,
    /// Seconds of idleness before the second measurement.
    #[arg(long, default_value = "10", value_parser = seconds, value_name = "SECONDS")]
    hold: Duration,
}

impl IdleArgs {
    pub(super) fn options(&self) -> idle::Options {
        idle::Options {
            sessions: self.sessions,
            before: self.before,
            roster: self.roster,
            presence: !self.no_presence,
            hold: self.hold,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct ChatArgs {
    #[command(flatten)]
    pub(super) common: Common,
    /// Pairs of a sender and a recipient: user 0 writes to user 1, user 2 to user 3.
    #[arg(long, default_value_t = 100)]
    pairs: u32,
    /// Messages of each pair that may be under way.
    #[arg(long, default_value_t = 16)]
    window: u64,
    /// No window, but so many messages per second in all, sent when they are due. Latency counts from then on.
    #[arg(long, conflicts_with = "window", value_name = "PER SECOND")]
    rate: Option<f64>,
    /// At a fixed rate: take a whole core rather than sleep until the next message is due.
    #[arg(long, requires = "rate")]
    spin: bool,
    /// Bytes of a message's body.
    #[arg(long, default_value_t = 100, value_name = "BYTES")]
    body: usize,
    /// Write to bare JIDs instead of full ones.
    #[arg(long)]
    to_bare: bool,
    #[command(flatten)]
    time: Time,
}

impl ChatArgs {
    pub(super) fn options(&self, ack_every: Option<u64>) -> chat::Options {
        chat::Options {
            pairs: self.pairs,
            flow: flow(self.rate, self.window),
            body_bytes: self.body,
            ack_every,
            to_bare: self.to_bare,
            times: Times { spin: self.spin, ..self.time.times() },
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct SmArgs {
    #[command(flatten)]
    pub(super) chat: ChatArgs,
    /// A request for acknowledgement after so many messages.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) every: u64,
}

#[derive(Debug, Args)]
pub(super) struct PresenceArgs {
    #[command(flatten)]
    pub(super) common: Common,
    /// Groups of users who are subscribed to each other; subscriptions are made where they are missing.
    #[arg(long, default_value_t = 20)]
    groups: u32,
    /// Contacts of each user: a group has one member more.
    #[arg(long, default_value_t = 10)]
    contacts: u32,
    /// Broadcasts of each user that may be under way to the slowest of the contacts.
    #[arg(long, default_value_t = 1)]
    window: u64,
    /// No window, but so many broadcasts per second in all, sent when they are due.
    #[arg(long, conflicts_with = "window", value_name = "PER SECOND")]
    rate: Option<f64>,
    /// At a fixed rate: take a whole core rather than sleep until the next broadcast is due.
    #[arg(long, requires = "rate")]
    spin: bool,
    #[command(flatten)]
    time: Time,
}

impl PresenceArgs {
    pub(super) fn options(&self) -> presence::Options {
        presence::Options {
            groups: self.groups,
            contacts: self.contacts,
            flow: flow(self.rate, self.window),
            times: Times { spin: self.spin, ..self.time.times() },
        }
    }
}

fn flow(rate: Option<f64>, window: u64) -> Flow {
    rate.map_or(Flow::Window(window), Flow::Rate)
}

#[derive(Debug, Args)]
pub(super) struct RelayArgs {
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
    pub(super) listen: SocketAddr,
    /// Connections that must be possible at once.
    #[arg(long, default_value_t = 4096)]
    pub(super) connections: u64,
    /// What goes wrong, and with every how many-th stanza: lose, double, swap, alter, stall (lose:100).
    #[arg(long, default_value = "none", value_parser = fault)]
    pub(super) fault: Fault,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("plots").required(true).multiple(true).args(["latency", "memory"]))]
pub(super) struct PlotArgs {
    /// Files of JSON lines, as other modes print them. Latencies of runs with the same label are added up.
    #[arg(required = true, value_name = "FILE")]
    pub(super) runs: Vec<PathBuf>,
    /// Where to draw how latencies are distributed.
    #[arg(long, value_name = "SVG")]
    pub(super) latency: Option<PathBuf>,
    /// Where to draw how memory grows with sessions.
    #[arg(long, value_name = "SVG")]
    pub(super) memory: Option<PathBuf>,
}

fn fault(text: &str) -> Result<Fault, String> {
    if text == "none" { Ok(Fault::None) } else { text.parse() }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_options_agree_with_each_other() {
        Line::command().debug_assert();
        let line = Line::parse_from(["chat-load", "sm", "--relay", "--rate", "400", "--every", "3"]);
        let Command::Sm(args) = line.command else { panic!("sm") };
        let options = args.chat.options(Some(args.every));
        assert_eq!((options.flow, options.ack_every), (Flow::Rate(400.0), Some(3)));
        assert!(Line::try_parse_from(["chat-load", "chat", "--rate", "4", "--window", "4"]).is_err());
        assert!(Line::try_parse_from(["chat-load", "chat", "--duration", "-1"]).is_err());
    }
}
