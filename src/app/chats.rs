//! The chat platforms: which there are, where incidents are told on each, and who delivers there.

use std::sync::Arc;

use super::App;
use crate::bus::Bus;
use crate::chat::console::Console;
use crate::chat::{Chat, Routing};
use crate::config::Config;
use crate::model::SharedClock;
use crate::notify::{Charts, Deliver, Notify, Platform};
use crate::store::Store;

/// Each platform with its routing.
pub(super) type Chats = Vec<(Arc<dyn Chat>, Routing)>;

/// The platforms of a configuration, the console first.
pub(super) fn connect(settings: &Config, store: &Store, bus: &Bus, clock: &SharedClock) -> Chats {
    let console = Console::new(store.clone(), bus.clone(), clock.clone());
    vec![(Arc::new(console), settings.notify.clone())]
}

impl App {
    /// Starts what decides what to say, and one delivery for each platform.
    pub(super) fn start_notify(&self) {
        let platforms: Vec<Platform> = self
            .chats
            .iter()
            .map(|(c, routing)| Platform::of(c.as_ref(), routing.clone()))
            .collect();
        let drawn = platforms.clone();
        let (store, bus, clock) = (self.store.clone(), self.bus.clone(), self.clock.clone());
        self.tasks.stage(&self.bus, move || {
            Notify::new(store.clone(), bus.clone(), clock.clone(), platforms.clone())
        });
        let (store, bus, clock) = (self.store.clone(), self.bus.clone(), self.clock.clone());
        self.tasks.stage(&self.bus, move || {
            Charts::new(store.clone(), bus.clone(), clock.clone(), &drawn)
        });
        for (chat, _) in &self.chats {
            // Platforms are as many as the configuration names: their names are kept for good.
            let name: &'static str = format!("deliver {}", chat.platform()).leak();
            let (store, bus) = (self.store.clone(), self.bus.clone());
            let (clock, chat) = (self.clock.clone(), chat.clone());
            self.tasks.start(name, move |shutdown| {
                Deliver::new(store.clone(), bus.clone(), clock.clone(), chat.clone()).run(shutdown)
            });
        }
    }
}
