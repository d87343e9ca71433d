//! RFC 6121 §3 as conversations, and the queue of changes under a store that is slow or fails.

use super::*;
use crate::user::roster::{Roster, RosterMax};
use crate::user::testing::{Kit, with_stanza};
use crate::user::{Asked, Contact};
use proptest::prelude::*;

pub(super) const MAX: RosterMax = RosterMax { items: 100, requests: 100, bytes: 99_999 };
pub(super) const ROMEO: &str = "romeo@example.net";
const JULIET: &str = "juliet@example.com";

/// Romeo with one client, interested and available, and Juliet likewise; nobody knows the other.
pub(super) fn two(kit: &mut Kit) -> (User, User) {
    let (mut romeo, mut juliet) = (kit.user(ROMEO), kit.user(JULIET));
    for (user, name) in [(&mut romeo, "orchard"), (&mut juliet, "balcony")] {
        kit.bind(user, name);
        user.resources[0].interested = true;
        kit.presence(user, name, "<presence/>");
        kit.read(user, name);
    }
    (romeo, juliet)
}

/// A roster push to a client, by its user's version.
fn pushed(to: &str, ver: u32, item: &str) -> String {
    format!("<iq type='set' id='*' to='{to}'><query xmlns='jabber:iq:roster' ver='{ver}'>{item}</query></iq>")
}

fn wait_error(ty: &str, condition: &str) -> String {
    format!("<error type='{ty}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
}

fn arrive(kit: &mut Kit, user: &mut User, from: &str, text: &str) {
    let to = user.jid.to_string();
    with_stanza(text, from, Some(&to), |stanza| inbound(user, stanza, &mut kit.cx));
}

fn state(user: &User, contact: &str) -> Subscription {
    user.roster.subscription(contact)
}

/// §3.1.2, §3.1.3, §3.1.5, §3.1.6: Romeo asks, Juliet agrees.
#[test]
fn a_subscription_is_asked_for_and_granted() {
    let mut kit = Kit::new();
    let (mut romeo, mut juliet) = two(&mut kit);
    kit.presence(
        &mut romeo,
        "orchard",
        "<presence type='subscribe' id='x' to='juliet@example.com/balcony'/>",
    );
    kit.settle(&mut [&mut romeo, &mut juliet]);
    assert_eq!(
        kit.read(&romeo, "orchard"),
        pushed(
            "romeo@example.net/orchard",
            1,
            "<item jid='juliet@example.com' subscription='none' ask='subscribe'/>"
        )
    );
    // The request reaches the available resource; nothing is pushed of somebody who is not in the roster.
    assert_eq!(
        kit.read(&juliet, "balcony"),
        "<presence to='juliet@example.com' from='romeo@example.net' type='subscribe' id='x'/>"
    );
    assert_eq!(state(&juliet, ROMEO), Subscription::REQUEST);

    kit.presence(&mut juliet, "balcony", "<presence type='subscribed' id='y' to='romeo@example.net'/>");
    kit.settle(&mut [&mut romeo, &mut juliet]);
    assert_eq!(
        kit.read(&juliet, "balcony"),
        pushed("juliet@example.com/balcony", 2, "<item jid='romeo@example.net' subscription='from'/>")
    );
    assert_eq!(
        kit.read(&romeo, "orchard"),
        [
            "<presence to='romeo@example.net' from='juliet@example.com' type='subscribed' id='y'/>",
            &pushed("romeo@example.net/orchard", 2, "<item jid='juliet@example.com' subscription='to'/>"),
            "<presence to='romeo@example.net' from='juliet@example.com/balcony'/>",
        ]
        .join("")
    );
    assert_eq!((state(&romeo, JULIET), state(&juliet, ROMEO)), (Subscription::TO, Subscription::FROM));
}

/// §3.2.2, §3.2.3: Juliet takes it back. Romeo first sees her go.
#[test]
fn a_subscription_is_cancelled() {
    let mut kit = Kit::new();
    let (mut romeo, mut juliet) = two(&mut kit);
    romeo.roster.set_subscription(JULIET, Subscription::BOTH, b"", MAX).unwrap();
    juliet.roster.set_subscription(ROMEO, Subscription::BOTH, b"", MAX).unwrap();
    kit.presence(&mut juliet, "balcony", "<presence type='unsubscribed' to='romeo@example.net'/>");
    kit.settle(&mut [&mut romeo, &mut juliet]);
    assert_eq!(
        kit.read(&juliet, "balcony"),
        pushed("juliet@example.com/balcony", 1, "<item jid='romeo@example.net' subscription='to'/>")
    );
    assert_eq!(
        kit.read(&romeo, "orchard"),
        [
            "<presence to='romeo@example.net' from='juliet@example.com/balcony' type='unavailable'/>",
            "<presence to='romeo@example.net' from='juliet@example.com' type='unsubscribed'/>",
            &pushed("romeo@example.net/orchard", 1, "<item jid='juliet@example.com' subscription='from'/>"),
        ]
        .join("")
    );
}

/// §3.3.2, §3.3.3: Romeo does not want it any longer; Juliet's server lets him see her go.
#[test]
fn a_subscriber_unsubscribes() {
    let mut kit = Kit::new();
    let (mut romeo, mut juliet) = two(&mut kit);
    romeo.roster.set_subscription(JULIET, Subscription::TO, b"", MAX).unwrap();
    juliet.roster.set_subscription(ROMEO, Subscription::FROM, b"", MAX).unwrap();
    kit.presence(&mut romeo, "orchard", "<presence type='unsubscribe' to='juliet@example.com'/>");
    kit.settle(&mut [&mut romeo, &mut juliet]);
    assert_eq!(
        kit.read(&juliet, "balcony"),
        [
            "<presence to='juliet@example.com' from='romeo@example.net' type='unsubscribe'/>",
            &pushed("juliet@example.com/balcony", 1, "<item jid='romeo@example.net' subscription='none'/>"),
        ]
        .join("")
    );
    assert_eq!(
        kit.read(&romeo, "orchard"),
        [
            &pushed("romeo@example.net/orchard", 1, "<item jid='juliet@example.com' subscription='none'/>"),
            "<presence to='romeo@example.net' from='juliet@example.com/balcony' type='unavailable'/>",
        ]
        .join("")
    );
}

/// §3.1.4 and §3.4: Juliet has agreed before Romeo asks; he is answered without her.
#[test]
fn a_pre_approved_request_is_answered_by_the_server() {
    let mut kit = Kit::new();
    let (mut romeo, mut juliet) = two(&mut kit);
    kit.presence(&mut juliet, "balcony", "<presence type='subscribed' to='romeo@example.net'/>");
    kit.settle(&mut [&mut romeo, &mut juliet]);
    assert_eq!(
        kit.read(&juliet, "balcony"),
        pushed(
            "juliet@example.com/balcony",
            1,
            "<item jid='romeo@example.net' subscription='none' approved='true'/>"
        )
    );
    assert_eq!(kit.read(&romeo, "orchard"), "");
    kit.presence(&mut romeo, "orchard", "<presence type='subscribe' to='juliet@example.com'/>");
    kit.settle(&mut [&mut romeo, &mut juliet]);
    assert_eq!(
        kit.read(&juliet, "balcony"),
        pushed("juliet@example.com/balcony", 2, "<item jid='romeo@example.net' subscription='from'/>")
    );
    assert!(kit.read(&romeo, "orchard").ends_with(
        "<item jid='juliet@example.com' subscription='to'/></query></iq>\
         <presence to='romeo@example.net' from='juliet@example.com/balcony'/>"
    ));
    assert_eq!((state(&romeo, JULIET), state(&juliet, ROMEO)), (Subscription::TO, Subscription::FROM));
}

proptest! {
    /// Appendix A seen from both ends: when everything that was sent has arrived, each side knows of the other what
    /// the other knows of itself, whatever stanzas and removals led there and however often each was repeated. (Two
    /// different ones on the way at once may cross an answer: the RFC has no number to tell answers apart; a probe
    /// that is answered by `unsubscribed` mends what that leaves.)
    #[test]
    fn both_ends_agree(steps in proptest::collection::vec((any::<bool>(), 0usize..5, 1..3), 1..30)) {
        let mut kit = Kit::new();
        let (mut romeo, mut juliet) = two(&mut kit);
        for (first, what, times) in steps {
            let (user, name, to) =
                if first { (&mut romeo, "orchard", JULIET) } else { (&mut juliet, "balcony", ROMEO) };
            for _ in 0..times {
                if let Some(kind) = ["subscribe", "subscribed", "unsubscribe", "unsubscribed"].get(what) {
                    kit.presence(user, name, &format!("<presence type='{kind}' to='{to}'/>"));
                } else {
                    let asked = Asked { by: user.resources[0].id, id: None, addressed: false };
                    enqueue(user, Change::Remove { asked, contact: to.parse().unwrap() }, &mut kit.cx);
                }
            }
            kit.settle(&mut [&mut romeo, &mut juliet]);
            let (r, j) = (state(&romeo, JULIET), state(&juliet, ROMEO));
            prop_assert_eq!((r.to(), r.ask()), (j.from(), j.pending_in()), "{:?} {:?}", r, j);
            prop_assert_eq!((j.to(), j.ask()), (r.from(), r.pending_in()), "{:?} {:?}", r, j);
        }
    }
}

/// §3.1.3: an offline user finds the whole request at the next login; a stranger who takes it back leaves nothing.
#[test]
fn a_request_waits_and_can_be_taken_back() {
    let mut kit = Kit::new();
    let (mut romeo, mut juliet) = two(&mut kit);
    kit.presence(&mut juliet, "balcony", "<presence type='unavailable'/>");
    kit.read(&juliet, "balcony");
    let ask = "<presence type='subscribe' id='x' to='juliet@example.com'><nick xmlns='n'>R</nick></presence>";
    for _ in 0..2 {
        kit.presence(&mut romeo, "orchard", ask);
        kit.settle(&mut [&mut romeo, &mut juliet]);
        assert_eq!(kit.read(&juliet, "balcony"), "");
    }
    kit.presence(&mut juliet, "balcony", "<presence/>");
    assert!(kit.read(&juliet, "balcony").ends_with(
        "<presence to='juliet@example.com' from='romeo@example.net' type='subscribe' id='x'>\
         <nick xmlns='n'>R</nick></presence>"
    ));
    kit.presence(&mut romeo, "orchard", "<presence type='unsubscribe' to='juliet@example.com'/>");
    kit.settle(&mut [&mut romeo, &mut juliet]);
    assert!(juliet.roster.is_empty());
    assert_eq!(
        kit.read(&juliet, "balcony"),
        "<presence to='juliet@example.com' from='romeo@example.net' type='unsubscribe'/>"
    );
}

/// Long requests are delivered as they are and kept without their payload; a stranger cannot fill the roster.
#[test]
fn strangers_cannot_fill_a_roster() {
    let mut kit = Kit::with(|s| s.limits.roster_requests_max = 2);
    let mut juliet = kit.user(JULIET);
    kit.bind(&mut juliet, "balcony");
    let padding = "x".repeat(1024);
    for i in 0..2 {
        let text = format!("<presence type='subscribe' id='{i}'><status>{padding}</status></presence>");
        arrive(&mut kit, &mut juliet, &format!("stranger{i}@example.net"), &text);
        kit.commit(&mut juliet);
    }
    assert_eq!(
        juliet.roster.requests().next().unwrap(),
        (
            "stranger0@example.net",
            &b"<presence type='subscribe' from='stranger0@example.net' to='juliet@example.com'/>"[..]
        )
    );
    arrive(&mut kit, &mut juliet, "stranger2@example.net/x", "<presence type='subscribe' id='2'/>");
    assert!(kit.asked().is_empty());
    assert_eq!(
        kit.posted(),
        [format!(
            "stranger2@example.net: <presence type='error' id='2' from='juliet@example.com' to='stranger2@example.net'>\
             {}</presence>",
            wait_error("wait", "resource-constraint")
        )]
    );
}

/// Nobody subscribes to himself, nor to whom we have no way to; an old tie to such a one can be cut.
#[test]
fn some_subscriptions_are_refused() {
    let mut kit = Kit::new();
    let (_, mut juliet) = two(&mut kit);
    for (to, kind, error) in [
        (JULIET, "subscribe", wait_error("cancel", "not-allowed")),
        (JULIET, "unsubscribed", wait_error("cancel", "not-allowed")),
        ("romeo@example.org", "subscribe", wait_error("cancel", "remote-server-not-found")),
        ("romeo@example.org", "subscribed", wait_error("cancel", "remote-server-not-found")),
    ] {
        kit.presence(&mut juliet, "balcony", &format!("<presence type='{kind}' id='i' to='{to}'/>"));
        assert_eq!(
            kit.read(&juliet, "balcony"),
            format!(
                "<presence type='error' id='i' from='{to}' to='juliet@example.com/balcony'>{error}</presence>"
            )
        );
    }
    assert!(kit.asked().is_empty() && kit.posted().is_empty());
    juliet.roster.set_subscription("romeo@example.org", Subscription::TO, b"", MAX).unwrap();
    kit.presence(&mut juliet, "balcony", "<presence type='unsubscribe' to='romeo@example.org'/>");
    kit.commit(&mut juliet);
    assert_eq!(state(&juliet, "romeo@example.org"), Subscription::NONE);
    arrive(&mut kit, &mut juliet, JULIET, "<presence type='subscribe'/>");
    assert!(kit.asked().is_empty());
}

fn set(user: &User, jid: &str) -> Change {
    let asked = Asked { by: user.resources[0].id, id: Some("s".into()), addressed: false };
    let jid = jid.parse().unwrap();
    Change::Set { asked, contact: Contact { jid, name: String::new(), groups: Vec::new() } }
}

pub(super) const DONE: &str = "<iq type='result' id='s' to='juliet@example.com/balcony'/>";

pub(super) fn failed(ty: &str, condition: &str) -> String {
    format!("<iq type='error' id='s' to='juliet@example.com/balcony'>{}</iq>", wait_error(ty, condition))
}

/// One after the other, each from what the one before left.
#[test]
fn changes_are_stored_in_order() {
    let mut kit = Kit::new();
    let (_, mut juliet) = two(&mut kit);
    juliet.resources[0].interested = false;
    for jid in ["a@b", "c@d", "a@b", "e@f"] {
        let change = set(&juliet, jid);
        enqueue(&mut juliet, change, &mut kit.cx);
    }
    assert_eq!(juliet.changes.len(), 4);
    for (expected, answers) in [(0, 1), (1, 2), (2, 1)] {
        let ops = kit.asked();
        let [op] = &ops[..] else { panic!("{ops:?}") };
        let StoreOp::PutRoster { expected: version, roster, .. } = &**op else { panic!("{op:?}") };
        assert_eq!((*version, Roster::decode(roster).unwrap().version()), (expected, expected + 1));
        kit.stored(&mut juliet, Ok(StoreDone::Done));
        // The third is no change any more and follows at once.
        assert_eq!(kit.read(&juliet, "balcony"), DONE.repeat(answers));
    }
    assert!(juliet.changes.is_empty() && juliet.underway.is_none() && kit.asked().is_empty());
    // An answer that nobody waits for.
    kit.stored(&mut juliet, Ok(StoreDone::Done));
}

#[test]
fn what_fails_does_not_hold_up_what_follows() {
    let mut kit = Kit::new();
    let (_, mut juliet) = two(&mut kit);
    kit.presence(&mut juliet, "balcony", "<presence type='subscribe' id='p' to='romeo@example.net'/>");
    arrive(&mut kit, &mut juliet, "paris@example.net", "<presence type='subscribe' id='q'/>");
    let change = set(&juliet, "c@d");
    enqueue(&mut juliet, change, &mut kit.cx);
    let error = wait_error("wait", "internal-server-error");
    kit.stored(&mut juliet, Err(StoreError::Unavailable));
    assert_eq!(
        kit.read(&juliet, "balcony"),
        format!(
            "<presence type='error' id='p' from='romeo@example.net' to='juliet@example.com/balcony'>{error}</presence>"
        )
    );
    assert!(kit.posted().is_empty(), "nothing was sent to Romeo");
    kit.stored(&mut juliet, Err(StoreError::Overloaded));
    assert_eq!(
        kit.posted(),
        [format!(
            "paris@example.net: <presence type='error' id='q' from='juliet@example.com' to='paris@example.net'>\
             {error}</presence>"
        )]
    );
    kit.stored(&mut juliet, Ok(StoreDone::Done));
    assert!(kit.read(&juliet, "balcony").starts_with(DONE));
    assert_eq!((juliet.roster.len(), juliet.roster.version()), (1, 1));
}

#[test]
fn too_many_changes_are_refused() {
    let mut kit = Kit::with(|s| s.limits.loading_stanzas_max = 2);
    let (_, mut juliet) = two(&mut kit);
    for jid in ["a@b", "c@d", "e@f"] {
        let change = set(&juliet, jid);
        enqueue(&mut juliet, change, &mut kit.cx);
    }
    assert_eq!(kit.read(&juliet, "balcony"), failed("wait", "resource-constraint"));
    assert_eq!(juliet.changes.len(), 2);
}

/// The store has a version that we do not know: a write whose answer was lost. The record is read again, the clients
/// hear of the difference, and the change is made.
#[test]
fn a_conflict_reads_the_record_again() {
    let mut kit = Kit::new();
    let (_, mut juliet) = two(&mut kit);
    juliet.roster.set_item("gone@example.com", "", &[], MAX).unwrap();
    let change = set(&juliet, "c@d");
    enqueue(&mut juliet, change, &mut kit.cx);
    kit.asked();
    kit.stored(&mut juliet, Err(StoreError::Conflict));
    assert!(matches!(&*kit.asked()[0], StoreOp::LoadUser { .. }));
    let mut theirs = Roster::new();
    theirs.set_item("a@b", "A", &[], MAX).unwrap();
    let loaded = Loaded {
        exists: true,
        roster: (7, theirs.as_bytes().into()),
        blocked: (3, b"tybalt@example.com\n"[..].into()),
        spooled: 0,
    };
    kit.stored(&mut juliet, Ok(StoreDone::User(loaded.clone())));
    let to = "juliet@example.com/balcony";
    assert_eq!(
        kit.read(&juliet, "balcony"),
        pushed(to, 7, "<item jid='a@b' name='A' subscription='none'/>")
            + &pushed(to, 7, "<item jid='gone@example.com' subscription='remove'/>")
    );
    assert!(matches!(&*kit.asked()[0], StoreOp::PutRoster { expected: 7, .. }));
    kit.stored(&mut juliet, Ok(StoreDone::Done));
    assert_eq!(
        kit.read(&juliet, "balcony"),
        DONE.to_owned() + &pushed(to, 8, "<item jid='c@d' subscription='none'/>")
    );
    assert_eq!((juliet.roster.len(), juliet.blocked.version()), (2, 3));
    // A second conflict in a row is the end of a change, and so is a record that cannot be read.
    for answers in [
        vec![Err(StoreError::Conflict), Ok(StoreDone::User(loaded)), Err(StoreError::Conflict)],
        vec![Err(StoreError::Conflict), Err(StoreError::Unavailable)],
    ] {
        let change = set(&juliet, "x@y");
        enqueue(&mut juliet, change, &mut kit.cx);
        kit.read(&juliet, "balcony");
        for answer in answers {
            assert!(juliet.underway.is_some());
            kit.stored(&mut juliet, answer);
        }
        assert!(kit.read(&juliet, "balcony").ends_with(&failed("wait", "internal-server-error")));
        assert!(juliet.changes.is_empty() && juliet.underway.is_none());
    }
}

/// RFC 6120 §10.1: what a contact sends behind a subscription stanza does not overtake it while that is stored; what
/// others send does not wait for it.
#[test]
fn presence_does_not_overtake_a_subscription() {
    let mut kit = Kit::with(|s| s.limits.loading_stanzas_max = 3);
    let (_, mut juliet) = two(&mut kit);
    juliet.roster.set_subscription(ROMEO, Subscription::NONE_OUT, b"", MAX).unwrap();
    arrive(&mut kit, &mut juliet, ROMEO, "<presence type='subscribed'/>");
    let mut show = |kit: &mut Kit, from: &str, show: &str| {
        let text = format!("<presence><show>{show}</show></presence>");
        with_stanza(&text, from, Some(JULIET), |stanza| {
            crate::user::presence::on_inbound(&mut juliet, stanza, &mut kit.cx);
        });
        kit.read(&juliet, "balcony")
    };
    let shown = |from: &str, show: &str| {
        format!("<presence to='juliet@example.com' from='{from}'><show>{show}</show></presence>")
    };
    assert_eq!(show(&mut kit, "romeo@example.net/orchard", "away"), "");
    assert_eq!(show(&mut kit, "romeo@example.net/orchard", "dnd"), "");
    assert_eq!(show(&mut kit, "paris@example.net/x", "xa"), shown("paris@example.net/x", "xa"));
    // No room to wait.
    assert_eq!(show(&mut kit, "romeo@example.net/pda", "xa"), shown("romeo@example.net/pda", "xa"));
    kit.commit(&mut juliet);
    assert_eq!(
        kit.read(&juliet, "balcony"),
        [
            "<presence to='juliet@example.com' from='romeo@example.net' type='subscribed'/>",
            &pushed("juliet@example.com/balcony", 1, "<item jid='romeo@example.net' subscription='to'/>"),
            &shown("romeo@example.net/orchard", "away"),
            &shown("romeo@example.net/orchard", "dnd"),
        ]
        .join("")
    );
    assert!(juliet.changes.is_empty());
}

/// Of some users nothing is stored.
#[test]
fn an_ephemeral_user_changes_at_once() {
    let mut kit = Kit::new();
    let (_, mut juliet) = two(&mut kit);
    juliet.ephemeral = true;
    let change = set(&juliet, "c@d");
    enqueue(&mut juliet, change, &mut kit.cx);
    assert!(kit.asked().is_empty());
    assert!(kit.read(&juliet, "balcony").starts_with(DONE));
    assert_eq!((juliet.roster.len(), juliet.roster.version()), (1, 1));
}
