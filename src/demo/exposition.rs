//! The shop's metrics in Prometheus' text format, for a real Prometheus that scrapes it.
//!
//! One address stands for all exporters of the cluster, as a federation's does, so a scrape of it
//! needs `honor_labels: true`. Format:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::promql::answer::number;
use super::series::{FAMILIES, Kind, Series};
use super::world::World;
use super::world::frame::{Frame, N_ITEMS, Place};
use crate::model::{Labels, Time};

/// Longest stretch of event time (ms) over which a rate is taken as straight.
const CELL_MS: i64 = 15_000;
/// Most stretches of one reading: bounds what a reading after a long pause costs.
const MOST_CELLS: i64 = 240;

/// What the counters stand at. They begin at zero with the first reading, as those of exporters
/// that were just started do.
#[derive(Debug, Default)]
pub(super) struct Meters {
    read_at: Option<Time>,
    totals: BTreeMap<Place, Frame>,
    rates: BTreeMap<Place, Frame>,
}

impl Meters {
    /// Moves on to `now` and writes everything down.
    pub(super) fn read(&mut self, world: &World, series: &[Series], now: Time) -> String {
        let places: BTreeSet<Place> = series.iter().map(|s| s.place).collect();
        // Another reading at the same time, or by a clock that was asked a moment earlier.
        let since = self.read_at.unwrap_or(now);
        let until = now.max(since);
        for place in places {
            self.advance(world, place, since, until);
        }
        self.read_at = Some(until);
        let mut text = String::with_capacity(series.len() * 160);
        for family in FAMILIES {
            let mut members = members(series, family.name, family.kind);
            members.retain(|(_, s)| {
                s.only_on.is_none_or(|(service, replica, node)| {
                    world.node_of(service, replica, until) == node
                })
            });
            if members.is_empty() {
                continue;
            }
            writeln!(text, "# HELP {} {}", family.name, escaped(family.help, false))
                .expect("writing to a string can't fail");
            writeln!(text, "# TYPE {} {}", family.name, family.kind)
                .expect("writing to a string can't fail");
            for (_, one) in members {
                let from = if one.kind == Kind::Counter { &self.totals } else { &self.rates };
                sample(&mut text, one, one.read(&from[&one.place]));
            }
        }
        text
    }

    /// Adds up the rates of a place, as trapezoids.
    fn advance(&mut self, world: &World, place: Place, since: Time, until: Time) {
        let total = self.totals.entry(place).or_insert([0.0; N_ITEMS]);
        let span_ms = until.ms_since(since);
        let n_cells = (span_ms / CELL_MS + 1).min(MOST_CELLS);
        let mut before = match self.rates.get(&place) {
            Some(frame) if span_ms > 0 => *frame,
            _ => world.frame(place, until, true),
        };
        if span_ms > 0 {
            let cell_s = span_ms as f64 / n_cells as f64 / 1_000.0;
            for n in 1..=n_cells {
                let after = world.frame(place, since.plus_ms(span_ms * n / n_cells), true);
                for ((total, a), b) in total.iter_mut().zip(&before).zip(&after) {
                    *total += f64::midpoint(*a, *b) * cell_s;
                }
                before = after;
            }
        }
        self.rates.insert(place, before);
    }
}

/// Where a sample stands in its family: by labels, then buckets in order, sum, count.
type Position = (Labels, u8, u64);

/// The series of a family in the order in which they are written.
fn members<'a>(series: &'a [Series], family: &str, kind: &str) -> Vec<(Position, &'a Series)> {
    let names: Vec<(u8, String)> = match kind {
        "histogram" => ["_bucket", "_sum", "_count"]
            .iter()
            .zip(0..)
            .map(|(suffix, n)| (n, format!("{family}{suffix}")))
            .collect(),
        _ => vec![(0, family.to_owned())],
    };
    let mut all: Vec<(Position, &Series)> = Vec::new();
    for (n, name) in names {
        let first = series.partition_point(|s| s.name < name.as_str());
        for one in series[first..].iter().take_while(|s| s.name == name) {
            let bound = one.labels.get("le").and_then(|le| le.parse::<f64>().ok());
            // Bounds are positive, and positive floats are in the order of their bits.
            let bound = bound.unwrap_or(f64::INFINITY).to_bits();
            all.push(((one.labels.without(&["le"]), n, bound), one));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn sample(text: &mut String, series: &Series, value: f64) {
    text.push_str(series.name);
    for (n, (name, value)) in series.labels.iter().enumerate() {
        text.push(if n == 0 { '{' } else { ',' });
        write!(text, "{name}=\"{}\"", escaped(value, true))
            .expect("writing to a string can't fail");
    }
    if !series.labels.0.is_empty() {
        text.push('}');
    }
    text.push(' ');
    text.push_str(&number(value));
    text.push('\n');
}

/// A text as the format wants it: backslash and line feed escaped, between quotes the quote too.
fn escaped(text: &str, quoted: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quoted { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests;
