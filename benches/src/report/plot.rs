//! Reports as pictures.

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::Range;

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use serde::Deserialize;

use crate::measure::Memory;
use crate::measure::latency::Quantiles;

const SIZE: (u32, u32) = (900, 480);
const FONT: (&str, i32) = ("sans-serif", 15);
/// Easily told apart, also by those who do not see all colours.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 86, 86),
];
const MIB: f64 = (1 << 20) as f64;

/// What a plot needs of a report.
#[derive(Debug, Clone, Deserialize)]
pub struct Run {
    mode: String,
    label: String,
    latency: Option<Quantiles>,
    memory: Option<Memory>,
}

type Points = Vec<(f64, f64)>;

/// Reports from their JSON lines.
///
/// # Errors
/// A line is no report.
pub fn read(text: &str) -> Result<Vec<Run>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(n, line)| serde_json::from_str(line).map_err(|e| format!("line {}: {e}", n + 1))).collect()
}

/// How latencies are distributed, one curve for each label; none if no run has any.
#[must_use]
pub fn latency(runs: &[Run]) -> Option<String> {
    // By label, how many took up to so many nanoseconds.
    let mut sums: Vec<(String, BTreeMap<u64, u64>)> = Vec::new();
    for run in runs {
        let Some(latency) = &run.latency else { continue };
        let name = name(run);
        let at = sums.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
            sums.push((name, BTreeMap::new()));
            sums.len() - 1
        });
        for (us, count) in &latency.buckets {
            *sums[at].1.entry(nanos(*us)).or_default() += count;
        }
    }
    let curves: Vec<(String, Points)> = sums.into_iter().map(|(name, sum)| (name, shares(&sum))).collect();
    let all = || curves.iter().flat_map(|(_, points)| points);
    let low = all().map(|p| p.0).reduce(f64::min)?;
    let high = all().map(|p| p.0).fold(low, f64::max);
    let top = all().map(|p| p.1).fold(0.0, f64::max);
    let mut svg = String::new();
    let look = Look {
        x_desc: "latency",
        y_desc: "share of all, %",
        x_label: duration,
        y_labels: 56,
        filled: true,
        names: SeriesLabelPosition::MiddleRight,
    };
    draw(&mut svg, &curves, (low / 1.2..high * 1.2).log_scale(), 0.0..top * 1.05, &look).ok()?;
    Some(svg)
}

/// How the server's memory grows with sessions, one curve for each run; none if no run has one.
#[must_use]
pub fn memory(runs: &[Run]) -> Option<String> {
    let curves: Vec<(String, Points)> = runs
        .iter()
        .filter_map(|run| Some((run, run.memory.as_ref()?)))
        .filter(|(_, memory)| !memory.curve.is_empty())
        .map(|(run, memory)| (name(run), megabytes(memory)))
        .collect();
    let all = || curves.iter().flat_map(|(_, points)| points);
    let right = all().map(|p| p.0).reduce(f64::max)?;
    let top = all().map(|p| p.1).fold(0.0, f64::max);
    let mut svg = String::new();
    let look = Look {
        x_desc: "sessions",
        y_desc: "memory of the server (PSS), MiB",
        x_label: |sessions| whole(&sessions),
        y_labels: 64,
        filled: false,
        names: SeriesLabelPosition::UpperLeft,
    };
    draw(&mut svg, &curves, 0.0..right * 1.02, 0.0..top * 1.05, &look).ok()?;
    Some(svg)
}

fn name(run: &Run) -> String {
    if run.label.is_empty() { run.mode.clone() } else { run.label.clone() }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it was a whole number of nanoseconds"
)]
fn nanos(us: f64) -> u64 {
    (us * 1_000.0).round() as u64
}

/// Microseconds, and the share in percent that took about so long; zero on both sides.
#[allow(clippy::cast_precision_loss, reason = "no run counts to 2^52")]
fn shares(counts: &BTreeMap<u64, u64>) -> Points {
    let all: u64 = counts.values().sum();
    let share = |count: u64| count as f64 * 100.0 / all.max(1) as f64;
    let mut points = Points::new();
    for (ns, count) in counts {
        let us = *ns as f64 / 1_000.0;
        // Buckets grow by a fifth. Where some are missing nothing took so long, and the curve goes down to say so.
        let before = points.last().map_or(0.0, |p: &(f64, f64)| p.0);
        if us > before * 1.3 {
            if before > 0.0 {
                points.push((before * 1.2, 0.0));
            }
            points.push((us / 1.2, 0.0));
        }
        points.push((us, share(*count)));
    }
    if let Some(last) = points.last().copied() {
        points.push((last.0 * 1.2, 0.0));
    }
    points
}

#[allow(clippy::cast_precision_loss, reason = "no more than the memory of a machine")]
fn megabytes(memory: &Memory) -> Points {
    memory.curve.iter().map(|(sessions, bytes)| (*sessions as f64, *bytes as f64 / MIB)).collect()
}

/// What differs between one plot and another.
struct Look {
    x_desc: &'static str,
    y_desc: &'static str,
    x_label: fn(f64) -> String,
    /// Pixels for the labels of the y axis.
    y_labels: u32,
    /// The area under each curve has a tint of its colour.
    filled: bool,
    names: SeriesLabelPosition,
}

fn draw<X>(
    svg: &mut String,
    curves: &[(String, Points)],
    x: X,
    y: Range<f64>,
    look: &Look,
) -> Result<(), Box<dyn Error>>
where
    X: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
{
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(look.y_labels)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .x_desc(look.x_desc)
        .y_desc(look.y_desc)
        .x_label_formatter(&|x| (look.x_label)(*x))
        .y_label_formatter(&whole)
        .label_style(FONT)
        .draw()?;
    for ((name, points), colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        if look.filled {
            chart.draw_series(AreaSeries::new(points.iter().copied(), 0.0, colour.mix(0.15)))?;
        }
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
        chart.draw_series(line)?.label(name.clone()).legend(legend(*colour));
    }
    chart
        .configure_series_labels()
        .position(look.names.clone())
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(FONT)
        .draw()?;
    root.present()?;
    Ok(())
}

fn whole(number: &f64) -> String {
    format!("{number:.0}")
}

fn legend(colour: RGBColor) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
}

fn duration(us: f64) -> String {
    match us {
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us if us < 1_000_000.0 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.0} s", us / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_down_where_nothing_is() {
        let counts = BTreeMap::from([(100_000, 1), (120_000, 1), (200_000, 2)]);
        let text: Vec<String> =
            shares(&counts).iter().map(|(us, share)| format!("{us:.0} {share:.0}")).collect();
        assert_eq!(text, ["83 0", "100 25", "120 25", "144 0", "167 0", "200 50", "240 0"]);
    }
}
