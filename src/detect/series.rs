//! All that is kept of one series: its views, its running episodes, and when it last spoke.

mod bytes;
mod day;
mod departure;
mod rare;
mod surprise;
mod wire;

use std::num::NonZeroU64;

use serde::Deserialize;

use crate::model::alert::{Anomaly, Band};
use crate::model::time::DAY_MS;
use crate::model::{Indicator, Point, Series, Time, figure};

use super::beside::{Asked, Beside};
use super::calendar::{Day, Vote};
use super::config::Config;
use super::drift::Row;
use super::ensemble::Entity;
use super::episode::{Claim, Episode, Rules, advance};
use super::flatline::Flatline;
use super::forecast::{Expiring, Forecast, Said, is_expiry, limit_of, sentence};
use super::gap::Rhythm;
use super::grounds::Surprise;
use super::peers;
use super::pooled::Pooled;
use super::seasonal::Seasonal;
use super::telling::{possible, told};
use super::view::{Detector, Facts, fuse};
use super::window::{Fences, Rolling, Zscore};
use rare::Rare;
use surprise::KNOWN_POINTS;

/// State of one series.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "wire::Read")]
pub(super) struct SeriesState {
    pub(super) series: Series,
    pub(super) last: Time,
    /// Live points seen: only a series that speaks regularly can be missed.
    pub(super) n_live: u32,
    /// Usual distance between live points, in ms.
    pub(super) step_ms: i64,
    seasonal: Seasonal,
    rolling: Rolling,
    flatline: Flatline,
    // Boxed: few series have it, and room for it would stand in each.
    forecast: Option<Box<Forecast>>,
    rare: Rare,
    /// When the newest point was taken in, back-fill included: history may be taught slowly.
    pub(super) heard_at: Time,
    /// How surprising its points are by its own past. Boxed with its columns.
    ensemble: Entity,
    /// The group of replicas that it belongs to.
    pub(super) group: Option<NonZeroU64>,
    /// The newest value, finite.
    last_value: f64,
    /// The newest onset, and its surprise in nats: a departure may leave the band a little later.
    onset: (Time, f32),
    /// What bands can't see.
    beside: Beside,
    /// How its samples come.
    pub(super) rhythm: Rhythm,
    /// The day that its points are judged as.
    pub(super) day: Day,
    /// The ensemble is in shadow: it is asked, and its word does not count.
    pub(super) unheeded: bool,
    /// The factor of the bar that people moved for it.
    pub(super) bar: f64,
}

/// The bar as configured.
fn configured() -> f64 {
    1.0
}

/// What became of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Judged and learned.
    Judged,
    /// At the time of the newest point: the first word stands.
    Duplicate,
    /// Before the newest point: too late for streaming detection.
    Late,
}

/// What is to be said of a point beside anomalies.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Word {
    /// How surprising its row is, in nats; 0 where nothing was judged.
    pub(super) nats: f32,
    /// What the ensemble said of it, for the watch over detectors; `None` while its past is too
    /// short, and within a called departure.
    pub(super) row: Option<Row>,
    /// What it says of the day.
    pub(super) vote: Option<Vote>,
}

impl SeriesState {
    pub(super) fn new(series: Series) -> Self {
        let forecast = limit_of(&series).map(|limit| Box::new(Forecast::new(limit)));
        let group = peers::whole_of(&series).and_then(|whole| NonZeroU64::new(whole.id.0));
        Self {
            step_ms: series.step_ms.max(1_000),
            series,
            last: Time::MIN,
            n_live: 0,
            seasonal: Seasonal::new(),
            rolling: Rolling::new(),
            flatline: Flatline::new(),
            forecast,
            rare: Rare::default(),
            heard_at: Time::MIN,
            ensemble: Entity::default(),
            group,
            last_value: 0.0,
            onset: (Time::MIN, 0.0),
            beside: Beside::default(),
            rhythm: Rhythm::default(),
            day: Day::default(),
            unheeded: false,
            bar: configured(),
        }
    }

    /// A new replica: it begins with what is known of its siblings as a whole.
    pub(super) fn inheriting(series: Series, siblings: &Self) -> Self {
        let own = Self::new(series);
        Self {
            seasonal: siblings.seasonal.clone(),
            rolling: siblings.rolling.clone(),
            ensemble: siblings.ensemble.clone(),
            ..own
        }
    }

    /// Whether it was heard of, and its own past is not known: the snapshot had that in another form.
    pub(super) fn has_lost_its_past(&self) -> bool {
        self.last > Time::MIN && self.ensemble.n_rows() == 0 && !is_expiry(&self.series)
    }

    /// Takes over a better description of the same series.
    pub(super) fn describe(&mut self, series: &Series) {
        self.series.clone_from(series);
        self.group = peers::whole_of(series).and_then(|whole| NonZeroU64::new(whole.id.0));
        // Nor does one go on that was kept from when it had a limit.
        if self.forecast.is_none() || limit_of(series).is_none() {
            self.forecast = limit_of(series).map(|limit| Box::new(Forecast::new(limit)));
        }
    }

    /// What is expected of a time, for charts.
    pub(super) fn expected(&self, config: &Config, at: Time) -> Option<Band> {
        // How the days before the running one were judged is not kept.
        let is_today = self.last.ms_since(at).abs() < DAY_MS / 2;
        let expected = self.seasonal.expected(if is_today { self.as_day(at) } else { at });
        let facts = Facts::new(config, &self.series, expected, false).with_bar(self.bar);
        if expected.is_some() {
            let point = Point { at, value: 0.0 };
            let judged = self.seasonal.judge(&facts, point)?;
            return Some(possible(&self.series, judged.expected, self.last_value));
        }
        Some(possible(&self.series, self.rolling.band(&facts)?, self.last_value))
    }

    /// Judges and learns one point; called, retold and ended episodes go to `out`.
    pub(super) fn observe(
        &mut self,
        config: &Config,
        point: Point,
        backfill: bool,
        out: &mut Vec<Anomaly>,
    ) -> Taken {
        self.observe_by(config, &Pooled::default(), point, backfill, out).0
    }

    /// The same with what the onsets of all series have taught.
    pub(super) fn observe_by(
        &mut self,
        config: &Config,
        pooled: &Pooled,
        point: Point,
        backfill: bool,
        out: &mut Vec<Anomaly>,
    ) -> (Taken, Word) {
        let mut word = Word::default();
        if point.at <= self.last {
            let is_same = point.at == self.last;
            return (if is_same { Taken::Duplicate } else { Taken::Late }, word);
        }
        if !backfill {
            if self.n_live > 0 {
                let step = point.at.ms_since(self.last);
                self.rhythm.push(step);
                // Follows slowly; one gap is no new step.
                self.step_ms += (step.min(4 * self.step_ms) - self.step_ms) / 8;
            }
            self.n_live = self.n_live.saturating_add(1);
        }
        let step_ms = point.at.ms_since(self.last);
        let before = Point { at: self.last, value: self.last_value };
        self.last = point.at;
        if is_expiry(&self.series) {
            // The value is the time of an end: nothing of it is high, low or still.
            if !backfill {
                let horizon = config.expiry_horizon_h;
                let mut near = self.rare.expiring.as_deref().copied();
                Expiring::step(&mut near, &self.series, point, horizon, out);
                if near.is_some() || self.rare.expiring.is_some() {
                    self.rare.expiring = near.map(Box::new);
                    self.rare.tidy();
                }
            }
            return (Taken::Judged, word);
        }
        word.vote = if backfill { None } else { self.voted(before.at, point) };
        let expected = self.seasonal.expected(self.as_day(point.at));
        let facts = Facts::new(config, &self.series, expected, backfill).with_bar(self.bar);
        let surprise = self.surprise(config, pooled, (point, step_ms), &mut word);
        self.last_value = point.value;
        let departing = !backfill && self.judge(&facts, (before, point), &surprise, out);
        if !backfill
            && self.rare.habit.is_some()
            && let Some(habit) = &mut self.rare.habit
        {
            habit.step(point.at, departing);
            self.seasonal.is_unsettled = habit.is_unsettled();
        }
        self.seasonal.is_other_day = self.day.shift != 0;
        self.seasonal.learn(&facts, point, departing);
        if self.seasonal.profile.is_whole() {
            // The profile speaks for every hour: the window would never be asked again.
            self.rolling.restart();
        } else {
            Zscore(&mut self.rolling).learn(&facts, point, departing);
        }
        self.flatline.learn(&facts, point, departing);
        let told = (departing, self.is_told());
        self.beside.learn(&facts, point, told, (self.step_ms, before));
        self.look_ahead(&facts, point, out);
        self.rare.tidy();
        (Taken::Judged, word)
    }

    /// Runs the views on a live point and moves the episodes on; says whether the point departs.
    fn judge(
        &mut self,
        facts: &Facts<'_>,
        (before, point): (Point, Point),
        surprise: &Surprise,
        out: &mut Vec<Anomaly>,
    ) -> bool {
        let threshold = facts.config.threshold;
        let opinions: Vec<_> = [
            self.seasonal.judge(facts, point),
            Zscore(&mut self.rolling).judge(facts, point),
            Fences(&mut self.rolling).judge(facts, point),
            self.beside.among(facts, point),
        ]
        .into_iter()
        .flatten()
        .collect();
        let claim = fuse(&opinions, threshold).map(|o| Claim {
            at: point.at,
            value: point.value,
            score: o.score,
            expected: o.expected,
            detector: o.detector,
            surprise: *surprise,
        });
        if let Some(claim) = claim {
            self.depart(facts, &claim, out);
        }
        let asked = Asked {
            series: &self.series,
            rules: self.rules(facts.config, facts.config.hold_s),
            surprise: *surprise,
            step_ms: self.step_ms,
            before,
            is_told: self.is_told(),
            is_departing: self.rare.departure.is_some(),
        };
        self.beside.judge(facts, point, &asked, out);
        if let Some(o) = self.flatline.judge(facts, point) {
            let claim = Claim {
                at: point.at,
                value: point.value,
                score: o.score,
                expected: o.expected,
                detector: o.detector,
                surprise: Surprise::default(),
            };
            let rules = self.rules(facts.config, 0);
            out.extend(advance(&mut self.rare.still, &self.series, &claim, &rules));
        } else if self.rare.still.is_some()
            && let Some(still) = self.rare.still.take()
            && still.called
        {
            out.push(told(&self.series, &still, Some(point.at)));
        }
        self.rare.departure.is_some()
    }

    fn rules(&self, config: &Config, hold_s: u32) -> Rules {
        let slow = self.step_ms > 60_000;
        Rules {
            hold_ms: i64::from(hold_s) * 1_000,
            least_points: if hold_s == 0 {
                1
            } else if slow {
                2
            } else {
                3
            },
            least_nats: if self.ensemble.n_rows() > KNOWN_POINTS && !self.unheeded {
                -config.unusual_p.clamp(1e-300, 1.0).ln() * self.bar
            } else {
                0.0
            },
            ..Rules::held(config, 1)
        }
    }

    /// Whether a departure of it is told of.
    pub(super) fn is_told(&self) -> bool {
        self.rare.departure.as_ref().is_some_and(|e| e.called)
    }

    /// Whether something is open that only a later point could end.
    pub(super) fn has_open(&self) -> bool {
        self.rare.departure.is_some()
            || self.rare.still.is_some()
            || self.rare.filling.is_some()
            || self.rare.expiring.is_some()
            || self.beside.has_open()
    }

    /// Ends what is open because the signal is gone: nothing says that it recovered. A departure
    /// that was only held is forgotten.
    pub(super) fn vanish(&mut self, now: Time, out: &mut Vec<Anomaly>) {
        let rare = &mut *self.rare;
        out.extend(rare.expiring.take().map(|e| e.vanished(&self.series, now)));
        let slots = [rare.departure.take(), rare.still.take(), rare.filling.take()];
        self.rare.tidy();
        let open =
            slots.into_iter().flatten().chain(self.beside.take_open().into_iter().map(Box::new));
        for episode in open.filter(|e| e.called) {
            let mut anomaly = told(&self.series, &episode, Some(now));
            anomaly.at = now;
            anomaly.unseen = true;
            anomaly.why = format!(
                "{} of {} is gone since {} UTC; it was {} then, told of since {} UTC. \
                 Whether it recovered is not known.",
                self.series.metric,
                self.series.entity.name(),
                self.last.clock_text(),
                figure(episode.value, &self.series.unit),
                episode.since.clock_text()
            );
            out.push(anomaly);
        }
    }

    /// Feeds the forecast; it learns from back-fill and speaks only live.
    fn look_ahead(&mut self, facts: &Facts<'_>, point: Point, out: &mut Vec<Anomaly>) {
        let Some(limit) = limit_of(&self.series) else {
            // What was told of a limit that is none any more is over.
            if let Some(episode) = self.rare.filling.take_if(|_| !facts.backfill) {
                let mut anomaly = told(&self.series, &episode, Some(point.at));
                let (metric, of) = (&self.series.metric, self.series.entity.name());
                anomaly.why = format!("{metric} of {of} has no known limit any more.");
                out.push(anomaly);
            }
            return;
        };
        let Some(forecast) = &mut self.forecast else { return };
        let horizon = (!facts.backfill).then_some(f64::from(facts.config.forecast_horizon_h));
        let said = forecast.push(point, &|at| self.seasonal.season(at), limit, horizon);
        forecast.streak = match (&said, forecast.streak) {
            (Said::Nothing, _) => return,
            (Said::Ahead(_), s) => s.max(0).saturating_add(1),
            (Said::Clear, s) => s.min(0).saturating_sub(1),
        };
        if facts.backfill {
            return;
        }
        match said {
            // What is at its limit already is for those who judge levels, unless it was told before.
            Said::Ahead(_) if point.value >= limit && self.rare.filling.is_none() => {}
            Said::Ahead(warning) if forecast.streak >= 2 => {
                let band = facts
                    .expected
                    .map_or(Band { low: point.value, mid: point.value, high: point.value }, |e| {
                        facts.band((e.low, e.mid, e.high), e.sigma)
                    });
                let claim = Claim {
                    at: point.at,
                    value: point.value,
                    score: warning.score,
                    expected: band,
                    detector: "forecast/1",
                    surprise: Surprise::default(),
                };
                let since = warning.since;
                let episode = self.rare.filling.get_or_insert_with(|| {
                    let mut e = Episode::start(&claim);
                    (e.since, e.called) = (since, true);
                    Box::new(e)
                });
                (episode.at, episode.value, episode.expected) = (point.at, point.value, band);
                episode.score = episode.score.max(claim.score);
                episode.peak = episode.peak.max(point.value);
                let mut anomaly = told(&self.series, episode, None);
                anomaly.why = sentence(&self.series, point.value, limit, &warning.outlook);
                out.push(anomaly);
            }
            // What stands at its limit does not rise any more; that ends nothing.
            Said::Clear if forecast.streak <= -3 => {
                let is_full = point.value >= limit;
                let Some(mut episode) = self.rare.filling.take() else { return };
                if is_full {
                    (episode.at, episode.value) = (point.at, point.value);
                    episode.peak = episode.peak.max(point.value);
                }
                let ended = (!is_full).then_some(point.at);
                let mut anomaly = told(&self.series, &episode, ended);
                let now = if is_full { "is at" } else { "no longer heads for" };
                anomaly.why = format!(
                    "{} of {} {now} its limit of {}.",
                    self.series.metric,
                    self.series.entity.name(),
                    figure(limit, &self.series.unit)
                );
                self.rare.filling = Some(episode).filter(|_| is_full);
                out.push(anomaly);
            }
            _ => {}
        }
    }
}

/// Whether departures of a signal never become usual, however often they come or long they last.
pub(super) fn never_usual(indicator: Indicator) -> bool {
    matches!(indicator, Indicator::Errors | Indicator::Availability)
}
