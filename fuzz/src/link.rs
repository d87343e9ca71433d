//! What nodes say to each other: any bytes as frames, as a greeting, on a link in use; and two links over a wire that
//! is cut anywhere.
//!
//! Owns: the target `link`. Not here: clusters of faults over time (the tests beside `cluster/link`, the simulator).

use std::collections::VecDeque;

use chat_core::base::limits::{LINK_FRAME_BYTES_MAX, LinkLimits};
use chat_core::base::{Mono, Rng, Span};
use chat_core::cluster::handshake::{
    Channel, Greeted, Handshake, HandshakeInput, Myself, Secrets, Side, Trust,
};
use chat_core::cluster::link::{Link, LinkConn, LinkInput, LinkOutput};
use chat_core::cluster::wire::{Kind, Seen, Versions, read_frame, rewritten, write_frame};
use chat_core::cluster::{BootId, Identity, Incarnation, NodeName};

use crate::bytes::Bytes;

/// The first byte says what the rest is.
pub fn link(data: &[u8]) {
    let mut bytes = Bytes(data);
    match bytes.below(4) {
        0 => frames(bytes.0),
        1 => greeting(bytes),
        2 => in_use(bytes),
        _ => two(bytes),
    }
}

fn name(i: usize) -> NodeName {
    NodeName::parse(["chat@a", "chat@b"][i]).expect("a name")
}

fn identity(i: usize) -> Identity {
    Identity { name: name(i), incarnation: Incarnation(1), boot: BootId([i as u8 + 1; 16]) }
}

/// Frames one after the other, in each version: what reads is written alike.
fn frames(bytes: &[u8]) {
    (Versions::OURS.min..=Versions::OURS.max).for_each(|version| frames_of(bytes, version));
}

fn frames_of(mut bytes: &[u8], version: u16) {
    while let Ok(Some((frame, taken))) = read_frame(bytes, version, 64 * 1024) {
        if let Seen::Known(kind) = frame.seen {
            let mut out = Vec::new();
            write_frame(&mut out, kind, frame.number, frame.body);
            assert_eq!(out, &bytes[..taken], "a frame is written as it reads");
            body(kind, frame.body, version);
        }
        bytes = &bytes[taken..];
    }
}

fn body(kind: Kind, body: &[u8], version: u16) {
    let Ok(out) = rewritten(kind, body, version) else { return };
    if kind == Kind::Hello {
        assert!(body.starts_with(&out), "a hello may only go on behind what is known");
    } else {
        assert_eq!(out, body, "{kind:?} is written as it reads");
    }
}

/// A greeting with somebody who does not know the secret.
fn greeting(mut bytes: Bytes<'_>) {
    let secret = b"a secret that no fuzzer finds out";
    let me = Myself {
        identity: identity(0),
        versions: Versions::OURS,
        cluster: "".into(),
        trust: Trust::Secrets(Secrets::new(secret, None).expect("it is long enough")),
    };
    let side = if bytes.below(2) == 0 { Side::Dialler(None) } else { Side::Listener };
    let channel = Channel { exporter: [7; 32].into(), certified: Vec::new() };
    let mut handshake = Handshake::new(Mono(0), me, side, channel, Span::secs(5));
    while !bytes.is_empty() {
        let n = usize::from(bytes.byte()) + 1;
        handshake.handle(Mono(0), HandshakeInput::Received(bytes.take(n)));
        let sent = handshake.outgoing().len();
        assert!(sent < 4096, "a greeting is short");
        handshake.sent(sent);
        assert!(!matches!(handshake.poll_output(), Some(Ok(_))), "nobody passes without the secret");
    }
}

fn new_link(i: usize) -> Link {
    let limits = LinkLimits { resend_bytes_max: 4_000, receipt_bytes: 100, ..LinkLimits::default() };
    Link::new(Mono(0), name(i), name(1 - i), limits, Rng::from_u64(i as u64))
}

fn greet(link: &mut Link, now: Mono, conn: u64, peer: usize, dialled: bool, rest: &[u8]) {
    let greeted = Greeted { peer: identity(peer), version: 1, dialled };
    let (conn, rest) = (LinkConn(conn), rest.to_vec());
    link.handle(now, LinkInput::Greeted { conn, asked: dialled, greeted, unsent: Vec::new(), rest });
}

/// Any bytes from a node that is believed, between what this one does.
fn in_use(mut bytes: Bytes<'_>) {
    let (mut link, mut now, mut conns) = (new_link(0), Mono(0), 0);
    while !bytes.is_empty() {
        match bytes.below(6) {
            0 => {
                conns += 1;
                let n = bytes.below(40);
                let dialled = bytes.below(2) == 0;
                greet(&mut link, now, conns, 1, dialled, bytes.take(n));
            }
            1 => {
                let sent = link.send(now, Kind::Envelope, &[1; 100]);
                assert!(sent.is_ok() || link.can_send().is_err(), "what cannot be sent says so");
            }
            2 => now = now + Span::millis(u64::from(bytes.byte()) * 20),
            3 => link.handle(now, LinkInput::Closed(LinkConn(conns))),
            _ => {
                let n = usize::from(bytes.byte());
                let conn = LinkConn(conns);
                link.handle(now, LinkInput::Received { conn, bytes: bytes.take(n) });
            }
        }
        link.handle(now, LinkInput::Timer);
        while let Some(output) = link.poll_output() {
            if let LinkOutput::Frame { body, .. } = output {
                assert!(body.len() < LINK_FRAME_BYTES_MAX);
            }
        }
        while let Some(conn) = link.poll_dirty() {
            let mut out = [&[][..]; 4];
            let n = link.outgoing(conn, &mut out);
            let n = out[..n].iter().map(|slice| slice.len()).sum();
            link.sent(now, conn, n);
        }
        assert!(link.state().kept_bytes <= 4_000, "what is kept has a limit");
    }
}

/// One end of two links.
struct End {
    link: Link,
    chapter: u8,
    sent: u8,
    reading: Option<u8>,
    received: u8,
}

/// A connection: what each end has sent and the other has not got.
struct Wire {
    conn: u64,
    pipes: [VecDeque<u8>; 2],
    open: [bool; 2],
}

/// Two links that dial, send, and lose connections as the bytes say. Frames arrive once, in order, chapter by chapter.
fn two(mut bytes: Bytes<'_>) {
    let end = |i| End { link: new_link(i), chapter: 0, sent: 0, reading: None, received: 0 };
    let (mut ends, mut now, mut wires, mut conns) = ([end(0), end(1)], Mono(0), Vec::new(), 0);
    while !bytes.is_empty() {
        let at = bytes.below(2);
        match bytes.below(8) {
            0 | 1 if wires.len() < 8 => {
                conns += 1;
                wires.push(Wire { conn: conns, pipes: Default::default(), open: [true; 2] });
                for i in [1 - at, at] {
                    greet(&mut ends[i].link, now, conns, 1 - i, i == at, b"");
                }
            }
            2 => now = now + Span::millis(u64::from(bytes.byte()) * 20),
            3 => ends[at].link.handle(now, LinkInput::GiveUp),
            4 => {
                let lost = bytes.below(wires.len());
                if let Some(wire) = wires.get_mut(lost).filter(|w| w.open[at]) {
                    wire.open[at] = false;
                    wire.pipes[1 - at].clear();
                    ends[at].link.handle(now, LinkInput::Closed(LinkConn(wire.conn)));
                }
            }
            5 => {
                let End { link, chapter, sent, .. } = &mut ends[at];
                if link.send(now, Kind::Envelope, &[*chapter, *sent]).is_ok() {
                    *sent = sent.wrapping_add(1);
                }
            }
            _ => {
                let (which, n) = (bytes.below(wires.len()), usize::from(bytes.byte()));
                deliver(&mut ends, &mut wires, now, at, which, n);
            }
        }
        for i in [0, 1] {
            ends[i].link.handle(now, LinkInput::Timer);
            after(&mut ends[i], &mut wires, now, i);
        }
        wires.retain(|wire| wire.open != [false; 2]);
    }
}

fn deliver(ends: &mut [End; 2], wires: &mut [Wire], now: Mono, at: usize, which: usize, n: usize) {
    let Some(wire) = wires.get_mut(which).filter(|w| w.open[at]) else { return };
    let n = n.min(wire.pipes[1 - at].len());
    let bytes: Vec<u8> = wire.pipes[1 - at].drain(..n).collect();
    let conn = LinkConn(wire.conn);
    ends[at].link.handle(now, LinkInput::Received { conn, bytes: &bytes });
}

/// What an end tells and sends.
fn after(end: &mut End, wires: &mut [Wire], now: Mono, i: usize) {
    loop {
        while let Some(output) = end.link.poll_output() {
            match output {
                LinkOutput::Close(conn) => {
                    for wire in wires.iter_mut().filter(|w| w.conn == conn.0) {
                        wire.open[i] = false;
                    }
                }
                LinkOutput::Fresh { .. } => {
                    end.chapter = end.chapter.wrapping_add(1);
                    (end.sent, end.reading, end.received) = (0, None, 0);
                }
                LinkOutput::Frame { body, .. } => {
                    let reading = *end.reading.get_or_insert(body[0]);
                    assert_eq!((body[0], body[1]), (reading, end.received), "once, in order, of one chapter");
                    end.received = end.received.wrapping_add(1);
                }
                _ => {}
            }
        }
        let Some(conn) = end.link.poll_dirty() else { return };
        let mut out = [&[][..]; 8];
        let n = end.link.outgoing(conn, &mut out);
        let bytes = out[..n].concat();
        end.link.sent(now, conn, bytes.len());
        if let Some(wire) = wires.iter_mut().find(|w| w.conn == conn.0 && w.open[i]) {
            wire.pipes[i].extend(&bytes);
        }
    }
}
