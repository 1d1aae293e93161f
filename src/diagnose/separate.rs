//! Which attribute value separates bad requests from good ones: a version, a zone, a node, an
//! endpoint, or what a request called. Pure.
//!
//! Every value of every attribute makes a table of two by two: bad and good requests, with the value
//! and without. A value is told when all of this holds: there are enough requests of both; the
//! log-likelihood ratio of the table (G-test, Sokal and Rohlf 1981, one degree of freedom) is so large
//! that, with as many values as were tried (Bonferroni), it comes about by chance in less than one
//! case in a hundred; and the lower bound of the ratio of the two shares (Katz et al. 1978, 95 %,
//! corrected in the same way) is at least [`LIFT`]. No value of an id has enough requests.

use std::collections::{BTreeMap, BTreeSet};

/// The shares must differ at least so many times, at the lower bound.
pub(super) const LIFT: f64 = 2.0;
/// Requests needed with a value and without it.
const FEWEST: u64 = 20;
/// Bad ones needed with the value.
const FEWEST_BAD: u64 = 8;
/// Values that are told.
const MOST_TOLD: usize = 4;
/// The chance of an error, over all values tried.
const CHANCE: f64 = 0.01;

/// One request as one service saw it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    /// It failed, or took much longer than such requests did before.
    pub bad: bool,
    /// Attribute and value.
    pub attributes: Vec<(String, String)>,
}

/// A value that separates.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Separates {
    pub attribute: String,
    pub value: String,
    /// Bad requests and all, with the value.
    pub with: (u64, u64),
    /// The same of all others.
    pub others: (u64, u64),
    /// The chance that this comes about by itself, corrected for all values that were tried.
    pub chance: f64,
    /// Lower bound of how many times as often requests with the value are bad.
    pub lift: f64,
}

/// The values that separate bad from good requests, the surest first, the first few. Of several that
/// stand for the same requests the first by name is told, and one instance only where nothing wider
/// names it: whose instance it is, or where, says more than its own name. What only goes with a value that is told (a
/// node of a bad zone, the zone of a bad node) is not: it has to separate among the requests with that
/// value, or among those without it.
pub(super) fn separating(requests: &[Request]) -> Vec<Separates> {
    let all = requests.len() as u64;
    let all_bad = requests.iter().filter(|r| r.bad).count() as u64;
    let mut tables: BTreeMap<&str, BTreeMap<&str, (u64, u64)>> = BTreeMap::new();
    for request in requests {
        let each: BTreeSet<(&str, &str)> =
            request.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        for (attribute, value) in each {
            let cell = tables.entry(attribute).or_default().entry(value).or_default();
            *cell = (cell.0 + u64::from(request.bad), cell.1 + 1);
        }
    }
    let enough = |with: (u64, u64)| with.1 >= FEWEST && all - with.1 >= FEWEST;
    let cells =
        || tables.iter().flat_map(|(a, values)| values.iter().map(move |(v, c)| (*a, *v, *c)));
    let tried = cells().filter(|c| enough(c.2)).count().max(1) as f64;
    let z = normal_bound(0.025 / tried);
    let mut found: Vec<Separates> = cells()
        .filter(|(_, _, with)| enough(*with) && with.0 >= FEWEST_BAD)
        .filter_map(|(attribute, value, with)| {
            let others = (all_bad - with.0, all - with.1);
            let chance = (tail(g_statistic(with, others)) * tried).min(1.0);
            let lift = lower_ratio(with, others, z);
            let (attribute, value) = (attribute.to_owned(), value.to_owned());
            (chance < CHANCE && lift >= LIFT).then_some(Separates {
                attribute,
                value,
                with,
                others,
                chance,
                lift,
            })
        })
        .collect();
    found.sort_by(|a, b| {
        b.lift
            .total_cmp(&a.lift)
            .then_with(|| is_instance(a).cmp(&is_instance(b)))
            .then_with(|| (&a.attribute, &a.value).cmp(&(&b.attribute, &b.value)))
    });
    let mut told: Vec<Separates> = Vec::new();
    for value in found {
        if told.iter().all(|known| known.leaves(&value, requests, z)) {
            told.push(value);
        }
        if told.len() == MOST_TOLD {
            break;
        }
    }
    told
}

fn is_instance(found: &Separates) -> bool {
    matches!(found.attribute.as_str(), "service.instance.id" | "k8s.pod.name")
}

impl Request {
    fn has(&self, value: &Separates) -> bool {
        self.attributes.iter().any(|(a, v)| *a == value.attribute && *v == value.value)
    }
}

impl Separates {
    /// Whether another value still separates among the requests that have this one, or among those
    /// that do not.
    fn leaves(&self, other: &Self, requests: &[Request], z: f64) -> bool {
        [true, false].into_iter().any(|has| {
            let (mut with, mut rest) = ((0, 0), (0, 0));
            for request in requests.iter().filter(|r| r.has(self) == has) {
                let cell: &mut (u64, u64) = if request.has(other) { &mut with } else { &mut rest };
                *cell = (cell.0 + u64::from(request.bad), cell.1 + 1);
            }
            with.1 >= FEWEST && rest.1 >= FEWEST && lower_ratio(with, rest, z) >= LIFT
        })
    }
}

/// Twice the log-likelihood ratio of a table against independence.
fn g_statistic(with: (u64, u64), others: (u64, u64)) -> f64 {
    let n = (with.1 + others.1) as f64;
    let bad = (with.0 + others.0) as f64;
    let cell = |observed: u64, row: f64, column: f64| {
        let (observed, expected) = (observed as f64, row * column / n);
        if observed > 0.0 { observed * (observed / expected).ln() } else { 0.0 }
    };
    let rows = [(with, with.1 as f64), (others, others.1 as f64)];
    let sum: f64 =
        rows.iter().map(|(r, of)| cell(r.0, *of, bad) + cell(r.1 - r.0, *of, n - bad)).sum();
    2.0 * sum.max(0.0)
}

/// Lower bound of the ratio of two shares, each with half a case added.
fn lower_ratio(with: (u64, u64), others: (u64, u64), z: f64) -> f64 {
    let share = |(bad, all): (u64, u64)| (bad as f64 + 0.5) / (all as f64 + 1.0);
    let (a, b) = (share(with), share(others));
    let spread = |(_, all): (u64, u64), share: f64| (1.0 - share) / (share * (all as f64 + 1.0));
    let error = (spread(with, a) + spread(others, b)).sqrt();
    ((a / b).ln() - z * error).exp()
}

/// The chance that a chi-square of one degree of freedom exceeds `g`: the complementary error
/// function by Abramowitz and Stegun (1964), 7.1.26, right within 1.5e-7.
fn tail(g: f64) -> f64 {
    let x = (g / 2.0).sqrt();
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    poly * (-x * x).exp()
}

/// The deviation that a normal quantity exceeds with this chance, one-sided, found by halving.
fn normal_bound(chance: f64) -> f64 {
    let (mut low, mut high) = (0.0, 12.0);
    for _ in 0..60 {
        let mid = f64::midpoint(low, high);
        if tail(mid * mid) / 2.0 > chance { low = mid } else { high = mid }
    }
    high
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnose::tests::made::Dice;

    fn request(bad: bool, attributes: &[(&str, String)]) -> Request {
        let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        Request { bad, attributes }
    }

    #[test]
    fn the_value_that_bad_requests_share_is_found() {
        let all: Vec<Request> = (0..300)
            .map(|i| {
                let node = format!("node-{}", i % 3);
                let bad = i % 3 == 1 && i % 5 != 0 || i % 50 == 0;
                let name = format!("GET /{}", i % 4);
                request(bad, &[("host.name", node), ("name", name), ("id", i.to_string())])
            })
            .collect();
        let found = separating(&all);
        assert_eq!(found.len(), 1, "{found:?}");
        let first = &found[0];
        assert_eq!((first.attribute.as_str(), first.value.as_str()), ("host.name", "node-1"));
        assert_eq!((first.with.1, first.others.1), (100, 200));
        assert!(first.lift > 5.0 && first.chance < 1e-6, "{first:?}");
    }

    #[test]
    fn too_few_or_equally_bad_is_nothing() {
        let few: Vec<Request> = (0..30)
            .map(|i| request(i % 2 == 0, &[("zone", if i % 2 == 0 { "a" } else { "b" }.into())]))
            .collect();
        assert!(separating(&few).is_empty(), "fifteen on each side say nothing");
        let same: Vec<Request> =
            (0..400).map(|i| request(i % 4 == 0, &[("zone", (i % 7).to_string())])).collect();
        assert!(separating(&same).is_empty());
        assert!(separating(&[]).is_empty());
    }

    #[test]
    fn the_tail_is_that_of_the_tables() {
        assert!((tail(3.841) - 0.05).abs() < 1e-3 && (tail(6.635) - 0.01).abs() < 1e-3);
        assert!((normal_bound(0.025) - 1.96).abs() < 1e-2);
    }

    proptest! {
        #[test]
        fn values_drawn_without_regard_to_the_outcome_are_hardly_ever_told(seed in 0_u64..1_000) {
            let mut dice = Dice(seed);
            let all: Vec<Request> = (0..400)
                .map(|_| {
                    let bad = dice.chance(30);
                    let drawn = |dice: &mut Dice, n| {
                        dice.below(n).to_string()
                    };
                    let (a, b) = (drawn(&mut dice, 3), drawn(&mut dice, 10));
                    request(bad, &[("a", a), ("b", b)])
                })
                .collect();
            prop_assert!(separating(&all).is_empty());
        }
    }
}
