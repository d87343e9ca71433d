//! The two PRECIS profiles of an address: `UsernameCaseMapped` for the localpart (RFC 8265 §3.3), `OpaqueString` for
//! the resourcepart (RFC 8265 §4.2), and the string classes beneath them (RFC 8264 §8).

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{
    DefaultIgnorableCodePoint, Emoji, EmojiModifier, ExtendedPictographic, GeneralCategory,
    HangulSyllableType,
};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::{JidError, Part, Reason, bidi, check_length, check_unprepared_length, context, fast};

const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();
const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfkc();

/// How often the rules of a profile are applied before a text counts as unstable (RFC 8264 §7: three more times).
const ROUNDS_MAX: usize = 4;

/// Prepares a localpart (RFC 7622 §3.3): narrow, lower case, NFC, only letters, digits and most ASCII punctuation,
/// one writing direction. Borrows what is prepared already.
pub fn prepare_local(text: &str) -> Result<Cow<'_, str>, JidError> {
    if fast::is_prepared_local(text) {
        return Ok(Cow::Borrowed(text));
    }
    settle_local(text)
}

/// Prepares a resourcepart (RFC 7622 §3.4): every space U+0020, NFC, anything printable, case kept. Borrows what is
/// prepared already.
pub fn prepare_resource(text: &str) -> Result<Cow<'_, str>, JidError> {
    if fast::is_prepared_resource(text) {
        return Ok(Cow::Borrowed(text));
    }
    settle_resource(text)
}

/// [`prepare_local`] without the shortcut for prepared ASCII.
pub(super) fn settle_local(text: &str) -> Result<Cow<'_, str>, JidError> {
    settle(Part::Local, text, map_local)
}

/// [`prepare_resource`] without the shortcut for prepared ASCII.
pub(super) fn settle_resource(text: &str) -> Result<Cow<'_, str>, JidError> {
    settle(Part::Resource, text, map_resource)
}

/// Applies the rules of a profile until they change nothing (RFC 8264 §7).
fn settle(part: Part, text: &str, map: fn(&str) -> Result<String, Reason>) -> Result<Cow<'_, str>, JidError> {
    check_unprepared_length(part, text)?;
    let mut current = Cow::Borrowed(text);
    for _ in 0..ROUNDS_MAX {
        let next = map(&current).map_err(|reason| JidError { part, reason })?;
        if next == *current {
            check_length(part, &current)?;
            return Ok(current);
        }
        current = Cow::Owned(next);
    }
    Err(JidError { part, reason: Reason::Unstable })
}

/// One round of RFC 8265 §3.3.3. The order is the profile's: what is forbidden is forbidden before case is mapped.
fn map_local(text: &str) -> Result<String, Reason> {
    let narrow = map_width(text);
    check_class(&narrow, Class::Identifier)?;
    let lower: String = narrow.chars().flat_map(char::to_lowercase).collect();
    let composed = NFC.normalize(&lower).into_owned();
    // RFC 7622 §3.3.1 has this list beyond the profile's own.
    if let Some(c) = composed.chars().find(|c| "\"&'/:<>@".contains(*c)) {
        return Err(Reason::Forbidden(c));
    }
    if !bidi::is_allowed(&composed) {
        return Err(Reason::Bidi);
    }
    Ok(composed)
}

/// One round of RFC 8265 §4.2.3, after the glue of emoji sequences has been dropped (see the folder's decisions).
fn map_resource(text: &str) -> Result<String, Reason> {
    let plain = drop_emoji_glue(text);
    check_class(&plain, Class::Freeform)?;
    let spaced: String = plain.chars().map(|c| if is_space(c) { ' ' } else { c }).collect();
    Ok(NFC.normalize(&spaced).into_owned())
}

/// Replaces full-width and half-width forms by their ordinary ones (RFC 8265 §3.3.2). The code points with a `<wide>`
/// or `<narrow>` decomposition are those of this block and the ideographic space; where the compatibility mapping
/// goes further than one step, both ends are forbidden in a localpart anyway.
fn map_width(text: &str) -> Cow<'_, str> {
    let is_wide = |c: char| matches!(c, '\u{3000}' | '\u{FF00}'..='\u{FFEF}');
    if !text.contains(is_wide) {
        return Cow::Borrowed(text);
    }
    let mut narrow = String::with_capacity(text.len());
    for c in text.chars() {
        if is_wide(c) {
            narrow.push_str(&NFKC.normalize(c.encode_utf8(&mut [0; 4])));
        } else {
            narrow.push(c);
        }
    }
    Cow::Owned(narrow)
}

fn drop_emoji_glue(text: &str) -> String {
    let emoji = CodePointSetData::new::<Emoji>();
    let modifiers = CodePointSetData::new::<EmojiModifier>();
    let pictographs = CodePointSetData::new::<ExtendedPictographic>();
    let mut kept = String::with_capacity(text.len());
    let mut last = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let is_glue = match c {
            // Variation selectors: show as text, show as emoji.
            '\u{FE0E}' | '\u{FE0F}' => last.is_some_and(|l| emoji.contains(l)),
            '\u{200D}' => {
                last.is_some_and(|l| pictographs.contains(l) || modifiers.contains(l))
                    && rest.clone().next().is_some_and(|n| pictographs.contains(n))
            }
            _ => false,
        };
        if !is_glue {
            kept.push(c);
            last = Some(c);
        }
    }
    kept
}

/// The two string classes (RFC 8264 §4).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Identifier,
    Freeform,
}

/// What a string class makes of a code point (RFC 8264 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Derived {
    /// PVALID.
    Valid,
    /// ID_DIS or FREE_PVAL: valid in the freeform class only.
    FreeformOnly,
    /// CONTEXTJ or CONTEXTO.
    Contextual,
    /// DISALLOWED or UNASSIGNED.
    Disallowed,
}

fn check_class(text: &str, class: Class) -> Result<(), Reason> {
    let mut contextual = false;
    for (at, c) in text.char_indices() {
        match derive(c) {
            Derived::Valid => {}
            Derived::FreeformOnly if class == Class::Freeform => {}
            Derived::Contextual if context::fits_neighbours(text, at, c) => contextual = true,
            Derived::Contextual => return Err(Reason::Context(c)),
            Derived::FreeformOnly | Derived::Disallowed => return Err(Reason::Forbidden(c)),
        }
    }
    match contextual.then(|| context::first_misfit(text)).flatten() {
        Some(c) => Err(Reason::Context(c)),
        None => Ok(()),
    }
}

/// The algorithm of RFC 8264 §8, in its order. Letters in parentheses are those of RFC 8264 §9.
pub(super) fn derive(c: char) -> Derived {
    if matches!(c, '!'..='~') {
        return Derived::Valid; // ASCII7 (K); no exception is ASCII
    }
    if let Some(derived) = exception(c) {
        return derived;
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    if category == GeneralCategory::Unassigned {
        return Derived::Disallowed; // Unassigned (J), noncharacters of (M)
    }
    if matches!(c, '\u{200C}' | '\u{200D}') {
        return Derived::Contextual; // JoinControl (H)
    }
    if is_old_hangul(c)
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || category == GeneralCategory::Control
    {
        return Derived::Disallowed; // OldHangulJamo (I), PrecisIgnorableProperties (M), Controls (L)
    }
    if !NFKC.is_normalized(c.encode_utf8(&mut [0; 4])) {
        return Derived::FreeformOnly; // HasCompat (Q)
    }
    match category {
        // LetterDigits (A)
        GeneralCategory::LowercaseLetter
        | GeneralCategory::UppercaseLetter
        | GeneralCategory::OtherLetter
        | GeneralCategory::DecimalNumber
        | GeneralCategory::ModifierLetter
        | GeneralCategory::NonspacingMark
        | GeneralCategory::SpacingMark => Derived::Valid,
        // OtherLetterDigits (R)
        GeneralCategory::TitlecaseLetter
        | GeneralCategory::LetterNumber
        | GeneralCategory::OtherNumber
        | GeneralCategory::EnclosingMark
        // Spaces (N)
        | GeneralCategory::SpaceSeparator
        // Symbols (O)
        | GeneralCategory::MathSymbol
        | GeneralCategory::CurrencySymbol
        | GeneralCategory::ModifierSymbol
        | GeneralCategory::OtherSymbol
        // Punctuation (P)
        | GeneralCategory::ConnectorPunctuation
        | GeneralCategory::DashPunctuation
        | GeneralCategory::OpenPunctuation
        | GeneralCategory::ClosePunctuation
        | GeneralCategory::InitialPunctuation
        | GeneralCategory::FinalPunctuation
        | GeneralCategory::OtherPunctuation => Derived::FreeformOnly,
        _ => Derived::Disallowed,
    }
}

/// Exceptions (F): RFC 5892 §2.6.
fn exception(c: char) -> Option<Derived> {
    match c {
        '\u{00DF}' | '\u{03C2}' | '\u{06FD}' | '\u{06FE}' | '\u{0F0B}' | '\u{3007}' => Some(Derived::Valid),
        '\u{00B7}' | '\u{0375}' | '\u{05F3}' | '\u{05F4}' | '\u{30FB}' => Some(Derived::Contextual),
        '\u{0660}'..='\u{0669}' | '\u{06F0}'..='\u{06F9}' => Some(Derived::Contextual),
        '\u{0640}' | '\u{07FA}' | '\u{302E}' | '\u{302F}' | '\u{3031}'..='\u{3035}' | '\u{303B}' => {
            Some(Derived::Disallowed)
        }
        _ => None,
    }
}

fn is_old_hangul(c: char) -> bool {
    matches!(
        CodePointMapData::<HangulSyllableType>::new().get(c),
        HangulSyllableType::LeadingJamo | HangulSyllableType::VowelJamo | HangulSyllableType::TrailingJamo
    )
}

fn is_space(c: char) -> bool {
    CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::SpaceSeparator
}
