//! Departures of a series: moved on by each claim, excused where they are usual, and taken for
//! normal when they stay.

use super::{SeriesState, never_usual};
use crate::detect::episode::{Claim, advance};
use crate::detect::regime::Regime;
use crate::detect::telling::told;
use crate::detect::view::Facts;
use crate::model::alert::Anomaly;
use crate::model::time::{HOUR_MS, duration_text};
use crate::model::{Indicator, Point, Time, figure};
use crate::stats::seasonal::Renewal;

impl SeriesState {
    /// Moves the departure on by what the views say of a live point.
    pub(super) fn depart(&mut self, facts: &Facts<'_>, claim: &Claim, out: &mut Vec<Anomaly>) {
        let mut rules = self.rules(facts.config, facts.config.hold_s);
        let is_excusable = !never_usual(facts.indicator);
        // Traffic that stops is no habit either, though it may come to be the new level.
        if is_excusable && facts.indicator != Indicator::Rate {
            rules.usual =
                self.rare.usual.as_ref().and_then(|u| u.limit(facts.config.usual_per_day));
        }
        let since = self.rare.departure.as_ref().map_or(claim.at, |e| e.since);
        let size = |score: f64| (score / facts.config.threshold).max(1.0).log2();
        if is_excusable {
            let worst = self.rare.departure.as_ref().map_or(0.0, |e| e.score).max(claim.score);
            rules.excused = self.rare.habit.as_ref().and_then(|h| h.excused(since, size(worst)));
        }
        let point = Point { at: claim.at, value: claim.value };
        if claim.score >= rules.threshold && self.waits_for_the_day(since, point) {
            rules.excused = Some(f64::INFINITY);
        }
        let before = self.rare.departure.as_ref().map(|e| (e.severity(&rules), e.ended_at()));
        if self.rare.departure.as_ref().is_some_and(|departure| departure.note.is_empty()) {
            let cycle = self.rare.habit.as_ref().and_then(|h| h.cycle.words(since));
            let notes = [self.day.words(), cycle];
            let note = notes.into_iter().flatten().collect::<Vec<_>>().join(" ");
            self.rare.departure.iter_mut().for_each(|departure| departure.note.clone_from(&note));
        }
        // Most points neither depart nor have.
        if claim.score >= rules.threshold || self.rare.departure.is_some() {
            out.extend(advance(&mut self.rare.departure, &self.series, claim, &rules));
        }
        match (&self.rare.departure, before) {
            (None, Some((Some(severity), until))) => self.remember(since, until, severity),
            (Some(departure), _) if departure.called && is_excusable => {
                let size = size(departure.score);
                let habit = self.rare.habit.get_or_insert_default();
                habit.regime.get_or_insert_with(|| Regime::new(since)).note(size);
            }
            _ => {}
        }
        self.adopt(facts, claim, out);
    }

    /// A departure that was held is over: one of a period is usual when it is due, any other adds
    /// to how often the series departs.
    fn remember(&mut self, since: Time, until: Time, severity: f64) {
        let is_of_period =
            self.rare.habit.get_or_insert_default().cycle.learn(since, until, severity);
        if is_of_period {
            // What made it look restless was the period: out of step it is told again.
            self.rare.usual = None;
        } else {
            self.rare.usual.get_or_insert_default().learn(until, severity);
        }
    }

    /// Ends an episode whose level has lasted so long that it counts as normal, and takes a change
    /// of regime as the new profile.
    fn adopt(&mut self, facts: &Facts<'_>, claim: &Claim, out: &mut Vec<Anomaly>) {
        let after_h = facts.config.adopt_after_h;
        let regime = self.rare.habit.as_ref().and_then(|h| h.regime.as_ref());
        let changed = regime.filter(|r| r.is_due(after_h)).map(|r| r.since);
        let patience = i64::from(after_h) * HOUR_MS;
        let stands = |since: &Time| claim.at.ms_since(*since) >= patience;
        let called = self.rare.departure.as_ref().filter(|e| e.called).map(|e| e.since);
        let Some(since) = changed.or(called.filter(stands)) else { return };
        if never_usual(facts.indicator) {
            return;
        }
        let lasted = duration_text(claim.at.ms_since(since));
        let new = match self.seasonal.renew(since) {
            Some(Renewal::Level(by)) => format!(
                "For {lasted} it has been about {} {} than before at every hour, so the new level \
                 counts as normal from now on.",
                figure(by.abs(), &self.series.unit),
                if by < 0.0 { "lower" } else { "higher" }
            ),
            Some(Renewal::Scale(times)) => format!(
                "For {lasted} it has been about {times:.2} times what it was at every hour, so \
                 the new scale counts as normal from now on."
            ),
            Some(Renewal::Rhythm) => format!(
                "For {lasted} its hours have been unlike those before, so the last day is what is \
                 expected from now on, and each hour of the week is learned anew."
            ),
            None if called.is_some_and(|since| stands(&since)) => {
                self.seasonal.adopt(claim.value - claim.expected.mid);
                format!("It has lasted {lasted}, so the new level counts as normal from now on.")
            }
            None => return,
        };
        self.rolling.restart();
        self.beside.restart();
        if let Some(habit) = &mut self.rare.habit {
            habit.regime = None;
        }
        let Some(episode) = self.rare.departure.take_if(|e| e.called) else { return };
        let mut anomaly = told(&self.series, &episode, Some(claim.at));
        anomaly.why = format!("{} {new}", anomaly.why);
        out.push(anomaly);
    }
}
