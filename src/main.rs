//! The program: command line, configuration, composition.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One TLS back-end for every client; it can only be set once, and this is the first to do so.
    rustls::crypto::ring::default_provider().install_default().ok();
    nightjar::cli::main()
}
