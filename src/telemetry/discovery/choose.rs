//! From an inventory to watches: which recipe fits whom, by which label, and what is left out.

use std::collections::{BTreeMap, BTreeSet};

use super::Discovered;
use super::catalogue::{GRPC_STATUS, HTTP_STATUS, Requests, Resource, Signal, catalogue};
use super::inventory::Inventory;
use crate::model::signal::Direction;
use crate::model::{EntityRef, Indicator, Labels};
use crate::telemetry::prometheus::{EntityRule, ROW, Watch, duration_text, entity_name};

/// Chooses what to watch. For one entity and signal the first recipe of the catalogue wins.
///
/// When there are more series than `max_series`, requests come first, then availability, nodes,
/// pools and databases, then runtimes; within these in order of the catalogue. A watch that does
/// not fit is left out whole, and a note says so.
#[must_use]
pub fn discover(inventory: &Inventory) -> Discovered {
    let mut chooser = Chooser {
        inventory,
        claimed: BTreeSet::new(),
        found: Vec::new(),
        notes: Vec::new(),
        hosts: host_names(inventory),
    };
    for recipe in &catalogue().requests {
        chooser.requests(recipe);
    }
    for recipe in &catalogue().resource {
        chooser.resource(recipe);
    }
    chooser.finish()
}

/// Better names for `instance`, from `node_uname_info`, where a name stands for one instance.
fn host_names(inventory: &Inventory) -> BTreeMap<String, String> {
    let rows = inventory.rows.get("node_uname_info").map_or(&[][..], Vec::as_slice);
    let mut by_name: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        if let (Some(name), Some(instance)) = (row.get("nodename"), row.get("instance")) {
            by_name.entry(name).or_default().insert(instance);
        }
    }
    by_name
        .into_iter()
        .filter(|(_, instances)| instances.len() == 1)
        .flat_map(|(name, instances)| {
            instances.into_iter().map(move |i| (i.to_owned(), name.to_owned()))
        })
        .collect()
}

struct Chooser<'a> {
    inventory: &'a Inventory,
    /// Slots that are taken: slot, attribute, name.
    claimed: BTreeSet<(String, String, String)>,
    found: Vec<(u8, Watch, Vec<EntityRef>)>,
    notes: Vec<String>,
    hosts: BTreeMap<String, String>,
}

/// The series of a metric that one label names.
struct Part {
    label: String,
    /// Matchers that pick exactly these series.
    matchers: String,
    /// Matchers of a row, without those that name the entity.
    rest: String,
    rows: Vec<Labels>,
}

/// What a watch needs beside its part.
struct Shape<'a> {
    recipe: String,
    title: &'a str,
    attribute: &'a str,
    keep: &'a [String],
    tier: u8,
    slot: &'a str,
    metric: String,
    indicator: Indicator,
    unit: &'a str,
    direction: Direction,
    promql: String,
    limit: Option<f64>,
    limit_promql: Option<String>,
}

impl Chooser<'_> {
    fn has(&self, metric: &str) -> bool {
        self.inventory.names.contains(metric)
    }

    /// Whether a part has an entity whose slot is free.
    fn is_news(&self, part: &Part, slot: &str) -> bool {
        part.rows.iter().filter_map(|r| r.get(&part.label)).any(|value| {
            let name = entity_name(&part.label, value).to_owned();
            !self.claimed.contains(&(slot.to_owned(), "service.name".to_owned(), name))
        })
    }

    /// Splits a metric's series by the best label that each has.
    fn parts(&self, anchor: &str, by: &[&str], matchers: &str) -> Vec<Part> {
        let mut left: Vec<Labels> = self.inventory.rows.get(anchor).cloned().unwrap_or_default();
        let mut earlier: Vec<String> = Vec::new();
        let mut parts = Vec::new();
        for label in by {
            let (rows, others): (Vec<Labels>, Vec<Labels>) =
                left.into_iter().partition(|r| r.get(label).is_some_and(|v| !v.is_empty()));
            left = others;
            if rows.is_empty() {
                continue;
            }
            let rest: Vec<String> = [matchers, &self.inventory.matchers]
                .into_iter()
                .filter(|m| !m.is_empty())
                .map(str::to_owned)
                .chain(earlier.iter().cloned())
                .collect();
            let picks = [format!("{label}!=\"\"")].into_iter().chain(rest.iter().cloned());
            parts.push(Part {
                label: (*label).to_owned(),
                matchers: picks.collect::<Vec<_>>().join(","),
                rest: rest.join(","),
                rows,
            });
            earlier.push(format!("{label}=\"\""));
        }
        parts
    }

    fn requests(&mut self, recipe: &Requests) {
        // A native histogram is one series by its own name, without `_count` and `_bucket`.
        let histogram = &recipe.histogram;
        let is_native = self.has(histogram) && !self.has(&format!("{histogram}_count"));
        let counts = recipe.counter.as_ref().is_some_and(|c| self.has(c));
        let from_native = is_native && !counts;
        let anchor = if from_native { histogram.clone() } else { recipe.anchor() };
        let per_second = |selector: &str| {
            let rate = format!("rate({anchor}{{{selector}}}[<w>])");
            if from_native { format!("histogram_count({rate})") } else { rate }
        };
        let by = recipe.by.labels();
        let shape = |slot, metric, indicator, unit, direction, promql| Shape {
            recipe: recipe.id.clone(),
            title: &recipe.title,
            attribute: recipe.by.attribute(),
            keep: &[],
            tier: 1,
            slot,
            metric,
            indicator,
            unit,
            direction,
            promql,
            limit: None,
            limit_promql: None,
        };
        for part in self.parts(&anchor, &by, &recipe.matchers) {
            let rate = format!("sum by (<by>) ({})", per_second("<sel>"));
            let metric = format!("{}.rate", recipe.name);
            self.add(
                &part,
                shape(
                    "requests.rate",
                    metric,
                    Indicator::Rate,
                    "{request}/s",
                    Direction::Both,
                    rate.clone(),
                ),
            );
            match failing(&recipe.errors, &part.rows) {
                Some(matcher) => {
                    // Where nothing ever failed there is no failing series: the second half makes
                    // it a zero, so that the first failure is a change and not a new series.
                    let failed = per_second(&format!("{matcher},<sel>"));
                    let promql = format!("(sum by (<by>) ({failed}) or {rate} * 0) / {rate}");
                    let metric = format!("{}.error_ratio", recipe.name);
                    let mut shape = shape(
                        "requests.errors",
                        metric,
                        Indicator::Errors,
                        "1",
                        Direction::High,
                        promql,
                    );
                    shape.limit = Some(1.0);
                    self.add(&part, shape);
                }
                None if self.is_news(&part, "requests.errors") => self.notes.push(format!(
                    "{}: {anchor} has no label that tells failed requests; errors are not watched.",
                    recipe.id
                )),
                None => {}
            }
        }
        // Durations may be labelled differently from the counter, so they are split on their own.
        let named = if is_native { histogram.clone() } else { format!("{histogram}_count") };
        for part in self.parts(&named, &by, &recipe.matchers) {
            let (value, metric) = if is_native {
                (
                    format!(
                        "histogram_quantile(0.95, sum by (<by>) (rate({histogram}{{<sel>}}[<w>])))"
                    ),
                    format!("{}.duration p95", recipe.name),
                )
            } else if self.has(&format!("{histogram}_bucket")) {
                (
                    format!(
                        "histogram_quantile(0.95, sum by (le, <by>) (rate({histogram}_bucket{{<sel>}}[<w>])))"
                    ),
                    format!("{}.duration p95", recipe.name),
                )
            } else if self.has(&format!("{histogram}_sum")) {
                (
                    format!(
                        "sum by (<by>) (rate({histogram}_sum{{<sel>}}[<w>])) / sum by (<by>) (rate({histogram}_count{{<sel>}}[<w>]))"
                    ),
                    format!("{}.duration mean", recipe.name),
                )
            } else {
                continue;
            };
            let promql =
                if recipe.scale == 1.0 { value } else { format!("{value} * {}", recipe.scale) };
            self.add(
                &part,
                shape(
                    "requests.duration",
                    metric,
                    Indicator::Duration,
                    "s",
                    Direction::High,
                    promql,
                ),
            );
        }
    }

    fn resource(&mut self, recipe: &Resource) {
        for part in self.parts(&recipe.anchor, &recipe.by.labels(), &recipe.matchers) {
            for signal in &recipe.signal {
                if let Some(missing) = signal.needs.iter().find(|m| !self.has(m)) {
                    self.notes.push(format!(
                        "{}: {} is not watched, because {missing} is missing.",
                        recipe.id, signal.metric
                    ));
                    continue;
                }
                let shape = resource_shape(recipe, signal, |m| self.has(m));
                self.add(&part, shape);
            }
        }
    }

    fn add(&mut self, part: &Part, shape: Shape<'_>) {
        let rename = if part.label == "instance" && shape.attribute == "host.name" {
            self.hosts.clone()
        } else {
            BTreeMap::new()
        };
        let mut rule = EntityRule {
            label: Some(part.label.clone()),
            attribute: Some(shape.attribute.to_owned()),
            rename,
            ..EntityRule::default()
        };
        let claim =
            |name: &str| (shape.slot.to_owned(), shape.attribute.to_owned(), name.to_owned());
        let mut combos: BTreeSet<Labels> = BTreeSet::new();
        let mut entities: BTreeSet<EntityRef> = BTreeSet::new();
        for row in &part.rows {
            let value = row.get(&part.label).unwrap_or_default();
            let name = rule.name(&part.label, value);
            if self.claimed.contains(&claim(&name)) {
                rule.except.insert(name);
                continue;
            }
            let mut combo = Labels::default().with(part.label.as_str(), value);
            for label in shape.keep {
                if let Some(kept) = row.get(label) {
                    combo.set(label.as_str(), kept);
                }
            }
            combos.insert(combo);
            entities.insert(EntityRef::new(shape.attribute, name));
        }
        if combos.is_empty() {
            return;
        }
        for entity in &entities {
            self.claimed.insert(claim(entity.name()));
        }
        let by: Vec<&str> = std::iter::once(part.label.as_str())
            .chain(shape.keep.iter().map(String::as_str))
            .collect();
        let fill = |template: &str, sel: &str| {
            template
                .replace("<by>", &by.join(","))
                .replace("<sel>", sel)
                .replace("<w>", &duration_text(self.inventory.window_ms))
        };
        let row_sel =
            if part.rest.is_empty() { ROW.to_owned() } else { format!("{ROW},{}", part.rest) };
        let why = format!(
            "{}; by `{}`, {} {}{}",
            shape.title,
            part.label,
            entities.len(),
            noun(shape.attribute, entities.len()),
            if rule.except.is_empty() {
                String::new()
            } else {
                format!("; {} more have a better recipe", rule.except.len())
            }
        );
        let watch = Watch {
            recipe: format!("{}/{}", shape.recipe, shape.slot),
            metric: shape.metric,
            promql: fill(&shape.promql, &part.matchers),
            row_template: Some(fill(&shape.promql, &row_sel)),
            entity: rule,
            indicator: shape.indicator,
            unit: shape.unit.to_owned(),
            direction: shape.direction,
            limit: shape.limit,
            limit_promql: shape.limit_promql.map(|q| fill(&q, &part.matchers)),
            n_series: combos.len(),
            why,
        };
        self.found.push((shape.tier, watch, entities.into_iter().collect()));
    }

    fn finish(mut self) -> Discovered {
        self.found.sort_by_key(|(tier, _, _)| *tier);
        let mut found = Discovered { notes: self.notes, ..Discovered::default() };
        let mut entities = BTreeSet::new();
        let mut n_series = 0;
        for (_, watch, of) in self.found {
            if n_series + watch.n_series > self.inventory.max_series {
                found.notes.push(format!(
                    "{}: its {} series would exceed `max_series` = {}; it is left out. Narrow \
                     with `matchers` or raise the cap.",
                    watch.recipe, watch.n_series, self.inventory.max_series
                ));
                continue;
            }
            n_series += watch.n_series;
            entities.extend(of);
            found.watches.push(watch);
        }
        if found.watches.is_empty() {
            found.notes.push(format!(
                "None of the {} metrics fits a recipe; configure `queries`.",
                self.inventory.names.len()
            ));
        }
        found.notes.sort();
        found.notes.dedup();
        found.entities = entities.into_iter().collect();
        found
    }
}

fn resource_shape<'a>(
    recipe: &'a Resource,
    signal: &'a Signal,
    has: impl Fn(&str) -> bool,
) -> Shape<'a> {
    // Any metric that tells the limit is enough; without one the series has no limit.
    let limit_promql = signal.limit_promql.clone().filter(|q| {
        q.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .any(|w| (w.contains("_bytes") || w.ends_with("_limits")) && has(w))
    });
    Shape {
        recipe: recipe.id.clone(),
        title: &recipe.title,
        attribute: recipe.attribute.as_deref().unwrap_or_else(|| recipe.by.attribute()),
        keep: &recipe.keep,
        tier: recipe.tier,
        slot: &signal.slot,
        metric: signal.metric.clone(),
        indicator: signal.indicator,
        unit: &signal.unit,
        direction: signal.direction,
        promql: signal.promql.clone(),
        limit: signal.limit,
        limit_promql,
    }
}

/// The matcher of failed requests: by the status label that the series have.
fn failing(errors: &str, rows: &[Labels]) -> Option<String> {
    let candidates: &[&str] = match errors {
        "http" => &HTTP_STATUS,
        "grpc" => &GRPC_STATUS,
        matcher => return Some(matcher.to_owned()),
    };
    candidates.iter().find_map(|label| {
        let values: BTreeSet<&str> =
            rows.iter().filter_map(|r| r.get(label)).filter(|v| !v.is_empty()).collect();
        status_matcher(errors, label, &values)
    })
}

fn status_matcher(errors: &str, label: &str, values: &BTreeSet<&str>) -> Option<String> {
    let is_class = |v: &&str| {
        let b = v.as_bytes();
        b.len() == 3
            && (b'1'..=b'5').contains(&b[0])
            && (v.ends_with("xx") || v.parse::<u16>().is_ok())
    };
    let has_word =
        |words: &[&str]| values.iter().any(|v| words.iter().any(|w| v.eq_ignore_ascii_case(w)));
    if errors == "grpc" {
        // Codes that blame the server (https://grpc.io/docs/guides/status-codes/), by name or number.
        let numeric = !values.is_empty() && values.iter().all(|v| v.parse::<u8>().is_ok());
        let names = has_word(&[
            "OK",
            "Unknown",
            "Unavailable",
            "Internal",
            "DeadlineExceeded",
            "DEADLINE_EXCEEDED",
        ]);
        return if numeric {
            Some(format!("{label}=~\"2|4|8|13|14|15\""))
        } else if names {
            Some(format!(
                "{label}=~\"(?i)unknown|deadline_?exceeded|resource_?exhausted|internal|unavailable|data_?loss\""
            ))
        } else {
            None
        };
    }
    if values.iter().any(is_class) {
        return Some(format!("{label}=~\"5..\""));
    }
    has_word(&["success", "ok", "error", "failure", "failed", "SERVER_ERROR"])
        .then(|| format!("{label}=~\"(?i)error|failure|failed|exception|timeout|server_error\""))
}

fn noun(attribute: &str, n: usize) -> &'static str {
    match (attribute, n) {
        ("service.name", 1) => "service",
        ("service.name", _) => "services",
        ("host.name", 1) => "host",
        ("host.name", _) => "hosts",
        (_, 1) => "entity",
        (_, _) => "entities",
    }
}
