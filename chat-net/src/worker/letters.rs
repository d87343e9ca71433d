//! What a worker does with its letters.

use std::io;
use std::sync::Arc;

use chat_core::base::{ConnId, Key, Now, RequestId};
use chat_core::effect::StoreResult;
use chat_core::engine::{Command, Input};

use super::conn::{Conn, Parcel, Phase};
use super::inbox::{Inbox, Letter, Wakeup};
use super::{BYTES_PER_TURN, HEADER_TIMEOUT, Worker};
use crate::net::{Detached, Socket};
use crate::store::StoreSink;

/// Where a store answers the `run`-th engine of a worker.
struct Sink {
    inbox: Arc<Inbox>,
    run: u64,
}

impl StoreSink for Sink {
    fn done(&self, batch: Vec<(RequestId, StoreResult)>) {
        self.inbox.post(Letter::Stored { run: self.run, batch });
    }
}

pub(super) fn sink(inbox: &Arc<Inbox>, run: u64) -> Arc<dyn StoreSink> {
    Arc::new(Sink { inbox: inbox.clone(), run })
}

fn refused(error: &io::Error) -> Option<Key> {
    tracing::error!(%error, "the reactor refuses a connection");
    None
}

impl Worker {
    /// Handles letters, as much mail of them as one turn may take: what it says is to be written before more of it
    /// comes, else a client would seem slow whom nobody wrote to.
    pub(super) fn handle_letters(&mut self, now: Now) {
        let mut left = BYTES_PER_TURN;
        while left > 0
            && let Some(letter) = self.letters.pop_front()
        {
            if let Letter::Mail { bytes, .. } | Letter::Cluster { bytes, .. } = &letter {
                left = left.saturating_sub(*bytes);
            }
            self.handle_letter(now, letter);
        }
    }

    fn handle_letter(&mut self, now: Now, letter: Letter) {
        match letter {
            Letter::Accepted { socket, listener, peer, proxied } => {
                if self.stop_at.is_some() {
                    return;
                }
                let phase = if proxied { Phase::Header(Vec::new()) } else { Phase::Open };
                let Some(key) =
                    self.insert(socket, |socket, wakeup| Conn::new(socket, wakeup, phase, listener, peer))
                else {
                    return;
                };
                match proxied {
                    true => self.headers.push_back((now.mono + HEADER_TIMEOUT, key)),
                    false => self.open(now, key),
                }
            }
            Letter::Adopt(parcel) => self.adopt(now, *parcel),
            Letter::Mail { from, mut batch, bytes } => {
                self.inbox.mail_handled(bytes);
                self.engine.handle(now, Input::Mail { from, batch: &mut batch });
                self.read_batches.push(batch);
            }
            Letter::Cluster { run, mut mail, bytes } => {
                self.inbox.mail_handled(bytes);
                if run == self.run {
                    self.engine.handle(now, Input::Cluster { mail: &mut mail });
                }
                mail.clear();
                self.read_node_mail.push(mail);
            }
            Letter::Stored { run, batch } if run == self.run => {
                for (id, result) in batch {
                    self.engine.handle(now, Input::Stored { id, result });
                }
            }
            Letter::Account { run, id, result } if run == self.run => {
                self.engine.handle(now, Input::Account { id, result });
            }
            // For an engine that is no more.
            Letter::Stored { .. } | Letter::Account { .. } => {}
            Letter::Command(command) => {
                match &command {
                    Command::Shutdown => self.stop(now),
                    Command::Drain { rate, within } => self.leaving = Some((*rate, now.mono + *within)),
                    Command::Stay => self.leaving = None,
                    _ => {}
                }
                self.engine.handle(now, Input::Command(command));
            }
            Letter::Survey(form) => form.fill(&self.engine),
            Letter::Nudge => {}
        }
    }

    /// A connection that lived on another worker.
    fn adopt(&mut self, now: Now, parcel: Parcel) {
        let Parcel { socket, listener, peer, tls, tail, state } = parcel;
        let inserted = self.insert(socket, |socket, wakeup| {
            let mut conn = Conn::new(socket, wakeup, Phase::Open, listener, peer);
            // Whatever is left to send goes out when the connection is served, like what was blocked.
            conn.blocked = !tail.is_empty();
            (conn.tls, conn.tail) = (tls, tail);
            conn
        });
        if let Some(key) = inserted {
            self.engine.handle(now, Input::Adopt { conn: ConnId(key), state });
        }
    }

    /// Registers a socket and puts it on the ready list, so that it is read once unasked.
    fn insert(&mut self, socket: Detached, make: impl FnOnce(Socket, Arc<Wakeup>) -> Conn) -> Option<Key> {
        match Socket::attach(socket, self.shared.runtime) {
            Ok(socket) => {
                let inbox = self.inbox.clone();
                let key = self.conns.insert_with(|key| make(socket, Wakeup::new(inbox, key, true)));
                if let Some(Err(error)) = self.conns.get(key).map(|conn| conn.socket.watch(key)) {
                    self.conns.remove(key);
                    return refused(&error);
                }
                self.list.push_back(key);
                Some(key)
            }
            Err(error) => refused(&error),
        }
    }

    /// An engine that begins anew is told first of all that sessions are to leave, if they are: its node takes leave of its
    /// clients, and no stream is to begin here that would have to end at once.
    pub(super) fn drain_anew(&mut self) {
        if let Some((rate, until)) = self.leaving {
            let within = until.since(self.last);
            self.letters.push_front(Letter::Command(Command::Drain { rate, within }));
        }
    }

    /// Shutdown begins: connections that the engine does not know are dropped, and the rest has a deadline.
    fn stop(&mut self, now: Now) {
        self.stop_at.get_or_insert(now.mono + self.shared.shutdown_timeout);
        while let Some((_, key)) = self.headers.pop_front() {
            if self.conns.get(key).is_some_and(|conn| matches!(conn.phase, Phase::Header(_))) {
                self.drop_conn(key);
            }
        }
    }
}
