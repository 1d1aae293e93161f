//! The shop as one thing: its world, the clock, and what is kept between starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::exposition::Meters;
use super::promql::Engine;
use super::scenario::{Operation, Scenario, scenarios};
use super::series::{Series, catalogue};
use super::world::{Event, What, World};
use crate::model::time::DAY_MS;
use crate::model::{Fault, SharedClock, Time};

/// How the shop is run.
#[derive(Clone)]
pub struct Options {
    /// Everything random follows from it.
    pub seed: u64,
    /// Event time.
    pub clock: SharedClock,
    /// The one scenario to play; `None`: all, one after the other.
    pub scenario: Option<String>,
    /// Where its file is kept; `None`: nowhere.
    pub data_dir: Option<PathBuf>,
    /// Secret that deploy webhooks are signed with.
    pub hook_secret: String,
}

/// What is kept between starts.
#[derive(Serialize, Deserialize)]
struct Kept {
    seed: u64,
    beginning: Time,
    events: Vec<Event>,
    /// The port of its door: a plan that names it still holds after the next start.
    #[serde(default)]
    port: u16,
}

/// The running shop. Cheap to clone.
#[derive(Clone)]
pub struct Shop {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) options: Options,
    // Guards the list of events and what follows from it; held for one look or one change.
    pub(super) world: Mutex<World>,
    pub(super) series: Arc<Vec<Series>>,
    // Guards what the counters stand at; held for one reading.
    meters: Mutex<Meters>,
    pub(super) addr: SocketAddr,
    pub(super) listener: Mutex<Option<std::net::TcpListener>>,
}

/// What became of an operation that may have been asked for before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operated {
    /// It was carried out now.
    Now,
    /// It had been carried out under the same key; nothing was done.
    Before,
    /// Something else had been carried out under the same key; nothing was done.
    OtherUnderKey,
}

/// Name of the file in the data folder.
const FILE: &str = "shop.json";

impl Shop {
    /// Opens the shop's door on a free port of the loopback interface, and its file.
    ///
    /// # Errors
    /// The port can't be opened, the file can't be read, or the scenario is unknown.
    pub fn bind(options: Options) -> Result<Self, Fault> {
        if let Some(key) = &options.scenario
            && !scenarios().iter().any(|s| s.key == *key)
        {
            let known: Vec<&str> = scenarios().iter().map(|s| s.key.as_str()).collect();
            let text = format!("there is no scenario `{key}`; there are: {}", known.join(", "));
            return Err(Fault::because(text));
        }
        let fail = |e| Fault::permanent("the shop's door can't be opened", anyhow::Error::new(e));
        let kept = kept(&options)?;
        let listener = door(kept.as_ref().map_or(0, |k| k.port)).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        let addr = listener.local_addr().map_err(fail)?;
        let world = match kept {
            Some(kept) => World::replay(kept.seed, kept.beginning, kept.events),
            None => World::new(options.seed, options.clock.now().plus_ms(-16 * DAY_MS)),
        };
        let series = Arc::new(catalogue(world.seed()));
        let world = Mutex::new(world);
        let (listener, meters) = (Mutex::new(Some(listener)), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { options, world, series, meters, addr, listener }) })
    }

    /// Where its door is.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.inner.addr
    }

    /// Address of the query and admin interfaces.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.inner.addr)
    }

    /// The world as it is now.
    #[must_use]
    pub fn world(&self) -> World {
        self.inner.world.lock().expect("nothing panics under this lock").clone()
    }

    pub(super) fn now(&self) -> Time {
        self.inner.options.clock.now()
    }

    /// All metrics in Prometheus' text format, as they stand now.
    pub(super) fn exposition(&self) -> String {
        let (world, now) = (self.world(), self.now());
        let mut meters = self.inner.meters.lock().expect("nothing panics under this lock");
        meters.read(&world, &self.inner.series, now)
    }

    pub(super) fn engine(&self) -> Engine {
        Engine { world: self.world(), series: self.inner.series.clone(), now: self.now() }
    }

    /// Starts a scenario now.
    ///
    /// # Errors
    /// The shop's file can't be written.
    pub fn inject(&self, scenario: &Scenario) -> Result<(), Fault> {
        self.inject_once(scenario, None).map(|_| ())
    }

    /// Starts a scenario now; the same key twice is once.
    ///
    /// # Errors
    /// The shop's file can't be written.
    pub fn inject_once(&self, scenario: &Scenario, key: Option<String>) -> Result<Operated, Fault> {
        self.record(Event { at: self.now(), what: What::Inject(scenario.key.clone()), key })
    }

    /// Carries out an operation now; the same key twice is once.
    ///
    /// # Errors
    /// The shop's file can't be written.
    pub fn operate(&self, operation: Operation, key: Option<String>) -> Result<Operated, Fault> {
        self.record(Event { at: self.now(), what: What::Operate(operation), key })
    }

    fn record(&self, event: Event) -> Result<Operated, Fault> {
        let mut world = self.inner.world.lock().expect("nothing panics under this lock");
        if let Some(before) = event.key.as_deref().and_then(|k| world.recorded(k)) {
            let same = before.what == event.what;
            return Ok(if same { Operated::Before } else { Operated::OtherUnderKey });
        }
        world.record(event);
        let Some(folder) = &self.inner.options.data_dir else { return Ok(Operated::Now) };
        let kept = Kept {
            seed: world.seed(),
            beginning: world.beginning(),
            events: world.events().to_vec(),
            port: self.inner.addr.port(),
        };
        let fail = |e| Fault::permanent("the shop's file can't be written", anyhow::Error::new(e));
        std::fs::create_dir_all(folder).map_err(fail)?;
        let text = serde_json::to_string(&kept).expect("events have only text and times");
        let part = folder.join("shop.json.part");
        std::fs::write(&part, text)
            .and_then(|()| std::fs::rename(&part, folder.join(FILE)))
            .map_err(fail)?;
        Ok(Operated::Now)
    }
}

/// The door at its old port, or at a free one where that is taken by now.
fn door(port: u16) -> std::io::Result<std::net::TcpListener> {
    let old = std::net::TcpListener::bind(("127.0.0.1", port));
    if port == 0 { old } else { old.or_else(|_| std::net::TcpListener::bind(("127.0.0.1", 0))) }
}

fn kept(options: &Options) -> Result<Option<Kept>, Fault> {
    let Some(path) = options.data_dir.as_ref().map(|d| d.join(FILE)) else { return Ok(None) };
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|e| {
            let what = format!("{} can't be read; remove it to start anew", path.display());
            Fault::permanent(what, e)
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Fault::permanent(format!("{} can't be read", path.display()), e)),
    }
}
