//! What the scan accepts is what another parser accepts, is written and read again unchanged, and can be passed on.
//!
//! Owns: the target `scan`, and what another parser thinks. Not here: where an element ends (`framing`).

use chat_core::xml::element::Attr;
use chat_core::xml::write::{forwarded, forwarded_ns, respelled};
use chat_core::xml::{
    Element, FrameKind, Framer, Head, Node, ScanLimits, Stamp, Step, StreamNs, XmlFault, ns, parse_header,
    scan as scan_stanza, scan_front, utf8,
};
use rxml::Parse;

use Opinion::Judged;

/// The bytes are one element: of a stream between client and server, of one between servers, of one whose header binds
/// prefixes, and as a document of its own; or they are a header with one element behind.
pub fn scan(data: &[u8]) {
    for stream in [StreamNs::client(), StreamNs::server(), odd()] {
        on_a_stream(data, &stream);
    }
    as_a_document(data);
    behind_a_header(data);
}

/// Prefixes that clients use without declaring them, one of them for the content namespace.
fn odd() -> StreamNs {
    let bound = [("", ns::CLIENT), ("stream", ns::STREAMS), ("p", "urn:x&y"), ("q", ns::CLIENT)];
    StreamNs::new(bound).expect("they are few")
}

/// A header is one frame, and what it binds is bound for the element that follows.
fn behind_a_header(data: &[u8]) {
    let mut framer = Framer::default();
    let Ok(Step::Frame { kind: FrameKind::Header, end }) = framer.push(data) else {
        return assert!(parse_header(data).is_err(), "no frame is a header");
    };
    let (header, rest) = data.split_at(end);
    let Ok(header) = parse_header(header) else { return };
    assert!(rest.is_empty() || parse_header(data).is_err(), "a header is exactly one frame");
    assert_eq!(header.stream_ns.default_ns(), header.default_ns);
    if let Ok(Step::Frame { kind: FrameKind::Element, end }) = framer.push(rest) {
        on_a_stream(&rest[..end], &header.stream_ns);
    }
}

/// What is scanned at the front of a text is what framing it first would give.
fn in_front(data: &[u8], stream: &StreamNs) {
    let Some(text) = utf8(data) else { return };
    let front = scan_front(text, stream, &ScanLimits::WIDEST);
    let mut framer = Framer::default();
    assert_eq!(framer.push(b"<s>"), Ok(Step::Frame { kind: FrameKind::Header, end: 3 }));
    let framed = match framer.push(data) {
        Ok(Step::Frame { kind: FrameKind::Element, end }) => {
            scan_stanza(&data[..end], stream, &ScanLimits::WIDEST).ok()
        }
        _ => None,
    };
    assert_eq!(front.as_ref().map(|view| view.bytes()), framed.as_ref().map(|view| view.bytes()));
    assert_eq!(front.as_ref().map(Element::of), framed.as_ref().map(Element::of));
}

fn on_a_stream(data: &[u8], stream: &StreamNs) {
    in_front(data, stream);
    let Ok(view) = scan_stanza(data, stream, &ScanLimits::WIDEST) else { return };
    let tree = Element::of(&view);
    assert!(tree.is(view.name(), view.ns()));
    let heads = [
        ("to", view.to()),
        ("from", view.from()),
        ("id", view.id()),
        ("type", view.type_()),
        ("xml:lang", view.lang()),
    ];
    for (name, value) in heads {
        assert_eq!(tree.attr(name), value.as_deref(), "{name}");
    }
    for attr in tree.attrs.iter().filter(|attr| attr.ns.is_empty()) {
        assert_eq!(view.attr(&attr.name).as_deref(), Some(attr.value.as_str()), "{}", attr.name);
    }
    let seen: Vec<_> = view.children().map(|c| (c.name, c.ns)).collect();
    let there: Vec<_> = tree.children().map(|c| (c.name.as_str(), c.ns.as_str())).collect();
    assert_eq!(seen, there, "the view and the tree have the same children");
    for child in view.children() {
        assert_eq!(&data[child.start..child.start + child.bytes.len()], child.bytes);
    }
    // Parse and write undo each other, but for a tree that declares its namespaces too often when it is written.
    let mut written = Vec::new();
    tree.write(ns::CLIENT, &mut written);
    let document = Element::parse(&tree.to_bytes(), &StreamNs::none());
    for again in [document, Element::parse(&written, &StreamNs::client())] {
        assert!(again.as_ref() == Ok(&tree) || matches!(again, Err(XmlFault::Policy(_))), "{again:?}");
    }
    if let Some(anew) = respelled(&view) {
        on_a_stream(&anew, &StreamNs::client());
    }
    // It is exactly one frame.
    let mut framer = Framer::default();
    assert_eq!(framer.push(b"<s>"), Ok(Step::Frame { kind: FrameKind::Header, end: 3 }));
    assert_eq!(framer.push(data), Ok(Step::Frame { kind: FrameKind::Element, end: data.len() }));
    for xmlns in [None, Some(ns::CLIENT), Some(ns::SERVER)] {
        let delay = b"<delay xmlns='urn:xmpp:delay' stamp='1'/>";
        for append in [&b""[..], delay] {
            let stamp =
                Stamp { to: Head::Set("a<&'\"\n"), from: Head::Remove, lang: Some("de"), xmlns, append };
            passed_on(&view, &stamp, &tree);
        }
    }
}

/// Passing on changes the head, and nothing inside.
fn passed_on(view: &chat_core::xml::StanzaView<'_>, stamp: &Stamp<'_>, tree: &Element) {
    let bytes = forwarded(view, stamp);
    let target = stamp.xmlns.unwrap_or(ns::CLIENT);
    let usual = view.prefix().is_empty() && ns::is_content(view.ns());
    let again = match scan_stanza(&bytes, &forwarded_ns(stamp), &ScanLimits::OWN) {
        // It was taken apart.
        Err(XmlFault::Policy(_)) if !usual || view.content_redeclared() && view.ns() != target => return,
        again => again.expect("what is passed on can be read"),
    };
    assert_eq!((again.to().as_deref(), again.from()), (Some("a<&'\"\n"), None));
    let (mut expected, found) = (tree.clone(), Element::of(&again));
    expected.set_attr("to", "a<&'\"\n");
    expected.remove_attr("from");
    if expected.attr("xml:lang").is_none() {
        expected.set_attr("xml:lang", "de");
    }
    if !stamp.append.is_empty() {
        expected.push_child(Element::new("delay", "urn:xmpp:delay").with_attr("stamp", "1"));
    }
    // A stanza between servers arrives at a client as one between clients; what is inside follows.
    if view.ns() == target || !ns::is_content(view.ns()) {
        assert_eq!(sorted(found), sorted(expected));
    } else {
        assert_eq!(found.ns, target);
        assert_eq!(found.children().count(), expected.children().count());
    }
}

/// What `rxml` cannot judge is left out: a lone carriage return (it refuses most values with one, and keeps some that
/// should become a line feed), white space around a document, names that only the fifth edition of XML allows, a
/// reference with more than eight digits (its limit), a default namespace that is declared twice (it takes that), and one
/// of the reserved namespaces under another prefix (it takes that, too, against Namespaces in XML 1.0 §3).
fn as_a_document(data: &[u8]) {
    let mut data: Vec<u8> = data.iter().copied().filter(|b| *b != b'\r').collect();
    while data.last().is_some_and(|b| b" \t\n".contains(b)) {
        data.pop();
    }
    let ours = Element::parse(&data, &StreamNs::none());
    let Judged(theirs) = other_opinion(&data) else { return };
    match (&ours, &theirs) {
        (Err(XmlFault::NotWellFormed("a reserved namespace declared")), Some(_)) => return,
        (Err(XmlFault::NotWellFormed("an attribute twice")), Some(_)) => {
            return assert!(data.windows(5).filter(|w| w == b"xmlns").count() >= 2);
        }
        (Ok(_), None) if has_long_reference(&data) => return,
        // The limits of the scan are ours alone.
        (Err(XmlFault::Policy(_)), _) => return,
        (Err(XmlFault::NotWellFormed(_) | XmlFault::UnboundPrefix), Some(_)) if !is_old(&data) => return,
        _ => {}
    }
    let (ours, theirs) = (ours.map(sorted), theirs.map(sorted));
    assert_eq!(ours.as_ref().ok(), theirs.as_ref(), "{:?} of {:?}", ours, String::from_utf8_lossy(&data));
}

/// Whether a character is written with more than eight digits, zeros in front.
fn has_long_reference(data: &[u8]) -> bool {
    let digits =
        |rest: &[u8]| rest.iter().skip_while(|b| **b == b'x').take_while(|b| b.is_ascii_hexdigit()).count();
    data.windows(2).zip(2..).any(|(two, at)| two == b"&#" && digits(&data[at..]) > 8)
}

/// Whether all characters could be in a name of XML's fourth edition as well as of its fifth, or in neither: what is
/// left is ASCII and a few letters.
fn is_old(data: &[u8]) -> bool {
    std::str::from_utf8(data).is_ok_and(|text| text.chars().all(|c| c.is_ascii() || "éüß×÷".contains(c)))
}

/// What another parser says.
enum Opinion {
    /// What it makes of a document, if it accepts it.
    Judged(Option<Element>),
    /// Names are in it of which it knows other rules.
    Abstained,
}

/// What `rxml` makes of a document.
fn other_opinion(bytes: &[u8]) -> Opinion {
    if bytes.last() != Some(&b'>') {
        // It takes a reference to white space behind the root for white space.
        return Judged(None);
    }
    let (mut parser, mut rest) = (rxml::Parser::new(), bytes);
    let (mut open, mut root): (Vec<Element>, _) = (Vec::new(), None);
    loop {
        match parser.parse(&mut rest, true) {
            Ok(None) => return Judged(root),
            Err(_) | Ok(Some(rxml::Event::XmlDeclaration(..))) => return Judged(None),
            Ok(Some(rxml::Event::StartElement(_, (ns, name), attrs))) => {
                let mut names = attrs.iter().map(|((_, name), _)| name.as_str()).chain([name.as_str()]);
                if names.any(|name| !is_old(name.as_bytes())) {
                    return Opinion::Abstained;
                }
                let mut element = Element::new(name.as_str(), ns.as_str());
                element.attrs = attrs
                    .iter()
                    .map(|((ns, name), value)| Attr {
                        name: name.as_str().into(),
                        ns: ns.as_str().into(),
                        value: value.as_str().into(),
                    })
                    .collect();
                open.push(element);
            }
            Ok(Some(rxml::Event::EndElement(_))) => {
                let Some(element) = open.pop() else { return Judged(None) };
                match open.last_mut() {
                    Some(parent) => parent.push_child(element),
                    None => root = Some(element),
                }
            }
            Ok(Some(rxml::Event::Text(_, text))) => match open.last_mut() {
                Some(parent) => parent.push_text(&text),
                None => return Judged(None),
            },
        }
    }
}

/// Attributes in an order of their own.
fn sorted(mut element: Element) -> Element {
    element.attrs.sort_by(|a, b| (&a.ns, &a.name).cmp(&(&b.ns, &b.name)));
    for node in &mut element.nodes {
        if let Node::Element(child) = node {
            *child = sorted(std::mem::replace(child, Element::new("x", "")));
        }
    }
    element
}
