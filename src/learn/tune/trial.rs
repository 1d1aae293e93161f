//! A change tried on stored points by the same code that runs live: which rung would do, and what
//! it would have meant. Pure.

use std::collections::BTreeMap;

use super::gather::{Case, Told};
use super::rule::{Candidate, Way};
use super::words;
use crate::backtest::{Outcome, Pace, Run, Setup};
use crate::detect::{Bars, budget};
use crate::model::alert::Subject;
use crate::model::time::{DAY_MS, MINUTE_MS};
use crate::model::tuning::{BeforeAfter, Judged, Judgement, TuningTrial};
use crate::model::{Actor, BarOrder, BarScope, Samples, SeriesId, Severity, Time, TuningId};
use crate::{correlate, detect};

/// A detector may be this much earlier than what others told (ms).
const EARLY_MS: i64 = 15 * MINUTE_MS;
/// Told incidents that are listed with a trial.
const LISTED: usize = 20;

/// What a trial is held on.
pub(super) struct World {
    /// Detection as configured.
    pub(super) detect: detect::Config,
    /// Correlation as configured.
    pub(super) correlate: correlate::Config,
    /// Bars that stand now.
    pub(super) bars: Bars,
    /// Stored points of the scope's series.
    pub(super) history: Vec<Samples>,
    /// What lies before only teaches.
    pub(super) since: Time,
    /// Until when there are points.
    pub(super) until: Time,
    /// New anomalies a week that a lowered bar may bring.
    pub(super) new_per_week: f64,
}

/// What came of trying a candidate.
#[derive(Debug)]
pub(super) struct Tried {
    /// The factor, and whether it is proposed.
    pub(super) factor: f64,
    pub(super) made: bool,
    /// What it follows from, or why it is not proposed.
    pub(super) why: String,
    pub(super) trial: Option<TuningTrial>,
}

/// An alert of at least warning about a series.
struct Rang {
    series: SeriesId,
    since: Time,
    until: Time,
}

struct Replayed {
    alerts: Vec<Rang>,
    anomalies: Vec<Rang>,
    n_incidents: usize,
}

impl World {
    /// What would have been told with a bar for the scope; `None`: as it is now. The budget holds
    /// nothing back: what it would hold back depends on all other series.
    fn replay(&self, bar: Option<(&BarScope, f64)>) -> Replayed {
        let mut bars = Bars::default();
        let standing = self.bars.all().into_iter().map(|b| (b.scope, b.factor));
        let order = |scope: BarScope, factor: f64| BarOrder {
            scope,
            factor,
            until: Time::MAX,
            tuning: TuningId::derive(Time::MIN, &["a trial"]),
            by: Actor::nightjar(),
        };
        for (scope, factor) in standing.chain(bar.map(|(s, f)| (s.clone(), f))) {
            bars.obey(&order(scope, factor), Time::MIN);
        }
        let budget = budget::Config { anomalies_per_day: 0.0, ..self.detect.budget.clone() };
        let setup = Setup {
            name: "trial".into(),
            detect: detect::Config { budget, ..self.detect.clone() },
            correlate: self.correlate.clone(),
            bars,
            ..Setup::default()
        };
        // A handful of series stands for itself: silence of one says nothing here.
        let silent = self.history.iter().map(|s| (s.series.entity.clone(), Time::MIN)).collect();
        let mut run = Run::new(setup, silent);
        let first = self.history.iter().filter_map(|s| s.points.first()).map(|p| p.at).min();
        let step_ms = self.history.iter().map(|s| s.series.step_ms).min().unwrap_or(0);
        let mut pace = Pace::new("stored", first.unwrap_or(self.since), self.since, step_ms);
        pace.play(&self.history, self.until, |batch| run.take(batch));
        Replayed::of(&run.finish())
    }

    /// Tries the rungs of a candidate, the nearest first.
    pub(super) fn judge(&self, candidate: &Candidate, from: f64, cases: &[Case]) -> Tried {
        let Candidate { scope, way, judged, .. } = candidate;
        let rungs = way.rungs(from);
        let no = |factor: f64, why: String, trial| Tried { factor, made: false, why, trial };
        if rungs.is_empty() {
            let why = format!("It is {from} times the configured bar already: no further step.");
            return no(from, why, None);
        }
        if self.history.iter().all(|s| s.points.is_empty()) {
            let why = "No points of these series are stored, so it can't be tried.".to_owned();
            return no(rungs[0], why, None);
        }
        let before = self.replay(None);
        let mut last = None;
        for factor in rungs {
            let after = self.replay(Some((scope, factor)));
            let view =
                View { world: self, scope, step: factor / from, before: &before, after: &after };
            let told = view.told(cases, judged);
            let trial = view.trial(&told);
            let mine: Vec<&Judged> = told.iter().filter(|j| judged.contains(&j.incident)).collect();
            let lost = told
                .iter()
                .find(|j| !j.stays && j.judgement == Judgement::Confirmed && *way == Way::Raise);
            if let Some(lost) = lost {
                let why = format!(
                    "At {factor} times the band #{} ({}), which was confirmed, would no longer be \
                     told.",
                    lost.number, lost.title
                );
                return no(factor, why, Some(trial));
            }
            if *way == Way::Lower
                && let Some(why) = view.too_much(cases, factor)
            {
                return no(factor, why, Some(trial));
            }
            let wanted = *way == Way::Lower;
            let n_done = mine.iter().filter(|j| j.stays == wanted).count();
            if 3 * n_done >= 2 * judged.len() {
                let numbers: Vec<u64> = mine.iter().map(|j| j.number).collect();
                let confirmed = told.iter().filter(|j| j.judgement == Judgement::Confirmed);
                let why = words::because(*way, &numbers, confirmed.count());
                return Tried { factor, made: true, why, trial: Some(trial) };
            }
            last = Some((factor, n_done, trial));
        }
        let (factor, n_done, trial) = last.expect("there is a rung");
        let (of, done) = (judged.len(), if *way == Way::Raise { "gone" } else { "told" });
        let why = format!(
            "Even at {factor} times the band only {n_done} of {of} would be {done}: the bar of \
             {scope} is not what decides here."
        );
        no(factor, why, Some(trial))
    }
}

/// A trial seen from the incidents.
struct View<'a> {
    world: &'a World,
    scope: &'a BarScope,
    /// The factor as a multiple of the one that holds now.
    step: f64,
    before: &'a Replayed,
    after: &'a Replayed,
}

impl View<'_> {
    /// The incidents that departures of the scope told, and those that speak for the change; the
    /// newest first.
    fn told(&self, cases: &[Case], judged: &[crate::model::IncidentId]) -> Vec<Judged> {
        let mut told: Vec<Judged> = cases
            .iter()
            .filter(|c| c.touches(self.scope) || judged.contains(&c.incident))
            .map(|c| {
                let (stays, replayed) = self.stays(c);
                Judged {
                    incident: c.incident,
                    number: c.number,
                    title: c.title.clone(),
                    onset_at: c.onset_at,
                    judgement: c.judgement,
                    stays,
                    replayed,
                }
            })
            .collect();
        told.sort_by_key(|j| (std::cmp::Reverse(j.onset_at), j.incident));
        told
    }

    /// Whether an incident would be told with the change, and whether stored points show it.
    fn stays(&self, case: &Case) -> (bool, bool) {
        if !case.touches(self.scope) {
            // It was missed: does the change find it?
            let near = (case.onset_at.plus_ms(-EARLY_MS), case.end_at);
            let rang = |r: &Rang| r.since <= near.1 && r.until >= near.0;
            return (self.after.alerts.iter().any(rang), true);
        }
        let (mut stays, mut replayed) = (case.others, true);
        for told in &case.told {
            if !self.scope.covers(&told.series) {
                stays = true;
            } else if self.before.rings(told) {
                stays |= self.after.rings(told);
            } else {
                // Its points are gone or came otherwise: what was recorded of it decides.
                replayed = false;
                stays |= told.score / self.world.detect.threshold >= self.step;
            }
        }
        (stays, replayed)
    }

    /// Why a lowered bar would tell too much.
    fn too_much(&self, cases: &[Case], factor: f64) -> Option<String> {
        let near =
            |c: &Case, r: &Rang| r.since <= c.end_at && r.until >= c.onset_at.plus_ms(-EARLY_MS);
        let new: Vec<&Rang> = self.new_alerts().collect();
        let of = |judgement: Judgement| {
            cases.iter().filter(move |c| {
                c.judgement == judgement && c.entities.contains(&self.scope.entity)
            })
        };
        if let Some(again) = of(Judgement::Dismissed).find(|c| new.iter().any(|r| near(c, r))) {
            return Some(format!(
                "At {factor} times the band what was called no incident (#{}) would be told again.",
                again.number
            ));
        }
        let noise = new.iter().filter(|r| !of(Judgement::Confirmed).any(|c| near(c, r))).count();
        let weeks = self.world.until.ms_since(self.world.since) as f64 / (7 * DAY_MS) as f64;
        let most = self.world.new_per_week * weeks.max(1.0);
        (noise as f64 > most).then(|| {
            format!(
                "At {factor} times the band {noise} more would be told over {:.1} weeks in which \
                 nobody saw an incident; at most {} a week are allowed.",
                weeks, self.world.new_per_week
            )
        })
    }

    fn new_alerts(&self) -> impl Iterator<Item = &Rang> {
        self.after.alerts.iter().filter(|r| !self.before.alerts.iter().any(|b| b.same_as(r)))
    }

    fn trial(&self, told: &[Judged]) -> TuningTrial {
        let (a, b) = (self.before, self.after);
        let pair = |before: usize, after: usize| BeforeAfter { before, after };
        let fresh = |r: &&Rang| !a.anomalies.iter().any(|o| o.same_as(r));
        let mut trial = TuningTrial {
            since: self.world.since,
            until: self.world.until,
            n_series: self.world.history.len(),
            anomalies: pair(a.anomalies.len(), b.anomalies.len()),
            alerts: pair(a.alerts.len(), b.alerts.len()),
            incidents: pair(a.n_incidents, b.n_incidents),
            n_new: b.anomalies.iter().filter(fresh).count(),
            told: told.iter().take(LISTED).cloned().collect(),
            text: String::new(),
        };
        trial.text = text(&trial, told);
        trial
    }
}

fn text(trial: &TuningTrial, told: &[Judged]) -> String {
    let days = trial.until.ms_since(trial.since) as f64 / DAY_MS as f64;
    let count = |judgement: Judgement| {
        let of: Vec<&Judged> = told.iter().filter(|j| j.judgement == judgement).collect();
        (of.len(), of.iter().filter(|j| j.stays).count())
    };
    let mut text = format!(
        "Over {days:.1} stored days of {} series: {} anomalies instead of {}, {} alerts of at least \
         warning instead of {}, {} incidents of their own instead of {}.",
        trial.n_series,
        trial.anomalies.after,
        trial.anomalies.before,
        trial.alerts.after,
        trial.alerts.before,
        trial.incidents.after,
        trial.incidents.before
    );
    for (judgement, words) in [
        (Judgement::Dismissed, "called no incident"),
        (Judgement::Confirmed, "confirmed"),
        (Judgement::Unsaid, "of which nobody said anything"),
    ] {
        let (n, stay) = count(judgement);
        if n > 0 {
            text.push_str(&format!(" Of {n} {words} {stay} would be told."));
        }
    }
    text.push_str(" The alert budget is left out: what it holds back depends on all other series.");
    text
}

impl Rang {
    fn same_as(&self, other: &Self) -> bool {
        self.series == other.series && self.since <= other.until && other.since <= self.until
    }
}

impl Replayed {
    fn of(outcome: &Outcome) -> Self {
        let end = outcome.until;
        let alerts = outcome
            .alerts
            .iter()
            .filter(|a| a.severity >= Severity::Warning)
            .filter_map(|a| {
                let until = a.ends_at.unwrap_or(end);
                Some(Rang { series: a.series?, since: a.starts_at, until })
            })
            .collect();
        let anomalies = outcome
            .claims
            .iter()
            .filter_map(|c| match &c.anomaly.subject {
                Subject::Series { series } => Some(Rang {
                    series: series.id,
                    since: c.anomaly.since,
                    until: c.anomaly.until.unwrap_or(end),
                }),
                _ => None,
            })
            .collect();
        Self { alerts, anomalies, n_incidents: outcome.incidents.len() }
    }

    fn rings(&self, told: &Told) -> bool {
        self.alerts
            .iter()
            .any(|r| r.series == told.series.id && r.since <= told.until && r.until >= told.since)
    }
}

/// Points of each series, at most so many in all: the newest.
pub(super) fn newest(history: Vec<Samples>, most: usize) -> Vec<Samples> {
    let each = most / history.len().max(1);
    let by_id: BTreeMap<SeriesId, Samples> =
        history.into_iter().map(|s| (s.series.id, s)).collect();
    by_id
        .into_values()
        .map(|mut s| {
            s.points.drain(..s.points.len().saturating_sub(each));
            s
        })
        .collect()
}
