//! One rule at a time.

use super::world::{Plan, World};
use crate::base::{Mono, Span};
use crate::cluster::agent::{Down, Input, PeerState};
use crate::cluster::discovery::NodeAddr;
use crate::cluster::wire::{Role, Versions};

#[test]
fn nodes_find_each_other_and_stay() {
    let mut w = World::formed(4, 1);
    let at = w.at();
    w.pass(Span::secs(60));
    assert_eq!(w.apart(), None);
    for i in 0..4 {
        assert_eq!(w.nodes[i].log.since(at), [""; 0], "nothing happens on a quiet network");
    }
    assert!(w.frames > 500, "{}", w.frames);
}

#[test]
fn a_node_alone_is_a_cluster_of_one() {
    let mut w = World::new(vec![Plan::new(0)], 1);
    w.start(0);
    w.pass(Span::secs(100));
    assert_eq!((w.nodes[0].log.0.len(), w.nodes[0].agent.as_ref().unwrap().poll_timeout()), (0, None));
    let at = w.at();
    w.leave(0);
    assert_eq!(w.since(0, at), ["left"]);
}

#[test]
fn a_pair_that_is_cut_is_down_for_each_other_and_only_for_each_other() {
    for one_way in [false, true] {
        let mut w = World::formed(4, 4);
        let at = w.at();
        if one_way {
            w.cut.insert((0, 1));
        } else {
            w.set_cut(0, 1, true);
        }
        w.pass(Span::secs(30));
        for (i, other) in [(0, 1), (1, 0)] {
            let down = format!("down chat@n{other}: there is no link to it");
            assert_eq!(w.since(i, at), [&down], "one way: {one_way}");
            let when = w.nodes[i].log.when(at, "down").unwrap();
            assert!((8_000..10_000).contains(&when), "3 s until the link is dead, 6 s of grace: {when}");
        }
        assert_eq!((w.since(2, at), w.since(3, at)), (vec![], vec![]));
        let healed = w.at();
        w.cut.clear();
        w.pass(Span::secs(10));
        assert_eq!(w.apart(), None);
        assert_eq!(w.since(0, healed).first(), Some(&"fresh chat@n1"), "both begin anew");
        assert!(w.since(0, healed).contains(&"up chat@n1"));
        assert_eq!((w.since(2, at), w.since(3, at)), (vec![], vec![]));
    }
}

#[test]
fn links_that_flap_lose_nothing_and_put_nobody_down() {
    let mut w = World::formed(3, 5);
    let at = w.at();
    for _ in 0..30 {
        w.reset(0, 1);
        w.pass(Span::millis(700));
        w.set_cut(0, 2, true);
        w.pass(Span::millis(900));
        w.set_cut(0, 2, false);
        w.pass(Span::millis(400));
    }
    w.pass(Span::secs(8));
    assert_eq!(w.apart(), None);
    for i in 0..3 {
        assert_eq!(w.since(i, at), [""; 0]);
    }
}

#[test]
fn a_node_that_was_stopped_suspects_nobody() {
    for stopped in [8, 20] {
        let mut w = World::formed(5, 6);
        let at = w.at();
        w.freeze(2);
        w.pass(Span::secs(stopped));
        for i in [0, 1, 3, 4] {
            assert_eq!(w.since(i, at), ["down chat@n2: it does not answer"]);
        }
        let back = w.at();
        w.thaw(2);
        w.pass(Span::secs(15));
        assert_eq!(w.apart(), None);
        let said = w.since(2, back);
        assert!(!said.iter().any(|s| s.starts_with("down")), "{said:?}");
        assert_eq!(
            said.iter().filter(|s| s.starts_with("fresh")).count(),
            4,
            "all begin anew with it: {said:?}"
        );
        let notices = w.notices(2, back);
        assert!(notices[0].starts_with("this node stood still for "), "{notices:?}");
        assert!(
            notices.iter().any(|n| n.starts_with("other nodes had taken this one for dead")),
            "{notices:?}"
        );
        for i in [0, 1, 3, 4] {
            let said = w.since(i, back);
            assert_eq!(said.iter().filter(|s| s.starts_with("up")).count(), 1, "{said:?}");
        }
    }
}

#[test]
fn a_short_stop_goes_unnoticed() {
    let mut w = World::formed(4, 7);
    let at = w.at();
    for _ in 0..10 {
        w.freeze(0);
        w.pass(Span::secs(1));
        w.thaw(0);
        w.pass(Span::secs(4));
    }
    assert_eq!(w.apart(), None);
    for i in 0..4 {
        assert_eq!(w.since(i, at), [""; 0]);
    }
}

#[test]
fn halves_that_were_apart_come_together() {
    let mut w = World::formed(6, 8);
    for (a, b) in (0..3).flat_map(|a| (3..6).map(move |b| (a, b))) {
        w.set_cut(a, b, true);
    }
    w.pass(Span::secs(30));
    for node in &w.nodes {
        assert_eq!(node.met.len(), 2, "each half goes on, and keeps nothing of the other");
    }
    w.cut.clear();
    w.pass(Span::secs(10));
    assert_eq!(w.apart(), None);
}

#[test]
fn a_node_that_leaves_says_everything_first() {
    let mut w = World::formed(2, 9);
    w.is_quiet = true;
    w.pass(Span::millis(200));
    w.set_cut(0, 1, true);
    // More than is on its way at a time: nothing may overtake what waits.
    (0..200).for_each(|_| w.speak(0, 1));
    let (at, frames) = (w.at(), w.frames);
    w.leave(0);
    w.pass(Span::millis(100));
    assert_eq!((w.since(0, at), w.frames), (vec![], frames), "the other one has not taken everything yet");
    w.cut.clear();
    w.pass(Span::secs(1));
    assert_eq!(w.frames, frames + 200);
    assert_eq!(w.since(0, at), ["left"]);
    assert_eq!(w.since(1, at), ["down chat@n0: it has left"]);
}

#[test]
fn who_has_left_is_gone_for_all_and_welcome_in_another_life() {
    let mut w = World::formed(4, 9);
    let at = w.at();
    w.leave(0);
    w.pass(Span::secs(20));
    for i in 1..4 {
        assert_eq!(w.since(i, at), ["down chat@n0: it has left"], "what others say does not bring it back");
    }
    assert_eq!(w.apart(), None);
    w.start(0);
    w.pass(Span::secs(8));
    assert_eq!(w.apart(), None);
}

#[test]
fn who_cannot_be_told_does_not_keep_a_node_from_leaving() {
    let mut w = World::formed(3, 9);
    w.set_cut(0, 2, true);
    let at = w.at();
    w.leave(0);
    w.pass(Span::secs(15));
    let left = w.nodes[0].log.when(at, "left").expect("it has left");
    assert!((5_000..8_000).contains(&left), "{left}");
    assert_eq!(w.since(2, at).len(), 1, "others tell it: {:?}", w.since(2, at));
    assert!(w.nodes[2].log.when(at, "down chat@n0").unwrap() < 3_000);
}

#[test]
fn a_wrong_secret_and_a_wrong_version_are_said_once_a_minute_on_both_sides() {
    let listed: Vec<String> = (0..4).map(|i| format!("chat@n{i}")).collect();
    let mut plans: Vec<Plan> = (0..4).map(|i| Plan { listed: listed.clone(), ..Plan::new(i) }).collect();
    plans[2].secret = b"another secret altogether";
    plans[3].versions = Versions { min: 3, max: 4 };
    let mut w = World::new(plans, 3);
    (0..4).for_each(|i| w.start(i));
    w.pass(Span::secs(119));
    for (a, b) in [(0, 1), (1, 0)] {
        let node = &w.nodes[a];
        assert_eq!(node.met.len(), 1, "nothing else breaks");
        assert!(node.met[&w.identity(b).name].is_up);
    }
    for (i, other, words) in [
        (0, 2, "the secrets of the cluster differ"),
        (2, 0, "the secrets of the cluster differ"),
        (0, 3, "no common version of the cluster protocol: this node speaks 1 to 2, the other 3 to 4"),
        (3, 0, "no common version of the cluster protocol: this node speaks 3 to 4, the other 1 to 2"),
    ] {
        let all = w.notices(i, Mono(0));
        let about = |n: &&&str| n.contains(&format!("chat@n{other}")) && n.contains(words);
        let said: Vec<_> = all.iter().filter(about).collect();
        // Once for those it dials and once for those who dial, in each of two minutes.
        assert!((2..=4).contains(&said.len()), "{i} of {other}: {said:#?} of {all:#?}");
        assert!(said.iter().any(|n| n.ends_with("times more)")), "{said:#?}");
    }
    let minutes = w.notices(0, Mono(0)).len();
    assert!(minutes <= 2 * 3 * 2, "{:#?}", w.notices(0, Mono(0)));
}

#[test]
fn what_a_node_says_of_itself_reaches_all() {
    let mut w = World::formed(3, 1);
    let at = w.at();
    w.input(1, Input::Role(Role::Standby));
    w.input(1, Input::Role(Role::Standby));
    w.input(1, Input::Draining(true));
    w.pass(Span::millis(100));
    for i in [0, 2] {
        assert_eq!(w.since(i, at), ["chat@n1 is Standby", "chat@n1 is Standby, draining"]);
    }
    // Whoever comes later hears it as well.
    w.kill(2, false);
    w.pass(Span::secs(4));
    w.start(2);
    w.pass(Span::secs(4));
    let said = w.since(2, at);
    assert!(said.contains(&"chat@n1 is Standby, draining"), "{said:?}");
    w.input(1, Input::Draining(false));
    w.pass(Span::millis(100));
    assert_eq!(w.since(2, at).last(), Some(&"chat@n1 is Standby"));
}

/// Nodes of the release before are not told what they would not understand, and nothing else changes between them.
#[test]
fn how_a_node_is_reaches_those_whose_release_knows_of_it() {
    let listed: Vec<String> = (0..3).map(|i| format!("chat@n{i}")).collect();
    let mut plans: Vec<Plan> = (0..3).map(|i| Plan { listed: listed.clone(), ..Plan::new(i) }).collect();
    plans[2].versions = Versions { min: 1, max: 1 };
    let mut w = World::new(plans, 4);
    (0..3).for_each(|i| w.start(i));
    w.pass(Span::secs(6));
    let at = w.at();
    w.input(1, Input::Ailing(true));
    w.input(1, Input::Ailing(true));
    w.input(1, Input::Draining(true));
    w.pass(Span::millis(100));
    assert_eq!(w.since(0, at), ["chat@n1 is Active, ailing", "chat@n1 is Active, draining, ailing"]);
    assert_eq!(w.since(2, at), ["chat@n1 is Active, draining"]);
    // It is replaced by one of this release, which hears it at once; and is well before the node is.
    w.kill(2, false);
    w.pass(Span::secs(4));
    w.nodes[2].plan.versions = Versions::OURS;
    w.start(2);
    w.pass(Span::secs(4));
    let said = w.since(2, at);
    assert!(said.contains(&"chat@n1 is Active, draining, ailing"), "{said:?}");
    let versions = |w: &World, i: usize| {
        let peers = w.nodes[i].agent.as_ref().unwrap().peers();
        peers.iter().map(|peer| peer.version).collect::<Vec<_>>()
    };
    assert_eq!((versions(&w, 0), versions(&w, 2)), (vec![Some(2); 2], vec![Some(2); 2]));
    w.input(1, Input::Ailing(false));
    w.pass(Span::millis(100));
    assert_eq!(w.since(2, at).last(), Some(&"chat@n1 is Active, draining"));
}

#[test]
fn the_status_shows_every_node_as_this_one_sees_it() {
    let mut w = World::formed(4, 1);
    w.kill(3, false);
    w.leave(2);
    w.pass(Span::secs(3));
    let names = ["chat@n1", "chat@n2", "chat@n3", "chat@nowhere:77"];
    let listed = names.map(|name| NodeAddr::parse(name).unwrap());
    w.input(0, Input::Listed(&listed));
    w.pass(Span::secs(1));
    let peers = w.nodes[0].agent.as_ref().unwrap().peers();
    let names: Vec<&str> = peers.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["chat@n1", "chat@n2", "chat@n3"], "a node without an address is none yet");
    let [n1, n2, n3] = &peers[..] else { unreachable!() };
    assert_eq!((n1.state, n1.version, n1.is_connected), (PeerState::Up, Some(2), true));
    assert_eq!((n1.role, n1.release.as_str()), (Some(Role::Active), "test"));
    assert_eq!(n1.incarnation, Some(w.identity(1).incarnation));
    assert_eq!(n1.addresses, ["192.0.2.2:4369".parse().unwrap()]);
    assert!(n1.delay.is_some_and(|d| d < Span::millis(10)));
    assert!(n1.since < n2.since && n2.since < n3.since && n3.since < w.at());
    assert_eq!((n2.state, n2.is_connected), (PeerState::Down(Down::Left), false));
    assert_eq!((n3.state, n3.is_connected), (PeerState::Down(Down::Silent), false));
    w.freeze(1);
    w.pass(Span::millis(900));
    let peers = w.nodes[0].agent.as_ref().unwrap().peers();
    assert_eq!(peers[0].state, PeerState::Suspect);
}
