//! What is being handled in this process at this moment, so that a stage and a request don't do
//! the same thing side by side. After a crash nothing is claimed, and what is due is done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

/// Rest after one failure; doubled with each further one.
const REST: Duration = Duration::from_secs(1);
/// The longest rest, also where a platform asks for a longer pause.
const MOST_REST: Duration = Duration::from_secs(60);

/// What is under way. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Claims {
    // Guards two short sets that are changed in one step each.
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    under_way: BTreeSet<String>,
    /// What failed and is to be tried again.
    failures: BTreeMap<String, Failures>,
}

struct Failures {
    n: u32,
    rests_until: Instant,
}

impl Claims {
    /// The right to handle a key; `None` while somebody has it, or while it rests after a failure.
    pub(super) fn take(&self, key: &str) -> Option<Claim> {
        let mut inner = self.inner.lock().expect("nothing panics under this lock");
        if inner.failures.get(key).is_some_and(|f| Instant::now() < f.rests_until) {
            return None;
        }
        let free = inner.under_way.insert(key.to_owned());
        free.then(|| Claim { key: key.to_owned(), claims: self.clone() })
    }

    /// How often what was said under a key failed until now.
    pub(super) fn n_failed(&self, key: &str) -> u32 {
        let inner = self.inner.lock().expect("nothing panics under this lock");
        inner.failures.get(key).map_or(0, |f| f.n)
    }
}

#[cfg(test)]
impl Claims {
    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.inner.lock().expect("nothing panics under this lock").under_way.is_empty()
    }
}

/// The right to handle what was said under one key; given back when it is dropped.
pub struct Claim {
    key: String,
    claims: Claims,
}

impl Claim {
    /// Notes a failure, after which the other side may have asked for a pause; gives how many
    /// there were.
    pub(super) fn failed(&self, pause: Option<Duration>) -> u32 {
        let mut inner = self.claims.inner.lock().expect("nothing panics under this lock");
        let now = Instant::now();
        let first = Failures { n: 0, rests_until: now };
        let failures = inner.failures.entry(self.key.clone()).or_insert(first);
        let rest = REST * (1 << failures.n.min(6));
        failures.rests_until = now + rest.max(pause.unwrap_or_default()).min(MOST_REST);
        failures.n += 1;
        failures.n
    }

    /// Forgets the failures: it was handled.
    pub(super) fn done(&self) {
        let mut inner = self.claims.inner.lock().expect("nothing panics under this lock");
        inner.failures.remove(&self.key);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut inner = self.claims.inner.lock().expect("nothing panics under this lock");
        inner.under_way.remove(&self.key);
    }
}
