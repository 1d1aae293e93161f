//! Answers without a model: the plan of a question, carried out over the store.

use crate::model::{Fault, Incident, time::duration_text};
use crate::store::{Filter, Rows};

use super::draft::Draft;
use super::{Answer, Config, Question};

/// Answers one question from the store.
pub(super) fn answer(
    rows: &Rows<'_>,
    question: &Question,
    _config: &Config,
) -> Result<Answer, Fault> {
    let mut draft = Draft::new(question.now, question.incident);
    let incidents = rows.list::<Incident>(&Filter::all().newest(50))?;
    let active: Vec<_> = incidents.iter().filter(|i| i.state.is_active()).collect();
    if active.is_empty() {
        draft.line("No incident is open.");
    }
    for i in active {
        let age = duration_text(question.now.ms_since(i.onset_at));
        let fact = format!("#{} {}, {}, for {age}.", i.number, i.title, i.state.as_str());
        let mark = draft.record(i.id, fact.clone());
        draft.line(format!("- {fact} {mark}"));
    }
    Ok(draft.finish())
}
