//! What happens at the simulated sites: kinds of fault and of noise, and how they show.

use crate::model::{ChangeKind, Indicator, Severity};

/// Where a sign shows, seen from where the trouble is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// There.
    Here,
    /// At what calls it or runs on it.
    Callers,
    /// At what it calls or runs on.
    Below,
    /// At any service.
    Anywhere,
}

/// One alert that a kind may bring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sign {
    /// Its `alertname`.
    pub name: &'static str,
    /// The metric, or the log template.
    pub what: &'static str,
    /// Whether it is a template.
    pub is_template: bool,
    /// Which signal.
    pub indicator: Option<Indicator>,
    /// Where.
    pub place: Place,
    /// How likely at each such entity.
    pub chance: f64,
    /// How bad.
    pub severity: Severity,
}

/// One kind of fault, or of noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// How common it is, against the others.
    pub weight: f64,
    /// Whether it is noise.
    pub noise: bool,
    /// The pattern of its cause.
    pub pattern: &'static str,
    /// What fixes it.
    pub fix: Option<&'static str>,
    /// What people try first and does not help.
    pub wrong_fix: &'static str,
    /// A change shortly before, and how likely.
    pub change: Option<(ChangeKind, f64)>,
    /// Whether it is about a host.
    pub on_host: bool,
    /// The hour of the day that it comes at, where it has one.
    pub hour: Option<u8>,
    /// Scores from and to.
    pub score: (f64, f64),
    /// Natural logarithm of the ratio to the expected value, from and to.
    pub times: (f64, f64),
    /// Share of alerts that end within half a minute.
    pub ended: f64,
    /// Share of alerts that another system tells.
    pub external: f64,
    /// Mean of further reports of an alert.
    pub reports: f64,
    /// Seconds within which its alerts begin.
    pub spread_s: f64,
    /// How it shows.
    pub signs: &'static [Sign],
}

const fn sign(
    name: &'static str,
    what: &'static str,
    indicator: Indicator,
    (place, chance): (Place, f64),
    severity: Severity,
) -> Sign {
    Sign { name, what, is_template: false, indicator: Some(indicator), place, chance, severity }
}

const fn line(name: &'static str, template: &'static str, (place, chance): (Place, f64)) -> Sign {
    Sign {
        name,
        what: template,
        is_template: true,
        indicator: None,
        place,
        chance,
        severity: Severity::Warning,
    }
}

const FAULT: Kind = Kind {
    name: "",
    weight: 1.0,
    noise: false,
    pattern: "unknown",
    fix: None,
    wrong_fix: "service/restart",
    change: None,
    on_host: false,
    hour: None,
    score: (5.0, 30.0),
    times: (0.4, 2.5),
    ended: 0.05,
    external: 0.2,
    reports: 0.5,
    spread_s: 55.0,
    signs: &[],
};

const NOISE: Kind =
    Kind { noise: true, score: (3.5, 14.0), times: (0.2, 1.2), ended: 0.35, ..FAULT };

use Indicator::{Availability, Duration, Errors, Rate, Saturation, Usage, Utilization};
use Place::{Anywhere, Below, Callers, Here};
use Severity::{Critical, Info, Warning};

const SLOW: Sign = sign("Slow", "http_p95", Duration, (Here, 0.9), Warning);
const FAILS: Sign = sign("Errors", "http_errors", Errors, (Here, 0.8), Critical);
const SLOW_ABOVE: Sign = sign("Slow", "http_p95", Duration, (Callers, 0.6), Warning);
const FAILS_ABOVE: Sign = sign("Errors", "http_errors", Errors, (Callers, 0.5), Critical);

/// What happens at the shop.
pub(super) const SHOP: &[Kind] = &[
    Kind {
        name: "bad-release",
        weight: 2.0,
        pattern: "deploy",
        fix: Some("release/rollback"),
        change: Some((ChangeKind::Deploy, 0.9)),
        signs: &[FAILS, SLOW, FAILS_ABOVE, line("NewLine", "panic in <*>", (Here, 0.5))],
        ..FAULT
    },
    Kind {
        name: "pool-full",
        weight: 1.6,
        pattern: "saturation",
        fix: Some("pool/concurrency"),
        change: Some((ChangeKind::Config, 0.5)),
        signs: &[
            sign("Saturated", "pool_in_use", Saturation, (Here, 0.9), Warning),
            SLOW,
            SLOW_ABOVE,
            line("LogBurst", "timeout waiting for connection <*>", (Here, 0.6)),
        ],
        ..FAULT
    },
    Kind {
        name: "leak",
        weight: 1.2,
        pattern: "resource_leak",
        fix: Some("service/restart"),
        wrong_fix: "release/rollback",
        score: (4.0, 12.0),
        signs: &[
            sign("MemoryGrows", "memory_bytes", Usage, (Here, 1.0), Warning),
            sign("Slow", "http_p95", Duration, (Here, 0.3), Warning),
        ],
        ..FAULT
    },
    Kind {
        name: "cut-off",
        weight: 0.9,
        pattern: "network_policy",
        fix: Some("policy/revert"),
        change: Some((ChangeKind::NetworkPolicy, 0.8)),
        external: 0.5,
        signs: &[FAILS, FAILS_ABOVE, line("LogBurst", "connection refused to <*>", (Here, 0.8))],
        ..FAULT
    },
    Kind {
        name: "slow-store",
        weight: 1.0,
        pattern: "slow_queries",
        fix: Some("index/create"),
        signs: &[SLOW, SLOW_ABOVE, sign("QuerySlow", "db_p95", Duration, (Below, 0.6), Warning)],
        ..FAULT
    },
    Kind {
        name: "release-blip",
        weight: 1.6,
        change: Some((ChangeKind::Deploy, 0.95)),
        signs: &[SLOW, FAILS, SLOW_ABOVE],
        ..NOISE
    },
    Kind {
        name: "outage",
        weight: 0.8,
        pattern: "dependency",
        fix: Some("service/failover"),
        external: 0.8,
        reports: 3.0,
        signs: &[sign("ProbeFailed", "probe", Availability, (Here, 1.0), Critical), FAILS_ABOVE],
        ..FAULT
    },
    Kind {
        name: "rush",
        weight: 0.8,
        pattern: "traffic",
        fix: Some("service/scale"),
        signs: &[
            sign("Traffic", "http_rate", Rate, (Here, 0.9), Info),
            sign("Busy", "cpu", Utilization, (Below, 0.5), Warning),
            sign("Slow", "http_p95", Duration, (Here, 0.5), Warning),
        ],
        ..FAULT
    },
    Kind {
        name: "nightly-job",
        weight: 1.4,
        hour: Some(2),
        signs: &[
            sign("Traffic", "http_rate", Rate, (Here, 0.9), Info),
            sign("Busy", "cpu", Utilization, (Below, 0.4), Warning),
        ],
        ..NOISE
    },
    Kind {
        name: "flapping-check",
        weight: 1.3,
        external: 0.9,
        reports: 4.0,
        signs: &[sign("ProbeFailed", "probe", Availability, (Here, 1.0), Critical)],
        ..NOISE
    },
];

/// What happens at the platform.
pub(super) const PLATFORM: &[Kind] = &[
    Kind {
        name: "disk-full",
        weight: 1.6,
        pattern: "resource_leak",
        fix: Some("host/clean"),
        wrong_fix: "host/reboot",
        on_host: true,
        score: (4.0, 14.0),
        signs: &[
            sign("DiskFills", "disk_used", Usage, (Here, 1.0), Warning),
            line("LogBurst", "no space left on <*>", (Callers, 0.5)),
        ],
        ..FAULT
    },
    Kind {
        name: "crowded-host",
        weight: 1.4,
        pattern: "noisy_neighbour",
        fix: Some("job/move"),
        wrong_fix: "host/reboot",
        on_host: true,
        signs: &[
            sign("Busy", "cpu", Utilization, (Here, 0.95), Warning),
            sign("JobSlow", "job_seconds", Duration, (Callers, 0.7), Warning),
        ],
        ..FAULT
    },
    Kind {
        name: "partner-down",
        weight: 1.2,
        pattern: "external",
        external: 0.6,
        signs: &[
            sign("CallsFail", "rpc_errors", Errors, (Here, 0.9), Critical),
            sign("CallsFail", "rpc_errors", Errors, (Callers, 0.5), Warning),
        ],
        ..FAULT
    },
    Kind {
        name: "backlog",
        weight: 1.6,
        pattern: "saturation",
        fix: Some("workers/scale"),
        signs: &[
            sign("Backlog", "queue_length", Saturation, (Here, 1.0), Warning),
            sign("JobSlow", "job_seconds", Duration, (Callers, 0.6), Warning),
        ],
        ..FAULT
    },
    Kind {
        name: "host-lost",
        weight: 0.9,
        pattern: "dependency",
        fix: Some("host/replace"),
        wrong_fix: "host/reboot",
        on_host: true,
        signs: &[
            sign("DataMissing", "all", Availability, (Here, 1.0), Warning),
            sign("CallsFail", "rpc_errors", Errors, (Callers, 0.6), Critical),
        ],
        ..FAULT
    },
    Kind {
        name: "stuck-job",
        weight: 0.8,
        pattern: "slow_queries",
        fix: Some("job/kill"),
        external: 0.5,
        signs: &[
            sign("JobSlow", "job_seconds", Duration, (Here, 0.9), Warning),
            sign("ProbeFailed", "probe", Availability, (Callers, 0.5), Critical),
        ],
        ..FAULT
    },
    Kind {
        name: "morning-rush",
        weight: 1.5,
        hour: Some(6),
        signs: &[
            sign("Busy", "cpu", Utilization, (Below, 0.7), Warning),
            sign("Traffic", "rpc_rate", Rate, (Here, 0.8), Info),
        ],
        ..NOISE
    },
    Kind {
        name: "gap",
        weight: 1.3,
        on_host: true,
        signs: &[
            sign("DataMissing", "all", Availability, (Here, 1.0), Warning),
            sign("DataMissing", "all", Availability, (Callers, 0.2), Warning),
            sign("CallsFail", "rpc_errors", Errors, (Callers, 0.2), Critical),
        ],
        ..NOISE
    },
    Kind {
        name: "chatty-check",
        weight: 1.2,
        external: 0.95,
        reports: 6.0,
        signs: &[sign("ProbeFailed", "probe", Availability, (Anywhere, 0.12), Critical)],
        ..NOISE
    },
];
