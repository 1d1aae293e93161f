//! One place fails once at a time: a fault that begins where another has just begun is a later
//! wave of it.
//!
//! Lags within one fault are not independent: all alerts of a rule that waits for a minute come a
//! minute later, and all of one detector at once. The search may then explain two bursts best by
//! two faults at one root, each with lags of its own, or by two at once of which one calls the
//! other: each then speaks up where it is likeliest to. Who is on call has one.

use super::{Fault, Fit, Kin};

/// A later wave begins at most this much (ms) after the first one.
const WAVE_MS: i64 = 180_000;
/// Two that call one another and begin this near (ms) fail of one cause.
const WITH_MS: i64 = 45_000;

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
                    let first = self.faults.get(*f);
                    first.is_none_or(|first| first.fixed || self.is_one(fault, first))
                };
                fault.wave_of.filter(still)
            } else {
                firsts.iter().copied().find(|f| self.is_one(fault, &self.faults[*f as usize]))
            };
            if wave_of.is_none() {
                firsts.push(id);
            }
            self.faults[id as usize].wave_of = wave_of;
        }
    }

    /// Whether two faults, the earlier one given last, are one to whoever is on call.
    fn is_one(&self, later: &Fault, first: &Fault) -> bool {
        is_wave(later, first) || self.begins_with(later, first)
    }

    /// Whether a fault begins with another at what it calls, or at who calls it: which of the two is
    /// at fault the lags alone may not tell, and both at once by chance is rarer than either.
    fn begins_with(&self, later: &Fault, first: &Fault) -> bool {
        let (a, b) = (later.at.root, first.at.root);
        let calls = self.reach.calls(a, b) || self.reach.calls(b, a);
        calls && same_scope(later, first, WITH_MS)
    }
}

/// Whether one fault begins in a scope of both at most this much (ms) after another.
fn same_scope(later: &Fault, first: &Fault, within: i64) -> bool {
    let mut scopes = later.scopes.keys().copied().chain([later.at.scope]);
    scopes.any(|scope| {
        (scope == first.at.scope || first.scopes.contains_key(&scope))
            && (0..=within).contains(&(later.at_in(scope).since - first.at_in(scope).since))
    })
}

/// Whether a fault may be a later wave of another: the same root in a scope of both, not much
/// later, and no other kind of cause.
fn is_wave(later: &Fault, first: &Fault) -> bool {
    let alike = later.kind.is_none() || first.kind.is_none() || later.kind == first.kind;
    later.at.root == first.at.root && alike && same_scope(later, first, WAVE_MS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Knobs;
    use super::super::score::At;
    use super::super::words::Family;
    use super::*;

    /// A fault of place 0 since then (s), in scope 0 if not told otherwise.
    fn fault(since_s: i64) -> Fault {
        Fault {
            at: At { root: 0, scope: 0, since: since_s * 1_000 },
            scopes: BTreeMap::new(),
            live: true,
            fixed: false,
            wave_of: None,
            grafts: Vec::new(),
            kind: None,
            effects: BTreeMap::new(),
        }
    }

    fn at_root(root: u32, since_s: i64) -> Fault {
        let mut fault = fault(since_s);
        fault.at.root = root;
        fault
    }

    fn in_scope(scope: u32, since_s: i64) -> Fault {
        let mut fault = fault(since_s);
        fault.at.scope = scope;
        fault
    }

    /// Place 1 calls place 0; place 2 stands alone.
    fn with(faults: Vec<Fault>) -> Fit {
        let mut fit = Fit::new(Knobs::default());
        fit.reach.tell(1, 0);
        fit.reach.grow(3);
        for fault in faults {
            fit.live.push(fit.faults.next());
            fit.faults.push(fault);
        }
        fit.find_waves();
        fit
    }

    /// Of which fault each is a wave.
    fn waves(faults: Vec<Fault>) -> Vec<Option<u32>> {
        let fit = with(faults);
        fit.live.iter().map(|id| fit.faults[*id as usize].wave_of).collect()
    }

    #[test]
    fn what_begins_at_a_root_after_three_minutes_is_a_fault_of_its_own() {
        assert_eq!(waves(vec![fault(600), fault(780)]), [None, Some(0)]);
        assert_eq!(waves(vec![fault(600), fault(781)]), [None, None]);
        // Waves are counted from the first, not from each other, whatever their numbers.
        assert_eq!(waves(vec![fault(600), fault(700), fault(800)]), [None, Some(0), None]);
        assert_eq!(waves(vec![fault(900), fault(800), fault(700)]), [None, Some(2), None]);
        assert_eq!(waves(vec![fault(600), at_root(2, 600)]), [None, None]);
        let fit = with(vec![fault(600), fault(700), fault(800)]);
        assert_eq!([0, 1, 2].map(|f| fit.first_wave(f)), [0, 0, 2]);
    }

    #[test]
    fn who_begins_with_what_it_calls_has_the_same_fault_and_a_minute_later_its_own() {
        // Whichever of the two is heard of first.
        assert_eq!(waves(vec![fault(600), at_root(1, 600)]), [None, Some(0)]);
        assert_eq!(waves(vec![fault(600), at_root(1, 645)]), [None, Some(0)]);
        assert_eq!(waves(vec![fault(645), at_root(1, 600)]), [Some(1), None]);
        assert_eq!(waves(vec![fault(600), at_root(1, 646)]), [None, None]);
        assert_eq!(waves(vec![at_root(1, 600), at_root(2, 600)]), [None, None], "it calls not");
        let other = Fault { at: At { scope: 1, ..at_root(1, 600).at }, ..fault(600) };
        assert_eq!(waves(vec![fault(600), other]), [None, None], "in another scope");
        // A fault has one first, however many begin with each other.
        let fit = with(vec![at_root(1, 600), fault(630), at_root(1, 660)]);
        assert_eq!([0, 1, 2].map(|f| fit.first_wave(f)), [0, 0, 0]);
    }

    #[test]
    fn another_kind_of_cause_is_no_wave_and_an_unknown_one_may_be() {
        let of = |kind: Option<Family>, since_s: i64| Fault { kind, ..fault(since_s) };
        let (memory, disk) = (Some(Family::Memory), Some(Family::Disk));
        assert_eq!(waves(vec![of(memory, 600), of(disk, 660)]), [None, None]);
        assert_eq!(waves(vec![of(memory, 600), of(memory, 660)]), [None, Some(0)]);
        assert_eq!(waves(vec![of(memory, 600), of(None, 660)]), [None, Some(0)]);
        assert_eq!(waves(vec![of(None, 600), of(disk, 660)]), [None, Some(0)]);
    }

    #[test]
    fn a_wave_shares_a_scope_in_which_it_began_later() {
        assert_eq!(waves(vec![in_scope(0, 600), in_scope(1, 660)]), [None, None]);
        let both = || Fault { scopes: [(1, 640_000)].into(), ..fault(600) };
        assert_eq!(waves(vec![both(), in_scope(1, 660)]), [None, Some(0)]);
        // It began first there.
        assert_eq!(waves(vec![both(), in_scope(1, 620)]), [None, None]);
        let later = Fault { scopes: [(1, 700_000)].into(), ..in_scope(2, 650) };
        assert_eq!(waves(vec![both(), later]), [None, Some(0)]);
    }

    #[test]
    fn what_is_fixed_stays_what_it_is_unless_its_first_moved_away() {
        let fixed =
            |since_s: i64, wave_of: Option<u32>| Fault { fixed: true, wave_of, ..fault(since_s) };
        assert_eq!(waves(vec![fault(600), fixed(660, None)]), [None, None], "its own for good");
        assert_eq!(waves(vec![fixed(600, None), fixed(960, Some(0))]), [None, Some(0)]);
        assert_eq!(waves(vec![fault(600), fixed(660, Some(0))]), [None, Some(0)]);
        assert_eq!(waves(vec![fault(300), fixed(660, Some(0))]), [None, None], "its first moved");
    }
}
