//! `chat check`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;

use super::{ConfigOptions, EXIT_CONFIG, print};
use crate::config::{Config, ConfigError, example, load, reference};

/// Values longer than this many characters do not push the origins of all others to the right.
const VALUE_COLUMN_MAX: usize = 48;

/// Flags of `chat check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigOptions,
    /// Print the reference of all settings instead (Markdown)
    #[arg(long, conflicts_with = "example")]
    reference: bool,
    /// Print a commented configuration file with all defaults instead (TOML)
    #[arg(long)]
    example: bool,
}

pub(super) fn run(args: &CheckArgs) -> ExitCode {
    if args.reference {
        return print(reference().as_bytes());
    }
    if args.example {
        return print(example().as_bytes());
    }
    match args.config.sources().and_then(|sources| load(&sources)) {
        Ok(config) => {
            for note in &config.notes {
                let _ = writeln!(io::stderr(), "note: {note}");
            }
            print(table(&config).as_bytes())
        }
        Err(errors) => report(&errors),
    }
}

/// Prints what is wrong with the configuration, one line for each fault.
pub fn report(errors: &[ConfigError]) -> ExitCode {
    let mut text = String::new();
    for e in errors {
        let _ = writeln!(text, "error: {e}");
    }
    let what = if errors.len() == 1 { "one error" } else { &format!("{} errors", errors.len()) };
    let _ = writeln!(text, "the configuration has {what}");
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(EXIT_CONFIG)
}

fn table(config: &Config) -> String {
    let rows: Vec<[String; 3]> = config
        .effective()
        .map(|e| [e.name, if e.value.is_empty() { "-".into() } else { e.value }, e.origin.to_string()])
        .collect();
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let (name_width, value_width) = (width(0), width(1).min(VALUE_COLUMN_MAX));
    let mut out = String::new();
    for [name, value, origin] in &rows {
        let _ = writeln!(out, "{name:name_width$}  {value:value_width$}  {origin}");
    }
    out
}
