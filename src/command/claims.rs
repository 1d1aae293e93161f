//! What is being handled in this process at this moment, so that a stage and a request don't do
//! the same thing side by side. After a crash nothing is claimed, and what is due is done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// What is under way. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Claims {
    // Guards two short sets that are changed in one step each.
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    under_way: BTreeSet<String>,
    /// How often each one failed that is to be tried again.
    failures: BTreeMap<String, u32>,
}

impl Claims {
    /// The right to handle a key; `None` while somebody has it.
    pub(super) fn take(&self, key: &str) -> Option<Claim> {
        let mut inner = self.inner.lock().expect("nothing panics under this lock");
        let free = inner.under_way.insert(key.to_owned());
        free.then(|| Claim { key: key.to_owned(), claims: self.clone() })
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
    /// Notes a failure; gives how many there were.
    pub(super) fn failed(&self) -> u32 {
        let mut inner = self.claims.inner.lock().expect("nothing panics under this lock");
        let n = inner.failures.entry(self.key.clone()).or_default();
        *n += 1;
        *n
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
