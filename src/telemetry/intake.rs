//! The one way into the journal: redact, write, ring.
//!
//! [`Intake::accept`] returns after the batch is on disk together with what it says (points, log
//! lines, spans, edges of the service graph, changes). The detect stage does not get batches by
//! channel: it reads the journal in order from its own position whenever [`Intake::watch`] moves,
//! so nothing is lost, repeated or reordered by a crash. When detection falls too far behind,
//! batches are refused with a transient fault (HTTP 503) instead of being piled up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::{gaps, graph, redact};
use crate::bus::{Bus, Event};
use crate::model::{Batch, Change, Fault};
use crate::store::Store;

/// Batches that may wait in the journal for detection before new ones are refused.
const BACKLOG: u64 = 20_000;

/// The door to the journal. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    store: Store,
    bus: Bus,
    end: watch::Sender<u64>,
    judged: Arc<AtomicU64>,
}

impl Intake {
    /// A door to the store's journal.
    ///
    /// # Errors
    /// The journal's end can't be read.
    pub async fn open(store: Store, bus: Bus) -> Result<Self, Fault> {
        let end = store.read(|r| r.journal_end()).await?;
        let judged = Arc::new(AtomicU64::new(end));
        Ok(Self { store, bus, end: watch::Sender::new(end), judged })
    }

    /// Redacts a batch and writes it; gives its place in the journal once it is durable.
    ///
    /// # Errors
    /// A transient fault when detection is too far behind or the disk is full; then nothing of
    /// the batch was taken.
    pub async fn accept(&self, mut batch: Batch) -> Result<u64, Fault> {
        let behind = self.end.borrow().saturating_sub(self.judged.load(Ordering::Relaxed));
        if behind > BACKLOG {
            metrics::counter!("nightjar_intake_refused_total").increment(1);
            return Err(Fault::Transient {
                context: format!("detection is {behind} batches behind; try again later"),
                after: Some(Duration::from_secs(5)),
                source: None,
            });
        }
        redact::redact_batch(&mut batch);
        let source = batch.source.clone();
        let (seq, changes) = self
            .store
            .write(move |tx| {
                let seq = tx.append_batch(&batch)?;
                for samples in &batch.metrics {
                    tx.append_points(samples)?;
                }
                tx.append_logs(&batch.logs)?;
                tx.append_spans(&batch.spans)?;
                graph::learn(tx, &batch.spans)?;
                gaps::keep(tx, &batch)?;
                let mut changes = Vec::new();
                for change in &batch.changes {
                    // The same change told again (a delivery repeated, a deployment that went
                    // on) may bring a newer status; when it happened was said the first time.
                    let old = tx.get::<Change>(change.id)?;
                    let mut change = change.clone();
                    if let Some(old) = &old {
                        renew(&mut change, old);
                    }
                    if old.as_ref() != Some(&change) {
                        tx.put(&change)?;
                        changes.push(change.id);
                    }
                }
                Ok((seq, changes))
            })
            .await?;
        metrics::counter!("nightjar_intake_batches_total", "source" => source).increment(1);
        self.end.send_modify(|end| *end = seq.max(*end));
        for id in changes {
            self.bus.publish(Event::Change(id));
        }
        Ok(seq)
    }

    /// The journal's end, and a doorbell for when it moves.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// Detection says how far it has come (the last place it has judged).
    pub fn judged(&self, seq: u64) {
        self.judged.store(seq, Ordering::Relaxed);
    }

    /// How many batches wait for detection.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.end.borrow().saturating_sub(self.judged.load(Ordering::Relaxed))
    }
}

/// What a change that is told again keeps of what was told before.
fn renew(change: &mut Change, old: &Change) {
    change.at = old.at;
    // Deliveries overtake each other: what went on does not wait again.
    if change.status == "pending" {
        change.status.clone_from(&old.status);
    }
    // It ended when that was told first.
    if let Some(ended) = old.ended_at()
        && change.ended_at().is_none_or(|again| again > ended)
    {
        change.attributes.set(Change::ENDED_AT, ended.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChangeId, ChangeKind, EntityRef, Labels, Time};

    fn at(seconds: i64) -> Time {
        Time::from_ms(1_800_000_000_000 + seconds * 1_000)
    }

    fn change(kind: ChangeKind) -> Change {
        Change {
            id: ChangeId::derive(at(0), &["api"]),
            kind,
            entity: EntityRef::service("api"),
            at: at(0),
            title: "told".into(),
            version: None,
            previous: None,
            author: None,
            url: None,
            source: "webhook".into(),
            status: String::new(),
            attributes: Labels::default(),
            diff: Vec::new(),
        }
    }

    #[test]
    fn what_is_told_again_goes_on_and_ended_when_that_was_told_first() {
        let told = |kind, status: &str, ended: Option<i64>| {
            let mut made = change(kind);
            made.status = status.into();
            if let Some(seconds) = ended {
                made.attributes.set(Change::ENDED_AT, at(seconds).to_string());
            }
            made
        };
        let again = |old: &Change, mut new: Change| {
            renew(&mut new, old);
            (new.status.clone(), new.ended_at())
        };
        let over = told(ChangeKind::Provider, "resolved", Some(600));
        for (new, ended) in [("postmortem", Some(9_000)), ("investigating", None)] {
            let renewed = again(&over, told(ChangeKind::Provider, new, ended));
            assert_eq!(renewed, (new.to_owned(), Some(at(600))), "{new}");
        }
        let sooner = again(&over, told(ChangeKind::Provider, "resolved", Some(300)));
        assert_eq!(sooner.1, Some(at(300)), "the sender knows better now");
        let done = told(ChangeKind::Deploy, "success", None);
        let waits = again(&done, told(ChangeKind::Deploy, "pending", None));
        assert_eq!(waits, ("success".into(), None));
    }
}
