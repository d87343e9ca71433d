//! The walk's names and namespaces: what is unique, what is declared, what is bound (Namespaces in XML 1.0).

use super::escape::{means, same_value, written_len};
use super::fault::{XmlFault, ill};
use super::ns::{XML, XMLNS};
use super::token::{Attr, AttrKind, Declaration, NsRef, QName, Span};
use super::walk::Walker;

/// Namespace declarations in scope at one place, so that looking one up stays cheap whatever a peer declares.
pub const DECLARATIONS_MAX: usize = 256;
/// Pairs of attributes in one tag that have the same local name under two prefixes: each costs a comparison of
/// namespaces, and nobody needs more.
pub const SAME_NAMES_MAX: usize = 8;
/// Bytes of the name of a namespace, as it came and as we would write it. A tree has it once for each element that is not
/// in its parent's, so that a few bytes of a stanza stand for many; real ones stay below 100.
pub const NAMESPACE_BYTES_MAX: usize = 256;
/// Bytes that one byte of a value becomes at most when it is written.
const WRITTEN_BYTES_MAX: usize = "&quot;".len();

impl<'a> Walker<'a> {
    pub(super) fn unique_names(&self) -> Result<(), XmlFault> {
        let name = |i| self.attrs.get(i).map(|a: &Attr| a.name.whole().bytes(self.text));
        for i in 1..self.attrs.len() {
            if (0..i).any(|before| name(before) == name(i)) {
                return ill("an attribute twice");
            }
        }
        Ok(())
    }

    /// Takes the tag's declarations into scope and binds its prefixes (Namespaces in XML 1.0 §3 to §6).
    pub(super) fn namespaces(&mut self, name: QName) -> Result<(), XmlFault> {
        let mut prefixed = 0;
        for i in 0..self.attrs.len() {
            match self.attrs.get(i).copied() {
                Some(attr) if attr.kind == AttrKind::Declaration => self.declare(attr)?,
                Some(attr) if attr.kind == AttrKind::Prefixed => prefixed += 1,
                _ => {}
            }
        }
        self.bind(name.prefix())?;
        if prefixed == 0 {
            return Ok(());
        }
        for i in 0..self.attrs.len() {
            let Some(mut attr) = self.attrs.get(i).copied().filter(|a| a.kind == AttrKind::Prefixed) else {
                continue;
            };
            attr.ns = self.bind(attr.name.prefix())?;
            self.attrs.set(i, attr);
        }
        self.unique_expanded_names()
    }

    fn unique_expanded_names(&self) -> Result<(), XmlFault> {
        let mut pairs = 0;
        for (i, a) in self.attrs.iter().enumerate().filter(|(_, a)| a.kind == AttrKind::Prefixed) {
            for b in self.attrs.iter().take(i).filter(|b| b.kind == AttrKind::Prefixed) {
                if a.name.local().bytes(self.text) != b.name.local().bytes(self.text) {
                    continue;
                }
                pairs += 1;
                if pairs > SAME_NAMES_MAX {
                    return Err(XmlFault::Policy("too many attributes of one name under different prefixes"));
                }
                if self.same_ns(a.ns, b.ns) {
                    return ill("an attribute twice, under two prefixes");
                }
            }
        }
        Ok(())
    }

    fn declare(&mut self, attr: Attr) -> Result<(), XmlFault> {
        let value = attr.value.of(self.text);
        let prefix = match attr.name.prefix().is_empty() {
            true => Span::default(),
            false => attr.name.local(),
        };
        let is_xml = means(value, XML);
        match prefix.of(self.text) {
            "xml" if is_xml => return Ok(()),
            "xml" => return ill("the prefix `xml` bound to something else"),
            "xmlns" => return ill("the prefix `xmlns` declared"),
            _ if is_xml || means(value, XMLNS) => return ill("a reserved namespace declared"),
            p if !p.is_empty() && value.is_empty() => return ill("a prefix bound to nothing"),
            _ => {}
        }
        // What is accepted here must be accepted again once we have written it.
        if value.len() > NAMESPACE_BYTES_MAX / WRITTEN_BYTES_MAX
            && (value.len() > NAMESPACE_BYTES_MAX || written_len(value) > NAMESPACE_BYTES_MAX)
        {
            return Err(XmlFault::Policy("a long namespace"));
        }
        if self.declarations.len() >= DECLARATIONS_MAX + usize::from(self.limits.spare) {
            return Err(XmlFault::Policy("too many namespace declarations"));
        }
        self.declarations.push(Declaration { prefix, value: attr.value });
        Ok(())
    }

    /// What `prefix` is bound to at the current tag; the empty prefix is the default namespace.
    fn bind(&mut self, prefix: Span) -> Result<NsRef, XmlFault> {
        let found = self.resolve(prefix.of(self.text));
        if let Some(NsRef::Stream(slot)) = found {
            self.inherited |= 1 << slot;
        }
        found.ok_or(XmlFault::UnboundPrefix)
    }

    fn resolve(&self, prefix: &str) -> Option<NsRef> {
        if prefix == "xml" {
            return Some(NsRef::Xml);
        }
        if let Some(found) =
            self.declarations.iter().rev().find(|d| d.prefix.bytes(self.text) == prefix.as_bytes())
        {
            return Some(NsRef::Raw(found.value));
        }
        match prefix {
            "" => Some(NsRef::StreamDefault),
            prefix => self.stream.slot(prefix).map(NsRef::Stream),
        }
    }

    /// The namespace of the element whose start tag is the current one.
    pub(super) fn element_ns(&self) -> NsRef {
        self.resolve(self.tag.name.prefix().of(self.text)).expect("the walk has bound every prefix")
    }

    /// The name of a namespace, raw if it was declared inside the walked bytes.
    pub(super) fn raw_ns(&self, ns: NsRef) -> &'a str {
        match ns {
            NsRef::None => "",
            NsRef::StreamDefault => self.stream.default_ns(),
            NsRef::Stream(slot) => self.stream.at(slot).1,
            NsRef::Xml => XML,
            NsRef::Raw(span) => span.of(self.text),
        }
    }

    /// Whether two namespaces are one, whatever way they were written.
    pub(super) fn same_ns(&self, a: NsRef, b: NsRef) -> bool {
        let (x, y) = (self.raw_ns(a), self.raw_ns(b));
        // Names from the stream header are read already: an `&` in them is an `&`.
        match (a, b) {
            (NsRef::Raw(_), NsRef::Raw(_)) => same_value(x, y),
            (NsRef::Raw(_), _) => means(x, y),
            (_, NsRef::Raw(_)) => means(y, x),
            _ => x == y,
        }
    }
}
