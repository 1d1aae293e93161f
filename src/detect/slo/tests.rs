//! Objectives on made-up series, against the figures that the workbook gives.

use proptest::prelude::*;

use super::burn::RULES;
use super::*;
use crate::model::time::DAY_MS;
use crate::model::{EntityRef, Indicator, Labels, Point};

/// A promise of the shop's checkout over 30 days.
fn promise(percent: f64) -> Objective {
    let text = format!(
        "name = 'orders-taken'\nservice = 'checkout'\nobjective = {percent}\n\
         errors = {{ metric = 'errors' }}\ntotal = {{ metric = 'requests' }}\n"
    );
    toml::from_str(&text).expect("valid")
}

fn series(metric: &str, step_ms: i64) -> Series {
    let (entity, labels) = (EntityRef::service("checkout"), Labels::default());
    Series {
        id: Series::identity("test", metric, &entity, &labels),
        source: "test".into(),
        entity,
        metric: metric.into(),
        labels,
        indicator: Indicator::Custom,
        unit: "1".into(),
        direction: Direction::High,
        query: None,
        limit: None,
        step_ms,
    }
}

fn start() -> Time {
    Time::parse("2026-10-01T00:00:00Z").expect("valid")
}

/// An engine that is fed minute by minute.
struct World {
    slo: Slo,
    states: States,
    now: Time,
    step_ms: i64,
    said: Vec<Anomaly>,
}

impl World {
    fn new(objective: Objective, step_ms: i64) -> Self {
        let mut states = States::default();
        let slo = Slo::new(vec![objective], &mut states);
        Self { slo, states, now: start(), step_ms, said: Vec::new() }
    }

    /// Feeds `values` of metrics at the present time, and moves on by a step.
    fn feed(&mut self, values: &[(&str, f64)]) {
        self.now = self.now.plus_ms(self.step_ms);
        let metrics: Vec<Samples> = values
            .iter()
            .map(|(metric, value)| Samples {
                series: series(metric, self.step_ms),
                points: vec![Point { at: self.now, value: *value }],
            })
            .collect();
        let heard = Heard { now: self.now, latest: self.now, backfill: false };
        self.slo.observe(&mut self.states, &metrics, heard, &mut self.said);
    }

    /// Feeds a share of errors at ten requests a second for some minutes; gives after how many
    /// minutes something was first said.
    fn run(&mut self, share: f64, minutes: f64) -> Option<f64> {
        let (from, said) = (self.now, self.said.len());
        let mut first = None;
        while (self.now.ms_since(from) as f64) < minutes * MINUTE_MS as f64 {
            self.feed(&[("requests", 10.0), ("errors", share)]);
            if first.is_none() && self.said.len() > said {
                first = Some(self.now.ms_since(from) as f64 / MINUTE_MS as f64);
            }
        }
        first
    }

    fn standing(&self) -> Standing {
        self.slo.standings(&self.states, self.now).remove(0)
    }
}

#[test]
fn the_table_of_the_workbook_follows_from_the_budget() {
    // Table 5-6 and 5-8 for 30 days: burn rates 14.4, 6 and 1.
    let rates = RULES.map(|r| r.threshold(30.0 * 24.0, 0.001));
    for (rate, wanted) in rates.into_iter().zip([14.4, 6.0, 1.0]) {
        assert!((rate - wanted).abs() < 1e-9, "{rate} and {wanted}");
    }
    // Short windows scale by the share of the budget, but what burns slower than it may is never
    // told, nor paged below twice that; three days say nothing of one.
    for (days, wanted) in [
        (1.0, [2.0, 2.0, f64::INFINITY]),
        (7.0, [3.36, 2.0, 1.0]),
        (31.0, [14.88, 6.2, 31.0 / 30.0]),
    ] {
        for (rule, wanted) in RULES.into_iter().zip(wanted) {
            let rate = rule.threshold(days * 24.0, 0.001);
            assert!(rate == wanted || (rate - wanted).abs() < 1e-9, "{days} days: {rate}");
        }
    }
    // Over four weeks the same shares of the budget are 13.44 and 5.6.
    let rates = RULES.map(|r| r.threshold(28.0 * 24.0, 0.001));
    assert!((rates[0] - 13.44).abs() < 1e-9 && (rates[1] - 5.6).abs() < 1e-9);
    // A promise of 90 % can't burn 14.4 times as fast as it may; it tells when all fails.
    assert!((RULES[0].threshold(720.0, 0.1) - 9.5).abs() < 1e-9);
    for rule in RULES {
        assert_eq!(rule.short_ms * 12, rule.long_ms, "a twelfth, as the workbook advises");
    }
}

#[test]
fn detection_times_are_those_of_the_workbook() {
    // Chapter 5: the time to detect is (1 − objective) / error ratio × window × burn rate. All
    // requests failing at 99.9 %: 0.001 × 60 min × 14.4 = 52 s; 10 %: 8 min 38 s; 2 %: 43 min.
    for (share, minutes) in [(1.0, 0.864), (0.1, 8.64), (0.02, 43.2)] {
        let mut world = World::new(promise(99.9), 15_000);
        assert_eq!(world.run(0.0, 8.0 * 60.0), None);
        let found = world.run(share, 60.0).expect("it burns");
        assert!((found - minutes).abs() < 0.8, "{share}: {found} min, {minutes} by hand");
        let page = &world.said[0];
        assert_eq!(page.detector, "slo-page/1");
        assert!(matches!(&page.subject, Subject::Objective { page: true, .. }));
    }
}

#[test]
fn slower_burns_page_over_six_hours_or_make_a_ticket_over_three_days() {
    // A burn rate of 8 is below 14.4: 5 % of the budget is gone after 6 h × 6 / 8 = 4.5 h.
    let mut world = World::new(promise(99.9), 60_000);
    world.run(0.0, 4.0 * 1_440.0);
    let found = world.run(0.008, 360.0).expect("it burns");
    assert!((found - 270.0).abs() < 4.0, "{found}");
    assert_eq!(world.said[0].detector, "slo-page/1");
    // A burn rate of 2: 10 % is gone after 72 h / 2; no page.
    let mut world = World::new(promise(99.9), 60_000);
    world.run(0.0, 4.0 * 1_440.0);
    let found = world.run(0.002, 3.0 * 1_440.0).expect("it burns");
    assert!((found / 60.0 - 36.0).abs() < 0.6, "{found}");
    assert!(world.said.iter().all(|a| a.detector == "slo-ticket/1"));
    // What an objective can afford is never told.
    let mut world = World::new(promise(99.9), 60_000);
    assert_eq!(world.run(0.000_99, 5.0 * 1_440.0), None);
}

#[test]
fn a_short_outage_ends_its_page_within_the_short_window() {
    let mut world = World::new(promise(99.9), 15_000);
    world.run(0.0, 7.0 * 60.0);
    world.run(1.0, 5.0);
    let opened = world.said[0].clone();
    assert_eq!(opened.until, None);
    let onset = opened.since.ms_since(world.now.plus_ms(-5 * MINUTE_MS));
    assert!((0..=MINUTE_MS).contains(&onset), "dated {onset} ms after the onset");
    // 300 bad minutes-worth at 99.9 % burn far above six times over six hours as well: the page
    // ends with the thirty-minute window.
    world.run(0.0, 40.0);
    let end = world.said.iter().find(|a| a.until.is_some()).expect("it ends");
    assert_eq!(end.id, opened.id);
    let minutes = end.until.map_or(0, |u| u.ms_since(opened.since)) / MINUTE_MS;
    assert!((30..=36).contains(&minutes), "{minutes}");
    insta::assert_snapshot!(opened.why, @"orders-taken burns its error budget 17 times as fast as it can afford over 60 min, 200 times over 5 min (a page from 14.4); 98 % of the budget of 30 days is left (measured 1 % of the time), at this rate it is used up in 42 h 12 min, 2026-10-03 01:12 UTC.");
}

#[test]
fn the_budget_is_counted_in_events() {
    let mut world = World::new(promise(99.0), 60_000);
    // Ten days of one window of thirty: 1 % bad would spend a third of the budget.
    world.run(0.01, 10.0 * 1_440.0);
    let left = world.standing().budget_left.expect("measured");
    assert!((left - 2.0 / 3.0).abs() < 0.005, "{left}");
    // An hour in which everything fails spends 1 h / (1 % of 720 h) = 13.9 %.
    world.run(1.0, 60.0);
    let now = world.standing();
    let spent = left - now.budget_left.expect("measured");
    assert!((spent - 0.1389).abs() < 0.01, "{spent}");
    assert_eq!(now.state, StandingState::Page);
    assert!(now.measured > 0.32 && now.measured < 0.35, "{}", now.measured);
    // At 100 times what it can afford, half of the budget of 7.2 h lasts 3.8 h.
    let hours = now.exhausted_at.expect("it burns").ms_since(world.now) as f64 / HOUR_MS as f64;
    let by_hand = now.budget_left.expect("measured") * 7.2;
    assert!((hours - by_hand).abs() < 0.1, "{hours} and {by_hand}");
}

#[test]
fn few_requests_wake_nobody() {
    // Six requests an hour, one lost: a burn rate of 167, and one bad event.
    let mut world = World::new(promise(99.9), 60_000);
    for minute in 0..600 {
        let lost = if minute == 590 { 1.0 } else { 0.0 };
        world.feed(&[("requests", 6.0 / 3_600.0), ("errors", lost)]);
    }
    assert!(world.said.is_empty());
    assert!(world.standing().burns[0].long > 14.4);
}

#[test]
fn silence_is_blind_and_neither_begins_nor_ends_anything() {
    let mut world = World::new(promise(99.9), 15_000);
    world.run(0.0, 7.0 * 60.0);
    world.run(0.5, 10.0);
    // For five minutes a late poll is likelier than silence.
    let mut said = 0;
    for step in 0..4 * 120 {
        world.feed(&[]);
        said = if step < 4 * 6 { world.said.len() } else { said };
    }
    assert_eq!(world.said.len(), said, "nothing is said of what is not seen");
    assert_eq!(world.standing().state, StandingState::Blind);
    assert!(world.standing().measured_until.is_some_and(|t| t < world.now));
    world.run(0.0, 40.0);
    let ended = |a: &Anomaly| a.until.is_some() && a.detector == "slo-page/1";
    assert!(world.said[said..].iter().any(ended), "seen again, it ends");
    let mut never = World::new(promise(99.9), 15_000);
    never.feed(&[("other", 1.0)]);
    assert_eq!(never.standing().state, StandingState::NoData);
    assert_eq!(never.standing().budget_left, None);
}

#[test]
fn good_events_bad_events_and_latencies_count_the_same() {
    let of = |text: &str| -> Objective {
        toml::from_str(&format!("name = 'x'\nservice = 'checkout'\nobjective = 99.0\n{text}"))
            .expect("valid")
    };
    let rate = "total = { metric = 'requests' }";
    for (objective, part) in [
        (of(&format!("good = {{ metric = 'part' }}\n{rate}")), 9.5),
        (of(&format!("bad = {{ metric = 'part' }}\n{rate}")), 0.5),
        (of(&format!("errors = {{ metric = 'part' }}\n{rate}")), 0.05),
    ] {
        let mut world = World::new(objective, 60_000);
        for _ in 0..180 {
            world.feed(&[("requests", 10.0), ("part", part)]);
        }
        let burn = world.standing().burns[0].long;
        assert!((burn - 5.0).abs() < 0.01, "{burn}");
    }
    let mut world = World::new(of("latency = { metric = 'p95' }\nthreshold = 0.5"), 60_000);
    for minute in 0..180 {
        world.feed(&[("p95", if minute % 20 == 0 { 0.8 } else { 0.2 })]);
    }
    assert!((world.standing().burns[0].long - 5.0).abs() < 0.01);
}

#[test]
fn what_comes_late_is_entered_where_it_belongs() {
    let (mut whole, mut late) =
        (World::new(promise(99.9), 60_000), World::new(promise(99.9), 60_000));
    for world in [&mut whole, &mut late] {
        world.run(0.0, 60.0);
    }
    whole.run(0.05, 20.0);
    // The same points: the newest first, then the twenty minutes before.
    let mut points = Vec::new();
    for minute in 1..=20 {
        points.push(late.now.plus_ms(minute * MINUTE_MS));
    }
    late.now = late.now.plus_ms(20 * MINUTE_MS);
    let newest = points.pop().expect("twenty");
    for at in std::iter::once(newest).chain(points) {
        let samples = |metric: &str, value| Samples {
            series: series(metric, 60_000),
            points: vec![Point { at, value }],
        };
        let heard = Heard { now: late.now, latest: late.now, backfill: false };
        let metrics = [samples("requests", 10.0), samples("errors", 0.05)];
        late.slo.observe(&mut late.states, &metrics, heard, &mut late.said);
    }
    let (a, b) = (whole.standing(), late.standing());
    let near = |a: Option<f64>, b: Option<f64>| (a.unwrap_or(0.0) - b.unwrap_or(1.0)).abs() < 1e-4;
    assert!(near(a.budget_left, b.budget_left) && near(a.good, b.good), "{a:?}\n{b:?}");
}

#[test]
fn a_steady_overspending_is_seen_days_before_the_budget_is_gone() {
    // 4 % of the budget a day: gone after 25 days, of which 20 have passed.
    let mut world = World::new(promise(99.0), 5 * MINUTE_MS);
    for day in 0..20 {
        world.run(if day % 2 == 0 { 0.011 } else { 0.013 }, 1_440.0);
    }
    let standing = world.standing();
    let text = standing.exhaustion.expect("it is in sight");
    let state = &world.states.0["orders-taken"];
    let outlook = state.outlook.as_ref().expect("it is in sight");
    let (from, until) = (outlook.earliest_h.expect("told"), outlook.latest_h.unwrap_or(1e3));
    assert!(from <= 120.0 && 120.0 <= until && until - from < 80.0, "{text}");
    let mut calm = World::new(promise(99.0), 5 * MINUTE_MS);
    calm.run(0.005, 20.0 * 1_440.0);
    assert_eq!(calm.standing().exhaustion, None);
}

#[test]
fn a_month_begins_anew() {
    let mut objective = promise(99.0);
    objective.window = Window::Month;
    let mut world = World::new(objective, 5 * MINUTE_MS);
    world.run(0.02, 31.0 * 1_440.0 - 10.0);
    assert!(world.standing().budget_left.expect("measured") < -0.9);
    world.run(0.0, 1_440.0);
    let left = world.standing().budget_left.expect("measured");
    assert!(left > 0.999, "{left}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any values at any times: finite figures, and the same after a restore in between.
    #[test]
    fn nothing_breaks_it_and_a_restore_changes_nothing(
        points in prop::collection::vec(
            (prop::num::f64::ANY, prop::num::f64::ANY, 0_i64..40 * DAY_MS), 1..80,
        ),
        cut in 0_usize..80,
    ) {
        let mut world = World::new(promise(99.9), 60_000);
        let mut twin = World::new(promise(99.9), 60_000);
        for (n, (total, share, after)) in points.into_iter().enumerate() {
            let at = start().plus_ms(after);
            if n == cut {
                let bytes = rmp_serde::to_vec(&twin.states).expect("writes");
                twin.states = rmp_serde::from_slice(&bytes).expect("reads");
                twin.slo = Slo::new(vec![promise(99.9)], &mut twin.states);
            }
            for one in [&mut world, &mut twin] {
                one.now = one.now.max(at);
                let samples = |metric: &str, value| Samples {
                    series: series(metric, 60_000),
                    points: vec![Point { at, value }],
                };
                let heard = Heard { now: one.now, latest: one.now, backfill: false };
                let metrics = [samples("requests", total), samples("errors", share)];
                one.slo.observe(&mut one.states, &metrics, heard, &mut one.said);
            }
        }
        let standing = world.standing();
        for burn in &standing.burns {
            prop_assert!(burn.long.is_finite() && burn.short.is_finite() && burn.long >= 0.0);
        }
        prop_assert!(standing.budget_left.is_none_or(f64::is_finite));
        prop_assert!((0.0..=1.0).contains(&standing.measured));
        prop_assert_eq!(&world.said, &twin.said);
        prop_assert_eq!(standing, twin.standing());
    }
}
