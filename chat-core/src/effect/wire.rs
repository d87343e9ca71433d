//! Outgoing bytes: one outbox per connection, its buffers from the engine's pool.

use std::collections::VecDeque;
use std::fmt;

use super::{Output, Pools, SettleTo};
use crate::base::{ByteQueue, ConnId, Fifo, Fifos, MsgId, Pool, Shelves, Utc, WorkerId};
use crate::xml::Sink;

/// What happens to a connection once its outbox is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// TLS begins.
    StartTls,
    /// The connection is closed.
    Close,
    /// The connection moves to another worker.
    HandOver(WorkerId),
}

/// A message whose promise ends when it is written: whoever gets it has no stream management. Then whoever waits is
/// told, and the row of the spool that it came from goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// Its identity.
    pub id: MsgId,
    /// When the server received it.
    pub at: Utc,
    /// Who waits.
    pub settle: Option<SettleTo>,
    /// There is a row of the spool, which goes when this is written.
    pub row: bool,
    /// Other clients got it too: the first that has it ends the promise for all.
    pub shared: bool,
}

/// A promise and where its stanza lies, counted in bytes since the connection began.
#[derive(Debug, Clone, Copy)]
struct Mark {
    start: u64,
    end: u64,
    promise: Promise,
}

/// The outbox of one connection. One line of the processor's caches: with a million of them, none is in any.
#[derive(Debug)]
#[repr(align(64))]
struct Wire {
    /// What is unsent, behind what was sent of a marked stanza that is not wholly sent.
    out: ByteQueue,
    /// Bytes sent since the connection began.
    sent: u64,
    marks: Fifo<Mark>,
    /// Bytes at the front of `out` that are sent already.
    skip: u32,
    generation: u32,
    /// Bytes that it may hold.
    max: u32,
    /// Bytes beyond the limit that it may hold until it is empty.
    extra: u32,
    then: Option<Then>,
    dirty: bool,
    overflow: bool,
    /// The session is to hear of the next attempt to send.
    heeded: bool,
}

impl Wire {
    fn unsent(&self) -> usize {
        self.out.len() - self.skip as usize
    }

    /// The first byte of `out`, counted since the connection began.
    fn base(&self) -> u64 {
        self.sent - u64::from(self.skip)
    }
}

/// For the table of sizes (`engine/sizes.rs`).
#[cfg(test)]
pub(crate) const SIZES: [(&str, usize); 2] =
    [("an outbox", size_of::<Option<Wire>>()), ("a promise in an outbox", size_of::<Mark>())];

/// All outboxes of an engine.
#[derive(Debug)]
pub struct Wires {
    table: Shelves<Option<Wire>>,
    pools: Pools,
    marks: Fifos<Mark>,
    dirty: VecDeque<ConnId>,
    overflowed: Vec<ConnId>,
    bytes_max: u32,
}

/// A sink that appends to one outbox.
#[derive(Debug)]
pub struct WireSink<'a> {
    out: Option<&'a mut ByteQueue>,
    pool: &'a mut Pool,
}

impl Sink for WireSink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(out) = &mut self.out {
            out.push(self.pool, bytes);
        }
    }
}

impl fmt::Write for WireSink<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// The outbox of a connection, if it is open.
fn find(table: &mut Shelves<Option<Wire>>, conn: ConnId) -> Option<&mut Wire> {
    table.get_mut(conn.0.index as usize)?.as_mut().filter(|w| w.generation == conn.0.generation)
}

impl Wires {
    /// No outbox yet; each may hold `bytes_max` bytes unless [`Wires::allow`] says otherwise.
    pub fn new(bytes_max: u32) -> Self {
        Wires {
            table: Shelves::new(),
            pools: Pools::new(),
            marks: Fifos::new(),
            dirty: VecDeque::new(),
            overflowed: Vec::new(),
            bytes_max,
        }
    }

    /// The pool of chunks, for other queues of the same engine.
    pub fn pool(&mut self) -> &mut Pool {
        &mut self.pools.chunks
    }

    /// All pools, likewise.
    pub fn pools(&mut self) -> &mut Pools {
        &mut self.pools
    }

    /// An outbox for a new connection.
    pub fn open(&mut self, conn: ConnId) {
        let index = conn.0.index as usize;
        while self.table.len() <= index {
            self.table.push(None);
        }
        assert!(self.table[index].is_none(), "the driver gave the id {conn:?} to two live connections");
        self.table[index] = Some(Wire {
            out: ByteQueue::default(),
            sent: 0,
            marks: Fifo::new(),
            skip: 0,
            generation: conn.0.generation,
            max: self.bytes_max,
            extra: 0,
            then: None,
            dirty: false,
            overflow: false,
            heeded: false,
        });
    }

    /// How many bytes an outbox may hold from now on.
    pub fn allow(&mut self, conn: ConnId, bytes_max: u32) {
        if let Some(wire) = self.wire_mut(conn) {
            wire.max = bytes_max;
        }
    }

    /// The end of an outbox, with whatever is in it. Returns the promised stanzas that were not wholly written, in
    /// order, each whole.
    pub fn close(&mut self, conn: ConnId) -> Vec<(Promise, Vec<u8>)> {
        let Some(wire) = self.wire_mut(conn) else { return Vec::new() };
        let (marks, base) = (std::mem::take(&mut wire.marks), wire.base());
        let mut out = std::mem::take(&mut wire.out);
        let lost = marks
            .iter()
            .map(|mark| {
                let mut stanza = Vec::new();
                out.copy_to((mark.start - base) as usize, (mark.end - mark.start) as usize, &mut stanza);
                (mark.promise, stanza)
            })
            .collect();
        out.clear(&mut self.pools.chunks);
        self.table[conn.0.index as usize] = None;
        lost
    }

    fn wire(&self, conn: ConnId) -> Option<&Wire> {
        self.table.get(conn.0.index as usize)?.as_ref().filter(|w| w.generation == conn.0.generation)
    }

    fn wire_mut(&mut self, conn: ConnId) -> Option<&mut Wire> {
        find(&mut self.table, conn)
    }

    /// Bytes that wait to be sent.
    pub fn len(&self, conn: ConnId) -> usize {
        self.wire(conn).map_or(0, Wire::unsent)
    }

    /// Writes what was within another limit already: the queue of a session that goes on here (XEP-0198 §5). It does
    /// not count as unread until all of it has been sent.
    pub fn write_beyond(&mut self, conn: ConnId, bytes: &[u8]) {
        if let Some(wire) = self.wire_mut(conn) {
            wire.extra = wire.extra.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        self.write(conn, bytes);
    }

    /// Bytes that wait to be sent, and bytes sent since the connection began.
    pub fn progress(&self, conn: ConnId) -> (usize, u64) {
        self.wire(conn).map_or((0, 0), |w| (w.unsent(), w.sent))
    }

    /// Whether nothing waits to be sent on any connection.
    pub fn is_empty(&self) -> bool {
        self.table.iter().flatten().all(|w| w.unsent() == 0)
    }

    /// A place to write to one connection. Writing to a connection that is gone, or about to close, is allowed and
    /// does nothing.
    pub fn sink(&mut self, conn: ConnId) -> WireSink<'_> {
        let Wires { table, pools, dirty, overflowed, .. } = self;
        let pool = &mut pools.chunks;
        let wire = find(table, conn).filter(|w| w.then.is_none());
        let Some(wire) = wire else { return WireSink { out: None, pool } };
        if !wire.dirty {
            wire.dirty = true;
            dirty.push_back(conn);
        }
        if wire.unsent() > wire.max as usize + wire.extra as usize {
            if !wire.overflow {
                wire.overflow = true;
                overflowed.push(conn);
            }
            return WireSink { out: None, pool };
        }
        WireSink { out: Some(&mut wire.out), pool }
    }

    /// Appends text with numbers in it to an outbox, without a string between.
    pub fn write_fmt(&mut self, conn: ConnId, text: fmt::Arguments<'_>) {
        // A sink takes everything.
        let _ = fmt::Write::write_fmt(&mut self.sink(conn), text);
    }

    /// Appends bytes to an outbox.
    pub fn write(&mut self, conn: ConnId, bytes: &[u8]) {
        self.sink(conn).put(bytes);
    }

    /// Writes a stanza; somebody waits until it has been sent. Returns false, and does nothing, if it cannot be
    /// written.
    pub fn promise(&mut self, conn: ConnId, stanza: &[u8], promise: Promise) -> bool {
        let Some(wire) = self.wire_mut(conn) else { return false };
        let start = wire.base() + wire.out.len() as u64;
        self.write(conn, stanza);
        let Some(wire) = self.wire_mut(conn) else { return false };
        let end = wire.base() + wire.out.len() as u64;
        if end > start {
            let Wires { table, marks, .. } = self;
            if let Some(wire) = &mut table[conn.0.index as usize] {
                wire.marks.push_back(marks, Mark { start, end, promise });
            }
        }
        end > start
    }

    /// Whether a message is promised on this connection and not wholly written.
    pub fn is_promised(&self, conn: ConnId, id: MsgId) -> bool {
        self.wire(conn).is_some_and(|w| w.marks.iter().any(|m| m.promise.id == id))
    }

    /// What is promised on this connection turns out to have a row of the spool as well, which goes when it is written. Says
    /// whether it is promised.
    pub fn has_row(&mut self, conn: ConnId, id: MsgId) -> bool {
        let mark = self.wire_mut(conn).and_then(|w| w.marks.iter_mut().find(|m| m.promise.id == id));
        mark.map(|mark| mark.promise.row = true).is_some()
    }

    /// Who waits for a message from now on, if it is promised on this connection and nobody waited for it there. Says whether it
    /// is promised.
    pub fn entrust(&mut self, conn: ConnId, id: MsgId, settle: Option<SettleTo>) -> bool {
        let mark = self.wire_mut(conn).and_then(|w| w.marks.iter_mut().find(|m| m.promise.id == id));
        mark.map(|mark| mark.promise.settle = mark.promise.settle.or(settle)).is_some()
    }

    /// A promise takes too long: it is from now on that of a row of the spool. Returns who waited, and the stanza;
    /// `None` if it is written or has a row already.
    pub fn to_row(&mut self, conn: ConnId, id: MsgId) -> Option<(Promise, Vec<u8>)> {
        let wire = self.wire_mut(conn)?;
        let base = wire.base();
        let mark = wire.marks.iter_mut().find(|m| m.promise.id == id && !m.promise.row)?;
        let before = mark.promise;
        mark.promise.settle = None;
        mark.promise.row = true;
        let (start, len) = ((mark.start - base) as usize, (mark.end - mark.start) as usize);
        let mut stanza = Vec::new();
        wire.out.copy_to(start, len, &mut stanza);
        Some((before, stanza))
    }

    /// Nothing more is written; when the outbox is empty, this happens. A later wish replaces an earlier one only
    /// if it is to close.
    pub fn then(&mut self, conn: ConnId, then: Then, outputs: &mut VecDeque<Output>) {
        let Some(wire) = self.wire_mut(conn) else { return };
        if wire.then.is_some() && then != Then::Close {
            return;
        }
        wire.then = Some(then);
        self.settle_then(conn, outputs);
    }

    /// Whether the connection is about to close, to begin TLS or to move.
    pub fn is_ending(&self, conn: ConnId) -> bool {
        self.wire(conn).is_none_or(|w| w.then.is_some())
    }

    /// Whether it has no outbox: it was closed, or taken away, or never was.
    pub fn is_closed(&self, conn: ConnId) -> bool {
        self.wire(conn).is_none()
    }

    fn settle_then(&mut self, conn: ConnId, outputs: &mut VecDeque<Output>) {
        let Some(wire) = self.wire_mut(conn) else { return };
        if wire.unsent() > 0 {
            return;
        }
        match wire.then {
            None => {}
            Some(Then::StartTls) => {
                wire.then = None;
                outputs.push_back(Output::StartTls { conn });
            }
            Some(Then::Close) => {
                self.close(conn);
                outputs.push_back(Output::Close { conn });
            }
            Some(Then::HandOver(worker)) => {
                self.close(conn);
                outputs.push_back(Output::HandOver { conn, worker });
            }
        }
    }

    /// Gives up on what is unsent: the connection closes now.
    pub fn abort(&mut self, conn: ConnId, outputs: &mut VecDeque<Output>) -> Vec<(Promise, Vec<u8>)> {
        if self.wire(conn).is_none() {
            return Vec::new();
        }
        outputs.push_back(Output::Close { conn });
        self.close(conn)
    }

    /// The next connection that has something to send; each once per turn.
    pub fn poll_dirty(&mut self) -> Option<ConnId> {
        while let Some(conn) = self.dirty.pop_front() {
            if let Some(wire) = self.wire_mut(conn) {
                wire.dirty = false;
                if wire.unsent() > 0 {
                    return Some(conn);
                }
            }
        }
        None
    }

    /// The unsent bytes of a connection, from the first.
    pub fn outgoing<'a>(&'a self, conn: ConnId, out: &mut [&'a [u8]]) -> usize {
        self.wire(conn).map_or(0, |w| w.out.slices_from(w.skip as usize, out))
    }

    /// The session is to hear of the next attempt to send on this connection.
    pub fn heed(&mut self, conn: ConnId) {
        if let Some(wire) = self.wire_mut(conn) {
            wire.heeded = true;
        }
    }

    /// `n` bytes have been sent. `written` gets the promises that this fulfils. Says whether the session is to hear of it:
    /// something is unsent, or was before, or somebody [wants](Wires::heed) it to. As a rule everything is sent and
    /// nobody needs to look at the session, which is far away in memory.
    pub fn sent(
        &mut self,
        conn: ConnId,
        n: usize,
        outputs: &mut VecDeque<Output>,
        mut written: impl FnMut(Promise),
    ) -> bool {
        let Wires { table, pools, marks, .. } = self;
        let Some(wire) = find(table, conn) else { return false };
        let n = n.min(wire.unsent());
        wire.sent += n as u64;
        wire.skip += n as u32;
        while wire.marks.front().is_some_and(|m| m.end <= wire.sent) {
            if let Some(mark) = wire.marks.pop_front(marks) {
                written(mark.promise);
            }
        }
        // What was sent of a stanza that is promised, and not wholly sent, is kept: it may have to go elsewhere.
        let kept = wire.marks.front().map_or(0, |m| wire.sent.saturating_sub(m.start) as u32);
        wire.out.consume(&mut pools.chunks, (wire.skip - kept) as usize);
        wire.skip = kept;
        let unsent = wire.unsent() > 0;
        if !unsent {
            wire.extra = 0;
        }
        let heeded = std::mem::replace(&mut wire.heeded, unsent);
        if wire.then.is_some() {
            self.settle_then(conn, outputs);
        }
        heeded || unsent
    }

    /// The next connection whose client did not read: its outbox is full.
    pub fn poll_overflow(&mut self) -> Option<ConnId> {
        self.overflowed.pop()
    }
}
