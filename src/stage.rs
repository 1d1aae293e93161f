//! The shape of a stage, and the tasks that the process is made of: started, supervised, drained.
//!
//! A panic in a task restarts that task after a pause and is counted
//! (`nightjar_task_restarts_total`); it never ends the process.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::bus::{Bus, Event, Heard};
use crate::model::Fault;

/// Pause before a task that panicked or failed is started again.
const RESTART: Duration = Duration::from_millis(500);

/// Restarts of one task within [`LOOP`] that make it a loop.
const MANY: usize = 3;
/// How far back restarts are looked at.
const LOOP: Duration = Duration::from_secs(60);

/// A step of the pipeline: sweeps the store for work, then listens.
///
/// Handlers may run twice for the same event and must leave the same state behind.
pub trait Stage: Send + 'static {
    /// Its name in logs and metrics.
    const NAME: &'static str;

    /// How often it sweeps even when no doorbell rings (wall time).
    const SWEEP: Duration = Duration::from_secs(10);

    /// Whether it cares about an event.
    fn wants(&self, event: &Event) -> bool;

    /// Looks through the store for all work that is due.
    fn sweep(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Does the work that an event announces.
    fn handle(&mut self, event: Event) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Puts down what it knows and has not stored yet; called once, when the process ends in order.
    fn stop(&mut self) -> impl Future<Output = Result<(), Fault>> + Send {
        std::future::ready(Ok(()))
    }

    /// When it wants to be woken (wall time) for work that it let gather; what was heard before then
    /// is handled first.
    fn wakes(&self) -> Option<Instant> {
        None
    }

    /// Does what has gathered.
    fn wake(&mut self) -> impl Future<Output = Result<(), Fault>> + Send {
        self.sweep()
    }
}

/// What a stage is to do next.
#[derive(Debug)]
enum Work {
    Sweep,
    Event(Event),
    Wake,
}

/// The tasks of the process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: CancellationToken,
    // Guards the times of the newest restarts of each task, at most MANY of each.
    restarts: Arc<Mutex<BTreeMap<&'static str, Vec<Instant>>>>,
}

impl Tasks {
    /// Names of the tasks that were started again three times within the last minute: they fail
    /// as soon as they run.
    #[must_use]
    pub fn restarting(&self) -> Vec<&'static str> {
        let restarts = self.restarts.lock().expect("nothing panics under this lock");
        let newest = restarts.iter().filter(|(_, times)| times.len() == MANY);
        newest.filter(|(_, times)| times[0].elapsed() < LOOP).map(|(name, _)| *name).collect()
    }

    fn note_restart(&self, name: &'static str) {
        metrics::counter!("nightjar_task_restarts_total", "task" => name).increment(1);
        let mut restarts = self.restarts.lock().expect("nothing panics under this lock");
        let times = restarts.entry(name).or_default();
        if times.len() == MANY {
            times.remove(0);
        }
        times.push(Instant::now());
    }

    /// Cancelled when the process is to end.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Starts a task that `make` makes, and makes it anew when it panics or fails. It is expected
    /// to return once its token is cancelled.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns tasks")]
    pub fn start<M, F>(&self, name: &'static str, mut make: M)
    where
        M: FnMut(CancellationToken) -> F + Send + 'static,
        F: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        let (tasks, shutdown) = (self.clone(), self.shutdown.clone());
        self.tracker.spawn(async move {
            while !shutdown.is_cancelled() {
                match tokio::spawn(make(shutdown.clone())).await {
                    Ok(Ok(())) => return,
                    Ok(Err(e)) => tracing::error!(task = name, error = e.chain(), "a task failed"),
                    Err(e) => tracing::error!(task = name, error = %e, "a task panicked"),
                }
                tasks.note_restart(name);
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = tokio::time::sleep(RESTART) => {}
                }
            }
        });
    }

    /// Runs a future to its end beside everything else: a question being answered, a run under
    /// way. The drain waits for it.
    pub fn once(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(future);
    }

    /// Starts a stage: it sweeps, then listens.
    pub fn stage<S: Stage, M>(&self, bus: &Bus, mut make: M)
    where
        M: FnMut() -> S + Send + 'static,
    {
        let bus = bus.clone();
        self.start(S::NAME, move |shutdown| run_stage(make(), bus.clone(), shutdown));
    }

    /// Ends everything: cancels, then waits up to `patience` for the tasks to drain. Says whether
    /// all did.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.shutdown.cancel();
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait()).await.is_ok()
    }
}

async fn run_stage<S: Stage>(
    mut stage: S,
    bus: Bus,
    shutdown: CancellationToken,
) -> Result<(), Fault> {
    let mut events = bus.subscribe();
    let mut due = tokio::time::interval(S::SWEEP);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let wakes = stage.wakes();
        let work = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            _ = due.tick() => Work::Sweep,
            heard = events.next() => match heard {
                Heard::Event(event) if stage.wants(&event) => Work::Event(event),
                Heard::Event(_) => continue,
                Heard::Lagged => Work::Sweep,
                Heard::Closed => break,
            },
            () = tokio::time::sleep_until(wakes.unwrap_or_else(Instant::now)), if wakes.is_some() => {
                Work::Wake
            }
        };
        let started = std::time::Instant::now();
        let span = tracing::info_span!("stage", name = S::NAME, work = ?work);
        let result = async {
            match work {
                Work::Event(event) => stage.handle(event).await,
                Work::Sweep => stage.sweep().await,
                Work::Wake => stage.wake().await,
            }
        }
        .instrument(span)
        .await;
        metrics::histogram!("nightjar_stage_work_seconds", "stage" => S::NAME)
            .record(started.elapsed().as_secs_f64());
        if let Err(e) = result {
            // The next sweep takes the work up again.
            metrics::counter!("nightjar_stage_faults_total", "stage" => S::NAME).increment(1);
            tracing::error!(stage = S::NAME, error = e.chain(), "a step failed; it is swept again");
        }
    }
    if let Err(e) = stage.stop().await {
        // A task that fails is started again, and this one is to end.
        tracing::error!(stage = S::NAME, error = e.chain(), "what it knew was not put down");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Counting {
        seen: Arc<AtomicU32>,
    }

    impl Stage for Counting {
        const NAME: &'static str = "counting";
        fn wants(&self, event: &Event) -> bool {
            *event == Event::Tick
        }
        async fn sweep(&mut self) -> Result<(), Fault> {
            self.seen.fetch_add(100, Ordering::SeqCst);
            Ok(())
        }
        async fn handle(&mut self, _: Event) -> Result<(), Fault> {
            let before = self.seen.fetch_add(1, Ordering::SeqCst);
            assert_ne!(before, 100, "the first event panics");
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stage_that_panics_is_started_again_and_sweeps() {
        let (tasks, bus, seen) = (Tasks::default(), Bus::default(), Arc::new(AtomicU32::new(0)));
        let counter = seen.clone();
        tasks.stage(&bus, move || Counting { seen: counter.clone() });
        tokio::time::sleep(Duration::from_millis(10)).await;
        bus.publish(Event::Tick);
        tokio::time::sleep(Duration::from_secs(1)).await;
        bus.publish(Event::Tick);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(seen.load(Ordering::SeqCst), 202, "sweep, panic, sweep, event");
        assert!(tasks.drain(Duration::from_secs(5)).await);
    }

    /// Lets events gather for a while after the first, and keeps when it was woken and for how many.
    struct Gathering {
        n: u32,
        due: Option<Instant>,
        woken: Arc<Mutex<Vec<(Instant, u32)>>>,
    }

    impl Stage for Gathering {
        const NAME: &'static str = "gathering";
        fn wants(&self, event: &Event) -> bool {
            *event == Event::Tick
        }
        async fn sweep(&mut self) -> Result<(), Fault> {
            Ok(())
        }
        async fn handle(&mut self, _: Event) -> Result<(), Fault> {
            self.n += 1;
            self.due.get_or_insert(Instant::now() + Duration::from_millis(200));
            Ok(())
        }
        fn wakes(&self) -> Option<Instant> {
            self.due
        }
        async fn wake(&mut self) -> Result<(), Fault> {
            let mut woken = self.woken.lock().expect("nothing panics under this lock");
            woken.push((Instant::now(), std::mem::take(&mut self.n)));
            self.due = None;
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stage_is_woken_when_it_wants_for_all_that_was_heard_until_then() {
        let (tasks, bus, woken) = (Tasks::default(), Bus::default(), Arc::default());
        let kept: Arc<Mutex<Vec<(Instant, u32)>>> = Arc::clone(&woken);
        tasks.stage(&bus, move || Gathering { n: 0, due: None, woken: kept.clone() });
        tokio::time::sleep(Duration::from_millis(10)).await;
        let start = Instant::now();
        for _ in 0..3 {
            bus.publish(Event::Tick);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        let woken = std::mem::take(&mut *woken.lock().expect("nothing panics under this lock"));
        let [(at, n)] = woken.try_into().expect("it was woken once");
        let waited = at.saturating_duration_since(start);
        assert_eq!((n, waited.as_millis() / 10), (3, 20), "for all three, after 200 ms");
        assert!(tasks.drain(Duration::from_secs(5)).await);
    }

    struct Noting(Arc<AtomicU32>);

    impl Stage for Noting {
        const NAME: &'static str = "noting";
        fn wants(&self, _: &Event) -> bool {
            false
        }
        async fn sweep(&mut self) -> Result<(), Fault> {
            Ok(())
        }
        async fn handle(&mut self, _: Event) -> Result<(), Fault> {
            Ok(())
        }
        async fn stop(&mut self) -> Result<(), Fault> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Err(Fault::because("the disk is full"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stage_puts_down_what_it_knows_once_when_the_process_ends_and_may_fail_at_it() {
        let (tasks, bus, stopped) = (Tasks::default(), Bus::default(), Arc::new(AtomicU32::new(0)));
        let counter = stopped.clone();
        tasks.stage(&bus, move || Noting(counter.clone()));
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(stopped.load(Ordering::SeqCst), 0);
        assert!(tasks.drain(Duration::from_secs(5)).await);
        assert_eq!(stopped.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_fails_whenever_it_runs_is_named_until_it_stays_up() {
        let (tasks, runs) = (Tasks::default(), Arc::new(AtomicU32::new(0)));
        let counter = runs.clone();
        tasks.start("detect", move |shutdown| {
            let n = counter.fetch_add(1, Ordering::SeqCst);
            async move {
                if n < 3 {
                    return Err(Fault::because("the snapshot can't be read"));
                }
                shutdown.cancelled().await;
                Ok(())
            }
        });
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(tasks.restarting().is_empty(), "two failures are no loop");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(tasks.restarting(), ["detect"]);
        tokio::time::sleep(LOOP).await;
        assert!(tasks.restarting().is_empty());
        assert!(tasks.drain(Duration::from_secs(5)).await);
    }
}
