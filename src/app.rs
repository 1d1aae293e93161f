//! The composition root: names the adapters, starts the stages, drains them.
//!
//! Order of the start: store, intake, detection (which restores its state and reads on in the
//! journal), the stages behind it, the sources, and last the front doors, so that nothing is
//! accepted before it can be judged. The end goes the other way round: doors and sources stop,
//! stages finish what they have in hand, detection writes a last snapshot.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, Event};
use crate::correlate::{self, Correlate};
use crate::detect::{self, Detect, SharedShard};
use crate::model::{Batch, Fault, SharedClock};
use crate::stage::Tasks;
use crate::store::{Retention, Store};
use crate::telemetry::intake::Intake;
use crate::telemetry::prometheus::{Poller, Progress, PrometheusConfig};

/// How long the tasks may take to finish what they have in hand.
const PATIENCE: Duration = Duration::from_secs(15);
/// Event time between two rounds of packing and trimming.
const MAINTENANCE: Duration = Duration::from_secs(600);
/// Event time between two ticks.
const TICK: Duration = Duration::from_secs(15);

/// What the pipeline is made of, whatever the configuration file looks like.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Folder of the store.
    pub data_dir: PathBuf,
    /// How much is kept.
    pub retention: Retention,
    /// Detection.
    pub detect: detect::Config,
    /// Correlation.
    pub correlate: correlate::Config,
    /// Prometheus servers to poll.
    pub prometheus: Vec<PrometheusConfig>,
}

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
}

/// Newest progress of each source.
#[derive(Clone, Default)]
pub struct Sources {
    // Guards a short list that is copied out whole.
    newest: Arc<Mutex<Vec<Progress>>>,
}

impl Sources {
    /// Takes the newest word of a source.
    pub fn told(&self, progress: Progress) {
        let mut newest = self.newest.lock().expect("nothing panics under this lock");
        newest.retain(|p| p.source != progress.source);
        newest.push(progress);
    }

    /// All sources as they last were.
    #[must_use]
    pub fn all(&self) -> Vec<Progress> {
        let mut all = self.newest.lock().expect("nothing panics under this lock").clone();
        all.sort_by(|a, b| a.source.cmp(&b.source));
        all
    }
}

impl App {
    /// Opens the store and starts the stages; sources and doors are started after.
    ///
    /// # Errors
    /// The store can't be opened.
    pub async fn start(settings: &Settings, clock: SharedClock) -> anyhow::Result<Self> {
        let store = Store::open(&settings.data_dir.join("nightjar.sqlite"))?;
        let (bus, tasks) = (Bus::default(), Tasks::default());
        let intake = Intake::open(store.clone(), bus.clone()).await?;
        let shard = SharedShard::new(settings.detect.clone());
        let app = Self { store, bus, intake, clock, tasks, shard, progress: Sources::default() };
        app.start_stages(settings);
        app.start_clockwork(settings.retention.clone());
        Ok(app)
    }

    fn start_stages(&self, settings: &Settings) {
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

    /// Stops doors and sources, lets the stages finish, writes the last snapshot.
    pub async fn stop(self) -> bool {
        self.tasks.drain(PATIENCE).await
    }
}

async fn ticks(
    intake: Intake,
    clock: SharedClock,
    bus: Bus,
    shutdown: CancellationToken,
) -> Result<(), Fault> {
    loop {
        let pause = clock.wall(TICK).clamp(Duration::from_millis(200), Duration::from_secs(15));
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

async fn upkeep(
    store: Store,
    clock: SharedClock,
    retention: Retention,
    shutdown: CancellationToken,
) -> Result<(), Fault> {
    loop {
        while store.write(|tx| tx.pack_points(50)).await? > 0 {
            tokio::task::yield_now().await;
        }
        let (now, kept) = (clock.now(), retention.clone());
        let trimmed = store.write(move |tx| tx.enforce(&kept, now)).await?;
        if trimmed.by_size {
            tracing::warn!("the store is above its size cap: the oldest telemetry goes early");
        }
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
