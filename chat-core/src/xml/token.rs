//! What the walk speaks in: parts of the bytes, names, attributes, tags, events.

use super::escape::{attr_value, means, same_value};
use super::ns::Slot;
use std::borrow::Cow;

/// A part of the walked bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    #[inline]
    pub(super) fn new(start: usize, end: usize) -> Self {
        Span { start: start as u32, end: end as u32 }
    }

    pub(super) fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }

    /// The same without a look at character boundaries, for comparisons.
    #[inline]
    pub(super) fn bytes(self, text: &str) -> &[u8] {
        &text.as_bytes()[self.start as usize..self.end as usize]
    }

    pub(super) fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// What stands between the quotes of an attribute: where, and whether it means itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Value {
    start: u32,
    /// The highest bit is set for what has references, or white space other than blanks.
    end: u32,
}

const ODD: u32 = 1 << 31;
/// The walked bytes are fewer: one bit of a place is put to another use.
pub(super) const BYTES_MAX: usize = ODD as usize;

impl Value {
    /// What means itself.
    #[inline]
    pub(super) fn plain(start: usize, end: usize) -> Self {
        Value { start: start as u32, end: end as u32 }
    }

    /// What does not.
    pub(super) fn odd(start: usize, end: usize) -> Self {
        Value { start: start as u32, end: end as u32 | ODD }
    }

    /// Where it stands.
    #[inline]
    pub(super) fn raw(self) -> Span {
        Span { start: self.start, end: self.end & !ODD }
    }

    /// Whether it means itself.
    #[inline]
    pub(super) fn is_plain(self) -> bool {
        self.end & ODD == 0
    }

    /// What it means.
    pub(super) fn meaning(self, text: &str) -> Cow<'_, str> {
        let raw = self.raw().of(text);
        if self.is_plain() { Cow::Borrowed(raw) } else { attr_value(raw) }
    }

    /// Whether it means this.
    pub(super) fn means(self, text: &str, meaning: &str) -> bool {
        let raw = self.raw();
        if self.is_plain() { raw.bytes(text) == meaning.as_bytes() } else { means(raw.of(text), meaning) }
    }

    /// Whether two mean the same, however they are written.
    pub(super) fn same(self, other: Value, text: &str) -> bool {
        let (a, b) = (self.raw(), other.raw());
        if self.is_plain() && other.is_plain() {
            a.bytes(text) == b.bytes(text)
        } else {
            same_value(a.of(text), b.of(text))
        }
    }
}

/// A name with its prefix, if any.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct QName {
    pub(super) whole: Span,
    pub(super) local: u32,
}

impl QName {
    pub(super) fn whole(self) -> Span {
        self.whole
    }

    pub(super) fn local(self) -> Span {
        Span { start: self.local, end: self.whole.end }
    }

    pub(super) fn has_prefix(self) -> bool {
        self.local != self.whole.start
    }

    /// The prefix; empty if there is none.
    pub(super) fn prefix(self) -> Span {
        Span { start: self.whole.start, end: self.local.saturating_sub(1).max(self.whole.start) }
    }
}

/// Where a namespace was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
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
    /// A declaration inside the walked bytes: its value, empty for none.
    Declared(Value),
}

/// An attribute of the current tag.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attr {
    pub(super) name: QName,
    pub(super) value: Value,
}

impl Attr {
    pub(super) fn kind(&self, text: &str) -> AttrKind {
        match (self.name.whole.bytes(text), self.name.has_prefix()) {
            (b"xmlns", _) => AttrKind::Declaration,
            (name, true) if name.starts_with(b"xmlns:") => AttrKind::Declaration,
            (_, true) => AttrKind::Prefixed,
            (_, false) => AttrKind::Plain,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttrKind {
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
    /// How many declarations were in scope around it.
    pub(super) declarations: u32,
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

/// What the next event is going to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    Start,
    End,
    Text,
    Cdata,
}

/// An element whose end tag has not come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Open {
    pub(super) name: Span,
    /// How many declarations were in scope around it.
    pub(super) declarations: u32,
}

/// A namespace declaration in scope.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Declaration {
    /// Empty for the default namespace.
    pub(super) prefix: Span,
    pub(super) value: Value,
}
