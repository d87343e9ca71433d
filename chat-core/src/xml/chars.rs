//! Classes of characters: ASCII in names, white space, what values must look at.

/// A byte of an ASCII name character other than the colon.
pub(super) const NAME: u8 = 1;
/// White space (XML 1.0 §2.3).
pub(super) const SPACE: u8 = 2;
/// A byte of [`NAME`] that a name may begin with.
pub(super) const NAME_START: u8 = 4;
/// A byte that a quoted value cannot simply pass over: both quotes, `<`, a reference, a control or white space but for the
/// blank, the first byte of U+F000 to U+FFFF, of which the last two do not exist.
pub(super) const VALUE_STOP: u8 = 8;
/// A byte that the writer cannot simply copy: the same, and `>`.
pub(super) const WRITE_STOP: u8 = 16;

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
        if byte < b' ' || matches!(byte, b'<' | b'&' | b'\'' | b'"' | 0xEF) {
            class |= VALUE_STOP | WRITE_STOP;
        }
        if byte == b'>' {
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
