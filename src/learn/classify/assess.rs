//! How good a question's answers are on incidents that the trees had not seen. Pure.
//!
//! Five folds by days: incidents of one day, which may be one trouble told several times, are never
//! on both sides. The temperature of each fold is fitted on the other folds. Beside them, one look
//! ahead: trained on the oldest seven tenths, judged on the rest.

use std::collections::BTreeMap;

use super::head::{Head, Labelled, chances, temperature};
use super::rows::History;
use super::train::TOLD_AT;
use crate::model::Fault;
use crate::model::classify::{CalibrationBin, HeadCard, Later, Question};
use crate::model::time::DAY_MS;

const FOLDS: usize = 5;

/// What is trained on, and what is judged.
type Sides<'a> = (&'a [(usize, usize)], &'a [(usize, usize)]);

/// An incident judged by trees that had not seen it.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    odds: Vec<f64>,
    bases: Vec<f64>,
    fold: usize,
    chances: Vec<f64>,
    is: usize,
}

impl Judged {
    pub(super) fn as_odds(&self) -> (Vec<f64>, Vec<f64>, usize) {
        (self.odds.clone(), self.bases.clone(), self.is)
    }

    /// The likeliest class and its chance.
    fn told(&self) -> (usize, f64) {
        let all = self.chances.iter().copied().enumerate();
        all.max_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap_or((0, 0.0))
    }
}

pub(super) struct Assessed {
    pub(super) known: Vec<Judged>,
    pub(super) later: Option<Later>,
}

/// Judges every case by trees that had not seen it.
pub(super) fn assess(
    history: &History,
    question: Question,
    classes: &[String],
    cases: &Labelled,
) -> Result<Assessed, Fault> {
    let folds = folds(history, cases);
    let mut known = Vec::new();
    for fold in 0..FOLDS {
        let of = |out: bool| {
            let both = cases.iter().zip(&folds);
            both.filter(|(_, f)| (**f == fold) == out).map(|(c, _)| *c).collect::<Labelled>()
        };
        let (seen, out) = (of(false), of(true));
        if out.is_empty() || seen.is_empty() {
            continue;
        }
        known.extend(judge(history, question, classes, (&seen, &out), fold)?);
    }
    let fitted: Vec<f64> = (0..FOLDS)
        .map(|fold| {
            let others = known.iter().filter(|k| k.fold != fold);
            temperature(&others.map(Judged::as_odds).collect::<Vec<_>>())
        })
        .collect();
    for one in &mut known {
        one.chances = chances(&one.odds, &one.bases, fitted[one.fold]);
    }
    Ok(Assessed { later: later(history, question, classes, cases)?, known })
}

fn judge(
    history: &History,
    question: Question,
    classes: &[String],
    (seen, out): Sides<'_>,
    fold: usize,
) -> Result<Vec<Judged>, Fault> {
    let head = Head::train(history, question, classes, seen)?;
    let of = |(case, is): &(usize, usize)| {
        let odds = head.odds_of_case(history, *case);
        let chances = head.chances(&odds);
        Judged { odds, bases: head.bases(), fold, chances, is: *is }
    };
    Ok(out.iter().map(of).collect())
}

/// The fold of each case: days are dealt out, the fullest first, each to the emptiest fold. Where
/// history is shorter than the folds, hours are dealt out instead, and single incidents at last.
fn folds(history: &History, cases: &Labelled) -> Vec<usize> {
    let group = |unit: i64| {
        let of = |(case, _): &(usize, usize)| {
            let snapshot = &history.cases()[*case].snapshot;
            snapshot.at.ms().div_euclid(unit)
        };
        cases.iter().map(of).collect::<Vec<i64>>()
    };
    let distinct = |of: &[i64]| of.iter().collect::<std::collections::BTreeSet<_>>().len();
    let groups = [DAY_MS, crate::model::time::HOUR_MS]
        .map(group)
        .into_iter()
        .find(|g| distinct(g) >= FOLDS)
        .unwrap_or_else(|| (0..).take(cases.len()).collect());
    let mut sizes: BTreeMap<i64, usize> = BTreeMap::new();
    for g in &groups {
        *sizes.entry(*g).or_default() += 1;
    }
    let mut order: Vec<(i64, usize)> = sizes.into_iter().collect();
    order.sort_by_key(|(g, n)| (std::cmp::Reverse(*n), *g));
    let mut full = [0_usize; FOLDS];
    let mut fold_of: BTreeMap<i64, usize> = BTreeMap::new();
    for (g, n) in order {
        let emptiest = (0..FOLDS).min_by_key(|f| (full[*f], *f)).unwrap_or(0);
        full[emptiest] += n;
        fold_of.insert(g, emptiest);
    }
    groups.iter().map(|g| fold_of[g]).collect()
}

/// Trained on the oldest, judged on the newest.
fn later(
    history: &History,
    question: Question,
    classes: &[String],
    cases: &Labelled,
) -> Result<Option<Later>, Fault> {
    let cut = cases.len() * 7 / 10;
    let (seen, out) = cases.split_at(cut);
    if seen.is_empty() || out.is_empty() {
        return Ok(None);
    }
    let judged = judge(history, question, classes, (seen, out), 0)?;
    let commonest = commonest(seen.iter().map(|(_, is)| *is), classes.len());
    let n = judged.len();
    let right = judged.iter().filter(|k| k.told().0 == k.is).count();
    let base = out.iter().filter(|(_, is)| *is == commonest).count();
    Ok(Some(Later { n, accuracy: right as f64 / n as f64, base_accuracy: base as f64 / n as f64 }))
}

fn commonest(all: impl Iterator<Item = usize>, n_classes: usize) -> usize {
    let mut counts = vec![0_usize; n_classes];
    all.for_each(|c| counts[c] += 1);
    (0..n_classes).max_by_key(|c| (counts[*c], std::cmp::Reverse(*c))).unwrap_or(0)
}

/// Puts the figures into a card.
pub(super) fn fill(card: &mut HeadCard, known: &[Judged], later: Option<Later>) {
    let n = known.len().max(1) as f64;
    card.later = later;
    let shares: Vec<f64> = card.classes.iter().map(|c| c.n as f64 / n).collect();
    card.base_accuracy = shares.iter().copied().fold(0.0, f64::max);
    let truth = |one: &Judged, class: usize| f64::from(u8::from(one.is == class));
    let mut bins: Vec<(usize, f64, f64)> = vec![(0, 0.0, 0.0); 10];
    let mut right = 0_usize;
    for one in known {
        let (class, chance) = one.told();
        let hit = class == one.is;
        right += usize::from(hit);
        if chance >= TOLD_AT {
            card.classes[class].n_told += 1;
            card.classes[class].n_right += usize::from(hit);
        }
        for (c, (said, common)) in one.chances.iter().zip(&shares).enumerate() {
            card.brier += (said - truth(one, c)).powi(2) / n;
            card.base_brier += (common - truth(one, c)).powi(2) / n;
        }
        let bin = &mut bins[((chance * 10.0) as usize).min(9)];
        *bin = (bin.0 + 1, bin.1 + chance, bin.2 + f64::from(u8::from(hit)));
    }
    card.accuracy = right as f64 / n;
    let filled = bins.into_iter().filter(|b| b.0 > 0);
    card.calibration = filled
        .map(|(n, said, came)| CalibrationBin { n, said: said / n as f64, came: came / n as f64 })
        .collect();
    let off = card.calibration.iter().map(|b| b.n as f64 * (b.said - b.came).abs());
    card.calibration_error = off.sum::<f64>() / n;
}
