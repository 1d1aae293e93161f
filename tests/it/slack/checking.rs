//! What `nightjar check` finds in a workspace, and the manifest that makes one.

use std::collections::BTreeSet;

use nightjar::chat::slack::{Finding, NEEDED};

use super::*;

fn lines(found: &[Finding]) -> Vec<String> {
    let line = |f: &Finding| match &f.result {
        Ok(said) => format!("{}: ok, {said}", f.what),
        Err(why) => format!("{}: {}{why}", f.what, if f.essential { "" } else { "(a feature) " }),
    };
    found.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_that_is_right_passes() {
    let Stage { slack, .. } = &stage(Some(APP_TOKEN)).await;
    assert_eq!(
        lines(&slack.check().await),
        [
            "slack: bot_token: ok, workspace shop knows the bot as @nightjar",
            &format!("slack: scope list: ok, all {} that are needed are granted", NEEDED.len()),
            "slack: app_token: ok, Socket Mode opens",
            "slack: channel #incidents: ok, the bot is in #incidents (C0INCIDENTS)",
            "slack: group S0ONCALL: ok, 1 people",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_with_its_feature() {
    let stage = stage(None).await;
    for scope in ["pins:write", "commands", "usergroups:read"] {
        stage.fake.look().scopes.remove(scope);
    }
    let mut config = config(&stage.fake, Some(BOT_TOKEN));
    let routes = json!([{ "channel": "#other" }, { "channel": ARCHIVED }, { "channel": "#none" }]);
    config.routes = serde_json::from_value(routes).expect("routes");
    let clock = Arc::new(SystemClock);
    let slack = Slack::new(config, stage.recorder.clone(), clock.clone()).expect("is set up");
    let all = lines(&slack.check().await).join("\n");
    for part in [
        "scope commands: it is not granted; without it are lost: the command /nightjar",
        "scope pins:write: (a feature) it is not granted",
        "app_token: Slack refuses apps.connections.open with not_allowed_token_type",
        "channel #other: the bot is not in #other; write /invite",
        "channel C0ARCHIVED: #old is archived",
        "channel #none: Slack has no channel #none",
        "group S0ONCALL: (a feature) Slack refuses usergroups.users.list: the app lacks the scope",
    ] {
        assert!(all.contains(part), "{part} is missing in\n{all}");
    }
    assert!(!all.contains(BOT_TOKEN));
    // A token that does not count ends the check: nothing else can be said.
    stage.fake.look().revoked = true;
    assert_eq!(slack.check().await.len(), 1);
}

#[test]
fn the_manifest_asks_for_what_the_code_needs_and_no_more() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/slack-manifest.yaml");
    let text = std::fs::read_to_string(path).expect("it is there");
    let manifest: Value = serde_saphyr::from_str(&text).expect("YAML");
    let names = |value: &Value| -> BTreeSet<String> {
        let texts = value.as_array().expect("a list").iter().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    let needed: BTreeSet<String> = NEEDED.iter().map(|s| s.name.to_owned()).collect();
    assert_eq!(names(&manifest["oauth_config"]["scopes"]["bot"]), needed);
    let events = names(&manifest["settings"]["event_subscriptions"]["bot_events"]);
    // Each event needs its scope (docs.slack.dev/reference/events).
    for (event, scope) in [
        ("app_mention", "app_mentions:read"),
        ("message.channels", "channels:history"),
        ("message.groups", "groups:history"),
        ("message.im", "im:history"),
        ("link_shared", "links:read"),
    ] {
        assert!(events.contains(event) && needed.contains(scope), "{event}");
    }
    assert_eq!(manifest["settings"]["socket_mode_enabled"], true);
    let shortcuts = manifest["features"]["shortcuts"].as_array().expect("a list");
    let ids: Vec<&str> = shortcuts.iter().filter_map(|s| s["callback_id"].as_str()).collect();
    assert_eq!(ids, ["ask_about", "open_from", "declare"]);
    // Every scope is explained by the line above it.
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for scope in nightjar::chat::slack::ROOMS {
        let line = format!("# - {}", scope.name);
        assert!(lines.contains(&line.as_str()), "{line} is not there to be put in");
    }
    for scope in &needed {
        let at = lines.iter().position(|l| *l == format!("- {scope}")).expect("it is listed");
        assert!(lines[at - 1].starts_with("# "), "{scope} is not explained");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_checks_every_workspace() {
    let stage = stage(None).await;
    stage.fake.look().scopes.remove("pins:write");
    let folder = tempfile::tempdir().expect("a scratch folder");
    let file = folder.path().join("nightjar.toml");
    let text = format!(
        "data_dir = {:?}\n[[chat.slack]]\nbot_token = {BOT_TOKEN:?}\napp_token = {APP_TOKEN:?}\n\
         api_url = {:?}\nchannel = \"#other\"\n",
        folder.path().join("data"),
        stage.fake.api()
    );
    std::fs::write(&file, text).expect("written");
    let binary = std::path::PathBuf::from(env!("CARGO_BIN_EXE_nightjar"));
    let file = file.display().to_string();
    let run = move || piped(&binary, &["check", "--config", &file], "");
    let (status, said) = tokio::task::spawn_blocking(run).await.expect("it ran");
    assert_ne!(status, 0, "the bot is not in its channel");
    for part in [
        "slack: bot_token",
        "knows the bot as @nightjar",
        "slack: scope pins:write",
        "install the app again",
        "Socket Mode opens",
        "the bot is not in #other",
        "write /invite @nightjar there",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    assert!(!said.contains(BOT_TOKEN) && !said.contains(APP_TOKEN));
}
