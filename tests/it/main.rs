//! The one integration test binary.

mod browser;
mod prometheus;
mod support;
mod tidy;
