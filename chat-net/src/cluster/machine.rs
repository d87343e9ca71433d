//! A node's part in its cluster as the machine of a [`LinkDriver`](super::LinkDriver).

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chat_core::base::{Mono, Now, RequestId, WorkerId};
use chat_core::cluster::NodeName;
use chat_core::cluster::agent::{self, Event, Input, Matter, Notice, Request};
use chat_core::cluster::discovery::{self, Query};
use chat_core::cluster::link::{LinkConn, LinksInput};
use chat_core::cluster::member::{self, Member, Output};
use chat_core::cluster::roles;
use chat_core::cluster::wire::Role;
use chat_core::effect::NodeMail;

use super::node::{ClusterEnd, ClusterStatus, OnEnd, Order, Orders, Standing};
use super::{LinkEnd, LinkMachine, LinkRequest, Resolver};
use crate::server::ServerEvent;
use crate::worker::{Note, Post, Shared};

/// See the [module](self).
pub(super) struct Machine {
    member: Member,
    resolver: Resolver,
    orders: Arc<Orders>,
    workers: Workers,
    /// Something was handled, and what follows from it has not been polled.
    stirred: bool,
    on_end: Option<OnEnd>,
    /// How it ended, once it has.
    end: Option<ClusterEnd>,
}

/// The workers of this node.
struct Workers {
    shared: Arc<Shared>,
    post: Arc<Post>,
    /// What was taken from the post.
    notes: VecDeque<Note>,
    /// Which engine of each worker is told what there is.
    runs: Vec<u64>,
    /// Those that sleep although mail of this turn waits for them.
    asleep: Vec<(usize, Waker)>,
}

impl Workers {
    /// Gives a worker its mail. Returns an empty batch.
    fn post(&mut self, worker: WorkerId, mail: NodeMail) -> Option<NodeMail> {
        let w = usize::from(worker.0);
        let (empty, sleeper) = self.shared.inboxes[w].post_node_mail(self.runs[w], mail);
        self.asleep.extend(sleeper.map(|sleeper| (w, sleeper)));
        empty
    }

    /// Wakes those that have mail, or gives them their turn right here.
    fn wake(&mut self, now: Now, is_guest: bool) {
        for (w, sleeper) in self.asleep.drain(..) {
            if is_guest {
                // Who was given a turn gives none: that might have no end.
                sleeper.wake();
            } else if let Some(cluster) = self.shared.seats[w].turn_for(now, sleeper) {
                // That would be this thread, which is awake.
                cluster.wake();
            }
        }
    }
}

impl Machine {
    pub(super) fn new(
        member: Member,
        resolver: Resolver,
        orders: Arc<Orders>,
        shared: Arc<Shared>,
        post: Arc<Post>,
        on_end: OnEnd,
    ) -> Machine {
        let this = member.agent().identity();
        tracing::info!(node = %this.name, incarnation = this.incarnation.0, "this node takes part in a cluster");
        let runs = vec![0; shared.inboxes.len()];
        let workers = Workers { shared, post, notes: VecDeque::new(), runs, asleep: Vec::new() };
        Machine { member, resolver, orders, workers, stirred: false, on_end: Some(on_end), end: None }
    }

    fn tell(&mut self, now: Now, input: Input<'_>) {
        self.member.handle(now, member::Input::Agent(input));
    }

    fn resolve(&self, id: RequestId, query: Query) {
        let orders = self.orders.clone();
        self.resolver.ask(
            query,
            Box::new(move |result| {
                // Nobody waits for it after the end.
                let _ = orders.post(Order::Resolved(id, result));
            }),
        );
    }

    fn on_order(&mut self, now: Now, order: Order) {
        self.stirred = true;
        match order {
            Order::Resolved(id, result) => {
                let result = result.as_ref().map(|found| found.answer()).map_err(|error| *error);
                self.tell(now, Input::Resolved { id, result });
            }
            Order::Listed(nodes) => self.tell(now, Input::Listed(&nodes)),
            Order::Status(reply) => reply.answer(self.status(now)),
            Order::Ailing(is_ailing) => self.tell(now, Input::Ailing(is_ailing)),
            Order::Wish(wish) => self.member.handle(now, member::Input::Wish(wish)),
            Order::Stop => {
                self.end.get_or_insert(ClusterEnd::Stopped);
            }
        }
    }

    fn standing(&self) -> Standing {
        let roles = self.member.roles();
        Standing { role: roles.role(), steps_back: roles.steps_back() }
    }

    fn status(&self, now: Now) -> ClusterStatus {
        let (agent, exchange) = (self.member.agent(), self.member.exchange());
        let is_whole = |name: &&NodeName| exchange.is_whole_of(name);
        ClusterStatus {
            identity: agent.identity().clone(),
            now,
            standing: self.standing(),
            is_leaving: self.member.roles().is_leaving(),
            peers: agent.peers(),
            whole: exchange.nodes().map(|(name, _)| name).filter(is_whole).cloned().collect(),
        }
    }

    fn on_role(&mut self, output: roles::Output) {
        match output {
            roles::Output::Become(Role::Active) => tracing::info!("this node is active from now on"),
            roles::Output::Become(Role::Standby) => tracing::info!("this node is a standby node from now on"),
            roles::Output::StepBack => tracing::info!("this node steps back: its sessions are to leave"),
            roles::Output::Stay => tracing::info!("this node stays active after all"),
        }
        self.orders.stand(self.standing());
    }

    fn on_note(&mut self, now: Now, note: Note) {
        self.stirred = true;
        match note {
            Note::Mail { mut mail, bytes } => {
                self.member.handle(now, member::Input::Mail(&mut mail));
                self.workers.post.read(mail, bytes);
            }
            Note::Anew { worker, run } => {
                self.workers.runs[usize::from(worker.0)] = run;
                self.member.handle(now, member::Input::Restarted(worker));
            }
            Note::Gone => self.tell(now, Input::Leave),
        }
    }

    fn request(&mut self, request: Request) -> Option<LinkRequest> {
        match request {
            Request::Resolve { id, query } => self.resolve(id, query),
            Request::Dial { peer, address } => return Some(LinkRequest::Dial { peer, address }),
            Request::Close(conn) => return Some(LinkRequest::Close(conn)),
            Request::Notice(notice) => log_notice(&notice),
            Request::Fatal(why) => {
                tracing::error!("{why}");
                self.end.get_or_insert(why.into());
            }
            Request::Left => {
                tracing::info!("this node has left the cluster");
                self.end.get_or_insert(ClusterEnd::Left);
            }
        }
        None
    }
}

impl LinkMachine for Machine {
    fn handle(&mut self, now: Now, input: LinksInput<'_>) {
        self.tell(now, Input::Connection(input));
    }

    fn poll_request(&mut self, _now: Now) -> Option<LinkRequest> {
        while let Some(output) = self.member.poll_output() {
            match output {
                Output::Agent(agent::Output::Driver(request)) => {
                    if let Some(request) = self.request(request) {
                        return Some(request);
                    }
                }
                Output::Role(output) => self.on_role(output),
                Output::Agent(agent::Output::Above(event)) => publish(&self.workers.shared, &event),
                Output::Mail { worker, mail } => {
                    if let Some(empty) = self.workers.post(worker, mail) {
                        self.member.reuse(empty);
                    }
                }
            }
        }
        self.stirred = false;
        None
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.member.poll_timeout().map(|(at, _)| at)
    }

    fn poll_dirty(&mut self) -> Option<LinkConn> {
        self.member.poll_dirty()
    }

    fn outgoing<'a>(&'a self, conn: LinkConn, out: &mut [&'a [u8]]) -> usize {
        self.member.outgoing(conn, out)
    }

    fn sent(&mut self, now: Now, conn: LinkConn, n: usize) {
        self.member.sent(now, conn, n);
    }

    fn poll_inbox(&mut self, now: Now, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        if self.end.is_none() {
            for order in self.orders.take(cx) {
                self.on_order(now, order);
            }
            let mut notes = std::mem::take(&mut self.workers.notes);
            self.workers.post.take(&mut notes);
            while let Some(note) = notes.pop_front() {
                self.on_note(now, note);
            }
            self.workers.notes = notes;
        }
        match &self.end {
            None => Poll::Pending,
            Some(ClusterEnd::Stopped) => Poll::Ready(LinkEnd::AtOnce),
            Some(ClusterEnd::Left | ClusterEnd::Fatal(_)) => Poll::Ready(LinkEnd::Orderly),
        }
    }

    fn rest(&mut self, now: Now, is_guest: bool, cx: &mut Context<'_>) -> bool {
        self.workers.wake(now, is_guest);
        !self.stirred && self.end.is_none() && self.workers.post.sleep(cx.waker())
    }
}

impl Drop for Machine {
    /// The driver is done, or has panicked.
    fn drop(&mut self) {
        let end = self.end.take().unwrap_or(ClusterEnd::Stopped);
        self.workers.post.close();
        self.orders.end(end.clone());
        if let Some(on_end) = self.on_end.take() {
            on_end(&end);
        }
    }
}

/// What whoever watches this node wants to know of others, and what an operator wants to see.
fn publish(shared: &Shared, event: &Event<'_>) {
    match event {
        Event::PeerUp(node) => {
            tracing::info!(node = %node.name, incarnation = node.incarnation.0, "a node is up");
            shared.events.push(ServerEvent::NodeUp { node: node.clone() });
        }
        Event::PeerDown { node, why } => {
            tracing::warn!(node = %node.name, incarnation = node.incarnation.0, "a node is down: {why}");
            shared.events.push(ServerEvent::NodeDown { node: node.clone(), why: *why });
        }
        Event::Says { node, role, is_draining, is_ailing } => {
            let role = if *role == Role::Active { "active" } else { "standby" };
            tracing::info!(%node, role, draining = is_draining, ailing = is_ailing, "a node says how it is");
        }
        Event::Congested { node, is_congested } => {
            tracing::debug!(%node, congested = is_congested, "a link is congested, or not any more");
        }
        Event::NewLife(_) | Event::Fresh { .. } | Event::Frame { .. } => {}
    }
}

fn log_notice(notice: &Notice) {
    match notice.matter {
        Matter::Discovery(discovery::Notice::Settled) | Matter::Returned => tracing::info!("{notice}"),
        _ => tracing::warn!("{notice}"),
    }
}
