//! A client that does not read, or does not acknowledge: a bounded queue, then the connection is closed; its session
//! can be resumed and its messages are safe (XEP-0198).

use std::collections::BTreeSet;

use chat_core::base::{Limits, Span};
use chat_core::effect::Settings;

use crate::yard::{Yard, message};
use crate::{MIB, PLENTY};

/// Every message went somewhere: to the client, into the spool, or back.
fn assert_nothing_lost(yard: &Yard, sent: u64, romeo: usize, juliet: &[usize]) {
    let mut found: BTreeSet<u64> = yard.shop.spooled_ids("juliet").into_iter().collect();
    for client in juliet {
        found.extend(&yard.clients[*client].messages);
    }
    found.extend(&yard.clients[romeo].bounced);
    let lost: Vec<u64> = (1..=sent).filter(|id| !found.contains(id)).take(10).collect();
    assert!(lost.is_empty(), "of {sent} messages these are lost: {lost:?} …");
}

/// Messages until the connection of whoever gets them is closed.
fn flood_until_closed(yard: &mut Yard, romeo: usize, juliet: usize, body: usize) -> (u64, u64) {
    let (mut sent, mark) = (0, crate::meter::Mark::here());
    let mut out = Vec::with_capacity(2 * body);
    while yard.clients[juliet].open {
        // What is not settled is in the spool after a while; until then its sender is not read from.
        while !yard.clients[romeo].reading {
            assert!(yard.step());
        }
        sent += 1;
        out.clear();
        message(&mut out, "juliet@localhost", sent, body);
        yard.send_bytes(romeo, &out);
        assert!(sent * (body as u64) < PLENTY, "the connection is never closed");
    }
    (sent, mark.peak())
}

/// `outbox_bytes_max` and `unacked_bytes_max`: whichever is reached first closes the connection, and the client that
/// comes back gets everything, once, in order.
#[test]
fn a_session_whose_client_does_not_read_can_be_resumed() {
    for (body, acks) in [(50_000, false), (8_000, false), (8_000, true), (10, false)] {
        let mut yard = Yard::new();
        let (juliet, session) = yard.login_sm("juliet", "balcony");
        yard.available(juliet);
        let (romeo, _) = yard.login_sm("romeo", "orchard");
        // Either it reads nothing, or it reads and never acknowledges.
        yard.clients[juliet].listens = acks;
        let (sent, peak) = flood_until_closed(&mut yard, romeo, juliet, body);
        let limits = yard.limits();
        let bound = u64::from(limits.outbox_bytes_max) + u64::from(limits.unacked_bytes_max);
        assert!(peak < bound + 2 * MIB, "{body}: {peak}");
        assert_eq!(yard.census().resources, 2, "the session waits");

        let again = yard.authenticated("juliet");
        yard.send(again, &format!("<resume xmlns='urn:xmpp:sm:3' previd='{session}' h='1'/>"));
        let ids = yard.clients[again].messages.clone();
        assert_eq!(ids, (1..=sent).collect::<Vec<_>>(), "{body}");
        assert!(yard.clients[again].open);
        // What is acknowledged is gone from everywhere.
        yard.send(again, &format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", sent + 1));
        yard.pass(Span::secs(1));
        assert_eq!(yard.shop.spooled("juliet"), 0);
        yard.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
        assert_eq!(u64::from(yard.clients[romeo].h), sent);
    }
}

/// The flood goes on after that: memory stays bounded, and each message is delivered, stored or bounced.
#[test]
fn a_flood_to_a_client_that_does_not_read_is_bounded() {
    for managed in [true, false] {
        for sender_managed in [true, false] {
            let mut yard = Yard::new();
            let juliet =
                if managed { yard.login_sm("juliet", "balcony").0 } else { yard.login("juliet", "balcony") };
            yard.available(juliet);
            let romeo = if sender_managed {
                yard.login_sm("romeo", "orchard").0
            } else {
                yard.login("romeo", "orchard")
            };
            yard.clients[juliet].listens = false;
            let mut sent = 0;
            let poured = yard.pour(romeo, PLENTY, |out| {
                sent += 1;
                message(out, "juliet@localhost", sent, 20_000);
            });
            let what = format!("managed {managed}, sender {sender_managed}: {poured:?}");
            assert!(yard.clients[romeo].open, "{what}");
            assert!(poured.taken >= PLENTY, "{what}");
            let limits = yard.limits();
            let bound = u64::from(limits.outbox_bytes_max) + u64::from(limits.unacked_bytes_max);
            assert!(poured.peak < bound + 3 * MIB, "{what}");
            yard.pass_beyond(limits.resume_timeout_max, 11);
            assert!(!yard.clients[juliet].open, "{what}");
            if sender_managed {
                yard.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
                assert_eq!(u64::from(yard.clients[romeo].h), sent, "everything is settled");
            }
            if managed || sender_managed {
                assert_nothing_lost(&yard, sent, romeo, &[juliet]);
            }
            assert!(yard.shop.spooled("juliet") <= limits.spool_messages_per_user_max as usize);
        }
    }
}

/// A client without stream management that stops reading: what was promised to a sender who manages its stream is
/// never lost, also if many messages come in one read.
#[test]
fn what_was_not_written_to_an_unmanaged_client_is_stored() {
    let node = |s: &mut Settings| s.limits.outbox_bytes_max = 16 * 1024;
    let domain = |s: &mut Settings| {
        s.domains[0].limits = Some(Limits { outbox_bytes_max: 16 * 1024, ..s.limits.clone() });
    };
    for yard in [Yard::with(node), Yard::with(domain)] {
        what_was_not_written(yard);
    }
}

fn what_was_not_written(mut yard: Yard) {
    let juliet = yard.login("juliet", "balcony");
    yard.available(juliet);
    let (romeo, _) = yard.login_sm("romeo", "orchard");
    yard.clients[juliet].listens = false;
    let mut out = Vec::new();
    for id in 1..=200 {
        message(&mut out, "juliet@localhost", id, 200);
    }
    yard.send_bytes(romeo, &out);
    yard.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
    yard.pass(Span::secs(1));
    assert!(!yard.clients[juliet].open);
    assert_eq!(yard.clients[romeo].h, 200);
    assert_nothing_lost(&yard, 200, romeo, &[juliet]);
}

/// Nobody reads, nobody sends: after `unresponsive_timeout` the connection counts as dead.
#[test]
fn an_outbox_without_progress_ends_the_connection() {
    let mut yard = Yard::new();
    let (juliet, _) = yard.login_sm("juliet", "balcony");
    yard.available(juliet);
    let romeo = yard.login("romeo", "orchard");
    yard.clients[juliet].listens = false;
    let mut out = Vec::new();
    message(&mut out, "juliet@localhost", 1, 10);
    yard.send_bytes(romeo, &out);
    let limit = yard.limits().unresponsive_timeout;
    yard.pass(Span(limit.0 - 1_000_000_000));
    assert!(yard.clients[juliet].open);
    yard.pass(Span::secs(2));
    assert!(!yard.clients[juliet].open);
    assert_eq!(yard.census().resources, 2, "the session waits");
}

/// `idle_timeout`, then `unresponsive_timeout`: who is silent is asked, and who does not answer is gone.
#[test]
fn a_silent_client_is_probed_and_then_dropped() {
    for (managed, probe) in [(true, "<r xmlns='urn:xmpp:sm:3'/>"), (false, "<ping xmlns='urn:xmpp:ping'/>")] {
        let mut yard = Yard::new();
        let c = if managed { yard.login_sm("romeo", "orchard").0 } else { yard.login("romeo", "orchard") };
        yard.clients[c].mute = true;
        let limits = yard.limits();
        yard.pass_beyond(limits.idle_timeout, 1);
        assert!(yard.take(c).contains(probe) && yard.clients[c].open);
        yard.pass_beyond(limits.unresponsive_timeout, 1);
        assert!(!yard.clients[c].open);
    }
}

/// A client that never closes its end after ours.
#[test]
fn a_closed_stream_does_not_wait_for_ever() {
    let mut yard = Yard::new();
    let c = yard.login("romeo", "orchard");
    yard.clients[c].listens = false;
    yard.send(c, "<a:b/>");
    assert!(yard.clients[c].open, "the error has not been sent");
    // What still comes is not looked at, and not kept.
    let poured = yard.pour_repeated(c, MIB, "<message><body>a</body></message>");
    assert!(poured.peak < 16 * 1024, "{poured:?}");
    yard.pass_beyond(yard.limits().close_timeout, 1);
    assert!(!yard.clients[c].open);
    assert_eq!(yard.census().connections, 0);
}

/// XEP-0198 §4: who acknowledges what it was never sent.
#[test]
fn acknowledging_too_much_ends_the_stream() {
    let mut yard = Yard::new();
    let (c, _) = yard.login_sm("romeo", "orchard");
    let poured = yard.pour_repeated(c, PLENTY, "<a xmlns='urn:xmpp:sm:3' h='7'/>");
    let got = yard.take(c);
    let specific = "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='7' send-count='0'/>";
    assert!(got.contains("<undefined-condition ") && got.contains(specific), "{got}");
    assert!(!yard.clients[c].open && poured.taken <= 65_536 && poured.peak < 65_536, "{poured:?}");
}
