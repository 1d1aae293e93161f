//! Every metric series of the shop: its name and labels as the usual exporters write them, and
//! where in a frame its value stands.

use std::sync::Arc;

use super::town::{CORES, DATABASES, Dialect, NODES, SERVICES, Service};
use super::world::frame::{BOUNDS, CHECKOUT, Frame, Place, item};
use super::world::rhythm::hash;
use crate::model::Labels;

/// What kind of number a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A counter; the frame holds its rate per second.
    Counter,
    /// A counter of rare events; the frame holds its value.
    Count,
    /// A gauge; the frame holds its value.
    Gauge,
}

/// One series.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its metric name.
    pub name: &'static str,
    /// Its labels without `__name__`.
    pub labels: Arc<Labels>,
    /// Which frame it reads.
    pub place: Place,
    /// Positions in the frame that are added up.
    items: [usize; 3],
    n_items: usize,
    /// Factor: this series' share of the sum.
    share: f64,
    /// What kind of number it is.
    pub kind: Kind,
    /// Whether it reads latency buckets.
    pub needs_buckets: bool,
    /// It exists only while this instance of the service runs on this node.
    pub only_on: Option<(usize, usize, usize)>,
}

impl Series {
    /// Its value (gauges and counts) or rate per second (counters) in a frame.
    #[must_use]
    pub fn read(&self, frame: &Frame) -> f64 {
        self.items[..self.n_items].iter().map(|i| frame[*i]).sum::<f64>() * self.share
    }
}

/// Name, type and help of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Name without `_bucket`, `_sum`, `_count`.
    pub name: &'static str,
    /// `counter`, `gauge`, `histogram`.
    pub kind: &'static str,
    /// Help text.
    pub help: &'static str,
}

macro_rules! families {
    ($($name:literal $kind:literal $help:literal;)*) => {
        /// The metric families of the shop.
        pub const FAMILIES: &[Family] = &[$(Family { name: $name, kind: $kind, help: $help },)*];
    };
}

families! {
    "up" "gauge" "Whether the last scrape of the target succeeded.";
    "http_server_request_duration_seconds" "histogram" "Duration of HTTP server requests.";
    "http_server_active_requests" "gauge" "Number of active HTTP server requests.";
    "http_requests_total" "counter" "Total number of HTTP requests by handler, method and code.";
    "http_request_duration_seconds" "histogram" "Latency of HTTP requests by handler and method.";
    "grpc_server_handled_total" "counter" "Total number of RPCs completed on the server.";
    "grpc_server_handling_seconds" "histogram" "Response latency of RPCs handled by the server.";
    "process_resident_memory_bytes" "gauge" "Resident memory size in bytes.";
    "process_cpu_seconds_total" "counter" "Total user and system CPU time spent in seconds.";
    "container_memory_working_set_bytes" "gauge" "Current working set of the container in bytes.";
    "container_spec_memory_limit_bytes" "gauge" "Memory limit of the container in bytes.";
    "container_cpu_usage_seconds_total" "counter" "Cumulative CPU time consumed in seconds.";
    "container_cpu_cfs_throttled_seconds_total" "counter" "Total time the container was throttled.";
    "db_client_connections_usage" "gauge" "Connections that are in the state given by the label.";
    "db_client_connections_max" "gauge" "The most open connections the pool allows.";
    "db_client_connections_pending_requests" "gauge" "Requests that wait for an open connection.";
    "db_client_connections_timeouts_total" "counter" "Timeouts while waiting for a connection.";
    "db_client_operation_duration_seconds" "histogram" "Duration of database client operations.";
    "node_cpu_seconds_total" "counter" "Seconds the CPUs spent in each mode.";
    "node_load1" "gauge" "1m load average.";
    "node_memory_MemTotal_bytes" "gauge" "Memory information field MemTotal_bytes.";
    "node_memory_MemAvailable_bytes" "gauge" "Memory information field MemAvailable_bytes.";
    "node_filesystem_size_bytes" "gauge" "Filesystem size in bytes.";
    "node_filesystem_avail_bytes" "gauge" "Filesystem space available to non-root users in bytes.";
    "node_network_receive_bytes_total" "counter" "Network device statistic receive_bytes.";
    "shop_orders_total" "counter" "Orders placed.";
    "shop_revenue_euros_total" "counter" "Worth of the orders placed, in euros.";
    "kube_pod_info" "gauge" "Information about pod.";
    "kube_pod_container_status_restarts_total" "counter" "The number of container restarts.";
    "kube_deployment_spec_replicas" "gauge" "Number of desired pods for a deployment.";
    "kube_deployment_status_replicas_available" "gauge" "Number of available replicas.";
    "pg_up" "gauge" "Whether the last scrape of metrics from PostgreSQL worked.";
    "pg_settings_max_connections" "gauge" "Server setting: max_connections.";
    "pg_stat_activity_count" "gauge" "Number of connections in this state.";
    "pg_stat_database_xact_commit" "counter" "Transactions that have been committed.";
    "pg_stat_user_tables_seq_tup_read" "counter" "Live rows fetched by sequential scans.";
}

/// The family that a sample name belongs to.
#[must_use]
pub fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| {
        f.name == name
            || (f.kind == "histogram"
                && name
                    .strip_prefix(f.name)
                    .is_some_and(|rest| matches!(rest, "_bucket" | "_sum" | "_count")))
    })
}

/// Name of an instance of a service: stable for a seed.
#[must_use]
pub fn pod_name(seed: u64, service: usize, replica: usize) -> String {
    let set = hash(seed, 0x90d, service as u64);
    let one = hash(set, 0x90e, replica as u64);
    let letter = |n: u64| char::from(b"bcdfghjklmnpqrstvwxz2456789"[(n % 27) as usize]);
    let tail: String = (0..5).map(|i| letter(one >> (i * 7))).collect();
    format!("{}-{:09x}-{tail}", SERVICES[service].name, set & 0xf_ffff_ffff)
}

/// All series of the shop, in order of name.
#[must_use]
pub fn catalogue(seed: u64) -> Vec<Series> {
    let mut all = Writer { series: Vec::new() };
    for (s, plan) in SERVICES.iter().enumerate() {
        for replica in 0..plan.replicas {
            service_series(&mut all, seed, s, replica);
        }
        let place = Place::Service(s);
        let labels = labels(&[
            ("job", "kube-state-metrics"),
            ("namespace", "shop"),
            ("deployment", plan.name),
        ]);
        all.gauge("kube_deployment_spec_replicas", &labels, place, item::REPLICAS);
        all.gauge("kube_deployment_status_replicas_available", &labels, place, item::AVAILABLE);
    }
    for node in 0..NODES.len() {
        node_series(&mut all, node);
    }
    for (d, database) in DATABASES.iter().enumerate() {
        database_series(&mut all, d, database.name);
    }
    all.series.sort_by(|a, b| a.name.cmp(b.name).then_with(|| a.labels.cmp(&b.labels)));
    all.series
}

struct Writer {
    series: Vec<Series>,
}

impl Writer {
    fn push(&mut self, name: &'static str, labels: Labels, place: Place, items: &[usize]) {
        let mut three = [0; 3];
        three[..items.len()].copy_from_slice(items);
        self.series.push(Series {
            name,
            labels: Arc::new(labels),
            place,
            items: three,
            n_items: items.len(),
            share: 1.0,
            kind: Kind::Gauge,
            needs_buckets: false,
            only_on: None,
        });
    }

    fn last(&mut self) -> &mut Series {
        self.series.last_mut().expect("called after a push")
    }

    fn gauge(&mut self, name: &'static str, labels: &Labels, place: Place, item: usize) {
        self.push(name, labels.clone(), place, &[item]);
    }

    fn counter(
        &mut self,
        name: &'static str,
        labels: Labels,
        place: Place,
        (items, share): (&[usize], f64),
    ) {
        self.push(name, labels, place, items);
        self.last().kind = Kind::Counter;
        self.last().share = share;
    }

    /// `names` are those of buckets, sum and count; `from` gives, for every flow that is added
    /// up, the positions of its first bucket, its sum and its count.
    fn histogram(
        &mut self,
        names: [&'static str; 3],
        labels: &Labels,
        place: Place,
        (from, share): (&[[usize; 3]], f64),
    ) {
        let pick = |at: usize, more: usize| -> Vec<usize> {
            from.iter().map(|flow| flow[at] + more).collect()
        };
        for i in 0..=BOUNDS.len() {
            let le = BOUNDS.get(i).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
            let with = labels.clone().with("le", le);
            self.counter(names[0], with, place, (&pick(0, i), share));
            self.last().needs_buckets = true;
        }
        self.counter(names[1], labels.clone(), place, (&pick(1, 0), share));
        self.counter(names[2], labels.clone(), place, (&pick(2, 0), share));
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}

const FLOWS: [[usize; 3]; 3] = [
    [item::OK_BUCKET, item::OK_SUM, item::OK],
    [item::REFUSED_BUCKET, item::REFUSED_SUM, item::REFUSED],
    [item::FAILED_BUCKET, item::FAILED_SUM, item::FAILED],
];

fn service_series(all: &mut Writer, seed: u64, s: usize, replica: usize) {
    let plan = &SERVICES[s];
    let place = Place::Service(s);
    let pod = pod_name(seed, s, replica);
    let instance = format!("10.1.{}.{}:8080", s + 1, replica + 11);
    let base = labels(&[
        ("job", "kubernetes-pods"),
        ("namespace", "shop"),
        ("service", plan.name),
        ("pod", &pod),
        ("instance", &instance),
    ]);
    let share = 1.0 / plan.replicas as f64;
    all.gauge("up", &base, place, item::ONE);
    requests(all, plan, &base, place, share);
    if plan.name == CHECKOUT {
        for (name, from) in
            [("shop_orders_total", item::ORDERS), ("shop_revenue_euros_total", item::REVENUE)]
        {
            all.counter(name, base.clone(), place, (&[from], share));
        }
    }

    // Instances differ a little in memory.
    let own = 0.97 + 0.06 * (hash(seed, s as u64, replica as u64) % 100) as f64 / 100.0;
    all.gauge("process_resident_memory_bytes", &base, place, item::MEMORY);
    all.last().share = own;
    all.counter("process_cpu_seconds_total", base.clone(), place, (&[item::CPU], share));
    if let Some((database, _, _)) = plan.database {
        pool_series(all, &base, place, share, database);
    }
    // Where instances may be moved, each node has its own series and one exists at a time.
    let home = plan.nodes[replica % plan.nodes.len()];
    let may_move = plan.nodes.len() == 1;
    for node in (0..NODES.len()).filter(|n| may_move || *n == home) {
        let labels = labels(&[
            ("job", "cadvisor"),
            ("namespace", "shop"),
            ("service", plan.name),
            ("container", plan.name),
            ("pod", &pod),
            ("node", NODES[node]),
            ("instance", NODES[node]),
        ]);
        let before = all.series.len();
        all.gauge("container_memory_working_set_bytes", &labels, place, item::MEMORY);
        all.last().share = own * 1.02;
        all.gauge("container_spec_memory_limit_bytes", &labels, place, item::MEMORY_LIMIT);
        all.counter(
            "container_cpu_usage_seconds_total",
            labels.clone(),
            place,
            (&[item::CPU], share),
        );
        all.counter(
            "container_cpu_cfs_throttled_seconds_total",
            labels,
            place,
            (&[item::THROTTLED], share),
        );
        let info = self::labels(&[
            ("job", "kube-state-metrics"),
            ("namespace", "shop"),
            ("pod", &pod),
            ("node", NODES[node]),
            ("created_by_kind", "ReplicaSet"),
        ]);
        all.gauge("kube_pod_info", &info, place, item::ONE);
        for series in &mut all.series[before..] {
            series.only_on = Some((s, replica, node));
        }
    }
    let container = labels(&[
        ("job", "kube-state-metrics"),
        ("namespace", "shop"),
        ("pod", &pod),
        ("container", plan.name),
    ]);
    all.gauge("kube_pod_container_status_restarts_total", &container, place, item::RESTARTS);
    all.last().kind = Kind::Count;
    if replica > 0 {
        all.last().share = 0.0;
    }
}

fn requests(all: &mut Writer, plan: &Service, base: &Labels, place: Place, share: f64) {
    if plan.dialect == Dialect::OtelHttp {
        all.gauge("http_server_active_requests", base, place, item::IN_FLIGHT);
        all.last().share = share;
    }
    let n = plan.operations.len();
    for (o, operation) in plan.operations.iter().enumerate() {
        let share = share * if n == 1 { 1.0 } else { [0.62, 0.38][o.min(1)] };
        let (first, second) = operation.split_once([' ', '/']).expect("operations have two parts");
        match plan.dialect {
            Dialect::OtelHttp => {
                let method =
                    base.clone().with("http_route", second).with("http_request_method", first);
                for (flow, code) in FLOWS.iter().zip(["200", "404", "500"]) {
                    all.histogram(
                        [
                            "http_server_request_duration_seconds_bucket",
                            "http_server_request_duration_seconds_sum",
                            "http_server_request_duration_seconds_count",
                        ],
                        &method.clone().with("http_response_status_code", code),
                        place,
                        (&[*flow], share),
                    );
                }
            }
            Dialect::ClientHttp => {
                let method =
                    base.clone().with("handler", second).with("method", first.to_lowercase());
                for (flow, code) in FLOWS.iter().zip(["200", "404", "500"]) {
                    let labels = method.clone().with("code", code);
                    all.counter("http_requests_total", labels, place, (&[flow[2]], share));
                }
                all.histogram(
                    [
                        "http_request_duration_seconds_bucket",
                        "http_request_duration_seconds_sum",
                        "http_request_duration_seconds_count",
                    ],
                    &method,
                    place,
                    (&FLOWS, share),
                );
            }
            Dialect::Grpc => {
                let method = base
                    .clone()
                    .with("grpc_service", first)
                    .with("grpc_method", second)
                    .with("grpc_type", "unary");
                for (flow, code) in FLOWS.iter().zip(["OK", "InvalidArgument", "Unavailable"]) {
                    let labels = method.clone().with("grpc_code", code);
                    all.counter("grpc_server_handled_total", labels, place, (&[flow[2]], share));
                }
                all.histogram(
                    [
                        "grpc_server_handling_seconds_bucket",
                        "grpc_server_handling_seconds_sum",
                        "grpc_server_handling_seconds_count",
                    ],
                    &method,
                    place,
                    (&FLOWS, share),
                );
            }
        }
    }
}

fn pool_series(all: &mut Writer, base: &Labels, place: Place, share: f64, database: &str) {
    let pool = base.clone().with("pool_name", database);
    for (state, from) in [("used", item::POOL_USED), ("idle", item::POOL_IDLE)] {
        let labels = pool.clone().with("state", state);
        all.gauge("db_client_connections_usage", &labels, place, from);
    }
    all.gauge("db_client_connections_max", &pool, place, item::POOL_MAX);
    all.gauge("db_client_connections_pending_requests", &pool, place, item::POOL_PENDING);
    all.counter(
        "db_client_connections_timeouts_total",
        pool,
        place,
        (&[item::POOL_TIMEOUTS], share),
    );
    let operation = base
        .clone()
        .with("db_system_name", "postgresql")
        .with("db_namespace", database.trim_end_matches("-db"))
        .with("server_address", database);
    all.histogram(
        [
            "db_client_operation_duration_seconds_bucket",
            "db_client_operation_duration_seconds_sum",
            "db_client_operation_duration_seconds_count",
        ],
        &operation,
        place,
        (&[[item::QUERY_BUCKET, item::QUERIES_SUM, item::QUERIES]], share),
    );
}

fn node_series(all: &mut Writer, n: usize) {
    let place = Place::Node(n);
    let instance = format!("{}:9100", NODES[n]);
    let base = labels(&[("job", "node-exporter"), ("instance", &instance), ("node", NODES[n])]);
    all.gauge("up", &base, place, item::ONE);
    for core in 0..CORES {
        for (mode, from) in [
            ("idle", item::IDLE),
            ("user", item::USER),
            ("system", item::SYSTEM),
            ("iowait", item::IOWAIT),
        ] {
            let labels = base.clone().with("cpu", core.to_string()).with("mode", mode);
            all.counter("node_cpu_seconds_total", labels, place, (&[from], 1.0));
        }
    }
    all.gauge("node_load1", &base, place, item::LOAD);
    all.gauge("node_memory_MemTotal_bytes", &base, place, item::NODE_MEMORY);
    all.gauge("node_memory_MemAvailable_bytes", &base, place, item::NODE_AVAILABLE);
    let disk =
        base.clone().with("device", "/dev/vda1").with("fstype", "ext4").with("mountpoint", "/");
    all.gauge("node_filesystem_size_bytes", &disk, place, item::DISK);
    all.gauge("node_filesystem_avail_bytes", &disk, place, item::DISK_FREE);
    let network = base.with("device", "eth0");
    all.counter("node_network_receive_bytes_total", network, place, (&[item::RECEIVED], 1.0));
}

fn database_series(all: &mut Writer, d: usize, name: &str) {
    let place = Place::Database(d);
    let instance = format!("{name}:9187");
    let base = labels(&[("job", "postgres"), ("instance", &instance), ("namespace", "shop")]);
    let named = base.clone().with("datname", name.trim_end_matches("-db"));
    all.gauge("up", &base, place, item::ONE);
    all.gauge("pg_up", &base, place, item::ONE);
    all.gauge("pg_settings_max_connections", &base, place, item::MAX_CONNECTIONS);
    for (state, from) in [("active", item::ACTIVE), ("idle", item::IDLE_CONNECTIONS)] {
        all.gauge("pg_stat_activity_count", &named.clone().with("state", state), place, from);
    }
    all.counter("pg_stat_database_xact_commit", named.clone(), place, (&[item::COMMITS], 1.0));
    all.counter("pg_stat_user_tables_seq_tup_read", named, place, (&[item::SCANNED], 1.0));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn series_are_unique_and_every_name_has_a_family() {
        let all = catalogue(7);
        let distinct: BTreeSet<_> = all.iter().map(|s| (s.name, s.labels.as_ref())).collect();
        assert_eq!(distinct.len(), all.len());
        for series in &all {
            assert!(family(series.name).is_some(), "{}", series.name);
        }
        for known in FAMILIES {
            assert!(all.iter().any(|s| s.name.starts_with(known.name)), "{}", known.name);
        }
    }
}
