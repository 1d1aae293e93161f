//! What is learned of simulated sites, what is not, and how versions are kept.

mod keeping;

use super::*;
use crate::demo::sites::{Site, Told};
use crate::learn::{Lesson, Taught};
use crate::model::classify::{ModelCard, Question};
use crate::model::time::DAY_MS;
use crate::model::*;

pub(super) fn t0() -> Time {
    Time::parse("2026-03-02T00:00:00Z").expect("valid")
}

pub(super) fn lesson_of(told: &Told) -> Option<Lesson> {
    let (fix, _) = told.tried.iter().find(|(_, helped)| *helped)?;
    Some(Lesson {
        given: None,
        key: format!("run of {}", told.incident.id),
        at: told.incident.resolved_at?,
        pattern: told.kind.pattern.into(),
        entity: told.at.clone(),
        actions: vec![(*fix).into()],
        incident: told.incident.id,
        run: None,
        taught: Taught::Helped,
    })
}

pub(super) fn case(site: &Site, told: &Told) -> Case {
    let moment = Moment {
        at: told.incident.opened_at.plus_ms(60_000),
        incident: &told.incident,
        alerts: &told.alerts,
        graph: &site.graph,
        changes: &told.changes,
        diagnosis: None,
    };
    let lessons: Vec<Lesson> = lesson_of(told).into_iter().collect();
    Case { snapshot: Snapshot::of(&moment, true), label: Label::of(&told.incident, &lessons) }
}

fn cases(site: &Site, n: usize, seed: u64) -> Vec<Case> {
    site.history(n, t0(), seed).iter().map(|t| case(site, t)).collect()
}

/// Cases with what had been said of them by then.
fn until(cases: &[Case], at: Time) -> Vec<Case> {
    let known =
        |c: &Case| Case { label: c.label.clone().filter(|l| l.known_at <= at), ..c.clone() };
    cases.iter().map(known).collect()
}

fn trained(cases: Vec<Case>) -> (Trained, ModelCard, History) {
    let history = History::of(cases);
    let (trained, card) = train(&history, &Config::default(), t0()).expect("it trains");
    (trained, card, history)
}

#[test]
fn too_little_said_is_silence_with_its_reason() {
    let few = cases(&Site::shop(), 24, 1);
    let (trained, card, history) = trained(few);
    assert_eq!(trained, Trained::default());
    let why = card.head(Question::Real).and_then(|h| h.silent.clone()).expect("it is silent");
    insta::assert_snapshot!(why, @"Silent: 23 labelled incidents, 30 are needed, of at least two classes with 5 each; noise 6, real 17.");
    assert!(trained.answers(&card, &history, &history.cases()[23].snapshot).is_empty());
    // All of one class is nothing to tell apart, however many.
    let mut all = cases(&Site::shop(), 120, 1);
    all.retain(|c| c.label.as_ref().and_then(|l| l.real.as_deref()) == Some("real"));
    assert!(all.len() > 40);
    let (_, card, _) = self::trained(all);
    let head = card.head(Question::Real).expect("its card");
    assert!(head.silent.as_deref().is_some_and(|s| s.contains("only one class")), "{head:?}");
}

#[test]
fn the_same_history_gives_the_same_trees_in_any_order() {
    let mut all = cases(&Site::platform(), 90, 3);
    let (first, card, _) = trained(all.clone());
    all.reverse();
    let (again, same, _) = trained(all.clone());
    assert_eq!((first.hash(), &card), (again.hash(), &same));
    // Stored and read again, it says the same to the last bit.
    let text = serde_json::to_string(&first).expect("plain numbers");
    let read: Trained = serde_json::from_str(&text).expect("as written");
    assert_eq!(read.hash(), first.hash());
    let other = all.pop().map(|mut c| {
        c.snapshot.features.insert("alerts".into(), 5.0);
        c
    });
    all.extend(other);
    let (_, moved, _) = trained(all);
    assert_ne!(moved.data_hash, card.data_hash, "another row is another hash");
}

#[test]
fn nothing_that_was_known_only_later_counts() {
    let site = Site::shop();
    let told = &site.history(40, t0(), 5);
    let (one, at) = (&told[20], told[20].incident.opened_at.plus_ms(60_000));
    let features_of = |incident: &Incident, alerts: &[Alert], changes: &[Change]| {
        let graph = &site.graph;
        features(&Moment { at, incident, alerts, graph, changes, diagnosis: None })
    };
    let then = features_of(&one.incident, &one.alerts, &one.changes);
    let (mut later, mut alerts) = (one.incident.clone(), one.alerts.clone());
    let after = at.plus_ms(1_000);
    let mut joined = alerts[0].clone();
    (joined.starts_at, joined.severity) = (after, Severity::Critical);
    joined.entity = EntityRef::service("joined-later");
    later.entities.push(joined.entity.clone());
    later.category = Some("not_an_incident".into());
    alerts.push(joined);
    let mut changes = one.changes.clone();
    let fix = changes.first().or(told.iter().flat_map(|t| &t.changes).next()).cloned();
    changes.extend(fix.map(|c| Change { at: after, entity: one.at.clone(), ..c }));
    assert_eq!(features_of(&later, &alerts, &changes), then);

    // What was said of an earlier one after the time of decision does not count either.
    let mut all: Vec<Case> = told.iter().map(|t| case(&site, t)).collect();
    let before = History::of(all.clone());
    let last = before.cases().len() - 1;
    let row = before.row(last, Question::Real, "noise");
    assert!(row[row.len() - 4].is_finite(), "earlier ones like it were judged");
    for case in &mut all[..last] {
        case.label.iter_mut().for_each(|l| l.known_at = t0().plus_ms(400 * DAY_MS));
    }
    let untold = History::of(all).row(last, Question::Real, "noise");
    assert!(untold[untold.len() - 4].is_nan() && untold[untold.len() - 3].is_nan());
}

#[test]
fn every_feature_has_a_name_and_every_name_comes_about() {
    let mut seen: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
    for site in [Site::shop(), Site::platform()] {
        for case in cases(&site, 200, 2) {
            seen.extend(case.snapshot.features.into_keys());
        }
    }
    let named: std::collections::BTreeSet<String> =
        features::FEATURES.iter().map(|(n, _)| (*n).to_owned()).collect();
    assert!(seen.is_subset(&named), "{:?}", seen.difference(&named));
    let silent: Vec<&String> =
        named.difference(&seen).filter(|n| !n.starts_with("cause_") && !is_of_rules(n)).collect();
    assert_eq!(silent, ["conclusive", "confidence"], "these need a diagnosis");
}

fn is_of_rules(name: &str) -> bool {
    ["category_", "trigger_", "component_"].iter().any(|p| name.starts_with(p))
}

#[test]
fn what_the_rules_make_of_an_incident_is_known_in_their_words() {
    use crate::model::priority::{CATEGORIES, COMPONENTS, TRIGGERS, Taxonomy, UNKNOWN};
    let site = Site::shop();
    let told = site.history(1, t0(), 5).remove(0);
    let with = |kind: Option<Taxonomy>| Told {
        incident: Incident { taxonomy: kind, ..told.incident.clone() },
        ..told.clone()
    };
    let of = |kind: Option<Taxonomy>| -> Vec<(String, f64)> {
        let features = case(&site, &with(kind)).snapshot.features;
        features.into_iter().filter(|(name, _)| is_of_rules(name)).collect()
    };
    assert_eq!(of(None), [], "not known is left out");
    let kind = |category: &str, trigger: &str, component: &str| Taxonomy {
        category: category.into(),
        trigger: trigger.into(),
        component: component.into(),
    };
    let named: Vec<&str> =
        features::FEATURES.iter().map(|(n, _)| *n).filter(|n| is_of_rules(n)).collect();
    for (i, trigger) in TRIGGERS.into_iter().enumerate() {
        let category = CATEGORIES[i % CATEGORIES.len()];
        let component = COMPONENTS[i % COMPONENTS.len()];
        let found = of(Some(kind(category, trigger, component)));
        assert_eq!(found.len(), named.len(), "{found:?}");
        let mut is: Vec<&str> =
            found.iter().filter(|(_, v)| *v > 0.5).map(|(n, _)| n.as_str()).collect();
        is.sort_unstable();
        let mut words = vec![format!("category_{category}"), format!("component_{component}")];
        // Of these rules say nothing, and a feature that only people could know would be a leak.
        if !["external", "planned"].contains(&trigger) {
            words.push(format!("trigger_{trigger}"));
        }
        assert_eq!(is, words);
        assert!(is.iter().all(|n| named.contains(n)), "{is:?}");
    }
    // What a fix confirmed is said in the same words, and more closely where the rules know it.
    let lesson = |pattern: &str| Lesson {
        given: None,
        key: "a run".into(),
        at: t0(),
        pattern: pattern.into(),
        entity: told.at.clone(),
        actions: vec!["rollback/deploy".into()],
        incident: told.incident.id,
        run: None,
        taught: Taught::Helped,
    };
    for (pattern, rules, label) in [
        ("change", "flag", Some("flag")),
        ("change", "deploy", Some("change")),
        ("slow_queries", "flag", Some("slow_queries")),
        ("a word of nobody", "flag", None),
        ("unknown", UNKNOWN, None),
    ] {
        let incident = with(Some(kind("errors", rules, "service"))).incident;
        let said = Label::of(&incident, &[lesson(pattern)]).expect("it was real");
        assert_eq!(said.answer(Question::Trigger), label, "{pattern}");
    }
}

#[test]
fn a_version_of_other_features_says_nothing_and_is_called_so() {
    let (trained, mut card, history) = trained(cases(&Site::shop(), 90, 3));
    let new = history.cases().last().expect("a case").snapshot.clone();
    let said = |card: &ModelCard| {
        history.cases().iter().map(|c| trained.answers(card, &history, &c.snapshot).len()).sum()
    };
    let n: usize = said(&card);
    assert!(n > 0 && !watch(&card, &[], &[], new.at).drifts);
    card.code = "0.1.0, features 1".into();
    let n: usize = said(&card);
    let watch = watch(&card, &[], &[], new.at);
    assert!(n == 0 && watch.drifts && watch.text.contains("other features"), "{}", watch.text);
}

#[test]
fn the_hash_is_of_all_that_a_training_sees() {
    let all = cases(&Site::shop(), 12, 3);
    let last = all.iter().rposition(|c| c.label.is_some()).expect("somebody said something");
    let changed = |change: &dyn Fn(&mut Case)| {
        let mut all = all.clone();
        change(&mut all[last]);
        History::of(all).hash()
    };
    let same = changed(&|_| {});
    let later = |label: &mut Option<Label>| {
        if let Some(label) = label {
            label.known_at = label.known_at.plus_ms(1);
        }
    };
    for (what, hash) in [
        ("when it was said", changed(&|c| later(&mut c.label))),
        ("when it was decided", changed(&|c| c.snapshot.at = c.snapshot.at.plus_ms(1))),
        ("whether in time", changed(&|c| c.snapshot.in_time = false)),
        ("what was said", changed(&|c| c.label = None)),
    ] {
        assert_ne!(hash, same, "{what}");
    }
}

/// Share right and share of the commonest class, over incidents after all it was trained on.
fn ahead(site: &Site, seed: u64, question: Question) -> (usize, f64, f64) {
    let all = cases(site, 260, seed);
    let cut = all[170].snapshot.at;
    let whole = History::of(all.clone());
    let (trained, card, _) = trained(until(&all[..170], cut));
    let head = card.head(question).expect("its card");
    let commonest = head.classes.iter().max_by_key(|c| c.n).expect("classes").name.clone();
    let (mut n, mut right, mut base) = (0, 0, 0);
    for case in &all[170..] {
        let Some(is) = case.label.as_ref().and_then(|l| l.answer(question)) else { continue };
        // Of the others it knows what was said until the time of decision.
        let chances = trained.chances(question, &whole, &case.snapshot).expect("it answers");
        let (said, _) = chances.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("a class");
        n += 1;
        right += usize::from(said == is);
        base += usize::from(commonest == is);
    }
    (n, right as f64 / n as f64, base as f64 / n as f64)
}

#[test]
fn two_kinds_of_site_are_learned_from_their_own_history() {
    for (site, name) in [(Site::shop(), "shop"), (Site::platform(), "platform")] {
        for question in Question::ALL {
            let (mut n, mut right, mut base) = (0, 0.0, 0.0);
            for seed in [11, 12] {
                let (judged, accuracy, common) = ahead(&site, seed, question);
                n += judged;
                right += accuracy / 2.0;
                base += common / 2.0;
            }
            println!("{name} {question:?}: {right:.3} of {n}, commonest class {base:.3}");
            assert!(right > base + 0.1, "{name} {question:?}: {right:.3} and {base:.3}");
        }
    }
}

#[test]
fn the_card_keeps_its_promises_on_later_incidents() {
    let site = Site::shop();
    let (mut said, mut came, mut n) = (0.0, 0.0, 0);
    for seed in 21..24 {
        let all = cases(&site, 260, seed);
        let whole = History::of(all.clone());
        let (trained, card, _) = trained(until(&all[..170], all[170].snapshot.at));
        let head = card.head(Question::Real).expect("its card");
        assert!(head.is_useful() && head.later.is_some(), "{head:?}");
        assert!(head.calibration_error < 0.15, "{:.3}", head.calibration_error);
        for case in &all[170..] {
            let answers = trained.answers(&card, &whole, &case.snapshot);
            let Some(answer) = answers.iter().find(|a| a.question == Question::Real) else {
                continue;
            };
            let Some(is) = case.label.as_ref().and_then(|l| l.real.as_deref()) else { continue };
            said += answer.chance;
            came += f64::from(u8::from(is == answer.class));
            n += 1;
        }
    }
    let (said, came) = (said / f64::from(n), came / f64::from(n));
    println!("said {said:.3}, came {came:.3} of {n}");
    assert!((said - came).abs() < 0.06, "said {said:.3}, came {came:.3} of {n}");
}

#[test]
fn features_of_another_population_are_drift_where_answers_rest_on_them() {
    let all = cases(&Site::shop(), 180, 6);
    let (_, card, _) = trained(all[..100].to_vec());
    let rests_on: Vec<String> =
        card.heads.iter().flat_map(|h| h.importance.iter().map(|(name, _)| name.clone())).collect();
    let mut recent = all[100..].to_vec();
    let calm = watch(&card, &recent.iter().collect::<Vec<_>>(), &[], t0());
    assert!(!calm.drifts && calm.moved.is_empty() && calm.n_recent == 80, "{}", calm.text);
    for case in &mut recent {
        for (name, value) in &mut case.snapshot.features {
            if rests_on.contains(name) {
                *value = 2.0 * *value + 1.0;
            }
        }
    }
    let moved = watch(&card, &recent.iter().collect::<Vec<_>>(), &[], t0());
    assert!(moved.drifts && moved.moved.len() >= 5, "{}", moved.text);
    assert!(moved.text.contains("it rests on them"), "{}", moved.text);
    let few = watch(&card, &recent.iter().take(20).collect::<Vec<_>>(), &[], t0());
    assert!(!few.drifts, "too few to say: {}", few.text);
}
