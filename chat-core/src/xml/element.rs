//! Trees: an element taken apart, for whoever wants to read a payload or build one.

use super::escape::{cdata_value, escape_attr, escape_text, text_value};
use super::fault::XmlFault;
use super::names::is_nc_name;
use super::ns::{self, StreamNs};
use super::scan::{ScanLimits, StanzaView};
use super::token::{self, AttrKind, Event};
use super::walk::{Walker, text_of};
use super::write::{Sink, put_attr};
use smol_str::SmolStr;
use std::borrow::Cow;

/// An element with all it contains.
///
/// A parsed tree is at most [`DEPTH_MAX`](super::scan::DEPTH_MAX) deep; code that builds deeper ones is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Local name.
    pub name: SmolStr,
    /// Namespace; empty for none.
    pub ns: SmolStr,
    /// Attributes in order, without namespace declarations.
    pub attrs: Vec<Attr>,
    /// Children and text in order. Parsed trees have no two texts in a row and no empty ones.
    pub nodes: Vec<Node>,
}

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attr {
    /// Local name.
    pub name: SmolStr,
    /// Namespace; empty for attributes without prefix.
    pub ns: SmolStr,
    /// The value, references resolved and white space normalised.
    pub value: SmolStr,
}

/// What stands in an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A child.
    Element(Element),
    /// Text, references resolved; CDATA sections are text.
    Text(String),
}

/// `xml:lang` and the like: namespace and local name of an attribute as callers write it.
fn expanded(name: &str) -> (&'static str, &str) {
    match name.strip_prefix("xml:") {
        Some(local) => (ns::XML, local),
        None => ("", name),
    }
}

impl Element {
    /// An empty element.
    pub fn new(name: impl Into<SmolStr>, ns: impl Into<SmolStr>) -> Self {
        let name = name.into();
        debug_assert!(is_nc_name(&name), "{name:?} is not a name");
        Element { name, ns: ns.into(), attrs: Vec::new(), nodes: Vec::new() }
    }

    /// Parses exactly one element whose context is `stream`.
    ///
    /// # Errors
    /// As [`scan`](super::scan::scan), with no limits but those that nothing exceeds.
    pub fn parse(bytes: &[u8], stream: &StreamNs) -> Result<Self, XmlFault> {
        let mut walk = Walker::new(text_of(bytes)?, stream, ScanLimits::OWN);
        let mut open: Vec<Element> = Vec::new();
        let mut root = None;
        while let Some(event) = walk.next()? {
            let ended = match event {
                Event::Start { empty } => {
                    let element = started(&walk, open.last());
                    if !empty {
                        open.push(element);
                        continue;
                    }
                    Some(element)
                }
                Event::End { .. } => open.pop(),
                Event::Text(raw) => {
                    add_text(&mut open, &text_value(raw.of(walk.text())));
                    None
                }
                Event::Cdata(raw) => {
                    add_text(&mut open, &cdata_value(raw.of(walk.text())));
                    None
                }
            };
            match (ended, open.last_mut()) {
                (Some(element), Some(parent)) => parent.nodes.push(Node::Element(element)),
                (Some(element), None) => root = Some(element),
                (None, _) => {}
            }
        }
        root.ok_or(XmlFault::NotWellFormed("no element"))
    }

    /// The tree of a scanned element.
    pub fn of(view: &StanzaView<'_>) -> Self {
        Element::parse(view.bytes(), view.stream_ns()).expect("these bytes have passed the scan")
    }

    /// Whether the element has this name in this namespace.
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name == name && self.ns == ns
    }

    /// The value of an attribute without namespace, or of one of `xml:`.
    pub fn attr(&self, name: &str) -> Option<&str> {
        let (ns, local) = expanded(name);
        self.attr_ns(local, ns)
    }

    /// The value of an attribute by local name and namespace.
    pub fn attr_ns(&self, name: &str, ns: &str) -> Option<&str> {
        self.attrs.iter().find(|a| a.name == name && a.ns == ns).map(|a| a.value.as_str())
    }

    /// Adds or replaces an attribute without namespace, or one of `xml:`.
    pub fn set_attr(&mut self, name: &str, value: impl Into<SmolStr>) {
        let (ns, local) = expanded(name);
        debug_assert!(is_nc_name(local), "{name:?} is not a name");
        match self.attrs.iter_mut().find(|a| a.name == local && a.ns == ns) {
            Some(attr) => attr.value = value.into(),
            None => self.attrs.push(Attr { name: local.into(), ns: ns.into(), value: value.into() }),
        }
    }

    /// Removes an attribute without namespace, or one of `xml:`.
    pub fn remove_attr(&mut self, name: &str) {
        let (ns, local) = expanded(name);
        self.attrs.retain(|a| a.name != local || a.ns != ns);
    }

    /// The direct children.
    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.nodes.iter().filter_map(Node::element)
    }

    /// The first direct child of this name and namespace.
    pub fn child(&self, name: &str, ns: &str) -> Option<&Element> {
        self.children().find(|c| c.is(name, ns))
    }

    /// Whether a direct child has this name and namespace.
    pub fn has_child(&self, name: &str, ns: &str) -> bool {
        self.child(name, ns).is_some()
    }

    /// The element's own text, without that of its children.
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts = self.nodes.iter().filter_map(Node::text);
        let first = texts.next().unwrap_or("");
        texts.fold(Cow::Borrowed(first), |all, text| all + text)
    }

    /// With an attribute.
    #[must_use]
    pub fn with_attr(mut self, name: &str, value: impl Into<SmolStr>) -> Self {
        self.set_attr(name, value);
        self
    }

    /// With an attribute if there is a value for it.
    #[must_use]
    pub fn with_attr_opt(self, name: &str, value: Option<impl Into<SmolStr>>) -> Self {
        match value {
            Some(value) => self.with_attr(name, value),
            None => self,
        }
    }

    /// With text behind what it contains.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        self.push_text(text);
        self
    }

    /// With a child behind what it contains.
    #[must_use]
    pub fn with_child(mut self, child: Element) -> Self {
        self.push_child(child);
        self
    }

    /// With children behind what it contains.
    #[must_use]
    pub fn with_children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.nodes.extend(children.into_iter().map(Node::Element));
        self
    }

    /// Adds a child behind what it contains.
    pub fn push_child(&mut self, child: Element) {
        self.nodes.push(Node::Element(child));
    }

    /// Adds text behind what it contains.
    pub fn push_text(&mut self, text: &str) {
        match self.nodes.last_mut() {
            _ if text.is_empty() => {}
            Some(Node::Text(before)) => before.push_str(text),
            _ => self.nodes.push(Node::Text(text.to_owned())),
        }
    }

    /// Writes the element where the default namespace is `parent_ns`.
    pub fn write(&self, parent_ns: &str, out: &mut dyn Sink) {
        self.write_with(Some(parent_ns), b"", out);
    }

    /// Writes the element as a document of its own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write("", &mut out);
        out
    }

    /// Writes the element with more elements, already written, behind what it contains. Without a known default
    /// namespace around it, it declares its own in any case.
    pub(super) fn write_with(&self, parent_ns: Option<&str>, append: &[u8], out: &mut dyn Sink) {
        // The namespace of `xml:` cannot be a default one (Namespaces in XML 1.0 §3): such an element has the prefix, and
        // for what is inside nothing changes.
        let (prefix, inner): (&[u8], _) =
            if self.ns == ns::XML { (b"xml:", parent_ns) } else { (b"", Some(self.ns.as_str())) };
        out.put(b"<");
        out.put(prefix);
        out.put(self.name.as_bytes());
        if inner != parent_ns {
            put_attr(out, "xmlns", &self.ns);
        }
        for (i, attr) in self.attrs.iter().enumerate() {
            attr.write(i, out);
        }
        if self.nodes.is_empty() && append.is_empty() {
            return out.put(b"/>");
        }
        out.put(b">");
        for node in &self.nodes {
            match node {
                Node::Element(child) => child.write_with(inner, b"", out),
                Node::Text(text) => escape_text(out, text),
            }
        }
        out.put(append);
        out.put(b"</");
        out.put(prefix);
        out.put(self.name.as_bytes());
        out.put(b">");
    }
}

impl Attr {
    /// Writes the attribute number `i`; a namespace other than that of `xml:` gets a prefix made from the number.
    fn write(&self, i: usize, out: &mut dyn Sink) {
        match self.ns.as_str() {
            "" => put_attr(out, &self.name, &self.value),
            ns::XML => {
                out.put(b" xml:");
                self.write_rest(out);
            }
            ns => {
                put_attr(out, &format!("xmlns:a{i}"), ns);
                out.put(format!(" a{i}:").as_bytes());
                self.write_rest(out);
            }
        }
    }

    fn write_rest(&self, out: &mut dyn Sink) {
        out.put(self.name.as_bytes());
        out.put(b"='");
        escape_attr(out, &self.value);
        out.put(b"'");
    }
}

impl Node {
    /// The child, if it is one.
    pub fn element(&self) -> Option<&Element> {
        match self {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Node::Element(_) => None,
            Node::Text(text) => Some(text),
        }
    }
}

/// The element of the walk's current start tag.
fn started(walk: &Walker<'_>, parent: Option<&Element>) -> Element {
    let text = walk.text();
    let ns = match (walk.ns_name(walk.element_ns()), parent) {
        // Long names are shared, not copied.
        (name, Some(parent)) if *name == *parent.ns => parent.ns.clone(),
        (name, _) => name.into(),
    };
    let attr = |a: token::Attr| Attr {
        name: a.name.local().of(text).into(),
        ns: walk.ns_name(walk.attr_ns(&a)).into(),
        value: a.value.meaning(text).into(),
    };
    Element {
        name: walk.tag().name.local().of(text).into(),
        ns,
        attrs: walk.attrs().filter(|a| a.kind(text) != AttrKind::Declaration).map(attr).collect(),
        nodes: Vec::new(),
    }
}

fn add_text(open: &mut [Element], text: &str) {
    open.last_mut().expect("text stands in an element").push_text(text);
}

#[cfg(test)]
mod tests;
