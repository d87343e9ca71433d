//! What a run came to, for machines and for people.
//!
//! Owns: the report, its JSON line and its table, the progress bars, the plots.
//! In: figures. Out: text and SVG.
//! Invariants: the JSON line goes to standard output and is all that goes there; everything for people goes to standard
//! error. Names of fields end in their unit.
//! Not here: how figures are measured (`measure`).

pub mod plot;
mod progress;
mod table;

use serde::Serialize;
use serde_json::Value;

use crate::measure::latency::Quantiles;
use crate::measure::{Memory, Usage};
use crate::work::{Faults, Target};
use crate::xmpp::Security;

pub use progress::Progress;

/// The result of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which mode.
    pub mode: &'static str,
    /// What the run was called.
    pub label: String,
    /// Where the server was.
    pub address: String,
    /// Where the other node was, to which every other user was connected.
    pub peer: Option<String>,
    /// What was under the streams.
    pub security: &'static str,
    /// How clients logged in.
    pub mechanism: &'static str,
    /// What else was asked for.
    pub options: Value,
    /// What is counted: `messages`, `logins` …
    pub unit: &'static str,
    /// How many of them there were while measuring.
    pub count: u64,
    /// The same per second.
    pub rate_per_s: f64,
    /// The server's CPU for each, in microseconds.
    pub server_cpu_us_each: Option<f64>,
    /// This tool's.
    pub own_cpu_us_each: f64,
    /// Who used the processors while measuring.
    #[serde(flatten)]
    pub usage: Usage,
    /// What went wrong over the whole run.
    #[serde(flatten)]
    pub faults: Faults,
    /// How long each took. At a fixed rate a message's time begins when it should have been sent.
    pub latency: Option<Quantiles>,
    /// At a fixed rate: how late this tool itself was, which is part of the latency.
    pub send_late: Option<Quantiles>,
    /// From a request for acknowledgement to its answer (XEP-0198).
    pub ack_latency: Option<Quantiles>,
    /// What sessions take.
    pub memory: Option<Memory>,
}

impl Report {
    /// Of so many of these.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "no run counts to 2^52")]
    pub fn new(mode: &'static str, unit: &'static str, target: &Target, count: u64, usage: Usage) -> Report {
        let each = |cpu_s: f64| cpu_s * 1e6 / count.max(1) as f64;
        Report {
            mode,
            label: target.label.clone(),
            address: target.address.to_string(),
            peer: target.peer.map(|peer| peer.to_string()),
            security: match target.security {
                Security::None => "none",
                Security::Starttls => "starttls",
                Security::Direct => "direct",
            },
            mechanism: target.mechanism.name(),
            options: Value::Null,
            unit,
            count,
            rate_per_s: count as f64 / usage.seconds,
            server_cpu_us_each: usage.server_cpu_s.map(each),
            own_cpu_us_each: each(usage.own_cpu_s),
            usage,
            faults: Faults::default(),
            latency: None,
            send_late: None,
            ack_latency: None,
            memory: None,
        }
    }

    /// One line for machines.
    ///
    /// # Panics
    /// Never: a report has no maps with keys other than text.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a report can be written")
    }
}
