//! What executors may touch. Nothing is allowed unless it is listed; without lists every action is
//! a dry run.

use std::collections::BTreeMap;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Secret;

/// Settings of the executors.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Say what would be done and do nothing, whatever the lists allow.
    pub dry_run: bool,
    /// Hosts that may be called.
    pub hosts: Vec<HostRule>,
    /// Programs that may be run.
    pub commands: Vec<CommandRule>,
    /// Secrets that headers name as `${name}`; resolved from the environment or files.
    pub secrets: BTreeMap<String, Secret>,
}

/// A host that may be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostRule {
    /// `host:port` as it stands in the address (the port may be left out for 80 and 443).
    pub host: String,
    /// Methods; empty: POST only.
    #[serde(default)]
    pub methods: Vec<String>,
    /// What the path must start with.
    #[serde(default)]
    pub path_prefix: String,
}

/// A program that may be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandRule {
    /// Its whole path.
    pub program: String,
    /// One regular expression for each argument, anchored at both ends; the number of arguments
    /// must be the same.
    pub args: Vec<String>,
}

impl Config {
    /// Whether a request is allowed.
    ///
    /// # Errors
    /// Why it is not, and what to do.
    pub fn allows_request(&self, method: &str, url: &url::Url) -> Result<(), String> {
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err("the address names no host".into()),
        };
        let rule = self.hosts.iter().find(|r| {
            r.host == host
                && url.path().starts_with(&r.path_prefix)
                && (if r.methods.is_empty() {
                    method == "POST"
                } else {
                    r.methods.iter().any(|m| m.eq_ignore_ascii_case(method))
                })
        });
        rule.map(|_| ()).ok_or_else(|| {
            format!(
                "{method} {host}{} is not allowed; add it to [[remediate.hosts]] if it should be",
                url.path()
            )
        })
    }

    /// Whether a command line is allowed.
    ///
    /// # Errors
    /// Why it is not, and what to do.
    pub fn allows_command(&self, program: &str, args: &[String]) -> Result<(), String> {
        let fits = |rule: &CommandRule| {
            rule.program == program
                && rule.args.len() == args.len()
                && rule.args.iter().zip(args).all(|(pattern, arg)| {
                    Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|r| r.is_match(arg))
                })
        };
        if self.commands.iter().any(fits) {
            Ok(())
        } else {
            Err(format!(
                "{program} with these arguments is not allowed; add it to [[remediate.commands]] \
                 if it should be"
            ))
        }
    }
}
