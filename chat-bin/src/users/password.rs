//! Where a password comes from.

use std::io::{self, IsTerminal as _, Read as _};

use chat_core::jid::BareJid;
use chat_core::sasl::Secret;

use super::first_line;
use crate::Failure;

/// More is no password.
const INPUT_BYTES_MAX: u64 = 64 * 1024;

/// Where a password comes from. Never the command line: other users of the machine see that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password {
    /// The first line of the standard input.
    Stdin,
    /// A person, who is asked twice.
    Prompt,
}

impl Password {
    pub(super) fn read(self, user: &BareJid) -> Result<Secret, Failure> {
        match self {
            Password::Stdin => {
                let mut text = String::new();
                io::stdin().take(INPUT_BYTES_MAX).read_to_string(&mut text)?;
                Ok(first_line(text))
            }
            Password::Prompt if !io::stdin().is_terminal() => Err(Failure::new(
                "there is no terminal to ask for the password: give it with --password-stdin",
            )),
            Password::Prompt => {
                let first = Secret::new(rpassword::prompt_password(format!("Password of {user}: "))?);
                let second = Secret::new(rpassword::prompt_password("The same again: ")?);
                match first.expose() == second.expose() {
                    true => Ok(first),
                    false => Err(Failure::new("the two passwords differ; nothing was changed")),
                }
            }
        }
    }
}
