//! The fixed plan of the simulated shop: services, who calls whom, databases, nodes, versions.

/// How a service names its request metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenTelemetry's HTTP server conventions as Prometheus stores them.
    OtelHttp,
    /// The names that Prometheus client libraries suggest.
    ClientHttp,
    /// The names of the usual gRPC interceptors.
    Grpc,
}

/// One call that a service makes while it answers a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// The service that is called.
    pub to: &'static str,
    /// Share of the caller's requests that make the call, 0 to 1.
    pub share: f64,
    /// Whether the caller can answer without it (it waits, then falls back).
    pub optional: bool,
    /// Seconds after which the caller gives up.
    pub timeout_s: f64,
}

/// One service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// How its metrics are named.
    pub dialect: Dialect,
    /// Operations: `METHOD route` for HTTP, `Service/Method` for gRPC.
    pub operations: &'static [&'static str],
    /// Requests per second at the mean of the week.
    pub rate: f64,
    /// Median of a successful answer in seconds, without disturbance.
    pub median_s: f64,
    /// Share of requests that fail without disturbance.
    pub errors: f64,
    /// CPU seconds per request.
    pub cpu_s: f64,
    /// Memory per instance after a collection, in bytes.
    pub memory: f64,
    /// Memory limit per instance in bytes.
    pub memory_limit: f64,
    /// Instances.
    pub replicas: usize,
    /// Nodes its instances run on, in turn.
    pub nodes: &'static [usize],
    /// The database it queries: its name, queries per request, and connections in its pool.
    pub database: Option<(&'static str, f64, f64)>,
    /// What it calls.
    pub calls: &'static [Call],
    /// Version at the beginning of history.
    pub version: (u32, u32, u32),
}

/// One database server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Database {
    /// Its name.
    pub name: &'static str,
    /// Median of one query in seconds.
    pub query_s: f64,
    /// Connections that it accepts.
    pub max_connections: f64,
}

const fn must(to: &'static str, share: f64) -> Call {
    Call { to, share, optional: false, timeout_s: 5.0 }
}

const fn may(to: &'static str, share: f64) -> Call {
    Call { to, share, optional: true, timeout_s: 1.0 }
}

const MIB: f64 = 1_048_576.0;

/// Nodes of the cluster.
pub const NODES: [&str; 4] = ["node-1", "node-2", "node-3", "node-4"];

/// CPU cores of every node.
pub const CORES: usize = 4;

/// The databases.
pub const DATABASES: [Database; 3] = [
    Database { name: "orders-db", query_s: 0.006, max_connections: 200.0 },
    Database { name: "auth-db", query_s: 0.003, max_connections: 150.0 },
    Database { name: "catalog-db", query_s: 0.008, max_connections: 200.0 },
];

/// The services. Calls form a graph without cycles.
pub const SERVICES: [Service; 14] = [
    Service {
        name: "frontend",
        dialect: Dialect::OtelHttp,
        operations: &["GET /", "GET /product/{id}"],
        rate: 180.0,
        median_s: 0.062,
        errors: 0.0012,
        cpu_s: 0.009,
        memory: 310.0 * MIB,
        memory_limit: 1024.0 * MIB,
        replicas: 3,
        nodes: &[0, 2, 3],
        database: None,
        calls: &[
            must("checkout", 0.08),
            must("cart", 0.25),
            must("catalog", 0.55),
            must("search", 0.22),
            may("recommendations", 0.50),
            must("auth", 0.35),
            must("users", 0.12),
        ],
        version: (9, 2, 4),
    },
    Service {
        name: "checkout",
        dialect: Dialect::OtelHttp,
        operations: &["POST /checkout", "GET /checkout/{id}"],
        rate: 14.0,
        median_s: 0.110,
        errors: 0.0020,
        cpu_s: 0.014,
        memory: 260.0 * MIB,
        memory_limit: 768.0 * MIB,
        replicas: 2,
        nodes: &[0, 2],
        database: None,
        calls: &[
            must("cart", 0.9),
            must("orders", 0.95),
            must("payments", 0.7),
            must("pricing", 0.9),
            must("shipping", 0.4),
            must("auth", 0.9),
        ],
        version: (5, 11, 0),
    },
    Service {
        name: "cart",
        dialect: Dialect::OtelHttp,
        operations: &["GET /cart", "POST /cart/items"],
        rate: 46.0,
        median_s: 0.024,
        errors: 0.0008,
        cpu_s: 0.005,
        memory: 180.0 * MIB,
        memory_limit: 512.0 * MIB,
        replicas: 2,
        nodes: &[2, 3],
        database: None,
        calls: &[must("pricing", 0.6), must("auth", 0.8)],
        version: (3, 4, 7),
    },
    Service {
        name: "catalog",
        dialect: Dialect::ClientHttp,
        operations: &["GET /products", "GET /products/{id}"],
        rate: 120.0,
        median_s: 0.021,
        errors: 0.0006,
        cpu_s: 0.006,
        memory: 420.0 * MIB,
        memory_limit: 1024.0 * MIB,
        replicas: 3,
        nodes: &[0, 2, 3],
        database: Some(("catalog-db", 1.4, 30.0)),
        calls: &[must("inventory", 0.3), must("pricing", 0.4)],
        version: (12, 0, 3),
    },
    Service {
        name: "search",
        dialect: Dialect::ClientHttp,
        operations: &["GET /search", "GET /suggest"],
        rate: 42.0,
        median_s: 0.048,
        errors: 0.0010,
        cpu_s: 0.022,
        memory: 720.0 * MIB,
        memory_limit: 1536.0 * MIB,
        replicas: 2,
        nodes: &[1],
        database: None,
        calls: &[may("catalog", 0.2)],
        version: (2, 8, 1),
    },
    Service {
        name: "recommendations",
        dialect: Dialect::ClientHttp,
        operations: &["GET /recommendations"],
        rate: 88.0,
        median_s: 0.031,
        errors: 0.0015,
        cpu_s: 0.008,
        memory: 380.0 * MIB,
        memory_limit: 1024.0 * MIB,
        replicas: 2,
        nodes: &[3, 0],
        database: None,
        calls: &[may("catalog", 0.15)],
        version: (1, 9, 2),
    },
    Service {
        name: "orders",
        dialect: Dialect::OtelHttp,
        operations: &["POST /orders", "GET /orders/{id}"],
        rate: 22.0,
        median_s: 0.045,
        errors: 0.0012,
        cpu_s: 0.010,
        memory: 340.0 * MIB,
        memory_limit: 1024.0 * MIB,
        replicas: 2,
        nodes: &[0, 3],
        database: Some(("orders-db", 3.0, 20.0)),
        calls: &[must("inventory", 0.6), may("notifications", 0.5), must("auth", 0.5)],
        version: (4, 7, 1),
    },
    Service {
        name: "payments",
        dialect: Dialect::Grpc,
        operations: &["shop.Payments/Authorize", "shop.Payments/Capture"],
        rate: 11.0,
        median_s: 0.140,
        errors: 0.0025,
        cpu_s: 0.006,
        memory: 220.0 * MIB,
        memory_limit: 512.0 * MIB,
        replicas: 2,
        nodes: &[2, 3],
        database: None,
        calls: &[must("auth", 0.6)],
        version: (7, 1, 5),
    },
    Service {
        name: "auth",
        dialect: Dialect::OtelHttp,
        operations: &["POST /token", "GET /session"],
        rate: 130.0,
        median_s: 0.009,
        errors: 0.0005,
        cpu_s: 0.003,
        memory: 150.0 * MIB,
        memory_limit: 512.0 * MIB,
        replicas: 2,
        nodes: &[0, 2],
        database: Some(("auth-db", 1.1, 25.0)),
        calls: &[],
        version: (6, 3, 0),
    },
    Service {
        name: "users",
        dialect: Dialect::OtelHttp,
        operations: &["GET /users/{id}", "PUT /users/{id}"],
        rate: 26.0,
        median_s: 0.018,
        errors: 0.0007,
        cpu_s: 0.004,
        memory: 200.0 * MIB,
        memory_limit: 512.0 * MIB,
        replicas: 2,
        nodes: &[3, 0],
        database: None,
        calls: &[must("auth", 0.9)],
        version: (2, 14, 6),
    },
    Service {
        name: "inventory",
        dialect: Dialect::Grpc,
        operations: &["shop.Inventory/Reserve", "shop.Inventory/Level"],
        rate: 52.0,
        median_s: 0.014,
        errors: 0.0006,
        cpu_s: 0.004,
        memory: 240.0 * MIB,
        memory_limit: 768.0 * MIB,
        replicas: 2,
        nodes: &[3, 2],
        database: Some(("catalog-db", 1.0, 20.0)),
        calls: &[],
        version: (3, 0, 9),
    },
    Service {
        name: "shipping",
        dialect: Dialect::OtelHttp,
        operations: &["POST /quotes", "POST /shipments"],
        rate: 9.0,
        median_s: 0.070,
        errors: 0.0018,
        cpu_s: 0.007,
        memory: 170.0 * MIB,
        memory_limit: 512.0 * MIB,
        replicas: 2,
        nodes: &[2, 0],
        database: None,
        calls: &[may("notifications", 0.4), must("auth", 0.5)],
        version: (1, 22, 3),
    },
    Service {
        name: "notifications",
        dialect: Dialect::ClientHttp,
        operations: &["POST /notify"],
        rate: 18.0,
        median_s: 0.035,
        errors: 0.0020,
        cpu_s: 0.004,
        memory: 160.0 * MIB,
        memory_limit: 512.0 * MIB,
        replicas: 2,
        nodes: &[3],
        database: None,
        calls: &[must("auth", 0.4)],
        version: (4, 0, 2),
    },
    Service {
        name: "pricing",
        dialect: Dialect::Grpc,
        operations: &["shop.Pricing/Quote"],
        rate: 95.0,
        median_s: 0.006,
        errors: 0.0004,
        cpu_s: 0.002,
        memory: 130.0 * MIB,
        memory_limit: 384.0 * MIB,
        replicas: 2,
        nodes: &[2, 3],
        database: None,
        calls: &[],
        version: (8, 5, 1),
    },
];

/// Position of a service in [`SERVICES`].
#[must_use]
pub fn service_index(name: &str) -> Option<usize> {
    SERVICES.iter().position(|s| s.name == name)
}

/// Position of a database in [`DATABASES`].
#[must_use]
pub fn database_index(name: &str) -> Option<usize> {
    DATABASES.iter().position(|d| d.name == name)
}

/// Position of a node in [`NODES`].
#[must_use]
pub fn node_index(name: &str) -> Option<usize> {
    NODES.iter().position(|n| *n == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_name_services_and_form_no_cycle() {
        fn depth(at: usize, left: usize) -> usize {
            assert!(left > 0, "a cycle goes through {}", SERVICES[at].name);
            let below = SERVICES[at]
                .calls
                .iter()
                .map(|call| depth(service_index(call.to).expect("calls name services"), left - 1));
            1 + below.max().unwrap_or(0)
        }
        let deepest = (0..SERVICES.len()).map(|s| depth(s, SERVICES.len())).max();
        assert!(deepest >= Some(3), "faults need a chain to travel along");
        for service in &SERVICES {
            if let Some((database, _, _)) = service.database {
                assert!(database_index(database).is_some(), "{database}");
            }
            assert!(service.nodes.iter().all(|n| *n < NODES.len()));
        }
    }
}
