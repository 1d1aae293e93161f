//! The tables of the HTML report.

use std::fmt::Write as _;

use super::super::differ::Difference;
use super::super::report::{Report, Side, end_of, told};
use super::super::text::{figures_text, score_text, severity_word};
use super::super::truth::Score;
use super::{ROWS, escaped};
use crate::model::figure::count_text;
use crate::model::time::duration_text;
use crate::model::{Incident, Time, figure};

/// The figures of one or two configurations side by side.
pub(super) fn figures(out: &mut String, report: &Report) {
    out.push_str("<h2>What would have been told</h2><table class=\"figures\"><tr><th></th>");
    let named = report.sides.len() > 1;
    for (letter, side) in ['A', 'B'].into_iter().zip(&report.sides) {
        let name = escaped(&side.outcome.name);
        let text = if named { format!("{letter}: {name}") } else { name };
        let _ = write!(out, "<th>{text}</th>");
    }
    out.push_str("</tr><tr><th>time</th>");
    for side in &report.sides {
        let o = &side.outcome;
        let _ = write!(
            out,
            "<td>{} to {} ({})</td>",
            o.since.minute_text(),
            o.until.minute_text(),
            duration_text(o.until.ms_since(o.since))
        );
    }
    out.push_str("</tr>");
    let lines: Vec<Vec<String>> = report.sides.iter().map(|s| figures_text(&s.figures)).collect();
    for i in 0..lines.first().map_or(0, Vec::len) {
        let head = lines[0][i].split_whitespace().next().unwrap_or_default();
        let _ = write!(out, "<tr><th>{head}</th>");
        for side in &lines {
            let value = side[i].split_once(' ').map_or("", |(_, rest)| rest.trim());
            let _ = write!(out, "<td>{}</td>", escaped(value));
        }
        out.push_str("</tr>");
    }
    let anomalies = report.sides.iter().map(|s| s.anomalies.as_ref()).collect();
    labelled(out, "anomalies against labels", anomalies);
    let incidents = report.sides.iter().map(|s| s.incidents.as_ref()).collect();
    labelled(out, "incidents against labels", incidents);
    out.push_str("<tr><th>points</th>");
    for side in &report.sides {
        let c = &side.outcome.counts;
        let _ = write!(
            out,
            "<td>{} judged, {} late, {} twice at one time, {} ahead of time, {} not finite</td>",
            count_text(c.judged),
            count_text(c.late),
            count_text(c.duplicate),
            count_text(c.future),
            count_text(c.not_finite)
        );
    }
    out.push_str("</tr></table>");
}

/// A line of how well it was told; nothing where nothing is labelled.
fn labelled(out: &mut String, head: &str, scores: Vec<Option<&Score>>) {
    if scores.iter().all(Option::is_none) {
        return;
    }
    let _ = write!(out, "<tr><th>{head}</th>");
    for score in scores {
        let _ =
            write!(out, "<td>{}</td>", score.map_or(String::new(), |s| escaped(&score_text(s))));
    }
    out.push_str("</tr>");
}

/// All incidents of a configuration.
pub(super) fn incidents(out: &mut String, of: &str, side: &Side) {
    let all = &side.outcome.incidents;
    let _ = write!(out, "<h2>Incidents{}</h2>", escaped(of));
    if all.is_empty() {
        out.push_str("<p>None would have been opened.</p>");
        return;
    }
    out.push_str(
        "<table><tr><th class=\"n\">no.</th><th>onset</th><th class=\"n\">told after</th>\
         <th class=\"n\">lasted</th><th>severity</th><th>what</th><th>who</th>\
         <th class=\"n\">alerts</th></tr>",
    );
    for incident in all.iter().take(ROWS) {
        let names: Vec<&str> = incident.entities.iter().take(6).map(|e| e.name()).collect();
        let rest = incident.entities.len().saturating_sub(names.len());
        let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let severity = severity_word(incident.severity);
        let _ = write!(
            out,
            "<tr><td class=\"n\">{}</td><td class=\"t\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"{severity}\">{severity}</td><td class=\"w\">{}</td>\
             <td class=\"s\">{}{rest}</td><td class=\"n\">{}</td></tr>",
            incident.number,
            incident.onset_at.minute_text(),
            duration_text(incident.opened_at.ms_since(incident.onset_at)),
            lasted(incident, side.outcome.until),
            escaped(&incident.title),
            escaped(&names.join(", ")),
            incident.alerts.len()
        );
    }
    out.push_str("</table>");
    cut(out, all.len());
}

fn lasted(incident: &Incident, until: Time) -> String {
    match end_of(incident) {
        Some(end) => duration_text(end.ms_since(incident.onset_at)),
        None => format!("over {}", duration_text(until.ms_since(incident.onset_at))),
    }
}

/// All anomalies of a configuration.
pub(super) fn anomalies(out: &mut String, side: &Side) {
    let score = side.anomalies.as_ref();
    let head = if score.is_some() { "<th>label</th>" } else { "" };
    let _ = write!(
        out,
        "<table><tr><th>since</th><th class=\"n\">told after</th><th class=\"n\">lasted</th>\
         <th>whose</th><th class=\"n\">score</th><th>detector</th>{head}<th>why</th></tr>"
    );
    let events = told(&side.outcome);
    for (i, (claim, event)) in side.outcome.claims.iter().zip(&events).take(ROWS).enumerate() {
        let a = &claim.anomaly;
        let series = event.topics.first().and_then(|t| t.series.as_ref());
        let whose = series.map_or(a.subject.entity().name().to_owned(), |(metric, _)| {
            format!("{} {metric}", a.subject.entity().name())
        });
        let label = match score {
            Some(s) if s.wrong.binary_search(&i).is_ok() => "<td class=\"wrong t\">no fault</td>",
            Some(s) if s.right.binary_search(&i).is_ok() => "<td class=\"right t\">fault</td>",
            Some(_) => "<td class=\"t\">no label</td>",
            None => "",
        };
        let _ = write!(
            out,
            "<tr><td class=\"t\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}{}</td>\
             <td class=\"s\">{}</td><td class=\"n\">{}</td><td class=\"t\">{}</td>{label}\
             <td>{}</td></tr>",
            a.since.minute_text(),
            duration_text(claim.told_at.ms_since(a.since)),
            if a.until.is_some() { "" } else { "over " },
            duration_text(event.until.ms_since(a.since)),
            escaped(&whose),
            figure(a.score, ""),
            escaped(&a.detector),
            escaped(&a.why)
        );
    }
    out.push_str("</table>");
    cut(out, side.outcome.claims.len());
}

/// Faults that nothing told of.
pub(super) fn missed(out: &mut String, of: &str, side: &Side) {
    let Some(score) = side.anomalies.as_ref().filter(|s| !s.missed.is_empty()) else { return };
    let _ = write!(
        out,
        "<h2>Faults that no anomaly told of{}</h2><table><tr><th>from</th><th>to</th><th>whose</th></tr>",
        escaped(of)
    );
    for (name, from, to) in score.missed.iter().take(ROWS) {
        let _ = write!(
            out,
            "<tr><td class=\"t\">{}</td><td class=\"t\">{}</td><td>{}</td></tr>",
            from.minute_text(),
            to.minute_text(),
            escaped(name)
        );
    }
    out.push_str("</table>");
    cut(out, score.missed.len());
}

/// What only one of two configurations would have told.
pub(super) fn difference(out: &mut String, report: &Report) {
    let (Some(d), [a, b]) = (&report.difference, report.sides.as_slice()) else { return };
    out.push_str(
        "<h2>The difference</h2><table><tr><th></th><th class=\"n\">only A</th>\
         <th class=\"n\">only B</th><th class=\"n\">both</th><th class=\"n\">A earlier</th>\
         <th class=\"n\">B earlier</th></tr>",
    );
    for (what, d) in [("anomalies", &d.anomalies), ("incidents", &d.incidents)] {
        let (earlier, later) = d.earlier_later();
        let _ = write!(
            out,
            "<tr><th>{what}</th><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{earlier}</td><td class=\"n\">{later}</td></tr>",
            d.only_a.len(),
            d.only_b.len(),
            d.both.len()
        );
    }
    out.push_str("</table>");
    single(out, &d.incidents, a, b);
}

fn single(out: &mut String, d: &Difference, a: &Side, b: &Side) {
    if d.only_a.is_empty() && d.only_b.is_empty() {
        return;
    }
    out.push_str(
        "<p></p><table><tr><th>incident only in</th><th>onset</th><th class=\"n\">lasted</th>\
         <th>what</th></tr>",
    );
    for (letter, side, places) in [('A', a, &d.only_a), ('B', b, &d.only_b)] {
        for place in places.iter().take(ROWS) {
            let incident = &side.outcome.incidents[*place];
            let _ = write!(
                out,
                "<tr><td>{letter} #{}</td><td class=\"t\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
                incident.number,
                incident.onset_at.minute_text(),
                lasted(incident, side.outcome.until),
                escaped(&incident.title)
            );
        }
    }
    out.push_str("</table>");
}

/// What could not be read, and what was taken in spite of its form.
pub(super) fn unread(out: &mut String, report: &Report) {
    let read = &report.read;
    let failures = read.failures.iter().map(|f| {
        let line = f.line.map_or(String::new(), |l| format!(" line {l}"));
        format!("{}{line}: {}", f.file.display(), f.text)
    });
    for (head, all) in [
        ("Not read", read.gaps.iter().cloned().chain(failures).collect::<Vec<_>>()),
        ("Remarks", read.notes.clone()),
    ] {
        if all.is_empty() {
            continue;
        }
        let _ = write!(out, "<h2>{head}</h2><ul>");
        for text in all.iter().take(ROWS) {
            let _ = write!(out, "<li>{}</li>", escaped(text));
        }
        out.push_str("</ul>");
        cut(out, all.len());
    }
}

fn cut(out: &mut String, n: usize) {
    if n > ROWS {
        let _ = write!(out, "<p class=\"soft\">The first {ROWS} of {n}; --json has all.</p>");
    }
}
