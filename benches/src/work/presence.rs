//! Presence to all contacts: everybody changes their status all the time, and everybody else in their group sees it.

use serde_json::json;

use super::course::{Course, Flow, Tally, Times, Work};
use super::friends;
use super::ledger::{Faults, Ledger};
use super::ramp::{Ramp, Session};
use super::{Failure, Target, child, closed, leave, roles};
use crate::net::{ConnId, Hub, descriptors};
use crate::report::Report;
use crate::xmpp::{Input, Plan, Stanza};

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many groups of users who are all subscribed to each other.
    pub groups: u32,
    /// Contacts of each user: one less than there are in a group.
    pub contacts: u32,
    /// How many broadcasts each user, or all together, send.
    pub flow: Flow,
    /// How long it takes.
    pub times: Times,
}

impl Default for Options {
    fn default() -> Options {
        Options { groups: 20, contacts: 10, flow: Flow::Window(1), times: Times::default() }
    }
}

struct User {
    conn: ConnId,
    sent: u64,
    sent_at: Vec<u64>,
    /// What arrived from the members of the group, by their places in it.
    ledgers: Vec<Ledger>,
    errors: u64,
}

struct Presence<'a> {
    plan: &'a Plan,
    hub: Hub,
    input: Input,
    out: Vec<u8>,
    users: Vec<User>,
    /// Users by connection.
    roles: Vec<Option<usize>>,
    group: usize,
    first: u32,
    tally: Tally,
    /// A user's own presence, come back (RFC 6121 §4.2.2, §4.4.2).
    echoes: u64,
    /// Users whose presence has come, to whom the window may allow more.
    touched: Vec<usize>,
}

/// Runs it.
///
/// # Errors
/// It came to nothing. That presence is lost, doubled or swapped is no error but part of the report.
pub fn run(target: &Target, options: &Options) -> Result<Report, Failure> {
    options.flow.check()?;
    if options.groups == 0 || options.contacts == 0 {
        return Err(Failure::Options("there must be at least one group and one contact".to_owned()));
    }
    let group = options.contacts + 1;
    let count = options.groups * group;
    descriptors::provide(count.into())?;
    let mut hub = Hub::new()?;
    let mut ramp = Ramp::new(target);
    ramp.plan.presence = true;
    let sessions = ramp.all(&mut hub, target.first, count, target.parallel, &mut |_| Ok(()))?;
    let mut input = Input::new();
    friends::befriend(&mut hub, &mut input, &ramp.plan, &sessions, group as usize)?;

    let mut work = Presence::new(options, hub, input, &ramp.plan, &sessions);
    let usage = Course::new(options.flow, options.times, sessions.len()).run(&mut work, target)?;
    leave::leave(&mut work.hub, &sessions, &mut work.input);

    let mut report = Report::new("presence", "deliveries", target, work.tally.counted, usage);
    report.options = json!({
        "groups": options.groups, "contacts": options.contacts, "window": options.flow.window(),
        "rate": options.flow.rate(), "echoes_per_broadcast": work.echoes_per_broadcast(),
        "warm_up_s": options.times.warm_up.as_secs_f64(), "spin": options.times.spin.then_some(true),
    });
    report.faults = work.faults();
    report.latency = work.tally.latencies.quantiles();
    report.send_late = work.tally.late.quantiles();
    Ok(report)
}

impl<'a> Presence<'a> {
    fn new(options: &Options, hub: Hub, input: Input, plan: &'a Plan, sessions: &[Session]) -> Presence<'a> {
        let group = options.contacts as usize + 1;
        let window = usize::try_from(options.flow.window().unwrap_or(0)).unwrap_or(0);
        let users = sessions.iter().map(|session| User {
            conn: session.conn,
            sent: 0,
            sent_at: vec![0; window],
            ledgers: vec![Ledger::default(); group],
            errors: 0,
        });
        Presence {
            plan,
            hub,
            input,
            out: Vec::new(),
            users: users.collect(),
            roles: roles(sessions, |n| n),
            group,
            first: sessions.first().map_or(0, |session| session.user.0),
            tally: Tally::default(),
            echoes: 0,
            touched: Vec::new(),
        }
    }

    /// The others in a user's group.
    fn others(&self, n: usize) -> impl Iterator<Item = usize> + use<> {
        let first = n - n % self.group;
        (first..first + self.group).filter(move |other| *other != n)
    }

    /// Sends as many broadcasts of this user as the window allows: it is the slowest of the others that counts.
    fn fill(&mut self, course: &Course, n: usize) -> Result<(), Failure> {
        let place = n % self.group;
        let arrived = self.others(n).map(|other| self.users[other].ledgers[place].next()).min().unwrap_or(0);
        let user = &mut self.users[n];
        let window = user.sent_at.len() as u64;
        if user.sent >= arrived + window {
            return Ok(());
        }
        let now = course.now();
        self.out.clear();
        while user.sent < arrived + window {
            user.sent_at[(user.sent % window) as usize] = now;
            write(self.plan.run, user.sent, &mut self.out);
            user.sent += 1;
        }
        Ok(self.hub.send(user.conn, &self.out)?)
    }

    fn receive(&mut self, course: &Course, n: usize) -> Result<(), Failure> {
        let conn = self.users[n].conn;
        let read = self.hub.read(conn, &mut self.input)?;
        let now = course.now();
        while let Some(token) = self.input.next()? {
            let stanza = child(token)?;
            if stanza.name != b"presence" {
                continue;
            }
            if stanza.is_error() {
                self.users[n].errors += 1;
                continue;
            }
            let Some(number) = number_of(self.plan.run, &stanza) else { continue };
            let from = stanza.attribute("from").and_then(|from| self.plan.user_of(from));
            let from = from.and_then(|from| usize::try_from(from.0.checked_sub(self.first)?).ok());
            let Some(from) = from else { continue };
            if from == n {
                self.echoes += 1;
                continue;
            }
            // Somebody whose presence is none of their business, or a number that nobody has sent.
            if from / self.group != n / self.group || self.users[from].sent <= number {
                self.users[n].ledgers[n % self.group].altered();
                continue;
            }
            if self.users[n].ledgers[from % self.group].arrived(number) {
                self.tally.on_arrived(course, from, number, &self.users[from].sent_at, now);
                self.touched.push(from);
            }
        }
        self.hub.keep(conn, &self.input);
        closed(read, || format!("user {n}"))
    }

    #[allow(clippy::cast_precision_loss, reason = "no run counts to 2^52")]
    fn echoes_per_broadcast(&self) -> f64 {
        let sent: u64 = self.users.iter().map(|user| user.sent).sum();
        (self.echoes as f64 / sent.max(1) as f64 * 1_000.0).round() / 1_000.0
    }

    fn faults(&self) -> Faults {
        let mut sum = Faults::default();
        for (n, user) in self.users.iter().enumerate() {
            sum.errors += user.errors;
            sum.add(user.ledgers[n % self.group].faults(0));
            for other in self.others(n) {
                sum.add(user.ledgers[other % self.group].faults(self.users[other].sent));
            }
        }
        sum
    }
}

impl Work for Presence<'_> {
    fn hub(&mut self) -> &mut Hub {
        &mut self.hub
    }

    fn begin(&mut self, course: &Course) -> Result<(), Failure> {
        (0..self.users.len()).try_for_each(|n| self.fill(course, n))
    }

    fn send(&mut self, course: &Course, sender: usize, count: u64) -> Result<(), Failure> {
        let user = &mut self.users[sender];
        let now = course.now();
        self.out.clear();
        for _ in 0..count {
            self.tally.on_sent(course, sender, user.sent, now);
            write(self.plan.run, user.sent, &mut self.out);
            user.sent += 1;
        }
        Ok(self.hub.send(user.conn, &self.out)?)
    }

    fn on_ready(&mut self, course: &Course, conn: ConnId) -> Result<(), Failure> {
        let Some(n) = self.roles.get(conn.index()).copied().flatten() else { return Ok(()) };
        self.receive(course, n)?;
        while let Some(from) = self.touched.pop() {
            if course.refills() {
                self.fill(course, from)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, _: &Course) -> Result<(), Failure> {
        Ok(())
    }

    fn is_done(&self) -> bool {
        let has_all = |n: usize, other: usize| {
            self.users[n].ledgers[other % self.group].has_all(self.users[other].sent)
        };
        (0..self.users.len()).all(|n| self.others(n).all(|other| has_all(n, other)))
    }

    fn arrived(&self) -> u64 {
        self.tally.arrived
    }
}

/// A change of status that can be recognised.
fn write(run: u32, number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("<presence><status>{run:08x}.{number}</status></presence>").as_bytes());
}

/// Its number, if it is of this run.
fn number_of(run: u32, presence: &Stanza<'_>) -> Option<u64> {
    let status = presence.child("status")?.inner;
    let (of, number) = status.split_at_checked(9)?;
    let ours =
        of.strip_suffix(b".").and_then(|of| u32::from_str_radix(std::str::from_utf8(of).ok()?, 16).ok());
    if ours != Some(run) || number.is_empty() {
        return None;
    }
    number.iter().try_fold(0u64, |sum, digit| {
        digit.is_ascii_digit().then(|| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmpp::{Token, frame};

    #[test]
    fn a_status_is_recognised() {
        let mut out = Vec::new();
        write(0xab, 120, &mut out);
        let Ok(Some((Token::Stanza(presence), _))) = frame::next(&out) else { panic!("a stanza") };
        assert_eq!(number_of(0xab, &presence), Some(120));
        assert_eq!(number_of(0xac, &presence), None);
    }
}
