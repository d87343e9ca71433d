//! A node's part in its cluster, as one machine: the agent, the exchange between it and the workers, and the node's role.
//!
//! Owns: nothing but the [`Agent`], the [`Exchange`] and the [`Roles`], and what each has to tell the others.
//! In ([`Input`]): what is for the agent, what is wanted of this node, and what the workers have to tell other nodes. Out
//! ([`Output`]): what the agent wants of the driver and tells the layer above, but for frames, what becomes of the role, and
//! news for the workers.
//!
//! Invariants:
//! - Which role this node has and whether it gives its sessions away, the agent tells others as the roles have it.
//! - Every frame of another node is for the exchange; what the exchange wants to send goes to the agent in its order.
//! - What several workers have said in one turn goes out together: whoever drives this handles what there is, then calls
//!   [`Member::poll_output`] until there is nothing.
//! - Frames that the agent does not take are lost in one of two ways: both nodes begin anew, or the other is down. Of the
//!   one that is left, a stanza larger than a frame may be, its worker hears at once.
//!
//! Not here: rules. Whether a node is alive is the agent's, who is told of which session the exchange's, who takes clients the
//! roles'. Threads and sockets
//! are `chat-net`'s, workers `engine`'s; both together in one thread are `node`.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use super::agent::{self, Agent, Event};
use super::exchange::{self, Exchange};
use super::link::LinkConn;
use super::roles::{self, Other, Roles, Wish};
use crate::base::{Mono, Now, Rng, WorkerId};
use crate::effect::{NodeMail, Settings};

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// To the agent: what the driver saw of connections and of DNS, what the operator lists, time. Not the role, and not that this
    /// node gives its sessions away.
    Agent(agent::Input<'a>),
    /// Which role this node is to have, and whether it gives its sessions away.
    Wish(Wish),
    /// A worker has something to tell other nodes ([`Output::Cluster`](crate::effect::Output::Cluster)). The batch is empty
    /// afterwards.
    Mail(&'a mut NodeMail),
    /// A worker has lost everything and starts again ([`Exchange::on_restart`]). Mail for it that has come out and was not
    /// handled is to be dropped.
    Restarted(WorkerId),
}

/// What comes out, in order.
#[derive(Debug)]
pub enum Output {
    /// What the agent wants or tells; never a frame.
    Agent(agent::Output<'static>),
    /// What becomes of this node's role.
    Role(roles::Output),
    /// News for a worker ([`Input::Cluster`](crate::engine::Input::Cluster)). Give the batch back to [`Member::reuse`].
    Mail {
        /// Which worker.
        worker: WorkerId,
        /// What there is.
        mail: NodeMail,
    },
}

/// The machine. See the [module](self).
pub struct Member {
    agent: Agent,
    exchange: Exchange,
    roles: Roles,
    /// What others were told: whether this node gives its sessions away.
    is_leaving: bool,
    outputs: VecDeque<Output>,
    /// When something happened last.
    now: Now,
    /// Something has happened since the exchange ended its turn.
    is_stirred: bool,
    /// There is more of a snapshot to send.
    has_more: bool,
}

impl Member {
    /// A node that begins a life now. `workers` are the settings of any of its workers. `rng` has to be a secret
    /// ([`Agent::new`]).
    pub fn new(now: Now, settings: agent::Settings, workers: Arc<Settings>, mut rng: Rng) -> Member {
        let key = rng.hash_key();
        let (name, role, wanted) = (settings.name.clone(), settings.role, settings.active_wanted);
        let agent = Agent::new(now, settings, rng);
        let exchange = Exchange::new(agent.identity(), workers, key);
        let roles = Roles::new(now, roles::Settings { name, role, wanted });
        let (is_leaving, outputs) = (false, VecDeque::new());
        Member { agent, exchange, roles, is_leaving, outputs, now, is_stirred: false, has_more: false }
    }

    /// Something happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        self.now = now;
        self.is_stirred = true;
        match input {
            Input::Agent(input) => self.agent.handle(now, input),
            Input::Wish(wish) => self.roles.handle(now, roles::Input::Wish(wish)),
            Input::Mail(mail) => self.exchange.on_mail(mail),
            Input::Restarted(worker) => self.exchange.on_restart(worker),
        }
        if self.roles.poll_timeout().is_some_and(|(at, _)| at <= now.mono) {
            self.roles.handle(now, roles::Input::Tick);
        }
    }

    /// What is to be done or told next. To be called until it returns `None` after every turn: what was handled since goes
    /// out then.
    pub fn poll_output(&mut self) -> Option<Output> {
        while self.outputs.is_empty() && self.settle() {}
        self.outputs.pop_front()
    }

    /// When to call [`Member::handle`] again at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let more = self.has_more.then_some((self.now.mono, "a snapshot goes on"));
        let machines = [self.agent.poll_timeout(), self.roles.poll_timeout()];
        more.or_else(|| machines.into_iter().flatten().min_by_key(|(at, _)| *at))
    }

    /// The next connection to another node that has something to send.
    pub fn poll_dirty(&mut self) -> Option<LinkConn> {
        self.agent.poll_dirty()
    }

    /// Bytes to send over a connection ([`Agent::outgoing`]).
    pub fn outgoing<'a>(&'a self, conn: LinkConn, out: &mut [&'a [u8]]) -> usize {
        self.agent.outgoing(conn, out)
    }

    /// The first `n` bytes of them have been sent ([`Agent::sent`]).
    pub fn sent(&mut self, now: Now, conn: LinkConn, n: usize) {
        self.now = now;
        self.agent.sent(now, conn, n);
    }

    /// A batch that a worker has read is filled again.
    pub fn reuse(&mut self, mail: NodeMail) {
        self.exchange.reuse(mail);
    }

    /// The agent: who this node is, and how the others stand.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The exchange: what the workers call other nodes, and whether all is known of them.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// This node's role.
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// What one says is told to the others; whether there was anything.
    fn settle(&mut self) -> bool {
        let mut any = self.settle_role();
        while let Some(output) = self.agent.poll_output() {
            any = true;
            if let agent::Output::Above(event) = &output {
                self.exchange.on_event(event);
                if let Some(input) = of_roles(event) {
                    self.roles.handle(self.now, input);
                }
                self.is_stirred = true;
            }
            self.outputs.extend(kept(output).map(Output::Agent));
        }
        if !std::mem::take(&mut self.is_stirred) {
            return any;
        }
        self.has_more = self.exchange.end_turn();
        while let Some(output) = self.exchange.poll_output() {
            any = true;
            match output {
                exchange::Output::Send { to, kind, body } => {
                    let sent = self.agent.send(self.now, &to, kind, self.exchange.body(body));
                    if let Err(why) = sent {
                        self.exchange.on_not_sent(&to, kind, body, why);
                        self.is_stirred = true;
                    }
                }
                exchange::Output::Anew { node, fault } => {
                    self.agent.handle(self.now, agent::Input::Anew { node: &node, fault });
                }
                exchange::Output::Mail { worker, mail } => {
                    self.outputs.push_back(Output::Mail { worker, mail });
                }
            }
        }
        any
    }
}

impl Member {
    /// What has become of the role is told to others; whether that was anything.
    fn settle_role(&mut self) -> bool {
        let mut any = false;
        while let Some(output) = self.roles.poll_output() {
            any = true;
            if let roles::Output::Become(role) = output {
                self.agent.handle(self.now, agent::Input::Role(role));
            }
            self.outputs.push_back(Output::Role(output));
        }
        let is_leaving = self.roles.is_leaving();
        if std::mem::replace(&mut self.is_leaving, is_leaving) != is_leaving {
            any = true;
            self.agent.handle(self.now, agent::Input::Draining(is_leaving));
        }
        any
    }
}

/// What the roles have to know of it.
fn of_roles<'a>(event: &'a Event<'_>) -> Option<roles::Input<'a>> {
    match event {
        Event::Says { node, role, is_draining, .. } => {
            Some(roles::Input::Seen(node, Other { role: *role, is_draining: *is_draining }))
        }
        Event::PeerDown { node, .. } => Some(roles::Input::Gone(&node.name)),
        _ => None,
    }
}

/// What is told further: frames are not.
fn kept(output: agent::Output<'_>) -> Option<agent::Output<'static>> {
    let event = match output {
        agent::Output::Driver(request) => return Some(agent::Output::Driver(request)),
        agent::Output::Above(event) => event,
    };
    Some(agent::Output::Above(match event {
        Event::Frame { .. } => return None,
        Event::NewLife(own) => Event::NewLife(own),
        Event::Fresh { peer, version } => Event::Fresh { peer, version },
        Event::PeerUp(node) => Event::PeerUp(node),
        Event::PeerDown { node, why } => Event::PeerDown { node, why },
        Event::Congested { node, is_congested } => Event::Congested { node, is_congested },
        Event::Says { node, role, is_draining, is_ailing } => {
            Event::Says { node, role, is_draining, is_ailing }
        }
    }))
}
