//! The store fails in the middle of a run: the run is neither lost nor repeated.

use nightjar::bus::Event;
use nightjar::model::{ProposalState, Role, RunState};
use nightjar::remediate::Remediate;
use nightjar::stage::Stage as _;

use super::{World, done, person};

/// Makes the database refuse writes of records for which `condition` holds, until it is `mended`.
fn tear(world: &World, condition: &str) {
    for when in ["INSERT", "UPDATE"] {
        sql(
            world,
            &format!(
                "CREATE TRIGGER torn_{when} BEFORE {when} ON record WHEN {condition} \
                 BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
            ),
        );
    }
}

fn mend(world: &World) {
    sql(world, "DROP TRIGGER torn_INSERT; DROP TRIGGER torn_UPDATE");
}

fn sql(world: &World, text: &str) {
    let conn = rusqlite::Connection::open(world.folder.path().join("i.sqlite")).expect("opens");
    conn.busy_timeout(std::time::Duration::from_secs(10)).expect("set");
    conn.execute_batch(text).expect("done");
}

/// A world in which the one proposal is approved and nothing was run yet.
async fn approved() -> World {
    let mut world = World::new(done()).await;
    world.goes_on().await;
    let p = world.proposals().await.remove(0);
    world.decide(p.id, &person("ann", Role::Approver), &p.digest.0).await.expect("approved");
    world
}

#[tokio::test]
async fn a_claim_that_was_not_written_is_tried_again_and_nothing_was_sent_for_it() {
    let mut world = approved().await;
    tear(&world, "new.kind = 'run'");
    for _ in 0..3 {
        world.remediate.sweep().await.expect_err("the store fails");
        assert!(world.told().is_empty(), "without its record nothing is sent");
    }
    assert_eq!(world.proposals().await[0].state, ProposalState::Approved, "undone as a whole");
    mend(&world);
    for _ in 0..3 {
        world.remediate.sweep().await.expect("the store works");
    }
    assert_eq!(world.told().len(), 1, "carried out once");
    assert_eq!(world.runs().await[0].state, RunState::Done);
}

#[tokio::test]
async fn a_run_whose_end_was_not_written_is_unknown_and_not_repeated() {
    // The stage that handled it goes on, or a new one takes its place.
    for same_stage in [true, false] {
        let mut world = approved().await;
        let id = world.proposals().await[0].id;
        tear(&world, "new.kind = 'run' AND new.state <> 'running'");
        let sent = world.remediate.handle(Event::Decided(id)).await;
        sent.expect_err("its end can't be written");
        assert_eq!(world.told().len(), 1, "it was sent");
        if !same_stage {
            world.remediate = Remediate {
                policy: world.remediate.policy.clone(),
                store: world.store.clone(),
                bus: world.remediate.bus.clone(),
                clock: world.clock.clone(),
                executor: world.systems.clone(),
                observe: world.remediate.observe.clone(),
                swept: false,
            };
        }
        for _ in 0..3 {
            world.remediate.sweep().await.expect_err("the store still fails");
            world.remediate.handle(Event::Decided(id)).await.expect("nothing to do");
        }
        let [run] = &world.runs().await[..] else { panic!("one run") };
        assert_eq!(run.state, RunState::Running, "it is not lost");
        mend(&world);
        for _ in 0..3 {
            world.remediate.sweep().await.expect("the store works");
            world.remediate.handle(Event::Decided(id)).await.expect("nothing to do");
        }
        assert_eq!(world.told().len(), 1, "never sent again");
        let [run] = &world.runs().await[..] else { panic!("one run") };
        assert_eq!((run.state, run.finished_at.is_some()), (RunState::Unknown, true));
        assert!(run.output[0].contains("whether it happened is not known"), "{:?}", run.output);
        assert_eq!(world.proposals().await[0].state, ProposalState::Finished);
        let about: Vec<String> = world.audit().await.into_iter().map(|(a, _)| a).collect();
        for once in ["run.claim", "run.end", "run.probe"] {
            assert_eq!(about.iter().filter(|a| *a == once).count(), 1, "{once} in {about:?}");
        }
    }
}

#[tokio::test]
async fn a_look_at_the_target_that_was_not_written_is_written_later() {
    let mut world = approved().await;
    let id = world.proposals().await[0].id;
    tear(&world, "new.kind = 'run' AND new.state <> 'running'");
    world.remediate.handle(Event::Decided(id)).await.expect_err("its end can't be written");
    mend(&world);
    tear(&world, "new.kind = 'timeline' AND new.body LIKE '%the target is as it was%'");
    world.remediate.sweep().await.expect_err("the look can't be written");
    mend(&world);
    world.remediate.sweep().await.expect("the store works");
    let about: Vec<String> = world.audit().await.into_iter().map(|(a, _)| a).collect();
    assert_eq!(about.iter().filter(|a| *a == "run.probe").count(), 1, "{about:?}");
}
