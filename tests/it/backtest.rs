//! `nightjar backtest` through the binary: CSV trees, reports, and a real Prometheus' history.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use crate::support::{Program, free_port, installed, piped, start};

/// Minutes of history, and the stretch in which the fault is.
const MINUTES: i64 = 2 * 1_440;
const FAULT: std::ops::Range<i64> = 2_000..2_040;
/// 2026-11-01T00:00:00Z.
const START_S: i64 = 1_793_491_200;

fn run(args: &[&str]) -> (i32, String) {
    piped(Path::new(env!("CARGO_BIN_EXE_nightjar")), &[&["backtest"], args].concat(), "")
}

/// A latency in seconds at a minute: six times as slow while the fault lasts.
fn latency(minute: i64) -> f64 {
    let noise = ((minute * 7_919) % 101) as f64 / 101.0 - 0.5;
    (0.2 + 0.02 * noise) * if FAULT.contains(&minute) { 6.0 } else { 1.0 }
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("made");
    std::fs::write(path, text).expect("written");
}

fn labelled() -> String {
    let mut text = "timestamp,latency,label\n".to_owned();
    for minute in 0..MINUTES {
        let label = u8::from(FAULT.contains(&minute));
        let _ = writeln!(text, "{},{:.6},{label}", START_S + minute * 60, latency(minute));
    }
    text
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

#[test]
fn a_tree_is_scored_row_by_row_and_what_is_broken_is_named() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    write(at, "in/a/plain.csv", labelled());
    write(
        at,
        "in/b/odd.CSV",
        "\u{feff}Value,TIMESTAMP\r\n1,\"2026-01-01 00:00:00\"\r\n,\r\nx,2026-01-01T00:05:00+01:00",
    );
    write(at, "in/b/several.csv", "timestamp,cpu,memory\n1,2,3\n2,,\n3,4,5\n");
    write(at, "in/broken.csv", "timestamp,value\n1,2\n2,\"3\n4,5\n");
    write(at, "in/nothing.csv", "");
    write(at, "in/notes.txt", "no series\n");
    let (from, to) = (path(at, "in"), path(at, "out"));
    let (code, said) = run(&["--csv-dir", &from, "--scores", &to]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("broken.csv: not read: line 3: A field goes on over the end"), "{said}");
    assert!(said.contains("nothing.csv: not read: The file is empty."), "{said}");
    assert!(said.contains("3 files with 2,886 rows scored"), "{said}");
    assert!(!at.join("out/broken.csv").exists() && !at.join("out/broken.csv.partial").exists());

    let plain = std::fs::read_to_string(at.join("out/a/plain.csv")).expect("scored");
    assert_eq!(plain.lines().next(), Some("timestamp,value,anomaly_score"));
    assert_eq!(plain.lines().count() as i64, MINUTES + 1);
    let score = |line: &str| -> f64 {
        line.rsplit(',').next().and_then(|s| s.parse().ok()).expect("a score")
    };
    let scores: Vec<f64> = plain.lines().skip(1).map(score).collect();
    assert!(scores.iter().all(|s| (0.0..1.0).contains(s)));
    let most = scores.iter().copied().fold(0.0, f64::max);
    let place = scores.iter().position(|s| *s == most).expect("there is one");
    assert!(FAULT.contains(&(place as i64)), "the fault's rows score most: {place}");

    let odd = std::fs::read_to_string(at.join("out/b/odd.CSV")).expect("scored");
    let heads: Vec<&str> = odd.lines().map(|l| l.rsplit_once(',').expect("fields").0).collect();
    let wanted = ["timestamp,value", "2026-01-01 00:00:00,1", ",", "2026-01-01T00:05:00+01:00,x"];
    assert_eq!(heads, wanted);
    let several = std::fs::read_to_string(at.join("out/b/several.csv")).expect("scored");
    assert!(several.lines().nth(2).is_some_and(|l| l == "2,,0"), "{several}");

    // Once more, now that what was written lies beside: the same bytes.
    std::fs::remove_file(at.join("in/broken.csv")).expect("removed");
    std::fs::remove_file(at.join("in/nothing.csv")).expect("removed");
    let (code, said) = run(&["--csv-dir", &path(at, ""), "--scores", &to, "--json"]);
    assert_eq!(code, 0, "{said}");
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(told["n_files"], 3);
    let again = std::fs::read_to_string(at.join("out/in/a/plain.csv")).expect("scored");
    assert_eq!(again, plain);
}

#[test]
fn a_report_tells_what_would_have_been_told_and_the_difference() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    write(at, "in/checkout-latency.csv", labelled());
    write(at, "in/broken.csv", "when,value\n1,2\n");
    write(at, "strict.toml", "[detect]\nthreshold = 500.0\n");
    let (from, html, strict) = (path(at, "in"), path(at, "r.html"), path(at, "strict.toml"));
    let args =
        ["--csv-dir", &from, "--from", "2026-11-01 12:00", "--against", &strict, "--html", &html];
    let (code, said) = run(&args);
    assert_eq!(code, 1, "one file can't be read: {said}");
    assert!(
        said.contains("broken.csv: not read: line 1: There is no column `timestamp`"),
        "{said}"
    );
    assert!(
        said.contains(
            "anomalies: found 1 of 1 fault (recall 100 %), 1 of 1 told right (precision 100 %)"
        ),
        "{said}"
    );
    assert!(said.contains("anomalies  only A 1, only B 0, both 0"), "{said}");
    assert!(said.contains("checkout-latency"), "{said}");
    let page = std::fs::read_to_string(at.join("r.html")).expect("written");
    assert!(page.contains("<svg") && page.contains("The difference") && page.contains("Not read"));
    assert!(!page.contains("src=") && !page.contains("<link"), "it needs nothing beside it");

    std::fs::remove_file(at.join("in/broken.csv")).expect("removed");
    let (code, said) = run(&["--csv-dir", &from, "--json"]);
    assert_eq!(code, 0, "{said}");
    let told: Value = serde_json::from_str(&said).expect("JSON");
    let side = &told["configurations"][0];
    assert_eq!(side["figures"]["n_anomalies"], 1, "{side:#}");
    assert_eq!(side["against_labels"]["anomalies"]["n_found"], 1, "{side:#}");
    assert_eq!(side["figures"]["n_incidents"], 1);
    assert_eq!(side["against_labels"]["incidents"]["recall"], 1.0);
    assert!(side["anomalies"][0]["anomaly"]["why"].as_str().is_some_and(|w| !w.is_empty()));
}

#[test]
fn what_cannot_be_put_to_work_is_said() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    write(at, "in/a.csv", "timestamp,value\n1,2\n");
    write(at, "none.toml", "[detect]\n");
    let (from, none) = (path(at, "in"), path(at, "none.toml"));
    let (one, below) = (path(at, "in/a.csv"), path(at, "in/a.csv/scores"));
    for (args, wanted) in [
        (&[] as &[&str], "Name a folder of CSV files with --csv-dir"),
        (&["--csv-dir", "no-such-folder"], "There is no folder no-such-folder, which --csv-dir"),
        (&["--csv-dir", "no-such-folder", "--scores", "x"], "There is no folder no-such-folder"),
        (&["--csv-dir", &one], "is a file. Name the folder that holds it"),
        (&["--csv-dir", &from, "--scores", &from], "written over what they are of"),
        (&["--csv-dir", &from, "--scores", &below], "no file can be written there: "),
        (&["--csv-dir", &from, "--html", &from], "is a folder. Name a file in it."),
        (
            &["--csv-dir", &from, "--html", "no-such-folder/r.html"],
            "there is no folder no-such-folder",
        ),
        (&["--csv-dir", &from, "--from", "soon"], "--from: `soon` is no time"),
        (&["--csv-dir", &from, "--from", "-1h", "--to", "-2h"], "--to is not after --from"),
        (&["--csv-dir", &from, "--labels", "none.csv"], "--labels none.csv"),
        (&["--source", "prometheus", "--config", "no.toml"], "There is no no.toml"),
        (&["--source", "prometheus", "--config", &none], "configures no Prometheus server"),
    ] {
        let (code, said) = run(args);
        assert_eq!(code, 2, "{args:?}: {said}");
        assert!(said.contains(wanted), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "told once: {said}");
    }
}

#[test]
fn a_setting_that_scores_have_no_use_for_is_refused_and_the_environments_is_not() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    write(at, "in/a.csv", "timestamp,value\n1,2\n");
    let (from, to) = (path(at, "in"), path(at, "out"));
    let (code, said) = run(&["--csv-dir", &from, "--scores", &to, "--config", "nightjar.toml"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.starts_with("--config has no effect here: "), "{said}");
    assert!(!at.join("out").exists(), "nothing is written");

    let program = env!("CARGO_BIN_EXE_nightjar");
    let scores = ["backtest", "--csv-dir", &from, "--scores", &to];
    let all = [&["NIGHTJAR_CONFIG=no-such.toml", program], &scores as &[&str]].concat();
    let (code, said) = piped(Path::new("env"), &all, "");
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("1 file with 1 row scored"), "{said}");
}

/// A Prometheus that holds two days of a latency with a fault in them.
async fn with_history(folder: &Path) -> Option<(Program, String)> {
    let (prometheus, promtool) = (installed("prometheus")?, installed("promtool")?);
    let mut text = "# TYPE latency_seconds gauge\n".to_owned();
    for service in ["checkout", "cart"] {
        for minute in 0..MINUTES {
            let value =
                if service == "checkout" { latency(minute) } else { latency(minute % 1_440) };
            let at = START_S + minute * 60;
            let _ = writeln!(text, "latency_seconds{{service=\"{service}\"}} {value:.6} {at}");
        }
    }
    text.push_str("# EOF\n");
    write(folder, "history.txt", text);
    write(folder, "prometheus.yml", "global: {scrape_interval: 60s}\n");
    let (history, data) = (path(folder, "history.txt"), path(folder, "data"));
    let (code, said) =
        piped(&promtool, &["tsdb", "create-blocks-from", "openmetrics", &history, &data], "");
    assert_eq!(code, 0, "{said}");
    let port = free_port();
    let args = [
        "--config.file=prometheus.yml".to_owned(),
        "--storage.tsdb.path=data".to_owned(),
        "--storage.tsdb.retention.time=100y".to_owned(),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    let listens = SocketAddr::from(([127, 0, 0, 1], port));
    let program = start(&prometheus, &args, folder, listens).await;
    Some((program, format!("http://127.0.0.1:{port}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_real_prometheus_has_kept_is_read_in_stretches() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let Some((_program, url)) = with_history(folder.path()).await else { return };
    let config = format!(
        "[[prometheus]]\nname = \"main\"\nurl = \"{url}\"\nstep_s = 60\nscrape_interval_s = 60\n\
         backfill_days = 1\n[[prometheus.queries]]\npromql = \"latency_seconds\"\n\
         metric = \"latency\"\nindicator = \"duration\"\nunit = \"s\"\ndirection = \"high\"\n"
    );
    write(folder.path(), "nightjar.toml", config);
    let from = START_S + 1_200 * 60;
    let fault = (START_S + FAULT.start * 60, START_S + (FAULT.end - 1) * 60);
    write(
        folder.path(),
        "labels.csv",
        format!(
            "series,from,to\nservice.name=checkout,{},{}\ncart,{from},{from}\n",
            fault.0, fault.1
        ),
    );
    let (config, labels) =
        (path(folder.path(), "nightjar.toml"), path(folder.path(), "labels.csv"));
    let (from, to) = (from.to_string(), (START_S + (MINUTES - 1) * 60).to_string());
    let args = ["--source", "prometheus", "--config", &config, "--labels", &labels];
    let scores = path(folder.path(), "scores");
    let args =
        [&args as &[&str], &["--from", &from, "--to", &to, "--json", "--scores", &scores]].concat();
    let own = args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
    let work = move || run(&own.iter().map(String::as_str).collect::<Vec<_>>());
    let (code, said) = tokio::task::spawn_blocking(work).await.expect("it ends");
    assert_eq!(code, 0, "{said}");
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(told["read"]["n_series"], 2, "{:#}", told["read"]);
    // A day in steps of five minutes to learn from, then a point a minute.
    let n = told["read"]["n_points"].as_i64().expect("a number");
    assert!(n > 2 * (MINUTES - 1_200) && n < 2 * MINUTES, "{n}");
    let side = &told["configurations"][0];
    let score = &side["against_labels"]["anomalies"];
    assert_eq!((&score["n_found"], &score["n_right"]), (&1.into(), &1.into()), "{side:#}");
    assert_eq!(side["figures"]["n_incidents"], 1);

    let written = folder.path().join("scores/checkout/latency.csv");
    let written = std::fs::read_to_string(written).expect("one file a series");
    assert_eq!(written.lines().count() as i64, MINUTES - 1_200 + 1, "what teaches is not written");

    let away = "[[prometheus]]\nname = \"away\"\nurl = \"http://127.0.0.1:9\"\ntimeout_s = 1\n";
    write(folder.path(), "away.toml", away);
    let away = path(folder.path(), "away.toml");
    let work = move || run(&["--source", "prometheus", "--config", &away]);
    let (code, said) = tokio::task::spawn_blocking(work).await.expect("it ends");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("`away` can't be asked") && said.contains("nightjar check"), "{said}");
}
