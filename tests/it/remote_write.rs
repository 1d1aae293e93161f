//! Remote-write and histograms against the real Prometheus: it writes to the bot, and its own
//! `histogram_quantile` of the same data is the measure.

use std::net::SocketAddr;
use std::time::Duration;

use nightjar::model::wall_now;
use nightjar::telemetry::prometheus::{Client, PrometheusConfig, survey};
use nightjar::telemetry::remote_write::{Config, Receiver};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::support::{eventually, free_port, install_tls, installed, start};

/// What a service under test exposes: a classic histogram whose counts grow with each scrape.
fn exposition(scrape: u64) -> String {
    let name = "http_request_duration_seconds";
    let mut text = format!("# TYPE {name} histogram\n");
    let mut below = 0;
    for (le, each) in [("0.1", 50), ("0.2", 40), ("0.4", 8), ("+Inf", 2)] {
        below += each * scrape;
        text += &format!("{name}_bucket{{code=\"200\",le=\"{le}\"}} {below}\n");
    }
    text + &format!(
        "{name}_sum{{code=\"200\"}} {}\n{name}_count{{code=\"200\"}} {below}\n",
        scrape * 15
    )
}

/// Answers every request on a port with what `answer` makes of its number and body.
async fn answering(
    listener: tokio::net::TcpListener,
    mut answer: impl FnMut(u64, String, Vec<u8>) -> String,
) {
    for n in 1.. {
        let Ok((mut stream, _)) = listener.accept().await else { return };
        let mut read = Vec::new();
        let mut chunk = vec![0; 65_536];
        let (head, body) = loop {
            let Ok(length @ 1..) = stream.read(&mut chunk).await else {
                break (String::new(), read);
            };
            read.extend_from_slice(&chunk[..length]);
            let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
            let expected = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            if read.len() >= end + 4 + expected.unwrap_or(0) {
                break (head, read.split_off(end + 4));
            }
        };
        let text = answer(n, head, body);
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        );
        // A client that went away is none of our business.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

async fn listener() -> (tokio::net::TcpListener, u16) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_writes_and_its_own_quantiles_are_ours() {
    install_tls();
    let Some(prometheus) = installed("prometheus") else { return };
    let folder = tempfile::tempdir().expect("a scratch folder");
    let ((service, served), (door, written), own) =
        (listener().await, listener().await, free_port());
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n\
         - {{job_name: orders, static_configs: [{{targets: ['127.0.0.1:{served}']}}]}}\n\
         remote_write:\n- {{url: 'http://127.0.0.1:{written}/api/v1/write', queue_config: {{batch_send_deadline: 100ms}}}}\n"
    );
    std::fs::write(folder.path().join("prometheus.yml"), config).expect("written");
    let args = [
        "--config.file=prometheus.yml".into(),
        "--storage.tsdb.path=data".into(),
        format!("--web.listen-address=127.0.0.1:{own}"),
    ];
    let (told, mut heard) = mpsc::unbounded_channel();
    let receiver = Receiver::new(Config { interval_s: 1, ..Config::default() });
    let work = async {
        let _running =
            start(&prometheus, &args, folder.path(), SocketAddr::from(([127, 0, 0, 1], own))).await;
        let mut of = std::collections::BTreeMap::new();
        // Three moments of each, after those at the start.
        while of.get("http.server.request.duration p90").map_or(0, Vec::len) < 3 {
            let next = tokio::time::timeout(Duration::from_secs(60), heard.recv()).await;
            let batch: nightjar::model::Batch = next.expect("it writes").expect("it is open");
            for samples in batch.metrics {
                assert_eq!(samples.series.entity.to_string(), "service.name=orders");
                of.entry(samples.series.metric).or_insert_with(Vec::new).extend(samples.points);
            }
        }
        let newest = |what: &str| of[&format!("http.server.request.duration {what}")].last();
        let url = format!("http://127.0.0.1:{own}");
        let client =
            Client::new(&PrometheusConfig { url, timeout_s: 5, ..PrometheusConfig::default() })
                .expect("a client");
        for (what, q) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
            let point = newest(what).expect("three moments");
            let promql = format!(
                "histogram_quantile({q}, sum by (le) (rate(http_request_duration_seconds_bucket[1m])))"
            );
            eventually("an answer", Duration::from_secs(120), async || {
                client.instant(&promql, Some(point.at)).await.is_ok_and(|rows| !rows.is_empty())
            })
            .await;
            let rows = client.instant(&promql, Some(point.at)).await.expect("answered");
            assert!(
                (rows[0].1 - point.value).abs() < 1e-9,
                "{what}: {} {}",
                rows[0].1,
                point.value
            );
        }
        // Scrapes come when the machine gets to them: the measure is what the server itself says of
        // its last two, and not the 100 a second of an idle machine.
        let point = newest("rate").expect("three moments");
        let promql = "sum(irate(http_request_duration_seconds_count[1m]))";
        eventually("its rate is ours", Duration::from_secs(120), async || {
            let rows = client.instant(promql, Some(point.at)).await.unwrap_or_default();
            let theirs = rows.first().map_or(0.0, |row| row.1);
            theirs > 0.0 && (point.value / theirs - 1.0).abs() < 1e-9
        })
        .await;
        assert!((newest("mean").expect("three moments").value - 0.15).abs() < 1e-9);
        assert!((of["up"][0].value - 1.0).abs() < 1e-9);
    };
    let scraped = answering(service, |n, _, _| exposition(n));
    let taken = answering(door, |_, head, body| {
        let header = |name: &str| {
            head.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned())
        };
        let (kind, encoding) = (header("content-type:"), header("content-encoding:"));
        let decoded = receiver.decode(kind.as_deref(), encoding.as_deref(), &body, wall_now());
        // The receiver may be gone once the test has seen enough.
        let _ = told.send(decoded.expect("what a real server sends").batch);
        String::new()
    });
    tokio::select! {
        () = work => {}
        () = scraped => {}
        () = taken => {}
    }
}

/// `prometheus.WriteRequest` as far as a native histogram needs it.
#[derive(Clone, PartialEq, prost::Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    count: Option<u64>,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(uint64, optional, tag = "6")]
    zero_count: Option<u64>,
    #[prost(message, repeated, tag = "8")]
    negative_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "9")]
    negative_deltas: Vec<i64>,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "12")]
    positive_deltas: Vec<i64>,
    #[prost(int64, tag = "15")]
    timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Span {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

/// A histogram of schema 8, whose buckets are so narrow (0.27 %) that it does not matter how values
/// lie within one: this Prometheus interpolates evenly, newer ones and we on a logarithmic scale.
fn native(timestamp: i64, grown: u64) -> Histogram {
    let side = |weights: &[u64]| -> (Vec<i64>, u64) {
        let counts: Vec<i64> = weights.iter().map(|w| (w * grown).cast_signed()).collect();
        let steps = counts.iter().scan(0, |last, c| Some(c - std::mem::replace(last, *c)));
        (steps.collect(), weights.iter().sum::<u64>() * grown)
    };
    let (negative_deltas, n_negative) = side(&[3, 1]);
    let (positive_deltas, n_positive) = side(&[5, 9, 20, 2, 1]);
    let zero = 4 * grown;
    Histogram {
        count: Some(n_negative + n_positive + zero),
        sum: 0.3 * grown as f64,
        schema: 8,
        zero_threshold: 1e-9,
        zero_count: Some(zero),
        negative_spans: vec![Span { offset: -700, length: 2 }],
        negative_deltas,
        positive_spans: vec![Span { offset: -900, length: 3 }, Span { offset: 150, length: 2 }],
        positive_deltas,
        timestamp,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn native_histograms_have_the_quantiles_that_a_real_prometheus_gives() {
    install_tls();
    let Some(prometheus) = installed("prometheus") else { return };
    let folder = tempfile::tempdir().expect("a scratch folder");
    let own = free_port();
    std::fs::write(folder.path().join("prometheus.yml"), "global: {}\n").expect("written");
    let args = [
        "--config.file=prometheus.yml".into(),
        "--storage.tsdb.path=data".into(),
        "--web.enable-remote-write-receiver".into(),
        "--enable-feature=native-histograms".into(),
        format!("--web.listen-address=127.0.0.1:{own}"),
    ];
    let at = SocketAddr::from(([127, 0, 0, 1], own));
    let _running = start(&prometheus, &args, folder.path(), at).await;
    let now = wall_now();
    let label = |name: &str, value: &str| Label { name: name.into(), value: value.into() };
    let series = TimeSeries {
        labels: vec![label("__name__", "http_request_duration_seconds"), label("job", "orders")],
        histograms: vec![native(now.ms() - 30_000, 10), native(now.ms() - 15_000, 40)],
    };
    let message = prost::Message::encode_to_vec(&WriteRequest { timeseries: vec![series] });
    let body = snap::raw::Encoder::new().compress_vec(&message).expect("short");
    let ours = Receiver::new(Config::default()).decode(None, None, &body, now).expect("decodes");

    let url = format!("http://127.0.0.1:{own}");
    let client = Client::new(&PrometheusConfig {
        url: url.clone(),
        timeout_s: 5,
        ..PrometheusConfig::default()
    })
    .expect("a client");
    eventually("a server that is ready", Duration::from_secs(120), async || {
        let sent = reqwest::Client::builder()
            .build()
            .expect("a client")
            .post(format!("{url}/api/v1/write"));
        let sent = sent.header("Content-Encoding", "snappy").body(body.clone()).send().await;
        sent.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    // A server that is polled and has only that form is understood as well.
    let config = PrometheusConfig { url: url.clone(), ..PrometheusConfig::default() };
    let (_, found) = survey(&client, &config).await.expect("surveyed");
    let metrics: Vec<&str> = found.watches.iter().map(|w| w.metric.as_str()).collect();
    assert_eq!(metrics, ["http.server.request.rate", "http.server.request.duration p95"]);
    for watch in &found.watches {
        let rows = client.instant(&watch.promql, Some(now)).await.expect("it is understood");
        assert_eq!(rows.len(), 1, "{}", watch.promql);
    }
    for (what, q) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        let promql = format!("histogram_quantile({q}, rate(http_request_duration_seconds[1m]))");
        let rows = client.instant(&promql, Some(now)).await.expect("answered");
        let theirs = rows.first().expect("one series").1;
        let metric = format!("http.server.request.duration {what}");
        let found = ours.batch.metrics.iter().find(|s| s.series.metric == metric);
        let point = found.expect("stands").points[0].value;
        assert!(
            (point - theirs).abs() <= 1e-5 * theirs.abs().max(1e-9),
            "{what}: {point} {theirs}"
        );
    }
}
