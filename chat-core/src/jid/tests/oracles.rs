//! Comparison with other implementations, where both are defined.
//!
//! Known differences, ours first:
//! - `jid` 0.12 follows stringprep (Unicode 3.2): it refuses newer characters such as most emoji, folds `ß` to `ss` and
//!   compatibility forms to ordinary ones, keeps A-labels and IPv6 spellings as written, refuses `--` in the third
//!   place of a label, admits in domains much ASCII punctuation that no host name has, and drops the trailing dot only
//!   where some part had to be copied. So it is asked about ASCII with plain host names only.
//! - `precis-profiles` 0.2 knows Unicode 6.3: texts with a code point that it calls unassigned are left out.
//! - It maps `Σ` at the end of a word to `ς`; we map each code point alone (RFC 7622 §3.5).
//! - It refuses marks inside right-to-left names; RFC 5893 §2 only says how such a name may end.
//! - It does not look again at what normalisation made: U+0387 becomes the middle dot, which may not stand alone.
//! - It refuses the glue of emoji sequences in resources; we drop it.
//! - It has the profile only, without the list of RFC 7622 §3.3.1 and without a bound on length.

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use precis_core::{DerivedPropertyValue, Error, FreeformClass, IdentifierClass, StringClass};
use precis_profiles::precis_core;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use precis_profiles::{OpaqueString, UsernameCaseMapped};
use proptest::prelude::*;

use super::super::precis::{Derived, derive};
use super::super::*;

#[test]
fn classes_agree_for_every_code_point() {
    let mut different = String::new();
    for c in char::MIN..=char::MAX {
        let identifier = IdentifierClass::default().get_value_from_char(c);
        let freeform = FreeformClass::default().get_value_from_char(c);
        let theirs = match (identifier, freeform) {
            (DerivedPropertyValue::Unassigned, _) => continue,
            (DerivedPropertyValue::PValid, _) => Derived::Valid,
            (DerivedPropertyValue::SpecClassDis, _) => Derived::FreeformOnly,
            (DerivedPropertyValue::ContextJ | DerivedPropertyValue::ContextO, _) => Derived::Contextual,
            _ => Derived::Disallowed,
        };
        if derive(c) != theirs {
            different.push(c);
        }
    }
    assert!(different.is_empty(), "{}", different.escape_unicode());
}

fn is_known_to_both(text: &str) -> bool {
    let class = FreeformClass::default();
    text.chars().all(|c| class.get_value_from_char(c) != DerivedPropertyValue::Unassigned)
}

fn has_mark(text: &str) -> bool {
    let categories = CodePointMapData::<GeneralCategory>::new();
    text.chars().any(|c| categories.get(c) == GeneralCategory::NonspacingMark)
}

/// Letters of many scripts, forms that are mapped, marks, contextual ones, digits of all kinds, symbols.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9 -~]{1,8}",
        "[À-ɏͰ-ϿЀ-ӿ\u{300}-\u{345}Ａ-ｚ]{1,8}",
        "[א-ת\u{5B0}-\u{5BC}ء-ي٠-٩۰-۹0-9a.\u{200C}\u{200D}-]{1,6}",
        "[क-ह\u{93C}\u{94D}\u{200C}\u{200D}]{1,6}",
        "[ぁ-んァ-ヶ・ｦ-ﾟ一-十lL·͵α]{1,6}",
        "[Ḁ-ỿἀ-῾ⅠⅡ①②ﬁﬂÅK℀☃♚ \u{A0}\u{3000}\u{2003}]{1,6}",
        "\\PC{1,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn localpart_agrees_with_precis_profiles(text in names()) {
        // The differences named above.
        if !is_known_to_both(&text) || text.contains('Σ') {
            return Ok(());
        }
        let theirs = UsernameCaseMapped::enforce(text.as_str());
        let ours = prepare_local(&text);
        match (ours, theirs) {
            (Ok(ours), Err(Error::Invalid)) => prop_assert!(has_mark(&ours) && !ours.is_ascii(), "{:?}", ours),
            (Ok(ours), theirs) => prop_assert_eq!(Ok(ours), theirs),
            (Err(error), Ok(theirs)) => {
                let listed = theirs.contains(|c| "\"&'/:<>@".contains(c));
                prop_assert!(listed && matches!(error.reason, Reason::Forbidden(_)), "{:?} {:?}", error, theirs);
            }
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn resource_agrees_with_precis_profiles(text in names()) {
        if !is_known_to_both(&text) || text.contains(['\u{FE0E}', '\u{FE0F}', '\u{387}']) {
            return Ok(());
        }
        prop_assert_eq!(prepare_resource(&text).ok(), OpaqueString::enforce(text.as_str()).ok());
    }

    #[test]
    fn ascii_agrees_with_the_jid_crate(
        local in proptest::option::of("[\\x00-.0-?A-\\x7F]{0,10}"),
        domain in "([a-zA-Z][a-zA-Z0-9]{0,6}\\.){0,3}[a-zA-Z]([a-z0-9]{0,5}[A-Za-z0-9])?",
        resource in proptest::option::of("[\\x00-\\x7F]{0,10}"),
    ) {
        let mut text = local.map(|local| format!("{local}@")).unwrap_or_default();
        text.push_str(&domain);
        if let Some(resource) = resource {
            text = format!("{text}/{resource}");
        }
        let theirs = jid::Jid::new(&text);
        let ours = Jid::parse(&text);
        prop_assert_eq!(ours.as_ref().map(Jid::as_str).ok(), theirs.as_ref().map(jid::Jid::as_str).ok());
    }
}
