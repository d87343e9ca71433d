//! Messages that were given to resources with stream management and that no client has acknowledged yet.
//!
//! One flight is one message, however many resources got a copy. It ends when the last copy is gone. It is settled
//! for its sender by the first client's ack, or by a committed row of the spool, whichever comes first.

use std::collections::VecDeque;

use crate::base::{Key, Mono, MsgId, Slots, Span, Utc};
use crate::effect::SettleTo;

/// What the spool knows of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpoolState {
    /// Nothing.
    Absent,
    /// A row is being written.
    Writing,
    /// There is a row.
    Written,
    /// A row could not be written, and the sender was told so.
    Refused,
}

/// A message on its way to a user's clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight {
    /// Its identity.
    pub id: MsgId,
    /// When the server received it.
    pub at: Utc,
    /// Who waits for it to be settled.
    pub settle: Option<SettleTo>,
    /// How many resources have a copy unacknowledged.
    pub copies: u16,
    /// A client has acknowledged it.
    pub acked: bool,
    /// A client without stream management was sent it: it is not lost if nobody acknowledges it.
    pub had: bool,
    /// What the spool knows of it.
    pub spool: SpoolState,
}

impl Flight {
    /// Nobody has acknowledged it, and there is no row of it.
    fn awaits_row(&self) -> bool {
        !self.acked && self.spool == SpoolState::Absent
    }
}

/// All flights of a user.
#[derive(Debug, Default)]
pub struct Flights {
    slots: Slots<Flight>,
    /// Those that somebody waits for, in the order of their arrival.
    due: VecDeque<(Mono, Key)>,
}

impl Flights {
    /// A message was given to `copies` resources.
    pub fn insert(&mut self, flight: Flight, now: Mono, spool_after: Span) -> Key {
        let waits = flight.settle.is_some() && flight.spool == SpoolState::Absent;
        let key = self.slots.insert(flight);
        if waits {
            self.due.push_back((now + spool_after, key));
        }
        key
    }

    /// A flight.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Flight> {
        self.slots.get_mut(key)
    }

    /// The flight of this message, if it is on its way.
    pub fn find(&mut self, id: MsgId) -> Option<(Key, &mut Flight)> {
        self.slots.iter_mut().find(|(_, f)| f.id == id)
    }

    /// One copy less; the flight as it is now, and gone if that was the last.
    pub fn drop_copy(&mut self, key: Key) -> Option<Flight> {
        let flight = self.slots.get_mut(key)?;
        flight.copies = flight.copies.saturating_sub(1);
        let now = *flight;
        // While a row is being written, somebody must remember whether it is still wanted.
        if now.copies == 0 && !(now.acked && now.spool == SpoolState::Writing) {
            self.slots.remove(key);
        }
        self.prune();
        Some(now)
    }

    /// Nobody waits any more for those at the front of the queue: it stays as short as what is on its way.
    fn prune(&mut self) {
        while let Some((_, key)) = self.due.front()
            && self.slots.get(*key).is_none_or(|f| !f.awaits_row())
        {
            self.due.pop_front();
        }
    }

    /// The next flight that has waited too long without an ack; its row is to be written. It is marked so.
    pub fn pop_due(&mut self, now: Mono) -> Option<(Key, Flight)> {
        self.prune();
        let (_, key) = self.due.pop_front_if(|(at, _)| *at <= now)?;
        let flight = self.slots.get_mut(key)?;
        flight.spool = SpoolState::Writing;
        Some((key, *flight))
    }

    /// When [`Flights::pop_due`] may have something next.
    pub fn next_due(&self) -> Option<Mono> {
        self.due.front().map(|d| d.0)
    }

    /// The end of a flight whose last copy was acknowledged while its row was being written.
    pub fn remove(&mut self, key: Key) {
        self.slots.remove(key);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}
