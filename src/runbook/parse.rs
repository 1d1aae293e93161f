//! From a Markdown file with YAML front matter to a checked runbook, or to all that is wrong with it.

use std::collections::BTreeSet;
use std::fmt;

use regex::Regex;

use super::Runbook;
use super::render::check_template;
use super::schema::{Action, Condition, ExecutorKind, FrontMatter, Parameter, ParameterKind};

/// One mistake in one file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// All mistakes of all files, one a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.0.iter().enumerate() {
            write!(f, "{}{mistake}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// Reads one file's text.
///
/// # Errors
/// All mistakes that can be found in it.
pub fn parse(file: &str, text: &str) -> Result<Runbook, Vec<Mistake>> {
    let one = |line: usize, text: String| vec![Mistake { file: file.to_owned(), line, text }];
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let Some(rest) = text.strip_prefix("---\n") else {
        return Err(one(1, "no front matter; the first line must be `---`".into()));
    };
    let Some(end) = rest.find("\n---\n") else {
        return Err(one(1, "the front matter has no end; close it with a line `---`".into()));
    };
    let (yaml, body) = (&rest[..=end], rest[end + 5..].trim());
    let front: FrontMatter = serde_saphyr::from_str(yaml).map_err(|e| {
        // The front matter starts on the file's second line.
        let line = e.location().map_or(1, |l| l.line() as usize + 1);
        let plain = e.without_snippet().to_string();
        let first = plain.lines().next().unwrap_or("the front matter can't be read");
        one(line, format!("{}; see the keys in the documentation of `runbook`", first.trim()))
    })?;
    let mut check = Check { file, text: &text, found: Vec::new() };
    check.front(&front);
    if body.is_empty() {
        check.add("---", "there is no text below the front matter; write the steps for people");
    }
    if check.found.is_empty() {
        Ok(Runbook { front, body: body.to_owned(), file: file.to_owned() })
    } else {
        Err(check.found)
    }
}

struct Check<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<Mistake>,
}

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

impl Check<'_> {
    /// Notes a mistake at the first line that has `near`.
    fn add(&mut self, near: &str, text: impl Into<String>) {
        let line = self.text.lines().position(|l| l.contains(near)).map_or(1, |i| i + 1);
        self.found.push(Mistake { file: self.file.to_owned(), line, text: text.into() });
    }

    fn front(&mut self, front: &FrontMatter) {
        if !is_slug(&front.id) {
            self.add("id:", "`id` must be small letters, digits and dashes (at most 64)");
        }
        for (key, value) in [
            ("title", &front.title),
            ("verification", &front.verification),
            ("rollback", &front.rollback),
            ("owner", &front.owner),
        ] {
            if value.trim().is_empty() {
                self.add(&format!("{key}:"), format!("`{key}` is empty; say it in words"));
            }
        }
        if !is_date(&front.reviewed) {
            self.add("reviewed:", "`reviewed` must be a date, YYYY-MM-DD");
        }
        if front.matchers.is_empty() {
            self.add("matchers:", "`matchers` is empty; say when this runbook applies");
        }
        for condition in front.conditions().chain(&front.not_if) {
            if let Condition::Log(pattern) = condition
                && let Err(e) = Regex::new(pattern)
            {
                self.add(pattern, format!("`{pattern}` is not a regular expression: {e}"));
            }
        }
        let mut ids = BTreeSet::new();
        for action in &front.actions {
            if !ids.insert(action.id.as_str()) {
                self.add(
                    &format!("id: {}", action.id),
                    format!("two actions are called `{}`; give each its own id", action.id),
                );
            }
            self.action(front, action);
        }
    }

    fn action(&mut self, front: &FrontMatter, action: &Action) {
        let near = format!("id: {}", action.id);
        if !is_slug(&action.id) {
            self.add(&near, "an action's `id` must be small letters, digits and dashes");
        }
        let parts = (action.executor, action.http.is_some(), action.command.is_some());
        match parts {
            (ExecutorKind::Http, true, false)
            | (ExecutorKind::Command, false, true)
            | (ExecutorKind::DryRun, false, false) => {}
            (ExecutorKind::Http, ..) => {
                self.add(&near, "executor `http` needs `http:` and no `command:`");
            }
            (ExecutorKind::Command, ..) => {
                self.add(&near, "executor `command` needs `command:` and no `http:`");
            }
            (ExecutorKind::DryRun, ..) => {
                self.add(&near, "executor `dry-run` takes neither `http:` nor `command:`");
            }
        }
        let mut templates = vec![&action.title];
        templates.extend(&action.target);
        if let Some(http) = &action.http {
            if !matches!(http.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE") {
                self.add(&near, "`http.method` must be POST, PUT, PATCH or DELETE");
            }
            templates.push(&http.url);
            templates.extend(http.headers.values());
            templates.extend(&http.body);
        }
        if let Some(command) = &action.command {
            if !command.program.starts_with('/') {
                self.add(&near, "`command.program` must be a whole path, such as /usr/bin/kubectl");
            }
            templates.extend(&command.args);
        }
        if let Some(observe) = &action.observe {
            if observe.keys.is_empty() {
                self.add(&near, "`observe.keys` is empty; name the keys that a plan is bound to");
            }
            templates.push(&observe.url);
            templates.extend(observe.headers.values());
        }
        let mut names = BTreeSet::new();
        for parameter in &action.parameters {
            if !names.insert(parameter.name.as_str()) {
                self.add(&near, format!("two parameters are called `{}`", parameter.name));
            }
            self.parameter(&near, parameter);
            templates.extend(&parameter.default);
        }
        if let Some(rollback) = &action.rollback {
            let other = front.actions.iter().find(|a| a.id == rollback.action);
            match other {
                None => self.add(
                    &near,
                    format!("the rollback names `{}`, which this file lacks", rollback.action),
                ),
                Some(other) => {
                    for name in rollback.parameters.keys() {
                        if !other.parameters.iter().any(|p| p.name == *name) {
                            self.add(
                                &near,
                                format!(
                                    "the rollback sets `{name}`, which `{}` does not take",
                                    other.id
                                ),
                            );
                        }
                    }
                }
            }
            templates.extend(rollback.parameters.values());
        }
        for template in templates {
            if let Err(e) = check_template(template) {
                let near = template.lines().find(|l| l.contains('{')).unwrap_or(template);
                self.add(near, format!("the template `{template}` can't be read: {e}"));
            }
        }
    }

    fn parameter(&mut self, near: &str, p: &Parameter) {
        if !is_name(&p.name) {
            self.add(
                near,
                format!("parameter `{}`: small letters, digits and _, first a letter", p.name),
            );
        }
        if let Some(pattern) = &p.pattern
            && let Err(e) = Regex::new(pattern)
        {
            self.add(pattern, format!("`{pattern}` is not a regular expression: {e}"));
        }
        let (has_choices, has_bounds) = (!p.choices.is_empty(), p.min.is_some() || p.max.is_some());
        let wrong = match p.kind {
            ParameterKind::String if has_choices || has_bounds => {
                Some("a string takes `pattern`, not `choices`, `min` or `max`")
            }
            ParameterKind::Integer if has_choices || p.pattern.is_some() => {
                Some("an integer takes `min` and `max`, not `choices` or `pattern`")
            }
            ParameterKind::Integer if p.min.zip(p.max).is_some_and(|(a, b)| a > b) => {
                Some("`min` is greater than `max`")
            }
            ParameterKind::Choice if !has_choices => Some("a choice needs `choices`"),
            ParameterKind::Choice if has_bounds || p.pattern.is_some() => {
                Some("a choice takes `choices`, not `pattern`, `min` or `max`")
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            self.add(near, format!("parameter `{}`: {wrong}", p.name));
        }
    }
}
