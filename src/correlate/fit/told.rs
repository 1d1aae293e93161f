//! What the fit says of signs and faults to those who ask.

use super::words::Class;
use super::{Fit, Kin};

impl Fit {
    /// Which kin a sign is of; what is forgotten is of its own.
    pub(crate) fn group(&self, sign: u32) -> Kin {
        let mut at = sign;
        loop {
            let Some(sign) = self.signs.get(at) else { return Kin::Own(at) };
            match (sign.settled, sign.home, sign.before) {
                (Some(kin), ..) => return kin,
                (None, super::Home::Fault(fault), _) => return Kin::Fault(fault),
                (None, super::Home::Before, Some(before)) => at = before,
                _ => return Kin::Own(at),
            }
        }
    }

    /// Whether a sign is still remembered.
    pub(crate) fn is_kept(&self, sign: u32) -> bool {
        self.signs.get(sign).is_some()
    }

    /// Whether a revision has looked at a sign.
    pub(crate) fn is_judged(&self, sign: u32) -> bool {
        self.signs.get(sign).is_none_or(|s| s.judged || s.settled.is_some())
    }

    /// Whether a sign moves no more.
    pub(crate) fn is_settled(&self, sign: u32) -> bool {
        self.signs.get(sign).is_none_or(|s| s.settled.is_some())
    }

    /// Whether a sign speaks of a slow matter that concerns nobody else.
    pub(crate) fn is_chore(&self, sign: u32) -> bool {
        self.signs.get(sign).is_some_and(|s| self.words.class(s.name) == Class::Chore)
    }

    /// Whether a sign stands by itself or at the root of its fault.
    pub(crate) fn leads(&self, sign: u32) -> bool {
        match self.group(sign) {
            Kin::Own(_) => true,
            Kin::Fault(of) => {
                let root = self.faults.get(of).map(|f| f.at.root);
                root.is_some() && self.signs.get(sign).map(|s| s.place) == root
            }
        }
    }

    /// Where and since when (ms) the fault of a kin is taken to be.
    pub(crate) fn root(&self, kin: Kin) -> Option<(&str, i64)> {
        let Kin::Fault(fault) = kin else { return None };
        let at = self.faults.get(fault)?.at;
        Some((&self.places.by_id[at.root as usize], at.since))
    }

    /// How many signs may still move.
    pub(crate) fn n_open(&self) -> usize {
        self.open.len()
    }
}
