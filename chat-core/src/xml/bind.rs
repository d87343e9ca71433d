//! The walk's names and namespaces: what is unique, what is declared, what is bound (Namespaces in XML 1.0).

use super::escape::written_len;
use super::fault::{XmlFault, ill};
use super::ns::{XML, XMLNS};
use super::token::{Attr, AttrKind, Declaration, NsRef, QName, Span};
use super::walk::Walker;
use std::borrow::Cow;

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
        let (mut prefixed, mut prefix) = (0, Span::default());
        for i in 0..self.attrs.len() {
            let Some(attr) = self.attrs.get(i).copied() else { break };
            match attr.kind(self.text) {
                AttrKind::Declaration => self.declare(attr)?,
                AttrKind::Prefixed => (prefixed, prefix) = (prefixed + 1, attr.name.prefix()),
                AttrKind::Plain => {}
            }
        }
        self.tag_ns = Some(self.bind(name.prefix())?);
        match prefixed {
            0 => Ok(()),
            // Mostly `xml:lang`.
            1 => self.bind(prefix).map(drop),
            _ => self.several_prefixes(),
        }
    }

    fn several_prefixes(&mut self) -> Result<(), XmlFault> {
        for i in 0..self.attrs.len() {
            if let Some(attr) = self.attrs.get(i).copied().filter(|a| a.kind(self.text) == AttrKind::Prefixed)
            {
                self.bind(attr.name.prefix())?;
            }
        }
        self.unique_expanded_names()
    }

    fn unique_expanded_names(&self) -> Result<(), XmlFault> {
        let mut pairs = 0;
        for (i, a) in self.attrs.iter().enumerate().filter(|(_, a)| a.kind(self.text) == AttrKind::Prefixed) {
            for b in self.attrs.iter().take(i).filter(|b| b.kind(self.text) == AttrKind::Prefixed) {
                if a.name.local().bytes(self.text) != b.name.local().bytes(self.text) {
                    continue;
                }
                pairs += 1;
                if pairs > SAME_NAMES_MAX {
                    return Err(XmlFault::Policy("too many attributes of one name under different prefixes"));
                }
                if self.same_ns(self.attr_ns(&a), self.attr_ns(&b)) {
                    return ill("an attribute twice, under two prefixes");
                }
            }
        }
        Ok(())
    }

    fn declare(&mut self, attr: Attr) -> Result<(), XmlFault> {
        let (text, value) = (self.text, attr.value);
        let prefix = if attr.name.has_prefix() { attr.name.local() } else { Span::default() };
        match prefix.bytes(text) {
            b"xml" if value.means(text, XML) => return Ok(()),
            b"xml" => return ill("the prefix `xml` bound to something else"),
            b"xmlns" => return ill("the prefix `xmlns` declared"),
            _ if value.means(text, XML) || value.means(text, XMLNS) => {
                return ill("a reserved namespace declared");
            }
            p if !p.is_empty() && value.raw().is_empty() => return ill("a prefix bound to nothing"),
            _ => {}
        }
        // What is accepted here must be accepted again once we have written it.
        let len = value.raw().len();
        if len > NAMESPACE_BYTES_MAX / WRITTEN_BYTES_MAX
            && (len > NAMESPACE_BYTES_MAX || written_len(value.raw().of(text)) > NAMESPACE_BYTES_MAX)
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
        let found = self.resolve(prefix);
        if let Some(NsRef::Stream(slot)) = found {
            self.inherited |= 1 << slot;
        }
        found.ok_or(XmlFault::UnboundPrefix)
    }

    fn resolve(&self, prefix: Span) -> Option<NsRef> {
        let name = prefix.bytes(self.text);
        let declared = |d: &&Declaration| match prefix.is_empty() {
            true => d.prefix.is_empty(),
            false => d.prefix.bytes(self.text) == name,
        };
        let (usual, more) = self.declarations.parts();
        match more.iter().rev().find(declared).or_else(|| usual.iter().rev().find(declared)) {
            Some(found) => Some(NsRef::Declared(found.value)),
            None if name.is_empty() => Some(NsRef::StreamDefault),
            // Nothing else can be declared for it.
            None if name == b"xml" => Some(NsRef::Xml),
            None => self.stream.slot(prefix.of(self.text)).map(NsRef::Stream),
        }
    }

    /// The namespace of the element whose start tag is the current one.
    #[inline]
    pub(super) fn element_ns(&self) -> NsRef {
        match self.tag_ns {
            Some(ns) => ns,
            // No prefix, and nothing declared on the tag itself.
            None if self.declarations.len() == 0 => NsRef::StreamDefault,
            None => self.resolve(Span::default()).expect("there is always a default namespace"),
        }
    }

    /// The namespace of an attribute of the current tag.
    pub(super) fn attr_ns(&self, attr: &Attr) -> NsRef {
        match attr.kind(self.text) {
            AttrKind::Prefixed => self.resolve(attr.name.prefix()).expect("the walk has bound every prefix"),
            AttrKind::Plain | AttrKind::Declaration => NsRef::None,
        }
    }

    /// The name of a namespace.
    pub(super) fn ns_name(&self, ns: NsRef) -> Cow<'a, str> {
        match ns {
            NsRef::Declared(value) => value.meaning(self.text),
            _ => Cow::Borrowed(self.outer_ns(ns)),
        }
    }

    /// The name of a namespace that is not declared inside the walked bytes.
    fn outer_ns(&self, ns: NsRef) -> &'a str {
        match ns {
            NsRef::None | NsRef::Declared(_) => "",
            NsRef::StreamDefault => self.stream.default_ns(),
            NsRef::Stream(slot) => self.stream.at(slot).1,
            NsRef::Xml => XML,
        }
    }

    /// Whether two namespaces are one, whatever way they were written.
    pub(super) fn same_ns(&self, a: NsRef, b: NsRef) -> bool {
        // Names from the stream header are read already: an `&` in them is an `&`.
        match (a, b) {
            (NsRef::Declared(a), NsRef::Declared(b)) => a.same(b, self.text),
            (NsRef::Declared(value), outer) | (outer, NsRef::Declared(value)) => {
                value.means(self.text, self.outer_ns(outer))
            }
            _ => self.outer_ns(a) == self.outer_ns(b),
        }
    }
}
