//! What `nightjar why` answers, through the command's own door, is true and readable: cases drawn
//! by a seed from alerts, held alerts, incidents, merges and actions, each figure and name of each
//! answer held against the records of its subject. `cargo test --test it -- why:: scenarios::
//! --nocapture` prints them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nightjar::command::About;
use nightjar::model::figure::figure;
use nightjar::model::{
    Alert, AlertId, Anomaly, Diagnosis, EntityRef, Evidence, Incident, Proposal, Run, Time,
    TimelineEntry, wall_now,
};
use nightjar::stats::Draws;
use nightjar::store::{AuditFilter, Filter, Rows, Store};
use serde_json::{Value, json};

use crate::bot::{Bot, TOKEN};
use crate::support::{eventually, free_port, install_tls, piped};

/// Lines of an answer, and characters of a line, that a tired person still reads.
const MOST_LINES: usize = 45;
const MOST_CHARS: usize = 700;
/// Units in which the figures of an answer may be told.
const UNITS: [&str; 9] = ["", "1", "%", "s", "ms", "By", "{request}/s", "{connection}", "{row}/s"];

/// Everything that the records of a subject say.
#[derive(Default)]
struct Known {
    text: String,
    words: BTreeSet<String>,
}

/// Words as they are compared: without the signs around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let sign = |c: char| !(c.is_alphanumeric() || c == '%');
    text.split_whitespace().map(move |w| w.trim_matches(sign)).filter(|w| !w.is_empty())
}

impl Known {
    fn note(&mut self, text: &str) {
        self.words.extend(words(text).map(str::to_owned));
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn number(&mut self, n: f64) {
        for (digits, n) in [(0, n), (1, n), (2, n), (0, n * 100.0), (1, n * 100.0), (2, -n)] {
            self.note(&format!("{n:.digits$}"));
        }
        for unit in UNITS {
            self.note(&figure(n, unit));
        }
        // A priority's level.
        self.note(&format!("P{n:.0}"));
    }

    /// All that a record holds; the points of a series, which come as a list, are not what an answer
    /// tells (those of a priority are).
    fn take(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let series = value.is_array() && ["points", "bands"].contains(&key.as_str());
                    if !series {
                        self.note(key);
                        self.take(value);
                    }
                }
            }
            Value::Array(all) => all.iter().for_each(|v| self.take(v)),
            Value::String(text) => {
                self.note(text);
                if let Ok(at) = Time::parse(text) {
                    self.note(&at.clock_text());
                    self.note(&at.minute_text());
                }
                // An entity is named without its attribute.
                if let Some((_, name)) = text.split_once('=') {
                    self.note(name);
                }
            }
            Value::Number(n) => self.number(n.as_f64().unwrap_or_default()),
            Value::Bool(_) | Value::Null => {}
        }
    }

    /// Whether a figure or name of an answer stands in the records.
    fn has(&self, word: &str) -> bool {
        self.words.contains(word) || self.words.contains(&word.replace(',', ""))
    }
}

fn record<T: serde::Serialize>(known: &mut Known, all: &[T]) {
    for one in all {
        known.take(&json!(one));
    }
}

fn of_incident(known: &mut Known, r: &Rows<'_>, incident: &Incident) {
    let own = || Filter::parent(incident.id);
    let alerts = r.list::<Alert>(&own()).expect("reads");
    known.take(&json!(incident));
    record(known, &r.list::<TimelineEntry>(&own()).expect("reads"));
    record(known, &r.get::<Diagnosis>(incident.id).expect("reads").into_iter().collect::<Vec<_>>());
    record(known, &r.list::<Evidence>(&own()).expect("reads"));
    record(known, &r.list::<Proposal>(&own()).expect("reads"));
    record(known, &r.list::<Run>(&own()).expect("reads"));
    // What is counted, counted here once more.
    let joined = |a: &&Alert| {
        a.decision.as_ref().is_none_or(|d| d.contains("already belongs to the incident."))
    };
    let mut by: BTreeMap<&EntityRef, f64> = BTreeMap::new();
    for alert in alerts.iter().filter(joined) {
        *by.entry(&alert.entity).or_default() += 1.0;
    }
    let n: f64 = by.values().sum();
    let more = alerts.len() as f64 - n - 6.0;
    by.values().chain([&n, &more]).for_each(|n| known.number(*n));
    record(known, &alerts);
    if let Some(into) = incident.merged_into {
        known.take(&json!(r.get::<Incident>(into).expect("reads")));
    }
}

/// The records of what is asked about.
fn known(r: &Rows<'_>, about: About) -> Known {
    let mut known = Known::default();
    let filter = |subject: String| AuditFilter {
        subject: Some(subject),
        limit: 500,
        ..AuditFilter::default()
    };
    let incident = match about {
        About::Incident(id) => Some(id),
        About::Alert(id) => {
            let alert = r.get::<Alert>(id).expect("reads").expect("is there");
            known.take(&json!(alert));
            if let Some(anomaly) = alert.anomaly {
                known.take(&json!(r.get::<Anomaly>(anomaly).expect("reads")));
            }
            if let Some(series) = alert.series {
                known.take(&json!(r.series(series).expect("reads")));
            }
            alert.incident
        }
        About::Proposal(id) => r.get::<Proposal>(id).expect("reads").map(|p| p.incident),
        About::Run(id) => r.get::<Run>(id).expect("reads").map(|p| p.incident),
    };
    if let Some(incident) = incident.and_then(|id| r.get::<Incident>(id).expect("reads")) {
        of_incident(&mut known, r, &incident);
        let audit = r.audit_records(&filter(incident.id.to_string())).expect("reads");
        known.number(audit.len().min(50) as f64);
        record(&mut known, &audit);
    }
    let audit = r.audit_records(&filter(about.to_string())).expect("reads");
    known.number(audit.len() as f64);
    record(&mut known, &audit);
    known
}

/// The words of a line that have to stand in a record: whatever has a digit, and names of entities
/// and alerts.
fn claims<'a>(line: &'a str, names: &BTreeSet<String>) -> Vec<&'a str> {
    let is_claim =
        |w: &&str| w.chars().any(|c| c.is_ascii_digit()) || names.contains(*w) || w.contains('_');
    words(line).filter(is_claim).collect()
}

/// What does not stand in the records, and what nobody would want to read.
fn faults(answer: &str, known: &Known, names: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let n_lines = answer.lines().count();
    if n_lines > MOST_LINES {
        found.push(format!("{n_lines} lines"));
    }
    for line in answer.lines() {
        for claim in claims(line, names) {
            // A share of the score stands with its sign.
            if !known.has(claim) && !known.has(claim.trim_end_matches(['%', 's'])) {
                found.push(format!("“{claim}” stands in no record: {line}"));
            }
        }
        if line.chars().count() > MOST_CHARS {
            found.push(format!("{} characters: {line}", line.chars().count()));
        }
        let ugly =
            ["  ", "..", " .", "None", "Some(", " 1 more alerts", "null", "NaN", "{\"", "{ "];
        if let Some(sign) = ugly.iter().find(|u| line.contains(**u)) {
            found.push(format!("has “{sign}”: {line}"));
        }
    }
    found
}

/// Everything that can be asked about, by kind.
fn subjects(r: &Rows<'_>) -> BTreeMap<&'static str, Vec<About>> {
    let alerts = r.list::<Alert>(&Filter::all()).expect("reads");
    let incidents = r.list::<Incident>(&Filter::all()).expect("reads");
    let mut all: BTreeMap<&'static str, Vec<About>> = BTreeMap::new();
    let mut add = |kind: &'static str, about: About| all.entry(kind).or_default().push(about);
    for alert in &alerts {
        let kind = match (&alert.incident, &alert.suppressed) {
            (_, Some(_)) => "held alert",
            (None, None) => "alert that opened nothing",
            (Some(_), None) => "alert",
        };
        add(kind, About::Alert(alert.id));
    }
    for incident in &incidents {
        let kind = if incident.merged_into.is_some() { "merge" } else { "incident" };
        add(kind, About::Incident(incident.id));
    }
    for proposal in r.list::<Proposal>(&Filter::all()).expect("reads") {
        add("proposal", About::Proposal(proposal.id));
    }
    for run in r.list::<Run>(&Filter::all()).expect("reads") {
        add("run", About::Run(run.id));
    }
    all
}

/// Draws `n` cases by a seed, each kind in turn, without putting back.
fn drawn(
    mut all: BTreeMap<&'static str, Vec<About>>,
    n: usize,
    seed: u64,
) -> Vec<(&'static str, About)> {
    let mut draws = Draws::new(seed);
    let mut chosen = Vec::new();
    while chosen.len() < n && !all.is_empty() {
        for (kind, left) in &mut all {
            let place = (draws.uniform() * left.len() as f64) as usize;
            if chosen.len() < n {
                chosen.push((*kind, left.swap_remove(place)));
            }
        }
        all.retain(|_, left| !left.is_empty());
    }
    chosen
}

/// What the command says on its other output: where the answer comes from.
fn where_from(line: &str) -> bool {
    line.starts_with("No bot runs here") || line.starts_with("Asked the bot at")
}

/// Draws cases from a store, asks `nightjar why` about each with `door`'s arguments, and holds the
/// answers against the records. Gives what was asked about.
pub(crate) async fn checked(
    data: &Path,
    door: &[&str],
    (n, seed): (usize, u64),
) -> Vec<&'static str> {
    let (all, names) = {
        let store = Store::open(&data.join("nightjar.sqlite")).expect("opens");
        let read = store.read(|r| {
            let alerts = r.list::<Alert>(&Filter::all())?;
            let names = alerts.iter().flat_map(|a| [a.entity.name(), a.name()].map(str::to_owned));
            Ok((subjects(r), names.collect::<BTreeSet<String>>()))
        });
        read.await.expect("reads")
    };
    let program = Path::new(env!("CARGO_BIN_EXE_nightjar"));
    let mut asked = Vec::new();
    for (kind, about) in drawn(all, n, seed) {
        let id = about.to_string();
        let args: Vec<&str> = ["why", &id].into_iter().chain(door.iter().copied()).collect();
        // A running bot may think anew between its answer and our look at its records.
        for left in (0..3).rev() {
            let (code, said) = piped(program, &args, "");
            assert_eq!(code, 0, "{id}: {said}");
            let answer: Vec<&str> = said.lines().filter(|l| !where_from(l)).collect();
            let answer = answer.join("\n");
            let store = Store::open(&data.join("nightjar.sqlite")).expect("opens");
            let known = store.read(move |r| Ok(known(r, about))).await.expect("reads");
            let faults = faults(&answer, &known, &names);
            if faults.is_empty() {
                println!("--- {kind} {id}\n{answer}");
                break;
            }
            assert!(left > 0, "{kind} {id}: {faults:#?}\n{answer}");
        }
        asked.push(kind);
    }
    asked
}

const RULES: &str = r#"
[correlate]
group_wait_s = 1
[[correlate.inhibit]]
name = "cluster down"
source = ['alertname="ClusterDown"']
target = ['alertname="ProbeFailed"']
[[correlate.hold]]
name = "spikes"
matchers = ['alertname="QueueHigh"']
times = 3
"#;

#[tokio::test]
async fn ten_cases_drawn_from_held_merged_and_told_alerts_are_true_and_readable() {
    install_tls();
    let bot = Bot::on(free_port(), RULES).await;
    let alert = |name: &str, service: &str, severity: &str| {
        let labels = json!({ "alertname": name, "service": service, "severity": severity });
        let summary =
            json!({ "summary": format!("{name} on {service} is above its limit of 5 %") });
        json!({ "status": "firing", "startsAt": wall_now(), "labels": labels, "annotations": summary })
    };
    let silence = json!({
        "matchers": ["service=\"reports\""], "ends_at": wall_now().plus_ms(3_600_000),
        "reason": "the month is closed",
    });
    assert!(bot.door().send("/api/v1/silences", &silence).await.is_ok_and(|s| s < 300));
    let alerts = [
        alert("ClusterDown", "auth", "critical"),
        alert("ProbeFailed", "search", "critical"),
        alert("QueueHigh", "orders", "critical"),
        alert("ErrorsHigh", "reports", "critical"),
        alert("DiskNotice", "catalog", "info"),
        alert("ErrorsHigh", "payments", "critical"),
        alert("LatencyHigh", "payments", "warning"),
    ];
    let body = json!({ "version": "4", "alerts": alerts });
    assert_eq!(bot.door().send("/ingest/alertmanager", &body).await.ok(), Some(200));
    eventually("every alert to be decided on", std::time::Duration::from_secs(120), async || {
        let all = bot.list("alerts").await;
        all.len() == alerts.len() && all.iter().all(|a| a["decision"].is_string())
    })
    .await;
    let ids = async || -> Vec<String> {
        let all = bot.list("incidents").await;
        let open = all.iter().filter(|i| i["merged_into"].is_null());
        open.filter_map(|i| i["id"].as_str().map(str::to_owned)).collect()
    };
    eventually("two incidents", std::time::Duration::from_secs(120), async || {
        ids().await.len() == 2
    })
    .await;
    let open = ids().await;
    let merge = json!({ "into": open[1], "reason": "one cluster" });
    let path = format!("/api/v1/incidents/{}/merge", open[0]);
    assert_eq!(bot.door().send(&path, &merge).await.ok(), Some(200));
    eventually("the merge to be told", std::time::Duration::from_secs(120), async || {
        let all = bot.list("alerts").await;
        let home = |a: &Value| a["incident"].as_str().map(str::to_owned);
        all.iter().filter_map(home).all(|i| i == open[1])
    })
    .await;
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), TOKEN).expect("written");
    let (url, token) = (bot.url(""), secret.path().display().to_string());
    let door = ["--url", url.trim_end_matches('/'), "--token-file", &token];
    let asked = checked(&bot.data(), &door, (10, 2_026)).await;
    for kind in ["held alert", "alert", "incident", "merge"] {
        assert!(asked.contains(&kind), "{asked:?}");
    }
    // An alert that opened an incident which is no more says where that went.
    let program = Path::new(env!("CARGO_BIN_EXE_nightjar"));
    let (mut went, mut told) = (0, 0);
    for alert in bot.list("alerts").await.iter().filter(|a| a["incident"].is_string()) {
        let mut args = vec!["why", alert["id"].as_str().expect("an id")];
        args.extend(door);
        let (_, said) = piped(program, &args, "");
        went += usize::from(said.contains("That incident became part of #"));
        told += usize::from(said.contains("Opened the incident"));
    }
    assert_eq!((went, told), (1, 2));
    let unknown = AlertId::derive(Time::from_ms(1), &["nothing"]).to_string();
    let mut args = vec!["why", unknown.as_str()];
    args.extend(door);
    let (code, said) = piped(program, &args, "");
    assert_eq!(code, 1);
    assert!(said.contains("There is no such"), "{said}");
}
