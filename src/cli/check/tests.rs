//! The checks against real servers on loopback, and the table.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::demo::{Options, Shop};
use crate::model::clock::SystemClock;
use crate::remediate::{CommandRule, HostRule};
use crate::telemetry::prometheus::PrometheusConfig;

const PATIENCE: Duration = Duration::from_secs(20);

fn config(folder: &Path) -> Config {
    let mut config = Config { data_dir: folder.join("data"), ..Config::default() };
    config.web.bind = "127.0.0.1:0".into();
    config
}

fn row<'a>(rows: &'a [Row], what: &str) -> &'a Row {
    rows.iter().find(|r| r.what == what).unwrap_or_else(|| panic!("no {what} in\n{}", table(rows)))
}

/// A port on which nothing listens.
fn closed() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

#[tokio::test]
async fn what_fails_is_told_with_how_to_mend_it() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config(folder.path());
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    config.web.bind = held.local_addr().expect("it is bound").to_string();
    let gone = format!("http://127.0.0.1:{}", closed());
    config.prometheus = vec![PrometheusConfig { url: gone.clone(), ..Default::default() }];
    config.llm.base_url = format!("{gone}/v1");
    config.llm.model = "small".into();
    config.llm.api_key = Some("fake-and-never-shown".into());
    let own = folder.path().join("runbooks");
    std::fs::create_dir(&own).expect("made");
    std::fs::write(own.join("broken.md"), "---\nid: broken\n---\n").expect("written");
    config.runbooks.folders.push(own);
    let program = "/nonexistent/restart".to_owned();
    config.remediate.commands.push(CommandRule { program, args: Vec::new() });
    let host = format!("127.0.0.1:{}", closed());
    config.remediate.hosts.push(HostRule {
        host: host.clone(),
        methods: Vec::new(),
        path_prefix: String::new(),
    });
    let rows = all(&config, &folder.path().join("nightjar.toml"), PATIENCE).await;
    assert!(any_failed(&rows));
    for what in [
        "address",
        "prometheus prometheus",
        "language model",
        "runbooks",
        "program /nonexistent/restart",
        &format!("host {host}"),
    ] {
        let row = row(&rows, what);
        assert_eq!(row.state, State::Failed, "{what}");
        assert!(!row.mend.is_empty(), "{what}");
    }
    assert!(row(&rows, "runbooks").details.iter().any(|line| line.contains("broken.md:")));
    assert!(!config.data_dir.exists(), "the check leaves nothing behind");
    let shown = format!("{} {}", table(&rows), json(&rows));
    assert!(!shown.contains("never-shown"), "{shown}");
    assert_eq!(json(&rows)["ok"], false);
}

#[tokio::test]
async fn a_server_is_asked_for_its_clock_and_for_what_will_be_watched() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let shop = Shop::bind(Options {
        seed: 7,
        clock: Arc::new(SystemClock),
        scenario: None,
        data_dir: None,
        hook_secret: "fake-hook-secret".into(),
    })
    .expect("the shop opens");
    let mut config = config(folder.path());
    let own = PrometheusConfig {
        name: "shop".into(),
        url: shop.url(),
        discover: true,
        queries: toml::from_str::<PrometheusConfig>(
            "[[queries]]\npromql = 'up'\nmetric = 'up'\n\
             [[queries]]\npromql = 'nothing_of_this_name'\nmetric = 'nothing'\n\
             [[queries]]\npromql = 'sum('\nmetric = 'broken'\n",
        )
        .expect("queries")
        .queries,
        ..Default::default()
    };
    config.prometheus.push(own);
    config.runbooks.settings.insert("admin_url".into(), shop.url());
    config.remediate.hosts.push(HostRule {
        host: shop.addr().to_string(),
        methods: Vec::new(),
        path_prefix: String::new(),
    });
    let over = CancellationToken::new();
    let served = shop.clone().serve(over.clone());
    let checked = async {
        let rows = all(&config, Path::new("nightjar.toml"), PATIENCE).await;
        over.cancel();
        rows
    };
    let (rows, _) = tokio::join!(checked, served);
    assert_eq!(row(&rows, "prometheus shop: clock").state, State::Ok);
    let watched = row(&rows, "prometheus shop: watched");
    assert_eq!(watched.state, State::Ok, "{}", watched.said);
    assert!(watched.details.iter().any(|line| line.contains("http")), "{:?}", watched.details);
    assert_eq!(row(&rows, "prometheus shop: up").state, State::Ok);
    assert_eq!(row(&rows, "prometheus shop: nothing").state, State::Warning);
    assert_eq!(row(&rows, "prometheus shop: broken").state, State::Failed);
    assert_eq!(row(&rows, &format!("host {}", shop.addr())).state, State::Ok);
    assert!(!rows.iter().any(|r| r.what == "runbooks.settings.admin_url"), "it is set");
    assert!(!rows.iter().any(|r| r.what == "actions"), "every action is allowed");
    config.remediate.hosts[0].path_prefix = "/elsewhere/".into();
    let library = crate::runbook::Library::shipped().expect("the shipped ones are right");
    let rows = local::actions(&config, &library);
    let refused = row(&rows, "actions");
    assert!(refused.details.iter().any(|line| line.contains("is not allowed")), "{refused:?}");
}

#[tokio::test]
async fn a_store_in_use_and_secrets_in_an_open_file_are_seen() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let presence = crate::app::Presence::take(&config.data_dir).expect("free");
    presence.announce("http://127.0.0.1:1", &"fake-token".into()).expect("written");
    let file = folder.path().join("nightjar.toml");
    std::fs::write(&file, "[web]\nhook_secret = \"fake-and-long-enough\"\n").expect("written");
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode));
    mode(0o644).expect("changed");
    let rows = all(&config, &file, PATIENCE).await;
    assert!(row(&rows, "store").said.contains("http://127.0.0.1:1"));
    assert_eq!(row(&rows, "configuration").state, State::Warning);
    mode(0o600).expect("changed");
    let rows = all(&config, &file, PATIENCE).await;
    assert_eq!(row(&rows, "configuration").state, State::Ok);
}

#[test]
fn the_table_is_aligned_and_counts() {
    let rows = [
        Row::ok("store", "can be opened").details(vec!["one".into(), "two".into()]),
        Row::failed("prometheus main", "can't be reached", "start it"),
        Row::off("language model", "none", ""),
    ];
    insta::assert_snapshot!(table(&rows), @r"
ok    store            can be opened
                       - one
                       - two
FAIL  prometheus main  can't be reached
                       → start it
off   language model   none

3 checked: 1 ok, 1 off, 0 with a warning, 1 failed.
");
}
