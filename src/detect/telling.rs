//! An episode of a series as the anomaly that is told, with its reason in one sentence.

use super::beside;
use super::episode::Episode;
use super::flatline::Flatline;
use super::grounds::words;
use super::peers;
use crate::model::alert::{Anomaly, Band, Subject};
use crate::model::{AnomalyId, Series, Time, figure};

pub(super) fn told(series: &Series, episode: &Episode, until: Option<Time>) -> Anomaly {
    Anomaly {
        // The view that speaks loudest may change during an episode; the id does not.
        id: AnomalyId::derive(episode.since, &[&series.id.to_string(), kind_of(&episode.detector)]),
        subject: Subject::Series { series: series.clone() },
        detector: episode.detector.clone(),
        since: episode.since,
        at: episode.at,
        until,
        value: episode.value,
        peak: episode.peak,
        expected: episode.expected,
        score: episode.score,
        direction: episode.direction,
        why: match episode.note.as_str() {
            "" => why(series, episode),
            note => format!("{} {note}", why(series, episode)),
        },
        unseen: false,
        grounds: episode.surprise.grounds(episode.expected),
    }
}

fn kind_of(detector: &str) -> &str {
    match detector {
        "seasonal/1" | "zscore/1" | "iqr/1" | "quantile/1" => "departure",
        alone => alone,
    }
}

fn why(series: &Series, episode: &Episode) -> String {
    let show = |v| figure(v, &series.unit);
    let (name, band) = (&series.metric, &episode.expected);
    // Nobody expects fewer than none, unless such values are seen.
    let least = if series.unit == "Cel" || band.mid.min(episode.peak).min(episode.value) < 0.0 {
        f64::MIN
    } else {
        0.0
    };
    if episode.detector == Flatline::ID {
        return format!(
            "{name} has stood still at {} since {} UTC; it usually changes with every point.",
            show(episode.value),
            episode.since.clock_text()
        );
    }
    let told = beside::why(series, episode).unwrap_or_else(|| {
        format!(
            "{name} is {} (at worst {}); {} to {} is expected at this time, {:.1} robust standard \
         deviations or their equivalent at worst, since {} UTC ({}).",
            show(episode.value),
            show(episode.peak),
            show(band.low.max(least)),
            show(band.high),
            episode.score,
            episode.since.clock_text(),
            episode.detector
        )
    });
    if episode.detector == peers::ID {
        return format!(
            "{name} of this replica is {} (at worst {}); its siblings are around {}, {} to {} is \
             expected by its usual distance from them, since {} UTC. The other replicas do not show \
             it.",
            show(episode.value),
            show(episode.peak),
            show(band.mid),
            show(band.low.max(least)),
            show(band.high),
            episode.since.clock_text()
        );
    }
    let unflagged = Band { low: band.low.max(least), ..*band };
    match episode.surprise.grounds(unflagged) {
        Some(grounds) => format!("{told} {}", words(&grounds, &series.unit, series.direction)),
        None => told,
    }
}
