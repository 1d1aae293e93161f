//! Delivery against a platform in memory.
