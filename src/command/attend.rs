//! The running of attendance: what was said and is due is handled, once, side by side.
//!
//! Hears `Inbound` and looks by itself every few seconds; rings `Outbox` and what the deeds ring.
//! Guarantees: what was accepted is handled, also when the process dies in between; a question
//! that takes long keeps neither clicks nor other questions waiting, up to a bound.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::claims::Claim;
use super::clerk::Asked;
use super::{Clerk, heard};
use crate::bus::Event;
use crate::chat::{Inbound, Kept, Post};
use crate::model::Fault;
use crate::model::time::HOUR_MS;
use crate::stage::{Stage, Tasks};
use crate::store::{Filter, Rows};

/// Things said that are looked at in one round, oldest first.
const ROUND: usize = 4_096;
/// Questions that are answered at once.
pub(super) const QUESTIONS: usize = 16;
/// Failures after which something is given up, with a word to whoever said it.
pub(super) const PATIENCE: u32 = 5;

/// The attend stage.
pub struct Attend {
    clerk: Clerk,
    tasks: Tasks,
    pub(super) turns: Arc<Semaphore>,
}

impl Attend {
    /// The stage of a clerk, whose work runs beside it among `tasks`.
    #[must_use]
    pub fn new(clerk: Clerk, tasks: Tasks) -> Self {
        Self { clerk, tasks, turns: Arc::new(Semaphore::new(QUESTIONS)) }
    }
}

impl Stage for Attend {
    const NAME: &'static str = "attend";
    const SWEEP: Duration = Duration::from_secs(5);

    fn wants(&self, event: &Event) -> bool {
        matches!(event, Event::Inbound)
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        if let Err(fault) = self.clerk.counter().take_back().await {
            metrics::counter!("nightjar_command_aside_failed_total").increment(1);
            tracing::warn!(error = fault.chain(), "what was set aside is not in the store yet");
        }
        let due = Filter { limit: ROUND, ..Filter::states(["due"]) };
        let due = self.clerk.desk().store.read(move |r| r.list::<Kept>(&due)).await?;
        metrics::gauge!("nightjar_command_due").set(due.len() as f64);
        for kept in due {
            let Some(claim) = self.clerk.claim(&kept.inbound.key) else { continue };
            let (clerk, turns) = (self.clerk.clone(), self.turns.clone());
            let shutdown = self.tasks.shutdown();
            self.tasks.once(async move {
                tokio::select! {
                    // What is left is due at the next start.
                    () = shutdown.cancelled() => {}
                    () = attend(&clerk, &claim, kept.inbound, &turns) => {}
                }
            });
        }
        self.unsign().await
    }

    async fn handle(&mut self, _event: Event) -> Result<(), Fault> {
        self.sweep().await
    }
}

impl Attend {
    /// Takes the sign of work away from what was answered, also where an earlier process set it.
    async fn unsign(&self) -> Result<(), Fault> {
        let signed = Filter { limit: ROUND, ..Filter::states([Kept::SIGNED]) };
        let over = move |r: &Rows<'_>| {
            let mut all = r.list::<Kept>(&signed)?;
            let mut over = Vec::new();
            for kept in all.drain(..) {
                let row = Post::row(&kept.inbound.platform, &Clerk::answer_key(&kept.inbound));
                let answer = r.get::<Post>(row)?;
                // Without an answer in the outbox its asker was told otherwise.
                if answer.is_none_or(|post| !post.state.is_open()) {
                    over.push(kept.inbound);
                }
            }
            Ok(over)
        };
        for inbound in self.clerk.desk().store.read(over).await? {
            let Some(claim) = self.clerk.claim(&inbound.key) else { continue };
            let (clerk, shutdown) = (self.clerk.clone(), self.tasks.shutdown());
            self.tasks.once(async move {
                tokio::select! {
                    // The next process takes it away.
                    () = shutdown.cancelled() => {}
                    () = unsign(&clerk, &claim, &inbound) => {}
                }
            });
        }
        Ok(())
    }
}

/// Takes the sign of work away from one message; what fails is tried again later, for an hour.
async fn unsign(clerk: &Clerk, claim: &Claim, inbound: &Inbound) {
    let waited = clerk.desk().clock.now().ms_since(inbound.at);
    let done = match clerk.sign(inbound, false).await {
        Err(fault) if fault.is_transient() && waited < HOUR_MS => Err(fault),
        _ => {
            let key = inbound.key.clone();
            clerk.desk().store.write(move |tx| heard::unsign(tx, &key)).await
        }
    };
    match done {
        Ok(_) => claim.done(),
        Err(fault) => {
            claim.failed(pause_of(&fault));
            tracing::info!(error = fault.chain(), "the sign of work stands a while longer");
        }
    }
}

/// Handles one thing, and counts where that fails.
async fn attend(clerk: &Clerk, claim: &Claim, inbound: Inbound, turns: &Semaphore) {
    let done = match clerk.known(inbound.clone()).await {
        Ok(Some(known)) => {
            if inbound.unresolved {
                // That it took some tries to learn who it was says nothing of the deed.
                claim.done();
            }
            attempt(clerk, &known, turns).await
        }
        Ok(None) => Ok(()),
        Err(fault) if clerk.asks_again(&inbound, &fault) => {
            claim.failed(pause_of(&fault));
            let error = fault.chain();
            return tracing::warn!(error, key = inbound.key, "who said this is not known yet");
        }
        Err(fault) => clerk.unnamed(&inbound, fault).await,
    };
    let Err(fault) = done else { return claim.done() };
    metrics::counter!("nightjar_command_failed_total").increment(1);
    let n = claim.failed(pause_of(&fault));
    tracing::warn!(error = fault.chain(), key = inbound.key, n, "what was said was not handled");
    if n >= PATIENCE && clerk.give_up(&inbound, &fault).await.is_ok() {
        claim.done();
    }
}

/// The pause that the other side asked for.
fn pause_of(fault: &Fault) -> Option<Duration> {
    match fault {
        Fault::Transient { after, .. } => *after,
        Fault::Permanent { .. } => None,
    }
}

async fn attempt(clerk: &Clerk, inbound: &Inbound, turns: &Semaphore) -> Result<(), Fault> {
    // It may have been handled between the look at the store and the claim.
    if !clerk.is_due(&inbound.key).await? {
        return Ok(());
    }
    let asked = clerk.asks(inbound).await?;
    let Asked::Question(..) = asked else { return clerk.handle(inbound, asked).await };
    // It is kept first, so that whatever dies on the way, somebody takes the sign away.
    let (key, signs) = (inbound.key.clone(), inbound.message.is_some());
    let signed = signs && clerk.desk().store.write(move |tx| heard::sign(tx, &key)).await?;
    let sign = async {
        if signed && let Err(fault) = clerk.sign(inbound, true).await {
            tracing::debug!(error = fault.chain(), "the sign of work was not set");
        }
    };
    let answer = async {
        let _turn = turns.acquire().await.expect("the semaphore is never closed");
        clerk.handle(inbound, asked).await
    };
    // An answer does not wait for its sign.
    let (handled, ()) = tokio::join!(answer, sign);
    handled
}
