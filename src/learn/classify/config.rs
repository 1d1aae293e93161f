//! What the classifier can be told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the classifier of incidents. It decides nothing; nobody sees what it says before
/// one of its versions was promoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether it is trained by itself when enough was said of incidents.
    pub train: bool,
    /// Labelled incidents below which it stays silent.
    #[schemars(range(min = 10, max = 1000))]
    pub least_incidents: u32,
    /// Labelled incidents of a class below which the class is not learned; two must be.
    #[schemars(range(min = 2, max = 100))]
    pub least_of_class: u32,
    /// The newest incidents that it learns from at most.
    #[schemars(range(min = 100, max = 5000))]
    pub most_incidents: u32,
    /// Seconds of event time after its opening at which an incident is judged.
    #[schemars(range(min = 0, max = 3600))]
    pub decide_after_s: u32,
    /// Days after which it is trained anew, where something was said since.
    #[schemars(range(min = 1, max = 90))]
    pub train_every_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            train: true,
            least_incidents: 30,
            least_of_class: 5,
            most_incidents: 2_000,
            decide_after_s: 60,
            train_every_days: 7,
        }
    }
}
