//! Who talks with people: the desk, the assistant, and the clerk who brings both to every platform.

use std::sync::Arc;

use super::App;
use super::chats::Chats;
use crate::approve::Workshop;
use crate::assist::{Assistant, Ledger};
use crate::bus::Bus;
use crate::command::{Attend, Clerk, Counter, Desk};
use crate::config::Config;
use crate::llm::Llm;
use crate::model::{Fault, SharedClock};
use crate::runbook::Library;
use crate::store::Store;
use crate::web;

/// Where every platform hands what people say.
pub(super) fn counter(
    settings: &Config,
    (store, bus, clock): (&Store, &Bus, &SharedClock),
    library: &Arc<Library>,
) -> Counter {
    let values = settings.runbooks.settings.clone();
    let desk = Desk::new(store.clone(), bus.clone(), clock.clone())
        .with_silences(settings.silences.clone())
        .with_workshop(Workshop { library: library.clone(), settings: values })
        .with_people(web::people(&settings.web));
    Counter::new(desk)
}

/// The clerk of these platforms, and the assistant who answers for them.
///
/// # Errors
/// The language model's settings can't be used.
pub(super) fn clerk(
    settings: &Config,
    store: &Store,
    counter: Counter,
    chats: &Chats,
) -> Result<(Clerk, Assistant), Fault> {
    let llm = Llm::open(&settings.llm, store.clone())?;
    let assistant = Assistant::new(store.reader(), llm, settings.assist.clone())
        .audited(Ledger::new(store.clone()));
    let chats = chats.iter().map(|(chat, _)| chat.clone()).collect();
    Ok((Clerk::new(counter, assistant.clone(), chats), assistant))
}

impl App {
    /// Starts whoever handles what people say.
    pub(super) fn start_talk(&self) {
        let (clerk, tasks) = (self.clerk.clone(), self.tasks.clone());
        self.tasks.stage(&self.bus, move || Attend::new(clerk.clone(), tasks.clone()));
    }
}
