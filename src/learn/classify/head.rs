//! One question's forests: which classes, trained on which rows, and how sure to be. Pure.

use serde::{Deserialize, Serialize};

use super::fit::{Table, fit};
use super::forest::Forest;
use super::known::Snapshot;
use super::rows::History;
use crate::model::Fault;
use crate::model::classify::Question;

/// Everything random in training follows from it.
const SEED: u64 = 7;

/// What answers one question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Which.
    pub question: Question,
    /// Its classes, in order of name.
    pub classes: Vec<String>,
    /// One forest for each class against all others; of two classes only the second has one.
    pub forests: Vec<Forest>,
    /// How far what the trees say is drawn back towards how common a class is: 1 not at all, the
    /// greater the more (temperature scaling, Guo et al. 2017, with the base rates as its centre).
    pub temperature: f64,
}

/// Cases of a question: which, and the number of their class.
pub(super) type Labelled = Vec<(usize, usize)>;

impl Head {
    /// Trains on some cases of a history.
    pub(super) fn train(
        history: &History,
        question: Question,
        classes: &[String],
        cases: &[(usize, usize)],
    ) -> Result<Self, Fault> {
        let of = |class: usize| {
            let mut table = Table::default();
            for (case, is) in cases {
                table.rows.push(history.row(*case, question, &classes[class]));
                table.is.push(*is == class);
            }
            fit(&table, SEED + class as u64)
        };
        // Of two classes one says all.
        let first = usize::from(classes.len() == 2);
        let forests = (first..classes.len()).map(of).collect::<Result<_, _>>()?;
        Ok(Self { question, classes: classes.to_vec(), forests, temperature: 1.0 })
    }

    fn class_of_forest(&self, forest: usize) -> usize {
        forest + usize::from(self.classes.len() == 2)
    }

    /// Log odds of the classes for a known case, before any temperature.
    pub(super) fn odds_of_case(&self, history: &History, case: usize) -> Vec<f64> {
        self.odds(|class| history.row(case, self.question, class))
    }

    /// Log odds of the classes for a new incident, before any temperature.
    pub(super) fn odds_of_new(&self, history: &History, new: &Snapshot) -> Vec<f64> {
        self.odds(|class| history.row_of(new, self.question, class))
    }

    fn odds(&self, row: impl Fn(&str) -> Vec<f64>) -> Vec<f64> {
        let mut odds = vec![0.0; self.classes.len()];
        for (i, forest) in self.forests.iter().enumerate() {
            let class = self.class_of_forest(i);
            odds[class] = forest.log_odds(&row(&self.classes[class]));
        }
        odds
    }

    /// Where the trees begin: how common each class is, in log odds.
    pub(super) fn bases(&self) -> Vec<f64> {
        let mut bases = vec![0.0; self.classes.len()];
        for (i, forest) in self.forests.iter().enumerate() {
            bases[self.class_of_forest(i)] = forest.base;
        }
        bases
    }

    /// Chances of the classes, which add up to 1.
    pub(super) fn chances(&self, odds: &[f64]) -> Vec<f64> {
        chances(odds, &self.bases(), self.temperature)
    }

    /// How much each feature moved the answer towards a class for a new incident.
    pub(super) fn moves(&self, history: &History, new: &Snapshot, class: usize) -> Vec<f64> {
        let two = self.classes.len() == 2;
        let forest = if two { 0 } else { class };
        let asked = self.class_of_forest(forest);
        let row = history.row_of(new, self.question, &self.classes[asked]);
        let sign = if asked == class { 1.0 } else { -1.0 };
        self.forests[forest].moves(&row).into_iter().map(|m| m * sign).collect()
    }
}

/// Chances from log odds, drawn back towards the bases by a temperature.
pub(super) fn chances(odds: &[f64], bases: &[f64], temperature: f64) -> Vec<f64> {
    let drawn: Vec<f64> = odds.iter().zip(bases).map(|(z, b)| b + (z - b) / temperature).collect();
    let most = drawn.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let parts: Vec<f64> = drawn.iter().map(|z| (z - most).exp()).collect();
    let sum: f64 = parts.iter().sum();
    parts.into_iter().map(|p| p / sum).collect()
}

/// The temperature under which known answers were likeliest. A weak prior holds it near 1, so that
/// a few lucky answers don't make it certain of itself.
pub(super) fn temperature(known: &[(Vec<f64>, Vec<f64>, usize)]) -> f64 {
    const PRIOR_PRECISION: f64 = 1.0;
    let loss = |log_t: f64| {
        let t = log_t.exp();
        let nll: f64 = known
            .iter()
            .map(|(odds, bases, is)| -chances(odds, bases, t)[*is].max(1e-9).ln())
            .sum();
        nll + 0.5 * PRIOR_PRECISION * log_t * log_t
    };
    // The loss has one valley: golden section between e^-1.5 and e^2.5 (Kiefer 1953).
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-1.5, 2.5);
    for _ in 0..40 {
        let (a, b) = (high - ratio * (high - low), low + ratio * (high - low));
        if loss(a) < loss(b) {
            high = b;
        } else {
            low = a;
        }
    }
    f64::midpoint(low, high).exp()
}
