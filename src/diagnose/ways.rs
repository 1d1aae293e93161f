//! By which edges of the service graph a fault may have come: those that were there when it began. Pure.
//!
//! An edge that was seen for the first time after the onset is no way by which the fault came: it rather
//! follows from it, as calls to a stand-in do. One that appeared shortly before stays and is told, for it
//! may be what went wrong. One that was not seen for long, while others at its caller were, stays too,
//! counts half where calls don't tell ([`Graph::is_faded`]), and is told where both its ends are in
//! trouble. So does one first seen after the onset where what it leads to was in trouble before that: of
//! calls that are rare or kept in part, the ones that fail are seen first. Of edges whose caller is not
//! known for long, it is only known since when they are watched, and of declared ones not even that:
//! these were always there.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::evidence_id;
use crate::model::diagnosis::Finding;
use crate::model::time::{DAY_MS, HOUR_MS, SECOND_MS, duration_text};
use crate::model::topology::{Edge, EdgeKind};
use crate::model::{EntityRef, Evidence, Graph, Incident, Time};

/// So long (ms) must a caller be known before one of its edges for that to be new, as for the alert of
/// one ([`crate::detect`]).
const KNOWN_MS: i64 = 6 * HOUR_MS;
/// Onsets are seen by series with a step (ms): an edge first seen so shortly after one may have been
/// there.
const SLACK_MS: i64 = 30 * SECOND_MS;
/// An edge that appeared so long (ms) before the onset at most is told: the time of changes that count.
const NEW_MS: i64 = 2 * HOUR_MS;
/// An edge that was not seen for so long (ms) before the onset may be gone: what calls once a day was
/// seen since.
const OLD_MS: i64 = 2 * DAY_MS;
/// Edges that are told.
const MOST: usize = 4;

/// How old an edge was when a fault began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Age {
    /// It appeared shortly before.
    New,
    /// It was not there yet.
    Later,
    /// It was not seen before, but where it leads to was in trouble before it was.
    Unsure,
    /// It was not seen for long.
    Faded,
}

impl Age {
    /// Whether it counts half.
    fn is_half(self) -> bool {
        matches!(self, Self::Unsure | Self::Faded)
    }
}

/// The graph as a fault found it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ways {
    /// By which edges the fault may have come.
    pub(super) graph: Graph,
    /// Edges with an age that is worth telling, in order.
    pub(super) aged: Vec<(Age, Edge)>,
}

impl Ways {
    /// Those of a fault that began at `onset`, in which these were in trouble since then.
    pub(super) fn at(edges: &[Edge], onset: Time, troubled: &BTreeMap<EntityRef, Time>) -> Self {
        let mut known: BTreeMap<&EntityRef, Time> = BTreeMap::new();
        // Who was seen last by some other edge than this one.
        let mut seen: BTreeMap<&EntityRef, Vec<(&Edge, Time)>> = BTreeMap::new();
        for edge in edges.iter().filter(|e| !e.declared) {
            for end in [&edge.from, &edge.to] {
                let since = known.entry(end).or_insert(edge.first_seen);
                *since = edge.first_seen.min(*since);
                seen.entry(end).or_default().push((edge, edge.last_seen));
            }
        }
        let is_heard = |edge: &Edge| {
            let others = seen.get(&edge.from).into_iter().flatten();
            others.filter(|(e, _)| *e != edge).any(|(_, at)| onset.ms_since(*at) < OLD_MS)
        };
        let age_of = |edge: &Edge| {
            let age = known.get(&edge.from).and_then(|since| age(edge, *since, onset))?;
            match age {
                Age::Later if troubled.get(&edge.to).is_some_and(|t| *t < edge.first_seen) => {
                    Some(Age::Unsure)
                }
                // Where nothing at all is seen of the caller, nobody looks.
                Age::Faded if !is_heard(edge) => None,
                _ => Some(age),
            }
        };
        let ages: Vec<(Option<Age>, &Edge)> = edges.iter().map(|e| (age_of(e), e)).collect();
        let sure = |(age, _): &&(Option<Age>, &Edge)| {
            age.is_none_or(|age| age != Age::Later && !age.is_half())
        };
        let sure: BTreeSet<(&EntityRef, &EntityRef)> =
            ages.iter().filter(sure).map(|(_, e)| (&e.from, &e.to)).collect();
        let mut ways = Self::default();
        for (age, edge) in &ages {
            if *age != Some(Age::Later) {
                ways.graph.add(edge.from.clone(), edge.to.clone(), edge.kind);
            }
            if age.is_some_and(Age::is_half) {
                // One of another kind between the two carries as much as ever.
                if sure.contains(&(&edge.from, &edge.to)) {
                    continue;
                }
                ways.graph.fade(edge.from.clone(), edge.to.clone());
            }
            ways.aged.extend(age.map(|age| (age, (*edge).clone())));
        }
        ways.aged.sort_by(|(a, one), (b, other)| {
            let order = |e: &Edge| (e.from.clone(), e.to.clone(), e.kind);
            a.cmp(b).then_with(|| order(one).cmp(&order(other)))
        });
        ways
    }

    /// Whether some edges are there now that were not when it began.
    pub(super) fn has_more_now(&self) -> bool {
        self.aged.iter().any(|(age, _)| *age == Age::Later)
    }
}

fn age(edge: &Edge, known_since: Time, onset: Time) -> Option<Age> {
    if edge.declared {
        return None;
    }
    let late_ms = edge.first_seen.ms_since(onset);
    let is_news = edge.first_seen.ms_since(known_since) >= KNOWN_MS;
    match late_ms {
        _ if is_news && late_ms > SLACK_MS => Some(Age::Later),
        _ if is_news && late_ms >= -NEW_MS => Some(Age::New),
        _ if onset.ms_since(edge.last_seen) >= OLD_MS => Some(Age::Faded),
        _ => None,
    }
}

/// What is told of the edges at those in trouble, for a fault that began at `onset`.
pub(super) fn evidence(
    incident: &Incident,
    ways: &Ways,
    troubled: &BTreeSet<EntityRef>,
    (onset, now): (Time, Time),
) -> Vec<Evidence> {
    let concerns = |(age, edge): &&(Age, Edge)| {
        let ends = [&edge.from, &edge.to].map(|e| troubled.contains(e));
        if *age == Age::Faded { ends == [true, true] } else { ends != [false, false] }
    };
    let told = ways.aged.iter().filter(concerns).take(MOST);
    told.map(|(age, edge)| {
        let text = text(*age, edge, onset);
        Evidence {
            id: evidence_id(incident, &format!("way {} {:?} {}", edge.from, edge.kind, edge.to)),
            incident: Some(incident.id),
            at: now,
            summary: text.clone(),
            source: "store".into(),
            query: format!("edge from {} to {}, by when it was seen", edge.from, edge.to),
            since: edge.first_seen,
            until: edge.last_seen.max(edge.first_seen),
            finding: Finding::Record { id: format!("{} {}", edge.from, edge.to), text },
        }
    })
    .collect()
}

fn text(age: Age, edge: &Edge, onset: Time) -> String {
    let (from, to) = (edge.from.name(), edge.to.name());
    let does = match edge.kind {
        EdgeKind::Calls => "calls",
        EdgeKind::RunsOn => "runs on",
    };
    let late_ms = edge.first_seen.ms_since(onset);
    let lasts = duration_text(late_ms.abs());
    let since = edge.first_seen.clock_text();
    match age {
        Age::New if late_ms >= 0 => {
            format!("{from} {does} {to} since {since} UTC (new), at the onset")
        }
        Age::New => format!("{from} {does} {to} since {since} UTC (new), {lasts} before the onset"),
        Age::Later => format!(
            "{from} {does} {to} only since {since} UTC (new), {lasts} after the onset: the fault did not \
             come that way"
        ),
        Age::Unsure => format!(
            "that {from} {does} {to} was first seen {since} UTC, {lasts} after the onset, but {to} was in \
             trouble before: that way counts half"
        ),
        Age::Faded => format!(
            "that {from} {does} {to} was last seen {}, {} before the onset: that way counts half",
            edge.last_seen.minute_text(),
            duration_text(onset.ms_since(edge.last_seen))
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::rank;
    use crate::diagnose::tests::{alert, at, input, service};
    use crate::model::Indicator;

    const DAY: i64 = 86_400;

    fn edge(from: &str, to: &str, seen: (i64, i64)) -> Edge {
        Edge {
            from: service(from),
            to: service(to),
            kind: EdgeKind::Calls,
            first_seen: at(seen.0),
            last_seen: at(seen.1),
            declared: false,
            learned: true,
        }
    }

    fn ages(edges: &[Edge]) -> Vec<(Age, String)> {
        let ways = Ways::at(edges, at(0), &BTreeMap::new());
        ways.aged.iter().map(|(age, e)| (*age, e.to.name().to_owned())).collect()
    }

    #[test]
    fn an_edge_is_new_only_where_its_caller_is_known_for_long() {
        let old = || edge("orders", "stock", (-9 * DAY, 60));
        let of = |to: &str, age| vec![(age, to.to_owned())];
        assert_eq!(ages(&[old(), edge("orders", "pay", (-120, 60))]), of("pay", Age::New));
        assert_eq!(ages(&[old(), edge("orders", "pay", (20, 60))]), of("pay", Age::New));
        assert_eq!(ages(&[old(), edge("orders", "pay", (40, 60))]), of("pay", Age::Later));
        assert_eq!(ages(&[old(), edge("orders", "pay", (-3 * 3_600, 60))]), []);
        assert_eq!(
            ages(&[old(), edge("orders", "pay", (-9 * DAY, -3 * DAY))]),
            of("pay", Age::Faded)
        );
        // Of whom nothing was known before, nothing is new; what is declared was always there.
        assert_eq!(ages(&[old(), edge("cart", "pay", (40, 60))]), []);
        assert_eq!(
            ages(&[edge("orders", "stock", (-60, 60)), edge("orders", "pay", (40, 60))]),
            []
        );
        let declared = Edge { declared: true, ..edge("orders", "pay", (40, 60)) };
        assert_eq!(ages(&[old(), declared.clone()]), []);
        assert_eq!(ages(&[Edge { declared: true, ..old() }, edge("orders", "pay", (40, 60))]), []);
        let faded = Edge { last_seen: at(-9 * DAY), ..declared };
        assert_eq!(ages(&[old(), faded]), []);
    }

    #[test]
    fn where_nobody_looks_no_way_fades() {
        let gone = |to: &str| edge("orders", to, (-9 * DAY, -3 * DAY));
        assert_eq!(ages(&[gone("pay"), gone("stock")]), [], "no spans come any more");
        let of = |to: &str| vec![(Age::Faded, to.to_owned())];
        let asked = edge("web", "orders", (-9 * DAY, 60));
        assert_eq!(ages(&[gone("pay"), asked]), of("pay"), "those of who calls it do");
        // What runs on it besides is as sure as ever.
        let other = Edge { kind: EdgeKind::RunsOn, ..edge("orders", "pay", (-9 * DAY, 60)) };
        let ways = Ways::at(&[gone("pay"), other], at(0), &BTreeMap::new());
        assert!(!ways.graph.is_faded(&service("orders"), &service("pay")) && ways.aged.is_empty());
    }

    #[test]
    fn a_way_first_seen_when_it_failed_may_have_been_there() {
        let edges = [edge("orders", "stock", (-9 * DAY, 60)), edge("orders", "fraud", (60, 70))];
        let of = |began: i64| {
            let troubled = [(service("fraud"), at(began))].into();
            let ways = Ways::at(&edges, at(0), &troubled);
            let faded = ways.graph.is_faded(&service("orders"), &service("fraud"));
            let there = ways.graph.dependencies(&service("orders")).count() == 2;
            let with = input(Graph::default(), Vec::new(), Vec::new());
            let troubled = [service("fraud")].into();
            let told = evidence(&with.incident, &ways, &troubled, (at(0), at(90)));
            (there, faded, told[0].summary.clone())
        };
        let (there, faded, told) = of(10);
        assert!(there && faded);
        insta::assert_snapshot!(told, @"that orders calls fraud was first seen 03:01:00 UTC, 60 s after the onset, but fraud was in trouble before: that way counts half");
        let (there, faded, told) = of(70);
        assert!(!there && !faded && told.ends_with("did not come that way"), "{told}");
    }

    #[test]
    fn a_stand_in_that_is_called_since_the_fault_does_not_explain_it() {
        let alerts = vec![
            alert(&service("orders"), Indicator::Errors, 9.0, 0),
            alert(&service("backup"), Indicator::Errors, 9.0, 60),
        ];
        let explained = |first_seen: i64| {
            let edges =
                [edge("web", "orders", (-9 * DAY, 60)), edge("orders", "backup", (first_seen, 60))];
            let graph = Ways::at(&edges, at(0), &BTreeMap::new()).graph;
            let ranked = rank(&input(graph, alerts.clone(), Vec::new()));
            let of = |name: &str| {
                let own = ranked.hypotheses.iter().find(|h| h.entity.name() == name);
                own.expect("it is in trouble").impact_chain.clone()
            };
            (ranked.hypotheses[0].entity.name().to_owned(), of("backup").len())
        };
        assert_eq!(explained(-9 * DAY).0, "backup", "what it always called");
        let (first, reached) = explained(40);
        assert_eq!(first, "orders", "what it calls since");
        assert!(reached < explained(-9 * DAY).1, "{reached}");
    }

    #[test]
    fn a_way_that_was_not_seen_for_long_counts_half() {
        let alerts = vec![
            alert(&service("orders"), Indicator::Duration, 9.0, 30),
            alert(&service("pay"), Indicator::Errors, 90.0, 0),
        ];
        let score = |last_seen: i64| {
            let edges = [
                edge("web", "orders", (-9 * DAY, 60)),
                edge("orders", "pay", (-9 * DAY, last_seen)),
            ];
            let ranked = rank(&input(
                Ways::at(&edges, at(0), &BTreeMap::new()).graph,
                alerts.clone(),
                Vec::new(),
            ));
            let pay = ranked.hypotheses.iter().find(|h| h.entity.name() == "pay");
            let parts = &pay.expect("it is in trouble").parts;
            parts.iter().find(|p| p.name == "graph").expect("it has a place").contribution
        };
        let (seen, faded) = (score(0), score(-5 * DAY));
        // It explains itself, and the other by half.
        assert!((seen - 2.0).abs() < 1e-9 && (faded - 1.5).abs() < 1e-9, "{seen} {faded}");
    }

    #[test]
    fn the_age_of_ways_at_those_in_trouble_is_told() {
        let edges = [
            edge("orders", "stock", (-9 * DAY, 60)),
            edge("orders", "pay", (-120, 60)),
            edge("orders", "backup", (40, 60)),
            edge("orders", "mail", (-9 * DAY, -3 * DAY)),
            edge("far", "farther", (-9 * DAY, 60)),
            edge("far", "new", (-120, 60)),
        ];
        let with = input(Graph::default(), Vec::new(), Vec::new());
        let ways = Ways::at(&edges, at(0), &BTreeMap::new());
        assert!(ways.has_more_now() && !Ways::at(&edges, at(60), &BTreeMap::new()).has_more_now());
        let of = |names: &[&str]| {
            let troubled = names.iter().map(|n| service(n)).collect();
            let found = evidence(&with.incident, &ways, &troubled, (at(0), at(90)));
            found.into_iter().map(|e| e.summary).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(of(&["orders", "mail"]), @"
        orders calls pay since 02:58:00 UTC (new), 2 min before the onset
        orders calls backup only since 03:00:40 UTC (new), 40 s after the onset: the fault did not come that way
        that orders calls mail was last seen 2026-11-17 03:00 UTC, 3 d 0 h before the onset: that way counts half
        ");
        assert_eq!(of(&["stock"]), "");
        assert_eq!(of(&["mail"]), "", "an old way of which one end is well");
    }
}
