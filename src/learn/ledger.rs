//! What all lessons together say of a pattern and an action. Pure.
//!
//! Whether an action helps against a pattern is a coin with an unknown bias. Its prior is
//! Beta(1, 1), every bias as likely as any other; after `h` runs that helped and `f` that did not
//! it is Beta(1 + h, 1 + f) with the mean (1 + h) / (2 + h + f), Laplace's rule of succession
//! (Gelman et al., *Bayesian Data Analysis*, 3rd ed., section 2.1). Two kinds of lesson count
//! for less than one run, as a power prior discounts evidence from elsewhere (Ibrahim and Chen,
//! *Statistical Science* 15(1), 2000): the same action against *another* pattern, since diagnoses
//! may name one fault differently, and a false alarm, which says that the action was not needed
//! and not that it would have failed. The discount is one half for both: two such
//! lessons weigh as much as one run.

use std::collections::BTreeMap;

use super::lesson::{Lesson, Taught};
use crate::model::action::UNTRIED;
use crate::model::{EntityRef, Fault};
use crate::store::{Filter, Rows};

/// Weight of a lesson that does not come from a run against the same pattern.
const DISCOUNT: f64 = 0.5;
/// Lessons that are looked at, the newest first: systems change.
const MOST: usize = 2_000;

/// What happened with one action, in counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Measured runs.
    pub tried: u32,
    /// Those that helped.
    pub helped: u32,
    /// Those that made it worse.
    pub worse: u32,
    /// Incidents it was offered in that were none.
    pub false_alarms: u32,
}

/// The posterior of an action's chance to help: Beta(`alpha`, `beta`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posterior {
    /// One plus what spoke for it.
    pub alpha: f64,
    /// One plus what spoke against it.
    pub beta: f64,
}

impl Posterior {
    /// The expected chance, 0 to 1.
    #[must_use]
    pub fn mean(self) -> f64 {
        self.alpha / (self.alpha + self.beta)
    }
}

/// All lessons, counted by pattern and action.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    by_action: BTreeMap<String, BTreeMap<String, Counts>>,
    alarms: BTreeMap<(String, EntityRef), (u32, u32)>,
}

impl Ledger {
    /// Counts lessons; their order does not matter.
    #[must_use]
    pub fn of(lessons: &[Lesson]) -> Self {
        let mut ledger = Self::default();
        for lesson in lessons {
            let real_or_false =
                ledger.alarms.entry((lesson.pattern.clone(), lesson.entity.clone())).or_default();
            match lesson.taught {
                Taught::Helped => real_or_false.0 += 1,
                Taught::FalseAlarm => real_or_false.1 += 1,
                Taught::NoChange | Taught::Worse => {}
            }
            for action in &lesson.actions {
                let by_pattern = ledger.by_action.entry(action.clone()).or_default();
                let counts = by_pattern.entry(lesson.pattern.clone()).or_default();
                counts.tried += u32::from(lesson.taught != Taught::FalseAlarm);
                counts.helped += u32::from(lesson.taught == Taught::Helped);
                counts.worse += u32::from(lesson.taught == Taught::Worse);
                counts.false_alarms += u32::from(lesson.taught == Taught::FalseAlarm);
            }
        }
        ledger
    }

    /// Reads and counts what is stored.
    ///
    /// # Errors
    /// The store failed.
    pub fn read(rows: &Rows<'_>) -> Result<Self, Fault> {
        Ok(Self::of(&rows.list::<Lesson>(&Filter::all().newest(MOST))?))
    }

    /// Counts of an action against a pattern, and against all others.
    #[must_use]
    pub fn counts(&self, pattern: &str, action: &str) -> (Counts, Counts) {
        let mut both = (Counts::default(), Counts::default());
        for (of, counts) in self.by_action.get(action).into_iter().flatten() {
            let sum = if of == pattern { &mut both.0 } else { &mut both.1 };
            sum.tried += counts.tried;
            sum.helped += counts.helped;
            sum.worse += counts.worse;
            sum.false_alarms += counts.false_alarms;
        }
        both
    }

    /// The posterior of an action's chance to help against a pattern.
    #[must_use]
    pub fn posterior(&self, pattern: &str, action: &str) -> Posterior {
        let (own, other) = self.counts(pattern, action);
        let failed = |c: Counts| f64::from(c.tried - c.helped);
        let false_alarms = f64::from(own.false_alarms + other.false_alarms);
        Posterior {
            alpha: 1.0 + f64::from(own.helped) + DISCOUNT * f64::from(other.helped),
            beta: 1.0 + failed(own) + DISCOUNT * (failed(other) + false_alarms),
        }
    }

    /// How the action went before, in words.
    #[must_use]
    pub fn words(&self, pattern: &str, action: &str) -> String {
        let (own, other) = self.counts(pattern, action);
        let mut text = match (own.tried, other.tried) {
            (0, 0) => UNTRIED.to_owned(),
            (n, 0) => format!("Helped {} of {} here.", own.helped, times(n)),
            (0, n) => format!("Helped {} of {} here, for other causes.", other.helped, times(n)),
            (n, m) => format!(
                "Helped {} of {} here, and {} of {m} for other causes.",
                own.helped,
                times(n),
                other.helped
            ),
        };
        let worse = own.worse + other.worse;
        if worse > 0 {
            text.push_str(&format!(" Made it worse {}.", times(worse)));
        }
        let n = own.false_alarms + other.false_alarms;
        if n > 0 {
            let were = if n == 1 { "incident that was" } else { "incidents that were" };
            text.push_str(&format!(" Offered in {n} {were} called no incident."));
        }
        text
    }

    /// What people said of earlier incidents with this cause, where they called any of them no
    /// incident: a sentence for the diagnosis.
    #[must_use]
    pub fn doubt(&self, pattern: &str, entity: &EntityRef) -> Option<String> {
        let (_, n) = self.alarms.get(&(pattern.to_owned(), entity.clone()))?;
        (*n > 0).then(|| {
            format!(
                "{} with the likely cause {} on {} {} called no incident.",
                if *n == 1 {
                    "1 earlier incident".into()
                } else {
                    format!("{n} earlier incidents")
                },
                pattern.replace('_', " "),
                entity.name(),
                if *n == 1 { "was" } else { "were" }
            )
        })
    }
}

fn times(n: u32) -> String {
    if n == 1 { "1 time".into() } else { format!("{n} times") }
}
