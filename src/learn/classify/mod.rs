//! Classify: a classifier of incidents trained on the site's own history. It decides nothing.
//!
//! Takes what was known of an incident a minute after its opening ([`mod@features`]), kept as a
//! [`Snapshot`], and what people and measured fixes said of it afterwards ([`Label`]); gives
//! versions with a card, and for each new incident a prediction: real or noise, what set it off,
//! the likely fix.
//!
//! Guarantees: the same history, settings and code give the same trees, by their hash. Nothing that
//! was known only later is looked at. A question with too little said about it stays silent. A
//! version is born in shadow: its answers are kept and compared, and shown only once somebody has
//! promoted it; when incidents or answers drift away from its card, it goes back to shadow by
//! itself. Old versions are kept whole and give their answers again.

mod assess;
mod config;
pub mod features;
mod features_of_place;
mod fit;
pub mod forest;
mod gather;
mod head;
mod keeper;
mod known;
mod label;
mod rows;

mod stage;
#[cfg(test)]
mod tests;
mod train;
mod watch;

pub use config::Config;
pub use features::{Features, Moment, features};
pub use head::Head;
pub use keeper::{Keeper, Learnable, Teachable, standing};
pub use known::Snapshot;
pub use label::Label;
pub use rows::{Case, History};
pub use stage::Classify;
pub use train::{Kept, TOLD_AT, Trained, train};
pub use watch::watch;
