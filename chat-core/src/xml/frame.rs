//! Where frames begin and end in a stream of bytes.
//!
//! The framer keeps a lexical state of a few bytes and looks at each byte once, whatever the cuts. It knows just
//! enough XML to find ends; whether a frame is well-formed is the business of [`scan`](mod@super::scan) and
//! [`parse_header`](super::header::parse_header). It refuses early only what would let a peer make us wait, and
//! buffer, for the end of something that is going to be refused anyway.

use super::chars::{NAME_START, SPACE, is};
use super::fault::{XmlFault, ill};
use super::runs::{find_near, tag_marks};

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// White space between stanzas (RFC 6120 §4.6.1), at most up to the end of what was pushed.
    Space,
    /// An optional XML declaration and the start tag of the stream's root.
    Header,
    /// One complete child of the root.
    Element,
    /// The end tag of the root.
    End,
}

/// What the framer found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Everything pushed belongs to a frame that is not complete.
    Need,
    /// A frame ends just before `end`, an index into what was pushed last. The rest is to be pushed again.
    Frame {
        /// What ended.
        kind: FrameKind,
        /// Index just past it.
        end: usize,
    },
}

/// Finds frames; see the module.
#[derive(Debug, Clone, Default)]
pub struct Framer {
    state: State,
    /// Open elements inside the root.
    depth: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Before the header.
    #[default]
    Start,
    /// After the `<` that begins the header.
    StartOpen,
    /// In the XML declaration.
    Declaration { question: bool },
    /// After the XML declaration.
    Declared,
    /// After the `<` of the root's start tag, when a declaration came before.
    DeclaredOpen,
    /// In the root's start tag.
    Root(Tag),
    /// Between stanzas.
    Between,
    /// In character data of a stanza.
    Text,
    /// After a `<`.
    Open,
    /// After `<!`, having seen so many bytes of `[CDATA[`.
    Bang(u8),
    /// In a CDATA section, after so many `]`.
    Cdata(u8),
    /// In the start tag of a stanza or of an element inside.
    Start_(Tag),
    /// In an end tag.
    Close,
    /// After the end of the root.
    Closed,
}

/// Where in a start tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    /// Outside of values.
    Inside,
    /// The same, after a `/`.
    Slash,
    /// In a value between `'`.
    Single,
    /// In a value between `"`.
    Double,
    /// Behind `<a>`.
    Ended,
    /// Behind `<a/>`.
    Empty,
}

const CDATA: &[u8; 7] = b"[CDATA[";

impl Framer {
    /// Expects a new stream header from the next byte on (RFC 6120 §4.3.3: after STARTTLS, after SASL).
    pub fn restart(&mut self) {
        *self = Framer::default();
    }

    /// Whether a frame has begun and not ended: the caller holds bytes of it.
    pub fn in_frame(&self) -> bool {
        !matches!(self.state, State::Start | State::Between | State::Closed)
    }

    /// Whether a stanza may begin with the next byte.
    pub fn is_between(&self) -> bool {
        self.state == State::Between
    }

    /// Looks at bytes that follow those of all earlier calls, up to the end of a frame.
    ///
    /// After a frame the framer is ready for the next one: push the bytes past `end`. After a fault the stream is
    /// over; what further calls answer means nothing.
    pub fn push(&mut self, new: &[u8]) -> Result<Step, XmlFault> {
        match (self.state, new.first()) {
            // The way of nearly every stanza.
            (State::Between, Some(b'<')) => {
                self.state = State::Open;
                self.stanza(new, 1)
            }
            _ => self.outside(new),
        }
    }

    /// Outside of stanzas, up to the first byte of one.
    #[inline(never)]
    fn outside(&mut self, new: &[u8]) -> Result<Step, XmlFault> {
        let mut at = 0;
        while let Some(&byte) = new.get(at) {
            match self.state {
                State::Start | State::Between | State::Closed if is(byte, SPACE) => {
                    let run = new[at..].iter().position(|b| !is(*b, SPACE)).unwrap_or(new.len() - at);
                    return Ok(Step::Frame { kind: FrameKind::Space, end: at + run });
                }
                State::Start | State::Between | State::Declared => self.state = self.between(byte)?,
                State::StartOpen if byte == b'?' => self.state = State::Declaration { question: false },
                State::StartOpen | State::DeclaredOpen => {
                    name_start(byte)?;
                    self.state = State::Root(Tag::Inside);
                }
                State::Declaration { question } => {
                    self.state = match byte {
                        b'>' if question => State::Declared,
                        b'<' => return ill("`<` in the XML declaration"),
                        _ => State::Declaration { question: byte == b'?' },
                    };
                }
                State::Root(tag) => match walk_tag(tag, &new[at..]) {
                    (Tag::Empty, _) => {
                        return Err(XmlFault::BadFormat("the stream is closed in its own start tag"));
                    }
                    (Tag::Ended, n) => return Ok(self.frame(FrameKind::Header, at + n)),
                    (tag, _) => {
                        self.state = State::Root(tag);
                        return Ok(Step::Need);
                    }
                },
                State::Closed => return Err(XmlFault::BadFormat("something follows the end of the stream")),
                _ => break,
            }
            at += 1;
        }
        self.stanza(new, at)
    }

    fn frame(&mut self, kind: FrameKind, end: usize) -> Step {
        self.state = if kind == FrameKind::End { State::Closed } else { State::Between };
        Step::Frame { kind, end }
    }

    /// The byte where a tag has to begin.
    fn between(&self, byte: u8) -> Result<State, XmlFault> {
        match (self.state, byte) {
            (State::Start, b'<') => Ok(State::StartOpen),
            (State::Declared, b'<') => Ok(State::DeclaredOpen),
            (State::Declared, _) if is(byte, SPACE) => Ok(State::Declared),
            (State::Between, b'<') => Ok(State::Open),
            (State::Between, _) => Err(XmlFault::BadFormat("text between stanzas")),
            _ => ill("no tag where the stream should begin"),
        }
    }

    /// Inside the root, after the `<` of a stanza: up to the stanza's end. Each turn takes some text and a tag.
    fn stanza(&mut self, new: &[u8], mut at: usize) -> Result<Step, XmlFault> {
        while at < new.len() {
            if self.state == State::Text {
                // Mostly one tag follows another.
                if new[at] != b'<' {
                    let Some(i) = memchr::memchr(b'<', &new[at..]) else { break };
                    at += i;
                }
                at += 1;
                self.state = State::Open;
            }
            if self.state == State::Open {
                let Some(&byte) = new.get(at) else { break };
                self.state = self.opened(byte)?;
                at += 1;
            }
            let rest = &new[at..];
            at += match self.state {
                State::Start_(tag) => {
                    let (tag, used) = walk_tag(tag, rest);
                    match tag {
                        Tag::Ended => {
                            let deeper = self.depth.checked_add(1);
                            self.depth = deeper.ok_or(XmlFault::Policy("elements nested too deep"))?;
                            self.state = State::Text;
                        }
                        Tag::Empty if self.depth == 0 => return Ok(self.frame(FrameKind::Element, at + used)),
                        Tag::Empty => self.state = State::Text,
                        _ => self.state = State::Start_(tag),
                    }
                    used
                }
                State::Close => {
                    let Some(name) = find_near(rest, b'>') else { break };
                    let end = at + name + 1;
                    match self.depth {
                        0 => return Ok(self.frame(FrameKind::End, end)),
                        1 => {
                            self.depth = 0;
                            return Ok(self.frame(FrameKind::Element, end));
                        }
                        depth => self.depth = depth - 1,
                    }
                    self.state = State::Text;
                    name + 1
                }
                _ => self.cdata(rest)?,
            };
        }
        Ok(Step::Need)
    }

    /// In a CDATA section, or in what begins one: how many bytes were used.
    fn cdata(&mut self, rest: &[u8]) -> Result<usize, XmlFault> {
        let Some(&byte) = rest.first() else { return Ok(0) };
        let mut used = 1;
        self.state = match self.state {
            State::Bang(6) if byte == b'[' => State::Cdata(0),
            State::Bang(seen) if byte == CDATA[usize::from(seen)] => State::Bang(seen + 1),
            State::Bang(0) => return Err(XmlFault::Restricted("a comment or a declaration")),
            State::Bang(_) => return ill("neither CDATA nor a tag"),
            State::Cdata(brackets) => {
                let inside = memchr::memchr(b'>', rest);
                used = inside.unwrap_or(rest.len());
                let brackets = trailing_brackets(brackets, &rest[..used]);
                used += usize::from(inside.is_some());
                match inside {
                    Some(_) if brackets >= 2 => State::Text,
                    Some(_) => State::Cdata(0),
                    None => State::Cdata(brackets),
                }
            }
            _ => unreachable!("the other states are handled by `push` and `stanza`"),
        };
        Ok(used)
    }

    /// The byte after a `<` inside the root.
    fn opened(&self, byte: u8) -> Result<State, XmlFault> {
        match byte {
            b'/' => Ok(State::Close),
            b'!' if self.depth > 0 => Ok(State::Bang(0)),
            b'!' => Err(XmlFault::Restricted("a comment, a declaration or CDATA between stanzas")),
            b'?' => Err(XmlFault::Restricted("a processing instruction")),
            _ => name_start(byte).map(|()| State::Start_(Tag::Inside)),
        }
    }
}

/// Refuses what cannot begin a name. A byte above ASCII might; the scan will know.
fn name_start(byte: u8) -> Result<(), XmlFault> {
    match byte {
        b'!' => Err(XmlFault::Restricted("a comment or a declaration")),
        b'?' => Err(XmlFault::Restricted("a processing instruction")),
        _ if byte >= 0x80 || is(byte, NAME_START) => Ok(()),
        _ => ill("no name after `<`"),
    }
}

/// Walks through a start tag: where that leads, and how many bytes were used.
fn walk_tag(tag: Tag, rest: &[u8]) -> (Tag, usize) {
    let mut quote = match tag {
        Tag::Single => b'\'',
        Tag::Double => b'"',
        _ => 0,
    };
    let mut left = rest;
    while let Some((eight, behind)) = left.split_first_chunk() {
        let mut marks = tag_marks(u64::from_le_bytes(*eight));
        while marks != 0 {
            let i = marks.trailing_zeros() as usize / 8;
            marks &= marks - 1;
            if ends_tag(&mut quote, eight[i]) {
                return ended(tag, rest, rest.len() - left.len() + i);
            }
        }
        left = behind;
    }
    for (i, byte) in left.iter().enumerate() {
        if ends_tag(&mut quote, *byte) {
            return ended(tag, rest, rest.len() - left.len() + i);
        }
    }
    let tag = match (quote, rest.last()) {
        (b'\'', _) => Tag::Single,
        (b'"', _) => Tag::Double,
        (_, Some(b'/')) => Tag::Slash,
        (_, Some(_)) => Tag::Inside,
        (_, None) => tag,
    };
    (tag, rest.len())
}

/// Whether a byte ends a start tag; if it begins or ends a value, `quote` follows: what ends the value, or zero.
#[inline(always)]
fn ends_tag(quote: &mut u8, byte: u8) -> bool {
    match byte {
        _ if *quote == byte => *quote = 0,
        _ if *quote != 0 => {}
        b'\'' | b'"' => *quote = byte,
        _ => return byte == b'>',
    }
    false
}

/// The end of a tag with its `>` at `at`.
fn ended(tag: Tag, rest: &[u8], at: usize) -> (Tag, usize) {
    let slash = if at > 0 { rest[at - 1] == b'/' } else { tag == Tag::Slash };
    (if slash { Tag::Empty } else { Tag::Ended }, at + 1)
}

/// How many `]`, at most two, end the bytes `rest` that follow `before` of them.
fn trailing_brackets(before: u8, rest: &[u8]) -> u8 {
    match rest {
        [.., b']', b']'] => 2,
        [b']'] => (before + 1).min(2),
        [.., b']'] => 1,
        [] => before,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
