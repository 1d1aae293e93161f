//! Backtest: the detectors over history, by the same code that runs live.
//!
//! Takes CSV files or what a Prometheus server has kept; gives a score for every row, or what
//! would have been told: anomalies, alerts and incidents, how long they lasted, how much of what
//! was labelled they found, and what another configuration would have told instead. Pure but for
//! the reading of sources and the writing of files: nothing reaches the bot's store or its chats.

mod differ;
mod files;
mod history;
mod html;
mod labels;
mod moment;
mod pace;
mod prometheus;
mod report;
mod rows;
mod run;
mod score;
mod spending;
#[cfg(test)]
mod tests;
mod text;
mod truth;
mod when;

pub use differ::{Difference, Pair};
pub use files::ScoreFiles;
pub use history::{History, read_csv};
pub use pace::Pace;
pub use prometheus::{Range, Reading, read_prometheus};
pub use report::{Differences, Figures, Lasted, Read, Report, Side};
pub use rows::{Broken, Form, Notes, Reader, Row};
pub use run::{Claim, Outcome, Picture, Run, Setup};
pub use score::{Failure, Scored, TreeError, score, score_tree};
pub use spending::Spending;
pub use truth::{Event, Group, Score, Topic, Truth, Who};
pub use when::time_of;
