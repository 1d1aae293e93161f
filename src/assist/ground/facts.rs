//! What a piece of evidence supports: its facts with their subjects, its words, its moments.

use std::collections::BTreeSet;

use super::read::{Claim, Dimension, Moment, Quantity, Stated, read, stem};
use crate::model::{Evidence, Series, Time, diagnosis::Finding};

/// Facts of one evidence from which others may follow; more would make anything follow.
const MOST_DERIVED: usize = 12;
/// Events of one evidence between which durations may be told.
const MOST_MOMENTS: usize = 8;

/// What one cited evidence supports.
pub(super) struct Facts {
    pub(super) stated: Vec<Stated>,
    /// Exact quantities, beside those in the text.
    pub(super) exact: Vec<Stated>,
    /// Times of events, exactly.
    pub(super) events: Vec<Time>,
    /// All text that may be quoted.
    pub(super) text: String,
    /// All its words, stemmed, in lower case.
    pub(super) words: BTreeSet<String>,
    /// Runbooks and our own records may advise; telemetry and changes only report.
    pub(super) may_advise: bool,
    /// Only runbooks and proposals give commands and addresses: a hypothesis may quote a title.
    pub(super) may_command: bool,
    /// General text whose figures hold for whatever it is applied to.
    pub(super) is_general: bool,
    /// Level before and after, of which entity.
    pub(super) moved: Option<(String, f64, f64)>,
}

/// Words that describe what a kind of finding counts.
fn vocabulary(finding: &Finding) -> &'static [&'static str] {
    match finding {
        Finding::Logs { .. } => {
            &["line", "log", "error", "message", "time", "occurrence", "entr", "event", "warning"]
        }
        Finding::Edge { .. } | Finding::Requests { .. } => {
            &["call", "request", "failed", "failure", "error", "timeout", "successful"]
        }
        Finding::Metric { .. } => &["point", "sample", "level", "value"],
        Finding::Change { .. } => &["deploy", "change", "release", "version"],
        Finding::Incident { .. } | Finding::Record { .. } => {
            &["incident", "alert", "report", "proposal", "change"]
        }
        Finding::Runbook { .. } => &["step"],
    }
}

fn base(value: f64, unit: &str) -> (f64, Dimension) {
    match unit {
        "s" => (value, Dimension::Duration),
        "ms" => (value / 1e3, Dimension::Duration),
        "us" => (value / 1e6, Dimension::Duration),
        "ns" => (value / 1e9, Dimension::Duration),
        "1" => (value * 100.0, Dimension::Percent),
        "%" => (value, Dimension::Percent),
        "By" => (value, Dimension::Bytes),
        _ if unit.ends_with("/s") => (value, Dimension::Rate),
        _ => (value, Dimension::Count),
    }
}

fn exact(value: f64, dimension: Dimension, subjects: &[String], nouns: &[&str]) -> Stated {
    let nouns = nouns.iter().map(|n| (*n).to_owned()).collect();
    let is_difference = false;
    let claim = Claim::Quantity(Quantity { value, half: 0.0, dimension, nouns, is_difference });
    Stated { claim, text: String::new(), subjects: subjects.to_vec() }
}

fn moment(at: Time) -> Moment {
    let text = at.to_string();
    Moment {
        date: Some(text[..10].to_owned()),
        clock: Some(text[11..16].to_owned()),
        seconds: Some(text[17..19].to_owned()),
        ends_range: false,
    }
}

impl Facts {
    /// What the evidence supports; `names` are all known entities.
    pub(super) fn of(e: &Evidence, names: &BTreeSet<String>) -> Self {
        let mut facts = Self {
            stated: Vec::new(),
            exact: Vec::new(),
            events: Vec::new(),
            text: String::new(),
            words: vocabulary(&e.finding).iter().map(|w| (*w).to_owned()).collect(),
            may_advise: false,
            may_command: false,
            is_general: false,
            moved: None,
        };
        let mut subjects: Vec<String> = Vec::new();
        let mut texts = vec![e.summary.clone()];
        match &e.finding {
            Finding::Metric { series, points, expected, before, after, onset, .. } => {
                subjects.push(series.entity.name().to_owned());
                texts.push(series.metric.clone());
                let peak = points.iter().map(|p| p.value).max_by(f64::total_cmp);
                let last = points.last().map(|p| p.value);
                let band = expected.iter().flat_map(|b| [b.low, b.mid, b.high]);
                let levels = [*before, *after].into_iter().chain(band);
                facts.levels(series, &subjects, levels.chain(peak).chain(last).chain(series.limit));
                facts.events.extend(*onset);
                facts.moved = Some((series.entity.name().to_owned(), *before, *after));
            }
            Finding::Logs { template, n, n_before, examples } => {
                subjects.extend(examples.iter().map(|l| l.entity.name().to_owned()));
                texts.push(template.clone());
                texts.extend(examples.iter().map(|l| l.body.clone()));
                let moments = examples.iter().map(|l| Stated {
                    claim: Claim::Moment(moment(l.at)),
                    text: String::new(),
                    subjects: vec![l.entity.name().to_owned()],
                });
                facts.exact.extend(moments);
                let nouns = vocabulary(&e.finding);
                for n in [*n, *n_before] {
                    facts.exact.push(exact(n as f64, Dimension::Count, &subjects, nouns));
                }
            }
            Finding::Edge {
                from,
                to,
                n,
                n_failed,
                mean_ms,
                n_before,
                n_failed_before,
                mean_before_ms,
            } => {
                subjects.extend([from.name().to_owned(), to.name().to_owned()]);
                let calls = &["call", "request"];
                let failed = &["failed", "failure", "error", "call", "request", "timeout"];
                for (n, n_failed, mean_ms) in
                    [(n, n_failed, mean_ms), (n_before, n_failed_before, mean_before_ms)]
                {
                    facts.exact.push(exact(*n as f64, Dimension::Count, &subjects, calls));
                    facts.exact.push(exact(*n_failed as f64, Dimension::Count, &subjects, failed));
                    facts.exact.push(exact(mean_ms / 1e3, Dimension::Duration, &subjects, &[]));
                }
                texts.push("mean".to_owned());
            }
            Finding::Requests { entity, value, n, n_bad, n_others, n_bad_others, .. } => {
                subjects.extend([entity.name().to_owned(), value.clone()]);
                let nouns = vocabulary(&e.finding);
                for (bad, of) in [(n_bad, n), (n_bad_others, n_others)] {
                    let share = 100.0 * *bad as f64 / (*of).max(1) as f64;
                    facts.exact.push(exact(*of as f64, Dimension::Count, &subjects, nouns));
                    facts.exact.push(exact(*bad as f64, Dimension::Count, &subjects, nouns));
                    facts.exact.push(exact(share, Dimension::Percent, &subjects, &[]));
                }
            }
            Finding::Change { change } => {
                subjects.push(change.entity.name().to_owned());
                texts.push(change.title.clone());
                texts.extend(change.diff.iter().cloned());
                texts.extend(change.version.clone());
                texts.extend(change.previous.clone());
                texts.extend(change.author.clone());
                facts.events.push(change.at);
            }
            Finding::Incident { title, fixed_by, .. } => {
                texts.push(title.clone());
                texts.extend(fixed_by.clone());
                facts.may_advise = true;
            }
            Finding::Runbook { id, title, excerpt } => {
                texts.extend([id.clone(), title.clone(), excerpt.clone()]);
                facts.may_advise = true;
                facts.may_command = true;
                facts.is_general = true;
            }
            Finding::Record { id, text } => {
                texts.push(text.clone());
                // Only proposals, diagnoses and runs are our own advice; the rest may quote others.
                facts.may_advise = ["PRP-", "HYP-", "RUN-"].iter().any(|p| id.starts_with(p));
                facts.may_command = id.starts_with("PRP-");
            }
        }
        subjects.sort();
        subjects.dedup();
        facts.take(&texts, &subjects, names);
        facts.dates(e, &subjects);
        facts
    }

    fn levels(&mut self, series: &Series, subjects: &[String], levels: impl Iterator<Item = f64>) {
        for level in levels {
            let (value, dimension) = base(level, &series.unit);
            self.exact.push(exact(value, dimension, subjects, &[]));
        }
    }

    fn take(&mut self, texts: &[String], subjects: &[String], names: &BTreeSet<String>) {
        for line in texts.iter().flat_map(|t| t.lines()) {
            for mut stated in read(line, names) {
                if stated.subjects.is_empty() {
                    stated.subjects = subjects.to_vec();
                }
                self.stated.push(stated);
            }
            let words = line.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_')));
            self.words.extend(words.map(|w| stem(&w.to_lowercase()).to_owned()));
        }
        self.text = texts.join("\n");
        for name in subjects {
            self.text.push('\n');
            self.text.push_str(name);
        }
    }

    /// Events with their exact time; the ends of the range that was looked at only as such.
    fn dates(&mut self, e: &Evidence, subjects: &[String]) {
        for at in &self.events {
            let claim = Claim::Moment(moment(*at));
            let subjects = subjects.to_vec();
            self.exact.push(Stated { claim, text: String::new(), subjects });
        }
        for end in [e.since, e.until] {
            if end > Time::MIN {
                let mut moment = moment(end);
                moment.ends_range = true;
                let claim = Claim::Moment(moment);
                self.exact.push(Stated { claim, text: String::new(), subjects: Vec::new() });
            }
        }
        let told: Vec<Time> = self
            .stated
            .iter()
            .filter_map(|s| match &s.claim {
                Claim::Moment(Moment { date: Some(d), clock: Some(c), seconds, .. }) => {
                    let seconds = seconds.as_deref().unwrap_or("00");
                    Time::parse(&format!("{d}T{c}:{seconds}Z")).ok()
                }
                _ => None,
            })
            .collect();
        self.events.extend(told);
        self.events.sort();
        self.events.dedup();
        self.events.truncate(MOST_MOMENTS);
    }

    /// Every quantity with its subjects: exact ones first.
    pub(super) fn quantities(&self) -> impl Iterator<Item = (&Quantity, &[String])> {
        self.exact.iter().chain(&self.stated).filter_map(|s| match &s.claim {
            Claim::Quantity(q) => Some((q, s.subjects.as_slice())),
            _ => None,
        })
    }

    /// Every moment with its subjects.
    pub(super) fn moments(&self) -> impl Iterator<Item = (&Moment, &[String])> {
        self.exact.iter().chain(&self.stated).filter_map(|s| match &s.claim {
            Claim::Moment(m) => Some((m, s.subjects.as_slice())),
            _ => None,
        })
    }

    /// Quantities from which differences, factors and percentages may follow.
    pub(super) fn derivable(&self) -> Vec<(&Quantity, &[String])> {
        self.quantities().take(MOST_DERIVED).collect()
    }
}
