//! `chat serve`.

use std::process::ExitCode;

use clap::Args;

use super::{ConfigOptions, with_config};
use crate::serve;

/// Flags of `chat serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    config: ConfigOptions,
}

pub(super) fn run(args: &ServeArgs) -> ExitCode {
    with_config(&args.config, serve::run)
}
