//! Replicas among each other and as a whole: one replica unlike its siblings is told of, the
//! replicas together are judged as one series of what they are replicas of, and a new replica
//! begins with what is known of them.
//!
//! A replica is known by a label (`pod`, `instance`, …) or by being a pod; what it is a replica of
//! is the rest of its description. Replicas come and go by the thousand: of each only a few numbers
//! are kept here, of at most [`MOST_MEMBERS`] at a time, and what is silent for long is forgotten.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::episode::{Claim, Episode, Rules, advance};
use super::grounds::Surprise;
use super::series::{SeriesState, Taken};
use super::telling::told;
use super::view::Facts;
use crate::model::time::HOUR_MS;
use crate::model::{Anomaly, Band, EntityRef, Point, Samples, Series, SeriesId, Time};
use crate::stats::{RobustMean, median_and_sigma};

/// Id of the view.
pub(super) const ID: &str = "peers/1";
/// Labels that tell replicas of the same thing apart.
const REPLICA: [&str; 8] = [
    "pod",
    "instance",
    "k8s.pod.name",
    "k8s_pod_name",
    "service.instance.id",
    "service_instance_id",
    "container_id",
    "replica",
];
/// Replicas whose siblings are compared; more are only part of the whole.
const MOST_MEMBERS: usize = 256;
/// Others that a replica is held against: with fewer, who is unlike whom can't be said.
const LEAST_OTHERS: usize = 2;
/// Points before a replica's own usual distance from its siblings is known.
const LEAST_POINTS: u32 = 20;
/// Weight of a point in that distance: some two hours at 15 s.
const ALPHA: f64 = 1.0 / 480.0;
/// Silence after which a replica is forgotten here (ms).
const FORGOTTEN_MS: i64 = HOUR_MS;

/// All groups of replicas.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Peers {
    groups: BTreeMap<u64, Group>,
    /// Values of the running batch, by group and time.
    #[serde(skip)]
    fresh: BTreeMap<(u64, Time), BTreeMap<u64, f64>>,
    /// Means that were judged and are not stored yet, for charts.
    #[serde(skip)]
    judged: Vec<Samples>,
}

/// Replicas of one thing, by one metric.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    members: BTreeMap<u64, Member>,
    /// The mean of the replicas as a series of what they are replicas of.
    whole: SeriesState,
}

/// One replica.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Member {
    at: Time,
    /// Its usual distance from the middle of its siblings.
    apart: RobustMean,
    unlike: Option<Box<Episode>>,
}

/// What a series is a replica of, with the identity of the group; `None` when it is none.
pub(super) fn whole_of(series: &Series) -> Option<Series> {
    let labels = series.labels.without(&REPLICA);
    let owner = owner_of(&series.entity);
    if matches!(owner, Cow::Borrowed(_)) && labels == series.labels {
        return None;
    }
    let entity = owner.into_owned();
    let metric = format!("{} per replica", series.metric);
    let id = Series::identity(&series.source, &metric, &entity, &labels);
    Some(Series { id, entity, metric, labels, query: None, limit: None, ..series.clone() })
}

/// What an entity is a replica of, or itself.
pub(super) fn owner_of(entity: &EntityRef) -> Cow<'_, EntityRef> {
    match entity.attribute() {
        "k8s.pod.name" | "service.instance.id" => {
            Cow::Owned(EntityRef::new("k8s.deployment.name", workload_of(entity.name())))
        }
        _ => Cow::Borrowed(entity),
    }
}

/// The workload in a pod's name: without the ordinal of a stateful set, or the hashes of a replica
/// set and of a pod, which hold digits or have no vowels (Kubernetes' `SafeEncodeString`).
fn workload_of(pod: &str) -> &str {
    let is_hash = |part: &str| {
        (4..=10).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
            && !part.bytes().any(|b| matches!(b, b'a' | b'e' | b'i' | b'o' | b'u' | b'y'))
    };
    let Some((rest, last)) = pod.rsplit_once('-') else { return pod };
    if last.bytes().all(|b| b.is_ascii_digit()) && last.len() <= 4 {
        return rest;
    }
    if !is_hash(last) {
        return pod;
    }
    match rest.rsplit_once('-') {
        Some((workload, hash)) if is_hash(hash) => workload,
        _ => rest,
    }
}

impl Peers {
    /// What is known of the siblings of a new series, to begin with.
    pub(super) fn known(&self, group: u64) -> Option<&SeriesState> {
        self.groups.get(&group).map(|g| &g.whole)
    }

    /// The means that were judged with the newest batch: no source gives them.
    pub(super) fn take_judged(&mut self) -> Vec<Samples> {
        std::mem::take(&mut self.judged)
    }

    /// What is expected of the mean of replicas at a time.
    pub(super) fn expected(&self, config: &Config, id: SeriesId, at: Time) -> Option<Band> {
        self.groups.get(&id.0)?.whole.expected(config, at)
    }

    /// Takes in a point of a replica; it is judged with those of its siblings at the end of the
    /// batch.
    pub(super) fn hear(&mut self, group: u64, series: u64, point: Point) {
        self.fresh.entry((group, point.at)).or_default().insert(series, point.value);
    }

    /// Judges what was heard since: each replica against its siblings, and all as a whole.
    pub(super) fn judge(
        &mut self,
        config: &Config,
        series: &BTreeMap<u64, Box<SeriesState>>,
        backfill: bool,
        out: &mut Vec<Anomaly>,
    ) {
        for ((key, at), values) in std::mem::take(&mut self.fresh) {
            let Some(first) = values.keys().find_map(|id| series.get(id)) else { continue };
            let Some(whole) = whole_of(&first.series) else { continue };
            let group = self.groups.entry(key).or_insert_with(|| Group {
                members: BTreeMap::new(),
                whole: SeriesState::new(whole),
            });
            let mean = values.values().sum::<f64>() / values.len() as f64;
            let point = Point { at, value: mean };
            // Of one replica the whole says nothing that the replica does not say itself.
            let quiet = backfill || values.len() < 2;
            group.whole.day = first.day;
            group.whole.bar = first.bar;
            let taken = group.whole.observe(config, point, quiet, out);
            if taken == Taken::Judged && values.len().max(group.members.len()) > 1 {
                self.judged
                    .push(Samples { series: group.whole.series.clone(), points: vec![point] });
            }
            for (id, value) in &values {
                let others: Vec<f64> =
                    values.iter().filter(|(other, _)| *other != id).map(|(_, v)| *v).collect();
                if let Some(state) = series.get(id) {
                    let point = Point { at, value: *value };
                    group.compare(config, state, point, (&others, backfill), out);
                }
            }
        }
    }

    /// Forgets replicas that fell silent, and ends what is open of them; a group is forgotten when
    /// nothing was heard of it for `gone_ms`.
    pub(super) fn forget(
        &mut self,
        now: Time,
        gone_ms: i64,
        series: &BTreeMap<u64, Box<SeriesState>>,
        out: &mut Vec<Anomaly>,
    ) {
        for group in self.groups.values_mut() {
            group.members.retain(|id, member| {
                let stays = now.ms_since(member.at) <= FORGOTTEN_MS;
                let open = member.unlike.take_if(|e| !stays && e.called);
                if let (Some(episode), Some(state)) = (open, series.get(id)) {
                    let mut anomaly = told(&state.series, &episode, Some(now));
                    (anomaly.at, anomaly.unseen) = (now, true);
                    out.push(anomaly);
                }
                stays
            });
            if group.members.is_empty() {
                group.whole.vanish(now, out);
            }
        }
        self.groups.retain(|_, g| now.ms_since(g.whole.last) <= gone_ms);
    }
}

impl Group {
    /// Holds one replica against its siblings at the same time.
    fn compare(
        &mut self,
        config: &Config,
        state: &SeriesState,
        point: Point,
        (others, backfill): (&[f64], bool),
        out: &mut Vec<Anomaly>,
    ) {
        if others.len() < LEAST_OTHERS {
            return;
        }
        let Some((mid, spread)) = median_and_sigma(others) else { return };
        let series = &state.series;
        if !self.members.contains_key(&series.id.0) && self.members.len() >= MOST_MEMBERS {
            return;
        }
        let member = self.members.entry(series.id.0).or_insert_with(|| Member {
            at: point.at,
            apart: RobustMean::new(),
            unlike: None,
        });
        member.at = point.at;
        let apart = point.value - mid;
        if !backfill && member.apart.n() >= LEAST_POINTS {
            let facts = Facts::new(config, series, None, false).with_bar(state.bar);
            let sigma = spread.max(member.apart.sigma());
            let usual = mid + member.apart.level();
            let expected = facts.band((usual, usual, usual), config.threshold * sigma);
            let score = facts.score(point.value, &expected);
            let claim = Claim {
                at: point.at,
                value: point.value,
                score,
                expected,
                detector: ID,
                surprise: Surprise::default(),
            };
            let rules = Rules::held(config, 3);
            out.extend(advance(&mut member.unlike, series, &claim, &rules));
        }
        // Nothing of a departure is learned: a sick replica does not become usual.
        if member.unlike.is_none() {
            member.apart.push(apart, ALPHA);
        }
    }
}
