//! The one integration test binary.

mod alertmanager;
mod bad_input;
mod bad_sources;
mod bot;
mod browser;
mod cli;
mod content;
mod crash;
mod demo;
mod deploy;
mod discovery;
mod durability;
mod ending;
mod invariants;
mod llm;
mod openai_fake;
mod otlp;
mod pipeline;
mod prometheus;
mod promql;
mod retention;
mod scenarios;
mod support;
mod tidy;
mod wrong_fix;
