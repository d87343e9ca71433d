//! Peers that break the protocol, and the ends of connections.

use super::peer::{Event, Options, one_domain, one_domain_cached, pair};
use crate::tls::*;
use proptest::prelude::*;
use rustls::AlertDescription;
use rustls::version::{TLS12, TLS13};

#[test]
fn clear_text_is_recognised_at_its_first_byte() {
    for text in ["<", "<?xml version='1.0'?><stream:stream", "GET / HTTP/1.1\r\n\r\n", "\0"] {
        let mut pair = pair(&one_domain_cached(), Options::default());
        assert_eq!(pair.feed(text.as_bytes()), Err(TlsFault::NotTls), "{text}");
        // It stays that way, and holds nothing but an alert.
        assert_eq!(pair.feed(b"\x16"), Err(TlsFault::NotTls));
        let mut out = Vec::new();
        assert_eq!(pair.pipe.write(&[b"plain"], &mut out), Ok(0));
        // RFC 8446 §6: type 21, a fatal decode_error.
        assert_eq!((out[0], &out[5..]), (21, [2, 50].as_slice()));
        assert!(pair.events.is_empty() && pair.pipe.at_rest());
    }
}

#[test]
fn a_changed_byte_ends_the_connection_with_an_alert() {
    for version in [&TLS13, &TLS12] {
        let mut pair = pair(&one_domain(), Options { versions: vec![version], ..Options::default() });
        pair.handshake().unwrap();
        pair.client.write(b"good");
        let mut wire = pair.client.wire();
        pair.client.write(b"bad");
        wire.extend(pair.client.wire());
        *wire.last_mut().unwrap() ^= 1;
        assert!(matches!(pair.feed(&wire), Err(TlsFault::Peer(_))));
        assert_eq!(pair.plain(), b"good");
        let mut out = Vec::new();
        assert_eq!(pair.pipe.write(&[b"never"], &mut out), Ok(0));
        pair.client.take(&out);
        assert_eq!(pair.client.error, Some(rustls::Error::AlertReceived(AlertDescription::BadRecordMac)));
        assert_eq!(pair.client.received, b"");
    }
}

/// RFC 8446 §5.1, §5.2: bounds of a record. What claims more is refused by its header.
#[test]
fn oversized_records_are_refused_before_they_arrive() {
    for length in [18_433u16, 40_000, u16::MAX] {
        let [high, low] = length.to_be_bytes();
        for chunk in [0, 1] {
            let mut fresh = pair(&one_domain_cached(), Options::default());
            fresh.chunk = chunk;
            assert!(fresh.feed(&[22, 3, 1, high, low]).is_err());
            assert!(fresh.pipe.kept_bytes() < 100);
            let mut open = pair(&one_domain_cached(), Options::default());
            open.handshake().unwrap();
            open.chunk = chunk;
            assert!(open.feed(&[23, 3, 3, high, low]).is_err());
            assert!(open.pipe.kept_bytes() < 100);
        }
    }
}

/// A handshake message that claims 16 MiB or 64 KiB, and arrives record by record.
#[test]
fn oversized_handshake_messages_are_refused() {
    for (claimed, chunk) in [([0xFF, 0xFF, 0xFF], 0), ([0, 0xFF, 0xFF], 0), ([0, 0xFF, 0xFF], 1_000)] {
        let mut pair = pair(&one_domain_cached(), Options::default());
        pair.chunk = chunk;
        let mut record = vec![22, 3, 1, 0x10, 0x00, 1];
        record.extend(claimed);
        record.resize(5 + 0x1000, 0);
        let mut most = 0;
        let refused = (0..1_000).find_map(|n| {
            let fault = pair.feed(&record).err();
            most = most.max(pair.pipe.kept_bytes());
            record[5..].fill(0);
            fault.map(|fault| (n, fault))
        });
        let (n, fault) = refused.expect("refused some time");
        assert_eq!(fault, TlsFault::Oversized);
        assert!(n < 12, "{n} records of 4 KiB taken");
        assert!(most < 64 * 1024, "{most} bytes kept");
        assert!(pair.pipe.kept_bytes() < 100);
    }
}

/// RFC 8446 §6.1: data after a closure alert is ignored.
#[test]
fn nothing_comes_after_close_notify() {
    for version in [&TLS13, &TLS12] {
        for chunk in [0, 1] {
            let mut pair =
                pair(&one_domain_cached(), Options { versions: vec![version], ..Options::default() });
            pair.handshake().unwrap();
            pair.chunk = chunk;
            pair.client.write(b"last");
            pair.client.connection.send_close_notify();
            let mut wire = pair.client.wire();
            wire.extend(b"garbage that is no record");
            pair.feed(&wire).unwrap();
            pair.feed(b"and more").unwrap();
            assert_eq!(pair.events, [Event::Established, Event::Plain(b"last".to_vec()), Event::Closed]);
            assert!(pair.pipe.at_rest());
            // The other direction is open still (RFC 8446 §6.1), then closes as well.
            pair.answer(&[b"goodbye"]);
            let mut out = Vec::new();
            pair.pipe.close(&mut out);
            pair.client.take(&out);
            assert_eq!(pair.client.received, b"goodbye");
            assert!(pair.client.closed);
        }
    }
}

#[test]
fn closing_is_said_once_and_final() {
    let mut pair = pair(&one_domain_cached(), Options::default());
    pair.handshake().unwrap();
    let mut out = Vec::new();
    pair.pipe.close(&mut out);
    let once = out.len();
    pair.pipe.close(&mut out);
    assert_eq!(pair.pipe.write(&[b"never"], &mut out), Ok(0));
    assert_eq!(out.len(), once);
    pair.client.take(&out);
    assert!(pair.client.closed && pair.client.received.is_empty());
    // The client may go on until it closes too.
    pair.say(b"on my way").unwrap();
    pair.client.connection.send_close_notify();
    pair.turn().unwrap();
    assert_eq!(pair.events, [Event::Established, Event::Plain(b"on my way".to_vec()), Event::Closed]);
}

#[test]
fn closing_before_the_handshake_is_done_sends_what_is_pending() {
    let mut pair = pair(&one_domain_cached(), Options::default());
    let mut out = Vec::new();
    pair.pipe.close(&mut out);
    assert!(out.is_empty());
    let hello = pair.client.wire();
    pair.feed(&hello).unwrap();
    pair.pipe.close(&mut out);
    assert_eq!(out[0], 22);
}

/// A client that does not trust the certificate says so; the operator's log should too.
#[test]
fn the_peers_alert_is_told() {
    let mut pair = pair(&one_domain_cached(), Options::default());
    // Fatal unknown_ca (48), in clear as a client may send it in its first flight.
    assert_eq!(pair.feed(&[21, 3, 3, 0, 2, 2, 48]), Err(TlsFault::Alert("UnknownCA".to_owned())));
}

#[test]
fn a_client_of_old_versions_only_is_refused() {
    // A hello of TLS 1.1 without extensions.
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xC0, 0x13, 1, 0]);
    let mut wire =
        vec![22, 3, 1, 0, u8::try_from(body.len() + 4).unwrap(), 1, 0, 0, u8::try_from(body.len()).unwrap()];
    wire.extend(body);
    let mut pair = pair(&one_domain_cached(), Options::default());
    let fault = pair.feed(&wire).unwrap_err();
    assert!(matches!(fault, TlsFault::Peer(_)), "{fault:?}");
    assert!(pair.pipe.wants_write());
}

proptest! {
    /// Whatever arrives before, in or after a handshake: no panic, little memory, and a fault is for ever.
    #[test]
    fn garbage_never_panics(
        garbage in proptest::collection::vec(any::<u8>(), 1..600),
        as_record in proptest::option::of(20u8..=24),
        when in 0..3,
        chunk in 0usize..50,
    ) {
        let mut pair = pair(&one_domain_cached(), Options::default());
        match when {
            0 => {}
            1 => {
                let hello = pair.client.wire();
                pair.feed(&hello).unwrap();
            }
            _ => pair.handshake().unwrap(),
        }
        pair.chunk = chunk;
        let mut wire = garbage;
        if let Some(kind) = as_record {
            let length = u16::try_from(wire.len()).unwrap().to_be_bytes();
            wire.splice(0..0, [kind, 3, 3, length[0], length[1]]);
        }
        let first = pair.feed(&wire);
        let mut out = Vec::new();
        let _ = pair.pipe.write(&[b"plain"], &mut out);
        if let Err(fault) = first {
            prop_assert_eq!(pair.feed(b"more"), Err(fault));
        }
        pair.pipe.close(&mut out);
        prop_assert!(pair.pipe.kept_bytes() < 20_000);
    }

    /// One byte of an honest client's handshake changed.
    #[test]
    fn tampering_never_panics(at in any::<prop::sample::Index>(), flip in 1u8.., flight in 0..2, chunk in 0usize..500) {
        let mut pair = pair(&one_domain_cached(), Options::default());
        pair.chunk = chunk;
        for n in 0..=flight {
            let mut wire = pair.client.wire();
            if n == flight && !wire.is_empty() {
                let at = at.index(wire.len());
                wire[at] ^= flip;
            }
            let _ = pair.feed(&wire);
            let mut out = Vec::new();
            let _ = pair.pipe.write(&[], &mut out);
            pair.client.take(&out);
        }
        prop_assert!(pair.plain().is_empty());
    }
}
