//! The whole chain on real programs: Prometheus scrapes the shop and a node exporter, the bot
//! polls it without a query configured, and rules fire through Alertmanager.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nightjar::demo::town::{NODES, SERVICES};
use nightjar::demo::{Options, Shop};
use nightjar::model::Time;
use nightjar::model::clock::ScaledClock;
use nightjar::telemetry::prometheus::{Client, PrometheusConfig};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::bot::Bot;
use crate::support::{Program, eventually, free_port, install_tls, installed, piped, serve, start};

/// The shop lives faster than Prometheus scrapes it: a ramp of a minute takes six seconds.
const SPEED: f64 = 10.0;

/// A shop that is served; its hours are the same in every run.
fn shop() -> Shop {
    install_tls();
    let noon = Time::parse("2026-11-18T17:00:00Z").expect("valid");
    let shop = Shop::bind(Options {
        seed: 7,
        clock: ScaledClock::new(noon, SPEED),
        scenario: None,
        data_dir: None,
        hook_secret: "not-a-real-secret".into(),
    })
    .expect("binds");
    let serving = shop.serve(CancellationToken::new());
    serve(async move { serving.await.expect("the shop serves") });
    shop
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The real programs around the bot.
struct Town {
    shop: Shop,
    _programs: Vec<Program>,
    _folder: tempfile::TempDir,
    prometheus: String,
}

const RULES: &str = r#"
groups:
- name: shop
  interval: 1s
  rules:
  - alert: ErrorRatioHigh
    expr: >-
      sum by (service) (rate(http_server_request_duration_seconds_count{http_response_status_code=~"5.."}[10s]))
      / sum by (service) (rate(http_server_request_duration_seconds_count[10s])) > 0.05
    for: 3s
    labels: {severity: page}
    annotations: {summary: 'More than 5 % of the requests to {{ $labels.service }} fail'}
"#;

async fn town(bot_port: u16) -> Option<Town> {
    let (prometheus, exporter, alertmanager) = (
        installed("prometheus")?,
        installed("prometheus-node-exporter")?,
        installed("prometheus-alertmanager")?,
    );
    let shop = shop();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let [own, nodes, alerts] = [free_port(), free_port(), free_port()];
    let write = |name: &str, text: String| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write(
        "prometheus.yml",
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [rules.yml]\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alerts}']}}]}}]}}\n\
             scrape_configs:\n\
             - {{job_name: shop, honor_labels: true, static_configs: [{{targets: ['{}']}}]}}\n\
             - {{job_name: node, static_configs: [{{targets: ['127.0.0.1:{nodes}']}}]}}\n",
            shop.addr()
        ),
    );
    write("rules.yml", RULES.to_owned());
    write(
        "alertmanager.yml",
        format!(
            "route: {{receiver: nightjar, group_by: [alertname], group_wait: 1s, \
             group_interval: 1s, repeat_interval: 1h}}\n\
             receivers:\n\
             - name: nightjar\n  webhook_configs:\n\
             \x20 - {{url: 'http://127.0.0.1:{bot_port}/ingest/alertmanager', send_resolved: true}}\n"
        ),
    );
    let listen = |port| format!("--web.listen-address=127.0.0.1:{port}");
    let run = async |program: &Path, port: u16, args: &[&str]| {
        let args: Vec<String> = args.iter().map(|&a| a.to_owned()).chain([listen(port)]).collect();
        start(program, &args, folder.path(), at(port)).await
    };
    let programs = vec![
        run(&exporter, nodes, &[]).await,
        run(
            &alertmanager,
            alerts,
            &["--config.file=alertmanager.yml", "--storage.path=am", "--cluster.listen-address="],
        )
        .await,
        run(&prometheus, own, &["--config.file=prometheus.yml", "--storage.tsdb.path=data"]).await,
    ];
    let prometheus = format!("http://127.0.0.1:{own}");
    Some(Town { shop, _programs: programs, _folder: folder, prometheus })
}

/// Settings for a Prometheus that scrapes every second: everything that is minutes elsewhere.
fn settings(prometheus: &str) -> String {
    let mut text = format!(
        "[detect]\nhold_s = 3\nclear_s = 6\nwarm_up_points = 40\n\
         [correlate]\ngroup_wait_s = 3\nquiet_s = 10\n\
         [[prometheus]]\nname = \"main\"\nurl = \"{prometheus}\"\ninterval_s = 1\nstep_s = 1\n\
         rate_window_s = 10\nbackfill_days = 1\ntimeout_s = 10\n[graph.calls]\n"
    );
    for service in &SERVICES {
        let callees: Vec<&str> =
            service.calls.iter().map(|c| c.to).chain(service.database.map(|d| d.0)).collect();
        writeln!(text, "{} = {callees:?}", service.name).expect("a string takes all");
    }
    text
}

/// Whether an alert is about the shop and not about this machine.
fn of_shop(alert: &Value) -> bool {
    let entity = alert["entity"].as_str().expect("a text");
    let name = entity.split_once('=').expect("attribute=name").1;
    SERVICES.iter().any(|s| s.name == name) || NODES.contains(&name) || name.ends_with("-db")
}

async fn post(shop: &Shop, path: &str, body: &Value) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build();
    let request = client.expect("a client").post(format!("{}{path}", shop.url()));
    let answer = request.json(body).send().await.expect("the shop answers");
    assert!(answer.status().is_success(), "{}", answer.text().await.expect("a text"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_and_a_rule_that_fires_for_it_become_one_incident_and_resolve() {
    // Held until the bot needs it: in the minute until then others look for free ports too.
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = held.local_addr().expect("it is bound").port();
    let Some(town) = town(port).await else { return };
    let source = PrometheusConfig {
        name: "main".into(),
        url: town.prometheus.clone(),
        ..PrometheusConfig::default()
    };
    let client = Client::new(&source).expect("a client");
    // A minute of scrapes is what detection learns from here.
    let learned = "min(count_over_time(up{instance=~\"127.0.0.1:.+\"}[10m]))";
    eventually("a minute of scrapes", Duration::from_secs(120), async || {
        let rows = client.instant(learned, None).await.unwrap_or_default();
        rows.first().is_some_and(|(_, n)| *n >= 60.0)
    })
    .await;

    drop(held);
    let bot = Bot::on(port, &settings(&town.prometheus)).await;
    eventually("the golden signals to be watched", Duration::from_secs(120), async || {
        let watched = bot.get("/api/v1/services").await;
        let series = watched["series"].as_array().expect("a list");
        let has = |entity: &str, metric: &str| {
            series.iter().any(|s| s["entity"] == entity && s["metric"] == metric)
        };
        SERVICES.iter().all(|s| {
            let metric = "container.memory.working_set";
            has(&format!("service.name={}", s.name), metric)
        }) && has("service.name=orders", "http.server.request.error_ratio")
            && has("host.name=node-2", "system.cpu.utilization")
            && series.iter().any(|s| {
                let entity = s["entity"].as_str().expect("a text");
                s["metric"] == "system.memory.utilization"
                    && entity.starts_with("host.name=")
                    && !NODES.contains(&&entity["host.name=".len()..])
            })
    })
    .await;
    bot.judged().await;
    let alerts = bot.list("alerts").await;
    let early: Vec<&Value> = alerts.iter().filter(|a| of_shop(a)).collect();
    assert!(early.is_empty(), "a quiet shop has no alerts: {early:#?}");

    post(&town.shop, "/admin/faults", &json!({ "scenario": "pool-exhaustion" })).await;
    let on_orders = async || -> Vec<Value> {
        let alerts = bot.list("alerts").await;
        let of_orders = |a: &Value| a["entity"] == "service.name=orders";
        alerts.into_iter().filter(|a| of_orders(a) && !a["incident"].is_null()).collect()
    };
    eventually(
        "our own alert and the rule's to be grouped",
        Duration::from_secs(120),
        async || {
            let alerts = on_orders().await;
            alerts.iter().any(|a| a["source"]["kind"] == "detector")
                && alerts.iter().any(|a| a["source"]["system"] == "alertmanager")
        },
    )
    .await;

    let fix = json!({ "key": "worker_concurrency", "value": "16" });
    post(&town.shop, "/admin/services/orders/config", &fix).await;
    eventually("the incident to resolve", Duration::from_secs(120), async || {
        let incidents = bot.list("incidents").await;
        let of_orders = incidents.iter().find(|i| {
            i["entities"].as_array().is_some_and(|e| e.contains(&json!("service.name=orders")))
        });
        of_orders.is_some_and(|i| i["state"] == "resolved")
    })
    .await;
    let alerts = bot.list("alerts").await;
    let joined: Vec<&Value> =
        alerts.iter().filter(|a| of_shop(a) && !a["incident"].is_null()).collect();
    let external = joined.iter().filter(|a| a["source"]["system"] == "alertmanager");
    assert!(external.clone().count() >= 1);
    for alert in &joined {
        assert_eq!(alert["incident"], joined[0]["incident"], "{alert:#}");
        assert_eq!(alert["status"], "resolved", "{alert:#}");
    }
    assert_eq!(bot.metric("nightjar_alertmanager_undecodable_total", "").await, 0.0);
}

/// Names that the lint would like otherwise and that the real exporters have all the same.
const AS_EXPORTERS_NAME_THEM: [&str; 2] = ["node_memory_", "pg_stat_"];

#[tokio::test]
async fn what_prometheus_scrapes_from_the_shop_is_well_formed() {
    let Some(promtool) = installed("promtool") else { return };
    let shop = shop();
    let answer = reqwest::get(format!("{}/metrics", shop.url())).await.expect("answers");
    let kind = answer.headers()["content-type"].to_str().expect("a text").to_owned();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().await.expect("a text");
    let (status, said) = piped(&promtool, &["check", "metrics"], &text);
    // 1: it can't be parsed; 3: only the lint has something to say.
    assert!(matches!(status, 0 | 3), "{status}: {said}");
    for line in said.lines() {
        let name = line.split([' ', ':']).next().expect("a name");
        assert!(AS_EXPORTERS_NAME_THEM.iter().any(|n| name.starts_with(n)), "{line}");
    }
}
