//! When it began, where the alert came late: by then most of what departed had departed.

use super::{Kind, Measured, Scene};
use crate::stats::{quantile_of_sorted, sorted};

/// At most so many rows before the alert are looked at.
const ROWS: usize = 12;
/// Rows needed before those.
const FEWEST: usize = 10;
/// Share of what departed that has to have departed.
const MOST: f64 = 0.6;

/// Seconds (0 or less) from the alert to the onset, told by the symptom's series, or by what all
/// services do to their callers.
pub(super) fn onset(scene: &Scene) -> f64 {
    let felt = |s: &&Measured| {
        matches!(s.kind, Kind::Latency | Kind::Success | Kind::Errors)
            && !s.outgoing
            && scene.symptom.is_none_or(|(service, kind)| {
                s.service == service && kind.is_none_or(|k| k == s.kind)
            })
    };
    let mut found: Vec<(f64, f64)> =
        scene.series.iter().filter(felt).filter_map(|s| departed(s, scene.step)).collect();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all: f64 = found.iter().map(|(_, weight)| weight).sum();
    let mut sum = 0.0;
    for (at, weight) in found {
        sum += weight;
        if sum >= MOST * all {
            return if at <= -scene.step { at } else { 0.0 };
        }
    }
    0.0
}

/// When a series left its past for good, and how clearly.
fn departed(series: &Measured, step: f64) -> Option<(f64, f64)> {
    let points: Vec<(f64, f64)> =
        series.points.iter().copied().filter(|(_, v)| v.is_finite()).collect();
    let post = points.iter().position(|(t, _)| *t > -step)?;
    let from = post.saturating_sub(ROWS);
    if from < FEWEST {
        return None;
    }
    let past = sorted(&points[..from].iter().map(|p| p.1).collect::<Vec<_>>());
    let mid = quantile_of_sorted(&past, 0.5)?;
    let off = sorted(&past.iter().map(|v| (v - mid).abs()).collect::<Vec<_>>());
    let floor = if series.kind == Kind::Success { 0.001 } else { 0.03 };
    let usual = quantile_of_sorted(&off, 0.98)?
        .max(3.0 * quantile_of_sorted(&off, 0.5)?)
        .max(floor * mid.abs())
        .max(1e-12);
    let bad = |v: f64| if series.kind == Kind::Success { mid - v } else { v - mid };
    let rows = &points[post..(post + 3).min(points.len())];
    let size = rows.iter().map(|p| bad(p.1)).fold(f64::MAX, f64::min) / usual;
    if size < 1.3 {
        return None;
    }
    // Back from the alert to the first row that had departed.
    let out = |i: usize| bad(points[i].1) > 0.4 * size * usual;
    let first = (from..post).rev().take_while(|i| out(*i)).last().unwrap_or(post);
    // What goes further back than is looked at began with something else.
    (first > from).then(|| (points[first].0, (1.0 + size).ln()))
}
