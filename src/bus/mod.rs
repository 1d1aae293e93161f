//! Doorbells between stages: a closed set of events that carry ids only; the store holds the truth.
//!
//! Takes events from any stage, gives them to every subscriber. It may lose events (a slow
//! subscriber is told that it lagged): whoever listens sweeps the store first and after each lag,
//! and every handler may run twice.

use tokio::sync::broadcast;

use crate::model::{
    AlertId, ChangeId, HarmlessId, IncidentId, MessageId, ProposalId, RunId, SilenceId, TuningId,
};

/// Events that a subscriber may fall behind before it is told to sweep.
const DEPTH: usize = 4_096;

/// What happened, by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "event", content = "id", rename_all = "snake_case")]
pub enum Event {
    /// An alert began, ended or changed.
    Alert(AlertId),
    /// A change was recorded.
    Change(ChangeId),
    /// An incident opened or changed.
    Incident(IncidentId),
    /// A diagnosis was made or revised.
    Diagnosis(IncidentId),
    /// A proposal was made or changed state.
    Proposal(ProposalId),
    /// A person approved a proposal (or its scheduled time has come): it may be claimed.
    Decided(ProposalId),
    /// A run began, ended or was verified.
    Run(RunId),
    /// A silence was made or ended.
    Silence(SilenceId),
    /// A chat message was written or edited.
    Message(MessageId),
    /// A change of detection was proposed, or one changed state.
    Tuning(TuningId),
    /// A pattern of alerts was learned to be harmless, or one changed state.
    Harmless(HarmlessId),
    /// Somebody said something in a chat: it is kept and to be handled.
    Inbound,
    /// Something is to be said: the outbox has new work.
    Outbox,
    /// Event time went on; sent about once a second of wall time.
    Tick,
}

/// The memory bus. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus {
    sender: broadcast::Sender<Event>,
}

/// One subscriber's end.
pub struct Subscription(broadcast::Receiver<Event>);

/// What a subscriber gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An event.
    Event(Event),
    /// Events were lost: sweep the store.
    Lagged,
    /// The bus is gone.
    Closed,
}

impl Default for Bus {
    fn default() -> Self {
        Self { sender: broadcast::channel(DEPTH).0 }
    }
}

impl Bus {
    /// Rings the doorbell; without subscribers it is heard by nobody, which is no error.
    pub fn publish(&self, event: Event) {
        let _ = self.sender.send(event);
    }

    /// Hears everything published from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        Subscription(self.sender.subscribe())
    }
}

impl Subscription {
    /// Waits for the next event.
    pub async fn next(&mut self) -> Heard {
        match self.0.recv().await {
            Ok(event) => Heard::Event(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Heard::Lagged,
            Err(broadcast::error::RecvError::Closed) => Heard::Closed,
        }
    }
}
