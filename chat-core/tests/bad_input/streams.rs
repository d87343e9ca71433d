//! Bytes that are no XML, XML that XMPP forbids, and streams that are opened wrongly (RFC 6120 §4.9.3, §11).

use crate::yard::{HEADER, Yard};
use crate::{KIB, PLENTY};

/// RFC 6120 §4.9.3.13.
const NOT_WELL_FORMED: &[(&str, &[u8])] = &[
    ("wrong end tag", b"<message><a></b></message>"),
    ("end tag never opened", b"<message></a></message>"),
    ("duplicate attribute", b"<message to='a@localhost' to='b@localhost'/>"),
    ("duplicate attribute by expanded name", b"<message xmlns:p='u' xmlns:q='u' p:a='1' q:a='2'/>"),
    ("duplicate declaration", b"<message xmlns:p='u' xmlns:p='v'/>"),
    ("unbound element prefix", b"<message><p:a/></message>"),
    ("unbound attribute prefix", b"<message p:a='1'/>"),
    ("bad UTF-8 in text", b"<message><body>\xC3\x28</body></message>"),
    ("bad UTF-8 in a value", b"<message id='\xFF'/>"),
    ("overlong UTF-8", b"<message><body>\xC0\x80</body></message>"),
    ("a surrogate in UTF-8", b"<message><body>\xED\xA0\x80</body></message>"),
    ("a control character", b"<message><body>\x01</body></message>"),
    ("a reference to nothing", b"<message><body>&#0;</body></message>"),
    ("a bare ampersand", b"<message><body>a & b</body></message>"),
    ("a value without quotes", b"<message id=1/>"),
    ("no space between attributes", b"<message id='1'type='chat'/>"),
    ("a tag in a value", b"<message id='<'/>"),
    ("the end of CDATA in text", b"<message><body>]]></body></message>"),
    ("no name", b"<message>< body/></message>"),
];

/// RFC 6120 §11.1, §4.9.3.18.
const RESTRICTED: &[(&str, &[u8])] = &[
    ("a comment", b"<message><!-- hello --></message>"),
    ("a comment between stanzas", b"<!-- hello -->"),
    ("a processing instruction", b"<message><?php echo 1 ?></message>"),
    ("a processing instruction between stanzas", b"<?xml-stylesheet?>"),
    ("a DTD", b"<!DOCTYPE message>"),
    ("a DTD inside", b"<message><!DOCTYPE a></message>"),
    ("an internal subset", b"<!DOCTYPE a [<!ENTITY b 'c'>]>"),
    ("an entity of HTML", b"<message><body>&nbsp;</body></message>"),
    ("an entity in a value", b"<message id='&lol9;'/>"),
];

/// Offers 100 MB of something on a fresh stream of each kind.
fn each_is_cut_off(table: &[(&str, &[u8])], condition: &str) {
    for (what, bytes) in table {
        let mut yard = Yard::new();
        let streams = [("before login", yard.opened()), ("bound", yard.login("romeo", "orchard"))];
        for (when, c) in streams {
            let poured = yard.pour(c, PLENTY, |out| out.extend_from_slice(bytes));
            yard.assert_ended(c, condition, &format!("{what}, {when}"));
            // Cut off after the first of them; the rest of that read is not looked at.
            assert!(poured.taken <= 64 * KIB, "{what}, {when}: {poured:?}");
            assert!(poured.peak < 64 * KIB, "{what}, {when}: {poured:?}");
        }
    }
}

#[test]
fn what_is_not_well_formed_ends_the_stream() {
    each_is_cut_off(NOT_WELL_FORMED, "not-well-formed");
}

#[test]
fn what_xmpp_forbids_ends_the_stream() {
    each_is_cut_off(RESTRICTED, "restricted-xml");
}

/// The same answers when each byte arrives alone.
#[test]
fn cuts_change_nothing() {
    for (table, condition) in [(NOT_WELL_FORMED, "not-well-formed"), (RESTRICTED, "restricted-xml")] {
        for (what, bytes) in table {
            let mut yard = Yard::new();
            let c = yard.login("romeo", "orchard");
            for byte in *bytes {
                yard.send_bytes(c, &[*byte]);
            }
            yard.assert_ended(c, condition, what);
        }
    }
}

/// RFC 6120 §4.9.1.2: an error in the header is told after a header of ours.
#[test]
fn bad_headers_are_answered_and_cut_off() {
    let header = |change: (&str, &str)| HEADER.replace(change.0, change.1).into_bytes();
    let table: Vec<(&str, &str, Vec<u8>)> = vec![
        ("no XML at all", "not-well-formed", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("zeros", "not-well-formed", vec![0; 64]),
        ("a DTD", "restricted-xml", b"<!DOCTYPE stream:stream>".to_vec()),
        ("a comment", "restricted-xml", b"<?xml version='1.0'?><!-- a -->".to_vec()),
        ("a processing instruction", "restricted-xml", b"<?xml version='1.0'?><?a b?>".to_vec()),
        ("another encoding", "unsupported-encoding", header(("'1.0'?>", "'1.0' encoding='UTF-16'?>"))),
        ("another root", "bad-format", header(("<stream:stream", "<stream:flow"))),
        ("closed at once", "bad-format", header((" version='1.0'>", " version='1.0'/>"))),
        ("another stream namespace", "invalid-namespace", header(("etherx.jabber.org", "example.org"))),
        ("another content namespace", "invalid-namespace", header(("jabber:client", "jabber:server"))),
        ("an unbound prefix", "not-well-formed", header((" xmlns:stream=", " xmlns:other="))),
        ("no version", "unsupported-version", header((" version='1.0'>", ">"))),
        ("another domain", "host-unknown", header(("to='localhost'", "to='example.org'"))),
        ("no domain", "host-unknown", header((" to='localhost'", ""))),
        ("an address for a domain", "improper-addressing", header(("to='localhost'", "to='a@localhost'"))),
        ("a malformed domain", "improper-addressing", header(("to='localhost'", "to='a@@b'"))),
        ("the same attribute twice", "not-well-formed", header(("to='localhost'", "to='localhost' to='b'"))),
    ];
    for (what, condition, bytes) in table {
        let mut yard = Yard::new();
        let c = yard.connect();
        let poured = yard.pour(c, PLENTY, |out| out.extend_from_slice(&bytes));
        let got = yard.take(c);
        assert!(got.starts_with("<?xml version='1.0'?><stream:stream "), "{what}: {got}");
        assert!(got.contains(&format!("<stream:error><{condition} ")), "{what}: {got}");
        assert!(got.ends_with("</stream:error></stream:stream>") && !yard.clients[c].open, "{what}: {got}");
        assert!(poured.taken <= 64 * KIB && poured.peak < 64 * KIB, "{what}: {poured:?}");
    }
}

/// What is on a stream but neither a stanza nor negotiation (RFC 6120 §4.9.3.24), and text between stanzas.
#[test]
fn what_has_no_meaning_ends_the_stream() {
    let table = [
        ("an unknown element", "unsupported-stanza-type", "<attention xmlns='urn:x'/>"),
        ("an unknown element of clients", "unsupported-stanza-type", "<letter/>"),
        ("a stanza of servers", "unsupported-stanza-type", "<message xmlns='jabber:server'/>"),
        ("text", "bad-format", "hello"),
        ("a second header", "unsupported-stanza-type", "<stream:stream/>"),
    ];
    for (what, condition, bytes) in table {
        let mut yard = Yard::new();
        let c = yard.login("romeo", "orchard");
        let poured = yard.pour_repeated(c, PLENTY, bytes);
        yard.assert_ended(c, condition, what);
        assert!(poured.taken <= 64 * KIB && poured.peak < 64 * KIB, "{what}: {poured:?}");
    }
}
