//! The JSON API: everything that the console shows and does.

mod alerts;
mod anomalies;
mod ask;
mod audit;
mod channels;
mod charts;
mod detectors;
mod events;
mod evidence;
mod files;
mod harmless;
mod incidents;
mod keys;
mod learned;
mod models;
mod objectives;
pub(super) mod outbox;
mod press;
mod proposals;
mod runbooks;
mod services;
mod silences;
mod status;
mod thread;
mod tunings;

use axum::Json;
use serde::Deserialize;

use super::table::{Access, Route};
use super::{Failure, State};
use crate::model::{Role, Time};
use crate::store::{Filter, Record};

pub use events::EventLog;

/// What a handler gives.
type Answer<T> = Result<Json<T>, Failure>;

const VIEWER: Access = Access::Role(Role::Viewer);
const RESPONDER: Access = Access::Role(Role::Responder);
const APPROVER: Access = Access::Role(Role::Approver);
const ADMIN: Access = Access::Role(Role::Admin);

/// All of it.
pub(super) fn routes() -> Vec<Route> {
    [
        incidents::routes(),
        thread::routes(),
        channels::routes(),
        files::routes(),
        ask::routes(),
        press::routes(),
        alerts::routes(),
        anomalies::routes(),
        evidence::routes(),
        charts::routes(),
        proposals::routes(),
        silences::routes(),
        services::routes(),
        objectives::routes(),
        runbooks::routes(),
        audit::routes(),
        outbox::routes(),
        status::routes(),
        detectors::routes(),
        tunings::routes(),
        harmless::routes(),
        models::routes(),
        events::routes(),
        keys::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Most records of one answer.
const MOST: usize = 1_000;
/// Records of an answer when nothing is said.
const USUAL: usize = 100;

/// The newest records before a time.
fn newest(limit: Option<usize>, before: Option<Time>) -> Filter {
    let filter = Filter::all().newest(limit.unwrap_or(USUAL).clamp(1, MOST));
    Filter { until: before, ..filter }
}

/// Where a page of a list ended: time and id of the last record that it went through. Records of one
/// time are told apart by it, which `before` can't.
fn cursor<R: Record>(last: &R) -> String {
    format!("{}.{}", last.index().at.ms(), last.key())
}

/// Reads what [`cursor`] gave.
///
/// # Errors
/// 400 for anything else.
fn past(cursor: Option<&str>) -> Result<Option<(Time, String)>, Failure> {
    let Some(text) = cursor.filter(|c| !c.is_empty()) else { return Ok(None) };
    let read = text.split_once('.').and_then(|(ms, id)| Some((ms.parse().ok()?, id)));
    let Some((ms, id)) = read.filter(|(ms, id)| *ms >= 0 && !id.is_empty() && id.len() < 200)
    else {
        metrics::counter!("nightjar_web_rejected_total").increment(1);
        let text = "cursor: give what `next` of the page before said, as it is.";
        return Err(Failure::bad_request(format!("The query does not fit: {text}")));
    };
    Ok(Some((Time::from_ms(ms), id.to_owned())))
}

/// A list of words in one parameter, each one of `T`'s: `open,acknowledged`. An empty text names
/// none.
///
/// # Errors
/// 400 for any other word, naming those that there are: an empty list for a slip of the hand would
/// look like health.
fn words<T: serde::de::DeserializeOwned>(
    name: &str,
    text: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let parts = text.unwrap_or_default().split(',').map(str::trim).filter(|w| !w.is_empty());
    parts
        .map(|word| {
            let known: Result<T, serde::de::value::Error> =
                T::deserialize(serde::de::value::StrDeserializer::new(word));
            known.map(|_| word.to_owned()).map_err(|e| {
                metrics::counter!("nightjar_web_rejected_total").increment(1);
                Failure::bad_request(format!("The query does not fit: {name}: {e}."))
            })
        })
        .collect()
}

/// Why something is asked for, in the person's words.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Reason {
    /// Kept in the timeline and the audit log.
    #[serde(default)]
    reason: String,
}

/// It was done.
#[derive(serde::Serialize, utoipa::ToSchema)]
struct Done {
    /// Always true.
    done: bool,
}
