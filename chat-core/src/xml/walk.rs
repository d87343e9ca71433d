//! The validating walk: one pass over the bytes of one element that refuses whatever restricted, namespaced XML
//! refuses, and tells its caller where tags and text are. [`scan`](super::scan), the header and the element tree
//! all stand on it, so there is one place that knows what is well-formed.

use super::chars::{NAME, NAME_START, SPACE, TEXT_STOP, VALUE_STOP, is, is_name_char, is_name_start};
use super::escape::{means, reference, same_value};
use super::fault::{XmlFault, ill};
use super::ns::{Slot, StreamNs, XML, XMLNS};
use super::scan::ScanLimits;
use super::stack::Stack;

/// Nesting that no setting of `depth_max` exceeds: trees of this depth are dropped and compared recursively.
pub const DEPTH_MAX: u16 = 1024;
/// Namespace declarations in scope at one place, so that looking one up stays cheap whatever a peer declares.
pub const DECLARATIONS_MAX: usize = 256;
/// Prefixed attributes of one tag, `xml:` and `xmlns:` apart: each pair of them may have to be compared by namespace.
pub const PREFIXED_ATTRIBUTES_MAX: u16 = 16;

/// A part of the walked bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }

    /// The same without a look at character boundaries, for comparisons.
    #[inline]
    pub(super) fn bytes(self, text: &str) -> &[u8] {
        &text.as_bytes()[self.start as usize..self.end as usize]
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A name with its prefix, if any.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct QName {
    whole: Span,
    local: u32,
}

impl QName {
    pub(super) fn whole(self) -> Span {
        self.whole
    }

    pub(super) fn local(self) -> Span {
        Span { start: self.local, end: self.whole.end }
    }

    /// The prefix; empty if there is none.
    pub(super) fn prefix(self) -> Span {
        Span { start: self.whole.start, end: self.local.saturating_sub(1).max(self.whole.start) }
    }
}

/// Where a namespace was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum NsRef {
    /// None: an attribute without prefix.
    #[default]
    None,
    /// The default namespace of the stream header.
    StreamDefault,
    /// A prefix of the stream header.
    Stream(Slot),
    /// The prefix `xml`.
    Xml,
    /// A declaration inside the walked bytes: its raw value, empty for none.
    Raw(Span),
}

/// An attribute of the current tag.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attr {
    /// Where the token before ends: what is cut out with the attribute, white space included, begins here.
    pub(super) before: u32,
    pub(super) name: QName,
    /// What stands between the quotes.
    pub(super) value: Span,
    pub(super) ns: NsRef,
    pub(super) kind: AttrKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum AttrKind {
    #[default]
    Plain,
    /// With a prefix other than `xmlns`.
    Prefixed,
    /// `xmlns` or `xmlns:p`.
    Declaration,
}

/// The current start tag.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tag {
    pub(super) name: QName,
    /// Where its `<` is.
    pub(super) start: u32,
    /// Where its last attribute, or its name, ends.
    pub(super) last_token: u32,
    pub(super) empty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A start tag: see [`Walker::tag`] and [`Walker::attrs`]. An empty element has no `End`.
    Start { empty: bool },
    /// An end tag that begins here.
    End { start: u32 },
    /// Raw character data.
    Text(Span),
    /// The content of a CDATA section.
    Cdata(Span),
}

#[derive(Debug, Clone, Copy, Default)]
struct Open {
    name: Span,
    declarations: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Declaration {
    prefix: Span,
    value: Span,
}

/// XMPP knows no other encoding than UTF-8 (RFC 6120 §11.6).
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, XmlFault> {
    str::from_utf8(bytes).map_err(|_| XmlFault::NotWellFormed("not UTF-8"))
}

/// The walk itself.
#[derive(Debug)]
pub(super) struct Walker<'a> {
    text: &'a str,
    stream: &'a StreamNs,
    limits: ScanLimits,
    at: usize,
    begun: bool,
    open: Stack<Open, 12>,
    declarations: Stack<Declaration, 8>,
    attrs: Stack<Attr, 8>,
    tag: Tag,
    /// What to forget with the next event: the declarations of an empty element.
    forget: Option<usize>,
    /// Slots of the stream header's prefixes that are used.
    inherited: u16,
}

impl<'a> Walker<'a> {
    pub(super) fn new(text: &'a str, stream: &'a StreamNs, limits: ScanLimits) -> Result<Self, XmlFault> {
        if text.len() >= u32::MAX as usize {
            return Err(XmlFault::Policy("more than 4 GiB"));
        }
        Ok(Walker {
            text,
            stream,
            limits: ScanLimits { depth_max: limits.depth_max.min(DEPTH_MAX), ..limits },
            at: 0,
            begun: false,
            open: Stack::new(),
            declarations: Stack::new(),
            attrs: Stack::new(),
            tag: Tag::default(),
            forget: None,
            inherited: 0,
        })
    }

    pub(super) fn tag(&self) -> Tag {
        self.tag
    }

    /// The attributes of the current start tag, declarations included.
    pub(super) fn attrs(&self) -> impl Iterator<Item = Attr> + '_ {
        self.attrs.iter()
    }

    /// How many elements are open.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Where the next event begins.
    pub(super) fn at(&self) -> u32 {
        self.at as u32
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn inherited(&self) -> u16 {
        self.inherited
    }

    /// The next event; `None` once the element has ended with the last byte.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Event>, XmlFault> {
        if let Some(mark) = self.forget.take() {
            self.declarations.truncate(mark);
        }
        let bytes = self.text.as_bytes();
        if self.open.len() == 0 {
            if !self.begun {
                self.begun = true;
                if bytes.first() != Some(&b'<') {
                    return ill("no element");
                }
            } else if self.at == bytes.len() {
                return Ok(None);
            } else {
                return ill("something follows the element");
            }
        }
        match (bytes.get(self.at), bytes.get(self.at + 1)) {
            (Some(b'<'), Some(b'/')) => self.end_tag().map(Some),
            (Some(b'<'), Some(b'!')) => self.cdata().map(Some),
            (Some(b'<'), Some(b'?')) => Err(XmlFault::Restricted("a processing instruction")),
            (Some(b'<'), _) => self.start_tag().map(Some),
            (Some(_), _) => self.character_data().map(Some),
            (None, _) => ill("cut off"),
        }
    }

    fn byte(&self) -> Result<u8, XmlFault> {
        match self.text.as_bytes().get(self.at) {
            Some(byte) => Ok(*byte),
            None => ill("cut off"),
        }
    }

    fn span(&self, start: usize) -> Span {
        Span { start: start as u32, end: self.at as u32 }
    }

    fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), XmlFault> {
        if self.byte()? != byte {
            return ill(why);
        }
        self.at += 1;
        Ok(())
    }

    fn skip_space(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        let start = self.at;
        while self.at < bytes.len() && is(bytes[self.at], SPACE) {
            self.at += 1;
        }
        self.at > start
    }

    fn start_tag(&mut self) -> Result<Event, XmlFault> {
        if self.open.len() >= usize::from(self.limits.depth_max) {
            return Err(XmlFault::Policy("elements nested too deep"));
        }
        let start = self.at as u32;
        self.at += 1;
        let name = self.qname()?;
        self.attrs.truncate(0);
        let mut special = !name.prefix().is_empty();
        let mut last_token = self.at as u32;
        let empty = loop {
            let spaced = self.skip_space();
            match self.byte()? {
                b'>' => {
                    self.at += 1;
                    break false;
                }
                b'/' => {
                    self.at += 1;
                    self.expect(b'>', "`/` inside a tag")?;
                    break true;
                }
                _ if !spaced => return ill("no white space before an attribute"),
                _ => special |= self.attribute(last_token)? != AttrKind::Plain,
            }
            last_token = self.at as u32;
        };
        self.tag = Tag { name, start, last_token, empty };
        self.unique_names()?;
        let mark = self.declarations.len();
        if special {
            self.namespaces(name)?;
        }
        if empty {
            self.forget = Some(mark);
        } else {
            self.open.push(Open { name: name.whole(), declarations: mark as u32 });
        }
        Ok(Event::Start { empty })
    }

    fn end_tag(&mut self) -> Result<Event, XmlFault> {
        let start = self.at as u32;
        self.at += 2;
        let Some(open) = self.open.pop() else { return ill("an end tag without a start") };
        let name = open.name.bytes(self.text);
        if !self.text.as_bytes()[self.at..].starts_with(name) {
            return ill("the end tag of another element");
        }
        self.at += name.len();
        self.skip_space();
        self.expect(b'>', "the end tag of another element")?;
        self.declarations.truncate(open.declarations as usize);
        Ok(Event::End { start })
    }

    fn qname(&mut self) -> Result<QName, XmlFault> {
        let start = self.at;
        self.nc_name()?;
        let mut local = start;
        if self.byte()? == b':' {
            self.at += 1;
            local = self.at;
            self.nc_name()?;
        }
        Ok(QName { whole: self.span(start), local: local as u32 })
    }

    /// A name up to the first byte that is not part of it; a second colon is left for the caller to stumble over.
    fn nc_name(&mut self) -> Result<(), XmlFault> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        loop {
            while self.at < bytes.len() && is(bytes[self.at], NAME) {
                self.at += 1;
            }
            if self.at == bytes.len() || bytes[self.at] < 0x80 {
                break;
            }
            let c = self.text[self.at..].chars().next().expect("not at the end");
            if !is_name_char(c) {
                return ill("not a name");
            }
            self.at += c.len_utf8();
        }
        let begins = match bytes[start..self.at].first() {
            Some(first) if *first < 0x80 => is(*first, NAME_START),
            Some(_) => self.text[start..].chars().next().is_some_and(is_name_start),
            None => false,
        };
        if begins { Ok(()) } else { ill("not a name") }
    }

    fn attribute(&mut self, before: u32) -> Result<AttrKind, XmlFault> {
        if self.attrs.len() >= usize::from(self.limits.attributes_max) {
            return Err(XmlFault::Policy("too many attributes"));
        }
        let name = self.qname()?;
        self.skip_space();
        self.expect(b'=', "an attribute without `=`")?;
        self.skip_space();
        let quote = self.byte()?;
        if !matches!(quote, b'\'' | b'"') {
            return ill("an attribute value without quotes");
        }
        self.at += 1;
        let value = self.quoted(quote)?;
        let kind = match (name.prefix().bytes(self.text), name.local().bytes(self.text)) {
            (b"", b"xmlns") | (b"xmlns", _) => AttrKind::Declaration,
            (b"", _) => AttrKind::Plain,
            _ => AttrKind::Prefixed,
        };
        self.attrs.push(Attr { before, name, value, ns: NsRef::None, kind });
        Ok(kind)
    }

    fn quoted(&mut self, quote: u8) -> Result<Span, XmlFault> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        loop {
            while self.at < bytes.len() && !is(bytes[self.at], VALUE_STOP) {
                self.at += 1;
            }
            match self.byte()? {
                b if b == quote => break,
                b'"' | b'\'' => self.at += 1,
                b'<' => return ill("`<` in an attribute value"),
                b'&' => self.reference()?,
                _ => self.odd_char()?,
            }
        }
        let value = self.span(start);
        self.at += 1;
        Ok(value)
    }

    fn character_data(&mut self) -> Result<Event, XmlFault> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        loop {
            while self.at < bytes.len() && !is(bytes[self.at], TEXT_STOP) {
                self.at += 1;
            }
            match self.byte()? {
                b'<' => break,
                b'&' => self.reference()?,
                b']' if bytes[self.at..].starts_with(b"]]>") => return ill("`]]>` in text"),
                b']' => self.at += 1,
                _ => self.odd_char()?,
            }
        }
        Ok(Event::Text(self.span(start)))
    }

    /// A CDATA section, the only thing behind `<!` that XMPP allows (RFC 6120 §11.1).
    fn cdata(&mut self) -> Result<Event, XmlFault> {
        let bytes = self.text.as_bytes();
        let rest = &bytes[self.at..];
        if !rest.starts_with(b"<![") {
            return Err(XmlFault::Restricted("a comment or a declaration"));
        }
        if self.open.len() == 0 || !rest.starts_with(b"<![CDATA[") {
            return ill("neither CDATA nor a tag");
        }
        self.at += b"<![CDATA[".len();
        let start = self.at;
        loop {
            while self.at < bytes.len() && !is(bytes[self.at], TEXT_STOP) {
                self.at += 1;
            }
            match self.byte()? {
                b'<' | b'&' => self.at += 1,
                b']' if bytes[self.at..].starts_with(b"]]>") => break,
                b']' => self.at += 1,
                _ => self.odd_char()?,
            }
        }
        let content = self.span(start);
        self.at += b"]]>".len();
        Ok(Event::Cdata(content))
    }

    /// A control, or a character in U+F000 to U+FFFF, of which the last two do not exist (XML 1.0 §2.2).
    fn odd_char(&mut self) -> Result<(), XmlFault> {
        match self.text.as_bytes()[self.at..] {
            [0xEF, second, third, ..] if second != 0xBF || third < 0xBE => {
                self.at += 3;
                Ok(())
            }
            _ => ill("a character that XML does not allow"),
        }
    }

    fn reference(&mut self) -> Result<(), XmlFault> {
        if let Some((_, len)) = reference(&self.text.as_bytes()[self.at..]) {
            self.at += len;
            return Ok(());
        }
        self.at += 1;
        if self.byte()? == b'#' {
            return ill("a reference to a character that XML does not allow");
        }
        self.nc_name()?;
        self.expect(b';', "`&` without a reference")?;
        Err(XmlFault::Restricted("a reference to an entity other than the five"))
    }

    fn unique_names(&self) -> Result<(), XmlFault> {
        let name = |i| self.attrs.get(i).map(|a: &Attr| a.name.whole().bytes(self.text));
        for i in 1..self.attrs.len() {
            if (0..i).any(|before| name(before) == name(i)) {
                return ill("an attribute twice");
            }
        }
        Ok(())
    }

    /// Takes the tag's declarations into scope and binds its prefixes (Namespaces in XML 1.0 §3 to §6).
    fn namespaces(&mut self, name: QName) -> Result<(), XmlFault> {
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
        let foreign = |a: &Attr| a.kind == AttrKind::Prefixed && a.ns != NsRef::Xml;
        if self.attrs.iter().filter(foreign).count() > usize::from(PREFIXED_ATTRIBUTES_MAX) {
            return Err(XmlFault::Policy("too many attributes with prefixes"));
        }
        for (i, a) in self.attrs.iter().enumerate() {
            let clash = |b: &Attr| {
                b.name.local().of(self.text) == a.name.local().of(self.text) && self.same_ns(a.ns, b.ns)
            };
            if foreign(&a) && self.attrs.iter().take(i).filter(foreign).any(|b| clash(&b)) {
                return ill("an attribute twice, under two prefixes");
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
        if self.declarations.len() >= DECLARATIONS_MAX {
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
        if let Some(found) = self.declarations.iter().rev().find(|d| d.prefix.bytes(self.text) == prefix.as_bytes()) {
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
