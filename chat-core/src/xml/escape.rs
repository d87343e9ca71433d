//! References and escapes: reading attribute values and text, writing them.

use super::chars::is_xml_char;
use super::runs::write_run;
use super::write::Sink;
use std::borrow::Cow;

/// The value of a raw attribute (what stands between the quotes): references resolved, white space normalised
/// (XML 1.0 §3.3.3). `raw` must have passed the scan; anything else comes out as it is, as far as possible.
pub fn attr_value(raw: &str) -> Cow<'_, str> {
    if is_plain(raw) { Cow::Borrowed(raw) } else { Cow::Owned(Chars { rest: raw, attr: true }.collect()) }
}

/// The value of raw character data: references resolved, line ends normalised (XML 1.0 §2.11).
pub fn text_value(raw: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'&', b'\r', raw.as_bytes()).is_none() {
        Cow::Borrowed(raw)
    } else {
        Cow::Owned(Chars { rest: raw, attr: false }.collect())
    }
}

/// The value of a CDATA section's content: only line ends are normalised.
pub fn cdata_value(raw: &str) -> Cow<'_, str> {
    if raw.contains('\r') {
        Cow::Owned(raw.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(raw)
    }
}

/// Whether a raw attribute value means itself.
pub(super) fn is_plain(raw: &str) -> bool {
    let raw = raw.as_bytes();
    memchr::memchr3(b'&', b'\n', b'\r', raw).is_none() && memchr::memchr(b'\t', raw).is_none()
}

/// Whether the writer must look at a value byte by byte.
#[inline]
pub(super) fn needs_escape(value: &str) -> bool {
    write_run(value.as_bytes()) < value.len()
}

/// How long a raw attribute value is when [`escape_attr`] has written what it means.
pub(super) fn written_len(raw: &str) -> usize {
    if !needs_escape(raw) {
        return raw.len();
    }
    let mut written = Vec::new();
    escape_attr(&mut written, &attr_value(raw));
    written.len()
}

/// Whether two raw attribute values mean the same, without allocation.
pub(super) fn same_value(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    if is_plain(a) && is_plain(b) {
        return false;
    }
    Chars { rest: a, attr: true }.eq(Chars { rest: b, attr: true })
}

/// Whether a raw attribute value means `value`, without allocation.
pub(super) fn means(raw: &str, value: &str) -> bool {
    // Mostly they differ, and soon.
    raw.len() >= value.len() && Chars { rest: raw, attr: true }.eq(value.chars())
}

/// The characters that raw text means.
struct Chars<'a> {
    rest: &'a str,
    attr: bool,
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        if c == '&'
            && let Some((c, len)) = reference(self.rest.as_bytes())
        {
            self.rest = &self.rest[len..];
            return Some(c);
        }
        let len = if self.rest.starts_with("\r\n") { 2 } else { c.len_utf8() };
        self.rest = &self.rest[len..];
        Some(match c {
            '\t' | '\n' | '\r' if self.attr => ' ',
            '\r' => '\n',
            c => c,
        })
    }
}

/// The character of the reference at the start of `raw`, and the reference's length, if it is one of the five
/// predefined entities or a reference to a character that XML allows (XML 1.0 §4.1, §4.6).
pub(super) fn reference(raw: &[u8]) -> Option<(char, usize)> {
    let named = match raw {
        [b'&', b'l', b't', b';', ..] => ('<', 4),
        [b'&', b'g', b't', b';', ..] => ('>', 4),
        [b'&', b'a', b'm', b'p', b';', ..] => ('&', 5),
        [b'&', b'a', b'p', b'o', b's', b';', ..] => ('\'', 6),
        [b'&', b'q', b'u', b'o', b't', b';', ..] => ('"', 6),
        [b'&', b'#', b'x', digits @ ..] => return numeric(digits, 16).map(|(c, n)| (c, n + 3)),
        [b'&', b'#', digits @ ..] => return numeric(digits, 10).map(|(c, n)| (c, n + 2)),
        _ => return None,
    };
    Some(named)
}

/// The character whose number, up to a `;`, begins `digits`; and the length with the `;`.
fn numeric(digits: &[u8], radix: u32) -> Option<(char, usize)> {
    let mut number = 0u32;
    for (i, byte) in digits.iter().enumerate() {
        if *byte == b';' && i > 0 {
            let c = char::from_u32(number).filter(|c| is_xml_char(u32::from(*c)))?;
            return Some((c, i + 1));
        }
        let digit = char::from(*byte).to_digit(radix)?;
        // Leading zeros may go on for ever; a number past the last character may not.
        number = number.checked_mul(radix)?.checked_add(digit)?;
    }
    None
}

/// Writes `value` as it may stand between quotes of either kind. Characters that XML cannot express become U+FFFD.
pub fn escape_attr(out: &mut dyn Sink, value: &str) {
    escape(out, value, |byte| match byte {
        b'"' => Some("&quot;"),
        b'\'' => Some("&apos;"),
        b'\t' => Some("&#9;"),
        b'\n' => Some("&#10;"),
        b => always(b),
    });
}

/// Writes `text` as character data. Characters that XML cannot express become U+FFFD.
pub fn escape_text(out: &mut dyn Sink, text: &str) {
    escape(out, text, |byte| match byte {
        b'\t' | b'\n' => None,
        b => always(b),
    });
}

fn always(byte: u8) -> Option<&'static str> {
    match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        // Only `]]>` needs it, but everybody reads it.
        b'>' => Some("&gt;"),
        b'\r' => Some("&#13;"),
        0..b' ' => Some("\u{FFFD}"),
        _ => None,
    }
}

fn escape(out: &mut dyn Sink, value: &str, table: fn(u8) -> Option<&'static str>) {
    let bytes = value.as_bytes();
    let (mut done, mut at) = (0, 0);
    loop {
        at += write_run(&bytes[at..]);
        if at == bytes.len() {
            return out.put(&bytes[done..]);
        }
        // U+FFFE and U+FFFF, the only characters above the controls that XML lacks.
        let (instead, len) = match bytes[at..] {
            [0xEF, 0xBF, 0xBE | 0xBF, ..] => (Some("\u{FFFD}"), 3),
            _ => (table(bytes[at]), 1),
        };
        if let Some(instead) = instead {
            out.put(&bytes[done..at]);
            out.put(instead.as_bytes());
            done = at + len;
        }
        at += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        for (raw, attr, text) in [
            ("plain", "plain", "plain"),
            ("a&lt;&gt;&amp;&apos;&quot;b", "a<>&'\"b", "a<>&'\"b"),
            ("&#65;&#x42;&#x00043;", "ABC", "ABC"),
            ("&amp;lt;", "&lt;", "&lt;"),
            ("a\tb\nc\r\nd\re", "a b c d e", "a\tb\nc\nd\ne"),
            // Characters written as references are not normalised (XML 1.0 §3.3.3).
            ("a&#9;b&#10;c&#13;d", "a\tb\nc\rd", "a\tb\nc\rd"),
            ("&#x1F600;é", "😀é", "😀é"),
        ] {
            assert_eq!(attr_value(raw), attr, "{raw:?}");
            assert_eq!(text_value(raw), text, "{raw:?}");
        }
        assert_eq!(cdata_value("a&lt;\r\n\r"), "a&lt;\n\n");
    }

    #[test]
    fn bad_references_are_none() {
        for raw in [
            "&",
            "&;",
            "&#;",
            "&#x;",
            "&#0;",
            "&#xD800;",
            "&#xFFFE;",
            "&#x110000;",
            "&#99999999999;",
            "&#1",
            "&nbsp;",
            "&#X41;",
            "&#+5;",
        ] {
            assert_eq!(reference(raw.as_bytes()), None, "{raw}");
        }
        assert_eq!(reference(b"&#x10FFFF;x"), Some(('\u{10FFFF}', 10)));
    }

    #[test]
    fn values_compare_by_meaning() {
        assert!(same_value("urn:x", "urn:x"));
        assert!(same_value("urn:x", "urn&#58;x"));
        assert!(same_value("a\nb", "a b"));
        assert!(!same_value("urn:x", "urn:y"));
        assert!(!same_value("urn&#58;x", "urn:xx"));
        assert!(means("a&amp;b", "a&b") && !means("a&amp;b", "a&amp;b") && !means("urn:x", "urn:y"));
    }

    #[test]
    fn what_is_written_reads_back() {
        let all = "<a & \"b\" 'c'>\t\r\n]]>é😀\u{FFFD}";
        let (mut attr, mut text) = (Vec::new(), Vec::new());
        escape_attr(&mut attr, all);
        escape_text(&mut text, all);
        let (attr, text) = (String::from_utf8(attr).unwrap(), String::from_utf8(text).unwrap());
        assert_eq!(attr, "&lt;a &amp; &quot;b&quot; &apos;c&apos;&gt;&#9;&#13;&#10;]]&gt;é😀\u{FFFD}");
        assert_eq!(text, "&lt;a &amp; \"b\" 'c'&gt;\t&#13;\n]]&gt;é😀\u{FFFD}");
        assert_eq!((attr_value(&attr).as_ref(), text_value(&text).as_ref()), (all, all));
    }

    #[test]
    fn impossible_characters_are_replaced() {
        let mut out = Vec::new();
        escape_text(&mut out, "a\0b\u{1B}c\u{FFFE}d\u{FFFF}\u{FFF0}");
        assert_eq!(String::from_utf8(out).unwrap(), "a\u{FFFD}b\u{FFFD}c\u{FFFD}d\u{FFFD}\u{FFF0}");
    }
}
