//! What the ranking would say without one piece of its evidence: it is made anew without it. Pure.

use super::input::{Input, Ranked};
use super::rank::rank;
use crate::model::diagnosis::Counterfactual;
use crate::model::figure::{count_text, n_of};
use crate::model::{ChangeId, EntityRef, EvidenceId, Gap, Hypothesis, IncidentId, Indicator};

/// How many are told.
const MOST: usize = 6;
/// A first that stays first is told of when its chance moves by this much.
const MOVES: f64 = 0.05;
/// Hypotheses whose change is left out.
const RIVALS: usize = 3;
/// Alerts that are ranked again in all: a ranking takes about as long as there are alerts, and
/// somebody waits for the diagnosis.
const MOST_WORK: usize = 40_000;

/// What is left out of what the ranking looks at.
enum Left {
    Change(ChangeId),
    Logs(EntityRef),
    Resource(EntityRef, Option<Indicator>),
    Telemetry,
    Demands,
    Separates,
    Calls,
    Graph,
    Causes,
    Past(IncidentId),
}

impl Left {
    /// All but it.
    fn rest(&self, input: &Input) -> Input {
        let mut rest = input.clone();
        match self {
            Self::Change(id) => rest.changes.retain(|c| c.id != *id),
            Self::Logs(entity) => drop(rest.logs.remove(entity)),
            Self::Resource(entity, of) => {
                rest.alerts.retain(|a| a.entity != *entity || a.indicator != *of);
            }
            Self::Telemetry => rest.weighed.clear(),
            Self::Demands => rest.demands.clear(),
            Self::Separates => rest.separates.clear(),
            Self::Calls => rest.calls.clear(),
            Self::Graph => rest.graph = crate::model::Graph::default(),
            Self::Causes => rest.causes = crate::learn::Causes::default(),
            Self::Past(id) => rest.similar.retain(|p| p.incident != *id),
        }
        rest
    }
}

/// One piece left out: how it is called, which part of the score it is, and what is left out.
struct Lacking {
    what: String,
    part: &'static str,
    evidence: Vec<EvidenceId>,
    left: Left,
}

/// Ranks again without each piece of evidence that the first hypothesis or its rivals rest on; those
/// that matter, the one that changes most first. With very many alerts fewer pieces are tried (the
/// changes first), which is a gap.
#[must_use]
pub fn without(input: &Input, ranked: &Ranked) -> (Vec<Counterfactual>, Option<Gap>) {
    let Some(first) = ranked.hypotheses.first() else { return (Vec::new(), None) };
    let mut pieces = pieces(input, ranked);
    let (all, most) = (pieces.len(), most_tried(input.alerts.len()));
    pieces.truncate(most);
    let untried = (all > most).then(|| untried(input.alerts.len(), most, all));
    let mut found: Vec<(f64, Counterfactual)> = pieces
        .into_iter()
        .filter_map(|piece| {
            let again = rank(&piece.left.rest(input));
            let place = again.hypotheses.iter().position(|h| h.entity == first.entity);
            let confidence = place.map_or(0.0, |p| again.hypotheses[p].confidence);
            let moved = (first.confidence - confidence).abs();
            let stays = place == Some(0) && again.conclusive == ranked.conclusive;
            if stays && moved < MOVES {
                return None;
            }
            let weight = if stays { moved } else { 1.0 + moved };
            let other = again.hypotheses.iter().find(|h| h.entity != first.entity);
            let opens = ranked.conclusive && !again.conclusive;
            let text = words(&piece.what, first, (place, confidence), other, opens);
            let made = Counterfactual {
                without: piece.what,
                part: piece.part.into(),
                evidence: piece.evidence,
                place: place.map(|p| p as u32 + 1),
                confidence,
                first: again.hypotheses.first().map(|h| h.entity.clone()),
                conclusive: again.conclusive,
                text,
            };
            Some((weight, made))
        })
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.without.cmp(&b.1.without)));
    (found.into_iter().map(|(_, c)| c).take(MOST).collect(), untried)
}

/// How many pieces are tried with so many alerts: at least one.
fn most_tried(n_alerts: usize) -> usize {
    (MOST_WORK / n_alerts.max(1)).max(1)
}

fn untried(n_alerts: usize, tried: usize, all: usize) -> Gap {
    Gap {
        what: "the ranking without each piece of its evidence".into(),
        why: format!(
            "with {} it was made anew for {tried} of {}",
            n_of(n_alerts as u64, "alert"),
            count_text(all as u64)
        ),
        since: None,
        until: None,
    }
}

fn pieces(input: &Input, ranked: &Ranked) -> Vec<Lacking> {
    let mut found = Vec::new();
    let mut add = |what: String, part, evidence: Vec<EvidenceId>, left: Left| {
        found.push(Lacking { what, part, evidence, left });
    };
    let mut named: Vec<_> =
        ranked.hypotheses.iter().take(RIVALS).filter_map(|h| h.change).collect();
    named.dedup();
    for id in named {
        let Some(change) = input.changes.iter().find(|c| c.id == id) else { continue };
        let at = change.at.clock_text();
        let what = if change.kind.is_ours() {
            format!("the change at {at} UTC ({})", change.title)
        } else {
            format!("the report at {at} UTC ({})", change.line())
        };
        let proofs = input.proofs.changes.get(&id).copied().into_iter().collect();
        add(what, "change", proofs, Left::Change(id));
    }
    let troubles = super::symptom::troubles(&input.alerts, &input.onsets);
    for Hypothesis { entity, .. } in ranked.hypotheses.iter().take(2) {
        if let Some(signs) = input.logs.get(entity).filter(|s| !s.is_empty()) {
            let what = format!("the log lines of {}", entity.name());
            let proofs = signs.iter().map(|s| s.evidence).collect();
            add(what, "logs", proofs, Left::Logs(entity.clone()));
        }
        let resource = troubles.get(entity).and_then(|t| t.resource());
        let Some(resource) = resource else { continue };
        // Only what is left must still say that something is in trouble.
        if input.alerts.iter().any(|a| a.entity != *entity || a.indicator != resource.indicator) {
            let said = resource.annotations.get("summary").unwrap_or(resource.name());
            let what = format!("\"{}\"", said.trim_end_matches('.'));
            let proofs = input.proofs.signals.get(entity).cloned().unwrap_or_default();
            add(what, "resource", proofs, Left::Resource(entity.clone(), resource.indicator));
        }
    }
    if !input.weighed.is_empty() {
        add("the weighing of the telemetry".into(), "telemetry", Vec::new(), Left::Telemetry);
    }
    let rests_on = |name: &str| {
        ranked.hypotheses.iter().take(RIVALS).any(|h| h.parts.iter().any(|p| p.name == name))
    };
    if rests_on("traffic") {
        add("the request rates".into(), "traffic", Vec::new(), Left::Demands);
    }
    if rests_on("requests") {
        let proofs = input.separates.values().flatten().map(|s| s.evidence).collect();
        let what = "what separates bad requests from good ones".into();
        add(what, "requests", proofs, Left::Separates);
    }
    if rests_on("learned") {
        let proofs = input.proofs.kinds.values().copied().collect();
        let what = "what earlier incidents say of kinds of change".into();
        add(what, "learned", proofs, Left::Causes);
    }
    if !input.calls.is_empty() {
        let proofs = input.proofs.edges.values().copied().collect();
        add("what spans tell of calls".into(), "graph", proofs, Left::Calls);
    }
    if !input.graph.is_empty() {
        add("the service graph".into(), "graph", Vec::new(), Left::Graph);
    }
    for past in &input.similar {
        let what = format!("incident #{}", past.number);
        add(what, "similar", vec![past.evidence], Left::Past(past.incident));
    }
    found
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// The sentence.
fn words(
    what: &str,
    first: &Hypothesis,
    (place, confidence): (Option<usize>, f64),
    other: Option<&Hypothesis>,
    opens: bool,
) -> String {
    const PLACES: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];
    let name = first.entity.name();
    let behind = |h: &Hypothesis| format!("{} with {}", h.entity.name(), percent(h.confidence));
    let open = if opens { "; nothing would stand out" } else { "" };
    match (place, other) {
        (Some(0), _) => format!(
            "Without {what}, {name} would still be first, with {} instead of {}{open}.",
            percent(confidence),
            percent(first.confidence)
        ),
        (Some(place), Some(leader)) => format!(
            "Without {what}, {name} would be {} with {}, {} {}{open}.",
            PLACES.get(place).unwrap_or(&"further down"),
            percent(confidence),
            if place == 1 { "behind" } else { "the first" },
            behind(leader)
        ),
        (_, Some(leader)) => format!(
            "Without {what}, {name} would not be among the possible causes; first would be {}{open}.",
            behind(leader)
        ),
        _ => format!("Without {what}, there would be no possible cause."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::rank;
    use crate::diagnose::tests::{alert, at, chain, change, input, service};
    use crate::model::{ChangeKind, Indicator};

    #[test]
    fn what_is_told_is_what_ranking_without_it_gives() {
        let (shop, stock) = (service("shop"), service("stock"));
        let alerts = vec![
            alert(&shop, Indicator::Duration, 150.0, 0),
            alert(&stock, Indicator::Duration, 150.0, 0),
        ];
        let deploy = change(&shop, ChangeKind::Deploy, -60);
        let with = input(chain(), alerts, vec![deploy.clone()]);
        let ranked = rank(&with);
        let (found, untried) = without(&with, &ranked);
        assert_eq!(untried, None);
        let told = found.iter().find(|c| c.part == "change").expect("it matters");
        let mut rest = with.clone();
        rest.changes.clear();
        let again = rank(&rest);
        let first = &ranked.hypotheses[0];
        let place = again.hypotheses.iter().position(|h| h.entity == first.entity);
        assert_eq!(told.place, place.map(|p| p as u32 + 1));
        assert_eq!(told.confidence, place.map_or(0.0, |p| again.hypotheses[p].confidence));
        assert_eq!(told.first.as_ref(), again.hypotheses.first().map(|h| &h.entity));
        insta::assert_snapshot!(
            told.text,
            @"Without the change at 02:59:00 UTC (Deploy of shop), shop would be second with 5 %, behind stock with 61 %."
        );
        assert_eq!(deploy.at, at(-60));
    }

    #[test]
    fn what_changes_nothing_is_not_told() {
        let shop = service("shop");
        let old = change(&service("elsewhere"), ChangeKind::Deploy, -7_000);
        let with = input(chain(), vec![alert(&shop, Indicator::Errors, 90.0, 0)], vec![old]);
        let (found, _) = without(&with, &rank(&with));
        assert!(found.iter().all(|c| c.part != "change"), "{found:?}");
        assert!(without(&input(chain(), Vec::new(), Vec::new()), &rank(&with)).0.len() < 2);
    }

    #[test]
    fn with_very_many_alerts_fewer_are_tried_and_that_is_said() {
        assert_eq!([0, 100, 8_000, 50_000].map(most_tried), [40_000, 400, 5, 1]);
        let (shop, stock) = (service("shop"), service("stock"));
        let alerts = vec![
            alert(&shop, Indicator::Duration, 150.0, 0),
            alert(&stock, Indicator::Duration, 150.0, 0),
        ];
        let mut with = input(chain(), alerts, vec![change(&shop, ChangeKind::Deploy, -60)]);
        let ranked = rank(&with);
        with.alerts = with.alerts.iter().cycle().take(40_002).cloned().collect();
        let (found, untried) = without(&with, &ranked);
        assert!(found.iter().all(|c| c.part == "change"), "{found:?}");
        let why = untried.expect("more than one piece").why;
        assert!(why.starts_with("with 40,002 alerts it was made anew for 1 of "), "{why}");
    }
}
