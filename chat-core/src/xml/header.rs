//! The stream header: an optional XML declaration and the start tag of the root (RFC 6120 §4.2, §4.7).

use super::chars::{SPACE, is};
use super::fault::{XmlFault, ill};
use super::ns::{self, StreamNs};
use super::scan::ScanLimits;
use super::token::{AttrKind, Event, NsRef};
use super::walk::{Walker, text_of};
use std::borrow::Cow;

/// Attributes of a header, declarations included; real ones have up to ten.
const ATTRIBUTES_MAX: u16 = 32;

/// What a stream header says. Whether that is acceptable is the business of `stream`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderView<'a> {
    /// Local name of the root; `stream` if the peer speaks XMPP.
    pub name: &'a str,
    /// Prefix of the root; empty if there is none.
    pub prefix: &'a str,
    /// Namespace of the root; empty for none.
    pub ns: Cow<'a, str>,
    /// Default namespace; empty if none is declared.
    pub default_ns: Cow<'a, str>,
    /// `to` (RFC 6120 §4.7.2).
    pub to: Option<Cow<'a, str>>,
    /// `from` (RFC 6120 §4.7.1).
    pub from: Option<Cow<'a, str>>,
    /// `id` (RFC 6120 §4.7.3).
    pub id: Option<Cow<'a, str>>,
    /// `version` as written (RFC 6120 §4.7.5).
    pub version: Option<Cow<'a, str>>,
    /// `xml:lang` (RFC 6120 §4.7.4).
    pub lang: Option<Cow<'a, str>>,
    /// What the header binds for the stanzas to come.
    pub stream_ns: StreamNs,
}

/// Reads a frame of kind [`Header`](super::FrameKind::Header).
///
/// # Errors
/// See [`XmlFault`]; `BadFormat` if the root is closed in its own start tag, `Policy` for more than 32 attributes or
/// more namespaces than [`StreamNs::new`] takes.
pub fn parse_header(bytes: &[u8]) -> Result<HeaderView<'_>, XmlFault> {
    let tag = after_declaration(bytes)?;
    let none = StreamNs::none();
    let limits = ScanLimits { depth_max: 1, attributes_max: ATTRIBUTES_MAX, spare: 0 };
    let text = text_of(tag)?;
    let mut walk = Walker::new(text, &none, limits);
    match walk.next()? {
        Some(Event::Start { empty: false }) if walk.at() as usize == tag.len() => {}
        Some(Event::Start { empty: true }) => {
            return Err(XmlFault::BadFormat("the stream is closed in its own start tag"));
        }
        _ => return ill("something follows the stream header"),
    }
    let (mut to, mut from, mut id, mut version, mut lang) = (None, None, None, None, None);
    let mut declared = Vec::new();
    for attr in walk.attrs() {
        let value = attr.value.meaning(text);
        let wanted = match attr.name.whole().of(text) {
            "to" => &mut to,
            "from" => &mut from,
            "id" => &mut id,
            "version" => &mut version,
            "xml:lang" => &mut lang,
            _ => {
                if attr.kind(text) == AttrKind::Declaration {
                    let default = attr.name.prefix().is_empty();
                    declared.push((if default { "" } else { attr.name.local().of(text) }, value));
                }
                continue;
            }
        };
        *wanted = Some(value);
    }
    let stream_ns = StreamNs::new(declared.iter().map(|(prefix, name)| (*prefix, name.as_ref())))?;
    let default_ns = declared.into_iter().find(|(p, _)| p.is_empty()).map(|(_, n)| n).unwrap_or_default();
    let name = walk.tag().name;
    let ns = match walk.element_ns() {
        NsRef::Declared(value) => value.meaning(text),
        NsRef::Xml => Cow::Borrowed(ns::XML),
        NsRef::None | NsRef::StreamDefault | NsRef::Stream(_) => Cow::Borrowed(""),
    };
    Ok(HeaderView {
        name: name.local().of(text),
        prefix: name.prefix().of(text),
        ns,
        default_ns,
        to,
        from,
        id,
        version,
        lang,
        stream_ns,
    })
}

/// What follows the XML declaration and white space, if there is one (XML 1.0 §2.8; RFC 6120 §11.5, §11.6).
fn after_declaration(bytes: &[u8]) -> Result<&[u8], XmlFault> {
    let Some(rest) = bytes.strip_prefix(b"<?") else { return Ok(bytes) };
    let Some(end) = memchr::memmem::find(rest, b"?>") else { return ill("cut off") };
    let (declaration, tag) = (&rest[..end], &rest[end + 2..]);
    let mut rest = match declaration.strip_prefix(b"xml") {
        Some(rest) if rest.first().is_some_and(|b| is(*b, SPACE)) => rest,
        _ => return Err(XmlFault::Restricted("a processing instruction")),
    };
    match pseudo_attribute(&mut rest, b"version")? {
        Some(b"1.0") => {}
        _ => return ill("not XML 1.0"),
    }
    if let Some(encoding) = pseudo_attribute(&mut rest, b"encoding")?
        && !encoding.eq_ignore_ascii_case(b"UTF-8")
    {
        return Err(XmlFault::UnsupportedEncoding);
    }
    match pseudo_attribute(&mut rest, b"standalone")? {
        None | Some(b"yes" | b"no") => {}
        Some(_) => return ill("`standalone` is neither yes nor no"),
    }
    if !trim(rest).is_empty() {
        return ill("something unknown in the XML declaration");
    }
    Ok(trim(tag))
}

fn trim(bytes: &[u8]) -> &[u8] {
    let space = bytes.iter().take_while(|b| is(**b, SPACE)).count();
    &bytes[space..]
}

/// Takes ` name='value'` from the front of `rest`, if it stands there.
fn pseudo_attribute<'a>(rest: &mut &'a [u8], name: &[u8]) -> Result<Option<&'a [u8]>, XmlFault> {
    const BAD: &str = "a bad XML declaration";
    let trimmed = trim(rest);
    let Some(after) = trimmed.strip_prefix(name) else { return Ok(None) };
    let Some(value) = trim(after).strip_prefix(b"=") else { return ill(BAD) };
    let (quote, value) = match trim(value) {
        [quote @ (b'\'' | b'"'), value @ ..] if trimmed.len() < rest.len() => (*quote, value),
        _ => return ill(BAD),
    };
    let Some(end) = memchr::memchr(quote, value) else { return ill(BAD) };
    *rest = &value[end + 1..];
    Ok(Some(&value[..end]))
}

#[cfg(test)]
mod tests;
