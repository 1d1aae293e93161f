//! A proposal's plan in a form: what will be done, word by word, and what of it can be chosen.

use std::collections::BTreeMap;

use super::Desk;
use super::wish::{CHANGE_ONLY, Faults, PARAMETER, THEN};
use crate::chat::{FormField, FormKind};
use crate::model::{Proposal, Risk, Verdict};

/// Values of a choice that every platform takes (Discord's select).
const MOST_CHOICES: usize = 25;
/// Characters of a label that every platform takes (Discord's modal).
const MOST_LABEL: usize = 45;

/// What a person reads before they decide: the exact action, target, risk, expected effect, expiry
/// and how it went before.
pub(super) fn shown(proposal: &Proposal) -> Vec<FormField> {
    let plan = &proposal.plan;
    let risk = match proposal.risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
    };
    let requires = &proposal.requires;
    let who = match requires.n_approvals {
        0 | 1 => format!("role {}", requires.role),
        n => format!("{n} different people with role {}, all on one platform", requires.role),
    };
    let other = if requires.no_self_approval {
        ", none of whom asked for it, edited it or authored the change"
    } else {
        ""
    };
    let yes = |v: Verdict| !matches!(v, Verdict::Ignore);
    let so_far: Vec<&str> = proposal
        .decisions
        .iter()
        .filter(|d| yes(d.verdict) && d.digest == proposal.digest)
        .map(|d| d.actor.name.as_str())
        .collect();
    let target = format!("{}{}", plan.target.name(), observed(&plan.observed));
    let lines = [
        ("Target", target),
        ("Risk", risk.to_owned()),
        ("Expected", proposal.expected_effect.clone()),
        ("Before", proposal.past.clone()),
        ("May approve", format!("{who}{other}")),
        ("Approved by", so_far.join(", ")),
        ("Open until", proposal.expires_at.minute_text()),
        ("Plan", proposal.digest.short().to_owned()),
    ];
    let said = lines.iter().filter(|(_, text)| !text.is_empty());
    let about: Vec<String> = said.map(|(label, text)| format!("{label}: {text}")).collect();
    vec![
        FormField::fixed("What", proposal.title.clone()),
        FormField::fixed("Exactly this will be done", proposal.exact.clone()),
        FormField::fixed("About it", about.join("\n")),
    ]
}

fn observed(state: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = state.iter().map(|(k, v)| format!("{k} = {v}")).collect();
    if pairs.is_empty() { String::new() } else { format!(" (now {})", pairs.join(", ")) }
}

/// The inputs of an approval, at most `most`: parameters that can be chosen, and, where nobody may
/// approve what they edited, whether the plan is only to be changed, for a colleague to approve.
pub(super) fn choices(desk: &Desk, proposal: &Proposal, most: usize) -> Vec<FormField> {
    let alone = proposal.requires.no_self_approval;
    let mut fields = inputs(desk, proposal, most - usize::from(alone));
    if alone && !fields.is_empty() {
        let options = [
            ("approve", "Approve the plan as it stands"),
            (CHANGE_ONLY, "Change it only; a colleague approves"),
        ];
        let options = options.map(|(value, label)| (value.to_owned(), label.to_owned())).into();
        let field = FormField::input(THEN, "What to do", FormKind::Choice { options });
        let hint = "Policy: whoever changes a parameter can't approve the plan.";
        fields.push(field.required().with("approve").hint(hint));
    }
    fields
}

/// Inputs for the parameters that the plan's runbook lets people choose, at most `most`.
fn inputs(desk: &Desk, proposal: &Proposal, most: usize) -> Vec<FormField> {
    let Some(workshop) = &desk.workshop else { return Vec::new() };
    let declared = workshop.parameters(&proposal.plan).iter();
    let own = declared.filter_map(|p| {
        let value = proposal.plan.parameters.get(&p.name)?;
        let choice = !p.choices.is_empty() && p.choices.len() <= MOST_CHOICES;
        let kind = if choice {
            let options = p.choices.iter().map(|c| (c.clone(), c.clone())).collect();
            FormKind::Choice { options }
        } else {
            FormKind::Text
        };
        let bounds = match (p.min, p.max) {
            (Some(min), Some(max)) => format!("; {min} to {max}"),
            (Some(min), None) => format!("; at least {min}"),
            (None, Some(max)) => format!("; at most {max}"),
            (None, None) => String::new(),
        };
        let label: String = p.name.chars().take(MOST_LABEL).collect();
        let field = FormField::input(&format!("{PARAMETER}{}", p.name), &label, kind);
        Some(field.required().with(value).hint(format!("{}{bounds}", p.description)))
    });
    own.take(most).collect()
}

/// The parameters that differ from the plan's; those of no form are left out.
pub(super) fn changed(
    proposal: &Proposal,
    given: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let plan = &proposal.plan.parameters;
    let differs = |(name, value): &(&String, &String)| plan.get(*name).is_some_and(|v| v != *value);
    given.iter().filter(differs).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// What is wrong with parameters by the bounds that the runbook declares; the plan is checked as a
/// whole when it is made.
pub(super) fn faults(desk: &Desk, proposal: &Proposal, given: &BTreeMap<String, String>) -> Faults {
    let mut faults = Faults::new();
    let Some(workshop) = &desk.workshop else { return faults };
    let changed = changed(proposal, given);
    for p in workshop.parameters(&proposal.plan) {
        let Some(value) = changed.get(&p.name) else { continue };
        let name = format!("{PARAMETER}{}", p.name);
        if !p.choices.is_empty() && !p.choices.contains(value) {
            faults.insert(name, format!("Choose one of {}.", p.choices.join(", ")));
        } else if p.min.is_some() || p.max.is_some() {
            let (min, max) = (p.min.unwrap_or(i64::MIN), p.max.unwrap_or(i64::MAX));
            let fits = value.parse::<i64>().is_ok_and(|n| (min..=max).contains(&n));
            let bounds = match (p.min, p.max) {
                (Some(min), Some(max)) => format!("between {min} and {max}"),
                (Some(min), None) => format!("of at least {min}"),
                _ => format!("of at most {max}"),
            };
            if !fits {
                faults.insert(name, format!("Write a whole number {bounds}."));
            }
        }
    }
    faults
}
