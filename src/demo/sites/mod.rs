//! Two simulated sites with a history of incidents: for tests and benches of what learns from
//! history. Each has its own services, kinds of fault and kinds of noise; nothing here is used by
//! the running bot.
//!
//! What an incident was is drawn first, then what is told of it, with chance in every part: kinds
//! overlap, alerts are missing, one judgement in twelve is wrong and one in seven is not
//! made.

mod kinds;

use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::topology::EdgeKind;
use crate::model::{
    Actor, Alert, AlertId, AlertSource, AlertStatus, Band, Change, ChangeId, EntityRef, Graph,
    Incident, IncidentId, IncidentState, Labels, Role, Time,
};
use crate::stats::Draws;

pub use kinds::{Kind, Place, Sign};

/// A site.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its service graph.
    pub graph: Graph,
    services: Vec<EntityRef>,
    hosts: Vec<EntityRef>,
    kinds: &'static [Kind],
}

/// One incident, what was told of it, and the truth.
#[derive(Clone, Debug)]
pub struct Told {
    /// As it stands once it is over.
    pub incident: Incident,
    /// Its alerts, as they were a minute after its opening.
    pub alerts: Vec<Alert>,
    /// Changes of the hours before.
    pub changes: Vec<Change>,
    /// Which kind it truly was.
    pub kind: &'static Kind,
    /// Where it truly was.
    pub at: EntityRef,
    /// Actions that were tried, in order, and whether they helped.
    pub tried: Vec<(&'static str, bool)>,
}

impl Site {
    /// A shop: services that call each other, databases below, four hosts.
    #[must_use]
    pub fn shop() -> Self {
        let calls = "front>cart front>catalog front>search cart>orders cart>prices orders>payments \
                     orders>stock catalog>catalog-db orders>orders-db payments>bank stock>stock-db \
                     search>catalog users>users-db front>users mail>users ship>orders";
        Self::new(calls, &["n1", "n2", "n3", "n4"], kinds::SHOP)
    }

    /// A data platform: few services, queues and jobs, many hosts.
    #[must_use]
    pub fn platform() -> Self {
        let calls = "ingest>queue loader>queue loader>warehouse reports>warehouse api>reports \
                     api>cache scheduler>loader exporter>warehouse exporter>partner api>identity";
        let hosts = ["h01", "h02", "h03", "h04", "h05", "h06", "h07", "h08"];
        Self::new(calls, &hosts, kinds::PLATFORM)
    }

    fn new(calls: &str, hosts: &[&str], kinds: &'static [Kind]) -> Self {
        let mut graph = Graph::default();
        let mut services = Vec::new();
        for (from, to) in calls.split_whitespace().filter_map(|c| c.split_once('>')) {
            let (from, to) = (EntityRef::service(from), EntityRef::service(to));
            for entity in [&from, &to] {
                if !services.contains(entity) {
                    services.push(entity.clone());
                }
            }
            graph.add(from, to, EdgeKind::Calls);
        }
        let hosts: Vec<EntityRef> = hosts.iter().map(|h| EntityRef::host(*h)).collect();
        for (i, service) in services.iter().enumerate() {
            graph.add(service.clone(), hosts[i % hosts.len()].clone(), EdgeKind::RunsOn);
        }
        Self { graph, services, hosts, kinds }
    }

    /// `n` incidents from `since` on, about three a day; the same seed gives the same.
    #[must_use]
    pub fn history(&self, n: usize, since: Time, seed: u64) -> Vec<Told> {
        let mut draws = Draws::new(seed);
        let mut at = since;
        let one = |number| {
            at = at.plus_ms((draws.exponential() * 8.0 * HOUR_MS as f64) as i64 + MINUTE_MS);
            let told = self.told(number, at, &mut draws);
            at = told.incident.opened_at;
            told
        };
        (1..=n as u64).map(one).collect()
    }

    fn told(&self, number: u64, at: Time, draws: &mut Draws) -> Told {
        let all: f64 = self.kinds.iter().map(|k| k.weight).sum();
        let mut left = draws.uniform() * all;
        let kind = self.kinds.iter().find(|k| {
            left -= k.weight;
            left < 0.0
        });
        let kind = kind.unwrap_or(&self.kinds[0]);
        // Some kinds come at their hour.
        let at = match kind.hour {
            Some(hour) => {
                let on = at.floor_to(DAY_MS).plus_ms(i64::from(hour) * HOUR_MS);
                let on = if on < at { on.plus_ms(DAY_MS) } else { on };
                on.plus_ms((draws.between(0.0, 150.0) * MINUTE_MS as f64) as i64)
            }
            None => at,
        };
        let place = pick(if kind.on_host { &self.hosts } else { &self.services }, draws).clone();
        let id = IncidentId::derive(at, &["simulated", &number.to_string()]);
        let alerts = self.alerts(kind, &place, (id, at), draws);
        let changes = self.changes(kind, &place, at, draws);
        let tried = tried(kind, draws);
        let incident = judged(kind, (id, number, at), (&alerts, &tried), draws);
        Told { incident, alerts, changes, kind, at: place, tried }
    }

    /// Entities that a sign may show at.
    fn places(&self, of: Place, at: &EntityRef) -> Vec<EntityRef> {
        let clone = |all: Vec<&EntityRef>| all.into_iter().cloned().collect();
        match of {
            Place::Here => vec![at.clone()],
            Place::Callers => clone(self.graph.dependents(at).map(|(e, _)| e).collect()),
            Place::Below => clone(self.graph.dependencies(at).map(|(e, _)| e).collect()),
            Place::Anywhere => self.services.clone(),
        }
    }

    fn alerts(
        &self,
        kind: &Kind,
        place: &EntityRef,
        (id, at): (IncidentId, Time),
        draws: &mut Draws,
    ) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = Vec::new();
        for sign in kind.signs {
            for entity in self.places(sign.place, place) {
                if draws.uniform() < sign.chance {
                    alerts.push(alert((kind, sign), entity, (id, at), draws));
                }
            }
        }
        if alerts.is_empty() {
            alerts.push(alert((kind, &kind.signs[0]), place.clone(), (id, at), draws));
        }
        alerts
    }

    fn changes(&self, kind: &Kind, place: &EntityRef, at: Time, draws: &mut Draws) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut add = |of, entity: &EntityRef, before_min: f64| {
            let made = at.plus_ms(-((before_min * MINUTE_MS as f64) as i64));
            let title = format!("change of {}", entity.name());
            changes.push(Change {
                id: ChangeId::derive(made, &[&entity.to_string(), &title]),
                kind: of,
                entity: entity.clone(),
                at: made,
                title,
                version: None,
                previous: None,
                author: None,
                url: None,
                source: "simulated".into(),
                status: "success".into(),
                attributes: Labels::default(),
                diff: Vec::new(),
            });
        };
        if let Some((of, chance)) = kind.change
            && draws.uniform() < chance
        {
            add(of, place, draws.between(1.0, 25.0));
        }
        // Deploys go on all day, and most have nothing to do with it.
        if draws.uniform() < 0.3 {
            let other = pick(&self.services, draws).clone();
            add(crate::model::ChangeKind::Deploy, &other, draws.between(5.0, 240.0));
        }
        changes
    }
}

fn pick<'a, T>(all: &'a [T], draws: &mut Draws) -> &'a T {
    &all[((draws.uniform() * all.len() as f64) as usize).min(all.len() - 1)]
}

fn alert(
    (kind, sign): (&Kind, &Sign),
    entity: EntityRef,
    (incident, at): (IncidentId, Time),
    draws: &mut Draws,
) -> Alert {
    let external = draws.uniform() < kind.external;
    let starts_at = at.plus_ms((draws.uniform() * kind.spread_s * 1_000.0) as i64);
    let mut labels = Labels::default().with("alertname", sign.name);
    labels.set(entity.attribute().to_owned(), entity.name().to_owned());
    labels.set(if sign.is_template { "template" } else { "metric" }, sign.what);
    let mid = draws.between(5.0, 500.0);
    let times = draws.between(kind.times.0, kind.times.1).exp();
    let ended = draws.uniform() < kind.ended;
    let detector = if external { String::new() } else { "ensemble/1".to_owned() };
    Alert {
        id: AlertId::derive(starts_at, &[&incident.to_string(), &entity.to_string(), sign.name]),
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::default(),
        source: if external {
            AlertSource::External { system: "alertmanager".into() }
        } else {
            AlertSource::Detector { detector }
        },
        entity,
        indicator: sign.indicator,
        severity: sign.severity,
        starts_at,
        ends_at: ended.then(|| starts_at.plus_ms(30_000)),
        known_at: None,
        updated_at: starts_at,
        status: if ended { AlertStatus::Resolved } else { AlertStatus::Firing },
        anomaly: None,
        series: None,
        value: (!sign.is_template).then_some(mid * times),
        expected: Some(Band { low: mid * 0.8, mid, high: mid * 1.2 }).filter(|_| !sign.is_template),
        score: draws.between(kind.score.0, kind.score.1),
        n_reports: 1 + (draws.exponential() * kind.reports) as u64,
        witnesses: if draws.uniform() < 0.1 { vec!["alertmanager".into()] } else { vec![] },
        incident: Some(incident),
        suppressed: None,
        decision: None,
    }
}

/// What was tried: sometimes first what does not help.
fn tried(kind: &Kind, draws: &mut Draws) -> Vec<(&'static str, bool)> {
    let mut tried = Vec::new();
    if let Some(fix) = kind.fix {
        if draws.uniform() < 0.3 {
            tried.push((kind.wrong_fix, false));
        }
        if draws.uniform() < 0.85 {
            tried.push((fix, draws.uniform() < 0.9));
        }
    }
    tried
}

/// The incident once it is over, as a person said what it was.
fn judged(
    kind: &Kind,
    (id, number, at): (IncidentId, u64, Time),
    (alerts, tried): (&[Alert], &[(&str, bool)]),
    draws: &mut Draws,
) -> Incident {
    let mut entities: Vec<EntityRef> = Vec::new();
    for alert in alerts {
        if !entities.contains(&alert.entity) {
            entities.push(alert.entity.clone());
        }
    }
    let over = at.plus_ms((draws.between(0.2, 3.0) * HOUR_MS as f64) as i64);
    let wrong = draws.uniform() < 0.08;
    let helped = tried.iter().any(|(_, helped)| *helped);
    let said = match (kind.noise != wrong, kind.pattern) {
        (true, _) if !helped => "not_an_incident",
        (_, "external") => "external",
        _ => "fixed",
    };
    let judged = helped || draws.uniform() < 6.0 / 7.0;
    let name = "operator".to_owned();
    let person = Actor { via: "console".into(), id: name.clone(), name, role: Role::Responder };
    let first = &alerts[0];
    Incident {
        id,
        number,
        title: format!("{}: {}", first.entity.name(), first.name()),
        state: IncidentState::Resolved,
        severity: alerts.iter().map(|a| a.severity).max().unwrap_or(first.severity),
        onset_at: alerts.iter().map(|a| a.starts_at).min().unwrap_or(at),
        opened_at: at.plus_ms(90_000),
        updated_at: over,
        acknowledged_at: None,
        quiet_since: None,
        resolved_at: Some(over),
        owner: None,
        entities,
        alerts: alerts.iter().map(|a| a.id).collect(),
        n_conditions: alerts.len() as u64,
        n_reports: alerts.iter().map(|a| a.n_reports).sum(),
        leading: Some(first.id),
        merged_into: None,
        category: Some(if judged { said } else { "recovered" }.to_owned()),
        closed_by: judged.then_some(person),
        declared_by: None,
        n_reopened: 0,
        reopened_at: None,
        priority: None,
        taxonomy: None,
        untold: None,
    }
}
