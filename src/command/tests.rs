//! What people may do, and what is left behind when they may not.
