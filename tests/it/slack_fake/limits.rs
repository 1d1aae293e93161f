//! Slack's documented limits on messages and views, as faults in words; the fake refuses by them,
//! and the renderer's tests are held against them.

use serde_json::Value;

/// What is wrong with a message's blocks and text.
pub(crate) fn message_faults(blocks: &[Value], text: &str) -> Vec<String> {
    let mut faults = blocks_faults(blocks, 50);
    let all: usize = blocks.iter().map(words).sum();
    if all > 13_000 {
        faults.push(format!("all blocks together have {all} characters"));
    }
    if text.trim().is_empty() {
        faults.push("the fallback text is empty".into());
    }
    if units(text) > 4_000 {
        faults.push(format!("the fallback text has {} characters", units(text)));
    }
    faults.extend(pings(text).map(|p| format!("the fallback text names {p}")));
    faults
}

/// What is wrong with a modal or a home.
pub(crate) fn view_faults(view: &Value) -> Vec<String> {
    let none = Vec::new();
    let blocks = view["blocks"].as_array().unwrap_or(&none);
    let mut faults = blocks_faults(blocks, 100);
    let modal = match view["type"].as_str() {
        Some("modal") => true,
        Some("home") => false,
        other => {
            faults.push(format!("{other:?} is no type of a view"));
            false
        }
    };
    if modal {
        for name in ["title", "submit", "close"] {
            let given = &view[name];
            let required = name == "title" || blocks.iter().any(|b| b["type"] == "input");
            if given.is_null() && (name == "close" || !required) {
                continue;
            }
            faults.extend(text_faults(given, &["plain_text"], 24, name));
        }
    }
    let metadata = view["private_metadata"].as_str().unwrap_or_default();
    if units(metadata) > 3_000 {
        faults.push("private_metadata is too long".into());
    }
    if view.to_string().len() > 250_000 {
        faults.push("the view is larger than 250 kB".into());
    }
    faults
}

fn blocks_faults(blocks: &[Value], most: usize) -> Vec<String> {
    let mut faults = Vec::new();
    if blocks.len() > most {
        faults.push(format!("{} blocks, {most} are allowed", blocks.len()));
    }
    let (mut actions, mut ids) = (Vec::new(), Vec::new());
    for (i, block) in blocks.iter().enumerate() {
        let kind = block["type"].as_str().unwrap_or_default();
        let mut found = match kind {
            "header" => text_faults(&block["text"], &["plain_text"], 150, "header"),
            "divider" => Vec::new(),
            "section" => section(block),
            "context" => context(block),
            "actions" => {
                let elements = list(&block["elements"]);
                // Ids are to differ within one block.
                actions.clear();
                elements_faults(elements, 25, &mut actions)
            }
            "input" => input(block, &mut ids),
            other => vec![format!("{other:?} is no type of a block")],
        };
        faults.extend(found.drain(..).map(|f| format!("block {i} ({kind}): {f}")));
    }
    faults
}

fn section(block: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let (text, fields) = (&block["text"], list(&block["fields"]));
    if text.is_null() && fields.is_empty() {
        faults.push("it has neither text nor fields".into());
    }
    if !text.is_null() {
        faults.extend(text_faults(text, &["mrkdwn", "plain_text"], 3_000, "text"));
    }
    if fields.len() > 10 {
        faults.push(format!("{} fields", fields.len()));
    }
    for field in fields {
        faults.extend(text_faults(field, &["mrkdwn", "plain_text"], 2_000, "field"));
    }
    faults
}

fn context(block: &Value) -> Vec<String> {
    let elements = list(&block["elements"]);
    let mut faults = Vec::new();
    if elements.is_empty() || elements.len() > 10 {
        faults.push(format!("{} elements", elements.len()));
    }
    for element in elements {
        faults.extend(text_faults(element, &["mrkdwn", "plain_text"], 2_000, "element"));
    }
    faults
}

fn elements_faults(elements: &[Value], most: usize, ids: &mut Vec<String>) -> Vec<String> {
    let mut faults = Vec::new();
    if elements.is_empty() || elements.len() > most {
        faults.push(format!("{} elements", elements.len()));
    }
    for element in elements {
        let id = element["action_id"].as_str().unwrap_or_default().to_owned();
        if units(&id) > 255 || ids.contains(&id) {
            faults.push(format!("action_id {id:?} is too long or there twice"));
        }
        ids.push(id);
        match element["type"].as_str() {
            Some("button") => {}
            Some("overflow") => {
                faults.extend(options_faults(element, 5));
                continue;
            }
            Some("static_select") => {
                faults.extend(options_faults(element, 100));
                faults.extend(text_faults(&element["placeholder"], &["plain_text"], 150, "menu"));
                continue;
            }
            _ => {
                faults.push(format!("{} is not expected here", element["type"]));
                continue;
            }
        }
        faults.extend(text_faults(&element["text"], &["plain_text"], 75, "button"));
        for (name, most) in [("value", 2_000), ("url", 3_000)] {
            if units(element[name].as_str().unwrap_or_default()) > most {
                faults.push(format!("a button's {name} is too long"));
            }
        }
        let style = &element["style"];
        if !(style.is_null() || style == "primary" || style == "danger") {
            faults.push(format!("{style} is no style"));
        }
        let confirm = &element["confirm"];
        if !confirm.is_null() {
            for (name, most) in [("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)] {
                faults.extend(text_faults(&confirm[name], &["plain_text", "mrkdwn"], most, name));
            }
        }
    }
    faults
}

/// What is wrong with the options of a menu.
fn options_faults(element: &Value, most: usize) -> Vec<String> {
    let options = list(&element["options"]);
    let mut faults = Vec::new();
    if options.is_empty() || options.len() > most {
        faults.push(format!("{} options, 1 to {most} are allowed", options.len()));
    }
    for option in options {
        faults.extend(text_faults(&option["text"], &["plain_text"], 75, "option"));
        let n = units(option["value"].as_str().unwrap_or_default());
        if n == 0 || n > 150 {
            faults.push(format!("an option's value has {n} characters"));
        }
    }
    faults
}

fn input(block: &Value, ids: &mut Vec<String>) -> Vec<String> {
    let mut faults = text_faults(&block["label"], &["plain_text"], 2_000, "label");
    if !block["hint"].is_null() {
        faults.extend(text_faults(&block["hint"], &["plain_text"], 2_000, "hint"));
    }
    let id = block["block_id"].as_str().unwrap_or_default().to_owned();
    if units(&id) > 255 || (!id.is_empty() && ids.contains(&id)) {
        faults.push(format!("block_id {id:?} is too long or there twice"));
    }
    ids.push(id);
    let element = &block["element"];
    match element["type"].as_str().unwrap_or_default() {
        "plain_text_input" => {
            let most = element["max_length"].as_u64().unwrap_or(3_000);
            let initial = element["initial_value"].as_str().unwrap_or_default();
            if most == 0 || most > 3_000 || units(initial) as u64 > most {
                faults.push("an input's length".into());
            }
        }
        "static_select" => {
            faults.extend(options_faults(element, 100));
            let initial = &element["initial_option"];
            if !initial.is_null() && !list(&element["options"]).contains(initial) {
                faults.push("initial_option is none of the options".into());
            }
        }
        "datetimepicker" => {
            let at = &element["initial_date_time"];
            let ten_digits = |n: i64| (1_000_000_000..10_000_000_000).contains(&n);
            if !at.is_null() && !at.as_i64().is_some_and(ten_digits) {
                faults.push("initial_date_time is not ten digits".into());
            }
        }
        other => faults.push(format!("{other:?} is no input")),
    }
    faults
}

fn text_faults(text: &Value, kinds: &[&str], most: usize, what: &str) -> Vec<String> {
    let kind = text["type"].as_str().unwrap_or_default();
    let Some(words) = text["text"].as_str().filter(|_| kinds.contains(&kind)) else {
        return vec![format!("{what} is not {}", kinds.join(" or "))];
    };
    let mut faults = Vec::new();
    let n = units(words);
    if n == 0 || n > most {
        faults.push(format!("{what} has {n} characters, 1 to {most} are allowed"));
    }
    if kind == "mrkdwn" {
        faults.extend(pings(words).map(|p| format!("{what} names {p}")));
        // Without it Slack looks for names and addresses in the words by itself.
        if text["verbatim"] != true && words.contains(['@', '#']) {
            faults.push(format!("{what} is searched for names"));
        }
    }
    faults
}

/// Whoever a text in Slack's mark-up names: users, groups, everybody.
pub(crate) fn pings(text: &str) -> impl Iterator<Item = String> + '_ {
    text.match_indices('<').filter_map(|(at, _)| {
        let inner = text[at + 1..].split('>').next().unwrap_or_default();
        inner
            .starts_with(['@', '!'])
            .then(|| format!("<{}>", inner.chars().take(40).collect::<String>()))
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

fn words(value: &Value) -> usize {
    match value {
        Value::String(s) => units(s),
        Value::Array(all) => all.iter().map(words).sum(),
        Value::Object(map) => map.values().map(words).sum(),
        _ => 0,
    }
}
