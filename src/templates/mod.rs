//! The log template miner: turns lines into templates with `<*>` for what varies.
//!
//! Numbers, addresses, ids, paths and quoted values are masked first; a fixed-depth search over
//! the tokens that are left then finds the line's template or makes one (after He, Zhu, Zheng and
//! Lyu 2017, "Drain: An online log parsing approach with fixed depth tree"). Masking first keeps
//! the number of templates near the number of log statements.

mod mask;
mod miner;

pub use mask::mask;
pub use miner::{Match, Miner, TemplateId};
