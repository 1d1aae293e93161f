//! One forest from labelled rows: the only place that knows the crate that trains.

use forust_ml::Matrix;
use forust_ml::gradientbooster::GradientBooster;
use forust_ml::objective::ObjectiveType;
use forust_ml::sampler::SampleMethod;

use super::forest::{Forest, Node, Split};
use crate::model::Fault;

/// Trees, and how much of each counts: few labelled incidents ask for many small steps (Friedman
/// 2001, "Greedy Function Approximation").
const TREES: usize = 80;
const STEP: f32 = 0.08;
/// Questions on the way to a leaf: enough for two features that matter together, and one more.
const DEPTH: usize = 3;
/// Share of rows and of features that each tree sees (Friedman 2002, "Stochastic Gradient
/// Boosting"; Breiman 2001).
const ROWS: f32 = 0.8;
const FEATURES: f64 = 0.5;
/// Bins of a feature.
const BINS: u16 = 32;

/// Rows of one length with what is to be learned of each.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) rows: Vec<Vec<f64>>,
    pub(super) is: Vec<bool>,
}

/// Boosts trees that tell rows that are from those that are not. The same table and seed give the
/// same trees, on any machine and number of cores. Without both kinds of rows, or with nothing
/// that differs between rows, it knows only how common they are.
///
/// # Errors
/// The rows can't be trained on.
pub(super) fn fit(table: &Table, seed: u64) -> Result<Forest, Fault> {
    let (n, n_is) = (table.rows.len(), table.is.iter().filter(|is| **is).count());
    // One of each is added (Laplace): never quite certain.
    let base = ((n_is as f64 + 1.0) / ((n - n_is) as f64 + 1.0)).ln();
    let columns = varying(&table.rows);
    if n_is == 0 || n_is == n || columns.is_empty() {
        return Ok(Forest { base, trees: Vec::new() });
    }
    let column = |c: &usize| table.rows.iter().map(|r| r[*c]).collect::<Vec<f64>>();
    let values: Vec<f64> = columns.iter().flat_map(column).collect();
    let is: Vec<f64> = table.is.iter().map(|is| f64::from(u8::from(*is))).collect();
    let mut booster = GradientBooster::default()
        .set_objective_type(ObjectiveType::LogLoss)
        .set_iterations(TREES)
        .set_learning_rate(STEP)
        .set_max_depth(DEPTH)
        .set_subsample(ROWS)
        .set_sample_method(SampleMethod::Random)
        .set_colsample_bytree(FEATURES)
        .set_nbins(BINS)
        .set_base_score(base)
        .set_initialize_base_score(false)
        .set_parallel(false)
        .set_seed(seed);
    booster
        .fit_unweighted(&Matrix::new(&values, n, columns.len()), &is, None)
        .map_err(|e| Fault::permanent("a classifier can't be trained on these incidents", e))?;
    let mut trees = Vec::new();
    for tree in &booster.trees {
        let nodes = tree.nodes.iter().map(|t| Node {
            value: t.weight_value,
            split: (!t.is_leaf).then(|| Split {
                feature: columns[t.split_feature] as u16,
                at: t.split_value,
                low: t.left_child as u32,
                high: t.right_child as u32,
                missing: t.missing_node as u32,
                gain: t.split_gain,
            }),
        });
        trees.push(nodes.collect());
    }
    Ok(Forest { base, trees })
}

/// Features with at least two different known values, or known in some rows and not in others.
fn varying(rows: &[Vec<f64>]) -> Vec<usize> {
    let Some(first) = rows.first() else { return Vec::new() };
    (0..first.len())
        .filter(|&c| rows.iter().any(|r| r[c].to_bits() != first[c].to_bits()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows where the second feature decides, the first is noise, and the third never varies.
    fn table() -> Table {
        let mut table = Table::default();
        for i in 0..40_u32 {
            let noise = f64::from(i * 7 % 11);
            let matters = if i % 5 == 0 { f64::NAN } else { f64::from(i % 2) };
            table.rows.push(vec![noise, matters, 1.0]);
            table.is.push(i % 2 == 1 && i % 5 != 0);
        }
        table
    }

    #[test]
    fn trees_learn_what_matters_and_are_the_same_each_time() {
        let (table, seed) = (table(), 7);
        let forest = fit(&table, seed).expect("it trains");
        assert_eq!(forest, fit(&table, seed).expect("it trains"));
        for (row, is) in table.rows.iter().zip(&table.is) {
            assert_eq!(forest.log_odds(row) > 0.0, *is, "{row:?}");
        }
        let gains = forest.gains(3);
        assert!(gains[1] > 10.0 * gains[0] && gains[2] == 0.0, "{gains:?}");
        // What the features moved, and where the trees begin, is the whole answer.
        let roots: f64 = forest.trees.iter().map(|t| f64::from(t[0].value)).sum();
        let moves: f64 = forest.moves(&table.rows[3]).iter().sum();
        let whole = forest.log_odds(&table.rows[3]);
        assert!((forest.base + roots + moves - whole).abs() < 1e-4);
    }

    #[test]
    fn one_kind_alone_is_learned_by_its_count() {
        let rows = vec![vec![1.0], vec![2.0]];
        let all = fit(&Table { rows: rows.clone(), is: vec![true, true] }, 1).expect("it trains");
        assert_eq!(all, Forest { base: 3.0_f64.ln(), trees: vec![] });
        let same = Table { rows: vec![vec![1.0]; 4], is: vec![true, false, true, false] };
        assert!(fit(&same, 1).expect("it trains").trees.is_empty());
    }
}
