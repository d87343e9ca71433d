use super::super::ns::{CLIENT, STREAMS};
use super::super::scan::scan;
use super::*;

fn parse(text: &str) -> Element {
    Element::parse(text.as_bytes(), &StreamNs::client()).unwrap()
}

#[test]
fn a_tree_is_read() {
    let tree = parse(
        "<iq id='a&amp;b' xml:lang='en' q:z='1' xmlns:q='urn:q'>x&lt;<![CDATA[<y>]]>z<query xmlns='urn:x'><item n='1'/>\
         <item n='2'></item></query>\r\n<q:e/><stream:s/></iq>",
    );
    assert!(tree.is("iq", CLIENT));
    assert_eq!((tree.attr("id"), tree.attr("xml:lang"), tree.attr("z")), (Some("a&b"), Some("en"), None));
    assert_eq!((tree.attr_ns("z", "urn:q"), tree.attrs.len()), (Some("1"), 3));
    assert_eq!(tree.nodes[0].text(), Some("x<<y>z"));
    assert_eq!(tree.text(), "x<<y>z\n");
    let query = tree.child("query", "urn:x").unwrap();
    let items: Vec<_> = query.children().map(|i| (i.ns.as_str(), i.attr("n"))).collect();
    assert_eq!(items, [("urn:x", Some("1")), ("urn:x", Some("2"))]);
    assert!(tree.has_child("e", "urn:q") && tree.has_child("s", STREAMS) && !tree.has_child("e", ""));
    assert_eq!(query.text(), "");
}

#[test]
fn a_tree_is_built_and_written() {
    let tree = Element::new("iq", CLIENT)
        .with_attr("type", "result")
        .with_attr("xml:lang", "de")
        .with_attr("type", "set")
        .with_attr_opt("id", Some("<1>"))
        .with_attr_opt("to", None::<&str>)
        .with_child(
            Element::new("query", "urn:x").with_children([Element::new("a", "urn:x"), Element::new("b", "")]),
        )
        .with_text("a<")
        .with_text("")
        .with_text("&b");
    let mut out = Vec::new();
    tree.write(CLIENT, &mut out);
    let text = "<iq type='set' xml:lang='de' id='&lt;1&gt;'><query xmlns='urn:x'><a/><b xmlns=''/></query>a&lt;&amp;b</iq>";
    assert_eq!(String::from_utf8(out).unwrap(), text);
    assert_eq!(parse(text), tree);
    assert!(tree.to_bytes().starts_with(b"<iq xmlns='jabber:client' type="));
    let mut tree = tree;
    tree.remove_attr("xml:lang");
    assert_eq!(tree.attr("xml:lang"), None);
}

#[test]
fn foreign_attributes_get_prefixes() {
    let tree = parse("<a xmlns:p='urn:p' xmlns:q='urn:q' p:x='1' q:x='2' x='3'/>");
    let bytes = tree.to_bytes();
    let text = "<a xmlns='jabber:client' xmlns:a0='urn:p' a0:x='1' xmlns:a1='urn:q' a1:x='2' x='3'/>";
    assert_eq!(str::from_utf8(&bytes), Ok(text));
    assert_eq!(Element::parse(&bytes, &StreamNs::none()), Ok(tree));
}

#[test]
fn parsing_refuses_what_the_scan_refuses() {
    for text in ["<a>", "<a/><b/>", "<p:a/>", "<a>&x;</a>", "x"] {
        assert_eq!(
            Element::parse(text.as_bytes(), &StreamNs::client()).map(|_| ()),
            scan(text.as_bytes(), &StreamNs::client(), &ScanLimits::default()).map(|_| ()),
            "{text}"
        );
        assert!(Element::parse(text.as_bytes(), &StreamNs::client()).is_err());
    }
}

/// Trees as deep as any scan accepts are parsed, compared, copied, shown, written and dropped well within the stack
/// of an ordinary test thread (2 MiB), in a build without optimisation.
#[test]
fn the_deepest_tree_fits_the_stack() {
    let depth = usize::from(crate::xml::scan::DEPTH_MAX);
    let text = format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let tree = parse(&text);
    let copy = tree.clone();
    assert!(copy == tree && format!("{tree:?}").len() > depth);
    let mut out = Vec::new();
    tree.write(CLIENT, &mut out);
    assert_eq!(out.len(), text.len() - "<a></a>".len() + "<a/>".len());
    assert!(Element::parse(format!("<a>{text}</a>").as_bytes(), &StreamNs::client()).is_err());
}

/// The namespace of `xml:` cannot be declared as a default one; what is inside keeps the one around.
#[test]
fn an_element_of_the_xml_namespace_is_written_with_its_prefix() {
    let text = "<message><xml:a xml:lang='en'><b/><xml:c/></xml:a></message>";
    let tree = parse(text);
    let mut out = Vec::new();
    tree.write(CLIENT, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), text);
    assert_eq!(Element::parse(&tree.to_bytes(), &StreamNs::none()).unwrap(), tree);
    let alone = parse("<xml:a><b xmlns=''/></xml:a>");
    assert_eq!(alone.to_bytes(), b"<xml:a><b/></xml:a>");
}
