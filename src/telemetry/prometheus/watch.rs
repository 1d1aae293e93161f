//! A watch: one query whose rows are series, and how a row becomes one.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::wire::{Dropped, RangeRow, points};
use crate::model::signal::Direction;
use crate::model::{EntityRef, Indicator, Labels, Samples, Series, Time};

/// Labels that name a service, best first: OpenTelemetry's, then what exporters, service meshes
/// and Kubernetes set, and last the scrape job, which every series has.
pub const SERVICE_LABELS: [&str; 14] = [
    "service_name",
    "service",
    "exported_service",
    "app_kubernetes_io_name",
    "destination_workload",
    "destination_service_name",
    "app",
    "application",
    "workload",
    "deployment",
    "statefulset",
    "container",
    "exported_job",
    "job",
];

/// Labels that name a host, best first.
pub const HOST_LABELS: [&str; 8] = [
    "nodename",
    "node",
    "kubernetes_node",
    "k8s_node_name",
    "host_name",
    "hostname",
    "host",
    "instance",
];

/// Stands for a row's matchers in [`Watch::row_template`].
pub const ROW: &str = "<row>";

/// What is asked of a Prometheus again and again, and what its rows mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Watch {
    /// Which recipe and signal it comes from, or `configured`.
    pub recipe: String,
    /// A readable name, such as `http.server.request.duration p95`.
    pub metric: String,
    /// The query; each of its rows is one series.
    pub promql: String,
    /// The same query with [`ROW`] where a row's own matchers go, where one is known.
    pub row_template: Option<String>,
    /// What a row is about.
    pub entity: EntityRule,
    /// Which signal it carries.
    pub indicator: Indicator,
    /// Unit as in UCUM and OpenTelemetry.
    pub unit: String,
    /// Which departures are bad.
    pub direction: Direction,
    /// The upper limit of every row, where it is known.
    pub limit: Option<f64>,
    /// A query with the same labels whose values are the upper limits.
    pub limit_promql: Option<String>,
    /// How many series it is expected to give; `0` where nobody counted.
    pub n_series: usize,
    /// Why it is watched, in one sentence.
    pub why: String,
}

/// How a row's labels name what it is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default)]
pub struct EntityRule {
    /// The label that names it; where it is missing, the usual labels are tried.
    pub label: Option<String>,
    /// The attribute that names it; `service.name` where it is missing.
    pub attribute: Option<String>,
    /// One entity for all rows, instead of a label.
    #[schema(value_type = Option<String>)]
    pub fixed: Option<EntityRef>,
    /// Better names for some values of the label (a host's name for its address).
    pub rename: BTreeMap<String, String>,
    /// Names that a better watch already covers; their rows are left out.
    pub except: BTreeSet<String>,
}

impl EntityRule {
    /// What a row is about, and which label said so; `None` for rows that are left out.
    #[must_use]
    pub fn of(&self, labels: &Labels, source: &str) -> Option<(EntityRef, Option<String>)> {
        if let Some(entity) = &self.fixed {
            return Some((entity.clone(), None));
        }
        let attribute = self.attribute.as_deref().unwrap_or("service.name");
        if let Some(label) = &self.label {
            let name = self.name(label, labels.get(label).filter(|v| !v.is_empty())?);
            return (!self.except.contains(&name))
                .then(|| (EntityRef::new(attribute, name), Some(label.clone())));
        }
        for label in SERVICE_LABELS {
            // `job` is only the last resort: a host's name says more.
            let value = labels.get(label).filter(|v| !v.is_empty() && label != "job");
            if let Some(value) = value {
                return Some((EntityRef::service(self.name(label, value)), Some(label.into())));
            }
        }
        for label in HOST_LABELS.iter().chain(&["job"]) {
            if let Some(value) = labels.get(label).filter(|v| !v.is_empty()) {
                let name = self.name(label, value);
                let attribute = if *label == "job" { "service.name" } else { "host.name" };
                return Some((EntityRef::new(attribute, name), Some((*label).into())));
            }
        }
        Some((EntityRef::service(source), None))
    }

    /// The name that a label's value stands for.
    #[must_use]
    pub fn name(&self, label: &str, value: &str) -> String {
        if let Some(name) = self.rename.get(value) {
            return name.clone();
        }
        entity_name(label, value).to_owned()
    }
}

/// The name in a label's value: without the port in `instance`, without the namespace that
/// OpenTelemetry puts before the service in `job`, without what a proxy puts behind a service.
#[must_use]
pub fn entity_name<'a>(label: &str, value: &'a str) -> &'a str {
    let name = match label {
        "instance" => match value.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => value,
        },
        "job" | "exported_job" => value.rsplit('/').next().unwrap_or(value),
        // Traefik puts the provider behind the name.
        "service" | "exported_service" => value.split('@').next().unwrap_or(value),
        _ => value,
    };
    if name.is_empty() { value } else { name }
}

impl Watch {
    /// Identity of the question, for its cursor.
    #[must_use]
    pub fn key(&self) -> String {
        Labels::default()
            .with("promql", &self.promql)
            .with("metric", &self.metric)
            .fingerprint()
            .to_string()
    }

    /// The series that a row is, or `None` for rows that are left out.
    #[must_use]
    pub fn series(&self, source: &str, labels: &Labels, step_ms: i64) -> Option<Series> {
        let (entity, label) = self.entity.of(labels, source)?;
        let label = label.unwrap_or_default();
        let rest = labels.without(&["__name__", &label]);
        Some(Series {
            id: Series::identity(source, &self.metric, &entity, &rest),
            source: source.to_owned(),
            entity,
            metric: self.metric.clone(),
            query: Some(self.row_query(labels)),
            labels: rest,
            indicator: self.indicator,
            unit: self.unit.clone(),
            direction: self.direction,
            limit: self.limit,
            step_ms,
        })
    }

    /// A query that gives one row again: the row's labels stand in every selector where the
    /// watch's template has a place for them; otherwise the whole query.
    fn row_query(&self, labels: &Labels) -> String {
        let Some(template) = &self.row_template else { return self.promql.clone() };
        let matchers: Vec<String> = labels
            .iter()
            .filter(|(name, _)| *name != "__name__")
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        template.replace(ROW, &matchers.join(","))
    }

    /// Turns rows into samples, in order of series, each series once; what can't be used is
    /// counted.
    #[must_use]
    pub fn samples(
        &self,
        source: &str,
        rows: &[RangeRow],
        limits: &BTreeMap<Labels, f64>,
        step_ms: i64,
    ) -> (Vec<Samples>, Dropped) {
        let mut dropped = Dropped::default();
        let mut all: BTreeMap<_, Samples> = BTreeMap::new();
        for row in rows {
            let (points, lost) = points(&row.values);
            dropped += lost;
            let Some(mut series) = self.series(source, &row.metric, step_ms) else { continue };
            if points.is_empty() {
                continue;
            }
            if let Some(limit) = limits.get(&row.metric.without(&["__name__"])) {
                series.limit = Some(*limit);
            }
            match all.entry((series.entity.clone(), series.id)) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(Samples { series, points });
                }
                // Two rows that differ only in labels that are not kept.
                std::collections::btree_map::Entry::Occupied(_) => {
                    dropped.n_duplicate += points.len() as u64;
                }
            }
        }
        (all.into_values().collect(), dropped)
    }
}

/// A value as it stands between quotes in PromQL.
#[must_use]
pub fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The newest time whose question was answered, for every watch of a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// By [`Watch::key`].
    pub answered: BTreeMap<String, Time>,
}

impl Cursor {
    /// Where the store keeps the cursor of a source.
    #[must_use]
    pub fn key(source: &str) -> String {
        format!("prometheus/{source}/cursor")
    }

    /// The newest time that anything was read for.
    #[must_use]
    pub fn newest(&self) -> Option<Time> {
        self.answered.values().max().copied()
    }
}
