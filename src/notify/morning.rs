//! The summary at the end of quiet hours: what waited, and what of it is over, as one message for
//! each channel. Pure but for what it reads and wants in the store.
//!
//! What goes on, or ended within the hour, gets its own card right after; the summary is where people
//! hear of what was over before anybody was told.

use std::collections::BTreeMap;

use super::pace::{Pace, waits};
use super::stage::{CONSOLE, Platform, card_key};
use crate::chat::{Block, Card, Content, Item, Mark, Post, Urgency, Within};
use crate::model::figure::n_of;
use crate::model::time::{DAY_MS, duration_text};
use crate::model::{Fault, Incident, IncidentId, IncidentState, Severity, Time};
use crate::store::{Filter, Rows, Tx};

/// What quiet hours say of themselves in [`Suppression::by`](crate::model::alert::Suppression::by).
pub(super) const QUIET: &str = "quiet-hours ";
/// Of what is over, what began so long ago at most (ms) is looked at, and so many of these.
const LONGEST_MS: i64 = 8 * DAY_MS;
const MOST_OVER: usize = 5_000;
/// Incidents in one list of a summary.
const MOST: usize = 20;
/// Characters of a title.
const TITLE: usize = 120;

/// What quiet hours held back that are over now.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// By the hours' name and end.
    by_hours: BTreeMap<(String, Time), Vec<Incident>>,
    /// When the next hours end that hold something, if some do.
    pub(super) next: Option<Time>,
}

impl Held {
    /// Reads it.
    pub(super) fn read(rows: &Rows<'_>, pace: &Pace, now: Time) -> Result<Self, Fault> {
        let mut held = Self::default();
        let states = [IncidentState::Resolved, IncidentState::Reviewed, IncidentState::Merged];
        let over = Filter::states(states.map(IncidentState::as_str));
        let over = over.since(now.plus_ms(-LONGEST_MS)).newest(MOST_OVER);
        let active = IncidentState::ACTIVE;
        let mut all = rows.list::<Incident>(&Filter::states(active.map(IncidentState::as_str)))?;
        all.extend(rows.list::<Incident>(&over)?);
        for incident in all {
            let Some(why) = &incident.untold else { continue };
            let (Some(name), Some(until)) = (why.by.strip_prefix(QUIET), why.until) else {
                continue;
            };
            // Hours that go over into each other hold it on.
            let still = waits(pace, &incident, 0, now).filter(|w| w.by.starts_with(QUIET));
            if let Some(until) = still.and_then(|w| w.until) {
                held.next = Some(held.next.map_or(until, |next| next.min(until)));
            } else if Self::is_summed_up(&incident, now) {
                held.by_hours.entry((name.to_owned(), until)).or_default().push(incident);
            }
        }
        Ok(held)
    }

    /// Whether an incident that nothing holds back any more is in a summary: the quiet hours that held
    /// it are over, and it did not become part of another.
    pub(super) fn is_summed_up(incident: &Incident, now: Time) -> bool {
        incident.state != IncidentState::Merged
            && incident.untold.as_ref().is_some_and(|why| {
                why.by.starts_with(QUIET) && why.until.is_some_and(|until| until <= now)
            })
    }

    /// The incidents that no quiet hours hold back any more.
    pub(super) fn over(&self) -> Vec<IncidentId> {
        self.by_hours.values().flatten().map(|i| i.id).collect()
    }

    /// Wants the summaries, each once; says how many are new.
    pub(super) fn want(
        &self,
        tx: &Tx<'_>,
        platforms: &[Platform],
        console: Option<&str>,
        now: Time,
    ) -> Result<u64, Fault> {
        let mut n = 0;
        for ((name, until), incidents) in &self.by_hours {
            for platform in platforms.iter().filter(|p| p.name != CONSOLE) {
                let mut by_channel: BTreeMap<&str, Vec<&Incident>> = BTreeMap::new();
                for incident in incidents {
                    // Told here before another platform was there to wait.
                    if tx.get::<Post>(Post::row(&platform.name, &card_key(incident.id)))?.is_some()
                    {
                        continue;
                    }
                    let channel = platform.routing.channel_of(incident);
                    by_channel.entry(channel).or_default().push(incident);
                }
                for (channel, mut own) in by_channel {
                    let key = format!("quiet-hours/{name}/{}/{channel}", until.ms());
                    let is_known = tx.get::<Post>(Post::row(&platform.name, &key))?.is_some();
                    // One that goes on is told by its own card, and needs no list.
                    if is_known || own.len() == 1 && own[0].state.is_active() {
                        continue;
                    }
                    own.sort_by_key(|i| (std::cmp::Reverse(i.severity), i.onset_at, i.id));
                    let card = summary((name, *until), &own, now);
                    let url = console.map(|at| format!("{at}/#/incidents"));
                    let content = Content::card(Card { url, ..card });
                    let place = (platform.name.as_str(), channel);
                    let post = Post::new(key, place, Within::Channel, content, now);
                    n += u64::from(Post { urgency: Urgency::Opening, ..post }.want(tx)?);
                }
            }
        }
        Ok(n)
    }
}

/// The card of what waited in one channel, the most severe first.
fn summary((name, until): (&str, Time), incidents: &[&Incident], now: Time) -> Card {
    let (on, over): (Vec<&Incident>, Vec<&Incident>) =
        incidents.iter().partition(|i| i.state.is_active());
    let waited = n_of(incidents.len() as u64, "incident");
    let title = format!("{waited} waited for the end of the quiet hours \"{name}\"");
    let mut blocks = Vec::new();
    for (heading, of) in [("Still going on", &on), ("Over by now", &over)] {
        if of.is_empty() {
            continue;
        }
        let mut items: Vec<Item> =
            of.iter().take(MOST).map(|i| Item::plain(line(i, now))).collect();
        if of.len() > MOST {
            items.push(Item::plain(format!(
                "… and {} more; the console shows all.",
                of.len() - MOST
            )));
        }
        blocks.push(Block::List { heading: Some(heading.into()), items });
    }
    Card {
        mark: Mark::Plain,
        context: format!("until {}", until.minute_text()),
        blocks,
        footer: "What goes on, or ended within the last hour, has a message of its own.".into(),
        fallback: format!("{title}: {} of them {} over.", over.len(), is(over.len())),
        ..Card::words(title, "")
    }
}

fn is(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

fn line(incident: &Incident, now: Time) -> String {
    let severity = match incident.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let title: String = incident.title.chars().take(TITLE).collect();
    let since = incident.onset_at.minute_text();
    let lasted = duration_text(incident.resolved_at.unwrap_or(now).ms_since(incident.onset_at));
    let how = match &incident.category {
        Some(category) if !incident.state.is_active() => {
            format!(", {}", category.replace('_', " "))
        }
        _ => String::new(),
    };
    format!("#{} {title} ({severity}, {lasted} since {since}{how})", incident.number)
}
