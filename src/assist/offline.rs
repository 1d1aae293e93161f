//! Answers without a model: the plan of a question, carried out over the store.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use crate::model::diagnosis::Finding;
use crate::model::time::{DAY_MS, HOUR_MS, duration_text};
use crate::model::{
    Alert, Change, Diagnosis, EntityRef, EntryKind, Evidence, Fault, Graph, Incident, Time,
    TimelineEntry, topology::Edge,
};
use crate::store::{Filter, Rows, SeriesFilter};

use super::draft::Draft;
use super::plan::{self, Intent, Plan};
use super::when::Range;
use super::{Answer, Config, Question, look};

mod advice;
mod ahead;
mod paging;
mod wanted;

pub(super) use wanted::{Baseline, Wanted};

/// Most lines of one list in an answer.
const MOST: usize = 8;

/// All that an answer is made from.
pub(super) struct Scene<'a> {
    pub(super) rows: &'a Rows<'a>,
    pub(super) question: &'a Question,
    pub(super) plan: Plan,
    pub(super) wanted: Wanted,
    pub(super) graph: Graph,
    pub(super) incidents: Vec<Incident>,
    pub(super) draft: Draft,
}

/// Every entity that anything stored is about.
pub(super) fn known(
    rows: &Rows<'_>,
    graph: &Graph,
    incidents: &[Incident],
) -> Result<Vec<EntityRef>, Fault> {
    let mut known: Vec<EntityRef> = graph.entities().cloned().collect();
    known.extend(rows.list_series(&SeriesFilter::default())?.into_iter().map(|s| s.entity));
    known.extend(incidents.iter().flat_map(|i| i.entities.iter().cloned()));
    let newest = Filter::all().newest(500);
    known.extend(rows.list::<Change>(&newest)?.into_iter().map(|c| c.entity));
    known.extend(rows.list::<Alert>(&newest)?.into_iter().map(|a| a.entity));
    known.sort();
    known.dedup();
    Ok(known)
}

/// The names of all known entities.
pub(super) fn names(rows: &Rows<'_>) -> Result<BTreeSet<String>, Fault> {
    let graph = Graph::new(&rows.list::<Edge>(&Filter::all())?);
    let incidents = rows.list::<Incident>(&Filter::all().newest(200))?;
    Ok(known(rows, &graph, &incidents)?.iter().map(|e| e.name().to_owned()).collect())
}

/// Answers one question from the store.
pub(super) fn answer(
    rows: &Rows<'_>,
    question: &Question,
    config: &Config,
) -> Result<Answer, Fault> {
    let graph = Graph::new(&rows.list::<Edge>(&Filter::all())?);
    let incidents = rows.list::<Incident>(&Filter::all().newest(200))?;
    let known = known(rows, &graph, &incidents)?;
    let zone = TimeZone::get(&config.time_zone);
    let plan = plan::understand(
        &question.text,
        &known,
        question.now,
        zone.as_ref().unwrap_or(&TimeZone::UTC),
    );
    let mut draft = Draft::new(question.now, question.incident);
    if zone.is_err() {
        draft.note(format!("The time zone `{}` is not known; UTC was used.", config.time_zone));
    }
    let mut wanted = Wanted::by(&question.text);
    if !matches!(plan.intent, Intent::Show | Intent::Compare) {
        wanted.metric = None;
    }
    let mut scene = Scene { rows, question, plan, wanted, graph, incidents, draft };
    scene.admit(&known);
    scene.carry_out()?;
    Ok(scene.draft.finish(scene.plan.intent.as_str()))
}

/// Carries out one look-up that was planned elsewhere. `Err` in words when it names what is not
/// there.
pub(super) fn look_up(
    rows: &Rows<'_>,
    question: &Question,
    asked: LookUp,
) -> Result<Result<Answer, String>, Fault> {
    let graph = Graph::new(&rows.list::<Edge>(&Filter::all())?);
    let incidents = rows.list::<Incident>(&Filter::all().newest(200))?;
    let known = known(rows, &graph, &incidents)?;
    let mut entities = Vec::new();
    if let Some(name) = &asked.service {
        let named = known.iter().find(|e| e.name().eq_ignore_ascii_case(name));
        let Some(entity) = named else {
            return Ok(Err(format!("nothing named `{name}` is known; {}", nearest(name, &known))));
        };
        entities.push(entity.clone());
    }
    let plan = Plan {
        intent: asked.intent,
        entities,
        unknown_name: None,
        guesses: Vec::new(),
        number: asked.number,
        range: asked.range,
        since_onset: false,
    };
    let draft = Draft::new(question.now, question.incident);
    let wanted = asked.wanted;
    let mut scene = Scene { rows, question, plan, wanted, graph, incidents, draft };
    scene.carry_out()?;
    Ok(Ok(scene.draft.finish(scene.plan.intent.as_str())))
}

/// One look-up, planned by a model's call of a tool.
pub(super) struct LookUp {
    pub(super) intent: Intent,
    pub(super) service: Option<String>,
    pub(super) number: Option<u64>,
    pub(super) range: Option<Range>,
    pub(super) wanted: Wanted,
}

/// The known names nearest to one that is not known, in a sentence.
fn nearest(name: &str, known: &[EntityRef]) -> String {
    let mut near: Vec<(f64, &str)> =
        known.iter().map(|e| (strsim::jaro_winkler(name, e.name()), e.name())).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.dedup_by(|a, b| a.1 == b.1);
    let near: Vec<&str> = near.into_iter().take(3).map(|(_, name)| name).collect();
    match near[..] {
        [] => "no service has sent anything yet".to_owned(),
        _ => format!("the nearest names are {}", near.join(", ")),
    }
}

impl Scene<'_> {
    fn carry_out(&mut self) -> Result<(), Fault> {
        let lost = self.plan.unknown_name.is_some();
        match self.plan.intent {
            // What is asked about is not known: the whole picture, or nothing, but not another's.
            Intent::Why | Intent::Health | Intent::Show if lost => self.status()?,
            Intent::Errors | Intent::Compare | Intent::Graph | Intent::Deploy if lost => {}
            Intent::Status | Intent::Count => self.status()?,
            Intent::Why => self.why()?,
            Intent::Changes => self.changes()?,
            Intent::Happened => self.happened()?,
            Intent::Errors => look::errors(self)?,
            Intent::Compare => look::compare(self)?,
            Intent::Show | Intent::Health => look::health(self)?,
            Intent::Slowest => look::slowest(self)?,
            Intent::SeenBefore => self.seen_before()?,
            Intent::WhatToDo => self.what_to_do()?,
            Intent::Runbook => self.runbooks()?,
            Intent::Paged => self.paged()?,
            Intent::Silenced => self.silenced()?,
            Intent::Graph => self.neighbours()?,
            Intent::Deploy => self.deploy()?,
            Intent::Help => self.help("You can ask:"),
            Intent::Unknown => self.unknown()?,
        }
        Ok(())
    }

    /// Says what was guessed, and which name is not known: an answer about something else than
    /// was asked must not look like one.
    fn admit(&mut self, known: &[EntityRef]) {
        for (words, name) in self.plan.guesses.clone() {
            self.draft.note(format!("`{words}` was read as {name}."));
        }
        let Some(name) = self.plan.unknown_name.clone() else { return };
        // There any word may be what is looked for.
        if matches!(self.plan.intent, Intent::Runbook | Intent::SeenBefore) {
            return;
        }
        let hint = nearest(&name, known);
        self.draft.line(format!("Nothing named `{name}` is known; {hint}."));
    }

    /// The range asked for, or the last `hours`.
    pub(super) fn range(&self, hours: i64) -> Range {
        let now = self.question.now;
        if self.plan.since_onset
            && let Some(i) = self.incident()
        {
            return Range { since: i.onset_at, until: i.resolved_at.unwrap_or(now).plus_ms(1) };
        }
        let default = Range { since: now.plus_ms(-hours * HOUR_MS), until: now.plus_ms(1) };
        self.plan.range.unwrap_or(default)
    }

    /// The incident meant: by number, by thread, by entity, or the newest active one.
    pub(super) fn incident(&self) -> Option<Incident> {
        let of = |i: &&Incident| match (self.plan.entity(), self.plan.number) {
            (_, Some(number)) => i.number == number,
            (Some(entity), None) => i.entities.contains(entity),
            (None, None) => true,
        };
        let here = |i: &&Incident| Some(i.id) == self.question.incident;
        let mut matching = self.incidents.iter().filter(of);
        let asked_here = self.incidents.iter().find(here);
        let found = match (self.plan.entity(), self.plan.number) {
            (None, None) if asked_here.is_some() => asked_here,
            _ => matching.clone().find(|i| i.state.is_active()).or_else(|| matching.next()),
        };
        found.cloned()
    }

    fn no_incident(&mut self) {
        let about = match (self.plan.entity(), self.plan.number) {
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
            let first = self.rows.get::<Diagnosis>(i.id)?;
            if let Some(h) =
                first.filter(|d| d.conclusive).and_then(|d| d.hypotheses.first().cloned())
                && i.state.is_active()
            {
                let fact = format!("{} Confidence {:.0} %.", h.statement, h.confidence * 100.0);
                let mark = self.draft.record(h.id, fact.clone());
                self.draft.line(format!("  Likely cause: {fact} {mark}"));
            }
        }
        Ok(())
    }

    fn why(&mut self) -> Result<(), Fault> {
        let Some(i) = self.incident() else {
            self.no_incident();
            return if self.plan.entity().is_some() { look::health(self) } else { Ok(()) };
        };
        let asked_for = self.plan.number.is_some() || self.question.incident.is_some();
        let is_past = !i.state.is_active() && !asked_for;
        if is_past {
            // The last time is of use, but it is not now.
            let about = self.about();
            self.draft.line(format!("No incident is open{about} now; this was the latest:"));
        }
        let line = self.incident_line(&i);
        self.draft.line(line);
        let Some(d) = self.rows.get::<Diagnosis>(i.id)? else {
            self.draft.gap(format!("diagnosis of #{}", i.number), "none is stored yet");
            return Ok(());
        };
        for gap in &d.gaps {
            self.draft.gap(gap.what.clone(), gap.why.clone());
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
            let fact = format!("{} Confidence {:.0} %.", h.statement, h.confidence * 100.0);
            marks.push(self.draft.record(h.id, fact.clone()));
            self.draft.line(format!("- {fact} {}", marks.join("")));
            if h.impact_chain.len() > 1 {
                let names: Vec<&str> = h.impact_chain.iter().map(EntityRef::name).collect();
                self.draft.line(format!("  Impact: {}.", names.join(" → ")));
            }
        }
        self.ahead(&i, &d, None);
        if is_past && !self.plan.entities.is_empty() {
            look::health(self)?;
        }
        Ok(())
    }

    fn change_line(&mut self, change: &Change, range: Range) {
        let who = change.author.as_deref().map(|a| format!(", by {a}")).unwrap_or_default();
        let version = match (&change.version, &change.previous) {
            // The title usually names the version; the one before it is news.
            (Some(_), Some(old)) => format!(", before it {old}"),
            _ => String::new(),
        };
        let fact = format!(
            "{} {} ({}{version}{who})",
            change.at.minute_text(),
            change.line(),
            change.status
        );
        let finding = Finding::Change { change: change.clone() };
        let mark = self.draft.found("changes", (range.since, range.until), fact.clone(), finding);
        self.draft.line(format!("- {fact}. {mark}"));
    }

    fn change_lines(&mut self, range: Range, entities: &[EntityRef]) -> Result<usize, Fault> {
        let filter = Filter::all().since(range.since).until(range.until).newest(500);
        let changes: Vec<Change> = self.rows.list(&filter)?;
        let asked = |c: &Change| entities.is_empty() || entities.contains(&c.entity);
        let chosen: Vec<Change> = changes.into_iter().filter(asked).collect();
        for change in chosen.iter().take(MOST) {
            self.change_line(change, range);
        }
        Ok(chosen.len())
    }

    /// The newest change of the week before a range in which there was none: who asks what changed
    /// wants that one.
    fn change_before(&mut self, range: Range, entities: &[EntityRef]) -> Result<(), Fault> {
        let week = Range { since: range.since.plus_ms(-7 * DAY_MS), until: range.since };
        let filter = Filter::all().since(week.since).until(week.until).newest(500);
        let asked = |c: &Change| entities.is_empty() || entities.contains(&c.entity);
        if let Some(change) = self.rows.list::<Change>(&filter)?.into_iter().find(asked) {
            self.draft.line("The newest before that:");
            self.change_line(&change, week);
        }
        Ok(())
    }

    fn changes(&mut self) -> Result<(), Fault> {
        let mut range = self.range(24);
        let entities = self.plan.entities.clone();
        // In an incident's thread, "what changed" means before its onset.
        let named = self.plan.number.is_some() || self.question.incident.is_some();
        if let (None, Some(i), true) = (self.plan.range, self.incident(), named) {
            range = Range { since: i.onset_at.plus_ms(-2 * HOUR_MS), until: i.updated_at };
        }
        let about = self.about();
        let (a, b) = (range.since.minute_text(), range.until.minute_text());
        self.draft.line(format!("Changes{about} from {a} to {b}:"));
        let n = self.change_lines(range, &entities)?;
        if n == 0 {
            self.draft.line("None was reported.");
            self.change_before(range, &entities)?;
        } else if n > MOST {
            self.draft.line(format!("The newest {MOST} of {n} are shown."));
        }
        Ok(())
    }

    fn happened(&mut self) -> Result<(), Fault> {
        let timed = self.plan.range.is_some();
        let named = self.plan.number.is_some() || self.question.incident.is_some();
        let one = if timed || !named { None } else { self.incident() };
        let range = match &one {
            Some(i) => Range {
                since: i.onset_at.plus_ms(-2 * HOUR_MS),
                until: i.resolved_at.unwrap_or(self.question.now).plus_ms(1),
            },
            None => self.range(24),
        };
        let filter = match &one {
            Some(i) => Filter::parent(i.id),
            None => Filter::all().since(range.since).until(range.until),
        };
        let entities = self.plan.entities.clone();
        let mut told: Vec<(Time, Told)> = Vec::new();
        for e in self.rows.list::<TimelineEntry>(&filter)? {
            let of = self.incidents.iter().find(|i| i.id == e.incident);
            let about = |i: &Incident| entities.iter().any(|x| i.entities.contains(x));
            // A change is told once, by its own record.
            if e.kind == EntryKind::Change {
                continue;
            }
            if entities.is_empty() || of.is_some_and(about) {
                told.push((e.at, Told::Entry(e, of.map(|i| i.number))));
            }
        }
        let changes = Filter::all().since(range.since).until(range.until);
        for change in self.rows.list::<Change>(&changes)? {
            if entities.is_empty() || entities.contains(&change.entity) {
                told.push((change.at, Told::Change(change)));
            }
        }
        told.sort_by_key(|(at, _)| *at);
        let (a, b) = (range.since.minute_text(), range.until.minute_text());
        if told.is_empty() {
            self.draft.line(format!("Nothing is recorded from {a} to {b}{}.", self.about()));
            return Ok(());
        }
        self.draft.line(format!("From {a} to {b}{}:", self.about()));
        let n = told.len();
        for (_, what) in told.into_iter().take(2 * MOST) {
            match what {
                Told::Change(change) => self.change_line(&change, range),
                Told::Entry(e, number) => {
                    let of = number.map(|n| format!(" #{n}:")).unwrap_or_default();
                    let fact = format!("{}{of} {}", e.at.minute_text(), e.text);
                    let mark = self.draft.record(e.id, fact.clone());
                    self.draft.line(format!("- {fact} {mark}"));
                }
            }
        }
        if n > 2 * MOST {
            let rest = n - 2 * MOST;
            self.draft.line(format!("{rest} later entries are not shown; ask for a shorter time."));
        }
        Ok(())
    }

    /// ` on orders`, where entities were named.
    fn about(&self) -> String {
        let names: Vec<&str> = self.plan.entities.iter().map(EntityRef::name).collect();
        if names.is_empty() { String::new() } else { format!(" on {}", names.join(" and ")) }
    }
}

/// What "what happened" lists, in order of time.
enum Told {
    Entry(TimelineEntry, Option<u64>),
    Change(Change),
}
