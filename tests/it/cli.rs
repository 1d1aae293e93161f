//! The real binary, command by command: exit codes, what is said, and where.

mod cases;
mod models;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::bot::{Bot, HOOK_SECRET, TOKEN};
use crate::support::{free_port, serve};

/// What a command gave.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// The same, after a look at the exit code.
    #[track_caller]
    fn code(self, wanted: i32) -> Self {
        assert_eq!(self.code, wanted, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn has(&self, what: &str) {
        assert!(
            self.out.contains(what) || self.err.contains(what),
            "`{what}` in\n{}\n{}",
            self.out,
            self.err
        );
    }
}

fn nightjar(args: &[&str], folder: &Path) -> Said {
    with(args, folder, &[])
}

#[expect(clippy::disallowed_methods, reason = "the program itself is what is tested")]
fn with(args: &[&str], folder: &Path, environment: &[(&str, &str)]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_nightjar"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// Commands wait for the bot, which runs on this runtime's threads or in its own process.
async fn beside(args: &[&str], folder: &Path, environment: &[(&str, &str)]) -> Said {
    let own = |list: &[&str]| list.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
    let (args, folder) = (own(args), folder.to_owned());
    let environment: Vec<(String, String)> =
        environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let work = move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        with(&args, &folder, &environment)
    };
    tokio::task::spawn_blocking(work).await.expect("it ends")
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a scratch folder")
}

/// Every command, with the commands below it.
const COMMANDS: &[&[&str]] = &[
    &["demo"],
    &["replay"],
    &["backtest"],
    &["run"],
    &["check"],
    &["ask"],
    &["login"],
    &["status"],
    &["incidents"],
    &["why"],
    &["silence"],
    &["silence", "add"],
    &["silence", "list"],
    &["silence", "end"],
    &["audit"],
    &["audit", "verify"],
    &["config"],
    &["config", "example"],
    &["config", "schema"],
    &["config", "check"],
    &["logs"],
    &["logs", "templates"],
    &["model"],
    &["model", "list"],
    &["model", "show"],
    &["model", "train"],
    &["model", "promote"],
    &["model", "rollback"],
    &["completions"],
];

#[test]
fn every_command_has_help_and_is_listed() {
    let folder = scratch();
    let help = nightjar(&["--help"], folder.path()).code(0);
    for command in COMMANDS {
        help.has(command[0]);
        let own = nightjar(&[command, &["--help"] as &[_]].concat(), folder.path()).code(0);
        own.has("Usage: nightjar");
    }
    nightjar(&["--version"], folder.path()).code(0).has(env!("CARGO_PKG_VERSION"));
}

#[test]
fn wrong_usage_is_exit_code_2_with_a_hint() {
    let folder = scratch();
    nightjar(&[], folder.path()).code(2).has("Usage:");
    nightjar(&["demoo"], folder.path()).code(2).has("demo");
    nightjar(&["demo", "--speed", "0"], folder.path()).code(2).has("0.1 to 600");
    nightjar(&["demo", "--scenario", "pool"], folder.path()).code(2).has("pool-exhaustion");
    nightjar(&["replay", "pool"], folder.path()).code(2).has("pool-exhaustion");
    nightjar(&["run", "--log", "=="], folder.path()).code(2);
    nightjar(&["status", "--url", "nonsense"], folder.path()).code(2).has("http://");
}

#[test]
fn configuration_commands_make_check_and_explain() {
    let folder = scratch();
    let at = folder.path();
    for args in [&["run"] as &[&str], &["check"], &["config", "check"]] {
        nightjar(args, at).code(2).has("nightjar config example > nightjar.toml");
    }
    let example = nightjar(&["config", "example"], at).code(0).out;
    std::fs::write(at.join("nightjar.toml"), &example).expect("written");
    nightjar(&["config", "check"], at).code(0).has("nightjar.toml is right");
    let schema = nightjar(&["config", "schema"], at).code(0).out;
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    assert!(schema["properties"]["detect"].is_object());
    let wrong = "[detect]\ntreshold = 4\n[web]\nbind = 80\nhook_secret = \"short-fake\"\n";
    std::fs::write(at.join("wrong.toml"), wrong).expect("written");
    for command in [&["run"] as &[&str], &["check"], &["config", "check"]] {
        let said = nightjar(&[command, &["--config", "wrong.toml"]].concat(), at).code(2);
        said.has("wrong.toml:2:1: detect.treshold: is not a setting; did you mean `threshold`?");
        said.has("wrong.toml:4:8: web.bind: expected a text, found a whole number");
        said.has("3 mistakes in the configuration.");
        assert!(!said.err.contains("short-fake"), "{}", said.err);
        assert_eq!(said.out, "", "mistakes go to standard error");
    }
    let open = [("NIGHTJAR__WEB__BIND", "0.0.0.0:0"), ("NIGHTJAR_CONFIG", "nightjar.toml")];
    with(&["run"], at, &open).code(2).has("can be reached from other machines");
    let env = [("NIGHTJAR__WEB__BIND", "7878"), ("NIGHTJAR_CONFIG", "nightjar.toml")];
    with(&["config", "check"], at, &env).code(2).has("environment variable NIGHTJAR__WEB__BIND");
}

#[test]
fn templates_are_mined_from_files_with_a_row_for_each_line() {
    let folder = scratch();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write(
        "a.log",
        "2026-11-21 10:00:00 INFO request 1 took 4 ms\n\
         2026-11-21 10:00:01 ERROR order 7 failed\njava.io.IOException: x\n\tat a.B.c(B.java:1)\n\
         2026-11-21 10:00:02 INFO request 2 took 93 ms",
    );
    write("b.log", "{\"level\":\"info\",\"msg\":\"request 3 took 8 ms\"}\nsaid \"it, and\" left\n");
    let args = ["logs", "templates", "a.log", "b.log", "--csv", "out.csv"];
    nightjar(&args, folder.path()).code(0).has("7 lines, 3 templates, in out.csv.");
    let rows = std::fs::read_to_string(folder.path().join("out.csv")).expect("written");
    insta::assert_snapshot!(rows, @r#"
    line_no,template_id,template
    1,0,"request <*> took <*>"
    2,1,"order <*> failed"
    3,1,"order <*> failed"
    4,1,"order <*> failed"
    5,0,"request <*> took <*>"
    6,0,"request <*> took <*>"
    7,2,"said <*> left"
    "#);
    let missing = ["logs", "templates", "a.log", "none.log", "--csv", "out.csv"];
    nightjar(&missing, folder.path()).code(1).has("none.log can't be read");
    let nowhere = ["logs", "templates", "a.log", "--csv", "none/out.csv"];
    nightjar(&nowhere, folder.path()).code(1).has("none/out.csv can't be written");
    nightjar(&["logs", "templates", "--csv", "out.csv"], folder.path()).code(2).has("<FILES>");
    let kept = std::fs::read_to_string(folder.path().join("out.csv")).expect("still there");
    assert_eq!(kept, rows, "what fails leaves the last result as it was");
    assert!(!folder.path().join("out.csv.partial").exists());
}

#[test]
fn templates_are_never_written_over_what_is_read() {
    let folder = scratch();
    let at = folder.path();
    std::fs::write(at.join("a.log"), "request 1 took 4 ms\n").expect("written");
    std::fs::hard_link(at.join("a.log"), at.join("b.log")).expect("linked");
    for out in ["a.log", "./a.log", "b.log"] {
        let args = ["logs", "templates", "a.log", "--csv", out];
        nightjar(&args, at).code(2).has("Choose another file for --csv.");
        let log = std::fs::read_to_string(at.join("a.log")).expect("still there");
        assert_eq!(log, "request 1 took 4 ms\n");
    }
    // Nor by what lies beside the result while it is made.
    for beside in ["out.csv.partial", "out.csv.partial-1"] {
        std::fs::copy(at.join("a.log"), at.join(beside)).expect("copied");
    }
    let args = ["logs", "templates", "out.csv.partial", "out.csv.partial-1", "--csv", "out.csv"];
    nightjar(&args, at).code(0).has("2 lines, 1 template, in out.csv.");
    for beside in ["out.csv.partial", "out.csv.partial-1"] {
        let log = std::fs::read_to_string(at.join(beside)).expect("still there");
        assert_eq!(log, "request 1 took 4 ms\n", "{beside}");
    }
    assert!(!at.join("out.csv.partial-2").exists());
    let said = nightjar(&["logs", "templates", "a.log", "--csv", "-"], at).code(0);
    assert_eq!(said.out, "line_no,template_id,template\n1,0,\"request <*> took <*>\"\n");
    assert!(!at.join("-").exists());
}

#[test]
fn completions_know_the_commands() {
    let folder = scratch();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        nightjar(&["completions", shell], folder.path()).code(0).has("incidents");
    }
}

#[test]
fn check_says_what_fails_and_is_read_by_machines() {
    let folder = scratch();
    let at = folder.path();
    std::fs::write(at.join("nightjar.toml"), "[web]\nbind = \"127.0.0.1:0\"\n").expect("written");
    let said = nightjar(&["check", "--json"], at).code(0);
    let value: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(value["ok"], true, "{value:#}");
    let url = format!("http://127.0.0.1:{}", free_port());
    let env = [("NIGHTJAR__PROMETHEUS__0__NAME", "gone"), ("NIGHTJAR__PROMETHEUS__0__URL", &url)];
    let said = with(&["check", "--timeout", "5"], at, &env).code(1);
    said.has("FAIL  prometheus gone");
    said.has("mend prometheus[0].url");
    assert!(!at.join("nightjar-data").exists(), "the check leaves nothing behind");
}

#[tokio::test]
async fn reading_commands_ask_the_running_bot_and_then_its_store() {
    let mut bot = Bot::on(free_port(), "").await;
    let data = bot.data().display().to_string();
    let place = ["--data-dir", data.as_str()];
    let at = scratch();
    let run = async |args: &[&str]| beside(&[args, &place].concat(), at.path(), &[]).await;

    let source = format!("Asked the bot at {}.", bot.url(""));
    let status = run(&["status"]).await.code(0);
    status.has(&source);
    status.has("is running");
    run(&["incidents"]).await.code(0).has("No active incidents.");
    run(&["ask", "what", "is", "the", "status?"]).await.code(0).has("No model used.");
    run(&["why", "77"]).await.code(1).has("There is no incident 77");
    run(&["audit", "verify"]).await.code(0).has("The chain is whole");

    let add = ["silence", "add", "service=\"search\"", "--for", "2 h", "--reason", "reindexing"];
    let made = run(&add).await.code(0);
    made.has("service=\"search\"");
    made.has("reindexing");
    let list = run(&["silence", "list", "--json"]).await.code(0);
    let list: Value = serde_json::from_str(&list.out).expect("JSON");
    let id = list["silences"][0]["id"].as_str().expect("an id").to_owned();
    run(&["silence", "end", &id]).await.code(0).has("Ended");
    run(&["silence", "list"]).await.code(0).has("No silences.");
    run(&["silence", "list", "--all"]).await.code(0).has("reindexing");
    let all = ["silence", "add", "service=~\".*\"", "--for", "2 h", "--reason", "x"];
    run(&all).await.code(1).has("silence everything");

    bot.kill();
    let status = run(&["status"]).await.code(1);
    status.has("No bot runs here; read from its store");
    run(&["incidents", "--all"]).await.code(0).has("No incidents yet.");
    run(&["ask", "status"]).await.code(0).has("read from its store");
    run(&["silence", "list", "--all"]).await.code(0).has("reindexing");
    run(&add).await.code(1).has("the bot must run");
    run(&["audit", "verify"]).await.code(0).has("The chain is whole");

    let store = bot.data().join("nightjar.sqlite");
    let conn = rusqlite::Connection::open(store).expect("it opens");
    // Whoever changes a record has no scruples about the triggers that forbid it.
    let mut named = conn.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'").unwrap();
    let triggers: Vec<String> =
        named.query_map([], |r| r.get(0)).unwrap().map(|name| name.unwrap()).collect();
    for trigger in triggers {
        conn.execute_batch(&format!("DROP TRIGGER \"{trigger}\"")).expect("dropped");
    }
    drop(named);
    let changed = conn
        .execute("UPDATE audit SET detail = replace(detail, 'reindexing', 'reindexinG')", [])
        .expect("changed");
    assert!(changed > 0);
    drop(conn);
    run(&["audit", "verify"]).await.code(1).has("The chain is broken");
}

#[tokio::test]
async fn a_bot_elsewhere_is_asked_by_address_and_token() {
    let bot = Bot::on(free_port(), "").await;
    let at = scratch();
    let url = bot.url("");
    let none = at.path().join("none");
    let run = async |args: &[&str], env: &[(&str, &str)]| beside(args, at.path(), env).await;
    run(&["status", "--url", &url], &[]).await.code(1).has("wants a token");
    let wrong = [("NIGHTJAR_TOKEN", "not-the-right-token")];
    run(&["status", "--url", &url], &wrong).await.code(1).has("wants a token");
    let right = [("NIGHTJAR_TOKEN", TOKEN), ("NIGHTJAR_URL", url.as_str())];
    run(&["status"], &right).await.code(0).has("is running");
    let file = at.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).expect("written");
    let file = file.display().to_string();
    let said = run(&["incidents", "--url", &url, "--token-file", &file, "--json"], &[]).await;
    let said: Value = serde_json::from_str(&said.code(0).out).expect("JSON");
    assert_eq!(said, json!({ "incidents": [] }));
    let gone = format!("http://127.0.0.1:{}", free_port());
    run(&["status", "--url", &gone], &right[..1]).await.code(1).has("can't be reached");
    let none = none.display().to_string();
    run(&["status", "--data-dir", &none], &[]).await.code(1).has("there is no store in");
}

#[tokio::test]
async fn a_login_link_opens_a_session_that_outlives_the_bot() {
    let mut bot = Bot::on(free_port(), "").await;
    let data = bot.data().display().to_string();
    let at = scratch();
    let args = ["login", "--name", "bea", "--role", "responder", "--data-dir", &data];
    let link = beside(&args, at.path(), &[]).await.code(0).out.trim().to_owned();
    assert!(link.starts_with(&bot.url("/login?token=")), "{link}");
    let http = reqwest::Client::builder().build().expect("a client");
    let answer = http.get(&link).send().await.expect("the bot answers");
    let cookie = answer.headers()["set-cookie"].to_str().expect("text").to_owned();
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let again = http.get(&link).send().await.expect("the bot answers").status();
    assert_eq!(again.as_u16(), 401, "it works once");
    bot.kill();
    bot.again().await;
    let me = http.get(bot.url("/api/v1/me")).header("Cookie", cookie);
    let me: Value = me.send().await.expect("the bot answers").json().await.expect("JSON");
    assert_eq!((&me["name"], &me["role"]), (&json!("bea"), &json!("responder")));
    bot.kill();
    beside(&args, at.path(), &[]).await.code(1).has("the bot must run");
}

#[test]
fn an_address_that_others_reach_is_refused_without_keys() {
    let at = scratch();
    std::fs::write(at.path().join("nightjar.toml"), "").expect("written");
    let said = with(&["run", "--bind", "0.0.0.0:0"], at.path(), &[]);
    said.has("can be reached from other machines");
    said.has("web.ingest_token");
    assert_ne!(said.code, 0);
    assert!(!said.out.contains("/login?token="), "{}", said.out);
}

#[tokio::test]
async fn a_taken_port_or_folder_is_said_with_what_to_do() {
    let bot = Bot::on(free_port(), "").await;
    let at = scratch();
    std::fs::write(at.path().join("nightjar.toml"), "").expect("written");
    let bind = bot.url("").trim_start_matches("http://").to_owned();
    let port = bind.rsplit(':').next().unwrap_or_default().to_owned();
    let said = beside(&["run", "--bind", &bind], at.path(), &[]).await.code(1);
    said.has(&format!("port {port} on 127.0.0.1 is taken"));
    let said = beside(&["demo", "--port", &port, "--no-browser"], at.path(), &[]).await.code(1);
    said.has("--port");
    let data = bot.data().display().to_string();
    let args = ["run", "--bind", "127.0.0.1:0", "--data-dir", &data];
    let said = beside(&args, at.path(), &[]).await.code(1);
    said.has("in use by a running nightjar");
    said.has(&bot.url(""));
    let said = beside(&["check"], &config_folder(&bot), &[]).await.code(0);
    said.has("is held by the running bot");
}

fn config_folder(bot: &Bot) -> PathBuf {
    bot.data().parent().map(Path::to_owned).unwrap_or_default()
}

/// One start with a changed setting in each section whose effect is seen from outside.
#[tokio::test]
async fn settings_reach_the_code() {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let model = format!("http://{}/v1", listener.local_addr().expect("it is bound"));
    serve(pretend_model(listener, heard.clone()));
    let own = scratch();
    let runbook = include_str!("../../runbooks/crash-loop.md")
        .replace("id: crash-loop", "id: own-crash-loop")
        .replacen("title: ", "title: Zebra ", 1);
    std::fs::write(own.path().join("own-crash-loop.md"), runbook).expect("written");
    let settings = format!(
        "public_url = \"https://nightjar.example.org/\"\n\
         [graph.calls]\nleft = [\"right\"]\n\
         [silences]\nlongest_h = 1\n\
         [[maintenance]]\nname = \"tonight\"\nmatchers = ['service=\"reports\"']\n\
         from = \"00:00\"\nminutes = 1440\n\
         [runbooks]\nfolders = [{:?}]\n\
         [changes.repositories]\n\"example/shop-orders\" = \"orders\"\n\
         [llm]\nbase_url = \"{model}\"\nmodel = \"tiny\"\napi_key = \"fake-model-key\"\n\
         max_tokens_per_answer = 4000\n",
        own.path().display()
    );
    let bot = Bot::on(free_port(), &settings).await;
    let data = bot.data().display().to_string();
    let at = scratch();
    let run = async |args: &[&str]| {
        beside(&[args, &["--data-dir", &data]].concat(), at.path(), &[]).await
    };
    let edges = bot.get("/api/v1/services").await["edges"].take();
    assert_eq!(edges[0]["from"], "service.name=left", "[graph] {edges}");
    run(&["silence", "list"]).await.code(0).has("tonight");
    let two = ["silence", "add", "service=\"x\"", "--for", "2 h", "--reason", "long"];
    run(&two).await.code(1).has("between one minute and 1 h");
    let found = bot.get("/api/v1/runbooks?q=zebra").await;
    assert_eq!(found["runbooks"][0]["id"], "own-crash-loop", "[runbooks] {found}");
    run(&["ask", "status"]).await.code(0);
    let heard = heard.lock().expect("nothing panics under this lock").join("\n");
    assert!(heard.to_lowercase().contains("authorization: bearer fake-model-key"), "{heard}");
    assert!(heard.contains("\"tiny\""), "{heard}");
    let log = std::fs::read_to_string(bot.log()).expect("a log");
    assert!(log.contains("Log in once with https://nightjar.example.org/login?token="), "{log}");
    assert!(!log.contains("fake-model-key"));
}

/// Answers every request as a model would that has nothing to say, and keeps what it was sent.
async fn pretend_model(listener: tokio::net::TcpListener, heard: Arc<Mutex<Vec<String>>>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    while let Ok((mut socket, _)) = listener.accept().await {
        let mut text = Vec::new();
        let mut buffer = [0_u8; 16_384];
        // Head and body come in a few pieces; the body's length ends them.
        while let Ok(n) = socket.read(&mut buffer).await {
            text.extend_from_slice(&buffer[..n]);
            let so_far = String::from_utf8_lossy(&text).into_owned();
            let length = so_far
                .to_lowercase()
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.trim().parse::<usize>().ok());
            let body = so_far.split_once("\r\n\r\n").map(|(_, body)| body.len());
            if n == 0 || (body.is_some() && body >= length) {
                break;
            }
        }
        let said = String::from_utf8_lossy(&text).into_owned();
        heard.lock().expect("nothing panics under this lock").push(said);
        let body = r#"{"choices":[{"message":{"role":"assistant","content":"Nothing."},"finish_reason":"stop"}]}"#;
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(answer.as_bytes()).await.ok();
    }
}

#[tokio::test]
async fn a_pipeline_announces_a_deploy_with_the_shipped_script() {
    let Some(_) = crate::support::installed("curl") else { return };
    let Some(_) = crate::support::installed("openssl") else { return };
    let bot = Bot::on(free_port(), "").await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/connect/announce-deploy.sh");
    let url = bot.url("");
    let announced = tokio::task::spawn_blocking(move || {
        announce(&script, &[&url, "orders", "4.7.2", "4.7.1", "A \"quoted\" author"])
    });
    let (good, said) = announced.await.expect("it ends");
    assert!(good, "{said}");
    let changes = bot.list("changes").await;
    assert_eq!(changes[0]["version"], "4.7.2", "{changes:?}");
    assert_eq!(changes[0]["author"], "A \"quoted\" author");
}

#[expect(clippy::disallowed_methods, reason = "the shipped script is what is tested")]
fn announce(script: &Path, args: &[&str]) -> (bool, String) {
    let output = Command::new("sh")
        .arg(script)
        .args(args)
        .env("NIGHTJAR_HOOK_SECRET", HOOK_SECRET)
        .output()
        .expect("it starts");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}
