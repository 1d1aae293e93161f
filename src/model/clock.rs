//! Where "now" comes from: the system, a test, or a demo's scaled time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Time;

/// A source of event time. Wall-clock matters (login, expiry of sessions, HTTP timeouts) use
/// [`wall_now`] instead.
pub trait Clock: Send + Sync + 'static {
    /// The present event time.
    fn now(&self) -> Time;

    /// How long to wait on the wall clock until `event_time` of event time has passed.
    fn wall(&self, event_time: Duration) -> Duration {
        event_time
    }
}

/// A shared clock, as every stage holds it.
pub type SharedClock = Arc<dyn Clock>;

/// The system's clock in UTC, for matters of real people (sessions, tokens, pacing).
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
pub fn wall_now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time::from_ms(since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
}

/// Event time is real time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        wall_now()
    }
}

/// Time that moves only when told: tests and `replay`.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn new(start: Time) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(start.ms())))
    }

    /// Moves to `to`; never backwards.
    pub fn set(&self, to: Time) {
        self.0.fetch_max(to.ms(), Ordering::SeqCst);
    }

    /// Moves `by` later.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time::from_ms(self.0.load(Ordering::SeqCst))
    }
    fn wall(&self, _: Duration) -> Duration {
        Duration::from_millis(1)
    }
}

/// Event time that runs `speed` times as fast as real time from a chosen start, and whose speed
/// can be changed without a jump. The demo's clock.
#[derive(Debug)]
pub struct ScaledClock {
    // Guards the pair (origin, speed): a reader sees both from the same change.
    state: Mutex<Scaled>,
}

#[derive(Clone, Copy, Debug)]
struct Scaled {
    event_origin: Time,
    wall_origin: Instant,
    speed: f64,
    limit: Time,
}

impl ScaledClock {
    /// A clock that reads `start` now and runs `speed` (> 0) times as fast as real time.
    #[must_use]
    pub fn new(start: Time, speed: f64) -> Arc<Self> {
        let state =
            Scaled { event_origin: start, wall_origin: Instant::now(), speed, limit: Time::MAX };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Event seconds per real second.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.scaled().speed
    }

    /// Changes the speed from now on; the present event time does not jump.
    pub fn set_speed(&self, speed: f64) {
        let mut state = self.state.lock().expect("no code panics while it holds this lock");
        let now = state.read();
        *state = Scaled { event_origin: now, wall_origin: Instant::now(), speed, ..*state };
    }

    /// Lets time stand still at `limit` until a later one is set; time that has passed it already
    /// stands still at once.
    pub fn hold_at(&self, limit: Time) {
        let mut state = self.state.lock().expect("no code panics while it holds this lock");
        let now = state.read();
        *state = Scaled {
            event_origin: now,
            wall_origin: Instant::now(),
            limit: limit.max(now),
            ..*state
        };
    }

    /// Jumps forward to `to` (never backwards), as the end of a back-fill does.
    pub fn jump_to(&self, to: Time) {
        let mut state = self.state.lock().expect("no code panics while it holds this lock");
        if to > state.read() {
            *state = Scaled { event_origin: to, wall_origin: Instant::now(), ..*state };
        }
    }

    fn scaled(&self) -> Scaled {
        *self.state.lock().expect("no code panics while it holds this lock")
    }
}

impl Scaled {
    fn read(&self) -> Time {
        let elapsed_ms = self.wall_origin.elapsed().as_secs_f64() * 1_000.0 * self.speed;
        self.event_origin.plus_ms(elapsed_ms as i64).min(self.limit.max(self.event_origin))
    }
}

impl Clock for ScaledClock {
    fn now(&self) -> Time {
        self.scaled().read()
    }
    fn wall(&self, event_time: Duration) -> Duration {
        event_time.div_f64(self.speed().max(0.001))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_clock_changes_speed_without_a_jump_back() {
        let clock = ScaledClock::new(Time::from_ms(1_000_000), 1_000.0);
        let before = clock.now();
        clock.set_speed(0.001);
        assert!(clock.now() >= before);
        clock.jump_to(Time::from_ms(5_000_000));
        clock.jump_to(Time::from_ms(2_000_000));
        assert!(clock.now() >= Time::from_ms(5_000_000));
        assert_eq!(clock.wall(Duration::from_millis(1)), Duration::from_secs(1));
    }

    #[test]
    fn a_held_clock_stands_at_its_limit_and_goes_on_from_there() {
        let clock = ScaledClock::new(Time::from_ms(0), 0.001);
        clock.hold_at(Time::from_ms(1_000));
        clock.set_speed(1e9);
        while clock.now() < Time::from_ms(1_000) {
            std::hint::spin_loop();
        }
        assert_eq!(clock.now(), Time::from_ms(1_000));
        clock.set_speed(1.0);
        clock.hold_at(Time::from_ms(5_000));
        assert!(clock.now() < Time::from_ms(4_000), "it does not jump to the new limit");
        // A limit that lies back holds it where it is.
        clock.hold_at(Time::from_ms(0));
        let held = clock.now();
        assert!(held >= Time::from_ms(1_000));
        clock.set_speed(1e9);
        assert_eq!(clock.now(), held);
    }
}
