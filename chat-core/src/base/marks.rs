//! Bytes looked at eight at a time. What may be of interest is marked by the highest bit of its byte: all that is, and
//! some that is not, which a closer look sorts out. Other bits of the marks mean nothing.

/// Eight times `byte`.
pub(crate) const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Marks what is `byte`.
#[inline(always)]
pub(crate) fn equal(eight: u64, byte: u8) -> u64 {
    // What is equal becomes zero, and one less than that has its highest bit.
    (eight ^ each(byte)).wrapping_sub(each(1))
}

/// Marks what is below `byte`, which is ASCII, and what is not ASCII.
#[inline(always)]
pub(crate) fn below(eight: u64, byte: u8) -> u64 {
    eight.wrapping_sub(each(byte)) | eight
}

/// Marks what is above `byte`, which is ASCII.
#[inline(always)]
pub(crate) fn above(eight: u64, byte: u8) -> u64 {
    each(byte).wrapping_sub(eight) | eight
}

/// How many bytes come before the first that is a `stop`, which is asked of those that are marked; of some twice.
#[inline(always)]
pub(crate) fn run(bytes: &[u8], marks: impl Fn(u64) -> u64, mut stop: impl FnMut(u8) -> bool) -> usize {
    let mut first = |eight: &[u8; 8]| {
        let mut marks = marks(u64::from_le_bytes(*eight)) & each(0x80);
        while marks != 0 {
            let i = marks.trailing_zeros() as usize / 8;
            if stop(eight[i]) {
                return Some(i);
            }
            marks &= marks - 1;
        }
        None
    };
    let mut left = bytes;
    while let Some((eight, behind)) = left.split_first_chunk() {
        if let Some(i) = first(eight) {
            return bytes.len() - left.len() + i;
        }
        left = behind;
    }
    match bytes.last_chunk() {
        // Those of its bytes that were seen before are no stops.
        Some(last) => first(last).map_or(bytes.len(), |i| bytes.len() - 8 + i),
        None => left.iter().position(|b| stop(*b)).unwrap_or(left.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_marked(marks: u64, i: usize) -> bool {
        marks & (0x80 << (8 * i)) != 0
    }

    proptest! {
        #[test]
        fn what_is_meant_is_marked(bytes: [u8; 8], byte in 0u8..0x80) {
            let eight = u64::from_le_bytes(bytes);
            for (i, b) in bytes.into_iter().enumerate() {
                prop_assert!(b != byte || is_marked(equal(eight, byte), i), "{bytes:?} = {byte}");
                prop_assert!(b >= byte && b < 0x80 || is_marked(below(eight, byte), i), "{bytes:?} < {byte}");
                prop_assert!(b <= byte || is_marked(above(eight, byte), i), "{bytes:?} > {byte}");
            }
        }

        #[test]
        fn runs_end_at_the_first_stop(bytes in proptest::collection::vec(0u8..8, 0..40), wanted in 0u8..8) {
            let first = bytes.iter().position(|b| *b == wanted).unwrap_or(bytes.len());
            prop_assert_eq!(run(&bytes, |eight| equal(eight, wanted), |b| b == wanted), first);
            prop_assert_eq!(run(&bytes, |_| u64::MAX, |b| b == wanted), first);
        }
    }
}
