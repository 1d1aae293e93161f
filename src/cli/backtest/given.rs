//! What was written on the command line: the arguments, and which of them stand there. A setting
//! of the environment is a default for all commands and counts as not written.

use std::collections::BTreeSet;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, Command, FromArgMatches};

use super::super::start::Stop;
use super::{Args, Source};

/// The arguments of `nightjar backtest`.
pub(in super::super) struct Given {
    pub(super) args: Args,
    /// Names of those that were written, as in [`Args`].
    written: BTreeSet<String>,
}

/// What a backtest does, and what it has no use for.
struct Way {
    unused: &'static [&'static str],
    why: &'static str,
    instead: &'static str,
}

const SCORES: Way = Way {
    unused: &["from", "to", "config", "against", "server", "labels", "indicator", "html"],
    why: "--csv-dir with --scores writes a score for every row, without any setting",
    instead: "leave --scores out to get a report",
};
const FILES: Way = Way {
    unused: &["server"],
    why: "CSV files are read, and no server",
    instead: "read it with --source prometheus",
};
const SERVER: Way = Way {
    unused: &["csv_dir", "indicator"],
    why: "a Prometheus server is read, whose series say what they are",
    instead: "leave --source prometheus out to read CSV files",
};

impl Given {
    /// Refuses what would be ignored.
    ///
    /// # Errors
    /// [`Stop`] that names it.
    pub(super) fn check(&self) -> Result<(), Stop> {
        let way = match (self.args.source, &self.args.csv_dir, &self.args.scores) {
            (Some(Source::Prometheus), ..) => SERVER,
            (_, Some(_), Some(_)) => SCORES,
            _ => FILES,
        };
        let unused: Vec<String> = way
            .unused
            .iter()
            .filter(|name| self.written.contains(**name))
            .map(|name| format!("--{}", name.replace('_', "-")))
            .collect();
        let (verb, it) = if unused.len() == 1 { ("has", "it") } else { ("have", "them") };
        match unused.is_empty() {
            true => Ok(()),
            false => Err(Stop::usage(format!(
                "{} {verb} no effect here: {}. Leave {it} out, or {}.",
                unused.join(", "),
                way.why,
                way.instead
            ))),
        }
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(found: &ArgMatches) -> Result<Self, clap::Error> {
        let is_written = |id: &&clap::Id| {
            let id = id.as_str();
            found.try_contains_id(id).is_ok()
                && found.value_source(id) == Some(ValueSource::CommandLine)
        };
        let written = found.ids().filter(is_written).map(ToString::to_string).collect();
        Ok(Self { args: Args::from_arg_matches(found)?, written })
    }

    fn update_from_arg_matches(&mut self, found: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(found)?;
        Ok(())
    }
}

impl clap::Args for Given {
    fn augment_args(command: Command) -> Command {
        Args::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Args::augment_args_for_update(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &str, config: Option<&str>) -> String {
        let mut command = Args::augment_args(Command::new("backtest").no_binary_name(true));
        if let Some(file) = config {
            // What the environment says, without a word to the other tests' environment.
            command = command.mut_arg("config", |c| c.env(None::<&str>).default_value(file.to_owned()));
        }
        let found = command.try_get_matches_from(words.split_whitespace()).expect("it is read");
        let given = Given::from_arg_matches(&found).expect("it is read");
        given.check().map_or_else(|stop| stop.text, |()| "fine".to_owned())
    }

    #[test]
    fn what_would_be_ignored_is_refused_by_name() {
        let scores = "--csv-dir a --scores b";
        insta::assert_snapshot!(said(&format!("{scores} --html r.html"), None), @"");
        insta::assert_snapshot!(said(&format!("{scores} --from -1d --labels l --source csv"), None), @"");
        insta::assert_snapshot!(said("--csv-dir a --server main", None), @"");
        insta::assert_snapshot!(said("--source prometheus --csv-dir a", None), @"");
        for name in SCORES.unused {
            let word = match *name {
                "indicator" => "rate",
                name => name,
            };
            let told = said(&format!("{scores} --{name} {word}"), None);
            assert!(told.starts_with(&format!("--{name} has no effect")), "{told}");
        }
    }

    #[test]
    fn what_is_used_and_what_the_environment_says_is_taken() {
        for fine in [
            "--csv-dir a --scores b --json",
            "--csv-dir a --source csv --scores b",
            "--csv-dir a --from -1d --to now --labels l --against c --indicator rate --html h",
            "--source prometheus --server main --scores b --labels l --html h --config c",
            "",
        ] {
            assert_eq!(said(fine, None), "fine", "{fine}");
        }
        assert_eq!(said("--csv-dir a --scores b", Some("nightjar.toml")), "fine");
    }
}
