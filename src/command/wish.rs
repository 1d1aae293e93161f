//! A button with the answers of its form, read into a wish. Pure.

use std::collections::BTreeMap;

use super::{Category, NewIncident, NewSilence, Silences};
use crate::chat::form::{parse_duration, parse_time};
use crate::chat::{Button, Subject, Verb};
use crate::model::{
    HarmlessId, IncidentId, Matcher, ProposalId, Refused, RunId, Severity, SilenceId, Time,
    TuningId, time,
};

/// What precedes a parameter's name in a form.
pub(super) const PARAMETER: &str = "parameter.";
/// The field that says whether a plan with other parameters is approved at once.
pub(super) const THEN: &str = "then";
/// Its value that leaves the approval to somebody else.
pub(super) const CHANGE_ONLY: &str = "change";
/// Most matchers of one silence.
const MOST_MATCHERS: usize = 20;

/// What is wrong with a form's answers, by field.
pub(super) type Faults = BTreeMap<String, String>;

/// What somebody wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wish {
    /// To take an incident.
    Acknowledge(IncidentId),
    /// To know why.
    Why(Subject),
    /// To decide on a proposal.
    Decide { proposal: ProposalId, digest: String, how: Decide, reason: String },
    /// To have a run undone.
    Rollback(RunId),
    /// To give an incident to `via:id`, `me` or `nobody`.
    Assign { incident: IncidentId, to: String },
    /// To end an incident.
    Resolve { incident: IncidentId, category: Category, reason: String },
    /// To open one again.
    Reopen { incident: IncidentId, reason: String },
    /// To fold one into another.
    Merge { from: IncidentId, into: IncidentId, reason: String },
    /// To write into its story.
    Note { incident: IncidentId, text: String },
    /// To silence alerts; the incident is the one that it was asked from.
    Silence { about: Subject, new: NewSilence },
    /// To open an incident.
    Declare(NewIncident),
    /// To end a silence.
    EndSilence(SilenceId),
    /// To apply or decline a proposed change of detection.
    Tune { tuning: TuningId, apply: bool, reason: String },
    /// To confirm or decline a pattern learned to be harmless.
    Hush { pattern: HarmlessId, confirm: bool, reason: String },
}

/// What was decided on a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decide {
    /// Yes, with these parameters (only those that a form asks for).
    Approve(BTreeMap<String, String>),
    /// Not yet: other parameters, for somebody else to approve.
    Change(BTreeMap<String, String>),
    /// Later.
    Schedule(Time),
    /// No.
    Ignore,
}

/// Reads a button's code.
pub(super) fn button(code: &str) -> Result<Button, Refused> {
    Button::parse(code).map_err(|bad| Refused::Invalid(format!("No such button: {bad}.")))
}

/// Reads the answers of a button's form. `now` is event time.
///
/// # Errors
/// What is wrong, by field.
pub(super) fn read(
    button: &Button,
    values: &BTreeMap<String, String>,
    silences: &Silences,
    now: Time,
) -> Result<Wish, Faults> {
    let mut form = Answers { values, faults: Faults::new() };
    let wish = match (button.verb, button.subject) {
        (Verb::Acknowledge, Subject::Incident(id)) => Some(Wish::Acknowledge(id)),
        (Verb::Why, subject) => Some(Wish::Why(subject)),
        (Verb::Rollback, Subject::Run(id)) => Some(Wish::Rollback(id)),
        (Verb::Approve | Verb::Schedule | Verb::Ignore, Subject::Proposal(proposal)) => {
            let digest = button.digest.clone().unwrap_or_default();
            let how = match button.verb {
                Verb::Approve if form.text(THEN) == CHANGE_ONLY => {
                    Some(Decide::Change(form.parameters()))
                }
                Verb::Approve => Some(Decide::Approve(form.parameters())),
                Verb::Schedule => form.time("at", now).map(Decide::Schedule),
                _ => Some(Decide::Ignore),
            };
            let reason = form.text("reason");
            how.map(|how| Wish::Decide { proposal, digest, how, reason })
        }
        (Verb::Silence, about) => form.silence(silences).map(|new| Wish::Silence { about, new }),
        (Verb::EndSilence, Subject::Silence(id)) => Some(Wish::EndSilence(id)),
        (Verb::Apply | Verb::Decline, Subject::Tuning(tuning)) => {
            let (apply, reason) = (button.verb == Verb::Apply, form.text("reason"));
            Some(Wish::Tune { tuning, apply, reason })
        }
        (Verb::Apply | Verb::Decline, Subject::Harmless(pattern)) => {
            let (confirm, reason) = (button.verb == Verb::Apply, form.text("reason"));
            Some(Wish::Hush { pattern, confirm, reason })
        }
        (Verb::Declare, _) => form.declare().map(Wish::Declare),
        (verb, Subject::Incident(incident)) => form.incident(verb, incident),
        // `Button::parse` lets no other pair through.
        _ => None,
    };
    match wish {
        Some(wish) if form.faults.is_empty() => Ok(wish),
        _ => Err(form.faults),
    }
}

/// The answers of a form, and what is wrong with them.
struct Answers<'a> {
    values: &'a BTreeMap<String, String>,
    faults: Faults,
}

impl Answers<'_> {
    fn text(&self, name: &str) -> String {
        self.values.get(name).map_or_else(String::new, |text| text.trim().to_owned())
    }

    fn wrong(&mut self, name: &str, why: impl Into<String>) {
        self.faults.insert(name.to_owned(), why.into());
    }

    fn required(&mut self, name: &str, ask: &str) -> Option<String> {
        let text = self.text(name);
        if text.is_empty() {
            self.wrong(name, ask);
            return None;
        }
        Some(text)
    }

    fn time(&mut self, name: &str, now: Time) -> Option<Time> {
        let text = self.required(name, "Say when, for example in 30 min.")?;
        match parse_time(&text, now) {
            Ok(at) if at > now => Some(at),
            Ok(_) => {
                self.wrong(name, format!("That is past; it is {} now.", now.minute_text()));
                None
            }
            Err(why) => {
                self.wrong(name, sentence(&why));
                None
            }
        }
    }

    fn parameters(&self) -> BTreeMap<String, String> {
        let own = self.values.iter().filter_map(|(name, value)| {
            Some((name.strip_prefix(PARAMETER)?.to_owned(), value.trim().to_owned()))
        });
        own.collect()
    }

    fn silence(&mut self, policy: &Silences) -> Option<NewSilence> {
        let text = self.text("matchers");
        let mut matchers = Vec::new();
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
            match line.parse::<Matcher>() {
                Ok(matcher) => matchers.push(matcher),
                Err(why) => self.wrong("matchers", sentence(&why)),
            }
        }
        if text.is_empty() {
            self.wrong("matchers", "Say which alerts, for example service=\"checkout\".");
        } else if matchers.len() > MOST_MATCHERS {
            self.wrong("matchers", format!("A silence has at most {MOST_MATCHERS} matchers."));
        }
        let length = self.required("duration", "Say for how long, for example 2 h.");
        let duration_ms = length.and_then(|text| match parse_duration(&text) {
            Ok(ms) if (time::MINUTE_MS..=policy.longest_ms(false)).contains(&ms) => Some(ms),
            Ok(_) => {
                let most = super::silences::hours(policy.longest_ms(false));
                self.wrong("duration", format!("A silence lasts between one minute and {most}."));
                None
            }
            Err(why) => {
                self.wrong("duration", sentence(&why));
                None
            }
        });
        let reason = self.required("reason", "Say why; the reason is shown with the silence.")?;
        let duration_ms = duration_ms?;
        Some(NewSilence { matchers, starts_at: None, duration_ms, reason, maintenance: false })
    }

    fn declare(&mut self) -> Option<NewIncident> {
        let title = self.required("title", "Say in one line what users feel.");
        let severity = match self.text("severity").as_str() {
            "" | "critical" => Severity::Critical,
            "warning" => Severity::Warning,
            "info" => Severity::Info,
            _ => {
                self.wrong("severity", "Choose critical, warning or info.");
                return None;
            }
        };
        let service = Some(self.text("service")).filter(|name| !name.is_empty());
        Some(NewIncident { title: title?, service, severity, text: self.text("text") })
    }

    fn incident(&mut self, verb: Verb, incident: IncidentId) -> Option<Wish> {
        let reason = self.text("reason");
        Some(match verb {
            Verb::Assign => {
                Wish::Assign { incident, to: self.required("to", "Choose who gets it.")? }
            }
            Verb::Resolve => {
                let word = self.text("category");
                let found = Category::ALL.iter().find(|(c, _)| c.as_str() == word);
                let category = match found {
                    Some((category, _)) => *category,
                    None if word.is_empty() => Category::Fixed,
                    None => {
                        self.wrong("category", "Choose one of the list.");
                        return None;
                    }
                };
                Wish::Resolve { incident, category, reason }
            }
            Verb::NotAnIncident => {
                Wish::Resolve { incident, category: Category::NotAnIncident, reason }
            }
            Verb::Reopen => Wish::Reopen { incident, reason },
            Verb::Merge => {
                let into = self.required("into", "Choose the incident that goes on.")?;
                let Ok(into) = into.parse() else {
                    self.wrong("into", "Choose one of the list.");
                    return None;
                };
                Wish::Merge { from: incident, into, reason }
            }
            Verb::Note => Wish::Note { incident, text: self.required("text", "Write something.")? },
            // The others were read before.
            _ => return None,
        })
    }
}

/// A reason as a sentence.
fn sentence(reason: &str) -> String {
    let mut shown: String = reason.chars().take(200).collect();
    if !shown.ends_with('.') {
        shown.push('.');
    }
    shown
}
