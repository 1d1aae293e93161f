//! A version from a history: its heads, and its card. Pure, bounded and the same each time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::assess::{Assessed, assess};
use super::config::Config;
use super::features::FEATURES_VERSION;
use super::head::{Head, Labelled, temperature};
use super::known::{Snapshot, columns, meaning};
use super::rows::History;
use super::watch::spreads;
use crate::model::classify::{Answer, ClassCard, HeadCard, ModelCard, Question};
use crate::model::id::hex;
use crate::model::{Fault, Time};
use crate::store::{Index, Record};

/// Classes that a question has at most, the commonest first.
const MOST_CLASSES: usize = 12;
/// Chance from which on an answer is told.
pub const TOLD_AT: f64 = 0.5;
/// Features that a card names.
const TELLING: usize = 12;
/// What is told of why, at most.
const BECAUSE: usize = 3;

/// The trained trees of one version, kept by their hash.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// One for each question that it answers.
    pub heads: Vec<Head>,
}

/// [`Trained`] as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// SHA-256 of the trees.
    pub hash: String,
    /// When they were first trained (event time).
    pub at: Time,
    /// The trees.
    pub trained: Trained,
}

impl Record for Kept {
    const KIND: &'static str = "classifier_trees";

    fn key(&self) -> String {
        self.hash.clone()
    }

    fn index(&self) -> Index {
        Index { at: self.at, ..Index::default() }
    }
}

impl Trained {
    /// SHA-256 of its JSON, which is the same for the same trees: all its lists have an order.
    #[must_use]
    pub fn hash(&self) -> String {
        let bytes = serde_json::to_vec(self).expect("trees are plain numbers in lists");
        hex(&Sha256::digest(bytes))
    }

    /// The chances of the classes of a question for a new incident; `None` where it is silent.
    #[must_use]
    pub fn chances(
        &self,
        question: Question,
        history: &History,
        new: &Snapshot,
    ) -> Option<Vec<(&str, f64)>> {
        let head = self.heads.iter().find(|h| h.question == question)?;
        let chances = head.chances(&head.odds_of_new(history, new));
        Some(head.classes.iter().map(String::as_str).zip(chances).collect())
    }

    /// What it answers of a new incident; `history` is all that is known of earlier ones. Only
    /// questions that the card says it is of use for, and classes it has been right about; nothing
    /// where it was trained on other features.
    #[must_use]
    pub fn answers(&self, card: &ModelCard, history: &History, new: &Snapshot) -> Vec<Answer> {
        if !card.reads(FEATURES_VERSION) {
            return Vec::new();
        }
        let useful = |h: &&Head| card.head(h.question).is_some_and(HeadCard::is_useful);
        let answer = |head: &Head| {
            let known = card.head(head.question)?;
            let chances = head.chances(&head.odds_of_new(history, new));
            let (class, chance) =
                chances.into_iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
            let class_card = known.class(&head.classes[class])?.clone();
            (chance >= TOLD_AT && class_card.n_right > 0).then(|| Answer {
                question: head.question,
                class: head.classes[class].clone(),
                chance,
                class_card,
                rows: known.rows,
                because: because(head, history, new, class),
            })
        };
        self.heads.iter().filter(useful).filter_map(answer).collect()
    }
}

/// What moved an answer most, in words.
fn because(head: &Head, history: &History, new: &Snapshot, class: usize) -> Vec<String> {
    let columns = columns();
    let mut moves: Vec<(usize, f64)> =
        head.moves(history, new, class).into_iter().enumerate().collect();
    moves.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
    moves
        .into_iter()
        .take(BECAUSE)
        .filter(|(_, by)| by.abs() >= 0.05)
        .filter_map(|(i, by)| Some((*columns.get(i)?, by)))
        .map(|(name, by)| {
            let known = new.features.get(name);
            let value = known.map_or_else(String::new, |v| format!(" = {v:.2}"));
            format!("{}{value} ({by:+.2})", meaning(name))
        })
        .collect()
}

/// Trains a version. A question with too little said about it stays silent, and its card says so.
///
/// # Errors
/// The rows can't be trained on.
pub fn train(history: &History, config: &Config, now: Time) -> Result<(Trained, ModelCard), Fault> {
    let mut trained = Trained::default();
    let mut cards = Vec::new();
    for question in Question::ALL {
        let (head, card) = learn(history, question, config)?;
        trained.heads.extend(head);
        cards.push(card);
    }
    let range = history.range();
    let card = ModelCard {
        trained_at: now,
        code: format!("{}, features {FEATURES_VERSION}", env!("CARGO_PKG_VERSION")),
        data_hash: history.hash(),
        rows: history.n_labelled(),
        since: range.map(|r| r.0),
        until: range.map(|r| r.1),
        n_features: columns().len(),
        took_ms: 0,
        heads: cards,
        spreads: spreads(history.cases().iter().filter(|c| c.snapshot.in_time)),
    };
    Ok((trained, card))
}

/// The classes of a question that are common enough, and the cases that have one of them.
pub(super) fn classes(
    history: &History,
    question: Question,
    config: &Config,
) -> (Vec<(String, usize)>, Labelled, usize) {
    let labelled = history.labelled(question);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, class) in &labelled {
        *counts.entry(class).or_default() += 1;
    }
    let mut common: Vec<(&str, usize)> = counts.into_iter().collect();
    common.retain(|(_, n)| *n >= config.least_of_class as usize);
    common.sort_by(|(x, a), (y, b)| b.cmp(a).then_with(|| x.cmp(y)));
    common.truncate(MOST_CLASSES);
    common.sort_unstable();
    let place = |class: &str| common.iter().position(|(name, _)| *name == class);
    let cases: Labelled =
        labelled.iter().filter_map(|(i, class)| Some((*i, place(class)?))).collect();
    let n_rare = labelled.len() - cases.len();
    (common.into_iter().map(|(name, n)| (name.to_owned(), n)).collect(), cases, n_rare)
}

fn learn(
    history: &History,
    question: Question,
    config: &Config,
) -> Result<(Option<Head>, HeadCard), Fault> {
    let (counted, cases, n_rare) = classes(history, question, config);
    let names: Vec<String> = counted.iter().map(|(name, _)| name.clone()).collect();
    let mut card = HeadCard {
        question,
        silent: None,
        rows: cases.len(),
        classes: Vec::new(),
        n_rare,
        accuracy: 0.0,
        base_accuracy: 0.0,
        brier: 0.0,
        base_brier: 0.0,
        calibration_error: 0.0,
        calibration: Vec::new(),
        later: None,
        importance: Vec::new(),
    };
    let class_card = |(name, n): &(String, usize)| ClassCard {
        name: name.clone(),
        n: *n,
        n_told: 0,
        n_right: 0,
    };
    card.classes = counted.iter().map(class_card).collect();
    let least = config.least_incidents as usize;
    if cases.len() < least || names.len() < 2 {
        card.silent = Some(silence(&counted, cases.len() + n_rare, config));
        return Ok((None, card));
    }
    let Assessed { known, later } = assess(history, question, &names, &cases)?;
    super::assess::fill(&mut card, &known, later);
    let mut head = Head::train(history, question, &names, &cases)?;
    head.temperature = temperature(&known.iter().map(|k| k.as_odds()).collect::<Vec<_>>());
    card.importance = importance(&head);
    Ok((Some(head), card))
}

/// Why a question stays silent.
fn silence(counted: &[(String, usize)], labelled: usize, config: &Config) -> String {
    let (least, of_class) = (config.least_incidents, config.least_of_class);
    let named: Vec<String> = counted.iter().map(|(name, n)| format!("{name} {n}")).collect();
    let enough = match named.len() {
        0 => "no class has as many".to_owned(),
        1 => format!("only one class has as many ({})", named[0]),
        _ => named.join(", "),
    };
    format!(
        "Silent: {labelled} labelled incidents, {least} are needed, of at least two classes with \
         {of_class} each; {enough}."
    )
}

/// Shares of the gain of all splits, greatest first.
fn importance(head: &Head) -> Vec<(String, f64)> {
    let columns = columns();
    let mut sums = vec![0.0; columns.len()];
    for forest in &head.forests {
        for (sum, gain) in sums.iter_mut().zip(forest.gains(columns.len())) {
            *sum += gain;
        }
    }
    let all: f64 = sums.iter().sum();
    let mut shares: Vec<(String, f64)> = columns
        .iter()
        .zip(sums)
        .filter(|(_, gain)| *gain > 0.0)
        .map(|(name, gain)| ((*name).to_owned(), gain / all))
        .collect();
    shares.sort_by(|(x, a), (y, b)| b.total_cmp(a).then_with(|| x.cmp(y)));
    shares.truncate(TELLING);
    shares
}
