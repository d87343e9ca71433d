//! Bugs that are planted on purpose, to see whether the simulator finds them.

/// A planted bug. An engine has it only if its settings say so, and only with the feature `sim`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// A message counts as settled as soon as it is received.
    AckEarly,
    /// The first stanza to send again on a resumed stream is forgotten.
    DropOnResume,
    /// Rows of the spool are delivered the wrong way round.
    SwapRows,
    /// The `from` that a client wrote is believed.
    TrustFrom,
    /// The queue of what a client has not acknowledged has no limit.
    NoLimit,
    /// A message that the store has no room for is asked for again whatever was stored meanwhile.
    Overtake,
    /// The first stanza, or result, that arrives over a link that goes on is lost.
    DropOnRejoin,
    /// A stanza for another node counts as settled as soon as that node has it.
    ReceiptIsResult,
    /// What is known of a node counts on when it has begun another life.
    ForgetLife,
    /// A stanza goes to where a session is, though an earlier one is outstanding to where it was.
    OvertakeElsewhere,
    /// Of two sessions with one full JID each node takes its own for the one that counts, and ends none.
    WrongWinner,
    /// What a session had that gave way to another of its full JID is forgotten.
    DropWithLoser,
    /// A session that gives way to another of its full JID is told to be gone, and nobody doubts it.
    BelieveLoser,
    /// Rows that wait in the store, and of which nobody told, are not looked for.
    NoSweep,
    /// A node that drains ends all its sessions, and gives none away.
    EndOnDrain,
}

impl Plant {
    /// All of them.
    pub const ALL: [Plant; 15] = [
        Plant::AckEarly,
        Plant::DropOnResume,
        Plant::SwapRows,
        Plant::TrustFrom,
        Plant::NoLimit,
        Plant::Overtake,
        Plant::DropOnRejoin,
        Plant::ReceiptIsResult,
        Plant::ForgetLife,
        Plant::OvertakeElsewhere,
        Plant::WrongWinner,
        Plant::DropWithLoser,
        Plant::BelieveLoser,
        Plant::NoSweep,
        Plant::EndOnDrain,
    ];

    /// Whether only a node that is part of a cluster can have it.
    pub fn needs_cluster(self) -> bool {
        let of_nodes_alone = [
            Plant::AckEarly,
            Plant::DropOnResume,
            Plant::SwapRows,
            Plant::TrustFrom,
            Plant::NoLimit,
            Plant::Overtake,
        ];
        !of_nodes_alone.contains(&self)
    }
}
