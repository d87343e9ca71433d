//! `chat ctl`: one question or order to a running node, over its backdoor.

mod table;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use hyper::Method;
use serde::Serialize;

use super::healthcheck::reachable;
use super::{ConfigOptions, print, with_config};
use crate::Failure;
use crate::admin::{
    Client, ClientError, DRAIN, DrainOrder, DrainStatus, NodeStatus, PROMOTE, Role, STATUS, STEP_BACK, Status,
};
use crate::config::{Config, Secret};

/// Between looks at a drain that is waited for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes of a file with a token.
const TOKEN_BYTES_MAX: u64 = 4096;

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum CtlCommand {
    /// Show the node and all others of its cluster, as the node sees them
    Status {
        #[command(flatten)]
        node: NodeOptions,
    },
    /// Send the clients away at a measured pace, then end the server
    ///
    /// The health check says 503 at once. After the grace the listeners close and the sessions go to other nodes; a lone
    /// node closes them. SIGTERM does the same; whoever asks while the node drains joins the same drain.
    Drain {
        #[command(flatten)]
        order: OrderOptions,
        /// Wait until the server has ended, and say how far it is
        #[arg(long, conflicts_with = "cancel")]
        wait: bool,
        /// Call a drain off, while its grace lasts
        #[arg(long, conflicts_with_all = ["grace", "rate", "deadline"])]
        cancel: bool,
        #[command(flatten)]
        node: NodeOptions,
    },
    /// Make a standby node active: it takes clients from now on
    Promote {
        #[command(flatten)]
        node: NodeOptions,
    },
    /// Make an active node a standby node: its sessions leave as in a drain, and then it waits until it is needed
    StepBack {
        #[command(flatten)]
        node: NodeOptions,
    },
}

/// Which node, and how it answers.
#[derive(Debug, Args)]
pub struct NodeOptions {
    /// The node's backdoor, http://HOST[:PORT] [default: the first address of listen.admin]
    #[arg(long)]
    url: Option<String>,
    /// A file with the token of that backdoor [default: admin.token of the configuration]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigOptions,
}

/// How to drain.
#[derive(Debug, Args)]
pub struct OrderOptions {
    /// Seconds for which the health check says 503 before anything else happens [default: drain.grace of the server]
    #[arg(long, value_name = "SECONDS")]
    grace: Option<f64>,
    /// Sessions that leave in a second [default: drain.rate of the server]
    #[arg(long, value_name = "SESSIONS")]
    rate: Option<u32>,
    /// Seconds after the grace after which the rest leaves at once [default: drain.deadline of the server]
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<f64>,
}

pub(super) fn run(command: &CtlCommand) -> ExitCode {
    match command {
        CtlCommand::Status { node } => with_node(node, async |client| {
            let status: Status = client.ask(Method::GET, STATUS, None).await?;
            say(node, &status, || table::status(&status));
            Ok(())
        }),
        CtlCommand::Drain { order, wait, cancel, node } => with_node(node, async |client| match cancel {
            true => {
                let status: NodeStatus = client.ask(Method::DELETE, DRAIN, None).await?;
                say(node, &status, || format!("{} stays\n", status.name));
                Ok(())
            }
            false => drain(&client, node, order, *wait).await,
        }),
        CtlCommand::Promote { node } => with_node(node, async |client| {
            let status: NodeStatus = client.ask(Method::POST, PROMOTE, None).await?;
            say(node, &status, || format!("{} is active\n", status.name));
            Ok(())
        }),
        CtlCommand::StepBack { node } => with_node(node, async |client| {
            let status: NodeStatus = client.ask(Method::POST, STEP_BACK, None).await?;
            say(node, &status, || match status.role {
                Role::Active => format!("{} steps back\n", status.name),
                Role::Standby => format!("{} is on standby\n", status.name),
            });
            Ok(())
        }),
    }
}

async fn drain(client: &Client, node: &NodeOptions, order: &OrderOptions, wait: bool) -> Result<(), Failure> {
    let OrderOptions { grace, rate, deadline } = *order;
    let body = serde_json::to_vec(&DrainOrder { grace, rate, deadline })?;
    let mut drain: DrainStatus = client.ask(Method::POST, DRAIN, Some(body)).await?;
    say(node, &drain, || table::drain(&drain));
    if !wait {
        return Ok(());
    }
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match client.ask::<Status>(Method::GET, STATUS, None).await {
            Ok(Status { node: NodeStatus { drain: Some(now), .. }, .. }) => {
                if now != drain {
                    say(node, &now, || table::drain(&now));
                }
                drain = now;
            }
            Ok(_) => return Err(Failure::new("the drain was called off")),
            // A process that ends may do so in the middle of an answer.
            Err(ClientError::Unreachable { .. } | ClientError::Strange { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Does something with the node that is meant.
fn with_node(options: &NodeOptions, ask: impl AsyncFnOnce(Client) -> Result<(), Failure>) -> ExitCode {
    with_config(&options.config, |config| {
        let client = options.client(config)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(ask(client))
    })
}

fn say(node: &NodeOptions, document: &impl Serialize, text: impl FnOnce() -> String) {
    let text = match node.json {
        true => serde_json::to_string(document).map(|json| json + "\n").unwrap_or_default(),
        false => text(),
    };
    print(text.as_bytes());
}

impl NodeOptions {
    fn client(&self, config: &Config) -> Result<Client, Failure> {
        let token = match &self.token_file {
            Some(path) => Some(read_token(path)?),
            None => config.admin_token.clone(),
        };
        if let Some(url) = &self.url {
            return Client::parse(url, token)
                .ok_or_else(|| Failure::new(format!("{url} is not of the form http://HOST[:PORT]")));
        }
        let first = config.listen.admin.first().copied();
        let address = first.ok_or_else(|| {
            Failure::new("listen.admin is empty: say with --url where the server has its backdoor")
        })?;
        if address.port() == 0 {
            return Err(Failure::new(
                "listen.admin has port 0: say with --url where the server has its backdoor",
            ));
        }
        Ok(Client::at(reachable(address), token))
    }
}

fn read_token(path: &std::path::Path) -> Result<Secret, Failure> {
    let failed = |error: io::Error| Failure::new(format!("{}: {error}", path.display()));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    io::Read::read_to_string(&mut io::Read::take(file, TOKEN_BYTES_MAX), &mut text).map_err(failed)?;
    match text.trim() {
        "" => Err(Failure::new(format!("{}: there is no token in it", path.display()))),
        token => Ok(Secret::new(token)),
    }
}
