//! Which attribute value separates bad requests from good ones, in spans as OpenTelemetry's SDKs
//! send them and as the receiver keeps them.

use serde_json::{Value, json};

use super::*;
use crate::diagnose::requests::read;
use crate::model::diagnosis::Finding;
use crate::model::time::MINUTE_MS;
use crate::store::Store;
use crate::telemetry::otlp::{Config, Encoding, Receiver, Signal};

/// A request of `orders`: attributes of its resource and of its span, and whether it fails.
struct Asked {
    resource: Vec<(&'static str, String)>,
    span: Vec<(&'static str, String)>,
    failed: bool,
}

/// Something below `n` for the `i`th request, as if drawn; `what` tells draws apart.
fn drawn(i: usize, what: u64, n: usize) -> usize {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    const APART: u64 = 0xbf58_476d_1ce4_e5b9;
    Dice((i as u64).wrapping_mul(STEP).wrapping_add(what.wrapping_mul(APART))).below(n)
}

/// A good request on one of three nodes in each of three zones, of one of two versions, three routes
/// and twelve tenants.
fn usual(i: usize) -> Asked {
    let zone = drawn(i, 1, 3);
    Asked {
        resource: vec![
            ("service.name", "orders".into()),
            ("service.version", format!("2.{}", drawn(i, 3, 2))),
            ("cloud.region", "eu-central-1".into()),
            ("cloud.availability_zone", format!("eu-central-1{}", ["a", "b", "c"][zone])),
            ("k8s.node.name", format!("ip-10-0-{zone}-{}", drawn(i, 2, 3))),
        ],
        span: vec![
            ("http.request.method", "GET".into()),
            ("http.route", ["/v1/orders", "/v1/orders/{id}", "/v1/quotes"][drawn(i, 4, 3)].into()),
            ("url.path", format!("/v1/orders/{i}")),
            ("tenant.id", format!("tenant-{}", drawn(i, 5, 12))),
        ],
        failed: false,
    }
}

fn of(asked: &Asked, name: &str) -> String {
    let mut all = asked.resource.iter().chain(&asked.span);
    all.find(|(k, _)| *k == name).map(|(_, v)| v.clone()).expect("each request has it")
}

fn pairs(all: &[(&str, String)]) -> Vec<Value> {
    all.iter().map(|(k, v)| json!({ "key": k, "value": { "stringValue": v } })).collect()
}

/// What is told of the requests since the onset, as figures and as words.
async fn told(requests: Vec<Asked>) -> (Vec<(String, String, [u64; 4])>, Vec<String>) {
    let onset = at(0);
    let spans: Vec<Value> = requests
        .iter()
        .enumerate()
        .map(|(i, asked)| {
            let start = onset.plus_ms(1_000 + (i as i64 % 50) * 1_000).ms() * 1_000_000;
            let name = format!("{} {}", of(asked, "http.request.method"), of(asked, "http.route"));
            let span = json!({
                "traceId": format!("{:032x}", i + 1),
                "spanId": format!("{:016x}", i + 1),
                "name": name,
                "kind": 2,
                "startTimeUnixNano": start.to_string(),
                "endTimeUnixNano": (start + 20_000_000).to_string(),
                "attributes": pairs(&asked.span),
                "status": { "code": if asked.failed { 2 } else { 0 } },
            });
            json!({
                "resource": { "attributes": pairs(&asked.resource) },
                "scopeSpans": [{ "spans": [span] }],
            })
        })
        .collect();
    let now = onset.plus_ms(MINUTE_MS);
    let body = json!({ "resourceSpans": spans }).to_string();
    let receiver = Receiver::new(Config::default());
    let accepted = receiver
        .decode(Signal::Traces, Encoding::Json, body.as_bytes(), now)
        .expect("it is as the protocol wants it");
    assert_eq!(accepted.rejected, 0, "{}", accepted.message);
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
    store.write(move |tx| tx.append_spans(&accepted.batch.spans)).await.expect("written");
    let incident = input(chain(), Vec::new(), Vec::new()).incident;
    let (found, _) = store
        .read(move |rows| read(rows, &incident, &[service("orders")], (onset, now)))
        .await
        .expect("read");
    let figures = found.iter().map(|(_, e)| match &e.finding {
        Finding::Requests { attribute, value, n, n_bad, n_others, n_bad_others, .. } => {
            (attribute.clone(), value.clone(), [*n_bad, *n, *n_bad_others, *n_others])
        }
        other => panic!("{other:?}"),
    });
    (figures.collect(), found.iter().map(|(_, e)| e.summary.clone()).collect())
}

fn fails(n: usize, which: impl Fn(usize, &Asked) -> bool) -> Vec<Asked> {
    let one = |i: usize| {
        let asked = usual(i);
        Asked { failed: which(i, &asked), ..asked }
    };
    (0..n).map(one).collect()
}

#[tokio::test]
async fn a_tenant_is_named_with_its_counts_and_nothing_else_is() {
    let bad = |i: usize, a: &Asked| {
        of(a, "tenant.id") == "tenant-4" && drawn(i, 6, 5) != 0 || drawn(i, 7, 97) == 0
    };
    let (figures, words) = told(fails(504, bad)).await;
    assert_eq!(figures, [("tenant.id".into(), "tenant-4".into(), [37, 41, 6, 463])]);
    assert_eq!(
        words,
        ["90 % of the 41 requests of orders with tenant.id tenant-4 fail or are slow, 1 % of 463 \
          others; at least 18 times as often"]
    );
}

#[tokio::test]
async fn one_tenant_of_hundreds_is_named() {
    let with = |i: usize| {
        let mut asked = usual(i);
        let tenant = drawn(i, 5, 120);
        asked.span[3].1 = format!("tenant-{tenant}");
        Asked { failed: tenant == 77, ..asked }
    };
    let (figures, _) = told((0..3_600).map(with).collect()).await;
    assert_eq!(figures, [("tenant.id".into(), "tenant-77".into(), [31, 31, 0, 3_569])]);
}

#[tokio::test]
async fn a_tenant_that_only_the_resource_names_is_told_before_its_instance() {
    // Instances of their own for each tenant: the SDK says whose they are once, for all requests.
    for name in ["tenant.id", "tenant", "tenant_id", "tenant.name", "organization.id"] {
        let with = |i: usize| {
            let mut asked = usual(i);
            let (_, tenant) = asked.span.pop().expect("the last is its tenant");
            asked.resource.push(("k8s.pod.name", format!("orders-{tenant}-0")));
            asked.resource.push((name, tenant.clone()));
            Asked { failed: tenant == "tenant-4", ..asked }
        };
        let (figures, _) = told((0..504).map(with).collect()).await;
        assert_eq!(figures, [(name.into(), "tenant-4".into(), [41, 41, 0, 463])]);
    }
}

#[tokio::test]
async fn two_tenants_with_the_same_counts_are_two() {
    let bad =
        |_: usize, a: &Asked| ["tenant-5", "tenant-10"].contains(&of(a, "tenant.id").as_str());
    let (figures, _) = told(fails(504, bad)).await;
    let named: Vec<&str> = figures.iter().map(|(_, value, _)| value.as_str()).collect();
    assert_eq!(named, ["tenant-10", "tenant-5"]);
    assert!(figures.iter().all(|(_, _, n)| *n == [42, 42, 42, 462]), "{figures:?}");
}

#[tokio::test]
async fn a_zone_is_named_and_none_of_its_nodes() {
    let bad = |i: usize, a: &Asked| {
        of(a, "cloud.availability_zone").ends_with('c') && drawn(i, 6, 4) != 0
    };
    let (figures, words) = told(fails(504, bad)).await;
    assert_eq!(
        figures,
        [("cloud.availability_zone".into(), "eu-central-1c".into(), [123, 170, 0, 334])]
    );
    assert_eq!(
        words,
        ["72 % of the 170 requests of orders with cloud.availability_zone eu-central-1c fail or \
          are slow, 0 % of 334 others; at least 5 times as often"]
    );
}

#[tokio::test]
async fn a_node_is_named_and_not_its_zone() {
    let bad = |_: usize, a: &Asked| of(a, "k8s.node.name") == "ip-10-0-2-1";
    let (figures, _) = told(fails(504, bad)).await;
    assert_eq!(figures, [("k8s.node.name".into(), "ip-10-0-2-1".into(), [61, 61, 0, 443])]);
}

#[tokio::test]
async fn an_endpoint_is_named_once_by_its_route() {
    let bad = |i: usize, a: &Asked| of(a, "http.route") == "/v1/quotes" && drawn(i, 6, 3) != 0;
    let (figures, words) = told(fails(504, bad)).await;
    assert_eq!(figures, [("http.route".into(), "/v1/quotes".into(), [116, 162, 0, 342])]);
    assert_eq!(
        words,
        ["72 % of the 162 requests of orders with http.route /v1/quotes fail or are slow, 0 % of \
          342 others; at least 5 times as often"]
    );
}

#[tokio::test]
async fn a_version_is_named_where_others_run_beside_it() {
    let bad = |i: usize, a: &Asked| of(a, "service.version") == "2.1" && drawn(i, 6, 2) == 0;
    let (figures, _) = told(fails(504, bad)).await;
    assert_eq!(figures, [("service.version".into(), "2.1".into(), [133, 245, 0, 259])]);
}

#[tokio::test]
async fn two_causes_that_cross_are_both_named() {
    let bad = |_: usize, a: &Asked| {
        of(a, "tenant.id") == "tenant-4" || of(a, "cloud.availability_zone").ends_with('c')
    };
    let (figures, _) = told(fails(504, bad)).await;
    let named: Vec<(&str, &str)> =
        figures.iter().map(|(a, v, _)| (a.as_str(), v.as_str())).collect();
    assert_eq!(named, [("cloud.availability_zone", "eu-central-1c"), ("tenant.id", "tenant-4")]);
}

#[tokio::test]
async fn what_is_merely_common_is_not_named() {
    // One tenant, zone and route have most of the requests, and so most of the bad ones.
    let with = |i: usize| {
        let mut asked = usual(i);
        if drawn(i, 8, 5) != 0 {
            asked.resource[3].1 = "eu-central-1a".into();
            asked.resource[4].1 = "ip-10-0-0-0".into();
            asked.span[1].1 = "/v1/orders".into();
            asked.span[3].1 = "tenant-0".into();
        }
        Asked { failed: drawn(i, 9, 11) == 0, ..asked }
    };
    let (figures, _) = told((0..600).map(with).collect()).await;
    assert_eq!(figures, []);
}
