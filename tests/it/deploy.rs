//! The files of `deploy/`: each is read by what it is for, as far as that is installed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::bot::{Bot, HOOK_SECRET};
use crate::support::{free_port, installed};

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(deploy(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// All documents of a YAML file.
fn yaml(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[expect(clippy::disallowed_methods, reason = "tests run the programs that files are for")]
fn run(program: &Path, args: &[&str], folder: &Path) -> Output {
    Command::new(program).args(args).current_dir(folder).output().expect("it starts")
}

fn passes(program: &Path, args: &[&str], folder: &Path) {
    let output = run(program, args, folder);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {args:?}: {said}", program.display());
}

/// The command line is one that the binary takes.
fn is_command_line(args: &[&str]) {
    let binary = Path::new(env!("CARGO_BIN_EXE_nightjar"));
    passes(binary, &[args, &["--help"]].concat(), Path::new("."));
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn prometheus_takes_its_configuration_and_rules() {
    let Some(promtool) = installed("promtool") else { return };
    let folder = deploy("connect");
    passes(&promtool, &["check", "config", "prometheus.yml"], &folder);
    passes(&promtool, &["check", "rules", "nightjar.rules.yml"], &folder);
}

#[test]
fn alertmanager_takes_its_configuration() {
    let config = &yaml("connect/alertmanager.yml")[0];
    let hook = &config["receivers"][0]["webhook_configs"][0];
    assert_eq!(hook["url"], "http://nightjar:7878/ingest/alertmanager");
    assert_eq!(hook["send_resolved"], true);
    let Some(amtool) = installed("amtool") else { return };
    // The token's file is looked for.
    let scratch = tempfile::tempdir().expect("a folder");
    let token = scratch.path().join("ingest");
    std::fs::write(&token, "fake-ingest-token").expect("written");
    let here = text("connect/alertmanager.yml")
        .replace("/run/secrets/ingest", &token.display().to_string());
    std::fs::write(scratch.path().join("alertmanager.yml"), here).expect("written");
    passes(&amtool, &["check-config", "alertmanager.yml"], scratch.path());
}

#[test]
fn the_collector_sends_all_three_signals_to_us() {
    let config = &yaml("connect/otel-collector.yml")[0];
    for signal in ["logs", "traces", "metrics"] {
        let pipeline = &config["service"]["pipelines"][signal];
        for (kind, names) in [
            ("receivers", &pipeline["receivers"]),
            ("processors", &pipeline["processors"]),
            ("exporters", &pipeline["exporters"]),
        ] {
            for name in strings(names) {
                assert!(config[kind].get(name).is_some(), "{signal}: {kind} has no {name}");
            }
        }
        assert_eq!(strings(&pipeline["exporters"]), ["otlphttp/nightjar"]);
    }
}

#[test]
fn systemd_takes_the_unit() {
    let unit = text("systemd/nightjar.service");
    let line =
        unit.lines().find_map(|l| l.strip_prefix("ExecStart=")).expect("it starts something");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[0], "/usr/local/bin/nightjar");
    is_command_line(&words[1..]);
    // A container has no systemd, and needs none.
    let analyze = Path::new("/usr/bin/systemd-analyze");
    if !analyze.exists() {
        println!("skipped: systemd-analyze is not installed");
        return;
    }
    // The program is looked for where the unit says, so the unit is told of ours.
    let scratch = tempfile::tempdir().expect("a folder");
    let here = unit.replace("/usr/local/bin/nightjar", env!("CARGO_BIN_EXE_nightjar"));
    std::fs::write(scratch.path().join("nightjar.service"), here).expect("written");
    passes(analyze, &["verify", "--man=no", "./nightjar.service"], scratch.path());
}

/// The image starts what the binary has, and copies what the build reads.
#[test]
fn the_image_is_built_of_what_is_there() {
    let file = text("docker/Dockerfile");
    for head in ["CMD [", "    CMD ["] {
        let line = file.lines().rfind(|l| l.starts_with(head)).expect("a command");
        let json = &line[line.find('[').expect("a list")..];
        let words: Vec<String> = serde_json::from_str(json).expect("a list of texts");
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        is_command_line(words.strip_prefix(&["nightjar"]).unwrap_or(&words));
    }
    let kept = text("docker/Dockerfile.dockerignore");
    let root = deploy("..");
    for path in kept.lines().filter_map(|l| l.strip_prefix('!')) {
        assert!(root.join(path).exists(), "{path} is not there");
    }
    for needed in ["Cargo.toml", "Cargo.lock", "src", "benches", "prompts", "runbooks"] {
        assert!(kept.lines().any(|l| l == format!("!{needed}")), "the build needs {needed}");
    }
}

#[test]
fn compose_sets_what_a_start_needs() {
    let compose = &yaml("docker/docker-compose.yml")[0];
    let bot = &compose["services"]["nightjar"];
    is_command_line(&strings(&bot["command"]));
    let scratch = tempfile::tempdir().expect("a folder");
    let mut environment = Vec::new();
    for (name, value) in bot["environment"].as_object().expect("a table") {
        let mut value = value.as_str().expect("a text").to_owned();
        if let Some(secret) = value.strip_prefix("/run/secrets/") {
            assert!(compose["secrets"].get(secret).is_some(), "{secret} is not declared");
            let file = scratch.path().join(secret);
            std::fs::write(&file, format!("fake-{secret}-secret-long-enough\n")).expect("written");
            value = file.display().to_string();
        }
        environment.push((name.clone(), value));
    }
    let config = nightjar::config::load(nightjar::config::EXAMPLE, &environment)
        .unwrap_or_else(|w| panic!("{}", w.render("example", nightjar::config::EXAMPLE)));
    assert_eq!(config.prometheus[0].url, "http://prometheus:9090");
    assert_eq!(config.web.tokens[0].secret.reveal(), "fake-admin-secret-long-enough");
    for service in ["prometheus", "alertmanager"] {
        for volume in strings(&compose["services"][service]["volumes"]) {
            if let Some(file) = volume.strip_prefix("../").and_then(|v| v.split(':').next()) {
                assert!(deploy(file).exists(), "{file} is not there");
            }
        }
    }
}

#[test]
fn the_manifests_fit_together_and_their_configuration_is_right() {
    let kustomize = &yaml("kubernetes/kustomization.yaml")[0];
    let mut by_kind: BTreeMap<String, Value> = BTreeMap::new();
    for file in strings(&kustomize["resources"]) {
        for document in yaml(&format!("kubernetes/{file}")) {
            assert!(document["apiVersion"].is_string(), "{file}");
            by_kind.insert(document["kind"].as_str().expect("a kind").to_owned(), document);
        }
    }
    let pod = &by_kind["StatefulSet"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    is_command_line(&strings(&container["args"]));
    assert_eq!(by_kind["StatefulSet"]["spec"]["replicas"], 1, "one bot to a database");
    let labels = &by_kind["StatefulSet"]["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&by_kind["Service"]["spec"]["selector"], labels);
    let claims = by_kind["StatefulSet"]["spec"]["volumeClaimTemplates"].as_array();
    let claimed = claims.into_iter().flatten().filter_map(|c| c["metadata"]["name"].as_str());
    let volumes = pod["volumes"].as_array().into_iter().flatten();
    let known: Vec<&str> = volumes.filter_map(|v| v["name"].as_str()).chain(claimed).collect();
    for mount in container["volumeMounts"].as_array().expect("mounts") {
        let name = mount["name"].as_str().expect("a name");
        assert!(known.contains(&name), "{name} is no volume");
    }
    for file in strings(&kustomize["configMapGenerator"][0]["files"]) {
        let scratch = tempfile::tempdir().expect("a folder");
        for secret in ["ingest", "admin"] {
            std::fs::write(scratch.path().join(secret), "fake-and-long-enough").expect("written");
        }
        let text = text(&format!("kubernetes/{file}"))
            .replace("/run/secrets/nightjar", &scratch.path().display().to_string());
        let config = nightjar::config::load(&text, &[])
            .unwrap_or_else(|w| panic!("{}", w.render(file, &text)));
        let addr = config.web.bind.parse().expect("an address");
        assert_eq!(nightjar::web::check_bind(addr, &config.web), Ok(()));
    }
}

#[tokio::test]
async fn whoever_relays_a_status_page_tells_of_it_with_the_shipped_script() {
    let (Some(_), Some(_)) = (installed("curl"), installed("openssl")) else { return };
    let bot = Bot::on(free_port(), "").await;
    let folder = tempfile::tempdir().expect("a scratch folder");
    let body = folder.path().join("event.json");
    // What the head of the script shows.
    let script = text("connect/announce-change.sh");
    let example = script.split("<<END\n").nth(1).and_then(|s| s.split("#   END").next());
    let example = example.expect("an example").replace("\n#", "\n").replace("#   {", "{");
    std::fs::write(&body, example).expect("written");
    let (url, script) = (bot.url(""), deploy("connect/announce-change.sh"));
    let sent = tokio::task::spawn_blocking(move || announce(&script, &url, &body)).await;
    let output = sent.expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let changes = bot.list("changes").await;
    assert_eq!(changes[0]["kind"], "provider", "{changes:?}");
    assert_eq!(changes[0]["entity"], "server.address=api.stripe.com");
    assert_eq!(changes[0]["status"], "investigating");
}

#[expect(clippy::disallowed_methods, reason = "the shipped script is what is tested")]
fn announce(script: &Path, url: &str, body: &Path) -> Output {
    let body = std::fs::File::open(body).expect("opens");
    Command::new("sh")
        .args([script.as_os_str(), url.as_ref()])
        .stdin(body)
        .env("NIGHTJAR_HOOK_SECRET", HOOK_SECRET)
        .output()
        .expect("it starts")
}
