//! What the live classifier says of an incident.

use super::records::Filter;
use super::sql::Rows;
use crate::model::{Classifier, ClassifierState, Fault, IncidentId, Prediction};

impl Rows<'_> {
    /// What the version that is live says of an incident; `None` where none is live or it says
    /// nothing.
    ///
    /// # Errors
    /// The database failed.
    pub fn live_prediction(&self, incident: IncidentId) -> Result<Option<Prediction>, Fault> {
        let live = Filter::states([ClassifierState::Live.as_str()]);
        let Some(version) = self.list::<Classifier>(&live)?.pop() else { return Ok(None) };
        let said = self.get::<Prediction>(format!("{incident}/{}", version.version))?;
        Ok(said.filter(|p| !p.answers.is_empty()))
    }
}
