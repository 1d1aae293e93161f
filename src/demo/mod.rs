//! The simulated shop: fourteen services that talk to the bot only through its real front doors.

pub mod promql;
pub mod scenario;
pub mod series;
pub mod town;
pub mod world;
