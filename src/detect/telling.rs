//! An episode of a series as the anomaly that is told, with its reason in one sentence.

use super::beside;
use super::episode::Episode;
use super::flatline::Flatline;
use super::grounds::words;
use super::peers;
use crate::model::alert::{Anomaly, Band, Subject};
use crate::model::{AnomalyId, Series, Time, figure};

pub(super) fn told(series: &Series, episode: &Episode, until: Option<Time>) -> Anomaly {
    let expected = possible(series, episode.expected, episode.peak.min(episode.value));
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
        expected,
        score: episode.score,
        direction: episode.direction,
        why: match episode.note.as_str() {
            "" => why(series, episode),
            note => format!("{} {note}", why(series, episode)),
        },
        unseen: false,
        grounds: episode.surprise.grounds(expected),
    }
}

/// The band without what no value of the series can be: nobody expects fewer than none, unless such
/// values are seen or are usual. What is counted, timed, measured in bytes or shared is never less.
pub(super) fn possible(series: &Series, band: Band, seen: f64) -> Band {
    let unit = series.unit.as_str();
    let is_amount = unit.starts_with('{')
        || unit.starts_with("By")
        || matches!(unit, "s" | "ms" | "us" | "ns" | "1" | "%");
    if seen < 0.0 || unit == "Cel" || (band.mid < 0.0 && !is_amount) {
        return band;
    }
    Band { low: band.low.max(0.0), mid: band.mid.max(0.0), high: band.high }
}

fn kind_of(detector: &str) -> &str {
    match detector {
        "seasonal/1" | "zscore/1" | "iqr/1" | "quantile/1" => "departure",
        alone => alone,
    }
}

fn why(series: &Series, episode: &Episode) -> String {
    let show = |v| figure(v, &series.unit);
    let name = &series.metric;
    let band = possible(series, episode.expected, episode.peak.min(episode.value));
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
            show(band.low),
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
            show(band.low),
            show(band.high),
            episode.since.clock_text()
        );
    }
    match episode.surprise.grounds(band) {
        Some(grounds) => format!("{told} {}", words(&grounds, &series.unit, series.direction)),
        None => told,
    }
}
