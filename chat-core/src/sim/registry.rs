//! Whether every node knows where everybody is (invariant 4), and nothing is left on its way between them.

use std::collections::BTreeSet;

use super::world::World;
use crate::base::NodeId;
use crate::node::Node;

/// A session: the node, the user, the resource, its priority if it is available, whether it wants carbons.
type Session = (String, String, String, Option<i8>, bool);

/// What a node has of the sessions of one, itself among them.
fn sessions(node: &Node, of: NodeId, name: &str) -> BTreeSet<Session> {
    let mut all = BTreeSet::new();
    for engine in node.engines() {
        engine.records(of, |r| {
            all.insert((name.into(), r.user.into(), r.resource.into(), r.priority, r.carbons));
        });
    }
    all
}

impl World {
    pub(super) fn check_registries(&mut self) {
        if self.plan.cluster.is_none() {
            return;
        }
        let nodes: Vec<&Node> = self.servers.iter().filter_map(|s| s.node.as_ref()).collect();
        let name =
            |node: &Node| node.member().map(|m| m.agent().identity().name.to_string()).unwrap_or_default();
        let truth: BTreeSet<Session> =
            nodes.iter().flat_map(|node| sessions(node, NodeId(0), &name(node))).collect();
        let mut wrong = None;
        for node in &nodes {
            let Some(exchange) = node.member().map(|m| m.exchange()) else { continue };
            let mut found = sessions(node, NodeId(0), &name(node));
            for (other, number) in exchange.nodes() {
                found.extend(sessions(node, number, other.as_str()));
            }
            if found != truth {
                let missing: Vec<_> = truth.difference(&found).collect();
                let more: Vec<_> = found.difference(&truth).collect();
                let who = name(node);
                wrong.get_or_insert(format!("{who} does not know of {missing:?}, and believes {more:?}"));
            }
            let left: usize = node.engines().iter().map(|engine| engine.outstanding()).sum();
            if left > 0 {
                let who = name(node);
                wrong.get_or_insert(format!("{left} pieces of {who} are outstanding (invariant 9)"));
            }
        }
        let mut full = BTreeSet::new();
        if let Some((_, user, resource, ..)) = truth.iter().find(|s| !full.insert((&s.1, &s.2))) {
            wrong.get_or_insert(format!("there are two sessions of {user}/{resource} (invariant 5)"));
        }
        if let Some(wrong) = wrong {
            self.ledger.fail(wrong);
        }
    }
}
