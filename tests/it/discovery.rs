//! Discovery at a real Prometheus that holds what dozens of exporters write, without any metadata:
//! every query that comes of it is answered, and each series' own query gives that series again.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use nightjar::model::wall_now;
use nightjar::telemetry::prometheus::{Client, PrometheusConfig, points, survey};

use crate::support::{eventually, free_port, install_tls, installed, piped, start};

/// The same series that the unit tests read, a section an exporter.
const EXPORTERS: &str = include_str!("../../src/telemetry/discovery/exporters.txt");

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_catalogue_is_answered_by_the_real_prometheus() {
    let (Some(prometheus), Some(promtool)) = (installed("prometheus"), installed("promtool"))
    else {
        return;
    };
    install_tls();
    let lines: BTreeSet<&str> =
        EXPORTERS.lines().filter(|l| !l.is_empty() && !l.starts_with(['#', '='])).collect();
    let now = wall_now().floor_to(15_000);
    let mut samples = String::new();
    for n in 0..=40 {
        let at = now.plus_ms((n - 40) * 15_000).seconds();
        for line in &lines {
            writeln!(samples, "{line} {} {at}", 100 + n).expect("a string takes all");
        }
    }
    samples.push_str("# EOF\n");
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("samples.txt"), samples).expect("written");
    std::fs::write(path("prometheus.yml"), "scrape_configs: []\n").expect("written");
    let (from, to) = (path("samples.txt"), path("data"));
    let args = ["tsdb", "create-blocks-from", "openmetrics", "-q", &from, &to];
    let (status, said) = piped(&promtool, &args, "");
    assert_eq!(status, 0, "{said}");
    let port = free_port();
    let args = [
        "--config.file=prometheus.yml".to_owned(),
        "--storage.tsdb.path=data".to_owned(),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    let _running = start(&prometheus, &args, folder.path(), ([127, 0, 0, 1], port).into()).await;

    let config = PrometheusConfig { url: format!("http://127.0.0.1:{port}"), ..Default::default() };
    let client = Client::new(&config).expect("a client");
    eventually("the samples to be served", Duration::from_secs(120), async || {
        client.metric_names().await.is_ok_and(|names| names.len() > 80)
    })
    .await;
    assert!(client.metadata().await.is_empty(), "nobody told types or help");
    let (_, found) = survey(&client, &config).await.expect("surveyed");
    assert!(found.watches.len() > 90, "{:#?}", found.table());
    let mut n_series = 0;
    for watch in &found.watches {
        let about = format!("{}: {}", watch.recipe, watch.promql);
        let rows = client
            .range(&watch.promql, now.plus_ms(-60_000), now, 15_000)
            .await
            .unwrap_or_else(|e| panic!("{about}: {e}"));
        let kept: Vec<_> = rows
            .iter()
            .filter_map(|row| Some((watch.series("main", &row.metric, 15_000)?, row)))
            .collect();
        assert_eq!(kept.len(), watch.n_series, "{about}: {rows:?}");
        for (series, row) in kept {
            n_series += 1;
            assert!(points(&row.values).0.len() >= 4, "{about}: {row:?}");
            let query = series.query.expect("it has one");
            let again = client.range(&query, now.plus_ms(-60_000), now, 15_000).await;
            let again = again.unwrap_or_else(|e| panic!("{query}: {e}"));
            assert_eq!(again.len(), 1, "{query}");
            let values = |row: &nightjar::telemetry::prometheus::RangeRow| points(&row.values).0;
            assert_eq!(values(&again[0]), values(row), "{query}");
        }
        if let Some(limit) = &watch.limit_promql {
            let limits = client.instant(limit, Some(now)).await;
            let limits = limits.unwrap_or_else(|e| panic!("{limit}: {e}"));
            assert!(!limits.is_empty(), "{limit}");
        }
    }
    println!("{} watches give {n_series} series", found.watches.len());
}
