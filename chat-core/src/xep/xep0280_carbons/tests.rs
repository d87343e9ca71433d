use super::super::testing::{Bench, get, set};
use super::*;

/// romeo with three clients; `orchard` and `garden` want copies.
fn bench() -> Bench {
    let mut bench = Bench::new();
    for name in ["orchard", "garden", "cellar"] {
        bench.bind(name);
    }
    bench.user.resources[0].carbons = true;
    bench.user.resources[1].carbons = true;
    bench
}

/// Who got something.
fn who(bench: &mut Bench) -> Vec<&'static str> {
    ["orchard", "garden", "cellar"].into_iter().filter(|name| !bench.sent(name).is_empty()).collect()
}

const NOBODY: [&str; 0] = [];

#[test]
fn a_client_switches_its_copies_on_and_off() {
    let mut bench = Bench::new();
    bench.bind("orchard");
    for (order, on) in [
        ("<enable xmlns='urn:xmpp:carbons:2'/>", true),   // §4
        ("<enable xmlns='urn:xmpp:carbons:2'/>", true),   // §10.1
        ("<disable xmlns='urn:xmpp:carbons:2'/>", false), // §5
        ("<disable xmlns='urn:xmpp:carbons:2'/>", false),
    ] {
        assert_eq!(bench.ask(&mut Carbons, Asked::Own, set(order)), "result");
        assert_eq!(bench.user.resources[0].carbons, on);
    }
    let enable = "<enable xmlns='urn:xmpp:carbons:2'/>";
    assert_eq!(bench.ask(&mut Carbons, Asked::Own, get(enable)), "not mine");
    assert_eq!(bench.ask(&mut Carbons, Asked::Other, set(enable)), "not mine");
    assert!(!bench.user.resources[0].carbons);
}

/// §8: the example, with the sender's address as the server knows it and the type kept.
#[test]
fn what_one_client_sends_the_others_get() {
    let mut bench = bench();
    let message = "<message to='juliet@capulet.example/balcony' type='chat'><body>Neither</body></message>";
    assert_eq!(bench.send(&mut Carbons, "orchard", message), "go");
    assert_eq!(
        bench.sent("garden"),
        "<message from='romeo@montague.example' to='romeo@montague.example/garden' type='chat'>\
         <sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
         <message to='juliet@capulet.example/balcony' from='romeo@montague.example/orchard' \
         xmlns='jabber:client' type='chat'><body>Neither</body></message>\
         </forwarded></sent></message>"
    );
    assert_eq!(who(&mut bench), NOBODY, "not the sender, nor who did not ask");
    // §8: whether or not the sender has asked for copies itself.
    bench.send(&mut Carbons, "cellar", message);
    assert_eq!(who(&mut bench), ["orchard", "garden"]);
}

/// §7: the example.
#[test]
fn what_one_client_gets_the_others_get_copied() {
    let mut bench = bench();
    let message = "<message from='juliet@capulet.example/balcony' to='romeo@montague.example/orchard' type='chat'>\
        <body>What man</body></message>";
    bench.deliver(&mut Carbons, message, &["orchard"]);
    assert_eq!(
        bench.sent("garden"),
        "<message from='romeo@montague.example' to='romeo@montague.example/garden' type='chat'>\
         <received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
         <message to='romeo@montague.example/orchard' from='juliet@capulet.example/balcony' \
         xmlns='jabber:client' type='chat'><body>What man</body></message>\
         </forwarded></received></message>"
    );
    assert_eq!(who(&mut bench), NOBODY);
}

#[test]
fn who_got_the_message_gets_no_copy() {
    let mut bench = bench();
    let message =
        "<message from='juliet@capulet.example' to='romeo@montague.example' type='chat'><body/></message>";
    bench.deliver(&mut Carbons, message, &["orchard", "garden"]);
    assert_eq!(who(&mut bench), NOBODY);
    bench.deliver(&mut Carbons, message, &["cellar"]);
    assert_eq!(who(&mut bench), ["orchard", "garden"]);
    bench.deliver(&mut Carbons, message, &[]);
    assert_eq!(who(&mut bench), NOBODY, "a message that waits is copied when somebody gets it");
}

#[test]
fn a_message_to_oneself_is_copied_once() {
    let mut bench = bench();
    let to_garden = "<message to='romeo@montague.example/cellar' type='chat'><body/></message>";
    bench.send(&mut Carbons, "orchard", to_garden);
    bench.send(&mut Carbons, "orchard", "<message type='chat'><body/></message>");
    assert_eq!(who(&mut bench), NOBODY);
    let message = "<message from='romeo@montague.example/orchard' to='romeo@montague.example/cellar' type='chat'>\
        <body/></message>";
    bench.deliver(&mut Carbons, message, &["cellar"]);
    assert_eq!(who(&mut bench), ["garden"]);
}

/// §6.1, each row sent by romeo to juliet, and sent by juliet to romeo's bare JID.
#[test]
fn conversations_are_copied_and_nothing_else() {
    let body = "<body>x</body>";
    let state = "<active xmlns='http://jabber.org/protocol/chatstates'/>";
    let receipt = "<received xmlns='urn:xmpp:receipts' id='1'/>";
    let marker = "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>";
    let private = "<body>x</body><private xmlns='urn:xmpp:carbons:2'/>";
    let hint = "<body>x</body><no-copy xmlns='urn:xmpp:hints'/>";
    let direct = "<x xmlns='jabber:x:conference' jid='r@c.example'/>"; // XEP-0249
    let mediated = "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b.example'/></x>";
    for (kind, payload, sent, received) in [
        ("type='chat'", body, true, true),
        ("type='chat'", "<x xmlns='urn:x'/>", true, true),
        ("type='chat'", state, true, true),
        ("type='chat'", private, false, false), // §9
        ("type='chat'", hint, false, false),
        ("", body, true, true),
        ("type='normal'", body, true, true),
        ("type='normal'", "<x xmlns='urn:x'/>", false, false),
        ("type='normal'", "<body xmlns='urn:x'/>", false, false),
        ("type='normal'", private, false, false),
        ("type='normal'", receipt, true, true),
        ("type='normal'", marker, true, true),
        ("type='normal'", direct, true, true),
        ("type='normal'", mediated, true, true),
        ("type='headline'", body, false, false),
        ("type='headline'", receipt, true, true),
        ("type='groupchat'", body, false, false),
        ("type='groupchat'", mediated, false, false),
        ("type='groupchat'", state, false, false),
        ("type='error'", body, false, true),
    ] {
        let mut bench = bench();
        bench.send(
            &mut Carbons,
            "cellar",
            &format!("<message to='juliet@capulet.example' {kind}>{payload}</message>"),
        );
        assert_eq!(!who(&mut bench).is_empty(), sent, "sent: {kind} {payload}");
        let message = format!(
            "<message from='juliet@capulet.example' to='romeo@montague.example' {kind}>{payload}</message>"
        );
        bench.deliver(&mut Carbons, &message, &["cellar"]);
        assert_eq!(!who(&mut bench).is_empty(), received, "received: {kind} {payload}");
    }
}

/// §6.1, the rules for rooms.
#[test]
fn rooms_send_private_messages_themselves() {
    let x = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
    let mut bench = bench();
    let to_participant =
        format!("<message to='room@muc.capulet.example/nick' type='chat'><body/>{x}</message>");
    bench.send(&mut Carbons, "cellar", &to_participant);
    assert_eq!(who(&mut bench), ["orchard", "garden"]);
    let from_participant = format!(
        "<message from='room@muc.capulet.example/nick' to='romeo@montague.example/cellar' type='chat'><body/>{x}</message>"
    );
    bench.deliver(&mut Carbons, &from_participant, &["cellar"]);
    assert_eq!(who(&mut bench), NOBODY);
    let invitation = "<message from='room@muc.capulet.example' to='romeo@montague.example/cellar'>\
        <x xmlns='http://jabber.org/protocol/muc#user'><invite from='juliet@capulet.example'/></x></message>";
    bench.deliver(&mut Carbons, invitation, &["cellar"]);
    assert_eq!(who(&mut bench), ["orchard", "garden"]);
}

#[test]
fn errors_of_full_jids_and_servers_are_not_copied() {
    for (from, copied) in [
        ("juliet@capulet.example", true),
        ("juliet@capulet.example/balcony", false),
        ("capulet.example", false),
    ] {
        let mut bench = bench();
        let error = format!("<message from='{from}' to='romeo@montague.example/cellar' type='error'/>");
        bench.deliver(&mut Carbons, &error, &["cellar"]);
        assert_eq!(!who(&mut bench).is_empty(), copied, "{from}");
    }
}

#[test]
fn other_stanzas_are_never_copied() {
    let mut bench = bench();
    bench.send(&mut Carbons, "cellar", "<presence to='juliet@capulet.example'/>");
    bench.send(
        &mut Carbons,
        "cellar",
        "<iq to='juliet@capulet.example' type='get' id='1'><x xmlns='urn:x'/></iq>",
    );
    assert_eq!(who(&mut bench), NOBODY);
}

/// §11: only the user's own server makes copies.
#[test]
fn forged_copies_are_refused() {
    let mut bench = bench();
    for direction in ["received", "sent"] {
        for from in ["tybalt@capulet.example/home", "romeo@montague.example/orchard"] {
            let forged = format!(
                "<message from='{from}' to='romeo@montague.example' type='chat'><{direction} xmlns='urn:xmpp:carbons:2'>\
                 <forwarded xmlns='urn:xmpp:forward:0'/></{direction}></message>"
            );
            assert_eq!(
                bench.arrive(&mut Carbons, &forged),
                "bounce modify policy-violation",
                "{direction} {from}"
            );
        }
    }
    let receipt = "<message from='juliet@capulet.example' to='romeo@montague.example'>\
        <received xmlns='urn:xmpp:receipts' id='1'/></message>";
    assert_eq!(bench.arrive(&mut Carbons, receipt), "go");
}

/// Prefixes that the stream header bound are bound in the copy, and a stanza of a server's namespace becomes one of
/// a client's, because the copy is read where neither is known (XEP-0297 §3).
#[test]
fn a_copy_stands_on_its_own() {
    let mut bench = bench();
    let message = "<message to='juliet@capulet.example' type='chat' xml:lang='it'>\
        <q:x xmlns:q='urn:q'><message xmlns='jabber:server'/></q:x></message>";
    bench.send(&mut Carbons, "orchard", message);
    let copy = bench.sent("garden");
    let copy = Element::parse(copy.as_bytes(), &crate::xml::StreamNs::client()).unwrap();
    let forwarded = copy.child("sent", NS).unwrap().child("forwarded", "urn:xmpp:forward:0").unwrap();
    let inner = forwarded.child("message", "jabber:client").unwrap();
    assert_eq!(inner.attr("xml:lang"), Some("it"));
    assert!(inner.child("x", "urn:q").unwrap().has_child("message", "jabber:server"));
}

#[test]
fn addresses_are_escaped() {
    let mut bench = Bench::new();
    bench.bind("a");
    bench.bind("'<&");
    bench.user.resources[1].carbons = true;
    bench.send(&mut Carbons, "a", "<message to='juliet@capulet.example/&lt;&apos;' type='chat'/>");
    let copy = bench.sent("'<&");
    let copy = Element::parse(copy.as_bytes(), &crate::xml::StreamNs::client()).unwrap();
    assert_eq!(copy.attr("to"), Some("romeo@montague.example/'<&"));
}
