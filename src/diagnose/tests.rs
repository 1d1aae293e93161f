//! The ranking on hand-made faults.
