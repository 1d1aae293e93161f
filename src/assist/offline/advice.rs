//! Answers that advise: the past, what to do, runbooks, who was told, deploys, and help.

use crate::model::diagnosis::Finding;
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{Alert, Change, Diagnosis, EntityRef, Fault, Incident, Proposal, Silence};
use crate::store::{Filter, LogFilter};

use super::{MOST, Scene};
use crate::assist::look;

/// Characters of a runbook that are quoted as evidence.
const MOST_EXCERPT: usize = 2_000;

impl Scene<'_> {
    pub(super) fn seen_before(&mut self) -> Result<(), Fault> {
        let Some(i) = self.incident() else {
            self.no_incident();
            return Ok(());
        };
        let similar = self.rows.get::<Diagnosis>(i.id)?.map(|d| d.similar).unwrap_or_default();
        if similar.is_empty() {
            self.draft.line(format!("No earlier incident like #{} is stored.", i.number));
        }
        for s in similar.iter().take(3) {
            let fixed = s.fixed_by.as_deref().unwrap_or("not recorded");
            let fact =
                format!("{}: {:.0}% alike; fixed by: {fixed}", s.title, s.similarity * 100.0);
            let finding = Finding::Incident {
                incident: s.incident,
                title: s.title.clone(),
                similarity: s.similarity,
                fixed_by: s.fixed_by.clone(),
            };
            let range = (i.onset_at, self.question.now);
            let mark = self.draft.found("similar incidents", range, fact.clone(), finding);
            self.draft.line(format!("- {fact}. {mark}"));
        }
        Ok(())
    }

    pub(super) fn what_to_do(&mut self) -> Result<(), Fault> {
        let Some(i) = self.incident() else {
            self.no_incident();
            return Ok(());
        };
        let line = self.incident_line(&i);
        self.draft.line(line);
        let open = Filter { states: vec!["open".into()], ..Filter::parent(i.id) };
        let proposals = self.rows.list::<Proposal>(&open)?;
        if proposals.is_empty() {
            self.draft.line("No action is proposed for it now.");
        }
        for p in proposals.iter().take(3) {
            let fact = format!(
                "Proposed: {}. {} Chance that it helps {:.0}%; expires {}",
                p.title,
                p.why,
                p.chance * 100.0,
                p.expires_at.minute_text()
            );
            let mark = self.draft.record(p.id, fact.clone());
            self.draft.line(format!("- {fact}. {mark}"));
        }
        self.runbooks()
    }

    pub(super) fn runbooks(&mut self) -> Result<(), Fault> {
        let asked = self.wanted.text.clone();
        let mut words = asked.clone().unwrap_or_else(|| self.question.text.clone());
        if let (None, Some(i)) = (asked, self.incident()) {
            words = format!("{words} {}", i.title);
            if let Some(d) = self.rows.get::<Diagnosis>(i.id)? {
                words.extend(d.hypotheses.first().map(|h| format!(" {}", h.statement)));
            }
        }
        let found = self.rows.search(&words, Some("runbook"), 3)?;
        if found.is_empty() {
            self.draft.line("No runbook matches.");
        }
        for f in found {
            let body = self.rows.document("runbook", &f.id)?.map(|d| d.body).unwrap_or_default();
            let excerpt: String = body.trim().chars().take(MOST_EXCERPT).collect();
            let finding = Finding::Runbook { id: f.id.clone(), title: f.title.clone(), excerpt };
            let now = self.question.now;
            let mark = self.draft.found("search runbooks", (now, now), f.title.clone(), finding);
            self.draft.line(format!("- Runbook {}: {} {mark}", f.id, f.title));
        }
        Ok(())
    }

    pub(super) fn paged(&mut self) -> Result<(), Fault> {
        let range = self.range(24);
        let filter = Filter::all().since(range.since).until(range.until).newest(500);
        let entity = self.plan.entity().cloned();
        let chosen: Vec<Alert> = self
            .rows
            .list::<Alert>(&filter)?
            .into_iter()
            .filter(|a| entity.as_ref().is_none_or(|e| a.entity == *e))
            .collect();
        if chosen.is_empty() {
            let (a, b) = (range.since.minute_text(), range.until.minute_text());
            self.draft.line(format!("No alert started from {a} to {b}."));
        }
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

    pub(super) fn neighbours(&mut self) {
        let Some(e) = self.plan.entity().cloned() else {
            self.draft.line("Name a service, such as: which services depend on orders?");
            return;
        };
        let names = |of: Vec<&EntityRef>| {
            let list = of.iter().map(|n| n.name()).collect::<Vec<_>>().join(", ");
            if list.is_empty() { "nothing known".to_owned() } else { list }
        };
        let down = names(self.graph.dependencies(&e).map(|(n, _)| n).collect());
        let up = names(self.graph.dependents(&e).map(|(n, _)| n).collect());
        let fact = format!("{} depends on: {down}. Depending on it: {up}.", e.name());
        let mark = self.draft.record(format!("graph {e}"), fact.clone());
        self.draft.line(format!("{fact} {mark}"));
    }

    pub(super) fn deploy(&mut self) -> Result<(), Fault> {
        let Some(e) = self.plan.entity().cloned() else {
            self.draft.line("Name the service, such as: what if we deployed orders now?");
            return Ok(());
        };
        self.neighbours();
        let near: Vec<Incident> = self
            .incidents
            .iter()
            .filter(|i| i.state.is_active())
            .filter(|i| {
                i.entities.iter().any(|x| self.graph.distance(&e, x, 1).is_some() || *x == e)
            })
            .cloned()
            .collect();
        if near.is_empty() {
            self.draft.line(format!("No incident is open on {} or its neighbours.", e.name()));
        } else {
            self.draft.line("Open incidents on it or its neighbours argue for waiting:");
        }
        for i in &near {
            let line = self.incident_line(i);
            self.draft.line(format!("- {line}"));
        }
        let now = self.question.now;
        let month = Filter::subject(&e).since(now.plus_ms(-30 * DAY_MS));
        let changes = self.rows.list::<Change>(&month)?;
        let hit = |c: &&Change| {
            self.incidents.iter().any(|i| {
                let after = i.onset_at.ms_since(c.at);
                (0..HOUR_MS).contains(&after) && i.entities.contains(&e)
            })
        };
        let n_hit = changes.iter().filter(hit).count();
        let fact = format!(
            "Changes to {} in the last 30 days: {}, of which {n_hit} had an incident on it within 60 min.",
            e.name(),
            changes.len()
        );
        let mark = self.draft.record(format!("change history {e}"), fact.clone());
        self.draft.line(format!("{fact} {mark}"));
        self.silenced()?;
        look::health(self)
    }

    pub(super) fn help(&mut self, head: &str) {
        self.draft.line(head);
        for example in [
            "status",
            "why is checkout slow",
            "what changed since 14:00",
            "show errors of orders",
            "compare checkout with yesterday",
            "have we seen this before",
            "what should I do",
            "why was I not paged for auth",
            "what if we deployed orders now",
        ] {
            self.draft.line(format!("- {example}"));
        }
    }

    pub(super) fn unknown(&mut self) -> Result<(), Fault> {
        let text = self.question.text.clone();
        let found = self.rows.search(&text, None, 3)?;
        let lines = self.rows.logs(&LogFilter {
            text: Some(text),
            since: Some(self.question.now.plus_ms(-DAY_MS)),
            limit: 3,
            ..LogFilter::default()
        })?;
        for f in &found {
            let mark = self.draft.record(&f.id, format!("{} {}", f.title, f.excerpt));
            self.draft.line(format!("- Found in {} {}: {} {mark}", f.kind, f.id, f.title));
        }
        look::log_lines(self, &lines);
        self.help("The question was not understood, so it is not answered. What can be asked:");
        Ok(())
    }
}
