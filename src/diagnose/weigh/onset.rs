//! When it began, where the alert came late: by then most of what departed had departed.

use std::collections::BTreeMap;

use super::{Kind, Measured, Scene};
use crate::stats::{quantile_of_sorted, sorted};

/// At most so many rows before the alert are looked at.
const ROWS: usize = 12;
/// Rows needed before those.
const FEWEST: usize = 10;
/// Share of what departed that has to have departed.
const MOST: f64 = 0.6;

/// Services that have to tell of it where nobody says in which one the symptom is felt.
const TOLD_BY: usize = 2;

/// Seconds (0 or less) from the alert to the onset, told by the symptom's series, or by what all
/// services do to their callers.
///
/// Every service has one voice, however many series it has, and a single one is not enough where
/// the symptom's is not known: what was wrong with it may have been so for long, and have nothing
/// to do with the alert.
pub(super) fn onset(scene: &Scene) -> f64 {
    let felt = |s: &&Measured| {
        matches!(s.kind, Kind::Latency | Kind::Success | Kind::Errors)
            && !s.outgoing
            && scene.symptom.is_none_or(|(service, kind)| {
                s.service == service && kind.is_none_or(|k| k == s.kind)
            })
    };
    let mut told: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for series in scene.series.iter().filter(felt) {
        if let Some(found) = departed(series, scene.step) {
            told.entry(series.service).or_default().push(found);
        }
    }
    let voices: Vec<(f64, f64)> = told
        .into_values()
        .filter_map(|found| {
            let clearest = found.iter().map(|(_, weight)| *weight).fold(0.0, f64::max);
            Some((most(found)?.0, clearest))
        })
        .collect();
    let needed = if scene.symptom.is_some() { 1 } else { TOLD_BY };
    match most(voices) {
        Some((at, told_by)) if at <= -scene.step && told_by >= needed => at,
        _ => 0.0,
    }
}

/// By when most of what departed (time and weight each) had departed, and how many of them had.
fn most(mut found: Vec<(f64, f64)>) -> Option<(f64, usize)> {
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all: f64 = found.iter().map(|(_, weight)| weight).sum();
    let mut sum = 0.0;
    let (at, _) = found.iter().find(|(_, weight)| {
        sum += weight;
        sum >= MOST * all
    })?;
    Some((*at, found.iter().filter(|(other, _)| other <= at).count()))
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
