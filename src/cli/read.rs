//! The commands that read: of the running bot's API, or of its store when none runs. Both give
//! the same JSON, so that one text is made of either.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::reach::{Bot, Door, Where};
use super::start::{Stop, code};
use super::{complain, words, write};
use crate::assist::{self, Assistant, Question};
use crate::command::{About, explain};
use crate::model::{
    Actor, Alert, Diagnosis, Harmless, HarmlessState, Incident, IncidentId, IncidentState,
    Proposal, Role, Run, Silence, Time, TimelineEntry, Tuning, TuningState, wall_now,
};
use crate::store::{Filter, Reader};

/// Key under which a demo keeps its event time.
const DEMO_CLOCK: &str = "demo/clock";
/// Incidents among which a number is looked for, newest first.
const MOST: usize = 1_000;

pub(super) type Answered = anyhow::Result<ExitCode>;

/// Opens the door, says which one, and runs `work`.
pub(super) fn with(place: &Where, work: impl AsyncFnOnce(&Door) -> Answered) -> Answered {
    let door = place.door()?;
    complain(&match &door {
        Door::Bot(bot) => format!("Asked the bot at {}.\n", bot.url()),
        Door::Store(_, path) => {
            format!("No bot runs here; read from its store {}.\n", path.display())
        }
    });
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work(&door))
}

pub(super) fn shown(place: &Where, value: &Value, text: impl FnOnce(&Value) -> String) -> ExitCode {
    let text = if place.json { format!("{value:#}\n") } else { text(value) };
    write(&text);
    ExitCode::SUCCESS
}

/// "Now" for a store without a bot: a demo's clock where there is one.
async fn now_of(reader: &Reader) -> anyhow::Result<Time> {
    Ok(reader.read(|r| Ok(r.value::<Time>(DEMO_CLOCK)?.unwrap_or_else(wall_now))).await?)
}

pub(super) fn needs_bot<'a>(door: &'a Door, what: &str) -> anyhow::Result<&'a Bot> {
    match door {
        Door::Bot(bot) => Ok(bot),
        Door::Store(..) => {
            let text = format!("To {what} the bot must run; start it with `nightjar run`.");
            Err(Stop { code: 1, text }.into())
        }
    }
}

/// `nightjar login`.
pub(super) fn login(place: &Where, name: &str, role: &str) -> Answered {
    with(place, async |door| {
        let bot = needs_bot(door, "log in")?;
        let wanted = json!({ "name": name, "role": role });
        let value = bot.call(Method::POST, "/login-links", Some(&wanted)).await?;
        Ok(shown(place, &value, |v| format!("{}\n", v["url"].as_str().unwrap_or_default())))
    })
}

/// `nightjar status`.
pub(super) fn status(place: &Where) -> Answered {
    with(place, async |door| {
        let value = match door {
            Door::Bot(bot) => bot.call(Method::GET, "/status", None).await?,
            Door::Store(reader, _) => {
                let size = reader.size_bytes();
                let (now, active) = (now_of(reader).await?, active());
                let n_active = reader.read(move |r| r.count::<Incident>(&active)).await?;
                let open = Filter::states([TuningState::Open.as_str()]);
                let n_tunings = reader.read(move |r| r.count::<Tuning>(&open)).await?;
                let open = Filter::states([HarmlessState::Open.as_str()]);
                let n_harmless = reader.read(move |r| r.count::<Harmless>(&open)).await?;
                json!({
                    "running": false, "now": now, "store_bytes": size, "n_active": n_active,
                    "n_tunings": n_tunings, "n_harmless": n_harmless,
                })
            }
        };
        shown(place, &value, words::status);
        Ok(code(matches!(door, Door::Bot(_))))
    })
}

fn active() -> Filter {
    Filter::states(IncidentState::ACTIVE.map(IncidentState::as_str))
}

async fn list(door: &Door, all: bool) -> anyhow::Result<Value> {
    Ok(match door {
        Door::Bot(bot) => {
            let query = if all { "?limit=1000" } else { "?active=true&limit=1000" };
            bot.call(Method::GET, &format!("/incidents{query}"), None).await?
        }
        Door::Store(reader, _) => {
            let filter = if all { Filter::all() } else { active() }.newest(MOST);
            json!({ "incidents": reader.read(move |r| r.list::<Incident>(&filter)).await? })
        }
    })
}

/// `nightjar incidents`.
pub(super) fn incidents(place: &Where, all: bool) -> Answered {
    with(place, async |door| {
        let value = list(door, all).await?;
        let now = match door {
            Door::Bot(bot) => {
                let status = bot.call(Method::GET, "/status", None).await?;
                serde_json::from_value(status["now"].clone()).unwrap_or_else(|_| wall_now())
            }
            Door::Store(reader, _) => now_of(reader).await?,
        };
        Ok(shown(place, &value, |v| words::incidents(v, all, now)))
    })
}

/// The incident that a number (`12`, `#12`), an id, or the end of an id names.
async fn named(door: &Door, text: &str) -> anyhow::Result<IncidentId> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let incidents: Vec<Incident> =
        serde_json::from_value(list(door, true).await?["incidents"].take())?;
    let wanted = text.trim_start_matches('#');
    let number: Option<u64> = wanted.parse().ok();
    incidents
        .iter()
        .find(|i| number == Some(i.number) || i.id.short().eq_ignore_ascii_case(wanted))
        .map(|i| i.id)
        .ok_or_else(|| {
            let text =
                format!("There is no incident {text}; `nightjar incidents --all` lists them.");
            Stop { code: 1, text }.into()
        })
}

/// `nightjar incidents <one>`.
pub(super) fn incident(place: &Where, which: &str) -> Answered {
    with(place, async |door| {
        let id = named(door, which).await?;
        let value = match door {
            Door::Bot(bot) => bot.call(Method::GET, &format!("/incidents/{id}"), None).await?,
            Door::Store(reader, _) => {
                let found = reader.read(move |r| {
                    let Some(incident) = r.get::<Incident>(id)? else { return Ok(None) };
                    let own = Filter::parent(id);
                    Ok(Some(json!({
                        "incident": incident,
                        "n_alerts": r.count::<Alert>(&own)?,
                        "timeline": r.list::<TimelineEntry>(&own)?,
                        "diagnosis": r.get::<Diagnosis>(id)?,
                        "proposals": r.list::<Proposal>(&own)?,
                        "runs": r.list::<Run>(&own)?,
                    })))
                });
                found.await?.ok_or_else(|| gone("incident"))?
            }
        };
        Ok(shown(place, &value, words::incident))
    })
}

fn gone(what: &str) -> Stop {
    Stop { code: 1, text: format!("There is no such {what}.") }
}

/// `nightjar why`.
pub(super) fn why(place: &Where, subject: &str) -> Answered {
    with(place, async |door| {
        let about = match subject.parse() {
            Ok(about) => about,
            Err(()) => About::Incident(named(door, subject).await?),
        };
        let value = match door {
            Door::Bot(bot) => bot.call(Method::GET, &format!("/why/{about}"), None).await?,
            Door::Store(reader, _) => {
                let found = reader.read(move |r| explain(r, about)).await?;
                json!(found.ok_or_else(|| gone("alert, incident, proposal or run"))?)
            }
        };
        Ok(shown(place, &value, words::why))
    })
}

/// `nightjar ask`.
pub(super) fn ask(place: &Where, question: &str, incident: Option<&str>) -> Answered {
    with(place, async |door| {
        let incident = match incident {
            Some(which) => Some(named(door, which).await?),
            None => None,
        };
        let value = match door {
            Door::Bot(bot) => {
                let body = json!({ "question": question, "incident": incident });
                // Somebody who waits before a terminal sees what goes on.
                let seen = std::io::stderr().is_terminal();
                bot.ask(&body, |step| {
                    if seen {
                        complain(&format!("… {step}\n"));
                    }
                })
                .await?
            }
            Door::Store(reader, _) => {
                let now = now_of(reader).await?;
                let assistant = Assistant::new(reader.clone(), None, assist::Config::default());
                let (name, id) = ("cli".to_owned(), "cli".to_owned());
                let actor = Actor { via: "cli".into(), id, name, role: Role::Viewer };
                let (progress, _) = tokio::sync::mpsc::channel(1);
                let question = Question { text: question.to_owned(), actor, incident, now };
                json!(assistant.ask(question, progress).await?)
            }
        };
        Ok(shown(place, &value, words::answer))
    })
}

/// `nightjar silence add`.
pub(super) fn silence(place: &Where, wanted: &Value) -> Answered {
    with(place, async |door| {
        let bot = needs_bot(door, "silence alerts")?;
        let value = bot.call(Method::POST, "/silences", Some(wanted)).await?;
        Ok(shown(place, &value, |v| format!("Made: {}", words::silence(v))))
    })
}

/// `nightjar silence list`.
pub(super) fn silences(place: &Where, all: bool) -> Answered {
    with(place, async |door| {
        let (mut value, now) = match door {
            Door::Bot(bot) => {
                let status = bot.call(Method::GET, "/status", None).await?;
                let now = serde_json::from_value(status["now"].clone());
                let list = bot.call(Method::GET, "/silences?limit=1000", None).await?;
                (list, now.unwrap_or_else(|_| wall_now()))
            }
            Door::Store(reader, _) => {
                let filter = Filter::all().newest(MOST);
                let list = reader.read(move |r| r.list::<Silence>(&filter)).await?;
                (json!({ "silences": list }), now_of(reader).await?)
            }
        };
        if let Some(list) = value["silences"].as_array_mut().filter(|_| !all) {
            list.retain(|s| {
                serde_json::from_value::<Time>(s["ends_at"].clone()).is_ok_and(|end| end > now)
            });
        }
        Ok(shown(place, &value, words::silences))
    })
}

/// `nightjar silence end`.
pub(super) fn end_silence(place: &Where, id: &str) -> Answered {
    with(place, async |door| {
        let bot = needs_bot(door, "end a silence")?;
        let value = bot.call(Method::DELETE, &format!("/silences/{}", segment(id)), None).await?;
        Ok(shown(place, &value, |v| format!("Ended: {}", words::silence(v))))
    })
}

/// `nightjar audit verify`.
pub(super) fn audit_verify(place: &Where) -> Answered {
    with(place, async |door| {
        let value = match door {
            Door::Bot(bot) => bot.call(Method::GET, "/audit/verify", None).await?,
            Door::Store(reader, _) => match reader.read(|r| r.audit_verify()).await? {
                Ok((n, hash)) => json!({ "whole": true, "n": n, "hash": hash }),
                Err(broken) => json!({ "whole": false, "reason": broken.to_string() }),
            },
        };
        shown(place, &value, words::verified);
        Ok(code(value["whole"] == true))
    })
}

/// An id as one segment of an address, whatever somebody typed.
fn segment(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}
