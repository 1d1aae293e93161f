//! Time expressions as people write them. Now is a Saturday, 15:00 UTC.

use super::*;
use proptest::prelude::*;

fn now() -> Time {
    Time::parse("2026-11-21T15:00:00Z").expect("valid")
}

fn short(t: Time) -> String {
    t.to_string()[8..16].to_owned()
}

fn check(zone: &TimeZone, rows: &[(&str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (text, since, until) in rows {
        let got = parse(text, now(), zone).map(|r| (short(r.since), short(r.until)));
        let got = got.unwrap_or_default();
        if (got.0.as_str(), got.1.as_str()) != (*since, *until) {
            wrong.push(format!("{text}: {} to {}, expected {since} to {until}", got.0, got.1));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn relative_times() {
    check(
        &TimeZone::UTC,
        &[
            ("in the last 2 hours", "21T13:00", "21T15:00"),
            ("over the past 30 min", "21T14:30", "21T15:00"),
            ("last 15m", "21T14:45", "21T15:00"),
            ("past hour", "21T14:00", "21T15:00"),
            ("last half hour", "21T14:30", "21T15:00"),
            ("in the last couple of hours", "21T13:00", "21T15:00"),
            ("last few hours", "21T12:00", "21T15:00"),
            ("within the last two days", "19T15:00", "21T15:00"),
            ("last 24h", "20T15:00", "21T15:00"),
            ("since 2 hours", "21T13:00", "21T15:00"),
            ("for about an hour", "21T14:00", "21T15:00"),
            ("last week", "14T15:00", "21T15:00"),
            ("an hour ago", "21T13:30", "21T14:30"),
            ("10 minutes ago", "21T14:35", "21T15:00"),
            ("since 3 hours ago", "21T12:00", "21T15:00"),
            ("between 3 hours ago and 1 hour ago", "21T12:00", "21T14:00"),
            ("three days ago", "18T03:00", "19T03:00"),
        ],
    );
}

#[test]
fn clock_times_and_days() {
    check(
        &TimeZone::UTC,
        &[
            ("what changed since 14:00", "21T14:00", "21T15:00"),
            ("since 14h30", "21T14:30", "21T15:00"),
            ("since 2pm", "21T14:00", "21T15:00"),
            ("since 2", "21T14:00", "21T15:00"),
            ("since 0930", "21T09:30", "21T15:00"),
            ("between 14:00 and 14:30", "21T14:00", "21T14:30"),
            ("from 2pm to 2:30pm", "21T14:00", "21T14:30"),
            ("between 1 and 2pm", "21T13:00", "21T14:00"),
            ("between 11 and 1pm", "21T11:00", "21T13:00"),
            ("between 13 and 14", "21T13:00", "21T14:00"),
            ("14:00 - 14:30", "21T14:00", "21T14:30"),
            ("14:00-14:30", "21T14:00", "21T14:30"),
            ("between 23:00 and 01:00 yesterday", "20T23:00", "21T01:00"),
            ("between yesterday 22:00 and today 06:00", "20T22:00", "21T06:00"),
            ("from 23:50 to 00:10", "20T23:50", "21T00:10"),
            ("at 16:00", "20T15:30", "20T16:30"),
            ("around 3am", "21T02:30", "21T03:30"),
            ("before 14:00", "21T12:00", "21T14:00"),
            ("since midnight", "21T00:00", "21T15:00"),
            ("yesterday at noon", "20T11:30", "20T12:30"),
            ("what happened yesterday", "20T00:00", "21T00:00"),
            ("day before yesterday", "19T00:00", "20T00:00"),
            ("since yesterday", "20T00:00", "21T15:00"),
            ("last night", "20T18:00", "21T06:00"),
            ("this morning", "21T05:00", "21T12:00"),
            ("yesterday evening", "20T18:00", "21T00:00"),
            ("last friday 10pm", "20T21:30", "20T22:30"),
            ("on monday", "16T00:00", "17T00:00"),
            ("since tues", "17T00:00", "21T15:00"),
            ("this week", "16T00:00", "21T15:00"),
            ("over the weekend", "21T00:00", "21T15:00"),
            ("this month", "01T00:00", "21T15:00"),
            ("on nov 19", "19T00:00", "20T00:00"),
            ("on 19th of november", "19T00:00", "20T00:00"),
            ("am 19.11. ", "19T00:00", "20T00:00"),
            ("2026-11-20", "20T00:00", "21T00:00"),
            ("since 2026-11-20 08:15", "20T08:15", "21T15:00"),
            ("from 2026-11-20T08:00:00Z to 2026-11-20T09:00:00Z", "20T08:00", "20T09:00"),
        ],
    );
}

#[test]
fn zones_are_those_named_or_the_configured_one() {
    check(
        &TimeZone::UTC,
        &[
            ("since 14:00 CET", "21T13:00", "21T15:00"),
            ("since 9am EST", "21T14:00", "21T15:00"),
            ("since 6am pt", "21T14:00", "21T15:00"),
            ("between 14:00 and 15:00 Europe/Zurich", "21T13:00", "21T14:00"),
            ("since 19:30 IST", "21T14:00", "21T15:00"),
            ("since 2026-11-21T14:00:00+02:00", "21T12:00", "21T15:00"),
            ("since 14:00z", "21T14:00", "21T15:00"),
        ],
    );
    let zurich = TimeZone::get("Europe/Zurich").expect("is in the database");
    check(
        &zurich,
        &[
            ("since 14:00", "21T13:00", "21T15:00"),
            ("since 14:00 UTC", "21T14:00", "21T15:00"),
            ("yesterday", "19T23:00", "20T23:00"),
        ],
    );
}

#[test]
fn what_is_no_time_gives_none() {
    for text in [
        "is checkout healthy",
        "at 27:99",
        "error rate at 20 requests",
        "why is p99 1200 ms",
        "version 4.7.2",
        "compare #3 and 4",
        "roll back to 4",
        "tomorrow",
    ] {
        assert_eq!(parse(text, now(), &TimeZone::UTC), None, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_gives_a_range_that_runs_forward_or_none(text in "\\PC{0,60}") {
        if let Some(r) = parse(&text, now(), &TimeZone::UTC) {
            prop_assert!(r.since < r.until);
            prop_assert!(r.until <= now().plus_ms(1));
        }
    }

    #[test]
    fn times_of_all_shapes_never_panic(
        text in "(since|at|between|from|before)? ?[0-9]{1,4}[:.h-]?[0-9]{0,2} ?(am|pm|utc|cet|h|ago)? ?(and|to|-)? ?[0-9]{0,4}:?[0-9]{0,2}( yesterday| nov| ago| days ago)?"
    ) {
        if let Some(r) = parse(&text, now(), &TimeZone::UTC) {
            prop_assert!(r.since < r.until);
        }
    }
}
