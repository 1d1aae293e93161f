//! What the receiver promises, by messages as Prometheus sends them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::wire::{
    Histogram, Label, RequestV2, Sample, Span, TimeSeries, TimeSeriesV2, WriteRequest,
};
use super::*;

const NOW: Time = Time::from_ms(1_800_000_000_000);
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

fn ms(s: i64) -> i64 {
    NOW.ms() + s * 1_000
}

fn packed(message: &impl prost::Message) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&message.encode_to_vec()).expect("short")
}

fn labels(text: &str) -> Vec<Label> {
    let pair = |p: &str| {
        let (name, value) = p.split_once('=').expect("a pair");
        Label { name: name.into(), value: value.into() }
    };
    text.split(' ').map(pair).collect()
}

fn series(name: &str, samples: &[(i64, f64)]) -> TimeSeries {
    let sample =
        |(s, value): &(i64, f64)| Sample { value: *value, timestamp: ms(*s), ..Sample::default() };
    let labels = labels(&format!("__name__={name}"));
    TimeSeries { labels, samples: samples.iter().map(sample).collect(), histograms: Vec::new() }
}

fn write(receiver: &Receiver, timeseries: Vec<TimeSeries>) -> BTreeMap<String, Vec<f64>> {
    let body = packed(&WriteRequest { timeseries });
    told(&receiver.decode(None, None, &body, NOW).expect("decodes"))
}

fn told(accepted: &Accepted) -> BTreeMap<String, Vec<f64>> {
    let round = |v: f64| (v * 1e6).round() / 1e6;
    let all = accepted.batch.metrics.iter();
    all.map(|s| {
        let name = format!("{} {}", s.series.entity.name(), s.series.metric);
        (name, s.points.iter().map(|p| round(p.value)).collect())
    })
    .collect()
}

fn receiver() -> Receiver {
    Receiver::new(Config::default())
}

#[test]
fn gauges_counters_and_what_nobody_asked_for() {
    let out = write(
        &receiver(),
        vec![
            series("up job=orders instance=a:80", &[(-30, 1.0), (-15, 1.0)]),
            series("up job=orders instance=b:80", &[(-30, 1.0), (-15, 0.0)]),
            series(
                "process_cpu_seconds_total job=orders instance=a:80",
                &[(-30, 7.0), (-15, 10.0)],
            ),
            series("prometheus_tsdb_head_series job=prometheus", &[(-15, 4_000.0)]),
            series("node_memory_MemAvailable_bytes instance=node-1:9100", &[(-15, 25.0)]),
            series("node_memory_MemTotal_bytes instance=node-1:9100", &[(-15, 100.0)]),
        ],
    );
    insta::assert_json_snapshot!(out, @r#"
    {
      "node-1 node.memory.available": [
        0.25
      ],
      "orders process.cpu": [
        0.2
      ],
      "orders up": [
        1.0,
        0.5
      ]
    }
    "#);
}

fn bucket(le: &str, status: u16, samples: &[(i64, f64)]) -> TimeSeries {
    let name = "http_request_duration_seconds_bucket";
    series(&format!("{name} job=orders code={status} le={le}"), samples)
}

fn count(status: u16, samples: &[(i64, f64)]) -> TimeSeries {
    series(&format!("http_request_duration_seconds_count job=orders code={status}"), samples)
}

#[test]
fn a_classic_histogram_that_is_split_over_requests_is_put_together() {
    let receiver = receiver();
    let first = vec![
        bucket("0.1", 200, &[(-30, 50.0)]),
        bucket("0.2", 200, &[(-30, 90.0)]),
        bucket("+Inf", 200, &[(-30, 100.0)]),
        count(200, &[(-30, 100.0)]),
    ];
    assert!(write(&receiver, first).is_empty());
    // The next moment comes in two requests; only the second one completes it.
    let half = vec![bucket("0.1", 200, &[(-15, 80.0)]), bucket("+Inf", 200, &[(-15, 160.0)])];
    assert!(write(&receiver, half).is_empty());
    let rest = vec![bucket("0.2", 200, &[(-15, 150.0)]), count(200, &[(-15, 160.0)])];
    let out = write(&receiver, rest.clone());
    // 30 up to 0.1, 30 up to 0.2, none above: 60 in 15 s.
    insta::assert_json_snapshot!(out, @r#"
    {
      "orders http.server.request.duration errors": [
        0.0
      ],
      "orders http.server.request.duration p50": [
        0.1
      ],
      "orders http.server.request.duration p90": [
        0.18
      ],
      "orders http.server.request.duration p99": [
        0.198
      ],
      "orders http.server.request.duration rate": [
        4.0
      ]
    }
    "#);
    assert!(write(&receiver, rest).is_empty(), "a repetition adds nothing");
    // A bound that is lost on the way makes a wider bucket when the next moment begins.
    let lossy = vec![
        bucket("0.2", 200, &[(0, 210.0)]),
        bucket("+Inf", 200, &[(0, 220.0)]),
        count(200, &[(0, 220.0)]),
        count(200, &[(15, 220.0)]),
    ];
    let out = write(&receiver, lossy);
    assert_eq!(out["orders http.server.request.duration rate"], [4.0]);
    assert_eq!(out["orders http.server.request.duration p50"], [0.1]);
}

#[test]
fn what_was_not_taken_counts_again() {
    let receiver = receiver();
    let at = |s: i64, n: f64| {
        vec![bucket("0.1", 200, &[(s, n)]), bucket("+Inf", 200, &[(s, n)]), count(200, &[(s, n)])]
    };
    write(&receiver, at(-45, 10.0));
    write(&receiver, at(-30, 20.0));
    let body = packed(&WriteRequest { timeseries: at(-15, 50.0) });
    let once = receiver.decode(None, None, &body, NOW).expect("decodes");
    let out = told(&once);
    receiver.give_back(once);
    assert_eq!(told(&receiver.decode(None, None, &body, NOW).expect("decodes")), out);
    assert_eq!(out["orders http.server.request.duration rate"], [2.0]);
}

fn native(at: i64, counts: &[i64], reset_hint: i32) -> Histogram {
    let deltas = counts.iter().scan(0, |last, c| Some(c - std::mem::replace(last, *c))).collect();
    Histogram {
        count_int: Some(counts.iter().sum::<i64>().unsigned_abs()),
        sum: counts.iter().sum::<i64>() as f64 * 2.0,
        schema: 0,
        positive_spans: vec![Span { offset: 1, length: counts.len() as u32 }],
        positive_deltas: deltas,
        timestamp: ms(at),
        reset_hint,
        ..Histogram::default()
    }
}

#[test]
fn native_histograms_of_both_versions_tell_the_same() {
    // Schema 0, bucket 1 is 1 to 2, bucket 2 is 2 to 4.
    let histograms = vec![native(-30, &[0, 10], 0), native(-15, &[10, 40], 0)];
    let name = "__name__=http_request_duration_seconds job=orders code=500";
    let first = WriteRequest {
        timeseries: vec![TimeSeries {
            labels: labels(name),
            samples: Vec::new(),
            histograms: histograms.clone(),
        }],
    };
    let mut symbols = vec![String::new()];
    let labels_refs = labels(name)
        .into_iter()
        .flat_map(|l| [l.name, l.value])
        .map(|text| {
            symbols.push(text);
            symbols.len() as u32 - 1
        })
        .collect();
    let series = TimeSeriesV2 { labels_refs, histograms, ..TimeSeriesV2::default() };
    let second = RequestV2 { symbols, timeseries: vec![series] };
    let v2 = Some("application/x-protobuf;proto=io.prometheus.write.v2.Request");
    let one = receiver().decode(None, Some("snappy"), &packed(&first), NOW).expect("decodes");
    let two = receiver().decode(v2, Some("snappy"), &packed(&second), NOW).expect("decodes");
    assert_eq!((told(&one), two.n_histograms), (told(&two), 2));
    // 10 of 1 to 2 and 30 of 2 to 4 came: rank 36 of 40 is 26 of 30 into the second.
    let out = told(&one);
    let p90 = 2.0 * (26.0_f64 / 30.0).exp2();
    assert!((out["orders http.server.request.duration p90"][0] - p90).abs() < 1e-6);
    assert_eq!(out["orders http.server.request.duration errors"], [1.0]);
    assert_eq!(out["orders http.server.request.duration mean"], [2.0]);
}

#[test]
fn custom_bounds_stale_markers_and_starts() {
    let receiver = receiver();
    let nhcb = |at: i64, counts: [i64; 3]| Histogram {
        schema: -53,
        custom_values: vec![0.1, 0.2],
        positive_spans: vec![Span { offset: 0, length: 3 }],
        ..native(at, &counts, 0)
    };
    let row = |histograms| TimeSeries {
        labels: labels("__name__=http_request_duration_seconds job=orders"),
        samples: Vec::new(),
        histograms,
    };
    let out = write(&receiver, vec![row(vec![nhcb(-45, [0, 0, 0]), nhcb(-30, [30, 30, 0])])]);
    assert_eq!(out["orders http.server.request.duration p90"], [0.18]);
    // A stale marker ends it, here for one of two instances of a gauge.
    let gauge = |instance: &str, samples: &[(i64, f64)]| {
        series(&format!("up job=cart instance={instance}"), samples)
    };
    let both = vec![gauge("a", &[(-30, 1.0)]), gauge("b", &[(-30, 0.0)])];
    assert_eq!(write(&receiver, both)["cart up"], [0.5]);
    let ended = vec![gauge("a", &[(-15, 1.0)]), gauge("b", &[(-20, STALE)])];
    assert_eq!(write(&receiver, ended)["cart up"], [1.0]);
    // A start tells what a first sample counts.
    let mut young = series("process_cpu_seconds_total job=young", &[(-15, 3.0)]);
    young.samples[0].start_timestamp = ms(-45);
    assert_eq!(write(&receiver, vec![young])["young process.cpu"], [0.1]);
}

#[test]
fn two_servers_that_scrape_the_same_are_one() {
    let one = |replica: &str, samples: &[(i64, f64)]| {
        series(
            &format!("process_cpu_seconds_total job=orders instance=x __replica__={replica}"),
            samples,
        )
    };
    let receiver = receiver();
    // They scrape at different moments, and the second is a little behind.
    let out = write(
        &receiver,
        vec![
            one("a", &[(-60, 1_000.0), (-45, 1_003.0), (-30, 1_006.0)]),
            one("b", &[(-58, 999.9), (-43, 1_002.9), (-28, 1_005.9)]),
        ],
    );
    let rates = &out["orders process.cpu"];
    assert!(rates.iter().all(|r| (0.0..0.4).contains(r)), "{rates:?}");
    let gauge = histogram_row(native(-15, &[10, 40], 3));
    assert!(write(&receiver, vec![gauge]).is_empty(), "a gauge histogram counts nothing");
}

fn histogram_row(histogram: Histogram) -> TimeSeries {
    TimeSeries {
        labels: labels("__name__=http_request_duration_seconds job=orders"),
        samples: Vec::new(),
        histograms: vec![histogram],
    }
}

#[test]
fn what_can_not_be_taken_is_refused_with_the_reason() {
    let receiver = receiver();
    let status = |kind, encoding, body: &[u8]| {
        receiver.decode(kind, encoding, body, NOW).map(|_| 0).unwrap_or_else(|r| r.status)
    };
    assert_eq!(status(None, Some("gzip"), b""), 415);
    assert_eq!(status(Some("text/plain"), None, b""), 415);
    assert_eq!(status(Some("application/x-protobuf;proto=some.Other"), None, b""), 415);
    assert_eq!(status(None, None, b"no snappy"), 400);
    // A header that promises 4 GiB is not believed.
    assert_eq!(status(None, None, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]), 413);
    let astray = RequestV2 {
        symbols: vec![String::new()],
        timeseries: vec![TimeSeriesV2 { labels_refs: vec![7, 8], ..TimeSeriesV2::default() }],
    };
    let v2 = Some("application/x-protobuf;proto=io.prometheus.write.v2.Request");
    assert_eq!(status(v2, None, &packed(&astray)), 400);
}

const AS_V2: Option<&str> = Some("application/x-protobuf;proto=io.prometheus.write.v2.Request");

#[test]
fn a_long_symbol_that_many_labels_refer_to_is_not_written_out() {
    // 400 KB of body would become 20 GB: one symbol of 8 MiB, 200 labels of each of 12 series.
    let labels_refs = [0, 1].repeat(200);
    let row = TimeSeriesV2 { labels_refs, ..TimeSeriesV2::default() };
    let symbols = vec!["x".into(), "y".repeat(8 << 20)];
    let body = packed(&RequestV2 { symbols, timeseries: vec![row; 12] });
    assert!(body.len() < 450_000, "{}", body.len());
    let refused = receiver().decode(AS_V2, None, &body, NOW).expect_err("too much");
    assert_eq!(refused.status, 413);
    insta::assert_snapshot!(refused.message, @"the labels of this request take 20132776800 bytes once each series has its own, 33554432 are taken; send fewer series at once (max_samples_per_send in queue_config) or drop long labels (write_relabel_configs)");
}

#[test]
fn a_small_body_that_asks_for_much_memory_is_refused_before_it_is_decoded() {
    let status = |kind, body: &[u8]| {
        let packed = snap::raw::Encoder::new().compress_vec(body).expect("it fits");
        assert!(packed.len() < 2 << 20, "a small body: {}", packed.len());
        receiver().decode(kind, None, &packed, NOW).map_or_else(|r| r.status, |_| 200)
    };
    // 32 MiB that pack well: empty series, and empty histograms of one series.
    let series = |n: usize| [0x0a, 0].repeat(n);
    let histograms = |n: usize| {
        let mut body = vec![0x0a];
        prost::encoding::encode_varint(2 * n as u64, &mut body);
        body.extend([0x22, 0].repeat(n));
        body
    };
    for n in [16_000_000, 4_000_000] {
        assert_eq!(status(None, &series(n)), 413);
        assert_eq!(status(None, &histograms(n)), 413);
        assert_eq!(status(AS_V2, &[0x2a, 0].repeat(n)), 413);
    }
    assert_eq!((status(None, &series(2_000)), status(None, &histograms(2_000))), (200, 200));
}

#[test]
fn a_series_with_a_very_long_label_is_passed_over_alone() {
    let long = "y".repeat(wire::MAX_LABEL_BYTES + 1);
    let mut rows = vec![series("up job=cart", &[(-15, 1.0)]), series("up job=a", &[(-15, 1.0)])];
    rows[1].labels.push(Label { name: "text".into(), value: long.clone() });
    assert_eq!(write(&receiver(), rows).into_keys().collect::<Vec<_>>(), ["cart up"]);
    // The same as version 2 says it.
    let texts = ["__name__", "up", "job", "cart", "a", "text", &long];
    let samples = vec![Sample { value: 1.0, timestamp: ms(-15), ..Sample::default() }];
    let row = |refs: &[u32]| TimeSeriesV2 {
        labels_refs: refs.to_vec(),
        samples: samples.clone(),
        ..TimeSeriesV2::default()
    };
    let body = packed(&RequestV2 {
        symbols: texts.map(str::to_owned).to_vec(),
        timeseries: vec![row(&[0, 1, 2, 3]), row(&[0, 1, 2, 4, 5, 6])],
    });
    let accepted = receiver().decode(AS_V2, None, &body, NOW).expect("decodes");
    assert_eq!(told(&accepted).into_keys().collect::<Vec<_>>(), ["cart up"]);
}

fn any_histogram() -> impl Strategy<Value = Histogram> {
    let spans = proptest::collection::vec(
        (any::<i32>(), 0..5_u32).prop_map(|(offset, length)| Span { offset, length }),
        0..3,
    );
    let deltas = proptest::collection::vec(any::<i64>(), 0..8);
    (spans, deltas, any::<f64>(), prop_oneof![Just(-53), -12..22], -1_000_i64..1_000, 0..4_i32)
        .prop_map(|(spans, deltas, sum, schema, at, hint)| Histogram {
            count_int: Some(7),
            sum,
            schema,
            positive_spans: spans,
            positive_deltas: deltas,
            timestamp: ms(at),
            reset_hint: hint,
            ..Histogram::default()
        })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let packed = snap::raw::Encoder::new().compress_vec(&body).expect("short");
        for kind in [None, Some("application/x-protobuf;proto=io.prometheus.write.v2.Request")] {
            for body in [&body, &packed] {
                if let Err(rejected) = receiver().decode(kind, None, body, NOW) {
                    prop_assert!([400, 413].contains(&rejected.status));
                }
            }
        }
    }

    #[test]
    fn any_samples_in_any_order_give_finite_points_in_order(
        samples in proptest::collection::vec(
            (0..4_usize, -1_000_i64..1_000, any::<f64>()), 0..60),
        histograms in proptest::collection::vec(any_histogram(), 0..6),
        cut in 0..60_usize,
    ) {
        let receiver = receiver();
        let names = [
            "http_request_duration_seconds_bucket job=a le=0.1",
            "http_request_duration_seconds_bucket job=a le=+Inf",
            "http_request_duration_seconds_sum job=a",
            "process_cpu_seconds_total job=a",
        ];
        let (first, second) = samples.split_at(cut.min(samples.len()));
        for part in [first, second] {
            let mut all: Vec<TimeSeries> =
                part.iter().map(|(n, at, v)| series(names[*n], &[(*at, *v)])).collect();
            all.push(TimeSeries {
                labels: labels("__name__=http_request_duration_seconds job=a"),
                samples: Vec::new(),
                histograms: histograms.clone(),
            });
            let body = packed(&WriteRequest { timeseries: all });
            let accepted = receiver.decode(None, None, &body, NOW).expect("decodes");
            for s in &accepted.batch.metrics {
                prop_assert!(s.points.iter().all(|p| p.value.is_finite()));
                prop_assert!(s.points.windows(2).all(|w| w[0].at < w[1].at));
                if s.series.indicator == Indicator::Rate {
                    prop_assert!(s.points.iter().all(|p| p.value >= 0.0));
                }
            }
        }
    }
}
