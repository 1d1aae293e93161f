//! The classifier of incidents: its versions, their cards, and what they say of an incident.

mod words;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::priority::{Taxonomy, UNKNOWN};
use super::{Actor, IncidentId, Time};

/// What a classifier answers.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Whether it is an incident at all: `real` or `noise`.
    Real,
    /// What set it off, in the words of the rules ([`super::priority::TRIGGERS`]): the pattern or kind
    /// of change that a fix confirmed, `external` or `planned`.
    #[serde(alias = "category")]
    Trigger,
    /// What fixes it, as `runbook/action`.
    Fix,
}

impl Question {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Real, Self::Trigger, Self::Fix];

    /// What is asked, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Real => "real or noise",
            Self::Trigger => "trigger",
            Self::Fix => "likely fix",
        }
    }
}

/// Where a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassifierState {
    /// It answers, its answers are kept and compared, and nobody sees them.
    Shadow,
    /// Its answers are shown.
    Live,
    /// Another version took its place; it can be brought back.
    Former,
}

impl ClassifierState {
    /// The word as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Live => "live",
            Self::Former => "former",
        }
    }
}

/// Who moved a version, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClassifierDeed {
    /// Who.
    pub by: Actor,
    /// When (event time).
    pub at: Time,
    /// Where it went.
    pub to: ClassifierState,
    /// Why.
    pub reason: String,
    /// Whether it was live and somebody rolled back from it: going back does not bring it again.
    #[serde(default)]
    pub rolled_back: bool,
}

/// One trained version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Classifier {
    /// Counted up from 1.
    pub version: u32,
    /// SHA-256 of the trained trees: the same data, settings and code give the same.
    pub hash: String,
    /// Where it stands.
    pub state: ClassifierState,
    /// Who had it trained; the bot where nobody asked.
    pub trained_by: Actor,
    /// What it is and how good.
    pub card: ModelCard,
    /// Its moves, oldest first.
    pub deeds: Vec<ClassifierDeed>,
    /// What the watch over it said last.
    pub watch: Option<Watch>,
}

/// What a version is and how good it is, by what it was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelCard {
    /// When it was trained (event time).
    pub trained_at: Time,
    /// Version of the program and of its features: `0.1.0, features 1`.
    pub code: String,
    /// SHA-256 of the rows that it was trained on, labels included.
    pub data_hash: String,
    /// Labelled incidents.
    pub rows: usize,
    /// The oldest of them.
    pub since: Option<Time>,
    /// The newest of them.
    pub until: Option<Time>,
    /// Features of each.
    pub n_features: usize,
    /// How long training took, cross-validation included, in milliseconds.
    pub took_ms: u64,
    /// One for each question.
    pub heads: Vec<HeadCard>,
    /// Where each feature lay, for the watch.
    pub spreads: Vec<Spread>,
}

impl ModelCard {
    /// Whether it was trained on features of this version: trees find theirs by place.
    #[must_use]
    pub fn reads(&self, features_version: u32) -> bool {
        self.code.ends_with(&format!(", features {features_version}"))
    }

    /// The card of a question.
    #[must_use]
    pub fn head(&self, question: Question) -> Option<&HeadCard> {
        self.heads.iter().find(|h| h.question == question)
    }
}

/// How good a version is at one question. All figures are of incidents that the trees had not
/// seen: cross-validation by days, so that incidents of one day are never on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeadCard {
    /// Which question.
    pub question: Question,
    /// Why it does not answer, where it does not.
    pub silent: Option<String>,
    /// Labelled incidents.
    pub rows: usize,
    /// Its classes.
    pub classes: Vec<ClassCard>,
    /// Labelled incidents of classes too rare to be learned.
    pub n_rare: usize,
    /// Share that it had right.
    pub accuracy: f64,
    /// Share that always saying the commonest class would have had right.
    pub base_accuracy: f64,
    /// Brier score over all classes, 0 to 2: the less the better (Brier 1950).
    pub brier: f64,
    /// Brier score of always saying how common each class is.
    pub base_brier: f64,
    /// Expected calibration error: the mean distance of what it said from what came true, 0 to 1.
    pub calibration_error: f64,
    /// What it said against what came true.
    pub calibration: Vec<CalibrationBin>,
    /// Trained on the oldest seven tenths, judged on the rest.
    pub later: Option<Later>,
    /// What it looks at, as shares of the gain of its splits, greatest first.
    pub importance: Vec<(String, f64)>,
}

impl HeadCard {
    /// Whether it is better than knowing how common each class is.
    #[must_use]
    pub fn is_useful(&self) -> bool {
        self.silent.is_none() && self.brier < self.base_brier
    }

    /// The card of a class.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&ClassCard> {
        self.classes.iter().find(|c| c.name == name)
    }
}

/// How good a version is at one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClassCard {
    /// Its name.
    pub name: String,
    /// Labelled incidents of it.
    pub n: usize,
    /// How often it was told.
    pub n_told: usize,
    /// How often that was right.
    pub n_right: usize,
}

impl ClassCard {
    /// Right ones of those told; `None` when it never was.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        (self.n_told > 0).then(|| self.n_right as f64 / self.n_told as f64)
    }

    /// Found ones of those that there were.
    #[must_use]
    pub fn recall(&self) -> f64 {
        self.n_right as f64 / self.n.max(1) as f64
    }
}

/// Answers with a chance within one tenth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CalibrationBin {
    /// Answers.
    pub n: usize,
    /// The mean chance told.
    pub said: f64,
    /// The share that was right.
    pub came: f64,
}

/// How a version trained on the oldest incidents did on the newest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Later {
    /// Incidents judged.
    pub n: usize,
    /// Share right.
    pub accuracy: f64,
    /// Share that always saying the commonest class would have had right.
    pub base_accuracy: f64,
}

/// Where a feature lay when a version was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Spread {
    /// Which feature.
    pub feature: String,
    /// Borders between its bins, ascending: `n` borders make `n + 1` bins.
    pub borders: Vec<f64>,
    /// Incidents in each bin; the last counts those where it was not known.
    pub counts: Vec<u32>,
}

/// What the watch over a version says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Watch {
    /// When (event time).
    pub at: Time,
    /// Whether it drifts.
    pub drifts: bool,
    /// In a sentence or two with figures.
    pub text: String,
    /// Incidents since its training that were looked at.
    pub n_recent: usize,
    /// Features of another population than those it was trained on, with their index.
    pub moved: Vec<(String, f64)>,
    /// How its answers since its training compare with what people said.
    pub live: Vec<LiveFigures>,
}

/// How good answers to one question were since training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveFigures {
    /// Which question.
    pub question: Question,
    /// Answers whose truth is known by now.
    pub n: usize,
    /// Right ones.
    pub n_right: usize,
    /// The share that the card promised.
    pub promised: f64,
}

/// What one version says of one incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Prediction {
    /// Of which incident.
    pub incident: IncidentId,
    /// By which version.
    pub version: u32,
    /// When (event time).
    pub at: Time,
    /// Whether it was live then: only that is shown.
    pub shown: bool,
    /// What it answers.
    pub answers: Vec<Answer>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// To which question.
    pub question: Question,
    /// The class.
    pub class: String,
    /// Its chance, 0 to 1, calibrated by cross-validation.
    pub chance: f64,
    /// The class's card.
    pub class_card: ClassCard,
    /// Labelled incidents behind the card.
    pub rows: usize,
    /// What spoke for it and against it, most telling first.
    pub because: Vec<String>,
}

impl Answer {
    /// In one sentence, with how good such answers are.
    #[must_use]
    pub fn text(&self) -> String {
        let chance = format!("{:.0} %", self.chance * 100.0);
        let what = match (self.question, self.class.as_str()) {
            (Question::Real, "noise") => format!("Looks like noise, {chance}"),
            (Question::Real, _) => format!("Looks like a real incident, {chance}"),
            (Question::Trigger, class) => {
                format!("Looks set off by {}, {chance}", class.replace('_', " "))
            }
            (Question::Fix, class) => format!("Likely fixed by {class}, {chance}"),
        };
        let card = &self.class_card;
        let precision = card.precision().map_or_else(String::new, |p| {
            format!(
                ": precision {p:.2} ({} of {}) over {} incidents by cross-validation",
                card.n_right, card.n_told, self.rows
            )
        });
        format!("{what}{precision}.")
    }

    /// The same, with what the rules say of it where that is something else.
    #[must_use]
    pub fn text_beside(&self, rules: Option<&Taxonomy>) -> String {
        let other =
            rules.filter(|kind| self.question == Question::Trigger && kind.trigger != self.class);
        match other.map(|kind| kind.trigger.as_str()) {
            None => self.text(),
            Some(UNKNOWN) => format!("{} The rules name no trigger.", self.text()),
            Some(trigger) => {
                format!("{} The rules say {}.", self.text(), trigger.replace('_', " "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_good_such_answers_are() {
        let class_card = ClassCard { name: "noise".into(), n: 25, n_told: 23, n_right: 21 };
        let answer = Answer {
            question: Question::Real,
            class: "noise".into(),
            chance: 0.872,
            class_card,
            rows: 64,
            because: vec![],
        };
        assert_eq!(
            answer.text(),
            "Looks like noise, 87 %: precision 0.91 (21 of 23) over 64 incidents by \
             cross-validation."
        );
        assert!((answer.class_card.recall() - 0.84).abs() < 1e-9);
    }

    #[test]
    fn rules_and_classifier_stand_side_by_side_where_they_differ() {
        let class_card = ClassCard { name: "slow_queries".into(), n: 9, n_told: 8, n_right: 6 };
        let answer = Answer {
            question: Question::Trigger,
            class: "slow_queries".into(),
            chance: 0.7,
            class_card,
            rows: 40,
            because: vec![],
        };
        let kind = |trigger: &str| Taxonomy {
            category: "latency".into(),
            trigger: trigger.into(),
            component: "database".into(),
        };
        let said = answer.text();
        assert!(said.starts_with("Looks set off by slow queries, 70 %: precision 0.75"), "{said}");
        assert_eq!(answer.text_beside(None), said);
        assert_eq!(answer.text_beside(Some(&kind("slow_queries"))), said);
        let beside = answer.text_beside(Some(&kind("network_policy")));
        assert_eq!(beside, format!("{said} The rules say network policy."));
        let none = answer.text_beside(Some(&kind("unknown")));
        assert_eq!(none, format!("{said} The rules name no trigger."));
        // A version that was kept before the question had this name.
        let kept: Question = serde_json::from_str("\"category\"").expect("the older name");
        assert_eq!(kept, Question::Trigger);
    }
}
