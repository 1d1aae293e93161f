//! Runbooks as files: what is read, what is refused, what is rendered.

mod broken;
mod matching;
mod search;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::action::Step;
use crate::model::{
    Change, ChangeId, ChangeKind, EntityRef, Hypothesis, HypothesisId, Labels, Refused, Time,
};

fn situation() -> Situation {
    let at = Time::from_ms(1_700_000_000_000);
    let orders = EntityRef::service("orders");
    let change = Change {
        id: ChangeId::derive(at, &["deploy"]),
        kind: ChangeKind::Deploy,
        entity: orders.clone(),
        at,
        title: "deploy 4.7.2".into(),
        version: Some("4.7.2".into()),
        previous: Some("4.7.1".into()),
        author: None,
        url: None,
        source: "webhook".into(),
        status: "success".into(),
        attributes: Labels::default(),
        diff: Vec::new(),
    };
    Situation {
        hypothesis: Some(Hypothesis {
            id: HypothesisId::derive(at, &["h"]),
            entity: orders,
            pattern: "saturation".into(),
            statement: String::new(),
            confidence: 0.8,
            parts: vec![],
            evidence: vec![],
            change: Some(change.id),
            impact_chain: vec![],
        }),
        change: Some(change),
        settings: [("admin_url".to_owned(), "http://127.0.0.1:9".to_owned())].into(),
        ..Situation::default()
    }
}

/// The shipped runbooks, read once.
fn shipped() -> &'static Library {
    static SHIPPED: std::sync::OnceLock<Library> = std::sync::OnceLock::new();
    SHIPPED.get_or_init(|| Library::shipped().unwrap_or_else(|e| panic!("{e}")))
}

fn none() -> BTreeMap<String, String> {
    BTreeMap::new()
}

fn one(name: &str, value: &str) -> BTreeMap<String, String> {
    [(name.to_owned(), value.to_owned())].into()
}

#[test]
fn an_action_is_rendered_to_the_letter_and_undone_from_the_observed_state() {
    let library = shipped();
    let runbook = library.get("connection-pool-exhausted").expect("shipped");
    let action = runbook.action("roll-back-deploy").expect("there");
    let observed = one("version", "4.7.2");
    let plan = plan(runbook, action, &none(), &observed, &situation(), None).expect("plans");
    assert_eq!(
        plan.steps,
        [Step::Http {
            method: "POST".into(),
            url: "http://127.0.0.1:9/admin/services/orders/rollback".into(),
            headers: [("content-type".to_owned(), "application/json".to_owned())].into(),
            body: Some("{\"to\":\"4.7.1\"}".into()),
            timeout_s: 30,
        }]
    );
    let (undo, values) = rollback(runbook, &plan, &situation()).expect("renders").expect("has one");
    assert_eq!((undo.id.as_str(), values), ("roll-back-deploy", one("to", "4.7.2")));
    assert_eq!(
        title(action, &plan.parameters, &observed, &situation()),
        "Roll orders back to 4.7.1"
    );
    let target = target(action, &situation()).expect("known");
    let observe = observe(action, &situation(), &target, &plan.parameters)
        .expect("renders")
        .expect("has one");
    assert_eq!(observe.url, "http://127.0.0.1:9/admin/services/orders");
}

#[test]
fn wrong_parameters_are_refused_in_words() {
    let library = shipped();
    let runbook = library.get("connection-pool-exhausted").expect("shipped");
    let action = runbook.action("restore-concurrency").expect("there");
    let text =
        |given: BTreeMap<String, String>| match parameters(action, &given, &none(), &situation()) {
            Err(Refused::Invalid(text)) => text,
            other => panic!("{other:?}"),
        };
    insta::assert_snapshot!(text(one("value", "0")), @"`0` is no value for `value`: it must be at least 1.");
    insta::assert_snapshot!(text(one("value", "many")), @"`many` is no value for `value`: it must be a whole number.");
    insta::assert_snapshot!(text(one("workers", "3")), @"the action `restore-concurrency` has no parameter `workers`; it takes: value.");
    let mut unknown = situation();
    if let Some(change) = &mut unknown.change {
        change.previous = None;
    }
    let action = runbook.action("roll-back-deploy").expect("there");
    let refused =
        parameters(action, &none(), &none(), &unknown).expect_err("nothing to go back to");
    insta::assert_snapshot!(refused, @"the parameter `to` is missing: `{{ change.previous }}`, it names something that is not known here. Give the value yourself.");
    unknown.change = None;
    let refused = parameters(action, &none(), &none(), &unknown).expect_err("nothing to act on");
    insta::assert_snapshot!(refused, @"the target is missing: `{{ change.entity.attribute }}={{ change.entity.name }}`, it names something that is not known here. Give the value yourself.");
}

#[test]
fn folders_add_to_the_shipped_ones_and_may_replace_them() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let text = include_str!("../../runbooks/connection-pool-exhausted.md");
    let path = folder.path().join("connection-pool-exhausted.md");
    std::fs::write(&path, text.replace("platform on call", "orders team")).expect("writes");
    let library = Library::load(&[folder.path().to_owned()]).expect("right");
    assert_eq!(library.get("connection-pool-exhausted").expect("there").front.owner, "orders team");
    std::fs::write(folder.path().join("b.md"), "no front matter").expect("writes");
    std::fs::write(folder.path().join("c.md"), text).expect("writes");
    let Mistakes(wrong) = Library::load(&[folder.path().to_owned()]).expect_err("two wrong files");
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(Library::load(&[folder.path().join("missing")]).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,400}", cut in 0_usize..4000) {
        let whole = include_str!("../../runbooks/connection-pool-exhausted.md");
        let mut cut = cut.min(whole.len());
        while !whole.is_char_boundary(cut) { cut -= 1; }
        let _ = parse("x.md", &text);
        let _ = parse("x.md", &format!("{}{text}", &whole[..cut]));
    }

    #[test]
    fn a_target_can_not_leave_its_path_segment(name in "[^\\p{C}]{1,30}") {
        let mut s = situation();
        if let Some(c) = &mut s.change { c.entity = EntityRef::service(name.clone()); }
        let library = shipped();
        let runbook = library.get("connection-pool-exhausted").expect("shipped");
        let action = runbook.action("roll-back-deploy").expect("there");
        let steps = render_action(action, &one("to", "4.7.1"), &none(), &s).expect("renders");
        let [Step::Http { url, .. }] = steps.as_slice() else { panic!("one request") };
        let url = url::Url::parse(url).expect("an address");
        let n = url.path_segments().expect("a path").count();
        prop_assert_eq!(n, 4, "{}", url);
        prop_assert!(url.path().ends_with("/rollback") && url.query().is_none());
    }
}
