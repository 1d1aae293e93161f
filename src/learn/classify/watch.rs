//! The watch over a version: whether incidents are still such as it was trained on, and whether
//! its answers are still as good as its card says. Pure.
//!
//! A feature has moved when its population stability index, the sum over bins of
//! `(p - q) ln(p / q)`, is above what 0.25, the customary mark of another population, and chance
//! together explain: for samples of `n` and `m` from one population the index times `nm / (n + m)`
//! is about chi-squared with one degree of freedom less than bins (Yurdakul and Naranjo 2020).
//! Answers have become worse when the share of right ones fell by three standard errors of the
//! difference to the card's: it is looked at every hour, and two would be crossed by chance.

use std::collections::BTreeMap;

use super::features::FEATURES_VERSION;
use super::known::own_values;
use super::rows::Case;
use crate::model::Time;
use crate::model::classify::{
    HeadCard, LiveFigures, ModelCard, Prediction, Question, Spread, Watch,
};
use crate::model::id::IncidentId;
use crate::stats::{quantile, sorted};

/// Bins of a feature, beside the one for what was not known.
const BINS: usize = 5;
/// Incidents since training below which nothing is said of features.
const LEAST: usize = 30;
/// Incidents that are compared, the newest.
const MOST: usize = 200;
/// The index from which on a population is another one.
const MOVED: f64 = 0.25;
/// Answers with a known truth below which nothing is said of them.
const LEAST_ANSWERS: usize = 12;
/// Standard errors below the card at which answers have become worse.
const FALLEN: f64 = 3.0;
/// Share of a version's looks that may lie on moved features before it drifts.
const MOST_MOVED: f64 = 0.3;

/// Where each feature lies over some cases.
pub(super) fn spreads<'a>(cases: impl Iterator<Item = &'a Case>) -> Vec<Spread> {
    let rows: Vec<Vec<f64>> = cases.map(|c| own_values(&c.snapshot.features)).collect();
    let spread = |(i, (name, _)): (usize, &(&str, &str))| {
        let known: Vec<f64> = rows.iter().map(|r| r[i]).filter(|v| v.is_finite()).collect();
        let borders = borders(&known);
        let counts = count(&borders, rows.iter().map(|r| r[i]));
        Spread { feature: (*name).to_owned(), borders, counts }
    };
    super::features::FEATURES.iter().enumerate().map(spread).collect()
}

/// Borders between bins, each the greatest value of the bin below it: quantiles, and what sets a
/// value that many incidents have, such as 0, apart from its neighbours.
fn borders(known: &[f64]) -> Vec<f64> {
    let quantiles = (1..BINS).filter_map(|q| quantile(known, q as f64 / BINS as f64));
    let mut borders: Vec<f64> = quantiles.collect();
    let values = sorted(known);
    let mut at = 0;
    while at < values.len() {
        let same = values[at..].iter().take_while(|v| **v == values[at]).count();
        if same * 10 >= values.len() {
            borders.extend((at > 0).then(|| f64::midpoint(values[at - 1], values[at])));
            borders.push(values[at]);
        }
        at += same;
    }
    borders.sort_unstable_by(f64::total_cmp);
    borders.dedup();
    borders
}

/// How many values lie in each bin; the last counts what is not known.
fn count(borders: &[f64], values: impl Iterator<Item = f64>) -> Vec<u32> {
    let mut counts = vec![0; borders.len() + 2];
    for value in values {
        let bin = if value.is_finite() {
            borders.partition_point(|b| *b < value)
        } else {
            borders.len() + 1
        };
        counts[bin] += 1;
    }
    counts
}

/// The population stability index of two counts, and what chance alone explains of it 99 times of
/// 100. Half a case is added to every bin, so that an empty one is not infinitely far off.
fn index(was: &[u32], is: &[u32]) -> (f64, f64) {
    let used: Vec<(f64, f64)> = was
        .iter()
        .zip(is)
        .filter(|(a, b)| **a + **b > 0)
        .map(|(a, b)| (f64::from(*a) + 0.5, f64::from(*b) + 0.5))
        .collect();
    let (n, m) = used.iter().fold((0.0, 0.0), |(n, m), (a, b)| (n + a, m + b));
    let one = |(a, b): &(f64, f64)| (a / n - b / m) * ((a / n) / (b / m)).ln();
    let free = used.len().saturating_sub(1) as f64;
    // Wilson and Hilferty's approximation of the 99 % quantile of chi-squared (1931).
    let chi = if free > 0.0 {
        free * (1.0 - 2.0 / (9.0 * free) + 2.326 * (2.0 / (9.0 * free)).sqrt()).powi(3)
    } else {
        0.0
    };
    (used.iter().map(one).sum(), chi * (1.0 / n + 1.0 / m))
}

/// How many standard errors the share of right ones lies below that of the card, by one share for
/// both with one right and one wrong answer added.
fn fallen((right, n): (usize, usize), (card_right, card_n): (usize, usize)) -> f64 {
    if n == 0 || card_n == 0 {
        return 0.0;
    }
    let (n, card_n) = (n as f64, card_n as f64);
    let both = (right as f64 + card_right as f64 + 1.0) / (n + card_n + 2.0);
    let error = (both * (1.0 - both) * (1.0 / n + 1.0 / card_n)).sqrt();
    (card_right as f64 / card_n - right as f64 / n) / error
}

/// What the watch says. `recent` are incidents since the version was trained, oldest first; `told`
/// is what it answered of them.
#[must_use]
pub fn watch(card: &ModelCard, recent: &[&Case], told: &[Prediction], now: Time) -> Watch {
    let newest = &recent[recent.len().saturating_sub(MOST)..];
    let mut moved = Vec::new();
    if !card.reads(FEATURES_VERSION) {
        let text = format!(
            "It was trained on other features than this program has (its code is {}): it answers \
             nothing.",
            card.code
        );
        return Watch {
            at: now,
            drifts: true,
            text,
            n_recent: newest.len(),
            moved,
            live: Vec::new(),
        };
    }
    if newest.len() >= LEAST {
        let rows: Vec<Vec<f64>> = newest.iter().map(|c| own_values(&c.snapshot.features)).collect();
        for (i, (name, _)) in super::features::FEATURES.iter().enumerate() {
            let Some(was) = card.spreads.iter().find(|s| s.feature == *name) else { continue };
            let is = count(&was.borders, rows.iter().map(|r| r[i]));
            let (index, chance) = index(&was.counts, &is);
            if index > MOVED + chance {
                moved.push(((*name).to_owned(), index));
            }
        }
        moved.sort_by(|(x, a), (y, b)| b.total_cmp(a).then_with(|| x.cmp(y)));
    }
    let live = live(card, recent, told);
    let worse: Vec<&LiveFigures> = live
        .iter()
        .filter(|l| l.n >= LEAST_ANSWERS)
        .filter(|l| {
            let promised = card.head(l.question).map_or((0, 0), promise);
            fallen((l.n_right, l.n), promised) > FALLEN
        })
        .collect();
    let far = card.heads.iter().filter(|h| h.is_useful()).any(|h| on_moved(h, &moved) > MOST_MOVED);
    Watch {
        at: now,
        drifts: far || !worse.is_empty(),
        text: words(newest.len(), &moved, &live, (far, &worse)),
        n_recent: newest.len(),
        moved,
        live,
    }
}

/// The share of what a head looks at that lies on moved features.
fn on_moved(head: &HeadCard, moved: &[(String, f64)]) -> f64 {
    let is = |name: &str| moved.iter().any(|(m, _)| m == name);
    head.importance.iter().filter(|(name, _)| is(name)).map(|(_, share)| share).sum()
}

/// Right answers by the card, and all that were told.
fn promise(head: &HeadCard) -> (usize, usize) {
    head.classes.iter().fold((0, 0), |(right, n), c| (right + c.n_right, n + c.n_told))
}

/// How answers since training compare with what people said.
fn live(card: &ModelCard, recent: &[&Case], told: &[Prediction]) -> Vec<LiveFigures> {
    let truth: BTreeMap<IncidentId, &Case> =
        recent.iter().map(|c| (c.snapshot.incident, *c)).collect();
    let figures = |question: Question| {
        let head = card.head(question).filter(|h| h.silent.is_none())?;
        let (mut n, mut n_right) = (0, 0);
        for answer in told.iter().flat_map(|p| p.answers.iter().map(move |a| (p.incident, a))) {
            let (incident, answer) = answer;
            let said = truth.get(&incident).and_then(|c| c.label.as_ref()?.answer(question));
            if let Some(said) = said.filter(|_| answer.question == question) {
                n += 1;
                n_right += usize::from(said == answer.class);
            }
        }
        let (right, all) = promise(head);
        let promised = right as f64 / all.max(1) as f64;
        Some(LiveFigures { question, n, n_right, promised })
    };
    Question::ALL.into_iter().filter_map(figures).collect()
}

fn words(
    n: usize,
    moved: &[(String, f64)],
    live: &[LiveFigures],
    (far, worse): (bool, &[&LiveFigures]),
) -> String {
    let mut text = if n < LEAST {
        format!("{n} incidents since its training; from {LEAST} on they are compared with those.")
    } else if moved.is_empty() {
        format!("The last {n} incidents are such as it was trained on.")
    } else {
        let first = &moved[0];
        let what = super::known::meaning(&first.0);
        let most = format!("{what} most, stability index {:.2}", first.1);
        let weight = if far { "; it rests on them" } else { "; it rests little on them" };
        format!(
            "Over the last {n} incidents {} of {} features moved ({most}){weight}.",
            moved.len(),
            super::features::FEATURES.len()
        )
    };
    for l in live.iter().filter(|l| l.n > 0) {
        let fell = worse.iter().any(|w| w.question == l.question);
        text.push_str(&format!(
            " {}: right {} of {} times since, {:.0} % by its card{}.",
            capital(l.question.words()),
            l.n_right,
            l.n,
            l.promised * 100.0,
            if fell { ", which chance does not explain" } else { "" }
        ));
    }
    text
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
