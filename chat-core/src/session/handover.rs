//! What moves when a connection moves to its user's home worker.

use core::net::IpAddr;

use smol_str::SmolStr;

use super::{Holds, Identity, Inbox, Phase, Session};
use crate::base::{ConnId, Pool, TokenBucket};
use crate::effect::Cx;
use crate::xml::StreamNs;

/// A connection between two workers: authenticated, about to open its next stream.
#[derive(Debug)]
pub struct HandOver {
    peer: IpAddr,
    domain: u16,
    identity: Box<Identity>,
    lang: Option<SmolStr>,
    secure: bool,
    bucket: TokenBucket,
    since: crate::base::Mono,
    /// What the old worker received and did not look at.
    unread: Vec<u8>,
}

impl HandOver {
    /// Takes a session apart. Panics if it is not authenticated: nothing else is ever handed over.
    pub fn pack(mut session: Session, pool: &mut Pool) -> Box<HandOver> {
        let mut unread = Vec::new();
        session.inbox.take_all(pool, &mut unread);
        Box::new(HandOver {
            peer: session.peer,
            domain: session.domain,
            identity: session.identity.take().expect("only authenticated connections are handed over"),
            lang: session.lang,
            secure: session.secure,
            bucket: session.bucket,
            since: session.since,
            unread,
        })
    }

    /// Puts it together again, under the id it has on its new worker, whose outbox is open. What was received and not
    /// looked at is returned, to be handled as if it had arrived now.
    pub fn unpack(self, conn: ConnId, cx: &mut Cx) -> (Session, Vec<u8>) {
        let mut session = Session::new(conn, super::Listener::Clients, self.peer, cx.now, &cx.settings);
        session.domain = self.domain;
        session.identity = Some(self.identity);
        session.lang = self.lang;
        session.secure = self.secure;
        session.bucket = self.bucket;
        session.since = self.since;
        session.phase = Phase::Header;
        session.holds = Holds::default();
        session.ns = StreamNs::default();
        session.inbox = Inbox::default();
        session.on_identified(cx);
        (session, self.unread)
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}
