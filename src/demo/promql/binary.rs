//! Arithmetic, comparison and set operators, with label matching.

use std::collections::BTreeMap;
use std::sync::Arc;

use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_DIV, T_EQLC, T_GTE, T_GTR, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS, T_MOD,
    T_MUL, T_NEQ, T_POW, T_SUB, TokenId,
};
use promql_parser::parser::{BinModifier, BinaryExpr, LabelModifier, VectorMatchCardinality};

use super::Engine;
use super::value::{ABSENT, QueryError, Row, Value, is_absent};
use crate::model::{Labels, Time};

impl Engine {
    /// A binary operation.
    pub(super) fn binary(&self, binary: &BinaryExpr, grid: &[Time]) -> Result<Value, QueryError> {
        let left = self.eval(&binary.lhs, grid)?;
        let right = self.eval(&binary.rhs, grid)?;
        let plain = BinModifier::default();
        let modifier = binary.modifier.as_ref().unwrap_or(&plain);
        let operator = Operator { id: binary.op.id(), as_bool: modifier.return_bool };
        match (left, right) {
            (Value::Scalar(a), Value::Scalar(b)) => {
                let truth = Operator { as_bool: true, ..operator };
                Ok(Value::Scalar(a.iter().zip(&b).map(|(a, b)| truth.apply(*a, *b, *a)).collect()))
            }
            (Value::Vector(rows), Value::Scalar(b)) => {
                Ok(Value::Vector(each(rows, operator, |v, t| operator.apply(v, b[t], v))))
            }
            (Value::Scalar(a), Value::Vector(rows)) => {
                Ok(Value::Vector(each(rows, operator, |v, t| operator.apply(a[t], v, v))))
            }
            (Value::Vector(a), Value::Vector(b)) => {
                if binary.op.is_set_operator() {
                    Ok(Value::Vector(set(a, b, operator.id, modifier)))
                } else {
                    matched(a, b, operator, modifier).map(Value::Vector)
                }
            }
            _ => Err(QueryError::Execution("operators do not take strings".to_owned())),
        }
    }
}

#[derive(Clone, Copy)]
struct Operator {
    id: TokenId,
    as_bool: bool,
}

impl Operator {
    fn compares(self) -> bool {
        matches!(self.id, T_EQLC | T_NEQ | T_GTR | T_LSS | T_GTE | T_LTE)
    }

    /// The result; a comparison that fails gives [`ABSENT`], one that holds gives `kept`.
    fn apply(self, a: f64, b: f64, kept: f64) -> f64 {
        let holds = match self.id {
            T_ADD => return a + b,
            T_SUB => return a - b,
            T_MUL => return a * b,
            T_DIV => return a / b,
            T_MOD => return a % b,
            T_POW => return a.powf(b),
            T_ATAN2 => return a.atan2(b),
            T_EQLC => a == b,
            T_NEQ => a != b,
            T_GTR => a > b,
            T_LSS => a < b,
            T_GTE => a >= b,
            T_LTE => a <= b,
            _ => false,
        };
        match (self.as_bool, holds) {
            (true, holds) => f64::from(u8::from(holds)),
            (false, true) => kept,
            (false, false) => ABSENT,
        }
    }
}

fn each(rows: Vec<Row>, operator: Operator, f: impl Fn(f64, usize) -> f64) -> Vec<Row> {
    let keeps_name = operator.compares() && !operator.as_bool;
    rows.into_iter()
        .map(|row| {
            let each = row.values.iter().enumerate();
            let values = each.map(|(t, v)| if is_absent(*v) { ABSENT } else { f(*v, t) }).collect();
            let name = row.name.clone().filter(|_| keeps_name);
            Row { name, ..row.derive(values) }
        })
        .collect()
}

/// The labels that two sides are matched by.
fn signature(row: &Row, modifier: &BinModifier) -> Labels {
    match &modifier.matching {
        Some(LabelModifier::Include(names)) => {
            let kept = names.labels.iter().map(|n| (n.as_str(), row.label(n)));
            kept.filter(|(_, v)| !v.is_empty()).collect()
        }
        Some(LabelModifier::Exclude(names)) => {
            row.labels.without(&names.labels.iter().map(String::as_str).collect::<Vec<_>>())
        }
        None => (*row.labels).clone(),
    }
}

fn matched(
    left: Vec<Row>,
    right: Vec<Row>,
    operator: Operator,
    modifier: &BinModifier,
) -> Result<Vec<Row>, QueryError> {
    let (many, one, swapped, carried) = match &modifier.card {
        VectorMatchCardinality::OneToMany(labels) => (right, left, true, Some(&labels.labels)),
        VectorMatchCardinality::ManyToOne(labels) => (left, right, false, Some(&labels.labels)),
        _ => (left, right, false, None),
    };
    let mut partners: BTreeMap<Labels, Row> = BTreeMap::new();
    for row in one {
        let key = signature(&row, modifier);
        match partners.get_mut(&key) {
            None => {
                partners.insert(key, row);
            }
            // Two series may share a signature as long as they have no sample at the same time.
            Some(known) => merge(known, &row, &key)?,
        }
    }
    let mut out: BTreeMap<(Option<Arc<str>>, Labels), Row> = BTreeMap::new();
    for row in many {
        let key = signature(&row, modifier);
        let Some(partner) = partners.get(&key) else { continue };
        let values: Vec<f64> = row
            .values
            .iter()
            .zip(&partner.values)
            .map(|(v, p)| match (is_absent(*v) || is_absent(*p), swapped) {
                (true, _) => ABSENT,
                (false, false) => operator.apply(*v, *p, *v),
                (false, true) => operator.apply(*p, *v, *p),
            })
            .collect();
        let keeps_all = operator.compares() && !operator.as_bool && carried.is_none();
        let labels = match carried {
            Some(names) => names.iter().fold((*row.labels).clone(), |labels, name| {
                let labels = labels.without(&[name]);
                match partner.label(name) {
                    "" => labels,
                    value => labels.with(name, value),
                }
            }),
            None => match &modifier.matching {
                Some(LabelModifier::Include(_)) => key.clone(),
                _ => signature(&row, modifier),
            },
        };
        let name = row.name.clone().filter(|_| keeps_all);
        let made = Row { name: name.clone(), labels: Arc::new(labels.clone()), values };
        match out.get_mut(&(name.clone(), labels.clone())) {
            None => {
                out.insert((name, labels), made);
            }
            Some(known) if carried.is_none() => merge(known, &made, &key)?,
            Some(known) => merge(known, &made, &key)?,
        }
    }
    Ok(out.into_values().collect())
}

/// Fills the gaps of one row with another's samples; both at one time is an error.
fn merge(known: &mut Row, row: &Row, key: &Labels) -> Result<(), QueryError> {
    for (a, b) in known.values.iter_mut().zip(&row.values) {
        if is_absent(*b) {
            continue;
        }
        if !is_absent(*a) {
            return Err(QueryError::Execution(format!(
                "found duplicate series for the match group {key}: many-to-many matching not \
                 allowed: matching labels must be unique on one side"
            )));
        }
        *a = *b;
    }
    Ok(())
}

fn set(left: Vec<Row>, right: Vec<Row>, id: TokenId, modifier: &BinModifier) -> Vec<Row> {
    let n = left.first().or(right.first()).map_or(0, |r| r.values.len());
    let has = |rows: &[Row]| -> BTreeMap<Labels, Vec<bool>> {
        let mut has: BTreeMap<Labels, Vec<bool>> = BTreeMap::new();
        for row in rows {
            let flags = has.entry(signature(row, modifier)).or_insert_with(|| vec![false; n]);
            for (flag, v) in flags.iter_mut().zip(&row.values) {
                *flag |= !is_absent(*v);
            }
        }
        has
    };
    let keep = |mut row: Row, present: &BTreeMap<Labels, Vec<bool>>, wanted: bool| -> Row {
        let flags = present.get(&signature(&row, modifier));
        for (t, v) in row.values.iter_mut().enumerate() {
            if flags.is_some_and(|f| f[t]) != wanted {
                *v = ABSENT;
            }
        }
        row
    };
    match id {
        T_LAND => {
            let present = has(&right);
            left.into_iter().map(|row| keep(row, &present, true)).collect()
        }
        T_LUNLESS => {
            let present = has(&right);
            left.into_iter().map(|row| keep(row, &present, false)).collect()
        }
        T_LOR => {
            let present = has(&left);
            let more = right.into_iter().map(|row| keep(row, &present, false));
            let mut out: Vec<Row> = Vec::new();
            for row in left.into_iter().chain(more) {
                match out.iter_mut().find(|o| o.name == row.name && o.labels == row.labels) {
                    Some(known) => {
                        for (a, b) in known.values.iter_mut().zip(&row.values) {
                            if is_absent(*a) {
                                *a = *b;
                            }
                        }
                    }
                    None => out.push(row),
                }
            }
            out
        }
        _ => Vec::new(),
    }
}
