//! The command line. Exit codes: 0 done, 1 failed, 2 wrong configuration or usage.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config;

/// Watches telemetry, explains incidents in chat, acts only after a button was pressed.
#[derive(Parser)]
#[command(name = "nightjar", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The configuration: its schema, or whether a file is right.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Writes completions for a shell to standard output.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
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
        Command::Config(ConfigCommand::Schema) => {
            write(&format!("{:#}\n", config::schema()));
            ExitCode::SUCCESS
        }
        Command::Config(ConfigCommand::Check { config: path }) => {
            let shown = path.display().to_string();
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) => {
                    complain(&format!("{shown}: {error}\n"));
                    return ExitCode::from(2);
                }
            };
            match config::load(&text, &config::environment()) {
                Ok(_) => {
                    write(&format!("{shown} is right.\n"));
                    ExitCode::SUCCESS
                }
                Err(mistakes) => {
                    complain(&config::render(&mistakes, &shown, &text));
                    ExitCode::from(2)
                }
            }
        }
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "nightjar", &mut out);
            write(&String::from_utf8_lossy(&out));
            ExitCode::SUCCESS
        }
    }
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
