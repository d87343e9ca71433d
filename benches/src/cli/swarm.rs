//! The mode `swarm`: orders come from standard input, answers go to standard output.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc;

use clap::Args;

use crate::swarm::{Options, Order, run};
use crate::work::Target;
use crate::xmpp::Mechanism;

#[derive(Debug, Args)]
pub(super) struct SwarmArgs {
    /// Where a node listens for clients; once for each node.
    #[arg(long = "node", required = true, value_name = "ADDRESS:PORT")]
    nodes: Vec<SocketAddr>,
    /// Where a node answers the health check; once for each node, in the same order. Without any, clients go anywhere.
    #[arg(long, value_name = "ADDRESS:PORT")]
    web: Vec<SocketAddr>,
    /// Clients: `user0@localhost` and so on, all with the password `password`.
    #[arg(long, default_value_t = 100)]
    clients: u32,
    /// Messages that each sends in a second.
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// Whom each writes to: so many others, in turn.
    #[arg(long, default_value_t = 3)]
    partners: u32,
    /// Who has lost a connection comes back at any node, and not first where it was.
    #[arg(long)]
    roams: bool,
}

/// Runs it to the last order.
pub(super) fn swarm(args: SwarmArgs) -> ExitCode {
    let (tell, orders) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match line.parse::<Order>().map(|order| tell.send(order)) {
                Ok(Ok(())) => {}
                // The swarm has ended.
                Ok(Err(_)) => return,
                Err(error) => eprintln!("chat-load: {error}"),
            }
        }
    });
    let SwarmArgs { nodes, web, clients, rate, partners, roams } = args;
    let target = Target { mechanism: Mechanism::ScramSha1, ..Target::new(nodes[0]) };
    let options = Options { nodes, web, clients, rate, partners, roams };
    let answered = run(&target, &options, &orders, &mut |answer| {
        let mut out = std::io::stdout().lock();
        // Whoever asked may have gone: then the orders end, too.
        let _ = writeln!(out, "{answer}").and_then(|()| out.flush());
    });
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat-load: {error}");
            ExitCode::FAILURE
        }
    }
}
