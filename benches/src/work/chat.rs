//! One-to-one messages over pairs of sessions: as fast as a window allows, or at a fixed rate.

use std::time::{Duration, Instant};

use serde_json::json;

use super::acks::{self, Acks};
use super::ledger::{Faults, Ledger};
use super::letter::{BODY_BYTES_MIN, Letter, Reading};
use super::pace::Pace;
use super::ramp::{Ramp, Session};
use super::{Failure, Target, leave};
use crate::measure::{Latencies, Snapshot};
use crate::net::{ConnId, Hub, Read, descriptors};
use crate::report::{Progress, Report};
use crate::xmpp::{Input, Stanza, Token};

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Pairs of a sender and a recipient: user 0 writes to user 1, user 2 to user 3.
    pub pairs: u32,
    /// Messages of each pair that may be under way; none: at `rate`.
    pub window: Option<u64>,
    /// Messages per second of all pairs together, where there is no window.
    pub rate: f64,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Stream management on both sides, with a request after so many messages.
    pub ack_every: Option<u64>,
    /// Write to the bare JID instead of the full one.
    pub to_bare: bool,
    /// Before anything is measured.
    pub warm_up: Duration,
    /// How long to measure.
    pub duration: Duration,
    /// How long to wait in the end for messages that are under way.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            pairs: 100,
            window: Some(16),
            rate: 0.0,
            body_bytes: 100,
            ack_every: None,
            to_bare: false,
            warm_up: Duration::from_secs(2),
            duration: Duration::from_secs(10),
            patience: Duration::from_secs(10),
        }
    }
}

/// A sender and a recipient.
struct Pair {
    sender: ConnId,
    recipient: ConnId,
    letter: Letter,
    sent: u64,
    ledger: Ledger,
    /// When the messages that are under way were sent, by number modulo the window.
    sent_at: Vec<u64>,
    errors: u64,
    sender_acks: Option<Acks>,
    recipient_acks: Option<Acks>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Nobody,
    Sender(u32),
    Recipient(u32),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measure,
    Drain,
}

struct Chat<'a> {
    options: &'a Options,
    hub: Hub,
    input: Input,
    out: Vec<u8>,
    pairs: Vec<Pair>,
    roles: Vec<Role>,
    begun: Instant,
    phase: Phase,
    /// When measuring begins and ends, in nanoseconds since `begun`.
    measured: (u64, u64),
    pace: Option<Pace>,
    /// Sent by `pace`.
    paced: u64,
    /// Arrived for the first time and in turn, while measuring, and in all.
    counted: u64,
    arrived: u64,
    latencies: Latencies,
    late: Latencies,
    ack_times: Latencies,
}

/// Runs it.
///
/// # Errors
/// It came to nothing. That messages are lost, doubled or swapped is no error but part of the report.
pub fn run(target: &Target, options: &Options) -> Result<Report, Failure> {
    check(options)?;
    descriptors::provide(2 * u64::from(options.pairs))?;
    let mut hub = Hub::new()?;
    let mut ramp = Ramp::new(target.address, target.plan());
    ramp.plan.presence = true;
    let sessions = ramp.all(&mut hub, target.first, 2 * options.pairs, target.parallel, &mut |_| Ok(()))?;
    let mut input = Input::new();
    if options.ack_every.is_some() {
        acks::enable(&mut hub, &sessions, &mut input)?;
    }
    let mut chat = Chat::new(options, hub, input, &sessions, &ramp);
    let before = chat.until(Phase::Measure, target)?;
    let after = chat.until(Phase::Drain, target)?;
    chat.drain()?;
    leave::leave(&mut chat.hub, &sessions, &mut chat.input);
    let mode = if options.ack_every.is_some() { "sm" } else { "chat" };
    let mut report = Report::new(mode, "messages", target, chat.counted, after.since(&before));
    report.options = json!({
        "pairs": options.pairs, "window": options.window, "rate": options.window.is_none().then_some(options.rate),
        "body_bytes": options.body_bytes, "ack_every": options.ack_every, "to_bare": options.to_bare,
        "warm_up_s": options.warm_up.as_secs_f64(),
    });
    report.faults = chat.faults();
    report.latency = chat.latencies.quantiles();
    report.send_late = chat.late.quantiles();
    report.ack_latency = chat.ack_times.quantiles();
    Ok(report)
}

fn check(options: &Options) -> Result<(), Failure> {
    let bad = |text: &str| Err(Failure::Options(text.to_owned()));
    if options.pairs == 0 {
        return bad("there must be at least one pair");
    }
    if options.body_bytes < BODY_BYTES_MIN {
        return bad(&format!("a body needs {BODY_BYTES_MIN} bytes for its number"));
    }
    match options.window {
        Some(0) => bad("the window must be at least one message"),
        None if options.rate.is_nan() || options.rate <= 0.0 => bad("without a window there must be a rate"),
        _ => Ok(()),
    }
}

impl<'a> Chat<'a> {
    fn new(options: &'a Options, hub: Hub, input: Input, sessions: &[Session], ramp: &Ramp) -> Chat<'a> {
        let mut roles = Vec::new();
        let mut pairs = Vec::new();
        for (n, two) in (0..).zip(sessions.chunks_exact(2)) {
            let [sender, recipient] = two else { continue };
            for (conn, role) in [(sender.conn, Role::Sender(n)), (recipient.conn, Role::Recipient(n))] {
                roles.resize(roles.len().max(conn.index() + 1), Role::Nobody);
                roles[conn.index()] = role;
            }
            let to = if options.to_bare { ramp.plan.bare(recipient.user) } else { recipient.jid.clone() };
            pairs.push(Pair {
                sender: sender.conn,
                recipient: recipient.conn,
                letter: Letter::new(&to, ramp.plan.run, n, options.body_bytes),
                sent: 0,
                ledger: Ledger::default(),
                sent_at: vec![0; usize::try_from(options.window.unwrap_or(0)).unwrap_or(0)],
                errors: 0,
                sender_acks: options.ack_every.map(Acks::new),
                recipient_acks: options.ack_every.map(Acks::new),
            });
        }
        let from = nanos(options.warm_up);
        let measured = (from, from + nanos(options.duration));
        let pace = options.window.is_none().then(|| Pace::new(0, options.rate, pairs.len() as u64));
        if pace.is_some() {
            // Sleeps end when they should, not up to 50 µs later. Where that is refused, `send_late` shows it.
            let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        }
        Chat {
            options,
            hub,
            input,
            out: Vec::new(),
            pairs,
            roles,
            begun: Instant::now(),
            phase: Phase::WarmUp,
            measured,
            pace,
            paced: 0,
            counted: 0,
            arrived: 0,
            latencies: Latencies::new(),
            late: Latencies::new(),
            ack_times: Latencies::new(),
        }
    }

    fn now(&self) -> u64 {
        nanos(self.begun.elapsed())
    }

    /// Goes on until this phase begins.
    fn until(&mut self, phase: Phase, target: &Target) -> Result<Snapshot, Failure> {
        let (name, from, end) = match self.phase {
            Phase::WarmUp => ("warming up", 0, self.measured.0),
            _ => ("measuring", self.measured.0, self.measured.1),
        };
        let mut progress = Progress::new(name, (end - from) / 1_000_000);
        if self.phase == Phase::WarmUp && self.pace.is_none() {
            for n in 0..self.pairs.len() {
                self.fill(n, 0)?;
            }
        }
        let mut ready = Vec::new();
        loop {
            let now = self.now();
            if now >= end {
                break;
            }
            self.turn(now, end, &mut ready)?;
            progress.at((now - from) / 1_000_000);
            progress.say(|| format!("{} messages", self.arrived));
        }
        self.phase = phase;
        Ok(Snapshot::take(target.server)?)
    }

    /// Sends what is due, waits, and takes what has come.
    fn turn(&mut self, now: u64, end: u64, ready: &mut Vec<ConnId>) -> Result<(), Failure> {
        let mut wait = Duration::from_millis(100).min(Duration::from_nanos(end - now));
        if let Some(pace) = self.pace {
            let due = pace.due(now);
            self.send_due(pace, due, now)?;
            wait = wait.min(Duration::from_nanos(pace.at(due).saturating_sub(self.now())));
        } else {
            wait = Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(0) + 1);
        }
        self.hub.wait(Some(wait), ready)?;
        for conn in ready.drain(..) {
            self.on_ready(conn)?;
        }
        Ok(())
    }

    fn on_ready(&mut self, conn: ConnId) -> Result<(), Failure> {
        match self.roles.get(conn.index()) {
            Some(Role::Recipient(n)) => {
                let n = *n as usize;
                self.receive(n)?;
                if self.pace.is_none() && self.phase != Phase::Drain {
                    let now = self.now();
                    self.fill(n, now)?;
                }
                Ok(())
            }
            Some(Role::Sender(n)) => self.hear(*n as usize),
            _ => Ok(()),
        }
    }

    /// Sends as many messages of this pair as its window allows.
    fn fill(&mut self, n: usize, now: u64) -> Result<(), Failure> {
        let pair = &mut self.pairs[n];
        let window = pair.sent_at.len() as u64;
        let until = pair.ledger.next() + window;
        if pair.sent >= until {
            return Ok(());
        }
        self.out.clear();
        while pair.sent < until {
            pair.sent_at[(pair.sent % window) as usize] = now;
            pair.write(now, &mut self.out);
        }
        Ok(self.hub.send(pair.sender, &self.out)?)
    }

    /// Sends what should have left by now: each pair's share in one piece.
    fn send_due(&mut self, pace: Pace, due: u64, now: u64) -> Result<(), Failure> {
        let count = self.pairs.len() as u64;
        let new = due.saturating_sub(self.paced);
        for i in 0..new.min(count) {
            let n = (self.paced + i) % count;
            let pair = &mut self.pairs[n as usize];
            self.out.clear();
            for _ in 0..(new - i).div_ceil(count) {
                let intended = pace.intended(n, pair.sent);
                if intended >= self.measured.0 {
                    self.late.record(now.saturating_sub(intended));
                }
                pair.write(now, &mut self.out);
            }
            self.hub.send(pair.sender, &self.out)?;
        }
        self.paced += new;
        Ok(())
    }

    /// Reads a recipient.
    fn receive(&mut self, n: usize) -> Result<(), Failure> {
        let pair = &mut self.pairs[n];
        let read = self.hub.read(pair.recipient, &mut self.input)?;
        let now = nanos(self.begun.elapsed());
        self.out.clear();
        while let Some(token) = self.input.next()? {
            let stanza = child(token)?;
            if let Some(acks) = &mut pair.recipient_acks
                && acks.on_stanza(&stanza, now, &mut self.out, &mut self.ack_times)
            {
                continue;
            }
            if stanza.name != b"message" {
                continue;
            }
            let Some(number) = pair.on_message(&stanza) else { continue };
            self.arrived += 1;
            self.counted += u64::from(self.phase == Phase::Measure);
            let (sent, wanted) = match self.pace {
                Some(pace) => {
                    let intended = pace.intended(n as u64, number);
                    (intended, intended >= self.measured.0)
                }
                None => {
                    let window = pair.sent_at.len() as u64;
                    (pair.sent_at[(number % window) as usize], self.phase == Phase::Measure)
                }
            };
            if wanted {
                self.latencies.record(now.saturating_sub(sent));
            }
        }
        self.hub.keep(pair.recipient, &self.input);
        if !self.out.is_empty() {
            self.hub.send(pair.recipient, &self.out)?;
        }
        closed(read, n)
    }

    /// Reads a sender, who gets acknowledgements, and errors.
    fn hear(&mut self, n: usize) -> Result<(), Failure> {
        let pair = &mut self.pairs[n];
        let read = self.hub.read(pair.sender, &mut self.input)?;
        let now = nanos(self.begun.elapsed());
        self.out.clear();
        while let Some(token) = self.input.next()? {
            let stanza = child(token)?;
            if let Some(acks) = &mut pair.sender_acks
                && acks.on_stanza(&stanza, now, &mut self.out, &mut self.ack_times)
            {
                continue;
            }
            pair.errors += u64::from(stanza.name == b"message" && stanza.is_error());
        }
        self.hub.keep(pair.sender, &self.input);
        if !self.out.is_empty() {
            self.hub.send(pair.sender, &self.out)?;
        }
        closed(read, n)
    }

    /// Waits for what is under way, and for the last acknowledgements.
    fn drain(&mut self) -> Result<(), Failure> {
        let now = self.now();
        for pair in &mut self.pairs {
            if let Some(acks) = &mut pair.sender_acks {
                self.out.clear();
                acks.request(now, &mut self.out);
                self.hub.send(pair.sender, &self.out)?;
            }
        }
        let end = now + nanos(self.options.patience);
        let mut ready = Vec::new();
        // What was doubled may come a little later than what it is a double of.
        let mut quiet = self.now();
        while self.now() < end {
            if !self.pairs.iter().all(Pair::is_done) {
                quiet = self.now();
            } else if self.now() > quiet + 50_000_000 {
                break;
            }
            self.hub.wait(Some(Duration::from_millis(10)), &mut ready)?;
            for conn in ready.drain(..) {
                self.on_ready(conn)?;
            }
        }
        Ok(())
    }

    fn faults(&self) -> Faults {
        let mut sum = Faults::default();
        for pair in &self.pairs {
            sum.add(pair.ledger.faults(pair.sent));
            sum.errors += pair.errors;
            for acks in [&pair.sender_acks, &pair.recipient_acks].into_iter().flatten() {
                sum.unacked += acks.unacked();
                sum.bad_acks += acks.bad();
            }
        }
        sum
    }
}

impl Pair {
    /// Appends the next message.
    fn write(&mut self, now: u64, out: &mut Vec<u8>) {
        self.letter.write(self.sent, out);
        self.sent += 1;
        if let Some(acks) = &mut self.sender_acks {
            acks.sent(now, out);
        }
    }

    /// The number of a message, if it is one of ours, and the first of this number in its turn.
    fn on_message(&mut self, message: &Stanza<'_>) -> Option<u64> {
        match self.letter.read(message.inner) {
            Reading::Number(number) if number < self.sent => self.ledger.arrived(number).then_some(number),
            Reading::Number(_) | Reading::Altered => {
                self.ledger.altered();
                None
            }
            Reading::Foreign => None,
        }
    }

    fn is_done(&self) -> bool {
        self.ledger.has_all(self.sent) && self.sender_acks.as_ref().is_none_or(|acks| acks.unacked() == 0)
    }
}

/// A child of the stream; its end is none.
fn child(token: Token<'_>) -> Result<Stanza<'_>, Failure> {
    match token {
        Token::Stanza(stanza) if stanza.name != b"error" => Ok(stanza),
        Token::Stanza(error) => Err(Failure::Silence(format!(
            "the server ended a stream: {}",
            String::from_utf8_lossy(error.bytes)
        ))),
        Token::Header | Token::End => Err(Failure::Silence("the server ended a stream".to_owned())),
    }
}

fn closed(read: Read, pair: usize) -> Result<(), Failure> {
    match read {
        Read::Open => Ok(()),
        Read::Closed => Err(Failure::Silence(format!("the server has cut a connection of pair {pair}"))),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
