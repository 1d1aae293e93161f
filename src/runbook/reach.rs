//! What each action would touch, as far as that is known without an incident: for `check`, which
//! holds it against the executors' allow-lists.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::Library;
use super::render::fill;
use super::schema::ExecutorKind;

/// What one action would touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Runbook and action, as `runbook/action`.
    pub action: String,
    /// Which executor carries it out.
    pub executor: ExecutorKind,
    /// `POST http://host/path`, a program's path, or `nothing`. What is only known in an incident
    /// is written `*`. Otherwise why the action can't be offered: a setting is missing.
    pub touches: Result<String, String>,
}

/// One `{{ … }}` that is no setting.
static OTHER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{\s*([a-z_]+)[^}]*\}\}").expect("a valid expression"));

impl Library {
    /// What every action would touch with these settings, in the order of runbooks and actions.
    #[must_use]
    pub fn reach(&self, settings: &BTreeMap<String, String>) -> Vec<Reach> {
        let mut all = Vec::new();
        for runbook in self.iter() {
            for action in &runbook.front.actions {
                let touches = match (&action.http, &action.command) {
                    (Some(http), _) => {
                        address(&http.url, settings).map(|url| format!("{} {url}", http.method))
                    }
                    (_, Some(command)) => Ok(command.program.clone()),
                    _ => Ok("nothing".to_owned()),
                };
                all.push(Reach {
                    action: format!("{}/{}", runbook.front.id, action.id),
                    executor: action.executor,
                    touches,
                });
            }
        }
        all
    }
}

fn address(url: &str, settings: &BTreeMap<String, String>) -> Result<String, String> {
    let wanted: BTreeSet<String> = super::render::names_in(url)?
        .into_iter()
        .filter_map(|name| name.strip_prefix("settings.").map(str::to_owned))
        .collect();
    if let Some(missing) = wanted.iter().find(|name| !settings.contains_key(*name)) {
        return Err(format!(
            "`{missing}` is not set; set it in [runbooks.settings], or the action is never offered"
        ));
    }
    let known = OTHER.replace_all(url, |found: &regex::Captures<'_>| {
        if &found[1] == "settings" { found[0].to_owned() } else { "*".to_owned() }
    });
    fill(&known, settings).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_known_in_an_incident_is_a_star() {
        let settings = BTreeMap::from([("base".to_owned(), "https://ops.example".to_owned())]);
        let url = "{{ settings.base }}/x/{{ target.name | segment }}/{{ params.a|segment }}";
        assert_eq!(address(url, &settings).as_deref(), Ok("https://ops.example/x/*/*"));
        insta::assert_snapshot!(address(url, &BTreeMap::new()).expect_err("not set"), @"`base` is not set; set it in [runbooks.settings], or the action is never offered");
    }
}
