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
