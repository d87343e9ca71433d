//! One-to-one messages over pairs of sessions: as fast as a window allows, or at a fixed rate; with stream management on
//! both sides or without.

use serde_json::json;

use super::acks::{self, Acks};
use super::course::{Course, Flow, Tally, Times, Work};
use super::ledger::{Faults, Ledger};
use super::letter::{BODY_BYTES_MIN, Letter, Reading};
use super::ramp::{Ramp, Session};
use super::{Failure, Target, child, closed, leave, roles};
use crate::measure::Latencies;
use crate::net::{ConnId, Hub, descriptors};
use crate::report::Report;
use crate::xmpp::{Input, Stanza};

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Pairs of a sender and a recipient: user 0 writes to user 1, user 2 to user 3.
    pub pairs: u32,
    /// How much each pair, or all together, send.
    pub flow: Flow,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Stream management on both sides, with a request after so many messages.
    pub ack_every: Option<u64>,
    /// Write to the bare JID instead of the full one.
    pub to_bare: bool,
    /// How long it takes.
    pub times: Times,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            pairs: 100,
            flow: Flow::Window(16),
            body_bytes: 100,
            ack_every: None,
            to_bare: false,
            times: Times::default(),
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

#[derive(Clone, Copy)]
enum Role {
    Sender(usize),
    Recipient(usize),
}

struct Chat {
    hub: Hub,
    input: Input,
    out: Vec<u8>,
    pairs: Vec<Pair>,
    /// By connection.
    roles: Vec<Option<Role>>,
    tally: Tally,
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
    let mut ramp = Ramp::new(target);
    ramp.plan.presence = true;
    let sessions = ramp.all(&mut hub, target.first, 2 * options.pairs, target.parallel, &mut |_| Ok(()))?;
    let mut input = Input::new();
    if options.ack_every.is_some() {
        acks::enable(&mut hub, &sessions, &mut input)?;
    }
    let mut chat = Chat::new(options, hub, input, &sessions, &ramp);
    let usage = Course::new(options.flow, options.times, chat.pairs.len()).run(&mut chat, target)?;
    leave::leave(&mut chat.hub, &sessions, &mut chat.input);

    let mode = if options.ack_every.is_some() { "sm" } else { "chat" };
    let mut report = Report::new(mode, "messages", target, chat.tally.counted, usage);
    report.options = json!({
        "pairs": options.pairs, "window": options.flow.window(), "rate": options.flow.rate(),
        "body_bytes": options.body_bytes, "ack_every": options.ack_every, "to_bare": options.to_bare,
        "warm_up_s": options.times.warm_up.as_secs_f64(), "spin": options.times.spin.then_some(true),
    });
    report.faults = chat.faults();
    report.latency = chat.tally.latencies.quantiles();
    report.send_late = chat.tally.late.quantiles();
    report.ack_latency = chat.ack_times.quantiles();
    Ok(report)
}

fn check(options: &Options) -> Result<(), Failure> {
    if options.pairs == 0 {
        return Err(Failure::Options("there must be at least one pair".to_owned()));
    }
    if options.body_bytes < BODY_BYTES_MIN {
        let text = format!("a body needs {BODY_BYTES_MIN} bytes for its number");
        return Err(Failure::Options(text));
    }
    options.flow.check()
}

impl Chat {
    fn new(options: &Options, hub: Hub, input: Input, sessions: &[Session], ramp: &Ramp) -> Chat {
        let window = options.flow.window().unwrap_or(0);
        let pairs = (0..).zip(sessions.chunks_exact(2)).map(|(n, two)| {
            let (sender, recipient) = (&two[0], &two[1]);
            let to = if options.to_bare { ramp.plan.bare(recipient.user) } else { recipient.jid.clone() };
            Pair {
                sender: sender.conn,
                recipient: recipient.conn,
                letter: Letter::new(&to, ramp.plan.run, n, options.body_bytes),
                sent: 0,
                ledger: Ledger::default(),
                sent_at: vec![0; usize::try_from(window).unwrap_or(0)],
                errors: 0,
                sender_acks: options.ack_every.map(Acks::new),
                recipient_acks: options.ack_every.map(Acks::new),
            }
        });
        Chat {
            hub,
            input,
            out: Vec::new(),
            pairs: pairs.collect(),
            roles: roles(sessions, |n| if n % 2 == 0 { Role::Sender(n / 2) } else { Role::Recipient(n / 2) }),
            tally: Tally::default(),
            ack_times: Latencies::new(),
        }
    }

    /// Sends as many messages of this pair as its window allows.
    fn fill(&mut self, course: &Course, n: usize) -> Result<(), Failure> {
        let pair = &mut self.pairs[n];
        let window = pair.sent_at.len() as u64;
        let until = pair.ledger.next() + window;
        if pair.sent >= until {
            return Ok(());
        }
        let now = course.now();
        self.out.clear();
        while pair.sent < until {
            pair.sent_at[(pair.sent % window) as usize] = now;
            pair.write(now, &mut self.out);
        }
        Ok(self.hub.send(pair.sender, &self.out)?)
    }

    /// Reads a recipient.
    fn receive(&mut self, course: &Course, n: usize) -> Result<(), Failure> {
        let pair = &mut self.pairs[n];
        let read = self.hub.read(pair.recipient, &mut self.input)?;
        let now = course.now();
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
            if let Some(number) = pair.on_message(&stanza) {
                self.tally.on_arrived(course, n, number, &pair.sent_at, now);
            }
        }
        self.hub.keep(pair.recipient, &self.input);
        if !self.out.is_empty() {
            self.hub.send(pair.recipient, &self.out)?;
        }
        closed(read, || format!("recipient {n}"))
    }

    /// Reads a sender, who gets acknowledgements, and errors.
    fn hear(&mut self, course: &Course, n: usize) -> Result<(), Failure> {
        let pair = &mut self.pairs[n];
        let read = self.hub.read(pair.sender, &mut self.input)?;
        let now = course.now();
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
        closed(read, || format!("sender {n}"))
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

impl Work for Chat {
    fn hub(&mut self) -> &mut Hub {
        &mut self.hub
    }

    fn begin(&mut self, course: &Course) -> Result<(), Failure> {
        (0..self.pairs.len()).try_for_each(|n| self.fill(course, n))
    }

    fn send(&mut self, course: &Course, sender: usize, count: u64) -> Result<(), Failure> {
        let pair = &mut self.pairs[sender];
        let now = course.now();
        self.out.clear();
        for _ in 0..count {
            self.tally.on_sent(course, sender, pair.sent, now);
            pair.write(now, &mut self.out);
        }
        Ok(self.hub.send(pair.sender, &self.out)?)
    }

    fn on_ready(&mut self, course: &Course, conn: ConnId) -> Result<(), Failure> {
        match self.roles.get(conn.index()).copied().flatten() {
            Some(Role::Recipient(n)) => {
                self.receive(course, n)?;
                if course.refills() { self.fill(course, n) } else { Ok(()) }
            }
            Some(Role::Sender(n)) => self.hear(course, n),
            None => Ok(()),
        }
    }

    /// Asks for the last acknowledgements.
    fn end(&mut self, course: &Course) -> Result<(), Failure> {
        for pair in &mut self.pairs {
            if let Some(acks) = &mut pair.sender_acks {
                self.out.clear();
                acks.request(course.now(), &mut self.out);
                self.hub.send(pair.sender, &self.out)?;
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.pairs.iter().all(Pair::is_done)
    }

    fn arrived(&self) -> u64 {
        self.tally.arrived
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
