//! What the sessions do: one file for each mode.
//!
//! Owns: the modes, the order in which their parts happen (log in, warm up, measure, drain, leave), and the check that
//! everything arrived exactly once and in order.
//! In: options, connections with something to read. Out: a `Report`.
//! Invariants: what is measured is cut out of a steady run: sending goes on at both of its ends. A message that does not
//! arrive never stops the run; it is reported.
//! Not here: how to log in (`xmpp`), sockets (`net`), figures about processes (`measure`).

mod acks;
pub mod chat;
mod course;
mod failure;
mod friends;
pub mod idle;
mod leave;
mod ledger;
mod letter;
pub mod login;
mod pace;
pub mod presence;
mod ramp;
mod target;

pub use course::{Flow, Times};
pub use failure::Failure;
pub use ledger::Faults;
pub use ramp::Session;
pub use target::Target;

use crate::net::Read;
use crate::xmpp::{Stanza, Token};

/// A table by connection of what each session is for, which its place says.
fn roles<R: Copy>(sessions: &[Session], role: impl Fn(usize) -> R) -> Vec<Option<R>> {
    let length = sessions.iter().map(|s| s.conn.index() + 1).max().unwrap_or(0);
    let mut table = vec![None; length];
    for (n, session) in sessions.iter().enumerate() {
        table[session.conn.index()] = Some(role(n));
    }
    table
}

/// A child of the stream. That the stream ends is a failure.
fn child(token: Token<'_>) -> Result<Stanza<'_>, Failure> {
    match token {
        Token::Stanza(stanza) if stanza.name != b"error" => Ok(stanza),
        Token::Stanza(error) => {
            let said = String::from_utf8_lossy(error.bytes);
            Err(Failure::Silence(format!("the server ended a stream: {said}")))
        }
        Token::Header | Token::End => Err(Failure::Silence("the server ended a stream".to_owned())),
    }
}

/// That a connection ends is a failure, too.
fn closed(read: Read, whose: impl Fn() -> String) -> Result<(), Failure> {
    match read {
        Read::Open => Ok(()),
        Read::Closed => Err(Failure::Silence(format!("the server has cut the connection of {}", whose()))),
    }
}
