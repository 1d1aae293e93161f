//! The command line. Exit codes: 0 done, 1 failed, 2 wrong configuration or usage.

mod backtest;
mod check;
mod correlate;
mod diagnose;
mod logs;
mod model;
mod reach;
mod read;
mod slo;
mod start;
mod words;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::app::{self, DemoOptions, ReplayOptions};
use crate::config;
use crate::demo::scenario::scenarios;
use crate::observe::LogFormat;
use reach::Where;

/// Watches telemetry, explains incidents in chat, acts only after a button was pressed.
#[derive(Parser)]
#[command(name = "nightjar", version, arg_required_else_help = true)]
#[command(after_help = "Start here: nightjar demo\n\
    Then: nightjar config example > nightjar.toml; nightjar check; nightjar run\n\
    Exit codes: 0 done, 1 failed, 2 wrong configuration or usage.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts everything with a simulated shop: nothing to configure, no account, no key.
    #[command(after_help = "Example: nightjar demo --speed 60 --scenario pool-exhaustion")]
    Demo {
        /// Event seconds per real second.
        #[arg(long, default_value_t = 20.0, value_parser = speed)]
        speed: f64,
        /// Play only this scenario.
        #[arg(long, value_parser = known_scenarios())]
        scenario: Option<String>,
        /// Everything random follows from it.
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// Port of the console on 127.0.0.1; 0 takes any free one.
        #[arg(long, default_value_t = 7878)]
        port: u16,
        /// Folder of its data; a second start goes on where the first stopped.
        #[arg(long, default_value = "nightjar-demo")]
        data_dir: PathBuf,
        /// Do not open the console in a browser.
        #[arg(long)]
        no_browser: bool,
        /// A configuration whose chats, model and policies the demo takes; the rest is its own.
        #[arg(long)]
        config: Option<PathBuf>,
        #[command(flatten)]
        log: Log,
    },
    /// Plays one scenario of the simulated shop through the whole bot, as fast as it goes, and
    /// holds what was seen against what is expected. Exit code 1: something was not as expected.
    #[command(after_help = "Example: nightjar replay policy-cut --approve")]
    Replay {
        /// Which scenario.
        #[arg(value_parser = known_scenarios())]
        scenario: String,
        /// Event seconds per real second, at most.
        #[arg(long, default_value_t = 60.0, value_parser = speed)]
        speed: f64,
        /// Everything random follows from it.
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// Approve the first suggestion, as you: the run and its effect are part of what is seen.
        #[arg(long)]
        approve: bool,
        /// Write one JSON object instead of the story.
        #[arg(long)]
        json: bool,
        /// Keep the store in this empty folder instead of throwing it away.
        #[arg(long)]
        data_dir: Option<PathBuf>,
        #[command(flatten)]
        log: Log,
    },
    /// Runs the detectors over history: what they would have told, or a score for every row of CSV
    /// files. Exit code 1: something could not be read or written.
    #[command(after_help = backtest::EXAMPLES)]
    Backtest(backtest::Given),
    /// Runs the bot.
    #[command(after_help = "Example: nightjar run --config /etc/nightjar/nightjar.toml")]
    Run {
        #[command(flatten)]
        file: ConfigFile,
        /// Address and port instead of web.bind.
        #[arg(long)]
        bind: Option<String>,
        /// Data folder instead of data_dir.
        #[arg(long)]
        data_dir: Option<PathBuf>,
        #[command(flatten)]
        log: Log,
    },
    /// Tries every configured connection and permission, and says how to mend what fails.
    #[command(after_help = "Exit code 1: something fails. Example: nightjar check --json")]
    Check {
        #[command(flatten)]
        file: ConfigFile,
        /// Seconds until an answer is given up.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
        timeout: u64,
        /// Write JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Answers a question: by the running bot, or from its store without a model.
    #[command(after_help = "Example: nightjar ask 'what changed before orders got slow?'")]
    Ask {
        /// The question.
        #[arg(required = true)]
        question: Vec<String>,
        /// The incident that "this" means: its number or id.
        #[arg(long)]
        incident: Option<String>,
        #[command(flatten)]
        place: Where,
    },
    /// Writes a link that logs in to the console of the running bot: once, within 30 minutes.
    #[command(after_help = "Example: nightjar login; nightjar login --name bea --role responder")]
    Login {
        /// Whom it logs in, as records will say.
        #[arg(long, default_value = "operator")]
        name: String,
        /// What they may do.
        #[arg(long, default_value = "admin", value_parser = ["viewer", "responder", "approver", "admin"])]
        role: String,
        #[command(flatten)]
        place: Where,
    },
    /// How the bot itself is doing. Exit code 1: it does not run.
    Status {
        #[command(flatten)]
        place: Where,
    },
    /// Incidents that people still work on, or one of them with all that is known of it.
    #[command(after_help = "Examples: nightjar incidents; nightjar incidents 12")]
    Incidents {
        /// Show this one: its number or id.
        incident: Option<String>,
        /// List those that are over too.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        place: Where,
    },
    /// Why an incident was opened, an alert did or did not reach anybody, an action was offered or ran.
    #[command(after_help = "Example: nightjar why 12")]
    Why {
        /// Number or id of an incident, or the id of an alert (ALT-…), proposal (PRP-…) or run (RUN-…).
        subject: String,
        #[command(flatten)]
        place: Where,
    },
    /// Silences and maintenance windows.
    #[command(subcommand)]
    Silence(SilenceCommand),
    /// The audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The configuration: an example, its schema, or whether a file is right.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Says which alerts of the past are one incident: replays webhooks of Alertmanager; asks no
    /// running bot. Writes `event_id,incident_id`.
    #[command(after_help = correlate::EXAMPLES)]
    Correlate(correlate::Args),
    /// Log lines from files; asks no running bot.
    #[command(subcommand)]
    Logs(LogsCommand),
    /// Ranks the possible causes of a recorded incident, as one JSON object; asks no running bot.
    #[command(after_help = "Example: nightjar diagnose --case cases/checkout-slow")]
    Diagnose(diagnose::Args),
    /// The classifier of incidents: real or noise, kind of cause, likely fix.
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Service level objectives.
    #[command(subcommand)]
    Slo(SloCommand),
    /// Writes completions for a shell to standard output.
    #[command(after_help = "Example: nightjar completions bash > \
                            /etc/bash_completion.d/nightjar")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration.
    #[arg(long, env = "NIGHTJAR_CONFIG", default_value = "nightjar.toml")]
    config: PathBuf,
}

#[derive(clap::Args)]
struct Log {
    /// How the log on standard error is written.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// What is logged: `info`, `debug`, `nightjar::detect=debug`.
    #[arg(long, default_value = "warn,nightjar=info")]
    log: String,
}

#[derive(Subcommand)]
enum SilenceCommand {
    /// Makes a silence.
    #[command(after_help = "Example: nightjar silence add 'service=\"search\"' --for '2 h' \
                            --reason 'index is rebuilt'")]
    Add {
        /// All must match: service="search", alertname=~"Disk.*", with =, !=, =~ or !~.
        #[arg(required = true)]
        matchers: Vec<String>,
        /// For how long: 30 min, 2 h, 1 d.
        #[arg(long = "for")]
        length: String,
        /// Why; it is shown with the silence.
        #[arg(long)]
        reason: String,
        /// From when, such as 2026-11-21T22:00:00Z; left out: now.
        #[arg(long)]
        from: Option<String>,
        /// Planned work rather than noise.
        #[arg(long)]
        maintenance: bool,
        #[command(flatten)]
        place: Where,
    },
    /// Lists those in force and to come.
    List {
        /// List those that are over too.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        place: Where,
    },
    /// Ends one now.
    End {
        /// Its id (SIL-…).
        silence: String,
        #[command(flatten)]
        place: Where,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Proves that no record was changed, added or taken out. Exit code 1: one was.
    Verify {
        #[command(flatten)]
        place: Where,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Writes a complete, commented example.
    #[command(after_help = "Example: nightjar config example > nightjar.toml")]
    Example,
    /// Writes the JSON Schema of the file, for editors and reviews.
    Schema,
    /// Reads a file and says everything that is wrong with it; asks nobody outside.
    #[command(after_help = "Example: nightjar config check --config nightjar.toml")]
    Check {
        #[command(flatten)]
        file: ConfigFile,
    },
}

#[derive(Subcommand)]
enum SloCommand {
    /// Reads OpenSLO files and writes the settings that say the same; tells what can't be taken
    /// over. Exit code 1: nothing could be.
    #[command(after_help = "Example: nightjar slo import slo/*.yaml >> nightjar.toml")]
    Import {
        /// YAML files of openslo/v1; references are looked up over all of them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Subcommand)]
enum LogsCommand {
    /// Mines templates from raw lines: heads are taken off, JSON and logfmt read, the lines of a
    /// stack trace belong to the line before them.
    #[command(after_help = "Example: nightjar logs templates app.log --csv templates.csv")]
    Templates(logs::Templates),
}

fn speed(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|s| (0.1..=600.0).contains(s))
        .ok_or_else(|| "a number from 0.1 to 600".to_owned())
}

fn known_scenarios() -> PossibleValuesParser {
    PossibleValuesParser::new(scenarios().iter().map(|s| s.key.as_str()))
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    start::ended(run(Cli::parse().command))
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo { speed, scenario, seed, port, data_dir, no_browser, config, log } => {
            let browser = !no_browser;
            let settings = config.as_deref().map(start::loaded).transpose()?.unwrap_or_default();
            let options = DemoOptions { speed, scenario, seed, port, data_dir, browser, settings };
            start::bot(&log, async |metrics| app::demo(options, metrics).await.map(|()| true))
        }
        Command::Replay { scenario, speed, seed, approve, json, data_dir, log } => {
            let options = ReplayOptions { scenario, speed, seed, approve, json, data_dir };
            start::bot(&log, async |metrics| app::replay(options, metrics).await)
        }
        Command::Backtest(given) => backtest::run(given),
        Command::Run { file, bind, data_dir, log } => {
            let mut config = start::loaded(&file.config)?;
            config.web.bind = bind.unwrap_or(config.web.bind);
            config.data_dir = data_dir.unwrap_or(config.data_dir);
            start::bot(&log, async |metrics| app::run(config, metrics).await.map(|()| true))
        }
        Command::Check { file, timeout, json } => start::check(&file.config, timeout, json),
        Command::Ask { question, incident, place } => {
            read::ask(&place, &question.join(" "), incident.as_deref())
        }
        Command::Login { name, role, place } => read::login(&place, &name, &role),
        Command::Status { place } => read::status(&place),
        Command::Incidents { incident: None, all, place } => read::incidents(&place, all),
        Command::Incidents { incident: Some(one), place, .. } => read::incident(&place, &one),
        Command::Why { subject, place } => read::why(&place, &subject),
        Command::Silence(SilenceCommand::Add {
            matchers,
            length,
            reason,
            from,
            maintenance,
            place,
        }) => {
            let wanted = serde_json::json!({
                "matchers": matchers, "duration": length, "reason": reason, "starts_at": from,
                "maintenance": maintenance,
            });
            read::silence(&place, &wanted)
        }
        Command::Silence(SilenceCommand::List { all, place }) => read::silences(&place, all),
        Command::Silence(SilenceCommand::End { silence, place }) => {
            read::end_silence(&place, &silence)
        }
        Command::Audit(AuditCommand::Verify { place }) => read::audit_verify(&place),
        Command::Config(ConfigCommand::Example) => Ok(done(config::EXAMPLE)),
        Command::Config(ConfigCommand::Schema) => Ok(done(&format!("{:#}\n", config::schema()))),
        Command::Config(ConfigCommand::Check { file }) => {
            start::loaded(&file.config)?;
            Ok(done(&format!("{} is right.\n", file.config.display())))
        }
        Command::Correlate(args) => correlate::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Model(command) => model::run(command),
        Command::Slo(SloCommand::Import { files }) => slo::read(&files),
        Command::Logs(LogsCommand::Templates(given)) => Ok(done(&logs::templates(&given)?)),
        Command::Diagnose(given) => Ok(done(&diagnose::case(&given)?)),
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "nightjar", &mut out);
            Ok(done(&String::from_utf8_lossy(&out)))
        }
    }
}

fn done(text: &str) -> ExitCode {
    write(text);
    ExitCode::SUCCESS
}

/// Standard output; a reader that went away (`| head`) is no error.
fn write(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).ok();
}

/// Standard error: what is beside the answer.
fn complain(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
