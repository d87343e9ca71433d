//! Where log lines go and how they look.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::Failure;
use crate::config::{Log, LogFormat};

/// Sets up the log of this process: lines on stdout.
///
/// # Errors
/// The level is none, or there is a log already.
pub(super) fn init(log: &Log) -> Result<(), Failure> {
    let filter =
        EnvFilter::try_new(&log.level).map_err(|error| Failure::new(format!("log.level: {error}")))?;
    let terminal = io::stdout().is_terminal();
    // A log that cannot be written, as when its reader is gone, is no reason to write elsewhere, nor to stop.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stdout)
        .with_ansi(terminal)
        .log_internal_errors(false);
    let text = match log.format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let done = if text {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    done.map_err(|error| Failure::new(error.to_string()))
}
