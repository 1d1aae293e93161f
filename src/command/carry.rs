//! A wish is done: with the person's role, through the desk, with a word on what came of it.

use super::plan;
use super::wish::{Decide, Wish};
use super::{About, Desk, Problem, need, people};
use crate::chat::{Block, Card, Item, Subject};
use crate::model::{
    Actor, AlertId, Incident, IncidentId, Proposal, ProposalId, ProposalState, Refused, Role, Run,
    Verdict,
};

/// Lines of an explanation that a card shows.
const MOST_LINES: usize = 30;

/// What came of a wish.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// What was done, in a sentence for the person who wished it.
    pub words: String,
    /// The incident that it is about.
    pub incident: Option<IncidentId>,
    /// What was asked for, where something was asked.
    pub card: Option<Card>,
    /// Whether others are to be told in the thread: its timeline does not say it.
    pub(super) tell: bool,
}

impl Done {
    fn about(incident: IncidentId, words: impl Into<String>) -> Self {
        Self { words: words.into(), incident: Some(incident), card: None, tell: false }
    }
}

/// Does what somebody wishes. The desk marks what they said as handled in the same transaction,
/// where it has one ([`Desk::handling`]); an explanation changes nothing and marks nothing.
///
/// # Errors
/// They can't have it, or we failed.
pub(super) async fn carry_out(desk: &Desk, actor: &Actor, wish: Wish) -> Result<Done, Problem> {
    match wish {
        Wish::Acknowledge(id) => {
            let incident = desk.acknowledge(actor, id).await?;
            Ok(Done::about(id, format!("Incident #{} is yours.", incident.number)))
        }
        Wish::Why(subject) => why(desk, subject).await,
        Wish::Decide { proposal, digest, how, reason } => {
            decide(desk, actor, (proposal, &digest), how, &reason).await
        }
        Wish::Rollback(_) => Err(Refused::Conflict(
            "The way back is decided on in its own form; press the button again.".into(),
        )
        .into()),
        Wish::Assign { incident, to } => assign(desk, actor, incident, &to).await,
        Wish::Resolve { incident: id, category, reason } => {
            let incident = desk.resolve_as(actor, id, category, &reason).await?;
            Ok(Done::about(id, format!("Incident #{} is resolved.", incident.number)))
        }
        Wish::Reopen { incident: id, reason } => {
            let incident = desk.reopen(actor, id, &reason).await?;
            Ok(Done::about(id, format!("Incident #{} is open again.", incident.number)))
        }
        Wish::Merge { from, into, reason } => {
            let whole = desk.merge(actor, (from, into), &reason).await?;
            Ok(Done::about(into, format!("It is part of incident #{} now.", whole.number)))
        }
        Wish::Note { incident, text } => {
            desk.note(actor, incident, &text).await?;
            Ok(Done::about(incident, "Your update stands in the thread."))
        }
        Wish::Silence { about, new } => {
            let made = desk.silence(actor, new).await?;
            let matchers: Vec<String> = made.matchers.iter().map(ToString::to_string).collect();
            let words = format!(
                "Silenced until {} by {}: {} ({}).",
                made.ends_at.minute_text(),
                actor.name,
                matchers.join(", "),
                made.reason
            );
            let incident = match about {
                Subject::Incident(id) => Some(id),
                _ => None,
            };
            Ok(Done { words, incident, card: None, tell: incident.is_some() })
        }
        Wish::EndSilence(id) => {
            let over = desk.end_silence(actor, id).await?;
            let matchers: Vec<String> = over.matchers.iter().map(ToString::to_string).collect();
            let words =
                format!("Ended: {}. Its alerts are told again from now on.", matchers.join(", "));
            Ok(Done { words, incident: None, card: None, tell: false })
        }
        Wish::Tune { tuning: id, apply, reason } => {
            let words = if apply {
                let tuning = desk.apply_tuning(actor, id, &reason).await?;
                let until = tuning.until.map_or_else(String::new, |at| at.minute_text());
                format!("Applied until {until}: {}", tuning.title)
            } else {
                format!("Declined: {}", desk.decline_tuning(actor, id, &reason).await?.title)
            };
            Ok(Done { words, incident: None, card: None, tell: false })
        }
        Wish::Hush { pattern: id, confirm, reason } => {
            let words = if confirm {
                let pattern = desk.confirm_harmless(actor, id, &reason).await?;
                let until = pattern.until.map_or_else(String::new, |at| at.minute_text());
                format!("Confirmed until {until}: {}", pattern.title)
            } else {
                format!("Declined: {}", desk.decline_harmless(actor, id, &reason).await?.title)
            };
            Ok(Done { words, incident: None, card: None, tell: false })
        }
        Wish::Declare(new) => {
            let incident = desk.declare(actor, new).await?;
            let words = format!("Incident #{} is open: {}.", incident.number, incident.title);
            Ok(Done::about(incident.id, words))
        }
    }
}

async fn decide(
    desk: &Desk,
    actor: &Actor,
    (id, digest): (ProposalId, &str),
    how: Decide,
    reason: &str,
) -> Result<Done, Problem> {
    let found = desk.store.read(move |r| r.get::<Proposal>(id)).await?;
    let changed = |given| found.as_ref().map(|p| plan::changed(p, &given)).unwrap_or_default();
    let proposal = match how {
        Decide::Change(given) => {
            let proposal = desk.edit(actor, id, digest, changed(given), reason).await?;
            let words = format!("Changed: {} A colleague can approve it now.", sentence(&proposal));
            return Ok(Done::about(proposal.incident, words));
        }
        Decide::Approve(given) => match changed(given) {
            none if none.is_empty() => desk.approve(actor, id, digest, reason).await?,
            given => desk.approve_changed(actor, id, digest, given, reason).await?,
        },
        Decide::Schedule(at) => {
            desk.decide(actor, id, Verdict::Schedule { at }, digest, reason).await?
        }
        Decide::Ignore => desk.decide(actor, id, Verdict::Ignore, digest, reason).await?,
    };
    let title = proposal.title.trim_end_matches('.');
    let words = match proposal.state {
        ProposalState::Ignored => format!("Declined: {title}."),
        ProposalState::Scheduled => {
            let at = proposal.scheduled_for.map_or_else(String::new, |at| at.minute_text());
            format!("Scheduled for {at}: {title}.")
        }
        ProposalState::Open => format!(
            "Recorded: {} of {} approvals of: {title}.",
            crate::approve::n_approved(&proposal),
            proposal.requires.n_approvals
        ),
        _ => format!("Approved: {title}."),
    };
    Ok(Done::about(proposal.incident, words))
}

/// What a proposal would do, as a sentence.
fn sentence(proposal: &Proposal) -> String {
    format!("{}.", proposal.title.trim_end_matches('.'))
}

async fn assign(desk: &Desk, actor: &Actor, id: IncidentId, to: &str) -> Result<Done, Problem> {
    need(actor, Role::Responder, "assign an incident")?;
    let owner = match to {
        "me" => Some(actor.clone()),
        "nobody" => None,
        name => {
            let keyed = desk.people.clone();
            let known = desk.store.read(move |r| people::known(r, keyed.as_ref())).await?;
            let id = |p: &&Actor| format!("{}:{}", p.via, p.id) == name;
            // A name will do where only one person has it.
            let alike: Vec<&Actor> =
                known.iter().filter(|p| p.name.eq_ignore_ascii_case(name)).collect();
            let only = if alike.len() == 1 { alike.first().copied() } else { None };
            let found = known.iter().find(id).or(only).cloned();
            Some(found.ok_or_else(|| {
                let shown: String = name.chars().take(60).collect();
                Refused::Invalid(format!(
                    "Nobody who may respond is known as `{shown}`; choose one of the list."
                ))
            })?)
        }
    };
    let whose = owner.as_ref().map_or("nobody's".to_owned(), |o| format!("{}'s", o.name));
    let incident: Incident = desk.assign(actor, id, owner).await?;
    Ok(Done::about(id, format!("Incident #{} is {whose} now.", incident.number)))
}

async fn why(desk: &Desk, subject: Subject) -> Result<Done, Problem> {
    let (incident, card) = match subject {
        Subject::Incident(id) => (Some(id), explained(desk.why_incident(id).await?)),
        Subject::Alert(id) => (incident_of(desk, id).await?, explained(desk.why_alert(id).await?)),
        Subject::Proposal(id) => {
            let found = desk.store.read(move |r| r.get::<Proposal>(id)).await?;
            let incident = found.map(|p| p.incident);
            (incident, explained(desk.why(About::Proposal(id)).await?))
        }
        Subject::Run(id) => {
            let found = desk.store.read(move |r| r.get::<Run>(id)).await?;
            (found.map(|run| run.incident), explained(desk.why(About::Run(id)).await?))
        }
        Subject::Silence(_) | Subject::Tuning(_) | Subject::Harmless(_) | Subject::Nothing => {
            return Err(Refused::NotFound("There is nothing to explain here.".into()).into());
        }
    };
    let words = card.title.clone();
    Ok(Done { words, incident, card: Some(card), tell: true })
}

async fn incident_of(desk: &Desk, id: AlertId) -> Result<Option<IncidentId>, Problem> {
    let read = desk.store.read(move |r| r.get::<crate::model::Alert>(id));
    Ok(read.await?.and_then(|a| a.incident))
}

/// An explanation as a card.
pub(super) fn explained(why: super::Explanation) -> Card {
    let more = why.lines.len().saturating_sub(MOST_LINES);
    let mut items: Vec<Item> = why.lines.into_iter().take(MOST_LINES).map(Item::plain).collect();
    if more > 0 {
        items.push(Item::plain(format!("… and {more} more; the console shows all.")));
    }
    let card = Card::words(format!("Why: {}", why.title), String::new());
    Card {
        fallback: card.title.clone(),
        blocks: vec![Block::List { heading: None, items }],
        ..card
    }
}
