//! A node that is part of a cluster: what goes between its workers, its member, and the driver of its links.

use std::sync::Arc;

use super::Node;
use crate::base::{Now, Rng, WorkerId};
use crate::cluster::agent;
use crate::cluster::link::LinkConn;
use crate::cluster::member::{self, Member};
use crate::cluster::roles::{self, Wish};
use crate::effect::{NodeMail, Settings};
use crate::engine::Input;
use crate::ext::Extension;

impl Node {
    /// A node of a cluster, which begins a life now, otherwise as [`Node::new`]. The name of the node is that of `cluster`.
    /// The seed has to be a secret ([`Agent::new`](agent::Agent::new)).
    pub fn in_cluster(
        now: Now,
        settings: &Settings,
        workers: u16,
        cluster: agent::Settings,
        seed: [u8; 32],
        extensions: impl FnMut(&Settings) -> Vec<Box<dyn Extension>>,
    ) -> Self {
        let mut rng = Rng::from_seed(seed);
        let name = Some(cluster.name.as_str().to_owned());
        let settings = Settings { cluster: name, ..settings.clone() };
        let mut node = Node::with(&settings, workers, &mut rng, extensions);
        let settings = Arc::new(node.settings().clone());
        node.member = Some(Box::new(Member::new(now, cluster, settings, rng)));
        node.carry_mail(now);
        node
    }

    /// Takes what the driver saw of connections to other nodes and of DNS, and what the operator wants of this node's part
    /// in the cluster. A node alone passes over it.
    pub fn handle_cluster(&mut self, now: Now, input: agent::Input<'_>) {
        if let Some(member) = &mut self.member {
            member.handle(now, member::Input::Agent(input));
            self.carry_mail(now);
        }
    }

    /// Which role the node is to have, and whether it gives its sessions away. A node alone passes over it.
    pub fn wish(&mut self, now: Now, wish: Wish) {
        if let Some(member) = &mut self.member {
            member.handle(now, member::Input::Wish(wish));
            self.carry_mail(now);
        }
    }

    /// What has become of the node's role, in order.
    pub fn poll_role(&mut self) -> Option<roles::Output> {
        self.roles.pop_front()
    }

    /// What the driver is to do for the node's part in its cluster, or may want to know of it, in order; never a frame.
    pub fn poll_cluster(&mut self) -> Option<agent::Output<'static>> {
        self.told.pop_front()
    }

    /// The next connection to another node that has something to send.
    pub fn poll_dirty_link(&mut self) -> Option<LinkConn> {
        self.member.as_mut()?.poll_dirty()
    }

    /// The unsent bytes of a connection to another node, as slices from the first; returns how many slices.
    pub fn outgoing_link<'a>(&'a self, conn: LinkConn, out: &mut [&'a [u8]]) -> usize {
        self.member.as_ref().map_or(0, |member| member.outgoing(conn, out))
    }

    /// `n` of these bytes were sent.
    pub fn sent_link(&mut self, now: Now, conn: LinkConn, n: usize) {
        if let Some(member) = &mut self.member {
            member.sent(now, conn, n);
            self.carry_mail(now);
        }
    }

    /// The node's part in its cluster, for those who look and do not touch; none if it is alone.
    pub fn member(&self) -> Option<&Member> {
        self.member.as_deref()
    }

    pub(super) fn tick_cluster(&mut self, now: Now) {
        if let Some(member) = &mut self.member
            && member.poll_timeout().is_some_and(|t| t.0 <= now.mono)
        {
            member.handle(now, member::Input::Agent(agent::Input::Tick));
        }
    }

    /// A worker has something to tell other nodes.
    pub(super) fn tell_cluster(&mut self, now: Now, worker: WorkerId, mut mail: NodeMail) {
        let member = self.member.as_mut().expect("only engines of a cluster tell other nodes something");
        member.handle(now, member::Input::Mail(&mut mail));
        self.engines[usize::from(worker.0)].reuse_node_mail(mail);
    }

    /// Takes what the member has to tell.
    pub(super) fn hear_cluster(&mut self) {
        while let Some(output) = self.member.as_mut().and_then(|member| member.poll_output()) {
            match output {
                member::Output::Agent(told) => self.told.push_back(told),
                member::Output::Role(output) => self.roles.push_back(output),
                member::Output::Mail { worker, mail } => self.news[usize::from(worker.0)].push_back(mail),
            }
        }
    }

    /// A worker hears what there is.
    pub(super) fn give_news(&mut self, now: Now, w: usize, mut mail: NodeMail) {
        self.engines[w].handle(now, Input::Cluster { mail: &mut mail });
        if let Some(member) = &mut self.member {
            member.reuse(mail);
        }
        self.collect(now, WorkerId(w as u16));
    }
}
