//! What others run on: nodes, and the zones that these are in. Told by the graph, or by the labels of
//! alerts themselves.

use super::reach::By;
use super::{Fit, Sign};

/// What others run on, or are in.
const GROUND: [&str; 3] = ["host.name=", "k8s.node.name=", "cloud.availability_zone="];

/// What a place is to others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ground {
    /// 0: nothing runs on it or is in it; else its kind, counted from one.
    kind: u8,
    /// Whether somebody told of it, or alerts only name it.
    is_told: bool,
}

impl Fit {
    /// The number of a place that somebody tells of.
    pub(super) fn place(&mut self, name: &str) -> u32 {
        let id = self.named_place(name);
        self.ground[id as usize].is_told = true;
        id
    }

    /// The number of a place that is only named.
    pub(super) fn named_place(&mut self, name: &str) -> u32 {
        let is_new = !self.places.ids.contains_key(name);
        let id = self.places.id(name);
        self.reach.grow(id as usize + 1);
        if self.ground.len() <= id as usize {
            self.ground.resize(id as usize + 1, Ground::default());
        }
        if is_new {
            let kind = GROUND.iter().position(|kind| name.starts_with(kind)).map_or(0, |k| k + 1);
            self.ground[id as usize] = Ground { kind: kind as u8, is_told: false };
            self.n_ground[kind] += 1;
        }
        id
    }

    /// Counts anew how many of each kind there are, after names were forgotten.
    pub(super) fn count_ground(&mut self) {
        self.n_ground = Default::default();
        for id in self.places.ids.values() {
            self.n_ground[usize::from(self.ground[*id as usize].kind)] += 1;
        }
    }

    /// Whether a place is one that others run on, or are in.
    pub(super) fn is_ground(&self, place: u32) -> bool {
        self.ground.get(place as usize).is_some_and(|g| g.kind > 0)
    }

    /// Whether it says anything that others run on a place: where alerts know of one zone only, each
    /// carries its name, and nothing follows from that.
    pub(super) fn tells_apart(&self, place: u32) -> bool {
        let of = |g: &Ground| g.kind == 0 || g.is_told || self.n_ground[usize::from(g.kind)] > 1;
        self.ground.get(place as usize).is_none_or(of)
    }

    /// Takes in on what an alert says that its place runs, and in what that is.
    pub(super) fn stands_on(&mut self, place: u32, on: &[String]) -> Option<u32> {
        let mut above = place;
        let mut first = None;
        for name in on {
            let below = self.named_place(name);
            if below != above {
                self.reach.learn(above, below, By::Labels);
                first = first.or(Some(below));
            }
            above = below;
        }
        first
    }

    /// Whether a sign may come of what its place depends on: what says on which node it runs comes
    /// of no other node, unless that is one that somebody told of and its own is not, under
    /// whatever name.
    pub(super) fn may_feel(&self, sign: &Sign, callee: u32) -> bool {
        if !self.is_ground(callee) {
            return true;
        }
        let is_told = |place: u32| self.ground.get(place as usize).is_some_and(|g| g.is_told);
        let may = |on: u32| on == callee || (is_told(callee) && !is_told(on));
        self.tells_apart(callee) && sign.on.is_none_or(may)
    }
}
