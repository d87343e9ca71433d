//! Virtual time: what happens when, ties in the order they were asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{ConnId, Mono, RequestId};
use crate::effect::{AccountResult, StoreOp, StoreResult};

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
    /// The node's next deadline, if it still is that.
    Tick(Mono),
    /// The driver takes the node's outputs.
    Drain,
    /// The handshake of STARTTLS is done.
    Secured(ConnId),
    /// The store carries out an operation.
    Execute { life: u32, id: RequestId, op: Arc<StoreOp>, answer: bool },
    /// The store answers.
    Stored { life: u32, id: RequestId, result: StoreResult },
    /// The authenticator answers.
    Account { life: u32, id: RequestId, result: AccountResult },
    /// A client does something of its own accord.
    Act(usize),
    /// A client connects, if it is to and has not.
    Connect(usize),
    /// A client looks whether its connection is alive.
    Look(usize),
    /// The server dies.
    Crash,
    /// The server is told to stop.
    Shutdown,
    /// The server starts again.
    Start,
    /// A worker stops getting mail, or gets it again.
    Hold(u16, bool),
    /// The civil clock jumps by so many milliseconds.
    Jump(i64),
    /// Everything heals.
    Heal,
    /// All clients say how they are for the last time.
    Settle,
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
