//! Times as they are written on the command line.

use super::moment;
use crate::model::Time;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

/// A time: RFC 3339, an ISO date with or without a time of day (UTC), unix seconds, `now`, or a
/// length before `now` such as `-7d`, `-36h` or `-1d12h`.
///
/// # Errors
/// It is none of these: a sentence that says so.
pub fn time_of(text: &str, now: Time) -> Result<Time, String> {
    let wrong = || {
        format!(
            "`{text}` is no time. Write 2026-11-14T08:00:00Z, 2026-11-14, or a length before now \
             such as -7d, -36h, -90m"
        )
    };
    if text.eq_ignore_ascii_case("now") {
        return Ok(now);
    }
    if let Some(back) = text.strip_prefix('-').and_then(length_ms) {
        return Ok(now.plus_ms(-back));
    }
    moment::parse(text).filter(|ms| *ms >= 0).map(Time::from_ms).ok_or_else(wrong)
}

/// A length of one or several numbers with units: `7d`, `1d12h`, `90 min`.
pub(super) fn length_ms(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    let mut total: i64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|n| *n > 0)?;
        let n: i64 = rest[..digits].parse().ok()?;
        let after = rest[digits..].trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let unit = match &after[..end] {
            "s" | "sec" => SECOND_MS,
            "m" | "min" => MINUTE_MS,
            "h" => HOUR_MS,
            "d" => DAY_MS,
            "w" => 7 * DAY_MS,
            _ => return None,
        };
        total = n.checked_mul(unit).and_then(|ms| total.checked_add(ms))?;
        rest = after[end..].trim_start();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = Time::parse("2026-11-21T18:00:00Z").expect("a time");
        for (text, wanted) in [
            ("now", "2026-11-21T18:00:00.000Z"),
            ("-7d", "2026-11-14T18:00:00.000Z"),
            ("-1d12h", "2026-11-20T06:00:00.000Z"),
            ("-90 min", "2026-11-21T16:30:00.000Z"),
            ("2026-11-14", "2026-11-14T00:00:00.000Z"),
            ("2026-11-14T08:00:00+01:00", "2026-11-14T07:00:00.000Z"),
            ("1796000000", "2026-11-30T00:53:20.000Z"),
        ] {
            assert_eq!(time_of(text, now).map(|t| t.to_string()), Ok(wanted.to_owned()), "{text}");
        }
        for text in ["-", "-7", "-7y", "7d", "soon", "", "-99999999999999999d"] {
            assert!(time_of(text, now).is_err(), "{text}");
        }
    }
}
