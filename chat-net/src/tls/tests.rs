//! In-memory handshakes with the TLS library's own client as the other side.

mod faults;
mod peer;
mod settings;

use super::*;
use peer::{Client, Event, Options, identity, one_domain, pair};
use proptest::prelude::*;
use rustls::CipherSuite;
use rustls::version::{TLS12, TLS13};

/// The chunks of every delivery in bytes; 0: whatever there is.
const CHUNKS: [usize; 4] = [1, 7, 1_000, 0];

#[test]
fn both_versions_in_any_chunks() {
    for version in [&TLS13, &TLS12] {
        for chunk in CHUNKS {
            let options = Options { versions: vec![version], ..Options::default() };
            let mut pair = pair(&one_domain(), options);
            pair.chunk = chunk;
            pair.handshake().unwrap();
            let info = pair.info();
            let expected = if version == &TLS13 { TlsVersion::V1_3 } else { TlsVersion::V1_2 };
            assert_eq!(info.version, expected);
            assert_eq!(info.server_name.as_deref(), Some("capulet.example"));
            assert_eq!((info.client, info.alpn), (ClientCertificate::Absent, None));
            pair.say(b"<stream>").unwrap();
            pair.answer(&[b"<fea", b"", b"tures/>"]);
            assert_eq!(pair.events, [Event::Established, Event::Plain(b"<stream>".to_vec())]);
            assert_eq!(pair.client.received, b"<features/>");
            assert!(pair.pipe.at_rest());
        }
    }
}

/// RFC 9266 §4.2, with both hashes of TLS 1.3.
#[test]
fn the_exporter_is_the_clients_own() {
    let suites = [
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    for suite in suites {
        let mut pair = pair(&one_domain(), Options { suite: Some(suite), ..Options::default() });
        pair.handshake().unwrap();
        assert_eq!(pair.client.connection.negotiated_cipher_suite().unwrap().suite(), suite);
        assert_eq!(pair.info().exporter.as_deref(), Some(&pair.client.exporter()));
        pair.pipe.forget();
        assert_eq!(pair.pipe.established(), None);
        pair.say(b"still open").unwrap();
        assert_eq!(pair.plain(), b"still open");
    }
    let mut pair = pair(&one_domain(), Options { versions: vec![&TLS12], ..Options::default() });
    pair.handshake().unwrap();
    assert_eq!(pair.info().exporter, None);
}

/// Connections that take turns on one thread must not see each other's secrets or names.
#[test]
fn handshakes_do_not_mix() {
    let tls = one_domain();
    let mut first = pair(&tls, Options::default());
    let mut second = pair(&tls, Options { server_name: "montague.example", ..Options::default() });
    for _ in 0..4 {
        first.turn().unwrap();
        second.turn().unwrap();
    }
    let (one, two) = (first.info(), second.info());
    assert_eq!(one.exporter.as_deref(), Some(&first.client.exporter()));
    assert_eq!(two.exporter.as_deref(), Some(&second.client.exporter()));
    assert_ne!(one.exporter, two.exporter);
    assert_eq!(one.server_name.as_deref(), Some("capulet.example"));
    assert_eq!(two.server_name.as_deref(), Some("montague.example"));
}

#[test]
fn a_resumed_session_is_like_a_new_one() {
    for version in [&TLS13, &TLS12] {
        let tls = one_domain();
        let options = Options { versions: vec![version], ..Options::default() };
        let mut first = pair(&tls, options);
        let config = first.client.config.clone();
        first.handshake().unwrap();
        first.answer(&[b"so that the ticket is read"]);
        let mut second = peer::Pair::new(&tls, Client::new(config, "capulet.example"), TlsPurpose::StartTls);
        // What the client says at once travels with the end of its handshake.
        second.client.write(b"at once");
        second.handshake().unwrap();
        second.turn().unwrap();
        let kind = second.client.connection.handshake_kind();
        assert_eq!(kind, Some(rustls::HandshakeKind::Resumed));
        let info = second.info();
        assert_eq!(info.server_name.as_deref(), Some("capulet.example"));
        let expected = (version == &TLS13).then(|| second.client.exporter());
        assert_eq!(info.exporter.as_deref().copied(), expected);
        assert_eq!(second.events, [Event::Established, Event::Plain(b"at once".to_vec())]);
    }
}

#[test]
fn a_write_is_one_record_of_16_kib_at_most() {
    let mut pair = pair(&one_domain(), Options::default());
    pair.handshake().unwrap();
    let text: Vec<u8> = (0..40_000u32).map(|n| n as u8).collect();
    let mut wire = Vec::new();
    let mut sent = 0;
    let mut taken = Vec::new();
    while sent < text.len() {
        let (a, b) = text[sent..].split_at((text.len() - sent) / 3);
        let n = pair.pipe.write(&[a, b], &mut wire).unwrap();
        taken.push(n);
        sent += n;
    }
    assert_eq!(taken, [16_384, 16_384, 7_232]);
    // Header, type and tag (RFC 8446 §5.2): 22 bytes a record.
    assert_eq!(wire.len(), 40_000 + 3 * 22);
    pair.client.take(&wire);
    assert_eq!(pair.client.received, text);
    assert_eq!(pair.pipe.write(&[b"", b""], &mut wire), Ok(0));
    assert_eq!(wire.len(), 40_066);
}

#[test]
fn nothing_is_written_before_the_handshake_is_done() {
    let mut pair = pair(&one_domain(), Options::default());
    let mut out = Vec::new();
    assert_eq!(pair.pipe.write(&[b"too early"], &mut out), Ok(0));
    assert!(out.is_empty() && !pair.pipe.wants_write());
    let hello = pair.client.wire();
    pair.feed(&hello).unwrap();
    assert!(pair.pipe.wants_write());
    // Half way: the server could write already, but knows nothing of the client yet.
    assert_eq!(pair.pipe.write(&[b"too early"], &mut out), Ok(0));
    pair.client.take(&out);
    pair.handshake().unwrap();
    assert_eq!(pair.client.received, b"");
}

/// Handshake messages in records of a few bytes, and key updates in the middle of the talk.
#[test]
fn fragments_and_key_updates() {
    for chunk in CHUNKS {
        let mut pair = pair(&one_domain(), Options { fragment: Some(32), ..Options::default() });
        pair.chunk = chunk;
        pair.handshake().unwrap();
        for _ in 0..3 {
            pair.events.clear();
            pair.client.received.clear();
            pair.say(&[b'a'; 100]).unwrap();
            pair.client.connection.refresh_traffic_keys().unwrap();
            pair.say(&[b'b'; 100]).unwrap();
            pair.answer(&[b"and back"]);
            assert_eq!(pair.plain(), [[b'a'; 100], [b'b'; 100]].concat());
            assert_eq!(pair.client.received, b"and back");
        }
    }
}

/// The server writes while the beginning of a record waits: neither disturbs the other.
#[test]
fn writing_between_the_halves_of_a_record() {
    // 500 bytes of plaintext make a record of 522 (RFC 8446 §5.2).
    for cut in [1, 4, 5, 6, 300, 521] {
        let mut pair = pair(&one_domain(), Options::default());
        pair.handshake().unwrap();
        pair.client.write(&[b'x'; 500]);
        let wire = pair.client.wire();
        pair.feed(&wire[..cut]).unwrap();
        pair.answer(&[b"meanwhile"]);
        pair.feed(&wire[cut..]).unwrap();
        assert_eq!(pair.plain(), [b'x'; 500]);
        assert_eq!(pair.client.received, b"meanwhile");
    }
}

#[test]
fn a_pipe_may_move_between_threads() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let mut pair = pair(&one_domain(), Options::default());
    let hello = pair.client.wire();
    pair.feed(&hello).unwrap();
    let pipe = send(pair.pipe);
    let mut pipe = std::thread::spawn(move || {
        let mut out = Vec::new();
        let mut pipe = pipe;
        pipe.write(&[], &mut out).unwrap();
        (pipe, out)
    })
    .join()
    .map(|(pipe, out)| {
        pair.client.take(&out);
        pipe
    })
    .unwrap();
    pipe.feed(&mut pair.client.wire(), &mut |_| {}).unwrap();
    assert_eq!(pipe.established().unwrap().exporter.as_deref(), Some(&pair.client.exporter()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Events never depend on how the bytes were cut.
    #[test]
    fn cuts_never_matter(
        cuts in proptest::collection::vec(1usize..3_000, 1..40),
        says in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..2_000), 1..8),
        fragment in prop_oneof![Just(None), (32usize..5_000).prop_map(Some)],
    ) {
        let mut pair = pair(&peer::one_domain_cached(), Options { fragment, ..Options::default() });
        pair.cuts = cuts;
        pair.handshake().unwrap();
        for text in &says {
            pair.client.write(text);
        }
        pair.turn().unwrap();
        prop_assert_eq!(pair.events.first(), Some(&Event::Established));
        prop_assert_eq!(pair.plain(), says.concat());
        prop_assert!(pair.pipe.at_rest());
    }
}

#[test]
fn secrets_do_not_show() {
    let identity = identity(&["capulet.example"]);
    assert_eq!(format!("{identity:?}"), r#"Identity { chain: "the certificate text", key: "the key text" }"#);
    let mut pair = pair(&one_domain(), Options::default());
    pair.handshake().unwrap();
    let shown = format!("{:?}", pair.info());
    assert!(shown.starts_with("TlsInfo { exporter: true, server_name: Some(\"capulet.example\")"), "{shown}");
}
