//! What the bot gets to know of a fault that was worked out.

use super::{Course, Dice, Family, Fault, Stored, System, log, normal};
use crate::diagnose::tests::*;
use crate::diagnose::weigh::{Kind, Measured, Scene};
use crate::diagnose::weighed;
use crate::model::EvidenceId;

/// Everything that is gathered of one fault.
pub(super) fn told(
    dice: &mut Dice,
    family: &Family,
    (s, fault, root): (&System, Fault, usize),
    all: &[Course],
) -> (Input, Option<Stored>) {
    let mut alerts = Vec::new();
    let mut onsets = BTreeMap::new();
    for (at, course) in all.iter().enumerate() {
        let found = of_service(dice, family, &s.names[at], course);
        for made in found {
            keep(dice, family, made, &mut alerts, &mut onsets);
        }
    }
    if fault == Fault::Node {
        let node = &s.nodes[s.node_of[root]];
        let made = alert(node, Indicator::Utilization, log(dice, (5.0, 60.0)), 0);
        keep(dice, family, made, &mut alerts, &mut onsets);
    }
    if fault == Fault::Leak {
        let mut ahead = alert(&s.names[root], Indicator::Usage, 4.0, 0);
        ahead.labels.set("alertname", "LimitAhead");
        ahead.labels.set("metric", "container.memory.working_set");
        alerts.push(ahead);
    }
    if dice.unit() < family.strays || alerts.is_empty() {
        for _ in 0..=dice.below(2) {
            let who = &s.names[dice.below(s.names.len())];
            let kinds = [Indicator::Duration, Indicator::Saturation, Indicator::Usage];
            let onset = dice.seconds(240) - 60;
            let made = alert(who, kinds[dice.below(3)], log(dice, (3.0, 30.0)), onset);
            keep(dice, family, made, &mut alerts, &mut onsets);
        }
    }
    if alerts.is_empty() {
        alerts.push(alert(&s.names[0], Indicator::Duration, 4.0, 30));
    }
    alerts.sort_by_key(|a| (a.starts_at, a.id));
    let changes = changes(dice, family, s, (fault, root));
    let mut input = input(s.graph.clone(), alerts, changes);
    // People are told of what is felt at the top first, where anything is.
    let felt = |a: &&Alert| matches!(a.indicator, Some(Indicator::Duration | Indicator::Errors));
    let top = input.alerts.iter().filter(felt).min_by(|a, b| a.entity.cmp(&b.entity));
    input.incident.leading = top.map(|a| a.id).or(input.incident.leading);
    input.onsets = onsets;
    input.measured = s.names.iter().cloned().collect();
    if dice.chance(60) {
        input.calls = calls(dice, s, all);
    }
    logs(dice, s, (fault, root), all, &mut input);
    if dice.chance(25) {
        let right = dice.chance(70) && fault != Fault::Unseen;
        let place = if right { root } else { dice.below(s.names.len()) };
        input.similar.push(earlier(dice, &s.names[place]));
    }
    let stored = dice.chance(80).then(|| stored(dice, family, s, all, &input));
    if let Some(stored) = &stored {
        (input.weighed, input.demands) = stored.weighed();
    }
    separations(dice, (s, fault, root), all, &mut input);
    (input, stored)
}

/// What separates bad requests: the node where some instances run, and any version that came
/// shortly before trouble, whether it brought it or not.
fn separations(
    dice: &mut Dice,
    (s, fault, root): (&System, Fault, usize),
    all: &[Course],
    input: &mut Input,
) {
    let bad = |c: &Course| c.latency[1] > 1.5 * c.latency[0] || c.errors[1] > 0.02 + c.errors[0];
    for (place, c) in all.iter().enumerate() {
        let entity = &s.names[place];
        let deploy = input.changes.iter().find(|c| {
            let recent = (0..1_800).contains(&(at(0).ms_since(c.at) / SECOND_MS));
            c.kind == ChangeKind::Deploy && c.entity == *entity && recent
        });
        let version = deploy.and_then(|c| c.version.clone());
        let at_least = log(dice, (2.0, 20.0));
        let evidence = EvidenceId::derive(at(0), &["separates", entity.name()]);
        let said = "requests".to_owned();
        let (attribute, value) = match (version, fault) {
            _ if !bad(c) || !dice.chance(50) => continue,
            (Some(version), _) => ("service.version".to_owned(), version),
            (None, Fault::Node) if s.node_of[place] == s.node_of[root] => {
                ("host.name".to_owned(), s.nodes[s.node_of[root]].name().to_owned())
            }
            // Any other node, now and then: its share of hard requests.
            _ if dice.chance(5) => {
                ("host.name".to_owned(), s.nodes[dice.below(s.nodes.len())].name().to_owned())
            }
            _ => continue,
        };
        let made = Separation { attribute, value, at_least, said, evidence };
        input.separates.insert(entity.clone(), vec![made]);
    }
}

fn earlier(dice: &mut Dice, entity: &EntityRef) -> Past {
    Past {
        incident: IncidentId::derive(at(-90_000), &["old"]),
        number: 3,
        similarity: 0.4 + 0.55 * dice.unit(),
        entity: entity.clone(),
        pattern: "saturation".into(),
        fixed_by: dice.chance(50).then(|| "a fix: helped".into()),
        evidence: EvidenceId::derive(at(0), &["old"]),
    }
}

/// What stands out of one service's own figures; onsets in whole seconds.
fn of_service(dice: &mut Dice, family: &Family, entity: &EntityRef, c: &Course) -> Vec<Alert> {
    let mut found = Vec::new();
    let noise = log(dice, family.noise);
    let onset = c.onset.min(600.0) as i64;
    let mut seen = |kind: Indicator, z: f64| {
        let asked_at = c.asked_at.filter(|_| kind == Indicator::Rate);
        let onset = asked_at.map_or(onset, |at| at as i64);
        if z.abs() > 4.0 {
            found.push(alert(entity, kind, z.clamp(-1_000.0, 1_000.0), onset));
        }
    };
    seen(Indicator::Duration, (c.latency[1] / c.latency[0] - 1.0) / noise);
    seen(Indicator::Errors, ((c.errors[1] - c.errors[0]) / 0.004).min(900.0));
    let more = c.rate[1] / c.rate[0] - 1.0;
    seen(Indicator::Rate, more / (2.0 * noise));
    seen(Indicator::Utilization, (c.cpu - 1.0) / (1.5 * noise));
    seen(Indicator::Usage, (c.memory - 1.0) / noise);
    seen(Indicator::Saturation, (c.queue - 1.0) / noise);
    // Who waits for others has requests queueing, too.
    if c.latency[1] > 2.0 * c.latency[0] && dice.chance(30) {
        seen(Indicator::Saturation, (c.latency[1] / c.latency[0] - 1.0) / (2.0 * noise));
    }
    found
}

/// An alert on its way: it may get lost, it is late, and its onset is read off the series where
/// there is one.
fn keep(
    dice: &mut Dice,
    family: &Family,
    mut made: Alert,
    alerts: &mut Vec<Alert>,
    onsets: &mut BTreeMap<EntityRef, Time>,
) {
    if dice.unit() < family.lost || alerts.iter().any(|a| a.fingerprint == made.fingerprint) {
        return;
    }
    let began = made.starts_at.plus_ms(dice.seconds(family.step) * SECOND_MS);
    if dice.unit() < family.external {
        made.source = AlertSource::External { system: "alertmanager".into() };
        (made.anomaly, made.value, made.expected, made.score) = (None, None, None, 0.0);
        made.starts_at = began.plus_ms((60 + dice.seconds(240)) * SECOND_MS);
    } else {
        made.starts_at = began.plus_ms((15 + dice.seconds(75)) * SECOND_MS);
        if dice.chance(85) {
            let known = onsets.entry(made.entity.clone()).or_insert(began);
            *known = (*known).min(began);
        }
    }
    made.id = AlertId::derive(made.starts_at, &[&made.fingerprint.to_string()]);
    alerts.push(made);
}

fn changes(
    dice: &mut Dice,
    family: &Family,
    s: &System,
    (fault, root): (Fault, usize),
) -> Vec<Change> {
    let mut found = Vec::new();
    let early = -(log(dice, (5.0, 400.0)) as i64);
    let kind = match fault {
        Fault::Pool if dice.chance(50) => Some(ChangeKind::Config),
        Fault::SlowCode | Fault::FailingCode | Fault::Overload | Fault::Pool => {
            Some(ChangeKind::Deploy)
        }
        Fault::Policy => Some(ChangeKind::NetworkPolicy),
        Fault::Schema => Some(ChangeKind::Schema),
        Fault::Leak if dice.chance(60) => Some(ChangeKind::Deploy),
        Fault::Node if dice.chance(50) => Some(ChangeKind::Other),
        _ => None,
    };
    if let Some(kind) = kind.filter(|_| dice.unit() >= family.untold) {
        let place = match fault {
            Fault::Node => s.nodes[s.node_of[root]].clone(),
            _ => s.names[root].clone(),
        };
        let mut made = change(&place, kind, early);
        made.version = (kind == ChangeKind::Deploy).then(|| "2".to_owned());
        if kind == ChangeKind::NetworkPolicy {
            made.entity = EntityRef::new("k8s.networkpolicy.name", "egress");
            made.attributes.set("target", place.name());
        }
        found.push(made);
    }
    for _ in 0..dice.below(family.decoys + 1) {
        let who = &s.names[dice.below(s.names.len())];
        let kinds = [ChangeKind::Deploy, ChangeKind::Config, ChangeKind::Flag];
        let ago = log(dice, (30.0, 7_000.0)) as i64;
        let kind = kinds[dice.below(3)];
        let mut made = change(who, kind, -ago);
        made.version = (kind == ChangeKind::Deploy).then(|| "2".to_owned());
        found.push(made);
    }
    found
}

fn calls(dice: &mut Dice, s: &System, all: &[Course]) -> CallsByEdge {
    let mut found = CallsByEdge::new();
    for (from, to, _) in &s.calls {
        if dice.chance(15) {
            continue;
        }
        let c = &all[*to];
        let n = 20 + dice.below(400) as u64;
        let count = |dice: &mut Dice, share: f64| {
            let mean = share * n as f64;
            (mean + mean.sqrt() * normal(dice)).round().clamp(0.0, n as f64) as u64
        };
        let made = Calls {
            n,
            n_failed: count(dice, c.errors[1].max(c.given_up)),
            mean_ms: 1e3 * c.latency[1] * (0.1 * normal(dice)).exp(),
            n_before: 2 * n,
            n_failed_before: 2 * count(dice, c.errors[0]),
            mean_before_ms: 1e3 * c.latency[0] * (0.05 * normal(dice)).exp(),
        };
        found.insert((s.names[*from].clone(), s.names[*to].clone()), made);
    }
    found
}

/// The cause often says it in its log, who calls it says so too, and others say anything.
fn logs(
    dice: &mut Dice,
    s: &System,
    (fault, root): (Fault, usize),
    all: &[Course],
    input: &mut Input,
) {
    let says = dice.chance(60) && !matches!(fault, Fault::Node | Fault::Unseen);
    for (place, c) in all.iter().enumerate() {
        let failing = c.errors[1] > c.errors[0] + 0.01;
        let writes = if place == root { says } else { failing && dice.chance(35) };
        if !writes && !dice.chance(3) {
            continue;
        }
        let sign = LogSign {
            template: "request failed: <*>".into(),
            n: 5 + dice.below(80) as u64,
            n_before: 0,
            first_at: at(c.onset.min(300.0) as i64),
            until: at(360),
            cut: Cut::default(),
            is_error: dice.chance(70),
            evidence: EvidenceId::derive(at(0), &[s.names[place].name()]),
        };
        input.logs.insert(s.names[place].clone(), vec![sign]);
    }
}

/// Series of everybody near, with noise.
fn stored(dice: &mut Dice, family: &Family, s: &System, all: &[Course], input: &Input) -> Stored {
    let mut suspects: Vec<EntityRef> = input.alerts.iter().map(|a| a.entity.clone()).collect();
    suspects.dedup();
    let entities = weighed::nearby(&input.graph, &suspects);
    let place = |e: &EntityRef| s.names.iter().position(|n| n == e);
    let index = |e: usize| entities.iter().position(|n| *n == s.names[e]);
    let mut scene = Scene {
        services: entities.iter().map(|e| e.name().to_owned()).collect(),
        step: 30.0,
        ..Scene::default()
    };
    scene.calls = s.calls.iter().filter_map(|(a, b, _)| Some((index(*a)?, index(*b)?))).collect();
    scene.symptom = weighed::symptom(&input.incident, &input.alerts)
        .and_then(|(e, k)| Some((entities.iter().position(|n| n == e)?, k)));
    let until = 90 + 30 * dice.below(12) as i64;
    for (i, entity) in entities.iter().enumerate() {
        let Some(at) = place(entity) else { continue };
        let c = &all[at];
        let noise = log(dice, family.noise);
        let use_before = log(dice, (0.05, 0.4));
        let figures = [
            ("http.server.request.duration", Kind::Latency, c.latency, noise),
            ("http.server.request.errors", Kind::Errors, c.errors, noise),
            ("http.server.request.rate", Kind::Traffic, c.rate, 0.5 * noise),
            ("container.cpu.usage", Kind::Cpu, [use_before, use_before * c.cpu], noise),
            ("container.memory.usage", Kind::Memory, [300.0, 300.0 * c.memory], 0.2 * noise),
        ];
        for (name, kind, [before, since], noise) in figures {
            let points = (-1_200..until)
                .step_by(30)
                .map(|t| {
                    let asked_at = c.asked_at.filter(|_| kind == Kind::Traffic);
                    let old = (t as f64) < asked_at.unwrap_or(c.onset);
                    let level = if old { before } else { since };
                    (t as f64, level * (noise * normal(dice)).exp())
                })
                .collect();
            let name = (name.to_owned(), String::new());
            scene.series.push(Measured {
                service: i,
                name,
                unit: String::new(),
                kind,
                outgoing: false,
                points,
            });
        }
    }
    Stored { entities, scene }
}
