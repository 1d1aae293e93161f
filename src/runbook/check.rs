//! What front matter of the right shape says: whether names are names, templates can be filled in,
//! values are bounded, and nothing from outside can choose what is called.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::parse::Mistake;
use super::render::{check_value, names_in};
use super::schema::{Action, Condition, ExecutorKind, FrontMatter, Parameter, ParameterKind};
use super::tree::Node;
use crate::model::diagnosis::PATTERNS;

/// All that is wrong with what the front matter says.
pub(super) fn mistakes(file: &str, tree: &Node, front: &FrontMatter) -> Vec<Mistake> {
    let mut check = Check { file, found: Vec::new() };
    check.front(tree, front);
    check.found
}

/// What templates may name at their root.
const ROOTS: [&str; 7] =
    ["incident", "hypothesis", "change", "service", "target", "params", "settings"];

/// One `{{ … }}` of a template.
static PLACES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{(.*?)\}\}").expect("a valid expression"));

fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

fn regex_mistake(pattern: &str) -> Option<String> {
    let error = Regex::new(pattern).err()?.to_string();
    let last = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Some(format!("`{pattern}` is not a regular expression: {last}"))
}

struct Check<'a> {
    file: &'a str,
    found: Vec<Mistake>,
}

impl Check<'_> {
    fn add(&mut self, line: usize, text: impl Into<String>) {
        self.found.push(Mistake { file: self.file.to_owned(), line, text: text.into() });
    }

    fn front(&mut self, tree: &Node, front: &FrontMatter) {
        if !is_slug(&front.id) {
            let text = "`id` must be small letters, digits and dashes (at most 64)";
            self.add(tree.line_at(&["id"]), text);
        }
        for (key, value) in [
            ("title", &front.title),
            ("verification", &front.verification),
            ("rollback", &front.rollback),
            ("owner", &front.owner),
        ] {
            if value.trim().is_empty() {
                self.add(tree.line_at(&[key]), format!("`{key}` is empty; say it in words"));
            }
        }
        if !is_date(&front.reviewed) {
            self.add(tree.line_at(&["reviewed"]), "`reviewed` must be a date, YYYY-MM-DD");
        }
        if front.matchers.is_empty() {
            let text = "`matchers` is empty; say when this runbook applies";
            self.add(tree.line_at(&["matchers"]), text);
        }
        for (key, list) in
            [("matchers", &front.matchers), ("only_if", &front.only_if), ("not_if", &front.not_if)]
        {
            for (n, condition) in list.iter().enumerate() {
                let wrong = match condition {
                    Condition::Log(pattern) => regex_mistake(pattern),
                    Condition::Hypothesis(p) if !PATTERNS.contains(&p.as_str()) => {
                        let known = PATTERNS.join(", ");
                        Some(format!("`{p}` is no pattern of a cause; there are: {known}"))
                    }
                    _ => None,
                };
                if let Some(text) = wrong {
                    self.add(item(tree, key, n).line, text);
                }
            }
        }
        let mut ids = BTreeSet::new();
        for (n, action) in front.actions.iter().enumerate() {
            let node = item(tree, "actions", n);
            if !ids.insert(action.id.as_str()) {
                let text = format!("two actions are called `{}`; give each its own id", action.id);
                self.add(node.line_at(&["id"]), text);
            }
            self.action(node, front, action);
        }
    }

    fn action(&mut self, node: &Node, front: &FrontMatter, action: &Action) {
        if !is_slug(&action.id) {
            let text = "an action's `id` must be small letters, digits and dashes";
            self.add(node.line_at(&["id"]), text);
        }
        let executor = node.line_at(&["executor"]);
        match (action.executor, action.http.is_some(), action.command.is_some()) {
            (ExecutorKind::Http, true, false)
            | (ExecutorKind::Command, false, true)
            | (ExecutorKind::DryRun, false, false) => {}
            (ExecutorKind::Http, ..) => {
                self.add(executor, "executor `http` needs `http:` and no `command:`");
            }
            (ExecutorKind::Command, ..) => {
                self.add(executor, "executor `command` needs `command:` and no `http:`");
            }
            (ExecutorKind::DryRun, ..) => {
                self.add(executor, "executor `dry-run` takes neither `http:` nor `command:`");
            }
        }
        self.template(node.line_at(&["title"]), &action.title, action);
        if let Some(target) = &action.target {
            self.template(node.line_at(&["target"]), target, action);
        }
        if let Some(http) = &action.http {
            self.address(node.line_at(&["http", "url"]), &http.url, action);
            for (name, value) in &http.headers {
                self.template(node.line_at(&["http", "headers", name]), value, action);
            }
            if let Some(body) = &http.body {
                self.template(node.line_at(&["http", "body"]), body, action);
            }
        }
        if let Some(command) = &action.command {
            let line = node.line_at(&["command", "program"]);
            if !command.program.starts_with('/') {
                self.add(line, "`program` must be a whole path, such as /usr/bin/kubectl");
            }
            if command.program.contains("{{") {
                self.add(line, "`program` is no template; only arguments are filled in");
            }
            for arg in &command.args {
                self.template(node.line_at(&["command", "args"]), arg, action);
            }
        }
        if let Some(observe) = &action.observe {
            if observe.keys.is_empty() {
                let text = "`keys` is empty; name the keys that a plan is bound to";
                self.add(node.line_at(&["observe", "keys"]), text);
            }
            self.address(node.line_at(&["observe", "url"]), &observe.url, action);
            for (name, value) in &observe.headers {
                self.template(node.line_at(&["observe", "headers", name]), value, action);
            }
        }
        let mut names = BTreeSet::new();
        for (n, parameter) in action.parameters.iter().enumerate() {
            let node = item(node, "parameters", n);
            if !names.insert(parameter.name.as_str()) {
                let text = format!("two parameters are called `{}`", parameter.name);
                self.add(node.line_at(&["name"]), text);
            }
            self.parameter(node, action, parameter);
        }
        self.rollback(node, front, action);
        if action.requires.as_ref().and_then(|r| r.approvals).is_some_and(|n| !(1..=9).contains(&n))
        {
            let line = node.line_at(&["requires", "approvals"]);
            self.add(line, "`approvals` must be from 1 to 9");
        }
    }

    fn rollback(&mut self, node: &Node, front: &FrontMatter, action: &Action) {
        let Some(rollback) = &action.rollback else { return };
        let line = node.line_at(&["rollback", "action"]);
        let Some(other) = front.actions.iter().find(|a| a.id == rollback.action) else {
            self.add(
                line,
                format!("the rollback names `{}`, which this file lacks", rollback.action),
            );
            return;
        };
        for (name, value) in &rollback.parameters {
            let line = node.line_at(&["rollback", "parameters", name]);
            if !other.parameters.iter().any(|p| p.name == *name) {
                self.add(
                    line,
                    format!("the rollback sets `{name}`, which `{}` does not take", other.id),
                );
            }
            self.template(line, value, action);
        }
        for p in &other.parameters {
            if p.default.is_none() && !rollback.parameters.contains_key(&p.name) {
                let text = format!(
                    "the rollback leaves `{}` of `{}` open, which has no default; set it",
                    p.name, other.id
                );
                self.add(line, text);
            }
        }
    }

    /// A template can be read, and names only what can be known.
    fn template(&mut self, line: usize, template: &str, action: &Action) {
        let names = match names_in(template) {
            Ok(names) => names,
            Err(e) => {
                self.add(line, format!("the template `{template}` can't be read: {e}"));
                return;
            }
        };
        for name in names {
            let mut parts = name.split('.');
            let (root, next) = (parts.next().unwrap_or_default(), parts.next());
            if !ROOTS.contains(&root) {
                let text = format!("the template names `{name}`; it may name {}", ROOTS.join(", "));
                self.add(line, text);
            } else if let ("params", Some(param)) = (root, next)
                && !action.parameters.iter().any(|p| p.name == param)
            {
                let text = format!(
                    "the template names the parameter `{param}`, which `{}` lacks",
                    action.id
                );
                self.add(line, text);
            }
        }
    }

    /// An address begins with what the runbook or the configuration says, and everything else in
    /// it stays one segment: no text from outside chooses the host or climbs out of the path.
    fn address(&mut self, line: usize, url: &str, action: &Action) {
        self.template(line, url, action);
        let ours = PLACES
            .captures(url)
            .is_some_and(|c| url.starts_with("{{") && c[1].trim().starts_with("settings."));
        if !ours && !url.starts_with("http://") && !url.starts_with("https://") {
            self.add(line, "the address must begin with http://, https:// or a setting");
        }
        for place in PLACES.captures_iter(url) {
            let inner = place[1].trim();
            let segment = inner.rsplit('|').next().is_some_and(|last| last.trim() == "segment");
            if !(inner.starts_with("settings.") || segment && inner.contains('|')) {
                self.add(line, format!("write {{{{ {inner} | segment }}}} in an address"));
            }
        }
    }

    fn parameter(&mut self, node: &Node, action: &Action, p: &Parameter) {
        let line = node.line_at(&["name"]);
        if !is_name(&p.name) {
            let text =
                format!("parameter `{}`: small letters, digits and _, first a letter", p.name);
            self.add(line, text);
        }
        if let Some(pattern) = &p.pattern
            && let Some(text) = regex_mistake(pattern)
        {
            self.add(node.line_at(&["pattern"]), text);
        }
        let (has_choices, has_bounds) = (!p.choices.is_empty(), p.min.is_some() || p.max.is_some());
        let wrong = match p.kind {
            ParameterKind::String if has_choices || has_bounds => {
                Some("a string takes `pattern`, not `choices`, `min` or `max`")
            }
            ParameterKind::Integer if has_choices || p.pattern.is_some() => {
                Some("an integer takes `min` and `max`, not `choices` or `pattern`")
            }
            ParameterKind::Integer if p.min.is_none() || p.max.is_none() => {
                Some("an integer needs `min` and `max`: how far may it go?")
            }
            ParameterKind::Integer if p.min > p.max => Some("`min` is greater than `max`"),
            ParameterKind::Choice if !has_choices => Some("a choice needs `choices`"),
            ParameterKind::Choice if has_bounds || p.pattern.is_some() => {
                Some("a choice takes `choices`, not `pattern`, `min` or `max`")
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            self.add(line, format!("parameter `{}`: {wrong}", p.name));
            return;
        }
        let Some(default) = &p.default else { return };
        let line = node.line_at(&["default"]);
        self.template(line, default, action);
        if !default.contains("{{")
            && !default.contains("{%")
            && let Err(refused) = check_value(p, default)
        {
            self.add(line, format!("the default: {refused}"));
        }
    }
}

/// The n-th item of a list under a key; the map itself where there is none.
fn item<'n>(node: &'n Node, key: &str, n: usize) -> &'n Node {
    node.get(key).and_then(|list| list.items().get(n)).unwrap_or(node)
}
