//! The one integration test binary.

mod alertmanager;
mod bot;
mod browser;
mod otlp;
mod pipeline;
mod prometheus;
mod support;
mod tidy;
