//! Addresses that are wrong, malformed or nobody's (RFC 6120 §8.1, §4.9.3.9, §10.4).

use chat_core::base::Span;

use crate::yard::Yard;
use crate::{KIB, MIB, PLENTY};

/// §4.9.3.9.
#[test]
fn a_wrong_from_ends_the_stream() {
    let table = [
        ("somebody else", "juliet@localhost"),
        ("somebody else's resource", "juliet@localhost/orchard"),
        ("another resource of one's own", "romeo@localhost/garden"),
        ("the server", "localhost"),
        ("another domain", "romeo@example.org/orchard"),
        ("no address", "@@"),
        ("nothing", ""),
    ];
    for (what, from) in table {
        for stanza in [
            format!("<message from='{from}' to='juliet@localhost'><body>a</body></message>"),
            format!("<presence from='{from}'/>"),
            format!("<iq from='{from}' type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>"),
        ] {
            let mut yard = Yard::new();
            let juliet = yard.login("juliet", "balcony");
            yard.available(juliet);
            let c = yard.login("romeo", "orchard");
            let poured = yard.pour_repeated(c, PLENTY, &stanza);
            yard.assert_ended(c, "invalid-from", &format!("{what}: {stanza}"));
            assert!(poured.taken <= 64 * KIB && poured.peak < 64 * KIB, "{what}: {poured:?}");
            assert_eq!(yard.take(juliet), "", "{what}: {stanza}");
        }
    }
    // The truth may be said, in both forms, and in any spelling.
    let mut yard = Yard::new();
    let c = yard.login("romeo", "orchard");
    for from in ["romeo@localhost/orchard", "romeo@localhost", "ROMEO@LocalHost/orchard"] {
        yard.send(c, &format!("<presence from='{from}'/>"));
    }
    assert!(yard.clients[c].open);
}

/// Stanzas that are answered by one error each: 100 MB of them, to a client that reads the answers.
fn each_is_answered(make: impl Fn(u64) -> String, condition: &str, error_type: &str) {
    let mut yard = Yard::with(|s| s.limits.rate_bytes_per_second = 65_536);
    let c = yard.login("romeo", "orchard");
    yard.send(c, &make(1));
    let first = yard.take(c);
    let error =
        format!("<error type='{error_type}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>");
    assert!(first.contains(&error), "{first}");
    let mut sent = 1;
    let poured = yard.pour(c, PLENTY, |out| {
        sent += 1;
        out.extend_from_slice(make(sent).as_bytes());
    });
    assert!(poured.taken >= PLENTY && yard.clients[c].open, "{poured:?}");
    assert_eq!(yard.clients[c].errors(condition), sent);
    assert_eq!(yard.clients[c].errors.len(), 1, "{:?}", yard.clients[c].errors);
    assert!(poured.time >= Span::secs(PLENTY / 65_536 - 10), "{poured:?}");
    // One read, its stanza and the answer to it.
    assert!(poured.peak < MIB, "{poured:?}");
}

const PADDING: usize = 8_000;

#[test]
fn malformed_addresses_are_answered() {
    let padding = "x".repeat(PADDING);
    each_is_answered(
        |i| format!("<message to='a@@b' id='{i}'><body>{padding}</body></message>"),
        "jid-malformed",
        "modify",
    );
    each_is_answered(
        |i| format!("<iq to='a b@localhost' id='{i}' type='get'><q xmlns='urn:x'>{padding}</q></iq>"),
        "jid-malformed",
        "modify",
    );
    each_is_answered(|i| format!("<message to='{padding}@localhost' id='{i}'/>"), "jid-malformed", "modify");
}

#[test]
fn domains_not_served_are_answered() {
    let padding = "x".repeat(PADDING);
    each_is_answered(
        |i| format!("<message to='juliet@example.org' id='{i}'><body>{padding}</body></message>"),
        "remote-server-not-found",
        "cancel",
    );
    each_is_answered(
        |i| format!("<iq to='d{i}.example' id='{i}' type='get'><q xmlns='urn:x'>{padding}</q></iq>"),
        "remote-server-not-found",
        "cancel",
    );
    each_is_answered(
        |i| format!("<presence to='a{i}@example.org' id='{i}'><status>{padding}</status></presence>"),
        "remote-server-not-found",
        "cancel",
    );
}

/// RFC 6120 §8.3.1: an error is never answered by an error, whatever is wrong with it.
#[test]
fn errors_are_not_answered() {
    let mut yard = Yard::new();
    let c = yard.login("romeo", "orchard");
    for to in ["a@@b", "juliet@example.org", "nobody@localhost", "nobody@localhost/there", "localhost"] {
        for stanza in [
            format!("<message type='error' to='{to}' id='1'/>"),
            format!("<iq type='error' to='{to}' id='1'/>"),
            format!("<iq type='result' to='{to}' id='1'/>"),
            format!("<presence type='error' to='{to}' id='1'/>"),
        ] {
            yard.send(c, &stanza);
            assert_eq!(yard.take(c), "", "{stanza}");
        }
    }
    assert!(yard.clients[c].open);
}

/// Stanzas with a type that they cannot have (RFC 6120 §8.2.3, RFC 6121 §4.7.1): an error, and the stream lives.
#[test]
fn unknown_types_are_answered() {
    let mut yard = Yard::new();
    let c = yard.login("romeo", "orchard");
    for stanza in [
        "<iq type='order' id='1'/>",
        "<iq id='1'><query xmlns='jabber:iq:roster'/></iq>",
        "<iq type='get' id='1'/>",
        "<iq type='get' id='1'><a xmlns='urn:x'/><b xmlns='urn:x'/></iq>",
        "<presence type='invisible' id='1'/>",
    ] {
        yard.send(c, stanza);
        let got = yard.take(c);
        assert!(got.contains("<error type='modify'><bad-request "), "{stanza}: {got}");
        assert!(yard.clients[c].open, "{stanza}");
    }
}
