//! What a worker does with the engine's outputs.

use std::sync::atomic::Ordering;

use chat_core::base::{ConnId, Now, RequestId, WorkerId};
use chat_core::effect::{AccountError, AccountOp, Output};

use super::Worker;
use super::congestion::CONGESTED_BYTES;
use super::conn::Parcel;
use super::inbox::Letter;
use super::secure::Secure;

impl Worker {
    pub(super) fn carry_out(&mut self, now: Now, output: Output) {
        match output {
            Output::StartTls { conn } => self.start_tls(now, conn),
            Output::Close { conn } => self.close(now, conn.0),
            Output::Reading { conn, on } => {
                if let Some(known) = self.conns.get_mut(conn.0) {
                    known.reading = on;
                }
                if on {
                    self.requeue(conn.0);
                }
            }
            Output::HandOver { conn, worker } => self.hand_over(conn, worker),
            Output::Store { id, op } => self.shared.store.submit(id, op, &self.sink),
            Output::Account { id, op } => self.ask_authenticator(id, *op),
            Output::Mail { worker, batch } => {
                let inbox = &self.shared.inboxes[usize::from(worker.0)];
                self.fed_congested |= inbox.mail_bytes() > CONGESTED_BYTES;
                let posted = inbox.post_mail(self.id, batch);
                if let Some(empty) = posted.empty {
                    self.engine.reuse(empty);
                }
                self.asleep.extend(posted.sleeper.map(|sleeper| (worker, sleeper)));
            }
            Output::Cluster(mail) => {
                let empty = match &self.shared.post {
                    Some(post) => {
                        self.fed_congested |= post.mail_bytes() > CONGESTED_BYTES;
                        let (empty, sleeper) = post.mail(mail);
                        self.cluster_sleeps = self.cluster_sleeps.take().or(sleeper);
                        empty
                    }
                    None => Some(mail),
                };
                if let Some(empty) = empty {
                    self.engine.reuse_node_mail(empty);
                }
            }
            Output::Event(event) => self.shared.events.publish(*event),
            Output::Stopped => self.end.engine_stopped(),
        }
    }

    fn start_tls(&mut self, now: Now, id: ConnId) {
        match (self.conns.get_mut(id.0), &self.shared.tls) {
            (Some(conn), Some(tls)) => conn.tls = Secure::new(tls, conn.listener),
            (Some(conn), None) => {
                tracing::error!(peer = %conn.peer, "STARTTLS was agreed on without TLS settings");
                self.finish(now, id.0);
            }
            (None, _) => {}
        }
    }

    fn hand_over(&mut self, id: ConnId, worker: WorkerId) {
        // It may have broken since the engine decided; then the engine has been told and knows it no more.
        let Some(conn) = self.conns.remove(id.0) else { return };
        let Some(state) = self.engine.take(id) else { return };
        match conn.socket.detach() {
            Ok(socket) => {
                self.shared.counters[usize::from(self.id.0)].moved.fetch_add(1, Ordering::Relaxed);
                let parcel = Parcel {
                    socket,
                    listener: conn.listener,
                    peer: conn.peer,
                    tls: conn.tls,
                    tail: conn.tail,
                    state,
                };
                self.shared.inboxes[usize::from(worker.0)].post(Letter::Adopt(Box::new(parcel)));
            }
            Err(error) => tracing::error!(peer = %conn.peer, %error, "the reactor keeps a connection"),
        }
    }

    fn ask_authenticator(&self, id: RequestId, op: AccountOp) {
        let (inbox, run) = (self.inbox.clone(), self.run);
        let Some(authenticator) = self.shared.authenticators.get(op.user().domain()) else {
            let result = Err(AccountError::Unsupported);
            return inbox.post(Letter::Account { run, id, result });
        };
        authenticator.begin(op, Box::new(move |result| inbox.post(Letter::Account { run, id, result })));
    }
}
