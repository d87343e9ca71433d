//! Code points that are allowed only in certain company (RFC 5892 appendix A).

use icu_properties::CodePointMapData;
use icu_properties::props::{CanonicalCombiningClass, JoiningType, Script};

/// Whether the neighbours of the code point `c`, which starts at byte `at` of `text`, allow it there.
///
/// `c` is one of those that [`precis`](super::precis) classifies as needing a context; for any other the answer is no.
/// Rules that look at the whole text are for [`first_misfit`].
pub(super) fn fits_neighbours(text: &str, at: usize, c: char) -> bool {
    let before = &text[..at];
    let after = &text[at + c.len_utf8()..];
    match c {
        // A.1: zero width non-joiner.
        '\u{200C}' => follows_virama(before) || breaks_cursive_join(before, after),
        // A.2: zero width joiner.
        '\u{200D}' => follows_virama(before),
        // A.3: middle dot, for the Catalan "l·l".
        '\u{00B7}' => before.ends_with('l') && after.starts_with('l'),
        // A.4: Greek lower numeral sign.
        '\u{0375}' => after.chars().next().is_some_and(|c| script(c) == Script::Greek),
        // A.5, A.6: Hebrew geresh and gershayim.
        '\u{05F3}' | '\u{05F4}' => before.chars().next_back().is_some_and(|c| script(c) == Script::Hebrew),
        // A.7 to A.9: no matter where.
        '\u{30FB}' | '\u{0660}'..='\u{0669}' | '\u{06F0}'..='\u{06F9}' => true,
        _ => false,
    }
}

/// A code point that the text as a whole does not allow, if there is one. One pass for all such code points: a text
/// may consist of nothing else.
pub(super) fn first_misfit(text: &str) -> Option<char> {
    let (mut dot, mut arabic, mut extended, mut japanese) = (None, None, None, false);
    for c in text.chars() {
        match c {
            '\u{30FB}' => dot = Some(c),
            '\u{0660}'..='\u{0669}' => arabic = arabic.or(Some(c)),
            '\u{06F0}'..='\u{06F9}' => extended = Some(c),
            _ => japanese |= matches!(script(c), Script::Hiragana | Script::Katakana | Script::Han),
        }
    }
    // A.7: the Katakana middle dot stands among Japanese letters. A.8, A.9: the two sets of Arabic digits do not mix.
    dot.filter(|_| !japanese).or(arabic.filter(|_| extended.is_some()))
}

fn script(c: char) -> Script {
    CodePointMapData::<Script>::new().get(c)
}

fn follows_virama(before: &str) -> bool {
    let classes = CodePointMapData::<CanonicalCombiningClass>::new();
    before.chars().next_back().is_some_and(|c| classes.get(c) == CanonicalCombiningClass::Virama)
}

/// Between a letter that joins to the left and one that joins to the right, transparent ones skipped.
fn breaks_cursive_join(before: &str, after: &str) -> bool {
    let types = CodePointMapData::<JoiningType>::new();
    let mut left = before.chars().rev().map(|c| types.get(c)).skip_while(|t| *t == JoiningType::Transparent);
    let mut right = after.chars().map(|c| types.get(c)).skip_while(|t| *t == JoiningType::Transparent);
    matches!(left.next(), Some(JoiningType::LeftJoining | JoiningType::DualJoining))
        && matches!(right.next(), Some(JoiningType::RightJoining | JoiningType::DualJoining))
}
