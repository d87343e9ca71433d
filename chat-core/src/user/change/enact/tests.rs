//! XEP-0191 as far as presence is concerned; the effects of subscriptions are tested with their queue.

use super::super::enqueue;
use super::super::tests::{DONE, MAX, ROMEO, failed, two};
use crate::effect::{StoreDone, StoreOp};
use crate::jid::Jid;
use crate::user::subscription::Subscription;
use crate::user::testing::Kit;
use crate::user::{Asked, BlockEdit, Change, User};

fn block(user: &User, edit: BlockEdit) -> Change {
    let asked = Asked { by: user.resources[0].id, id: Some("s".into()), addressed: false };
    Change::Block { asked, edit, push: b"<block xmlns='urn:xmpp:blocking'/>"[..].into() }
}

/// XEP-0191 §3.3, §3.4: who may see the user and is blocked sees the user go, and again when it is unblocked.
#[test]
fn blocking_ends_presence_and_unblocking_restores_it() {
    let mut kit = Kit::new();
    let (_, mut juliet) = two(&mut kit);
    juliet.resources[0].wants_blocked = true;
    for (jid, state) in [
        (ROMEO, Subscription::BOTH),
        ("mercutio@example.net", Subscription::FROM),
        ("paris@example.net", Subscription::TO),
        ("nurse@example.com", Subscription::FROM),
    ] {
        juliet.roster.set_subscription(jid, state, b"", MAX).unwrap();
    }
    kit.presence(&mut juliet, "balcony", "<presence to='tybalt@example.net/x'/>");
    kit.presence(&mut juliet, "balcony", "<presence to='friar@example.com'/>");
    kit.posted();
    let jids = |all: &[&str]| all.iter().map(|j| j.parse().unwrap()).collect::<Vec<Jid>>();
    let gone = |to: &str| format!("{to}: <presence type='unavailable' from='juliet@example.com/balcony'/>");
    let here = |to: &str| format!("{to}: <presence from='juliet@example.com/balcony'/>");

    let change = block(&juliet, BlockEdit::Add(jids(&["romeo@example.net/orchard"])));
    enqueue(&mut juliet, change, &mut kit.cx);
    kit.commit(&mut juliet);
    assert_eq!(kit.posted(), [gone("romeo@example.net/orchard")]);
    let push =
        "<iq type='set' id='*' to='juliet@example.com/balcony'><block xmlns='urn:xmpp:blocking'/></iq>";
    assert_eq!(kit.read(&juliet, "balcony"), DONE.to_owned() + push);

    let change = block(&juliet, BlockEdit::Add(jids(&["example.net"])));
    enqueue(&mut juliet, change, &mut kit.cx);
    assert!(matches!(&*kit.asked()[0], StoreOp::PutBlocked { expected: 1, blocked, .. }
        if **blocked == *b"example.net\nromeo@example.net/orchard\n"));
    assert!(kit.posted().is_empty());
    kit.stored(&mut juliet, Ok(StoreDone::Done));
    assert_eq!(kit.posted(), [gone("mercutio@example.net"), gone(ROMEO), gone("tybalt@example.net/x")]);
    assert!(juliet.resources[0].directed.iter().eq(&jids(&["friar@example.com"])));
    assert_eq!(juliet.blocked.version(), 2);

    let change = block(&juliet, BlockEdit::Clear);
    enqueue(&mut juliet, change, &mut kit.cx);
    kit.commit(&mut juliet);
    assert_eq!(kit.posted(), [here("mercutio@example.net"), here(ROMEO)]);
    assert!(juliet.blocked.jids().is_empty());
}

/// Two edits before the first is stored: the second is made from what the first left.
#[test]
fn block_edits_add_up_within_their_limit() {
    let mut kit = Kit::with(|s| s.limits.blocked_max = 2);
    let (_, mut juliet) = two(&mut kit);
    for jid in ["a@b", "c@d", "e@f"] {
        let change = block(&juliet, BlockEdit::Add(vec![jid.parse().unwrap()]));
        enqueue(&mut juliet, change, &mut kit.cx);
    }
    kit.commit(&mut juliet);
    kit.commit(&mut juliet);
    assert_eq!(juliet.blocked.jids().len(), 2);
    assert_eq!(kit.read(&juliet, "balcony"), DONE.repeat(2) + &failed("wait", "resource-constraint"));
    let change = block(&juliet, BlockEdit::Remove(vec!["x@y".parse().unwrap()]));
    enqueue(&mut juliet, change, &mut kit.cx);
    assert_eq!(kit.read(&juliet, "balcony"), DONE);
    assert!(kit.asked().is_empty());
}
