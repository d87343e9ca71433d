//! Leaving as clients should: the stream is closed, so that no session waits to be resumed.

use std::time::{Duration, Instant};

use super::ramp::Session;
use crate::net::{Hub, Read};
use crate::xmpp::Input;

/// Servers that do not close their side within this are left alone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Closes all sessions. What goes wrong now is of no interest any more.
pub fn leave(hub: &mut Hub, sessions: &[Session], input: &mut Input) {
    let begun = Instant::now();
    let mut open = 0usize;
    for session in sessions {
        if hub.send(session.conn, b"</stream:stream>").is_ok() {
            open += 1;
        }
    }
    let mut ready = Vec::new();
    while open > 0 && begun.elapsed() < PATIENCE {
        if hub.wait(Some(Duration::from_millis(100)), &mut ready).is_err() {
            return;
        }
        for conn in &ready {
            if matches!(hub.read(*conn, input), Ok(Read::Open)) {
                continue;
            }
            hub.close(*conn);
            open -= 1;
        }
    }
}
