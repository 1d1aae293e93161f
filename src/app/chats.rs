//! The chat platforms: which there are, where incidents are told on each, and who delivers there.

use std::sync::Arc;

use super::App;
use crate::bus::Bus;
use crate::chat::console::Console;
use crate::chat::discord::Discord;
use crate::chat::slack::Slack;
use crate::chat::{Chat, Inlet, Routing};
use crate::config::Config;
use crate::model::{Fault, SharedClock};
use crate::notify::{Charts, Deliver, Notify, Platform, Rooms};
use crate::store::Store;

/// Each platform with its routing.
pub(super) type Chats = Vec<(Arc<dyn Chat>, Routing)>;

/// The adapters that keep a connection of their own.
#[derive(Default)]
pub(super) struct Adapters {
    slack: Vec<Slack>,
    discord: Vec<Discord>,
}

/// The platforms of a configuration, the console first; what people say goes to `inlet`. Nothing
/// is connected yet.
///
/// # Errors
/// The machine can't make encrypted connections.
pub(super) fn connect(
    settings: &Config,
    (store, bus, clock): (&Store, &Bus, &SharedClock),
    inlet: &Arc<dyn Inlet>,
) -> Result<(Chats, Adapters), Fault> {
    let console = Console::new(store.clone(), bus.clone(), clock.clone());
    let mut chats: Chats = vec![(Arc::new(console), settings.notify.clone())];
    let mut adapters = Adapters::default();
    for config in &settings.chat.slack {
        let slack = Slack::new(config.clone(), inlet.clone(), clock.clone())?;
        let routing = Routing { channel: config.channel.clone(), routes: config.routes.clone() };
        chats.push((Arc::new(slack.clone()), routing));
        adapters.slack.push(slack);
    }
    for config in &settings.chat.discord {
        let discord = Discord::new(config.clone(), inlet.clone(), clock.clone())?
            .remembering(settings.retention.heard_days);
        let routing = Routing { channel: config.channel.clone(), routes: config.routes.clone() };
        chats.push((Arc::new(discord.clone()), routing));
        adapters.discord.push(discord);
    }
    Ok((chats, adapters))
}

impl App {
    /// Starts what decides what to say, and one delivery for each platform.
    pub(super) fn start_notify(&self, settings: &Config) {
        let (console, pace) = (settings.web.public_url.as_deref(), settings.pace.clone());
        let platforms: Vec<Platform> = self
            .chats
            .iter()
            .map(|(c, routing)| Platform::of(c.as_ref(), routing.clone()))
            .collect();
        let drawn = platforms.clone();
        let (store, bus, clock) = (self.store.clone(), self.bus.clone(), self.clock.clone());
        let console = console.map(str::to_owned);
        self.tasks.stage(&self.bus, move || {
            Notify::new(store.clone(), bus.clone(), clock.clone(), platforms.clone())
                .with_pace(pace.clone())
                .with_console(console.as_deref())
        });
        let (store, bus, clock) = (self.store.clone(), self.bus.clone(), self.clock.clone());
        self.tasks.stage(&self.bus, move || {
            Charts::new(store.clone(), bus.clone(), clock.clone(), &drawn)
        });
        let chats: Vec<Arc<dyn Chat>> = self.chats.iter().map(|(chat, _)| chat.clone()).collect();
        let (store, bus, clock) = (self.store.clone(), self.bus.clone(), self.clock.clone());
        self.tasks.stage(&self.bus, move || {
            Rooms::new(store.clone(), bus.clone(), clock.clone(), chats.clone())
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
        for slack in &self.adapters.slack {
            let slack = slack.clone();
            self.tasks.start("slack", move |shutdown| {
                let slack = slack.clone();
                async move {
                    slack.run(shutdown).await;
                    Ok(())
                }
            });
        }
        for discord in &self.adapters.discord {
            let discord = discord.clone();
            self.tasks.start("discord", move |shutdown| {
                let discord = discord.clone();
                async move {
                    discord.run(shutdown).await;
                    Ok(())
                }
            });
        }
    }
}
