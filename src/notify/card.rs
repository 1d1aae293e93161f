//! An incident as one card, in the order that somebody woken at night needs it: what users feel,
//! how bad and since when, what is going on, why, the chart, what changed, what helped before,
//! what could be done, the buttons of its state, and what all of it rests on.

use super::course::{came_about, made_of, touched};
use super::figures::confidence_text;
use crate::chat::{Block, Button, Card, Item, Mark, Style, Subject, Verb};
use crate::model::diagnosis::Similar;
use crate::model::figure::{figure, n_of};
use crate::model::past;
use crate::model::time::duration_text;
use crate::model::{
    Alert, Diagnosis, Incident, IncidentState, Prediction, Proposal, ProposalState, Risk, Run,
    RunState, Severity, Time, Verdict,
};

/// Everything that a card is made of, as the store has it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The incident.
    pub incident: Incident,
    /// Its alerts.
    pub alerts: Vec<Alert>,
    /// Its newest diagnosis.
    pub diagnosis: Option<Diagnosis>,
    /// Its proposals, oldest first.
    pub proposals: Vec<Proposal>,
    /// Its runs, oldest first.
    pub runs: Vec<Run>,
    /// What the live classifier says of it.
    pub predicted: Option<Prediction>,
}

/// The card of an incident at `now` (event time). Ages are whole minutes, so that a card changes
/// with its incident and not with every look.
#[must_use]
pub fn incident_card(facts: &Facts, now: Time) -> Card {
    let incident = &facts.incident;
    let mut blocks = vec![going_on(facts)];
    blocks.extend(incident.priority.as_ref().map(|p| text("Priority", capitalised(&p.text()))));
    blocks.extend(likely_cause(facts));
    blocks.extend(predicted(facts));
    blocks.extend(came_about(facts));
    blocks.extend(touched(facts));
    blocks.extend(chart(facts));
    blocks.extend(what_changed(facts));
    blocks.extend(seen_before(facts));
    blocks.extend(suggested(facts, now));
    blocks.extend(waiting(facts));
    blocks.extend(what_was_done(facts));
    let title = format!("#{} {}", incident.number, incident.title);
    let context = context(incident, now);
    Card {
        mark: mark(incident),
        fallback: format!("{title} ({context})"),
        title,
        context,
        blocks,
        buttons: buttons(facts, now),
        menu: menu(incident),
        url: None,
        footer: footer(facts),
    }
}

fn mark(incident: &Incident) -> Mark {
    match incident.state {
        IncidentState::Open if incident.severity == Severity::Critical => Mark::Critical,
        IncidentState::Open => Mark::Open,
        IncidentState::Acknowledged | IncidentState::Mitigating => Mark::Taken,
        IncidentState::Monitoring => Mark::Watching,
        IncidentState::Resolved | IncidentState::Reviewed | IncidentState::Merged => Mark::Over,
    }
}

fn severity_text(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn context(incident: &Incident, now: Time) -> String {
    let end = incident.resolved_at.unwrap_or(now);
    let age = duration_text(end.ms_since(incident.onset_at).max(0));
    let age = if incident.resolved_at.is_some() {
        format!("lasted {age}")
    } else {
        format!("since {} UTC", incident.onset_at.clock_near(now))
    };
    let owner = incident.owner.as_ref().map_or("nobody has it yet".to_owned(), |o| o.name.clone());
    let mut parts = vec![
        severity_text(incident.severity).to_owned(),
        incident.state.as_str().to_owned(),
        age,
        owner,
    ];
    let names: Vec<&str> = incident.entities.iter().map(crate::model::EntityRef::name).collect();
    if let Some(priority) = &incident.priority {
        parts.insert(1, format!("P{} {}", priority.level, priority.attention.as_str()));
    }
    match names.as_slice() {
        [] => {}
        few if few.len() <= 4 => parts.push(few.join(", ")),
        many => parts.push(format!("{} and {} more", many[..3].join(", "), many.len() - 3)),
    }
    parts.join(" · ")
}

fn text(heading: &str, text: impl Into<String>) -> Block {
    Block::Text { heading: Some(heading.into()), text: text.into(), evidence: Vec::new() }
}

pub(super) fn list(heading: &str, items: Vec<Item>) -> Option<Block> {
    (!items.is_empty()).then(|| Block::List { heading: Some(heading.into()), items })
}

fn going_on(facts: &Facts) -> Block {
    if let Some(diagnosis) = facts.diagnosis.as_ref().filter(|d| !d.summary.is_empty()) {
        return text("What is going on", diagnosis.summary.clone());
    }
    let incident = &facts.incident;
    let leading = facts.alerts.iter().find(|a| Some(a.id) == incident.leading);
    let firing = facts.alerts.iter().filter(|a| a.is_firing()).count() as u64;
    let said = leading
        .and_then(|a| a.annotations.get("description").or_else(|| a.annotations.get("summary")))
        .unwrap_or(&incident.title);
    let reports = if incident.n_reports > incident.alerts.len() as u64 {
        format!(" ({} in all)", n_of(incident.n_reports, "report"))
    } else {
        String::new()
    };
    let entities = incident.entities.len() as u64;
    let where_ = if entities == 1 { "one entity".into() } else { format!("{entities} entities") };
    text(
        "What is going on",
        format!(
            "{}. {} now on {where_}{reports}.",
            said.trim_end_matches('.'),
            firing_text(firing)
        ),
    )
}

fn firing_text(n: u64) -> String {
    format!("{} {}", n_of(n, "alert"), if n == 1 { "fires" } else { "fire" })
}

fn likely_cause(facts: &Facts) -> Option<Block> {
    let diagnosis = facts.diagnosis.as_ref()?;
    let first = diagnosis.hypotheses.first()?;
    if !diagnosis.conclusive {
        let others: Vec<String> = diagnosis
            .hypotheses
            .iter()
            .take(3)
            .map(|h| {
                format!("{} ({:.0} %)", h.statement.trim_end_matches('.'), h.confidence * 100.0)
            })
            .collect();
        let look = if diagnosis.first_look { " at a first look" } else { "" };
        let others = others.join("; ");
        let words = format!("Inconclusive: nothing stands out{look}. Looked at: {others}.");
        return Some(text("Likely cause", words));
    }
    let mut words =
        format!("{} {}.", first.statement, capitalised(&confidence_text(first.confidence)));
    if diagnosis.first_look {
        words.push_str(" This is a first look; the next follows within half a minute.");
    }
    if first.impact_chain.len() > 1 {
        let chain: Vec<&str> =
            first.impact_chain.iter().map(crate::model::EntityRef::name).collect();
        words.push_str(&format!(" Impact: {}.", chain.join(" → ")));
    }
    if let Some(made_of) = made_of(first) {
        words.push_str(&format!(" {made_of}"));
    }
    if let Some(other) = diagnosis.counterfactuals.first() {
        words.push_str(&format!(" {}", other.text));
    }
    Some(Block::Text {
        heading: Some("Likely cause".into()),
        text: words,
        evidence: first.evidence.clone(),
    })
}

/// What the classifier says, with how good it is. It decides nothing; once the incident is over,
/// what people said of it stands instead.
fn predicted(facts: &Facts) -> Option<Block> {
    let said = facts.predicted.as_ref().filter(|_| facts.incident.state.is_active())?;
    let rules = facts.incident.taxonomy.as_ref();
    let items = said.answers.iter().map(|a| Item::plain(a.text_beside(rules))).collect();
    list("By earlier incidents here", items)
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

fn chart(facts: &Facts) -> Option<Block> {
    let evidence = *facts.diagnosis.as_ref()?.charts.first()?;
    Some(Block::Chart { evidence, alt: chart_alt(&facts.incident) })
}

/// What an incident's chart shows, for people who can't see it.
pub(super) fn chart_alt(incident: &Incident) -> String {
    format!("The leading signal with its expected band: {}", incident.title)
}

fn what_changed(facts: &Facts) -> Option<Block> {
    let diagnosis = facts.diagnosis.as_ref()?;
    let items = diagnosis
        .changes
        .iter()
        .take(3)
        .map(|c| {
            let before = facts.incident.onset_at.ms_since(c.at);
            let when = if before >= 0 {
                format!("{} before the onset", duration_text(before))
            } else {
                format!("{} after the onset", duration_text(before))
            };
            let author = c.author.as_ref().map(|a| format!(", by {a}")).unwrap_or_default();
            Item::plain(format!(
                "{} UTC {} ({when}{author})",
                c.at.clock_near(facts.incident.opened_at),
                c.line()
            ))
        })
        .collect();
    list("What changed", items)
}

fn seen_before(facts: &Facts) -> Option<Block> {
    let similar = &facts.diagnosis.as_ref()?.similar;
    let one = |s: &Similar| {
        let fixed =
            s.fixed_by.as_ref().map_or("no fix recorded".into(), |f| format!("fixed by {f}"));
        Item::plain(format!("{} ({:.0} % alike; {fixed})", s.title, s.similarity * 100.0))
    };
    let mut items: Vec<Item> = similar.iter().take(3).map(one).collect();
    items.extend(past::tried_text(similar).map(Item::plain));
    list("Seen before", items)
}

fn risk_text(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
    }
}

/// What can be decided now, the best suggestion first.
fn open_proposals(facts: &Facts, now: Time) -> Vec<&Proposal> {
    let decidable = |p: &&Proposal| p.state == ProposalState::Open && p.expires_at > now;
    let mut open: Vec<&Proposal> = facts.proposals.iter().filter(decidable).collect();
    open.sort_by(|a, b| a.shown_before(b));
    open
}

fn suggested(facts: &Facts, now: Time) -> Option<Block> {
    let open = open_proposals(facts, now);
    let several = open.len() > 1;
    let items = open
        .into_iter()
        .zip(1..)
        .map(|(p, n)| {
            // Chats show all buttons together: the number says which belong to what.
            let number = if several { format!("{n}. ") } else { String::new() };
            let have = p.decisions.len() as u64;
            let need = u64::from(p.requires.n_approvals);
            let approvals =
                if need > 1 { format!(" {have} of {need} approvals.") } else { String::new() };
            let chance = p.chance_text().map(|t| format!(" {t}")).unwrap_or_default();
            Item::plain(format!(
                "{number}{}. Risk {}; expected: {} {}{chance} Open until {} UTC.{approvals}",
                p.title.trim_end_matches('.'),
                risk_text(p.risk),
                p.expected_effect,
                p.past,
                p.expires_at.clock_text(),
            ))
        })
        .collect();
    list("Suggested", items)
}

/// What was approved for later, the earliest first; it can be called off until then.
fn scheduled_proposals(facts: &Facts) -> Vec<&Proposal> {
    let later = facts.proposals.iter().filter(|p| p.state == ProposalState::Scheduled);
    let mut later: Vec<&Proposal> = later.collect();
    later.sort_by_key(|p| (p.scheduled_for, p.id));
    later
}

fn waiting(facts: &Facts) -> Option<Block> {
    let later = scheduled_proposals(facts);
    let several = later.len() > 1;
    let items = later.into_iter().zip(1..).map(|(p, n)| {
        let number = if several { format!("{n}. ") } else { String::new() };
        let yes = |d: &&crate::model::action::Decision| {
            d.verdict != Verdict::Ignore && d.digest == p.digest
        };
        let yes = p.decisions.iter().filter(yes);
        let by: Vec<&str> = yes.map(|d| d.actor.name.as_str()).collect();
        let at = p.scheduled_for.map_or_else(String::new, |at| at.minute_text());
        Item::plain(format!(
            "{number}{}: at {at}, approved by {}.",
            p.title.trim_end_matches('.'),
            by.join(" and ")
        ))
    });
    list("Scheduled", items.collect())
}

fn what_was_done(facts: &Facts) -> Option<Block> {
    let items = facts.runs.iter().map(|r| Item::plain(run_text(r))).collect();
    list("Done", items)
}

/// One run in a sentence, with what the measurement said once there is one.
#[must_use]
pub fn run_text(run: &Run) -> String {
    let by: Vec<&str> = run.approved_by.iter().map(|a| a.name.as_str()).collect();
    let dry = if run.dry_run { " (dry run: nothing was sent)" } else { "" };
    let state = match run.state {
        RunState::Running => "is running",
        RunState::Done => "was done",
        RunState::NotSent => "was not sent",
        RunState::Unknown => "ended unknown: look at the target before anything else",
    };
    let effect = match &run.outcome {
        Some(outcome) => format!(" {}", outcome.text),
        None if run.state == RunState::Done && run.verify_at.is_some() => {
            " Its effect is being measured.".into()
        }
        None => String::new(),
    };
    format!(
        "{} UTC {} on {} {state}{dry}, approved by {}.{effect}",
        run.started_at.clock_text(),
        run.action,
        run.target.name(),
        by.join(" and ")
    )
}

fn own(incident: &Incident, verb: Verb, label: &str, style: Style) -> Button {
    let subject = Subject::Incident(incident.id);
    Button { verb, label: label.into(), style, subject, digest: None }
}

/// Everything else that can be asked of an incident in its state.
fn menu(incident: &Incident) -> Vec<Button> {
    let listed: &[(Verb, &str)] = match incident.state {
        IncidentState::Merged => &[],
        state if state.is_active() => &[
            (Verb::Note, "Post an update…"),
            (Verb::Assign, "Assign…"),
            (Verb::Silence, "Silence…"),
            (Verb::Merge, "Merge…"),
            (Verb::Resolve, "Resolve as…"),
        ],
        _ => &[(Verb::Note, "Post an update…")],
    };
    listed.iter().map(|(verb, label)| own(incident, *verb, label, Style::Plain)).collect()
}

fn buttons(facts: &Facts, now: Time) -> Vec<Button> {
    let incident = &facts.incident;
    let own = |verb, label: &str, style| own(incident, verb, label, style);
    if incident.state == IncidentState::Merged {
        return Vec::new();
    }
    if !incident.state.is_active() {
        return vec![
            own(Verb::Reopen, "Reopen", Style::Plain),
            own(Verb::Why, "Why?", Style::Plain),
        ];
    }
    let mut buttons = Vec::new();
    if incident.owner.is_none() {
        buttons.push(own(Verb::Acknowledge, "Acknowledge", Style::Primary));
    }
    let open = open_proposals(facts, now);
    let several = open.len() > 1;
    for (proposal, n) in open.into_iter().take(3).zip(1..) {
        let of = |verb, (before, after): (&str, &str), style| Button {
            verb,
            label: if several {
                format!("{before} {n}{after}")
            } else {
                format!("{before}{after}")
            },
            style,
            subject: Subject::Proposal(proposal.id),
            digest: Some(proposal.digest.short().to_owned()),
        };
        // What many users notice, or what turns back what was done, is not the one to press first.
        let grave = proposal.risk == Risk::High || proposal.rollback_of.is_some();
        let style = if grave { Style::Danger } else { Style::Primary };
        buttons.push(of(Verb::Approve, ("Approve", "…"), style));
        buttons.push(of(Verb::Schedule, ("Schedule", "…"), Style::Plain));
        buttons.push(of(Verb::Ignore, ("Ignore", ""), Style::Plain));
    }
    let later = scheduled_proposals(facts);
    let several = later.len() > 1;
    buttons.extend(later.into_iter().take(2).zip(1..).map(|(proposal, n)| Button {
        verb: Verb::Ignore,
        label: if several { format!("Call off {n}") } else { "Call off".into() },
        style: Style::Plain,
        subject: Subject::Proposal(proposal.id),
        digest: Some(proposal.digest.short().to_owned()),
    }));
    buttons.extend([
        own(Verb::Why, "Why?", Style::Plain),
        own(Verb::Silence, "Silence…", Style::Plain),
        own(Verb::NotAnIncident, "Not an incident", Style::Plain),
        own(Verb::Resolve, "Resolve", Style::Plain),
    ]);
    buttons
}

fn footer(facts: &Facts) -> String {
    let n_evidence = facts.diagnosis.as_ref().map_or(0, |d| d.evidence.len()) as u64;
    let n_gaps = facts.diagnosis.as_ref().map_or(0, |d| d.gaps.len()) as u64;
    let mut detectors: Vec<&str> = facts
        .alerts
        .iter()
        .map(|a| match &a.source {
            crate::model::AlertSource::Detector { detector } => detector.as_str(),
            crate::model::AlertSource::External { system } => system.as_str(),
        })
        .collect();
    detectors.sort_unstable();
    detectors.dedup();
    let evidence = match n_evidence {
        1 => "1 piece of evidence".to_owned(),
        n => format!("{n} pieces of evidence"),
    };
    let gaps = if n_gaps > 0 { format!(" · {}", n_of(n_gaps, "gap")) } else { String::new() };
    let mut parts = vec![
        format!("{evidence}{gaps}"),
        alerts_text(&facts.incident, facts.alerts.len() as u64),
        "no model used".to_owned(),
    ];
    parts.extend((!detectors.is_empty()).then(|| detectors.join(", ")));
    parts.join(" · ")
}

/// How many alerts there are, and of how many conditions where some are witnesses of others.
fn alerts_text(incident: &Incident, n: u64) -> String {
    let conditions = incident.n_conditions;
    if conditions == 0 || conditions >= n {
        return n_of(n, "alert");
    }
    format!("{} told by {}", n_of(conditions, "condition"), n_of(n, "alert"))
}

/// What an alert says in one line of the thread.
#[must_use]
pub fn alert_text(alert: &Alert, unit: &str) -> String {
    let summary = alert.annotations.get("summary").unwrap_or(alert.name());
    match (alert.value, alert.expected) {
        (Some(value), Some(band)) => format!(
            "{summary} (now {}, expected {} to {})",
            figure(value, unit),
            figure(band.low, unit),
            figure(band.high, unit)
        ),
        _ => summary.to_owned(),
    }
}
