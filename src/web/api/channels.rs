//! Channels of the console, and which incidents are told in which.

use axum::Json;
use axum::extract::State as Shared;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, State, VIEWER, thread};
use crate::chat::{Channel, Message};
use crate::model::{Fault, Incident, IncidentState, Time};
use crate::store::{Filter, Rows};
use crate::web::table::Route;

/// Messages that are looked through for the incidents of a channel: twice what one answer carries.
const MOST_ROOTS: usize = 2_000;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/channels", VIEWER, "Channels, by name", list).gives::<Channels>()]
}

/// Channels in order of their names.
#[derive(Serialize, ToSchema)]
struct Channels {
    channels: Vec<Known>,
}

/// A channel with what stands in it.
#[derive(Serialize, ToSchema)]
struct Known {
    /// Its name.
    name: String,
    /// What it is for.
    topic: String,
    /// Incidents told in it that people still work on.
    n_active: u64,
    /// When the newest message was written that everybody sees.
    newest_at: Option<Time>,
}

/// The states of incidents that people still work on.
pub(super) fn active() -> Filter {
    Filter::states(IncidentState::ACTIVE.map(IncidentState::as_str))
}

async fn list(Shared(state): Shared<State>) -> Answer<Channels> {
    let channels = state.shared.store.read(|r| {
        let mut known = Vec::new();
        for channel in r.list::<Channel>(&Filter::all())? {
            let seen = Filter {
                states: vec!["root".into(), "reply".into()],
                ..Filter::parent(&channel.name)
            };
            let newest = r.list::<Message>(&seen.newest(1))?.pop();
            let Channel { name, topic, .. } = channel;
            known.push(Known { name, topic, n_active: 0, newest_at: newest.map(|m| m.at) });
        }
        known.sort_by(|a, b| a.name.cmp(&b.name));
        for incident in r.list::<Incident>(&active())? {
            let card = r.get::<Message>(thread::root(incident.id))?;
            let told = card.and_then(|m| known.iter_mut().find(|k| k.name == m.channel));
            if let Some(channel) = told {
                channel.n_active += 1;
            }
        }
        Ok(known)
    });
    Ok(Json(Channels { channels: channels.await? }))
}

/// The incidents whose cards stand in a channel, as far as the filter takes them: newest first,
/// like every list of incidents.
pub(super) fn incidents_of(
    rows: &Rows<'_>,
    channel: &str,
    filter: &Filter,
) -> Result<Vec<Incident>, Fault> {
    let roots = Filter { states: vec!["root".into()], ..Filter::parent(channel) };
    let mut found = Vec::new();
    for message in rows.list::<Message>(&roots.newest(MOST_ROOTS))? {
        let card = message.incident.filter(|id| thread::root(*id) == message.id);
        found.extend(card.map(|id| rows.get::<Incident>(id)).transpose()?.flatten());
    }
    let state = |i: &Incident| {
        filter.states.is_empty() || filter.states.iter().any(|s| s == i.state.as_str())
    };
    found.retain(|i| state(i) && filter.until.is_none_or(|until| i.opened_at < until));
    found.sort_by_key(|i| std::cmp::Reverse((i.opened_at, i.id)));
    found.truncate(filter.limit);
    Ok(found)
}
