//! The table: who counts, who has to give way, who vanishes, and what it takes.

use super::*;
use crate::base::Rng;
use crate::route::decision::RESOURCES_MAX;

fn shown(table: &Table, user: &str) -> Vec<String> {
    table.of(user).map(|e| format!("{:?} {} {:?}", e.node, e.record.resource, e.record.bound)).collect()
}

fn table(nodes: u16) -> Table {
    let mut table = Table::new(KEY);
    (0..nodes).for_each(|i| table.seat(NodeId(i), &name(i.into())));
    table
}

#[test]
fn a_user_has_resources_on_several_nodes() {
    let mut t = table(3);
    let put = |t: &mut Table, node, r| t.apply(NodeId(node), &Change::Put(r)).unwrap();
    let done = put(&mut t, 1, record("romeo@montague.lit", "orchard", 5));
    assert_eq!(done, Applied { changed: true, conflict: None });
    put(&mut t, 2, record("romeo@montague.lit", "balcony", 6));
    put(&mut t, 0, record("romeo@capulet.lit", "balcony", 7));
    put(&mut t, 0, record("montague.lit", "x", 8));
    assert_eq!(shown(&t, "romeo@montague.lit"), ["n2 balcony 0+6", "n1 orchard 0+5"]);
    assert_eq!(shown(&t, "romeo@capulet.lit"), ["n0 balcony 0+7"]);
    assert_eq!(shown(&t, "montague.lit"), ["n0 x 0+8"]);
    assert_eq!(shown(&t, "romeo@nowhere.lit"), [""; 0]);
    assert_eq!(t.len(), 4);
    let moved = Record {
        priority: None,
        carbons: true,
        worker: WorkerId(9),
        ..record("romeo@montague.lit", "orchard", 5)
    };
    assert!(put(&mut t, 1, moved).changed);
    assert!(!put(&mut t, 1, moved).changed, "the same again is no change");
    assert_eq!(t.get("romeo@montague.lit", "orchard"), Some(Entry { node: NodeId(1), record: moved }));
    assert_eq!(t.resumable("romeo@montague.lit", SmHash(6)).map(|e| e.node), Some(NodeId(2)));
    assert_eq!(t.resumable("romeo@capulet.lit", SmHash(6)), None, "an id is good for its user only");
    let gone = Change::Remove { user: "romeo@montague.lit", resource: "orchard" };
    assert!(!t.apply(NodeId(2), &gone).unwrap().changed, "a node removes its own records only");
    assert!(t.apply(NodeId(1), &gone).unwrap().changed);
    assert!(!t.apply(NodeId(1), &gone).unwrap().changed);
    assert_eq!((shown(&t, "romeo@montague.lit"), t.len()), (vec!["n2 balcony 0+6".into()], 3));
}

/// The later bind, then the greater name, whoever is told first.
#[test]
fn a_full_jid_bound_twice_has_one_winner() {
    for (first, second, winner) in
        [((1, 5), (2, 6), 2), ((1, 6), (2, 5), 1), ((1, 5), (2, 5), 2), ((2, 5), (1, 5), 2)]
    {
        let mut t = table(3);
        for (i, (node, bound)) in [first, second].into_iter().enumerate() {
            let done = t.apply(NodeId(node), &Change::Put(record("a@b", "r", bound))).unwrap();
            let loser = 3 - winner;
            let conflict = Conflict { winner: NodeId(winner), loser: NodeId(loser) };
            assert_eq!(done.conflict, (i == 1).then_some(conflict), "{first:?} {second:?}");
        }
        assert_eq!(t.get("a@b", "r").map(|e| e.node), Some(NodeId(winner)));
        assert_eq!((t.of("a@b").count(), t.len()), (1, 2), "the loser is there until its owner removes it");
        t.unseat(NodeId(winner));
        assert_eq!(
            t.get("a@b", "r").map(|e| e.node),
            Some(NodeId(3 - winner)),
            "and counts if the winner's node dies"
        );
    }
}

#[test]
fn records_of_a_dead_node_vanish_at_once_and_go_in_steps() {
    let mut t = table(3);
    let users: Vec<String> = (0..100).map(|i| format!("u{i}@d")).collect();
    for (i, user) in users.iter().enumerate() {
        t.apply(NodeId((i % 3) as u16), &Change::Put(record(user, "r", 1))).unwrap();
    }
    t.apply(NodeId(2), &Change::Put(record("u1@d", "r", 2))).unwrap();
    t.unseat(NodeId(1));
    assert_eq!(t.of("u4@d").count(), 0);
    assert!(!t.is_free(NodeId(1)));
    let mut gone = Vec::new();
    assert!(t.purge(40, |user, resource| gone.push(format!("{user}/{resource}"))));
    // Another goes while the first is being removed, and one comes.
    t.unseat(NodeId(2));
    t.seat(NodeId(3), &name(1));
    t.apply(NodeId(3), &Change::Put(record("u4@d", "r", 9))).unwrap();
    let mut steps = 0;
    while t.purge(40, |user, resource| gone.push(format!("{user}/{resource}"))) {
        steps += 1;
    }
    assert_eq!(steps, 4, "the rest of the first pass, and a second");
    assert!(t.is_free(NodeId(1)) && t.is_free(NodeId(2)));
    assert_eq!((t.len(), gone.len()), (35, 66), "u1 was lost when its second node went");
    gone.sort();
    gone.dedup();
    assert_eq!(gone.len(), 66);
    assert!(users.iter().enumerate().all(|(i, u)| t.of(u).count() == usize::from(i % 3 == 0 || i == 4)));
}

#[test]
#[should_panic(expected = "n1 is taken")]
fn a_number_is_not_given_twice() {
    let mut t = table(2);
    t.unseat(NodeId(1));
    t.seat(NodeId(1), &name(7));
}

/// What a session costs each other node: 80 bytes are budgeted, and what the allocator adds. Names as services have them,
/// resources as this server makes them (22 characters).
#[test]
fn a_record_takes_little_memory() {
    let mut rng = Rng::from_u64(1);
    for (what, records, most) in [("just grown", 15_000, 92), ("nearly full", 28_000, 82)] {
        let mut t = table(2);
        for i in 0..records {
            let user = format!("user{:06}@chat.example.net", i * 7);
            let resource = rng.token();
            let session = record(&user, &resource, 1_763_847_469_000 << 16 | i);
            t.apply(NodeId(1), &Change::Put(session)).unwrap();
        }
        let each = t.bytes() / records as usize;
        println!("{what}: {each} bytes for each of {records} records");
        assert!(each <= most, "{what}: {each}");
    }
}

#[test]
fn what_a_node_may_tell_is_bounded() {
    let mut t = table(3).with_node_bytes_max(100 * 60);
    let names: Vec<String> = (0..200).map(|i| format!("{i:04}")).collect();
    let put = |t: &mut Table, node, user: &str, r: &str| {
        t.apply(NodeId(node), &Change::Put(record(user, r, 1))).map(|_| ())
    };
    for r in &names[..RESOURCES_MAX] {
        assert_eq!(put(&mut t, 1, "a@b", r), Ok(()));
    }
    assert_eq!(put(&mut t, 1, "a@b", "one more"), Err(Refused::Resources));
    assert_eq!(put(&mut t, 1, "a@b", &names[3]), Ok(()), "one that is there is no more");
    assert_eq!(put(&mut t, 2, "a@b", "one more"), Ok(()), "another node has its own");
    assert_eq!((t.len(), t.of("a@b").count()), (RESOURCES_MAX + 1, RESOURCES_MAX + 1));
    // Each of these takes 60 bytes as it is reckoned: a domain of its own, too.
    let took = names.iter().filter(|n| put(&mut t, 2, &format!("u@{n}"), "123456").is_ok()).count();
    assert_eq!(took, 99, "the first was the one more");
    assert_eq!(put(&mut t, 2, "a@b", "last"), Err(Refused::Node));
    assert_eq!((t.len(), t.domains()), (RESOURCES_MAX + 100, 100));
    for n in &names {
        t.apply(NodeId(2), &Change::Remove { user: &format!("u@{n}"), resource: "123456" }).unwrap();
    }
    assert_eq!((t.len(), t.domains()), (RESOURCES_MAX + 1, 1), "and what is gone leaves nothing behind");
    assert_eq!(put(&mut t, 2, "a@b", "last"), Ok(()));
}
