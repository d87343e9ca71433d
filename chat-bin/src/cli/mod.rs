//! The command line: what can be typed, and which part of the program answers.
//!
//! Owns: subcommands, flags, exit codes. In: the process's arguments. Out: text on stdout, complaints on stderr, an
//! exit code: 0 done, 1 failed, 2 the command line or the configuration is wrong. Not here: what
//! settings mean (`config`).

mod check;
mod ctl;
mod healthcheck;
mod options;
mod serve;
mod user;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

pub use options::ConfigOptions;

use crate::Failure;
use crate::config::{Config, load};

/// The exit code for a wrong command line or configuration, clap's own for the former.
pub const EXIT_CONFIG: u8 = 2;

/// An XMPP chat server.
#[derive(Debug, Parser)]
#[command(name = "chat", version = version(), arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node in the foreground
    ///
    /// Logs to stdout. SIGTERM and Ctrl-C drain the node (the health check says 503, then all streams are closed properly and
    /// what is to be stored is), which ends with exit code 0; a second one ends at once. SIGHUP loads the certificates again, which happens anyway when their files change.
    Serve(serve::ServeArgs),
    /// Check the configuration and print every effective value with its origin
    ///
    /// Exits with 0 if the configuration is sound, and with 2 after printing all errors if it is not.
    Check(check::CheckArgs),
    /// Add, change, remove, list and import accounts, also while a server runs
    User {
        /// What to do.
        #[command(subcommand)]
        command: user::UserCommand,
    },
    /// Look at a running server and its cluster, drain it, promote it
    Ctl {
        /// What to ask.
        #[command(subcommand)]
        command: ctl::CtlCommand,
    },
    /// Ask a running server whether it wants traffic, for images without a shell
    ///
    /// Exits with 0 if it does, and with 1 after saying why not.
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Print a completion script for a shell
    ///
    /// For bash: chat completions bash > /etc/bash_completion.d/chat
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Runs the program with the process's arguments.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::User { command } => user::run(&command),
        Command::Ctl { command } => ctl::run(&command),
        Command::Healthcheck(args) => healthcheck::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Completions { shell } => {
            // Into memory first: a reader that stops early, as `head` does, is no failure.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "chat", &mut script);
            print(&script)
        }
    }
}

/// The version, and the commit where the build was told it.
fn version() -> &'static str {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    static TEXT: OnceLock<String> = OnceLock::new();
    match option_env!("CHAT_GIT_HASH").filter(|hash| !hash.is_empty()) {
        Some(hash) => TEXT.get_or_init(|| format!("{VERSION} ({hash})")),
        None => VERSION,
    }
}

/// Does something with the configuration, and says what went wrong.
fn with_config(options: &ConfigOptions, run: impl FnOnce(&Config) -> Result<(), Failure>) -> ExitCode {
    match options.sources().and_then(|sources| load(&sources)) {
        Err(errors) => check::report(&errors),
        Ok(config) => match run(&config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                let _ = writeln!(io::stderr(), "error: {failure}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Writes to stdout. A reader that went away is not an error of ours.
fn print(text: &[u8]) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "chat: cannot write: {e}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
