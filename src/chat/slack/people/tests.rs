//! How long what Slack told counts, while it can't be asked.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::model::clock::SystemClock;

/// A workspace whose Slack can't be reached, which told some time ago that Ann is on call.
fn workspace(person: Duration, group: Duration) -> Slack {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = json!({
        "bot_token": "not-a-real-token", "api_url": "http://127.0.0.1:9/", "channel": "C0",
        "people": [
            { "group": "S0ONCALL", "role": "approver" },
            { "user": "U0ANN", "role": "responder" },
        ],
    });
    let config = serde_json::from_value(config).expect("settings");
    let nobody = Arc::new(crate::chat::nobody::Nobody);
    let slack = Slack::new(config, nobody, Arc::new(SystemClock)).expect("is set up");
    let ago = |age| Instant::now().checked_sub(age).expect("the machine runs long enough");
    let ann = slack.person("U0ANN", &json!({ "name": "ann" }), &["S0ONCALL".into()]);
    slack.known(|known| {
        known.people.insert("U0ANN".into(), (ago(person), ann));
        known.groups.insert("S0ONCALL".into(), (ago(group), ["U0ANN".into()].into()));
    });
    slack
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_role_is_kept_for_an_hour_while_slack_can_not_be_asked_and_no_longer() {
    let slack = workspace(59 * MINUTE, 59 * MINUTE);
    assert_eq!(slack.fresh("U0ANN"), None);
    assert_eq!(slack.identify("U0ANN").await.expect("is known").role, Role::Approver);
    let slack = workspace(61 * MINUTE, 61 * MINUTE);
    let fault = slack.identify("U0ANN").await.expect_err("nobody knows");
    assert!(fault.is_transient(), "{}", fault.chain());
    // No form is refused because of that either: who it is is not known, that is all.
    assert_eq!((slack.actor("U0ANN").await, slack.actor("U0BO").await), (None, None));
}

#[tokio::test]
async fn a_group_that_can_not_be_read_counts_for_an_hour() {
    let slack = workspace(61 * MINUTE, 59 * MINUTE);
    let (_, members) = slack.members("S0ONCALL").await.expect("is known");
    assert!(members.contains("U0ANN"));
    let slack = workspace(MINUTE, 61 * MINUTE);
    assert!(slack.members("S0ONCALL").await.expect_err("nobody knows").is_transient());
}
