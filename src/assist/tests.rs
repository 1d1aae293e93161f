//! The assistant over a seeded store.

use super::*;
use crate::model::*;
use crate::store::Store;

fn now() -> Time {
    Time::parse("2026-11-21T15:00:00Z").expect("valid")
}

fn before(minutes: i64) -> Time {
    now().plus_ms(-minutes * 60_000)
}

async fn seeded() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
    let orders = EntityRef::service("orders");
    let series = Series {
        id: Series::identity("test", "duration p99", &orders, &Labels::default()),
        source: "test".into(),
        entity: orders.clone(),
        metric: "duration p99".into(),
        labels: Labels::default(),
        indicator: Indicator::Duration,
        unit: "s".into(),
        direction: signal::Direction::High,
        query: None,
        limit: None,
        step_ms: 60_000,
    };
    let point = |minutes: i64, value| Point { at: before(minutes), value };
    let points = (0..30)
        .map(|m| point(1_440 + 29 - m, 0.3))
        .chain((0..30).map(|m| point(29 - m, 1.2)))
        .collect();
    let samples = Samples { series, points };
    let lines: Vec<LogLine> = (0..7)
        .map(|n| LogLine {
            at: before(n),
            entity: orders.clone(),
            level: Level::Error,
            body: format!("pool timeout after {n}00 ms"),
            trace_id: None,
            attributes: Labels::default(),
        })
        .collect();
    let change = Change {
        id: ChangeId::derive(before(20), &["t"]),
        kind: diagnosis::ChangeKind::Deploy,
        entity: orders.clone(),
        at: before(20),
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
    let incident = Incident {
        id: IncidentId::derive(before(15), &["i"]),
        number: 12,
        title: "orders p99 1.20 s, was 300 ms".into(),
        state: IncidentState::Open,
        severity: Severity::Critical,
        onset_at: before(15),
        opened_at: before(14),
        updated_at: before(1),
        acknowledged_at: None,
        quiet_since: None,
        resolved_at: None,
        owner: None,
        entities: vec![orders.clone()],
        alerts: Vec::new(),
        n_reports: 3,
        leading: None,
        merged_into: None,
        category: None,
        closed_by: None,
        declared_by: None,
        n_reopened: 0,
        reopened_at: None,
        priority: None,
        taxonomy: None,
        untold: None,
        n_conditions: 0,
    };
    let edge = topology::Edge {
        from: EntityRef::service("checkout"),
        to: orders,
        kind: topology::EdgeKind::Calls,
        first_seen: before(99),
        last_seen: before(1),
        declared: false,
        learned: true,
    };
    store
        .write(move |tx| {
            tx.append_points(&samples)?;
            tx.append_logs(&lines)?;
            tx.put(&change)?;
            tx.put(&incident)?;
            tx.put(&edge)
        })
        .await
        .expect("seeds");
    (folder, store)
}

async fn ask(store: &Store, text: &str) -> Answer {
    let (progress, _heard) = mpsc::channel(16);
    let question =
        Question { text: text.into(), actor: Actor::nightjar(), incident: None, now: now() };
    let assistant = Assistant::new(store.reader(), None, Config::default());
    assistant.ask(question, progress).await.expect("answers")
}

#[tokio::test]
async fn common_questions_are_answered_with_figures_and_citations() {
    let (_folder, store) = seeded().await;
    for (text, expected) in [
        ("status", "1 incident active now."),
        ("why is order slow", "#12 orders p99 1.20 s, was 300 ms: open"),
        ("#12", "since 2026-11-21 14:45 UTC, 15 min"),
        (
            "what changed since 14:30",
            "2026-11-21 14:40 UTC orders: deploy 4.7.2 (success, before it 4.7.1)",
        ),
        ("show errors of orders", "7 lines, 0 in as long a time before"),
        (
            "compare orders with yesterday",
            "orders duration p99: 1.2 s, a day before 300 ms (+300 %)",
        ),
        ("which services depend on orders", "Depending on it: checkout."),
        ("slowest services", "orders duration p99: 1.2 s"),
        ("what if we deployed orders now", "of which 1 had an incident on it within 60 min"),
        ("is it safe to deploy checkout", "Wait, if it can wait: an incident is open on checkout"),
        ("how many incidents this week", "1 incident opened from"),
    ] {
        let answer = ask(&store, text).await;
        assert!(answer.text.contains(expected), "{text}: {}", answer.text);
        assert!(!answer.citations.is_empty(), "{text} cites nothing");
        for c in &answer.citations {
            assert!(answer.text.contains(&format!("[{}]", c.n)), "{text}: [{}] unused", c.n);
        }
    }
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let (_folder, store) = seeded().await;
    for (text, expected) in [
        ("why is checkout slow", "No incident about checkout is stored."),
        ("#99", "No incident #99 is stored."),
        ("what is silenced", "No silence or maintenance window is in force."),
        ("which runbook", "No runbook matches."),
        ("sing a song", "The question was not understood, so it is not answered."),
        ("why is billing slow", "Nothing named `billing` is known; the nearest names are"),
        ("show errors of billing", "Nothing named `billing` is known;"),
        ("errors of checkout", "None was logged."),
        ("what changed on checkout", "None was reported."),
        ("what changed in the last 5 minutes", "The newest before that:\n- 2026-11-21 14:40 UTC"),
        ("show me p95 of orders", "No p95 is watched; another percentile is shown."),
        ("who was paged", "No alert started from"),
        ("why was i not paged for checkout", "Nothing left its expected band there"),
        ("what happened yesterday", "Nothing is recorded from 2026-11-20 00:00 UTC"),
        ("compare checkout with yesterday", "No metrics of checkout are stored."),
        ("have we seen this before", "No earlier incident like #12 is stored."),
    ] {
        let answer = ask(&store, text).await;
        assert!(answer.text.contains(expected), "{text}: {}", answer.text);
    }
    let answer = ask(&store, "which runbook for pool").await;
    assert!(!answer.text.contains("Nothing named"), "what a runbook is about is no service");
    let answer = ask(&store, "#12").await;
    assert_eq!(answer.gaps.len(), 1, "the missing diagnosis is a gap");
}

async fn ask_model(store: &Store, replies: Vec<crate::llm::Reply>) -> Answer {
    let (progress, _heard) = mpsc::channel(16);
    let text = "why is orders slow".to_owned();
    let question = Question { text, actor: Actor::nightjar(), incident: None, now: now() };
    let model = Arc::new(crate::llm::scripted::Scripted::new(replies));
    let llm = Arc::new(Llm::with(model, crate::llm::Config::default(), store.clone()));
    let assistant = Assistant::new(store.reader(), Some(llm), Config::default());
    assistant.ask(question, progress).await.expect("answers")
}

fn look_up(tool: &str) -> crate::llm::Reply {
    let (name, arguments) = tool.split_once(' ').unwrap_or((tool, "{}"));
    let (name, arguments) = (name.to_owned(), arguments.to_owned());
    let call = crate::llm::ToolCall { id: "1".into(), name, arguments };
    crate::llm::Reply { calls: vec![call], ..Default::default() }
}

fn words(text: &str) -> crate::llm::Reply {
    crate::llm::Reply { text: text.into(), ..Default::default() }
}

#[tokio::test]
async fn a_model_shows_only_what_its_evidence_supports() {
    let (_folder, store) = seeded().await;
    let said = "Orders p99 is 1.20 s [1].\nIt lost 4000 customers [1].";
    let answer = ask_model(&store, vec![look_up("incident {\"number\":12}"), words(said)]).await;
    assert_eq!(answer.text, "Orders p99 is 1.20 s [1].");
    assert_eq!(answer.model.as_deref(), Some("scripted"));
    assert!(answer.notes[0].starts_with("1 of 2 sentences"), "{:?}", answer.notes);
}

#[tokio::test]
async fn a_model_that_fails_or_invents_falls_back_to_the_offline_answer() {
    let (_folder, store) = seeded().await;
    for replies in [vec![], vec![words("All is well since 03:00.")], vec![look_up("silences")]] {
        let answer = ask_model(&store, replies).await;
        assert!(answer.text.contains("#12 orders p99"), "{}", answer.text);
        assert_eq!(answer.model, None);
        assert!(answer.notes[0].starts_with("Answered without the model"));
    }
}

#[tokio::test]
async fn a_model_has_no_tool_that_acts() {
    let (_folder, store) = seeded().await;
    let call = look_up("rollback {}");
    let answer = ask_model(&store, vec![call, words("Rolled back to 4.7.1 [1].")]).await;
    assert_eq!(answer.model, None, "nothing was looked up, so nothing can be cited");
    assert!(!answer.text.contains("Rolled back"));
}

/// What the offline planner composes from evidence is what a careful model would say: the check
/// of sentences must not cut it.
#[tokio::test]
async fn the_check_lets_the_offline_sentences_stand() {
    let (_folder, store) = seeded().await;
    let names = store.read(offline::names).await.expect("reads");
    let (mut n, mut cut) = (0, Vec::new());
    for text in [
        "status",
        "why is orders slow",
        "what changed since 14:30",
        "compare orders with yesterday",
        "which services depend on orders",
        "slowest services",
        "how many incidents this week",
        "how is orders",
        "what happened in the last hour",
    ] {
        let answer = ask(&store, text).await;
        let grounds = ground::Grounds::new(&answer.citations, &names);
        for line in answer.text.lines().filter(|l| l.contains('[')) {
            n += 1;
            cut.extend(grounds.check(line).err().map(|why| format!("{line}: {why}")));
        }
    }
    assert!(n >= 9, "{n}");
    assert!(cut.is_empty(), "{} of {n} cut:\n{}", cut.len(), cut.join("\n"));
}
