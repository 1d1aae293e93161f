//! Runbooks: Markdown for people with actions for machines in its YAML front matter.
//!
//! A file `runbooks/<id>.md` starts with `---`, the front matter ([`schema::FrontMatter`]), `---`,
//! then the steps for people. Unknown keys are refused; all mistakes of all files are told at once
//! with file and line. Keys:
//!
//! ```yaml
//! id: connection-pool-exhausted        # = file name
//! title: Database connection pool exhausted
//! services: [orders, "pay*"]           # names of entities, * for anything; left out: any
//! matchers:                            # at least one; each that holds makes the match stronger
//!   - hypothesis: saturation           # the hypothesis' pattern
//!   - change: deploy                   # kind of the change that the hypothesis names
//!   - alert: alertname=~".*[Pp]ool.*"  # labels of one of the alerts, as in Alertmanager
//!   - indicator: saturation            # indicator of one of the alerts
//!   - log: "pool .*exhausted"          # regular expression on the log templates that matter
//!   - entity: service.name             # attribute that names the hypothesis' entity
//! only_if:                           # may be left out; else one of these must hold
//!   - log: "pool .*exhausted"
//! not_if:                            # may be left out; else none of these may hold
//!   - log: "sequential scan"
//! actions:
//!   - id: restore-concurrency
//!     title: Set {{ target.name }} worker concurrency to {{ params.to }}
//!     executor: http                   # http | command | dry-run
//!     target: "service.name={{ change.entity.name }}"  # left out: the hypothesis' entity
//!     parameters:
//!       - name: to
//!         description: Workers for each instance
//!         type: integer                # string (pattern) | integer (min, max) | choice (choices)
//!         default: "16"                # a template; left out: a person must say
//!         min: 1
//!         max: 64
//!     http:                            # for http; for command: program (whole path), args
//!       method: POST                   # POST | PUT | PATCH | DELETE
//!       url: "{{ settings.admin_url }}/admin/services/{{ target.name | segment }}/config"
//!       headers: { authorization: "Bearer ${shop_token}" }  # ${…}: secrets, by the executor
//!       body: '{"key":"worker_concurrency","value":{{ params.to | tojson }}}'
//!       timeout: 10s
//!     observe:                         # a GET that reads the target's state before the plan
//!       url: "{{ settings.admin_url }}/admin/services/{{ target.name | segment }}"
//!       keys: [version, worker_concurrency]
//!     risk: low                        # low | medium | high
//!     expected_effect: Pool wait returns to its band within two minutes.
//!     lasts: for-good                  # for-good (the default) | for-a-while (it buys time)
//!     verify: { after: 60s, window: 2m }
//!     rollback:                        # an action of this file, from the state before
//!       action: restore-concurrency
//!       parameters: { to: "{{ target.state.worker_concurrency }}" }
//!     requires: { role: approver, approvals: 1 }   # may only add to the policy
//! preconditions: [The pool has waiters now.]
//! verification: Waiters fall to 0 and p99 to its band.
//! rollback: Set the old value again.
//! owner: payments team
//! reviewed: 2026-11-02
//! ```
//!
//! Templates (minijinja) are strict: naming what is not known is refused instead of being left
//! empty. They may name `incident.{id,number,title}`, `hypothesis.{entity,pattern,statement}`,
//! `change.{kind,entity,title,version,previous,author,url,attributes}`,
//! `target.{attribute,name,state}` (`state`: what `observe` read), `service` (the service nearest to
//! the cause), `params`, `settings` (`[runbooks.settings]` of the configuration). An `entity` has `attribute` and `name`. The filter
//! `segment` keeps a value one segment of an address; use it on everything that goes into a path,
//! and `tojson` on everything that goes into a JSON body.
//!
//! Text of runbooks is data: it never widens what an executor allows.

mod check;
mod parse;
mod reach;
mod render;
pub mod schema;
mod select;
mod shape;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use parse::{Mistake, Mistakes, parse};
pub use reach::Reach;
pub use render::{Undo, observe, parameters, plan, render_action, rollback, target, title};
pub use select::{Match, Situation};

use crate::model::Fault;
use crate::store::{Document, Store};
use schema::{Action, FrontMatter};

macro_rules! shipped {
    ($($file:literal)*) => {
        &[$(($file, include_str!(concat!("../../runbooks/", $file)))),*]
    };
}

/// The runbooks that are shipped, by file name. A file of the same id in a configured folder
/// takes the shipped one's place.
const SHIPPED: &[(&str, &str)] = shipped! {
    "certificate-expired.md"
    "connection-pool-exhausted.md"
    "cpu-starved-by-neighbour.md"
    "crash-loop.md"
    "dependency-unavailable.md"
    "deploy-rollback.md"
    "disk-filling.md"
    "errors-after-config-change.md"
    "memory-leak.md"
    "network-policy-blocks-dependency.md"
    "queue-backlog.md"
    "slow-queries-after-deploy.md"
    "traffic-surge.md"
};

/// One checked runbook.
#[derive(Clone, Debug, PartialEq)]
pub struct Runbook {
    /// What machines read.
    pub front: FrontMatter,
    /// What people read: Markdown.
    pub body: String,
    /// Where it came from.
    pub file: String,
}

impl Runbook {
    /// One of its actions.
    #[must_use]
    pub fn action(&self, id: &str) -> Option<&Action> {
        self.front.actions.iter().find(|a| a.id == id)
    }

    /// As full-text search finds it.
    #[must_use]
    pub fn document(&self) -> Document {
        let mut tags: Vec<String> = self.front.services.clone();
        tags.extend(self.front.conditions().map(select::words));
        tags.extend(self.front.actions.iter().map(|a| a.title.replace(['{', '}'], "")));
        Document {
            kind: "runbook".into(),
            id: self.front.id.clone(),
            title: self.front.title.clone(),
            tags: tags.join(" "),
            body: self.body.clone(),
        }
    }
}

/// All runbooks, by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Library {
    by_id: BTreeMap<String, Runbook>,
}

impl Library {
    /// The shipped runbooks alone.
    ///
    /// # Errors
    /// Mistakes in them; a test keeps them from being shipped.
    pub fn shipped() -> Result<Self, Mistakes> {
        Self::load(&[])
    }

    /// The shipped runbooks, then every `*.md` of the folders in order of name.
    ///
    /// # Errors
    /// All mistakes of all files, a folder that can't be read among them.
    pub fn load(folders: &[PathBuf]) -> Result<Self, Mistakes> {
        let mut wrong = Vec::new();
        let mut library = Self::default();
        for (file, text) in SHIPPED {
            library.take(file, text, &mut wrong);
        }
        for folder in folders {
            let mut own = Self::default();
            match files(folder) {
                Ok(paths) => {
                    for path in paths {
                        let name = path.display().to_string();
                        match std::fs::read_to_string(&path) {
                            Ok(text) => own.take(&name, &text, &mut wrong),
                            Err(e) => wrong.push(Mistake {
                                file: name,
                                line: 1,
                                text: format!("can't be read: {e}"),
                            }),
                        }
                    }
                }
                Err(e) => wrong.push(Mistake {
                    file: folder.display().to_string(),
                    line: 1,
                    text: format!("the folder can't be read: {e}; mend `runbooks.folders`"),
                }),
            }
            library.by_id.extend(own.by_id);
        }
        if wrong.is_empty() { Ok(library) } else { Err(Mistakes(wrong)) }
    }

    fn take(&mut self, file: &str, text: &str, wrong: &mut Vec<Mistake>) {
        match parse(file, text) {
            Ok(runbook) => {
                let name = file.rsplit('/').next().unwrap_or(file);
                let id = &runbook.front.id;
                let mut mistake = |text: String| {
                    wrong.push(Mistake { file: file.to_owned(), line: 2, text });
                };
                if name.strip_suffix(".md") != Some(id.as_str()) {
                    mistake(format!("the id is `{id}`; call the file {id}.md, or change the id"));
                } else if let Some(other) = self.by_id.get(id) {
                    mistake(format!("the id `{id}` is taken by {}", other.file));
                } else {
                    self.by_id.insert(id.clone(), runbook);
                }
            }
            Err(found) => wrong.extend(found),
        }
    }

    /// One runbook.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Runbook> {
        self.by_id.get(id)
    }

    /// All runbooks, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Runbook> {
        self.by_id.values()
    }

    /// Runbooks that apply, the strongest match first, each with its reason in words.
    #[must_use]
    pub fn matching(&self, situation: &Situation) -> Vec<Match<'_>> {
        let mut found: Vec<Match<'_>> =
            self.iter().filter_map(|r| select::judge(r, situation)).collect();
        found.sort_by(|a, b| {
            b.score.total_cmp(&a.score).then_with(|| a.runbook.front.id.cmp(&b.runbook.front.id))
        });
        found
    }

    /// Runbooks that would apply, but for their preconditions, each with what those say.
    #[must_use]
    pub fn barred(&self, situation: &Situation) -> Vec<(Match<'_>, String)> {
        self.iter().filter_map(|r| select::barred(r, situation)).collect()
    }

    /// Puts all runbooks into full-text search, in place of those that were there.
    ///
    /// # Errors
    /// The database failed.
    pub async fn index(&self, store: &Store) -> Result<(), Fault> {
        let documents: Vec<Document> = self.iter().map(Runbook::document).collect();
        store
            .write(move |tx| {
                tx.remove_documents("runbook")?;
                documents.iter().try_for_each(|d| tx.put_document(d))
            })
            .await
    }
}

fn files(folder: &std::path::Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "md") && !path.ends_with("README.md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
