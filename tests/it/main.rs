//! The one integration test binary.

mod prometheus;
mod support;
mod tidy;
