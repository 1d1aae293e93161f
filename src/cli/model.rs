//! `nightjar model`: versions of the classifier. They are listed and shown from the store too, when
//! no bot runs; trained and moved by the running bot.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::reach::{Door, Where};
use super::read::{Answered, needs_bot, shown, with};
use super::start::Stop;
use crate::config;
use crate::learn::classify::{Config, standing};
use crate::model::{Classifier, ClassifierState};
use crate::store::Filter;

/// Versions that are listed, the newest.
const MOST: usize = 100;

#[derive(Subcommand)]
pub(super) enum ModelCommand {
    /// Versions, newest first, and what could be learned now.
    List {
        #[command(flatten)]
        place: Where,
    },
    /// One version with its card; left out: the live one, else the newest.
    #[command(after_help = "Example: nightjar model show 3")]
    Show {
        /// Its number.
        version: Option<u32>,
        #[command(flatten)]
        place: Where,
    },
    /// Trains a version on what was said of incidents; it is born in shadow.
    Train {
        #[command(flatten)]
        place: Where,
    },
    /// Lets a version's answers be shown; left out: the newest in shadow.
    #[command(after_help = "Example: nightjar model promote 3 --reason 'precision 0.91 is enough'")]
    Promote {
        /// Its number.
        version: Option<u32>,
        /// Why; kept in the audit log.
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        place: Where,
    },
    /// Goes back to the version that was live before; without one, to showing nothing.
    Rollback {
        /// The version to go back to, instead of the one before.
        version: Option<u32>,
        /// Why; kept in the audit log.
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        place: Where,
    },
}

/// Runs one of the commands.
pub(super) fn run(command: ModelCommand) -> Answered {
    match command {
        ModelCommand::List { place } => with(&place, async |door| {
            let value = all(door, &place).await?;
            Ok(shown(&place, &value, list))
        }),
        ModelCommand::Show { version, place } => with(&place, async |door| {
            let value = one(all(door, &place).await?, version)?;
            Ok(shown(&place, &value, card))
        }),
        ModelCommand::Train { place } => with(&place, async |door| {
            let bot = needs_bot(door, "train a classifier")?;
            let value = bot.call(Method::POST, "/models/train", Some(&json!({}))).await?;
            Ok(shown(&place, &value, |v| format!("Trained, in shadow.\n{}", card(v))))
        }),
        ModelCommand::Promote { version, reason, place } => {
            moved(&place, "promote", version, &reason)
        }
        ModelCommand::Rollback { version, reason, place } => {
            moved(&place, "rollback", version, &reason)
        }
    }
}

fn moved(place: &Where, deed: &str, version: Option<u32>, reason: &str) -> Answered {
    with(place, async |door| {
        let bot = needs_bot(door, &format!("{deed} a classifier"))?;
        let wanted = json!({ "version": version, "reason": reason });
        let value = bot.call(Method::POST, &format!("/models/{deed}"), Some(&wanted)).await?;
        Ok(shown(place, &value, |v| {
            format!(
                "Version {} is {} now.\n",
                v["version"],
                v["state"].as_str().unwrap_or_default()
            )
        }))
    })
}

async fn all(door: &Door, place: &Where) -> anyhow::Result<Value> {
    Ok(match door {
        Door::Bot(bot) => bot.call(Method::GET, "/models", None).await?,
        Door::Store(reader, _) => {
            let settings = settings(place)?;
            let read = reader.read(move |r| {
                let versions = r.list::<Classifier>(&Filter::all().newest(MOST))?;
                Ok(json!({ "versions": versions, "standing": standing(r, &settings)? }))
            });
            read.await?
        }
    })
}

/// What the configuration says of the classifier, where one is named.
fn settings(place: &Where) -> anyhow::Result<Config> {
    Ok(match &place.config {
        Some(file) => super::start::loaded(file)?.learn.classify,
        None => config::Config::default().learn.classify,
    })
}

/// One version of a list: the one named, else the live one, else the newest.
fn one(mut all: Value, version: Option<u32>) -> anyhow::Result<Value> {
    let versions = all["versions"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let is = |v: &Value| match version {
        Some(number) => v["version"] == number,
        None => v["state"] == ClassifierState::Live.as_str(),
    };
    let place = versions.iter().position(is).or_else(|| version.is_none().then_some(0));
    place.and_then(|i| versions.into_iter().nth(i)).ok_or_else(|| {
        let text = match version {
            Some(number) => {
                format!("There is no version {number}; `nightjar model list` lists them.")
            }
            None => {
                "No version was trained yet; `nightjar model list` says what is missing.".into()
            }
        };
        Stop { code: 1, text }.into()
    })
}

fn list(value: &Value) -> String {
    let mut out = String::new();
    let versions: Vec<Classifier> =
        serde_json::from_value(value["versions"].clone()).unwrap_or_default();
    for version in &versions {
        out.push_str(&version.line());
        out.push('\n');
    }
    if versions.is_empty() {
        out.push_str("No version was trained yet.\n");
    }
    let known = &value["standing"];
    out.push_str(&format!(
        "{} incidents are kept as they were known, {} of them labelled; {} are needed.\n",
        known["n_incidents"], known["n_labelled"], known["needed"]
    ));
    for question in known["questions"].as_array().into_iter().flatten() {
        let word = question["question"].as_str().unwrap_or_default();
        let classes: Vec<String> = question["classes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|c| format!("{} {}", c[0].as_str().unwrap_or_default(), c[1]))
            .collect();
        let classes = if classes.is_empty() { "no class".to_owned() } else { classes.join(", ") };
        let enough = if question["enough"] == true { "enough" } else { "too few" };
        out.push_str(&format!("  {word}: {} ({classes}): {enough}\n", question["n"]));
    }
    out
}

fn card(value: &Value) -> String {
    match serde_json::from_value::<Classifier>(value.clone()) {
        Ok(version) => version.text(),
        Err(_) => format!("{value:#}\n"),
    }
}
