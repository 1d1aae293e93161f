//! History as rows to learn from: each incident as it was known at its time of decision, with what
//! had been said by then of earlier ones like it. Pure.

use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use super::features::FEATURES_VERSION;
use super::known::{Snapshot, own_values};
use super::label::Label;
use crate::model::Time;
use crate::model::classify::Question;
use crate::model::id::hex;
use crate::model::time::DAY_MS;

/// Least kinship of an earlier incident that counts.
const LEAST_KIN: f64 = 0.1;

/// One incident with what it turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// As it was known.
    pub snapshot: Snapshot,
    /// As it turned out, where anybody said.
    pub label: Option<Label>,
}

/// All incidents of a site, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    cases: Vec<Case>,
    /// For each case, once it was asked for, earlier ones like it: which, and how alike.
    kin: Vec<OnceLock<Vec<(usize, f64)>>>,
}

impl History {
    /// A history of cases in any order.
    #[must_use]
    pub fn of(mut cases: Vec<Case>) -> Self {
        cases.sort_by_key(|c| (c.snapshot.at, c.snapshot.incident));
        let kin = vec![OnceLock::new(); cases.len()];
        Self { cases, kin }
    }

    /// Its cases, oldest first.
    #[must_use]
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The row of a known case, asked for a class.
    pub(super) fn row(&self, case: usize, question: Question, class: &str) -> Vec<f64> {
        let snapshot = &self.cases[case].snapshot;
        let kin = self.kin[case].get_or_init(|| alike(&self.cases[..case], snapshot));
        self.with_past(snapshot, kin, question, class)
    }

    /// The row of a new incident, asked for a class.
    pub(super) fn row_of(&self, new: &Snapshot, question: Question, class: &str) -> Vec<f64> {
        let before = self.cases.partition_point(|c| c.snapshot.at < new.at);
        let kin = alike(&self.cases[..before], new);
        self.with_past(new, &kin, question, class)
    }

    fn with_past(
        &self,
        snapshot: &Snapshot,
        kin: &[(usize, f64)],
        question: Question,
        class: &str,
    ) -> Vec<f64> {
        let mut row = own_values(&snapshot.features);
        let day = snapshot.at.plus_ms(-DAY_MS);
        let (mut weight, mut of_class, mut newest) = (0.0, 0.0, f64::NAN);
        let mut lately = 0_u32;
        for (earlier, kinship) in kin {
            let case = &self.cases[*earlier];
            lately += u32::from(case.snapshot.at >= day);
            // What was said of it after the time of decision does not count.
            let label = case.label.as_ref().filter(|l| l.known_at <= snapshot.at);
            if let Some(answer) = label.and_then(|l| l.answer(question)) {
                let is = f64::from(u8::from(answer == class));
                weight += kinship;
                of_class += kinship * is;
                newest = is;
            }
        }
        let share = if weight > 0.0 { of_class / weight } else { f64::NAN };
        row.extend([share, newest, weight.ln_1p(), f64::from(lately).ln_1p()]);
        row
    }

    /// Cases that can be trained on for a question: which, and their class.
    pub(super) fn labelled(&self, question: Question) -> Vec<(usize, &str)> {
        let mut found = Vec::new();
        for (i, case) in self.cases.iter().enumerate().filter(|(_, c)| c.snapshot.in_time) {
            found.extend(case.label.as_ref().and_then(|l| l.answer(question)).map(|a| (i, a)));
        }
        found
    }

    /// Labelled cases that can be trained on, for any question.
    pub(super) fn n_labelled(&self) -> usize {
        self.cases.iter().filter(|c| c.label.is_some() && c.snapshot.in_time).count()
    }

    /// SHA-256 over all that a training sees.
    pub(super) fn hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(FEATURES_VERSION.to_le_bytes());
        for case in &self.cases {
            let said = case.label.as_ref().map(|l| (l.known_at.ms(), &l.real, &l.trigger, &l.fix));
            let Snapshot { incident, at, in_time, .. } = &case.snapshot;
            hash.update(format!("{incident} {} {in_time} {said:?}\n", at.ms()));
            for (name, value) in &case.snapshot.features {
                hash.update(name);
                hash.update(value.to_bits().to_le_bytes());
            }
            for text in case.snapshot.conditions.iter().chain(&case.snapshot.shapes) {
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text);
            }
        }
        hex(&hash.finalize())
    }

    /// The oldest and the newest labelled case.
    pub(super) fn range(&self) -> Option<(Time, Time)> {
        let mut all = self.cases.iter().filter(|c| c.label.is_some() && c.snapshot.in_time);
        let first = all.next()?;
        let last = all.next_back().unwrap_or(first);
        Some((first.snapshot.at, last.snapshot.at))
    }
}

/// Earlier ones like a new incident, oldest first.
fn alike(earlier: &[Case], new: &Snapshot) -> Vec<(usize, f64)> {
    let kinship = |(i, c): (usize, &Case)| (i, c.snapshot.kinship(new));
    earlier.iter().enumerate().map(kinship).filter(|(_, k)| *k >= LEAST_KIN).collect()
}
