//! The one validating pass over a stanza, and the view it yields: names, heads and children as ranges of the
//! original bytes.

use super::chars::{SPACE, is};
use super::children::{CHILDREN_INLINE, ChildSpan};
use super::fault::{XmlFault, ill};
use super::ns::{self, StreamNs};
use super::token::{Ahead, Attr, NsRef, QName, Span, Value};
use super::walk::{Walker, may_begin, text_of};
use crate::base::limits::Limits;
use std::borrow::Cow;
use std::ops::Range;

pub use super::bind::{DECLARATIONS_MAX, NAMESPACE_BYTES_MAX, SAME_NAMES_MAX};
pub use super::children::{ChildView, Children};
pub use super::walk::{DEPTH_MAX, utf8};

/// What a scan refuses although it is good XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanLimits {
    /// Nesting, the scanned element itself counting one. Values above [`DEPTH_MAX`] count as that.
    pub depth_max: u16,
    /// Attributes of one element, namespace declarations included.
    pub attributes_max: u16,
    /// What may be above [`DECLARATIONS_MAX`] and [`MEANINGS_MAX`].
    pub spare: u16,
}

impl ScanLimits {
    /// Room for what is added on the way: prefixes of the stream it came on, and the elements around a copy.
    const SPARE: u16 = 64;
    /// For what we wrote: all that passed a scan with the limits of a peer passes again when it was
    /// [forwarded](super::write::forward), but for what must be [spelled anew](super::write::respelled).
    pub const OWN: ScanLimits =
        ScanLimits { depth_max: u16::MAX, attributes_max: u16::MAX, spare: Self::SPARE };
    /// The widest that a peer may have.
    pub const WIDEST: ScanLimits = ScanLimits { depth_max: u16::MAX, attributes_max: u16::MAX, spare: 0 };
}

impl Default for ScanLimits {
    fn default() -> Self {
        ScanLimits::from(&Limits::default())
    }
}

impl From<&Limits> for ScanLimits {
    fn from(limits: &Limits) -> Self {
        ScanLimits { depth_max: limits.depth_max, attributes_max: limits.attributes_max, spare: 0 }
    }
}

/// Namespaces written with references, of the scanned element and its direct children, that a view remembers.
pub const MEANINGS_MAX: usize = 32;

/// The attributes of a stanza that its way through the server looks at (RFC 6120 §8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadAttr {
    /// `to`
    To,
    /// `from`
    From,
    /// `id`
    Id,
    /// `type`
    Type,
    /// `xml:lang`
    Lang,
    /// `xmlns`, the declaration of a default namespace on this very tag
    Xmlns,
}

const HEADS: usize = HeadAttr::Xmlns as usize + 1;

/// Where a head attribute is. All zero if absent: no attribute stands at the start of an element.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HeadSpan {
    start: u32,
    value: Value,
}

/// What a scan finds, as places in the bytes, besides the children.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    name: QName,
    ns: NsRef,
    heads: [HeadSpan; HEADS],
    last_token: u32,
    /// Between start and end tag; empty at the end for `<a/>`.
    content: Span,
    empty: bool,
    children_len: u32,
    content_redeclared: bool,
    inherited: u16,
}

impl Found {
    /// How many of the children a view remembers.
    pub(super) fn remembered(&self) -> usize {
        CHILDREN_INLINE.min(self.children_len as usize)
    }
}

/// One element that passed the scan.
#[derive(Debug, Clone)]
pub struct StanzaView<'a> {
    text: &'a str,
    stream: StreamNs,
    /// What the namespaces mean that were written with references: (raw, meant). Nearly always empty.
    meant: Vec<(Span, Box<str>)>,
    found: Found,
    children: [ChildSpan; CHILDREN_INLINE],
}

/// Accepts `bytes` as exactly one element of restricted XML with everything bound (RFC 6120 §11), or says what is
/// wrong. Prefixes and a default namespace may come from the stream header, `stream`.
///
/// Allocates only for what ordinary stanzas do not have: more than 12 levels, 8 attributes on one tag, 8 namespace
/// declarations in scope, a namespace written with references.
///
/// # Errors
/// See [`XmlFault`]; `Policy` for `limits` and for the bounds of this module that keep the cost of odd stanzas linear.
#[inline]
pub fn scan<'a>(bytes: &'a [u8], stream: &StreamNs, limits: &ScanLimits) -> Result<StanzaView<'a>, XmlFault> {
    // A view is large, and moved less if it is made where it is going to be.
    let mut view = StanzaView::new(text_of(bytes)?, stream.clone());
    match view.read(stream, limits)? {
        end if end == bytes.len() => Ok(view),
        _ => ill("something follows the element"),
    }
}

/// The element at the front of `text`, if one that [`scan`] would accept lies there whole; whatever follows. It is
/// exactly the frame that a [`Framer`](super::Framer) between stanzas would find, found without a look beforehand.
///
/// `None` says nothing but that: the element may be unfinished, or bad, or none.
#[inline]
pub fn scan_front<'a>(text: &'a str, stream: &StreamNs, limits: &ScanLimits) -> Option<StanzaView<'a>> {
    may_begin(text).ok()?;
    let mut view = StanzaView::new(text, stream.clone());
    let end = view.read(stream, limits).ok()?;
    view.text = &text[..end];
    Some(view)
}

impl<'a> StanzaView<'a> {
    #[inline]
    fn new(text: &'a str, stream: StreamNs) -> Self {
        let children = [ChildSpan::default(); CHILDREN_INLINE];
        StanzaView { text, stream, meant: Vec::new(), found: Found::default(), children }
    }

    /// What was found, apart from the bytes; `None` if it means something only beside what else the view knows.
    pub(super) fn found(&self) -> Option<(&Found, &[ChildSpan])> {
        let usual = self.meant.is_empty() && self.stream == StreamNs::client();
        usual.then(|| (&self.found, &self.children[..self.found.remembered()]))
    }

    /// The view of bytes in which `found` and `remembered` were found.
    pub(super) fn of(text: &'a str, found: &Found, remembered: &[ChildSpan]) -> Self {
        let mut children = [ChildSpan::default(); CHILDREN_INLINE];
        children[..remembered.len()].copy_from_slice(remembered);
        StanzaView { text, stream: StreamNs::client(), meant: Vec::new(), found: *found, children }
    }

    /// Reads the element at the front of the text, and says where it ends.
    #[inline(never)]
    fn read(&mut self, stream: &StreamNs, limits: &ScanLimits) -> Result<usize, XmlFault> {
        let walk = &mut Walker::new(self.text, stream, *limits);
        loop {
            match walk.ahead()? {
                Ahead::Start => {
                    walk.start_tag()?;
                    let empty = walk.tag().empty;
                    match walk.level() {
                        1 => {
                            self.begin(walk)?;
                            if empty {
                                break;
                            }
                        }
                        2 => {
                            self.begin_child(walk)?;
                            if empty {
                                self.end_child(walk.at());
                            }
                        }
                        _ => {}
                    }
                }
                Ahead::End => {
                    let start = walk.at();
                    walk.end_tag()?;
                    match walk.depth() {
                        0 => {
                            self.found.content.end = start;
                            break;
                        }
                        1 => self.end_child(walk.at()),
                        _ => {}
                    }
                }
                Ahead::Text => walk.character_data()?,
                Ahead::Cdata => drop(walk.cdata()?),
            }
        }
        self.found.inherited = walk.inherited();
        Ok(walk.at() as usize)
    }

    /// The element itself begins.
    fn begin(&mut self, walk: &Walker<'_>) -> Result<(), XmlFault> {
        let tag = walk.tag();
        (self.found.name, self.found.ns) = (tag.name, walk.element_ns());
        (self.found.last_token, self.found.empty) = (tag.last_token, tag.empty);
        self.found.content = Span { start: walk.at(), end: walk.at() };
        let (usual, more) = walk.attrs.parts();
        usual.iter().chain(more).for_each(|attr| self.note_head(attr));
        self.note_meaning(self.found.ns, walk)
    }

    fn begin_child(&mut self, walk: &Walker<'_>) -> Result<(), XmlFault> {
        let (tag, ns) = (walk.tag(), walk.element_ns());
        let inherits = ns == self.found.ns && !tag.name.has_prefix();
        self.found.content_redeclared |= !inherits && walk.same_ns(ns, self.found.ns);
        if let Some(slot) = self.children.get_mut(self.found.children_len as usize) {
            *slot = ChildSpan { whole: Span { start: tag.start, end: 0 }, local: tag.name.local(), ns };
        }
        self.note_meaning(ns, walk)
    }

    fn end_child(&mut self, end: u32) {
        if let Some(slot) = self.children.get_mut(self.found.children_len as usize) {
            slot.whole.end = end;
        }
        self.found.children_len += 1;
    }

    fn note_head(&mut self, attr: &Attr) {
        let head = match attr.name.whole().bytes(self.text) {
            b"to" => HeadAttr::To,
            b"from" => HeadAttr::From,
            b"id" => HeadAttr::Id,
            b"type" => HeadAttr::Type,
            b"xml:lang" => HeadAttr::Lang,
            b"xmlns" => HeadAttr::Xmlns,
            _ => return,
        };
        self.found.heads[head as usize] = HeadSpan { start: attr.name.whole().start, value: attr.value };
    }

    #[inline]
    fn note_meaning(&mut self, ns: NsRef, walk: &Walker<'_>) -> Result<(), XmlFault> {
        match ns {
            NsRef::Declared(value) if !value.is_plain() => self.add_meaning(value, walk),
            _ => Ok(()),
        }
    }

    fn add_meaning(&mut self, value: Value, walk: &Walker<'_>) -> Result<(), XmlFault> {
        if self.meant.iter().any(|(known, _)| *known == value.raw()) {
            return Ok(());
        }
        if self.meant.len() == MEANINGS_MAX + usize::from(walk.limits.spare) {
            return Err(XmlFault::Policy("too many namespaces written with references"));
        }
        self.meant.push((value.raw(), value.meaning(self.text).into()));
        Ok(())
    }

    fn ns_name(&self, ns: NsRef) -> &str {
        match ns {
            NsRef::None => "",
            NsRef::StreamDefault => self.stream.default_ns(),
            NsRef::Stream(slot) => self.stream.at(slot).1,
            NsRef::Xml => ns::XML,
            NsRef::Declared(value) => match self.meant.iter().find(|(raw, _)| *raw == value.raw()) {
                Some((_, meant)) => meant,
                None => value.raw().of(self.text),
            },
        }
    }

    /// The child of this number, if it is among those that are remembered.
    pub(super) fn remembered(&self, number: usize) -> Option<ChildSpan> {
        self.children.get(number).copied()
    }

    pub(super) fn child_view(&self, child: ChildSpan) -> ChildView<'_> {
        ChildView {
            name: child.local.of(self.text),
            ns: self.ns_name(child.ns),
            bytes: child.whole.of(self.text).as_bytes(),
            start: child.whole.start as usize,
        }
    }

    /// All of the element.
    pub fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// All of the element, as text.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The local name.
    pub fn name(&self) -> &'a str {
        self.found.name.local().of(self.text)
    }

    /// The prefix of the element's own name; empty if there is none.
    pub fn prefix(&self) -> &'a str {
        self.found.name.prefix().of(self.text)
    }

    /// The name with its prefix, as in the start tag.
    pub fn raw_name(&self) -> &'a str {
        self.found.name.whole().of(self.text)
    }

    /// The namespace; empty for none.
    pub fn ns(&self) -> &str {
        self.ns_name(self.found.ns)
    }

    /// Whether the element has this name in this namespace.
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name() == name && self.ns() == ns
    }

    /// What the stream header binds, as it was given to the scan.
    pub fn stream_ns(&self) -> &StreamNs {
        &self.stream
    }

    fn head_span(&self, head: HeadAttr) -> Option<HeadSpan> {
        Some(self.found.heads[head as usize]).filter(|h| h.start > 0)
    }

    /// Where the raw value of an attribute is, between its quotes.
    pub fn head_range(&self, head: HeadAttr) -> Option<Range<usize>> {
        self.head_span(head).map(|h| h.value.raw().start as usize..h.value.raw().end as usize)
    }

    /// What to leave out of the bytes to leave out an attribute: it and the white space before it.
    pub(super) fn head_cut(&self, head: HeadAttr) -> Option<Range<usize>> {
        let HeadSpan { start, value } = self.head_span(head)?;
        let before = &self.bytes()[..start as usize];
        let space = before.iter().rev().take_while(|b| is(**b, SPACE)).count();
        Some(before.len() - space..value.raw().end as usize + 1)
    }

    /// The value of an attribute, references resolved and white space normalised.
    pub fn head(&self, head: HeadAttr) -> Option<Cow<'a, str>> {
        self.head_span(head).map(|h| h.value.meaning(self.text))
    }

    /// The value of `to`.
    pub fn to(&self) -> Option<Cow<'a, str>> {
        self.head(HeadAttr::To)
    }

    /// The value of `from`.
    pub fn from(&self) -> Option<Cow<'a, str>> {
        self.head(HeadAttr::From)
    }

    /// The value of `id`.
    pub fn id(&self) -> Option<Cow<'a, str>> {
        self.head(HeadAttr::Id)
    }

    /// The value of `type`.
    pub fn type_(&self) -> Option<Cow<'a, str>> {
        self.head(HeadAttr::Type)
    }

    /// The value of `xml:lang`.
    pub fn lang(&self) -> Option<Cow<'a, str>> {
        self.head(HeadAttr::Lang)
    }

    /// The value of any attribute without prefix, as [`StanzaView::head`] would give it. The start tag is read again:
    /// for the few elements of which more is wanted than a head has, and not a tree.
    pub fn attr(&self, name: &str) -> Option<Cow<'a, str>> {
        const PASSED: &str = "these bytes have passed the scan";
        let mut walk = Walker::new(self.text, &self.stream, ScanLimits::OWN);
        walk.next().expect(PASSED);
        let found = walk.attrs().find(|attr| attr.name.whole().of(self.text) == name);
        found.map(|attr| attr.value.meaning(self.text))
    }

    /// The start tag.
    pub fn start_tag(&self) -> Range<usize> {
        0..self.found.content.start as usize
    }

    /// The start tag between its name and its `>` or `/>`, without white space at the end.
    pub(super) fn raw_attrs(&self) -> Range<usize> {
        self.found.name.whole().end as usize..self.found.last_token as usize
    }

    /// Whether the element was written `<a/>`.
    pub fn is_empty_tag(&self) -> bool {
        self.found.empty
    }

    /// What is between start and end tag; an empty range at the end for `<a/>`.
    pub fn content(&self) -> Range<usize> {
        self.found.content.start as usize..self.found.content.end as usize
    }

    /// How many elements are direct children.
    pub fn children_len(&self) -> usize {
        self.found.children_len as usize
    }

    /// The direct children, in order. More than eight are found by walking through the bytes again.
    pub fn children(&self) -> Children<'_, 'a> {
        Children::of(self)
    }

    /// The first direct child: what an IQ is about (RFC 6120 §8.2.3).
    pub fn first_child(&self) -> Option<ChildView<'_>> {
        (self.found.children_len > 0).then(|| self.child_view(self.children[0]))
    }

    /// The first direct child of this name and namespace.
    pub fn child(&self, name: &str, ns: &str) -> Option<ChildView<'_>> {
        self.children().find(|c| c.is(name, ns))
    }

    /// Whether a direct child has this name and namespace.
    pub fn has_child(&self, name: &str, ns: &str) -> bool {
        self.child(name, ns).is_some()
    }

    /// Whether a direct child is in the element's own namespace by its own declaration or by a prefix, so that the
    /// element cannot change its namespace by its start tag alone.
    pub fn content_redeclared(&self) -> bool {
        self.found.content_redeclared
    }

    /// Prefixes, with their namespaces, that are used anywhere inside but bound by the stream header only: whoever
    /// takes the element elsewhere must declare them.
    pub fn inherited(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..u16::BITS as u8)
            .filter(|slot| self.found.inherited & (1 << slot) != 0)
            .map(|slot| self.stream.at(slot))
    }
}

#[cfg(test)]
mod tests;
