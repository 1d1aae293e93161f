//! Trees of CSV files as people have them: one row out for one row in, whatever is in them, and no
//! look at what comes later.

use std::path::Path;

use super::super::*;
use crate::model::{Indicator, Time};

/// 2026-01-01T00:00:00Z.
const START_S: i64 = 1_767_225_600;

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("made");
    std::fs::write(path, text).expect("written");
}

/// The fields of what was written for a file, line by line and without its head.
fn rows(folder: &Path, name: &str) -> Vec<Vec<Vec<u8>>> {
    let bytes = std::fs::read(folder.join(name)).expect("it was scored");
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    assert_eq!(reader.byte_headers().expect("a head"), vec!["timestamp", "value", "anomaly_score"]);
    reader.byte_records().map(|r| r.expect("a row").iter().map(<[u8]>::to_vec).collect()).collect()
}

/// Scores a tree, and holds times and values of one file against what stands in it.
fn scored(folder: &Path, files: &[(&str, &[(&str, &str)])]) {
    let (from, to) = (folder.join("in"), folder.join("out"));
    let told = score_tree(&from, &to).expect("a tree");
    assert!(told.failures.is_empty(), "{:?}", told.failures);
    for (name, wanted) in files {
        let rows = rows(&to, name);
        let heads: Vec<(&[u8], &[u8])> = rows.iter().map(|r| (&*r[0], &*r[1])).collect();
        let wanted: Vec<_> = wanted.iter().map(|(t, v)| (t.as_bytes(), v.as_bytes())).collect();
        assert_eq!(heads, wanted, "{name}");
        for row in rows {
            let score = std::str::from_utf8(&row[2]).ok().and_then(|s| s.parse::<f64>().ok());
            assert!(score.is_some_and(|s| (0.0..1.0).contains(&s)), "{name}: {row:?}");
        }
    }
}

#[test]
fn files_that_end_at_different_times_have_each_row_once() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let lengths = [("a.csv", 3_000_i64), ("deep/b.csv", 40), ("c.csv", 1), ("d.csv", 700)];
    for (name, n) in lengths {
        let mut text = "timestamp,value\n".to_owned();
        for i in 0..n {
            text.push_str(&format!("{},{}\n", START_S + 60 * i, i % 11));
        }
        write(folder.path(), &format!("in/{name}"), text);
    }
    let (from, to) = (folder.path().join("in"), folder.path().join("out"));
    let told = score_tree(&from, &to).expect("a tree");
    assert_eq!((told.n_files, told.n_rows), (4, 3_741));
    for (name, n) in lengths {
        let times: Vec<String> = rows(&to, name)
            .iter()
            .map(|r| String::from_utf8(r[0].clone()).expect("a time"))
            .collect();
        let wanted: Vec<String> = (0..n).map(|i| (START_S + 60 * i).to_string()).collect();
        assert_eq!(times, wanted, "{name}");
    }

    // As a history, too, every point is played once, to the end of the longest.
    let history = read_csv(&from, None).expect("a tree");
    let (first, last) = history.range().expect("points");
    assert_eq!(last, Time::from_ms((START_S + 60 * 2_999) * 1_000));
    let mut seen = std::collections::BTreeMap::new();
    Pace::new("csv", first, first, history.step_ms()).play(&history.tracks, last, |batch| {
        for samples in &batch.metrics {
            let points: &mut Vec<_> = seen.entry(samples.series.id).or_default();
            points.extend(samples.points.iter().copied());
        }
    });
    assert_eq!(seen.len(), 4);
    assert!(history.tracks.iter().all(|t| seen[&t.series.id] == t.points));
}

#[test]
fn odd_rows_of_any_form_come_out_as_they_came() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    // Empty, twice, backwards; seconds, milliseconds and dates in one file; CR LF, a byte-order
    // mark and quotes.
    let text = "\u{feff}\"timestamp\",\"value\"\r\n1767225600,1\r\n1767225660000,\r\n\
                2026-01-01T00:02:00Z,3\r\n2026-01-01T00:02:00Z,3\r\n1767225600,4\r\n\
                \"2026-01-01 00:01:00\",\"5\"\r\n1767225900.5,-0\r\n,6\r\n,\r\n";
    let wanted = [
        ("1767225600", "1"),
        ("1767225660000", ""),
        ("2026-01-01T00:02:00Z", "3"),
        ("2026-01-01T00:02:00Z", "3"),
        ("1767225600", "4"),
        ("2026-01-01 00:01:00", "5"),
        ("1767225900.5", "-0"),
        ("", "6"),
        ("", ""),
    ];
    write(folder.path(), "in/odd.csv", text);
    write(folder.path(), "in/unix.csv", text.replace("\r\n", "\n"));
    scored(folder.path(), &[("odd.csv", &wanted), ("unix.csv", &wanted)]);

    let history = read_csv(&folder.path().join("in"), None).expect("a tree");
    let points: Vec<(i64, f64)> =
        history.tracks[0].points.iter().map(|p| (p.at.ms() / 1_000 - START_S, p.value)).collect();
    let sorted = [(0, 1.0), (0, 4.0), (60, 5.0), (120, 3.0), (120, 3.0), (300, -0.0), (300, 6.0)];
    assert_eq!(points, sorted);
}

#[test]
fn absurd_times_and_values_neither_stop_nor_lose_anything() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let times = [
        "1767225600",
        "253402300799",
        "9999-12-30",
        "0000-01-01",
        "-62167219200",
        "1e300",
        "-9223372036854775808",
        "18446744073709551616",
        "99999-01-01",
        "1767225660",
    ];
    let values = ["1", "1e308", "-1e308", "1e-320", "inf", "1e999", "0x10", "NaN", "٣", "2"];
    let mut text = "timestamp,value\n".to_owned();
    for (time, value) in times.iter().zip(values) {
        text.push_str(&format!("{time},{value}\n"));
    }
    write(folder.path(), "in/far.csv", &text);
    let wanted: Vec<(&str, &str)> = times.iter().copied().zip(values).collect();
    scored(folder.path(), &[("far.csv", &wanted)]);
    let mut bytes =
        b"timestamp,\xffvalue\n1767225600,\xff\xfe1\n\xc3\x28,2\n1767225720,3\n".to_vec();
    write(folder.path(), "bytes/in/a.csv", &bytes);
    let (from, to) = (folder.path().join("bytes/in"), folder.path().join("bytes/out"));
    let told = score_tree(&from, &to).expect("a tree");
    assert_eq!((told.n_rows, told.failures.len(), told.notes.len()), (3, 0, 2), "{told:?}");
    let heads: Vec<Vec<Vec<u8>>> =
        rows(&to, "a.csv").into_iter().map(|mut r| r.drain(..2).collect()).collect();
    assert_eq!(heads[0], [b"1767225600".to_vec(), b"\xff\xfe1".to_vec()]);
    assert_eq!(heads[1], [b"\xc3\x28".to_vec(), b"2".to_vec()]);

    // As a history: played to its end without a panic, and the hole is told.
    bytes.clear();
    let history = read_csv(&folder.path().join("in"), None).expect("a tree");
    let notes = history.notes.join("\n");
    assert!(
        notes.contains("far.csv: nothing lies between 2026-01-01 00:01 UTC and 2200-"),
        "{notes}"
    );
    let (first, last) = history.range().expect("points");
    let mut run = Run::new(Setup::default(), history.ends());
    let mut n = 0;
    Pace::new("csv", first, first, history.step_ms()).play(&history.tracks, last, |batch| {
        n += batch.metrics.iter().map(|m| m.points.len()).sum::<usize>();
        run.take(batch);
    });
    assert_eq!(n, history.n_points());
    let report = Report::new(Read::default(), vec![run.finish()], &Truth::default());
    assert!(report.text().contains("2200-01-01"), "{}", report.text());
    assert!(report.html(last).contains("2200-01-01"));
}

#[test]
fn what_comes_later_does_not_say_what_a_series_is() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    // A share that exceeds 1 late, and whose step changes late.
    let text = |n: i64| {
        let mut text = "timestamp,cpu\n".to_owned();
        for i in 0..n {
            let (at, value) = if i < 500 { (60 * i, 0.4) } else { (30_000 + 600 * i, 90.0) };
            text.push_str(&format!("{},{value}\n", START_S + at));
        }
        text
    };
    write(folder.path(), "short/a.csv", text(400));
    write(folder.path(), "long/a.csv", text(4_000));
    write(folder.path(), "named/a.csv", text(4_000).replace("cpu", "cpu_percent"));
    let series = |name: &str| {
        let history = read_csv(&folder.path().join(name), None).expect("a tree");
        history.tracks[0].series.clone()
    };
    assert_eq!(series("long"), series("short"));
    assert_eq!(series("long").unit, "1");
    assert_eq!(series("long").step_ms, 60_000);
    assert_eq!(series("named").indicator, Indicator::Utilization);
    assert_eq!(series("named").unit, "%");
}
