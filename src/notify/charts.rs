//! The chart as a picture in the thread, for platforms that can't draw it themselves.
//!
//! A stage of its own, so that no card waits for a picture. Takes incidents with a diagnosis, gives
//! one file for each platform and revision of what the chart shows; hears `Diagnosis`, `Run` and
//! `Incident`, rings `Outbox`. A revision is another leading signal, other changes, a run that was
//! measured, or the end; points alone make none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::card::chart_alt;
use super::rooms::room_key;
use super::stage::{Platform, Stamp, card_key, due};
use crate::bus::{Bus, Event};
use crate::chart::{self, Chart, Theme};
use crate::chat::room::RoomState;
use crate::chat::{Content, Post, PostState, Room, StoredFile, Urgency, Within};
use crate::model::{Diagnosis, Fault, Incident, IncidentId, MessageId, Run, SharedClock, Time};
use crate::notify::picture;
use crate::stage::Stage;
use crate::store::{Filter, Rows, Store, Tx};

/// Pictures drawn in one sweep; each takes tens of milliseconds.
const ROUND: usize = 4;
/// Times the nominal size that a picture is drawn at: sharp on dense screens.
const SCALE: f32 = 2.0;

/// The charts stage.
pub struct Charts {
    store: Store,
    bus: Bus,
    clock: SharedClock,
    /// Names of the platforms that need pictures.
    platforms: Vec<String>,
    /// What each incident was like when its picture was last looked at. Only saves work.
    seen: BTreeMap<IncidentId, Seen>,
    /// Whose picture could not be drawn when it was last tried.
    failed: BTreeSet<IncidentId>,
}

/// How an incident stood, and how many messages its picture hangs on: a room may come later.
type Seen = (Stamp, usize);

/// A message that the picture hangs on: its key, and what the picture's key begins with.
struct Root {
    key: String,
    prefix: String,
}

/// A picture that is to be drawn.
struct Due {
    incident: Incident,
    chart: Chart,
    revision: String,
}

impl Charts {
    /// The stage over a store; platforms that draw charts themselves are left out.
    #[must_use]
    pub fn new(store: Store, bus: Bus, clock: SharedClock, platforms: &[Platform]) -> Self {
        let needy = platforms.iter().filter(|p| p.charts_as_files);
        let platforms = needy.map(|p| p.name.clone()).collect();
        Self { store, bus, clock, platforms, seen: BTreeMap::new(), failed: BTreeSet::new() }
    }

    /// Draws an incident's chart where a platform lacks it; says whether it did.
    async fn draw(&mut self, id: IncidentId) -> Result<bool, Fault> {
        let (names, known) = (self.platforms.clone(), self.seen.get(&id).cloned());
        let now = self.clock.now();
        let read = move |r: &Rows<'_>| look(r, id, known.as_ref(), (&names, now));
        let Some((stamp, due)) = self.store.read(read).await? else { return Ok(false) };
        let Some(due) = due else {
            self.seen.insert(id, stamp);
            return Ok(false);
        };
        let chart = due.chart.clone();
        let draw = move || chart::png(&chart::svg(&chart, Theme::Light), SCALE);
        let drawn = tokio::task::spawn_blocking(draw).await;
        let png = drawn.map_err(|e| Fault::permanent("a chart can't be drawn", e))??;
        let names = self.platforms.clone();
        let write =
            move |tx: &Tx<'_>| names.iter().try_for_each(|name| due.want(tx, name, (&png, now)));
        self.store.write(write).await?;
        metrics::counter!("nightjar_notify_charts_total").increment(1);
        self.bus.publish(Event::Outbox);
        self.seen.insert(id, stamp);
        Ok(true)
    }
}

/// How the incident stands and the picture that a platform lacks; `None` where there is no such
/// incident, or nothing differs from `known`.
fn look(
    rows: &Rows<'_>,
    id: IncidentId,
    known: Option<&Seen>,
    (names, now): (&[String], Time),
) -> Result<Option<(Seen, Option<Due>)>, Fault> {
    let Some(incident) = rows.get::<Incident>(id)? else { return Ok(None) };
    let mut n_roots = 0;
    for name in names {
        n_roots += roots(rows, name, id)?.len();
    }
    let stamp = (Stamp::of(rows, &incident)?, n_roots);
    if known == Some(&stamp) {
        return Ok(None);
    }
    let Some(diagnosis) = rows.get::<Diagnosis>(id)? else { return Ok(Some((stamp, None))) };
    let Some(leading) = diagnosis.charts.first() else { return Ok(Some((stamp, None))) };
    let runs = rows.list::<Run>(&Filter::parent(id))?;
    let revision = revision(&incident, &diagnosis, &runs);
    let mut lacking = false;
    for name in names {
        let is_told = rows.get::<Post>(Post::row(name, &card_key(id)))?.is_some();
        if !is_told && incident.state.is_active() {
            // Its card is not wanted yet: it is looked at again.
            return Ok(None);
        }
        for root in roots(rows, name, id)? {
            lacking |= lacks(rows, name, &root, &revision)?.is_some();
        }
    }
    let chart = if lacking { picture(rows, *leading, now)? } else { None };
    Ok(Some((stamp, chart.map(|chart| Due { incident, chart, revision }))))
}

/// Names what a chart shows, points aside.
fn revision(incident: &Incident, diagnosis: &Diagnosis, runs: &[Run]) -> String {
    let mut parts: Vec<String> = diagnosis.charts.iter().take(1).map(ToString::to_string).collect();
    parts.extend(diagnosis.changes.iter().map(|c| c.id.to_string()));
    parts.extend(runs.iter().filter(|r| r.outcome.is_some()).map(|r| r.id.to_string()));
    parts.extend(incident.resolved_at.map(|_| "over".to_owned()));
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    MessageId::derive(Time::MIN, &parts).short()
}

/// The messages of an incident on a platform that its picture hangs on: the card, and the one in
/// the incident's own channel.
fn roots(rows: &Rows<'_>, name: &str, id: IncidentId) -> Result<Vec<Root>, Fault> {
    let mut roots = vec![Root { key: card_key(id), prefix: format!("{id}/chart/") }];
    let room = rows.get::<Room>(Room::row(name, id))?;
    if room.is_some_and(|r| r.channel.is_some() && r.state != RoomState::Closed) {
        roots.push(Root { key: room_key(id), prefix: format!("{id}/room-chart/") });
    }
    Ok(roots)
}

/// The key that a revision is to have on a platform, and the post that it takes the place of;
/// `None` where the platform has it, or has no card to hang it on.
fn lacks(
    rows: &Rows<'_>,
    name: &str,
    root: &Root,
    revision: &str,
) -> Result<Option<(String, Option<Post>)>, Fault> {
    if rows.get::<Post>(Post::row(name, &root.key))?.is_none() {
        return Ok(None);
    }
    let key = |n: u32| format!("{}{n}", root.prefix);
    let (mut n, mut newest) = (1, None);
    while let Some(post) = rows.get::<Post>(Post::row(name, &key(n)))? {
        (n, newest) = (n + 1, Some(post));
    }
    let Some(newest) = newest else { return Ok(Some((key(n), None))) };
    if matches!(&newest.content, Content::File { file, .. } if file.ends_with(revision)) {
        return Ok(None);
    }
    let untried = matches!(newest.state, PostState::Waiting | PostState::Due);
    if untried && newest.n_tries == 0 && newest.place.is_none() {
        return Ok(Some((newest.key.clone(), Some(newest))));
    }
    Ok(Some((key(n), None)))
}

impl Due {
    /// Keeps the picture and wants it in the incident's thread, in place of an older one that was
    /// not sent yet.
    fn want(&self, tx: &Tx<'_>, name: &str, (png, now): (&[u8], Time)) -> Result<(), Fault> {
        let roots = roots(tx, name, self.incident.id)?;
        roots.iter().try_for_each(|root| self.want_beneath(tx, name, root, (png, now)))
    }

    fn want_beneath(
        &self,
        tx: &Tx<'_>,
        name: &str,
        root: &Root,
        (png, now): (&[u8], Time),
    ) -> Result<(), Fault> {
        let id = self.incident.id;
        let Some((key, before)) = lacks(tx, name, root, &self.revision)? else { return Ok(()) };
        if let Some(Post { content: Content::File { file, .. }, .. }) = &before {
            tx.remove::<StoredFile>(file)?;
        }
        let Some(card) = tx.get::<Post>(Post::row(name, &root.key))? else { return Ok(()) };
        // The row's name in front says that the bytes may go once they stand.
        let file = format!("{}#{}", Post::row(name, &key), self.revision);
        tx.put(&StoredFile::new(&file, "image/png", png, now))?;
        let content = Content::File {
            name: format!("incident-{}.png", self.incident.number),
            media_type: "image/png".into(),
            alt: chart_alt(&self.incident),
            file,
        };
        let is_first = key.ends_with("/1");
        let within = Within::Post(root.key.clone());
        let post = Post::new(key, (name, &card.channel), within, content, now);
        let urgency = if is_first { Urgency::Delta } else { Urgency::Cosmetic };
        Post { urgency, incident: Some(id), ..post }.want(tx).map(|_| ())
    }
}

impl Stage for Charts {
    const NAME: &'static str = "charts";
    const SWEEP: Duration = Duration::from_secs(5);

    fn wants(&self, event: &Event) -> bool {
        let shows = matches!(event, Event::Incident(_) | Event::Diagnosis(_) | Event::Run(_));
        shows && !self.platforms.is_empty()
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        if self.platforms.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let ids = self.store.read(move |r| due(r, now)).await?;
        self.seen.retain(|id, _| ids.contains(id));
        self.failed.retain(|id| ids.contains(id));
        let (mut n_drawn, mut failed) = (0, None);
        // What failed last is tried last: it holds up no other chart.
        let (later, first): (Vec<_>, Vec<_>) =
            ids.into_iter().partition(|id| self.failed.contains(id));
        for id in first.into_iter().chain(later) {
            match self.draw(id).await {
                Ok(drawn) => {
                    self.failed.remove(&id);
                    n_drawn += usize::from(drawn);
                }
                // A failed try costs as much as a picture.
                Err(fault) => {
                    metrics::counter!("nightjar_notify_charts_failed_total").increment(1);
                    tracing::warn!(incident.id = %id, error = fault.chain(), "no chart was drawn");
                    self.failed.insert(id);
                    n_drawn += 1;
                    failed.get_or_insert(fault);
                }
            }
            if n_drawn == ROUND {
                break;
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn handle(&mut self, event: Event) -> Result<(), Fault> {
        let id = match event {
            Event::Incident(id) | Event::Diagnosis(id) => Some(id),
            Event::Run(id) => {
                let run = self.store.read(move |r| r.get::<Run>(id)).await?;
                run.map(|r| r.incident)
            }
            _ => None,
        };
        match id {
            Some(id) => self.draw(id).await.map(|_| ()),
            None => Ok(()),
        }
    }
}
