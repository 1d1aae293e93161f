//! Reads `OpenSLO` files (<https://github.com/OpenSLO/OpenSLO>, `openslo/v1`) and writes the
//! settings that say the same, with a plain word on whatever can't be taken over.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::config::Window;

/// What became of some files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// Settings: `[[slo]]` and the queries that feed them.
    pub settings: String,
    /// What was left out or is read differently, and why.
    pub notes: Vec<String>,
    /// Objectives that were taken over.
    pub n_objectives: usize,
}

/// Reads the texts of files (name and content). References are looked up over all of them.
#[must_use]
pub fn import(files: &[(String, String)]) -> Imported {
    let mut out = Imported::default();
    let mut documents = Vec::new();
    for (file, text) in files {
        for Part { line, text } in parts(text) {
            match serde_saphyr::from_str::<Value>(&text) {
                Ok(Value::Null) => {}
                Ok(value) => documents.push((format!("{file}, line {line}"), value)),
                Err(e) => {
                    let why = e.without_snippet().to_string();
                    let line = e.location().map_or(line, |l| l.line());
                    let why = why.lines().next().unwrap_or_default();
                    // Its place is told already, and the reader's settings are not ours.
                    let why = why.split(" at line ").next().unwrap_or(why);
                    let why = why.split(", set ").next().unwrap_or(why);
                    out.notes.push(format!("{file}, line {line}: not YAML: {why}"));
                }
            }
        }
    }
    let named = |kind: &str| -> BTreeMap<String, &Value> {
        let of_kind = documents.iter().filter(|(_, d)| text(d, "/kind") == Some(kind));
        of_kind.filter_map(|(_, d)| Some((text(d, "/metadata/name")?.to_owned(), d))).collect()
    };
    let known = Known {
        indicators: named("SLI"),
        services: named("Service"),
        sources: named("DataSource"),
    };
    for (file, document) in &documents {
        let version = text(document, "/apiVersion").unwrap_or_default();
        if !version.starts_with("openslo/") {
            out.notes.push(format!("{file}: apiVersion `{version}` is not openslo/v1; left out"));
            continue;
        }
        match text(document, "/kind") {
            Some("SLO") => objective(document, &known, file, &mut out),
            Some("SLI" | "Service" | "DataSource") => {}
            Some(kind @ ("AlertPolicy" | "AlertCondition" | "AlertNotificationTarget")) => {
                let name = text(document, "/metadata/name").unwrap_or("without a name");
                out.notes.push(format!(
                    "{file}: {kind} {name} left out: every objective has the alerts of the SRE \
                     workbook, and [notify] says where they are told"
                ));
            }
            kind => {
                let kind = kind.unwrap_or("missing");
                out.notes.push(format!("{file}: kind {kind} is not known; left out"));
            }
        }
    }
    out
}

/// What references lead to.
struct Known<'a> {
    indicators: BTreeMap<String, &'a Value>,
    services: BTreeMap<String, &'a Value>,
    sources: BTreeMap<String, &'a Value>,
}

/// A document of a file.
struct Part {
    /// The line it begins in, from 1.
    line: u64,
    /// Itself below as many empty lines as stand before it, so that errors name the file's lines.
    text: String,
}

/// The documents of a file: a line that begins with three dashes begins one, and three dots end one
/// (YAML 1.2.2, chapter 9). Inside a document such a line can't begin at its margin.
fn parts(text: &str) -> Vec<Part> {
    let mut all: Vec<Part> = Vec::new();
    let mut open = false;
    let marked = |line: &str, mark: &str| {
        line.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
    };
    for (n, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let begins = marked(line, "---");
        if marked(line, "...") {
            open = false;
            continue;
        }
        let rest = if begins { line[3..].trim_start() } else { line };
        let said = !rest.trim().is_empty() && !rest.trim_start().starts_with(['#', '%']);
        if begins {
            open = false;
        }
        if !open && !said {
            continue;
        }
        if !open {
            open = true;
            all.push(Part { line: n as u64 + 1, text: "\n".repeat(n) });
        }
        if let Some(last) = all.last_mut() {
            last.text.push_str(rest);
            last.text.push('\n');
        }
    }
    all
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path)?.as_str()
}

fn objective(document: &Value, known: &Known<'_>, file: &str, out: &mut Imported) {
    let name = text(document, "/metadata/name").unwrap_or("objective");
    let place = format!("{file}: SLO {name}");
    let spec = document.pointer("/spec").unwrap_or(&Value::Null);
    let service = text(spec, "/service").unwrap_or(name);
    if text(spec, "/service").is_none() {
        out.notes.push(format!("{place}: names no service; its own name is taken"));
    }
    let indicator = match (text(spec, "/indicatorRef"), spec.pointer("/indicator/spec")) {
        (Some(reference), _) => {
            let Some(found) = known.indicators.get(reference) else {
                out.notes
                    .push(format!("{place}: SLI {reference} is in none of the files; left out"));
                return;
            };
            found.pointer("/spec")
        }
        (None, inline) => inline,
    };
    let Some(indicator) = indicator else {
        out.notes.push(format!(
            "{place}: has no indicator (composite objectives are not known); left out"
        ));
        return;
    };
    let window = window(spec, &place, &mut out.notes);
    let method = text(spec, "/budgetingMethod").unwrap_or("Occurrences");
    let sliced = indicator.get("thresholdMetric").is_some();
    if method != "Occurrences" && !sliced {
        out.notes.push(format!("{place}: budgetingMethod {method} is read as Occurrences: events are counted, not slices of time"));
    }
    if sliced && method == "Occurrences" {
        out.notes.push(format!(
            "{place}: a threshold is judged by time: each minute above it counts as bad"
        ));
    }
    if spec.pointer("/alertPolicies").and_then(Value::as_array).is_some_and(|a| !a.is_empty()) {
        out.notes
            .push(format!("{place}: alertPolicies left out: the alerts of the SRE workbook apply"));
    }
    let none = Vec::new();
    let objectives = spec.pointer("/objectives").and_then(Value::as_array).unwrap_or(&none);
    if objectives.is_empty() {
        out.notes.push(format!("{place}: has no objectives; left out"));
    }
    for (n, one) in objectives.iter().enumerate() {
        let name =
            if objectives.len() == 1 { name.to_owned() } else { format!("{name}-{}", n + 1) };
        let target = one.get("target").and_then(Value::as_f64).map(|t| t * 100.0);
        let target = target.or_else(|| one.get("targetPercent").and_then(Value::as_f64));
        let Some(target) = target.filter(|t| (1.0..100.0).contains(t)) else {
            out.notes
                .push(format!("{place}: objective {} has no target below 100 %; left out", n + 1));
            continue;
        };
        let mut part = String::new();
        let mut queries = String::new();
        let sources = (known, service, name.as_str());
        match feeds(indicator, one, sources, (&mut part, &mut queries)) {
            Ok(notes) => out.notes.extend(notes.into_iter().map(|n| format!("{place}: {n}"))),
            Err(why) => {
                out.notes.push(format!("{place}: {why}; left out"));
                continue;
            }
        }
        let description = text(spec, "/description")
            .or_else(|| text(document, "/metadata/displayName"))
            .or_else(|| text(known.services.get(service)?, "/spec/description"))
            .unwrap_or_default();
        let rounded = (target * 1e6).round() / 1e6;
        let _ = write!(
            out.settings,
            "[[slo]]\nname = {}\nservice = {}\ndescription = {}\nobjective = {rounded:?}\n\
             window = {}\n{part}",
            quoted(&name),
            quoted(service),
            quoted(description.trim()),
            quoted(&window.to_string())
        );
        let labels = labels(document);
        if !labels.is_empty() {
            let _ = writeln!(out.settings, "labels = {{ {} }}", labels.join(", "));
        }
        let _ = write!(out.settings, "\n# Under the [[prometheus]] that answers it:\n{queries}\n");
        out.n_objectives += 1;
    }
}

/// The window, as near as there is one.
fn window(spec: &Value, place: &str, notes: &mut Vec<String>) -> Window {
    let first = spec.pointer("/timeWindow/0").unwrap_or(&Value::Null);
    let duration = text(first, "/duration").unwrap_or("30d");
    let rolling =
        first.get("isRolling").and_then(Value::as_bool).unwrap_or(first.get("calendar").is_none());
    if let Some(zone) =
        text(first, "/calendar/timeZone").filter(|z| !matches!(*z, "UTC" | "Etc/UTC"))
    {
        notes.push(format!("{place}: the calendar of {zone} is read as UTC"));
    }
    let found = match (rolling, duration) {
        (false, "1M") => Some(Window::Month),
        (false, "1w" | "7d") => Some(Window::Week),
        (true, "1M") => Some(Window::default()),
        (true, other) => other.parse().ok(),
        (false, _) => None,
    };
    found.unwrap_or_else(|| {
        let kind = if rolling { "rolling" } else { "calendar" };
        notes.push(format!("{place}: a {kind} window of {duration} is read as 30d (rolling, at most 31d; calendar week or month)"));
        Window::default()
    })
}

/// Writes what feeds an objective: its part of `[[slo]]`, and the queries.
fn feeds(
    indicator: &Value,
    objective: &Value,
    (known, service, name): (&Known<'_>, &str, &str),
    (part, queries): (&mut String, &mut String),
) -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    let mut feed = |key: &str, source: &Value, counter: bool| -> Result<(), String> {
        let (query, note) = promql(source, known, counter)?;
        notes.extend(note);
        let metric = format!("slo.{name}.{key}");
        let _ = writeln!(part, "{key} = {{ metric = {} }}", quoted(&metric));
        let _ = write!(
            queries,
            "[[prometheus.queries]]\npromql = {}\nmetric = {}\nentity = {}\n",
            quoted(&query),
            quoted(&metric),
            quoted(&format!("service.name={service}"))
        );
        Ok(())
    };
    if let Some(metric) = indicator.get("thresholdMetric") {
        let op = text(objective, "/op").unwrap_or("lte");
        let Some(value) = objective.get("value").and_then(Value::as_f64) else {
            return Err("its threshold has no value".into());
        };
        if !matches!(op, "lte" | "lt") {
            return Err(format!("op {op} is not known; only values above a threshold can be bad"));
        }
        feed("latency", metric, false)?;
        let _ = writeln!(part, "threshold = {value:?}");
        return Ok(notes);
    }
    let Some(ratio) = indicator.get("ratioMetric") else {
        return Err("its indicator is neither a ratioMetric nor a thresholdMetric".into());
    };
    let counter = ratio.get("counter").and_then(Value::as_bool).unwrap_or(false);
    if let Some(raw) = ratio.get("raw") {
        if text(ratio, "/rawType") != Some("failure") {
            return Err(
                "a raw ratio of successes is not known; write 1 minus it as rawType failure".into(),
            );
        }
        feed("errors", raw, false)?;
        return Ok(notes);
    }
    let Some(total) = ratio.get("total") else {
        return Err("its ratioMetric has no total".into());
    };
    match (ratio.get("good"), ratio.get("bad")) {
        (Some(good), _) => feed("good", good, counter)?,
        (None, Some(bad)) => feed("bad", bad, counter)?,
        (None, None) => return Err("its ratioMetric has neither good nor bad".into()),
    }
    feed("total", total, counter)?;
    Ok(notes)
}

/// The query of a metric source, as a rate where it counts.
fn promql(
    source: &Value,
    known: &Known<'_>,
    counter: bool,
) -> Result<(String, Option<String>), String> {
    let source = source.get("metricSource").unwrap_or(source);
    let kind = text(source, "/type").or_else(|| {
        let reference = text(source, "/metricSourceRef")?;
        text(known.sources.get(reference)?, "/spec/type")
    });
    if let Some(kind) = kind.filter(|k| !k.to_ascii_lowercase().contains("prometheus")) {
        return Err(format!("its metric source is of type {kind}, and only Prometheus is read"));
    }
    let query = ["/spec/query", "/spec/promql", "/spec/queryString"]
        .iter()
        .find_map(|path| text(source, path))
        .map(str::trim)
        .filter(|q| !q.is_empty())
        .ok_or("its metric source has no query")?;
    let rated = ["rate(", "increase(", "irate("].iter().any(|f| query.contains(f));
    if !counter || rated {
        return Ok((query.split_whitespace().collect::<Vec<_>>().join(" "), None));
    }
    let plain = query.strip_prefix("sum(").and_then(|q| q.strip_suffix(')')).unwrap_or(query);
    if plain.contains('(') {
        return Err(format!("the counter `{query}` has no rate() and can't be given one"));
    }
    let note = format!("the counter `{query}` is read as its rate");
    Ok((format!("sum(rate({plain}[{{window}}]))"), Some(note)))
}

/// Labels of the document as TOML pairs; of several values the first.
fn labels(document: &Value) -> Vec<String> {
    let given = document.pointer("/metadata/labels").and_then(Value::as_object);
    given
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| {
            let value = value.as_str().or_else(|| value.get(0)?.as_str())?;
            Some(format!("{} = {}", quoted(key), quoted(value)))
        })
        .collect()
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests;
