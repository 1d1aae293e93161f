//! Answers about who was told and why, and about what keeps alerts quiet.

use crate::model::{Alert, Anomaly, EntityRef, Fault, Silence};
use crate::store::Filter;

use super::{MOST, Scene};
use crate::assist::when::Range;

impl Scene<'_> {
    pub(super) fn paged(&mut self) -> Result<(), Fault> {
        let range = self.range(24);
        let filter = Filter::all().since(range.since).until(range.until).newest(500);
        let entities = self.plan.entities.clone();
        let chosen: Vec<Alert> = self
            .rows
            .list::<Alert>(&filter)?
            .into_iter()
            .filter(|a| entities.is_empty() || entities.contains(&a.entity))
            .collect();
        let (a, b) = (range.since.minute_text(), range.until.minute_text());
        if chosen.is_empty() {
            self.draft.line(format!("No alert{} started from {a} to {b}.", self.about()));
            return entities.iter().try_for_each(|e| self.unalerted(e, range));
        }
        let joined = chosen.iter().filter(|a| a.incident.is_some()).count();
        let quiet = chosen.iter().filter(|a| a.suppressed.is_some()).count();
        let fact = format!(
            "{} alerts{} started from {a} to {b}: {joined} belong to an incident, which was told; \
             {quiet} were kept quiet; {} reached nobody for another reason.",
            chosen.len(),
            self.about(),
            chosen.len() - joined - quiet.min(chosen.len() - joined)
        );
        let mark = self.draft.record("alerts", fact.clone());
        self.draft.line(format!("{fact} {mark}"));
        for a in chosen.iter().take(MOST) {
            let why = match (&a.suppressed, &a.decision) {
                (Some(s), _) => format!("kept quiet by {}: {}", s.by, s.reason),
                (None, Some(decision)) => decision.clone(),
                (None, None) => "no decision is recorded yet".to_owned(),
            };
            let (name, entity) = (a.name(), a.entity.name());
            let fact = format!("{} {name} on {entity}: {why}", a.starts_at.minute_text());
            let mark = self.draft.record(a.id, fact.clone());
            self.draft.line(format!("- {fact} {mark}"));
        }
        if chosen.len() > MOST {
            self.draft.line(format!("The newest {MOST} of {} alerts are shown.", chosen.len()));
        }
        Ok(())
    }

    /// What was seen on an entity that raised no alert: what would have had to be different.
    fn unalerted(&mut self, e: &EntityRef, range: Range) -> Result<(), Fault> {
        let seen = Filter::subject(e).since(range.since).until(range.until).newest(3);
        let seen = self.rows.list::<Anomaly>(&seen)?;
        if seen.is_empty() {
            let text = "Nothing left its expected band there, so there was nothing to tell.";
            self.draft.line(text);
        }
        for a in seen {
            let fact = format!("{} {}: {}", a.since.minute_text(), e.name(), a.why);
            let mark = self.draft.record(a.id, fact.clone());
            self.draft.line(format!("- Seen, but it became no alert: {fact} {mark}"));
        }
        Ok(())
    }

    pub(super) fn silenced(&mut self) -> Result<(), Fault> {
        let now = self.question.now;
        let all = self.rows.list::<Silence>(&Filter::all())?;
        let current: Vec<_> =
            all.into_iter().filter(|s| s.starts_at <= now && now < s.ends_at).collect();
        if current.is_empty() {
            self.draft.line("No silence or maintenance window is in force.");
        }
        for s in current.iter().take(MOST) {
            let matchers: Vec<String> = s.matchers.iter().map(ToString::to_string).collect();
            let kind = if s.maintenance { "Maintenance" } else { "Silence" };
            let fact = format!(
                "{kind} for {} until {}, by {}: {}",
                matchers.join(", "),
                s.ends_at.minute_text(),
                s.author.name,
                s.reason
            );
            let mark = self.draft.record(s.id, fact.clone());
            self.draft.line(format!("- {fact} {mark}"));
        }
        Ok(())
    }
}
