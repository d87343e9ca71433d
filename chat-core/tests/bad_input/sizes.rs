//! Too large, too deep, too many, never ending (RFC 6120 §13.12).

use chat_core::base::Span;

use crate::yard::{HEADER, Yard};
use crate::{KIB, MIB, PLENTY};

/// Things without end: how they begin, and what follows for ever.
const ENDLESS: &[(&str, &str, &str)] = &[
    ("text", "<message><body>", "romeo, "),
    ("an attribute", "<message id='", "romeo, "),
    ("a name", "<message", "romeo"),
    ("attributes", "<message", " a='b'"),
    ("CDATA", "<message><body><![CDATA[", "]] romeo > "),
    ("an end tag", "<message></message", "     "),
    ("children", "<message>", "<body/>"),
    ("children of children", "<message>", "<body>"),
    ("references", "<message><body>", "&amp;"),
];

/// Before authentication an element has 10 KiB (`stanza_bytes_unauthenticated_max`); what is held of it is at most
/// that, in chunks, and once more while it is put together.
#[test]
fn endless_elements_before_login_are_cut_off_at_the_limit() {
    for (what, begin, more) in ENDLESS {
        let mut yard = Yard::new();
        let c = yard.opened();
        yard.send(c, begin);
        let mut taken = 0;
        // In small reads, so that the limit shows.
        while yard.clients[c].open && taken < PLENTY {
            taken += yard.pour(c, 1, |out| out.extend_from_slice(more.as_bytes())).taken;
            assert!(taken < 64 * KIB, "{what}: {taken}");
        }
        yard.assert_ended(c, "policy-violation", what);

        let mut yard = Yard::new();
        let c = yard.opened();
        let limit = u64::from(yard.limits().stanza_bytes_unauthenticated_max);
        yard.send(c, begin);
        let mut sent = begin.len() as u64;
        let mark = crate::meter::Mark::here();
        while yard.clients[c].open {
            yard.send(c, more);
            sent += more.len() as u64;
        }
        yard.assert_ended(c, "policy-violation", what);
        assert!(sent > limit && sent <= limit + 64, "{what}: {sent}");
        assert!(mark.peak() < 3 * limit, "{what}: {}", mark.peak());
    }
}

#[test]
fn endless_stanzas_are_cut_off_at_the_limit() {
    for (what, begin, more) in ENDLESS {
        let mut yard = Yard::new();
        let c = yard.login("romeo", "orchard");
        let limit = u64::from(yard.limits().stanza_bytes_max);
        yard.send(c, begin);
        let poured = yard.pour_repeated(c, PLENTY, more);
        yard.assert_ended(c, "policy-violation", what);
        assert!(poured.taken <= limit + 64 * KIB, "{what}: {poured:?}");
        assert!(poured.peak < 3 * limit, "{what}: {poured:?}");
    }
}

#[test]
fn endless_headers_are_cut_off_at_the_limit() {
    let table = [
        ("an attribute", "<stream:stream to='", "romeo, "),
        ("attributes", "<stream:stream", " a='b'"),
        ("declarations", "<stream:stream", " xmlns:a='b'"),
        ("a name", "<stream:", "romeo"),
        ("an XML declaration", "<?xml ", "romeo "),
        ("space after the declaration", "<?xml version='1.0'?>", "   "),
    ];
    for (what, begin, more) in table {
        let mut yard = Yard::new();
        let c = yard.connect();
        let limit = u64::from(yard.limits().stanza_bytes_unauthenticated_max);
        yard.send(c, begin);
        let poured = yard.pour_repeated(c, PLENTY, more);
        let got = yard.take(c);
        assert!(got.contains("<policy-violation "), "{what}: {got}");
        assert!(!yard.clients[c].open && poured.taken <= 64 * KIB, "{what}: {poured:?}");
        assert!(poured.peak < 3 * limit + 64 * KIB, "{what}: {poured:?}");
    }
}

/// Complete stanzas just over a limit, and just at it.
#[test]
fn the_limits_are_exact() {
    let nested = |n: usize| format!("<message>{}{}</message>", "<a>".repeat(n - 1), "</a>".repeat(n - 1));
    let attributes = |n: usize| {
        let attributes: String = (0..n).map(|i| format!(" a{i}='b'")).collect();
        format!("<message><a{attributes}/></message>")
    };
    let sized = |n: usize| {
        let (begin, end) = ("<message><body>", "</body></message>");
        format!("{begin}{}{end}", "x".repeat(n - begin.len() - end.len()))
    };
    let limits = Yard::new().limits();
    let (depth, many, size) =
        (limits.depth_max as usize, limits.attributes_max as usize, limits.stanza_bytes_max as usize);
    for (what, good, bad) in [
        ("depth", nested(depth), nested(depth + 1)),
        ("attributes", attributes(many), attributes(many + 1)),
        ("size", sized(size), sized(size + 1)),
    ] {
        let mut yard = Yard::new();
        let c = yard.login("romeo", "orchard");
        for read in good.as_bytes().chunks(crate::yard::READ) {
            yard.send_bytes(c, read);
        }
        assert!(yard.clients[c].open, "{what}: {}", yard.take(c));
        let poured = yard.pour_repeated(c, PLENTY, &bad);
        yard.assert_ended(c, "policy-violation", what);
        assert!(poured.taken <= size as u64 + 64 * KIB, "{what}: {poured:?}");
        assert!(poured.peak < 4 * size as u64, "{what}: {poured:?}");
    }
}

/// White space is free of meaning, not of charge: before login the time is limited, after it the rate.
#[test]
fn endless_white_space_takes_no_memory() {
    let mut yard = Yard::with(|s| s.limits.rate_bytes_per_second = 65_536);
    for (what, c) in [("before the header", yard.connect()), ("before login", yard.opened())] {
        let poured = yard.pour_repeated(c, PLENTY, " \n\t ");
        yard.assert_connection_timeout(c, what);
        // A burst of four seconds and 30 seconds at the rate.
        assert!(poured.taken <= 65_536 * 35, "{what}: {poured:?}");
        assert!(poured.peak < 16 * KIB, "{what}: {poured:?}");
    }
    let c = yard.login("romeo", "orchard");
    let poured = yard.pour_repeated(c, PLENTY, " \n\t ");
    assert!(yard.clients[c].open && poured.taken >= PLENTY);
    assert!(poured.time >= Span::secs(PLENTY / 65_536 - 10), "{poured:?}");
    assert!(poured.peak < 16 * KIB, "{poured:?}");
}

/// Whoever sends a byte now and then, below every silence, is not waited for.
#[test]
fn a_slow_drip_does_not_keep_an_unbound_stream_open() {
    let kinds: [fn(&mut Yard) -> usize; 4] = [
        |yard| yard.connect(),
        |yard| yard.opened(),
        |yard| {
            yard.shop.account("romeo");
            yard.authenticated("romeo")
        },
        |yard| {
            let c = yard.opened();
            // A SASL exchange that never goes on.
            yard.send(c, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'/>");
            yard.forget(c);
            c
        },
    ];
    for (i, make) in kinds.into_iter().enumerate() {
        let mut yard = Yard::new();
        let c = make(&mut yard);
        let began = yard.now.mono;
        let drip = if i == 0 { HEADER } else { "<iq type='set' id='a-very-long-id-to-be-sent-slowly'" };
        for byte in drip.bytes().cycle() {
            if !yard.clients[c].open {
                break;
            }
            yard.send_bytes(c, &[byte]);
            yard.pass(Span::secs(1));
        }
        yard.assert_connection_timeout(c, "drip");
        let limit = yard.limits().negotiation_timeout;
        let lasted = yard.now.mono.since(began);
        assert!(lasted <= Span(limit.0 + Span::secs(1).0), "{lasted:?}");
        assert_eq!(yard.census().connections, 0);
    }
}

impl Yard {
    fn assert_connection_timeout(&mut self, c: usize, what: &str) {
        let got = self.take(c);
        let wanted = "<stream:error><connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>";
        assert!(got.contains(wanted) && got.ends_with("</stream:stream>"), "{what}: {got}");
        assert!(!self.clients[c].open, "{what}");
    }
}

/// The name of a namespace stands once in a stanza and for each of many elements: what a tree of it takes is bounded.
#[test]
fn few_bytes_do_not_stand_for_many() {
    let stanza = |open: &str, uri: usize, close: &str| {
        let begin = format!("{open} xmlns:n='{}'>", "x".repeat(uri));
        let elements = (256 * KIB as usize - begin.len() - close.len()) / "<n:a/>".len();
        format!("{begin}{}{close}", "<n:a/>".repeat(elements))
    };
    let iq = ("<iq type='get' id='1' to='localhost'><query xmlns='jabber:iq:version'", "</query></iq>");
    for (uri, accepted) in [(100_000, false), (257, false), (256, true)] {
        let mut yard = Yard::new();
        let c = yard.login("romeo", "orchard");
        let text = stanza(iq.0, uri, iq.1);
        let mark = crate::meter::Mark::here();
        yard.send(c, &text);
        assert!(mark.peak() < 24 * MIB, "{uri}: {}", mark.peak());
        match accepted {
            true => {
                let got = yard.take(c);
                assert!(got.contains("type='result'"), "{got}");
            }
            false => yard.assert_ended(c, "policy-violation", "a long namespace"),
        }
    }
    // Such a stanza is written anew, each namespace wherever it begins.
    let prefixed = "<q:message xmlns:q='jabber:client' to='juliet@localhost' id='1'";
    let mut yard = Yard::new();
    let c = yard.login("romeo", "orchard");
    let mark = crate::meter::Mark::here();
    yard.send(c, &stanza(prefixed, 256, "</q:message>"));
    assert!(mark.peak() < 64 * MIB, "{}", mark.peak());
    yard.assert_ended(c, "policy-violation", "a stanza that grows");
}

/// A stanza whose own name has a prefix, and which can be read again when it is written without, arrives.
#[test]
fn a_stanza_with_a_prefix_arrives_if_it_can_be_read_again() {
    let send = |declared: usize, used: usize| {
        let mut yard = Yard::new();
        let juliet = yard.login("juliet", "balcony");
        yard.available(juliet);
        yard.forget(juliet);
        let romeo = yard.login("romeo", "orchard");
        let namespaces: String = (0..declared).map(|i| format!(" xmlns:n{i}='&amp;{i}'")).collect();
        let children: String = (0..used).map(|i| format!("<n{}:a/>", i % declared)).collect();
        yard.send(
            romeo,
            &format!(
                "<q:message xmlns:q='jabber:client' to='juliet@localhost'{namespaces}>{children}</q:message>"
            ),
        );
        (yard.take(juliet), yard, romeo)
    };
    let (got, ..) = send(3, 9);
    assert!(got.contains("<a xmlns='&amp;2'/>"), "{got}");
    // Each of them is declared where it is used now: more of them than anybody remembers.
    let (got, mut yard, romeo) = send(3, 33);
    assert_eq!(got, "");
    yard.assert_ended(romeo, "policy-violation", "too many namespaces written with references");
}
