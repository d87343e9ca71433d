//! Letters about sessions that move: to the worker that they are for, as they were written, or not at all.

use super::*;
use crate::base::Span;
use crate::base::limits::{SESSION_PART_BYTES, SESSION_STATE_BYTES_MAX};
use crate::cluster::wire::{SessionPart, write_session};
use crate::effect::{NotGiven, Queued, SessionState, SmHash, SmId};

const USER: &str = "user1@localhost";

/// A session whose queue takes about so many bytes.
fn state(bytes: usize) -> SessionState {
    SessionState {
        user: USER.into(),
        resource: "r".into(),
        id: "id".into(),
        key: HashKey { k0: 1, k1: 2 },
        max: Span::secs(60),
        left: Span::secs(30),
        received: 1,
        acked: 2,
        priority: 0,
        interested: false,
        wants_blocked: false,
        carbons: false,
        presence: String::new(),
        directed: Vec::new(),
        queue: vec![Queued { stanza: "x".repeat(bytes), copy: None }],
        recent: Vec::new(),
        unsure: None,
    }
}

/// Two nodes that have met, and how each calls the other: of the first, of the third.
fn met(seed: u64) -> (World, NodeId, NodeId) {
    let mut world = World::new(seed);
    world.fresh(0, 2);
    world.check();
    let number = |world: &World, i: usize, j: usize| {
        world.nodes[i].exchange.number_of(&world.nodes[j].identity.name).expect("they have met")
    };
    let (there, here) = (number(&world, 0, 2), number(&world, 2, 0));
    (world, there, here)
}

fn deliver_all(world: &mut World) {
    while world.pipes.get(&(0, 2)).is_some_and(|pipe| !pipe.is_empty()) {
        world.deliver(0, 2);
    }
}

#[test]
fn letters_about_sessions_go_from_worker_to_worker() {
    let (mut world, there, here) = met(5);
    let home = usize::from(settings(3).home(USER).0);
    // Numbers whose remainder by the three workers is 1.
    let (ask, offer, user) = (3 * 5 + 1, 3 * 6 + 1, USER);
    let whole = Arc::new(state(2 * SESSION_PART_BYTES));
    let letters = |node: NodeId| {
        [
            (home, NodeTold::Ask { node, ask: 77, user, id: SmId("id"), h: 9 }),
            (1, NodeTold::State { node, ask, state: &whole }),
            (1, NodeTold::Refuse { node, ask, why: NotGiven::TooHigh { h: 2, sent: 1 } }),
            (home, NodeTold::Installed { node, ask: 77, user }),
            (home, NodeTold::Release { node, ask: 77, user }),
            (home, NodeTold::Offer { node, offer: 78, user, sm: SmHash(5) }),
            (1, NodeTold::Answer { node, offer, ask: Some(77) }),
        ]
    };
    let mut mail = NodeMail::default();
    letters(there).iter().for_each(|(_, told)| mail.put(told));
    // To a node that nobody knows any more, nothing goes.
    letters(NodeId(99)).iter().for_each(|(_, told)| mail.put(told));
    world.nodes[0].exchange.on_mail(&mut mail);
    world.turn(0);
    deliver_all(&mut world);
    let mut expected = vec![Vec::new(); 3];
    letters(here).iter().for_each(|(worker, told)| expected[*worker].push(format!("{told:?}")));
    let heard: Vec<_> = world.nodes[2].workers.iter().map(|worker| worker.heard.clone()).collect();
    assert_eq!(heard, expected);
}

/// What waits for a node that is behind is not made longer by a whole session: giver and taker hear that it stays.
#[test]
fn a_session_stays_while_the_taker_is_behind() {
    let (mut world, there, here) = met(6);
    let node = world.nodes[2].identity.name.clone();
    world.event(0, &Event::Congested { node, is_congested: true });
    let mut mail = NodeMail::default();
    mail.put(&NodeTold::State { node: there, ask: 4, state: &Arc::new(state(10)) });
    world.nodes[0].exchange.on_mail(&mut mail);
    world.turn(0);
    deliver_all(&mut world);
    let release = NodeTold::Release { node: there, ask: 4, user: USER };
    assert_eq!(world.nodes[0].workers[0].heard, [format!("{release:?}")]);
    let refuse = NodeTold::Refuse { node: here, ask: 4, why: NotGiven::Unable };
    assert_eq!(world.nodes[2].workers[1].heard, [format!("{refuse:?}")]);
}

/// A node that speaks an older version gets no session that this cannot say all of: giver and taker hear that it stays.
#[test]
fn a_session_stays_that_the_taker_would_not_understand() {
    let (mut world, ..) = met(6);
    world.nodes[2].version = 1;
    world.fresh(0, 2);
    world.check();
    let there = world.nodes[0].exchange.number_of(&world.nodes[2].identity.name).expect("they have met");
    let here = world.nodes[2].exchange.number_of(&world.nodes[0].identity.name).expect("they have met");
    let mut mail = NodeMail::default();
    let unsure = SessionState { unsure: Some(2), ..state(10) };
    mail.put(&NodeTold::State { node: there, ask: 4, state: &Arc::new(unsure) });
    mail.put(&NodeTold::State { node: there, ask: 7, state: &Arc::new(state(10)) });
    world.nodes[0].exchange.on_mail(&mut mail);
    world.turn(0);
    deliver_all(&mut world);
    let release = NodeTold::Release { node: there, ask: 4, user: USER };
    assert_eq!(world.nodes[0].workers[0].heard, [format!("{release:?}")]);
    let refuse = NodeTold::Refuse { node: here, ask: 4, why: NotGiven::Unable };
    let given = NodeTold::State { node: here, ask: 7, state: &Arc::new(state(10)) };
    assert_eq!(world.nodes[2].workers[1].heard, [format!("{refuse:?}"), format!("{given:?}")]);
}

/// Parts of two sessions at once, more than a session may be, and parts that are none: both begin anew.
#[test]
fn parts_that_do_not_belong_together_are_nonsense() {
    let mut whole = Vec::new();
    write_session(&state(10), &mut whole, 2);
    let part = |ask, is_last, bytes| SessionPart { ask, is_last, bytes };
    let large = vec![0; SESSION_PART_BYTES];
    let too_many = vec![part(1, false, &large[..]); SESSION_STATE_BYTES_MAX / SESSION_PART_BYTES + 1];
    for (parts, fault) in [
        (vec![part(1, false, &whole), part(2, true, b"x")], WireFault::Turn(Kind::SessionState.byte())),
        (vec![part(1, true, b"")], WireFault::TooLong),
        (vec![part(1, true, &whole[..whole.len() - 1])], WireFault::Cut),
        (too_many, WireFault::TooLong),
    ] {
        let (mut world, ..) = met(7);
        let from = world.nodes[0].identity.name.clone();
        let exchange = &mut world.nodes[2].exchange;
        for part in parts {
            let mut body = Vec::new();
            part.write(&mut body, 2);
            exchange.on_event(&Event::Frame { from: &from, kind: Kind::SessionState, body: &body });
        }
        exchange.end_turn();
        let told = exchange.poll_output();
        let Some(Output::Anew { fault: Some(found), .. }) = told else { panic!("{fault}: {told:?}") };
        assert_eq!(found, fault);
        // What had come of it is forgotten with all else.
        world.fresh(0, 2);
        let there = world.nodes[0].exchange.number_of(&world.nodes[2].identity.name).expect("they have met");
        let mut mail = NodeMail::default();
        mail.put(&NodeTold::State { node: there, ask: 1, state: &Arc::new(state(10)) });
        world.nodes[0].exchange.on_mail(&mut mail);
        world.turn(0);
        deliver_all(&mut world);
        assert_eq!(world.nodes[2].workers[1].heard.len(), 1);
    }
}
