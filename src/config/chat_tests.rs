//! Mistakes in the settings of chat platforms are told at once and where they are.

use super::load;

#[test]
fn a_workspace_needs_a_name_of_its_own_and_a_way_in() {
    let text = r#"
[[chat.slack]]
bot_token = "xoxb-not-a-real-token"
channel = "C1"
[[chat.slack]]
bot_token = "xoxb-not-a-real-token"
app_token = "xapp-not-a-real-token"
api_url = "slack.example"
channel = "C1"
[[chat.slack.people]]
role = "approver"
"#;
    let wrong = load(text, &[]).expect_err("it is wrong").render("nightjar.toml", text);
    assert!(!wrong.contains("not-a-real-token"), "{wrong}");
    insta::assert_snapshot!(wrong, @r#"
    nightjar.toml:2:1: chat.slack[0].app_token: give app_token for Socket Mode, or signing_secret for events by HTTP; without either no click would arrive
      |
    2 | [[chat.slack]]
      | ^^^^^^^^^^^^^^

    nightjar.toml:5:1: chat.slack[1].name: is missing; where several are connected each needs one
      |
    5 | [[chat.slack]]
      | ^^^^^^^^^^^^^^

    nightjar.toml:8:11: chat.slack[1].api_url: expected an http or https address: relative URL without a base
      |
    8 | api_url = "slack.example"
      |           ^^^^^^^^^^^^^^^

    nightjar.toml:10:1: chat.slack[1].people[0]: names nobody; give a user or a group
       |
    10 | [[chat.slack.people]]
       | ^^^^^^^^^^^^^^^^^^^^^

    4 mistakes in the configuration.
    "#);
    let right = text
        .replacen("channel", "signing_secret = \"not-a-real-secret\"\nchannel", 1)
        .replace("app_token", "name = \"acme\"\napp_token")
        .replace("slack.example", "http://127.0.0.1:1/api/")
        .replace("role = \"app", "email = \"ada@example.com\"\nrole = \"app");
    let config = load(&right, &[]).unwrap_or_else(|w| panic!("{}", w.render("right", &right)));
    assert_eq!(config.chat.slack.len(), 2);
}

#[test]
fn two_workspaces_share_no_socket() {
    let workspace = |name: &str, token: &str| {
        format!(
            "[[chat.slack]]\nname = {name:?}\nbot_token = \"xoxb-not-a-real-token\"\n\
             app_token = {token:?}\nchannel = \"C1\"\n"
        )
    };
    let one = workspace("shop", "xapp-not-a-real-token");
    let text = format!("{one}{}", workspace("bank", "xapp-not-a-real-token"));
    let wrong = load(&text, &[]).expect_err("it is wrong").render("nightjar.toml", &text);
    assert!(wrong.contains("chat.slack[1].app_token: is that of another workspace"), "{wrong}");
    assert!(wrong.contains("signing_secret") && !wrong.contains("not-a-real-token"), "{wrong}");
    load(&format!("{one}{}", workspace("bank", "xapp-not-a-real-other")), &[]).expect("right");
}

#[test]
fn ids_of_discord_are_numbers() {
    let text = "[[chat.discord]]\ntoken = \"x\"\nguilds = [\"shop\"]\nchannel = \"1\"\n";
    let wrong = load(text, &[]).expect_err("it is wrong").render("nightjar.toml", text);
    assert!(
        wrong.contains("chat.discord[0]: `shop` is no id; switch on Developer Mode"),
        "{wrong}"
    );
    assert!(load(&text.replace("shop", "7"), &[]).is_ok());
}
