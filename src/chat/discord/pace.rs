//! How fast Discord may be asked: its limits per route and over all, as its headers tell them, and
//! a stop before an address gets banned for too many answers of 401, 403 or 429.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serenity::http::{LightMethod, RatelimitingBucket};
use tokio::time::Instant;

/// Requests of one second over all routes; Discord takes 50.
const EACH_SECOND: usize = 45;
/// Answers of 401, 403 and 429 within [`WINDOW`] after which nothing is sent; Discord bans an
/// address at 10,000.
const MOST_REFUSED: usize = 1_000;
/// How far back refused requests count.
const WINDOW: Duration = Duration::from_secs(600);
/// How long nothing but one probe is sent once the token was not accepted.
const TOKEN_PAUSE: Duration = Duration::from_secs(60);
/// Routes that are remembered at most; the ones whose window is over go first.
const MOST_ROUTES: usize = 10_000;

/// One route: method, path and major parameter.
pub(super) type Key = (LightMethod, RatelimitingBucket);

#[derive(Clone, Copy)]
struct Left {
    n: u32,
    until: Instant,
}

/// Why nothing may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// For so long.
    For(Duration),
    /// The token was refused a short while ago.
    Token,
}

/// What the headers said.
#[derive(Default)]
pub(super) struct Pace {
    routes: HashMap<Key, Left>,
    all_until: Option<Instant>,
    sent: VecDeque<Instant>,
    refused: VecDeque<Instant>,
    token_until: Option<Instant>,
}

impl Pace {
    /// Takes leave to send one request now, or says how long to wait.
    pub(super) fn take(&mut self, key: Option<Key>, now: Instant) -> Result<(), Halt> {
        if self.token_until.is_some_and(|until| until > now) {
            return Err(Halt::Token);
        }
        while self.refused.front().is_some_and(|at| now.duration_since(*at) > WINDOW) {
            self.refused.pop_front();
        }
        if self.refused.len() >= MOST_REFUSED {
            let first = self.refused[0] + WINDOW;
            return Err(Halt::For(first.saturating_duration_since(now)));
        }
        if let Some(until) = self.all_until.filter(|until| *until > now) {
            return Err(Halt::For(until - now));
        }
        while self.sent.front().is_some_and(|at| now.duration_since(*at) >= SECOND) {
            self.sent.pop_front();
        }
        if self.sent.len() >= EACH_SECOND {
            return Err(Halt::For(SECOND.saturating_sub(now.duration_since(self.sent[0]))));
        }
        if let Some(left) = key.and_then(|key| self.routes.get_mut(&key)) {
            if left.until > now && left.n == 0 {
                return Err(Halt::For(left.until - now));
            }
            left.n = left.n.saturating_sub(1);
        }
        self.sent.push_back(now);
        Ok(())
    }

    /// Notes what an answer's headers say about its route.
    pub(super) fn told(&mut self, key: Option<Key>, left: u32, reset: Duration, now: Instant) {
        let Some(key) = key else { return };
        if self.routes.len() >= MOST_ROUTES {
            self.routes.retain(|_, left| left.until > now);
        }
        // Requests still under way have taken their part already: the smaller figure counts.
        let known = self.routes.get(&key).filter(|known| known.until > now);
        let n = known.map_or(left, |known| known.n.min(left));
        self.routes.insert(key, Left { n, until: now + reset });
    }

    /// Notes a 429.
    pub(super) fn limited(&mut self, key: Option<Key>, all: bool, after: Duration, now: Instant) {
        self.refused.push_back(now);
        if all {
            self.all_until = Some(now + after);
        } else if let Some(key) = key {
            self.routes.insert(key, Left { n: 0, until: now + after });
        }
    }

    /// Notes a 401 or 403.
    pub(super) fn refused(&mut self, token: bool, now: Instant) {
        self.refused.push_back(now);
        if token {
            self.token_until = Some(now + TOKEN_PAUSE);
        }
    }

    /// Notes an answer that shows the token to be good.
    pub(super) fn accepted(&mut self) {
        self.token_until = None;
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use serenity::http::Route;

    use super::*;

    fn key(channel: u64) -> Key {
        let route = Route::ChannelMessages { channel_id: channel.into() };
        (LightMethod::Post, route.ratelimiting_bucket())
    }

    #[test]
    fn a_route_rests_until_its_window_is_over_and_others_go_on() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.take(Some(key(1)), now), Ok(()));
        pace.told(Some(key(1)), 1, Duration::from_secs(3), now);
        assert_eq!(pace.take(Some(key(1)), now), Ok(()));
        assert_eq!(pace.take(Some(key(1)), now), Err(Halt::For(Duration::from_secs(3))));
        assert_eq!(pace.take(Some(key(2)), now), Ok(()));
        assert_eq!(pace.take(Some(key(1)), now + Duration::from_secs(4)), Ok(()));
    }

    #[test]
    fn a_global_limit_stops_all_and_fifty_a_second_are_never_reached() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let n = (0..60).filter(|i| pace.take(Some(key(*i + 1)), now).is_ok()).count();
        assert_eq!(n, EACH_SECOND);
        let later = now + Duration::from_secs(2);
        pace.limited(Some(key(1)), true, Duration::from_secs(5), later);
        assert_eq!(pace.take(Some(key(9)), later), Err(Halt::For(Duration::from_secs(5))));
    }

    #[test]
    fn too_many_refusals_stop_us_before_discord_does() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for _ in 0..MOST_REFUSED {
            pace.refused(false, now);
        }
        assert_eq!(pace.take(Some(key(1)), now), Err(Halt::For(WINDOW)));
        assert_eq!(pace.take(Some(key(1)), now + WINDOW + SECOND), Ok(()));
        pace.refused(true, now + WINDOW + SECOND);
        assert_eq!(pace.take(Some(key(1)), now + WINDOW + SECOND), Err(Halt::Token));
        assert_eq!(pace.take(Some(key(1)), now + WINDOW + SECOND + TOKEN_PAUSE), Ok(()));
    }
}
