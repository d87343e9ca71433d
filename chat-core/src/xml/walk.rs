//! The validating walk: one pass over the bytes of one element that refuses whatever restricted, namespaced XML
//! refuses, and tells its caller where tags and text are. [`scan`](super::scan), the header and the element tree
//! all stand on it, so there is one place that knows what is well-formed.

use super::chars::{NAME, NAME_START, SPACE, TEXT_STOP, VALUE_STOP, is};
use super::escape::reference;
use super::fault::{XmlFault, ill};
use super::names::{is_name_char, is_name_start};
use super::ns::StreamNs;
use super::scan::ScanLimits;
use super::stack::Stack;
use super::token::{Attr, AttrKind, Declaration, Event, NsRef, Open, QName, Span, Tag};

/// Nesting that no setting of `depth_max` exceeds: trees of this depth are dropped and compared recursively.
pub const DEPTH_MAX: u16 = 1024;
/// XMPP knows no other encoding than UTF-8 (RFC 6120 §11.6).
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, XmlFault> {
    str::from_utf8(bytes).map_err(|_| XmlFault::NotWellFormed("not UTF-8"))
}

/// The walk itself.
#[derive(Debug)]
pub(super) struct Walker<'a> {
    pub(super) text: &'a str,
    pub(super) stream: &'a StreamNs,
    pub(super) limits: ScanLimits,
    at: usize,
    begun: bool,
    open: Stack<Open, 12>,
    pub(super) declarations: Stack<Declaration, 8>,
    pub(super) attrs: Stack<Attr, 8>,
    pub(super) tag: Tag,
    /// What to forget with the next event: the declarations of an empty element.
    forget: Option<usize>,
    /// Slots of the stream header's prefixes that are used.
    pub(super) inherited: u16,
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

    /// Whether the current start tag, just met, is that of a direct child of the walked element.
    pub(super) fn is_child(&self) -> bool {
        self.open.len() + usize::from(self.tag.empty) == 2
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
}
