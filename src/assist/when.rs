//! Time expressions: "since 14:00", "yesterday", "in the last 2 hours". Pure: `now` is given.

use jiff::{Timestamp, ToSpan as _, Zoned, civil::Weekday, tz::TimeZone};
use regex::Regex;

use crate::model::{
    Time,
    time::{DAY_MS, HOUR_MS, MINUTE_MS},
};

/// A stretch of time, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) since: Time,
    pub(super) until: Time,
}

fn zoned(t: Time, zone: &TimeZone) -> Zoned {
    let stamp = Timestamp::from_millisecond(t.ms()).expect("event times lie within jiff's range");
    stamp.to_zoned(zone.clone())
}

fn time(z: &Zoned) -> Time {
    Time::from_ms(z.timestamp().as_millisecond())
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern compiles")
}

/// The clock times in the text, as (hour, minute), in order.
fn clocks(text: &str) -> Vec<(i8, i8)> {
    pattern(r"\b(\d{1,2})(?::(\d{2}))?\s*(am|pm)\b|\b(\d{1,2}):(\d{2})\b|\b(noon|midnight)\b")
        .captures_iter(text)
        .filter_map(|c| {
            if let Some(word) = c.get(6) {
                return Some((if word.as_str() == "noon" { 12 } else { 0 }, 0));
            }
            let n = |i: usize| c.get(i).and_then(|m| m.as_str().parse::<i8>().ok());
            let (hour, minute) = match c.get(3) {
                Some(half) => {
                    let hour = n(1).filter(|h| (1..=12).contains(h))? % 12;
                    (hour + if half.as_str() == "pm" { 12 } else { 0 }, n(2).unwrap_or(0))
                }
                None => (n(4)?, n(5)?),
            };
            (hour < 24 && minute < 60).then_some((hour, minute))
        })
        .collect()
}

fn unit_ms(word: &str) -> i64 {
    match word.as_bytes().first() {
        Some(b's') => 1_000,
        Some(b'm') => MINUTE_MS,
        Some(b'h') => HOUR_MS,
        Some(b'd') => DAY_MS,
        _ => 7 * DAY_MS,
    }
}

/// The day that the text names, as its midnight.
fn day(text: &str, now: &Zoned) -> Option<Zoned> {
    let today = now.start_of_day().ok()?;
    let has = |w: &str| pattern(&format!(r"\b{w}\b")).is_match(text);
    if has("yesterday") || has("last night") {
        return today.checked_sub(1.day()).ok();
    }
    if has("today") || has("this (morning|afternoon|evening)") || has("tonight") {
        return Some(today);
    }
    if let Some(c) = pattern(r"\b(\d{4})-(\d{2})-(\d{2})\b").captures(text) {
        let date: jiff::civil::Date = c[0].parse().ok()?;
        return date.to_zoned(now.time_zone().clone()).ok();
    }
    let names = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let (_, weekday) = names.into_iter().find(|(name, _)| has(name))?;
    let back = i64::from(weekday.until(now.weekday()));
    today.checked_sub(if back == 0 { 7 } else { back }.days()).ok()
}

/// The range that the text names; `None` when it names none. Clock times without a day are the
/// latest that have passed. A single time means half an hour either side, unless "since",
/// "before" or "until" stands before it.
pub(super) fn parse(text: &str, now: Time, zone: &TimeZone) -> Option<Range> {
    let text = text.to_lowercase();
    let here = zoned(now, zone);
    let range = |since: Time, until: Time| {
        (since < until).then_some(Range { since, until: until.min(now.plus_ms(1)) })
    };
    let units = r"(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)";
    let amount = r"(\d{1,4}|an?|half an|few|couple of)";
    let number = |word: &str| match word {
        "a" | "an" => 1.0,
        "half an" => 0.5,
        "few" => 3.0,
        "couple of" => 2.0,
        digits => digits.parse().unwrap_or(1.0),
    };
    let last = pattern(&format!(r"\b(?:last|past|previous)\s+(?:{amount}\s*)?{units}\b"));
    if let Some(c) = last.captures(&text) {
        let n = c.get(1).map_or(1.0, |m| number(m.as_str()));
        return range(now.plus_ms(-((n * unit_ms(&c[2]) as f64) as i64)), now);
    }
    if let Some(c) = pattern(&format!(r"\b{amount}\s*{units}\s+ago\b")).captures(&text) {
        let at = now.plus_ms(-((number(&c[1]) * unit_ms(&c[2]) as f64) as i64));
        if text.contains("since") || text.contains("from") {
            return range(at, now);
        }
        let wide = (unit_ms(&c[2]) / 2).max(15 * MINUTE_MS);
        return range(at.plus_ms(-wide), at.plus_ms(wide));
    }
    let named = day(&text, &here);
    let hours = clocks(&text);
    let base = named.clone().or_else(|| here.start_of_day().ok())?;
    let at = |(h, m): (i8, i8)| base.with().hour(h).minute(m).build().ok().map(|z| time(&z));
    // A clock time still to come today, with no day named, was yesterday's.
    let past = |t: Time| if named.is_none() && t > now { t.plus_ms(-DAY_MS) } else { t };
    if let [first, second, ..] = hours[..] {
        let (a, b) = (past(at(first)?), past(at(second)?));
        return range(a, if b <= a { b.plus_ms(DAY_MS) } else { b });
    }
    if let [one] = hours[..] {
        let t = past(at(one)?);
        if pattern(r"\b(since|after|from)\b").is_match(&text) {
            return range(t, now);
        }
        if pattern(r"\b(before|until)\b").is_match(&text) {
            return range(t.plus_ms(-2 * HOUR_MS), t);
        }
        return range(t.plus_ms(-30 * MINUTE_MS), t.plus_ms(30 * MINUTE_MS));
    }
    if pattern(r"\bthis week\b").is_match(&text) {
        let back = i64::from(Weekday::Monday.until(here.weekday()));
        let monday = here.start_of_day().ok()?.checked_sub(back.days()).ok()?;
        return range(time(&monday), now);
    }
    let start = time(&named?);
    let part =
        |from: i64, to: i64| range(start.plus_ms(from * HOUR_MS), start.plus_ms(to * HOUR_MS));
    match () {
        () if text.contains("last night") => part(18, 30),
        () if text.contains("morning") => part(5, 12),
        () if text.contains("afternoon") => part(12, 18),
        () if text.contains("evening") || text.contains("tonight") => part(18, 24),
        () if text.contains("since") => range(start, now),
        () => part(0, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_give_the_range_that_people_mean() {
        // A Saturday.
        let now = Time::parse("2026-11-21T15:00:00Z").expect("valid");
        for (text, since, until) in [
            ("what changed since 14:00", "21T14:00", "21T15:00"),
            ("between 14:00 and 14:30", "21T14:00", "21T14:30"),
            ("from 2pm to 2:30pm", "21T14:00", "21T14:30"),
            ("what happened yesterday", "20T00:00", "21T00:00"),
            ("last night", "20T18:00", "21T06:00"),
            ("last friday 10pm", "20T21:30", "20T22:30"),
            ("in the last 2 hours", "21T13:00", "21T15:00"),
            ("over the past 30 min", "21T14:30", "21T15:00"),
            ("an hour ago", "21T13:30", "21T14:30"),
            ("this morning", "21T05:00", "21T12:00"),
            ("since yesterday", "20T00:00", "21T15:00"),
            ("at 16:00", "20T15:30", "20T16:30"),
            ("before 14:00", "21T12:00", "21T14:00"),
            ("between 23:00 and 01:00 yesterday", "20T23:00", "21T01:00"),
            ("this week", "16T00:00", "21T15:00"),
            ("on monday", "16T00:00", "17T00:00"),
        ] {
            let got = parse(text, now, &TimeZone::UTC).expect(text);
            let short = |t: Time| t.to_string()[8..16].to_owned();
            assert_eq!(
                (short(got.since).as_str(), short(got.until).as_str()),
                (since, until),
                "{text}"
            );
        }
        assert_eq!(parse("is checkout healthy", now, &TimeZone::UTC), None);
        assert_eq!(parse("at 27:99", now, &TimeZone::UTC), None);
    }
}
