//! The store is away, full, overloaded or silent: stanza errors with `wait`, and nothing acknowledged is lost.

use chat_core::base::Span;

use crate::shop::Mood;
use crate::yard::{Yard, bind, message};
use crate::{MIB, PLENTY};

const WAIT: &str =
    "<error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";

const BROKEN: [Mood; 4] = [Mood::Away, Mood::ReadOnly, Mood::Overloaded, Mood::Silent];

fn one(yard: &mut Yard, from: usize, id: u64, body: usize) {
    let mut out = Vec::new();
    message(&mut out, "juliet@localhost", id, body);
    yard.send_bytes(from, &out);
}

/// A message that cannot be stored comes back, at the latest after `store_timeout`; its sender is not told earlier
/// that it is safe. When the store is well again, everything works.
#[test]
fn messages_that_cannot_be_stored_bounce() {
    for mood in BROKEN {
        let mut yard = Yard::new();
        yard.shop.account("juliet");
        let (romeo, _) = yard.login_sm("romeo", "orchard");
        yard.shop.mood = mood;
        one(&mut yard, romeo, 1, 10);
        yard.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
        let at_once = matches!(mood, Mood::Away | Mood::ReadOnly);
        if !at_once {
            assert_eq!((yard.clients[romeo].h, yard.clients[romeo].bounced.len()), (0, 0), "{mood:?}");
        }
        yard.pass_beyond(yard.limits().store_timeout, 1);
        let got = yard.take(romeo);
        assert!(got.contains(WAIT), "{mood:?}: {got}");
        assert_eq!((yard.clients[romeo].h, &yard.clients[romeo].bounced[..]), (1, &[1][..]), "{mood:?}");
        assert_eq!(yard.shop.spooled("juliet"), 0);

        yard.shop.mood = Mood::Well;
        one(&mut yard, romeo, 2, 10);
        yard.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
        assert_eq!((yard.clients[romeo].h, yard.shop.spooled_ids("juliet")), (2, vec![2]), "{mood:?}");
    }
}

/// Those whose clients do not acknowledge are told as well; the copy in the client's queue is not lost.
#[test]
fn messages_to_online_users_are_not_acked_while_nothing_is_safe() {
    for mood in BROKEN {
        let mut yard = Yard::new();
        let (juliet, _) = yard.login_sm("juliet", "balcony");
        yard.available(juliet);
        let (romeo, _) = yard.login_sm("romeo", "orchard");
        yard.shop.mood = mood;
        one(&mut yard, romeo, 1, 10);
        yard.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
        yard.pass(Span::millis(200));
        assert_eq!(yard.clients[romeo].h, 0);
        yard.pass(Span::secs(12));
        // Refused by the store: the sender hears that it may be lost, and may send it again.
        assert_eq!((yard.clients[romeo].h, &yard.clients[romeo].bounced[..]), (1, &[1][..]), "{mood:?}");
        assert!(yard.take(romeo).contains(WAIT));
        assert_eq!(yard.clients[juliet].messages, [1]);
        // An ack in time needs no store at all.
        yard.clients[juliet].acks = true;
        one(&mut yard, romeo, 2, 10);
        yard.send(juliet, "<a xmlns='urn:xmpp:sm:3' h='3'/>");
        yard.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
        assert_eq!((yard.clients[romeo].h, yard.clients[romeo].bounced.len()), (2, 1), "{mood:?}");
    }
}

/// Whose record cannot be read gets no resource, and is told to try again.
#[test]
fn logins_without_a_record_are_asked_to_wait() {
    for mood in [Mood::Away, Mood::Overloaded, Mood::Silent] {
        let mut yard = Yard::new();
        yard.shop.account("romeo");
        let c = yard.authenticated("romeo");
        yard.shop.mood = mood;
        yard.send(c, &bind("orchard"));
        yard.pass(Span::secs(11));
        let got = yard.take(c);
        assert!(got.contains("type='error' id='bind'") && got.contains(WAIT), "{mood:?}: {got}");
        assert!(yard.clients[c].open);
        yard.shop.mood = Mood::Well;
        yard.send(c, &bind("orchard"));
        assert!(yard.take(c).contains("<jid>romeo@localhost/orchard</jid>"), "{mood:?}");
    }
}

/// Disk full: whoever is known logs in, has a roster and talks to who is online; only writing fails.
#[test]
fn on_a_full_disk_known_users_go_on() {
    let mut yard = Yard::new();
    let romeo = yard.login("romeo", "orchard");
    let add = |id: &str, jid: &str| {
        format!("<iq type='set' id='{id}'><query xmlns='jabber:iq:roster'><item jid='{jid}'/></query></iq>")
    };
    yard.send(romeo, &add("a", "juliet@localhost"));
    yard.cut(romeo);
    yard.pass_beyond(yard.limits().user_cache_timeout, 1);
    assert_eq!(yard.census().users, 0, "nothing is cached");

    yard.shop.account("juliet");
    yard.shop.mood = Mood::ReadOnly;
    let (romeo, juliet) = (yard.login("romeo", "orchard"), yard.login("juliet", "balcony"));
    yard.available(romeo);
    yard.available(juliet);
    yard.send(romeo, "<iq type='get' id='b'><query xmlns='jabber:iq:roster'/></iq>");
    assert!(yard.take(romeo).contains("<item jid='juliet@localhost'"));
    yard.send(romeo, &add("c", "tybalt@localhost"));
    let got = yard.take(romeo);
    assert!(got.contains("id='c'") && got.contains(WAIT), "{got}");
    yard.send(romeo, "<presence to='juliet@localhost' type='subscribe' id='d'/>");
    let got = yard.take(romeo);
    assert!(got.contains("id='d'") && got.contains(WAIT), "{got}");
    one(&mut yard, romeo, 5, 10);
    assert_eq!(yard.clients[juliet].messages, [5]);
    let roster = yard.shop.roster_bytes("romeo");
    yard.shop.mood = Mood::Well;
    yard.send(romeo, &add("e", "tybalt@localhost"));
    assert!(yard.take(romeo).contains("type='result' id='e'"));
    assert!(yard.shop.roster_bytes("romeo") > roster);
}

/// `storing_bytes_max`, `loading_bytes_max`: many senders at once, none of whom pauses, into a store that is silent.
#[test]
fn what_waits_for_a_silent_store_is_bounded() {
    for (loaded, limit) in [(true, 4 * MIB), (false, MIB)] {
        let mut yard = Yard::with(|s| s.limits.storing_bytes_max = 4 * MIB as u32);
        yard.shop.account("juliet");
        if loaded {
            let juliet = yard.login("juliet", "balcony");
            yard.cut(juliet);
        }
        let crowd: Vec<usize> = (0..20).map(|i| yard.login(&format!("romeo{i}"), "orchard")).collect();
        yard.shop.mood = Mood::Silent;
        let (mut sent, mark) = (0, crate::meter::Mark::here());
        for romeo in crowd.iter().cycle().take(1_000) {
            yard.pour(*romeo, 100_000, |out| {
                sent += 1;
                message(out, "juliet@localhost", sent, 30_000);
            });
        }
        assert!(mark.peak() < 2 * limit + 2 * MIB, "loaded {loaded}: {}", mark.peak());
        yard.pass(Span::secs(30));
        let bounced: usize = crowd.iter().map(|romeo| yard.clients[*romeo].bounced.len()).sum();
        assert_eq!(bounced as u64, sent, "loaded {loaded}");
        assert!(mark.held() < MIB, "loaded {loaded}: {}", mark.held());
        assert_eq!(yard.census().requests, 0);
    }
}

/// 100 MB into a store that does not work: bounced or waiting, within the limits, and in the end all accounted for.
#[test]
fn floods_into_a_broken_store_are_bounded() {
    for mood in BROKEN {
        // Without stream management what matters is how long the store keeps a message waiting.
        let kinds: &[bool] = if mood == Mood::Silent { &[true, false] } else { &[true] };
        for managed in kinds.iter().copied() {
            let mut yard = Yard::with(|s| s.limits.rate_bytes_per_second = 65_536);
            yard.shop.account("juliet");
            let romeo =
                if managed { yard.login_sm("romeo", "orchard").0 } else { yard.login("romeo", "orchard") };
            yard.shop.mood = mood;
            let mut sent = 0;
            let poured = yard.pour(romeo, PLENTY, |out| {
                sent += 1;
                message(out, "juliet@localhost", sent, 20_000);
            });
            yard.pass(Span::secs(30));
            let what = format!("{mood:?}, managed {managed}: {poured:?}");
            assert!(yard.clients[romeo].open, "{what}");
            assert_eq!(yard.clients[romeo].bounced.len() as u64, sent, "{what}");
            assert_eq!(yard.shop.spooled("juliet"), 0, "{what}");
            // Without stream management: what the rate allows in the time that a request may take, twice (as a
            // stanza and as a request), and the bounces.
            let limits = yard.limits();
            let waiting = match managed {
                true => u64::from(limits.unsettled_bytes_max),
                false => u64::from(limits.rate_bytes_per_second) * (4 + limits.store_timeout.as_secs()),
            };
            assert!(poured.peak < 2 * waiting + 2 * MIB, "{what}");
        }
    }
}
