//! Commands as people type them: split like a shell would, read by clap, refused with help.

use clap::{CommandFactory as _, Parser};

/// Characters of a command that are read.
const MOST_CHARS: usize = 4_000;

/// What a slash command asks for.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(
    name = "nightjar",
    no_binary_name = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    disable_version_flag = true,
    subcommand_required = true
)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub(super) enum Command {
    /// Answers a question: ask why is checkout slow
    #[command(disable_help_flag = true)]
    Ask {
        /// The question, in your words
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        question: Vec<String>,
    },
    /// Says how things stand, over all or for one service
    #[command(disable_help_flag = true)]
    Status {
        /// One service
        service: Option<String>,
    },
    /// Shows a runbook
    #[command(disable_help_flag = true)]
    Runbook {
        /// Its id
        id: String,
    },
    /// Shows your page: open incidents, what waits for a decision, your silences
    #[command(disable_help_flag = true)]
    Home,
    /// Lists active incidents
    #[command(disable_help_flag = true)]
    Incidents {
        /// Those that are over too
        #[arg(long)]
        all: bool,
    },
    /// Shows one incident: incident 12
    #[command(disable_help_flag = true)]
    Incident {
        /// Its number or id
        incident: String,
    },
    /// Lists what waits for a decision
    #[command(disable_help_flag = true, visible_alias = "approve-list")]
    Approvals,
    /// Silences alerts: silence checkout --for "2 h" --reason "planned work"
    #[command(disable_help_flag = true)]
    Silence {
        /// Services, or matchers such as alertname=~"Disk.*"; all must match
        #[arg(required = true)]
        matchers: Vec<String>,
        /// For how long: 30 min, 2 h, 1 d
        #[arg(long = "for", default_value = "1 h")]
        length: String,
        /// Why; it is shown with the silence
        #[arg(long)]
        reason: String,
    },
    /// Lists silences in force
    #[command(disable_help_flag = true)]
    Silences,
    /// Says why an incident or alert was told, or was not: why 12
    #[command(disable_help_flag = true)]
    Why {
        /// An incident's number, an id, or words as for ask
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        what: Vec<String>,
    },
    /// Says who has which incident and who may decide
    #[command(disable_help_flag = true)]
    Oncall,
    /// Opens an incident: declare checkout refuses cards --service checkout
    #[command(disable_help_flag = true)]
    Declare {
        /// What users feel, in one line
        #[arg(required = true)]
        title: Vec<String>,
        /// The service that it is about
        #[arg(long)]
        service: Option<String>,
        /// How bad
        #[arg(long, default_value = "critical", value_parser = ["critical", "warning", "info"])]
        severity: String,
    },
    /// Takes an incident: ack 12
    #[command(disable_help_flag = true)]
    Ack {
        /// Its number or id
        incident: String,
    },
    /// Gives an incident to somebody: assign 12 --to ada
    #[command(disable_help_flag = true)]
    Assign {
        /// Its number or id
        incident: String,
        /// me, nobody, a name, or via:id
        #[arg(long, default_value = "me")]
        to: String,
    },
    /// Writes into an incident's thread and story: note 12 the pool is full
    #[command(disable_help_flag = true)]
    Note {
        /// Its number or id
        incident: String,
        /// What to write
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// Ends an incident: resolve 12 --as fixed the pool was full
    #[command(disable_help_flag = true)]
    Resolve {
        /// Its number or id
        incident: String,
        /// How it ended
        #[arg(long = "as", default_value = "fixed",
              value_parser = ["fixed", "recovered", "external", "planned", "not_an_incident"])]
        category: String,
        /// What it was
        text: Vec<String>,
    },
    /// Opens an incident again: reopen 12 it is back
    #[command(disable_help_flag = true)]
    Reopen {
        /// Its number or id
        incident: String,
        /// Why
        text: Vec<String>,
    },
    /// Folds an incident into another: merge 12 11 the same fault
    #[command(disable_help_flag = true)]
    Merge {
        /// The number or id of what is folded in
        incident: String,
        /// The number or id of what goes on
        into: String,
        /// Why
        text: Vec<String>,
    },
    /// Lists the commands
    #[command(disable_help_flag = true)]
    Help,
}

/// Splits like a shell: white space parts words, quotes keep it. A quote counts only where a word
/// or a value begins (so that "what's" is a word), and one that is not closed is a letter like any
/// other; the curly quotes that phones write count like straight ones.
pub(super) fn split(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut words, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        if chars[at].is_whitespace() {
            at += 1;
            continue;
        }
        let (mut word, mut opens) = (String::new(), true);
        while at < chars.len() && !chars[at].is_whitespace() {
            let c = chars[at];
            let shut = closes(c).filter(|_| opens);
            if let Some((text, n)) = shut.and_then(|shut| quoted(&chars[at + 1..], shut)) {
                word.push_str(&text);
                at += n + 1;
                opens = false;
            } else {
                word.push(c);
                at += 1;
                opens = matches!(c, '=' | '~');
            }
        }
        words.push(word);
    }
    words
}

/// What stands up to the closing quote, and how many characters that took; `None` without one. A
/// backslash keeps a quote or another backslash as a letter.
fn quoted(chars: &[char], shut: &[char]) -> Option<(String, usize)> {
    let (mut text, mut at) = (String::new(), 0);
    while let Some(c) = chars.get(at) {
        match (c, chars.get(at + 1)) {
            ('\\', Some(next)) if *next == '\\' || shut.contains(next) => {
                text.push(*next);
                at += 2;
            }
            (c, _) if shut.contains(c) => return Some((text, at + 1)),
            (c, _) => {
                text.push(*c);
                at += 1;
            }
        }
    }
    None
}

/// The quotes that close what this one opens.
fn closes(open: char) -> Option<&'static [char]> {
    match open {
        '"' | '“' | '”' | '„' => Some(&['"', '“', '”']),
        '\'' | '‘' | '’' => Some(&['\'', '‘', '’']),
        _ => None,
    }
}

/// Reads what follows the command's name. Nothing asks for help.
///
/// # Errors
/// What is wrong, with how it is written.
pub(super) fn parse(text: &str) -> Result<Command, String> {
    let text: String = text.trim().chars().take(MOST_CHARS).collect();
    // Questions are taken as they stand: an apostrophe is no quote in them.
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
    let words: Vec<String> = match first {
        "ask" | "why" if !rest.trim().is_empty() => vec![first.to_owned(), rest.trim().to_owned()],
        _ => split(&text).into_iter().map(dashed).collect(),
    };
    if words.is_empty() {
        return Ok(Command::Help);
    }
    let line = Line::try_parse_from(words).map_err(|e| {
        let words = e.render().to_string();
        let words = words.strip_prefix("error: ").unwrap_or(&words).trim();
        let shown: String = words.chars().take(1_500).collect();
        format!("{shown}\n\nWrite `help` for the commands.")
    })?;
    Ok(line.command)
}

/// The long dash that phones make of two short ones.
fn dashed(word: String) -> String {
    match word.strip_prefix(['—', '–']) {
        Some(rest) if !rest.is_empty() && !rest.starts_with('-') => format!("--{rest}"),
        _ => word,
    }
}

/// The commands with a line each.
pub(super) fn help() -> String {
    let mut lines = vec!["Commands:".to_owned()];
    for command in Line::command().get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        lines.push(format!("{}: {about}", command.get_name()));
    }
    lines.push("In an incident's thread, and when you mention me, just ask.".into());
    lines.join("\n")
}
