//! When a message is safe, line by line of the table in docs/ARCHITECTURE.md.

use super::world::World;

/// A chat message.
pub fn chat(to: &str, body: &str) -> String {
    format!("<message to='{to}' type='chat' id='i{body}'><body>{body}</body></message>")
}

#[test]
fn within_one_node_all_is_as_without_a_cluster() {
    let mut w = World::new(&[2, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(0, "juliet/b", true));
    w.send(a, &chat("juliet@h", "1"));
    assert_eq!((w.bodies(b), w.safe(a)), (vec!["1".to_owned()], 0));
    w.ack(b);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (1, 0));
    w.send(b, "</stream:stream>");
    w.slow = true;
    w.send(a, &chat("juliet@h", "2"));
    assert_eq!(w.safe(a), 1);
    w.catch_up();
    assert_eq!((w.safe(a), w.spool("juliet")), (2, vec!["2".to_owned()]));
    assert!(w.got(a).is_empty());
}

/// Nothing is left of what was outstanding, on any node.
pub fn at_rest(w: &World) {
    for engine in w.nodes.iter().flatten().flat_map(|node| &node.engines) {
        let cluster = engine.cluster.as_ref().expect("a cluster");
        let outstanding = cluster.users.values().next();
        assert!(
            outstanding.is_none() && cluster.envelopes.len() == 0,
            "something is outstanding: {outstanding:?}"
        );
        assert!(cluster.loads.values().all(|load| load.envelopes == 0 && load.bytes == 0));
    }
}

#[test]
fn a_message_to_another_node_is_safe_when_its_client_has_acknowledged_it() {
    let mut w = World::new(&[2, 2]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.send(a, &chat("juliet@h", "1"));
    assert_eq!(
        w.got(b),
        ["<message to='juliet@h' from='romeo@h/a' type='chat' id='i1'><body>1</body></message>"]
    );
    assert_eq!(w.safe(a), 0);
    w.ack(b);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (1, 0));
    at_rest(&w);
    // To a full JID, and back.
    w.send(b, &chat("romeo@h/a", "2"));
    assert_eq!(w.bodies(a), ["2"]);
    w.ack(a);
    assert_eq!(w.safe(b), 1);
    at_rest(&w);
}

#[test]
fn without_stream_management_it_is_safe_when_it_is_written() {
    let mut w = World::new(&[1, 2]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", false));
    w.clients[b].stalled = true;
    w.send(a, &chat("juliet@h", "1"));
    assert_eq!(w.safe(a), 0);
    w.clients[b].stalled = false;
    w.send(b, " ");
    w.send(a, &chat("juliet@h", "2"));
    assert_eq!((w.bodies(b), w.safe(a)), (vec!["1".to_owned(), "2".into()], 2));
    at_rest(&w);
}

/// The rule of 250 ms holds for copies on other nodes: the entry node writes the row, and deletes it when they are
/// acknowledged.
#[test]
fn a_client_elsewhere_that_is_silent_gets_a_row() {
    let mut w = World::new(&[2, 2]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.send(a, &chat("juliet@h", "1"));
    w.wait(200);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (0, 0));
    w.wait(60);
    assert_eq!((w.safe(a), w.spool("juliet")), (1, vec!["1".to_owned()]));
    w.ack(b);
    assert_eq!((w.spool("juliet").len(), w.bodies(b).len()), (0, 1));
    at_rest(&w);
}

/// The session ends unacknowledged: the row stands, and whoever comes reads it.
#[test]
fn a_session_elsewhere_that_expires_leaves_its_messages_in_the_spool() {
    let mut w = World::new(&[2, 2, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.cut(b);
    w.send(a, &chat("juliet@h", "1"));
    w.wait(300);
    w.send(a, &chat("juliet@h", "2"));
    w.wait(300);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (2, 2));
    w.wait(600_000);
    at_rest(&w);
    let c = w.bind(2, "juliet/c", true);
    w.send(c, "<presence/>");
    assert_eq!(w.bodies(c), ["~1", "~2"]);
    w.ack(c);
    assert!(w.spool("juliet").is_empty());
}

#[test]
fn several_resources_on_several_nodes_get_it_and_the_first_ack_is_enough() {
    let mut w = World::new(&[1, 2, 2]);
    let a = w.login(0, "romeo/a", true);
    let all = [(0, "x"), (1, "y"), (1, "z"), (2, "u"), (2, "v")];
    let clients = all.map(|(node, name)| w.login(node, &format!("juliet/{name}"), true));
    let low = w.bind(2, "juliet/low", true);
    w.send(low, "<presence><priority>-1</priority></presence>");
    for c in clients.into_iter().chain([low]) {
        w.got(c);
    }
    w.send(a, &chat("juliet@h", "1"));
    for c in clients {
        assert_eq!(w.bodies(c), ["1"]);
    }
    assert!(w.bodies(low).is_empty());
    assert_eq!(w.safe(a), 0);
    w.ack(clients[3]);
    assert_eq!(w.safe(a), 1);
    for c in clients {
        w.ack(c);
    }
    at_rest(&w);
}

/// The node is gone before, or after, it has got the message: somebody else gets it, marked as late, or it is stored.
#[test]
fn what_a_node_has_that_dies_is_decided_again() {
    for (arrives, other) in [(false, true), (true, true), (false, false), (true, false)] {
        let mut w = World::new(&[2, 2, 1]);
        let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
        let c = w.login(2, "juliet/c", true);
        w.send(c, "<presence><priority>-1</priority></presence>");
        w.got(c);
        if !arrives {
            w.held.push((0, 1));
        }
        w.send(a, &chat("juliet@h", "1"));
        assert_eq!(w.bodies(b).len(), usize::from(arrives));
        if other {
            w.send(c, "<presence/>");
        }
        w.kill(1);
        if other {
            assert_eq!((w.bodies(c), w.safe(a)), (vec!["~1".to_owned()], 0));
            w.ack(c);
            assert_eq!((w.safe(a), w.spool("juliet").len()), (1, 0));
        } else {
            assert_eq!((w.safe(a), w.spool("juliet")), (1, vec!["1".to_owned()]));
        }
        at_rest(&w);
    }
}

/// An ack that was lost with its node: the message comes again, marked.
#[test]
fn a_result_that_is_lost_leads_to_a_repeat_that_says_so() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.held.push((1, 0));
    w.send(a, &chat("juliet@h", "1"));
    w.ack(b);
    assert_eq!(w.safe(a), 0);
    w.unlink(0, 1);
    assert_eq!((w.safe(a), w.spool("juliet")), (1, vec!["1".to_owned()]));
    // The nodes see each other again: the row is for her, but she has the message.
    w.link(0, 1);
    w.settle();
    assert_eq!(w.bodies(b), ["1"]);
    at_rest(&w);
}

#[test]
fn a_store_that_fails_leads_to_an_error_and_a_slow_one_to_patience() {
    let mut w = World::new(&[1, 2]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.slow = true;
    w.send(a, &chat("juliet@h", "1"));
    w.wait(300);
    assert_eq!(w.safe(a), 0);
    w.catch_up();
    assert_eq!(w.safe(a), 1);
    w.down = true;
    w.send(a, &chat("juliet@h", "2"));
    w.wait(300);
    assert_eq!(w.safe(a), 2);
    assert_eq!(w.got(a).len(), 1, "an error: it may be lost");
    w.down = false;
    assert_eq!(w.bodies(b), ["1", "2"]);
    w.ack(b);
    at_rest(&w);
}

/// Three times in vain, and it is stored: the node says that the session is gone, and the registry that it is there.
#[test]
fn a_message_is_decided_three_times_at_most() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.muted.push((1, 0));
    w.send(b, "</stream:stream>");
    w.send(a, &chat("juliet@h", "1"));
    assert_eq!((w.safe(a), w.spool("juliet"), w.parcels), (1, vec!["1".to_owned()], 3));
    at_rest(&w);
}

/// Found by the simulator: it came once more, as if it were new.
#[test]
fn what_a_client_without_stream_management_is_about_to_get_is_not_decided_again() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(0, "juliet/b", false));
    let c = w.login(1, "juliet/c", true);
    w.got(b);
    w.clients[b].stalled = true;
    w.held.push((0, 1));
    w.send(a, &chat("juliet@h", "1"));
    w.send(c, "</stream:stream>");
    w.held.clear();
    w.settle();
    assert_eq!(w.safe(a), 0);
    w.clients[b].stalled = false;
    w.send(a, &chat("juliet@h", "2"));
    assert_eq!((w.bodies(b), w.safe(a)), (vec!["1".to_owned(), "2".into()], 2));
    assert_eq!(w.spool("juliet").len(), 0);
    at_rest(&w);
}
