//! Floods against an account: its spool, its roster, its subscription requests, its presence.

use chat_core::engine::Command;

use crate::yard::{Yard, message};
use crate::{KIB, MIB, PLENTY};

/// `spool_messages_per_user_max`: what goes beyond comes back with `service-unavailable` (XEP-0160 §3), and the engine
/// holds nothing of it.
#[test]
fn a_spool_holds_only_so_many_messages() {
    for managed in [true, false] {
        let mut yard = Yard::new();
        yard.shop.account("juliet");
        let romeo =
            if managed { yard.login_sm("romeo", "orchard").0 } else { yard.login("romeo", "orchard") };
        let mut sent = 0;
        let poured = yard.pour(romeo, PLENTY, |out| {
            sent += 1;
            message(out, "juliet@localhost", sent, 20_000);
        });
        let max = u64::from(yard.limits().spool_messages_per_user_max);
        assert_eq!(yard.shop.spooled("juliet") as u64, max);
        assert_eq!(yard.clients[romeo].errors("service-unavailable"), sent - max);
        assert_eq!(yard.clients[romeo].errors.len(), 1, "{:?}", yard.clients[romeo].errors);
        assert!(poured.taken >= PLENTY && poured.peak < MIB, "{poured:?}");
        if managed {
            yard.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
            assert_eq!(u64::from(yard.clients[romeo].h), sent);
        }
    }
}

/// A password can be changed again as soon as the change before is made.
#[test]
fn a_password_is_changed_as_often_as_one_likes() {
    let mut yard = Yard::new();
    let romeo = yard.login("romeo", "orchard");
    for id in 0..3 {
        let change =
            "<query xmlns='jabber:iq:register'><username>romeo</username><password>p</password></query>";
        yard.send(romeo, &format!("<iq type='set' id='{id}'>{change}</iq>"));
        let got = yard.take(romeo);
        assert!(got.contains("type='result'"), "{got}");
    }
}

/// A full spool of the largest messages is read in pages: it never stands in memory whole.
#[test]
fn a_large_spool_is_read_in_pages() {
    let mut yard = Yard::new();
    yard.shop.account("juliet");
    let romeo = yard.login("romeo", "orchard");
    let mut sent = 0;
    yard.pour(romeo, 20 * MIB, |out| {
        sent += 1;
        message(out, "juliet@localhost", sent, 100_000);
    });
    for managed in [true, false] {
        let juliet =
            if managed { yard.login_sm("juliet", "balcony").0 } else { yard.login("juliet", "balcony") };
        yard.clients[juliet].listens = !managed;
        let mark = crate::meter::Mark::here();
        yard.available(juliet);
        // Who neither reads nor acknowledges gets no more than it can digest.
        assert!(mark.peak() < 3 * MIB, "managed {managed}: {}", mark.peak());
        assert!(yard.clients[juliet].open);
        if managed {
            yard.cut(juliet);
        } else {
            assert_eq!(yard.clients[juliet].messages.len() as u64, sent);
            assert_eq!(yard.shop.spooled("juliet"), 0);
        }
    }
}

/// `users_cached_max`. Messages to names that nobody has: each is answered, and as many records stay in memory as may.
#[test]
fn strangers_names_take_no_memory() {
    let mut yard = Yard::with(|s| s.limits.rate_bytes_per_second = 65_536);
    let romeo = yard.login("romeo", "orchard");
    let mut sent = 0;
    let poured = yard.pour(romeo, PLENTY / 4, |out| {
        sent += 1;
        message(out, &format!("nobody{sent}@localhost"), sent, 100);
    });
    assert_eq!(yard.clients[romeo].errors("service-unavailable"), sent);
    assert!(yard.census().users <= yard.limits().users_cached_max as usize + 1);
    assert!(poured.peak < 16 * MIB, "{poured:?} for {} users in memory", yard.census().users);
}

/// The same with accounts that exist, as fast as they come.
#[test]
fn cached_users_are_bounded() {
    let mut yard = Yard::new();
    let accounts = 30_000u64;
    for i in 0..accounts {
        yard.shop.account(&format!("user{i}"));
    }
    let romeo = yard.login("romeo", "orchard");
    let mut sent = 0;
    let poured = yard.pour(romeo, 10 * MIB, |out| {
        sent += 1;
        message(out, &format!("user{}@localhost", sent % accounts), sent, 100);
    });
    assert!(sent > accounts, "{sent}");
    assert!(yard.census().users <= yard.limits().users_cached_max as usize + 1);
    assert!(poured.peak < 16 * MIB, "{poured:?} for {} users in memory", yard.census().users);
}

/// `roster_requests_max` and `ROSTER_REQUEST_BYTES_MAX`: strangers fill a quarter of a roster and no more. They are
/// told so.
#[test]
fn requests_of_strangers_are_bounded() {
    let mut yard = Yard::new();
    yard.shop.account("juliet");
    let status = "x".repeat(20_000);
    let (mut offered, mut i) = (0, 0);
    let mark = crate::meter::Mark::here();
    while offered < PLENTY {
        i += 1;
        let stanza = format!(
            "<presence type='subscribe' from='stranger{i}@localhost' to='juliet@localhost' id='{i}'>\
             <status>{status}</status></presence>"
        );
        offered += stanza.len() as u64;
        yard.command(Command::Send { stanza: stanza.into_bytes().into() });
        if i == 1_000 {
            // Short ones fit better.
            assert!(yard.shop.roster_bytes("juliet") < 64 * KIB as usize);
        }
    }
    let limits = yard.limits();
    assert!(yard.shop.roster_bytes("juliet") as u32 <= limits.roster_bytes_max / 4);
    assert!(mark.peak() < 4 * MIB, "{}", mark.peak());
    let juliet = yard.login("juliet", "balcony");
    yard.send(juliet, "<presence/>");
    let got = yard.take(juliet);
    assert_eq!(got.matches("type='subscribe'").count() as u32, limits.roster_requests_max);
    // A stranger who is online hears why not.
    let tybalt = yard.login("tybalt", "street");
    yard.available(tybalt);
    yard.send(tybalt, "<presence type='subscribe' to='juliet@localhost'/>");
    assert!(yard.take(tybalt).contains("<resource-constraint "));
    // The roster that juliet sees is not touched, and she can still add somebody.
    yard.send(juliet, "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>");
    assert!(!yard.take(juliet).contains("<item"));
    yard.send(
        juliet,
        "<iq type='set' id='2'><query xmlns='jabber:iq:roster'><item jid='romeo@localhost'/></query></iq>",
    );
    assert!(yard.take(juliet).contains("type='result' id='2'"));
}

/// `directed_presence_max`.
#[test]
fn directed_presence_is_remembered_for_only_so_many() {
    let mut yard = Yard::new();
    let romeo = yard.login("romeo", "orchard");
    let padding = "x".repeat(8_000);
    let mut sent = 0;
    let poured = yard.pour(romeo, PLENTY, |out| {
        sent += 1;
        let stanza =
            format!("<presence to='a{sent}@localhost' id='{sent}'><status>{padding}</status></presence>");
        out.extend_from_slice(stanza.as_bytes());
    });
    let max = u64::from(yard.limits().directed_presence_max);
    assert_eq!(yard.clients[romeo].errors("resource-constraint"), sent - max);
    assert!(yard.clients[romeo].open && poured.peak < MIB, "{poured:?}");
}

/// `roster_items_max`, `roster_bytes_max`, and the sizes of names and groups.
#[test]
fn a_roster_holds_only_so_much() {
    // Small items, with a lower limit: each change copies the roster, so thousands of them take minutes.
    let mut yard = Yard::with(|s| s.limits.roster_items_max = 300);
    let romeo = yard.login("romeo", "orchard");
    let item = |i: u64, inside: &str| {
        format!(
            "<iq type='set' id='{i}'><query xmlns='jabber:iq:roster'><item jid='a{i}@localhost'>{inside}</item></query></iq>"
        )
    };
    let mut sent = 0;
    let poured = yard.pour(romeo, MIB, |out| {
        sent += 1;
        out.extend_from_slice(item(sent, "").as_bytes());
    });
    assert_eq!(yard.clients[romeo].errors("resource-constraint"), sent - 300);
    assert!(yard.clients[romeo].open && poured.peak < MIB, "{poured:?}");

    // Large ones: the bytes count.
    let mut yard = Yard::new();
    let romeo = yard.login("romeo", "orchard");
    let groups = |i: u64| -> String {
        (0..100).map(|g| format!("<group>{g} {i} {}</group>", "x".repeat(1_000))).collect()
    };
    let mut sent = 0;
    let poured = yard.pour(romeo, PLENTY, |out| {
        sent += 1;
        out.extend_from_slice(item(sent, &groups(sent)).as_bytes());
    });
    let limits = yard.limits();
    let stored = yard.shop.roster_bytes("romeo");
    assert!(stored <= limits.roster_bytes_max as usize && stored > limits.roster_bytes_max as usize / 2);
    let kept = sent - yard.clients[romeo].errors("resource-constraint");
    assert!((9..=10).contains(&kept), "{kept} items of 100 KB");
    // The roster, the next one, the bytes to store, and a push of the change.
    assert!(yard.clients[romeo].open && poured.peak < 8 * MIB, "{poured:?}");

    for (what, inside) in [
        ("a long group", format!("<group>{}</group>", "x".repeat(1_024))),
        ("an empty group", "<group/>".to_owned()),
    ] {
        let mut yard = Yard::new();
        let romeo = yard.login("romeo", "orchard");
        yard.send(romeo, &item(1, &inside));
        assert!(yard.take(romeo).contains("<not-acceptable "), "{what}");
    }
}

/// Presence is broadcast, not kept, but for the last of each resource.
#[test]
fn floods_of_presence_are_not_kept() {
    let mut yard = Yard::new();
    let romeo = yard.login("romeo", "orchard");
    let padding = "x".repeat(20_000);
    let mut sent = 0;
    let poured = yard.pour(romeo, PLENTY, |out| {
        sent += 1;
        out.extend_from_slice(format!("<presence><status>{sent} {padding}</status></presence>").as_bytes());
    });
    assert!(yard.clients[romeo].open && poured.taken >= PLENTY && poured.peak < MIB, "{poured:?}");
}

/// `blocked_max` (XEP-0191).
#[test]
fn a_block_list_holds_only_so_many() {
    let mut yard = Yard::new();
    let romeo = yard.login("romeo", "orchard");
    let padding = "x".repeat(1_000);
    let (mut sent, per_stanza) = (0u64, 100);
    let poured = yard.pour(romeo, PLENTY, |out| {
        sent += 1;
        let items: String =
            (0..per_stanza).map(|i| format!("<item jid='{i}-{sent}@localhost/{padding}'/>")).collect();
        let iq = format!("<iq type='set' id='{sent}'><block xmlns='urn:xmpp:blocking'>{items}</block></iq>");
        out.extend_from_slice(iq.as_bytes());
    });
    let accepted = sent - yard.clients[romeo].errors("resource-constraint");
    assert_eq!(accepted * per_stanza, u64::from(yard.limits().blocked_max));
    // A list of a megabyte, the next one, the bytes to store, and the stanza that asks as a tree.
    assert!(yard.clients[romeo].open && poured.peak < 8 * MIB, "{poured:?}");
}

/// `csi_stanzas_max`, `csi_bytes_max` (XEP-0352): what is held back for an inactive client is bounded, and goes out.
#[test]
fn what_is_held_back_for_an_inactive_client_is_bounded() {
    for size in [10, 20_000] {
        let mut yard = Yard::new();
        let juliet = yard.login("juliet", "balcony");
        yard.available(juliet);
        yard.send(juliet, "<inactive xmlns='urn:xmpp:csi:0'/>");
        let padding = "x".repeat(size);
        let before = yard.clients[juliet].bytes;
        let (mut offered, mut i, mark) = (0, 0, crate::meter::Mark::here());
        while offered < PLENTY / 10 {
            i += 1;
            let stanza = format!(
                "<presence from='friend@localhost/r{i}' to='juliet@localhost'><status>{padding}</status></presence>"
            );
            offered += stanza.len() as u64;
            yard.command(Command::Send { stanza: stanza.into_bytes().into() });
        }
        let limits = yard.limits();
        let bound = u64::from(limits.csi_bytes_max) + 256 * KIB;
        assert!(mark.peak() < 2 * bound, "{size}: {}", mark.peak());
        // Nothing is dropped for it.
        yard.send(juliet, "<active xmlns='urn:xmpp:csi:0'/>");
        assert!(yard.clients[juliet].bytes - before >= offered, "{size}");
    }
}

/// Sessions that are made and left, over and over (RFC 6120 §7, XEP-0198 §5): the number of resources is limited, and
/// what waits to be resumed ends.
#[test]
fn abandoned_sessions_are_bounded() {
    let mut yard = Yard::new();
    let mark = crate::meter::Mark::here();
    let max = usize::from(yard.limits().resources_per_user_max);
    for i in 0..max {
        let (c, _) = yard.login_sm("romeo", &format!("r{i}"));
        yard.available(c);
        yard.cut(c);
    }
    assert_eq!((yard.census().connections, yard.census().resources), (0, max));
    assert!(mark.held() < MIB, "{}", mark.held());
    let limits = yard.limits();
    yard.pass(limits.resume_timeout_max);
    yard.pass_beyond(limits.user_cache_timeout, 1);
    assert_eq!(yard.census(), chat_core::engine::Census::default());
    // What is remembered of sessions that are over (for `<failed h='…'/>`), and chunks for the next ones.
    assert!(mark.held() < 256 * KIB, "{}", mark.held());
}
