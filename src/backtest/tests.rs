//! Reading and scoring of CSV, with hostile input.

use super::*;

mod budget;
mod history;
mod trees;

/// Rows as text: time, at, values, label.
fn rows(text: &[u8]) -> Result<Vec<String>, Broken> {
    let mut reader = Reader::open(text, Form::Wide)?;
    let mut rows = Vec::new();
    while let Some(row) = reader.next_row()? {
        let time = String::from_utf8_lossy(row.time);
        let label = row.is_anomalous();
        rows.push(format!("{} {time}@{} {:?} {label:?}", row.line, row.at_ms, row.values));
    }
    Ok(rows)
}

fn scored(text: &str) -> String {
    let mut out = Vec::new();
    score(text.as_bytes(), &mut out).expect("it can be scored");
    String::from_utf8(out).expect("it is text")
}

#[test]
fn forms_of_one_file_are_read_alike() {
    let plain = rows(b"timestamp,value,label\n1000,1.5,0\n1060,2,1\n").expect("plain");
    insta::assert_snapshot!(plain.join("\n"), @r"
    2 1000@1000000 [1.5] Some(false)
    3 1060@1060000 [2.0] Some(true)
    ");
    for same in [
        "timestamp,value,label\r\n1000,1.5,0\r\n1060,2,1\r\n",
        "\u{feff}timestamp,value,label\n1000,1.5,0\n1060,2,1",
        "\"timestamp\",\"value\",\"label\"\n\"1000\",\"1.5\",\"0\"\n\"1060\",\"2\",\"1\"\n",
        " Timestamp , Value , LABEL \n1000, 1.5 ,0\n1060,2 ,1.0\n",
        ",timestamp,value,label\n0,1000,1.5,0\n1,1060,2,1\n",
    ] {
        assert_eq!(rows(same.as_bytes()).expect("the same"), plain, "{same:?}");
    }
    let turned = rows(b"label,value,timestamp\n0,1.5,1000\n1,2,1060\n").expect("turned");
    assert_eq!(turned, plain);
}

#[test]
fn every_row_comes_out_once_and_as_it_came() {
    let text = "timestamp,a,b,label\n\
                2026-01-01 00:00:00,1,2,0\n\
                2026-01-01 00:00:00,NaN,,1\n\
                2025-12-31T23:00:00+00:00,,7,0\n\
                ,3,4,0\n\
                \n\
                soon,inf,x\n\
                \"2026-01-01 00:05:00\",\"1e3\",-0,1,9,9\n";
    let given = scored(text);
    let mut lines = given.lines();
    assert_eq!(lines.next(), Some("timestamp,value,anomaly_score"));
    let heads: Vec<&str> = lines.map(|l| l.rsplit_once(',').expect("three fields").0).collect();
    let wanted = [
        "2026-01-01 00:00:00,1",
        "2026-01-01 00:00:00,NaN",
        "2025-12-31T23:00:00+00:00,",
        ",3",
        "soon,inf",
        "2026-01-01 00:05:00,1e3",
    ];
    assert_eq!(heads, wanted);
}

#[test]
fn no_label_changes_a_score() {
    let file = |label: fn(usize) -> &'static str| {
        let mut text = "timestamp,value,label\n".to_owned();
        for i in 0..400_usize {
            let value = if i == 300 { 90 } else { i % 7 };
            text.push_str(&format!("{},{value},{}\n", i * 60, label(i)));
        }
        scored(&text)
    };
    let without = file(|_| "0");
    assert_eq!(without, file(|i| if i == 300 { "1" } else { "-1" }));
    assert_eq!(without, file(|_| "what"));
    let score = |line: &str| line.rsplit(',').next().expect("a field").parse::<f64>().expect("one");
    let scores: Vec<f64> = without.lines().skip(1).map(score).collect();
    let most = scores.iter().copied().fold(0.0, f64::max);
    assert_eq!(scores[300], most, "the spike has the highest score");
    assert!(most < 1.0);
}

#[test]
fn what_is_broken_is_said_with_its_line() {
    let said = |text: &[u8]| rows(text).expect_err("it is broken").to_string();
    insta::assert_snapshot!(said(b""), @"The file is empty. Its first line must name the columns, such as `timestamp,value`.");
    insta::assert_snapshot!(said(b"time,value\n1,2\n"), @"line 1: There is no column `timestamp`, only: time, value. The first line must name the columns, separated by commas.");
    insta::assert_snapshot!(said(b"timestamp,label\n1,2\n"), @"line 1: There is no column with values beside `timestamp` and `label`. Add one.");
    insta::assert_snapshot!(said(b"timestamp,value\n1,2\n2,\"3\n3,4\n4,5\n"), @"line 3: A field goes on over the end of the line: a quote is opened and not closed. Close or remove it.");
    insta::assert_snapshot!(said(b"timestamp,value\nmonday,2\ntuesday,3\n"), @"line 2: `monday` is no time, and no other row has one. Write unix seconds or milliseconds, or ISO dates such as 2026-11-21 14:05:00.");
    insta::assert_snapshot!(said(&[0xff, 0xfe, b't', 0, b'i', 0]), @"line 1: The file is UTF-16. Save it as UTF-8.");
    for text in [
        b"timestamp,value,label\n1,3,\"a\n2,4,0\n".as_slice(),
        b"timestamp,value,\n1,3,\"a\n2,4,0\n",
        b"timestamp,value\n1,3,\"a\n2,4\n3,5\n",
    ] {
        assert!(said(text).starts_with("line 2: A field goes on over the end"), "{text:?}");
    }
    let remark = rows(b"timestamp,value,\n1,3,\"two\nlines\"\n2,4,\n").expect("a remark");
    assert_eq!(remark.len(), 2);
    assert!(rows(b"timestamp,value\n").expect("no rows are no fault").is_empty());
}

#[test]
fn what_was_taken_in_spite_of_its_form_is_told() {
    let text = b"timestamp,value,is_anomaly\n1,2,0\nx,many,0\n3,some,1\n";
    let mut reader = Reader::open(text.as_slice(), Form::Wide).expect("a head");
    while reader.next_row().expect("a row").is_some() {}
    insta::assert_snapshot!(reader.notes().sentences().join("\n"), @r"
    Times that can't be read: 1, first `x` in line 3; such a row has the time of the row before it.
    Values that are no numbers: 2, first `many` in line 3; taken as missing.
    The column `is_anomaly` is judged as a value; name it `label` if it tells anomalies.
    ");
}

mod any_input {
    use proptest::prelude::*;

    use super::*;

    fn field() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<f64>().prop_map(|v| v.to_string()),
            any::<i64>().prop_map(|v| v.to_string()),
            (0..3_000_000_000_u32).prop_map(|v| v.to_string()),
            "[ -~]{0,8}",
            Just(String::new()),
            Just("NaN".to_owned()),
            Just("2026-11-21 14:05:00".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let with_head = [b"timestamp,value\n".as_slice(), &bytes].concat();
            for input in [bytes, with_head] {
                score(input.as_slice(), std::io::sink()).ok();
            }
        }

        #[test]
        fn one_row_out_for_each_row_in(
            table in proptest::collection::vec(proptest::collection::vec(field(), 3), 1..60),
            windows in any::<bool>(),
        ) {
            let mut writer = csv::WriterBuilder::new()
                .terminator(if windows { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
                .from_writer(Vec::new());
            writer.write_record(["timestamp", "a", "b"]).expect("written");
            writer.write_record(["1000", "1", "2"]).expect("written");
            for row in &table {
                writer.write_record(row).expect("written");
            }
            let text = writer.into_inner().expect("written");
            let mut out = Vec::new();
            score(text.as_slice(), &mut out).expect("scored");
            let mut reader = csv::Reader::from_reader(out.as_slice());
            let given: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
            prop_assert_eq!(given.len(), table.len() + 1);
            for (row, given) in table.iter().zip(&given[1..]) {
                prop_assert_eq!(&row[0], &given[0]);
                prop_assert_eq!(&row[1], &given[1]);
                let score: f64 = given[2].parse().expect("a number");
                prop_assert!((0.0..=1.0).contains(&score));
            }
        }
    }
}
