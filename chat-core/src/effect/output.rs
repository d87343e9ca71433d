//! What the engine wants done.

use core::net::IpAddr;
use std::sync::Arc;

use super::{AccountOp, Batch, NodeMail, StoreError, StoreOp};
use crate::base::{ConnId, RequestId, WorkerId};
use crate::jid::{BareJid, Jid};

/// What the engine wants done, in order. Exhaustive on purpose: a new effect breaks every driver at compile time.
#[derive(Debug)]
pub enum Output {
    /// Everything written before has been sent: start TLS as the server. Whatever clear bytes the driver still
    /// has unread are dropped.
    StartTls {
        /// Which connection.
        conn: ConnId,
    },
    /// Everything written before has been sent, or cannot be: close the connection (with close_notify under TLS).
    /// The id is free afterwards.
    Close {
        /// Which connection.
        conn: ConnId,
    },
    /// Stop or go on reading from a connection: it sends too fast, or waits for its messages to settle.
    Reading {
        /// Which connection.
        conn: ConnId,
        /// Whether to read.
        on: bool,
    },
    /// Everything written before has been sent: take what the engine knows of the connection (`Engine::take`) and
    /// give it, with the socket and its TLS state, to another worker as `Input::Adopt`. The id is free afterwards.
    HandOver {
        /// Which connection.
        conn: ConnId,
        /// The user's home.
        worker: WorkerId,
    },
    /// Ask the store, answer with `Input::Stored`. The same id may come again: a repeat, not a new request.
    Store {
        /// The request.
        id: RequestId,
        /// What to do.
        op: Arc<StoreOp>,
    },
    /// Ask the authenticator of the account's domain, answer with `Input::Account`.
    Account {
        /// The request.
        id: RequestId,
        /// What to do.
        op: Box<AccountOp>,
    },
    /// Carry a batch to another worker, FIFO, as `Input::Mail`. `Engine::reuse` takes an empty one back.
    Mail {
        /// The recipient.
        worker: WorkerId,
        /// What to carry.
        batch: Batch,
    },
    /// For other nodes: the agent carries it to them. Only engines with [`Settings::cluster`](super::Settings::cluster) say
    /// it. `Engine::reuse_node_mail` takes an empty one back.
    Cluster(NodeMail),
    /// Something an embedder or a log may want to know.
    Event(Box<Event>),
    /// The answer to `Command::Shutdown`: nothing is left to send or to store.
    Stopped,
}

/// Something an embedder or a log may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client bound a resource (RFC 6120 §7).
    Bound {
        /// Its full JID.
        jid: Jid,
        /// From where.
        peer: IpAddr,
    },
    /// A client resumed its session (XEP-0198 §5).
    Resumed {
        /// Its full JID.
        jid: Jid,
    },
    /// The connection of a resumable session is gone; the session waits.
    Detached {
        /// Its full JID.
        jid: Jid,
    },
    /// A session goes on at another node of the cluster.
    Left {
        /// Its full JID.
        jid: Jid,
    },
    /// A session is over.
    Unbound {
        /// Its full JID.
        jid: Jid,
    },
    /// A login failed.
    LoginFailed {
        /// From where.
        peer: IpAddr,
        /// The SASL failure condition (RFC 6120 §6.5).
        condition: &'static str,
    },
    /// A stream was closed with an error by us.
    StreamError {
        /// The peer.
        peer: IpAddr,
        /// The condition (RFC 6120 §4.9.3).
        condition: &'static str,
        /// What exactly was wrong.
        text: String,
    },
    /// A message that could not be stored was bounced.
    StoreFailed {
        /// Whose data.
        user: BareJid,
        /// Why, in a word of [`StoreError`].
        error: StoreError,
    },
    /// A stanza given by `Command::Send` is not one.
    BadSend {
        /// What is wrong with it.
        reason: &'static str,
    },
}
