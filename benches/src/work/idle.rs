//! Sessions that do nothing, and what memory they take.

use std::time::{Duration, Instant};

use serde_json::json;

use super::leave::leave;
use super::ramp::{Ramp, idle};
use super::{Failure, Target};
use crate::measure::{MemoryMeter, Snapshot};
use crate::net::{Hub, descriptors};
use crate::report::{Progress, Report};
use crate::xmpp::Input;

/// Points of the memory curve.
const POINTS: u32 = 100;

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Sessions whose memory is measured.
    pub sessions: u32,
    /// Sessions before them, which make the server grow what it grows once.
    pub before: u32,
    /// Contacts in each roster.
    pub roster: u32,
    /// Become available.
    pub presence: bool,
    /// How long they stay idle before the second measurement.
    pub hold: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { sessions: 1000, before: 100, roster: 0, presence: true, hold: Duration::from_secs(10) }
    }
}

/// Runs it.
///
/// # Errors
/// A session did not come up, or ended.
pub fn run(target: &Target, options: &Options) -> Result<Report, Failure> {
    let all = options.before + options.sessions;
    if options.sessions == 0 {
        return Err(Failure::Options("there must be at least one session".to_owned()));
    }
    descriptors::provide(all.into())?;
    let mut hub = Hub::new()?;
    let mut ramp = Ramp::new(target);
    (ramp.plan.presence, ramp.plan.roster) = (options.presence, options.roster);
    let mut sessions = ramp.all(&mut hub, target.first, options.before, target.parallel, &mut |_| Ok(()))?;
    let mut input = Input::new();
    // What the first sessions made the server do is to be over.
    hold(&mut hub, options.hold.min(Duration::from_secs(2)), &mut input, &sessions, "settling")?;

    let mut meter = MemoryMeter::new(target.server);
    meter.base(options.before.into())?;
    let every = u64::from((options.sessions / POINTS).max(1));
    let mut count = u64::from(options.before);
    let more =
        ramp.all(&mut hub, target.first + options.before, options.sessions, target.parallel, &mut |_| {
            count += 1;
            if count.is_multiple_of(every) {
                meter.point(count)?;
            }
            Ok(())
        })?;
    sessions.extend(more);
    let before = Snapshot::take(target.server)?;
    hold(&mut hub, options.hold, &mut input, &sessions, "idling")?;
    let after = Snapshot::take(target.server)?;
    let memory = meter.finish(all.into())?;
    leave(&mut hub, &sessions, &mut input);

    let mut report =
        Report::new("idle", "sessions", target, u64::from(options.sessions), after.since(&before));
    report.options = json!({
        "sessions": options.sessions, "before": options.before, "roster": options.roster,
        "presence": options.presence, "hold_s": options.hold.as_secs_f64(),
    });
    report.memory = Some(memory);
    Ok(report)
}

/// Does nothing for so long; what comes is read.
fn hold(
    hub: &mut Hub,
    duration: Duration,
    input: &mut Input,
    sessions: &[super::Session],
    name: &str,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut progress = Progress::new(name, u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    let mut ready = Vec::new();
    while begun.elapsed() < duration {
        hub.wait(Some(Duration::from_millis(100)), &mut ready)?;
        for conn in &ready {
            idle(hub, *conn, input, sessions)?;
        }
        progress.at(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
    }
    Ok(())
}
