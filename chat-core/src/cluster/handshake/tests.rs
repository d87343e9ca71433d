use super::*;
use crate::cluster::identity::{BootId, Incarnation};
use proptest::prelude::*;

const SECRET: &[u8] = b"sixteen bytes or more";
const OTHER: &[u8] = b"another secret of the cluster";
const TIMEOUT: Span = Span::secs(5);

fn node(name: &str, boot: u8) -> Myself {
    let name = NodeName::parse(name).unwrap();
    Myself {
        identity: Identity { name, incarnation: Incarnation(u64::from(boot)), boot: BootId([boot; 16]) },
        versions: Versions { min: 1, max: 1 },
        cluster: SmolStr::default(),
        trust: Trust::Secrets(Secrets::new(SECRET, None).unwrap()),
    }
}

fn a() -> Myself {
    node("chat@a", 1)
}

fn b() -> Myself {
    node("chat@b", 2)
}

fn with_secrets(me: Myself, secret: &[u8], other: Option<&[u8]>) -> Myself {
    Myself { trust: Trust::Secrets(Secrets::new(secret, other).unwrap()), ..me }
}

fn channel(exporter: u8, certified: Option<&str>) -> Channel {
    let certified = certified.map(|name| NodeName::parse(name).unwrap()).into_iter().collect();
    Channel { exporter: Zeroizing::new([exporter; EXPORTER_BYTES]), certified }
}

fn dialler(me: Myself, to: Option<&str>) -> Handshake {
    let to = to.map(|name| NodeName::parse(name).unwrap());
    Handshake::new(Mono(0), me, Side::Dialler(to), channel(7, None), TIMEOUT)
}

fn listener(me: Myself) -> Handshake {
    Handshake::new(Mono(0), me, Side::Listener, channel(7, None), TIMEOUT)
}

type Ended = Option<Result<Greeted, HandshakeError>>;

/// Moves all bytes from one to the other, in pieces of this size; returns how many there were.
fn carry(from: &mut Handshake, to: &mut Handshake, piece: usize) -> usize {
    let bytes = from.outgoing().to_vec();
    from.sent(bytes.len());
    bytes.chunks(piece).for_each(|bytes| to.handle(Mono(1), HandshakeInput::Received(bytes)));
    bytes.len()
}

fn meet(dialler: &mut Handshake, listener: &mut Handshake, piece: usize) -> (Ended, Ended) {
    while carry(dialler, listener, piece) + carry(listener, dialler, piece) > 0 {}
    (dialler.poll_output(), listener.poll_output())
}

/// How both sides take it.
fn outcome(mut dialler: Handshake, mut listener: Handshake) -> (HandshakeError, HandshakeError) {
    let (d, l) = meet(&mut dialler, &mut listener, 1000);
    (d.expect("the dialler knows").unwrap_err(), l.expect("the listener knows").unwrap_err())
}

#[test]
fn two_nodes_with_one_secret_believe_each_other() {
    for piece in [1, 7, 1000] {
        let (mut d, mut l) = (dialler(a(), Some("chat@b")), listener(b()));
        let (d_knows, l_knows) = meet(&mut d, &mut l, piece);
        let greeted = |me: Myself, dialled| Greeted { peer: me.identity, version: 1, dialled };
        assert_eq!(d_knows, Some(Ok(greeted(b(), true))));
        assert_eq!(l_knows, Some(Ok(greeted(a(), false))));
        assert_eq!((d.poll_timeout(), l.poll_output()), (None, None));
    }
}

#[test]
fn the_listener_says_nothing_of_the_secret_before_it_has_seen_a_proof() {
    let (mut d, mut l) = (dialler(a(), None), listener(b()));
    assert_eq!(l.outgoing(), b"", "a listener waits for a hello");
    carry(&mut d, &mut l, 1000);
    let (frame, n) = read_frame(l.outgoing(), 1, 2048).unwrap().unwrap();
    assert_eq!((frame.seen, n), (Seen::Known(Kind::Hello), l.outgoing().len()));
}

#[test]
fn a_wrong_secret_is_an_error_on_both_sides() {
    let why = outcome(dialler(a(), None), listener(with_secrets(b(), OTHER, None)));
    assert_eq!(why, (HandshakeError::RefusedUs(Refusal::Secret), HandshakeError::Refused(Refusal::Secret)));
    assert_eq!(why.0.to_string(), "the other node refuses this one: the secrets of the cluster differ");
    assert_eq!(why.1.to_string(), "this node refuses the other: the secrets of the cluster differ");
}

#[test]
fn secrets_are_replaced_step_by_step() {
    let steps = [(SECRET, None), (SECRET, Some(OTHER)), (OTHER, Some(SECRET)), (OTHER, None)];
    for (i, (secret, other)) in steps.into_iter().enumerate() {
        for (j, (secret_b, other_b)) in steps.into_iter().enumerate() {
            let mut d = dialler(with_secrets(a(), secret, other), None);
            let mut l = listener(with_secrets(b(), secret_b, other_b));
            let (d, l) = meet(&mut d, &mut l, 1000);
            let common = i.abs_diff(j) < 3;
            assert_eq!((d.unwrap().is_ok(), l.unwrap().is_ok()), (common, common), "{i} {j}");
        }
    }
}

#[test]
fn a_proof_is_good_for_one_connection_only() {
    // Somebody between two nodes passes on what they say; the connections have different exporters.
    let mut d = dialler(a(), None);
    let mut l = Handshake::new(Mono(0), b(), Side::Listener, channel(8, None), TIMEOUT);
    let (d, l) = meet(&mut d, &mut l, 1000);
    assert_eq!(d, Some(Err(HandshakeError::RefusedUs(Refusal::Secret))));
    assert_eq!(l, Some(Err(HandshakeError::Refused(Refusal::Secret))));
}

#[test]
fn a_proof_sent_back_proves_nothing() {
    let mut d = dialler(a(), None);
    let hello = d.outgoing().to_vec();
    d.sent(hello.len());
    // The hello of another node, then the dialler's own proof.
    let mut other = listener(b());
    other.handle(Mono(0), HandshakeInput::Received(&hello));
    carry(&mut other, &mut d, 1000);
    let proof = d.outgoing().to_vec();
    d.sent(proof.len());
    d.handle(Mono(0), HandshakeInput::Received(&proof));
    assert_eq!(d.poll_output(), Some(Err(HandshakeError::Refused(Refusal::Secret))));
}

#[test]
fn versions_apart_are_an_error_on_both_sides_with_both_ranges() {
    let newer = Myself { versions: Versions { min: 2, max: 3 }, ..b() };
    let (d, l) = outcome(dialler(a(), None), listener(newer));
    let (ours, theirs) = (Versions { min: 1, max: 1 }, Versions { min: 2, max: 3 });
    assert_eq!(d, HandshakeError::Versions(VersionsApart { ours, theirs }));
    assert_eq!(l, HandshakeError::Versions(VersionsApart { ours: theirs, theirs: ours }));
}

#[test]
fn clusters_of_other_names_part() {
    let of = |me, cluster: &str| Myself { cluster: cluster.into(), ..me };
    let (d, l) = outcome(dialler(of(a(), "test"), None), listener(of(b(), "prod")));
    assert_eq!(
        (d, l),
        (HandshakeError::Refused(Refusal::Cluster), HandshakeError::Refused(Refusal::Cluster))
    );
}

#[test]
fn names_are_judged_once_they_are_proved() {
    let why = outcome(dialler(a(), None), listener(a()));
    let itself = Refusal::Itself;
    assert_eq!(why, (HandshakeError::RefusedUs(itself), HandshakeError::Refused(itself)));
    // Both know it from somebody who has proved the secret.
    let (mut twin, mut l) = (dialler(node("chat@a", 9), None), listener(a()));
    let taken = |by| Some(Err(HandshakeError::Refused(Refusal::NameTaken(Incarnation(by)))));
    assert_eq!(meet(&mut twin, &mut l, 1000), (taken(9), taken(1)));
    assert_eq!(twin.claimed().map(|c| c.boot), Some(a().identity.boot));
    // Only the dialler knows whom it meant; the listener believes first, and is told.
    let (mut d, mut l) = (dialler(a(), Some("chat@c")), listener(b()));
    let (d_knows, l_knows) = meet(&mut d, &mut l, 1000);
    assert_eq!(d_knows, Some(Err(HandshakeError::Refused(Refusal::Name))));
    assert!(l_knows.unwrap().is_ok());
    let (_, rest) = l.into_parts();
    let (frame, _) = read_frame(&rest, 1, 2048).unwrap().unwrap();
    assert_eq!((frame.seen, Refusal::read(frame.body)), (Seen::Known(Kind::Refuse), Ok(Refusal::Name)));
    // Without the secret nobody learns that a name is taken.
    let why = outcome(dialler(with_secrets(node("chat@a", 9), OTHER, None), None), listener(a()));
    assert_eq!(why.0, HandshakeError::RefusedUs(Refusal::Secret));
}

#[test]
fn nodes_may_go_by_certificates() {
    let with = |me: Myself, side, certified| {
        let me = Myself { trust: Trust::Certificates, ..me };
        Handshake::new(Mono(0), me, side, channel(7, certified), TIMEOUT)
    };
    let to = |certified| with(a(), Side::Dialler(None), certified);
    let at = |certified| with(b(), Side::Listener, certified);
    let (d, l) = meet(&mut to(Some("chat@b")), &mut at(Some("chat@a")), 1000);
    assert!(d.unwrap().is_ok() && l.unwrap().is_ok());
    for (d, l, by_dialler, refusal) in [
        (to(Some("chat@b")), at(Some("chat@c")), false, Refusal::Name),
        (to(Some("chat@b")), at(None), false, Refusal::Method),
        (dialler(a(), None), at(Some("chat@a")), false, Refusal::Method),
        (to(Some("chat@b")), listener(b()), false, Refusal::Method),
    ] {
        let (refused, us) = (HandshakeError::Refused(refusal), HandshakeError::RefusedUs(refusal));
        let expected = if by_dialler { (refused, us) } else { (us, refused) };
        assert_eq!(outcome(d, l), expected);
    }
}

/// Who is taken for a namesake may stop a node, so a certificate for the name comes first.
#[test]
fn a_namesake_needs_a_certificate_for_the_name() {
    for (certified, dialler_hears) in
        [("chat@b", Refusal::NameTaken(Incarnation(9))), ("chat@c", Refusal::Name)]
    {
        let with = |me: Myself, side, certified| {
            let me = Myself { trust: Trust::Certificates, ..me };
            Handshake::new(Mono(0), me, side, channel(7, Some(certified)), TIMEOUT)
        };
        let d = with(node("chat@b", 9), Side::Dialler(None), "chat@b");
        let (d, l) = outcome(d, with(b(), Side::Listener, certified));
        match dialler_hears {
            Refusal::Name => {
                let why = (HandshakeError::RefusedUs(Refusal::Name), HandshakeError::Refused(Refusal::Name));
                assert_eq!((d, l), why);
            }
            taken => {
                assert_eq!(d, HandshakeError::Refused(taken));
                assert_eq!(l, HandshakeError::Refused(Refusal::NameTaken(b().identity.incarnation)));
            }
        }
    }
}

#[test]
fn what_is_no_greeting_ends_it() {
    let end = |bytes: &[u8]| {
        let mut l = listener(b());
        l.handle(Mono(0), HandshakeInput::Received(bytes));
        (l.poll_output(), l.outgoing().len())
    };
    let fault = |fault: WireFault| Some(Err(HandshakeError::Malformed(fault)));
    assert_eq!(end(b"GET / HTTP/1.1\r\n").0, fault(WireFault::FrameTooLarge(0x4745_5420)));
    let mut framed = Vec::new();
    write_frame(&mut framed, Kind::Proof, None, &[0; 32]);
    assert_eq!(end(&framed).0, fault(WireFault::Turn(2)), "a proof comes after a hello");
    framed.clear();
    write_frame(&mut framed, Kind::Envelope, Some(1), b"");
    let (ended, said) = end(&framed);
    assert_eq!(ended, fault(WireFault::Turn(0x20)), "nothing else is read before the proofs");
    assert!(said > 0, "it is told");
    assert_eq!(end(&[0, 0, 0, 1, 0x90]).0, fault(WireFault::Value), "not even what may be skipped later");
}

#[test]
fn a_greeting_is_bounded_in_bytes_and_time() {
    // A hello that goes on and on, each frame within its limit.
    let (mut d, mut l) = (dialler(a(), None), listener(b()));
    let mut hello = d.outgoing()[5..].to_vec();
    hello.resize(2000, 0);
    let mut framed = Vec::new();
    write_frame(&mut framed, Kind::Hello, None, &hello);
    l.handle(Mono(0), HandshakeInput::Received(&framed));
    assert!(!l.is_over(), "a hello may grow");
    // A frame that is announced and never ends.
    let mut l = listener(b());
    l.handle(Mono(0), HandshakeInput::Received(&[0, 0, 8, 0]));
    for _ in 0..100 {
        l.handle(Mono(0), HandshakeInput::Received(&[1; 40]));
    }
    assert!(l.is_over() && l.inbox.len() <= LINK_GREETING_BYTES_MAX + 4000);

    let (timeout, _) = d.poll_timeout().unwrap();
    assert_eq!(timeout, Mono(0) + TIMEOUT);
    d.handle(timeout - Span(1), HandshakeInput::Timer);
    assert_eq!(d.poll_output(), None);
    d.handle(timeout, HandshakeInput::Timer);
    assert_eq!(d.poll_output(), Some(Err(HandshakeError::Refused(Refusal::Late))));
    let mut l = listener(b());
    l.handle(Mono(0), HandshakeInput::Closed);
    assert_eq!(l.poll_output(), Some(Err(HandshakeError::Closed)));
    let fault = CertificateFault::Ours(Doubt::Dates);
    d = dialler(a(), None);
    d.handle(Mono(0), HandshakeInput::Denied(fault));
    assert_eq!(d.poll_output(), Some(Err(HandshakeError::Certificate(fault))));
}

#[test]
fn what_follows_the_greeting_belongs_to_the_link() {
    let (mut d, mut l) = (dialler(a(), None), listener(b()));
    carry(&mut d, &mut l, 1000);
    carry(&mut l, &mut d, 1000);
    carry(&mut d, &mut l, 1000);
    let mut last = l.outgoing().to_vec();
    last.extend_from_slice(&[9; 9000]);
    d.handle(Mono(0), HandshakeInput::Received(&last));
    assert!(d.poll_output().unwrap().is_ok());
    d.handle(Mono(0), HandshakeInput::Received(&[8; 10]));
    let rest = d.into_parts().1;
    assert_eq!((rest.len(), rest[0], rest[9009]), (9010, 9, 8));
}

#[test]
fn secrets_are_long_enough_and_never_shown() {
    assert_eq!(Secrets::new(b"fifteen bytes..", None).unwrap_err(), SecretTooShort(15));
    assert_eq!(Secrets::new(SECRET, Some(b"short")).unwrap_err(), SecretTooShort(5));
    let secrets = Secrets::new(SECRET, None).unwrap();
    assert_eq!(format!("{secrets:?} {:?}", channel(7, None)), "Secrets(1) Channel { certified: [], .. }");
}

#[test]
fn keys_and_proofs_have_the_bytes_they_always_had() {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    // RFC 5869 §A.3: no salt, no info; the first block of the output.
    let extracted = hmac(&[0; 32], &[&[0x0b; 22]]);
    let block = hmac(&*extracted, &[&[1]]);
    assert_eq!(hex(&*block), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
    // The rest was computed by another implementation of HMAC.
    let secrets = Secrets::new(SECRET, None).unwrap();
    assert_eq!(hex(&*secrets.0[0]), "383a1817e4cf1eb477a01895c8b46a63bcfdb81619f78a2ac24ead33a0719f40");
    let (mut d, mut l) = (dialler(a(), None), listener(b()));
    carry(&mut d, &mut l, 1000);
    carry(&mut l, &mut d, 1000);
    assert_eq!(hex(&d.outgoing()[5..]), "e1b3b29bdf164ec3074364182cc2fcf22c04b202d4dcc0d50e8b7f09fa6976cb");
    carry(&mut d, &mut l, 1000);
    assert_eq!(hex(&l.outgoing()[5..]), "f3a954366cb417a6fa489da4f02dc258d3aac5728da9a65ef076806a2b6b747f");
}

proptest! {
    #[test]
    fn arbitrary_bytes_neither_panic_nor_pass(
        dials: bool,
        pieces in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..4], 0..300), 0..20),
    ) {
        let mut h = if dials { dialler(a(), None) } else { listener(b()) };
        for piece in pieces {
            h.handle(Mono(0), HandshakeInput::Received(&piece));
            prop_assert!(!matches!(h.poll_output(), Some(Ok(_))));
        }
    }

    /// One bit changed anywhere in a greeting of two, and they do not come together as others than they are.
    #[test]
    fn a_changed_bit_is_noticed(at in 0usize..400, bit in 0u8..8) {
        let (mut d, mut l) = (dialler(a(), None), listener(b()));
        let mut passed = 0;
        for turn in 0..6 {
            let (from, to) = if turn % 2 == 0 { (&mut d, &mut l) } else { (&mut l, &mut d) };
            let mut bytes = from.outgoing().to_vec();
            from.sent(bytes.len());
            if (passed..passed + bytes.len()).contains(&at) {
                bytes[at - passed] ^= 1 << bit;
            }
            passed += bytes.len();
            to.handle(Mono(0), HandshakeInput::Received(&bytes));
        }
        if at < passed {
            let (d, l) = (d.poll_output(), l.poll_output());
            prop_assert!(!matches!((&d, &l), (Some(Ok(_)), Some(Ok(_)))), "{:?} {:?}", d, l);
        }
    }
}
