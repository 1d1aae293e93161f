//! Discovery on realistic inventories.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use promql_parser::parser::{self, Expr};

use super::catalogue::{catalogue, matchers_of, questions};
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
        // What a recipe's own matchers leave out is not asked for.
        let wanted = format!("{name}{{{}}}", matchers_of(name));
        let Ok(Expr::VectorSelector(wanted)) = parser::parse(&wanted) else {
            panic!("{wanted} is no selector");
        };
        let is_wanted =
            wanted.matchers.matchers.iter().all(|m| m.is_match(labels.get(&m.name).unwrap_or("")));
        if let Some(kept) = asked.get(name).filter(|_| is_wanted) {
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

/// The sections of `exporters.txt`: recipe and lines.
fn sections() -> Vec<(&'static str, &'static str)> {
    let text = include_str!("exporters.txt");
    let of = |section: &'static str| {
        let (head, lines) = section.split_once('\n').expect("a section has lines");
        (head.split(':').next().expect("a recipe").trim(), lines)
    };
    text.split("\n== ").skip(1).map(of).collect()
}

#[test]
fn every_recipe_finds_its_signals_as_exporters_name_them() {
    let requests = catalogue()
        .requests
        .iter()
        .map(|r| (r.id.as_str(), vec!["requests.rate", "requests.errors", "requests.duration"]));
    let resource = catalogue()
        .resource
        .iter()
        .map(|r| (r.id.as_str(), r.signal.iter().map(|s| s.slot.as_str()).collect()));
    let mut expected: BTreeMap<&str, Vec<&str>> = requests.chain(resource).collect();
    let all = expected.clone();
    let mut table = String::new();
    for (id, lines) in sections() {
        let found = discover(&inventory_of(lines));
        let slots: Vec<&str> = found
            .watches
            .iter()
            .filter_map(|w| w.recipe.split_once('/').map(|(_, slot)| slot))
            .collect();
        for slot in all.get(id).unwrap_or_else(|| panic!("there is no recipe {id}")) {
            assert!(slots.contains(slot), "{id} lacks {slot}: {}", shown(&found));
        }
        let own = found.watches.iter().filter(|w| w.recipe.starts_with(&format!("{id}/")));
        assert!(own.count() > 0, "{id}: {}", shown(&found));
        for watch in &found.watches {
            parser::parse(&watch.promql).expect("the shipped recipes are PromQL");
        }
        let names: Vec<String> = found.entities.iter().map(ToString::to_string).collect();
        writeln!(table, "{id}: {} of {}", slots.join(", "), names.join(", "))
            .expect("a string takes all");
        expected.remove(id);
    }
    assert!(expected.is_empty(), "no exporter is known for {:?}", expected.keys());
    insta::assert_snapshot!(table, @r###"
    http-otel: requests.rate, requests.errors, requests.duration of service.name=checkout
    http-otel-ms: requests.rate, requests.errors, requests.duration of service.name=cart
    http-otel-ms-old: requests.rate, requests.errors, requests.duration of service.name=wishlist
    http-spring: requests.rate, requests.errors, requests.duration of service.name=billing
    http-client-library: requests.rate, requests.errors, requests.duration of service.name=catalog
    http-duration-only: requests.duration, requests.rate, requests.errors of service.name=users
    http-duration-ms: requests.rate, requests.errors, requests.duration of service.name=search
    grpc-server: requests.rate, requests.errors, requests.duration of service.name=pricing
    rpc-otel: requests.rate, requests.errors, requests.duration of service.name=ledger
    rpc-otel-call: requests.rate, requests.errors, requests.duration of service.name=tax
    rpc-otel-ms: requests.rate, requests.errors, requests.duration of service.name=mail
    span-metrics: requests.rate, requests.errors, requests.duration of service.name=loyalty
    span-metrics-ms: requests.rate, requests.errors, requests.duration of service.name=coupons
    istio: requests.rate, requests.errors, requests.duration of service.name=shipping
    linkerd: requests.rate, requests.errors, requests.duration of service.name=inventory
    envoy-cluster: requests.rate, requests.errors, requests.duration of service.name=payments
    nginx-ingress: requests.rate, requests.errors, requests.duration of service.name=frontend
    traefik: requests.rate, requests.errors, requests.duration of service.name=shop-web-80
    prometheus-self: requests.rate, requests.errors, requests.duration of service.name=prometheus
    up: up of service.name=orders
    blackbox: probe, probe.duration, certificate of service.name=https://example.com
    cert-manager: certificate of tls.certificate.name=shop-tls
    kube-quota: quota of k8s.namespace.name=shop
    kube-replicas: replicas of service.name=orders
    kube-statefulset: replicas of service.name=orders-db
    kube-daemonset: replicas of service.name=cni
    kube-restarts: restarts of service.name=orders
    kube-pending: pending of k8s.namespace.name=shop
    kube-node: ready of host.name=node-1
    kube-volume: filesystem of k8s.persistentvolumeclaim.name=orders-db-0
    pool-otel: pool.used, pool.waiting, pool.timeouts of service.name=orders
    pool-otel-stable: pool.used, pool.waiting of service.name=users
    pool-hikari: pool.used, pool.waiting of service.name=billing
    pool-go-sql: pool.used, pool.waiting of service.name=catalog
    pool-pgbouncer: pool.waiting of db.namespace=orders
    db-client-duration: db.duration of service.name=orders
    container-memory: memory of service.name=orders
    container-cpu: cpu, cpu.throttled of service.name=orders
    container-memory: memory of service.name=cart
    container-oom: oom of service.name=orders
    node-cpu: cpu of host.name=node-1
    node-memory: memory of host.name=10.0.0.1
    node-load: cpu, load of host.name=10.0.0.1
    node-pressure: pressure.cpu, pressure.io, pressure.memory of host.name=10.0.0.1
    node-filesystem: filesystem of host.name=10.0.0.1
    node-disk: disk of host.name=10.0.0.1
    node-network: network.received, network.errors of host.name=10.0.0.1
    postgres-up: db.up of service.name=orders-db
    postgres: db.connections, db.active of service.name=orders-db
    postgres-transactions: db.rate, db.scans, db.deadlocks of service.name=orders-db
    mysql: db.connections, db.rate, db.slow of service.name=users-db
    redis: db.rate, memory, db.evictions of service.name=cache
    kafka-lag: queue.lag of service.name=mailer
    rabbitmq: queue.lag of messaging.destination.name=mails
    http-active: requests.active of service.name=checkout
    jvm-heap: heap, gc of service.name=billing
    jvm-heap-otel: heap, gc of service.name=ledger
    dotnet: heap, gc, threads.waiting of service.name=tax
    nodejs: eventloop of service.name=search
    go-runtime: goroutines of service.name=catalog
    python-gc: gc of service.name=users
    process-memory: memory of service.name=catalog
    process-cpu: cpu of service.name=catalog
    process-files: files of service.name=catalog
    "###);
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
fn a_native_histogram_is_found_by_its_only_name() {
    let found = discover(&inventory_of(
        "http_request_duration_seconds{job=\"orders\",code=\"200\"}\n\
         http_request_duration_seconds{job=\"orders\",code=\"500\"}",
    ));
    let told = shown(&found);
    let selected = "http_request_duration_seconds{job!=\"\"}[1m]";
    for promql in [
        format!("sum by (job) (histogram_count(rate({selected})))"),
        format!("histogram_quantile(0.95, sum by (job) (rate({selected})))"),
    ] {
        assert!(told.contains(&promql), "{promql} is missing in {told}");
    }
    assert_eq!(found.watches.len(), 3, "{told}");
    for watch in &found.watches {
        parser::parse(&watch.promql).expect("it is PromQL");
    }
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
