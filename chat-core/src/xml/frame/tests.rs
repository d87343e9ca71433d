use super::*;

/// Pushes `bytes` in pieces of `cut` bytes and lists the frames with their text, or the fault.
fn frames(bytes: &[u8], cut: usize) -> (Vec<(FrameKind, String)>, Option<XmlFault>) {
    let (mut framer, mut found, mut pending) = (Framer::default(), Vec::new(), Vec::new());
    for piece in bytes.chunks(cut) {
        let mut new = piece;
        while !new.is_empty() {
            match framer.push(new) {
                Ok(Step::Need) => {
                    pending.extend_from_slice(new);
                    break;
                }
                Ok(Step::Frame { kind, end }) => {
                    pending.extend_from_slice(&new[..end]);
                    found.push((kind, String::from_utf8(std::mem::take(&mut pending)).unwrap()));
                    new = &new[end..];
                    assert!(!framer.in_frame());
                }
                Err(fault) => return (found, Some(fault)),
            }
        }
        assert_eq!(framer.in_frame(), !pending.is_empty());
    }
    (found, None)
}

const H: (FrameKind, &str) = (FrameKind::Header, "<s>");

#[test]
fn an_idle_stream_costs_a_few_bytes() {
    assert!(size_of::<Framer>() <= 16);
}

#[test]
fn frames_end_where_they_should() {
    use FrameKind::{Element, End, Header, Space};
    let cases: &[(&str, &[(FrameKind, &str)])] = &[
        // RFC 6120 §4.2, §11.5: the declaration is optional and belongs to the header.
        ("<?xml version='1.0'?><s:s a='>'>", &[(Header, "<?xml version='1.0'?><s:s a='>'>")]),
        ("<?xml version='1.0'?>\r\n <s>", &[(Header, "<?xml version='1.0'?>\r\n <s>")]),
        ("<?xml version='1.0' x='?' ?><s>", &[(Header, "<?xml version='1.0' x='?' ?><s>")]),
        (" \n<s>", &[(Space, " \n"), H]),
        ("<s a=\"'/>\" b='\"/>'>", &[(Header, "<s a=\"'/>\" b='\"/>'>")]),
        // RFC 6120 §4.4: the end of the stream.
        ("<s></s>", &[H, (End, "</s>")]),
        ("<s></s >\n", &[H, (End, "</s >"), (Space, "\n")]),
        // RFC 6120 §4.6.1: white space between stanzas.
        ("<s> <a/>\t\n<b/>", &[H, (Space, " "), (Element, "<a/>"), (Space, "\t\n"), (Element, "<b/>")]),
        (
            "<s><a/><a></a><a x='/'></a>",
            &[H, (Element, "<a/>"), (Element, "<a></a>"), (Element, "<a x='/'></a>")],
        ),
        ("<s><a x='>' y=\"/>\"/>", &[H, (Element, "<a x='>' y=\"/>\"/>")]),
        ("<s><a x=''/><a />", &[H, (Element, "<a x=''/>"), (Element, "<a />")]),
        ("<s><a>x > y /> z</a>", &[H, (Element, "<a>x > y /> z</a>")]),
        ("<s><a><b><c/></b>t<d/></a><e/>", &[H, (Element, "<a><b><c/></b>t<d/></a>"), (Element, "<e/>")]),
        ("<s><a><a></a></a >", &[H, (Element, "<a><a></a></a >")]),
        ("<s><é ü='ß'>☃</é>", &[H, (Element, "<é ü='ß'>☃</é>")]),
        // XML 1.0 §2.7: tags in CDATA are text.
        ("<s><a><![CDATA[</a>]]></a>", &[H, (Element, "<a><![CDATA[</a>]]></a>")]),
        ("<s><a><![CDATA[]]></a>", &[H, (Element, "<a><![CDATA[]]></a>")]),
        ("<s><a><![CDATA[]]]]]></a>", &[H, (Element, "<a><![CDATA[]]]]]></a>")]),
        ("<s><a><![CDATA[]>]]>]]></a>", &[H, (Element, "<a><![CDATA[]>]]>]]></a>")]),
        ("<s><a><![CDATA[ ]] > ]>]]></a>", &[H, (Element, "<a><![CDATA[ ]] > ]>]]></a>")]),
        ("<s><a><b><![CDATA[x]]></b></a>", &[H, (Element, "<a><b><![CDATA[x]]></b></a>")]),
    ];
    for (bytes, expected) in cases {
        for cut in 1..=bytes.len() {
            let (found, fault) = frames(bytes.as_bytes(), cut);
            assert_eq!(fault, None, "{bytes} cut by {cut}");
            let mut joined: Vec<(FrameKind, String)> = Vec::new();
            for (kind, text) in found {
                match joined.last_mut() {
                    Some((Space, before)) if kind == Space => before.push_str(&text),
                    _ => joined.push((kind, text)),
                }
            }
            let joined: Vec<_> = joined.iter().map(|(k, t)| (*k, t.as_str())).collect();
            assert_eq!(joined, *expected, "{bytes} cut by {cut}");
        }
    }
}

#[test]
fn what_is_going_to_be_refused_is_refused_early() {
    let cases: &[(&str, &str)] = &[
        // Not XML at all: a TLS ClientHello, HTTP, a byte order mark (RFC 6120 §11.6).
        ("\u{16}\u{3}\u{1}", "not-well-formed"),
        ("GET / HTTP/1.1", "not-well-formed"),
        ("\u{FEFF}<s>", "not-well-formed"),
        ("<?xml version='1.0'?>x", "not-well-formed"),
        ("<?xml version='1.0'<", "not-well-formed"),
        ("<>", "not-well-formed"),
        ("</", "not-well-formed"),
        ("< ", "not-well-formed"),
        // RFC 6120 §11.1.
        ("<!", "restricted-xml"),
        ("<?xml version='1.0'?><!", "restricted-xml"),
        ("<?xml version='1.0'?><?", "restricted-xml"),
        ("<s><!", "restricted-xml"),
        ("<s><?", "restricted-xml"),
        ("<s><a><?", "restricted-xml"),
        ("<s><a><!-", "restricted-xml"),
        ("<s><a><!D", "restricted-xml"),
        ("<s><a><![I", "not-well-formed"),
        ("<s><a><![CDATA]", "not-well-formed"),
        ("<s><1", "not-well-formed"),
        ("<s><a>< ", "not-well-formed"),
        ("<s><a><<", "not-well-formed"),
        // RFC 6120 §4.9.3.1.
        ("<s>x", "bad-format"),
        ("<s><a/>&", "bad-format"),
        ("<s/>", "bad-format"),
        ("<s></s><", "bad-format"),
    ];
    for (bytes, condition) in cases {
        for cut in 1..=bytes.len() {
            let (_, fault) = frames(bytes.as_bytes(), cut);
            assert_eq!(fault.map(XmlFault::condition), Some(*condition), "{bytes:?} cut by {cut}");
        }
        // And not before the last byte.
        let (_, fault) =
            frames(&bytes.as_bytes()[..bytes.len() - bytes.chars().last().unwrap().len_utf8()], 1);
        if !bytes.contains("HTTP") && !bytes.contains('\u{FEFF}') && !bytes.contains('\u{16}') {
            assert_eq!(fault, None, "{bytes:?}");
        }
    }
}

#[test]
fn nesting_is_bounded_by_the_counter() {
    let mut bytes = b"<s>".to_vec();
    bytes.extend_from_slice(&b"<a>".repeat(usize::from(u16::MAX)));
    assert_eq!(frames(&bytes, 4096).1, None);
    bytes.extend_from_slice(b"<a>");
    assert_eq!(frames(&bytes, 4096).1.map(XmlFault::condition), Some("policy-violation"));
}

#[test]
fn a_restart_expects_a_header() {
    let mut framer = Framer::default();
    assert_eq!(framer.push(b"<s>"), Ok(Step::Frame { kind: FrameKind::Header, end: 3 }));
    assert_eq!(framer.push(b"<a/>"), Ok(Step::Frame { kind: FrameKind::Element, end: 4 }));
    framer.restart();
    assert_eq!(
        framer.push(b"<?xml version='1.0'?><s>"),
        Ok(Step::Frame { kind: FrameKind::Header, end: 24 })
    );
}
