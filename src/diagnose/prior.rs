//! What earlier incidents say of a kind of change: a part of a score beside that of its nearness. Pure.
//!
//! [`Causes`] gives log odds, a score counts log odds by a constant (`belief.rs`): divided by it they
//! are score. The part is bounded to both sides, so that whatever was said of earlier incidents a
//! change near the onset always counts, and less than the nearness does; and it is as large a share of
//! itself as the change is near, because one that is too old to count does so whatever its kind.

use std::collections::BTreeSet;

use super::belief::SHARPNESS;
use super::gather::evidence_id;
use super::input::Input;
use crate::learn::Causes;
use crate::model::diagnosis::{Finding, ScorePart};
use crate::model::figure::count_text;
use crate::model::{Change, ChangeKind, Evidence, Incident, Time};

/// The part weighs so much at most, for or against: a third of what a change right before the onset
/// weighs.
const MOST: f64 = 0.7;
/// What weighs less is none: it would be shown as nothing.
const LEAST: f64 = 0.05;

/// What the kind of a change adds, where its nearness is this share (0 to 1) of the greatest.
pub(super) fn weight(causes: &Causes, kind: ChangeKind, near: f64) -> f64 {
    let whole = (causes.log_odds(kind) / SHARPNESS).clamp(-MOST, MOST);
    let weight = whole * near;
    if weight.abs() < LEAST { 0.0 } else { weight }
}

/// The part with this weight.
pub(super) fn part(input: &Input, kind: ChangeKind, weight: f64) -> Option<ScorePart> {
    let why = said(&input.causes, kind).filter(|_| weight != 0.0)?;
    let evidence = input.proofs.kinds.get(&kind).copied().into_iter().collect();
    Some(ScorePart { name: "learned".into(), contribution: weight, why, evidence })
}

/// How often changes of a kind were the cause.
fn said(causes: &Causes, kind: ChangeKind) -> Option<String> {
    let tally = causes.tally(kind)?;
    let (near, cause) = causes.all();
    let count = |n: u32| count_text(u64::from(n));
    Some(format!(
        "{} here were the cause in {} of {} confirmed incidents with one, of all kinds of change {} of {}",
        plural(kind),
        count(tally.cause),
        count(tally.near),
        count(cause),
        count(near)
    ))
}

/// What is kept as evidence: of each kind that was changed lately and of which something is said.
pub(super) fn evidence(
    incident: &Incident,
    changes: &[Change],
    causes: &Causes,
    now: Time,
) -> Vec<(ChangeKind, Evidence)> {
    let kinds: BTreeSet<ChangeKind> = changes.iter().map(|c| c.kind).collect();
    let told = kinds.into_iter().filter(|kind| weight(causes, *kind, 1.0) != 0.0);
    let made = |kind: ChangeKind| {
        let numbers = causes.tally(kind)?.numbers.iter().rev();
        let named: Vec<String> = numbers.map(|n| format!("#{n}")).collect();
        let last = match named.as_slice() {
            [] => String::new(),
            [one] => format!("; the last was {one}"),
            many => format!("; the last were {}", many.join(", ")),
        };
        let text = format!("{}{last}", said(causes, kind)?);
        let what = plural(kind);
        let evidence = Evidence {
            id: evidence_id(incident, &format!("causes {what}")),
            incident: Some(incident.id),
            at: now,
            summary: text.clone(),
            source: "store".into(),
            query: format!("incidents with a confirmed cause and {what} near their onset"),
            since: causes.since().unwrap_or(now),
            until: now,
            finding: Finding::Record { id: what.into(), text },
        };
        Some((kind, evidence))
    };
    told.filter_map(made).collect()
}

/// Changes of a kind.
fn plural(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Deploy => "deploys",
        ChangeKind::Config => "changes of configuration",
        ChangeKind::NetworkPolicy => "changes of network policy",
        ChangeKind::Scale => "changes of scale",
        ChangeKind::Flag => "changes of flags",
        ChangeKind::Migration => "migrations of data",
        ChangeKind::Schema => "changes of schema",
        ChangeKind::Provider => "reports of providers",
        ChangeKind::Other => "other changes",
    }
}
