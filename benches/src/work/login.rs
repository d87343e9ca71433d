//! Logging in and out again, as fast as so many at a time can.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::json;

use super::ramp::Ramp;
use super::{Failure, Target, Times};
use crate::measure::{Latencies, Snapshot};
use crate::net::{ConnId, Hub, Read, descriptors};
use crate::report::{Progress, Report};
use crate::xmpp::{Input, User};

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many accounts take turns.
    pub users: u32,
    /// Become available, too, before leaving.
    pub presence: bool,
    /// How long it takes; every user should have been in once while warming up, so that the tool has all keys.
    pub times: Times,
}

impl Default for Options {
    fn default() -> Options {
        Options { users: 200, presence: false, times: Times::default() }
    }
}

struct Logins {
    hub: Hub,
    ramp: Ramp,
    input: Input,
    /// Users that are out, who was out longest first.
    out: VecDeque<User>,
    /// Users that have closed their stream, by connection.
    leaving: Vec<Option<User>>,
    parallel: usize,
    patience: Duration,
    count: u64,
    latencies: Latencies,
}

/// Runs it.
///
/// # Errors
/// A login failed.
pub fn run(target: &Target, options: &Options) -> Result<Report, Failure> {
    if options.users == 0 || target.parallel == 0 {
        return Err(Failure::Options("there must be at least one user, and one login at a time".to_owned()));
    }
    descriptors::provide(u64::from(options.users))?;
    let mut ramp = Ramp::new(target);
    ramp.plan.presence = options.presence;
    let mut logins = Logins {
        hub: Hub::new()?,
        ramp,
        input: Input::new(),
        out: (0..options.users).map(|n| User(target.first + n)).collect(),
        leaving: Vec::new(),
        parallel: target.parallel,
        patience: options.times.patience,
        count: 0,
        latencies: Latencies::new(),
    };
    logins.go_on("warming up", options.times.warm_up)?;
    (logins.count, logins.latencies) = (0, Latencies::new());
    let before = Snapshot::take(target.server)?;
    logins.go_on("measuring", options.times.duration)?;
    let after = Snapshot::take(target.server)?;
    let mut report = Report::new("login", "logins", target, logins.count, after.since(&before));
    report.options = json!({
        "users": options.users, "presence": options.presence, "parallel": target.parallel,
        "warm_up_s": options.times.warm_up.as_secs_f64(),
    });
    report.latency = logins.latencies.quantiles();
    logins.finish()?;
    Ok(report)
}

impl Logins {
    fn go_on(&mut self, name: &str, duration: Duration) -> Result<(), Failure> {
        let begun = Instant::now();
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let mut progress = Progress::new(name, millis(duration));
        while begun.elapsed() < duration {
            while self.ramp.under_way() < self.parallel {
                let Some(user) = self.out.pop_front() else { break };
                self.ramp.start(&mut self.hub, user)?;
            }
            self.turn()?;
            progress.at(millis(begun.elapsed()));
            progress.say(|| format!("{} logins", self.count));
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Failure> {
        let mut ready = Vec::new();
        self.hub.wait(Some(Duration::from_millis(50)), &mut ready)?;
        for conn in ready {
            if self.ramp.has(conn) {
                self.log_in(conn)?;
            } else {
                self.log_out(conn);
            }
        }
        Ok(())
    }

    fn log_in(&mut self, conn: ConnId) -> Result<(), Failure> {
        let Some(session) = self.ramp.on_ready(&mut self.hub, conn, &mut self.input)? else { return Ok(()) };
        self.count += 1;
        self.latencies.record(session.nanos);
        self.hub.send(conn, b"</stream:stream>")?;
        self.leaving.resize(self.leaving.len().max(conn.index() + 1), None);
        self.leaving[conn.index()] = Some(session.user);
        Ok(())
    }

    /// Waits for the server to close its side, too.
    fn log_out(&mut self, conn: ConnId) {
        if matches!(self.hub.read(conn, &mut self.input), Ok(Read::Open)) {
            return;
        }
        self.hub.close(conn);
        if let Some(user) = self.leaving.get_mut(conn.index()).and_then(Option::take) {
            self.out.push_back(user);
        }
    }

    /// Lets those in that are on their way, and everybody out.
    fn finish(&mut self) -> Result<(), Failure> {
        let end = Instant::now() + self.patience;
        let is_out = |l: &Logins| l.ramp.under_way() == 0 && l.leaving.iter().all(Option::is_none);
        while !is_out(self) && Instant::now() < end {
            self.turn()?;
        }
        Ok(())
    }
}
