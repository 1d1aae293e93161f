//! From scores to chances.

use super::Weighed;

/// The log odds of a score are this much times its root: the first bit of evidence says most.
/// Fitted, with [`NONE`], on simulated faults and measured on those of another generator
/// (`benches/README.md`).
const SHARPNESS: f64 = 8.85;
/// Score of the hypothesis that none of the candidates is it: what a candidate has of which nothing
/// departed.
const NONE: f64 = 3.0;
/// The first must lead the second, and none, by this much to stand out.
const LEAD: f64 = 0.15;

/// Gives every candidate (greatest score first) its chance: the softmax of the scores with the
/// hypothesis that none of them is it. Tells whether the first stands out.
pub(super) fn confide(ranked: &mut [Weighed]) -> bool {
    let most = ranked.first().map_or(NONE, |w| w.score).max(NONE);
    let odds = |score: f64| (SHARPNESS * (score.sqrt() - most.sqrt())).exp();
    let total = ranked.iter().map(|w| odds(w.score)).sum::<f64>() + odds(NONE);
    for weighed in ranked.iter_mut() {
        weighed.confidence = odds(weighed.score) / total;
    }
    let second = ranked.get(1).map_or(0.0, |w| w.confidence).max(odds(NONE) / total);
    ranked.first().is_some_and(|w| w.confidence - second >= LEAD)
}
