//! The alert budget in the HTML report: day by day, and what the next units would buy.

use std::fmt::Write as _;

use super::super::report::Side;
use super::super::spending::{chance, per_day};
use super::escaped;

/// Days shown, the newest.
const DAYS: usize = 35;

/// The budget of a configuration; nothing where it was asked for nothing.
pub(super) fn budget(out: &mut String, of: &str, side: &Side) {
    let Some(spending) = &side.figures.budget else { return };
    let days = &spending.books.days;
    if days.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "<h2>Alert budget{}</h2><table><tr><th>day (UTC)</th><th class=\"n\">on the budget</th>\
         <th class=\"n\">reserved</th><th class=\"n\">joined</th><th class=\"n\">held back</th></tr>",
        escaped(of)
    );
    for day in days.iter().rev().take(DAYS) {
        let _ = write!(
            out,
            "<tr><td class=\"t\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            &day.since.minute_text()[..10],
            day.ordinary,
            day.reserved,
            day.joined,
            day.held
        );
    }
    out.push_str("</table>");
    if spending.next.is_empty() {
        return;
    }
    out.push_str(
        "<p class=\"soft\">Held back on the last day, the nearest to being told first: what a \
         greater budget would buy.</p><table><tr><th>time</th><th>whose</th>\
         <th class=\"n\">chance</th><th class=\"n\">needed</th><th class=\"n\">told at a day</th></tr>",
    );
    for near in &spending.next {
        let _ = write!(
            out,
            "<tr><td class=\"t\">{}</td><td>{} {}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td></tr>",
            near.at.minute_text(),
            escaped(near.entity.name()),
            escaped(&near.what),
            chance(near.surprise),
            chance(near.needed),
            per_day(near.would_need_per_day)
        );
    }
    out.push_str("</table>");
}
