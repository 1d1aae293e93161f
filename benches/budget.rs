//! The alert budget over simulated weeks: `cargo bench --bench budget`.
//!
//! Sites of several kinds offer episodes for four weeks of event time, as detectors on so many
//! series at a point a minute would; asked for are 10 anomalies a day. Printed are, week by week,
//! what was told by what was asked, the busiest day, and of the whole time the share of false ones
//! as estimated and as it was. The simulation knows which episodes are faults; the budget does not.

use nightjar::detect::budget::{Budget, Config, Lane, Offer};
use nightjar::model::time::{DAY_MS, MINUTE_MS};
use nightjar::model::{EntityRef, Time};
use nightjar::stats::Draws;

/// Monday 2025-11-03 00:00 UTC.
const START: i64 = 1_762_128_000_000;
const WEEKS: usize = 4;
const SERIES_OF_AN_ENTITY: usize = 5;

/// A site: how many series, and how far their detectors' word is from the truth.
#[derive(Clone, Copy)]
struct Site {
    name: &'static str,
    series: usize,
    /// How many times the nominal number of onsets there is, at (day, hour).
    rate: fn(f64, f64) -> f64,
    /// Mean excess of `-ln p` in nats; 1 is calibrated.
    scale: fn(f64) -> f64,
    /// One series in a hundred has so many times the others' onsets.
    noisy: f64,
    /// Faults of one entity a day.
    faults: f64,
    /// Whether there is an outage of 80 entities on each Wednesday.
    outages: bool,
}

const QUIET: Site = Site {
    name: "calibrated, 10,000 series",
    series: 10_000,
    rate: |_, _| 1.0,
    scale: |_| 1.0,
    noisy: 1.0,
    faults: 0.0,
    outages: false,
};

fn sites() -> Vec<Site> {
    vec![
        QUIET,
        Site { name: "calibrated, 1,000 series", series: 1_000, ..QUIET },
        Site { name: "calibrated, 50 series", series: 50, ..QUIET },
        Site { name: "onsets three times nominal", rate: |_, _| 3.0, ..QUIET },
        Site { name: "tails twice as heavy", scale: |_| 2.0, series: 2_000, ..QUIET },
        Site { name: "tails lighter than nominal", scale: |_| 0.7, ..QUIET },
        Site {
            name: "busy days, quiet nights",
            rate: |_, hour| if (8.0..20.0).contains(&hour) { 1.8 } else { 0.2 },
            ..QUIET
        },
        Site { name: "1 % noisy series (x30)", noisy: 30.0, series: 2_000, ..QUIET },
        Site {
            name: "grows twofold each week",
            rate: |day, _| 2_f64.powf(day / 7.0),
            series: 2_000,
            ..QUIET
        },
        Site {
            name: "another calibration from day 14",
            scale: |day| if day < 14.0 { 1.0 } else { 1.4 },
            series: 2_000,
            ..QUIET
        },
        Site { name: "4 faults a day", faults: 4.0, series: 2_000, ..QUIET },
        Site {
            name: "4 faults a day, weekly outage",
            faults: 4.0,
            outages: true,
            series: 2_000,
            ..QUIET
        },
    ]
}

/// What is told within the weeks.
#[derive(Default)]
struct Outcome {
    told: [u64; WEEKS],
    reserved: [u64; WEEKS],
    days: [u64; 7 * WEEKS],
    faults: u64,
    faults_told: u64,
    falsely: u64,
    offers: u64,
}

fn run(site: &Site, config: &Config) -> (Outcome, Budget) {
    let n = (site.series / SERIES_OF_AN_ENTITY).max(1);
    let all: Vec<EntityRef> = (0..n).map(|i| EntityRef::service(format!("service-{i}"))).collect();
    let (mut budget, mut random) = (Budget::default(), Draws::new(1));
    let mut outcome = Outcome::default();
    // Onsets rarer than one in a hundred are offered, as live detectors do.
    let least = -(0.01_f64.ln());
    let (mut next_fault, minutes) = (0.5, 7 * 24 * 60 * WEEKS as i64);
    for minute in 0..minutes {
        let (day, hour) = (minute as f64 / 1_440.0, (minute % 1_440) as f64 / 60.0);
        let mean = site.series as f64 * 0.01 * (site.rate)(day, hour);
        // A Poisson count by its waiting times.
        let mut waited = random.exponential();
        while waited < mean {
            waited += random.exponential();
            let odds = 0.01 * site.noisy / (0.01 * site.noisy + 0.99);
            let noisy = random.uniform() < odds;
            let pick = random.uniform() * if noisy { (n as f64 * 0.01).max(1.0) } else { n as f64 };
            let surprise = least + (site.scale)(day) * random.exponential();
            let entity = &all[(pick as usize).min(n - 1)];
            offer(&mut budget, config, &mut outcome, (minute, entity, surprise, false), false);
        }
        while site.faults > 0.0 && day >= next_fault {
            next_fault += random.exponential() / site.faults;
            let entity = &all[(random.uniform() * n as f64) as usize];
            let surprise = 12.0 + 20.0 * random.uniform();
            let critical = random.uniform() < 0.5;
            offer(&mut budget, config, &mut outcome, (minute, entity, surprise, critical), true);
        }
        // Each Wednesday from 10:00, for 20 minutes.
        let outage = minute.rem_euclid(7 * 1_440) - (2 * 1_440 + 600);
        if site.outages && (0..20).contains(&outage) {
            for i in 0..4 {
                let entity = &all[((outage * 4 + i) as usize * 3) % n];
                let surprise = 10.0 + 25.0 * random.uniform();
                offer(&mut budget, config, &mut outcome, (minute, entity, surprise, true), true);
            }
        }
    }
    (outcome, budget)
}

type Asked<'a> = (i64, &'a EntityRef, f64, bool);

fn offer(
    budget: &mut Budget,
    config: &Config,
    outcome: &mut Outcome,
    (minute, entity, surprise, critical): Asked<'_>,
    fault: bool,
) {
    let at = Time::from_ms(START + minute * MINUTE_MS);
    let answer = budget.offer(config, &Offer { at, entity, what: "simulated", surprise, critical });
    outcome.offers += 1;
    outcome.faults += u64::from(fault);
    outcome.faults_told += u64::from(fault && answer.told);
    if matches!(answer.lane, Lane::Ordinary | Lane::Reserved) {
        let day = (minute * MINUTE_MS / DAY_MS) as usize;
        outcome.told[day / 7] += 1;
        outcome.days[day] += 1;
        outcome.reserved[day / 7] += u64::from(answer.lane == Lane::Reserved);
        outcome.falsely += u64::from(!fault);
    }
}

fn main() {
    let config = Config::default();
    let asked = config.anomalies_per_day;
    println!("asked: {asked} a day, {} a week; told by asked, week by week", 7.0 * asked);
    println!(
        "{:<32} {:>5} {:>5} {:>5} {:>5}  {:>8} {:>8} {:>6} {:>6} {:>7}  {:>9}",
        "site", "1", "2", "3", "4", "reserved", "busiest", "false", "est.", "faults", "offers/s"
    );
    for site in sites() {
        let started = std::time::Instant::now();
        let (outcome, budget) = run(&site, &config);
        let seconds = started.elapsed().as_secs_f64();
        let ratios = outcome.told.map(|n| n as f64 / (7.0 * asked));
        let all: u64 = outcome.told.iter().sum();
        let spent = budget.spent(&config);
        let caught = if outcome.faults == 0 {
            "-".to_owned()
        } else {
            format!("{:.0} %", 100.0 * outcome.faults_told as f64 / outcome.faults as f64)
        };
        println!(
            "{:<32} {:>5.2} {:>5.2} {:>5.2} {:>5.2}  {:>8} {:>8} {:>6.2} {:>6.2} {:>7}  {:>9.0}",
            site.name,
            ratios[0],
            ratios[1],
            ratios[2],
            ratios[3],
            outcome.reserved.iter().sum::<u64>(),
            outcome.days.iter().max().unwrap_or(&0),
            outcome.falsely as f64 / all.max(1) as f64,
            spent.false_ratio.unwrap_or(f64::NAN),
            caught,
            outcome.offers as f64 / seconds,
        );
    }
}
