//! Every bound of the engine, by name, with its default and the reason for it.
//!
//! Names end in `_max` with the unit where a count would not say it. A limit that an operator may change has the
//! same name in the configuration file (`[limits]`).

use super::time::Span;

/// Bytes of one decoded SASL message. The longest honest one carries a 3,071 byte `authzid`; it is held until the
/// exchange ends, by peers nobody knows yet.
pub const SASL_MESSAGE_BYTES_MAX: usize = 4096;
/// Bytes of a user name inside SASL: a localpart cannot be longer (RFC 7622 §3.3.1).
pub const SASL_USERNAME_BYTES_MAX: usize = 1023;
/// Bytes of a password sent with PLAIN, or prepared for key derivation: a signed token (JWT) fits, and with a user name
/// the whole stays below SASL_MESSAGE_BYTES_MAX.
pub const SASL_PASSWORD_BYTES_MAX: usize = 3000;
/// Bytes of an `authzid`: the longest JID (RFC 7622 §3.1).
pub const SASL_AUTHZID_BYTES_MAX: usize = 3071;
/// Bytes of the nonce that a SCRAM client chose. Known clients send 16 to 64.
pub const SASL_NONCE_BYTES_MAX: usize = 256;
/// Characters of the trace of an anonymous login (RFC 4505 §2).
pub const SASL_TRACE_CHARS_MAX: usize = 255;
/// Bytes of the name that a user gives a contact (RFC 6121 §2.3.3 leaves the number to the server).
pub const ROSTER_NAME_BYTES_MAX: usize = 1023;
/// Bytes of the name of a group in a roster, likewise.
pub const ROSTER_GROUP_BYTES_MAX: usize = 1023;
/// Bytes of a subscription request that are kept until it is answered. A longer one is kept without its payload, so
/// that strangers cannot fill a user's roster: `roster_requests_max` times this is a quarter of `roster_bytes_max`.
pub const ROSTER_REQUEST_BYTES_MAX: usize = 1024;

// Links between the nodes of a cluster. All nodes must agree on the first: it is a constant of the protocol.

/// Bytes of one frame between nodes, its length not counted. Sixteen of the largest stanzas, or a whole queue of an
/// unacknowledged session, fit; what is larger goes in several frames.
pub const LINK_FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one frame before a node is known: a hello with two long names takes 700, and later versions may say more.
pub const LINK_GREETING_FRAME_BYTES_MAX: usize = 2048;
/// Bytes of a whole greeting (hello and proof). A node that wants more is none.
pub const LINK_GREETING_BYTES_MAX: usize = 4096;
/// Bytes of the name of a cluster.
pub const LINK_CLUSTER_NAME_BYTES_MAX: usize = 255;
/// Bytes of a cluster secret at least: 128 bits, if they are random.
pub const LINK_SECRET_BYTES_MIN: usize = 16;

/// Nodes that one node lists, hears of, or finds in DNS, of each so many. Each pair of nodes has a link, so a cluster of
/// more would keep itself busy; it is also the most siblings that two numbers may span.
pub const CLUSTER_NODES_MAX: usize = 256;
/// Addresses of one node that are dialled. A host has one or two, of IPv4 and IPv6; a few more while it moves.
pub const CLUSTER_ADDRESSES_PER_NODE_MAX: usize = 8;
/// Bytes of changes to a node's registry that go into one frame, and of one part of a snapshot: large enough that a
/// million records are a thousand frames, small enough that messages are not held up behind one.
pub const REGISTRY_BATCH_BYTES: usize = 64 * 1024;
/// Changes in one frame of the registry. They take 15 bytes at least as nodes write them.
pub const REGISTRY_CHANGES_MAX: usize = 4096;
/// Snapshots that one node asks another for because a frame is missing, until the link between them starts over. A link
/// loses nothing, so one is a bug and this many are a node that cannot be dealt with.
pub const REGISTRY_RESETS_MAX: usize = 16;
/// Bytes that the records of one node may take in one table: twelve million sessions with usual names, more than a node
/// carries. What a broken node tells beyond is not taken in.
pub const REGISTRY_NODE_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Bytes of a session that moves to another node, as it is written: the longest queue it may have, and a quarter more
/// (`unacked_bytes_max`), several times over if an operator allows more.
pub const SESSION_STATE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of one part of it: small enough that messages are not held up behind it.
pub const SESSION_PART_BYTES: usize = 64 * 1024;
/// Bytes of the id that a client presents to resume a session. Ours have 22.
pub const SESSION_ID_BYTES_MAX: usize = 64;

/// Sessions that one worker of a node that drains has on their way to others at a time; the rest waits.
pub const OFFERS_MAX: usize = 256;
/// How long sessions that are left at the deadline of a drain may take to other nodes. A node that lives answers in
/// milliseconds; and it leaves a clean end enough of the time that is usual before SIGKILL.
pub const LAST_CALL: Span = Span::secs(5);

// What one worker has outstanding to other nodes; beyond it the sender is told `resource-constraint` with `wait`.

/// Messages and iqs for one user that other nodes have not answered for: as many as one of its clients may leave
/// unacknowledged (`unacked_stanzas_max`).
pub const ENVELOPES_PER_USER_MAX: usize = 5_000;
/// Bytes of these, as in `unacked_bytes_max`.
pub const ENVELOPES_PER_USER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes outstanding to one node, over all users: what its links may keep for it (`resend_bytes_max`), for a node that takes
/// everything and answers for nothing.
pub const ENVELOPES_PER_NODE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long sessions of a node that is gone may take to come back, there or elsewhere, before those who saw them are told that
/// they are gone: so that neither a link that starts over nor clients who come back at once are seen.
pub const LINK_GRACE: Span = Span::secs(5);
/// When a session that has become available is shown once more to those on other nodes who have come since: twice as long as news
/// may be on their way over a link that is not given up.
pub const NEWCOMER: Span = Span::secs(12);
/// How long after a node has told of all its sessions all workers know of them.
pub const CLUSTER_SETTLED: Span = Span::secs(1);
/// Contacts who may not see a user any more of whom a worker remembers that they were told so, for nodes that may not have heard it. Of
/// more, in the time that a node was cut off, the first ones see on that node what they saw last, until it changes.
pub const FAREWELLS_MAX: usize = 1_024;
/// How long after two nodes have met it is taken for possible that not all of their sessions have been shown to each other: as long as it
/// takes for 192,000 of each worker, as [`CLUSTER_STEP`] has it. Whoever moves in this time is shown once more.
pub const NODES_MET: Span = Span::secs(60);
/// How often each worker of a cluster asks the store which of its users have rows that wait: what was stored elsewhere and could
/// not be told is found after so long.
pub const SPOOL_SWEEP: Span = Span::secs(30);
/// About so many users it asks at a time: 200 questions for 100,000 users.
pub const SPOOL_SWEEP_USERS: usize = 500;
/// Work that a node's coming and going makes for all users of a worker is done in steps, one each so often …
pub const CLUSTER_STEP: Span = Span::millis(20);
/// … each for so many users: 3,200 in a second, a few per cent of a core.
pub const CLUSTER_STEP_USERS: usize = 64;

/// The limits of the links of a node, and the times they go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkLimits {
    /// Bytes kept for one other node until it has receipted them. From half of it on, the layer above is asked to hold
    /// back; beyond it everything is given up, and both nodes start over. A cut of six seconds at full speed fits.
    pub resend_bytes_max: usize,
    /// Bytes of datagrams, pings and receipts that wait for one connection; beyond it datagrams are dropped.
    pub control_bytes_max: usize,
    /// Connections whose greeting is not over; beyond it new ones are refused.
    pub greetings_max: usize,
    /// How long a greeting may take.
    pub greeting_timeout: Span,
    /// How often a connection in use is asked whether it still carries.
    pub ping_after: Span,
    /// Silence after which a connection counts as broken, and time that a join, or an answer to a ping, may take.
    pub silence_max: Span,
    /// A turn that comes this much later than it was asked for was missed: whatever ran out in between gets its time again.
    pub missed_turn_min: Span,
    /// How long a receipt may wait for others to go with it.
    pub receipt_after: Span,
    /// Bytes received after which a receipt goes at once.
    pub receipt_bytes: usize,
    /// How long frames that can wait do so for others to go with them: what became of envelopes. A frame that is sent alone takes as
    /// much as a message; and it is nothing beside the time that clients give each other.
    pub linger: Span,
    /// Bytes to be sent with which they do not wait any more.
    pub linger_bytes: usize,
    /// The wait after the first failure to connect; it doubles with each.
    pub dial_wait_min: Span,
    /// The longest wait. A healed network is used again within this and the time of a greeting.
    pub dial_wait_max: Span,
    /// A connection that lasted this long was no failure.
    pub stable_after: Span,
    /// How long a connection that is to be closed may take to send its last words.
    pub farewell_timeout: Span,
    /// A bug that the simulator plants: the first stanza that arrives over a link that goes on is lost.
    #[cfg(feature = "sim")]
    #[doc(hidden)]
    pub drops_on_rejoin: bool,
}

impl Default for LinkLimits {
    fn default() -> Self {
        LinkLimits {
            resend_bytes_max: 64 * 1024 * 1024,
            control_bytes_max: 256 * 1024,
            greetings_max: 64,
            greeting_timeout: Span::secs(5),
            ping_after: Span::secs(1),
            silence_max: Span::secs(3),
            missed_turn_min: Span::millis(500),
            receipt_after: Span::millis(50),
            receipt_bytes: 32 * 1024,
            linger: Span::millis(5),
            linger_bytes: 4 * 1024,
            dial_wait_min: Span::millis(100),
            dial_wait_max: Span::secs(3),
            stable_after: Span::secs(10),
            farewell_timeout: Span::secs(1),
            #[cfg(feature = "sim")]
            drops_on_rejoin: false,
        }
    }
}

/// The limits of one engine, or of one of its domains. Those for a whole worker are read from the engine's only: what
/// holds before anybody has logged in (`stanza_bytes_unauthenticated_max`, `negotiation_timeout`), and what guards the
/// worker's memory while the store is slow or strangers are written to (`loading_*_max`, `storing_bytes_max`,
/// `users_cached_max`, `user_cache_timeout`, `store_timeout`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one stanza from an authenticated stream. Vcards and pubsub items reach tens of KiB; more is abuse.
    pub stanza_bytes_max: u32,
    /// Bytes of one element before authentication (RFC 6120 §13.12 asks for at least 10,000).
    pub stanza_bytes_unauthenticated_max: u32,
    /// Nesting of elements inside one stanza, the stanza itself counting one. XHTML and forwarded archives stay below 30.
    pub depth_max: u16,
    /// Attributes of one element, namespace declarations included.
    pub attributes_max: u16,
    /// Time from the TCP connection to a bound resource; then the stream is closed with `connection-timeout`.
    pub negotiation_timeout: Span,
    /// Silence after which a bound connection without traffic is probed by the server with a white space or ping.
    pub idle_timeout: Span,
    /// How long a written probe or an outbox may stay without progress before the connection counts as dead.
    pub unresponsive_timeout: Span,
    /// Time the peer gets to close its half after our `</stream:stream>` (RFC 6120 §4.4).
    pub close_timeout: Span,
    /// Bytes queued for a client that does not read; beyond it the connection is closed (its session stays resumable).
    /// What a resumption sends at once, up to `unacked_bytes_max`, does not count.
    pub outbox_bytes_max: u32,
    /// Failed SASL attempts on one stream (RFC 6120 §6.4.5 asks for two to five).
    pub auth_attempts_max: u8,
    /// Resources of one user on this cluster.
    pub resources_per_user_max: u16,
    /// Items of one roster.
    pub roster_items_max: u32,
    /// Subscription requests that wait for one user's answer, from people outside the roster.
    pub roster_requests_max: u32,
    /// Bytes of one packed roster.
    pub roster_bytes_max: u32,
    /// Entries of one block list (XEP-0191).
    pub blocked_max: u32,
    /// Messages stored for one user who is offline; beyond it the sender gets `service-unavailable` (XEP-0160).
    pub spool_messages_per_user_max: u32,
    /// Stanzas in one resource's XEP-0198 queue; beyond it the connection is closed and the session detached.
    pub unacked_stanzas_max: u32,
    /// Bytes in one resource's XEP-0198 queue.
    pub unacked_bytes_max: u32,
    /// Stanzas of one sender that are not settled yet; beyond it reading from the sender pauses.
    pub unsettled_stanzas_max: u32,
    /// Bytes of one sender's stanzas that are not settled yet.
    pub unsettled_bytes_max: u32,
    /// The longest a session without connection waits for its client (XEP-0198 `max`).
    pub resume_timeout_max: Span,
    /// Bytes a client may send per second, with bursts of four times that; 0: no limit. Beyond it reading pauses.
    pub rate_bytes_per_second: u32,
    /// Stanzas that wait for one user's record to load; beyond it they bounce with `resource-constraint`.
    pub loading_stanzas_max: u32,
    /// Bytes of the stanzas that wait for one user's record; beyond it they bounce likewise.
    pub loading_bytes_max: u32,
    /// Users whose record stays in memory although nobody needs it, so that a burst does not ask the store again.
    pub user_cache_timeout: Span,
    /// Users in memory that nobody needs, on one worker: whoever writes to ever new names fills no more than this.
    pub users_cached_max: u32,
    /// Full JIDs one resource may have sent directed presence to and owes an `unavailable` (RFC 6121 §4.6).
    pub directed_presence_max: u32,
    /// Stanzas a client that said it is inactive may have held back (XEP-0352).
    pub csi_stanzas_max: u32,
    /// Bytes of what an inactive client may have held back.
    pub csi_bytes_max: u32,
    /// How long a store request may stay without answer before what waits for it is refused.
    pub store_timeout: Span,
    /// Bytes of messages on their way into the spool, of one worker, while the store is slow; beyond it they bounce with
    /// `wait`. Senders with stream management pause long before; this is for a crowd, and for those without.
    pub storing_bytes_max: u32,
    /// How long a message may stay without a client's ack before it is written to the spool (docs/ARCHITECTURE.md).
    pub spool_after: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            stanza_bytes_max: 256 * 1024,
            stanza_bytes_unauthenticated_max: 10 * 1024,
            depth_max: 128,
            attributes_max: 64,
            negotiation_timeout: Span::secs(30),
            idle_timeout: Span::secs(300),
            unresponsive_timeout: Span::secs(60),
            close_timeout: Span::secs(5),
            outbox_bytes_max: 6 * 1024 * 1024,
            auth_attempts_max: 5,
            resources_per_user_max: 32,
            roster_items_max: 5_000,
            roster_requests_max: 256,
            roster_bytes_max: 1024 * 1024,
            blocked_max: 1_000,
            spool_messages_per_user_max: 1_000,
            unacked_stanzas_max: 5_000,
            unacked_bytes_max: 4 * 1024 * 1024,
            unsettled_stanzas_max: 256,
            unsettled_bytes_max: 256 * 1024,
            resume_timeout_max: Span::secs(600),
            rate_bytes_per_second: 65_536,
            loading_stanzas_max: 256,
            loading_bytes_max: 1024 * 1024,
            user_cache_timeout: Span::secs(60),
            users_cached_max: 10_000,
            directed_presence_max: 256,
            csi_stanzas_max: 256,
            csi_bytes_max: 64 * 1024,
            store_timeout: Span::secs(10),
            storing_bytes_max: 64 * 1024 * 1024,
            spool_after: Span::millis(250),
        }
    }
}
