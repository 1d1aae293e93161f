//! Each kind of change on made-up traces where it, and no other, fires; and quiet ones.

use super::*;
use crate::model::Labels;
use crate::model::time::DAY_MS;
use crate::stats::draw;

fn start() -> Time {
    Time::parse("2026-11-02T00:00:00Z").expect("valid")
}

/// What happens to calls of `orders`.
#[derive(Clone, Copy)]
struct World {
    /// Factor on the time of this share of calls.
    slow: (f64, f64),
    failed: f64,
    pod: &'static str,
    /// Calls an edge that was not there.
    new: bool,
    /// Traces in ten seconds.
    traces: i64,
}

const WELL: World =
    World { slow: (1.0, 1.0), failed: 0.01, pod: "orders-1", new: false, traces: 20 };

struct Shop {
    spans: Spans,
    at: Time,
    said: Vec<Anomaly>,
}

fn span(at: Time, service: &str, ids: (i64, u64, Option<u64>), ms: f64) -> Span {
    let (trace, id, parent) = ids;
    Span {
        at,
        duration_ms: ms,
        entity: EntityRef::service(service),
        name: format!("GET /{service}"),
        is_server: true,
        peer: None,
        failed: false,
        trace_id: format!("{trace:032x}"),
        span_id: format!("{id:016x}"),
        parent_span_id: parent.map(|p| format!("{p:016x}")),
        attributes: Labels::default().with("k8s.pod.name", format!("{service}-1")),
    }
}

impl Shop {
    fn new() -> Self {
        Self { spans: Spans::default(), at: start(), said: Vec::new() }
    }

    /// The spans of ten seconds, callee first as services export them.
    fn traces(&self, world: World) -> Vec<Span> {
        let mut all = Vec::new();
        for n in 0..world.traces {
            let trace = self.at.ms() + n;
            let chance = draw(trace.unsigned_abs(), 1);
            let day = (self.at.ms() as f64 / DAY_MS as f64 * std::f64::consts::TAU).sin();
            // A tail of slow calls, and a rhythm of the day.
            let usual =
                (20.0 + 5.0 * day) * (1.0 + 0.3 * draw(trace.unsigned_abs(), 2)) / (1.05 - chance);
            let slow = draw(trace.unsigned_abs(), 3) < world.slow.0;
            let ms = if slow { usual * world.slow.1 } else { usual };
            let mut db = span(self.at, "orders", (trace, 3, Some(2)), 3.0 + chance);
            (db.is_server, db.peer) = (false, Some(EntityRef::new("db.namespace", "orders")));
            db.attributes.set("db.system.name", "postgresql");
            let mut orders = span(self.at, "orders", (trace, 2, Some(1)), ms);
            orders.attributes.set("k8s.pod.name", world.pod);
            orders.failed = draw(trace.unsigned_abs(), 4) < world.failed;
            all.extend([db, orders]);
            if world.new {
                all.push(span(self.at, "audit", (trace, 4, Some(1)), 5.0));
            }
            all.push(span(self.at, "frontend", (trace, 1, None), ms + 10.0));
        }
        all
    }

    fn run(&mut self, minutes: i64, world: World) -> Vec<Anomaly> {
        self.play(minutes, world, false)
    }

    fn play(&mut self, minutes: i64, world: World, backfill: bool) -> Vec<Anomaly> {
        for _ in 0..minutes * 6 {
            let traces = self.traces(world);
            self.at = self.at.plus_ms(10_000);
            self.spans.observe(&traces, self.at, backfill, &mut self.said);
        }
        std::mem::take(&mut self.said)
    }

    /// One that has been well for seven hours.
    fn taught() -> Self {
        let mut shop = Self::new();
        assert_eq!(shop.run(7 * 60, WELL), [], "it is quiet");
        shop
    }
}

fn kinds(said: &[Anomaly]) -> Vec<(&str, bool)> {
    said.iter().map(|a| (a.detector.as_str(), a.until.is_some())).collect()
}

#[test]
fn two_days_with_their_rhythm_and_more_traffic_are_quiet() {
    let mut shop = Shop::new();
    assert_eq!(shop.run(36 * 60, WELL), []);
    assert_eq!(shop.run(60, World { traces: 80, ..WELL }), []);
    assert_eq!(shop.run(120, World { traces: 1, ..WELL }), []);
}

#[test]
fn a_slow_edge_is_told_and_ends() {
    let mut shop = Shop::taught();
    let said = shop.run(10, World { slow: (1.0, 4.0), ..WELL });
    assert_eq!(kinds(&said)[0], ("span-latency/1", false));
    assert!(said.iter().all(|a| a.detector == "span-latency/1" && a.id == said[0].id));
    assert!(said[0].at.ms_since(said[0].since) <= 3 * MINUTE_MS);
    let Subject::Edge { from, to, operation } = &said[0].subject else { panic!("an edge") };
    assert_eq!((from.name(), to.name(), operation.as_str()), ("frontend", "orders", "GET /orders"));
    assert!(said[0].why.starts_with("calls GET /orders from frontend to orders take "));
    assert!(said[0].why.contains("(for example in trace 0000"), "{}", said[0].why);
    let alert = crate::detect::lifecycle::alert_of(&said[0], 4.0);
    assert_eq!((alert.name(), alert.labels.get("caller")), ("CallsSlow", Some("frontend")));
    assert_eq!(alert.entity, EntityRef::service("orders"));
    let summary = alert.annotations.get("summary").expect("has one");
    assert!(summary.starts_with("frontend's calls GET /orders to orders take "), "{summary}");
    let said = shop.run(10, WELL);
    assert_eq!(kinds(&said), [("span-latency/1", true)]);
}

#[test]
fn a_slow_tail_is_told_and_a_slightly_slower_edge_is_not() {
    let mut shop = Shop::taught();
    assert_eq!(shop.run(30, World { slow: (1.0, 1.2), ..WELL }), []);
    let said = shop.run(15, World { slow: (0.25, 20.0), ..WELL });
    assert_eq!(kinds(&said)[0], ("span-latency/1", false));
}

#[test]
fn failing_calls_are_told_and_end() {
    let mut shop = Shop::taught();
    let said = shop.run(10, World { failed: 0.3, ..WELL });
    assert_eq!(kinds(&said)[0], ("span-errors/1", false));
    assert!(said.iter().all(|a| a.id == said[0].id));
    assert!(said[0].why.contains("of the calls GET /orders from frontend to orders fail since"));
    assert_eq!(kinds(&shop.run(10, WELL)), [("span-errors/1", true)]);
}

#[test]
fn what_befalls_an_edge_that_is_called_seldom_is_dated_to_the_first_call_it_befell() {
    let seldom = World { traces: 1, failed: 0.0, ..WELL };
    for world in [World { failed: 0.9, ..seldom }, World { slow: (0.9, 30.0), ..seldom }] {
        let mut shop = Shop::new();
        assert_eq!(shop.run(20 * 60, seldom), []);
        // A window of so few calls takes minutes; it begins within one.
        assert_eq!(shop.run(4, seldom), []);
        let from = shop.at;
        let said = shop.run(30, world);
        let off = said[0].since.ms_since(from);
        assert!((0..=MINUTE_MS).contains(&off), "{off} ms, told after {}", said[0].why);
    }
}

#[test]
fn an_edge_that_was_not_there_before_is_told() {
    let mut shop = Shop::taught();
    let said = shop.run(30, World { new: true, ..WELL });
    assert_eq!(kinds(&said), [("span-new-edge/1", false), ("span-new-edge/1", true)]);
    assert!(said[0].why.contains("frontend calls audit since 07:0"), "{}", said[0].why);
}

#[test]
fn a_cold_start_is_told_as_such_and_is_no_slowdown() {
    let mut shop = Shop::taught();
    let mut said = shop.run(1, World { slow: (1.0, 30.0), pod: "orders-2", traces: 8, ..WELL });
    said.extend(shop.run(20, World { pod: "orders-2", ..WELL }));
    assert_eq!(kinds(&said), [("span-cold-start/1", false), ("span-cold-start/1", true)]);
    assert!(said[0].why.starts_with("the first calls that orders-2 of orders answers are slow"));
    // One that stays slow is a slowdown.
    let said = shop.run(10, World { slow: (1.0, 30.0), pod: "orders-3", ..WELL });
    assert!(kinds(&said).contains(&("span-latency/1", false)), "{:?}", kinds(&said));
}

#[test]
fn calls_are_found_in_whatever_order_spans_come() {
    let shop = Shop::new();
    let forward = shop.traces(WELL);
    let count = |spans: &[Span]| {
        let mut pairs = Pairs::default();
        let calls = spans.iter().flat_map(|s| pairs.take(s));
        calls.map(|(from, call)| (from.to_string(), call.to.to_string())).collect::<Vec<_>>()
    };
    let sorted = |mut calls: Vec<(String, String)>| {
        calls.sort();
        calls
    };
    let backward: Vec<Span> = forward.iter().rev().cloned().collect();
    let calls = sorted(count(&forward));
    assert_eq!(calls.len(), 40, "{calls:?}");
    assert_eq!(calls, sorted(count(&backward)));
    assert!(calls.contains(&("service.name=frontend".into(), "service.name=orders".into())));
    assert!(calls.contains(&("service.name=orders".into(), "db.namespace=orders".into())));
}

#[test]
fn what_is_told_and_ends_in_history_is_ended_once() {
    let slow = World { slow: (1.0, 4.0), ..WELL };
    for world in [slow, World { failed: 0.3, ..WELL }] {
        let mut shop = Shop::taught();
        let told = shop.run(10, world);
        assert!(!told[0].detector.is_empty() && told[0].until.is_none());
        // A restart, and then history of a time when it was well.
        let bytes = rmp_serde::to_vec(&shop.spans).expect("packs");
        shop.spans = rmp_serde::from_slice(&bytes).expect("unpacks");
        let said = shop.play(10, WELL, true);
        assert_eq!(kinds(&said), [(told[0].detector.as_str(), true)]);
        assert_eq!(said[0].id, told[0].id);
        assert_eq!(shop.run(10, WELL), [], "it is over once");
    }
    // What was told and goes on through history stays told.
    let mut shop = Shop::taught();
    let told = shop.run(10, slow);
    assert_eq!(shop.play(5, slow, true), []);
    assert!(shop.run(5, slow).iter().all(|a| a.id == told[0].id));
    let ended = shop.run(10, WELL);
    assert_eq!((kinds(&ended), ended[0].id), (vec![("span-latency/1", true)], told[0].id));
}

#[test]
fn what_begins_in_history_is_told_when_it_goes_on_and_not_before() {
    let slow = World { slow: (1.0, 4.0), ..WELL };
    let mut shop = Shop::taught();
    assert_eq!(shop.play(10, slow, true), []);
    assert_eq!(shop.play(15, WELL, true), []);
    assert_eq!(shop.run(15, WELL), [], "nothing ends that nobody was told of");
    assert_eq!(shop.play(10, slow, true), []);
    assert_eq!(kinds(&shop.run(5, slow))[0], ("span-latency/1", false));
    let cold = World { slow: (1.0, 30.0), pod: "orders-2", traces: 8, ..WELL };
    let mut shop = Shop::taught();
    assert_eq!(shop.play(1, cold, true), []);
    assert_eq!(shop.run(20, World { pod: "orders-2", ..WELL }), []);
}

#[test]
fn a_restored_state_goes_on_alike_and_stays_within_bounds() {
    let mut shop = Shop::taught();
    let pack = |s: &Spans| rmp_serde::to_vec(s).expect("packs");
    let bytes = pack(&shop.spans);
    assert!(bytes.len() < 600_000, "{} bytes", bytes.len());
    let spans = rmp_serde::from_slice(&bytes).expect("unpacks");
    let mut again = Shop { spans, at: shop.at, said: Vec::new() };
    let world = World { slow: (0.5, 9.0), failed: 0.4, new: true, ..WELL };
    assert_eq!(shop.run(30, world), again.run(30, world));
    assert_eq!(pack(&shop.spans), pack(&again.spans));
    let mut many = Vec::new();
    for n in 0..(MOST_EDGES as i64 + 100) {
        let (caller, callee) = (format!("caller-{}", n / 40), format!("callee-{n}"));
        many.push(span(shop.at, &callee, (n, 2, Some(1)), 1.0));
        many.push(span(shop.at, &caller, (n, 1, None), 1.0));
    }
    shop.spans.observe(&many, shop.at, false, &mut Vec::new());
    assert_eq!(shop.spans.n_edges, MOST_EDGES);
    assert!(shop.spans.shed >= 100, "{}", shop.spans.shed);
}
