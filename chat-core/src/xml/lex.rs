//! What stands in tags and between them: names, white space, quoted values, character data, references. It is known here
//! what each may consist of (XML 1.0), and nothing of how they stand to each other: that is the walk's business.
//!
//! All functions are given the walked bytes and a place, and say where it ends what begins there. What is usual is short,
//! to become part of the walk; what is not stands apart.

use super::chars::{NAME, NAME_START, SPACE, is};
use super::escape::reference;
use super::fault::{XmlFault, ill};
use super::names::{is_name_char, is_name_start};
use super::runs::{text_run, value_run};
use super::token::Value;

/// White space, or nothing.
#[inline(always)]
pub(super) fn space_end(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|b| is(*b, SPACE)) {
        at += 1;
    }
    at
}

/// A name up to the first byte that is not part of it; colons are not. `None` if it is none.
#[inline(always)]
pub(super) fn name_end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut end = start;
    while bytes.get(end).is_some_and(|b| is(*b, NAME)) {
        end += 1;
    }
    if end == start || bytes.get(end).is_some_and(|b| *b >= 0x80) {
        return long_name_end(text, start);
    }
    is(bytes[start], NAME_START).then_some(end)
}

/// The same for a name that is not all ASCII, or none at all.
#[cold]
fn long_name_end(text: &str, start: usize) -> Option<usize> {
    let name = text[start..].split(|c: char| c.is_ascii() && !is(c as u8, NAME)).next()?;
    let mut chars = name.chars();
    (chars.next().is_some_and(is_name_start) && chars.all(is_name_char)).then_some(start + name.len())
}

/// The `=` and the quoted value of an attribute.
#[inline(always)]
pub(super) fn value(text: &str, at: usize) -> Result<Value, XmlFault> {
    let bytes = text.as_bytes();
    let (quote, start) = match bytes.get(at..) {
        Some([b'=', quote @ (b'\'' | b'"'), ..]) => (*quote, at + 2),
        _ => spaced_quote(bytes, at)?,
    };
    let end = start + value_run(&bytes[start..]);
    if bytes.get(end) == Some(&quote) { Ok(Value::plain(start, end)) } else { odd_value(text, start, quote) }
}

/// The quote behind a `=`, with white space before and behind, and where the value begins.
#[inline(never)]
fn spaced_quote(bytes: &[u8], at: usize) -> Result<(u8, usize), XmlFault> {
    let sign = space_end(bytes, at);
    match bytes.get(sign) {
        Some(b'=') => {}
        Some(_) => return ill("an attribute without `=`"),
        None => return cut_off(),
    }
    let at = space_end(bytes, sign + 1);
    match bytes.get(at) {
        Some(quote @ (b'\'' | b'"')) => Ok((*quote, at + 1)),
        Some(_) => ill("an attribute value without quotes"),
        None => cut_off(),
    }
}

/// The same, from behind the first quote, for a value that has more in it than what can be passed over.
#[inline(never)]
fn odd_value(text: &str, start: usize, quote: u8) -> Result<Value, XmlFault> {
    let bytes = text.as_bytes();
    let (mut at, mut plain) = (start, true);
    loop {
        at += value_run(&bytes[at..]);
        match bytes.get(at) {
            Some(b) if *b == quote => break,
            Some(b'"' | b'\'') => at += 1,
            Some(b'<') => return ill("`<` in an attribute value"),
            Some(b'&') => {
                plain = false;
                at = reference_end(text, at)?;
            }
            Some(b) => {
                plain &= !is(*b, SPACE);
                at = odd_end(bytes, at)?;
            }
            None => return cut_off(),
        }
    }
    Ok(if plain { Value::plain(start, at) } else { Value::odd(start, at) })
}

/// Character data up to the next tag.
#[inline(always)]
pub(super) fn text_end(text: &str, start: usize) -> Result<usize, XmlFault> {
    let bytes = text.as_bytes();
    let end = start + text_run(&bytes[start..]);
    if bytes.get(end) == Some(&b'<') { Ok(end) } else { odd_text_end(text, end) }
}

/// The same for character data that has more in it than what can be passed over.
#[inline(never)]
fn odd_text_end(text: &str, mut at: usize) -> Result<usize, XmlFault> {
    let bytes = text.as_bytes();
    loop {
        match bytes.get(at) {
            Some(b'<') => return Ok(at),
            Some(b'&') => at = reference_end(text, at)?,
            Some(b']') if bytes[at..].starts_with(b"]]>") => return ill("`]]>` in text"),
            Some(b']') => at += 1,
            Some(_) => at = odd_end(bytes, at)?,
            None => return cut_off(),
        }
        at += text_run(&bytes[at..]);
    }
}

/// The content of a CDATA section: where its `]]>` begins.
pub(super) fn cdata_end(bytes: &[u8], mut at: usize) -> Result<usize, XmlFault> {
    loop {
        at += text_run(&bytes[at..]);
        match bytes.get(at) {
            Some(b'<' | b'&') => at += 1,
            Some(b']') if bytes[at..].starts_with(b"]]>") => return Ok(at),
            Some(b']') => at += 1,
            Some(_) => at = odd_end(bytes, at)?,
            None => return cut_off(),
        }
    }
}

/// White space, or a character in U+F000 to U+FFFF, of which the last two do not exist (XML 1.0 §2.2); nor do controls.
fn odd_end(bytes: &[u8], at: usize) -> Result<usize, XmlFault> {
    match bytes[at..] {
        [b'\t' | b'\n' | b'\r', ..] => Ok(at + 1),
        [0xEF, second, third, ..] if second != 0xBF || third < 0xBE => Ok(at + 3),
        _ => ill("a character that XML does not allow"),
    }
}

fn reference_end(text: &str, at: usize) -> Result<usize, XmlFault> {
    let bytes = text.as_bytes();
    if let Some((_, len)) = reference(&bytes[at..]) {
        return Ok(at + len);
    }
    if bytes.get(at + 1) == Some(&b'#') {
        return ill("a reference to a character that XML does not allow");
    }
    match name_end(text, at + 1) {
        Some(end) if bytes.get(end) == Some(&b';') => {
            Err(XmlFault::Restricted("a reference to an entity other than the five"))
        }
        _ => ill("`&` without a reference"),
    }
}

pub(super) const fn cut_off<T>() -> Result<T, XmlFault> {
    ill("cut off")
}
