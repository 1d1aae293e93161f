//! From an action and what is known to the exact plan: templates filled in, parameters checked.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior};
use regex::Regex;
use serde_json::{Value, json};

use super::schema::{Action, ExecutorKind, Observe, Parameter, ParameterKind};
use super::{Runbook, Situation};
use crate::model::action::{Step, Verify};
use crate::model::{EntityRef, Plan, Refused, SeriesId};

/// What a string parameter may look like when its runbook does not say.
const PLAIN: &str = "[A-Za-z0-9][A-Za-z0-9._:-]{0,127}";
/// Seconds to wait for a step when its runbook does not say.
const TIMEOUT_S: u32 = 30;

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.add_filter("segment", |text: String| segment(&text));
    env
}

/// Percent-encodes everything but RFC 3986's unreserved characters, so that a value stays one
/// segment of an address.
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    // A segment of dots alone would climb out of its folder, and address parsers read %2E as a
    // dot: encoded twice, it stays one segment and names nothing.
    if out.chars().all(|c| c == '.') { out.replace('.', "%252E") } else { out }
}

/// What a template names, dotted and in order, such as `change.previous`; or why it can't be read.
pub(super) fn names_in(template: &str) -> Result<Vec<String>, String> {
    let env = environment();
    let read = env.template_from_named_str("runbook", template).map_err(|e| {
        let detail = e.detail().map(|d| format!(": {d}")).unwrap_or_default();
        format!("{}{detail}", e.kind())
    })?;
    let mut names: Vec<String> = read.undeclared_variables(true).into_iter().collect();
    names.sort();
    Ok(names)
}

fn render(what: &str, template: &str, context: &Value) -> Result<String, Refused> {
    environment()
        .render_named_str(
            "runbook",
            template,
            minijinja::Value::from(minijinja::value::Serde(context)),
        )
        .map_err(|e| {
            let hint = if e.kind() == minijinja::ErrorKind::UndefinedError {
                "it names something that is not known here"
            } else {
                "it can't be filled in"
            };
            Refused::Invalid(format!(
                "{what} is missing: `{template}`, {hint}. Give the value yourself."
            ))
        })
}

/// Fills in a template that names settings alone.
pub(super) fn fill(template: &str, settings: &BTreeMap<String, String>) -> Result<String, Refused> {
    render("the address", template, &json!({ "settings": settings }))
}

/// What templates may name: `incident`, `hypothesis`, `change`, `service`, `target` (with `state`),
/// `params`, `settings`. What is not known is left out, so that naming it is an error and not an empty text.
fn context(
    situation: &Situation,
    target: Option<&EntityRef>,
    observed: &BTreeMap<String, String>,
    params: &BTreeMap<String, String>,
) -> Value {
    let mut root = serde_json::Map::new();
    root.insert("settings".into(), json!(situation.settings));
    root.insert("params".into(), json!(params));
    if let Some(h) = &situation.hypothesis {
        root.insert(
            "hypothesis".into(),
            json!({ "entity": entity(&h.entity), "pattern": h.pattern, "statement": h.statement }),
        );
    }
    // What a provider reports can't be undone: no action may be drawn from it.
    if let Some(change) = situation.change.as_ref().filter(|c| c.kind.is_ours()) {
        let mut map = serde_json::Map::new();
        map.insert("kind".into(), json!(change.kind));
        map.insert("entity".into(), entity(&change.entity));
        map.insert("title".into(), json!(change.title));
        map.insert("attributes".into(), json!(change.attributes));
        for (key, value) in [
            ("version", &change.version),
            ("previous", &change.previous),
            ("author", &change.author),
            ("url", &change.url),
        ] {
            if let Some(value) = value {
                map.insert(key.into(), json!(value));
            }
        }
        root.insert("change".into(), Value::Object(map));
    }
    if let Some(service) = situation.service() {
        root.insert("service".into(), entity(service));
    }
    if let Some(incident) = &situation.incident {
        root.insert(
            "incident".into(),
            json!({ "id": incident.id, "number": incident.number, "title": incident.title }),
        );
    }
    if let Some(target) = target {
        let mut map = serde_json::Map::new();
        map.insert("attribute".into(), json!(target.attribute()));
        map.insert("name".into(), json!(target.name()));
        map.insert("state".into(), json!(observed));
        root.insert("target".into(), Value::Object(map));
    }
    Value::Object(root)
}

fn entity(e: &EntityRef) -> Value {
    json!({ "attribute": e.attribute(), "name": e.name() })
}

/// What an action acts on: its `target` filled in, or the hypothesis' entity.
///
/// # Errors
/// The template names what is not known, or there is neither template nor hypothesis.
pub fn target(action: &Action, situation: &Situation) -> Result<EntityRef, Refused> {
    let Some(template) = &action.target else {
        return situation.hypothesis.as_ref().map(|h| h.entity.clone()).ok_or_else(|| {
            Refused::Invalid(format!(
                "the action `{}` has no target here: no cause is known yet. Name one in the runbook.",
                action.id
            ))
        });
    };
    let text = render(
        "the target",
        template,
        &context(situation, None, &BTreeMap::new(), &BTreeMap::new()),
    )?;
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Refused::Invalid(format!("the target `{text}` is not a name")));
    }
    Ok(text.parse().unwrap_or_else(|_| EntityRef::service(text)))
}

/// The request that tells the target's state: address, headers, keys that matter. `None` when the
/// action has no `observe`.
///
/// # Errors
/// A template names what is not known.
pub fn observe(
    action: &Action,
    situation: &Situation,
    target: &EntityRef,
    params: &BTreeMap<String, String>,
) -> Result<Option<Observe>, Refused> {
    let Some(observe) = &action.observe else { return Ok(None) };
    let context = context(situation, Some(target), &BTreeMap::new(), params);
    let url = address(&render("the address that tells the state", &observe.url, &context)?)?;
    let headers = filled(&observe.headers, &context)?;
    Ok(Some(Observe { url, headers, keys: observe.keys.clone() }))
}

fn filled(
    headers: &BTreeMap<String, String>,
    context: &Value,
) -> Result<BTreeMap<String, String>, Refused> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = render(&format!("the header {name}"), value, context)?;
            if value.chars().any(char::is_control) {
                return Err(Refused::Invalid(format!("the header {name} has control characters")));
            }
            Ok((name.to_lowercase(), value))
        })
        .collect()
}

fn address(text: &str) -> Result<String, Refused> {
    let bad = |why: &str| Refused::Invalid(format!("`{text}` is not an address to call: {why}"));
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(bad("it has white space or control characters"));
    }
    let url = url::Url::parse(text).map_err(|e| bad(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("only http and https are called"));
    }
    Ok(url.into())
}

/// The parameters as they will be used: those given, the rest by default, all checked.
///
/// # Errors
/// An unknown name, a value that is missing or that its rule does not take; the text says which.
pub fn parameters(
    action: &Action,
    given: &BTreeMap<String, String>,
    observed: &BTreeMap<String, String>,
    situation: &Situation,
) -> Result<BTreeMap<String, String>, Refused> {
    if let Some(name) = given.keys().find(|n| !action.parameters.iter().any(|p| p.name == **n)) {
        let known: Vec<&str> = action.parameters.iter().map(|p| p.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(Refused::Invalid(format!(
            "the action `{}` has no parameter `{name}`; it takes: {known}.",
            action.id
        )));
    }
    let target = target(action, situation)?;
    let mut values = BTreeMap::new();
    for p in &action.parameters {
        let value = match (given.get(&p.name), &p.default) {
            (Some(value), _) => value.trim().to_owned(),
            (None, Some(default)) => {
                let context = context(situation, Some(&target), observed, &values);
                render(&format!("the parameter `{}`", p.name), default, &context)?.trim().to_owned()
            }
            (None, None) => {
                return Err(Refused::Invalid(format!(
                    "the parameter `{}` ({}) has no value; give one.",
                    p.name, p.description
                )));
            }
        };
        check_value(p, &value)?;
        values.insert(p.name.clone(), value);
    }
    Ok(values)
}

/// Whether a value is one that a parameter takes.
pub(super) fn check_value(p: &Parameter, value: &str) -> Result<(), Refused> {
    let refuse = |rule: String| {
        Err(Refused::Invalid(format!("`{value}` is no value for `{}`: {rule}.", p.name)))
    };
    match p.kind {
        ParameterKind::Integer => {
            let Ok(n) = value.parse::<i64>() else {
                return refuse("it must be a whole number".into());
            };
            match (p.min, p.max) {
                (Some(min), _) if n < min => refuse(format!("it must be at least {min}")),
                (_, Some(max)) if n > max => refuse(format!("it must be at most {max}")),
                _ => Ok(()),
            }
        }
        ParameterKind::Choice if p.choices.iter().any(|c| c == value) => Ok(()),
        ParameterKind::Choice => refuse(format!("it must be one of {}", p.choices.join(", "))),
        ParameterKind::String => {
            let pattern = p.pattern.as_deref().unwrap_or(PLAIN);
            let fits = Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|r| r.is_match(value));
            if fits && !value.chars().any(char::is_control) {
                Ok(())
            } else {
                refuse(format!("it must match {pattern}"))
            }
        }
    }
}

/// The steps of an action with checked parameters: what the executor will be told, to the letter.
///
/// # Errors
/// A template names what is not known, or what comes out is no valid address or JSON.
pub fn render_action(
    action: &Action,
    params: &BTreeMap<String, String>,
    observed: &BTreeMap<String, String>,
    situation: &Situation,
) -> Result<Vec<Step>, Refused> {
    let target = target(action, situation)?;
    let context = context(situation, Some(&target), observed, params);
    let step = match (action.executor, &action.http, &action.command) {
        (ExecutorKind::Http, Some(http), _) => {
            let mut headers = filled(&http.headers, &context)?;
            let body = match &http.body {
                Some(body) => Some(render("the body", body, &context)?),
                None => None,
            };
            if let Some(body) = &body {
                let kind =
                    headers.entry("content-type".into()).or_insert("application/json".into());
                if kind.contains("json")
                    && let Err(e) = serde_json::from_str::<serde::de::IgnoredAny>(body)
                {
                    return Err(Refused::Invalid(format!(
                        "the body of `{}` is not JSON once filled in ({e}). Mend the runbook; \
                         put values in with `| tojson`.",
                        action.id
                    )));
                }
            }
            Step::Http {
                method: http.method.clone(),
                url: address(&render("the address", &http.url, &context)?)?,
                headers,
                body,
                timeout_s: http.timeout.map_or(TIMEOUT_S, |t| t.0),
            }
        }
        (ExecutorKind::Command, _, Some(command)) => Step::Command {
            program: command.program.clone(),
            args: command
                .args
                .iter()
                .map(|a| render("an argument", a, &context))
                .collect::<Result<_, _>>()?,
            timeout_s: command.timeout.map_or(TIMEOUT_S, |t| t.0),
        },
        _ => Step::DryRun { text: render("the title", &action.title, &context)? },
    };
    Ok(vec![step])
}

/// The action's title filled in; the bare template's text where something is not known.
#[must_use]
pub fn title(
    action: &Action,
    params: &BTreeMap<String, String>,
    observed: &BTreeMap<String, String>,
    situation: &Situation,
) -> String {
    let filled = target(action, situation).and_then(|t| {
        render("the title", &action.title, &context(situation, Some(&t), observed, params))
    });
    filled.unwrap_or_else(|_| action.title.replace(['{', '}'], ""))
}

/// The whole plan: target, checked parameters, steps, how it is verified. `series` is the signal
/// to measure again.
///
/// # Errors
/// Anything that [`target`], [`parameters`] or [`render_action`] refuses.
pub fn plan(
    runbook: &Runbook,
    action: &Action,
    given: &BTreeMap<String, String>,
    observed: &BTreeMap<String, String>,
    situation: &Situation,
    series: Option<SeriesId>,
) -> Result<Plan, Refused> {
    let parameters = parameters(action, given, observed, situation)?;
    Ok(Plan {
        version: 1,
        runbook: runbook.front.id.clone(),
        action: action.id.clone(),
        target: target(action, situation)?,
        steps: render_action(action, &parameters, observed, situation)?,
        parameters,
        observed: observed.clone(),
        verify: Verify { series, after_s: action.verify.after.0, window_s: action.verify.window.0 },
    })
}

/// An action and its parameters.
pub type Undo<'a> = (&'a Action, BTreeMap<String, String>);

/// The action that undoes `done`, and its parameters, from the state observed before it ran.
/// `None` when the runbook names none.
///
/// # Errors
/// A template names what is not known, such as a key that was not observed.
pub fn rollback<'a>(
    runbook: &'a Runbook,
    done: &Plan,
    situation: &Situation,
) -> Result<Option<Undo<'a>>, Refused> {
    let Some(rollback) = runbook.action(&done.action).and_then(|a| a.rollback.as_ref()) else {
        return Ok(None);
    };
    let Some(action) = runbook.action(&rollback.action) else { return Ok(None) };
    let context = context(situation, Some(&done.target), &done.observed, &done.parameters);
    let mut values = BTreeMap::new();
    for (name, template) in &rollback.parameters {
        values
            .insert(name.clone(), render(&format!("the parameter `{name}`"), template, &context)?);
    }
    Ok(Some((action, values)))
}
