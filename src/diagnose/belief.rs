//! From scores to chances: one curve for every live ranking. Pure.
//!
//! A candidate's log odds are its score times a constant, and there is always one more hypothesis:
//! that none of the candidates is it. The chance of each is its share of the odds (softmax). The
//! two constants were fitted by log loss on 1,500 simulated faults of one generator and measured on
//! 1,200 of another (`tests/faults.rs`): expected calibration error .041 in ten bins, Brier score
//! .131 where the base rate's is .172 (`benches/README.md`). A first look has two constants of its
//! own, fitted in the same way on what is there five seconds after the first alert of the same faults:
//! of what stands first so early half is wrong, and it is shown as such.

/// Log odds for each unit of score, some minutes after the onset.
pub(super) const SHARPNESS: f64 = 1.15;

/// A curve from scores to chances.
struct Curve {
    /// Log odds for each unit of score.
    sharpness: f64,
    /// Score of the hypothesis that none of the candidates is it: what a candidate has that is merely
    /// among the first in trouble.
    none: f64,
}

/// With what is known some minutes after the onset.
const WHOLE: Curve = Curve { sharpness: SHARPNESS, none: 3.0 };
/// At a first look. Who is known to be in trouble then is so among the first and explains all the trouble
/// that is known, whether it caused it or not, and the cause has often not been told of yet: none of
/// the candidates has so much more to say for itself.
const EARLY: Curve = Curve { sharpness: 1.45, none: 4.5 };
/// No chance is shown higher: of what would be, so much was right on the faults that were measured.
const MOST: f64 = 0.99;
/// Of the hypotheses that stood first on 1,200 simulated faults that nothing was fitted on, those
/// shown with a chance from here on up to the next row, and the share of them that was right.
pub const CALIBRATION: [(f64, f64); 8] = [
    (0.0, 0.37),
    (0.4, 0.57),
    (0.5, 0.63),
    (0.6, 0.74),
    (0.7, 0.73),
    (0.8, 0.85),
    (0.9, 0.92),
    (0.95, 0.99),
];
/// The first stands out when it is more likely than all else together, and leads by this much. On
/// the faults that were measured, five of six that stand out are right.
const LEAD: f64 = 0.15;

/// The chances of candidates, in the order of their scores.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chances {
    /// Of each candidate.
    pub each: Vec<f64>,
    /// That none of them is it.
    pub none: f64,
    /// Whether the first stands out.
    pub conclusive: bool,
}

/// The chances of candidates with these scores, greatest first; `early` at a first look.
pub(super) fn chances(scores: &[f64], early: bool) -> Chances {
    let Curve { sharpness, none } = if early { EARLY } else { WHOLE };
    let most = scores.first().copied().unwrap_or(none).max(none);
    let odds = |score: f64| (sharpness * (score - most)).exp();
    let total = scores.iter().map(|s| odds(*s)).sum::<f64>() + odds(none);
    let each: Vec<f64> = scores.iter().map(|s| (odds(*s) / total).min(MOST)).collect();
    let none = (1.0 - each.iter().sum::<f64>()).max(0.0);
    let next = each.get(1).copied().unwrap_or(0.0).max(none);
    let conclusive = each.first().is_some_and(|first| *first >= 0.5 && first - next >= LEAD);
    Chances { each, none, conclusive }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_nothing_stands_out_where_nothing_leads() {
        let lone = chances(&[], false);
        assert_eq!((lone.each.len(), lone.none, lone.conclusive), (0, 1.0, false));
        let even = chances(&[4.0, 3.9, 1.0], false);
        assert!(!even.conclusive, "two are as likely: {even:?}");
        let early = chances(&[6.0, 3.0, -1.0], true);
        assert!(!chances(&[2.5], false).conclusive, "none of them is as likely");
        let clear = chances(&[6.0, 3.0, -1.0], false);
        assert!(clear.conclusive && clear.each[0] > 0.9, "{clear:?}");
        assert!(early.each[0] < clear.each[0], "what is known so early is worth less: {early:?}");
        let sure = chances(&[20.0, 1.0], false);
        assert_eq!(sure.each[0], MOST, "a doubt is left");
        for found in [even, early, clear, sure] {
            assert!((found.each.iter().sum::<f64>() + found.none - 1.0).abs() < 1e-12);
        }
    }
}
