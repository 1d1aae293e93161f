//! How far each source has come.

use std::sync::{Arc, Mutex};

use crate::telemetry::prometheus::Progress;

/// Newest progress of each source.
#[derive(Clone, Default)]
pub struct Sources {
    // Guards a short list that is copied out whole.
    newest: Arc<Mutex<Vec<Progress>>>,
}

impl Sources {
    /// Takes the newest word of a source.
    pub fn told(&self, progress: Progress) {
        let mut newest = self.newest.lock().expect("nothing panics under this lock");
        newest.retain(|p| p.source != progress.source);
        newest.push(progress);
    }

    /// All sources as they last were.
    #[must_use]
    pub fn all(&self) -> Vec<Progress> {
        let mut all = self.newest.lock().expect("nothing panics under this lock").clone();
        all.sort_by(|a, b| a.source.cmp(&b.source));
        all
    }
}
