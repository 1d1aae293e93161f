//! Incidents of one kind are found at other places, better than by place and words alone.

use super::*;
use crate::demo::sites::{Site, Told};
use crate::model::diagnosis::Tried;
use crate::model::{EntityRef, past};

fn t0() -> Time {
    Time::parse("2026-03-02T00:00:00Z").expect("valid")
}

/// Precision at 1 and at 3 of a measure: how many of the most alike earlier incidents are of the
/// same kind.
struct Precision {
    n: usize,
    at_1: f64,
    at_3: f64,
}

/// Asks for each real incident after the 60th. With `elsewhere`, only incidents at other entities
/// can be found, and only those of the same kind that can be found are asked for.
fn precision(
    all: &[Told],
    elsewhere: bool,
    likeness: impl Fn(usize, &[usize]) -> Vec<f64>,
) -> Precision {
    let (mut n, mut at_1, mut at_3) = (0, 0.0, 0.0);
    for (i, asked) in all.iter().enumerate().skip(60).filter(|(_, t)| !t.kind.noise) {
        let out = |t: &Told| t.kind.noise || (elsewhere && t.at == asked.at);
        let earlier: Vec<usize> = (0..i).filter(|j| !out(&all[*j])).collect();
        let same = |j: usize| all[j].kind.name == asked.kind.name;
        if earlier.iter().filter(|j| same(**j)).count() < 3 {
            continue;
        }
        let by = likeness(i, &earlier);
        let mut order: Vec<usize> = (0..earlier.len()).collect();
        order.sort_by(|a, b| by[*b].total_cmp(&by[*a]).then_with(|| b.cmp(a)));
        let right = |k: usize| order.iter().take(k).filter(|o| same(earlier[**o])).count() as f64;
        n += 1;
        at_1 += right(1);
        at_3 += right(3) / 3.0;
    }
    Precision { n, at_1: at_1 / n as f64, at_3: at_3 / n as f64 }
}

fn both(site: &Site, seed: u64, elsewhere: bool) -> (Precision, Precision) {
    let all = site.history(300, t0(), seed);
    let looks: Vec<Looks> =
        all.iter().map(|t| Looks::of(&t.incident, &t.alerts, &site.graph, &t.changes)).collect();
    let here: Vec<Here> = all.iter().map(|t| Here::of(&t.incident, &t.alerts)).collect();
    let by_structure = precision(&all, elsewhere, |i, earlier| {
        let common = Common::of(earlier.iter().map(|j| &looks[*j]));
        earlier.iter().map(|j| whole(&looks[i].alike(&looks[*j], &common))).collect()
    });
    let by_place = precision(&all, elsewhere, |i, earlier| {
        earlier.iter().map(|j| here[i].likeness(&here[*j])).collect()
    });
    (by_structure, by_place)
}

#[test]
fn incidents_of_the_same_kind_are_found_here_and_elsewhere() {
    for (site, name) in [(Site::shop(), "shop"), (Site::platform(), "platform")] {
        for elsewhere in [false, true] {
            let (new, old) = both(&site, 41, elsewhere);
            let place = if elsewhere { "elsewhere" } else { "anywhere" };
            println!(
                "{name} {place}, {} asked: at 1 {:.3}, at 3 {:.3}; by place {:.3}, {:.3}",
                new.n, new.at_1, new.at_3, old.at_1, old.at_3
            );
            assert!(new.at_1 > old.at_1 && new.at_3 > old.at_3, "{name} {place}");
            assert!(new.at_1 >= 0.85 && new.at_3 >= 0.8, "{name} {place}");
        }
    }
}

#[test]
fn likeness_splits_into_its_parts() {
    let site = Site::shop();
    let all = site.history(40, t0(), 3);
    let looks: Vec<Looks> =
        all.iter().map(|t| Looks::of(&t.incident, &t.alerts, &site.graph, &t.changes)).collect();
    let common = Common::of(looks.iter());
    let own = looks[0].alike(&looks[0], &common);
    assert!((whole(&own) - 1.0).abs() < 1e-9, "{own:?}");
    for other in &looks {
        let (there, back) = (looks[0].alike(other, &common), other.alike(&looks[0], &common));
        assert_eq!(there, back, "whichever is asked about");
        let known = there.iter().zip(PARTS).filter(|(p, _)| p.is_some());
        let weights: f64 = known.clone().map(|(_, (_, w))| w).sum();
        let sum: f64 = known.map(|(p, (_, w))| p.unwrap_or(0.0) * w).sum();
        assert!((whole(&there) - sum / weights).abs() < 1e-9);
    }
    assert!((PARTS.iter().map(|(_, w)| w).sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn what_was_tried_is_counted_over_all_that_are_alike() {
    let tried = |action: &str, helped: bool| Tried {
        action: action.into(),
        target: EntityRef::service("orders"),
        helped,
        worse: false,
    };
    let similar = |tried: Vec<Tried>| Similar {
        incident: crate::model::IncidentId::derive(t0(), &[&format!("{tried:?}")]),
        title: "orders is slow".into(),
        similarity: 0.8,
        fixed_by: None,
        resolved_at: None,
        parts: vec![],
        at: None,
        tried,
    };
    let all = [
        similar(vec![tried("service/restart", false), tried("release/rollback", true)]),
        similar(vec![tried("release/rollback", true)]),
        similar(vec![tried("service/restart", false), tried("release/rollback", true)]),
    ];
    insta::assert_snapshot!(
        past::tried_text(&all).expect("something was tried"),
        @"In incidents like it: release/rollback 3 times, helped 3; service/restart 2 times, helped 0."
    );
    assert_eq!(past::tried_text(&[similar(vec![])]), None);
}

#[tokio::test]
async fn what_an_earlier_incident_looked_like_is_read_once_until_it_is_written_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = crate::store::Store::open(&folder.path().join("n.sqlite")).expect("opens");
    let site = Site::shop();
    let mut all = site.history(MOST_READ + 21, t0(), 5);
    for told in &mut all {
        told.incident.state = crate::model::IncidentState::Resolved;
        told.incident.category = None;
    }
    let now = all.pop().expect("one is looked at");
    let last = all.last().expect("there are more").incident.clone();
    let put = all.iter().map(|t| (t.incident.clone(), t.alerts.clone())).collect::<Vec<_>>();
    let written = store.write(move |tx| {
        for (incident, alerts) in put {
            tx.put(&incident)?;
            for mut alert in alerts {
                alert.incident = Some(incident.id);
                tx.put(&alert)?;
            }
        }
        Ok(())
    });
    written.await.expect("written");
    let kept = KeptLooks::default();
    let read = async || {
        let kept = kept.clone();
        store.read(move |r| kept.read(r)).await.expect("reads")
    };
    let first = read().await;
    assert_eq!(first.len(), MOST_READ, "a look reads so many at most");
    let second = read().await;
    assert_eq!(second.len(), MOST_READ + 20, "and the next reads on");
    assert!(first.iter().zip(&second).all(|(a, b)| Arc::ptr_eq(a, b)), "none was read anew");
    // What is kept and what the graph says come to what there is without keeping anything.
    let of = |id| all.iter().find(|t| t.incident.id == id).expect("it was told");
    for seen in &second {
        let told = of(seen.incident.id);
        assert!(seen.incident.alerts.is_empty());
        let first: Vec<Alert> = told.alerts.iter().take(ALERTS).cloned().collect();
        let whole = Looks::of(&told.incident, &first, &site.graph, &[]);
        assert_eq!(seen.looks.within(&seen.roles, &site.graph), whole);
    }
    let (graph, reader) = (site.graph.clone(), kept.clone());
    let found = store.read(move |r| {
        alike(
            r,
            &reader,
            (&now.incident, &now.alerts),
            (&graph, &now.changes),
            now.incident.onset_at,
        )
    });
    found.await.expect("compares");
    let category = Some("not_an_incident".to_owned());
    let changed = crate::model::Incident { category, ..last.clone() };
    store.write(move |tx| tx.put(&changed)).await.expect("written");
    let third = read().await;
    assert!(third.iter().all(|seen| seen.incident.id != last.id));
    assert_eq!(third.len(), second.len() - 1);
}
