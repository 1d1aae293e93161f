//! What is open, waits or is silent, as cards: for commands, a person's own page, and completion.

use super::{Desk, forms, people};
use crate::chat::{Block, Button, Card, Completion, Content, Item, Message, Post, Style};
use crate::chat::{Subject, Verb, console};
use crate::model::figure::n_of;
use crate::model::time::duration_text;
use crate::model::topology::Edge;
use crate::model::{
    Actor, EntityRef, Fault, Harmless, HarmlessState, Incident, IncidentId, Proposal, Role,
    Severity, Silence, Time, Tuning, TuningState,
};
use crate::store::{Filter, Rows};

/// Lines of one list.
const MOST: usize = 20;
/// Characters of a runbook that a card shows.
const MOST_BODY: usize = 2_500;
/// Proposals that a list brings buttons for.
const MOST_OFFERS: usize = 5;
/// Changes of detection, and patterns, that a list brings buttons for.
const MOST_TUNINGS: usize = 3;
/// Silences that a list brings a button for.
const MOST_ENDS: usize = 5;
/// Completions that every platform takes (Discord's autocomplete).
const MOST_WORDS: usize = 25;

fn listed(title: &str, lines: Vec<String>, none: &str) -> Card {
    let n = lines.len();
    if n == 0 {
        return Card::words(title, none);
    }
    let mut items: Vec<Item> = lines.into_iter().take(MOST).map(Item::plain).collect();
    if n > MOST {
        items.push(Item::plain(format!("… and {} more; the console shows all.", n - MOST)));
    }
    let card = Card::words(title, String::new());
    let fallback = format!("{title}: {n}");
    Card { fallback, blocks: vec![Block::List { heading: None, items }], ..card }
}

fn line(incident: &Incident, now: Time) -> String {
    let severity = match incident.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let end = incident.resolved_at.unwrap_or(now);
    let owner = incident.owner.as_ref().map_or("nobody has it", |o| o.name.as_str());
    format!(
        "#{} {} ({severity}, {}, {} since its onset, {owner})",
        incident.number,
        incident.title,
        incident.state.as_str(),
        duration_text(end.ms_since(incident.onset_at))
    )
}

/// Incidents, newest first; `all` takes in those that are over.
pub(super) fn incidents(rows: &Rows<'_>, all: bool, now: Time) -> Result<Card, Fault> {
    let (title, none, found) = if all {
        let found = rows.list::<Incident>(&Filter::all().newest(100))?;
        ("Incidents", "There has been none.", found)
    } else {
        ("Active incidents", "No incident is active.", forms::active(rows, 100)?)
    };
    Ok(listed(title, found.iter().map(|i| line(i, now)).collect(), none))
}

/// The incident that somebody names: `12`, `#12` or `INC-…`.
pub(super) fn incident_named(rows: &Rows<'_>, text: &str) -> Result<Option<Incident>, Fault> {
    let text = text.trim().trim_matches(|c: char| matches!(c, '.' | ',' | ':'));
    if let Ok(id) = text.parse::<IncidentId>() {
        return rows.get::<Incident>(id);
    }
    let Ok(number) = text.trim_start_matches('#').parse::<u64>() else { return Ok(None) };
    let newest = rows.list::<Incident>(&Filter::all().newest(1_000))?;
    Ok(newest.into_iter().find(|i| i.number == number))
}

/// The card of an incident as it stands on a platform, or a short one where it does not.
pub(super) fn incident(
    rows: &Rows<'_>,
    incident: &Incident,
    platform: &str,
    now: Time,
) -> Result<Content, Fault> {
    let key = format!("{}/card", incident.id);
    let posted = rows.get::<Post>(Post::row(platform, &key))?.map(|post| post.content);
    let shown = rows.get::<Message>(console::message_id(&key))?.map(|message| message.content);
    Ok(posted.or(shown).unwrap_or_else(|| {
        let title = format!("#{} {}", incident.number, incident.title);
        Content::card(Card { buttons: taking(incident), ..Card::words(title, line(incident, now)) })
    }))
}

fn button(verb: Verb, label: &str, subject: Subject, digest: Option<String>) -> Button {
    Button { verb, label: label.into(), style: Style::Plain, subject, digest }
}

fn taking(incident: &Incident) -> Vec<Button> {
    let subject = Subject::Incident(incident.id);
    let take = incident.state.is_active() && incident.owner.is_none();
    let take = take.then(|| button(Verb::Acknowledge, "Acknowledge", subject, None));
    take.into_iter().chain([button(Verb::Why, "Why?", subject, None)]).collect()
}

/// Proposals that can be decided, the best first.
fn open_proposals(rows: &Rows<'_>, now: Time) -> Result<Vec<Proposal>, Fault> {
    let mut open = rows.list::<Proposal>(&Filter::states(["open"]))?;
    open.retain(|p| p.expires_at > now);
    open.sort_by(Proposal::shown_before);
    Ok(open)
}

/// A card for each proposal that waits, with its buttons.
pub(super) fn offers(rows: &Rows<'_>, now: Time) -> Result<Vec<Card>, Fault> {
    let mut cards = Vec::new();
    for p in open_proposals(rows, now)?.iter().take(MOST_OFFERS) {
        let number = rows.get::<Incident>(p.incident)?.map_or(0, |i| i.number);
        let digest = Some(p.digest.short().to_owned());
        let of = |verb, label| button(verb, label, Subject::Proposal(p.id), digest.clone());
        let need = usize::from(p.requires.n_approvals);
        let have = crate::approve::n_approved(p);
        let (until, role) = (p.expires_at.minute_text(), p.requires.role);
        let parts = [
            format!("Incident #{number}."),
            p.expected_effect.clone(),
            p.past.clone(),
            format!("Open until {until}; role {role}, {have} of {need} approvals."),
        ];
        let said = parts.into_iter().filter(|part| !part.trim().is_empty());
        let text = said.collect::<Vec<_>>().join(" ");
        let buttons = vec![
            of(Verb::Approve, "Approve…"),
            of(Verb::Schedule, "Schedule…"),
            of(Verb::Ignore, "Ignore…"),
        ];
        cards.push(Card { buttons, ..Card::words(p.title.clone(), text) });
    }
    Ok(cards)
}

/// A card for each change of detection that waits, with its backtest in words.
fn tunings(rows: &Rows<'_>, now: Time) -> Result<Vec<Card>, Fault> {
    let mut open = rows.list::<Tuning>(&Filter::states([TuningState::Open.as_str()]))?;
    open.retain(|t| t.expires_at > now);
    open.sort_by_key(|t| (t.expires_at, t.id));
    let card = |t: Tuning| {
        let of = |verb, label| button(verb, label, Subject::Tuning(t.id), None);
        let trial = t.trial.as_ref().map_or("", |trial| trial.text.as_str());
        let until = t.expires_at.minute_text();
        let text = format!("{} {trial} Open until {until}; role approver.", t.why);
        let buttons = vec![of(Verb::Apply, "Apply…"), of(Verb::Decline, "Decline…")];
        Card { buttons, ..Card::words(t.title.trim_end_matches('.'), text) }
    };
    Ok(open.into_iter().take(MOST_TUNINGS).map(card).collect())
}

/// A card for each pattern of alerts whose shadow is over.
fn patterns(rows: &Rows<'_>) -> Result<Vec<Card>, Fault> {
    let mut open = rows.list::<Harmless>(&Filter::states([HarmlessState::Open.as_str()]))?;
    open.sort_by_key(|p| (p.since, p.id));
    let card = |p: Harmless| {
        let of = |verb, label| button(verb, label, Subject::Harmless(p.id), None);
        let n = n_of(p.n_kept, "alert");
        let text = format!(
            "{} In shadow it would have kept {n} quiet, and no confirmed incident followed; role \
             approver.",
            p.why
        );
        let buttons = vec![of(Verb::Apply, "Confirm…"), of(Verb::Decline, "Decline…")];
        Card { buttons, ..Card::words(p.title.trim_end_matches('.'), text) }
    };
    Ok(open.into_iter().take(MOST_TUNINGS).map(card).collect())
}

/// What waits for a decision, as one card.
pub(super) fn approvals(rows: &Rows<'_>, now: Time) -> Result<Card, Fault> {
    let mut cards = offers(rows, now)?;
    cards.extend(tunings(rows, now)?);
    cards.extend(patterns(rows)?);
    if cards.is_empty() {
        return Ok(Card::words("Approvals", "Nothing waits for a decision."));
    }
    let title = format!("{} to decide on", cards.len());
    let mut whole = Card { fallback: title.clone(), ..Card::words(title, String::new()) };
    whole.blocks.clear();
    let several = cards.len() > 1;
    for (card, n) in cards.into_iter().zip(1..) {
        let text = card.fallback.trim_start_matches(&card.title).trim_start_matches(": ");
        // Chats show all buttons together: the number says which belong to what.
        let heading = if several { format!("{n}. {}", card.title) } else { card.title.clone() };
        whole.blocks.push(Block::Text {
            heading: Some(heading),
            text: text.to_owned(),
            evidence: Vec::new(),
        });
        whole.buttons.extend(card.buttons.into_iter().map(|b| match b.label.strip_suffix('…') {
            Some(word) if several => Button { label: format!("{word} {n}…"), ..b },
            _ => b,
        }));
    }
    Ok(whole)
}

/// Silences in force; of one person only, where one is given.
pub(super) fn silences(rows: &Rows<'_>, of: Option<&Actor>, now: Time) -> Result<Card, Fault> {
    let mut all = rows.list::<Silence>(&Filter::all())?;
    all.retain(|s| s.ends_at > now && of.is_none_or(|a| s.author.same_as(a)));
    all.sort_by_key(|s| (s.ends_at, s.id));
    let several = all.len() > 1;
    let numbered = |n: usize| if several { format!("{n}. ") } else { String::new() };
    let lines = (1..).zip(&all).map(|(n, s)| {
        let matchers: Vec<String> = s.matchers.iter().map(ToString::to_string).collect();
        let from = if s.starts_at > now {
            format!("from {} ", s.starts_at.minute_text())
        } else {
            String::new()
        };
        let until = s.ends_at.minute_text();
        let (n, matchers, by) = (numbered(n), matchers.join(", "), &s.author.name);
        format!("{n}{matchers} {from}until {until}, by {by}: {}", s.reason)
    });
    let ends = (1..).zip(&all).take(MOST_ENDS).map(|(n, s)| Button {
        verb: Verb::EndSilence,
        label: if several { format!("End {n}") } else { "End it".into() },
        style: Style::Danger,
        subject: Subject::Silence(s.id),
        digest: None,
    });
    let title = if of.is_some() { "Your silences" } else { "Silences in force" };
    let card = listed(title, lines.collect(), "There is none.");
    Ok(Card { buttons: ends.collect(), ..card })
}

/// Who works on what, and who may decide.
pub(super) fn on_call(rows: &Rows<'_>, desk: &Desk, now: Time) -> Result<Card, Fault> {
    let found = forms::active(rows, 100)?;
    let lines: Vec<String> = found.iter().map(|i| line(i, now)).collect();
    let mut card = listed("Who has what", lines, "No incident is active.");
    let known = people::known(rows, desk.people.as_ref())?;
    let may = known.iter().filter(|p| p.role >= Role::Approver);
    let names = may.take(MOST).map(|p| Item::plain(format!("{} ({}, {})", p.name, p.role, p.via)));
    let items: Vec<Item> = names.collect();
    if !items.is_empty() {
        card.blocks.push(Block::List { heading: Some("Known to be able to decide".into()), items });
    }
    card.footer = "No duty roster is kept here.".into();
    Ok(card)
}

/// A runbook as people read it; `None` where there is none of that id.
pub(super) fn runbook(desk: &Desk, id: &str) -> Option<Card> {
    let found = desk.workshop.as_ref()?.library.get(id.trim())?;
    let n = found.body.chars().count();
    let mut text: String = found.body.trim().chars().take(MOST_BODY).collect();
    if n > MOST_BODY {
        text.push_str(" … the console shows all of it.");
    }
    let card = Card::words(found.front.title.clone(), text);
    let footer = format!("{} · owner: {}", found.front.id, found.front.owner);
    Some(Card { fallback: card.title.clone(), footer, ..card })
}

/// A person's own page: open incidents, what waits for a decision, their silences.
pub(super) fn home(rows: &Rows<'_>, actor: &Actor, now: Time) -> Result<Vec<Card>, Fault> {
    let mut cards = vec![incidents(rows, false, now)?];
    let newest = forms::active(rows, MOST_OFFERS)?;
    cards.extend(newest.iter().map(|i| {
        let title = format!("#{} {}", i.number, i.title);
        Card { buttons: taking(i), ..Card::words(title, line(i, now)) }
    }));
    let offers = offers(rows, now)?;
    if offers.is_empty() {
        cards.push(Card::words("Approvals", "Nothing waits for a decision."));
    }
    cards.extend(offers);
    cards.push(silences(rows, Some(actor), now)?);
    Ok(cards)
}

/// Values and labels that a typed word may become, the likeliest first.
pub(super) fn complete(
    rows: &Rows<'_>,
    desk: &Desk,
    what: Completion,
    typed: &str,
    now: Time,
) -> Result<Vec<(String, String)>, Fault> {
    let known: Vec<(String, String)> = match what {
        Completion::Incident => forms::recent(rows, now)?
            .iter()
            .map(|i| (i.number.to_string(), format!("#{} {}", i.number, i.title)))
            .collect(),
        Completion::Runbook => {
            let library = desk.workshop.iter().flat_map(|w| w.library.iter());
            library.map(|r| (r.front.id.clone(), r.front.title.clone())).collect()
        }
        Completion::Service => services(rows)?.into_iter().map(|s| (s.clone(), s)).collect(),
    };
    let typed = typed.trim().to_lowercase();
    let rank = |(value, label): &(String, String)| {
        let (value, label) = (value.to_lowercase(), label.to_lowercase());
        let begins = value.starts_with(&typed) || label.starts_with(&typed);
        let holds = value.contains(&typed) || label.contains(&typed);
        if begins { Some(0) } else { holds.then_some(1) }
    };
    let mut found: Vec<_> = known.into_iter().filter_map(|k| Some((rank(&k)?, k))).collect();
    // The order in which they were known stays within a rank.
    found.sort_by_key(|(rank, _)| *rank);
    Ok(found.into_iter().take(MOST_WORDS).map(|(_, word)| word).collect())
}

/// Names of services: those in active incidents first, then by name.
fn services(rows: &Rows<'_>) -> Result<Vec<String>, Fault> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |entity: &EntityRef| {
        if entity.is_service() && !names.iter().any(|n| n == entity.name()) {
            names.push(entity.name().to_owned());
        }
    };
    forms::active(rows, 100)?.iter().flat_map(|i| &i.entities).for_each(&mut add);
    let mut graph: Vec<EntityRef> =
        rows.list::<Edge>(&Filter::all())?.into_iter().flat_map(|e| [e.from, e.to]).collect();
    graph.sort();
    graph.dedup();
    graph.iter().for_each(&mut add);
    Ok(names)
}
