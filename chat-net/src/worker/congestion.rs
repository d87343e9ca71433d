//! When a worker, or the thread of the cluster, cannot keep up with the mail of others: who feeds it is slowed, and nobody
//! else.

use chat_core::base::{Key, Mono, Now, Span};

use super::{READS_PER_TURN, Worker};

/// Bytes of mail that may wait at a worker before those who feed it are slowed.
pub(super) const CONGESTED_BYTES: usize = 1024 * 1024;
/// Bytes of mail waiting at a worker from which on the others read nothing at all: even if each of their connections
/// feeds it for the first time, its memory stays within bounds.
const OVERWHELMED_BYTES: usize = 16 * 1024 * 1024;
/// How long connections are held before the worker looks again.
const PAUSE: Span = Span::millis(2);

/// How the others fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Congestion {
    /// All keep up.
    None,
    /// Connections that feed the slow one are held, each after the read that shows it.
    Some,
    /// Nothing is read.
    Hard,
}

impl Worker {
    /// How the other workers fare. Connections that were held go on when all keep up again.
    pub(super) fn congestion(&mut self) -> Congestion {
        let others =
            self.shared.inboxes.iter().enumerate().filter(|(index, _)| *index != usize::from(self.id.0));
        let cluster = self.shared.post.iter().map(|post| post.mail_bytes());
        let most = others.map(|(_, inbox)| inbox.mail_bytes()).chain(cluster).max().unwrap_or(0);
        if most > OVERWHELMED_BYTES {
            return Congestion::Hard;
        }
        if most > CONGESTED_BYTES {
            return Congestion::Some;
        }
        for key in std::mem::take(&mut self.held) {
            if let Some(conn) = self.conns.get_mut(key) {
                conn.held = false;
                self.requeue(key);
            }
        }
        Congestion::None
    }

    /// When to look again, if anything is held.
    pub(super) fn congestion_pause(&self, now: Now, congestion: Congestion) -> Option<Mono> {
        (congestion == Congestion::Hard || !self.held.is_empty()).then(|| now.mono + PAUSE)
    }

    /// Reads ready connections, and holds those whose stanzas go to a worker that cannot keep up.
    pub(super) fn read_carefully(&mut self, now: Now) {
        self.carry_out_all(now);
        for _ in 0..READS_PER_TURN {
            let Some(key) = self.list.pop_front() else { return };
            self.fed_congested = false;
            self.serve(now, key);
            self.carry_out_all(now);
            if self.fed_congested
                && let Some(conn) = self.conns.get_mut(key)
                && !conn.held
            {
                conn.held = true;
                self.held.push(key);
            }
        }
    }

    /// Writes ready connections that were blocked, and leaves them on the list to be read later.
    pub(super) fn only_write(&mut self, now: Now) {
        let ready: Vec<Key> = self.list.iter().copied().collect();
        for key in ready {
            if let Some(conn) = self.conns.get_mut(key)
                && conn.blocked
            {
                conn.blocked = false;
                self.flush(now, key);
            }
        }
    }
}
