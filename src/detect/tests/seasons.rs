//! Seasons that are not of the hour of the week: periods of a series' own, holidays, changes of
//! regime.

use super::*;

/// Series of six services that are read once a minute.
fn six(indicator: Indicator) -> Vec<Series> {
    (0..6)
        .map(|i| {
            let mut s = series(indicator, "");
            s.entity = EntityRef::service(format!("service-{i}"));
            s.id = Series::identity(&s.source, &s.metric, &s.entity, &s.labels);
            (s.direction, s.step_ms) = (Direction::Both, 60_000);
            s
        })
        .collect()
}

/// Two weeks of history of all, the same for each.
fn taught_all(config: Config, all: &[Series], f: impl Fn(Time) -> f64) -> (Shard, Time) {
    let mut shard = Shard::new(config);
    for day in 0..14 {
        let begin = start().plus_ms(day * DAY_MS);
        let mut batch = Batch::new("test", begin.plus_ms(DAY_MS));
        batch.backfill = true;
        let points: Vec<Point> = (0..288)
            .map(|i| begin.plus_ms(i * 5 * MINUTE_MS))
            .map(|at| Point { at, value: f(at) })
            .collect();
        batch.metrics =
            all.iter().map(|s| Samples { series: s.clone(), points: points.clone() }).collect();
        assert_eq!(shard.observe(&batch), [], "back-fill raises nothing");
    }
    (shard, start().plus_ms(14 * DAY_MS))
}

/// What a series gives at a time.
type Shape<'a> = &'a dyn Fn(Time) -> f64;

/// Runs all live at one minute; gives the newest word on each anomaly, in order.
fn run_all(
    shard: &mut Shard,
    all: &[Series],
    (from, hours): (Time, i64),
    f: impl Fn(Time) -> f64,
) -> Vec<Anomaly> {
    let mut said: Vec<Anomaly> = Vec::new();
    for minute in 0..hours * 60 {
        let at = from.plus_ms(minute * MINUTE_MS);
        let mut batch = Batch::new("test", at);
        let value = f(at);
        batch.metrics = all
            .iter()
            .map(|s| Samples { series: s.clone(), points: vec![Point { at, value }] })
            .collect();
        for a in shard.observe(&batch) {
            match said.iter_mut().find(|b| b.id == a.id) {
                Some(known) => *known = a,
                None => said.push(a),
            }
        }
    }
    said
}

#[test]
fn a_job_every_five_hours_is_usual_once_its_period_is_known_and_out_of_step_it_is_not() {
    let all = &six(Indicator::Duration)[..1];
    let runs = |at: Time| (at.ms() / MINUTE_MS + 7).rem_euclid(300) < 30;
    let plain = |at: Time| 0.2 + 0.03 * noise(at);
    let load = |at: Time| plain(at) + if runs(at) { 0.8 } else { 0.0 };
    // History without the job: it is new.
    let (mut shard, now) = taught_all(Config::default(), all, plain);
    let first = run_all(&mut shard, all, (now, 30), load);
    assert!((1..=6).contains(&first.len()), "told while it is new: {first:#?}");
    let restored = Shard::restore(Config::default(), &shard.snapshot()).expect("reads its own");
    let mut shard = restored;
    let later = run_all(&mut shard, all, (now.plus_ms(30 * HOUR_MS), 45), load);
    assert_eq!(later, [], "nine runs in their time");
    let now = now.plus_ms(75 * HOUR_MS);
    let wrong = |at: Time| {
        let minute = at.ms_since(now) / MINUTE_MS;
        plain(at) + if (0..30).contains(&minute) { 0.8 } else { 0.0 }
    };
    assert!(!runs(now.plus_ms(-20 * MINUTE_MS)) && !runs(now.plus_ms(20 * MINUTE_MS)));
    let said = run_all(&mut shard, all, (now, 1), wrong);
    let why = &said.first().expect("the same run out of step is told").why;
    assert!(why.contains("comes every 5 h") && why.contains("out of step"), "{why}");
}

/// Traffic with a weekday's rhythm, and little on the days that `is_free`.
fn traffic(at: Time, is_free: bool) -> f64 {
    let rhythm = 100.0 - 60.0 * (at.ms() as f64 / DAY_MS as f64 * std::f64::consts::TAU).cos();
    (if is_free { 30.0 } else { rhythm }) + 5.0 * noise(at)
}

fn is_weekend(at: Time) -> bool {
    at.hour_of_week() >= 5 * 24
}

#[test]
fn a_declared_holiday_is_judged_as_a_sunday_and_spoils_no_thursday() {
    let all = &six(Indicator::Rate)[..1];
    let thursday = start().plus_ms(17 * DAY_MS);
    let is_free = |at: Time| is_weekend(at) || (0..DAY_MS).contains(&at.ms_since(thursday));
    let ordinary = |at| traffic(at, is_weekend(at));
    let config = Config { holidays: vec!["2026-11-19".into()], ..Config::default() };
    let told = |config: Config| {
        let (mut shard, now) = taught_all(config, all, ordinary);
        let noon = thursday.plus_ms(7 * DAY_MS + 12 * HOUR_MS);
        let before = shard.expected(all[0].id, noon);
        let said = run_all(&mut shard, all, (now, 5 * 24), |at| traffic(at, is_free(at)));
        let after = shard.expected(all[0].id, noon);
        let mids = [before, after].map(|b| b.expect("learned").mid);
        (said.len(), (mids[1] - mids[0]).abs() / mids[0])
    };
    let (n, moved) = told(Config::default());
    assert!(n > 0 && moved > 0.05, "undeclared it is told of, and learned: {n} {moved}");
    let (n, moved) = told(config);
    assert!(n == 0 && moved < 0.05, "{n} {moved}");
}

#[test]
fn a_holiday_is_recognised_by_many_series_and_an_outage_is_none() {
    let all = six(Indicator::Rate);
    let thursday = start().plus_ms(17 * DAY_MS);
    let (mut shard, now) = taught_all(Config::default(), &all, |at| traffic(at, is_weekend(at)));
    let quiet = run_all(&mut shard, &all, (now, 3 * 24), |at| traffic(at, is_weekend(at)));
    assert_eq!(quiet, []);
    let mut outage = shard.clone();
    let said = run_all(&mut shard, &all, (thursday, 24), |at| traffic(at, true));
    assert_eq!(said, [], "the day shows itself before anything is told");
    // The same level as on a Sunday, but from ten o'clock on.
    let from = thursday.plus_ms(10 * HOUR_MS);
    let said = run_all(&mut outage, &all, (thursday, 11), |at| traffic(at, at >= from));
    assert_eq!(said.len(), 6);
    assert!(said.iter().all(|a| a.at.ms_since(from) <= HOUR_MS && a.since == from));
    // On a recognised holiday what is no Sunday is told, and why it is judged as one.
    let next = thursday.plus_ms(DAY_MS);
    let friday = run_all(&mut shard, &all, (next, 10), |at| traffic(at, true));
    assert_eq!(friday, []);
    let said =
        run_all(&mut shard, &all, (next.plus_ms(10 * HOUR_MS), 1), |at| traffic(at, true) * 6.0);
    assert_eq!(said.len(), 6);
    assert!(said[0].why.contains("This Friday is judged as a Sunday because"), "{}", said[0].why);
}

#[test]
fn a_change_for_good_is_told_once_and_is_the_new_profile_a_day_later() {
    let all = &six(Indicator::Rate)[..1];
    let before = |at: Time| 100.0 + 40.0 * daily(at) + 4.0 * noise(at);
    let late = |at: Time| 100.0 + 75.0 * daily(at.plus_ms(9 * HOUR_MS)) + 4.0 * noise(at);
    let wide = |at: Time| 100.0 + 75.0 * daily(at) + 4.0 * noise(at);
    let tripled = |at: Time| 3.0 * before(at);
    let cases: [(Shape<'_>, Shape<'_>, &str); 2] =
        [(&before, &tripled, "3.0"), (&wide, &late, "learned anew")];
    for (old, new, text) in cases {
        let (mut shard, now) = taught_all(Config::default(), all, old);
        let change = now.plus_ms(10 * HOUR_MS);
        assert_eq!(run_all(&mut shard, all, (now, 10), old), []);
        let said = run_all(&mut shard, all, (change, 30), new);
        // A rhythm crosses the old one twice a day.
        let most = if text == "3.0" { 1 } else { 2 };
        assert!((1..=most).contains(&said.len()), "{text}: told once: {said:#?}");
        let noon = change.plus_ms(40 * HOUR_MS);
        let mid = shard.expected(all[0].id, noon).expect("known").mid;
        assert!((mid - new(noon)).abs() < 0.25 * new(noon), "{text}: {mid} {}", new(noon));
        let week = run_all(&mut shard, all, (change.plus_ms(30 * HOUR_MS), 4 * 24), new);
        assert_eq!(week, [], "{text}");
    }
}
