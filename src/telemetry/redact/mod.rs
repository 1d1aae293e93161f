//! Masks secrets and personal data before anything is written or sent to a model.
//!
//! Takes text as it came from outside; gives the same text with every bearer token, JWT, cloud
//! or vendor key, password, private key and e-mail address replaced by a marker such as
//! `[redacted:jwt]`. What surrounds a secret (the key's name, the host of a URL) stays, because
//! people diagnose with it. Guarantees: linear-time regular expressions only, redacting twice is
//! the same as once, and the result is at most [`MAX_GROWTH`] times as long as the input.

mod rules;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use crate::model::{Batch, EntityRef, Labels};
use rules::{Rule, SECRET_SETTING, SENSITIVE_NAME, rules};

/// How many times longer than its input a redacted text can be: the shortest secret that is
/// recognised with its surroundings has five characters (`pwd=x`), the longest marker 24.
pub const MAX_GROWTH: usize = 8;

/// Passes until nothing more is found. Masking one secret can uncover the next (a URL in a
/// password); real text settles after one pass, crafted text after a few.
const MAX_PASSES: usize = 8;

/// Names of the group that holds the secret; a value has another name for each way of quoting.
const SECRET_GROUPS: [&str; 5] = ["v", "escaped", "double", "single", "bare"];

static MARKER: LazyLock<Regex> = LazyLock::new(|| compile(r"\[redacted:[a-z-]+\]"));

/// Masks secrets in a text; borrowed when there was nothing to mask.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let rules = rules();
    if !rules.hint.is_match(text) {
        return Cow::Borrowed(text);
    }
    let mut current = Cow::Borrowed(text);
    for _ in 0..MAX_PASSES {
        let mut changed = false;
        for rule in &rules.all {
            if let Some(masked) = apply(rule, &current) {
                current = Cow::Owned(masked);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    current
}

/// Masks the value of a named attribute: the whole value where the name says that it is a secret
/// (`db.password`, `http.request.header.authorization`), otherwise as [`redact`] does.
#[must_use]
pub fn redact_attribute<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if !value.is_empty() && SENSITIVE_NAME.is_match(name) && rules::is_secret_value(value) {
        return if MARKER.find(value).is_some_and(|m| m.len() == value.len()) {
            Cow::Borrowed(value)
        } else {
            Cow::Borrowed("[redacted:password]")
        };
    }
    redact(value)
}

/// Whether a setting or attribute of this name holds a secret, whatever its value looks like.
#[must_use]
pub fn names_secret(name: &str) -> bool {
    SECRET_SETTING.is_match(name)
}

/// Masks secrets in every text of a batch that comes from outside: log bodies, names of spans and
/// entities, changes, attributes, annotations, labels, queries and gaps. A query with a masked
/// label value can't be asked again; that is the price. Names of authors stay, because
/// self-approval is judged by them. Counts what was masked in
/// `nightjar_telemetry_redacted_total`.
pub fn redact_batch(batch: &mut Batch) {
    let mut n = 0;
    for samples in &mut batch.metrics {
        let series = &mut samples.series;
        n += labels(&mut series.labels) + entity(&mut series.entity) + string(&mut series.metric);
        n += series.query.as_mut().map_or(0, string);
    }
    for line in &mut batch.logs {
        n += string(&mut line.body) + labels(&mut line.attributes) + entity(&mut line.entity);
    }
    for span in &mut batch.spans {
        n += string(&mut span.name) + labels(&mut span.attributes) + entity(&mut span.entity);
        n += span.peer.as_mut().map_or(0, entity);
    }
    for change in &mut batch.changes {
        n += string(&mut change.title) + labels(&mut change.attributes);
        n += entity(&mut change.entity) + string(&mut change.status);
        let more = [&mut change.version, &mut change.previous, &mut change.url];
        n += more.into_iter().flatten().map(string).sum::<u64>();
        n += change.diff.iter_mut().map(string).sum::<u64>();
    }
    for alert in &mut batch.alerts {
        n += labels(&mut alert.labels) + labels(&mut alert.annotations);
        n += alert.generator_url.as_mut().map_or(0, string);
    }
    for gap in &mut batch.gaps {
        n += string(&mut gap.what) + string(&mut gap.why);
    }
    for beat in &mut batch.beats {
        n += string(&mut beat.name) + entity(&mut beat.entity);
        n += beat.failed.as_mut().map_or(0, string);
    }
    if n > 0 {
        metrics::counter!("nightjar_telemetry_redacted_total").increment(n);
    }
}

fn string(text: &mut String) -> u64 {
    match redact(text) {
        Cow::Borrowed(_) => 0,
        Cow::Owned(masked) => {
            *text = masked;
            1
        }
    }
}

fn entity(entity: &mut EntityRef) -> u64 {
    match redact_attribute(entity.attribute(), entity.name()) {
        Cow::Borrowed(name) if name == entity.name() => 0,
        masked => {
            *entity = EntityRef::new(entity.attribute(), masked.into_owned());
            1
        }
    }
}

fn labels(labels: &mut Labels) -> u64 {
    let mut n = 0;
    for (name, value) in &mut labels.0 {
        let masked = redact_attribute(name, value);
        if *masked != **value {
            *value = masked.into_owned();
            n += 1;
        }
    }
    n
}

/// Applies one rule to what stands between markers: a marker is never looked into, which is what
/// makes redaction idempotent.
fn apply(rule: &Rule, text: &str) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    let mut start = 0;
    let ends = MARKER.find_iter(text).map(|m| (m.start(), m.end()));
    for (end, next) in ends.chain([(text.len(), text.len())]) {
        let piece = &text[start..end];
        for found in rule.regex.captures_iter(piece) {
            let whole = found.get(0).expect("group 0 always takes part");
            let secret = SECRET_GROUPS.iter().find_map(|g| found.name(g)).unwrap_or(whole);
            if secret.is_empty() || !(rule.accepts)(piece, secret.start(), secret.as_str()) {
                continue;
            }
            out.push_str(&text[copied..start + secret.start()]);
            out.push_str(rule.marker);
            copied = start + secret.end();
        }
        start = next;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&text[copied..]);
    Some(out)
}

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern that the tests compile")
}
