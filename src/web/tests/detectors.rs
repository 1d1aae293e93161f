//! The detectors' page: what stands there before anything was judged, and who may move a version.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Server, failure};
use crate::model::Role;

#[tokio::test]
async fn before_live_data_there_is_no_version_and_none_can_be_moved() {
    let server = Server::start().await;
    let found = server.get("/api/v1/detectors").await;
    assert_eq!(found["told_by"], "called/1");
    assert_eq!(found["versions"], json!([]));
    assert_eq!(found["held_back"], json!([]));
    let path = "/api/v1/detectors/ensemble%2F1/stage";
    let body = json!({ "stage": "shadow", "reason": "a test" });
    let (status, _) = server.post(path, body.clone()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let asked = server.as_role(Role::Responder, Method::POST, path);
    let answer = asked.json(&body).send().await.expect("an answer");
    assert_eq!(failure(answer).await.0, StatusCode::FORBIDDEN);
    let (status, words) = server.post(path, json!({ "stage": "off" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{words}");
}
