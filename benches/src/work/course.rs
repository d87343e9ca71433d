//! The course of a run: warm up, measure, drain; and when to send, within a window or at a fixed rate.

use std::time::{Duration, Instant};

use super::pace::Pace;
use super::{Failure, Target};
use crate::measure::{Latencies, Snapshot, Usage};
use crate::net::{ConnId, Hub};
use crate::report::Progress;

/// So long nothing more comes: what was doubled may arrive a little later than what it is a double of.
const QUIET: Duration = Duration::from_millis(50);

/// How much is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flow {
    /// Each sender has at most so many under way.
    Window(u64),
    /// So many per second, of all senders together, whatever became of those before.
    Rate(f64),
}

impl Flow {
    /// The window, if there is one.
    #[must_use]
    pub fn window(self) -> Option<u64> {
        if let Flow::Window(window) = self { Some(window) } else { None }
    }

    /// The rate, if there is one.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        if let Flow::Rate(rate) = self { Some(rate) } else { None }
    }

    pub(super) fn check(self) -> Result<(), Failure> {
        match self {
            Flow::Window(0) => Err(Failure::Options("the window must be at least 1".to_owned())),
            Flow::Rate(rate) if !rate.is_finite() || rate <= 0.0 => {
                Err(Failure::Options("the rate must be more than nothing".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// How long the parts of a run take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Before anything is measured.
    pub warm_up: Duration,
    /// How long to measure.
    pub duration: Duration,
    /// How long to wait in the end for what is under way.
    pub patience: Duration,
    /// At a fixed rate: look at the clock all the time instead of sleeping until the next is due. That takes a whole
    /// core, and leaves out of the latency how long the system takes to wake this tool up.
    pub spin: bool,
}

impl Default for Times {
    fn default() -> Times {
        Times {
            warm_up: Duration::from_secs(2),
            duration: Duration::from_secs(10),
            patience: Duration::from_secs(10),
            spin: false,
        }
    }
}

/// What a mode does in the course of a run.
pub(super) trait Work {
    fn hub(&mut self) -> &mut Hub;
    /// Sends all that a window allows at first.
    fn begin(&mut self, course: &Course) -> Result<(), Failure>;
    /// Sends `count` of one sender, by a fixed rate.
    fn send(&mut self, course: &Course, sender: usize, count: u64) -> Result<(), Failure>;
    /// Takes what has come, and sends what the window allows now.
    fn on_ready(&mut self, course: &Course, conn: ConnId) -> Result<(), Failure>;
    /// Everything was sent.
    fn end(&mut self, course: &Course) -> Result<(), Failure>;
    /// Whether everything has arrived.
    fn is_done(&self) -> bool;
    /// How many have arrived.
    fn arrived(&self) -> u64;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measure,
    Drain,
}

/// See the module. Times are nanoseconds since its beginning.
pub(super) struct Course {
    begun: Instant,
    phase: Phase,
    times: Times,
    pace: Option<Pace>,
    senders: u64,
    /// How many `pace` has sent.
    paced: u64,
}

impl Course {
    pub(super) fn new(flow: Flow, times: Times, senders: usize) -> Course {
        let pace = flow.rate().map(|rate| Pace::new(0, rate, senders as u64));
        if pace.is_some() {
            // Sleeps end when they should, not up to 50 µs later. Where that is refused, `send_late` shows it.
            let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        }
        Course { begun: Instant::now(), phase: Phase::WarmUp, times, pace, senders: senders as u64, paced: 0 }
    }

    pub(super) fn now(&self) -> u64 {
        nanos(self.begun.elapsed())
    }

    /// Whether a window is to be filled again.
    pub(super) fn refills(&self) -> bool {
        self.pace.is_none() && self.phase != Phase::Drain
    }

    /// Goes through all of it.
    pub(super) fn run(&mut self, work: &mut dyn Work, target: &Target) -> Result<Usage, Failure> {
        self.begun = Instant::now();
        if self.pace.is_none() {
            work.begin(self)?;
        }
        let warm = nanos(self.times.warm_up);
        self.until(work, "warming up", 0, warm)?;
        self.phase = Phase::Measure;
        let before = Snapshot::take(target.server)?;
        self.until(work, "measuring", warm, warm + nanos(self.times.duration))?;
        self.phase = Phase::Drain;
        let after = Snapshot::take(target.server)?;
        work.end(self)?;
        self.drain(work)?;
        Ok(after.since(&before))
    }

    fn until(&mut self, work: &mut dyn Work, name: &str, from: u64, end: u64) -> Result<(), Failure> {
        if from == end {
            return Ok(());
        }
        let mut progress = Progress::new(name, (end - from) / 1_000_000);
        let mut ready = Vec::new();
        loop {
            let now = self.now();
            if now >= end {
                // What should have left before the end does, however late this is.
                return self.pace.map_or(Ok(()), |pace| self.send_due(work, pace.due(end - 1)));
            }
            let mut wait = Duration::from_millis(100).min(Duration::from_nanos(end - now));
            if let Some(pace) = self.pace {
                let due = pace.due(now);
                self.send_due(work, due)?;
                let next = Duration::from_nanos(pace.at(due).saturating_sub(self.now()));
                wait = if self.times.spin { Duration::ZERO } else { wait.min(next) };
            } else {
                // In whole milliseconds, which cost one system call less.
                wait = Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(0) + 1);
            }
            work.hub().wait(Some(wait), &mut ready)?;
            for conn in ready.drain(..) {
                work.on_ready(self, conn)?;
            }
            progress.at((now - from) / 1_000_000);
            progress.say(|| format!("{} arrived", work.arrived()));
        }
    }

    /// Sends what should have left by now: each sender's share in one piece.
    fn send_due(&mut self, work: &mut dyn Work, due: u64) -> Result<(), Failure> {
        let new = due.saturating_sub(self.paced);
        for i in 0..new.min(self.senders) {
            let sender = (self.paced + i) % self.senders;
            let count = (new - i).div_ceil(self.senders);
            work.send(self, usize::try_from(sender).unwrap_or(0), count)?;
        }
        self.paced += new;
        Ok(())
    }

    fn drain(&self, work: &mut dyn Work) -> Result<(), Failure> {
        let end = self.now() + nanos(self.times.patience);
        let mut done_since = self.now();
        let mut ready = Vec::new();
        while self.now() < end {
            if !work.is_done() {
                done_since = self.now();
            } else if self.now() > done_since + nanos(QUIET) {
                break;
            }
            work.hub().wait(Some(Duration::from_millis(10)), &mut ready)?;
            for conn in ready.drain(..) {
                work.on_ready(self, conn)?;
            }
        }
        Ok(())
    }
}

/// What has arrived, and how long it took.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// While measuring.
    pub(super) counted: u64,
    /// In all.
    pub(super) arrived: u64,
    pub(super) latencies: Latencies,
    /// How late this tool sent what it sends at a rate.
    pub(super) late: Latencies,
}

impl Tally {
    /// One is sent at a fixed rate.
    pub(super) fn on_sent(&mut self, course: &Course, sender: usize, number: u64, now: u64) {
        let Some(pace) = course.pace else { return };
        let intended = pace.intended(sender as u64, number);
        if intended >= nanos(course.times.warm_up) {
            self.late.record(now.saturating_sub(intended));
        }
    }

    /// One has arrived, the first of its number and in its turn. `sent_at` says when those within the window were sent,
    /// by number modulo the window.
    pub(super) fn on_arrived(
        &mut self,
        course: &Course,
        sender: usize,
        number: u64,
        sent_at: &[u64],
        now: u64,
    ) {
        self.arrived += 1;
        self.counted += u64::from(course.phase == Phase::Measure);
        let (sent, wanted) = match course.pace {
            Some(pace) => {
                let intended = pace.intended(sender as u64, number);
                (intended, intended >= nanos(course.times.warm_up))
            }
            None => {
                let at = number % sent_at.len() as u64;
                (sent_at[usize::try_from(at).unwrap_or(0)], course.phase == Phase::Measure)
            }
        };
        if wanted {
            self.latencies.record(now.saturating_sub(sent));
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
