//! How long the sweep rests from reading all that fires: bells tell of nearly every alert, and a storm
//! leaves the others their share.

use std::time::Duration;

/// Once all that fires took longer to read than this, it is not read again for [`SELDOM`] times as long,
/// at most [`LATEST`].
const LONG: Duration = Duration::from_millis(400);
const SELDOM: u32 = 10;
const LATEST: Duration = Duration::from_secs(20);

/// For how long all that fires is not read again after reading it took so long.
pub(super) fn after_reading(took: Duration) -> Duration {
    if took > LONG { (SELDOM * took).min(LATEST) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_to_read_is_read_seldom_and_never_too_seldom() {
        let ms = Duration::from_millis;
        let told =
            [(0, 0), (400, 0), (401, 4_010), (1_500, 15_000), (2_000, 20_000), (9_000, 20_000)];
        for (took, rest) in told {
            assert_eq!(after_reading(ms(took)), ms(rest), "{took} ms");
        }
        // However long it takes, a lost bell is noticed within half a minute and the reading.
        assert_eq!(after_reading(Duration::MAX / 20), LATEST);
    }
}
