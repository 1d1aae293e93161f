//! How an incident came about, whom it touches and what follows: the steps from the likely cause to
//! what users feel, and what is ahead. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::faces::Face;
use super::gather::evidence_id;
use super::input::Input;
use super::spread::{self, Known, Scene};
use super::symptom::{Trouble, is_log, is_low, troubles};
use crate::detect::slo::Standing;
use crate::model::alert::EXPIRY_AHEAD;
use crate::model::diagnosis::{CourseStep, Reach};
use crate::model::figure::{count_text, figure};
use crate::model::time::{DAY_MS, MINUTE_MS, SECOND_MS, duration_text};
use crate::model::{Alert, EntityRef, EvidenceId, Hypothesis, Indicator, Time};

/// Entities that get a step of their own between the cause and the users.
const MOST_SINGLE: usize = 2;
/// Services named in one sentence.
const MOST_NAMED: usize = 4;
/// Alerts that begin this long (ms) after an entity's first one belong to the same step.
const WITH_MS: i64 = 3 * MINUTE_MS;
/// Least share of requests that fail to be told of users.
const NOTED: f64 = 0.002;

/// Names of entities in a sentence, the first of many.
pub(super) fn names(all: &[&EntityRef]) -> String {
    let shown: Vec<&str> = all.iter().take(MOST_NAMED).map(|e| e.name()).collect();
    match (shown.as_slice(), all.len().saturating_sub(MOST_NAMED)) {
        ([one], 0) => (*one).to_owned(),
        ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
        (some, more) => format!("{} and {more} more", some.join(", ")),
    }
}

/// How much an alert tells of what its entity's step is about: with `pattern` the cause's own, which
/// the hypothesis speaks of, else what those who use the entity feel.
fn tells(alert: &Alert, pattern: Option<&str>) -> u8 {
    if is_log(alert) {
        return 3;
    }
    let short = matches!(pattern, Some("saturation" | "noisy_neighbour" | "resource_leak"));
    let asked = pattern == Some("traffic");
    match alert.indicator {
        _ if alert.is_forecast() => 8,
        Some(Indicator::Saturation) if short && !is_low(alert) => 7,
        Some(Indicator::Utilization | Indicator::Usage) if short && !is_low(alert) => 6,
        Some(Indicator::Rate) if asked && !is_low(alert) => 7,
        Some(Indicator::Errors | Indicator::Availability) => 5,
        Some(Indicator::Duration) if !is_low(alert) => 5,
        Some(Indicator::Saturation) | None => 2,
        _ => 1,
    }
}

/// The alert of an entity that tells most of those that came with the first: what is felt before
/// what merely goes with it, then the strongest. Another system's alert has no score and so comes
/// after those that were measured.
fn telling<'a>(trouble: &Trouble<'a>, pattern: Option<&str>) -> Option<&'a Alert> {
    let first = trouble.alerts.first()?.starts_at;
    let early = trouble.alerts.iter().copied().filter(|a| a.starts_at.ms_since(first) <= WITH_MS);
    early.max_by(|a, b| {
        let kind = tells(a, pattern).cmp(&tells(b, pattern));
        kind.then(a.score.total_cmp(&b.score)).then((b.starts_at, b.id).cmp(&(a.starts_at, a.id)))
    })
}

/// What an alert says.
fn said(alert: &Alert) -> String {
    let text = alert.annotations.get("summary").unwrap_or(alert.name());
    text.trim_end_matches('.').to_owned()
}

/// From the change over the cause and those it spreads to, up to what users feel at the services by
/// which they come in.
pub(super) fn steps(
    input: &Input,
    hypotheses: &[Hypothesis],
    entries: &BTreeSet<EntityRef>,
) -> Vec<CourseStep> {
    let Some(cause) = hypotheses.first() else { return Vec::new() };
    let troubles = troubles(&input.alerts, &input.onsets);
    let proofs = |e: &EntityRef| {
        input.proofs.signals.get(e).into_iter().flatten().take(2).copied().collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    if let Some(change) = input.changes.iter().find(|c| Some(c.id) == cause.change) {
        let by = change.author.as_ref().map_or_else(String::new, |a| format!(", by {a}"));
        found.push(CourseStep {
            at: change.at,
            entity: change.entity.clone(),
            text: format!("{}{by}", change.line()),
            evidence: input.proofs.changes.get(&change.id).copied().into_iter().collect(),
        });
    }
    let mut own = |entity: &EntityRef, lead: &str, pattern: Option<&str>| {
        let Some(trouble) = troubles.get(entity) else { return };
        let Some(alert) = telling(trouble, pattern) else { return };
        // The step stands where its trouble began; what tells most of it may have come a little later.
        let later = alert.starts_at.ms_since(trouble.onset) >= SECOND_MS;
        let since = if later {
            format!(" (from {} on)", alert.starts_at.clock_text())
        } else {
            String::new()
        };
        let text = format!("{lead}{}{since}", said(alert));
        let known = input.proofs.signals.get(entity).into_iter().flatten();
        // The signal that the sentence is about stands first.
        let shown = alert.series.map(|id| evidence_id(&input.incident, &id.to_string()));
        let mut evidence: Vec<EvidenceId> = known.copied().collect();
        evidence.sort_by_key(|e| Some(*e) != shown);
        evidence.truncate(2);
        found.push(CourseStep { at: trouble.onset, entity: entity.clone(), text, evidence });
    };
    own(&cause.entity, "", Some(&cause.pattern));
    let users: BTreeSet<&EntityRef> = entries.iter().filter(|e| **e != cause.entity).collect();
    let mut spread: Vec<(Time, &EntityRef)> = troubles
        .iter()
        .filter(|(e, _)| **e != cause.entity && !users.contains(e))
        .filter(|(e, _)| {
            let ways = [input.graph.path(e, &cause.entity), input.graph.path(&cause.entity, e)];
            ways.iter().any(Option::is_some)
        })
        .map(|(e, t)| (t.onset, e))
        .collect();
    spread.sort();
    let single = if spread.len() > MOST_SINGLE + 1 { MOST_SINGLE } else { spread.len() };
    for (_, entity) in &spread[..single] {
        own(entity, "", None);
    }
    let felt = users.iter().filter_map(|e| Some((troubles.get(*e)?.onset, *e))).min();
    if let Some((_, entity)) = felt {
        own(entity, "users see it: ", None);
    }
    if let [(at, first), .., (last, _)] = &spread[single..] {
        let all: Vec<&EntityRef> = spread[single..].iter().map(|(_, e)| *e).collect();
        let over = last.ms_since(*at);
        let within = if over >= SECOND_MS {
            format!(" within {}", duration_text(over))
        } else {
            String::new()
        };
        found.push(CourseStep {
            at: *at,
            entity: (*first).clone(),
            text: format!("it spreads to {}{within}", names(&all)),
            evidence: all.iter().take(MOST_NAMED).flat_map(|e| proofs(e)).collect(),
        });
    }
    found.sort_by_key(|step| step.at);
    found
}

/// Whom it touches and what is ahead.
pub(super) fn reach(
    input: &Input,
    hypotheses: &[Hypothesis],
    (faces, standings, known): (&[Face], &[Standing], &Known),
    business: Vec<String>,
    now: Time,
) -> Reach {
    let troubles = troubles(&input.alerts, &input.onsets);
    let first = troubles.values().map(|t| t.onset).min().unwrap_or(input.incident.onset_at);
    let end = input.incident.resolved_at.unwrap_or(now);
    let seconds = end.ms_since(first).max(0) as f64 / 1e3;
    let mut reach = Reach { business, ..Reach::default() };
    // What is only ahead is felt by nobody, and what users felt since a series began to creep is no
    // part of it.
    let is_ahead = |a: &Alert| a.is_forecast() || a.name() == EXPIRY_AHEAD;
    let is_felt = input.alerts.is_empty() || !input.alerts.iter().all(is_ahead);
    let (mut failed, mut asked) = (0.0, 0.0);
    for face in faces.iter().filter(|_| is_felt) {
        let entity = &face.entity;
        if troubles.contains_key(entity) {
            reach.felt_at.push(entity.clone());
        }
        if let (Some((before, since)), Some((_, rate))) = (face.errors, face.rate) {
            failed += (since - before).max(0.0) * rate * seconds;
            asked += rate * seconds;
        }
        reach.users.extend(felt(entity, face, seconds));
    }
    if asked > 0.0 {
        (reach.failed_ratio, reach.n_failed) = (Some((failed / asked).min(1.0)), Some(failed));
    }
    let cause = hypotheses.first().map(|h| &h.entity);
    let graph = known.graph_now.as_ref().unwrap_or(&input.graph);
    let hops = cause.map(|c| spread::reached(graph, c, |e| troubles.contains_key(e)));
    let hops = hops.unwrap_or_default();
    reach.may_follow = hops.iter().map(|(e, _)| e.clone()).collect();
    reach.forecasts = ahead(input, &reach.may_follow, standings, now);
    if let Some(cause) = cause.filter(|_| input.incident.state.is_active()) {
        let mut troubled: BTreeMap<EntityRef, Time> =
            troubles.iter().map(|(e, t)| (e.clone(), t.onset)).collect();
        troubled.entry(cause.clone()).or_insert(first);
        let scene = Scene { graph, cause, troubled: &troubled, known, now };
        spread::tell(&mut reach, &scene, &hops, faces);
    }
    reach
}

/// What users of one service feel.
fn felt(entity: &EntityRef, face: &Face, seconds: f64) -> Vec<String> {
    let mut found = Vec::new();
    let name = entity.name();
    if let Some((before, since)) = face.errors.filter(|(b, s)| s - b >= NOTED) {
        let n = face.rate.map(|(_, rate)| (since - before) * rate * seconds);
        let n = n.filter(|n| *n >= 1.0).map_or_else(String::new, |n| {
            format!(": about {} more than usual", count_text(n.round() as u64))
        });
        found.push(format!(
            "Since the onset {} of the requests to {name} failed, {} before{n}.",
            figure(since, "1"),
            figure(before, "1")
        ));
    }
    let slower = face.duration.as_ref().filter(|(b, s, ..)| *s > 1.5 * b);
    if let Some((before, since, metric, unit)) = slower {
        let (before, since) = (figure(*before, unit), figure(*since, unit));
        found.push(format!(
            "{metric} of {name} is {since} on average since the onset, {before} before."
        ));
    }
    if let Some((before, since)) = face.rate.filter(|(b, s)| *s < 0.7 * b) {
        found.push(format!(
            "{name} gets {:.0} % fewer requests than before the onset.",
            100.0 * (1.0 - since / before)
        ));
    }
    found
}

fn ahead(
    input: &Input,
    may_follow: &[EntityRef],
    standings: &[Standing],
    now: Time,
) -> Vec<String> {
    let mut found = Vec::new();
    if !input.incident.state.is_active() {
        return found;
    }
    for standing in standings {
        let of = |e: &EntityRef| e.name() == standing.service;
        let touched = input.incident.entities.iter().chain(may_follow).any(of);
        let at = standing.exhausted_at.filter(|at| touched && *at > now);
        if let Some(at) = at.filter(|at| at.ms_since(now) < DAY_MS) {
            found.push(format!(
                "At the rate of the last hour the error budget of {} is gone in {}, at {} UTC.",
                standing.name,
                duration_text(at.ms_since(now)),
                at.clock_text()
            ));
        }
    }
    let limits = input.alerts.iter().filter(|a| a.is_forecast() && a.is_firing());
    found.extend(
        limits.filter_map(|a| {
            Some(format!("{}.", a.annotations.get("summary")?.trim_end_matches('.')))
        }),
    );
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::rank;
    use crate::diagnose::tests::{alert, at, chain, change, input, service};
    use crate::model::{ChangeKind, Indicator};

    fn told() -> (Input, Vec<Hypothesis>) {
        let (web, shop, stock) = (service("web"), service("shop"), service("stock"));
        let alerts = vec![
            alert(&stock, Indicator::Errors, 300.0, 0),
            alert(&shop, Indicator::Errors, 90.0, 25),
            alert(&web, Indicator::Errors, 60.0, 40),
        ];
        let mut policy = change(&stock, ChangeKind::NetworkPolicy, -7);
        policy.author = Some("ops-bot".into());
        let with = input(chain(), alerts, vec![policy]);
        let hypotheses = rank(&with).hypotheses;
        (with, hypotheses)
    }

    #[test]
    fn it_is_told_from_the_change_to_the_users() {
        let (with, hypotheses) = told();
        let lines: Vec<String> = steps(&with, &hypotheses, &with.graph.entries(&[]))
            .iter()
            .map(|s| format!("{} {}", s.at.clock_text(), s.text))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        02:59:53 stock: NetworkPolicy of stock, by ops-bot
        03:00:00 stock ErrorsHigh
        03:00:25 shop ErrorsHigh
        03:00:40 users see it: web ErrorsHigh
        ");
        let named = with.graph.entries(&["shop".to_owned()]);
        let found = steps(&with, &hypotheses, &named);
        assert_eq!(found.last().expect("a step").text, "web ErrorsHigh");
        assert_eq!(found[found.len() - 2].text, "users see it: shop ErrorsHigh");
        assert!(steps(&with, &[], &named).is_empty());
    }

    #[test]
    fn many_that_follow_are_one_step() {
        let mut graph = chain();
        let mut alerts = vec![alert(&service("stock"), Indicator::Errors, 300.0, 0)];
        for i in 0..6 {
            let caller = service(&format!("caller{i}"));
            graph.add(service("web"), caller.clone(), crate::model::topology::EdgeKind::Calls);
            graph.add(caller.clone(), service("stock"), crate::model::topology::EdgeKind::Calls);
            alerts.push(alert(&caller, Indicator::Errors, 50.0, 10 + 5 * i));
        }
        let with = input(graph, alerts, Vec::new());
        let found = steps(&with, &rank(&with).hypotheses, &with.graph.entries(&[]));
        let last = found.last().expect("there are steps");
        assert_eq!(last.text, "it spreads to caller2, caller3, caller4 and caller5 within 15 s");
        assert_eq!((found.len(), last.at), (4, at(20)));
    }

    #[test]
    fn users_followers_and_budgets_are_told_with_figures() {
        let (mut with, hypotheses) = told();
        with.graph.add(service("mail"), service("stock"), crate::model::topology::EdgeKind::Calls);
        let face = Face {
            entity: service("web"),
            errors: Some((0.001, 0.201)),
            rate: Some((50.0, 50.0)),
            duration: Some((0.2, 1.4, "duration p95".into(), "s".into())),
        };
        let reach =
            reach(&with, &hypotheses, (&[face], &[], &Known::default()), Vec::new(), at(100));
        assert_eq!(reach.felt_at, [service("web")]);
        assert!((reach.n_failed.expect("measured") - 1_000.0).abs() < 1e-6);
        assert!((reach.failed_ratio.expect("measured") - 0.2).abs() < 1e-9);
        assert_eq!(reach.may_follow, [service("mail")]);
        insta::assert_snapshot!([reach.users, reach.forecasts].concat().join("\n"), @"
        Since the onset 20.1 % of the requests to web failed, 0.1 % before: about 1,000 more than usual.
        duration p95 of web is 1.4 s on average since the onset, 200 ms before.
        mail depends on the likely cause and shows no trouble yet; how likely it is to follow is not known.
        ");
    }
    #[test]
    fn of_a_limit_ahead_nobody_has_felt_anything_yet() {
        let web = service("web");
        let mut ahead = alert(&web, Indicator::Utilization, 4.0, 0);
        ahead.labels.set("alertname", "LimitAhead");
        ahead.annotations.set("summary", "web pool 30 %, heading for its limit");
        let face = Face {
            entity: web.clone(),
            errors: Some((0.001, 0.201)),
            rate: Some((50.0, 50.0)),
            duration: None,
        };
        let told = |alerts: Vec<Alert>| {
            let with = input(chain(), alerts, Vec::new());
            let hypotheses = rank(&with).hypotheses;
            let faces = std::slice::from_ref(&face);
            let known = Known::default();
            let reach = reach(&with, &hypotheses, (faces, &[], &known), Vec::new(), at(100));
            (reach.users.len(), reach.n_failed.is_some(), hypotheses[0].statement.clone())
        };
        let alone = told(vec![ahead.clone()]);
        assert_eq!(
            alone,
            (0, false, "web is running out of a resource, since 03:00:00 UTC.".into())
        );
        let (users, failed, statement) =
            told(vec![ahead, alert(&web, Indicator::Utilization, 40.0, 10)]);
        assert!(users > 0 && failed, "it is there");
        assert!(statement.starts_with("web ran out of a resource"), "{statement}");
    }
}
