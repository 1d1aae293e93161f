//! The example is complete, is taken as it stands and with everything in it switched on.

use serde_json::Value;

use super::*;

/// The example with every commented setting switched on; the two ways to say what a query is
/// about, and the second maintenance window, stand in entries of their own already.
fn switched_on() -> String {
    let setting = |line: &&str| {
        let rest = line.strip_prefix('#').unwrap_or_default();
        rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[' || c == '"')
    };
    EXAMPLE
        .lines()
        .map(|line| if setting(&line) { &line[1..] } else { line })
        .collect::<Vec<_>>()
        .join("\n")
}

fn secrets() -> Vec<(String, String)> {
    let names = regex::Regex::new(r#"env = "(\w+)""#).expect("a pattern");
    let found = names.captures_iter(EXAMPLE).map(|c| c[1].to_owned());
    found.map(|name| (name, "fake-and-long-enough".to_owned())).collect()
}

#[test]
fn the_example_is_taken_as_it_stands() {
    let config = load(EXAMPLE, &[]).unwrap_or_else(|w| panic!("{}", w.render("example", EXAMPLE)));
    assert_eq!(config.prometheus.len(), 1);
    assert_eq!(config.web.bind, Config::default().web.bind);
}

#[test]
fn the_example_is_taken_with_everything_switched_on() {
    let text = switched_on();
    let config =
        load(&text, &secrets()).unwrap_or_else(|w| panic!("{}", w.render("example", &text)));
    assert_eq!(config.maintenance.len(), 2);
    assert_eq!(config.web.tokens[0].secret, "fake-and-long-enough".into());
    assert_eq!(config.notify.routes[0].channel, "payments-on-call");
}

/// Every key of the schema stands in the example, and what it says is the default is the default.
#[test]
fn the_example_is_complete_and_tells_the_defaults() {
    let schema = schema();
    let shown: Value = toml::from_str(&switched_on()).expect("it is TOML");
    let mut missing = Vec::new();
    let mut other = Vec::new();
    compare(&schema, &schema, &shown, "", (&mut missing, &mut other));
    assert_eq!(missing, Vec::<String>::new(), "settings that the example does not show");
    // Those are examples, because their default is empty or none.
    other.retain(|(_, default)| {
        !(default.is_null()
            || default.as_str() == Some("")
            || default.as_array().is_some_and(Vec::is_empty)
            || default.as_object().is_some_and(serde_json::Map::is_empty))
    });
    let other: Vec<&str> = other.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        other,
        [
            "chat.discord[].routes[].severity",
            "chat.slack[].routes[].severity",
            "maintenance[].time_zone",
            "notify.routes[].severity",
            "prometheus[].name",
            "prometheus[].queries[].direction",
            "prometheus[].queries[].indicator",
        ],
        "settings whose shown value is neither their default nor an example"
    );
}

type Found<'a> = (&'a mut Vec<String>, &'a mut Vec<(String, Value)>);

fn compare(schema: &Value, root: &Value, shown: &Value, path: &str, found: Found<'_>) {
    let (missing, other) = found;
    let schema = check::resolve(schema, root);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if property.get("x-file-of").is_some() {
            continue;
        }
        let path = format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
        let inner = check::resolve(property, root);
        // The first entry of a list that has the key stands for all.
        let shown = match shown {
            Value::Array(items) => items.iter().find_map(|i| i.get(name)),
            one => one.get(name),
        };
        let Some(shown) = shown else {
            missing.push(path);
            continue;
        };
        let items = inner.get("items").map(|i| check::resolve(i, root));
        if inner.get("properties").is_some() {
            compare(inner, root, shown, &path, (&mut *missing, &mut *other));
        } else if let Some(items) = items.filter(|i| i.get("properties").is_some()) {
            compare(items, root, shown, &format!("{path}[]"), (&mut *missing, &mut *other));
        } else if let Some(default) = property.get("default").filter(|d| *d != shown) {
            other.push((path, default.clone()));
        }
    }
}
