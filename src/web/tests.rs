//! The web server against a real store.
