use super::super::scan::{ScanLimits, scan};
use super::*;

fn passed_on(text: &str, header: &StreamNs, stamp: &Stamp<'_>) -> String {
    let view = scan(text.as_bytes(), header, &ScanLimits::default()).unwrap();
    let bytes = forwarded(&view, stamp);
    scan(&bytes, &forwarded_ns(stamp), &ScanLimits::default()).unwrap();
    String::from_utf8(bytes).unwrap()
}

const ADDRESSED: Stamp<'_> =
    Stamp { to: Head::Set("b@c/'d'"), from: Head::Set("a@c"), lang: None, xmlns: None, append: b"" };
const PLAIN: Stamp<'_> = Stamp { to: Head::Keep, from: Head::Keep, lang: None, xmlns: None, append: b"" };

#[test]
fn heads_are_rewritten() {
    for (text, stamp, expected) in [
        ("<message/>", PLAIN, "<message/>"),
        ("<message ></message >", PLAIN, "<message></message>"),
        ("<message to='x'/>", PLAIN, "<message to='x'/>"),
        ("<message/>", ADDRESSED, "<message to='b@c/&apos;d&apos;' from='a@c'/>"),
        (
            "<message id='1'\n to=\"x\" a='&lt;' from = 'y' type='chat' ><body>&amp; ]]</body></message>",
            ADDRESSED,
            "<message to='b@c/&apos;d&apos;' from='a@c' id='1' a='&lt;' type='chat'><body>&amp; ]]</body></message>",
        ),
        ("<message from='y' to='x'/>", Stamp { to: Head::Remove, ..PLAIN }, "<message from='y'/>"),
        ("<message from='y' to='x'/>", Stamp { from: Head::Remove, to: Head::Remove, ..PLAIN }, "<message/>"),
        ("<message from='y'/>", Stamp { from: Head::Set("z"), ..PLAIN }, "<message from='z'/>"),
        // RFC 6120 §4.8.3: the stream's default namespace goes without saying, …
        ("<message xmlns='jabber:client' id='1'/>", PLAIN, "<message id='1'/>"),
        // … but not inside another stanza (XEP-0297 §3.2).
        (
            "<message id='1'><body/></message>",
            Stamp { xmlns: Some(CLIENT), ..PLAIN },
            "<message xmlns='jabber:client' id='1'><body/></message>",
        ),
        (
            "<message xmlns='jabber:client'><body/></message>",
            Stamp { xmlns: Some("jabber:server"), ..PLAIN },
            "<message xmlns='jabber:server'><body/></message>",
        ),
        // RFC 6120 §8.1.5.
        ("<message/>", Stamp { lang: Some("en"), ..PLAIN }, "<message xml:lang='en'/>"),
        ("<message xml:lang='de'/>", Stamp { lang: Some("en"), ..PLAIN }, "<message xml:lang='de'/>"),
        // XEP-0203.
        ("<message/>", Stamp { append: b"<d/>", ..PLAIN }, "<message><d/></message>"),
        ("<message>t</message>", Stamp { append: b"<d/>", ..PLAIN }, "<message>t<d/></message>"),
        // Payload that looks odd is payload.
        (
            "<message><f xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></f><![CDATA[x]]></message>",
            Stamp { xmlns: Some("jabber:server"), ..PLAIN },
            "<message xmlns='jabber:server'><f xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></f>\
             <![CDATA[x]]></message>",
        ),
    ] {
        assert_eq!(passed_on(text, &StreamNs::client(), &stamp), expected, "{text}");
    }
}

#[test]
fn inherited_prefixes_are_declared() {
    let header = StreamNs::new([("", CLIENT), ("stream", ns::STREAMS), ("x", "urn:x?a&b")]).unwrap();
    assert_eq!(
        passed_on("<message><y><x:z/></y></message>", &header, &PLAIN),
        "<message xmlns:x='urn:x?a&amp;b'><y><x:z/></y></message>"
    );
    assert_eq!(
        passed_on("<message stream:a='1'/>", &header, &PLAIN),
        "<message xmlns:stream='http://etherx.jabber.org/streams' stream:a='1'/>"
    );
}

#[test]
fn odd_spellings_are_written_anew() {
    let header = StreamNs::new([("", CLIENT), ("c", CLIENT), ("x", "urn:x")]).unwrap();
    let to_server = Stamp { xmlns: Some("jabber:server"), ..PLAIN };
    for (text, stamp, expected) in [
        // A child that says what it would be anyway may stay as it is where that stays true, …
        (
            "<message><body xmlns='jabber:client'/></message>",
            PLAIN,
            "<message><body xmlns='jabber:client'/></message>",
        ),
        // … and must change with its stanza where not.
        (
            "<message to='x'><body xmlns='jabber:client'>t&amp;<b/></body><y xmlns='urn:y'><b xmlns='jabber:client'/></y></message>",
            to_server,
            "<message xmlns='jabber:server' to='x'><body>t&amp;<b/></body><y xmlns='urn:y'>\
             <b xmlns='jabber:client'/></y></message>",
        ),
        ("<message><c:body/></message>", to_server, "<message xmlns='jabber:server'><body/></message>"),
        (
            "<c:message to='x'><c:body>t</c:body><x:y/></c:message>",
            Stamp { append: b"<d/>", ..ADDRESSED },
            "<message to='b@c/&apos;d&apos;' from='a@c'><body>t</body><y xmlns='urn:x'/><d/></message>",
        ),
        ("<c:message from='x' to='y'/>", Stamp { to: Head::Remove, ..PLAIN }, "<message from='x'/>"),
        (
            "<c:message/>",
            Stamp { lang: Some("en"), ..to_server },
            "<message xmlns='jabber:server' xml:lang='en'/>",
        ),
        // What is no stanza keeps its namespace.
        ("<r xmlns='urn:xmpp:sm:3'/>", PLAIN, "<r xmlns='urn:xmpp:sm:3'/>"),
        ("<r xmlns='urn:xmpp:sm:3'/>", to_server, "<r xmlns='urn:xmpp:sm:3'/>"),
        ("<r xmlns=''><s/></r>", PLAIN, "<r xmlns=''><s/></r>"),
        ("<r xmlns=''><s/></r>", to_server, "<r xmlns=''><s/></r>"),
    ] {
        assert_eq!(passed_on(text, &header, &stamp), expected, "{text}");
    }
}

#[test]
fn from_server_to_client() {
    let text = "<message xmlns='jabber:server' from='a@x'><body>t</body></message>";
    assert_eq!(passed_on(text, &StreamNs::server(), &PLAIN), "<message from='a@x'><body>t</body></message>");
    let text = "<message from='a@x'><body xmlns='jabber:server'/></message>";
    assert_eq!(passed_on(text, &StreamNs::server(), &PLAIN), "<message from='a@x'><body/></message>");
}
