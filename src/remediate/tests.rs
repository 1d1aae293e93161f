//! Executors within their lists, orphans, and the measuring.
