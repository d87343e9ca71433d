//! Whom to load, and as whom.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::measure::Server;
use crate::xmpp::{Mechanism, Plan, Security};

/// The server and its accounts.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where users with odd numbers connect instead, if the server is two nodes of a cluster: each pair then talks from one to
    /// the other.
    pub peer: Option<SocketAddr>,
    /// Its process, if it may be looked at.
    pub server: Option<Server>,
    /// The domain of the accounts.
    pub domain: String,
    /// What stands before the number in their names.
    pub prefix: String,
    /// The number of the first.
    pub first: u32,
    /// The password of them all.
    pub password: String,
    /// What is under the stream.
    pub security: Security,
    /// How to log in.
    pub mechanism: Mechanism,
    /// Whether to register the accounts in-band.
    pub register: bool,
    /// How many logins may be under way at once.
    pub parallel: usize,
    /// A name for this run in its report.
    pub label: String,
}

impl Target {
    /// An unencrypted server at this address with accounts `user0@localhost` and so on, password `password`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Target {
        Target {
            address,
            peer: None,
            server: None,
            domain: "localhost".to_owned(),
            prefix: "user".to_owned(),
            first: 0,
            password: "password".to_owned(),
            security: Security::None,
            mechanism: Mechanism::Plain,
            register: false,
            parallel: 16,
            label: String::new(),
        }
    }

    /// How its accounts log in, without presence and roster.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            domain: self.domain.clone(),
            prefix: self.prefix.clone(),
            password: self.password.clone(),
            resource: "load".to_owned(),
            security: self.security,
            mechanism: self.mechanism,
            register: self.register,
            manage: false,
            presence: false,
            roster: 0,
            run: run_number(),
            keys: HashMap::new(),
        }
    }
}

/// Another one for each run, so that leftovers of one run are not taken for messages of the next.
#[allow(clippy::cast_possible_truncation, reason = "the low bits are those that differ")]
fn run_number() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (since.as_nanos() as u64 / 1_000) as u32 ^ std::process::id().rotate_left(20)
}
