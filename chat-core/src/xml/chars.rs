//! Classes of characters: ASCII in names, white space, what text and attribute values must look at.

/// A byte of an ASCII name character other than the colon.
pub(super) const NAME: u8 = 1;
/// White space (XML 1.0 §2.3).
pub(super) const SPACE: u8 = 2;
/// A byte that character data cannot simply pass over: markup, reference, `]`, a control, the lead of U+FFFE.
pub(super) const TEXT_STOP: u8 = 4;
/// The same for a quoted attribute value: both quotes, `<`, reference, a control, the lead of U+FFFE.
pub(super) const VALUE_STOP: u8 = 8;
/// A byte of [`NAME`] that a name may begin with.
pub(super) const NAME_START: u8 = 16;
/// A byte that the writer cannot simply copy: what may need an escape, a control, the lead of U+FFFE.
pub(super) const WRITE_STOP: u8 = 32;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        let mut class = 0;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') {
            class |= NAME;
        }
        if byte.is_ascii_alphabetic() || byte == b'_' {
            class |= NAME_START;
        }
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            class |= SPACE;
        }
        let control = byte < b' ' && class & SPACE == 0;
        if control || matches!(byte, b'<' | b'&' | b']' | 0xEF) {
            class |= TEXT_STOP;
        }
        if control || matches!(byte, b'<' | b'&' | b'\'' | b'"' | 0xEF) {
            class |= VALUE_STOP;
        }
        if byte < b' ' || matches!(byte, b'<' | b'>' | b'&' | b'\'' | b'"' | 0xEF) {
            class |= WRITE_STOP;
        }
        table[b] = class;
        b += 1;
    }
    table
}

/// Whether `byte` is in one of `classes`.
#[inline]
pub(super) fn is(byte: u8, classes: u8) -> bool {
    CLASS[usize::from(byte)] & classes != 0
}

/// XML 1.0 §2.2 `Char`.
pub(super) fn is_xml_char(c: u32) -> bool {
    matches!(c, 0x9 | 0xA | 0xD | 0x20..=0xD7FF | 0xE000..=0xFFFD | 0x1_0000..=0x10_FFFF)
}
