//! Where one stanza ends and the next begins in the bytes that a server sends.
//!
//! It believes that the server writes well-formed XML, and looks at no more than tags and quotes: about 60 ns for a
//! chat message. Comments, CDATA and processing instructions, which XMPP forbids (RFC 6120 §11.1), are refused.

use memchr::{memchr, memchr3};

/// What a stream is made of, on its first level.
#[derive(Debug, Clone, Copy)]
pub enum Token<'a> {
    /// The tag that opens the stream.
    Header,
    /// A whole child of the stream.
    Stanza(Stanza<'a>),
    /// The tag that closes the stream.
    End,
}

/// An element as it was written.
#[derive(Debug, Clone, Copy)]
pub struct Stanza<'a> {
    /// All its bytes.
    pub bytes: &'a [u8],
    /// Its name without a prefix.
    pub name: &'a [u8],
    /// What is between its tags.
    pub inner: &'a [u8],
    attributes: &'a [u8],
}

/// This is no stream of XMPP; the offset of the first byte that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server sent something that is no XMPP, at byte {0}")]
pub struct Malformed(pub usize);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Close,
    Empty,
}

struct Tag<'a> {
    kind: Kind,
    qualified: &'a [u8],
    attributes: &'a [u8],
    end: usize,
}

/// The first token of these bytes and how many they are with it; none if the token is not complete.
///
/// # Errors
/// The bytes begin with something that may not stand in a stream.
pub fn next(bytes: &[u8]) -> Result<Option<(Token<'_>, usize)>, Malformed> {
    let mut start = blank(bytes, 0);
    if bytes[start..].starts_with(b"<?") {
        match memchr(b'>', &bytes[start..]) {
            Some(end) => start = blank(bytes, start + end + 1),
            None => return Ok(None),
        }
    }
    let Some(first) = tag(bytes, start)? else { return Ok(None) };
    let (name, attributes) = (local(first.qualified), first.attributes);
    let stanza = |inner, end| {
        let token = Token::Stanza(Stanza { bytes: &bytes[start..end], name, inner, attributes });
        Ok(Some((token, end)))
    };
    match first.kind {
        Kind::Close => return Ok(Some((Token::End, first.end))),
        Kind::Empty => return stanza(&[], first.end),
        Kind::Open if first.qualified == b"stream:stream" => return Ok(Some((Token::Header, first.end))),
        Kind::Open => {}
    }
    let (mut depth, mut at) = (1, first.end);
    loop {
        let Some(open) = memchr(b'<', &bytes[at..]) else { return Ok(None) };
        let inner_end = at + open;
        let Some(next) = tag(bytes, inner_end)? else { return Ok(None) };
        at = next.end;
        match next.kind {
            Kind::Open => depth += 1,
            Kind::Empty => {}
            Kind::Close if depth == 1 => return stanza(&bytes[first.end..inner_end], at),
            Kind::Close => depth -= 1,
        }
    }
}

/// The offset of the first byte from `at` on that is no white space.
pub fn blank(bytes: &[u8], at: usize) -> usize {
    let space = |b: &&u8| matches!(b, b' ' | b'\n' | b'\r' | b'\t');
    at + bytes[at..].iter().take_while(space).count()
}

/// The tag at this offset; none if it is not complete.
fn tag(bytes: &[u8], start: usize) -> Result<Option<Tag<'_>>, Malformed> {
    match bytes.get(start) {
        None => return Ok(None),
        Some(b'<') => {}
        Some(_) => return Err(Malformed(start)),
    }
    let Some(second) = bytes.get(start + 1) else { return Ok(None) };
    if *second == b'/' {
        let Some(end) = memchr(b'>', &bytes[start..]) else { return Ok(None) };
        let qualified = &bytes[start + 2..start + end];
        return Ok(Some(Tag { kind: Kind::Close, qualified, attributes: &[], end: start + end + 1 }));
    }
    if matches!(second, b'!' | b'?') {
        return Err(Malformed(start + 1));
    }
    let name = start + 1;
    let stop = |b: &u8| matches!(b, b' ' | b'>' | b'/' | b'\n' | b'\r' | b'\t');
    let Some(length) = bytes[name..].iter().position(stop) else { return Ok(None) };
    let after = name + length;
    let mut at = after;
    loop {
        let Some(found) = memchr3(b'>', b'\'', b'"', &bytes[at..]) else { return Ok(None) };
        at += found;
        let mark = bytes[at];
        if mark == b'>' {
            break;
        }
        let Some(close) = memchr(mark, &bytes[at + 1..]) else { return Ok(None) };
        at += close + 2;
    }
    let kind = if bytes[at - 1] == b'/' { Kind::Empty } else { Kind::Open };
    Ok(Some(Tag { kind, qualified: &bytes[name..after], attributes: &bytes[after..at], end: at + 1 }))
}

/// A name without its prefix.
fn local(qualified: &[u8]) -> &[u8] {
    memchr(b':', qualified).map_or(qualified, |colon| &qualified[colon + 1..])
}

impl<'a> Stanza<'a> {
    /// The value of an attribute, as written: references stay what they are.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'a [u8]> {
        let mut rest = self.attributes;
        loop {
            let from = blank(rest, 0);
            let equals = memchr(b'=', rest)?;
            let key = rest[from..equals].trim_ascii_end();
            let open = equals + 1 + rest[equals + 1..].iter().position(|b| matches!(b, b'\'' | b'"'))?;
            let close = open + 1 + memchr(rest[open], &rest[open + 1..])?;
            if key == name.as_bytes() {
                return Some(&rest[open + 1..close]);
            }
            rest = &rest[close + 1..];
        }
    }

    /// The elements right inside this one.
    pub fn children(&self) -> impl Iterator<Item = Stanza<'a>> + use<'a> {
        let mut rest = self.inner;
        std::iter::from_fn(move || {
            rest = &rest[memchr(b'<', rest)?..];
            let Ok(Some((Token::Stanza(child), length))) = next(rest) else { return None };
            rest = &rest[length..];
            Some(child)
        })
    }

    /// The first child of this name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<Stanza<'a>> {
        self.children().find(|child| child.name == name.as_bytes())
    }

    /// Whether it is an answer that says no.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.attribute("type") == Some(b"error")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All tokens of a text, in short; and what is left.
    fn tokens(mut bytes: &[u8]) -> (Vec<String>, &[u8]) {
        let mut found = Vec::new();
        while let Some((token, length)) = next(bytes).expect("a stream") {
            found.push(match token {
                Token::Header => "header".to_owned(),
                Token::End => "end".to_owned(),
                Token::Stanza(s) => {
                    format!("{}:{}", String::from_utf8_lossy(s.name), String::from_utf8_lossy(s.inner))
                }
            });
            bytes = &bytes[length..];
        }
        (found, bytes)
    }

    const STREAM: &str = "<?xml version='1.0'?> <stream:stream from='a>b' xmlns:stream='x'>\n<stream:features><a/><b>c</b>\
        </stream:features> \n<message to=\"it's>\"><body>a &lt; b</body></message><r xmlns='urn:xmpp:sm:3'/></stream:stream>";

    #[test]
    fn a_stream_is_cut_into_its_children() {
        let (found, rest) = tokens(STREAM.as_bytes());
        assert_eq!(found, ["header", "features:<a/><b>c</b>", "message:<body>a &lt; b</body>", "r:", "end"]);
        assert!(rest.is_empty());
    }

    #[test]
    fn tokens_do_not_depend_on_how_bytes_were_cut() {
        let whole = tokens(STREAM.as_bytes()).0;
        for cut in 0..STREAM.len() {
            let (mut found, rest) = tokens(&STREAM.as_bytes()[..cut]);
            let rest = [rest, &STREAM.as_bytes()[cut..]].concat();
            found.extend(tokens(&rest).0);
            assert_eq!(found, whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_xmpp_forbids_is_refused() {
        for (text, at) in [("text", 0), ("<!-- -->", 1), ("<a><![CDATA[x]]></a>", 4), ("<a><?pi?></a>", 4)] {
            assert_eq!(next(text.as_bytes()).err(), Some(Malformed(at)), "{text}");
        }
    }

    #[test]
    fn attributes_and_children_are_found() {
        let text = b"<iq id = 'x' type=\"result\" from='a=b'><q><item jid='1'/>text<item jid='2'/></q></iq>";
        let Ok(Some((Token::Stanza(iq), _))) = next(text) else { panic!("a stanza") };
        assert_eq!(iq.attribute("id"), Some(&b"x"[..]));
        assert_eq!(iq.attribute("type"), Some(&b"result"[..]));
        assert_eq!(iq.attribute("from"), Some(&b"a=b"[..]));
        assert_eq!(iq.attribute("to"), None);
        assert!(!iq.is_error());
        let items: Vec<_> =
            iq.child("q").expect("q").children().map(|i| i.attribute("jid").unwrap()).collect();
        assert_eq!(items, [b"1", b"2"]);
    }
}
