//! Calls of chat platforms that nobody here is set up for.

use reqwest::{Method, StatusCode};

use super::{Server, failure};

#[tokio::test]
async fn a_call_of_slack_without_a_workspace_is_refused_with_what_to_set() {
    let server = Server::start().await;
    for door in ["events", "interactive", "commands"] {
        let path = format!("/hooks/slack/{door}");
        let answer = server.open(Method::POST, &path).body("{}").send().await.expect("an answer");
        let (status, _, message) = failure(answer).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(message.contains("chat.slack.signing_secret"), "{message}");
    }
    server.end().await;
}
