//! What the walk speaks in: parts of the bytes, names, attributes, tags, events.

use super::ns::Slot;

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
    pub(super) value: Span,
}
