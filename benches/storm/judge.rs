//! What the bot stored of a storm against what is true of it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::Value;

use super::Outcome;
use super::site::{Condition, Storm};

/// The figure below which this share of figures in order lies.
pub(crate) fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    sorted.get((sorted.len() as f64 * share) as usize).or(sorted.last()).copied()
}

fn told(what: &str, mut ms: Vec<i64>) {
    ms.sort_unstable();
    let at = |share: f64| quantile(&ms, share).map_or(f64::NAN, |ms| ms as f64 / 1_000.0);
    let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
    println!("{what}: {} of p50 {p50:.2} s, p99 {p99:.2} s, max {max:.2} s", ms.len());
}

/// Pairwise F1 over conditions, and the share of faults that one incident holds half of, of which
/// half are of the fault.
pub(crate) fn told_apart(all: &[Condition], held: &HashMap<usize, String>) -> (f64, f64) {
    let pairs = |n: &usize| (n * n.saturating_sub(1) / 2) as f64;
    let (faults, incidents, both) = counted(all, held);
    let sum = |n: f64, of: f64| if of > 0.0 { n / of } else { 0.0 };
    let shared: f64 = both.values().map(pairs).sum();
    let precision = sum(shared, incidents.values().map(pairs).sum());
    let recall = sum(shared, faults.values().map(pairs).sum());
    let found = faults.iter().filter(|(fault, n)| {
        let most = most_of(**fault, &both);
        most.is_some_and(|(incident, m)| m * 2 >= **n && m * 2 >= incidents[incident])
    });
    let found = sum(found.count() as f64, faults.len() as f64);
    (sum(2.0 * precision * recall, precision + recall), found)
}

type Counts<'a> =
    (BTreeMap<usize, usize>, BTreeMap<&'a str, usize>, BTreeMap<(usize, &'a str), usize>);

/// Conditions by fault, by incident, and by both.
fn counted<'a>(all: &[Condition], held: &'a HashMap<usize, String>) -> Counts<'a> {
    let (mut faults, mut incidents, mut both) = Counts::default();
    for fault in all.iter().filter_map(|c| c.fault) {
        *faults.entry(fault).or_insert(0) += 1;
    }
    for (i, incident) in held.iter().filter(|(_, incident)| !incident.is_empty()) {
        *incidents.entry(incident.as_str()).or_insert(0) += 1;
        if let Some(fault) = all[*i].fault {
            *both.entry((fault, incident.as_str())).or_insert(0) += 1;
        }
    }
    (faults, incidents, both)
}

/// The incident that holds most of a fault, and how many of its conditions.
fn most_of<'a>(fault: usize, both: &BTreeMap<(usize, &'a str), usize>) -> Option<(&'a str, usize)> {
    let most = both.iter().filter(|((f, _), _)| *f == fault).max_by_key(|(_, n)| **n);
    most.map(|((_, incident), n)| (*incident, *n))
}

/// Prints what is stored against the truth; gives the incident of each condition that is stored.
pub(crate) fn judged(
    data: &Path,
    storm: &Storm,
    first: &HashMap<usize, i64>,
) -> Outcome<HashMap<usize, String>> {
    let all = &storm.conditions;
    let by: HashMap<(&str, &str), usize> =
        all.iter().enumerate().map(|(i, c)| ((c.name, c.pod.as_str()), i)).collect();
    let mut reports = vec![0_u64; all.len()];
    for (_, i) in &storm.told {
        reports[*i] += 1;
    }
    let file = std::fs::read_dir(data)?.flatten().map(|f| f.path());
    let file = file
        .into_iter()
        .find(|f| f.extension().is_some_and(|e| e == "db" || e == "sqlite" || e == "sqlite3"));
    let store = rusqlite::Connection::open(file.ok_or("no store in the data folder")?)?;
    let mut held: HashMap<usize, String> = HashMap::new();
    let (mut stored, mut other) = (0, 0);
    let mut asked = store.prepare("SELECT parent, body FROM record WHERE kind = 'alert'")?;
    let mut rows = asked.query([])?;
    while let Some(row) = rows.next()? {
        let (incident, body) =
            (row.get(0)?, serde_json::from_str::<Value>(&row.get::<_, String>(1)?)?);
        let label = |name: &str| body["labels"][name].as_str().unwrap_or_default();
        if let Some(i) = by.get(&(label("alertname"), label("pod"))) {
            let n = body["n_reports"].as_u64().unwrap_or(0);
            stored += n;
            other += usize::from(n != reports[*i]);
            held.insert(*i, incident);
        }
    }
    println!("conditions posted {}, not stored {}", first.len(), first.len() - held.len());
    println!(
        "alerts posted {}, reports stored {stored}; of {other} conditions another number than posted",
        storm.told.len()
    );
    let mut diagnosed: HashMap<String, i64> = HashMap::new();
    let mut asked = store.prepare(
        "SELECT parent, min(at) FROM record WHERE kind = 'timeline' AND state = 'diagnosis' \
             GROUP BY parent",
    )?;
    let mut rows = asked.query([])?;
    while let Some(row) = rows.next()? {
        diagnosed.insert(row.get(0)?, row.get(1)?);
    }
    let mut opened = store.prepare("SELECT id, at FROM record WHERE kind = 'incident'")?;
    let mut rows = opened.query([])?;
    let (mut n, mut since_opened) = (0, Vec::new());
    while let Some(row) = rows.next()? {
        n += 1;
        let at: i64 = row.get(1)?;
        since_opened.extend(diagnosed.get(&row.get::<_, String>(0)?).map(|first| first - at));
    }
    println!("{n} incidents");
    told("from opened to the first diagnosis stored", since_opened);
    let posted = |of: &dyn Fn(usize) -> bool| {
        first.iter().filter(|(i, _)| of(**i)).map(|(_, at)| *at).min().unwrap_or(0)
    };
    let (faults, incidents, both) = counted(all, &held);
    let since_alert = incidents.keys().filter_map(|incident| {
        let came = posted(&|i| held.get(&i).is_some_and(|of| of == incident));
        diagnosed.get(*incident).map(|at| at - came)
    });
    told("from an incident's first alert to its first diagnosis stored", since_alert.collect());
    let since_fault = faults.keys().filter_map(|fault| {
        let (incident, _) = most_of(*fault, &both)?;
        let came = posted(&|i| all[i].fault == Some(*fault));
        diagnosed.get(incident).map(|at| at - came)
    });
    told(
        "from a fault's first alert to the first diagnosis of the incident with most of it",
        since_fault.collect(),
    );
    let (f1, found) = told_apart(all, &held);
    println!(
        "faults found {:.0} of {}; pairwise F1 {f1:.3} over conditions",
        found * faults.len() as f64,
        faults.len()
    );
    Ok(held)
}
