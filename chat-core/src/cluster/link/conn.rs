//! One connection of a link: what it has received in part, what it says besides numbered frames, and how long it is
//! silent.

use std::fmt;

use crate::base::limits::LinkLimits;
use crate::base::{Mono, Span};
use crate::cluster::wire::{Control, Join, Kind, write_frame};

/// A connection between nodes, as its driver counts them: no number is used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkConn(pub u64);

impl fmt::Debug for LinkConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "l{}", self.0)
    }
}

/// How far a connection has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The other node dialled; its join comes next.
    Waiting,
    /// This node dialled and has sent this join; the other's comes next.
    Asked(Join),
    /// In use.
    Joined,
    /// It is closed once its last words are sent, or at this moment.
    Ending(Mono),
}

#[derive(Debug)]
pub(super) struct Conn {
    pub id: LinkConn,
    pub stage: Stage,
    pub version: u16,
    /// When the present stage began.
    pub since: Mono,
    /// The beginning of a frame.
    pub partial: Vec<u8>,
    /// Frames that are not numbered, encoded.
    control: Vec<u8>,
    control_sent: usize,
    /// When anything was received last.
    heard: Mono,
    /// When an answer showed last that the other node hears this one.
    answered: Mono,
    /// The ping that is not answered yet: its number, and when it was sent.
    pinged: Option<(u64, Mono)>,
    pings: u64,
    ping_at: Mono,
    /// Numbered bytes received and not receipted, and since when a receipt is due.
    pub unreceipted: usize,
    pub receipt_since: Option<Mono>,
    /// Since when there are frames to send that wait for others to go with them.
    pub waits_since: Option<Mono>,
    pub dirty: bool,
}

impl Conn {
    pub(super) fn new(now: Mono, id: LinkConn, version: u16, unsent: Vec<u8>) -> Conn {
        Conn {
            id,
            stage: Stage::Waiting,
            version,
            since: now,
            partial: Vec::new(),
            control: unsent,
            control_sent: 0,
            heard: now,
            answered: now,
            pinged: None,
            pings: 0,
            ping_at: now,
            unreceipted: 0,
            receipt_since: None,
            waits_since: None,
            dirty: false,
        }
    }

    pub(super) fn enter(&mut self, now: Mono, stage: Stage, limits: &LinkLimits) {
        self.stage = stage;
        self.since = now;
        self.heard = now;
        self.answered = now;
        self.ping_at = now + limits.ping_after;
    }

    /// Says something that is lost if the connection is.
    pub(super) fn say(&mut self, control: Control) {
        let mut body = Vec::new();
        control.write(&mut body, self.version);
        self.say_raw(control.kind(), &body);
    }

    pub(super) fn say_raw(&mut self, kind: Kind, body: &[u8]) {
        write_frame(&mut self.control, kind, None, body);
    }

    /// What it says besides numbered frames and has not sent yet.
    pub(super) fn control(&self) -> &[u8] {
        &self.control[self.control_sent..]
    }

    pub(super) fn control_sent(&mut self, n: usize) {
        self.control_sent += n;
        assert!(self.control_sent <= self.control.len(), "more was sent than there is");
        if self.control_sent == self.control.len() {
            self.control.clear();
            self.control_sent = 0;
        } else if self.control_sent > 64 * 1024 {
            self.control.drain(..self.control_sent);
            self.control_sent = 0;
        }
    }

    pub(super) fn on_heard(&mut self, now: Mono) {
        self.heard = now;
    }

    /// The other node showed that it hears this one; returns how long the ping took, if it was that.
    pub(super) fn on_answered(&mut self, now: Mono, pong: Option<u64>) -> Option<Span> {
        self.answered = now;
        let (number, at) = self.pinged?;
        (pong == Some(number)).then(|| {
            self.pinged = None;
            now.since(at)
        })
    }

    /// Asks whether it still carries, if that is due, or if it `must`.
    pub(super) fn ping(&mut self, now: Mono, limits: &LinkLimits, must: bool) {
        if self.pinged.is_none() && (must || now >= self.ping_at) {
            self.pings += 1;
            self.pinged = Some((self.pings, now));
            self.ping_at = now + limits.ping_after;
            self.say(Control::Ping(self.pings));
        }
    }

    /// Whether the other node was heard so lately that it is certainly there.
    pub(super) fn is_lively(&self, now: Mono, limits: &LinkLimits) -> bool {
        now.since(self.heard) < Span(limits.ping_after.0 * 3 / 2)
    }

    /// When it counts as broken, if nothing more is heard, and when it wants to do something before.
    pub(super) fn deadline(&self, limits: &LinkLimits) -> (Mono, &'static str) {
        match self.stage {
            Stage::Waiting | Stage::Asked(_) => {
                (self.since + limits.silence_max, "a connection between nodes is not joined")
            }
            Stage::Ending(by) => (by, "a connection between nodes says its last words"),
            Stage::Joined => {
                let broken = self.broken_at(limits);
                let probe = if self.pinged.is_none() { self.ping_at.min(broken) } else { broken };
                let receipt =
                    self.receipt_since.map(|since| (since + limits.receipt_after, "a receipt is due"));
                let waits =
                    self.waits_since.map(|since| (since + limits.linger, "frames have waited for others"));
                let dues = [Some((probe, "a link is probed")), receipt, waits];
                dues.into_iter().flatten().min_by_key(|(at, _)| *at).expect("a link is probed")
            }
        }
    }

    /// When a connection in use counts as broken: nothing heard, or a ping without answer, for too long.
    pub(super) fn broken_at(&self, limits: &LinkLimits) -> Mono {
        let silent = self.heard + limits.silence_max;
        let unanswered = self.pinged.map(|(_, at)| at.max(self.answered) + limits.silence_max);
        unanswered.map_or(silent, |unanswered| silent.min(unanswered))
    }

    /// This node missed its turn: what seems silence may be waiting to be read.
    pub(super) fn pardon(&mut self, now: Mono) {
        self.heard = now;
        self.answered = now;
        self.pinged = self.pinged.map(|(number, _)| (number, now));
        if !matches!(self.stage, Stage::Ending(_) | Stage::Joined) {
            self.since = now;
        }
    }
}
