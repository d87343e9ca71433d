//! The agent as the machine of a [`LinkDriver`](super::LinkDriver).

use std::sync::Arc;
use std::task::{Context, Poll};

use chat_core::base::{Mono, Now, RequestId};
use chat_core::cluster::agent::{Agent, Event, Input, Matter, Notice, Output, Request};
use chat_core::cluster::discovery::{self, Query};
use chat_core::cluster::link::{LinkConn, LinksInput};

use super::node::{ClusterEnd, ClusterEvents, ClusterStatus, Order, Shared};
use super::{LinkEnd, LinkMachine, LinkRequest, Resolver};

/// See the [module](self).
pub(super) struct Machine {
    agent: Agent,
    resolver: Resolver,
    shared: Arc<Shared>,
    events: Box<dyn ClusterEvents>,
    /// How it ended, once it has.
    end: Option<ClusterEnd>,
}

impl Machine {
    pub(super) fn new(
        agent: Agent,
        resolver: Resolver,
        shared: Arc<Shared>,
        events: Box<dyn ClusterEvents>,
    ) -> Machine {
        let this = agent.identity();
        tracing::info!(node = %this.name, incarnation = this.incarnation.0, "this node takes part in a cluster");
        Machine { agent, resolver, shared, events, end: None }
    }

    fn resolve(&self, id: RequestId, query: Query) {
        let shared = self.shared.clone();
        self.resolver.ask(
            query,
            Box::new(move |result| {
                // Nobody waits for it after the end.
                let _ = shared.post(Order::Resolved(id, result));
            }),
        );
    }

    fn on_order(&mut self, now: Now, order: Order) {
        let input = match order {
            Order::Resolved(id, result) => {
                let result = result.as_ref().map(|found| found.answer()).map_err(|error| *error);
                return self.agent.handle(now, Input::Resolved { id, result });
            }
            Order::Send { node, kind, body } => {
                if let Err(error) = self.agent.send(now, &node, kind, &body) {
                    tracing::debug!(%node, ?kind, %error, "a frame is not sent");
                }
                return;
            }
            Order::Listed(nodes) => return self.agent.handle(now, Input::Listed(&nodes)),
            Order::Status(reply) => {
                let identity = self.agent.identity().clone();
                return reply.answer(ClusterStatus { identity, now, peers: self.agent.peers() });
            }
            Order::Role(role) => Input::Role(role),
            Order::Draining(is_draining) => Input::Draining(is_draining),
            Order::Leave => Input::Leave,
            Order::Stop => {
                self.end.get_or_insert(ClusterEnd::Stopped);
                return;
            }
        };
        self.agent.handle(now, input);
    }
}

impl LinkMachine for Machine {
    fn handle(&mut self, now: Now, input: LinksInput<'_>) {
        self.agent.handle(now, Input::Connection(input));
    }

    fn poll_request(&mut self, _now: Now) -> Option<LinkRequest> {
        while let Some(output) = self.agent.poll_output() {
            let request = match output {
                Output::Driver(request) => request,
                Output::Above(event) => {
                    log(&event);
                    self.events.on_event(event);
                    continue;
                }
            };
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
        }
        None
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.agent.poll_timeout().map(|(at, _)| at)
    }

    fn poll_dirty(&mut self) -> Option<LinkConn> {
        self.agent.poll_dirty()
    }

    fn outgoing<'a>(&'a self, conn: LinkConn, out: &mut [&'a [u8]]) -> usize {
        self.agent.outgoing(conn, out)
    }

    fn sent(&mut self, now: Now, conn: LinkConn, n: usize) {
        self.agent.sent(now, conn, n);
    }

    fn poll_inbox(&mut self, now: Now, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        if self.end.is_none() {
            for order in self.shared.take(cx) {
                self.on_order(now, order);
            }
        }
        match &self.end {
            None => Poll::Pending,
            Some(ClusterEnd::Stopped) => Poll::Ready(LinkEnd::AtOnce),
            Some(ClusterEnd::Left | ClusterEnd::Fatal(_)) => Poll::Ready(LinkEnd::Orderly),
        }
    }
}

impl Drop for Machine {
    /// The driver is done, or has panicked.
    fn drop(&mut self) {
        let end = self.end.take().unwrap_or(ClusterEnd::Stopped);
        self.events.on_end(&end);
        self.shared.end(end);
    }
}

/// What an operator wants to see of what happens.
fn log(event: &Event<'_>) {
    match event {
        Event::PeerUp(node) => {
            tracing::info!(node = %node.name, incarnation = node.incarnation.0, "a node is up");
        }
        Event::PeerDown { node, why } => {
            tracing::warn!(node = %node.name, incarnation = node.incarnation.0, "a node is down: {why}");
        }
        Event::Says { node, role, is_draining } => {
            tracing::info!(%node, ?role, draining = is_draining, "a node says how it is");
        }
        Event::Congested { node, is_congested } => {
            tracing::debug!(%node, congested = is_congested, "a link is congested, or not any more");
        }
        Event::NewLife(_) | Event::Fresh(_) | Event::Frame { .. } => {}
    }
}

fn log_notice(notice: &Notice) {
    match notice.matter {
        Matter::Discovery(discovery::Notice::Settled) | Matter::Returned => tracing::info!("{notice}"),
        _ => tracing::warn!("{notice}"),
    }
}
