//! What opens an incident at once, what waits for company, and what waits all the same.

use super::*;

/// What was decided about an alert, in order.
fn said<'a>(book: &'a Book, alert: &Alert) -> Vec<&'a str> {
    let all = book.verdicts.iter().filter(|v| v.alert == alert.id && v.witness.is_none());
    all.map(|v| v.decision.as_str()).collect()
}

fn ours(service: &str, name: &str, severity: &str, onset: i64) -> Alert {
    let mut made = alert(service, name, severity, onset);
    made.source = AlertSource::Detector { detector: "seasonal/1".into() };
    made
}

fn deploy(service: &str) -> Change {
    serde_json::from_value(serde_json::json!({
        "id": ChangeId::derive(t0(), &[service]), "kind": "deploy",
        "entity": format!("service.name={service}"), "at": t0(), "title": "deploy 2.0.1",
        "version": null, "previous": null, "author": null, "url": null, "source": "test",
        "status": "success", "attributes": {}
    }))
    .expect("a change")
}

#[test]
fn what_is_urgent_opens_at_its_first_decision_and_what_is_not_waits() {
    // Seconds until it opens, and the reason that is told.
    let cases = [
        (alert("orders", "HighErrorRate", "critical", 0), 0, "it is critical"),
        (alert("frontend", "HighErrorRate", "warning", 0), 0, "it would be a page by itself"),
        (alert("shipping", "HighErrorRate", "warning", 0), 20, ""),
        (ours("shipping", "DurationLatency", "warning", 0), 20, ""),
        (ours("shipping", "DurationLatency", "critical", 0), 0, "it is critical"),
    ];
    for (told, opens, why) in cases {
        let book = play(&mut correlator(), vec![(0, told.clone())], 60);
        let [incident] = book.standing().try_into().expect("one incident");
        assert_eq!(incident.opened_at, at(opens), "{:?}", told.labels);
        let decided = said(&book, &told);
        let last = decided.last().expect("decided");
        let swift = format!("related to it. It did not wait 20 s for others: {why}.");
        assert_eq!(last.ends_with(&swift), opens == 0, "{decided:?}");
        let waited = decided[0] == "Waits 20 s for related alerts.";
        assert_eq!(waited, opens > 0, "{decided:?}");
    }
}

#[test]
fn a_second_related_alert_confirms_a_warning_at_once() {
    let (cause, felt) = (
        ours("inventory", "DurationLatency", "warning", 0),
        ours("orders", "DurationLatency", "warning", 5),
    );
    let book = play(&mut correlator(), vec![(0, cause.clone()), (10, felt.clone())], 60);
    let [incident] = book.standing().try_into().expect("one incident");
    assert_eq!((incident.opened_at, incident.alerts.len()), (at(10), 2), "{:?}", book.entries);
    assert!(said(&book, &cause).last().expect("decided").contains("a related alert confirms it"));
    // What keeps one of them quiet keeps it quiet in haste too.
    let weak = ours("inventory", "Memory", "warning", 0);
    let book = play(&mut correlator(), vec![(0, weak.clone())], 60);
    assert!(book.incidents.is_empty());
    assert_eq!(said(&book, &weak).len(), 2, "it waits for company, and then because it is weak");
}

#[test]
fn beside_an_incident_just_opened_a_common_cause_is_waited_for() {
    let (one, other) = (
        alert("users", "HighErrorRate", "critical", 0),
        alert("payments", "HighErrorRate", "critical", 2),
    );
    let cause = alert("auth", "HighErrorRate", "critical", -10);
    let told = vec![(0, one.clone()), (5, other.clone()), (20, cause.clone())];
    let book = play(&mut correlator(), told, 120);
    assert_eq!(book.incidents.len(), 1, "one card for all: {:?}", book.entries);
    let waits = "Waits 20 s for related alerts: an incident of users was opened just before, and \
                 auth may be what troubles both.";
    assert_eq!(said(&book, &other)[0], waits);
    // With nothing below both, the second is as urgent as the first.
    let apart = alert("notifications", "HighErrorRate", "critical", 2);
    let book = play(&mut correlator(), vec![(0, one), (5, apart)], 10);
    assert_eq!(book.standing().len(), 2, "{:?}", book.entries);
}

#[test]
fn a_cascade_that_is_felt_before_its_cause_is_told_opens_one_card() {
    let felt = ["users", "cart", "orders", "payments", "checkout"];
    let mut told: Vec<_> = (0..)
        .step_by(3)
        .zip(felt)
        .map(|(n, service)| (n, alert(service, "HighErrorRate", "critical", n)))
        .collect();
    told.push((17, alert("auth", "HighErrorRate", "critical", -20)));
    let book = play(&mut correlator(), told, 200);
    assert_eq!(book.incidents.len(), 1, "{:?}", book.entries);
    assert_eq!(book.standing()[0].opened_at, at(0));
    assert_eq!(book.standing()[0].alerts.len(), 6);
    // Where nothing is known of who calls whom, waiting would connect nothing.
    let apart = (0..8).map(|n| (0, alert(&format!("service-{n}"), "Wrong", "critical", 60 * n)));
    let mut c = Correlator::new(Config::default());
    assert_eq!(play(&mut c, apart.collect(), 0).standing().len(), 8);
}

#[test]
fn a_critical_rule_of_another_system_is_not_held_for_a_deploy_and_says_so() {
    // Who tells it, how bad, and after how many seconds it opens.
    let cases = [(true, "critical", 240), (false, "warning", 240), (false, "critical", 60)];
    for (own, severity, opens) in cases {
        let make = if own { ours } else { alert };
        let told = make("inventory", "HighLatency", severity, 30);
        let mut c = correlator();
        c.learn(shop(), vec![deploy("inventory")], Vec::new());
        let book = play(&mut c, vec![(60, told.clone())], 300);
        let [incident] = book.standing().try_into().expect("one incident");
        assert_eq!(incident.opened_at, at(opens), "{own} {severity}");
        let decided = said(&book, &told);
        if opens == 60 {
            let end = "\"deploy 2.0.1\" changed inventory 30 s before; a critical alert of another \
                       system is not held for that.";
            assert!(decided[0].ends_with(end), "{decided:?}");
        } else {
            assert!(decided.iter().any(|s| s.starts_with("Held until 03:04:00")), "{decided:?}");
            let rises = decided.iter().any(|s| s.contains("or once it is critical"));
            assert_eq!(rises, !own, "{decided:?}");
        }
    }
}

#[test]
fn what_is_kept_quiet_confirms_nothing() {
    let cause = ours("inventory", "DurationLatency", "warning", 0);
    let felt = ours("orders", "DurationLatency", "warning", 5);
    let silence = |maintenance: bool| {
        let made = serde_json::json!({
            "id": SilenceId::derive(t0(), &["orders"]), "matchers": ["service=orders"],
            "starts_at": t0(), "ends_at": at(3_600), "author": Actor::nightjar(),
            "reason": "index rebuild", "maintenance": maintenance,
        });
        vec![serde_json::from_value::<Silence>(made).expect("a silence")]
    };
    let inhibits: Config = toml::from_str(
        "[[inhibit]]\nname = \"move\"\nsource = [\"alertname=Moving\"]\ntarget = [\"service=orders\"]",
    )
    .expect("valid");
    let cases = [
        (Config::default(), silence(false)),
        (Config::default(), silence(true)),
        (inhibits, Vec::new()),
    ];
    for (config, silences) in cases {
        let mut c = Correlator::new(config);
        c.learn(shop(), Vec::new(), silences);
        // What inhibits is of a place that has nothing to do with either.
        let source = alert("notifications", "Moving", "info", 0);
        let told = vec![(0, source), (0, cause.clone()), (10, felt.clone())];
        let book = play(&mut c, told, 60);
        let [incident] = book.standing().try_into().expect("one incident");
        assert_eq!((incident.opened_at, incident.alerts.len()), (at(20), 1), "{:?}", book.entries);
        assert!(book.last(&felt).suppressed.is_some(), "{:?}", book.last(&felt));
    }
}

#[test]
fn a_graph_that_is_learned_anew_meanwhile_leads_to_no_second_card() {
    let (one, other) = (
        alert("users", "HighErrorRate", "critical", 0),
        alert("payments", "HighErrorRate", "critical", 2),
    );
    let cause = alert("auth", "HighErrorRate", "critical", -10);
    let mut c = correlator();
    let mut book = Book::default();
    c.take(&one, at(0));
    book.keep(c.decide(at(0)));
    let mut graph = shop();
    graph.add(EntityRef::service("images"), EntityRef::service("mail"), EdgeKind::Calls);
    c.learn(graph, Vec::new(), Vec::new());
    c.take(&other, at(5));
    book.keep(c.decide(at(5)));
    assert!(said(&book, &other)[0].contains("auth may be what troubles both"), "{book:?}");
    c.take(&cause, at(15));
    for now in (15..=120).step_by(5) {
        book.keep(c.decide(at(now)));
    }
    assert_eq!(book.incidents.len(), 1, "one card for all: {:?}", book.entries);
}

#[test]
fn among_hundreds_of_open_alerts_only_what_is_urgent_is_looked_at_soon() {
    let mut c = Correlator::new(Config::default());
    let many = (0..300).map(|n| (0, alert(&format!("open-{n}"), "Wrong", "warning", -3 * n)));
    let mut book = play(&mut c, many.collect(), 300);
    assert!(book.standing().len() > 200, "{}", book.standing().len());
    // Something came and was looked at just before, so the next look among so many is 15 s away.
    let urgent = |name: &str| alert(name, "Down", "critical", 310);
    c.take(&alert("other", "Wrong", "warning", 303), at(303));
    book.keep(c.decide(at(303)));
    let (first, second) = (urgent("first"), urgent("second"));
    c.take(&first, at(310));
    book.keep(c.decide(at(310)));
    c.take(&second, at(310));
    book.keep(c.decide(at(310)));
    assert_eq!(c.next_look(), Some(at(311)), "it was looked at this very second");
    book.keep(c.decide(at(311)));
    assert_eq!(c.next_look(), None);
    for (urgent, opens) in [(first, 310), (second, 311)] {
        let found = book.incidents.values().find(|i| i.alerts.contains(&urgent.id));
        assert_eq!(found.expect("it opened one").opened_at, at(opens));
    }
}

#[tokio::test]
async fn what_is_heard_is_decided_on_a_moment_later_without_a_tick() {
    use crate::stage::Stage as _;
    let folder = tempfile::tempdir().expect("a folder");
    let store = crate::store::Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
    let clock = crate::model::clock::ManualClock::new(at(0));
    let bus = crate::bus::Bus::default();
    let mut stage = Correlate::new(Config::default(), store.clone(), bus, clock.clone());
    stage.sweep().await.expect("sweeps");
    assert_eq!(stage.wakes(), None, "nothing was heard");
    clock.set(at(5));
    let urgent = alert("orders", "HighErrorRate", "critical", 4);
    let (id, put) = (urgent.id, urgent.clone());
    store.write(move |tx| tx.put(&put)).await.expect("writes");
    stage.handle(crate::bus::Event::Alert(id)).await.expect("hears");
    let first = stage.wakes().expect("it wants to be woken");
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    stage.handle(crate::bus::Event::Alert(id)).await.expect("hears");
    let newest = stage.wakes().expect("it wants to be woken");
    assert!(newest > first, "it waits for what comes with it");
    let n_open = async || {
        let all = crate::store::Filter::all();
        store.read(move |r| Ok(r.list::<Incident>(&all)?.len())).await.expect("reads")
    };
    assert_eq!(n_open().await, 0, "more of it may be on its way");
    stage.wake().await.expect("decides");
    assert_eq!(n_open().await, 1);
}

#[tokio::test]
async fn what_no_bell_told_of_is_read_when_the_rest_of_the_sweep_is_over() {
    use crate::stage::Stage as _;
    let folder = tempfile::tempdir().expect("a folder");
    let store = crate::store::Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
    let clock = crate::model::clock::ManualClock::new(at(5));
    let bus = crate::bus::Bus::default();
    let mut stage = Correlate::new(Config::default(), store.clone(), bus, clock);
    let rest = tokio::time::Instant::now() + std::time::Duration::from_secs(600);
    // After a start all is read, whatever there is to rest from.
    stage.read_again = rest;
    let put = async |onset: i64| {
        let told = alert("orders", &format!("Errors{onset}"), "critical", onset);
        let id = told.id;
        store.write(move |tx| tx.put(&told)).await.expect("writes");
        id
    };
    let first = put(1).await;
    stage.sweep().await.expect("sweeps");
    assert_eq!(stage.correlator.believed_firing(), [first]);
    let second = put(2).await;
    stage.read_again = rest;
    stage.sweep().await.expect("sweeps");
    assert_eq!(stage.correlator.believed_firing(), [first], "it rests");
    stage.read_again = tokio::time::Instant::now();
    stage.sweep().await.expect("sweeps");
    let mut firing = stage.correlator.believed_firing();
    firing.sort();
    let mut both = vec![first, second];
    both.sort();
    assert_eq!(firing, both);
}

#[test]
fn what_was_changed_itself_is_tolerated_by_its_own_change_and_not_by_one_that_names_it() {
    let own = deploy("inventory");
    let mut named = deploy("platform");
    named.title = "config 7".into();
    named.attributes.set("service", "inventory");
    let blip = ours("inventory", "DurationLatency", "critical", 30);
    let full = i64::from(Config::default().deploy_tolerance_s);
    let held = |changes: Vec<Change>| {
        let mut c = correlator();
        c.learn(shop(), changes, Vec::new());
        let book = play(&mut c, vec![(30, blip.clone())], 60);
        let why = book.last(&blip).suppressed.clone().expect("kept quiet");
        (why.until, why.reason.contains("\"deploy 2.0.1\" changed inventory 30 s before"))
    };
    // Whichever was told first.
    assert_eq!(held(vec![named.clone(), own.clone()]), (Some(at(full)), true));
    assert_eq!(held(vec![own, named.clone()]), (Some(at(full)), true));
    assert_eq!(held(vec![named]), (Some(at(full / 2)), false), "the other alone, half as long");
}
