//! Discord as a chat platform.

mod config;
#[cfg_attr(not(test), expect(dead_code, reason = "its caller comes with the adapter"))]
mod modal;
#[cfg_attr(not(test), expect(dead_code, reason = "its caller comes with the adapter"))]
mod render;
#[cfg(test)]
mod tests;
mod text;

pub use config::Config;
