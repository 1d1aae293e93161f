//! Functions of instant vectors: arithmetic ones, `histogram_quantile`, label functions, `time`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use promql_parser::parser::Call;

use super::value::{ABSENT, QueryError, Row, Value, is_absent};
use super::{Engine, over};
use crate::model::{Labels, Time};

impl Engine {
    /// A call of any function.
    pub(super) fn call(&self, call: &Call, grid: &[Time]) -> Result<Value, QueryError> {
        let name = call.func.name;
        let args = &call.args.args;
        if over::is_windowed(name) {
            return self.windowed(call, grid);
        }
        if let Some(f) = plain(name) {
            return Ok(Value::Vector(map(self.vector(&args[0], grid)?, f)));
        }
        match name {
            "time" => Ok(Value::Scalar(grid.iter().map(|t| t.seconds()).collect())),
            "pi" => Ok(Value::Scalar(vec![std::f64::consts::PI; grid.len()])),
            "vector" => {
                let values = self.scalar(&args[0], grid)?;
                Ok(Value::Vector(vec![Row { name: None, labels: Arc::default(), values }]))
            }
            "scalar" => {
                let rows = self.vector(&args[0], grid)?;
                Ok(Value::Scalar((0..grid.len()).map(|t| only(&rows, t)).collect()))
            }
            "clamp" | "clamp_min" | "clamp_max" => {
                let rows = self.vector(&args[0], grid)?;
                let first = self.scalar(&args[1], grid)?;
                let second = match args.get(2) {
                    Some(arg) => self.scalar(arg, grid)?,
                    None => first.clone(),
                };
                let bound = |v: f64, t: usize| match name {
                    "clamp_min" => v.max(first[t]),
                    "clamp_max" => v.min(first[t]),
                    _ => v.max(first[t]).min(second[t]),
                };
                Ok(Value::Vector(map_at(rows, bound)))
            }
            "round" => {
                let rows = self.vector(&args[0], grid)?;
                let to = match args.get(1) {
                    Some(arg) => self.scalar(arg, grid)?,
                    None => vec![1.0; grid.len()],
                };
                Ok(Value::Vector(map_at(rows, |v, t| (v / to[t] + 0.5).floor() * to[t])))
            }
            "timestamp" => {
                let rows = self.vector(&args[0], grid)?;
                Ok(Value::Vector(map_at(rows, |_, t| grid[t].seconds())))
            }
            "minute" | "hour" | "day_of_week" | "day_of_month" | "day_of_year"
            | "days_in_month" | "month" | "year" => {
                let times = if let Some(arg) = args.first() {
                    self.vector(arg, grid)?
                } else {
                    let values = grid.iter().map(|t| t.seconds()).collect();
                    vec![Row { name: None, labels: Arc::default(), values }]
                };
                Ok(Value::Vector(map(times, |v| calendar(name, v))))
            }
            "sort" | "sort_desc" => {
                let mut rows = self.vector(&args[0], grid)?;
                let first = |r: &Row| r.values.first().copied().unwrap_or(f64::NAN);
                rows.sort_by(|a, b| first(a).total_cmp(&first(b)));
                if name == "sort_desc" {
                    rows.reverse();
                }
                Ok(Value::Vector(rows))
            }
            "absent" => {
                let rows = self.vector(&args[0], grid)?;
                let values = (0..grid.len())
                    .map(|t| if rows.iter().all(|r| is_absent(r.values[t])) { 1.0 } else { ABSENT })
                    .collect();
                let labels = Arc::new(over::labels_of(&args[0]));
                Ok(Value::Vector(vec![Row { name: None, labels, values }]))
            }
            "histogram_quantile" => {
                let q = self.scalar(&args[0], grid)?;
                Ok(Value::Vector(histogram_quantile(&q, self.vector(&args[1], grid)?)))
            }
            "label_replace" => self.label_replace(call, grid),
            "label_join" => self.label_join(call, grid),
            _ => Err(QueryError::Execution(format!(
                "the function {name} is not supported by this server"
            ))),
        }
    }

    fn label_replace(&self, call: &Call, grid: &[Time]) -> Result<Value, QueryError> {
        let args = &call.args.args;
        let rows = self.vector(&args[0], grid)?;
        let [to, replacement, from, pattern] = [
            self.text(&args[1])?,
            self.text(&args[2])?,
            self.text(&args[3])?,
            self.text(&args[4])?,
        ];
        let pattern = regex::Regex::new(&format!("^(?s:{pattern})$")).map_err(|e| {
            QueryError::Execution(format!("invalid regular expression in label_replace(): {e}"))
        })?;
        let replaced = rows.into_iter().map(|row| {
            let Some(found) = pattern.captures(row.label(&from)) else { return row };
            let mut value = String::new();
            found.expand(&replacement, &mut value);
            relabel(row, &to, value)
        });
        Ok(Value::Vector(replaced.collect()))
    }

    fn label_join(&self, call: &Call, grid: &[Time]) -> Result<Value, QueryError> {
        let args = &call.args.args;
        let rows = self.vector(&args[0], grid)?;
        let to = self.text(&args[1])?;
        let separator = self.text(&args[2])?;
        let from = args[3..].iter().map(|a| self.text(a)).collect::<Result<Vec<_>, _>>()?;
        let joined = rows.into_iter().map(|row| {
            let value =
                from.iter().map(|name| row.label(name)).collect::<Vec<_>>().join(&separator);
            relabel(row, &to, value)
        });
        Ok(Value::Vector(joined.collect()))
    }
}

fn relabel(row: Row, to: &str, value: String) -> Row {
    if to == "__name__" {
        return Row { name: Some(value).filter(|v| !v.is_empty()).map(Arc::from), ..row };
    }
    let mut labels = row.labels.without(&[to]);
    if !value.is_empty() {
        labels.set(to, value);
    }
    Row { labels: Arc::new(labels), ..row }
}

fn plain(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "sqrt" => f64::sqrt,
        "exp" => f64::exp,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "deg" => f64::to_degrees,
        "rad" => f64::to_radians,
        "sgn" => |v| if v == 0.0 { 0.0 } else { v.signum() },
        _ => return None,
    })
}

/// Applies a function to every sample; names are dropped.
pub(super) fn map(rows: Vec<Row>, f: impl Fn(f64) -> f64) -> Vec<Row> {
    map_at(rows, |v, _| f(v))
}

fn map_at(rows: Vec<Row>, f: impl Fn(f64, usize) -> f64) -> Vec<Row> {
    rows.into_iter()
        .map(|row| {
            let each = row.values.iter().enumerate();
            let values = each.map(|(t, v)| if is_absent(*v) { ABSENT } else { f(*v, t) }).collect();
            row.derive(values)
        })
        .collect()
}

/// The value of the only series that has a sample; NaN where there are none or several.
fn only(rows: &[Row], t: usize) -> f64 {
    let mut present = rows.iter().map(|r| r.values[t]).filter(|v| !is_absent(*v));
    match (present.next(), present.next()) {
        (Some(v), None) => v,
        _ => f64::NAN,
    }
}

/// A part of the civil time in UTC; NaN for what is no time.
fn calendar(name: &str, seconds: f64) -> f64 {
    let at = Time::from_seconds(seconds).and_then(|t| Timestamp::from_millisecond(t.ms()).ok());
    let Some(at) = at.map(|t| t.to_zoned(TimeZone::UTC)) else { return f64::NAN };
    match name {
        "minute" => f64::from(at.minute()),
        "hour" => f64::from(at.hour()),
        // 0 is Sunday.
        "day_of_week" => f64::from(at.weekday().to_sunday_zero_offset()),
        "day_of_month" => f64::from(at.day()),
        "day_of_year" => f64::from(at.day_of_year()),
        "days_in_month" => f64::from(at.days_in_month()),
        "month" => f64::from(at.month()),
        _ => f64::from(at.year()),
    }
}

/// As Prometheus: buckets of one group are sorted by `le`, made monotonic, and the quantile is
/// interpolated linearly within its bucket.
fn histogram_quantile(q: &[f64], rows: Vec<Row>) -> Vec<Row> {
    let mut groups: BTreeMap<Labels, Vec<(f64, Vec<f64>)>> = BTreeMap::new();
    for row in rows {
        let bound = match row.label("le") {
            "+Inf" | "Inf" => f64::INFINITY,
            text => match text.parse() {
                Ok(bound) => bound,
                Err(_) => continue,
            },
        };
        groups.entry(row.labels.without(&["le"])).or_default().push((bound, row.values));
    }
    groups
        .into_iter()
        .map(|(labels, mut buckets)| {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            let values = (0..q.len())
                .map(|t| {
                    let counts: Vec<(f64, f64)> = buckets
                        .iter()
                        .filter(|(_, values)| !is_absent(values[t]))
                        .map(|(bound, values)| (*bound, values[t]))
                        .collect();
                    if counts.is_empty() { ABSENT } else { bucket_quantile(q[t], &counts) }
                })
                .collect();
            Row { name: None, labels: Arc::new(labels), values }
        })
        .collect()
}

fn bucket_quantile(q: f64, buckets: &[(f64, f64)]) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let Some((last_bound, total)) = buckets.last().copied() else { return f64::NAN };
    if last_bound != f64::INFINITY || buckets.len() < 2 || total == 0.0 || total.is_nan() {
        return f64::NAN;
    }
    let rank = q * total;
    let mut below = (0.0, 0.0);
    for (i, (bound, count)) in buckets.iter().enumerate() {
        let count = count.max(below.1);
        if count >= rank {
            if *bound == f64::INFINITY {
                return buckets[i - 1].0;
            }
            if i == 0 && *bound <= 0.0 {
                return *bound;
            }
            let share = if count > below.1 { (rank - below.1) / (count - below.1) } else { 0.0 };
            return below.0 + (bound - below.0) * share;
        }
        below = (*bound, count);
    }
    buckets[buckets.len() - 2].0
}
