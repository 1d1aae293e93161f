//! Discovery on realistic inventories.

use std::fmt::Write as _;

use super::catalogue::{catalogue, questions};
use super::*;
use crate::model::Labels;

/// An inventory from lines of `name{label="value",…}`, as an exporter would write them.
fn inventory_of(text: &str) -> Inventory {
    let mut found = Inventory { window_ms: 60_000, max_series: 5_000, ..Inventory::default() };
    let asked = questions();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (name, rest) = line.split_once('{').unwrap_or((line, "}"));
        let labels: Labels = rest
            .trim_end_matches('}')
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.trim(), v.trim().trim_matches('"')))
            .collect();
        found.names.insert(name.to_owned());
        if let Some(kept) = asked.get(name) {
            let row: Labels = labels.iter().filter(|(k, _)| kept.contains(*k)).collect();
            let rows = found.rows.entry(name.to_owned()).or_default();
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    found
}

fn shown(found: &Discovered) -> String {
    let mut text = String::new();
    for w in &found.watches {
        writeln!(text, "{} [{}] x{}\n  {}", w.recipe, w.metric, w.n_series, w.promql)
            .expect("a string takes all");
    }
    for note in &found.notes {
        writeln!(text, "- {note}").expect("a string takes all");
    }
    text
}

#[test]
fn every_recipe_is_complete_and_is_promql() {
    assert!(catalogue().requests.len() >= 15 && catalogue().resource.len() >= 35);
    let fill = |q: &str| q.replace("<by>", "a,b").replace("<sel>", "c=\"d\"").replace("<w>", "1m");
    for recipe in &catalogue().resource {
        for signal in &recipe.signal {
            for promql in [Some(&signal.promql), signal.limit_promql.as_ref()].into_iter().flatten()
            {
                let promql = fill(promql);
                promql_parser::parser::parse(&promql)
                    .unwrap_or_else(|e| panic!("{}: {promql}: {e}", recipe.id));
            }
        }
    }
}

#[test]
fn red_of_mixed_conventions_without_doubles() {
    let found = discover(&inventory_of(
        r#"
        http_server_request_duration_seconds_count{service_name="checkout",http_response_status_code="200",job="shop/checkout"}
        http_server_request_duration_seconds_count{service_name="checkout",http_response_status_code="500",job="shop/checkout"}
        http_server_request_duration_seconds_bucket{service_name="checkout",le="1"}
        http_requests_total{service="cart",code="200",job="pods"}
        http_requests_total{job="shop/legacy",code="404"}
        http_request_duration_seconds_count{service="cart",job="pods"}
        http_request_duration_seconds_sum{service="cart",job="pods"}
        grpc_server_handled_total{service="pricing",grpc_code="OK"}
        istio_requests_total{destination_workload="checkout",response_code="200",reporter="destination"}
        istio_requests_total{destination_workload="ledger",response_code="503",reporter="destination"}
        "#,
    ));
    insta::assert_snapshot!(shown(&found), @r###"
    http-otel/requests.rate [http.server.request.rate] x1
      sum by (service_name) (rate(http_server_request_duration_seconds_count{service_name!=""}[1m]))
    http-otel/requests.errors [http.server.request.error_ratio] x1
      (sum by (service_name) (rate(http_server_request_duration_seconds_count{http_response_status_code=~"5..",service_name!=""}[1m])) or sum by (service_name) (rate(http_server_request_duration_seconds_count{service_name!=""}[1m])) * 0) / sum by (service_name) (rate(http_server_request_duration_seconds_count{service_name!=""}[1m]))
    http-otel/requests.duration [http.server.request.duration p95] x1
      histogram_quantile(0.95, sum by (le, service_name) (rate(http_server_request_duration_seconds_bucket{service_name!=""}[1m])))
    http-client-library/requests.rate [http.server.request.rate] x1
      sum by (service) (rate(http_requests_total{service!=""}[1m]))
    http-client-library/requests.errors [http.server.request.error_ratio] x1
      (sum by (service) (rate(http_requests_total{code=~"5..",service!=""}[1m])) or sum by (service) (rate(http_requests_total{service!=""}[1m])) * 0) / sum by (service) (rate(http_requests_total{service!=""}[1m]))
    http-client-library/requests.rate [http.server.request.rate] x1
      sum by (job) (rate(http_requests_total{job!="",service=""}[1m]))
    http-client-library/requests.errors [http.server.request.error_ratio] x1
      (sum by (job) (rate(http_requests_total{code=~"5..",job!="",service=""}[1m])) or sum by (job) (rate(http_requests_total{job!="",service=""}[1m])) * 0) / sum by (job) (rate(http_requests_total{job!="",service=""}[1m]))
    http-client-library/requests.duration [http.server.request.duration mean] x1
      sum by (service) (rate(http_request_duration_seconds_sum{service!=""}[1m])) / sum by (service) (rate(http_request_duration_seconds_count{service!=""}[1m]))
    grpc-server/requests.rate [rpc.server.request.rate] x1
      sum by (service) (rate(grpc_server_handled_total{service!=""}[1m]))
    grpc-server/requests.errors [rpc.server.request.error_ratio] x1
      (sum by (service) (rate(grpc_server_handled_total{grpc_code=~"(?i)unknown|deadline_?exceeded|resource_?exhausted|internal|unavailable|data_?loss",service!=""}[1m])) or sum by (service) (rate(grpc_server_handled_total{service!=""}[1m])) * 0) / sum by (service) (rate(grpc_server_handled_total{service!=""}[1m]))
    istio/requests.rate [istio.request.rate] x1
      sum by (destination_workload) (rate(istio_requests_total{destination_workload!="",reporter="destination"}[1m]))
    istio/requests.errors [istio.request.error_ratio] x1
      (sum by (destination_workload) (rate(istio_requests_total{response_code=~"5..",destination_workload!="",reporter="destination"}[1m])) or sum by (destination_workload) (rate(istio_requests_total{destination_workload!="",reporter="destination"}[1m])) * 0) / sum by (destination_workload) (rate(istio_requests_total{destination_workload!="",reporter="destination"}[1m]))
    "###);
}

#[test]
fn the_cap_leaves_out_whole_watches_and_says_so() {
    let mut text = String::new();
    for n in 0..30 {
        writeln!(text, "http_requests_total{{service=\"s{n}\",code=\"200\"}}").expect("written");
        writeln!(text, "go_goroutines{{service=\"s{n}\"}}").expect("written");
    }
    let found = discover(&Inventory { max_series: 65, ..inventory_of(&text) });
    let recipes: Vec<&str> = found.watches.iter().map(|w| w.recipe.as_str()).collect();
    assert_eq!(
        recipes,
        ["http-client-library/requests.rate", "http-client-library/requests.errors"]
    );
    assert!(
        found.notes.iter().any(|n| n.contains("go-runtime/goroutines") && n.contains("max_series"))
    );
    assert_eq!(found.n_series(), 60);
}

#[test]
fn nothing_known_is_said_and_not_a_panic() {
    let found = discover(&inventory_of("something_else{a=\"b\"}"));
    assert!(found.watches.is_empty());
    assert_eq!(found.notes, ["None of the 1 metrics fits a recipe; configure `queries`."]);
}

#[test]
fn hosts_get_their_names_and_rows_become_series() {
    let found = discover(&inventory_of(
        r#"
        node_uname_info{instance="10.0.0.1:9100",nodename="node-1",job="node"}
        node_uname_info{instance="10.0.0.2:9100",nodename="node-2",job="node"}
        node_cpu_seconds_total{instance="10.0.0.1:9100",job="node",mode="idle"}
        node_cpu_seconds_total{instance="10.0.0.2:9100",job="node",mode="idle"}
        "#,
    ));
    let watch = found.watches.iter().find(|w| w.recipe == "node-cpu/cpu").expect("found");
    let labels = Labels::default().with("instance", "10.0.0.2:9100");
    let series = watch.series("main", &labels, 15_000).expect("kept");
    assert_eq!(series.entity, EntityRef::host("node-2"));
    assert_eq!(series.limit, Some(1.0));
    assert_eq!(
        series.query.as_deref(),
        Some(
            r#"1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle",instance="10.0.0.2:9100"}[1m]))"#
        )
    );
}

#[test]
fn a_cluster_gives_each_service_its_signals_once() {
    let mut text = String::new();
    let services = ["frontend", "checkout", "orders", "payments", "pricing", "search"];
    for (n, service) in services.into_iter().enumerate() {
        for pod in ["a", "b"] {
            let base = format!(
                "job=\"pods\",namespace=\"shop\",service=\"{service}\",pod=\"{service}-{pod}\",instance=\"10.1.{n}.1:8080\""
            );
            let red: &[&str] = match n % 3 {
                0 => &[
                    "http_server_request_duration_seconds_bucket{B}",
                    "http_server_request_duration_seconds_count{B,http_response_status_code=\"200\"}",
                ],
                1 => &[
                    "http_requests_total{B,code=\"200\"}",
                    "http_request_duration_seconds_bucket{B}",
                    "http_request_duration_seconds_count{B}",
                ],
                _ => &[
                    "grpc_server_handled_total{B,grpc_code=\"OK\"}",
                    "grpc_server_handling_seconds_bucket{B}",
                    "grpc_server_handling_seconds_count{B}",
                ],
            };
            for line in red.iter().chain(&[
                "up{B}",
                "process_resident_memory_bytes{B}",
                "process_cpu_seconds_total{B}",
                "db_client_connections_usage{B,pool_name=\"db\",state=\"used\"}",
                "db_client_connections_max{B,pool_name=\"db\"}",
                "db_client_connections_pending_requests{B,pool_name=\"db\"}",
                // The service monitor of a cluster names the exporter, not who is measured.
                "container_memory_working_set_bytes{service=\"kubelet\",container=\"S\",pod=\"S-a\"}",
                "container_spec_memory_limit_bytes{service=\"kubelet\",container=\"S\",pod=\"S-a\"}",
                "container_cpu_usage_seconds_total{service=\"kubelet\",container=\"S\",pod=\"S-a\"}",
                "kube_deployment_spec_replicas{service=\"kube-state-metrics\",deployment=\"S\"}",
                "kube_deployment_status_replicas_available{service=\"kube-state-metrics\",deployment=\"S\"}",
                "kube_pod_container_status_restarts_total{service=\"kube-state-metrics\",container=\"S\"}",
            ]) {
                writeln!(text, "{}", line.replace('B', &base).replace("\"S", &format!("\"{service}")))
                    .expect("written");
            }
        }
    }
    text.push_str("pg_up{job=\"postgres\",instance=\"orders-db:9187\"}\n");
    let inventory = inventory_of(&text);
    let found = discover(&inventory);
    for service in services {
        let slots: Vec<&str> = found
            .watches
            .iter()
            .filter(|w| {
                let rule = &w.entity;
                let label = rule.label.as_deref().expect("discovered by a label");
                let anchor = inventory.rows.values().flatten();
                anchor.clone().any(|r| r.get(label) == Some(service))
                    && !rule.except.contains(service)
            })
            .filter_map(|w| w.recipe.split_once('/').map(|(_, slot)| slot))
            .collect();
        for slot in ["up", "pool.used", "pool.waiting", "memory", "cpu", "replicas", "restarts"] {
            assert_eq!(
                slots.iter().filter(|s| **s == slot).count(),
                1,
                "{service} {slot}: {slots:?}"
            );
        }
    }
    for (slot, n) in [("requests.rate", 6), ("requests.errors", 6), ("requests.duration", 6)] {
        let of = found.watches.iter().filter(|w| w.recipe.ends_with(slot));
        assert_eq!(of.map(|w| w.n_series).sum::<usize>(), n, "{slot}");
    }
    let memory =
        found.watches.iter().find(|w| w.recipe == "container-memory/memory").expect("found");
    assert!(
        memory
            .limit_promql
            .as_deref()
            .is_some_and(|q| q.contains("container_spec_memory_limit_bytes"))
    );
    assert!(found.entities.contains(&EntityRef::service("orders-db")));
}
