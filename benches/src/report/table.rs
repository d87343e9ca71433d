//! A report for people.

use std::fmt::{self, Display, Write as _};

use super::Report;
use crate::measure::Memory;
use crate::measure::latency::Quantiles;

/// From so many on, what others did on the machine spoils the figures.
const NOISE_CORES: f64 = 0.1;

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut line = |name: &str, value: String| lines.push((name.to_owned(), value));
        let label = if self.label.is_empty() { String::new() } else { format!("{}, ", self.label) };
        line(self.mode, format!("{label}{} ({}, {})", self.address, self.security, self.mechanism));
        if let Some(options) = self.options.as_object() {
            let given = options.iter().filter(|(_, value)| !value.is_null());
            line(
                "options",
                given.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", "),
            );
        }
        let usage = &self.usage;
        line(self.unit, format!("{} in {:.1} s, {:.0}/s", self.count, usage.seconds, self.rate_per_s));
        if let (Some(each), Some(cores)) = (self.server_cpu_us_each, usage.server_cores) {
            line("server CPU", format!("{each:.3} µs each, {cores:.2} cores"));
        }
        line("own CPU", format!("{:.3} µs each, {:.2} cores", self.own_cpu_us_each, usage.own_cores));
        if let Some(noise) = usage.noise_cores {
            let verdict = if noise > NOISE_CORES { ": too much, discard this run" } else { "" };
            line("others", format!("{noise:.2} cores{verdict}"));
        }
        if usage.stolen_cores > 0.01 {
            line("stolen", format!("{:.2} cores", usage.stolen_cores));
        }
        let times =
            [("latency", &self.latency), ("sent late", &self.send_late), ("acked after", &self.ack_latency)];
        for (name, quantiles) in times {
            if let Some(quantiles) = quantiles {
                line(name, times_of(quantiles));
            }
        }
        if let Some(memory) = &self.memory {
            line("memory", memory_of(memory));
        }
        line("arrived", self.verdict());
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in lines {
            writeln!(f, "{name:width$}  {value}")?;
        }
        Ok(())
    }
}

impl Report {
    fn verdict(&self) -> String {
        let faults = &self.faults;
        if faults.is_none() {
            return "each exactly once and in order".to_owned();
        }
        let mut text = String::new();
        for (count, what) in [
            (faults.lost, "lost"),
            (faults.doubled, "doubled"),
            (faults.swapped, "swapped"),
            (faults.altered, "altered"),
            (faults.errors, "errors"),
            (faults.unacked, "not acknowledged"),
            (faults.bad_acks, "false acknowledgements"),
        ] {
            if count > 0 {
                let comma = if text.is_empty() { "" } else { ", " };
                let _ = write!(text, "{comma}{count} {what}");
            }
        }
        text
    }
}

fn times_of(q: &Quantiles) -> String {
    let time = |us: f64| match us {
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us if us < 1_000_000.0 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    };
    let [p50, p99, p999, max] = [q.p50_us, q.p99_us, q.p999_us, q.max_us].map(time);
    format!("p50 {p50}, p99 {p99}, p99.9 {p999}, longest {max}")
}

fn memory_of(memory: &Memory) -> String {
    let pss = match memory.pss_per_session {
        Some(bytes) => format!("{bytes:.0} B of the server (PSS) for each session, "),
        None => String::new(),
    };
    format!(
        "{pss}{:.0} B of socket buffers, {:.0} B of kernel structures (both ends)",
        memory.socket_buffers_per_session, memory.kernel_slab_per_session
    )
}
