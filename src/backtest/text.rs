//! A backtest as text for a terminal.

use std::fmt::Write as _;

use super::report::{Differences, Figures, Lasted, Report, Side, end_of};
use super::spending::Spending;
use super::truth::Score;
use crate::model::figure::{count_text, n_of};
use crate::model::time::duration_text;
use crate::model::{Incident, Severity};

/// Incidents and anomalies listed at most; the HTML and the JSON have all.
const LISTED: usize = 20;

impl Report {
    /// The whole as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let read = &self.read;
        let _ = writeln!(
            out,
            "Read {} series with {} points from {}, usually one every {}.",
            read.n_series,
            count_text(read.n_points),
            read.from,
            duration_text(read.step_ms)
        );
        for gap in read.gaps.iter().take(LISTED) {
            let _ = writeln!(out, "Not read: {gap}");
        }
        more(&mut out, read.gaps.len(), "that were not read");
        for side in &self.sides {
            side_text(&mut out, side);
        }
        if let (Some(difference), [a, b]) = (&self.difference, self.sides.as_slice()) {
            difference_text(&mut out, difference, a, b);
        }
        out
    }
}

fn more(out: &mut String, n: usize, what: &str) {
    if n > LISTED {
        let _ = writeln!(out, "  … and {} more {what}", n - LISTED);
    }
}

fn side_text(out: &mut String, side: &Side) {
    let (o, f) = (&side.outcome, &side.figures);
    let _ = writeln!(
        out,
        "\n{}: {} to {} ({})",
        o.name,
        o.since.minute_text(),
        o.until.minute_text(),
        duration_text(o.until.ms_since(o.since))
    );
    for line in figures_text(f) {
        let _ = writeln!(out, "  {line}");
    }
    for (what, score) in [("anomalies", &side.anomalies), ("incidents", &side.incidents)] {
        if let Some(score) = score {
            let _ = writeln!(out, "  labels     {what}: {}", score_text(score));
        }
    }
    for incident in o.incidents.iter().take(LISTED) {
        let _ = writeln!(out, "  {}", incident_text(incident, o.until));
    }
    more(out, o.incidents.len(), "incidents");
}

/// Lines with the figures of a configuration.
pub(super) fn figures_text(f: &Figures) -> Vec<String> {
    let [critical, warning, info] = f.n_alerts;
    let mut anomalies = format!("anomalies  {}", f.n_anomalies);
    if f.n_anomalies > 0 {
        anomalies.push_str(&format!(", {:.1} a day", f.anomalies_a_day));
        if let Some((day, n)) = &f.busiest_day {
            anomalies.push_str(&format!(", most on {day}: {n}"));
        }
        anomalies.push_str(&format!("; {}", lasted_text(&f.anomalies_lasted)));
    }
    let mut alerts = format!(
        "alerts     {}: {critical} critical, {warning} warning, {info} info",
        critical + warning + info
    );
    if f.n_quiet > 0 {
        alerts.push_str(&format!("; {} kept quiet", f.n_quiet));
    }
    let mut incidents = format!("incidents  {}", f.n_incidents);
    if f.n_incidents > 0 {
        incidents.push_str(&format!(", {} over within 5 min", f.n_short));
        if f.n_open > 0 {
            incidents.push_str(&format!(", {} not over at the end", f.n_open));
        }
        if f.n_reopened > 0 {
            let times = n_of(u64::from(f.n_reopened), "time");
            incidents.push_str(&format!(", opened again {times}"));
        }
        incidents.push_str(&format!("; {}", lasted_text(&f.incidents_lasted)));
    } else if critical + warning == 0 && info > 0 {
        incidents.push_str(": alerts of severity info open none by themselves");
    }
    let mut lines = vec![anomalies];
    lines.extend(f.budget.iter().flat_map(Spending::lines));
    lines.extend([alerts, incidents]);
    lines
}

fn lasted_text(lasted: &Lasted) -> String {
    let text = |s: f64| duration_text((s * 1e3) as i64);
    format!(
        "lasted {} (median), {} (9 of 10 less), {} (longest)",
        text(lasted.median_s),
        text(lasted.p90_s),
        text(lasted.longest_s)
    )
}

/// Precision, recall and latency in one line.
pub(super) fn score_text(score: &Score) -> String {
    let share = |word: &str, share: Option<f64>| {
        share.map_or(String::new(), |s| format!(" ({word} {:.0} %)", s * 100.0))
    };
    let mut text = format!(
        "found {} of {}{}, {} of {} told right{}",
        score.n_found,
        n_of(score.n_faults as u64, "fault"),
        share("recall", score.recall),
        score.n_right,
        score.n_told,
        share("precision", score.precision)
    );
    if let Some(f1) = score.f1 {
        text.push_str(&format!(", F1 {f1:.2}"));
    }
    if let (Some(median), Some(p90)) = (score.latency_median_s, score.latency_p90_s) {
        let words = |s: f64| duration_text((s * 1e3) as i64);
        text.push_str(&format!(
            ", told after {} (median), {} (9 of 10)",
            words(median),
            words(p90)
        ));
    }
    text
}

/// An incident in one line.
pub(super) fn incident_text(incident: &Incident, until: crate::model::Time) -> String {
    let lasted = match end_of(incident) {
        Some(end) => duration_text(end.ms_since(incident.onset_at)),
        None => format!("over {}", duration_text(until.ms_since(incident.onset_at))),
    };
    format!(
        "#{} {}  {}  {lasted}  {}",
        incident.number,
        incident.onset_at.minute_text(),
        severity_word(incident.severity),
        incident.title
    )
}

/// The word for a severity.
pub(super) fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn difference_text(out: &mut String, difference: &Differences, a: &Side, b: &Side) {
    let _ = writeln!(out, "\nDifference of {} (A) to {} (B)", a.outcome.name, b.outcome.name);
    for (what, d) in [("anomalies", &difference.anomalies), ("incidents", &difference.incidents)] {
        let (earlier, later) = d.earlier_later();
        let _ = writeln!(
            out,
            "  {what}  only A {}, only B {}, both {} (A earlier {earlier}, B earlier {later})",
            d.only_a.len(),
            d.only_b.len(),
            d.both.len()
        );
    }
    for (side, places, letter) in
        [(a, &difference.incidents.only_a, 'A'), (b, &difference.incidents.only_b, 'B')]
    {
        for place in places.iter().take(LISTED) {
            let incident = &side.outcome.incidents[*place];
            let _ =
                writeln!(out, "  only {letter}: {}", incident_text(incident, side.outcome.until));
        }
        more(out, places.len(), &format!("incidents only in {letter}"));
    }
}
