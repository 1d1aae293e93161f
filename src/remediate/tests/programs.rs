//! Real programs: what they may be, what they get, how they end.

use std::time::{Duration, Instant};

use crate::remediate::{CommandRule, Config, Executed, command};

fn rule(program: &str, args: &[&str]) -> CommandRule {
    CommandRule { program: program.into(), args: args.iter().map(|a| (*a).to_owned()).collect() }
}

fn listed(rules: Vec<CommandRule>) -> Config {
    Config {
        commands: rules,
        secrets: [("token".to_owned(), "not-a-real-token-0123".into())].into(),
        ..Config::default()
    }
}

async fn run(config: &Config, program: &str, args: &[&str], timeout_s: u32) -> Executed {
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    command::run(config, program, &args, timeout_s).await
}

fn done(result: Executed) -> String {
    match result {
        Executed::Done { output } => output,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn only_listed_programs_with_arguments_that_fit_whole_are_started() {
    let config = listed(vec![
        rule("/bin/echo", &["[a-z]+", "--size=[0-9]{1,3}"]),
        rule("/bin/echo", &["one|two"]),
        // Such a pattern would break out of its anchors if it were not checked on its own.
        rule("/bin/cat", &["a)|(?:.*"]),
    ]);
    assert_eq!(
        done(run(&config, "/bin/echo", &["scale", "--size=3"], 5).await),
        "scale --size=3\n"
    );
    assert_eq!(done(run(&config, "/bin/echo", &["two"], 5).await), "two\n");
    for (program, args) in [
        ("/bin/echo", vec!["scale", "--size=3; id"]),
        ("/bin/echo", vec!["scale", "--size=3\n"]),
        ("/bin/echo", vec!["scale\nx", "--size=3"]),
        ("/bin/echo", vec!["$(id)", "--size=3"]),
        ("/bin/echo", vec!["onetwo"]),
        ("/bin/echo", vec!["scale"]),
        ("/bin/echo", vec!["scale", "--size=3", "more"]),
        ("echo", vec!["scale", "--size=3"]),
        ("/bin/../bin/echo", vec!["two"]),
        ("/bin/cat", vec!["/etc/hostname"]),
        ("/bin/ls", vec![]),
    ] {
        let result = run(&config, program, &args, 5).await;
        assert!(matches!(result, Executed::NotSent { .. }), "{program} {args:?}: {result:?}");
    }
    let gone = listed(vec![rule("/no/such/program", &[])]);
    let result = run(&gone, "/no/such/program", &[], 5).await;
    assert!(matches!(result, Executed::NotSent { .. }), "it was not started: {result:?}");
}

#[tokio::test]
async fn a_program_gets_no_shell_and_nothing_of_our_environment() {
    let config =
        listed(vec![rule("/usr/bin/env", &[]), rule("/bin/echo", &[".*"]), rule("/bin/pwd", &[])]);
    assert_eq!(done(run(&config, "/usr/bin/env", &[], 5).await), "PATH=/usr/bin:/bin\n");
    assert_eq!(done(run(&config, "/bin/pwd", &[], 5).await), "/\n");
    let text = "$HOME `id` $(id) ; id && id | id > /tmp/x *";
    assert_eq!(done(run(&config, "/bin/echo", &[text], 5).await), format!("{text}\n"));
}

#[tokio::test]
async fn its_output_is_cut_and_redacted() {
    let config = listed(vec![rule("/usr/bin/seq", &["[0-9]+"]), rule("/bin/echo", &[".*"])]);
    let much = done(run(&config, "/usr/bin/seq", &["200000"], 20).await);
    assert_eq!(much.len(), 16 * 1024);
    let said =
        done(run(&config, "/bin/echo", &["token not-a-real-token-0123 password=hunter2"], 5).await);
    assert!(said.starts_with("token [secret] password="), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn a_failed_program_may_have_done_half_of_its_work() {
    let config = listed(vec![rule("/bin/false", &[])]);
    let failed = run(&config, "/bin/false", &[], 5).await;
    let Executed::Unknown { reason } = failed else { panic!("{failed:?}") };
    assert!(reason.contains("exit status: 1"), "{reason}");
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_ended_with_all_that_it_started() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let mark = folder.path().join("child");
    // A shell of the test's own choice starts another program and waits for it.
    let config = listed(vec![rule("/bin/sh", &["-c", ".*"])]);
    let script = format!("sleep 300 & echo $! > {}; wait", mark.display());
    let begun = Instant::now();
    let late = run(&config, "/bin/sh", &["-c", &script], 1).await;
    let Executed::Unknown { reason } = late else { panic!("{late:?}") };
    assert_eq!(reason, "it did not end within 1 s and was stopped");
    assert!(begun.elapsed() < Duration::from_secs(20));
    let child = std::fs::read_to_string(&mark).expect("it was started");
    let stat = format!("/proc/{}/stat", child.trim());
    // Killed at once; whoever inherits it takes it from the list of processes a little later.
    let gone = || match std::fs::read_to_string(&stat) {
        Err(_) => true,
        Ok(text) => text.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with(['Z', 'X'])),
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while !gone() {
        assert!(Instant::now() < deadline, "the program that it started still runs");
        tokio::task::yield_now().await;
    }
}
