//! The course of an incident on its card: what the likely cause's score is made of, the steps to what
//! users feel, whom it touches.

use super::card::{Facts, list};
use crate::chat::{Block, Item};
use crate::model::Hypothesis;
use crate::model::diagnosis::CourseStep;

/// Steps and sentences of each list on a card.
const MOST_LINES: usize = 5;
/// Of these, for what is ahead if there is anything: it is the part that somebody can still prevent.
const LEAST_AHEAD: usize = 2;

/// How it came about, where a likely cause is told.
pub(super) fn came_about(facts: &Facts) -> Option<Block> {
    let diagnosis = facts.diagnosis.as_ref().filter(|d| d.conclusive && d.steps.len() > 1)?;
    let opened = facts.incident.opened_at;
    let step = |s: &CourseStep| Item::plain(format!("{} UTC {}", s.at.clock_near(opened), s.text));
    list("How it came about", diagnosis.steps.iter().take(MOST_LINES).map(step).collect())
}

/// Whom it touches and what is ahead.
pub(super) fn touched(facts: &Facts) -> Option<Block> {
    let reach = &facts.diagnosis.as_ref()?.reach;
    let now = reach.users.iter().chain(&reach.business);
    let ahead = reach.forecasts.len().min(LEAST_AHEAD);
    let all = now.take(MOST_LINES - ahead).chain(&reach.forecasts).take(MOST_LINES);
    list("Whom it touches", all.map(Item::plain).collect())
}

/// The parts of a score, each kind once, greatest first.
pub(super) fn made_of(hypothesis: &Hypothesis) -> Option<String> {
    let mut kinds: Vec<(&str, f64)> = Vec::new();
    for part in &hypothesis.parts {
        match kinds.iter_mut().find(|(name, _)| *name == part.name) {
            Some((_, sum)) => *sum += part.contribution,
            None => kinds.push((&part.name, part.contribution)),
        }
    }
    kinds.retain(|(_, sum)| sum.abs() >= 0.05);
    kinds.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then_with(|| a.0.cmp(b.0)));
    let score: f64 = hypothesis.parts.iter().map(|p| p.contribution).sum();
    let each: Vec<String> = kinds.iter().map(|(name, sum)| format!("{name} {sum:+.1}")).collect();
    (!each.is_empty()).then(|| format!("Score {score:.1}: {}.", each.join(", ")))
}
