//! An answer as it unfolds: each sentence that was verified is shown where the answer will stand,
//! in the same messages, not faster than people read and platforms take edits.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::clerk::asked;
use super::heard::{self, Handled};
use super::parts::Parts;
use super::{Clerk, said};
use crate::assist::Progress;
use crate::bus::Event;
use crate::chat::{Content, Inbound, Post};
use crate::model::{Fault, IncidentId};

/// Least wall time between two states of an answer in the making.
const PACE: Duration = Duration::from_secs(2);
/// What stands beneath an answer in the making.
const MAKING: &str = "Being answered …";
/// Longest text of an answer in the making, in characters.
const MOST_CHARS: usize = 40_000;

impl Clerk {
    /// Shows sentences as they are heard, until nobody says any more. Without a model none is
    /// said, and the answer comes in one piece.
    pub(super) async fn unfold(
        &self,
        inbound: &Inbound,
        incident: Option<IncidentId>,
        mut heard: mpsc::Receiver<Progress>,
    ) {
        let (mut sentences, mut shown_at) = (Vec::new(), None::<Instant>);
        while let Some(progress) = heard.recv().await {
            let Progress::Sentence { text } = progress else { continue };
            sentences.push(text);
            if shown_at.is_some_and(|at| at.elapsed() < PACE) {
                continue;
            }
            shown_at = Some(Instant::now());
            if let Err(fault) = self.show(inbound, incident, &sentences).await {
                tracing::warn!(error = fault.chain(), "a part of an answer was not shown");
            }
        }
    }

    async fn show(
        &self,
        inbound: &Inbound,
        incident: Option<IncidentId>,
        sentences: &[String],
    ) -> Result<(), Fault> {
        let text = said(&format!("{}{}", asked(inbound), sentences.join("\n")), MOST_CHARS);
        // In the thread of an incident several people read along.
        let reader = incident.is_none().then(|| inbound.actor.id.clone());
        let post = Post { reader, ..self.reply(inbound, Content::text(""), incident) };
        let parts = Parts::making(&text, MAKING, self.room(inbound), post);
        let key = inbound.key.clone();
        let write = move |tx: &crate::store::Tx<'_>| {
            // The whole answer may stand by now: it stays.
            if heard::state(tx, &key)? != Handled::Due {
                return Ok(false);
            }
            parts.want(tx)
        };
        if self.desk().store.write(write).await? {
            self.desk().bus.publish(Event::Outbox);
        }
        Ok(())
    }
}
