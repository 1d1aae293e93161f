//! What the search has learned, to be kept over a restart: how lags are, which names stray and which
//! show in faults, dependencies that nobody told of with the hints of more, and how often alerts
//! begin by themselves. Faults and signs themselves are not in it: they are found again from alerts.

use serde::{Deserialize, Serialize};

use super::Fit;
use super::lag::BINS;
use super::reach::{By, Mark};
use super::texts::Kept;

/// Names that are kept at most, those counted most.
const MOST_NAMES: usize = 2_000;
/// Hints that are kept at most, those with most faults.
const MOST_HINTS: usize = 1_000;
/// Faults of a hint or a place that are kept at most, the newest.
const MOST_MARKS: usize = 12;
/// Scopes that are kept at most, those heard last.
const MOST_SCOPES: usize = 200;

/// What was learned; of bounded size, whatever has been heard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Learned {
    /// How often each name was at a root, above it, by itself.
    names: Vec<(String, [f64; 3])>,
    /// The same of all names.
    total: [f64; 3],
    /// Lags counted: at the root, at a place that spoke before, of callers, by no known path.
    lags: Vec<Vec<f64>>,
    /// Dependencies that nobody told of, heard of longest ago first: from faults, and from labels.
    edges: Vec<(String, String)>,
    stands: Vec<(String, String)>,
    /// In which faults the first spoke up after the second.
    hints: Vec<(String, String, Vec<Mark>)>,
    /// In which faults a place spoke up that a hint is about.
    spoke: Vec<(String, Vec<Mark>)>,
    scopes: Vec<String>,
    /// Alerts that began by themselves, and in how long a time (ms).
    alone: f64,
    heard_ms: i64,
    /// The newest beginning that was counted (ms).
    counted_ms: Option<i64>,
    /// What texts said.
    texts: Kept,
}

fn newest<'a>(marks: impl DoubleEndedIterator<Item = &'a Mark>) -> Vec<Mark> {
    let mut marks: Vec<Mark> = marks.rev().take(MOST_MARKS).copied().collect();
    marks.reverse();
    marks
}

impl Fit {
    /// What was learned until now.
    pub(crate) fn learned(&self) -> Learned {
        let mut names: Vec<(String, [f64; 3])> =
            self.names.ids.iter().map(|(name, id)| (name.clone(), self.words.seen(*id))).collect();
        names.retain(|(_, seen)| seen.iter().sum::<f64>() > 0.0);
        names.sort_by(|(a, x), (b, y)| {
            let sum = |seen: &[f64; 3]| seen.iter().sum::<f64>();
            sum(y).total_cmp(&sum(x)).then_with(|| a.cmp(b))
        });
        names.truncate(MOST_NAMES);
        let place = |id: u32| self.places.by_id[id as usize].clone();
        let edges = |by: By| self.reach.learned(by).map(|(a, b)| (place(a), place(b))).collect();
        let mut hints: Vec<_> = self.reach.hints.iter().collect();
        hints.sort_by_key(|(edge, marks)| (std::cmp::Reverse(marks.len()), **edge));
        hints.truncate(MOST_HINTS);
        let about: std::collections::BTreeSet<u32> =
            hints.iter().flat_map(|((a, b), _)| [*a, *b]).collect();
        let spoke = self.reach.spoke.iter().filter(|(id, _)| about.contains(id));
        let heard_ms = self.first_ms.map_or(0, |first| (self.newest - first).max(0)) + self.past_ms;
        Learned {
            names,
            total: self.words.seen_in_all(),
            lags: self.settled_lags.iter().map(|lags| lags.counts().to_vec()).collect(),
            edges: edges(By::Faults),
            stands: edges(By::Labels),
            hints: hints
                .into_iter()
                .map(|((a, b), marks)| (place(*a), place(*b), newest(marks.iter())))
                .collect(),
            spoke: spoke.map(|(id, marks)| (place(*id), newest(marks.iter()))).collect(),
            scopes: self.scopes.latest(MOST_SCOPES),
            alone: self.n_alone,
            heard_ms,
            counted_ms: self.counted_ms.max(self.restored_ms),
            texts: self.texts.kept(&self.names),
        }
    }

    /// Takes over what was learned before a start. What is no number is left out.
    pub(crate) fn restore(&mut self, learned: &Learned) {
        let sound = |counts: &[f64]| counts.iter().all(|n| n.is_finite() && *n >= 0.0);
        for (name, seen) in learned.names.iter().filter(|(_, seen)| sound(seen)) {
            let id = self.names.id(name);
            self.words.name(id, name);
            self.words.recall(id, *seen);
        }
        if sound(&learned.total) {
            self.words.recall_all(learned.total);
        }
        for (lags, counts) in self.settled_lags.iter_mut().zip(&learned.lags) {
            if let Ok(counts) = <[f64; BINS]>::try_from(&counts[..])
                && sound(&counts)
            {
                lags.recall(counts);
            }
        }
        for (edges, by) in [(&learned.edges, By::Faults), (&learned.stands, By::Labels)] {
            for (a, b) in edges {
                let (a, b) = (self.named_place(a), self.named_place(b));
                // Before labels had a list of their own, what they told stood in the other.
                let is_label = learned.stands.is_empty() && self.is_ground(b);
                self.reach.learn(a, b, if is_label { By::Labels } else { by });
            }
        }
        for (a, b, marks) in &learned.hints {
            let (a, b) = (self.named_place(a), self.named_place(b));
            self.reach.hints.entry((a, b)).or_default().extend(marks);
        }
        for (place, marks) in &learned.spoke {
            let place = self.named_place(place);
            self.reach.spoke.entry(place).or_default().extend(marks);
        }
        for scope in &learned.scopes {
            self.scopes.id(scope);
        }
        if sound(&[learned.alone]) {
            self.n_alone += learned.alone;
            self.past_ms += learned.heard_ms.max(0);
        }
        self.restore_texts(&learned.texts);
        self.restored_ms = self.restored_ms.max(learned.counted_ms);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::correlate::fit::{Kin, Knobs, Onset};

    const MINUTE: i64 = 60_000;

    /// `web` calls `cart` calls `db`, and `report` feels `db` too, which nobody tells.
    fn fit() -> Fit {
        let mut fit = Fit::new(Knobs::default());
        for (from, to) in [("web", "cart"), ("cart", "db"), ("report", "files"), ("mail", "smtp")] {
            fit.depends(from, to);
        }
        fit
    }

    /// Faults of `db` every forty minutes with a stray each; gives how signs are grouped.
    fn stream(fit: &mut Fit, from: i64, n: i64) -> BTreeSet<BTreeSet<usize>> {
        let mut signs: Vec<u32> = Vec::new();
        let mut clock = from;
        for fault in 0..n {
            let at = from + fault * 40 * MINUTE;
            let told = [
                ("db", "DBConnectionsSaturated", 0),
                ("cart", "UpstreamTimeouts", 25),
                ("report", "ReportsTakeLong", 45),
                ("web", "HighErrorRate", 50),
                ("report", "HighLatencyP99", 55),
                ("mail", "CertExpiring", 60),
            ];
            for (place, name, lag) in told {
                let at_ms = at + lag * 1_000;
                let key = format!("{place} {name}");
                let condition = key.bytes().fold(7, |h: u64, b| h.wrapping_mul(31) ^ u64::from(b));
                signs.push(fit.begin(&Onset { condition, scope: "", place, name, on: &[], at_ms }));
            }
            while clock < at + 39 * MINUTE {
                clock += 30_000;
                fit.revise(clock);
            }
        }
        let mut groups: BTreeMap<Kin, BTreeSet<usize>> = BTreeMap::new();
        for (n, sign) in signs.iter().enumerate() {
            groups.entry(fit.group(*sign)).or_default().insert(n);
        }
        groups.into_values().collect()
    }

    #[test]
    fn what_was_learned_survives_a_restart_and_groups_the_same_stream_the_same() {
        let mut live = fit();
        stream(&mut live, 0, 6);
        let (from, to) = (live.places.id("report"), live.places.id("db"));
        live.reach.learn(from, to, By::Faults);
        let learned = live.learned();
        assert!(learned.names.len() >= 3 && learned.heard_ms > 0, "{learned:?}");
        assert!(learned.edges.contains(&("report".into(), "db".into())), "{:?}", learned.edges);
        let text = serde_json::to_string(&learned).expect("writes");
        let mut again = fit();
        again.restore(&serde_json::from_str(&text).expect("reads"));
        assert_eq!(again.learned(), learned, "nothing is lost");
        let from = 300 * MINUTE;
        let groups = stream(&mut live, from, 3);
        assert_eq!(stream(&mut again, from, 3), groups);
        assert!(groups.iter().any(|g| g.len() >= 3), "{groups:?}");
    }

    #[test]
    fn pods_without_end_that_name_their_node_push_no_dependency_out() {
        let mut live = fit();
        let (from, to) = (live.places.id("report"), live.places.id("db"));
        live.reach.learn(from, to, By::Faults);
        for n in 0..6_000_i64 {
            let (place, node) = (format!("pod-{n}"), format!("host.name=node-{}", n % 40));
            let (on, at_ms) = ([node], n * 1_000);
            let onset = Onset {
                condition: n as u64,
                scope: "",
                place: &place,
                name: "Slow",
                on: &on,
                at_ms,
            };
            live.begin(&onset);
        }
        assert!(live.reach.calls(from, to));
        let learned = live.learned();
        assert_eq!(learned.edges, [("report".to_owned(), "db".to_owned())]);
        assert_eq!(learned.stands.len(), 5_000);
        let mut again = fit();
        again.restore(&learned);
        assert_eq!(again.learned().stands, learned.stands, "in their order");
    }

    #[test]
    fn labels_that_were_kept_among_the_faults_before_they_had_a_list_go_to_it() {
        let mut live = fit();
        let (from, to) = (live.places.id("report"), live.places.id("db"));
        live.reach.learn(from, to, By::Faults);
        for n in 0..3_u64 {
            let (place, on) = (format!("pod-{n}"), ["host.name=node-1".to_owned()]);
            let at_ms = n as i64 * 1_000;
            let onset =
                Onset { condition: n, scope: "", place: &place, name: "Slow", on: &on, at_ms };
            live.begin(&onset);
        }
        let now = live.learned();
        assert_eq!((now.edges.len(), now.stands.len()), (1, 3));
        let mut before = now.clone();
        before.edges.append(&mut before.stands);
        let mut again = fit();
        again.restore(&before);
        assert_eq!(again.learned(), now);
    }

    #[test]
    fn what_is_gone_through_again_after_a_start_is_not_counted_twice() {
        let mut live = fit();
        stream(&mut live, 0, 6);
        let learned = live.learned();
        let mut again = fit();
        again.restore(&learned);
        stream(&mut again, 0, 6);
        let twice = again.learned();
        assert_eq!((twice.alone, twice.total), (learned.alone, learned.total));
        assert_eq!((twice.names, twice.lags), (learned.names, learned.lags));
        assert!((0..MINUTE).contains(&(twice.heard_ms - learned.heard_ms)), "nor the time");
    }

    #[test]
    fn what_is_kept_is_bounded_and_broken_counts_are_left_out() {
        let mut live = fit();
        for n in 0..6_000_i64 {
            let name = format!("Name{n}Slow");
            let place = format!("pod-{n}");
            let at_ms = n * 20_000;
            let onset = Onset {
                condition: n as u64,
                scope: "",
                place: &place,
                name: &name,
                on: &[],
                at_ms,
            };
            live.begin(&onset);
            if n % 100 == 0 {
                live.revise(at_ms);
            }
        }
        live.revise(8_000 * 20_000);
        assert!(live.learned().names.len() <= MOST_NAMES);
        let broken = Learned {
            names: vec![("Slow".into(), [f64::NAN, 1.0, 1.0]), ("Down".into(), [1.0, -3.0, 1.0])],
            lags: vec![vec![1.0; 3]],
            alone: f64::INFINITY,
            ..Learned::default()
        };
        let mut fit = fit();
        fit.restore(&broken);
        assert_eq!(fit.learned(), Fit::new(Knobs::default()).learned());
    }

    #[test]
    fn names_and_scopes_without_end_are_forgotten_but_for_the_last_and_the_used() {
        let mut fit = fit();
        let day = 24 * 60 * MINUTE;
        for n in 0..30_000_i64 {
            let (name, at_ms) = (format!("Job{n}Slow"), n * 10 * MINUTE);
            let (place, scope) = ("cart", format!("run-{n}"));
            let onset =
                Onset { condition: n as u64, scope: &scope, place, name: &name, on: &[], at_ms };
            fit.begin(&onset);
            if n % 60 == 0 {
                let condition = u64::MAX;
                fit.begin(&Onset { condition, name: "HighErrorRate", scope: "", ..onset });
                fit.revise(at_ms);
                fit.forget(at_ms);
            }
        }
        let lately = (day / (10 * MINUTE)) as usize;
        let most = crate::correlate::fit::MOST_NAMES + lately;
        assert!(fit.names.by_id.len() <= most, "{}", fit.names.by_id.len());
        let most = crate::correlate::fit::MOST_SCOPES + lately;
        assert!(fit.scopes.by_id.len() <= most, "{}", fit.scopes.by_id.len());
        assert!(fit.names.ids.contains_key("HighErrorRate") && fit.scopes.ids.contains_key(""));
        let id = fit.names.ids["HighErrorRate"];
        assert!(fit.words.seen(id).iter().sum::<f64>() > 400.0, "{:?}", fit.words.seen(id));
    }

    #[test]
    fn names_of_pods_that_are_gone_are_forgotten() {
        let mut fit = fit();
        let day = 24 * 60 * MINUTE;
        let mut most = 0;
        for n in 0..4_000_i64 {
            let (place, at_ms) = (format!("pod-{n}"), n * 10 * MINUTE);
            let name = "HighMemory";
            let onset =
                Onset { condition: n as u64, scope: "", place: &place, name, on: &[], at_ms };
            fit.begin(&onset);
            if n % 6 == 0 {
                fit.revise(at_ms);
                fit.forget(at_ms);
                most = most.max(fit.places.len());
            }
        }
        // What came within the time for which signs are kept, and the graph's seven.
        let lately = (day / (10 * MINUTE)) as usize;
        assert!(most <= lately + 40, "{most} of 4000 at once");
        assert!(fit.places.by_id.len() <= lately + 40, "numbers are used again");
        assert!(fit.places.ids.contains_key("cart"), "the graph is known still");
    }
}
