//! Writing: where bytes go, and a stanza passed on with a new head.

use super::element::{Element, Node};
use super::escape::{escape_attr, needs_escape};
use super::ns::{self, CLIENT, StreamNs};
use super::scan::{HeadAttr, StanzaView};
use smol_str::SmolStr;
use std::ops::Range;

/// Where written bytes go.
pub trait Sink {
    /// Takes the next bytes; it cannot fail.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Writes ` name='value'`, the value escaped.
pub fn put_attr(out: &mut dyn Sink, name: &str, value: &str) {
    put_attr_of(out, name, &[value]);
}

/// The same for a value in parts.
pub fn put_attr_of(out: &mut dyn Sink, name: &str, value: &[&str]) {
    out.put(b" ");
    out.put(name.as_bytes());
    out.put(b"='");
    for part in value {
        escape_attr(out, part);
    }
    out.put(b"'");
}

/// What becomes of an address on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Head<'s> {
    /// As it came.
    #[default]
    Keep,
    /// This value, not escaped, whether or not there was one.
    Set(&'s str),
    /// None.
    Remove,
}

/// What changes when a stanza is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp<'s> {
    /// The `to` attribute.
    pub to: Head<'s>,
    /// The `from` attribute.
    pub from: Head<'s>,
    /// The `xml:lang` of the stream it came on, for a stanza that has none of its own (RFC 6120 §8.1.5).
    pub lang: Option<&'s str>,
    /// `Some`: the content namespace the stanza is to have, written on its start tag; for stanzas inside others
    /// (forwarded, carbons), for WebSocket, for streams between servers. `None`: it goes straight to a stream whose
    /// default namespace is `jabber:client`, and nothing is written.
    pub xmlns: Option<&'s str>,
    /// Elements, already written, to add behind the payload, such as `<delay xmlns='urn:xmpp:delay' …/>`.
    pub append: &'s [u8],
}

/// Writes a stanza with a new head: its other attributes and its payload are copied as they are.
///
/// The content namespace of the stanza becomes that of the target (RFC 6120 §4.8.3) by leaving out or replacing the
/// `xmlns` of the start tag; prefixes that the stream header of its origin bound are declared. Only a stanza that
/// spells its content namespace in an unusual way (by a prefix, or again on a direct child while the target has
/// another one) is taken apart and written anew. Elements deeper inside that carry a content namespace of their own
/// (forwarded stanzas) are never touched. An element outside the content namespaces keeps its own.
pub fn forward(view: &StanzaView<'_>, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    let (source, target) = (view.ns(), stamp.xmlns.unwrap_or(CLIENT));
    let usual = view.prefix().is_empty() && ns::is_content(source);
    if !usual || (view.content_redeclared() && source != target) {
        return forward_anew(view, stamp, out);
    }
    let (bytes, attrs, content) = (view.bytes(), view.raw_attrs(), view.content());
    let name = &bytes[1..attrs.start];
    out.extend_from_slice(&bytes[..attrs.start]);
    put_head(view, stamp, out);
    put_other_attrs(view, stamp, attrs, out);
    let end_tag = b"</>".len() + name.len();
    match (view.is_empty_tag(), stamp.append) {
        (true, b"") => out.extend_from_slice(b"/>"),
        // All the rest as it is, unless there is white space in the end tag.
        (false, b"") if content.end + end_tag == bytes.len() => {
            out.extend_from_slice(&bytes[content.start - b">".len()..]);
        }
        (_, append) => {
            for part in [b">", &bytes[content], append, b"</", name, b">"] {
                out.extend_from_slice(part);
            }
        }
    }
}

/// The attributes that are new or may be.
fn put_head(view: &StanzaView<'_>, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    if let Head::Set(to) = stamp.to {
        put_value(out, b" to='", to);
    }
    if let Head::Set(from) = stamp.from {
        put_value(out, b" from='", from);
    }
    if let Some(ns) = stamp.xmlns {
        put_value(out, b" xmlns='", ns);
    }
    if let (Some(lang), None) = (stamp.lang, view.head_range(HeadAttr::Lang)) {
        put_value(out, b" xml:lang='", lang);
    }
    for (prefix, ns) in view.inherited() {
        out.extend_from_slice(b" xmlns:");
        out.extend_from_slice(prefix.as_bytes());
        put_value(out, b"='", ns);
    }
}

/// Writes a value, escaped, with its second quote, behind what is `before` it.
#[inline(always)]
fn put_value(out: &mut Vec<u8>, before: &[u8], value: &str) {
    out.extend_from_slice(before);
    match needs_escape(value) {
        false => out.extend_from_slice(value.as_bytes()),
        true => escape_attr(out, value),
    }
    out.push(b'\'');
}

/// The rest of the start tag, without what [`put_head`] replaced.
fn put_other_attrs(view: &StanzaView<'_>, stamp: &Stamp<'_>, attrs: Range<usize>, out: &mut Vec<u8>) {
    const NOTHING: Range<usize> = usize::MAX..usize::MAX;
    let cut = |gone: bool, head| if gone { view.head_cut(head) } else { None }.unwrap_or(NOTHING);
    let mut cuts = [
        cut(stamp.to != Head::Keep, HeadAttr::To),
        cut(stamp.from != Head::Keep, HeadAttr::From),
        cut(true, HeadAttr::Xmlns),
    ];
    // In order: three exchanges are all that three of them can need.
    for (i, j) in [(0, 1), (1, 2), (0, 1)] {
        if cuts[i].start > cuts[j].start {
            cuts.swap(i, j);
        }
    }
    let mut done = attrs.start;
    for cut in cuts.into_iter().take_while(|cut| *cut != NOTHING) {
        out.extend_from_slice(&view.bytes()[done..cut.start]);
        done = cut.end;
    }
    out.extend_from_slice(&view.bytes()[done..attrs.end]);
}

/// A stanza whose own name has a prefix, spelled without, as [`forward`] does it: each namespace is written wherever it
/// begins, so it can be many times longer. `None` for all others, which grow by their head only.
pub fn respelled(view: &StanzaView<'_>) -> Option<Vec<u8>> {
    (!view.prefix().is_empty() && ns::is_content(view.ns())).then(|| forwarded(view, &Stamp::default()))
}

/// The slow way, for stanzas that spell their namespace oddly.
fn forward_anew(view: &StanzaView<'_>, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    let mut stanza = Element::of(view);
    for (name, head) in [("to", stamp.to), ("from", stamp.from)] {
        match head {
            Head::Keep => {}
            Head::Set(value) => stanza.set_attr(name, value),
            Head::Remove => stanza.remove_attr(name),
        }
    }
    if let (Some(lang), None) = (stamp.lang, stanza.attr("xml:lang")) {
        stanza.set_attr("xml:lang", lang);
    }
    if ns::is_content(&stanza.ns) {
        rename(&mut stanza, &view.ns().into(), &stamp.xmlns.unwrap_or(CLIENT).into());
    }
    let around = if stamp.xmlns.is_some() { None } else { Some(CLIENT) };
    stanza.write_with(around, stamp.append, out);
}

/// Moves an element and those of its descendants that got its namespace from it to another one. Below an element of
/// a foreign namespace nothing changes.
fn rename(element: &mut Element, source: &SmolStr, target: &SmolStr) {
    element.ns = target.clone();
    for node in &mut element.nodes {
        if let Node::Element(child) = node
            && child.ns == *source
        {
            rename(child, source, target);
        }
    }
}

/// The bytes that [`forward`] writes, for callers without a sink of their own.
pub fn forwarded(view: &StanzaView<'_>, stamp: &Stamp<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(view.bytes().len() + 128 + stamp.append.len());
    forward(view, stamp, &mut out);
    out
}

/// What the bytes of [`forward`] stand in: the stream header to scan them with again.
pub fn forwarded_ns(stamp: &Stamp<'_>) -> StreamNs {
    if stamp.xmlns.is_some() { StreamNs::none() } else { StreamNs::client() }
}

#[cfg(test)]
mod tests;
