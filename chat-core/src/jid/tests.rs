//! Tables first: the examples of RFC 7622 and the rules of each part, expected cells as literals. Laws that hold for
//! every text are in `laws`, comparisons with other implementations in `oracles`.

mod laws;
mod oracles;

use std::collections::BTreeMap;

use super::*;

fn prepared(text: &str) -> Result<String, JidError> {
    parse(text, &mut String::new()).map(|jid| jid.as_str().to_owned())
}

fn error(part: Part, reason: Reason) -> Result<String, JidError> {
    Err(JidError { part, reason })
}

fn ok(text: &str) -> Result<String, JidError> {
    Ok(text.to_owned())
}

/// RFC 7622 §3.5, table 1: text, localpart, domain, resource.
#[test]
fn valid_examples_of_rfc_7622() {
    type Row = (&'static str, Option<&'static str>, &'static str, Option<&'static str>);
    let table: &[Row] = &[
        ("juliet@example.com", Some("juliet"), "example.com", None),
        ("juliet@example.com/foo", Some("juliet"), "example.com", Some("foo")),
        ("juliet@example.com/foo bar", Some("juliet"), "example.com", Some("foo bar")),
        ("juliet@example.com/foo@bar", Some("juliet"), "example.com", Some("foo@bar")),
        ("foo\\20bar@example.com", Some("foo\\20bar"), "example.com", None),
        ("fussball@example.com", Some("fussball"), "example.com", None),
        ("fu\u{DF}ball@example.com", Some("fu\u{DF}ball"), "example.com", None),
        ("\u{3C0}@example.com", Some("\u{3C0}"), "example.com", None),
        ("\u{3A3}@example.com/foo", Some("\u{3C3}"), "example.com", Some("foo")),
        ("\u{3C3}@example.com/foo", Some("\u{3C3}"), "example.com", Some("foo")),
        ("\u{3C2}@example.com/foo", Some("\u{3C2}"), "example.com", Some("foo")),
        ("king@example.com/\u{265A}", Some("king"), "example.com", Some("\u{265A}")),
        ("example.com", None, "example.com", None),
        ("example.com/foobar", None, "example.com", Some("foobar")),
        ("a.example.com/b@example.net", None, "a.example.com", Some("b@example.net")),
    ];
    for (text, local, domain, resource) in table {
        let mut scratch = String::new();
        let jid = parse(text, &mut scratch).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!((jid.local(), jid.domain(), jid.resource()), (*local, *domain, *resource), "{text}");
    }
}

/// RFC 7622 §3.5, table 2. Row 18 is the documented exception: `OpaqueString` allows what that row refuses.
#[test]
fn invalid_examples_of_rfc_7622() {
    let table = [
        ("\"juliet\"@example.com", error(Part::Local, Reason::Forbidden('"'))),
        ("foo bar@example.com", error(Part::Local, Reason::Forbidden(' '))),
        ("juliet@example.com/ foo", ok("juliet@example.com/ foo")),
        ("@example.com/", error(Part::Local, Reason::Empty)),
        ("henry\u{2163}@example.com", error(Part::Local, Reason::Forbidden('\u{2163}'))),
        ("\u{265A}@example.com", error(Part::Local, Reason::Forbidden('\u{265A}'))),
        ("juliet@", error(Part::Domain, Reason::Empty)),
        ("/foobar", error(Part::Domain, Reason::Empty)),
    ];
    for (text, expected) in table {
        assert_eq!(prepared(text), expected, "{text}");
    }
}

/// RFC 7622 §3.1: the first `/`, then the first `@` before it.
#[test]
fn separators() {
    let table = [
        ("a@b/c@d/e", ok("a@b/c@d/e")),
        ("a@b//", ok("a@b//")),
        ("a/@b", ok("a/@b")),
        ("a@b@c", error(Part::Domain, Reason::BadDomain)),
        ("", error(Part::Domain, Reason::Empty)),
        ("@", error(Part::Local, Reason::Empty)),
        ("/", error(Part::Domain, Reason::Empty)),
        ("b/", error(Part::Resource, Reason::Empty)),
        ("a@b/", error(Part::Resource, Reason::Empty)),
        // Wide forms do not separate; a wide `＠` becomes a forbidden `@` (RFC 7622 §3.3.1).
        ("a\u{FF20}b@c", error(Part::Local, Reason::Forbidden('@'))),
        ("a\u{FF0F}b", error(Part::Domain, Reason::BadDomain)),
        ("a@b/c\u{FF20}", ok("a@b/c\u{FF20}")),
    ];
    for (text, expected) in table {
        assert_eq!(prepared(text), expected, "{text}");
    }
}

/// RFC 7622 §3.3 and RFC 8265 §3.3.
#[test]
fn localparts() {
    let forbidden = |c| Err(JidError { part: Part::Local, reason: Reason::Forbidden(c) });
    let table: &[(&str, Result<&str, JidError>)] = &[
        ("juliet", Ok("juliet")),
        ("Juliet", Ok("juliet")),
        ("a!#$%()*+,-.;=?[\\]^_`{|}~0", Ok("a!#$%()*+,-.;=?[\\]^_`{|}~0")),
        ("", Err(JidError { part: Part::Local, reason: Reason::Empty })),
        // RFC 7622 §3.3.1.
        ("a\"", forbidden('"')),
        ("a&", forbidden('&')),
        ("a'", forbidden('\'')),
        ("a/", forbidden('/')),
        ("a:", forbidden(':')),
        ("a<", forbidden('<')),
        ("a>", forbidden('>')),
        ("a@", forbidden('@')),
        ("a b", forbidden(' ')),
        ("a\u{7F}", forbidden('\u{7F}')),
        ("a\0", forbidden('\0')),
        ("a\u{A0}", forbidden('\u{A0}')),
        // Width (RFC 8265 §3.3.2 rule 1), also into a character that is then forbidden.
        ("\u{FF2A}uliet", Ok("juliet")),
        ("\u{FF76}\u{FF9E}", Ok("\u{30AC}")),
        ("a\u{3000}b", forbidden(' ')),
        ("a\u{FF07}b", forbidden('\'')),
        // Case (rule 3): one code point at a time, full mappings.
        ("\u{130}", Ok("i\u{307}")),
        ("\u{1E9E}", Ok("\u{DF}")),
        ("\u{391}\u{3A3}", Ok("\u{3B1}\u{3C3}")),
        // Composition (rule 4).
        ("e\u{301}", Ok("\u{E9}")),
        ("E\u{301}", Ok("\u{E9}")),
        // Identifiers have no compatibility forms (RFC 8264 §9.17), not even those that case mapping would hide.
        ("\u{212A}", forbidden('\u{212A}')),
        ("\u{FB01}", forbidden('\u{FB01}')),
        ("\u{17F}", forbidden('\u{17F}')),
        // Symbols, other digits, title case (RFC 8264 §9.15, §9.18).
        ("\u{1F600}", forbidden('\u{1F600}')),
        ("\u{2460}", forbidden('\u{2460}')),
        ("\u{1C5}", forbidden('\u{1C5}')),
        // Ignorable, format, old Hangul, private, unassigned, noncharacter (RFC 8264 §9.10 to §9.13).
        ("a\u{AD}", forbidden('\u{AD}')),
        ("a\u{200B}", forbidden('\u{200B}')),
        ("a\u{FE0F}", forbidden('\u{FE0F}')),
        ("\u{1100}", forbidden('\u{1100}')),
        ("\u{E000}", forbidden('\u{E000}')),
        ("\u{378}", forbidden('\u{378}')),
        ("\u{FFFE}", forbidden('\u{FFFE}')),
        ("\u{FFFD}", forbidden('\u{FFFD}')),
        // Exceptions (RFC 5892 §2.6).
        ("\u{3007}", Ok("\u{3007}")),
        ("\u{640}", forbidden('\u{640}')),
    ];
    check_localparts(table);
}

/// The same, where a character depends on its neighbours.
#[test]
fn localparts_in_context() {
    let context = |c| Err(JidError { part: Part::Local, reason: Reason::Context(c) });
    let bidi = Err(JidError { part: Part::Local, reason: Reason::Bidi });
    let table: &[(&str, Result<&str, JidError>)] = &[
        // Context (RFC 5892 appendix A).
        ("l\u{B7}l", Ok("l\u{B7}l")),
        ("l\u{B7}a", context('\u{B7}')),
        ("\u{B7}l", context('\u{B7}')),
        ("\u{375}\u{3B1}", Ok("\u{375}\u{3B1}")),
        ("\u{375}a", context('\u{375}')),
        ("\u{5D0}\u{5F3}", Ok("\u{5D0}\u{5F3}")),
        ("\u{5F4}\u{5D0}", context('\u{5F4}')),
        ("\u{30A2}\u{30FB}\u{30A2}", Ok("\u{30A2}\u{30FB}\u{30A2}")),
        ("a\u{30FB}b", context('\u{30FB}')),
        ("\u{628}\u{661}", Ok("\u{628}\u{661}")),
        ("\u{628}\u{6F1}", Ok("\u{628}\u{6F1}")),
        ("\u{628}\u{661}\u{6F1}", context('\u{661}')),
        ("\u{915}\u{94D}\u{200D}", Ok("\u{915}\u{94D}\u{200D}")),
        ("\u{915}\u{94D}\u{200C}", Ok("\u{915}\u{94D}\u{200C}")),
        ("\u{915}\u{200D}", context('\u{200D}')),
        ("\u{628}\u{200C}\u{628}", Ok("\u{628}\u{200C}\u{628}")),
        ("\u{628}\u{64E}\u{200C}\u{64E}\u{627}", Ok("\u{628}\u{64E}\u{200C}\u{64E}\u{627}")),
        ("\u{627}\u{200C}\u{628}", context('\u{200C}')),
        ("a\u{200C}b", context('\u{200C}')),
        // Direction (rule 5; RFC 5893 §2).
        ("\u{5D0}\u{5D1}", Ok("\u{5D0}\u{5D1}")),
        ("\u{5D0}1", Ok("\u{5D0}1")),
        ("\u{5D0}-1\u{5B0}", Ok("\u{5D0}-1\u{5B0}")),
        ("\u{5D0}.\u{5D1}", Ok("\u{5D0}.\u{5D1}")),
        ("1\u{5D0}", bidi),
        ("\u{5D0}a", bidi),
        ("a\u{5D0}", bidi),
        ("\u{5D0}-", bidi),
        ("\u{5D0}1\u{661}", bidi),
        ("-\u{628}", bidi),
        ("a\u{661}", bidi),
    ];
    check_localparts(table);
}

fn check_localparts(table: &[(&str, Result<&str, JidError>)]) {
    for (text, expected) in table {
        assert_eq!(prepare_local(text).as_deref(), expected.as_ref().copied(), "{}", text.escape_unicode());
    }
}

/// RFC 7622 §3.4 and RFC 8265 §4.2.
#[test]
fn resources() {
    let forbidden = |c| Err(JidError { part: Part::Resource, reason: Reason::Forbidden(c) });
    let context = |c| Err(JidError { part: Part::Resource, reason: Reason::Context(c) });
    let table: &[(&str, Result<&str, JidError>)] = &[
        ("Balcony", Ok("Balcony")),
        ("", Err(JidError { part: Part::Resource, reason: Reason::Empty })),
        (" ", Ok(" ")),
        ("<&\"'>/@:", Ok("<&\"'>/@:")),
        // Spaces (rule 2).
        ("a\u{A0}b\u{3000}c\u{2003}", Ok("a b c ")),
        ("a\u{1680}b", Ok("a b")),
        // No width and no case mapping (rules 1 and 3), composition (rule 4), no direction rule (rule 5).
        ("\u{FF21}B", Ok("\u{FF21}B")),
        ("e\u{301}", Ok("\u{E9}")),
        ("\u{212B}", Ok("\u{C5}")),
        ("a\u{5D0}1", Ok("a\u{5D0}1")),
        ("\u{FB01}\u{2163}\u{1C5}", Ok("\u{FB01}\u{2163}\u{1C5}")),
        // Emoji are symbols, which the freeform class allows (RFC 8264 §4.3.1).
        ("\u{1F4F1}", Ok("\u{1F4F1}")),
        ("\u{1F44D}\u{1F3FD}", Ok("\u{1F44D}\u{1F3FD}")),
        ("\u{1F1EB}\u{1F1F7}", Ok("\u{1F1EB}\u{1F1F7}")),
        // The glue of their sequences is dropped.
        ("\u{2764}\u{FE0F}", Ok("\u{2764}")),
        ("\u{2764}\u{FE0E}", Ok("\u{2764}")),
        ("1\u{FE0F}\u{20E3}", Ok("1\u{20E3}")),
        ("\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}", Ok("\u{1F468}\u{1F469}\u{1F467}")),
        ("\u{1F3F3}\u{FE0F}\u{200D}\u{1F308}", Ok("\u{1F3F3}\u{1F308}")),
        ("\u{1F9D1}\u{1F3FD}\u{200D}\u{1F4BB}", Ok("\u{1F9D1}\u{1F3FD}\u{1F4BB}")),
        ("\u{2764}\u{FE0F}\u{FE0F}", Ok("\u{2764}")),
        // Elsewhere it is as forbidden as ever.
        ("a\u{FE0F}", forbidden('\u{FE0F}')),
        ("\u{FE0F}", forbidden('\u{FE0F}')),
        ("a\u{200D}\u{1F308}", context('\u{200D}')),
        ("\u{1F308}\u{200D}", context('\u{200D}')),
        ("\u{1F3F4}\u{E0067}\u{E007F}", forbidden('\u{E0067}')),
        // Controls, format characters and the like (RFC 8264 §4.3.3).
        ("a\0", forbidden('\0')),
        ("a\t", forbidden('\t')),
        ("a\n", forbidden('\n')),
        ("a\u{7F}", forbidden('\u{7F}')),
        ("a\u{85}", forbidden('\u{85}')),
        ("a\u{200B}", forbidden('\u{200B}')),
        ("a\u{202E}b", forbidden('\u{202E}')),
        ("a\u{2028}", forbidden('\u{2028}')),
        ("\u{FEFF}a", forbidden('\u{FEFF}')),
        ("\u{E000}", forbidden('\u{E000}')),
        ("\u{FFFF}", forbidden('\u{FFFF}')),
        ("\u{1100}", forbidden('\u{1100}')),
        ("l\u{B7}l", Ok("l\u{B7}l")),
        ("\u{B7}", context('\u{B7}')),
    ];
    for (text, expected) in table {
        assert_eq!(
            prepare_resource(text).as_deref(),
            expected.as_ref().copied(),
            "{}",
            text.escape_unicode()
        );
    }
}

/// RFC 7622 §3.2.
#[test]
fn domains() {
    let bad = Err(JidError { part: Part::Domain, reason: Reason::BadDomain });
    let empty = Err(JidError { part: Part::Domain, reason: Reason::Empty });
    let table: &[(&str, Result<&str, JidError>)] = &[
        ("example.com", Ok("example.com")),
        ("localhost", Ok("localhost")),
        ("EXAMPLE.Com", Ok("example.com")),
        ("example.com.", Ok("example.com")),
        ("example.com\u{3002}", Ok("example.com")),
        ("a\u{3002}b", Ok("a.b")),
        ("example.com..", bad),
        ("a..b", bad),
        (".a", bad),
        (".", empty),
        ("", empty),
        ("\u{AD}", empty),
        ("-a.b", bad),
        ("a-.b", bad),
        ("a--b.c-d", Ok("a--b.c-d")),
        ("r3---sn.example", Ok("r3---sn.example")),
        ("3com.example", Ok("3com.example")),
        // Deployed names have underscores.
        ("_xmpp-client._tcp.my_host", Ok("_xmpp-client._tcp.my_host")),
        ("exa mple.com", bad),
        ("a:5222", bad),
        ("a!b", bad),
        ("a%b", bad),
        ("a\\b", bad),
        ("a~", bad),
        ("a\0", bad),
        ("a\u{7F}", bad),
        // U-labels and A-labels have one form; nontransitional: ß and ς stay.
        ("fu\u{DF}ball.example", Ok("fu\u{DF}ball.example")),
        ("xn--fuball-cta.example", Ok("fu\u{DF}ball.example")),
        ("XN--FUBALL-CTA.Example", Ok("fu\u{DF}ball.example")),
        ("FU\u{DF}BALL.example", Ok("fu\u{DF}ball.example")),
        ("B\u{FC}cher.example", Ok("b\u{FC}cher.example")),
        ("bu\u{308}cher.example", Ok("b\u{FC}cher.example")),
        ("xn--bcher-kva.example.", Ok("b\u{FC}cher.example")),
        ("\u{FF45}\u{FF58}.com", Ok("ex.com")),
        ("\u{2603}.example", Ok("\u{2603}.example")),
        ("xn--n3h.example", Ok("\u{2603}.example")),
        ("xn--", bad),
        ("xn--xn--gpstllllllllllllll-4g4f4ffa.example", bad),
        ("xn--a", bad),
        ("xn--abc-.example", bad),
        ("a\u{FF20}b", bad),
        ("\u{2100}.com", bad),
        // Direction (RFC 5893 through UTS #46).
        ("\u{5D0}.example", Ok("\u{5D0}.example")),
        ("\u{5D0}a.example", bad),
        // Literals.
        ("127.0.0.1", Ok("127.0.0.1")),
        ("[::1]", Ok("[::1]")),
        ("[2001:DB8:0:0::1]", Ok("[2001:db8::1]")),
        ("[::ffff:192.0.2.1]", Ok("[::ffff:192.0.2.1]")),
        ("[::1", bad),
        ("::1", bad),
        ("[127.0.0.1]", bad),
        ("[fe80::1%25eth0]", bad),
        ("[v1.a]", bad),
        ("[]", bad),
        ("[::1].", bad),
    ];
    for (text, expected) in table {
        assert_eq!(prepare_domain(text).as_deref(), expected.as_ref().copied(), "{}", text.escape_unicode());
    }
    assert_eq!(prepared("romeo@[::1]/orchard"), ok("romeo@[::1]/orchard"));
}

/// RFC 7622 §3.2, §3.3.1, §3.4.1: 1023 bytes after preparation; RFC 1035 §2.3.4: 63 in a label.
#[test]
fn lengths() {
    let too_long = |part| error(part, Reason::TooLong);
    let most = "a".repeat(1023);
    let more = "a".repeat(1024);
    let most_labels = format!("{}{}", format!("{}.", "a".repeat(63)).repeat(15), "a".repeat(63));
    assert_eq!(most_labels.len(), 1023);
    assert_eq!(prepared(&format!("{most}@{most_labels}/{most}")), Ok(format!("{most}@{most_labels}/{most}")));
    assert_eq!(prepared(&format!("{more}@b/c")), too_long(Part::Local));
    assert_eq!(prepared(&format!("a@b/{more}")), too_long(Part::Resource));
    assert_eq!(prepared(&format!("{}.{most_labels}", "a")), too_long(Part::Domain));
    assert_eq!(prepared(&"a".repeat(64)), error(Part::Domain, Reason::BadDomain));
    assert_eq!(prepared(&"a".repeat(63)), Ok("a".repeat(63)));
    // 58 bytes of U-label, 64 of A-label.
    assert_eq!(prepared(&format!("{}\u{FC}", "a".repeat(57))), error(Part::Domain, Reason::BadDomain));
    // What counts is the prepared form: three bytes each before, one after.
    assert_eq!(prepared(&format!("{}@b", "\u{FF41}".repeat(1023))), Ok(format!("{most}@b")));
    assert_eq!(prepared(&format!("{}@b", "\u{FF41}".repeat(1024))), too_long(Part::Local));
    // What can become short enough only by being nonsense is not even tried.
    assert_eq!(prepared(&format!("a{}", "\u{AD}".repeat(100_000))), too_long(Part::Domain));
    assert_eq!(prepared(&format!("a@b/{}", "\u{2764}\u{FE0F}".repeat(100_000))), too_long(Part::Resource));
}

#[test]
fn prepared_ascii_is_borrowed_and_nothing_is_allocated() {
    for text in ["a@b", "b", "b/c", "juliet@im.example.com/Balcony <&> 1", "127.0.0.1"] {
        let mut scratch = String::new();
        let jid = parse(text, &mut scratch).unwrap();
        assert_eq!(jid.as_str().as_ptr(), text.as_ptr());
        assert_eq!(jid.as_str().len(), text.len());
        assert_eq!(scratch.capacity(), 0);
    }
}

#[test]
fn scratch_forgets_the_previous_address() {
    let mut scratch = "left over".to_owned();
    assert_eq!(parse("A@B/C", &mut scratch).unwrap().as_str(), "a@b/C");
    assert_eq!(parse("D", &mut scratch).unwrap().as_str(), "d");
}

#[test]
fn views() {
    let full: Jid = "Romeo@Montague.example/Orchard".parse().unwrap();
    let jid = full.as_ref();
    assert_eq!(jid.bare().as_str(), "romeo@montague.example");
    assert_eq!(jid.bare().bare(), jid.bare());
    assert_eq!(jid.bare().resource(), None);
    assert_eq!(jid.domain_jid().as_str(), "montague.example");
    assert_eq!(jid.domain_jid().local(), None);
    assert_eq!((jid.is_full(), jid.is_bare(), jid.is_domain()), (true, false, false));
    assert_eq!((jid.bare().is_full(), jid.bare().is_bare(), jid.bare().is_domain()), (false, true, false));
    assert!(jid.domain_jid().is_domain() && jid.domain_jid().is_bare());
    assert!(!Jid::parse("montague.example/x").unwrap().is_domain());

    let bare: BareJid = full.to_bare();
    assert_eq!(bare, "romeo@montague.example");
    assert_eq!(bare, jid.to_bare());
    assert_eq!(bare.as_ref(), full.bare());
    assert_eq!(bare.to_jid().to_bare(), bare);
    assert_eq!(bare.with_resource("Orchard").unwrap(), full);
    assert_eq!(bare.with_resource("a\u{A0}b").unwrap(), "romeo@montague.example/a b");
    assert_eq!(bare.with_resource(""), Err(JidError { part: Part::Resource, reason: Reason::Empty }));
    assert_eq!(BareJid::parse("a@b/c"), Err(JidError { part: Part::Resource, reason: Reason::Unwanted }));
    // On a reference, too, `to_owned` is ours and not the trait's.
    let reference = &jid;
    let owned: Jid = reference.to_owned();
    assert_eq!(owned, full);
    assert_eq!(Jid::from(bare).as_str(), "romeo@montague.example");
    assert_eq!(format!("{full} {full:?} {jid:?}").matches("romeo@montague.example/Orchard").count(), 3);
}

#[test]
fn maps_are_searched_by_text() {
    let mut map = BTreeMap::new();
    map.insert(Jid::parse("a@b/c").unwrap(), 1);
    assert_eq!(map.get("a@b/c"), Some(&1));
    let mut scratch = String::new();
    assert_eq!(map.get(parse("A@b/c", &mut scratch).unwrap().as_str()), Some(&1));
    assert_eq!(map.get("a@b/C"), None);
}

#[test]
fn sizes() {
    assert_eq!(size_of::<Jid>(), 24);
    assert_eq!(size_of::<Option<Jid>>(), 24);
    assert_eq!(size_of::<BareJid>(), 24);
    assert_eq!(size_of::<JidRef<'_>>(), 24);
}

#[test]
fn errors_read_well() {
    let text = |text: &str| Jid::parse(text).unwrap_err().to_string();
    assert_eq!(text("@b"), "localpart: is empty");
    assert_eq!(text("a b@c"), "localpart: holds U+0020, which is not allowed");
    assert_eq!(text("a..b"), "domain: is neither a host name nor an IP address");
    assert_eq!(text(&format!("b/{}", "c".repeat(1024))), "resource: is longer than 1023 bytes");
}
