//! RFC 6121 §4: expected stanzas are written out; addresses are those of the RFC's examples.

use super::*;
use crate::user::roster::{Groups, Item, RosterMax};
use crate::user::subscription::Subscription;
use crate::user::testing::{Kit, with_stanza};
use crate::user::{BlockEdit, Blocked};

const MAX: RosterMax = RosterMax { items: 100, requests: 100, bytes: 99_999 };

fn know(user: &mut User, jid: &str, subscription: Subscription, request: &str) {
    let item = Item { jid, name: "", subscription, request: request.as_bytes(), groups: Groups::NONE };
    user.roster.put(item, MAX).unwrap();
}

fn juliet(kit: &mut Kit) -> User {
    let mut user = kit.user("juliet@example.com");
    kit.bind(&mut user, "balcony");
    know(&mut user, "romeo@example.net", Subscription::BOTH, "");
    know(&mut user, "mercutio@example.com", Subscription::TO, "");
    know(&mut user, "benvolio@example.net", Subscription::FROM, "");
    know(&mut user, "nurse@example.com", Subscription::NONE_OUT, "");
    know(&mut user, "elsewhere@example.org", Subscription::BOTH, "");
    user
}

fn arrive(kit: &mut Kit, user: &mut User, from: &str, to: &str, text: &str) {
    with_stanza(text, from, Some(to), |stanza| on_inbound(user, stanza, &mut kit.cx));
}

/// §4.2.2, §4.3.1: subscribers get the broadcast, those whom the user sees a probe; a domain that is not served
/// neither; the resource itself a copy.
#[test]
fn initial_presence_is_broadcast_and_probes() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    let text = "<presence id='a' xml:lang='en'><show>away</show></presence>";
    assert_eq!(kit.presence(&mut juliet, "balcony", text), Some(OwnPresence::BecameAvailable));
    let broadcast =
        "<presence from='juliet@example.com/balcony' id='a' xml:lang='en'><show>away</show></presence>";
    let probe = "<presence type='probe' from='juliet@example.com'/>";
    assert_eq!(
        kit.posted(),
        [
            format!("benvolio@example.net: {broadcast}"),
            format!("romeo@example.net: {broadcast}"),
            format!("mercutio@example.com: {probe}"),
            format!("romeo@example.net: {probe}"),
        ]
    );
    assert_eq!(
        kit.read(&juliet, "balcony"),
        "<presence to='juliet@example.com/balcony' from='juliet@example.com/balcony' id='a' xml:lang='en'>\
         <show>away</show></presence>"
    );
}

/// RFC 6120 §8.1.5: what has no language has that of its stream.
#[test]
fn the_language_of_the_stream_is_kept() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    let resource = juliet.resources[0].id;
    with_stanza("<presence><status>Oh</status></presence>", "juliet@example.com/balcony", None, |stanza| {
        on_own(&mut juliet, resource, stanza, Some("it"), false, &mut kit.cx);
    });
    assert_eq!(
        kit.posted()[0],
        "benvolio@example.net: <presence from='juliet@example.com/balcony' xml:lang='it'><status>Oh</status></presence>"
    );
}

/// §4.2.2 between the user's own resources, and the probe of a further one from its full JID.
#[test]
fn own_resources_see_each_other() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    kit.bind(&mut juliet, "chamber");
    kit.bind(&mut juliet, "silent");
    kit.presence(&mut juliet, "balcony", "<presence><priority>5</priority></presence>");
    kit.posted();
    kit.read(&juliet, "balcony");
    kit.presence(&mut juliet, "chamber", "<presence/>");
    assert_eq!(
        kit.read(&juliet, "balcony"),
        "<presence to='juliet@example.com/balcony' from='juliet@example.com/chamber'/>"
    );
    assert_eq!(
        kit.read(&juliet, "chamber"),
        "<presence to='juliet@example.com/chamber' from='juliet@example.com/chamber'/>\
         <presence to='juliet@example.com/chamber' from='juliet@example.com/balcony'><priority>5</priority></presence>"
    );
    assert_eq!(kit.read(&juliet, "silent"), "");
    assert!(kit.posted().contains(
        &"romeo@example.net: <presence type='probe' from='juliet@example.com/chamber'/>".to_owned()
    ));
}

/// §4.4.2: no probes, no greeting; what changed for messages is told to the caller.
#[test]
fn later_presence_is_broadcast_only() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    for (text, changed, priority) in [
        ("<presence><priority>-1</priority></presence>", OwnPresence::BecameAvailable, -1),
        ("<presence><priority>-128</priority></presence>", OwnPresence::Updated, -128),
        ("<presence><x xmlns='a'/><priority> +7 </priority></presence>", OwnPresence::PriorityRose, 7),
        ("<presence><priority><![CDATA[127]]></priority></presence>", OwnPresence::Updated, 127),
        ("<presence><priority xmlns='other'>1</priority></presence>", OwnPresence::Updated, 0),
    ] {
        assert_eq!(kit.presence(&mut juliet, "balcony", text), Some(changed), "{text}");
        assert_eq!(juliet.resources[0].priority, priority, "{text}");
    }
    kit.posted();
    kit.presence(&mut juliet, "balcony", "<presence><show>dnd</show></presence>");
    assert_eq!(
        kit.posted(),
        ["benvolio@example.net", "romeo@example.net"].map(|to| format!(
            "{to}: <presence from='juliet@example.com/balcony'><show>dnd</show></presence>"
        ))
    );
}

/// §4.7.2.3: an xs:byte.
#[test]
fn a_bad_priority_is_refused_and_changes_nothing() {
    for bad in ["128", "-129", "high", "", "1.0", "1 2"] {
        let mut kit = Kit::new();
        let mut juliet = juliet(&mut kit);
        let text = format!("<presence id='p'><priority>{bad}</priority></presence>");
        assert_eq!(kit.presence(&mut juliet, "balcony", &text), Some(OwnPresence::Nothing));
        assert!(!juliet.is_available() && kit.posted().is_empty());
        assert_eq!(
            kit.read(&juliet, "balcony"),
            "<presence type='error' id='p' from='juliet@example.com' to='juliet@example.com/balcony'>\
             <error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>",
            "{bad}"
        );
    }
}

/// §4.5.2: subscribers, own resources, receivers of directed presence; nobody twice.
#[test]
fn unavailable_reaches_whoever_saw_the_resource() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    kit.bind(&mut juliet, "chamber");
    kit.presence(&mut juliet, "chamber", "<presence/>");
    kit.presence(&mut juliet, "balcony", "<presence to='romeo@example.net/early'/>");
    kit.presence(&mut juliet, "balcony", "<presence/>");
    kit.presence(&mut juliet, "balcony", "<presence to='nurse@example.com'/>");
    kit.presence(&mut juliet, "balcony", "<presence to='romeo@example.net'/>");
    kit.presence(&mut juliet, "balcony", "<presence to='friar@example.com/cell'/>");
    kit.presence(&mut juliet, "balcony", "<presence to='friar@example.com/cell' type='unavailable'/>");
    let text: Vec<&str> = juliet.resources[0].directed.iter().map(Jid::as_str).collect();
    assert_eq!(text, ["romeo@example.net/early", "nurse@example.com"]);
    kit.posted();
    kit.read(&juliet, "balcony");
    kit.read(&juliet, "chamber");
    let bye = "<presence type='unavailable'><status>sleep</status></presence>";
    assert_eq!(kit.presence(&mut juliet, "balcony", bye), Some(OwnPresence::BecameUnavailable));
    let sent =
        "<presence from='juliet@example.com/balcony' type='unavailable'><status>sleep</status></presence>";
    assert_eq!(
        kit.posted(),
        ["benvolio@example.net", "romeo@example.net", "nurse@example.com"].map(|to| format!("{to}: {sent}"))
    );
    for name in ["balcony", "chamber"] {
        assert_eq!(
            kit.read(&juliet, name),
            format!(
                "<presence to='juliet@example.com/{name}' from='juliet@example.com/balcony' type='unavailable'>\
                 <status>sleep</status></presence>"
            )
        );
    }
    assert_eq!(kit.presence(&mut juliet, "balcony", bye), Some(OwnPresence::Nothing));
    assert!(kit.posted().is_empty() && juliet.resources[0].directed.is_empty());
}

/// §4.5.2 and §4.6.3 when the stream ends without a word.
#[test]
fn a_resource_that_is_gone_is_unavailable() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    kit.bind(&mut juliet, "chamber");
    kit.presence(&mut juliet, "chamber", "<presence/>");
    kit.presence(&mut juliet, "balcony", "<presence/>");
    kit.presence(&mut juliet, "balcony", "<presence to='nurse@example.com/kitchen'/>");
    kit.posted();
    kit.read(&juliet, "chamber");
    let (from, gone) = (juliet.full_jid(0), juliet.resources.remove(0));
    on_gone(&mut juliet, &gone, &from, Some("<lost>"), &mut kit.cx);
    let sent = "<presence type='unavailable' from='juliet@example.com/balcony'><status>&lt;lost&gt;</status></presence>";
    assert_eq!(
        kit.posted(),
        ["benvolio@example.net", "romeo@example.net", "nurse@example.com/kitchen"]
            .map(|to| format!("{to}: {sent}"))
    );
    assert_eq!(
        kit.read(&juliet, "chamber"),
        "<presence to='juliet@example.com/chamber' type='unavailable' from='juliet@example.com/balcony'>\
         <status>&lt;lost&gt;</status></presence>"
    );
}

/// §4.6: a resource that never was available owes its receivers an `unavailable`, and nobody else.
#[test]
fn directed_presence_without_broadcast() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    kit.presence(&mut juliet, "balcony", "<presence to='romeo@example.net/orchard' id='d'/>");
    assert_eq!(
        kit.posted(),
        [
            "romeo@example.net/orchard: <presence to='romeo@example.net/orchard' from='juliet@example.com/balcony' id='d'/>"
        ]
    );
    let (from, gone) = (juliet.full_jid(0), juliet.resources.remove(0));
    on_gone(&mut juliet, &gone, &from, None, &mut kit.cx);
    assert_eq!(
        kit.posted(),
        ["romeo@example.net/orchard: <presence type='unavailable' from='juliet@example.com/balcony'/>"]
    );
}

#[test]
fn more_directed_presence_than_can_be_remembered_is_refused() {
    let mut kit = Kit::with(|s| s.limits.directed_presence_max = 2);
    let mut juliet = juliet(&mut kit);
    for i in 0..2 {
        kit.presence(&mut juliet, "balcony", &format!("<presence to='room{i}@example.net/j'/>"));
    }
    kit.presence(&mut juliet, "balcony", "<presence to='room0@example.net/j'/>");
    assert_eq!(kit.posted().len(), 3);
    kit.presence(&mut juliet, "balcony", "<presence id='n' to='room2@example.net/j'/>");
    assert!(kit.posted().is_empty());
    assert_eq!(
        kit.read(&juliet, "balcony"),
        "<presence type='error' id='n' from='room2@example.net/j' to='juliet@example.com/balcony'>\
         <error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
    );
    kit.presence(&mut juliet, "balcony", "<presence type='unavailable' to='room0@example.net/j'/>");
    kit.presence(&mut juliet, "balcony", "<presence to='room2@example.net/j'/>");
    assert_eq!(kit.posted().len(), 2);
}

/// §3.1.3: a request is delivered to each resource that becomes available until it is answered.
#[test]
fn waiting_requests_are_shown_to_each_new_resource() {
    let mut kit = Kit::new();
    let mut juliet = kit.user("juliet@example.com");
    kit.bind(&mut juliet, "balcony");
    let request = "<presence type='subscribe' from='paris@example.net' id='q'><status>Hi</status></presence>";
    know(&mut juliet, "paris@example.net", Subscription::REQUEST, request);
    know(&mut juliet, "tybalt@example.com", Subscription::REQUEST, "<presence from='tybalt@example.com'/>");
    know(&mut juliet, "zed@example.com", Subscription::NONE_IN, "</stream:stream>");
    juliet.blocked =
        Blocked::new(1, juliet.blocked.edited(&BlockEdit::Add(vec!["tybalt@example.com".parse().unwrap()])));
    for _ in 0..2 {
        kit.presence(&mut juliet, "balcony", "<presence/>");
        assert_eq!(
            kit.read(&juliet, "balcony"),
            "<presence to='juliet@example.com/balcony' from='juliet@example.com/balcony'/>\
             <presence to='juliet@example.com' type='subscribe' from='paris@example.net' id='q'>\
             <status>Hi</status></presence>"
        );
        kit.presence(&mut juliet, "balcony", "<presence type='unavailable'/>");
        kit.read(&juliet, "balcony");
    }
    kit.presence(&mut juliet, "balcony", "<presence/>");
    kit.read(&juliet, "balcony");
    kit.presence(&mut juliet, "balcony", "<presence/>");
    assert!(!kit.read(&juliet, "balcony").contains("subscribe"), "only what becomes available is greeted");
}

/// §8.5.2.1.2: to all available resources, `to` left as it was.
#[test]
fn inbound_presence_goes_to_available_resources() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    kit.bind(&mut juliet, "chamber");
    kit.presence(&mut juliet, "balcony", "<presence/>");
    kit.read(&juliet, "balcony");
    for (text, delivered) in [
        (
            "<presence from='romeo@example.net/orchard'><show>dnd</show></presence>",
            "<presence to='juliet@example.com' from='romeo@example.net/orchard'><show>dnd</show></presence>",
        ),
        (
            "<presence type='unavailable' from='romeo@example.net/orchard'/>",
            "<presence to='juliet@example.com' from='romeo@example.net/orchard' type='unavailable'/>",
        ),
        (
            "<presence type='error' from='romeo@example.net/orchard'><error/></presence>",
            "<presence to='juliet@example.com' from='romeo@example.net/orchard' type='error'><error/></presence>",
        ),
    ] {
        arrive(&mut kit, &mut juliet, "romeo@example.net/orchard", "juliet@example.com", text);
        assert_eq!(kit.read(&juliet, "balcony"), delivered);
        assert_eq!(kit.read(&juliet, "chamber"), "");
    }
}

/// §4.3.2.
#[test]
fn probes_are_answered_for_those_who_may_know() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    kit.bind(&mut juliet, "chamber");
    let (balcony, chamber) = ("juliet@example.com/balcony", "juliet@example.com/chamber");
    let probe = |kit: &mut Kit, juliet: &mut User, from: &str, to: &str| {
        let text = format!("<presence type='probe' from='{from}'/>");
        arrive(kit, juliet, from, to, &text);
        kit.posted()
    };
    // Nobody is available.
    assert_eq!(
        probe(&mut kit, &mut juliet, "romeo@example.net", "juliet@example.com"),
        ["romeo@example.net: <presence type='unavailable' from='juliet@example.com'/>"]
    );
    kit.presence(&mut juliet, "balcony", "<presence><show>away</show></presence>");
    kit.presence(&mut juliet, "chamber", "<presence/>");
    kit.posted();
    let away = format!("<presence from='{balcony}'><show>away</show></presence>");
    let here = format!("<presence from='{chamber}'/>");
    // A subscriber gets every available resource, at the address that asked.
    for asker in ["romeo@example.net", "benvolio@example.net/garden", "juliet@example.com/chamber"] {
        assert_eq!(
            probe(&mut kit, &mut juliet, asker, "juliet@example.com"),
            [format!("{asker}: {away}"), format!("{asker}: {here}")]
        );
    }
    // One resource.
    assert_eq!(
        probe(&mut kit, &mut juliet, "romeo@example.net", chamber),
        [format!("romeo@example.net: {here}")]
    );
    assert_eq!(
        probe(&mut kit, &mut juliet, "romeo@example.net", "juliet@example.com/tomb"),
        ["romeo@example.net: <presence type='unavailable' from='juliet@example.com/tomb'/>"]
    );
    // Others are told that they are not subscribed, at their bare JID.
    for asker in ["mercutio@example.com/x", "paris@example.net", "nurse@example.com"] {
        let bare = asker.split('/').next().unwrap();
        assert_eq!(
            probe(&mut kit, &mut juliet, asker, "juliet@example.com"),
            [format!("{bare}: <presence type='unsubscribed' from='juliet@example.com' to='{bare}'/>")]
        );
    }
    // XEP-0191 §3: the blocked are not answered at all.
    juliet.blocked = Blocked::new(1, vec!["romeo@example.net".parse().unwrap()]);
    assert!(probe(&mut kit, &mut juliet, "romeo@example.net", "juliet@example.com").is_empty());
    // §5: a block never concerns the user's own resources.
    juliet.blocked = Blocked::new(2, vec!["example.com".parse().unwrap()]);
    assert_eq!(probe(&mut kit, &mut juliet, chamber, "juliet@example.com").len(), 2);
}

/// XEP-0191 §3.3: the blocked get no presence and are not asked for theirs.
#[test]
fn the_blocked_see_nothing() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    juliet.blocked = Blocked::new(1, vec!["example.net".parse().unwrap()]);
    kit.presence(&mut juliet, "balcony", "<presence/>");
    assert_eq!(kit.posted(), ["mercutio@example.com: <presence type='probe' from='juliet@example.com'/>"]);
    kit.presence(&mut juliet, "balcony", "<presence type='unavailable'/>");
    assert!(kit.posted().is_empty());
}
