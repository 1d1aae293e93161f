//! The desk: why something was told, or was not, and why something was offered or done.

mod actions;
mod joined;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Desk, Problem};
use crate::model::alert::Suppression;
use crate::model::diagnosis::{CourseStep, Finding};
use crate::model::figure::figure;
use crate::model::past;
use crate::model::{
    Alert, AlertId, AlertSource, Anomaly, Diagnosis, Evidence, Fault, Hypothesis, Incident,
    IncidentId, ProposalId, Refused, RunId, Taxonomy, TimelineEntry,
};
use crate::store::{AuditFilter, AuditRecord, Filter, Rows};

/// Why an alert or an incident is as it is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Explanation {
    /// One line.
    pub title: String,
    /// Sentences with figures, in the order in which things were decided.
    pub lines: Vec<String>,
    /// The audit records behind them, newest first.
    pub records: Vec<AuditRecord>,
}

/// What is asked about, by the id that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Why an alert was raised, and why it did or did not reach anybody.
    Alert(AlertId),
    /// Why an incident was opened, and what is thought of it.
    Incident(IncidentId),
    /// Why an action was offered, and what was decided.
    Proposal(ProposalId),
    /// Why an action ran, and what it did.
    Run(RunId),
}

impl About {
    /// What kind of thing that is.
    fn kind(self) -> &'static str {
        match self {
            Self::Alert(_) => "alert",
            Self::Incident(_) => "incident",
            Self::Proposal(_) => "proposal",
            Self::Run(_) => "run",
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(id) => id.fmt(f),
            Self::Incident(id) => id.fmt(f),
            Self::Proposal(id) => id.fmt(f),
            Self::Run(id) => id.fmt(f),
        }
    }
}

impl FromStr for About {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let incident = || text.parse().map(Self::Incident);
        let proposal = || text.parse().map(Self::Proposal);
        let alert = text.parse().map(Self::Alert).or_else(|_| incident());
        alert.or_else(|_| proposal()).or_else(|_| text.parse().map(Self::Run)).map_err(|_| ())
    }
}

/// Why it is as it is; `None` when there is no such thing.
///
/// # Errors
/// The database failed.
pub fn explain(r: &Rows<'_>, about: About) -> Result<Option<Explanation>, Fault> {
    match about {
        About::Alert(id) => explain_alert(r, id),
        About::Incident(id) => explain_incident(r, id),
        About::Proposal(id) => actions::explain_proposal(r, id),
        About::Run(id) => actions::explain_run(r, id),
    }
}

impl Desk {
    /// Why something is as it is.
    ///
    /// # Errors
    /// There is no such thing.
    pub async fn why(&self, about: About) -> Result<Explanation, Problem> {
        let found = self.store.read(move |r| explain(r, about)).await?;
        found.ok_or_else(|| Refused::NotFound(format!("There is no such {}.", about.kind())).into())
    }

    /// Why an alert was raised, and why it did or did not reach anybody.
    ///
    /// # Errors
    /// There is no such alert.
    pub async fn why_alert(&self, id: AlertId) -> Result<Explanation, Problem> {
        let found = self.store.read(move |r| explain_alert(r, id)).await?;
        found.ok_or_else(|| Refused::NotFound("There is no such alert.".into()).into())
    }

    /// Why an incident was opened and why its first hypothesis stands first.
    ///
    /// # Errors
    /// There is no such incident.
    pub async fn why_incident(&self, id: IncidentId) -> Result<Explanation, Problem> {
        let found = self.store.read(move |r| explain_incident(r, id)).await?;
        found.ok_or_else(|| super::desk::gone().into())
    }
}

/// Why an alert was raised, and why it did or did not reach anybody; `None` without such an alert.
///
/// # Errors
/// The database failed.
pub fn explain_alert(r: &Rows<'_>, id: AlertId) -> Result<Option<Explanation>, Fault> {
    let Some(alert) = r.get::<Alert>(id)? else { return Ok(None) };
    let incident = match alert.incident {
        Some(incident) => r.get::<Incident>(incident)?,
        None => None,
    };
    let unit = match alert.series {
        Some(series) => r.series(series)?.map(|s| s.unit),
        None => None,
    };
    let records = r.audit_records(&about(id.to_string()))?;
    let unit = unit.unwrap_or_default();
    let anomaly = match alert.anomaly {
        Some(anomaly) => r.get::<Anomaly>(anomaly)?,
        None => None,
    };
    let mut lines = vec![raised(&alert, anomaly.as_ref(), &unit)];
    let held = alert.suppressed.as_ref().map(|s| &s.reason);
    // What ended while held gives the reason in its decision: once is enough.
    let decision = alert.decision.clone().filter(|said| held != Some(said));
    if let Some(Suppression { by, reason, .. }) = &alert.suppressed {
        let again = decision.as_ref().is_some_and(|said| said.contains(reason.as_str()));
        lines.push(if again {
            format!("Held back by {by}.")
        } else {
            format!("Held back by {by}: {reason}")
        });
    }
    lines.extend(decision);
    match incident {
        Some(i) => {
            let story = r.list::<TimelineEntry>(&Filter::parent(i.id))?;
            if joined::opened_another(&alert, &i, &story) {
                lines.push(format!("That incident became part of #{}.", i.number));
            }
            lines.push(format!("It belongs to incident #{}: {}.", i.number, i.title));
        }
        None => lines.push("It belongs to no incident, so nobody was told of it.".into()),
    }
    if !alert.witnesses.is_empty() {
        lines.push(format!("Also reported by {}.", alert.witnesses.join(", ")));
    }
    Ok(Some(Explanation {
        title: format!("{} on {}", alert.name(), alert.entity.name()),
        lines,
        records,
    }))
}

/// Why an incident was opened and why its first hypothesis stands first; `None` without such an
/// incident.
///
/// # Errors
/// The database failed.
pub fn explain_incident(r: &Rows<'_>, id: IncidentId) -> Result<Option<Explanation>, Fault> {
    let Some(incident) = r.get::<Incident>(id)? else { return Ok(None) };
    let alerts = r.list::<Alert>(&Filter::parent(id))?;
    let (diagnosis, records) = (r.get::<Diagnosis>(id)?, r.audit_records(&about(id.to_string()))?);
    let mut lines = Vec::new();
    if let Some(into) = incident.merged_into {
        let home = r.get::<Incident>(into)?;
        let named = home.map_or_else(|| into.to_string(), |i| format!("#{} {}", i.number, i.title));
        lines.push(format!("It became part of incident {named}, which has its alerts now."));
    }
    let story = r.list::<TimelineEntry>(&Filter::parent(id))?;
    lines.extend(joined::lines(&incident, &alerts, &story));
    lines.extend(joined::moves(&story));
    if let Some(priority) = &incident.priority {
        lines.push(format!("Priority: {}", priority.text()));
    }
    lines.extend(incident.taxonomy.as_ref().map(kind_text));
    if let Some(untold) = &incident.untold {
        lines.push(untold.reason.clone());
    }
    lines.extend(diagnosis.iter().flat_map(thought));
    if let Some(d) = &diagnosis {
        lines.extend(d.counterfactuals.iter().map(|c| c.text.clone()));
        lines.extend(course(r, d)?);
        lines.extend(d.gaps.iter().map(|g| format!("Not known: {} ({}).", g.what, g.why)));
    }
    for like in diagnosis.iter().flat_map(|d| d.similar.iter().take(3)) {
        let parts = like.parts_text();
        lines.push(format!("{:.0} % like “{}”: {parts}.", like.similarity * 100.0, like.title));
    }
    lines.extend(diagnosis.as_ref().and_then(|d| past::tried_text(&d.similar)));
    for answer in r.live_prediction(id)?.into_iter().flat_map(|p| p.answers) {
        lines.push(format!(
            "Classifier: {} It follows from: {}.",
            answer.text_beside(incident.taxonomy.as_ref()),
            answer.because.join("; ")
        ));
    }
    lines.extend(actions::offered(r, id)?);
    lines.extend(actions::not_offered(r, id)?);
    let title = format!("#{} {}", incident.number, incident.title);
    Ok(Some(Explanation { title, lines, records }))
}

/// What kind of incident it is.
fn kind_text(kind: &Taxonomy) -> String {
    let (is, at) = (&kind.category, &kind.component);
    match kind.trigger.as_str() {
        "unknown" => format!("Kind: {is}, in a {at}; what set it off is not known."),
        by => format!("Kind: {is}, set off by {}, in a {at}.", by.replace('_', " ")),
    }
}

/// Further hypotheses that are named.
const MOST_OTHERS: usize = 2;
/// Those less likely than this are not.
const FAINT: f64 = 0.01;

/// What is thought to be the cause, what makes it so likely, and what else it may be.
fn thought(d: &Diagnosis) -> Vec<String> {
    let Some(first) = d.hypotheses.first() else { return Vec::new() };
    let said = |h: &Hypothesis| {
        format!("({:.0} %): {}.", h.confidence * 100.0, h.statement.trim_end_matches('.'))
    };
    let lead = if d.conclusive { "Likely cause" } else { "Nothing stands out; most likely" };
    let mut lines =
        vec![format!("{lead} {} What speaks for it (+) and against it (-):", said(first))];
    lines.extend(
        first.parts.iter().map(|p| format!("{} {:+.2}: {}", p.name, p.contribution, p.why)),
    );
    let others = d.hypotheses.iter().skip(1).filter(|h| h.confidence >= FAINT);
    lines.extend(others.take(MOST_OTHERS).map(|h| format!("Less likely {}", said(h))));
    lines
}

/// Pieces of evidence whose sentence is repeated.
const MOST_SHOWN: usize = 6;

/// How it came about, what shows it, whom it touches and what is ahead.
fn course(r: &Rows<'_>, d: &Diagnosis) -> Result<Vec<String>, Fault> {
    let step =
        |s: &CourseStep| format!("{} UTC {}.", s.at.clock_text(), s.text.trim_end_matches('.'));
    let lead = if d.conclusive {
        "How it came about:"
    } else {
        "How it would have come about, if that is right:"
    };
    let mut lines: Vec<String> = Vec::new();
    lines.extend((!d.steps.is_empty()).then(|| lead.to_owned()));
    lines.extend(d.steps.iter().map(step));
    let first = d.hypotheses.first();
    for id in first.into_iter().flat_map(|h| &h.evidence) {
        let Some(evidence) = r.get::<Evidence>(*id)? else { continue };
        let tells = matches!(
            evidence.finding,
            Finding::Logs { .. }
                | Finding::Requests { .. }
                | Finding::Edge { .. }
                | Finding::Change { .. }
        );
        if tells && lines.len() <= d.steps.len() + MOST_SHOWN {
            lines.push(format!("Seen: {}.", evidence.summary.trim_end_matches('.')));
        }
    }
    let reach = &d.reach;
    lines.extend(reach.users.iter().chain(&reach.business).chain(&reach.forecasts).cloned());
    Ok(lines)
}

fn about(subject: String) -> AuditFilter {
    AuditFilter { subject: Some(subject), limit: 50, ..AuditFilter::default() }
}

fn raised(alert: &Alert, anomaly: Option<&Anomaly>, unit: &str) -> String {
    let by = match &alert.source {
        AlertSource::Detector { detector } => format!("the detector {detector}"),
        AlertSource::External { system } => system.clone(),
    };
    let measured = match (alert.value, alert.expected) {
        // The newest value says nothing of why it was raised once it is back.
        (Some(value), Some(band)) if (band.low..=band.high).contains(&value) => {
            let worst = anomaly
                .map_or_else(String::new, |a| format!(", {} at its worst", figure(a.peak, unit)));
            format!(
                " (score {:.1}{worst}); when last seen it was back at {}, where {} to {} is \
                 expected",
                alert.score,
                figure(value, unit),
                figure(band.low, unit),
                figure(band.high, unit)
            )
        }
        (Some(value), Some(band)) => format!(
            ": {} where {} to {} was expected (score {:.1})",
            figure(value, unit),
            figure(band.low, unit),
            figure(band.high, unit),
            alert.score
        ),
        _ => String::new(),
    };
    format!("Raised by {by} at {} UTC{measured}.", alert.starts_at.clock_text())
}
