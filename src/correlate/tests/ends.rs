//! How an incident that ended by itself is called, and what its reason says.

use super::*;
use crate::model::alert::UNSEEN;

fn unseen(alert: Alert, seconds: i64) -> Alert {
    let mut over = ended(alert, seconds);
    over.annotations.set(UNSEEN, "true");
    over
}

/// The category of the one incident that these alerts make, and the reason of its end.
fn ending(alerts: Vec<(i64, Alert)>) -> (Option<String>, String) {
    let book = play(&mut correlator(), alerts, 1_500);
    let standing = book.standing();
    let [incident] = standing.as_slice() else { panic!("one incident: {standing:?}") };
    assert_eq!(incident.state, IncidentState::Resolved);
    let last = book.entries.iter().rev().find(|e| e.contains("no alert has fired"));
    (incident.category.clone(), last.expect("its end is told").clone())
}

#[test]
fn what_fell_silent_is_not_called_recovered() {
    let a = alert("orders", "HighErrorRate", "critical", 0);
    let (category, why) = ending(vec![(20, a.clone()), (300, unseen(a.clone(), 300))]);
    assert_eq!(category.as_deref(), Some("not_seen_to_recover"));
    assert!(why.contains("nothing is heard of orders any more"), "{why}");
    let (category, why) = ending(vec![(20, a.clone()), (300, ended(a, 300))]);
    assert_eq!(category.as_deref(), Some("recovered"));
    assert!(!why.contains("heard"), "{why}");
}

#[test]
fn what_spoke_again_and_was_well_has_recovered() {
    let series = alert("orders", "HighErrorRate", "critical", 0);
    let silence = alert("orders", "Silent", "critical", 100);
    // The series went with the silence, and the silence ended because it spoke again.
    let told = vec![
        (20, series.clone()),
        (120, silence.clone()),
        (130, unseen(series.clone(), 130)),
        (400, ended(silence.clone(), 400)),
    ];
    assert_eq!(ending(told).0.as_deref(), Some("recovered"));
    // It stayed silent until it was taken for removed.
    let told = vec![
        (20, series.clone()),
        (120, silence.clone()),
        (130, ended(series, 130)),
        (400, unseen(silence, 400)),
    ];
    assert_eq!(ending(told).0.as_deref(), Some("not_seen_to_recover"));
}
