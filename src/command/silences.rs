//! The desk: silences and maintenance windows.

use serde_json::json;

use super::{Desk, Problem, need};
use crate::bus::Event;
use crate::model::time::DAY_MS;
use crate::model::{Actor, Matcher, Refused, Role, Silence, SilenceId, Time};

/// A silence as somebody asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSilence {
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// From when (event time); `None`: now.
    pub starts_at: Option<Time>,
    /// For how long, in milliseconds of event time.
    pub duration_ms: i64,
    /// Why.
    pub reason: String,
    /// Planned work rather than noise.
    pub maintenance: bool,
}

/// Longest silence.
const LONGEST_MS: i64 = 90 * DAY_MS;

impl Desk {
    /// Makes a silence.
    ///
    /// # Errors
    /// The role does not allow it, it would match everything, or its times make no sense.
    pub async fn silence(&self, actor: &Actor, new: NewSilence) -> Result<Silence, Problem> {
        need(actor, Role::Responder, "silence alerts")?;
        let invalid = |text: &str| Problem::from(Refused::Invalid(text.into()));
        if new.matchers.is_empty() || new.matchers.iter().all(matches_nothing_set) {
            return Err(invalid(
                "A silence needs a matcher that some alert fails, such as service=\"checkout\"; \
                 without one it would silence everything.",
            ));
        }
        if !(60_000..=LONGEST_MS).contains(&new.duration_ms) {
            return Err(invalid("A silence lasts between one minute and 90 days."));
        }
        if new.reason.trim().is_empty() {
            return Err(invalid("Say why, so that others know; the reason is shown with it."));
        }
        let now = self.clock.now();
        let starts_at = new.starts_at.unwrap_or(now).max(now);
        let silence = Silence {
            id: SilenceId::random(now),
            matchers: new.matchers,
            starts_at,
            ends_at: starts_at.plus_ms(new.duration_ms),
            author: actor.clone(),
            reason: new.reason.trim().chars().take(500).collect(),
            maintenance: new.maintenance,
        };
        let kept = silence.clone();
        self.store
            .write(move |tx| {
                tx.put(&kept)?;
                let detail = json!({
                    "matchers": kept.matchers, "until": kept.ends_at, "reason": kept.reason,
                });
                tx.audit(now, &kept.author, "silence.create", &kept.id.to_string(), &detail)
            })
            .await?;
        self.bus.publish(Event::Silence(silence.id));
        Ok(silence)
    }

    /// Ends a silence now.
    ///
    /// # Errors
    /// The role does not allow it, or there is no such silence in force.
    pub async fn end_silence(&self, actor: &Actor, id: SilenceId) -> Result<Silence, Problem> {
        need(actor, Role::Responder, "end a silence")?;
        let (actor, now) = (actor.clone(), self.clock.now());
        let silence = self
            .transact(move |tx| {
                let Some(mut silence) = tx.get::<Silence>(id)?.filter(|s| s.ends_at > now) else {
                    return Ok(Err(Refused::NotFound(
                        "There is no such silence in force; it may have ended already.".into(),
                    )));
                };
                silence.ends_at = now;
                tx.put(&silence)?;
                tx.audit(now, &actor, "silence.end", &id.to_string(), &json!({}))?;
                Ok(Ok(silence))
            })
            .await?;
        self.bus.publish(Event::Silence(id));
        Ok(silence)
    }
}

/// Whether an alert without any label would match: such a matcher narrows nothing.
fn matches_nothing_set(matcher: &Matcher) -> bool {
    matcher.matches(&crate::model::Labels::default())
}
