use super::super::testing::{Bench, get, set};
use super::*;
use crate::effect::{Output, StoreDone, StoreError, StoreOp, StoreResult};
use crate::user::Blocked;
use crate::user::subscription::Subscription;

/// romeo with two clients, of which `orchard` knows the list, and whom he blocks.
fn bench(blocked: &[&str]) -> Bench {
    let mut bench = Bench::new();
    bench.bind("orchard");
    bench.bind("garden");
    let jids = blocked.iter().map(|jid| Jid::parse(jid).unwrap()).collect();
    bench.user.blocked = Blocked::new(3, jids);
    bench.ask(&mut Blocking, Asked::Own, get("<blocklist xmlns='urn:xmpp:blocking'/>"));
    bench
}

fn ask(bench: &mut Bench, order: &str) -> String {
    bench.ask(&mut Blocking, Asked::Own, set(&format!("<{order}")))
}

/// The store answers the one write that it was asked for; what it was to write.
fn store(bench: &mut Bench, answer: StoreResult) -> String {
    let Some(Output::Store { id, op }) = bench.cx.outputs.pop_front() else { panic!("nothing is stored") };
    let StoreOp::PutBlocked { expected: 3, blocked, .. } = &*op else { panic!("{op:?}") };
    bench.cx.pending.take(id);
    let written = String::from_utf8(blocked.to_vec()).unwrap();
    change::on_stored(&mut bench.user, answer, &mut bench.cx);
    written
}

#[test]
fn the_list_is_told_to_its_owner() {
    let question = get("<blocklist xmlns='urn:xmpp:blocking'/>");
    let mut empty = bench(&[]);
    assert_eq!(
        empty.ask(&mut Blocking, Asked::Own, &question),
        "result <blocklist xmlns='urn:xmpp:blocking'/>" // §3.2
    );
    let mut some = bench(&["romeo@montague.net", "iago@shakespeare.lit"]);
    assert_eq!(
        some.ask(&mut Blocking, Asked::Own, &question),
        "result <blocklist xmlns='urn:xmpp:blocking'>\
         <item jid='iago@shakespeare.lit'/><item jid='romeo@montague.net'/></blocklist>"
    );
    assert!(some.user.resources[0].wants_blocked && !some.user.resources[1].wants_blocked);
    assert_eq!(some.ask(&mut Blocking, Asked::Other, &question), "not mine");
    assert_eq!(some.ask(&mut Blocking, Asked::Server, &question), "not mine");
}

/// §3.3: the answer and the push come when the list is stored, to who asked and to who wants to know.
#[test]
fn a_block_is_stored_then_answered_then_pushed() {
    let mut bench = bench(&[]);
    bench.bind("cellar");
    bench.user.resources[2].wants_blocked = true;
    let order = "block xmlns='urn:xmpp:blocking'><item jid='JULIET@capulet.example'/></block>";
    assert_eq!(ask(&mut bench, order), "later");
    assert_eq!(bench.sent("orchard") + &bench.sent("cellar"), "");
    assert_eq!(store(&mut bench, Ok(StoreDone::Done)), "juliet@capulet.example\n");
    let push = "><block xmlns='urn:xmpp:blocking'><item jid='juliet@capulet.example'/></block></iq>";
    let sent = bench.sent("orchard");
    let (answer, pushed) = sent.split_once('>').unwrap();
    assert_eq!(answer, "<iq type='result' id='q1' to='romeo@montague.example/orchard'/");
    assert!(pushed.starts_with("<iq type='set' ") && pushed.ends_with(push), "{pushed}");
    let cellar = bench.sent("cellar");
    assert!(cellar.contains(" to='romeo@montague.example/cellar'") && cellar.ends_with(push), "{cellar}");
    assert_eq!(bench.sent("garden"), "");
}

#[test]
fn unblocking_some_and_all() {
    let list = &["iago@shakespeare.lit", "romeo@montague.net"];
    let some = "unblock xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></unblock>";
    let all = "unblock xmlns='urn:xmpp:blocking'/>";
    for (order, left) in [(some, "iago@shakespeare.lit\n"), (all, "")] {
        let mut bench = bench(list);
        assert_eq!(ask(&mut bench, order), "later");
        assert_eq!(store(&mut bench, Ok(StoreDone::Done)), left); // §3.4, §3.5
        assert!(bench.sent("orchard").ends_with(&format!("><{order}</iq>")));
    }
}

#[test]
fn bad_orders_change_nothing() {
    for (order, error) in [
        ("block xmlns='urn:xmpp:blocking'/>", "error modify bad-request"), // §3.3
        ("block xmlns='urn:xmpp:blocking'><item/></block>", "error modify bad-request"),
        ("block xmlns='urn:xmpp:blocking'><x jid='a@b.c'/></block>", "error modify bad-request"),
        ("unblock xmlns='urn:xmpp:blocking'><x jid='a@b.c'/></unblock>", "error modify bad-request"),
        ("block xmlns='urn:xmpp:blocking'><item jid='a@@b'/></block>", "error modify jid-malformed"),
        ("block xmlns='urn:x'><item jid='a@b'/></block>", "not mine"),
        ("blocklist xmlns='urn:xmpp:blocking'/>", "not mine"),
    ] {
        let mut bench = bench(&[]);
        assert_eq!(ask(&mut bench, order), error, "{order}");
        assert!(bench.cx.outputs.is_empty());
    }
}

#[test]
fn a_store_that_fails_is_told_and_nothing_is_blocked() {
    let mut bench = bench(&[]);
    ask(&mut bench, "block xmlns='urn:xmpp:blocking'><item jid='juliet@capulet.example'/></block>");
    store(&mut bench, Err(StoreError::Unavailable));
    let sent = bench.sent("orchard");
    assert!(sent.contains("type='error'") && sent.contains("<internal-server-error"), "{sent}");
    assert!(bench.user.blocked.jids().is_empty());
}

/// §3.3 and §3.4: presence goes to those only who may see it.
#[test]
fn who_is_blocked_sees_the_user_go_and_come_back() {
    let mut bench = bench(&[]);
    bench.contact("juliet@capulet.example", Subscription::FROM);
    bench.contact("tybalt@capulet.example", Subscription::TO);
    let presence = "<presence from='romeo@montague.example/orchard'><show>away</show></presence>";
    bench.user.resources[0].presence = Some(presence.as_bytes().into());
    let posted = |bench: &mut Bench| -> Vec<(String, String)> {
        let mail = bench.cx.local.drain(..);
        mail.map(|mail| match mail {
            crate::effect::Mail::Stanza(e) => {
                (e.to.to_string(), String::from_utf8(e.stanza.to_vec()).unwrap())
            }
            other => panic!("{other:?}"),
        })
        .collect()
    };
    ask(&mut bench, "block xmlns='urn:xmpp:blocking'><item jid='capulet.example'/></block>");
    store(&mut bench, Ok(StoreDone::Done));
    let gone = "<presence type='unavailable' from='romeo@montague.example/orchard'/>";
    assert_eq!(posted(&mut bench), [("juliet@capulet.example".to_owned(), gone.to_owned())]);
    bench.user.blocked = Blocked::new(3, bench.user.blocked.jids().to_vec());
    ask(&mut bench, "unblock xmlns='urn:xmpp:blocking'/>");
    store(&mut bench, Ok(StoreDone::Done));
    assert_eq!(posted(&mut bench), [("juliet@capulet.example".to_owned(), presence.to_owned())]);
}

#[test]
fn nothing_goes_to_who_is_blocked() {
    let refused = "bounce cancel not-acceptable blocked urn:xmpp:blocking:errors"; // §3.3
    let mut bench = bench(&["juliet@capulet.example"]);
    for stanza in [
        "<message to='juliet@capulet.example' type='chat'><body/></message>",
        "<message to='juliet@capulet.example/balcony'/>",
        "<presence to='juliet@capulet.example'/>",
        "<presence to='juliet@capulet.example' type='subscribe'/>",
        "<iq to='juliet@capulet.example/balcony' type='get' id='1'><x xmlns='urn:x'/></iq>",
    ] {
        assert_eq!(bench.send(&mut Blocking, "orchard", stanza), refused, "{stanza}");
    }
    for stanza in ["<message to='nurse@capulet.example'/>", "<message to='capulet.example'/>", "<message/>"] {
        assert_eq!(bench.send(&mut Blocking, "orchard", stanza), "go", "{stanza}");
    }
}

#[test]
fn nothing_comes_from_who_is_blocked() {
    let mut bench = bench(&["juliet@capulet.example"]);
    let refused = "bounce cancel service-unavailable";
    for (stanza, flow) in [
        ("message type='chat'", refused), // §3.3
        ("message type='groupchat'", refused),
        ("message", refused),
        ("message type='error'", "drop"),
        ("presence", "drop"),
        ("presence type='unavailable'", "drop"),
        ("presence type='probe'", "drop"),
        ("presence type='subscribe'", "drop"),
        ("presence type='error'", "drop"),
        ("iq id='1' type='get'", refused),
        ("iq id='1' type='set'", refused),
        ("iq id='1' type='result'", "drop"),
        ("iq id='1' type='error'", "drop"),
    ] {
        let from = |jid: &str| format!("<{stanza} from='{jid}' to='romeo@montague.example/orchard'/>");
        assert_eq!(bench.arrive(&mut Blocking, &from("juliet@capulet.example/balcony")), flow, "{stanza}");
        assert_eq!(bench.arrive(&mut Blocking, &from("nurse@capulet.example/room")), "go", "{stanza}");
    }
}

/// §5: one resource of a user never blocks another; and nobody can be cut off from the server.
#[test]
fn own_resources_and_the_own_server_are_never_blocked() {
    let mut bench = bench(&["romeo@montague.example", "montague.example", "romeo@montague.example/garden"]);
    for (from, flow) in [
        ("romeo@montague.example/garden", "go"),
        ("romeo@montague.example", "go"),
        ("montague.example", "go"),
        ("benvolio@montague.example/street", "bounce cancel service-unavailable"),
    ] {
        let message = format!("<message from='{from}' to='romeo@montague.example/orchard'/>");
        assert_eq!(bench.arrive(&mut Blocking, &message), flow, "{from}");
    }
    for to in ["romeo@montague.example/garden", "montague.example"] {
        assert_eq!(bench.send(&mut Blocking, "orchard", &format!("<message to='{to}'/>")), "go", "{to}");
    }
}
