//! Runs of bytes that nobody needs to look at one by one: found eight or sixteen at a time.

use crate::base::marks::{below, each, equal, run};

use super::chars::{VALUE_STOP, WRITE_STOP, is};

/// Zero for a byte that character data cannot simply pass over: markup, a reference, `]`, and what [`odd`] finds.
#[inline(always)]
fn text_stop(byte: u8) -> u8 {
    odd(byte).min(byte ^ b'<').min(byte ^ b'&').min(byte ^ b']')
}

/// Zero for a control, white space but for the blank, and the first byte of U+F000 to U+FFFF, of which the last two do
/// not exist.
#[inline(always)]
fn odd(byte: u8) -> u8 {
    byte.saturating_sub(b' ' - 1).min(byte ^ 0xEF)
}

/// How much character data can simply be passed over.
///
/// Sixteen bytes at a time, in differences and minima only: compilers make vector instructions of these, and of questions
/// asked one after the other they do not.
#[inline(always)]
pub(super) fn text_run(bytes: &[u8]) -> usize {
    let mut left = bytes;
    while let Some((chunk, behind)) = left.split_first_chunk::<16>() {
        if chunk.iter().fold(false, |any, b| any | (text_stop(*b) == 0)) {
            let stops = u128::from_le_bytes(chunk.map(|b| 1u8.saturating_sub(text_stop(b))));
            return bytes.len() - left.len() + stops.trailing_zeros() as usize / 8;
        }
        left = behind;
    }
    bytes.len() - left.len() + left.iter().position(|b| text_stop(*b) == 0).unwrap_or(left.len())
}

/// How much of a quoted value can simply be passed over.
pub(super) fn value_run(bytes: &[u8]) -> usize {
    // What stops and is not marked as `<` is not above `'`.
    run(bytes, |eight| below(eight, b'(') | equal(eight, b'<'), |b| is(b, VALUE_STOP))
}

/// How much the writer can simply copy.
pub(super) fn write_run(bytes: &[u8]) -> usize {
    // `<` and `>` differ in one bit.
    run(bytes, |eight| below(eight, b'(') | equal(eight | each(0x02), b'>'), |b| is(b, WRITE_STOP))
}

/// Marks, among others, the quotes and `>`.
#[inline(always)]
pub(super) fn tag_marks(eight: u64) -> u64 {
    // 0x22 and 0x27: the quotes differ in two bits.
    (equal(eight | each(0x05), b'\'') | equal(eight, b'>')) & each(0x80)
}

/// Where the first `byte` is, which is ASCII. For what is near: `memchr` takes more to begin with.
#[inline(always)]
pub(super) fn find_near(bytes: &[u8], byte: u8) -> Option<usize> {
    let mut left = bytes;
    while let Some((eight, behind)) = left.split_first_chunk() {
        let eight = u64::from_le_bytes(*eight);
        // The first mark is right but for bytes that had their highest bit before.
        let marks = equal(eight, byte) & !eight & each(0x80);
        if marks != 0 {
            return Some(bytes.len() - left.len() + marks.trailing_zeros() as usize / 8);
        }
        left = behind;
    }
    left.iter().position(|b| *b == byte).map(|i| bytes.len() - left.len() + i)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Bytes with many of those that matter, and their neighbours.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let odd = proptest::sample::select(
            b"<>&'\"]/ \t\n\0\x1F!#%(;=?^\x7F\x80\xA2\xA6\xBC\xEE\xEF\xF0\xFF".to_vec(),
        );
        vec(
            prop_oneof![6 => proptest::char::range('a', 'z').prop_map(|c| c as u8), 1 => odd, 1 => any::<u8>()],
            0..70,
        )
    }

    fn first(bytes: &[u8], stop: impl Fn(u8) -> bool) -> usize {
        bytes.iter().position(|b| stop(*b)).unwrap_or(bytes.len())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn runs_end_where_a_plain_loop_ends(bytes in bytes()) {
            let odd = |b: u8| b < b' ' || b == 0xEF;
            prop_assert_eq!(text_run(&bytes), first(&bytes, |b| odd(b) || b"<&]".contains(&b)));
            prop_assert_eq!(value_run(&bytes), first(&bytes, |b| odd(b) || b"<&'\"".contains(&b)));
            prop_assert_eq!(write_run(&bytes), first(&bytes, |b| odd(b) || b"<>&'\"".contains(&b)));
            for wanted in [b'>', 0, 0x7F] {
                prop_assert_eq!(find_near(&bytes, wanted), bytes.iter().position(|b| *b == wanted));
            }
        }

        #[test]
        fn what_may_end_a_tag_is_marked(bytes in proptest::array::uniform8(any::<u8>()), at in 0usize..8, which in 0usize..3) {
            let mut bytes = bytes;
            bytes[at] = b"'\">"[which];
            let marks = tag_marks(u64::from_le_bytes(bytes));
            prop_assert_eq!(marks & !each(0x80), 0);
            prop_assert!(marks & (0x80 << (8 * at)) != 0, "{:?} {:x}", bytes, marks);
        }
    }
}
