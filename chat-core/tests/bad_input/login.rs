//! Before somebody is known: only negotiation, and only so often (RFC 6120 §4.3, §5, §6).

use std::net::{IpAddr, Ipv4Addr};

use chat_core::base::Span;
use chat_core::effect::Domain;
use chat_core::sasl::Mechanism;

use crate::yard::{HEADER, Yard, bind, plain};
use crate::{KIB, MIB, PLENTY};

const SASL: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
/// `n,,n=romeo,r=abcdefghijklmnop`
const FIRST: &str = "biwsbj1yb21lbyxyPWFiY2RlZmdoaWprbG1ub3A=";
const FAILURE: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><";

#[test]
fn anything_but_negotiation_is_refused() {
    let table = [
        "<message to='juliet@localhost'><body>now</body></message>",
        "<presence/>",
        "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
        "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<iq type='set' id='1'><query xmlns='jabber:iq:register'><username>a</username><password>b</password></query></iq>",
        "<enable xmlns='urn:xmpp:sm:3'/>",
        "<resume xmlns='urn:xmpp:sm:3' previd='a' h='0'/>",
        "<anything xmlns='urn:x'/>",
    ];
    for stanza in table {
        let mut yard = Yard::new();
        let juliet = yard.login("juliet", "balcony");
        yard.available(juliet);
        let c = yard.opened();
        let poured = yard.pour_repeated(c, PLENTY, stanza);
        yard.assert_ended(c, "not-authorized", stanza);
        assert!(poured.taken <= 64 * KIB && poured.peak < 64 * KIB, "{stanza}: {poured:?}");
        assert_eq!(yard.take(juliet), "", "nobody hears of it");
        assert_eq!(yard.shop.times("register"), 0);
    }
    // After login, before a resource is bound (§7.1).
    for stanza in &table[..3] {
        let mut yard = Yard::new();
        yard.shop.account("romeo");
        let c = yard.authenticated("romeo");
        let poured = yard.pour_repeated(c, PLENTY, stanza);
        yard.assert_ended(c, "not-authorized", stanza);
        assert!(poured.taken <= 64 * KIB && poured.peak < 64 * KIB, "{stanza}: {poured:?}");
    }
}

/// §5.4.2.3 and §5.3.1 (CVE-2011-0411 and its kin): nothing that came in clear is ever taken for protected.
#[test]
fn bytes_after_starttls_end_the_connection() {
    let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let injected = plain("romeo", "secret");
    let strict = || Yard::with(|s| s.domains = vec![Domain::new("localhost")]);
    // In the same read, in the next, and spaces count, too.
    for more in [injected.as_str(), " ", "<"] {
        let mut yard = strict();
        yard.shop.account("romeo");
        let c = yard.opened();
        yard.send(c, &format!("{starttls}{more}"));
        assert!(!yard.clients[c].open && !yard.clients[c].starttls, "{more}");

        let c = yard.opened();
        yard.clients[c].listens = false;
        yard.send(c, starttls);
        assert!(yard.clients[c].open, "<proceed/> has not been sent yet");
        yard.send(c, more);
        assert!(!yard.clients[c].open && !yard.clients[c].starttls, "{more}");
        assert_eq!((yard.shop.times("check"), yard.census().connections), (0, 0));
    }
    let mut yard = strict();
    let c = yard.opened();
    let poured = yard.pour_repeated(c, PLENTY, &format!("{starttls}{injected}"));
    assert!(!yard.clients[c].open && poured.taken <= 64 * KIB && poured.peak < 32 * KIB, "{poured:?}");
}

#[test]
fn passwords_in_clear_are_refused_where_tls_is_required() {
    let mut yard = Yard::with(|s| s.domains = vec![Domain::new("localhost")]);
    yard.shop.account("romeo");
    let c = yard.opened();
    yard.send(c, &plain("romeo", "secret"));
    assert!(yard.take(c).starts_with(&format!("{FAILURE}encryption-required/>")));
    assert_eq!(yard.shop.times("check"), 0);
}

/// §6.4.5, and `auth_attempts_max`: whatever an attempt fails of, it counts.
#[test]
fn failed_attempts_are_counted() {
    let attempts = [
        ("a wrong password", plain("romeo", "wrong")),
        ("an unknown user", plain("nobody", "wrong")),
        ("no mechanism of ours", format!("<auth {SASL} mechanism='X-NONE'/>")),
        ("no base64", format!("<auth {SASL} mechanism='PLAIN'>!</auth>")),
        ("nonsense", format!("<auth {SASL} mechanism='SCRAM-SHA-1'>AAAA</auth>")),
        ("giving up", format!("<auth {SASL} mechanism='SCRAM-SHA-1'/><abort {SASL}/>")),
        ("an answer to nothing", format!("<response {SASL}>AAAA</response>")),
        ("giving up what was not begun", format!("<abort {SASL}/>")),
    ];
    for (what, attempt) in attempts {
        let mut yard = Yard::new();
        yard.shop.account("romeo");
        let c = yard.opened();
        let max = u32::from(yard.limits().auth_attempts_max);
        let poured = yard.pour_repeated(c, PLENTY, &attempt);
        // Delays may outlast the time for logging in: the stream ends the one way or the other.
        let got = yard.take(c);
        let failures = got.matches("<failure").count() as u32;
        let (policy, late) = (got.contains("<policy-violation "), got.contains("<connection-timeout "));
        assert!(policy != late && failures <= max && failures >= 2, "{what}: {got}");
        assert!(policy || what.contains("password") || what.contains("user"), "{what}: {got}");
        assert!(!yard.clients[c].open && poured.taken <= 128 * KIB, "{what}: {poured:?}");
        assert!(poured.peak < 256 * KIB, "{what}: {poured:?}");
    }
}

/// A new attempt ends the one before (§6.4.2); beginning again and again is no way around the count.
#[test]
fn attempts_that_are_only_begun_are_counted() {
    let auth = format!("<auth {SASL} mechanism='SCRAM-SHA-1'>{FIRST}</auth>");
    let mut yard = Yard::new();
    yard.shop.account("romeo");
    let c = yard.opened();
    let poured = yard.pour_repeated(c, PLENTY, &auth);
    yard.assert_ended(c, "policy-violation", "SCRAM begun again and again");
    assert!(poured.taken <= 64 * KIB && poured.peak < 256 * KIB, "{poured:?}");
    assert!(yard.shop.times("keys") <= u64::from(yard.limits().auth_attempts_max) + 1);
}

/// How long an attempt takes to be answered, in seconds; `None` if the stream is ended instead.
fn attempt(yard: &mut Yard, peer: IpAddr, user: &str, password: &str) -> Option<u64> {
    let c = yard.connect_from(peer);
    yard.send(c, HEADER);
    yard.forget(c);
    let began = yard.now.mono;
    yard.send(c, &plain(user, password));
    for _ in 0..100 {
        let got = yard.take(c);
        if got.contains("<failure") || got.contains("<success") {
            yard.cut(c);
            return Some(yard.now.mono.since(began).as_secs());
        }
        if got.contains("<stream:error>") {
            assert!(got.contains("<policy-violation ") && !yard.clients[c].open, "{got}");
            return None;
        }
        yard.pass(Span::millis(250));
    }
    panic!("an attempt was never answered");
}

/// Delays begin after ten failures and double. For an account they end at ten seconds; an address that has earned more
/// gets no answer but an error.
#[test]
fn failures_delay_the_next_attempt_of_an_account_and_of_an_address() {
    let address = |n: u8| IpAddr::V4(Ipv4Addr::new(192, 0, 2, n));
    let mut yard = Yard::new();
    yard.shop.account("romeo");
    yard.shop.account("juliet");
    // One account from many addresses.
    let delays: Vec<_> = (0..16).map(|i| attempt(&mut yard, address(i), "romeo", "wrong")).collect();
    assert_eq!(delays[..11], [Some(0); 11]);
    assert_eq!(delays[11..], [1, 2, 4, 8, 10].map(Some));
    // Its owner waits, too, but is not locked out; somebody else does not wait.
    assert_eq!(attempt(&mut yard, address(99), "juliet", "secret"), Some(0));
    assert_eq!(attempt(&mut yard, address(99), "romeo", "secret"), Some(10));
    assert_eq!(attempt(&mut yard, address(99), "romeo", "secret"), Some(0), "the slate is clean");

    // Many accounts from one address.
    let delays: Vec<_> =
        (0..16).map(|i| attempt(&mut yard, address(200), &format!("guess{i}"), "wrong")).collect();
    assert_eq!(delays[..11], [Some(0); 11]);
    assert_eq!(delays[11..], [Some(1), Some(2), Some(4), Some(8), None]);
    assert_eq!(attempt(&mut yard, address(201), "juliet", "secret"), Some(0));
}

/// Who begins to log in as somebody and then does so as somebody else has not cleaned the first one's slate.
#[test]
fn failures_are_forgiven_to_who_logs_in_only() {
    let address = |n: u8| IpAddr::V4(Ipv4Addr::new(192, 0, 2, n));
    let mut yard = Yard::with(|s| s.domains[0].mechanisms.push(Mechanism::Anonymous));
    yard.shop.account("romeo");
    for i in 0..13 {
        attempt(&mut yard, address(i), "romeo", "wrong");
    }
    let c = yard.opened();
    yard.send(c, &format!("<auth {SASL} mechanism='SCRAM-SHA-1'>{FIRST}</auth>"));
    yard.pass(Span::secs(10));
    assert!(yard.take(c).contains("<challenge"));
    yard.send(c, &format!("<auth {SASL} mechanism='ANONYMOUS'>=</auth>"));
    assert!(yard.take(c).contains("<success"));
    attempt(&mut yard, address(50), "romeo", "wrong");
    assert_ne!(attempt(&mut yard, address(51), "romeo", "wrong"), Some(0));
}

/// Everybody in a /64 is one address.
#[test]
fn addresses_of_one_ipv6_network_count_as_one() {
    let mut yard = Yard::new();
    let peer = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, n]);
    let delays: Vec<_> =
        (0..13).map(|i| attempt(&mut yard, peer(i), &format!("guess{i}"), "wrong")).collect();
    assert_eq!(delays[10..], [Some(0), Some(1), Some(2)]);
}

/// Whoever tries from ever new addresses with ever new names is remembered only so long.
#[test]
fn remembering_failures_takes_bounded_memory() {
    let mut yard = Yard::new();
    let mark = crate::meter::Mark::here();
    let mut offered = 0;
    let name = "x".repeat(900);
    for i in 0..17_000u32 {
        let c = yard.connect_from(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + i)));
        yard.send(c, HEADER);
        let auth = plain(&format!("{name}{i}"), "wrong");
        yard.send(c, &auth);
        offered += auth.len();
        yard.cut(c);
    }
    // 16,384 names of at most 1 KiB, each kept twice, and the names of addresses.
    assert!(offered > 17_000_000 && mark.peak() < 64 * MIB, "{} of {offered}", mark.peak());
}

/// A stranger cannot make the store work for nothing: asking for a form is free, and an account is made once.
#[test]
fn registration_floods_are_bounded() {
    let set = "<iq type='set' id='1'><query xmlns='jabber:iq:register'><username>romeo</username>\
        <password>b</password></query></iq>";
    let get = "<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>";
    for (stanza, answer) in [(set, "<conflict "), (get, "<instructions>")] {
        let mut yard = Yard::with(|s| {
            s.domains[0].registration = true;
            s.limits.rate_bytes_per_second = 65_536;
        });
        yard.shop.account("romeo");
        let c = yard.opened();
        let poured = yard.pour_repeated(c, PLENTY, stanza);
        let got = yard.take(c);
        assert!(got.contains(answer), "{got}");
        assert!(!yard.clients[c].open && poured.taken < 65_536 * 36, "{poured:?}");
        assert!(poured.peak < MIB, "{poured:?}");
    }
}

/// An answer to nothing asks for nothing.
#[test]
fn only_a_set_registers() {
    for kind in ["result", "error", "sets"] {
        let mut yard = Yard::with(|s| s.domains[0].registration = true);
        let c = yard.opened();
        yard.send(
            c,
            &format!(
                "<iq type='{kind}' id='1'><query xmlns='jabber:iq:register'><username>romeo</username>\
                 <password>b</password></query></iq>"
            ),
        );
        yard.assert_ended(c, "not-authorized", kind);
        assert_eq!(yard.shop.times("register"), 0);
    }
}

/// The same while the user's record is being loaded: whoever is one too many is told so at once, and who has gone does
/// not count.
#[test]
fn only_so_many_wait_for_a_resource() {
    let mut yard = Yard::new();
    yard.shop.account("romeo");
    let max = usize::from(yard.limits().resources_per_user_max);
    let crowd: Vec<usize> = (0..max + 10).map(|_| yard.authenticated("romeo")).collect();
    yard.shop.mood = crate::shop::Mood::Silent;
    for (i, c) in crowd.iter().enumerate() {
        yard.send(*c, &bind(&format!("r{i}")));
        let refused = yard.take(*c).contains("<error type='wait'><resource-constraint ");
        assert_eq!(refused, i >= max, "{i}");
    }
    yard.cut(crowd[0]);
    yard.send(crowd[max], &bind("another"));
    assert_eq!(yard.take(crowd[max]), "", "it waits");
    yard.shop.mood = crate::shop::Mood::Well;
    yard.pass(Span::secs(3));
    assert_eq!(yard.census().resources, max);
    assert!(yard.take(crowd[max]).contains("<jid>romeo@localhost/another</jid>"));
}

/// `resources_per_user_max` (§7.7.2.3), and no way to have more by binding twice.
#[test]
fn a_user_has_only_so_many_resources() {
    let mut yard = Yard::new();
    let max = usize::from(yard.limits().resources_per_user_max);
    for i in 0..max {
        yard.login("romeo", &format!("r{i}"));
    }
    let c = yard.authenticated("romeo");
    let poured = yard.pour(c, MIB, |out| out.extend_from_slice(bind("one-more").as_bytes()));
    let got = yard.take(c);
    assert!(got.starts_with("<iq type='error' id='bind'>"), "{got}");
    assert!(yard.clients[c].errors("resource-constraint") > 1000 && !got.contains("<jid>"));
    assert!(got.contains("<error type='wait'><resource-constraint "), "{got}");
    assert!(yard.clients[c].open && poured.peak < 256 * KIB, "{poured:?}");
    assert_eq!(yard.census().resources, max);
    // The time for it is limited like that for everything before.
    yard.pass(Span::secs(31));
    assert!(!yard.clients[c].open);
    // A resource that is there already can be taken over: still so many.
    yard.login("romeo", "r3");
    assert_eq!(yard.census().resources, max);
}
