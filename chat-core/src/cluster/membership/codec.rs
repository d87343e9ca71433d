//! The bytes of a datagram, which are ours and not the library's to change.
//!
//! A datagram is a header, and for most messages a count (two bytes, big end first) with as many members. A life is its
//! name (text), incarnation (number), port (number) and return (number); a header is the sender's life and number of
//! refutations, the life it is meant for, and the message; a member is a life, its number of refutations and its state.

use super::swim::Life;
use crate::cluster::identity::{Incarnation, NODE_NAME_BYTES_MAX, NodeName};
use crate::cluster::wire::{Reader, UNVERSIONED, WireFault, Writer};
use bytes::{Buf, BufMut};
use foca::{Codec, Header, Member, Message, State};
use std::fmt;

/// Reads and writes what the library hands over.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    scratch: Vec<u8>,
}

/// Why something was not read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The peer's fault.
    Wire(WireFault),
    /// It does not fit into this datagram any more; the library leaves it out.
    Full,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Wire(fault) => fault.fmt(f),
            Fault::Full => f.write_str("the datagram is full"),
        }
    }
}

impl std::error::Error for Fault {}

impl Bytes {
    /// Writes all or nothing.
    fn write(&mut self, mut buf: impl BufMut, write: impl FnOnce(&mut Writer<'_>)) -> Result<(), Fault> {
        self.scratch.clear();
        write(&mut Writer::new(&mut self.scratch, UNVERSIONED));
        if buf.remaining_mut() < self.scratch.len() {
            return Err(Fault::Full);
        }
        buf.put_slice(&self.scratch);
        Ok(())
    }
}

impl Codec<Life> for Bytes {
    type Error = Fault;

    fn encode_header(&mut self, header: &Header<Life>, buf: impl BufMut) -> Result<(), Fault> {
        self.write(buf, |w| {
            write_life(w, &header.src);
            w.number(u64::from(header.src_incarnation));
            write_life(w, &header.dst);
            write_message(w, &header.message);
        })
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<Life>, Fault> {
        read(buf, |r| {
            Ok(Header {
                src: read_life(r)?,
                src_incarnation: r.number16()?,
                dst: read_life(r)?,
                message: read_message(r)?,
            })
        })
    }

    fn encode_member(&mut self, member: &Member<Life>, buf: impl BufMut) -> Result<(), Fault> {
        self.write(buf, |w| {
            write_life(w, member.id());
            w.number(u64::from(member.incarnation()));
            w.byte(match member.state() {
                State::Alive => 1,
                State::Suspect => 2,
                State::Down => 3,
            });
        })
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<Member<Life>, Fault> {
        read(buf, |r| {
            let (life, refutations) = (read_life(r)?, r.number16()?);
            let state = match r.byte()? {
                1 => State::Alive,
                2 => State::Suspect,
                3 => State::Down,
                _ => return Err(WireFault::Value),
            };
            Ok(Member::new(life, refutations, state))
        })
    }
}

/// Reads from the front of a buffer, which the library promises to be in one piece.
fn read<T>(
    mut buf: impl Buf,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, WireFault>,
) -> Result<T, Fault> {
    let chunk = buf.chunk();
    let mut reader = Reader::new(chunk, UNVERSIONED);
    let value = read(&mut reader).map_err(Fault::Wire)?;
    let taken = chunk.len() - reader.rest().len();
    buf.advance(taken);
    Ok(value)
}

fn write_life(w: &mut Writer<'_>, life: &Life) {
    w.text(life.name.as_str());
    w.number(life.incarnation.0);
    w.number(u64::from(life.port));
    w.number(u64::from(life.returned));
}

fn read_life(r: &mut Reader<'_>) -> Result<Life, WireFault> {
    let text = r.text(NODE_NAME_BYTES_MAX)?;
    let name = NodeName::parse(text).map_err(|_| WireFault::Value)?;
    // Two spellings of one name would be two nodes to a careless reader.
    if name.as_str() != text {
        return Err(WireFault::Value);
    }
    Ok(Life { name, incarnation: Incarnation(r.number()?), port: r.number16()?, returned: r.number32()? })
}

fn write_message(w: &mut Writer<'_>, message: &Message<Life>) {
    let (tag, about, number) = match message {
        Message::Ping(n) => (1, None, Some(*n)),
        Message::Ack(n) => (2, None, Some(*n)),
        Message::PingReq { target, probe_number } => (3, Some(target), Some(*probe_number)),
        Message::IndirectPing { origin, probe_number } => (4, Some(origin), Some(*probe_number)),
        Message::IndirectAck { target, probe_number } => (5, Some(target), Some(*probe_number)),
        Message::ForwardedAck { origin, probe_number } => (6, Some(origin), Some(*probe_number)),
        Message::Announce => (7, None, None),
        Message::Feed => (8, None, None),
        Message::Gossip => (9, None, None),
        Message::Broadcast => (10, None, None),
        Message::TurnUndead => (11, None, None),
    };
    w.byte(tag);
    if let Some(life) = about {
        write_life(w, life);
    }
    if let Some(number) = number {
        w.byte(number);
    }
}

fn read_message(r: &mut Reader<'_>) -> Result<Message<Life>, WireFault> {
    Ok(match r.byte()? {
        1 => Message::Ping(r.byte()?),
        2 => Message::Ack(r.byte()?),
        3 => Message::PingReq { target: read_life(r)?, probe_number: r.byte()? },
        4 => Message::IndirectPing { origin: read_life(r)?, probe_number: r.byte()? },
        5 => Message::IndirectAck { target: read_life(r)?, probe_number: r.byte()? },
        6 => Message::ForwardedAck { origin: read_life(r)?, probe_number: r.byte()? },
        7 => Message::Announce,
        8 => Message::Feed,
        9 => Message::Gossip,
        10 => Message::Broadcast,
        11 => Message::TurnUndead,
        _ => return Err(WireFault::Value),
    })
}

/// How many names a datagram speaks of that `known` does not know. A datagram that cannot be read speaks of none: the
/// library refuses it.
pub(super) fn strangers(datagram: &[u8], known: impl Fn(&NodeName) -> bool) -> usize {
    let mut codec = Bytes::default();
    let mut rest = datagram;
    let Ok(header) = codec.decode_header(&mut rest) else { return 0 };
    let mut strangers = usize::from(!known(&header.src.name));
    let Some((count, mut rest)) = rest.split_first_chunk::<2>() else { return strangers };
    for _ in 0..u16::from_be_bytes(*count) {
        let Ok(member) = codec.decode_member(&mut rest) else { break };
        strangers += usize::from(!known(&member.id().name));
    }
    strangers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn life(name: &str, incarnation: u64, returned: u32) -> Life {
        let name = NodeName::parse(name).unwrap();
        Life { name, incarnation: Incarnation(incarnation), port: 4369, returned }
    }

    fn messages() -> [(Message<Life>, &'static str); 11] {
        let c = || life("c@c", 3, 0);
        let (target, origin, probe_number) = (c(), c(), 9);
        [
            (Message::Ping(7), "0107"),
            (Message::Ack(255), "02ff"),
            (Message::PingReq { target: target.clone(), probe_number }, "03"),
            (Message::IndirectPing { origin: origin.clone(), probe_number }, "04"),
            (Message::IndirectAck { target, probe_number }, "05"),
            (Message::ForwardedAck { origin, probe_number }, "06"),
            (Message::Announce, "07"),
            (Message::Feed, "08"),
            (Message::Gossip, "09"),
            (Message::Broadcast, "0a"),
            (Message::TurnUndead, "0b"),
        ]
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The bytes are for ever: nodes of two releases talk to each other.
    #[test]
    fn the_bytes_stay() {
        let mut codec = Bytes::default();
        let c = "03634063039122 00".replace(' ', "");
        for (message, bytes) in messages() {
            let (src, dst) = (life("a@a", 1, 300), life("b@b", 2, 0));
            let header = Header { src, src_incarnation: 5, dst, message };
            let mut out = Vec::new();
            codec.encode_header(&header, &mut out).unwrap();
            let about = matches!(
                header.message,
                Message::PingReq { .. }
                    | Message::IndirectPing { .. }
                    | Message::IndirectAck { .. }
                    | Message::ForwardedAck { .. }
            );
            let tail = if about { format!("{}{c}09", &bytes[..2]) } else { bytes.into() };
            assert_eq!(
                hex(&out),
                format!("03614061019122ac0205{}{tail}", "03624062029122 00".replace(' ', ""))
            );
            let mut rest = &out[..];
            assert_eq!(codec.decode_header(&mut rest), Ok(header));
            assert!(rest.is_empty());
        }
        for (state, byte) in [(State::Alive, "01"), (State::Suspect, "02"), (State::Down, "03")] {
            let member = Member::new(life("chat@host-1.example", 1_763_847_469_000, 1), 65_535, state);
            let mut out = Vec::new();
            codec.encode_member(&member, &mut out).unwrap();
            let name = "1363686174 40686f73742d312e6578616d706c65".replace(' ', "");
            assert_eq!(hex(&out), format!("{name}c8ef81ecaa33912201ffff03{byte}"));
            let mut rest = &out[..];
            assert_eq!(codec.decode_member(&mut rest), Ok(member));
        }
    }

    #[test]
    fn what_does_not_fit_leaves_no_trace() {
        let mut codec = Bytes::default();
        let member = Member::alive(life("a@a", 1, 0));
        let mut out = [0xee; 9];
        assert_eq!(codec.encode_member(&member, &mut out[..]), Err(Fault::Full));
        assert_eq!(out, [0xee; 9]);
    }

    #[test]
    fn names_have_one_spelling() {
        let mut codec = Bytes::default();
        let mut out = Vec::new();
        codec.encode_member(&Member::alive(life("a@a", 1, 0)), &mut out).unwrap();
        out[3] = b'A';
        assert_eq!(codec.decode_member(&out[..]), Err(Fault::Wire(WireFault::Value)));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut codec = Bytes::default();
            let mut rest = &bytes[..];
            if let Ok(header) = codec.decode_header(&mut rest) {
                let mut again = Vec::new();
                prop_assert!(codec.encode_header(&header, &mut again).is_ok());
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - rest.len()]);
            }
            strangers(&bytes, |_| false);
        }
    }
}
