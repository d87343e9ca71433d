//! `chat user`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{ConfigOptions, with_config};
use crate::users::{self, Import, Password};

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add an account
    Add(PasswordArgs),
    /// Give an account another password
    Passwd(PasswordArgs),
    /// Remove an account and everything kept for it; its sessions are closed within a second
    Remove(RemoveArgs),
    /// List the accounts, one a line
    List(ListArgs),
    /// Import accounts from lines of the form user:password
    ///
    /// The user is an address, or its part before the @ if one domain is served (--domain names one). Empty lines and
    /// lines that begin with # are skipped. Lines that cannot be used are named with their numbers and left out; the exit
    /// code is 1 then. May be stopped and started again: accounts that exist are left alone.
    Import(ImportArgs),
}

/// Flags of the commands that set a password.
#[derive(Debug, Args)]
pub struct PasswordArgs {
    /// The address, NAME@DOMAIN; NAME alone if one domain is served
    #[arg(value_name = "NAME@DOMAIN")]
    user: String,
    /// Read the password from the first line of the standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    config: ConfigOptions,
}

/// Flags of `chat user remove`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The address, NAME@DOMAIN; NAME alone if one domain is served
    #[arg(value_name = "NAME@DOMAIN")]
    user: String,
    #[command(flatten)]
    config: ConfigOptions,
}

/// Flags of `chat user list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those of this domain
    #[arg(value_name = "DOMAIN")]
    of: Option<String>,
    #[command(flatten)]
    config: ConfigOptions,
}

/// Flags of `chat user import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file; - is the standard input
    file: PathBuf,
    /// Give accounts that exist the passwords of the file
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    config: ConfigOptions,
}

impl PasswordArgs {
    fn password(&self) -> Password {
        if self.password_stdin { Password::Stdin } else { Password::Prompt }
    }
}

pub(super) fn run(command: &UserCommand) -> ExitCode {
    match command {
        UserCommand::Add(args) => {
            with_config(&args.config, |config| users::add(config, &args.user, args.password()))
        }
        UserCommand::Passwd(args) => {
            with_config(&args.config, |config| users::passwd(config, &args.user, args.password()))
        }
        UserCommand::Remove(args) => with_config(&args.config, |config| users::remove(config, &args.user)),
        UserCommand::List(args) => {
            with_config(&args.config, |config| users::list(config, args.of.as_deref()))
        }
        UserCommand::Import(args) => {
            let what = Import { file: args.file.clone(), replace: args.replace };
            with_config(&args.config, |config| users::import(config, &what))
        }
    }
}
