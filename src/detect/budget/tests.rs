//! What the budget promises: as many as asked for, no blindness in an outage, the same answers
//! after a restore.

use proptest::prelude::*;

use super::*;
use crate::stats::Draws;

const START: i64 = 1_762_128_000_000;

fn at(minutes: i64) -> Time {
    Time::from_ms(START + minutes * MINUTE_MS)
}

fn entities(n: usize) -> Vec<EntityRef> {
    (0..n).map(|i| EntityRef::service(format!("service-{i}"))).collect()
}

fn offer(entity: &EntityRef, at: Time, surprise: f64, critical: bool) -> Offer<'_> {
    Offer { at, entity, what: "latency", surprise, critical }
}

/// Quiet entities for so many days: each minute `rate` episodes in the mean whose surprise is
/// exponential with `scale`, above `least`. Gives how many were told each day.
fn quiet(budget: &mut Budget, config: &Config, days: i64, rate: f64, scale: f64) -> Vec<u64> {
    let (all, mut random) = (entities(2_000), Draws::new(7));
    let mut next = 0.0;
    while next < (days * 24 * 60) as f64 {
        next += random.exponential() / rate;
        let entity = &all[(random.uniform() * all.len() as f64) as usize];
        let surprise = 3.0 + scale * random.exponential();
        budget.offer(config, &offer(entity, at(next as i64), surprise, false));
    }
    budget.spent(config).days.iter().map(|d| d.ordinary).collect()
}

#[test]
fn about_as_many_are_told_as_were_asked_for_whatever_the_calibration() {
    for (rate, scale) in [(1.0, 1.0), (8.0, 1.0), (4.0, 1.6), (4.0, 0.8)] {
        let config = Config::default();
        let days = quiet(&mut Budget::default(), &config, 14, rate, scale);
        let total: u64 = days.iter().take(14).sum();
        assert!((112..=168).contains(&total), "{rate} a minute, scale {scale}: {days:?}");
        assert!(days.iter().skip(2).take(12).all(|n| (2..=24).contains(n)), "{days:?}");
    }
}

#[test]
fn a_site_that_shows_little_is_told_all_that_is_rare_and_no_more() {
    let (config, mut budget) = (Config::default(), Budget::default());
    let all = entities(3);
    for hour in 0..240 {
        let entity = &all[hour as usize % 3];
        let answer = budget.offer(&config, &offer(entity, at(hour * 60), 5.0, false));
        assert_eq!(answer.lane, Lane::Usual, "{}", answer.why);
    }
    let answer = budget.offer(&config, &offer(&all[0], at(240 * 60), 9.0, false));
    assert_eq!(answer.lane, Lane::Ordinary, "{}", answer.why);
    insta::assert_snapshot!(answer.why, @"Weighed like a chance of 1.2e-4; about 10 a day are told at 1.0e-3 or rarer.");
}

#[test]
fn an_outage_is_told_in_full_and_the_days_after_are_not_blind() {
    let (config, mut budget) = (Config::default(), Budget::default());
    quiet(&mut budget, &config, 7, 4.0, 1.0);
    let (all, outage) = (entities(2_000), 7 * 24 * 60);
    for (i, entity) in all[..60].iter().enumerate() {
        let answer = budget.offer(&config, &offer(entity, at(outage + i as i64 / 6), 25.0, true));
        assert!(answer.told, "{}", answer.why);
    }
    let spent = budget.spent(&config);
    let of_outage = spent.recent.iter().filter(|r| r.surprise == 25.0).count();
    assert!(of_outage >= 58, "{of_outage} are counted; at most two joined what was told before");
    assert!(spent.correction >= 0.5, "the aim is {} of what was asked", spent.correction);
    // A rare, not critical episode of the next day is still told.
    let answer = budget.offer(&config, &offer(&all[99], at(outage + 1_440), 18.0, false));
    assert_eq!(answer.lane, Lane::Ordinary, "{}", answer.why);
}

#[test]
fn an_entity_is_told_once_while_it_lasts_and_needs_more_the_next_time() {
    let (config, mut budget) = (Config::default(), Budget::default());
    quiet(&mut budget, &config, 3, 4.0, 1.0);
    let entity = EntityRef::service("orders");
    let begin = 3 * 24 * 60 + 10;
    let mut lanes = Vec::new();
    for minute in [0, 5, 20, 45] {
        lanes.push(budget.offer(&config, &offer(&entity, at(begin + minute), 20.0, false)));
    }
    let first = lanes[0].threshold;
    let got: Vec<Lane> = lanes.iter().map(|a| a.lane).collect();
    assert_eq!(got, [Lane::Ordinary, Lane::Joined, Lane::Joined, Lane::Joined]);
    let later = budget.offer(&config, &offer(&entity, at(begin + 120), 30.0, false));
    assert_eq!(later.lane, Lane::Ordinary);
    assert!(later.threshold > first + 0.5, "{} after {first}", later.threshold);
}

#[test]
fn what_lay_just_below_is_listed_with_what_it_would_cost() {
    let (config, mut budget) = (Config::default(), Budget::default());
    quiet(&mut budget, &config, 5, 4.0, 1.0);
    let spent = budget.spent(&config);
    assert!(spent.next_threshold < spent.threshold);
    assert!((5.0..20.0).contains(&spent.expected_per_day), "{}", spent.expected_per_day);
    let near = budget.next(5);
    assert_eq!(near.len(), 5);
    assert!(near.windows(2).all(|w| w[0].needed - w[0].surprise <= w[1].needed - w[1].surprise));
    assert!(near.iter().all(|n| n.surprise < n.needed));
    let cost = near[0].would_need_per_day;
    assert!((8.0..40.0).contains(&cost), "{cost}");
}

#[test]
fn without_a_budget_all_that_is_rare_is_told() {
    let config = Config { anomalies_per_day: 0.0, ..Config::default() };
    let mut budget = Budget::default();
    let told = quiet(&mut budget, &config, 2, 4.0, 1.0).iter().sum::<u64>();
    // exp(-(6.9 - 3)) of 11,520 are rarer than one in a thousand: about 230.
    assert!((150..300).contains(&told), "{told}");
    assert!(budget.next(9).is_empty());
}

#[test]
fn the_estimate_of_false_ones_tells_quiet_sites_from_faulty_ones() {
    let config = Config::default();
    let mut quiet_site = Budget::default();
    quiet(&mut quiet_site, &config, 10, 4.0, 1.0);
    let all_false = quiet_site.spent(&config).false_ratio.expect("something was told");
    assert!(all_false > 0.6, "{all_false}");
    let mut faulty = Budget::default();
    let (all, mut random) = (entities(2_000), Draws::new(3));
    for minute in 0..10 * 24 * 60 {
        let entity = &all[(random.uniform() * 2_000.0) as usize];
        let surprise = if minute % 180 == 0 { 30.0 } else { 3.0 + random.exponential() };
        faulty.offer(&config, &offer(entity, at(minute), surprise, false));
    }
    let spent = faulty.spent(&config);
    let some_false = spent.false_ratio.expect("something was told");
    assert!(some_false < 0.5, "{some_false}");
    let bounded = spent.bounded_ratio.expect("something was told");
    assert!((0.5..1.1).contains(&bounded), "LORD++ would tell of {bounded}");
}

proptest! {
    #[test]
    fn any_offers_give_finite_thresholds_and_the_same_after_a_restore(
        offers in prop::collection::vec(
            (-100_000_i64..400_000, 0_usize..9, prop::num::f64::ANY, any::<bool>()), 1..120),
        cut in 0_usize..120,
    ) {
        let (config, all) = (Config::default(), entities(9));
        let mut one = Budget::default();
        let mut other = Budget::default();
        let mut now = 5_000_000;
        for (i, (step, entity, surprise, critical)) in offers.iter().enumerate() {
            if i == cut {
                let bytes = rmp_serde::to_vec(&other).expect("plain data");
                other = rmp_serde::from_slice(&bytes).expect("its own bytes");
            }
            now += step;
            let asked = offer(&all[*entity], Time::from_ms(now), *surprise, *critical);
            let answer = one.offer(&config, &asked);
            prop_assert!(answer.threshold.is_finite() && answer.threshold >= config.least());
            prop_assert_eq!(&answer, &other.offer(&config, &asked));
            prop_assert_eq!(answer.told, !matches!(answer.lane, Lane::Held | Lane::Usual));
            if *critical && *surprise >= config.strong() {
                prop_assert!(answer.told, "{}", answer.why);
            }
        }
        prop_assert_eq!(one.spent(&config), other.spent(&config));
    }

    #[test]
    fn a_rarer_episode_is_never_held_where_a_more_usual_one_is_told(
        surprises in prop::collection::vec(0.0_f64..40.0, 1..200), a in 0.0_f64..40.0, b in 0.0_f64..40.0,
    ) {
        let (config, all) = (Config::default(), entities(400));
        let mut budget = Budget::default();
        for (i, surprise) in surprises.iter().enumerate() {
            budget.offer(&config, &offer(&all[i], at(i as i64), *surprise, false));
        }
        let fresh = EntityRef::service("fresh");
        let told = |surprise| {
            let asked = offer(&fresh, at(surprises.len() as i64), surprise, false);
            budget.clone().offer(&config, &asked).told
        };
        prop_assert!(told(a.max(b)) || !told(a.min(b)));
    }
}

#[test]
fn on_its_first_day_a_site_is_told_the_days_number_before_anything_is_held() {
    let (config, mut budget) = (Config::default(), Budget::default());
    let (all, mut random) = (entities(400), Draws::new(5));
    for minute in 0..120 {
        let entity = &all[(random.uniform() * 400.0) as usize];
        budget.learn(&config, at(minute), entity, 4.6 + random.exponential());
    }
    let lanes: Vec<Lane> = all[..14]
        .iter()
        .map(|entity| budget.offer(&config, &offer(entity, at(121), 8.0, false)).lane)
        .collect();
    assert_eq!(lanes[..10], [Lane::Ordinary; 10]);
    assert_eq!(lanes[10..], [Lane::Held; 4]);
    assert_eq!(budget.next(9).len(), 4);
}

#[test]
fn what_nobody_asks_to_tell_says_what_is_ordinary() {
    let (config, mut budget) = (Config::default(), Budget::default());
    let (all, mut random) = (entities(400), Draws::new(5));
    for minute in 0..3 * 24 * 60 {
        let entity = &all[(random.uniform() * 400.0) as usize];
        budget.learn(&config, at(minute), entity, 4.6 + random.exponential());
    }
    let spent = budget.spent(&config);
    assert_eq!(spent.recent, []);
    // 1,440 tests a day, of which 30 at most are aimed at where nothing is told.
    assert!((8.0..9.5).contains(&spent.threshold), "{}", spent.threshold);
    assert!((1_200.0..1_500.0).contains(&spent.tests_per_day), "{}", spent.tests_per_day);
}

#[test]
fn the_estimate_follows_a_site_that_changes() {
    // From the eighth day on the tails are heavier: without any fault all that is told is false.
    let config = Config::default();
    let (mut budget, all, mut random) = (Budget::default(), entities(2_000), Draws::new(5));
    for minute in 0..11 * 24 * 60 {
        let scale = if minute < 8 * 24 * 60 { 1.0 } else { 1.4 };
        for _ in 0..4 {
            let entity = &all[(random.uniform() * 2_000.0) as usize];
            let surprise = 4.6 + scale * random.exponential();
            budget.offer(&config, &offer(entity, at(minute), surprise, false));
        }
    }
    let ratio = budget.spent(&config).false_ratio.expect("something was told");
    assert!(ratio > 0.6, "{ratio}");
}

#[test]
fn what_an_outage_costs_other_days_is_a_share_of_the_budget() {
    // Forty critical entities within an hour; then what the controller aims at.
    let aim = |reserved_share: f64| {
        let config = Config { reserved_share, ..Config::default() };
        assert_eq!(config.mistake(), None);
        let (mut budget, all) = (Budget::default(), entities(40));
        budget.tick(&config, at(0));
        for entity in &all {
            budget.offer(&config, &offer(entity, at(1), 40.0, true));
        }
        budget.tick(&config, at(61));
        budget.spent(&config).correction
    };
    let (nothing, some, all) = (aim(0.0), aim(0.25), aim(1.0));
    assert!(nothing > some && some > all && all >= 0.5, "{nothing} {some} {all}");
    let config = Config { reserved_share: 1.5, ..Config::default() };
    assert_eq!(config.mistake().map(|(key, _)| key), Some("reserved_share"));
}
