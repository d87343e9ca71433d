//! The layer above the agents: what it is told, what it sends, and what it may rely on.

use std::collections::BTreeMap;

use super::{Node, World};
use crate::base::Mono;
use crate::cluster::agent::Event;
use crate::cluster::identity::{Identity, NodeName};
use crate::cluster::testing::Log;
use crate::cluster::wire::Kind;

/// What the layer above knows of another node.
pub(in crate::cluster::agent::tests) struct Met {
    pub(in crate::cluster::agent::tests) identity: Identity,
    pub(in crate::cluster::agent::tests) is_up: bool,
    /// How often this process has begun anew with a node of that name, and frames sent since.
    pub(super) chapter: u32,
    pub(super) sent: u32,
    /// The chapter of the other one that is being read, and frames received of it.
    pub(super) reading: Option<u32>,
    pub(super) received: u32,
    pub(super) is_congested: bool,
}

impl World {
    /// A node sends a frame to each other, or to one in so many.
    pub(in crate::cluster::agent::tests) fn speak(&mut self, i: usize, one_in: u64) {
        let now = self.now(i);
        let Node { agent: Some(agent), met, .. } = &mut self.nodes[i] else { return };
        for (name, met) in met.iter_mut().filter(|(_, met)| !met.is_congested) {
            if self.rng.below(one_in) > 0 {
                continue;
            }
            let mut body = agent.identity().boot.0.to_vec();
            body.extend(met.chapter.to_be_bytes());
            body.extend(met.sent.to_be_bytes());
            body.resize(24 + self.rng.below(60) as usize, 7);
            if agent.send(now, name, Kind::Envelope, &body).is_ok() {
                met.sent += 1;
            }
        }
        self.drain(i);
    }

    /// Why the nodes that run do not see the truth, which is that all of them are there, in their present lives, with one
    /// connection for each pair, and everything sent has arrived if nobody sends any more; `None` if they do.
    pub(in crate::cluster::agent::tests) fn apart(&self) -> Option<String> {
        let running = |i: &usize| self.nodes[*i].agent.is_some() && !self.nodes[*i].is_leaving;
        let all: Vec<usize> = (0..self.nodes.len()).filter(running).collect();
        for i in &all {
            let node = &self.nodes[*i];
            let seen: BTreeMap<&NodeName, &Identity> =
                node.met.iter().filter(|(_, m)| m.is_up).map(|(name, m)| (name, &m.identity)).collect();
            let others = all.iter().filter(|j| *j != i).map(|j| self.identity(*j));
            let truth: BTreeMap<&NodeName, &Identity> = others.map(|id| (&id.name, id)).collect();
            if seen != truth {
                return Some(format!("node {i} sees {seen:?}, but there are {truth:?}"));
            }
            for (name, met) in &node.met {
                let Some(other) = all.iter().find(|j| self.identity(**j).name == *name) else {
                    return Some(format!("node {i} still keeps {name}"));
                };
                let back = self.nodes[*other].met.get(&self.identity(*i).name);
                let fits = |back: &Met| {
                    let begun = back.reading.is_none_or(|chapter| chapter == met.chapter);
                    begun && (!self.is_quiet || met.sent == back.received)
                };
                if !back.is_some_and(fits) {
                    return Some(format!("frames of node {i} to {name} are missing"));
                }
            }
        }
        let open = self.ends(|w, end| w.open[end] && self.is_life(w.nodes[end], w.lives[end]));
        let pairs = all.len() * all.len().saturating_sub(1) / 2;
        (open.len() != 2 * pairs).then(|| format!("{} ends of connections are open", open.len()))
    }

    /// What a node logged since a moment, notices left out.
    pub(in crate::cluster::agent::tests) fn since(&self, i: usize, at: Mono) -> Vec<&str> {
        self.nodes[i].log.since(at).into_iter().filter(|what| !what.starts_with("notice")).collect()
    }

    /// The notices of a node since a moment.
    pub(in crate::cluster::agent::tests) fn notices(&self, i: usize, at: Mono) -> Vec<&str> {
        self.nodes[i].log.since(at).into_iter().filter_map(|what| what.strip_prefix("notice ")).collect()
    }
}

/// What the layer above makes of an event, and what it may rely on.
pub(super) fn hear(
    met: &mut BTreeMap<NodeName, Met>,
    chapters: &mut BTreeMap<NodeName, u32>,
    log: &mut Log,
    at: Mono,
    event: Event<'_>,
) {
    match event {
        Event::NewLife(identity) => {
            assert!(met.is_empty(), "all others are put down before this node begins another life");
            log.push(at, format!("new life {}", identity.incarnation));
            chapters.clear();
        }
        Event::Fresh { peer: identity, .. } => {
            let chapter = chapters.entry(identity.name.clone()).or_default();
            *chapter += 1;
            let before = met.remove(&identity.name);
            assert!(
                before.as_ref().is_none_or(|m| m.identity == identity),
                "the life before is not put down"
            );
            log.push(at, format!("fresh {}", identity.name));
            let is_up = before.is_some_and(|m| m.is_up);
            let begun = Met {
                identity: identity.clone(),
                is_up,
                chapter: *chapter,
                sent: 0,
                reading: None,
                received: 0,
                is_congested: false,
            };
            met.insert(identity.name, begun);
        }
        Event::PeerUp(identity) => {
            let met = met.get_mut(&identity.name).expect("up before it was met");
            assert!(met.identity == identity && !met.is_up, "up twice, or in another life");
            met.is_up = true;
            log.push(at, format!("up {}", identity.name));
        }
        Event::PeerDown { node, why } => {
            let met = met.remove(&node.name).expect("down without having been met");
            assert_eq!(met.identity, node, "another life is put down");
            log.push(at, format!("down {}: {why}", node.name));
        }
        Event::Frame { from, kind, body } => {
            assert_eq!(kind, Kind::Envelope);
            let met = met.get_mut(from).expect("a frame of a node that is not met");
            assert_eq!(body[..16], met.identity.boot.0, "a frame of another life");
            let chapter = u32::from_be_bytes(body[16..20].try_into().unwrap());
            let number = u32::from_be_bytes(body[20..24].try_into().unwrap());
            assert_eq!(*met.reading.get_or_insert(chapter), chapter, "frames of two chapters are mixed");
            assert_eq!(number, met.received, "lost, doubled or out of order");
            met.received += 1;
        }
        Event::Congested { node, is_congested } => {
            met.get_mut(&node).into_iter().for_each(|m| m.is_congested = is_congested);
        }
        Event::Says { node, role, is_draining, is_ailing } => {
            assert!(met.contains_key(&node), "a node that is not met says something");
            let more = [(is_draining, ", draining"), (is_ailing, ", ailing")];
            let more: String = more.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
            log.push(at, format!("{node} is {role:?}{more}"));
        }
    }
}
