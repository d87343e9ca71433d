//! The rule for names with right-to-left letters (RFC 5893 §2), which RFC 8265 §3.3.2 applies to the localpart.

use icu_properties::CodePointMapData;
use icu_properties::props::BidiClass;

/// Whether the text has no right-to-left code point, or obeys the six conditions of RFC 5893 §2.
///
/// A text with such a code point can only pass as a right-to-left label: condition 1 wants L, R or AL first, and after
/// an L condition 5 forbids the very code point that brought us here. So conditions 5 and 6 need no code.
pub(super) fn is_allowed(text: &str) -> bool {
    let classes = CodePointMapData::<BidiClass>::new();
    let is_rtl =
        |class| matches!(class, BidiClass::RightToLeft | BidiClass::ArabicLetter | BidiClass::ArabicNumber);
    if !text.chars().any(|c| is_rtl(classes.get(c))) {
        return true;
    }
    let mut european = false;
    let mut arabic = false;
    let mut ends_well = false;
    for (index, c) in text.chars().enumerate() {
        let class = classes.get(c);
        // Condition 1.
        if index == 0 && !matches!(class, BidiClass::RightToLeft | BidiClass::ArabicLetter) {
            return false;
        }
        match class {
            BidiClass::RightToLeft | BidiClass::ArabicLetter => ends_well = true,
            BidiClass::ArabicNumber => (arabic, ends_well) = (true, true),
            BidiClass::EuropeanNumber => (european, ends_well) = (true, true),
            BidiClass::EuropeanSeparator
            | BidiClass::CommonSeparator
            | BidiClass::EuropeanTerminator
            | BidiClass::OtherNeutral
            | BidiClass::BoundaryNeutral => ends_well = false,
            // Condition 3 looks through marks at the end.
            BidiClass::NonspacingMark => {}
            // Condition 2.
            _ => return false,
        }
    }
    // Conditions 3 and 4.
    ends_well && !(european && arabic)
}
