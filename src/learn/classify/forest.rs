//! Trained trees in a form of our own: stored, hashed, asked and explained without the crate that
//! trains them, so that an old version gives its predictions again whatever that crate becomes.

use serde::{Deserialize, Serialize};

/// Boosted regression trees for the log odds of one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Forest {
    /// Log odds before any tree.
    pub base: f64,
    /// The trees; their answers add up.
    pub trees: Vec<Vec<Node>>,
}

/// One node of a tree; the root is the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What the tree would add if it ended here, in log odds.
    pub value: f32,
    /// How it goes on; `None` at a leaf.
    pub split: Option<Split>,
}

/// A question about one feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Which feature.
    pub feature: u16,
    /// Values below this go to `low`, others to `high`.
    pub at: f64,
    /// Node for values below.
    pub low: u32,
    /// Node for values at or above.
    pub high: u32,
    /// Node for what is not known.
    pub missing: u32,
    /// How much it lessened the loss in training.
    pub gain: f32,
}

impl Forest {
    /// The log odds for a row; what is not known is NaN.
    #[must_use]
    pub fn log_odds(&self, row: &[f64]) -> f64 {
        let mut sum = self.base;
        for tree in &self.trees {
            walk(tree, row, |_, _| ()).map(f64::from).into_iter().for_each(|leaf| sum += leaf);
        }
        sum
    }

    /// How much each feature moved the log odds of a row, summed over trees: the change of the
    /// expected answer at each split on the way (Saabas 2014). Features in the order of the row;
    /// they and the trees' root values add up to [`Forest::log_odds`].
    #[must_use]
    pub fn moves(&self, row: &[f64]) -> Vec<f64> {
        let mut moves = vec![0.0; row.len()];
        for tree in &self.trees {
            walk(tree, row, |feature, by| {
                if let Some(sum) = moves.get_mut(feature) {
                    *sum += f64::from(by);
                }
            });
        }
        moves
    }

    /// The gain of each feature's splits.
    #[must_use]
    pub fn gains(&self, n_features: usize) -> Vec<f64> {
        let mut gains = vec![0.0; n_features];
        for split in self.trees.iter().flatten().filter_map(|n| n.split.as_ref()) {
            if let Some(sum) = gains.get_mut(usize::from(split.feature)) {
                *sum += f64::from(split.gain.max(0.0));
            }
        }
        gains
    }
}

/// Goes down a tree; `step` hears the feature of each split and by how much the answer moved.
/// Gives the leaf's value; a stored tree that leads nowhere says nothing.
fn walk(tree: &[Node], row: &[f64], mut step: impl FnMut(usize, f32)) -> Option<f32> {
    let mut node = tree.first()?;
    // No way down is longer than the tree has nodes: a stored loop ends too.
    for _ in 0..tree.len() {
        let Some(split) = &node.split else { return Some(node.value) };
        let feature = usize::from(split.feature);
        let value = row.get(feature).copied().unwrap_or(f64::NAN);
        let next = if value.is_nan() {
            split.missing
        } else if value < split.at {
            split.low
        } else {
            split.high
        };
        let below = tree.get(next as usize)?;
        step(feature, below.value - node.value);
        node = below;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(value: f32) -> Node {
        Node { value, split: None }
    }

    #[test]
    fn a_row_goes_down_and_a_broken_tree_says_nothing() {
        let split = Split { feature: 1, at: 2.0, low: 1, high: 2, missing: 2, gain: 3.0 };
        let root = Node { value: 0.25, split: Some(split.clone()) };
        let forest = Forest {
            base: -1.0,
            trees: vec![vec![root.clone(), leaf(-0.5), leaf(0.75)], vec![leaf(0.125)]],
        };
        assert_eq!(forest.log_odds(&[0.0, 1.0]), -1.0 - 0.5 + 0.125);
        assert_eq!(forest.log_odds(&[0.0, 2.0]), -1.0 + 0.75 + 0.125);
        assert_eq!(forest.log_odds(&[0.0, f64::NAN]), forest.log_odds(&[9.0, 3.0]));
        assert_eq!(forest.moves(&[0.0, 1.0]), [0.0, -0.75]);
        assert_eq!(forest.gains(2), [0.0, 3.0]);
        let circle = Node { value: 0.0, split: Some(Split { low: 0, high: 7, ..split }) };
        let broken = Forest { base: 0.5, trees: vec![vec![circle]] };
        assert_eq!(broken.log_odds(&[0.0, 0.0]), 0.5);
        assert_eq!(broken.log_odds(&[0.0, 5.0]), 0.5);
    }
}
