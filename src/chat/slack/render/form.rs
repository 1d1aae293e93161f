//! Forms as modals, and what comes back from them.
//!
//! Each input is a block whose id is the field's name; its element is always called [`ACTION`].

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::words::{cut, escape, length, pieces};
use super::{SECTION, context, marked, plain};
use crate::chat::form::parse_time;
use crate::chat::{Form, FormField, FormKind};
use crate::model::Time;

/// The name of every input's element.
pub(in super::super) const ACTION: &str = "value";

/// Options of a select menu.
const OPTIONS: usize = 100;
/// Characters of an option's value.
const OPTION_VALUE: usize = 150;
/// Characters that an input takes.
const INPUT: usize = 3_000;
/// Blocks of a modal.
const BLOCKS: usize = 100;

/// What a modal carries unseen: what it is for, and where the answer goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Metadata {
    /// [`Form::code`].
    pub code: String,
    /// The channel it was opened from.
    pub channel: String,
    /// The thread, or the message it was opened from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
}

/// A form as a modal view.
pub(in super::super) fn form(form: &Form, metadata: &Metadata, now: Time) -> Value {
    let mut blocks: Vec<Value> = Vec::new();
    for field in &form.fields {
        match field.kind {
            FormKind::Fixed => blocks.extend(fixed(field)),
            _ => blocks.push(input(field, now)),
        }
    }
    if form.danger {
        blocks.push(context("Sending this acts on your systems."));
    }
    if blocks.is_empty() {
        blocks.push(context("Nothing is asked."));
    }
    // Inputs are never cut: a form has few, and what is too long is text to read.
    while blocks.len() > BLOCKS {
        let reads = blocks.iter().rposition(|b| b["type"] != "input");
        blocks.remove(reads.unwrap_or(BLOCKS));
    }
    let submit = if form.submit.trim().is_empty() { "Send" } else { &form.submit };
    let metadata = serde_json::to_string(metadata).expect("texts serialise");
    json!({
        "type": "modal",
        "callback_id": "nightjar",
        "title": plain(&form.title, 24),
        "submit": plain(submit, 24),
        "close": plain("Cancel", 24),
        "private_metadata": metadata,
        "blocks": blocks,
    })
}

/// Text to read, in as many sections as it takes; ten are enough for anybody.
fn fixed(field: &FormField) -> Vec<Value> {
    const MOST: usize = 10;
    let label = escape(&field.label).replace(['*', '\n'], " ");
    let label = cut(label.trim(), 150);
    let mut text = if label.is_empty() { String::new() } else { format!("*{label}*") };
    let mut blocks = Vec::new();
    for piece in pieces(&escape(&field.value), SECTION - 200) {
        if !text.is_empty() && length(&text) + length(&piece) + 1 > SECTION {
            blocks.push(json!({ "type": "section", "text": marked(&text) }));
            text.clear();
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&piece);
    }
    if !text.trim().is_empty() {
        blocks.push(json!({ "type": "section", "text": marked(&text) }));
    }
    if blocks.len() > MOST {
        blocks.truncate(MOST);
        blocks.push(context("… the rest is in the console"));
    }
    blocks
}

fn input(field: &FormField, now: Time) -> Value {
    let mut hint = field.hint.clone();
    let element = match &field.kind {
        FormKind::Choice { options } if selectable(options) => {
            if options.len() > OPTIONS {
                let missing = options.len() - OPTIONS;
                hint = format!("{hint} The first {OPTIONS} are shown, {missing} are not.");
            }
            select(options, &field.value)
        }
        FormKind::DateTime => {
            let mut element = json!({ "type": "datetimepicker", "action_id": ACTION });
            if let Ok(at) = parse_time(&field.value, now) {
                element["initial_date_time"] = (at.ms() / 1_000).into();
            }
            element
        }
        kind => text_input(field, matches!(kind, FormKind::Lines)),
    };
    let mut block = json!({
        "type": "input",
        "block_id": cut(&field.name, 255),
        "label": plain(&field.label, 150),
        "optional": !field.required,
        "element": element,
    });
    if !hint.trim().is_empty() {
        block["hint"] = plain(&hint, 500);
    }
    block
}

/// Whether Slack can show these as a menu without changing a value.
fn selectable(options: &[(String, String)]) -> bool {
    let fits = |value: &str| !value.is_empty() && length(value) <= OPTION_VALUE;
    !options.is_empty() && options.iter().all(|(value, _)| fits(value))
}

fn select(options: &[(String, String)], chosen: &str) -> Value {
    let option =
        |(value, label): &(String, String)| json!({ "text": plain(label, 75), "value": value });
    let shown: Vec<Value> = options.iter().take(OPTIONS).map(option).collect();
    let mut element = json!({ "type": "static_select", "action_id": ACTION, "options": shown });
    let initial =
        element["options"].as_array().into_iter().flatten().find(|o| o["value"] == chosen);
    if let Some(initial) = initial.cloned() {
        element["initial_option"] = initial;
    }
    element
}

fn text_input(field: &FormField, multiline: bool) -> Value {
    let mut element = json!({
        "type": "plain_text_input", "action_id": ACTION, "multiline": multiline,
        "max_length": INPUT,
    });
    if !field.value.is_empty() {
        element["initial_value"] = cut(&field.value, INPUT).into();
    }
    let example = match field.kind {
        FormKind::Duration => "30 min, 2 h, 1 d",
        _ => "",
    };
    if !example.is_empty() {
        element["placeholder"] = plain(example, 150);
    }
    element
}
