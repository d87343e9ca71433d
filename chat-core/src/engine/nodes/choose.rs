//! The sessions of a user elsewhere, beside those here, as the decision sees them.

use smol_str::SmolStr;

use super::afar::Lane;
use super::{Cluster, OWN};
use crate::base::{NodeId, WorkerId};
use crate::effect::{Few, Targets};
use crate::jid::JidRef;
use crate::route::decision::{RESOURCES_MAX, ResourceView, Resources};
use crate::user::User;

/// A session of another node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) node: NodeId,
    pub(super) worker: WorkerId,
    view: ResourceView,
    /// It wants copies (XEP-0280).
    carbons: bool,
    /// Where its name is.
    name: (u32, u32),
    /// It gets the message at hand.
    got: bool,
    /// The stanza at hand goes to it.
    pub(super) chosen: bool,
}

impl Seen {
    /// Its name, among those of all that were seen.
    pub(super) fn name<'a>(&self, names: &'a str) -> &'a str {
        &names[self.name.0 as usize..self.name.1 as usize]
    }
}

impl Cluster {
    /// Looks for the sessions of a user elsewhere. Of a resource that is bound twice only the later counts, wherever it is.
    pub(in crate::engine) fn look(&mut self, user: &User) {
        let Cluster { table, seen, names, hidden, .. } = self;
        seen.clear();
        names.clear();
        *hidden = 0;
        for entry in table.of(user.jid.as_str()).filter(|entry| entry.node != OWN) {
            let record = entry.record;
            if seen.len() + user.resources.len() >= RESOURCES_MAX {
                break;
            }
            if let Some(i) = user.resources.iter().position(|r| r.name() == record.resource) {
                *hidden |= 1 << i;
            }
            let start = names.len() as u32;
            names.push_str(record.resource);
            seen.push(Seen {
                node: entry.node,
                worker: record.worker,
                view: ResourceView {
                    available: record.priority.is_some(),
                    priority: record.priority.unwrap_or_default(),
                },
                carbons: record.carbons,
                name: (start, names.len() as u32),
                got: false,
                chosen: false,
            });
        }
    }

    /// Only these sessions of the user are seen.
    pub(in crate::engine) fn look_only_at(&mut self, few: Few, user: Option<JidRef<'_>>) {
        let Cluster { seen, names, newcomers, leavers, .. } = self;
        let user = user.map_or("", |user| user.bare().as_str());
        seen.retain(|s| match few {
            // Those that were here a moment ago belong to those that are.
            Few::At(OWN) => leavers.has(user, s.name(names)),
            Few::At(node) => s.node == node,
            Few::Newcomers => newcomers.has(user, s.name(names)),
        });
        if few != Few::At(OWN) {
            self.hidden = u64::MAX;
        }
    }

    /// Adds the sessions that were seen to the `n` views of those here, and hides those that do not count; returns how many
    /// there are now.
    pub(in crate::engine) fn show(&self, views: &mut [ResourceView; RESOURCES_MAX], n: usize) -> usize {
        self.hide(&mut views[..n]);
        for (view, seen) in views[n..].iter_mut().zip(&self.seen) {
            *view = seen.view;
        }
        n + self.seen.len()
    }

    /// Hides those of the sessions here that do not count.
    pub(in crate::engine) fn hide(&self, views: &mut [ResourceView]) {
        for (i, view) in views.iter_mut().enumerate() {
            view.available &= self.hidden >> i & 1 == 0;
        }
    }

    /// Which of them has this resource, if it is one of those elsewhere; they come behind the `n` here.
    pub(in crate::engine) fn place_of(&self, to: JidRef<'_>, n: usize) -> Option<usize> {
        let name = to.resource()?;
        self.seen.iter().position(|s| s.name(&self.names) == name).map(|i| n + i)
    }

    /// Marks those that were decided for, behind the `n` here; returns how many nodes have one of them.
    pub(in crate::engine) fn choose(&mut self, resources: Resources, n: usize) -> u16 {
        for (i, seen) in self.seen.iter_mut().enumerate() {
            seen.chosen = resources.contains(n + i);
            seen.got = seen.chosen;
        }
        self.chosen_nodes() as u16
    }

    /// Marks all that are available, or the one of this name; for a probe. Says whether there is any.
    pub(super) fn choose_available(&mut self, name: Option<&str>) -> bool {
        let Cluster { seen, names, .. } = self;
        for s in seen.iter_mut() {
            s.chosen = s.view.available && name.is_none_or(|name| name == s.name(names));
        }
        seen.iter().any(|s| s.chosen)
    }

    /// Marks the one of this name, and no other.
    pub(super) fn choose_one(&mut self, name: &str) {
        let Cluster { seen, names, .. } = self;
        seen.iter_mut().for_each(|s| s.chosen = s.name(names) == name);
    }

    /// Those that want copies (XEP-0280), and do not get the message itself, nor have sent it.
    pub(super) fn lack_copies<'a>(&'a self, sender: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        let lacking = self.seen.iter().filter(|s| s.carbons && !s.got);
        lacking.map(|s| s.name(&self.names)).filter(move |name| Some(*name) != sender)
    }

    /// The names of those that are available.
    pub(super) fn available_names(&self) -> Vec<SmolStr> {
        self.seen.iter().filter(|s| s.view.available).map(|s| s.name(&self.names).into()).collect()
    }

    /// A node with sessions that are marked, and their worker there. Their names are the targets now, and their marks gone.
    pub(super) fn next_node(&mut self) -> Option<(NodeId, WorkerId)> {
        let first = self.seen.iter().find(|s| s.chosen)?;
        let (node, worker) = (first.node, first.worker);
        let Cluster { seen, names, targets, .. } = self;
        targets.clear();
        for s in seen.iter_mut().filter(|s| s.chosen && s.node == node) {
            s.chosen = false;
            Targets::push(targets, s.name(names));
        }
        Some((node, worker))
    }

    /// The nodes of those that are marked.
    pub(super) fn chosen_nodes(&self) -> usize {
        let first = |(i, s): (usize, &Seen)| {
            s.chosen && !self.seen[..i].iter().any(|other| other.chosen && other.node == s.node)
        };
        self.seen.iter().enumerate().filter(|s| first(*s)).count()
    }

    /// The nodes where messages for the user would find somebody.
    pub(super) fn receiving_nodes(&self) -> Vec<NodeId> {
        let receives = |s: &&Seen| s.view.available && s.view.priority >= 0;
        let mut nodes: Vec<NodeId> = self.seen.iter().filter(receives).map(|s| s.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// Whether the user has a session on another node, among these.
    pub(in crate::engine) fn has_elsewhere(&self, bare: JidRef<'_>, few: Option<Few>) -> bool {
        match few {
            Some(Few::At(OWN)) => return self.leavers.has_any(bare.as_str()),
            Some(Few::Newcomers) => return self.newcomers.has_any(bare.as_str()),
            Some(Few::At(_)) | None => {}
        }
        self.table.of(bare.as_str()).any(|entry| entry.node != OWN)
    }

    /// Whether the session of this lane was seen where it was. One that was not may be there all the same
    /// ([`Cluster::is_at`]), if the user has very many.
    pub(super) fn has_seen(&self, lane: &Lane) -> bool {
        self.seen.iter().any(|s| s.node == lane.node && s.name(&self.names) == lane.name)
    }

    /// Whether this session is where it is said to be.
    pub(super) fn is_at(&self, bare: &str, name: &str, node: NodeId) -> bool {
        self.table.get(bare, name).is_some_and(|entry| entry.node == node)
    }
}
