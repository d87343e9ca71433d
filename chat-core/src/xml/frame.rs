//! Where frames begin and end in a stream of bytes.
//!
//! The framer keeps a lexical state of a few bytes and looks at each byte once, whatever the cuts. It knows just
//! enough XML to find ends; whether a frame is well-formed is the business of [`scan`](mod@super::scan) and
//! [`parse_header`](super::header::parse_header). It refuses early only what would let a peer make us wait, and
//! buffer, for the end of something that is going to be refused anyway.

use super::chars::{NAME_START, SPACE, is};
use super::fault::{XmlFault, ill};

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
    Inside { slash: bool },
    Single,
    Double,
}

const INSIDE: Tag = Tag::Inside { slash: false };
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

    /// Looks at bytes that follow those of all earlier calls, up to the end of a frame.
    ///
    /// After a frame the framer is ready for the next one: push the bytes past `end`. After a fault the stream is
    /// over; what further calls answer means nothing.
    pub fn push(&mut self, new: &[u8]) -> Result<Step, XmlFault> {
        let mut at = 0;
        while let Some(&byte) = new.get(at) {
            let rest = &new[at..];
            match self.state {
                State::Start | State::Between | State::Closed if is(byte, SPACE) => {
                    let run = rest.iter().position(|b| !is(*b, SPACE)).unwrap_or(rest.len());
                    return Ok(Step::Frame { kind: FrameKind::Space, end: at + run });
                }
                State::Start | State::Between | State::Declared => {
                    self.state = self.between(byte)?;
                    at += 1;
                }
                State::StartOpen if byte == b'?' => {
                    self.state = State::Declaration { question: false };
                    at += 1;
                }
                State::StartOpen | State::DeclaredOpen => {
                    name_start(byte)?;
                    self.state = State::Root(INSIDE);
                    at += 1;
                }
                State::Declaration { question } => {
                    self.state = match byte {
                        b'>' if question => State::Declared,
                        b'<' => return ill("`<` in the XML declaration"),
                        _ => State::Declaration { question: byte == b'?' },
                    };
                    at += 1;
                }
                State::Root(tag) => match walk_tag(tag, rest) {
                    (Err(tag), _) => {
                        self.state = State::Root(tag);
                        return Ok(Step::Need);
                    }
                    (Ok(true), _) => {
                        return Err(XmlFault::BadFormat("the stream is closed in its own start tag"));
                    }
                    (Ok(false), n) => return Ok(self.frame(FrameKind::Header, at + n)),
                },
                State::Closed => return Err(XmlFault::BadFormat("something follows the end of the stream")),
                _ => match self.stanza(rest)? {
                    (n, None) => at += n,
                    (n, Some(kind)) => return Ok(self.frame(kind, at + n)),
                },
            }
        }
        Ok(Step::Need)
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

    /// Inside the root: how many bytes were used, and what ended with them.
    fn stanza(&mut self, rest: &[u8]) -> Result<(usize, Option<FrameKind>), XmlFault> {
        let byte = rest[0];
        match self.state {
            State::Text => match memchr::memchr(b'<', rest) {
                Some(i) => {
                    self.state = State::Open;
                    return Ok((i + 1, None));
                }
                None => return Ok((rest.len(), None)),
            },
            State::Open => self.state = self.opened(byte)?,
            State::Bang(seen) => {
                self.state = match (seen, byte) {
                    (6, b'[') => State::Cdata(0),
                    (_, b) if b == CDATA[usize::from(seen)] => State::Bang(seen + 1),
                    (0, _) => return Err(XmlFault::Restricted("a comment or a declaration")),
                    _ => return ill("neither CDATA nor a tag"),
                };
            }
            State::Cdata(brackets) => match memchr::memchr(b'>', rest) {
                Some(i) => {
                    let ended = trailing_brackets(brackets, &rest[..i]) >= 2;
                    self.state = if ended { State::Text } else { State::Cdata(0) };
                    return Ok((i + 1, None));
                }
                None => {
                    self.state = State::Cdata(trailing_brackets(brackets, rest));
                    return Ok((rest.len(), None));
                }
            },
            State::Start_(tag) => match walk_tag(tag, rest) {
                (Err(tag), n) => {
                    self.state = State::Start_(tag);
                    return Ok((n, None));
                }
                (Ok(empty), n) => {
                    self.state = State::Text;
                    if !empty {
                        self.depth =
                            self.depth.checked_add(1).ok_or(XmlFault::Policy("elements nested too deep"))?;
                    }
                    return Ok((n, (self.depth == 0).then_some(FrameKind::Element)));
                }
            },
            State::Close => {
                let Some(i) = memchr::memchr(b'>', rest) else { return Ok((rest.len(), None)) };
                self.state = State::Text;
                let Some(depth) = self.depth.checked_sub(1) else { return Ok((i + 1, Some(FrameKind::End))) };
                self.depth = depth;
                return Ok((i + 1, (depth == 0).then_some(FrameKind::Element)));
            }
            _ => unreachable!("the states outside stanzas are handled by `push`"),
        }
        Ok((1, None))
    }

    /// The byte after a `<` inside the root.
    fn opened(&self, byte: u8) -> Result<State, XmlFault> {
        match byte {
            b'/' => Ok(State::Close),
            b'!' if self.depth > 0 => Ok(State::Bang(0)),
            b'!' => Err(XmlFault::Restricted("a comment, a declaration or CDATA between stanzas")),
            b'?' => Err(XmlFault::Restricted("a processing instruction")),
            _ => name_start(byte).map(|()| State::Start_(INSIDE)),
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

/// Walks through a start tag: how many bytes, and whether it ended as `<a/>` (`Ok(true)`), as `<a>` (`Ok(false)`) or
/// goes on (`Err` with the place).
fn walk_tag(mut tag: Tag, rest: &[u8]) -> (Result<bool, Tag>, usize) {
    let mut at = 0;
    while at < rest.len() {
        let Tag::Inside { slash } = tag else {
            let quote = if tag == Tag::Single { b'\'' } else { b'"' };
            let Some(i) = memchr::memchr(quote, &rest[at..]) else { return (Err(tag), rest.len()) };
            at += i + 1;
            tag = INSIDE;
            continue;
        };
        match rest[at] {
            b'>' => return (Ok(slash), at + 1),
            b'\'' => tag = Tag::Single,
            b'"' => tag = Tag::Double,
            byte => tag = Tag::Inside { slash: byte == b'/' },
        }
        at += 1;
    }
    (Err(tag), at)
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
