//! Slack as a chat platform.

mod config;

pub use config::Config;
