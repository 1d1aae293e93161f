//! Inhibition, rules that want an alert oftener or longer, flapping, and what learned rules hold.

use super::*;
use crate::model::alert::HARMLESS;
use crate::model::tuning::TuningDeed;
use crate::model::{Harmless, HarmlessId, HarmlessScope, HarmlessState, Role};

fn with(text: &str) -> Correlator {
    let mut c = Correlator::new(toml::from_str(text).expect("settings"));
    c.learn(shop(), Vec::new(), Vec::new());
    c
}

/// By which rule an alert is held, and why.
fn held(book: &Book, alert: &Alert) -> (String, String) {
    let verdict = book.last(alert);
    let quiet = verdict.suppressed.clone().expect("kept quiet");
    (quiet.by, quiet.reason)
}

#[test]
fn while_its_source_fires_an_alert_is_inhibited_and_then_grouped() {
    let rule = r#"
        [[inhibit]]
        name = "no database"
        source = ['alertname="DatabaseDown"']
        target = ['severity="warning"']
        equal = ["cluster"]
    "#;
    let mut c = with(rule);
    let source = alert("auth-db", "DatabaseDown", "critical", 0);
    let target = alert("pricing", "HighErrorRate", "warning", 5);
    let critical = alert("pricing", "HighLatency", "critical", 5);
    let mut elsewhere = alert("notifications", "HighErrorRate", "warning", 5);
    elsewhere.labels.set("cluster", "b");
    let all = [&source, &target, &critical, &elsewhere].map(|a| (6, a.clone()));
    let mut book = play(&mut c, all.to_vec(), 120);
    let (by, reason) = held(&book, &target);
    assert_eq!(by, "inhibit no database");
    assert!(reason.contains("while DatabaseDown on auth-db fires"), "{reason}");
    for free in [&critical, &elsewhere] {
        assert!(book.last(free).incident.is_some(), "{:?}", book.last(free));
    }
    c.take(&ended(source.clone(), 130), at(130));
    book.keep(c.decide(at(130)));
    let freed = book.last(&target);
    assert!(freed.suppressed.is_none() && freed.incident.is_some(), "{freed:?}");
}

#[test]
fn an_alert_that_matches_both_sides_inhibits_none_that_does() {
    let rule = r#"
        [[inhibit]]
        name = "any"
        source = ['alertname=~"High.*"']
        target = ['alertname=~"High.*"']
    "#;
    let (a, b) = (
        alert("auth", "HighLatency", "critical", 0),
        alert("cart", "HighErrorRate", "critical", 0),
    );
    let book = play(&mut with(rule), vec![(1, a.clone()), (1, b.clone())], 60);
    assert!(book.last(&a).incident.is_some() && book.last(&b).incident.is_some());
}

#[test]
fn a_rule_opens_only_after_so_many_times_or_so_long() {
    let rule = r#"
        [[hold]]
        name = "spikes"
        matchers = ['alertname="QueueHigh"']
        times = 3
        within_min = 30
        minutes = 15
    "#;
    let mut c = with(rule);
    let mut book = Book::default();
    for i in 0..3 {
        let spike = alert("orders", "QueueHigh", "critical", 600 * i);
        c.take(&spike, at(600 * i));
        for s in 0..12 {
            book.keep(c.decide(at(600 * i + 5 * s)));
        }
        if i < 2 {
            let (by, reason) = held(&book, &spike);
            assert_eq!(by, "hold spikes");
            let now = format!("3 times within 30 min (now {})", i + 1);
            assert!(reason.contains(&now), "{reason}");
            assert!(reason.contains("has fired for 15 min on end"), "{reason}");
            c.take(&ended(spike.clone(), 600 * i + 100), at(600 * i + 100));
            book.keep(c.decide(at(600 * i + 100)));
            assert!(book.last(&spike).decision.starts_with("Opened no incident"));
        } else {
            assert!(book.last(&spike).incident.is_some(), "the third opens");
        }
    }
    let long = alert("orders", "QueueHigh", "critical", 0);
    let book = play(&mut with(rule), vec![(0, long.clone())], 14 * 60);
    assert_eq!(held(&book, &long).0, "hold spikes");
    let book = play(&mut with(rule), vec![(0, long.clone())], 16 * 60);
    assert!(book.last(&long).incident.is_some(), "it has lasted");
}

#[test]
fn what_comes_and_goes_opens_nothing_more_until_it_stays_also_after_a_start_anew() {
    let settings =
        "quiet_s = 10\nreopen_min = 1\n[flap]\nepisodes = 3\nwindow_min = 60\nstable_min = 10";
    let mut c = with(settings);
    let mut book = Book::default();
    let episode = |i: i64| alert("orders", "HighErrorRate", "critical", 400 * i);
    for i in 0..3 {
        c.take(&episode(i), at(400 * i));
        for s in 1..7 {
            book.keep(c.decide(at(400 * i + 10 * s)));
        }
        assert_eq!(book.last(&episode(i)).incident.is_some(), i < 2, "episode {i}");
        c.take(&ended(episode(i), 400 * i + 100), at(400 * i + 100));
        for s in 10..20 {
            book.keep(c.decide(at(400 * i + 10 * s)));
        }
    }
    // A start anew recalls when it began.
    let mut again = with(settings);
    again.recall(&[episode(0), episode(1), episode(2)].map(|a| ended(a, 1_000)));
    let fourth = episode(3);
    let book = play(&mut again, vec![(1_200, fourth.clone())], 1_790);
    let (by, reason) = held(&book, &fourth);
    assert_eq!(by, "flap");
    assert!(reason.contains("begun 4 times within 60 min"), "{reason}");
    let after = again.decide(at(1_801));
    assert_eq!(after.incidents.len(), 1, "it stays");
}

#[test]
fn a_learned_rule_holds_what_detection_marked_while_it_stands_and_company_breaks_it() {
    let id = HarmlessId::derive(at(0), &["a test"]);
    let kim =
        Actor { via: "token".into(), id: "kim".into(), name: "kim".into(), role: Role::Approver };
    let scope = HarmlessScope {
        entity: EntityRef::service("pricing"),
        name: "HighErrorRate".into(),
        most: Severity::Critical,
        hours: None,
    };
    let rule = Harmless {
        id,
        at: at(-90_000),
        scope,
        state: HarmlessState::Applied,
        since: at(-10),
        title: "HighErrorRate on pricing opens no incident.".into(),
        why: String::new(),
        judged: Vec::new(),
        n_dismissed: 3,
        kept: Vec::new(),
        n_kept: 0,
        counted_until: at(-10),
        followed: Vec::new(),
        holds_days: 28,
        n_confirmed: 1,
        decided: Some(TuningDeed { by: kim, at: at(-10), reason: "known".into() }),
        until: Some(at(600)),
        taken_back: None,
    };
    let mut marked = alert("pricing", "HighErrorRate", "critical", 0);
    marked.annotations.set(HARMLESS, id.to_string());
    let fresh = || {
        let mut c = correlator();
        c.learn_harmless(vec![rule.clone()]);
        c
    };
    let mut c = fresh();
    let book = play(&mut c, vec![(1, marked.clone())], 590);
    let (by, reason) = held(&book, &marked);
    assert_eq!(by, format!("learned {id}"));
    assert!(reason.contains("Confirmed harmless by kim"), "{reason}");
    assert_eq!(c.decide(at(601)).incidents.len(), 1, "it has lapsed");

    let mut c = fresh();
    play(&mut c, vec![(1, marked.clone())], 100);
    c.learn_harmless(Vec::new());
    assert_eq!(c.decide(at(105)).incidents.len(), 1, "it was lifted");

    let above = alert("cart", "HighErrorRate", "critical", 3);
    let book = play(&mut fresh(), vec![(1, marked.clone()), (4, above.clone())], 100);
    assert_eq!(book.last(&marked).incident, book.last(&above).incident, "related trouble takes it");
    assert!(book.last(&marked).incident.is_some());
}
