//! Who may follow, in the fewest words. Pure.

use std::collections::BTreeMap;

use super::history::History;
use crate::diagnose::course::names;
use crate::model::diagnosis::{Expected, FollowBasis, FollowLag, Follower, LagBasis};
use crate::model::figure::{count_text, figure};
use crate::model::time::{HOUR_MS, duration_text};
use crate::model::{EntityRef, Time};

/// Followers that get a sentence of their own.
const MOST_TOLD: usize = 3;
/// Least chance to get one.
const WORTH: f64 = 0.1;
/// Least chance to be told in the thread.
const LIKELY: f64 = 0.5;
/// Fewest requests a second that are told of.
const LEAST_RATE: f64 = 0.05;
/// Times that may be so far away (ms) are told with their day.
const HALF_A_DAY_MS: i64 = 12 * HOUR_MS;
/// Business series that are told.
const MOST_BUSINESS: usize = 2;

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Whole numbers from ten on: more is not known.
fn rounded(rate: f64) -> String {
    figure(if rate >= 10.0 { rate.round() } else { rate }, "")
}

/// `2 to 6 min`, `40 s to 3 min`.
fn range(low_ms: i64, high_ms: i64) -> String {
    let (low, high) = (duration_text(low_ms), duration_text(high_ms));
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((n, a)), Some((_, b))) if a == b => format!("{n} to {high}"),
        _ => format!("{low} to {high}"),
    }
}

/// A time, with its day where it takes long.
fn minute(at: Time, lag: Option<&FollowLag>) -> String {
    if lag.is_some_and(|lag| lag.high_ms >= HALF_A_DAY_MS) {
        return at.minute_text();
    }
    format!("{} UTC", at.clock_text().get(..5).unwrap_or_default())
}

fn lag(lag: &FollowLag) -> String {
    let after =
        format!("{} after it ({})", duration_text(lag.median_ms), range(lag.low_ms, lag.high_ms));
    match lag.basis {
        LagBasis::History if lag.n == 1 => format!("that time {after}"),
        LagBasis::History => format!("usually {after}"),
        LagBasis::Spread => format!("as fast as it spread so far {after}"),
        LagBasis::Site => format!("as fast as others here {after}"),
    }
}

/// What backs the chance.
fn because(f: &Follower) -> String {
    match f.basis {
        FollowBasis::History => {
            let times = if f.n_times == 1 { "time" } else { "times" };
            format!("it did {} of {} {times}", f.n_followed, f.n_times)
        }
        FollowBasis::Calls => {
            let share = percent(f.call_ratio.unwrap_or_default());
            let hurt = percent(f.hurt_ratio.unwrap_or_default());
            if f.since.is_some() {
                format!(
                    "{share} of its requests call it, {hurt} of these calls are worse than before"
                )
            } else {
                format!("{share} of its requests call it")
            }
        }
        FollowBasis::Unknown => "nothing tells how likely".to_owned(),
    }
}

/// What backs chance and time, where the other is named beside it.
pub(super) fn backing(f: &Follower) -> String {
    let after = f.lag.as_ref().map(|l| format!("; {}", lag(l))).unwrap_or_default();
    format!("after {}: {}{after}", f.through.name(), because(f))
}

/// All that is told of one.
pub(super) fn sentence(f: &Follower) -> String {
    let (name, other) = (f.entity.name(), f.through.name());
    let Some(chance) = f.chance else {
        return format!("{name} may follow {other}; how likely is not known.");
    };
    let mut text = format!("{name} may follow {other}: {} ({}", percent(chance.mean), because(f));
    let first = f.chance_at_first.filter(|first| f.since.is_some() && first - chance.mean >= 0.1);
    if let Some(first) = first {
        text.push_str(&format!("; {} at first", percent(first)));
    }
    text.push(')');
    if f.since.is_none() {
        text.push_str(&format!(", if {other} does"));
    }
    match (&f.lag, f.expected_at) {
        (Some(told), _) if f.overdue => {
            let would = if f.since.is_some() { "it" } else { other };
            text.push_str(&format!("; {}, {would} would have followed by now.", lag(told)));
        }
        (Some(told), Some(at)) => {
            text.push_str(&format!(", {}, about {}.", lag(told), minute(at, Some(told))));
        }
        (Some(told), None) => text.push_str(&format!(", {}.", lag(told))),
        (None, _) => text.push_str("; when is not known."),
    }
    text
}

/// The likeliest each, then the others together, then those of whom it is not known.
pub(super) fn told(followers: &[Follower], not_judged: usize) -> Vec<String> {
    let chance = |f: &Follower| f.chance.map(|c| c.mean);
    let (known, unknown): (Vec<&Follower>, Vec<&Follower>) =
        followers.iter().partition(|f| f.chance.is_some());
    let single =
        known.iter().take(MOST_TOLD).take_while(|f| chance(f).is_some_and(|c| c >= WORTH)).count();
    let mut found: Vec<String> = known[..single].iter().map(|f| f.text.clone()).collect();
    if let [first, ..] = &known[single..] {
        let rest: Vec<&EntityRef> = known[single..].iter().map(|f| &f.entity).collect();
        let (each, too) =
            (if rest.len() > 1 { "each " } else { "" }, if single > 0 { " too" } else { "" });
        found.push(format!(
            "{} may follow{too}, {each}with at most {}.",
            names(&rest),
            percent(chance(first).unwrap_or_default())
        ));
    }
    if !unknown.is_empty() {
        let rest: Vec<&EntityRef> = unknown.iter().map(|f| &f.entity).collect();
        let (depend, show, are) = if rest.len() == 1 && not_judged == 0 {
            ("depends", "shows", "it is")
        } else {
            ("depend", "show", "they are")
        };
        let more = if not_judged > 0 {
            format!(" and {} others", count_text(not_judged as u64))
        } else {
            String::new()
        };
        found.push(format!(
            "{}{more} {depend} on the likely cause and {show} no trouble yet; how likely {are} to \
             follow is not known.",
            names(&rest)
        ));
    } else if not_judged > 0 {
        found.push(format!(
            "{} more depend on the likely cause and show no trouble yet.",
            count_text(not_judged as u64)
        ));
    }
    found
}

/// Who is more likely to follow than not, with the time, for the thread; those overdue are no news.
pub(in crate::diagnose) fn likely(followers: &[Follower]) -> Option<String> {
    let each = |f: &Follower| {
        let chance = f.chance.filter(|c| c.mean >= LIKELY && !f.overdue)?;
        let about = |at| format!(", about {}", minute(at, f.lag.as_ref()));
        let at = f.expected_at.map_or_else(String::new, about);
        Some(format!("{} ({}{at})", f.entity.name(), percent(chance.mean)))
    };
    let all: Vec<String> = followers.iter().filter_map(each).take(MOST_TOLD).collect();
    (!all.is_empty()).then(|| format!("Likely to follow if it goes on: {}.", all.join(", ")))
}

/// How many requests of users are touched besides, on average and within which bounds.
pub(super) fn users(all: Expected, touched: &[(EntityRef, f64)]) -> Option<String> {
    let rate: f64 = touched.iter().map(|(_, rate)| rate).sum();
    let at: Vec<&EntityRef> = touched.iter().map(|(e, _)| e).collect();
    (all.mean >= LEAST_RATE).then(|| {
        format!(
            "By these chances {} of the {} requests/s of users at {} would be touched besides ({} to \
             {}).",
            rounded(all.mean),
            rounded(rate),
            names(&at),
            rounded(all.low),
            rounded(all.high)
        )
    })
}

/// The series that an entry about business is about, and its name.
fn series_of<'a>(subject: &'a str, text: &'a str) -> Option<(&'a str, &'a str)> {
    let id = subject.strip_prefix("impact ")?.split(' ').next()?;
    let end = [" fell ", " rose "].iter().filter_map(|word| text.find(word)).min()?;
    Some((id, &text[..end]))
}

/// Business series that followed in earlier incidents in which the cause was in trouble, and of which
/// nothing was told in this one.
pub(super) fn business(history: &History, cause: &EntityRef, told: &[String]) -> Vec<String> {
    let with_cause: Vec<_> =
        history.all.iter().filter(|e| e.troubles.contains_key(cause)).collect();
    // By series: how often, and what was told last. An incident counts once.
    let mut found: BTreeMap<&str, (usize, &str, &str)> = BTreeMap::new();
    for one in &with_cause {
        let mut here = BTreeMap::new();
        for (subject, text) in &one.business {
            if let Some((id, name)) = series_of(subject, text) {
                let what = text[name.len()..].split(';').next().unwrap_or_default();
                here.insert(id, (name, what));
            }
        }
        for (id, (name, text)) in here {
            found.entry(id).or_insert((0, name, text)).0 += 1;
        }
    }
    let is_new = |name: &str| !told.iter().any(|t| t.starts_with(name));
    let mut found: Vec<_> = found.into_values().filter(|(_, name, _)| is_new(name)).collect();
    found.sort_by_key(|(n, name, _)| (usize::MAX - n, *name));
    let line = |(n, name, text): &(usize, &str, &str)| {
        format!(
            "{name} followed in {n} of {} earlier incidents with {} in trouble; the last time it{text}.",
            with_cause.len(),
            cause.name()
        )
    };
    found.iter().take(MOST_BUSINESS).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::MINUTE_MS;

    #[test]
    fn ranges_name_a_common_unit_once() {
        assert_eq!(range(2 * MINUTE_MS, 6 * MINUTE_MS), "2 to 6 min");
        assert_eq!(range(40_000, 3 * MINUTE_MS), "40 s to 3 min");
        assert_eq!(range(2 * 3_600_000, 3 * 3_600_000 + MINUTE_MS), "2 h 0 min to 3 h 1 min");
    }
}
