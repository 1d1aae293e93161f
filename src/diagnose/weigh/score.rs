//! The score: what speaks for each candidate, added up.

use super::departures::{Found, departures};
use super::effect::Effect;
use super::lines::{Told, told};
use super::onset::onset;
use super::requests::{Requests, requests};
use super::times::{Times, children, times};
use super::{Kind, Part, Scene, Verdict, Weighed, belief, words};

/// Weights of the parts, by kind of series.
const SERIES: [(Kind, f64); 6] = [
    (Kind::Cpu, 6.0),
    (Kind::Memory, 4.0),
    (Kind::Disk, 3.5),
    (Kind::Network, 1.5),
    (Kind::Traffic, 2.0),
    (Kind::Other, 1.0),
];
const LATENCY: f64 = 7.5;
const FAILURES: f64 = 6.5;
const SHARE: f64 = 5.0;
const OWN_TIME: f64 = 4.0;
const WAY: f64 = 7.0;
const STEPS: f64 = 7.0;
const CALLERS: f64 = 5.0;
const LOGS: f64 = 4.0;
const CHANGE: f64 = 3.0;
const REACH: f64 = 3.0;
/// A departure of another kind than the symptom's counts so much.
const OTHER_KIND: f64 = 0.3;
/// What is felt at the entry is everybody's: it counts so much for the entry itself.
const ENTRY: f64 = 0.1;
/// Where spans tell, series count less: of latency with and without spans of the service, and of
/// its resources.
const TRACED: (f64, f64, f64) = (0.1, 1.0 / 3.0, 0.5);
/// Spans on each side from which on they tell.
const TELLING: usize = 8;
/// A change weighs half after this long (seconds), and nothing after the second.
const CHANGED: (f64, f64) = (900.0, 7_200.0);
/// How much of a service's unusual requests troubles of those it calls account for.
const BELOW: f64 = 0.7;

/// Weighs a scene.
#[must_use]
pub fn weigh(mut scene: Scene) -> Verdict {
    let began = onset(&scene);
    scene.shift(began);
    let view = View::new(&scene);
    let mut ranked: Vec<Weighed> = (0..scene.services.len())
        .map(|service| {
            let mut parts = view.parts(service);
            parts.retain(|p| p.contribution > 0.005);
            parts.sort_by(|a, b| {
                b.contribution.total_cmp(&a.contribution).then_with(|| a.name.cmp(b.name))
            });
            let score = parts.iter().map(|p| p.contribution).sum();
            Weighed { service, score, confidence: 0.0, parts }
        })
        .collect();
    let name = |w: &Weighed| &scene.services[w.service];
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| name(a).cmp(name(b))));
    let conclusive = belief::confide(&mut ranked);
    Verdict { ranked, onset: began, conclusive }
}

/// Everything that is looked at for all services at once.
struct View<'a> {
    scene: &'a Scene,
    found: Found,
    times: Times,
    requests: Requests,
    told: Vec<Option<Told>>,
    /// Whom a service's fault would reach, itself too.
    above: Vec<Vec<bool>>,
    /// Whether enough spans of it are known on both sides.
    traced: Vec<bool>,
}

impl<'a> View<'a> {
    fn new(scene: &'a Scene) -> Self {
        let n = scene.services.len();
        let children = children(&scene.spans);
        let mut spans = vec![[0; 2]; n];
        for span in &scene.spans {
            spans[span.service][usize::from(span.at >= 0.0)] += 1;
        }
        Self {
            scene,
            found: departures(scene),
            times: times(scene, &children),
            requests: requests(scene, &children),
            told: told(scene),
            above: (0..n).map(|service| reached(scene, service)).collect(),
            traced: spans.iter().map(|s| s.iter().all(|k| *k >= TELLING)).collect(),
        }
    }

    /// The symptom's seconds or failures in excess.
    fn symptom(&self, kind: Kind) -> f64 {
        self.scene.symptom.map_or(0.0, |(top, _)| self.found.excess(top, kind))
    }

    /// The share of the symptom's excess that begins at a service.
    fn share(&self, service: usize, kind: Kind) -> f64 {
        let all = self.symptom(kind);
        if all <= 0.0 {
            return 0.0;
        }
        let share = (self.found.excess(service, kind) / all).min(1.0);
        share * (1.0 - self.found.explained(self.scene, service, kind))
    }

    /// How much of the departure of a kind is a service's own, 0 to 1.
    fn own(&self, service: usize, kinds: &[Kind], accounted: Kind) -> f64 {
        let size = kinds.iter().map(|k| self.found.clear(service, *k)).fold(0.0, f64::max);
        size * (1.0 - self.found.explained(self.scene, service, accounted))
    }

    fn parts(&self, service: usize) -> Vec<Part> {
        let mut parts = self.felt(service);
        let has_spans = !self.scene.spans.is_empty();
        let resource = if has_spans { TRACED.2 } else { 1.0 };
        for (kind, weight) in SERIES {
            let mut kinds = vec![kind];
            if kind == Kind::Other {
                kinds.push(Kind::Host);
            }
            let best = kinds.iter().max_by(|a, b| {
                self.found.clear(service, **a).total_cmp(&self.found.clear(service, **b))
            });
            let Some(best) = best else { continue };
            let contribution = weight * resource * self.found.clear(service, *best);
            let why = self.series(service, *best);
            parts.push(Part { name: words::part(kind), contribution, why });
        }
        parts.extend(self.traced_parts(service));
        if let Some(told) = &self.told[service] {
            let why = words::told(self.scene, told);
            parts.push(Part { name: "logs", contribution: LOGS * told.strength, why });
        }
        parts.extend(self.change(service));
        if self.scene.symptom.is_none_or(|(top, _)| self.above[service][top]) {
            let why = match self.scene.symptom {
                Some((top, _)) if top == service => "the symptom is its own".to_owned(),
                Some((top, _)) => {
                    format!("a fault here reaches {} along the calls", self.scene.services[top])
                }
                None => "where the symptom is felt is not known".to_owned(),
            };
            parts.push(Part { name: "reach", contribution: REACH, why });
        }
        parts
    }

    /// What its callers feel of it, by its series.
    fn felt(&self, service: usize) -> Vec<Part> {
        let (slow, fails) = match self.scene.symptom {
            Some((_, Some(Kind::Latency))) => (1.0, OTHER_KIND),
            Some((_, Some(Kind::Success | Kind::Errors))) => (OTHER_KIND, 1.0),
            _ => (1.0, 1.0),
        };
        let calls = &self.scene.calls;
        let is_entry = self.scene.symptom.is_none()
            && !calls.iter().any(|(_, to)| *to == service)
            && calls.iter().any(|(from, _)| *from == service);
        let entry = if is_entry { ENTRY } else { 1.0 };
        let traced = match (self.scene.spans.is_empty(), self.traced[service]) {
            (true, _) => 1.0,
            (false, true) => TRACED.0,
            (false, false) => TRACED.1,
        };
        // Where the symptom's excess is known, who brings little of it counts little.
        let small = |kind: Kind| {
            let known = self.symptom(kind) > 0.0;
            if known { 0.2 + 0.8 * (2.0 * self.share(service, kind)).min(1.0) } else { 1.0 }
        };
        let latency = slow * self.own(service, &[Kind::Latency], Kind::Latency);
        let failing = [Kind::Success, Kind::Errors];
        let failures = fails * self.own(service, &failing, Kind::Success);
        let worst = if self.found.clear(service, Kind::Success)
            >= self.found.clear(service, Kind::Errors)
        {
            Kind::Success
        } else {
            Kind::Errors
        };
        let parts = [
            ("latency", LATENCY * latency * entry * small(Kind::Latency) * traced, Kind::Latency),
            ("failures", FAILURES * failures * entry * small(Kind::Success), worst),
        ];
        let mut parts: Vec<Part> = parts
            .into_iter()
            .map(|(name, contribution, kind)| {
                let accounted = if kind == Kind::Latency { kind } else { Kind::Success };
                let below = self.found.explained(self.scene, service, accounted);
                let why = format!("{}{}", self.series(service, kind), words::below(below));
                Part { name, contribution, why }
            })
            .collect();
        let shares = [
            (slow * self.share(service, Kind::Latency).min(5.0 * latency), Kind::Latency),
            (fails * self.share(service, Kind::Success).min(5.0 * failures), Kind::Success),
        ];
        if let Some((share, kind)) = shares.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)) {
            let why = words::share(self.share(service, kind), kind);
            parts.push(Part { name: "share", contribution: SHARE * share, why });
        }
        parts
    }

    /// What spans say of it.
    fn traced_parts(&self, service: usize) -> Vec<Part> {
        let mut parts = Vec::new();
        let scene = self.scene;
        if let (share, Some(work)) = &self.times.own[service] {
            let why = words::own_time(scene, work, *share);
            parts.push(Part { name: "own_time", contribution: OWN_TIME * share, why });
        }
        if let (share, Some(work)) = &self.times.way[service] {
            let why = words::way(scene, work, *share);
            parts.push(Part { name: "way", contribution: WAY * share, why });
        }
        if let (strength, Some(d)) = &self.requests.own[service] {
            // Trouble of those it calls accounts for much of what it does otherwise.
            let below = (0..scene.services.len())
                .filter(|c| self.above[*c][service] && !self.above[service][*c])
                .map(|c| self.trouble(c))
                .fold(0.0, f64::max);
            let contribution = STEPS * strength * (1.0 - BELOW * below);
            parts.push(Part { name: "steps", contribution, why: words::differs(scene, d) });
        }
        if let (strength, Some(d)) = &self.requests.callers[service] {
            let why = words::after(scene, service, d);
            parts.push(Part { name: "callers", contribution: CALLERS * strength, why });
        }
        parts
    }

    /// How much trouble of its own a service has, 0 to 1.
    fn trouble(&self, service: usize) -> f64 {
        self.requests.own[service]
            .0
            .max((1.5 * self.times.way[service].0).min(1.0))
            .max(self.times.own[service].0)
            .max(self.found.clear(service, Kind::Cpu))
    }

    fn change(&self, service: usize) -> Option<Part> {
        let weight = |at: f64| {
            let lead = -at;
            if !(-self.scene.step.max(60.0)..=CHANGED.1).contains(&lead) {
                return 0.0;
            }
            0.5_f64.powf(lead.max(0.0) / CHANGED.0)
        };
        let own = self.scene.changes.iter().filter(|c| c.service == service);
        let best = own.max_by(|a, b| {
            weight(a.at).total_cmp(&weight(b.at)).then_with(|| b.title.cmp(&a.title))
        })?;
        let why = words::change(best);
        Some(Part { name: "change", contribution: CHANGE * weight(best.at), why })
    }

    /// The departure of a kind in words.
    fn series(&self, service: usize, kind: Kind) -> String {
        let Some((z, i)) = self.found.of[service].by.get(&kind) else { return String::new() };
        let effect: Option<&Effect> = self.found.effects[*i].as_ref();
        effect.map_or_else(String::new, |e| words::series(&self.scene.series[*i], e, *z))
    }
}

/// Whom a fault of a service reaches along the calls, itself too.
fn reached(scene: &Scene, service: usize) -> Vec<bool> {
    let mut seen = vec![false; scene.services.len()];
    let mut next = vec![service];
    while let Some(at) = next.pop() {
        if !seen[at] {
            seen[at] = true;
            next.extend(scene.calls.iter().filter(|(_, to)| *to == at).map(|(from, _)| *from));
        }
    }
    seen
}
