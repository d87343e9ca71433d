//! Stream management: the counters and the queue of one session (XEP-0198).
//!
//! Inbound, `h` counts stanzas that are *settled*, not merely received: a sender may forget what we acknowledge
//! (docs/ARCHITECTURE.md, "acked means safe"). Outbound, what the client has not acknowledged stays in one byte
//! queue, from which a resumed stream is fed.

use smol_str::SmolStr;

use crate::base::{ByteQueue, Fifo, HashKey, MsgId, Span};
use crate::effect::{FlightId, Pools, SessionState, Unacked, Unsettled};

/// The state of stream management of one session.
#[derive(Debug)]
pub struct Sm {
    /// What the client presents to resume (XEP-0198 §5); empty if the session cannot be resumed.
    pub id: SmolStr,
    /// How long the session waits for its client.
    pub max: Span,
    /// Names the messages received: what the client sends again has the same name again.
    key: HashKey,
    /// Stanzas received since `<enable/>`, modulo 2^32.
    received: u32,
    window: Fifo<Unsettled>,
    window_bytes: u32,
    /// The client asked when this many had been received, and `h` has not reached that yet.
    owed: Option<u32>,
    /// Stanzas that the client acknowledged, modulo 2^32.
    acked: u32,
    queue: ByteQueue,
    entries: Fifo<Unacked>,
    requested: bool,
}

/// The client acknowledged more than it was sent (XEP-0198 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client acknowledged {h} stanzas, but was sent {sent}")]
pub struct TooHigh {
    /// What it acknowledged.
    pub h: u32,
    /// What it was sent.
    pub sent: u32,
}

impl Sm {
    /// A session that has just enabled stream management. `id` is empty if it cannot be resumed; `key` comes from it.
    pub fn new(id: SmolStr, max: Span, key: HashKey) -> Self {
        Sm {
            id,
            max,
            key,
            received: 0,
            window: Fifo::new(),
            window_bytes: 0,
            owed: None,
            acked: 0,
            queue: ByteQueue::default(),
            entries: Fifo::new(),
            requested: false,
        }
    }

    /// The same session, as it goes on after another node had it: see [`SessionState`].
    pub fn moved(state: &SessionState) -> Self {
        let sm = Sm::new(state.id.as_str().into(), state.max, state.key);
        Sm { received: state.received, acked: state.acked, ..sm }
    }

    /// What names the messages received.
    pub fn key(&self) -> HashKey {
        self.key
    }

    /// How many stanzas the client has acknowledged, and how many it was sent, or is to be, both modulo 2^32.
    pub fn sent(&self) -> (u32, u32) {
        (self.acked, self.acked.wrapping_add(self.entries.len() as u32))
    }

    /// Whether the client may resume this session on another stream.
    pub fn can_resume(&self) -> bool {
        !self.id.is_empty()
    }

    // ---- from the client ----

    /// A stanza of so many bytes arrived; returns its number. It is unsettled until [`Sm::settle`] says so.
    pub fn receive(&mut self, pools: &mut Pools, bytes: u32) -> u32 {
        self.received = self.received.wrapping_add(1);
        self.window.push_back(&mut pools.unsettled, Unsettled { settled: false, bytes });
        self.window_bytes = self.window_bytes.saturating_add(bytes);
        self.received
    }

    /// The identity of the message with this number and these bytes.
    pub fn message_id(&self, seq: u32, stanza: &[u8]) -> MsgId {
        MsgId(self.key.hash128(&[&seq.to_le_bytes(), stanza]))
    }

    /// The stanza of this number is settled. Settling one twice, or one of long ago, changes nothing. Returns
    /// whether `h` rose.
    pub fn settle(&mut self, pools: &mut Pools, seq: u32) -> bool {
        let index = seq.wrapping_sub(self.h()).wrapping_sub(1) as usize;
        let Some(slot) = self.window.get_mut(index) else { return false };
        slot.settled = true;
        if index != 0 {
            return false;
        }
        while let Some(slot) = self.window.pop_front_if(&mut pools.unsettled, |s| s.settled) {
            self.window_bytes -= slot.bytes;
        }
        true
    }

    /// How many stanzas are settled, none missing before them: what `<a h='…'/>` says.
    pub fn h(&self) -> u32 {
        self.received.wrapping_sub(self.window.len() as u32)
    }

    /// Stanzas, and their bytes, that are received and not acknowledged yet.
    pub fn unsettled(&self) -> (u32, u32) {
        (self.window.len() as u32, self.window_bytes)
    }

    /// The client asks for `h` (`<r/>`). If not everything is settled, [`Sm::owes_ack`] will say when `h` rises.
    pub fn asked(&mut self) -> u32 {
        let h = self.h();
        self.owed = (h != self.received).then_some(self.received);
        h
    }

    /// Whether an `<a/>` is due because `h` rose after the client asked; clears the debt once it is paid in full.
    pub fn owes_ack(&mut self) -> Option<u32> {
        let target = self.owed?;
        let h = self.h();
        // Reached when no stanza up to `target` is in the window any more.
        if target.wrapping_sub(h) as i32 <= 0 {
            self.owed = None;
        }
        Some(h)
    }

    // ---- to the client ----

    /// A stanza was sent, or would have been if there were a stream.
    pub fn push(&mut self, pools: &mut Pools, stanza: &[u8], flight: Option<FlightId>) {
        self.queue.push(&mut pools.chunks, stanza);
        self.entries.push_back(&mut pools.unacked, Unacked { len: stanza.len() as u32, flight });
    }

    /// Stanzas, and their bytes, that the client has not acknowledged.
    pub fn unacked(&self) -> (usize, usize) {
        (self.entries.len(), self.queue.len())
    }

    /// Whether an `<r/>` should follow what was just written: there is something to ask for, and no question is
    /// open. Saying yes opens one.
    pub fn should_request(&mut self) -> bool {
        let ask = !self.requested && !self.entries.is_empty();
        self.requested |= ask;
        ask
    }

    /// The client acknowledged `h` stanzas; each that is thereby acknowledged is given to `each`.
    ///
    /// # Errors
    /// [`TooHigh`] if it never was sent so many; nothing has changed then.
    pub fn acknowledge(
        &mut self,
        pools: &mut Pools,
        h: u32,
        mut each: impl FnMut(Unacked),
    ) -> Result<(), TooHigh> {
        let n = h.wrapping_sub(self.acked);
        let sent = self.acked.wrapping_add(self.entries.len() as u32);
        if n as usize > self.entries.len() {
            // An old `h` is a repeat, not a fault: it lies behind by less than half the circle.
            return if (n as i32) < 0 { Ok(()) } else { Err(TooHigh { h, sent }) };
        }
        for _ in 0..n {
            if let Some(entry) = self.entries.pop_front(&mut pools.unacked) {
                self.queue.consume(&mut pools.chunks, entry.len as usize);
                each(entry);
            }
        }
        self.acked = h;
        self.requested = false;
        Ok(())
    }

    /// Everything unacknowledged, oldest first, is copied to `out`: for a stream that resumes the session.
    pub fn resend(&mut self, out: &mut Vec<u8>) {
        self.queue.copy_to(0, self.queue.len(), out);
        self.requested = false;
    }

    /// What the client has not acknowledged, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = Unacked> + '_ {
        self.entries.iter().copied()
    }

    /// The bytes of the stanza at `index` of [`Sm::entries`], appended to `out`.
    pub fn copy(&self, index: usize, out: &mut Vec<u8>) {
        let before: usize = self.entries.iter().take(index).map(|e| e.len as usize).sum();
        if let Some(entry) = self.entries.get(index) {
            self.queue.copy_to(before, entry.len as usize, out);
        }
    }

    /// The end of the session: the oldest unacknowledged stanza, its bytes in `out`; `None` when there is no more.
    pub fn pop(&mut self, pools: &mut Pools, out: &mut Vec<u8>) -> Option<Unacked> {
        let entry = self.entries.pop_front(&mut pools.unacked)?;
        out.clear();
        self.queue.copy_to(0, entry.len as usize, out);
        self.queue.consume(&mut pools.chunks, entry.len as usize);
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sm() -> Sm {
        Sm::new("id".into(), Span::secs(60), HashKey { k0: 1, k1: 2 })
    }

    #[test]
    fn h_covers_only_what_is_settled_without_a_gap() {
        let (mut pools, mut sm) = (Pools::new(), sm());
        let (a, b, c) = (sm.receive(&mut pools, 10), sm.receive(&mut pools, 10), sm.receive(&mut pools, 10));
        assert_eq!((a, b, c), (1, 2, 3));
        assert!(!sm.settle(&mut pools, b));
        assert_eq!(sm.h(), 0);
        assert!(sm.settle(&mut pools, a));
        assert_eq!(sm.h(), 2);
        assert_eq!(sm.unsettled(), (1, 10));
        assert!(!sm.settle(&mut pools, a), "settling again changes nothing");
        assert!(sm.settle(&mut pools, c));
        assert_eq!((sm.h(), sm.unsettled()), (3, (0, 0)));
    }

    #[test]
    fn an_ack_follows_when_h_rises_after_a_request() {
        let (mut pools, mut sm) = (Pools::new(), sm());
        let (a, b) = (sm.receive(&mut pools, 1), sm.receive(&mut pools, 1));
        assert_eq!(sm.asked(), 0);
        let c = sm.receive(&mut pools, 1);
        sm.settle(&mut pools, a);
        assert_eq!(sm.owes_ack(), Some(1), "h rose, and more is owed");
        sm.settle(&mut pools, b);
        assert_eq!(sm.owes_ack(), Some(2), "the debt is paid");
        sm.settle(&mut pools, c);
        assert_eq!(sm.owes_ack(), None, "nobody asked for this one");
    }

    #[test]
    fn h_wraps_at_2_to_the_32() {
        let (mut pools, mut sm) = (Pools::new(), sm());
        sm.received = u32::MAX;
        let a = sm.receive(&mut pools, 1);
        assert_eq!((a, sm.h()), (0, u32::MAX));
        sm.settle(&mut pools, a);
        assert_eq!(sm.h(), 0);

        sm.acked = u32::MAX;
        sm.push(&mut pools, b"<a/>", None);
        sm.push(&mut pools, b"<b/>", None);
        sm.acknowledge(&mut pools, 1, |_| {}).unwrap();
        assert_eq!(sm.unacked(), (0, 0));
    }

    #[test]
    fn acks_beyond_what_was_sent_are_refused_and_old_ones_ignored() {
        let mut pools = Pools::new();
        let mut sm = sm();
        for s in [b"<a/>", b"<b/>", b"<c/>"] {
            sm.push(&mut pools, s, None);
        }
        assert_eq!(sm.acknowledge(&mut pools, 4, |_| {}), Err(TooHigh { h: 4, sent: 3 }));
        assert_eq!(sm.unacked(), (3, 12));
        let mut seen = 0;
        sm.acknowledge(&mut pools, 2, |_| seen += 1).unwrap();
        assert_eq!((seen, sm.unacked()), (2, (1, 4)));
        sm.acknowledge(&mut pools, 1, |_| seen += 1).unwrap();
        assert_eq!((seen, sm.unacked()), (2, (1, 4)));
        let mut out = Vec::new();
        sm.resend(&mut out);
        assert_eq!(out, b"<c/>");
    }

    #[test]
    fn one_request_is_open_at_a_time() {
        let mut pools = Pools::new();
        let mut sm = sm();
        assert!(!sm.should_request());
        sm.push(&mut pools, b"<a/>", None);
        assert!(sm.should_request());
        sm.push(&mut pools, b"<b/>", None);
        assert!(!sm.should_request());
        sm.acknowledge(&mut pools, 1, |_| {}).unwrap();
        assert!(sm.should_request(), "one is left to ask for");
    }
}
