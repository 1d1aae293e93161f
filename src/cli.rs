//! The command line. Exit codes: 0 done, 1 failed, 2 wrong configuration or usage.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::app::{self, DemoOptions, MetricsText, ReplayOptions};
use crate::assist::{self, Assistant, Question};
use crate::config::{self, Config};
use crate::model::{Actor, Role, Time, wall_now};
use crate::observe::{self, LogFormat};
use crate::store::Store;

/// Watches telemetry, explains incidents in chat, acts only after a button was pressed.
#[derive(Parser)]
#[command(name = "nightjar", version)]
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
        #[arg(long)]
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
        #[command(flatten)]
        log: Log,
    },
    /// Plays one scenario of the simulated shop through the whole bot, as fast as it goes, and
    /// holds what was seen against what is expected. Exit code 1: something was not as expected.
    #[command(after_help = "Example: nightjar replay policy-cut --approve")]
    Replay {
        /// Which scenario.
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
    /// Runs the bot.
    #[command(after_help = "Example: nightjar run --config nightjar.toml")]
    Run {
        /// The configuration.
        #[arg(long, default_value = "nightjar.toml")]
        config: PathBuf,
        #[command(flatten)]
        log: Log,
    },
    /// Answers a question from the store of a bot, without a model.
    #[command(after_help = "Example: nightjar ask --data-dir nightjar-demo 'what changed today?'")]
    Ask {
        /// The question.
        question: String,
        /// Folder of the store.
        #[arg(long, default_value = "nightjar-data")]
        data_dir: PathBuf,
    },
    /// The audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The configuration: its schema, or whether a file is right.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Writes completions for a shell to standard output.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
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
enum AuditCommand {
    /// Proves that no record was changed, added or taken out.
    Verify {
        /// Folder of the store.
        #[arg(long, default_value = "nightjar-data")]
        data_dir: PathBuf,
    },
}

fn speed(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|s| (0.1..=600.0).contains(s))
        .ok_or_else(|| "a number from 0.1 to 600".to_owned())
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Writes the JSON Schema of the file.
    Schema,
    /// Reads a file and says everything that is wrong with it.
    #[command(after_help = "Example: nightjar config check --config nightjar.toml")]
    Check {
        /// The file.
        #[arg(long, default_value = "nightjar.toml")]
        config: PathBuf,
    },
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo { speed, scenario, seed, port, data_dir, no_browser, log } => {
            let browser = !no_browser;
            let options = DemoOptions { speed, scenario, seed, port, data_dir, browser };
            started(&log, |metrics| app::demo(options, metrics))
        }
        Command::Replay { scenario, speed, seed, approve, json, data_dir, log } => {
            let options = ReplayOptions { scenario, speed, seed, approve, json, data_dir };
            let mut met = false;
            let code = started(&log, async |metrics| {
                met = app::replay(options, metrics).await?;
                Ok(())
            });
            if met || code != ExitCode::SUCCESS { code } else { ExitCode::FAILURE }
        }
        Command::Run { config: path, log } => match loaded(&path) {
            Ok(config) => started(&log, |metrics| app::run(config, metrics)),
            Err(code) => code,
        },
        Command::Ask { question, data_dir } => finished(ask(question, &data_dir)),
        Command::Audit(AuditCommand::Verify { data_dir }) => finished(verify(&data_dir)),
        Command::Config(ConfigCommand::Schema) => {
            write(&format!("{:#}\n", config::schema()));
            ExitCode::SUCCESS
        }
        Command::Config(ConfigCommand::Check { config: path }) => match loaded(&path) {
            Ok(_) => {
                write(&format!("{} is right.\n", path.display()));
                ExitCode::SUCCESS
            }
            Err(code) => code,
        },
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "nightjar", &mut out);
            write(&String::from_utf8_lossy(&out));
            ExitCode::SUCCESS
        }
    }
}

/// The configuration of a file, or the exit code after saying everything that is wrong with it.
fn loaded(path: &Path) -> Result<Config, ExitCode> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        complain(&format!("{shown}: {error}; make one with `nightjar config schema` at hand\n"));
        ExitCode::from(2)
    })?;
    config::load(&text, &config::environment()).map_err(|wrong| {
        complain(&wrong.render(&shown, &text));
        ExitCode::from(2)
    })
}

/// Starts log, metrics and the runtime, then runs `work` to its end.
fn started(log: &Log, work: impl AsyncFnOnce(MetricsText) -> anyhow::Result<()>) -> ExitCode {
    finished((|| {
        observe::start_log(log.log_format, &log.log)?;
        let handle = observe::start_metrics()?;
        let metrics: MetricsText = Box::new(move || handle.render());
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work(metrics))
    })())
}

fn finished(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            complain(&format!("nightjar: {e:#}\n"));
            ExitCode::FAILURE
        }
    }
}

/// A store that is there already: these commands make none.
fn store_in(folder: &Path) -> anyhow::Result<Store> {
    let path = folder.join("nightjar.sqlite");
    anyhow::ensure!(
        path.exists(),
        "there is no store at {}; give its folder with --data-dir",
        path.display()
    );
    Ok(Store::open(&path)?)
}

fn ask(question: String, folder: &Path) -> anyhow::Result<()> {
    let store = store_in(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let assistant = Assistant::new(store.reader(), None, assist::Config::default());
        // The store's newest word is what "now" means to a store without a bot.
        let now =
            store.read(|r| Ok(r.value::<Time>("demo/clock")?.unwrap_or_else(wall_now))).await?;
        let (name, id) = ("cli".to_owned(), "cli".to_owned());
        let actor = Actor { via: "cli".into(), id, name, role: Role::Viewer };
        let (progress, _) = tokio::sync::mpsc::channel(1);
        let question = Question { text: question, actor, incident: None, now };
        let answer = assistant.ask(question, progress).await?;
        write(&format!("{}\n", answer.text));
        for citation in &answer.citations {
            write(&format!("[{}] {}\n", citation.n, citation.evidence.summary));
        }
        for gap in &answer.gaps {
            write(&format!("Not known: {} ({}).\n", gap.what, gap.why));
        }
        Ok(())
    })
}

fn verify(folder: &Path) -> anyhow::Result<()> {
    let store = store_in(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (n, hash) = runtime.block_on(store.read(|r| r.audit_verify()))??;
    write(&format!("The chain is whole: {n} records, last hash {hash}.\n"));
    Ok(())
}

/// Standard output; a reader that went away (`| head`) is no error.
fn write(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).ok();
}

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
