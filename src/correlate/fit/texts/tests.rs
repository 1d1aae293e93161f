//! What texts tell, and what they don't.

use super::*;
use crate::correlate::fit::{Home, Knobs, Onset};

const MINUTE: i64 = 60_000;

/// `web` calls `cart` calls `db`; nobody tells whom `mail` calls, or `far` and `other`.
fn fit() -> Fit {
    let mut fit = Fit::new(Knobs::default());
    for (from, to) in [("web", "cart"), ("cart", "db"), ("mail", "smtp"), ("far", "disk")] {
        fit.depends(from, to);
    }
    fit
}

fn say(fit: &mut Fit, place: &str, name: &str, at_ms: i64, said: (&str, &str)) -> u32 {
    let condition = fit.signs.next().into();
    let sign = fit.begin(&Onset { condition, scope: "", place, name, on: &[], at_ms });
    let list = |text: &str| -> Vec<String> {
        text.split(", ").filter(|t| !t.is_empty()).map(str::to_owned).collect()
    };
    fit.says(sign, &list(said.0), &list(said.1));
    sign
}

/// Alerts by themselves of one rule, half an hour apart each, that say this.
fn history(fit: &mut Fit, name: &str, n: i64, said: impl Fn(i64) -> (String, String)) {
    for i in 0..n {
        let at_ms = fit.newest + 30 * MINUTE;
        let (phrases, named) = said(i);
        say(fit, &format!("lone-{i}"), name, at_ms, (&phrases, &named));
        fit.revise(at_ms + 20 * MINUTE);
    }
}

/// A fault of `db` that `cart` feels, and an alert of `mail` that says something, or nothing.
fn storm(fit: &mut Fit, root: &str, said: (&str, &str)) -> (Home, u32, f64) {
    let at = fit.newest + 60 * MINUTE;
    say(fit, "db", "ConnectionsHigh", at, (root, ""));
    say(fit, "db", "HighLatency", at + 5_000, ("", ""));
    say(fit, "cart", "HighErrorRate", at + 20_000, ("", ""));
    say(fit, "web", "HighErrorRate", at + 40_000, ("", ""));
    let sign = say(fit, "mail", "SendsFail", at + 45_000, said);
    fit.revise(at + 50_000);
    let text = fit.account(sign).map_or(1.0, |a| a.text);
    (fit.signs[sign as usize].home, sign, text)
}

#[test]
fn what_a_text_names_joins_it_to_the_fault_though_no_path_leads_there() {
    let mut plain = fit();
    history(&mut plain, "SendsFail", 10, |_| ("sends fail".into(), String::new()));
    let mut named = plain.clone();
    assert_eq!(storm(&mut plain, "", ("sends fail", "")).0, Home::Own);
    let (home, sign, text) = storm(&mut named, "", ("sends fail", "db"));
    assert!(matches!(home, Home::Fault(_)), "{home:?}");
    assert!(text > 3.0 && text <= 20.001, "{text}");
    assert_eq!(named.account(sign).and_then(|a| a.saying), Some(Saying::Names("db", true)));
}

#[test]
fn what_a_rule_always_names_tells_nothing() {
    let mut fit = fit();
    history(&mut fit, "SendsFail", 30, |_| ("often db".into(), "db".into()));
    let (home, _, text) = storm(&mut fit, "", ("often db", "db"));
    assert_eq!(home, Home::Own);
    assert!(text < 1.1, "{text}");
}

#[test]
fn rare_words_that_the_root_says_too_speak_and_boilerplate_does_not() {
    let usual = |i: i64| (format!("see runbook, error c{i}"), String::new());
    let mut rare = fit();
    history(&mut rare, "SendsFail", 30, usual);
    let mut common = rare.clone();
    let told = |fit: &mut Fit, words: &str| {
        let (_, sign, _) = storm(fit, words, (words, ""));
        let sign = &fit.signs[sign as usize];
        let db = fit.places.ids["db"];
        let of_db = |id: &u32| fit.faults[*id as usize].at.root == db;
        let fault = fit.live.iter().find(|id| of_db(id)).expect("the fault of the database");
        let effect = &fit.faults[*fault as usize].effects[&sign.scope];
        let at = fit.faults[*fault as usize].at;
        let felt = |place| effect.cascade.at(place);
        let standing = fit.standing(sign.place, at.root, &effect.cascade, &felt);
        Fit::text(sign, &standing)
    };
    let (worth, hint) = told(&mut rare, "ora-12541");
    assert!(worth > 1.0 && worth <= MOST_WORDS, "{worth}");
    assert!(matches!(hint, Some(Hint::Shares(_))), "{hint:?}");
    let (worth, _) = told(&mut common, "see runbook");
    assert!(worth < 0.1, "{worth}");
    // Where nothing was heard yet all is boilerplate.
    assert_eq!(told(&mut fit(), "ora-12541"), (0.0, None));
}

#[test]
fn one_rule_that_says_the_same_of_two_faults_at_once_leaves_them_apart() {
    for n in [0, 30] {
        let mut fit = fit();
        history(&mut fit, "DiskFull", n, |_| {
            ("no space, space left, see runbook".into(), String::new())
        });
        let at = fit.newest + 60 * MINUTE;
        let text = ("no space, space left, see runbook", "");
        let mut signs = Vec::new();
        for (place, name, lag) in [
            ("db", "DiskFull", 0),
            ("disk", "DiskFull", 4),
            ("db", "SlowWrites", 6),
            ("disk", "SlowWrites", 9),
            ("cart", "HighErrorRate", 22),
            ("far", "HighErrorRate", 25),
            ("cart", "HighLatency", 28),
            ("far", "HighLatency", 30),
        ] {
            signs.push(say(&mut fit, place, name, at + lag * 1_000, text));
        }
        fit.revise(at + 60_000);
        let kin = |n: usize| fit.group(signs[n]);
        assert!(kin(0) != kin(1), "{n}: two faults");
        assert_eq!((kin(0), kin(1)), (kin(4), kin(5)), "{n}: each with its caller");
    }
}

#[test]
fn what_texts_said_survives_a_restart_and_stays_within_bounds() {
    let mut live = fit();
    history(&mut live, "SendsFail", 30, |i| (format!("see runbook, code c{i}"), "db".into()));
    let kept = live.texts.kept(&live.names);
    assert_eq!(kept.n_said, 30);
    let mut again = fit();
    again.restore_texts(&kept);
    let anew = again.texts.kept(&again.names);
    assert_eq!((anew.rules, anew.n_said), (kept.rules, kept.n_said));
    assert_eq!(anew.phrases, kept.phrases);
    for n in 0..60_000 {
        again.texts.phrase(&format!("word {n}"));
    }
    assert!(again.texts.phrases.len() <= 2 * MOST_PHRASES);
    again.texts.forget(std::iter::empty());
    assert!(again.texts.phrases.len() <= MOST_PHRASES);
    assert!(again.texts.kept(&again.names).phrases.len() <= KEPT);
}

#[test]
fn what_a_change_only_names_is_a_likely_root_but_less_than_what_was_changed() {
    let cost = |is_named: Option<bool>| {
        let mut fit = fit();
        if let Some(is_named) = is_named {
            fit.changed("db", None, 0, is_named);
        }
        let root = fit.places.ids["db"];
        fit.cost(At { root, scope: 0, since: 60_000 }, None, true, 0.01)
    };
    let (none, named, own) = (cost(None), cost(Some(true)), cost(Some(false)));
    assert!(none > named && named > own, "{none} {named} {own}");
}
