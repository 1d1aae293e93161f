//! Of what kind an incident is: category, trigger, component. Pure.
//!
//! The leading alert says what is wrong; the first hypothesis of a conclusive diagnosis says what
//! set it off and where it sits. Before there is one, a change shortly before the onset on a member
//! or on what a member calls is taken for the trigger, and the entity of the earliest alert for the
//! place.

use super::group::{Group, Member};
use crate::model::alert::{EXPIRY_AHEAD, LIMIT_AHEAD};
use crate::model::priority::{Taxonomy, UNKNOWN};
use crate::model::time::MINUTE_MS;
use crate::model::{Change, ChangeKind, Diagnosis, EntityRef, Graph, Indicator};

/// A change this long (ms) before the onset may have set it off.
const BEFORE_MS: i64 = 15 * MINUTE_MS;

/// What a conclusive diagnosis says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cause {
    entity: EntityRef,
    trigger: String,
}

impl Cause {
    /// The cause that a diagnosis names, if it is conclusive.
    pub(super) fn of(diagnosis: &Diagnosis) -> Option<Self> {
        let first = diagnosis.hypotheses.first().filter(|_| diagnosis.conclusive)?;
        let change = first.change.and_then(|id| diagnosis.changes.iter().find(|c| c.id == id));
        let trigger = change.map_or(first.pattern.as_str(), |c| word(c.kind)).to_owned();
        Some(Self { entity: first.entity.clone(), trigger })
    }
}

fn word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Deploy => "deploy",
        ChangeKind::Config => "config",
        ChangeKind::NetworkPolicy => "network_policy",
        ChangeKind::Scale => "scale",
        ChangeKind::Flag => "flag",
        ChangeKind::Migration => "migration",
        ChangeKind::Schema => "schema",
        ChangeKind::Provider => "external",
        ChangeKind::Other => "change",
    }
}

/// The kind of an incident.
pub(super) fn taxonomy(group: &Group, graph: &Graph, changes: &[Change]) -> Taxonomy {
    let leading = group.incident.leading.and_then(|id| group.members.get(&id));
    let earliest = group.sums.onsets().min_by_key(|(entity, onset)| (*onset, *entity));
    let (trigger, place) = match &group.cause {
        Some(cause) => (cause.trigger.clone(), Some(&cause.entity)),
        None => (
            set_off(group, graph, changes).map_or(UNKNOWN, |c| word(c.kind)).to_owned(),
            earliest.map(|(entity, _)| entity),
        ),
    };
    Taxonomy {
        category: leading.map_or("other", category).to_owned(),
        trigger,
        component: place.map_or("other", component).to_owned(),
    }
}

/// The change nearest before the onset that touches a member or what a member calls, or else names
/// one.
fn set_off<'a>(group: &Group, graph: &Graph, changes: &'a [Change]) -> Option<&'a Change> {
    let onset = group.incident.onset_at;
    let touches = |entity: &EntityRef| {
        group
            .entities
            .keys()
            .any(|m| m == entity || graph.dependencies(m).any(|(e, _)| e == entity))
    };
    let named = |name: &str| {
        group
            .entities
            .keys()
            .any(|m| m.name() == name || graph.dependencies(m).any(|(e, _)| e.name() == name))
    };
    changes
        .iter()
        .filter(|c| (-c.kind.late_ms()..=BEFORE_MS).contains(&onset.ms_since(c.at)))
        .filter_map(|c| {
            let is_named = !touches(&c.entity);
            (!is_named || c.names().any(named)).then_some((is_named, c))
        })
        // What was changed itself goes before what a change only names.
        .min_by_key(|(is_named, c)| (*is_named, onset.ms_since(c.at).abs(), c.id))
        .map(|(_, c)| c)
}

fn category(member: &Member) -> &'static str {
    match member.weighs.name.as_str() {
        _ if member.weighs.is_business() => "business",
        _ if member.weighs.is_objective() => "objective",
        LIMIT_AHEAD | EXPIRY_AHEAD => "capacity",
        name if speaks_of_logs(name) || name == "ErrorLinesHigh" => "logs",
        _ => match member.indicator {
            Some(Indicator::Availability) => "availability",
            Some(Indicator::Errors) => "errors",
            Some(Indicator::Duration) => "latency",
            Some(Indicator::Rate) => "traffic",
            Some(Indicator::Utilization | Indicator::Saturation | Indicator::Usage) => "saturation",
            Some(Indicator::Custom) | None => "other",
        },
    }
}

/// Whether one of the words of an alert's name is log or logs: `NewLogPattern`, `api-logs`; not
/// `LoginFailures`, `CatalogSlow`.
fn speaks_of_logs(name: &str) -> bool {
    let mut word = String::new();
    let mut speaks = false;
    for c in name.chars().chain(['_']) {
        let begins = c.is_uppercase() && word.ends_with(|w: char| !w.is_uppercase());
        if begins || !c.is_alphabetic() {
            speaks |= ["log", "logs"].iter().any(|w| word.eq_ignore_ascii_case(w));
            word.clear();
        }
        if c.is_alphabetic() {
            word.push(c);
        }
    }
    speaks
}

/// By the attribute that names it, and by name where that is all there is.
fn component(entity: &EntityRef) -> &'static str {
    let (attribute, name) = (entity.attribute(), entity.name().to_ascii_lowercase());
    let named = |words: &[&str]| {
        name.split(['-', '_', '.', ':']).any(|part| words.iter().any(|w| part.starts_with(w)))
    };
    if entity.is_host() {
        "node"
    } else if attribute.starts_with("db.")
        || named(&["db", "database", "postgres", "mysql", "mariadb", "mongo", "cassandra"])
    {
        "database"
    } else if attribute.starts_with("messaging.")
        || named(&["kafka", "rabbitmq", "queue", "broker", "nats", "sqs"])
    {
        "queue"
    } else if named(&["redis", "memcached", "cache", "valkey"]) {
        "cache"
    } else if entity.is_service() || attribute.starts_with("k8s.") {
        "service"
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use super::{speaks_of_logs, word};
    use crate::model::ChangeKind;
    use crate::model::diagnosis::PATTERNS;
    use crate::model::priority::{TRIGGERS, UNKNOWN};

    #[test]
    fn kinds_of_change_and_patterns_are_words_of_one_vocabulary() {
        use ChangeKind::{
            Config, Deploy, Flag, Migration, NetworkPolicy, Other, Provider, Scale, Schema,
        };
        let kinds =
            [Deploy, Config, NetworkPolicy, Scale, Flag, Migration, Schema, Provider, Other];
        let mut known: Vec<&str> = kinds.into_iter().map(word).chain(PATTERNS).collect();
        // Only people can know the first.
        known.extend(["planned", UNKNOWN]);
        assert!(known.iter().all(|w| TRIGGERS.contains(w)), "{known:?}");
        assert!(TRIGGERS.iter().all(|w| known.contains(w)), "{known:?}");
    }

    #[test]
    fn a_name_speaks_of_logs_by_a_word_of_its_own() {
        for name in ["NewLogPattern", "LogErrorsHigh", "api-logs", "error_log", "Log4Errors"] {
            assert!(speaks_of_logs(name), "{name}");
        }
        for name in ["LoginFailures", "CatalogSlow", "LogicError", "BacklogHigh", "Analogue", ""] {
            assert!(!speaks_of_logs(name), "{name}");
        }
    }
}
