//! One place fails once at a time: a fault that begins where another has just begun is a later
//! wave of it.
//!
//! Lags within one fault are not independent: all alerts of a rule that waits for a minute come a
//! minute later, and all of one detector at once. The search may then explain two bursts best by
//! two faults at one root, each with lags of its own. Who is on call has one.

use super::{Fault, Fit, Kin};

/// A later wave begins at most this much (ms) after the first one.
const WAVE_MS: i64 = 180_000;

impl Fit {
    /// Which signs belong together, waves of one fault as one.
    pub(crate) fn kin(&self, sign: u32) -> Kin {
        match self.group(sign) {
            Kin::Fault(fault) => Kin::Fault(self.first_wave(fault)),
            own @ Kin::Own(_) => own,
        }
    }

    /// The fault of which a fault is a later wave, or itself.
    fn first_wave(&self, fault: u32) -> u32 {
        self.faults.get(fault).and_then(|f| f.wave_of).unwrap_or(fault)
    }

    /// Works out which of the live faults are waves of which. What is fixed stays what it is, as its
    /// alerts are where they are for good, unless the first one moved away before it was fixed too.
    pub(super) fn find_waves(&mut self) {
        let mut order: Vec<(i64, u32)> =
            self.live.iter().map(|id| (self.faults[*id as usize].at.since, *id)).collect();
        order.sort_unstable();
        let mut firsts: Vec<u32> = Vec::new();
        for (_, id) in order {
            let fault = &self.faults[id as usize];
            let wave_of = if fault.fixed {
                let still = |f: &u32| {
                    self.faults.get(*f).is_none_or(|first| first.fixed || is_wave(fault, first))
                };
                fault.wave_of.filter(still)
            } else {
                firsts.iter().copied().find(|f| is_wave(fault, &self.faults[*f as usize]))
            };
            if wave_of.is_none() {
                firsts.push(id);
            }
            self.faults[id as usize].wave_of = wave_of;
        }
    }
}

/// Whether a fault may be a later wave of another: the same root in a scope of both, not much
/// later, and no other kind of cause.
fn is_wave(later: &Fault, first: &Fault) -> bool {
    let alike = later.kind.is_none() || first.kind.is_none() || later.kind == first.kind;
    let mut scopes = later.scopes.keys().copied().chain([later.at.scope]);
    later.at.root == first.at.root
        && alike
        && scopes.any(|scope| {
            (scope == first.at.scope || first.scopes.contains_key(&scope))
                && (0..=WAVE_MS).contains(&(later.at_in(scope).since - first.at_in(scope).since))
        })
}
