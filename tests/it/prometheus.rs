//! Polling: the real Prometheus with the real node exporter, and servers that misbehave.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nightjar::bus::Bus;
use nightjar::model::clock::SystemClock;
use nightjar::model::{Batch, Indicator, SeriesId, SharedClock, Time, wall_now};
use nightjar::store::{SeriesFilter, Store};
use nightjar::telemetry::intake::Intake;
use nightjar::telemetry::prometheus::{
    Client, Poller, Progress, PrometheusConfig, QueryConfig, survey,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::support::{Program, eventually, free_port, install_tls, installed, serve, start};

/// The real servers, scraping each other every second.
struct Servers {
    _programs: [Program; 2],
    _folder: tempfile::TempDir,
    url: String,
}

async fn servers() -> Option<Servers> {
    install_tls();
    let (prometheus, exporter) = (installed("prometheus")?, installed("prometheus-node-exporter")?);
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (own, nodes) = (free_port(), free_port());
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n\
         - {{job_name: node, static_configs: [{{targets: ['127.0.0.1:{nodes}']}}]}}\n\
         - {{job_name: prometheus, static_configs: [{{targets: ['127.0.0.1:{own}']}}]}}\n"
    );
    std::fs::write(folder.path().join("prometheus.yml"), config).expect("written");
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let listen = |port| format!("--web.listen-address=127.0.0.1:{port}");
    let exporter = start(&exporter, &[listen(nodes)], folder.path(), at(nodes)).await;
    let args =
        ["--config.file=prometheus.yml".into(), "--storage.tsdb.path=data".into(), listen(own)];
    let prometheus = start(&prometheus, &args, folder.path(), at(own)).await;
    let url = format!("http://127.0.0.1:{own}");
    Some(Servers { _programs: [exporter, prometheus], _folder: folder, url })
}

fn config(url: &str) -> PrometheusConfig {
    PrometheusConfig {
        name: "main".into(),
        url: url.into(),
        timeout_s: 5,
        step_s: 1,
        scrape_interval_s: Some(1),
        backfill_days: 1,
        ..PrometheusConfig::default()
    }
}

struct Bench {
    store: Store,
    intake: Intake,
    seen: Arc<Mutex<Vec<Progress>>>,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        install_tls();
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
        let intake = Intake::open(store.clone(), Bus::default()).await.expect("opens");
        Self { store, intake, seen: Arc::default(), _folder: folder }
    }

    fn poller(&self, config: PrometheusConfig, clock: SharedClock) -> Poller {
        let seen = self.seen.clone();
        let progress = Arc::new(move |p| seen.lock().expect("no panic under it").push(p));
        Poller::new(config, self.intake.clone(), self.store.clone(), clock, progress)
            .expect("a valid configuration")
    }

    async fn batches(&self) -> Vec<Batch> {
        let all = self.store.read(|r| r.batches_after(0, 10_000)).await.expect("reads");
        all.into_iter().map(|j| j.batch).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_is_polled_without_any_query_configured() {
    let Some(servers) = servers().await else { return };
    let client = Client::new(&config(&servers.url)).expect("a client");
    eventually("the first scrapes", Duration::from_secs(120), async || {
        client
            .instant("min(up) and count(rate(node_cpu_seconds_total[4s]))", None)
            .await
            .is_ok_and(|rows| rows.first().is_some_and(|(_, v)| *v == 1.0))
    })
    .await;
    assert!(client.version().await.expect("it answers").starts_with('2'));
    assert_eq!(client.scrape_interval_ms().await, Some(1_000));
    assert!(client.metadata().await.iter().any(|(name, m)| name == "up" || m.kind == "gauge"));

    let (_, found) = survey(&client, &config(&servers.url)).await.expect("surveyed");
    let recipes: Vec<&str> = found.watches.iter().map(|w| w.recipe.as_str()).collect();
    for expected in [
        "prometheus-self/requests.rate",
        "prometheus-self/requests.errors",
        "prometheus-self/requests.duration",
        "up/up",
        "node-cpu/cpu",
        "node-memory/memory",
        "node-load/load",
        "node-filesystem/filesystem",
        "node-network/network.errors",
        "process-memory/memory",
        "go-runtime/goroutines",
    ] {
        assert!(recipes.contains(&expected), "{expected} is missing in {recipes:?}");
    }

    let bench = Bench::new().await;
    let mut poller = bench.poller(config(&servers.url), Arc::new(SystemClock));
    poller.load().await.expect("no cursor yet");
    let poller = tokio::sync::Mutex::new(poller);
    eventually("points of the golden signals", Duration::from_secs(120), async || {
        poller.lock().await.poll().await.expect("the store works");
        let series = bench.store.read(|r| r.list_series(&SeriesFilter::default()));
        let series = series.await.expect("reads");
        [Indicator::Rate, Indicator::Errors, Indicator::Utilization, Indicator::Availability]
            .iter()
            .all(|i| series.iter().any(|s| s.indicator == *i))
    })
    .await;
    let batches = bench.batches().await;
    let gaps: Vec<_> = batches.iter().flat_map(|b| &b.gaps).collect();
    assert!(gaps.is_empty(), "{gaps:?}");
    let points = batches.iter().flat_map(|b| &b.metrics).flat_map(|s| &s.points);
    assert!(points.clone().count() > 10 && points.clone().all(|p| p.value.is_finite()));

    // Each series' own query gives exactly that series again.
    let series =
        bench.store.read(|r| r.list_series(&SeriesFilter::default())).await.expect("reads");
    let host = series.iter().find(|s| s.metric == "system.memory.utilization").expect("watched");
    assert!(host.entity.is_host(), "{}", host.entity);
    let query = host.query.as_deref().expect("it has one");
    assert_eq!(client.instant(query, None).await.expect(query).len(), 1);

    // A restart goes on from the cursor: no point is told twice.
    let n = bench.batches().await.len();
    let mut again = bench.poller(config(&servers.url), Arc::new(SystemClock));
    again.load().await.expect("the cursor reads");
    again.poll().await.expect("the store works");
    let (old, new) = {
        let batches = bench.batches().await;
        let times = |b: &[Batch]| -> Vec<(SeriesId, Time)> {
            b.iter()
                .flat_map(|b| &b.metrics)
                .flat_map(|s| s.points.iter().map(|p| (s.series.id, p.at)))
                .collect()
        };
        (times(&batches[..n]), times(&batches[n..]))
    };
    assert!(new.iter().all(|p| !old.contains(p)));
}

/// A server that sends the same bytes to whoever connects, or nothing at all.
async fn misbehaving(answer: Option<&'static str>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    serve(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Some(answer) = answer {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            } else {
                held.push(stream);
            }
        }
    });
    url
}

#[tokio::test]
async fn a_misbehaving_server_becomes_a_gap_with_a_clear_reason() {
    let cases = [
        (
            Some("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>Sign in</html>"),
            "did not answer as Prometheus does: it sent a web page",
        ),
        (
            Some("HTTP/1.1 200 OK\r\n\r\n{\"status\":\"success\",\"data\":{\"resultType\":\"sca"),
            "sent JSON that can't be read: it ends after",
        ),
        (
            Some("HTTP/1.1 401 Unauthorized\r\n\r\nno"),
            "HTTP 401 (unauthorised); check `bearer_token`",
        ),
        (
            Some("HTTP/1.1 502 Bad Gateway\r\n\r\n<html></html>"),
            "HTTP 502 (a proxy can't reach it)",
        ),
        (
            Some(
                "HTTP/1.1 400 Bad Request\r\n\r\n{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"parse error\"}",
            ),
            "refused (bad_data): parse error",
        ),
        (Some("nonsense\r\n\r\n"), "can't be reached"),
        (None, "no answer within 1 s"),
    ];
    for (answer, expected) in cases {
        let bench = Bench::new().await;
        let config = PrometheusConfig { timeout_s: 1, ..config(&misbehaving(answer).await) };
        let mut poller = bench.poller(config, Arc::new(SystemClock));
        poller.poll().await.expect("a bad server is no fault of ours");
        poller.poll().await.expect("a bad server is no fault of ours");
        let gaps: Vec<_> = bench.batches().await.into_iter().flat_map(|b| b.gaps).collect();
        assert_eq!(gaps.len(), 1, "one gap for two polls: {gaps:?}");
        assert_eq!(gaps[0].what, "prometheus main");
        assert!(gaps[0].why.contains(expected), "{} lacks {expected}", gaps[0].why);
    }
    let bench = Bench::new().await;
    let mut poller =
        bench.poller(config(&format!("http://127.0.0.1:{}", free_port())), Arc::new(SystemClock));
    poller.poll().await.expect("no server is no fault of ours");
    let gaps: Vec<_> = bench.batches().await.into_iter().flat_map(|b| b.gaps).collect();
    assert!(gaps[0].why.contains("can't be reached"), "{}", gaps[0].why);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_query_is_a_gap_and_the_right_one_is_still_read() {
    let Some(servers) = servers().await else { return };
    let bench = Bench::new().await;
    let query = |promql: &str, metric: &str| -> QueryConfig {
        let text = serde_json::json!({ "promql": promql, "metric": metric });
        serde_json::from_value(text).expect("defaults fill the rest")
    };
    let config = PrometheusConfig {
        queries: vec![
            query("vector(", "wrong"),
            query("time() / vector(0) or vector(7)", "inf"),
            query("vector(7)", "seven"),
        ],
        ..config(&servers.url)
    };
    let mut poller = bench.poller(config, Arc::new(SystemClock));
    poller.poll().await.expect("the store works");
    let batches = bench.batches().await;
    let gaps: Vec<_> = batches.iter().flat_map(|b| &b.gaps).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].what, "prometheus main: wrong");
    assert!(gaps[0].why.contains("refused (bad_data)"), "{}", gaps[0].why);
    let metrics: BTreeSet<&str> =
        batches.iter().flat_map(|b| &b.metrics).map(|s| s.series.metric.as_str()).collect();
    assert_eq!(metrics, BTreeSet::from(["seven"]));

    // A day of history at 5 min, then the last minutes at 1 s, in order and without a hole.
    let mut history = Vec::new();
    let mut live = Vec::new();
    for batch in &batches {
        let into = if batch.backfill { &mut history } else { &mut live };
        into.extend(batch.metrics.iter().flat_map(|s| s.points.iter().map(|p| p.at)));
    }
    assert!(history.len() > 280 && history.is_sorted() && live.is_sorted());
    assert_eq!(live[0].ms_since(*history.last().expect("some")), 1_000);
    assert!(live.windows(2).all(|w| w[1].ms_since(w[0]) == 1_000));
    let progress = bench.seen.lock().expect("no panic under it").clone();
    assert!(progress.iter().any(|p| p.backfill) && progress.last().is_some_and(|p| !p.backfill));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_points_than_prometheus_answers_are_read_in_parts() {
    let Some(servers) = servers().await else { return };
    let client = Client::new(&config(&servers.url)).expect("a client");
    let until = wall_now().floor_to(1_000);
    let since = until.plus_ms(-25_000_000);
    let rows = client.range("vector(1)", since, until, 1_000).await.expect("in parts");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].values.len(), 25_001);
}

/// The loop can be handed to whatever spawns tasks.
#[test]
fn the_loop_may_move_between_threads() {
    fn sendable<T: Send>(_: impl FnOnce(Poller) -> T) {}
    sendable(|poller| poller.run(CancellationToken::new()));
}
