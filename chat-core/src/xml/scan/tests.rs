use super::*;

fn verdict(bytes: &[u8]) -> Result<(), &'static str> {
    let limits = ScanLimits { depth_max: 4, attributes_max: 4, spare: 0 };
    scan(bytes, &StreamNs::client(), &limits).map(|_| ()).map_err(XmlFault::condition)
}

#[test]
fn accepted() {
    for text in [
        "<a/>",
        "<a></a>",
        "<a ></a\t>",
        "<a\r\n/>",
        "<_a.b-c1/>",
        "<é/>",
        "<a x='1' y=\"2\"/>",
        "<a x = '1'\ny\t=\n'2' />",
        "<a x='\"' y=\"'\"/>",
        "<a x='>'/>",
        "<a x=''/>",
        "<a>]]</a>",
        "<a>]></a>",
        "<a>></a>",
        "<a>&lt;&gt;&amp;&apos;&quot;</a>",
        "<a x='&lt;&#10;&#x9;&#xD;'/>",
        "<a>&#65;&#x10FFFF;&#xFFFD;&#00065;</a>",
        "<a>\u{FFFD}\u{E000}\u{7F}\u{85}\u{10FFFF}\u{FFF0}</a>",
        "<a x='\u{FFFD}\u{F8FF}'/>",
        "<a>\t\r\n</a>",
        "<a><![CDATA[<b>&x;]]]]></a>",
        "<a><![CDATA[]]></a>",
        "<a><b><c/></b><b/></a>",
        // Namespaces in XML 1.0 §4, §6: declared here, outside, later in the same tag, again, taken back.
        "<p:a xmlns:p='urn:x'/>",
        "<a y:z='1' xmlns:y='urn:y'/>",
        "<stream:error/>",
        "<a><stream:x stream:y=''/></a>",
        "<a xmlns='urn:x'><b xmlns=''/></a>",
        "<a xmlns:p='urn:x'><p:b xmlns:p='urn:y'/><p:c/></a>",
        "<a xmlns:p='urn:x'><b xmlns:q='urn:x' p:z='' z=''/></a>",
        // §3: `xml` needs no declaration and may have the right one.
        "<a xml:lang='en'/>",
        "<xml:a/>",
        "<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
        "<a xmlns:p='urn:a&amp;b' xmlns:q='urn:&#97;'/>",
        // As deep and as wide as the limits of this test allow.
        "<a><b><c><d/></c></b></a>",
        "<a><b><c><d></d></c></b></a>",
        "<a b='' c='' d='' xmlns='urn:x'/>",
    ] {
        assert_eq!(verdict(text.as_bytes()), Ok(()), "{text}");
    }
}

#[test]
fn refused() {
    let nwf = "not-well-formed";
    let cases: &[(&str, &str)] = &[
        // Exactly one element (XML 1.0 §2.1).
        ("", nwf),
        (" ", nwf),
        ("x", nwf),
        ("<a/> ", nwf),
        (" <a/>", nwf),
        ("<a/>x", nwf),
        ("<a/><b/>", nwf),
        ("<a></a></a>", nwf),
        ("</a>", nwf),
        ("<a/>\0", nwf),
        // Cut off.
        ("<", nwf),
        ("<a", nwf),
        ("<a ", nwf),
        ("<a/", nwf),
        ("<a x", nwf),
        ("<a x=", nwf),
        ("<a x='", nwf),
        ("<a x=''", nwf),
        ("<a>", nwf),
        ("<a><b/>", nwf),
        ("<a></a", nwf),
        ("<a></", nwf),
        ("<a>&lt", nwf),
        ("<a>&", nwf),
        ("<a><![CDATA[", nwf),
        ("<a><![CDATA[]]", nwf),
        // Tags that do not match (§3, element type match).
        ("<a></b>", nwf),
        ("<a></ab>", nwf),
        ("<ab></a>", nwf),
        ("<a><b></a></b>", nwf),
        ("<p:a xmlns:p='urn:x' xmlns:q='urn:x'></q:a>", nwf),
        ("<a></ a>", nwf),
        ("<a></a x=''>", nwf),
        ("<a></a/>", nwf),
        // Names (§2.3; Namespaces §4).
        ("<1a/>", nwf),
        ("<-a/>", nwf),
        ("<.a/>", nwf),
        ("< a/>", nwf),
        ("<a$/>", nwf),
        ("<a\u{D7}/>", nwf),
        ("<\u{B7}a/>", nwf),
        ("<\u{37E}/>", nwf),
        ("<\u{300}/>", nwf),
        // Names of the fifth edition that many parsers refuse.
        ("<a\u{200C}/>", nwf),
        ("<\u{FEFF}a/>", nwf),
        ("<\u{10000}/>", nwf),
        ("<:a/>", nwf),
        ("<a:/>", nwf),
        ("<xml:a:b/>", nwf),
        ("<xml:1/>", nwf),
        ("<a 1='x'/>", nwf),
        ("<a :x='x'/>", nwf),
        ("<a xmlns:='urn:x'/>", nwf),
        // Attributes (§3.1).
        ("<a x='1'y='2'/>", nwf),
        ("<a x/>", nwf),
        ("<a x=1/>", nwf),
        ("<a x='1/>", nwf),
        ("<a x='1\"/>", nwf),
        ("<a x='<'/>", nwf),
        ("<a / >", nwf),
        ("<a /x='1'>", nwf),
        ("<a x='1' x='2'/>", nwf),
        ("<a xmlns='urn:x' xmlns='urn:x'/>", nwf),
        ("<a xmlns:p='urn:x' xmlns:p='urn:y'/>", nwf),
        // The same name by two prefixes (Namespaces §6.3), however the namespace is written.
        ("<a xmlns:p='urn:x' xmlns:q='urn:x' p:z='' q:z=''/>", nwf),
        ("<a xmlns:p='urn:x' xmlns:q='urn&#58;x' p:z='' q:z=''/>", nwf),
        ("<a xmlns:p='http://etherx.jabber.org/streams' stream:z='' p:z=''/>", nwf),
        // Unbound (Namespaces §5).
        ("<p:a/>", nwf),
        ("<a p:x=''/>", nwf),
        ("<a><b xmlns:p='urn:x'/><p:c/></a>", nwf),
        ("<a><b xmlns:p='urn:x'></b><c p:x=''/></a>", nwf),
        ("<Stream:a/>", nwf),
        // Reserved (Namespaces §3, §2.2).
        ("<xmlns:a/>", nwf),
        ("<a xmlns:p=''/>", nwf),
        ("<a xmlns:xml='urn:x'/>", nwf),
        ("<a xmlns:xmlns='urn:x'/>", nwf),
        ("<a xmlns:xmlns='http://www.w3.org/2000/xmlns/'/>", nwf),
        ("<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>", nwf),
        ("<a xmlns:p='http://www.w3.org/2000/xmlns/'/>", nwf),
        ("<a xmlns='http://www.w3.org/2000/xmlns&#x2F;'/>", nwf),
        ("<a xmlns='http://www.w3.org/XML/1998/namespace'/>", nwf),
        // Characters (§2.2, §2.4).
        ("<a>\0</a>", nwf),
        ("<a>\u{1}</a>", nwf),
        ("<a>\u{1B}</a>", nwf),
        ("<a x='\u{1}'/>", nwf),
        ("<a>\u{FFFE}</a>", nwf),
        ("<a>\u{FFFF}</a>", nwf),
        ("<a x='\u{FFFF}'/>", nwf),
        ("<a><![CDATA[\0]]></a>", nwf),
        ("<a>]]></a>", nwf),
        ("<a>]]]></a>", nwf),
        ("<a\0/>", nwf),
        // References (§4.1).
        ("<a>&#0;</a>", nwf),
        ("<a>&#x0;</a>", nwf),
        ("<a>&#xD800;</a>", nwf),
        ("<a>&#xFFFF;</a>", nwf),
        ("<a>&#x110000;</a>", nwf),
        ("<a>&#x100000041;</a>", nwf),
        ("<a>&#1;</a>", nwf),
        ("<a>&#xZ;</a>", nwf),
        ("<a>&#;</a>", nwf),
        ("<a>&#x;</a>", nwf),
        ("<a x='&#0;'/>", nwf),
        ("<a>& </a>", nwf),
        ("<a>&;</a>", nwf),
        ("<a>&lt </a>", nwf),
        ("<a x='&'/>", nwf),
        ("<a x='&lt'/>", nwf),
        // Restricted (RFC 6120 §11.1).
        ("<a>&nbsp;</a>", "restricted-xml"),
        ("<a>&LT;</a>", "restricted-xml"),
        ("<a x='&bogus;'/>", "restricted-xml"),
        ("<a><!-- x --></a>", "restricted-xml"),
        ("<!-- x --><a/>", "restricted-xml"),
        ("<a><?x y?></a>", "restricted-xml"),
        ("<?xml version='1.0'?><a/>", "restricted-xml"),
        ("<!DOCTYPE a><a/>", "restricted-xml"),
        ("<a><!ELEMENT a></a>", "restricted-xml"),
        ("<a><![cdata[]]></a>", nwf),
        ("<a><![INCLUDE[]]></a>", nwf),
        ("<![CDATA[]]>", nwf),
        // Limits of this test: 4 levels, 4 attributes.
        ("<a><b><c><d><e/></d></c></b></a>", "policy-violation"),
        ("<a><b><c><d><e></e></d></c></b></a>", "policy-violation"),
        ("<a b='' c='' d='' e='' f=''/>", "policy-violation"),
    ];
    for (text, condition) in cases {
        assert_eq!(verdict(text.as_bytes()), Err(*condition), "{text:?}");
    }
}

#[test]
fn only_utf8() {
    // RFC 6120 §11.6: stray bytes, overlong forms, surrogates, cut sequences, past the last character, UTF-16.
    for bytes in [
        &b"<a>\xFF</a>"[..],
        b"<a>\x80</a>",
        b"<a>\xC0\xAF</a>",
        b"<a>\xED\xA0\x80</a>",
        b"<a>\xE2\x82</a>",
        b"<a>\xF4\x90\x80\x80</a>",
        b"<a x='\xC3'/>",
        b"<\0a\0/\0>\0",
        b"\xEF\xBB\xBF<a/>",
    ] {
        assert_eq!(verdict(bytes), Err("not-well-formed"), "{bytes:?}");
    }
}

#[test]
fn what_makes_lookups_dear_is_bounded() {
    let limits = ScanLimits::WIDEST;
    let ok = |text: &str| {
        scan(text.as_bytes(), &StreamNs::none(), &limits).map(|_| ()).map_err(XmlFault::condition)
    };
    let declared = |n: usize| -> String { (0..n).map(|i| format!(" xmlns:p{i}='urn:{i}'")).collect() };
    let used = |n: usize| -> String { (0..n).map(|i| format!(" p{i}:x=''")).collect() };
    assert_eq!(ok(&format!("<a{}/>", declared(256))), Ok(()));
    assert_eq!(ok(&format!("<a{}/>", declared(257))), Err("policy-violation"));
    assert_eq!(ok(&format!("<a{}><b xmlns=''/></a>", declared(256))), Err("policy-violation"));
    assert_eq!(ok(&format!("<a>{}</a>", format!("<b{}/>", declared(200)).repeat(3))), Ok(()));
    // Four prefixes on one name make six pairs, five make ten.
    assert_eq!(ok(&format!("<a{}{}/>", declared(4), used(4))), Ok(()));
    assert_eq!(ok(&format!("<a{}{}/>", declared(5), used(5))), Err("policy-violation"));
    let odd = |n: usize| format!("<a>{}</a>", "<b xmlns='&amp;'/>".repeat(n));
    assert_eq!(ok(&odd(32)), Ok(()));
    assert_eq!(ok(&odd(33)), Err("policy-violation"));
    // What is written for one character counts, too.
    for (one, bytes) in [("x", 1), ("&amp;", 5), (">", 4), ("\"", 6), ("&#x0041;", 8), ("\t", 1)] {
        let encoded = |n: usize| format!("<a xmlns='{one}{}'/>", "x".repeat(n - bytes));
        assert_eq!(ok(&encoded(256)), Ok(()), "{one}");
        assert_eq!(ok(&encoded(257)), Err("policy-violation"), "{one}");
    }
    assert_eq!(ok(&format!("<a b='{}'/>", ">".repeat(5000))), Ok(()));
    let deep = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
    assert_eq!(ok(&deep(1024)), Ok(()));
    assert_eq!(ok(&deep(1025)), Err("policy-violation"));
}

#[test]
fn what_we_pass_on_has_some_room_to_spare() {
    let own = |text: &str| scan(text.as_bytes(), &StreamNs::none(), &ScanLimits::OWN).is_ok();
    let declared = |n: usize| (0..n).map(|i| format!(" xmlns:p{i}='urn:{i}'")).collect::<String>();
    let odd = |n: usize| format!("<a>{}</a>", "<b xmlns='&amp;'/>".repeat(n));
    assert!(own(&format!("<a{}/>", declared(256 + 64))) && !own(&format!("<a{}/>", declared(256 + 65))));
    assert!(own(&odd(32 + 64)) && !own(&odd(32 + 65)));
}

#[test]
fn the_view_of_a_message() {
    let text = "<message to='a&amp;b@c' xml:lang='en'\n from=\"d\" id='x\ty' type='chat' e='f' ><body>hi</body>\
        <x xmlns='urn:x'/></message>";
    let view = scan(text.as_bytes(), &StreamNs::client(), &ScanLimits::default()).unwrap();
    assert!(view.is("message", ns::CLIENT));
    assert_eq!((view.raw_name(), view.prefix(), view.as_str()), ("message", "", text));
    assert_eq!(view.to().as_deref(), Some("a&b@c"));
    assert_eq!(&text[view.head_range(HeadAttr::To).unwrap()], "a&amp;b@c");
    assert_eq!((view.from().as_deref(), view.id().as_deref()), (Some("d"), Some("x y")));
    assert_eq!((view.type_().as_deref(), view.lang().as_deref()), (Some("chat"), Some("en")));
    assert_eq!(view.head(HeadAttr::Xmlns), None);
    assert!(text[view.start_tag()].ends_with("e='f' >"));
    assert_eq!(&text[view.content()], "<body>hi</body><x xmlns='urn:x'/>");
    assert!(!view.is_empty_tag());
    let children: Vec<_> =
        view.children().map(|c| (c.name, c.ns, str::from_utf8(c.bytes).unwrap())).collect();
    assert_eq!(children, [("body", ns::CLIENT, "<body>hi</body>"), ("x", "urn:x", "<x xmlns='urn:x'/>")]);
    assert_eq!(&text[view.first_child().unwrap().start..][..6], "<body>");
    assert!(view.has_child("x", "urn:x") && !view.has_child("x", ns::CLIENT));
    assert_eq!((view.content_redeclared(), view.inherited().count()), (false, 0));
}

#[test]
fn the_view_of_an_empty_tag() {
    let view = scan(b"<presence/>", &StreamNs::server(), &ScanLimits::default()).unwrap();
    assert!(view.is("presence", ns::SERVER) && view.is_empty_tag());
    assert_eq!((view.content(), view.children_len(), view.first_child()), (11..11, 0, None));
    let view = scan(b"<a>t</a>", &StreamNs::none(), &ScanLimits::default()).unwrap();
    assert_eq!((view.ns(), view.content(), view.children_len()), ("", 3..4, 0));
}

#[test]
fn namespaces_are_read_not_compared_raw() {
    let text = "<iq xmlns='jabber&#58;client'><p:query xmlns:p='jabber:iq&#58;roster'/><p xmlns='urn:a&amp;b'/></iq>";
    let view = scan(text.as_bytes(), &StreamNs::none(), &ScanLimits::default()).unwrap();
    assert_eq!(view.ns(), "jabber:client");
    assert!(view.has_child("query", "jabber:iq:roster") && view.has_child("p", "urn:a&b"));
}

#[test]
fn children_beyond_the_remembered_ones() {
    let inner: String =
        (0..32).map(|i| format!("t<c{i} xmlns='urn:&#x61;{i}'><d/>x<e></e></c{i}><s{i}/>")).collect();
    let text = format!("<a xmlns='urn:top'>{inner}</a>");
    let view = scan(text.as_bytes(), &StreamNs::client(), &ScanLimits::default()).unwrap();
    assert_eq!((view.children_len(), view.children().count()), (64, 64));
    for (i, pair) in view.children().collect::<Vec<_>>().chunks(2).enumerate() {
        assert!(pair[0].is(&format!("c{i}"), &format!("urn:a{i}")), "{:?}", pair[0]);
        assert!(pair[1].is(&format!("s{i}"), "urn:top"));
        assert_eq!(str::from_utf8(pair[1].bytes), Ok(format!("<s{i}/>").as_str()));
        assert!(pair[0].bytes.starts_with(b"<c") && pair[0].bytes.ends_with(format!("</c{i}>").as_bytes()));
    }
    assert!(view.has_child("s31", "urn:top"));
}

#[test]
fn redeclared_content_and_inherited_prefixes() {
    let header =
        StreamNs::new([("", ns::CLIENT), ("stream", ns::STREAMS), ("x", "urn:x"), ("c", ns::CLIENT)])
            .unwrap();
    for (text, redeclared, inherited) in [
        ("<message><body/></message>", false, &[][..]),
        ("<message xmlns='jabber:client'><body/></message>", false, &[]),
        ("<message><body xmlns='jabber:client'/></message>", true, &[]),
        ("<message><body xmlns='jabber&#58;client'/></message>", true, &[]),
        ("<message><c:body/></message>", true, &[("c", ns::CLIENT)]),
        ("<message><y xmlns='urn:y'><body xmlns='jabber:client'/></y></message>", false, &[]),
        ("<message x:z=''/>", false, &[("x", "urn:x")]),
        ("<message><y><x:z/><stream:z/></y></message>", false, &[("stream", ns::STREAMS), ("x", "urn:x")]),
        ("<message xmlns:x='urn:own'><x:z/></message>", false, &[]),
    ] {
        let view = scan(text.as_bytes(), &header, &ScanLimits::default()).unwrap();
        assert_eq!(view.content_redeclared(), redeclared, "{text}");
        assert_eq!(view.inherited().collect::<Vec<_>>(), inherited, "{text}");
    }
}
