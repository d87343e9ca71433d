//! The engine's face: its inputs and outputs.

use core::net::IpAddr;
use std::sync::Arc;

use crate::base::{ConnId, RequestId, Span, WorkerId};
use crate::effect::{AccountResult, Batch, NodeMail, StoreResult, TlsInfo};
use crate::jid::BareJid;
use crate::sasl::Mechanism;
use crate::session::{HandOver, Listener};

/// Something that happened. The engine takes every input, at any time, and never fails.
pub enum Input<'a> {
    /// The driver accepted a connection and chose its id, which no live connection of this worker has.
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// What it arrived at.
        listener: Listener,
        /// Who is at the other end, after any PROXY header.
        peer: IpAddr,
    },
    /// Bytes from a connection, decrypted; taken whole.
    Received {
        /// From where.
        conn: ConnId,
        /// What, at most 64 KiB at a time.
        bytes: &'a [u8],
    },
    /// The TLS handshake is done: the answer to [`Output::StartTls`](crate::effect::Output::StartTls), and
    /// the first news of a connection on a
    /// [`Listener::ClientsTls`].
    Secured {
        /// Which connection.
        conn: ConnId,
        /// What was negotiated.
        tls: TlsInfo,
    },
    /// The connection is gone, or its peer closed its half: nothing more will be read or can be written.
    /// Not the answer to [`Output::Close`](crate::effect::Output::Close), which needs none.
    Closed {
        /// Which connection.
        conn: ConnId,
    },
    /// The answer to [`Output::Store`](crate::effect::Output::Store).
    Stored {
        /// Which request.
        id: RequestId,
        /// Its answer.
        result: StoreResult,
    },
    /// The answer to [`Output::Account`](crate::effect::Output::Account).
    Account {
        /// Which request.
        id: RequestId,
        /// Its answer.
        result: AccountResult,
    },
    /// A batch from another worker, in the order it was sent.
    Mail {
        /// The sender.
        from: WorkerId,
        /// What it sent; empty afterwards, with room for the next.
        batch: &'a mut Batch,
    },
    /// News of other nodes, from the agent, in the order it learned them. An engine without
    /// [`Settings::cluster`](crate::effect::Settings::cluster) passes over them.
    Cluster {
        /// What there is; empty afterwards, with room for the next.
        mail: &'a mut NodeMail,
    },
    /// A connection handed over by another worker ([`Output::HandOver`](crate::effect::Output::HandOver)).
    /// The driver chose its new id.
    Adopt {
        /// Its id here.
        conn: ConnId,
        /// What the other engine gave.
        state: Box<HandOver>,
    },
    /// What the embedder or the operator wants.
    Command(Command),
    /// Time has passed: the deadline of `poll_timeout` was reached.
    Tick,
}

/// What the embedder or the operator wants of the engine. Each worker gets its own copy of those that concern
/// everybody; [`Command::Send`] and those with a bare JID may go to any worker and find their way.
#[derive(Debug, Clone)]
pub enum Command {
    /// Route this stanza as if a component or service of this server had sent it: `from` is any address of a
    /// served domain. A stanza that is not exactly one valid element is dropped with an event.
    Send {
        /// One `<message/>`, `<presence/>` or `<iq/>` with `to` and `from`.
        stanza: Arc<[u8]>,
    },
    /// Close the sessions of a bare JID with this stream error (`not-authorized` when the account was
    /// removed).
    Kick {
        /// Whose.
        user: BareJid,
        /// Why.
        reason: KickReason,
    },
    /// Offer these SASL mechanisms for a domain from now on; exchanges that have begun go on. Each worker gets it.
    Offer {
        /// The prepared name of a domain that is served.
        domain: String,
        /// What its authenticators can serve now, in the order of preference.
        mechanisms: Vec<Mechanism>,
    },
    /// Let the sessions go to other nodes, one after the other, and refuse new streams. Not the end: an engine without sessions
    /// waits for [`Command::Stay`] or [`Command::Shutdown`]. Given once more, it replaces what was said before.
    Drain {
        /// How many sessions leave in a second, of all workers together; at least one.
        rate: u32,
        /// After that time all that are left go at once, and end if they are not elsewhere soon.
        within: Span,
    },
    /// Let nobody go any more, and take new streams again.
    Stay,
    /// Close every stream with `system-shutdown`, keep what is unacked in the store, then say
    /// [`Output::Stopped`](crate::effect::Output::Stopped). While sessions leave for other nodes, what is left of them has up to
    /// [`LAST_CALL`](crate::base::limits::LAST_CALL) to do so before.
    Shutdown,
}

/// Why sessions are closed from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KickReason {
    /// The account is gone: `not-authorized`, and what the engine knows of the user is forgotten.
    AccountRemoved,
    /// The operator's wish: `policy-violation`.
    Operator,
}
