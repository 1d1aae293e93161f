//! Log templates that appear, burst or fall silent, where lines belong to no span.

use std::collections::BTreeMap;

use super::Scene;

/// What became of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    /// Index into the scene's templates.
    pub template: usize,
    /// Lines before and since the onset.
    pub n: [usize; 2],
    /// 0 to 1.
    pub strength: f64,
}

/// Weight of what is no error.
const NO_ERROR: f64 = 0.4;

/// The template that says most of each service.
pub(super) fn told(scene: &Scene) -> Vec<Option<Told>> {
    let mut found: Vec<Option<Told>> = vec![None; scene.services.len()];
    let free = || scene.lines.iter().filter(|l| l.span.is_none());
    let first = free().map(|l| l.at).fold(f64::MAX, f64::min);
    let last = free().map(|l| l.at).fold(f64::MIN, f64::max);
    if first >= 0.0 || last <= 0.0 {
        return found;
    }
    // Half a minute at most is taken away by what stands between them.
    let lengths = [-first, last];
    let mut counts: BTreeMap<(usize, usize), ([usize; 2], bool)> = BTreeMap::new();
    for line in free() {
        for template in &line.templates {
            let (n, is_error) = counts.entry((line.service, *template)).or_default();
            n[usize::from(line.at >= 0.0)] += 1;
            *is_error |= line.is_error;
        }
    }
    for ((service, template), (n, is_error)) in counts {
        let rate = |i: usize| (n[i] as f64 + 0.5) / lengths[i].max(1.0);
        let rises = rate(1) > rate(0);
        if is_error && !rises {
            continue;
        }
        let purity = 1.0 - rate(0).min(rate(1)) / rate(0).max(rate(1));
        let sure = ((evidence(n, lengths) - 4.0) / 12.0).clamp(0.0, 1.0);
        let weight = if is_error { 1.0 } else { NO_ERROR };
        let strength = weight * purity * sure;
        if strength > 0.02 && found[service].as_ref().is_none_or(|t| t.strength < strength) {
            found[service] = Some(Told { template, n, strength });
        }
    }
    found
}

/// Log-likelihood ratio of two Poisson rates against one common rate.
fn evidence(n: [usize; 2], lengths: [f64; 2]) -> f64 {
    let (all, length) = ((n[0] + n[1]) as f64, lengths[0] + lengths[1]);
    (0..2)
        .map(|i| {
            let (k, expected) = (n[i] as f64, all * lengths[i] / length);
            if k > 0.0 { k * (k / expected).ln() } else { 0.0 }
        })
        .sum()
}
