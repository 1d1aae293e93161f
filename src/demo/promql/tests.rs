//! Answers against values computed by hand.
