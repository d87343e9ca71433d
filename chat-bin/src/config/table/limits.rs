//! `[limits]`: the engine's limits that an operator may change. Their meaning and reasons are `base/limits.rs`'s.

use chat_core::base::limits::Limits;
use chat_core::base::time::Span;

use super::{Fallback, Kind, LimitField, Setting};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * 1024;

const fn count(min: u64, max: u64) -> Kind {
    Kind::Int { min, max }
}

const fn bytes(min: u64, max: u64) -> Kind {
    Kind::Bytes { min, max }
}

const fn millis(min: u64, max: u64) -> Kind {
    Kind::Duration { min: Span::millis(min), max: Span::millis(max) }
}

const fn secs(min: u64, max: u64) -> Kind {
    millis(min * 1_000, max * 1_000)
}

const fn limit(
    name: &'static str,
    kind: Kind,
    get: fn(&Limits) -> u64,
    set: fn(&mut Limits, u64),
    doc: &'static str,
) -> Setting {
    Setting::new(name, kind, Fallback::Limit(LimitField { get, set }), doc).per_domain()
}

/// Why some are the same for all domains.
const BEFORE_LOGIN: &str = "it holds before the login, when nobody's domain is certain";
const MEMORY: &str = "it bounds the memory of a worker, which all domains share";
const STORE: &str = "they share the store";

pub(super) const SETTINGS: &[Setting] = &[
    limit(
        "limits.c2s_rate",
        bytes(0, 1024 * MIB),
        |l| l.rate_bytes_per_second.into(),
        |l, n| l.rate_bytes_per_second = n as u32,
        "Bytes per second one client may send, with bursts of four times that; 0: no limit. Beyond it reading pauses.",
    ),
    limit(
        "limits.stanza_bytes_max",
        bytes(10_000, 16 * MIB),
        |l| l.stanza_bytes_max.into(),
        |l, n| l.stanza_bytes_max = n as u32,
        "Bytes of one stanza after login; a larger one closes the stream.",
    ),
    limit(
        "limits.stanza_bytes_unauthenticated_max",
        bytes(10_000, MIB),
        |l| l.stanza_bytes_unauthenticated_max.into(),
        |l, n| l.stanza_bytes_unauthenticated_max = n as u32,
        "Bytes of one element before login (RFC 6120 §13.12 asks for at least 10,000).",
    )
    .for_all(BEFORE_LOGIN),
    limit(
        "limits.depth_max",
        count(8, 1024),
        |l| l.depth_max.into(),
        |l, n| l.depth_max = n as u16,
        "Elements within elements of one stanza.",
    ),
    limit(
        "limits.attributes_max",
        count(8, 1024),
        |l| l.attributes_max.into(),
        |l, n| l.attributes_max = n as u16,
        "Attributes of one element, namespace declarations included.",
    ),
    limit(
        "limits.negotiation_timeout",
        millis(100, 3_600_000),
        |l| l.negotiation_timeout.0,
        |l, n| l.negotiation_timeout = Span(n),
        "Time from the connection to a bound resource.",
    )
    .for_all(BEFORE_LOGIN),
    limit(
        "limits.idle_timeout",
        millis(100, 604_800_000),
        |l| l.idle_timeout.0,
        |l, n| l.idle_timeout = Span(n),
        "Silence after which the server probes a client.",
    ),
    limit(
        "limits.unresponsive_timeout",
        millis(100, 604_800_000),
        |l| l.unresponsive_timeout.0,
        |l, n| l.unresponsive_timeout = Span(n),
        "How long a probe or queued bytes may stay without progress before the connection counts as dead.",
    ),
    limit(
        "limits.close_timeout",
        millis(10, 60_000),
        |l| l.close_timeout.0,
        |l, n| l.close_timeout = Span(n),
        "Time a client gets to close its half of the stream.",
    ),
    limit(
        "limits.outbox_bytes_max",
        bytes(64 * KIB, 1024 * MIB),
        |l| l.outbox_bytes_max.into(),
        |l, n| l.outbox_bytes_max = n as u32,
        "Bytes queued for a client that does not read; beyond it the connection is closed, the session stays resumable.",
    ),
    limit(
        "limits.auth_attempts_max",
        count(1, 100),
        |l| l.auth_attempts_max.into(),
        |l, n| l.auth_attempts_max = n as u8,
        "Failed logins on one stream (RFC 6120 §6.4.5 asks for two to five).",
    ),
    limit(
        "limits.resources_per_user_max",
        count(1, 64),
        |l| l.resources_per_user_max.into(),
        |l, n| l.resources_per_user_max = n as u16,
        "Resources of one user.",
    ),
    limit(
        "limits.roster_items_max",
        count(0, 1_000_000),
        |l| l.roster_items_max.into(),
        |l, n| l.roster_items_max = n as u32,
        "Items of one roster.",
    ),
    limit(
        "limits.roster_requests_max",
        count(0, 100_000),
        |l| l.roster_requests_max.into(),
        |l, n| l.roster_requests_max = n as u32,
        "Subscription requests from people outside the roster that may wait for one user's answer.",
    ),
    limit(
        "limits.roster_bytes_max",
        bytes(64 * KIB, 64 * MIB),
        |l| l.roster_bytes_max.into(),
        |l, n| l.roster_bytes_max = n as u32,
        "Bytes of one roster, with the requests that wait.",
    ),
    limit(
        "limits.blocked_max",
        count(0, 1_000_000),
        |l| l.blocked_max.into(),
        |l, n| l.blocked_max = n as u32,
        "Entries of one block list.",
    ),
    limit(
        "limits.spool_messages_per_user_max",
        count(0, 1_000_000),
        |l| l.spool_messages_per_user_max.into(),
        |l, n| l.spool_messages_per_user_max = n as u32,
        "Messages stored for a user who is offline; beyond it the sender gets an error.",
    ),
    limit(
        "limits.unacked_stanzas_max",
        count(1, 1_000_000),
        |l| l.unacked_stanzas_max.into(),
        |l, n| l.unacked_stanzas_max = n as u32,
        "Stanzas that one client may leave unacknowledged (XEP-0198).",
    ),
    limit(
        "limits.unacked_bytes_max",
        bytes(64 * KIB, 1024 * MIB),
        |l| l.unacked_bytes_max.into(),
        |l, n| l.unacked_bytes_max = n as u32,
        "Bytes of the stanzas that one client may leave unacknowledged.",
    ),
    limit(
        "limits.unsettled_stanzas_max",
        count(1, 1_000_000),
        |l| l.unsettled_stanzas_max.into(),
        |l, n| l.unsettled_stanzas_max = n as u32,
        "Stanzas of one sender that are not yet safe; beyond it reading from the sender pauses.",
    ),
    limit(
        "limits.unsettled_bytes_max",
        bytes(KIB, 1024 * MIB),
        |l| l.unsettled_bytes_max.into(),
        |l, n| l.unsettled_bytes_max = n as u32,
        "Bytes of one sender's stanzas that are not yet safe.",
    ),
    limit(
        "limits.resume_timeout_max",
        secs(0, 604_800),
        |l| l.resume_timeout_max.0,
        |l, n| l.resume_timeout_max = Span(n),
        "The longest a session without connection waits for its client (XEP-0198).",
    ),
    limit(
        "limits.loading_stanzas_max",
        count(1, 1_000_000),
        |l| l.loading_stanzas_max.into(),
        |l, n| l.loading_stanzas_max = n as u32,
        "Stanzas that wait while one user's record is loaded.",
    )
    .for_all(MEMORY),
    limit(
        "limits.loading_bytes_max",
        bytes(1024, 1 << 30),
        |l| l.loading_bytes_max.into(),
        |l, n| l.loading_bytes_max = n as u32,
        "Bytes of the stanzas that wait while one user's record is loaded.",
    )
    .for_all(MEMORY),
    limit(
        "limits.users_cached_max",
        count(0, 10_000_000),
        |l| l.users_cached_max.into(),
        |l, n| l.users_cached_max = n as u32,
        "Records of users that nobody needs which one worker keeps in memory.",
    )
    .for_all(MEMORY),
    limit(
        "limits.user_cache_timeout",
        secs(0, 86_400),
        |l| l.user_cache_timeout.0,
        |l, n| l.user_cache_timeout = Span(n),
        "How long the record of a user that nobody needs stays in memory.",
    )
    .for_all(MEMORY),
    limit(
        "limits.directed_presence_max",
        count(0, 1_000_000),
        |l| l.directed_presence_max.into(),
        |l, n| l.directed_presence_max = n as u32,
        "Addresses one resource may have sent directed presence to.",
    ),
    limit(
        "limits.csi_stanzas_max",
        count(0, 1_000_000),
        |l| l.csi_stanzas_max.into(),
        |l, n| l.csi_stanzas_max = n as u32,
        "Stanzas held back for a client that said it is inactive (XEP-0352).",
    ),
    limit(
        "limits.csi_bytes_max",
        bytes(0, 1 << 30),
        |l| l.csi_bytes_max.into(),
        |l, n| l.csi_bytes_max = n as u32,
        "Bytes of the stanzas held back for such a client.",
    ),
    limit(
        "limits.storing_bytes_max",
        bytes(65_536, 1 << 31),
        |l| l.storing_bytes_max.into(),
        |l, n| l.storing_bytes_max = n as u32,
        "Bytes of messages that one worker holds while a slow store has not written them.",
    )
    .for_all(MEMORY),
    limit(
        "limits.store_timeout",
        millis(100, 600_000),
        |l| l.store_timeout.0,
        |l, n| l.store_timeout = Span(n),
        "How long the store may stay silent before what waits for it is refused.",
    )
    .for_all(STORE),
    limit(
        "limits.spool_after",
        millis(1, 60_000),
        |l| l.spool_after.0,
        |l, n| l.spool_after = Span(n),
        "How long a delivered message may stay unacknowledged before it is stored as well.",
    ),
];
