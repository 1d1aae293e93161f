//! Selectors: which series, at which times, and the samples of a window.

use std::collections::BTreeMap;
use std::sync::Arc;

use promql_parser::parser::{Expr, MatrixSelector, Offset, SubqueryExpr, VectorSelector};

use super::value::{ABSENT, Matrix, QueryError, Reading, Row, is_absent};
use super::{Answer, Engine, all_labels};
use crate::demo::series::{Kind, Series};
use crate::demo::world::frame::{Frame, Place};
use crate::model::Time;

/// Samples that one step of an evaluation may hold.
const MAX_SAMPLES: usize = 50_000_000;

/// Distance of the shop's scrapes.
pub(super) const SCRAPE_MS: i64 = 15_000;

/// Distance at which counters' totals are added up for raw readings.
const TOTAL_MS: i64 = 300_000;

impl Engine {
    /// The series that a selector matches.
    pub(super) fn matching(&self, selector: &VectorSelector) -> Vec<&Series> {
        let groups = &selector.matchers;
        let hit = |series: &Series, name: &str| -> String {
            if name == "__name__" {
                series.name.to_owned()
            } else {
                series.labels.get(name).unwrap_or("").to_owned()
            }
        };
        let candidates = match &selector.name {
            Some(name) => {
                let first = self.series.partition_point(|s| s.name < name.as_str());
                let n = self.series[first..].partition_point(|s| s.name == name.as_str());
                &self.series[first..first + n]
            }
            None => &self.series[..],
        };
        candidates
            .iter()
            .filter(|series| {
                groups.matchers.iter().all(|m| m.is_match(&hit(series, &m.name)))
                    && (groups.or_matchers.is_empty()
                        || groups
                            .or_matchers
                            .iter()
                            .any(|all| all.iter().all(|m| m.is_match(&hit(series, &m.name)))))
            })
            .collect()
    }

    /// An instant selector over the grid.
    pub(super) fn select(
        &self,
        selector: &VectorSelector,
        grid: &[Time],
    ) -> Result<Vec<Row>, QueryError> {
        let times = Self::shifted(selector, grid)?;
        let series = self.matching(selector);
        check_size(series.len(), times.len())?;
        let values = self.values(&series, &times, Wanted::Samples);
        Ok(rows(&series, values))
    }

    /// The samples of a range selector over the windows that end at the grid's times.
    pub(super) fn samples(
        &self,
        selector: &MatrixSelector,
        grid: &[Time],
    ) -> Result<Matrix, QueryError> {
        self.window(selector, grid, false)
    }

    /// As [`Self::samples`], with counters as rates, which is all that `rate` needs.
    pub(super) fn rates(
        &self,
        selector: &MatrixSelector,
        grid: &[Time],
    ) -> Result<Matrix, QueryError> {
        self.window(selector, grid, true)
    }

    fn window(
        &self,
        selector: &MatrixSelector,
        grid: &[Time],
        as_rates: bool,
    ) -> Result<Matrix, QueryError> {
        let window_ms = i64::try_from(selector.range.as_millis()).unwrap_or(i64::MAX).max(1);
        let ends = Self::shifted(&selector.vs, grid)?;
        let series = self.matching(&selector.vs);
        // Rates are means of a smooth function: a few points a window are enough, and points at
        // absolute multiples are shared by overlapping windows.
        let spacing_ms = if as_rates {
            let few = (window_ms / 5).clamp(SCRAPE_MS, 60_000);
            if window_ms > 7_200_000 { window_ms / 120 } else { few }
        } else {
            (window_ms / 240).max(SCRAPE_MS)
        };
        let (times, windows) = lattice(&ends, window_ms, spacing_ms);
        check_size(series.len(), times.len())?;
        let wanted = if as_rates { Wanted::Rates } else { Wanted::Samples };
        let values = self.values(&series, &times, wanted);
        let rows = series
            .iter()
            .zip(rows(&series, values))
            .map(|(s, row)| {
                let reading = if as_rates && s.kind == Kind::Counter {
                    Reading::Rates
                } else {
                    Reading::Samples
                };
                (row, reading)
            })
            .collect();
        Ok(Matrix { times, windows, rows, window_s: window_ms as f64 / 1_000.0 })
    }

    /// The samples of a subquery.
    pub(super) fn subquery(
        &self,
        subquery: &SubqueryExpr,
        grid: &[Time],
    ) -> Result<Matrix, QueryError> {
        if subquery.at.is_some() {
            return Err(unsupported_at());
        }
        let window_ms = i64::try_from(subquery.range.as_millis()).unwrap_or(i64::MAX).max(1);
        let step_ms = subquery.step.map_or(60_000, |s| s.as_millis() as i64).max(1_000);
        let ends: Vec<Time> =
            grid.iter().map(|t| t.plus_ms(-offset_ms(subquery.offset.as_ref()))).collect();
        let (times, windows) = lattice(&ends, window_ms, step_ms);
        let rows = self.vector(&subquery.expr, &times)?;
        check_size(rows.len(), times.len())?;
        let rows = rows.into_iter().map(|row| (row, Reading::Samples)).collect();
        Ok(Matrix { times, windows, rows, window_s: window_ms as f64 / 1_000.0 })
    }

    /// The matrix that a function's argument gives; `as_rates` where rates of counters will do.
    pub(super) fn matrix(
        &self,
        expr: &Expr,
        grid: &[Time],
        as_rates: bool,
    ) -> Result<Matrix, QueryError> {
        match expr {
            Expr::MatrixSelector(selector) if as_rates => self.rates(selector, grid),
            Expr::MatrixSelector(selector) => self.samples(selector, grid),
            Expr::Subquery(subquery) => self.subquery(subquery, grid),
            Expr::Paren(inner) => self.matrix(&inner.expr, grid, as_rates),
            _ => Err(QueryError::Execution("expected a range vector".to_owned())),
        }
    }

    /// The points of a matrix as an answer.
    pub(super) fn raw(matrix: &Matrix) -> Vec<Answer> {
        let points = |row: &Row| -> Vec<(Time, f64)> {
            let all = matrix.times.iter().copied().zip(row.values.iter().copied());
            all.filter(|(_, v)| !is_absent(*v)).collect()
        };
        matrix
            .rows
            .iter()
            .map(|(row, _)| Answer { labels: all_labels(row), points: points(row) })
            .filter(|answer| !answer.points.is_empty())
            .collect()
    }

    fn shifted(selector: &VectorSelector, grid: &[Time]) -> Result<Vec<Time>, QueryError> {
        if selector.at.is_some() {
            return Err(unsupported_at());
        }
        let offset = offset_ms(selector.offset.as_ref());
        Ok(grid.iter().map(|t| t.plus_ms(-offset)).collect())
    }

    /// The values of series at times, one column per series.
    fn values(&self, series: &[&Series], times: &[Time], wanted: Wanted) -> Vec<Vec<f64>> {
        let mut columns = vec![vec![ABSENT; times.len()]; series.len()];
        let mut by_place: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
        for (i, s) in series.iter().enumerate() {
            by_place.entry(s.place).or_default().push(i);
        }
        for (place, members) in by_place {
            let with_buckets = members.iter().any(|i| series[*i].needs_buckets);
            let needs_totals = wanted == Wanted::Samples
                && members.iter().any(|i| series[*i].kind == Kind::Counter);
            let mut totals = Totals::new(self.world.beginning());
            for (t, at) in times.iter().enumerate() {
                if *at < self.world.beginning() || *at > self.now {
                    continue;
                }
                let frame = self.world.frame(place, *at, with_buckets);
                if needs_totals {
                    totals.advance(*at, |cell| self.world.frame(place, cell, with_buckets));
                }
                for i in &members {
                    let s = series[*i];
                    let exists = s.only_on.is_none_or(|(service, replica, node)| {
                        self.world.node_of(service, replica, *at) == node
                    });
                    if exists {
                        columns[*i][t] = if needs_totals && s.kind == Kind::Counter {
                            s.read(&totals.at(*at))
                        } else {
                            s.read(&frame)
                        };
                    }
                }
            }
        }
        columns
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Samples,
    Rates,
}

/// Counters' totals: rates added up over cells of fixed length since the beginning.
struct Totals {
    cell: Time,
    sum: Frame,
    rate: Frame,
    started: bool,
}

impl Totals {
    fn new(beginning: Time) -> Self {
        let zero = [0.0; crate::demo::world::frame::N_ITEMS];
        Self { cell: beginning, sum: zero, rate: zero, started: false }
    }

    /// Adds up to the cell that `at` falls into. Times must not go backwards.
    fn advance(&mut self, at: Time, frame: impl Fn(Time) -> Frame) {
        if !self.started {
            self.rate = frame(self.cell);
            self.started = true;
        }
        while self.cell.plus_ms(TOTAL_MS) <= at {
            for (sum, rate) in self.sum.iter_mut().zip(&self.rate) {
                *sum += rate * (TOTAL_MS as f64 / 1_000.0);
            }
            self.cell = self.cell.plus_ms(TOTAL_MS);
            self.rate = frame(self.cell);
        }
    }

    fn at(&self, at: Time) -> Frame {
        let more_s = at.ms_since(self.cell) as f64 / 1_000.0;
        std::array::from_fn(|i| self.sum[i] + self.rate[i] * more_s)
    }
}

fn rows(series: &[&Series], columns: Vec<Vec<f64>>) -> Vec<Row> {
    let mut name: Option<Arc<str>> = None;
    series
        .iter()
        .zip(columns)
        .map(|(s, values)| {
            // Series come in order of name, so one allocation serves a whole family.
            let shared = match &name {
                Some(n) if **n == *s.name => Arc::clone(n),
                _ => Arc::from(s.name),
            };
            name = Some(Arc::clone(&shared));
            Row { name: Some(shared), labels: Arc::clone(&s.labels), values }
        })
        .collect()
}

/// Sample times at absolute multiples of `spacing_ms` within the windows `(end - window, end]`,
/// each once, and the windows as ranges of positions. A window that is shorter than the spacing
/// gets its end.
fn lattice(ends: &[Time], window_ms: i64, spacing_ms: i64) -> (Vec<Time>, Vec<(usize, usize)>) {
    let mut times: Vec<Time> = Vec::new();
    let mut windows = Vec::with_capacity(ends.len());
    for end in ends {
        let first = end.plus_ms(-window_ms).ms().div_euclid(spacing_ms) + 1;
        let last = end.ms().div_euclid(spacing_ms);
        if last < first {
            windows.push((times.len(), times.len() + 1));
            times.push(*end);
            continue;
        }
        let from = times.partition_point(|t| t.ms() < first * spacing_ms);
        let next = times.last().map_or(first, |t| t.ms().div_euclid(spacing_ms) + 1).max(first);
        times.extend((next..=last).map(|k| Time::from_ms(k * spacing_ms)));
        windows.push((from, times.len()));
    }
    (times, windows)
}

fn offset_ms(offset: Option<&Offset>) -> i64 {
    match offset {
        Some(Offset::Pos(d)) => d.as_millis() as i64,
        Some(Offset::Neg(d)) => -(d.as_millis() as i64),
        None => 0,
    }
}

fn check_size(n_series: usize, n_times: usize) -> Result<(), QueryError> {
    if n_series * n_times > MAX_SAMPLES {
        return Err(QueryError::Execution(
            "query processing would load too many samples into memory in query execution"
                .to_owned(),
        ));
    }
    Ok(())
}

fn unsupported_at() -> QueryError {
    QueryError::Execution("the @ modifier is not supported by this server".to_owned())
}
