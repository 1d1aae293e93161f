//! However many incidents are active, each is looked at again, the worst first.

use std::sync::Arc;

use super::*;
use crate::approve::tests::sample;
use crate::bus::{Bus, Event};
use crate::detect::SharedShard;
use crate::diagnose::active::{Active, Page};
use crate::model::clock::ManualClock;
use crate::model::{ChangeId, Diagnosis};
use crate::runbook::Library;
use crate::stage::Stage as _;
use crate::store::Store;

/// More than the pages of one sweep.
const N: i64 = 115;

fn incident(n: i64) -> (Incident, Alert) {
    let mut told = alert(&service(&format!("s{n}")), Indicator::Errors, 30.0, n);
    let mut incident = input(Graph::default(), vec![told.clone()], Vec::new()).incident;
    // The oldest alone is critical.
    incident.severity = if n == 0 { Severity::Critical } else { Severity::Warning };
    told.incident = Some(incident.id);
    (incident, told)
}

async fn filled() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
    let write = store.write(|tx| {
        for n in 0..N {
            let (incident, told) = incident(n);
            tx.put(&told)?;
            tx.put(&Diagnosis {
                incident: incident.id,
                revision: 1,
                ..sample::diagnosis("unknown")
            })?;
            tx.put(&incident)?;
        }
        Ok(())
    });
    write.await.expect("writes");
    (store, folder)
}

/// How often each was thought about.
async fn revisions(store: &Store) -> Vec<u32> {
    let read = store.read(|r| {
        let of = |n: i64| Ok(r.get::<Diagnosis>(incident(n).0.id)?.map_or(0, |d| d.revision));
        (0..N).map(of).collect::<Result<Vec<u32>, crate::model::Fault>>()
    });
    read.await.expect("reads")
}

#[tokio::test]
async fn more_than_a_page_of_active_incidents_are_all_looked_at_again_the_worst_first() {
    let (store, _folder) = filled().await;
    let shard = SharedShard::new(crate::detect::Config::default());
    let library = Arc::new(Library::shipped().expect("no mistakes"));
    let clock = ManualClock::new(at(600));
    let mut stage = Diagnose::new(store.clone(), Bus::default(), clock.clone(), shard, library);
    for _ in 0..20 {
        stage.sweep().await.expect("sweeps");
        while stage.wakes().is_some() {
            stage.wake().await.expect("looks");
        }
    }
    assert_eq!(revisions(&store).await, vec![2; N as usize], "what was seen before the start");
    clock.set(at(620));
    stage.handle(Event::Change(ChangeId::derive(at(0), &["c"]))).await.expect("hears");
    stage.wake().await.expect("looks");
    let looked = revisions(&store).await;
    assert_eq!((looked[0], looked.iter().sum::<u32>()), (3, 2 * N as u32 + 4), "{looked:?}");
}

#[tokio::test]
async fn every_active_incident_comes_round_and_what_is_over_is_forgotten() {
    let (store, _folder) = filled().await;
    let mut active = Active::default();
    let sweep = async |active: &mut Active| {
        let cursor = active.cursor();
        let page = store.read(move |r| Page::read(r, cursor)).await.expect("reads");
        assert!(page.incidents.len() <= 100, "as much work however many there are");
        active.take(&page);
        page.incidents.len()
    };
    assert_eq!((sweep(&mut active).await, active.iter().count()), (100, 100));
    assert_eq!((sweep(&mut active).await, active.iter().count()), (65, N as usize));
    // Over, and nobody rang.
    let over = Incident { state: IncidentState::Resolved, ..incident(7).0 };
    let id = over.id;
    store.write(move |tx| tx.put(&over)).await.expect("writes");
    sweep(&mut active).await;
    sweep(&mut active).await;
    assert!(!active.contains(id) && active.iter().count() == N as usize - 1);
}
