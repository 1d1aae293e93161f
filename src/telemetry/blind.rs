//! What can't be seen now: entities of which no data comes, so that "nothing fires" says nothing.
//!
//! Whoever tells people that something is well asks here first.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::alert::{DATA_MISSING, SOURCE_ATTRIBUTE};
use crate::model::{Alert, EntityRef, Fault, Series, Time};
use crate::store::{Filter, Rows, SeriesFilter};

/// Something that can't be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Blind {
    /// What.
    #[schema(value_type = String)]
    pub entity: EntityRef,
    /// The newest data is of this time.
    pub since: Time,
    /// Why, in one sentence.
    pub why: String,
}

impl Blind {
    /// One sentence for people: what is not known, and since when.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "Blind since {} UTC: {} Whether {} is well can't be told.",
            self.since.clock_text(),
            self.why,
            self.entity.name()
        )
    }
}

/// Everything that can't be seen, by entity, from the alerts that fire and the series that are
/// known. An entity is blind when its own data is missing, or when each of its series comes from a
/// source that is missing as a whole.
#[must_use]
pub fn blind(firing: &[Alert], series: &[Series]) -> Vec<Blind> {
    let missing = || firing.iter().filter(|a| a.is_firing() && a.name() == DATA_MISSING);
    let sources: BTreeMap<&str, Time> = missing()
        .filter(|a| a.entity.attribute() == SOURCE_ATTRIBUTE)
        .map(|a| (a.entity.name(), a.starts_at))
        .collect();
    let mut found: BTreeMap<EntityRef, Blind> = BTreeMap::new();
    for alert in missing() {
        let why = match alert.entity.attribute() {
            SOURCE_ATTRIBUTE => {
                format!("all data of the source {} is missing.", alert.entity.name())
            }
            _ => format!("no data of {} comes.", alert.entity.name()),
        };
        let entity = alert.entity.clone();
        let (since, key) = (alert.starts_at, entity.clone());
        found.entry(key).or_insert(Blind { entity, since, why });
    }
    if sources.is_empty() {
        return found.into_values().collect();
    }
    let mut of: BTreeMap<&EntityRef, Option<(Time, &str)>> = BTreeMap::new();
    for s in series {
        let gone = sources.get(s.source.as_str()).map(|since| (*since, s.source.as_str()));
        let known = of.entry(&s.entity).or_insert(gone);
        // One source that speaks is enough to see.
        *known = known.zip(gone).map(|(a, b)| if b.0 > a.0 { b } else { a });
    }
    for (entity, gone) in of {
        let Some((since, source)) = gone else { continue };
        let why = format!("all its data comes from the source {source}, which is missing.");
        let blind = Blind { entity: entity.clone(), since, why };
        found.entry(entity.clone()).or_insert(blind);
    }
    found.into_values().collect()
}

/// Everything that can't be seen, as the store knows it.
///
/// # Errors
/// The database failed.
pub fn now(rows: &Rows<'_>) -> Result<Vec<Blind>, Fault> {
    let firing = rows.list::<Alert>(&Filter::states(["firing"]))?;
    if !firing.iter().any(|a| a.name() == DATA_MISSING) {
        return Ok(Vec::new());
    }
    Ok(blind(&firing, &rows.list_series(&SeriesFilter::default())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;
    use crate::model::signal::{Direction, ExternalAlert, Indicator};

    const T: Time = Time::from_ms(1_800_000_000_000);

    fn alert(attribute: &str, name: &str) -> Alert {
        let external = ExternalAlert {
            system: "test".into(),
            labels: Labels::default().with("alertname", DATA_MISSING),
            annotations: Labels::default(),
            starts_at: T,
            ends_at: None,
            generator_url: None,
            episode: None,
            said_at: None,
        };
        let alert = crate::detect::lifecycle::alert_of_external(&external, T);
        Alert { entity: EntityRef::new(attribute, name), ..alert }
    }

    fn series(source: &str, entity: &str) -> Series {
        let (entity, labels) = (EntityRef::service(entity), Labels::default());
        Series {
            id: Series::identity(source, "up", &entity, &labels),
            source: source.into(),
            entity,
            metric: "up".into(),
            labels,
            indicator: Indicator::Availability,
            unit: "1".into(),
            direction: Direction::Low,
            query: None,
            limit: None,
            step_ms: 15_000,
        }
    }

    #[test]
    fn an_entity_is_blind_when_nothing_that_speaks_tells_of_it() {
        let all = [series("main", "cart"), series("main", "orders"), series("otlp", "orders")];
        let names = |firing: &[Alert]| -> Vec<String> {
            blind(firing, &all).iter().map(|b| b.entity.name().to_owned()).collect()
        };
        assert!(names(&[]).is_empty());
        assert_eq!(names(&[alert("service.name", "cart")]), ["cart"]);
        // The collector is gone: cart is seen by nobody else, orders still is.
        assert_eq!(names(&[alert(SOURCE_ATTRIBUTE, "main")]), ["main", "cart"]);
        let both = [alert(SOURCE_ATTRIBUTE, "main"), alert(SOURCE_ATTRIBUTE, "otlp")];
        assert_eq!(names(&both), ["main", "otlp", "cart", "orders"]);
        let text = blind(&both, &all)[3].text();
        assert_eq!(
            text,
            "Blind since 08:00:00 UTC: all its data comes from the source main, which is missing. \
             Whether orders is well can't be told."
        );
    }
}
