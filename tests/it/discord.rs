//! Discord's adapter against a server that is as strict as Discord.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use nightjar::chat::discord::{Config, Discord};
use nightjar::chat::{Card, Completion, Form, FormField, FormKind, Inbound, Inlet, Pressed, Said};
use nightjar::model::clock::SystemClock;
use nightjar::model::{Actor, Fault, Role};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::discord_fake::{FORUM, Fake, GUILD, ON_CALL, TEXT, TOKEN};
use crate::support::{install_tls, serve};

mod delivery;
mod doubt;
mod hearing;
mod menus;
mod missed;
mod official;
mod several;

/// Stands behind the adapter: records what it is given and answers as it is told.
#[derive(Clone, Default)]
pub(crate) struct Desk {
    // Guards what was heard and what to answer; held only while it is looked at.
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    heard: Vec<Inbound>,
    slow: Duration,
    fails: usize,
    position: Option<String>,
}

impl Desk {
    pub(crate) fn heard(&self) -> Vec<Inbound> {
        self.state.lock().expect("no panic").heard.clone()
    }

    fn slow(&self, by: Duration) {
        self.state.lock().expect("no panic").slow = by;
    }

    fn fail(&self, n: usize) {
        self.state.lock().expect("no panic").fails = n;
    }

    async fn wait(&self) {
        let slow = self.state.lock().expect("no panic").slow;
        tokio::time::sleep(slow).await;
    }

    /// The n-th thing that was heard, once it is there.
    async fn nth(&self, n: usize) -> Inbound {
        crate::support::eventually("something is heard", Duration::from_secs(120), async || {
            self.heard().len() > n
        })
        .await;
        self.heard()[n].clone()
    }
}

fn form(code: &str) -> Form {
    let options = vec![("cause".into(), "Fixed".into()), ("noise".into(), "No fault".into())];
    Form {
        code: code.into(),
        title: "Resolve".into(),
        fields: vec![
            FormField::fixed("What is known", "p99 is back at 310 ms"),
            FormField::input("reason", "Why", FormKind::Lines).required(),
            FormField::input("category", "Category", FormKind::Choice { options }),
        ],
        submit: "Resolve".into(),
        danger: false,
    }
}

impl Inlet for Desk {
    fn press(&self, actor: Actor, code: String) -> BoxFuture<'_, Result<Pressed, Fault>> {
        async move {
            self.wait().await;
            if actor.role < Role::Responder {
                return Ok(Pressed::Refused(format!(
                    "You need the role responder; you have {}.",
                    actor.role
                )));
            }
            let opens = code.contains(":resolve:") || code.contains(":declare:");
            Ok(if opens { Pressed::Form(form(&code)) } else { Pressed::Nothing })
        }
        .boxed()
    }

    fn faults(
        &self,
        _actor: Option<Actor>,
        _code: String,
        values: BTreeMap<String, String>,
    ) -> BoxFuture<'_, Result<BTreeMap<String, String>, Fault>> {
        let short = values.get("reason").is_none_or(|r| r.len() < 5);
        let fault = ("reason".to_owned(), "say more than that".to_owned());
        std::future::ready(Ok(short.then_some(fault).into_iter().collect())).boxed()
    }

    fn accept(&self, inbound: Inbound) -> BoxFuture<'_, Result<bool, Fault>> {
        async move {
            self.wait().await;
            let mut state = self.state.lock().expect("no panic");
            if state.fails > 0 {
                state.fails -= 1;
                return Err(Fault::transient("the store is busy", anyhow::anyhow!("busy")));
            }
            let new = state.heard.iter().all(|i| i.key != inbound.key);
            if new {
                state.heard.push(inbound);
            }
            Ok(new)
        }
        .boxed()
    }

    fn complete(
        &self,
        what: Completion,
        typed: String,
    ) -> BoxFuture<'_, Result<Vec<(String, String)>, Fault>> {
        async move {
            self.wait().await;
            let one = |name: String| (name.clone(), format!("{what:?} {name}"));
            Ok((0..40).map(|i| one(format!("{typed}-{i}"))).collect())
        }
        .boxed()
    }

    fn reached(&self, _platform: String) -> BoxFuture<'_, Result<Option<String>, Fault>> {
        let position = self.state.lock().expect("no panic").position.clone();
        std::future::ready(Ok(position)).boxed()
    }

    fn reach(&self, _platform: String, position: String) -> BoxFuture<'_, Result<(), Fault>> {
        self.state.lock().expect("no panic").position = Some(position);
        std::future::ready(Ok(())).boxed()
    }

    fn home(&self, _actor: Actor) -> BoxFuture<'_, Result<Vec<Card>, Fault>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }
}

fn config(fake: &Fake) -> Config {
    let json = json!({
        "token": TOKEN, "guilds": [GUILD.to_string()], "api_url": fake.base(),
        "channel": TEXT.to_string(),
        "routes": [{ "channel": FORUM.to_string(), "services": ["payments"] }],
        "people": [{ "group": ON_CALL.to_string(), "role": "approver" }],
    });
    serde_json::from_value(json).expect("settings")
}

/// The adapter alone, not listening.
async fn adapter() -> (Fake, Desk, Discord) {
    install_tls();
    let (fake, desk) = (Fake::start().await, Desk::default());
    let discord = Discord::new(config(&fake), Arc::new(desk.clone()), Arc::new(SystemClock));
    (fake, desk, discord.expect("good settings"))
}

/// One more adapter before the same server, as after a restart.
fn another(fake: &Fake) -> Discord {
    let desk = Arc::new(Desk::default());
    Discord::new(config(fake), desk, Arc::new(SystemClock)).expect("good settings")
}

/// A listening adapter, ended with the guard.
async fn listening(
    fake: &Fake,
    desk: &Desk,
    config: Config,
) -> (Discord, tokio_util::sync::DropGuard) {
    install_tls();
    let discord = Discord::new(config, Arc::new(desk.clone()), Arc::new(SystemClock));
    let discord = discord.expect("good settings");
    let before = fake.world().n_identified;
    let shutdown = CancellationToken::new();
    let (one, ended) = (discord.clone(), shutdown.clone());
    serve(async move { one.run(ended).await });
    fake.until("a session", |w| (w.n_identified > before).then_some(())).await;
    (discord, shutdown.drop_guard())
}

fn said(inbound: &Inbound) -> (&str, bool) {
    match &inbound.said {
        Said::Message { text, addressed } => (text, *addressed),
        Said::Command { text } => (text, true),
        Said::Click { code } | Said::Submit { code, .. } => (code, true),
    }
}
