//! Attributes and resources: what a signal is about, and what is worth keeping beside it.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::model::{EntityRef, Labels};

/// Attributes kept of one signal, and the longest value kept in characters. Both bound what one
/// record can cost; more is cut, not refused.
const MOST_ATTRIBUTES: usize = 64;
const LONGEST_VALUE: usize = 2_048;

/// Resource attributes that stay beside every log line and span of the resource.
const KEPT: [&str; 18] = [
    "host.name",
    "service.version",
    "service.namespace",
    "service.instance.id",
    "deployment.environment.name",
    "k8s.namespace.name",
    "k8s.deployment.name",
    "k8s.pod.name",
    "k8s.node.name",
    "container.id",
    "cloud.region",
    "cloud.availability_zone",
    // Where each tenant has instances of its own, only the resource says whose they are.
    "tenant.id",
    "tenant.name",
    "tenant_id",
    "tenant",
    "organization.id",
    "k8s.cluster.name",
];

/// A resource: what its signals are about.
pub(super) struct Origin {
    /// What they are about.
    pub(super) entity: EntityRef,
    /// All resource attributes.
    pub(super) attributes: Labels,
    /// Those that stay beside each signal.
    pub(super) kept: Labels,
}

impl Origin {
    /// Reads a resource; a missing one is `service.name=unknown_service`, the default that the
    /// resource conventions name.
    pub(super) fn new(resource: Option<Resource>) -> Self {
        let attributes = labels(resource.map(|r| r.attributes).unwrap_or_default());
        let kept = attributes.iter().filter(|(k, v)| KEPT.contains(k) && !v.is_empty()).collect();
        Self { entity: entity(&attributes), attributes, kept }
    }

    /// How many bytes each signal of the resource repeats of it, at most.
    pub(super) fn repeated_bytes(&self) -> usize {
        let kept: usize = self.kept.iter().map(|(k, v)| k.len() + v.len()).sum();
        kept + self.entity.name().len().max(self.machine().name().len())
    }

    /// What a metric of the machine (`system.*`) is about.
    pub(super) fn machine(&self) -> EntityRef {
        ["host.name", "k8s.node.name"]
            .iter()
            .find_map(|name| named(&self.attributes, name))
            .unwrap_or_else(|| self.entity.clone())
    }
}

fn named(attributes: &Labels, name: &str) -> Option<EntityRef> {
    let value = attributes.get(name).map(str::trim).filter(|v| !v.is_empty())?;
    // A Kubernetes object's name is unique within its namespace only.
    let scoped = name.starts_with("k8s.") && !matches!(name, "k8s.node.name" | "k8s.cluster.name");
    Some(match attributes.get("k8s.namespace.name").filter(|n| scoped && !n.is_empty()) {
        Some(space) if name != "k8s.namespace.name" => {
            EntityRef::new(name, format!("{space}/{value}"))
        }
        _ => EntityRef::new(name, value),
    })
}

/// The entity of a resource: the service; else the Kubernetes workload or pod; else the host.
/// A service that the exporter made up (`unknown_service:java`) gives way to what is known.
pub(super) fn entity(attributes: &Labels) -> EntityRef {
    let service = named(attributes, "service.name");
    if let Some(service) = service.clone().filter(|s| !s.name().starts_with("unknown_service")) {
        return service;
    }
    [
        "k8s.deployment.name",
        "k8s.statefulset.name",
        "k8s.daemonset.name",
        "k8s.cronjob.name",
        "k8s.job.name",
        "k8s.pod.name",
        "host.name",
        "k8s.node.name",
        "container.name",
        "k8s.namespace.name",
    ]
    .iter()
    .find_map(|name| named(attributes, name))
    .or(service)
    .unwrap_or_else(|| EntityRef::service("unknown_service"))
}

/// Key-value pairs as labels, in bounds.
pub(super) fn labels(pairs: Vec<KeyValue>) -> Labels {
    pairs
        .into_iter()
        .filter(|pair| !pair.key.is_empty())
        .take(MOST_ATTRIBUTES)
        .filter_map(|pair| Some((cut(pair.key, 256), text(pair.value?)?)))
        .collect()
}

/// A value as text: texts as they are, numbers and truth values by their usual spelling, lists
/// and maps as JSON.
pub(super) fn text(value: AnyValue) -> Option<String> {
    Some(match value.value? {
        Value::StringValue(s) => cut(s, LONGEST_VALUE),
        Value::BoolValue(b) => b.to_string(),
        Value::IntValue(n) => n.to_string(),
        Value::DoubleValue(x) => x.to_string(),
        Value::BytesValue(bytes) => {
            crate::model::id::hex(&bytes[..bytes.len().min(LONGEST_VALUE / 2)])
        }
        other => cut(json(other).to_string(), LONGEST_VALUE),
    })
}

fn json(value: Value) -> serde_json::Value {
    use serde_json::Value as J;
    match value {
        Value::StringValue(s) => J::from(s),
        Value::BoolValue(b) => J::from(b),
        Value::IntValue(n) => J::from(n),
        Value::DoubleValue(x) => J::from(x),
        Value::BytesValue(bytes) => J::from(crate::model::id::hex(&bytes)),
        Value::ArrayValue(list) => {
            list.values.into_iter().map(|v| v.value.map_or(J::Null, json)).collect()
        }
        Value::KvlistValue(map) => map
            .values
            .into_iter()
            .map(|p| (p.key, p.value.and_then(|v| v.value).map_or(J::Null, json)))
            .collect(),
        Value::StringValueStrindex(_) => J::Null,
    }
}

/// The text up to `most` characters.
pub(super) fn cut(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
    }
    text
}

/// An id as hexadecimal digits, when it has the right length and is not all zero.
pub(super) fn id(bytes: &[u8], length: usize) -> Option<String> {
    (bytes.len() == length && bytes.iter().any(|b| *b != 0)).then(|| crate::model::id::hex(bytes))
}
