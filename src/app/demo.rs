//! The demo: the bot with its defaults, and a simulated shop before its front doors.

mod words;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{App, Doors, MetricsText, asked_to_end, finish, say};
use crate::config::Config;
use crate::demo::{Options, Shop};
use crate::detect::business::{Business, Kind};
use crate::detect::slo::{Objective, Selector, Window};
use crate::model::clock::ScaledClock;
use crate::model::signal::Direction;
use crate::model::time::SECOND_MS;
use crate::model::{Clock, EntityRef, Fault, Indicator, SharedClock, Time, wall_now};
use crate::remediate::HostRule;
use crate::store::{Rows, Store};
use crate::telemetry::prometheus::{Cursor, PrometheusConfig, QueryConfig};

/// Key under which the demo's event time is kept.
const CLOCK: &str = "demo/clock";
/// Name of the source that the shop's metrics come from.
const SOURCE: &str = "shop";
/// Speed while history is read: event time all but stands still.
const STILL: f64 = 0.001;
/// Event time by which the clock may be ahead of the newest poll: less than what counts as
/// silence and than the minutes that signs of one fault are apart, so that a busy machine tells no
/// other story than an idle one; more than two polls.
const LEASH_MS: i64 = 45 * SECOND_MS;
/// Batches that may wait to be judged before time waits for them.
const WAITING: u64 = 6;

/// How the demo is run.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Event seconds per real second.
    pub speed: f64,
    /// The one scenario to play.
    pub scenario: Option<String>,
    /// Everything random follows from it.
    pub seed: u64,
    /// Port of the console; 0: any free one.
    pub port: u16,
    /// Folder of the store and the shop's file.
    pub data_dir: PathBuf,
    /// Open the console in a browser.
    pub browser: bool,
    /// Settings of which chats, model and policies are taken; the rest is the demo's own.
    pub settings: Config,
}

/// The bot and the shop before it, ready to play.
pub(super) struct Play {
    pub(super) app: App,
    pub(super) shop: Shop,
    pub(super) clock: Arc<ScaledClock>,
    pub(super) doors: Doors,
    /// Event time at which the last start ended, where there was one.
    goes_on: Option<Time>,
}

impl Play {
    /// Starts bot and shop, and has history read and judged. Event time all but stands still
    /// until [`Play::go`].
    ///
    /// # Errors
    /// The store or the port can't be opened, or the scenario is unknown.
    pub(super) async fn ready(
        options: &DemoOptions,
        metrics: MetricsText,
        told: impl Fn(&str),
    ) -> anyhow::Result<Self> {
        let chosen = options.scenario.as_deref().and_then(crate::demo::scenario::scenario);
        let start = chosen.and_then(|s| s.start_before(wall_now()));
        let clock = ScaledClock::new(start.unwrap_or_else(wall_now), STILL);
        let shared: SharedClock = clock.clone();
        let secret = crate::command::secret::random();
        let store = Store::open(&options.data_dir.join("nightjar.sqlite"))?;
        let kept = store.read(time_kept).await?;
        drop(store);
        if let Some(at) = kept {
            clock.jump_to(at);
        }
        let shop = Shop::bind(Options {
            seed: options.seed,
            clock: shared.clone(),
            scenario: options.scenario.clone(),
            data_dir: Some(options.data_dir.clone()),
            hook_secret: secret.clone(),
        })?;
        let config = config_of(options, &shop, secret);
        let app = App::start(&config, shared).await?;
        let doors = app.open_doors(&config, options.speed, metrics)?;
        let served = shop.clone();
        app.tasks.start("shop", move |shutdown| served.serve(shutdown));
        app.start_sources(&config.prometheus);
        // A later start goes on at once: what was missed is read while time goes on.
        if kept.is_none() {
            prepare(&app, told).await;
        }
        Ok(Self { app, shop, clock, doors, goes_on: kept })
    }

    /// Lets time go on and the shop push what happens.
    pub(super) fn go(&self, speed: f64) {
        // From the first moment, before any source has told how far it is: time that nobody read
        // would look like silence of the shop, and be gone when an effect is measured.
        self.clock.hold_at(Clock::now(&*self.clock).plus_ms(LEASH_MS));
        self.clock.set_speed(speed);
        let (pusher, bot) = (self.shop.clone(), self.doors.url.clone());
        self.app.tasks.start("shop-push", move |shutdown| pusher.push(bot.clone(), shutdown));
        keep_time(&self.app, &self.clock);
        keep_pace(&self.app, &self.clock);
    }
}

/// Runs the demo until it is asked to end.
///
/// # Errors
/// The store or the port can't be opened, or the scenario is unknown.
pub async fn demo(options: DemoOptions, metrics: MetricsText) -> anyhow::Result<()> {
    let started = Instant::now();
    // Refused before anything is opened; the bot takes it for good when it starts.
    drop(super::Presence::take(&options.data_dir)?);
    say(&format!("nightjar demo: a shop of 14 services, data in {}\n", options.data_dir.display()));
    let ready = tokio::select! {
        play = Play::ready(&options, metrics, say) => Some(play?),
        asked = asked_to_end() => { asked?; None }
    };
    let Some(play) = ready else {
        say("\nEnded while history was being read; the next start reads what is missing.\n");
        return Ok(());
    };
    play.go(options.speed);
    let seed = play.shop.world().seed();
    let ready = words::Ready {
        scenario: options.scenario.as_deref().and_then(crate::demo::scenario::scenario),
        speed: options.speed,
        took_s: started.elapsed().as_secs_f64(),
        login: &play.doors.login,
        goes_on: play.goes_on,
        other_seed: Some(seed).filter(|s| *s != options.seed),
    };
    say(&ready.text());
    if options.browser
        && let Err(e) = open::that_detached(&play.doors.login)
    {
        tracing::debug!(error = %e, "no browser could be opened");
    }
    asked_to_end().await?;
    finish(play.app).await;
    Ok(())
}

fn config_of(options: &DemoOptions, shop: &Shop, secret: String) -> Config {
    let given = options.settings.clone();
    let mut config = Config {
        data_dir: options.data_dir.clone(),
        chat: given.chat,
        llm: given.llm,
        assist: given.assist,
        approve: given.approve,
        notify: given.notify,
        silences: given.silences,
        learn: given.learn,
        ..Config::default()
    };
    config.approve.expires_min = read_in(config.approve.expires_min, options.speed);
    config.web.bind = format!("127.0.0.1:{}", options.port);
    config.web.hook_secret = Some(secret.into());
    config.prometheus = vec![PrometheusConfig {
        name: SOURCE.into(),
        url: shop.url(),
        queries: business_queries(),
        discover: true,
        ..Default::default()
    }];
    config.detect.business =
        vec![business("orders", "shop.orders", 2.0), business("revenue", "shop.revenue", 1.0)];
    config.slo = objectives();
    config.runbooks.settings.insert("admin_url".into(), shop.url());
    config.remediate.hosts.push(HostRule {
        host: shop.addr().to_string(),
        methods: vec!["POST".into()],
        path_prefix: "/admin/".into(),
    });
    config
}

/// What the shop lives by; no exporter names such series alike, so a site says what they are.
fn business_queries() -> Vec<QueryConfig> {
    let query = |counter: &str, metric: &str, unit: &str| QueryConfig {
        promql: format!("sum(rate({counter}[{{window}}])) * 60"),
        metric: metric.into(),
        indicator: Indicator::Custom,
        unit: unit.into(),
        direction: Direction::Low,
        entity_label: None,
        entity_attribute: None,
        entity: Some(EntityRef::service("checkout")),
        limit: None,
    };
    vec![
        query("shop_orders_total", "shop.orders", "{order}/min"),
        query("shop_revenue_euros_total", "shop.revenue", "EUR/min"),
    ]
}

fn business(name: &str, metric: &str, weight: f64) -> Business {
    Business {
        name: name.into(),
        metric: metric.into(),
        labels: BTreeMap::new(),
        kind: Kind::Business,
        direction: None,
        weight,
    }
}

/// What the shop promises its customers.
fn objectives() -> Vec<Objective> {
    let objective = |name: &str, service: &str, percent: f64, description: &str| Objective {
        name: name.into(),
        service: service.into(),
        description: description.into(),
        objective: percent,
        window: Window::default(),
        errors: Some(Selector::of("http.server.request.error_ratio")),
        good: None,
        bad: None,
        total: Some(Selector::of("http.server.request.rate")),
        latency: None,
        threshold: None,
        least_bad: 5,
        labels: BTreeMap::new(),
    };
    vec![
        objective("checkout-success", "checkout", 99.5, "Customers can pay for their cart."),
        objective("login-success", "auth", 99.5, "Customers can log in."),
    ]
}

/// Minutes of event time in which a person has `minutes` by the wall clock: nobody reads an offer
/// faster because event time runs.
fn read_in(minutes: u32, speed: f64) -> u32 {
    (f64::from(minutes) * speed.max(1.0)).min(f64::from(u32::MAX)) as u32
}

/// Waits until history was read and judged, and shows how far it is.
async fn prepare(app: &App, told: impl Fn(&str)) {
    let at_terminal = std::io::stdout().is_terminal();
    let mut last = None;
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let all = app.progress.all();
        let Some(p) = all.first() else { continue };
        let history = words::History {
            percent: if p.backfill { (p.done_ratio * 100.0) as u32 } else { 100 },
            n_series: p.n_series,
            n_points: p.n_points,
            waiting: app.intake.backlog(),
        };
        if let Some(text) = history.text(last, at_terminal) {
            told(&text);
            last = Some(history);
        }
        if !p.backfill && history.waiting == 0 {
            told(if at_terminal { "\n" } else { "" });
            return;
        }
    }
}

/// Event time at which an earlier start ended: as it was kept last, or later, where more was read
/// before the end came than was kept.
fn time_kept(rows: &Rows<'_>) -> Result<Option<Time>, Fault> {
    let Some(kept) = rows.value::<Time>(CLOCK)? else { return Ok(None) };
    let cursor: Option<Cursor> = rows.value(&Cursor::key(SOURCE))?;
    Ok(cursor.and_then(|c| c.newest()).max(Some(kept)))
}

/// Keeps event time, so that the next start goes on from it.
fn keep_time(app: &App, clock: &Arc<ScaledClock>) {
    let (store, clock) = (app.store.clone(), clock.clone());
    app.tasks.start("demo-clock", move |shutdown| {
        let (store, clock) = (store.clone(), clock.clone());
        async move {
            loop {
                let over = tokio::select! {
                    () = shutdown.cancelled() => true,
                    () = tokio::time::sleep(Duration::from_millis(500)) => false,
                };
                let now = Clock::now(&*clock);
                store.write(move |tx| tx.put_value(CLOCK, &now)).await?;
                if over {
                    return Ok(());
                }
            }
        }
    });
}

/// Lets event time run ahead of what was read and judged by no more than [`LEASH_MS`]: what a
/// machine can't do in time must not look like silence of the shop.
fn keep_pace(app: &App, clock: &Arc<ScaledClock>) {
    let (progress, intake, clock) = (app.progress.clone(), app.intake.clone(), clock.clone());
    app.tasks.start("demo-pace", move |shutdown| {
        let (progress, intake, clock) = (progress.clone(), intake.clone(), clock.clone());
        async move {
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    () = tokio::time::sleep(Duration::from_millis(50)) => {}
                }
                let read = progress.all().iter().map(|p| p.at).min();
                if let Some(read) = read.filter(|_| intake.backlog() <= WAITING) {
                    clock.hold_at(read.plus_ms(LEASH_MS));
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_later_start_begins_where_the_last_one_ended_or_had_read_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("s.sqlite")).expect("opens");
        let kept = async || store.read(time_kept).await.expect("reads");
        let set = async |key: &'static str, value: serde_json::Value| {
            store.write(move |tx| tx.put_value(key, &value)).await.expect("writes");
        };
        let at = |s: i64| Time::from_ms(s * SECOND_MS);
        let read = |s: i64| serde_json::json!({ "answered": { "a": at(10), "b": at(s) } });
        set("prometheus/shop/cursor", read(90)).await;
        assert_eq!(kept().await, None, "history was not read to its end");
        set("demo/clock", serde_json::json!(at(100))).await;
        assert_eq!(kept().await, Some(at(100)));
        set("prometheus/shop/cursor", read(170)).await;
        assert_eq!(kept().await, Some(at(170)), "or it would wait for itself");
    }

    #[test]
    fn offers_stay_open_for_as_long_as_people_need_to_read_them() {
        assert_eq!([read_in(60, 20.0), read_in(60, 1.0), read_in(60, 0.5)], [1_200, 60, 60]);
        assert_eq!(read_in(u32::MAX, 1_000.0), u32::MAX);
    }
}
