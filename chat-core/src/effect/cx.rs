//! What every rule may use while an input is handled.

use std::collections::VecDeque;
use std::sync::Arc;

use super::counts::Counts;
use super::wait::{Request, Wait};
use super::{
    AccountOp, Batch, Copy, Elsewhere, Envelope, Event, Mail, NodeMail, NodeTold, Outcome, Output,
    ResourceId, Settings, SettleTo, StoreOp, Wires,
};
use crate::base::{
    ConnId, Lanes, MsgId, NodeId, Now, Pending, RequestId, Rng, Span, Throttle, Timers, UserId, WorkerId,
};
use crate::jid::BareJid;

/// Whose deadline a timer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// A connection's: negotiation, idleness, closing, a pause of reading.
    Conn(ConnId),
    /// A user's: messages to spool, detached sessions, forgetting.
    User(UserId),
    /// Other nodes': what is done a little at a time when they come and go.
    Cluster,
}

/// How often a request that is not answered is asked again.
const RETRY: Span = Span::millis(2_500);

/// How soon a store that said it is overloaded is asked again.
const AGAIN: Span = Span::millis(250);

/// Batches for other nodes that are kept to be filled again: as many as turns that the agent is behind.
const NODE_MAIL_KEPT_MAX: usize = 4;

/// The hands of the engine: everything a rule may read or cause, besides the state it is about.
#[derive(Debug)]
pub struct Cx {
    /// The time of the input being handled.
    pub now: Now,
    /// What the engine was told at its start.
    pub settings: Arc<Settings>,
    /// The one source of randomness.
    pub rng: Rng,
    /// The outboxes.
    pub wires: Wires,
    /// Deadlines.
    pub timers: Timers<Deadline>,
    /// What is to be done.
    pub outputs: VecDeque<Output>,
    /// Requests without answer.
    pub pending: Pending<Request>,
    /// Writes into spools among them: a user's messages keep their order, also if the store is overloaded.
    spooling: Lanes<BareJid>,
    /// Mail of this worker to itself, in order; handled before the next input.
    pub local: VecDeque<Mail>,
    /// Mail to other workers, by worker.
    pub batches: Vec<Batch>,
    /// Batches that were read and are empty.
    empty_batches: Vec<Batch>,
    /// What other nodes are told next.
    pub node_mail: NodeMail,
    /// The same, read and empty.
    empty_node_mail: Vec<NodeMail>,
    /// How many nodes have had each number and are gone.
    lives: Vec<u32>,
    /// The sessions on other nodes that are to have a copy of the message at hand (XEP-0280), if it is worth one: whoever makes
    /// copies fills them in.
    pub copies: Vec<Copy>,
    /// What users' sessions on other nodes are to have, too; sent when the input has been dealt with.
    pub elsewhere: VecDeque<Elsewhere>,
    /// Elements that extensions add to the stream features after authentication, written out, for each domain.
    pub stream_features: Vec<Arc<str>>,
    /// Who failed to log in lately.
    pub throttle: Throttle,
    /// What has happened so far.
    pub counts: Counts,
    resources: u64,
    /// The last id that a message was given.
    messages: u128,
    /// Buffers that were used and are empty.
    buffers: Vec<Vec<u8>>,
}

/// Buffers that are kept for later, and the bytes that one of them may have room for.
const BUFFERS_MAX: usize = 8;
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// From one id of a message to the next. It is odd, so all come before one comes again, and neighbours differ in their first
/// digits, which logs show.
const MESSAGE_STEP: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

impl Cx {
    /// The hands of a new engine.
    pub fn new(settings: Arc<Settings>, mut rng: Rng) -> Self {
        let resources = rng.next_u64();
        let messages = rng.next_u128();
        let batches = (0..settings.workers).map(|_| Batch::default()).collect();
        Cx {
            now: Now::default(),
            wires: Wires::new(settings.limits.outbox_bytes_max),
            timers: Timers::default(),
            outputs: VecDeque::new(),
            pending: Pending::default(),
            spooling: Lanes::new(rng.hash_key()),
            local: VecDeque::new(),
            batches,
            empty_batches: Vec::new(),
            node_mail: NodeMail::default(),
            empty_node_mail: Vec::new(),
            lives: Vec::new(),
            copies: Vec::new(),
            elsewhere: VecDeque::new(),
            stream_features: Vec::new(),
            throttle: Throttle::new(rng.hash_key()),
            counts: Counts::new(settings.domains.len()),
            rng,
            // Never the same again after a restart: late mail must not reach a resource of another life.
            resources: resources >> 1,
            messages,
            buffers: Vec::new(),
            settings,
        }
    }

    /// A name for a new resource that none has had before.
    pub fn next_resource(&mut self) -> ResourceId {
        self.resources += 1;
        ResourceId(self.resources)
    }

    /// An empty buffer to write something in, to be given back by [`Cx::keep_buffer`]: what is written for each stanza
    /// needs no memory of its own.
    pub fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// A buffer is needed no more. One that grew very large is not kept.
    pub fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        if self.buffers.len() < BUFFERS_MAX && buffer.capacity() <= BUFFER_BYTES_MAX {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// Asks the store; `wait` says what the answer is for.
    pub fn store(&mut self, op: StoreOp, wait: Wait) -> RequestId {
        self.counts.store_requests += 1;
        let op = Arc::new(op);
        let give_up = self.now.mono + self.settings.limits.store_timeout;
        let request = Request { op: Some(op.clone()), give_up, wait };
        let id = self.pending.insert(request, self.now.mono + RETRY);
        if let StoreOp::SpoolPut { user, .. } = &*op
            && self.keeps_order()
            && !self.spooling.enter(user, id)
        {
            self.pending.postpone(id, (self.now.mono + AGAIN).min(give_up));
            return id;
        }
        self.outputs.push_back(Output::Store { id, op });
        id
    }

    /// The store has no room for a request, and has not begun: it is asked again until the time is up. `Err`: it must
    /// not be, because later messages of the same user were taken, or because the time is up.
    pub fn overloaded(&mut self, id: RequestId, request: Request) -> Result<(), Request> {
        let user = request.spools().filter(|_| self.keeps_order());
        if self.now.mono >= request.give_up || user.is_some_and(|user| !self.spooling.refused(user, id)) {
            return Err(request);
        }
        let at = (self.now.mono + AGAIN).min(request.give_up);
        self.pending.put_back(id, request, at);
        Ok(())
    }

    /// Whether writes into one spool keep their order, as they must.
    fn keeps_order(&self) -> bool {
        #[cfg(feature = "sim")]
        return !self.settings.has(super::Plant::Overtake);
        #[cfg(not(feature = "sim"))]
        return true;
    }

    /// A request to the store has its answer, or gets none. Returns the requests that must not be asked again, because
    /// what came after them was carried out.
    pub fn answered(
        &mut self,
        id: RequestId,
        request: &Request,
        carried_out: bool,
    ) -> Vec<(RequestId, Request)> {
        let Some(user) = request.spools() else { return Vec::new() };
        let left = self.spooling.leave(user, id, carried_out);
        for id in left.released {
            self.pending.postpone(id, self.now.mono);
        }
        left.overtaken.into_iter().filter_map(|id| Some((id, self.pending.take(id)?))).collect()
    }

    /// Asks the authenticator; `wait` says what the answer is for. Not repeated: whoever waits has a deadline of
    /// its own, and the engine forgets the question after the store's timeout.
    pub fn account(&mut self, op: AccountOp, wait: Wait) -> RequestId {
        self.counts.account_requests += 1;
        let give_up = self.now.mono + self.settings.limits.negotiation_timeout;
        let id = self.pending.insert(Request { op: None, give_up, wait }, give_up);
        self.outputs.push_back(Output::Account { id, op: Box::new(op) });
        id
    }

    /// A request whose time has come is asked again, or given up: then `Some` says who waited.
    pub fn retry(&mut self) -> Option<(RequestId, Request)> {
        while let Some((id, request)) = self.pending.expired(self.now.mono) {
            if self.now.mono >= request.give_up {
                return Some((id, request));
            }
            if request.spools().is_some_and(|user| !self.spooling.may_ask(user, id)) {
                let at = (self.now.mono + AGAIN).min(request.give_up);
                self.pending.put_back(id, request, at);
                continue;
            }
            self.ask_again(id, request, RETRY);
        }
        None
    }

    /// Asks the same again under the same id, and once more after `again`.
    pub fn ask_again(&mut self, id: RequestId, request: Request, again: Span) {
        if let Some(op) = &request.op {
            self.outputs.push_back(Output::Store { id, op: op.clone() });
        }
        let at = (self.now.mono + again).min(request.give_up);
        self.pending.put_back(id, request, at);
    }

    /// Tells the embedder.
    pub fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(Box::new(event)));
    }

    /// Sends a stanza to the home of its recipient.
    pub fn post(&mut self, envelope: Envelope) {
        let home = self.settings.home(envelope.to.bare().as_str());
        if home == self.settings.worker {
            return self.local.push_back(Mail::Stanza(Box::new(envelope)));
        }
        self.batch(home).put(envelope.posted());
    }

    /// Tells a sender that its message is settled.
    pub fn settled(&mut self, settle: Option<SettleTo>) {
        let Some(settle) = settle else { return };
        match settle {
            SettleTo::Client { worker, .. } if worker == self.settings.worker => {
                self.local.push_back(Mail::Settled(settle));
            }
            SettleTo::Client { worker, .. } => self.batch(worker).put_settled(settle),
            SettleTo::Node { .. } => self.answer(Some(settle), Outcome::Settled),
        }
    }

    /// Tells a node what became of what it sent, if it is that node that waits, and is there still.
    pub fn answer(&mut self, settle: Option<SettleTo>, outcome: Outcome) {
        let Some(SettleTo::Node { node, life, envelope }) = settle else { return };
        if self.life(node) == life {
            self.node_mail.put(&NodeTold::Result { node, envelope, outcome });
        }
    }

    /// A fresh id, for a message that its sender cannot repeat. No two engines ever give the same: where each begins is
    /// random.
    pub fn message_id(&mut self) -> MsgId {
        self.messages = self.messages.wrapping_add(MESSAGE_STEP);
        MsgId(self.messages)
    }

    /// Whether there may be other nodes.
    pub fn is_clustered(&self) -> bool {
        self.settings.cluster.is_some()
    }

    /// Sends something to a user's sessions on other nodes, if there may be such.
    pub fn send_elsewhere(&mut self, elsewhere: Elsewhere) {
        if self.is_clustered() {
            self.elsewhere.push_back(elsewhere);
        }
    }

    /// The how-manieth to have this number a node is, or would be.
    pub fn life(&self, node: NodeId) -> u32 {
        self.lives.get(usize::from(node.0)).copied().unwrap_or_default()
    }

    /// A node is gone: who has its number next is another.
    pub fn end_life(&mut self, node: NodeId) {
        let index = usize::from(node.0);
        if self.lives.len() <= index {
            self.lives.resize(index + 1, 0);
        }
        self.lives[index] = self.lives[index].wrapping_add(1);
    }

    /// What goes to another worker next.
    pub fn batch(&mut self, worker: WorkerId) -> &mut Batch {
        &mut self.batches[usize::from(worker.0)]
    }

    /// Takes the next batch for another worker, if there is something to tell one.
    pub fn pop_batch(&mut self) -> Option<(WorkerId, Batch)> {
        let worker = self.batches.iter().position(|batch| !batch.is_empty())?;
        let empty = self.empty_batches.pop().unwrap_or_default();
        Some((WorkerId(worker as u16), std::mem::replace(&mut self.batches[worker], empty)))
    }

    /// A batch that has been read is used again.
    pub fn keep_batch(&mut self, mut batch: Batch) {
        if self.empty_batches.len() < self.batches.len() {
            batch.clear();
            self.empty_batches.push(batch);
        }
    }

    /// Takes what is to be told to other nodes, if there is something.
    pub fn pop_node_mail(&mut self) -> Option<NodeMail> {
        if self.node_mail.is_empty() {
            return None;
        }
        let empty = self.empty_node_mail.pop().unwrap_or_default();
        Some(std::mem::replace(&mut self.node_mail, empty))
    }

    /// One that has been read is used again.
    pub fn keep_node_mail(&mut self, mut mail: NodeMail) {
        if self.empty_node_mail.len() < NODE_MAIL_KEPT_MAX {
            mail.clear();
            self.empty_node_mail.push(mail);
        }
    }

    /// Whether nothing about this user is ever stored.
    pub fn is_ephemeral(&self, user: &BareJid) -> bool {
        self.settings.domain(user.domain()).is_none_or(|d| d.ephemeral)
    }
}
