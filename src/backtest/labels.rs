//! Labels from a file and from `label` columns brought together: each fault of a series once, and a
//! word on what names nothing that was read.

use std::collections::{BTreeMap, BTreeSet};

use super::truth::{Group, Topic, Truth, Who};
use crate::model::Time;
use crate::model::figure::n_of;

/// Names that a remark shows; the rest are counted.
const NAMED: usize = 5;

/// A group of the file with the topics that it is about.
struct About {
    group: Group,
    topics: BTreeSet<usize>,
}

impl Truth {
    /// These labels, which a file names, together with those of `label` columns; `topics` are all
    /// series that were read. Windows of the same series that overlap become one. Of an entity that
    /// the file names, its column does not count. What names no series is left out. Gives a sentence
    /// for each of these that happened.
    #[must_use]
    pub fn with_columns(self, columns: Self, topics: &[Topic]) -> (Self, Vec<String>) {
        let mut notes = Vec::new();
        let names = names(topics);
        let (mut known, mut strange): (Vec<About>, Vec<Group>) = (Vec::new(), Vec::new());
        for group in self.groups {
            let found = names.get(group.who.name()).or_else(|| {
                let stem = group.who.name().strip_suffix(".csv")?;
                names.get(stem)
            });
            match found {
                None => strange.push(group),
                Some(found) => match known.iter_mut().find(|k| k.topics == *found) {
                    Some(same) => same.group.faults.extend(group.faults),
                    None => known.push(About { group, topics: found.clone() }),
                },
            }
        }
        let given: usize = known.iter().map(|k| k.group.faults.len()).sum();
        for one in &mut known {
            one.group.faults = united(std::mem::take(&mut one.group.faults));
        }
        drop_what_wider_ones_say(&mut known);
        let twice = given - known.iter().map(|k| k.group.faults.len()).sum::<usize>();
        if !strange.is_empty() {
            notes.push(unknown(&strange, topics));
        }
        if twice > 0 {
            notes.push(format!(
                "--labels: {} overlap another of the same series; both are counted as one.",
                n_of(twice as u64, "fault")
            ));
        }
        let entities: BTreeSet<_> =
            known.iter().flat_map(|k| &k.topics).map(|t| &topics[*t].entity).collect();
        let mut groups: Vec<Group> = known.into_iter().map(|k| k.group).collect();
        let mut passed = Vec::new();
        for mut group in columns.groups {
            if matches!(&group.who, Who::Entity(entity) if entities.contains(entity)) {
                passed.push(group);
                continue;
            }
            group.faults = united(group.faults);
            groups.push(group);
        }
        if !passed.is_empty() {
            notes.push(format!(
                "--labels names {}: their faults are taken from there, and not from the column \
                 `label`.",
                listed(&passed)
            ));
        }
        (Self { groups }, notes)
    }
}

/// All names of all topics.
fn names(topics: &[Topic]) -> BTreeMap<String, BTreeSet<usize>> {
    let mut names: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (i, topic) in topics.iter().enumerate() {
        let entity = &topic.entity;
        let series = topic.series.iter();
        let series = series.flat_map(|(m, id)| [format!("{} {m}", entity.name()), id.to_string()]);
        for name in [entity.name().to_owned(), entity.to_string()].into_iter().chain(series) {
            names.entry(name).or_default().insert(i);
        }
    }
    names
}

/// Windows in order of time, those that overlap as one.
fn united(mut all: Vec<(Time, Time)>) -> Vec<(Time, Time)> {
    all.sort_unstable();
    let mut out: Vec<(Time, Time)> = Vec::with_capacity(all.len());
    for (from, to) in all {
        match out.last_mut() {
            Some((_, until)) if from <= *until => *until = to.max(*until),
            _ => out.push((from, to)),
        }
    }
    out
}

/// A fault of a series that overlaps one of its entity is the same.
fn drop_what_wider_ones_say(known: &mut [About]) {
    let mut by_topic: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, one) in known.iter().enumerate() {
        for topic in &one.topics {
            by_topic.entry(*topic).or_default().push(i);
        }
    }
    for i in 0..known.len() {
        let about = known[i].topics.first().and_then(|t| by_topic.get(t));
        let wider = about.into_iter().flatten().filter(|j| {
            known[**j].topics.len() > known[i].topics.len()
                && known[**j].topics.is_superset(&known[i].topics)
        });
        let said: Vec<(Time, Time)> =
            wider.flat_map(|j| known[*j].group.faults.iter().copied()).collect();
        known[i].group.faults.retain(|(from, to)| !said.iter().any(|(a, b)| from <= b && a <= to));
    }
}

fn unknown(strange: &[Group], topics: &[Topic]) -> String {
    let faults: usize = strange.iter().map(|g| g.faults.len()).sum();
    let mut text = format!(
        "--labels: nothing that was read is called {}; {} not counted.",
        listed(strange),
        match faults {
            1 => "1 fault is".to_owned(),
            n => format!("{n} faults are"),
        }
    );
    if let Some(Topic { entity, series: Some((metric, _)) }) = topics.first() {
        let name = entity.name();
        text.push_str(&format!(" Names are such as `{name}` or `{name} {metric}`."));
    }
    text
}

fn listed(groups: &[Group]) -> String {
    let names: Vec<String> =
        groups.iter().take(NAMED).map(|g| format!("`{}`", g.who.name())).collect();
    let rest = groups.len() - names.len();
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{rest}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EntityRef, Labels, Series};

    fn at(s: i64) -> Time {
        Time::from_ms(s * 1_000)
    }

    fn topics() -> Vec<Topic> {
        let topic = |(file, column): &(&str, &str)| {
            let entity = EntityRef::new("file", *file);
            let id = Series::identity("csv", column, &entity, &Labels::default());
            Topic { entity, series: Some(((*column).to_owned(), id)) }
        };
        [("shop/a", "cpu"), ("shop/a", "memory"), ("b", "value")].iter().map(topic).collect()
    }

    fn column(file: &str, faults: &[(i64, i64)]) -> Group {
        let faults = faults.iter().map(|(a, b)| (at(*a), at(*b))).collect();
        Group { who: Who::Entity(EntityRef::new("file", file)), faults, unknown: Vec::new() }
    }

    fn joined(file: &str, columns: Vec<Group>) -> (Vec<String>, String) {
        let file = Truth::read(format!("series,from,to\n{file}").as_bytes()).expect("labels");
        let (truth, notes) = file.with_columns(Truth { groups: columns }, &topics());
        let faults = truth.faults();
        let shown = |(name, from, to): &(String, Time, Time)| {
            format!("{name} {} {}", from.ms() / 1_000, to.ms() / 1_000)
        };
        (faults.iter().map(shown).collect(), notes.join("\n"))
    }

    #[test]
    fn a_fault_that_both_tell_of_counts_once() {
        let columns = vec![column("shop/a", &[(10, 20), (90, 95)]), column("b", &[(5, 6)])];
        let (faults, notes) = joined("shop/a,12,22\n", columns);
        assert_eq!(faults, ["b 5 6", "shop/a 12 22"]);
        insta::assert_snapshot!(notes, @"--labels names `shop/a`: their faults are taken from there, and not from the column `label`.");
    }

    #[test]
    fn windows_that_overlap_are_one_however_the_series_is_named() {
        let file = "shop/a,10,20\nfile=shop/a,15,30\nshop/a.csv,30,40\nshop/a cpu,38,45\n\
                    shop/a cpu,60,70\nb,1,2\n";
        let (faults, notes) = joined(file, Vec::new());
        assert_eq!(faults, ["b 1 2", "shop/a 10 40", "shop/a cpu 60 70"]);
        insta::assert_snapshot!(notes, @"--labels: 3 faults overlap another of the same series; both are counted as one.");
    }

    #[test]
    fn names_that_are_no_series_are_told_and_not_counted() {
        let (faults, notes) = joined("shop/A,1,2\nshop/A,5,6\nb disk,1,2\nb,3,4\n", Vec::new());
        assert_eq!(faults, ["b 3 4"]);
        insta::assert_snapshot!(notes, @"--labels: nothing that was read is called `shop/A`, `b disk`; 3 faults are not counted. Names are such as `shop/a` or `shop/a cpu`.");
        let many: Vec<String> = (0..9).map(|i| format!("x{i},1,2")).collect();
        assert!(joined(&many.join("\n"), Vec::new()).1.contains("`x4` and 4 more; 9 faults are"));
    }
}
