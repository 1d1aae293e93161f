//! The desk: why something was told, or was not.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Desk, Problem};
use crate::approve::withheld;
use crate::model::diagnosis::{CourseStep, Finding};
use crate::model::figure::figure;
use crate::model::past;
use crate::model::{
    Alert, AlertId, AlertSource, Diagnosis, Evidence, Fault, Incident, IncidentId, Refused,
};
use crate::store::{AuditFilter, AuditRecord, Filter, Rows};

/// Actions that were not offered, named with their reason.
const MOST_HELD: usize = 12;

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

impl Desk {
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
    let mut lines = vec![raised(&alert, &unit)];
    if let Some(suppression) = &alert.suppressed {
        lines.push(format!("Held back by {}: {}", suppression.by, suppression.reason));
    }
    lines.extend(alert.decision.clone());
    match incident {
        Some(i) => lines.push(format!("It belongs to incident #{}: {}.", i.number, i.title)),
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
    let mut lines: Vec<String> = alerts
        .iter()
        .take(12)
        .filter_map(|a| {
            let decision = a.decision.as_ref()?;
            Some(format!("{} on {}: {decision}", a.name(), a.entity.name()))
        })
        .collect();
    if alerts.len() > 12 {
        lines.push(format!("… and {} more alerts.", alerts.len() - 12));
    }
    if let Some(priority) = &incident.priority {
        lines.push(format!("Priority: {}", priority.text()));
    }
    if let Some(kind) = &incident.taxonomy {
        lines.push(format!(
            "Kind: {}, set off by {}, in a {}.",
            kind.category, kind.trigger, kind.component
        ));
    }
    if let Some(untold) = &incident.untold {
        lines.push(untold.reason.clone());
    }
    if let Some(first) = diagnosis.as_ref().and_then(|d| d.hypotheses.first()) {
        lines.push(format!("{} ({:.0} %), because:", first.statement, first.confidence * 100.0));
        lines.extend(
            first.parts.iter().map(|p| format!("{} {:+.2}: {}", p.name, p.contribution, p.why)),
        );
    }
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
    let held = withheld(r, id)?;
    // The newest reasons are those that hold; the audit log has them all.
    lines.extend(held.iter().rev().take(MOST_HELD).map(|w| {
        let on = w.target.split_once('=').map(|(_, name)| format!(" on {name}"));
        format!("Not offered: {}{}. {}", w.action, on.unwrap_or_default(), w.reason)
    }));
    if held.len() > MOST_HELD {
        let more = held.len() - MOST_HELD;
        lines.push(format!("… and {more} earlier reasons, in the audit log."));
    }
    let title = format!("#{} {}", incident.number, incident.title);
    Ok(Some(Explanation { title, lines, records }))
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
        "Nothing stands out. How it would have come about, if the first cause is right:"
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

fn raised(alert: &Alert, unit: &str) -> String {
    let by = match &alert.source {
        AlertSource::Detector { detector } => format!("the detector {detector}"),
        AlertSource::External { system } => system.clone(),
    };
    let measured = match (alert.value, alert.expected) {
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
