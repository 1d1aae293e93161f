//! What the shop's own alerting rules send: deliveries as Alertmanager's webhook writes them.

use serde_json::{Value, json};

use super::scenario::RulePlan;
use super::series::pod_name;
use super::town::{SERVICES, service_index};
use super::world::{Episode, World};
use crate::model::Time;

/// Alerts in one delivery at most.
const PER_DELIVERY: usize = 250;

/// Windows over which the shop's rules look; every series is judged over each.
const WINDOWS: [&str; 3] = ["5m", "30m", "1h"];

/// The deliveries of the time after `since` up to `until`: every alert is sent once when it fires
/// and once when it is resolved. Format:
/// <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.
pub(super) fn deliveries(world: &World, since: Time, until: Time) -> Vec<Value> {
    let mut firing = Vec::new();
    let mut resolved = Vec::new();
    for episode in world.episodes() {
        for rule in &episode.scenario.rule {
            for service in &rule.services {
                let Some(service) = service_index(service) else { continue };
                for n in 0..rule.n_series {
                    let from = fires_at(episode, rule, n);
                    // A rule whose time never came has nothing to resolve.
                    if from >= episode.until {
                        continue;
                    }
                    let to = ends_at(episode);
                    if since < from && from <= until {
                        firing.push(alert(world, rule, service, n, (from, None)));
                    }
                    if since < to && to <= until {
                        resolved.push(alert(world, rule, service, n, (from, Some(to))));
                    }
                }
            }
        }
    }
    [("firing", firing), ("resolved", resolved)]
        .into_iter()
        .flat_map(|(status, alerts)| {
            let parts: Vec<Value> =
                alerts.chunks(PER_DELIVERY).map(|part| delivery(status, part)).collect();
            parts
        })
        .collect()
}

fn delivery(status: &str, alerts: &[Value]) -> Value {
    json!({
        "version": "4", "groupKey": "{}:{namespace=\"shop\"}", "truncatedAlerts": 0,
        "status": status, "receiver": "bot", "groupLabels": { "namespace": "shop" },
        "commonLabels": { "namespace": "shop" }, "commonAnnotations": {},
        "externalURL": "", "alerts": alerts,
    })
}

fn fires_at(episode: &Episode, rule: &RulePlan, n: u32) -> Time {
    let onset = &episode.scenario.onset;
    let share = f64::from(n) / f64::from(rule.n_series.max(1));
    let seconds = onset.delay_s + onset.ramp_s + rule.after_s + rule.spread_s * share;
    episode.from.plus_ms((seconds * 1_000.0) as i64)
}

/// Rules look over minutes, so they are resolved a while after the relief.
fn ends_at(episode: &Episode) -> Time {
    let onset = &episode.scenario.onset;
    let seconds = onset.relief_s + 3.0 * onset.decay_s + 45.0;
    episode.until.plus_ms((seconds * 1_000.0) as i64)
}

fn alert(
    world: &World,
    rule: &RulePlan,
    service: usize,
    n: u32,
    (from, to): (Time, Option<Time>),
) -> Value {
    let plan = &SERVICES[service];
    // The number of the series, taken apart into what tells series of one service apart.
    let mut rest = n as usize;
    let mut digit = |base: usize| {
        let d = rest % base;
        rest /= base;
        d
    };
    let pod = pod_name(world.seed(), service, digit(plan.replicas));
    let operation = plan.operations[digit(plan.operations.len())];
    let window = WINDOWS[digit(WINDOWS.len())];
    let client = SERVICES[digit(SERVICES.len())].name;
    json!({
        "status": if to.is_some() { "resolved" } else { "firing" },
        "labels": {
            "alertname": rule.alertname, "severity": rule.severity, "namespace": "shop",
            "service": plan.name, "pod": pod, "operation": operation, "window": window,
            "client": client,
        },
        "annotations": { "summary": rule.summary.replace("{service}", plan.name) },
        "startsAt": from,
        "endsAt": to.map_or_else(|| json!("0001-01-01T00:00:00Z"), |t| json!(t)),
        "generatorURL": "",
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::demo::scenario::Operation;
    use crate::demo::world::{Event, What};
    use crate::telemetry::alertmanager;

    fn start() -> Time {
        Time::parse("2026-11-18T10:00:00Z").expect("valid")
    }

    fn after(seconds: i64) -> Time {
        start().plus_ms(seconds * 1_000)
    }

    fn cut() -> World {
        let mut world = World::new(7, after(-86_400));
        let what = What::Inject("policy-cut".to_owned());
        world.record(Event { at: start(), what, key: None });
        world
    }

    fn sent(world: &World, since: Time, until: Time) -> Vec<(String, bool)> {
        let mut all = Vec::new();
        for delivery in deliveries(world, since, until) {
            let body = delivery.to_string();
            let batch = alertmanager::decode(body.as_bytes(), until).expect("a valid delivery");
            assert!(batch.alerts.len() <= PER_DELIVERY);
            for alert in delivery["alerts"].as_array().expect("a list") {
                all.push((alert["labels"].to_string(), alert["status"] == "resolved"));
            }
        }
        all
    }

    #[test]
    fn the_cut_raises_over_a_thousand_alerts_each_once_and_resolves_all_of_them() {
        let mut world = cut();
        let mut fired = Vec::new();
        for step in 0..40 {
            fired.extend(sent(&world, after(step * 15), after(step * 15 + 15)));
        }
        assert!(fired.len() > 1_000, "{}", fired.len());
        let distinct: BTreeSet<_> = fired.iter().collect();
        assert_eq!(distinct.len(), fired.len());
        assert!(fired.iter().all(|(_, resolved)| !resolved));

        let fix = Operation::RevertPolicy { policy: "auth-egress".to_owned() };
        world.record(Event { at: after(600), what: What::Operate(fix), key: None });
        let resolved = sent(&world, after(600), after(900));
        assert_eq!(resolved.len(), fired.len());
        assert!(resolved.iter().all(|(_, resolved)| *resolved));
    }

    #[test]
    fn a_fix_before_the_rules_wait_is_over_raises_none() {
        let mut world = cut();
        let fix = Operation::RevertPolicy { policy: "auth-egress".to_owned() };
        world.record(Event { at: after(50), what: What::Operate(fix), key: None });
        assert_eq!(sent(&world, start(), after(3_600)), Vec::new());
    }
}
