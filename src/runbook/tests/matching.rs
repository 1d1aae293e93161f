//! Which runbook comes first for which trouble, and that the shipped ones are whole.

use super::*;
use crate::model::alert::AlertSource;
use crate::model::{Alert, AlertId, AlertStatus, Indicator, Severity};

/// One alert as detection or another system writes it.
fn alert(entity: &str, indicator: Indicator, labels: &[(&str, &str)]) -> Alert {
    let at = Time::from_ms(1_700_000_000_000);
    let mut all = Labels::default();
    for (name, value) in labels {
        all.set(*name, *value);
    }
    Alert {
        id: AlertId::derive(at, &[entity, &format!("{labels:?}")]),
        fingerprint: all.fingerprint(),
        labels: all,
        annotations: Labels::default(),
        source: AlertSource::Detector { detector: "seasonal/1".into() },
        entity: entity.parse().expect("an entity"),
        indicator: Some(indicator),
        severity: Severity::Warning,
        starts_at: at,
        ends_at: None,
        known_at: None,
        updated_at: at,
        status: AlertStatus::Firing,
        anomaly: None,
        series: None,
        value: None,
        expected: None,
        score: 9.0,
        n_reports: 1,
        witnesses: Vec::new(),
        incident: None,
        suppressed: None,
        decision: None,
    }
}

fn metric(entity: &str, indicator: Indicator, name: &str) -> Alert {
    alert(entity, indicator, &[("metric", name), ("alertname", "Unusual")])
}

/// A situation as diagnosis leaves it: cause, pattern, change before it, alerts, log templates.
struct Trouble<'a> {
    cause: &'a str,
    pattern: &'a str,
    change: Option<(ChangeKind, &'a str)>,
    alerts: Vec<Alert>,
    logs: &'a [&'a str],
}

impl Trouble<'_> {
    fn situation(self) -> Situation {
        let mut s = situation();
        let mut change = s.change.take().expect("has one");
        let h = s.hypothesis.as_mut().expect("has one");
        h.entity = self.cause.parse().expect("an entity");
        h.pattern = self.pattern.into();
        h.impact_chain = vec![h.entity.clone(), EntityRef::service("search")];
        h.change = None;
        if let Some((kind, entity)) = self.change {
            h.change = Some(change.id);
            change.kind = kind;
            change.entity = entity.parse().expect("an entity");
            s.change = Some(change);
        }
        s.alerts = self.alerts;
        s.logs = self.logs.iter().map(ToString::to_string).collect();
        s
    }
}

fn ids(s: &Situation) -> Vec<String> {
    let library = shipped();
    library.matching(s).iter().map(|m| m.runbook.front.id.clone()).collect()
}

#[track_caller]
fn first(trouble: Trouble<'_>, expected: &str) {
    let situation = trouble.situation();
    let found = ids(&situation);
    assert_eq!(found.first().map(String::as_str), Some(expected), "{found:?}");
}

const DEPLOY: Option<(ChangeKind, &str)> = Some((ChangeKind::Deploy, "service.name=a"));

#[test]
fn waiters_for_a_connection_lead_to_the_pool() {
    first(
        Trouble {
            cause: "service.name=a",
            pattern: "saturation",
            change: DEPLOY,
            alerts: vec![
                metric("service.name=a", Indicator::Duration, "http.server.request.duration p95"),
                metric(
                    "service.name=a",
                    Indicator::Saturation,
                    "db.client.connections.pending_requests",
                ),
                metric("service.name=a-db", Indicator::Saturation, "postgresql.connections.active"),
            ],
            logs: &["could not get a connection to a-db within <*> ms: <*> of <*> in use"],
        },
        "connection-pool-exhausted",
    );
}

#[test]
fn a_pool_that_empties_because_queries_became_slow_is_a_victim() {
    let alerts = vec![
        metric("service.name=a", Indicator::Saturation, "db.client.connections.pending_requests"),
        metric("service.name=a", Indicator::Duration, "db.client.operation.duration p95"),
        metric("service.name=a-db", Indicator::Usage, "postgresql.sequential_scan.rows"),
    ];
    for pattern in ["saturation", "deploy", "slow_queries"] {
        let trouble = Trouble {
            cause: "service.name=a",
            pattern,
            change: DEPLOY,
            alerts: alerts.clone(),
            logs: &[],
        };
        let found = ids(&trouble.situation());
        assert_eq!(found.first().map(String::as_str), Some("slow-queries-after-deploy"));
        assert!(!found.contains(&"connection-pool-exhausted".to_owned()), "{found:?}");
    }
}

#[test]
fn a_changed_policy_leads_whatever_else_stands_out() {
    first(
        Trouble {
            cause: "service.name=a",
            pattern: "network_policy",
            change: Some((ChangeKind::NetworkPolicy, "service.name=a")),
            alerts: vec![
                metric("service.name=a", Indicator::Errors, "http.server.request errors"),
                metric(
                    "service.name=a",
                    Indicator::Saturation,
                    "db.client.connections.pending_requests",
                ),
            ],
            logs: &["dial tcp a-db:<*>: i/o timeout after <*> ms"],
        },
        "network-policy-blocks-dependency",
    );
}

#[test]
fn memory_that_heads_for_its_limit_leads_to_the_leak() {
    first(
        Trouble {
            cause: "service.name=a",
            pattern: "resource_leak",
            change: DEPLOY,
            alerts: vec![metric(
                "service.name=a",
                Indicator::Usage,
                "container.memory.working_set",
            )],
            logs: &[],
        },
        "memory-leak",
    );
}

#[test]
fn busy_cores_of_a_node_lead_to_its_neighbour_and_the_victim_is_moved() {
    let trouble = || Trouble {
        cause: "host.name=n2",
        pattern: "noisy_neighbour",
        change: Some((ChangeKind::Other, "host.name=n2")),
        alerts: vec![
            metric("host.name=n2", Indicator::Utilization, "system.cpu.utilization"),
            metric("host.name=n2", Indicator::Saturation, "system.load_per_core"),
            metric("service.name=search", Indicator::Saturation, "container.cpu.throttled"),
        ],
        logs: &[],
    };
    first(trouble(), "cpu-starved-by-neighbour");
    let (library, situation) = (shipped(), trouble().situation());
    let runbook = library.get("cpu-starved-by-neighbour").expect("shipped");
    let action = runbook.action("move-away").expect("there");
    let plan = plan(runbook, action, &none(), &one("node", "n2"), &situation, None).expect("plans");
    assert_eq!(plan.target, EntityRef::service("search"));
    let [Step::Http { url, body, .. }] = plan.steps.as_slice() else { panic!("one request") };
    assert_eq!(url, "http://127.0.0.1:9/admin/services/search/move");
    assert_eq!(body.as_deref(), Some("{\"away_from\":\"n2\"}"));
    let (back, values) = rollback(runbook, &plan, &situation).expect("renders").expect("has one");
    assert_eq!((back.id.as_str(), values), ("place-on-node", one("to", "n2")));
}

#[test]
fn what_nothing_specific_explains_goes_back_with_its_deploy() {
    first(
        Trouble {
            cause: "service.name=a",
            pattern: "deploy",
            change: DEPLOY,
            alerts: vec![metric("service.name=a", Indicator::Errors, "http.server.request errors")],
            logs: &[],
        },
        "deploy-rollback",
    );
}

#[test]
fn each_other_trouble_finds_its_own() {
    let service = "service.name=a";
    let errors = || metric(service, Indicator::Errors, "http.server.request errors");
    for (pattern, change, alerts, logs, expected) in [
        (
            "dependency",
            Some((ChangeKind::Config, service)),
            vec![errors()],
            vec![],
            "errors-after-config-change",
        ),
        (
            "saturation",
            None,
            vec![metric("host.name=n1", Indicator::Utilization, "system.filesystem.utilization")],
            vec!["write failed: no space left on device"],
            "disk-filling",
        ),
        (
            "dependency",
            None,
            vec![errors()],
            vec!["tls handshake with b: x509: certificate has expired or is not yet valid"],
            "certificate-expired",
        ),
        (
            "saturation",
            None,
            vec![metric(service, Indicator::Saturation, "kafka.consumer.lag")],
            vec![],
            "queue-backlog",
        ),
        (
            "traffic",
            None,
            vec![metric(service, Indicator::Rate, "http.server.request rate")],
            vec![],
            "traffic-surge",
        ),
        (
            "dependency",
            None,
            vec![errors()],
            vec!["upstream b: connection refused"],
            "dependency-unavailable",
        ),
        (
            "deploy",
            DEPLOY,
            vec![
                alert(service, Indicator::Availability, &[("alertname", "KubePodCrashLooping")]),
                metric(service, Indicator::Saturation, "k8s.container.restarts"),
            ],
            vec!["panic: runtime error: index out of range"],
            "crash-loop",
        ),
    ] {
        let trouble = Trouble { cause: service, pattern, change, alerts, logs: &logs };
        let found = ids(&trouble.situation());
        assert_eq!(found.first().map(String::as_str), Some(expected), "{found:?}");
    }
}

#[test]
fn without_an_alert_or_a_cause_nothing_is_proposed() {
    assert_eq!(ids(&Situation::default()), Vec::<String>::new());
    let mut unknown = situation();
    unknown.change = None;
    if let Some(h) = &mut unknown.hypothesis {
        h.pattern = "unknown".into();
    }
    assert_eq!(ids(&unknown), Vec::<String>::new());
}

#[test]
fn every_shipped_runbook_is_one_that_can_be_followed_at_night() {
    let library = shipped();
    assert!(library.iter().count() >= 12);
    for runbook in library.iter() {
        let id = &runbook.front.id;
        for section in [
            "How to recognise it",
            "First checks",
            "Decide",
            "Fix",
            "Verify",
            "Roll back",
            "When to escalate",
        ] {
            assert!(runbook.body.contains(&format!("## {section}\n")), "{id} lacks {section}");
        }
        assert!(runbook.body.contains('`'), "{id} names no query to check with");
        assert!(!runbook.front.preconditions.is_empty(), "{id}");
        assert!(!runbook.front.only_if.is_empty(), "{id} would be proposed for anything");
        for action in &runbook.front.actions {
            let changes_state = action.id != "rolling-restart" && action.id != "reload-by-restart";
            let way_back = action.rollback.is_some() || action.id == "revert-policy";
            let back = way_back
                || matches!(
                    action.id.as_str(),
                    "place-on-node" | "create-index" | "restore-setting"
                );
            assert!(!changes_state || back, "{id}/{} has no way back", action.id);
            assert!(action.observe.is_some(), "{id}/{} is bound to no state", action.id);
        }
        // Links between runbooks are titles in italics: each must lead somewhere.
        for title in runbook.body.split("ollow *").skip(1) {
            let title = title.split('*').next().unwrap_or_default();
            let leads = library
                .iter()
                .any(|r| r.front.title == title || r.front.title.starts_with(&format!("{title},")));
            assert!(leads, "{id} points to `{title}`, which is no runbook");
        }
    }
}

#[test]
fn what_a_provider_reports_offers_no_button_whatever_else_stands_out() {
    let outside = "server.address=api.example.com";
    let trouble = || Trouble {
        cause: outside,
        pattern: "dependency",
        change: Some((ChangeKind::Provider, outside)),
        alerts: vec![
            metric("service.name=a", Indicator::Errors, "http.server.request errors"),
            metric("service.name=a", Indicator::Availability, "k8s.container.restarts"),
            metric(
                "service.name=a",
                Indicator::Saturation,
                "db.client.connections.pending_requests",
            ),
            metric("service.name=a", Indicator::Saturation, "messaging.consumer.lag"),
            metric("host.name=n", Indicator::Utilization, "system.load_per_core"),
        ],
        logs: &["panic: connection refused", "could not get a connection within <*> ms"],
    };
    first(trouble(), "dependency-unavailable");
    let (library, situation) = (shipped(), trouble().situation());
    for found in library.matching(&situation) {
        assert!(found.runbook.front.actions.is_empty(), "{}", found.runbook.front.id);
    }
    // Nor does an action of a runbook of one's own that goes by the change.
    let runbook = library.get("deploy-rollback").expect("shipped");
    let refused = target(&runbook.front.actions[0], &situation).expect_err("nothing to undo");
    assert!(refused.to_string().contains("not known here"), "{refused}");
}
