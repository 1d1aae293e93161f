//! Rules that the types of settings can't say.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Config;
use crate::chat::people::Person;
use crate::model::{EntityRef, Matcher, Role, Secret};
use crate::web;

/// Fewest characters of a token that people or machines are let in by.
const SHORTEST_TOKEN: usize = 16;

/// Judges a whole configuration; `say` hears the setting and what is wrong with it.
pub(super) fn judge(config: &Config, mut say: impl FnMut(&str, String)) {
    prometheus(config, &mut say);
    pushed(config, &mut say);
    business(config, &mut say);
    web_server(config, &mut say);
    executors(config, &mut say);
    model(config, &mut say);
    graph(config, &mut say);
    times(config, &mut say);
    detection(config, &mut say);
    correlation(config, &mut say);
    pace(config, &mut say);
    learning(config, &mut say);
    chats(config, &mut say);
    objectives(config, &mut say);
}

fn objectives(config: &Config, say: &mut impl FnMut(&str, String)) {
    let mut names = BTreeSet::new();
    for (i, objective) in config.slo.iter().enumerate() {
        if !names.insert(&objective.name) {
            let text = format!("\"{}\" is used twice; alerts name it", objective.name);
            say(&format!("slo[{i}].name"), text);
        }
        if let Some((key, text)) = objective.mistake() {
            let dot = if key.is_empty() { "" } else { "." };
            say(&format!("slo[{i}]{dot}{key}"), text);
        }
    }
}

/// Each platform has a name of its own and a way by which events come.
fn chats(config: &Config, say: &mut impl FnMut(&str, String)) {
    let (mut names, mut apps) = (BTreeSet::new(), BTreeSet::new());
    for (i, slack) in config.chat.slack.iter().enumerate() {
        let path = format!("chat.slack[{i}]");
        chat(&path, (&slack.name, &slack.api_url, &slack.people), &mut names, say);
        if slack.app_token.is_none() && slack.signing_secret.is_none() {
            let text = "give app_token for Socket Mode, or signing_secret for events by HTTP; \
                        without either no click would arrive";
            say(&format!("{path}.app_token"), text.into());
        }
        // Slack gives each envelope to any one connection of the app, also to that of the other
        // workspace, and sends no click twice.
        if let Some(token) = &slack.app_token
            && !apps.insert(token.reveal())
        {
            let text = "is that of another workspace here, which would take some of the clicks \
                        meant for this one; give each workspace an app of its own, or leave \
                        app_token away in all of them and give signing_secret";
            say(&format!("{path}.app_token"), text.into());
        }
    }
    let mut names = BTreeSet::new();
    for (i, discord) in config.chat.discord.iter().enumerate() {
        let path = format!("chat.discord[{i}]");
        chat(&path, (&discord.name, &discord.api_url, &discord.people), &mut names, say);
        let channels = discord.routes.iter().map(|r| &r.channel).chain([&discord.channel]);
        for id in channels.chain(&discord.guilds) {
            if !id.bytes().all(|b| b.is_ascii_digit()) {
                let text = format!(
                    "`{id}` is no id; switch on Developer Mode in Discord and copy the id of the \
                     server or channel"
                );
                say(&path, text);
            }
        }
    }
}

/// What is asked of every platform.
fn chat<'a>(
    path: &str,
    (name, api_url, people): (&'a String, &str, &[impl Clone + Into<Person>]),
    names: &mut BTreeSet<&'a String>,
    say: &mut impl FnMut(&str, String),
) {
    if !names.insert(name) {
        let text = match name.as_str() {
            "" => "is missing; where several are connected each needs one".into(),
            name => format!("\"{name}\" is used twice; messages are told apart by it"),
        };
        say(&format!("{path}.name"), text);
    }
    if let Err(text) = http(api_url) {
        say(&format!("{path}.api_url"), text);
    }
    for (n, rule) in people.iter().cloned().map(Into::into).enumerate() {
        if rule.user.is_none() && rule.email.is_none() && rule.group.is_none() {
            let text = "names nobody; give a user or a group";
            say(&format!("{path}.people[{n}]"), text.into());
        }
    }
}

fn learning(config: &Config, say: &mut impl FnMut(&str, String)) {
    let most = config.learn.new_per_week;
    if !(0.0..=1_000.0).contains(&most) {
        say("learn.new_per_week", format!("{most} is no number a week; give one from 0 to 1000"));
    }
}

fn business(config: &Config, say: &mut impl FnMut(&str, String)) {
    for (i, declared) in config.detect.business.iter().enumerate() {
        if !(declared.weight.is_finite() && declared.weight > 0.0) {
            let text = format!("{} is no weight; give a number above 0", declared.weight);
            say(&format!("detect.business[{i}].weight"), text);
        }
    }
}

fn prometheus(config: &Config, say: &mut impl FnMut(&str, String)) {
    let mut names = BTreeSet::new();
    for (i, source) in config.prometheus.iter().enumerate() {
        if !names.insert(&source.name) {
            let text = format!("\"{}\" is used twice; series are told apart by it", source.name);
            say(&format!("prometheus[{i}].name"), text);
        }
        for (n, matcher) in source.matchers.iter().enumerate() {
            if let Err(text) = matcher.parse::<Matcher>() {
                say(&format!("prometheus[{i}].matchers[{n}]"), text);
            }
        }
        if let Err(text) = http(&source.url) {
            say(&format!("prometheus[{i}].url"), text);
        }
    }
}

/// Metrics that are watched beyond the known ones, where one could be meant that nobody sends.
fn pushed(config: &Config, say: &mut impl FnMut(&str, String)) {
    let written = config.remote_write.metrics.iter().map(|m| (&m.name, &m.labels)).enumerate();
    let exported = config.otlp.metrics.iter().map(|m| (&m.name, &m.labels)).enumerate();
    let all = written.map(|m| ("remote_write", m)).chain(exported.map(|m| ("otlp", m)));
    for (section, (i, (name, labels))) in all {
        let path = format!("{section}.metrics[{i}]");
        if let Some(strange) = no_name(name) {
            let text = format!(
                "`{name}` is not the name of a metric, because of {strange:?}; give the name \
                 alone, without labels, functions or spaces"
            );
            say(&format!("{path}.name"), text);
        }
        for (n, label) in labels.iter().enumerate() {
            if label.is_empty() {
                say(&format!("{path}.labels[{n}]"), "is empty".into());
            } else if let Some(strange) = no_name(label) {
                let text = format!("`{label}` is not the name of a label, because of {strange:?}");
                say(&format!("{path}.labels[{n}]"), text);
            }
        }
    }
}

/// The first character that only an expression has. Names may be any UTF-8 since Prometheus 3, so
/// that letters and digits alone would be too few.
fn no_name(text: &str) -> Option<char> {
    let strange = |c: &char| c.is_whitespace() || c.is_control() || "{}()[]\"'`=,~".contains(*c);
    text.chars().find(strange)
}

fn web_server(config: &Config, say: &mut impl FnMut(&str, String)) {
    let web = &config.web;
    match web.bind.parse::<SocketAddr>() {
        Ok(addr) => {
            if let Err(text) = web::check_bind(addr, web) {
                say("web.bind", text);
            }
        }
        Err(_) => {
            say("web.bind", "expected an address with a port, such as \"127.0.0.1:7878\"".into());
        }
    }
    if let Some(Err(text)) = web.public_url.as_deref().map(http) {
        say("web.public_url", text);
    }
    let mut names = BTreeSet::new();
    for (i, token) in web.tokens.iter().enumerate() {
        if !names.insert(&token.name) {
            let text = format!("\"{}\" is used twice; records name people by it", token.name);
            say(&format!("web.tokens[{i}].name"), text);
        }
        if short(&token.secret) {
            let text = format!("has fewer than {SHORTEST_TOKEN} characters and can be guessed");
            say(&format!("web.tokens[{i}].secret"), text);
        }
    }
    for (path, secret) in [
        ("web.ingest_token", &web.ingest_token),
        ("web.github_secret", &web.github_secret),
        ("web.hook_secret", &web.hook_secret),
    ] {
        if secret.as_ref().is_some_and(short) {
            let text = format!("has fewer than {SHORTEST_TOKEN} characters and can be guessed");
            say(path, text);
        }
    }
    if config.approve.role < Role::Responder {
        say("approve.role", "a viewer only reads; name responder, approver or admin".into());
    }
    if config.approve.high_risk_role < config.approve.role {
        let text = "asks for less than approve.role; high risk needs at least as much".into();
        say("approve.high_risk_role", text);
    }
}

/// An empty one is told of where it is read.
fn short(secret: &Secret) -> bool {
    !secret.is_empty() && secret.reveal().chars().count() < SHORTEST_TOKEN
}

fn executors(config: &Config, say: &mut impl FnMut(&str, String)) {
    for (i, rule) in config.remediate.hosts.iter().enumerate() {
        let host = ["https://", "http://"].iter().find_map(|s| rule.host.strip_prefix(s));
        let host = host.unwrap_or(&rule.host);
        let url = url::Url::parse(&format!("http://{host}/"));
        let bare = url.is_ok_and(|u| {
            u.path() == "/" && u.query().is_none() && u.username().is_empty() && u.has_host()
        });
        if !bare || host.contains('/') {
            let text = format!(
                "\"{}\" is not a host with an optional port, such as \"deployer.internal:8443\"",
                rule.host
            );
            say(&format!("remediate.hosts[{i}].host"), text);
        }
        if !rule.path_prefix.is_empty() && !rule.path_prefix.starts_with('/') {
            say(&format!("remediate.hosts[{i}].path_prefix"), "must start with `/`".into());
        }
        for (n, method) in rule.methods.iter().enumerate() {
            if !["POST", "PUT", "PATCH", "DELETE"].iter().any(|m| m.eq_ignore_ascii_case(method)) {
                let text = format!("\"{method}\" is not one of POST, PUT, PATCH, DELETE");
                say(&format!("remediate.hosts[{i}].methods[{n}]"), text);
            }
        }
    }
    for (i, rule) in config.remediate.commands.iter().enumerate() {
        if !rule.program.starts_with('/') {
            let text = "must be a whole path, so that nothing else of that name is run".into();
            say(&format!("remediate.commands[{i}].program"), text);
        }
        for (n, pattern) in rule.args.iter().enumerate() {
            if let Err(e) = regex::Regex::new(&format!("^(?:{pattern})$")) {
                let why = e.to_string().lines().last().unwrap_or_default().to_owned();
                let text = format!("is not a regular expression: {why}");
                say(&format!("remediate.commands[{i}].args[{n}]"), text);
            }
        }
    }
}

fn model(config: &Config, say: &mut impl FnMut(&str, String)) {
    let llm = &config.llm;
    if llm.base_url.is_empty() {
        if !llm.model.is_empty() {
            let text = "is missing, so that the model is never asked; such as \
                        \"https://api.openai.com/v1\" or \"http://127.0.0.1:11434/v1\"";
            say("llm.base_url", text.into());
        }
        return;
    }
    if let Err(text) = http(&llm.base_url) {
        say("llm.base_url", text);
    }
    if llm.model.is_empty() {
        say("llm.model", "is missing; name the model as the endpoint knows it".into());
    }
}

fn graph(config: &Config, say: &mut impl FnMut(&str, String)) {
    for (section, edges) in [("calls", &config.graph.calls), ("runs_on", &config.graph.runs_on)] {
        for (from, to) in edges {
            // The key may have dots in it, so that no way leads to a single edge.
            let path = format!("graph.{section}");
            for name in std::iter::once(from).chain(to) {
                if name.is_empty() || (name.contains('=') && name.parse::<EntityRef>().is_err()) {
                    say(&path, format!("`{name}` is neither a service nor attribute=name"));
                }
            }
            if to.contains(from) {
                say(&path, format!("`{from}` leads to itself"));
            }
        }
    }
}

fn times(config: &Config, say: &mut impl FnMut(&str, String)) {
    if jiff::tz::TimeZone::get(&config.assist.time_zone).is_err() {
        let text = format!("\"{}\" is not a known time zone", config.assist.time_zone);
        say("assist.time_zone", text);
    }
    let mut names = BTreeSet::new();
    for (i, window) in config.maintenance.iter().enumerate() {
        if !names.insert(&window.name) {
            let text = format!("\"{}\" is used twice", window.name);
            say(&format!("maintenance[{i}].name"), text);
        }
        if let Some((key, text)) = window.mistake() {
            let dot = if key.is_empty() { "" } else { "." };
            say(&format!("maintenance[{i}]{dot}{key}"), text);
        }
    }
}

fn detection(config: &Config, say: &mut impl FnMut(&str, String)) {
    for (i, date) in config.detect.holidays.iter().enumerate() {
        if date.parse::<jiff::civil::Date>().is_err() {
            let text = format!("\"{date}\" is no date; write it as 2026-12-25");
            say(&format!("detect.holidays[{i}]"), text);
        }
    }
    if !(-12.0..=14.0).contains(&config.detect.utc_offset_h) {
        let text = format!("{} is no offset; give -12 to 14 hours", config.detect.utc_offset_h);
        say("detect.utc_offset_h", text);
    }
    if let Some((key, text)) = config.detect.budget.mistake() {
        say(&format!("detect.budget.{key}"), text);
    }
    if let Some((key, text)) = config.detect.drift.mistake() {
        say(&format!("detect.drift.{key}"), text);
    }
}

/// Rules that keep alerts quiet.
fn correlation(config: &Config, say: &mut impl FnMut(&str, String)) {
    let rules = &config.correlate;
    let mut names = BTreeSet::new();
    for (i, hold) in rules.hold.iter().enumerate() {
        if !names.insert(&hold.name) {
            let text = format!("\"{}\" is used twice; reasons name it", hold.name);
            say(&format!("correlate.hold[{i}].name"), text);
        }
        if let Some((key, text)) = hold.mistake() {
            let dot = if key.is_empty() { "" } else { "." };
            say(&format!("correlate.hold[{i}]{dot}{key}"), text);
        }
    }
    let mut names = BTreeSet::new();
    for (i, inhibit) in rules.inhibit.iter().enumerate() {
        if !names.insert(&inhibit.name) {
            let text = format!("\"{}\" is used twice; reasons name it", inhibit.name);
            say(&format!("correlate.inhibit[{i}].name"), text);
        }
        if let Some((key, text)) = inhibit.mistake() {
            say(&format!("correlate.inhibit[{i}].{key}"), text);
        }
    }
    if rules.flap.episodes == 1 {
        let text = "an alert that begins once does not flap; give 2 or more, or 0 for never";
        say("correlate.flap.episodes", text.into());
    }
}

/// When people are told.
fn pace(config: &Config, say: &mut impl FnMut(&str, String)) {
    let mut names = BTreeSet::new();
    for (i, hours) in config.pace.quiet.iter().enumerate() {
        if !names.insert(&hours.name) {
            let text = format!("\"{}\" is used twice; reasons name it", hours.name);
            say(&format!("pace.quiet[{i}].name"), text);
        }
        if let Some((key, text)) = hours.mistake() {
            say(&format!("pace.quiet[{i}].{key}"), text);
        }
    }
    if config.pace.per_hour == 0 && config.pace.reserved_per_hour > 0 {
        let text = "does nothing while pace.per_hour is 0, which is no limit".into();
        say("pace.reserved_per_hour", text);
    }
    if config.pace.per_hour > 0 && config.pace.reserved_per_hour == 0 {
        let text = "is set without pace.reserved_per_hour, so pages and critical incidents would \
                    wait too; say how many of them an hour may come beyond it, 1 or more";
        say("pace.per_hour", text.into());
    }
}

/// Whether a text is an address that can be called.
fn http(text: &str) -> Result<(), String> {
    match url::Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            Err(format!("expected an http or https address, found {}", url.scheme()))
        }
        Ok(_) => Ok(()),
        Err(e) => Err(format!("expected an http or https address: {e}")),
    }
}
