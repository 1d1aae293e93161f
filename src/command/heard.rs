//! What was said, as it is kept: whether it waits, and the mark that it was handled.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chat::{HeardState, Inbound, Kept, Said};
use crate::model::{Actor, Fault, Refused, Time};
use crate::store::{Rows, Tx};

/// Where something that was said stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handled {
    /// It waits.
    Due,
    /// It was done.
    Done,
    /// Nobody said it.
    Unknown,
}

/// The newest thing that was given up for a reason of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// How many there were since the store was made.
    pub n: u64,
    /// When (event time).
    pub at: Time,
    /// The reference that was told, which stands in the log with the reason.
    pub reference: String,
}

impl GivenUp {
    const KEY: &str = "command/given_up";

    /// The newest one; `None`: nothing was ever given up.
    ///
    /// # Errors
    /// The store failed.
    pub fn last(rows: &Rows<'_>) -> Result<Option<Self>, Fault> {
        rows.value(Self::KEY)
    }

    pub(super) fn keep(tx: &Tx<'_>, at: Time, reference: &str) -> Result<(), Fault> {
        let n = Self::last(tx)?.map_or(0, |last| last.n) + 1;
        tx.put_value(Self::KEY, &Self { n, at, reference: reference.to_owned() })
    }
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, at, reference) = (self.n, self.at.minute_text(), &self.reference);
        write!(
            f,
            "what a person asked for was given up at {at}, reference {reference} in the log"
        )?;
        if n > 1 { write!(f, "; {n} times in all") } else { Ok(()) }
    }
}

/// Where what was said under `key` stands.
pub(super) fn state(rows: &Rows<'_>, key: &str) -> Result<Handled, Fault> {
    Ok(match rows.get::<Kept>(key)?.map(|kept| kept.state) {
        Some(HeardState::Due) => Handled::Due,
        Some(HeardState::Done) => Handled::Done,
        None => Handled::Unknown,
    })
}

/// Marks it as handled; `true` where it was due.
pub(super) fn finish(tx: &Tx<'_>, key: &str) -> Result<bool, Fault> {
    let Some(kept) = tx.get::<Kept>(key)? else { return Ok(false) };
    tx.replace_in_state(&Kept { state: HeardState::Done, ..kept }, "due")
}

/// Keeps with something that waits who said it.
pub(super) fn name(tx: &Tx<'_>, key: &str, actor: Actor) -> Result<bool, Fault> {
    let Some(kept) = tx.get::<Kept>(key)? else { return Ok(false) };
    let inbound = Inbound { actor, unresolved: false, ..kept.inbound };
    tx.replace_in_state(&Kept { inbound, ..kept }, "due")
}

/// Marks something as handled and keeps none of its words.
pub(super) fn forget(tx: &Tx<'_>, key: &str) -> Result<bool, Fault> {
    let Some(kept) = tx.get::<Kept>(key)? else { return Ok(false) };
    let said = Said::Command { text: String::new() };
    let inbound = Inbound { said, ..kept.inbound };
    tx.replace_in_state(&Kept { inbound, state: HeardState::Done, ..kept }, "due")
}

/// Keeps that a message is about to bear the sign of work.
pub(super) fn sign(tx: &Tx<'_>, key: &str) -> Result<bool, Fault> {
    let Some(kept) = tx.get::<Kept>(key)? else { return Ok(false) };
    tx.replace_in_state(&Kept { signed: true, ..kept }, "due")
}

/// Keeps that a message bears the sign of work no more.
pub(super) fn unsign(tx: &Tx<'_>, key: &str) -> Result<bool, Fault> {
    let Some(kept) = tx.get::<Kept>(key)? else { return Ok(false) };
    tx.replace_in_state(&Kept { signed: false, ..kept }, Kept::SIGNED)
}

/// Why something that is delivered twice is not done twice.
pub(super) fn again() -> Refused {
    Refused::Conflict("This was handled already; look at the incident for where it stands.".into())
}
