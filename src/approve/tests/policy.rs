//! Who may decide and edit: roles, two people, one's own, as tables.

use std::collections::BTreeMap;

use super::offers::World;
use super::sample::{person, proposal, t0};
use super::{approve, say, store_with, take};
use crate::approve::{Config, Edit, Workshop, amend, may_decide, requirement};
use crate::model::*;

#[test]
fn requirements_follow_risk_and_runbooks_only_add() {
    use Role::{Admin, Approver, Responder};
    let config = Config { role: Responder, high_risk_role: Approver, ..Config::default() };
    for (risk, asked_role, asked_n, role, n) in [
        (Risk::Low, None, None, Responder, 1),
        (Risk::Medium, None, None, Responder, 1),
        (Risk::High, None, None, Approver, 2),
        (Risk::Low, Some(Admin), Some(2), Admin, 2),
        (Risk::High, Some(Responder), Some(1), Approver, 2),
        (Risk::High, Some(Admin), Some(3), Admin, 3),
    ] {
        let r = requirement(&config, risk, asked_role, asked_n);
        assert_eq!((r.role, r.n_approvals), (role, n), "{risk:?} {asked_role:?} {asked_n:?}");
    }
    let none = Config { high_risk_approvals: 0, ..config };
    assert_eq!(requirement(&none, Risk::High, None, None).n_approvals, 1, "never without anybody");
}

/// Makes a proposal somebody's own.
type Change = fn(&mut Proposal, Actor);

#[test]
fn one_s_own_is_told_from_others() {
    let ann = || person("ann", Role::Approver);
    let bob = || person("bob", Role::Approver);
    let own = |change: Change, who: Actor, verdict| {
        let mut p = proposal();
        p.requires.no_self_approval = true;
        change(&mut p, ann());
        may_decide(&p, &who, verdict).map_err(|e| e.to_string())
    };
    let schedule = Verdict::Schedule { at: t0().plus_ms(1) };
    let ways: [(Change, &str); 4] = [
        (|p, a| p.requested_by = a, "You requested this action"),
        (|p, a| p.edited_by = vec![a], "You edited its parameters"),
        (|p, a| p.change_author = Some(a.name), "You authored the change that it undoes"),
        (|p, _| p.change_author = Some("@Ann ".into()), "You authored the change that it undoes"),
    ];
    for (change, words) in ways {
        for verdict in [Verdict::Approve, schedule] {
            let refused = own(change, ann(), verdict).expect_err("one's own");
            assert_eq!(
                refused,
                format!(
                    "{words}, and policy asks for another person's approval. Ask a colleague with \
                     the role approver."
                )
            );
            assert_eq!(own(change, bob(), verdict), Ok(()), "{words}: somebody else may");
        }
        assert_eq!(own(change, ann(), Verdict::Ignore), Ok(()), "declining is never self-approval");
    }
    let mut lax = proposal();
    lax.requested_by = ann();
    assert!(may_decide(&lax, &ann(), Verdict::Approve).is_ok(), "only where policy asks for it");
}

#[test]
fn roles_decide_who_may() {
    for (needed, has, may) in [
        (Role::Approver, Role::Viewer, false),
        (Role::Approver, Role::Responder, false),
        (Role::Approver, Role::Approver, true),
        (Role::Approver, Role::Admin, true),
        (Role::Admin, Role::Approver, false),
        (Role::Responder, Role::Responder, true),
    ] {
        let mut p = proposal();
        p.requires.role = needed;
        for verdict in [Verdict::Approve, Verdict::Ignore] {
            let said = may_decide(&p, &person("ann", has), verdict);
            assert_eq!(said.is_ok(), may, "{needed} {has} {verdict:?}");
        }
    }
    let refused = may_decide(&proposal(), &person("vic", Role::Viewer), Verdict::Approve);
    assert_eq!(
        refused.expect_err("a viewer").to_string(),
        "This needs the role approver; you have viewer. Ask somebody with that role to decide."
    );
    let bot = may_decide(&proposal(), &Actor::nightjar(), Verdict::Approve);
    assert_eq!(bot.expect_err("the bot").to_string(), "Only a person can decide on an action.");
}

#[tokio::test]
async fn of_two_people_the_later_time_is_kept_and_declining_needs_one() {
    let mut p = proposal();
    p.requires.n_approvals = 2;
    let (_folder, store) = store_with(&p).await;
    let (ann, bob) = (person("ann", Role::Approver), person("bob", Role::Approver));
    let at = t0().plus_ms(600_000);
    let mut later = approve(&ann, &p.digest.0);
    later.verdict = Verdict::Schedule { at };
    let first = say(&store, p.id, later, t0()).await.expect("one of two");
    assert_eq!((first.state, first.scheduled_for), (ProposalState::Open, None));
    let both = say(&store, p.id, approve(&bob, &p.digest.0), t0()).await.expect("two of two");
    assert_eq!((both.state, both.scheduled_for), (ProposalState::Scheduled, Some(at)));
    let mut no = approve(&bob, &p.digest.0);
    no.verdict = Verdict::Ignore;
    let off = say(&store, p.id, no, t0()).await.expect("a scheduled one can be called off");
    assert_eq!(off.state, ProposalState::Ignored);
}

fn edit(who: &Actor, p: &Proposal, value: &str) -> Edit {
    Edit {
        actor: who.clone(),
        digest: p.digest.short().to_owned(),
        parameters: BTreeMap::from([("value".to_owned(), value.to_owned())]),
        reason: "half of it".into(),
    }
}

async fn change(world: &World, p: &Proposal, edit: Edit) -> Result<Proposal, Refused> {
    let workshop = Workshop { library: world.stage.library.clone(), settings: BTreeMap::new() };
    let id = p.id;
    let work = move |tx: &crate::store::Tx<'_>| amend(tx, &workshop, id, &edit, t0());
    world.store.write(work).await.expect("the store works")
}

#[tokio::test]
async fn an_edit_makes_another_plan_that_its_editor_may_not_approve() {
    let mut world = World::new().await;
    world.stage.policy = Config { no_self_approval: true, ..Config::default() };
    let p = world.diagnosed().await.remove(0);
    let (ann, bob) = (person("ann", Role::Approver), person("bob", Role::Approver));
    let edited = change(&world, &p, edit(&ann, &p, "32")).await.expect("within bounds");
    assert_eq!(edited.title, "Set orders to 32");
    assert_eq!(edited.plan.parameters["value"], "32");
    assert_eq!(edited.plan.digest(), edited.digest);
    assert_ne!(edited.digest, p.digest);
    assert_eq!(edited.edited_by, std::slice::from_ref(&ann));

    let stale = say(&world.store, p.id, approve(&bob, &p.digest.0), t0()).await;
    assert!(stale.expect_err("the old card").to_string().contains("plan has changed"));
    let own = say(&world.store, p.id, approve(&ann, &edited.digest.0), t0()).await;
    assert!(own.expect_err("the editor").to_string().starts_with("You edited its parameters"));
    let yes = say(&world.store, p.id, approve(&bob, &edited.digest.0), t0()).await;
    assert_eq!(yes.expect("another person").state, ProposalState::Approved);
    let late = change(&world, &edited, edit(&ann, &edited, "8")).await.expect_err("decided");
    assert_eq!(
        late.to_string(),
        "This proposal is approved, so its parameters can't be changed any more. Look at the \
         incident for where it stands."
    );
    let audit = world.audit().await;
    let told = audit.iter().find(|(a, _)| a == "proposal.edit").expect("on record");
    assert!(told.1.contains(&edited.digest.0) && told.1.contains(&p.digest.0));
}

#[tokio::test]
async fn edits_stay_within_the_declared_bounds() {
    let mut world = World::new().await;
    let p = world.diagnosed().await.remove(0);
    let ann = person("ann", Role::Responder);
    for (value, words) in [
        ("65", "it must be at most 64"),
        ("0", "it must be at least 1"),
        ("16; reboot", "it must be a whole number"),
        ("16", "These are its parameters already."),
    ] {
        let refused = change(&world, &p, edit(&ann, &p, value)).await.expect_err(value);
        assert!(refused.to_string().contains(words), "{value}: {refused}");
    }
    let mut other = edit(&ann, &p, "32");
    other.parameters.insert("host".into(), "evil.example".into());
    let refused = change(&world, &p, other).await.expect_err("not declared");
    assert!(refused.to_string().contains("has no parameter `host`; it takes: value."));
    let vic = person("vic", Role::Viewer);
    let refused = change(&world, &p, edit(&vic, &p, "32")).await.expect_err("a viewer");
    assert!(refused.to_string().starts_with("To edit a plan you need the role responder"));
    let mut stale = edit(&ann, &p, "32");
    stale.digest = "0".repeat(16);
    let refused = change(&world, &p, stale).await.expect_err("an old form");
    assert!(refused.to_string().contains("since this form was shown"));
    let all = world.proposals().await;
    assert!(all.contains(&p), "nothing of it was changed");
}

/// The same person on another platform, as far as anybody can tell.
fn on(via: &str, name: &str) -> Actor {
    Actor { via: via.into(), ..person(name, Role::Approver) }
}

#[tokio::test]
async fn one_person_on_two_platforms_is_never_counted_as_two() {
    let mut p = proposal();
    p.requires.n_approvals = 2;
    for (first, second, from) in [
        ("slack", "discord", "Ann approved this in Slack"),
        ("slack:acme", "slack:beta", "Ann approved this in Slack (acme)"),
        ("console", "token", "Ann approved this in the console (opened by a login link)"),
        ("token", "slack", "Ann approved this in the console or API (with a token)"),
    ] {
        let (_folder, store) = store_with(&p).await;
        let open = say(&store, p.id, approve(&on(first, "Ann"), &p.digest.0), t0()).await;
        assert_eq!(open.expect("the first of two").state, ProposalState::Open);
        let again = say(&store, p.id, approve(&on(second, "ann-on-call"), &p.digest.0), t0()).await;
        let refused = again.expect_err("she may be the same").to_string();
        assert!(
            refused.starts_with(from) && refused.contains("decide on one platform"),
            "{refused}"
        );
        let bob = say(&store, p.id, approve(&on(first, "bob"), &p.digest.0), t0()).await;
        assert_eq!(bob.expect("an account of the first platform").state, ProposalState::Approved);
        let run = take(&store, p.id, Some("4.7.2"), t0()).await.expect("claimed");
        let run = store.read(move |r| r.get::<Run>(run)).await.expect("reads").expect("kept");
        let by: Vec<&str> = run.approved_by.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(by, ["Ann", "bob"]);
    }
    let (_folder, store) = store_with(&p).await;
    say(&store, p.id, approve(&on("slack", "ann"), &p.digest.0), t0()).await.expect("the first");
    let mut no = approve(&on("discord", "bob"), &p.digest.0);
    no.verdict = Verdict::Ignore;
    let off = say(&store, p.id, no, t0()).await.expect("declining is never too few");
    assert_eq!(off.state, ProposalState::Ignored);
}

#[tokio::test]
async fn approvals_of_two_platforms_that_are_in_the_store_run_nothing() {
    let mut p = proposal();
    p.requires.n_approvals = 2;
    let by = |actor: Actor| crate::model::action::Decision {
        actor,
        verdict: Verdict::Approve,
        digest: p.digest.clone(),
        reason: String::new(),
        at: t0(),
    };
    let decisions = vec![by(on("slack", "ann")), by(on("discord", "bob"))];
    let p = Proposal { state: ProposalState::Approved, decisions, ..p.clone() };
    let (_folder, store) = store_with(&p).await;
    let refused = take(&store, p.id, Some("4.7.2"), t0()).await.expect_err("one counts");
    assert!(refused.to_string().starts_with("1 of 2 approvals count"), "{refused}");
}

#[test]
fn who_edited_on_one_platform_can_t_approve_on_another() {
    let mut p = proposal();
    p.requires.no_self_approval = true;
    p.edited_by = vec![on("token", "Ann")];
    let from = |via: &str, name: &str| may_decide(&p, &on(via, name), Verdict::Approve);
    assert_eq!(
        from("slack", "bob").expect_err("he may be Ann").to_string(),
        "Ann edited its parameters in the console or API (with a token); whether you are \
         somebody else can't be known from Slack, and policy asks for another person's approval. \
         Ask a colleague with the role approver to decide there."
    );
    assert_eq!(from("token", "bob"), Ok(()), "another account of the same platform");
    assert_eq!(may_decide(&p, &on("slack", "bob"), Verdict::Ignore), Ok(()));
    p.edited_by.clear();
    assert_eq!(p.requested_by, Actor::nightjar());
    for via in ["console", "slack", "discord", "token"] {
        let any = may_decide(&p, &on(via, "bob"), Verdict::Approve);
        assert_eq!(any, Ok(()), "the bot's own offer is nobody's");
    }
}
