//! SASLprep (RFC 4013), so that a password typed on another keyboard derives the same keys.
//!
//! Two things are newer than the RFC: normalisation and direction follow today's Unicode instead of version 3.2,
//! and characters unknown to 3.2 (all emoji, for one) are let through, as the RFC has it for queries. Preparing
//! twice gives the same as preparing once.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::BidiClass;

/// Prepares a password or a simple user name; `None` if it may not be used (RFC 4013 §2.3, §2.4).
///
/// Printable ASCII is returned as it is, without a copy. An empty string is prepared to an empty one, and so may
/// others be; whether that is a password is the caller's to say.
pub fn saslprep(text: &str) -> Option<Cow<'_, str>> {
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Some(Cow::Borrowed(text));
    }
    // §2.1: spaces first, as U+200B is in both tables and widespread implementations keep it as a space.
    let mapped: String =
        text.chars().map(|c| if is_space(c) { ' ' } else { c }).filter(|&c| !is_nothing(c)).collect();
    // §2.2
    let normalized = match ComposingNormalizerBorrowed::new_nfkc().normalize(&mapped) {
        Cow::Borrowed(_) => mapped,
        Cow::Owned(normalized) => normalized,
    };
    if normalized.chars().any(is_prohibited) || !direction_is_clear(&normalized) {
        return None;
    }
    Some(Cow::Owned(normalized))
}

/// Spaces beyond ASCII (RFC 3454 table C.1.2).
fn is_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// What is mapped to nothing (RFC 3454 table B.1).
fn is_nothing(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{1806}' | '\u{180b}'..='\u{180d}' | '\u{200b}'..='\u{200d}'
        | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// RFC 4013 §2.3, by the tables of RFC 3454 in their order; surrogates (C.5) cannot be in a `char`.
fn is_prohibited(c: char) -> bool {
    match c {
        _ if is_space(c) => true,
        // C.2.1, C.2.2: control characters.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
        '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{200c}' | '\u{200d}' | '\u{2028}' | '\u{2029}' => true,
        '\u{2060}'..='\u{2063}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{1d173}'..='\u{1d17a}' => true,
        // C.3: private use.
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}' => true,
        // C.4: no characters.
        '\u{fdd0}'..='\u{fdef}' => true,
        _ if u32::from(c) & 0xfffe == 0xfffe => true,
        // C.2.2 and C.6: not plain text. C.7: ideographic description.
        '\u{fff9}'..='\u{fffd}' | '\u{2ff0}'..='\u{2ffb}' => true,
        // C.8: changes of display, deprecated. C.9: tags.
        '\u{340}' | '\u{341}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' => true,
        '\u{e0001}' | '\u{e0020}'..='\u{e007f}' => true,
        _ => false,
    }
}

/// RFC 3454 §6: with a right-to-left character in it, a string has no left-to-right one, and begins and ends with
/// a right-to-left one.
fn direction_is_clear(text: &str) -> bool {
    let class = CodePointMapData::<BidiClass>::new();
    let right_to_left = |c: char| matches!(class.get(c), BidiClass::RightToLeft | BidiClass::ArabicLetter);
    if !text.chars().any(right_to_left) {
        return true;
    }
    !text.chars().any(|c| class.get(c) == BidiClass::LeftToRight)
        && text.chars().next().is_some_and(right_to_left)
        && text.chars().next_back().is_some_and(right_to_left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings_are_prepared() {
        for (text, prepared) in [
            // RFC 4013 §3, examples 1 to 7.
            ("I\u{ad}X", Some("IX")),
            ("user", Some("user")),
            ("USER", Some("USER")),
            ("\u{aa}", Some("a")),
            ("\u{2168}", Some("IX")),
            ("\u{7}", None),
            ("\u{627}\u{31}", None),
            // §2.1: spaces, and what is mapped to nothing.
            ("", Some("")),
            ("a\u{a0}b\u{3000}c\u{200b}d", Some("a b c d")),
            ("a\u{200d}b\u{fe0f}c\u{feff}d", Some("abcd")),
            ("\u{ad}", Some("")),
            // §2.2: NFKC.
            ("e\u{301}", Some("\u{e9}")),
            ("\u{fb01}\u{ff21}", Some("fiA")),
            ("a\u{340}", Some("\u{e0}")),
            // §2.3: prohibited output.
            ("a\0", None),
            ("a\u{7f}", None),
            ("a\u{85}", None),
            ("a\u{2028}", None),
            ("a\u{e000}", None),
            ("a\u{10fffd}", None),
            ("a\u{fdd0}", None),
            ("a\u{1ffff}", None),
            ("a\u{fffd}", None),
            ("a\u{2ff0}", None),
            ("a\u{202e}", None),
            ("a\u{200e}", None),
            ("a\u{e0001}", None),
            // §2.4: direction (RFC 3454 §6).
            ("\u{627}", Some("\u{627}")),
            ("\u{627}1\u{628}", Some("\u{627}1\u{628}")),
            ("\u{5d0}a\u{5d0}", None),
            ("1\u{5d0}", None),
            // Newer than Unicode 3.2, let through.
            ("p\u{1f511}", Some("p\u{1f511}")),
        ] {
            assert_eq!(saslprep(text).as_deref(), prepared, "{text:?}");
        }
    }

    #[test]
    fn printable_ascii_is_not_copied() {
        assert!(matches!(saslprep("correct horse ~!"), Some(Cow::Borrowed(_))));
    }

    proptest! {
        #[test]
        fn preparing_twice_changes_nothing(text in any::<String>()) {
            if let Some(once) = saslprep(&text) {
                prop_assert_eq!(saslprep(&once), Some(once.clone()));
            }
        }
    }
}
