//! The running of the classifier: incidents in; snapshots, predictions, versions in shadow and the
//! watch over them out.

use std::collections::BTreeSet;
use std::time::Duration;

use super::features::FEATURES_VERSION;
use super::gather::{due, history};
use super::keeper::Keeper;
use super::known::Snapshot;
use super::rows::{Case, History};
use super::train::Kept;
use super::watch::watch;
use crate::bus::{Bus, Event};
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{
    Actor, Classifier, ClassifierState, Fault, IncidentId, Prediction, SharedClock, Time,
};
use crate::stage::Stage;
use crate::store::{Filter, Rows};

/// Time between two looks at whether to train, and at drift (ms of event time).
const EVERY_MS: i64 = HOUR_MS;
/// How much more must have been said, as a share, for training before its time.
const GROWN: f64 = 1.25;
/// Predictions that the watch looks at, the newest of a version.
const MOST_TOLD: usize = 1_000;

/// The classify stage.
pub struct Classify {
    keeper: Keeper,
    bus: Bus,
    clock: SharedClock,
    looked_at: Time,
}

/// What there is to say of new incidents.
#[derive(Default)]
struct Said {
    snapshots: Vec<Snapshot>,
    predictions: Vec<Prediction>,
}

impl Classify {
    /// The stage of a keeper.
    #[must_use]
    pub fn new(keeper: Keeper, bus: Bus, clock: SharedClock) -> Self {
        Self { keeper, bus, clock, looked_at: Time::MIN }
    }

    /// Keeps incidents as they are known at their time of decision, and what each version says.
    async fn judge(&self, now: Time) -> Result<(), Fault> {
        let config = self.keeper.config.clone();
        let said = self
            .keeper
            .store
            .read(move |r| {
                let snapshots = due(r, &config, now)?;
                if snapshots.is_empty() {
                    return Ok(Said::default());
                }
                let history = history(r, config.most_incidents as usize)?;
                let predictions = predict(r, &history, &snapshots)?;
                Ok(Said { snapshots, predictions })
            })
            .await?;
        if said.snapshots.is_empty() {
            return Ok(());
        }
        let told: BTreeSet<IncidentId> =
            said.predictions.iter().filter(|p| p.shown).map(|p| p.incident).collect();
        let n = said.snapshots.len() as u64;
        self.keeper
            .store
            .write(move |tx| {
                for snapshot in &said.snapshots {
                    tx.put_new(snapshot)?;
                }
                for prediction in &said.predictions {
                    tx.put_new(prediction)?;
                }
                Ok(())
            })
            .await?;
        metrics::counter!("nightjar_learn_classified_total").increment(n);
        for incident in told {
            self.bus.publish(Event::Diagnosis(incident));
        }
        Ok(())
    }

    /// Trains where enough was said since the newest version.
    async fn train(&self, now: Time) -> Result<(), Fault> {
        if !self.keeper.config.train {
            return Ok(());
        }
        let newest = self
            .keeper
            .store
            .read(|r| Ok(r.list::<Classifier>(&Filter::all().newest(1))?.pop()))
            .await?;
        let standing = self.keeper.standing().await?;
        let every = i64::from(self.keeper.config.train_every_days) * DAY_MS;
        let wanted = standing.questions.iter().any(|q| q.enough)
            && newest.is_none_or(|c| {
                let grown = standing.n_labelled as f64 >= c.card.rows as f64 * GROWN;
                let old = now.ms_since(c.card.trained_at) >= every;
                let other = !c.card.reads(FEATURES_VERSION);
                other || grown || (old && standing.n_labelled != c.card.rows)
            });
        if wanted && !self.keeper.is_in_vain(&standing).await? {
            match self.keeper.train(&Actor::nightjar()).await? {
                Ok(made) => tracing::info!(version = made.version, "a classifier was trained"),
                Err(refused) => tracing::info!(reason = %refused, "no classifier was trained"),
            }
        }
        Ok(())
    }

    /// Looks whether versions still do as their cards say.
    async fn look(&self, now: Time) -> Result<(), Fault> {
        let most = self.keeper.config.most_incidents as usize;
        let watches = self
            .keeper
            .store
            .read(move |r| {
                let versions = current(r)?;
                if versions.is_empty() {
                    return Ok(Vec::new());
                }
                let history = history(r, most)?;
                let watches = versions.iter().map(|v| {
                    let newest = Filter::subject(v.version).newest(MOST_TOLD);
                    let told = r.list::<Prediction>(&newest)?;
                    let recent: Vec<&Case> = history
                        .cases()
                        .iter()
                        .filter(|c| c.snapshot.at > v.card.trained_at && c.snapshot.in_time)
                        .collect();
                    Ok((v.version, watch(&v.card, &recent, &told, now)))
                });
                watches.collect::<Result<Vec<_>, Fault>>()
            })
            .await?;
        for (version, found) in watches {
            let text = found.text.clone();
            if self.keeper.watched(version, found).await? {
                tracing::warn!(version, reason = text, "a classifier drifts: it goes to shadow");
                metrics::counter!("nightjar_learn_demoted_total").increment(1);
            }
        }
        Ok(())
    }
}

/// The version in shadow and the live one, where there are such.
fn current(rows: &Rows<'_>) -> Result<Vec<Classifier>, Fault> {
    let states = [ClassifierState::Shadow, ClassifierState::Live].map(ClassifierState::as_str);
    rows.list::<Classifier>(&Filter::states(states))
}

/// What the current versions say of new incidents.
fn predict(
    rows: &Rows<'_>,
    history: &History,
    snapshots: &[Snapshot],
) -> Result<Vec<Prediction>, Fault> {
    let mut found = Vec::new();
    for version in current(rows)? {
        let Some(kept) = rows.get::<Kept>(&version.hash)? else { continue };
        found.extend(snapshots.iter().map(|new| Prediction {
            incident: new.incident,
            version: version.version,
            at: new.at,
            shown: version.state == ClassifierState::Live,
            answers: kept.trained.answers(&version.card, history, new),
        }));
    }
    Ok(found)
}

impl Stage for Classify {
    const NAME: &'static str = "classify";
    const SWEEP: Duration = Duration::from_secs(2);

    /// Nothing rings for a time that comes: the sweep looks what is due.
    fn wants(&self, _: &Event) -> bool {
        false
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        let now = self.clock.now();
        self.judge(now).await?;
        if now.ms_since(self.looked_at) >= EVERY_MS {
            self.looked_at = now;
            self.look(now).await?;
            self.train(now).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, _: Event) -> Result<(), Fault> {
        Ok(())
    }
}
