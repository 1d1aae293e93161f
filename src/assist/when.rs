//! Time expressions: "since 14:00 CET", "yesterday", "in the last 2 hours". Pure: `now` is given.

use std::sync::LazyLock;

use jiff::{Timestamp, ToSpan as _, Zoned, civil::Weekday, tz::TimeZone};
use regex::Regex;

use crate::model::{
    Time,
    time::{DAY_MS, HOUR_MS, MINUTE_MS},
};

mod clock;
#[cfg(test)]
mod tests;

use clock::{Clock, ISO, clocks, day, pattern};

/// A stretch of time, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) since: Time,
    pub(super) until: Time,
}

fn zoned(t: Time, zone: &TimeZone) -> Zoned {
    let ms = t.ms().clamp(Time::MIN.ms(), Time::MAX.ms());
    let stamp = Timestamp::from_millisecond(ms).expect("clamped into jiff's range");
    stamp.to_zoned(zone.clone())
}

fn time(z: &Zoned) -> Time {
    Time::from_ms(z.timestamp().as_millisecond())
}

fn unit_ms(word: &str) -> i64 {
    match word.as_bytes() {
        [b'm', b'o', ..] => 30 * DAY_MS,
        [b's', ..] => 1_000,
        [b'm', ..] => MINUTE_MS,
        [b'h', ..] => HOUR_MS,
        [b'd', ..] => DAY_MS,
        _ => 7 * DAY_MS,
    }
}

/// Numbers in words, and lengths of time that are said without a number.
const SPOKEN: &[(&str, &str)] = &[
    (r"\bhalf (?:an )?hour\b|\bhalf-hour\b", "30 minutes"),
    (r"\bquarter (?:of an )?hour\b", "15 minutes"),
    (r"\b(?:an )?hour and a half\b", "90 minutes"),
    (r"\b(?:a )?couple (?:of )?", "2 "),
    (r"\b(?:a )?few\b", "3"),
    (r"\bone\b", "1"),
    (r"\btwo\b", "2"),
    (r"\bthree\b", "3"),
    (r"\bfour\b", "4"),
    (r"\bfive\b", "5"),
    (r"\bsix\b", "6"),
    (r"\bseven\b", "7"),
    (r"\beight\b", "8"),
    (r"\bnine\b", "9"),
    (r"\bten\b", "10"),
    (r"\btwelve\b", "12"),
    (r"\bfifteen\b", "15"),
    (r"\btwenty\b", "20"),
    (r"\bthirty\b", "30"),
    (r"\bforty[ -]?five\b", "45"),
    (r"\b(\d+)(?:st|nd|rd|th) hour\b", "$1:00"),
];

static WORDS: LazyLock<Vec<(Regex, &str)>> =
    LazyLock::new(|| SPOKEN.iter().map(|(p, to)| (pattern(p), *to)).collect());

macro_rules! units {
    () => {
        r"(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|months?)\b"
    };
}

static LAST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"\b(?:last|past|previous|within|recent)\s+(?:the\s+last\s+)?(?:(\d{1,4}(?:\.\d)?|an?)\s*)?",
        units!()
    ))
});
static FOR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"\b(?:since|for|over|in|during)\s+(?:about\s+)?(\d{1,4}(?:\.\d)?|an?)\s*",
        units!()
    ))
});
static AGO: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(r"\b(\d{1,4}(?:\.\d)?|an?)\s*", units!(), r"\s+(?:ago|back|earlier)\b"))
});
static SINCE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(since|after|from|starting)\b"));
static BEFORE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(before|until|till|up to|by)\b"));

/// A length of time in milliseconds.
fn length(number: Option<&str>, unit: &str) -> i64 {
    let n = match number {
        None | Some("a" | "an") => 1.0,
        Some(digits) => digits.parse().unwrap_or(1.0),
    };
    (n * unit_ms(unit) as f64) as i64
}

/// The range that the text names; `None` when it names none. Clock times without a day are the
/// latest that have passed. A single time means half an hour either side, unless "since",
/// "before" or "until" stands with it. A zone that the text names goes before `zone`.
pub(super) fn parse(text: &str, now: Time, zone: &TimeZone) -> Option<Range> {
    let mut text = text.to_lowercase();
    for (spoken, written) in WORDS.iter() {
        if spoken.is_match(&text) {
            text = spoken.replace_all(&text, *written).into_owned();
        }
    }
    let named_zone = clock::zone(&text);
    let here = zoned(now, named_zone.as_ref().unwrap_or(zone));
    relative(&text, now).or_else(|| absolute(&text, now, &here))
}

fn until(since: Time, until: Time, now: Time) -> Option<Range> {
    let range = Range { since, until: until.min(now.plus_ms(1)) };
    (range.since < range.until).then_some(range)
}

fn relative(text: &str, now: Time) -> Option<Range> {
    let ago: Vec<(Time, i64)> = AGO
        .captures_iter(text)
        .map(|c| {
            let n = c.get(1).map(|m| m.as_str());
            (now.plus_ms(-length(n, &c[2])), unit_ms(&c[2]))
        })
        .collect();
    match ago[..] {
        [(a, _), (b, _), ..] => return until(a.min(b), a.max(b), now),
        [(at, unit)] => {
            if SINCE.is_match(text) {
                return until(at, now, now);
            }
            let wide = (unit / 2).max(15 * MINUTE_MS);
            return until(at.plus_ms(-wide), at.plus_ms(wide), now);
        }
        [] => {}
    }
    // A clock time says more than "in the last week".
    let found =
        LAST.captures(text).or_else(|| FOR.captures(text)).filter(|_| clocks(text).is_empty())?;
    let back = length(found.get(1).map(|m| m.as_str()), &found[2]);
    until(now.plus_ms(-back), now, now)
}

/// The time of a clock on the named day, or the latest that has passed.
fn at(clock: Clock, named: Option<&Zoned>, here: &Zoned) -> Option<Time> {
    let on = |base: &Zoned, hour: i8| {
        base.with().hour(hour).minute(clock.minute).build().ok().map(|z| time(&z))
    };
    if let Some(base) = named {
        return on(base, clock.hour);
    }
    let today = here.start_of_day().ok()?;
    let yesterday = today.checked_sub(1.day()).ok()?;
    let other = if clock.hour >= 12 { clock.hour - 12 } else { clock.hour + 12 };
    let hours = if clock.either_half { vec![clock.hour, other] } else { vec![clock.hour] };
    [today, yesterday]
        .iter()
        .flat_map(|d| hours.iter().filter_map(|h| on(d, *h)))
        .filter(|t| *t <= time(here))
        .max()
}

fn stamps(text: &str, here: &Zoned) -> Vec<Time> {
    ISO.captures_iter(text)
        .filter_map(|c| {
            let date: jiff::civil::Date = c["d"].parse().ok()?;
            let civil = date.at(c["h"].parse().ok()?, c["m"].parse().ok()?, 0, 0);
            civil.to_zoned(here.time_zone().clone()).ok().map(|z| time(&z))
        })
        .collect()
}

fn absolute(text: &str, now: Time, here: &Zoned) -> Option<Range> {
    let around = |t: Time| {
        if SINCE.is_match(text) {
            return until(t, now, now);
        }
        if BEFORE.is_match(text) {
            return until(t.plus_ms(-2 * HOUR_MS), t, now);
        }
        until(t.plus_ms(-30 * MINUTE_MS), t.plus_ms(30 * MINUTE_MS), now)
    };
    match stamps(text, here)[..] {
        [a, b, ..] => return until(a.min(b), a.max(b), now),
        [one] => return around(one),
        [] => {}
    }
    let named = day(text, here);
    let hours = clocks(text);
    match hours[..] {
        [first, second, ..] => {
            // "between yesterday 22:00 and today 06:00": each clock has the day beside it.
            let beside = |from: usize, to: usize| {
                text.get(from..to).and_then(|part| day(part, here)).or_else(|| named.clone())
            };
            let split = second.starts;
            let later = beside(split, text.len()).filter(|_| day(&text[split..], here).is_some());
            let (a, b) = (
                at(first, beside(0, split).as_ref(), here)?,
                match &later {
                    Some(day) => at(second, Some(day), here)?,
                    None => at(second, beside(0, split).as_ref(), here)?,
                },
            );
            return until(a, if b <= a { b.plus_ms(DAY_MS) } else { b }, now);
        }
        [one] => {
            let t = at(one, named.as_ref(), here)?;
            return around(t);
        }
        [] => {}
    }
    if let Some(range) = calendar(text, now, here) {
        return Some(range);
    }
    let start = time(&named?);
    let part =
        |from: i64, to: i64| until(start.plus_ms(from * HOUR_MS), start.plus_ms(to * HOUR_MS), now);
    match () {
        () if text.contains("last night") => part(18, 30),
        () if text.contains("morning") => part(5, 12),
        () if text.contains("afternoon") => part(12, 18),
        () if text.contains("evening") || text.contains("tonight") => part(18, 24),
        () if text.contains("night") => part(18, 30),
        () if SINCE.is_match(text) => until(start, now, now),
        () => part(0, 24),
    }
}

/// Weeks, months and weekends of the calendar.
fn calendar(text: &str, now: Time, here: &Zoned) -> Option<Range> {
    let today = here.start_of_day().ok()?;
    let back_to = |day: Weekday| {
        let back = i64::from(day.until(here.weekday()));
        today.checked_sub(back.days()).ok()
    };
    if text.contains("this week") {
        return until(time(&back_to(Weekday::Monday)?), now, now);
    }
    if text.contains("this month") {
        return until(time(&today.with().day(1).build().ok()?), now, now);
    }
    if text.contains("weekend") {
        let saturday = back_to(Weekday::Saturday)?;
        return until(time(&saturday), time(&saturday.checked_add(2.days()).ok()?), now);
    }
    None
}
