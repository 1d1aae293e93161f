//! How true forecasts are: intervals and warnings on simulated series whose future is known.
//!
//! Each series is followed hour by hour as a running bot would, from two weeks of history on. Every
//! few hours the outlook of what was seen so far is held against what came: whether its interval
//! held the hour at which the limit was reached, which it names in 90 of 100 cases.

mod near;
mod own;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nightjar::detect::forecast::{Memory, Outlook, Question, Rhythm, outlook, warned_of};
use nightjar::stats::Draws;

/// Hours of history before the first look, and of a series.
const HISTORY: usize = 336;
const LENGTH: usize = HISTORY + 720;
/// Hours between two looks, and the horizon of chances.
const EVERY: usize = 8;
const HORIZON: usize = 72;
/// A warning, as detection has it: so likely, twice in a row.
const WARNS: f64 = 0.75;
/// Where incidents come and go, each hour is looked at and three in a row count, as detection does.
const LASTING: i32 = 3;
/// Outlooks that are held against what came: those that expect the limit within the horizon.
const EXPECTS: f64 = 0.5;

/// What a series does beneath its rhythm and its noise.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Leak,
    LateLeak,
    RandomWalk,
    Steps,
    Saturating,
    Sawtooth,
    Rhythm,
    Rotated,
    Wandering,
    Settling,
    Incidents,
    LeakIncidents,
}

const KINDS: [(Kind, &str); 12] = [
    (Kind::Leak, "leak, daily and weekly rhythm, AR noise"),
    (Kind::LateLeak, "the same, begun late"),
    (Kind::RandomWalk, "random walk with drift"),
    (Kind::Steps, "steps at random times"),
    (Kind::Saturating, "saturating"),
    (Kind::Sawtooth, "sawtooth whose restarts end"),
    (Kind::Rhythm, "never: crest close to the limit"),
    (Kind::Rotated, "never: sawtooth"),
    (Kind::Wandering, "never: wandering about a level"),
    (Kind::Settling, "never: settling below"),
    (Kind::Incidents, "never: incidents that pass"),
    (Kind::LeakIncidents, "leak begun late, with such incidents"),
];

/// Hourly values of a series with the limit 1.
fn series(kind: Kind, seed: u64) -> Vec<f64> {
    let mut draws = Draws::new(seed.wrapping_mul(77) ^ ((kind as u64) << 32));
    let daily = draws.between(0.0, 0.12);
    let weekly = if draws.uniform() < 0.5 { 0.0 } else { draws.between(0.0, 0.06) };
    let phase = draws.between(0.0, 24.0);
    let memory = draws.between(0.3, 0.95);
    let sigma = 10_f64.powf(draws.between(-2.7, -1.7));
    let base = draws.between(0.2, 0.5);
    let crest = daily + weekly * 0.3;
    let room = 1.0 - crest * 0.8 - base;
    let leak = room / draws.between(345.0, 950.0);
    let (late, late_leak) = (draws.between(290.0, 520.0), room / draws.between(24.0, 300.0));
    let (walk, drift) = (draws.between(0.003, 0.015), draws.between(0.000_2, 0.002));
    let (jumps, jump) = (1.0 / draws.between(12.0, 60.0), draws.between(0.01, 0.04));
    let settling = draws.between(100.0, 400.0);
    let highest = draws.between(0.85, 1.5) - base;
    let (tooth, top) = (draws.between(0.001, 0.006), draws.between(0.55, 0.85));
    let by_height = draws.uniform() < 0.4;
    let span = draws.between(48.0, 144.0).min((0.85 - base) / tooth);
    let stops = if kind == Kind::Rotated { f64::INFINITY } else { draws.between(380.0, 800.0) };
    let (mut noise, mut level, mut age) = (0.0, base, 0.0);
    let mut next = span * draws.between(0.7, 1.3);
    let mut incident = Incident::default();
    (0..LENGTH)
        .map(|t| {
            let hour = t as f64;
            let weekend = (t / 24) % 7 >= 5;
            let week = if weekend { -weekly } else { weekly * 0.3 };
            let day = daily * ((hour - phase) / 24.0 * std::f64::consts::TAU).sin();
            noise = memory * noise + sigma * (1.0 - memory * memory).sqrt() * draws.normal();
            let around = day + week + noise;
            match kind {
                Kind::Leak => around + base + leak * hour,
                Kind::LateLeak => around + base + late_leak * (hour - late).max(0.0),
                Kind::RandomWalk => {
                    level += drift + walk * draws.normal();
                    0.3 * day + level + 0.1 * noise
                }
                Kind::Steps => {
                    if draws.uniform() < jumps {
                        level -= jump * draws.uniform().max(1e-9).ln();
                    }
                    0.5 * around + level
                }
                Kind::Saturating => around + base + highest * (1.0 - (-hour / settling).exp()),
                Kind::Sawtooth | Kind::Rotated => {
                    age += 1.0;
                    level += tooth;
                    let due = if by_height { level >= top } else { age >= next };
                    if due && hour < stops {
                        (level, age) = (base, 0.0);
                        next = span * draws.between(0.7, 1.3);
                    }
                    0.3 * around + level
                }
                Kind::Rhythm => around + (0.93 - crest * 1.05 - 2.0 * sigma).min(0.8),
                Kind::Wandering => {
                    level = 0.97 * (level - 0.6) + 0.6 + 0.01 * draws.normal();
                    0.5 * around + level
                }
                Kind::Incidents => incident.hour(around + base, &mut draws),
                Kind::LeakIncidents => {
                    let own = around + base + late_leak * (hour - late).max(0.0);
                    if own >= 1.0 { own } else { incident.hour(own, &mut draws) }
                }
                Kind::Settling => {
                    let highest = 0.9 - 1.1 * crest - 3.0 * sigma - base;
                    around + base + highest * (1.0 - (-hour / settling).exp())
                }
            }
        })
        .collect()
}

/// What passes within hours: nearly all is taken, or nothing is.
#[derive(Default)]
struct Incident {
    /// Hours that are left of it.
    left: f64,
    level: f64,
}

impl Incident {
    /// The mean of an hour that would be `own` without it.
    fn hour(&mut self, own: f64, draws: &mut Draws) -> f64 {
        let mut share = self.left.min(1.0);
        if self.left > 0.0 {
            self.left = (self.left - 1.0).max(0.0);
        } else if draws.uniform() < 1.0 / 60.0 {
            // It begins within the hour.
            share = draws.uniform();
            self.left = draws.between(0.0, 6.0);
            let is_high = draws.uniform() < 0.6;
            self.level = if is_high { draws.between(0.7, 0.97) } else { 0.02 };
        }
        share * self.level + (1.0 - share) * own
    }
}

/// What became of one series.
#[derive(Default)]
struct Seen {
    reached: bool,
    /// Hours ahead of the limit at the first warning; infinite where it was never reached.
    warned: Option<f64>,
    n: usize,
    covered: usize,
    too_early: usize,
    too_late: usize,
    width: f64,
    looks: usize,
    bounded: usize,
}

fn follow(kind: Kind, seed: u64) -> Seen {
    let values = series(kind, seed);
    let truth = (HISTORY..LENGTH).find(|t| values[*t] >= 1.0);
    let mut seen = Seen { reached: truth.is_some(), ..Seen::default() };
    let mut streak = 0;
    // What a bot remembers: as much, and as finely, as it has room for.
    let (mut memory, mut hour) = (Memory::new(1.0), 0);
    let often = matches!(kind, Kind::Incidents | Kind::LeakIncidents);
    let (every, lasting) = if often { (1, LASTING) } else { (EVERY, 2) };
    for now in (HISTORY..truth.unwrap_or(LENGTH)).step_by(every) {
        // The hour that begins closes the one before.
        while hour <= now {
            memory.push(hour as i64, values[hour], 1.0);
            hour += 1;
        }
        let first = memory.first();
        let question = Question {
            limit: 1.0,
            horizon: HORIZON,
            step_h: 1.0,
            first,
            least: EXPECTS,
            began: None,
        };
        seen.looks += 1;
        let values = memory.values();
        let warns = warned_of(&values, &question, WARNS).is_some();
        streak = if warns { streak + 1 } else { 0 };
        // The last value seen is that of the hour before.
        let left = truth.map_or(f64::INFINITY, |t| (t + 1 - now) as f64);
        if streak == lasting {
            seen.warned.get_or_insert(left);
        }
        // The interval is judged of all that is likely, warned of or not.
        let found = outlook(&values, &question, &Rhythm::Found, None);
        if let Some(found) = found.filter(|f| f.chance >= EXPECTS && now % EVERY == 0) {
            judge(&mut seen, &found, left, (LENGTH + 1 - now) as f64);
        }
    }
    seen
}

/// Holds an interval against the truth. Where the series ended before either was sure, nothing
/// can be said.
fn judge(seen: &mut Seen, found: &Outlook, left: f64, end: f64) {
    let early = found.earliest_h.is_some_and(|e| left < e);
    let late = found.latest_h.is_some_and(|l| left > l);
    if left.is_infinite() && found.latest_h.is_some_and(|l| l >= end) {
        return;
    }
    seen.n += 1;
    seen.too_late += usize::from(early);
    seen.too_early += usize::from(late);
    seen.covered += usize::from(!early && !late);
    if let (Some(e), Some(l)) = (found.earliest_h, found.latest_h) {
        seen.width += l - e;
        seen.bounded += 1;
    }
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    sorted.get((q * sorted.len() as f64) as usize).or(sorted.last()).copied().unwrap_or(f64::NAN)
}

fn main() {
    if let Some(folder) = std::env::args().skip(1).find(|a| std::path::Path::new(a).is_dir()) {
        return own::run(&folder);
    }
    // `cargo bench` adds an argument of its own.
    let n = std::env::args().skip(1).find_map(|a| a.parse::<u64>().ok());
    if std::env::args().any(|a| a == "near") {
        return near::run(n.unwrap_or(8));
    }
    let n = n.unwrap_or(200);
    let jobs: Vec<(usize, u64)> = (0..KINDS.len())
        .flat_map(|k| (0..if k < 6 { n } else { n / 2 }).map(move |seed| (k, seed)))
        .collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((k, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let seen = follow(KINDS[*k].0, *seed);
                    done.lock().expect("no thread panics").push((*k, seen));
                }
            });
        }
    });
    let done = done.into_inner().expect("no thread panics");
    println!(
        "{} series, looked at every {EVERY} h, horizon {HORIZON} h, 90 % intervals",
        jobs.len()
    );
    println!(
        "{:42}{:>7}{:>8}{:>8}{:>16}{:>10}{:>9}{:>7}{:>7}{:>8}",
        "kind",
        "series",
        "reached",
        "warned",
        "hours ahead",
        "intervals",
        "covered",
        "early",
        "late",
        "width h"
    );
    let mut whole = (0, 0);
    for (k, (_, name)) in KINDS.iter().enumerate() {
        let of: Vec<&Seen> = done.iter().filter(|(kind, _)| *kind == k).map(|(_, s)| s).collect();
        let sum = |f: fn(&Seen) -> usize| of.iter().map(|s| f(s)).sum::<usize>();
        let mut ahead: Vec<f64> =
            of.iter().filter(|s| s.reached).filter_map(|s| s.warned).collect();
        ahead.sort_by(f64::total_cmp);
        let hours = if ahead.is_empty() {
            String::new()
        } else {
            let at = |q| quantile(&ahead, q);
            format!("{:.0} ({:.0} to {:.0})", at(0.5), at(0.1), at(0.9))
        };
        let (n, covered) = (sum(|s| s.n), sum(|s| s.covered));
        let percent = |part: usize| {
            if n == 0 {
                String::from("-")
            } else {
                format!("{:.1} %", 100.0 * part as f64 / n as f64)
            }
        };
        let width: f64 = of.iter().map(|s| s.width).sum();
        let warned = of.iter().filter(|s| s.warned.is_some()).count();
        println!(
            "{name:42}{:>7}{:>8}{warned:>8}{hours:>16}{n:>10}{:>9}{:>7}{:>7}{:>8.0}",
            of.len(),
            of.iter().filter(|s| s.reached).count(),
            percent(covered),
            percent(sum(|s| s.too_early)),
            percent(sum(|s| s.too_late)),
            width / sum(|s| s.bounded).max(1) as f64,
        );
        whole = (whole.0 + covered, whole.1 + n);
    }
    let false_ones = done.iter().filter(|(_, s)| !s.reached && s.warned.is_some()).count();
    let never = done.iter().filter(|(_, s)| !s.reached).count();
    let looks: usize = done.iter().map(|(_, s)| s.looks).sum();
    println!(
        "overall {:.1} % of {} intervals; false warnings on {false_ones} of {never} series that \
         never reach the limit; {looks} looks in {:.0} s",
        100.0 * f64::from(whole.0 as u32) / f64::from((whole.1 as u32).max(1)),
        whole.1,
        started.elapsed().as_secs_f64()
    );
}
