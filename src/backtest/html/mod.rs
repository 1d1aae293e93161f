//! A backtest as one HTML file that needs nothing beside it: figures, a strip of time, incidents,
//! anomalies with their charts, labels and the difference. All words of telemetry are escaped.

mod budget;
mod strip;
mod tables;

use std::fmt::Write as _;

use super::report::{Report, Side};
use super::run::Picture;
use crate::chart::{self, Chart, Mark, MarkKind, Theme};
use crate::model::figure::count_text;
use crate::model::time::{MINUTE_MS, duration_text};
use crate::model::{AnomalyId, Time};

/// Charts drawn for one configuration.
const CHARTS: usize = 60;
/// Rows of a table.
const ROWS: usize = 500;

const STYLE: &str = include_str!("style.css");

impl Report {
    /// The whole as one HTML file. `at` is when it is written.
    #[must_use]
    pub fn html(&self, at: Time) -> String {
        let mut out = String::with_capacity(1 << 20);
        let read = &self.read;
        let _ = write!(
            out,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>Backtest of {}</title><style>{STYLE}</style></head><body><main>\
             <h1>Backtest of {}</h1><p class=\"soft\">{} series, {} points, usually one every {}. Written {}.</p>",
            escaped(&read.from),
            escaped(&read.from),
            read.n_series,
            count_text(read.n_points),
            duration_text(read.step_ms),
            at.minute_text()
        );
        tables::figures(&mut out, self);
        strip::strip(&mut out, self);
        tables::difference(&mut out, self);
        let named = self.sides.len() > 1;
        for (letter, side) in ['A', 'B'].into_iter().zip(&self.sides) {
            let of =
                if named { format!(" of {letter}: {}", side.outcome.name) } else { String::new() };
            tables::incidents(&mut out, &of, side);
            anomalies(&mut out, &of, side);
            budget::budget(&mut out, &of, side);
            tables::missed(&mut out, &of, side);
        }
        tables::unread(&mut out, self);
        out.push_str("</main></body></html>\n");
        out
    }
}

/// Charts of the anomalies, the greatest score first, and a table of all of them.
fn anomalies(out: &mut String, of: &str, side: &Side) {
    let claims = &side.outcome.claims;
    let _ = write!(out, "<h2>Anomalies{}</h2>", escaped(of));
    if claims.is_empty() {
        out.push_str("<p>None would have been told.</p>");
        return;
    }
    let mut drawn: Vec<&Picture> =
        side.outcome.pictures.iter().filter(|p| p.points.len() > 1).collect();
    let score =
        |id: AnomalyId| claims.iter().find(|c| c.anomaly.id == id).map_or(0.0, |c| c.anomaly.score);
    drawn.sort_by(|a, b| score(b.anomaly).total_cmp(&score(a.anomaly)));
    drawn.truncate(CHARTS);
    if !drawn.is_empty() {
        let _ = write!(
            out,
            "<p class=\"soft\">{} of {} with their charts, the strongest first; all stand in the \
             table below. The band is what was expected.</p><div class=\"charts\">",
            drawn.len(),
            claims.len()
        );
        for picture in drawn {
            let Some(claim) = claims.iter().find(|c| c.anomaly.id == picture.anomaly) else {
                continue;
            };
            let svg =
                chart::svg(&chart_of(picture, claim.anomaly.since, claim.told_at), Theme::Light);
            let _ = write!(
                out,
                "<figure id=\"a-{}\">{svg}<figcaption><b>{}</b> {}</figcaption></figure>",
                claim.anomaly.id,
                claim.anomaly.since.minute_text(),
                escaped(&claim.anomaly.why)
            );
        }
        out.push_str("</div>");
    }
    tables::anomalies(out, side);
}

fn chart_of(picture: &Picture, since: Time, told_at: Time) -> Chart {
    let series = &picture.series;
    let (first, last) = (picture.points[0].at, picture.points[picture.points.len() - 1].at);
    let until = last.max(first.plus_ms(MINUTE_MS));
    let mark = |at, kind, text: String| Mark { at, kind, text };
    let mut marks = vec![mark(since, MarkKind::Onset, "onset".into())];
    if told_at > since {
        let text = format!("told after {}", duration_text(told_at.ms_since(since)));
        marks.push(mark(told_at, MarkKind::Run, text));
    }
    marks.retain(|m| first <= m.at && m.at <= until);
    Chart {
        title: format!("{} · {}", series.entity.name(), series.metric),
        unit: series.unit.clone(),
        since: first,
        until,
        step_ms: series.step_ms.max(1),
        points: picture.points.clone(),
        bands: picture.bands.clone(),
        limit: series.limit,
        marks,
    }
}

/// Text as it stands in HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => {}
            c => out.push(c),
        }
    }
    out
}
