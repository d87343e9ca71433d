//! Settings of single domains.

use super::*;
use crate::config::AuthMethod;

const TOML: &str = r#"
domains = ["example.org", "anon.example.org", "open.example.org"]

[auth]
method = ["store"]

[limits]
roster_items_max = 100

[domain."anon.example.org"]
auth.method = ["anonymous"]
c2s.allow_plaintext = true

[domain."Open.Example.org".registration]
enabled = true

[domain."open.example.org".auth]
scram_iterations = 10000
"#;

#[test]
fn an_anonymous_domain_beside_a_normal_one() {
    let config = Machine::with_toml(TOML).config();
    let (plain, anon, open) = (
        config.for_domain("example.org"),
        config.for_domain("anon.example.org"),
        config.for_domain("open.example.org"),
    );
    assert_eq!(plain.auth.methods, [AuthMethod::Store]);
    assert_eq!(anon.auth.methods, [AuthMethod::Anonymous]);
    assert_eq!(open.auth.methods, [AuthMethod::Store]);
    assert_eq!([plain, anon, open].map(|d| d.allow_plaintext), [false, true, false]);
    assert_eq!([plain, anon, open].map(|d| d.registration_enabled), [false, false, true]);
    assert_eq!([plain, anon, open].map(|d| d.auth.scram_iterations), [4_096, 4_096, 10_000]);
    assert_eq!([plain, anon, open].map(|d| d.limits.roster_items_max), [100; 3]);
    assert_eq!(config.for_domain("OPEN.example.org"), open);
    assert_eq!(config.for_domain("elsewhere.example"), plain);
    assert_eq!(config.common(), plain);
}

#[test]
fn limits_and_extensions_and_authorities_of_one_domain() {
    let m = Machine::with_toml(
        "domains = \"a.example b.example c.example\"\n\
         auth.client_ca = \"chat.toml\"\n\
         [limits]\n\
         c2s_rate = 1000\n\
         negotiation_timeout = 7\n\
         [extensions]\n\
         disabled = [\"xep0202\"]\n\
         [domain.\"a.example\"]\n\
         limits.c2s_rate = \"16KiB\"\n\
         limits.roster_items_max = 3\n\
         extensions.disabled = [\"xep0092\", \"xep0191\"]\n\
         [domain.\"b.example\"]\n\
         extensions.disabled = []\n\
         auth.client_ca = \"\"\n",
    );
    let config = m.config();
    let all = ["a.example", "b.example", "c.example"].map(|d| config.for_domain(d));
    assert_eq!(all.map(|d| d.limits.rate_bytes_per_second), [16_384, 1_000, 1_000]);
    assert_eq!(all.map(|d| d.limits.roster_items_max), [3, 5_000, 5_000]);
    assert_eq!(all.map(|d| d.limits.negotiation_timeout.as_secs()), [7; 3]);
    let without = all.map(|d| d.extensions_disabled.join(" "));
    assert_eq!(without, ["xep0092 xep0191", "", "xep0202"]);
    assert_eq!(all.map(|d| d.client_ca.is_some()), [true, false, true]);
}

#[test]
fn what_concerns_all_domains_says_why_it_cannot_differ() {
    let m = Machine::with_toml(
        "domains = \"a.example\"\n\
         [domain.\"a.example\".limits]\n\
         negotiation_timeout = 7\n\
         store_timeout = 7\n\
         users_cached_max = 7\n",
    );
    let say = |line, name, why| {
        format!("chat.toml:{line}: domain.\"a.example\".{name}: {name} cannot differ between domains: {why}")
    };
    let login = "it holds before the login, when nobody's domain is certain";
    let memory = "it bounds the memory of a worker, which all domains share";
    assert_eq!(
        m.errors(),
        [
            say(3, "limits.negotiation_timeout", login),
            say(4, "limits.store_timeout", "they share the store"),
            say(5, "limits.users_cached_max", memory),
        ]
    );
}

#[test]
fn limits_of_one_domain_fit_those_of_all() {
    let m = Machine::with_toml(
        "domains = \"a.example b.example\"\n\
         limits.stanza_bytes_unauthenticated_max = 20_000\n\
         [domain.\"a.example\".limits]\n\
         stanza_bytes_max = 10_000\n\
         spool_after = 60\n",
    );
    assert_eq!(
        m.errors(),
        [
            "chat.toml:4: domain.\"a.example\".limits.stanza_bytes_max: must not be less than \
             limits.stanza_bytes_unauthenticated_max, 20000",
            "chat.toml:5: domain.\"a.example\".limits.spool_after: must not be more than limits.store_timeout, 10s",
        ]
    );
}

#[test]
fn what_was_set_for_one_domain_beats_what_was_set_for_all() {
    let m = Machine::with_toml(TOML).env("CHAT_AUTH_METHOD", "store").flag("registration.enabled", "false");
    let config = m.config();
    assert_eq!(config.for_domain("anon.example.org").auth.methods, [AuthMethod::Anonymous]);
    assert!(config.for_domain("open.example.org").registration_enabled);
}

#[test]
fn sources_override_each_other_within_a_domain() {
    let name = "domain.\"anon.example.org\".auth.method";
    let m = Machine::with_toml(TOML);
    assert_eq!(m.effective(name), pair("anonymous", "chat.toml:11"));
    let m = m.file(
        "/chat/etc/override/a.toml",
        "[domain.'anon.example.org']\nauth.method = 'store jwt'\nauth.jwt_key_file = 'chat.toml'",
    );
    assert_eq!(m.effective(name), pair("store jwt", "/chat/etc/override/a.toml:2"));
    let m = m.flag("domain.anon.example.org.auth.method", "store");
    assert_eq!(m.effective(name), pair("store", "flag --set"));
    let m = m.flag("domain.\"anon.example.org\".auth.method", "anonymous");
    assert_eq!(m.effective(name), pair("anonymous", "flag --set"));
}

#[test]
fn faults_in_a_domain_name_it() {
    let m = Machine::with_toml(
        "domains = \"a.example b.example\"\n\
         domain.x = 1\n\
         [domain.\"a.example\"]\n\
         net.workers = 1\n\
         auth.metod = \"store\"\n\
         registration.enabled = 1\n\
         listen = 3\n\
         [domain.\"not a domain\"]\n\
         c2s.allow_plaintext = true\n",
    );
    assert_eq!(
        m.errors(),
        [
            "chat.toml:2: domain.\"x\" must be a table of settings",
            "chat.toml:4: domain.\"a.example\".net.workers: net.workers cannot differ between domains",
            "chat.toml:5: domain.\"a.example\".auth.metod is not a setting; did you mean auth.method?",
            "chat.toml:6: domain.\"a.example\".registration.enabled: expected true or false, not 1",
            "chat.toml:7: domain.\"a.example\".listen is a section, not a setting",
            "chat.toml:9: domain.\"not a domain\".c2s.allow_plaintext: \"not a domain\" is not a domain",
        ]
    );
}

#[test]
fn rules_hold_for_each_domain_that_is_served() {
    let toml = "auth.method = \"http\"\n\
                [domain.\"a.example\"]\n\
                auth.method = \"jwt\"\n\
                [domain.\"b.example\"]\n\
                auth.method = \"store\"\n\
                tls.cert = \"chat.toml\"\n";
    let errors = |domains: &str| Machine::with_toml(toml).env("XMPP_DOMAINS", domains).errors();
    let a = "chat.toml:3: domain.\"a.example\".auth.method: jwt with HS256 needs auth.jwt_secret or auth.jwt_key_file";
    let b = "chat.toml:6: domain.\"b.example\".tls.cert: needs tls.key as well";
    let c = "chat.toml:1: auth.method: http needs auth.http_url";
    assert_eq!(errors("a.example b.example"), [a, b]);
    assert_eq!(errors("b.example"), [b]);
    assert_eq!(errors("b.example c.example d.example"), [c, b]);
}

#[test]
fn guests_have_a_domain_of_their_own() {
    let m = Machine::with_toml(
        "domains = \"a.example\"\n[domain.\"a.example\"]\nauth.method = \"store anonymous\"",
    );
    assert_eq!(
        m.errors(),
        [
            "chat.toml:3: domain.\"a.example\".auth.method: anonymous stands alone: nothing about guests is kept, so \
             they need a domain of their own"
        ]
    );
}

#[test]
fn a_domain_that_is_not_served_is_noted() {
    let m = Machine::with_toml(TOML).env("XMPP_DOMAINS", "example.org anon.example.orgg open.example.org");
    assert_eq!(
        m.config().notes,
        [
            "domain.\"anon.example.org\" has settings, but is not one of the domains served; did you mean anon.example.orgg?"
        ]
    );
}

#[test]
fn a_roster_that_strangers_can_fill_is_noted_once() {
    let notes = |limits: &str| {
        let domains =
            "domains = [\"a.example\", \"b.example\"]\n[domain.\"b.example\"]\nauth.method = \"store\"\n";
        Machine::with_toml(&format!("{limits}\n{domains}")).config().notes
    };
    let note = "limits.roster_requests_max lets strangers fill a roster: their requests may have 1024000 bytes, which \
                is over half of limits.roster_bytes_max";
    assert_eq!(notes("limits.roster_requests_max = 1_000"), [note]);
    assert_eq!(
        notes("domain.\"a.example\".limits.roster_requests_max = 1_000"),
        [format!("domain.\"a.example\".{note}")]
    );
    assert!(notes("limits.roster_requests_max = 512").is_empty());
}

#[test]
fn a_key_of_the_domain_beats_one_for_all() {
    let m = Machine::with_toml(
        "auth.method = \"jwt\"\nauth.jwt_key_file = \"chat.toml\"\n\
         [domain.\"localhost\"]\nauth.jwt_secret = \"0123456789abcdef0123456789abcdef\"",
    );
    let jwt = m.config().for_domain("localhost").auth.jwt.clone().unwrap();
    assert!(matches!(jwt.key, crate::config::JwtKey::Secret(_)));
}
