//! What kind of quantity a series is, read off its name where nobody says it.

/// What a series measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// How long requests take.
    Latency,
    /// Failed requests, as a number, rate or share.
    Errors,
    /// The share of requests that succeed, or whether it is up.
    Success,
    /// Requests.
    Traffic,
    /// Processor.
    Cpu,
    /// Memory.
    Memory,
    /// Storage.
    Disk,
    /// Network.
    Network,
    /// Anything of the node below it, which others share.
    Host,
    /// Anything else.
    Other,
}

/// Words that tell a kind; the first row that fits wins. `response` and `time` alone come last:
/// they stand in names of many things.
const WORDS: [(Kind, &[&str]); 9] = [
    (Kind::Success, &["availability", "success", "successes", "up", "ready", "healthy"]),
    (
        Kind::Errors,
        &["error", "errors", "fail", "failed", "failure", "failures", "fault", "faults", "5xx"],
    ),
    (Kind::Latency, &["latency", "duration", "delay", "response", "rtt", "lat"]),
    (Kind::Cpu, &["cpu", "throttled", "throttling", "load1", "load5", "load15"]),
    (Kind::Memory, &["memory", "mem", "heap", "rss", "oom"]),
    (Kind::Disk, &["disk", "diskio", "io", "fs", "filesystem", "iops", "syscall", "blkio"]),
    (
        Kind::Network,
        &[
            "network", "net", "socket", "sockets", "tcp", "packets", "receive", "transmit", "rx",
            "tx",
        ],
    ),
    (
        Kind::Traffic,
        &[
            "requests",
            "request",
            "workload",
            "load",
            "throughput",
            "rps",
            "qps",
            "ops",
            "calls",
            "hits",
            "rate",
        ],
    ),
    (Kind::Latency, &["time", "elapsed", "took", "rt"]),
];

/// Reads the kind off a metric's name, and whether it is measured on the calling side.
#[must_use]
pub fn read(name: &str) -> (Kind, bool) {
    let lower = name.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let outgoing = words.iter().any(|w| ["client", "outgoing", "upstream"].contains(w));
    if words.iter().any(|w| ["node", "host"].contains(w)) {
        return (Kind::Host, outgoing);
    }
    let fits = |told: &[&str]| words.iter().any(|w| told.contains(w));
    let kind = WORDS.iter().find(|(_, told)| fits(told)).map_or(Kind::Other, |(kind, _)| *kind);
    (kind, outgoing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_kind() {
        let kinds = [
            ("latency", Kind::Latency),
            ("istio_request_duration_milliseconds", Kind::Latency),
            ("container-cpu-usage-seconds-total", Kind::Cpu),
            ("success_rate", Kind::Success),
            ("http_server_errors", Kind::Errors),
            ("requests", Kind::Traffic),
            ("memory_usage_rate", Kind::Memory),
            ("diskio", Kind::Disk),
            ("network_receive", Kind::Network),
            ("node_cpu_usage_rate", Kind::Host),
            ("response_time", Kind::Latency),
            ("open_carts", Kind::Other),
        ];
        for (name, kind) in kinds {
            assert_eq!(read(name), (kind, false), "{name}");
        }
        assert_eq!(read("client_latency"), (Kind::Latency, true));
    }
}
