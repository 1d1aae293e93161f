//! The false-discovery rate of what is told, kept beside the budget.
//!
//! Two figures. The **estimate** is that of SAFFRON (Ramdas, Zrnic, Wainwright and Jordan 2018,
//! "SAFFRON: an adaptive algorithm for online control of the false discovery rate"), with decaying
//! memory (Ramdas, Yang, Wainwright and Jordan 2017, "Online control of the false discovery rate
//! with decaying memory"): the sum of the levels that were tested at, over the tests whose p-value
//! exceeds λ, divided by 1 − λ and by the discoveries. The **procedure** is LORD++ of the same 2017
//! paper: run on the same tests at its own levels, it says how many would have been told had a
//! bound on false discoveries been asked for in place of a number a day. Both take tests as
//! independent; episodes of different entities nearly are, those of one outage are not.

use serde::{Deserialize, Serialize};

/// λ of SAFFRON: p-values above it are taken for those of ordinary episodes.
const LAMBDA: f64 = 0.5;
/// The bound on the false-discovery rate that LORD++ keeps.
pub(super) const LEVEL: f64 = 0.1;
/// Its initial wealth.
const WEALTH: f64 = LEVEL / 2.0;
/// Discoveries that LORD++ remembers. Older ones would add to its levels; without them it tells
/// of fewer, so its bound holds.
const REMEMBERED: usize = 64;

/// Told episodes (fading) below which neither figure is given: a share of a handful says nothing.
const LEAST_TOLD: f64 = 20.0;

/// Both figures' state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Fdr {
    /// Sum of levels over likely ordinary tests, and discoveries, both fading.
    false_sum: f64,
    told: f64,
    /// Tests so far, and at which of them LORD++ made its discoveries.
    n: u64,
    first: Option<u64>,
    discovered: Vec<u64>,
    /// Discoveries of LORD++, fading.
    would: f64,
}

impl Fdr {
    /// One test: an episode with p-value `p`, tested at `level`, told of or not. Says whether
    /// LORD++ would have told of it.
    pub(super) fn test(&mut self, p: f64, level: f64, told: bool) -> bool {
        if p > LAMBDA {
            self.false_sum += level / (1.0 - LAMBDA);
        }
        if told {
            self.told += 1.0;
        }
        self.n += 1;
        let discovered = p <= self.level();
        if discovered {
            self.would += 1.0;
            if self.first.is_none() {
                self.first = Some(self.n);
            } else {
                self.discovered.push(self.n);
                if self.discovered.len() > REMEMBERED {
                    self.discovered.remove(0);
                }
            }
        }
        discovered
    }

    /// Fades the past by a factor.
    pub(super) fn fade(&mut self, factor: f64) {
        self.false_sum *= factor;
        self.told *= factor;
        self.would *= factor;
    }

    /// The estimated share of false ones among what was told; `None` while fewer
    /// than twenty were.
    pub(super) fn estimate(&self) -> Option<f64> {
        (self.told >= LEAST_TOLD).then(|| (self.false_sum / self.told).min(1.0))
    }

    /// Of as many as were told, how many LORD++ would have told; `None` as above.
    pub(super) fn would_share(&self) -> Option<f64> {
        (self.told >= LEAST_TOLD).then(|| self.would / self.told)
    }

    /// LORD++'s level for the test that is under way.
    fn level(&self) -> f64 {
        let since = |then: u64| gamma(self.n.saturating_sub(then));
        let mut level = WEALTH * gamma(self.n);
        if let Some(first) = self.first {
            level += (LEVEL - WEALTH) * since(first);
        }
        level + LEVEL * self.discovered.iter().map(|then| since(*then)).sum::<f64>()
    }
}

/// The sequence of levels, whose sum is 1 (Ramdas et al. 2017, section 3; Javanmard and Montanari
/// 2018, "Online rules for control of false discovery rate and false discovery exceedance").
fn gamma(j: u64) -> f64 {
    if j == 0 {
        return 0.0;
    }
    let j = j as f64;
    0.077_208 * j.max(2.0).ln() / (j * j.ln().sqrt().exp())
}
