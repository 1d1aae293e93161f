//! `nightjar correlate`: replays Alertmanager webhooks of the past and says which alerts are one
//! incident, by the faults that explain best when and where they began. Asks no running bot.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::start::{self, Stop};
use crate::correlate::{Config, Replay, Told};
use crate::detect::lifecycle::{alert_from_external, told};
use crate::model::signal::ExternalAlert;
use crate::model::topology::EdgeKind;
use crate::model::{Alert, AlertId, Change, ChangeId, ChangeKind, EntityRef, Graph, Labels, Time};
use crate::telemetry::alertmanager;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "\
Example: nightjar correlate --alerts alerts.jsonl --topology topology.json > incidents.csv
Beside the alerts may lie arrivals.csv (`line,received_at_ms`: when each line came, lines from 0) and
changes.ndjson (`ts`, `kind`, `service`, and `clusters` for changes in some only).
Exit code 1: something could not be read.";

/// So much of a file is read at once (bytes): a line mostly lies in it as a whole.
const READ_BYTES: usize = 1 << 16;

/// What is to be replayed.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A webhook of Alertmanager (version 4) on each line, as they came.
    #[arg(long, value_name = "FILE")]
    alerts: PathBuf,
    /// Who calls whom: {\"services\": [{\"name\": …}], \"edges\": [[caller, callee], …]}.
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// The configuration, of which the part `correlate` is used; left out: the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Replays and writes `event_id,incident_id`, a row for each alert of each webhook.
///
/// # Errors
/// [`Stop`] with the file, the line and what is wrong.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = match &args.config {
        Some(path) => start::loaded(path)?.correlate,
        None => Config::default(),
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut text = String::new();
    rows(args, &config, |event, incident| {
        text.push_str(&quoted(event));
        text.push(',');
        text.push_str(incident);
        text.push('\n');
    })?;
    // A reader that went away is no error.
    out.write_all(b"event_id,incident_id\n").and_then(|()| out.write_all(text.as_bytes())).ok();
    Ok(())
}

/// A field of CSV.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn stop(text: String) -> anyhow::Error {
    Stop { code: 1, text }.into()
}

/// Lines of a file with their numbers from 1, without blank ones.
fn lines(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(usize, String)>>> {
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|e| stop(format!("{shown} can't be read: {e}.")))?;
    let all = BufReader::with_capacity(READ_BYTES, file).lines().enumerate();
    Ok(all
        .map(move |(i, line)| match line {
            Ok(line) => Ok((i + 1, line)),
            Err(e) => Err(stop(format!("{shown}, line {}: can't be read: {e}.", i + 1))),
        })
        .filter(|line| line.as_ref().map_or(true, |(_, text)| !text.trim().is_empty())))
}

/// The file of this name beside another, if there is one.
fn beside(path: &Path, name: &str) -> Option<PathBuf> {
    Some(path.with_file_name(name)).filter(|p| p.is_file())
}

/// Replays; gives each event with its incident, in the order of the file.
fn rows(args: &Args, config: &Config, mut give: impl FnMut(&str, &str)) -> anyhow::Result<()> {
    let graph = args.topology.as_deref().map(topology).transpose()?.unwrap_or_default();
    let changes = beside(&args.alerts, "changes.ndjson");
    let changes = changes.as_deref().map(changes_of).transpose()?.unwrap_or_default();
    let arrivals = beside(&args.alerts, "arrivals.csv");
    let mut arrivals = Arrivals::open(arrivals)?;
    let shown = args.alerts.display().to_string();
    let mut replay = Replay::new(config.clone(), graph, changes);
    let mut alerts: HashMap<AlertId, Box<Alert>> = HashMap::new();
    let mut events: Vec<(String, AlertId)> = Vec::new();
    let mut latest = Time::MIN;
    for line in lines(&args.alerts)? {
        let (number, text) = line?;
        let wrong = |what: String| stop(format!("{shown}, line {number}: {what}."));
        let batch = alertmanager::decode(text.as_bytes(), Time::MAX)
            .map_err(|e| wrong(e.message.trim_end_matches('.').to_owned()))?;
        let own = batch
            .alerts
            .iter()
            .map(|a| a.ends_at.filter(|end| *end < Time::MAX).unwrap_or(a.starts_at))
            .max();
        let came = arrivals.of(number)?.or(own).unwrap_or(latest);
        latest = latest.max(came);
        for (i, mut external) in batch.alerts.into_iter().enumerate() {
            external.ends_at = external.ends_at.map(|end| end.min(latest));
            let event = event_id(&external, &text, i);
            let alert = alert_from_external(external, latest);
            events.push((event, alert.id));
            let Some((alert, news)) = told(alerts.remove(&alert.id).map(|a| *a), alert) else {
                continue;
            };
            if news {
                replay.take(&alert, latest);
            }
            alerts.insert(alert.id, Box::new(alert));
        }
    }
    let homes: BTreeMap<AlertId, Told> = replay.finish();
    let mut words: BTreeMap<Told, String> = BTreeMap::new();
    for (event, alert) in &events {
        // An end without a beginning was never grouped.
        let home = homes.get(alert).copied();
        let word = match home {
            Some(home) => words.entry(home).or_insert_with(|| home.to_string()).clone(),
            None => format!("alone-{alert}"),
        };
        give(event, &word);
    }
    // The command ends here: to take a storm apart alert by alert would only take time.
    std::mem::forget(alerts);
    Ok(())
}

/// The annotation `event_id`, else fingerprint and start.
fn event_id(alert: &ExternalAlert, line: &str, i: usize) -> String {
    if let Some(id) = alert.annotations.get("event_id") {
        return id.to_owned();
    }
    let value: Value = serde_json::from_str(line).unwrap_or_default();
    let told = value["alerts"][i]["fingerprint"].as_str().filter(|f| !f.is_empty());
    let fingerprint = told.map_or_else(|| alert.labels.fingerprint().to_string(), str::to_owned);
    format!("{fingerprint} {}", alert.starts_at)
}

/// When each line came, where a file says so.
struct Arrivals {
    shown: String,
    times: BTreeMap<usize, Time>,
}

impl Arrivals {
    fn open(path: Option<PathBuf>) -> anyhow::Result<Self> {
        let mut arrivals = Self { shown: String::new(), times: BTreeMap::new() };
        let Some(path) = path else { return Ok(arrivals) };
        arrivals.shown = path.display().to_string();
        for line in lines(&path)? {
            let (number, text) = line?;
            let fields = text.split_once(',').map(|(line, at)| (line.trim(), at.trim()));
            if number == 1 && fields.is_some_and(|(line, _)| line.parse::<usize>().is_err()) {
                continue;
            }
            let read = fields.and_then(|(line, at)| {
                let at = at.parse::<f64>().ok().filter(|at| at.is_finite())?;
                Some((line.parse::<usize>().ok()?, Time::from_ms(at as i64)))
            });
            let Some((line, at)) = read else {
                let what = format!(
                    "{}, line {number}: expected a line number and a time in milliseconds, such as \
                     0,1760000432596.",
                    arrivals.shown
                );
                return Err(stop(what));
            };
            arrivals.times.insert(line, at);
        }
        Ok(arrivals)
    }

    /// When a line, counted from 1, came; `None` where no file says it of any.
    fn of(&mut self, number: usize) -> anyhow::Result<Option<Time>> {
        if self.times.is_empty() {
            return Ok(None);
        }
        match self.times.remove(&(number - 1)) {
            Some(at) => Ok(Some(at)),
            None => Err(stop(format!(
                "{} does not say when line {} of the alerts came (lines are counted from 0 there).",
                self.shown,
                number - 1
            ))),
        }
    }
}

/// The service graph of a file.
fn topology(path: &Path) -> anyhow::Result<Graph> {
    let shown = path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|e| stop(format!("{shown} can't be read: {e}.")))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|e| stop(format!("{shown} is not JSON: {e}.")))?;
    let edges = value.get("edges").and_then(Value::as_array);
    let edges = edges.ok_or_else(|| stop(format!("{shown}: edges: expected a list.")))?;
    let mut graph = Graph::default();
    for (i, edge) in edges.iter().enumerate() {
        let ends = match edge {
            Value::Array(ends) => ends.first().zip(ends.get(1)),
            Value::Object(_) => {
                let end = |names: [&str; 3]| names.iter().find_map(|n| edge.get(n));
                end(["from", "caller", "source"]).zip(end(["to", "callee", "target"]))
            }
            _ => None,
        };
        let ends = ends.and_then(|(from, to)| Some((entity(from.as_str()?), entity(to.as_str()?))));
        let Some((from, to)) = ends else {
            let what = format!("{shown}: edges[{i}]: expected [caller, callee].");
            return Err(stop(what));
        };
        let kind = if to.is_service() { EdgeKind::Calls } else { EdgeKind::RunsOn };
        graph.add(from, to, kind);
    }
    Ok(graph)
}

/// A name is a service, unless it names its attribute (`host.name=node-2`).
fn entity(name: &str) -> EntityRef {
    name.parse().unwrap_or_else(|_| EntityRef::service(name))
}

/// The changes of a file.
fn changes_of(path: &Path) -> anyhow::Result<Vec<Change>> {
    let shown = path.display().to_string();
    let mut changes = Vec::new();
    for line in lines(path)? {
        let (number, text) = line?;
        let wrong = |what: String| stop(format!("{shown}, line {number}: {what}."));
        let value: Value =
            serde_json::from_str(&text).map_err(|e| wrong(format!("not JSON: {e}")))?;
        let told = |name: &str| value.get(name).and_then(Value::as_str);
        let at = told("ts").or_else(|| told("at"));
        let at = at.ok_or_else(|| wrong("ts: expected an RFC 3339 time".to_owned()))?;
        let at = Time::parse(at).map_err(|e| wrong(format!("ts: {e}")))?;
        let service =
            told("service").ok_or_else(|| wrong("service: expected a name".to_owned()))?;
        let kind = told("kind").unwrap_or("other");
        let entity = entity(service);
        let title = format!("{kind} of {service}");
        let clusters = value.get("clusters").and_then(Value::as_array);
        let clusters = clusters.into_iter().flatten().filter_map(Value::as_str);
        let mut scopes: Vec<Labels> =
            clusters.map(|c| Labels::default().with("cluster", c)).collect();
        if scopes.is_empty() {
            scopes.push(Labels::default());
        }
        for attributes in scopes {
            changes.push(Change {
                id: ChangeId::derive(at, &[&entity.to_string(), &title]),
                kind: serde_json::from_value(kind.into()).unwrap_or(ChangeKind::Other),
                entity: entity.clone(),
                at,
                title: title.clone(),
                version: None,
                previous: None,
                author: None,
                url: None,
                source: "file".to_owned(),
                status: "success".to_owned(),
                attributes,
                diff: Vec::new(),
            });
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests;
