//! The one integration test binary.

mod alertmanager;
mod bad_input;
mod bot;
mod browser;
mod otlp;
mod pipeline;
mod prometheus;
mod support;
mod tidy;
