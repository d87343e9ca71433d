//! `chat serve`.

use std::process::ExitCode;

use clap::Args;

use super::{ConfigOptions, check};
use crate::config::load;
use crate::serve;

/// Flags of `chat serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    config: ConfigOptions,
}

pub(super) fn run(args: &ServeArgs) -> ExitCode {
    match args.config.sources().and_then(|sources| load(&sources)) {
        Ok(config) => serve::run(&config),
        Err(errors) => check::report(&errors),
    }
}
