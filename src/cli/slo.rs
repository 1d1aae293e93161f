//! `nightjar slo import`: settings from `OpenSLO` files.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::{complain, write};
use crate::detect::slo::import;

/// Writes the settings to standard output, and what was left out to standard error. Exit code 1:
/// no objective could be taken over.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut texts = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{} can't be read", file.display()))?;
        texts.push((file.display().to_string(), text));
    }
    let out = import(&texts);
    write(&out.settings);
    for note in &out.notes {
        complain(&format!("{note}.\n"));
    }
    complain(&format!("{} objectives taken over.\n", out.n_objectives));
    Ok(if out.n_objectives > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
