//! The shop's PromQL held against the real Prometheus over the same samples: every query that
//! discovery and runbooks ask, and the language they are written in.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nightjar::demo::{Options, Shop};
use nightjar::model::Time;
use nightjar::model::clock::ManualClock;
use nightjar::telemetry::prometheus::{Client, PrometheusConfig, survey};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{Program, eventually, free_port, install_tls, installed, piped, serve, start};

/// Distance of the scrapes.
const STEP_MS: i64 = 15_000;
/// Scrapes: 25 minutes, with a fault after the first ten.
const SCRAPES: i64 = 100;
const FAULT_AT: i64 = 40;

fn beginning() -> Time {
    Time::parse("2026-11-18T17:00:00Z").expect("valid")
}

fn scrape(n: i64) -> Time {
    beginning().plus_ms(n * STEP_MS)
}

/// The shop, and a Prometheus that has scraped it.
struct Both {
    shop: Shop,
    real: String,
    _prometheus: Program,
    _folder: tempfile::TempDir,
}

/// Reads the shop's exposition scrape by scrape and writes it as OpenMetrics with times.
async fn samples(shop: &Shop, clock: &Arc<ManualClock>) -> String {
    let mut all = String::new();
    for n in 0..=SCRAPES {
        clock.set(scrape(n));
        if n == FAULT_AT {
            let body = json!({ "scenario": "pool-exhaustion" }).to_string();
            let client = reqwest::Client::builder().build().expect("a client");
            let request = client.post(format!("{}/admin/faults", shop.url())).body(body);
            let request = request.header("Content-Type", "application/json");
            assert!(request.send().await.expect("answers").status().is_success());
        }
        let answer = reqwest::get(format!("{}/metrics", shop.url())).await.expect("answers");
        for line in answer.text().await.expect("a text").lines().filter(|l| !l.starts_with('#')) {
            writeln!(all, "{line} {}", scrape(n).seconds()).expect("a string takes all");
        }
    }
    all.push_str("# EOF\n");
    all
}

async fn both() -> Option<Both> {
    let (prometheus, promtool) = (installed("prometheus")?, installed("promtool")?);
    install_tls();
    let clock = ManualClock::new(beginning());
    let shop = Shop::bind(Options {
        seed: 7,
        clock: clock.clone(),
        scenario: None,
        data_dir: None,
        hook_secret: "not-a-real-secret".into(),
    })
    .expect("binds");
    let serving = shop.serve(CancellationToken::new());
    serve(async move { serving.await.expect("the shop serves") });
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("samples.txt"), samples(&shop, &clock).await).expect("written");
    std::fs::write(path("prometheus.yml"), "scrape_configs: []\n").expect("written");
    let args = ["tsdb", "create-blocks-from", "openmetrics", "-q"];
    let args: Vec<String> =
        args.map(str::to_owned).into_iter().chain([path("samples.txt"), path("data")]).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (status, said) = piped(&promtool, &args, "");
    assert_eq!(status, 0, "{said}");
    let port = free_port();
    let args = [
        "--config.file=prometheus.yml".to_owned(),
        "--storage.tsdb.path=data".to_owned(),
        "--storage.tsdb.retention.time=100y".to_owned(),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    let at = ([127, 0, 0, 1], port).into();
    let prometheus = start(Path::new(&prometheus), &args, folder.path(), at).await;
    let real = format!("http://127.0.0.1:{port}");
    eventually("Prometheus to be ready", Duration::from_secs(120), async || {
        reqwest::get(format!("{real}/-/ready")).await.is_ok_and(|a| a.status().is_success())
    })
    .await;
    Some(Both { shop, real, _prometheus: prometheus, _folder: folder })
}

/// An answer: its type, and by labels its values by time.
#[derive(Debug, PartialEq)]
enum Answered {
    Data(String, BTreeMap<String, Vec<(f64, f64)>>),
    Refused(u16, String),
}

fn point(value: &Value) -> (f64, f64) {
    let text = value[1].as_str().expect("a text");
    (value[0].as_f64().expect("a time"), text.parse().expect("a number"))
}

async fn ask(base: &str, path: &str, parameters: &[(&str, String)]) -> Answered {
    let query: String =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let answer = reqwest::get(format!("{base}/api/v1/{path}?{query}")).await.expect("answers");
    let status = answer.status().as_u16();
    let mut body: Value = answer.json().await.expect("JSON");
    if status != 200 {
        return Answered::Refused(status, body["errorType"].as_str().unwrap_or("").to_owned());
    }
    let data = body["data"].take();
    let kind = data["resultType"].as_str().expect("a type").to_owned();
    let result = &data["result"];
    let rows = match kind.as_str() {
        "scalar" => BTreeMap::from([(String::new(), vec![point(result)])]),
        "string" => BTreeMap::from([(result[1].to_string(), Vec::new())]),
        _ => result
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| {
                let values = match row.get("values") {
                    Some(values) => values.as_array().expect("a list").iter().map(point).collect(),
                    None => vec![point(&row["value"])],
                };
                // Keys of JSON objects are sorted: the same labels give the same text.
                (row["metric"].to_string(), values)
            })
            .collect(),
    };
    Answered::Data(kind, rows)
}

/// What differs between two answers beyond the tolerance; `None` when nothing does.
fn difference(ours: &Answered, real: &Answered, tolerance: f64) -> Option<String> {
    let (Answered::Data(kind, ours), Answered::Data(real_kind, real)) = (ours, real) else {
        return (ours != real).then(|| format!("{ours:?} instead of {real:?}"));
    };
    if kind != real_kind {
        return Some(format!("{kind} instead of {real_kind}"));
    }
    let names = |rows: &BTreeMap<String, Vec<(f64, f64)>>| rows.keys().cloned().collect::<Vec<_>>();
    if names(ours) != names(real) {
        return Some(format!("rows {:?}\n instead of {:?}", names(ours), names(real)));
    }
    for ((labels, ours), real) in ours.iter().zip(real.values()) {
        if ours.len() != real.len() {
            return Some(format!("{labels}: {} points instead of {}", ours.len(), real.len()));
        }
        for ((at, a), (real_at, b)) in ours.iter().zip(real) {
            let same = a == b || (a.is_nan() && b.is_nan());
            let near = (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(0.05);
            if at != real_at || !(same || near) {
                return Some(format!("{labels}: {a} at {at} instead of {b} at {real_at}"));
            }
        }
    }
    None
}

impl Both {
    /// Asks both the same, at an instant and over a range, and collects what differs.
    async fn compare(&self, query: &str, tolerance: f64, found: &mut Vec<String>) {
        // Windows are closed or open at their start, by version: no sample stands there.
        let off_ms = if query.contains('[') { 7_000 } else { 0 };
        let time = |n: i64| scrape(n).plus_ms(off_ms).seconds().to_string();
        let of = |extra: Vec<(&'static str, String)>| {
            [vec![("query", query.to_owned())], extra].concat()
        };
        let instant = of(vec![("time", time(90))]);
        let range = of(vec![("start", time(36)), ("end", time(96)), ("step", "60".to_owned())]);
        for (path, parameters) in [("query", instant), ("query_range", range)] {
            let ours = ask(&self.shop.url(), path, &parameters).await;
            let real = ask(&self.real, path, &parameters).await;
            if let Some(text) = difference(&ours, &real, tolerance) {
                found.push(format!("{path} {query}\n {text}"));
            }
        }
    }
}

/// Rates of both sides come from the same truth and different arithmetic: ours are means of the
/// rate, Prometheus' are differences of scraped totals.
const RATES: f64 = 0.08;

fn tolerance(query: &str) -> f64 {
    let smooth = ["rate(", "increase(", "delta(", "deriv(", "predict_linear("];
    // A total that began at zero within the window is stretched less by Prometheus.
    if query.contains("timeouts_total") {
        return 0.25;
    }
    if smooth.iter().any(|f| query.contains(f)) { RATES } else { 1e-9 }
}

/// The PromQL in the runbooks, with the demo's names in the places that people fill in.
fn of_runbooks() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let text = std::fs::read_to_string(entry.expect("readable").path()).expect("a text");
        for quoted in text.split('`').skip(1).step_by(2) {
            let query = quoted
                .replace("<service>", "orders")
                .replace("<node>", "node-2")
                .replace("<database>", "orders-db");
            if query.contains(['{', '[']) && promql_parser::parser::parse(&query).is_ok() {
                found.push(query);
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The language, a line a feature.
const LANGUAGE: &[&str] = &[
    "up",
    "up{job=\"node-exporter\"}",
    "{__name__=~\"node_load.\",instance!=\"node-1:9100\"}",
    "{__name__=\"up\",service=~\"or.*|cart\"}",
    "count by (job) (up)",
    "count without (instance, pod) (up{service!=\"\"})",
    "sum(node_memory_MemTotal_bytes)",
    "avg by (node) (node_load1)",
    "min(node_load1)",
    "max(node_load1)",
    "group by (job) (up)",
    "stddev(node_load1)",
    "stdvar by (job) (node_load1)",
    "quantile(0.9, node_load1)",
    "quantile(1.5, node_load1)",
    "topk(2, node_load1)",
    "bottomk(1, node_load1)",
    "topk by (state) (1, db_client_connections_usage)",
    "count_values by (job) (\"v\", up)",
    "count_values(\"v\", kube_deployment_spec_replicas)",
    "node_load1 + 1",
    "1 - node_load1",
    "-node_load1",
    "2 ^ 3 ^ 2",
    "-2 ^ 2",
    "7 % 4 - 10 % -3",
    "1 / 0",
    "0 / 0",
    "node_load1 > 0.5",
    "node_load1 > bool 0.5",
    "0.5 < node_load1",
    "1 == bool 2",
    "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    "node_memory_MemAvailable_bytes / on (instance) node_memory_MemTotal_bytes",
    "node_load1 / ignoring (cpu, mode) group_left () node_memory_MemTotal_bytes",
    "db_client_connections_usage / ignoring (state) group_left () db_client_connections_max",
    "db_client_connections_max * on (pod) group_right () db_client_connections_usage",
    "kube_deployment_spec_replicas == kube_deployment_status_replicas_available",
    "kube_deployment_spec_replicas > bool kube_deployment_status_replicas_available",
    "up and on (service) db_client_connections_max",
    "up{service!=\"\"} unless on (service) db_client_connections_max",
    "node_load1 or node_memory_MemTotal_bytes",
    "sum by (service) (up) or sum by (service) (up) * 0",
    "absent(up)",
    "absent(nothing{a=\"b\"})",
    "absent(nothing{a=\"b\",a=\"c\",d!=\"e\",f=\"g\"})",
    "absent(sum(nothing{a=\"b\"}))",
    "absent(up{job=\"nobody\",instance=~\"x.*\"})",
    "scalar(sum(up))",
    "scalar(up)",
    "vector(3)",
    "time()",
    "clamp(node_load1, 0.2, 0.4)",
    "clamp_min(node_load1, 0.4)",
    "clamp_max(node_load1, 0.4)",
    "round(node_load1, 0.1)",
    "round(node_load1 * 10)",
    "abs(-node_load1)",
    "ceil(node_load1)",
    "floor(node_load1)",
    "sqrt(node_load1)",
    "exp(node_load1)",
    "ln(node_load1)",
    "log2(node_load1)",
    "log10(node_load1)",
    "sgn(node_load1 - 0.5)",
    "hour()",
    "minute()",
    "day_of_week()",
    "day_of_month()",
    "day_of_year()",
    "days_in_month()",
    "month()",
    "year()",
    "year(vector(0))",
    "sin(node_load1)",
    "atan(node_load1)",
    "deg(pi())",
    "rad(node_load1)",
    "timestamp(node_load1)",
    "label_replace(up, \"short\", \"$1\", \"instance\", \"([^:]+):.*\")",
    "label_replace(up, \"job\", \"\", \"job\", \".*\")",
    "label_join(up, \"both\", \"/\", \"job\", \"instance\")",
    "sort(node_load1)",
    "avg_over_time(node_load1[5m])",
    "sum_over_time(node_load1[5m])",
    "min_over_time(node_load1[5m])",
    "max_over_time(node_load1[5m])",
    "count_over_time(node_load1[5m])",
    "last_over_time(node_load1[5m])",
    "present_over_time(node_load1[5m])",
    "absent_over_time(node_load1[5m])",
    "absent_over_time(nothing{a=\"b\"}[5m])",
    "stddev_over_time(node_load1[5m])",
    "stdvar_over_time(node_load1[5m])",
    "quantile_over_time(0.9, node_load1[5m])",
    "changes(db_client_connections_usage[5m])",
    "resets(db_client_connections_usage[5m])",
    "delta(node_load1[5m])",
    "idelta(node_load1[5m])",
    "deriv(node_memory_MemAvailable_bytes[5m])",
    "predict_linear(node_memory_MemAvailable_bytes[5m], 3600)",
    "rate(node_cpu_seconds_total{mode=\"user\"}[2m])",
    "irate(node_cpu_seconds_total{mode=\"user\"}[2m])",
    "increase(node_cpu_seconds_total{mode=\"user\"}[2m])",
    "sum(rate(http_requests_total[5m])) by (service)",
    "rate(node_cpu_seconds_total{mode=\"idle\"}[2m] offset 2m)",
    "node_load1 offset 5m",
    "sum(node_load1 offset 5m) / sum(node_load1)",
    "max_over_time(avg by (job) (node_load1)[5m:1m])",
    "histogram_quantile(0.5, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
    "histogram_quantile(0.99, sum by (le, service) (rate(grpc_server_handling_seconds_bucket[5m])))",
    "histogram_quantile(2, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
    "nothing",
    "sum(nothing)",
    "nothing / nothing",
    "\"a text\"",
    // What is refused, in the same way.
    "sum(",
    "up{",
    "up[5m",
    "rate(up)",
    "{}",
    "foo(up)",
    "up + \"a\"",
    "sum by (a) (up) by (b)",
    "up[5m] + 1",
];

/// What is asked of names, labels and series.
const METADATA: [&str; 11] = [
    "label/__name__/values",
    "label/instance/values",
    "label/instance/values?match[]=node_load1",
    "label/__name__/values?match[]={service=\"orders\"}&match[]=node_load1",
    "label/nothing/values",
    "label/a-b/values",
    "labels",
    "labels?match[]=node_load1",
    "series?match[]=node_load1&match[]=db_client_connections_max{service=~\"o.*\"}",
    "series",
    "series?match[]=sum(up)",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_answers_as_the_real_prometheus_does() {
    let Some(both) = both().await else { return };
    let mut found = Vec::new();
    let mut n = 0;
    let config = PrometheusConfig { url: both.shop.url(), ..PrometheusConfig::default() };
    let client = Client::new(&config).expect("a client");
    let (_, discovered) = survey(&client, &config).await.expect("surveyed");
    let asked = discovered
        .watches
        .iter()
        .flat_map(|w| [Some(w.promql.clone()), w.limit_promql.clone()].into_iter().flatten());
    // Nobody has scraped what lies before the first scrape.
    let reaches = |q: &String| !["[1h]", "[1w]", "offset 1w"].iter().any(|w| q.contains(w));
    let asked: Vec<String> = asked.chain(of_runbooks()).filter(reaches).collect();
    assert!(asked.len() > 40, "{asked:#?}");
    for query in asked.iter().map(String::as_str).chain(LANGUAGE.iter().copied()) {
        both.compare(query, tolerance(query), &mut found).await;
        n += 1;
    }
    for path in METADATA {
        n += 1;
        let [ours, real] = [both.shop.url(), both.real.clone()].map(async |base| {
            let answer = reqwest::get(format!("{base}/api/v1/{path}")).await.expect("answers");
            let status = answer.status().as_u16();
            let body: Value = answer.json().await.expect("JSON");
            let mut all: Vec<String> =
                body["data"].as_array().into_iter().flatten().map(Value::to_string).collect();
            all.sort();
            (status, all, body["errorType"].clone())
        });
        let (ours, real) = (ours.await, real.await);
        if ours != real {
            found.push(format!("{path}\n {ours:?}\n instead of {real:?}"));
        }
    }
    assert!(found.is_empty(), "{} of {n} queries differ:\n{}", found.len(), found.join("\n"));
    println!("{n} queries are answered alike");
}
