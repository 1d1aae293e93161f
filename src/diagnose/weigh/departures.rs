//! What each service's series say, and whose a departure is: seconds and failures are counted
//! along the calls, and what callees bring is theirs.

use std::collections::BTreeMap;

use super::effect::{Effect, effect};
use super::{Kind, Measured, Scene};

/// A departure below this many times the usual is not counted on.
const FAINT: f64 = 1.0;
/// From this many times on it is counted in full.
const CLEAR: f64 = 4.0;

/// One service's departures.
#[derive(Clone, Debug, Default)]
pub(super) struct Departures {
    /// The greatest by kind, in the direction that is bad, with the series that shows it.
    pub by: BTreeMap<Kind, (f64, usize)>,
    /// Of its typical latency, success and errors: the first statistic that it has of mean, median
    /// and higher quantiles.
    typical: BTreeMap<Kind, (f64, Effect)>,
    /// Requests since the onset, in its series' unit.
    traffic: Option<f64>,
}

/// All departures, and the effects of all series.
pub(super) struct Found {
    pub of: Vec<Departures>,
    pub effects: Vec<Option<Effect>>,
}

/// Mean before median before higher quantiles: means add up along the calls.
fn order(series: &Measured) -> u8 {
    let (metric, stat) = &series.name;
    let stat = if stat.is_empty() { metric } else { stat }.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| stat.contains(w));
    match () {
        () if has(&["av", "mean"]) => 0,
        () if has(&["90"]) => 2,
        () if has(&["95"]) => 3,
        () if has(&["99"]) => 4,
        () => 1,
    }
}

/// Departures of every service.
pub(super) fn departures(scene: &Scene) -> Found {
    let effects: Vec<Option<Effect>> = scene
        .series
        .iter()
        .map(|s| effect(&s.points, scene.step, s.kind == Kind::Success))
        .collect();
    let mut of = vec![Departures::default(); scene.services.len()];
    let mut indices: Vec<usize> = (0..scene.series.len()).collect();
    indices.sort_by_key(|i| order(&scene.series[*i]));
    for i in indices {
        let (series, Some(e)) = (&scene.series[i], &effects[i]) else { continue };
        if series.outgoing {
            continue;
        }
        let size = match series.kind {
            Kind::Latency | Kind::Errors | Kind::Cpu | Kind::Memory | Kind::Disk => e.up,
            Kind::Success => e.down,
            Kind::Traffic | Kind::Network | Kind::Host | Kind::Other => e.up.max(e.down),
        };
        let own = &mut of[series.service];
        let best = own.by.entry(series.kind).or_insert((0.0, i));
        if size > best.0 {
            *best = (size, i);
        }
        own.typical.entry(series.kind).or_insert((size, *e));
        if series.kind == Kind::Traffic && own.traffic.is_none() {
            own.traffic = Some(e.after.max(0.0));
        }
    }
    Found { of, effects }
}

impl Found {
    /// How clear the greatest departure of a kind is, 0 to 1 on a logarithmic scale.
    pub(super) fn clear(&self, service: usize, kind: Kind) -> f64 {
        self.of[service].by.get(&kind).map_or(0.0, |(z, _)| z.max(1.0).ln().min(5.0) / 5.0)
    }

    /// Seconds (or failures) that requests to a service take (or are) more than before, by its own
    /// series, as far as that is clear.
    pub(super) fn excess(&self, service: usize, kind: Kind) -> f64 {
        let own = &self.of[service];
        let added = |kind: Kind| {
            let (z, e) = own.typical.get(&kind)?;
            let sure = ((z - FAINT) / (CLEAR - FAINT)).clamp(0.0, 1.0);
            Some((e.after - e.before).abs() * sure).filter(|x| *x > 0.0)
        };
        let traffic = own.traffic.unwrap_or(1.0).max(1e-9);
        match kind {
            Kind::Latency => added(Kind::Latency).map(|x| x * traffic),
            _ => added(Kind::Success).map(|x| x * traffic).or_else(|| added(Kind::Errors)),
        }
        .unwrap_or(0.0)
    }

    /// The share of a service's excess that those it calls bring, 0 to 1.
    pub(super) fn explained(&self, scene: &Scene, service: usize, kind: Kind) -> f64 {
        let own = self.excess(service, kind);
        if own <= 0.0 {
            return 0.0;
        }
        let callees = scene.calls.iter().filter(|(from, to)| *from == service && *to != service);
        (callees.map(|(_, to)| self.excess(*to, kind)).sum::<f64>() / own).min(1.0)
    }
}
