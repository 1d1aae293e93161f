//! What acts, and what stands before it.

use std::time::Duration;

use nightjar::approve::{HALT, Halt};
use nightjar::model::{
    Actor, EntityRef, IncidentState, Plan, ProposalState, Role, Run, RunId, RunState,
};
use nightjar::notify::{Facts, incident_card};
use nightjar::remediate::{Executed, Remediate};
use nightjar::stage::Stage as _;

use super::{World, diagnosis, done, incident, person, t0};

#[tokio::test]
async fn i01_nothing_acts_without_a_person() {
    let mut world = World::new(done()).await;
    for _ in 0..20 {
        world.goes_on().await;
        world.clock.advance(Duration::from_secs(30));
    }
    assert!(world.told().is_empty(), "nobody has decided");
    let offered = world.proposals().await;
    assert_eq!(offered.len(), 1);
    let p = &offered[0];
    let bot = world.decide(p.id, &Actor::nightjar(), &p.digest.0).await;
    assert!(bot.is_err(), "the bot is nobody");
    world.goes_on().await;
    assert!(world.told().is_empty());
    world.decide(p.id, &person("ann", Role::Approver), &p.digest.0).await.expect("a person");
    world.goes_on().await;
    assert_eq!(world.told(), std::slice::from_ref(&p.plan), "that plan and nothing else");
}

#[tokio::test]
async fn i02_approval_adds_to_the_checks_and_replaces_none() {
    let other = |p: &nightjar::model::Proposal| Run {
        id: RunId::derive(t0(), &["other"]),
        proposal: p.id,
        incident: p.incident,
        action: "another/one".into(),
        target: EntityRef::service("orders"),
        state: RunState::Running,
        dry_run: false,
        started_at: t0(),
        finished_at: None,
        output: vec![],
        approved_by: vec![],
        verify_at: None,
        outcome: None,
    };
    for check in ["none", "halt", "target", "incident", "busy", "late", "digest"] {
        let mut world = World::new(done()).await;
        world.goes_on().await;
        let p = world.proposals().await.remove(0);
        let ann = person("ann", Role::Admin);
        let approved = world.decide(p.id, &ann, &p.digest.0).await.expect("approved");
        // What is under way here was not left behind by a crash.
        world.remediate.swept = true;
        match check {
            "halt" => {
                let halt = Halt { by: ann, reason: "freeze".into(), at: t0() };
                let set = world.store.write(move |tx| tx.put_value(HALT, &Some(halt)));
                set.await.expect("writes");
            }
            "target" => {
                world.state.lock().expect("no panic").insert("v".into(), "2".into());
            }
            "incident" => {
                let mut over = incident();
                over.state = IncidentState::Resolved;
                world.put(over).await;
            }
            "busy" => world.put(other(&p)).await,
            "late" => world.clock.set(p.expires_at),
            "digest" => {
                let mut forged = approved;
                forged.plan.target = EntityRef::service("payments");
                world.put(forged).await;
            }
            _ => {}
        }
        world.remediate.sweep().await.expect("sweeps");
        assert_eq!(world.told().len(), usize::from(check == "none"), "{check}");
        let end = world.proposals().await.remove(0);
        if check != "none" {
            assert!(end.ended.is_some_and(|why| !why.is_empty()), "{check}: it says why");
        }
    }
}

/// Every way to change a plan by one part.
fn changed(plan: &Plan) -> Vec<Plan> {
    let mut all = vec![plan.clone(); 9];
    all[0].version += 1;
    all[1].runbook.push('x');
    all[2].action.push('x');
    all[3].target = EntityRef::service("payments");
    all[4].parameters.insert("n".into(), "1".into());
    all[5].observed.insert("v".into(), "2".into());
    all[6].steps.push(plan.steps[0].clone());
    all[7].verify.after_s += 1;
    all[8].verify.window_s += 1;
    all
}

#[tokio::test]
async fn i03_a_button_carries_id_and_digest_and_a_changed_plan_is_refused() {
    let mut world = World::new(done()).await;
    world.goes_on().await;
    let p = world.proposals().await.remove(0);
    let facts = Facts {
        incident: incident(),
        alerts: vec![],
        diagnosis: Some(diagnosis()),
        proposals: vec![p.clone()],
        runs: vec![],
        predicted: None,
    };
    let card = incident_card(&facts, t0());
    let buttons: Vec<_> = card.buttons.iter().filter(|b| b.digest.is_some()).collect();
    assert_eq!(buttons.len(), 3, "approve, schedule, ignore");
    for button in &buttons {
        assert_eq!(button.subject, nightjar::chat::Subject::Proposal(p.id));
        assert!(p.digest.accepts(button.digest.as_deref().expect("filtered")));
    }
    // The encoding is canonical: what is read back gives the same bytes, and none is a float.
    let text = String::from_utf8(p.plan.canonical()).expect("JSON");
    let (head, json) = text.split_once('\n').expect("a first line");
    assert_eq!(head, "nightjar-plan-1");
    let again: Plan = serde_json::from_str(json).expect("a plan");
    assert_eq!(again.canonical(), p.plan.canonical());
    let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert!(!has_float(&value), "{json}");

    let ann = person("ann", Role::Approver);
    let shown = buttons[0].digest.clone().expect("filtered");
    for plan in changed(&p.plan) {
        assert_ne!(plan.digest(), p.digest, "{plan:?}");
        let digest = plan.digest();
        world.put(nightjar::model::Proposal { plan, digest, ..p.clone() }).await;
        let refused = world.decide(p.id, &ann, &shown).await.expect_err("a stale card");
        assert!(refused.to_string().contains("The plan has changed"), "{refused}");
    }
    world.put(p.clone()).await;
    world.decide(p.id, &ann, &shown).await.expect("the plan that was shown");
}

fn has_float(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(n) => n.is_f64(),
        serde_json::Value::Array(all) => all.iter().any(has_float),
        serde_json::Value::Object(all) => all.values().any(has_float),
        _ => false,
    }
}

#[tokio::test]
async fn i04_an_unknown_run_is_never_repeated_and_a_person_is_asked() {
    let mut world = World::new(Executed::Unknown { reason: "no answer".into() }).await;
    world.goes_on().await;
    let p = world.proposals().await.remove(0);
    world.decide(p.id, &person("ann", Role::Approver), &p.digest.0).await.expect("approved");
    for _ in 0..5 {
        world.goes_on().await;
        world.clock.advance(Duration::from_secs(3_600));
        // A start anew, as after a crash.
        world.remediate = Remediate { swept: false, ..world.remediate };
    }
    assert_eq!(world.told().len(), 1);
    let runs = world.runs().await;
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].state, runs[0].verify_at), (RunState::Unknown, None));
    let audit = world.audit().await;
    let probe = audit.iter().find(|(a, _)| a == "run.probe").expect("the target was looked at");
    assert!(probe.1.contains("Make sure before it is tried again"), "{}", probe.1);
    // The claim that was never recorded is tested with a real kill in `crash`.
}

#[tokio::test]
async fn i10_every_automatic_decision_leaves_a_record_and_a_changed_byte_is_found() {
    let mut world = World::new(done()).await;
    world.goes_on().await;
    let p = world.proposals().await.remove(0);
    let vic = person("vic", Role::Viewer);
    world.decide(p.id, &vic, &p.digest.0).await.expect_err("a viewer");
    world.decide(p.id, &person("ann", Role::Approver), &p.digest.0).await.expect("approved");
    world.goes_on().await;
    world.clock.advance(Duration::from_secs(1_200));
    world.goes_on().await;
    let audit = world.audit().await;
    let actions: Vec<&str> = audit.iter().map(|(a, _)| a.as_str()).collect();
    let expected = [
        "proposal.offer",
        "decision.refuse",
        "proposal.approve",
        "run.claim",
        "incident.move",
        "run.end",
        "incident.move",
        "proposal.withhold",
        "run.verify",
    ];
    assert_eq!(actions, expected);
    for (action, detail) in &audit {
        assert!(detail.len() > 10, "{action} says why: {detail}");
    }
    assert_eq!(world.proposals().await[0].state, ProposalState::Finished);

    // One byte of any column of any record: the chain says at which record it is broken.
    let (n, _) = world.store.read(|r| r.audit_verify()).await.expect("reads").expect("whole");
    assert_eq!(n, expected.len() as u64);
    let path = world.folder.path().join("i.sqlite");
    for seq in 1..=n {
        for column in ["at", "actor", "action", "subject", "detail", "hash"] {
            let copy = world.folder.path().join(format!("{seq}-{column}.sqlite"));
            let conn = rusqlite::Connection::open(&path).expect("opens");
            conn.execute("VACUUM INTO ?", [copy.to_string_lossy()]).expect("copies");
            let conn = rusqlite::Connection::open(&copy).expect("opens");
            let refused = conn.execute("UPDATE audit SET actor = 'x' WHERE seq = 1", []);
            assert!(refused.is_err(), "the log is append-only");
            tamper(&conn, column, seq);
            drop(conn);
            let store = nightjar::store::Store::open(&copy).expect("opens");
            let found = store.read(|r| r.audit_verify()).await.expect("reads");
            let broken = found.expect_err("the change is found");
            assert_eq!(broken.seq, seq, "{column}: {broken}");
        }
    }
}

/// Changes one character of one column of one record, past the triggers.
fn tamper(conn: &rusqlite::Connection, column: &str, seq: u64) {
    let triggers: Vec<String> = conn
        .prepare("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'")
        .expect("reads")
        .query_map([], |r| r.get(0))
        .expect("reads")
        .collect::<Result<_, _>>()
        .expect("names");
    assert!(!triggers.is_empty());
    for name in triggers {
        conn.execute(&format!("DROP TRIGGER {name}"), []).expect("dropped");
    }
    let change = match column {
        "at" => "at = at + 1".to_owned(),
        _ => format!(
            "{column} = substr({column}, 1, 4) || \
             CASE substr({column}, 5, 1) WHEN 'a' THEN 'b' ELSE 'a' END || substr({column}, 6)"
        ),
    };
    let n = conn.execute(&format!("UPDATE audit SET {change} WHERE seq = ?"), [seq as i64]);
    assert_eq!(n.expect("changed"), 1);
}
