//! What a provider reports of itself: a witness that what is outside is the cause, before and, as
//! providers report late, after the onset.

use super::*;
use crate::telemetry::changes::{PlainHeaders, Seen, decode_plain, sign};

/// What comes of a signed delivery to `/hooks/deploy` that tells of a provider's event.
pub(super) fn told(entity: &str, seconds: i64) -> Change {
    let body = format!(
        r#"{{"kind":"provider","entity":"{entity}","title":"Elevated API errors","at":"{}"}}"#,
        at(seconds)
    );
    let now = at(7_200);
    let stamp = (now.ms() / 1_000).to_string();
    let signature = sign(b"fake", &[stamp.as_bytes(), b".", body.as_bytes()]);
    let headers = PlainHeaders { timestamp: Some(&stamp), signature: Some(&signature) };
    let batch = decode_plain(headers, body.as_bytes(), (now, now), b"fake", &Seen::default());
    batch.expect("is taken").changes.remove(0)
}

fn outside() -> EntityRef {
    EntityRef::new("server.address", "api.example.com")
}

/// `pay`, which calls an address outside, fails, and `shop` above it; `mail` calls another address.
fn scene(changes: Vec<Change>) -> Input {
    use Indicator::{Duration, Errors};
    let mut calls = graph(&[("web", "shop"), ("shop", "pay"), ("shop", "mail")], &[]);
    calls.add(service("pay"), outside(), EdgeKind::Calls);
    calls.add(
        service("mail"),
        EntityRef::new("server.address", "smtp.example.net"),
        EdgeKind::Calls,
    );
    let alerts = vec![
        alert(&service("pay"), Errors, 80.0, 0),
        alert(&service("pay"), Duration, 40.0, 10),
        alert(&service("shop"), Errors, 60.0, 20),
    ];
    input(calls, alerts, changes)
}

#[test]
fn its_report_makes_what_is_outside_the_first_suspect() {
    let without = rank(&scene(Vec::new()));
    assert_eq!(without.hypotheses[0].entity, service("pay"));
    let score = |ranked: &Ranked| {
        let found = ranked.hypotheses.iter().find(|h| h.entity == outside());
        found.map_or(0.0, |h| h.confidence)
    };
    // Before the onset, at it, and half an hour after: providers report late.
    for seconds in [-1_200, -60, 1_800] {
        let event = told("server.address=api.example.com", seconds);
        let ranked = rank(&scene(vec![event.clone()]));
        let best = &ranked.hypotheses[0];
        assert_eq!((&best.entity, best.change), (&outside(), Some(event.id)), "{seconds}");
        assert!(ranked.conclusive && best.confidence > score(&without) + 0.3, "{ranked:?}");
        assert_eq!(best.pattern, "dependency", "nothing that a rollback is for");
        assert_eq!(
            best.statement,
            "api.example.com: its provider reports \"Elevated API errors\", since 03:00:00 UTC."
        );
        let reason = best.parts.iter().find(|p| p.name == "change").expect("has that part");
        assert!(reason.why.contains("its provider reports \"Elevated API errors\""));
        assert!(ranked.changes.iter().any(|c| c.id == event.id));
        let way: Vec<&str> = best.impact_chain.iter().map(EntityRef::name).collect();
        assert_eq!(way, ["api.example.com", "pay"]);
    }
}

#[test]
fn what_was_over_before_the_onset_says_the_less_the_longer_it_was() {
    let weight = |ended: Option<i64>| {
        let mut event = told("server.address=api.example.com", -1_200);
        if let Some(seconds) = ended {
            event.attributes.set(Change::ENDED_AT, at(seconds).to_string());
        }
        let ranked = rank(&scene(vec![event]));
        let of = ranked.hypotheses.into_iter().find(|h| h.entity == outside());
        let part = of.and_then(|h| h.parts.into_iter().find(|p| p.name == "change"));
        part.map_or((0.0, String::new()), |p| (p.contribution, p.why))
    };
    let (goes_on, said) = weight(None);
    assert!(goes_on > 0.0 && said.ends_with("before the onset"), "{goes_on} {said}");
    assert_eq!(weight(Some(600)), (goes_on, said), "it ended with the trouble");
    let (over, said) = weight(Some(-180));
    // Half for every quarter of an hour.
    assert!((over - goes_on * 0.5_f64.powf(0.2)).abs() < 1e-9, "{over} of {goes_on}");
    assert!(said.ends_with("before the onset, and that it was over 3 min before it"), "{said}");
    assert_eq!(weight(Some(-1_100)).0, 0.0, "over for long, it makes what is outside no suspect");
}

#[test]
fn it_counts_for_nothing_long_after_elsewhere_or_where_calls_go_on_as_ever() {
    let late = told("server.address=api.example.com", 2 * 3_600);
    let ranked = rank(&scene(vec![late]));
    assert!(ranked.hypotheses.iter().all(|h| h.change.is_none()), "{ranked:?}");
    // Whoever calls the other address is well.
    let elsewhere = told("server.address=smtp.example.net", -60);
    assert_eq!(rank(&scene(vec![elsewhere])).hypotheses[0].entity, service("pay"));
    let near = told("server.address=api.example.com", -60);
    let mut usual = scene(vec![near.clone()]);
    usual.calls.insert((service("pay"), outside()), calls(30.0, 30.0, 0));
    assert_eq!(rank(&usual).hypotheses[0].entity, service("pay"));
    // What is measured here and well is believed before the report.
    let mut well = scene(vec![near.clone()]);
    well.measured = [outside()].into();
    let confidence = |input: &Input| {
        let ranked = rank(input);
        ranked.hypotheses.iter().find(|h| h.entity == outside()).map_or(0.0, |h| h.confidence)
    };
    assert!(confidence(&well) + 0.3 < confidence(&scene(vec![near.clone()])));
    // A deploy of the caller right before leaves it open which of the two it was.
    let deploy = change(&service("pay"), ChangeKind::Deploy, -60);
    let both = rank(&scene(vec![near, deploy]));
    assert!(both.hypotheses.iter().take(2).all(|h| h.change.is_some()), "{both:?}");
}
