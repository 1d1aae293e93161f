//! Requests of the services in trouble, as their spans tell: what separates bad ones from good ones.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::evidence_id;
use super::separate::{Request, Separates, separating};
use crate::model::diagnosis::Finding;
use crate::model::figure::{count_text, n_of};
use crate::model::time::MINUTE_MS;
use crate::model::{EntityRef, Evidence, Fault, Gap, Incident, Span, Time};
use crate::stats;
use crate::store::{Rows, SpanFilter};

/// Looked at before and since the onset (ms).
const AROUND_MS: (i64, i64) = (30 * MINUTE_MS, 10 * MINUTE_MS);
/// Spans read on each side of the onset, of all services together.
const MOST_SPANS: usize = 4_000;
/// Services whose requests are looked at, in order of onset.
const MOST_SERVICES: usize = 8;
/// Values told of one service.
const MOST_OF_ONE: usize = 2;
/// Requests of one kind that show what is usual.
const FEWEST: usize = 10;
/// Slow is what takes longer than this many times the 95th percentile before the onset.
const SLOW: f64 = 1.5;
/// Attributes that are tried, of the span and its resource. None is there to name a person: what
/// separates is told in chats.
const ATTRIBUTES: [&str; 19] = [
    "service.version",
    "service.instance.id",
    "deployment.environment.name",
    "host.name",
    "k8s.node.name",
    "k8s.pod.name",
    "k8s.namespace.name",
    "k8s.cluster.name",
    "cloud.region",
    "cloud.availability_zone",
    "http.route",
    "http.request.method",
    // No convention names a tenant: these are the usual ways.
    "tenant.id",
    "tenant.name",
    "tenant_id",
    "tenant",
    "organization.id",
    "server.address",
    "feature_flag.variant",
];

/// Evidence by service, and what was not read.
pub(super) type Read = (Vec<(EntityRef, Evidence)>, Vec<Gap>);

/// Reads the suspects' spans around the onset and tells what separates, as evidence by service.
pub(super) fn read(
    rows: &Rows<'_>,
    incident: &Incident,
    suspects: &[EntityRef],
    (onset, now): (Time, Time),
) -> Result<Read, Fault> {
    let until = now.min(onset.plus_ms(AROUND_MS.1));
    let mut services: Vec<EntityRef> = suspects.iter().filter(|e| !e.is_host()).cloned().collect();
    if until <= onset || services.is_empty() {
        return Ok(Read::default());
    }
    let from = onset.plus_ms(-AROUND_MS.0);
    let gap = |what: String, why: String| Gap { what, why, since: Some(from), until: Some(until) };
    let mut gaps = Vec::new();
    let more = services.len().saturating_sub(MOST_SERVICES);
    if more > 0 {
        let what = format!("requests of {} more in trouble", count_text(more as u64));
        gaps.push(gap(what, format!("only the first {MOST_SERVICES} are looked at")));
        services.truncate(MOST_SERVICES);
    }
    let most = MOST_SPANS / services.len();
    let (before, mut cut) = spans(rows, &services, (from, onset), most)?;
    let (since, cut_since) = spans(rows, &services, (onset, until), most)?;
    cut.extend(cut_since);
    if !cut.is_empty() {
        let names: Vec<&str> = cut.iter().map(EntityRef::name).collect();
        gaps.push(gap(
            format!("older requests of {}", names.join(", ")),
            format!(
                "only the newest {} of each before the onset and since are read",
                n_of(most as u64, "span")
            ),
        ));
    }
    let mut found = Vec::new();
    for (entity, by) in told(&before, &since, &services) {
        let evidence = evidence(incident, &entity, &by, (onset, until, now));
        found.push((entity, evidence));
    }
    Ok((found, gaps))
}

/// The newest spans of each service in a range, at most so many of each, and the services that have
/// more.
fn spans(
    rows: &Rows<'_>,
    services: &[EntityRef],
    (since, until): (Time, Time),
    most: usize,
) -> Result<(Vec<Span>, BTreeSet<EntityRef>), Fault> {
    let (mut all, mut cut) = (Vec::new(), BTreeSet::new());
    for service in services {
        let mut own = rows.spans(&SpanFilter {
            entity: Some(service.clone()),
            since: Some(since),
            until: Some(until),
            limit: most + 1,
            ..SpanFilter::default()
        })?;
        if own.len() > most {
            own.truncate(most);
            cut.insert(service.clone());
        }
        all.append(&mut own);
    }
    Ok((all, cut))
}

/// What separates the requests of each suspect since the onset. What was bad before the onset as
/// often is no news, so the version before and after counts too: it is held against all requests.
fn told(before: &[Span], since: &[Span], suspects: &[EntityRef]) -> Vec<(EntityRef, Separates)> {
    let calls = called(before.iter().chain(since));
    let mut found = Vec::new();
    for entity in suspects.iter().filter(|e| !e.is_host()) {
        let of = |spans: &[Span]| -> Vec<Span> {
            let own =
                |s: &&Span| s.entity == *entity && (s.is_server || s.parent_span_id.is_none());
            spans.iter().filter(own).cloned().collect()
        };
        let (old, new) = (of(before), of(since));
        let usual = usual(&old);
        let request = |span: &Span, only: Option<&str>| {
            let slow =
                usual.get(span.name.as_str()).is_some_and(|p95| span.duration_ms > SLOW * p95);
            Request { bad: span.failed || slow, attributes: attributes(span, &calls, only) }
        };
        let late: Vec<Request> = new.iter().map(|s| request(s, None)).collect();
        let mut separates = separating(&late);
        if separates.is_empty() {
            // A version that all requests have since the onset and none had before.
            let all = old.iter().chain(&new).map(|s| request(s, Some("service.version")));
            separates = separating(&all.collect::<Vec<_>>());
        }
        found.extend(separates.into_iter().take(MOST_OF_ONE).map(|s| (entity.clone(), s)));
    }
    found
}

/// How long requests of each name took before, at their 95th percentile.
fn usual(old: &[Span]) -> BTreeMap<&str, f64> {
    let mut by_name: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for span in old.iter().filter(|s| !s.failed) {
        by_name.entry(&span.name).or_default().push(span.duration_ms);
    }
    let enough = by_name.into_iter().filter(|(_, all)| all.len() >= FEWEST);
    enough.filter_map(|(name, all)| Some((name, stats::quantile(&all, 0.95)?))).collect()
}

/// What each span called, by trace and span: other services, and what its client spans name.
fn called<'a>(
    spans: impl Iterator<Item = &'a Span>,
) -> BTreeMap<(&'a str, &'a str), BTreeSet<&'a str>> {
    let mut found: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for span in spans {
        let Some(parent) = &span.parent_span_id else { continue };
        let callee = span.peer.as_ref().unwrap_or(&span.entity).name();
        found.entry((&span.trace_id, parent)).or_default().insert(callee);
    }
    found
}

fn attributes(
    span: &Span,
    calls: &BTreeMap<(&str, &str), BTreeSet<&str>>,
    only: Option<&str>,
) -> Vec<(String, String)> {
    let tried = ATTRIBUTES.iter().filter(|a| only.is_none_or(|o| **a == o));
    let mut found: Vec<(String, String)> =
        tried.filter_map(|a| Some(((*a).to_owned(), span.attributes.get(a)?.to_owned()))).collect();
    if only.is_none() {
        found.push(("operation".into(), span.name.clone()));
        let own = calls.get(&(span.trace_id.as_str(), span.span_id.as_str()));
        let own = own.into_iter().flatten().filter(|c| **c != span.entity.name());
        found.extend(own.map(|callee| ("calls".to_owned(), (*callee).to_owned())));
    }
    found
}

fn evidence(
    incident: &Incident,
    entity: &EntityRef,
    by: &Separates,
    (onset, until, now): (Time, Time, Time),
) -> Evidence {
    let share = |(bad, all): (u64, u64)| bad as f64 / all.max(1) as f64 * 100.0;
    let which = if by.attribute == "calls" {
        format!("that call {}", by.value)
    } else {
        format!("with {} {}", by.attribute, by.value)
    };
    let summary = format!(
        "{:.0} % of the {} requests of {} {which} fail or are slow, {:.0} % of {} others; at least \
         {:.0} times as often",
        share(by.with),
        count_text(by.with.1),
        entity.name(),
        share(by.others),
        count_text(by.others.1),
        by.lift.floor()
    );
    Evidence {
        id: evidence_id(incident, &format!("requests {entity} {} {}", by.attribute, by.value)),
        incident: Some(incident.id),
        at: now,
        summary,
        source: "store".into(),
        query: format!("server spans of {entity}, by {}", by.attribute),
        since: onset.plus_ms(-AROUND_MS.0),
        until,
        finding: Finding::Requests {
            entity: entity.clone(),
            attribute: by.attribute.clone(),
            value: by.value.clone(),
            n: by.with.1,
            n_bad: by.with.0,
            n_others: by.others.1,
            n_bad_others: by.others.0,
            chance: by.chance,
            at_least: by.lift,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::tests::{chain, input};
    use crate::model::Labels;
    use crate::store::Store;

    fn span(i: u64, second: i64, version: &str, node: &str, ms: f64) -> Span {
        Span {
            at: Time::from_ms(1_700_000_000_000 + second * 1_000),
            duration_ms: ms,
            entity: EntityRef::service("orders"),
            name: "POST /orders".into(),
            is_server: true,
            peer: None,
            failed: false,
            trace_id: format!("t{i}"),
            span_id: "a".into(),
            parent_span_id: None,
            attributes: Labels::default().with("service.version", version).with("host.name", node),
        }
    }

    #[test]
    fn a_node_is_found_among_requests_since_the_onset_and_a_version_across_it() {
        let orders = [EntityRef::service("orders")];
        let node = |i: u64| if i.is_multiple_of(2) { "node-1" } else { "node-2" };
        let old: Vec<Span> =
            (0..80).map(|i| span(i, -100, "1", node(i), 10.0 + (i % 7) as f64)).collect();
        let half: Vec<Span> = (80..160)
            .map(|i| span(i, 5, "1", node(i), if i % 2 == 1 { 900.0 } else { 11.0 }))
            .collect();
        let found = told(&old, &half, &orders);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].1.attribute.as_str(), found[0].1.value.as_str()),
            ("host.name", "node-2")
        );
        let all: Vec<Span> = (80..160).map(|i| span(i, 5, "2", node(i), 900.0)).collect();
        let found = told(&old, &all, &orders);
        assert_eq!(
            (found[0].1.attribute.as_str(), found[0].1.value.as_str()),
            ("service.version", "2")
        );
        assert!(told(&old, &old, &orders).is_empty());
    }

    #[test]
    fn what_a_request_called_may_separate() {
        let mut spans: Vec<Span> = Vec::new();
        let old: Vec<Span> = (0..40).map(|i| span(i, -100, "1", "n", 10.0)).collect();
        for i in 100_u64..200 {
            let calls = i.is_multiple_of(2);
            spans.push(span(i, 5, "1", "n", if calls { 500.0 } else { 10.0 }));
            if calls {
                let mut client = span(i, 5, "1", "n", 480.0);
                client.is_server = false;
                client.span_id = "b".into();
                client.parent_span_id = Some("a".into());
                client.peer = Some(EntityRef::service("orders-db"));
                spans.push(client);
            }
        }
        let found = told(&old, &spans, &[EntityRef::service("orders")]);
        assert_eq!(
            (found[0].1.attribute.as_str(), found[0].1.value.as_str()),
            ("calls", "orders-db")
        );
    }

    #[tokio::test]
    async fn a_loud_neighbour_hides_no_suspect_and_what_was_cut_is_a_gap() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
        let of = |name: &str, i: u64, second: i64| {
            let ms = if second > 0 { 900.0 } else { 10.0 };
            let version = if second > 0 { "2" } else { "1" };
            Span { entity: EntityRef::service(name), ..span(i, second, version, "n", ms) }
        };
        let loud: Vec<Span> = (0..4_100).map(|i| of("loud", i, -1)).collect();
        let quiet: Vec<Span> =
            (0..80).map(|i| of("orders", i, if i < 40 { -100 } else { 5 })).collect();
        store
            .write(move |tx| [loud, quiet].iter().try_for_each(|all| tx.append_spans(all)))
            .await
            .expect("written");
        let read = |names: &'static [&'static str]| {
            let onset = Time::from_ms(1_700_000_000_000);
            let suspects: Vec<EntityRef> = names.iter().map(|n| EntityRef::service(*n)).collect();
            let incident = input(chain(), Vec::new(), Vec::new()).incident;
            store.read(move |rows| {
                read(rows, &incident, &suspects, (onset, onset.plus_ms(MINUTE_MS)))
            })
        };
        let (found, gaps) = read(&["orders"]).await.expect("read");
        assert_eq!((found.len(), gaps.len()), (1, 0), "{found:?} {gaps:?}");
        let (_, gaps) = read(&["loud", "orders"]).await.expect("read");
        let text: Vec<String> = gaps.iter().map(|g| format!("{}: {}", g.what, g.why)).collect();
        insta::assert_snapshot!(
            text.join("\n"),
            @"older requests of loud: only the newest 2,000 spans of each before the onset and since are read"
        );
    }
}
