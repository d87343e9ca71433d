//! Sending too fast: reading pauses, nothing is dropped.

use chat_core::base::{Limits, Span};
use chat_core::effect::Settings;

use crate::shop::Mood;
use crate::yard::{Yard, message};
use crate::{KIB, MIB, PLENTY};

const RATE: u64 = 65_536;

fn limited(settings: &mut Settings) {
    settings.limits.rate_bytes_per_second = RATE as u32;
}

/// The same for the one domain, while the node has no limit.
fn limited_domain(settings: &mut Settings) {
    let limits = Limits { rate_bytes_per_second: RATE as u32, ..settings.limits.clone() };
    settings.domains[0].limits = Some(limits);
}

/// Whether these are 1, 2, 3 … up to `n`.
fn is_everything(ids: &[u64], n: u64) -> bool {
    ids.len() as u64 == n && ids.iter().zip(1..).all(|(id, n)| *id == n)
}

/// 100 MB of messages to somebody who reads: all arrive, in order, no faster than allowed.
#[test]
fn who_sends_too_fast_is_read_slowly_and_loses_nothing() {
    for managed in [false, true] {
        let mut yard = Yard::with(limited);
        let juliet = yard.login("juliet", "balcony");
        yard.available(juliet);
        let romeo =
            if managed { yard.login_sm("romeo", "orchard").0 } else { yard.login("romeo", "orchard") };
        let mut sent = 0;
        let poured = yard.pour(romeo, PLENTY, |out| {
            sent += 1;
            message(out, "juliet@localhost", sent, 8_000);
        });
        assert!(poured.taken >= PLENTY && yard.clients[romeo].open, "{poured:?}");
        assert!(is_everything(&yard.clients[juliet].messages, sent), "of {sent}");
        assert!(yard.clients[romeo].errors.is_empty());
        // A burst of four seconds, then the rate.
        let least = (poured.taken - 4 * RATE) / RATE - 1;
        assert!(poured.time >= Span::secs(least) && poured.time < Span::secs(least + 10), "{poured:?}");
        assert!(poured.pauses > 100 && poured.peak < MIB, "{poured:?}");
        if managed {
            yard.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
            assert_eq!(u64::from(yard.clients[romeo].h), sent, "everything is settled");
        }
    }
}

/// What arrives although reading is paused is taken, too: the driver had read it already.
#[test]
fn what_was_read_before_the_pause_is_handled() {
    for limited in [limited, limited_domain] {
        what_was_read(Yard::with(limited));
    }
}

fn what_was_read(mut yard: Yard) {
    let juliet = yard.login("juliet", "balcony");
    yard.available(juliet);
    let romeo = yard.login("romeo", "orchard");
    let mut bytes = Vec::new();
    for id in 1..=1000 {
        message(&mut bytes, "juliet@localhost", id, 1000);
    }
    for read in bytes.chunks(crate::yard::READ) {
        yard.send_bytes(romeo, read);
    }
    assert!(!yard.clients[romeo].reading);
    assert!(is_everything(&yard.clients[juliet].messages, 1000));
    // A megabyte at 64 KiB/s, of which four seconds were free.
    yard.pass(Span::secs(11));
    assert!(!yard.clients[romeo].reading);
    yard.pass(Span::secs(3));
    assert!(yard.clients[romeo].reading);
}

/// `<r/>` is cheap and answered each time; it does not grow anything.
#[test]
fn floods_of_requests_are_answered() {
    let mut yard = Yard::with(limited);
    let (romeo, _) = yard.login_sm("romeo", "orchard");
    let request = "<r xmlns='urn:xmpp:sm:3'/>";
    let before = yard.clients[romeo].bytes;
    let poured = yard.pour_repeated(romeo, PLENTY, request);
    assert!(yard.clients[romeo].open && poured.peak < MIB, "{poured:?}");
    let (asked, answer) = (poured.taken / request.len() as u64, "<a xmlns='urn:xmpp:sm:3' h='0'/>");
    assert_eq!(yard.clients[romeo].bytes - before, asked * answer.len() as u64);
}

/// The same from a client that does not read the answers.
#[test]
fn unread_answers_are_bounded() {
    let floods = [
        "<r xmlns='urn:xmpp:sm:3'/>",
        "<iq type='get' id='1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
        "<message to='a@@b' id='1'/>",
        "<message to='nobody@localhost' id='1'><body>a</body></message>",
        "<presence/>",
    ];
    for flood in floods {
        let mut yard = Yard::new();
        yard.shop.account("juliet");
        let (romeo, _) = yard.login_sm("romeo", "orchard");
        yard.clients[romeo].listens = false;
        let poured = yard.pour_repeated(romeo, PLENTY, flood);
        assert!(!yard.clients[romeo].open, "{flood}: {poured:?}");
        let limits = yard.limits();
        let bound = u64::from(limits.outbox_bytes_max) + u64::from(limits.unacked_bytes_max);
        assert!(poured.peak < bound + 2 * MIB, "{flood}: {poured:?}");
        // What is left is the session that waits, and it ends.
        yard.pass(limits.resume_timeout_max);
        yard.pass_beyond(limits.user_cache_timeout, 1);
        assert_eq!(yard.census(), chat_core::engine::Census::default(), "{flood}");
    }
}

/// `unsettled_stanzas_max`, `unsettled_bytes_max`: while the store is silent, reading from a sender whose messages
/// must be stored pauses; when it answers, everything has been stored.
#[test]
fn who_sends_more_than_can_be_made_safe_waits() {
    for body in [10, 8_000] {
        let mut yard = Yard::with(|s| s.limits.store_timeout = Span::secs(3_600));
        yard.shop.account("juliet");
        // Juliet's record is in memory; only the spool is slow.
        let juliet = yard.login("juliet", "balcony");
        yard.cut(juliet);
        let (romeo, _) = yard.login_sm("romeo", "orchard");
        yard.shop.mood = Mood::Silent;
        let mut sent = 0u64;
        let mark = crate::meter::Mark::here();
        while yard.clients[romeo].reading {
            sent += 1;
            let mut out = Vec::new();
            message(&mut out, "juliet@localhost", sent, body);
            yard.send_bytes(romeo, &out);
            assert!(sent < 1_000, "reading never paused");
        }
        let limits = yard.limits();
        let full = sent == u64::from(limits.unsettled_stanzas_max)
            || sent * (body as u64 + 70) >= u64::from(limits.unsettled_bytes_max);
        assert!(full, "{sent}");
        assert!(mark.peak() < 4 * u64::from(limits.unsettled_bytes_max), "{}", mark.peak());
        yard.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
        yard.shop.mood = Mood::Well;
        yard.pass(Span::secs(5));
        assert!(yard.clients[romeo].reading && yard.clients[romeo].open);
        assert_eq!((yard.shop.spooled("juliet") as u64, u64::from(yard.clients[romeo].h)), (sent, sent));
        assert!(is_everything(&yard.shop.spooled_ids("juliet"), sent));
        assert!(mark.held() < 64 * KIB, "{}", mark.held());
    }
}

/// Stanzas that are refused at once stand behind one that is not settled, and count like any other.
#[test]
fn refused_stanzas_wait_to_be_settled_in_turn() {
    for refused in ["<message to='a@@b' id='1'/>", "<iq type='order' id='1'/>"] {
        let mut yard = Yard::with(|s| s.limits.store_timeout = Span::secs(3_600));
        yard.shop.account("juliet");
        let (romeo, _) = yard.login_sm("romeo", "orchard");
        yard.shop.mood = Mood::Silent;
        yard.send(romeo, "<message to='juliet@localhost' id='1'><body>a</body></message>");
        let mut sent = 1;
        while yard.clients[romeo].reading {
            yard.send(romeo, refused);
            sent += 1;
            assert!(sent < 1_000, "{refused}: reading never paused");
        }
        assert_eq!(sent, yard.limits().unsettled_stanzas_max, "{refused}");
        yard.shop.mood = Mood::Well;
        yard.pass(Span::secs(5));
        yard.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
        assert_eq!((yard.clients[romeo].h, yard.clients[romeo].reading), (sent, true), "{refused}");
    }
}
