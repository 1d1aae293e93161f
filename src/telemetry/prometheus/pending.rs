//! A batch that is being filled from answers, cut where it grows too long for one journal entry.

use crate::model::{Batch, Samples};

/// Points of one batch at most; a journal entry stays below a few MB.
const BATCH_POINTS: usize = 50_000;

/// A batch that is being filled.
pub(super) struct Pending {
    pub(super) batch: Batch,
    n_batch: usize,
    pub(super) n_points: u64,
    pub(super) n_series: usize,
}

impl Pending {
    pub(super) fn new(batch: Batch) -> Self {
        Self { batch, n_batch: 0, n_points: 0, n_series: 0 }
    }

    /// Adds samples; gives the batch that was full before them.
    pub(super) fn push(&mut self, samples: Samples) -> Option<Batch> {
        let n = samples.points.len();
        let full = (self.n_batch > 0 && self.n_batch + n > BATCH_POINTS).then(|| {
            self.n_batch = 0;
            let empty = Batch {
                backfill: self.batch.backfill,
                ..Batch::new(self.batch.source.clone(), self.batch.received_at)
            };
            std::mem::replace(&mut self.batch, empty)
        });
        self.n_batch += n;
        self.n_points += n as u64;
        self.n_series += 1;
        self.batch.metrics.push(samples);
        full
    }
}
