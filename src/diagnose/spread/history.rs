//! Who was in trouble in earlier incidents, since when and until when: each incident is read once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnose::kept::ByRevision;
use crate::diagnose::symptom::troubles;
use crate::model::time::SECOND_MS;
use crate::model::{
    Alert, EntityRef, EntryKind, Fault, Graph, Incident, IncidentState, Severity, Time,
    TimelineEntry,
};
use crate::store::{Filter, Rows};

/// Earlier incidents that are looked at, the newest.
const MOST: usize = 300;
/// Alerts read of each, the first ones.
const MOST_ALERTS: usize = 1_000;
/// Entities kept of each, those first in trouble.
const MOST_ENTITIES: usize = 200;
/// Times that count for one service, the newest: what was long ago is another system.
const MOST_TIMES: usize = 40;
/// Incidents of which all who may have followed are counted together, the newest.
const MOST_TOGETHER: usize = 100;
/// Who is seen in trouble at most this long (ms) before the other followed it all the same: they are
/// seen by series with a step.
const SLACK_MS: i64 = 30 * SECOND_MS;
/// Other incidents of the same time that are looked at beside one, the newest.
const MOST_BESIDE: usize = 20;

/// One earlier incident.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Earlier {
    /// From when until when each was in trouble.
    pub(super) troubles: BTreeMap<EntityRef, (Time, Time)>,
    /// Whether not all who were in trouble are known, so that who isn't there may have been.
    pub(super) cut: bool,
    /// Business series that followed: subject and what was told.
    pub(super) business: Vec<(String, String)>,
}

/// Incidents that one look reads, the newest of those that were not read yet: the next look reads on.
const MOST_READ: usize = 60;

/// What was read before. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::diagnose) struct KeptHistory {
    kept: ByRevision<Earlier>,
}

impl KeptHistory {
    /// The newest incidents that are over but `current`, newest first. Those that people called no
    /// incident don't count.
    ///
    /// # Errors
    /// The store failed.
    pub(in crate::diagnose) fn read(
        &self,
        rows: &Rows<'_>,
        current: &Incident,
    ) -> Result<History, Fault> {
        let over = [IncidentState::Resolved.as_str(), IncidentState::Reviewed.as_str()];
        let over = rows.revisions::<Incident>(&Filter::states(over).newest(MOST))?;
        let mut all = self.kept.read(&over, MOST_READ, |id| earlier(rows, id))?;
        let own = current.id.to_string();
        all.retain(|(id, _)| *id != own);
        Ok(History::of(all.into_iter().map(|(_, earlier)| earlier).collect()))
    }
}

fn earlier(rows: &Rows<'_>, id: &str) -> Result<Option<Earlier>, Fault> {
    let Some(incident) = rows.get::<Incident>(id)? else { return Ok(None) };
    if incident.category.as_deref() == Some("not_an_incident") {
        return Ok(None);
    }
    let filter = Filter { limit: MOST_ALERTS, ..Filter::parent(id) };
    let alerts = rows.list::<Alert>(&filter)?;
    let told = Filter { limit: MOST_ALERTS, ..Filter::parent(id) };
    let told = Filter { states: vec!["impact".into()], ..told };
    let story = rows.list::<TimelineEntry>(&told)?;
    Ok(Some(Earlier::of(&incident, alerts, story)))
}

impl Earlier {
    /// What is kept of an incident; forecasts and what is only noted are no trouble.
    fn of(incident: &Incident, mut alerts: Vec<Alert>, story: Vec<TimelineEntry>) -> Self {
        let mut cut = alerts.len() >= MOST_ALERTS;
        alerts.retain(|a| a.severity != Severity::Info && !a.is_forecast());
        let over = incident.resolved_at.unwrap_or(incident.updated_at);
        let found = troubles(&alerts, &BTreeMap::new());
        let mut all: Vec<(Time, Time, EntityRef)> = found
            .into_iter()
            .map(|(entity, trouble)| {
                let ends = trouble.alerts.iter().map(|a| a.ends_at.unwrap_or(over).min(over));
                (trouble.onset, ends.max().unwrap_or(over).max(trouble.onset), entity)
            })
            .collect();
        all.sort();
        cut |= all.len() > MOST_ENTITIES;
        all.truncate(MOST_ENTITIES);
        let impacts = story.into_iter().filter(|e| e.kind == EntryKind::Impact);
        Self {
            troubles: all.into_iter().map(|(from, until, e)| (e, (from, until))).collect(),
            cut,
            business: impacts.filter_map(|e| Some((e.subject?, e.text))).collect(),
        }
    }
}

/// How a service did after another got into trouble.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counted {
    /// How long (ms) after the other it followed, each time.
    pub(super) lags: Vec<i64>,
    /// For how long (ms) the other was in trouble each time that it did not follow.
    pub(super) spared: Vec<i64>,
}

impl Counted {
    /// How often it followed, of the times that count: where it did not follow and the other was back
    /// before half of those that follow do, it could not have.
    pub(super) fn times(&self, median_ms: Option<f64>) -> (u32, u32) {
        let long = |ms: &&i64| median_ms.is_none_or(|median| **ms as f64 >= median);
        let k = self.lags.len();
        (k as u32, (k + self.spared.iter().filter(long).count()) as u32)
    }
}

/// Earlier incidents, newest first.
#[derive(Clone, Debug, Default)]
pub(in crate::diagnose) struct History {
    pub(super) all: Vec<Arc<Earlier>>,
    /// Of each, by its place, those that went on at the same time.
    pub(super) beside: Vec<Vec<usize>>,
}

impl History {
    /// A history of incidents, newest first.
    pub(super) fn of(all: Vec<Arc<Earlier>>) -> Self {
        let span = |one: &Arc<Earlier>| {
            let from = one.troubles.values().map(|(from, _)| *from).min()?;
            Some((from, one.troubles.values().map(|(_, until)| *until).max()?))
        };
        let spans: Vec<Option<(Time, Time)>> = all.iter().map(span).collect();
        let beside = |own: &Option<(Time, Time)>| {
            let Some((from, until)) = *own else { return Vec::new() };
            let meets = |(i, other): (usize, &Option<(Time, Time)>)| {
                let other = other.as_ref().filter(|_| !std::ptr::eq(own, other))?;
                (other.0 <= until && other.1 >= from.plus_ms(-SLACK_MS)).then_some(i)
            };
            spans.iter().enumerate().filter_map(meets).take(MOST_BESIDE).collect()
        };
        let beside = spans.iter().map(beside).collect();
        Self { all, beside }
    }

    /// How `who`, which depends on `other`, did each time that that was in trouble. Where `who` was in
    /// trouble first, there or in an incident of its own, it followed something else, and the time does
    /// not count.
    ///
    /// Where it is not among those in trouble but in an incident of its own that began meanwhile, it
    /// followed too: grouping kept the two apart, and that a service gets into trouble by chance just
    /// while what it depends on is in trouble is far rarer than that it follows. If that other incident
    /// has what explains it, namely something else that it depends on and that was in trouble before it,
    /// or `other` itself, the time counts neither way.
    pub(super) fn after(&self, graph: &Graph, who: &EntityRef, other: &EntityRef) -> Counted {
        let mut found = Counted::default();
        for at in 0..self.all.len() {
            if found.lags.len() + found.spared.len() >= MOST_TIMES {
                break;
            }
            self.count(at, (graph, who, other), &mut found);
        }
        found
    }

    /// How all who depend on something directly did after it got into trouble.
    pub(super) fn together(&self, graph: &Graph) -> Counted {
        let mut found = Counted::default();
        for (at, one) in self.all.iter().enumerate().take(MOST_TOGETHER) {
            for other in one.troubles.keys() {
                for (who, _) in graph.dependents(other).take(MOST_TIMES) {
                    self.count(at, (graph, who, other), &mut found);
                }
            }
        }
        found
    }

    fn count(
        &self,
        at: usize,
        (graph, who, other): (&Graph, &EntityRef, &EntityRef),
        found: &mut Counted,
    ) {
        let one = &self.all[at];
        let Some((from, until)) = one.troubles.get(other) else { return };
        let lag_ms = |at: Time| Some(at.ms_since(*from)).filter(|ms| *ms >= -SLACK_MS);
        if let Some((at, _)) = one.troubles.get(who) {
            found.lags.extend(lag_ms(*at).map(|ms| ms.max(0)));
            return;
        }
        let beside = self.beside.get(at).into_iter().flatten().map(|i| &self.all[*i]);
        let meanwhile = beside.filter_map(|b| {
            let (at, end) = b.troubles.get(who)?;
            let Some(ms) = lag_ms(*at) else { return (end >= from).then_some((-1, true)) };
            if at > until {
                return None;
            }
            let before = |e: &EntityRef| b.troubles.get(e).is_some_and(|(from, _)| from <= at);
            let is_explained =
                before(other) || graph.dependencies(who).any(|(e, _)| e != who && before(e));
            Some((ms.max(0), is_explained))
        });
        match meanwhile.min() {
            Some((ms, false)) => found.lags.push(ms),
            None if !one.cut => found.spared.push(until.ms_since(*from)),
            Some((_, true)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::tests::{alert, at, chain, input, service};
    use crate::model::time::MINUTE_MS;
    use crate::model::topology::EdgeKind;
    use crate::model::{IncidentId, Indicator};
    use crate::store::Store;

    fn one(troubles: &[(&str, i64, i64)], cut: bool) -> Arc<Earlier> {
        let trouble =
            |(name, from, until): &(&str, i64, i64)| (service(name), (at(*from), at(*until)));
        let troubles = troubles.iter().map(trouble).collect();
        Arc::new(Earlier { troubles, cut, business: Vec::new() })
    }

    #[test]
    fn only_times_in_which_it_could_follow_are_counted() {
        let all = vec![
            one(&[("shop", 0, 900), ("web", 120, 900)], false),
            one(&[("shop", 0, 900), ("web", 240, 900)], false),
            one(&[("shop", 0, 900)], false),
            // Over too soon; not all are known; web was first; shop was spared.
            one(&[("shop", 0, 60)], false),
            one(&[("shop", 0, 900)], true),
            one(&[("shop", 100, 900), ("web", 0, 900)], false),
            one(&[("web", 0, 900)], false),
        ];
        let history = History { all, ..History::default() };
        let graph = chain();
        let counted = history.after(&graph, &service("web"), &service("shop"));
        assert_eq!(counted.lags, [2 * MINUTE_MS, 4 * MINUTE_MS]);
        assert_eq!(counted.times(Some(180_000.0)), (2, 3));
        assert_eq!(counted.times(None), (2, 4));
        assert_eq!(history.after(&graph, &service("shop"), &service("mail")), Counted::default());
    }

    #[test]
    fn who_has_an_incident_of_its_own_meanwhile_followed_unless_that_explains_it() {
        let mut graph = chain();
        graph.add(service("web"), service("mail"), EdgeKind::Calls);
        let of = |others: &[&[(&str, i64, i64)]]| {
            let mut all = vec![one(&[("shop", 0, 900), ("other", 60, 900)], false)];
            all.extend(others.iter().map(|troubles| one(troubles, false)));
            History::of(all).after(&graph, &service("web"), &service("shop"))
        };
        let counted = |lags: &[i64], spared: &[i64]| Counted {
            lags: lags.iter().map(|s| s * 1_000).collect(),
            spared: spared.iter().map(|s| s * 1_000).collect(),
        };
        assert_eq!(of(&[]), counted(&[], &[900]));
        assert_eq!(of(&[&[("web", 240, 1_200)]]), counted(&[240], &[]), "in one of its own");
        assert_eq!(of(&[&[("web", -20, 1_200)]]), counted(&[0], &[]), "seen a step before");
        assert_eq!(of(&[&[("web", -300, 600)]]), counted(&[], &[]), "in trouble before");
        // Well again before it, after it, and nothing of it.
        for apart in [[("web", -300, -60)], [("web", 1_000, 1_200)], [("far", 240, 1_200)]] {
            assert_eq!(of(&[&apart]), counted(&[], &[900]), "{apart:?}");
        }
        // What it depends on besides was in trouble there first; or that was and is counted there.
        assert_eq!(of(&[&[("mail", 200, 900), ("web", 240, 900)]]), counted(&[], &[]));
        assert_eq!(of(&[&[("shop", 200, 900), ("web", 240, 900)]]), counted(&[40], &[]));
        // The first counts.
        assert_eq!(of(&[&[("web", 300, 400)], &[("web", 120, 200)]]), counted(&[120], &[]));
        // All who depend on something are counted by the same rule.
        let pair = vec![one(&[("shop", 0, 900)], false), one(&[("web", 90, 900)], false)];
        assert_eq!(History::of(pair).together(&graph), counted(&[90], &[]));
    }

    #[tokio::test]
    async fn an_incident_is_read_again_only_after_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("n.sqlite")).expect("opens");
        let (web, shop) = (service("web"), service("shop"));
        let mut alerts =
            vec![alert(&shop, Indicator::Errors, 9.0, 0), alert(&web, Indicator::Errors, 9.0, 90)];
        alerts.push(alert(&service("mail"), Indicator::Errors, 9.0, 30));
        alerts[2].severity = Severity::Info;
        let mut old = input(Graph::default(), alerts.clone(), Vec::new()).incident;
        (old.state, old.resolved_at) = (IncidentState::Resolved, Some(at(3_000)));
        let mut now = old.clone();
        now.id = IncidentId::derive(at(9_000), &["now"]);
        let kept = KeptHistory::default();
        let put = old.clone();
        store
            .write(move |tx| {
                for mut alert in alerts {
                    alert.incident = Some(put.id);
                    tx.put(&alert)?;
                }
                tx.put(&put)
            })
            .await
            .expect("written");
        let read = async || {
            let (kept, now) = (kept.clone(), now.clone());
            store.read(move |r| kept.read(r, &now)).await.expect("read")
        };
        let first = read().await;
        assert_eq!(first.after(&chain(), &web, &shop).lags, [90_000]);
        assert!(!first.all[0].troubles.contains_key(&service("mail")), "only noted");
        assert_eq!(first.all[0].troubles[&shop].1, at(3_000));
        assert!(Arc::ptr_eq(&first.all[0], &read().await.all[0]), "kept");
        let none = Incident { category: Some("not_an_incident".into()), ..old.clone() };
        store.write(move |tx| tx.put(&none)).await.expect("written");
        assert!(read().await.all.is_empty());
        // A look reads so many that are new, the newest, and the next reads on.
        let many = (0..MOST_READ as i64 + 15).map(|n| {
            let (onset_at, id) = (at(n), IncidentId::derive(at(n), &["many"]));
            Incident { id, onset_at, opened_at: onset_at, ..old.clone() }
        });
        let many: Vec<Incident> = many.collect();
        let put = many.clone();
        let written = store.write(move |tx| put.iter().try_for_each(|i| tx.put(i)));
        written.await.expect("written");
        let lengths = [read().await.all.len(), read().await.all.len(), read().await.all.len()];
        assert_eq!(lengths, [MOST_READ, MOST_READ + 15, MOST_READ + 15]);
    }
}
