//! Tags as labels, by the names that correlation and matchers know.

use std::collections::BTreeMap;

use crate::model::Labels;

/// What Datadog calls otherwise. Names of Kubernetes: <https://docs.datadoghq.com/containers/kubernetes/tag/>.
const NAMES: [(&str, &str); 17] = [
    ("env", "environment"),
    ("kube_service", "service"),
    ("kube_app_name", "app"),
    ("kube_deployment", "deployment"),
    ("kube_stateful_set", "statefulset"),
    ("kube_daemon_set", "daemonset"),
    ("kube_cronjob", "cronjob"),
    ("kube_container_name", "container"),
    ("container_name", "container"),
    ("kube_namespace", "namespace"),
    ("kube_cluster_name", "cluster"),
    ("cluster_name", "cluster"),
    ("kube_node", "node"),
    ("kube_node_name", "node"),
    ("pod_name", "pod"),
    ("availability-zone", "zone"),
    ("availability_zone", "zone"),
];

/// Tags of a text with commas, as name and value. A tag without a value names nothing.
pub(super) fn list(text: &str) -> Vec<(String, String)> {
    text.split(',')
        .filter_map(|tag| tag.trim().split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .filter(|(name, value)| !name.is_empty() && !value.is_empty() && value != "*")
        .collect()
}

/// Labels of tags. What the alert is about (`scope`) comes before what the monitor is tagged with, a
/// name of Datadog's own that is the label's too before one that is translated, and of several values
/// the first in order of the alphabet counts: the order of tags says nothing.
pub(super) fn labels(
    scope: &[(String, String)],
    tags: &[(String, String)],
    hostname: Option<&String>,
) -> Labels {
    let mut found: BTreeMap<&str, (u8, &str)> = BTreeMap::new();
    for (from, rank) in [(scope, 0), (tags, 2)] {
        for (name, value) in from {
            let other = NAMES.iter().find(|(theirs, _)| theirs == name).map(|(_, ours)| *ours);
            let rank = rank + u8::from(other.is_some());
            let best = found.entry(other.unwrap_or(name)).or_insert((rank, value));
            *best = (*best).min((rank, value));
        }
    }
    if let Some(host) = hostname {
        found.entry("host").or_insert((4, host));
    }
    found.into_iter().map(|(name, (_, value))| (name.to_owned(), value.to_owned())).collect()
}
