//! One rule at a time.

use super::world::World;
use crate::base::{Mono, Now, Rng, Span, Utc};
use crate::cluster::identity::{Incarnation, NodeName};
use crate::cluster::membership::{Input, Membership, Output, Settings};

#[test]
fn nodes_find_each_other_and_stay() {
    for nodes in [2, 3, 6, 12] {
        let mut w = World::new(nodes, 1);
        w.pass(Span::secs(6));
        assert_eq!(w.apart(), None);
        let at = w.at();
        (w.datagrams, w.bytes) = (0, 0);
        w.pass(Span::secs(600));
        for i in 0..nodes {
            assert_eq!(w.since(i, at), [""; 0], "nothing happens on a quiet network");
        }
        // A probe is two datagrams; there is one each 300 ms, and little else.
        let each = w.datagrams as f64 / 600.0 / nodes as f64;
        assert!(each < 8.0, "{nodes} nodes: {each} datagrams a second from each");
    }
}

#[test]
fn a_node_alone_wants_nothing() {
    let mut w = World::new(1, 1);
    w.pass(Span::secs(60));
    assert_eq!((w.datagrams, w.since(0, Mono(0)).len()), (0, 0));
}

#[test]
fn a_node_that_leaves_is_gone_at_once() {
    let mut w = World::new(6, 2);
    w.pass(Span::secs(6));
    let at = w.at();
    w.leave(3);
    w.pass(Span::millis(10));
    for i in (0..6).filter(|i| *i != 3) {
        assert_eq!(w.since(i, at).len(), 1, "{:?}", w.since(i, at));
        assert!(w.when(i, at, "down chat@n3 1").is_some());
    }
    w.pass(Span::secs(60));
    assert_eq!(w.apart(), None, "and does not come back by what others say about it");
}

#[test]
fn a_node_that_said_it_leaves_has_left() {
    let mut w = World::new(3, 2);
    w.pass(Span::secs(6));
    let (at, gone) = (w.at(), w.nodes[2].name.clone());
    w.give(0, Input::Left(&gone));
    assert_eq!(w.since(0, at), ["down chat@n2 1 left"]);
    w.kill(2, true);
    w.pass(Span::secs(10));
    assert_eq!(w.apart(), None);
}

#[test]
fn a_later_life_replaces_an_earlier_one() {
    for resets in [true, false] {
        let mut w = World::new(4, 3);
        w.pass(Span::secs(6));
        let at = w.at();
        w.kill(1, resets);
        w.pass(Span::millis(100));
        w.start(1);
        w.pass(Span::secs(8));
        assert_eq!(w.apart(), None);
        for i in [0, 2, 3] {
            let said = w.since(i, at);
            assert!(said[0].starts_with("down chat@n1 1"), "{said:?}");
            assert_eq!(said[1..], ["up chat@n1 2"]);
        }
    }
}

#[test]
fn a_pair_that_is_cut_is_down_for_each_other_only() {
    for one_way in [false, true] {
        let mut w = World::new(4, 4);
        w.pass(Span::secs(6));
        let at = w.at();
        if one_way {
            w.cut.insert((0, 1));
        } else {
            w.set_cut(0, 1, true);
        }
        w.pass(Span::secs(60));
        for (i, other) in [(0, 1), (1, 0)] {
            assert_eq!(w.since(i, at), [format!("down chat@n{other} 1 no link")]);
            let when = w.when(i, at, "down").unwrap();
            assert!((9_000..9_500).contains(&when), "3 s until the link is dead, 6 s of grace: {when}");
        }
        assert_eq!(w.since(2, at), [""; 0]);
        assert_eq!(w.since(3, at), [""; 0]);
        w.cut.clear();
        w.pass(Span::secs(5));
        assert_eq!(w.apart(), None);
        assert_eq!(w.since(2, at), [""; 0]);
    }
}

#[test]
fn a_link_that_flaps_puts_nobody_down() {
    for nodes in [2, 3, 6] {
        let mut w = World::new(nodes, 5);
        w.pass(Span::secs(6));
        let at = w.at();
        for _ in 0..60 {
            w.reset(0, 1);
            w.pass(Span::secs(1));
            w.pass(Span::secs(1));
        }
        w.pass(Span::secs(5));
        assert_eq!(w.apart(), None);
        if nodes > 2 {
            for i in 0..nodes {
                assert_eq!(w.since(i, at), [""; 0], "others vouch");
            }
        }
    }
}

/// What was said of a node while there was no link to it has not reached it, so it cannot have refuted it.
#[test]
fn who_has_a_link_again_in_time_stays_up() {
    let mut in_time = 0;
    for seed in 0..40 {
        let mut w = World::new(2, seed);
        w.pass(Span::secs(6));
        assert_eq!(w.apart(), None);
        let at = w.at();
        w.set_cut(0, 1, true);
        w.reset(0, 1);
        w.pass(Span::millis(700));
        w.set_cut(0, 1, false);
        while !w.is_linked(0, 1) {
            w.pass(Span::millis(10));
        }
        let was_in_time = w.at().since(at) < Span::millis(1200);
        in_time += usize::from(was_in_time);
        w.pass(Span::secs(5));
        if was_in_time {
            assert_eq!((w.since(0, at), w.since(1, at)), (vec![], vec![]), "seed {seed}");
        }
    }
    assert!(in_time >= 10, "{in_time}");
}

#[test]
fn a_node_that_was_stopped_suspects_nobody() {
    let mut w = World::new(6, 6);
    w.pass(Span::secs(6));
    let at = w.at();
    w.stop(2);
    w.pass(Span::secs(20));
    for i in (0..6).filter(|i| *i != 2) {
        assert_eq!(w.since(i, at), ["down chat@n2 1 silent"]);
    }
    let back = w.at();
    w.go_on(2);
    w.pass(Span::secs(10));
    assert_eq!(w.apart(), None);
    let said = w.since(2, back);
    assert_eq!(said[0], "stalled");
    assert!(said.contains(&"returned"), "it knows that others had let go of it: {said:?}");
    assert!(!said.iter().any(|s| s.contains("silent")), "{said:?}");
    for i in (0..6).filter(|i| *i != 2) {
        assert_eq!(w.since(i, back), ["up chat@n2 1"]);
    }
}

#[test]
fn a_short_stop_goes_unnoticed() {
    let mut w = World::new(6, 7);
    w.pass(Span::secs(6));
    let at = w.at();
    for _ in 0..10 {
        w.stop(0);
        w.pass(Span::secs(1));
        w.go_on(0);
        w.pass(Span::secs(4));
    }
    assert_eq!(w.apart(), None);
    for i in 0..6 {
        assert!(!w.since(i, at).iter().any(|s| s.starts_with("down")), "{:?}", w.since(i, at));
    }
}

#[test]
fn halves_that_were_apart_come_together() {
    let mut w = World::new(6, 8);
    w.pass(Span::secs(6));
    for (a, b) in (0..3).flat_map(|a| (3..6).map(move |b| (a, b))) {
        w.set_cut(a, b, true);
    }
    w.pass(Span::secs(30));
    for i in 0..6 {
        assert_eq!(w.nodes[i].up.len(), 2, "each half goes on: {:?}", w.nodes[i].up);
    }
    w.cut.clear();
    w.pass(Span::secs(5));
    assert_eq!(w.apart(), None);
}

/// A machine without a world.
fn machine(name: &str) -> Membership {
    let name = NodeName::parse(name).unwrap();
    Membership::new(Settings { name, incarnation: Incarnation(7), port: 4369 }, Rng::from_u64(1))
}

const NOW: Now = Now { mono: Mono(1_000_000_000), utc: Utc(0) };

fn sent(m: &mut Membership) -> Vec<(NodeName, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(output) = m.poll_output() {
        if let Output::Send { to, bytes } = output {
            all.push((to, bytes));
        }
    }
    all
}

#[test]
fn datagrams_speak_for_the_end_of_their_link_only() {
    let (mut a, mut b) = (machine("chat@a"), machine("chat@b"));
    let (a_name, b_name) = (NodeName::parse("chat@a").unwrap(), NodeName::parse("chat@b").unwrap());
    let other = NodeName::parse("chat@c").unwrap();
    a.handle(NOW, Input::Linked { name: &b_name, incarnation: Incarnation(7) });
    let [(to, bytes)] = &sent(&mut a)[..] else { panic!("one announcement") };
    assert_eq!(*to, b_name);
    b.handle(NOW, Input::Datagram { from: &other, bytes });
    assert_eq!(b.poll_output(), Some(Output::Fault(other)));
    for broken in [&b""[..], b"x", &bytes[..bytes.len() - 1], &[&bytes[..], b"x"].concat()] {
        b.handle(NOW, Input::Datagram { from: &a_name, bytes: broken });
        assert_eq!(b.poll_output(), Some(Output::Fault(a_name.clone())));
    }
    assert_eq!((b.members(), b.remembered(&a_name)), (vec![], None));
    b.handle(NOW, Input::Datagram { from: &a_name, bytes });
    assert_eq!(b.remembered(&a_name), Some(Incarnation(7)));
    assert!(!b.members()[0].is_up, "alive, but there is no link");
    b.handle(NOW, Input::Linked { name: &a_name, incarnation: Incarnation(7) });
    assert!(b.members()[0].is_up);
}

/// What a node says first, byte for byte: what the library adds to our encoding must not change unseen.
#[test]
fn the_first_words_stay() {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let (mut a, mut b) = (machine("chat@a"), machine("chat@b"));
    let (a_name, b_name) = (NodeName::parse("chat@a").unwrap(), NodeName::parse("chat@b").unwrap());
    a.handle(NOW, Input::Linked { name: &b_name, incarnation: Incarnation(7) });
    let announce = sent(&mut a).remove(0).1;
    let (a_is, b_is) = ("06636861744061", "06636861744062");
    assert_eq!(hex(&announce), format!("{a_is}0791220000{b_is}07000007"));
    b.handle(NOW, Input::Datagram { from: &a_name, bytes: &announce });
    let feed = sent(&mut b).remove(0).1;
    assert_eq!(hex(&feed), format!("{b_is}0791220000{a_is}07912200080000"));
    a.handle(NOW, Input::Datagram { from: &b_name, bytes: &feed });
    a.handle(Now { mono: NOW.mono + Span::millis(301), ..NOW }, Input::Tick);
    let said: Vec<String> = sent(&mut a).iter().map(|(_, bytes)| hex(bytes)).collect();
    let about_b = format!("0001{b_is}07912200000 1").replace(' ', "");
    assert!(said.contains(&format!("{a_is}0791220000{b_is}079122000101{about_b}")), "{said:?}");
}
