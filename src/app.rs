//! The composition root: names the adapters, starts the stages, drains them.
//!
//! Order of the start: store, intake, detection (which restores its state and reads on in the
//! journal), the stages behind it, the sources, and last the front doors, so that nothing is
//! accepted before it can be judged. The end has no order: one token is cancelled for all at once,
//! each task finishes what it has in hand, and detection writes a last snapshot. What a door still
//! accepts meanwhile is in the journal, where the next start reads on.

mod chats;
mod demo;
mod impact;
mod presence;
mod replay;
mod sources;
mod talk;

use std::sync::Arc;
use std::time::Duration;

pub use demo::{DemoOptions, demo};
pub use presence::{Note, Presence};
pub use replay::{ReplayOptions, replay};
pub use sources::Sources;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::approve::{self, Observe};
use crate::assist::Assistant;
use crate::bus::{Bus, Event};
use crate::chat::Inlet;
use crate::chat::console::Console;
use crate::command::Clerk;
use crate::config::Config;
use crate::correlate::{self, Correlate, Maintenance};
use crate::detect::{Detect, SharedShard};
use crate::diagnose::Diagnose;
use crate::learn::Learn;
use crate::learn::classify::Keeper;
use crate::model::{Batch, Fault, Plan, Role, Secret, SharedClock, wall_now};
use crate::remediate::{Executors, Remediate, read_state};
use crate::runbook::{self, Library};
use crate::stage::Tasks;
use crate::store::{Retention, Store};
use crate::telemetry::changes::Seen;
use crate::telemetry::graph;
use crate::telemetry::intake::Intake;
use crate::telemetry::prometheus::{Poller, Progress, PrometheusConfig};
use crate::telemetry::{otlp, remote_write};
use crate::web;

/// How long the tasks may take to finish what they have in hand.
const PATIENCE: Duration = Duration::from_secs(15);
/// Event time between two rounds of packing and trimming.
const MAINTENANCE: Duration = Duration::from_secs(600);
/// Name of the token that the command line of the same user has.
const CLI: &str = "local-cli";
/// Event time between two ticks.
const TICK: Duration = Duration::from_secs(15);

/// The running pipeline.
pub struct App {
    /// The store.
    pub store: Store,
    /// The doorbells.
    pub bus: Bus,
    /// The way into the journal.
    pub intake: Intake,
    /// Where "now" comes from.
    pub clock: SharedClock,
    /// The tasks.
    pub tasks: Tasks,
    /// The detectors' expectations.
    pub shard: SharedShard,
    /// How far each source has come, for the console and for whoever waits.
    pub progress: Sources,
    library: Arc<Library>,
    keeper: Keeper,
    clerk: Clerk,
    assistant: Assistant,
    presence: Presence,
    chats: chats::Chats,
    adapters: chats::Adapters,
}

impl App {
    /// Opens the store and starts the stages; sources and doors are started after.
    ///
    /// # Errors
    /// The store can't be opened.
    pub async fn start(settings: &Config, clock: SharedClock) -> anyhow::Result<Self> {
        let presence = Presence::take(&settings.data_dir)?;
        let library = Arc::new(Library::load(&settings.runbooks.folders)?);
        let store = Store::open(&settings.data_dir.join("nightjar.sqlite"))?;
        library.index(&store).await?;
        let (declared, now) = (settings.graph.clone(), clock.now());
        store.write(move |tx| graph::declare(tx, &declared, now)).await?;
        let (bus, tasks) = (Bus::default(), Tasks::default());
        let intake = Intake::open(store.clone(), bus.clone()).await?;
        let shard = impact::shard(settings);
        let progress = Sources::default();
        let counter = talk::counter(settings, (&store, &bus, &clock), &library);
        let inlet: Arc<dyn Inlet> = Arc::new(counter.clone());
        let (chats, adapters) = chats::connect(settings, (&store, &bus, &clock), &inlet)?;
        let (clerk, assistant) = talk::clerk(settings, &store, counter, &chats)?;
        let console = Console::new(store.clone(), bus.clone(), clock.clone());
        console.ensure_channels(&settings.notify).await?;
        let keeper = impact::keeper(settings, &store, &clock);
        let app = Self {
            store,
            bus,
            intake,
            clock,
            tasks,
            shard,
            progress,
            library,
            keeper,
            clerk,
            assistant,
            presence,
            chats,
            adapters,
        };
        app.start_stages(settings)?;
        app.start_clockwork(settings.retention.clone());
        app.start_maintenance(settings.maintenance.clone());
        Ok(app)
    }

    fn start_stages(&self, settings: &Config) -> anyhow::Result<()> {
        let detect = Detect::new(
            settings.detect.clone(),
            self.store.clone(),
            self.bus.clone(),
            self.intake.clone(),
            self.shard.clone(),
        );
        self.tasks.start(Detect::NAME, move |shutdown| detect.clone().run(shutdown));
        let (config, store) = (settings.correlate.clone(), self.store.clone());
        let (bus, clock) = (self.bus.clone(), self.clock.clone());
        self.tasks.stage(&self.bus, move || {
            Correlate::new(config.clone(), store.clone(), bus.clone(), clock.clone())
        });
        self.start_diagnosis(settings);
        self.start_looking_back(settings);
        self.start_actions(settings)?;
        self.start_notify(settings);
        self.start_talk();
        Ok(())
    }

    fn start_diagnosis(&self, settings: &Config) {
        let (store, bus, clock) = (self.store.clone(), self.bus.clone(), self.clock.clone());
        let (shard, library) = (self.shard.clone(), self.library.clone());
        let stage = Diagnose::new(store, bus, clock, shard, library)
            .facing(settings.correlate.priority.user_facing.clone());
        self.tasks.stage(&self.bus, move || stage.clone());
    }

    fn start_actions(&self, settings: &Config) -> anyhow::Result<()> {
        let observe = observer(settings.remediate.clone(), self.library.clone(), settings);
        let executor = Arc::new(Executors::new(settings.remediate.clone())?);
        let (policy, store, bus) = (settings.approve.clone(), self.store.clone(), self.bus.clone());
        let (clock, looks) = (self.clock.clone(), observe.clone());
        self.tasks.stage(&self.bus, move || Remediate {
            policy: policy.clone(),
            store: store.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
            executor: executor.clone(),
            observe: looks.clone(),
            swept: false,
        });
        let (store, bus, clock) = (self.store.clone(), self.bus.clone(), self.clock.clone());
        self.tasks.stage(&self.bus, move || Learn::new(store.clone(), bus.clone(), clock.clone()));
        let (policy, store, bus) = (settings.approve.clone(), self.store.clone(), self.bus.clone());
        let (clock, library) = (self.clock.clone(), self.library.clone());
        let (values, wait) = (settings.runbooks.settings.clone(), settings.correlate.group_wait_s);
        self.tasks.stage(&self.bus, move || approve::Propose {
            policy: policy.clone(),
            store: store.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
            library: library.clone(),
            settings: values.clone(),
            observe: observe.clone(),
            settle_s: wait,
            again: std::collections::BTreeMap::new(),
        });
        Ok(())
    }

    /// Opens the front doors; gives the path of a login link.
    ///
    /// # Errors
    /// The address is not allowed or taken.
    pub fn open_doors(
        &self,
        settings: &Config,
        speed: f64,
        metrics: MetricsText,
    ) -> anyhow::Result<Doors> {
        let addr: std::net::SocketAddr =
            settings.web.bind.parse().context("web.bind must be an address with a port")?;
        web::check_bind(addr, &settings.web).map_err(anyhow::Error::msg)?;
        let listener = std::net::TcpListener::bind(addr).map_err(|e| taken(addr, &e))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let (progress, shard) = (self.progress.clone(), self.shard.clone());
        let status = move || {
            let source = |p: Progress| {
                serde_json::json!({
                    "source": p.source, "backfill": p.backfill, "at": p.at,
                    "done_ratio": p.done_ratio, "n_series": p.n_series, "n_points": p.n_points,
                })
            };
            serde_json::json!({
                "sources": progress.all().into_iter().map(source).collect::<Vec<_>>(),
                "n_series": shard.figures().0, "speed": speed,
                "budget": shard.detectors().told_within_day(),
            })
        };
        // Whoever reads the data folder could change the store: they may do what an admin may.
        let secret = Secret::from(crate::command::secret::random());
        let own = web::Token { name: CLI.into(), role: Role::Admin, secret: secret.clone() };
        let mut known = settings.web.clone();
        known.tokens.push(own);
        let keys = web::Keys::new(&known);
        let url = format!("http://{addr}");
        let shown = settings.web.public_url.as_deref().unwrap_or(&url).trim_end_matches('/');
        let login = format!("{shown}{}", keys.login_path("operator", Role::Admin, wall_now()));
        let state = web::State::new(web::Shared {
            config: settings.web.clone(),
            store: self.store.clone(),
            bus: self.bus.clone(),
            clock: self.clock.clone(),
            intake: self.intake.clone(),
            desk: self.clerk.counter().desk().clone(),
            classifier: self.keeper.clone(),
            clerk: self.clerk.clone(),
            assistant: self.assistant.clone(),
            console: Console::new(self.store.clone(), self.bus.clone(), self.clock.clone()),
            chats: self.chats.iter().map(|(chat, _)| chat.clone()).collect(),
            tasks: self.tasks.clone(),
            library: self.library.clone(),
            keys,
            events: web::EventLog::new(wall_now().ms()),
            otlp: otlp::Receiver::new(settings.otlp.clone()),
            remote_write: remote_write::Receiver::new(settings.remote_write.clone()),
            changes: settings.changes.clone(),
            seen: Seen::default(),
            shard: self.shard.clone(),
            status: Box::new(status),
            metrics,
        });
        let mut listener = Some(listener);
        self.tasks.start("web", move |shutdown| {
            let serving = listener.take().map(|l| web::serve(l, state.clone(), shutdown));
            async move {
                match serving {
                    Some(serving) => serving.await,
                    None => Err(Fault::because("the web server ended; start nightjar again")),
                }
            }
        });
        self.presence.announce(&url, &secret)?;
        Ok(Doors { url, login })
    }

    /// Starts polling the configured sources.
    pub fn start_sources(&self, sources: &[PrometheusConfig]) {
        for config in sources {
            let config = config.clone();
            let (intake, store) = (self.intake.clone(), self.store.clone());
            let (clock, progress) = (self.clock.clone(), self.progress.clone());
            self.tasks.start("prometheus", move |shutdown| {
                let progress = progress.clone();
                let told = Arc::new(move |p: Progress| progress.told(p));
                let poller =
                    Poller::new(config.clone(), intake.clone(), store.clone(), clock.clone(), told);
                async move { poller?.run(shutdown).await }
            });
        }
    }

    /// Keeps the configured maintenance windows as silences. Without any, those of an earlier
    /// configuration are ended once.
    fn start_maintenance(&self, windows: Vec<Maintenance>) {
        let (store, clock, bus) = (self.store.clone(), self.clock.clone(), self.bus.clone());
        self.tasks.start("maintenance", move |shutdown| {
            maintain(store.clone(), clock.clone(), bus.clone(), (windows.clone(), shutdown))
        });
    }

    /// Ticks and the store's upkeep.
    fn start_clockwork(&self, retention: Retention) {
        let (intake, clock, bus) = (self.intake.clone(), self.clock.clone(), self.bus.clone());
        self.tasks.start("ticks", move |shutdown| {
            ticks(intake.clone(), clock.clone(), bus.clone(), shutdown)
        });
        let (store, clock) = (self.store.clone(), self.clock.clone());
        self.tasks.start("upkeep", move |shutdown| {
            upkeep(store.clone(), clock.clone(), retention.clone(), shutdown)
        });
    }

    /// Asks all tasks to end and waits for them; says whether all did in time.
    pub async fn stop(self) -> bool {
        self.tasks.drain(PATIENCE).await
    }
}

/// Why an address can't be opened, and what to do.
fn taken(addr: std::net::SocketAddr, error: &std::io::Error) -> anyhow::Error {
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    let port = addr.port();
    let advice = match error.kind() {
        AddrInUse => format!(
            "port {port} on {} is taken by another program; stop it, or choose another port \
             (--port, --bind or web.bind; 0 takes a free one)",
            addr.ip()
        ),
        AddrNotAvailable => {
            format!("this machine has no address {}; mend web.bind", addr.ip())
        }
        PermissionDenied => {
            format!("port {port} is only for root; choose one above 1023 with web.bind")
        }
        _ => format!("{addr} can't be opened: {error}"),
    };
    anyhow::Error::msg(advice)
}

/// Renders the metrics in Prometheus' text format.
pub type MetricsText = Box<dyn Fn() -> String + Send + Sync>;

/// Where the front doors are.
#[derive(Clone, Debug)]
pub struct Doors {
    /// Base address.
    pub url: String,
    /// A link that logs in once.
    pub login: String,
}

/// Reads the state of a plan's target as its runbook says.
fn observer(config: crate::remediate::Config, library: Arc<Library>, settings: &Config) -> Observe {
    let values = settings.runbooks.settings.clone();
    Arc::new(move |plan: Plan| {
        let (config, library, values) = (config.clone(), library.clone(), values.clone());
        Box::pin(async move {
            // A dry run changes nothing, so its target needs no look.
            if config.is_dry() {
                return Ok(None);
            }
            let Some(action) = library.get(&plan.runbook).and_then(|r| r.action(&plan.action))
            else {
                return Err(Fault::because(format!("the runbook {} is gone", plan.runbook)));
            };
            let situation = runbook::Situation { settings: values, ..Default::default() };
            let asked = runbook::observe(action, &situation, &plan.target, &plan.parameters)
                .map_err(|refused| Fault::because(refused.to_string()))?;
            match asked {
                Some(o) => read_state(&config, &o.url, &o.headers, &o.keys).await.map(Some),
                None => Ok(None),
            }
        })
    })
}

async fn ticks(
    intake: Intake,
    clock: SharedClock,
    bus: Bus,
    shutdown: CancellationToken,
) -> Result<(), Fault> {
    loop {
        let pause = clock.wall(TICK).clamp(Duration::from_millis(200), Duration::from_secs(5));
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
        // A full journal needs no tick to be noticed.
        if let Err(e) = intake.accept(Batch::tick(clock.now())).await
            && !e.is_transient()
        {
            return Err(e);
        }
        bus.publish(Event::Tick);
    }
}

async fn maintain(
    store: Store,
    clock: SharedClock,
    bus: Bus,
    (windows, shutdown): (Vec<Maintenance>, CancellationToken),
) -> Result<(), Fault> {
    loop {
        let (now, planned) = (clock.now(), windows.clone());
        for id in store.write(move |tx| correlate::plan(tx, &planned, now)).await? {
            bus.publish(Event::Silence(id));
        }
        if windows.is_empty() {
            shutdown.cancelled().await;
            return Ok(());
        }
        let pause = clock.wall(MAINTENANCE).clamp(Duration::from_secs(1), MAINTENANCE);
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn upkeep(
    store: Store,
    clock: SharedClock,
    retention: Retention,
    shutdown: CancellationToken,
) -> Result<(), Fault> {
    let mut was_above = false;
    loop {
        while store.write(|tx| tx.pack_points(50)).await? > 0 {
            tokio::task::yield_now().await;
        }
        let (now, kept) = (clock.now(), retention.clone());
        let trimmed = store.write(move |tx| tx.enforce(&kept, now)).await?;
        trimmed.tell(was_above);
        was_above = trimmed.above_cap.is_some();
        metrics::gauge!("nightjar_store_size_bytes").set(store.reader().size_bytes() as f64);
        let pause = clock.wall(MAINTENANCE).clamp(Duration::from_secs(10), MAINTENANCE);
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Returns when the process is asked to end (Ctrl-C or SIGTERM).
///
/// # Errors
/// The signals can't be listened for.
pub async fn asked_to_end() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.context("listening for Ctrl-C")?,
        _ = term.recv() => {}
    }
    Ok(())
}

/// Runs the bot until it is asked to end.
///
/// # Errors
/// The configuration can't be put to work: the store, the address, a runbook.
pub async fn run(config: Config, metrics: MetricsText) -> anyhow::Result<()> {
    let app = App::start(&config, Arc::new(crate::model::clock::SystemClock)).await?;
    let doors = app.open_doors(&config, 1.0, metrics)?;
    app.start_sources(&config.prometheus);
    tracing::info!(url = doors.url, n_sources = config.prometheus.len(), "nightjar runs");
    say(&format!("nightjar listens on {}\nLog in once with {}\n", doors.url, doors.login));
    asked_to_end().await?;
    finish(app).await;
    Ok(())
}

async fn finish(app: App) {
    say("Ending: what is under way is finished first.\n");
    if !app.stop().await {
        tracing::warn!("some tasks did not end in time; what was accepted is kept");
    }
}

/// Standard output; a reader that went away is no error.
fn say(text: &str) {
    use std::io::Write as _;
    std::io::stdout().write_all(text.as_bytes()).ok();
    std::io::stdout().flush().ok();
}
