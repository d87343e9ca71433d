//! Why a command failed.
//!
//! Owns: the sentence that an operator reads, made of any error. Not here: what is wrong with the configuration
//! (`config`), and printing it (`cli`, `serve`).

use std::fmt;

/// Why a command failed: a sentence for the operator. Made of any error with `?`.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// With this sentence.
    pub fn new(sentence: impl Into<String>) -> Failure {
        Failure(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}
