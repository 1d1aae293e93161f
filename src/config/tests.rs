//! Tests of reading the configuration: every mistake at once, with its place and no secret.

use super::*;

mod pace;

fn pairs(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn wrong(text: &str, environment: &[(&str, &str)]) -> String {
    match load(text, &pairs(environment)) {
        Ok(_) => panic!("this was taken:\n{text}"),
        Err(wrong) => wrong.render("nightjar.toml", text),
    }
}

#[test]
fn all_mistakes_come_at_once_with_place_and_suggestion() {
    let text = r#"data_dir = 7

[detect]
treshold = 4.0
hold_s = "long"
group_wait_s = 30

[corelate]
quiet_s = 60

[approve]
role = "aprover"
high_risk_approvals = 300

[web]
bind = "localhost"
hook_secret = { env = "FAKE_UNSET" }
tokens = [
  { name = "ops", role = "admin", secret = "fake-but-long-enough" },
  { name = "ops", role = "viewer", secret = 12345678901234567 },
  { name = "tv", role = "viewer" },
]

[[prometheus]]
name = "main"
url = "ftp://prometheus"
interval_s = -1
queries = [{ promql = "up", metric = "up", indicator = "availability", entity = "none" }]

[[remediate.commands]]
program = "systemctl"
args = ["(restart"]
"#;
    insta::assert_snapshot!(wrong(text, &[("NIGHTJAR__DETECT__CLEAR_S", "soon"), ("NIGHTJAR__DETCT__HOLD_S", "1")]), @r#"
nightjar.toml:1:12: data_dir: expected a text, found a whole number
  |
1 | data_dir = 7
  |            ^

nightjar.toml:4:1: detect.treshold: is not a setting; did you mean `threshold`?
  |
4 | treshold = 4.0
  | ^^^^^^^^

nightjar.toml:5:10: detect.hold_s: expected a whole number of at least 0, found a text
  |
5 | hold_s = "long"
  |          ^^^^^^

nightjar.toml:6:1: detect.group_wait_s: is not a setting; it belongs to [correlate]
  |
6 | group_wait_s = 30
  | ^^^^^^^^^^^^

nightjar.toml:8:2: corelate: is not a setting; did you mean `correlate`?
  |
8 | [corelate]
  |  ^^^^^^^^

nightjar.toml:12:8: approve.role: "aprover" is not one of "viewer", "responder", "approver", "admin"; did you mean "approver"?
   |
12 | role = "aprover"
   |        ^^^^^^^^^

nightjar.toml:13:23: approve.high_risk_approvals: 300 is not a whole number from 1 to 10
   |
13 | high_risk_approvals = 300
   |                       ^^^

nightjar.toml:16:8: web.bind: expected an address with a port, such as "127.0.0.1:7878"
   |
16 | bind = "localhost"
   |        ^^^^^^^^^^^

nightjar.toml:17:15: web.hook_secret: the environment variable FAKE_UNSET is not set
   |
17 | hook_secret = { env = "FAKE_UNSET" }
   |               ^^^^^^^^^^^^^^^^^^^^^^

nightjar.toml:20:45: web.tokens[1].secret: expected a text, { env = "NAME" } or { file = "path" }, found a whole number
   |
20 |   { name = "ops", role = "viewer", secret = ***************** },
   |                                             ^^^^^^^^^^^^^^^^^

nightjar.toml:21:3: web.tokens[2]: `secret` or `secret_file` is missing
   |
21 |   { name = "tv", role = "viewer" },
   |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

nightjar.toml:26:7: prometheus[0].url: expected an http or https address, found ftp
   |
26 | url = "ftp://prometheus"
   |       ^^^^^^^^^^^^^^^^^^

nightjar.toml:27:14: prometheus[0].interval_s: -1 is not a whole number of at least 1
   |
27 | interval_s = -1
   |              ^^

nightjar.toml:28:81: prometheus[0].queries[0].entity: `none` is not an entity; write attribute=name, such as service.name=checkout
   |
28 | queries = [{ promql = "up", metric = "up", indicator = "availability", entity = "none" }]
   |                                                                                 ^^^^^^

nightjar.toml:31:11: remediate.commands[0].program: must be a whole path, so that nothing else of that name is run
   |
31 | program = "systemctl"
   |           ^^^^^^^^^^^

nightjar.toml:32:9: remediate.commands[0].args[0]: is not a regular expression: error: unclosed group
   |
32 | args = ["(restart"]
   |         ^^^^^^^^^^

environment variable NIGHTJAR__DETCT__HOLD_S: detct: is not a setting; did you mean `detect`?

environment variable NIGHTJAR__DETECT__CLEAR_S: detect.clear_s: expected a whole number of at least 0, found a text

18 mistakes in the configuration.
"#);
}

#[test]
fn the_environment_overrides_by_section_key_and_number() {
    let text = "[[prometheus]]\nname = \"main\"\nurl = \"http://localhost:9090\"\n\
                bearer_token = { env = \"FAKE_TOKEN\" }\n";
    let env = [
        ("NIGHTJAR__DETECT__HOLD_S", "7"),
        ("NIGHTJAR__PROMETHEUS__0__NAME", "first"),
        ("NIGHTJAR__PROMETHEUS__1__NAME", "2"),
        ("NIGHTJAR__PROMETHEUS__1__URL", "http://localhost:9091"),
        ("NIGHTJAR__WEB__HOOK_SECRET", "1234567890123456"),
        ("NIGHTJAR__RUNBOOKS__SETTINGS__CLUSTER", "blue"),
        ("FAKE_TOKEN", "not-a-real-token\n"),
        ("NIGHTJAR_PORT", "tcp://10.0.0.1:80"),
    ];
    let config = load(text, &pairs(&env)).expect("it loads");
    assert_eq!(config.detect.hold_s, 7);
    let names: Vec<&str> = config.prometheus.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["first", "2"], "what is wanted as text is text, digits or not");
    assert_eq!(config.prometheus[0].bearer_token, Some("not-a-real-token".into()));
    assert_eq!(config.web.hook_secret, Some("1234567890123456".into()));
    assert_eq!(config.runbooks.settings["cluster"], "blue");
}

#[test]
fn an_override_that_leads_nowhere_names_its_variable() {
    let env = [
        ("NIGHTJAR__DATA_DIR__DEEPER", "x"),
        ("NIGHTJAR__PROMETHEUS__FIRST__URL", "http://localhost:9090"),
        ("NIGHTJAR__PROMETHEUS__3__URL", "http://localhost:9090"),
        ("NIGHTJAR____HOLD_S", "3"),
    ];
    insta::assert_snapshot!(wrong("data_dir = \"x\"\n", &env), @r#"
environment variable NIGHTJAR__DATA_DIR__DEEPER: `deeper` would have to be in what is no section and no list

environment variable NIGHTJAR__PROMETHEUS__3__URL: the list has 0 entries; the next one is number 0

environment variable NIGHTJAR__PROMETHEUS__FIRST__URL: `first` must be a place in a list: a number from 0 to 0

environment variable NIGHTJAR____HOLD_S: the name has an empty part; write NIGHTJAR__SECTION__KEY

4 mistakes in the configuration.
"#);
}

#[test]
fn secrets_come_from_files_and_never_stand_in_a_message() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "not-a-real-token-from-a-file\n").expect("written");
    let text = format!(
        "[web]\nhook_secret_file = \"{0}\"\ngithub_secret = {{ file = \"{0}\" }}\n\
         tokens = [{{ name = \"ops\", role = \"admin\", secret_file = \"{0}\" }}]\n\
         [remediate.secrets]\nshop = {{ file = \"{0}\" }}\n",
        file.display()
    );
    let config = load(&text, &[]).expect("it loads");
    let secret = Some("not-a-real-token-from-a-file".into());
    assert_eq!((&config.web.hook_secret, &config.web.github_secret), (&secret, &secret));
    assert_eq!(Some(config.web.tokens[0].secret.clone()), secret);
    assert_eq!(Some(config.remediate.secrets["shop"].clone()), secret);
    let shown = format!("{config:?} {}", serde_json::to_string(&config).expect("serialises"));
    assert!(!shown.contains("from-a-file"), "{shown}");

    let text = "web = { ingest_token = \"hidden-in-a-line\", bnid = \"x\", hook_secret = \
                \"hidden-too-in-it\", hook_secret_file = \"/nonexistent\" }";
    insta::assert_snapshot!(wrong(text, &[]), @r#"
nightjar.toml:1:44: web.bnid: is not a setting; did you mean `bind`?
  |
1 | web = { ingest_token = ******************, bnid = "x", hook_secret = ******************, hook_secret_file = "/nonexistent" }
  |                                            ^^^^

nightjar.toml:1:90: web.hook_secret_file: `hook_secret` stands there too; keep one of them
  |
1 | web = { ingest_token = ******************, bnid = "x", hook_secret = ******************, hook_secret_file = "/nonexistent" }
  |                                                                                          ^^^^^^^^^^^^^^^^

2 mistakes in the configuration.
"#);
}

#[test]
fn a_file_that_is_no_toml_is_told_of_without_its_secrets() {
    let text = "[web]\nhook_secret = \"hidden-and-not-closed\nbind = 127.0.0.1:80\n[detect\n";
    let shown = wrong(text, &[]);
    assert!(!shown.contains("hidden-and"), "{shown}");
    assert!(shown.starts_with("nightjar.toml:2:"), "{shown}");
    assert!(shown.contains("nightjar.toml:3:") && shown.contains("nightjar.toml:4:"), "{shown}");
}

#[test]
fn beside_mistakes_of_syntax_what_is_certain_is_told_too() {
    let text = "[detect]\nhold_s = 1.2.3\ntreshold = 4\n[web]\nbind = 80\n";
    let shown = wrong(text, &[]);
    assert!(shown.contains("`threshold`?") && shown.contains("5:8: web.bind"), "{shown}");
    assert!(shown.ends_with("3 mistakes in the configuration.\n"), "{shown}");
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = load("", &[]).expect("it loads");
    assert_eq!(config.web.bind, "127.0.0.1:7878");
    assert!(config.prometheus.is_empty());
}

proptest::proptest! {
    /// Whatever stands in the file or the environment, reading it ends with a configuration or
    /// with mistakes that can be shown.
    #[test]
    fn any_text_is_read_or_told_of(
        text in "(\\[{1,2}(web|detect|prometheus|x)\\]{1,2}\n|(bind|hold_s|name|tokens|floors) = ([0-9]{1,20}|\"é?x?\"|\\[\\]|\\{\\}|nan|1e400|\\{ env = \"A\" \\})\n|.?){0,8}",
        name in "NIGHTJAR__(WEB|DETECT|PROMETHEUS|TOKENS)?(__)?(0|9|BIND|HOLD_S|FLOORS)?(__RATE)?",
        value in "([0-9]{0,3}|\\[.?\\]|\\{.{0,3}\\}|\"?x?)",
    ) {
        if let Err(wrong) = load(&text, &[(name, value)]) {
            proptest::prop_assert!(!wrong.mistakes.is_empty());
            proptest::prop_assert!(wrong.render("f", &text).contains("configuration."));
        }
    }
}

/// Every key of every table in the schema: a setting that nothing reads would be a promise that
/// nobody keeps.
#[test]
fn every_setting_is_read_by_the_code() {
    fn sources(folder: &std::path::Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let tests = path.file_stem().is_some_and(|name| name == "tests");
            if path.is_dir() && !tests {
                sources(&path, all);
            } else if path.extension().is_some_and(|e| e == "rs") && !tests {
                let text = std::fs::read_to_string(&path).expect("a source file is UTF-8");
                all.push_str(text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default());
            }
        }
    }
    fn keys(schema: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
        match schema {
            serde_json::Value::Object(object) => {
                for (name, inner) in object {
                    if let ("properties", Some(properties)) = (name.as_str(), inner.as_object()) {
                        found.extend(
                            properties
                                .iter()
                                .filter(|(_, p)| p.get("x-file-of").is_none())
                                .map(|(k, _)| k.clone()),
                        );
                    }
                    keys(inner, found);
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|i| keys(i, found)),
            _ => {}
        }
    }
    let mut code = String::new();
    sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut code);
    let mut all = std::collections::BTreeSet::new();
    keys(&schema(), &mut all);
    assert!(all.len() > 80, "the schema has its keys: {}", all.len());
    // How a secret is named, which is read here.
    let ours = ["env", "file"];
    let unread: Vec<String> = all
        .into_iter()
        .filter(|k| !ours.contains(&k.as_str()))
        .filter(|k| {
            let read = regex::Regex::new(&format!(r"\.{k}\b")).expect("a name is a pattern");
            !read.is_match(&code)
        })
        .collect();
    assert_eq!(unread, Vec::<String>::new(), "settings that nothing reads");
}

#[test]
fn times_roles_and_the_model_are_judged() {
    let text = r#"
[assist]
time_zone = "Mars/Base"
[llm]
base_url = "http://127.0.0.1:11434/v1"
[approve]
role = "viewer"
high_risk_approvals = 0
[silences]
longest_h = 0
[[maintenance]]
name = "all"
matchers = ['service=~".*"']
from = "02:00"
minutes = 30
[[maintenance]]
name = "half"
matchers = ['service="x"']
from = "02:00"
[web]
bind = "0.0.0.0:80"
"#;
    insta::assert_snapshot!(wrong(text, &[]), @r#"
nightjar.toml:3:13: assist.time_zone: "Mars/Base" is not a known time zone
  |
3 | time_zone = "Mars/Base"
  |             ^^^^^^^^^^^

nightjar.toml:4:2: llm.model: is missing; name the model as the endpoint knows it
  |
4 | [llm]
  |  ^^^

nightjar.toml:7:8: approve.role: a viewer only reads; name responder, approver or admin
  |
7 | role = "viewer"
  |        ^^^^^^^^

nightjar.toml:8:23: approve.high_risk_approvals: 0 is not a whole number from 1 to 10
  |
8 | high_risk_approvals = 0
  |                       ^

nightjar.toml:10:13: silences.longest_h: 0 is not a whole number from 1 to 8760
   |
10 | longest_h = 0
   |             ^

nightjar.toml:13:1: maintenance[0].matchers: needs one that some alert fails, or everything would be silenced
   |
13 | matchers = ['service=~".*"']
   | ^^^^^^^^

nightjar.toml:16:1: maintenance[1]: needs either `starts_at` and `ends_at`, or `from` and `minutes`
   |
16 | [[maintenance]]
   | ^^^^^^^^^^^^^^^

nightjar.toml:21:8: web.bind: 0.0.0.0:80 can be reached from other machines and nobody would be asked who they are: set web.tokens and web.ingest_token, or bind to 127.0.0.1
   |
21 | bind = "0.0.0.0:80"
   |        ^^^^^^^^^^^^

8 mistakes in the configuration.
"#);
}

#[test]
fn the_key_that_everybody_has_is_taken() {
    let text = "[llm]\nbase_url = \"http://127.0.0.1:1/v1\"\nmodel = \"small\"\n";
    let key = |env: &[(&str, &str)]| load(text, &pairs(env)).expect("it loads").llm.api_key;
    assert_eq!(key(&[]), None);
    assert_eq!(key(&[("OPENAI_API_KEY", "fake-key")]), Some("fake-key".into()));
    let own = [("OPENAI_API_KEY", "fake-key"), ("NIGHTJAR__LLM__API_KEY", "own-fake-key")];
    assert_eq!(key(&own), Some("own-fake-key".into()));
}

#[test]
fn names_matchers_and_edges_are_judged() {
    let text = r#"
[graph.calls]
"service.name=" = ["b"]
a = ["a"]
[notify]
channel = ""
[[prometheus]]
matchers = ["namespace"]
[[maintenance]]
name = "x"
matchers = ['service=~"("']
from = "02:00"
minutes = 5
"#;
    insta::assert_snapshot!(wrong(text, &[]), @r#"
nightjar.toml:2:8: graph.calls: `a` leads to itself
  |
2 | [graph.calls]
  |        ^^^^^

nightjar.toml:2:8: graph.calls: `service.name=` is neither a service nor attribute=name
  |
2 | [graph.calls]
  |        ^^^^^

nightjar.toml:6:11: notify.channel: is empty
  |
6 | channel = ""
  |           ^^

nightjar.toml:8:13: prometheus[0].matchers[0]: `namespace` has no operator; write name="value", with =, !=, =~ or !~
  |
8 | matchers = ["namespace"]
  |             ^^^^^^^^^^^

nightjar.toml:11:13: maintenance[0].matchers[0]: `(` is not a regular expression: unclosed group
   |
11 | matchers = ['service=~"("']
   |             ^^^^^^^^^^^^^^

5 mistakes in the configuration.
"#);
}

#[test]
fn a_budget_that_can_not_be_kept_is_refused_with_what_would_do() {
    let wrong =
        |text: &str| load(text, &[]).map(|_| ()).map_err(|w| w.render("nightjar.toml", text));
    let said = wrong("[detect.budget]\nanomalies_per_day = -1.0\n").expect_err("less than none");
    assert!(said.contains("detect.budget.anomalies_per_day"), "{said}");
    let said = wrong("[detect.budget]\nstrong_p = 0.5\n").expect_err("likelier than most_p");
    assert!(said.contains("up to most_p, 0.001"), "{said}");
    assert_eq!(wrong("[detect.budget]\nanomalies_per_day = 0.0\n"), Ok(()));
}

#[test]
fn what_is_taken_by_push_is_judged() {
    let text = r#"
[otlp]
oldest_ms = 0
[remote_write]
future_skew_ms = -5
oldest_ms = -1
max_streams = 0
[[remote_write.metrics]]
name = "a{b"
labels = ["region", ""]
[[remote_write.metrics]]
name = "shop.orders:größe_total"
"#;
    insta::assert_snapshot!(wrong(text, &[]), @r#"
nightjar.toml:3:13: otlp.oldest_ms: 0 is not a whole number of at least 1
  |
3 | oldest_ms = 0
  |             ^

nightjar.toml:5:18: remote_write.future_skew_ms: -5 is not a whole number of at least 0
  |
5 | future_skew_ms = -5
  |                  ^^

nightjar.toml:6:13: remote_write.oldest_ms: -1 is not a whole number of at least 1
  |
6 | oldest_ms = -1
  |             ^^

nightjar.toml:7:15: remote_write.max_streams: 0 is not a whole number of at least 1
  |
7 | max_streams = 0
  |               ^

nightjar.toml:9:8: remote_write.metrics[0].name: `a{b` is not the name of a metric, because of '{'; give the name alone, without labels, functions or spaces
  |
9 | name = "a{b"
  |        ^^^^^

nightjar.toml:10:21: remote_write.metrics[0].labels[1]: is empty
   |
10 | labels = ["region", ""]
   |                     ^^

6 mistakes in the configuration.
"#);
}
