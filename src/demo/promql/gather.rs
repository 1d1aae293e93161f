//! Aggregations: `sum`, `avg`, `max`, `topk` and their kin, by or without labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use promql_parser::parser::token::{
    T_AVG, T_BOTTOMK, T_COUNT, T_COUNT_VALUES, T_GROUP, T_MAX, T_MIN, T_QUANTILE, T_STDDEV,
    T_STDVAR, T_SUM, T_TOPK,
};
use promql_parser::parser::{AggregateExpr, LabelModifier};

use super::answer::number;
use super::value::{ABSENT, QueryError, Row, Value, is_absent};
use super::{Engine, over};
use crate::model::{Labels, Time};

impl Engine {
    /// An aggregation.
    pub(super) fn aggregate(
        &self,
        aggregate: &AggregateExpr,
        grid: &[Time],
    ) -> Result<Value, QueryError> {
        let rows = self.vector(&aggregate.expr, grid)?;
        if aggregate.op.id() == T_COUNT_VALUES {
            let label = match &aggregate.param {
                Some(param) => self.text(param)?,
                None => String::new(),
            };
            return Ok(Value::Vector(by_value(&rows, &label, aggregate, grid.len())));
        }
        let parameter = match &aggregate.param {
            Some(param) => self.scalar(param, grid)?,
            None => vec![0.0; grid.len()],
        };
        let op = aggregate.op.id();
        let mut groups: BTreeMap<Labels, Vec<Row>> = BTreeMap::new();
        for row in rows {
            groups.entry(group_of(&row, aggregate.modifier.as_ref())).or_default().push(row);
        }
        let mut out = Vec::with_capacity(groups.len());
        for (labels, members) in groups {
            if op == T_TOPK || op == T_BOTTOMK {
                out.extend(extreme(members, &parameter, op == T_TOPK));
                continue;
            }
            let mut values = Vec::with_capacity(grid.len());
            for (t, q) in parameter.iter().enumerate() {
                let present = || members.iter().map(|r| r.values[t]).filter(|v| !is_absent(*v));
                values.push(if present().next().is_none() {
                    ABSENT
                } else {
                    let n = present().count() as f64;
                    let mean = || present().sum::<f64>() / n;
                    let variance = || {
                        let mean = mean();
                        present().map(|v| (v - mean).powi(2)).sum::<f64>() / n
                    };
                    match op {
                        T_SUM => present().sum(),
                        T_AVG => mean(),
                        T_MAX => present().fold(f64::NEG_INFINITY, f64::max),
                        T_MIN => present().fold(f64::INFINITY, f64::min),
                        T_COUNT => n,
                        T_GROUP => 1.0,
                        T_STDVAR => variance(),
                        T_STDDEV => variance().sqrt(),
                        T_QUANTILE => over::quantile(*q, present().collect()),
                        _ => {
                            return Err(QueryError::Execution(format!(
                                "the aggregation {} is not supported by this server",
                                aggregate.op
                            )));
                        }
                    }
                });
            }
            out.push(Row { name: None, labels: Arc::new(labels), values });
        }
        Ok(Value::Vector(out))
    }
}

/// How many rows have each value, with the value as a label.
fn by_value(rows: &[Row], label: &str, aggregate: &AggregateExpr, n_times: usize) -> Vec<Row> {
    let mut out: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
    for row in rows {
        let group = group_of(row, aggregate.modifier.as_ref());
        for (t, v) in row.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
            let labels = group.clone().with(label, number(*v));
            let counts = out.entry(labels).or_insert_with(|| vec![ABSENT; n_times]);
            counts[t] = if is_absent(counts[t]) { 1.0 } else { counts[t] + 1.0 };
        }
    }
    out.into_iter()
        .map(|(labels, values)| Row { name: None, labels: Arc::new(labels), values })
        .collect()
}

/// The labels that a row is grouped by.
fn group_of(row: &Row, modifier: Option<&LabelModifier>) -> Labels {
    match modifier {
        None => Labels::default(),
        Some(LabelModifier::Include(names)) => {
            let kept = names.labels.iter().map(|n| (n.as_str(), row.label(n)));
            kept.filter(|(_, v)| !v.is_empty()).collect()
        }
        Some(LabelModifier::Exclude(names)) => {
            row.labels.without(&names.labels.iter().map(String::as_str).collect::<Vec<_>>())
        }
    }
}

/// The `k` largest (or smallest) at every time; what is not among them is absent there.
fn extreme(mut members: Vec<Row>, k: &[f64], largest: bool) -> Vec<Row> {
    for (t, k) in k.iter().enumerate() {
        let mut order: Vec<usize> =
            (0..members.len()).filter(|i| !is_absent(members[*i].values[t])).collect();
        order.sort_by(|a, b| {
            let by_value = members[*a].values[t].total_cmp(&members[*b].values[t]);
            if largest { by_value.reverse() } else { by_value }
        });
        for i in order.into_iter().skip(k.max(0.0) as usize) {
            members[i].values[t] = ABSENT;
        }
    }
    members
}
