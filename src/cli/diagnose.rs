//! `nightjar diagnose --case`: ranks the possible causes of a recorded incident; asks no running
//! bot.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::start::Stop;
use crate::diagnose::case::{self, Texts};
use crate::diagnose::weigh::{Scene, Verdict, weigh};

/// What is to be diagnosed.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder with case.json, metrics.csv, topology.json, and traces.ndjson, logs.ndjson,
    /// events.ndjson where there are.
    #[arg(long)]
    case: PathBuf,
}

/// The ranking as one JSON object.
///
/// # Errors
/// [`Stop`] with the file and line that can't be read.
pub(super) fn case(given: &Args) -> anyhow::Result<String> {
    let folder = &given.case;
    let stop = |text: String| Stop { code: 1, text };
    let texts = texts(folder).map_err(stop)?;
    let scene = case::read(&texts).map_err(|broken| {
        stop(format!("The case in {} can't be read: {broken}", folder.display()))
    })?;
    let verdict = weigh(scene.clone());
    Ok(format!("{:#}\n", told(&scene, &verdict)))
}

fn texts(folder: &Path) -> Result<Texts, String> {
    let read = |name: &str| -> Result<Option<String>, String> {
        let path = folder.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("{} can't be read: {e}.", path.display())),
        }
    };
    let missing = |what: &str| {
        format!(
            "There is no {what} in {}. A case is a folder with case.json, metrics.csv and \
             topology.json, and traces.ndjson, logs.ndjson and events.ndjson where there are.",
            folder.display()
        )
    };
    let texts = Texts {
        case: read("case.json")?.ok_or_else(|| missing("case.json"))?,
        topology: read("topology.json")?,
        metrics: read("metrics.csv")?,
        traces: read("traces.ndjson")?,
        logs: read("logs.ndjson")?,
        events: read("events.ndjson")?,
    };
    if texts.metrics.is_none() && texts.traces.is_none() && texts.logs.is_none() {
        return Err(missing("metrics.csv, traces.ndjson or logs.ndjson"));
    }
    Ok(texts)
}

/// Figures as they are shown: four digits after the point.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn told(scene: &Scene, verdict: &Verdict) -> serde_json::Value {
    let ranked = verdict.ranked.iter().map(|w| {
        let why: Vec<&str> = w.parts.iter().map(|p| p.why.as_str()).collect();
        json!({
            "service": scene.services[w.service],
            "score": rounded(w.score),
            "confidence": rounded(w.confidence),
            "why": why.join("; "),
            "parts": w.parts.iter().map(|p| json!({
                "name": p.name, "contribution": rounded(p.contribution), "why": p.why,
            })).collect::<Vec<_>>(),
        })
    });
    json!({
        "ranked": ranked.collect::<Vec<_>>(),
        "conclusive": verdict.conclusive,
        "onset_after_alert_s": rounded(verdict.onset),
    })
}
