//! How far a platform's history was read for a message in doubt: a search that is too long for one
//! try goes on with the next one where it stopped, so that it ends however much was said since.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::model::Time;
use crate::model::time::MINUTE_MS;

/// How far the clocks of a platform and of this machine may be apart.
const SKEW_MS: i64 = 15 * MINUTE_MS;
/// Searches that are remembered; one that is forgotten begins anew.
const MOST: usize = 1_000;
/// Pause before a search goes on: other messages of the channel go in between.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// The oldest message that can be the one first tried at `tried_at` (wall time).
pub(super) fn oldest(tried_at: Option<Time>) -> Option<Time> {
    tried_at.map(|at| at.plus_ms(-SKEW_MS))
}

/// Searches that are under way, by the key of the message.
#[derive(Default)]
pub(super) struct Seeks {
    // Guards how far each search came, in the platform's own terms; changed in one step each.
    reached: Mutex<BTreeMap<String, String>>,
}

impl Seeks {
    /// Where the search for a key goes on; `None`: it begins.
    pub(super) fn reached(&self, key: &str) -> Option<String> {
        self.lock().get(key).cloned()
    }

    /// Notes how far the search for a key came.
    pub(super) fn note(&self, key: &str, at: &str) {
        let mut reached = self.lock();
        if reached.len() >= MOST {
            reached.clear();
        }
        reached.insert(key.to_owned(), at.to_owned());
    }

    /// Forgets a search: it came to an end, or must begin anew.
    pub(super) fn end(&self, key: &str) {
        self.lock().remove(key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.reached.lock().expect("nothing panics under this lock")
    }
}
