//! The counter: where every platform hands what people say, and asks what a button opens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::clerk::{room_of, thread_of};
use super::wish::{self, Faults, Wish};
use super::{Desk, Problem, forms, lists, plan, said};
use crate::bus::Event;
use crate::chat::{
    Button, Card, Completion, Content, Form, Inbound, Inlet, Kept, Pressed, Said, Subject, Verb,
};
use crate::model::{Actor, Fault, Proposal};
use crate::store::Rows;

/// How long a commit may take before what was said is set aside on disk: whoever said it waits for
/// an acknowledgement, which must come within a second. Measured with 2,000 alerts a minute being
/// stored: 3 ms at the median, 20 ms at p99 until the acknowledgement.
const PROMPT: Duration = Duration::from_millis(200);
/// How long it may take to find out whether talk is for the bot; what is not for it is dropped
/// where it is handled.
const LOOK: Duration = Duration::from_millis(150);

/// Where people's words and clicks are taken in, the same for every platform. Cheap to clone.
#[derive(Clone)]
pub struct Counter {
    pub(super) desk: Desk,
    // Whether the store was too slow the last time, and things stand aside.
    behind: Arc<AtomicBool>,
}

impl Counter {
    /// The counter before a desk.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self { desk, behind: Arc::default() }
    }

    /// Where wishes are brought.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// The form that a button's code opens for somebody; `None` where nothing is asked.
    ///
    /// # Errors
    /// They can't have it, with the reason, or the store failed.
    pub async fn open(&self, actor: &Actor, code: &str) -> Result<Option<Form>, Problem> {
        let button = wish::button(code)?;
        let (desk, actor, now) = (self.desk.clone(), actor.clone(), self.desk.clock.now());
        let read = move |r: &crate::store::Rows<'_>| forms::open(r, &desk, &actor, &button, now);
        let opened = self.desk.store.read(read).await??;
        metrics::counter!("nightjar_command_pressed_total").increment(1);
        Ok(opened)
    }

    /// What a form's answers ask for.
    ///
    /// # Errors
    /// The code is no button's; the inner error says what is wrong with the answers, by field.
    pub(super) async fn wish(
        &self,
        code: &str,
        values: &BTreeMap<String, String>,
    ) -> Result<Result<Wish, Faults>, Problem> {
        let button = wish::button(code)?;
        let read = wish::read(&button, values, &self.desk.silences, self.desk.clock.now());
        let Ok(wish) = read else { return Ok(read) };
        let faults = self.beyond(&button, &wish).await?;
        Ok(if faults.is_empty() { Ok(wish) } else { Err(faults) })
    }

    /// What only the store can tell of answers.
    async fn beyond(&self, button: &Button, wish: &Wish) -> Result<Faults, Fault> {
        let (Subject::Proposal(id), Wish::Decide { how, .. }) = (button.subject, wish) else {
            return Ok(Faults::new());
        };
        let Some(proposal) = self.desk.store.read(move |r| r.get::<Proposal>(id)).await? else {
            return Ok(Faults::new());
        };
        let mut faults = Faults::new();
        match how {
            wish::Decide::Approve(given) | wish::Decide::Change(given) => {
                faults = plan::faults(&self.desk, &proposal, given);
            }
            wish::Decide::Schedule(at) if *at > proposal.expires_at => {
                let until = proposal.expires_at.minute_text();
                faults.insert("at".into(), format!("The proposal is open until {until} only."));
            }
            _ => {}
        }
        Ok(faults)
    }

    /// What is wrong with a form's answers, by field.
    ///
    /// # Errors
    /// The code is no button's, or the store failed.
    pub async fn check(
        &self,
        code: &str,
        values: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Problem> {
        Ok(self.wish(code, values).await?.err().unwrap_or_default())
    }

    /// What was said, with the key and the time under which it is kept, and without the secrets that
    /// people paste into chats. Codes of buttons and forms stay as they are: they hold none.
    pub(super) fn stamped(&self, inbound: Inbound) -> Inbound {
        // Two platforms may give the same key to two things.
        let own = format!("{}:", inbound.platform);
        let key = if inbound.key.starts_with(&own) { inbound.key } else { own + &inbound.key };
        Inbound { key, at: self.desk.clock.now(), said: masked(inbound.said), ..inbound }
    }

    /// Whether something may be for the bot: all but talk without a mention elsewhere than in the
    /// thread of an incident, or in a thread of its own channel.
    async fn concerns(&self, inbound: &Inbound) -> Result<bool, Fault> {
        if !matches!(inbound.said, Said::Message { addressed: false, .. }) {
            return Ok(true);
        }
        let Some(thread) = inbound.thread.clone() else { return Ok(false) };
        let (platform, channel) = (inbound.platform.clone(), inbound.channel.clone());
        let read = move |r: &Rows<'_>| {
            Ok(match thread_of(r, &platform, &channel, &thread)? {
                None => room_of(r, &platform, &channel)?,
                found => found,
            })
        };
        Ok(self.desk.store.read(read).await?.is_some())
    }

    /// Keeps what was said in the store. Its time becomes the event time of now: platforms know only
    /// the wall clock, and what is kept is trimmed by event time.
    ///
    /// Talk that is not for the bot, outside the threads of incidents, is nobody's business: it is
    /// not kept. Of talk in these threads that asks nothing, the words go when that is found out.
    ///
    /// # Errors
    /// The store failed; nothing was kept.
    pub async fn keep(&self, inbound: Inbound) -> Result<bool, Fault> {
        if !self.concerns(&inbound).await? {
            return Ok(false);
        }
        let kept = Kept::new(self.stamped(inbound));
        let platform = kept.inbound.platform.clone();
        let new = self.desk.store.write(move |tx| tx.put_new(&kept)).await?;
        self.count(platform, new);
        Ok(new)
    }

    /// The same within a part of a second, whatever the store is doing: what it does not commit in
    /// time is set aside on disk, and goes into the store when that takes writes again. `true` also
    /// where it is not known whether it was there already.
    async fn keep_soon(&self, inbound: Inbound) -> Result<bool, Fault> {
        if let Ok(concerns) = tokio::time::timeout(LOOK, self.concerns(&inbound)).await
            && !concerns?
        {
            return Ok(false);
        }
        let began = tokio::time::Instant::now();
        let kept = Kept::new(self.stamped(inbound));
        let platform = kept.inbound.platform.clone();
        let line = serde_json::to_string(&kept)
            .map_err(|e| Fault::permanent("writing down what was said", e))?;
        let write = self.desk.store.write(move |tx| tx.put_new(&kept));
        tokio::pin!(write);
        // While the writer is held up, nobody waits for it again in vain.
        let patience = if self.behind.load(Ordering::Relaxed) { Duration::ZERO } else { PROMPT };
        let failed = match tokio::time::timeout(patience, &mut write).await {
            Ok(Ok(new)) => {
                metrics::histogram!("nightjar_command_kept_seconds")
                    .record(began.elapsed().as_secs_f64());
                self.count(platform, new);
                return Ok(new);
            }
            Ok(Err(fault)) if !fault.is_transient() => return Err(fault),
            Ok(Err(fault)) => Some(fault),
            Err(_) => None,
        };
        match self.desk.store.aside().put(line).await {
            Ok(()) => {
                if !self.behind.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "the store is busy: what people say is set aside until it is not"
                    );
                }
                metrics::counter!("nightjar_command_set_aside_total").increment(1);
                self.count(platform, true);
                Ok(true)
            }
            Err(fault) => {
                tracing::error!(error = fault.chain(), "what was said could not be set aside");
                match failed {
                    Some(fault) => Err(fault),
                    None => write.await.inspect(|new| self.count(platform, *new)),
                }
            }
        }
    }

    /// Brings what stands aside into the store; what was kept before is not kept again.
    ///
    /// # Errors
    /// The store or the disk failed: it stands aside still.
    pub(super) async fn take_back(&self) -> Result<(), Fault> {
        let aside = self.desk.store.aside();
        let (lines, bytes) = aside.all().await?;
        if bytes == 0 {
            return Ok(());
        }
        let mut all: Vec<Kept> = Vec::with_capacity(lines.len());
        for line in &lines {
            match serde_json::from_str(line) {
                Ok(kept) => all.push(kept),
                // It was torn by a crash, before it was acknowledged.
                Err(error) => {
                    metrics::counter!("nightjar_command_torn_total").increment(1);
                    tracing::warn!(%error, "a line that was set aside can't be read");
                }
            }
        }
        self.desk
            .store
            .write(move |tx| all.iter().try_for_each(|kept| tx.put_new(kept).map(|_| ())))
            .await?;
        aside.drop_first(bytes).await?;
        self.behind.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn count(&self, platform: String, new: bool) {
        let name =
            if new { "nightjar_command_heard_total" } else { "nightjar_command_repeated_total" };
        metrics::counter!(name, "platform" => platform).increment(1);
        // Also for a repeated one: the bell of the first may have been lost with the process.
        self.desk.bus.publish(Event::Inbound);
    }
}

/// What people said, with secrets masked.
fn masked(heard: Said) -> Said {
    let mask = |text: String| said(&text, usize::MAX);
    match heard {
        Said::Message { text, addressed } => Said::Message { text: mask(text), addressed },
        Said::Command { text } => Said::Command { text: mask(text) },
        Said::Submit { code, values } => {
            // A parameter is part of a plan, which holds no secrets and is shown as it is carried out.
            let mask = |(name, value): (String, String)| {
                let value = if name.starts_with(wish::PARAMETER) { value } else { mask(value) };
                (name, value)
            };
            let values = values.into_iter().map(mask).collect();
            Said::Submit { code, values }
        }
        Said::Click { code } => Said::Click { code },
    }
}

/// A field for what is wrong with a form as a whole: the first that can be filled in.
fn first_field(verb: Verb) -> &'static str {
    match verb {
        Verb::Silence => "matchers",
        Verb::Declare => "title",
        Verb::Assign => "to",
        Verb::Merge => "into",
        Verb::Note => "text",
        Verb::Resolve => "category",
        Verb::Schedule => "at",
        _ => "reason",
    }
}

impl Inlet for Counter {
    fn press(&self, actor: Actor, code: String) -> BoxFuture<'_, Result<Pressed, Fault>> {
        async move {
            match self.open(&actor, &code).await {
                Ok(Some(form)) => Ok(Pressed::Form(form)),
                Ok(None) => Ok(Pressed::Nothing),
                Err(Problem::Refused(refused)) => {
                    metrics::counter!("nightjar_command_refused_total").increment(1);
                    Ok(Pressed::Refused(refused.to_string()))
                }
                Err(Problem::Fault(fault)) => Err(fault),
            }
        }
        .boxed()
    }

    fn faults(
        &self,
        actor: Option<Actor>,
        code: String,
        values: BTreeMap<String, String>,
    ) -> BoxFuture<'_, Result<BTreeMap<String, String>, Fault>> {
        async move {
            let found = match (self.check(&code, &values).await, actor) {
                (Ok(faults), _) if !faults.is_empty() => return Ok(faults),
                // Between the opening of a form and its sending the world went on: it is said
                // while the words are still there to be kept.
                (Ok(_), Some(actor)) => self.open(&actor, &code).await.map(|_| ()),
                (Ok(_), None) => Ok(()),
                (Err(problem), _) => Err(problem),
            };
            match found {
                Ok(()) => Ok(BTreeMap::new()),
                Err(Problem::Refused(refused)) => {
                    let verb = Button::parse(&code).map_or(Verb::Why, |b| b.verb);
                    Ok(BTreeMap::from([(first_field(verb).to_owned(), refused.to_string())]))
                }
                Err(Problem::Fault(fault)) => Err(fault),
            }
        }
        .boxed()
    }

    fn accept(&self, inbound: Inbound) -> BoxFuture<'_, Result<bool, Fault>> {
        self.keep_soon(inbound).boxed()
    }

    fn complete(
        &self,
        what: Completion,
        typed: String,
    ) -> BoxFuture<'_, Result<Vec<(String, String)>, Fault>> {
        let (desk, now) = (self.desk.clone(), self.desk.clock.now());
        self.desk.store.read(move |r| lists::complete(r, &desk, what, &typed, now)).boxed()
    }

    fn home(&self, actor: Actor) -> BoxFuture<'_, Result<Vec<Card>, Fault>> {
        let now = self.desk.clock.now();
        self.desk.store.read(move |r| lists::home(r, &actor, now)).boxed()
    }

    fn preview(&self, url: String) -> BoxFuture<'_, Result<Option<Card>, Fault>> {
        let now = self.desk.clock.now();
        let named = move |r: &Rows<'_>| {
            let Some(id) = url.find("INC-").and_then(|at| url.get(at..at + 30)) else {
                return Ok(None);
            };
            let Some(incident) = lists::incident_named(r, id)? else { return Ok(None) };
            // A preview is to be read: what is pressed stands on the card itself.
            Ok(match lists::incident(r, &incident, "console", now)? {
                Content::Card { card } => Some(Card { buttons: Vec::new(), ..card }),
                _ => None,
            })
        };
        self.desk.store.read(named).boxed()
    }

    fn reached(&self, platform: String) -> BoxFuture<'_, Result<Option<String>, Fault>> {
        self.desk.store.read(move |r| r.value(&reach_key(&platform))).boxed()
    }

    fn reach(&self, platform: String, position: String) -> BoxFuture<'_, Result<(), Fault>> {
        self.desk.store.write(move |tx| tx.put_value(&reach_key(&platform), &position)).boxed()
    }
}

/// The name in the store of how far a platform's words were heard.
fn reach_key(platform: &str) -> String {
    format!("heard:{platform}")
}
