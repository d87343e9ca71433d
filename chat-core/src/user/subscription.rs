//! The subscription between a user and one contact: RFC 6121 §3 and Appendix A as pure, total functions.
//!
//! [`outbound`] is asked when the user sends one of the four subscription stanzas, [`inbound`] when the contact's
//! server sends one. Both answer with an [`Outcome`] and touch nothing. The server acts on it in this order:
//!
//! 1. store `next` (the answer to the client and the pushes follow the commit),
//! 2. [`SendPresence::Unavailable`], as §3.2.2 wants it before the `unsubscribed`,
//! 3. `route` or `reply`,
//! 4. `deliver`,
//! 5. `push`,
//! 6. [`SendPresence::Current`], as §3.1.5 wants it after the `subscribed`.
//!
//! Where the RFC leaves a choice:
//!
//! - An inbound `unsubscribe` is not answered by an automatic `unsubscribed`. Such an answer may meet a newer
//!   `subscribe` of the same contact on the way and undo it, which leaves the two servers with different states.
//! - A pre-approval (§3.4) is used up by the request it answers: the next one is shown to the user again.
//! - A request that is answered by the server because the contact is subscribed already (§3.1.3) is followed by the
//!   user's current presence, because the contact's server had evidently lost its half of the subscription.

#[cfg(test)]
mod tests;

/// The state between a user and a contact, seen from the user (RFC 6121 Appendix A.1), in one byte.
///
/// Fourteen states exist. Twelve are items of the roster: the nine of Appendix A.1, and three of them once more with
/// a pre-approval (§3.4). Two are not shown in the roster: [`Subscription::ABSENT`], which says that nothing is
/// known of the contact, and [`Subscription::REQUEST`], which remembers a request of somebody who is not in the
/// roster (§3.1.3: such an entry must be neither pushed nor sent with the roster).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Subscription(u8);

const FROM_BIT: u8 = 1;
const TO_BIT: u8 = 2;
const ASK_BIT: u8 = 4;
const PENDING_IN_BIT: u8 = 8;
const APPROVED_BIT: u8 = 16;
const LISTED_BIT: u8 = 32;

impl Subscription {
    /// Nothing is known of the contact: no item, no request.
    pub const ABSENT: Self = Subscription(0);
    /// "None + Pending In" of a contact who is not in the roster: a request that waits for an answer.
    pub const REQUEST: Self = Subscription(PENDING_IN_BIT);
    /// "None": the contact is in the roster; neither is subscribed to the other.
    pub const NONE: Self = Subscription(LISTED_BIT);
    /// "None + Pending Out": the user has asked, the contact has not answered.
    pub const NONE_OUT: Self = Subscription(LISTED_BIT | ASK_BIT);
    /// "None + Pending In" of a contact who is in the roster.
    pub const NONE_IN: Self = Subscription(LISTED_BIT | PENDING_IN_BIT);
    /// "None + Pending Out+In": both have asked.
    pub const NONE_OUT_IN: Self = Subscription(LISTED_BIT | ASK_BIT | PENDING_IN_BIT);
    /// "To": the user sees the contact's presence.
    pub const TO: Self = Subscription(LISTED_BIT | TO_BIT);
    /// "To + Pending In".
    pub const TO_IN: Self = Subscription(LISTED_BIT | TO_BIT | PENDING_IN_BIT);
    /// "From": the contact sees the user's presence.
    pub const FROM: Self = Subscription(LISTED_BIT | FROM_BIT);
    /// "From + Pending Out".
    pub const FROM_OUT: Self = Subscription(LISTED_BIT | FROM_BIT | ASK_BIT);
    /// "Both".
    pub const BOTH: Self = Subscription(LISTED_BIT | FROM_BIT | TO_BIT);
    /// "None" with a pre-approval (§3.4).
    pub const NONE_APPROVED: Self = Subscription(LISTED_BIT | APPROVED_BIT);
    /// "None + Pending Out" with a pre-approval.
    pub const NONE_OUT_APPROVED: Self = Subscription(LISTED_BIT | ASK_BIT | APPROVED_BIT);
    /// "To" with a pre-approval.
    pub const TO_APPROVED: Self = Subscription(LISTED_BIT | TO_BIT | APPROVED_BIT);

    /// Every legal state, once.
    pub const ALL: [Self; 14] = [
        Self::ABSENT,
        Self::REQUEST,
        Self::NONE,
        Self::NONE_OUT,
        Self::NONE_IN,
        Self::NONE_OUT_IN,
        Self::TO,
        Self::TO_IN,
        Self::FROM,
        Self::FROM_OUT,
        Self::BOTH,
        Self::NONE_APPROVED,
        Self::NONE_OUT_APPROVED,
        Self::TO_APPROVED,
    ];

    /// The state as stored: bit 0 `from`, 1 `to`, 2 `ask`, 3 pending in, 4 approved, 5 listed.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The state of these stored bits; `None` if they are no legal state.
    pub fn from_bits(bits: u8) -> Option<Self> {
        let s = Subscription(bits);
        Self::ALL.contains(&s).then_some(s)
    }

    /// The contact is subscribed to the user's presence (`subscription` is `from` or `both`).
    pub const fn from(self) -> bool {
        self.has(FROM_BIT)
    }

    /// The user is subscribed to the contact's presence (`subscription` is `to` or `both`).
    pub const fn to(self) -> bool {
        self.has(TO_BIT)
    }

    /// The user's request waits for the contact's answer (the item has `ask='subscribe'`).
    pub const fn ask(self) -> bool {
        self.has(ASK_BIT)
    }

    /// The contact's request waits for the user's answer. The roster does not show it.
    pub const fn pending_in(self) -> bool {
        self.has(PENDING_IN_BIT)
    }

    /// The user has approved a request that has not come yet (the item has `approved='true'`, §3.4).
    pub const fn approved(self) -> bool {
        self.has(APPROVED_BIT)
    }

    /// The contact is an item of the roster, to be pushed and sent to clients.
    pub const fn listed(self) -> bool {
        self.has(LISTED_BIT)
    }

    /// The same state for a contact whom the user puts into the roster (a roster set, §2.3).
    pub const fn list(self) -> Self {
        self.with(LISTED_BIT)
    }

    /// The value of the item's `subscription` attribute (§2.1.2.5).
    pub const fn attribute(self) -> &'static str {
        match (self.from(), self.to()) {
            (false, false) => "none",
            (false, true) => "to",
            (true, false) => "from",
            (true, true) => "both",
        }
    }

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    const fn with(self, bits: u8) -> Self {
        Subscription(self.0 | bits)
    }

    const fn without(self, bits: u8) -> Self {
        Subscription(self.0 & !bits)
    }

    /// What a client can see of the state: everything but a request that waits for the user.
    const fn visible(self) -> u8 {
        if self.listed() { self.0 & !PENDING_IN_BIT } else { 0 }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.listed() {
            return f.write_str(if self.pending_in() { "request" } else { "absent" });
        }
        f.write_str(self.attribute())?;
        for (on, text) in [(self.ask(), "+out"), (self.pending_in(), "+in"), (self.approved(), "+approved")] {
            if on {
                f.write_str(text)?;
            }
        }
        Ok(())
    }
}

/// The type of a presence stanza that manages a subscription (RFC 6121 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Asks to see the other's presence.
    Subscribe,
    /// Lets the other see one's presence.
    Subscribed,
    /// Wants to see the other's presence no longer, or takes a request back.
    Unsubscribe,
    /// Denies a request, takes a subscription away, or takes a pre-approval back.
    Unsubscribed,
}

impl Kind {
    /// The four types.
    pub const ALL: [Self; 4] = [Self::Subscribe, Self::Subscribed, Self::Unsubscribe, Self::Unsubscribed];
}

/// Presence that goes from the user's available resources to the contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendPresence {
    /// The last presence of each available resource, after what is routed or replied (§3.1.5).
    Current,
    /// `unavailable` from each available resource, before what is routed (§3.2.2, §3.3.3).
    Unavailable,
}

/// What one subscription stanza does. By default nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The state from now on. [`Subscription::ABSENT`] means that nothing about the contact is kept.
    pub next: Subscription,
    /// Outbound only: the stanza goes on to the contact, stamped with the user's bare JID.
    pub route: bool,
    /// Inbound only: the user's clients get the stanza. A `subscribe` goes to all available resources, now and
    /// whenever one becomes available, until it is answered (§3.1.3); the others go to the interested resources.
    pub deliver: bool,
    /// What the roster shows of the contact changed: push the item to the interested resources (§2.1.6).
    pub push: bool,
    /// Inbound only: the server answers the contact on behalf of the user.
    pub reply: Option<Kind>,
    /// Presence for the contact.
    pub presence: Option<SendPresence>,
}

impl Outcome {
    fn new(before: Subscription, next: Subscription) -> Self {
        let push = before.visible() != next.visible();
        Outcome { next, route: false, deliver: false, push, reply: None, presence: None }
    }
}

/// What happens when the user sends a subscription stanza to the contact (RFC 6121 Appendix A.2).
pub fn outbound(state: Subscription, kind: Kind) -> Outcome {
    match kind {
        // A.2.1 routes it in every state: it may mend a state that the contact's server has lost.
        Kind::Subscribe => {
            let ask = if state.to() { 0 } else { ASK_BIT };
            Outcome { route: true, ..Outcome::new(state, state.with(LISTED_BIT | ask)) }
        }
        // A.2.3
        Kind::Subscribed if state.from() => Outcome::new(state, state),
        Kind::Subscribed if state.pending_in() => {
            let next = state.without(PENDING_IN_BIT).with(LISTED_BIT | FROM_BIT);
            Outcome { route: true, presence: Some(SendPresence::Current), ..Outcome::new(state, next) }
        }
        Kind::Subscribed => Outcome::new(state, state.with(LISTED_BIT | APPROVED_BIT)),
        // A.2.2, also in every state.
        Kind::Unsubscribe => Outcome { route: true, ..Outcome::new(state, state.without(TO_BIT | ASK_BIT)) },
        // A.2.4
        Kind::Unsubscribed if state.from() => {
            let next = state.without(FROM_BIT);
            Outcome { route: true, presence: Some(SendPresence::Unavailable), ..Outcome::new(state, next) }
        }
        Kind::Unsubscribed if state.pending_in() => {
            Outcome { route: true, ..Outcome::new(state, state.without(PENDING_IN_BIT)) }
        }
        Kind::Unsubscribed => Outcome::new(state, state.without(APPROVED_BIT)),
    }
}

/// What happens when a subscription stanza of the contact arrives for the user (RFC 6121 Appendix A.3).
pub fn inbound(state: Subscription, kind: Kind) -> Outcome {
    match kind {
        // A.3.1; the server answers for the user who has approved already (§3.1.3 rule 2, §3.4.2).
        Kind::Subscribe if state.from() || state.approved() => {
            let next = state.without(APPROVED_BIT).with(FROM_BIT);
            let (reply, presence) = (Some(Kind::Subscribed), Some(SendPresence::Current));
            Outcome { reply, presence, ..Outcome::new(state, next) }
        }
        Kind::Subscribe => {
            Outcome { deliver: !state.pending_in(), ..Outcome::new(state, state.with(PENDING_IN_BIT)) }
        }
        // A.3.3; nobody may grant what was not asked for.
        Kind::Subscribed if state.ask() => {
            Outcome { deliver: true, ..Outcome::new(state, state.without(ASK_BIT).with(TO_BIT)) }
        }
        Kind::Subscribed => Outcome::new(state, state),
        // A.3.2
        Kind::Unsubscribe => {
            let presence = state.from().then_some(SendPresence::Unavailable);
            let deliver = state.from() || state.pending_in();
            Outcome { deliver, presence, ..Outcome::new(state, state.without(FROM_BIT | PENDING_IN_BIT)) }
        }
        // A.3.4
        Kind::Unsubscribed => {
            let deliver = state.to() || state.ask();
            Outcome { deliver, ..Outcome::new(state, state.without(TO_BIT | ASK_BIT)) }
        }
    }
}

/// What the server sends to a contact whom the user removes from the roster (RFC 6121 §2.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    /// First: `unavailable` from each available resource, because the contact was subscribed (§3.2.2).
    pub unavailable: bool,
    /// Then: `unsubscribe`, because the user is subscribed or has asked.
    pub unsubscribe: bool,
    /// Then: `unsubscribed`, because the contact is subscribed or has asked.
    pub unsubscribed: bool,
}

/// What removing the item of a contact in this state sends; the state afterwards is [`Subscription::ABSENT`].
///
/// The RFC speaks of subscriptions only. Requests that wait are taken back and denied as well, so that the contact's
/// server does not wait for ever. A state that is not [`Subscription::listed`] cannot be removed by a client
/// (`item-not-found`, §2.5.3).
pub fn removal(state: Subscription) -> Removal {
    Removal {
        unavailable: state.from(),
        unsubscribe: state.to() || state.ask(),
        unsubscribed: state.from() || state.pending_in(),
    }
}
