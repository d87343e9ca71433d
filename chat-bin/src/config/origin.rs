//! Where a value came from, and what is wrong with it.

use std::fmt;
use std::path::PathBuf;

/// The place that gave a setting its value, as an operator would name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A configuration file, an overlay or a file of the override directory.
    File {
        /// The path as it was given.
        path: PathBuf,
        /// The line, counted from one; 0 means the file as a whole.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A command line flag, with its dashes.
    Flag(String),
    /// A file that holds a secret, named by a `…_file` setting.
    SecretFile {
        /// The path as it was given.
        path: PathBuf,
        /// Where the path came from.
        named_by: Box<Origin>,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line: 0 } => write!(f, "{}", path.display()),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(flag) => write!(f, "flag {flag}"),
            Origin::SecretFile { path, named_by } => write!(f, "{} ({named_by})", path.display()),
        }
    }
}

/// One thing wrong with the configuration. Its text never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The place to mend.
    pub origin: Origin,
    /// What is wrong, with the setting's name.
    pub message: String,
}

impl ConfigError {
    pub(crate) fn new(origin: Origin, message: impl Into<String>) -> Self {
        ConfigError { origin, message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

impl std::error::Error for ConfigError {}
