//! Which series there are: what the metadata addresses of the HTTP interface answer from.

use std::collections::BTreeSet;

use promql_parser::parser::{self, Expr};

use super::value::QueryError;
use super::{Engine, named};
use crate::demo::series::Series;
use crate::model::{Labels, Time};

/// Selectors and a stretch of time, as `match[]`, `start` and `end` give them.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Any of these selectors; empty: every series.
    pub selectors: Vec<String>,
    /// Not before; `None`: since the beginning.
    pub since: Option<Time>,
    /// Not after; `None`: until now.
    pub until: Option<Time>,
}

impl Engine {
    /// The label sets of the wanted series, `__name__` included, in order.
    ///
    /// # Errors
    /// A selector is none.
    pub fn label_sets(&self, wanted: &Wanted) -> Result<BTreeSet<Labels>, QueryError> {
        Ok(self.find(wanted)?.into_iter().map(|s| named(Some(s.name), &s.labels)).collect())
    }

    /// The label names of the wanted series, in order.
    ///
    /// # Errors
    /// A selector is none.
    pub fn label_names(&self, wanted: &Wanted) -> Result<BTreeSet<String>, QueryError> {
        let found = self.find(wanted)?;
        let names = found.iter().flat_map(|s| s.labels.iter().map(|(name, _)| name.to_owned()));
        Ok(names.chain(found.first().map(|_| "__name__".to_owned())).collect())
    }

    /// The values of a label over the wanted series, in order.
    ///
    /// # Errors
    /// A selector is none, or the label's name can't be one.
    pub fn label_values(
        &self,
        label: &str,
        wanted: &Wanted,
    ) -> Result<BTreeSet<String>, QueryError> {
        let mut letters = label.bytes();
        let starts = letters.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !starts || !letters.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(QueryError::BadData(format!("invalid label name: {label:?}")));
        }
        let found = self.find(wanted)?.into_iter();
        Ok(found
            .filter_map(|s| if label == "__name__" { Some(s.name) } else { s.labels.get(label) })
            .map(str::to_owned)
            .collect())
    }

    fn find(&self, wanted: &Wanted) -> Result<Vec<&Series>, QueryError> {
        let since = wanted.since.map_or(self.world.beginning(), |t| t.max(self.world.beginning()));
        let until = wanted.until.map_or(self.now, |t| t.min(self.now));
        let mut found: Vec<&Series> = Vec::new();
        for selector in &wanted.selectors {
            let bad = |reason: &str| {
                QueryError::BadData(format!("invalid parameter \"match[]\": {reason}"))
            };
            match parser::parse(selector).map_err(|reason| bad(&reason))? {
                Expr::VectorSelector(selector) => found.extend(self.matching(&selector)),
                _ => return Err(bad("expected a series selector")),
            }
        }
        if wanted.selectors.is_empty() {
            found = self.series.iter().collect();
        }
        found.retain(|s| self.exists(s, since, until));
        Ok(found)
    }

    /// Whether a series has a sample between two times, both included. Where an instance runs
    /// changes with events only, so their times and the beginning are all there is to look at.
    fn exists(&self, series: &Series, since: Time, until: Time) -> bool {
        if until < since {
            return false;
        }
        let Some((service, replica, node)) = series.only_on else { return true };
        let events = self.world.events().iter().map(|e| e.at);
        events
            .filter(|at| since < *at && *at <= until)
            .chain([since])
            .any(|at| self.world.node_of(service, replica, at) == node)
    }
}
