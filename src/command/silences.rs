//! The desk: silences and maintenance windows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Desk, Problem, need, said};
use crate::bus::Event;
use crate::model::time::{DAY_MS, HOUR_MS};
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

/// Policy of silences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Silences {
    /// Least role that may silence, and end a silence.
    pub role: Role,
    /// Longest silence, in hours.
    #[schemars(range(min = 1, max = 8_760))]
    pub longest_h: u32,
    /// Longest maintenance window that somebody announces, in hours.
    #[schemars(range(min = 1, max = 8_760))]
    pub longest_maintenance_h: u32,
}

impl Default for Silences {
    fn default() -> Self {
        Self { role: Role::Responder, longest_h: 30 * 24, longest_maintenance_h: 90 * 24 }
    }
}

impl Silences {
    pub(super) fn longest_ms(&self, maintenance: bool) -> i64 {
        i64::from(if maintenance { self.longest_maintenance_h } else { self.longest_h }) * HOUR_MS
    }
}

/// Hours in the largest unit that is whole.
pub(super) fn hours(ms: i64) -> String {
    if ms % DAY_MS == 0 && ms > DAY_MS {
        format!("{} days", ms / DAY_MS)
    } else {
        format!("{} h", ms / HOUR_MS)
    }
}

impl Desk {
    /// Makes a silence.
    ///
    /// # Errors
    /// The role does not allow it, it would match everything, or its times make no sense.
    pub async fn silence(&self, actor: &Actor, new: NewSilence) -> Result<Silence, Problem> {
        need(actor, self.silences.role, "silence alerts")?;
        let invalid = |text: &str| Problem::from(Refused::Invalid(text.into()));
        if new.matchers.is_empty() || new.matchers.iter().all(matches_nothing_set) {
            return Err(invalid(
                "A silence needs a matcher that some alert fails, such as service=\"checkout\"; \
                 without one it would silence everything.",
            ));
        }
        let longest = self.silences.longest_ms(new.maintenance);
        if !(60_000..=longest).contains(&new.duration_ms) {
            let what = if new.maintenance { "maintenance window" } else { "silence" };
            return Err(invalid(&format!(
                "A {what} lasts between one minute and {}; choose an earlier end and make \
                 another one later where that is not enough.",
                hours(longest)
            )));
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
            reason: said(&new.reason, 500),
            maintenance: new.maintenance,
        };
        let kept = silence.clone();
        self.transact(move |tx| {
            tx.put(&kept)?;
            let detail = json!({
                "matchers": kept.matchers, "until": kept.ends_at, "reason": kept.reason,
            });
            tx.audit(now, &kept.author, "silence.create", &kept.id.to_string(), &detail)?;
            Ok(Ok(()))
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
        need(actor, self.silences.role, "end a silence")?;
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
