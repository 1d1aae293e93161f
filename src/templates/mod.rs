//! The log template miner: turns lines into templates with `<*>` for what varies.
//!
//! Takes raw lines of any form, gives the id of each line's template at once and tells later when
//! two templates turned out to be one. Steps: [`Folder`] joins the lines of a stack trace,
//! [`record::read`] takes off the head and reads JSON and logfmt, [`Miner::learn`] masks what
//! certainly varies, then finds the template in a tree of fixed depth or makes one.
//!
//! Guarantees: the same lines in the same order give the same templates; a miner restored from its
//! snapshot goes on alike; state is bounded by the capacity, the time of a line by constants; no
//! input panics; a template's text has no control characters.
//!
//! Sources: He, Zhu, Zheng and Lyu 2017, "Drain: An online log parsing approach with fixed depth
//! tree" (tree, masking first); Dai, Li, Chen, Shang and Chen 2020, "Logram: Efficient log parsing
//! using n-gram dictionaries" (words that take many values beside equal neighbours vary); Corbató
//! 1968, "A paging experiment with the Multics system" (the clock for eviction).

mod cache;
mod class;
mod fold;
mod head;
mod holes;
mod json;
mod kind;
mod lex;
mod mask;
mod miner;
mod pattern;
pub mod record;
mod runs;
mod slots;
mod spans;
#[cfg(test)]
mod tests;
mod tree;

pub use fold::{Event, Folder};
pub use mask::{Piece, masked};
pub use miner::{Match, Merge, Miner, TemplateId};
