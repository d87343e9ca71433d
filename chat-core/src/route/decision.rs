//! RFC 6121 §8 as a pure decision: one stanza for one local address, and the resources that are there.
//!
//! The decision is for stanzas that have passed the hooks and whose domain is served here; what a
//! client sends without `to` is for its own bare JID (§8.2). Where the RFC leaves a choice:
//!
//! - `chat` and `normal` messages for a bare JID go to all resources of non-negative priority (§8.5.2.1.1), and the
//!   headlines alike, as they must.
//! - A message of these types for a full JID that is not connected is treated as one for the bare JID. The RFC says
//!   so of `chat` and wants `normal` dropped or bounced (§8.5.3.2.1). The established servers treat both alike, and
//!   so do we: the sender wrote to a person whose client has just changed its resource, and a message without type
//!   is `normal`.
//! - What finds nobody is kept if it is worth keeping (XEP-0160), else dropped; headlines are dropped.
//! - Every refusal is `service-unavailable`, so that it does not tell an unknown user from one who is offline, nor
//!   who is connected. A probe of an unknown user is answered by `unsubscribed` for the same reason (§8.5.1, §4.3.2).

#[cfg(test)]
mod tests;

use crate::stanza::{IqType, MessageType, PresenceType};

/// How many resources of one user the decision can tell apart: the bits of [`Resources`].
pub const RESOURCES_MAX: usize = 64;

/// What is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// A message.
    Message {
        /// Its type.
        kind: MessageType,
        /// Worth keeping for a user who is offline. False where a rule forbids it: only chat states inside
        /// (XEP-0160 §3), a hint of the sender (XEP-0334). Such a message is dropped if it finds nobody.
        keep: bool,
    },
    /// A presence stanza.
    Presence(PresenceType),
    /// An IQ.
    Iq(IqType),
}

/// Whom it is for: an address of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// `domain` or `domain/resource`: the server itself (§8.4; RFC 6120 §10.5.1, §10.5.2).
    Domain,
    /// `local@domain`, with or without a resource, where no such account exists (RFC 6121 §8.5.1).
    NoSuchUser,
    /// `local@domain` of an account (§8.5.2).
    Bare,
    /// `local@domain/resource` of an account; the index of the resource that has exactly this name, if any (§8.5.3).
    Full(Option<usize>),
}

/// What the decision has to know of a connected resource. One whose stream was cut and may be resumed (XEP-0198)
/// counts as connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourceView {
    /// It has sent initial presence and no `unavailable` since. A resource that has not is reached by its full JID
    /// only.
    pub available: bool,
    /// The priority of its last presence (§4.7.2.3); of no meaning while it is not available.
    pub priority: i8,
}

/// A set of resources, by their index in the slice given to [`decide`]. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resources(u64);

impl Resources {
    /// The indexes, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let i = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (i < RESOURCES_MAX).then_some(i)
        })
    }

    /// Those of these indexes; `None` if there is none.
    pub fn of(indexes: impl Iterator<Item = usize>) -> Option<Self> {
        let mask = indexes.filter(|i| *i < RESOURCES_MAX).fold(0, |mask, i| mask | 1 << i);
        (mask != 0).then_some(Resources(mask))
    }

    /// Those below this index; `None` if there is none.
    pub fn below(self, end: usize) -> Option<Self> {
        let mask = if end < RESOURCES_MAX { self.0 & ((1 << end) - 1) } else { self.0 };
        (mask != 0).then_some(Resources(mask))
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the resource of this index is among them.
    pub fn contains(self, i: usize) -> bool {
        i < RESOURCES_MAX && self.0 >> i & 1 == 1
    }

    fn select(resources: &[ResourceView], wanted: impl Fn(&ResourceView) -> bool) -> Option<Self> {
        let mask = resources.iter().enumerate().fold(0, |mask, (i, r)| mask | u64::from(wanted(r)) << i);
        (mask != 0).then_some(Resources(mask))
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Deliver to these resources; the `to` of the stanza stays as it is (§8.5.2.1.1).
    Deliver(Resources),
    /// Keep it for the user (XEP-0160); if that is impossible, `service-unavailable`.
    Keep,
    /// Drop it without a word.
    Ignore,
    /// Return it with the stanza error `service-unavailable`.
    ServiceUnavailable,
    /// The server acts: for itself (domain), or on behalf of the user (IQ and subscriptions for a bare JID, probes).
    /// An IQ of type get or set that nobody understands is then answered by `service-unavailable`.
    Serve,
    /// Answer with presence of type `unsubscribed` from the address asked (§4.3.2).
    Unsubscribed,
}

/// Decides who gets the stanza.
///
/// # Panics
/// If there are more than [`RESOURCES_MAX`] resources or the target's index is none of them.
pub fn decide(what: What, target: Target, resources: &[ResourceView]) -> Decision {
    assert!(resources.len() <= RESOURCES_MAX, "a user has more resources than the decision can tell apart");
    match (target, what) {
        (Target::Domain, _) => Decision::Serve,
        (Target::NoSuchUser, what) => no_such_user(what),
        (Target::Full(Some(i)), what) => {
            assert!(i < resources.len(), "the target is a resource that is not there");
            full_jid(what, i)
        }
        (Target::Bare, What::Message { kind, keep }) => message(kind, keep, resources),
        (Target::Bare, What::Presence(kind)) => bare_presence(kind, resources),
        // §8.5.2.1.3, §8.5.2.2.3. A result may answer what the server asked in the user's name (a roster push).
        (Target::Bare, What::Iq(_)) => Decision::Serve,
        (Target::Full(None), What::Message { kind, keep }) => no_resource_message(kind, keep, resources),
        (Target::Full(None), What::Presence(kind)) => full_presence(kind).unwrap_or(Decision::Ignore),
        (Target::Full(None), What::Iq(kind)) => refuse_iq(kind),
    }
}

/// RFC 6121 §8.5.1.
fn no_such_user(what: What) -> Decision {
    match what {
        What::Message { kind: MessageType::Error | MessageType::Headline, .. } => Decision::Ignore,
        What::Message { .. } => Decision::ServiceUnavailable,
        What::Presence(PresenceType::Probe) => Decision::Unsubscribed,
        What::Presence(_) => Decision::Ignore,
        What::Iq(kind) => refuse_iq(kind),
    }
}

/// RFC 6121 §8.5.2.1.1 and §8.5.2.2.1: a message for a bare JID. Resources of negative priority count as absent.
fn message(kind: MessageType, keep: bool, resources: &[ResourceView]) -> Decision {
    match kind {
        MessageType::Error => return Decision::Ignore,
        MessageType::Groupchat => return Decision::ServiceUnavailable,
        MessageType::Chat | MessageType::Normal | MessageType::Headline => {}
    }
    match Resources::select(resources, |r| r.available && r.priority >= 0) {
        Some(found) => Decision::Deliver(found),
        None if keep && kind != MessageType::Headline => Decision::Keep,
        None => Decision::Ignore,
    }
}

/// RFC 6121 §8.5.2.1.2 and §8.5.2.2.2: presence for a bare JID.
fn bare_presence(kind: PresenceType, resources: &[ResourceView]) -> Decision {
    match kind {
        PresenceType::Available | PresenceType::Unavailable | PresenceType::Error => {
            Resources::select(resources, |r| r.available).map_or(Decision::Ignore, Decision::Deliver)
        }
        PresenceType::Subscribe
        | PresenceType::Subscribed
        | PresenceType::Unsubscribe
        | PresenceType::Unsubscribed
        | PresenceType::Probe => Decision::Serve,
    }
}

/// RFC 6121 §8.5.3.1: a connected resource has exactly this name.
fn full_jid(what: What, i: usize) -> Decision {
    let deliver = Decision::Deliver(Resources(1 << i));
    match what {
        What::Message { .. } | What::Iq(_) => deliver,
        What::Presence(kind) => full_presence(kind).unwrap_or(deliver),
    }
}

/// What becomes of presence for a full JID whether the resource is there or not (RFC 6121 §8.5.3.1, §8.5.3.2.2);
/// `None` for what the resource itself would get.
fn full_presence(kind: PresenceType) -> Option<Decision> {
    match kind {
        PresenceType::Available | PresenceType::Unavailable | PresenceType::Error => None,
        PresenceType::Subscribe | PresenceType::Probe => Some(Decision::Serve),
        PresenceType::Subscribed | PresenceType::Unsubscribe | PresenceType::Unsubscribed => {
            Some(Decision::Ignore)
        }
    }
}

/// RFC 6121 §8.5.3.2.1: a message for a full JID that is not connected.
fn no_resource_message(kind: MessageType, keep: bool, resources: &[ResourceView]) -> Decision {
    match kind {
        MessageType::Chat | MessageType::Normal => message(kind, keep, resources),
        MessageType::Groupchat => Decision::ServiceUnavailable,
        MessageType::Headline | MessageType::Error => Decision::Ignore,
    }
}

/// RFC 6121 §8.5.1, §8.5.3.2.3: nobody is there; but an answer is never answered (RFC 6120 §8.2.3).
fn refuse_iq(kind: IqType) -> Decision {
    match kind {
        IqType::Get | IqType::Set => Decision::ServiceUnavailable,
        IqType::Result | IqType::Error => Decision::Ignore,
    }
}
