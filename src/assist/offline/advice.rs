//! Answers that advise: the past, what to do, runbooks, who was told, deploys, and help.

use crate::model::diagnosis::Finding;
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{Change, Diagnosis, EntityRef, Fault, Incident, Proposal};
use crate::store::{Filter, LogFilter};

use super::Scene;
use crate::assist::look;

/// Characters of a runbook that are quoted as evidence.
const MOST_EXCERPT: usize = 2_000;

/// Words of questions that say nothing of what is looked for.
const EMPTY: &[&str] = &[
    "a",
    "an",
    "and",
    "any",
    "are",
    "call",
    "can",
    "could",
    "do",
    "does",
    "find",
    "fix",
    "for",
    "give",
    "have",
    "help",
    "how",
    "i",
    "in",
    "is",
    "it",
    "me",
    "my",
    "now",
    "of",
    "on",
    "one",
    "or",
    "our",
    "page",
    "please",
    "pls",
    "procedure",
    "runbok",
    "runbook",
    "runbooks",
    "playbook",
    "playbooks",
    "should",
    "show",
    "sing",
    "tell",
    "that",
    "the",
    "there",
    "this",
    "to",
    "today",
    "tomorrow",
    "up",
    "us",
    "use",
    "we",
    "what",
    "when",
    "where",
    "which",
    "wich",
    "who",
    "whom",
    "with",
    "you",
    "documentation",
    "docs",
    "about",
    "next",
];

/// The words of a question that say what is looked for, without names of entities.
fn content(text: &str, entities: &[EntityRef]) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_')));
    let says =
        |w: &&str| w.len() > 1 && !EMPTY.contains(w) && !entities.iter().any(|e| e.name() == *w);
    words.filter(says).collect::<Vec<_>>().join(" ")
}

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
                format!("{}: {:.0} % alike; fixed by: {fixed}", s.title, s.similarity * 100.0);
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
                "Proposed: {}. It does: {}. {} {} {}Open until {}",
                p.title,
                // Steps stand on lines of their own; here they are one line of a list.
                p.exact.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.'),
                p.why,
                p.past,
                p.chance_text().map(|t| t + " ").unwrap_or_default(),
                p.expires_at.minute_text()
            );
            let mark = self.draft.record(p.id, fact.clone());
            self.draft.line(format!("- {fact}. {mark}"));
        }
        self.runbooks_for("")
    }

    pub(super) fn runbooks(&mut self) -> Result<(), Fault> {
        let asked = self.wanted.text.clone();
        let words = asked.unwrap_or_else(|| content(&self.question.text, &self.plan.entities));
        self.runbooks_for(&words)
    }

    /// Runbooks with these words; those of the incident where there are none.
    fn runbooks_for(&mut self, words: &str) -> Result<(), Fault> {
        let mut found: Vec<(String, String)> = Vec::new();
        // Without words of its own the question means the incident, whose runbooks were matched
        // by what was found there.
        let here = if words.is_empty() { self.incident() } else { None };
        if let Some(i) = &here
            && let Some(d) = self.rows.get::<Diagnosis>(i.id)?
        {
            found.extend(d.runbooks);
        }
        if found.is_empty() {
            let title = here.map(|i| i.title).unwrap_or_default();
            let hits = self.rows.search(&format!("{words} {title}"), Some("runbook"), 3)?;
            found.extend(hits.into_iter().map(|f| (f.id, f.title)));
        }
        found.truncate(3);
        if found.is_empty() {
            self.draft.line("No runbook matches.");
        }
        for (id, title) in found {
            let body = self.rows.document("runbook", &id)?.map(|d| d.body).unwrap_or_default();
            let excerpt: String = body.trim().chars().take(MOST_EXCERPT).collect();
            let now = self.question.now;
            let line = format!("- Runbook {id}: {title}");
            let finding = Finding::Runbook { id, title: title.clone(), excerpt };
            let mark = self.draft.found("search runbooks", (now, now), title, finding);
            self.draft.line(format!("{line} {mark}"));
        }
        Ok(())
    }

    pub(super) fn neighbours(&mut self) -> Result<(), Fault> {
        let Some(e) = self.plan.entity().cloned() else {
            self.draft.line("Name a service, such as: which services depend on orders?");
            return Ok(());
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
        self.ahead_of(&e)
    }

    pub(super) fn deploy(&mut self) -> Result<(), Fault> {
        let Some(e) = self.plan.entity().cloned() else {
            self.draft.line("Name the service, such as: what if we deployed orders now?");
            return Ok(());
        };
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
            self.draft.line(format!(
                "Nothing that is stored argues against it: no incident is open on {} or its \
                 neighbours.",
                e.name()
            ));
        } else {
            self.draft.line(format!(
                "Wait, if it can wait: {} open on {} or its neighbours, and a deploy now would \
                 blur what is seen there.",
                if near.len() == 1 { "an incident is" } else { "incidents are" },
                e.name()
            ));
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
        self.neighbours()?;
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
        let text = content(&self.question.text, &[]);
        // A question without such a word would find anything.
        let found = if text.is_empty() { Vec::new() } else { self.rows.search(&text, None, 3)? };
        let filter = LogFilter {
            text: Some(text.clone()),
            since: Some(self.question.now.plus_ms(-DAY_MS)),
            limit: 3,
            ..LogFilter::default()
        };
        let lines = if text.is_empty() { Vec::new() } else { self.rows.logs(&filter)? };
        for f in &found {
            let mark = self.draft.record(&f.id, format!("{} {}", f.title, f.excerpt));
            self.draft.line(format!("- Found in {} {}: {} {mark}", f.kind, f.id, f.title));
        }
        look::log_lines(self, &lines);
        self.help("The question was not understood, so it is not answered. What can be asked:");
        Ok(())
    }
}
