//! Who can be given an incident: people who have a key here, and people who spoke in a chat.

use std::sync::Arc;

use crate::chat::Kept;
use crate::model::{Actor, Fault, Role};
use crate::store::{Filter, Rows};

/// People who have a key here (a session, an API token), read from the store.
pub type People = Arc<dyn Fn(&Rows<'_>) -> Result<Vec<Actor>, Fault> + Send + Sync>;

/// Things said that are looked through for people.
const SPOKEN: usize = 1_000;

/// Everybody who may have an incident, each once, by name.
pub(super) fn known(rows: &Rows<'_>, keyed: Option<&People>) -> Result<Vec<Actor>, Fault> {
    let mut people = keyed.map(|read| read(rows)).transpose()?.unwrap_or_default();
    // Newest first: the name and the role that somebody has now.
    let spoken = rows.list::<Kept>(&Filter::all().newest(SPOKEN))?;
    let spoken = spoken.into_iter().map(|kept| kept.inbound).filter(|i| !i.unresolved);
    for actor in spoken.map(|inbound| inbound.actor) {
        if !people.iter().any(|known| known.same_as(&actor)) {
            people.push(actor);
        }
    }
    people.retain(|p| p.role >= Role::Responder && !p.is_bot());
    people.sort_by(|a, b| (&a.name, &a.via, &a.id).cmp(&(&b.name, &b.via, &b.id)));
    people.dedup_by(|a, b| a.same_as(b));
    Ok(people)
}
