//! The same fault at a first look: what is there five seconds after the first alert.

use super::Made;
use crate::diagnose::asked::demands;
use crate::diagnose::tests::*;
use crate::diagnose::weigh::{Scene, weigh};
use crate::diagnose::weighed;

/// A first look comes so long (s) after the first alert.
const LOOKS_S: i64 = 5;
/// Series tell nothing before they have so much (s) since the onset, as live.
const SERIES_S: i64 = 30;
/// Calls are counted by whole minutes after that of the onset; of requests about as many are needed.
const CALLS_S: i64 = 75;

/// Series as they are stored, and whose they are.
pub(super) struct Stored {
    pub entities: Vec<EntityRef>,
    pub scene: Scene,
}

impl Stored {
    /// What the weighing makes of them.
    pub(super) fn weighed(&self) -> (Standings, Demands) {
        let demands = demands(&self.entities, &self.scene, at(0));
        let verdict = weigh(self.scene.clone());
        (weighed::standings(&self.entities, &verdict), demands)
    }

    /// Those of entities near `suspects`, up to `until` (s).
    fn up_to(&self, input: &Input, until: f64) -> Self {
        let mut suspects: Vec<EntityRef> = input.alerts.iter().map(|a| a.entity.clone()).collect();
        suspects.dedup();
        let mut entities = weighed::nearby(&input.graph, &suspects);
        entities.retain(|e| self.entities.contains(e));
        let place = |e: &EntityRef| entities.iter().position(|n| n == e);
        let now = |old: usize| place(&self.entities[old]);
        let mut scene = Scene {
            services: entities.iter().map(|e| e.name().to_owned()).collect(),
            step: self.scene.step,
            ..Scene::default()
        };
        let calls = self.scene.calls.iter();
        scene.calls = calls.filter_map(|(a, b)| Some((now(*a)?, now(*b)?))).collect();
        scene.symptom = weighed::symptom(&input.incident, &input.alerts)
            .and_then(|(e, kind)| Some((place(e)?, kind)));
        for series in &self.scene.series {
            let Some(service) = now(series.service) else { continue };
            let mut cut = series.clone();
            cut.service = service;
            cut.points.retain(|(t, _)| *t <= until);
            scene.series.push(cut);
        }
        Self { entities, scene }
    }
}

/// What is there when an incident is looked at for the first time.
pub(in crate::diagnose::tests) fn first_look(made: &Made) -> Input {
    let all = &made.input;
    let told = all.alerts.iter().map(|a| a.starts_at).min().expect("there are alerts");
    let now = told.plus_ms(LOOKS_S * SECOND_MS);
    let alerts: Vec<Alert> = all.alerts.iter().filter(|a| a.starts_at <= now).cloned().collect();
    let mut early = input(all.graph.clone(), alerts, all.changes.clone());
    let felt = |a: &&Alert| matches!(a.indicator, Some(Indicator::Duration | Indicator::Errors));
    let top = early.alerts.iter().filter(felt).min_by(|a, b| a.entity.cmp(&b.entity));
    early.incident.leading = top.map(|a| a.id).or(early.incident.leading);
    early.early = true;
    let known = |e: &EntityRef| early.alerts.iter().any(|a| a.entity == *e);
    early.onsets =
        all.onsets.iter().filter(|(e, _)| known(e)).map(|(e, t)| (e.clone(), *t)).collect();
    early.measured.clone_from(&all.measured);
    early.logs.clone_from(&all.logs);
    for signs in early.logs.values_mut() {
        signs.retain(|sign| sign.first_at <= now);
    }
    early.logs.retain(|_, signs| !signs.is_empty());
    early.similar.clone_from(&all.similar);
    let first = early.onsets.values().min().copied().unwrap_or(told);
    let passed = now.ms_since(first) / SECOND_MS;
    if passed >= CALLS_S {
        early.calls.clone_from(&all.calls);
        early.separates.clone_from(&all.separates);
    }
    if let Some(stored) = made.stored.as_ref().filter(|_| passed >= SERIES_S) {
        let until = now.ms_since(at(0)) as f64 / 1e3;
        (early.weighed, early.demands) = stored.up_to(&early, until).weighed();
    }
    early
}
