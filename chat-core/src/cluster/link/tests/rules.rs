//! One rule at a time, on two links over connections that do as they are told.

use crate::base::limits::{LINK_FRAME_BYTES_MAX, LinkLimits};
use crate::base::{Mono, Rng, Span};
use crate::cluster::handshake::Greeted;
use crate::cluster::identity::{BootId, Identity, Incarnation, NodeName};
use crate::cluster::link::{Link, LinkConn, LinkInput, LinkOutput, NotSent, Parting};
use crate::cluster::wire::{Bye, Kind, Refusal, WireFault, write_frame};

const A: usize = 0;
const B: usize = 1;

/// Two links, and what each of them told, as text.
struct Pair {
    now: Mono,
    links: [Link; 2],
    ids: [Identity; 2],
    told: [Vec<String>; 2],
    /// Connections that still exist at each end.
    open: [Vec<LinkConn>; 2],
}

fn name(i: usize) -> NodeName {
    NodeName::parse(["chat@a", "chat@b"][i]).unwrap()
}

fn identity(i: usize, boot: u8, incarnation: u64) -> Identity {
    Identity { name: name(i), incarnation: Incarnation(incarnation), boot: BootId([boot; 16]) }
}

fn link(i: usize, limits: LinkLimits) -> Link {
    Link::new(Mono(0), name(i), name(1 - i), limits, Rng::from_u64(i as u64))
}

impl Pair {
    fn new() -> Pair {
        Pair::with(LinkLimits::default())
    }

    fn with(limits: LinkLimits) -> Pair {
        Pair {
            now: Mono(0),
            links: [link(A, limits), link(B, limits)],
            ids: [identity(A, 1, 1), identity(B, 2, 1)],
            told: [Vec::new(), Vec::new()],
            open: [Vec::new(), Vec::new()],
        }
    }

    fn greet(&mut self, conn: u64, at: usize, dialler: usize) {
        let greeted = Greeted { peer: self.ids[1 - at].clone(), version: 1, dialled: at == dialler };
        let conn = LinkConn(conn);
        self.open[at].push(conn);
        let (unsent, rest) = (Vec::new(), Vec::new());
        self.input(at, LinkInput::Greeted { conn, asked: at == dialler, greeted, unsent, rest });
    }

    /// A connection that this node dialled.
    fn connect(&mut self, conn: u64, dialler: usize) {
        self.greet(conn, 1 - dialler, dialler);
        self.greet(conn, dialler, dialler);
    }

    fn input(&mut self, at: usize, input: LinkInput<'_>) {
        self.links[at].handle(self.now, input);
        self.drain(at);
    }

    fn drain(&mut self, at: usize) {
        while let Some(output) = self.links[at].poll_output() {
            if let LinkOutput::Close(conn) = output {
                self.open[at].retain(|c| *c != conn);
            }
            self.told[at].push(match output {
                LinkOutput::Frame { kind, body } => format!("{kind:?} {}", String::from_utf8_lossy(body)),
                other => format!("{other:?}"),
            });
        }
    }

    fn take(&mut self, at: usize, conn: LinkConn) -> Vec<u8> {
        let mut out = [&[][..]; 8];
        let n = self.links[at].outgoing(conn, &mut out);
        let bytes = out[..n].concat();
        self.links[at].sent(self.now, conn, bytes.len());
        self.drain(at);
        bytes
    }

    /// All that is to be said is said and heard; what one end closes, the other hears of.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for at in [A, B] {
                for conn in self.open[at].clone() {
                    let bytes = self.take(at, conn);
                    if self.open[1 - at].contains(&conn) && !bytes.is_empty() {
                        quiet = false;
                        self.input(1 - at, LinkInput::Received { conn, bytes: &bytes });
                    }
                }
                let there = self.open[1 - at].clone();
                let gone: Vec<_> = there.into_iter().filter(|c| !self.open[at].contains(c)).collect();
                for conn in gone {
                    self.open[1 - at].retain(|c| *c != conn);
                    self.input(1 - at, LinkInput::Closed(conn));
                    quiet = false;
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn wait(&mut self, span: Span, at: usize) {
        self.now = self.now + span;
        self.input(at, LinkInput::Timer);
    }

    /// Time passes for both, in small steps, and everything said is heard.
    fn live(&mut self, span: Span) {
        let end = self.now + span;
        while self.now < end {
            for at in [A, B] {
                self.wait(Span::millis(25), at);
            }
            self.settle();
        }
    }

    fn told(&mut self, at: usize) -> Vec<String> {
        std::mem::take(&mut self.told[at])
    }

    fn send(&mut self, at: usize, body: &str) -> Result<(), NotSent> {
        let sent = self.links[at].send(self.now, Kind::Envelope, body.as_bytes());
        self.drain(at);
        sent
    }

    fn up() -> Pair {
        Pair::up_with(LinkLimits::default())
    }

    fn up_with(limits: LinkLimits) -> Pair {
        let mut pair = Pair::with(limits);
        pair.connect(1, A);
        pair.settle();
        for at in [A, B] {
            assert_eq!(pair.told(at)[1..], ["Up { version: 1 }"]);
        }
        pair
    }
}

#[test]
fn the_layer_above_is_told_with_whom_before_anything_arrives() {
    let mut pair = Pair::new();
    assert_eq!(pair.send(A, "too early"), Err(NotSent::NotBegun));
    pair.connect(1, A);
    pair.settle();
    assert_eq!(pair.told(A), ["Fresh { peer: chat@b/i1/b02020202, version: 1 }", "Up { version: 1 }"]);
    assert_eq!(pair.told(B), ["Fresh { peer: chat@a/i1/b01010101, version: 1 }", "Up { version: 1 }"]);
    pair.send(A, "1").unwrap();
    pair.send(A, "2").unwrap();
    assert!(pair.links[A].send_datagram(Kind::Datagram, b"who is there"));
    pair.settle();
    assert_eq!(pair.told(B), ["Datagram who is there", "Envelope 1", "Envelope 2"]);
    assert_eq!(pair.links[A].state().kept_bytes, 2 * 7, "no receipt yet");
    pair.live(Span::millis(100));
    assert_eq!(pair.links[A].state().kept_bytes, 0);
}

#[test]
fn a_cut_costs_nothing() {
    let mut pair = Pair::up();
    pair.send(A, "1").unwrap();
    pair.settle();
    pair.send(A, "2").unwrap();
    // It was sent and is lost; only one end hears of the cut, and dials.
    let conn = LinkConn(1);
    assert!(!pair.take(A, conn).is_empty());
    pair.open[B].clear();
    pair.input(B, LinkInput::Closed(conn));
    pair.send(B, "meanwhile").unwrap();
    assert!(!pair.links[B].send_datagram(Kind::Datagram, b"nobody hears"));
    pair.connect(2, B);
    pair.settle();
    assert_eq!(pair.told(A), ["Up { version: 1 }", "Envelope meanwhile"]);
    let told = ["Envelope 1", "Down(Closed)", "Up { version: 1 }", "Envelope 2"];
    assert_eq!(pair.told(B), told);
    assert_eq!(pair.open, [vec![LinkConn(2)], vec![LinkConn(2)]]);
}

#[test]
fn of_two_dials_that_cross_the_lesser_names_wins() {
    for order in [[A, B], [B, A]] {
        let mut pair = Pair::new();
        // Both are greeted at both ends, and both joins are sent, before any is heard.
        for dialler in order {
            pair.connect(dialler as u64, dialler);
        }
        pair.settle();
        let won = vec![LinkConn(A as u64)];
        assert_eq!(pair.open, [won.clone(), won], "{order:?}");
        for at in [A, B] {
            let told = pair.told(at);
            assert_eq!(told.iter().filter(|t| t.starts_with("Fresh")).count(), 1, "{told:?}");
            assert_eq!(told.iter().filter(|t| t.starts_with("Down")).count(), 0, "{told:?}");
        }
        pair.send(A, "1").unwrap();
        pair.settle();
        assert_eq!(pair.told(B), ["Envelope 1"]);
    }
}

#[test]
fn a_late_join_of_an_abandoned_connection_changes_nothing() {
    let mut pair = Pair::new();
    pair.connect(1, A);
    let late = pair.take(A, LinkConn(1));
    pair.open[A].clear();
    pair.input(A, LinkInput::Closed(LinkConn(1)));
    pair.connect(2, A);
    pair.open[B].retain(|c| *c != LinkConn(1));
    pair.settle();
    pair.told(B);
    pair.open[B].push(LinkConn(1));
    pair.input(B, LinkInput::Received { conn: LinkConn(1), bytes: &late });
    pair.take(B, LinkConn(1));
    assert_eq!(pair.told(B), ["Close(l1)"]);
    assert_eq!(pair.open, [vec![LinkConn(2)], vec![LinkConn(2)]]);
}

#[test]
fn a_node_that_starts_anew_is_another_one() {
    let mut pair = Pair::up();
    pair.send(B, "for the old one").unwrap();
    pair.links[A] = link(A, LinkLimits::default());
    pair.ids[A] = identity(A, 9, 2);
    pair.open[A].clear();
    // The connection ended with the process.
    pair.open[B].clear();
    pair.input(B, LinkInput::Closed(LinkConn(1)));
    pair.connect(2, A);
    pair.settle();
    assert_eq!(pair.told(A), ["Fresh { peer: chat@b/i1/b02020202, version: 1 }", "Up { version: 1 }"]);
    assert_eq!(
        pair.told(B),
        ["Down(Closed)", "Fresh { peer: chat@a/i2/b09090909, version: 1 }", "Up { version: 1 }"]
    );
    pair.send(B, "for the new one").unwrap();
    pair.settle();
    assert_eq!(pair.told(A), ["Envelope for the new one"]);
}

#[test]
fn a_second_node_of_one_name_is_refused_while_the_first_lives() {
    let mut pair = Pair::up();
    let first = pair.ids[A].clone();
    pair.ids[A] = identity(A, 9, 5);
    let mut second = link(A, LinkLimits::default());
    pair.greet(2, B, A);
    let bye = pair.take(B, LinkConn(2));
    let refused = "Refused { peer: chat@a/i5/b09090909, refusal: NameTaken(Incarnation(1)) }";
    let incarnation = |text: &str| text.replace("Incarnation(1)", "i1");
    assert_eq!(pair.told(B), [incarnation(refused), "Close(l2)".to_owned()]);
    // The other side hears it, too.
    let greeted = Greeted { peer: pair.ids[B].clone(), version: 1, dialled: true };
    let (unsent, rest, conn) = (Vec::new(), Vec::new(), LinkConn(2));
    second.handle(Mono(0), LinkInput::Greeted { conn, asked: true, greeted, unsent, rest });
    second.handle(Mono(0), LinkInput::Received { conn, bytes: &bye });
    let refusal = Refusal::NameTaken(Incarnation(1));
    assert_eq!(second.poll_output(), Some(LinkOutput::RefusedUs(refusal)));
    // The first one was asked whether it is there, and is.
    pair.ids[A] = first;
    pair.settle();
    pair.send(A, "I live").unwrap();
    pair.settle();
    assert_eq!(pair.told(B), ["Envelope I live"]);
    // It dies without a word: once that is plain, the second is welcome.
    pair.open[A].clear();
    for _ in 0..16 {
        pair.wait(Span::millis(100), B);
    }
    pair.ids[A] = identity(A, 9, 5);
    pair.links[A] = second;
    pair.greet(3, B, A);
    let told = pair.told(B);
    assert!(!told.iter().any(|t| t.starts_with("Refused")), "{told:?}");
}

#[test]
fn an_earlier_life_is_refused_and_told_which_is_remembered() {
    let mut pair = Pair::up();
    pair.open = [Vec::new(), Vec::new()];
    pair.input(B, LinkInput::Closed(LinkConn(1)));
    pair.told(B);
    pair.ids[A] = identity(A, 9, 1);
    pair.greet(2, B, A);
    assert_eq!(pair.told(B), ["Refused { peer: chat@a/i1/b09090909, refusal: Stale(i1) }"]);
}

#[test]
fn a_silent_peer_is_given_up_and_a_missed_turn_is_ones_own_fault() {
    let mut pair = Pair::up();
    pair.live(Span::secs(20));
    assert_eq!((pair.told(A), pair.told(B)), (Vec::new(), Vec::new()), "an idle link stands");
    assert!(pair.links[A].state().delay.is_some(), "its pings are measured");
    // Nothing arrives any more.
    for _ in 0..119 {
        pair.wait(Span::millis(25), A);
    }
    assert_eq!(pair.told(A), Vec::<String>::new());
    pair.wait(Span::millis(50), A);
    assert_eq!(pair.told(A), ["Down(Silent)"]);
    // The other node stood still all that time: it reads what waited for it before it judges.
    pair.wait(Span(0), B);
    assert_eq!(pair.told(B), Vec::<String>::new());
    pair.settle();
    assert_eq!(pair.told(B), ["Down(Bye(Silent))", "Close(l1)"]);
}

#[test]
fn a_connection_that_is_never_joined_goes() {
    let mut pair = Pair::new();
    pair.greet(1, B, A);
    pair.greet(2, A, A);
    for at in [A, B] {
        pair.wait(Span::secs(3), at);
    }
    pair.settle();
    assert_eq!(pair.open, [vec![], vec![]]);
    for conn in 10..20 {
        pair.greet(conn, B, A);
    }
    (10..20).for_each(|conn| drop(pair.take(B, LinkConn(conn))));
    assert_eq!(pair.open[B].len(), 4, "and few may wait");
}

#[test]
fn too_much_kept_is_given_up_on_both_sides() {
    let limits = LinkLimits { resend_bytes_max: 1_000, ..LinkLimits::default() };
    let mut pair = Pair::up_with(limits);
    let text = "x".repeat(90);
    for _ in 0..5 {
        pair.send(A, &text).unwrap();
    }
    assert_eq!(pair.told(A), Vec::<String>::new());
    pair.send(A, &text).unwrap();
    assert_eq!(pair.told(A), ["Congested(true)"]);
    // Receipts make room again.
    pair.live(Span::millis(100));
    assert_eq!(pair.told(A), ["Congested(false)"]);
    assert_eq!(pair.told(B).len(), 6);
    for _ in 0..10 {
        pair.send(A, &text).unwrap();
    }
    assert_eq!(pair.send(A, &text), Err(NotSent::Full));
    assert_eq!(pair.told(A), ["Congested(true)", "GaveUp", "Down(Ours)", "Congested(false)"]);
    assert_eq!(pair.send(A, &text), Err(NotSent::NotBegun));
    pair.settle();
    assert_eq!(pair.told(B), ["Down(Bye(Reset))", "Close(l1)"]);
    pair.connect(2, B);
    pair.settle();
    for at in [A, B] {
        let told = pair.told(at);
        assert!(told.iter().any(|t| t.starts_with("Fresh")), "{told:?}");
        assert!(!told.iter().any(|t| t.starts_with("Envelope")), "{told:?}");
    }
}

#[test]
fn a_peer_that_counts_as_down_begins_anew_when_it_is_back() {
    let mut pair = Pair::up();
    pair.send(A, "for one who is down").unwrap();
    pair.input(A, LinkInput::GiveUp);
    pair.settle();
    assert_eq!(pair.told(A), ["GaveUp", "Down(Ours)", "Close(l1)"]);
    pair.input(A, LinkInput::GiveUp);
    pair.connect(2, B);
    pair.settle();
    assert_eq!(pair.told(A), ["Fresh { peer: chat@b/i1/b02020202, version: 1 }", "Up { version: 1 }"]);
    assert_eq!(pair.told(B)[2..], ["Fresh { peer: chat@a/i1/b01010101, version: 1 }", "Up { version: 1 }"]);
}

#[test]
fn a_node_that_leaves_says_everything_first() {
    let mut pair = Pair::up();
    pair.send(A, "last words").unwrap();
    pair.input(A, LinkInput::Leave);
    assert_eq!(pair.send(A, "later"), Err(NotSent::Leaving));
    assert_eq!(pair.told(A), Vec::<String>::new());
    pair.live(Span::millis(100));
    assert_eq!(pair.told(A), ["Left", "Down(Ours)", "Close(l1)"]);
    assert_eq!(pair.told(B), ["Envelope last words", "Down(Bye(Leaving))", "Close(l1)"]);
    pair.greet(2, A, B);
    assert!(pair.take(A, LinkConn(2)).ends_with(&[Kind::Bye.byte(), 1]), "nobody is let in any more");
}

#[test]
fn what_breaks_the_protocol_ends_the_connection_and_the_epoch() {
    let frame = |kind, number, body: &[u8]| {
        let mut out = Vec::new();
        write_frame(&mut out, kind, number, body);
        out
    };
    for (bytes, fault) in [
        (frame(Kind::Envelope, Some(2), b""), WireFault::Sequence { expected: 1, found: 2 }),
        (frame(Kind::Receipt, None, &[1]), WireFault::Receipt),
        (frame(Kind::Hello, None, b""), WireFault::Turn(1)),
        (frame(Kind::Join, None, b""), WireFault::Turn(4)),
        (vec![0, 0x40, 0, 1], WireFault::FrameTooLarge(LINK_FRAME_BYTES_MAX as u32 + 1)),
        (vec![0, 0, 0, 1, 0x0e], WireFault::Kind(0x0e)),
    ] {
        let mut pair = Pair::up();
        pair.input(B, LinkInput::Received { conn: LinkConn(1), bytes: &bytes });
        let down = format!("{:?}", LinkOutput::Down(Parting::Fault(fault)));
        assert_eq!(pair.told(B)[..2], [down, "GaveUp".to_owned()]);
        pair.settle();
        let bye = format!("{:?}", LinkOutput::Down(Parting::Bye(Bye::Fault)));
        assert_eq!(pair.told(A)[..1], [bye]);
    }
}

#[test]
fn frames_of_newer_versions_that_may_be_skipped_are_skipped_and_counted() {
    let mut pair = Pair::up();
    let frames =
        [&[0, 0, 0, 3, 0x81, 1, 2][..], &[0, 0, 0, 3, 0xc1, 1, 9], &[0, 0, 0, 3, 0x20, 2, b'!']].concat();
    for byte in &frames {
        pair.input(B, LinkInput::Received { conn: LinkConn(1), bytes: &[*byte] });
    }
    assert_eq!(pair.told(B), ["Envelope !"]);
    pair.wait(Span::millis(50), B);
    assert_eq!(pair.take(B, LinkConn(1)), [0, 0, 0, 2, Kind::Receipt.byte(), 2]);
}

#[test]
fn what_the_other_node_would_not_know_is_not_sent() {
    let mut pair = Pair::up();
    assert_eq!(
        pair.links[A].send(Mono(0), Kind::Health, &[1]),
        Err(NotSent::Newer),
        "these two agreed on version 1"
    );
    pair.send(A, "1").unwrap();
    pair.settle();
    assert_eq!(pair.told(B), ["Envelope 1"]);
}

#[test]
fn what_is_too_large_is_refused_before_it_is_sent() {
    let mut pair = Pair::up();
    let body = vec![0; LINK_FRAME_BYTES_MAX];
    assert_eq!(pair.links[A].send(Mono(0), Kind::SessionState, &body), Err(NotSent::TooLarge));
    assert_eq!(pair.links[A].send(Mono(0), Kind::SessionState, &body[15..]), Ok(()));
    pair.settle();
    assert_eq!(pair.told(B)[0].len(), "SessionState ".len() + body.len() - 15);
}

#[test]
fn a_node_that_cannot_be_reached_is_dialled_again_later_and_later() {
    let mut pair = Pair::new();
    pair.input(A, LinkInput::Wanted(true));
    let mut waits = Vec::new();
    for _ in 0..10 {
        assert_eq!(pair.told(A), ["Dial"]);
        pair.input(A, LinkInput::DialFailed);
        let (at, _) = pair.links[A].poll_timeout().unwrap();
        waits.push(at.since(pair.now).as_millis());
        pair.wait(at.since(pair.now), A);
    }
    assert!(waits[0] < 100 && waits[9] >= 1_500 && waits[9] < 3_000, "{waits:?}");
    pair.input(A, LinkInput::Wanted(false));
    pair.input(A, LinkInput::DialFailed);
    pair.told(A);
    assert_eq!(pair.links[A].poll_timeout(), None);
    assert!(pair.links[A].is_idle());
}

#[test]
fn datagrams_that_nobody_reads_are_dropped() {
    let mut pair = Pair::up_with(LinkLimits { control_bytes_max: 1_000, ..LinkLimits::default() });
    let sent = (0..100).take_while(|_| pair.links[A].send_datagram(Kind::Datagram, &[b'.'; 95])).count();
    assert_eq!(sent, 10);
    // Pings of the other node do not pile up answers without end, either.
    let ping = [0, 0, 0, 2, Kind::Ping.byte(), 1].repeat(1_000);
    pair.input(A, LinkInput::Received { conn: LinkConn(1), bytes: &ping });
    assert!(pair.take(A, LinkConn(1)).len() < 1_200);
    assert!(pair.links[A].send_datagram(Kind::Datagram, b"again"));
}

#[test]
fn results_wait_for_others_but_not_for_long() {
    let limits = LinkLimits { linger_bytes: 100, ..LinkLimits::default() };
    let mut pair = Pair::up_with(limits);
    while pair.links[A].poll_dirty().is_some() {}
    let result = |pair: &mut Pair| pair.links[A].send(pair.now, Kind::EnvelopeResult, b"settled").unwrap();
    let is_dirty = |pair: &mut Pair| pair.links[A].poll_dirty().is_some();
    // Alone: until it is time.
    result(&mut pair);
    pair.wait(Span(limits.linger.0 / 2), A);
    result(&mut pair);
    assert!(!is_dirty(&mut pair));
    assert_eq!(pair.links[A].poll_timeout().unwrap().0, Mono(0) + limits.linger, "the first counts");
    pair.wait(Span(limits.linger.0 / 2), A);
    assert!(is_dirty(&mut pair) && !is_dirty(&mut pair));
    pair.settle();
    assert_eq!(pair.told(B), ["EnvelopeResult settled", "EnvelopeResult settled"]);
    // With a frame that does not wait, before it.
    result(&mut pair);
    pair.send(A, "message").unwrap();
    assert!(is_dirty(&mut pair));
    pair.settle();
    assert_eq!(pair.told(B), ["EnvelopeResult settled", "Envelope message"]);
    let next = pair.links[A].poll_timeout().unwrap().0;
    assert!(next > pair.now + limits.linger, "nothing waits any more");
    // Not if there are many.
    let waiting = (0..100).take_while(|_| {
        result(&mut pair);
        !is_dirty(&mut pair)
    });
    assert_eq!(waiting.count(), 7, "of 13 bytes each");
}
