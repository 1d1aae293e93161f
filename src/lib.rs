//! nightjar: watches telemetry, explains incidents in chat, acts only after a button was pressed.

pub mod model;
pub mod store;
