//! What the watch promises: drift takes a version out and brings it back, nobody is told from the
//! shadow, no site is left without any detector, and a restore changes nothing.

use proptest::prelude::*;

use super::*;
use crate::model::EntityRef;
use crate::model::time::MINUTE_MS;

const START: i64 = 1_762_128_000_000;

struct Site {
    watch: Watch,
    budget: budget::Config,
    drift: Config,
    minute: i64,
}

impl Site {
    fn new(versions: &[(&str, Stage)]) -> Self {
        let mut watch = Watch::default();
        for (name, stage) in versions {
            watch.know(name, *stage, Time::from_ms(START));
        }
        let (budget, drift) = (budget::Config::default(), Config::default());
        Self { watch, budget, drift, minute: 0 }
    }

    fn settings(&self) -> Settings<'_> {
        Settings { budget: &self.budget, drift: &self.drift }
    }

    fn now(&self) -> Time {
        Time::from_ms(START + self.minute * MINUTE_MS)
    }

    /// Hours of 60,000 rows, of which `times` the nominal number are onsets.
    fn hours(&mut self, name: &str, hours: i64, times: f64) {
        for _ in 0..hours * 60 {
            let mut tally = Tally::default();
            for i in 0..1_000 {
                // Each rank of an hour's rows once: 997 and 60,000 have no factor in common.
                let rank = (self.minute % 60 * 1_000 + i) * 997 % 60_000;
                let p = (rank as f64 + 0.5) / 60_000.0 / times;
                let onset_surprise = (p <= 0.011).then(|| -p.ln());
                tally.count(&Row {
                    onset_surprise,
                    departure: 1.0,
                    step_ms: 60_000,
                    repeats: false,
                    ..Row::default()
                });
            }
            self.watch.absorb(name, &tally);
            self.minute += 1;
            let (budget, drift) = (self.budget.clone(), self.drift.clone());
            self.watch.tick(Settings { budget: &budget, drift: &drift }, self.now());
        }
    }

    fn offer(&mut self, name: &str, entity: &str, surprise: f64, critical: bool) -> Said {
        let entity = EntityRef::service(entity);
        let at = self.now();
        let offer = Offer { at, entity: &entity, what: "latency", surprise, critical };
        let (budget, drift) = (self.budget.clone(), self.drift.clone());
        self.watch.offer(Settings { budget: &budget, drift: &drift }, name, &offer)
    }

    fn version(&self, name: &str) -> VersionReport {
        let report = self.watch.report(self.settings());
        report.versions.into_iter().find(|v| v.name == name).expect("a version")
    }
}

#[test]
fn a_loud_version_goes_to_shadow_says_so_and_comes_back() {
    let mut site = Site::new(&[("good/1", Stage::Live), ("loud/1", Stage::Live)]);
    site.hours("loud/1", 24, 1.0);
    assert_eq!(site.version("loud/1").stage, Stage::Live, "{}", site.version("loud/1").standing);
    assert!(site.offer("loud/1", "orders", 20.0, false).told);
    site.hours("loud/1", 40, 8.0);
    let loud = site.version("loud/1");
    assert_eq!((loud.stage, loud.by), (Stage::Shadow, By::Rule), "{}", loud.standing);
    let said = site.offer("loud/1", "payments", 20.0, true);
    assert!(said.admission.told && !said.told, "a live version is there to tell");
    let news = &site.watch.report(site.settings()).news;
    assert!(news[0].text.contains("loud/1 is in shadow"), "{}", news[0].text);
    assert!(news[0].text.contains("are nominal"), "{}", news[0].text);
    site.hours("loud/1", 24 + 24 + 2, 1.0);
    assert_eq!(site.version("loud/1").stage, Stage::Live, "{}", site.version("loud/1").standing);
}

#[test]
fn a_version_that_went_deaf_drifts_too() {
    let mut site = Site::new(&[("deaf/1", Stage::Live)]);
    site.hours("deaf/1", 40, 0.05);
    assert_eq!(site.version("deaf/1").stage, Stage::Shadow, "{}", site.version("deaf/1").standing);
}

#[test]
fn the_last_version_still_tells_what_is_critical_and_strong() {
    let mut site = Site::new(&[("only/1", Stage::Live)]);
    site.hours("only/1", 40, 8.0);
    assert_eq!(site.version("only/1").stage, Stage::Shadow);
    assert!(!site.offer("only/1", "orders", 15.0, false).told);
    assert!(site.offer("only/1", "payments", 25.0, true).told);
}

#[test]
fn what_a_person_decided_stands() {
    let mut site = Site::new(&[("one/1", Stage::Live), ("two/1", Stage::Shadow)]);
    site.hours("one/1", 1, 1.0);
    assert!(site.watch.place("two/1", Stage::Live, "operator", "worth a try"));
    assert!(!site.watch.place("two/1", Stage::Live, "operator", "again"));
    assert!(!site.watch.place("three/1", Stage::Live, "operator", ""));
    site.hours("two/1", 60, 8.0);
    let two = site.version("two/1");
    assert_eq!((two.stage, two.by, two.drifts), (Stage::Live, By::Person, true));
    assert_eq!(two.why, "operator moved it: worth a try.");
    assert!(site.watch.place("two/1", Stage::Shadow, "operator", ""));
    site.hours("two/1", 80, 1.0);
    assert_eq!(site.version("two/1").stage, Stage::Shadow);
}

#[test]
fn versions_are_compared_at_the_same_budget_and_the_shadow_tells_nobody() {
    let mut site = Site::new(&[("one/1", Stage::Live), ("two/1", Stage::Shadow)]);
    site.hours("one/1", 1, 1.0);
    assert!(!site.offer("two/1", "orders", 15.0, false).told);
    site.minute += 5;
    assert!(site.offer("one/1", "orders", 15.0, false).told);
    assert!(!site.offer("two/1", "search", 12.0, false).told);
    site.hours("one/1", 2, 1.0);
    let report = site.watch.report(site.settings());
    let pair = &report.pairs[0];
    assert_eq!((pair.first.as_str(), pair.second.as_str()), ("one/1", "two/1"));
    assert_eq!((pair.both, pair.first_only, pair.second_only), (1, 0, 1));
    assert_eq!(pair.second_earlier_min, Some(5.0));
    assert_eq!(report.versions[1].budget.last_day.ordinary, 2, "what it would have told");
}

proptest! {
    #[test]
    fn a_restore_goes_on_alike(
        steps in prop::collection::vec(
            (0_i64..90, 0_usize..3, 0_usize..4, prop::num::f64::ANY, any::<bool>()), 1..60),
        cut in 0_usize..60,
    ) {
        let names = ["one/1", "two/1", "three/2"];
        let mut one = Site::new(&[("one/1", Stage::Live), ("two/1", Stage::Shadow)]);
        let mut other = Site::new(&[("one/1", Stage::Live), ("two/1", Stage::Shadow)]);
        for (i, (minutes, name, entity, surprise, critical)) in steps.iter().enumerate() {
            if i == cut {
                let bytes = rmp_serde::to_vec(&other.watch).expect("plain data");
                other.watch = rmp_serde::from_slice(&bytes).expect("its own bytes");
            }
            let mut tally = Tally::default();
            tally.count(&Row {
                onset_surprise: Some(*surprise),
                departure: *surprise,
                step_ms: *minutes,
                repeats: *critical,
                ..Row::default()
            });
            let mut said = Vec::new();
            for site in [&mut one, &mut other] {
                site.minute += minutes;
                site.watch.absorb(names[*name], &tally);
                said.push(site.offer(names[*name], &format!("service-{entity}"), *surprise, *critical));
            }
            prop_assert_eq!(&said[0], &said[1]);
        }
        prop_assert_eq!(one.watch.report(one.settings()), other.watch.report(other.settings()));
    }
}
