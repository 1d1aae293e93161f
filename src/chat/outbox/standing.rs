//! How a platform's outbox stands, for `/readyz`, the status and the metrics.

use serde::{Deserialize, Serialize};

use super::{Post, PostState};
use crate::model::{Fault, Time};
use crate::store::{Filter, Rows, Tx};

/// What is kept of a platform over all its posts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// When something was last taken by the platform (event time).
    pub sent_at: Option<Time>,
    /// When a try last failed (event time).
    pub failed_at: Option<Time>,
    /// Why.
    pub error: Option<String>,
    /// Tries that failed since something was last taken; pauses asked for and refusals not counted.
    pub n_failed: u32,
}

impl Ledger {
    fn key(platform: &str) -> String {
        format!("outbox/{platform}")
    }

    /// What is kept of a platform.
    ///
    /// # Errors
    /// The store failed.
    pub fn of(rows: &Rows<'_>, platform: &str) -> Result<Self, Fault> {
        Ok(rows.value(&Self::key(platform))?.unwrap_or_default())
    }

    pub(super) fn sent(tx: &Tx<'_>, platform: &str, now: Time) -> Result<(), Fault> {
        let before = Self::of(tx, platform)?;
        let next = Self { sent_at: Some(now), n_failed: 0, ..before };
        tx.put_value(&Self::key(platform), &next)
    }

    pub(super) fn failed(
        tx: &Tx<'_>,
        platform: &str,
        fault: &Fault,
        now: Time,
    ) -> Result<(), Fault> {
        let before = Self::of(tx, platform)?;
        // One message that is refused, or a pause that was asked for, says nothing about it.
        let broken = matches!(fault, Fault::Transient { after: None, .. });
        let n_failed = before.n_failed.saturating_add(u32::from(broken));
        let next = Self { failed_at: Some(now), error: Some(fault.chain()), n_failed, ..before };
        tx.put_value(&Self::key(platform), &next)
    }
}

/// How a platform's outbox stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Posts that wait for the root of their thread.
    pub n_waiting: u64,
    /// Posts that were not tried in their newest form.
    pub n_due: u64,
    /// Posts that were tried and are tried again.
    pub n_trying: u64,
    /// Posts that the platform refuses.
    pub n_refused: u64,
    /// Since when the oldest of those in line waits (event time).
    pub oldest: Option<Time>,
    /// What is kept of it.
    pub ledger: Ledger,
}

impl Standing {
    /// Of one platform, by counting in an index.
    ///
    /// # Errors
    /// The store failed.
    pub fn of(rows: &Rows<'_>, platform: &str) -> Result<Self, Fault> {
        let mut standing = Self { ledger: Ledger::of(rows, platform)?, ..Self::default() };
        let mut count = |state: PostState| -> Result<u64, Fault> {
            let mut n = 0;
            for word in Post::words(state) {
                let tally = rows.tally::<Post>(platform, &word)?;
                n += tally.n;
                if state.is_open() {
                    standing.oldest = standing.oldest.into_iter().chain(tally.oldest).min();
                }
            }
            Ok(n)
        };
        let (n_waiting, n_due) = (count(PostState::Waiting)?, count(PostState::Due)?);
        let (n_trying, n_refused) = (count(PostState::Trying)?, count(PostState::Refused)?);
        Ok(Self { n_waiting, n_due, n_trying, n_refused, ..standing })
    }
}

/// Posts that could not be sent, or not yet although they were tried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unsent {
    /// Refused for good, the newest first.
    pub refused: Vec<Post>,
    /// Tried at least once and tried again, the most urgent first.
    pub trying: Vec<Post>,
    /// Waiting for the root of their thread, the oldest first.
    pub waiting: Vec<Post>,
    /// Not tried yet, the most urgent first.
    pub due: Vec<Post>,
}

impl Unsent {
    /// Of one platform, at most `limit` of each sort.
    ///
    /// # Errors
    /// The store failed.
    pub fn of(rows: &Rows<'_>, platform: &str, limit: usize) -> Result<Self, Fault> {
        let read = |state| -> Result<Vec<Post>, Fault> {
            let mut found = Vec::new();
            for word in Post::words(state) {
                let more = limit.saturating_sub(found.len());
                for outline in rows.outlines::<Post>(platform, &word, more)? {
                    found.extend(rows.get::<Post>(&outline.id)?);
                }
            }
            Ok(found)
        };
        let refused = Filter::states(Post::words(PostState::Refused)).newest(limit);
        let refused = Filter { parent: Some(platform.to_owned()), ..refused };
        Ok(Self {
            refused: rows.list::<Post>(&refused)?,
            trying: read(PostState::Trying)?,
            waiting: read(PostState::Waiting)?,
            due: read(PostState::Due)?,
        })
    }
}
