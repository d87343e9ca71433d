//! RFC 6121 §2: expected stanzas are written out.

use super::*;
use crate::effect::{StoreError, StoreOp};
use crate::user::subscription::Subscription;
use crate::user::testing::{Kit, with_stanza};

fn iq(kit: &mut Kit, user: &mut User, name: &str, text: &str) {
    let from = user.jid.join(name);
    let resource = user.resources.iter().find(|r| r.name() == name).unwrap().id;
    let to = text.contains(" to='").then(|| user.jid.to_string());
    with_stanza(text, from.as_str(), to.as_deref(), |stanza| on_iq(user, resource, stanza, &mut kit.cx));
}

fn set(kit: &mut Kit, user: &mut User, items: &str) {
    iq(
        kit,
        user,
        "balcony",
        &format!("<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{items}</query></iq>"),
    );
}

fn get(kit: &mut Kit, user: &mut User, name: &str, ver: &str) -> String {
    iq(kit, user, name, &format!("<iq type='get' id='g'><query xmlns='jabber:iq:roster'{ver}/></iq>"));
    kit.read(user, name)
}

fn juliet(kit: &mut Kit) -> User {
    let mut user = kit.user("juliet@example.com");
    kit.bind(&mut user, "balcony");
    kit.bind(&mut user, "chamber");
    user
}

fn error(ty: &str, condition: &str) -> String {
    format!(
        "<iq type='error' id='s' to='juliet@example.com/balcony'>\
         <error type='{ty}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    )
}

/// §2.1.4, §2.3.2, §2.4: the answer to the one who asked, then the push to all who are interested, each with its own
/// address; nothing before the commit.
#[test]
fn an_item_is_added_changed_and_pushed() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    assert_eq!(
        get(&mut kit, &mut juliet, "chamber", ""),
        "<iq type='result' id='g' to='juliet@example.com/chamber'><query xmlns='jabber:iq:roster' ver='0'></query></iq>"
    );
    set(
        &mut kit,
        &mut juliet,
        "<item jid='Nurse@example.com' name='Nurse &amp; Co'><group>Servants</group></item>",
    );
    assert_eq!((kit.read(&juliet, "balcony"), kit.read(&juliet, "chamber")), (String::new(), String::new()));
    kit.commit(&mut juliet);
    // The resource that is not interested gets the answer only.
    assert_eq!(kit.read(&juliet, "balcony"), "<iq type='result' id='s' to='juliet@example.com/balcony'/>");
    assert_eq!(
        kit.read(&juliet, "chamber"),
        "<iq type='set' id='*' to='juliet@example.com/chamber'><query xmlns='jabber:iq:roster' ver='1'>\
         <item jid='nurse@example.com' name='Nurse &amp; Co' subscription='none'><group>Servants</group></item>\
         </query></iq>"
    );
    // A change of name and groups; what the client says of the state is passed over (§2.1.2.5).
    set(
        &mut kit,
        &mut juliet,
        "<item jid='nurse@example.com' subscription='both' ask='subscribe' approved='true'/>",
    );
    kit.commit(&mut juliet);
    assert_eq!(
        kit.read(&juliet, "chamber"),
        "<iq type='set' id='*' to='juliet@example.com/chamber'><query xmlns='jabber:iq:roster' ver='2'>\
         <item jid='nurse@example.com' subscription='none'/></query></iq>"
    );
    // The same once more changes nothing and is pushed all the same.
    kit.read(&juliet, "balcony");
    set(&mut kit, &mut juliet, "<item jid='nurse@example.com'/>");
    assert!(kit.asked().is_empty());
    assert_eq!(kit.read(&juliet, "balcony"), "<iq type='result' id='s' to='juliet@example.com/balcony'/>");
    assert!(kit.read(&juliet, "chamber").contains("ver='2'"));
}

/// §2.1.2, §2.1.3: what clients see of each state; strangers' requests are not shown (§3.1.3).
#[test]
fn the_roster_shows_the_states_as_the_rfc_spells_them() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    let max = crate::user::outgoing::roster_max(&kit.cx.settings.limits);
    for (jid, state) in [
        ("a@example.net", Subscription::NONE_OUT_APPROVED),
        ("b@example.net", Subscription::TO_IN),
        ("c@example.net", Subscription::FROM_OUT),
        ("d@example.net", Subscription::BOTH),
        ("e@example.net", Subscription::REQUEST),
    ] {
        juliet.roster.set_subscription(jid, state, b"<presence/>", max).unwrap();
    }
    juliet.roster.set_version(9);
    assert_eq!(
        get(&mut kit, &mut juliet, "balcony", ""),
        "<iq type='result' id='g' to='juliet@example.com/balcony'><query xmlns='jabber:iq:roster' ver='9'>\
         <item jid='a@example.net' subscription='none' ask='subscribe' approved='true'/>\
         <item jid='b@example.net' subscription='to'/>\
         <item jid='c@example.net' subscription='from' ask='subscribe'/>\
         <item jid='d@example.net' subscription='both'/></query></iq>"
    );
}

/// §2.6: the same version is answered by nothing, another, an empty or no version by the roster.
#[test]
fn a_client_with_the_current_version_gets_an_empty_result() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    juliet.roster.set_version(12);
    let empty = "<iq type='result' id='g' to='juliet@example.com/balcony'/>";
    let whole = "<iq type='result' id='g' to='juliet@example.com/balcony'>\
                 <query xmlns='jabber:iq:roster' ver='12'></query></iq>";
    for (ver, answer) in
        [(" ver='12'", empty), (" ver=''", whole), ("", whole), (" ver='11'", whole), (" ver='012'", whole)]
    {
        juliet.resources[0].interested = false;
        assert_eq!(get(&mut kit, &mut juliet, "balcony", ver), answer, "{ver}");
        assert!(juliet.resources[0].interested, "§2.2");
    }
}

/// §2.5: the item goes, and with it every tie to the contact.
#[test]
fn a_removed_contact_is_unsubscribed_both_ways() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    let max = crate::user::outgoing::roster_max(&kit.cx.settings.limits);
    juliet.roster.set_subscription("romeo@example.net", Subscription::BOTH, b"", max).unwrap();
    kit.presence(&mut juliet, "balcony", "<presence/>");
    kit.posted();
    get(&mut kit, &mut juliet, "balcony", "");
    set(&mut kit, &mut juliet, "<item jid='romeo@example.net' subscription='remove'/>");
    assert!(kit.posted().is_empty() && kit.read(&juliet, "balcony").is_empty());
    kit.commit(&mut juliet);
    assert_eq!(
        kit.posted(),
        [
            "romeo@example.net: <presence type='unavailable' from='juliet@example.com/balcony'/>",
            "romeo@example.net: <presence type='unsubscribe' from='juliet@example.com' to='romeo@example.net'/>",
            "romeo@example.net: <presence type='unsubscribed' from='juliet@example.com' to='romeo@example.net'/>",
        ]
    );
    assert_eq!(
        kit.read(&juliet, "balcony"),
        "<iq type='result' id='s' to='juliet@example.com/balcony'/>\
         <iq type='set' id='*' to='juliet@example.com/balcony'><query xmlns='jabber:iq:roster' ver='1'>\
         <item jid='romeo@example.net' subscription='remove'/></query></iq>"
    );
    assert!(juliet.roster.is_empty());
}

/// §2.3.3, §2.5.3, RFC 6120 §8.3.3.8.
#[test]
fn bad_sets_are_refused() {
    let long = "x".repeat(1024);
    let just = "x".repeat(1023);
    for (items, ty, condition) in [
        ("".to_owned(), "modify", "bad-request"),
        ("<item jid='a@b'/><item jid='c@d'/>".to_owned(), "modify", "bad-request"),
        ("<item name='a'/>".to_owned(), "modify", "bad-request"),
        ("<item jid='a@@b'/>".to_owned(), "modify", "jid-malformed"),
        ("<item jid='a@b/c'/>".to_owned(), "modify", "bad-request"),
        ("<item jid='juliet@example.com'/>".to_owned(), "cancel", "not-allowed"),
        (format!("<item jid='a@b' name='{long}'/>"), "modify", "not-acceptable"),
        ("<item jid='a@b'><group/></item>".to_owned(), "modify", "not-acceptable"),
        (format!("<item jid='a@b'><group>{long}</group></item>"), "modify", "not-acceptable"),
        (
            "<item jid='a@b'><group>F</group><group>G</group><group>F</group></item>".to_owned(),
            "modify",
            "bad-request",
        ),
        ("<item jid='a@b' subscription='remove'/>".to_owned(), "cancel", "item-not-found"),
    ] {
        let mut kit = Kit::new();
        let mut juliet = juliet(&mut kit);
        set(&mut kit, &mut juliet, &items);
        assert_eq!(kit.read(&juliet, "balcony"), error(ty, condition), "{items}");
        assert!(kit.asked().is_empty());
    }
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    set(&mut kit, &mut juliet, &format!("<item jid='a@b' name='{just}'><group>{just}</group></item>"));
    kit.commit(&mut juliet);
}

/// A request of a stranger is no item that could be removed (§3.1.3), until it is put into the roster.
#[test]
fn a_request_alone_is_not_in_the_roster() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    let max = crate::user::outgoing::roster_max(&kit.cx.settings.limits);
    juliet.roster.set_subscription("paris@example.net", Subscription::REQUEST, b"<presence/>", max).unwrap();
    set(&mut kit, &mut juliet, "<item jid='paris@example.net' subscription='remove'/>");
    assert_eq!(kit.read(&juliet, "balcony"), error("cancel", "item-not-found"));
    set(&mut kit, &mut juliet, "<item jid='paris@example.net' name='Paris'/>");
    kit.commit(&mut juliet);
    assert_eq!(juliet.roster.subscription("paris@example.net"), Subscription::NONE_IN);
}

#[test]
fn a_full_roster_is_a_resource_constraint() {
    let mut kit = Kit::with(|s| s.limits.roster_items_max = 1);
    let mut juliet = juliet(&mut kit);
    set(&mut kit, &mut juliet, "<item jid='a@b'/>");
    kit.commit(&mut juliet);
    kit.read(&juliet, "balcony");
    set(&mut kit, &mut juliet, "<item jid='c@d'/>");
    assert_eq!(kit.read(&juliet, "balcony"), error("wait", "resource-constraint"));
}

/// RFC 6120 §8.1.2.1: the answer comes from the address that was asked.
#[test]
fn the_answer_comes_from_where_the_question_went() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    juliet.roster.set_version(1);
    iq(
        &mut kit,
        &mut juliet,
        "balcony",
        "<iq type='get' id='&apos;' to='juliet@example.com'><query xmlns='jabber:iq:roster' ver='1'/></iq>",
    );
    assert_eq!(
        kit.read(&juliet, "balcony"),
        "<iq type='result' id='&apos;' from='juliet@example.com' to='juliet@example.com/balcony'/>"
    );
    iq(&mut kit, &mut juliet, "balcony", "<iq type='set' id='s'><other xmlns='x'/></iq>");
    assert_eq!(kit.read(&juliet, "balcony"), error("modify", "bad-request"));
    iq(&mut kit, &mut juliet, "balcony", "<iq type='result' id='s'/>");
    assert_eq!(kit.read(&juliet, "balcony"), "");
}

#[test]
fn a_failing_store_changes_nothing_and_says_so() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    set(&mut kit, &mut juliet, "<item jid='a@b'/>");
    let asked = kit.asked();
    assert!(matches!(&*asked[0], StoreOp::PutRoster { expected: 0, roster, .. }
        if Roster::decode(roster).unwrap().version() == 1));
    kit.stored(&mut juliet, Err(StoreError::Unavailable));
    assert_eq!(kit.read(&juliet, "balcony"), error("wait", "internal-server-error"));
    assert!(juliet.roster.is_empty() && juliet.changes.is_empty() && juliet.underway.is_none());
}

/// The client may be gone when its change is done.
#[test]
fn nobody_waits_for_the_answer() {
    let mut kit = Kit::new();
    let mut juliet = juliet(&mut kit);
    get(&mut kit, &mut juliet, "chamber", "");
    set(&mut kit, &mut juliet, "<item jid='a@b'/>");
    juliet.resources.remove(0);
    kit.commit(&mut juliet);
    assert!(kit.read(&juliet, "chamber").contains("<item jid='a@b'"));
}
