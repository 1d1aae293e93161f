//! PromQL over the shop: expressions are evaluated over a whole grid of times at once.
//!
//! `rate` and its kin are computed from the world's rate functions (their mean over the window),
//! so no history of counters is held anywhere.

pub mod answer;
mod binary;
mod elementwise;
pub mod find;
mod gather;
mod over;
mod select;
pub mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

use promql_parser::parser::{self, Expr};

use self::value::{QueryError, Row, Value, is_absent};
use super::series::Series;
use super::world::World;
use crate::model::{Labels, Time};

/// The most points per series that a range query may ask for, as in Prometheus.
pub const MAX_POINTS: i64 = 11_000;

/// Times that are evaluated at once: bounds the memory of a query.
const CHUNK: usize = 256;

/// Name and labels of a series of an answer.
type Key = (Option<Arc<str>>, Arc<Labels>);

/// Answers queries about one state of the world.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The world.
    pub world: World,
    /// Its series.
    pub series: Arc<Vec<Series>>,
    /// Present event time: nothing later is known.
    pub now: Time,
}

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Labels, `__name__` included where it is kept.
    pub labels: Labels,
    /// Its points.
    pub points: Vec<(Time, f64)>,
}

/// The answer of an instant query.
#[derive(Clone, Debug, PartialEq)]
pub enum Instant {
    /// A number.
    Scalar(f64),
    /// A string.
    Text(String),
    /// One point per series.
    Vector(Vec<Answer>),
    /// A range of points per series.
    Matrix(Vec<Answer>),
}

impl Engine {
    /// An instant query.
    pub fn instant(&self, query: &str, at: Time) -> Result<Instant, QueryError> {
        let expr = parse(query)?;
        if let Expr::MatrixSelector(selector) = &expr {
            let matrix = self.samples(selector, &[at])?;
            return Ok(Instant::Matrix(Self::raw(&matrix)));
        }
        let grid = [at];
        Ok(match self.eval(&expr, &grid)? {
            Value::Scalar(v) => Instant::Scalar(v[0]),
            Value::Text(text) => Instant::Text(text),
            Value::Vector(rows) => {
                let present = rows.into_iter().filter(|r| !is_absent(r.values[0]));
                Instant::Vector(
                    present
                        .map(|r| Answer { points: vec![(at, r.values[0])], labels: all_labels(&r) })
                        .collect(),
                )
            }
        })
    }

    /// A range query: `since` and `until` included, every `step_ms`.
    pub fn range(
        &self,
        query: &str,
        since: Time,
        until: Time,
        step_ms: i64,
    ) -> Result<Vec<Answer>, QueryError> {
        if step_ms <= 0 {
            return Err(QueryError::BadData(
                "zero or negative query resolution step widths are not accepted. Try a positive \
                 integer"
                    .to_owned(),
            ));
        }
        if until < since {
            return Err(QueryError::BadData(
                "invalid parameter \"end\": end timestamp must not be before start time".to_owned(),
            ));
        }
        if until.ms_since(since) / step_ms > MAX_POINTS {
            return Err(QueryError::BadData(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the \
                 query resolution (?step=XX)"
                    .to_owned(),
            ));
        }
        let expr = parse(query)?;
        if matches!(
            expr.value_type(),
            parser::value::ValueType::Matrix | parser::value::ValueType::String
        ) {
            return Err(QueryError::BadData(format!(
                "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
                if matches!(expr, Expr::StringLiteral(_)) { "string" } else { "range vector" }
            )));
        }
        let n = until.ms_since(since) / step_ms + 1;
        let times: Vec<Time> = (0..n).map(|i| since.plus_ms(i * step_ms)).collect();
        let mut found: BTreeMap<Key, Vec<(Time, f64)>> = BTreeMap::new();
        for grid in times.chunks(CHUNK) {
            let rows = match self.eval(&expr, grid)? {
                Value::Scalar(values) => {
                    vec![Row { name: None, labels: Arc::default(), values }]
                }
                Value::Vector(rows) => rows,
                Value::Text(_) => Vec::new(),
            };
            for row in rows {
                let points = grid.iter().copied().zip(row.values);
                let present = points.filter(|(_, v)| !is_absent(*v));
                found.entry((row.name, row.labels)).or_default().extend(present);
            }
        }
        Ok(found
            .into_iter()
            .filter(|(_, points)| !points.is_empty())
            .map(|((name, labels), points)| Answer {
                labels: named(name.as_deref(), &labels),
                points,
            })
            .collect())
    }

    fn eval(&self, expr: &Expr, grid: &[Time]) -> Result<Value, QueryError> {
        match expr {
            Expr::NumberLiteral(n) => Ok(Value::Scalar(vec![n.val; grid.len()])),
            Expr::StringLiteral(s) => Ok(Value::Text(s.val.clone())),
            Expr::Paren(inner) => self.eval(&inner.expr, grid),
            Expr::Unary(inner) => Ok(match self.eval(&inner.expr, grid)? {
                Value::Scalar(v) => Value::Scalar(v.into_iter().map(|x| -x).collect()),
                Value::Vector(rows) => Value::Vector(elementwise::map(rows, |x| -x)),
                text @ Value::Text(_) => text,
            }),
            Expr::VectorSelector(selector) => Ok(Value::Vector(self.select(selector, grid)?)),
            Expr::Call(call) => self.call(call, grid),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, grid),
            Expr::Binary(binary) => self.binary(binary, grid),
            Expr::MatrixSelector(_) | Expr::Subquery(_) => Err(QueryError::Execution(
                "a range vector can only be the argument of a function".to_owned(),
            )),
            Expr::Extension(_) => {
                Err(QueryError::Execution("this expression is not supported".to_owned()))
            }
        }
    }

    fn vector(&self, expr: &Expr, grid: &[Time]) -> Result<Vec<Row>, QueryError> {
        match self.eval(expr, grid)? {
            Value::Vector(rows) => Ok(rows),
            _ => Err(QueryError::Execution("expected an instant vector".to_owned())),
        }
    }

    fn scalar(&self, expr: &Expr, grid: &[Time]) -> Result<Vec<f64>, QueryError> {
        match self.eval(expr, grid)? {
            Value::Scalar(values) => Ok(values),
            _ => Err(QueryError::Execution("expected a scalar".to_owned())),
        }
    }

    fn text(&self, expr: &Expr) -> Result<String, QueryError> {
        match self.eval(expr, &[])? {
            Value::Text(text) => Ok(text),
            _ => Err(QueryError::Execution("expected a string".to_owned())),
        }
    }
}

fn parse(query: &str) -> Result<Expr, QueryError> {
    parser::parse(query).map_err(|reason| {
        QueryError::BadData(format!("invalid parameter \"query\": parse error: {reason}"))
    })
}

fn all_labels(row: &Row) -> Labels {
    named(row.name.as_deref(), &row.labels)
}

fn named(name: Option<&str>, labels: &Labels) -> Labels {
    match name {
        Some(name) => labels.clone().with("__name__", name),
        None => labels.clone(),
    }
}

#[cfg(test)]
mod tests;
