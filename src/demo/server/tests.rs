//! The shop's door over real HTTP: Prometheus' answers and errors, fixes, and what is found there.

use std::future::Future;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::demo::{Options, Shop};
use crate::model::Time;
use crate::model::clock::ManualClock;
use crate::telemetry::discovery::{discover, inventory};
use crate::telemetry::prometheus::{Client, PrometheusConfig};

fn noon() -> Time {
    Time::parse("2026-11-18T12:00:00Z").expect("valid")
}

fn shop(clock: &std::sync::Arc<ManualClock>, folder: Option<&std::path::Path>) -> Shop {
    // Another test of the process may have chosen the provider before: then it stands.
    rustls::crypto::ring::default_provider().install_default().ok();
    Shop::bind(Options {
        seed: 7,
        clock: clock.clone(),
        scenario: None,
        data_dir: folder.map(Into::into),
        hook_secret: "not-a-real-secret".into(),
    })
    .expect("binds")
}

/// Runs a test beside the shop.
async fn beside(shop: &Shop, test: impl Future<Output = ()>) {
    tokio::select! {
        served = shop.serve(CancellationToken::new()) => panic!("the shop ended: {served:?}"),
        () = test => {}
    }
}

async fn get(shop: &Shop, path: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{}{path}", shop.url())).await.expect("answers");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

async fn post(shop: &Shop, path: &str, key: &str, body: Value) -> (u16, Value) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build();
    let request = client.expect("a client").post(format!("{}{path}", shop.url()));
    let answer = request.header("Idempotency-Key", key).json(&body).send().await.expect("answers");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn queries_are_answered_and_refused_as_prometheus_does() {
    let clock = ManualClock::new(noon());
    let shop = shop(&clock, None);
    beside(&shop, async {
        let (status, up) = get(&shop, "/api/v1/query?query=count(up)").await;
        assert_eq!((status, &up["data"]["resultType"]), (200, &json!("vector")));
        let (status, bad) = get(&shop, "/api/v1/query?query=sum(").await;
        assert_eq!((status, &bad["errorType"]), (400, &json!("bad_data")));
        let end = noon().seconds();
        let long = format!("/api/v1/query_range?query=up&start={}&end={end}&step=1", end - 86e3);
        let (status, refused) = get(&shop, &long).await;
        assert_eq!((status, &refused["errorType"]), (400, &json!("bad_data")));
        assert!(refused["error"].to_string().contains("11,000"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_fix_is_honoured_once_and_a_second_start_still_knows_it() {
    let clock = ManualClock::new(noon());
    let folder = tempfile::tempdir().expect("a folder");
    let first = shop(&clock, Some(folder.path()));
    beside(&first, async {
        let fault = json!({ "scenario": "pool-exhaustion" });
        assert_eq!(post(&first, "/admin/faults", "a", fault).await.0, 200);
        clock.set(noon().plus_ms(180_000));
        let (_, target) = get(&first, "/admin/services/orders").await;
        assert_eq!(target["worker_concurrency"], "64");
        let fix = json!({ "key": "worker_concurrency", "value": 16 });
        for _ in 0..2 {
            let (status, done) =
                post(&first, "/admin/services/orders/config", "b", fix.clone()).await;
            assert_eq!((status, &done["done"]), (200, &json!(true)));
        }
        let (status, no) = post(&first, "/admin/services/nobody/restart", "c", json!({})).await;
        assert_eq!((status, &no["error"]), (404, &json!("there is no service nobody")));
    })
    .await;
    let again = shop(&clock, Some(folder.path()));
    assert_eq!(again.addr(), first.addr(), "plans that name the door hold after a start");
    let third = shop(&clock, Some(folder.path()));
    assert_ne!(third.addr(), first.addr(), "the port is taken by the second");
    let again = again.world();
    assert_eq!(again.events(), first.world().events());
    assert_eq!(again.events().len(), 2);
    assert!(again.episodes()[0].mended);
}

#[tokio::test]
async fn discovery_finds_every_service_and_node_of_the_shop() {
    let clock = ManualClock::new(noon());
    let shop = shop(&clock, None);
    beside(&shop, async {
        let config =
            PrometheusConfig { name: "shop".into(), url: shop.url(), ..Default::default() };
        let client = Client::new(&config).expect("a client");
        let mut inventory = inventory(&client, 2).await.expect("an inventory");
        inventory.window_ms = 60_000;
        inventory.max_series = 5_000;
        let found = discover(&inventory);
        let names: Vec<String> = found.entities.iter().map(ToString::to_string).collect();
        for service in &crate::demo::town::SERVICES {
            assert!(names.iter().any(|n| n.contains(service.name)), "{}: {names:?}", service.name);
        }
        assert!(names.iter().any(|n| n.contains("node-2")), "{names:?}");
        assert!(found.watches.len() >= 10, "{:?}", found.table());
    })
    .await;
}

#[tokio::test]
async fn the_same_key_is_one_operation_and_never_two_different_ones() {
    let clock = ManualClock::new(noon());
    let shop = shop(&clock, None);
    beside(&shop, async {
        let path = "/admin/services/orders/scale";
        let (_, first) = post(&shop, path, "k", json!({ "replicas": 4 })).await;
        assert_eq!(first["text"], "orders has 4 replicas");
        let (status, again) = post(&shop, path, "k", json!({ "replicas": 4 })).await;
        assert_eq!(status, 200);
        assert_eq!(again["text"], "orders has 4 replicas (already done under this key)");
        let (status, other) = post(&shop, path, "k", json!({ "replicas": 9 })).await;
        assert_eq!(status, 409, "{other}");
        let fault = json!({ "scenario": "policy-cut" });
        assert_eq!(post(&shop, "/admin/faults", "k", fault.clone()).await.0, 409);
        for _ in 0..2 {
            assert_eq!(post(&shop, "/admin/faults", "f", fault.clone()).await.0, 200);
        }
        assert_eq!(shop.world().events().len(), 2);
        assert_eq!(get(&shop, "/admin/services/orders").await.1["replicas"], 4);
    })
    .await;
}

#[tokio::test]
async fn bad_operations_are_refused_in_words_and_change_nothing() {
    let clock = ManualClock::new(noon());
    let shop = shop(&clock, None);
    beside(&shop, async {
        let mut said = String::new();
        for (path, body) in [
            ("services/nobody/restart", json!({})),
            ("services/orders/explode", json!({})),
            ("services/orders/restart", json!({ "force": true })),
            ("services/orders/rollback", json!({})),
            ("services/orders/rollback", json!({ "to": "9.9.9" })),
            ("services/orders/rollback", json!({ "to": ["4.7.1"] })),
            ("services/orders/rollback", json!("4.7.1")),
            ("services/orders/config", json!({ "key": "colour", "value": "red" })),
            ("services/orders/config", json!({ "key": "worker_concurrency", "value": "many" })),
            ("services/orders/config", json!({ "key": "worker_concurrency", "value": 0 })),
            ("services/orders/config", json!({ "key": "worker_concurrency", "value": 1e9 })),
            ("services/orders/scale", json!({ "replicas": -1 })),
            ("services/orders/scale", json!({ "replicas": 21 })),
            ("services/search/move", json!({})),
            ("services/search/move", json!({ "to": "node-3", "away_from": "node-2" })),
            ("services/search/move", json!({ "to": "node-9" })),
            ("services/search/move", json!({ "away_from": "node-1" })),
            ("network-policies/nothing/revert", json!({})),
            ("databases/nothing/indexes", json!({ "table": "a", "column": "b" })),
            ("databases/catalog-db/indexes", json!({ "table": "a" })),
            ("databases/catalog-db/indexes", json!({ "table": "a; drop", "column": "b" })),
            ("faults", json!({ "scenario": "earthquake" })),
            ("services", json!({})),
        ] {
            let (status, answer) = post(&shop, &format!("/admin/{path}"), "bad", body).await;
            let text = answer["error"].as_str().unwrap_or("no error");
            said.push_str(&format!("{status} {path}: {text}\n"));
        }
        insta::assert_snapshot!(said, @r##"
        404 services/nobody/restart: there is no service nobody
        404 services/orders/explode: services have no action explode; they have: rollback, config, restart, move, scale
        400 services/orders/restart: the body has `force`; this takes no fields
        400 services/orders/rollback: the body has no `to`
        400 services/orders/rollback: orders never ran version 9.9.9
        400 services/orders/rollback: `to` must be a text that is not empty, or a number
        400 services/orders/rollback: the body must be a JSON object
        400 services/orders/config: orders has no setting colour; it has: worker_concurrency
        400 services/orders/config: `value` is many; it must be a whole number from 1 to 256
        400 services/orders/config: `value` is 0; it must be a whole number from 1 to 256
        400 services/orders/config: `value` is 1000000000.0; it must be a whole number from 1 to 256
        400 services/orders/scale: `replicas` is -1; it must be a whole number from 1 to 20
        400 services/orders/scale: `replicas` is 21; it must be a whole number from 1 to 20
        400 services/search/move: the body must have either `to` or `away_from`: the name of a node
        400 services/search/move: the body must have either `to` or `away_from`: the name of a node
        404 services/search/move: there is no node node-9
        409 services/search/move: it does not run on node-1
        404 network-policies/nothing/revert: there is no network policy nothing
        404 databases/nothing/indexes: there is no database nothing
        400 databases/catalog-db/indexes: the body has no `column`
        400 databases/catalog-db/indexes: `table` is `a; drop`; it must be small letters, digits and _ (at most 63)
        404 faults: there is no scenario earthquake
        404 services: the admin interface has no such path
        "##);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build();
        let client = client.expect("a client");
        let path = format!("{}/admin/services/orders/restart", shop.url());
        let broken = client.post(&path).body("{\"a\":").send().await.expect("answers");
        assert_eq!(broken.status().as_u16(), 400);
        let long = client.post(&path).header("Idempotency-Key", "x".repeat(300));
        assert_eq!(long.send().await.expect("answers").status().as_u16(), 400);
        assert_eq!(get(&shop, "/admin/services/orders/restart").await.0, 405);
        assert!(shop.world().events().is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_state_that_a_plan_is_bound_to_moves_with_what_is_done() {
    let clock = ManualClock::new(noon());
    let shop = shop(&clock, None);
    beside(&shop, async {
        let policy = "/admin/network-policies/auth-egress";
        assert_eq!(get(&shop, policy).await.1["revision"], 1);
        post(&shop, "/admin/faults", "a", json!({ "scenario": "policy-cut" })).await;
        assert_eq!(get(&shop, policy).await.1["revision"], 2);
        post(&shop, &format!("{policy}/revert"), "b", json!({})).await;
        assert_eq!(get(&shop, policy).await.1["revision"], 3);
        let index = json!({ "table": "products", "column": "category_id" });
        post(&shop, "/admin/databases/catalog-db/indexes", "c", index).await;
        let (_, database) = get(&shop, "/admin/databases/catalog-db").await;
        let indexes = database["indexes"].as_str().expect("a list");
        assert!(indexes.ends_with("stock(product_id), products(category_id)"), "{indexes}");
        let away = json!({ "away_from": "node-2" });
        let (status, moved) = post(&shop, "/admin/services/search/move", "d", away).await;
        assert_eq!(status, 200, "{moved}");
        let (_, search) = get(&shop, "/admin/services/search").await;
        assert_ne!(search["node"], "node-2");
        for gone in ["/admin/services/x", "/admin/databases/x", "/admin/network-policies/x"] {
            assert_eq!(get(&shop, gone).await.0, 404, "{gone}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_same_seed_gives_the_same_series_and_another_seed_others() {
    let clock = ManualClock::new(noon());
    let seeded = |seed| {
        Shop::bind(Options {
            seed,
            clock: clock.clone(),
            scenario: None,
            data_dir: None,
            hook_secret: "not-a-real-secret".into(),
        })
        .expect("binds")
    };
    let read = async |seed| {
        let shop = seeded(seed);
        let mut all = Vec::new();
        beside(&shop, async {
            for query in [
                "sum by (service) (rate(http_requests_total[1m]))",
                "container_memory_working_set_bytes",
                "rate(node_cpu_seconds_total{mode=\"idle\"}[5m])",
                "histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket[1m])))",
            ] {
                let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
                let end = noon().seconds();
                let path = format!(
                    "/api/v1/query_range?query={query}&start={}&end={end}&step=3600",
                    end - 14.0 * 86_400.0
                );
                let (status, answer) = get(&shop, &path).await;
                assert_eq!(status, 200, "{answer}");
                assert!(!answer["data"]["result"].as_array().expect("series").is_empty(), "{query}");
                all.push(answer["data"]["result"].clone());
            }
        })
        .await;
        all
    };
    let first = read(7).await;
    assert_eq!(first, read(7).await);
    let other = read(8).await;
    assert!(first.iter().zip(&other).all(|(a, b)| a != b));
}
