//! What a sign's explanation rests on: a further sign of a place says that the place feels the fault
//! because an earlier one there is of it, and a sign of a caller because what it calls has spoken
//! for it.
//!
//! Each of those may be better explained by another fault. Then it is as much less likely, by as
//! much as the other explains it better, that the place feels this one; at the least as likely as
//! that the place feels it in silence, which is [`Knobs::ghost`](super::Knobs). Without that two
//! faults which meet somewhere explain all that follows there alike, and what belongs to one place
//! is parted by chance.

use super::effect::{Told, found};
use super::near::Path;
use super::score::At;
use super::search::Scores;
use super::{Fit, Home, Sign};

/// That two faults reach one place within seconds is rare, and the less so the farther its signs are
/// apart: after this long (ms) a further sign may as well be of another fault than the first.
const TOGETHER_MS: f64 = 20_000.0;

impl Fit {
    /// Notes on which sign each of those rests that a fault explains, given by which paths.
    pub(super) fn lean(&self, at: At, paths: &[Path], told: &mut [Told]) {
        for (n, path) in paths.iter().enumerate() {
            let own = told[n];
            let (place, since) = match path {
                Path::Place(since) => (own.place, *since),
                Path::Below(callee, since) => (*callee, *since),
                Path::None | Path::Root | Path::Called => continue,
            };
            if place == at.root {
                continue;
            }
            let first = self.by_place.at(at.scope, place).iter().find(|id| {
                let sign = &self.signs[**id as usize];
                sign.at == since && sign.before.is_none() && **id != own.sign
            });
            told[n].leans = first
                .map(|first| (*first, found(told, place, *first).map_or(0.0, |told| told.score)));
        }
    }

    /// What it takes off (nats) that what a sign rests on has a better explanation by now.
    pub(super) fn lean_on(&self, told: &Told, base: &Scores) -> f64 {
        let Some((first, under)) = told.leans else { return 0.0 };
        let sign = &self.signs[first as usize];
        let held = if sign.settled.is_some() { sign.held } else { base.of(first) };
        self.lost(&self.signs[told.sign as usize], sign, held - under)
    }

    /// What a sign loses when the one that it rests on is explained so much better elsewhere.
    fn lost(&self, sign: &Sign, first: &Sign, better: f64) -> f64 {
        let apart_ms = (sign.at - first.at).abs() as f64;
        let share = if sign.place == first.place { 1.0 - apart_ms / TOGETHER_MS } else { 1.0 };
        better.clamp(0.0, -self.knobs.ghost.ln()) * share.max(0.0)
    }

    /// How well a fault explains a sign (nats), as far as what that rests on is of the fault too.
    /// Given is what it has to be above, and the fault that is taken not to be.
    pub(super) fn score_leaning(
        &self,
        id: u32,
        fault: u32,
        (above, not): (f64, Option<u32>),
        rate: f64,
    ) -> f64 {
        let score = self.score_under(id, &self.faults[fault as usize], rate);
        if score <= above { score } else { score - self.lost_under(id, fault, not) }
    }

    /// What a sign loses (nats) under a fault because the one that it rests on is better explained by
    /// another, `not` excepted.
    pub(super) fn lost_under(&self, id: u32, fault: u32, not: Option<u32>) -> f64 {
        let sign = &self.signs[id as usize];
        let effect = self.faults[fault as usize].effects.get(&sign.scope);
        let told = effect.and_then(|effect| effect.of(sign.place, id));
        let first =
            told.and_then(|told| told.leans).map(|(first, under)| (self.signs.get(first), under));
        let Some((Some(first), under)) = first else { return 0.0 };
        let other = match first.home {
            Home::Fault(of) if of != fault && Some(of) != not => Some(of),
            _ => None,
        };
        // What is tried for now without a fault is in the list of the live, not in the fault.
        let is = |other: u32| first.settled.is_some() || self.live.contains(&other);
        let better = if other.is_some_and(is) { first.held - under } else { 0.0 };
        self.lost(sign, first, better)
    }
}

#[cfg(test)]
mod tests {
    use crate::correlate::fit::{Fit, Knobs, Onset};

    /// What began where and when (s).
    fn begun(fit: &mut Fit, told: &[(&str, &str, i64)]) -> Vec<u32> {
        let begin = |(place, name, at_s): &(&str, &str, i64)| {
            let condition = u64::from(fit.signs.next());
            let at_ms = 1_000_000 + at_s * 1_000;
            fit.begin(&Onset { condition, scope: "", place, name, on: &[], at_ms })
        };
        told.iter().map(begin).collect()
    }

    #[test]
    fn what_follows_at_a_place_and_above_it_goes_with_what_spoke_there_first() {
        let mut fit = Fit::new(Knobs::default());
        for (from, to) in [("cart", "db"), ("mail", "db"), ("cart", "cache"), ("web", "cart")] {
            fit.depends(from, to);
        }
        let slow =
            [("db", "PodOOMKilled", 0), ("db", "HighErrorRate", 4), ("mail", "Timeouts", 25)];
        let db = begun(&mut fit, &slow);
        fit.revise(1_060_000);
        // The cart feels both, and by its first sign it is the cache that it waits for.
        let told = [
            ("cache", "PacketLoss", 110),
            ("cache", "HighErrorRate", 112),
            ("cache", "HighLatencyP99", 114),
            ("cart", "HighErrorRate", 130),
            ("cart", "HighLatencyP99", 131),
            ("cart", "PodNotReady", 132),
            ("web", "HighErrorRate", 150),
        ];
        let cache = begun(&mut fit, &told);
        // What was put somewhere before the first sign moved is looked at again by the next revision.
        fit.revise(1_200_000);
        fit.revise(1_201_000);
        let kin: Vec<_> = cache.iter().map(|id| fit.kin(*id)).collect();
        assert!(kin.iter().all(|k| *k == kin[0]), "{kin:?}");
        assert_ne!(fit.kin(db[0]), kin[0]);
        assert_eq!(fit.kin(db[0]), fit.kin(db[2]));
    }

    #[test]
    fn what_a_lean_takes_off_is_told() {
        let mut fit = Fit::new(Knobs::default());
        for (from, to) in [("cart", "db"), ("mail", "db"), ("cart", "cache"), ("web", "cart")] {
            fit.depends(from, to);
        }
        let slow =
            [("db", "PodOOMKilled", 0), ("db", "HighErrorRate", 4), ("mail", "Timeouts", 25)];
        let db = begun(&mut fit, &slow);
        fit.revise(1_060_000);
        let told = [
            ("cache", "PacketLoss", 110),
            ("cache", "HighErrorRate", 112),
            ("cache", "HighLatencyP99", 114),
            ("cart", "HighErrorRate", 130),
            ("cart", "QueueDepth", 134),
        ];
        let cache = begun(&mut fit, &told);
        // The cart's first sign is of the cache, and this text of its second says that it is the db.
        let second = cache[4];
        fit.says(second, &["pool exhausted".to_owned()], &["db".to_owned()]);
        fit.revise(1_200_000);
        fit.revise(1_201_000);
        assert_eq!(fit.kin(cache[3]), fit.kin(cache[0]));
        assert_eq!(fit.kin(second), fit.kin(db[0]));
        let account = fit.account(second).expect("a fault explains it");
        assert!(account.rests < 0.9 && account.rests >= 0.2, "{account:?}");
        assert!((account.all().ln() - fit.signs[second as usize].held).abs() < 0.05, "{account:?}");
        assert!(fit.account(cache[3]).is_some_and(|a| a.rests > 0.999));
    }

    #[test]
    fn what_concerns_nobody_else_is_no_company_to_what_a_place_says() {
        let mut fit = Fit::new(Knobs::default());
        fit.depends("cart", "db");
        let chores = ["CertExpiry", "BackupLate", "DiskFillingUp", "QuotaNear", "CronJobFailed"];
        let chores: Vec<_> = chores.iter().map(|name| ("db", *name, 0)).collect();
        begun(&mut fit, &chores);
        let db = begun(&mut fit, &[("db", "PodOOMKilled", 10), ("db", "HighErrorRate", 12)]);
        begun(&mut fit, &[("cart", "HighErrorRate", 30)]);
        fit.revise(1_100_000);
        let company: Vec<_> =
            db.iter().map(|id| &fit.signs[*id as usize]).map(|s| (s.rank, s.crowd)).collect();
        assert_eq!(company, [(0, 2), (1, 2)]);
    }
}
