//! What others run on: nodes, and the zones that these are in. Told by the graph, or by the labels of
//! alerts themselves.

use super::{Fit, Sign};

/// What others run on, or are in.
const GROUND: [&str; 3] = ["host.name=", "k8s.node.name=", "cloud.availability_zone="];

impl Fit {
    /// The number of a place.
    pub(super) fn place(&mut self, name: &str) -> u32 {
        let id = self.places.id(name);
        self.reach.grow(id as usize + 1);
        if self.ground.len() <= id as usize {
            self.ground.resize(id as usize + 1, false);
        }
        self.ground[id as usize] = GROUND.iter().any(|kind| name.starts_with(kind));
        id
    }

    /// Whether a place is one that others run on, or are in.
    pub(super) fn is_ground(&self, place: u32) -> bool {
        self.ground.get(place as usize).copied().unwrap_or(false)
    }

    /// Takes in on what an alert says that its place runs, and in what that is.
    pub(super) fn stands_on(&mut self, place: u32, on: &[String]) -> Option<u32> {
        let mut above = place;
        let mut first = None;
        for name in on {
            let below = self.place(name);
            if below != above {
                self.reach.learn(above, below);
                first = first.or(Some(below));
            }
            above = below;
        }
        first
    }

    /// Whether a sign may come of what its place depends on: what says on which node it runs comes
    /// of no other node.
    pub(super) fn may_feel(&self, sign: &Sign, callee: u32) -> bool {
        sign.on.is_none_or(|on| on == callee || !self.is_ground(callee))
    }
}
