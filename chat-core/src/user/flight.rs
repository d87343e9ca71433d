//! Messages that were given to resources with stream management and that no client has acknowledged yet.
//!
//! One flight is one message, however many resources got a copy; another node that it was sent to counts as one. It ends
//! when the last copy is gone. It is settled
//! for its sender by the first client's ack, or by a committed row of the spool, whichever comes first.

use std::num::NonZeroU64;

use crate::base::{ConnId, Fifo, Fifos, Mono, MsgId, Span, Utc};
use crate::effect::{FlightId, SettleTo};

/// What the spool knows of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpoolState {
    /// Nothing.
    Absent,
    /// A row is being written.
    Writing,
    /// There is a row.
    Written,
    /// There may be a row, on which nobody counts: it could not be written, and the sender was told so; or the message came
    /// with a session from another node, and a third one answers for it.
    Refused,
    /// It is none of its business: the node that the message came from sees to that.
    Elsewhere,
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
    /// How many resources, and other nodes, have a copy unacknowledged.
    pub copies: u16,
    /// A client has acknowledged it.
    pub acked: bool,
    /// A client without stream management was sent it: it is not lost if nobody acknowledges it.
    pub had: bool,
    /// A session had it that ended without acknowledging it: whoever gets it next is told that it may be late.
    pub tried: bool,
    /// What the spool knows of it.
    pub spool: SpoolState,
}

impl Flight {
    /// Nobody has acknowledged it, and there is no row of it.
    fn awaits_row(&self) -> bool {
        !self.acked && self.spool == SpoolState::Absent
    }
}

/// A promise to a client without stream management that somebody waits for: when it becomes a row of the spool, on which
/// connection it is, and which message.
pub type Promised = (Mono, ConnId, MsgId);

/// The memory for what is on its way to users, shared by all users of an engine: a user at rest owns none.
#[derive(Debug, Default)]
pub struct UserPools {
    flights: Fifos<Option<Flight>>,
    due: Fifos<(Mono, FlightId)>,
    /// For [`User::promised`](super::User::promised).
    pub promised: Fifos<Promised>,
}

/// All flights of a user.
#[derive(Debug)]
pub struct Flights {
    /// Those on their way, by their numbers; `None` for one that has ended while an older one has not.
    list: Fifo<Option<Flight>>,
    /// The number of the first in the list, or of the next if there is none.
    first: NonZeroU64,
    /// Those that somebody waits for, in the order of their arrival.
    due: Fifo<(Mono, FlightId)>,
}

impl Default for Flights {
    fn default() -> Self {
        Flights { list: Fifo::new(), first: NonZeroU64::MIN, due: Fifo::new() }
    }
}

impl Flights {
    /// A message was given to `copies` resources.
    pub fn insert(
        &mut self,
        pools: &mut UserPools,
        flight: Flight,
        now: Mono,
        spool_after: Span,
    ) -> FlightId {
        let id = FlightId(self.first.saturating_add(self.list.len() as u64));
        let waits = flight.settle.is_some() && flight.spool == SpoolState::Absent;
        self.list.push_back(&mut pools.flights, Some(flight));
        if waits {
            self.due.push_back(&mut pools.due, (now + spool_after, id));
        }
        id
    }

    fn index(&self, id: FlightId) -> Option<usize> {
        id.0.get().checked_sub(self.first.get()).map(|index| index as usize)
    }

    fn get(&self, id: FlightId) -> Option<&Flight> {
        self.list.get(self.index(id)?)?.as_ref()
    }

    /// A flight.
    pub fn get_mut(&mut self, id: FlightId) -> Option<&mut Flight> {
        self.list.get_mut(self.index(id)?)?.as_mut()
    }

    /// The flight of this message, if it is on its way.
    pub fn find(&mut self, id: MsgId) -> Option<(FlightId, &mut Flight)> {
        let numbers = (self.first.get()..).filter_map(NonZeroU64::new).map(FlightId);
        let flights = numbers.zip(self.list.iter_mut()).filter_map(|(n, flight)| Some((n, flight.as_mut()?)));
        flights.into_iter().find(|(_, flight)| flight.id == id)
    }

    /// One copy less; the flight as it is now, and gone if that was the last.
    pub fn drop_copy(&mut self, pools: &mut UserPools, id: FlightId) -> Option<Flight> {
        let flight = self.get_mut(id)?;
        flight.copies = flight.copies.saturating_sub(1);
        let now = *flight;
        // While a row is being written, somebody must remember whether it is still wanted.
        if now.copies == 0 && !(now.acked && now.spool == SpoolState::Writing) {
            self.remove(pools, id);
        }
        self.prune(pools);
        Some(now)
    }

    /// Nobody waits any more for those at the front of the queue: it stays as short as what is on its way.
    fn prune(&mut self, pools: &mut UserPools) {
        while let Some((_, id)) = self.due.front()
            && self.get(*id).is_none_or(|f| !f.awaits_row())
        {
            self.due.pop_front(&mut pools.due);
        }
    }

    /// The next flight that has waited too long without an ack; its row is to be written. It is marked so.
    pub fn pop_due(&mut self, pools: &mut UserPools, now: Mono) -> Option<(FlightId, Flight)> {
        self.prune(pools);
        let (_, id) = self.due.pop_front_if(&mut pools.due, |(at, _)| *at <= now)?;
        let flight = self.get_mut(id)?;
        flight.spool = SpoolState::Writing;
        Some((id, *flight))
    }

    /// When [`Flights::pop_due`] may have something next.
    pub fn next_due(&self) -> Option<Mono> {
        self.due.front().map(|d| d.0)
    }

    /// The end of a flight: also of one whose last copy was acknowledged while its row was being written.
    pub fn remove(&mut self, pools: &mut UserPools, id: FlightId) {
        if let Some(index) = self.index(id)
            && let Some(flight) = self.list.get_mut(index)
        {
            *flight = None;
        }
        while self.list.pop_front_if(&mut pools.flights, |flight| flight.is_none()).is_some() {
            self.first = self.first.saturating_add(1);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
