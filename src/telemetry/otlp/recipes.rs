//! Which OpenTelemetry metrics become which series: the golden signals by the names of the
//! semantic conventions (<https://opentelemetry.io/docs/specs/semconv/>).

use crate::model::Indicator;
use crate::model::signal::Direction;
use crate::telemetry::fold::Fold;

/// One rule: a metric of this name becomes this series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    /// The metric's name as exported.
    pub(super) name: &'static str,
    /// Only streams with this attribute value, when set.
    pub(super) only: Option<(&'static str, &'static str)>,
    /// What the series is called.
    pub(super) metric: &'static str,
    /// How streams are folded.
    pub(super) fold: Fold,
    /// Which signal it carries.
    pub(super) indicator: Indicator,
    /// Its unit.
    pub(super) unit: &'static str,
    /// Which departures are bad.
    pub(super) direction: Direction,
    /// Attributes that make separate series.
    pub(super) labels: &'static [&'static str],
    /// Whether it is about the machine rather than the service.
    pub(super) machine: bool,
}

const BASE: Recipe = Recipe {
    name: "",
    only: None,
    metric: "",
    fold: Fold::Sum,
    indicator: Indicator::Usage,
    unit: "1",
    direction: Direction::High,
    labels: &[],
    machine: false,
};

const fn recipe(
    name: &'static str,
    fold: Fold,
    indicator: Indicator,
    unit: &'static str,
) -> Recipe {
    Recipe { name, metric: name, fold, indicator, unit, ..BASE }
}

const POOL: &[&str] = &["db.client.connection.pool.name"];

/// The rules for numbers: gauges as they are, monotonic sums as rates.
pub(super) const NUMBERS: &[Recipe] = &[
    Recipe {
        only: Some(("db.client.connection.state", "used")),
        metric: "db.client.connection.utilization",
        labels: POOL,
        ..recipe(
            "db.client.connection.count",
            Fold::Over("db.client.connection.max"),
            Indicator::Utilization,
            "1",
        )
    },
    Recipe {
        metric: "db.client.connection.utilization",
        labels: POOL,
        ..recipe(
            "db.client.connection.max",
            Fold::Limit("db.client.connection.max"),
            Indicator::Utilization,
            "1",
        )
    },
    Recipe {
        labels: POOL,
        ..recipe(
            "db.client.connection.pending_requests",
            Fold::Sum,
            Indicator::Saturation,
            "{request}",
        )
    },
    Recipe {
        labels: POOL,
        ..recipe("db.client.connection.timeouts", Fold::Sum, Indicator::Saturation, "{timeout}/s")
    },
    recipe("http.server.active_requests", Fold::Sum, Indicator::Saturation, "{request}"),
    recipe("process.cpu.utilization", Fold::Mean, Indicator::Utilization, "1"),
    recipe("process.cpu.time", Fold::Sum, Indicator::Usage, "s/s"),
    recipe("process.memory.usage", Fold::Max, Indicator::Usage, "By"),
    recipe("process.unix.file_descriptor.count", Fold::Max, Indicator::Usage, "{file_descriptor}"),
    recipe("process.thread.count", Fold::Max, Indicator::Usage, "{thread}"),
    recipe("jvm.cpu.recent_utilization", Fold::Mean, Indicator::Utilization, "1"),
    recipe("jvm.thread.count", Fold::Sum, Indicator::Usage, "{thread}"),
    Recipe {
        only: Some(("jvm.memory.type", "heap")),
        metric: "jvm.memory.utilization",
        ..recipe("jvm.memory.used", Fold::Over("jvm.memory.limit"), Indicator::Utilization, "1")
    },
    Recipe {
        only: Some(("jvm.memory.type", "heap")),
        metric: "jvm.memory.utilization",
        ..recipe("jvm.memory.limit", Fold::Limit("jvm.memory.limit"), Indicator::Utilization, "1")
    },
    Recipe {
        metric: "system.memory.utilization",
        machine: true,
        ..recipe(
            "system.memory.usage",
            Fold::Share("system.memory.state", "used"),
            Indicator::Utilization,
            "1",
        )
    },
    Recipe {
        metric: "system.filesystem.utilization",
        labels: &["system.device", "system.filesystem.mountpoint"],
        machine: true,
        ..recipe(
            "system.filesystem.usage",
            Fold::Share("system.filesystem.state", "used"),
            Indicator::Utilization,
            "1",
        )
    },
    // Idle seconds a second and CPU, averaged over the CPUs: 1 is idle, 0 is full.
    Recipe {
        only: Some(("cpu.mode", "idle")),
        metric: "system.cpu.idle",
        direction: Direction::Low,
        machine: true,
        ..recipe("system.cpu.time", Fold::Mean, Indicator::Utilization, "1")
    },
    Recipe {
        only: Some(("state", "idle")),
        metric: "system.cpu.idle",
        direction: Direction::Low,
        machine: true,
        ..recipe("system.cpu.time", Fold::Mean, Indicator::Utilization, "1")
    },
    Recipe {
        machine: true,
        ..recipe("system.cpu.load_average.1m", Fold::Max, Indicator::Saturation, "{thread}")
    },
    Recipe {
        labels: &["network.io.direction"],
        direction: Direction::Both,
        machine: true,
        ..recipe("system.network.io", Fold::Sum, Indicator::Usage, "By/s")
    },
    Recipe {
        machine: true,
        ..recipe("system.network.errors", Fold::Sum, Indicator::Errors, "{error}/s")
    },
    recipe("k8s.pod.cpu.usage", Fold::Sum, Indicator::Usage, "{cpu}"),
    recipe("k8s.pod.memory.usage", Fold::Max, Indicator::Usage, "By"),
    recipe("k8s.container.restarts", Fold::Max, Indicator::Saturation, "{restart}"),
    Recipe {
        direction: Direction::Low,
        ..recipe("k8s.container.ready", Fold::Mean, Indicator::Availability, "1")
    },
    Recipe {
        direction: Direction::Low,
        ..recipe("k8s.deployment.available", Fold::Sum, Indicator::Availability, "{pod}")
    },
];

/// The rules for histograms of durations: rate, failures and percentiles by service.
pub(super) const DURATIONS: &[(&str, &[&str])] = &[
    ("http.server.request.duration", &[]),
    ("http.server.duration", &[]),
    ("http.client.request.duration", &["server.address"]),
    ("rpc.server.duration", &[]),
    ("rpc.server.call.duration", &[]),
    ("rpc.client.duration", &["server.address"]),
    ("rpc.client.call.duration", &["server.address"]),
    ("db.client.operation.duration", &["db.namespace"]),
    ("db.client.connection.wait_time", POOL),
    ("messaging.process.duration", &["messaging.destination.name"]),
    ("jvm.gc.duration", &[]),
];
