//! `nightjar replay`: one scenario of the demo's shop through the whole bot, as fast as the
//! machine allows, without a browser; what was seen is held against what the scenario expects.
//!
//! Nothing acts by itself here either: `--approve` is the person at the terminal who presses the
//! button of the first suggestion, and is recorded as such.

mod verdict;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use super::demo::Play;
use super::{DemoOptions, MetricsText, asked_to_end, finish, say};
use crate::chat::Message;
use crate::command::Desk;
use crate::config::Config;
use crate::demo::scenario::{Scenario, scenario, scenarios};
use crate::model::time::{MINUTE_MS, SECOND_MS};
use crate::model::{
    Actor, Clock as _, Diagnosis, EntryId, EntryKind, Fault, Incident, IncidentState, Proposal,
    ProposalState, Role, Run, Time, TimelineEntry,
};
use crate::remediate::recovered_at;
use crate::store::{Filter, Rows};

use verdict::Seen;

/// Event time after which nothing new is expected of a harmless scenario.
const CALM_MS: i64 = 15 * MINUTE_MS;
/// Event time beyond the bounds for which an expectation is waited for.
const PATIENCE_MS: i64 = 40 * MINUTE_MS;
/// How often the store is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How a scenario is replayed.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// Which scenario.
    pub scenario: String,
    /// Event seconds per real second, at most.
    pub speed: f64,
    /// Everything random follows from it.
    pub seed: u64,
    /// Approve the first suggestion, as the person at the terminal.
    pub approve: bool,
    /// Write one JSON object instead of text.
    pub json: bool,
    /// Keep the store here instead of throwing it away.
    pub data_dir: Option<std::path::PathBuf>,
}

/// Replays a scenario; says whether everything was as expected.
///
/// # Errors
/// The scenario is unknown, the store can't be opened, or the process is asked to end before.
pub async fn replay(options: ReplayOptions, metrics: MetricsText) -> anyhow::Result<bool> {
    let known = || scenarios().iter().map(|s| s.key.as_str()).collect::<Vec<_>>().join(", ");
    let Some(chosen) = scenario(&options.scenario) else {
        anyhow::bail!("there is no scenario `{}`; there are: {}", options.scenario, known());
    };
    let scratch = Scratch::new(options.data_dir.clone())?;
    let quiet = options.json;
    let told = move |text: &str| {
        if !quiet {
            say(text);
        }
    };
    told(&format!("{}\n{}\n\n", chosen.title, chosen.story.trim()));
    let demo = DemoOptions {
        speed: options.speed,
        scenario: Some(options.scenario.clone()),
        seed: options.seed,
        port: 0,
        data_dir: scratch.folder.clone(),
        browser: false,
        settings: Config::default(),
    };
    let started = Instant::now();
    let play = Play::ready(&demo, metrics, told).await?;
    play.go(options.speed);
    let mut watch = Watch::new(chosen, options.approve, play.clock.now());
    let ended = tokio::select! {
        over = watch.until_over(&play, &told) => over.map(|()| true),
        asked = asked_to_end() => asked.map(|()| false),
    };
    watch.seen.wall_s = started.elapsed().as_secs_f64();
    finish(play.app).await;
    anyhow::ensure!(ended?, "ended before the scenario was over");
    let checks = verdict::judge(chosen, &watch.seen, options.approve);
    let met = checks.iter().all(|c| c.met);
    if options.json {
        let all = json!({
            "scenario": chosen.key, "seed": options.seed, "met": met, "checks": checks,
            "seen": watch.seen,
        });
        say(&format!("{all:#}\n"));
    } else {
        say(&format!("\n{}", verdict::render(&watch.seen, &checks)));
    }
    Ok(met)
}

/// The folder of the store: the given one, or one that goes when this does.
struct Scratch {
    folder: std::path::PathBuf,
    goes: bool,
}

impl Scratch {
    fn new(given: Option<std::path::PathBuf>) -> anyhow::Result<Self> {
        let goes = given.is_none();
        let own = || {
            let name = format!("nightjar-replay-{}", crate::command::secret::random());
            std::env::temp_dir().join(name)
        };
        let folder = given.unwrap_or_else(own);
        anyhow::ensure!(
            !folder.join("nightjar.sqlite").exists(),
            "{} holds a store already; a replay needs an empty folder",
            folder.display()
        );
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, goes })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.goes {
            std::fs::remove_dir_all(&self.folder).ok();
        }
    }
}

/// One look at the store.
struct Look {
    incidents: Vec<Incident>,
    entries: Vec<TimelineEntry>,
    card_at: Option<Time>,
    diagnosis: Option<Diagnosis>,
    proposals: Vec<Proposal>,
    run: Option<Run>,
    recovered_at: Option<Time>,
}

fn look(rows: &Rows<'_>, since: Time, now: Time) -> Result<Look, Fault> {
    let mut incidents = rows.list::<Incident>(&Filter::all())?;
    incidents.retain(|i| i.opened_at >= since && i.merged_into.is_none());
    incidents.sort_by_key(|i| i.number);
    let mut entries = Vec::new();
    for incident in &incidents {
        entries.extend(rows.list::<TimelineEntry>(&Filter::parent(incident.id))?);
    }
    let Some(first) = incidents.first().map(|i| i.id) else {
        let (card_at, diagnosis, run, recovered_at) = (None, None, None, None);
        let proposals = Vec::new();
        return Ok(Look { incidents, entries, card_at, diagnosis, proposals, run, recovered_at });
    };
    let own = Filter::parent(first);
    let cards = rows.list::<Message>(&Filter::all())?;
    let mine = cards.iter().filter(|m| m.incident == Some(first) && m.thread.is_none());
    let card_at = mine.map(|m| m.at).min();
    let mut proposals = rows.list::<Proposal>(&own)?;
    proposals.sort_by(Proposal::shown_before);
    let run = rows.list::<Run>(&own)?.into_iter().next();
    let diagnosis = rows.get::<Diagnosis>(first)?;
    let recovered_at = match &run {
        Some(run) => recovered_at(rows, run, now)?,
        None => None,
    };
    Ok(Look { incidents, entries, card_at, diagnosis, proposals, run, recovered_at })
}

/// Follows one scenario to its end.
struct Watch {
    scenario: &'static Scenario,
    approve: bool,
    start: Time,
    seen: Seen,
    told: BTreeSet<EntryId>,
    cause_since: Option<Time>,
}

impl Watch {
    fn new(scenario: &'static Scenario, approve: bool, start: Time) -> Self {
        let approve = approve && scenario.expected.opens();
        let (seen, told) = (Seen::default(), BTreeSet::new());
        Self { scenario, approve, start, seen, told, cause_since: None }
    }

    async fn until_over(&mut self, play: &Play, told: &impl Fn(&str)) -> anyhow::Result<()> {
        let store = play.app.store.clone();
        let desk = Desk::new(store.clone(), play.app.bus.clone(), play.app.clock.clone());
        loop {
            tokio::time::sleep(LOOK).await;
            let now = play.clock.now();
            let world = play.shop.world();
            // What the shop's own rhythm brings begins with the replay.
            let injected = world.episodes().first().map(|e| e.from);
            let began = if self.scenario.has_effect() { injected } else { Some(self.start) };
            let Some(began) = began else { continue };
            let found = store.read(move |r| look(r, began, now)).await?;
            self.note(&found, began, now, told);
            if self.approve {
                self.press(&desk, &found).await?;
            }
            if self.is_over(&found, began, now) {
                return Ok(());
            }
        }
    }

    fn note(&mut self, found: &Look, began: Time, now: Time, told: &impl Fn(&str)) {
        let after = |at: Time| at.ms_since(began) as f64 / 1_000.0;
        for entry in &found.entries {
            if self.told.insert(entry.id) && entry.kind != EntryKind::Alert {
                told(&format!("{:>7.0} s  {}\n", after(entry.at), entry.text));
            }
        }
        let seen = &mut self.seen;
        seen.n_incidents = found.incidents.len();
        seen.n_reports = found.incidents.first().map_or(0, |i| i.n_reports);
        seen.message_after_s = found.card_at.map(after);
        let first = found.diagnosis.as_ref().and_then(|d| d.hypotheses.first());
        seen.cause = first.map(|h| h.entity.to_string());
        seen.pattern = first.map(|h| h.pattern.clone());
        seen.confidence = first.map(|h| h.confidence);
        let is_right = seen.cause.is_some() && seen.cause == self.scenario.expected.cause;
        let at = found.diagnosis.as_ref().map_or(now, |d| d.at);
        self.cause_since = is_right.then(|| self.cause_since.unwrap_or(at));
        seen.cause_after_s = self.cause_since.map(after);
        let suggested = found.proposals.first();
        if let (None, Some(p)) = (&seen.suggestion, suggested) {
            seen.suggestion = Some(format!("{}/{}", p.plan.runbook, p.plan.action));
        }
        seen.suggestion_after_s = found.proposals.iter().map(|p| p.created_at).min().map(after);
        if let Some(run) = &found.run {
            seen.effect = run.outcome.as_ref().map(|o| o.effect);
            seen.outcome = run.outcome.as_ref().map(|o| o.text.clone());
            let since = |end: Time, run: Time| end.ms_since(run) as f64 / 1_000.0;
            let back = found.recovered_at.zip(run.finished_at);
            seen.recovered_after_s = back.map(|(end, run)| since(end, run));
            let resolved = found.incidents.first().and_then(|i| i.resolved_at);
            seen.resolved_after_s = resolved.zip(run.finished_at).map(|(end, run)| since(end, run));
        }
    }

    /// Approves the first suggestion once, as the person at the terminal.
    async fn press(&mut self, desk: &Desk, found: &Look) -> anyhow::Result<()> {
        let open = found.proposals.iter().find(|p| p.state == ProposalState::Open);
        let Some(first) = open.filter(|_| self.seen.approved.is_none()) else { return Ok(()) };
        let (via, name) = ("cli".to_owned(), "terminal".to_owned());
        let actor = Actor { via, id: name.clone(), name, role: Role::Approver };
        let digest = first.digest.to_string();
        match desk.approve(&actor, first.id, &digest, "replay --approve").await {
            Ok(_) => self.seen.approved = Some(first.title.clone()),
            // It changed since the look; the next look sees what it is now.
            Err(crate::command::Problem::Refused(why)) => {
                tracing::info!(reason = %why, "the first suggestion can't be approved yet");
            }
            Err(crate::command::Problem::Fault(fault)) => return Err(fault.into()),
        }
        Ok(())
    }

    fn is_over(&self, found: &Look, began: Time, now: Time) -> bool {
        let passed = now.ms_since(began);
        let onset = &self.scenario.onset;
        if !self.scenario.expected.opens() {
            return passed > (onset.lasts_s * 1e3) as i64 + CALM_MS;
        }
        let bounds = &self.scenario.expected;
        let within = bounds.message_within_s + bounds.recover_within_s;
        if passed > i64::from(within) * SECOND_MS + PATIENCE_MS {
            return true;
        }
        if self.approve {
            let over = found.incidents.first().map(|i| i.state);
            return self.seen.effect.is_some() && over == Some(IncidentState::Resolved);
        }
        self.seen.message_after_s.is_some()
            && self.cause_since.is_some()
            && !found.proposals.is_empty()
            && self.seen.n_reports >= bounds.min_reports
    }
}
