//! Why a run came to nothing.

use std::io;

use crate::xmpp::{Malformed, User};

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The system refused.
    #[error("{0}")]
    System(#[from] io::Error),
    /// A user could not log in.
    #[error("user {} could not log in: {why}", .user.0)]
    Login {
        /// Who.
        user: User,
        /// What the server said, or what happened.
        why: String,
    },
    /// A session ended that should not have.
    #[error("the server has closed the session of user {}{}", .user.0, shown(.last))]
    Closed {
        /// Whose.
        user: User,
        /// What the server said last, if it said anything.
        last: String,
    },
    /// The server speaks something else.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// Nothing came for long.
    #[error("{0}")]
    Silence(String),
    /// This cannot be asked for.
    #[error("{0}")]
    Options(String),
}

fn shown(last: &str) -> String {
    if last.is_empty() { String::new() } else { format!(": {last}") }
}
