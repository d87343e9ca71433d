//! Virtual time: what happens when, ties in the order they were asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{ConnId, Mono, RequestId};
use crate::effect::{AccountResult, StoreOp, StoreResult};
use crate::sim::fabric::Between;
use crate::sim::plan::Harm;

/// Something that happens at a time.
#[derive(Debug)]
pub(super) enum Event {
    /// Bytes of a client reach the server.
    Up(ConnId),
    /// Bytes of the server reach the client.
    Down(ConnId),
    /// The end of a connection reaches the server.
    ServerEof(ConnId),
    /// The end of a connection reaches its client.
    ClientEof(usize, u64),
    /// A connection of a client reaches the server.
    Accept(ConnId),
    /// A server's next deadline, if it still is that.
    Tick(usize, Mono),
    /// The driver takes a server's outputs.
    Drain(usize),
    /// The handshake of STARTTLS is done.
    Secured(ConnId),
    /// The store carries out an operation.
    Execute { server: usize, life: u32, id: RequestId, op: Arc<StoreOp>, answer: bool },
    /// The store answers.
    Stored { server: usize, life: u32, id: RequestId, result: StoreResult },
    /// The authenticator answers.
    Account { server: usize, life: u32, id: RequestId, result: AccountResult },
    /// A client does something of its own accord.
    Act(usize),
    /// A client connects, if it is to and has not.
    Connect(usize),
    /// A client looks whether its connection is alive.
    Look(usize),
    /// A client that goes from node to node moves on.
    Roam(usize),
    /// A server dies.
    Crash(usize),
    /// A server is told to stop.
    Shutdown(usize),
    /// A drain of a server has had its time.
    Emptied(usize, u32),
    /// A server starts, if it does not run.
    Start(usize),
    /// A worker of a server stops getting mail, or gets it again.
    Hold(usize, u16, bool),
    /// The civil clock of a server jumps by so many milliseconds.
    Jump(usize, i64),
    /// Something goes wrong with the nodes or between them.
    Harm(Harm),
    /// Something happens between the nodes.
    Fabric(Between),
    /// Everything heals.
    Heal,
    /// In the silence everybody says one thing, and somebody dies of it.
    Night,
    /// Nobody does anything more.
    Settle,
    /// What everybody sees of the others must be true. All clients say how they are for the last time.
    Quiet,
    /// Everything must be in order.
    End,
}

/// Events in the order of their time.
#[derive(Default)]
pub(super) struct Events {
    queue: BTreeMap<(Mono, u64), Event>,
    given: u64,
}

impl Events {
    /// Something will happen.
    pub(super) fn at(&mut self, at: Mono, event: Event) {
        self.given += 1;
        self.queue.insert((at, self.given), event);
    }

    /// What happens next.
    pub(super) fn pop(&mut self) -> Option<(Mono, Event)> {
        self.queue.pop_first().map(|((at, _), event)| (at, event))
    }
}
