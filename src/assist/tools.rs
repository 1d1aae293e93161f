//! The read-only tools that a model may call: what each takes, and what it gives.
//!
//! Schemas are strict (every argument required, `null` for "not said", nothing beside them), and
//! so is the reading: a call that does not fit is answered with what is wrong. Results are bounded
//! and say that they are data.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::offline::{Baseline, LookUp, Wanted};
use super::plan::Intent;
use super::when::{self, Range};
use super::{Citation, Question};
use crate::llm::ToolSpec;
use crate::model::diagnosis::Finding;
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{Level, Time, figure};

/// Characters of one evidence in a result.
const MOST_DETAIL: usize = 1_600;

struct Tool {
    name: &'static str,
    intent: Intent,
    takes: &'static [&'static str],
    needs: &'static [&'static str],
    does: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "list_incidents",
        intent: Intent::Count,
        takes: &["state", "since", "until"],
        needs: &["state"],
        does: "Lists incidents: the active ones, or all that opened in a time (default: 7 days).",
    },
    Tool {
        name: "incident",
        intent: Intent::Why,
        takes: &["number"],
        needs: &["number"],
        does: "One incident: title, state, since when, the ranked hypotheses with their evidence.",
    },
    Tool {
        name: "timeline",
        intent: Intent::Happened,
        takes: &["number", "service", "since", "until"],
        needs: &[],
        does: "What happened in order of time: of one incident, of a service, or in a time.",
    },
    Tool {
        name: "metric_window",
        intent: Intent::Show,
        takes: &["service", "metric", "since", "until", "compare_with"],
        needs: &["service", "compare_with"],
        does: "Medians of a service's metrics in a time (default: 15 minutes) against a day or a \
               week before. `metric` narrows to names that contain it, such as `p99`.",
    },
    Tool {
        name: "slowest_services",
        intent: Intent::Slowest,
        takes: &["since", "until"],
        needs: &[],
        does: "Services by their median duration (default: the last hour).",
    },
    Tool {
        name: "logs_search",
        intent: Intent::Errors,
        takes: &["service", "text", "level", "since", "until"],
        needs: &[],
        does: "Log lines: by template with counts, or the newest that have all words of `text`.",
    },
    Tool {
        name: "changes",
        intent: Intent::Changes,
        takes: &["service", "since", "until"],
        needs: &[],
        does: "Deploys, configuration, network policies and other changes (default: 24 hours).",
    },
    Tool {
        name: "graph",
        intent: Intent::Graph,
        takes: &["service"],
        needs: &["service"],
        does: "What a service calls and runs on, and what calls it.",
    },
    Tool {
        name: "alerts",
        intent: Intent::Paged,
        takes: &["service", "since", "until"],
        needs: &[],
        does: "Alerts, and why each did or did not reach anybody (default: 24 hours).",
    },
    Tool {
        name: "similar_incidents",
        intent: Intent::SeenBefore,
        takes: &["number"],
        needs: &["number"],
        does: "Earlier incidents that look like this one, and what fixed them.",
    },
    Tool {
        name: "proposals",
        intent: Intent::WhatToDo,
        takes: &["number"],
        needs: &["number"],
        does: "Actions that are proposed for an incident, and its runbooks.",
    },
    Tool {
        name: "runbook_search",
        intent: Intent::Runbook,
        takes: &["text"],
        needs: &["text"],
        does: "Runbooks that match the words, with their text.",
    },
    Tool {
        name: "silences",
        intent: Intent::Silenced,
        takes: &[],
        needs: &[],
        does: "Silences and maintenance windows that are in force.",
    },
    Tool {
        name: "deploy_risk",
        intent: Intent::Deploy,
        takes: &["service"],
        needs: &["service"],
        does: "What argues for or against a deploy of a service now.",
    },
];

fn argument(name: &str) -> Value {
    match name {
        "service" => json!({
            "type": "string", "description": "Exact name of a service, database or node."
        }),
        "number" => {
            json!({ "type": "integer", "description": "The incident's number: 12 for #12." })
        }
        "since" | "until" => json!({
            "type": "string", "description": "UTC, such as 2026-11-21T14:00:00Z."
        }),
        "text" => json!({ "type": "string", "description": "A few words." }),
        "metric" => json!({ "type": "string", "description": "A part of the metric's name." }),
        "level" => json!({ "type": "string", "enum": ["info", "warn", "error", "fatal"] }),
        "compare_with" => json!({ "type": "string", "enum": ["yesterday", "last_week"] }),
        _ => json!({ "type": "string", "enum": ["active", "all"] }),
    }
}

/// Makes an argument one that may be `null`.
fn optional(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    if let Some(list) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        list.push(Value::Null);
    }
    schema
}

static SPECS: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| TOOLS.iter().map(spec).collect());

fn spec(tool: &Tool) -> ToolSpec {
    let properties: Map<String, Value> = tool
        .takes
        .iter()
        .map(|name| {
            let schema = argument(name);
            let needed = tool.needs.contains(name);
            ((*name).to_owned(), if needed { schema } else { optional(schema) })
        })
        .collect();
    ToolSpec {
        name: tool.name.into(),
        description: tool.does.into(),
        // Strict schemas name every property as required; what may be left out is `null`.
        parameters: json!({
            "type": "object",
            "properties": properties,
            "required": tool.takes,
            "additionalProperties": false,
        }),
    }
}

/// All tools, as a model is told of them.
pub(super) fn specs() -> Vec<ToolSpec> {
    SPECS.clone()
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Arguments {
    service: Option<String>,
    number: Option<u64>,
    since: Option<String>,
    until: Option<String>,
    text: Option<String>,
    metric: Option<String>,
    level: Option<Level>,
    compare_with: Option<String>,
    state: Option<String>,
}

fn time(text: &str, now: Time) -> Result<Time, String> {
    let whole = Time::parse(text).ok().filter(|t| (Time::MIN..=Time::MAX).contains(t));
    // Models write times in many ways; what people may write, they may.
    let read = whole
        .or_else(|| when::parse(&format!("since {text}"), now, &TimeZone::UTC).map(|r| r.since));
    read.ok_or_else(|| format!("`{text}` is no time; write it as 2026-11-21T14:00:00Z"))
}

fn range(a: &Arguments, now: Time) -> Result<Option<Range>, String> {
    let since = a.since.as_deref().map(|t| time(t, now)).transpose()?;
    let until = a.until.as_deref().map(|t| time(t, now)).transpose()?;
    let until = until.unwrap_or(now).min(now.plus_ms(1));
    match since {
        None if a.until.is_none() => Ok(None),
        None => Ok(Some(Range { since: until.plus_ms(-HOUR_MS), until })),
        Some(since) if since >= until => Err("`since` must be before `until` and now".to_owned()),
        Some(since) if until.ms_since(since) > 31 * DAY_MS => {
            Err("ask for at most 31 days".to_owned())
        }
        Some(since) => Ok(Some(Range { since, until })),
    }
}

/// Reads a call; `Err` in words for the model.
pub(super) fn read(name: &str, arguments: &str, question: &Question) -> Result<LookUp, String> {
    let Some(tool) = TOOLS.iter().find(|t| t.name == name) else {
        let names: Vec<&str> = TOOLS.iter().map(|t| t.name).collect();
        return Err(format!("there is no tool `{name}`; there are {}", names.join(", ")));
    };
    let text = if arguments.trim().is_empty() { "{}" } else { arguments };
    let given: Value =
        serde_json::from_str(text).map_err(|e| format!("the arguments are no JSON: {e}"))?;
    let object = given.as_object().ok_or("the arguments must be an object")?;
    for (key, value) in object {
        if !value.is_null() && !tool.takes.contains(&key.as_str()) {
            return Err(format!("{name} takes no `{key}`; it takes {}", tool.takes.join(", ")));
        }
    }
    if let Some(missing) = tool.needs.iter().find(|n| object.get(**n).is_none_or(Value::is_null)) {
        return Err(format!("{name} needs `{missing}`"));
    }
    let a: Arguments = serde_json::from_value(given.clone())
        .map_err(|e| format!("the arguments are wrong: {e}"))?;
    let long = [&a.service, &a.text, &a.metric].into_iter().flatten().any(|t| t.len() > 300);
    if long {
        return Err("an argument is longer than 300 bytes".to_owned());
    }
    let baseline = match a.compare_with.as_deref() {
        None | Some("yesterday") => Baseline::Day,
        Some("last_week") => Baseline::Week,
        Some(other) => {
            return Err(format!("compare_with is yesterday or last_week, not `{other}`"));
        }
    };
    let intent = match a.state.as_deref() {
        Some("active") => Intent::Status,
        None | Some("all") => tool.intent,
        Some(other) => return Err(format!("state is active or all, not `{other}`")),
    };
    Ok(LookUp {
        intent,
        range: range(&a, question.now)?,
        service: a.service,
        number: a.number,
        wanted: Wanted { baseline, text: a.text, level: a.level, metric: a.metric },
    })
}

/// What is being looked up, in a few words for the reader.
pub(super) fn step(name: &str, asked: &LookUp) -> String {
    let what = name.replace('_', " ");
    let about = match (&asked.service, asked.number, &asked.wanted.text) {
        (Some(service), ..) => format!(" of {service}"),
        (None, Some(number), _) => format!(" of #{number}"),
        (None, None, Some(text)) => format!(" for `{text}`"),
        (None, None, None) => String::new(),
    };
    format!("Looking up: {what}{about}")
}

/// One evidence as a model is shown it.
pub(super) fn shown(citation: &Citation) -> String {
    let e = &citation.evidence;
    let mut text = format!("[{}] {}", citation.n, e.summary);
    match &e.finding {
        Finding::Metric { series, expected, before, after, onset, .. } => {
            let unit = &series.unit;
            text.push_str(&format!(
                " | before {}, after {}",
                figure(*before, unit),
                figure(*after, unit)
            ));
            if let Some(band) = expected {
                let (low, high) = (figure(band.low, unit), figure(band.high, unit));
                text.push_str(&format!(", expected {low} to {high}"));
            }
            text.extend(onset.map(|t| format!(", departed at {t}")));
        }
        Finding::Logs { examples, .. } => {
            for l in examples.iter().take(3) {
                text.push_str(&format!("\n  log of {} at {}: {}", l.entity.name(), l.at, l.body));
            }
        }
        Finding::Change { change } => {
            text.push_str(&format!(" | {} at {}", change.title, change.at));
            text.extend(change.version.as_ref().map(|v| format!(", version {v}")));
            text.extend(change.previous.as_ref().map(|v| format!(", before it {v}")));
            text.extend(change.diff.iter().map(|line| format!("\n  {line}")));
        }
        Finding::Runbook { id, excerpt, .. } => {
            text.push_str(&format!(" | runbook {id}:\n{excerpt}"));
        }
        Finding::Edge { .. }
        | Finding::Requests { .. }
        | Finding::Incident { .. }
        | Finding::Record { .. } => {}
    }
    if text.chars().count() > MOST_DETAIL {
        text = text.chars().take(MOST_DETAIL).collect();
        text.push_str(" …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Actor;
    use proptest::prelude::*;

    fn question() -> Question {
        let now = Time::parse("2026-11-21T15:00:00Z").expect("valid");
        Question { text: "why".into(), actor: Actor::nightjar(), incident: None, now }
    }

    #[test]
    fn every_schema_is_strict_and_every_name_is_known() {
        for spec in specs() {
            let p = &spec.parameters;
            assert_eq!(p["additionalProperties"], false, "{}", spec.name);
            let names: Vec<&String> =
                p["properties"].as_object().expect("an object").keys().collect();
            let mut required: Vec<String> =
                serde_json::from_value(p["required"].clone()).expect("a list");
            required.sort();
            assert_eq!(names, required.iter().collect::<Vec<_>>(), "{}", spec.name);
            assert!(spec.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            assert!(spec.description.len() < 1_024);
        }
        assert_eq!(specs().len(), 14);
    }

    #[test]
    fn wrong_calls_are_answered_with_what_is_wrong() {
        for (name, arguments, said) in [
            ("rollback", "{}", "there is no tool `rollback`"),
            ("incident", "{", "the arguments are no JSON"),
            ("incident", "[]", "must be an object"),
            ("incident", "{}", "incident needs `number`"),
            ("incident", r#"{"number":"12"}"#, "the arguments are wrong"),
            ("incident", r#"{"number":12,"force":true}"#, "takes no `force`"),
            ("silences", r#"{"service":"orders"}"#, "takes no `service`"),
            ("changes", r#"{"since":"soon"}"#, "is no time"),
            ("changes", r#"{"since":"2026-11-22T00:00:00Z"}"#, "`since` must be before"),
            ("changes", r#"{"since":"2025-11-22T00:00:00Z"}"#, "at most 31 days"),
            ("list_incidents", r#"{"state":"broken"}"#, "state is active or all"),
            ("metric_window", r#"{"service":"a","compare_with":"x"}"#, "yesterday or last_week"),
        ] {
            let wrong = read(name, arguments, &question()).err().expect(name);
            assert!(wrong.contains(said), "{name} {arguments}: {wrong}");
        }
        let good = read("changes", r#"{"service":null,"since":"14:00","until":null}"#, &question());
        let range = good.expect("reads").range.expect("a range");
        assert_eq!(range.since.clock_text(), "14:00:00");
    }

    proptest! {
        #[test]
        fn any_arguments_are_read_without_a_panic(text in "\\PC{0,60}", n in 0_usize..14) {
            let _ = read(TOOLS[n].name, &text, &question());
            let _ = read(TOOLS[n].name, &json!({ "since": text, "service": text }).to_string(), &question());
        }
    }
}
