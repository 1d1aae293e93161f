//! How surprising an episode is by its series' own past: what the ensemble said of its points,
//! kept with the episode, weighed before it is called, and put in words.
//!
//! The chance that is told and that decides is that of an onset, brought to the rate that it claims
//! by the pool. The surprise of single rows is not calibrated on real series (some tell of
//! 1 in 1,000 twenty times as often), so it is neither told nor weighed.

use serde::{Deserialize, Serialize};

use super::ensemble::{RARITY, VIEW_NAMES, VIEWS, Verdict};
use crate::model::alert::{Band, Grounds, ViewSurprise};
use crate::model::figure;
use crate::model::signal::Direction;

/// A view has fired when what it saw had a chance below 1 in 400 (nats).
const FIRED_NATS: f32 = 6.0;
/// Surprises are told up to this (nats): one in 10³⁰⁰ is as good as never, and a finite number.
const MOST_NATS: f32 = 690.0;
/// Holds after which a departure is called however ordinary its points look one by one.
const LASTS_HOLDS: f64 = 10.0;

/// The most surprising that the points of an episode were, in nats (`-ln` of a chance).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Surprise {
    /// Of the onset; 0 where no point was one, or nothing was judged.
    nats: f32,
    by_view: [f32; VIEWS],
    /// Points that were known before.
    n_points: u32,
}

impl Surprise {
    /// What the ensemble said of a point of a series that had `n_points` before; `nats` is the
    /// surprise of the onset, 0 where it is none.
    pub(super) fn of(nats: f32, verdict: &Verdict, n_points: u32) -> Self {
        Self { nats, by_view: verdict.judgement.surprises, n_points }
    }

    /// Takes in another point of the same episode.
    pub(super) fn join(&mut self, other: &Self) {
        self.nats = self.nats.max(other.nats);
        for (mine, theirs) in self.by_view.iter_mut().zip(other.by_view) {
            *mine = mine.max(theirs);
        }
        self.n_points = self.n_points.max(other.n_points);
    }

    /// The point follows so closely on an onset that it belongs to it.
    pub(super) fn follows(&mut self, onset_nats: f32) {
        self.nats = self.nats.max(onset_nats);
    }

    /// The surprise in nats.
    pub(super) fn nats(&self) -> f32 {
        self.nats
    }

    /// Whether what speaks for calling a departure suffices. Three things add up to one: how
    /// surprising its points are (as a share of `least_nats`), how far it is beyond the edge of the
    /// band (`times_threshold`; twice as far suffices alone), and how many `holds` it has lasted.
    /// So a departure that such a series shows often by itself must be far out or last.
    pub(super) fn suffices(&self, least_nats: f64, times_threshold: f64, holds: f64) -> bool {
        let rare = f64::from(self.nats) / least_nats.max(f64::MIN_POSITIVE);
        let far = (times_threshold - 1.0).max(0.0);
        let long = (holds - 1.0).max(0.0) / (LASTS_HOLDS - 1.0);
        // A hair of tolerance: a departure of exactly twice the threshold is far enough.
        rare + far + long >= 1.0 - 1e-9
    }

    /// The grounds of an anomaly whose band is `unflagged`; `None` where nothing was judged.
    pub(super) fn grounds(&self, unflagged: Band) -> Option<Grounds> {
        if self.n_points == 0 {
            return None;
        }
        let chance = |nats: f32| f64::from(-nats.clamp(0.0, MOST_NATS)).exp();
        let mut fired: Vec<(f32, &str)> = self
            .by_view
            .iter()
            .copied()
            .zip(VIEW_NAMES)
            .filter(|(nats, _)| *nats >= FIRED_NATS)
            .collect();
        // The sort is stable: equal views stay in their order.
        fired.sort_by(|a, b| b.0.total_cmp(&a.0));
        let views = fired
            .into_iter()
            .map(|(nats, view)| ViewSurprise { view: view.to_owned(), p_value: chance(nats) })
            .collect();
        // No onset: nothing is known to be rare.
        Some(Grounds {
            p_value: chance(self.nats),
            views,
            n_points: u64::from(self.n_points),
            once_in: 1.0 / chance(self.by_view[RARITY]),
            unflagged,
        })
    }
}

/// The grounds in words, for the reason of an anomaly of a series of which departures to
/// `direction` are bad.
pub(super) fn words(grounds: &Grounds, unit: &str, direction: Direction) -> String {
    let n = grouped(grounds.n_points as f64);
    let seen = if grounds.once_in > grounds.n_points as f64 {
        format!(
            "one as far from what its time leads to expect comes less than once in the {n} points known of it"
        )
    } else if grounds.once_in < 2.0 {
        format!(
            "every second of the {n} points known of it is as far from what its time leads to expect"
        )
    } else {
        let often = rarity(grounds.once_in);
        format!(
            "about one in {often} of the {n} points known of it is as far from what its time leads to expect"
        )
    };
    let views: Vec<&str> = grounds.views.iter().take(3).map(|v| v.view.as_str()).collect();
    let by = if views.is_empty() {
        "no view of its own past was surprised".to_owned()
    } else {
        format!("surprised were the views of {}", views.join(", "))
    };
    let began = if grounds.p_value < 1.0 {
        let n = rarity(1.0 / grounds.p_value.max(f64::MIN_POSITIVE));
        format!(
            "By its own past, and by the tails of series like it, the chance that a quiet point \
             begins like this is 1 in {n}"
        )
    } else {
        "By its own past nothing rare began; it is told for how far out it is and for how long"
            .to_owned()
    };
    let (low, high) = (figure(grounds.unflagged.low, unit), figure(grounds.unflagged.high, unit));
    let unflagged = match direction {
        Direction::High => format!("{high} or less"),
        Direction::Low => format!("{low} or more"),
        Direction::Both => format!("{low} to {high}"),
    };
    format!("{began}: {by}; {seen}. {unflagged} would not have been flagged.")
}

/// `n` to two digits, with thousands apart; beyond a billion only that it is.
fn rarity(n: f64) -> String {
    if n >= 1e9 {
        return "more than 1,000,000,000".to_owned();
    }
    let digits = n.max(1.0).log10().floor() as i32 - 1;
    let step = 10_f64.powi(digits.max(0));
    grouped((n.max(1.0) / step).round() * step)
}

fn grouped(n: f64) -> String {
    let digits = format!("{n:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surprise(nats: f32) -> Surprise {
        let mut by_view = [0.0; VIEWS];
        (by_view[RARITY], by_view[3]) = (5.0, nats);
        Surprise { nats, by_view, n_points: 4_608 }
    }

    #[test]
    fn rare_far_and_long_add_up() {
        for (nats, far, holds, called) in [
            (7.0, 1.0, 1.0, true),
            (3.0, 1.0, 1.0, false),
            (0.0, 2.0, 1.0, true),
            (0.0, 1.0, 9.0, false),
            (0.0, 1.0, 10.0, true),
            (3.5, 1.5, 1.0, true),
        ] {
            assert_eq!(surprise(nats).suffices(7.0, far, holds), called, "{nats} {far} {holds}");
        }
    }

    #[test]
    fn grounds_are_told_in_plain_words() {
        let band = Band { low: 0.1, mid: 0.2, high: 0.3 };
        let grounds = surprise(12.0).grounds(band).expect("it was judged");
        assert_eq!(grounds.views[0].view, "step");
        insta::assert_snapshot!(words(&grounds, "s", Direction::High), @"By its own past, and by the tails of series like it, the chance that a quiet point begins like this is 1 in 160,000: surprised were the views of step; about one in 150 of the 4,608 points known of it is as far from what its time leads to expect. 300 ms or less would not have been flagged.");
        let grounds = surprise(0.0).grounds(band).expect("it was judged");
        insta::assert_snapshot!(words(&grounds, "s", Direction::Both), @"By its own past nothing rare began; it is told for how far out it is and for how long: no view of its own past was surprised; about one in 150 of the 4,608 points known of it is as far from what its time leads to expect. 100 ms to 300 ms would not have been flagged.");
        assert_eq!(Surprise::default().grounds(band), None);
        assert_eq!(rarity(1_234_567.0), "1,200,000");
    }
}
