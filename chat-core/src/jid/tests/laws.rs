//! What holds for every text.

use std::hash::{Hash, Hasher};

use proptest::prelude::*;
use siphasher::sip::SipHasher13;

use super::super::*;

/// Texts that often are addresses, and often nearly so.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\PC{0,12}@\\PC{0,12}/\\PC{0,12}",
        "[a-cA-C0-9._@/ -]{0,24}",
        "[a-zß-ɏα-ωΑ-Ωא-ת٠-٩\u{300}-\u{315}ｦ-ﾟ·]{1,8}@[a-zß-ÿα-ω]{1,6}\\.[a-z]{2}/\\PC{1,8}",
        "x@y/[😀-🙏❤☀👨👩🏻-🏿\u{200D}\u{FE0E}\u{FE0F}1#a]{1,8}",
        "(xn--|XN--)?[a-zA-Z0-9-]{1,12}(\\.|。)(xn--)?[a-zß-ÿ0-9-]{1,12}",
    ]
}

/// ASCII texts near the edge between the two ways.
fn ascii_texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\\x00-\\x7F]{0,24}",
        "[a-z0-9.]{1,10}@[a-z0-9._-]{1,16}/[ -~]{1,10}",
        "[ -~]{1,6}@([a-zA-Z_0-9-]{1,5}\\.){0,3}[a-z0-9-]{1,5}(/[ -~]{1,6})?",
        "([a-z]{60,66}\\.){0,2}[a-z]{60,66}",
        "[a-z]{1020,1026}@b/[a-z]{1020,1026}",
        "(xn--[a-z0-9-]{1,9}\\.)?xn--[a-z0-9-]{1,9}",
        "\\[[0-9a-fA-F:.]{0,12}\\]",
    ]
}

fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(1, 2);
    value.hash(&mut hasher);
    hasher.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Never a panic; and preparing twice is preparing once.
    #[test]
    fn preparation_is_idempotent(text in texts()) {
        let mut first = String::new();
        let Ok(once) = parse(&text, &mut first) else { return Ok(()) };
        let mut second = String::new();
        let twice = parse(once.as_str(), &mut second);
        prop_assert_eq!(twice, Ok(once));
    }

    /// The same for each part alone.
    #[test]
    fn preparation_of_parts_is_idempotent(text in texts()) {
        if let Ok(once) = prepare_local(&text) {
            let twice = prepare_local(&once);
            prop_assert_eq!(twice, Ok(once.clone()));
        }
        if let Ok(once) = prepare_domain(&text) {
            let twice = prepare_domain(&once);
            prop_assert_eq!(twice, Ok(once.clone()));
        }
        if let Ok(once) = prepare_resource(&text) {
            let twice = prepare_resource(&once);
            prop_assert_eq!(twice, Ok(once.clone()));
        }
    }

    /// The fast way decides nothing that the slow way would decide differently.
    #[test]
    fn fast_way_equals_slow_way(text in ascii_texts()) {
        let mut scratch = String::new();
        if let Some(fast) = fast::parse(&text) {
            prop_assert_eq!(fast.as_str(), &text);
            prop_assert_eq!(parse_without_shortcuts(&text, &mut scratch), Ok(fast));
        } else if let Ok(slow) = parse_without_shortcuts(&text, &mut scratch) {
            // What the fast way leaves alone either changes, or is an IPv6 literal or became Unicode.
            prop_assert!(slow.as_str() != text || text.contains('['), "{:?}", text);
        }
    }

    /// The parts are those of the text, within their bounds, and equality is that of the text.
    #[test]
    fn parts_make_up_the_text(text in texts(), other in texts()) {
        let (Ok(jid), other) = (Jid::parse(&text), Jid::parse(&other)) else { return Ok(()) };
        let mut whole = String::new();
        if let Some(local) = jid.local() {
            prop_assert!((1..=1023).contains(&local.len()));
            whole = format!("{local}@");
        }
        prop_assert!((1..=1023).contains(&jid.domain().len()));
        whole.push_str(jid.domain());
        if let Some(resource) = jid.resource() {
            prop_assert!((1..=1023).contains(&resource.len()));
            whole = format!("{whole}/{resource}");
        }
        prop_assert_eq!(&jid, whole.as_str());
        prop_assert_eq!(hash_of(&jid), hash_of(jid.as_str()));
        prop_assert_eq!(hash_of(jid.as_ref()), hash_of(jid.as_str()));
        prop_assert_eq!(hash_of(jid.to_bare()), hash_of(jid.bare().as_str()));
        if let Ok(other) = other {
            prop_assert_eq!(jid == other, jid.as_str() == other.as_str());
            prop_assert_eq!(jid.cmp(&other), jid.as_str().cmp(other.as_str()));
            prop_assert_eq!(jid.as_ref().cmp(&other.as_ref()), jid.as_str().cmp(other.as_str()));
        }
    }

    /// Upper and lower case of the localpart and domain are one address; of the resource, two.
    #[test]
    fn ascii_case(local in "[a-z0-9.]{1,8}", domain in "[a-z]{1,8}(\\.[a-z]{2})?", resource in "[a-z]{1,8}") {
        let lower = Jid::parse(&format!("{local}@{domain}/{resource}")).unwrap();
        let upper = format!("{}@{}/", local.to_uppercase(), domain.to_uppercase());
        prop_assert_eq!(Jid::parse(&format!("{upper}{resource}")).unwrap(), lower.clone());
        prop_assert_ne!(Jid::parse(&format!("{upper}{}", resource.to_uppercase())).unwrap(), lower);
    }
}

/// The slow way with the shortcuts of the parts taken out, so that it cannot borrow the fast way's answer.
fn parse_without_shortcuts<'a>(text: &str, scratch: &'a mut String) -> Result<JidRef<'a>, JidError> {
    let (local, domain, resource) = split(text);
    scratch.clear();
    if let Some(local) = local {
        scratch.push_str(&precis::settle_local(local)?);
        scratch.push('@');
    }
    scratch.push_str(&domain::normalise(domain)?);
    if let Some(resource) = resource {
        scratch.push('/');
        scratch.push_str(&precis::settle_resource(resource)?);
    }
    Ok(JidRef::of_prepared(scratch))
}

/// Every code point alone in each part: no panic, stable, and no separator appears out of nothing.
#[test]
fn every_code_point() {
    for c in char::MIN..=char::MAX {
        let text = c.to_string();
        for prepare in [prepare_local, prepare_resource] {
            if let Ok(once) = prepare(&text) {
                assert_eq!(prepare(&once).as_deref(), Ok(&*once), "U+{:04X}", u32::from(c));
            }
        }
        if let Ok(local) = prepare_local(&text) {
            assert!(!local.contains(|c| " \"&'/:<>@".contains(c)), "U+{:04X}", u32::from(c));
        }
    }
}
