//! Which kinds of frames there are, and what to do with those of other versions.

use super::WireFault;

/// The kind of a frame. Its byte is for ever.
///
/// | bytes | frames |
/// |---|---|
/// | `01`–`0f` | of the handshake, then of the link itself: not numbered |
/// | `10`–`7f` | numbered: they arrive once and in order, sent again after a cut |
/// | `80`–`bf` | as the first row, but skipped by who does not know them |
/// | `c0`–`ff` | as the second row, but skipped (and receipted) by who does not know them |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Who a node is and what it speaks ([`Hello`](super::Hello)); before authentication.
    Hello = 0x01,
    /// That a node knows the secret ([`Proof`](super::Proof)).
    Proof = 0x02,
    /// Why there will be no link ([`Refusal`](super::Refusal)).
    Refuse = 0x03,
    /// Where each side of the link stands ([`Join`](super::Join)): the first frame after authentication.
    Join = 0x04,
    /// Numbered frames have arrived.
    Receipt = 0x05,
    /// Are you there?
    Ping = 0x06,
    /// I am.
    Pong = 0x07,
    /// Why the connection ends ([`Bye`](super::Bye)).
    Bye = 0x08,
    /// A datagram of the membership: lost if the link is.
    Datagram = 0x09,
    /// Part of the snapshot of a node's registry.
    RegistrySnapshot = 0x10,
    /// Records of a node's registry that changed.
    RegistryRecords = 0x11,
    /// There is a gap: the registry starts over.
    RegistryReset = 0x12,
    /// What is stored of a user has another version ([`UserChanged`](super::UserChanged)).
    UserChanged = 0x13,
    /// A stanza for sessions of the other node ([`Envelope`](super::Envelope)).
    Envelope = 0x20,
    /// What became of envelopes ([`EnvelopeResult`](super::EnvelopeResult)).
    EnvelopeResult = 0x21,
    /// Look into the spool of these users ([`Poke`](super::Poke)).
    Poke = 0x22,
    /// The taker of a session asks its holder for it.
    SessionAsk = 0x30,
    /// The state of a session, or a part of it.
    SessionState = 0x31,
    /// There is no such session, or it cannot be given.
    SessionRefuse = 0x32,
    /// The session lives at its taker now.
    SessionInstalled = 0x33,
    /// A draining node offers a session to another.
    SessionOffer = 0x34,
    /// The offer is taken or not.
    SessionAnswer = 0x35,
    /// The taker does not want the session, now or any more.
    SessionRelease = 0x36,
    /// The node drains or leaves ([`Leaving`](super::Leaving)).
    Leaving = 0x40,
    /// What the node says of itself to those who look at the cluster: role, release.
    Status = 0x41,
    /// Whether the node can do its work ([`Health`](super::Health)).
    Health = 0x42,
}

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Read it.
    Known(Kind),
    /// Leave it: whoever sent it knows that we do.
    Skip,
}

impl Kind {
    /// All kinds, by byte.
    pub const ALL: [Kind; 26] = [
        Kind::Hello,
        Kind::Proof,
        Kind::Refuse,
        Kind::Join,
        Kind::Receipt,
        Kind::Ping,
        Kind::Pong,
        Kind::Bye,
        Kind::Datagram,
        Kind::RegistrySnapshot,
        Kind::RegistryRecords,
        Kind::RegistryReset,
        Kind::UserChanged,
        Kind::Envelope,
        Kind::EnvelopeResult,
        Kind::Poke,
        Kind::SessionAsk,
        Kind::SessionState,
        Kind::SessionRefuse,
        Kind::SessionInstalled,
        Kind::SessionOffer,
        Kind::SessionAnswer,
        Kind::SessionRelease,
        Kind::Leaving,
        Kind::Status,
        Kind::Health,
    ];

    /// The byte it is written as.
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// The first protocol version that has it. It is not sent at an older one.
    pub const fn since(self) -> u16 {
        match self {
            Kind::Health => 2,
            _ => 1,
        }
    }

    /// What a byte means at a version. A kind that the version does not have is skipped if its byte says so, even if
    /// this release knows it: the sender is bound to the same version.
    pub fn of_byte(byte: u8, version: u16) -> Result<Seen, WireFault> {
        match Kind::ALL.iter().find(|k| k.byte() == byte && k.since() <= version) {
            Some(kind) => Ok(Seen::Known(*kind)),
            None if byte >= 0x80 => Ok(Seen::Skip),
            None => Err(WireFault::Kind(byte)),
        }
    }

    /// Whether its frames are numbered, receipted, and sent again after a cut.
    pub const fn is_numbered(self) -> bool {
        is_numbered(self.byte())
    }

    /// Whether its frames may wait a moment for others to go with them: nobody's stanza waits for what they say.
    pub const fn can_wait(self) -> bool {
        matches!(self, Kind::EnvelopeResult)
    }

    /// Whether the link itself sends and reads it, so that no layer above ever sees it.
    pub const fn is_control(self) -> bool {
        self.byte() <= Kind::Bye.byte()
    }
}

/// Whether frames of this kind are numbered, also if the kind is unknown.
pub(super) const fn is_numbered(byte: u8) -> bool {
    matches!(byte, 0x10..=0x7f | 0xc0..=0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_meaning() {
        for (byte, seen) in [
            (0x00, Err(WireFault::Kind(0x00))),
            (0x04, Ok(Seen::Known(Kind::Join))),
            (0x0f, Err(WireFault::Kind(0x0f))),
            (0x20, Ok(Seen::Known(Kind::Envelope))),
            (0x7f, Err(WireFault::Kind(0x7f))),
            (0x80, Ok(Seen::Skip)),
            (0xff, Ok(Seen::Skip)),
        ] {
            assert_eq!(Kind::of_byte(byte, 1), seen, "{byte:#x}");
        }
        assert_eq!(Kind::of_byte(0x42, 1), Err(WireFault::Kind(0x42)), "nobody sends it at that version");
        assert_eq!(Kind::of_byte(0x42, 2), Ok(Seen::Known(Kind::Health)));
        for kind in Kind::ALL {
            assert_eq!(Kind::of_byte(kind.byte(), kind.since()), Ok(Seen::Known(kind)));
            assert_eq!(Kind::of_byte(kind.byte(), kind.since() - 1), Err(WireFault::Kind(kind.byte())));
            assert_eq!(kind.is_numbered(), kind.byte() >= 0x10, "{kind:?}");
        }
        assert!(Kind::ALL.is_sorted_by(|a, b| a.byte() < b.byte()));
        assert!(Kind::Bye.is_control() && !Kind::Datagram.is_control());
    }
}
