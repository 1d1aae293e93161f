//! Forecasts on made-up series: what must be seen days ahead, and what must not.

use super::*;
use crate::model::time::DAY_MS;
use crate::stats::Profile;
use proptest::prelude::*;

const LIMIT: f64 = 2_000.0;

fn start() -> Time {
    Time::parse("2026-11-02T00:00:00Z").expect("valid")
}

/// A forecast with the profile that detection has of the series.
struct Watch {
    profile: Profile,
    forecast: Forecast,
}

impl Watch {
    fn new() -> Self {
        Self { profile: Profile::new(), forecast: Forecast::new(LIMIT) }
    }

    fn push(&mut self, at: Time, value: f64, horizon_h: Option<f64>) -> Said {
        let usual = |at| self.profile.expected(at).map(|e| e.mid);
        let said = self.forecast.push(Point { at, value }, &usual, LIMIT, horizon_h);
        self.profile.push(at, value);
        said
    }
}

/// Feeds two weeks of a daily rhythm, then `extra` for some hours, at five minutes; gives the hour
/// of the first warning that holds for two buckets, and what it said.
fn first_warning(hours: i64, extra: impl Fn(f64) -> f64) -> Option<(f64, Warning)> {
    let leak_at = start().plus_ms(14 * DAY_MS + 5 * HOUR_MS);
    let mut watch = Watch::new();
    let mut at = start();
    let mut before = false;
    while at < leak_at.plus_ms(hours * HOUR_MS) {
        let day = (at.ms() as f64 / DAY_MS as f64 * std::f64::consts::TAU).sin();
        let noise = ((at.ms() / MINUTE_MS) as f64 * 0.77).sin() * 8.0;
        let since = at.ms_since(leak_at) as f64 / HOUR_MS as f64;
        let value = 700.0 + 150.0 * day + noise + if since > 0.0 { extra(since) } else { 0.0 };
        // The first two weeks are history: nothing is said of it.
        let horizon = (at.ms_since(start()) > 14 * DAY_MS).then_some(72.0);
        match watch.push(at, value, horizon) {
            Said::Ahead(warning) if before => return Some((since, warning)),
            Said::Ahead(_) => before = true,
            Said::Clear => before = false,
            Said::Nothing => {}
        }
        at = at.plus_ms(BUCKET_MS);
    }
    None
}

#[test]
fn a_leak_of_hours_is_seen_long_before_it_kills_in_spite_of_the_rhythm() {
    let (hour, warning) = first_warning(24, |h| 50.0 * h).expect("50 an hour is a leak");
    assert!(hour < 6.0, "found only after {hour} h");
    // Truth: 700 + 50 h + rhythm reaches 2,000 about 24 h after the leak began.
    let outlook = &warning.outlook;
    let at = hour + outlook.expected_h.expect("in sight");
    assert!((20.0..30.0).contains(&at), "{at}: {outlook:?}");
    assert!(outlook.earliest_h <= outlook.expected_h);
    let began = warning.since.ms_since(start().plus_ms(14 * DAY_MS + 5 * HOUR_MS));
    assert!((-HOUR_MS..2 * HOUR_MS).contains(&began), "the rise is dated {began} ms off");
}

#[test]
fn a_leak_of_three_hundredths_of_a_percent_an_hour_is_seen_days_ahead() {
    // 0.6 of 2,000 an hour, below a rhythm of 150 up and down.
    let reached = |h: f64| 1_070.0 + 0.6 * h;
    let mut watch = Watch::new();
    let mut warned = None;
    let mut crossed = None;
    for i in 0..80 * 288 {
        let at = start().plus_ms(i * BUCKET_MS);
        let hours = i as f64 / 12.0;
        let day = (hours / 24.0 * std::f64::consts::TAU).sin();
        let noise = ((i * 5) as f64 * 0.77).sin() * 20.0;
        let value = reached(hours) + 150.0 * day + noise;
        let horizon = (hours > 14.0 * 24.0).then_some(72.0);
        if let Said::Ahead(w) = watch.push(at, value, horizon) {
            warned.get_or_insert((hours, w));
        }
        if value >= LIMIT {
            crossed = Some(hours);
            break;
        }
    }
    let (hour, warning) = warned.expect("it is told of");
    let left = crossed.expect("it is reached") - hour;
    assert!((48.0..100.0).contains(&left), "{left} h ahead");
    let outlook = warning.outlook;
    let (from, until) = (outlook.earliest_h.expect("told"), outlook.latest_h.unwrap_or(1e9));
    assert!(from <= left && left <= until, "{left} h is not in {from} to {until}");
}

#[test]
fn a_rise_within_a_long_window_is_dated_to_where_it_began() {
    let rest: Vec<f64> = (0..36_u16)
        .map(|i| f64::from(i % 3) + if i < 24 { 0.0 } else { 40.0 * f64::from(i - 23) })
        .collect();
    let at = Time::from_ms(1_000 * BUCKET_MS);
    let began = rise_began(&rest, 0, at);
    let minutes = at.ms_since(began) / MINUTE_MS;
    assert!((50..=60).contains(&minutes), "{minutes} min");
}

#[test]
fn a_rhythm_of_another_height_is_no_leak() {
    let louder = |h: f64| 60.0 * ((h / 24.0) * std::f64::consts::TAU).sin();
    assert_eq!(first_warning(48, louder), None);
    assert_eq!(first_warning(48, |_| 120.0), None, "a step is no leak");
}

#[test]
fn logs_that_are_rotated_in_time_are_no_leak() {
    // 25 an hour, emptied every 40 h at 1,000 above the base: the limit is never near.
    let mut watch = Watch::new();
    for i in 0..30 * 288_i64 {
        let at = start().plus_ms(i * BUCKET_MS);
        let hours = i as f64 / 12.0;
        let value = 600.0 + 25.0 * (hours % 40.0) + (i as f64 * 0.77).sin() * 8.0;
        let horizon = (hours > 14.0 * 24.0).then_some(72.0);
        let said = watch.push(at, value, horizon);
        assert!(!matches!(said, Said::Ahead(_)), "after {hours} h: {said:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any values: finite figures in order, and the same after a restore.
    #[test]
    fn nothing_breaks_it_and_a_restore_changes_nothing(
        values in prop::collection::vec(-1e9_f64..1e9, 80..120),
        limit in 1e-3_f64..1e9,
    ) {
        let mut forecast = Forecast::new(limit);
        let mut twin = Forecast::new(limit);
        for (i, value) in values.iter().enumerate() {
            let point = Point { at: start().plus_ms(i as i64 * HOUR_MS), value: *value };
            if i == 60 {
                let bytes = rmp_serde::to_vec(&twin).expect("writes");
                twin = rmp_serde::from_slice(&bytes).expect("reads");
            }
            let said = forecast.push(point, &|_| Some(0.0), limit, Some(72.0));
            prop_assert_eq!(&said, &twin.push(point, &|_| Some(0.0), limit, Some(72.0)));
            if let Said::Ahead(w) = said {
                let o = w.outlook;
                prop_assert!(o.slope_h.is_finite() && (0.0..=1.0).contains(&o.chance));
                prop_assert!(o.earliest_h <= o.expected_h);
                prop_assert!(o.latest_h.is_none() || o.expected_h <= o.latest_h);
            }
        }
    }
}

#[test]
fn a_forecast_of_the_former_layout_goes_on() {
    // Hours in two bytes, residuals in four, places and sums in eight.
    let hour = start().ms() / HOUR_MS;
    let hours: Vec<i16> = (0..504).map(|h| 5_600 + (h % 24) * 50).collect();
    let memory = (hours, LIMIT, hour, 700.0_f64, 1_u32, 700.0_f64, 3.0_f64);
    let recent = vec![0.5_f32; 96];
    let bucket = start().ms() / BUCKET_MS;
    let former = (memory, recent, bucket, 0.5_f64, 1_u32, None::<()>, 100_000_u32, -100_000_i32);
    let bytes = rmp_serde::to_vec(&former).expect("writes");
    let mut read: Forecast = rmp_serde::from_slice(&bytes).expect("reads");
    assert_eq!((read.slow_streak, read.streak), (i16::MAX, i16::MIN));
    let values = read.memory.values();
    assert!(values.len() >= 420 && read.memory.first() == hour - values.len() as i64);
    let newest = f64::from(5_600 + (503 % 24) * 50) / 16_000.0 * LIMIT;
    assert!((values[values.len() - 1] - newest).abs() < 5.0, "{values:?}");
    assert!((94..=96).contains(&read.recent.iter().count()));
    let point = Point { at: start().plus_ms(BUCKET_MS), value: 701.0 };
    assert_eq!(read.push(point, &|_| Some(700.0), LIMIT, Some(72.0)), Said::Clear);
    let bytes = rmp_serde::to_vec(&read).expect("writes");
    assert_eq!(rmp_serde::from_slice::<Forecast>(&bytes).expect("reads its own"), read);
}

/// Hourly noise about a level, five times as wide on every ninth day.
fn restless(seed: u64, hours: usize) -> Vec<f64> {
    let mut draws = crate::stats::Draws::new(seed);
    (0..hours)
        .map(|hour| {
            let wide = if (hour / 24 + seed as usize).is_multiple_of(9) { 0.1 } else { 0.02 };
            1.5 + wide * draws.normal()
        })
        .collect()
}

#[test]
fn noise_that_is_wide_on_some_days_only_is_within_the_chances_told() {
    const PAST: usize = 240;
    // A normal distribution with the past's variance leaves out 7 of these 60.
    let (mut above, mut below, mut n) = (0, 0, 0);
    for seed in 0..60 {
        let values = restless(seed, PAST + 24);
        let most = values[PAST..].iter().copied().fold(0.0, f64::max);
        let chance = |limit| {
            let question =
                Question { limit, horizon: 24, step_h: 1.0, first: 0, least: 0.0, began: None };
            outlook(&values[..PAST], &question, &Rhythm::Found, None).map_or(0.0, |o| o.chance)
        };
        // The highest value that came is one whose chance was neither nothing nor certainty.
        above += usize::from(chance(most) < 0.05);
        below += usize::from(chance(most) > 0.95);
        n += 1;
    }
    assert!(above + below <= n / 10, "{above} above and {below} below of {n}");
}

#[test]
fn one_calm_week_is_no_promise_for_three_days() {
    let mut draws = crate::stats::Draws::new(7);
    let values: Vec<f64> = (0..464).map(|_| 1.5 + 0.01 * draws.normal()).collect();
    let chance = |past: &[f64]| {
        let question =
            Question { limit: 1.6, horizon: 72, step_h: 1.0, first: 0, least: 0.0, began: None };
        outlook(past, &question, &Rhythm::Found, None).map_or(0.0, |o| o.chance)
    };
    // Ten standard deviations of the noise above what it ever was.
    let (week, weeks) = (chance(&values[296..]), chance(&values));
    assert!((0.03..0.3).contains(&week), "{week}");
    assert!(weeks < week, "{weeks} after nearly three weeks, {week} after one");
}

#[test]
fn what_rose_in_an_incident_and_fell_at_its_end_is_no_leak_that_was_refilled() {
    let mut draws = crate::stats::Draws::new(11);
    let noise: Vec<f64> = (0..400).map(|_| 0.002 * draws.normal().abs()).collect();
    let question =
        Question { limit: 1.0, horizon: 72, step_h: 1.0, first: 0, least: 0.0, began: None };
    let ask = |values: &[f64]| outlook(values, &question, &Rhythm::Found, None);
    let day = |from: usize, rise: f64, back: usize| -> Vec<f64> {
        let at = |h: usize| {
            let risen = rise * h.saturating_sub(from) as f64;
            if h < from + 8 { risen } else { risen - 8.0 * rise * f64::from(u8::from(back > 0)) }
        };
        (0..from + 8 + back).map(|h| noise[h] + at(h)).collect()
    };
    // Errors rise for eight hours, and are gone for three: nothing of it goes on.
    let mut over = day(340, 0.07, 0);
    let before = ask(&over).expect("while it rises it may go on");
    assert!(before.chance > 0.75 && before.rises > 0.9, "{before:?}");
    over.extend(&noise[..3]);
    assert_eq!(ask(&over).map(|o| o.rises), Some(0.0));
    // A leak that a restart emptied rises behind it as it did.
    let leak = ask(&day(340, 0.07, 4)).expect("it goes on behind the restart");
    assert!(leak.chance > 0.5 && leak.rises > 0.9 && leak.n_refills == 1, "{leak:?}");
    // So does one that begins long after something fell.
    let late = |h: usize| 0.5 + 0.004 * h.saturating_sub(330) as f64;
    let late: Vec<f64> =
        (0..370).map(|h| if h < 30 { 0.6 } else { late(h) } + 0.1 * noise[h]).collect();
    let leak = ask(&late).expect("it rises");
    assert!(leak.rises > 0.9 && leak.n_refills == 1, "{leak:?}");
}

/// Places of a pool that are taken, as a share, minute by minute: takers come at random and keep theirs
/// for an hour; from `leak` on (minutes) some get lost, so that all are gone after eight hours.
fn pool(places: f64, seed: u64, leak: usize) -> impl Iterator<Item = f64> {
    let mut draws = crate::stats::Draws::new(seed);
    let (mut taken, mut lost) = (0.3 * places, 0.0);
    (0..).map(move |minute| {
        let mean = 0.3 * places / 60.0;
        taken += mean - taken / 60.0 + (mean + taken / 60.0).sqrt() * draws.normal();
        lost += if minute > leak { 0.7 * places / 480.0 } else { 0.0 };
        ((taken.max(0.0) + lost).floor() / places).min(1.0)
    })
}

#[test]
fn intervals_of_hours_hold_the_time_at_which_the_limit_is_reached() {
    let (mut held, mut sooner, mut told) = (0, 0, 0_usize);
    for (places, seed) in [(60.0, 1), (60.0, 2), (300.0, 3), (300.0, 4), (3_000.0, 5), (3_000.0, 6)]
    {
        let leak = 15 * 1_440 + seed * 311;
        let (mut profile, mut forecast) = (Profile::new(), Forecast::new(1.0));
        let (mut looks, mut reached) = (Vec::new(), 0);
        for (minute, value) in pool(places, seed as u64, leak).enumerate() {
            let at = start().plus_ms(minute as i64 * MINUTE_MS);
            let usual = |at| profile.expected(at).map(|e| e.mid);
            let horizon = (minute > 14 * 1_440).then_some(72.0);
            let said = forecast.push(Point { at, value }, &usual, 1.0, horizon);
            if let Said::Ahead(warning) = said {
                assert!(minute > leak, "{places} {seed}: nothing leaks yet: {warning:?}");
                if minute % 30 == 0 {
                    looks.push((minute, warning.outlook));
                }
            }
            profile.push(at, value);
            if value >= 1.0 {
                reached = minute;
                break;
            }
        }
        for (minute, outlook) in looks {
            let left = (reached - minute) as f64 / 60.0;
            let early = outlook.earliest_h.is_some_and(|h| left < h);
            let late = outlook.latest_h.is_some_and(|h| left > h);
            (held, sooner) = (held + usize::from(!early && !late), sooner + usize::from(early));
            told += 1;
        }
    }
    // Before it was known where a rise began, half of them were told later than it came.
    let share = held as f64 / told as f64;
    assert!(told > 30 && share > 0.8, "{held} of {told}, {sooner} sooner");
}

#[test]
fn peaks_of_some_hours_are_no_sawtooth_that_fills_up() {
    let question =
        Question { limit: 1.0, horizon: 72, step_h: 1.0, first: 0, least: 0.0, began: None };
    let mut draws = crate::stats::Draws::new(5);
    let noise: Vec<f64> = (0..400).map(|_| 0.002 * draws.normal().abs()).collect();
    // Two incidents of one and three hours, five hours apart, each over at once.
    let with = |peaks: &[(usize, usize, f64)], n: usize| -> Vec<f64> {
        let high = |h: usize| {
            let own = peaks.iter().filter(|(from, long, _)| (*from..from + long).contains(&h));
            own.map(|(.., by)| by).sum::<f64>()
        };
        (0..n).map(|h| noise[h] + high(h)).collect()
    };
    let peaks = with(&[(330, 1, 0.35), (336, 3, 0.4)], 342);
    assert_eq!(refill::falls(&peaks, 1.0).len(), 2);
    let (without, lasting) = refill::without_passing(&peaks, 1.0, 0);
    assert_eq!(lasting, []);
    assert!((0..342).all(|h| without[h].is_nan() == (h == 330 || (336..339).contains(&h))));
    let said = outlook::looked(&without, lasting, &question, &Rhythm::Found, None);
    assert!(said.as_ref().is_none_or(|o| o.rises < RISES || o.chance < SILENT), "{said:?}");
    // What fills for a day and is emptied is one, whatever it dips to for the hour in between.
    let tooth = |h: usize| if h.is_multiple_of(24) { 0.05 } else { 0.5 + 0.01 * (h % 24) as f64 };
    let teeth: Vec<f64> = (0..100).map(|h| tooth(h + h / 30) + noise[h]).collect();
    assert!(refill::without_passing(&teeth, 1.0, 0).1.len() >= 3);
    // And a watch says nothing of it.
    let mut watch = Watch::new();
    let mut told = 0;
    for (h, high) in peaks.iter().chain(&noise[342..390]).enumerate() {
        for m in 0..12 {
            let at = start().plus_ms(h as i64 * HOUR_MS + m * BUCKET_MS);
            let said = watch.push(at, LIMIT * high, (h > 320).then_some(72.0));
            told += usize::from(matches!(said, Said::Ahead(_)));
        }
    }
    assert_eq!(told, 0);
}

/// What a watch tells of a pool that is a fifth to a third taken, for a day from ten o'clock on after two
/// weeks, from the second bucket on after it was otherwise for `hours`: an incident, behind which a
/// little more is taken than before.
fn told_after(hours: f64, incident: impl Fn(f64) -> f64) -> Vec<(f64, Warning)> {
    let mut watch = Watch::new();
    let mut draws = crate::stats::Draws::new(3);
    let mut told = Vec::new();
    let from = (15.0 * 24.0 + 10.0) * 12.0;
    for k in 0..(from as i64 + 24 * 12) {
        let hour = k as f64 / 12.0;
        let day = 0.26 - 0.05 * ((hour - 2.0) / 24.0 * std::f64::consts::TAU).cos();
        let since = (k as f64 - from) / 12.0;
        let value = match since {
            s if s < 0.0 => day,
            s if s < hours => incident(day),
            _ => day + 0.04,
        };
        let at = start().plus_ms(k * BUCKET_MS);
        let value = (value + 0.01 * draws.normal()).clamp(0.0, 1.0);
        let said = watch.push(at, LIMIT * value, (since > -2.0).then_some(72.0));
        if let Said::Ahead(warning) = said
            && since >= hours + 0.15
        {
            told.push((since, warning));
        }
    }
    told
}

#[test]
fn an_incident_of_the_morning_is_no_leak_that_was_refilled() {
    for (hours, level) in [(1.5, 1.0), (0.5, 1.0), (2.8, 0.9), (6.2, 1.0)] {
        let told = told_after(hours, |_| level);
        assert!(told.is_empty(), "{hours} h at {level}: {:?} of {}", told.first(), told.len());
    }
    // As little is one in which nothing was taken.
    for hours in [0.5, 1.5, 4.3] {
        let told = told_after(hours, |_| 0.02);
        assert!(told.is_empty(), "{hours} h of none: {:?} of {}", told.first(), told.len());
    }
}

#[test]
fn a_constant_that_dipped_is_no_leak_and_a_leak_that_dipped_is_one() {
    let question =
        Question { limit: 1.0, horizon: 72, step_h: 1.0, first: 0, least: 0.0, began: None };
    let dipped = |slope: f64| -> Vec<f64> {
        let level = |h: usize| 0.353 + slope * h.saturating_sub(300) as f64;
        (0..350).map(|h| if h == 343 { 0.19 } else { level(h) }).collect()
    };
    let after = |values: &[f64]| {
        let (without, lasting) = refill::without_passing(values, 1.0, 0);
        assert_eq!((refill::falls(values, 1.0).len(), lasting.len()), (1, 0));
        outlook::looked(&without, lasting, &question, &Rhythm::Found, None)
    };
    let flat = after(&dipped(0.0));
    assert!(flat.as_ref().is_none_or(|o| o.rises < RISES || o.chance < SILENT), "{flat:?}");
    let leak = after(&dipped(0.008)).expect("it rises");
    assert!(leak.rises > RISES && leak.chance > SPEAKS, "{leak:?}");
}

#[test]
fn failed_requests_are_nothing_that_is_used_up() {
    let mut series = crate::detect::tests::series(Indicator::Utilization, "1");
    series.limit = Some(1.0);
    assert_eq!(limit_of(&series), Some(1.0));
    series.indicator = Indicator::Errors;
    assert_eq!(limit_of(&series), None);
}
