//! The drawing routine: a chart as SVG, with nothing in it but shapes and escaped words.

use std::fmt::Write as _;

use super::scale::{axis_unit, time_ticks, value_ticks};
use super::{Chart, Mark, MarkKind, Theme};
use crate::model::{Band, Point, Time, figure};

/// Nominal width in pixels.
pub const WIDTH: u32 = 860;
/// Nominal height in pixels.
pub const HEIGHT: u32 = 300;

/// Edges of the plot. Above it: the title, then lanes for what the marks say.
const LEFT: f64 = 72.0;
const RIGHT: f64 = 846.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 268.0;
/// Middle of the first lane, and the distance between lanes.
const LANE: f64 = 42.0;
const LANE_STEP: f64 = 16.0;
const N_LANES: usize = 3;
/// Size of all words but the title, in pixels.
const TEXT: f64 = 11.0;

/// Attributes instead of a style sheet: they need no exception from the console's content policy.
struct Colours {
    ground: &'static str,
    text: &'static str,
    soft: &'static str,
    grid: &'static str,
    line: &'static str,
    outside: &'static str,
    change: &'static str,
    run: &'static str,
}

/// Every word has a contrast of at least 4.5 to the ground (WCAG 2.2, 1.4.3).
fn colours(theme: Theme) -> Colours {
    match theme {
        Theme::Light => Colours {
            ground: "#ffffff",
            text: "#1c2430",
            soft: "#5d6875",
            grid: "#e4e8ed",
            line: "#2456c7",
            outside: "#c22f3d",
            change: "#8f5700",
            run: "#1a6b43",
        },
        Theme::Dark => Colours {
            ground: "#1a2029",
            text: "#e4e9ef",
            soft: "#9eaab7",
            grid: "#2d3642",
            line: "#7aa5ff",
            outside: "#ff7a85",
            change: "#f0b35c",
            run: "#64cf98",
        },
    }
}

/// The chart as SVG of [`WIDTH`] by [`HEIGHT`].
#[must_use]
pub fn svg(chart: &Chart, theme: Theme) -> String {
    let c = colours(theme);
    let plot = Plot::of(chart);
    let mut out = String::with_capacity(16 * 1024);
    let _ = write!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="{TEXT}"><title>{}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="{}"/>"#,
        escaped(&summary(chart)),
        c.ground
    );
    let title = shortened(&title(chart), RIGHT - 16.0, 13.0);
    text(&mut out, (16.0, 22.0), c.text, r#" font-size="13""#, &title);
    axes(&mut out, chart, &plot, &c);
    bands(&mut out, chart, &plot, &c);
    limit(&mut out, chart, &plot, &c);
    let marks = placed(&chart.marks, &plot);
    for mark in &marks {
        stem(&mut out, mark, &c);
    }
    line(&mut out, chart, &plot, &c);
    for mark in &marks {
        flag(&mut out, mark, &c);
    }
    out.push_str("</svg>\n");
    out
}

/// The title, with the unit where the value axis does not say it.
fn title(chart: &Chart) -> String {
    let unit = chart.unit.replace(['{', '}'], "");
    if unit.is_empty() || !axis_unit(&chart.unit, 1.0).suffix.is_empty() {
        return chart.title.clone();
    }
    format!("{} ({unit})", chart.title)
}

/// What the chart says to somebody who can't see it.
fn summary(chart: &Chart) -> String {
    let newest = chart.points.last().map(|p| figure(p.value, &chart.unit));
    let newest = newest.map(|v| format!(", {v} at the end")).unwrap_or_default();
    let (since, until) = (chart.since.minute_text(), chart.until.minute_text());
    format!("{} from {since} to {until}{newest}", chart.title)
}

/// Where values and times lie on the picture.
struct Plot {
    since: Time,
    range_ms: f64,
    low: f64,
    high: f64,
}

impl Plot {
    fn of(chart: &Chart) -> Self {
        let values = || chart.points.iter().map(|p| p.value).filter(|v| v.is_finite());
        let edges = || chart.bands.iter().flat_map(|(_, b)| [b.low, b.high]);
        let all = || values().chain(edges().filter(|v| v.is_finite()));
        let mut low = all().fold(f64::INFINITY, f64::min);
        let mut high = all().fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // A band may reach below zero where no value can.
        if values().all(|v| v >= 0.0) {
            low = low.max(0.0);
        }
        // A limit belongs to the picture where the signal comes near it.
        if let Some(limit) = chart.limit.filter(|l| l.is_finite() && *l < high * 2.0) {
            high = high.max(limit);
        }
        if low > 0.0 && low < high * 0.6 {
            low = 0.0;
        }
        if high - low <= f64::EPSILON * high.abs().max(1.0) {
            high = low + low.abs().max(1.0);
        }
        let range_ms = chart.until.ms_since(chart.since).max(1) as f64;
        Self { since: chart.since, range_ms, low, high: high + (high - low) * 0.06 }
    }

    fn x(&self, at: Time) -> f64 {
        LEFT + (at.ms_since(self.since) as f64 / self.range_ms).clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        BOTTOM - share.clamp(0.0, 1.0) * (BOTTOM - TOP)
    }
}

fn axes(out: &mut String, chart: &Chart, plot: &Plot, c: &Colours) {
    for (value, label) in value_ticks(plot.low, plot.high, &chart.unit) {
        let y = plot.y(value);
        let _ = write!(
            out,
            r#"<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1}" y2="{y:.1}" stroke="{}"/>"#,
            c.grid
        );
        text(out, (LEFT - 8.0, y + 4.0), c.soft, r#" text-anchor="end""#, &label);
    }
    for (at, label) in time_ticks(chart.since, chart.until, 8) {
        let x = plot.x(at);
        let _ = write!(
            out,
            r#"<line x1="{x:.1}" x2="{x:.1}" y1="{BOTTOM}" y2="{}" stroke="{}"/>"#,
            BOTTOM + 4.0,
            c.soft
        );
        // The corner is kept for the time zone.
        if x < RIGHT - 44.0 {
            text(out, (x, BOTTOM + 18.0), c.soft, r#" text-anchor="middle""#, &label);
        }
    }
    text(out, (RIGHT, BOTTOM + 18.0), c.soft, r#" text-anchor="end""#, "UTC");
}

fn bands(out: &mut String, chart: &Chart, plot: &Plot, c: &Colours) {
    let Some((first, last)) = chart.bands.first().zip(chart.bands.last()) else { return };
    let mut all = vec![(chart.since, first.1)];
    all.extend(chart.bands.iter().filter(|(at, _)| *at > chart.since && *at < chart.until));
    all.push((chart.until, last.1));
    let corner = |at: Time, value| format!("{:.1} {:.1}", plot.x(at), plot.y(value));
    let top = all.iter().map(|(at, b)| corner(*at, b.high));
    let bottom = all.iter().rev().map(|(at, b)| corner(*at, b.low));
    let corners: Vec<String> = top.chain(bottom).collect();
    let _ = write!(
        out,
        r#"<polygon points="{}" fill="{}" fill-opacity="0.14"/>"#,
        corners.join(" "),
        c.line
    );
    // Where no value can be below zero, a band that reaches there says nothing more than zero.
    let low = if plot.low >= 0.0 { first.1.low.max(0.0) } else { first.1.low };
    let (low, high) = (figure(low, &chart.unit), figure(first.1.high, &chart.unit));
    // Where the range begins marks are rare. Above the band, or below where it reaches the top.
    let y = plot.y(first.1.high) - 5.0;
    let y = if y < TOP + 12.0 { plot.y(first.1.low) + 13.0 } else { y };
    let at = (LEFT + 4.0, y.min(BOTTOM - 4.0));
    halo(out, at, (c.soft, c.ground), "", &format!("expected {low} to {high}"));
}

fn limit(out: &mut String, chart: &Chart, plot: &Plot, c: &Colours) {
    let Some(limit) = chart.limit.filter(|l| plot.low <= *l && *l <= plot.high) else { return };
    let y = plot.y(limit);
    let _ = write!(
        out,
        r#"<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1}" y2="{y:.1}" stroke="{}" stroke-dasharray="6 4"/>"#,
        c.soft
    );
    let said = format!("limit {}", figure(limit, &chart.unit));
    halo(out, (LEFT + 4.0, y - 4.0), (c.soft, c.ground), "", &said);
}

/// The points that are drawn: of each pixel's column the first, least, greatest and last, which
/// draws the same line as all of them (M4 aggregation, Jugel et al., VLDB 2014).
fn thinned(points: &[Point], plot: &Plot) -> Vec<Point> {
    let finite: Vec<Point> = points.iter().copied().filter(|p| p.value.is_finite()).collect();
    if finite.len() <= 4 * (RIGHT - LEFT) as usize {
        return finite;
    }
    let column = |p: &Point| plot.x(p.at) as i64;
    let mut kept = Vec::new();
    for part in finite.chunk_by(|a, b| column(a) == column(b)) {
        let by = |a: &&Point, b: &&Point| a.value.total_cmp(&b.value);
        let extremes = [part.first(), part.iter().min_by(by), part.iter().max_by(by), part.last()];
        let mut few: Vec<Point> = extremes.into_iter().flatten().copied().collect();
        few.sort_by_key(|p| p.at);
        few.dedup_by_key(|p| p.at);
        kept.extend(few);
    }
    kept
}

/// What was expected at a time; between two known times the nearer one.
fn expected(bands: &[(Time, Band)], at: Time) -> Option<Band> {
    let next = bands.partition_point(|(t, _)| *t <= at);
    let near = [next.checked_sub(1), Some(next)].into_iter().flatten();
    let near = near.filter_map(|i| bands.get(i));
    near.min_by_key(|(t, _)| t.ms_since(at).abs()).map(|(_, b)| *b)
}

/// Whether data is missing before a point: it is far from the one before, measured by its
/// neighbours' distances (history is kept at wider steps than what is live).
fn hole(points: &[Point], i: usize, widest: i64) -> bool {
    let step = |i: usize| {
        let (from, to) = (points.get(i.checked_sub(1)?)?, points.get(i)?);
        Some(to.at.ms_since(from.at))
    };
    let near = [i.checked_sub(1).and_then(step), step(i + 1)].into_iter().flatten().max();
    step(i).is_some_and(|own| own > widest.max(3 * near.unwrap_or(0)))
}

fn line(out: &mut String, chart: &Chart, plot: &Plot, c: &Colours) {
    let points = thinned(&chart.points, plot);
    let widest = (3 * chart.step_ms).max((plot.range_ms / 200.0) as i64);
    let outside = |p: &Point| {
        expected(&chart.bands, p.at).is_some_and(|b| p.value > b.high || p.value < b.low)
    };
    let (mut inner, mut outer) = (String::new(), String::new());
    let mut before: Option<(&Point, bool)> = None;
    for (i, p) in points.iter().enumerate() {
        let is_outside = outside(p);
        let path = if is_outside { &mut outer } else { &mut inner };
        let (x, y) = (plot.x(p.at), plot.y(p.value));
        match before.filter(|_| !hole(&points, i, widest)) {
            Some((_, same)) if same == is_outside => {
                let _ = write!(path, "L{x:.1} {y:.1}");
            }
            Some((b, _)) => {
                let (from_x, from_y) = (plot.x(b.at), plot.y(b.value));
                let _ = write!(path, "M{from_x:.1} {from_y:.1}L{x:.1} {y:.1}");
            }
            // A point without neighbours is a dot: a line of no length with round ends.
            None => {
                let _ = write!(path, "M{x:.1} {y:.1}h0");
            }
        }
        before = Some((p, is_outside));
    }
    for (path, colour) in [(inner, c.line), (outer, c.outside)] {
        if !path.is_empty() {
            let _ = write!(
                out,
                r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linecap="round"/>"#
            );
        }
    }
}

/// A mark with its place.
struct Placed<'a> {
    mark: &'a Mark,
    x: f64,
    lane: usize,
    said: String,
    /// Its words stand left of it.
    left: bool,
}

/// Gives every mark a lane in which its words touch no other's; words that fit nowhere are left
/// out, their mark stays.
fn placed<'a>(marks: &'a [Mark], plot: &Plot) -> Vec<Placed<'a>> {
    let mut taken: [Vec<(f64, f64)>; N_LANES] = Default::default();
    let mut all = Vec::new();
    // The onset has the first choice.
    let mut order: Vec<&Mark> = marks.iter().collect();
    order.sort_by_key(|m| (m.kind, m.at));
    for mark in order {
        let x = plot.x(mark.at);
        let words = format!("{} {}", mark.at.clock_text(), mark.text);
        let room = (x - LEFT).max(RIGHT - x) - 12.0;
        let said = shortened(&words, room.min(400.0), TEXT);
        let left = x + 12.0 + width(&said, TEXT) > RIGHT;
        let span = if left {
            (x - 14.0 - width(&said, TEXT), x + 8.0)
        } else {
            (x - 8.0, x + 14.0 + width(&said, TEXT))
        };
        let free = |lane: &[(f64, f64)]| lane.iter().all(|t| span.1 < t.0 || t.1 < span.0);
        let found = taken.iter().position(|lane| free(lane));
        let lane = found.unwrap_or(N_LANES - 1);
        if found.is_some() {
            taken[lane].push(span);
        }
        let said = if found.is_some() { said } else { String::new() };
        all.push(Placed { mark, x, lane, said, left });
    }
    all
}

fn colour_of(kind: MarkKind, c: &Colours) -> &'static str {
    match kind {
        MarkKind::Onset => c.outside,
        MarkKind::Change => c.change,
        MarkKind::Run => c.run,
    }
}

/// The line from a mark's words down to the time axis.
fn stem(out: &mut String, m: &Placed<'_>, c: &Colours) {
    let dashes = if m.mark.kind == MarkKind::Onset { r#" stroke-dasharray="4 3""# } else { "" };
    let y = LANE + m.lane as f64 * LANE_STEP;
    let _ = write!(
        out,
        r#"<line x1="{0:.1}" x2="{0:.1}" y1="{y}" y2="{BOTTOM}" stroke="{1}"{dashes}/>"#,
        m.x,
        colour_of(m.mark.kind, c)
    );
}

/// A mark's shape and words: a circle for the onset, a diamond for a change, a triangle for a run.
fn flag(out: &mut String, m: &Placed<'_>, c: &Colours) {
    let (x, y, colour) = (m.x, LANE + m.lane as f64 * LANE_STEP, colour_of(m.mark.kind, c));
    let _ = match m.mark.kind {
        MarkKind::Onset => write!(out, r#"<circle cx="{x:.1}" cy="{y}" r="4" fill="{colour}"/>"#),
        MarkKind::Change => {
            write!(out, r#"<path d="M{x:.1} {}l5 5l-5 5l-5 -5z" fill="{colour}"/>"#, y - 5.0)
        }
        MarkKind::Run => {
            write!(out, r#"<path d="M{:.1} {}l9 5l-9 5z" fill="{colour}"/>"#, x - 4.0, y - 5.0)
        }
    };
    if m.said.is_empty() {
        return;
    }
    let (at, anchor) = if m.left { (x - 9.0, r#" text-anchor="end""#) } else { (x + 9.0, "") };
    halo(out, (at, y + 4.0), (colour, c.ground), anchor, &m.said);
}

fn text(out: &mut String, (x, y): (f64, f64), fill: &str, more: &str, words: &str) {
    let _ =
        write!(out, r#"<text x="{x:.1}" y="{y:.1}" fill="{fill}"{more}>{}</text>"#, escaped(words));
}

/// Words that stay readable on lines: the ground's colour lies beneath them.
fn halo(out: &mut String, at: (f64, f64), (fill, ground): (&str, &str), more: &str, words: &str) {
    let under = format!(
        r#" stroke="{ground}" stroke-width="3" stroke-linejoin="round" paint-order="stroke"{more}"#
    );
    text(out, at, fill, &under, words);
}

/// Text as XML takes it. What XML 1.0 can't carry at all (section 2.2) is left out.
fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// About how wide words are, on the safe side of `DejaVu` Sans' own widths.
fn width(words: &str, size: f64) -> f64 {
    let of = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'I' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' | ' ' => 0.38,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.98,
        'A'..='Z' | '→' => 0.76,
        c if c.is_ascii() => 0.64,
        c if c < '\u{2000}' => 0.7,
        _ => 1.0,
    };
    words.chars().map(of).sum::<f64>() * size
}

/// Words cut to a width, with an ellipsis where something was cut.
fn shortened(words: &str, most: f64, size: f64) -> String {
    if width(words, size) <= most {
        return words.to_owned();
    }
    let mut kept = String::new();
    for c in words.chars() {
        if width(&kept, size) + 2.0 * size > most {
            break;
        }
        kept.push(c);
    }
    format!("{}…", kept.trim_end())
}
