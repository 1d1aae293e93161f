//! The one integration test binary.

mod alertmanager;
mod bot;
mod browser;
mod pipeline;
mod otlp;
mod prometheus;
mod support;
mod tidy;
