//! Programs on a list, without a shell, with a time limit and an empty environment.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;

use super::{Config, Executed};

/// Bytes of output that are kept of each stream.
const MOST_BYTES: usize = 16 * 1024;

/// Reads a stream to its end, so that the program never waits for us, and keeps its beginning.
/// What can't be read is missing from the record and changes nothing else.
async fn kept(mut stream: impl tokio::io::AsyncRead + Unpin, into: &mut Vec<u8>) {
    let mut part = [0_u8; 4_096];
    while let Ok(n @ 1..) = stream.read(&mut part).await {
        let room = MOST_BYTES.saturating_sub(into.len()).min(n);
        into.extend_from_slice(&part[..room]);
    }
}

/// A program with all that it started. Whatever is left of it when this is dropped is killed.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended by itself; then there is nothing to end.
            kill_process_group(leader, Signal::KILL).ok();
        }
    }
}

/// Runs a program, in a process group and an environment of its own. Exit code 0 is *done*; any other end after the start is *unknown*, because a
/// program that failed may have done half of its work.
#[expect(clippy::disallowed_methods, reason = "the one place that starts programs")]
pub(super) async fn run(
    config: &Config,
    program: &str,
    args: &[String],
    timeout_s: u32,
) -> Executed {
    if let Err(reason) = config.allows_command(program, args) {
        return Executed::NotSent { reason };
    }
    let spawned = tokio::process::Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(e) => return Executed::NotSent { reason: format!("{program} can't be started: {e}") },
    };
    let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let mut group = Group(leader);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let mut out = Vec::new();
        let mut err = Vec::new();
        if let (Some(stdout), Some(stderr)) = (stdout, stderr) {
            tokio::join!(kept(stdout, &mut out), kept(stderr, &mut err));
        }
        let status = child.wait().await;
        out.extend(err);
        (status, config.redacted(&String::from_utf8_lossy(&out)))
    };
    let limit = Duration::from_secs(u64::from(timeout_s.clamp(1, 3_600)));
    let result = tokio::time::timeout(limit, work).await;
    if matches!(&result, Ok((Ok(_), _))) {
        // Its number may be another program's by now.
        group.0 = None;
    }
    match result {
        Ok((Ok(status), text)) if status.success() => Executed::Done { output: text },
        Ok((Ok(status), text)) => {
            Executed::Unknown { reason: format!("it ended with {status}: {text}") }
        }
        Ok((Err(e), _)) => Executed::Unknown { reason: format!("its end could not be seen: {e}") },
        Err(_) => Executed::Unknown {
            reason: format!("it did not end within {} s and was stopped", limit.as_secs()),
        },
    }
}
