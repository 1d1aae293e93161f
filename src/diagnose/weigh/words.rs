//! The sentences of the parts.

use super::effect::Effect;
use super::lines::Told;
use super::requests::{Differs, What};
use super::times::Work;
use super::{Kind, Made, Measured, Scene};
use crate::model::figure::figure;

/// Name of the part that a kind of series makes.
pub(super) fn part(kind: Kind) -> &'static str {
    match kind {
        Kind::Latency => "latency",
        Kind::Errors | Kind::Success => "failures",
        Kind::Traffic => "traffic",
        Kind::Cpu => "cpu",
        Kind::Memory => "memory",
        Kind::Disk => "disk",
        Kind::Network => "network",
        Kind::Host | Kind::Other => "other",
    }
}

/// `its latency (p95) rose from 0.2 to 1.4, 7.3 times what its past does`.
pub(super) fn series(series: &Measured, effect: &Effect, times: f64) -> String {
    let (metric, stat) = &series.name;
    let stat = if stat.is_empty() { String::new() } else { format!(" ({stat})") };
    let word = if effect.up >= effect.down { "rose" } else { "fell" };
    let (before, after) = (figure(effect.before, &series.unit), figure(effect.after, &series.unit));
    format!(
        "its {metric}{stat} {word} from {before} to {after}, {} times as far as its past goes",
        figure(times, "")
    )
}

/// What those it calls account for.
pub(super) fn below(share: f64) -> String {
    if share < 0.005 {
        return String::new();
    }
    format!("; those it calls account for {:.0} % of that", share * 100.0)
}

pub(super) fn share(share: f64, kind: Kind) -> String {
    let what = if kind == Kind::Latency { "added time" } else { "failed requests" };
    format!("{:.0} % of the symptom's {what} begins here", share * 100.0)
}

pub(super) fn own_time(scene: &Scene, work: &Work, share: f64) -> String {
    format!(
        "{:.0} % of the time added to requests is spent in its own work, most in {}: {} each, {} before",
        share * 100.0,
        scene.names[work.name],
        figure(work.seconds.1, "s"),
        figure(work.seconds.0, "s")
    )
}

pub(super) fn way(scene: &Scene, work: &Work, share: f64) -> String {
    let to = work.to.map_or("", |to| scene.services[to].as_str());
    format!(
        "{:.0} % of the time added to requests is spent on its ways, most from {} to {to}: {} a \
         call, {} before",
        share * 100.0,
        scene.services[work.service],
        figure(work.seconds.1, "s"),
        figure(work.seconds.0, "s")
    )
}

/// `of 23 requests to BasicController.query since the onset none wrote "…"; before, 67 of 81 did`.
pub(super) fn differs(scene: &Scene, d: &Differs) -> String {
    let what = match d.what {
        What::Step(service, name) if service == d.service => {
            format!("took the step {}", scene.names[name])
        }
        What::Step(service, name) => {
            format!("called {} ({})", scene.services[service], scene.names[name])
        }
        What::Line(template) => {
            let text: String = scene.templates[template].chars().take(120).collect();
            format!("wrote \"{text}\"")
        }
        What::Failed => "failed".to_owned(),
        What::Short => "stopped short in a way that was not seen before".to_owned(),
    };
    format!(
        "of {} requests to {} since the onset {} {what}; before, {} of {} did",
        d.n[1], scene.names[d.name], d.with[1], d.with[0], d.n[0]
    )
}

pub(super) fn after(scene: &Scene, service: usize, d: &Differs) -> String {
    format!(
        "requests of {} differ right after they called {}: {}",
        scene.services[d.service],
        scene.services[service],
        differs(scene, d)
    )
}

pub(super) fn told(scene: &Scene, told: &Told) -> String {
    let text: String = scene.templates[told.template].chars().take(120).collect();
    format!("its log says {} times since the onset, {} times before: {text}", told.n[1], told.n[0])
}

pub(super) fn change(made: &Made) -> String {
    let lead = figure(made.at.abs(), "s");
    let side = if made.at <= 0.0 { "before" } else { "after" };
    format!("{}, {lead} {side} the onset", made.title)
}
