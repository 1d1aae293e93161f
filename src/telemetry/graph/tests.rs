//! Edges learned from spans and declared in configuration, over a real store.

use super::*;
use crate::model::Labels;
use crate::store::Store;

fn at(s: i64) -> Time {
    Time::from_ms(1_800_000_000_000 + s * 1_000)
}

fn span(id: &str, parent: Option<&str>, service: &str, is_server: bool) -> Span {
    Span {
        at: at(0),
        duration_ms: 12.0,
        entity: EntityRef::service(service),
        trace_id: "t".into(),
        span_id: id.into(),
        parent_span_id: parent.map(Into::into),
        name: "GET /".into(),
        is_server,
        failed: false,
        peer: None,
        attributes: Labels::default(),
    }
}

fn opened() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (Store::open(&folder.path().join("nightjar.sqlite")).expect("opens"), folder)
}

async fn edges(store: &Store) -> Vec<String> {
    let all = store.read(|r| r.list::<Edge>(&Filter::all())).await.expect("reads");
    let mut all: Vec<String> = all
        .into_iter()
        .map(|e| {
            let mark = if e.declared { " declared" } else { "" };
            format!("{} {:?} {}{mark}", e.from.name(), e.kind, e.to.name())
        })
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_call_is_counted_once_whichever_side_is_told_of_first() {
    let mut client = span("b", Some("a"), "frontend", false);
    client.peer = Some(EntityRef::service("checkout"));
    let caller = vec![span("a", None, "frontend", true), client];
    let mut server = span("c", Some("b"), "checkout", true);
    server.attributes.set("host.name", "node-1");
    let mut query = span("d", Some("c"), "checkout", false);
    query.peer = Some(EntityRef::service("orders-db"));
    query.attributes.set("db.system.name", "postgresql");
    let callee = vec![server, query];
    let together = [caller.clone(), callee.clone()].concat();
    for batches in [vec![caller.clone(), callee.clone()], vec![callee, caller], vec![together]] {
        let (store, _folder) = opened();
        for batch in batches {
            store
                .write(move |tx| {
                    tx.append_spans(&batch)?;
                    learn(tx, &batch)
                })
                .await
                .expect("learns");
        }
        assert_eq!(
            edges(&store).await,
            ["checkout Calls orders-db", "checkout RunsOn node-1", "frontend Calls checkout"]
        );
        let calls = store.read(|r| r.edge_stats(at(-600), at(600))).await.expect("reads");
        let mut counted: Vec<_> = calls.iter().map(|c| (c.to.name(), c.n)).collect();
        counted.sort_unstable();
        assert_eq!(counted, [("checkout", 1), ("orders-db", 1)]);
    }
}

#[tokio::test]
async fn what_is_no_longer_declared_is_taken_back_and_what_was_learned_stays() {
    let (store, _folder) = opened();
    let declared: Config = serde_json::from_value(serde_json::json!({
        "calls": { "frontend": ["checkout", "cart"] },
        "runs_on": { "cart": ["host.name=node-2"] },
    }))
    .expect("valid");
    let fewer = Config { runs_on: BTreeMap::new(), ..declared.clone() };
    store.write(move |tx| declare(tx, &declared, at(0))).await.expect("written");
    assert_eq!(
        edges(&store).await,
        [
            "cart RunsOn node-2 declared",
            "frontend Calls cart declared",
            "frontend Calls checkout declared"
        ]
    );
    store
        .write(move |tx| {
            let spans = [span("a", None, "search", true), span("b", Some("a"), "catalog", true)];
            learn(tx, &spans)?;
            declare(tx, &fewer, at(60))
        })
        .await
        .expect("written");
    assert_eq!(
        edges(&store).await,
        [
            "frontend Calls cart declared",
            "frontend Calls checkout declared",
            "search Calls catalog"
        ]
    );
}

#[tokio::test]
async fn an_edge_keeps_since_when_and_until_when_it_was_seen_in_whichever_order_that_is_told() {
    let (store, _folder) = opened();
    let seen = async |seconds: i64| {
        let both = [span("a", None, "search", true), span("b", Some("a"), "catalog", true)];
        let spans = both.map(|s| Span { at: at(seconds), trace_id: format!("t{seconds}"), ..s });
        store.write(move |tx| learn(tx, &spans)).await.expect("learns");
        let edges = store.read(|r| r.list::<Edge>(&Filter::all())).await.expect("reads");
        (edges[0].first_seen, edges[0].last_seen)
    };
    assert_eq!(seen(0).await, (at(0), at(0)));
    assert_eq!(seen(60).await, (at(0), at(0)), "not written at each sight");
    assert_eq!(seen(900).await, (at(0), at(900)));
    assert_eq!(seen(-5_000).await, (at(-5_000), at(900)), "what comes late");
    assert_eq!(seen(-60).await, (at(-5_000), at(900)));
}

#[tokio::test]
async fn what_was_learned_keeps_its_dates_when_it_is_no_longer_declared() {
    let (store, _folder) = opened();
    let spans = |seconds: i64| {
        let both = [span("a", None, "frontend", true), span("b", Some("a"), "cart", true)];
        both.map(|s| Span { at: at(seconds), trace_id: format!("t{seconds}"), ..s })
    };
    let declared: Config =
        serde_json::from_value(serde_json::json!({ "calls": { "frontend": ["cart", "mail"] } }))
            .expect("valid");
    let (with, none) = (declared, Config::default());
    let kept = async || {
        let all = store.read(|r| r.list::<Edge>(&Filter::all())).await.expect("reads");
        all.iter().map(|e| (e.to.name().to_owned(), e.first_seen, e.declared)).collect::<Vec<_>>()
    };
    let both = with.clone();
    store
        .write(move |tx| {
            learn(tx, &spans(0))?;
            // As a version before wrote it, which did not say how it was learned.
            for edge in tx.list::<Edge>(&Filter::all())? {
                tx.put(&Edge { learned: false, ..edge })?;
            }
            declare(tx, &both, at(60))
        })
        .await
        .expect("written");
    assert_eq!(kept().await, [("cart".into(), at(0), true), ("mail".into(), at(60), true)]);
    store.write(move |tx| declare(tx, &none, at(120))).await.expect("written");
    assert_eq!(kept().await, [("cart".into(), at(0), false)]);
    // What is declared first and seen by spans meanwhile was learned too.
    let spans = spans(200);
    store
        .write(move |tx| {
            tx.remove::<Edge>(tx.list::<Edge>(&Filter::all())?[0].key())?;
            declare(tx, &with, at(180))?;
            learn(tx, &spans)?;
            declare(tx, &Config::default(), at(300))
        })
        .await
        .expect("written");
    assert_eq!(kept().await, [("cart".into(), at(180), false)]);
}
