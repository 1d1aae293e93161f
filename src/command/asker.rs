//! Who said something that was kept before its platform told who that is: asked where it is
//! handled, and kept with it, so that it is asked once.

use super::{Clerk, heard};
use crate::chat::{Content, Inbound, Who};
use crate::model::Fault;
use crate::model::time::HOUR_MS;

/// How long a platform is asked again and again who somebody is. What a person wanted an hour ago
/// they may not want any more.
const LONGEST_MS: i64 = HOUR_MS;

impl Clerk {
    /// What was said, with the name and the role of whoever said it; `None`: nothing is to be done
    /// about it any more.
    ///
    /// # Errors
    /// It can't be asked now: it stays due, and nobody's role is guessed.
    pub(super) async fn known(&self, inbound: Inbound) -> Result<Option<Inbound>, Fault> {
        if !inbound.unresolved {
            return Ok(Some(inbound));
        }
        let Some(chat) = self.chat(&inbound.platform) else {
            return Err(Fault::because(format!("{} is not connected", inbound.platform)));
        };
        match chat.who(inbound.clone()).await? {
            Who::Person(actor) => {
                let (key, named) = (inbound.key.clone(), actor.clone());
                self.desk().store.write(move |tx| heard::name(tx, &key, named)).await?;
                Ok(Some(Inbound { actor, unresolved: false, ..inbound }))
            }
            Who::Stranger(words) => {
                metrics::counter!("nightjar_command_strangers_total").increment(1);
                self.forget(&inbound.key).await?;
                if let Some(words) = words
                    && let Err(fault) =
                        chat.ephemeral(inbound.address(), Content::text(words)).await
                {
                    tracing::debug!(error = fault.chain(), "a stranger was not told");
                }
                Ok(None)
            }
        }
    }

    /// Whether a platform that did not tell who somebody is will be asked again: for an hour, where
    /// it may still tell.
    pub(super) fn asks_again(&self, inbound: &Inbound, fault: &Fault) -> bool {
        metrics::counter!("nightjar_command_unresolved_total").increment(1);
        let waited = self.desk().clock.now().ms_since(inbound.at);
        inbound.unresolved && fault.is_transient() && waited < LONGEST_MS
    }

    /// Tells somebody whom their platform did not name for an hour that nothing was done.
    ///
    /// # Errors
    /// The platform says that it will never tell, or they could not be told.
    pub(super) async fn unnamed(&self, inbound: &Inbound, fault: Fault) -> Result<(), Fault> {
        if !fault.is_transient() {
            return Err(fault);
        }
        let words = format!(
            "Nothing was done: for an hour {} did not tell who you are. Do it again.",
            inbound.platform
        );
        self.whisper(inbound, Content::text(words)).await
    }
}
