//! Laws that hold for every stream, well-formed or not, checked on made-up ones: framing does not depend on cuts,
//! framer and scan agree, writing and parsing undo each other, passing on keeps what is inside, and another parser
//! (`rxml`) is of the same opinion about what is XML.

use super::element::Attr;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use rxml::Parse;

/// Choices made beforehand, so that a failing stream shrinks to a simple one. Zero is the simplest choice.
struct Dice<'d>(&'d [u8]);

impl Dice<'_> {
    fn roll(&mut self, sides: u8) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(first % sides)
    }

    fn pick<'p>(&mut self, from: &[&'p str]) -> &'p str {
        from[self.roll(from.len() as u8)]
    }
}

const NAMES: &[&str] = &["a", "body", "message", "x-1", "é", "_", "to", "b.c"];
const SPACES: &[&str] = &["", " ", "\n", "\t\r\n "];
const URIS: &[&str] =
    &["urn:x", "urn:y", "jabber:client", "jabber:server", "urn&#58;x", "a&amp;b", "urn:\tx"];
/// No characters that only the fifth edition allows in names: the other parser takes them there.
const VALUES: &[&str] = &["", "v", "&lt;", "&#10;\n", ">", "a@b/c", "\u{FFFD}&quot;", "语 /> ]]>"];
const TEXTS: &[&str] =
    &["t", "&amp;", "\r\n", "]]&gt;", "]", "/>", "<![CDATA[<a>&]]>", "<![CDATA[]]]]>", "'\"", "ü"];

/// Writes one well-formed element at the place of a stream that binds `prefixes`.
fn element(dice: &mut Dice<'_>, depth: usize, prefixes: &[&'static str], out: &mut String) {
    let mut prefixes = prefixes.to_vec();
    let (mut declared, mut attrs): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
    for _ in 0..dice.roll(5) {
        let (uri, value, quote) = (dice.pick(URIS), dice.pick(VALUES), dice.pick(&["'", "\""]));
        let name = match dice.roll(6) {
            0 => "xmlns".to_owned(),
            1 | 2 => format!("xmlns:{}", dice.pick(&["p", "q", "stream"])),
            3 => ["to", "from", "id", "type", "xml:lang"][dice.roll(5)].to_owned(),
            _ => dice.pick(NAMES).to_owned(),
        };
        if attrs.iter().any(|a| a.split_once('=').unwrap().0.trim() == name) {
            continue;
        }
        let value = if name.starts_with("xmlns") { uri } else { value };
        if let Some(prefix) = name.strip_prefix("xmlns:") {
            declared.push(["p", "q", "stream"].into_iter().find(|p| *p == prefix).unwrap());
        }
        attrs.push(format!("{name}{}={}{quote}{value}{quote}", dice.pick(SPACES), dice.pick(SPACES)));
    }
    prefixes.extend(declared);
    let prefixed = |dice: &mut Dice<'_>| match prefixes.get(dice.roll(8)) {
        Some(prefix) => format!("{prefix}:"),
        None => String::new(),
    };
    let name = format!("{}{}", prefixed(dice), dice.pick(NAMES));
    let foreign = format!("{}{}", prefixed(dice), "foreign");
    if foreign.contains(':') {
        attrs.push(format!("{foreign}=''"));
    }
    out.push_str(&format!("<{name}"));
    for attr in attrs {
        out.push_str(&format!("{} {attr}", dice.pick(SPACES)));
    }
    out.push_str(dice.pick(SPACES));
    let inside = dice.roll(5);
    if inside == 0 {
        return out.push_str("/>");
    }
    out.push('>');
    for _ in 1..inside {
        match dice.roll(2) {
            0 if depth > 0 => element(dice, depth - 1, &prefixes, out),
            _ => out.push_str(dice.pick(TEXTS)),
        }
    }
    out.push_str(&format!("</{name}{}>", dice.pick(SPACES)));
}

fn stanza(dice: &[u8]) -> String {
    let mut text = String::new();
    element(&mut Dice(dice), 4, &["stream"], &mut text);
    text
}

/// One element that needs no stream around it.
fn document(dice: &[u8]) -> String {
    let mut text = String::new();
    element(&mut Dice(dice), 4, &[], &mut text);
    text
}

/// Changes some bytes at random to what parsers stumble over.
fn spoil(text: &str, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    const BITS: &[&[u8]] = &[
        b"<",
        b">",
        b"/",
        b"'",
        b"\"",
        b"&",
        b";",
        b"=",
        b":",
        b" ",
        b"\n",
        b"]",
        b"]]>",
        b"!",
        b"?",
        b"-",
        b"\0",
        b"a",
        b"1",
        b"xmlns",
        b"xmlns:p='urn:x' ",
        b" q:z='' p:z=''",
        b"&#0;",
        b"&#x41;",
        b"&lt;",
        b"&nbsp;",
        b"<!--",
        b"<?",
        b"<![CDATA[",
        b"</a>",
        b"<a/>",
        b"\xC3",
        b"\xEF\xBF\xBE",
        b"\xEF\xBB\xBF",
        b"\xC3\x97",
        b"\xCC\x80",
        b"xml:",
        b"xmlns='' ",
    ];
    let mut bytes = text.as_bytes().to_vec();
    for (place, how, bit) in changes {
        let at = place % (bytes.len() + 1);
        let end = (at + usize::from(how % 4)).min(bytes.len());
        bytes.splice(at..end, BITS[usize::from(*bit) % BITS.len()].iter().copied());
    }
    bytes
}

type Frames = (Vec<(FrameKind, Vec<u8>)>, Option<XmlFault>);

/// The frames of a stream that arrives in pieces of these lengths, over and over. Space is joined.
fn frames(bytes: &[u8], cuts: &[usize]) -> Frames {
    let (mut framer, mut found, mut pending): (_, Vec<(FrameKind, Vec<u8>)>, _) =
        (Framer::default(), vec![], vec![]);
    let (mut at, mut cuts) = (0, cuts.iter().cycle());
    while at < bytes.len() {
        let cut = (at + cuts.next().copied().unwrap_or(bytes.len())).min(bytes.len());
        while at < cut {
            match framer.push(&bytes[at..cut]) {
                Ok(Step::Need) => {
                    pending.extend_from_slice(&bytes[at..cut]);
                    at = cut;
                }
                Ok(Step::Frame { kind, end }) => {
                    assert!(end > 0, "every frame takes bytes");
                    pending.extend_from_slice(&bytes[at..at + end]);
                    at += end;
                    let frame = std::mem::take(&mut pending);
                    match found.last_mut() {
                        Some((FrameKind::Space, before)) if kind == FrameKind::Space => before.extend(frame),
                        _ => found.push((kind, frame)),
                    }
                }
                Err(fault) => return (found, Some(fault)),
            }
        }
    }
    (found, None)
}

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

fn wide() -> ScanLimits {
    ScanLimits::WIDEST
}

/// What `rxml` makes of a document, if it accepts it.
fn other_opinion(bytes: &[u8]) -> Option<Element> {
    if bytes.last() != Some(&b'>') {
        // It takes a reference to white space behind the root for white space.
        return None;
    }
    let (mut parser, mut rest) = (rxml::Parser::new(), bytes);
    let (mut open, mut root): (Vec<Element>, _) = (Vec::new(), None);
    while let Some(event) = parser.parse(&mut rest, true).ok()? {
        match event {
            rxml::Event::XmlDeclaration(..) => return None,
            rxml::Event::StartElement(_, (ns, name), attrs) => {
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
            rxml::Event::EndElement(_) => {
                let element = open.pop()?;
                match open.last_mut() {
                    Some(parent) => parent.push_child(element),
                    None => root = Some(element),
                }
            }
            rxml::Event::Text(_, text) => match open.last_mut() {
                Some(parent) => parent.push_text(&text),
                None => return None,
            },
        }
    }
    root
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

fn dice() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..160)
}

fn changes() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn frames_are_the_stanzas_whatever_the_cuts(stanzas in vec((dice(), 0usize..4), 0..4), cuts in vec(1usize..40, 1..6)) {
        let mut stream = HEADER.to_owned();
        let mut expected = vec![(FrameKind::Header, HEADER.as_bytes().to_vec())];
        for (dice, space) in &stanzas {
            let (space, text) = (SPACES[*space], stanza(dice));
            scan(text.as_bytes(), &StreamNs::client(), &wide()).unwrap();
            if !space.is_empty() {
                expected.push((FrameKind::Space, space.as_bytes().to_vec()));
            }
            stream.push_str(space);
            stream.push_str(&text);
            expected.push((FrameKind::Element, text.into_bytes()));
        }
        stream.push_str("</stream:stream>");
        expected.push((FrameKind::End, b"</stream:stream>".to_vec()));
        prop_assert_eq!(frames(stream.as_bytes(), &cuts), (expected.clone(), None));
        prop_assert_eq!(frames(stream.as_bytes(), &[1]), (expected, None));
    }

    #[test]
    fn every_single_cut_gives_the_same_frames(dice in dice()) {
        let stream = format!("{HEADER}{}</stream:stream>", stanza(&dice));
        let whole = frames(stream.as_bytes(), &[]);
        for cut in 1..stream.len() {
            prop_assert_eq!(&frames(stream.as_bytes(), &[cut, stream.len()]), &whole, "cut at {}", cut);
        }
    }

    #[test]
    fn bad_streams_fail_the_same_whatever_the_cuts(dice in dice(), changes in changes(), cuts in vec(1usize..20, 1..6)) {
        let stream = spoil(&format!("{HEADER}{}</stream:stream>", stanza(&dice)), &changes);
        let whole = frames(&stream, &[]);
        prop_assert_eq!(&frames(&stream, &cuts), &whole);
        prop_assert_eq!(&frames(&stream, &[1]), &whole);
    }

    /// What the scan accepts is one frame, and no part of it from the start is anything.
    #[test]
    fn framer_and_scan_agree(dice in dice(), changes in changes(), part in any::<usize>()) {
        for bytes in [stanza(&dice).into_bytes(), spoil(&stanza(&dice), &changes)] {
            if scan(&bytes, &StreamNs::client(), &wide()).is_ok() {
                let stream = [b"<s>", &bytes[..]].concat();
                let expected = vec![(FrameKind::Header, b"<s>".to_vec()), (FrameKind::Element, bytes.clone())];
                prop_assert_eq!(frames(&stream, &[]), (expected, None));
                prop_assert!(scan(&bytes[..part % bytes.len()], &StreamNs::client(), &wide()).is_err());
            }
        }
    }

    /// What is scanned at the front of a text is what framing it first would give.
    #[test]
    fn what_lies_in_front_is_what_would_be_framed(dice in dice(), more in dice(), changes in changes(), part in any::<usize>()) {
        let whole = format!("{}{}", stanza(&dice), stanza(&more));
        let mut cut = part % (whole.len() + 1);
        while !whole.is_char_boundary(cut) {
            cut -= 1;
        }
        let spoiled = String::from_utf8_lossy(&spoil(&whole, &changes)).into_owned();
        for text in [&whole, &whole[..cut], &spoiled] {
            let front = scan_front(text, &StreamNs::client(), &wide());
            let mut framer = Framer::default();
            framer.push(b"<s>").unwrap();
            let framed = match framer.push(text.as_bytes()) {
                Ok(Step::Frame { kind: FrameKind::Element, end }) => {
                    scan(&text.as_bytes()[..end], &StreamNs::client(), &wide()).ok()
                }
                _ => None,
            };
            prop_assert_eq!(front.as_ref().map(StanzaView::as_str), framed.as_ref().map(StanzaView::as_str), "{}", text);
            prop_assert_eq!(front.as_ref().map(Element::of), framed.as_ref().map(Element::of));
        }
    }

    #[test]
    fn parsing_undoes_writing(dice in dice()) {
        let tree = Element::parse(stanza(&dice).as_bytes(), &StreamNs::client()).unwrap();
        prop_assert_eq!(&Element::parse(&tree.to_bytes(), &StreamNs::none()).unwrap(), &tree);
        let mut out = Vec::new();
        tree.write(ns::CLIENT, &mut out);
        prop_assert_eq!(&Element::parse(&out, &StreamNs::client()).unwrap(), &tree);
    }

    #[test]
    fn the_view_and_the_tree_say_the_same(dice in dice()) {
        let text = stanza(&dice);
        let view = scan(text.as_bytes(), &StreamNs::client(), &wide()).unwrap();
        let tree = Element::of(&view);
        prop_assert!(tree.is(view.name(), view.ns()));
        for (name, value) in
            [("to", view.to()), ("from", view.from()), ("id", view.id()), ("type", view.type_()), ("xml:lang", view.lang())]
        {
            prop_assert_eq!(tree.attr(name), value.as_deref());
        }
        let seen: Vec<_> = view.children().map(|c| (c.name, c.ns)).collect();
        let there: Vec<_> = tree.children().map(|c| (c.name.as_str(), c.ns.as_str())).collect();
        prop_assert_eq!(seen, there);
        for child in view.children() {
            prop_assert_eq!(&text.as_bytes()[child.start..child.start + child.bytes.len()], child.bytes);
        }
    }

    #[test]
    fn passing_on_changes_the_head_only(dice in dice(), to in "[a-z<&'\"\r\n ]{0,6}", explicit in any::<bool>()) {
        let header = StreamNs::client();
        let text = stanza(&dice);
        let view = scan(text.as_bytes(), &header, &wide()).unwrap();
        let xmlns = explicit.then_some(ns::CLIENT);
        let stamp = Stamp { to: Head::Set(&to), from: Head::Remove, xmlns, ..Stamp::default() };
        let bytes = write::forwarded(&view, &stamp);
        let again = scan(&bytes, &write::forwarded_ns(&stamp), &wide()).unwrap();
        prop_assert_eq!((again.to(), again.from()), (Some(to.as_str().into()), None));
        let (mut expected, found) = (Element::of(&view), Element::of(&again));
        expected.set_attr("to", to.as_str());
        expected.remove_attr("from");
        // A stanza between servers arrives at a client as one between clients; what is inside follows.
        if view.ns() == ns::CLIENT || !ns::is_content(view.ns()) {
            prop_assert_eq!(sorted(found), sorted(expected));
        } else {
            prop_assert_eq!(&found.ns, ns::CLIENT);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn another_parser_agrees(dice in dice(), changes in changes(), spoiled in prop::bool::weighted(0.9)) {
        let text = document(&dice);
        let mut bytes = if spoiled { spoil(&text, &changes) } else { text.into_bytes() };
        // Around the element a document may have white space; a slice of a stream may not.
        while bytes.last().is_some_and(|b| chars::is(*b, chars::SPACE)) {
            bytes.pop();
        }
        // The other refuses most values with a lone CR and keeps some that should become LF; the tables have those.
        bytes.retain(|b| *b != b'\r');
        let ours = Element::parse(&bytes, &StreamNs::none());
        let theirs = other_opinion(&bytes);
        if ours == fault::ill("an attribute twice") && theirs.is_some() {
            // The one known bug of the other: it takes a default namespace declared twice.
            prop_assert!(bytes.windows(5).filter(|w| w == b"xmlns").count() >= 2);
            return Ok(());
        }
        prop_assert_eq!(ours.ok().map(sorted), theirs.map(sorted), "{:?}", String::from_utf8_lossy(&bytes));
    }
}
