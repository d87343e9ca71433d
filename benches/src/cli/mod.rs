//! The command line of `chat-load`.
//!
//! Owns: the options, choosing the mode, what goes to which stream, the exit code.
//! In: arguments. Out: 0 if the run went well and everything arrived, 1 if something did not or the run came to nothing,
//! 2 if the options make no sense.
//! Not here: what the modes do (`work`), how reports look (`report`).

mod options;
mod spawn;
mod swarm;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use clap::Parser as _;

use crate::relay::Relay;
use crate::report::{Report, plot};
use crate::work::{Failure, chat, idle, login, presence};
use options::{Command, Line};

/// Runs the program.
#[must_use]
pub fn run() -> ExitCode {
    let report = match Line::parse().command {
        Command::Login(args) => args.common.target().and_then(|(t, _relay)| login::run(&t, &args.options())),
        Command::Idle(args) => args.common.target().and_then(|(t, _relay)| idle::run(&t, &args.options())),
        Command::Chat(args) => {
            args.common.target().and_then(|(t, _relay)| chat::run(&t, &args.options(None)))
        }
        Command::Sm(args) => {
            let every = Some(args.every);
            args.chat.common.target().and_then(|(t, _relay)| chat::run(&t, &args.chat.options(every)))
        }
        Command::Presence(args) => {
            args.common.target().and_then(|(t, _relay)| presence::run(&t, &args.options()))
        }
        Command::Swarm(args) => return swarm::swarm(args),
        Command::Relay(args) => return relay(&args),
        Command::Plot(args) => return plots(&args),
    };
    match report {
        Ok(report) => print(&report),
        Err(failure) => {
            eprintln!("chat-load: {failure}");
            ExitCode::from(if matches!(failure, Failure::Options(_)) { 2 } else { 1 })
        }
    }
}

fn print(report: &Report) -> ExitCode {
    eprint!("{report}");
    // Whoever reads the line may have gone: that is no reason to panic.
    let _ = writeln!(std::io::stdout(), "{}", report.json());
    if report.faults.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn relay(args: &options::RelayArgs) -> ExitCode {
    let served = Relay::bind(args.listen, args.fault).and_then(|mut relay| {
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{} {}", relay.address(), std::process::id())?;
        stdout.flush()?;
        crate::net::descriptors::provide(args.connections)?;
        relay.run(&AtomicBool::new(false))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plots(args: &options::PlotArgs) -> ExitCode {
    match draw(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn draw(args: &options::PlotArgs) -> std::io::Result<()> {
    let named =
        |path: &std::path::Path, why: String| std::io::Error::other(format!("{}: {why}", path.display()));
    let mut runs = Vec::new();
    for path in &args.runs {
        let text = std::fs::read_to_string(path).map_err(|e| named(path, e.to_string()))?;
        runs.extend(plot::read(&text).map_err(|e| named(path, e))?);
    }
    for (path, svg, what) in [
        (&args.latency, plot::latency(&runs), "no latencies"),
        (&args.memory, plot::memory(&runs), "no memory curve"),
    ] {
        let Some(path) = path else { continue };
        let svg = svg.ok_or_else(|| named(path, format!("{what} among {} runs", runs.len())))?;
        std::fs::write(path, svg).map_err(|e| named(path, e.to_string()))?;
    }
    Ok(())
}
