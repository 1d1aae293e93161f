//! Who may follow, on hand-made incidents; the measuring of what is told is in `calibration`.

mod calibration;

use std::sync::Arc;

use super::history::Earlier;
use super::*;
use crate::diagnose::calls::Calls;
use crate::diagnose::tests::{at, chain, service};
use crate::model::time::MINUTE_MS;
use crate::model::topology::EdgeKind;
use crate::store::EdgeStats;

/// An earlier incident: who was in trouble from which second until which.
fn earlier(troubles: &[(&str, i64, i64)]) -> Arc<Earlier> {
    let one = |(name, from, until): &(&str, i64, i64)| (service(name), (at(*from), at(*until)));
    Arc::new(Earlier { troubles: troubles.iter().map(one).collect(), ..Earlier::default() })
}

/// `web` followed `shop` four of six times, after 2, 3, 3 and 6 minutes.
fn history() -> History {
    let hour = |shop: &[(&str, i64, i64)]| earlier(shop);
    let followed = |s: i64| hour(&[("shop", 0, 3_600), ("web", s, 3_600)]);
    let spared = || hour(&[("shop", 0, 3_600)]);
    History {
        all: vec![followed(120), followed(180), spared(), followed(180), followed(360), spared()],
        ..History::default()
    }
}

fn flows(edges: &[(&str, &str, u64)], hurt: Option<(&str, &str, u64)>) -> Flows {
    let stats = |(from, to, n): &(&str, &str, u64)| EdgeStats {
        from: service(from),
        to: service(to),
        n: *n,
        n_failed: 0,
        mean_ms: 10.0,
        max_ms: 20.0,
    };
    let calls = hurt.map(|(from, to, n_failed)| {
        let calls = Calls {
            n: 100,
            n_failed,
            mean_ms: 10.0,
            n_before: 100,
            n_failed_before: 0,
            mean_before_ms: 10.0,
        };
        ((service(from), service(to)), calls)
    });
    Flows::of(edges.iter().map(stats), calls.into_iter().collect())
}

/// What is told at `now` (seconds) of who depends on `shop`, in trouble since 0 with `more`.
fn told(graph: &Graph, known: &Known, more: &[(&str, i64)], now: i64) -> Vec<Follower> {
    let cause = service("shop");
    let mut troubled: BTreeMap<EntityRef, Time> = [(cause.clone(), at(0))].into();
    troubled.extend(more.iter().map(|(name, s)| (service(name), at(*s))));
    let hops = reached(graph, &cause, |e| troubled.contains_key(e));
    let scene = Scene { graph, cause: &cause, troubled: &troubled, known, now: at(now) };
    let mut found = followers(&scene, &hops);
    for f in &mut found {
        f.text = words::sentence(f);
    }
    found
}

#[test]
fn a_caller_is_told_by_how_often_and_how_fast_it_followed_and_less_likely_with_time() {
    let known = Known { history: history(), flows: Flows::default(), ..Known::default() };
    let text = |now: i64| told(&chain(), &known, &[], now).remove(0).text;
    let thread = |now: i64| words::likely(&told(&chain(), &known, &[], now));
    let next = "Likely to follow if it goes on: web (65 %, about 03:03 UTC).";
    assert_eq!((thread(30).as_deref(), thread(180)), (Some(next), None));
    insta::assert_snapshot!([30, 180, 1_380].map(text).join("\n"), @"
    web may follow shop: 65 % (it did 4 of 6 times), usually 3 min after it (74 s to 7 min), about 03:03 UTC.
    web may follow shop: 49 % (it did 4 of 6 times; 66 % at first), usually 3 min after it (74 s to 7 min), about 03:04 UTC.
    web may follow shop: 1 % (it did 4 of 6 times; 66 % at first); usually 3 min after it (74 s to 7 min), it would have followed by now.
    ");
}

#[test]
fn what_follows_half_a_day_later_is_told_with_its_day() {
    let day = |s: i64| earlier(&[("shop", 0, 172_800), ("web", s, 172_800)]);
    let all = |s: i64| vec![day(s), day(s + 600), day(s + 1_200), day(s + 1_800)];
    let found = |s: i64| {
        let history = History { all: all(s), ..History::default() };
        told(&chain(), &Known { history, ..Known::default() }, &[], 30).remove(0)
    };
    let far = found(20 * 3_600);
    let about = format!("about {}", far.expected_at.expect("it is known").minute_text());
    assert!(about.starts_with("about 2026-") && about.ends_with(" UTC"), "{about}");
    assert!(far.text.ends_with(&format!(", {about}.")), "{}", far.text);
    let likely = words::likely(std::slice::from_ref(&far)).expect("it is likely");
    assert!(likely.ends_with(&format!(", {about}).")), "{likely}");
    // What follows within hours is told by the clock.
    let near = found(2 * 3_600);
    let clock = near.expected_at.expect("it is known").clock_text();
    assert!(near.text.ends_with(&format!(", about {} UTC.", &clock[..5])), "{}", near.text);
}

#[test]
fn by_calls_alone_it_is_told_as_far_as_they_go_and_else_not_known() {
    let edges = [("web", "shop", 40), ("web", "other", 60), ("top", "web", 100)];
    let flows = flows(&edges, Some(("web", "shop", 50)));
    let known = Known { history: History::default(), flows, ..Known::default() };
    let mut graph = chain();
    graph.add(service("top"), service("web"), EdgeKind::Calls);
    graph.add(service("mail"), service("shop"), EdgeKind::Calls);
    let found = told(&graph, &known, &[], 60);
    let lines: Vec<&str> = found.iter().map(|f| f.text.as_str()).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    web may follow shop: 75 % (40 % of its requests call it, 50 % of these calls are worse than before); when is not known.
    top may follow web: 56 % (100 % of its requests call it), if web does; when is not known.
    mail may follow shop; how likely is not known.
    ");
    assert_eq!(found[0].hurt_ratio, Some(0.5));
    assert_eq!(found[2].chance, None);
    insta::assert_snapshot!(words::told(&found, 3).join("\n"), @"
    web may follow shop: 75 % (40 % of its requests call it, 50 % of these calls are worse than before); when is not known.
    top may follow web: 56 % (100 % of its requests call it), if web does; when is not known.
    mail and 3 others depend on the likely cause and show no trouble yet; how likely they are to follow is not known.
    ");
}

#[test]
fn every_hop_multiplies_and_one_in_trouble_is_no_hop() {
    let mut graph = chain();
    for (from, to) in [("top", "web"), ("edge", "top"), ("far", "edge")] {
        graph.add(service(from), service(to), EdgeKind::Calls);
    }
    let whole = |top: i64| earlier(&[("shop", 0, 3_600), ("web", 60, 3_600), ("top", top, 3_600)]);
    let part = || earlier(&[("shop", 0, 3_600), ("web", 60, 3_600)]);
    let all = vec![whole(120), part(), whole(180), part()];
    let known = Known {
        history: History { all, ..History::default() },
        flows: Flows::default(),
        ..Known::default()
    };
    // Seen four times after the cause itself: that counts, not the product.
    let found = told(&graph, &known, &[], 0);
    let of = |found: &[Follower], name: &str| {
        found.iter().find(|f| f.entity.name() == name).expect("reached").clone()
    };
    let top = of(&found, "top");
    assert_eq!((top.through.name(), top.n_followed, top.n_times, top.n_hops), ("shop", 2, 4, 2));
    let web = of(&found, "web").chance.expect("known").mean;
    assert!(web > 0.8 && top.chance.expect("known").mean < 0.6, "{web} {top:?}");
    // Where there is less to go by, chances are multiplied.
    let all = vec![whole(120), part()];
    let few = Known {
        history: History { all, ..History::default() },
        flows: Flows::default(),
        ..Known::default()
    };
    let found = told(&graph, &few, &[], 0);
    let (web, top) = (of(&found, "web"), of(&found, "top"));
    assert_eq!((top.through.name(), top.since), ("web", None));
    let product = web.chance.expect("known").mean * 0.5;
    assert!((top.chance.expect("known").mean - product).abs() < 0.05, "{product} {top:?}");
    assert!(top.expected_at > web.expected_at);
    // Three hops past those in trouble, whoever is in trouble on the way.
    let names = |found: &[Follower]| found.iter().map(|f| f.entity.name().to_owned()).collect();
    let found: BTreeSet<String> = names(&told(&graph, &few, &[], 0));
    assert_eq!(found, ["web", "top", "edge"].map(str::to_owned).into());
    let found: BTreeSet<String> = names(&told(&graph, &few, &[("web", 60)], 90));
    assert_eq!(found, ["top", "edge", "far"].map(str::to_owned).into());
}

#[test]
fn without_earlier_lags_those_of_this_incident_tell_how_fast_it_spreads() {
    let mut graph = chain();
    graph.add(service("top"), service("web"), EdgeKind::Calls);
    let flows = flows(&[("top", "web", 100)], Some(("top", "web", 40)));
    let known = Known { history: History::default(), flows, ..Known::default() };
    let found = told(&graph, &known, &[("web", 120)], 150);
    let lag = found[0].lag.as_ref().expect("it spread once");
    assert_eq!((lag.basis, lag.median_ms, lag.n), (LagBasis::Spread, 2 * MINUTE_MS, 1));
    insta::assert_snapshot!(found[0].text, @"
    top may follow web: 73 % (100 % of its requests call it, 40 % of these calls are worse than before), as fast as it spread so far 2 min after it (30 s to 7 min), about 03:04 UTC.
    ");
}

#[test]
fn users_and_business_are_told_where_numbers_back_them() {
    let mut one = Earlier::clone(&earlier(&[("shop", 0, 3_600), ("web", 120, 3_600)]));
    let text = "orders of shop fell 12 min after shop p99 rose; correlation −0.80";
    one.business.push(("impact a b".into(), text.into()));
    let mut known = Known { history: history(), flows: Flows::default(), ..Known::default() };
    known.history.all.insert(0, Arc::new(one));
    let (cause, graph) = (service("shop"), chain());
    let troubled: BTreeMap<EntityRef, Time> = [(cause.clone(), at(0))].into();
    let scene =
        Scene { graph: &graph, cause: &cause, troubled: &troubled, known: &known, now: at(30) };
    let hops = reached(&graph, &cause, |e| troubled.contains_key(e));
    let face =
        Face { entity: service("web"), errors: None, rate: Some((50.0, 48.0)), duration: None };
    let mut reach = Reach::default();
    tell(&mut reach, &scene, &hops, &[face]);
    insta::assert_snapshot!(reach.forecasts.join("\n"), @"
    web may follow shop: 70 % (it did 5 of 7 times), usually 3 min after it (79 s to 6 min), about 03:03 UTC.
    By these chances 34 of the 48 requests/s of users at web would be touched besides (24 to 42).
    orders of shop followed in 1 of 7 earlier incidents with shop in trouble; the last time it fell 12 min after shop p99 rose.
    ");
    let because = "after shop: it did 5 of 7 times; usually 3 min after it (79 s to 6 min)";
    assert_eq!(reach.followers[0].because, because);
    let all = reach.requests_ahead.expect("measured");
    assert!(all.low < all.mean && all.mean < all.high && all.high <= 48.0);
    // What was told already of this incident is not told again.
    let mut again = Reach { business: vec![text.into()], ..Reach::default() };
    tell(&mut again, &scene, &hops, &[]);
    assert!(again.requests_ahead.is_none());
    assert!(!again.forecasts.iter().any(|t| t.contains("orders")));
}

#[test]
fn a_large_graph_and_a_long_history_are_bounded() {
    let mut graph = Graph::default();
    let name = |i: usize| format!("s{i:04}");
    for i in 1..5_000 {
        for from in [i / 2, i / 3 + 1] {
            graph.add(service(&name(i)), service(&name(from.min(i - 1))), EdgeKind::Calls);
        }
    }
    let all = (0..300).map(|n| {
        let troubled = (0..200).map(|i| (service(&name(i * (1 + n % 7))), (at(0), at(600))));
        Arc::new(Earlier { troubles: troubled.collect(), ..Earlier::default() })
    });
    let known = Known {
        history: History { all: all.collect(), ..History::default() },
        flows: Flows::default(),
        ..Known::default()
    };
    let cause = service(&name(0));
    let troubled: BTreeMap<EntityRef, Time> =
        (0..1_000).map(|i| (service(&name(i)), at(i as i64))).collect();
    let scene =
        Scene { graph: &graph, cause: &cause, troubled: &troubled, known: &known, now: at(60) };
    let hops = reached(&graph, &cause, |e| troubled.contains_key(e));
    assert_eq!(hops.len(), MOST_REACHED);
    let found = followers(&scene, &hops);
    assert_eq!(found.len(), MOST_KEPT);
    assert_eq!(found, followers(&scene, &hops), "the same again");
    let within = |f: &Follower| f.chance.is_none_or(|c| (0.01..=0.99).contains(&c.mean));
    assert!(found.iter().all(within));
}
