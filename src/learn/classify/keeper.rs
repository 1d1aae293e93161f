//! Who keeps the versions: trains, promotes, rolls back, demotes. Each deed is one transaction
//! with its audit record.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::config::Config;
use super::features::FEATURES_VERSION;
use super::gather::history;
use super::known::Snapshot;
use super::train::{Kept, classes, train};
use crate::learn::Lesson;
use crate::model::classify::{ClassifierDeed, Question};
use crate::model::{
    Actor, Classifier, ClassifierState, Fault, Incident, Refused, SharedClock, Time,
    classify::Watch,
};
use crate::store::{Filter, Store, Tx};

/// Key of the last training that was refused.
pub(super) const VAIN: &str = "classifier/refused";
/// Key of the number of the newest version.
const VERSION: &str = "classifier/version";
/// Versions whose trees are kept, the newest, beside all that were ever live.
const KEPT: usize = 10;

/// The outcome of a deed that a person may be refused.
pub(super) type Done<T> = Result<Result<T, Refused>, Fault>;

/// Keeps the versions. Cheap to clone.
#[derive(Clone)]
pub struct Keeper {
    pub(super) config: Config,
    pub(super) store: Store,
    clock: SharedClock,
    /// What could be learned when it was looked at last.
    known: Arc<std::sync::Mutex<Known>>,
    /// Held while a version is trained: one at a time, whoever asks.
    training: Arc<Mutex<()>>,
}

/// What [`Teachable`] follows from: snapshots, incidents and lessons.
type Digest = [[u8; 32]; 3];

/// What could be learned when it was looked at last, with what that follows from.
type Known = Option<(Digest, Arc<Teachable>)>;

/// A training that was refused.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Vain {
    /// All that it saw.
    of: String,
    /// When (event time).
    pub(super) at: Time,
    /// Why.
    why: String,
}

/// What could be learned now, question by question.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Teachable {
    /// Incidents kept as they were known at their time of decision.
    pub n_incidents: usize,
    /// Those of which something was said.
    pub n_labelled: usize,
    /// SHA-256 over all that a training would see.
    pub data_hash: String,
    /// Labelled incidents below which it stays silent.
    pub needed: u32,
    /// For each question its labelled incidents by class, those of rare classes left out.
    pub questions: Vec<Learnable>,
}

/// What was said in answer to one question.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Learnable {
    /// Which.
    pub question: Question,
    /// Labelled incidents of classes that are common enough.
    pub n: usize,
    /// Classes with their incidents.
    pub classes: Vec<(String, usize)>,
    /// Whether it can be learned.
    pub enough: bool,
}

impl Keeper {
    /// A keeper over a store.
    #[must_use]
    pub fn new(config: Config, store: Store, clock: SharedClock) -> Self {
        Self { config, store, clock, known: Arc::default(), training: Arc::default() }
    }

    /// What could be learned now.
    ///
    /// # Errors
    /// The store failed.
    pub async fn standing(&self) -> Result<Arc<Teachable>, Fault> {
        let (config, known) = (self.config.clone(), self.known.clone());
        self.store
            .read(move |r| {
                let of = depends_on(r, &config)?;
                let hold = || known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some((_, same)) = hold().as_ref().filter(|(known, _)| *known == of) {
                    return Ok(same.clone());
                }
                let found = Arc::new(standing(r, &config)?);
                *hold() = Some((of, found.clone()));
                Ok(found)
            })
            .await
    }

    /// Whether a training that nobody asked for would be refused again: the last one was, and
    /// nothing that it saw has changed since.
    ///
    /// # Errors
    /// The store failed.
    pub(super) async fn is_in_vain(&self, standing: &Teachable) -> Result<bool, Fault> {
        let last = match self.store.read(|r| r.value::<Vain>(VAIN)).await {
            // Written by another version: it costs one training to find out again.
            Err(fault @ Fault::Permanent { .. }) => {
                tracing::warn!(
                    error = fault.chain(),
                    "why the last training was refused is not known"
                );
                None
            }
            last => last?,
        };
        Ok(last.is_some_and(|v| v.of == self.seen(&standing.data_hash)))
    }

    /// All that a training sees.
    fn seen(&self, data_hash: &str) -> String {
        format!("{data_hash} {} {:?}", env!("CARGO_PKG_VERSION"), self.config)
    }

    /// Trains a version on all that is known now; it is born in shadow. Reading is one read of
    /// the store; the training itself runs on a thread of its own.
    ///
    /// # Errors
    /// The store or the training failed. Refused where too little was said, nothing new was said
    /// since the newest version, or another training is under way.
    pub async fn train(&self, by: &Actor) -> Done<Classifier> {
        let Ok(_alone) = self.training.try_lock() else {
            return Ok(Err(Refused::Busy("A version is being trained; try again.".into())));
        };
        let (now, config, most) =
            (self.clock.now(), self.config.clone(), self.config.most_incidents as usize);
        let history = self.store.read(move |r| history(r, most)).await?;
        let work = move || {
            let began = Instant::now();
            train(&history, &config, now).map(|(trained, card)| {
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                (trained, crate::model::classify::ModelCard { took_ms, ..card })
            })
        };
        let (trained, card) = tokio::task::spawn_blocking(work)
            .await
            .map_err(|e| Fault::permanent("the classifier can't be trained", e))??;
        metrics::histogram!("nightjar_learn_training_seconds").record(card.took_ms as f64 / 1e3);
        if trained.heads.is_empty() {
            let why: Vec<String> = card
                .heads
                .iter()
                .filter_map(|h| Some(format!("{}: {}", h.question.words(), h.silent.as_ref()?)))
                .collect();
            let text = format!("Too little was said of incidents yet. {}", why.join(" "));
            let vain = Vain { of: self.seen(&card.data_hash), at: now, why: text.clone() };
            self.store.write(move |tx| tx.put_value(VAIN, &vain)).await?;
            return Ok(Err(Refused::Conflict(text)));
        }
        let (hash, by) = (trained.hash(), by.clone());
        let of = self.seen(&card.data_hash);
        let kept = Kept { hash: hash.clone(), at: now, trained };
        self.store
            .write(move |tx| {
                let newest = tx.list::<Classifier>(&Filter::all().newest(1))?.pop();
                if let Some(same) = newest.filter(|c| c.hash == hash) {
                    let why = format!(
                        "Nothing that matters was said since version {} was trained: the trees \
                         would be the same.",
                        same.version
                    );
                    tx.put_value(VAIN, &Vain { of, at: now, why: why.clone() })?;
                    return Ok(Err(Refused::Conflict(why)));
                }
                let number = tx.next_number(VERSION)?;
                let made = Classifier {
                    version: u32::try_from(number).unwrap_or(u32::MAX),
                    hash,
                    state: ClassifierState::Shadow,
                    trained_by: by.clone(),
                    card,
                    deeds: Vec::new(),
                    watch: None,
                };
                let shadow = Filter::states([ClassifierState::Shadow.as_str()]);
                for old in tx.list::<Classifier>(&shadow)? {
                    let why = format!("Version {} was trained.", made.version);
                    moves(tx, old, ClassifierState::Former, (&Actor::nightjar(), &why), now)?;
                }
                tx.put_new(&kept)?;
                tx.put(&made)?;
                forget(tx)?;
                let detail = json!({
                    "hash": made.hash, "data_hash": made.card.data_hash, "rows": made.card.rows,
                });
                tx.audit(now, &by, "classifier.train", &made.version.to_string(), &detail)?;
                Ok(Ok(made))
            })
            .await
    }

    /// Lets a version's answers be shown: the one named, or the newest in shadow.
    ///
    /// # Errors
    /// The store failed. Refused where there is no such version, it is live already, it is not
    /// better than knowing how common each class is, it drifts, or its trees are gone.
    pub async fn promote(
        &self,
        by: &Actor,
        version: Option<u32>,
        reason: &str,
    ) -> Done<Classifier> {
        let (now, by, reason) = (self.clock.now(), by.clone(), reason.to_owned());
        self.store
            .write(move |tx| {
                let found = match version {
                    Some(version) => tx.get::<Classifier>(version)?,
                    None => newest_shadow(tx)?,
                };
                let Some(found) = found else { return Ok(Err(none(version))) };
                if let Err(refused) = may_be_live(tx, &found)? {
                    return Ok(Err(refused));
                }
                let why = format!("Version {} took its place.", found.version);
                retire(tx, ClassifierState::Former, (&by, &why), now)?;
                moves(tx, found, ClassifierState::Live, (&by, &reason), now).map(Ok)
            })
            .await
    }

    /// Goes back to the version that was live before, or to the one named. Versions that were rolled
    /// back from themselves, and those that may not be promoted either, are passed over. Where none
    /// is left, the live one goes to shadow and nothing is shown.
    ///
    /// # Errors
    /// The store failed. Refused where nothing is live, or the version named was never live or may
    /// not be promoted.
    pub async fn rollback(
        &self,
        by: &Actor,
        version: Option<u32>,
        reason: &str,
    ) -> Done<Classifier> {
        let (now, by, reason) = (self.clock.now(), by.clone(), reason.to_owned());
        self.store
            .write(move |tx| {
                let Some(live) = live(tx)? else {
                    let text = "No version is live, so there is nothing to roll back.";
                    return Ok(Err(Refused::Conflict(text.into())));
                };
                let before = match version {
                    Some(version) => match tx.get::<Classifier>(version)? {
                        Some(found) => match may_be_back(tx, &found)? {
                            Ok(()) => Some(found),
                            Err(refused) => return Ok(Err(refused)),
                        },
                        None => return Ok(Err(none(Some(version)))),
                    },
                    None => live_before(tx, &live)?,
                };
                let to = match before {
                    Some(_) => ClassifierState::Former,
                    None => ClassifierState::Shadow,
                };
                let left = leaves(tx, live, to, (&by, &reason), now)?;
                match before {
                    Some(before) => {
                        moves(tx, before, ClassifierState::Live, (&by, &reason), now).map(Ok)
                    }
                    None => Ok(Ok(left)),
                }
            })
            .await
    }

    /// Keeps what the watch says; a live version that drifts goes back to shadow. Says whether it
    /// did.
    pub(super) async fn watched(&self, version: u32, watch: Watch) -> Result<bool, Fault> {
        let now = self.clock.now();
        self.store
            .write(move |tx| {
                let Some(found) = tx.get::<Classifier>(version)? else { return Ok(false) };
                let drifts = watch.drifts && found.state == ClassifierState::Live;
                let text = format!("It drifts. {}", watch.text);
                let found = Classifier { watch: Some(watch), ..found };
                if drifts {
                    let by = (&Actor::nightjar(), text.as_str());
                    moves(tx, found, ClassifierState::Shadow, by, now)?;
                } else {
                    tx.put(&found)?;
                }
                Ok(drifts)
            })
            .await
    }
}

/// Digests of what is stored of all that [`standing`] reads.
fn depends_on(rows: &crate::store::Rows<'_>, config: &Config) -> Result<Digest, Fault> {
    let newest = Filter::all().newest(config.most_incidents as usize);
    Ok([
        rows.digest::<Snapshot>(&newest)?,
        rows.digest::<Incident>(&Filter::all())?,
        rows.digest::<Lesson>(&Filter::all())?,
    ])
}

/// What could be learned of what is stored.
///
/// # Errors
/// The store failed.
pub fn standing(rows: &crate::store::Rows<'_>, config: &Config) -> Result<Teachable, Fault> {
    let history = history(rows, config.most_incidents as usize)?;
    let questions = Question::ALL
        .into_iter()
        .map(|question| {
            let (classes, cases, _) = classes(&history, question, config);
            let enough = cases.len() >= config.least_incidents as usize && classes.len() > 1;
            Learnable { question, n: cases.len(), classes, enough }
        })
        .collect();
    Ok(Teachable {
        n_incidents: history.cases().len(),
        n_labelled: history.n_labelled(),
        data_hash: history.hash(),
        needed: config.least_incidents,
        questions,
    })
}

fn live(tx: &Tx<'_>) -> Result<Option<Classifier>, Fault> {
    Ok(tx.list::<Classifier>(&Filter::states([ClassifierState::Live.as_str()]))?.pop())
}

fn newest_shadow(tx: &Tx<'_>) -> Result<Option<Classifier>, Fault> {
    let shadow = Filter::states([ClassifierState::Shadow.as_str()]);
    Ok(tx.list::<Classifier>(&shadow)?.into_iter().max_by_key(|c| c.version))
}

/// The version that was live last before another one became so, of those that may be live again
/// and were not rolled back from: going back twice goes back two steps.
fn live_before(tx: &Tx<'_>, now_live: &Classifier) -> Result<Option<Classifier>, Fault> {
    let since = was_live(now_live);
    let mut all = tx.list::<Classifier>(&Filter::all())?;
    all.retain(|c| was_live(c).is_some() && was_live(c) <= since && !was_left(c));
    all.sort_by_key(|c| std::cmp::Reverse((was_live(c), c.version)));
    for found in all {
        if may_be_live(tx, &found)?.is_ok() {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// When a version became live last.
fn was_live(version: &Classifier) -> Option<Time> {
    version.deeds.iter().filter(|d| d.to == ClassifierState::Live).map(|d| d.at).max()
}

/// Whether a version was rolled back from, the last time it was live.
fn was_left(version: &Classifier) -> bool {
    let ends = |d: &&ClassifierDeed| d.rolled_back || d.to == ClassifierState::Live;
    version.deeds.iter().rfind(ends).is_some_and(|d| d.rolled_back)
}

fn none(version: Option<u32>) -> Refused {
    Refused::NotFound(match version {
        Some(version) => format!("There is no version {version} of the classifier."),
        None => "No version waits in shadow. Train one first.".into(),
    })
}

fn gone(version: &Classifier) -> Refused {
    Refused::Conflict(format!(
        "The trees of version {} are no longer kept: only those of the newest {KEPT} are, and of \
         all that were ever live.",
        version.version
    ))
}

fn may_be_live(tx: &Tx<'_>, found: &Classifier) -> Done<()> {
    let version = found.version;
    if found.state == ClassifierState::Live {
        return Ok(Err(Refused::Conflict(format!("Version {version} is live already."))));
    }
    if !found.card.reads(FEATURES_VERSION) {
        return Ok(Err(Refused::Conflict(format!(
            "Version {version} was trained on other features than this program has: it would answer \
             nothing. Train another one."
        ))));
    }
    if !found.card.heads.iter().any(crate::model::classify::HeadCard::is_useful) {
        return Ok(Err(Refused::Conflict(format!(
            "Version {version} is not better than knowing how common each class is: its Brier \
             scores by cross-validation are no smaller. It stays in shadow."
        ))));
    }
    if let Some(watch) = found.watch.as_ref().filter(|w| w.drifts) {
        let text = format!("Version {version} drifts. {} Train another one.", watch.text);
        return Ok(Err(Refused::Conflict(text)));
    }
    Ok(if tx.get::<Kept>(&found.hash)?.is_some() { Ok(()) } else { Err(gone(found)) })
}

/// Whether a rollback may go to a version that somebody named.
fn may_be_back(tx: &Tx<'_>, found: &Classifier) -> Done<()> {
    if was_live(found).is_none() {
        let version = found.version;
        return Ok(Err(Refused::Conflict(format!(
            "Version {version} was never live, so there is no going back to it. Promote it."
        ))));
    }
    may_be_live(tx, found)
}

fn retire(tx: &Tx<'_>, to: ClassifierState, by: (&Actor, &str), now: Time) -> Result<(), Fault> {
    match live(tx)? {
        Some(live) => moves(tx, live, to, by, now).map(|_| ()),
        None => Ok(()),
    }
}

/// Moves a version and keeps who did it and why.
fn moves(
    tx: &Tx<'_>,
    found: Classifier,
    to: ClassifierState,
    (by, reason): (&Actor, &str),
    now: Time,
) -> Result<Classifier, Fault> {
    let (by, reason) = (by.clone(), reason.to_owned());
    goes(tx, found, ClassifierDeed { by, at: now, to, reason, rolled_back: false })
}

/// Moves a version that is rolled back from.
fn leaves(
    tx: &Tx<'_>,
    found: Classifier,
    to: ClassifierState,
    (by, reason): (&Actor, &str),
    now: Time,
) -> Result<Classifier, Fault> {
    let (by, reason) = (by.clone(), reason.to_owned());
    goes(tx, found, ClassifierDeed { by, at: now, to, reason, rolled_back: true })
}

fn goes(tx: &Tx<'_>, found: Classifier, deed: ClassifierDeed) -> Result<Classifier, Fault> {
    let mut moved = Classifier { state: deed.to, ..found };
    let detail = json!({ "to": deed.to, "hash": moved.hash, "reason": deed.reason });
    tx.audit(deed.at, &deed.by, "classifier.move", &moved.version.to_string(), &detail)?;
    moved.deeds.push(deed);
    tx.put(&moved)?;
    Ok(moved)
}

/// Lets go of the trees of old versions that were never live.
fn forget(tx: &Tx<'_>) -> Result<(), Fault> {
    let mut all = tx.list::<Classifier>(&Filter::all())?;
    all.sort_by_key(|c| std::cmp::Reverse(c.version));
    let (newest, old) = all.split_at(KEPT.min(all.len()));
    for version in old.iter().filter(|c| c.deeds.iter().all(|d| d.to != ClassifierState::Live)) {
        if newest.iter().all(|c| c.hash != version.hash) {
            tx.remove::<Kept>(&version.hash)?;
        }
    }
    Ok(())
}
