use super::super::ns::{CLIENT, STREAMS};
use super::*;

#[test]
fn the_usual_header() {
    // RFC 6120 §4.2, as clients send it.
    let bytes = b"<?xml version='1.0'?><stream:stream from='juliet@im.example.com' to='im.example.com' version='1.0' \
        xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
    let header = parse_header(bytes).unwrap();
    assert_eq!((header.name, header.prefix), ("stream", "stream"));
    assert_eq!((&*header.ns, &*header.default_ns), (STREAMS, CLIENT));
    assert_eq!(header.from.as_deref(), Some("juliet@im.example.com"));
    assert_eq!(header.to.as_deref(), Some("im.example.com"));
    assert_eq!((header.version.as_deref(), header.lang.as_deref()), (Some("1.0"), Some("en")));
    assert_eq!(header.id, None);
    assert_eq!(header.stream_ns, StreamNs::client());
}

#[test]
fn unusual_headers() {
    let header = parse_header(b"<stream xmlns='http://etherx.jabber.org/streams' id='a&amp;b'>").unwrap();
    assert_eq!((header.name, header.prefix, &*header.ns), ("stream", "", STREAMS));
    assert_eq!((&*header.default_ns, header.id.as_deref()), (STREAMS, Some("a&b")));
    assert_eq!(header.stream_ns.default_ns(), STREAMS);

    let bytes = b"<?xml  version = \"1.0\" encoding='utf-8' standalone=\"yes\" ?>\n<s:stream xmlns:s='http://etherx.jabber.org/streams' \
        xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:xml='http://www.w3.org/XML/1998/namespace' >";
    let header = parse_header(bytes).unwrap();
    assert_eq!((header.prefix, &*header.ns, &*header.default_ns), ("s", STREAMS, "jabber:server"));
    assert_eq!(header.stream_ns.lookup("db"), Some("jabber:server:dialback"));
    assert_eq!(header.stream_ns.lookup("s"), Some(STREAMS));

    let header = parse_header(b"<html>").unwrap();
    assert_eq!((header.name, &*header.ns, &*header.default_ns), ("html", "", ""));
}

#[test]
fn bad_headers() {
    let many: String = (0..33).map(|i| format!(" a{i}=''")).collect();
    for (bytes, condition) in [
        ("<?xml version='1.1'?><s>", "not-well-formed"),
        ("<?xml version='1.0' encoding='UTF-16'?><s>", "unsupported-encoding"),
        ("<?xml version='1.0' encoding='ISO-8859-1'?><s>", "unsupported-encoding"),
        ("<?xml encoding='UTF-8'?><s>", "not-well-formed"),
        ("<?xml?><s>", "restricted-xml"),
        ("<?xmlx version='1.0'?><s>", "restricted-xml"),
        ("<?XML version='1.0'?><s>", "restricted-xml"),
        ("<?xml-stylesheet href='x'?><s>", "restricted-xml"),
        ("<?xml version='1.0'standalone='yes'?><s>", "not-well-formed"),
        ("<?xml version='1.0' standalone='maybe'?><s>", "not-well-formed"),
        ("<?xml version='1.0' x='y'?><s>", "not-well-formed"),
        ("<?xml version=1.0?><s>", "not-well-formed"),
        ("<?xml version='1.0\"?><s>", "not-well-formed"),
        ("<?xml version='1.0'?>", "not-well-formed"),
        ("<?xml version='1.0'", "not-well-formed"),
        ("", "not-well-formed"),
        (" <s>", "not-well-formed"),
        ("<stream:stream>", "not-well-formed"),
        ("<s a='1' a='2'>", "not-well-formed"),
        ("<s a='&bogus;'>", "restricted-xml"),
        ("<s", "not-well-formed"),
        ("<s></s>", "not-well-formed"),
        ("<s><s>", "not-well-formed"),
        ("<s/>", "bad-format"),
        (&format!("<s{many}>"), "policy-violation"),
    ] {
        assert_eq!(parse_header(bytes.as_bytes()).map_err(XmlFault::condition), Err(condition), "{bytes}");
    }
    assert_eq!(parse_header(b"<s a='\xFF'>").map_err(XmlFault::condition), Err("not-well-formed"));
}
