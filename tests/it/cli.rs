//! The real binary, command by command.
