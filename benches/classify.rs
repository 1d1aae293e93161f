//! The classifier of incidents on two simulated sites: how long training takes, and how often it is
//! right about incidents after all it was trained on, beside always saying the commonest class.
//!
//! `cargo bench --bench classify`

use std::time::Instant;

use nightjar::demo::sites::{Site, Told};
use nightjar::learn::classify::{Case, Config, History, Label, Moment, Snapshot, train};
use nightjar::learn::{Lesson, Taught};
use nightjar::model::Time;
use nightjar::model::classify::Question;

fn case(site: &Site, told: &Told) -> Case {
    let moment = Moment {
        at: told.incident.opened_at.plus_ms(60_000),
        incident: &told.incident,
        alerts: &told.alerts,
        graph: &site.graph,
        changes: &told.changes,
        diagnosis: None,
    };
    let helped = told.tried.iter().find(|(_, helped)| *helped);
    let lesson = helped.map(|(fix, _)| Lesson {
        key: told.incident.id.to_string(),
        at: told.incident.resolved_at.unwrap_or(told.incident.updated_at),
        pattern: told.kind.pattern.into(),
        entity: told.at.clone(),
        actions: vec![(*fix).into()],
        incident: told.incident.id,
        run: None,
        taught: Taught::Helped,
        given: None,
    });
    let lessons: Vec<Lesson> = lesson.into_iter().collect();
    Case { snapshot: Snapshot::of(&moment, true), label: Label::of(&told.incident, &lessons) }
}

/// Right and commonest of those asked, over the incidents after the first `n`.
fn ahead(site: &Site, seed: u64, n: usize) -> Vec<(Question, [usize; 3])> {
    let since = Time::from_ms(1_772_409_600_000);
    let all: Vec<Case> = site.history(n + 120, since, seed).iter().map(|t| case(site, t)).collect();
    let cut = all[n].snapshot.at;
    let known = |c: &Case| Case {
        label: c.label.clone().filter(|l| l.known_at <= cut),
        snapshot: c.snapshot.clone(),
    };
    let seen = History::of(all[..n].iter().map(known).collect());
    let (trained, card) = train(&seen, &Config::default(), cut).expect("it trains");
    let whole = History::of(all.clone());
    let mut found = Vec::new();
    for question in Question::ALL {
        let Some(head) = card.head(question).filter(|h| h.silent.is_none()) else { continue };
        let common = head.classes.iter().max_by_key(|c| c.n).map(|c| c.name.clone());
        let mut counts = [0; 3];
        for one in &all[n..] {
            let Some(is) = one.label.as_ref().and_then(|l| l.answer(question)) else { continue };
            let chances = trained.chances(question, &whole, &one.snapshot).unwrap_or_default();
            let said = chances.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|c| c.0);
            counts[0] += 1;
            counts[1] += usize::from(said == Some(is));
            counts[2] += usize::from(common.as_deref() == Some(is));
        }
        found.push((question, counts));
    }
    found
}

fn main() {
    println!("right ahead / commonest class, ten seeds each, 120 incidents after the first n");
    for (site, name) in [(Site::shop(), "shop"), (Site::platform(), "platform")] {
        for n in [45, 80, 160, 320] {
            let mut sums = std::collections::BTreeMap::new();
            for seed in 100..110 {
                for (question, counts) in ahead(&site, seed, n) {
                    let sum: &mut [usize; 3] = sums.entry(question).or_default();
                    sum.iter_mut().zip(counts).for_each(|(s, c)| *s += c);
                }
            }
            for (question, [asked, right, common]) in sums {
                let share = |k: usize| k as f64 / asked.max(1) as f64;
                let (right, common) = (share(right), share(common));
                println!("{name} {n} {question:?}: {right:.3} / {common:.3} of {asked}");
            }
        }
    }
    let site = Site::shop();
    for n in [60, 240, 1_000, 2_000] {
        let since = Time::from_ms(1_772_409_600_000);
        let all: Vec<Case> = site.history(n, since, 1).iter().map(|t| case(&site, t)).collect();
        let began = Instant::now();
        let history = History::of(all);
        let (trained, _) = train(&history, &Config::default(), since).expect("it trains");
        let bytes = serde_json::to_vec(&trained).map_or(0, |b| b.len());
        println!(
            "{n} incidents: {} ms, {} kB of trees",
            began.elapsed().as_millis(),
            bytes / 1_000
        );
    }
}
