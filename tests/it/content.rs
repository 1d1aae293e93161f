//! What is shipped as data fits together: runbooks, scenarios and the executors' allow-list.

use std::collections::BTreeMap;

use nightjar::demo::scenario::scenarios;
use nightjar::demo::town::{DATABASES, NODES, SERVICES};
use nightjar::model::diagnosis::PATTERNS;
use nightjar::runbook::Library;
use nightjar::runbook::schema::Condition;

fn library() -> Library {
    Library::shipped().unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn every_suggestion_that_a_scenario_expects_is_an_action_of_a_shipped_runbook() {
    let library = library();
    for scenario in scenarios() {
        for suggestion in &scenario.expected.suggestions {
            let (runbook, action) = suggestion.split_once('/').expect("runbook/action");
            let found = library.get(runbook).and_then(|r| r.action(action));
            assert!(found.is_some(), "{}: {suggestion}", scenario.key);
        }
    }
}

#[test]
fn every_pattern_of_a_cause_has_a_runbook_and_scenarios_expect_no_other() {
    let library = library();
    for pattern in PATTERNS.into_iter().filter(|p| *p != "unknown") {
        let wanted = Condition::Hypothesis(pattern.to_owned());
        let found = library.iter().any(|r| r.front.conditions().any(|c| *c == wanted));
        assert!(found, "no runbook is for {pattern}");
    }
    for scenario in scenarios() {
        let patterns = &scenario.expected.patterns;
        assert!(patterns.iter().all(|p| PATTERNS.contains(&p.as_str())), "{patterns:?}");
    }
}

#[test]
fn no_runbook_knows_the_demo() {
    for runbook in library().iter() {
        let front = serde_json::to_string(&runbook.front).expect("text and numbers");
        let id = &runbook.front.id;
        for scenario in scenarios() {
            for text in [&front, &runbook.body] {
                assert!(!text.contains(scenario.key.as_str()), "{id} names {}", scenario.key);
                assert!(!text.contains(scenario.title.as_str()), "{id} names {}", scenario.title);
            }
        }
        // Services are called by common words, so only the machine's part is looked at for them.
        let words = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        let names = SERVICES.iter().map(|s| s.name).chain(DATABASES.iter().map(|d| d.name));
        for name in names.chain(NODES) {
            let in_target = runbook.front.actions.iter().any(|a| {
                let parts = [a.target.as_ref(), a.http.as_ref().map(|h| &h.url)];
                parts.into_iter().flatten().any(|t| t.split(words).any(|w| w == name))
            });
            assert!(!in_target, "{id} is bound to {name}");
            assert!(!runbook.front.services.iter().any(|s| s == name), "{id} is for {name}");
        }
    }
}

#[test]
fn every_shipped_action_touches_only_what_its_one_setting_names() {
    let settings = BTreeMap::from([("admin_url".to_owned(), "http://127.0.0.1:9".to_owned())]);
    let reached = library().reach(&settings);
    assert!(reached.len() >= 10, "{reached:?}");
    for reach in &reached {
        let touched = reach.touches.as_ref().unwrap_or_else(|e| panic!("{}: {e}", reach.action));
        assert!(
            touched.starts_with("POST http://127.0.0.1:9/admin/"),
            "{}: {touched}",
            reach.action
        );
    }
    let unset = library().reach(&BTreeMap::new());
    assert!(unset.iter().all(|r| r.touches.as_ref().is_err_and(|e| e.contains("admin_url"))));
}

/// What a reader copies out of the pages is taken by the program as it stands.
#[test]
fn every_configuration_shown_in_the_pages_is_right() {
    const PAGES: [(&str, &str); 2] = [
        ("README.md", include_str!("../../README.md")),
        ("deploy/README.md", include_str!("../../deploy/README.md")),
    ];
    let secrets: Vec<(String, String)> = PAGES
        .iter()
        .flat_map(|(_, page)| page.split("{ env = \"").skip(1))
        .filter_map(|rest| rest.split('"').next())
        .map(|name| (name.to_owned(), "obviously-not-a-real-secret".to_owned()))
        .collect();
    let mut n = 0;
    for (name, page) in PAGES {
        for block in page.split("```toml\n").skip(1) {
            let text = block.split("```").next().unwrap_or_default();
            if let Err(wrong) = nightjar::config::load(text, &secrets) {
                panic!("{}", wrong.render(name, text));
            }
            n += 1;
        }
    }
    assert!(n >= 2, "README shows the least and the policy");
}
