//! The table against plain maps.

use super::*;
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::collections::{BTreeMap, BTreeSet};

const NODES: u16 = 4;

#[derive(Debug, Clone)]
enum Step {
    Put(u16, String, String, u64, Option<i8>),
    Remove(u16, String, String),
    Seat(u16),
    Unseat(u16),
    Purge(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let user = || "(u[0-3]@)?d[0-1]";
    prop_oneof![
        8 => (0..NODES, user(), "r[0-2]", 0u64..4, proptest::option::of(-1i8..2))
            .prop_map(|(n, u, r, b, p)| Step::Put(n, u, r, b, p)),
        4 => (0..NODES, user(), "r[0-2]").prop_map(|(n, u, r)| Step::Remove(n, u, r)),
        3 => (0..NODES).prop_map(Step::Seat),
        1 => (0..NODES).prop_map(Step::Unseat),
        3 => (0usize..5).prop_map(Step::Purge),
    ]
}

/// What is so, without any thought for memory.
#[derive(Debug, Default)]
struct Model {
    seated: BTreeSet<u16>,
    /// Records of seated nodes.
    live: BTreeMap<(String, String, u16), (u64, Option<i8>)>,
    /// Full JIDs of nodes that are gone, until they are told or nothing is left of such nodes.
    gone: BTreeSet<(String, String)>,
}

impl Model {
    fn sessions(&self, user: &str) -> Vec<(String, u16, u64, Option<i8>)> {
        let mut best: BTreeMap<&String, (u64, u16, Option<i8>)> = BTreeMap::new();
        for ((_, resource, node), (bound, priority)) in self.live.iter().filter(|((u, ..), _)| u == user) {
            let this = (*bound, *node, *priority);
            let other = best.entry(resource).or_insert(this);
            // The names of the nodes are in the order of their numbers.
            if (this.0, this.1) > (other.0, other.1) {
                *other = this;
            }
        }
        best.into_iter().map(|(r, (bound, node, priority))| (r.clone(), node, bound, priority)).collect()
    }

    fn is_available(&self, jid: &(String, String)) -> bool {
        self.live.iter().any(|((u, r, _), (_, priority))| (u, r) == (&jid.0, &jid.1) && priority.is_some())
    }
}

fn take(t: &mut Table, m: &mut Model, step: Step) -> Result<(), proptest::test_runner::TestCaseError> {
    match step {
        Step::Put(node, user, resource, bound, priority) if m.seated.contains(&node) => {
            let new = Record { priority, ..record(&user, &resource, bound) };
            let done = t.apply(NodeId(node), &Change::Put(new)).unwrap();
            let before = m.live.insert((user.clone(), resource.clone(), node), (bound, priority));
            prop_assert_eq!(done.changed, before != Some((bound, priority)));
            let (_, winner, ..) =
                m.sessions(&user).into_iter().find(|s| s.0 == resource).expect("it is there");
            let rivals = m.live.keys().filter(|(u, r, _)| (u, r) == (&user, &resource)).count() > 1;
            prop_assert_eq!(done.conflict.is_some(), rivals);
            prop_assert!(done.conflict.is_none_or(|c| c.winner.0 == winner && c.loser != c.winner));
        }
        Step::Remove(node, user, resource) if m.seated.contains(&node) => {
            let gone = Change::Remove { user: &user, resource: &resource };
            let done = t.apply(NodeId(node), &gone).unwrap();
            let before = m.live.remove(&(user.clone(), resource.clone(), node));
            prop_assert_eq!(done, Applied { changed: before.is_some(), conflict: None });
        }
        Step::Seat(node) if t.is_free(NodeId(node)) => {
            t.seat(NodeId(node), &name(node.into()));
            m.seated.insert(node);
        }
        Step::Unseat(node) => {
            t.unseat(NodeId(node));
            m.seated.remove(&node);
            let (gone, live) = std::mem::take(&mut m.live).into_iter().partition(|((.., n), _)| *n == node);
            m.live = live;
            let gone: BTreeMap<(String, String, u16), _> = gone;
            m.gone.extend(gone.into_keys().map(|(u, r, _)| (u, r)));
        }
        Step::Purge(users) => purge(t, m, users)?,
        _ => {}
    }
    Ok(())
}

fn purge(t: &mut Table, m: &mut Model, users: usize) -> Result<(), proptest::test_runner::TestCaseError> {
    let mut told = Vec::new();
    let more = t.purge(users, |user, resource| told.push((user.to_owned(), resource.to_owned())));
    for jid in told {
        prop_assert!(!m.is_available(&jid), "{jid:?} is told as gone, and is there");
        prop_assert!(m.gone.remove(&jid), "{jid:?} is told twice, or never was");
    }
    if !more {
        prop_assert_eq!(t.len(), m.live.len());
        // Those that are left had another record when theirs was removed.
        m.gone.clear();
        prop_assert!((0..NODES).all(|n| m.seated.contains(&n) || t.is_free(NodeId(n))));
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_table_is_like_plain_maps(steps in proptest::collection::vec(step(), 0..120)) {
        let (mut t, mut m) = (Table::new(KEY), Model::default());
        for step in steps {
            take(&mut t, &mut m, step)?;
            let counted: Vec<_> = t.by_node().map(|(node, _, records)| (node.0, records)).collect();
            let of = |node: &u16| (*node, m.live.keys().filter(|(.., n)| n == node).count());
            prop_assert_eq!(counted, m.seated.iter().map(of).collect::<Vec<_>>());
            for user in ["u0@d0", "u1@d0", "u2@d0", "u3@d0", "d0", "u0@d1", "u1@d1", "u2@d1", "u3@d1", "d1"] {
                let seen: Vec<_> = t
                    .of(user)
                    .map(|e| (e.record.resource.to_owned(), e.node.0, e.record.bound.0, e.record.priority))
                    .collect();
                prop_assert_eq!(&seen, &m.sessions(user), "{}", user);
            }
        }
        (0..NODES).for_each(|n| t.unseat(NodeId(n)));
        while t.purge(3, |_, _| {}) {}
        prop_assert_eq!((t.len(), t.domains()), (0, 0));
    }
}
