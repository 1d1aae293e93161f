//! What a model may cost: counted in tokens per incident and per day, kept over a restart.

use serde::{Deserialize, Serialize};

use super::{Config, Usage};
use crate::model::{Fault, IncidentId, Time, time::DAY_MS};
use crate::store::Store;

/// Tokens spent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// In the day of the question (UTC).
    pub today: u64,
    /// On the incident, where the question is about one.
    pub on_incident: u64,
}

/// The account. It writes what was spent and nothing else: whoever holds it has no other way
/// into the store.
#[derive(Clone)]
pub struct Budget {
    per_incident: u64,
    per_day: u64,
    store: Store,
}

fn day_key(now: Time) -> String {
    format!("llm/spent/day/{}", &now.floor_to(DAY_MS).to_string()[..10])
}

fn incident_key(incident: IncidentId) -> String {
    format!("llm/spent/{incident}")
}

impl Budget {
    /// The account of a store with the configured limits.
    #[must_use]
    pub fn new(config: &Config, store: Store) -> Self {
        Self { per_incident: config.budget_per_incident, per_day: config.budget_per_day, store }
    }

    /// What was spent up to now.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn spent(&self, incident: Option<IncidentId>, now: Time) -> Result<Spent, Fault> {
        self.store
            .read(move |r| {
                let read = |key: &str| Ok::<u64, Fault>(r.value::<u64>(key)?.unwrap_or(0));
                let on_incident = incident.map(|i| read(&incident_key(i))).transpose()?;
                Ok(Spent { today: read(&day_key(now))?, on_incident: on_incident.unwrap_or(0) })
            })
            .await
    }

    /// Why nothing more may be spent, in words; `None` while there is some left.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn exhausted(
        &self,
        incident: Option<IncidentId>,
        now: Time,
    ) -> Result<Option<String>, Fault> {
        let spent = self.spent(incident, now).await?;
        let over = |spent: u64, limit: u64| limit > 0 && spent >= limit;
        Ok(if over(spent.today, self.per_day) {
            Some(format!(
                "the model's budget of today is spent ({} of {} tokens)",
                spent.today, self.per_day
            ))
        } else if over(spent.on_incident, self.per_incident) {
            Some(format!(
                "the model's budget for this incident is spent ({} of {} tokens)",
                spent.on_incident, self.per_incident
            ))
        } else {
            None
        })
    }

    /// Books one exchange; durable when it returns.
    ///
    /// # Errors
    /// The store can't be written.
    pub async fn book(
        &self,
        incident: Option<IncidentId>,
        now: Time,
        usage: Usage,
    ) -> Result<(), Fault> {
        let tokens = usage.tokens_in.saturating_add(usage.tokens_out);
        self.store
            .write(move |tx| {
                let keys = [Some(day_key(now)), incident.map(incident_key)];
                for key in keys.into_iter().flatten() {
                    let spent = tx.value::<u64>(&key)?.unwrap_or(0).saturating_add(tokens);
                    tx.put_value(&key, &spent)?;
                }
                Ok(())
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(tokens: u64) -> Usage {
        Usage { tokens_in: tokens - 1, tokens_out: 1 }
    }

    #[tokio::test]
    async fn limits_hold_over_a_restart_and_end_with_the_day() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("nightjar.sqlite");
        let config = Config { budget_per_incident: 100, budget_per_day: 150, ..Config::default() };
        let now = Time::parse("2026-11-21T23:00:00Z").expect("valid");
        let (a, b) = (IncidentId::derive(now, &["a"]), IncidentId::derive(now, &["b"]));
        let store = Store::open(&path).expect("opens");
        let budget = Budget::new(&config, store.clone());
        assert_eq!(budget.exhausted(Some(a), now).await.expect("reads"), None);
        budget.book(Some(a), now, usage(100)).await.expect("books");
        drop((budget, store));
        let budget = Budget::new(&config, Store::open(&path).expect("opens again"));
        let why = budget.exhausted(Some(a), now).await.expect("reads").expect("is spent");
        assert_eq!(why, "the model's budget for this incident is spent (100 of 100 tokens)");
        assert_eq!(budget.exhausted(Some(b), now).await.expect("reads"), None);
        budget.book(None, now, usage(50)).await.expect("books");
        let why = budget.exhausted(Some(b), now).await.expect("reads").expect("is spent");
        assert_eq!(why, "the model's budget of today is spent (150 of 150 tokens)");
        let tomorrow = now.plus_ms(2 * 3_600_000);
        assert_eq!(budget.exhausted(Some(b), tomorrow).await.expect("reads"), None);
    }

    #[tokio::test]
    async fn no_limit_is_no_limit() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("s.sqlite")).expect("opens");
        let config = Config { budget_per_incident: 0, budget_per_day: 0, ..Config::default() };
        let budget = Budget::new(&config, store);
        let now = Time::from_ms(1);
        budget.book(None, now, usage(9_999_999)).await.expect("books");
        assert_eq!(budget.exhausted(None, now).await.expect("reads"), None);
        assert_eq!(budget.spent(None, now).await.expect("reads").today, 9_999_999);
    }
}
