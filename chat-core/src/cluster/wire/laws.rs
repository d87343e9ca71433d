//! Laws of the encoding: reading never panics, and what reads is written alike.

use proptest::prelude::*;

use super::*;
use crate::base::{HashKey, MsgId, Span, Utc, WorkerId};
use crate::cluster::identity::{BootId, Identity, Incarnation, NodeName};
use crate::effect::{Copied, Keeper, Queued, SessionState};

/// What reads is written alike: the bytes must be the same. A hello may go on behind what is known.
pub(super) fn reads_and_writes_alike(kind: Kind, body: &[u8], version: u16) -> Result<(), WireFault> {
    let out = rewritten(kind, body, version)?;
    if kind == Kind::Hello {
        assert!(body.starts_with(&out), "{kind:?}: {out:x?} of {body:x?}");
    } else {
        assert_eq!(out, body, "{kind:?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn envelopes_read_back(
        numbers: (u64, u16, u128, i64, bool, bool),
        attempt in 1..=ATTEMPTS_MAX,
        addresses: (String, String),
        targets in "([a-zø]{0,3}\0){0,3}",
        stanza: String,
        version in 1u16..3,
    ) {
        let envelope = Envelope(Parcel {
            envelope: numbers.0,
            attempt,
            worker: WorkerId(numbers.1),
            id: MsgId(numbers.2),
            at: Utc(numbers.3),
            delayed: numbers.4,
            awaited: numbers.5,
            from: &addresses.0,
            to: &addresses.1,
            targets: Targets(&targets),
            stanza: &stanza,
        });
        let mut body = Vec::new();
        envelope.write(&mut body, version);
        prop_assert_eq!(Envelope::read(&body, version), Ok(envelope));
        for n in 0..body.len() {
            prop_assert!(Envelope::read(&body[..n], version).is_err(), "cut at {}", n);
        }
        body.push(0);
        prop_assert_eq!(Envelope::read(&body, version).err(), Some(WireFault::Trailing));
    }

    #[test]
    fn hellos_read_back(min: u16, max: u16, incarnation: u64, boot: [u8; 16], cluster in "[a-zø]{0,20}") {
        let name = NodeName::parse("chat@[2001:db8::1]").unwrap();
        let identity = Identity { name, incarnation: Incarnation(incarnation), boot: BootId(boot) };
        let hello = Hello { versions: Versions { min, max }, identity, cluster: cluster.into() };
        let mut body = Vec::new();
        hello.write(&mut body);
        prop_assert_eq!(Hello::read(&body), Ok(hello));
    }

    #[test]
    fn joins_read_back(
        numbers: (u64, u128, u128, bool, u64, u64, u64, u64),
    ) {
        let (turn, epoch, earlier, intact, acked, last, received, proposal) = numbers;
        let join = Control::Join(Join { turn, epoch, earlier, intact, acked, last, received, proposal });
        let mut body = Vec::new();
        join.write(&mut body, 1);
        prop_assert_eq!(Control::read(Kind::Join, &body, 1), Ok(join));
    }

    #[test]
    fn sessions_read_back(
        texts: (String, String, String, String),
        numbers: (u64, u64, u32, u32, i8, bool, bool, bool),
        times in (0u64..1 << 40, 0u64..1 << 40),
        directed in proptest::collection::vec("[a-zø]{1,9}", 0..4),
        recent in proptest::collection::vec(any::<u128>(), 0..4),
        queue in proptest::collection::vec((any::<String>(), 0u8..4, any::<(u64, u128, i64)>()), 0..5),
        unsure: Option<u32>,
        more in 0u16..3,
    ) {
        let (user, resource, id, presence) = texts;
        let (k0, k1, received, acked, priority, interested, wants_blocked, carbons) = numbers;
        let queued = |(stanza, keeper, (envelope, id, at))| {
            let keeper = match keeper {
                0 => None,
                1 => Some(Keeper::Row),
                2 => Some(Keeper::Other),
                _ => Some(Keeper::Giver(envelope)),
            };
            let copy = keeper.map(|keeper| Copied { id: MsgId(id), at: Utc(at), keeper });
            Queued { stanza, copy }
        };
        let state = SessionState {
            user: user.chars().take(300).collect(),
            resource: resource.chars().take(100).collect(),
            id: id.chars().take(16).collect(),
            key: HashKey { k0, k1 },
            max: Span::millis(times.0.max(times.1)),
            left: Span::millis(times.0.min(times.1)),
            received,
            acked,
            priority,
            interested,
            wants_blocked,
            carbons,
            presence,
            directed,
            queue: queue.into_iter().map(queued).collect(),
            recent: recent.into_iter().map(MsgId).collect(),
            unsure,
        };
        let version = state.since() + more;
        let mut bytes = Vec::new();
        write_session(&state, &mut bytes, version);
        prop_assert!(read_session(&bytes, version).is_ok_and(|read| read == state));
        for n in 0..bytes.len() {
            prop_assert!(read_session(&bytes[..n], version).is_err(), "cut at {}", n);
        }
        bytes.push(0);
        prop_assert_eq!(read_session(&bytes, version).err(), Some(WireFault::Trailing));
    }

    #[test]
    fn arbitrary_bytes_are_sessions_or_not(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..4], 0..300),
        version in 1u16..3,
    ) {
        if let Ok(state) = read_session(&bytes, version) {
            let mut out = Vec::new();
            write_session(&state, &mut out, version);
            prop_assert_eq!(out, bytes);
        }
    }

    #[test]
    fn a_session_is_cut_into_parts_and_put_together(len in 1usize..300_000) {
        let whole: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let parts: Vec<_> = SessionPart::cut(7, &whole).collect();
        prop_assert_eq!(parts.iter().map(|part| part.bytes).collect::<Vec<_>>().concat(), &whole[..]);
        prop_assert!(parts.iter().rev().skip(1).all(|part| !part.is_last) && parts[parts.len() - 1].is_last);
    }

    #[test]
    fn arbitrary_bodies_never_panic(
        kind in 0..Kind::ALL.len(),
        body in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..8], 0..200),
        version in 1u16..3,
    ) {
        let _ = reads_and_writes_alike(Kind::ALL[kind], &body, version);
    }

    #[test]
    fn arbitrary_bytes_are_frames_or_not(mut bytes: Vec<u8>, small: bool, version in 0u16..3) {
        if small && bytes.len() > 4 {
            bytes[..3].fill(0);
        }
        if let Ok(Some((frame, taken))) = read_frame(&bytes, version, 1000) {
            prop_assert!(taken <= bytes.len() && taken <= 1004);
            prop_assert!(taken - frame.body.len() <= FRAME_HEAD_BYTES_MAX);
            if let Seen::Known(kind) = frame.seen {
                let mut out = Vec::new();
                write_frame(&mut out, kind, frame.number, frame.body);
                prop_assert_eq!(&out[..], &bytes[..taken]);
            }
        }
    }
}
