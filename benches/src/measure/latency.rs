//! How long things took.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longer than this counts as this.
const LONGEST: Duration = Duration::from_secs(600);

/// A histogram of durations, exact to 0.1 %.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

/// A histogram in figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    /// The mean, in microseconds, as all that follow.
    pub mean_us: f64,
    /// Half of them took at most so long.
    pub p50_us: f64,
    /// 90 %
    pub p90_us: f64,
    /// 99 %
    pub p99_us: f64,
    /// 99.9 %
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
    /// For plots: up to how many microseconds (growing by a fifth each), and how many took so long.
    pub buckets: Vec<(f64, u64)>,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::new()
    }
}

impl Latencies {
    /// An empty one.
    ///
    /// # Panics
    /// Never: the bounds are fixed and good.
    #[must_use]
    pub fn new() -> Latencies {
        let longest = u64::try_from(LONGEST.as_nanos()).expect("it fits");
        Latencies(Histogram::new_with_bounds(1, longest, 3).expect("good bounds"))
    }

    /// One more.
    pub fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// Several of the same.
    pub fn record_many(&mut self, nanos: u64, count: u64) {
        self.0.saturating_record_n(nanos, count);
    }

    /// In figures; none if nothing was measured.
    #[must_use]
    pub fn quantiles(&self) -> Option<Quantiles> {
        let h = &self.0;
        if h.is_empty() {
            return None;
        }
        let at = |q| micros(h.value_at_quantile(q));
        let buckets = h
            .iter_log(100, 1.2)
            .filter(|step| step.count_since_last_iteration() > 0)
            .map(|step| (micros(step.value_iterated_to()), step.count_since_last_iteration()))
            .collect();
        Some(Quantiles {
            count: h.len(),
            mean_us: h.mean() / 1_000.0,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: micros(h.max()),
            buckets,
        })
    }
}

#[allow(clippy::cast_precision_loss, reason = "no more than ten minutes")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_enough() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.quantiles(), None);
        for n in 1..=1_000 {
            latencies.record(n * 1_000);
        }
        latencies.record_many(5_000_000_000, 1);
        let q = latencies.quantiles().expect("figures");
        assert_eq!(q.count, 1_001);
        assert!((q.p50_us - 501.0).abs() < 2.0 && (q.p99_us - 991.0).abs() < 2.0, "{q:?}");
        assert!((q.max_us - 5_000_000.0).abs() < 5_000.0, "{q:?}");
        assert_eq!(q.buckets.iter().map(|b| b.1).sum::<u64>(), 1_001);
    }
}
