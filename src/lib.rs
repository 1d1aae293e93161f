//! nightjar: watches telemetry, explains incidents in chat, acts only after a button was pressed.

pub mod app;
pub mod approve;
pub mod assist;
pub mod bus;
pub mod chat;
pub mod cli;
pub mod command;
pub mod config;
pub mod correlate;
pub mod demo;
pub mod detect;
pub mod diagnose;
pub mod llm;
pub mod model;
pub mod notify;
pub mod observe;
pub mod remediate;
pub mod runbook;
pub mod stage;
pub mod stats;
pub mod store;
pub mod telemetry;
pub mod templates;
pub mod web;
