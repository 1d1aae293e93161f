//! Clock times, dates and zones as people write them. Pure.

use std::sync::LazyLock;

use jiff::{Zoned, civil::Weekday, tz::Offset, tz::TimeZone};
use regex::Regex;

pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern compiles")
}

/// A time of day in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    pub(super) hour: i8,
    pub(super) minute: i8,
    /// A bare hour up to 12 ("since 2"): it may be meant in either half of the day.
    pub(super) either_half: bool,
    pub(super) starts: usize,
}

static CLOCK: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"\b(?P<h12>\d{1,2})(?:[:.](?P<m12>\d{2}))?\s*(?P<half>am|pm|a\.m|p\.m)\b",
        r"|\b(?P<h>\d{1,2})[:h](?P<m>\d{2})(?::\d{2})?(?:\b|z)",
        r"|\b(?P<word>noon|midday|midnight)\b",
        r"|\b(?P<lead>since|after|from|between|and|to|until|till|before|at|around|about|by|-)\s+",
        r"(?:(?P<four>[012]\d[0-5]\d)|(?P<bare>\d{1,2})(?:\.(?P<dot>[0-5]\d))?)",
        r"(?:h|\s?uhr|\s?o'?clock)?(?P<end>\s|$|[?,!;])",
    ))
});

/// Words that may follow a bare hour; anything else makes it a count ("at 20 requests").
static AFTER_BARE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^\s*(?:$|[?,!;.-]|(?:and|to|until|till|today|yesterday|this|last|on|in|for|utc|gmt|z|cet|cest|est|edt|pst|pdt|et|pt|am|pm|o'?clock|uhr|it|we|was|is|did|or|mon|tue|wed|thu|fri|sat|sun)\b)",
    )
});

/// The clock times in the text, in order.
pub(super) fn clocks(text: &str) -> Vec<Clock> {
    let mut found: Vec<Clock> = Vec::new();
    let mut at = 0;
    let mut later_half: Option<i8> = None;
    while let Some(c) = CLOCK.captures_at(text, at) {
        let whole = c.get(0).expect("a match has a whole");
        // The white space after a bare hour may begin the next one.
        at = c.name("end").map_or(whole.end(), |e| e.start()).max(at + 1);
        let n = |name: &str| c.name(name).and_then(|m| m.as_str().parse::<i8>().ok());
        let starts = whole.start();
        let clock = if let Some(word) = c.name("word") {
            let hour = if word.as_str() == "midnight" { 0 } else { 12 };
            Some(Clock { hour, minute: 0, either_half: false, starts })
        } else if let Some(half) = c.name("half") {
            let hour = n("h12").filter(|h| (1..=12).contains(h)).map(|h| h % 12);
            let is_pm = half.as_str().starts_with('p');
            later_half = hour.filter(|_| is_pm).or(later_half);
            hour.map(|h| Clock {
                hour: h + if is_pm { 12 } else { 0 },
                minute: n("m12").unwrap_or(0),
                either_half: false,
                starts,
            })
        } else if let Some(hour) = n("h") {
            n("m").map(|minute| Clock { hour, minute, either_half: false, starts })
        } else if let Some(four) = c.name("four") {
            let (h, m) = four.as_str().split_at(2);
            h.parse().ok().zip(m.parse().ok()).map(|(hour, minute)| Clock {
                hour,
                minute,
                either_half: false,
                starts,
            })
        } else {
            let lead = c.name("lead").map_or("", |m| m.as_str());
            let joins = matches!(lead, "and" | "to" | "-");
            let end = c.name("end").map_or(whole.end(), |e| e.start());
            let fits = AFTER_BARE.is_match(&text[end..]) && (!joins || !found.is_empty());
            n("bare").filter(|_| fits).map(|hour| Clock {
                hour,
                minute: n("dot").unwrap_or(0),
                either_half: (1..=12).contains(&hour),
                starts,
            })
        };
        found.extend(clock.filter(|c| (0..24).contains(&c.hour) && (0..60).contains(&c.minute)));
    }
    // "between 2 and 4pm": the first is in the same half unless it would come after the second.
    if let Some(later) = later_half {
        for c in found.iter_mut().filter(|c| c.either_half) {
            c.hour = c.hour % 12 + if c.hour % 12 < later { 12 } else { 0 };
            c.either_half = false;
        }
    }
    found
}

/// Offsets in minutes of the abbreviations that mean one zone to the people who use them.
const ZONES: &[(&str, i32)] = &[
    ("utc", 0),
    ("gmt", 0),
    ("z", 0),
    ("wet", 0),
    ("bst", 60),
    ("cet", 60),
    ("mez", 60),
    ("cest", 120),
    ("mesz", 120),
    ("eet", 120),
    ("eest", 180),
    ("ist", 330),
    ("sgt", 480),
    ("jst", 540),
    ("aest", 600),
    ("aedt", 660),
    ("est", -300),
    ("edt", -240),
    ("cdt", -300),
    ("mst", -420),
    ("mdt", -360),
    ("pst", -480),
    ("pdt", -420),
];

/// Abbreviations that follow the clocks of a place, summer time included.
const PLACES: &[(&str, &str)] = &[
    ("et", "America/New_York"),
    ("ct", "America/Chicago"),
    ("mt", "America/Denver"),
    ("pt", "America/Los_Angeles"),
];

static ABBREVIATED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:\d\s?|[ap]m\s+|noon\s+|midnight\s+|\bin\s+|\btoday\s+|\byesterday\s+)(?P<z>[a-z]{1,4})\b",
    )
});
static NAMED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?P<z>[a-z]{3,}/[a-z_]{3,}(?:/[a-z_]+)?)\b"));
static SHIFTED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:\b(?:utc|gmt)\s?|\d[t ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(?P<sign>[+-])(?P<h>\d{1,2})(?::?(?P<m>\d{2}))?\b",
    )
});

/// The zone that the text names for its clock times.
pub(super) fn zone(text: &str) -> Option<TimeZone> {
    if let Some(c) = NAMED.captures(text)
        && let Ok(zone) = TimeZone::get(&c["z"])
    {
        return Some(zone);
    }
    // "10:00-11:30" is a range; an offset stands after an ISO stamp or after UTC.
    if let Some(c) = SHIFTED.captures(text) {
        let minutes: i32 = c["h"].parse::<i32>().ok()? * 60
            + c.name("m").and_then(|m| m.as_str().parse().ok()).unwrap_or(0);
        let sign = if &c["sign"] == "-" { -1 } else { 1 };
        if let Ok(offset) = Offset::from_seconds(sign * minutes * 60) {
            return Some(TimeZone::fixed(offset));
        }
    }
    // Every word is tried: that of one match ("9am") may stand before the next ("am EST").
    let mut from = 0;
    std::iter::from_fn(|| {
        let found = ABBREVIATED.captures_at(text, from)?;
        from = found.name("z").map_or(text.len(), |z| z.start());
        Some(found)
    })
    .find_map(|c| {
        let word = &c["z"];
        if let Some((_, place)) = PLACES.iter().find(|(z, _)| *z == word) {
            return TimeZone::get(place).ok();
        }
        let (_, minutes) = ZONES.iter().find(|(z, _)| *z == word)?;
        Offset::from_seconds(minutes * 60).ok().map(TimeZone::fixed)
    })
}

/// Stamps such as `2026-11-20T14:05:00` and `2026-11-20 14:05`.
pub(super) static ISO: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?P<d>\d{4}-\d{2}-\d{2})[t ](?P<h>\d{2}):(?P<m>\d{2})"));

static DATE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(\d{4}-\d{2}-\d{2})\b"));
const MONTHS: &str = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec";
static MONTH_DAY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"\b(?:(?P<d>\d{{1,2}})(?:st|nd|rd|th|\.)?(?:\s+of)?\s+(?P<m>{MONTHS})[a-z]*|(?P<m2>{MONTHS})[a-z]*\s+(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?)\b"
    ))
});
static DOTTED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})?(?:\s|$|[?,])"));
static WEEKDAY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"\b(mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(?:day)?s?\b")
});

/// The latest such day of a year that is not after today.
fn latest(now: &Zoned, month: i8, day: i8) -> Option<jiff::civil::Date> {
    let today = now.date();
    (0..8).find_map(|back| {
        let date = jiff::civil::Date::new(today.year() - back, month, day).ok()?;
        (date <= today).then_some(date)
    })
}

/// The day that the text names, as its midnight.
pub(super) fn day(text: &str, now: &Zoned) -> Option<Zoned> {
    use jiff::ToSpan as _;
    let today = now.start_of_day().ok()?;
    let has = |w: &str| {
        text.match_indices(w).any(|(i, _)| {
            let free = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
            free(text[..i].chars().next_back()) && free(text[i + w.len()..].chars().next())
        })
    };
    if has("day before yesterday") {
        return today.checked_sub(2.days()).ok();
    }
    if has("yesterday") || has("last night") {
        return today.checked_sub(1.day()).ok();
    }
    if ["today", "tonight", "this morning", "this afternoon", "this evening"].into_iter().any(has) {
        return Some(today);
    }
    let midnight = |date: jiff::civil::Date| date.to_zoned(now.time_zone().clone()).ok();
    if let Some(c) = DATE.captures(text) {
        return midnight(c[1].parse().ok()?);
    }
    if let Some(c) = MONTH_DAY.captures(text) {
        let name = c.name("m").or(c.name("m2"))?.as_str();
        let month = MONTHS.split('|').position(|m| m == name)? as i8 + 1;
        let day = c.name("d").or(c.name("d2"))?.as_str().parse().ok()?;
        return midnight(latest(now, month, day)?);
    }
    if let Some(c) = DOTTED.captures(text) {
        let (day, month) = (c["d"].parse().ok()?, c["m"].parse().ok()?);
        return midnight(match c.name("y") {
            Some(year) => jiff::civil::Date::new(year.as_str().parse().ok()?, month, day).ok()?,
            None => latest(now, month, day)?,
        });
    }
    let weekday = match &WEEKDAY.captures(text)?[1][..3] {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        _ => Weekday::Sunday,
    };
    let back = i64::from(weekday.until(now.weekday()));
    today.checked_sub(if back == 0 { 7 } else { back }.days()).ok()
}
