//! Answers without a model: the plan of a question, carried out over the store.

use jiff::tz::TimeZone;

use crate::model::diagnosis::Finding;
use crate::model::time::{DAY_MS, HOUR_MS, duration_text};
use crate::model::{
    Alert, Change, Diagnosis, EntityRef, Evidence, Fault, Graph, Incident, Proposal, Silence,
    TimelineEntry, topology::Edge,
};
use crate::store::{Filter, LogFilter, Rows, SeriesFilter};

use super::draft::Draft;
use super::plan::{self, Intent, Plan};
use super::when::Range;
use super::{Answer, Config, Question, look};

/// Most lines of one list in an answer.
const MOST: usize = 8;

/// All that an answer is made from.
pub(super) struct Scene<'a> {
    pub(super) rows: &'a Rows<'a>,
    pub(super) question: &'a Question,
    pub(super) plan: Plan,
    pub(super) graph: Graph,
    pub(super) incidents: Vec<Incident>,
    pub(super) draft: Draft,
}

/// Answers one question from the store.
pub(super) fn answer(
    rows: &Rows<'_>,
    question: &Question,
    config: &Config,
) -> Result<Answer, Fault> {
    let graph = Graph::new(&rows.list::<Edge>(&Filter::all())?);
    let mut known: Vec<EntityRef> = graph.entities().cloned().collect();
    known.extend(rows.list_series(&SeriesFilter::default())?.into_iter().map(|s| s.entity));
    let incidents = rows.list::<Incident>(&Filter::all().newest(200))?;
    known.extend(incidents.iter().flat_map(|i| i.entities.iter().cloned()));
    known.sort();
    known.dedup();
    let mut draft = Draft::new(question.now, question.incident);
    let zone = TimeZone::get(&config.time_zone).unwrap_or_else(|_| {
        draft.note(format!("The time zone `{}` is not known; UTC was used.", config.time_zone));
        TimeZone::UTC
    });
    let plan = plan::understand(&question.text, &known, question.now, &zone);
    let mut scene = Scene { rows, question, plan, graph, incidents, draft };
    match scene.plan.intent {
        Intent::Status | Intent::Count => scene.status()?,
        Intent::Why => scene.why()?,
        Intent::Changes => scene.changes()?,
        Intent::Happened => scene.happened()?,
        Intent::Errors => look::errors(&mut scene)?,
        Intent::Compare => look::compare(&mut scene)?,
        Intent::Show | Intent::Health => look::health(&mut scene)?,
        Intent::Slowest => look::slowest(&mut scene)?,
        Intent::SeenBefore => scene.seen_before()?,
        Intent::WhatToDo => scene.what_to_do()?,
        Intent::Runbook => scene.runbooks()?,
        Intent::Paged => scene.paged()?,
        Intent::Silenced => scene.silenced()?,
        Intent::Graph => scene.neighbours(),
        Intent::Deploy => scene.deploy()?,
        Intent::Help => scene.help("You can ask:"),
        Intent::Unknown => scene.unknown()?,
    }
    Ok(scene.draft.finish())
}

impl Scene<'_> {
    /// The range asked for, or the last `hours`.
    pub(super) fn range(&self, hours: i64) -> Range {
        let now = self.question.now;
        let default = Range { since: now.plus_ms(-hours * HOUR_MS), until: now.plus_ms(1) };
        self.plan.range.unwrap_or(default)
    }

    /// The incident meant: by number, by thread, by entity, or the newest active one.
    pub(super) fn incident(&self) -> Option<Incident> {
        let of = |i: &&Incident| match (&self.plan.entity, self.plan.number) {
            (_, Some(number)) => i.number == number,
            (Some(entity), None) => i.entities.contains(entity),
            (None, None) => true,
        };
        let here = |i: &&Incident| Some(i.id) == self.question.incident;
        let mut matching = self.incidents.iter().filter(of);
        let asked_here = self.incidents.iter().find(here);
        let found = match (&self.plan.entity, self.plan.number) {
            (None, None) if asked_here.is_some() => asked_here,
            _ => matching.clone().find(|i| i.state.is_active()).or_else(|| matching.next()),
        };
        found.cloned()
    }

    fn no_incident(&mut self) {
        let about = match (&self.plan.entity, self.plan.number) {
            (_, Some(n)) => format!("No incident #{n} is stored."),
            (Some(e), None) => format!("No incident about {} is stored.", e.name()),
            (None, None) => "No incident is stored.".to_owned(),
        };
        self.draft.line(about);
    }

    fn incident_line(&mut self, i: &Incident) -> String {
        let until = i.resolved_at.unwrap_or(self.question.now);
        let fact = format!(
            "#{} {}: {}, since {}, {}",
            i.number,
            i.title,
            i.state.as_str(),
            i.onset_at.minute_text(),
            duration_text(until.ms_since(i.onset_at)),
        );
        let mark = self.draft.record(i.id, fact.clone());
        format!("{fact}. {mark}")
    }

    fn status(&mut self) -> Result<(), Fault> {
        if self.plan.number.is_some() {
            return self.why();
        }
        let counting = self.plan.intent == Intent::Count;
        let range = self.range(7 * 24);
        let chosen: Vec<Incident> = self
            .incidents
            .iter()
            .filter(|i| {
                let opened = range.since <= i.opened_at && i.opened_at < range.until;
                if counting { opened } else { i.state.is_active() }
            })
            .cloned()
            .collect();
        let what = if counting {
            let (a, b) = (range.since.minute_text(), range.until.minute_text());
            format!("opened from {a} to {b}")
        } else {
            "active now".to_owned()
        };
        let noun = if chosen.len() == 1 { "incident" } else { "incidents" };
        let fact = format!("{} {noun} {what}.", chosen.len());
        let mark = self.draft.record("incidents", fact.clone());
        self.draft.line(format!("{fact} {mark}"));
        for i in chosen.iter().take(MOST) {
            let line = self.incident_line(i);
            self.draft.line(format!("- {line}"));
        }
        Ok(())
    }

    fn why(&mut self) -> Result<(), Fault> {
        let Some(i) = self.incident() else {
            self.no_incident();
            return if self.plan.entity.is_some() { look::health(self) } else { Ok(()) };
        };
        let line = self.incident_line(&i);
        self.draft.line(line);
        let Some(d) = self.rows.get::<Diagnosis>(i.id)? else {
            self.draft.gap(format!("diagnosis of #{}", i.number), "none is stored yet");
            return Ok(());
        };
        for gap in d.gaps {
            self.draft.gap(gap.what, gap.why);
        }
        if !d.conclusive {
            self.draft.line("The evidence is inconclusive; the candidates in order:");
        }
        for h in d.hypotheses.iter().take(if d.conclusive { 1 } else { 3 }) {
            let mut marks = Vec::new();
            for id in &h.evidence {
                if let Some(e) = self.rows.get::<Evidence>(id)? {
                    marks.push(self.draft.cite(&e));
                }
            }
            let fact = format!("{} Confidence {:.0}%.", h.statement, h.confidence * 100.0);
            marks.push(self.draft.record(h.id, fact.clone()));
            self.draft.line(format!("- {fact} {}", marks.join("")));
            if h.impact_chain.len() > 1 {
                let names: Vec<&str> = h.impact_chain.iter().map(EntityRef::name).collect();
                self.draft.line(format!("  Impact: {}.", names.join(" → ")));
            }
        }
        Ok(())
    }

    fn change_lines(&mut self, range: Range, entity: Option<&EntityRef>) -> Result<usize, Fault> {
        let filter = Filter::all().since(range.since).until(range.until).newest(200);
        let changes: Vec<Change> = self.rows.list(&filter)?;
        let chosen: Vec<Change> =
            changes.into_iter().filter(|c| entity.is_none_or(|e| c.entity == *e)).collect();
        for change in chosen.iter().take(MOST) {
            let who = change.author.as_deref().map(|a| format!(", by {a}")).unwrap_or_default();
            let fact = format!(
                "{} {}: {} ({}{who})",
                change.at.minute_text(),
                change.entity.name(),
                change.title,
                change.status
            );
            let finding = Finding::Change { change: change.clone() };
            let mark =
                self.draft.found("changes", (range.since, range.until), fact.clone(), finding);
            self.draft.line(format!("- {fact}. {mark}"));
        }
        Ok(chosen.len())
    }

    fn changes(&mut self) -> Result<(), Fault> {
        let mut range = self.range(24);
        let entity = self.plan.entity.clone();
        // In an incident's thread, "what changed" means before its onset.
        let named = self.plan.number.is_some() || self.question.incident.is_some();
        if let (None, Some(i), true) = (self.plan.range, self.incident(), named) {
            range = Range { since: i.onset_at.plus_ms(-2 * HOUR_MS), until: i.updated_at };
        }
        let about = entity.as_ref().map(|e| format!(" on {}", e.name())).unwrap_or_default();
        let (a, b) = (range.since.minute_text(), range.until.minute_text());
        self.draft.line(format!("Changes{about} from {a} to {b}:"));
        let n = self.change_lines(range, entity.as_ref())?;
        if n == 0 {
            self.draft.line("None was reported.");
        } else if n > MOST {
            self.draft.line(format!("The newest {MOST} of {n} are shown."));
        }
        Ok(())
    }

    fn happened(&mut self) -> Result<(), Fault> {
        let one = match (self.plan.range, self.plan.number, self.question.incident) {
            (None, None, None) => None,
            (None, ..) => self.incident(),
            _ => None,
        };
        let range = self.range(24);
        let filter = match &one {
            Some(i) => Filter::parent(i.id),
            None => Filter::all().since(range.since).until(range.until),
        };
        let entries = self.rows.list::<TimelineEntry>(&filter)?;
        if entries.is_empty() {
            let (a, b) = (range.since.minute_text(), range.until.minute_text());
            self.draft.line(format!("No incident has entries from {a} to {b}."));
        }
        for e in entries.iter().take(2 * MOST) {
            let fact = format!("{} {}", e.at.minute_text(), e.text);
            let mark = self.draft.record(e.id, fact.clone());
            self.draft.line(format!("- {fact} {mark}"));
        }
        if one.is_none() {
            self.change_lines(range, None)?;
        }
        Ok(())
    }

    fn seen_before(&mut self) -> Result<(), Fault> {
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

    fn what_to_do(&mut self) -> Result<(), Fault> {
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

    fn runbooks(&mut self) -> Result<(), Fault> {
        let mut words = self.question.text.clone();
        if let Some(i) = self.incident() {
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
            let finding = Finding::Runbook {
                id: f.id.clone(),
                title: f.title.clone(),
                excerpt: f.excerpt.clone(),
            };
            let now = self.question.now;
            let mark = self.draft.found("search runbooks", (now, now), f.title.clone(), finding);
            self.draft.line(format!("- Runbook {}: {} {mark}", f.id, f.title));
        }
        Ok(())
    }

    fn paged(&mut self) -> Result<(), Fault> {
        let range = self.range(24);
        let filter = Filter::all().since(range.since).until(range.until).newest(500);
        let entity = self.plan.entity.clone();
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

    fn silenced(&mut self) -> Result<(), Fault> {
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

    fn neighbours(&mut self) {
        let Some(e) = self.plan.entity.clone() else {
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

    fn deploy(&mut self) -> Result<(), Fault> {
        let Some(e) = self.plan.entity.clone() else {
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

    fn help(&mut self, head: &str) {
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

    fn unknown(&mut self) -> Result<(), Fault> {
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
        self.help("The question was not understood. Near it are:");
        Ok(())
    }
}
