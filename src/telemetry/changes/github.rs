//! GitHub's webhooks `deployment`, `deployment_status`, `release`, `push` and `ping`.
//! Format: <https://docs.github.com/en/webhooks/webhook-events-and-payloads>.

use serde_json::Value;

use super::{Config, Seen, json, text, verify};
use crate::model::{Batch, Change, ChangeId, ChangeKind, EntityRef, Labels, Time};
use crate::telemetry::Rejected;

/// The headers of a delivery.
#[derive(Clone, Copy, Debug, Default)]
pub struct GithubHeaders<'a> {
    /// `X-GitHub-Event`.
    pub event: Option<&'a str>,
    /// `X-GitHub-Delivery`, unique to the delivery and its repetitions.
    pub delivery: Option<&'a str>,
    /// `X-Hub-Signature-256`.
    pub signature: Option<&'a str>,
}

/// Checks and decodes one delivery; an event that says nothing about a change gives an empty batch.
/// After a transient fault of the intake call [`Seen::forget`] with the delivery id.
///
/// # Errors
/// 401 for a wrong signature, 409 for a repeated delivery (which the front door
/// answers as the success that it is), 400 for what makes no sense.
pub fn decode_github(
    headers: GithubHeaders<'_>,
    body: &[u8],
    now: Time,
    (secret, config): (&[u8], &Config),
    seen: &Seen,
) -> Result<Batch, Rejected> {
    verify(secret, &[body], headers.signature)?;
    let event = headers.event.ok_or_else(|| Rejected::invalid("X-GitHub-Event is missing"))?;
    let delivery =
        headers.delivery.ok_or_else(|| Rejected::invalid("X-GitHub-Delivery is missing"))?;
    let payload = json(body)?;
    let mut batch = Batch::new("github", now);
    batch.changes.extend(change(event, &payload, now, config)?);
    seen.note(delivery)?;
    Ok(batch)
}

fn change(
    event: &str,
    payload: &Value,
    now: Time,
    config: &Config,
) -> Result<Option<Change>, Rejected> {
    let get = |pointer: &str| text(payload, pointer);
    if event == "ping" {
        return Ok(None);
    }
    let repository = get("/repository/full_name")?
        .ok_or_else(|| Rejected::invalid("/repository/full_name: missing"))?;
    let service = config.service(&repository);
    let mut attributes = Labels::default().with("vcs.repository.name", &repository);
    let (key, title, version, author, url, at, status) = match event {
        "deployment" | "deployment_status" => {
            let id = payload.pointer("/deployment/id").and_then(Value::as_u64);
            let id = id.ok_or_else(|| Rejected::invalid("/deployment/id: expected a number"))?;
            let reference = get("/deployment/ref")?.unwrap_or_default();
            let what = get("/deployment/description")?;
            if let Some(place) = get("/deployment/environment")? {
                attributes.set("deployment.environment.name", place);
            }
            if let Some(sha) = get("/deployment/sha")? {
                attributes.set("vcs.ref.head.revision", sha);
            }
            let title = match what {
                Some(what) => format!("deploy {reference}: {what}"),
                None => format!("deploy {reference}"),
            };
            let status = get("/deployment_status/state")?.unwrap_or_else(|| "pending".to_owned());
            let at = get("/deployment/created_at")?;
            let author = get("/deployment/creator/login")?;
            let url = get("/deployment_status/target_url")?.or(get("/deployment/url")?);
            (format!("deployment {id}"), title, Some(reference), author, url, at, status)
        }
        "release" => {
            if get("/action")?.is_none_or(|action| action != "published") {
                return Ok(None);
            }
            let tag = get("/release/tag_name")?
                .ok_or_else(|| Rejected::invalid("/release/tag_name: missing"))?;
            let title = match get("/release/name")?.filter(|name| *name != tag) {
                Some(name) => format!("release {tag}: {name}"),
                None => format!("release {tag}"),
            };
            let at = get("/release/published_at")?;
            let (author, url) = (get("/release/author/login")?, get("/release/html_url")?);
            (format!("release {tag}"), title, Some(tag), author, url, at, "published".to_owned())
        }
        "push" => {
            let branch = get("/ref")?.unwrap_or_default();
            let default = get("/repository/default_branch")?.unwrap_or_default();
            // Only what lands on the default branch can reach production.
            if branch != format!("refs/heads/{default}") {
                return Ok(None);
            }
            let sha = get("/after")?.ok_or_else(|| Rejected::invalid("/after: missing"))?;
            let first = get("/head_commit/message")?.unwrap_or_default();
            let title = format!("push: {}", first.lines().next().unwrap_or("no message"));
            let (author, url) = (get("/pusher/name")?, get("/compare")?);
            let at = get("/head_commit/timestamp")?;
            (format!("push {sha}"), title, Some(sha), author, url, at, "pushed".to_owned())
        }
        _ => return Ok(None),
    };
    let at = match at {
        // A change can't take effect after it was told; a commit may be older than its push.
        Some(_) if event == "push" => now,
        Some(at) => Time::parse(&at).map_err(Rejected::invalid)?.min(now),
        None => now,
    };
    // A push has no time of its own that repeats with its redelivery; its commit is its identity.
    let id_time = if event == "push" { Time::MIN } else { at };
    Ok(Some(Change {
        id: ChangeId::derive(id_time, &["github", &repository, &key]),
        // A push is code that landed, not yet a deploy.
        kind: if event == "push" { ChangeKind::Other } else { ChangeKind::Deploy },
        entity: EntityRef::service(service),
        at,
        title,
        version: version.filter(|v| !v.is_empty()),
        previous: None,
        author,
        url,
        source: "github".to_owned(),
        status,
        attributes,
        diff: Vec::new(),
    }))
}
