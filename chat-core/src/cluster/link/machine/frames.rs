//! What the other node says over a connection.

use super::{Event, Link, LinkOutput, Parting};
use crate::base::Mono;
use crate::base::limits::LINK_FRAME_BYTES_MAX;
use crate::cluster::link::conn::{LinkConn, Stage};
use crate::cluster::link::stream::{Start, start};
use crate::cluster::wire::{Bye, Control, Frame, Join, Kind, Refusal, Seen, WireFault, read_frame};

impl Link {
    pub(super) fn on_received(&mut self, now: Mono, id: LinkConn, bytes: &[u8]) {
        let Some(i) = self.index(id) else { return };
        if bytes.is_empty() || matches!(self.conns[i].stage, Stage::Ending(_)) {
            return;
        }
        self.conns[i].on_heard(now);
        let version = self.conns[i].version;
        let mut partial = std::mem::take(&mut self.conns[i].partial);
        let fresh = partial.is_empty();
        if !fresh {
            partial.extend_from_slice(bytes);
        }
        let mut rest = if fresh { bytes } else { &partial };
        loop {
            match read_frame(rest, version, LINK_FRAME_BYTES_MAX) {
                Ok(None) => break,
                Ok(Some((frame, n))) => {
                    rest = &rest[n..];
                    if let Err(fault) = self.on_frame(now, id, frame) {
                        return self.on_fault(now, id, fault);
                    }
                }
                Err(fault) => return self.on_fault(now, id, fault),
            }
            // The frame may have ended the connection.
            let stage = self.index(id).map(|i| self.conns[i].stage);
            if matches!(stage, None | Some(Stage::Ending(_))) {
                return;
            }
        }
        let rest = rest.len();
        if fresh {
            partial.extend_from_slice(&bytes[bytes.len() - rest..]);
        } else {
            partial.drain(..partial.len() - rest);
        }
        if partial.is_empty() {
            partial = Vec::new();
        }
        if let Some(i) = self.index(id) {
            self.conns[i].partial = partial;
        }
    }

    fn on_fault(&mut self, now: Mono, id: LinkConn, fault: WireFault) {
        let Some(i) = self.index(id) else { return };
        let joined = self.conns[i].stage == Stage::Joined;
        self.lose(now, i, Parting::Fault(fault), Some(Bye::Fault));
        // What is wrong once is wrong again when it is sent again.
        if joined {
            self.stream.give_up();
            self.uncongest();
            self.tell(LinkOutput::GaveUp);
        }
    }

    fn on_frame(&mut self, now: Mono, id: LinkConn, frame: Frame<'_>) -> Result<(), WireFault> {
        let Some(i) = self.index(id) else { return Ok(()) };
        let stage = self.conns[i].stage;
        if stage == Stage::Joined {
            return self.on_joined_frame(now, i, frame);
        }
        match frame.seen {
            Seen::Known(Kind::Join) => {
                let Control::Join(join) = Control::read(Kind::Join, frame.body, self.conns[i].version)?
                else {
                    unreachable!("the kind of a frame decides how it reads");
                };
                match stage {
                    Stage::Asked(ours) => self.on_answer(now, id, ours, join),
                    _ => self.on_join(now, id, join),
                }
                Ok(())
            }
            Seen::Known(Kind::Bye) => {
                let bye = Control::read(Kind::Bye, frame.body, self.conns[i].version)?;
                self.on_bye(now, id, bye);
                Ok(())
            }
            // The dialler may learn later than the listener whom it has reached.
            Seen::Known(Kind::Refuse) => {
                let refusal = Refusal::read(frame.body)?;
                self.on_bye(now, id, Control::Bye(Bye::Refused(refusal)));
                Ok(())
            }
            Seen::Known(kind) => Err(WireFault::Turn(kind.byte())),
            Seen::Skip => Err(WireFault::Value),
        }
    }

    fn on_joined_frame(&mut self, now: Mono, i: usize, frame: Frame<'_>) -> Result<(), WireFault> {
        // Who has begun this epoch, too, may say anything; a last word can also come from one who has not.
        if frame.seen != Seen::Known(Kind::Bye) {
            self.stream.confirm();
        }
        if let Some(number) = frame.number {
            let expected = self.stream.received + 1;
            if number != expected {
                return Err(WireFault::Sequence { expected, found: number });
            }
            self.stream.received = number;
            self.owe_receipt(now, i, frame.body.len());
        }
        match frame.seen {
            Seen::Known(kind @ (Kind::Receipt | Kind::Ping | Kind::Pong | Kind::Bye)) => {
                let control = Control::read(kind, frame.body, self.conns[i].version)?;
                self.on_control(now, i, control)?;
            }
            Seen::Known(kind) if kind.is_control() => return Err(WireFault::Turn(kind.byte())),
            #[cfg(feature = "sim")]
            Seen::Known(Kind::Envelope | Kind::EnvelopeResult) if std::mem::take(&mut self.drops_next) => {}
            Seen::Known(kind) => {
                let start = self.arrived.len();
                self.arrived.extend_from_slice(frame.body);
                self.events.push_back(Event::Frame { kind, start, end: self.arrived.len() });
            }
            Seen::Skip => {}
        }
        Ok(())
    }

    fn on_control(&mut self, now: Mono, i: usize, control: Control) -> Result<(), WireFault> {
        let conn = &mut self.conns[i];
        match control {
            Control::Receipt(number) => {
                conn.on_answered(now, None);
                if !self.stream.out.receipt(number) {
                    return Err(WireFault::Receipt);
                }
                if self.congested && self.stream.out.len() <= self.limits.resend_bytes_max / 4 {
                    self.uncongest();
                }
            }
            Control::Ping(number) => {
                if conn.control().len() < self.limits.control_bytes_max {
                    conn.say(Control::Pong(number));
                    conn.dirty = true;
                }
            }
            Control::Pong(number) => {
                if let Some(delay) = conn.on_answered(now, Some(number)) {
                    self.state.delay = Some(delay);
                }
            }
            bye @ Control::Bye(_) => {
                let id = conn.id;
                self.on_bye(now, id, bye);
            }
            Control::Join(_) => return Err(WireFault::Turn(Kind::Join.byte())),
        }
        Ok(())
    }

    fn on_bye(&mut self, now: Mono, id: LinkConn, bye: Control) {
        let Control::Bye(bye) = bye else { return };
        if let Bye::Refused(refusal) = bye {
            self.tell(LinkOutput::RefusedUs(refusal));
        }
        self.on_closed(now, id, Parting::Bye(bye));
        self.tell(LinkOutput::Close(id));
    }

    /// Numbered bytes have arrived: a receipt goes at once if there are many, else soon.
    fn owe_receipt(&mut self, now: Mono, i: usize, bytes: usize) {
        let conn = &mut self.conns[i];
        conn.unreceipted += bytes;
        if conn.unreceipted >= self.limits.receipt_bytes {
            self.write_receipt(i);
        } else {
            conn.receipt_since.get_or_insert(now);
        }
    }

    pub(super) fn write_receipt(&mut self, i: usize) {
        let conn = &mut self.conns[i];
        conn.say(Control::Receipt(self.stream.received));
        conn.unreceipted = 0;
        conn.receipt_since = None;
        conn.dirty = true;
    }

    pub(super) fn next_join(&mut self) -> Join {
        self.turn += 1;
        // Never 0, which is no epoch.
        let proposal = self.rng.next_u64() | 1;
        self.stream.join(self.turn, proposal)
    }

    /// The other node dialled, and means it.
    fn on_join(&mut self, now: Mono, id: LinkConn, theirs: Join) {
        let asked = self.conns.iter().any(|c| matches!(c.stage, Stage::Asked(_)));
        let stale = theirs.turn <= self.turn_seen;
        self.turn_seen = self.turn_seen.max(theirs.turn);
        // Both joins cross: the connection that the lesser name dialled is the one.
        if stale || (asked && self.own < self.peer_name) {
            let i = self.index(id).expect("a frame came over a connection");
            return self.end(now, i, Bye::Duplicate);
        }
        self.drop_others(now, id);
        let ours = self.next_join();
        let i = self.index(id).expect("it was kept");
        self.conns[i].say(Control::Join(ours));
        self.begin(now, id, start(&theirs, &ours), &theirs);
    }

    /// The answer to a join of this node.
    fn on_answer(&mut self, now: Mono, id: LinkConn, ours: Join, theirs: Join) {
        self.turn_seen = self.turn_seen.max(theirs.turn);
        self.drop_others(now, id);
        self.begin(now, id, start(&ours, &theirs), &theirs);
        self.stream.confirm();
        // So that the other node knows, too.
        if let Some(i) = self.index(id) {
            self.write_receipt(i);
        }
    }

    fn begin(&mut self, now: Mono, id: LinkConn, start: Start, theirs: &Join) {
        let i = self.index(id).expect("a frame came over a connection");
        self.conns[i].enter(now, Stage::Joined, &self.limits);
        self.conns[i].dirty = true;
        let version = self.conns[i].version;
        #[cfg(feature = "sim")]
        {
            self.drops_next = self.limits.drops_on_rejoin && start == Start::Resume;
        }
        if self.stream.begin(start, theirs) {
            self.uncongest();
            let peer = self.peer.clone().expect("who joins was met");
            self.tell(LinkOutput::Fresh { peer, version });
        }
        self.dial_at = None;
        self.state.connected = true;
        self.state.since = now;
        self.state.version = version;
        self.tell(LinkOutput::Up { version });
    }
}
