//! Prompts: embedded templates, rendered strictly (an undefined name is an error).

use minijinja::{Environment, UndefinedBehavior, context};

use crate::model::Fault;

/// The rules for answering questions at the time `now`.
///
/// # Errors
/// The template is broken.
pub fn answer(now: &str) -> Result<String, Fault> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
        .render_str(include_str!("../../prompts/answer.md"), context! { now })
        .map_err(|e| Fault::permanent("rendering prompts/answer.md", e))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_prompt_names_the_time_and_leaves_nothing_open() {
        let text = super::answer("2026-11-21 15:00 UTC").expect("renders");
        assert!(text.contains("The time is 2026-11-21 15:00 UTC"));
        assert!(!text.contains("{{"));
    }
}
