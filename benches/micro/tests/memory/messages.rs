//! No allocation for a message: 10,000 of them, through the engine alone, after a warm-up.

use chat_core::base::Span;

use chat_micro::meter::{self, Mark, aside};
use chat_micro::rig::Rig;
use chat_micro::twins::Twins;
use chat_micro::work::message;

/// Messages that are counted.
const MESSAGES: u32 = 10_000;
/// Messages before that: what grows has grown by then.
const WARM_UP: u32 = 5_000;

/// Runs `each` for the warm-up and then for the messages that count; returns the allocations of these. A message
/// is sent every 100 µs, so timers run, too.
fn allocations(rig: &mut Rig, mut each: impl FnMut(&mut Rig, u32)) -> u64 {
    let mut run = |rig: &mut Rig, from: u32, to: u32| {
        for i in from..to {
            each(rig, i);
            rig.pass(Span(100_000));
        }
    };
    run(rig, 0, WARM_UP);
    meter::show_some();
    let mark = Mark::here();
    run(rig, WARM_UP, WARM_UP + MESSAGES);
    let allocations = mark.allocations();
    meter::show(0);
    println!("{allocations} allocations for {MESSAGES} messages");
    allocations
}

/// Two clients who can talk: their numbers. Their addresses are as long as addresses are: longer than what is kept in
/// place.
fn pair(rig: &mut Rig) -> (usize, usize) {
    (rig.available("romeo.montague", "orchard-7f3a"), rig.available("juliet.capulet", "balcony-19c4"))
}

const TO_JULIET: &str = "juliet.capulet@localhost/balcony-19c4";

#[test]
fn plain() {
    let mut rig = Rig::new(1, 2);
    let (romeo, juliet) = pair(&mut rig);
    let text = message(TO_JULIET, 100);
    let before = rig.received(juliet);
    assert_eq!(allocations(&mut rig, |rig, _| rig.send(romeo, &text)), 0);
    assert!(rig.received(juliet) - before > u64::from(MESSAGES) * 100);
}

#[test]
fn plain_to_a_bare_address() {
    let mut rig = Rig::new(1, 2);
    let (romeo, juliet) = pair(&mut rig);
    let text = message("juliet.capulet@localhost", 100);
    let before = rig.received(juliet);
    assert_eq!(allocations(&mut rig, |rig, _| rig.send(romeo, &text)), 0);
    assert!(rig.received(juliet) - before > u64::from(MESSAGES) * 100);
}

/// Both manage their streams (XEP-0198), and ask and answer after every fifth message.
#[test]
fn managed() {
    let mut rig = Rig::new(1, 2);
    let (romeo, juliet) = pair(&mut rig);
    rig.manage(romeo);
    rig.manage(juliet);
    let text = message(TO_JULIET, 100);
    let before = rig.received(juliet);
    let acks: Vec<String> =
        (0..=WARM_UP + MESSAGES).map(|h| format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>")).collect();
    let each = |rig: &mut Rig, i: u32| {
        rig.send(romeo, &text);
        if i % 5 == 4 {
            rig.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
            rig.send(juliet, &acks[i as usize + 1]);
        }
    };
    assert_eq!(allocations(&mut rig, each), 0);
    assert!(rig.received(juliet) - before > u64::from(MESSAGES) * 100);
}

/// Only the sender manages its stream: each message is a promise until it is written.
#[test]
fn managed_sender() {
    let mut rig = Rig::new(1, 2);
    let (romeo, juliet) = pair(&mut rig);
    rig.manage(romeo);
    let text = message(TO_JULIET, 100);
    let before = rig.received(juliet);
    assert_eq!(allocations(&mut rig, |rig, _| rig.send(romeo, &text)), 0);
    assert!(rig.received(juliet) - before > u64::from(MESSAGES) * 100);
}

/// Each has two clients that get copies (XEP-0280).
#[test]
fn carbons() {
    let mut rig = Rig::new(1, 4);
    let (romeo, juliet) = pair(&mut rig);
    let others =
        [rig.available("romeo.montague", "street-22b1"), rig.available("juliet.capulet", "garden-0f0f")];
    for c in [romeo, juliet].into_iter().chain(others) {
        rig.carbons(c);
    }
    let text = message(TO_JULIET, 100);
    let before = others.map(|c| rig.received(c));
    assert_eq!(allocations(&mut rig, |rig, _| rig.send(romeo, &text)), 0);
    for (c, before) in others.into_iter().zip(before) {
        assert!(rig.received(c) - before > u64::from(MESSAGES) * 200);
    }
}

/// Romeo's and Juliet's homes are different workers. `managed`: both use XEP-0198.
fn across(managed: bool) -> u64 {
    let mut rig = Rig::new(2, 2);
    let mut names = (0..).map(|i| format!("montague-{i:08}"));
    let mut on = |worker| names.find(|n| rig.home(n) == worker).expect("there is no end of names");
    let (romeo, juliet) = (on(0), on(1));
    let to = format!("{juliet}@localhost/balcony");
    let (romeo, juliet) = (rig.available(&romeo, "orchard"), rig.available(&juliet, "balcony"));
    if managed {
        rig.manage(romeo);
        rig.manage(juliet);
    }
    let text = message(&to, 100);
    let before = rig.received(juliet);
    let acks: Vec<String> =
        (0..=WARM_UP + MESSAGES).map(|h| format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>")).collect();
    let each = |rig: &mut Rig, i: u32| {
        rig.send(romeo, &text);
        if managed && i % 5 == 4 {
            rig.send(romeo, "<r xmlns='urn:xmpp:sm:3'/>");
            rig.send(juliet, &acks[i as usize + 1]);
        }
    };
    let allocations = allocations(&mut rig, each);
    assert!(rig.received(juliet) - before > u64::from(MESSAGES) * 100);
    allocations
}

#[test]
fn across_workers() {
    assert_eq!(across(false), 0);
}

#[test]
fn across_workers_managed() {
    assert_eq!(across(true), 0);
}

/// Allocations for a message from node to node, both nodes together.
fn allocations_of_twins(is_managed: bool) -> f64 {
    let mut twins = Twins::new();
    let romeo = twins.available(0, "romeo", "orchard");
    let juliet = twins.available(1, "juliet", "balcony");
    if is_managed {
        twins.manage(romeo);
        twins.manage(juliet);
    }
    let text = message("juliet@localhost/balcony", 100);
    let mut run = |from: u32, to: u32| {
        for i in from..to {
            twins.send(romeo, &text);
            if is_managed && i % 5 == 0 {
                let a = aside(|| format!("<a xmlns='urn:xmpp:sm:3' h='{i}'/>"));
                twins.send(juliet, &a);
                aside(|| drop(a));
            }
            if i % 10 == 0 {
                twins.pass(Span::millis(1));
            }
        }
    };
    run(0, WARM_UP);
    meter::show_some();
    let mark = Mark::here();
    run(WARM_UP, WARM_UP + MESSAGES);
    let allocations = mark.allocations();
    meter::show(0);
    println!("{allocations} allocations for {MESSAGES} messages from node to node");
    allocations as f64 / f64::from(MESSAGES)
}

#[test]
fn from_node_to_node() {
    let each = allocations_of_twins(false);
    assert!(each < 1.5, "{each}");
}

#[test]
fn from_node_to_node_managed() {
    let each = allocations_of_twins(true);
    assert!(each < 1.5, "{each}");
}
