//! Phrasings of people on call, sloppy ones included: what each asks for, about what, and when.

use super::Intent as I;
use super::*;
use proptest::prelude::*;

fn known() -> Vec<EntityRef> {
    let services = [
        "frontend",
        "checkout",
        "cart",
        "catalog",
        "search",
        "recommendations",
        "orders",
        "payments",
        "auth",
        "users",
        "inventory",
        "shipping",
        "notifications",
        "pricing",
        "orders-db",
        "auth-db",
        "catalog-db",
    ];
    let nodes = ["node-1", "node-2", "node-3", "node-4"];
    services.map(EntityRef::service).into_iter().chain(nodes.map(EntityRef::host)).collect()
}

/// A Saturday.
fn now() -> Time {
    Time::parse("2026-11-21T15:00:00Z").expect("valid")
}

fn plan(text: &str) -> Plan {
    understand(text, &known(), now(), &TimeZone::UTC)
}

/// Each row: the words, the intent, the entities in order, the range as `DDTHH:MM..DDTHH:MM`.
fn check(rows: &[(&str, Intent, &str, &str)]) {
    let mut wrong = Vec::new();
    for (text, intent, entities, range) in rows {
        let plan = plan(text);
        let names: Vec<&str> = plan.entities.iter().map(|e| e.name()).collect();
        let short = |t: Time| t.to_string()[8..16].to_owned();
        let got = plan.range.map(|r| format!("{}..{}", short(r.since), short(r.until)));
        let got = got.unwrap_or_default();
        if plan.intent != *intent || names.join(",") != *entities || got != *range {
            wrong.push(format!("{text}: {:?} [{}] {got}", plan.intent, names.join(",")));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn status_and_health() {
    check(&[
        ("status", I::Status, "", ""),
        ("stauts", I::Status, "", ""),
        ("what is broken?", I::Status, "", ""),
        ("whats broken rn", I::Status, "", ""),
        ("What's going on", I::Status, "", ""),
        ("wats goin on", I::Status, "", ""),
        ("is anything wrong right now", I::Status, "", ""),
        ("is everything ok?", I::Status, "", ""),
        ("anything on fire", I::Status, "", ""),
        ("any open incidents", I::Status, "", ""),
        ("sitrep pls", I::Status, "", ""),
        ("#12", I::Status, "", ""),
        ("incident 12", I::Status, "", ""),
        ("is search healthy", I::Health, "search", ""),
        ("is the payment service up", I::Health, "payments", ""),
        ("how is chekout doing", I::Health, "checkout", ""),
        ("hows orders db", I::Health, "orders-db", ""),
        ("status of inventory", I::Health, "inventory", ""),
        ("recommendation", I::Health, "recommendations", ""),
        ("node 2 ok?", I::Health, "node-2", ""),
        ("has auth recovered", I::Health, "auth", ""),
    ]);
}

#[test]
fn why() {
    check(&[
        ("why is checkout slow", I::Why, "checkout", ""),
        ("why is order failing?", I::Why, "orders", ""),
        ("why is chekout slow", I::Why, "checkout", ""),
        ("y is check out so slow", I::Why, "checkout", ""),
        ("hwy is serach slow", I::Why, "search", ""),
        ("why are the orders database connections exhausted", I::Why, "orders-db", ""),
        ("why did auth db go down at 14:10", I::Why, "auth-db", "21T13:40..21T14:40"),
        ("why was payments failing last night", I::Why, "payments", "20T18:00..21T06:00"),
        ("root cause of this", I::Why, "", ""),
        ("whats the root casue", I::Why, "", ""),
        ("what caused #3", I::Why, "", ""),
        ("what's wrong with payment", I::Why, "payments", ""),
        ("whats wrong wiht recomendations", I::Why, "recommendations", ""),
        ("what broke checkout", I::Why, "checkout", ""),
        ("who is the culprit", I::Why, "", ""),
        ("explain the incident", I::Why, "", ""),
        ("how come catalog is so slow", I::Why, "catalog", ""),
        ("why is search slower than yesterday", I::Why, "search", "20T00:00..21T00:00"),
        ("wtf is wrong with shiping", I::Why, "shipping", ""),
        ("why is latency high", I::Why, "", ""),
    ]);
}

#[test]
fn changes() {
    check(&[
        ("what changed", I::Changes, "", ""),
        ("wat chnaged", I::Changes, "", ""),
        ("what changed since 14:00", I::Changes, "", "21T14:00..21T15:00"),
        ("what changed since 2pm", I::Changes, "", "21T14:00..21T15:00"),
        ("what changed on orders yesterday", I::Changes, "orders", "20T00:00..21T00:00"),
        ("deploys in the last 2 hours", I::Changes, "", "21T13:00..21T15:00"),
        ("what was deployed today", I::Changes, "", "21T00:00..21T15:00"),
        ("who deployed orders", I::Changes, "orders", ""),
        ("did anyone deploy to auth this morning", I::Changes, "auth", "21T05:00..21T12:00"),
        ("any config changes on node-2?", I::Changes, "node-2", ""),
        ("whats new since yday", I::Changes, "", "20T00:00..21T15:00"),
        ("recent relases", I::Changes, "", ""),
        ("which version is cart on", I::Changes, "cart", ""),
        ("what changed before 14:00 CET", I::Changes, "", "21T11:00..21T13:00"),
        ("what has changed in the last half hour", I::Changes, "", "21T14:30..21T15:00"),
        ("did somebody touch the auth-db, what went out", I::Changes, "auth-db", ""),
    ]);
}

#[test]
fn what_happened() {
    check(&[
        ("what happened between 14:00 and 14:30", I::Happened, "", "21T14:00..21T14:30"),
        ("what hapened between 2 and 3pm", I::Happened, "", "21T14:00..21T15:00"),
        ("waht happend from 13:00 till 14:00", I::Happened, "", "21T13:00..21T14:00"),
        ("what happened last night", I::Happened, "", "20T18:00..21T06:00"),
        ("what happened before 14:00", I::Happened, "", "21T12:00..21T14:00"),
        ("what happened around 3am to auth", I::Happened, "auth", "21T02:30..21T03:30"),
        ("what happened on monday", I::Happened, "", "16T00:00..17T00:00"),
        ("timeline of #4", I::Happened, "", ""),
        ("timeline pls", I::Happened, "", ""),
        ("catch me up", I::Happened, "", ""),
        ("what did i miss since 9", I::Happened, "", "21T09:00..21T15:00"),
        ("what happened an hour ago", I::Happened, "", "21T13:30..21T14:30"),
        ("summary of the last 2 hours", I::Happened, "", "21T13:00..21T15:00"),
        ("what happened between 09:00 and 10:00 EST", I::Happened, "", "21T14:00..21T15:00"),
    ]);
}

#[test]
fn errors_and_figures() {
    check(&[
        ("show errors of orders", I::Errors, "orders", ""),
        ("show me the erors of ordrs", I::Errors, "orders", ""),
        ("top errors", I::Errors, "", ""),
        ("logs of auth-db", I::Errors, "auth-db", ""),
        ("any exceptions in payments since noon", I::Errors, "payments", "21T12:00..21T15:00"),
        ("errors in the last 15m", I::Errors, "", "21T14:45..21T15:00"),
        ("5xx on frontend", I::Errors, "frontend", ""),
        ("is pricing throwing errors", I::Errors, "pricing", ""),
        ("whats in the notif logs", I::Errors, "notifications", ""),
        ("plot p99 of checkout", I::Show, "checkout", ""),
        ("error rate of orders", I::Show, "orders", ""),
        ("memory of recomendations", I::Show, "recommendations", ""),
        ("cpu on node two", I::Show, "node-2", ""),
        ("whats the latency of search", I::Show, "search", ""),
        ("slowest services", I::Slowest, "", ""),
        ("which services are slow", I::Slowest, "", ""),
        ("which services depend on auth", I::Graph, "auth", ""),
        ("what does checkout call", I::Graph, "checkout", ""),
        ("who calls payments?", I::Graph, "payments", ""),
        ("what runs on node-3", I::Graph, "node-3", ""),
        ("does checkout call auth", I::Graph, "checkout,auth", ""),
    ]);
}

#[test]
fn comparisons_and_the_past() {
    check(&[
        ("compare checkout with yesterday", I::Compare, "checkout", "20T00:00..21T00:00"),
        ("comapre orders to last week", I::Compare, "orders", "14T15:00..21T15:00"),
        ("is search slower than last week", I::Compare, "search", "14T15:00..21T15:00"),
        ("is cart worse than usual", I::Compare, "cart", ""),
        ("orders vs payments", I::Compare, "orders,payments", ""),
        ("auth today versus yesterday", I::Compare, "auth", "20T00:00..21T00:00"),
        ("have we seen this before", I::SeenBefore, "", ""),
        ("hav we seen this b4?", I::SeenBefore, "", ""),
        ("has this happened before?", I::SeenBefore, "", ""),
        ("did that happen before", I::SeenBefore, "", ""),
        ("similar incidents", I::SeenBefore, "", ""),
        ("anything simliar", I::SeenBefore, "", ""),
        ("what fixed it last time", I::SeenBefore, "", ""),
        ("is this a known issue", I::SeenBefore, "", ""),
        ("is auth happening again", I::SeenBefore, "auth", ""),
        ("how many incidents this week", I::Count, "", "16T00:00..21T15:00"),
        ("list incidents", I::Count, "", ""),
        ("incidents yesterday", I::Count, "", "20T00:00..21T00:00"),
    ]);
}

#[test]
fn what_to_do() {
    check(&[
        ("what should I do", I::WhatToDo, "", ""),
        ("waht shoud i do", I::WhatToDo, "", ""),
        ("what now", I::WhatToDo, "", ""),
        ("ok what next", I::WhatToDo, "", ""),
        ("how do I fix this", I::WhatToDo, "", ""),
        ("how to mitigate", I::WhatToDo, "", ""),
        ("should i roll back orders", I::WhatToDo, "orders", ""),
        ("can we restart recommendations", I::WhatToDo, "recommendations", ""),
        ("any suggestions", I::WhatToDo, "", ""),
        ("which runbook", I::Runbook, "", ""),
        ("wich runbok", I::Runbook, "", ""),
        ("is there a runbook for pool exhaustion", I::Runbook, "", ""),
        ("playbook for auth db?", I::Runbook, "auth-db", ""),
    ]);
}

#[test]
fn paging_silences_and_deploys() {
    check(&[
        ("who was paged and why", I::Paged, "", ""),
        ("why was I not paged for auth", I::Paged, "auth", ""),
        ("why didnt i get paged", I::Paged, "", ""),
        ("why wasnt anyone alerted about catalog", I::Paged, "catalog", ""),
        ("who got notified last night", I::Paged, "", "20T18:00..21T06:00"),
        ("why no alert for shipping", I::Paged, "shipping", ""),
        ("why did the alert not fire", I::Paged, "", ""),
        ("what is silenced", I::Silenced, "", ""),
        ("any silences on cart", I::Silenced, "cart", ""),
        ("are we in maintenence", I::Silenced, "", ""),
        ("what would happen if we deployed orders now", I::Deploy, "orders", ""),
        ("what if we deploy chekout", I::Deploy, "checkout", ""),
        ("is it safe to deploy payments", I::Deploy, "payments", ""),
        ("can i ship pricing now", I::Deploy, "pricing", ""),
        ("ok to release cart?", I::Deploy, "cart", ""),
        ("should we roll out auth today", I::Deploy, "auth", "21T00:00..21T15:00"),
    ]);
}

#[test]
fn help_and_what_is_not_understood() {
    check(&[
        ("what can you do", I::Help, "", ""),
        ("help", I::Help, "", ""),
        ("hi", I::Help, "", ""),
        ("sing a song", I::Unknown, "", ""),
        ("who is on call tomorrow", I::Unknown, "", ""),
        ("order me a pizza", I::Health, "orders", ""),
        ("42", I::Unknown, "", ""),
        ("", I::Unknown, "", ""),
    ]);
}

#[test]
fn a_name_that_is_not_known_is_told_and_a_guess_is_admitted() {
    for (text, name) in [
        ("why is billing slow", Some("billing")),
        ("show errors of the warehouse", Some("warehouse")),
        ("is kafka up", Some("kafka")),
        ("why is it slow", None),
        ("why is everything on fire", None),
        ("why is the site down", None),
        ("is it down", None),
    ] {
        assert_eq!(plan(text).unknown_name.as_deref(), name, "{text}");
    }
    assert_eq!(plan("why is chekout slow").guesses, [("chekout".into(), "checkout".into())]);
    assert!(plan("why are orders slow").guesses.is_empty());
    assert!(plan("errors since it started").since_onset);
    assert_eq!(plan("timeline of #4").number, Some(4));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_words_are_planned_without_a_panic(text in "\\PC{0,120}") {
        let _ = plan(&text);
    }

    /// One slip of the keys inside a long service name does not lose the service.
    #[test]
    fn one_slip_keeps_the_service(at in 1_usize..8, which in 0_usize..4) {
        let name = ["checkout", "payments", "recommendations", "notifications"][which];
        let mut letters: Vec<char> = name.chars().collect();
        let at = at.min(letters.len() - 2);
        letters.swap(at, at + 1);
        let text = format!("why is {} slow", letters.iter().collect::<String>());
        let found = plan(&text);
        prop_assert_eq!(found.entity().map(|e| e.name()), Some(name));
    }
}
