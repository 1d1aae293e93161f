//! Functions over windows: `rate`, `increase`, `avg_over_time` and their kin.

use std::collections::BTreeSet;
use std::sync::Arc;

use promql_parser::label::MatchOp;
use promql_parser::parser::{Call, Expr};

use super::Engine;
use super::value::{ABSENT, Matrix, QueryError, Reading, Row, Value, is_absent};
use crate::model::{Labels, Time};

/// Whether a function takes a range vector.
pub(super) fn is_windowed(name: &str) -> bool {
    matches!(
        name,
        "rate"
            | "increase"
            | "irate"
            | "idelta"
            | "delta"
            | "deriv"
            | "predict_linear"
            | "changes"
            | "resets"
            | "absent_over_time"
    ) || name.ends_with("_over_time")
}

impl Engine {
    /// A call of a function that takes a range vector.
    pub(super) fn windowed(&self, call: &Call, grid: &[Time]) -> Result<Value, QueryError> {
        let name = call.func.name;
        let as_rates = matches!(name, "rate" | "increase" | "irate");
        let n = call.args.args.len();
        let position = usize::from(name == "quantile_over_time");
        let argument = call.args.args.get(position).ok_or_else(|| {
            QueryError::Execution(format!("{name} was called without a range vector"))
        })?;
        let parameter = match name {
            "quantile_over_time" => self.scalar(&call.args.args[0], grid)?,
            "predict_linear" if n > 1 => self.scalar(&call.args.args[1], grid)?,
            _ => vec![0.0; grid.len()],
        };
        let matrix = self.matrix(argument, grid, as_rates)?;
        if name == "absent_over_time" {
            return Ok(Value::Vector(vec![absent(argument, &matrix)]));
        }
        let mut out = Vec::with_capacity(matrix.rows.len());
        for (row, reading) in &matrix.rows {
            let values = match reading {
                Reading::Rates => means(row, &matrix, name),
                Reading::Samples => samples(row, &matrix, name, &parameter, grid)?,
            };
            out.push(Row {
                name: if name == "last_over_time" { row.name.clone() } else { None },
                labels: row.labels.clone(),
                values,
            });
        }
        Ok(Value::Vector(out))
    }
}

/// 1 where no window of any row holds a sample.
fn absent(argument: &Expr, matrix: &Matrix) -> Row {
    let is_empty = |(from, to): &(usize, usize)| {
        matrix.rows.iter().all(|(r, _)| r.values[*from..*to].iter().all(|v| is_absent(*v)))
    };
    let values = matrix.windows.iter().map(|w| if is_empty(w) { 1.0 } else { ABSENT }).collect();
    Row { name: None, labels: Arc::new(labels_of(argument)), values }
}

/// The labels that an absent series would have: those that its selector asks to be equal to one
/// value and to nothing else.
pub(super) fn labels_of(argument: &Expr) -> Labels {
    let selector = match argument {
        Expr::VectorSelector(selector) => selector,
        Expr::MatrixSelector(selector) => &selector.vs,
        Expr::Paren(inner) => return labels_of(&inner.expr),
        _ => return Labels::default(),
    };
    let mut labels = Labels::default();
    let mut seen = BTreeSet::new();
    for matcher in &selector.matchers.matchers {
        if matcher.name == "__name__" {
            continue;
        }
        let is_first = seen.insert(&matcher.name);
        if is_first && matcher.op == MatchOp::Equal {
            labels.set(&matcher.name, &matcher.value);
        } else {
            labels = labels.without(&[&matcher.name]);
        }
    }
    labels
}

/// `rate`, `increase` and `irate` of a counter whose rates are known: what the trapezoids between
/// the window's samples add up to, by running sums, as the difference of two totals would be.
fn means(row: &Row, matrix: &Matrix, name: &str) -> Vec<f64> {
    let mut sums = Vec::with_capacity(row.values.len() + 1);
    let mut n_present = Vec::with_capacity(row.values.len() + 1);
    let (mut sum, mut n) = (0.0, 0_u32);
    sums.push(sum);
    n_present.push(n);
    for v in &row.values {
        if !is_absent(*v) {
            sum += v;
            n += 1;
        }
        sums.push(sum);
        n_present.push(n);
    }
    let factor = if name == "increase" { matrix.window_s } else { 1.0 };
    matrix
        .windows
        .iter()
        .map(|(from, to)| {
            let count = n_present[*to] - n_present[*from];
            let mut present = row.values[*from..*to].iter().copied().filter(|v| !is_absent(*v));
            match (count, present.next(), present.next_back()) {
                (2.., Some(first), Some(last)) if name == "irate" => {
                    f64::midpoint(present.next_back().unwrap_or(first), last)
                }
                (2.., Some(first), Some(last)) => {
                    let between = sums[*to] - sums[*from] - f64::midpoint(first, last);
                    between / f64::from(count - 1) * factor
                }
                // A window as short as the samples' distance holds one: its rate will do.
                (1, Some(only), _) => only * factor,
                _ => ABSENT,
            }
        })
        .collect()
}

fn samples(
    row: &Row,
    matrix: &Matrix,
    name: &str,
    parameter: &[f64],
    grid: &[Time],
) -> Result<Vec<f64>, QueryError> {
    let mut out = Vec::with_capacity(grid.len());
    for (i, (from, to)) in matrix.windows.iter().enumerate() {
        let points: Vec<(f64, f64)> = matrix.times[*from..*to]
            .iter()
            .zip(&row.values[*from..*to])
            .filter(|(_, v)| !is_absent(**v))
            .map(|(t, v)| (t.ms_since(grid[i]) as f64 / 1_000.0, *v))
            .collect();
        out.push(if points.is_empty() {
            ABSENT
        } else {
            one(name, &points, parameter[i], matrix.window_s).ok_or_else(|| {
                QueryError::Execution(format!(
                    "the function {name} is not supported by this server"
                ))
            })?
        });
    }
    Ok(out)
}

/// One window: points are (seconds relative to its end, value). `None`: unknown function.
fn one(name: &str, points: &[(f64, f64)], parameter: f64, window_s: f64) -> Option<f64> {
    let n = points.len() as f64;
    let values = || points.iter().map(|(_, v)| *v);
    let last = points[points.len() - 1].1;
    let mean = values().sum::<f64>() / n;
    let pairs = || points.windows(2).map(|w| (w[0].1, w[1].1));
    let needs_two = matches!(
        name,
        "rate" | "increase" | "irate" | "idelta" | "delta" | "deriv" | "predict_linear"
    );
    if needs_two && points.len() < 2 {
        return Some(ABSENT);
    }
    Some(match name {
        "avg_over_time" => mean,
        "sum_over_time" => values().sum(),
        "count_over_time" => n,
        "present_over_time" => 1.0,
        "last_over_time" => last,
        "max_over_time" => values().fold(f64::NEG_INFINITY, f64::max),
        "min_over_time" => values().fold(f64::INFINITY, f64::min),
        "stdvar_over_time" => values().map(|v| (v - mean).powi(2)).sum::<f64>() / n,
        "stddev_over_time" => (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt(),
        "quantile_over_time" => quantile(parameter, values().collect()),
        "changes" => pairs().filter(|(a, b)| a != b).count() as f64,
        "resets" => pairs().filter(|(a, b)| b < a).count() as f64,
        "increase" | "rate" => {
            // As Prometheus: growth between the samples, resets counted from 0, extrapolated to
            // the whole window.
            let growth: f64 = pairs().map(|(a, b)| if b < a { b } else { b - a }).sum();
            let covered_s = points[points.len() - 1].0 - points[0].0;
            let whole = growth * window_s / covered_s;
            if name == "rate" { whole / window_s } else { whole }
        }
        "delta" => {
            let covered_s = points[points.len() - 1].0 - points[0].0;
            (last - points[0].1) * window_s / covered_s
        }
        "irate" | "idelta" => {
            let (a, b) = (points[points.len() - 2], points[points.len() - 1]);
            if name == "idelta" { b.1 - a.1 } else { (b.1 - a.1).max(0.0) / (b.0 - a.0) }
        }
        "deriv" => line(points).0,
        "predict_linear" => {
            let (slope, level) = line(points);
            level + slope * parameter
        }
        _ => return None,
    })
}

/// Least squares: slope per second, and the value at the window's end.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let mean_t = points.iter().map(|p| p.0).sum::<f64>() / n;
    let mean_v = points.iter().map(|p| p.1).sum::<f64>() / n;
    let cross: f64 = points.iter().map(|(t, v)| (t - mean_t) * (v - mean_v)).sum();
    let square: f64 = points.iter().map(|(t, _)| (t - mean_t).powi(2)).sum();
    let slope = cross / square;
    (slope, mean_v - slope * mean_t)
}

/// Quantile with linear interpolation, as Prometheus' `quantile`.
pub(super) fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(f64::total_cmp);
    let rank = q * (values.len() - 1) as f64;
    let low = rank.floor() as usize;
    let high = (low + 1).min(values.len() - 1);
    values[low] + (values[high] - values[low]) * (rank - low as f64)
}
