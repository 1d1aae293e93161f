//! Forms as Discord's modals, which know text inputs and menus.
//!
//! What stands in for the kinds that a modal lacks: a choice of more than a menu holds is typed,
//! with the options as help, and read by label, value or an unmistakable beginning; times and lengths of time are typed and
//! read by [`form`](crate::chat::form); text to read is a filled-in input that is not sent on,
//! because it then stands before the eyes of whoever decides and can be copied.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::text::{length, line, plain};
use crate::chat::{Form, FormField, FormKind};

/// Characters of a modal's title.
const TITLE: usize = 45;
/// Characters of an input's label.
const LABEL: usize = 45;
/// Characters of an input's help.
const HELP: usize = 100;
/// Characters of an input.
const INPUT: usize = 4_000;
/// Options of a menu, and characters of each label and value.
const OPTIONS: usize = 25;
const OPTION: usize = 100;
/// Names of inputs that only show something.
const FIXED: &str = "fixed:";

/// The modal of a form, as an interaction's first response takes it.
pub(super) fn modal(form: &Form) -> Value {
    let is_fixed = |f: &&FormField| f.kind == FormKind::Fixed;
    let inputs: Vec<&FormField> =
        form.fields.iter().filter(|f| !is_fixed(f)).take(Form::MAX_FIELDS).collect();
    let fixed: Vec<&FormField> = form.fields.iter().filter(is_fixed).collect();
    let room = Form::MAX_FIELDS - inputs.len();
    // Options that are too many for the help of their input stand beside it, to be read.
    let listed: Vec<FormField> = inputs.iter().filter_map(|field| listed(field)).collect();
    let read = fixed.into_iter().chain(&listed).collect::<Vec<_>>();
    let mut rows: Vec<Value> = shown(&read, room);
    rows.extend(inputs.into_iter().map(input));
    if rows.is_empty() {
        rows = shown(&[&FormField::fixed("Press to confirm", form.title.as_str())], 1);
    }
    json!({ "title": named(&form.title, TITLE), "custom_id": form.code, "components": rows })
}

/// The options of a choice as text to read, where they make no menu and its help can't hold them.
fn listed(field: &FormField) -> Option<FormField> {
    let FormKind::Choice { options } = &field.kind else { return None };
    if menu(field).is_some() {
        return None;
    }
    let labels: Vec<&str> = options.iter().map(|(_, label)| label.as_str()).collect();
    let long = one_of(&labels).chars().count() > HELP;
    long.then(|| FormField::fixed(&format!("Choose for: {}", field.label), labels.join("\n")))
}

fn one_of(labels: &[&str]) -> String {
    format!("One of: {}", labels.join(", "))
}

/// Discord refuses an empty title or label.
fn named(text: &str, room: usize) -> String {
    let text = line(text, room);
    if text.trim().is_empty() { "…".into() } else { text }
}

fn row(input: Value) -> Value {
    json!({ "type": 1, "components": [input] })
}

/// Text to read, in as many inputs as there is room for: what is too much stands in the last one.
fn shown(fixed: &[&FormField], room: usize) -> Vec<Value> {
    let n = fixed.len().min(room);
    let one = |(i, field): (usize, &&FormField)| {
        let rest = if i + 1 == n { &fixed[i + 1..] } else { &[] };
        let mut value = field.value.clone();
        for more in rest {
            value.push_str(&format!("\n\n{}: {}", more.label, more.value));
        }
        row(json!({
            "type": 4, "style": 2, "required": false,
            "custom_id": format!("{FIXED}{i}"),
            "label": named(&field.label, LABEL),
            "value": plain(&value, INPUT),
        }))
    };
    fixed.iter().take(n).enumerate().map(one).collect()
}

/// A choice as a menu to choose from, where Discord's limits let it be one.
fn menu(field: &FormField) -> Option<Value> {
    let FormKind::Choice { options } = &field.kind else { return None };
    let short = |(value, label): &(String, String)| {
        (1..=OPTION).contains(&length(value)) && !line(label, OPTION).trim().is_empty()
    };
    let mut values: Vec<&String> = options.iter().map(|(value, _)| value).collect();
    values.sort();
    values.dedup();
    let fits = (1..=OPTIONS).contains(&options.len()) && values.len() == options.len();
    if !fits || !options.iter().all(short) {
        return None;
    }
    let option = |(value, label): &(String, String)| {
        let is_set = *value == field.value;
        json!({ "label": line(label, OPTION), "value": value, "default": is_set })
    };
    let options: Vec<Value> = options.iter().map(option).collect();
    let mut select = json!({
        "type": 3, "custom_id": field.name, "required": field.required, "options": options,
    });
    if !field.required {
        select["min_values"] = json!(0);
    }
    Some(json!({ "type": 18, "label": named(&field.label, LABEL), "component": select }))
}

/// What was chosen in the menus of a modal that was sent. Serenity's types know none in modals.
pub(super) fn chosen_in(interaction: &Value) -> BTreeMap<String, String> {
    let rows = interaction["data"]["components"].as_array().into_iter().flatten();
    let menus = rows.map(|row| &row["component"]).filter(|menu| menu["type"] == 3);
    menus
        .filter_map(|menu| {
            let value = menu["values"][0].as_str().unwrap_or_default();
            Some((menu["custom_id"].as_str()?.to_owned(), value.to_owned()))
        })
        .collect()
}

fn input(field: &FormField) -> Value {
    if let Some(menu) = menu(field) {
        return menu;
    }
    let (style, help, value) = match &field.kind {
        FormKind::Choice { options } => {
            let labels: Vec<&str> = options.iter().map(|(_, label)| label.as_str()).collect();
            let label = options.iter().find(|(value, _)| *value == field.value);
            let value = label.map_or_else(String::new, |(_, label)| label.clone());
            (1, one_of(&labels), value)
        }
        FormKind::DateTime => {
            (1, "2026-11-24 14:30 (UTC), or: in 30 min".into(), field.value.clone())
        }
        FormKind::Duration => (1, "30 min, 2 h or 1 d".into(), field.value.clone()),
        FormKind::Lines => (2, field.hint.clone(), field.value.clone()),
        FormKind::Text | FormKind::Fixed => (1, field.hint.clone(), field.value.clone()),
    };
    let value = if style == 1 { line(&value, INPUT) } else { plain(&value, INPUT) };
    let mut input = json!({
        "type": 4, "style": style, "required": field.required,
        "custom_id": field.name,
        "label": named(&field.label, LABEL),
        "max_length": INPUT,
    });
    if !help.trim().is_empty() {
        input["placeholder"] = json!(line(&help, HELP));
    }
    if !value.trim().is_empty() {
        input["value"] = json!(value);
    }
    row(input)
}

/// Values by field name, and what is wrong with them, by label.
type Read = (BTreeMap<String, String>, Vec<String>);

/// What was typed into the modal of a form, as the form's own values; what can't be read as one
/// of a choice is a fault.
pub(super) fn answers(form: &Form, typed: &BTreeMap<String, String>) -> Read {
    let (mut values, mut faults) = (BTreeMap::new(), Vec::new());
    for field in form.fields.iter().filter(|f| f.kind != FormKind::Fixed) {
        let given = typed.get(&field.name).map(|v| v.trim()).unwrap_or_default();
        let mut value = given;
        if let FormKind::Choice { options } = &field.kind
            && !given.is_empty()
        {
            let Some(chosen) = chosen(options, given) else {
                let labels: Vec<&str> = options.iter().map(|(_, l)| l.as_str()).collect();
                let all = labels.join(", ");
                faults.push(format!("{}: `{given}` is none of: {all}", field.label));
                continue;
            };
            value = chosen;
        }
        values.insert(field.name.clone(), value.to_owned());
    }
    (values, faults)
}

fn chosen<'a>(options: &'a [(String, String)], given: &str) -> Option<&'a str> {
    let given = given.to_lowercase();
    let same = |(value, label): &&(String, String)| {
        value.to_lowercase() == given || label.to_lowercase() == given
    };
    let begins = |(value, label): &&(String, String)| {
        value.to_lowercase().starts_with(&given) || label.to_lowercase().starts_with(&given)
    };
    // `12` and `#12` are the incident of that number, not also #120.
    let number = |label: &str| {
        label.split(' ').next().map(|word| word.trim_start_matches('#').to_lowercase())
    };
    let numbered = |(_, label): &&(String, String)| {
        label.starts_with('#') && number(label).as_deref() == Some(given.trim_start_matches('#'))
    };
    let exact = options.iter().find(same).or_else(|| options.iter().find(numbered));
    let mut alike = options.iter().filter(begins);
    let only = alike.next().filter(|_| alike.next().is_none());
    exact.or(only).map(|(value, _)| value.as_str())
}

/// A form with what was typed before, so that nobody types it twice.
pub(super) fn refilled(form: Form, typed: &BTreeMap<String, String>) -> Form {
    let keep = |field: FormField| match typed.get(&field.name) {
        Some(value) if field.kind != FormKind::Fixed => match &field.kind {
            FormKind::Choice { options } => {
                let value = chosen(options, value).unwrap_or_default().to_owned();
                field.with(value)
            }
            _ => field.with(value.clone()),
        },
        _ => field,
    };
    Form { fields: form.fields.into_iter().map(keep).collect(), ..form }
}
