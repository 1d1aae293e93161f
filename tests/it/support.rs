//! What tests share: free ports, programs that end with the test, scratch stores.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Installs the TLS provider; a second time is as good as the first.
pub(crate) fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A loopback port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

/// A program that is ended, with all that it started, when the test lets go of it.
pub(crate) struct Program(Child);

impl Drop for Program {
    #[expect(clippy::disallowed_methods, reason = "the standard library ends no process groups")]
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where an installed program is, or `None` with a printed message. In CI it must be there.
#[expect(clippy::disallowed_methods, reason = "tests find programs on the search path")]
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/bin"), PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|p| p.is_file());
    if found.is_none() {
        skipped(name);
    }
    found
}

/// The interpreter that `tests/run` gave the official clients, where it can import `module`, or
/// `None` with a printed message. In CI it must be there.
pub(crate) fn python_with(module: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/python"));
    let import = format!("import {module}");
    let found = path.is_file() && piped(&path, &["-c", &import], "").0 == 0;
    if !found {
        skipped(&format!("the Python module {module}, which tests/run brings,"));
    }
    found.then_some(path)
}

#[expect(clippy::disallowed_methods, reason = "only tests read what CI sets")]
fn skipped(what: &str) {
    let in_ci = std::env::var_os("CI").is_some_and(|v| v == "true");
    assert!(!in_ci, "{what} is not installed, and CI does not skip");
    println!("skipped: {what} is not installed");
}

/// Starts a program with its output in `folder`, and waits until it listens.
#[expect(clippy::disallowed_methods, reason = "tests start the real servers")]
pub(crate) async fn start(
    program: &Path,
    args: &[String],
    folder: &Path,
    listens: SocketAddr,
) -> Program {
    let log = std::fs::File::create(folder.join(format!("{}.log", listens.port())))
        .expect("the folder can be written");
    let child = Command::new(program)
        .args(args)
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file handle"))
        .stderr(log)
        .spawn()
        .expect("the program starts");
    let program = Program(child);
    eventually("a program to listen", Duration::from_secs(120), async || {
        tokio::net::TcpStream::connect(listens).await.is_ok()
    })
    .await;
    program
}

/// Runs a program on an input; gives its exit code and all that it said.
#[expect(clippy::disallowed_methods, reason = "tests ask the real tools")]
pub(crate) fn piped(program: &Path, args: &[&str], input: &str) -> (i32, String) {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A program that ends early has its reasons, and says them.
    stdin.write_all(input.as_bytes()).ok();
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

/// Bots at many times the speed of the clock that run at a time: each comes with a shop and two
/// weeks of history.
static SLOTS: Semaphore = Semaphore::const_new(2);

/// Waits for its turn to run such a bot; it lasts as long as what is given.
pub(crate) async fn slot() -> SemaphorePermit<'static> {
    SLOTS.acquire().await.expect("never closed")
}

/// Runs a server of the test's own beside the test, until its runtime ends.
#[expect(clippy::disallowed_methods, reason = "a test's own server beside the test")]
pub(crate) fn serve(server: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(server);
}

/// Waits until a condition of the real world holds.
pub(crate) async fn eventually(what: &str, patience: Duration, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited {patience:?} for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
