//! By which path a fault is likeliest to have come to a sign, and what each part of the sign's
//! score brings: what is said of a decision is what it was made of.

use super::effect::Effect;
use super::lag::Lags;
use super::score::{CROWD, FIRST, Standing, TAIL};
use super::texts::Saying;
use super::words::{Class, Family, Stand};
use super::{Fit, Home, Sign};

/// How a fault may have come to a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// By none that is known: it is near in time.
    None,
    /// The sign is at the root.
    Root,
    /// Its place spoke before, first at this time (ms).
    Place(i64),
    /// It depends on this place, which feels the fault since then (ms).
    Below(u32, i64),
    /// The root calls it.
    Called,
}

/// What each of the many things that one place says at one time counts for.
pub(super) fn crowded(sign: &Sign) -> f64 {
    f64::from(CROWD) / f64::from(sign.crowd.max(CROWD))
}

/// How a fault came to a sign, with names and times (ms).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Via<'a> {
    /// By no known path: it is near in time.
    None,
    /// It is at the root.
    Root,
    /// Its place spoke before, first then.
    Place(i64),
    /// It depends on what feels the fault since then.
    Below(&'a str, i64),
    /// The root calls it.
    Called,
    /// It repeats a condition that began then and is of the fault.
    Repeat(i64),
}

/// What speaks for a sign's fault, as factors: how many times likelier the sign is under the fault
/// than by itself. All parts but `rests` multiplied, to the power of `share`, times `rests` are the whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Account<'a> {
    /// By which path.
    pub via: Via<'a>,
    /// By place and time; of a repeat, by how soon it comes.
    pub near: f64,
    /// By what its name says.
    pub word: f64,
    /// By what its text says, and the strongest of that; at most 20.
    pub text: f64,
    pub saying: Option<Saying<'a>>,
    /// As a repeat, or as a sign of another kind of cause than the fault's; at most 1.
    pub less: f64,
    /// 1, or less where its place says many things at one time.
    pub share: f64,
    /// 1, or less where what it rests on (who spoke first at its place, or what it depends on) is
    /// better explained by another fault.
    pub rests: f64,
}

impl Account<'_> {
    /// How many times likelier the sign is under the fault than by itself.
    pub(crate) fn all(&self) -> f64 {
        (self.near * self.word * self.text * self.less).powf(self.share) * self.rests
    }
}

impl Fit {
    /// Density of a sign under a fault that begins at `since`, by whatever path it is likeliest to
    /// have come, and that path.
    pub(super) fn nearest(
        &self,
        sign: &Sign,
        since: i64,
        stand: Stand,
        place: &Standing,
    ) -> (f64, Path) {
        let k = &self.knobs;
        let n = self.n_places();
        let flat = k.tail / (TAIL.1 - TAIL.0);
        let density = |at: i64, lags: &Lags| {
            let lag = (sign.at - at) as f64 / 1000.0;
            let flat = if (TAIL.0..=TAIL.1).contains(&lag) { flat } else { 0.0 };
            (1.0 - k.tail) * lags.density(lag) + flat
        };
        let other = density(since, &self.lags[3]);
        let mut most = (k.unknown / n * other, Path::None);
        let mut may = |density: f64, path: Path| {
            if density > most.0 {
                most = (density, path);
            }
        };
        match stand {
            Stand::Root if sign.rank < FIRST => {
                may(k.at_root * density(since, &self.lags[0]), Path::Root);
            }
            Stand::Root => may(k.at_place * density(since, &self.lags[1]), Path::Root),
            Stand::Above => {
                for (callee, from, weight) in &place.below {
                    if self.may_feel(sign, *callee) {
                        may(weight * density(*from, &self.lags[2]), Path::Below(*callee, *from));
                    }
                }
                if let Some((first, false)) = place.felt
                    && (first < sign.at || place.grafted)
                {
                    may(k.at_place * density(first, &self.lags[1]), Path::Place(first));
                }
            }
            Stand::Beside => {
                if let Some(n) = place.called {
                    let idle = self.words.class(sign.name) == Class::Idle;
                    let below = if idle { k.below * 3.0 } else { k.below };
                    may(below / n * other, Path::Called);
                }
            }
        }
        most
    }

    /// What a sign of another kind of cause than its fault's counts less at the root.
    pub(super) fn foreign(&self, sign: &Sign, kind: Option<Family>, stand: Stand) -> f64 {
        let family = self.words.family(sign.name);
        let foreign = stand == Stand::Root && kind.is_some() && family.is_some() && family != kind;
        if foreign { self.knobs.foreign } else { 0.0 }
    }

    /// What speaks for the fault that a sign is put to; `None` where no fault is, or where how it
    /// shows is forgotten.
    pub(crate) fn account(&self, id: u32) -> Option<Account<'_>> {
        let sign = self.signs.get(id)?;
        let of = match sign.home {
            Home::Own => return None,
            Home::Before => {
                let before = self.signs.get(sign.before?)?;
                let near = self.follow(sign)?.exp();
                let via = Via::Repeat(before.at);
                return Some(Account {
                    via,
                    near,
                    word: 1.0,
                    text: 1.0,
                    saying: None,
                    less: 1.0,
                    share: 1.0,
                    rests: 1.0,
                });
            }
            Home::Fault(of) => of,
        };
        let fault = self.faults.get(of)?;
        let at = fault.at_in(sign.scope);
        let Effect { cascade, .. } = &**fault.effects.get(&sign.scope)?;
        let place = self.standing(sign.place, at.root, cascade, &|place| cascade.at(place));
        let stand = self.stand_at(sign, &place);
        let (density, path) = self.nearest(sign, at.since, stand, &place);
        let via = match path {
            Path::None => Via::None,
            Path::Root => Via::Root,
            Path::Place(since) => Via::Place(since),
            Path::Below(callee, since) => Via::Below(&self.places.by_id[callee as usize], since),
            Path::Called => Via::Called,
        };
        let (text, hint) = Self::text(sign, &place);
        Some(Account {
            via,
            near: density * self.n_places() / self.rate(),
            word: self.words.weight(sign.name, stand).exp(),
            text: text.exp(),
            saying: hint.map(|hint| self.saying(hint, at.root)),
            less: (-self.again(sign) - self.foreign(sign, fault.kind, stand)).exp(),
            share: crowded(sign),
            rests: (-self.lost_under(id, of, None)).exp(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::fit::{Knobs, Onset};

    #[test]
    fn the_parts_of_an_account_make_the_score_that_decided() {
        let mut fit = Fit::new(Knobs::default());
        for (from, to) in [("shop", "orders"), ("orders", "db"), ("pay", "db")] {
            fit.depends(from, to);
        }
        let told = [
            ("db", "ConnectionsHigh", 0),
            ("orders", "HighLatency", 12_000),
            ("pay", "HighErrorRate", 15_000),
            ("orders", "QueueDepth", 20_000),
            ("shop", "HighLatency", 24_000),
            ("db", "HighLatency", 30_000),
        ];
        let mut ids = Vec::new();
        for (place, name, after) in told {
            let onset = Onset {
                condition: ids.len() as u64,
                scope: "",
                place,
                name,
                on: &[],
                at_ms: 1_000_000 + after,
            };
            ids.push(fit.begin(&onset));
            let named = ["db".to_owned()];
            let named = if name == "HighErrorRate" { &named[..] } else { &[] };
            fit.says(ids[ids.len() - 1], &["pool exhausted".to_owned()], named);
        }
        fit.revise(1_060_000);
        let accounts: Vec<Account<'_>> = ids.iter().filter_map(|id| fit.account(*id)).collect();
        let via: Vec<Via<'_>> = accounts.iter().map(|a| a.via).collect();
        assert_eq!(
            via,
            [
                Via::Root,
                Via::Below("db", 1_000_000),
                Via::Below("db", 1_000_000),
                Via::Place(1_012_000),
                Via::Below("orders", 1_012_000),
                Via::Root,
            ]
        );
        assert_eq!(accounts[2].saying, Some(Saying::Names("db", true)));
        assert!(accounts[2].text > 2.0 && accounts[3].text == 1.0, "{accounts:?}");
        for (id, account) in ids.iter().zip(&accounts) {
            let Home::Fault(fault) = fit.signs[*id as usize].home else { panic!("{account:?}") };
            let (sign, fault) = (&fit.signs[*id as usize], &fit.faults[fault as usize]);
            let (at, c) = (fault.at_in(sign.scope), &fault.effects[&sign.scope].cascade);
            let place = fit.standing(sign.place, at.root, c, &|p| c.at(p));
            // The rate of strays has moved since the search: the score of now.
            let (score, _) = fit.score(sign, at, fault.kind, fit.rate(), &place);
            assert!((account.all().ln() - score).abs() < 1e-9, "{account:?} {score}");
            assert!(account.all() > 1.0 && account.less <= 1.0, "{account:?}");
        }
        assert_eq!(fit.account(u32::MAX), None);
    }

    #[test]
    fn a_fault_shows_at_what_its_root_calls_but_not_at_what_that_runs_on() {
        let mut fit = Fit::new(Knobs::default());
        for (from, to) in [("search", "catalog"), ("search", "host.name=node-3")] {
            fit.depends(from, to);
        }
        let told = [
            ("search", "HighLatency", 0),
            ("search", "HighErrorRate", 5_000),
            ("search", "SaturationHigh", 10_000),
            ("catalog", "UsageUnusual", 90_000),
            ("host.name=node-3", "UsageUnusual", 90_000),
        ];
        let begin = |(n, (place, name, after)): (usize, &(&str, &str, i64))| {
            let at_ms = 1_000_000 + after;
            fit.begin(&Onset { condition: n as u64, scope: "", place, name, on: &[], at_ms })
        };
        let ids: Vec<u32> = told.iter().enumerate().map(begin).collect();
        fit.revise(1_120_000);
        let via = |n: usize| fit.account(ids[n]).map(|account| account.via);
        assert_eq!([via(2), via(3), via(4)], [Some(Via::Root), Some(Via::Called), None]);
    }
}
