//! The forms that buttons open: what is read first, what is asked, and whether this person may.

use super::{Category, Desk, need, people};
use crate::approve::{self, Choice};
use crate::chat::{Button, Form, FormField, FormKind, Subject, Verb};
use crate::correlate::machine;
use crate::model::figure::n_of;
use crate::model::labels::MatchOp;
use crate::model::time::{DAY_MS, MINUTE_MS};
use crate::model::{
    Actor, Alert, Fault, Harmless, HarmlessState, Incident, IncidentState, Matcher, Proposal,
    ProposalState, Refused, Role, Run, RunId, Silence, Time, Tuning, Verdict, wall_now,
};
use crate::store::{Filter, Rows};

/// Most options of a choice that every platform takes (Discord's select).
const MOST_OPTIONS: usize = 25;
/// Characters of an option's label that every platform takes (Slack's select).
const MOST_LABEL: usize = 75;

/// A form, nothing to ask, or why it can't be had.
pub(super) type Opened = Result<Option<Form>, Refused>;

/// What a button opens for this person. `now` is event time.
pub(super) fn open(
    rows: &Rows<'_>,
    desk: &Desk,
    actor: &Actor,
    button: &Button,
    now: Time,
) -> Result<Opened, Fault> {
    match (button.verb, button.subject) {
        (Verb::Why, _) => Ok(Ok(None)),
        (Verb::Declare, _) => {
            Ok(need(actor, Role::Responder, "open an incident").map(|()| Some(declare(button))))
        }
        (Verb::Approve | Verb::Schedule | Verb::Ignore, Subject::Proposal(id)) => {
            let Some(proposal) = rows.get::<Proposal>(id)? else { return Ok(Err(no_proposal())) };
            Ok(decide(desk, actor, (button, &proposal), now).map(Some))
        }
        (Verb::EndSilence, Subject::Silence(id)) => {
            let in_force = rows.get::<Silence>(id)?.is_some_and(|s| s.ends_at > now);
            let over = "There is no such silence in force; it may have ended already.";
            let may = need(actor, desk.silences.role, "end a silence").map(|()| None);
            Ok(may.and_then(|none| {
                in_force.then_some(none).ok_or_else(|| Refused::NotFound(over.into()))
            }))
        }
        (Verb::EndSilence, _) => Ok(Err(gone())),
        (Verb::Apply | Verb::Decline, Subject::Tuning(id)) => {
            let may = need(actor, Role::Approver, "decide on a change of detection");
            Ok(match (may, super::tunings::waiting(rows, id, now)?) {
                (Err(refused), _) | (_, Err(refused)) => Err(refused),
                (Ok(()), Ok(tuning)) => Ok(Some(tune(button, &tuning))),
            })
        }
        (Verb::Apply | Verb::Decline, Subject::Harmless(id)) => {
            let may = need(actor, Role::Approver, "decide on a learned pattern");
            Ok(match (may, super::harmless::known(rows, id, &[HarmlessState::Open])?) {
                (Err(refused), _) | (_, Err(refused)) => Err(refused),
                (Ok(()), Ok(pattern)) => Ok(Some(hush(button, &pattern))),
            })
        }
        (Verb::Rollback, Subject::Run(id)) => way_back(rows, desk, (actor, id), now),
        (Verb::Silence, subject) => {
            if let Err(refused) = need(actor, desk.silences.role, "silence alerts") {
                return Ok(Err(refused));
            }
            let matchers = match subject {
                Subject::Incident(id) => {
                    let Some(i) = rows.get::<Incident>(id)? else { return Ok(Err(gone())) };
                    matchers_of_incident(rows, &i)?
                }
                Subject::Alert(id) => {
                    let Some(a) = rows.get::<Alert>(id)? else { return Ok(Err(no_alert())) };
                    matchers_of_alert(&a)
                }
                _ => Vec::new(),
            };
            Ok(Ok(Some(silence(button, &matchers))))
        }
        (_, Subject::Incident(id)) => {
            let Some(incident) = rows.get::<Incident>(id)? else { return Ok(Err(gone())) };
            of_incident(rows, desk, (actor, button), (&incident, now))
        }
        // `Button::parse` lets no other pair through.
        _ => Ok(Err(gone())),
    }
}

fn gone() -> Refused {
    super::desk::gone()
}

fn no_alert() -> Refused {
    Refused::NotFound("There is no such alert any more; look at the incident for those now.".into())
}

fn no_proposal() -> Refused {
    Refused::NotFound(
        "This proposal does not exist any more; look at the incident for the newest one.".into(),
    )
}

fn of_incident(
    rows: &Rows<'_>,
    desk: &Desk,
    (actor, button): (&Actor, &Button),
    (incident, now): (&Incident, Time),
) -> Result<Opened, Fault> {
    let what = match button.verb {
        Verb::Acknowledge => "acknowledge an incident",
        Verb::Assign => "assign an incident",
        Verb::Resolve => "resolve an incident",
        Verb::NotAnIncident => "call an incident a false alarm",
        Verb::Reopen => "reopen an incident",
        Verb::Merge => "merge incidents",
        _ => "write into an incident",
    };
    if let Err(refused) = need(actor, Role::Responder, what) {
        return Ok(Err(refused));
    }
    let next = match button.verb {
        Verb::Acknowledge => Some(IncidentState::Acknowledged),
        Verb::Resolve | Verb::NotAnIncident => Some(IncidentState::Resolved),
        Verb::Reopen => Some(IncidentState::Open),
        Verb::Merge => Some(IncidentState::Merged),
        _ => None,
    };
    if let Some(next) = next
        && let Err(refused) = machine::transition(incident, next, actor, now, "")
    {
        return Ok(Err(refused));
    }
    let title = format!("#{} {}", incident.number, incident.title);
    let about = FormField::fixed("Incident", clipped(&title, 300));
    let (name, fields) = match button.verb {
        Verb::Acknowledge => return Ok(Ok(None)),
        Verb::Assign => {
            if !incident.state.is_active() {
                return Ok(Err(Refused::Conflict(format!(
                    "Incident #{} is {}; reopen it before giving it to somebody.",
                    incident.number,
                    incident.state.as_str()
                ))));
            }
            let people = people::known(rows, desk.people.as_ref())?;
            ("Give it to", vec![whom(actor, incident, &people)])
        }
        Verb::Resolve => {
            let named = Category::ALL.iter().filter(|(c, _)| *c != Category::NotAnIncident);
            let options = named.map(|(c, label)| (c.as_str().to_owned(), (*label).to_owned()));
            let how = FormKind::Choice { options: options.collect() };
            let how = FormField::input("category", "How it ended", how);
            let how = how.required().with(Category::Fixed.as_str());
            ("Resolve", vec![how, reason("What was it").hint("Kept in its story.")])
        }
        Verb::NotAnIncident => {
            let why = reason("Why it is none").hint("Detection learns from it.");
            ("Not an incident", vec![why])
        }
        Verb::Reopen => ("Reopen", vec![reason("Why")]),
        Verb::Merge => match into(rows, incident)? {
            Some(field) => ("Merge", vec![field, reason("Why they are one")]),
            None => {
                return Ok(Err(Refused::Conflict(
                    "No other incident is active, so there is none to merge it into.".into(),
                )));
            }
        },
        _ => {
            let text = FormField::input("text", "Update", FormKind::Lines).required();
            ("Post an update", vec![text.hint("Goes into the incident's thread and story.")])
        }
    };
    let fields = std::iter::once(about).chain(fields).collect();
    Ok(Ok(Some(Form {
        code: button.code(),
        title: name.into(),
        fields,
        submit: if button.verb == Verb::Note { "Post".into() } else { name.into() },
        danger: false,
    })))
}

fn reason(label: &str) -> FormField {
    FormField::input("reason", label, FormKind::Lines)
}

fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

fn whom(actor: &Actor, incident: &Incident, people: &[Actor]) -> FormField {
    let id = |a: &Actor| format!("{}:{}", a.via, a.id);
    let mut options = vec![("me".to_owned(), clipped(&format!("Me ({})", actor.name), MOST_LABEL))];
    options.extend(incident.owner.iter().map(|_| ("nobody".to_owned(), "Nobody".to_owned())));
    let others = people.iter().filter(|p| !p.same_as(actor));
    options
        .extend(others.map(|p| (id(p), clipped(&format!("{} ({})", p.name, p.via), MOST_LABEL))));
    options.truncate(MOST_OPTIONS);
    FormField::input("to", "Who gets it", FormKind::Choice { options }).required().with("me")
}

/// The incidents that another one may become part of, newest first.
fn into(rows: &Rows<'_>, incident: &Incident) -> Result<Option<FormField>, Fault> {
    let mut others = active(rows, MOST_OPTIONS + 1)?;
    others.retain(|i| i.id != incident.id);
    others.truncate(MOST_OPTIONS);
    let Some(first) = others.first().map(|i| i.id) else { return Ok(None) };
    let label = |i: &Incident| clipped(&format!("#{} {}", i.number, i.title), MOST_LABEL);
    let options = others.iter().map(|i| (i.id.to_string(), label(i))).collect();
    let field = FormField::input("into", "It becomes part of", FormKind::Choice { options });
    Ok(Some(field.required().with(first.to_string())))
}

/// Incidents that people still work on, newest first.
pub(super) fn active(rows: &Rows<'_>, most: usize) -> Result<Vec<Incident>, Fault> {
    let states = IncidentState::ACTIVE.map(IncidentState::as_str);
    rows.list::<Incident>(&Filter::states(states).newest(most))
}

fn declare(button: &Button) -> Form {
    let word = |w: &str| w.to_ascii_lowercase();
    let options = ["Critical", "Warning", "Info"].map(|s| (word(s), s.to_owned())).to_vec();
    Form {
        code: button.code(),
        title: "Open an incident".into(),
        fields: vec![
            FormField::input("title", "What users feel, in one line", FormKind::Text).required(),
            FormField::input("service", "Service", FormKind::Text)
                .hint("Its alerts join the incident; leave it empty where nobody knows."),
            FormField::input("severity", "How bad", FormKind::Choice { options })
                .required()
                .with("critical"),
            FormField::input("text", "What is known", FormKind::Lines),
        ],
        submit: "Open".into(),
        danger: false,
    }
}

fn silence(button: &Button, matchers: &[Matcher]) -> Form {
    let lines: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    Form {
        code: button.code(),
        title: "Silence alerts".into(),
        fields: vec![
            FormField::input("matchers", "Matchers, one a line; all must match", FormKind::Lines)
                .required()
                .with(lines.join("\n"))
                .hint("service=\"orders\", alertname=~\"Disk.*\", severity!=\"critical\""),
            FormField::input("duration", "For how long", FormKind::Duration)
                .required()
                .with("1 h")
                .hint("30 min, 2 h, 1 d"),
            FormField::input("reason", "Reason (shown with it)", FormKind::Text).required(),
        ],
        submit: "Silence".into(),
        danger: false,
    }
}

fn matcher(name: &str, value: &str) -> Option<Matcher> {
    Matcher::new(name, MatchOp::Equal, value).ok()
}

/// What a change of detection follows from and would have meant, and the reason for the decision.
fn tune(button: &Button, tuning: &Tuning) -> Form {
    let (title, submit) = match button.verb {
        Verb::Apply => ("Apply to detection", "Apply"),
        _ => ("Decline the change", "Decline"),
    };
    let mut fields = vec![
        FormField::fixed("Change", clipped(&tuning.title, 300)),
        FormField::fixed("Follows from", clipped(&tuning.why, 300)),
    ];
    if let Some(trial) = &tuning.trial {
        fields.push(FormField::fixed("Backtest", clipped(&trial.text, 600)));
    }
    fields.push(FormField::fixed("Holds", format!("{} days, then it lapses", tuning.holds_days)));
    fields.push(reason("Reason (kept in the audit log)"));
    Form {
        code: button.code(),
        title: title.into(),
        fields,
        submit: submit.into(),
        danger: button.verb == Verb::Apply,
    }
}

/// What a pattern follows from and has counted in shadow, and the reason for the decision.
fn hush(button: &Button, pattern: &Harmless) -> Form {
    let (title, submit) = match button.verb {
        Verb::Apply => ("Confirm as harmless", "Confirm"),
        _ => ("Decline the pattern", "Decline"),
    };
    let counted = format!(
        "Since {} it would have kept {} quiet; no confirmed incident followed.",
        pattern.since.minute_text(),
        n_of(pattern.n_kept, "alert")
    );
    let holds = format!(
        "{} days, then it has to be confirmed anew; an incident that follows lifts it",
        pattern.holds_days
    );
    let fields = vec![
        FormField::fixed("Pattern", clipped(&pattern.title, 300)),
        FormField::fixed("Follows from", clipped(&pattern.why, 300)),
        FormField::fixed("In shadow", counted),
        FormField::fixed("Holds", holds),
        reason("Reason (kept in the audit log)"),
    ];
    Form {
        code: button.code(),
        title: title.into(),
        fields,
        submit: submit.into(),
        danger: button.verb == Verb::Apply,
    }
}

/// The label by which the incident's leading alert names what it is about.
fn matchers_of_incident(rows: &Rows<'_>, incident: &Incident) -> Result<Vec<Matcher>, Fault> {
    let leading = match incident.leading.or(incident.alerts.first().copied()) {
        Some(id) => rows.get::<Alert>(id)?,
        None => None,
    };
    let name = match &leading {
        Some(alert) => Some(alert.entity.name()),
        None => incident.entities.first().map(|e| e.name()),
    };
    let Some(name) = name else { return Ok(Vec::new()) };
    let labels = leading.as_ref().and_then(|a| a.labels.0.iter().find(|(_, v)| *v == name));
    let key = labels.map_or("service", |(key, _)| key.as_str());
    Ok(matcher(key, name).into_iter().collect())
}

fn matchers_of_alert(alert: &Alert) -> Vec<Matcher> {
    let given: Vec<Matcher> = ["alertname", "service", "service.name", "instance"]
        .into_iter()
        .filter_map(|key| matcher(key, alert.labels.get(key)?))
        .collect();
    if given.is_empty() {
        matcher("service", alert.entity.name()).into_iter().collect()
    } else {
        given
    }
}

/// The form of the proposal that undoes a run, where one is open.
fn way_back(
    rows: &Rows<'_>,
    desk: &Desk,
    (actor, id): (&Actor, RunId),
    now: Time,
) -> Result<Opened, Fault> {
    let Some(run) = rows.get::<Run>(id)? else {
        return Ok(Err(Refused::NotFound("This run does not exist; look at the incident.".into())));
    };
    let mut offers = rows.list::<Proposal>(&Filter::parent(run.incident))?;
    offers.retain(|p| p.rollback_of == Some(id));
    let open = |p: &&Proposal| p.state == ProposalState::Open && p.expires_at > now;
    let Some(proposal) = offers.iter().find(open).or(offers.last()) else {
        return Ok(Err(Refused::Conflict(no_way_back(&run))));
    };
    // The form is that of the proposal: what is decided on is the digest that it shows.
    let button = Button {
        verb: Verb::Approve,
        label: String::new(),
        style: crate::chat::Style::Danger,
        subject: Subject::Proposal(proposal.id),
        digest: Some(proposal.digest.short().to_owned()),
    };
    Ok(decide(desk, actor, (&button, proposal), now).map(Some))
}

fn no_way_back(run: &Run) -> String {
    let why = if run.dry_run {
        "it was a dry run, so there is nothing to undo"
    } else if run.finished_at.is_none() {
        "it has not ended; the way back is offered once it has"
    } else if run.outcome.is_none() {
        "its effect is still being measured; the way back is offered where it did not help"
    } else {
        "it helped, or its runbook names no way back"
    };
    format!("No way back is offered for this run: {why}. Use the runbook's own steps where needed.")
}

/// The form of a decision.
fn decide(
    desk: &Desk,
    actor: &Actor,
    (button, proposal): (&Button, &Proposal),
    now: Time,
) -> Result<Form, Refused> {
    let choice = Choice {
        actor: actor.clone(),
        verdict: if button.verb == Verb::Ignore { Verdict::Ignore } else { Verdict::Approve },
        digest: button.digest.clone().unwrap_or_default(),
        reason: String::new(),
        wall: wall_now(),
    };
    approve::admissible(proposal, &choice, now)?;
    let mut fields = super::plan::shown(proposal);
    let why = reason("Reason (kept in the audit log)");
    let (title, submit) = match button.verb {
        Verb::Schedule => {
            let soon = now.plus_ms(15 * MINUTE_MS).min(proposal.expires_at).floor_to(MINUTE_MS);
            let soon =
                if soon > now { soon.minute_text() } else { proposal.expires_at.to_string() };
            let hint = format!("Before {}, or in 30 min.", proposal.expires_at.minute_text());
            let at = FormField::input("at", "When (UTC)", FormKind::DateTime);
            fields.push(at.required().with(soon).hint(hint));
            ("Schedule", "Schedule")
        }
        Verb::Ignore if proposal.state == ProposalState::Scheduled => ("Call off", "Call off"),
        Verb::Ignore => ("Decline", "Decline"),
        _ => {
            fields.extend(super::plan::choices(desk, proposal, Form::MAX_FIELDS - 1));
            ("Approve", "Approve")
        }
    };
    fields.push(why);
    let danger = button.verb != Verb::Ignore;
    Ok(Form { code: button.code(), title: title.into(), fields, submit: submit.into(), danger })
}

/// Incidents by which a person may be completed: active ones, and those that ended within a day.
pub(super) fn recent(rows: &Rows<'_>, now: Time) -> Result<Vec<Incident>, Fault> {
    let mut found = active(rows, 100)?;
    let lately = Filter::states(["resolved"]).newest(100);
    let over = rows.list::<Incident>(&lately)?.into_iter();
    found.extend(over.filter(|i| i.resolved_at.is_some_and(|at| now.ms_since(at) < DAY_MS)));
    Ok(found)
}
