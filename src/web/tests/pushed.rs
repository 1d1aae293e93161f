//! Metrics and signs of life by push, over HTTP.

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use super::Server;

#[tokio::test]
async fn a_heartbeat_is_taken_and_a_wrong_one_is_explained() {
    let server = Server::start().await;
    let send = |body: Value| server.open(Method::POST, "/ingest/heartbeat").json(&body).send();
    let answer = send(json!({ "name": "backup", "every": "1d" })).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let taken: Value = answer.json().await.expect("JSON");
    assert_eq!(taken["accepted"], json!(true));
    let batches = server.state.shared.store.read(|r| r.batches_after(0, 10)).await.expect("reads");
    assert_eq!(batches.last().expect("it is there").batch.beats[0].name, "backup");
    let answer = send(json!({ "name": "backup", "every": "daily" })).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(answer.text().await.expect("text").contains("write it as 90s, 15m, 6h or 1d"));
    server.end().await;
}

#[tokio::test]
async fn snappy_passes_the_layer_that_unpacks_gzip() {
    let server = Server::start().await;
    let send = |encoding: &'static str, body: Vec<u8>| {
        let request = server.open(Method::POST, "/api/v1/write");
        request.header("Content-Encoding", encoding).body(body).send()
    };
    // An empty message is a message.
    let packed = snap::raw::Encoder::new().compress_vec(b"").expect("short");
    let answer = send("snappy", packed).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.headers()["x-prometheus-remote-write-samples-written"], "0");
    let answer = send("snappy", b"no snappy at all".to_vec()).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "the sender must not repeat it");
    let answer = send("zstd", Vec::new()).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    server.end().await;
}
