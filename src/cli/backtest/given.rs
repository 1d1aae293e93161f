//! What was written on the command line: the arguments, and which of them stand there. A setting
//! of the environment is a default for all commands and counts as not written.

use std::collections::BTreeSet;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, FromArgMatches};

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
        if unused.is_empty() {
            return Ok(());
        }
        Err(Stop::usage(format!(
            "{} {verb} no effect here: {}. Leave {it} out, or {}.",
            unused.join(", "),
            way.why,
            way.instead
        )))
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
    use clap::Args as _;

    use super::*;

    fn said(words: &str) -> String {
        let command = Args::augment_args(Command::new("backtest").no_binary_name(true));
        let found = command.try_get_matches_from(words.split_whitespace()).expect("it is read");
        let given = Given::from_arg_matches(&found).expect("it is read");
        given.check().map_or_else(|stop| stop.text, |()| "fine".to_owned())
    }

    #[test]
    fn what_would_be_ignored_is_refused_by_name() {
        let scores = "--csv-dir a --scores b";
        insta::assert_snapshot!(said(&format!("{scores} --html r.html")), @"--html has no effect here: --csv-dir with --scores writes a score for every row, without any setting. Leave it out, or leave --scores out to get a report.");
        insta::assert_snapshot!(said(&format!("{scores} --from -1d --labels l --source csv")), @"--from, --labels have no effect here: --csv-dir with --scores writes a score for every row, without any setting. Leave them out, or leave --scores out to get a report.");
        insta::assert_snapshot!(said("--csv-dir a --server main"), @"--server has no effect here: CSV files are read, and no server. Leave it out, or read it with --source prometheus.");
        insta::assert_snapshot!(said("--source prometheus --csv-dir a"), @"--csv-dir has no effect here: a Prometheus server is read, whose series say what they are. Leave it out, or leave --source prometheus out to read CSV files.");
        for name in SCORES.unused {
            let word = match *name {
                "indicator" => "rate",
                name => name,
            };
            let told = said(&format!("{scores} --{name} {word}"));
            assert!(told.starts_with(&format!("--{name} has no effect")), "{told}");
        }
    }

    #[test]
    fn what_is_used_is_taken() {
        for fine in [
            "--csv-dir a --scores b --json",
            "--csv-dir a --source csv --scores b",
            "--csv-dir a --from -1d --to now --labels l --against c --indicator rate --html h",
            "--source prometheus --server main --scores b --labels l --html h --config c",
            "",
        ] {
            assert_eq!(said(fine), "fine", "{fine}");
        }
    }
}
