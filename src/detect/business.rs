//! Business and cost series: what orders, revenue or spending are measured by, as declared in
//! configuration. A departure of theirs weighs more than one of a resource.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::lifecycle::{alert_of, word};
use crate::model::alert::Subject;
use crate::model::signal::Direction;
use crate::model::{Alert, Anomaly, Series, Severity};

/// What a declared series is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What the business lives by: orders, revenue, conversion. Less of it is bad.
    #[default]
    Business,
    /// What it pays for. More of it is bad.
    Cost,
}

impl Kind {
    /// The word that people are told.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Business => "business",
            Self::Cost => "cost",
        }
    }
}

/// Declares that series are about business or cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Business {
    /// What people call it: `orders`.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Name of the series' metric; a `*` at its end stands for any rest.
    #[schemars(length(min = 1))]
    pub metric: String,
    /// Labels that the series must have; an attribute such as `service.name` is that of its entity.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What it is about.
    #[serde(default)]
    pub kind: Kind,
    /// Which departures are bad: by default too little business and too much cost.
    #[serde(default)]
    pub direction: Option<Direction>,
    /// How much it weighs: with 2, half as strange a departure is critical.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

impl Business {
    /// Whether a series is one of those declared.
    #[must_use]
    pub fn covers(&self, series: &Series) -> bool {
        let named = match self.metric.strip_suffix('*') {
            Some(start) => series.metric.starts_with(start),
            None => series.metric == self.metric,
        };
        named
            && self.labels.iter().all(|(name, value)| {
                series.labels.get(name) == Some(value)
                    || (series.entity.attribute() == name && series.entity.name() == value)
            })
    }

    fn direction(&self) -> Direction {
        self.direction.unwrap_or(match self.kind {
            Kind::Business => Direction::Low,
            Kind::Cost => Direction::High,
        })
    }
}

/// The first declaration that covers a series.
#[must_use]
pub fn declared<'a>(all: &'a [Business], series: &Series) -> Option<&'a Business> {
    all.iter().find(|b| b.covers(series))
}

/// A series as it is to be judged: in the direction that its declaration says.
pub(super) fn described<'a>(all: &[Business], series: &'a Series) -> Cow<'a, Series> {
    match declared(all, series) {
        Some(b) if b.direction() != series.direction => {
            Cow::Owned(Series { direction: b.direction(), ..series.clone() })
        }
        _ => Cow::Borrowed(series),
    }
}

/// The alert of an anomaly, with the severity that its declaration gives it.
#[must_use]
pub fn alert_weighed(config: &Config, anomaly: &Anomaly) -> Alert {
    let mut alert = alert_of(anomaly, config.threshold);
    if let Subject::Series { series } = &anomaly.subject {
        weigh(&config.business, series, config.threshold, &mut alert);
    }
    alert
}

/// Gives the alert of a declared series the severity that it weighs, and says why: at least warning,
/// and critical once `weight × score` reaches twice the threshold. The incident that it belongs to
/// is as severe as its worst alert.
fn weigh(all: &[Business], series: &Series, threshold: f64, alert: &mut Alert) {
    let Some(business) = declared(all, series) else { return };
    let (weighed, enough) = (business.weight * alert.score, 2.0 * threshold);
    let least = if weighed >= enough { Severity::Critical } else { Severity::Warning };
    let (before, kind) = (alert.severity, business.kind.as_str());
    alert.severity = before.max(least);
    let compared = if least == Severity::Critical { "reaches" } else { "is below" };
    let why = alert.annotations.get("description").unwrap_or_default();
    let why = format!(
        "{why} Declared as {kind} \"{}\" (weight {}): at least {}, since weight × score {weighed:.1} \
         {compared} {enough:.1} (twice detect.threshold).",
        business.name,
        business.weight,
        word(least)
    );
    alert.annotations.set("description", why);
    alert.annotations.set("stake", format!("{kind} {}", business.name));
    alert.labels.set("severity", word(alert.severity));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Shard;
    use crate::model::{Batch, EntityRef, Indicator, Labels, Point, Samples, Time};

    fn series(metric: &str) -> Series {
        let (entity, labels) =
            (EntityRef::service("checkout"), Labels::default().with("region", "eu"));
        Series {
            id: Series::identity("main", metric, &entity, &labels),
            source: "main".into(),
            entity,
            metric: metric.into(),
            labels,
            indicator: Indicator::Custom,
            unit: "{order}/s".into(),
            direction: Direction::Both,
            query: None,
            limit: None,
            step_ms: 15_000,
        }
    }

    fn orders(text: &str) -> Business {
        toml::from_str(text).expect("sound")
    }

    #[test]
    fn a_declaration_covers_by_name_label_and_entity() {
        let covers = |text: &str| orders(text).covers(&series("shop.orders"));
        assert!(covers("name = 'orders'\nmetric = 'shop.orders'"));
        assert!(covers("name = 'orders'\nmetric = 'shop.*'\nlabels = { region = 'eu' }"));
        let entity = "name = 'o'\nmetric = 'shop.*'\nlabels = { 'service.name' = 'checkout' }";
        assert!(covers(entity));
        assert!(!covers("name = 'orders'\nmetric = 'shop'"));
        assert!(!covers("name = 'orders'\nmetric = 'shop.*'\nlabels = { region = 'us' }"));
    }

    /// What is called when a steady series moves to another level.
    fn called(config: Config, to: f64) -> Vec<Alert> {
        let mut shard = Shard::new(config.clone());
        let t0 = Time::from_ms(1_800_000_000_000);
        let mut alerts = Vec::new();
        for i in 0..400_i64 {
            let at = t0.plus_ms(i * 15_000);
            let noise = ((i * 7_919) % 13) as f64 / 13.0;
            let value = if i < 300 { 20.0 } else { to } + noise;
            let mut batch = Batch::new("main", at);
            let series = series("shop.orders");
            batch.metrics.push(Samples { series, points: vec![Point { at, value }] });
            let found = shard.observe(&batch);
            alerts.extend(found.iter().map(|a| alert_weighed(&config, a)));
        }
        alerts
    }

    #[test]
    fn fewer_orders_are_critical_and_more_are_none() {
        let declared = orders("name = 'orders'\nmetric = 'shop.orders'\nweight = 2");
        let config = Config { business: vec![declared], ..Config::default() };
        let plain = called(Config::default(), 5.0);
        assert!(!plain.is_empty() && plain.iter().all(|a| a.severity == Severity::Info));
        let fell = called(config.clone(), 5.0);
        assert!(fell.iter().any(|a| a.severity == Severity::Critical));
        let why = fell[0].annotations.get("description").expect("stands");
        assert!(why.contains("Declared as business \"orders\" (weight 2)"), "{why}");
        assert_eq!(fell[0].labels.get("severity"), Some(word(fell[0].severity)));
        assert!(called(config, 60.0).is_empty(), "more orders are no fault");
    }
}
