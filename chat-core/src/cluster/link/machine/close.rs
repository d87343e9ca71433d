//! How connections end, and what becomes of the link then.

use super::{Event, Link, LinkOutput, LinkState, Parting};
use crate::base::Mono;
use crate::cluster::link::conn::{LinkConn, Stage};
use crate::cluster::link::stream::Stream;
use crate::cluster::wire::{Bye, Control};

impl Link {
    /// The driver says that a connection is gone, or the other node said its last word.
    pub(super) fn on_closed(&mut self, now: Mono, id: LinkConn, parting: Parting) {
        let Some(i) = self.index(id) else { return };
        let stage = self.conns[i].stage;
        if stage == Stage::Joined {
            return self.lose(now, i, parting, None);
        }
        self.conns.remove(i);
        if matches!(stage, Stage::Asked(_)) {
            self.dial_later(now);
        }
    }

    /// A connection that is in use, or about to be, is good for nothing. Its last word is said if there is one.
    pub(super) fn lose(&mut self, now: Mono, i: usize, parting: Parting, bye: Option<Bye>) {
        let stage = self.conns[i].stage;
        if stage == Stage::Joined {
            self.state.connected = false;
            if now.since(self.state.since) >= self.limits.stable_after {
                self.backoff.reset();
            }
            self.state.since = now;
            self.tell(LinkOutput::Down(parting));
        }
        match bye {
            Some(bye) => self.end(now, i, bye),
            None => drop(self.conns.remove(i)),
        }
        if matches!(stage, Stage::Joined | Stage::Asked(_)) {
            self.dial_later(now);
        }
    }

    /// Says a last word, and closes.
    pub(super) fn end(&mut self, now: Mono, i: usize, bye: Bye) {
        let in_frame = self.conns[i].stage == Stage::Joined && self.stream.out.rest_of_begun() > 0;
        let by = now + self.limits.farewell_timeout;
        self.conns[i].enter(now, Stage::Ending(by), &self.limits);
        if in_frame {
            // Nothing can be said in the middle of a frame.
            self.end_now(i);
        } else {
            self.conns[i].say(Control::Bye(bye));
            self.conns[i].dirty = true;
        }
    }

    pub(super) fn end_now(&mut self, i: usize) {
        let conn = self.conns.remove(i);
        self.tell(LinkOutput::Close(conn.id));
    }

    /// This connection is the one; all others go.
    pub(super) fn drop_others(&mut self, now: Mono, id: LinkConn) {
        let others: Vec<LinkConn> = (self.conns.iter())
            .filter(|c| c.id != id && !matches!(c.stage, Stage::Ending(_)))
            .map(|c| c.id)
            .collect();
        for other in others {
            let i = self.index(other).expect("it was just seen");
            // Others that wait may be meant later than this one: their joins will tell.
            if self.conns[i].stage != Stage::Waiting {
                self.end(now, i, Bye::Duplicate);
            }
        }
    }

    /// What was to be sent is given up. The other node learns it from the next join.
    pub(super) fn start_over(&mut self, now: Mono) {
        if self.stream.intact {
            self.tell(LinkOutput::GaveUp);
        }
        let used: Vec<LinkConn> = (self.conns.iter())
            .filter(|c| matches!(c.stage, Stage::Joined | Stage::Asked(_)))
            .map(|c| c.id)
            .collect();
        for conn in used {
            let i = self.index(conn).expect("it was just seen");
            self.lose(now, i, Parting::Ours, Some(Bye::Reset));
        }
        self.stream.give_up();
        self.uncongest();
    }

    /// All connections end with this last word.
    pub(super) fn part(&mut self, now: Mono, bye: Bye) {
        let all: Vec<LinkConn> = self.conns.iter().map(|c| c.id).collect();
        for conn in all {
            let i = self.index(conn).expect("it was just seen");
            match self.conns[i].stage {
                Stage::Ending(_) => {}
                Stage::Waiting => self.end(now, i, bye),
                Stage::Joined | Stage::Asked(_) => self.lose(now, i, Parting::Ours, Some(bye)),
            }
        }
    }

    /// This node begins another life: nothing is left of the one before but whom it knew.
    pub(in crate::cluster::link) fn begin_anew(&mut self, now: Mono) {
        self.take_back_dial();
        self.events.retain(|event| matches!(event, Event::Told(LinkOutput::Close(_))));
        self.arrived.clear();
        for conn in std::mem::take(&mut self.conns) {
            self.tell(LinkOutput::Close(conn.id));
        }
        self.stream = Stream::new();
        self.turn_seen = 0;
        self.congested = false;
        self.dial_at = None;
        self.state = LinkState { connected: false, since: now, delay: None, ..self.state };
    }

    pub(super) fn uncongest(&mut self) {
        if std::mem::take(&mut self.congested) {
            self.tell(LinkOutput::Congested(false));
        }
    }

    /// A node that leaves parts once the other has everything.
    pub(super) fn leave_if_done(&mut self, now: Mono) {
        if !self.leaving || self.left || self.stream.out.len() > 0 {
            return;
        }
        self.left = true;
        self.tell(LinkOutput::Left);
        let all: Vec<LinkConn> = self.conns.iter().map(|c| c.id).collect();
        for conn in all {
            let i = self.index(conn).expect("it was just seen");
            match self.conns[i].stage {
                Stage::Ending(_) => {}
                Stage::Joined => self.lose(now, i, Parting::Ours, Some(Bye::Leaving)),
                _ => self.end(now, i, Bye::Leaving),
            }
        }
    }
}
