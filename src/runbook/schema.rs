//! What a runbook's front matter may say: the types that it is read into.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

use crate::model::{ChangeKind, Indicator, Matcher, Risk, Role};

/// A length of time as people write it: `45s`, `2m`, `1h`. Kept in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Seconds(pub u32);

impl Seconds {
    /// Reads `45s`, `2m` or `1h`, up to seven days.
    ///
    /// # Errors
    /// Anything else, with what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad =
            || format!("`{text}` is not a length of time; write 45s, 2m or 1h (at most 168h)");
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, unit) = text.split_at(split);
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return Err(bad()),
        };
        let n: u32 = number.parse().map_err(|_| bad())?;
        n.checked_mul(factor).filter(|s| (1..=604_800).contains(s)).map(Self).ok_or_else(bad)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The front matter as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontMatter {
    /// Stable id, equal to the file's name without `.md`: small letters, digits and dashes.
    pub id: String,
    /// One line.
    pub title: String,
    /// Names of services (or other entities) it is for, `*` standing for anything; empty: any.
    #[serde(default)]
    pub services: Vec<String>,
    /// When it applies; at least one.
    pub matchers: Vec<Condition>,
    /// Without one of these the runbook is not proposed, however much else matches. They count
    /// as matchers too.
    #[serde(default)]
    pub only_if: Vec<Condition>,
    /// When one of these holds the runbook is not proposed: what it is about is then a
    /// consequence of something else.
    #[serde(default)]
    pub not_if: Vec<Condition>,
    /// What machines can do for it.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// What must be true before any of it is done, one sentence each.
    #[serde(default)]
    pub preconditions: Vec<String>,
    /// How people see that it worked.
    pub verification: String,
    /// How it is undone.
    pub rollback: String,
    /// Who keeps it right: a team.
    pub owner: String,
    /// When it was last checked: `YYYY-MM-DD`.
    pub reviewed: String,
}

impl FrontMatter {
    /// All conditions that make a match stronger, those of `only_if` first.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.only_if.iter().chain(&self.matchers)
    }
}

/// One condition. Conditions of different kinds add to the match; of one kind, any will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// On the labels of one of the incident's alerts, as in Alertmanager.
    Alert(Matcher),
    /// One of the incident's alerts is on this indicator.
    Indicator(Indicator),
    /// The hypothesis' entity is named by this attribute, such as `service.name` or `host.name`.
    Entity(String),
    /// A regular expression found in one of the log templates that matter.
    Log(String),
    /// The hypothesis names a change of this kind.
    Change(ChangeKind),
    /// The hypothesis has this pattern: `saturation`, `network_policy`, `resource_leak`, ….
    Hypothesis(String),
}

/// Which executor carries an action out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecutorKind {
    /// An HTTP request.
    Http,
    /// A program without a shell.
    Command,
    /// Only says what it would do.
    DryRun,
}

/// Something that machines can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// Unique within the runbook.
    pub id: String,
    /// One line, a template: `Set {{ target.name }} back to {{ params.to }}`.
    pub title: String,
    /// Who carries it out.
    pub executor: ExecutorKind,
    /// Template of what it acts on, `attribute=name` or a service's name; left out: the
    /// hypothesis' entity.
    #[serde(default)]
    pub target: Option<String>,
    /// What can be chosen.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// The request, for `http`.
    #[serde(default)]
    pub http: Option<HttpTemplate>,
    /// The program, for `command`.
    #[serde(default)]
    pub command: Option<CommandTemplate>,
    /// How the target's state is read before and after.
    #[serde(default)]
    pub observe: Option<Observe>,
    /// How much harm it can do.
    pub risk: Risk,
    /// What should happen to the signal, in words.
    pub expected_effect: String,
    /// Whether that lasts: what ends the cause is suggested before what buys time.
    #[serde(default)]
    pub lasts: Lasts,
    /// When and how long to measure afterwards.
    pub verify: VerifySpec,
    /// The action of this runbook that undoes it.
    #[serde(default)]
    pub rollback: Option<Rollback>,
    /// What it needs beyond the policy of its risk.
    #[serde(default)]
    pub requires: Option<Requires>,
}

/// For how long an action helps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lasts {
    /// It ends the cause.
    #[default]
    ForGood,
    /// It buys time; the cause goes on.
    ForAWhile,
}

/// What kind of value a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParameterKind {
    /// Text that matches `pattern`.
    String,
    /// A whole number within `min..=max`.
    Integer,
    /// One of `choices`.
    Choice,
}

/// One parameter of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name in templates, `params.<name>`.
    pub name: String,
    /// What it is, for the form.
    pub description: String,
    /// What kind of value.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// Its default, a template over the context; left out: a person must say.
    #[serde(default)]
    pub default: Option<String>,
    /// Regular expression for the whole value; left out: letters, digits, `.`, `_`, `:` and `-`.
    #[serde(default)]
    pub pattern: Option<String>,
    /// The values of a choice.
    #[serde(default)]
    pub choices: Vec<String>,
    /// Least whole number.
    #[serde(default)]
    pub min: Option<i64>,
    /// Greatest whole number.
    #[serde(default)]
    pub max: Option<i64>,
}

/// Templates of one HTTP request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTemplate {
    /// `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// The whole address.
    pub url: String,
    /// Headers; secrets stand as `${name}`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body; JSON unless a `content-type` header says otherwise.
    #[serde(default)]
    pub body: Option<String>,
    /// How long to wait for the answer.
    #[serde(default)]
    pub timeout: Option<Seconds>,
}

/// Templates of one program call; each argument is rendered on its own and is never split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandTemplate {
    /// The program's path; not a template.
    pub program: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// How long to wait for its end.
    #[serde(default)]
    pub timeout: Option<Seconds>,
}

/// A read-only HTTP GET that tells the target's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observe {
    /// Template of the address.
    pub url: String,
    /// Headers; secrets stand as `${name}`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The top-level keys of the JSON answer that matter; a plan is bound to their values.
    pub keys: Vec<String>,
}

/// When and how long to measure after a run (event time).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifySpec {
    /// How long after the run the measuring begins.
    pub after: Seconds,
    /// How long it measures.
    pub window: Seconds,
}

/// The action that undoes another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Id of an action in the same runbook.
    pub action: String,
    /// Its parameters as templates over the context of the action that is undone; `target.state`
    /// is the state observed before it.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

/// What an action needs beyond the policy of its risk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    /// The least role of whoever decides.
    #[serde(default)]
    pub role: Option<Role>,
    /// How many different people must approve.
    #[serde(default)]
    pub approvals: Option<u8>,
}
