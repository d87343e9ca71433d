//! The deadlines of a connection. Each connection has one timer, armed at the earliest of them and re-armed lazily.

use super::{Phase, Session, Sign};
use crate::base::Mono;
use crate::effect::{Cx, Deadline};
use crate::stream::{StreamCondition, StreamError};

/// What time has done to a connection.
#[derive(Debug)]
pub enum Wake {
    /// Nothing yet.
    Nothing,
    /// It took too long: the stream ends with this.
    Fail(StreamError),
    /// It is dead, or did not let go in time: the connection ends without a word.
    Drop,
    /// It may be read from again.
    Read,
    /// It was silent for long: ask it for a sign of life.
    Probe,
    /// A delayed attempt to log in may go on.
    Login,
}

impl Session {
    /// The earliest deadline and what it is for.
    fn deadline(&self, cx: &Cx) -> (Mono, &'static str) {
        let limits = self.limits(&cx.settings);
        let (mut at, mut why) = match self.phase {
            Phase::Closing | Phase::Parting => (self.since + limits.close_timeout, "close"),
            Phase::Bound(_) => match self.sign {
                Sign::Asked(at) => (at + limits.unresponsive_timeout, "no sign of life"),
                Sign::Heard(at) => (at + limits.idle_timeout, "idle"),
            },
            _ => (self.since + cx.settings.limits.negotiation_timeout, "negotiation"),
        };
        let mut earlier = |t: Option<Mono>, reason| {
            if let Some(t) = t
                && t < at
            {
                (at, why) = (t, reason);
            }
        };
        if self.holds.rate {
            earlier(self.bucket.resume_at(cx.now.mono).or(Some(cx.now.mono)), "rate");
        }
        if let Phase::Sasl(_) = self.phase {
            earlier(self.delayed.as_ref().map(|d| d.0), "login delay");
        }
        earlier(self.progress.map(|p| p.0 + limits.unresponsive_timeout), "peer does not read");
        (at, why)
    }

    /// Makes sure that the timer fires in time.
    pub fn arm(&mut self, cx: &mut Cx) {
        let (at, why) = self.deadline(cx);
        // An early wake is harmless, a late one is not.
        if self.armed <= at {
            return;
        }
        self.disarm(cx);
        self.armed = at;
        self.timer = Some(cx.timers.set(at, Deadline::Conn(self.conn), why));
    }

    /// The connection is over; nothing is to fire for it.
    pub fn disarm(&mut self, cx: &mut Cx) {
        if let Some(id) = self.timer.take() {
            cx.timers.cancel(id);
        }
        self.armed = Mono::NEVER;
    }

    /// The outbox shrank, or was found unable to. While it holds something this is said of each attempt to send.
    pub fn on_sent(&mut self, cx: &mut Cx) {
        self.note_progress(cx);
        if self.progress.is_some() {
            self.arm(cx);
        }
    }

    fn note_progress(&mut self, cx: &mut Cx) {
        let (unsent, sent) = cx.wires.progress(self.conn);
        if unsent == 0 {
            self.progress = None;
        } else if self.progress.is_none_or(|before| before.1 != sent) {
            self.progress = Some((cx.now.mono, sent));
            cx.wires.heed(self.conn);
        }
    }

    /// Something was received.
    pub fn on_heard(&mut self, cx: &Cx) {
        self.sign = Sign::Heard(cx.now.mono);
    }

    /// The timer fired: says what is due now. To be asked again, after acting on it, until it says `Nothing`.
    pub fn on_timer(&mut self, cx: &mut Cx) -> Wake {
        (self.timer, self.armed) = (None, Mono::NEVER);
        self.note_progress(cx);
        let now = cx.now.mono;
        let (at, why) = self.deadline(cx);
        if at > now {
            self.arm(cx);
            return Wake::Nothing;
        }
        match why {
            "rate" => {
                self.holds.rate = false;
                Wake::Read
            }
            "login delay" => Wake::Login,
            "idle" => {
                self.sign = Sign::Asked(now);
                Wake::Probe
            }
            "negotiation" => Wake::Fail(StreamError::new(
                StreamCondition::ConnectionTimeout,
                "the negotiation took too long",
            )),
            _ => Wake::Drop,
        }
    }
}
