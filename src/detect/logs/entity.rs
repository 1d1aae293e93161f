//! The log of one entity: its templates, how often each comes, how they are mixed, and what is
//! said when that changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::alert::Band;
use crate::model::signal::Direction;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS, duration_text};
use crate::model::{Anomaly, EntityRef, Level, LogLine, Time};
use crate::templates::{Folder, Merge, Miner, TemplateId};

use super::errors::Errors;
use super::event::{self, Event};
use super::mixture::{Closed, Mixture};
use super::rate::Rate;
use super::said::{BURST, ERRORS, MIXTURE, NEW, RATE, Said, VANISHED};
use crate::detect::config::LogConfig;
use crate::detect::share::Verdict;

/// A template is new for this long (ms) after its first line.
const NEW_MS: i64 = 2 * MINUTE_MS;
/// Half-life (ms) of the count of new error templates: an entity that words its errors anew all
/// the time has to say more before it is believed.
const NOVELTY_MS: f64 = 12.0 * HOUR_MS as f64;
/// The share of each error in all lines is judged over so long (ms).
const RATE_MS: i64 = 10 * MINUTE_MS;
/// What stopped and stays away for so long (ms) is no longer expected.
const GIVEN_UP_MS: i64 = DAY_MS;
/// Text by which errors of any template are told of.
const ANY_ERROR: &str = "lines at error or worse";

/// Templates of one kind of lines with their counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Side {
    miner: Miner,
    rates: BTreeMap<TemplateId, Rate>,
}

/// State of one entity's log; bounded by the capacity of its miners.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct EntityLog {
    pub(super) entity: EntityRef,
    /// Errors and worse, so that no flood of other lines pushes them out.
    errors: Side,
    /// The rest.
    others: Side,
    share: Errors,
    /// All lines of the window in which the share of each error is judged.
    window_since: Time,
    window_n: u32,
    mixture: Mixture,
    /// The lines of a stack trace may come as records of their own.
    folder: Folder,
    /// First line, and whether it was below error.
    since: Time,
    began_quiet: bool,
    /// Newest line by its own time.
    newest: Time,
    /// When its newest line was taken in.
    pub(super) heard_at: Time,
    /// Version that writes the lines, where they tell.
    version: Option<String>,
    /// New error templates, halved every twelve hours.
    novelty: f64,
    novelty_at: Time,
}

/// What a look at a batch knows.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) config: &'a LogConfig,
    pub(super) now: Time,
    /// History: teaches and raises nothing.
    pub(super) backfill: bool,
    /// Logs have been read for long enough to say what is new.
    pub(super) warm: bool,
}

impl Side {
    fn new(capacity: u32) -> Self {
        Self { miner: Miner::new(capacity), rates: BTreeMap::new() }
    }

    /// Finds the line's template and counts; what its merges and evictions say is told.
    fn count(
        &mut self,
        event: &Event<'_>,
        at: Time,
        warm: bool,
        mut told: impl FnMut(Told),
    ) -> (TemplateId, bool) {
        let found = self.miner.learn(&event.message);
        if let Some(gone) = found.evicted {
            if let Some(open) = self.rates.remove(&gone).and_then(|r| r.open) {
                told(Told::Ended(Box::new(Anomaly { at, until: Some(at), ..*open })));
            }
            told(Told::Gone(gone));
        }
        for merge in self.miner.take_merges() {
            told(Told::Merged(merge));
            let Some(from) = self.rates.remove(&merge.from) else {
                continue;
            };
            match self.rates.get_mut(&merge.into) {
                Some(into) => {
                    if let Some(ended) = into.take_in(from, at) {
                        told(Told::Ended(Box::new(ended)));
                    }
                }
                None => _ = self.rates.insert(merge.into, from),
            }
        }
        let entry = self.rates.entry(found.id);
        let rate = entry.or_insert_with(|| Rate::new(at, warm && found.is_new));
        rate.count(at, event.trace.as_deref());
        rate.warns |= event.level >= Level::Warn;
        (found.id, found.is_new)
    }
}

enum Told {
    Ended(Box<Anomaly>),
    Gone(TemplateId),
    Merged(Merge),
}

impl EntityLog {
    pub(super) fn new(config: &LogConfig, line: &LogLine, now: Time) -> Self {
        Self {
            entity: line.entity.clone(),
            errors: Side::new(config.templates),
            others: Side::new(config.templates),
            share: Errors::default(),
            window_since: now,
            window_n: 0,
            mixture: Mixture::default(),
            folder: Folder::default(),
            since: line.at,
            began_quiet: line.level < Level::Error,
            newest: line.at,
            heard_at: now,
            version: None,
            novelty: 0.0,
            novelty_at: now,
        }
    }

    /// Takes in a line.
    pub(super) fn take(&mut self, look: Look<'_>, line: &LogLine, out: &mut Vec<Anomaly>) {
        self.heard_at = look.now;
        // A clock that runs ahead makes nothing late.
        self.newest = self.newest.max(line.at.min(look.now));
        let naming = event::naming(&line.body);
        if self.folder.joins(&naming) {
            return;
        }
        self.note_version(line);
        let event = event::read(line, &naming);
        let is_error = event.level >= Level::Error;
        self.share.count(is_error, line.at, look.now);
        self.window_n = self.window_n.saturating_add(1);
        // What began with usual lines was watched while it was well; what began with an error is
        // heard of for the first time because it fails.
        let own = line.at.ms_since(self.since) >= i64::from(look.config.warm_up_s) * 1_000;
        let warm = look.warm && !look.backfill && (own || !self.began_quiet);
        let mixture = &mut self.mixture;
        let side = if is_error { &mut self.errors } else { &mut self.others };
        let (id, is_new) = side.count(&event, line.at, warm, |told| match told {
            Told::Ended(anomaly) => out.push(*anomaly),
            Told::Merged(merge) if !is_error => mixture.fold(merge),
            Told::Gone(id) if !is_error => mixture.forget(id),
            Told::Merged(_) | Told::Gone(_) => {}
        });
        if is_error {
            if is_new {
                self.count_novelty(look.now);
            }
            self.judge(look.config, id, line.at, warm, out);
        } else {
            self.mixture.count(id, line.at);
            self.came_back(id, line.at, out);
        }
    }

    /// Another version may write other lines: their mixture and rhythm are learned anew.
    fn note_version(&mut self, line: &LogLine) {
        let Some(version) = line.attributes.get("service.version") else {
            return;
        };
        if self.version.as_deref() == Some(version) {
            return;
        }
        if self.version.replace(version.to_owned()).is_some() {
            self.mixture.relearn();
            for rate in self.others.rates.values_mut() {
                rate.forget_beat();
            }
        }
    }

    fn count_novelty(&mut self, now: Time) {
        let passed = now.ms_since(self.novelty_at).max(0) as f64;
        self.novelty = self.novelty * 0.5_f64.powf(passed / NOVELTY_MS) + 1.0;
        self.novelty_at = now;
    }

    /// A template that had stopped is there again.
    fn came_back(&mut self, id: TemplateId, at: Time, out: &mut Vec<Anomaly>) {
        let Some(rate) = self.others.rates.get_mut(&id) else {
            return;
        };
        if let Some(open) = rate.open.take() {
            out.push(Anomaly { at, until: Some(at), ..*open });
        }
    }

    /// Judges an error's template: is it new, does it burst.
    fn judge(
        &mut self,
        config: &LogConfig,
        id: TemplateId,
        at: Time,
        warm: bool,
        out: &mut Vec<Anomaly>,
    ) {
        let traffic = self.share.traffic();
        // Four new wordings in half a day are nothing out of the way.
        let needed = f64::from(config.new_lines) * (self.novelty / 4.0).clamp(1.0, 10.0);
        let Some(rate) = self.errors.rates.get_mut(&id) else {
            return;
        };
        let count = f64::from(rate.count);
        // More traffic brings more of each error.
        let usual = rate.usual.level() * traffic;
        // Poisson counts spread with the root of their mean; the floor and the ratio keep a
        // template that comes in small clumps quiet.
        let most = (usual + 4.0 * usual.max(1.0).sqrt())
            .max(config.burst_ratio * usual)
            .max(f64::from(config.burst_lines));
        let fresh = rate.is_new && count >= needed && at.ms_since(rate.first) <= NEW_MS;
        let burst = warm && count > most;
        let goes_on = rate.open.is_some() && (rate.is_new || count > most / 2.0);
        if !(fresh || burst || goes_on) {
            return;
        }
        rate.last_hot = rate.last_hot.max(at);
        let score = if rate.is_new { 8.0 } else { (4.0 * count / most).min(100.0) };
        if let Some(open) = &mut rate.open {
            (open.at, open.value) = (at, count);
            open.peak = open.peak.max(count);
            // Told again when it has doubled.
            if open.score * 2.0 <= score {
                open.score = score;
                out.push((**open).clone());
            }
            return;
        }
        let text = self.errors.miner.text(id).unwrap_or_default();
        let name = self.entity.name();
        let (kind, since) = if rate.is_new { (NEW, rate.first) } else { (BURST, rate.since) };
        let mut why = if rate.is_new {
            format!(
                "{name} logs an error it has not logged before, {} times since {} UTC: {text}",
                rate.count,
                since.clock_text()
            )
        } else {
            format!(
                "{name} logged this error {} times within a minute, usually {:.1}: {text}",
                rate.count,
                rate.usual.level()
            )
        };
        if let Some(trace) = &rate.trace {
            why.push_str(&format!(" (for example in trace {trace})"));
        }
        let expected = Band { low: 0.0, mid: usual, high: most };
        let said = Said { kind, since, at, value: count, expected, score, why };
        let anomaly = said.about(&self.entity, text, Direction::High);
        rate.open = Some(Box::new(anomaly.clone()));
        out.push(anomaly);
    }

    /// Looks at what time has brought: what ended, what stopped, what is mixed otherwise.
    pub(super) fn tick(&mut self, look: Look<'_>, out: &mut Vec<Anomaly>) {
        let share = self.share.close(look.now, look.config.burst_lines);
        let mixture = self.mixture.close(look.now);
        self.judge_rates(look, out);
        if look.backfill {
            return;
        }
        self.end_quiet(look.config, look.now, out);
        self.find_vanished(look.now, out);
        if let Some(share) = share {
            self.judge_share(share, look, out);
        }
        if let Some(closed) = mixture {
            self.judge_mixture(closed, look, out);
        }
    }

    fn end_quiet(&mut self, config: &LogConfig, now: Time, out: &mut Vec<Anomaly>) {
        let clear_ms = i64::from(config.clear_s) * 1_000;
        for rate in self.errors.rates.values_mut() {
            let quiet = now.ms_since(rate.last_hot) >= clear_ms;
            if let Some(open) = rate.open.take_if(|o| quiet && o.detector != RATE) {
                out.push(Anomaly { at: now, until: Some(rate.last_hot), ..*open });
                // It has been told of once; from now on it counts as known.
                rate.is_new = false;
            }
        }
    }

    /// Errors that are a larger part of all lines than usual, for longer and by less than a burst.
    fn judge_rates(&mut self, look: Look<'_>, out: &mut Vec<Anomaly>) {
        let (now, since) = (look.now, self.window_since);
        if now.ms_since(since) < RATE_MS {
            return;
        }
        let n = std::mem::take(&mut self.window_n);
        self.window_since = now;
        for (id, rate) in &mut self.errors.rates {
            let rise = match rate.close_window(since, n, look.config.burst_lines) {
                Verdict::Unusual(rise) => rise,
                Verdict::Doubtful => continue,
                Verdict::Usual(over) => {
                    if let Some(open) = rate.open.take_if(|o| over && o.detector == RATE) {
                        out.push(Anomaly { at: now, until: Some(now), ..*open });
                    }
                    continue;
                }
            };
            if let Some(open) = &mut rate.open {
                (open.at, open.value) = (now, rise.share);
                continue;
            }
            if look.backfill || !look.warm {
                continue;
            }
            let text = self.errors.miner.text(*id).unwrap_or_default();
            let mut why = format!(
                "{:.1} % of the lines of {} since {} UTC are this error, usually {:.2} %: {text}",
                100.0 * rise.share,
                self.entity.name(),
                rise.since.clock_text(),
                100.0 * rise.usual
            );
            if let Some(trace) = &rate.trace {
                why.push_str(&format!(" (for example in trace {trace})"));
            }
            let expected = Band { low: 0.0, mid: rise.usual, high: rise.most };
            let (since, value, score) = (rise.since, rise.share, (rise.z / 2.0).min(100.0));
            let said = Said { kind: RATE, since, at: now, value, expected, score, why };
            let anomaly = said.about(&self.entity, text, Direction::High);
            rate.open = Some(Box::new(anomaly.clone()));
            out.push(anomaly);
        }
    }

    /// Templates that came like a clock and stay away while the entity's other lines go on: of
    /// those below a warning, as errors and warnings that stop are no harm. Time is that of its
    /// newest line: when all of it is late or silent, this can't tell.
    fn find_vanished(&mut self, now: Time, out: &mut Vec<Anomaly>) {
        let newest = self.newest;
        let Side { miner, rates } = &mut self.others;
        for (id, rate) in rates.iter_mut().filter(|(_, r)| !r.warns) {
            let gone_ms = newest.ms_since(rate.last);
            if let Some(open) = &rate.open {
                if now.ms_since(rate.last) > GIVEN_UP_MS {
                    let ended = Anomaly { at: now, until: Some(now), ..(**open).clone() };
                    out.push(Anomaly { unseen: true, ..ended });
                    (rate.open, rate.is_new) = (None, false);
                    rate.forget_beat();
                }
                continue;
            }
            let Some((patience_ms, established)) = rate.patience_ms() else {
                continue;
            };
            if gone_ms <= patience_ms {
                continue;
            }
            let text = miner.text(*id).unwrap_or_default();
            let why = format!(
                "{} wrote this line every {} and has not since {} UTC, while it goes on \
                     writing others: {text}",
                self.entity.name(),
                duration_text(rate.gap_ms()),
                rate.last.clock_text()
            );
            let usual = MINUTE_MS as f64 / rate.gap_ms().max(1) as f64;
            let expected = Band { low: usual * 0.5, mid: usual, high: usual * 1.5 };
            let score = if established { 8.0 } else { 5.0 };
            let (since, value) = (rate.last, 0.0);
            let said = Said { kind: VANISHED, since, at: now, value, expected, score, why };
            let anomaly = said.about(&self.entity, text, Direction::Low);
            rate.open = Some(Box::new(anomaly.clone()));
            out.push(anomaly);
        }
    }

    fn judge_share(&mut self, share: Verdict, look: Look<'_>, out: &mut Vec<Anomaly>) {
        match share {
            Verdict::Doubtful => {}
            Verdict::Usual(over) => {
                if let Some(open) = self.share.open.take_if(|_| over) {
                    out.push(Anomaly { at: look.now, until: Some(look.now), ..*open });
                }
            }
            Verdict::Unusual(rise) => {
                let score = (rise.z / 2.0).min(100.0);
                if let Some(open) = &mut self.share.open {
                    (open.at, open.value) = (look.now, rise.share);
                    open.peak = open.peak.max(rise.share);
                    return;
                }
                // One template that is told of already says it better.
                if !look.warm || self.errors.rates.values().any(|r| r.open.is_some()) {
                    return;
                }
                let why = format!(
                    "{:.0} % of the lines of {} since {} UTC are errors, usually {:.1} %: no one \
                     template stands out",
                    100.0 * rise.share,
                    self.entity.name(),
                    rise.since.clock_text(),
                    100.0 * rise.usual
                );
                let expected = Band { low: 0.0, mid: rise.usual, high: rise.most };
                let (since, value) = (rise.since, rise.share);
                let said = Said { kind: ERRORS, since, at: look.now, value, expected, score, why };
                let anomaly = said.about(&self.entity, ANY_ERROR.to_owned(), Direction::High);
                self.share.open = Some(Box::new(anomaly.clone()));
                out.push(anomaly);
            }
        }
    }

    fn judge_mixture(&mut self, closed: Closed, look: Look<'_>, out: &mut Vec<Anomaly>) {
        match closed {
            Closed::Usual => {
                if let Some(open) = self.mixture.open.take() {
                    out.push(Anomaly { at: look.now, until: Some(look.now), ..*open });
                }
            }
            Closed::Changed(change) => {
                if let Some(open) = &mut self.mixture.open {
                    (open.at, open.value) = (look.now, change.divergence);
                    open.peak = open.peak.max(change.divergence);
                    return;
                }
                if !look.warm {
                    return;
                }
                let text = self.others.miner.text(change.template).unwrap_or_default();
                let why = format!(
                    "{} writes another mixture of lines since {} UTC: {:.0} % of them are now \
                     this, usually {:.0} % (divergence {:.2}, usually {:.2}): {text}",
                    self.entity.name(),
                    change.since.clock_text(),
                    100.0 * change.share,
                    100.0 * change.usual_share,
                    change.divergence,
                    change.usual
                );
                let expected = Band { low: 0.0, mid: change.usual, high: change.most };
                let score = (4.0 * change.divergence / change.most).min(100.0);
                let (since, value) = (change.since, change.divergence);
                let said = Said { kind: MIXTURE, since, at: look.now, value, expected, score, why };
                let anomaly = said.about(&self.entity, text, Direction::High);
                self.mixture.open = Some(Box::new(anomaly.clone()));
                out.push(anomaly);
            }
        }
    }

    /// Whether anything told of it has not ended.
    pub(super) fn has_open(&self) -> bool {
        let mut rates = self.errors.rates.values().chain(self.others.rates.values());
        self.share.open.is_some() || self.mixture.open.is_some() || rates.any(|r| r.open.is_some())
    }

    /// All that is told of it and has not ended.
    pub(super) fn into_open(self) -> impl Iterator<Item = Anomaly> {
        let rates = self.errors.rates.into_values().chain(self.others.rates.into_values());
        let open = rates.filter_map(|r| r.open);
        open.chain(self.share.open).chain(self.mixture.open).map(|a| *a)
    }

    /// Forgets the counts of templates that came last before `minute`. Their texts stay in the
    /// miner, which is bounded: they are not new when they come again.
    pub(super) fn forget_before(&mut self, minute: i64) {
        for side in [&mut self.errors, &mut self.others] {
            side.rates.retain(|_, rate| rate.open.is_some() || rate.minute >= minute);
        }
    }
}
