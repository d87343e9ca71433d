//! The validating walk: one pass over the bytes of one element that refuses whatever restricted, namespaced XML
//! refuses, and tells its caller where tags and text are. [`scan`](super::scan), the header and the element tree
//! all stand on it, so there is one place that knows what is well-formed.

use super::fault::{XmlFault, ill};
use super::lex::{cdata_end, cut_off, name_end, space_end, text_end, value};
use super::ns::StreamNs;
use super::scan::ScanLimits;
use super::stack::Stack;
use super::token::{Ahead, Attr, BYTES_MAX, Declaration, Event, NsRef, Open, QName, Span, Tag};

/// Nesting that no setting of `depth_max` exceeds: trees of this depth are dropped and compared recursively.
pub const DEPTH_MAX: u16 = 1024;

/// Bytes as text, if they are UTF-8: XMPP knows no other encoding (RFC 6120 §11.6).
pub fn utf8(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

/// What a walk may begin with.
pub(super) fn text_of(bytes: &[u8]) -> Result<&str, XmlFault> {
    match utf8(bytes) {
        Some(text) => may_begin(text).map(|()| text),
        None => ill("not UTF-8"),
    }
}

/// Whether a walk may begin with a text.
pub(super) fn may_begin(text: &str) -> Result<(), XmlFault> {
    if text.len() >= BYTES_MAX {
        return Err(XmlFault::Policy("more than 2 GiB"));
    }
    if text.starts_with('<') { Ok(()) } else { ill("no element") }
}

/// The walk itself.
#[derive(Debug)]
pub(super) struct Walker<'a> {
    pub(super) text: &'a str,
    pub(super) stream: &'a StreamNs,
    pub(super) limits: ScanLimits,
    at: usize,
    open: Stack<Open, 12>,
    pub(super) declarations: Stack<Declaration, 8>,
    pub(super) attrs: Stack<Attr, 8>,
    pub(super) tag: Tag,
    /// The namespace of the element, if its tag has prefixes or declarations.
    pub(super) tag_ns: Option<NsRef>,
    /// Slots of the stream header's prefixes that are used.
    pub(super) inherited: u16,
}

impl<'a> Walker<'a> {
    /// `text`: one that [`may_begin`] lets pass.
    #[inline]
    pub(super) fn new(text: &'a str, stream: &'a StreamNs, limits: ScanLimits) -> Self {
        Walker {
            text,
            stream,
            limits: ScanLimits { depth_max: limits.depth_max.min(DEPTH_MAX), ..limits },
            at: 0,
            open: Stack::new(),
            declarations: Stack::new(),
            attrs: Stack::new(),
            tag: Tag::default(),
            tag_ns: None,
            inherited: 0,
        }
    }

    pub(super) fn tag(&self) -> Tag {
        self.tag
    }

    /// The attributes of the current start tag, declarations included.
    pub(super) fn attrs(&self) -> impl Iterator<Item = Attr> + '_ {
        self.attrs.iter()
    }

    /// The level of the current start tag, just met: 1 for that of the walked element.
    pub(super) fn level(&self) -> usize {
        self.open.len() + usize::from(self.tag.empty)
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
    pub(super) fn next(&mut self) -> Result<Option<Event>, XmlFault> {
        if self.at > 0 && self.open.len() == 0 {
            return self.over().map(|()| None);
        }
        let ahead = self.ahead()?;
        let start = self.at;
        Ok(Some(match ahead {
            Ahead::Start => {
                self.start_tag()?;
                Event::Start { empty: self.tag.empty }
            }
            Ahead::End => {
                self.end_tag()?;
                Event::End { start: start as u32 }
            }
            Ahead::Text => {
                self.character_data()?;
                Event::Text(Span::new(start, self.at))
            }
            Ahead::Cdata => Event::Cdata(self.cdata()?),
        }))
    }

    /// What the next event is going to be, while the element goes on. Whoever does not ask for events goes on with the
    /// function for it.
    #[inline(always)]
    pub(super) fn ahead(&mut self) -> Result<Ahead, XmlFault> {
        if self.tag.empty {
            // It has no end tag.
            self.declarations.truncate(self.tag.declarations as usize);
        }
        let (bytes, at) = (self.text.as_bytes(), self.at);
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'<'), Some(b'/')) => Ok(Ahead::End),
            (Some(b'<'), Some(b'!')) => Ok(Ahead::Cdata),
            (Some(b'<'), Some(b'?')) => Err(XmlFault::Restricted("a processing instruction")),
            (Some(b'<'), _) => Ok(Ahead::Start),
            (Some(_), _) => Ok(Ahead::Text),
            (None, _) => cut_off(),
        }
    }

    /// Nothing may follow the element.
    pub(super) fn over(&self) -> Result<(), XmlFault> {
        if self.at == self.text.len() { Ok(()) } else { ill("something follows the element") }
    }

    /// Text up to the next tag.
    #[inline(always)]
    pub(super) fn character_data(&mut self) -> Result<(), XmlFault> {
        self.at = text_end(self.text, self.at)?;
        Ok(())
    }

    /// A start tag: see [`Walker::tag`] and [`Walker::attrs`].
    pub(super) fn start_tag(&mut self) -> Result<(), XmlFault> {
        if self.open.len() >= usize::from(self.limits.depth_max) {
            return Err(XmlFault::Policy("elements nested too deep"));
        }
        let (text, bytes, start) = (self.text, self.text.as_bytes(), self.at);
        let name = qname(text, start + 1)?;
        self.attrs.truncate(0);
        let mut seen = Seen::default();
        let mut at = name.whole().end as usize;
        let (last_token, empty) = loop {
            let token = space_end(bytes, at);
            match bytes.get(token) {
                Some(b'>') => {
                    self.at = token + 1;
                    break (at, false);
                }
                Some(b'/') => match bytes.get(token + 1) {
                    Some(b'>') => {
                        self.at = token + 2;
                        break (at, true);
                    }
                    Some(_) => return ill("`/` inside a tag"),
                    None => return cut_off(),
                },
                Some(_) if token > at => {
                    if self.attrs.len() >= usize::from(self.limits.attributes_max) {
                        return Err(XmlFault::Policy("too many attributes"));
                    }
                    let attr = attribute(text, token)?;
                    seen.note(attr.name, bytes);
                    self.attrs.push(attr);
                    at = attr.value.raw().end as usize + 1;
                }
                Some(_) => return ill("no white space before an attribute"),
                None => return cut_off(),
            }
        };
        let declarations = self.declarations.len() as u32;
        self.tag = Tag { name, start: start as u32, last_token: last_token as u32, empty, declarations };
        if seen.again {
            self.unique_names()?;
        }
        self.tag_ns = None;
        if name.has_prefix() || seen.prefixes() {
            self.namespaces(name)?;
        }
        if !empty {
            self.open.push(Open { name: name.whole(), declarations });
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn end_tag(&mut self) -> Result<(), XmlFault> {
        let (bytes, start) = (self.text.as_bytes(), self.at);
        let Some(open) = self.open.pop() else { return ill("an end tag without a start") };
        let name = start + 2;
        let len = (open.name.end - open.name.start) as usize;
        if !alike(bytes, open.name.start as usize, name, len) {
            return ill("the end tag of another element");
        }
        let end = space_end(bytes, name + len);
        match bytes.get(end) {
            Some(b'>') => {}
            Some(_) => return ill("the end tag of another element"),
            None => return cut_off(),
        }
        self.at = end + 1;
        self.declarations.truncate(open.declarations as usize);
        Ok(())
    }

    /// A CDATA section, the only thing behind `<!` that XMPP allows (RFC 6120 §11.1). Its content.
    pub(super) fn cdata(&mut self) -> Result<Span, XmlFault> {
        const BEGIN: &[u8] = b"<![CDATA[";
        const END: &[u8] = b"]]>";
        let bytes = self.text.as_bytes();
        let rest = &bytes[self.at..];
        if !rest.starts_with(b"<![") {
            return Err(XmlFault::Restricted("a comment or a declaration"));
        }
        if self.open.len() == 0 || !rest.starts_with(BEGIN) {
            return ill("neither CDATA nor a tag");
        }
        let start = self.at + BEGIN.len();
        let end = cdata_end(bytes, start)?;
        self.at = end + END.len();
        Ok(Span::new(start, end))
    }
}

/// Whether two names of this length are one. Most have at most eight bytes, and are compared at once.
#[inline(always)]
fn alike(bytes: &[u8], a: usize, b: usize, len: usize) -> bool {
    let (a, b) = (&bytes[a..], &bytes[b..]);
    match (a.first_chunk(), b.first_chunk()) {
        (Some(x), Some(y)) if matches!(len, 1..=8) => {
            let differ = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
            differ << (64 - 8 * len) == 0
        }
        _ => b.starts_with(&a[..len]),
    }
}

#[inline(always)]
fn attribute(text: &str, at: usize) -> Result<Attr, XmlFault> {
    let name = qname(text, at)?;
    let value = value(text, name.whole().end as usize)?;
    Ok(Attr { name, value })
}

/// A name with or without a prefix. A second colon is left for the caller to stumble over.
#[inline(always)]
fn qname(text: &str, start: usize) -> Result<QName, XmlFault> {
    const NONE: XmlFault = XmlFault::NotWellFormed("not a name");
    let (mut local, mut end) = (start, name_end(text, start).ok_or(NONE)?);
    if text.as_bytes().get(end) == Some(&b':') {
        local = end + 1;
        end = name_end(text, local).ok_or(NONE)?;
    }
    Ok(QName { whole: Span::new(start, end), local: local as u32 })
}

/// What is known of the attributes of a tag before their names are compared: mostly enough.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// One of 64 marks for each name.
    marks: u64,
    /// A mark was there twice.
    again: bool,
    /// A name has a prefix.
    prefix: bool,
}

impl Seen {
    #[inline(always)]
    fn note(&mut self, name: QName, bytes: &[u8]) {
        let mark = Self::mark(bytes[name.whole().end as usize - 1]);
        self.again |= self.marks & mark != 0;
        self.marks |= mark;
        self.prefix |= name.has_prefix();
    }

    /// The mark of a name that ends with this byte. Those of `to`, `from`, `id`, `type`, `xml:lang` and `xmlns` differ.
    const fn mark(last: u8) -> u64 {
        1 << (last % 64)
    }

    /// Whether there may be prefixes, or declarations.
    fn prefixes(&self) -> bool {
        self.prefix || self.marks & Self::mark(b's') != 0
    }
}
