//! The strip of time: when faults were, when incidents and anomalies would have been told.

use std::fmt::Write as _;

use super::super::report::{Report, end_of};
use super::escaped;
use crate::model::Time;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};

const WIDTH: f64 = 1140.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 1128.0;
const LANE: f64 = 26.0;
/// Marks of one lane; more would not be told apart.
const MARKS: usize = 4_000;
/// Distances between grid lines to choose from (ms).
const GRID: [i64; 12] = [
    MINUTE_MS,
    5 * MINUTE_MS,
    15 * MINUTE_MS,
    HOUR_MS,
    3 * HOUR_MS,
    6 * HOUR_MS,
    12 * HOUR_MS,
    DAY_MS,
    2 * DAY_MS,
    7 * DAY_MS,
    30 * DAY_MS,
    91 * DAY_MS,
];

struct Lane {
    name: String,
    colour: &'static str,
    stretches: Vec<(Time, Time, String)>,
}

/// Writes the strip; nothing where no time passed.
pub(super) fn strip(out: &mut String, report: &Report) {
    let Some(since) = report.sides.iter().map(|s| s.outcome.since).min() else { return };
    let until = report.sides.iter().map(|s| s.outcome.until).max().unwrap_or(since);
    if until <= since {
        return;
    }
    let lanes = lanes(report, until);
    let span = until.ms_since(since) as f64;
    let x = |at: Time| LEFT + (RIGHT - LEFT) * (at.ms_since(since) as f64 / span).clamp(0.0, 1.0);
    let height = 30.0 + LANE * lanes.len() as f64;
    let _ = write!(
        out,
        "<h2>Over time</h2><div class=\"strip\"><svg xmlns=\"http://www.w3.org/2000/svg\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"DejaVu Sans, Verdana, sans-serif\" \
         font-size=\"11\" role=\"img\"><title>When faults, incidents and anomalies were</title>"
    );
    let step = GRID.into_iter().find(|g| span / (*g as f64) <= 11.0).unwrap_or(365 * DAY_MS);
    let mut at = since.floor_to(step).plus_ms(step);
    while at < until {
        let text = at.minute_text();
        let shown = if step >= DAY_MS { &text[..10] } else { &text[5..16] };
        let _ = write!(
            out,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"18\" y2=\"{height}\" stroke=\"#e4e8ed\"/>\
             <text x=\"{0:.1}\" y=\"12\" text-anchor=\"middle\" fill=\"#5d6875\">{shown}</text>",
            x(at)
        );
        at = at.plus_ms(step);
    }
    for (i, lane) in lanes.iter().enumerate() {
        let y = 22.0 + LANE * i as f64;
        let _ = write!(
            out,
            "<text x=\"4\" y=\"{:.1}\" fill=\"#1c2430\">{} ({})</text>",
            y + 13.0,
            escaped(&lane.name),
            lane.stretches.len()
        );
        for (from, to, text) in lane.stretches.iter().take(MARKS) {
            let (left, right) = (x(*from), x(*to));
            let _ = write!(
                out,
                "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\" \
                 fill-opacity=\"0.7\"><title>{}</title></rect>",
                (right - left).max(1.5),
                LANE - 8.0,
                lane.colour,
                escaped(text)
            );
        }
    }
    out.push_str("</svg></div>");
}

fn lanes(report: &Report, until: Time) -> Vec<Lane> {
    let mut lanes = Vec::new();
    let faults: Vec<(Time, Time, String)> = report
        .faults
        .iter()
        .map(|(name, from, to)| (*from, *to, format!("{name}, {}", from.minute_text())))
        .collect();
    if !faults.is_empty() {
        lanes.push(Lane { name: "faults".into(), colour: "#1a6b43", stretches: faults });
    }
    let named = report.sides.len() > 1;
    for (letter, side) in ["A", "B"].into_iter().zip(&report.sides) {
        let name = |what: &str| if named { format!("{letter} {what}") } else { what.to_owned() };
        let o = &side.outcome;
        let incidents = o.incidents.iter().map(|i| {
            let text = format!("#{} {}", i.number, i.title);
            (i.onset_at, end_of(i).unwrap_or(until), text)
        });
        lanes.push(Lane {
            name: name("incidents"),
            colour: "#b92534",
            stretches: incidents.collect(),
        });
        let anomalies = o
            .claims
            .iter()
            .map(|c| (c.anomaly.since, c.anomaly.until.unwrap_or(until), c.anomaly.why.clone()));
        lanes.push(Lane {
            name: name("anomalies"),
            colour: "#2456c7",
            stretches: anomalies.collect(),
        });
    }
    lanes
}
