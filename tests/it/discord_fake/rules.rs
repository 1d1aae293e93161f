//! What Discord's API refuses in a message, a modal or a set of commands, as values: the path of
//! each fault with its code and sentence, in the shape of error 50035. The fake answers with it,
//! and the renderer's own tests hold every message against it.

use serde_json::{Map, Value};

/// One fault of a body: where, its code, its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) path: String,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// Collects faults.
#[derive(Default)]
struct Faults(Vec<Wrong>);

impl Faults {
    fn add(&mut self, path: &str, code: &'static str, message: impl Into<String>) {
        self.0.push(Wrong { path: path.into(), code, message: message.into() });
    }

    /// A text of `least` to `most` characters; absent counts as empty. Counted in UTF-16 units,
    /// the stricter of the two ways that are told of.
    fn text(&mut self, path: &str, value: &Value, least: usize, most: usize) {
        let Some(text) = value.as_str() else {
            if !value.is_null() {
                self.add(path, "STRING_TYPE_CONVERT", "Could not interpret value as string.");
            } else if least > 0 {
                self.add(path, "BASE_TYPE_REQUIRED", "This field is required");
            }
            return;
        };
        let n = units(text);
        if n > most {
            self.add(path, "BASE_TYPE_MAX_LENGTH", format!("Must be {most} or fewer in length."));
        }
        if least > 0 && text.trim().is_empty() {
            self.add(path, "BASE_TYPE_REQUIRED", "This field is required");
        }
    }

    fn list<'a>(&mut self, path: &str, value: &'a Value, most: usize) -> &'a [Value] {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        if items.len() > most {
            self.add(path, "BASE_TYPE_MAX_LENGTH", format!("Must be {most} or fewer in length."));
        }
        items
    }
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The faults of a message as it is sent (`files`: names of what is uploaded with it).
pub(crate) fn message(body: &Value, files: &[String]) -> Vec<Wrong> {
    let mut faults = Faults::default();
    faults.text("content", &body["content"], 0, 2_000);
    let mut total = 0;
    for (i, embed) in faults.list("embeds", &body["embeds"], 10).iter().enumerate() {
        total += self::embed(&mut faults, &format!("embeds.{i}"), embed, files);
    }
    if total > 6_000 {
        let words = "Embed size exceeds maximum size of 6000";
        faults.add("embeds", "MAX_EMBED_SIZE_EXCEEDED", words);
    }
    components(&mut faults, &body["components"]);
    if body["nonce"].as_str().is_some_and(|nonce| nonce.len() > 25) {
        faults.add("nonce", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.");
    }
    faults.0
}

/// Whether there is anything to be seen in it; else it is error 50006.
pub(crate) fn shows(body: &Value, n_files: usize) -> bool {
    let some = |name: &str| body[name].as_array().is_some_and(|a| !a.is_empty());
    let words = body["content"].as_str().is_some_and(|t| !t.trim().is_empty());
    words || some("embeds") || n_files > 0
}

fn embed(faults: &mut Faults, path: &str, embed: &Value, files: &[String]) -> usize {
    let at = |name: &str| format!("{path}.{name}");
    faults.text(&at("title"), &embed["title"], 0, 256);
    faults.text(&at("description"), &embed["description"], 0, 4_096);
    faults.text(&at("footer.text"), &embed["footer"]["text"], 0, 2_048);
    faults.text(&at("author.name"), &embed["author"]["name"], 0, 256);
    let size = |value: &Value| value.as_str().map_or(0, units);
    let mut total = size(&embed["title"])
        + size(&embed["description"])
        + size(&embed["footer"]["text"])
        + size(&embed["author"]["name"]);
    for (i, field) in faults.list(&at("fields"), &embed["fields"], 25).iter().enumerate() {
        faults.text(&at(&format!("fields.{i}.name")), &field["name"], 1, 256);
        faults.text(&at(&format!("fields.{i}.value")), &field["value"], 1, 1_024);
        total += size(&field["name"]) + size(&field["value"]);
    }
    if embed.as_object().is_none_or(Map::is_empty) {
        faults.add(path, "EMBED_EMPTY", "An embed must have content");
    }
    for name in ["url", "image.url", "thumbnail.url"] {
        let value = name.split('.').fold(embed, |v, part| &v[part]);
        let Some(url) = value.as_str() else { continue };
        let attached = url.strip_prefix("attachment://");
        let good = match attached {
            Some(file) => name != "url" && files.iter().any(|f| f == file),
            None => url.starts_with("http://") || url.starts_with("https://"),
        };
        if !good || units(url) > 2_048 {
            faults.add(&at(name), "URL_TYPE_INVALID_URL", "Not a well formed URL.");
        }
    }
    total
}

/// Rows of buttons or one select, with custom ids that differ.
fn components(faults: &mut Faults, value: &Value) {
    let mut seen: Vec<String> = Vec::new();
    for (i, row) in faults.list("components", value, 5).iter().enumerate() {
        let path = format!("components.{i}");
        if row["type"] != 1 {
            faults.add(&path, "UNION_TYPE_CHOICES", "Value of field \"type\" must be one of (1,).");
        }
        let items = faults.list(&format!("{path}.components"), &row["components"], 5);
        if items.is_empty() {
            faults.add(&path, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.");
        }
        for (j, item) in items.iter().enumerate() {
            let at = |name: &str| format!("{path}.components.{j}.{name}");
            match item["type"].as_u64() {
                Some(2) => faults.text(&at("label"), &item["label"], 1, 80),
                Some(3..=8) => {
                    let options = item["options"].as_array().map_or(0, Vec::len);
                    if options == 0 || options > 25 || items.len() > 1 {
                        let words = "Must be between 1 and 25 in length.";
                        faults.add(&at("options"), "BASE_TYPE_BAD_LENGTH", words);
                    }
                    faults.text(&at("placeholder"), &item["placeholder"], 0, 150);
                    select(faults, &at("options"), &item["options"]);
                }
                _ => {
                    let words = "Value of field \"type\" must be one of (2, 3, 5, 6, 7, 8).";
                    faults.add(&at("type"), "UNION_TYPE_CHOICES", words);
                }
            }
            if item["style"] == 5 {
                let url = item["url"].as_str().unwrap_or_default();
                if !(url.starts_with("https://") || url.starts_with("http://")) {
                    faults.add(&at("url"), "URL_TYPE_INVALID_URL", "Not a well formed URL.");
                }
                faults.text(&at("url"), &item["url"], 1, 512);
                continue;
            }
            faults.text(&at("custom_id"), &item["custom_id"], 1, 100);
            let id = item["custom_id"].as_str().unwrap_or_default().to_owned();
            if seen.contains(&id) {
                let words = "Component custom id cannot be duplicated";
                faults.add(&at("custom_id"), "COMPONENT_CUSTOM_ID_DUPLICATED", words);
            }
            seen.push(id);
        }
    }
}

/// Options of a select: labels, and values that differ.
fn select(faults: &mut Faults, path: &str, value: &Value) {
    let mut seen: Vec<&Value> = Vec::new();
    for (i, option) in value.as_array().into_iter().flatten().enumerate() {
        let at = |name: &str| format!("{path}.{i}.{name}");
        faults.text(&at("label"), &option["label"], 1, 100);
        faults.text(&at("value"), &option["value"], 1, 100);
        if seen.contains(&&option["value"]) {
            let words = "The specified option value is already used";
            faults.add(&at("value"), "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", words);
        }
        seen.push(&option["value"]);
    }
}

/// The faults of a modal.
pub(crate) fn modal(body: &Value) -> Vec<Wrong> {
    let mut faults = Faults::default();
    faults.text("title", &body["title"], 1, 45);
    faults.text("custom_id", &body["custom_id"], 1, 100);
    let rows = faults.list("components", &body["components"], 5);
    if rows.is_empty() {
        let words = "Must be between 1 and 5 in length.";
        faults.add("components", "BASE_TYPE_BAD_LENGTH", words);
    }
    let mut seen: Vec<&str> = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        if row["type"] == 18 {
            in_label(&mut faults, &format!("components.{i}"), row);
            if let Some(id) = row["component"]["custom_id"].as_str() {
                if seen.contains(&id) {
                    let words = "Component custom id cannot be duplicated";
                    faults.add(&format!("components.{i}"), "COMPONENT_CUSTOM_ID_DUPLICATED", words);
                }
                seen.push(id);
            }
            continue;
        }
        let path = format!("components.{i}.components");
        let inputs = faults.list(&path, &row["components"], 1);
        let Some(input) = inputs.first().filter(|c| row["type"] == 1 && c["type"] == 4) else {
            faults.add(&path, "UNION_TYPE_CHOICES", "Value of field \"type\" must be one of (4,).");
            continue;
        };
        let at = |name: &str| format!("{path}.0.{name}");
        faults.text(&at("label"), &input["label"], 1, 45);
        faults.text(&at("custom_id"), &input["custom_id"], 1, 100);
        faults.text(&at("placeholder"), &input["placeholder"], 0, 100);
        let most = input["max_length"].as_u64().unwrap_or(4_000) as usize;
        if most == 0 || most > 4_000 {
            faults.add(&at("max_length"), "NUMBER_TYPE_MAX", "int value should be 1 to 4000.");
        }
        faults.text(&at("value"), &input["value"], 0, most.min(4_000));
        if !matches!(input["style"].as_u64(), Some(1 | 2)) {
            faults.add(&at("style"), "BASE_TYPE_CHOICES", "Value must be one of {1, 2}.");
        }
        let id = input["custom_id"].as_str().unwrap_or_default();
        if seen.contains(&id) {
            let words = "Component custom id cannot be duplicated";
            faults.add(&at("custom_id"), "COMPONENT_CUSTOM_ID_DUPLICATED", words);
        }
        seen.push(id);
    }
    faults.0
}
/// A menu of a modal, with its label
/// (<https://docs.discord.com/developers/components/reference#label>).
fn in_label(faults: &mut Faults, path: &str, row: &Value) {
    faults.text(&format!("{path}.label"), &row["label"], 1, 45);
    faults.text(&format!("{path}.description"), &row["description"], 0, 100);
    let (menu, at) = (&row["component"], format!("{path}.component"));
    if menu["type"] != 3 {
        faults.add(&at, "UNION_TYPE_CHOICES", "Only menus stand in a label here.");
    }
    faults.text(&format!("{at}.custom_id"), &menu["custom_id"], 1, 100);
    let options = faults.list(&format!("{at}.options"), &menu["options"], 25);
    if options.is_empty() {
        faults.add(&at, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 25 in length.");
    }
    let mut values: Vec<&str> = Vec::new();
    for (i, option) in options.iter().enumerate() {
        faults.text(&format!("{at}.options.{i}.label"), &option["label"], 1, 100);
        faults.text(&format!("{at}.options.{i}.value"), &option["value"], 1, 100);
        let value = option["value"].as_str().unwrap_or_default();
        if values.contains(&value) {
            let words = "The specified option value is already used";
            faults.add(&at, "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", words);
        }
        values.push(value);
    }
    let n_set = options.iter().filter(|o| o["default"] == true).count();
    if n_set > 1 || (menu["required"] != false && menu["min_values"] == 0) {
        faults.add(&at, "SELECT_COMPONENT_MIN_VALUES", "The number of values does not fit.");
    }
}

/// The faults of a set of commands: names, descriptions, options and their order.
pub(crate) fn commands(body: &Value) -> Vec<Wrong> {
    let mut faults = Faults::default();
    for (i, command) in faults.list("", body, 100).iter().enumerate() {
        if matches!(command["type"].as_u64(), Some(2 | 3)) {
            in_menu(&mut faults, &i.to_string(), command);
            continue;
        }
        let n = option(&mut faults, &i.to_string(), command);
        if n > 8_000 {
            let words = "Command exceeds maximum size (8000)";
            faults.add(&i.to_string(), "APPLICATION_COMMAND_TOO_LARGE", words);
        }
    }
    faults.0
}

/// A command of a message's or person's menu: a name of any letters, no description, no options.
fn in_menu(faults: &mut Faults, path: &str, value: &Value) {
    faults.text(&format!("{path}.name"), &value["name"], 1, 32);
    if value["description"].as_str().is_some_and(|d| !d.is_empty()) {
        let words = "Context menu commands cannot have description";
        faults.add(path, "APPLICATION_COMMAND_DESCRIPTION_NOT_ALLOWED", words);
    }
    if value["options"].as_array().is_some_and(|o| !o.is_empty()) {
        let words = "Context menu commands cannot have options";
        faults.add(path, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", words);
    }
}

fn option(faults: &mut Faults, path: &str, value: &Value) -> usize {
    let name = value["name"].as_str().unwrap_or_default();
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    if name.is_empty() || name.len() > 32 || !name.chars().all(good) {
        let words = "Command name is invalid";
        faults.add(&format!("{path}.name"), "APPLICATION_COMMAND_INVALID_NAME", words);
    }
    faults.text(&format!("{path}.description"), &value["description"], 1, 100);
    let mut n = name.len() + value["description"].as_str().map_or(0, units);
    for (i, choice) in
        faults.list(&format!("{path}.choices"), &value["choices"], 25).iter().enumerate()
    {
        for name in ["name", "value"] {
            faults.text(&format!("{path}.choices.{i}.{name}"), &choice[name], 1, 100);
            n += choice[name].as_str().map_or(0, units);
        }
        if value["autocomplete"] == true {
            let words = "Autocomplete and choices exclude each other";
            faults.add(path, "APPLICATION_COMMAND_OPTIONS_CHOICES_AUTOCOMPLETE", words);
        }
    }
    let mut optional = false;
    let most = 25;
    for (i, inner) in
        faults.list(&format!("{path}.options"), &value["options"], most).iter().enumerate()
    {
        let at = format!("{path}.options.{i}");
        let required = inner["required"] == true;
        if optional && required {
            let words = "Required options must be placed before non-required options";
            faults.add(&at, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", words);
        }
        optional |= !required;
        n += option(faults, &at, inner);
    }
    n
}
